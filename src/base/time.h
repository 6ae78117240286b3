/* time.h - times are int64 nanoseconds since 1970 UTC; TIME_ABSENT where a venue gives none.
 * Range     1678 to 2262. No function here reads a clock (io/clock.h does).
 */
#ifndef TICKLAKE_BASE_TIME_H
#define TICKLAKE_BASE_TIME_H

#include "base/str.h"

#define TIME_ABSENT   INT64_MIN
#define NS_PER_US     INT64_C(1000)
#define NS_PER_MS     INT64_C(1000000)
#define NS_PER_S      INT64_C(1000000000)
#define NS_PER_MINUTE (60 * NS_PER_S)
#define NS_PER_HOUR   (3600 * NS_PER_S)
#define NS_PER_DAY    (86400 * NS_PER_S)

enum { TIME_TEXT_MAX = 40 };

/* "2026-09-06T03:55:54.366000+00:00", 0..9 fraction digits, 'Z' or +hh:mm or nothing (UTC), 'T' or ' '. */
enum err_code time_parse_iso(struct str s, int64_t *ret_ns) MUST_USE;
/* Decimal text "1618678132.368463" of a unit (NS_PER_S, NS_PER_MS ...) to ns, exactly or ERR_INEXACT. */
enum err_code time_parse_decimal(struct str s, int64_t unit_ns, int64_t *ret_ns) MUST_USE;
enum err_code time_from_unit(int64_t value, int64_t unit_ns,
                             int64_t *ret_ns) MUST_USE; /* checked */
/* "2024-08-08T23:54:15.343000000Z" -> shortest of 0, 3, 6, 9 fraction digits; returns the length. */
size_t time_format(int64_t ns, char *text);
int64_t time_floor(int64_t ns, int64_t unit_ns); /* floor also below 1970 */
int32_t time_day(int64_t ns);                    /* days since 1970, floor */
int64_t time_micros(int64_t ns);                 /* floor */

#endif
