#include "store/store_sqlite.h"

/* Rows removed by one call of store_retain, so that appending waits some ten milliseconds at most. */
enum { RETAIN_ROWS = 20000 };

/* The batches at the front that may go, at most RETAIN_ROWS rows or one batch. The newest always stays: the mark and
 * the next number live in it. */
static enum err_code plan_retain(struct store_lite *s, int64_t below_sequence, int64_t before_ns,
                                 struct proof_set *proofs, int64_t *ret_upto, bool *ret_more,
                                 struct err *e)
{
    sqlite3_stmt *q;
    TRY(store_db_get(&s->db, STATEMENT_read_batches, &q, e));
    sqlite3_bind_int64(q, 1, 0);
    sqlite3_bind_int64(q, 2, -1);
    int64_t rows = 0;
    enum err_code code;
    for (;;) {
        bool row;
        TRY(store_db_next(&s->db, q, &row, e));
        if (!row) return ERR_OK;
        struct store_batch_row r;
        struct str blob;
        code = store_batch_get(&s->db, q, &r, &blob, e);
        if (code != ERR_OK || r.last_sequence >= below_sequence || r.received_ns >= before_ns ||
            r.last_sequence == s->base.mark)
            break;
        *ret_more = rows > 0 && rows + store_batch_events(&r) > RETAIN_ROWS;
        if (*ret_more) break;
        code = store_proofs_unpack(s->db.path, blob, s->series_stored, proofs, e);
        if (code != ERR_OK) break;
        rows += store_batch_events(&r) + 1;
        *ret_upto = r.last_sequence;
    }
    sqlite3_reset(q);
    return code;
}

static enum err_code keep_proof(struct store_lite *s, const struct proof *p, struct err *e)
{
    sqlite3_stmt *q;
    TRY(store_db_get(&s->db, STATEMENT_read_kept_proof, &q, e));
    sqlite3_bind_int64(q, 1, p->series);
    sqlite3_bind_int64(q, 2, p->stream);
    sqlite3_bind_int64(q, 3, p->minute);
    bool row;
    TRY(store_db_next(&s->db, q, &row, e));
    int64_t count = p->count;
    u128 sum = p->sum;
    if (row) {
        struct str blob = store_row_bytes(q, 1);
        if (blob.n != 16)
            return ERR(e, ERR_CORRUPT, "%s: kept proof of series %u, minute %lld: %zu bytes",
                       s->db.path, p->series, (long long)p->minute, blob.n);
        count += sqlite3_column_int64(q, 0);
        sum += store_row_sum_of((const uint8_t *)blob.p);
    }
    sqlite3_reset(q);
    TRY(store_db_get(&s->db, STATEMENT_put_kept_proof, &q, e));
    uint8_t bytes[16];
    store_row_sum_bytes(sum, bytes);
    sqlite3_bind_int64(q, 1, p->series);
    sqlite3_bind_int64(q, 2, p->stream);
    sqlite3_bind_int64(q, 3, p->minute);
    sqlite3_bind_int64(q, 4, count);
    sqlite3_bind_blob(q, 5, bytes, sizeof bytes, SQLITE_TRANSIENT);
    return store_db_run(&s->db, q, e);
}

static enum err_code remove_upto(struct store_lite *s, int64_t upto, const struct proof_set *proofs,
                                 struct err *e)
{
    static const enum store_statement deletes[] = {
        STATEMENT_delete_trades, STATEMENT_delete_quotes,  STATEMENT_delete_gaps,
        STATEMENT_delete_deads,  STATEMENT_delete_candles, STATEMENT_delete_batches};
    for (size_t i = 0; i < proofs->count; i++) TRY(keep_proof(s, &proofs->items[i], e));
    for (size_t i = 0; i < sizeof deletes / sizeof deletes[0]; i++) {
        sqlite3_stmt *q;
        TRY(store_db_get(&s->db, deletes[i], &q, e));
        sqlite3_bind_int64(q, 1, upto);
        TRY(store_db_run(&s->db, q, e));
    }
    return store_db_do(&s->db, STATEMENT_commit, e);
}

enum err_code store_lite_retain(struct store *base, int64_t below_sequence, int64_t before_ns,
                                bool *ret_more, struct err *e)
{
    struct store_lite *s = (struct store_lite *)base;
    *ret_more = false;
    int64_t upto = 0;
    struct proof_set proofs;
    proof_set_init(&proofs);
    enum err_code code = plan_retain(s, below_sequence, before_ns, &proofs, &upto, ret_more, e);
    if (code == ERR_OK && upto > 0) {
        code = store_db_do(&s->db, STATEMENT_begin_write, e);
        if (code == ERR_OK) code = remove_upto(s, upto, &proofs, e);
        if (code != ERR_OK) store_db_rollback(&s->db);
        if (code == ERR_OK) code = store_lite_measure(s, e);
    }
    proof_set_free(&proofs);
    return code;
}

