#include "serve/serve.h"

#include "base/time.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    BODY_MAX = 16 << 20,
    PIECE = 16 << 10,
    QUEUE_MAX = 1 << 20, /* bytes a /live client may be behind */
    LISTENERS_MAX = 64,
    TOKEN_MAX = 256,
};

struct listener { /* one client of /live */
    struct listener *next;
    struct lws *wsi;
    struct buf queue;
    int64_t dropped; /* since the last time it was told */
};

struct answer {
    struct buf body;
    size_t at;
    const char *type;
    int status;
};

struct session { /* lws allocates and zeroes it for each connection */
    struct answer *answer;
    struct listener *listener;
};

struct serve {
    struct serve_options options;
    char host[128], token[TOKEN_MAX];
    int port;
    struct lws_context *context;
    struct lws_vhost *vhost;
    pthread_t thread;
    bool running;
    atomic_bool stopping;
    pthread_mutex_t lock; /* listeners and their queues */
    struct listener *listeners;
    atomic_int listener_count;
};

/* --- answers --- */

static bool health(struct serve *s, bool (*ask)(void *ctx, struct buf *why), struct answer *a)
{
    a->type = "text/plain";
    bool good = ask(s->options.ctx, &a->body);
    a->status = good ? 200 : 503;
    if (good) buf_add_cstr(&a->body, "ok");
    buf_add_byte(&a->body, '\n');
    return true;
}

static bool fill(struct serve *s, struct str path, struct answer *a)
{
    a->status = 200;
    if (str_is(path, "/livez")) return health(s, s->options.live, a);
    if (str_is(path, "/readyz")) return health(s, s->options.ready, a);
    if (str_is(path, "/metrics")) {
        a->type = "text/plain; version=0.0.4";
        s->options.metrics(s->options.ctx, &a->body);
        return true;
    }
    if (str_is(path, "/api/v1/status")) {
        a->type = "application/json";
        s->options.status(s->options.ctx, &a->body);
        return true;
    }
    a->type = "text/plain";
    a->status = 404;
    buf_add_cstr(&a->body, "not here; there are /metrics /livez /readyz /api/v1/status /live\n");
    return true;
}

static void refuse(struct answer *a)
{
    a->status = 401;
    a->type = "text/plain";
    buf_add_cstr(&a->body, "a token is needed: Authorization: Bearer TOKEN\n");
}

/* In a time that does not tell how much of it was right. */
static bool same_token(const char *expected, const char *given)
{
    size_t n = strlen(expected), m = strlen(given);
    unsigned difference = n != m;
    for (size_t i = 0; i < m; i++)
        difference |= (unsigned char)given[i] ^ (unsigned char)expected[n ? i % n : 0];
    return difference == 0;
}

static bool is_allowed(const struct serve *s, struct lws *wsi)
{
    char text[TOKEN_MAX + 16];
    if (!s->token[0]) return true;
    if (lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP_AUTHORIZATION) > 0 &&
        str_starts(str_of(text), "Bearer "))
        return same_token(s->token, text + strlen("Bearer "));
    const char *given = lws_get_urlarg_by_name(wsi, "token=", text, sizeof text);
    return given && same_token(s->token, given);
}

static void drop_answer(struct session *session)
{
    if (!session || !session->answer) return;
    buf_free(&session->answer->body);
    free(session->answer);
    session->answer = NULL;
}

static int send_headers(struct lws *wsi, int status, const char *type, lws_filepos_t length)
{
    uint8_t headers[LWS_PRE + 1024], *start = headers + LWS_PRE, *p = start;
    uint8_t *end = headers + sizeof headers - 1;
    if (lws_add_http_common_headers(wsi, (unsigned)status, type, length, &p, end) ||
        lws_add_http_header_by_name(
            wsi, (const uint8_t *)"cache-control:", (const uint8_t *)"no-store", 8, &p, end) ||
        lws_finalize_write_http_header(wsi, start, &p, end))
        return -1;
    lws_callback_on_writable(wsi);
    return 0;
}

/* --- /live --- */

