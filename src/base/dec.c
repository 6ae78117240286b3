#include "base/dec.h"

const int64_t dec_powers[DEC_SCALE_MAX + 1] = {
    INT64_C(1),
    INT64_C(10),
    INT64_C(100),
    INT64_C(1000),
    INT64_C(10000),
    INT64_C(100000),
    INT64_C(1000000),
    INT64_C(10000000),
    INT64_C(100000000),
    INT64_C(1000000000),
    INT64_C(10000000000),
    INT64_C(100000000000),
    INT64_C(1000000000000),
    INT64_C(10000000000000),
    INT64_C(100000000000000),
    INT64_C(1000000000000000),
    INT64_C(10000000000000000),
    INT64_C(100000000000000000),
    INT64_C(1000000000000000000),
};

int64_t dec_pow10_i64(int n)
{
    CHECK(n >= 0 && n <= 18);
    return dec_powers[n];
}

u128 dec_pow10_u128(int n)
{
    CHECK(n >= 0 && n <= 38);
    int low = n > 18 ? 18 : n, mid = n - low > 18 ? 18 : n - low, high = n - low - mid;
    return (u128)(uint64_t)dec_powers[low] * (uint64_t)dec_powers[mid] * (uint64_t)dec_powers[high];
}

/* A number token taken apart: up to `max` significant digits, and the power of ten of the last one. */
struct token {
    u128 digits;
    int count; /* significant digits, without leading zeros */
    int exponent;
    bool negative, inexact;
};

static enum err_code scan_exponent(const char *p, const char *end, int *ret)
{
    bool minus = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    if (p == end) return ERR_PARSE;
    int v = 0;
    for (; p < end; p++) {
        unsigned digit = (unsigned)(unsigned char)*p - '0';
        if (digit > 9) return ERR_PARSE;
        if (v < 100000) v = v * 10 + (int)digit; /* far past any scale already */
    }
    *ret = minus ? -v : v;
    return ERR_OK;
}

/* Zeros at the end are held back until another digit follows, so "1.000...0" of any length fits. */
static void take_digit(struct token *t, unsigned digit, int max, int *zeros)
{
    if (digit == 0) {
        if (t->count) (*zeros)++;
        return;
    }
    if (t->count + *zeros + 1 > max) {
        t->inexact = true;
        return;
    }
    t->digits = t->digits * dec_pow10_u128(*zeros + 1) + digit;
    t->count += *zeros + 1;
    *zeros = 0;
}

static enum err_code scan(struct str s, int max, struct token *t)
{
    *t = (struct token){0};
    if (s.n == 0) return ERR_PARSE;
    const char *p = s.p, *end = s.p + s.n;
    if (p < end && (*p == '-' || *p == '+')) t->negative = *p++ == '-';
    bool dot = false, any = false;
    int zeros = 0, fraction = 0, exponent = 0;
    for (; p < end; p++) {
        unsigned digit = (unsigned)(unsigned char)*p - '0';
        if (digit <= 9) {
            take_digit(t, digit, max, &zeros);
            any = true;
            fraction += dot;
        } else if (*p == '.' && !dot) {
            dot = true;
        } else {
            break;
        }
    }
    if (!any || fraction > 100000) return ERR_PARSE;
    if (p < end && *p != 'e' && *p != 'E') return ERR_PARSE;
    if (p < end) TRY(scan_exponent(p + 1, end, &exponent));
    t->exponent = exponent - fraction + zeros;
    return ERR_OK;
}

struct dec dec_normal(int64_t digits, int scale)
{
    CHECK(scale >= 0 && scale <= DEC_SCALE_MAX);
    if (digits == 0) return (struct dec){0, 0};
    while (scale > 0 && digits % 10 == 0) {
        digits /= 10;
        scale--;
    }
    return (struct dec){digits, (int8_t)scale};
}

/* The common case, "61837.63000000": at most 18 characters of digits and one dot. False: take the careful way. */
static bool parse_fast(struct str s, struct dec *ret)
{
    if (s.n == 0 || s.n > 19) return false;
    uint64_t digits = 0;
    int fraction = 0, count = 0;
    bool dot = false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit <= 9) {
            digits = digits * 10 + digit;
            count++;
            fraction += dot;
        } else if (s.p[i] == '.' && !dot) {
            dot = true;
        } else {
            return false;
        }
    }
    if (count == 0 || count > 18) return false;
    if (digits == 0) fraction = 0;
    while (fraction >= 4 && digits % 10000 == 0) {
        digits /= 10000;
        fraction -= 4;
    }
    while (fraction > 0 && digits % 10 == 0) {
        digits /= 10;
        fraction--;
    }
    *ret = (struct dec){(int64_t)digits, (int8_t)fraction};
    return true;
}

