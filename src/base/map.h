/* map.h - byte string -> uint32, open addressing; keys are copied. For interning names and keys.
 * Limits    `max` entries (map_put then returns MAP_FULL). One thread at a time.
 */
#ifndef TICKLAKE_BASE_MAP_H
#define TICKLAKE_BASE_MAP_H

#include "base/arena.h"

#define MAP_NONE UINT32_MAX
#define MAP_FULL (UINT32_MAX - 1)

struct map_slot;
struct map {
    struct map_slot *slots;
    uint32_t slot_count, used, max;
    struct arena keys;
};

void map_init(struct map *m, uint32_t max);
void map_free(struct map *m);
void map_clear(struct map *m);
uint32_t map_get(const struct map *m, struct str key); /* MAP_NONE when absent */
/* Sets (or overwrites) the value; MAP_FULL past max, else the value. */
uint32_t map_put(struct map *m, struct str key, uint32_t value);

#endif
