#include "event/batch.h"

#include "base/array.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Small side arrays: a batch meets few of these, and a source that would need more pushes the batch first. */
enum { POSITIONS_MAX = 4096, BATCH_INSTRUMENTS_MAX = 65536, INDEX_LIMIT = 1 << 29 };
enum { EXTRA_COLUMNS_MAX = 256, EXTRAS_MAX = 1 << 20 };

struct batch_pool {
    pthread_mutex_t lock;
    pthread_cond_t returned;
    size_t count, free_count;
    struct batch **free_list;
    struct batch *batches;
};

static void batch_init(struct batch *b, struct batch_pool *p, size_t max_events, size_t max_bytes)
{
    *b = (struct batch){.pool = p, .max_events = max_events};
    arena_init(&b->arena, max_bytes);
    proof_set_init(&b->proofs);
    b->order = malloc(max_events * sizeof *b->order);
    CHECK(b->order != NULL);
    batch_clear(b);
}

static void batch_done(struct batch *b)
{
    arena_free(&b->arena);
    proof_set_free(&b->proofs);
    free(b->order);
    free(b->trades);
    free(b->quotes);
    free(b->gaps);
    free(b->deads);
    free(b->candles);
    free(b->positions);
    free(b->dedup);
    free(b->instruments);
    free(b->extra_columns);
    free(b->extras);
}

struct batch_pool *batch_pool_new(size_t batches, size_t max_events, size_t max_bytes)
{
    CHECK(batches > 0 && max_events > 0 && max_events < INDEX_LIMIT);
    struct batch_pool *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    p->batches = calloc(batches, sizeof *p->batches);
    p->free_list = calloc(batches, sizeof *p->free_list);
    CHECK(p->batches != NULL && p->free_list != NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->returned, &attr);
    pthread_condattr_destroy(&attr);
    p->count = batches;
    for (size_t i = 0; i < batches; i++) {
        batch_init(&p->batches[i], p, max_events, max_bytes);
        p->free_list[p->free_count++] = &p->batches[i];
    }
    return p;
}

struct batch_pool *batch_pool_free(struct batch_pool *p)
{
    if (!p) return NULL;
    CHECK(p->free_count == p->count);
    for (size_t i = 0; i < p->count; i++) batch_done(&p->batches[i]);
    pthread_cond_destroy(&p->returned);
    pthread_mutex_destroy(&p->lock);
    free(p->batches);
    free(p->free_list);
    free(p);
    return NULL;
}

struct batch *batch_get(struct batch_pool *p, int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + (timeout_ms > 0 ? timeout_ms : 0) * NS_PER_MS;
    until.tv_sec += ns / NS_PER_S;
    until.tv_nsec = (long)(ns % NS_PER_S);
    pthread_mutex_lock(&p->lock);
    while (p->free_count == 0 && timeout_ms != 0) {
        if (timeout_ms < 0)
            pthread_cond_wait(&p->returned, &p->lock);
        else if (pthread_cond_timedwait(&p->returned, &p->lock, &until) == ETIMEDOUT)
            break;
    }
    struct batch *b = p->free_count ? p->free_list[--p->free_count] : NULL;
    pthread_mutex_unlock(&p->lock);
    return b;
}

void batch_put(struct batch *b)
{
    if (!b) return;
    batch_clear(b);
    struct batch_pool *p = b->pool;
    pthread_mutex_lock(&p->lock);
    CHECK(p->free_count < p->count);
    p->free_list[p->free_count++] = b;
    pthread_cond_signal(&p->returned);
    pthread_mutex_unlock(&p->lock);
}

void batch_clear(struct batch *b)
{
    arena_reset(&b->arena);
    proof_set_clear(&b->proofs);
    b->event_count = b->trade_count = b->quote_count = b->gap_count = 0;
    b->dead_count = b->candle_count = 0;
    b->position_count = b->dedup_count = b->instrument_count = 0;
    b->extra_column_count = b->extra_count = b->trades_cut = 0;
    b->duplicates = 0;
    b->first_received_ns = b->clock_ns = TIME_ABSENT;
    b->finish = false;
    b->first_sequence = b->last_sequence = 0;
}

static bool add_order(struct batch *b, enum event_type type, size_t index)
{
    if (b->event_count >= b->max_events) return false;
    b->order[b->event_count++] = (struct event_ref){.type = (unsigned)type & 7,
                                                    .index = (unsigned)index & (INDEX_LIMIT - 1)};
    return true;
}

#define ADD_FUNCTION(name, type, EVENT, array, count, cap)                                         \
    struct type *name(struct batch *b)                                                             \
    {                                                                                              \
        if (!add_order(b, EVENT, b->count)) return NULL;                                           \
        b->array = array_grown(b->array, b->count, &b->cap, sizeof *b->array);                     \
        struct type *item = &b->array[b->count++];                                                 \
        memset(item, 0, sizeof *item);                                                             \
        return item;                                                                               \
    }
ADD_FUNCTION(batch_add_trade, trade, EVENT_TRADE, trades, trade_count, trade_cap)
ADD_FUNCTION(batch_add_quote, quote, EVENT_QUOTE, quotes, quote_count, quote_cap)
ADD_FUNCTION(batch_add_gap, gap, EVENT_GAP, gaps, gap_count, gap_cap)
ADD_FUNCTION(batch_add_dead, dead, EVENT_DEAD, deads, dead_count, dead_cap)
ADD_FUNCTION(batch_add_venue_candle, venue_candle, EVENT_VENUE_CANDLE, candles, candle_count,
             candle_cap)

