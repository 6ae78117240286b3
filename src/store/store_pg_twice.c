/* Rows that are not to be stored are taken off their batch before it is committed: what it claims is what is there. */
#include "store/store_pg.h"

#include "base/array.h"
#include "event/json.h"

#include <stdio.h>
#include <stdlib.h>

static enum event_type event_of(enum store_pg_kind k)
{
    switch (k) {
    case PG_TRADES: return EVENT_TRADE;
    case PG_QUOTES: return EVENT_QUOTE;
    case PG_DEADS: return EVENT_DEAD;
    case PG_GAPS: return EVENT_GAP;
    default: CHECK(k == PG_CANDLES); return EVENT_VENUE_CANDLE;
    }
}

static int64_t sequence_of(const struct batch *b, enum store_pg_kind k, size_t i)
{
    switch (k) {
    case PG_TRADES: return b->trades[i].sequence;
    case PG_QUOTES: return b->quotes[i].sequence;
    case PG_DEADS: return b->deads[i].sequence;
    case PG_GAPS: return b->gaps[i].sequence;
    default: return b->candles[i].c.sequence;
    }
}

static void take_proof(struct store_pg *s, struct batch *b, enum store_pg_kind k, size_t i)
{
    if (k == PG_TRADES) {
        const struct trade *t = &b->trades[i];
        proof_set_add(&b->proofs, t->series, t->stream,
                      proof_minute(t->venue_time_ns, t->received_ns), -1,
                      -proof_hash_trade(series_get(s->base.series, t->series), t));
    } else if (k == PG_QUOTES) {
        const struct quote *q = &b->quotes[i];
        proof_set_add(&b->proofs, q->series, STREAM_QUOTE,
                      proof_minute(q->venue_time_ns, q->received_ns), -1,
                      -proof_hash_quote(series_get(s->base.series, q->series), q));
    }
}

static void drop_empty_minutes(struct batch *b)
{
    struct proof_set left;
    proof_set_init(&left);
    for (size_t i = 0; i < b->proofs.count; i++) {
        const struct proof *p = &b->proofs.items[i];
        if (p->count) proof_set_add(&left, p->series, p->stream, p->minute, p->count, p->sum);
    }
    proof_set_free(&b->proofs);
    b->proofs = left;
}

/* A trade that cannot be stored, as it was read: its frame is no longer at hand. */
static enum err_code make_dead(struct store_pg *s, struct batch *b, size_t i,
                               enum dead_reason reason, const char *detail, struct dead *ret,
                               struct err *e)
{
    const struct trade *t = &b->trades[i];
    const struct series *n = series_get(s->base.series, t->series);
    struct buf json;
    buf_init(&json, 1 << 16);
    event_json(b, (struct event_ref){.type = EVENT_TRADE, .index = (unsigned)i & 0x1fffffff},
               s->base.series, &json);
    *ret = (struct dead){.stream = (int8_t)t->stream,
                         .reason = (uint8_t)reason,
                         .position = -1,
                         .received_ns = t->received_ns,
                         .sequence = t->sequence};
    bool fits =
        batch_text(b, n->venue, &ret->venue) && batch_text(b, n->venue_symbol, &ret->symbol) &&
        batch_text(b, str_of(detail), &ret->detail) && batch_text(b, buf_str(&json), &ret->payload);
    buf_free(&json);
    if (fits) return ERR_OK;
    return ERR(e, ERR_FULL, "a batch's room for text (%zu bytes) is used up by conflicts",
               b->arena.limit);
}

static void move(struct batch *b, enum store_pg_kind k, size_t from, size_t to)
{
    if (k == PG_TRADES) b->trades[to] = b->trades[from];
    if (k == PG_QUOTES) b->quotes[to] = b->quotes[from];
    if (k == PG_CANDLES) b->candles[to] = b->candles[from];
    if (k == PG_DEADS) b->deads[to] = b->deads[from];
    if (k == PG_GAPS) b->gaps[to] = b->gaps[from];
}

static void set_count(struct batch *b, enum store_pg_kind k, size_t count)
{
    if (k == PG_TRADES) b->trade_count = count;
    if (k == PG_QUOTES) b->quote_count = count;
    if (k == PG_CANDLES) b->candle_count = count;
    if (k == PG_DEADS) b->dead_count = count;
    if (k == PG_GAPS) b->gap_count = count;
}

static void add_dead(struct batch *b, const struct dead *d)
{
    b->deads = array_grown(b->deads, b->dead_count, &b->dead_cap, sizeof *b->deads);
    b->deads[b->dead_count++] = *d;
}

static const struct store_pg_twice *find(const struct store_pg_twice *twice, size_t count,
                                         int64_t sequence)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (twice[mid].sequence < sequence)
            low = mid + 1;
        else
            high = mid;
    }
    return low < count && twice[low].sequence == sequence ? &twice[low] : NULL;
}

enum { GONE = UINT32_MAX, DIES = UINT32_MAX - 1, INDEX_MASK = 0x1fffffff };

/* Everything that tells this refusal from another, and nothing that changes when the same history is read again. */
static void describe(const struct trade *t, const char *stored, char *to, size_t size)
{
    char price[DEC_TEXT_MAX], amount[DEC_TEXT_MAX], number[24], time[TIME_TEXT_MAX] = "no time";
    dec_format(t->price, price);
    dec_format(t->size, amount);
    (void)snprintf(number, sizeof number, "%lld", (long long)t->id);
    if (t->venue_time_ns != TIME_ABSENT) time_format(t->venue_time_ns, time);
    struct str id = t->id_text.n ? t->id_text : str_of(number);
    if (id.n > 64) id.n = 64;
    (void)snprintf(to, size, "%s %.*s: %s %s at %s, %s; it is stored with other content: %s",
                   stream_text((enum stream)t->stream), STR_ARG(id), side_text((enum side)t->side),
                   amount, price, time, stored);
}

