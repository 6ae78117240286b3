/* QuantConnect LEAN's trade bars: a zip with one CSV "20161007_btcusd_minute_trade.csv" of ms since
 * midnight UTC, open, high, low, close, volume. The venue is a folder of the path
 * (.../coinbase/minute/btcusd/...) or --venue.
 *
 * Quote bars (..._quote.csv) are no trades and no quotes of a book at a moment: they are not read.
 */
#include "recording/reader.h"

#include <stdio.h>
#include <stdlib.h>

struct lean {
    int64_t midnight_ns;
    int timeframe;
    char symbol[64];
};

struct name_parts {
    struct str date, symbol, resolution, kind;
};

static bool parse_name(const char *name, struct name_parts *n)
{
    struct str rest = str_of(name);
    n->date = str_cut(&rest, '_');
    n->symbol = str_cut(&rest, '_');
    n->resolution = str_cut(&rest, '_');
    n->kind = str_cut(&rest, '.');
    int64_t day;
    return n->date.n == 8 && str_to_i64(n->date, &day) == ERR_OK && n->symbol.n >= 5 &&
           (str_is(n->resolution, "minute") || str_is(n->resolution, "second")) &&
           str_is(n->kind, "trade") && str_is(rest, "csv");
}

static bool probe(const struct probe *p)
{
    struct name_parts n;
    struct str rest = p->head;
    struct str line = str_trim(str_cut(&rest, '\n'));
    int commas = 0;
    for (size_t i = 0; i < line.n; i++) commas += line.p[i] == ',';
    return commas == 5 && line.p[0] >= '0' && line.p[0] <= '9' && parse_name(p->name, &n);
}

/* The name runs base and quote together; LEAN's quote currencies are these. */
static bool split_symbol(struct str venue, struct str symbol, char *to, size_t size)
{
    static const char *const quotes[] = {"usdt", "usdc", "usd", "eur", "gbp", "btc", "eth", "jpy"};
    for (size_t i = 0; i < sizeof quotes / sizeof quotes[0]; i++) {
        size_t n = strlen(quotes[i]);
        if (symbol.n <= n || !str_ends(symbol, quotes[i])) continue;
        struct str base = {symbol.p, symbol.n - n};
        return venue_symbol_of_pair(venue, base, str_of(quotes[i]), to, size);
    }
    return false;
}

static enum err_code open_file(struct recording *r, struct err *e)
{
    struct lean *l = calloc(1, sizeof *l);
    CHECK(l != NULL);
    r->state = l;
    const char *entry = input_entry(r->in);
    const char *name = entry ? entry : r->name;
    const char *slash = strrchr(name, '/');
    struct name_parts n;
    char date[16];
    if (!parse_name(slash ? slash + 1 : name, &n))
        return ERR(e, ERR_PARSE,
                   "%s: the CSV inside must be named as 20161007_btcusd_minute_trade.csv", r->path);
    snprintf(date, sizeof date, "%.4s-%.2s-%.2s", n.date.p, n.date.p + 4, n.date.p + 6);
    char iso[32];
    snprintf(iso, sizeof iso, "%sT00:00:00Z", date);
    if (time_parse_iso(str_of(iso), &l->midnight_ns) != ERR_OK)
        return ERR(e, ERR_PARSE, "%s: %s is no date", r->path, date);
    l->timeframe = str_is(n.resolution, "minute") ? TIMEFRAME_1M : TIMEFRAME_1S;
    struct str folder = venue_of_folders(r->path);
    r->venue = r->hint.n ? r->hint : folder;
    str_copy(r->venue_text, sizeof r->venue_text, r->venue);
    r->venue = str_of(r->venue_text);
    if (!split_symbol(r->venue, n.symbol, l->symbol, sizeof l->symbol))
        str_copy(l->symbol, sizeof l->symbol, n.symbol);
    return ERR_OK;
}

static void close_file(struct recording *r) { free(r->state); }

static enum err_code fill(const struct lean *l, struct str line, struct recording_item *ret)
{
    struct str cells[6];
    for (int i = 0; i < 6; i++) cells[i] = str_cut(&line, ',');
    int64_t ms;
    TRY(str_to_i64(cells[0], &ms));
    if (ms < 0 || ms >= 86400000 || line.n || cells[5].n == 0) return ERR_PARSE;
    candle_start(ret, l->timeframe, l->midnight_ns + ms * NS_PER_MS, "lean");
    ret->venue_symbol = str_of(l->symbol);
    return candle_prices(ret, cells + 1);
}

static enum err_code next_item(struct recording *r, struct recording_item *ret, struct err *e)
{
    struct input_line line;
    do {
        enum err_code code = input_line(r->in, RECORDING_PROBE_BYTES, &line, e);
        item_bytes(ret, &line);
        if (code != ERR_OK) return code;
    } while (line.n == 0);
    enum err_code code = fill(r->state, (struct str){line.p, line.n}, ret);
    if (code == ERR_OK) return ERR_OK;
    return damaged_line(r, e, code, line.number,
                        code == ERR_INEXACT ? "a number that cannot be held exactly"
                                            : "expected ms,open,high,low,close,volume");
}

const struct format format_lean = {
    .name = "lean",
    .probe = probe,
    .open = open_file,
    .next = next_item,
    .close = close_file,
};
