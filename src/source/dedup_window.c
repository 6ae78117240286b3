/* The newest keys of trades without consecutive ids: a ring, and an open table that finds them. */
#include "source/dedup_internal.h"

#include <stdlib.h>

enum { FIRST_KEYS = 1024 };

void dedup_window_init(struct dedup_window *w, uint32_t max)
{
    *w = (struct dedup_window){.max = max > 16 ? max : 16};
}

void dedup_window_free(struct dedup_window *w)
{
    free(w->keys);
    free(w->slots);
}

static uint32_t home(const struct dedup_window *w, const struct dedup_key *k)
{
    return (uint32_t)k->low & (w->slot_count - 1);
}

static void put_slot(struct dedup_window *w, uint32_t index)
{
    uint32_t at = home(w, &w->keys[index]);
    while (w->slots[at]) at = (at + 1) & (w->slot_count - 1);
    w->slots[at] = index + 1;
}

static void grow(struct dedup_window *w)
{
    uint32_t cap = w->cap ? w->cap * 2 : FIRST_KEYS;
    if (cap > w->max) cap = w->max;
    w->keys = realloc(w->keys, cap * sizeof *w->keys);
    w->slot_count = FIRST_KEYS;
    while (w->slot_count < cap * 2) w->slot_count *= 2;
    free(w->slots);
    w->slots = calloc(w->slot_count, sizeof *w->slots);
    CHECK(w->keys != NULL && w->slots != NULL);
    w->cap = cap;
    for (uint32_t i = 0; i < w->count; i++) put_slot(w, i);
}

/* Takes a key out of the table and closes the hole that this leaves in its chain. */
static void forget(struct dedup_window *w, uint32_t index)
{
    uint32_t mask = w->slot_count - 1, at = home(w, &w->keys[index]);
    while (w->slots[at] != index + 1) at = (at + 1) & mask;
    for (uint32_t next = (at + 1) & mask; w->slots[next]; next = (next + 1) & mask) {
        uint32_t wanted = home(w, &w->keys[w->slots[next] - 1]);
        if (((next - wanted) & mask) < ((next - at) & mask)) continue;
        w->slots[at] = w->slots[next];
        at = next;
    }
    w->slots[at] = 0;
}

struct dedup_key *dedup_window_key(struct dedup_window *w, u128 hash, bool *ret_new)
{
    struct dedup_key k = {.high = (uint64_t)(hash >> 64), .low = (uint64_t)hash};
    *ret_new = false;
    if (w->slot_count) {
        uint32_t at = home(w, &k);
        for (; w->slots[at]; at = (at + 1) & (w->slot_count - 1)) {
            struct dedup_key *found = &w->keys[w->slots[at] - 1];
            if (found->low == k.low && found->high == k.high) return found;
        }
    }
    *ret_new = true;
    if (w->count == w->cap && w->cap < w->max) grow(w);
    uint32_t index = w->count;
    if (w->count < w->cap) {
        w->count++;
    } else {
        index = w->next;
        w->next = (w->next + 1) % w->cap;
        forget(w, index);
    }
    w->keys[index] = k;
    put_slot(w, index);
    return &w->keys[index];
}
