#include "simulate/server.h"

#include "io/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { FLUSH_LIMIT_S = 20, CATCH_UP_MS = 500 };

enum phase { RUNNING, FINISHING, FLUSHING, DONE };

struct simulate {
    struct simulate_options options;
    struct sim_server *server;
    struct sim_market markets[SIM_VENUES_MAX];
    bool played[SIM_VENUES_MAX];    /* served from recordings */
    int64_t credit[SIM_VENUES_MAX]; /* trades that are due, in 1/10^9 */
    int market_count, generated_count;
    struct sim_faults faults;
    struct sim_playback *playback;
    struct sim_client *clients;
    enum phase phase;
    int64_t started_ns, ticked_ns, flush_until_ns;
    int64_t trades, quotes, connections;
    struct {
        int market, symbol;
        int64_t id;
    } last_sent; /* a duplicate goes out right behind itself */
    uint64_t random;
    struct {
        int64_t requests, refused, used, hour; /* used: of the allowance in that hour */
        uint64_t random;
    } rest;
    struct buf frame;
    atomic_bool stopping;
};

static void tell(struct simulate *s, int market, const char *what, const char *detail)
{
    if (s->options.notice)
        s->options.notice(s->options.ctx, s->markets[market].venue->name, what, detail);
}

/* --- what the server asks --- */

int sim_market_by_path(struct simulate *s, struct str path, struct str *ret_rest)
{
    if (path.n == 0 || path.p[0] != '/') return -1;
    struct str rest = {path.p + 1, path.n - 1};
    struct str name = rest;
    const char *slash = memchr(rest.p, '/', rest.n);
    if (slash) name.n = (size_t)(slash - rest.p);
    for (int i = 0; i < s->market_count; i++) {
        if (!str_is(name, s->markets[i].venue->name)) continue;
        *ret_rest = (struct str){rest.p + name.n, rest.n - name.n};
        return i;
    }
    return -1;
}

const struct sim_market *sim_market_at(const struct simulate *s, int index)
{
    return &s->markets[index];
}
/* An error as the venue words it, or as some machine before it does. */
static void refuse(struct sim_rest *out, int status, int retry_after_s, const char *words)
{
    out->status = status;
    out->retry_after_s = retry_after_s;
    out->type = "text/plain";
    buf_add_cstr(out->body, words);
}

/* Of Tiingo: the token, and how many requests an hour. Errors are plain text, the allowance's even with status 200. */
static bool lets_in(struct simulate *s, const struct sim_request *r, struct sim_rest *out)
{
    struct str token = r->authorization;
    bool good = str_starts(token, "Token ") && token.n > 6;
    if (good && s->options.token) {
        token = (struct str){token.p + 6, token.n - 6};
        good = str_is(token, s->options.token);
    }
    if (!good) {
        refuse(out, 401, 0, "{\"detail\":\"Invalid token.\"}");
        return false;
    }
    int64_t hour = clock_wall_ns() / NS_PER_HOUR;
    if (hour != s->rest.hour) s->rest.used = 0;
    s->rest.hour = hour;
    if (!s->options.allowance || s->rest.used++ < s->options.allowance) return true;
    refuse(out, 200, 0,
           "Error: You have run over your hourly request allocation. Please upgrade at tiingo.com");
    return false;
}

static bool maybe_fails(struct simulate *s, struct sim_rest *out)
{
    if (sim_one_in(&s->rest.random, s->options.faults.rest_429))
        refuse(out, 429, 1, "{\"code\":-1003,\"msg\":\"Too many requests\"}");
    else if (sim_one_in(&s->rest.random, s->options.faults.rest_5xx))
        refuse(out, 503, 0, "<html>Service Unavailable</html>");
    else
        return false;
    s->rest.refused++;
    return true;
}

