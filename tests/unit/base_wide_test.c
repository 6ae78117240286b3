/* Exact sums in 256 bits, against decimal arithmetic as taught at school: digit by digit, one array per number. */
#include "base/dec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { DIGITS = 200 };

/* Magnitude, least significant digit first. */
struct school {
    int digit[DIGITS];
    bool negative;
};

static uint64_t seed = 7;
static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static int compare(const struct school *a, const struct school *b)
{
    for (int i = DIGITS; i-- > 0;)
        if (a->digit[i] != b->digit[i]) return a->digit[i] > b->digit[i] ? 1 : -1;
    return 0;
}

static struct school of_int(int64_t v, int zeros)
{
    struct school s = {.negative = v < 0};
    uint64_t rest = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    for (int i = zeros; rest; i++, rest /= 10) s.digit[i] = (int)(rest % 10);
    return s;
}

static void subtract_smaller(struct school *a, const struct school *b)
{
    int borrow = 0;
    for (int i = 0; i < DIGITS; i++) {
        int d = a->digit[i] - b->digit[i] - borrow;
        borrow = d < 0;
        a->digit[i] = d < 0 ? d + 10 : d;
    }
    assert_int_equal(borrow, 0);
}

static struct school add(struct school a, struct school b)
{
    if (a.negative != b.negative) {
        bool a_is_larger = compare(&a, &b) >= 0;
        struct school large = a_is_larger ? a : b, small = a_is_larger ? b : a;
        subtract_smaller(&large, &small);
        return large;
    }
    int carry = 0;
    for (int i = 0; i < DIGITS; i++) {
        int d = a.digit[i] + b.digit[i] + carry;
        carry = d / 10;
        a.digit[i] = d % 10;
    }
    return a;
}

static struct school multiply(const struct school *a, const struct school *b)
{
    struct school r = {.negative = a->negative != b->negative};
    for (int i = 0; i < DIGITS; i++)
        for (int k = 0; a->digit[i] && i + k < DIGITS; k++)
            r.digit[i + k] += a->digit[i] * b->digit[k];
    for (int i = 0; i + 1 < DIGITS; i++) {
        r.digit[i + 1] += r.digit[i] / 10;
        r.digit[i] %= 10;
    }
    return r;
}

/* a / b by repeated subtraction, place by place, rounded half-even. */
static struct school divide(const struct school *a, const struct school *b)
{
    struct school quotient = {.negative = a->negative != b->negative}, rest = {0};
    struct school divisor = *b;
    divisor.negative = false;
    for (int i = DIGITS; i-- > 0;) {
        memmove(rest.digit + 1, rest.digit, (DIGITS - 1) * sizeof rest.digit[0]);
        rest.digit[0] = a->digit[i];
        for (; compare(&rest, &divisor) >= 0; quotient.digit[i]++)
            subtract_smaller(&rest, &divisor);
    }
    struct school twice = add(rest, rest);
    int half = compare(&twice, &divisor);
    if (half > 0 || (half == 0 && quotient.digit[0] % 2)) {
        struct school one = of_int(quotient.negative ? -1 : 1, 0);
        quotient = add(quotient, one);
    }
    return quotient;
}

static bool is_zero(const struct school *a)
{
    for (int i = 0; i < DIGITS; i++)
        if (a->digit[i]) return false;
    return true;
}

/* "123": the digits; empty where there are more than 38. */
static void to_text(const struct school *a, char *text)
{
    int top = DIGITS;
    while (top > 1 && a->digit[top - 1] == 0) top--;
    size_t n = 0;
    text[0] = 0;
    if (top > 38) return;
    if (a->negative && !is_zero(a)) text[n++] = '-';
    for (int i = top; i-- > 0;) text[n++] = (char)('0' + a->digit[i]);
    text[n] = 0;
}

static void i128_text(i128 v, char *text)
{
    char reversed[64];
    int n = 0;
    u128 rest = v < 0 ? (u128)0 - (u128)v : (u128)v;
    do reversed[n++] = (char)('0' + (int)(rest % 10));
    while (rest /= 10);
    if (v < 0) *text++ = '-';
    while (n) *text++ = reversed[--n];
    *text = 0;
}

static void assert_lake(enum err_code code, i128 got, const struct school *want)
{
    char expected[64], text[64] = "";
    to_text(want, expected);
    if (code == ERR_OK) i128_text(got, text);
    assert_true(code == ERR_OK || code == ERR_INEXACT);
    assert_string_equal(text, expected);
}

