/* The deduplication against a stupid reference: an array that says of every id whether it was seen. */
#include "source/dedup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { IDS = 600, GAPS = 4096, OPERATIONS = 3000 };
#define GRACE_NS (200 * NS_PER_MS)
#define START_NS INT64_C(1700000000000000000)

struct fixture {
    struct series_table *series;
    struct batch_pool *pool;
    struct batch *batch;
    struct dedup *d;
    struct gap ledger[GAPS]; /* by gap_id */
};

static struct dedup *new_dedup(struct fixture *f, uint32_t intervals_max)
{
    struct dedup_options o = {.series = f->series,
                              .gap_grace_ns = GRACE_NS,
                              .window_keys = 1024,
                              .intervals_max = intervals_max,
                              .next_gap_id = 1};
    return dedup_new(&o);
}

static void set_up(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->series = series_new();
    assert_int_equal(series_intern(f->series, STR("v"), STR("v"), STR("BTC-USDT"), STR("BTCUSDT")),
                     0);
    assert_int_equal(series_intern(f->series, STR("v"), STR("v"), STR("ETH-USDT"), STR("ETHUSDT")),
                     1);
    f->pool = batch_pool_new(2, 100000, 16 << 20);
    f->batch = batch_get(f->pool, -1);
    f->d = new_dedup(f, 100000);
}

