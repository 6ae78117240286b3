/* Instrument lists by REST, in a thread of their own: the sockets never wait for them. */
#include "source/live_inner.h"

#include "io/clock.h"
#include "io/http.h"

#include <stdio.h>
#include <stdlib.h>

enum { CONNECT_MS = 10000, ANSWER_MS = 120000, URL_MAX = 1200, REFRESH_S = 86400 };

struct live_page {
    struct http_answer answer;
    char path[512];
    int64_t received_ns;
};

/* Belongs to the thread until `done`, then to the source. */
struct live_fetch {
    pthread_t thread;
    struct ws_loop *loop;
    const struct venue *venue;
    const char *rest_url, *token, *ca_file;
    bool tls_verify;
    struct live_page pages[LIVE_PAGES_MAX];
    int page_count;
    enum err_code code;
    struct err err;
    int64_t retry_after_ms;
    atomic_bool done, cancel;
};

static enum err_code judge(const struct live_fetch *f, const struct live_page *p, struct err *e)
{
    int status = p->answer.status;
    if (status >= 200 && status < 300) return ERR_OK;
    struct str path = str_of(p->path);
    enum err_code code = status == 401 || status == 403 ? ERR_REFUSED : ERR_UNAVAILABLE;
    return ERR(e, code, "%s: instruments: GET %.*s: status %d", f->venue->name,
               STR_ARG(str_cut(&path, '?')), status);
}

static enum err_code fetch_page(struct live_fetch *f, struct live_page *p,
                                const struct venue_request *request, struct err *e)
{
    char url[URL_MAX];
    struct str base = str_of(f->rest_url);
    while (base.n && base.p[base.n - 1] == '/') base.n--;
    int n = snprintf(url, sizeof url, "%.*s%s", STR_ARG(base), request->path);
    if (n < 0 || (size_t)n >= sizeof url)
        return ERR(e, ERR_CONFIG, "%s: rest_url is too long", f->venue->name);
    struct http_request r = {.url = url,
                             .header = request->header,
                             .limit = VENUE_REST_MAX,
                             .connect_timeout_ms = CONNECT_MS,
                             .timeout_ms = ANSWER_MS,
                             .tls_verify = f->tls_verify,
                             .ca_file = f->ca_file,
                             .cancel = &f->cancel};
    TRY(http_get(&r, &p->answer, e));
    f->retry_after_ms = p->answer.retry_after_ms;
    p->received_ns = clock_wall_ns();
    return judge(f, p, e);
}

static void *run(void *arg)
{
    struct live_fetch *f = arg;
    for (int page = 0; page < LIVE_PAGES_MAX && f->code == ERR_OK; page++) {
        struct venue_request request = {0};
        if (!f->venue->instruments_request(page, str_of(f->token), &request)) break;
        struct live_page *p = &f->pages[f->page_count++];
        http_answer_init(&p->answer, VENUE_REST_MAX);
        str_copy(p->path, sizeof p->path, str_of(request.path));
        f->code = fetch_page(f, p, &request, &f->err);
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
    f->venue = v->venue;
    f->rest_url = v->rest_url;
    f->token = v->token;
    f->ca_file = s->ca_file;
    f->tls_verify = s->live.tls_verify;
    f->retry_after_ms = -1;
    if (pthread_create(&f->thread, NULL, run, f) == 0)
        v->fetch = f;
    else
        free(f); /* tried again at the next turn */
}

static void free_fetch(struct live_fetch *f)
{
    for (int i = 0; i < f->page_count; i++) http_answer_free(&f->pages[i].answer);
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

static void record(struct live_venue *v, const struct live_page *p)
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
        const struct live_page *p = &f->pages[i];
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
        if (f->retry_after_ms > pause_ms) pause_ms = f->retry_after_ms;
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
