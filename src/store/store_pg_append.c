/* One batch, one transaction. */
#include "store/store_pg.h"

#include "base/crash.h"
#include "io/clock.h"

/* nextval of ticklake.sequence_blocks, see its INCREMENT. */
enum { BLOCK = 4194304, TRIES = 4 };

/* What the rows of a batch add up to. */
struct totals {
    u128 sum, content;
    int64_t newest_received_ns, text_bytes;
    int32_t first_day, last_day; /* INT32_MAX, INT32_MIN: none */
};

static uint32_t series_end(const struct batch *b)
{
    uint32_t end = 0;
    for (size_t i = 0; i < b->trade_count; i++)
        if (b->trades[i].series >= end) end = b->trades[i].series + 1;
    for (size_t i = 0; i < b->quote_count; i++)
        if (b->quotes[i].series >= end) end = b->quotes[i].series + 1;
    for (size_t i = 0; i < b->gap_count; i++)
        if (b->gaps[i].series >= end) end = b->gaps[i].series + 1;
    for (size_t i = 0; i < b->candle_count; i++)
        if (b->candles[i].c.series >= end) end = b->candles[i].c.series + 1;
    for (size_t i = 0; i < b->dedup_count; i++)
        if (b->dedup[i].series >= end) end = b->dedup[i].series + 1;
    return end;
}

/* Arenas align to 16 bytes. */
static int64_t room(struct str s) { return (int64_t)((s.n + 15) / 16 * 16); }

static int64_t text_bytes(const struct batch *b)
{
    int64_t sum = 0;
    for (size_t i = 0; i < b->trade_count; i++) sum += room(b->trades[i].id_text);
    for (size_t i = 0; i < b->gap_count; i++) sum += room(b->gaps[i].cause);
    for (size_t i = 0; i < b->candle_count; i++) sum += room(b->candles[i].source);
    for (size_t i = 0; i < b->dead_count; i++) {
        const struct dead *d = &b->deads[i];
        sum += room(d->venue) + room(d->symbol) + room(d->connection) + room(d->detail) +
               room(d->payload);
    }
    for (size_t i = 0; i < b->instrument_count; i++) {
        const struct instrument *in = &b->instruments[i];
        sum += room(in->venue) + room(in->symbol) + room(in->venue_symbol) + room(in->base) +
               room(in->quote) + room(in->settle) + room(in->status);
    }
    return sum;
}

static void note_day(struct totals *t, int32_t day)
{
    if (day < t->first_day) t->first_day = day;
    if (day > t->last_day) t->last_day = day;
}

static void note_receipt(struct totals *t, int64_t received_ns)
{
    if (received_ns > t->newest_received_ns) t->newest_received_ns = received_ns;
}

static enum err_code add_up(const struct store_pg *s, const struct batch *b, struct totals *t,
                            struct err *e)
{
    *t = (struct totals){.newest_received_ns = s->base.newest_received_ns,
                         .first_day = INT32_MAX,
                         .last_day = INT32_MIN};
    for (size_t i = 0; i < b->event_count; i++)
        t->content += store_content_as(b, b->order[i], s->to_db);
    for (size_t i = 0; i < b->trade_count; i++) {
        note_day(t, store_pg_row_day(b, PG_TRADES, i));
        note_receipt(t, b->trades[i].received_ns);
    }
    for (size_t i = 0; i < b->quote_count; i++) {
        note_day(t, store_pg_row_day(b, PG_QUOTES, i));
        note_receipt(t, b->quotes[i].received_ns);
    }
    for (size_t i = 0; i < b->dead_count; i++) {
        note_day(t, store_pg_row_day(b, PG_DEADS, i));
        note_receipt(t, b->deads[i].received_ns);
    }
    t->text_bytes = text_bytes(b);
    return store_proof_sum(b, &t->sum, e);
}

static enum err_code put_dedup(struct store_pg *s, const struct batch *b, struct err *e)
{
    struct store_pg_array series, streams, bytes;
    store_pg_array_init(&series, PG_OID_INT8);
    store_pg_array_init(&streams, PG_OID_INT8);
    store_pg_array_init(&bytes, PG_OID_BYTEA);
    for (size_t i = 0; i < b->dedup_count; i++) {
        const struct dedup_state *d = &b->dedup[i];
        store_pg_array_add_number(&series, s->to_db[d->series]);
        store_pg_array_add_number(&streams, d->stream);
        store_pg_array_add(&bytes, d->bytes);
    }
    struct store_pg_args args = {0};
    store_pg_bytes(&args, str_of(s->writer));
    store_pg_array_arg(&series, &args);
    store_pg_array_arg(&streams, &args);
    store_pg_array_arg(&bytes, &args);
    enum err_code code = store_pg_run(&s->link, PG_put_dedup, &args, NULL, e);
    store_pg_array_free(&series);
    store_pg_array_free(&streams);
    store_pg_array_free(&bytes);
    return code;
}

