/* store_random.h - seeded random batches for the store's tests, and the plain list of events that they are compared
 * with: the stupid reference of a store.
 */
#ifndef TICKLAKE_TESTS_STORE_RANDOM_H
#define TICKLAKE_TESTS_STORE_RANDOM_H

/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "io/file.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct random {
    uint64_t state;
};
static inline uint64_t random_next(struct random *r)
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}
static inline int64_t random_below(struct random *r, int64_t n)
{
    return (int64_t)(random_next(r) % (uint64_t)n);
}
static inline bool random_one_in(struct random *r, int64_t n) { return random_below(r, n) == 0; }

struct event {
    enum event_type type;
    union {
        struct trade trade;
        struct quote quote;
        struct gap gap;
        struct dead dead;
        struct venue_candle candle;
    };
};

/* What a store should hold: every event in order, with the batch each came in. */
struct reference {
    struct series_table *names;
    struct arena texts;
    struct event *events; /* events[i] has sequence first_of... see sequences */
    size_t count;
    int64_t *batch_last; /* last sequence of each batch, in order */
    size_t batch_count;
    int64_t mark;
};
enum { REFERENCE_EVENTS = 200000, REFERENCE_BATCHES = 20000 };

static inline void reference_init(struct reference *r)
{
    *r = (struct reference){.names = series_new()};
    arena_init(&r->texts, 256 << 20);
    r->events = malloc(REFERENCE_EVENTS * sizeof *r->events);
    r->batch_last = malloc(REFERENCE_BATCHES * sizeof *r->batch_last);
    assert_true(r->events && r->batch_last);
}
static inline void reference_free(struct reference *r)
{
    series_free(r->names);
    arena_free(&r->texts);
    free(r->events);
    free(r->batch_last);
}

static inline struct str kept(struct reference *r, struct str s)
{
    struct str copy = {0};
    if (s.n) assert_true(arena_copy(&r->texts, s, &copy));
    return copy;
}

/* The batch's events with their sequences; call it after store_append. */
static inline void reference_add(struct reference *r, const struct batch *b)
{
    for (size_t i = 0; i < b->event_count; i++) {
        assert_true(r->count < REFERENCE_EVENTS);
        struct event *ev = &r->events[r->count++];
        size_t at = b->order[i].index;
        ev->type = (enum event_type)b->order[i].type;
        switch (ev->type) {
        case EVENT_TRADE:
            ev->trade = b->trades[at];
            ev->trade.id_text = kept(r, ev->trade.id_text);
            break;
        case EVENT_QUOTE: ev->quote = b->quotes[at]; break;
        case EVENT_GAP:
            ev->gap = b->gaps[at];
            ev->gap.cause = kept(r, ev->gap.cause);
            break;
        case EVENT_DEAD: {
            ev->dead = b->deads[at];
            struct str *texts[] = {&ev->dead.venue, &ev->dead.symbol, &ev->dead.connection,
                                   &ev->dead.detail, &ev->dead.payload};
            for (int k = 0; k < 5; k++) *texts[k] = kept(r, *texts[k]);
            break;
        }
        case EVENT_VENUE_CANDLE:
            ev->candle = b->candles[at];
            ev->candle.source = kept(r, ev->candle.source);
            break;
        }
    }
    assert_true(r->batch_count < REFERENCE_BATCHES);
    r->batch_last[r->batch_count++] = r->mark = b->last_sequence;
}

static inline int64_t event_sequence(const struct event *ev)
{
    switch (ev->type) {
    case EVENT_TRADE: return ev->trade.sequence;
    case EVENT_QUOTE: return ev->quote.sequence;
    case EVENT_GAP: return ev->gap.sequence;
    case EVENT_DEAD: return ev->dead.sequence;
    case EVENT_VENUE_CANDLE: return ev->candle.c.sequence;
    }
    return 0;
}