enum err_code dec_parse(struct str token, struct dec *ret)
{
    if (parse_fast(token, ret)) return ERR_OK;
    struct token t;
    TRY(scan(token, DEC_DIGITS_MAX, &t));
    if (t.inexact) return ERR_INEXACT;
    if (t.count == 0) {
        *ret = (struct dec){0, 0};
        return ERR_OK;
    }
    if (t.exponent < -DEC_SCALE_MAX) return ERR_INEXACT;
    int shift = t.exponent > 0 ? t.exponent : 0;
    if (t.count + shift > DEC_DIGITS_MAX) return ERR_INEXACT;
    int64_t digits = (int64_t)t.digits * dec_powers[shift];
    *ret = dec_normal(t.negative ? -digits : digits, shift ? 0 : -t.exponent);
    return ERR_OK;
}

i128 dec_to_lake(struct dec d)
{
    CHECK(d.scale >= 0 && d.scale <= DEC_SCALE_MAX);
    return (i128)d.digits * dec_powers[DEC_SCALE_MAX - d.scale];
}

int dec_cmp(struct dec a, struct dec b)
{
    i128 x = dec_to_lake(a), y = dec_to_lake(b);
    return (x > y) - (x < y);
}

/* One division of 128 bits and then 64: a division of 128 bits for each zero was half the time of reading trades back. */
enum err_code dec_from_lake(i128 value, struct dec *ret)
{
    static const int steps[] = {8, 4, 4, 2, 1}; /* takes off any number of zeros up to 17 */
    const int64_t one = dec_powers[DEC_SCALE_MAX];
    if (value <= -(i128)one * one || value >= (i128)one * one) return ERR_INEXACT;
    int64_t whole = (int64_t)(value / one), part = (int64_t)(value % one), digits;
    int scale = part ? DEC_SCALE_MAX : 0;
    for (size_t i = 0; part && i < sizeof steps / sizeof steps[0]; i++) {
        if (part % dec_powers[steps[i]]) continue;
        part /= dec_powers[steps[i]];
        scale -= steps[i];
    }
    if (__builtin_mul_overflow(whole, dec_powers[scale], &digits) ||
        __builtin_add_overflow(digits, part, &digits) || digits >= one || digits <= -one)
        return ERR_INEXACT;
    *ret = (struct dec){digits, (int8_t)scale};
    return ERR_OK;
}

/* Plain notation of digits * 10^-scale. */
static size_t format_plain(i128 digits, int scale, char *text)
{
    char reversed[DEC_TEXT_MAX];
    u128 rest = digits < 0 ? (u128)0 - (u128)digits : (u128)digits;
    size_t n = 0;
    for (int place = 0; rest || place <= scale; place++) {
        if (place == scale && scale > 0) reversed[n++] = '.';
        reversed[n++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    }
    size_t len = 0;
    if (digits < 0) text[len++] = '-';
    while (n) text[len++] = reversed[--n];
    text[len] = 0;
    return len;
}

size_t dec_format(struct dec d, char *text)
{
    if (dec_is_absent(d)) {
        text[0] = 0;
        return 0;
    }
    return format_plain(d.digits, d.scale, text);
}

size_t dec_format_lake(i128 value, char *text)
{
    int scale = DEC_SCALE_MAX;
    while (scale > 0 && value % 10 == 0) {
        value /= 10;
        scale--;
    }
    return format_plain(value, scale, text);
}

enum err_code dec_parse_lake(struct str token, i128 *ret)
{
    struct token t;
    TRY(scan(token, 38, &t));
    if (t.inexact) return ERR_INEXACT;
    if (t.count == 0) {
        *ret = 0;
        return ERR_OK;
    }
    int shift = t.exponent + DEC_SCALE_MAX;
    if (shift < 0 || t.count + shift > 38) return ERR_INEXACT;
    i128 value = (i128)(t.digits * dec_pow10_u128(shift));
    *ret = t.negative ? -value : value;
    return ERR_OK;
}
