#include "base/crash.h"
#include "io/clock.h"
#include "store/store_internal.h"

#include <stdlib.h>

/* One entry of the proof for each trade is the worst case; more than this is no batch. */
enum { PROOFS_MAX_BYTES = 256 << 20 };

enum err_code store_measure(struct store *s, struct err *e)
{
    int64_t pages, free_pages;
    TRY(store_db_number(&s->db, STATEMENT_page_count, 0, &pages, e));
    TRY(store_db_number(&s->db, STATEMENT_freelist_count, 0, &free_pages, e));
    atomic_store_explicit(&s->bytes, (pages - free_pages) * s->page_bytes, memory_order_relaxed);
    return ERR_OK;
}

static enum err_code load_marks(struct store *s, struct err *e)
{
    sqlite3_stmt *q;
    bool row;
    TRY(store_db_get(&s->db, STATEMENT_newest_batch, &q, e));
    TRY(store_db_next(&s->db, q, &row, e));
    s->newest_received_ns = TIME_ABSENT;
    if (row) {
        s->mark = sqlite3_column_int64(q, 0);
        s->batch = sqlite3_column_int64(q, 1);
        s->newest_received_ns = store_row_number(q, 2, TIME_ABSENT);
    }
    sqlite3_reset(q);
    /* A row above the newest batch would take the number of the next event. */
    int64_t newest_row;
    TRY(store_db_number(&s->db, STATEMENT_newest_rows, 0, &newest_row, e));
    if (newest_row > s->mark)
        return ERR(e, ERR_CORRUPT,
                   "%s: row %lld lies above the newest batch, which ends at %lld; the file was "
                   "altered by somebody else or damaged; nothing was overwritten",
                   s->db.path, (long long)newest_row, (long long)s->mark);
    return ERR_OK;
}

static enum err_code load(struct store *s, struct err *e)
{
    TRY(store_db_number(&s->db, STATEMENT_page_size, 4096, &s->page_bytes, e));
    TRY(store_series_load(&s->db, s->series, &s->series_stored, e));
    TRY(load_marks(s, e));
    struct store_state *state = &s->loaded.state;
    state->last_received_ns = s->newest_received_ns;
    TRY(store_bounds(&s->db, &state->first_sequence, &state->last_sequence, e));
    TRY(store_state_load(&s->db, s->series_stored, &s->loaded, e));
    atomic_store(&s->mark_seen, s->mark);
    return store_measure(s, e);
}

enum err_code store_open(const struct store_options *o, struct store **ret, struct err *e)
{
    struct store *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->series = o->series;
    s->bytes_max = o->bytes_max;
    buf_init(&s->proofs, PROOFS_MAX_BYTES);
    store_state_init(&s->loaded);
    enum err_code code = store_db_open(&s->db, o->path, o->read_only, e);
    /* One snapshot, since a read-only store may be opened while another process writes. */
    if (code == ERR_OK) code = store_db_do(&s->db, STATEMENT_begin_read, e);
    if (code == ERR_OK) code = load(s, e);
    if (code == ERR_OK) code = store_db_do(&s->db, STATEMENT_commit, e);
    if (code != ERR_OK) s = store_close(s);
    *ret = s;
    return code;
}

struct store *store_close(struct store *s)
{
    if (!s) return NULL;
    store_db_close(&s->db);
    store_state_free(&s->loaded);
    buf_free(&s->proofs);
    free(s);
    return NULL;
}

const struct store_state *store_state(const struct store *s) { return &s->loaded.state; }
int64_t store_mark(const struct store *s) { return s->mark; }

void store_stats(const struct store *s, struct store_stats *ret)
{
    struct store *m = (struct store *)(uintptr_t)s; /* C17 atomics take no const */
    *ret = (struct store_stats){
        .rows = atomic_load_explicit(&m->rows, memory_order_relaxed),
        .batches = atomic_load_explicit(&m->batches, memory_order_relaxed),
        .bytes = atomic_load_explicit(&m->bytes, memory_order_relaxed),
        .commit_ns_total = atomic_load_explicit(&m->commit_ns_total, memory_order_relaxed),
        .commit_ns_max = atomic_load_explicit(&m->commit_ns_max, memory_order_relaxed),
        .mark = atomic_load_explicit(&m->mark_seen, memory_order_relaxed),
    };
}