/* The dead letters of conflicts, before anything is moved: they need room, and without it the batch must stay as it is. */
static enum err_code mourn(struct store_pg *s, struct batch *b, const struct store_pg_twice *twice,
                           size_t count, struct dead *deads, struct err *e)
{
    size_t at = 0;
    for (size_t i = 0; i < b->trade_count; i++) {
        const struct store_pg_twice *found = find(twice, count, b->trades[i].sequence);
        if (!found || !found->conflict) continue;
        char detail[600];
        describe(&b->trades[i], found->detail, detail, sizeof detail);
        TRY(make_dead(s, b, i, DEAD_CONFLICT, detail, &deads[at++], e));
    }
    return ERR_OK;
}

/* Rows move down; *places tells where each went. */
static void close_ranks(struct store_pg *s, struct batch *b, enum store_pg_kind k,
                        const struct store_pg_twice *twice, size_t count, uint32_t *places)
{
    size_t rows = store_pg_row_count(b, k), kept = 0, gone = 0;
    for (size_t i = 0; i < rows; i++) {
        const struct store_pg_twice *found = find(twice, count, sequence_of(b, k, i));
        if (found) {
            take_proof(s, b, k, i);
            places[i] = found->conflict ? DIES : GONE;
            gone++;
        } else {
            move(b, k, i, kept);
            places[i] = (uint32_t)kept++;
        }
    }
    CHECK(gone == count);
    set_count(b, k, kept);
}

enum err_code store_pg_take_off(struct store_pg *s, struct batch *b, enum store_pg_kind k,
                                const struct store_pg_twice *twice, size_t count, struct err *e)
{
    if (count == 0) return ERR_OK;
    struct dead *deads = calloc(count, sizeof *deads);
    uint32_t *places = calloc(store_pg_row_count(b, k), sizeof *places);
    CHECK(deads != NULL && places != NULL);
    enum err_code code = k == PG_TRADES ? mourn(s, b, twice, count, deads, e) : ERR_OK;
    if (code == ERR_OK) {
        close_ranks(s, b, k, twice, count, places);
        size_t order = 0, died = 0;
        for (size_t i = 0; i < b->event_count; i++) {
            struct event_ref ref = b->order[i];
            if (ref.type == event_of(k)) {
                uint32_t place = places[ref.index];
                if (place == GONE) continue;
                if (place == DIES) {
                    ref.type = EVENT_DEAD;
                    place = (uint32_t)b->dead_count;
                    add_dead(b, &deads[died++]);
                }
                ref.index = place & INDEX_MASK;
            }
            b->order[order++] = ref;
        }
        b->event_count = order;
        b->duplicates += (int64_t)count;
        drop_empty_minutes(b);
    }
    free(deads);
    free(places);
    return code;
}

static bool is_clean(struct str s)
{
    return s.n == 0 || (memchr(s.p, 0, s.n) == NULL && str_is_utf8(s));
}

/* In place: texts of a batch are its own. Never a literal: those are clean. */
static void clean(struct str s)
{
    if (is_clean(s)) return;
    char *p = (char *)(uintptr_t)s.p;
    for (size_t i = 0; i < s.n;) {
        size_t n = p[i] ? str_utf8((struct str){p + i, s.n - i}) : 0;
        if (n == 0) p[i] = '?';
        i += n ? n : 1;
    }
}

/* An id must stay what it was, so a trade whose id is no text is a dead letter. */
static enum err_code refuse_ids(struct store_pg *s, struct batch *b, struct err *e)
{
    for (size_t i = 0; i < b->trade_count; i++) {
        struct trade *t = &b->trades[i];
        CHECK(t->has_id || t->id_text.n == 0);
        if (is_clean(t->id_text)) continue;
        struct store_pg_twice one = {.sequence = t->sequence, .conflict = true};
        (void)snprintf(one.detail, sizeof one.detail,
                       "nothing; it is no text that PostgreSQL holds");
        TRY(store_pg_take_off(s, b, PG_TRADES, &one, 1, e));
        b->deads[b->dead_count - 1].reason = DEAD_MALFORMED;
        b->duplicates--;
        i--;
    }
    return ERR_OK;
}

enum err_code store_pg_clean(struct store_pg *s, struct batch *b, struct err *e)
{
    TRY(refuse_ids(s, b, e));
    for (size_t i = 0; i < b->gap_count; i++) clean(b->gaps[i].cause);
    for (size_t i = 0; i < b->candle_count; i++) clean(b->candles[i].source);
    for (size_t i = 0; i < b->position_count; i++) clean(b->positions[i].name);
    for (size_t i = 0; i < b->dead_count; i++) {
        struct dead *d = &b->deads[i];
        clean(d->venue);
        clean(d->symbol);
        clean(d->connection);
        clean(d->detail);
    }
    for (size_t i = 0; i < b->instrument_count; i++) {
        struct instrument *in = &b->instruments[i];
        const struct str texts[] = {in->venue, in->symbol, in->venue_symbol, in->base,
                                    in->quote, in->settle, in->status};
        for (int k = 0; k < 7; k++) clean(texts[k]);
    }
    return ERR_OK;
}
