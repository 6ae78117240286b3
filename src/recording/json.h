/* json.h - small helpers over yyjson for readers of JSON recordings; numbers are always kept as
 * their text. */
#ifndef TICKLAKE_RECORDING_JSON_H
#define TICKLAKE_RECORDING_JSON_H

#include "base/str.h"

#include <yyjson.h>

/* The text of a string or a number (read with YYJSON_READ_NUMBER_AS_RAW); empty for anything else
 * and for NULL. */
static inline struct str json_str(yyjson_val *v)
{
    if (yyjson_is_str(v)) return (struct str){yyjson_get_str(v), yyjson_get_len(v)};
    if (yyjson_is_raw(v)) return (struct str){yyjson_get_raw(v), yyjson_get_len(v)};
    return STR("");
}
static inline struct str json_member(yyjson_val *object, const char *key)
{
    return json_str(yyjson_obj_get(object, key));
}
static inline struct str json_at(yyjson_val *array, size_t index)
{
    return json_str(yyjson_arr_get(array, index));
}

#endif
