/* json.h - members and elements of JSON recordings as text, on top of venue/json.h. Internal to recording/.
 *
 * Read with YYJSON_READ_NUMBER_AS_RAW, so that numbers keep their text. Whatever is no text or number is empty.
 */
#ifndef TICKLAKE_RECORDING_JSON_H
#define TICKLAKE_RECORDING_JSON_H

#include "venue/json.h"

static inline struct str json_member(yyjson_val *object, const char *key)
{
    return json_token(yyjson_obj_get(object, key));
}
static inline struct str json_at(yyjson_val *array, size_t index)
{
    return json_token(yyjson_arr_get(array, index));
}

#endif
