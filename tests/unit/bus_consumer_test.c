/* The pure parts of the consumer: clocks of position records, names out of keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus/consumer_internal.h"

#include <cmocka.h>

enum { RECORDS = 1000, PARTITIONS = 3 };

static uint64_t seed = 5;
static uint32_t dice(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % n;
}

static struct bus_position_record record_of(int i, const int64_t *trades, const int64_t *gaps)
{
    struct bus_position_record r = {.partitions = PARTITIONS, .number = i};
    r.position.clock_ns = i * 1000;
    r.position.finishes = i / 100;
    memcpy(r.trades_end, trades, PARTITIONS * sizeof *trades);
    memcpy(r.gaps_end, gaps, PARTITIONS * sizeof *gaps);
    return r;
}

/* A reader some way behind: the clock is true, never goes back, and is the newest one once all is read. */
static void clocks_at_lag(int lag)
{
    static struct bus_position_record all[RECORDS];
    int64_t trades[PARTITIONS] = {0}, gaps[PARTITIONS] = {0};
    struct clocks k = {.entries = malloc((CLOCKS_MAX + 1) * sizeof *k.entries)};
    struct clock_seen seen[PARTITIONS] = {{.offset = -1}, {.offset = -1}, {.offset = -1}};
    for (int i = 0; i < RECORDS + lag; i++) {
        if (i < RECORDS) {
            for (int p = 0; p < PARTITIONS; p++) {
                trades[p] += dice(3);
                gaps[p] += dice(10) == 0;
            }
            all[i] = record_of(i, trades, gaps);
            clocks_add(&k, 2 * i, &all[i]);
            assert_true(k.count <= CLOCKS_MAX);
        }
        if (i < lag) continue;
        k.unneeded = INT64_MAX;
        for (int p = 0; p < PARTITIONS; p++) {
            int64_t next_trades = all[i - lag].trades_end[p], next_gaps = all[i - lag].gaps_end[p];
            struct clock_seen before = seen[p];
            clocks_find(&k, p, next_trades, next_gaps, &seen[p]);
            if (seen[p].offset < k.unneeded) k.unneeded = seen[p].offset;
            assert_true(seen[p].offset >= before.offset);
            if (seen[p].offset < 0) continue;
            const struct bus_position_record *r = &all[seen[p].offset / 2];
            assert_true(r->trades_end[p] <= next_trades && r->gaps_end[p] <= next_gaps);
            assert_int_equal(seen[p].clock_ns, r->position.clock_ns);
            assert_int_equal(seen[p].finishes, r->position.finishes);
            if (lag < CLOCKS_MAX - 1) assert_true(seen[p].offset >= 2 * (i - lag));
        }
    }
    for (int p = 0; p < PARTITIONS; p++) assert_int_equal(seen[p].offset, 2 * (RECORDS - 1));
    free(k.entries);
}

static void test_clocks(void **state)
{
    (void)state;
    const int lags[] = {0, 1, 15, 63, 64, 200, 900};
    for (size_t i = 0; i < sizeof lags / sizeof lags[0]; i++) clocks_at_lag(lags[i]);
}

/* A record of a publisher with fewer partitions says nothing about the others. */
static void test_clock_of_other_partitions(void **state)
{
    (void)state;
    struct clocks k = {.entries = malloc((CLOCKS_MAX + 1) * sizeof *k.entries)};
    int64_t none[PARTITIONS] = {0};
    struct bus_position_record r = record_of(7, none, none);
    struct clock_seen seen = {.offset = -1};
    r.partitions = 1;
    clocks_add(&k, 0, &r);
    clocks_find(&k, 1, 100, 100, &seen);
    assert_int_equal(seen.offset, -1);
    clocks_find(&k, 0, 0, 0, &seen);
    assert_int_equal(seen.clock_ns, 7000);
    free(k.entries);
}

static void names_are(struct str key, const char *venue, const char *symbol)
{
    struct str v, s;
    record_names(key, &v, &s);
    assert_true(str_is(v, venue) && str_is(s, symbol));
}

static void test_names(void **state)
{
    (void)state;
    names_are(STR("binance:BTC-USDT"), "binance", "BTC-USDT");
    names_are(STR("binance"), "binance", "");
    names_are(STR("a:b:c"), "a", "b:c");
    names_are(STR(""), "", "");
    names_are((struct str){NULL, 0}, "", "");
    names_are(STR("a\nb:c"), "", "");
    names_are(STR("\xff:x"), "", "");
    char longer[400];
    memset(longer, 'x', sizeof longer);
    names_are((struct str){longer, sizeof longer}, "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_clock_of_other_partitions),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