struct instrument *batch_add_instrument(struct batch *b)
{
    if (b->instrument_count >= BATCH_INSTRUMENTS_MAX) return NULL;
    b->instruments = array_grown(b->instruments, b->instrument_count, &b->instrument_cap,
                                 sizeof *b->instruments);
    struct instrument *item = &b->instruments[b->instrument_count++];
    memset(item, 0, sizeof *item);
    return item;
}

bool batch_set_position(struct batch *b, struct str name, int64_t frames, bool done)
{
    for (size_t i = 0; i < b->position_count; i++) {
        if (!str_eq(b->positions[i].name, name)) continue;
        b->positions[i].frames = frames;
        b->positions[i].done = done;
        return true;
    }
    struct str copy;
    if (b->position_count >= POSITIONS_MAX || !batch_text(b, name, &copy)) return false;
    b->positions =
        array_grown(b->positions, b->position_count, &b->position_cap, sizeof *b->positions);
    b->positions[b->position_count++] = (struct source_position){copy, frames, done};
    return true;
}

bool batch_set_dedup(struct batch *b, uint32_t series, uint8_t stream, struct str bytes)
{
    struct str copy;
    if (!batch_text(b, bytes, &copy)) return false;
    b->dedup = array_grown(b->dedup, b->dedup_count, &b->dedup_cap, sizeof *b->dedup);
    b->dedup[b->dedup_count++] = (struct dedup_state){series, stream, copy};
    return true;
}

int batch_extra_column(struct batch *b, const struct extra_column *column)
{
    for (size_t i = b->extra_column_count; i-- > 0;) { /* the newest writer's first */
        const struct extra_column *c = &b->extra_columns[i];
        if (c->table == column->table && c->type == column->type && str_eq(c->name, column->name) &&
            str_eq(c->from, column->from))
            return (int)i;
    }
    struct extra_column copy = *column;
    if (b->extra_column_count == EXTRA_COLUMNS_MAX || !batch_text(b, column->name, &copy.name) ||
        !batch_text(b, column->from, &copy.from))
        return -1;
    b->extra_columns = array_grown(b->extra_columns, b->extra_column_count, &b->extra_column_cap,
                                   sizeof *b->extra_columns);
    b->extra_columns[b->extra_column_count] = copy;
    return (int)b->extra_column_count++;
}

struct extra *batch_add_extra(struct batch *b)
{
    if (b->extra_count == EXTRAS_MAX) return NULL;
    b->extras = array_grown(b->extras, b->extra_count, &b->extra_cap, sizeof *b->extras);
    struct extra *x = &b->extras[b->extra_count++];
    *x = (struct extra){0};
    return x;
}

bool batch_text(struct batch *b, struct str s, struct str *ret)
{
    return arena_copy(&b->arena, s, ret);
}

void batch_drop_deads(struct batch *b, bool (*drop)(void *ctx, const struct dead *d), void *ctx)
{
    enum { GONE = UINT32_MAX };
    uint32_t *place = malloc((b->dead_count + 1) * sizeof *place); /* of each that stays */
    CHECK(place != NULL);
    uint32_t count = 0;
    for (size_t i = 0; i < b->dead_count; i++) {
        place[i] = drop(ctx, &b->deads[i]) ? GONE : count;
        if (place[i] != GONE) b->deads[count++] = b->deads[i];
    }
    b->dead_count = count;
    size_t kept = 0;
    for (size_t i = 0; i < b->event_count; i++) {
        struct event_ref r = b->order[i];
        if (r.type == EVENT_DEAD && place[r.index] == GONE) continue;
        if (r.type == EVENT_DEAD) r.index = place[r.index] & (INDEX_LIMIT - 1);
        b->order[kept++] = r;
    }
    b->event_count = kept;
    kept = 0;
    for (size_t i = 0; i < b->extra_count; i++) {
        struct extra x = b->extras[i];
        bool dead = b->extra_columns[x.column].table == TABLE_DEAD_LETTERS;
        if (dead && place[x.index] == GONE) continue;
        if (dead) x.index = place[x.index];
        b->extras[kept++] = x;
    }
    b->extra_count = kept;
    free(place);
}

void batch_number(struct batch *b, int64_t first)
{
    for (size_t i = 0; i < b->event_count; i++) {
        int64_t sequence = first + (int64_t)i;
        size_t at = b->order[i].index;
        switch ((enum event_type)b->order[i].type) {
        case EVENT_TRADE: b->trades[at].sequence = sequence; break;
        case EVENT_QUOTE: b->quotes[at].sequence = sequence; break;
        case EVENT_GAP: b->gaps[at].sequence = sequence; break;
        case EVENT_DEAD: b->deads[at].sequence = sequence; break;
        case EVENT_VENUE_CANDLE: b->candles[at].c.sequence = sequence; break;
        }
    }
    b->first_sequence = first;
    b->last_sequence = first + (b->event_count ? (int64_t)b->event_count - 1 : 0);
}
