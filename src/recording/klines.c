/* Binance's kline dumps: CSV of
 * open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,
 * taker_buy_quote_volume,ignore; newer ones with a header line, and spot ones since 2025 in
 * microseconds.
 *
 * Symbol and timeframe stand in the file's name only (BTCUSDT-1m-2024-08-08.csv). Spot or USD-M:
 * --venue, else the folders ("futures/um" as in Binance's archive, "usdm-..."), else spot.
 */
#include "recording/reader.h"

#include <stdio.h>
#include <stdlib.h>

enum { CELLS = 12 };

struct klines {
    int timeframe;
    char symbol[64];
};

static size_t split(struct str line, struct str cells[CELLS])
{
    size_t n = 0;
    while (line.n && n < CELLS) cells[n++] = str_cut(&line, ',');
    return line.n ? CELLS + 1 : n;
}

/* "BTCUSDT-1m-2024-08.csv" */
static bool parse_name(const char *name, struct klines *k)
{
    struct str rest = str_of(name);
    struct str symbol = str_cut(&rest, '-');
    struct str frame = str_cut(&rest, '-');
    k->timeframe = timeframe_of_text(frame);
    return k->timeframe >= 0 && symbol.n > 0 && rest.n > 0 &&
           str_copy(k->symbol, sizeof k->symbol, symbol);
}

static bool is_row(struct str line)
{
    struct str cells[CELLS];
    int64_t ns;
    struct dec d;
    return split(line, cells) == CELLS && time_of_digits(cells[0], &ns) == ERR_OK &&
           time_of_digits(cells[6], &ns) == ERR_OK && dec_parse(cells[1], &d) == ERR_OK;
}

static bool probe(const struct probe *p)
{
    struct klines k;
    struct str rest = p->head;
    struct str first = str_trim(str_cut(&rest, '\n'));
    if (str_starts(first, "open_time,open,high,low,close,volume"))
        first = str_trim(str_cut(&rest, '\n'));
    return is_row(first) && parse_name(p->name, &k);
}

static enum err_code open_file(struct recording *r, struct err *e)
{
    struct klines *k = calloc(1, sizeof *k);
    CHECK(k != NULL);
    r->state = k;
    const char *entry = input_entry(r->in);
    const char *name = entry ? entry : r->name;
    const char *slash = strrchr(name, '/');
    if (!parse_name(slash ? slash + 1 : name, k))
        return ERR(
            e, ERR_PARSE,
            "%s: the file's name must tell symbol and timeframe, as in BTCUSDT-1m-2024-08-08.csv",
            r->path);
    struct str path = str_of(r->path);
    bool futures = str_contains(path, "usdm-") || str_contains(path, "futures/um/") ||
                   str_contains(path, "/um/");
    bool delivery = str_contains(path, "coinm-") || str_contains(path, "futures/cm/");
    r->venue = r->hint.n  ? r->hint
               : delivery ? STR("binance_delivery")
               : futures  ? STR("binance_futures")
                          : STR("binance");
    return ERR_OK;
}

static void close_file(struct recording *r) { free(r->state); }

static enum err_code fill(const struct klines *k, const struct str cells[CELLS],
                          struct recording_item *ret)
{
    int64_t open_ns;
    TRY(time_of_digits(cells[0], &open_ns));
    candle_start(ret, k->timeframe, open_ns, "klines.csv");
    ret->venue_symbol = str_of(k->symbol);
    struct candle *c = &ret->candle.c;
    TRY(candle_prices(ret, cells + 1));
    c->has_quote_volume = c->has_taker = true;
    TRY(dec_parse_lake(cells[7], &c->quote_volume));
    TRY(str_to_i64(cells[8], &c->trade_count));
    TRY(dec_parse_lake(cells[9], &c->taker_buy_base));
    return dec_parse_lake(cells[10], &c->taker_buy_quote);
}

static enum err_code next_item(struct recording *r, struct recording_item *ret, struct err *e)
{
    struct input_line line;
    do {
        enum err_code code = input_line(r->in, RECORDING_PROBE_BYTES, &line, e);
        item_bytes(ret, &line);
        if (code != ERR_OK) return code;
    } while (line.n == 0 ||
             (line.number == 1 && str_starts((struct str){line.p, line.n}, "open_time,")));
    struct str cells[CELLS];
    bool whole = split((struct str){line.p, line.n}, cells) == CELLS;
    enum err_code code = whole ? fill(r->state, cells, ret) : ERR_PARSE;
    if (code == ERR_OK) return ERR_OK;
    if (line.cut && !whole)
        return damaged_line(r, e, ERR_CORRUPT, line.number, "the file ends in mid-line");
    return damaged_line(r, e, code, line.number,
                        code == ERR_INEXACT ? "a number that cannot be held exactly"
                                            : "expected the 12 columns of a kline");
}

const struct format format_klines = {
    .name = "binance klines",
    .probe = probe,
    .open = open_file,
    .next = next_item,
    .close = close_file,
};
