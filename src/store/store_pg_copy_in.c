/* A batch's rows into the tables, inside its transaction. Straight into the keyed partitions first: two to three times cheaper than
 * staging always, and the usual batch holds nothing that is there already. */
#include "store/store_pg.h"

#include "base/crash.h"

#include <stdlib.h>

enum { PIECE_BYTES = 1 << 20 };

static const struct {
    enum store_pg_statement stage, unstage, twice;
    const char *table;
} keyed[] = {
    [PG_TRADES] = {PG_stage_trades, PG_unstage_trades, PG_twice_trades, "pg_temp.stage_trades"},
    [PG_QUOTES] = {PG_stage_quotes, PG_unstage_quotes, PG_twice_quotes, "pg_temp.stage_quotes"},
    [PG_CANDLES] = {PG_stage_candles, PG_unstage_candles, PG_twice_candles,
                    "pg_temp.stage_candles"},
};

struct copied {
    bool twice;   /* 23505: a key is there already */
    bool no_room; /* 23514: no partition for a day */
};

static enum err_code send_piece(struct store_pg *s, const char *table, struct err *e)
{
    CHECK(!s->copy.failed);
    if (PQputCopyData(s->link.conn, (const char *)s->copy.data, (int)s->copy.len) != 1)
        return store_pg_error(&s->link, NULL, table, e);
    buf_reset(&s->copy);
    return ERR_OK;
}

static enum err_code send_rows(struct store_pg *s, const struct batch *b, enum store_pg_kind k,
                               const char *table, struct err *e)
{
    const struct store_pg_row_options row = {s->to_db, s->role == STORE_GUEST, s->base.series};
    size_t count = store_pg_row_count(b, k);
    buf_reset(&s->copy);
    store_pg_copy_begin(&s->copy);
    for (size_t i = 0; i < count; i++) {
        store_pg_copy_row(b, k, i, &row, &s->copy);
        if (s->copy.len >= PIECE_BYTES || s->copy.failed) TRY(send_piece(s, table, e));
    }
    store_pg_copy_end(&s->copy);
    TRY(send_piece(s, table, e));
    if (PQputCopyEnd(s->link.conn, NULL) != 1) return store_pg_error(&s->link, NULL, table, e);
    return ERR_OK;
}

/* What the server says of it comes at the end only. */
static enum err_code copy_result(struct store_pg *s, const char *table, struct copied *ret,
                                 struct err *e)
{
    enum err_code code = ERR_OK;
    PGresult *r;
    while (s->link.conn && (r = PQgetResult(s->link.conn)) != NULL) {
        const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
        ret->twice = ret->twice || (state && str_is(str_of(state), "23505"));
        ret->no_room = ret->no_room || (state && str_is(str_of(state), "23514"));
        bool good = PQresultStatus(r) == PGRES_COMMAND_OK || ret->twice || ret->no_room;
        if (!good && code == ERR_OK) code = store_pg_error(&s->link, r, table, e);
        PQclear(r);
    }
    return code;
}

static enum err_code copy(struct store_pg *s, const struct batch *b, enum store_pg_kind k,
                          const char *table, struct copied *ret, struct err *e)
{
    *ret = (struct copied){0};
    struct buf sql;
    buf_init(&sql, 1024);
    buf_addf(&sql, "COPY %s (%s) FROM STDIN (FORMAT binary)", table, store_pg_columns(k));
    PGresult *r = PQexec(s->link.conn, buf_cstr(&sql));
    buf_free(&sql);
    enum err_code code = ERR_OK;
    if (PQresultStatus(r) != PGRES_COPY_IN) code = store_pg_error(&s->link, r, table, e);
    PQclear(r);
    TRY(code);
    code = send_rows(s, b, k, table, e);
    /* The server may have said why, although the rows could not be sent to the end. */
    enum err_code said = copy_result(s, table, ret, e);
    return said != ERR_OK ? said : code;
}

static void add_day(struct store_pg_array *a, int32_t day)
{
    enum { EPOCH_2000_DAYS = 10957 };
    uint8_t bytes[4];
    store_pg_put32(bytes, (uint32_t)(day - EPOCH_2000_DAYS));
    store_pg_array_add(a, (struct str){(const char *)bytes, sizeof bytes});
}

/* Which of the staged rows did not go in. The days bound what the server looks at to their partitions. */
static enum err_code find_twice(struct store_pg *s, const struct batch *b, enum store_pg_kind k,
                                PGresult **ret, struct err *e)
{
    struct store_pg_array days;
    store_pg_array_init(&days, PG_OID_DATE);
    int32_t last = INT32_MIN;
    for (size_t i = 0; i < store_pg_row_count(b, k); i++) {
        int32_t day = store_pg_row_day(b, k, i);
        if (day != last) add_day(&days, day);
        last = day;
    }
    struct store_pg_args args = {0};
    store_pg_array_arg(&days, &args);
    enum err_code code = store_pg_run(&s->link, keyed[k].twice, &args, ret, e);
    store_pg_array_free(&days);
    return code;
}

static enum err_code take_twice(struct store_pg *s, struct batch *b, enum store_pg_kind k,
                                const PGresult *r, struct err *e)
{
    size_t count = (size_t)PQntuples(r);
    struct store_pg_twice *twice = calloc(count ? count : 1, sizeof *twice);
    CHECK(twice != NULL);
    for (size_t i = 0; i < count; i++) {
        int row = (int)i;
        twice[i].sequence = store_pg_get(r, row, 0, 0);
        twice[i].conflict = !store_pg_get(r, row, 1, 1);
        if (!twice[i].conflict) continue;
        int64_t side = store_pg_get(r, row, 2, 0);
        (void)snprintf(twice[i].detail, sizeof twice[i].detail, "%s %.*s at %.*s (sequence %lld)",
                       side >= 0 && side < SIDE_MAX ? side_text((enum side)side) : "?",
                       STR_ARG(store_pg_get_bytes(r, row, 3)),
                       STR_ARG(store_pg_get_bytes(r, row, 4)),
                       (long long)store_pg_get(r, row, 5, 0));
    }
    enum err_code code = store_pg_take_off(s, b, k, twice, count, e);
    free(twice);
    return code;
}