static enum err_code check_pages(struct store_lite *s, struct err *e)
{
    sqlite3_stmt *q;
    if (sqlite3_prepare_v2(s->db.handle, "PRAGMA integrity_check(1)", -1, &q, NULL) != SQLITE_OK)
        return store_db_failed(&s->db, "checking it", e);
    bool row;
    enum err_code code = store_db_next(&s->db, q, &row, e);
    if (code == ERR_OK && row && !str_is(store_row_bytes(q, 0), "ok"))
        code = ERR(e, ERR_CORRUPT, "%s: %.*s", s->db.path, STR_ARG(store_row_bytes(q, 0)));
    sqlite3_finalize(q);
    return code;
}

/* One batch against the one before it and against its own proofs. */
static enum err_code check_batch(struct store_lite *s, const struct store_batch_row *r,
                                 const struct store_batch_row *before, struct str blob,
                                 struct err *e)
{
    struct proof_set proofs;
    proof_set_init(&proofs);
    enum err_code code = store_proofs_unpack(s->db.path, blob, s->series_stored, &proofs, e);
    u128 sum = 0;
    int64_t count = 0;
    for (size_t i = 0; i < proofs.count; i++) {
        sum += proofs.items[i].sum;
        count += proofs.items[i].count;
    }
    proof_set_free(&proofs);
    if (code != ERR_OK) return err_prefix(e, "batch %lld: ", (long long)r->batch);
    if (before->last_sequence &&
        (r->first_sequence != before->last_sequence + 1 || r->batch != before->batch + 1))
        return ERR(e, ERR_CORRUPT,
                   "%s: batch %lld begins at sequence %lld, but batch %lld before it ends at %lld",
                   s->db.path, (long long)r->batch, (long long)r->first_sequence,
                   (long long)before->batch, (long long)before->last_sequence);
    if (sum != r->sum || count != r->trades + r->quotes)
        return ERR(e, ERR_CORRUPT,
                   "%s: batch %lld (sequences %lld to %lld): its minutes do not add up to its sum",
                   s->db.path, (long long)r->batch, (long long)r->first_sequence,
                   (long long)r->last_sequence);
    return ERR_OK;
}

static enum err_code check_batches(struct store_lite *s, int64_t counts[5], struct err *e)
{
    sqlite3_stmt *q;
    TRY(store_db_get(&s->db, STATEMENT_read_batches, &q, e));
    sqlite3_bind_int64(q, 1, 0);
    sqlite3_bind_int64(q, 2, -1);
    struct store_batch_row before = {0};
    for (;;) {
        bool row;
        TRY(store_db_next(&s->db, q, &row, e));
        if (!row) return ERR_OK;
        struct store_batch_row r;
        struct str blob;
        enum err_code code = store_batch_get(&s->db, q, &r, &blob, e);
        if (code == ERR_OK) code = check_batch(s, &r, &before, blob, e);
        if (code != ERR_OK) {
            sqlite3_reset(q);
            return code;
        }
        const int64_t more[] = {r.trades, r.quotes, r.gaps, r.deads, r.candles};
        for (int i = 0; i < 5; i++) counts[i] += more[i];
        before = r;
    }
}

enum err_code store_lite_check(struct store *base, struct err *e)
{
    struct store_lite *s = (struct store_lite *)base;
    static const char *const kinds[] = {"trade", "quote", "gap", "dead", "candle"};
    TRY(check_pages(s, e));
    int64_t counts[5] = {0};
    TRY(check_batches(s, counts, e));
    sqlite3_stmt *q;
    bool row;
    TRY(store_db_get(&s->db, STATEMENT_count_rows, &q, e));
    TRY(store_db_next(&s->db, q, &row, e));
    enum err_code code = ERR_OK;
    for (int i = 0; i < 5 && code == ERR_OK && row; i++) {
        int64_t there = sqlite3_column_int64(q, i);
        if (there != counts[i])
            code = ERR(e, ERR_CORRUPT, "%s: %lld rows in %s_rows, its batches claim %lld",
                       s->db.path, (long long)there, kinds[i], (long long)counts[i]);
    }
    sqlite3_reset(q);
    return code;
}
