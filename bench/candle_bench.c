/* candle_bench: trades/s by CPU of process_push on a generated, sorted market.
 *
 *   candle_bench [--json] [--trades N] [--rate R] [--venues V] [--symbols S] [--seed X]
 * R: trades a second and symbol. Batches are filled before the clock starts, so that only process_push is measured; the sink
 * counts and adds up. Best of three passes, since other programs may run beside. */
#include "event/series.h"
#include "process/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BATCH = 65536, PASSES = 3, LOT = 16 };

struct market {
    struct series_table *series;
    int64_t tapes, rate, seed, trades;
    uint64_t random;
    int64_t now_ns, made, *price, *next_id;
};

struct tally {
    int64_t candles, seconds;
    u128 sum; /* of the quote volumes of 1m: shows that two runs did the same */
};

static void on_candle(void *ctx, const struct candle *c)
{
    struct tally *t = ctx;
    t->candles++;
    if (c->timeframe == TIMEFRAME_1S) t->seconds++;
    if (c->timeframe == TIMEFRAME_1M) t->sum += (u128)c->quote_volume;
}
static void on_late(void *ctx, const struct late_trade *l) { (void)ctx, (void)l; }
static void on_rollup(void *ctx, uint32_t series, enum timeframe tf, int64_t open_time_ns)
{
    (void)ctx, (void)series, (void)tf, (void)open_time_ns;
}
static void on_gap(void *ctx, const struct gap_change *g) { (void)ctx, (void)g; }
static void on_state(void *ctx, struct str name, struct str bytes)
{
    (void)ctx, (void)name, (void)bytes;
}

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static uint64_t next_random(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static void market_start(struct market *m)
{
    m->random = (uint64_t)m->seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    m->now_ns = INT64_C(1723161255) * NS_PER_S;
    m->made = 0;
    for (int64_t i = 0; i < m->tapes; i++) {
        m->price[i] = 100000 + (int64_t)(next_random(&m->random) % 6000000);
        m->next_id[i] = 1;
    }
}

static void make_trade(struct market *m, struct batch *b)
{
    uint64_t r = next_random(&m->random);
    int64_t tape = (int64_t)((r >> 40) % (uint64_t)m->tapes);
    struct trade *t = batch_add_trade(b);
    m->now_ns += 2 * (int64_t)((uint64_t)NS_PER_S / (uint64_t)(m->rate * m->tapes)) *
                 (int64_t)(r & 1023) / 1023;
    m->price[tape] += (int64_t)(r >> 10 & 15) - 7;
    if (m->price[tape] < 100) m->price[tape] = 100;
    t->series = (uint32_t)tape;
    t->side = (r >> 14 & 1) ? SIDE_BUY : SIDE_SELL;
    t->has_id = true;
    t->id = m->next_id[tape]++;
    t->price = dec_normal(m->price[tape], 2);
    t->size = dec_normal(1 + (int64_t)(r >> 15 & 0xfffff), 5);
    t->venue_time_ns = m->now_ns;
    t->received_ns = m->now_ns + 5 * NS_PER_MS;
    m->made++;
}

static void fill(struct market *m, struct batch *b)
{
    int64_t first = m->made + 1;
    while (!batch_is_full(b) && m->made < m->trades) make_trade(m, b);
    batch_number(b, first);
}

static int64_t pass(struct market *m, struct batch_pool *pool, struct tally *tally)
{
    struct process_options o = {m->series, 2 * NS_PER_S, 5 * NS_PER_S, (uint32_t)m->tapes};
    struct process_sink sink = {tally, on_candle, on_late, on_rollup, on_gap, on_state};
    struct process *p = process_new(&o);
    struct err e = {0};
    int64_t spent = 0;
    market_start(m);
    while (m->made < m->trades) {
        struct batch *lot[LOT];
        int count = 0;
        for (; count < LOT && m->made < m->trades; count++)
            fill(m, lot[count] = batch_get(pool, 0));
        int64_t start = cpu_ns();
        for (int i = 0; i < count; i++) CHECK(process_push(p, lot[i], &sink, &e) == ERR_OK);
        if (m->made == m->trades) process_finish(p, &sink);
        spent += cpu_ns() - start;
        for (int i = 0; i < count; i++) batch_put(lot[i]);
    }
    process_free(p);
    return spent;
}

static int64_t option(int argc, char **argv, const char *name, int64_t otherwise)
{
    int64_t v = otherwise;
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0 &&
            (str_to_i64(str_of(argv[i + 1]), &v) != ERR_OK || v <= 0)) {
            fprintf(stderr, "candle_bench: %s %s: expected a positive number\n", name, argv[i + 1]);
            exit(64);
        }
    return v;
}

static void report(const struct market *m, int64_t best_ns, const struct tally *t, bool json)
{
    int64_t per_second = (int64_t)((i128)m->trades * NS_PER_S / best_ns);
    int64_t ns_x10 = best_ns * 10 / m->trades;
    unsigned long long check = (unsigned long long)(uint64_t)t->sum;
    if (json)
        printf(
            "{\"bench\":\"candles\",\"tapes\":%lld,\"rate\":%lld,\"trades\":%lld,\"candles\":%lld,"
            "\"seconds\":%lld,\"cpu_ns\":%lld,\"trades_per_cpu_second\":%lld,\"check\":\"%016llx\"}"
            "\n",
            (long long)m->tapes, (long long)m->rate, (long long)m->trades, (long long)t->candles,
            (long long)t->seconds, (long long)best_ns, (long long)per_second, check);
    else
        printf("candles: %lld tapes at %lld trades/s each: %lld trades, %lld candles (%lld of 1s), "
               "%lld trades/s CPU, %lld.%lld ns a trade, check %016llx\n",
               (long long)m->tapes, (long long)m->rate, (long long)m->trades, (long long)t->candles,
               (long long)t->seconds, (long long)per_second, (long long)(ns_x10 / 10),
               (long long)(ns_x10 % 10), check);
}

int main(int argc, char **argv)
{
    bool json = false;
    for (int i = 1; i < argc; i++) json |= strcmp(argv[i], "--json") == 0;
    int64_t venues = option(argc, argv, "--venues", 4),
            symbols = option(argc, argv, "--symbols", 50);
    struct market m = {.series = series_new(),
                       .tapes = venues * symbols,
                       .rate = option(argc, argv, "--rate", 10),
                       .seed = option(argc, argv, "--seed", 1),
                       .trades = option(argc, argv, "--trades", 10000000)};
    m.price = calloc((size_t)m.tapes, sizeof *m.price);
    m.next_id = calloc((size_t)m.tapes, sizeof *m.next_id);
    CHECK(m.price != NULL && m.next_id != NULL);
    for (int64_t i = 0; i < m.tapes; i++) {
        char venue[32], symbol[32];
        snprintf(venue, sizeof venue, "venue%lld", (long long)(i / symbols));
        snprintf(symbol, sizeof symbol, "S%lld-USDT", (long long)(i % symbols));
        series_intern(m.series, str_of(venue), str_of(venue), str_of(symbol), str_of(symbol));
    }
    struct batch_pool *pool = batch_pool_new(LOT, BATCH, 1 << 16);
    int64_t best_ns = INT64_MAX;
    struct tally tally;
    for (int i = 0; i < PASSES; i++) {
        tally = (struct tally){0};
        int64_t ns = pass(&m, pool, &tally);
        if (ns < best_ns) best_ns = ns;
    }
    report(&m, best_ns, &tally, json);
    batch_pool_free(pool);
    series_free(m.series);
    free(m.price);
    free(m.next_id);
    return 0;
}
