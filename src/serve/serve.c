#include "serve/serve_internal.h"

#include "io/clock.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum { PING_S = 15, NAME_MAX_BYTES = 256 };

/* ---- Who may ask ---- */

/* Takes as long for a wrong token as for the right one. */
static bool same_secret(struct str a, struct str b)
{
    unsigned char differs = a.n != b.n;
    for (size_t i = 0; i < a.n; i++) differs |= (unsigned char)(a.p[i] ^ (b.n ? b.p[i % b.n] : 1));
    return !differs;
}

static bool has_token(const struct serve *s, struct lws *wsi)
{
    char text[1024];
    if (!s->token) return true;
    struct str token = str_of(s->token);
    int n = lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP_AUTHORIZATION);
    if (n > 7 && memcmp(text, "Bearer ", 7) == 0 &&
        same_secret((struct str){text + 7, (size_t)n - 7}, token))
        return true;
    const char *value = lws_get_urlarg_by_name(wsi, "token=", text, sizeof text);
    return value && same_secret(str_of(value), token);
}

/* The whole name, with or without a port: "127.0.0.1.example.com" belongs to somebody else. */
static bool is_loopback(struct str host)
{
    char text[NAME_MAX_BYTES];
    unsigned char bytes[4];
    if (str_is(host, "[::1]") || str_starts(host, "[::1]:")) return true;
    struct str name = str_cut(&host, ':');
    if (str_is(name, "localhost")) return true;
    return str_copy(text, sizeof text, name) && inet_pton(AF_INET, text, bytes) == 1 &&
           bytes[0] == 127;
}

/* A page of another origin that a browser was led to may not read us: on loopback there is no token to stop it, but its
 * requests bear its own host name. */
static bool names_us(const struct serve *s, struct lws *wsi)
{
    char host[NAME_MAX_BYTES];
    if (s->token) return true;
    int n = lws_hdr_copy(wsi, host, sizeof host, WSI_TOKEN_HOST);
    if (n <= 0) return lws_hdr_total_length(wsi, WSI_TOKEN_HOST) == 0;
    return is_loopback((struct str){host, (size_t)n});
}

/* ---- Answers ---- */

static int health(struct lws *wsi, struct serve_client *c,
                  bool (*check)(void *ctx, struct buf *why), void *ctx)
{
    buf_reset(&c->answer);
    bool good = !check || check(ctx, &c->answer);
    if (c->answer.len == 0) buf_add_cstr(&c->answer, good ? "ok" : "not ready");
    buf_add_byte(&c->answer, '\n');
    return serve_send(wsi, c, good ? 200 : 503, "text/plain; charset=utf-8");
}

static int filled(struct lws *wsi, struct serve_client *c, void (*fill)(void *ctx, struct buf *out),
                  void *ctx, const char *type)
{
    if (!fill) return serve_say(wsi, c, 404, "not served\n");
    buf_reset(&c->answer);
    fill(ctx, &c->answer);
    if (c->answer.failed) return serve_say(wsi, c, 500, "the answer is too long\n");
    return serve_send(wsi, c, 200, type);
}

static int start_live(struct lws *wsi, struct serve_client *c)
{
    unsigned char headers[LWS_PRE + 512];
    unsigned char *start = headers + LWS_PRE, *at = start, *end = headers + sizeof headers;
    struct serve *s = c->serve;
    if (atomic_load(&s->listeners) >= SERVE_LISTENERS_MAX)
        return serve_say(wsi, c, 503, "too many listeners\n");
    if (lws_add_http_common_headers(wsi, 200, "text/event-stream", LWS_ILLEGAL_HTTP_CONTENT_LEN,
                                    &at, end) ||
        lws_add_http_header_by_name(wsi, (const unsigned char *)"cache-control:",
                                    (const unsigned char *)"no-store", 8, &at, end) ||
        lws_finalize_write_http_header(wsi, start, &at, end))
        return -1;
    c->headers_sent = true;
    lws_http_mark_sse(wsi);
    pthread_mutex_lock(&s->lock);
    c->live = true;
    buf_add_cstr(&c->events, ": ticklake\n\n");
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_add(&s->listeners, 1);
    lws_set_timer_usecs(wsi, PING_S * LWS_USEC_PER_SEC);
    lws_callback_on_writable(wsi);
    return 0;
}

