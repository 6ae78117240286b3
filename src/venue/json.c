#include "venue/json.h"

#include <stdlib.h>

void json_init(struct json *j)
{
    *j = (struct json){.pool = malloc(JSON_POOL_BYTES)};
    CHECK(j->pool != NULL);
}

void json_free(struct json *j)
{
    if (!j) return;
    yyjson_doc_free(j->doc);
    free(j->pool);
    *j = (struct json){0};
}

yyjson_val *json_read(struct json *j, char *text, size_t len, struct err *e)
{
    yyjson_doc_free(j->doc);
    yyjson_read_flag flags = YYJSON_READ_INSITU | YYJSON_READ_NUMBER_AS_RAW;
    yyjson_alc pool;
    bool small = yyjson_read_max_memory_usage(len, flags) + 1024 <= JSON_POOL_BYTES;
    if (small && !yyjson_alc_pool_init(&pool, j->pool, JSON_POOL_BYTES)) small = false;
    memset(text + len, 0, JSON_PADDING);
    yyjson_read_err why = {0};
    yyjson_doc *doc = yyjson_read_opts(text, len, flags, small ? &pool : NULL, &why);
    /* A document in the pool needs no freeing: the next init of the pool takes all of it back. */
    j->doc = small ? NULL : doc;
    if (doc) return yyjson_doc_get_root(doc);
    ERR(e, ERR_PARSE, "no JSON: %s at byte %zu of %zu", why.msg ? why.msg : "empty", why.pos, len);
    return NULL;
}

/* memcmp of a length that is not known beforehand is a call; keys are short and nearly always equal. */
static bool same(const char *a, const char *b, size_t n)
{
    if (n >= 8) {
        uint64_t x, y, u, v;
        memcpy(&x, a, 8);
        memcpy(&y, b, 8);
        memcpy(&u, a + n - 8, 8);
        memcpy(&v, b + n - 8, 8);
        return x == y && u == v && (n <= 16 || memcmp(a, b, n) == 0);
    }
    if (n >= 4) {
        uint32_t x, y, u, v;
        memcpy(&x, a, 4);
        memcpy(&y, b, 4);
        memcpy(&u, a + n - 4, 4);
        memcpy(&v, b + n - 4, 4);
        return x == y && u == v;
    }
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i]) return false;
    return true;
}

bool json_members(yyjson_val *object, const struct json_key *keys, size_t count,
                  yyjson_val **values)
{
    for (size_t i = 0; i < count; i++) values[i] = NULL;
    if (!yyjson_is_obj(object)) return false;
    bool once = true;
    size_t expected = 0;
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, n, key, value)
    {
        const char *name = key->uni.str;
        size_t len = yyjson_get_len(key);
        size_t at = expected;
        for (size_t tried = 0; tried < count; tried++, at = at + 1 < count ? at + 1 : 0) {
            if (keys[at].len != len || !same(keys[at].name, name, len)) continue;
            if (values[at]) once = false;
            values[at] = value;
            expected = at + 1 < count ? at + 1 : 0;
            break;
        }
    }
    return once;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

