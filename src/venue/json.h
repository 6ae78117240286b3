/* json.h - a thin layer over yyjson for venue decoders: in situ, numbers kept as the text the venue wrote.
 *
 * Calls     json_init(&j); root = json_read(&j, frame, len, ...); json_members(); json_dec() ...; json_free(&j).
 * Lifetime  values and texts point into the frame; they live until the next json_read of the same struct json.
 * Memory    one pool per session, reused: no allocation for frames up to JSON_POOL_BYTES / 12 (yyjson needs at most 12
 *           bytes a byte of text); larger ones take the heap until the next read.
 * Traps     raw numbers have no terminating zero; a key may stand twice (json_members says so, yyjson_obj_get takes the
 *           first); nothing here recurses, so nesting is bounded by the length of the frame alone.
 */
#ifndef TICKLAKE_VENUE_JSON_H
#define TICKLAKE_VENUE_JSON_H

#include "base/dec.h"
#include "base/time.h"

#include <yyjson.h>

enum {
    JSON_POOL_BYTES = 256 << 10,
    JSON_PADDING =
        8, /* writable bytes needed behind the text: numbers are read eight bytes at a time */
};

struct json {
    char *pool;
    yyjson_doc *doc;
    char date[10]; /* "2026-09-06", of the last time read, and the start of that day */
    int64_t date_ns;
};
void json_init(struct json *j);
void json_free(struct json *j);
/* The root value, or NULL with the place and the reason in *e. The text is changed. */
yyjson_val *json_read(struct json *j, char *text, size_t len, struct err *e);

struct json_key {
    const char *name;
    size_t len;
};
#define JSON_KEY(text)                                                                             \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
/* One pass over an object: values[i] becomes the member keys[i], or NULL. False when one of them stands twice, or when it
 * is no object. Fastest when the keys are in the order that the venue writes them in. */
bool json_members(yyjson_val *object, const struct json_key *keys, size_t count,
                  yyjson_val **values) MUST_USE;

/* The text of a string or of a number; {NULL, 0} for anything else and for NULL. */
static inline struct str json_token(yyjson_val *v)
{
    if (yyjson_is_str(v) || yyjson_is_raw(v)) return (struct str){v->uni.str, yyjson_get_len(v)};
    return (struct str){NULL, 0};
}
/* The text of a string alone. */
static inline struct str json_string(yyjson_val *v)
{
    if (yyjson_is_str(v)) return (struct str){v->uni.str, yyjson_get_len(v)};
    return (struct str){NULL, 0};
}
/* Exactly what the token says, be it a number or a string that holds one: dec_parse, but faster for the usual ones, since
 * bytes behind the token can be read. ERR_PARSE or ERR_INEXACT. */
enum err_code json_dec(yyjson_val *v, struct dec *ret) MUST_USE;
enum err_code json_i64(yyjson_val *v, int64_t *ret) MUST_USE;
enum err_code json_time_iso(struct json *j, yyjson_val *v, int64_t *ret_ns) MUST_USE;

#endif