static inline struct dec random_dec(struct random *r)
{
    if (random_one_in(r, 20)) return dec_normal(0, 0);
    int64_t digits = random_below(r, dec_pow10_i64((int)random_below(r, 18) + 1));
    return dec_normal(random_one_in(r, 10) ? -digits : digits, (int)random_below(r, 19));
}

static inline struct str random_text(struct random *r, struct batch *b, int64_t max)
{
    char bytes[512];
    size_t n = (size_t)random_below(r, max < 512 ? max : 512);
    for (size_t i = 0; i < n; i++) bytes[i] = (char)random_below(r, 256);
    struct str ret = {0};
    if (n) assert_true(batch_text(b, (struct str){bytes, n}, &ret));
    return ret;
}

static inline uint32_t random_series(struct random *r, struct series_table *t)
{
    static const char *const venues[] = {"binance", "tiingo", "coinbase", "kraken"};
    struct str venue = str_of(venues[random_below(r, 4)]);
    char symbol[24];
    int n = snprintf(symbol, sizeof symbol, "S%d-USD", (int)random_below(r, 9));
    struct str s = {symbol, (size_t)n};
    return series_intern(t, venue, random_one_in(r, 4) ? STR("other") : venue, s, s);
}

enum { RANDOM_START_S = 1700000000 };
static inline int64_t random_time(struct random *r)
{
    if (random_one_in(r, 50)) return -random_below(r, NS_PER_DAY); /* before 1970 */
    return RANDOM_START_S * NS_PER_S + random_below(r, 600 * NS_PER_S);
}

static inline void random_trade(struct random *r, struct series_table *names, struct batch *b)
{
    struct str text = random_one_in(r, 10) ? random_text(r, b, 60) : (struct str){0};
    struct trade *t = batch_add_trade(b);
    assert_non_null(t);
    t->series = random_series(r, names);
    t->stream = (uint8_t)random_below(r, STREAM_QUOTE);
    t->side = (uint8_t)random_below(r, SIDE_MAX);
    t->origin = (uint8_t)random_below(r, ORIGIN_MAX);
    t->kind = (uint8_t)random_below(r, KIND_MAX);
    t->has_id = text.n || !random_one_in(r, 5);
    t->id_text = text;
    if (t->has_id && !text.n) t->id = random_one_in(r, 30) ? INT64_MIN : (int64_t)random_next(r);
    if (!t->has_id) t->ordinal = (uint16_t)random_below(r, 65536);
    t->has_range = t->has_id && !text.n && random_below(r, 2);
    if (t->has_range) {
        t->first_id = random_below(r, 2) ? t->id : random_below(r, 1000);
        t->last_id = random_below(r, 2) ? t->id : random_below(r, 1000);
    }
    t->price = random_dec(r);
    t->size = random_dec(r);
    t->venue_time_ns = random_one_in(r, 9) ? TIME_ABSENT : random_time(r);
    t->received_ns = random_time(r);
    proof_add_trade(&b->proofs, names, t);
}

static inline void random_quote(struct random *r, struct series_table *names, struct batch *b)
{
    struct quote *q = batch_add_quote(b);
    assert_non_null(q);
    q->series = random_series(r, names);
    q->origin = (uint8_t)random_below(r, ORIGIN_MAX);
    bool bid = !random_one_in(r, 5), ask = !random_one_in(r, 5);
    q->bid_price = bid ? random_dec(r) : dec_absent();
    q->bid_size = bid ? random_dec(r) : dec_absent();
    q->ask_price = ask ? random_dec(r) : dec_absent();
    q->ask_size = ask ? random_dec(r) : dec_absent();
    q->venue_time_ns = random_one_in(r, 3) ? TIME_ABSENT : random_time(r);
    q->received_ns = random_time(r);
    proof_add_quote(&b->proofs, names, q);
}

