/* What others brought, in the deduplication of a source that starts again: against an array that says of every id whether it
 * was seen, and a ledger. */
#include "simulate/simulate_internal.h"
#include "source/dedup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { IDS = 400, GAPS = 4096 };
#define START_NS INT64_C(1700000000000000000)

struct fixture {
    struct series_table *series;
    struct batch_pool *pool;
    struct batch *batch;
    struct dedup *d;
    struct gap ledger[GAPS]; /* by gap_id */
    bool seen[IDS];
};

static struct dedup *new_dedup(struct fixture *f, int64_t next_gap_id)
{
    const struct dedup_options o = {.series = f->series,
                                    .gap_grace_ns = 0,
                                    .window_keys = 1024,
                                    .intervals_max = 4096,
                                    .next_gap_id = next_gap_id};
    return dedup_new(&o);
}

static void open_fixture(struct fixture *f)
{
    *f = (struct fixture){.series = series_new(), .pool = batch_pool_new(1, 8192, 8 << 20)};
    assert_int_equal(series_intern(f->series, STR("v"), STR("v"), STR("A-B"), STR("ab")), 0);
    f->batch = batch_get(f->pool, -1);
    f->d = new_dedup(f, 1);
}

static void close_fixture(struct fixture *f)
{
    dedup_free(f->d);
    batch_put(f->batch);
    batch_pool_free(f->pool);
    series_free(f->series);
}

static enum dedup_result push(struct fixture *f, int64_t id, enum origin origin)
{
    struct trade t = {.series = 0,
                      .stream = STREAM_TRADE,
                      .has_id = true,
                      .id = id,
                      .origin = (uint8_t)origin,
                      .price = dec_normal(1, 0),
                      .size = dec_normal(1, 0),
                      .venue_time_ns = START_NS + id * NS_PER_MS,
                      .received_ns = START_NS + id * NS_PER_MS};
    return dedup_trade(f->d, 0, true, &t);
}

static void tell_gaps(struct fixture *f)
{
    assert_int_equal(dedup_gaps(f->d, START_NS + NS_PER_HOUR, true, f->batch), ERR_OK);
    for (size_t i = 0; i < f->batch->gap_count; i++) {
        const struct gap *g = &f->batch->gaps[i];
        assert_true(g->gap_id > 0 && g->gap_id < GAPS);
        f->ledger[g->gap_id] = *g;
    }
    batch_clear(f->batch);
}

/* A guest stores [first, last] and takes it out of the ledger's open gaps, as backfill_gaps.c does. */
static void bring(struct fixture *f, int64_t first, int64_t last, int64_t *next_gap_id)
{
    for (int64_t id = first; id <= last; id++) f->seen[id] = true;
    for (int64_t k = 1; k < *next_gap_id; k++) {
        struct gap *g = &f->ledger[k];
        if (!g->gap_id || g->state != GAP_STATE_OPEN || g->from_id > last || g->to_id < first)
            continue;
        struct gap whole = *g;
        bool lower = whole.from_id<first, upper = whole.to_id> last;
        if (!lower && !upper) g->state = GAP_STATE_REPAIRED;
        if (lower) g->to_id = first - 1;
        if (!lower && upper) g->from_id = last + 1;
        if (!lower || !upper) continue;
        struct gap *more = &f->ledger[*next_gap_id];
        *more = whole;
        more->gap_id = (*next_gap_id)++;
        more->from_id = last + 1;
    }
}

static void check_ledger(struct fixture *f, int64_t floor, int64_t top)
{
    for (int64_t id = floor; id <= top; id++) {
        int open = 0;
        for (int k = 1; k < GAPS; k++) {
            const struct gap *g = &f->ledger[k];
            open += g->gap_id && g->state == GAP_STATE_OPEN && g->from_id <= id && id <= g->to_id;
        }
        assert_int_equal(open, !f->seen[id]);
    }
}

/* State of the running one, as the store has it; then a new one that is told what was brought. */
static void restart(struct fixture *f, const struct id_range *brought, size_t count,
                    int64_t next_gap_id)
{
    assert_int_equal(dedup_flush(f->d, f->batch), ERR_OK);
    struct dedup *again = new_dedup(f, next_gap_id);
    struct err e = {0};
    for (size_t i = 0; i < f->batch->dedup_count; i++) {
        const struct dedup_state *s = &f->batch->dedup[i];
        assert_int_equal(dedup_restore(again, s->series, s->stream, s->bytes, &e), ERR_OK);
    }
    for (size_t i = 0; i < count; i++) dedup_brought(again, &brought[i]);
    for (int64_t k = 1; k < next_gap_id; k++)
        if (f->ledger[k].gap_id && f->ledger[k].state == GAP_STATE_OPEN)
            assert_int_equal(dedup_restore_gap(again, &f->ledger[k], &e), ERR_OK);
    dedup_free(f->d);
    f->d = again;
    batch_clear(f->batch);
}

