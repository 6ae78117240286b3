/* Reading back: by sequence over all writers, in a snapshot. */
#include "store/store_pg.h"

#include <stdio.h>
#include <stdlib.h>

static const char begin[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

enum err_code store_pg_tail_open(const struct store_options *o, struct store_tail **ret,
                                 struct err *e)
{
    struct store_pg_tail *t = calloc(1, sizeof *t);
    CHECK(t != NULL);
    t->base = (struct store_tail){.backend = &store_postgres, .series = o->series};
    enum err_code code = store_pg_connect(&t->link, o->url, "ticklake reader", true, e);
    if (code == ERR_OK) code = store_pg_migrate(&t->link, true, e);
    if (code == ERR_OK) code = store_pg_series_read(&t->link, t->base.series, e);
    if (code == ERR_OK) (void)store_pg_tail_mark(&t->base);
    *ret = code == ERR_OK ? &t->base : store_pg_tail_close(&t->base);
    return code;
}

struct store_tail *store_pg_tail_close(struct store_tail *base)
{
    struct store_pg_tail *t = (struct store_pg_tail *)base;
    if (!t) return NULL;
    store_pg_disconnect(&t->link);
    free(t);
    return NULL;
}

int64_t store_pg_tail_mark(struct store_tail *base)
{
    struct store_pg_tail *t = (struct store_pg_tail *)base;
    PGresult *r;
    if (store_pg_run(&t->link, PG_bounds, NULL, &r, NULL) == ERR_OK) {
        base->mark = store_pg_get(r, 0, 1, 0);
        PQclear(r);
    }
    return base->mark;
}

/* What one call reads: whole stored batches, or a part of one (whose rows are hashed again, since its stored proof covers all
 * of it). */
struct plan {
    int64_t after, upto;
    bool part, partial;                        /* partial: retention took rows of it */
    int64_t batch_first, batch_last, clock_ns; /* of the first, of the last stored batch */
    int64_t instruments;                       /* of the last */
    int32_t first_day, last_day;
};

static bool fits(const struct batch *b, int64_t events, int64_t text_bytes, int64_t instruments)
{
    return events <= (int64_t)b->max_events && text_bytes <= (int64_t)(b->arena.limit / 8 * 7) &&
           instruments <= INT16_MAX;
}

/* Writers' blocks of sequences do not overlap, so batches in order of their last sequence are in order of all of them. */
static enum err_code add_batches(struct store_pg_tail *t, const PGresult *r, int64_t bound,
                                 struct batch *b, struct plan *p, struct err *e)
{
    int64_t events = 0, text_bytes = 0, instruments = 0;
    for (int i = 0; i < PQntuples(r); i++) {
        int64_t first = store_pg_get(r, i, 0, 0), last = store_pg_get(r, i, 1, 0);
        events += store_pg_get(r, i, 2, 0);
        text_bytes += store_pg_get(r, i, 3, 0);
        instruments += store_pg_get(r, i, 4, 0);
        bool fit = last <= bound && fits(b, events, text_bytes, instruments);
        if (i && !fit) break;
        p->part = i == 0 && (!fit || p->after >= first);
        p->partial = p->partial || !store_pg_get(r, i, 8, 1);
        if (i == 0) p->batch_first = first;
        p->batch_last = last;
        p->instruments = store_pg_get(r, i, 4, 0);
        p->upto = last < bound ? last : bound;
        p->clock_ns = store_pg_get(r, i, 6, TIME_ABSENT);
        int32_t from = (int32_t)store_pg_get(r, i, 9, INT32_MAX);
        int32_t to = (int32_t)store_pg_get(r, i, 10, INT32_MIN);
        if (from < p->first_day) p->first_day = from;
        if (to > p->last_day) p->last_day = to;
        if (p->part) break;
        b->duplicates += store_pg_get(r, i, 5, 0);
        b->finish = b->finish || store_pg_get(r, i, 7, 0);
        TRY(store_proofs_unpack(t->link.address, store_pg_get_bytes(r, i, 11),
                                series_count(t->base.series), &b->proofs, e));
    }
    return ERR_OK;
}

static enum err_code make_plan(struct store_pg_tail *t, int64_t bound, struct batch *b,
                               struct plan *p, struct err *e)
{
    struct store_pg_args args = {0};
    store_pg_number(&args, p->after);
    store_pg_number(&args, bound);
    PGresult *r;
    TRY(store_pg_run(&t->link, PG_plan, &args, &r, e));
    enum err_code code = add_batches(t, r, bound, b, p, e);
    if (PQntuples(r) == 0) p->upto = bound; /* a hole in the numbers up to there */
    PQclear(r);
    return code;
}

/* The rows of one kind, standing on the next one. */
struct cursor {
    struct store_pg_reader rd;
    int row;
};
enum { KINDS = EVENT_VENUE_CANDLE + 1 };

static int64_t sequence_at(const struct cursor *c)
{
    if (!c->rd.r || c->row >= PQntuples(c->rd.r)) return INT64_MAX;
    return store_pg_get(c->rd.r, c->row, 0, INT64_MAX);
}

static void note_receipt(struct batch *b, int64_t received_ns, int64_t *newest)
{
    if (b->first_received_ns == TIME_ABSENT || received_ns < b->first_received_ns)
        b->first_received_ns = received_ns;
    if (received_ns > *newest) *newest = received_ns;
}

/* Decoded aside and added when it is whole, so that a batch whose text is full holds no half events. */
static enum err_code take_event(enum event_type type, const struct cursor *c, struct batch *b,
                                int64_t *newest_ns, struct err *e)
{
    union {
        struct trade trade;
        struct quote quote;
        struct gap gap;
        struct dead dead;
        struct venue_candle candle;
    } u;
    void *to = NULL;
    switch (type) {
    case EVENT_TRADE:
        TRY(store_pg_get_trade(&c->rd, c->row, &u.trade, e));
        note_receipt(b, u.trade.received_ns, newest_ns);
        if ((to = batch_add_trade(b))) *(struct trade *)to = u.trade;
        break;
    case EVENT_QUOTE:
        TRY(store_pg_get_quote(&c->rd, c->row, &u.quote, e));
        note_receipt(b, u.quote.received_ns, newest_ns);
        if ((to = batch_add_quote(b))) *(struct quote *)to = u.quote;
        break;
    case EVENT_GAP:
        TRY(store_pg_get_gap(&c->rd, c->row, &u.gap, e));
        if ((to = batch_add_gap(b))) *(struct gap *)to = u.gap;
        break;
    case EVENT_DEAD:
        TRY(store_pg_get_dead(&c->rd, c->row, &u.dead, e));
        note_receipt(b, u.dead.received_ns, newest_ns);
        if ((to = batch_add_dead(b))) *(struct dead *)to = u.dead;
        break;
    case EVENT_VENUE_CANDLE:
        TRY(store_pg_get_candle(&c->rd, c->row, &u.candle, e));
        if ((to = batch_add_venue_candle(b))) *(struct venue_candle *)to = u.candle;
        break;
    }
    return to ? ERR_OK : ERR(e, ERR_FULL, "a batch of %zu events is full", b->max_events);
}

static enum err_code merge(struct cursor cursors[KINDS], const struct plan *p, struct batch *b,
                           int64_t *ret_last, int64_t *newest_ns, struct err *e)
{
    for (;;) {
        int next = 0;
        for (int i = 1; i < KINDS; i++)
            if (sequence_at(&cursors[i]) < sequence_at(&cursors[next])) next = i;
        int64_t sequence = sequence_at(&cursors[next]);
        if (sequence == INT64_MAX) {
            *ret_last = p->upto;
            return ERR_OK;
        }
        enum err_code code = take_event((enum event_type)next, &cursors[next], b, newest_ns, e);
        if (code == ERR_FULL && p->part && b->event_count) return ERR_OK;
        TRY(code);
        *ret_last = sequence;
        cursors[next].row++;
    }
}

/* Five answers of at most a batch's events each; one more than fit, so that the merge sees whether something is left. */
static enum err_code take_events(struct store_pg_tail *t, const struct plan *p, struct batch *b,
                                 int64_t *ret_last, int64_t *newest_ns, struct err *e)
{
    static const enum store_pg_statement reads[KINDS] = {
        [EVENT_TRADE] = PG_read_trades,
        [EVENT_QUOTE] = PG_read_quotes,
        [EVENT_GAP] = PG_read_gaps,
        [EVENT_DEAD] = PG_read_deads,
        [EVENT_VENUE_CANDLE] = PG_read_candles,
    };
    bool days = p->first_day <= p->last_day;
    struct cursor cursors[KINDS] = {0};
    enum err_code code = ERR_OK;
    for (int i = 0; i < KINDS && code == ERR_OK; i++) {
        bool daily = i == EVENT_TRADE || i == EVENT_QUOTE || i == EVENT_DEAD;
        PGresult *r = NULL;
        struct store_pg_args args = {0};
        store_pg_number(&args, p->after);
        store_pg_number(&args, p->upto);
        store_pg_number(&args, days ? p->first_day : 0);
        store_pg_number(&args, days ? p->last_day : 0);
        store_pg_number(&args, (int64_t)b->max_events + 1);
        if (days || !daily) code = store_pg_run(&t->link, reads[i], &args, &r, e);
        cursors[i].rd =
            (struct store_pg_reader){t->link.address, r, &b->arena, series_count(t->base.series)};
    }
    if (code == ERR_OK) code = merge(cursors, p, b, ret_last, newest_ns, e);
    for (int i = 0; i < KINDS; i++) PQclear((PGresult *)(uintptr_t)cursors[i].rd.r);
    return code;
}

/* Those of a batch have the sequences behind its events'; they come with the piece that ends it. */
static enum err_code take_instruments(struct store_pg_tail *t, int64_t after, int64_t upto,
                                      struct batch *b, struct err *e)
{
    struct store_pg_args args = {0};
    store_pg_number(&args, after);
    store_pg_number(&args, upto);
    PGresult *r;
    TRY(store_pg_run(&t->link, PG_read_instruments, &args, &r, e));
    const struct store_pg_reader rd = {t->link.address, r, &b->arena, series_count(t->base.series)};
    enum err_code code = ERR_OK;
    for (int i = 0; i < PQntuples(r) && code == ERR_OK; i++) {
        struct instrument in, *to;
        code = store_pg_get_instrument(&rd, i, &in, e);
        if (code == ERR_OK && !(to = batch_add_instrument(b)))
            code = ERR(e, ERR_FULL, "a batch of %zu instruments is full", b->instrument_count);
        else if (code == ERR_OK)
            *to = in;
    }
    PQclear(r);
    return code;
}

static enum err_code fill(struct store_pg_tail *t, int64_t after, int64_t bound, struct batch *b,
                          struct err *e)
{
    struct plan plan = {.after = after,
                        .upto = after,
                        .clock_ns = TIME_ABSENT,
                        .first_day = INT32_MAX,
                        .last_day = INT32_MIN},
                *p = &plan;
    TRY(make_plan(t, bound, b, p, e));
    if (p->partial)
        return ERR(e, ERR_HOLE, "%s: rows after %lld are asked for, but retention removed some",
                   t->link.address, (long long)after);
    int64_t last = p->after, newest_ns = TIME_ABSENT;
    TRY(take_events(t, p, b, &last, &newest_ns, e));
    if (last == p->batch_last && last > p->after) {
        int64_t from = p->batch_first - 1 > p->after ? p->batch_first - 1 : p->after;
        TRY(take_instruments(t, from, last + p->instruments, b, e));
    }
    if (p->part) {
        for (size_t i = 0; i < b->trade_count; i++)
            proof_add_trade(&b->proofs, t->base.series, &b->trades[i]);
        for (size_t i = 0; i < b->quote_count; i++)
            proof_add_quote(&b->proofs, t->base.series, &b->quotes[i]);
    }
    b->first_sequence = p->after + 1;
    b->last_sequence = last;
    /* The stored clock is that of the batch's end; a piece from its middle knows the newest receipt only. */
    b->clock_ns = last == p->batch_last ? p->clock_ns : newest_ns;
    return ERR_OK;
}

static enum err_code read_snapshot(struct store_pg_tail *t, int64_t after, int64_t upto,
                                   struct batch *b, bool *ret_end, struct err *e)
{
    TRY(store_pg_series_read(&t->link, t->base.series, e));
    PGresult *r;
    TRY(store_pg_run(&t->link, PG_bounds, NULL, &r, e));
    int64_t first = store_pg_get(r, 0, 0, 1), mark = store_pg_get(r, 0, 1, 0);
    int64_t removed = store_pg_get(r, 0, 2, 0);
    PQclear(r);
    t->base.mark = mark;
    if (after + 1 < first && after < removed)
        return ERR(e, ERR_HOLE,
                   "%s: rows after %lld are asked for, but retention removed all below %lld",
                   t->link.address, (long long)after, (long long)first);
    if (after > mark)
        return ERR(e, ERR_HOLE,
                   "%s: rows after %lld are asked for, but the store ends at %lld: is it an older "
                   "copy or another store?",
                   t->link.address, (long long)after, (long long)mark);
    int64_t bound = upto < mark ? upto : mark;
    if (after < bound) TRY(fill(t, after, bound, b, e));
    *ret_end = after >= bound || b->last_sequence >= bound;
    return ERR_OK;
}

enum err_code store_pg_tail_read(struct store_tail *base, int64_t after_sequence, int64_t upto,
                                 struct batch *b, bool *ret_end, struct err *e)
{
    struct store_pg_tail *t = (struct store_pg_tail *)base;
    /* Inside store_claims the snapshot is that one's. */
    bool own = t->link.conn && PQtransactionStatus(t->link.conn) == PQTRANS_IDLE;
    if (own) TRY(store_pg_do(&t->link, begin, e));
    enum err_code code = read_snapshot(t, after_sequence, upto, b, ret_end, e);
    if (own) store_pg_rollback(&t->link); /* ends the snapshot; nothing was written */
    return code;
}
