/* numeric's binary form: int16 digits, weight, sign, display scale, then groups of four decimal digits, most significant first;
 * group k counts 10000^(weight - k). Source: numeric_recv in PostgreSQL's numeric.c. */
#include "store/store_pg.h"

enum { GROUP = 10000, GROUP_DIGITS = 4, NEGATIVE = 0x4000, GROUPS_MAX = 12, SCALE_LAKE = 18 };

static void put16(uint8_t *to, int v)
{
    to[0] = (uint8_t)(v >> 8);
    to[1] = (uint8_t)v;
}

static int get16(const uint8_t *p) { return p[0] << 8 | p[1]; }

/* value * 10^-scale, scale 0..18; |value| < 10^38. */
static size_t encode(bool negative, u128 value, int scale, uint8_t to[STORE_PG_NUMERIC_MAX])
{
    /* Groups stand on whole powers of 10000 left and right of the point. */
    int fraction = (scale + GROUP_DIGITS - 1) / GROUP_DIGITS;
    int pad = fraction * GROUP_DIGITS - scale;
    uint16_t groups[GROUPS_MAX + 1];
    int count = 0;
    u128 left = value;
    if (pad &&
        value) { /* the last group is filled up with zeros; the rest may not be multiplied, it could overflow */
        int digits = GROUP_DIGITS - pad;
        u128 unit = dec_pow10_u128(digits);
        groups[count++] = (uint16_t)((uint64_t)(left % unit) * (uint64_t)dec_pow10_i64(pad));
        left /= unit;
    }
    while (left) {
        groups[count++] = (uint16_t)(left % GROUP);
        left /= GROUP;
    }
    CHECK(count <= GROUPS_MAX);
    int weight = count - fraction - 1, skip = 0;
    while (skip < count && groups[skip] == 0) skip++;
    if (count == 0) weight = 0;
    put16(to, count - skip);
    put16(to + 2, weight);
    put16(to + 4, negative && value ? NEGATIVE : 0);
    put16(to + 6, scale);
    for (int i = 0; i < count - skip; i++) put16(to + 8 + 2 * i, groups[count - 1 - i]);
    return 8 + 2 * (size_t)(count - skip);
}

size_t store_pg_numeric(struct dec d, uint8_t to[STORE_PG_NUMERIC_MAX])
{
    CHECK(!dec_is_absent(d));
    u128 value = d.digits < 0 ? (u128) - (i128)d.digits : (u128)d.digits;
    return encode(d.digits < 0, value, d.scale, to);
}

/* As few decimals as the value has, so that it is shown as it was given. */
size_t store_pg_numeric_lake(i128 v, uint8_t to[STORE_PG_NUMERIC_MAX])
{
    u128 value = v < 0 ? -(u128)v : (u128)v;
    int scale = SCALE_LAKE;
    while (scale > 0 && value % 10 == 0) {
        value /= 10;
        scale--;
    }
    return encode(v < 0, value, scale, to);
}

/* value * 10^-scale, without zeros at the end. */
static enum err_code decode(struct str bytes, bool *ret_negative, u128 *ret_value, int *ret_scale)
{
    const uint8_t *p = (const uint8_t *)bytes.p;
    if (bytes.n < 8) return ERR_PARSE;
    int count = get16(p), weight = (int16_t)get16(p + 2), sign = get16(p + 4);
    if (sign != 0 && sign != NEGATIVE) return ERR_INEXACT; /* NaN, infinity */
    if (bytes.n != 8 + 2 * (size_t)count) return ERR_PARSE;
    int used = count, scale = 0;
    while (used > 0 && get16(p + 8 + 2 * (used - 1)) == 0) used--;
    u128 value = 0;
    for (int i = 0; i < used; i++) {
        int group = get16(p + 8 + 2 * i), digits = GROUP_DIGITS;
        if (group >= GROUP) return ERR_PARSE;
        /* Without the zeros at the end, 38 digits always fit. */
        for (; i == used - 1 && group % 10 == 0; digits--) group /= 10;
        if (value >= dec_pow10_u128(38 - digits)) return ERR_INEXACT;
        value = value * dec_pow10_u128(digits) + (u128)group;
        if (i == used - 1) scale = (i - weight) * GROUP_DIGITS - (GROUP_DIGITS - digits);
    }
    if (scale < -38) return ERR_INEXACT;
    for (; scale < 0; scale++) {
        if (value >= dec_pow10_u128(37)) return ERR_INEXACT;
        value *= 10;
    }
    *ret_negative = sign == NEGATIVE;
    *ret_value = value;
    *ret_scale = scale;
    return ERR_OK;
}

enum err_code store_pg_numeric_get(struct str bytes, struct dec *ret)
{
    bool negative;
    u128 value;
    int scale;
    TRY(decode(bytes, &negative, &value, &scale));
    if (scale > DEC_SCALE_MAX || value >= (u128)dec_pow10_i64(DEC_DIGITS_MAX)) {
        /* "1e18" has 19 digits in plain form; struct dec has no negative scale. */
        return ERR_INEXACT;
    }
    int64_t digits = (int64_t)value;
    *ret = dec_normal(negative ? -digits : digits, scale);
    return ERR_OK;
}

enum err_code store_pg_numeric_get_lake(struct str bytes, i128 *ret)
{
    bool negative;
    u128 value;
    int scale;
    TRY(decode(bytes, &negative, &value, &scale));
    if (scale > SCALE_LAKE) return ERR_INEXACT;
    const u128 limit = dec_pow10_u128(38);
    u128 factor = dec_pow10_u128(SCALE_LAKE - scale);
    if (value >= limit || value > (limit - 1) / factor) return ERR_INEXACT;
    value *= factor;
    *ret = negative ? -(i128)value : (i128)value;
    return ERR_OK;
}
