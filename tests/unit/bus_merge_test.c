/* The merge of trades and gaps: against a publisher that writes by the rules of bus_internal.h, and the order in which it did. */
#include "bus/merge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { RECORDS = 400, ROUNDS = 3000 };

static uint64_t seed;
static uint32_t dice(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

/* One published record; `order` is its place among all of both topics. */
struct record {
    int64_t offset, after;
    int order, transaction;
};
struct topic {
    struct record records[RECORDS];
    int count;
    int64_t end;                 /* offset behind everything, markers included */
    int64_t newest, told;        /* as the publisher's lanes */
    bool first;                  /* of the transaction */
    int64_t stable[RECORDS * 2]; /* ends after each transaction */
};
struct published {
    struct topic topics[MERGE_LANES];
    int total, transactions;
};

/* What stands in the log without being a record: markers, records of aborted transactions. */
static void leave_out(struct topic *t) { t->end += dice(4); }

static void publish(struct published *p)
{
    *p = (struct published){0};
    for (int k = 0; k < MERGE_LANES; k++) p->topics[k].newest = p->topics[k].told = -1;
    int wanted = 1 + (int)dice(RECORDS);
    while (p->total < wanted) {
        int size = 1 + (int)dice(40);
        for (int k = 0; k < MERGE_LANES; k++) {
            leave_out(&p->topics[k]);
            p->topics[k].told = -1;
        }
        while (size-- && p->total < wanted) {
            int k = dice(10) < 7 ? MERGE_TRADES : MERGE_GAPS;
            struct topic *t = &p->topics[k], *other = &p->topics[1 - k];
            struct record *r = &t->records[t->count++];
            *r = (struct record){t->end++, -1, p->total++, p->transactions};
            if (other->newest != t->told) r->after = t->told = other->newest;
            t->newest = r->offset;
        }
        for (int k = 0; k < MERGE_LANES; k++) {
            p->topics[k].end++; /* the marker */
            p->topics[k].stable[p->transactions] = p->topics[k].end;
        }
        p->transactions++;
    }
}

/* A reader that sees each topic up to some transaction, not the same one in both, and later more. */
struct view {
    int at[MERGE_LANES];   /* next record */
    int seen[MERGE_LANES]; /* transactions visible */
    bool told_end[MERGE_LANES];
};

static void show(const struct published *p, struct view *v, struct merge *m)
{
    for (int k = 0; k < MERGE_LANES; k++) {
        const struct topic *t = &p->topics[k];
        int64_t stable = v->seen[k] ? t->stable[v->seen[k] - 1] : 0;
        if (m->lanes[k].head >= 0) continue;
        if (v->at[k] < t->count && t->records[v->at[k]].offset < stable)
            merge_head(m, (enum merge_lane_id)k, t->records[v->at[k]].offset,
                       t->records[v->at[k]].after);
        else if (v->told_end[k])
            merge_end(m, (enum merge_lane_id)k, stable);
    }
}

static void see_more(const struct published *p, struct view *v)
{
    int k = (int)dice(MERGE_LANES);
    v->told_end[k] = dice(2);
    if (dice(2) && v->seen[k] < p->transactions) {
        v->seen[k]++;
        v->told_end[k] = false;
    }
}

/* Reads on from a place in the order, or from the oldest that retention kept of each topic. */
static void read_all(const struct published *p, int from, bool retention)
{
    struct view v = {0};
    struct merge m;
    int expected = from, order = from, cut = -1; /* the transaction that retention cut */
    for (int k = 0; k < MERGE_LANES; k++) {
        const struct topic *t = &p->topics[k];
        while (v.at[k] < t->count && t->records[v.at[k]].order < from) v.at[k]++;
    }
    if (retention) { /* each topic has lost its own */
        int lost = (int)dice((uint32_t)(p->topics[MERGE_GAPS].count - v.at[MERGE_GAPS] + 1));
        v.at[MERGE_GAPS] += lost;
        if (lost) cut = p->topics[MERGE_GAPS].records[v.at[MERGE_GAPS] - 1].transaction;
        merge_begin(&m, -1, -1);
    } else {
        int64_t next[MERGE_LANES];
        for (int k = 0; k < MERGE_LANES; k++)
            next[k] = v.at[k] ? p->topics[k].records[v.at[k] - 1].offset + 1 : 0;
        merge_begin(&m, next[MERGE_TRADES], next[MERGE_GAPS]);
    }
    int left = 0, idle = 0;
    for (int k = 0; k < MERGE_LANES; k++) left += p->topics[k].count - v.at[k];
    while (left > 0) {
        show(p, &v, &m);
        enum merge_lane_id k = merge_pick(&m);
        if (k == MERGE_WAIT) {
            see_more(p, &v);
            assert_true(++idle < 100000);
            continue;
        }
        idle = 0;
        const struct record *r = &p->topics[k].records[v.at[k]++];
        if (!retention) {
            assert_int_equal(r->order, expected);
            expected++;
        }
        /* Its headers are gone with the records that had them; those of the next transaction tell all. */
        assert_true(r->transaction <= cut || r->order >= order);
        if (r->transaction > cut) order = r->order;
        merge_take(&m, k);
        left--;
    }
    assert_int_equal(m.contradictions, 0);
}

static void test_published_order(void **state)
{
    (void)state;
    static struct published p;
    for (int i = 0; i < ROUNDS; i++) {
        seed = (uint64_t)i * 7919 + 1;
        publish(&p);
        read_all(&p, 0, false);
        read_all(&p, (int)dice((uint32_t)p.total), false);
        read_all(&p, 0, true);
    }
}

/* Heads of others: whatever they say, every record comes, in the order of its own topic. */
static void test_any_headers(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct merge m;
        int64_t taken[MERGE_LANES] = {0};
        seed = (uint64_t)i * 104729 + 3;
        merge_begin(&m, 0, 0);
        for (int n = 0; n < 100; n++) {
            for (int k = 0; k < MERGE_LANES; k++)
                if (m.lanes[k].head < 0)
                    merge_head(&m, (enum merge_lane_id)k, taken[k], (int64_t)dice(200) - 20);
            enum merge_lane_id k = merge_pick(&m);
            assert_true(k != MERGE_WAIT); /* two heads are never both kept waiting */
            assert_int_equal(m.lanes[k].head, taken[k]);
            merge_take(&m, k);
            taken[k]++;
        }
    }
}