static int begin_live(struct serve *s, struct lws *wsi, struct session *session)
{
    struct listener *l = calloc(1, sizeof *l);
    CHECK(l != NULL);
    l->wsi = wsi;
    buf_init(&l->queue, QUEUE_MAX);
    session->listener = l;
    pthread_mutex_lock(&s->lock);
    l->next = s->listeners;
    s->listeners = l;
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_add(&s->listener_count, 1);
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0); /* it stays open */
    return send_headers(wsi, 200, "text/event-stream", LWS_ILLEGAL_HTTP_CONTENT_LEN);
}

static void end_live(struct serve *s, struct session *session)
{
    struct listener *l = session ? session->listener : NULL;
    if (!l) return;
    pthread_mutex_lock(&s->lock);
    for (struct listener **p = &s->listeners; *p; p = &(*p)->next) {
        if (*p != l) continue;
        *p = l->next;
        break;
    }
    pthread_mutex_unlock(&s->lock);
    atomic_fetch_sub(&s->listener_count, 1);
    buf_free(&l->queue);
    free(l);
    session->listener = NULL;
}

static int write_live(struct serve *s, struct listener *l)
{
    struct buf piece;
    buf_init(&piece, LWS_PRE + QUEUE_MAX + 128);
    if (!buf_room(&piece, LWS_PRE)) return -1;
    memset(piece.data, 0, LWS_PRE);
    piece.len = LWS_PRE;
    pthread_mutex_lock(&s->lock);
    buf_add_str(&piece, buf_str(&l->queue));
    buf_reset(&l->queue);
    if (l->dropped) buf_addf(&piece, "event: dropped\ndata: %lld\n\n", (long long)l->dropped);
    l->dropped = 0;
    pthread_mutex_unlock(&s->lock);
    int code = 0;
    size_t n = piece.len - LWS_PRE;
    if (n && lws_write(l->wsi, piece.data + LWS_PRE, n, LWS_WRITE_HTTP) < 0) code = -1;
    buf_free(&piece);
    return code;
}

void serve_publish(struct serve *s, struct str json)
{
    pthread_mutex_lock(&s->lock);
    for (struct listener *l = s->listeners; l; l = l->next) {
        if (l->queue.len + json.n + 16 > QUEUE_MAX) {
            l->dropped++;
            continue;
        }
        buf_add_cstr(&l->queue, "data: ");
        buf_add_str(&l->queue, json);
        buf_add_cstr(&l->queue, "\n\n");
    }
    pthread_mutex_unlock(&s->lock);
    lws_cancel_service(s->context); /* the one call that other threads may make */
}

bool serve_has_listeners(const struct serve *s)
{
    return atomic_load(&((struct serve *)(uintptr_t)s)->listener_count) > 0;
}

/* --- the protocol callback --- */

static int begin(struct serve *s, struct lws *wsi, struct session *session, struct str path)
{
    drop_answer(session);
    bool allowed = is_allowed(s, wsi);
    if (allowed && str_is(path, "/live") && atomic_load(&s->listener_count) < LISTENERS_MAX)
        return begin_live(s, wsi, session);
    struct answer *a = calloc(1, sizeof *a);
    CHECK(a != NULL);
    buf_init(&a->body, BODY_MAX);
    session->answer = a;
    if (allowed)
        fill(s, path, a);
    else
        refuse(a);
    return send_headers(wsi, a->status, a->type, a->body.len);
}

static int write_answer(struct lws *wsi, struct session *session)
{
    struct answer *a = session->answer;
    uint8_t piece[LWS_PRE + PIECE];
    if (!a) return -1;
    size_t left = a->body.len - a->at, n = left < PIECE ? left : PIECE;
    if (n) memcpy(piece + LWS_PRE, a->body.data + a->at, n);
    a->at += n;
    bool last = a->at == a->body.len;
    if (lws_write(wsi, piece + LWS_PRE, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
        return -1;
    if (last) return lws_http_transaction_completed(wsi) ? -1 : 0;
    lws_callback_on_writable(wsi);
    return 0;
}

static void wake_listeners(struct serve *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct listener *l = s->listeners; l; l = l->next)
        if (l->queue.len || l->dropped) lws_callback_on_writable(l->wsi);
    pthread_mutex_unlock(&s->lock);
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct session *session = user;
    struct serve *s = lws_context_user(lws_get_context(wsi));
    switch (reason) {
    case LWS_CALLBACK_HTTP: return begin(s, wsi, session, (struct str){in, len});
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return session->listener ? write_live(s, session->listener) : write_answer(wsi, session);
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        drop_answer(session);
        end_live(s, session);
        break;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED: wake_listeners(s); break;
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION: return -1; /* no WebSocket here */
    default: break;
    }
    return 0;
}

static const struct lws_protocols protocols[] = {
    {.name = "ticklake-serve",
     .callback = callback,
     .per_session_data_size = sizeof(struct session)},
    {0},
};

/* --- start and stop --- */

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           strncmp(host, "127.", 4) == 0;
}

