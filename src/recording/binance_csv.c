/* binance-data-processor's CSV of trades: a header line that names the columns, times in
 * microseconds (or milliseconds).
 *
 * The column "MUnknownParameter" (the frame's "M") exists on spot only and tells spot from USD-M,
 * unless --venue says so.
 */
#include "recording/reader.h"

#include <stdlib.h>

enum csv_column {
    RECEIVED,
    STREAM,
    EVENT_TYPE,
    TRADED,
    SYMBOL,
    TRADE_ID,
    PRICE,
    QUANTITY,
    MAKER,
    CSV_MAX
};
static const char *const names[CSV_MAX] = {
    "TimestampOfReceive",
    "Stream",
    "EventType",
    "TransactionTime",
    "Symbol",
    "TradeId",
    "Price",
    "Quantity",
    "IsBuyerMarketMaker",
};
enum { COLUMNS_MAX = 32 };

struct binance_csv {
    int place[CSV_MAX]; /* index of the column, or -1 */
    size_t columns;
};

static bool probe(const struct probe *p)
{
    return str_starts(p->head, "TimestampOfReceive,") && str_contains(p->head, ",TradeId,Price,");
}

static size_t split(struct str line, struct str cells[COLUMNS_MAX])
{
    size_t n = 0;
    while (line.n && n < COLUMNS_MAX) cells[n++] = str_trim(str_cut(&line, ','));
    return n;
}

static enum err_code open_file(struct recording *r, struct err *e)
{
    struct input_line line;
    TRY(input_line(r->in, RECORDING_PROBE_BYTES, &line, e));
    struct binance_csv *b = calloc(1, sizeof *b);
    CHECK(b != NULL);
    r->state = b;
    struct str cells[COLUMNS_MAX];
    size_t count = split((struct str){line.p, line.n}, cells);
    b->columns = count;
    bool spot = false;
    for (int c = 0; c < CSV_MAX; c++) {
        b->place[c] = -1;
        for (size_t i = 0; i < count; i++)
            if (str_is(cells[i], names[c])) b->place[c] = (int)i;
        if (b->place[c] < 0)
            return ERR(e, ERR_PARSE, "%s: line 1: a column %s is expected", r->path, names[c]);
    }
    for (size_t i = 0; i < count; i++) spot = spot || str_is(cells[i], "MUnknownParameter");
    r->venue = r->hint.n ? r->hint : spot ? STR("binance") : STR("binance_futures");
    return ERR_OK;
}

static void close_file(struct recording *r) { free(r->state); }

static enum err_code fill(struct recording_item *ret, const struct str cell[CSV_MAX])
{
    struct trade *t = &ret->trade;
    ret->kind = RECORDING_TRADE;
    memset(t, 0, sizeof *t);
    ret->venue_symbol = cell[SYMBOL];
    t->stream = STREAM_TRADE;
    t->has_id = true;
    if (!str_is(cell[EVENT_TYPE], "trade")) return ERR_PARSE;
    TRY(time_of_digits(cell[RECEIVED], &ret->received_ns));
    TRY(time_of_digits(cell[TRADED], &t->venue_time_ns));
    TRY(str_to_i64(cell[TRADE_ID], &t->id));
    TRY(dec_parse(cell[PRICE], &t->price));
    TRY(dec_parse(cell[QUANTITY], &t->size));
    t->first_id = t->last_id = t->id;
    if (str_is(cell[MAKER], "1") || str_is(cell[MAKER], "True"))
        t->side = SIDE_SELL;
    else if (str_is(cell[MAKER], "0") || str_is(cell[MAKER], "False"))
        t->side = SIDE_BUY;
    else
        return ERR_PARSE;
    return cell[SYMBOL].n ? ERR_OK : ERR_PARSE;
}

static enum err_code next_item(struct recording *r, struct recording_item *ret, struct err *e)
{
    const struct binance_csv *b = r->state;
    struct input_line line;
    do {
        enum err_code code = input_line(r->in, RECORDING_PROBE_BYTES, &line, e);
        item_bytes(ret, &line);
        if (code != ERR_OK) return code;
    } while (line.n == 0);
    struct str cells[COLUMNS_MAX], cell[CSV_MAX];
    size_t count = split((struct str){line.p, line.n}, cells);
    bool whole = true;
    for (int c = 0; c < CSV_MAX; c++) {
        whole = whole && (size_t)b->place[c] < count;
        if (whole) cell[c] = cells[b->place[c]];
    }
    enum err_code code = whole ? fill(ret, cell) : ERR_PARSE;
    /* The last column is not one of ours, so a cut row could look whole without it. */
    bool ended = !line.cut || (count == b->columns && cells[count - 1].n > 0 &&
                               cells[count - 1].p[cells[count - 1].n - 1] == 'e');
    if (code == ERR_OK && ended) return ERR_OK;
    if (!ended) return damaged_line(r, e, ERR_CORRUPT, line.number, "the file ends in mid-line");
    return damaged_line(r, e, code, line.number,
                        code == ERR_INEXACT
                            ? "a number that cannot be held exactly"
                            : "not a row of a trade: time, id, price, quantity or maker");
}

const struct format format_binance_csv = {
    .name = "binance-data-processor",
    .probe = probe,
    .open = open_file,
    .next = next_item,
    .close = close_file,
};
