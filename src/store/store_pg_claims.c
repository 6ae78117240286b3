#include "store/store_pg.h"

#include <stdlib.h>

enum { CLAIMS_PAGE = 512, PROOFS_PAGE = 256, GAPS_PAGE = 256, GAPS_TEXT_BYTES = 4 << 20 };

static const char begin[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

static bool begin_own(struct store_pg_tail *t, enum err_code *ret, struct err *e)
{
    bool own = !t->link.conn || PQtransactionStatus(t->link.conn) == PQTRANS_IDLE;
    *ret = own ? store_pg_do(&t->link, begin, e) : ERR_OK;
    return own;
}

static enum err_code tell_claim(struct store_pg_tail *t, const PGresult *r, int i,
                                store_claim_each *each, void *ctx, struct err *e)
{
    char writer[128];
    struct str sum = store_pg_get_bytes(r, i, 11), content = store_pg_get_bytes(r, i, 12);
    struct store_batch_claim c = {
        .batch = store_pg_get(r, i, 1, 0),
        .number = store_pg_get(r, i, 1, 0),
        .first_sequence = store_pg_get(r, i, 2, 0),
        .last_sequence = store_pg_get(r, i, 3, 0),
        .trades = store_pg_get(r, i, 4, 0),
        .quotes = store_pg_get(r, i, 5, 0),
        .received_ns = store_pg_get(r, i, 9, TIME_ABSENT),
        .finish = store_pg_get(r, i, 10, 0) != 0,
        .previous_last = store_pg_get(r, i, 13, 0),
        .missing_before = store_pg_get(r, i, 14, 0),
        .writer = writer,
    };
    for (int k = 4; k <= 8; k++) c.events += store_pg_get(r, i, k, 0);
    if (!str_copy(writer, sizeof writer, store_pg_get_bytes(r, i, 0)) || sum.n != 16 ||
        content.n != 16 || c.first_sequence <= 0 || c.events < 0 ||
        c.last_sequence < c.first_sequence || c.last_sequence - c.first_sequence + 1 < c.events)
        return ERR(e, ERR_CORRUPT,
                   "%s: batch %lld of writer %.*s (sequences %lld to %lld, %lld events) does not "
                   "add up; the table was altered by somebody else or damaged",
                   t->link.address, (long long)c.number, STR_ARG(store_pg_get_bytes(r, i, 0)),
                   (long long)c.first_sequence, (long long)c.last_sequence, (long long)c.events);
    c.sum = store_row_sum_of((const uint8_t *)sum.p);
    c.content = store_row_sum_of((const uint8_t *)content.p);
    return each(ctx, &c, e);
}

static enum err_code claims(struct store_pg_tail *t, store_claim_each *each, void *ctx,
                            struct err *e)
{
    int64_t after = 0;
    for (int rows = CLAIMS_PAGE; rows == CLAIMS_PAGE;) {
        struct store_pg_args args = {0};
        store_pg_number(&args, after);
        store_pg_number(&args, CLAIMS_PAGE);
        PGresult *r;
        TRY(store_pg_run(&t->link, PG_read_claims, &args, &r, e));
        rows = PQntuples(r);
        enum err_code code = ERR_OK;
        for (int i = 0; i < rows && code == ERR_OK; i++) code = tell_claim(t, r, i, each, ctx, e);
        if (rows) after = store_pg_get(r, rows - 1, 2, 0);
        PQclear(r);
        TRY(code);
    }
    return ERR_OK;
}

enum err_code store_pg_claims(struct store_tail *base, store_claim_each *each, void *ctx,
                              struct err *e)
{
    struct store_pg_tail *t = (struct store_pg_tail *)base;
    enum err_code code;
    bool own = begin_own(t, &code, e);
    if (code == ERR_OK) code = claims(t, each, ctx, e);
    if (own) store_pg_rollback(&t->link);
    return code;
}

enum err_code store_pg_claim_proofs(struct store_tail *base, const struct store_batch_claim *c,
                                    struct proof_set *ret, struct err *e)
{
    struct store_pg_tail *t = (struct store_pg_tail *)base;
    struct store_pg_args args = {0};
    store_pg_bytes(&args, str_of(c->writer));
    store_pg_number(&args, c->number);
    PGresult *r;
    TRY(store_pg_run(&t->link, PG_read_claim_proofs, &args, &r, e));
    enum err_code code = ERR_OK;
    for (int i = 0; i < PQntuples(r) && code == ERR_OK; i++)
        code = store_proofs_unpack(t->link.address, store_pg_get_bytes(r, i, 0),
                                   series_count(base->series), ret, e);
    PQclear(r);
    return code;
}

static enum err_code add_kept(struct store_pg_tail *t, struct proof_set *ret, struct err *e)
{
    PGresult *r;
    TRY(store_pg_run(&t->link, PG_read_kept_proofs, NULL, &r, e));
    enum err_code code = ERR_OK;
    for (int i = 0; i < PQntuples(r) && code == ERR_OK; i++) {
        int64_t series = store_pg_get(r, i, 0, -1), stream = store_pg_get(r, i, 1, -1);
        struct str sum = store_pg_get_bytes(r, i, 4);
        if (series < 0 || series >= series_count(t->base.series) || stream < 0 ||
            stream > STREAM_QUOTE || sum.n != 16)
            code = ERR(e, ERR_CORRUPT, "%s: kept proof of series %lld, stream %lld cannot be",
                       t->link.address, (long long)series, (long long)stream);
        else
            proof_set_add(ret, (uint32_t)series, (uint8_t)stream, store_pg_get(r, i, 2, 0),
                          store_pg_get(r, i, 3, 0), store_row_sum_of((const uint8_t *)sum.p));
    }
    PQclear(r);
    return code;
}

static enum err_code add_batches(struct store_pg_tail *t, int64_t upto, struct proof_set *ret,
                                 struct err *e)
{
    int64_t after = 0;
    for (int rows = PROOFS_PAGE; rows == PROOFS_PAGE;) {
        struct store_pg_args args = {0};
        store_pg_number(&args, after);
        store_pg_number(&args, upto);
        store_pg_number(&args, PROOFS_PAGE);
        PGresult *r;
        TRY(store_pg_run(&t->link, PG_read_batch_proofs, &args, &r, e));
        rows = PQntuples(r);
        enum err_code code = ERR_OK;
        for (int i = 0; i < rows && code == ERR_OK; i++)
            code = store_proofs_unpack(t->link.address, store_pg_get_bytes(r, i, 0),
                                       series_count(t->base.series), ret, e);
        if (rows) after = store_pg_get(r, rows - 1, 1, 0);
        PQclear(r);
        TRY(code);
    }
    return ERR_OK;
}

static enum err_code proofs(struct store_pg_tail *t, int64_t upto, struct proof_set *ret,
                            struct err *e)
{
    TRY(store_pg_series_read(&t->link, t->base.series, e));
    PGresult *r;
    TRY(store_pg_run(&t->link, PG_bounds, NULL, &r, e));
    t->base.mark = store_pg_get(r, 0, 1, 0);
    int64_t removed = store_pg_get(r, 0, 2, 0);
    PQclear(r);
    if (upto < removed)
        return ERR(e, ERR_HOLE,
                   "%s: proofs up to %lld are asked for, but retention removed rows up to %lld",
                   t->link.address, (long long)upto, (long long)removed);
    TRY(add_kept(t, ret, e));
    return add_batches(t, upto, ret, e);
}

enum err_code store_pg_proofs(struct store_tail *base, int64_t upto, struct proof_set *ret,
                              struct err *e)
{
    struct store_pg_tail *t = (struct store_pg_tail *)base;
    enum err_code code;
    bool own = begin_own(t, &code, e);
    if (code == ERR_OK) code = proofs(t, upto, ret, e);
    if (own) store_pg_rollback(&t->link);
    return code;
}

static enum err_code gaps_page(struct store_pg_tail *t, const PGresult *r, store_gap_each *each,
                               void *ctx, struct err *e)
{
    struct arena arena;
    arena_init(&arena, GAPS_TEXT_BYTES);
    const struct store_pg_reader rd = {t->link.address, r, &arena, series_count(t->base.series)};
    enum err_code code = ERR_OK;
    for (int i = 0; i < PQntuples(r) && code == ERR_OK; i++) {
        struct gap g;
        code = store_pg_get_gap(&rd, i, &g, e);
        if (code == ERR_OK) code = each(ctx, &g, e);
    }
    arena_free(&arena);
    return code;
}

enum err_code store_pg_gaps(struct store_tail *base, bool open_only, store_gap_each *each,
                            void *ctx, struct err *e)
{
    struct store_pg_tail *t = (struct store_pg_tail *)base;
    TRY(store_pg_series_read(&t->link, base->series, e));
    int64_t after = INT64_MIN;
    for (int rows = GAPS_PAGE; rows == GAPS_PAGE;) {
        struct store_pg_args args = {0};
        store_pg_number(&args, after);
        store_pg_number(&args, GAPS_PAGE);
        PGresult *r;
        TRY(store_pg_run(&t->link, open_only ? PG_read_open_ledger : PG_read_ledger, &args, &r, e));
        rows = PQntuples(r);
        if (rows) after = store_pg_get(r, rows - 1, 1, 0);
        enum err_code code = gaps_page(t, r, each, ctx, e);
        PQclear(r);
        TRY(code);
    }
    return ERR_OK;
}