static enum err_code unstage(struct store_pg *s, struct batch *b, enum store_pg_kind k,
                             struct copied *ret, struct err *e)
{
    struct err why = {0};
    PGresult *r;
    enum err_code code = store_pg_run(&s->link, keyed[k].unstage, NULL, &r, &why);
    ret->no_room = code != ERR_OK && strstr(why.text, "23514") != NULL;
    if (ret->no_room) return ERR_OK;
    if (code != ERR_OK) {
        if (e) *e = why;
        return code;
    }
    int64_t inserted = 0;
    enum err_code parsed = str_to_i64(str_of(PQcmdTuples(r)), &inserted);
    PQclear(r);
    int64_t left_out = (int64_t)store_pg_row_count(b, k) - inserted;
    if (parsed != ERR_OK || left_out == 0) return parsed;
    TRY(find_twice(s, b, k, &r, e));
    if (PQntuples(r) == left_out)
        code = take_twice(s, b, k, r, e);
    else /* a partition that was just retired */
        code = ERR(e, ERR_CONFLICT, "%s: %lld rows were there already, and then %d of them",
                   s->link.address, (long long)left_out, PQntuples(r));
    PQclear(r);
    return code;
}

/* History read again gives the same dead letters and quotes again. Those have no key, these one that goes with its day, hence a
 * table of their hashes. */
static enum err_code drop_known(struct store_pg *s, struct batch *b, enum store_pg_kind k,
                                struct err *e)
{
    struct store_pg_array digests, sequences;
    store_pg_array_init(&digests, PG_OID_BYTEA);
    store_pg_array_init(&sequences, PG_OID_INT8);
    for (size_t i = 0; i < store_pg_row_count(b, k); i++) {
        uint8_t digest[16];
        store_row_sum_bytes(store_pg_guest_key(b, k, i, s->to_db), digest);
        store_pg_array_add(&digests, (struct str){(const char *)digest, sizeof digest});
        store_pg_array_add_number(&sequences,
                                  k == PG_DEADS ? b->deads[i].sequence : b->quotes[i].sequence);
    }
    struct store_pg_args args = {0};
    store_pg_array_arg(&digests, &args);
    store_pg_array_arg(&sequences, &args);
    PGresult *r = NULL;
    enum err_code code = store_pg_run(&s->link, PG_known_keys, &args, &r, e);
    if (code == ERR_OK) code = take_twice(s, b, k, r, e);
    PQclear(r);
    store_pg_array_free(&digests);
    store_pg_array_free(&sequences);
    return code;
}

static enum err_code put_keyed(struct store_pg *s, struct batch *b, enum store_pg_kind k,
                               struct copied *ret, struct err *e)
{
    int64_t deleted = 0; /* bars that went on once: only the staged ones are held against them */
    if (k == PG_CANDLES) TRY(store_pg_ask(&s->link, PG_any_deleted, NULL, 0, &deleted, e));
    if (!deleted) {
        TRY(store_pg_do(&s->link, "SAVEPOINT optimistic", e));
        TRY(copy(s, b, k, store_pg_table(k), ret, e));
        if (!ret->twice) return ERR_OK;
        TRY(store_pg_do(&s->link, "ROLLBACK TO SAVEPOINT optimistic", e));
    }
    TRY(store_pg_run(&s->link, keyed[k].stage, NULL, NULL, e));
    TRY(copy(s, b, k, keyed[k].table, ret, e));
    return unstage(s, b, k, ret, e);
}

enum err_code store_pg_copy_in(struct store_pg *s, struct batch *b, bool *ret_missing_partition,
                               struct err *e)
{
    static const enum store_pg_kind order[] = {PG_TRADES, PG_QUOTES, PG_CANDLES,
                                               PG_GAPS,   PG_DEADS,  PG_INSTRUMENTS};
    *ret_missing_partition = false;
    for (int i = 0; i < PG_KINDS; i++) {
        enum store_pg_kind k = order[i];
        struct copied c = {0};
        bool has_keys = s->role == STORE_GUEST && (k == PG_DEADS || k == PG_QUOTES);
        if (has_keys && store_pg_row_count(b, k)) TRY(drop_known(s, b, k, e));
        if (k == PG_GAPS && b->gap_count) TRY(store_pg_merge_gaps(s, b, e));
        if (store_pg_row_count(b, k) == 0) continue;
        if (k == PG_TRADES || k == PG_QUOTES || k == PG_CANDLES)
            TRY(put_keyed(s, b, k, &c, e));
        else
            TRY(copy(s, b, k, store_pg_table(k), &c, e));
        CRASH_POINT(store_in_transaction);
        if (c.no_room) {
            *ret_missing_partition = true;
            return ERR_OK;
        }
        if (c.twice && k != PG_TRADES && k != PG_QUOTES && k != PG_CANDLES)
            return ERR(e, ERR_CORRUPT,
                       "%s: a sequence from %lld to %lld is in %s already: somebody else wrote "
                       "there",
                       s->link.address, (long long)b->first_sequence, (long long)b->last_sequence,
                       store_pg_table(k));
    }
    return ERR_OK;
}
