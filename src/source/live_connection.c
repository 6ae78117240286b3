/* A connection and its two legs: made, watched, replaced before its end, made again for ever. */
#include "source/live_internal.h"

#include "io/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OVERLAP_MS = 2000, /* both legs are heard for so long */
    EARLY_PARTS = 100, /* a leg is replaced a hundredth of its lifetime before its end */
    STEADY_MS = 30000, /* a connection that lasted so long begins its backoff anew */
    REFUSED_FIRST_MS = 60000,
    REFUSED_CAP_MS = 3600000,
    PATIENCE_MAX_MS = 3600000,
    PATIENCE_KEPT_MS = 3600000, /* a suspicion is remembered for so long */
    MINUTE_MS = 60000,
};

struct live_connection *live_connection_new(struct live_venue *v)
{
    struct source_live *s = v->live;
    struct live_connection *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    v->connections =
        realloc(v->connections, (v->connection_count + 1) * sizeof(struct live_connection *));
    CHECK(v->connections != NULL);
    c->venue = v;
    c->index = v->connection_count;
    v->connections[v->connection_count++] = c;
    c->received_ns = TIME_ABSENT;
    c->down_ns = s->last_received_ns;
    c->down_cause = "start";
    c->patience_ms = v->venue->silence_ms;
    uint64_t seed = (uint64_t)clock_wall_ns() + c->index;
    struct retry_policy policy = {s->live.reconnect_min_ms, s->live.reconnect_max_ms, 1};
    retry_init(&c->retry, &policy, seed);
    struct retry_policy refused = {REFUSED_FIRST_MS, REFUSED_CAP_MS, 0};
    retry_init(&c->refused_retry, &refused, seed);
    for (int i = 0; i < LIVE_LEGS; i++) {
        struct live_leg *g = &c->legs[i];
        g->connection = c;
        snprintf(g->name, sizeof g->name, "%s/%u%s", v->venue->name, c->index, i ? "+" : "");
        g->core = core_connection_new(s->core, v->venue, str_of(g->name));
    }
    return c;
}

void live_connection_free(struct live_connection *c)
{
    for (uint32_t i = 0; i < c->sub_count; i++)
        free((char *)(uintptr_t)c->subs[i].sub.venue_symbol.p);
    free(c->subs);
    free(c);
}

static struct live_leg *other_of(struct live_leg *g)
{
    struct live_connection *c = g->connection;
    return &c->legs[g == &c->legs[0] ? 1 : 0];
}
static bool is_current(const struct live_leg *g)
{
    return g == &g->connection->legs[g->connection->current];
}

/* ---- What the socket tells ---- */

static void on_open(void *ctx, struct ws *w)
{
    struct live_leg *g = ctx;
    struct live_connection *c = g->connection;
    struct source_live *s = c->venue->live;
    int64_t now_ns = clock_mono_ns();
    (void)w;
    g->state = LEG_OPEN;
    if (c->legs[c->current].state == LEG_IDLE) c->current = (int)(g - c->legs);
    g->opened_ns = g->frame_ns = g->alive_ns = g->ping_ns = g->send_ns = now_ns;
    g->keep_alive_ns = now_ns + c->venue->venue->keep_alive_ms * NS_PER_MS;
    g->ready = g->renew = g->suspected = g->waiting = false;
    g->range_count = 0;
    core_connected(s->core, g->core);
    __atomic_fetch_add(&core_counters(s->core)->connects, 1, __ATOMIC_RELAXED);
    live_record(g, RECORDING_CONNECT, STR(""), clock_wall_ns());
    live_notice(c->venue, "connected", "%s", g->name);
    live_leg_subscribe(g, 0, c->sub_count);
    live_leg_step(g, now_ns);
}

static void refuse(struct live_leg *g, const char *why)
{
    struct live_connection *c = g->connection;
    int32_t pause_ms = retry_next_ms(&c->refused_retry);
    c->try_ns = clock_mono_ns() + pause_ms * NS_PER_MS;
    live_notice(c->venue, "refused", "%s: %s; again in %d s", g->name, why, pause_ms / 1000);
}

static void went_down(struct live_connection *c, const char *cause)
{
    if (c->down_ns != TIME_ABSENT || c->received_ns == TIME_ABSENT) return;
    c->down_ns = c->received_ns;
    c->down_cause = cause;
}

/* Told at once, without an end: where the program ends meanwhile, the next run still knows when it began. Again when
 * there are more subscriptions than at the last telling. */
static void tell_down(struct live_connection *c)
{
    if (c->down_ns == TIME_ABSENT || c->told_subs == c->sub_count) return;
    live_outage(c, TIME_ABSENT);
    c->told_subs = c->sub_count;
}