static inline void random_gap(struct random *r, struct series_table *names, struct batch *b)
{
    struct str cause = random_text(r, b, 30);
    struct gap *g = batch_add_gap(b);
    assert_non_null(g);
    g->gap_id = 1 + random_below(r, 40);
    g->series = random_series(r, names);
    g->stream = (uint8_t)random_below(r, STREAM_MAX);
    g->kind = (uint8_t)random_below(r, GAP_KIND_MAX);
    g->state = (uint8_t)random_below(r, GAP_STATE_MAX);
    g->has_ids = random_below(r, 2);
    g->has_count = random_below(r, 2);
    if (g->has_ids) {
        g->from_id = random_below(r, 100000);
        g->to_id = g->from_id + random_below(r, 50);
    }
    if (g->has_count) g->missing_count = random_below(r, 50);
    g->from_time_ns = random_time(r);
    g->to_time_ns = random_one_in(r, 3) ? TIME_ABSENT : random_time(r);
    g->rows_recovered = random_below(r, 5);
    g->candles_revised = random_below(r, 5);
    g->opened_ns = random_time(r);
    g->closed_ns = g->state == GAP_STATE_OPEN ? TIME_ABSENT : random_time(r);
    g->cause = cause;
}

static inline void random_dead(struct random *r, struct batch *b)
{
    struct str texts[5];
    for (int i = 0; i < 5; i++) texts[i] = random_text(r, b, i < 4 ? 40 : 400);
    struct dead *d = batch_add_dead(b);
    assert_non_null(d);
    d->venue = texts[0];
    d->symbol = texts[1];
    d->connection = texts[2];
    d->detail = texts[3];
    d->payload = texts[4];
    d->stream = (int8_t)(random_below(r, STREAM_MAX + 1) - 1);
    d->reason = (uint8_t)random_below(r, DEAD_REASON_MAX);
    d->position = random_below(r, 100) - 1;
    d->received_ns = random_time(r);
}

static inline void random_candle(struct random *r, struct series_table *names, struct batch *b)
{
    struct str source = random_text(r, b, 20);
    struct venue_candle *vc = batch_add_venue_candle(b);
    assert_non_null(vc);
    struct candle *c = &vc->c;
    c->series = random_series(r, names);
    c->timeframe = (uint8_t)random_below(r, TIMEFRAME_MAX);
    c->complete = true;
    c->open_time_ns = time_floor(random_time(r), NS_PER_S);
    i128 *values[] = {&c->open,           &c->high,           &c->low,
                      &c->close,          &c->base_volume,    &c->quote_volume,
                      &c->taker_buy_base, &c->taker_buy_quote};
    c->has_base_volume = random_below(r, 2);
    c->has_quote_volume = random_below(r, 2);
    c->has_taker = random_below(r, 2);
    const bool given[] = {
        true,         true,        true, true, c->has_base_volume, c->has_quote_volume,
        c->has_taker, c->has_taker};
    for (int i = 0; i < 8; i++)
        if (given[i]) *values[i] = dec_to_lake(random_dec(r)) * (random_below(r, 2) ? 1 : 7);
    c->trade_count = random_below(r, 100) - 1;
    vc->source = source;
    vc->fetched_ns = c->updated_ns = random_time(r);
}

/* `events` events of all kinds; trades more often. */
static inline void random_batch(struct random *r, struct series_table *names, struct batch *b,
                                int64_t events)
{
    for (int64_t i = 0; i < events; i++) {
        switch (random_below(r, 10)) {
        case 0: random_gap(r, names, b); break;
        case 1: random_dead(r, b); break;
        case 2: random_candle(r, names, b); break;
        case 3:
        case 4: random_quote(r, names, b); break;
        default: random_trade(r, names, b);
        }
    }
    b->clock_ns = random_time(r);
    b->duplicates = random_below(r, 3);
}

static inline void assert_str(struct str a, struct str b)
{
    assert_int_equal(a.n, b.n);
    if (a.n) assert_memory_equal(a.p, b.p, a.n);
}
static inline void assert_dec(struct dec a, struct dec b)
{
    assert_int_equal(a.scale, b.scale);
    if (!dec_is_absent(a)) assert_int_equal(a.digits, b.digits);
}