static enum err_code put_series(struct store *s, uint32_t end, struct err *e)
{
    sqlite3_stmt *q;
    TRY(store_db_get(&s->db, STATEMENT_insert_series, &q, e));
    for (uint32_t id = s->series_stored; id < end; id++) {
        const struct series *n = series_get(s->series, id);
        const struct str names[] = {n->venue, n->exchange, n->symbol, n->venue_symbol};
        sqlite3_bind_int64(q, 1, id);
        for (int i = 0; i < 4; i++)
            sqlite3_bind_text64(q, i + 2, names[i].p, names[i].n, SQLITE_STATIC, SQLITE_UTF8);
        TRY(store_db_run(&s->db, q, e));
    }
    return ERR_OK;
}

static enum err_code put_states(struct store *s, const struct batch *b, struct store_sums *sums,
                                struct err *e)
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

static enum err_code put_batch(struct store *s, const struct batch *b,
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
    int64_t proven = 0;
    for (size_t i = 0; i < b->proofs.count; i++) {
        row.sum += b->proofs.items[i].sum;
        proven += b->proofs.items[i].count;
    }
    if (proven != row.trades + row.quotes)
        return ERR(e, ERR_INTERNAL,
                   "a batch of %lld trades and quotes came with a proof of %lld: whoever filled it "
                   "left out proof_add_trade or proof_add_quote",
                   (long long)(row.trades + row.quotes), (long long)proven);
    buf_reset(&s->proofs);
    store_proofs_pack(&b->proofs, &s->proofs);
    if (s->proofs.failed)
        return ERR(e, ERR_FULL, "the proof of a batch is larger than %d bytes", PROOFS_MAX_BYTES);
    return store_batch_put(&s->db, &row, buf_str(&s->proofs), e);
}

static enum err_code put_all(struct store *s, const struct batch *b, struct store_sums *sums,
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

static void count_commit(struct store *s, const struct batch *b, int64_t ns)
{
    atomic_fetch_add_explicit(&s->rows, (long long)b->event_count, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->batches, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->commit_ns_total, ns, memory_order_relaxed);
    if (ns > atomic_load_explicit(&s->commit_ns_max, memory_order_relaxed))
        atomic_store_explicit(&s->commit_ns_max, ns, memory_order_relaxed);
    atomic_store_explicit(&s->mark_seen, s->mark, memory_order_relaxed);
}

enum err_code store_append(struct store *s, struct batch *b, struct err *e)
{
    int64_t bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed);
    if (s->bytes_max && (uint64_t)bytes >= s->bytes_max)
        return ERR(e, ERR_FULL,
                   "%s holds %lld bytes, store.max_mb allows %llu: raise it, or keep less "
                   "(retention frees rows once the lake has them)",
                   s->db.path, (long long)bytes, (unsigned long long)s->bytes_max);
    int64_t start_ns = clock_mono_ns();
    batch_number(b, s->mark + 1);
    struct store_sums sums = {.newest_received_ns = s->newest_received_ns};
    TRY(store_db_do(&s->db, STATEMENT_begin_write, e));
    enum err_code code = put_all(s, b, &sums, e);
    if (code != ERR_OK) {
        store_db_rollback(&s->db);
        return code;
    }
    CRASH_POINT(store_after_commit);
    s->mark = b->last_sequence;
    s->batch++;
    s->newest_received_ns = sums.newest_received_ns;
    if (sums.series_end > s->series_stored) s->series_stored = sums.series_end;
    count_commit(s, b, clock_mono_ns() - start_ns);
    /* The batch is durable; a failure to measure only leaves the size as it was. */
    if (store_measure(s, NULL) != ERR_OK) return ERR_OK;
    return ERR_OK;
}
