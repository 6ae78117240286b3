#include "event/series.h"

#include "base/map.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { CHUNK = 1024, CHUNKS = (SERIES_LIMIT + CHUNK - 1) / CHUNK, NAME_MAX_BYTES = 128 };

struct series_table {
    pthread_mutex_t lock;
    struct map ids; /* key: the four names, each behind its length */
    struct arena names;
    struct series *chunks[CHUNKS];
    atomic_uint count;
};

struct series_table *series_new(void)
{
    struct series_table *t = calloc(1, sizeof *t);
    CHECK(t != NULL);
    pthread_mutex_init(&t->lock, NULL);
    map_init(&t->ids, SERIES_LIMIT);
    arena_init(&t->names, (size_t)SERIES_LIMIT * 4 * NAME_MAX_BYTES);
    return t;
}

struct series_table *series_free(struct series_table *t)
{
    if (!t) return NULL;
    for (size_t i = 0; i < CHUNKS; i++) free(t->chunks[i]);
    map_free(&t->ids);
    arena_free(&t->names);
    pthread_mutex_destroy(&t->lock);
    free(t);
    return NULL;
}

static uint32_t add(struct series_table *t, struct str key, const struct str names[4])
{
    uint32_t id = atomic_load_explicit(&t->count, memory_order_relaxed);
    if (id >= SERIES_LIMIT || map_put(&t->ids, key, id) == MAP_FULL) return SERIES_NONE;
    struct series **chunk = &t->chunks[id / CHUNK];
    if (!*chunk) *chunk = calloc(CHUNK, sizeof **chunk);
    CHECK(*chunk != NULL);
    struct series *s = &(*chunk)[id % CHUNK];
    s->id = id;
    struct str *fields[] = {&s->venue, &s->exchange, &s->symbol, &s->venue_symbol};
    for (int i = 0; i < 4; i++) CHECK(arena_copy(&t->names, names[i], fields[i]));
    atomic_store_explicit(&t->count, id + 1, memory_order_release);
    return id;
}

uint32_t series_intern(struct series_table *t, struct str venue, struct str exchange,
                       struct str symbol, struct str venue_symbol)
{
    const struct str names[4] = {venue, exchange, symbol, venue_symbol};
    char key[4 * (NAME_MAX_BYTES + 1)];
    size_t len = 0;
    for (int i = 0; i < 4; i++) {
        if (names[i].n == 0 || names[i].n > NAME_MAX_BYTES) return SERIES_NONE;
        key[len++] = (char)names[i].n;
        memcpy(key + len, names[i].p, names[i].n);
        len += names[i].n;
    }
    struct str whole = {key, len};
    pthread_mutex_lock(&t->lock);
    uint32_t id = map_get(&t->ids, whole);
    if (id == MAP_NONE) id = add(t, whole, names);
    pthread_mutex_unlock(&t->lock);
    return id;
}

uint32_t series_count(const struct series_table *t)
{
    return atomic_load_explicit(&((struct series_table *)(uintptr_t)t)->count,
                                memory_order_acquire);
}

const struct series *series_get(const struct series_table *t, uint32_t id)
{
    CHECK(id < series_count(t));
    return &t->chunks[id / CHUNK][id % CHUNK];
}

uint32_t series_find(const struct series_table *t, struct str venue, struct str symbol)
{
    uint32_t count = series_count(t);
    for (uint32_t i = 0; i < count; i++) {
        const struct series *s = series_get(t, i);
        if (str_eq(s->venue, venue) && str_eq(s->symbol, symbol)) return i;
    }
    return SERIES_NONE;
}
