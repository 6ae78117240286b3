/* Instrument lists by REST, in a thread of their own: the sockets never wait for them. */
#include "source/live_internal.h"

#include "source/fetch.h"

#include <stdlib.h>

enum { REFRESH_S = 86400 };

/* Belongs to the thread until `done`, then to the source. */
struct live_fetch {
    pthread_t thread;
    struct ws_loop *loop;
    struct source_fetch what;
    struct fetch_page pages[FETCH_PAGES_MAX];
    int page_count;
    enum err_code code;
    struct err err;
    atomic_bool done, cancel;
};

static void *run(void *arg)
{
    struct live_fetch *f = arg;
    while (f->code == ERR_OK) {
        bool there;
        f->code = fetch_page(&f->what, f->page_count, &f->pages[f->page_count], &there, &f->err);
        if (!there) break;
        f->page_count++;
    }
    atomic_store(&f->done, true);
    ws_loop_wake(f->loop);
    return NULL;
}

static void start(struct live_venue *v)
{
    struct source_live *s = v->live;
    struct live_fetch *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->loop = s->loop;
    f->what = (struct source_fetch){.venue = v->venue,
                                    .rest_url = v->rest_url,
                                    .token = str_of(v->token),
                                    .connect_timeout_ms = s->live.connect_timeout_ms,
                                    .tls_verify = s->live.tls_verify,
                                    .ca_file = s->ca_file,
                                    .cancel = &f->cancel};
    if (pthread_create(&f->thread, NULL, run, f) == 0)
        v->fetch = f;
    else
        free(f); /* tried again at the next turn */
}

static void free_fetch(struct live_fetch *f)
{
    for (int i = 0; i < f->page_count; i++) fetch_page_free(&f->pages[i]);
    free(f);
}

void live_fetch_free(struct live_venue *v)
{
    if (!v->fetch) return;
    atomic_store(&v->fetch->cancel, true);
    pthread_join(v->fetch->thread, NULL);
    free_fetch(v->fetch);
    v->fetch = NULL;
}

static void record(struct live_venue *v, const struct fetch_page *p)
{
    struct source_live *s = v->live;
    /* Our venues have their token in a header; one in the path must not be written down. */
    if (!s->live.recorder || (v->token && strstr(p->path, v->token))) return;
    struct recording_item item = {.kind = RECORDING_REST,
                                  .received_ns = p->received_ns,
                                  .venue = str_of(v->venue->name),
                                  .connection = STR("rest"),
                                  .url = str_of(p->path),
                                  .bytes = (char *)p->answer.body.data,
                                  .len = p->answer.body.len};
    struct err why;
    live_fail(s, recording_writer_add(s->live.recorder, &item, &why), &why);
}

static enum err_code take(struct live_venue *v, struct live_fetch *f, size_t *ret_count,
                          struct err *e)
{
    if (f->code != ERR_OK) {
        *e = f->err;
        return f->code;
    }
    for (int i = 0; i < f->page_count; i++) {
        const struct fetch_page *p = &f->pages[i];
        struct core_input in = {.connection = v->rest,
                                .bytes = p->answer.body.len ? (char *)p->answer.body.data : "",
                                .len = p->answer.body.len,
                                .received_ns = p->received_ns,
                                .position = -1,
                                .origin = v->live->options.origin};
        record(v, p);
        size_t count;
        enum err_code code = core_instruments(v->live->core, &in, &count, e);
        *ret_count += count;
        if (code != ERR_OK && code != ERR_PARSE && code != ERR_INEXACT) live_fail(v->live, code, e);
        TRY(code);
    }
    return ERR_OK;
}

/* What the venue did not want may be listed by now: it is asked for again at the next connection. */
static void forgive(struct live_venue *v)
{
    for (uint32_t k = 0; k < v->connection_count; k++)
        for (uint32_t i = 0; i < v->connections[k]->sub_count; i++)
            v->connections[k]->subs[i].bad = false;
}

static void finish(struct live_venue *v, int64_t now_ns)
{
    struct live_fetch *f = v->fetch;
    struct err why;
    size_t count = 0;
    pthread_join(f->thread, NULL);
    v->fetch = NULL;
    v->asked = true;
    v->live->pending = true;
    enum err_code code = take(v, f, &count, &why);
    if (code == ERR_OK) {
        retry_reset(&v->fetch_retry);
        v->fetch_ns = now_ns + REFRESH_S * NS_PER_S;
        live_notice(v, "instruments", "%zu listed", count);
        forgive(v);
    } else {
        int64_t pause_ms = retry_next_ms(&v->fetch_retry);
        /* Only the last page can have failed, and only it can ask for a longer pause. */
        const struct http_answer *last = f->page_count ? &f->pages[f->page_count - 1].answer : NULL;
        if (last && last->retry_after_ms > pause_ms) pause_ms = last->retry_after_ms;
        v->fetch_ns = now_ns + pause_ms * NS_PER_MS;
        live_notice(v, "instruments failed", "%s; again in %lld s", why.text,
                    (long long)(pause_ms / 1000));
    }
    free_fetch(f);
    if (live_can_plan(v)) live_plan(v);
}

void live_fetch_step(struct live_venue *v, int64_t now_ns)
{
    if (v->fetch && atomic_load(&v->fetch->done)) finish(v, now_ns);
    if (v->fetch || now_ns < v->fetch_ns) return;
    if (v->rest_url && v->venue->instruments_request && v->venue->instruments_answer) start(v);
}
