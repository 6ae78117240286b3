#include "io/clock.h"
#include "view/view_internal.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PERIOD_MS = 1000, REST_SHARE = 3, REST_MAX_S = 60, STOP_S = 4 };

static const char *const page_names[VIEW_PAGES] = {"flow",    "markets", "gaps", "kafka",
                                                   "schemas", "lake",    "jobs"};
/* Whose health is told on a page. */
static const unsigned page_sources[VIEW_PAGES] = {
    [VIEW_FLOW] = (1u << VIEW_SOURCES) - 1, [VIEW_MARKETS] = 1u << SOURCE_LAKE | 1u << SOURCE_STORE,
    [VIEW_GAPS] = 1u << SOURCE_STORE,       [VIEW_KAFKA] = 1u << SOURCE_BUS | 1u << SOURCE_SLOT,
    [VIEW_SCHEMAS] = 1u << SOURCE_REGISTRY, [VIEW_LAKE] = 1u << SOURCE_LAKE,
    [VIEW_JOBS] = 1u << SOURCE_STORE,
};

static const struct {
    const char *name;
    int64_t period_ms, deadline_ms;
    enum err_code (*look)(struct view_probe *p, struct view_look *ret, struct err *e);
    void (*close)(struct view_probe *p);
    int rest_share; /* it rests so many times what a look took: what is work for the database, not only a wait */
    size_t from, to; /* what it owns of struct view_numbers, whose members stand in this order */
} kinds[VIEW_SOURCES] = {
#define FROM(member) offsetof(struct view_numbers, member)
    {"store", PERIOD_MS, 5000, view_look_store, view_close_store, REST_SHARE, 0, FROM(slot_exists)},
    {"slot", PERIOD_MS * 2, 5000, view_look_slot, NULL, 0, FROM(slot_exists), FROM(brokers_up)},
    {"kafka", PERIOD_MS * 2, 6000, view_look_bus, view_close_bus, 0, FROM(brokers_up),
     FROM(subjects)},
    {"registry", PERIOD_MS * 15, 15000, view_look_registry, NULL, 0, FROM(subjects),
     FROM(lake_position)},
    {"lake", PERIOD_MS, 8000, view_look_lake, view_close_lake, REST_SHARE, FROM(lake_position),
     sizeof(struct view_numbers)},
#undef FROM
};

const char *view_page_name(enum view_page page) { return page_names[page]; }

/* ---- looking */

static struct timespec after(int64_t ns)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    ns += t.tv_nsec;
    t.tv_sec += ns / NS_PER_S;
    t.tv_nsec = ns % NS_PER_S;
    return t;
}

bool view_rest(struct view *v, int64_t ns)
{
    struct timespec until = after(ns);
    pthread_mutex_lock(&v->lock);
    while (!v->stopping && pthread_cond_timedwait(&v->wake, &v->lock, &until) == 0) {
    }
    bool stopping = v->stopping;
    pthread_mutex_unlock(&v->lock);
    return stopping;
}

/* Under the lock. */
static void take_look(struct view_probe *p, struct view_look *look)
{
    struct view_numbers *n = &p->view->numbers;
    size_t from = kinds[p->source].from, to = kinds[p->source].to;
    memcpy((char *)n + from, (char *)&look->numbers + from, to - from);
    for (int i = 0; i < VIEW_PAGES; i++) {
        struct buf old = p->page[i];
        p->page[i] = look->page[i];
        look->page[i] = old;
    }
}

static void end_look(struct view_probe *p, struct view_look *look, enum err_code code,
                     const struct err *e)
{
    int64_t now_ns = clock_wall_ns();
    pthread_mutex_lock(&p->view->lock);
    p->took_ns = clock_mono_ns() - p->began_mono_ns;
    p->began_mono_ns = 0;
    p->looks++;
    if (code == ERR_OK) {
        take_look(p, look);
        p->good_ns = now_ns;
        p->failing_since_ns = 0;
        p->error[0] = 0;
    } else {
        if (!p->failing_since_ns) p->failing_since_ns = now_ns;
        snprintf(p->error, sizeof p->error, "%s", e->text);
    }
    pthread_cond_broadcast(&p->view->wake);
    pthread_mutex_unlock(&p->view->lock);
}

