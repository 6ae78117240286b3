/* ring.h - a bounded queue of pointers between two stages' threads.
 * Threads   one producer, one consumer. Blocking calls wait for room or work, up to timeout_ms (0 polls,
 *           negative waits for ever), and return at once after ring_close().
 */
#ifndef TICKLAKE_BASE_RING_H
#define TICKLAKE_BASE_RING_H

#include "base/err.h"

struct ring;
struct ring *ring_new(size_t capacity);
struct ring *ring_free(struct ring *r); /* returns NULL; what is inside is not freed */
bool ring_push(struct ring *r, void *item, int timeout_ms); /* false: full (or closed) */
void *ring_pop(struct ring *r, int timeout_ms); /* NULL: nothing came, or closed and empty */
void ring_close(struct ring *r); /* no more pushes; what is inside can still be popped */
/* Closed and empty: nothing will ever come. ring_pop's NULL alone does not say so, nor does it together with "closed": an
 * item pushed between the two looks would be forgotten. */
bool ring_is_over(const struct ring *r);
size_t ring_count(const struct ring *r);

#endif
