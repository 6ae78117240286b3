#include "base/crash.h"
#include "io/clock.h"
#include "store/store_sqlite.h"

#include <stdlib.h>

enum err_code store_lite_measure(struct store_lite *s, struct err *e)
{
    int64_t pages, free_pages;
    TRY(store_db_number(&s->db, STATEMENT_page_count, 0, &pages, e));
    TRY(store_db_number(&s->db, STATEMENT_freelist_count, 0, &free_pages, e));
    atomic_store_explicit(&s->base.bytes, (pages - free_pages) * s->page_bytes,
                          memory_order_relaxed);
    return ERR_OK;
}

static enum err_code load_marks(struct store_lite *s, struct err *e)
{
    sqlite3_stmt *q;
    bool row;
    TRY(store_db_get(&s->db, STATEMENT_newest_batch, &q, e));
    TRY(store_db_next(&s->db, q, &row, e));
    s->base.newest_received_ns = TIME_ABSENT;
    if (row) {
        s->base.mark = sqlite3_column_int64(q, 0);
        s->batch = sqlite3_column_int64(q, 1);
        s->base.newest_received_ns = store_row_number(q, 2, TIME_ABSENT);
    }
    sqlite3_reset(q);
    /* A row above the newest batch would take the number of the next event. */
    int64_t newest_row;
    TRY(store_db_number(&s->db, STATEMENT_newest_rows, 0, &newest_row, e));
    if (newest_row > s->base.mark)
        return ERR(e, ERR_CORRUPT,
                   "%s: row %lld lies above the newest batch, which ends at %lld; the file was "
                   "altered by somebody else or damaged; nothing was overwritten",
                   s->db.path, (long long)newest_row, (long long)s->base.mark);
    return ERR_OK;
}

static enum err_code load(struct store_lite *s, struct err *e)
{
    TRY(store_db_number(&s->db, STATEMENT_page_size, 4096, &s->page_bytes, e));
    TRY(store_series_load(&s->db, s->base.series, &s->series_stored, e));
    TRY(load_marks(s, e));
    struct store_state *state = &s->base.loaded.state;
    state->last_received_ns = s->base.newest_received_ns;
    TRY(store_bounds(&s->db, &state->first_sequence, &state->last_sequence, e));
    TRY(store_state_load(&s->db, s->series_stored, &s->base.loaded, e));
    atomic_store(&s->base.mark_seen, s->base.mark);
    return store_lite_measure(s, e);
}

static struct store *lite_close(struct store *base)
{
    struct store_lite *s = (struct store_lite *)base;
    if (!s) return NULL;
    store_db_close(&s->db);
    store_state_free(&s->base.loaded);
    buf_free(&s->proofs);
    free(s);
    return NULL;
}

static enum err_code lite_open(const struct store_options *o, struct store **ret, struct err *e)
{
    struct store_lite *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    store_init(&s->base, &store_sqlite, o);
    buf_init(&s->proofs, STORE_PROOFS_MAX_BYTES);
    enum err_code code = store_db_open(&s->db, o->path, o->read_only, e);
    /* One snapshot, since a read-only store may be opened while another process writes. */
    if (code == ERR_OK) code = store_db_do(&s->db, STATEMENT_begin_read, e);
    if (code == ERR_OK) code = load(s, e);
    if (code == ERR_OK) code = store_db_do(&s->db, STATEMENT_commit, e);
    *ret = code == ERR_OK ? &s->base : lite_close(&s->base);
    return code;
}

static enum err_code put_series(struct store_lite *s, uint32_t end, struct err *e)
{
    sqlite3_stmt *q;
    TRY(store_db_get(&s->db, STATEMENT_insert_series, &q, e));
    for (uint32_t id = s->series_stored; id < end; id++) {
        const struct series *n = series_get(s->base.series, id);
        const struct str names[] = {n->venue, n->exchange, n->symbol, n->venue_symbol};
        sqlite3_bind_int64(q, 1, id);
        for (int i = 0; i < 4; i++)
            sqlite3_bind_text64(q, i + 2, names[i].p, names[i].n, SQLITE_STATIC, SQLITE_UTF8);
        TRY(store_db_run(&s->db, q, e));
    }
    return ERR_OK;
}

