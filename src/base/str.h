/* str.h - a borrowed slice of bytes; never owns, never ends with a zero by promise.
 * Lifetime  that of the memory it points into (a frame, a batch's arena, a literal).
 */
#ifndef TICKLAKE_BASE_STR_H
#define TICKLAKE_BASE_STR_H

#include "base/err.h"

#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_ARG(s)   (int)(s).n, (s).p /* for "%.*s" */

static inline struct str str_of(const char *text)
{
    return (struct str){text, text ? strlen(text) : 0};
}
static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool str_is(struct str a, const char *text) { return str_eq(a, str_of(text)); }
int str_cmp(struct str a, struct str b); /* bytes, shorter first */
bool str_starts(struct str s, const char *prefix);
bool str_ends(struct str s, const char *suffix);
bool str_contains(struct str s, const char *part);
/* Takes off and returns what stands before the first `sep`; the rest stays in *s. At the end, all of it. */
struct str str_cut(struct str *s, char sep);
struct str str_trim(struct str s);
/* Whole slice is a decimal integer of the range, else ERR_PARSE. */
enum err_code str_to_i64(struct str s, int64_t *ret) MUST_USE;
/* Copies into a fixed array with a zero; false (and an empty string) when it does not fit. */
bool str_copy(char *to, size_t to_size, struct str s);
/* Length of the well-formed UTF-8 sequence at its start, or 0 (over-long, surrogate and cut ones; an empty slice). */
size_t str_utf8(struct str s);
bool str_is_utf8(struct str s);
/* Levenshtein distance, for "did you mean"; both at most 64 bytes, else 64. */
int str_distance(struct str a, struct str b);

#endif
