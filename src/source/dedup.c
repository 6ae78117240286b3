#include "source/dedup_internal.h"

#include "base/hash.h"

#include <stdlib.h>

enum { EPOCH_IDS = 1000, LIVES_MAX = 1 << 22, STATE_MAX = 64 << 20 };
/* A lower id whose time is newer than everything by so much is no reordering: ids began anew. */
#define EPOCH_NS (60 * NS_PER_S)

struct dedup *dedup_new(const struct dedup_options *o)
{
    struct dedup *d = calloc(1, sizeof *d);
    CHECK(d != NULL);
    d->options = *o;
    d->next_gap_id = o->next_gap_id > 0 ? o->next_gap_id : 1;
    uint32_t most = UINT32_C(1) << 26;
    dedup_window_init(&d->window, o->window_keys < most / DEDUP_WINDOW_SHARE
                                      ? o->window_keys * DEDUP_WINDOW_SHARE
                                      : most);
    buf_init(&d->buf, STATE_MAX);
    return d;
}

static void free_tape(struct dedup_tape *tape)
{
    free(tape->now.spans);
    free(tape->before.spans);
    free(tape->closed);
    free(tape);
}

struct dedup *dedup_free(struct dedup *d)
{
    if (!d) return NULL;
    for (size_t i = 0; i < d->tape_cap; i++)
        if (d->tapes[i]) free_tape(d->tapes[i]);
    free(d->tapes);
    for (size_t i = 0; i < d->ongoing_cap; i++) free(d->ongoing[i]);
    free(d->ongoing);
    free(d->dirty);
    free(d->active);
    free(d->lives);
    dedup_window_free(&d->window);
    buf_free(&d->buf);
    free(d);
    return NULL;
}

/* ---- Tapes ---- */

static void grow_tapes(struct dedup *d, size_t needed)
{
    size_t cap = d->tape_cap ? d->tape_cap : 64;
    while (cap < needed) cap *= 2;
    d->tapes = realloc(d->tapes, cap * sizeof(struct dedup_tape *));
    CHECK(d->tapes != NULL);
    for (size_t i = d->tape_cap; i < cap; i++) d->tapes[i] = NULL;
    d->tape_cap = cap;
}

struct dedup_tape *dedup_tape_of(struct dedup *d, uint32_t series, uint8_t stream)
{
    CHECK(series < SERIES_LIMIT && stream < DEDUP_STREAMS);
    size_t at = (size_t)series * DEDUP_STREAMS + stream;
    if (at >= d->tape_cap) grow_tapes(d, at + 1);
    if (d->tapes[at]) return d->tapes[at];
    struct dedup_tape *tape = calloc(1, sizeof *tape);
    CHECK(tape != NULL);
    tape->series = series;
    tape->stream = stream;
    tape->now.start_ns = tape->now.newest_ns = TIME_ABSENT;
    tape->before.start_ns = tape->before.newest_ns = TIME_ABSENT;
    d->tapes[at] = tape;
    return tape;
}

void dedup_touch(struct dedup *d, struct dedup_tape *tape)
{
    if (tape->dirty) return;
    tape->dirty = true;
    d->dirty = array_grown(d->dirty, d->dirty_count, &d->dirty_cap, sizeof(struct dedup_tape *));
    d->dirty[d->dirty_count++] = tape;
}

void dedup_activate(struct dedup *d, struct dedup_tape *tape)
{
    if (tape->active) return;
    tape->active = true;
    d->active =
        array_grown(d->active, d->active_count, &d->active_cap, sizeof(struct dedup_tape *));
    d->active[d->active_count++] = tape;
}

/* ---- Contents ---- */