static void tear_down(struct fixture *f)
{
    dedup_free(f->d);
    batch_put(f->batch);
    batch_pool_free(f->pool);
    series_free(f->series);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static struct trade trade_of(int64_t id, int64_t at_ns)
{
    return (struct trade){.series = 0,
                          .stream = STREAM_TRADE,
                          .has_id = true,
                          .id = id,
                          .price = {100 + id % 7, 0},
                          .size = {1, 0},
                          .side = SIDE_BUY,
                          .venue_time_ns = START_NS + id * NS_PER_MS,
                          .received_ns = at_ns};
}

static enum dedup_result feed(struct dedup *d, int64_t id, int64_t at_ns)
{
    struct trade t = trade_of(id, at_ns);
    return dedup_trade(d, 0, true, &t);
}

/* Puts the batch's gap rows into the ledger and the state into a new dedup, which goes on instead of the old one. */
static void restart(struct fixture *f, uint32_t intervals_max)
{
    assert_int_equal(dedup_flush(f->d, f->batch), ERR_OK);
    struct dedup *again = new_dedup(f, intervals_max);
    for (size_t i = 0; i < f->batch->dedup_count; i++) {
        struct dedup_state *s = &f->batch->dedup[i];
        /* Only the newest state of each tape stays in the store. */
        bool newest = true;
        for (size_t k = i + 1; k < f->batch->dedup_count; k++)
            if (f->batch->dedup[k].series == s->series && f->batch->dedup[k].stream == s->stream)
                newest = false;
        struct err e;
        if (newest)
            assert_int_equal(dedup_restore(again, s->series, s->stream, s->bytes, &e), ERR_OK);
    }
    for (int64_t i = 1; i < GAPS; i++) {
        if (f->ledger[i].gap_id == 0) continue;
        struct err e;
        assert_int_equal(dedup_restore_gap(again, &f->ledger[i], &e), ERR_OK);
    }
    assert_int_equal(dedup_next_gap_id(again), dedup_next_gap_id(f->d));
    dedup_free(f->d);
    f->d = again;
}

static void tell(struct fixture *f, int64_t clock_ns, bool at_end)
{
    size_t before = f->batch->gap_count;
    assert_int_equal(dedup_gaps(f->d, clock_ns, at_end, f->batch), ERR_OK);
    for (size_t i = before; i < f->batch->gap_count; i++) {
        const struct gap *g = &f->batch->gaps[i];
        assert_in_range(g->gap_id, 1, GAPS - 1);
        assert_true(g->state != GAP_STATE_OPEN || g->missing_count == g->to_id - g->from_id + 1);
        f->ledger[g->gap_id] = *g;
    }
}

/* ---- The reference ---- */

struct reference {
    bool seen[IDS];
    int64_t missed_ns[IDS]; /* receipt of the trade that jumped over it; 0 never */
    bool told[IDS];
    int64_t floor, newest, recovered;
};

static bool reference_take(struct reference *r, int64_t id, int64_t at_ns)
{
    if (r->seen[id]) return false;
    r->seen[id] = true;
    if (r->floor < 0) r->floor = r->newest = id;
    for (int64_t i = r->newest + 1; i < id; i++) r->missed_ns[i] = at_ns;
    if (id > r->newest) r->newest = id;
    if (r->told[id]) r->recovered++;
    return true;
}

static void reference_tell(struct reference *r, int64_t clock_ns, bool at_end)
{
    for (int64_t i = 0; i < IDS; i++)
        if (r->missed_ns[i] && !r->seen[i] && (at_end || clock_ns - r->missed_ns[i] >= GRACE_NS))
            r->told[i] = true;
}

static void compare(const struct fixture *f, const struct reference *r)
{
    bool open[IDS] = {false};
    int64_t recovered = 0;
    for (int64_t g = 1; g < GAPS; g++) {
        const struct gap *gap = &f->ledger[g];
        if (gap->gap_id == 0) continue;
        recovered += gap->rows_recovered;
        if (gap->state != GAP_STATE_OPEN) {
            assert_int_equal(gap->state, GAP_STATE_REPAIRED);
            assert_int_equal(gap->missing_count, 0);
            continue;
        }
        for (int64_t i = gap->from_id; i <= gap->to_id; i++) {
            assert_false(open[i]);
            open[i] = true;
        }
        assert_int_equal(gap->from_time_ns, START_NS + (gap->from_id - 1) * NS_PER_MS);
        assert_int_equal(gap->to_time_ns, START_NS + (gap->to_id + 1) * NS_PER_MS);
    }
    for (int64_t i = 0; i < IDS; i++) assert_int_equal(open[i], r->told[i] && !r->seen[i]);
    assert_int_equal(recovered, r->recovered);
}

static int64_t pick(uint64_t *random, const struct reference *r)
{
    uint64_t kind = next_random(random) % 10;
    if (r->floor < 0) return 100 + (int64_t)(next_random(random) % 50);
    if (kind < 5) return r->newest + 1 < IDS ? r->newest + 1 : r->newest;
    if (kind < 7) {
        int64_t id = r->newest + 2 + (int64_t)(next_random(random) % 6);
        return id < IDS ? id : IDS - 1;
    }
    int64_t id = r->newest - (int64_t)(next_random(random) % 40);
    return kind < 9 && id >= 0 ? id : (int64_t)(next_random(random) % IDS);
}

static void run_random(uint64_t seed, bool restarts, struct fixture *f)
{
    uint64_t random = seed, restart_random = seed * 77 + 1;
    static struct reference r;
    memset(&r, 0, sizeof r);
    r.floor = r.newest = -1;
    int64_t clock_ns = START_NS + NS_PER_S;
    for (int i = 0; i < OPERATIONS; i++) {
        clock_ns += (int64_t)(next_random(&random) % 30) * NS_PER_MS;
        int64_t id = pick(&random, &r);
        enum dedup_result got = feed(f->d, id, clock_ns);
        assert_int_equal(got, reference_take(&r, id, clock_ns) ? DEDUP_NEW : DEDUP_DUPLICATE);
        if (restarts && next_random(&restart_random) % 20 == 0) restart(f, 100000);
        if (i % 7 != 0) continue;
        tell(f, clock_ns, false);
        reference_tell(&r, clock_ns, false);
        compare(f, &r);
    }
    tell(f, clock_ns, true);
    reference_tell(&r, clock_ns, true);
    compare(f, &r);
}

static void test_random_against_reference(void **state)
{
    (void)state;
    static struct fixture calm, restarted;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        set_up(&calm);
        set_up(&restarted);
        run_random(seed * UINT64_C(0x9E3779B97F4A7C15), false, &calm);
        run_random(seed * UINT64_C(0x9E3779B97F4A7C15), true, &restarted);
        /* Whether and where it was interrupted shows nowhere. */
        assert_int_equal(calm.batch->gap_count, restarted.batch->gap_count);
        for (size_t i = 0; i < calm.batch->gap_count; i++) {
            calm.batch->gaps[i].cause = restarted.batch->gaps[i].cause = (struct str){0};
            assert_memory_equal(&calm.batch->gaps[i], &restarted.batch->gaps[i],
                                sizeof(struct gap));
        }
        tear_down(&calm);
        tear_down(&restarted);
    }
}

