#include "event/proof.h"

#include <stdlib.h>

/* The canonical form is bytes with every field behind its length or of fixed width, little-endian, so that no two
 * events share one. docs/formats.md states it; changing it makes every stored proof worthless. */
struct canonical {
    char bytes[4 * 130 + 160];
    size_t len;
};

static void put(struct canonical *c, const void *p, size_t n)
{
    CHECK(c->len + n <= sizeof c->bytes);
    if (n) memcpy(c->bytes + c->len, p, n);
    c->len += n;
}

static void put_u8(struct canonical *c, unsigned v)
{
    unsigned char byte = (unsigned char)v;
    put(c, &byte, 1);
}

static void put_i64(struct canonical *c, int64_t v)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)((uint64_t)v >> (8 * i));
    put(c, bytes, sizeof bytes);
}

static void put_str(struct canonical *c, struct str s)
{
    size_t n = s.n < 128 ? s.n : 128;
    put_u8(c, (unsigned)n);
    put(c, s.p, n);
}

static void put_dec(struct canonical *c, struct dec d)
{
    put_i64(c, d.digits);
    put_u8(c, (unsigned char)d.scale);
}

u128 proof_hash_trade(const struct series *s, const struct trade *t)
{
    struct canonical c = {.len = 0};
    put_str(&c, s->venue);
    put_str(&c, s->exchange);
    put_str(&c, s->symbol);
    put_u8(&c, t->stream);
    put_u8(&c, t->has_id);
    if (t->has_id) {
        put_i64(&c, t->id);
        put_str(&c, t->id_text);
    } else {
        put_i64(&c, t->ordinal);
    }
    put_u8(&c, t->side);
    put_dec(&c, t->price);
    put_dec(&c, t->size);
    put_i64(&c, t->venue_time_ns);
    return hash128((struct str){c.bytes, c.len});
}

u128 proof_hash_quote(const struct series *s, const struct quote *q)
{
    struct canonical c = {.len = 0};
    put_str(&c, s->venue);
    put_str(&c, s->exchange);
    put_str(&c, s->symbol);
    put_u8(&c, STREAM_QUOTE);
    put_dec(&c, q->bid_price);
    put_dec(&c, q->bid_size);
    put_dec(&c, q->ask_price);
    put_dec(&c, q->ask_size);
    put_i64(&c, q->venue_time_ns);
    put_i64(&c, q->received_ns);
    return hash128((struct str){c.bytes, c.len});
}

int64_t proof_minute(int64_t venue_time_ns, int64_t received_ns)
{
    int64_t ns = venue_time_ns != TIME_ABSENT ? venue_time_ns : received_ns;
    return time_floor(ns, NS_PER_MINUTE) / NS_PER_MINUTE;
}

void proof_set_init(struct proof_set *p) { *p = (struct proof_set){0}; }

void proof_set_free(struct proof_set *p)
{
    if (!p) return;
    free(p->items);
    free(p->slots);
    *p = (struct proof_set){0};
}

void proof_set_clear(struct proof_set *p)
{
    p->count = 0;
    if (p->slots) memset(p->slots, 0xff, p->slot_count * sizeof *p->slots);
}

static uint64_t slot_hash(uint32_t series, uint8_t stream, int64_t minute)
{
    uint64_t h = (uint64_t)minute * UINT64_C(0x9e3779b97f4a7c15);
    h ^= ((uint64_t)series << 8 | stream) * UINT64_C(0xc2b2ae3d27d4eb4f);
    return h ^ h >> 29;
}

static uint32_t *find_slot(const struct proof_set *p, uint32_t series, uint8_t stream,
                           int64_t minute)
{
    for (uint64_t i = slot_hash(series, stream, minute);; i++) {
        uint32_t *slot = &p->slots[i & (p->slot_count - 1)];
        if (*slot == UINT32_MAX) return slot;
        const struct proof *item = &p->items[*slot];
        if (item->series == series && item->stream == stream && item->minute == minute) return slot;
    }
}

static void rebuild_slots(struct proof_set *p)
{
    memset(p->slots, 0xff, p->slot_count * sizeof *p->slots);
    for (size_t i = 0; i < p->count; i++) {
        const struct proof *item = &p->items[i];
        *find_slot(p, item->series, item->stream, item->minute) = (uint32_t)i;
    }
}

static void grow(struct proof_set *p)
{
    p->cap = p->cap ? p->cap * 2 : 64;
    p->items = realloc(p->items, p->cap * sizeof *p->items);
    p->slot_count = p->cap * 2;
    p->slots = realloc(p->slots, p->slot_count * sizeof *p->slots);
    CHECK(p->items != NULL && p->slots != NULL && p->cap < UINT32_MAX / 4);
    rebuild_slots(p);
}

void proof_set_add(struct proof_set *p, uint32_t series, uint8_t stream, int64_t minute,
                   int64_t count, u128 sum)
{
    if (p->count == p->cap) grow(p);
    uint32_t *slot = find_slot(p, series, stream, minute);
    if (*slot == UINT32_MAX) {
        *slot = (uint32_t)p->count;
        p->items[p->count++] = (struct proof){.series = series, .stream = stream, .minute = minute};
    }
    p->items[*slot].count += count;
    p->items[*slot].sum += sum;
}

void proof_add_trade(struct proof_set *p, const struct series_table *names, const struct trade *t)
{
    proof_set_add(p, t->series, t->stream, proof_minute(t->venue_time_ns, t->received_ns), 1,
                  proof_hash_trade(series_get(names, t->series), t));
}

void proof_add_quote(struct proof_set *p, const struct series_table *names, const struct quote *q)
{
    proof_set_add(p, q->series, STREAM_QUOTE, proof_minute(q->venue_time_ns, q->received_ns), 1,
                  proof_hash_quote(series_get(names, q->series), q));
}

const struct proof *proof_set_find(const struct proof_set *p, uint32_t series, uint8_t stream,
                                   int64_t minute)
{
    if (p->count == 0) return NULL;
    uint32_t slot = *find_slot(p, series, stream, minute);
    return slot == UINT32_MAX ? NULL : &p->items[slot];
}

static int compare(const void *a, const void *b)
{
    const struct proof *x = a, *y = b;
    if (x->series != y->series) return x->series < y->series ? -1 : 1;
    if (x->stream != y->stream) return x->stream < y->stream ? -1 : 1;
    return (x->minute > y->minute) - (x->minute < y->minute);
}

void proof_set_sort(struct proof_set *p)
{
    if (p->count == 0) return;
    qsort(p->items, p->count, sizeof *p->items, compare);
    rebuild_slots(p);
}
