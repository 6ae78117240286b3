/* Retention and the check of the batch table. */
#include "store/store_pg.h"

#include <stdio.h>

/* What one call removes at most, so that appending waits moments only. */
enum { DAYS_A_CALL = 4, BATCHES_A_CALL = 64 };

static const char *const tables[] = {"trade_rows", "quote_rows", "dead_rows"};

struct retain {
    struct store_pg *s;
    int64_t confirmed; /* transactions below have been confirmed by every slot */
    int64_t before_ns;
};

/* Whether a batch with rows of these days is younger, or not confirmed by every slot. */
static enum err_code in_use(const struct retain *r, int32_t first, int32_t last, int64_t *ret,
                            struct err *e)
{
    struct store_pg_args args = {0};
    store_pg_number(&args, first);
    store_pg_number(&args, last);
    store_pg_number(&args, r->confirmed);
    store_pg_number(&args, time_micros(r->before_ns));
    return store_pg_ask(&r->s->link, PG_days_in_use, &args, 1, ret, e);
}

/* Only our own names and numbers: DDL takes no parameters. */
static enum err_code of_partition(struct store_pg *s, const char *before, const char *table,
                                  const char *name, const char *behind, struct err *e)
{
    char sql[160];
    (void)snprintf(sql, sizeof sql, "%s ticklake.%s_%s%s", before, table, name, behind);
    return store_pg_do(&s->link, sql, e);
}

/* Locked first, then looked at again: what was committed into it meanwhile is seen, what comes later makes it anew. */
static enum err_code drop_locked(const struct retain *r, int32_t first, int32_t last,
                                 const char *name, bool *ret_dropped, struct err *e)
{
    struct store_pg *s = r->s;
    int64_t used;
    for (int i = 0; i < 3; i++)
        TRY(of_partition(s, "LOCK TABLE", tables[i], name, " IN ACCESS EXCLUSIVE MODE", e));
    TRY(in_use(r, first, last, &used, e));
    if (used) return ERR_OK;
    struct store_pg_args args = {0};
    store_pg_number(&args, first);
    store_pg_number(&args, last);
    TRY(store_pg_run(&s->link, PG_mark_partial, &args, NULL, e));
    for (int i = 0; i < 3; i++) TRY(of_partition(s, "DROP TABLE", tables[i], name, "", e));
    *ret_dropped = true;
    return ERR_OK;
}

static enum err_code drop_day(const struct retain *r, int32_t first, int32_t last, const char *name,
                              bool *ret_dropped, struct err *e)
{
    struct store_pg *s = r->s;
    int64_t used;
    *ret_dropped = false;
    TRY(in_use(r, first, last, &used, e));
    if (used) return ERR_OK;
    TRY(store_pg_do(&s->link, "BEGIN; SET LOCAL lock_timeout = '2s'", e));
    enum err_code code = drop_locked(r, first, last, name, ret_dropped, e);
    if (code == ERR_OK) code = store_pg_do(&s->link, *ret_dropped ? "COMMIT" : "ROLLBACK", e);
    if (code == ERR_OK) return ERR_OK;
    store_pg_rollback(&s->link);
    return err_prefix(e, "retiring the partitions of %s: ", name);
}

static enum err_code drop_days(const struct retain *r, bool *ret_more, struct err *e)
{
    struct store_pg_days *days = &r->s->days;
    TRY(store_pg_days_load(&r->s->link, days, e));
    int dropped = 0;
    for (size_t i = 0; i < days->count; i++) {
        int32_t day = days->days[i], first = day;
        if ((int64_t)(day + 1) * NS_PER_DAY > r->before_ns || day >= PG_END_DAY) break;
        char text[16], name[16];
        store_pg_day_text(day, text);
        (void)snprintf(name, sizeof name, "%.4s%.2s%.2s", text, text + 5, text + 8);
        if (day < PG_FIRST_DAY) {
            first = -200000; /* 1422: below all times */
            (void)snprintf(name, sizeof name, "before");
        }
        bool gone;
        TRY(drop_day(r, first, day, name, &gone, e));
        if (gone && ++dropped == DAYS_A_CALL) {
            *ret_more = true;
            break;
        }
    }
    return dropped ? store_pg_days_load(&r->s->link, days, e) : ERR_OK;
}

