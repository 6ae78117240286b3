#include "store/store_sqlite.h"

#include <stdlib.h>

enum err_code store_lite_tail_open(const struct store_options *o, struct store_tail **ret,
                                   struct err *e)
{
    struct store_lite_tail *t = calloc(1, sizeof *t);
    CHECK(t != NULL);
    t->base = (struct store_tail){.backend = &store_sqlite, .series = o->series};
    enum err_code code = store_db_open(&t->db, o->path, true, e);
    if (code == ERR_OK) code = store_series_load(&t->db, t->base.series, &t->series_stored, e);
    if (code == ERR_OK) code = store_db_number(&t->db, STATEMENT_newest_batch, 0, &t->base.mark, e);
    *ret = code == ERR_OK ? &t->base : store_lite_tail_close(&t->base);
    return code;
}

struct store_tail *store_lite_tail_close(struct store_tail *base)
{
    struct store_lite_tail *t = (struct store_lite_tail *)base;
    if (!t) return NULL;
    store_db_close(&t->db);
    free(t);
    return NULL;
}

int64_t store_lite_tail_mark(struct store_tail *base)
{
    struct store_lite_tail *t = (struct store_lite_tail *)base;
    int64_t mark;
    if (store_db_number(&t->db, STATEMENT_newest_batch, 0, &mark, NULL) == ERR_OK)
        t->base.mark = mark;
    return t->base.mark;
}

/* What one call reads: whole stored batches, or a part of one (whose rows are hashed again, since its stored proof
 * covers all of it). */
struct plan {
    int64_t after, upto;
    bool part;
    int64_t batch_last; /* where the last stored batch of the plan ends */
    int64_t clock_ns;   /* of that batch */
};

static bool fits(const struct batch *b, int64_t events, int64_t text_bytes, int64_t instruments)
{
    return events <= (int64_t)b->max_events && text_bytes <= (int64_t)(b->arena.limit / 8 * 7) &&
           instruments <= INT16_MAX;
}

static enum err_code make_plan(struct store_lite_tail *t, int64_t bound, struct batch *b,
                               struct plan *p, struct err *e)
{
    sqlite3_stmt *s;
    TRY(store_db_get(&t->db, STATEMENT_read_batches, &s, e));
    sqlite3_bind_int64(s, 1, p->after);
    sqlite3_bind_int64(s, 2, -1);
    int64_t events = 0, text_bytes = 0, instruments = 0;
    enum err_code code = ERR_OK;
    for (bool first = true; code == ERR_OK; first = false) {
        bool row;
        struct store_batch_row r;
        struct str blob;
        TRY(store_db_next(&t->db, s, &row, e));
        if (!row) return ERR_OK;
        code = store_batch_get(&t->db, s, &r, &blob, e);
        if (code != ERR_OK) break;
        events += store_batch_events(&r);
        text_bytes += r.text_bytes;
        instruments += r.instruments;
        bool fit = r.last_sequence <= bound && fits(b, events, text_bytes, instruments);
        if (!first && !fit) break;
        p->part = first && (!fit || p->after >= r.first_sequence);
        p->batch_last = r.last_sequence;
        p->upto = r.last_sequence < bound ? r.last_sequence : bound;
        p->clock_ns = r.clock_ns;
        if (p->part) break;
        code = store_proofs_unpack(t->db.path, blob, t->series_stored, &b->proofs, e);
        b->duplicates += r.duplicates;
    }
    sqlite3_reset(s);
    return code;
}

/* One kind of row, standing on its next one. */
struct cursor {
    sqlite3_stmt *s;
    int64_t sequence; /* INT64_MAX at the end */
};

static enum err_code advance(struct store_lite_tail *t, struct cursor *c, struct err *e)
{
    bool row;
    TRY(store_db_next(&t->db, c->s, &row, e));
    c->sequence = row ? sqlite3_column_int64(c->s, 0) : INT64_MAX;
    return ERR_OK;
}

static void note_receipt(struct batch *b, int64_t received_ns, int64_t *newest)
{
    if (b->first_received_ns == TIME_ABSENT || received_ns < b->first_received_ns)
        b->first_received_ns = received_ns;
    if (received_ns > *newest) *newest = received_ns;
}

/* Decoded aside and added when it is whole, so that a batch whose text is full holds no half events. */
static enum err_code take_event(struct store_lite_tail *t, enum event_type type, sqlite3_stmt *s,
                                struct batch *b, int64_t *newest_ns, struct err *e)
{
    union {
        struct trade trade;
        struct quote quote;
        struct gap gap;
        struct dead dead;
        struct venue_candle candle;
    } u;
    void *to = NULL;
    uint32_t end = t->series_stored;
    switch (type) {
    case EVENT_TRADE:
        TRY(store_row_get_trade(&t->db, s, &b->arena, end, &u.trade, e));
        note_receipt(b, u.trade.received_ns, newest_ns);
        if ((to = batch_add_trade(b))) *(struct trade *)to = u.trade;
        break;
    case EVENT_QUOTE:
        TRY(store_row_get_quote(&t->db, s, end, &u.quote, e));
        note_receipt(b, u.quote.received_ns, newest_ns);
        if ((to = batch_add_quote(b))) *(struct quote *)to = u.quote;
        break;
    case EVENT_GAP:
        TRY(store_row_get_gap(&t->db, s, &b->arena, end, &u.gap, e));
        if ((to = batch_add_gap(b))) *(struct gap *)to = u.gap;
        break;
    case EVENT_DEAD:
        TRY(store_row_get_dead(&t->db, s, &b->arena, &u.dead, e));
        note_receipt(b, u.dead.received_ns, newest_ns);
        if ((to = batch_add_dead(b))) *(struct dead *)to = u.dead;
        break;
    case EVENT_VENUE_CANDLE:
        TRY(store_row_get_candle(&t->db, s, &b->arena, end, &u.candle, e));
        if ((to = batch_add_venue_candle(b))) *(struct venue_candle *)to = u.candle;
        break;
    }
    return to ? ERR_OK : ERR(e, ERR_FULL, "a batch of %zu events is full", b->max_events);
}

