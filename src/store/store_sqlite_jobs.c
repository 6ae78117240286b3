#include "gen/sql.h"
#include "store/store_sqlite.h"

static enum err_code put(struct store_db *db, struct store_job *job, struct err *e)
{
    TRY(store_db_execute(db, sql_sqlite_store_jobs, "making its list of jobs", e));
    sqlite3_stmt *s;
    TRY(store_db_get(db, job->job_id ? STATEMENT_put_job : STATEMENT_add_job, &s, e));
    const char *texts[] = {job->command, job->arguments, job->message};
    for (int i = 0; i < 3; i++)
        sqlite3_bind_text(s, i + 1, texts[i] ? texts[i] : "", -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 4, job->started_ns);
    if (job->finished_ns == TIME_ABSENT)
        sqlite3_bind_null(s, 5);
    else
        sqlite3_bind_int64(s, 5, job->finished_ns);
    sqlite3_bind_int64(s, 6, job->rows);
    sqlite3_bind_int64(s, 7, job->duplicates);
    sqlite3_bind_int(s, 8, job->exit_code);
    if (job->job_id) sqlite3_bind_int64(s, 9, job->job_id);
    TRY(store_db_run(db, s, e));
    sqlite3_clear_bindings(s); /* they point to the caller's texts */
    if (!job->job_id) job->job_id = sqlite3_last_insert_rowid(db->handle);
    return ERR_OK;
}

enum err_code store_lite_job_put(const struct store_options *o, struct store_job *job,
                                 struct err *e)
{
    struct store_db db;
    TRY(store_db_open(&db, o->path, false, e));
    enum err_code code = put(&db, job, e);
    store_db_close(&db);
    return code;
}

static enum err_code list(struct store_db *db, int64_t newest, store_job_each *each, void *ctx,
                          struct err *e)
{
    int64_t tables;
    TRY(store_db_number(db, STATEMENT_has_jobs, 0, &tables, e));
    if (!tables) return ERR_OK;
    sqlite3_stmt *s;
    TRY(store_db_get(db, STATEMENT_read_jobs, &s, e));
    sqlite3_bind_int64(s, 1, newest);
    for (;;) {
        bool row;
        TRY(store_db_next(db, s, &row, e));
        if (!row) return ERR_OK;
        const char *texts[3];
        for (int i = 0; i < 3; i++) {
            const unsigned char *text = sqlite3_column_text(s, 1 + i);
            texts[i] = text ? (const char *)text : "";
        }
        struct store_job job = {.job_id = sqlite3_column_int64(s, 0),
                                .command = texts[0],
                                .arguments = texts[1],
                                .message = texts[2],
                                .started_ns = sqlite3_column_int64(s, 4),
                                .finished_ns = store_row_number(s, 5, TIME_ABSENT),
                                .rows = sqlite3_column_int64(s, 6),
                                .duplicates = sqlite3_column_int64(s, 7),
                                .exit_code = sqlite3_column_int(s, 8)};
        enum err_code code = each(ctx, &job, e);
        if (code == ERR_OK) continue;
        sqlite3_reset(s);
        return code;
    }
}

enum err_code store_lite_each_job(const struct store_options *o, int64_t newest,
                                  store_job_each *each, void *ctx, struct err *e)
{
    struct store_db db;
    TRY(store_db_open(&db, o->path, true, e));
    enum err_code code = list(&db, newest, each, ctx, e);
    store_db_close(&db);
    return code;
}
