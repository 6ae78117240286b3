#include "base/map.h"

#include "base/hash.h"

#include <stdlib.h>

struct map_slot {
    uint64_t hash;
    struct str key;
    uint32_t value;
    bool used;
};

void map_init(struct map *m, uint32_t max)
{
    CHECK(max < MAP_FULL);
    *m = (struct map){.max = max};
    arena_init(&m->keys, SIZE_MAX / 4);
}

void map_free(struct map *m)
{
    if (!m) return;
    free(m->slots);
    arena_free(&m->keys);
    *m = (struct map){.max = m->max};
}

void map_clear(struct map *m)
{
    if (m->slots) memset(m->slots, 0, m->slot_count * sizeof *m->slots);
    m->used = 0;
    arena_reset(&m->keys);
}

/* The slot of the key, or the free one where it would go. slot_count is a power of two, at most 3/4 full. */
static struct map_slot *find(const struct map *m, struct str key, uint64_t hash)
{
    for (uint64_t i = hash;; i++) {
        struct map_slot *s = &m->slots[i & (m->slot_count - 1)];
        if (!s->used || (s->hash == hash && str_eq(s->key, key))) return s;
    }
}

static void grow(struct map *m)
{
    struct map_slot *old = m->slots;
    uint32_t old_count = m->slot_count;
    m->slot_count = old_count ? old_count * 2 : 64;
    m->slots = calloc(m->slot_count, sizeof *m->slots);
    CHECK(m->slots != NULL);
    for (uint32_t i = 0; i < old_count; i++)
        if (old[i].used) *find(m, old[i].key, old[i].hash) = old[i];
    free(old);
}

uint32_t map_get(const struct map *m, struct str key)
{
    if (m->used == 0) return MAP_NONE;
    const struct map_slot *s = find(m, key, hash64(key));
    return s->used ? s->value : MAP_NONE;
}

uint32_t map_put(struct map *m, struct str key, uint32_t value)
{
    if ((uint64_t)m->used * 4 >= (uint64_t)m->slot_count * 3) grow(m);
    uint64_t hash = hash64(key);
    struct map_slot *s = find(m, key, hash);
    if (!s->used) {
        if (m->used >= m->max) return MAP_FULL;
        struct str copy;
        CHECK(arena_copy(&m->keys, key, &copy));
        *s = (struct map_slot){.hash = hash, .key = copy, .used = true};
        m->used++;
    }
    s->value = value;
    return value;
}
