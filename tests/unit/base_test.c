/* The vocabulary: exact decimals, times, buffers, maps, rings, against known answers and a stupid reference. */
#include "base/arena.h"
#include "base/dec.h"
#include "base/map.h"
#include "base/ring.h"
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t seed = 42;
static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void assert_dec(const char *token, int64_t digits, int scale)
{
    struct dec d = {0};
    assert_int_equal(dec_parse(str_of(token), &d), ERR_OK);
    assert_int_equal(d.digits, digits);
    assert_int_equal(d.scale, scale);
}

static void test_dec_parse(void **state)
{
    (void)state;
    assert_dec("61837.63000000", 6183763, 2);
    assert_dec("0", 0, 0);
    assert_dec("-0.000", 0, 0);
    assert_dec("6.255e-5", 6255, 8);
    assert_dec("1E3", 1000, 0);
    assert_dec("2.2e3", 2200, 0);
    assert_dec("1.0e0", 1, 0);
    assert_dec("+5", 5, 0);
    assert_dec("-12.5", -125, 1);
    assert_dec("0.057999039999999995", INT64_C(57999039999999995), 18);
    assert_dec("1.3086942400000001", INT64_C(13086942400000001), 16);
    assert_dec("999999999999999999", INT64_C(999999999999999999), 0);
    assert_dec("0.000000000000000001", 1, 18);
    assert_dec("100000000000000000.0000000000000000000000000", INT64_C(100000000000000000), 0);
    assert_dec("1.500000000000000000000000000000", 15, 1);
    assert_dec("1500e-2", 15, 0);
}

