#include "lake/lake_internal.h"

#include <stdlib.h>

/* Pushed rows wait here as they came, one array a table: appending is one copy, and the columns are made at the
 * commit, in file order, a row group at a time. */

#define TEXT_MAX ((size_t)1 << 30)
enum {
    STATES_MAX = 1 << 30
}; /* a few for each tape and each second to be revised; memory ends before */

static size_t size_of(enum table_id id)
{
    switch (id) {
    case TABLE_TRADES: return sizeof(struct trade);
    case TABLE_QUOTES: return sizeof(struct quote);
    case TABLE_CANDLES: return sizeof(struct candle);
    case TABLE_VENUE_CANDLES: return sizeof(struct venue_candle);
    case TABLE_GAPS: return sizeof(struct gap);
    case TABLE_INSTRUMENTS: return sizeof(struct instrument);
    case TABLE_DEAD_LETTERS: return sizeof(struct dead);
    case TABLE_MAX: break;
    }
    LAKE_NEVER();
    return 0;
}

void lake_rows_init(struct lake *l)
{
    for (int i = 0; i < TABLE_MAX; i++) {
        l->rows[i].size = size_of((enum table_id)i);
        lake_row_set_init(&l->sets[i], table_of((enum table_id)i));
    }
    arena_init(&l->text, TEXT_MAX);
    arena_init(&l->groups.text, TEXT_MAX);
    map_init(&l->groups.map, SERIES_LIMIT * 2);
    map_init(&l->state_places, STATES_MAX);
    proof_set_init(&l->proofs);
}

void lake_rows_done(struct lake *l)
{
    for (int i = 0; i < TABLE_MAX; i++) {
        free(l->rows[i].items);
        free(l->rows[i].keys);
        free(l->rows[i].slots);
        lake_row_set_free(&l->sets[i]);
    }
    lake_extras_done(l);
    free(l->sorted);
    free(l->sorted_spare);
    free(l->groups.names);
    free(l->groups.ranks);
    free(l->groups.of_series);
    map_free(&l->groups.map);
    arena_free(&l->groups.text);
    arena_free(&l->text);
    proof_set_free(&l->proofs);
    for (size_t i = 0; i < l->state_count; i++) free(l->states[i].name);
    for (size_t i = 0; i < l->state_count; i++) free((char *)(uintptr_t)l->states[i].bytes.p);
    free(l->states);
    map_free(&l->state_places);
}

void lake_rows_clear(struct lake *l)
{
    for (int i = 0; i < TABLE_MAX; i++) {
        struct lake_rows *r = &l->rows[i];
        r->count = 0;
        if (r->slots) memset(r->slots, 0xff, r->slot_count * sizeof *r->slots);
    }
    arena_reset(&l->text);
    lake_extras_clear(l);
    proof_set_clear(&l->proofs);
    for (size_t i = 0; i < l->state_count; i++) {
        free(l->states[i].name);
        free((char *)(uintptr_t)l->states[i].bytes.p);
    }
    l->state_count = 0;
    map_free(
        &l->state_places); /* not only emptied: after a large revision that would cost each commit */
    map_init(&l->state_places, STATES_MAX);
    atomic_store(&l->stats.buffered_rows, 0);
}

const void *lake_rows_at(const struct lake_rows *r, size_t i) { return r->items + i * r->size; }

int64_t lake_buffered_rows(const struct lake *l)
{
    int64_t sum = 0;
    for (int i = 0; i < TABLE_MAX; i++) sum += (int64_t)l->rows[i].count;
    return sum;
}

static void *rows_for(struct lake_rows *r, size_t count)
{
    if (r->count + count > r->cap || !r->items) {
        size_t cap = r->cap ? r->cap : 64;
        while (cap < r->count + count) cap *= 2;
        r->items = realloc(r->items, cap * r->size);
        CHECK(r->items != NULL && cap < UINT32_MAX);
        if (r->keys) r->keys = realloc(r->keys, cap * sizeof *r->keys);
        r->cap = cap;
    }
    return r->items + r->count * r->size;
}

static uint32_t *slot_of(const struct lake_rows *r, u128 key)
{
    for (uint64_t i = (uint64_t)key;; i++) {
        uint32_t *slot = &r->slots[i & (r->slot_count - 1)];
        if (*slot == UINT32_MAX || r->keys[*slot] == key) return slot;
    }
}

static void grow_slots(struct lake_rows *r)
{
    r->slot_count = r->slot_count ? r->slot_count * 2 : 256;
    r->slots = realloc(r->slots, r->slot_count * sizeof *r->slots);
    CHECK(r->slots != NULL);
    memset(r->slots, 0xff, r->slot_count * sizeof *r->slots);
    for (size_t i = 0; i < r->count; i++) *slot_of(r, r->keys[i]) = (uint32_t)i;
}