static inline void assert_trade(const struct trade *a, const struct trade *b)
{
    assert_int_equal(a->sequence, b->sequence);
    assert_int_equal(a->series, b->series);
    assert_int_equal(a->stream, b->stream);
    assert_int_equal(a->side, b->side);
    assert_int_equal(a->origin, b->origin);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->has_id, b->has_id);
    assert_int_equal(a->has_range, b->has_range);
    assert_int_equal(a->ordinal, b->ordinal);
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->first_id, b->first_id);
    assert_int_equal(a->last_id, b->last_id);
    assert_str(a->id_text, b->id_text);
    assert_dec(a->price, b->price);
    assert_dec(a->size, b->size);
    assert_int_equal(a->venue_time_ns, b->venue_time_ns);
    assert_int_equal(a->received_ns, b->received_ns);
}

static inline void assert_quote(const struct quote *a, const struct quote *b)
{
    assert_int_equal(a->sequence, b->sequence);
    assert_int_equal(a->series, b->series);
    assert_int_equal(a->origin, b->origin);
    assert_dec(a->bid_price, b->bid_price);
    assert_dec(a->bid_size, b->bid_size);
    assert_dec(a->ask_price, b->ask_price);
    assert_dec(a->ask_size, b->ask_size);
    assert_int_equal(a->venue_time_ns, b->venue_time_ns);
    assert_int_equal(a->received_ns, b->received_ns);
}

static inline void assert_gap(const struct gap *a, const struct gap *b)
{
    assert_int_equal(a->sequence, b->sequence);
    assert_int_equal(a->gap_id, b->gap_id);
    assert_int_equal(a->series, b->series);
    assert_int_equal(a->stream, b->stream);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->has_ids, b->has_ids);
    assert_int_equal(a->has_count, b->has_count);
    assert_int_equal(a->from_id, b->from_id);
    assert_int_equal(a->to_id, b->to_id);
    assert_int_equal(a->from_time_ns, b->from_time_ns);
    assert_int_equal(a->to_time_ns, b->to_time_ns);
    assert_int_equal(a->missing_count, b->missing_count);
    assert_int_equal(a->rows_recovered, b->rows_recovered);
    assert_int_equal(a->candles_revised, b->candles_revised);
    assert_int_equal(a->opened_ns, b->opened_ns);
    assert_int_equal(a->closed_ns, b->closed_ns);
    assert_str(a->cause, b->cause);
}

static inline void assert_dead(const struct dead *a, const struct dead *b)
{
    assert_int_equal(a->sequence, b->sequence);
    assert_int_equal(a->stream, b->stream);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->position, b->position);
    assert_int_equal(a->received_ns, b->received_ns);
    assert_str(a->venue, b->venue);
    assert_str(a->symbol, b->symbol);
    assert_str(a->connection, b->connection);
    assert_str(a->detail, b->detail);
    assert_str(a->payload, b->payload);
}

static inline void assert_candle(const struct venue_candle *a, const struct venue_candle *b)
{
    assert_int_equal(a->c.sequence, b->c.sequence);
    assert_int_equal(a->c.series, b->c.series);
    assert_int_equal(a->c.timeframe, b->c.timeframe);
    assert_int_equal(a->c.open_time_ns, b->c.open_time_ns);
    assert_int_equal(a->c.trade_count, b->c.trade_count);
    assert_int_equal(a->c.has_base_volume, b->c.has_base_volume);
    assert_int_equal(a->c.has_quote_volume, b->c.has_quote_volume);
    assert_int_equal(a->c.has_taker, b->c.has_taker);
    assert_true(a->c.open == b->c.open && a->c.high == b->c.high);
    assert_true(a->c.low == b->c.low && a->c.close == b->c.close);
    assert_true(a->c.base_volume == b->c.base_volume && a->c.quote_volume == b->c.quote_volume);
    assert_true(a->c.taker_buy_base == b->c.taker_buy_base);
    assert_true(a->c.taker_buy_quote == b->c.taker_buy_quote);
    assert_int_equal(a->fetched_ns, b->fetched_ns);
    assert_str(a->source, b->source);
}

