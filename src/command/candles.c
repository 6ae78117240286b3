/* candles: candles of a symbol from the lake, as a table, JSON, or a chart in text. */
#include "command/local.h"

#include <stdlib.h>

enum { CHART_ROWS = 16, CANDLES_LIMIT = 1000000 };

static const struct option options[] = {
    {"venue", "NAME", "the venue (needed)"},
    {"symbol", "SYMBOL", "the symbol (needed)"},
    {"timeframe", "TF", "1s 1m 5m 15m 1h 4h 1d (default 1m)"},
    {"last", "N", "the newest N (default 60)"},
    {"chart", NULL, "draw them"},
    {NULL, NULL, NULL},
};

struct rows {
    struct candle *items;
    size_t count, cap;
};

static enum err_code collect(void *ctx, const struct candle *c, struct err *e)
{
    struct rows *r = ctx;
    if (r->count == CANDLES_LIMIT)
        return ERR(e, ERR_FULL, "more than %d candles; ask for a longer timeframe", CANDLES_LIMIT);
    if (r->count == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 256;
        r->items = realloc(r->items, r->cap * sizeof *r->items);
        CHECK(r->items != NULL);
    }
    r->items[r->count++] = *c;
    return ERR_OK;
}

static int by_time(const void *a, const void *b)
{
    const struct candle *x = a, *y = b;
    return (x->open_time_ns > y->open_time_ns) - (x->open_time_ns < y->open_time_ns);
}

static void cell(struct table_out *t, i128 value)
{
    char text[DEC_TEXT_MAX];
    dec_format_lake(value, text);
    table_cell(t, "%s", text);
}

static void print_table(const struct candle *c, size_t count, struct buf *out)
{
    static const char *const heads[] = {"open time", "open",   "high",     "low",     "close",
                                        "volume",    "trades", "revision", "complete"};
    struct table_out t;
    table_begin(&t, sizeof heads / sizeof heads[0]);
    for (size_t i = 0; i < t.columns; i++) table_cell(&t, "%s", heads[i]);
    for (size_t i = 0; i < count; i++) {
        char time[TIME_TEXT_MAX];
        time_format(c[i].open_time_ns, time);
        table_cell(&t, "%s", time);
        const i128 values[] = {c[i].open, c[i].high, c[i].low, c[i].close, c[i].base_volume};
        for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) cell(&t, values[k]);
        table_cell(&t, "%lld", (long long)c[i].trade_count);
        table_cell(&t, "%lld", (long long)c[i].revision);
        table_cell(&t, "%s", c[i].complete ? "yes" : "no");
    }
    table_print(&t, out);
}

static void print_json(const struct candle *c, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        char time[TIME_TEXT_MAX], text[DEC_TEXT_MAX];
        time_format(c[i].open_time_ns, time);
        buf_addf(out, "%s{\"open_time\":\"%s\"", i ? ",\n" : "[", time);
        const i128 values[] = {c[i].open, c[i].high, c[i].low, c[i].close, c[i].base_volume};
        const char *const names[] = {"open", "high", "low", "close", "base_volume"};
        for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
            dec_format_lake(values[k], text);
            buf_addf(out, ",\"%s\":\"%s\"", names[k], text);
        }
        buf_addf(out, ",\"trade_count\":%lld,\"revision\":%lld,\"complete\":%s}",
                 (long long)c[i].trade_count, (long long)c[i].revision,
                 c[i].complete ? "true" : "false");
    }
    buf_add_cstr(out, count ? "]\n" : "[]\n");
}

/* Row of a price, 0 on top. Only where to draw depends on it, so the division may be cut. */
static int row_of(i128 price, i128 low, i128 high)
{
    if (high == low) return CHART_ROWS / 2;
    i128 part = (high - price) * (CHART_ROWS - 1) / (high - low);
    return (int)part;
}

static const char *mark(const struct candle *c, int row, i128 low, i128 high)
{
    i128 top = c->open > c->close ? c->open : c->close,
         bottom = c->open > c->close ? c->close : c->open;
    if (row >= row_of(top, low, high) && row <= row_of(bottom, low, high))
        return c->close >= c->open ? "█" : "░";
    return row >= row_of(c->high, low, high) && row <= row_of(c->low, low, high) ? "│" : " ";
}