static void on_close(void *ctx, struct ws *w, const struct ws_closed *end)
{
    struct live_leg *g = ctx;
    struct live_connection *c = g->connection;
    int64_t now_ns = clock_mono_ns();
    bool was_open = g->state == LEG_OPEN, current = is_current(g);
    (void)w;
    g->state = LEG_IDLE;
    g->ws = NULL;
    g->no_deflate = g->no_deflate || end->deflate_failed;
    if (was_open) live_record(g, RECORDING_CLOSED, str_of(end->reason), clock_wall_ns());
    if (!current && was_open && c->legs[c->current].state == LEG_OPEN) return; /* it was replaced */
    bool refused =
        end->status == 401 || end->status == 403 || end->status == 418 || end->status == 429;
    if (refused) {
        refuse(g, end->reason);
    } else if (now_ns >= c->try_ns) {
        int32_t pause_ms = retry_next_ms(&c->retry);
        c->try_ns = now_ns + pause_ms * NS_PER_MS;
        live_notice(c->venue, was_open ? "disconnected" : "no connection", "%s: %s; again in %d ms",
                    g->name, end->reason, pause_ms);
    } else {
        live_notice(c->venue, was_open ? "disconnected" : "no connection", "%s: %s", g->name,
                    end->reason);
    }
    if (!was_open) c->attempt++;
    if (!current) return;
    went_down(c, "disconnect");
    if (other_of(g)->state == LEG_OPEN) c->current = 1 - c->current;
    tell_down(c);
}

static void on_pong(void *ctx, struct ws *w)
{
    (void)w;
    ((struct live_leg *)ctx)->alive_ns = clock_mono_ns();
}

static void too_big(struct live_leg *g, const struct core_input *in, size_t whole_len)
{
    struct source_live *s = g->connection->venue->live;
    char detail[96];
    struct err why;
    snprintf(detail, sizeof detail, "a frame of %zu bytes, at most %d are taken", whole_len,
             VENUE_FRAME_MAX);
    const struct core_dead d = {.reason = DEAD_TOO_BIG, .stream = -1, .detail = detail};
    live_fail(s, core_dead(s->core, in, &d, &why), &why);
}

static void heard(struct live_leg *g, int64_t received_ns)
{
    struct live_connection *c = g->connection;
    g->frame_ns = g->alive_ns = clock_mono_ns();
    if (g->suspected) { /* it was only quiet */
        g->suspected = false;
        bool only_quiet = strcmp(c->down_cause, "silence") == 0 && c->told_subs == 0;
        if (is_current(g) && only_quiet) c->down_ns = TIME_ABSENT;
    }
    if (c->down_ns != TIME_ABSENT && g->ready && is_current(g)) {
        live_outage(c, received_ns);
        c->told_subs = 0;
    }
    c->received_ns = received_ns;
}

static void on_frame(void *ctx, struct ws *w, const char *bytes, size_t len, size_t whole_len,
                     int64_t received_ns)
{
    struct live_leg *g = ctx;
    struct live_venue *v = g->connection->venue;
    struct source_live *s = v->live;
    (void)w;
    if (s->code != ERR_OK) return;
    live_record(g, RECORDING_FRAME, (struct str){bytes, len}, received_ns);
    heard(g, received_ns);
    g->bytes += (int64_t)whole_len;
    struct core_input in = {.connection = g->core,
                            .bytes = bytes,
                            .len = len,
                            .received_ns = received_ns,
                            .position = g->bytes,
                            .origin = s->options.origin,
                            .no_quotes = !is_current(g)};
    s->pending = true;
    if (whole_len > len) {
        too_big(g, &in, whole_len);
        return;
    }
    struct core_result r;
    struct err why;
    enum err_code code = core_frame(s->core, &in, &r, &why);
    live_fail(s, code, &why);
    if (code != ERR_OK) return;
    if (r.reply.n) live_leg_send(g, r.reply);
    if (r.class == FRAME_RECONNECT) g->renew = true;
    if (r.class == FRAME_ACK || r.class == FRAME_ERROR) live_leg_answer(g, &r, g->frame_ns);
    if (r.class == FRAME_ERROR && r.error_is_refusal) {
        char text[160];
        snprintf(text, sizeof text, "%.*s", STR_ARG(r.error));
        refuse(g, text);
        ws_close(g->ws, 1000, "refused");
    }
}

/* ---- Making ---- */

/* Within the venue's limit of new connections a minute. */
static bool may_connect(struct live_venue *v, int64_t now_ns)
{
    uint32_t most = (uint32_t)v->venue->connects_per_minute;
    if (most == 0 || most > LIVE_CONNECTS_MAX) most = LIVE_CONNECTS_MAX;
    int64_t *slot = &v->connects[v->connect_at % most];
    if (*slot && now_ns - *slot < MINUTE_MS * NS_PER_MS) return false;
    *slot = now_ns;
    v->connect_at++;
    return true;
}