/* The i-th event of a batch against the reference's. */
static inline void assert_event(const struct batch *b, size_t i, const struct event *ev)
{
    assert_int_equal(b->order[i].type, ev->type);
    size_t at = b->order[i].index;
    switch (ev->type) {
    case EVENT_TRADE: assert_trade(&b->trades[at], &ev->trade); break;
    case EVENT_QUOTE: assert_quote(&b->quotes[at], &ev->quote); break;
    case EVENT_GAP: assert_gap(&b->gaps[at], &ev->gap); break;
    case EVENT_DEAD: assert_dead(&b->deads[at], &ev->dead); break;
    case EVENT_VENUE_CANDLE: assert_candle(&b->candles[at], &ev->candle); break;
    }
}

/* Proofs of all events of (after, upto]. */
static inline void reference_proofs(const struct reference *r, int64_t after, int64_t upto,
                                    struct proof_set *ret)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct event *ev = &r->events[i];
        if (event_sequence(ev) <= after || event_sequence(ev) > upto) continue;
        if (ev->type == EVENT_TRADE) proof_add_trade(ret, r->names, &ev->trade);
        if (ev->type == EVENT_QUOTE) proof_add_quote(ret, r->names, &ev->quote);
    }
}

static inline void assert_proofs(struct proof_set *a, struct proof_set *b)
{
    assert_int_equal(a->count, b->count);
    proof_set_sort(a);
    proof_set_sort(b);
    for (size_t i = 0; i < a->count; i++) {
        const struct proof *x = &a->items[i], *y = &b->items[i];
        assert_int_equal(x->series, y->series);
        assert_int_equal(x->stream, y->stream);
        assert_int_equal(x->minute, y->minute);
        assert_int_equal(x->count, y->count);
        assert_true(x->sum == y->sum);
    }
}

/* A folder of its own for one test. */
struct folder {
    char path[PATH_LIMIT];
    char db[PATH_LIMIT]; /* .../store.db */
};
static inline void folder_make(struct folder *f)
{
    const char *parent = getenv("TMPDIR");
    char name[PATH_LIMIT];
    snprintf(name, sizeof name, "%s/ticklake-store-XXXXXX", parent ? parent : "/tmp");
    assert_non_null(mkdtemp(name));
    memcpy(f->path, name, sizeof name);
    path_join(f->db, f->path, "store.db");
}
static inline enum err_code folder_remove_one(void *ctx, const char *name, bool is_folder,
                                              struct err *e)
{
    (void)is_folder;
    char path[PATH_LIMIT];
    path_join(path, ((struct folder *)ctx)->path, name);
    return file_remove(path, e);
}
static inline void folder_remove(struct folder *f)
{
    assert_int_equal(file_list(f->path, folder_remove_one, f, NULL), ERR_OK);
    assert_int_equal(rmdir(f->path), 0);
}

static inline void assert_ok(enum err_code code, const struct err *e)
{
    if (code != ERR_OK) fail_msg("%s: %s", err_name(code), e->text);
}

static inline struct store *open_store(const struct folder *f, struct series_table *names)
{
    struct store *s;
    struct err e = {0};
    assert_ok(store_open(&(struct store_options){.path = f->db, .series = names}, &s, &e), &e);
    return s;
}
static inline struct store_tail *open_tail(const struct folder *f, struct series_table *names)
{
    struct store_tail *t;
    struct err e = {0};
    assert_ok(store_tail_open(&(struct store_options){.path = f->db, .series = names}, &t, &e), &e);
    return t;
}

#endif