/* One row a key: a later one takes the place of an earlier one of the same commit. Returns where it goes. */
static void *row_of_key(struct lake_rows *r, u128 key, bool *ret_again)
{
    rows_for(r, 1);
    if (!r->keys) r->keys = malloc(r->cap * sizeof *r->keys);
    CHECK(r->keys != NULL);
    if (r->count * 2 >= r->slot_count) grow_slots(r);
    uint32_t *slot = slot_of(r, key);
    *ret_again = *slot != UINT32_MAX;
    if (!*ret_again) {
        *slot = (uint32_t)r->count;
        r->keys[r->count++] = key;
    }
    return r->items + *slot * r->size;
}

static void hash_text(char *to, size_t *at, struct str s)
{
    size_t n = s.n < 200 ? s.n : 200;
    to[(*at)++] = (char)n;
    if (n) memcpy(to + *at, s.p, n);
    *at += n;
}

u128 lake_key_candle(struct str venue, struct str symbol, struct str timeframe, int64_t open_us)
{
    char bytes[640];
    size_t at = 0;
    hash_text(bytes, &at, venue);
    hash_text(bytes, &at, symbol);
    hash_text(bytes, &at, timeframe);
    memcpy(bytes + at, &open_us, sizeof open_us);
    return hash128((struct str){bytes, at + sizeof open_us});
}

u128 lake_key_gap(int64_t gap_id) { return hash128((struct str){(char *)&gap_id, sizeof gap_id}); }

u128 lake_key_instrument(struct str venue, struct str venue_symbol)
{
    char bytes[420];
    size_t at = 0;
    hash_text(bytes, &at, venue);
    hash_text(bytes, &at, venue_symbol);
    return hash128((struct str){bytes, at});
}

static enum err_code keep(struct lake *l, struct str *s, struct err *e)
{
    if (s->n == 0 || arena_copy(&l->text, *s, s)) return ERR_OK;
    return ERR(e, ERR_FULL, "lake: more than %zu bytes of text wait for a commit", TEXT_MAX);
}

static enum err_code keep_all(struct lake *l, struct str *const texts[], size_t count,
                              struct err *e)
{
    for (size_t i = 0; i < count; i++) TRY(keep(l, texts[i], e));
    return ERR_OK;
}
#define KEEP(l, e, ...)                                                                            \
    keep_all((l), (struct str *const[]){__VA_ARGS__},                                              \
             sizeof((struct str *const[]){__VA_ARGS__}) / sizeof(struct str *), (e))

static enum err_code push_trades(struct lake *l, const struct batch *b, struct err *e)
{
    struct lake_rows *r = &l->rows[TABLE_TRADES];
    struct trade *to = rows_for(r, b->trade_count);
    if (b->trade_count) memcpy(to, b->trades, b->trade_count * sizeof *to);
    for (size_t i = 0; i < b->trade_count; i++)
        if (to[i].id_text.n) TRY(keep(l, &to[i].id_text, e));
    r->count += b->trade_count;
    struct lake_rows *q = &l->rows[TABLE_QUOTES];
    struct quote *quotes = rows_for(q, b->quote_count);
    if (b->quote_count) memcpy(quotes, b->quotes, b->quote_count * sizeof *quotes);
    q->count += b->quote_count;
    return ERR_OK;
}

static size_t row_number(const struct lake_rows *r, const void *row)
{
    return (size_t)((const uint8_t *)row - r->items) / r->size;
}

uint32_t lake_rows_find(const struct lake_rows *r, u128 key)
{
    uint32_t at = *slot_of(r, key);
    CHECK(at < r->count);
    return at;
}

static enum err_code put_gap(struct lake *l, struct gap g, bool *ret_again, struct err *e)
{
    TRY(keep(l, &g.cause, e));
    struct gap *to = row_of_key(&l->rows[TABLE_GAPS], lake_key_gap(g.gap_id), ret_again);
    *to = g;
    lake_extras_forget(l, TABLE_GAPS, row_number(&l->rows[TABLE_GAPS], to));
    return ERR_OK;
}

static enum err_code push_others(struct lake *l, const struct batch *b, struct err *e)
{
    bool again;
    for (size_t i = 0; i < b->gap_count; i++) TRY(put_gap(l, b->gaps[i], &again, e));
    for (size_t i = 0; i < b->instrument_count; i++) {
        struct instrument n = b->instruments[i];
        TRY(KEEP(l, e, &n.venue, &n.symbol, &n.venue_symbol, &n.base, &n.quote, &n.settle,
                 &n.status));
        u128 key = lake_key_instrument(n.venue, n.venue_symbol);
        struct instrument *to = row_of_key(&l->rows[TABLE_INSTRUMENTS], key, &again);
        *to = n;
        lake_extras_forget(l, TABLE_INSTRUMENTS, row_number(&l->rows[TABLE_INSTRUMENTS], to));
    }
    for (size_t i = 0; i < b->dead_count; i++) {
        struct dead d = b->deads[i];
        TRY(KEEP(l, e, &d.venue, &d.symbol, &d.connection, &d.detail, &d.payload));
        *(struct dead *)rows_for(&l->rows[TABLE_DEAD_LETTERS], 1) = d;
        l->rows[TABLE_DEAD_LETTERS].count++;
    }
    for (size_t i = 0; i < b->candle_count; i++) {
        struct venue_candle c = b->candles[i];
        TRY(keep(l, &c.source, e));
        *(struct venue_candle *)rows_for(&l->rows[TABLE_VENUE_CANDLES], 1) = c;
        l->rows[TABLE_VENUE_CANDLES].count++;
    }
    return ERR_OK;
}

