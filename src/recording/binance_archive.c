/* Binance's daily and monthly archive of trades (data.binance.vision): CSV without a header on spot, with one on USD-M.
 *
 * trades     id,price,qty,quoteQty,time,isBuyerMaker[,isBestMatch]
 * aggTrades  id,price,qty,firstId,lastId,time,isBuyerMaker[,isBestMatch]
 * Times are ms, on spot since 2025 us. Symbol and kind stand in the file's name only (BTCUSDT-trades-2024-08-08.csv); spot or
 * USD-M as with the kline dumps.
 */
#include "recording/reader.h"

#include <stdio.h>
#include <stdlib.h>

enum { CELLS_MAX = 8, CELLS_LEAST = 6 };

struct archive {
    bool aggregates;
    char symbol[64];
};

static size_t split(struct str line, struct str cells[CELLS_MAX])
{
    size_t n = 0;
    while (line.n && n < CELLS_MAX) cells[n++] = str_trim(str_cut(&line, ','));
    return line.n ? CELLS_MAX + 1 : n;
}

static bool parse_name(const char *name, struct archive *a)
{
    struct str rest = str_of(name);
    struct str symbol = str_cut(&rest, '-'), kind = str_cut(&rest, '-');
    a->aggregates = str_is(kind, "aggTrades");
    return (a->aggregates || str_is(kind, "trades")) && symbol.n > 0 && rest.n > 0 &&
           str_copy(a->symbol, sizeof a->symbol, symbol);
}

static bool is_header(struct str line)
{
    return str_starts(line, "id,price,") || str_starts(line, "agg_trade_id,price,");
}

static bool probe(const struct probe *p)
{
    struct archive a;
    struct str rest = p->head, cells[CELLS_MAX];
    struct str first = str_trim(str_cut(&rest, '\n'));
    if (is_header(first)) first = str_trim(str_cut(&rest, '\n'));
    int64_t id;
    struct dec d;
    if (!parse_name(p->name, &a)) return false;
    size_t n = split(first, cells);
    return n >= CELLS_LEAST && n <= CELLS_MAX && str_to_i64(cells[0], &id) == ERR_OK &&
           dec_parse(cells[1], &d) == ERR_OK;
}

static enum err_code open_file(struct recording *r, struct err *e)
{
    struct archive *a = calloc(1, sizeof *a);
    CHECK(a != NULL);
    r->state = a;
    const char *entry = input_entry(r->in);
    const char *name = entry ? entry : r->name;
    const char *slash = strrchr(name, '/');
    if (!parse_name(slash ? slash + 1 : name, a))
        return ERR(e, ERR_PARSE,
                   "%s: the file's name must tell symbol and kind, as in "
                   "BTCUSDT-trades-2024-08-08.csv",
                   r->path);
    struct str path = str_of(r->path);
    bool futures = str_contains(path, "usdm-") || str_contains(path, "/um/");
    bool delivery = str_contains(path, "coinm-") || str_contains(path, "/cm/");
    r->venue = r->hint.n  ? r->hint
               : delivery ? STR("binance_delivery")
               : futures  ? STR("binance_futures")
                          : STR("binance");
    return ERR_OK;
}

static void close_file(struct recording *r) { free(r->state); }

static enum err_code read_flag(struct str s, bool *ret)
{
    *ret = str_is(s, "True") || str_is(s, "true");
    return *ret || str_is(s, "False") || str_is(s, "false") ? ERR_OK : ERR_PARSE;
}

static enum err_code fill(const struct archive *a, const struct str *cells, size_t count,
                          struct recording_item *ret)
{
    struct trade *t = &ret->trade;
    size_t time = a->aggregates ? 5 : 4;
    bool maker;
    ret->kind = RECORDING_TRADE;
    ret->venue_symbol = str_of(a->symbol);
    ret->received_ns = TIME_ABSENT; /* nobody received it */
    memset(t, 0, sizeof *t);
    if (count < time + 2) return ERR_PARSE;
    t->stream = a->aggregates ? STREAM_AGG_TRADE : STREAM_TRADE;
    t->has_id = t->has_range = true;
    TRY(str_to_i64(cells[0], &t->id));
    TRY(dec_parse(cells[1], &t->price));
    TRY(dec_parse(cells[2], &t->size));
    t->first_id = t->last_id = t->id;
    if (a->aggregates) {
        TRY(str_to_i64(cells[3], &t->first_id));
        TRY(str_to_i64(cells[4], &t->last_id));
    }
    TRY(time_of_digits(cells[time], &t->venue_time_ns));
    TRY(read_flag(cells[time + 1], &maker));
    t->side = maker ? SIDE_SELL : SIDE_BUY;
    return t->price.digits > 0 && t->size.digits >= 0 && t->id >= 0 && t->last_id >= t->first_id
               ? ERR_OK
               : ERR_PARSE;
}

static enum err_code next_item(struct recording *r, struct recording_item *ret, struct err *e)
{
    struct input_line line;
    do {
        enum err_code code = input_line(r->in, RECORDING_PROBE_BYTES, &line, e);
        item_bytes(ret, &line);
        if (code != ERR_OK) return code;
    } while (line.n == 0 || (line.number == 1 && is_header((struct str){line.p, line.n})));
    struct str cells[CELLS_MAX];
    size_t count = split((struct str){line.p, line.n}, cells);
    enum err_code code = count <= CELLS_MAX ? fill(r->state, cells, count, ret) : ERR_PARSE;
    if (line.cut && code != ERR_INEXACT)
        return damaged_line(r, e, ERR_CORRUPT, line.number, "the file ends in mid-line");
    if (code == ERR_OK) return ERR_OK;
    return damaged_line(r, e, code, line.number,
                        code == ERR_INEXACT ? "a number that cannot be held exactly"
                                            : "not a row of the archive's trades");
}

const struct format format_binance_archive = {
    .name = "binance archive",
    .probe = probe,
    .open = open_file,
    .next = next_item,
    .close = close_file,
};