static void print_chart(const struct candle *c, size_t count, struct buf *out)
{
    i128 low = c[0].low, high = c[0].high;
    for (size_t i = 1; i < count; i++) {
        if (c[i].low < low) low = c[i].low;
        if (c[i].high > high) high = c[i].high;
    }
    for (int row = 0; row < CHART_ROWS; row++) {
        char price[DEC_TEXT_MAX] = "";
        if (row == 0) dec_format_lake(high, price);
        if (row == CHART_ROWS - 1) dec_format_lake(low, price);
        buf_addf(out, "%14s ", price);
        for (size_t i = 0; i < count; i++) buf_addf(out, "%s", mark(&c[i], row, low, high));
        buf_add_byte(out, '\n');
    }
    char from[TIME_TEXT_MAX], to[TIME_TEXT_MAX];
    time_format(c[0].open_time_ns, from);
    time_format(c[count - 1].open_time_ns, to);
    buf_addf(out, "%14s %s to %s, %zu candles  (█ up  ░ down)\n", "", from, to, count);
}

static int timeframe_wanted(const struct invocation *inv)
{
    return timeframe_of_text(str_of(option_text(inv, "timeframe", "1m")));
}

static enum err_code check_options(const struct invocation *inv, struct err *e)
{
    if (!option_given(inv, "venue") || !option_given(inv, "symbol"))
        return ERR(e, ERR_USAGE, "--venue and --symbol are needed");
    if (timeframe_wanted(inv) < 0)
        return ERR(e, ERR_USAGE, "--timeframe: expected 1s 1m 5m 15m 1h 4h or 1d");
    return ERR_OK;
}

static enum err_code read_rows(struct invocation *inv, struct local *l, struct rows *r,
                               struct err *e)
{
    const char *venue = option_text(inv, "venue", NULL), *symbol = option_text(inv, "symbol", NULL);
    int tf = timeframe_wanted(inv);
    TRY(lake_scan_candles(l->lake, str_of(venue), str_of(symbol), (enum timeframe)tf, 0, INT64_MAX,
                          collect, r, e));
    if (r->count == 0)
        return ERR(e, ERR_NOT_FOUND, "no %s candles of %s %s in this lake",
                   timeframe_text((enum timeframe)tf), venue, symbol);
    qsort(r->items, r->count, sizeof *r->items, by_time);
    return ERR_OK;
}

static int candles(struct invocation *inv)
{
    struct err e = {0};
    struct local local;
    struct rows r = {0};
    struct buf out;
    size_t last = (size_t)option_int(inv, "last", 60, 1, CANDLES_LIMIT);
    buf_init(&out, 256 << 20);
    enum err_code code = check_options(inv, &e);
    if (code == ERR_OK) code = local_open(inv->config, false, true, &local, &e);
    if (code != ERR_OK) return command_fail(inv, &e);
    code = read_rows(inv, &local, &r, &e);
    if (code == ERR_OK) {
        const struct candle *c = r.items + (r.count > last ? r.count - last : 0);
        size_t count = r.count > last ? last : r.count;
        if (inv->json)
            print_json(c, count, &out);
        else if (option_given(inv, "chart"))
            print_chart(c, count, &out);
        else
            print_table(c, count, &out);
    }
    free(r.items);
    local_close(&local);
    print_out(&out);
    return code == ERR_OK ? 0 : command_fail(inv, &e);
}

const struct command command_candles = {
    .name = "candles",
    .brief = "candles of a symbol, as a table, a chart or JSON",
    .summary = "Candles of a symbol from the lake, as a table, a chart in text, or JSON.",
    .arguments = "",
    .example = "  ticklake candles --venue binance --symbol BTC-USDT --timeframe 1s --chart\n"
               "  ticklake candles --venue kraken --symbol BTC-USD --last 5 --json",
    .options = options,
    .needs_config = true,
    .run = candles,
};
