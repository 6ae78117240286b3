/* One socket's own frames: subscriptions in the venue's portions and pace, their answers, keep-alives.
 *
 * A portion's answer is waited for before the next one goes. Where it is refused as a whole, the symbol that the venue
 * names is left out and the rest sent again; where it names none, the halves are tried: so one bad symbol costs nobody else.
 */
#include "source/live_internal.h"

#include "io/clock.h"

#include <stdlib.h>
#include <strings.h>

enum {
    ANSWER_MS = 2000,      /* no answer for so long: taken for granted */
    CONFIRM_MS = 300,      /* behind an error: whether the rest of the portion is confirmed */
    AFTER_ERROR_MS = 1000, /* pause before the next portion */
    FRAME_BYTES_MAX = 4 << 20,
};

void live_leg_subscribe(struct live_leg *g, uint32_t from, uint32_t to)
{
    if (from >= to) return;
    if (g->range_count == LIVE_RANGES_MAX) { /* never met by halving: one range grows instead */
        g->ranges[0].to = to;
        return;
    }
    g->ranges[g->range_count++] = (struct live_range){from, to};
    g->ready = false;
}

void live_leg_send(struct live_leg *g, struct str text)
{
    struct err ignored;
    live_record(g, RECORDING_SENT, text, clock_wall_ns());
    if (ws_send(g->ws, text, &ignored) != ERR_OK)
        ws_abort(g->ws); /* on_close tells and reconnects */
}

/* The next portion of range *r into `frame`; *r is what is left of it, g->batch what went. */
static void encode(struct live_leg *g, struct live_range *r, struct buf *frame)
{
    struct live_connection *c = g->connection;
    const struct venue *v = c->venue->venue;
    uint32_t most = r->to - r->from, count = 0, at = r->from;
    if (v->subscriptions_per_frame > 0 && most > (uint32_t)v->subscriptions_per_frame)
        most = (uint32_t)v->subscriptions_per_frame;
    struct subscription *wanted = malloc(most * sizeof *wanted);
    uint32_t *places = malloc(most * sizeof *places);
    CHECK(wanted != NULL && places != NULL);
    for (; at < r->to && count < most; at++) {
        if (c->subs[at].bad) continue;
        places[count] = at;
        wanted[count++] = c->subs[at].sub;
    }
    g->batch = (struct live_range){r->from, at};
    if (count > 0) {
        size_t n =
            v->encode_subscribe(wanted, count, ++g->request_id, str_of(c->venue->token), frame);
        CHECK(n >= 1 && n <= count);
        if (n < count) g->batch.to = places[n];
    }
    r->from = g->batch.to;
    free(wanted);
    free(places);
}

static void subscribe_next(struct live_leg *g, int64_t now_ns)
{
    struct live_range *r = &g->ranges[g->range_count - 1];
    struct buf frame;
    buf_init(&frame, FRAME_BYTES_MAX);
    encode(g, r, &frame);
    if (r->from >= r->to) g->range_count--;
    CHECK(!frame.failed);
    if (frame.len > 0) {
        live_leg_send(g, buf_str(&frame));
        g->waiting = true;
        g->acked = g->failed = g->named = false;
        g->answer_ns = now_ns + ANSWER_MS * NS_PER_MS;
        g->send_ns = now_ns + g->connection->venue->venue->subscribe_interval_ms * NS_PER_MS;
    }
    buf_free(&frame);
}

static bool same_symbol(struct str a, struct str b)
{
    return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

/* Marks what the venue named; true where that was news. */
static bool mark_bad(struct live_leg *g, struct str symbol)
{
    struct live_connection *c = g->connection;
    bool news = false;
    for (uint32_t i = 0; i < c->sub_count; i++) {
        struct live_sub *s = &c->subs[i];
        if (s->bad || !same_symbol(s->sub.venue_symbol, symbol)) continue;
        s->bad = news = true;
    }
    if (news)
        live_notice(c->venue, "symbol refused", "%s: %.*s; the others go on", g->name,
                    STR_ARG(symbol));
    return news;
}

void live_leg_answer(struct live_leg *g, const struct core_result *r, int64_t now_ns)
{
    if (r->class == FRAME_ACK) {
        g->acked = true;
        if (!g->failed) g->waiting = false;
        live_leg_settle(g, now_ns);
        return;
    }
    bool named = r->error_symbol.n && mark_bad(g, r->error_symbol);
    if (!g->waiting) return;
    g->failed = true;
    g->named = g->named || named;
    g->answer_ns = now_ns + CONFIRM_MS * NS_PER_MS;
}

static void try_parts(struct live_leg *g)
{
    struct live_connection *c = g->connection;
    struct live_range b = g->batch;
    if (g->named) {
        live_leg_subscribe(g, b.from, b.to);
        return;
    }
    uint32_t good = 0, last = b.from;
    for (uint32_t i = b.from; i < b.to; i++)
        if (!c->subs[i].bad) last = i, good++;
    if (good == 1) {
        mark_bad(g, c->subs[last].sub.venue_symbol);
        return;
    }
    uint32_t middle = b.from + (b.to - b.from) / 2;
    live_leg_subscribe(g, middle, b.to);
    live_leg_subscribe(g, b.from, middle);
}

static void check_answer(struct live_leg *g, int64_t now_ns)
{
    if (!g->waiting || now_ns < g->answer_ns) return;
    g->waiting = false;
    if (!g->failed || g->acked) return;
    g->send_ns = now_ns + AFTER_ERROR_MS * NS_PER_MS;
    try_parts(g);
}

static void keep_alive(struct live_leg *g, int64_t now_ns)
{
    const struct venue *v = g->connection->venue->venue;
    if (v->keep_alive_ms == 0 || now_ns < g->keep_alive_ns) return;
    g->keep_alive_ns = now_ns + v->keep_alive_ms * NS_PER_MS;
    struct err ignored;
    if (v->keep_alive == KEEP_ALIVE_PING_FRAME && ws_ping(g->ws, &ignored) != ERR_OK)
        ws_abort(g->ws);
    if (v->keep_alive != KEEP_ALIVE_TEXT || !v->encode_keep_alive) return;
    struct buf frame;
    buf_init(&frame, FRAME_BYTES_MAX);
    v->encode_keep_alive(++g->request_id, &frame);
    live_leg_send(g, buf_str(&frame));
    buf_free(&frame);
}

void live_leg_settle(struct live_leg *g, int64_t now_ns)
{
    if (g->range_count > 0 || g->waiting || g->ready) return;
    g->ready = true;
    g->ready_ns = now_ns;
    live_notice(g->connection->venue, "subscribed", "%s: %u subscriptions", g->name,
                g->connection->sub_count);
}

void live_leg_step(struct live_leg *g, int64_t now_ns)
{
    check_answer(g, now_ns);
    if (g->range_count > 0 && !g->waiting && now_ns >= g->send_ns) subscribe_next(g, now_ns);
    live_leg_settle(g, now_ns);
    keep_alive(g, now_ns);
}