static void test_grace_and_repair(void **state)
{
    (void)state;
    static struct fixture f;
    set_up(&f);
    int64_t t = START_NS;
    assert_int_equal(feed(f.d, 10, t), DEDUP_NEW);
    assert_int_equal(feed(f.d, 9, t), DEDUP_NEW); /* below the floor: a trade, no gap */
    assert_int_equal(feed(f.d, 5, t), DEDUP_NEW);
    assert_int_equal(feed(f.d, 20, t), DEDUP_NEW);
    tell(&f, t + GRACE_NS - 1, false);
    assert_int_equal(f.batch->gap_count, 0);
    tell(&f, t + GRACE_NS, false);
    assert_int_equal(f.batch->gap_count, 1);
    assert_int_equal(f.ledger[1].from_id, 11);
    assert_int_equal(f.ledger[1].to_id, 19);
    assert_int_equal(feed(f.d, 15, t + NS_PER_S), DEDUP_NEW);
    restart(&f, 100000);
    tell(&f, t + NS_PER_S, false);
    assert_int_equal(f.ledger[1].to_id, 14);
    assert_int_equal(f.ledger[2].from_id, 16);
    for (int64_t id = 11; id < 15; id++) assert_int_equal(feed(f.d, id, t), DEDUP_NEW);
    restart(&f, 100000);
    tell(&f, t + 2 * NS_PER_S, false);
    assert_int_equal(f.ledger[1].state, GAP_STATE_REPAIRED);
    assert_int_equal(f.ledger[1].rows_recovered, 5);
    assert_int_equal(f.ledger[1].from_id, 11);
    assert_int_equal(f.ledger[1].to_id, 19);
    assert_int_equal(f.ledger[1].closed_ns, t + 2 * NS_PER_S);
    assert_int_equal(f.ledger[2].state, GAP_STATE_OPEN);
    tear_down(&f);
}

static void test_conflict(void **state)
{
    (void)state;
    static struct fixture f;
    set_up(&f);
    for (int64_t id = 1; id <= 50; id++) assert_int_equal(feed(f.d, id, START_NS), DEDUP_NEW);
    struct trade t = trade_of(50, START_NS);
    t.price.digits++;
    assert_int_equal(dedup_trade(f.d, 0, true, &t), DEDUP_CONFLICT);
    restart(&f, 100000);
    assert_int_equal(dedup_trade(f.d, 1, true, &t), DEDUP_CONFLICT);
    assert_int_equal(feed(f.d, 50, START_NS), DEDUP_DUPLICATE);
    t.id = 1; /* out of the window of contents: the id alone decides */
    assert_int_equal(dedup_trade(f.d, 0, true, &t), DEDUP_DUPLICATE);
    /* Ids that are not consecutive, numbers and texts. */
    t = trade_of(7, START_NS);
    assert_int_equal(dedup_trade(f.d, 0, false, &t), DEDUP_NEW);
    assert_int_equal(dedup_trade(f.d, 0, false, &t), DEDUP_DUPLICATE);
    t.size.digits = 2;
    assert_int_equal(dedup_trade(f.d, 0, false, &t), DEDUP_CONFLICT);
    t.id_text = STR("7a");
    assert_int_equal(dedup_trade(f.d, 0, true, &t), DEDUP_NEW);
    assert_int_equal(dedup_trade(f.d, 0, true, &t), DEDUP_DUPLICATE);
    tear_down(&f);
}

static void test_epoch(void **state)
{
    (void)state;
    static struct fixture f;
    set_up(&f);
    for (int64_t id = 5001; id <= 5010; id++) assert_int_equal(feed(f.d, id, START_NS), DEDUP_NEW);
    struct trade t = trade_of(3, START_NS);
    t.venue_time_ns = START_NS + NS_PER_DAY; /* a relisting: low ids, a day later */
    assert_int_equal(dedup_trade(f.d, 0, true, &t), DEDUP_NEW);
    t.id = 4;
    assert_int_equal(dedup_trade(f.d, 0, true, &t), DEDUP_NEW);
    restart(&f, 100000);
    assert_int_equal(dedup_trade(f.d, 0, true, &t), DEDUP_DUPLICATE);
    assert_int_equal(feed(f.d, 5010, START_NS), DEDUP_DUPLICATE); /* of the epoch before */
    assert_int_equal(feed(f.d, 5012, START_NS), DEDUP_NEW);
    t.id = 6;
    assert_int_equal(dedup_trade(f.d, 0, true, &t), DEDUP_NEW);
    tell(&f, START_NS + NS_PER_DAY, false);
    assert_int_equal(f.batch->gap_count, 2);
    assert_int_equal(f.ledger[1].from_id, 5011);
    assert_int_equal(f.ledger[2].from_id, 5);
    tear_down(&f);
}