/* The batch carries the sums of its trades and quotes; where it does not (a test, a tool), they are made here. */
static void add_proofs(struct lake *l, const struct batch *b)
{
    int64_t counted = 0;
    for (size_t i = 0; i < b->proofs.count; i++) counted += b->proofs.items[i].count;
    if (counted == (int64_t)(b->trade_count + b->quote_count)) {
        for (size_t i = 0; i < b->proofs.count; i++) {
            const struct proof *p = &b->proofs.items[i];
            proof_set_add(&l->proofs, p->series, p->stream, p->minute, p->count, p->sum);
        }
        return;
    }
    for (size_t i = 0; i < b->trade_count; i++)
        proof_add_trade(&l->proofs, l->o.series, &b->trades[i]);
    for (size_t i = 0; i < b->quote_count; i++)
        proof_add_quote(&l->proofs, l->o.series, &b->quotes[i]);
}

static enum err_code check_room(struct lake *l, size_t more, struct err *e)
{
    CHECK(!l->o.read_only);
    int64_t waiting = lake_buffered_rows(l);
    if (waiting == 0 || waiting + (int64_t)more <= l->o.buffer_rows_max) return ERR_OK;
    return ERR(e, ERR_FULL, "lake: %lld rows wait for a commit (at most %lld)", (long long)waiting,
               (long long)l->o.buffer_rows_max);
}

enum err_code lake_push(struct lake *l, const struct batch *b, struct err *e)
{
    size_t before[TABLE_MAX];
    for (int i = 0; i < TABLE_MAX; i++) before[i] = l->rows[i].count;
    TRY(check_room(l, b->event_count + b->instrument_count, e));
    enum err_code code = push_trades(l, b, e);
    if (code == ERR_OK) code = push_others(l, b, e);
    if (code == ERR_OK) code = lake_extras_push(l, b, before, e);
    if (code != ERR_OK) {
        /* All or nothing for what only grows; replaced rows of a key are the same rows again with the next push. */
        l->rows[TABLE_TRADES].count = before[TABLE_TRADES];
        l->rows[TABLE_QUOTES].count = before[TABLE_QUOTES];
        l->rows[TABLE_DEAD_LETTERS].count = before[TABLE_DEAD_LETTERS];
        l->rows[TABLE_VENUE_CANDLES].count = before[TABLE_VENUE_CANDLES];
        return code;
    }
    add_proofs(l, b);
    atomic_store(&l->stats.buffered_rows, lake_buffered_rows(l));
    return ERR_OK;
}

enum err_code lake_push_candle(struct lake *l, const struct candle *c, struct err *e)
{
    TRY(check_room(l, 1, e));
    const struct series *s = series_get(l->o.series, c->series);
    u128 key =
        lake_key_candle(s->venue, s->symbol, str_of(timeframe_text((enum timeframe)c->timeframe)),
                        time_micros(c->open_time_ns));
    bool again;
    struct candle *to = row_of_key(&l->rows[TABLE_CANDLES], key, &again);
    bool replaces = c->replaces || (again && to->replaces);
    *to = *c;
    to->replaces = replaces;
    atomic_fetch_add(&l->stats.buffered_rows, !again);
    return ERR_OK;
}

enum err_code lake_push_gap(struct lake *l, const struct gap *g, struct err *e)
{
    bool again;
    TRY(check_room(l, 1, e));
    TRY(put_gap(l, *g, &again, e));
    atomic_fetch_add(&l->stats.buffered_rows, !again);
    return ERR_OK;
}

enum err_code lake_put_state(struct lake *l, struct str name, struct str bytes, struct err *e)
{
    (void)e;
    CHECK(!l->o.read_only);
    char *copy = malloc(bytes.n + 1);
    CHECK(copy != NULL);
    if (bytes.n) memcpy(copy, bytes.p, bytes.n);
    struct lake_state_put *put = NULL;
    uint32_t at = map_get(&l->state_places, name);
    if (at != MAP_NONE) {
        put = &l->states[at];
        free((char *)(uintptr_t)put->bytes.p);
    } else {
        l->states = array_grown(l->states, l->state_count, &l->state_cap, sizeof *l->states);
        CHECK(map_put(&l->state_places, name, (uint32_t)l->state_count) != MAP_FULL);
        put = &l->states[l->state_count++];
        put->name = strndup(name.p, name.n);
        CHECK(put->name != NULL);
    }
    put->bytes = (struct str){copy, bytes.n};
    return ERR_OK;
}