void sim_rest_answer(struct simulate *s, int market, const struct sim_request *r,
                     struct sim_rest *out)
{
    const struct sim_market *m = &s->markets[market];
    s->rest.requests++;
    if (maybe_fails(s, out)) return;
    if (m->venue == &sim_tiingo && !lets_in(s, r, out)) return;
    bool archive = str_starts(r->path, "/archive/");
    if (archive && sim_archive(m, r, s->options.faults.bad_checksum, out)) return;
    if (!archive && m->venue->history && m->venue->history(m, r, out)) return;
    if (!archive && m->venue->rest(m, r->whole, out->body)) return;
    refuse(out, 404, 0, "{\"message\":\"not found\"}");
}

void sim_reply(struct sim_client *c, struct str frame) { server_send(c, frame); }

void sim_client_opened(struct simulate *s, struct sim_client *c)
{
    c->next = s->clients;
    s->clients = c;
    c->heartbeat_ns = clock_mono_ns();
    s->connections++;
    c->closing = s->phase >= FLUSHING;
    tell(s, c->market, "connected", "");
    void (*hello)(struct sim_client *) = s->markets[c->market].venue->hello;
    if (hello) hello(c);
}

void sim_client_closed(struct simulate *s, struct sim_client *c)
{
    for (struct sim_client **p = &s->clients; *p; p = &(*p)->next) {
        if (*p != c) continue;
        *p = c->next;
        break;
    }
    tell(s, c->market, "disconnected", "");
}

bool sim_subscribe(struct sim_client *c, struct str venue_symbol, enum stream stream, bool wanted)
{
    struct sim_market *m = &c->sim->markets[c->market];
    uint8_t bit = stream == STREAM_QUOTE ? WANT_QUOTES : WANT_TRADES;
    bool all = str_is(venue_symbol, "*");
    int only = all ? -1 : market_find(m, venue_symbol);
    c->subscribed = true;
    if (!c->subscribed_ns) c->subscribed_ns = clock_mono_ns();
    if (!all && only < 0)
        return c->sim->played[c->market]; /* recorded symbols are not in the market */
    for (int i = all ? 0 : only; i < (all ? m->count : only + 1); i++) {
        c->wants[i] = wanted ? (uint8_t)(c->wants[i] | bit) : (uint8_t)(c->wants[i] & ~bit);
        if (wanted && bit == WANT_TRADES) m->symbols[i].wanted = true;
    }
    return true;
}

/* --- sending --- */

static struct sim_client *any_client(struct simulate *s, int market)
{
    for (struct sim_client *c = s->clients; c; c = c->next)
        if (c->market == market && !c->closing && !c->silent) return c;
    return NULL;
}

static void maybe_break(struct simulate *s, int market)
{
    struct sim_client *c = any_client(s, market);
    if (!c || s->phase != RUNNING) return;
    if (sim_one_in(&s->random, s->options.faults.disconnect)) {
        s->faults.disconnects++;
        tell(s, market, "fault", "disconnect");
        server_finish(c);
    } else if (sim_one_in(&s->random, s->options.faults.silence)) {
        s->faults.silences++;
        tell(s, market, "fault", "silence");
        c->silent = true;
    } else if (sim_one_in(&s->random, s->options.faults.garbage)) {
        server_send(c, str_of(faults_garbage(&s->faults)));
    }
}

static void send_trade(void *ctx, int market, const struct sim_trade *t)
{
    struct simulate *s = ctx;
    struct sim_market *m = &s->markets[market];
    bool sent = false;
    for (struct sim_client *c = s->clients; c; c = c->next) {
        if (c->market != market || c->closing || c->silent || !(c->wants[t->symbol] & WANT_TRADES))
            continue;
        buf_reset(&s->frame);
        m->venue->trade(&m->symbols[t->symbol], t, c->combined, &s->frame);
        server_send(c, buf_str(&s->frame));
        sent = true;
    }
    bool again = s->last_sent.market == market && s->last_sent.symbol == t->symbol &&
                 s->last_sent.id == t->id;
    if (!sent || again) return;
    market_sent(m, t);
    s->last_sent.market = market;
    s->last_sent.symbol = t->symbol;
    s->last_sent.id = t->id;
}