static void test_waiting(void **state)
{
    (void)state;
    struct merge m;
    merge_begin(&m, 0, -1);
    merge_head(&m, MERGE_TRADES, 5, 3);
    assert_int_equal(merge_pick(&m), MERGE_WAIT); /* nothing is known of the gaps */
    merge_end(&m, MERGE_GAPS, 3);
    assert_int_equal(merge_pick(&m), MERGE_WAIT);
    merge_end(&m, MERGE_GAPS, 4); /* 3 was a marker, or is gone */
    assert_int_equal(merge_pick(&m), MERGE_TRADES);
    merge_take(&m, MERGE_TRADES);
    assert_int_equal(m.lanes[MERGE_TRADES].next, 6);
    merge_head(&m, MERGE_GAPS, 9, 7);
    assert_int_equal(merge_pick(&m), MERGE_WAIT);
    merge_release(&m, MERGE_GAPS);
    assert_int_equal(merge_pick(&m), MERGE_GAPS);
    merge_end(&m, MERGE_TRADES, 2); /* an end that is older than what was read */
    assert_int_equal(m.lanes[MERGE_TRADES].next, 6);
}

static void test_header(void **state)
{
    (void)state;
    assert_int_equal(merge_after((struct str){"\0\0\0\0\0\0\1\2", 8}), 258);
    assert_true(merge_after((struct str){"\x7f\xff\xff\xff\xff\xff\xff\xff", 8}) == INT64_MAX);
    assert_int_equal(merge_after((struct str){"\x80\0\0\0\0\0\0\0", 8}), -1);
    assert_int_equal(merge_after((struct str){"\0\0\0\0\0\0\1", 7}), -1);
    assert_int_equal(merge_after((struct str){NULL, 0}), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_order),
        cmocka_unit_test(test_any_headers),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