static void test_dec_refuses(void **state)
{
    (void)state;
    struct dec d;
    const char *const bad[] = {"",    ".",    "-",  "1.2.3", "1e", "1e+",
                               "NaN", "0x10", " 1", "1 ",    "1,5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(dec_parse(str_of(bad[i]), &d), ERR_PARSE);
    const char *const inexact[] = {
        "1234567890123456789",   "0.0000000000000000001", "1e18",        "1e-19",
        "1.2345678901234567891", "1e999999999",           "1e-999999999"};
    for (size_t i = 0; i < sizeof inexact / sizeof inexact[0]; i++)
        assert_int_equal(dec_parse(str_of(inexact[i]), &d), ERR_INEXACT);
    assert_int_equal(dec_parse(STR("0e999999999"), &d), ERR_OK);
}

/* Format and parse are inverse; the lake's form keeps order and value. */
static void test_dec_round_trip(void **state)
{
    (void)state;
    struct dec last = {0, 0};
    for (int i = 0; i < 200000; i++) {
        int64_t digits = (int64_t)(next_random() % UINT64_C(1000000000000000000));
        for (int cut = (int)(next_random() % 19); cut > 0; cut--) digits /= 10;
        struct dec d = dec_normal(i % 2 ? digits : -digits, (int)(next_random() % 19)), back, lake;
        char text[DEC_TEXT_MAX], wide[DEC_TEXT_MAX];
        size_t n = dec_format(d, text);
        assert_int_equal(dec_parse((struct str){text, n}, &back), ERR_OK);
        assert_true(dec_eq(d, back));
        assert_int_equal(dec_from_lake(dec_to_lake(d), &lake), ERR_OK);
        assert_true(dec_eq(d, lake));
        dec_format_lake(dec_to_lake(d), wide);
        assert_string_equal(text, wide);
        i128 parsed;
        assert_int_equal(dec_parse_lake((struct str){text, n}, &parsed), ERR_OK);
        assert_true(parsed == dec_to_lake(d));
        i128 x = dec_to_lake(d), y = dec_to_lake(last);
        assert_int_equal(dec_cmp(d, last), (x > y) - (x < y));
        last = d;
    }
    struct dec d;
    i128 e18 = dec_pow10_i64(18);
    assert_int_equal(dec_from_lake(e18 * (e18 - 1), &d), ERR_OK);
    assert_true(d.digits == (int64_t)(e18 - 1) && d.scale == 0);
    assert_int_equal(dec_from_lake(e18 * e18, &d), ERR_INEXACT);
    assert_int_equal(dec_from_lake(e18 * 10 + 1, &d), ERR_INEXACT);
    assert_int_equal(dec_from_lake(-e18 * (e18 - 1) - 1, &d), ERR_INEXACT);
    assert_int_equal(dec_from_lake(-5, &d), ERR_OK);
    assert_true(d.digits == -5 && d.scale == 18);
    assert_int_equal(dec_from_lake(0, &d), ERR_OK);
    assert_true(d.digits == 0 && d.scale == 0);
}

static void test_time(void **state)
{
    (void)state;
    int64_t ns;
    char text[TIME_TEXT_MAX];
    assert_int_equal(time_parse_iso(STR("2026-09-06T03:55:54.366000+00:00"), &ns), ERR_OK);
    time_format(ns, text);
    assert_string_equal(text, "2026-09-06T03:55:54.366Z");
    assert_int_equal(time_parse_iso(STR("1969-12-31T23:59:59.5Z"), &ns), ERR_OK);
    assert_int_equal(ns, -NS_PER_S / 2);
    assert_int_equal(time_day(ns), -1);
    assert_int_equal(time_parse_iso(STR("2024-02-29 00:00:00"), &ns), ERR_OK);
    assert_int_equal(time_parse_iso(STR("2023-02-29 00:00:00"), &ns), ERR_PARSE);
    assert_int_equal(time_parse_iso(STR("0001-01-01T00:00:00.000000Z"), &ns), ERR_INEXACT);
    assert_int_equal(time_parse_iso(STR("2024-01-01T00:00:00+02:00"), &ns), ERR_OK);
    time_format(ns, text);
    assert_string_equal(text, "2023-12-31T22:00:00Z");
    assert_int_equal(time_parse_decimal(STR("1618678132.368463"), NS_PER_S, &ns), ERR_OK);
    assert_int_equal(ns, INT64_C(1618678132368463000));
    assert_int_equal(time_parse_decimal(STR("1606292218213.4578"), NS_PER_MS, &ns), ERR_OK);
    assert_int_equal(ns, INT64_C(1606292218213457800));
    assert_int_equal(time_parse_decimal(STR("1.0000000001"), NS_PER_S, &ns), ERR_INEXACT);
    assert_int_equal(time_parse_decimal(STR("99999999999"), NS_PER_S, &ns), ERR_INEXACT);
    for (int i = 0; i < 100000; i++) {
        int64_t any =
            (int64_t)(next_random() % UINT64_C(8000000000000000000)) - INT64_C(1000000000000000000);
        size_t n = time_format(any, text);
        int64_t back = 0;
        assert_int_equal(time_parse_iso((struct str){text, n}, &back), ERR_OK);
        assert_int_equal(back, any);
    }
}

static void test_buf(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_add_cstr(&b, "12345");
    buf_addf(&b, "%s", "67890");
    assert_false(b.failed);
    assert_string_equal(buf_cstr(&b), "1234567890");
    buf_add_byte(&b, '1');
    assert_true(b.failed);
    buf_free(&b);
    buf_init(&b, 1000);
    buf_add_json(&b, (struct str){"a\"\\\n\xff\xc3\xa4", 7});
    assert_string_equal(buf_cstr(&b), "\"a\\\"\\\\\\u000a\\u00ff\xc3\xa4\"");
    buf_free(&b);
}

static void test_map(void **state)
{
    (void)state;
    struct map m;
    map_init(&m, 5000);
    for (uint32_t i = 0; i < 5000; i++) {
        char key[16];
        int n = snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(map_put(&m, (struct str){key, (size_t)n}, i), i);
    }
    for (uint32_t i = 0; i < 5000; i++) {
        char key[16];
        int n = snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(map_get(&m, (struct str){key, (size_t)n}), i);
    }
    assert_int_equal(map_get(&m, STR("absent")), MAP_NONE);
    assert_int_equal(map_put(&m, STR("one too many"), 1), MAP_FULL);
    assert_int_equal(map_put(&m, STR("k7"), 99), 99);
    map_free(&m);
}

static void test_arena(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    size_t taken = 0;
    while (arena_alloc(&a, 1000)) taken++;
    assert_int_equal(taken, (1 << 20) / 1008);
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 500000));
    assert_null(arena_alloc(&a, (1 << 20)));
    arena_free(&a);
}

static void test_str(void **state)
{
    (void)state;
    int64_t v;
    assert_int_equal(str_to_i64(STR("-9223372036854775808"), &v), ERR_OK);
    assert_true(v == INT64_MIN);
    assert_int_equal(str_to_i64(STR("9223372036854775808"), &v), ERR_PARSE);
    assert_int_equal(str_to_i64(STR("-"), &v), ERR_PARSE);
    struct str rest = STR("a,b,,c");
    assert_true(str_is(str_cut(&rest, ','), "a"));
    assert_true(str_is(str_cut(&rest, ','), "b"));
    assert_true(str_is(str_cut(&rest, ','), ""));
    assert_true(str_is(str_cut(&rest, ','), "c"));
    assert_int_equal(rest.n, 0);
    assert_int_equal(str_distance(STR("comit_ms"), STR("commit_ms")), 1);
}

static void test_ring(void **state)
{
    (void)state;
    struct ring *r = ring_new(2);
    int a, b;
    assert_true(ring_push(r, &a, 0));
    assert_true(ring_push(r, &b, 0));
    assert_false(ring_push(r, &a, 0));
    assert_ptr_equal(ring_pop(r, 0), &a);
    ring_close(r);
    assert_false(ring_push(r, &a, -1));
    assert_ptr_equal(ring_pop(r, -1), &b);
    assert_null(ring_pop(r, -1));
    ring_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dec_parse),
        cmocka_unit_test(test_dec_refuses),
        cmocka_unit_test(test_dec_round_trip),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_buf),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_str),
        cmocka_unit_test(test_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
