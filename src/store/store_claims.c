#include "store/store_sqlite.h"

#include <stdlib.h>

/* Rows fetched at a time, so that no read transaction is open while a callback works. */
enum { CLAIMS_PAGE = 512, GAPS_PAGE = 256, GAPS_TEXT_BYTES = 4 << 20 };

static struct store_batch_claim claim_of(const struct store_batch_row *r)
{
    return (struct store_batch_claim){
        .batch = r->batch,
        .writer = "",
        .number = r->batch,
        .first_sequence = r->first_sequence,
        .last_sequence = r->last_sequence,
        .events = store_batch_events(r),
        .trades = r->trades,
        .quotes = r->quotes,
        .sum = r->sum,
        .content = r->content,
        .received_ns = r->received_ns,
    };
}

static enum err_code read_page(struct store_lite_tail *t, int64_t after,
                               struct store_batch_claim page[CLAIMS_PAGE], size_t *ret_count,
                               struct err *e)
{
    sqlite3_stmt *s;
    TRY(store_db_get(&t->db, STATEMENT_read_batches, &s, e));
    sqlite3_bind_int64(s, 1, after);
    sqlite3_bind_int64(s, 2, CLAIMS_PAGE);
    *ret_count = 0;
    for (;;) {
        bool row;
        TRY(store_db_next(&t->db, s, &row, e));
        if (!row) return ERR_OK;
        struct store_batch_row r;
        struct str proofs;
        enum err_code code = store_batch_get(&t->db, s, &r, &proofs, e);
        if (code != ERR_OK) {
            sqlite3_reset(s);
            return code;
        }
        page[(*ret_count)++] = claim_of(&r);
    }
}

enum err_code store_lite_claims(struct store_tail *base, store_claim_each *each, void *ctx,
                                struct err *e)
{
    struct store_lite_tail *t = (struct store_lite_tail *)base;
    struct store_batch_claim *page = malloc(CLAIMS_PAGE * sizeof *page);
    CHECK(page != NULL);
    enum err_code code;
    size_t count = 0;
    int64_t after = 0;
    do {
        code = read_page(t, after, page, &count, e);
        for (size_t i = 0; i < count && code == ERR_OK; i++) code = each(ctx, &page[i], e);
        if (count) after = page[count - 1].last_sequence;
    } while (code == ERR_OK && count == CLAIMS_PAGE);
    free(page);
    return code;
}

static enum err_code add_batches(struct store_lite_tail *t, int64_t upto, int64_t from,
                                 struct proof_set *ret, struct err *e)
{
    sqlite3_stmt *s;
    TRY(store_db_get(&t->db, STATEMENT_read_batch_proofs, &s, e));
    sqlite3_bind_int64(s, 1, upto);
    sqlite3_bind_int64(s, 2, from);
    for (;;) {
        bool row;
        TRY(store_db_next(&t->db, s, &row, e));
        if (!row) return ERR_OK;
        enum err_code code =
            store_proofs_unpack(t->db.path, store_row_bytes(s, 0), t->series_stored, ret, e);
        if (code == ERR_OK) continue;
        sqlite3_reset(s);
        return code;
    }
}

static enum err_code add_kept(struct store_lite_tail *t, struct proof_set *ret, struct err *e)
{
    sqlite3_stmt *s;
    TRY(store_db_get(&t->db, STATEMENT_read_kept_proofs, &s, e));
    for (;;) {
        bool row;
        TRY(store_db_next(&t->db, s, &row, e));
        if (!row) return ERR_OK;
        int64_t series = sqlite3_column_int64(s, 0), stream = sqlite3_column_int64(s, 1);
        struct str sum = store_row_bytes(s, 4);
        if (series < 0 || series >= t->series_stored || stream < 0 || stream > STREAM_QUOTE ||
            sum.n != 16) {
            enum err_code code =
                ERR(e, ERR_CORRUPT, "%s: kept proof of series %lld, stream %lld cannot be",
                    t->db.path, (long long)series, (long long)stream);
            sqlite3_reset(s);
            return code;
        }
        proof_set_add(ret, (uint32_t)series, (uint8_t)stream, sqlite3_column_int64(s, 2),
                      sqlite3_column_int64(s, 3), store_row_sum_of((const uint8_t *)sum.p));
    }
}

static enum err_code add_proofs(struct store_lite_tail *t, int64_t upto, struct proof_set *ret,
                                struct err *e)
{
    int64_t first;
    TRY(store_series_load(&t->db, t->base.series, &t->series_stored, e));
    TRY(store_bounds(&t->db, &first, &t->base.mark, e));
    if (upto + 1 < first)
        return ERR(e, ERR_HOLE,
                   "%s: proofs up to %lld are asked for, but retention removed all below %lld",
                   t->db.path, (long long)upto, (long long)first);
    TRY(add_kept(t, ret, e));
    return add_batches(t, upto, 0, ret, e);
}

enum err_code store_lite_proofs(struct store_tail *base, int64_t upto, struct proof_set *ret,
                                struct err *e)
{
    struct store_lite_tail *t = (struct store_lite_tail *)base;
    TRY(store_db_do(&t->db, STATEMENT_begin_read, e));
    enum err_code code = add_proofs(t, upto, ret, e);
    store_db_rollback(&t->db);
    return code;
}

enum err_code store_lite_claim_proofs(struct store_tail *base, const struct store_batch_claim *c,
                                      struct proof_set *ret, struct err *e)
{
    struct store_lite_tail *t = (struct store_lite_tail *)base;
    return add_batches(t, c->last_sequence, c->last_sequence, ret, e);
}

static enum err_code read_gaps(struct store_lite_tail *t, int64_t after, struct arena *a,
                               struct gap page[GAPS_PAGE], size_t *ret_count, struct err *e)
{
    sqlite3_stmt *s;
    TRY(store_db_get(&t->db, STATEMENT_read_ledger, &s, e));
    sqlite3_bind_int64(s, 1, after);
    sqlite3_bind_int64(s, 2, GAPS_PAGE);
    arena_reset(a);
    *ret_count = 0;
    for (;;) {
        bool row;
        TRY(store_db_next(&t->db, s, &row, e));
        if (!row) return ERR_OK;
        enum err_code code =
            store_row_get_gap(&t->db, s, a, t->series_stored, &page[*ret_count], e);
        if (code != ERR_OK) {
            sqlite3_reset(s);
            return code;
        }
        ++*ret_count;
    }
}

enum err_code store_lite_gaps(struct store_tail *base, bool open_only, store_gap_each *each,
                              void *ctx, struct err *e)
{
    struct store_lite_tail *t = (struct store_lite_tail *)base;
    TRY(store_series_load(&t->db, t->base.series, &t->series_stored, e));
    struct gap *page = malloc(GAPS_PAGE * sizeof *page);
    CHECK(page != NULL);
    struct arena arena;
    arena_init(&arena, GAPS_TEXT_BYTES);
    enum err_code code;
    size_t count = 0;
    int64_t after = INT64_MIN;
    do {
        code = read_gaps(t, after, &arena, page, &count, e);
        for (size_t i = 0; i < count && code == ERR_OK; i++)
            if (!open_only || page[i].state == GAP_STATE_OPEN) code = each(ctx, &page[i], e);
        if (count) after = page[count - 1].gap_id;
    } while (code == ERR_OK && count == GAPS_PAGE);
    free(page);
    arena_free(&arena);
    return code;
}