static void look_once(struct view_probe *p)
{
    struct view *v = p->view;
    struct view_look *look = calloc(1, sizeof *look);
    struct err e = {0};
    CHECK(look != NULL);
    for (int i = 0; i < VIEW_PAGES; i++) buf_init(&look->page[i], VIEW_PAGE_BYTES);
    pthread_mutex_lock(&v->lock);
    p->began_mono_ns = clock_mono_ns();
    p->began_ns = clock_wall_ns();
    look->numbers = v->numbers;
    pthread_mutex_unlock(&v->lock);
    enum err_code code = kinds[p->source].look(p, look, &e);
    for (int i = 0; i < VIEW_PAGES && code == ERR_OK; i++)
        if (look->page[i].failed)
            code = ERR(&e, ERR_FULL, "more than %d bytes to show", VIEW_PAGE_BYTES);
    if (code != ERR_OK && kinds[p->source].close && p->source != SOURCE_BUS)
        kinds[p->source].close(p);
    end_look(p, look, code, &e);
    for (int i = 0; i < VIEW_PAGES; i++) buf_free(&look->page[i]);
    free(look);
}

static void *probe_thread(void *probe)
{
    struct view_probe *p = probe;
    int64_t rest_ns;
    do {
        look_once(p);
        rest_ns = p->took_ns * kinds[p->source].rest_share;
        if (rest_ns < p->period_ns) rest_ns = p->period_ns;
        if (rest_ns > REST_MAX_S * NS_PER_S) rest_ns = REST_MAX_S * NS_PER_S;
    } while (!view_rest(p->view, rest_ns));
    if (kinds[p->source].close) kinds[p->source].close(p);
    return NULL;
}

/* ---- what is told of a source */

void view_health(const struct view_probe *p, struct view_health *ret)
{
    int64_t going_ns = p->began_mono_ns ? clock_mono_ns() - p->began_mono_ns : 0;
    *ret = (struct view_health){.state = "ok", .since_ns = TIME_ABSENT};
    if (!p->wanted) {
        ret->state = "off";
    } else if (p->error[0]) {
        ret->state = "failing";
        ret->since_ns = p->failing_since_ns;
        str_copy(ret->error, sizeof ret->error, str_of(p->error));
    } else if (going_ns > p->deadline_ns) {
        ret->state = "failing";
        ret->since_ns = p->began_ns;
        snprintf(ret->error, sizeof ret->error, "%s: no answer for %lld s", p->name,
                 (long long)(going_ns / NS_PER_S));
    } else if (!p->good_ns) {
        ret->state = "waiting";
    }
}

static void put_health(const struct view_probe *p, bool first, struct buf *out)
{
    struct view_health h;
    view_health(p, &h);
    buf_addf(out, "%s\"%s\":{\"state\":\"%s\"", first ? "" : ",", p->name, h.state);
    view_put_ms(out, "since_ms", h.since_ns);
    view_put_ms(out, "seen_ms", p->good_ns ? p->good_ns : TIME_ABSENT);
    buf_addf(out, ",\"took_ms\":%lld", (long long)(p->took_ns / NS_PER_MS));
    if (h.error[0]) view_put_text(out, "error", str_of(h.error));
    buf_add_byte(out, '}');
}

void view_page(struct view *v, enum view_page page, const char *query, struct buf *out)
{
    buf_addf(out, "{\"now_ms\":%lld,\"sources\":{", (long long)(clock_wall_ns() / NS_PER_MS));
    pthread_mutex_lock(&v->lock);
    bool first = true;
    for (int i = 0; i < VIEW_SOURCES; i++) {
        if (!(page_sources[page] >> i & 1)) continue;
        put_health(&v->probes[i], first, out);
        first = false;
    }
    buf_add_byte(out, '}');
    for (int i = 0; i < VIEW_SOURCES; i++) buf_add_str(out, buf_str(&v->probes[i].page[page]));
    if (page == VIEW_FLOW) view_flow_page(v, out);
    if (page == VIEW_GAPS) view_gaps_page(v, query, out);
    pthread_mutex_unlock(&v->lock);
    buf_add_cstr(out, "}");
}

/* ---- beginning and end */

static bool is_wanted(const struct view *v, enum view_source source)
{
    const struct config *c = v->options.config;
    switch (source) {
    case SOURCE_SLOT: return v->distributed && v->has_bus;
    case SOURCE_BUS: return v->has_bus;
    case SOURCE_REGISTRY: return v->has_bus && c->registry.kind != REGISTRY_NONE;
    default: return true;
    }
}

static enum err_code start_thread(struct view *v, pthread_t *thread, void *(*run)(void *),
                                  void *arg, struct err *e)
{
    (void)v;
    if (pthread_create(thread, NULL, run, arg) == 0) return ERR_OK;
    return ERR(e, ERR_INTERNAL, "view: cannot start a thread; is the process limit reached?");
}