static enum err_code keep_proof(struct store_pg *s, const struct proof *p, struct err *e)
{
    struct store_pg_args args = {0};
    store_pg_number(&args, p->series);
    store_pg_number(&args, p->stream);
    store_pg_number(&args, p->minute);
    PGresult *r;
    TRY(store_pg_run(&s->link, PG_read_kept_proof, &args, &r, e));
    int64_t count = p->count;
    u128 sum = p->sum;
    struct str kept = PQntuples(r) ? store_pg_get_bytes(r, 0, 1) : (struct str){0};
    if (kept.n == 16) {
        count += store_pg_get(r, 0, 0, 0);
        sum += store_row_sum_of((const uint8_t *)kept.p);
    }
    PQclear(r);
    uint8_t bytes[16];
    store_row_sum_bytes(sum, bytes);
    store_pg_number(&args, count);
    store_pg_bytes(&args, (struct str){(const char *)bytes, sizeof bytes});
    return store_pg_run(&s->link, PG_put_kept_proof, &args, NULL, e);
}

/* Series numbers in stored proofs are the database's, and stay so in proof_kept. */
static enum err_code fold(struct store_pg *s, const PGresult *r, struct proof_set *proofs,
                          struct err *e)
{
    int64_t newest = 0;
    for (int i = 0; i < PQntuples(r); i++) {
        struct store_pg_args range = {0}, key = {0};
        int64_t first = store_pg_get(r, i, 2, 0), last = store_pg_get(r, i, 3, 0);
        TRY(store_proofs_unpack(s->link.address, store_pg_get_bytes(r, i, 6), SERIES_LIMIT, proofs,
                                e));
        store_pg_number(&range, first);
        store_pg_number(&range, last);
        TRY(store_pg_run(&s->link, PG_delete_gaps, &range, NULL, e));
        store_pg_bytes(&key, store_pg_get_bytes(r, i, 0));
        store_pg_number(&key, store_pg_get(r, i, 1, 0));
        TRY(store_pg_run(&s->link, PG_delete_batch, &key, NULL, e));
        if (last > newest) newest = last;
    }
    for (size_t i = 0; i < proofs->count; i++) TRY(keep_proof(s, &proofs->items[i], e));
    struct store_pg_args args = {0};
    store_pg_number(&args, newest);
    return store_pg_run(&s->link, PG_note_removed, &args, NULL, e);
}

static enum err_code old_batches(const struct retain *r, PGresult **ret, struct err *e)
{
    struct store_pg_array days;
    store_pg_array_init(&days, PG_OID_INT8);
    for (size_t i = 0; i < r->s->days.count; i++)
        store_pg_array_add_number(&days, r->s->days.days[i]);
    struct store_pg_args args = {0};
    store_pg_number(&args, r->confirmed);
    store_pg_number(&args, time_micros(r->before_ns));
    store_pg_array_arg(&days, &args);
    enum err_code code = store_pg_run(&r->s->link, PG_old_batches, &args, ret, e);
    store_pg_array_free(&days);
    return code;
}

static enum err_code drop_batches(const struct retain *r, bool *ret_more, struct err *e)
{
    struct store_pg *s = r->s;
    PGresult *rows = NULL;
    struct proof_set proofs;
    proof_set_init(&proofs);
    char lock[80]; /* two writers must not add to the same kept proof at one moment */
    (void)snprintf(lock, sizeof lock, "SELECT pg_advisory_xact_lock(%d, 2)", 0x746b6c6b);
    enum err_code code = store_pg_do(&s->link, "BEGIN", e);
    if (code == ERR_OK) code = store_pg_do(&s->link, lock, e);
    if (code == ERR_OK) code = old_batches(r, &rows, e);
    if (code == ERR_OK && PQntuples(rows)) code = fold(s, rows, &proofs, e);
    if (code == ERR_OK) code = store_pg_do(&s->link, "COMMIT", e);
    if (code == ERR_OK && PQntuples(rows) == BATCHES_A_CALL) *ret_more = true;
    if (code != ERR_OK) store_pg_rollback(&s->link);
    PQclear(rows);
    proof_set_free(&proofs);
    return code;
}

