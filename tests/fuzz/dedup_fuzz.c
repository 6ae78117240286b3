/* The deduplication: hostile stored states, and sequences of operations against an array of what was seen.
 *
 * Input     first byte even: the rest is a stored state. Odd: operations, two bytes each.
 */
#include "source/dedup.h"

#include <stdlib.h>

enum { IDS = 256, LEDGER = 4096 };
#define GRACE_NS (100 * NS_PER_MS)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct series_table *series;
static struct batch_pool *pool;

static struct dedup *fresh(void)
{
    if (!series) {
        series = series_new();
        CHECK(series_intern(series, STR("v"), STR("v"), STR("A-B"), STR("AB")) == 0);
        pool = batch_pool_new(1, 1 << 16, 8 << 20);
    }
    struct dedup_options o = {.series = series,
                              .gap_grace_ns = GRACE_NS,
                              .window_keys = 16,
                              .intervals_max = 100000,
                              .next_gap_id = 1};
    return dedup_new(&o);
}

static struct trade trade_of(int64_t id, int64_t now_ns)
{
    return (struct trade){.has_id = true,
                          .id = id,
                          .price = {id + 1, 0},
                          .size = {1, 0},
                          .venue_time_ns = 1000 + id,
                          .received_ns = now_ns};
}

static void hostile(const uint8_t *data, size_t size)
{
    struct dedup *d = fresh();
    struct batch *b = batch_get(pool, -1);
    struct err e;
    if (dedup_restore(d, 0, 0, (struct str){(const char *)data, size}, &e) == ERR_OK) {
        for (int64_t id = 0; id < 64; id++) {
            struct trade t = trade_of(id * 3, id);
            if (dedup_trade(d, 0, true, &t) != DEDUP_NEW) continue;
            CHECK(dedup_trade(d, 0, true, &t) == DEDUP_DUPLICATE);
        }
        enum err_code code = dedup_gaps(d, INT64_MAX, true, b);
        CHECK(code == ERR_OK || code == ERR_FULL);
        CHECK(dedup_flush(d, b) == ERR_OK);
        struct dedup *again = fresh(); /* what we write of it can be read */
        CHECK(dedup_restore(again, 0, 0, b->dedup[0].bytes, &e) == ERR_OK);
        dedup_free(again);
    }
    batch_put(b);
    dedup_free(d);
}

struct model {
    bool seen[IDS], told[IDS];
    int64_t missed_ns[IDS], newest, floor;
    struct gap ledger[LEDGER];
};

static bool model_take(struct model *m, int64_t id, int64_t now_ns)
{
    if (m->seen[id]) return false;
    m->seen[id] = true;
    if (m->floor < 0) m->floor = m->newest = id;
    for (int64_t i = m->newest + 1; i < id; i++) m->missed_ns[i] = now_ns + 1;
    if (id > m->newest) m->newest = id;
    return true;
}

static void model_tell(struct model *m, struct dedup *d, struct batch *b, int64_t now_ns)
{
    size_t from = b->gap_count;
    if (dedup_gaps(d, now_ns, false, b) != ERR_OK) return;
    for (size_t i = from; i < b->gap_count; i++)
        if (b->gaps[i].gap_id < LEDGER) m->ledger[b->gaps[i].gap_id] = b->gaps[i];
    bool open[IDS] = {false};
    for (int64_t g = 1; g < LEDGER; g++) {
        const struct gap *gap = &m->ledger[g];
        if (gap->gap_id == 0 || gap->state != GAP_STATE_OPEN) continue;
        for (int64_t i = gap->from_id; i <= gap->to_id; i++) {
            CHECK(!open[i]);
            open[i] = true;
        }
    }
    for (int64_t i = 0; i < IDS; i++) {
        if (m->missed_ns[i] && !m->seen[i] && now_ns - (m->missed_ns[i] - 1) >= GRACE_NS)
            m->told[i] = true;
        CHECK(open[i] == (m->told[i] && !m->seen[i]));
    }
}

static struct dedup *restart(struct dedup *d, struct batch *b)
{
    struct err e;
    CHECK(dedup_flush(d, b) == ERR_OK);
    struct dedup *again = fresh();
    if (b->dedup_count)
        CHECK(dedup_restore(again, 0, 0, b->dedup[b->dedup_count - 1].bytes, &e) == ERR_OK);
    dedup_free(d);
    return again;
}

static void operations(const uint8_t *data, size_t size)
{
    static struct model m;
    memset(&m, 0, sizeof m);
    m.floor = m.newest = -1;
    struct dedup *d = fresh();
    struct batch *b = batch_get(pool, -1);
    int64_t now_ns = 0;
    if (size > 2000) size = 2000;
    for (size_t i = 0; i + 1 < size; i += 2) {
        now_ns += (data[i] >> 4) * 10 * NS_PER_MS;
        if ((data[i] & 15) == 0) {
            d = restart(d, b);
        } else if ((data[i] & 15) == 1) {
            model_tell(&m, d, b, now_ns);
        } else {
            struct trade t = trade_of(data[i + 1], now_ns);
            enum dedup_result got = dedup_trade(d, 0, true, &t);
            CHECK(got == (model_take(&m, t.id, now_ns) ? DEDUP_NEW : DEDUP_DUPLICATE));
        }
    }
    model_tell(&m, d, b, now_ns);
    batch_put(b);
    dedup_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    if (data[0] & 1)
        operations(data + 1, size - 1);
    else
        hostile(data + 1, size - 1);
    return 0;
}
