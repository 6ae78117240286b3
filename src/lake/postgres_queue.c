#include "lake/postgres_internal.h"
#include "lake/queue_internal.h"

enum { ROWS_AT_ONCE = 64 };
#define BYTES_AT_ONCE "67108864"

enum err_code queue_put(struct lake *l, const char *commit, struct str payload, struct err *e)
{
    struct pg_args a = {0};
    pg_text(&a, commit);
    pg_text(&a, l->worker);
    pg_bytes(&a, payload);
    return pg_run(l,
                  "INSERT INTO ticklake.ticklake_queue (commit, worker, payload) "
                  "VALUES ($1, $2, $3::bytea) ON CONFLICT (commit) DO NOTHING",
                  &a, NULL, e);
}

enum err_code queue_look(struct lake *l, const char *commit, struct queue_verdict *ret,
                         struct err *e)
{
    struct pg_args a = {0};
    PGresult *r;
    *ret = (struct queue_verdict){.state = QUEUE_ABSENT};
    pg_text(&a, commit);
    TRY(pg_run(l,
               "SELECT state::text, coalesce(reason, '') FROM ticklake.ticklake_queue "
               "WHERE commit=$1",
               &a, &r, e));
    if (PQntuples(r)) {
        ret->state = (enum queue_state)pg_cell_number(r, 0, 0);
        struct str reason = pg_cell(r, 0, 1);
        if (reason.n >= sizeof ret->reason) reason.n = sizeof ret->reason - 1;
        str_copy(ret->reason, sizeof ret->reason, reason);
    }
    PQclear(r);
    return ERR_OK;
}

enum err_code queue_recorded(struct lake *l, char ret[LAKE_UUID_TEXT], struct err *e)
{
    PGresult *r;
    *ret = 0;
    TRY(pg_run(l,
               "SELECT fold FROM ticklake.ticklake_queue WHERE state=0 AND fold IS NOT NULL "
               "ORDER BY id LIMIT 1",
               NULL, &r, e));
    bool fits = PQntuples(r) == 0 || str_copy(ret, LAKE_UUID_TEXT, pg_cell(r, 0, 0));
    PQclear(r);
    return fits ? ERR_OK : ERR(e, ERR_CORRUPT, "%s: the id of a fold is none", l->catalog_path);
}

enum err_code queue_record(struct lake *l, const char *fold, const struct queue_verdict *rows,
                           size_t count, struct err *e)
{
    struct buf ids;
    struct pg_args a = {0};
    PGresult *r = NULL;
    buf_init(&ids, 1 << 16);
    for (size_t i = 0; i < count; i++) pg_add_number(&ids, rows[i].id);
    pg_add_end(&ids);
    pg_array(&a, &ids);
    pg_text(&a, fold);
    enum err_code code = pg_run(l,
                                "UPDATE ticklake.ticklake_queue SET fold=$2 "
                                "WHERE id = ANY ($1::bigint[]) AND state=0 AND fold IS NULL",
                                &a, &r, e);
    if (code == ERR_OK && pg_changed(r) != (int64_t)count)
        code = ERR(e, ERR_CONFLICT, "%s: rows of the queue were taken behind the lock",
                   l->catalog_path);
    PQclear(r);
    buf_free(&ids);
    return code;
}

enum err_code queue_each(struct lake *l, const char *fold,
                         enum err_code (*each)(void *ctx, int64_t id, struct str payload,
                                               struct err *e),
                         void *ctx, struct err *e)
{
    struct pg_args a = {0};
    PGresult *r;
    pg_number(&a, ROWS_AT_ONCE);
    if (fold) pg_text(&a, fold);
    TRY(pg_run(
        l,
        fold ? "SELECT id::text, payload FROM ticklake.ticklake_queue "
               "WHERE state=0 AND fold=$2 ORDER BY id LIMIT $1::int"
             : "SELECT q.id::text, q.payload FROM ticklake.ticklake_queue q JOIN (SELECT id, "
               "sum(octet_length(payload)) OVER (ORDER BY id) - octet_length(payload) AS before "
               "FROM ticklake.ticklake_queue WHERE state=0 ORDER BY id LIMIT $1::int) w "
               "ON w.id = q.id WHERE w.before < " BYTES_AT_ONCE " ORDER BY q.id",
        &a, &r, e));
    enum err_code code = ERR_OK;
    for (int i = 0; i < PQntuples(r) && code == ERR_OK; i++)
        code = each(ctx, pg_cell_number(r, i, 0), pg_cell(r, i, 1), e);
    PQclear(r);
    return code;
}

static enum err_code decide(struct lake *l, const char *fold, struct buf b[3], size_t count,
                            struct err *e)
{
    struct pg_args a = {0}, totals = {0};
    PGresult *r;
    for (int i = 0; i < 3; i++) {
        pg_add_end(&b[i]);
        pg_array(&a, &b[i]);
    }
    pg_text(&a, fold);
    TRY(pg_run(l,
               "UPDATE ticklake.ticklake_queue q SET state=d.state, "
               "reason=nullif(d.reason, ''), fold=$4, payload=NULL, decided=clock_timestamp() "
               "FROM unnest($1::bigint[], $2::int[], $3::text[]) AS d (id, state, reason) "
               "WHERE q.id=d.id AND q.state=0",
               &a, &r, e));
    int64_t changed = pg_changed(r);
    PQclear(r);
    if (changed != (int64_t)count)
        return ERR(e, ERR_CONFLICT, "%s: rows of the queue were decided behind the lock",
                   l->catalog_path);
    pg_number(&totals, (int64_t)count);
    return pg_run(l, "UPDATE ticklake.ticklake_lake SET folds=folds+1, folded=folded+$1::bigint",
                  &totals, NULL, e);
}

enum err_code queue_decide(struct lake *l, const char *fold, const struct queue_verdict *items,
                           size_t count, struct err *e)
{
    struct buf b[3];
    for (int i = 0; i < 3; i++) buf_init(&b[i], 1 << 20);
    for (size_t i = 0; i < count; i++) {
        pg_add_number(&b[0], items[i].id);
        pg_add_number(&b[1], items[i].state);
        pg_add_text(&b[2], str_of(items[i].reason));
    }
    enum err_code code = decide(l, fold, b, count, e);
    for (int i = 0; i < 3; i++) buf_free(&b[i]);
    return code;
}

/* An hour: longer than a worker may take between the writing of its files and the answer to its commit (commit_shared.c). */
enum err_code queue_trim(struct lake *l, struct err *e)
{
    return pg_run(l,
                  "DELETE FROM ticklake.ticklake_queue WHERE state<>0 AND "
                  "decided < now() - interval '1 hour'",
                  NULL, NULL, e);
}