static void send_quote(struct simulate *s, int market, int symbol)
{
    struct sim_market *m = &s->markets[market];
    struct quote q = market_quote(m, symbol, clock_wall_ns());
    for (struct sim_client *c = s->clients; c; c = c->next) {
        if (c->market != market || c->closing || c->silent || !(c->wants[symbol] & WANT_QUOTES))
            continue;
        buf_reset(&s->frame);
        m->venue->quote_frame(&m->symbols[symbol], &q, c->combined, &s->frame);
        server_send(c, buf_str(&s->frame));
    }
    s->quotes++;
}

static void send_recorded(void *ctx, const char *venue, struct str frame)
{
    struct simulate *s = ctx;
    for (struct sim_client *c = s->clients; c; c = c->next)
        if (c->subscribed && strcmp(s->markets[c->market].venue->name, venue) == 0)
            server_send(c, frame);
}

/* --- the clock's work --- */

static int wanted_symbol(struct simulate *s, struct sim_market *m)
{
    int start = (int)(sim_random(&s->random) % (uint64_t)m->count);
    for (int i = 0; i < m->count; i++)
        if (m->symbols[(start + i) % m->count].wanted) return (start + i) % m->count;
    return -1;
}

static void trade_once(struct simulate *s, int market, int symbol, bool clean)
{
    struct sim_market *m = &s->markets[market];
    int64_t now = clock_wall_ns();
    struct sim_trade t = market_trade(m, symbol, now);
    struct sim_truth *truth = &m->symbols[symbol].truth;
    s->trades++;
    /* The first trade of a symbol goes out unharmed: it is the floor from which holes can be told. */
    if (clean || truth->generated == 1) {
        send_trade(s, market, &t);
    } else if (m->venue->ids && sim_one_in(&s->random, s->options.faults.missing)) {
        truth->held_back++;
        s->faults.missing++;
    } else {
        faults_pass(&s->faults, market, m->venue->ids, &t, now, send_trade, s);
    }
    for (int q = 0; q < s->options.quotes_per_trade && !clean; q++) send_quote(s, market, symbol);
    maybe_break(s, market);
}

static bool queues_high(const struct simulate *s)
{
    for (const struct sim_client *c = s->clients; c; c = c->next)
        if (c->queue.len - c->queue_at > SIM_QUEUE_HIGH) return true;
    return false;
}

static void generate(struct simulate *s, int64_t elapsed_ns)
{
    if (s->generated_count == 0 || queues_high(s)) return;
    int64_t limit = CATCH_UP_MS * NS_PER_MS;
    if (elapsed_ns > limit) elapsed_ns = limit;
    for (int i = 0; i < s->market_count; i++) {
        if (s->played[i] || wanted_symbol(s, &s->markets[i]) < 0) continue;
        s->credit[i] += elapsed_ns * s->options.rate / s->generated_count;
        for (; s->credit[i] >= NS_PER_S; s->credit[i] -= NS_PER_S) {
            if (s->options.trades && s->trades >= s->options.trades) return;
            trade_once(s, i, wanted_symbol(s, &s->markets[i]), false);
        }
    }
}

static void keep_alive(struct simulate *s, int64_t now_ns)
{
    for (struct sim_client *c = s->clients; c; c = c->next) {
        const struct sim_venue *v = s->markets[c->market].venue;
        if (v->heartbeat_ms && c->subscribed &&
            now_ns - c->heartbeat_ns > v->heartbeat_ms * NS_PER_MS) {
            buf_reset(&s->frame);
            v->heartbeat(clock_wall_ns(), &s->frame);
            server_send(c, buf_str(&s->frame));
            c->heartbeat_ns = now_ns;
        }
        int64_t at = s->options.faults.disconnect_at_ms;
        if (at && c->subscribed_ns && now_ns - c->subscribed_ns > at * NS_PER_MS &&
            s->faults.disconnects < s->market_count && !c->closing && s->phase == RUNNING) {
            s->faults.disconnects++;
            c->subscribed_ns = INT64_MAX; /* once */
            tell(s, c->market, "fault", "disconnect");
            server_finish(c);
        }
    }
}