static enum err_code put_positions(struct store_pg *s, const struct batch *b, struct err *e)
{
    struct store_pg_array names, frames, done;
    store_pg_array_init(&names, PG_OID_TEXT);
    store_pg_array_init(&frames, PG_OID_INT8);
    store_pg_array_init(&done, PG_OID_INT8);
    for (size_t i = 0; i < b->position_count; i++) {
        const struct source_position *p = &b->positions[i];
        store_pg_array_add(&names, p->name);
        store_pg_array_add_number(&frames, p->frames);
        store_pg_array_add_number(&done, p->done);
    }
    struct store_pg_args args = {0};
    store_pg_bytes(&args, str_of(s->writer));
    store_pg_array_arg(&names, &args);
    store_pg_array_arg(&frames, &args);
    store_pg_array_arg(&done, &args);
    enum err_code code = store_pg_run(&s->link, PG_put_positions, &args, NULL, e);
    store_pg_array_free(&names);
    store_pg_array_free(&frames);
    store_pg_array_free(&done);
    return code;
}

static enum err_code put_states(struct store_pg *s, const struct batch *b, struct err *e)
{
    if (b->gap_count) {
        struct store_pg_args args = {0};
        store_pg_bytes(&args, str_of(s->writer));
        store_pg_number(&args, b->first_sequence);
        store_pg_number(&args, b->last_sequence);
        TRY(store_pg_run(&s->link, PG_put_ledger, &args, NULL, e));
    }
    if (s->role == STORE_GUEST) return store_pg_put_history(s, b, e);
    if (b->dedup_count) TRY(put_dedup(s, b, e));
    return b->position_count ? put_positions(s, b, e) : ERR_OK;
}

static enum err_code put_batch(struct store_pg *s, const struct batch *b, const struct totals *t,
                               struct err *e)
{
    uint8_t sum[16], content[16];
    store_row_sum_bytes(t->sum, sum);
    store_row_sum_bytes(t->content, content);
    buf_reset(&s->proofs);
    store_proofs_pack(&b->proofs, s->to_db, &s->proofs);
    if (s->proofs.failed)
        return ERR(e, ERR_FULL, "the proof of a batch is larger than %d bytes",
                   STORE_PROOFS_MAX_BYTES);
    const int64_t counts[] = {(int64_t)b->trade_count,
                              (int64_t)b->quote_count,
                              (int64_t)b->gap_count,
                              (int64_t)b->dead_count,
                              (int64_t)b->candle_count,
                              (int64_t)b->instrument_count,
                              b->duplicates};
    bool days = t->first_day <= t->last_day;
    struct store_pg_args args = {0};
    store_pg_bytes(&args, str_of(s->writer));
    store_pg_number(&args, s->number + 1);
    store_pg_number(&args, b->first_sequence);
    store_pg_number(&args, b->last_sequence);
    for (int i = 0; i < 7; i++) store_pg_number(&args, counts[i]);
    store_pg_number_or_null(&args, t->newest_received_ns);
    store_pg_number_or_null(&args, b->clock_ns);
    store_pg_bool(&args, s->live);
    store_pg_bool(&args, b->finish);
    store_pg_bytes(&args, (struct str){(const char *)sum, sizeof sum});
    store_pg_bytes(&args, (struct str){(const char *)content, sizeof content});
    store_pg_bytes(&args, buf_str(&s->proofs));
    store_pg_number(&args, t->text_bytes);
    store_pg_number_or_null(&args, days ? t->first_day : TIME_ABSENT);
    store_pg_number_or_null(&args, days ? t->last_day : TIME_ABSENT);
    return store_pg_run(&s->link, PG_put_batch, &args, NULL, e);
}

/* Until the answer is there, nobody knows whether it was done. */
static enum err_code commit(struct store_pg *s, const struct batch *b, struct err *e)
{
    CRASH_POINT(store_before_commit);
    /* A COMMIT of a failed transaction would be answered like a good one. */
    if (PQtransactionStatus(s->link.conn) != PQTRANS_INTRANS)
        return ERR(e, ERR_INTERNAL, "%s: the transaction of a batch has failed unseen",
                   s->link.address);
    s->uncertain = true;
    s->pending_first = b->first_sequence;
    s->pending_last = b->last_sequence;
    enum err_code code = store_pg_do(&s->link, "COMMIT", e);
    if (code == ERR_OK || store_pg_is_up(&s->link)) s->uncertain = false;
    return code;
}

