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
            if (keys[at].len != len || memcmp(keys[at].name, name, len) != 0) continue;
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

enum err_code json_time_iso(yyjson_val *v, int64_t *ret_ns)
{
    struct str s = json_string(v);
    if (s.n == 0) return ERR_PARSE;
    return time_parse_iso(s, ret_ns);
}