/* The end: what is held back goes out, and one clean trade of each symbol closes every hole behind it. */
static bool finish(struct simulate *s)
{
    for (int i = 0; i < s->market_count; i++) {
        struct sim_market *m = &s->markets[i];
        for (int k = 0; k < m->count && !s->played[i]; k++)
            if (m->symbols[k].wanted && !any_client(s, i) && clock_mono_ns() < s->flush_until_ns)
                return false; /* its client is just reconnecting */
    }
    faults_release(&s->faults, 0, true, send_trade, s);
    for (int i = 0; i < s->market_count; i++)
        for (int k = 0; k < s->markets[i].count && !s->played[i]; k++)
            if (s->markets[i].symbols[k].wanted) trade_once(s, i, k, true);
    return true;
}

static bool is_over(const struct simulate *s, int64_t now_ns, bool playing)
{
    const struct simulate_options *o = &s->options;
    if (atomic_load(&((struct simulate *)(uintptr_t)s)->stopping)) return true;
    if (!s->started_ns) return false;
    if (o->seconds && now_ns - s->started_ns >= o->seconds * NS_PER_S) return true;
    if (o->trades && s->trades >= o->trades && !playing) return true;
    return s->playback && !playing && s->generated_count == 0;
}

void sim_tick(struct simulate *s)
{
    int64_t now = clock_mono_ns(), elapsed = s->ticked_ns ? now - s->ticked_ns : 0;
    bool playing = s->playback != NULL;
    s->ticked_ns = now;
    for (struct sim_client *c = s->clients; c && !s->started_ns; c = c->next)
        if (c->subscribed) s->started_ns = now;
    keep_alive(s, now);
    if (s->phase == RUNNING && s->started_ns) {
        generate(s, elapsed);
        faults_release(&s->faults, clock_wall_ns(), false, send_trade, s);
        if (s->playback) playing = playback_step(s->playback, now, send_recorded, s);
    }
    if (s->phase == RUNNING && is_over(s, now, playing)) {
        s->phase = FINISHING;
        s->flush_until_ns = now + FLUSH_LIMIT_S * NS_PER_S;
    }
    if (s->phase == FINISHING && finish(s)) {
        s->phase = FLUSHING;
        for (struct sim_client *c = s->clients; c; c = c->next) server_finish(c);
    }
    bool flushed = true;
    for (struct sim_client *c = s->clients; c; c = c->next) flushed = flushed && server_flushed(c);
    if (s->phase == FLUSHING && ((flushed && !s->clients) || now > s->flush_until_ns))
        s->phase = DONE;
}

/* --- public --- */

static enum err_code not_simulated(const char *name, struct err *e)
{
    char known[256] = "";
    size_t n = 0;
    for (size_t i = 0; sim_venue_all[i] && n < sizeof known; i++)
        n += (size_t)snprintf(known + n, sizeof known - n, "%s%s", i ? ", " : "",
                              sim_venue_all[i]->name);
    return ERR(e, ERR_USAGE, "--venues: \"%s\" is not simulated; expected any of %s", name, known);
}

static void add_market(struct simulate *s, const struct sim_venue *v)
{
    CHECK(s->market_count < SIM_VENUES_MAX);
    int i = s->market_count++;
    market_init(&s->markets[i], v, s->options.symbols, s->options.seed * 31 + (uint64_t)i);
    if (s->options.past)
        market_past(&s->markets[i], s->options.past, s->options.past_from_ns,
                    s->options.past_to_ns);
    s->played[i] = playback_has(s->playback, v->name);
    s->generated_count += !s->played[i];
}

/* Those asked for, else every one there is. */
static enum err_code add_markets(struct simulate *s, struct err *e)
{
    const struct simulate_options *o = &s->options;
    if (!o->venues)
        for (size_t i = 0; sim_venue_all[i]; i++) add_market(s, sim_venue_all[i]);
    for (size_t i = 0; o->venues && i < o->venue_count; i++) {
        const struct sim_venue *v = sim_venue_by_name(str_of(o->venues[i]));
        if (!v) return not_simulated(o->venues[i], e);
        if (s->market_count == SIM_VENUES_MAX)
            return ERR(e, ERR_USAGE, "--venues: at most %d at a time", SIM_VENUES_MAX);
        add_market(s, v);
    }
    return ERR_OK;
}