static int on_request(struct lws *wsi, struct serve_client *c, struct str path)
{
    const struct serve *s = c->serve;
    const struct serve_options *o = &s->options;
    if (lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) <= 0)
        return serve_say(wsi, c, 405, "only GET is answered\n");
    if (!names_us(s, wsi)) return serve_say(wsi, c, 403, "this host name is not served\n");
    if (str_is(path, "/livez")) return health(wsi, c, o->live, o->ctx);
    if (str_is(path, "/readyz")) return health(wsi, c, o->ready, o->ctx);
    int sent = serve_send_file(wsi, c, path);
    if (sent != -2) return sent;
    if (!has_token(s, wsi)) return serve_say(wsi, c, 401, "a token is needed\n");
    if (str_is(path, "/metrics"))
        return filled(wsi, c, o->metrics, o->ctx, "text/plain; version=0.0.4; charset=utf-8");
    if (str_is(path, "/api/v1/status"))
        return filled(wsi, c, o->status, o->ctx, "application/json");
    if (str_is(path, "/live")) return start_live(wsi, c);
    static const char api[] = "/api/v1/";
    if (o->api && str_starts(path, api))
        return serve_ask_api(wsi, c,
                             (struct str){path.p + sizeof api - 1, path.n - sizeof api + 1});
    if (str_is(path, "/"))
        return serve_say(wsi, c, 200, "ticklake: /metrics /livez /readyz /api/v1/status /live\n");
    return serve_say(wsi, c, 404, "no such page\n");
}

/* ---- Writing ---- */

static int write_answer(struct lws *wsi, struct serve_client *c)
{
    unsigned char piece[LWS_PRE + SERVE_PIECE];
    size_t left = c->answer.len - c->answer_at, n = left < SERVE_PIECE ? left : SERVE_PIECE;
    bool last = n == left;
    if (n) memcpy(piece + LWS_PRE, c->answer.data + c->answer_at, n);
    int written = lws_write(wsi, piece + LWS_PRE, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP);
    if (written < (int)n) return -1;
    c->answer_at += n;
    if (!last) {
        lws_callback_on_writable(wsi);
        return 0;
    }
    c->headers_sent = false;
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int write_events(struct lws *wsi, struct serve_client *c)
{
    unsigned char piece[LWS_PRE + SERVE_PIECE];
    struct serve *s = c->serve;
    pthread_mutex_lock(&s->lock);
    size_t n = c->events.len < SERVE_PIECE ? c->events.len : SERVE_PIECE;
    if (n) {
        memcpy(piece + LWS_PRE, c->events.data, n);
        c->events.len -= n;
        memmove(c->events.data, c->events.data + n, c->events.len);
    }
    bool more = c->events.len > 0;
    pthread_mutex_unlock(&s->lock);
    if (n && lws_write(wsi, piece + LWS_PRE, n, LWS_WRITE_HTTP) < (int)n) return -1;
    if (more) lws_callback_on_writable(wsi);
    return 0;
}

/* ---- Clients ---- */

static struct serve_client *new_client(struct serve *s, struct lws *wsi)
{
    struct serve_client *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->serve = s;
    c->wsi = wsi;
    buf_init(&c->answer, SERVE_ANSWER_MAX);
    buf_init(&c->events, SERVE_QUEUE_MAX + 256);
    buf_init(&c->later, SERVE_ANSWER_MAX);
    pthread_mutex_lock(&s->lock);
    c->next = s->clients;
    s->clients = c;
    pthread_mutex_unlock(&s->lock);
    return c;
}

static void free_client(struct serve *s, struct serve_client *c)
{
    pthread_mutex_lock(&s->lock);
    for (struct serve_client **at = &s->clients; *at; at = &(*at)->next) {
        if (*at != c) continue;
        *at = c->next;
        break;
    }
    pthread_mutex_unlock(&s->lock);
    if (c->live) atomic_fetch_sub(&s->listeners, 1);
    buf_free(&c->answer);
    buf_free(&c->events);
    buf_free(&c->later);
    free(c);
}

static void wake_listeners(struct serve *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct serve_client *c = s->clients; c; c = c->next)
        if (c->live && c->events.len > 0) lws_callback_on_writable(c->wsi);
    pthread_mutex_unlock(&s->lock);
}