enum err_code store_pg_retain(struct store *base, int64_t below_sequence, int64_t before_ns,
                              bool *ret_more, struct err *e)
{
    (void)below_sequence; /* what may go is what the slots confirmed */
    struct store_pg *s = (struct store_pg *)base;
    struct retain r = {.s = s, .before_ns = before_ns};
    TRY(store_pg_ready(s, e));
    TRY(store_pg_ask(&s->link, PG_confirmed, NULL, 0, &r.confirmed, e));
    if (r.confirmed == 0) return ERR_OK; /* no slot, or it has confirmed nothing of ours */
    TRY(drop_days(&r, ret_more, e));
    return s->days.foreign ? ERR_OK : drop_batches(&r, ret_more, e);
}

static enum err_code check_batch(struct store_pg *s, const PGresult *r, int i, struct err *e)
{
    struct proof_set proofs;
    proof_set_init(&proofs);
    enum err_code code =
        store_proofs_unpack(s->link.address, store_pg_get_bytes(r, i, 8), SERIES_LIMIT, &proofs, e);
    u128 sum = 0;
    int64_t count = 0;
    for (size_t k = 0; k < proofs.count; k++) {
        sum += proofs.items[k].sum;
        count += proofs.items[k].count;
    }
    proof_set_free(&proofs);
    TRY(code);
    struct str claimed = store_pg_get_bytes(r, i, 7);
    int64_t first = store_pg_get(r, i, 2, 0), last = store_pg_get(r, i, 3, 0);
    if (claimed.n == 16 && store_row_sum_of((const uint8_t *)claimed.p) == sum &&
        count == store_pg_get(r, i, 4, 0) + store_pg_get(r, i, 5, 0) && first > 0 &&
        last >= first && last - first + 1 >= store_pg_get(r, i, 6, 0))
        return ERR_OK;
    return ERR(e, ERR_CORRUPT,
               "%s: batch %lld of writer %.*s (sequences %lld to %lld): its minutes do not add up "
               "to its sum",
               s->link.address, (long long)store_pg_get(r, i, 1, 0),
               STR_ARG(store_pg_get_bytes(r, i, 0)), (long long)first, (long long)last);
}

struct check_at {
    char writer[128];
    int64_t number, last_sequence;
};

/* Retention removes a writer's batches anywhere, but for the newest, so a hole in the numbers is none of a check of this table. */
static enum err_code check_page(struct store_pg *s, const PGresult *r, struct check_at *at,
                                struct err *e)
{
    for (int i = 0; i < PQntuples(r); i++) {
        struct str writer = store_pg_get_bytes(r, i, 0);
        if (!str_is(writer, at->writer)) at->last_sequence = 0;
        if (store_pg_get(r, i, 2, 0) <= at->last_sequence)
            return ERR(e, ERR_CORRUPT,
                       "%s: batch %lld of writer %.*s begins at sequence %lld, but the one before "
                       "it ends at %lld",
                       s->link.address, (long long)store_pg_get(r, i, 1, 0), STR_ARG(writer),
                       (long long)store_pg_get(r, i, 2, 0), (long long)at->last_sequence);
        TRY(check_batch(s, r, i, e));
        if (!str_copy(at->writer, sizeof at->writer, writer))
            return ERR(e, ERR_CORRUPT, "%s: a writer's name of %zu bytes", s->link.address,
                       writer.n);
        at->number = store_pg_get(r, i, 1, 0);
        at->last_sequence = store_pg_get(r, i, 3, 0);
    }
    return ERR_OK;
}

enum err_code store_pg_check(struct store *base, struct err *e)
{
    struct store_pg *s = (struct store_pg *)base;
    struct check_at at = {.writer = ""};
    enum { PAGE = 256 };
    TRY(store_pg_ready(s, e));
    for (int rows = PAGE; rows == PAGE;) {
        struct store_pg_args args = {0};
        store_pg_bytes(&args, str_of(at.writer));
        store_pg_number(&args, at.number);
        PGresult *r;
        TRY(store_pg_run(&s->link, PG_check_batches, &args, &r, e));
        rows = PQntuples(r);
        enum err_code code = check_page(s, r, &at, e);
        PQclear(r);
        TRY(code);
    }
    return ERR_OK;
}