static enum err_code put_states(struct store_lite *s, const struct batch *b,
                                struct store_sums *sums, struct err *e)
{
    sqlite3_stmt *q;
    TRY(store_db_get(&s->db, STATEMENT_put_dedup, &q, e));
    for (size_t i = 0; i < b->dedup_count; i++) {
        const struct dedup_state *d = &b->dedup[i];
        sqlite3_bind_int64(q, 1, d->series);
        sqlite3_bind_int64(q, 2, d->stream);
        sqlite3_bind_blob64(q, 3, d->bytes.p ? d->bytes.p : "", d->bytes.n, SQLITE_STATIC);
        TRY(store_db_run(&s->db, q, e));
        if (d->series >= sums->series_end) sums->series_end = d->series + 1;
    }
    TRY(store_db_get(&s->db, STATEMENT_put_position, &q, e));
    for (size_t i = 0; i < b->position_count; i++) {
        const struct source_position *p = &b->positions[i];
        sqlite3_bind_text64(q, 1, p->name.p ? p->name.p : "", p->name.n, SQLITE_STATIC,
                            SQLITE_UTF8);
        sqlite3_bind_int64(q, 2, p->frames);
        sqlite3_bind_int64(q, 3, p->done);
        TRY(store_db_run(&s->db, q, e));
    }
    return ERR_OK;
}

static enum err_code put_batch(struct store_lite *s, const struct batch *b,
                               const struct store_sums *sums, struct err *e)
{
    struct store_batch_row row = {
        .last_sequence = b->last_sequence,
        .first_sequence = b->first_sequence,
        .batch = s->batch + 1,
        .trades = (int64_t)b->trade_count,
        .quotes = (int64_t)b->quote_count,
        .gaps = (int64_t)b->gap_count,
        .deads = (int64_t)b->dead_count,
        .candles = (int64_t)b->candle_count,
        .instruments = (int64_t)b->instrument_count,
        .duplicates = b->duplicates,
        .text_bytes = (int64_t)sums->text_bytes,
        .received_ns = sums->newest_received_ns,
        .clock_ns = b->clock_ns,
        .content = sums->content,
    };
    TRY(store_proof_sum(b, &row.sum, e));
    buf_reset(&s->proofs);
    store_proofs_pack(&b->proofs, NULL, &s->proofs);
    if (s->proofs.failed)
        return ERR(e, ERR_FULL, "the proof of a batch is larger than %d bytes",
                   STORE_PROOFS_MAX_BYTES);
    return store_batch_put(&s->db, &row, buf_str(&s->proofs), e);
}

static enum err_code put_all(struct store_lite *s, const struct batch *b, struct store_sums *sums,
                             struct err *e)
{
    TRY(store_row_put_trades(&s->db, b, sums, e));
    CRASH_POINT(store_in_transaction);
    TRY(store_row_put_quotes(&s->db, b, sums, e));
    if (b->gap_count) TRY(store_row_put_gaps(&s->db, b, sums, e));
    if (b->dead_count) TRY(store_row_put_deads(&s->db, b, sums, e));
    if (b->candle_count) TRY(store_row_put_candles(&s->db, b, sums, e));
    if (b->instrument_count) TRY(store_row_put_instruments(&s->db, b, sums, e));
    TRY(put_states(s, b, sums, e));
    if (sums->series_end > s->series_stored) TRY(put_series(s, sums->series_end, e));
    TRY(put_batch(s, b, sums, e));
    CRASH_POINT(store_before_commit);
    return store_db_do(&s->db, STATEMENT_commit, e);
}

static enum err_code lite_append(struct store *base, struct batch *b, struct err *e)
{
    struct store_lite *s = (struct store_lite *)base;
    TRY(store_check_room(base, s->db.path, e));
    int64_t start_ns = clock_mono_ns();
    batch_number(b, base->mark + 1);
    struct store_sums sums = {.newest_received_ns = base->newest_received_ns};
    TRY(store_db_do(&s->db, STATEMENT_begin_write, e));
    enum err_code code = put_all(s, b, &sums, e);
    if (code != ERR_OK) {
        store_db_rollback(&s->db);
        return code;
    }
    CRASH_POINT(store_after_commit);
    base->mark = b->last_sequence;
    s->batch++;
    base->newest_received_ns = sums.newest_received_ns;
    if (sums.series_end > s->series_stored) s->series_stored = sums.series_end;
    store_count_commit(base, b, clock_mono_ns() - start_ns);
    /* The batch is durable; a failure to measure only leaves the size as it was. */
    if (store_lite_measure(s, NULL) != ERR_OK) return ERR_OK;
    return ERR_OK;
}

const struct store_backend store_sqlite = {
    .open = lite_open,
    .close = lite_close,
    .append = lite_append,
    .retain = store_lite_retain,
    .check = store_lite_check,
    .tail_open = store_lite_tail_open,
    .tail_close = store_lite_tail_close,
    .tail_read = store_lite_tail_read,
    .tail_mark = store_lite_tail_mark,
    .claims = store_lite_claims,
    .claim_proofs = store_lite_claim_proofs,
    .proofs = store_lite_proofs,
    .gaps = store_lite_gaps,
    .job_put = store_lite_job_put,
    .each_job = store_lite_each_job,
};
