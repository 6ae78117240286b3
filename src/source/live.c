/* Live venues: one thread, one socket loop; REST in helper threads. */
#include "source/live_internal.h"

#include "io/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUIET_MS = 50, FLUSH_MS = 1000, TEXT_MAX = 512 };

void live_notice(struct live_venue *v, const char *what, const char *format, ...)
{
    const struct source_options *o = &v->live->options;
    if (!o->notice) return;
    char detail[TEXT_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(detail, sizeof detail, format, ap);
    va_end(ap);
    o->notice(o->notice_ctx, v->venue->name, what, detail);
}

void live_fail(struct source_live *s, enum err_code code, const struct err *e)
{
    if (code == ERR_OK || s->code != ERR_OK) return;
    s->code = code;
    s->err = *e;
}

static char *copy_text(const char *text)
{
    char *copy = text && text[0] ? strdup(text) : NULL;
    CHECK(copy != NULL || !text || !text[0]);
    return copy;
}

static enum err_code open_venue(struct source_live *s, struct live_venue *v,
                                const struct source_venue *from, struct err *e)
{
    struct ws_address address;
    *v = (struct live_venue){.live = s, .venue = from->venue};
    v->ws_url = copy_text(from->ws_url ? from->ws_url : from->venue->ws_url);
    v->rest_url = copy_text(from->rest_url ? from->rest_url : from->venue->rest_url);
    v->token = from->token.n ? strndup(from->token.p, from->token.n) : NULL;
    map_init(&v->planned, LIVE_SUBSCRIPTIONS_MAX);
    v->streams = from->streams & from->venue->streams;
    if (!from->streams)
        v->streams = (1u << from->venue->default_tape | 1u << STREAM_QUOTE) & from->venue->streams;
    v->symbols = calloc(from->symbol_count + 1, sizeof *v->symbols);
    CHECK(v->symbols != NULL);
    for (size_t i = 0; i < from->symbol_count; i++) {
        if (str_is(from->symbols[i], "*")) {
            v->all = true;
            continue;
        }
        char *copy = strndup(from->symbols[i].p, from->symbols[i].n);
        CHECK(copy != NULL);
        v->symbols[v->symbol_count++] = str_of(copy);
    }
    v->wildcard = v->all && from->venue->subscribes_all;
    v->names = core_names(s->core, v->venue);
    v->old_series = series_count(s->options.series);
    char name[LIVE_NAME_MAX];
    snprintf(name, sizeof name, "%s/rest", v->venue->name);
    v->rest = core_connection_new(s->core, v->venue, str_of(name));
    static const struct retry_policy fetch_policy = {15000, 3600000, 0};
    retry_init(&v->fetch_retry, &fetch_policy, (uint64_t)clock_wall_ns());
    if (v->ws_url) TRY(ws_parse_url(v->ws_url, &address, e));
    if (!v->ws_url) return ERR(e, ERR_CONFIG, "venues: %s has no address", v->venue->name);
    if (v->venue->needs_token && !v->token)
        return ERR(e, ERR_CONFIG, "venues: %s needs a token", v->venue->name);
    if (!v->streams)
        return ERR(e, ERR_CONFIG, "venues: %s has none of the streams asked for", v->venue->name);
    if (live_can_plan(v)) live_plan(v);
    return ERR_OK;
}

enum err_code source_live_open(const struct source_options *o, const struct source_live_options *l,
                               const struct source_past *past, struct source_live **ret,
                               struct err *e)
{
    struct source_live *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->options = *o;
    s->live = *l;
    s->ca_file = copy_text(l->ca_file);
    s->last_received_ns = past ? past->last_received_ns : TIME_ABSENT;
    struct ws_loop_options w = {.tls_verify = l->tls_verify, .ca_file = s->ca_file};
    enum err_code code = core_open(o, past, &s->core, e);
    if (code == ERR_OK) code = ws_loop_new(&w, &s->loop, e);
    s->venues = calloc(l->venue_count + 1, sizeof *s->venues);
    CHECK(s->venues != NULL);
    for (size_t i = 0; i < l->venue_count && code == ERR_OK; i++) {
        s->venue_count++;
        code = open_venue(s, &s->venues[i], &l->venues[i], e);
    }
    if (code != ERR_OK) {
        source_live_close(s);
        return code;
    }
    *ret = s;
    return ERR_OK;
}

static void close_venue(struct live_venue *v)
{
    live_plan_free(v);
    for (size_t i = 0; i < v->symbol_count; i++) free((char *)(uintptr_t)v->symbols[i].p);
    free(v->symbols);
    free(v->ws_url);
    free(v->rest_url);
    free(v->token);
    map_free(&v->planned);
}

struct source_live *source_live_close(struct source_live *s)
{
    if (!s) return NULL;
    /* The fetching threads wake the loop, and its sockets point to the connections: in this order. */
    for (size_t i = 0; i < s->venue_count; i++) live_fetch_free(&s->venues[i]);
    ws_loop_free(s->loop);
    for (size_t i = 0; i < s->venue_count; i++) close_venue(&s->venues[i]);
    free(s->venues);
    core_close(s->core);
    free(s->ca_file);
    free(s);
    return NULL;
}

void source_live_stop(struct source_live *s)
{
    atomic_store(&s->stop, true);
    core_stop(s->core);
    ws_loop_wake(s->loop);
}

void source_live_stats(const struct source_live *s, struct source_stats *ret)
{
    core_stats(s->core, ret);
}

/* ---- The run ---- */

static void step(struct source_live *s)
{
    int64_t now_ns = clock_mono_ns(), up = 0;
    for (size_t i = 0; i < s->venue_count; i++) {
        struct live_venue *v = &s->venues[i];
        live_fetch_step(v, now_ns);
        for (uint32_t k = 0; k < v->connection_count; k++) {
            struct live_connection *c = v->connections[k];
            live_connection_step(c, now_ns);
            up += c->legs[c->current].state == LEG_OPEN;
        }
    }
    __atomic_store_n(&core_counters(s->core)->connections_up, up, __ATOMIC_RELAXED);
}

static enum err_code keep_time(struct source_live *s, struct err *e)
{
    int64_t mono_ns = clock_mono_ns(), wall_ns = clock_wall_ns();
    TRY(core_clock(s->core, wall_ns, e));
    TRY(core_age(s->core, mono_ns, e));
    struct source_stats stats;
    core_stats(s->core, &stats);
    if (stats.batches != s->batches) s->pending = false;
    s->batches = stats.batches;
    if (!s->live.recorder || mono_ns < s->flush_ns) return ERR_OK;
    s->flush_ns = mono_ns + FLUSH_MS * NS_PER_MS;
    return recording_writer_flush(s->live.recorder, wall_ns, e);
}

static enum err_code finish(struct source_live *s, struct err *e)
{
    TRY(core_finish(s->core, true, e));
    if (s->live.recorder) TRY(recording_writer_flush(s->live.recorder, clock_wall_ns(), e));
    return ERR_OK;
}

enum err_code source_live_run(struct source_live *s, struct err *e)
{
    while (!atomic_load_explicit(&s->stop, memory_order_relaxed)) {
        step(s);
        int32_t wait_ms =
            s->pending && s->options.batch_ms < QUIET_MS ? s->options.batch_ms : QUIET_MS;
        ws_loop_run(s->loop, wait_ms);
        if (s->code == ERR_OK) {
            struct err why;
            live_fail(s, keep_time(s, &why), &why);
        }
        if (s->code == ERR_OK) continue;
        if (e) *e = s->err;
        return s->code;
    }
    return finish(s, e);
}

/* ---- Recording ---- */

static void add_masked(struct buf *out, struct str text, struct str secret)
{
    while (secret.n && text.n >= secret.n) {
        const char *at = memmem(text.p, text.n, secret.p, secret.n);
        if (!at) break;
        size_t before = (size_t)(at - text.p);
        buf_add(out, text.p, before);
        buf_add_cstr(out, "***");
        text = (struct str){at + secret.n, text.n - before - secret.n};
    }
    buf_add_str(out, text);
}

void live_record(struct live_leg *g, enum recording_kind kind, struct str bytes, int64_t now_ns)
{
    struct live_venue *v = g->connection->venue;
    struct source_live *s = v->live;
    if (!s->live.recorder) return;
    struct buf url, text, escaped;
    buf_init(&url, 4096);
    buf_init(&text, VENUE_FRAME_MAX);
    buf_init(&escaped, 4096);
    buf_add_json(&escaped, str_of(v->token)); /* as it stands in a frame, with quotes */
    struct str secret = str_of(v->token);
    if (kind == RECORDING_SENT && escaped.len > 2)
        secret = (struct str){(char *)escaped.data + 1, escaped.len - 2};
    add_masked(&url, str_of(v->ws_url), str_of(v->token));
    if (kind == RECORDING_SENT) {
        add_masked(&text, bytes, secret);
        bytes = buf_str(&text);
    }
    struct recording_item item = {.kind = kind,
                                  .received_ns = now_ns,
                                  .venue = str_of(v->venue->name),
                                  .connection = str_of(g->name),
                                  .url = buf_str(&url),
                                  .bytes = (char *)(uintptr_t)bytes.p,
                                  .len = bytes.n};
    struct err why;
    live_fail(s, recording_writer_add(s->live.recorder, &item, &why), &why);
    buf_free(&url);
    buf_free(&text);
    buf_free(&escaped);
}