static uint64_t stir(uint64_t h, uint64_t v)
{
    u128 p = (u128)(h ^ v) * UINT64_C(0x9E3779B97F4A7C15);
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* Stored with the state: never change it without a new version of that. */
static uint32_t content_hash(const struct trade *t)
{
    uint64_t h = UINT64_C(0x2545F4914F6CDD1D);
    h = stir(h, (uint64_t)t->price.digits);
    h = stir(h, (uint64_t)t->size.digits);
    h = stir(h, (uint64_t)t->venue_time_ns);
    h = stir(h, (uint64_t)(uint8_t)t->price.scale << 16 | (uint64_t)(uint8_t)t->size.scale << 8 |
                    t->side);
    return (uint32_t)(h ^ h >> 32);
}

static uint32_t content_tag(int64_t id) { return (uint32_t)(id / DEDUP_CONTENTS) + 1; }

/* ---- Consecutive ids ---- */

static bool later_by(int64_t time_ns, int64_t than_ns, int64_t by_ns)
{
    int64_t ahead;
    if (time_ns <= than_ns) return false;
    return __builtin_sub_overflow(time_ns, than_ns, &ahead) || ahead >= by_ns;
}

static bool begins_epoch(const struct dedup_set *set, const struct trade *t)
{
    int64_t newest_id = set->spans[set->count - 1].hi;
    if (t->id >= newest_id) return false;
    if (newest_id - t->id <= EPOCH_IDS && t->id >= newest_id / 2) return false;
    return t->venue_time_ns != TIME_ABSENT && set->newest_ns != TIME_ABSENT &&
           later_by(t->venue_time_ns, set->newest_ns, EPOCH_NS);
}

static void begin_epoch(struct dedup *d, struct dedup_tape *tape)
{
    dedup_set_end(d, tape, &tape->before);
    tape->before = tape->now;
    tape->now = (struct dedup_set){.start_ns = TIME_ABSENT, .newest_ns = TIME_ABSENT};
    memset(tape->contents, 0, sizeof tape->contents);
}

static struct dedup_set *set_of(struct dedup *d, struct dedup_tape *tape, const struct trade *t)
{
    struct dedup_set *now = &tape->now;
    if (tape->before.count && t->venue_time_ns != TIME_ABSENT && now->start_ns != TIME_ABSENT &&
        t->venue_time_ns < now->start_ns)
        return &tape->before;
    if (now->count && begins_epoch(now, t)) begin_epoch(d, tape);
    return now;
}

static enum dedup_result take_consecutive(struct dedup *d, struct trade *t)
{
    struct dedup_tape *tape = dedup_tape_of(d, t->series, t->stream);
    struct dedup_set *set = set_of(d, tape, t);
    struct dedup_content *content = &tape->contents[t->id % DEDUP_CONTENTS];
    uint32_t hash = content_hash(t);
    bool first = set->count == 0;
    int64_t time_ns = t->venue_time_ns != TIME_ABSENT ? t->venue_time_ns : t->received_ns;
    bool is_new = dedup_set_insert(d, tape, set, t->id, time_ns, t->received_ns);
    bool history = t->origin == ORIGIN_BACKFILLED || t->origin == ORIGIN_REPAIRED;
    if (set->floor == DEDUP_NO_FLOOR && !history) {
        set->floor = t->id;
        dedup_touch(d, tape);
    }
    if (!is_new) {
        bool known = set == &tape->now && content->tag == content_tag(t->id);
        return known && content->hash != hash ? DEDUP_CONFLICT : DEDUP_DUPLICATE;
    }
    if (first) set->start_ns = t->venue_time_ns;
    if (t->venue_time_ns > set->newest_ns) set->newest_ns = t->venue_time_ns;
    if (set == &tape->now) *content = (struct dedup_content){content_tag(t->id), hash};
    dedup_touch(d, tape);
    return DEDUP_NEW;
}

/* ---- Other ids, and no ids ---- */

struct window_text {
    uint32_t series, stream_and_kind;
    int64_t a, b, c, d;
};

static u128 id_key(const struct trade *t)
{
    struct window_text k = {.series = t->series, .stream_and_kind = t->stream, .a = t->id};
    if (t->id_text.n) {
        u128 h = hash128(t->id_text);
        k.stream_and_kind |= 1u << 8;
        k.a = (int64_t)(uint64_t)h;
        k.b = (int64_t)(uint64_t)(h >> 64);
    }
    return hash128((struct str){(const char *)&k, sizeof k});
}

static u128 print_key(const struct trade *t)
{
    struct window_text k = {.series = t->series,
                            .stream_and_kind = t->stream | 2u << 8,
                            .a = t->venue_time_ns,
                            .b = t->price.digits,
                            .c = t->size.digits,
                            .d = t->price.scale * 256 + t->size.scale};
    return hash128((struct str){(const char *)&k, sizeof k});
}

static enum dedup_result take_id(struct dedup *d, const struct trade *t)
{
    bool is_new;
    struct dedup_key *k = dedup_window_key(&d->window, id_key(t), &is_new);
    uint32_t hash = content_hash(t);
    if (!is_new) return k->content == hash ? DEDUP_DUPLICATE : DEDUP_CONFLICT;
    k->content = hash;
    return DEDUP_NEW;
}

static void grow_lives(struct dedup *d, uint32_t connection)
{
    CHECK(connection < LIVES_MAX);
    if (connection < d->life_cap) return;
    size_t cap = d->life_cap ? d->life_cap : 16;
    while (cap <= connection) cap *= 2;
    d->lives = realloc(d->lives, cap * sizeof *d->lives);
    CHECK(d->lives != NULL);
    memset(d->lives + d->life_cap, 0, (cap - d->life_cap) * sizeof *d->lives);
    d->life_cap = cap;
}

static uint32_t life_of(struct dedup *d, uint32_t connection)
{
    grow_lives(d, connection);
    if (!d->lives[connection]) d->lives[connection] = ++d->next_life;
    return d->lives[connection];
}

void dedup_connection(struct dedup *d, uint32_t connection)
{
    grow_lives(d, connection);
    d->lives[connection] = ++d->next_life;
}

/* How many such prints this life of the connection had before. The key itself counts for the connection that had it first:
 * with one connection, one entry a print is all there is. */
static uint16_t count_print(struct dedup *d, struct dedup_key *k, u128 hash, uint32_t life)
{
    bool is_new;
    if (k->owner != life) {
        struct window_text own = {.series = life,
                                  .stream_and_kind = 3u << 8,
                                  .a = (int64_t)(uint64_t)hash,
                                  .b = (int64_t)(uint64_t)(hash >> 64)};
        k = dedup_window_key(&d->window, hash128((struct str){(const char *)&own, sizeof own}),
                             &is_new);
        k->owner = life;
    }
    uint16_t n = k->count;
    if (k->count < UINT16_MAX) k->count++;
    return n;
}

static enum dedup_result take_print(struct dedup *d, uint32_t connection, struct trade *t)
{
    bool is_new;
    u128 hash = print_key(t);
    uint32_t life = life_of(d, connection);
    struct dedup_key *k = dedup_window_key(&d->window, hash, &is_new);
    if (is_new) k->owner = life;
    uint16_t total = k->total;
    t->ordinal = count_print(d, k, hash, life);
    if (t->ordinal < total) return DEDUP_DUPLICATE;
    /* Counting may have added an entry and, where the window is full, forgotten this one. */
    k = dedup_window_key(&d->window, hash, &is_new);
    if (is_new) k->owner = life;
    if (t->ordinal < UINT16_MAX) k->total = (uint16_t)(t->ordinal + 1);
    return DEDUP_NEW;
}

enum dedup_result dedup_trade(struct dedup *d, uint32_t connection, bool consecutive,
                              struct trade *t)
{
    t->ordinal = 0;
    if (!t->has_id) return take_print(d, connection, t);
    bool number = t->id_text.n == 0 && t->id >= 0 && t->id < INT64_MAX - 1;
    return consecutive && number ? take_consecutive(d, t) : take_id(d, t);
}

size_t dedup_waiting(const struct dedup *d) { return d->closed_count; }

int64_t dedup_next_gap_id(const struct dedup *d) { return d->next_gap_id; }