static int serve_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                          size_t len)
{
    struct serve_client **slot = user;
    struct serve *s = lws_context_user(lws_get_context(wsi));
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        if (!*slot) *slot = new_client(s, wsi);
        return on_request(wsi, *slot, (struct str){in, len});
    case LWS_CALLBACK_HTTP_WRITEABLE:
        if (!slot || !*slot || !(*slot)->headers_sent) return 0;
        return (*slot)->live ? write_events(wsi, *slot) : write_answer(wsi, *slot);
    case LWS_CALLBACK_TIMER:
        if (!slot || !*slot) return 0;
        if (!(*slot)->live) return serve_give_up(wsi, *slot);
        pthread_mutex_lock(&s->lock);
        if ((*slot)->events.len == 0) buf_add_cstr(&(*slot)->events, ": alive\n\n");
        pthread_mutex_unlock(&s->lock);
        lws_set_timer_usecs(wsi, PING_S * LWS_USEC_PER_SEC);
        lws_callback_on_writable(wsi);
        return 0;
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL: /* between two requests of a connection */
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_WSI_DESTROY:
        if (!slot || !*slot) return 0;
        free_client(s, *slot);
        *slot = NULL;
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        wake_listeners(s);
        serve_send_later(s);
        return 0;
    default: return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

/* ---- Any thread ---- */

/* A client that does not keep up loses events, and is told how many. */
static void queue_event(struct serve_client *c, struct str json)
{
    if (c->events.len + json.n + 64 > SERVE_QUEUE_MAX) {
        c->dropped++;
        return;
    }
    if (c->dropped) {
        buf_addf(&c->events, "event: dropped\ndata: {\"dropped\":%llu}\n\n",
                 (unsigned long long)c->dropped);
        c->dropped = 0;
    }
    buf_add_cstr(&c->events, "data: ");
    buf_add_str(&c->events, json);
    buf_add_cstr(&c->events, "\n\n");
}

void serve_publish(struct serve *s, struct str json)
{
    if (!serve_has_listeners(s) || memchr(json.p, '\n', json.n)) return;
    pthread_mutex_lock(&s->lock);
    for (struct serve_client *c = s->clients; c; c = c->next)
        if (c->live) queue_event(c, json);
    pthread_mutex_unlock(&s->lock);
    lws_cancel_service(s->context);
}

bool serve_has_listeners(const struct serve *s)
{
    return atomic_load_explicit(&s->listeners, memory_order_relaxed) > 0;
}

int serve_port(const struct serve *s) { return s->port; }

/* ---- Start and stop ---- */

static enum err_code bad_bind(const char *bind_text, struct err *e)
{
    return ERR(e, ERR_CONFIG, "serve.bind: %s: expected ADDRESS:PORT, for example 127.0.0.1:7070",
               bind_text);
}

static enum err_code parse_bind(struct serve *s, const char *text, struct err *e)
{
    const char *colon = strrchr(text, ':');
    int64_t port;
    if (!colon || str_to_i64(str_of(colon + 1), &port) != ERR_OK || port < 0 || port > 65535)
        return bad_bind(text, e);
    struct str host = {text, (size_t)(colon - text)};
    if (host.n > 2 && host.p[0] == '[') host = (struct str){host.p + 1, host.n - 2};
    if (!str_copy(s->address, sizeof s->address, host)) return bad_bind(text, e);
    if (str_is(host, "localhost")) str_copy(s->address, sizeof s->address, STR("127.0.0.1"));
    unsigned char bytes[16];
    bool v6 = inet_pton(AF_INET6, s->address, bytes) == 1;
    if (!v6 && inet_pton(AF_INET, s->address, bytes) != 1) return bad_bind(text, e);
    static const unsigned char loopback6[16] = {[15] = 1};
    bool loopback = v6 ? memcmp(bytes, loopback6, 16) == 0 : bytes[0] == 127;
    if (!loopback && !s->token)
        return ERR(e, ERR_CONFIG,
                   "serve.bind: %s can be reached from other machines: set serve.token, or bind "
                   "127.0.0.1",
                   text);
    s->port = (int)port;
    return ERR_OK;
}

static void *run(void *arg)
{
    struct serve *s = arg;
    while (!atomic_load(&s->stop)) lws_service(s->context, 0);
    return NULL;
}

static enum err_code listen_on(struct serve *s, struct err *e)
{
    static const struct lws_protocols protocols[] = {
        {.name = "http",
         .callback = serve_callback,
         .per_session_data_size = sizeof(struct serve_client *)},
        {.name = NULL}};
    lws_set_log_level(0, NULL);
    struct lws_context_creation_info i = {
        .port = s->port,
        .iface = s->address,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND,
        .vhost_name = "serve",
        .server_string = "ticklake",
        .keepalive_timeout = 30,
        .pt_serv_buf_size = SERVE_PIECE,
        .user = s,
    };
    s->context = lws_create_context(&i);
    struct lws_vhost *vhost = s->context ? lws_create_vhost(s->context, &i) : NULL;
    if (!vhost)
        return ERR(e, ERR_UNAVAILABLE,
                   "serve.bind: cannot listen on %s port %d: is it taken? choose another "
                   "(serve.bind), or serve.enabled=false",
                   s->address, s->port);
    s->port = lws_get_vhost_listen_port(vhost);
    return ERR_OK;
}

enum err_code serve_start(const struct serve_options *o, struct serve **ret, struct err *e)
{
    struct serve *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->options = *o;
    pthread_mutex_init(&s->lock, NULL);
    if (o->token && o->token[0]) {
        s->token = strdup(o->token);
        CHECK(s->token != NULL);
    }
    enum err_code code = parse_bind(s, o->bind, e);
    if (code == ERR_OK) code = listen_on(s, e);
    if (code == ERR_OK && pthread_create(&s->thread, NULL, run, s) != 0)
        code = ERR(e, ERR_INTERNAL, "serve: cannot start a thread; is the process limit reached?");
    if (code != ERR_OK) {
        serve_stop(s);
        return code;
    }
    s->running = true;
    *ret = s;
    return ERR_OK;
}

struct serve *serve_stop(struct serve *s)
{
    if (!s) return NULL;
    atomic_store(&s->stop, true);
    if (s->running) {
        lws_cancel_service(s->context);
        pthread_join(s->thread, NULL);
    }
    if (s->context) lws_context_destroy(s->context);
    while (s->clients) free_client(s, s->clients);
    pthread_mutex_destroy(&s->lock);
    free(s->token);
    free(s);
    return NULL;
}
