/* array.h - a plain array that grows: its owner keeps the pointer, a count and a capacity side by side.
 *
 * Usage     l->items = array_grown(l->items, l->count, &l->cap, sizeof *l->items);
 *           l->items[l->count++] = item;
 * Ownership the caller's; starts as NULL with capacity 0, ends with free(). Items move when it grows.
 * Limits    none here: whoever adds bounds the count, and so out of memory is a CHECK.
 */
#ifndef TICKLAKE_BASE_ARRAY_H
#define TICKLAKE_BASE_ARRAY_H

#include <stddef.h>

/* Room for at least one item behind `count`; doubles, so that adding n items moves fewer than 2n. */
void *array_grown(void *array, size_t count, size_t *cap, size_t size);

#endif
