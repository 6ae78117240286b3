/* numeric's binary form: there and back, against a stupid reader of it, and hostile bytes. */
/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "store/store_pg.h"

#include <stdio.h>

static uint64_t state = 42;
static uint64_t next(void)
{
    uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ z >> 31;
}

/* Writes every digit of every group as the documentation of numeric_send has it. */
static void plain_text(const uint8_t *p, size_t n, char *to, size_t size)
{
    int count = p[0] << 8 | p[1], weight = (int16_t)(p[2] << 8 | p[3]), at = 0;
    assert_int_equal(n, 8 + 2 * (size_t)count);
    if (p[4] == 0x40) at += snprintf(to + at, size - (size_t)at, "-");
    for (int k = weight < 0 ? weight : 0; k <= (weight < 0 ? -1 : weight); k++) {
        int i = weight < 0 ? -1 : k;
        int group = i >= 0 && i < count ? p[8 + 2 * i] << 8 | p[9 + 2 * i] : 0;
        if (weight >= 0) at += snprintf(to + at, size - (size_t)at, "%04d", group);
    }
    if (weight < 0) at += snprintf(to + at, size - (size_t)at, "0");
    at += snprintf(to + at, size - (size_t)at, ".");
    for (int k = -1; k >= -5; k--) { /* power of 10000 */
        int i = weight - k;
        int group = i >= 0 && i < count ? p[8 + 2 * i] << 8 | p[9 + 2 * i] : 0;
        at += snprintf(to + at, size - (size_t)at, "%04d", group);
    }
}

static void check_dec(struct dec d)
{
    uint8_t bytes[STORE_PG_NUMERIC_MAX];
    size_t n = store_pg_numeric(d, bytes);
    struct dec back;
    assert_int_equal(store_pg_numeric_get((struct str){(char *)bytes, n}, &back), ERR_OK);
    assert_true(dec_eq(back, d));
    char text[128];
    i128 v;
    plain_text(bytes, n, text, sizeof text);
    assert_int_equal(dec_parse_lake(str_of(text), &v), ERR_OK);
    assert_true(v == dec_to_lake(d));
}

static void there_and_back(void **ctx)
{
    (void)ctx;
    for (int i = 0; i < 200000; i++) {
        uint64_t r = next();
        int64_t digits = (int64_t)(next() >> 1) % dec_pow10_i64(1 + (int)(r % 18));
        if (r >> 20 & 1) digits -= digits % dec_pow10_i64((int)((r >> 24) % 18));
        check_dec(dec_normal(r >> 10 & 1 ? -digits : digits, (int)((r >> 30) % 19)));
    }
    check_dec(dec_normal(0, 0));
    check_dec(dec_normal(999999999999999999, 0));
    check_dec(dec_normal(-999999999999999999, 18));
    check_dec(dec_normal(1, 18));
    check_dec(dec_normal(10000, 0));
}

static void lake_there_and_back(void **ctx)
{
    (void)ctx;
    const i128 limit = (i128)dec_pow10_u128(38);
    for (int i = 0; i < 200000; i++) {
        uint64_t r = next();
        u128 big = (u128)next() << 64 | next();
        i128 v = (i128)(big % dec_pow10_u128(1 + (int)(r % 38)));
        if (r >> 10 & 1) v = -v;
        if (r >> 11 & 1) v -= v % (i128)dec_pow10_u128((int)((r >> 16) % 30));
        if (i == 0) v = limit - 1;
        if (i == 1) v = 1 - limit;
        uint8_t bytes[STORE_PG_NUMERIC_MAX];
        size_t n = store_pg_numeric_lake(v, bytes);
        i128 back;
        assert_int_equal(store_pg_numeric_get_lake((struct str){(char *)bytes, n}, &back), ERR_OK);
        assert_true(back == v);
        char text[128];
        plain_text(bytes, n, text, sizeof text);
        assert_int_equal(dec_parse_lake(str_of(text), &back), ERR_OK);
        assert_true(back == v);
    }
}

/* Whatever a socket brings gives a value of the range or a refusal. */
static void hostile(void **ctx)
{
    (void)ctx;
    for (int i = 0; i < 300000; i++) {
        uint8_t bytes[64];
        size_t n = (size_t)(next() % sizeof bytes);
        for (size_t k = 0; k < n; k++) bytes[k] = (uint8_t)next();
        if (n > 8 && next() % 2) {
            bytes[0] = 0;
            bytes[1] = (uint8_t)((n - 8) / 2);
            n = 8 + 2 * (size_t)bytes[1];
            bytes[2] = next() % 2 ? 0 : 0xff;
            bytes[4] = next() % 2 ? 0 : 0x40;
            bytes[5] = 0;
            for (size_t k = 8; k < n; k += 2) bytes[k] %= 0x28;
        }
        struct dec d = dec_absent();
        i128 v = 0;
        if (store_pg_numeric_get((struct str){(char *)bytes, n}, &d) == ERR_OK) {
            assert_true(d.scale >= 0 && d.scale <= 18);
            assert_true(dec_eq(d, dec_normal(d.digits, d.scale)));
        }
        if (store_pg_numeric_get_lake((struct str){(char *)bytes, n}, &v) == ERR_OK) {
            assert_true(v < (i128)dec_pow10_u128(38) && -v < (i128)dec_pow10_u128(38));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(lake_there_and_back),
        cmocka_unit_test(hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