enum err_code simulate_open(const struct simulate_options *o, struct simulate **ret, struct err *e)
{
    struct simulate *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->options = *o;
    s->random = o->seed * 7 + 1;
    s->rest.random = o->seed * 13 + 1;
    s->last_sent.market = -1;
    buf_init(&s->frame, 1 << 20);
    faults_init(&s->faults, &o->faults, o->seed);
    enum err_code code = o->recording_count ? playback_open(o, &s->playback, e) : ERR_OK;
    if (code == ERR_OK) code = add_markets(s, e);
    if (code == ERR_OK) code = server_open(s, o->bind, o->port, &s->server, e);
    if (code != ERR_OK) {
        simulate_close(s);
        return code;
    }
    *ret = s;
    return ERR_OK;
}

int simulate_port(const struct simulate *s) { return server_port(s->server); }

enum err_code simulate_run(struct simulate *s, struct err *e)
{
    (void)e;
    while (s->phase != DONE) server_service(s->server);
    return ERR_OK;
}

void simulate_stop(struct simulate *s)
{
    atomic_store(&s->stopping, true);
    server_wake(s->server);
}

static void report_symbol(const struct sim_market *m, const struct sim_symbol *y, struct buf *json)
{
    char hex[33], all[33];
    hash_hex(y->truth.sent_sum, hex);
    hash_hex(y->truth.all_sum, all);
    buf_addf(
        json,
        "{\"venue\":\"%s\",\"symbol\":\"%s\",\"stream\":\"%s\",\"ids\":%s,\"generated\":%lld,"
        "\"sent\":%lld,"
        "\"held_back\":%lld,\"first_id\":%lld,\"last_id\":%lld,\"sent_sum\":\"%s\",\"past\":%lld,"
        "\"all_sum\":\"%s\"}",
        m->venue->name, y->symbol, stream_text(m->venue->tape), m->venue->ids ? "true" : "false",
        (long long)y->truth.generated, (long long)y->truth.sent, (long long)y->truth.held_back,
        (long long)y->truth.first_id, (long long)y->truth.last_id, hex, (long long)y->truth.past,
        all);
}

void simulate_report(const struct simulate *s, struct buf *json)
{
    bool first = true;
    buf_add_cstr(json, "{\"series\":[");
    for (int i = 0; i < s->market_count; i++) {
        for (int k = 0; k < s->markets[i].count; k++) {
            const struct sim_truth *truth = &s->markets[i].symbols[k].truth;
            if (!truth->generated && !truth->past) continue;
            buf_add_cstr(json, first ? "" : ",\n");
            report_symbol(&s->markets[i], &s->markets[i].symbols[k], json);
            first = false;
        }
    }
    buf_add_cstr(json, "],\n\"recorded\":[");
    playback_report(s->playback, json);
    buf_addf(
        json,
        "],\n\"trades\":%lld,\"quotes\":%lld,\"connections\":%lld,\"requests\":%lld,"
        "\"requests_refused\":%lld,\"faults\":{\"duplicate\":%lld,"
        "\"missing\":%lld,"
        "\"reorder\":%lld,\"late\":%lld,\"garbage\":%lld,\"disconnect\":%lld,\"silence\":%lld}}\n",
        (long long)s->trades, (long long)s->quotes, (long long)s->connections,
        (long long)s->rest.requests, (long long)s->rest.refused, (long long)s->faults.duplicates,
        (long long)s->faults.missing, (long long)s->faults.reordered, (long long)s->faults.late,
        (long long)s->faults.garbage, (long long)s->faults.disconnects,
        (long long)s->faults.silences);
}

struct simulate *simulate_close(struct simulate *s)
{
    if (!s) return NULL;
    server_close(s->server);
    playback_close(s->playback);
    for (int i = 0; i < s->market_count; i++) market_done(&s->markets[i]);
    faults_done(&s->faults);
    buf_free(&s->frame);
    free(s);
    return NULL;
}
