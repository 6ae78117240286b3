/* Sums past 128 bits: two's complement in four limbs, scale 36. */
#include "base/dec.h"

enum { LIMBS = 4, SIGN_LIMB = LIMBS - 1, WIDE_SCALE = 36, LAKE_DIGITS = 38, LIMB_BITS = 64 };

struct wide wide_zero(void) { return (struct wide){{0}}; }

bool wide_is_zero(const struct wide *a)
{
    return (a->limb[0] | a->limb[1] | a->limb[2] | a->limb[3]) == 0;
}

static bool is_negative(const struct wide *a) { return a->limb[SIGN_LIMB] >> 63; }

static struct wide negated(struct wide a)
{
    u128 carry = 1;
    for (int i = 0; i < LIMBS; i++) {
        carry += (uint64_t)~a.limb[i];
        a.limb[i] = (uint64_t)carry;
        carry >>= LIMB_BITS;
    }
    return a;
}

void wide_add(struct wide *sum, const struct wide *more)
{
    bool was_negative = is_negative(sum), same_sign = was_negative == is_negative(more);
    u128 carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        carry += (u128)sum->limb[i] + more->limb[i];
        sum->limb[i] = (uint64_t)carry;
        carry >>= LIMB_BITS;
    }
    if (!same_sign || is_negative(sum) == was_negative) return;
    struct wide largest = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX >> 1}};
    *sum = was_negative ? negated(largest) : largest;
}

/* The whole product; at most 2^127 * 10^36 < 2^247 here, so the sign bit stays free. */
static struct wide product(u128 a, u128 b)
{
    uint64_t a0 = (uint64_t)a, a1 = (uint64_t)(a >> LIMB_BITS);
    uint64_t b0 = (uint64_t)b, b1 = (uint64_t)(b >> LIMB_BITS);
    u128 low = (u128)a0 * b0, left = (u128)a1 * b0, right = (u128)a0 * b1;
    u128 middle = (low >> LIMB_BITS) + (uint64_t)left + (uint64_t)right;
    u128 high = (u128)a1 * b1 + (left >> LIMB_BITS) + (right >> LIMB_BITS) + (middle >> LIMB_BITS);
    return (struct wide){
        {(uint64_t)low, (uint64_t)middle, (uint64_t)high, (uint64_t)(high >> LIMB_BITS)}};
}

void wide_add_scaled(struct wide *sum, i128 value, int scale)
{
    CHECK(scale >= 0 && scale <= WIDE_SCALE);
    u128 magnitude = value < 0 ? (u128)0 - (u128)value : (u128)value;
    struct wide more = product(magnitude, dec_pow10_u128(WIDE_SCALE - scale));
    if (value < 0) more = negated(more);
    wide_add(sum, &more);
}

void wide_add_product(struct wide *sum, struct dec a, struct dec b)
{
    CHECK(!dec_is_absent(a) && !dec_is_absent(b));
    wide_add_scaled(sum, (i128)a.digits * b.digits, a.scale + b.scale);
}

void wide_add_dec(struct wide *sum, struct dec a)
{
    CHECK(!dec_is_absent(a));
    wide_add_scaled(sum, a.digits, a.scale);
}

static int compare_magnitude(const struct wide *a, const struct wide *b)
{
    for (int i = LIMBS; i-- > 0;)
        if (a->limb[i] != b->limb[i]) return a->limb[i] > b->limb[i] ? 1 : -1;
    return 0;
}

int wide_cmp(const struct wide *a, const struct wide *b)
{
    bool negative = is_negative(a);
    if (negative != is_negative(b)) return negative ? -1 : 1;
    return compare_magnitude(a, b); /* two's complement keeps the order within one sign */
}

/* The rounded magnitude with its sign, where it has at most 38 digits. `half` is the sign of (2 * rest - divisor). */
static enum err_code rounded(u128 quotient, int half, bool negative, i128 *ret)
{
    if (half > 0 || (half == 0 && (quotient & 1))) quotient++;
    if (quotient >= dec_pow10_u128(LAKE_DIGITS)) return ERR_INEXACT;
    *ret = negative ? -(i128)quotient : (i128)quotient;
    return ERR_OK;
}

enum err_code wide_to_lake(const struct wide *sum, i128 *ret)
{
    bool negative = is_negative(sum);
    struct wide a = negative ? negated(*sum) : *sum;
    const uint64_t divisor = (uint64_t)dec_pow10_i64(WIDE_SCALE - DEC_SCALE_MAX);
    uint64_t rest = 0;
    for (int i = LIMBS; i-- > 0;) {
        u128 part = (u128)rest << LIMB_BITS | a.limb[i];
        a.limb[i] = (uint64_t)(part / divisor);
        rest = (uint64_t)(part % divisor);
    }
    if (a.limb[2] | a.limb[3]) return ERR_INEXACT;
    u128 quotient = (u128)a.limb[1] << LIMB_BITS | a.limb[0];
    if (quotient >= dec_pow10_u128(LAKE_DIGITS)) return ERR_INEXACT;
    int half = (rest * 2 > divisor) - (rest * 2 < divisor); /* divisor is 10^18: no overflow */
    return rounded(quotient, half, negative, ret);
}

/* *a = *a * 2 + bit. The callers' values stay below 2^255. */
static void shift_in(struct wide *a, uint64_t bit)
{
    for (int i = 0; i < LIMBS; i++) {
        uint64_t out = a->limb[i] >> 63;
        a->limb[i] = a->limb[i] << 1 | bit;
        bit = out;
    }
}

static void subtract(struct wide *a, const struct wide *b)
{
    struct wide minus = negated(*b);
    u128 carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        carry += (u128)a->limb[i] + minus.limb[i];
        a->limb[i] = (uint64_t)carry;
        carry >>= LIMB_BITS;
    }
}

enum err_code wide_ratio(const struct wide *numerator, const struct wide *denominator, i128 *ret)
{
    CHECK(!is_negative(denominator) && !wide_is_zero(denominator));
    bool negative = is_negative(numerator);
    struct wide n = negative ? negated(*numerator) : *numerator;
    uint64_t scaled[LIMBS + 1]; /* numerator * 10^18 */
    u128 carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        carry += (u128)n.limb[i] * (uint64_t)dec_pow10_i64(DEC_SCALE_MAX);
        scaled[i] = (uint64_t)carry;
        carry >>= LIMB_BITS;
    }
    scaled[LIMBS] = (uint64_t)carry;
    int top = LIMBS;
    while (top > 0 && scaled[top] == 0) top--;
    /* One bit at a time: a microsecond, and only sums that outgrew 128 bits come here. */
    struct wide rest = wide_zero();
    u128 quotient = 0, limit = dec_pow10_u128(LAKE_DIGITS);
    for (int bit = top * LIMB_BITS + LIMB_BITS - 1; bit >= 0; bit--) {
        shift_in(&rest, scaled[bit / LIMB_BITS] >> bit % LIMB_BITS & 1);
        quotient <<= 1;
        if (compare_magnitude(&rest, denominator) >= 0) {
            subtract(&rest, denominator);
            quotient |= 1;
        }
        if (quotient >= limit) return ERR_INEXACT;
    }
    struct wide twice = rest;
    shift_in(&twice, 0);
    return rounded(quotient, compare_magnitude(&twice, denominator), negative, ret);
}
