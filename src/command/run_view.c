/* The console of `ticklake run`: the view behind the HTTP port. */
#include "command/run_internal.h"
#include "gen/console.h"

static void own(void *ctx, struct view_own *ret)
{
    struct living *l = ctx;
    *ret = (struct view_own){.marks = {-1, -1, -1, -1}, .connections = -1};
    if (l->run) {
        struct run_status r;
        run_status(l->run, &r);
        ret->marks = r.marks;
        ret->retries = r.retries;
        if (l->inv->config->store.url) ret->marks.emitted = ret->marks.committed = -1;
    }
    if (!l->source) return;
    struct source_stats s = {0};
    source_live_stats(l->source, &s);
    ret->connections = s.connections;
    ret->connections_up = s.connections_up;
    ret->trades = s.trades;
    ret->quotes = s.quotes;
    ret->dead = s.dead;
    ret->duplicates = s.duplicates;
    ret->errors = s.venue_errors;
}

static void answer(void *ctx, uint64_t id, int status, struct str json)
{
    struct living *l = ctx;
    serve_answer(l->serve, id, status, json);
}

static enum serve_reply page(struct living *l, uint64_t id, const char *name, const char *query,
                             struct buf *out)
{
    for (int p = 0; p < VIEW_PAGES; p++) {
        if (!str_is(str_of(name), view_page_name((enum view_page)p))) continue;
        view_page(l->view, (enum view_page)p, query, out);
        return SERVE_NOW;
    }
    bool question = str_is(str_of(name), "candles") || str_is(str_of(name), "trades");
    if (!question) return SERVE_NONE;
    return view_ask(l->view, id, name, query) ? SERVE_LATER : SERVE_BUSY;
}

/* The view ends before the port does: its answers go there. */
static enum serve_reply api(void *ctx, uint64_t id, const char *name, const char *query,
                            struct buf *out)
{
    struct living *l = ctx;
    pthread_mutex_lock(&l->view_lock);
    enum serve_reply reply = l->view ? page(l, id, name, query, out) : SERVE_NONE;
    pthread_mutex_unlock(&l->view_lock);
    return reply;
}

void run_view_metrics(struct living *l, struct buf *out)
{
    pthread_mutex_lock(&l->view_lock);
    if (l->view) view_metrics(l->view, out);
    pthread_mutex_unlock(&l->view_lock);
}

void run_view_options(struct living *l, struct serve_options *o)
{
    pthread_mutex_init(&l->view_lock, NULL);
    if (!(l->stages & STAGE_SERVE)) return;
    o->api = api;
    o->files = console_files;
    o->file_count = console_file_count;
}

enum err_code run_view_start(struct living *l, struct err *e)
{
    struct view *started = NULL;
    if (!(l->stages & STAGE_SERVE)) return ERR_OK;
    struct view_options o = {.config = l->inv->config, .own = own, .answer = answer, .ctx = l};
    TRY(view_start(&o, &started, e));
    pthread_mutex_lock(&l->view_lock);
    l->view = started;
    pthread_mutex_unlock(&l->view_lock);
    return ERR_OK;
}

void run_view_stop(struct living *l)
{
    if (!l->serve) return;
    pthread_mutex_lock(&l->view_lock);
    struct view *stopped = l->view;
    l->view = NULL;
    pthread_mutex_unlock(&l->view_lock);
    view_stop(stopped);
}