/* Few digits or many, any scale, sometimes negative. */
static struct dec random_dec(bool may_be_negative)
{
    int digits = 1 + (int)(next_random() % 18);
    int64_t v = (int64_t)(next_random() % (uint64_t)dec_pow10_i64(digits));
    if (may_be_negative && next_random() % 4 == 0) v = -v;
    return dec_normal(v, (int)(next_random() % 19));
}

static void test_sums_of_products(void **state)
{
    (void)state;
    for (int round = 0; round < 400; round++) {
        struct wide sum = wide_zero();
        struct school want = {0};
        int terms = 1 + (int)(next_random() % 6);
        for (int i = 0; i < terms; i++) {
            struct dec a = random_dec(true), b = random_dec(true);
            struct school x = of_int(a.digits, 18 - a.scale), y = of_int(b.digits, 18 - b.scale);
            wide_add_product(&sum, a, b);
            want = add(want, multiply(&x, &y));
        }
        struct school scale = of_int(1, 18), rounded = divide(&want, &scale);
        i128 got = 0;
        enum err_code code = wide_to_lake(&sum, &got);
        assert_lake(code, got, &rounded);
    }
}

static void test_ratios(void **state)
{
    (void)state;
    for (int round = 0; round < 400; round++) {
        struct wide n = wide_zero(), d = wide_zero();
        struct dec a = random_dec(true), b = random_dec(true), c = random_dec(false);
        struct school x = of_int(a.digits, 18 - a.scale), y = of_int(b.digits, 18 - b.scale);
        wide_add_product(&n, a, b);
        wide_add_dec(&d, c);
        if (wide_is_zero(&d)) continue;
        struct school scale = of_int(1, 18), divisor = of_int(c.digits, 36 - c.scale);
        struct school product = multiply(&x, &y), scaled = multiply(&product, &scale);
        struct school want = divide(&scaled, &divisor);
        i128 got = 0;
        enum err_code code = wide_ratio(&n, &d, &got);
        assert_lake(code, got, &want);
    }
}

static void assert_rounds(int64_t digits, int scale, const char *want)
{
    struct wide sum = wide_zero();
    i128 got = 0;
    char text[64];
    wide_add_scaled(&sum, digits, scale);
    assert_int_equal(wide_to_lake(&sum, &got), ERR_OK);
    i128_text(got, text);
    assert_string_equal(text, want);
}

static void test_half_even(void **state)
{
    (void)state;
    assert_rounds(5, 19, "0");
    assert_rounds(15, 19, "2");
    assert_rounds(25, 19, "2");
    assert_rounds(-25, 19, "-2");
    assert_rounds(-35, 19, "-4");
    assert_rounds(2500000000000000001, 36, "3");
    assert_rounds(2499999999999999999, 36, "2");
    struct wide one = wide_zero(), three = wide_zero(), eight = wide_zero();
    i128 got;
    wide_add_scaled(&one, 1, 18);
    wide_add_scaled(&three, 3, 0);
    wide_add_scaled(&eight, 2, 0);
    assert_int_equal(wide_ratio(&three, &eight, &got), ERR_OK);
    assert_true(got == (i128)1500000000000000000);
    assert_int_equal(wide_ratio(&one, &eight, &got), ERR_OK); /* half of the last place: to even */
    assert_true(got == 0);
}

static void test_limits(void **state)
{
    (void)state;
    struct dec largest = {999999999999999999, 0};
    struct wide sum = wide_zero(), before;
    i128 got;
    for (int i = 0; i < 100000; i++) { /* past 256 bits: stays at the largest */
        before = sum;
        wide_add_product(&sum, largest, largest);
        assert_true(wide_cmp(&sum, &before) >= 0);
    }
    assert_int_equal(wide_to_lake(&sum, &got), ERR_INEXACT);
    struct wide edge = wide_zero(), smallest = wide_zero();
    i128 most = (i128)dec_pow10_u128(38) - 1;
    wide_add_scaled(&edge, most, 18);
    assert_int_equal(wide_to_lake(&edge, &got), ERR_OK);
    assert_true(got == most);
    wide_add_scaled(&edge, 5, 19); /* rounds up to 39 digits */
    assert_int_equal(wide_to_lake(&edge, &got), ERR_INEXACT);
    wide_add_scaled(&smallest, (i128)((u128)1 << 127), 0);
    wide_add_scaled(&smallest, -1, 36);
    wide_add_scaled(&edge, -1, 36);
    assert_int_equal(wide_cmp(&smallest, &edge), -1);
    assert_int_equal(wide_cmp(&edge, &smallest), 1);
    assert_int_equal(wide_cmp(&edge, &edge), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_of_products),
        cmocka_unit_test(test_ratios),
        cmocka_unit_test(test_half_even),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