static void one_history(uint64_t seed)
{
    static struct fixture f;
    struct id_range brought[8];
    uint64_t random = seed;
    int64_t top = 0, floor = -1;
    open_fixture(&f);
    for (int64_t id = 100; id < 250; id++) {
        if (id > 100 && sim_random(&random) % 3 == 0) continue;
        assert_int_equal(push(&f, id, ORIGIN_LIVE), DEDUP_NEW);
        f.seen[id] = true;
        if (floor < 0) floor = id;
        top = id;
    }
    tell_gaps(&f);
    check_ledger(&f, floor, top);
    int64_t next_gap_id = dedup_next_gap_id(f.d);
    for (int i = 0; i < 8; i++) {
        int64_t first = (int64_t)(sim_random(&random) % 260);
        int64_t last = first + (int64_t)(sim_random(&random) % 15);
        brought[i] =
            (struct id_range){.series = 0, .stream = STREAM_TRADE, .first = first, .last = last};
        bring(&f, first, last, &next_gap_id);
        if (last > top) top = last;
    }
    restart(&f, brought, 8, next_gap_id);
    tell_gaps(&f); /* what is missing between its own newest and what was brought behind it */
    check_ledger(&f, floor, top);
    for (int64_t id = 0; id <= top; id++) {
        bool old = f.seen[id];
        if (sim_random(&random) % 2) continue;
        assert_int_equal(push(&f, id, ORIGIN_LIVE), old ? DEDUP_DUPLICATE : DEDUP_NEW);
        f.seen[id] = true;
    }
    tell_gaps(&f);
    check_ledger(&f, floor, top);
    close_fixture(&f);
}

static void test_brought(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) one_history(seed);
}

static void test_history_sets_no_floor(void **state)
{
    static struct fixture f;
    (void)state;
    open_fixture(&f);
    push(&f, 10, ORIGIN_BACKFILLED);
    push(&f, 20, ORIGIN_BACKFILLED);
    tell_gaps(&f);
    assert_int_equal(dedup_next_gap_id(f.d), 1);
    restart(&f, NULL, 0, 1); /* a state without a floor can be kept */
    assert_int_equal(push(&f, 30, ORIGIN_LIVE), DEDUP_NEW);
    assert_int_equal(push(&f, 15, ORIGIN_BACKFILLED), DEDUP_NEW);
    tell_gaps(&f);
    assert_int_equal(dedup_next_gap_id(f.d), 1);
    push(&f, 33, ORIGIN_LIVE);
    tell_gaps(&f);
    assert_int_equal(dedup_next_gap_id(f.d), 2);
    assert_int_equal(f.ledger[1].from_id, 31);
    assert_int_equal(push(&f, 10, ORIGIN_BACKFILLED), DEDUP_DUPLICATE);
    dedup_give_up(f.d, 0, STREAM_TRADE, 31, 32);
    tell_gaps(&f);
    assert_int_equal(f.ledger[1].state, GAP_STATE_UNREPAIRABLE);
    assert_true(str_is(f.ledger[1].cause, "not_at_venue"));
    close_fixture(&f);
}

static void test_absorbed(void **state)
{
    static struct fixture f;
    struct err e = {0};
    (void)state;
    open_fixture(&f);
    for (int64_t id = 5; id < 50; id += id % 7 ? 1 : 3) push(&f, id, ORIGIN_LIVE);
    assert_int_equal(dedup_flush(f.d, f.batch), ERR_OK);
    struct dedup *guest = new_dedup(&f, 1), *owner = f.d;
    struct str bytes = f.batch->dedup[0].bytes;
    assert_int_equal(dedup_absorb(guest, 0, STREAM_TRADE, bytes, &e), ERR_OK);
    assert_int_equal(dedup_absorb(guest, 0, STREAM_TRADE, bytes, &e),
                     ERR_OK); /* another writer's */
    bytes.n--;
    assert_int_equal(dedup_absorb(guest, 0, STREAM_TRADE, bytes, &e), ERR_CORRUPT);
    for (int64_t id = 0; id < 60; id++) {
        f.d = owner;
        enum dedup_result wanted = push(&f, id, ORIGIN_BACKFILLED);
        f.d = guest;
        assert_int_equal(push(&f, id, ORIGIN_BACKFILLED), wanted);
    }
    assert_int_equal(dedup_gaps(guest, START_NS + NS_PER_HOUR, true, f.batch), ERR_OK);
    assert_int_equal(f.batch->gap_count, 0);
    f.d = owner;
    dedup_free(guest);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_brought),
        cmocka_unit_test(test_history_sets_no_floor),
        cmocka_unit_test(test_absorbed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
