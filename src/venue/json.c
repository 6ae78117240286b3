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

enum err_code json_i64(yyjson_val *v, int64_t *ret)
{
    struct str s = json_token(v);
    if (s.n == 0 || s.n > 18) return str_to_i64(s, ret);
    /* Ids and times have fewer than 19 digits: no overflow to test for. */
    int64_t value = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9) return str_to_i64(s, ret);
        value = value * 10 + (int)digit;
    }
    *ret = value;
    return ERR_OK;
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
