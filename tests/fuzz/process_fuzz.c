/* Hostile states and hostile streams through process/. Input: three lines of state (tape, rollup, gaps; empty: none), then
 * records of 16 bytes, each an event. What comes out must hold together: high and low around open and close, windows in
 * order, nothing told twice. */
#include "event/series.h"
#include "process/process.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RECORD = 16, EVENTS_MAX = 400 };

struct watch {
    int64_t newest_ns[TIMEFRAME_MAX];
};

static void on_candle(void *ctx, const struct candle *c)
{
    struct watch *w = ctx;
    CHECK(c->high >= c->open && c->high >= c->close && c->low <= c->open && c->low <= c->close);
    CHECK(c->trade_count > 0 && c->open_time_ns % timeframe_ns((enum timeframe)c->timeframe) == 0);
    CHECK(c->open_time_ns > w->newest_ns[c->timeframe]);
    w->newest_ns[c->timeframe] = c->open_time_ns;
}
static void on_late(void *ctx, const struct late_trade *l)
{
    (void)ctx;
    CHECK(l->timeframes != 0 && l->timeframes < 1u << TIMEFRAME_MAX);
}
static void on_rollup(void *ctx, uint32_t series, enum timeframe tf, int64_t open_time_ns)
{
    struct watch *w = ctx;
    CHECK(series == 0 && open_time_ns > w->newest_ns[tf]);
    w->newest_ns[tf] = open_time_ns;
}
static void on_gap(void *ctx, const struct gap_change *g)
{
    (void)ctx;
    CHECK(g->from_ns <= g->to_ns);
}
static void on_state(void *ctx, struct str name, struct str bytes)
{
    (void)ctx, (void)name, (void)bytes;
}

/* The writer's own rows are taken as they are; a sum that never was cannot keep high above low. */
static bool restored(struct process *p, struct str *rest)
{
    const char *const names[] = {"tape/v/S", "rollup/v/S", "gaps/v/S"};
    struct err e;
    bool any = false;
    for (int i = 0; i < 3; i++) {
        struct str line = str_cut(rest, '\n');
        if (line.n == 0) continue;
        any = true;
        enum err_code code = process_restore(p, str_of(names[i]), line, &e);
        CHECK(code == ERR_OK || code == ERR_CORRUPT || code == ERR_VERSION);
    }
    process_rebuild_upto(p, 0);
    return any;
}

static int64_t number_of(const uint8_t *record, int bytes)
{
    int64_t v = 0;
    for (int i = 0; i < bytes; i++) v = v << 8 | record[i];
    return v;
}

static void add_trade(struct batch *b, const uint8_t *r, int64_t time_ns)
{
    struct trade *t = batch_add_trade(b);
    t->side = r[1] % SIDE_MAX;
    t->stream = r[1] & 64 ? STREAM_BLOCK_TRADE : STREAM_TRADE;
    t->has_id = r[1] & 32;
    t->id = r[2];
    t->price = dec_normal(number_of(r + 3, 1 + r[2] % 7), r[0] % 19);
    t->size = dec_normal(number_of(r + 8, 1 + r[3] % 7), r[1] % 19);
    t->venue_time_ns = r[1] & 128 ? TIME_ABSENT : time_ns;
    t->received_ns = r[0] & 128 ? time_ns - number_of(r + 4, 5) : time_ns;
}

static void add_gap(struct batch *b, const uint8_t *r, int64_t time_ns)
{
    struct gap *g = batch_add_gap(b);
    g->gap_id = r[1] % 8;
    g->stream = r[2] % 2 ? STREAM_TRADE : STREAM_QUOTE;
    g->state = r[3] % GAP_STATE_MAX;
    g->from_time_ns = time_ns - number_of(r + 4, 5);
    g->to_time_ns = r[9] & 1 ? TIME_ABSENT : time_ns;
}

static void play(struct process *p, struct str rest, const struct process_sink *sink)
{
    struct batch_pool *pool = batch_pool_new(1, 16, 4096);
    struct batch *b = batch_get(pool, 0);
    struct err e;
    int64_t time_ns = INT64_C(1723161255) * NS_PER_S;
    for (int i = 0; i < EVENTS_MAX && rest.n >= RECORD; i++) {
        const uint8_t *r = (const uint8_t *)rest.p;
        rest = (struct str){rest.p + RECORD, rest.n - RECORD};
        time_ns += (number_of(r + 10, 6) - (INT64_C(1) << 45)) >> (r[9] % 16);
        if (r[0] % 16 == 1)
            add_gap(b, r, time_ns);
        else if (r[0] % 16 == 2)
            process_tick(p, time_ns, sink);
        else
            add_trade(b, r, time_ns);
        batch_number(b, i + 1);
        CHECK(process_push(p, b, sink, &e) == ERR_OK);
        process_flush_state(p, sink);
        batch_clear(b);
    }
    process_finish(p, sink);
    batch_put(b);
    batch_pool_free(pool);
}

static void ignore_candle(void *ctx, const struct candle *c) { (void)ctx, (void)c; }
static void ignore_rollup(void *ctx, uint32_t series, enum timeframe tf, int64_t open_time_ns)
{
    (void)ctx, (void)series, (void)tf, (void)open_time_ns;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = {(const char *)data, size};
    struct series_table *series = series_new();
    series_intern(series, STR("v"), STR("v"), STR("S"), STR("s"));
    struct process_options o = {series, 2 * NS_PER_S, 5 * NS_PER_S, 4};
    struct process *p = process_new(&o);
    struct watch w;
    for (int i = 0; i < TIMEFRAME_MAX; i++) w.newest_ns[i] = INT64_MIN;
    struct process_sink sink = {&w, on_candle, on_late, on_rollup, on_gap, on_state};
    if (restored(p, &rest)) { /* a state that was made up keeps no promise but to be handled */
        sink.candle = ignore_candle;
        sink.rollup_from_lake = ignore_rollup;
    }
    play(p, rest, &sink);
    process_free(p);
    series_free(series);
    return 0;
}