/* Merges the five kinds by sequence until the plan's end, or until the batch is full. *ret_last: last sequence taken. */
static enum err_code take_events(struct store_lite_tail *t, const struct plan *p, struct batch *b,
                                 int64_t *ret_last, int64_t *newest_ns, struct err *e)
{
    static const enum store_statement reads[] = {
        [EVENT_TRADE] = STATEMENT_read_trades,
        [EVENT_QUOTE] = STATEMENT_read_quotes,
        [EVENT_GAP] = STATEMENT_read_gaps,
        [EVENT_DEAD] = STATEMENT_read_deads,
        [EVENT_VENUE_CANDLE] = STATEMENT_read_candles,
    };
    enum { KINDS = sizeof reads / sizeof reads[0] };
    struct cursor cursors[KINDS];
    for (int i = 0; i < KINDS; i++) {
        TRY(store_db_get(&t->db, reads[i], &cursors[i].s, e));
        sqlite3_bind_int64(cursors[i].s, 1, p->after);
        sqlite3_bind_int64(cursors[i].s, 2, p->upto);
        TRY(advance(t, &cursors[i], e));
    }
    for (;;) {
        int next = 0;
        for (int i = 1; i < KINDS; i++)
            if (cursors[i].sequence < cursors[next].sequence) next = i;
        if (cursors[next].sequence == INT64_MAX) {
            *ret_last = p->upto;
            return ERR_OK;
        }
        enum err_code code = take_event(t, (enum event_type)next, cursors[next].s, b, newest_ns, e);
        if (code == ERR_FULL && p->part && b->event_count) return ERR_OK;
        TRY(code);
        *ret_last = cursors[next].sequence;
        TRY(advance(t, &cursors[next], e));
    }
}

static enum err_code take_instruments(struct store_lite_tail *t, int64_t after, int64_t upto,
                                      struct batch *b, struct err *e)
{
    sqlite3_stmt *s;
    TRY(store_db_get(&t->db, STATEMENT_read_instruments, &s, e));
    sqlite3_bind_int64(s, 1, after);
    sqlite3_bind_int64(s, 2, upto);
    for (;;) {
        bool row;
        TRY(store_db_next(&t->db, s, &row, e));
        if (!row) return ERR_OK;
        struct instrument in, *to;
        TRY(store_row_get_instrument(&t->db, s, &b->arena, &in, e));
        if (!(to = batch_add_instrument(b)))
            return ERR(e, ERR_FULL, "a batch of %zu instruments is full", b->instrument_count);
        *to = in;
    }
}

static enum err_code fill(struct store_lite_tail *t, int64_t after, int64_t bound, struct batch *b,
                          struct err *e)
{
    struct plan plan = {.after = after, .upto = after, .clock_ns = TIME_ABSENT}, *p = &plan;
    TRY(make_plan(t, bound, b, p, e));
    int64_t last = p->after, newest_ns = TIME_ABSENT;
    TRY(take_events(t, p, b, &last, &newest_ns, e));
    TRY(take_instruments(t, p->after, last, b, e));
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

static enum err_code read_snapshot(struct store_lite_tail *t, int64_t after_sequence, int64_t upto,
                                   struct batch *b, bool *ret_end, struct err *e)
{
    /* Another process may have stored series since; the one that writes here has them in memory already. */
    TRY(store_series_load(&t->db, t->base.series, &t->series_stored, e));
    int64_t first;
    TRY(store_bounds(&t->db, &first, &t->base.mark, e));
    if (after_sequence + 1 < first)
        return ERR(e, ERR_HOLE,
                   "%s: rows after %lld are asked for, but retention removed all below %lld",
                   t->db.path, (long long)after_sequence, (long long)first);
    if (after_sequence > t->base.mark)
        return ERR(e, ERR_HOLE,
                   "%s: rows after %lld are asked for, but the store ends at %lld: is it an older "
                   "copy or another store?",
                   t->db.path, (long long)after_sequence, (long long)t->base.mark);
    int64_t bound = upto < t->base.mark ? upto : t->base.mark;
    if (after_sequence < bound) TRY(fill(t, after_sequence, bound, b, e));
    *ret_end = after_sequence >= bound || b->last_sequence >= bound;
    return ERR_OK;
}

enum err_code store_lite_tail_read(struct store_tail *base, int64_t after_sequence, int64_t upto,
                                   struct batch *b, bool *ret_end, struct err *e)
{
    struct store_lite_tail *t = (struct store_lite_tail *)base;
    TRY(store_db_do(&t->db, STATEMENT_begin_read, e));
    enum err_code code = read_snapshot(t, after_sequence, upto, b, ret_end, e);
    store_db_rollback(&t->db); /* ends the snapshot; nothing was written */
    return code;
}
