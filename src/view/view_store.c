/* The store: its mark, the gap ledger, the list of jobs. */
#include "view/view_internal.h"

#include <stdlib.h>

enum { JOBS_SHOWN = 200 };

void view_close_store(struct view_probe *p) { p->own = store_tail_close(p->own); }

static enum err_code add_gap(void *ctx, const struct gap *g, struct err *e)
{
    (void)e;
    view_gaps_add(ctx, g);
    return ERR_OK;
}

struct jobs {
    struct buf *out;
    struct view_numbers *n;
    int64_t count;
};

static const char *job_state(const struct store_job *job)
{
    if (job->finished_ns == TIME_ABSENT) return "running";
    return job->exit_code == 0 ? "done" : "failed";
}

static enum err_code put_job(void *ctx, const struct store_job *job, struct err *e)
{
    struct jobs *j = ctx;
    (void)e;
    const char *state = job_state(job);
    if (str_is(str_of(state), "running")) j->n->jobs_running++;
    if (str_is(str_of(state), "failed")) j->n->jobs_failed++;
    buf_addf(j->out, "%s{\"job_id\":%lld,\"state\":\"%s\"", j->count++ ? "," : "",
             (long long)job->job_id, state);
    view_put_text(j->out, "command", str_of(job->command));
    view_put_text(j->out, "arguments", str_of(job->arguments));
    view_put_ms(j->out, "started_ms", job->started_ns);
    view_put_ms(j->out, "finished_ms", job->finished_ns);
    buf_addf(j->out, ",\"rows\":%lld,\"duplicates\":%lld", (long long)job->rows,
             (long long)job->duplicates);
    if (job->finished_ns != TIME_ABSENT) buf_addf(j->out, ",\"exit_code\":%d", job->exit_code);
    view_put_text(j->out, "message", str_of(job->message));
    buf_add_byte(j->out, '}');
    return ERR_OK;
}

static enum err_code look_at_jobs(const struct store_options *o, struct view_look *ret,
                                  struct err *e)
{
    struct jobs j = {.out = &ret->page[VIEW_JOBS], .n = &ret->numbers};
    ret->numbers.jobs_running = ret->numbers.jobs_failed = 0;
    buf_add_cstr(j.out, ",\"jobs\":[");
    TRY(store_each_job(o, JOBS_SHOWN, put_job, &j, e));
    buf_add_byte(j.out, ']');
    return ERR_OK;
}

enum err_code view_look_store(struct view_probe *p, struct view_look *ret, struct err *e)
{
    struct view *v = p->view;
    struct store_options o = distributed_store(&p->parts, p->series);
    o.read_only = true;
    if (!p->own) {
        struct store_tail *opened;
        TRY(store_tail_open(&o, &opened, e));
        p->own = opened;
    }
    struct view_gaps gaps = {0};
    const char *slot = v->has_bus ? v->options.config->store.slot : "";
    TRY(store_tail_progress(p->own, slot, &ret->numbers.progress, e));
    enum err_code code = store_gaps(p->own, add_gap, &gaps, e);
    if (code == ERR_OK) code = look_at_jobs(&o, ret, e);
    if (code == ERR_OK) {
        ret->numbers.gaps_open = gaps.open;
        ret->numbers.gaps_missing = gaps.missing;
        pthread_mutex_lock(&v->lock);
        struct view_gaps old = v->gaps;
        v->gaps = gaps;
        gaps = old;
        pthread_mutex_unlock(&v->lock);
    }
    view_gaps_free(&gaps);
    return code;
}