static void test_extremes(void **state)
{
    (void)state;
    static struct fixture f;
    set_up(&f);
    const int64_t ids[] = {0, INT64_MAX - 2, INT64_MAX - 1, INT64_MAX, -1, INT64_MIN, 1};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct trade t = trade_of(0, START_NS);
        t.id = ids[i];
        assert_int_equal(dedup_trade(f.d, 0, true, &t), DEDUP_NEW);
        assert_int_equal(dedup_trade(f.d, 0, true, &t), DEDUP_DUPLICATE);
    }
    tell(&f, START_NS, true);
    assert_int_equal(f.ledger[1].from_id, 2);
    assert_int_equal(f.ledger[1].to_id, INT64_MAX - 3);
    restart(&f, 100000);
    assert_int_equal(feed(f.d, 0, START_NS), DEDUP_DUPLICATE);
    tear_down(&f);
}

static void test_given_up(void **state)
{
    (void)state;
    static struct fixture f;
    set_up(&f);
    dedup_free(f.d);
    f.d = new_dedup(&f, 4);
    int64_t missing = 0;
    for (int64_t id = 10; id < 40; id += 2) assert_int_equal(feed(f.d, id, START_NS), DEDUP_NEW);
    restart(&f, 4);
    tell(&f, START_NS + NS_PER_S, false);
    int unrepairable = 0, open = 0;
    for (int i = 1; i < GAPS; i++) {
        if (!f.ledger[i].gap_id) continue;
        missing += f.ledger[i].missing_count;
        unrepairable += f.ledger[i].state == GAP_STATE_UNREPAIRABLE;
        open += f.ledger[i].state == GAP_STATE_OPEN;
    }
    assert_int_equal(missing, 14); /* every missing id is in the ledger, whatever was forgotten */
    assert_int_equal(open, 3);
    assert_int_equal(unrepairable, 11);
    assert_int_equal(feed(f.d, 11, START_NS), DEDUP_DUPLICATE);
    assert_int_equal(feed(f.d, 37, START_NS), DEDUP_NEW);
    tear_down(&f);
}

static enum dedup_result print(struct dedup *d, uint32_t connection, int64_t price, int *ordinal)
{
    struct trade t = {.price = {price, 1}, .size = {5, 0}, .venue_time_ns = START_NS};
    enum dedup_result got = dedup_trade(d, connection, false, &t);
    *ordinal = t.ordinal;
    return got;
}

static void test_prints_without_ids(void **state)
{
    (void)state;
    static struct fixture f;
    set_up(&f);
    int n;
    /* Two identical prints on one connection are two trades; the other connection brings them again, and a third. */
    assert_int_equal(print(f.d, 0, 7, &n), DEDUP_NEW);
    assert_int_equal(n, 0);
    assert_int_equal(print(f.d, 1, 7, &n), DEDUP_DUPLICATE);
    assert_int_equal(print(f.d, 0, 7, &n), DEDUP_NEW);
    assert_int_equal(n, 1);
    assert_int_equal(print(f.d, 1, 7, &n), DEDUP_DUPLICATE);
    assert_int_equal(print(f.d, 1, 7, &n), DEDUP_NEW);
    assert_int_equal(n, 2);
    assert_int_equal(print(f.d, 0, 7, &n), DEDUP_DUPLICATE);
    assert_int_equal(print(f.d, 0, 8, &n), DEDUP_NEW);
    dedup_connection(f.d, 0); /* it comes back and repeats what it sent */
    for (int i = 0; i < 3; i++) assert_int_equal(print(f.d, 0, 7, &n), DEDUP_DUPLICATE);
    assert_int_equal(print(f.d, 0, 7, &n), DEDUP_NEW);
    assert_int_equal(n, 3);
    /* Far more keys than the window: the newest are known, the oldest are forgotten. */
    for (int64_t p = 100; p < 100100; p++) assert_int_equal(print(f.d, 0, p, &n), DEDUP_NEW);
    for (int64_t p = 100099; p > 90000; p--)
        assert_int_equal(print(f.d, 1, p, &n), DEDUP_DUPLICATE);
    assert_int_equal(print(f.d, 0, 8, &n), DEDUP_NEW);
    tear_down(&f);
}

