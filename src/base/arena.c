#include "base/arena.h"

#include <stdlib.h>

enum { BLOCK_MIN = 64 << 10, ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t used, cap;
    _Alignas(ALIGN) unsigned char bytes[];
};

void arena_init(struct arena *a, size_t limit) { *a = (struct arena){.limit = limit}; }

void arena_free(struct arena *a)
{
    if (!a) return;
    for (struct arena_block *b = a->first; b;) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
    *a = (struct arena){.limit = a->limit};
}

/* Keeps the blocks: a batch that was big once will be big again, and its pool is bounded. */
void arena_reset(struct arena *a)
{
    for (struct arena_block *b = a->first; b; b = b->next) b->used = 0;
    a->current = a->first;
    a->used = 0;
}

static struct arena_block *next_block(struct arena *a, size_t n)
{
    struct arena_block *b = a->current ? a->current->next : a->first;
    if (b && b->cap >= n) return b;
    size_t cap = n > BLOCK_MIN ? n : BLOCK_MIN;
    struct arena_block *fresh = malloc(sizeof *fresh + cap);
    CHECK(fresh != NULL);
    *fresh = (struct arena_block){.next = b, .cap = cap};
    if (a->current)
        a->current->next = fresh;
    else
        a->first = fresh;
    return fresh;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > a->limit) return NULL;
    size_t need = (n + ALIGN - 1) / ALIGN * ALIGN;
    if (need > a->limit - a->used) return NULL;
    if (!a->current || a->current->cap - a->current->used < need) a->current = next_block(a, need);
    void *p = a->current->bytes + a->current->used;
    a->current->used += need;
    a->used += need;
    return p;
}

void *arena_zero(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    if (p) memset(p, 0, n);
    return p;
}

bool arena_copy(struct arena *a, struct str s, struct str *ret)
{
    if (s.n == 0) {
        *ret = (struct str){"", 0};
        return true;
    }
    char *p = arena_alloc(a, s.n);
    if (!p) return false;
    memcpy(p, s.p, s.n);
    *ret = (struct str){p, s.n};
    return true;
}
