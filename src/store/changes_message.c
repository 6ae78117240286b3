#include "store/changes_internal.h"

#include <endian.h>

/* 2000-01-01 in microseconds since 1970. */
#define EPOCH_2000_US INT64_C(946684800000000)

uint16_t changes_u16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }

uint32_t changes_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return be32toh(v);
}

uint64_t changes_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return be64toh(v);
}

int64_t changes_time(uint64_t micros)
{
    int64_t v;
    if (__builtin_add_overflow((int64_t)micros, EPOCH_2000_US, &v) ||
        __builtin_mul_overflow(v, NS_PER_US, &v))
        return TIME_ABSENT;
    return v;
}

/* NULL: fewer than n bytes are left. */
static const uint8_t *take(struct str *s, size_t n)
{
    if (s->n < n) return NULL;
    const uint8_t *p = (const uint8_t *)s->p;
    s->p += n;
    s->n -= n;
    return p;
}

static bool take_name(struct str *s, struct str *ret)
{
    const char *end = s->n ? memchr(s->p, 0, s->n) : NULL;
    if (!end) return false;
    *ret = (struct str){s->p, (size_t)(end - s->p)};
    return take(s, ret->n + 1) != NULL;
}

bool changes_next_column(struct str *body, struct changes_column *ret)
{
    if (!take(body, 1) || !take_name(body, &ret->name)) return false;
    const uint8_t *p = take(body, 8); /* type and its modifier */
    if (!p) return false;
    ret->type = changes_u32(p);
    return true;
}

bool changes_next_value(struct str *body, struct changes_value *ret)
{
    const uint8_t *p = take(body, 1);
    if (!p) return false;
    *ret = (struct changes_value){.kind = (char)*p};
    if (ret->kind == 'n' || ret->kind == 'u') return true;
    if (ret->kind != 'b' && ret->kind != 't') return false;
    p = take(body, 4);
    if (!p) return false;
    size_t n = changes_u32(p);
    p = take(body, n);
    ret->bytes = (struct str){(const char *)p, n};
    return p != NULL;
}

static bool parse_body(struct str s, struct changes_message *m)
{
    const uint8_t *p;
    switch (m->type) {
    case 'B': /* commit record, time, transaction number */
        if (!(p = take(&s, 20))) return false;
        m->lsn = changes_u64(p);
        m->time_ns = changes_time(changes_u64(p + 8));
        return true;
    case 'C': /* flags, commit record, its end, time */
        if (!(p = take(&s, 25))) return false;
        m->lsn = changes_u64(p + 9);
        m->time_ns = changes_time(changes_u64(p + 17));
        return true;
    case 'R':
        if (!(p = take(&s, 4))) return false;
        m->relation = changes_u32(p);
        if (!take_name(&s, &m->schema) || !take_name(&s, &m->table)) return false;
        if (!(p = take(&s, 3))) return false; /* replica identity, number of columns */
        m->columns = changes_u16(p + 1);
        m->body = s;
        return true;
    case 'I':
        if (!(p = take(&s, 7))) return false;
        m->relation = changes_u32(p);
        m->columns = changes_u16(p + 5);
        m->body = s;
        return p[4] == 'N';
    default: return true;
    }
}

enum err_code changes_message_parse(struct str bytes, struct changes_message *ret, struct err *e)
{
    struct str rest = bytes;
    const uint8_t *type = take(&rest, 1);
    *ret = (struct changes_message){.type = type ? (char)*type : 0, .time_ns = TIME_ABSENT};
    if (type && parse_body(rest, ret) && ret->columns <= CHANGES_COLUMNS_MAX) return ERR_OK;
    return ERR(e, ERR_CORRUPT,
               "a message of type 0x%02x and %zu bytes that is no pgoutput of protocol version 1; "
               "is there a proxy on the way?",
               (unsigned char)ret->type, bytes.n);
}

/* ---- numeric: ndigits, weight, sign, display scale, then digits to the base 10,000, the first worth 10,000^weight. */

enum { NUMERIC_HEAD = 8, NUMERIC_NEGATIVE = 0x4000 };

struct numeric {
    const uint8_t *digits;
    int count, weight;
    bool negative;
};

static bool numeric_open(struct str bytes, struct numeric *ret)
{
    if (bytes.n < NUMERIC_HEAD) return false;
    const uint8_t *p = (const uint8_t *)bytes.p;
    uint16_t sign = changes_u16(p + 4);
    *ret = (struct numeric){p + NUMERIC_HEAD, changes_u16(p), (int16_t)changes_u16(p + 2),
                            sign == NUMERIC_NEGATIVE};
    if (sign != 0 && sign != NUMERIC_NEGATIVE) return false; /* NaN, infinities */
    if (bytes.n != NUMERIC_HEAD + 2 * (size_t)ret->count) return false;
    for (int i = 0; i < ret->count; i++)
        if (changes_u16(ret->digits + 2 * i) > 9999) return false;
    return true;
}

enum err_code changes_numeric_lake(struct str bytes, i128 *ret)
{
    struct numeric n;
    if (!numeric_open(bytes, &n)) return ERR_INEXACT;
    const u128 limit = dec_pow10_u128(38);
    u128 sum = 0;
    for (int i = 0; i < n.count; i++) {
        uint32_t digit = changes_u16(n.digits + 2 * i);
        int power = 4 * (n.weight - i) + DEC_SCALE_MAX; /* 18 + 4 k: never -1 or -3 */
        if (digit == 0) continue;
        if (power < 0) {
            if (power != -2 || digit % 100) return ERR_INEXACT;
            digit /= 100;
            power = 0;
        }
        if (power >= 38 || dec_pow10_u128(power) > (limit - 1) / digit) return ERR_INEXACT;
        sum += digit * dec_pow10_u128(power);
        if (sum >= limit) return ERR_INEXACT;
    }
    *ret = n.negative ? -(i128)sum : (i128)sum;
    return ERR_OK;
}

enum err_code changes_numeric(struct str bytes, struct dec *ret)
{
    struct numeric n;
    if (!numeric_open(bytes, &n)) return ERR_INEXACT;
    int scale = 4 * (n.count - 1 - n.weight);
    if (n.count <= 4 && scale >= 0 && scale <= DEC_SCALE_MAX) { /* nearly all: 64 bits do */
        int64_t digits = 0;
        for (int i = 0; i < n.count; i++) digits = digits * 10000 + changes_u16(n.digits + 2 * i);
        *ret = dec_normal(n.negative ? -digits : digits, scale);
        return ERR_OK;
    }
    i128 value;
    TRY(changes_numeric_lake(bytes, &value));
    return dec_from_lake(value, ret);
}
