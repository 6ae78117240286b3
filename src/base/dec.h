/* dec.h - exact decimals: value = digits * 10^-scale. No binary float ever touches a price or a size.
 *
 * struct dec   what a venue says: at most 18 digits after trailing zeros are taken off, scale 0..18,
 *              read from the raw token, exponents too ("6.255e-5", "1E3"). A token that needs more digits
 *              or a scale above 18 is ERR_INEXACT: the caller makes it a dead letter, nobody rounds.
 * Normal form  no trailing zeros, zero is {0, 0}; dec_parse always yields it, so equal values are equal
 *              bytes of digits and scale. dec_absent() marks an absent value (a quote's missing side).
 * dec_i128     the lake's decimal(38,18): the value times 10^18 in 128 bits.
 * Wide sums    products and sums that outgrow 128 bits use struct wide (256 bits, checked): wide_*, in wide.c.
 */
#ifndef TICKLAKE_BASE_DEC_H
#define TICKLAKE_BASE_DEC_H

#include "base/buf.h"

typedef __int128 i128;
typedef unsigned __int128 u128;

enum { DEC_SCALE_MAX = 18, DEC_DIGITS_MAX = 18, DEC_TEXT_MAX = 48 };

struct dec {
    int64_t digits;
    int8_t scale; /* 0..18, or DEC_ABSENT */
};
enum { DEC_ABSENT = -1 };

static inline struct dec dec_absent(void) { return (struct dec){0, DEC_ABSENT}; }
static inline bool dec_is_absent(struct dec d) { return d.scale < 0; }
static inline bool dec_eq(struct dec a, struct dec b)
{
    return a.digits == b.digits && a.scale == b.scale; /* both in normal form */
}

/* ERR_PARSE: no JSON/decimal number. ERR_INEXACT: a number that does not fit. Accepts a leading '+'. */
enum err_code dec_parse(struct str token, struct dec *ret) MUST_USE;
struct dec dec_normal(int64_t digits, int scale); /* CHECKs 0 <= scale <= 18 */
int dec_cmp(struct dec a, struct dec b);          /* by value; neither absent */
/* Writes plain notation without exponent ("0.00006255"), returns the length; text has DEC_TEXT_MAX. */
size_t dec_format(struct dec d, char *text);

/* The lake's form: digits * 10^18 / 10^scale. Never overflows for a struct dec. */
i128 dec_to_lake(struct dec d);
/* Back, where it fits in 18 digits; else ERR_INEXACT. */
enum err_code dec_from_lake(i128 value, struct dec *ret) MUST_USE;
size_t dec_format_lake(i128 value, char *text); /* text has DEC_TEXT_MAX */
enum err_code dec_parse_lake(struct str token,
                             i128 *ret) MUST_USE; /* up to 38 digits, scale <= 18 */

extern const int64_t dec_powers[DEC_SCALE_MAX + 1]; /* 10^n, for who has checked n */
/* 10^n for 0 <= n <= 18 and 0 <= n <= 38. */
int64_t dec_pow10_i64(int n);
u128 dec_pow10_u128(int n);

/* An exact sum of products (price * size) at scale 36 in 256 bits: 18 digits times 18 digits take 240 of them, so 50,000 of
 * the largest products fit, and 10^20 usual ones. A sum past that stays at the largest value, which wide_to_lake refuses. */
struct wide {
    uint64_t limb[4]; /* two's complement, least significant first */
};
struct wide wide_zero(void);
void wide_add(struct wide *sum, const struct wide *more);
void wide_add_product(struct wide *sum, struct dec a, struct dec b);
void wide_add_dec(struct wide *sum, struct dec a); /* at scale 36 as well */
/* Adds value * 10^-scale, 0 <= scale <= 36: a partial sum kept in 128 bits, or a value in the lake's form (scale 18). */
void wide_add_scaled(struct wide *sum, i128 value, int scale);
int wide_cmp(const struct wide *a, const struct wide *b);
bool wide_is_zero(const struct wide *a);
/* Rounded once, half-even, from scale 36 to the lake's 18; ERR_INEXACT past 38 digits. */
enum err_code wide_to_lake(const struct wide *sum, i128 *ret) MUST_USE;
/* numerator / denominator (both at scale 36) to the lake's scale, half-even; ERR_INEXACT past 38 digits.
 * The denominator must be positive (CHECK). For vwap = quote volume / base volume. */
enum err_code wide_ratio(const struct wide *numerator, const struct wide *denominator,
                         i128 *ret) MUST_USE;

#endif