static void test_outage(void **state)
{
    (void)state;
    static struct fixture f;
    set_up(&f);
    assert_int_equal(
        dedup_outage(f.d, 1, STREAM_TRADE, START_NS, START_NS + 5, STR("disconnect"), f.batch),
        ERR_OK);
    const struct gap *g = &f.batch->gaps[0];
    assert_int_equal(g->gap_id, 1);
    assert_int_equal(g->kind, GAP_OUTAGE);
    assert_false(g->has_count || g->has_ids);
    assert_true(str_is(g->cause, "disconnect"));
    assert_int_equal(dedup_next_gap_id(f.d), 2);
    /* One that lasts, over a restart: the same row gets its end. */
    assert_int_equal(
        dedup_outage(f.d, 1, STREAM_QUOTE, START_NS + 7, TIME_ABSENT, STR("disconnect"), f.batch),
        ERR_OK);
    assert_int_equal(f.batch->gaps[1].to_time_ns, TIME_ABSENT);
    f.ledger[2] = f.batch->gaps[1];
    restart(&f, 100000);
    assert_int_equal(
        dedup_outage(f.d, 1, STREAM_QUOTE, START_NS + 8, TIME_ABSENT, STR("start"), f.batch),
        ERR_OK);
    assert_int_equal(f.batch->gap_count, 2);
    assert_int_equal(
        dedup_outage(f.d, 1, STREAM_QUOTE, START_NS + 9, START_NS + 10, STR("start"), f.batch),
        ERR_OK);
    g = &f.batch->gaps[2];
    assert_int_equal(g->gap_id, 2);
    assert_int_equal(g->from_time_ns, START_NS + 7);
    assert_int_equal(g->to_time_ns, START_NS + 10);
    assert_true(str_is(g->cause, "disconnect"));
    assert_int_equal(dedup_next_gap_id(f.d), 3);
    tear_down(&f);
}

/* A full batch in the middle of telling: the next call goes on where this one ended. */
static void test_full_batch(void **state)
{
    (void)state;
    static struct fixture f;
    set_up(&f);
    struct batch_pool *small = batch_pool_new(1, 3, 1 << 20);
    for (int64_t id = 0; id < 20; id += 2) assert_int_equal(feed(f.d, id, START_NS), DEDUP_NEW);
    int64_t told = 0;
    for (enum err_code code = ERR_FULL; code == ERR_FULL;) {
        struct batch *b = batch_get(small, -1);
        code = dedup_gaps(f.d, START_NS + NS_PER_S, false, b);
        for (size_t i = 0; i < b->gap_count; i++) assert_int_equal(b->gaps[i].gap_id, ++told);
        assert_int_equal(dedup_flush(f.d, b), ERR_OK);
        batch_put(b);
    }
    assert_int_equal(told, 9);
    batch_pool_free(small);
    tear_down(&f);
}

static void test_hostile_state(void **state)
{
    (void)state;
    static struct fixture f;
    set_up(&f);
    for (int64_t id = 3; id < 90; id += 3) assert_int_equal(feed(f.d, id, START_NS), DEDUP_NEW);
    tell(&f, START_NS + NS_PER_S, false);
    assert_int_equal(feed(f.d, 4, START_NS), DEDUP_NEW);
    assert_int_equal(feed(f.d, 5, START_NS), DEDUP_NEW);
    assert_int_equal(dedup_flush(f.d, f.batch), ERR_OK);
    struct str good = f.batch->dedup[0].bytes;
    struct err e;
    char *bytes = malloc(good.n);
    assert_non_null(bytes);
    uint64_t random = 42;
    for (size_t cut = 0; cut < good.n; cut++) {
        struct dedup *d = new_dedup(&f, 100);
        assert_int_equal(dedup_restore(d, 0, 0, (struct str){good.p, cut}, &e), ERR_CORRUPT);
        assert_non_null(strstr(e.text, "BTC-USDT"));
        dedup_free(d);
    }
    for (int i = 0; i < 3000; i++) {
        memcpy(bytes, good.p, good.n);
        for (int k = 0; k < 3; k++)
            bytes[next_random(&random) % good.n] = (char)next_random(&random);
        struct dedup *d = new_dedup(&f, 100);
        if (dedup_restore(d, 0, 0, (struct str){bytes, good.n}, &e) == ERR_OK) {
            feed(d, (int64_t)(next_random(&random) % 100), START_NS);
            assert_int_equal(dedup_gaps(d, INT64_MAX, true, f.batch), ERR_OK);
        }
        dedup_free(d);
        batch_clear(f.batch);
        assert_int_equal(dedup_flush(f.d, f.batch), ERR_OK);
    }
    assert_int_equal(dedup_restore(f.d, 99, 0, STR(""), &e), ERR_CORRUPT);
    free(bytes);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_against_reference),
        cmocka_unit_test(test_grace_and_repair),
        cmocka_unit_test(test_conflict),
        cmocka_unit_test(test_epoch),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_prints_without_ids),
        cmocka_unit_test(test_outage),
        cmocka_unit_test(test_full_batch),
        cmocka_unit_test(test_hostile_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
