/* jobs: what was done and how it ended. */
#include "command/command.h"
#include "run/distributed.h"

#include <stdio.h>

static const struct option options[] = {
    {"newest", "N", "so many (default 20)"},
    {NULL, NULL, NULL},
};

struct listing {
    bool json;
    struct buf out;
    struct table_out table;
    int64_t count;
};

static void put_time(struct buf *out, const char *name, int64_t ns)
{
    char text[TIME_TEXT_MAX];
    if (ns == TIME_ABSENT) {
        buf_addf(out, "\"%s\":null,", name);
        return;
    }
    time_format(ns, text);
    buf_addf(out, "\"%s\":\"%s\",", name, text);
}

static void as_json(struct listing *l, const struct store_job *job)
{
    buf_addf(&l->out, "%s{\"job\":%lld,\"command\":", l->count ? ",\n" : "[",
             (long long)job->job_id);
    buf_add_json(&l->out, str_of(job->command));
    buf_add_cstr(&l->out, ",\"arguments\":");
    buf_add_json(&l->out, str_of(job->arguments));
    buf_add_cstr(&l->out, ",\"message\":");
    buf_add_json(&l->out, str_of(job->message));
    buf_add_byte(&l->out, ',');
    put_time(&l->out, "started", job->started_ns);
    put_time(&l->out, "finished", job->finished_ns);
    buf_addf(&l->out, "\"rows\":%lld,\"duplicates\":%lld,\"exit_code\":%d}", (long long)job->rows,
             (long long)job->duplicates, (int)job->exit_code);
}

static enum err_code each(void *ctx, const struct store_job *job, struct err *e)
{
    struct listing *l = ctx;
    (void)e;
    if (l->json) {
        as_json(l, job);
        l->count++;
        return ERR_OK;
    }
    char started[TIME_TEXT_MAX];
    time_format(time_floor(job->started_ns, NS_PER_S), started);
    bool running = job->finished_ns == TIME_ABSENT;
    struct table_out *t = &l->table;
    table_cell(t, "%lld", (long long)job->job_id);
    table_cell(t, "%s", job->command);
    table_cell(t, "%s", started);
    if (running)
        table_cell(t, "-");
    else
        table_cell(t, "%lld s", (long long)((job->finished_ns - job->started_ns) / NS_PER_S));
    if (running)
        table_cell(t, "runs");
    else
        table_cell(t, "%d", (int)job->exit_code);
    table_cell(t, "%lld", (long long)job->rows);
    table_cell(t, "%lld", (long long)job->duplicates);
    table_cell(t, "%.80s%s%.80s", job->arguments, *job->message ? ": " : "", job->message);
    l->count++;
    return ERR_OK;
}

static enum err_code list(struct invocation *inv, struct listing *l, struct err *e)
{
    struct distributed parts = {0};
    struct series_table *series = series_new();
    enum err_code code = distributed_open(&parts, inv->config, e);
    if (code == ERR_OK) {
        struct store_options o = distributed_store(&parts, series);
        o.read_only = true;
        code = store_each_job(&o, option_int(inv, "newest", 20, 1, 100000), each, l, e);
    }
    distributed_close(&parts);
    series_free(series);
    return code;
}

static int jobs(struct invocation *inv)
{
    static const char *const heads[] = {"job",  "command", "started",    "took",
                                        "exit", "rows",    "duplicates", "what"};
    struct err e = {0};
    struct listing l = {.json = inv->json};
    buf_init(&l.out, 64 << 20);
    table_begin(&l.table, sizeof heads / sizeof heads[0]);
    for (size_t i = 0; i < l.table.columns; i++) table_cell(&l.table, "%s", heads[i]);
    enum err_code code = list(inv, &l, &e);
    if (code == ERR_OK && l.json) buf_add_cstr(&l.out, l.count ? "]\n" : "[]\n");
    if (code == ERR_OK && !l.json) table_print(&l.table, &l.out);
    buf_free(&l.table.cells);
    print_out(&l.out);
    return code == ERR_OK ? 0 : command_fail(inv, &e);
}

const struct command command_jobs = {
    .name = "jobs",
    .brief = "backfills and repairs: what was done, how it ended",
    .summary = "Work with a beginning and an end, newest first: when, how long, how it ended, how "
               "many rows.",
    .arguments = "",
    .example = "  ticklake jobs\n  ticklake jobs --newest 100 --json",
    .options = options,
    .needs_config = true,
    .run = jobs,
};