static enum err_code read_bind(struct serve *s, struct err *e)
{
    struct str bind = str_of(s->options.bind);
    size_t colon = bind.n;
    while (colon > 0 && bind.p[colon - 1] != ':') colon--;
    int64_t port = -1;
    struct str host = {bind.p, colon ? colon - 1 : 0};
    if (host.n > 2 && host.p[0] == '[') host = (struct str){host.p + 1, host.n - 2};
    if (host.n == 0 || !str_copy(s->host, sizeof s->host, host) ||
        str_to_i64((struct str){bind.p + colon, bind.n - colon}, &port) != ERR_OK || port < 0 ||
        port > 65535)
        return ERR(e, ERR_CONFIG,
                   "serve.bind: expected ADDRESS:PORT, as 127.0.0.1:7070, got \"%s\"",
                   s->options.bind);
    s->port = (int)port;
    if (s->options.token && !str_copy(s->token, sizeof s->token, str_of(s->options.token)))
        return ERR(e, ERR_CONFIG, "serve.token: longer than %d bytes", TOKEN_MAX - 1);
    if (!is_loopback(s->host) && !s->token[0])
        return ERR(e, ERR_CONFIG,
                   "serve.bind: %s is no loopback address: set serve.token or serve.token_file, or "
                   "bind to 127.0.0.1",
                   s->options.bind);
    return ERR_OK;
}

static void *service(void *ctx)
{
    struct serve *s = ctx;
    while (!atomic_load(&s->stopping)) lws_service(s->context, 0);
    return NULL;
}

static enum err_code open_port(struct serve *s, struct err *e)
{
    lws_set_log_level(0, NULL); /* what matters comes back as errors */
    struct lws_context_creation_info info = {
        .port = s->port,
        .iface = strcmp(s->host, "localhost") == 0 ? "127.0.0.1" : s->host,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .user = s,
        .max_http_header_data = 8192,
        .keepalive_timeout = 60,
    };
    s->context = lws_create_context(&info);
    if (s->context) s->vhost = lws_create_vhost(s->context, &info);
    int port = s->vhost ? lws_get_vhost_listen_port(s->vhost) : 0;
    if (port <= 0)
        return ERR(e, ERR_UNAVAILABLE,
                   "%s port %d cannot be bound: is another ticklake running? serve.bind chooses "
                   "another port, "
                   "serve.enabled=false does without",
                   s->host, s->port);
    s->port = port;
    return ERR_OK;
}

enum err_code serve_start(const struct serve_options *o, struct serve **ret, struct err *e)
{
    struct serve *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->options = *o;
    pthread_mutex_init(&s->lock, NULL);
    enum err_code code = read_bind(s, e);
    if (code == ERR_OK) code = open_port(s, e);
    if (code == ERR_OK && pthread_create(&s->thread, NULL, service, s) != 0)
        code = ERR(e, ERR_INTERNAL, "cannot start a thread; is the process limit reached?");
    s->running = code == ERR_OK;
    if (code != ERR_OK) {
        serve_stop(s);
        return code;
    }
    *ret = s;
    return ERR_OK;
}

int serve_port(const struct serve *s) { return s->port; }

struct serve *serve_stop(struct serve *s)
{
    if (!s) return NULL;
    atomic_store(&s->stopping, true);
    if (s->running) {
        lws_cancel_service(s->context);
        pthread_join(s->thread, NULL);
    }
    if (s->context) lws_context_destroy(s->context);
    pthread_mutex_destroy(&s->lock);
    free(s);
    return NULL;
}