static void connect_leg(struct live_leg *g, int64_t now_ns)
{
    struct live_connection *c = g->connection;
    struct source_live *s = c->venue->live;
    if (now_ns < c->try_ns || !may_connect(c->venue, now_ns)) return;
    struct ws_options o = {.url = c->venue->ws_url,
                           .connect_timeout_ms = s->live.connect_timeout_ms,
                           .frame_max = VENUE_FRAME_MAX,
                           .no_deflate = g->no_deflate,
                           .attempt = c->attempt,
                           .ctx = g,
                           .on_open = on_open,
                           .on_frame = on_frame,
                           .on_pong = on_pong,
                           .on_close = on_close};
    struct err why;
    enum err_code code = ws_open(s->loop, &o, &g->ws, &why);
    live_fail(s, code, &why);
    if (code == ERR_OK) g->state = LEG_CONNECTING;
}

/* ---- Watching ---- */

static void suspect(struct live_leg *g, int64_t now_ns)
{
    struct live_connection *c = g->connection;
    bool again = c->suspected_ns && now_ns - c->suspected_ns < PATIENCE_KEPT_MS * NS_PER_MS;
    c->patience_ms = again ? c->patience_ms * 2 : c->venue->venue->silence_ms;
    if (c->patience_ms > PATIENCE_MAX_MS) c->patience_ms = PATIENCE_MAX_MS;
    c->suspected_ns = now_ns;
    g->suspected = g->renew = true;
    went_down(c, "silence");
    live_notice(c->venue, "silent",
                "%s: no frame for %lld s, though pings are answered; connecting anew", g->name,
                (long long)((now_ns - g->frame_ns) / NS_PER_S));
}

/* Quiet or dead: a peer that answers our pings lives, but one that sends nothing else for long is replaced. */
static void watch(struct live_leg *g, int64_t now_ns)
{
    struct live_connection *c = g->connection;
    int64_t silence_ns = c->venue->venue->silence_ms * NS_PER_MS;
    struct err ignored;
    if (silence_ns == 0) return;
    if (now_ns - g->alive_ns > silence_ns) {
        live_notice(c->venue, "dead", "%s: no sign of life for %lld s", g->name,
                    (long long)(silence_ns / NS_PER_S));
        ws_abort(g->ws);
        return;
    }
    if (now_ns - g->alive_ns > silence_ns / 2 && g->ping_ns <= g->alive_ns) {
        g->ping_ns = now_ns;
        if (ws_ping(g->ws, &ignored) != ERR_OK) ws_abort(g->ws);
    }
    if (!g->suspected && g->ready && is_current(g) &&
        now_ns - g->frame_ns > c->patience_ms * NS_PER_MS)
        suspect(g, now_ns);
}

static bool is_old(const struct live_leg *g, int64_t now_ns)
{
    int64_t life_ns = g->connection->venue->venue->lifetime_ms * NS_PER_MS;
    return life_ns > 0 && now_ns - g->opened_ns > life_ns - life_ns / EARLY_PARTS;
}

static void replace(struct live_connection *c, int64_t now_ns)
{
    struct live_leg *old = &c->legs[c->current], *new = other_of(old);
    if (new->state == LEG_IDLE && (old->renew || is_old(old, now_ns))) connect_leg(new, now_ns);
    if (new->state != LEG_OPEN || !new->ready || !(old->renew || is_old(old, now_ns))) return;
    if (now_ns - new->ready_ns < OVERLAP_MS * NS_PER_MS && !old->suspected) return;
    c->current = 1 - c->current;
    live_notice(c->venue, "replaced", "%s by %s", old->name, new->name);
    ws_close(old->ws, 1000, "replaced");
}

void live_connection_step(struct live_connection *c, int64_t now_ns)
{
    struct live_leg *g = &c->legs[c->current];
    if (strcmp(c->down_cause, "start") == 0) tell_down(c); /* down since before this run */
    /* While the successor is on its way it is the one to wait for: two sockets for good would double each quote. */
    if (g->state == LEG_IDLE && other_of(g)->state == LEG_IDLE) connect_leg(g, now_ns);
    g = &c->legs[c->current];
    for (int i = 0; i < LIVE_LEGS; i++) {
        struct live_leg *one = &c->legs[i];
        if (one->state != LEG_OPEN) continue;
        live_leg_step(one, now_ns);
        if (one->state == LEG_OPEN) watch(one, now_ns);
    }
    if (g->state == LEG_OPEN) replace(c, now_ns);
    if (g->ready && g->state == LEG_OPEN && now_ns - g->opened_ns > STEADY_MS * NS_PER_MS) {
        retry_reset(&c->retry);
        retry_reset(&c->refused_retry);
    }
}