static uint64_t load8(const char *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* Eight digits 0..9, the first one in the lowest byte. */
static uint64_t number8(uint64_t x)
{
    x = (x * (10 * 256 + 1)) >> 8;
    x = ((x & UINT64_C(0x00ff00ff00ff00ff)) * (100 * 65536 + 1)) >> 16;
    return ((x & UINT64_C(0x0000ffff0000ffff)) * ((UINT64_C(10000) << 32) + 1)) >> 32;
}

static u128 low_bytes(int n) { return n >= 16 ? ~(u128)0 : ((u128)1 << 8 * n) - 1; }

/* Index of the first '.', or n. */
static int find_dot(u128 text, int n)
{
    uint64_t half[2] = {(uint64_t)text ^ EACH('.'), (uint64_t)(text >> 64) ^ EACH('.')};
    for (int i = 0; i < 2; i++) {
        uint64_t zero = (half[i] - EACH(0x01)) & ~half[i] & EACH(0x80);
        if (zero) return i * 8 + __builtin_ctzll(zero) / 8;
    }
    return n;
}

static bool all_digits(u128 bytes)
{
    uint64_t low = (uint64_t)bytes, high = (uint64_t)(bytes >> 64);
    return ((((low + EACH(0x76)) | low) | ((high + EACH(0x76)) | high)) & EACH(0x80)) == 0;
}

/* "61837.63000000": up to 16 bytes of digits and one dot, in two registers. False: take the general way. */
static bool dec_16(struct str s, struct dec *ret)
{
    if (s.n == 0 || s.n > 16) return false;
    int n = (int)s.n;
    u128 text = load8(s.p);
    if (n > 8) text |= (u128)load8(s.p + 8) << 64;
    text &= low_bytes(n);
    int dot = find_dot(text, n), fraction = 0;
    if (dot < n) {
        u128 before = low_bytes(dot);
        text = (text & before) | ((text >> 8) & ~before);
        n--;
        fraction = n - dot;
    }
    u128 digits = text ^ (((u128)EACH('0') << 64 | EACH('0')) & low_bytes(n));
    if (n == 0 || !all_digits(digits)) return false;
    if (digits == 0) {
        *ret = (struct dec){0, 0};
        return true;
    }
    uint64_t high = (uint64_t)(digits >> 64);
    int used = high ? 16 - __builtin_clzll(high) / 8 : 8 - __builtin_clzll((uint64_t)digits) / 8;
    int zeros = n - used < fraction ? n - used : fraction;
    n -= zeros;
    digits <<= 8 * (16 - n);
    uint64_t value = number8((uint64_t)digits) * 100000000 + number8((uint64_t)(digits >> 64));
    *ret = (struct dec){(int64_t)value, (int8_t)(fraction - zeros)};
    return true;
}

/* Ids and times: up to 16 digits. */
static bool i64_16(struct str s, int64_t *ret)
{
    if (s.n == 0 || s.n > 16) return false;
    int n = (int)s.n;
    u128 text = load8(s.p);
    if (n > 8) text |= (u128)load8(s.p + 8) << 64;
    u128 digits = (text ^ ((u128)EACH('0') << 64 | EACH('0'))) & low_bytes(n);
    if (!all_digits(digits)) return false;
    digits <<= 8 * (16 - n);
    *ret = (int64_t)(number8((uint64_t)digits) * 100000000 + number8((uint64_t)(digits >> 64)));
    return true;
}

#else

static bool dec_16(struct str s, struct dec *ret)
{
    (void)s;
    (void)ret;
    return false;
}

static bool i64_16(struct str s, int64_t *ret)
{
    (void)s;
    (void)ret;
    return false;
}

#endif

enum err_code json_dec(yyjson_val *v, struct dec *ret)
{
    struct str s = json_token(v);
    return dec_16(s, ret) ? ERR_OK : dec_parse(s, ret);
}

enum err_code json_i64(yyjson_val *v, int64_t *ret)
{
    struct str s = json_token(v);
    return i64_16(s, ret) ? ERR_OK : str_to_i64(s, ret);
}

/* Two digits as a number, or a value past 99. */
static unsigned two(const char *p)
{
    unsigned a = (unsigned)(unsigned char)p[0] - '0', b = (unsigned)(unsigned char)p[1] - '0';
    return a > 9 || b > 9 ? 100 : a * 10 + b;
}

/* "T06:17:23.371785Z", also with "+00:00": the time of the day; false for anything else. */
static bool time_of_day(struct str s, int64_t *ret_ns)
{
    if (s.n < 10 || s.p[0] != 'T' || s.p[3] != ':' || s.p[6] != ':') return false;
    unsigned hour = two(s.p + 1), minute = two(s.p + 4), second = two(s.p + 7);
    if (hour > 23 || minute > 59 || second > 59) return false;
    int64_t fraction = 0, unit = NS_PER_S;
    size_t i = 9;
    if (s.p[i] == '.') {
        for (i++; i < s.n && unit > 1; i++) {
            unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
            if (digit > 9) break;
            fraction = fraction * 10 + (int)digit;
            unit /= 10;
        }
        if (unit == NS_PER_S) return false;
    }
    bool utc =
        (s.n - i == 1 && s.p[i] == 'Z') || (s.n - i == 6 && memcmp(s.p + i, "+00:00", 6) == 0);
    *ret_ns = (hour * 3600 + minute * 60 + second) * NS_PER_S + fraction * unit;
    return utc;
}

enum err_code json_time_iso(struct json *j, yyjson_val *v, int64_t *ret_ns)
{
    struct str s = json_string(v);
    int64_t time_ns;
    if (s.n < 20 || !time_of_day((struct str){s.p + 10, s.n - 10}, &time_ns))
        return s.n ? time_parse_iso(s, ret_ns) : ERR_PARSE;
    /* Times of a feed are of one day: its date is worked out once. */
    if (memcmp(s.p, j->date, sizeof j->date) != 0) {
        TRY(time_parse_iso(s, ret_ns));
        memcpy(j->date, s.p, sizeof j->date);
        j->date_ns = *ret_ns - time_ns;
    }
    *ret_ns = j->date_ns + time_ns;
    return ERR_OK;
}
