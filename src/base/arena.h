/* arena.h - memory that is freed all at once: everything of a batch, a request, a row group.
 *
 * Calls     arena_init(&a, limit) ... arena_alloc/arena_copy ... arena_reset(&a) (keeps its blocks)
 *           ... arena_free(&a).
 * Limits    `limit` bytes in all; past it arena_alloc returns NULL (an ERR_FULL of the caller).
 * Aligned   to 16 bytes.
 */
#ifndef TICKLAKE_BASE_ARENA_H
#define TICKLAKE_BASE_ARENA_H

#include "base/str.h"

struct arena_block;
struct arena {
    struct arena_block *first, *current;
    size_t used, limit;
};

void arena_init(struct arena *a, size_t limit);
void arena_free(struct arena *a);
void arena_reset(struct arena *a);
void *arena_alloc(struct arena *a, size_t n); /* not zeroed; NULL past the limit */
void *arena_zero(struct arena *a, size_t n);  /* zeroed */
bool arena_copy(struct arena *a, struct str s, struct str *ret); /* false past the limit */

#endif