static enum err_code transact(struct store_pg *s, struct batch *b, bool *ret_missing_partition,
                              struct totals *totals, struct err *e)
{
    TRY(store_pg_do(&s->link, "BEGIN", e));
    /* The series first: who waits for their lock holds no row that another waits for. */
    TRY(store_pg_series_add(s, series_end(b), e));
    TRY(store_pg_copy_in(s, b, ret_missing_partition, e));
    if (*ret_missing_partition) return ERR_OK;
    TRY(put_states(s, b, e));
    TRY(add_up(s, b, totals, e));
    TRY(put_batch(s, b, totals, e));
    return commit(s, b, e);
}

/* An unfinished block is left where it is: numbers are for order, and holes in them are no loss. */
static enum err_code number(struct store_pg *s, struct batch *b, struct err *e)
{
    int64_t need = (b->event_count ? (int64_t)b->event_count : 1) + (int64_t)b->instrument_count;
    if (need > BLOCK)
        return ERR(e, ERR_FULL, "a batch of %lld events and instruments; at most %d go into one",
                   (long long)need, BLOCK);
    if (s->next_sequence == 0 || s->next_sequence + need - 1 > s->block_end) {
        TRY(store_pg_ask(&s->link, PG_next_sequences, NULL, 0, &s->next_sequence, e));
        s->block_end = s->next_sequence + BLOCK - 1;
    }
    batch_number(b, s->next_sequence);
    return ERR_OK;
}

static void done(struct store_pg *s, const struct batch *b, int64_t start_ns)
{
    s->number++;
    s->base.mark = b->last_sequence;
    s->next_sequence = b->last_sequence + 1 + (int64_t)b->instrument_count;
    store_count_commit(&s->base, b, clock_mono_ns() - start_ns);
}

static enum err_code make_ahead(struct store_pg *s, struct err *e)
{
    int32_t today = time_day(clock_wall_ns());
    if (!s->live || today == s->ahead_day) return ERR_OK;
    TRY(store_pg_days_make(&s->link, &s->days, today, (int32_t)s->partitions_ahead + 1, e));
    s->ahead_day = today;
    return ERR_OK;
}

static void measure(struct store_pg *s)
{
    enum { EVERY_S = 30 };
    int64_t now = clock_mono_ns(), bytes;
    if (s->measured_ns && now - s->measured_ns < EVERY_S * NS_PER_S) return;
    s->measured_ns = now;
    if (store_pg_ask(&s->link, PG_measure, NULL, 0, &bytes, NULL) == ERR_OK)
        atomic_store_explicit(&s->base.bytes, bytes, memory_order_relaxed);
}

static enum err_code try_once(struct store_pg *s, struct batch *b, struct totals *totals,
                              bool *ret_missing_partition, struct err *e)
{
    *ret_missing_partition = false;
    TRY(store_pg_ready(s, e));
    TRY(make_ahead(s, e));
    TRY(store_pg_days_of_batch(&s->link, &s->days, b, e));
    TRY(number(s, b, e));
    TRY(store_pg_clean(s, b, e));
    enum err_code code = transact(s, b, ret_missing_partition, totals, e);
    if (code == ERR_OK && !*ret_missing_partition) return ERR_OK;
    store_pg_rollback(&s->link);
    s->reload = true;
    return code;
}

enum err_code store_pg_append(struct store *base, struct batch *b, struct err *e)
{
    struct store_pg *s = (struct store_pg *)base;
    int64_t start_ns = clock_mono_ns();
    TRY(store_pg_ready(s, e));
    bool same = b->first_sequence != 0 && b->first_sequence == s->pending_first &&
                b->last_sequence == s->pending_last;
    if (s->found && same) { /* its commit was done although nobody could say so */
        s->found = false;
        store_count_commit(base, b, 0);
        return ERR_OK;
    }
    s->found = false;
    TRY(store_check_room(base, s->link.address, e));
    struct totals totals;
    enum err_code code = ERR_OK;
    bool missing = false;
    for (int i = 0; i < TRIES; i++) {
        code = try_once(s, b, &totals, &missing, e);
        /* Deadlocks between writers, and a partition retired under our hands, are over at once. */
        if (!missing && code != ERR_CONFLICT) break;
    }
    if (code == ERR_OK && missing)
        code = ERR(e, ERR_CONFLICT, "%s: the partition of a day is missing again and again",
                   s->link.address);
    TRY(code);
    CRASH_POINT(store_after_commit);
    base->newest_received_ns = totals.newest_received_ns;
    done(s, b, start_ns);
    measure(s);
    return ERR_OK;
}
