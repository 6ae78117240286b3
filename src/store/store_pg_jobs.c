#include "store/store_pg.h"

static enum err_code put(struct store_pg_link *l, struct store_job *job, struct err *e)
{
    TRY(store_pg_migrate(l, false, e));
    struct store_pg_args args = {0};
    store_pg_bytes(&args, str_of(job->command ? job->command : ""));
    store_pg_bytes(&args, str_of(job->arguments ? job->arguments : ""));
    store_pg_bytes(&args, str_of(job->message ? job->message : ""));
    store_pg_number(&args, job->started_ns);
    store_pg_number_or_null(&args, job->finished_ns);
    store_pg_number(&args, job->rows);
    store_pg_number(&args, job->duplicates);
    store_pg_number(&args, job->exit_code);
    if (!job->job_id) return store_pg_ask(l, PG_add_job, &args, 0, &job->job_id, e);
    store_pg_number(&args, job->job_id);
    return store_pg_run(l, PG_put_job, &args, NULL, e);
}

enum err_code store_pg_job_put(const struct store_options *o, struct store_job *job, struct err *e)
{
    struct store_pg_link l;
    TRY(store_pg_connect(&l, o->url, "ticklake job", false, e));
    enum err_code code = put(&l, job, e);
    store_pg_disconnect(&l);
    return code;
}

static enum err_code list(struct store_pg_link *l, int64_t newest, store_job_each *each, void *ctx,
                          struct err *e)
{
    TRY(store_pg_migrate(l, true, e));
    struct store_pg_args args = {0};
    store_pg_number(&args, newest);
    PGresult *r;
    TRY(store_pg_run(l, PG_read_jobs, &args, &r, e));
    enum err_code code = ERR_OK;
    for (int i = 0; i < PQntuples(r) && code == ERR_OK; i++) {
        /* libpq ends every value with a zero, in binary too. */
        const struct store_job job = {.job_id = store_pg_get(r, i, 0, 0),
                                      .command = PQgetvalue(r, i, 1),
                                      .arguments = PQgetvalue(r, i, 2),
                                      .message = PQgetvalue(r, i, 3),
                                      .started_ns = store_pg_get(r, i, 4, 0),
                                      .finished_ns = store_pg_get(r, i, 5, TIME_ABSENT),
                                      .rows = store_pg_get(r, i, 6, 0),
                                      .duplicates = store_pg_get(r, i, 7, 0),
                                      .exit_code = (int32_t)store_pg_get(r, i, 8, 0)};
        code = each(ctx, &job, e);
    }
    PQclear(r);
    return code;
}

enum err_code store_pg_each_job(const struct store_options *o, int64_t newest, store_job_each *each,
                                void *ctx, struct err *e)
{
    struct store_pg_link l;
    TRY(store_pg_connect(&l, o->url, "ticklake reader", true, e));
    enum err_code code = list(&l, newest, each, ctx, e);
    store_pg_disconnect(&l);
    return code;
}
