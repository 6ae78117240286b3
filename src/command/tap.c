/* tap: events as they become durable, from the store's tail; works beside a running program. */
#include "command/local.h"
#include "event/json.h"
#include "io/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { POLL_MS = 50, BATCH_EVENTS = 16384, BATCH_BYTES = 32 << 20 };

static const struct option options[] = {
    {"from", "SEQUENCE", "begin after this sequence (default: the newest; 0: the oldest kept)"},
    {"count", "N", "end after N events"},
    {"venue", "NAME", "only of this venue"},
    {"symbol", "SYMBOL", "only of this symbol"},
    {NULL, NULL, NULL},
};

static atomic_bool stopping;

static void stop(void *ctx)
{
    (void)ctx;
    atomic_store(&stopping, true);
}

static uint32_t series_of(const struct batch *b, struct event_ref ref)
{
    switch ((enum event_type)ref.type) {
    case EVENT_TRADE: return b->trades[ref.index].series;
    case EVENT_QUOTE: return b->quotes[ref.index].series;
    case EVENT_GAP: return b->gaps[ref.index].series;
    case EVENT_VENUE_CANDLE: return b->candles[ref.index].c.series;
    case EVENT_DEAD: break;
    }
    return SERIES_NONE;
}

static bool wanted(const struct invocation *inv, const struct local *l, uint32_t series)
{
    const char *venue = option_text(inv, "venue", NULL), *symbol = option_text(inv, "symbol", NULL);
    if (!venue && !symbol) return true;
    if (series == SERIES_NONE) return false;
    const struct series *s = series_get(l->series, series);
    return (!venue || str_is(s->venue, venue)) && (!symbol || str_is(s->symbol, symbol));
}

static void show(const struct invocation *inv, const struct local *l, const struct batch *b,
                 int64_t *left)
{
    struct buf out;
    buf_init(&out, 256 << 20);
    for (size_t i = 0; i<b->event_count && * left> 0; i++) {
        if (!wanted(inv, l, series_of(b, b->order[i]))) continue;
        event_json(b, b->order[i], l->series, &out);
        buf_add_byte(&out, '\n');
        (*left)--;
    }
    print_out(&out);
}

static enum err_code follow(struct invocation *inv, struct local *l, int64_t after, int64_t left,
                            struct err *e)
{
    if (after < 0) after = store_tail_mark(l->tail);
    struct batch_pool *pool = batch_pool_new(1, BATCH_EVENTS, BATCH_BYTES);
    struct batch *b = batch_get(pool, 0);
    enum err_code code = ERR_OK;
    while (code == ERR_OK && left > 0 && !atomic_load(&stopping) && !ferror(stdout)) {
        bool end = false;
        batch_clear(b);
        code = store_tail_read(l->tail, after, INT64_MAX, b, &end, e);
        if (code != ERR_OK) break;
        if (b->last_sequence > after) {
            show(inv, l, b, &left);
            after = b->last_sequence;
        } else {
            clock_sleep_ns(POLL_MS * NS_PER_MS);
        }
    }
    batch_put(b);
    batch_pool_free(pool);
    return code;
}

static int tap(struct invocation *inv)
{
    struct err e = {0};
    struct local local;
    int64_t after = option_int(inv, "from", -1, 0, INT64_MAX);
    int64_t left = option_int(inv, "count", INT64_MAX, 1, INT64_MAX);
    command_signals_block();
    enum err_code code = local_open(inv->config, true, false, &local, &e);
    if (code != ERR_OK) return command_fail(inv, &e);
    code = command_signals_start(stop, NULL, &e);
    if (code == ERR_OK) code = follow(inv, &local, after, left, &e);
    local_close(&local);
    return code == ERR_OK ? 0 : command_fail(inv, &e);
}

const struct command command_tap = {
    .name = "tap",
    .brief = "events as they become durable",
    .summary =
        "Events as they become durable, one JSON object a line; beside a running program or not.",
    .arguments = "",
    .example = "  ticklake tap --data ./data --symbol BTC-USDT\n"
               "  ticklake tap --from 0 --count 10 | jq .price",
    .options = options,
    .needs_config = true,
    .run = tap,
};