static enum err_code start_probe(struct view *v, enum view_source source, struct err *e)
{
    struct view_probe *p = &v->probes[source];
    TRY(distributed_open(&p->parts, v->options.config, e));
    p->wanted = is_wanted(v, source);
    if (!p->wanted) return ERR_OK;
    TRY(start_thread(v, &p->thread, probe_thread, p, e));
    p->started = true;
    return ERR_OK;
}

static enum err_code start_threads(struct view *v, struct err *e)
{
    for (int i = 0; i < VIEW_SOURCES; i++) TRY(start_probe(v, (enum view_source)i, e));
    TRY(start_thread(v, &v->flow_thread, view_flow_thread, v, e));
    v->flow_started = true;
    if (!v->options.answer) return ERR_OK;
    TRY(distributed_open(&v->parts, v->options.config, e));
    TRY(start_thread(v, &v->query_thread, view_query_thread, v, e));
    v->query_started = true;
    return ERR_OK;
}

static void init_numbers(struct view_numbers *n)
{
    memset(n, 0xff, sizeof *n); /* every count -1: not known */
    n->slot_exists = n->slot_active = false;
    n->newest_trade_ns = n->emitted_ns = n->newest_commit_ns = TIME_ABSENT;
    n->progress.newest_commit_ns = TIME_ABSENT;
}

enum err_code view_start(const struct view_options *o, struct view **ret, struct err *e)
{
    struct view *v = calloc(1, sizeof *v);
    pthread_condattr_t attributes;
    CHECK(v != NULL);
    v->options = *o;
    v->distributed = o->config->store.url != NULL;
    v->has_bus = v->distributed && distributed_has_bus(o->config);
    v->series = series_new();
    init_numbers(&v->numbers);
    pthread_mutex_init(&v->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&v->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    for (int i = 0; i < VIEW_SOURCES; i++) {
        struct view_probe *p = &v->probes[i];
        *p = (struct view_probe){.view = v,
                                 .source = (enum view_source)i,
                                 .name = kinds[i].name,
                                 .period_ns = kinds[i].period_ms * NS_PER_MS,
                                 .deadline_ns = kinds[i].deadline_ms * NS_PER_MS,
                                 .series = series_new()};
        for (int k = 0; k < VIEW_PAGES; k++) buf_init(&p->page[k], VIEW_PAGE_BYTES);
    }
    enum err_code code = start_threads(v, e);
    *ret = code == ERR_OK ? v : view_stop(v);
    return code;
}

void view_settle(struct view *v, int32_t timeout_ms)
{
    struct timespec until = after(timeout_ms * NS_PER_MS);
    pthread_mutex_lock(&v->lock);
    for (;;) {
        bool all = true;
        for (int i = 0; i < VIEW_SOURCES; i++)
            all = all && (!v->probes[i].wanted || v->probes[i].looks > 0);
        if (all || pthread_cond_timedwait(&v->wake, &v->lock, &until) != 0) break;
    }
    pthread_mutex_unlock(&v->lock);
}

/* false: it hangs in a call to a server that answers nothing. */
static bool join(pthread_t thread, bool started, const struct timespec *until)
{
    return !started || pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, until) == 0;
}

struct view *view_stop(struct view *v)
{
    if (!v) return NULL;
    pthread_mutex_lock(&v->lock);
    v->stopping = true;
    pthread_cond_broadcast(&v->wake);
    pthread_mutex_unlock(&v->lock);
    struct timespec until = after(STOP_S * NS_PER_S);
    bool all = join(v->flow_thread, v->flow_started, &until);
    all = join(v->query_thread, v->query_started, &until) && all;
    for (int i = 0; i < VIEW_SOURCES; i++)
        all = join(v->probes[i].thread, v->probes[i].started, &until) && all;
    if (!all) return NULL; /* the end of the process ends it */
    for (int i = 0; i < VIEW_SOURCES; i++) {
        struct view_probe *p = &v->probes[i];
        for (int k = 0; k < VIEW_PAGES; k++) buf_free(&p->page[k]);
        distributed_close(&p->parts);
        series_free(p->series);
    }
    lake_close(v->lake);
    distributed_close(&v->parts);
    series_free(v->series);
    view_gaps_free(&v->gaps);
    pthread_cond_destroy(&v->wake);
    pthread_mutex_destroy(&v->lock);
    free(v);
    return NULL;
}
