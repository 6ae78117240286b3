#include "simulate/server.h"

#include <stdio.h>
#include <stdlib.h>

enum { TICK_US = 1000, BODY_PIECE = 16 << 10, CLIENT_FRAME_MAX = 1 << 20 };

struct sim_server {
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct simulate *sim;
    lws_sorted_usec_list_t timer;
    struct buf piece; /* LWS_PRE and one frame */
};

struct session { /* lws allocates and zeroes it for each connection */
    struct sim_client *client;
    struct sim_answer *answer;
};

static struct sim_server *server_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

/* --- WebSocket --- */

static int open_client(struct lws *wsi, struct session *session)
{
    struct sim_server *v = server_of(wsi);
    char uri[512], args[512] = "";
    struct str rest;
    if (lws_hdr_copy(wsi, uri, sizeof uri, WSI_TOKEN_GET_URI) <= 0) return -1;
    lws_hdr_copy(wsi, args, sizeof args, WSI_TOKEN_HTTP_URI_ARGS);
    int market = sim_market_by_path(v->sim, str_of(uri), &rest);
    if (market < 0) return -1;
    struct sim_client *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->sim = v->sim;
    c->wsi = wsi;
    c->market = market;
    c->combined = str_starts(rest, "/stream");
    c->wants = calloc((size_t)sim_market_at(v->sim, market)->count, 1);
    CHECK(c->wants != NULL);
    buf_init(&c->queue, SIM_QUEUE_MAX);
    buf_init(&c->incoming, CLIENT_FRAME_MAX);
    session->client = c;
    sim_client_opened(v->sim, c);
    return 0;
}

static void close_client(struct session *session)
{
    struct sim_client *c = session->client;
    if (!c) return;
    sim_client_closed(c->sim, c);
    buf_free(&c->queue);
    buf_free(&c->incoming);
    free(c->wants);
    free(c);
    session->client = NULL;
}

static int write_client(struct sim_client *c, struct sim_server *v)
{
    while (c->queue_at < c->queue.len && !lws_send_pipe_choked(c->wsi)) {
        uint32_t len;
        memcpy(&len, c->queue.data + c->queue_at, sizeof len);
        buf_reset(&v->piece);
        uint8_t *to = buf_room(&v->piece, LWS_PRE + len);
        if (!to) return -1;
        memcpy(to + LWS_PRE, c->queue.data + c->queue_at + sizeof len, len);
        if (lws_write(c->wsi, to + LWS_PRE, len, LWS_WRITE_TEXT) < 0) return -1;
        c->queue_at += sizeof len + len;
    }
    if (c->queue_at == c->queue.len) {
        buf_reset(&c->queue);
        c->queue_at = 0;
        if (c->closing) return -1;
    } else {
        lws_callback_on_writable(c->wsi);
    }
    return 0;
}

static int receive(struct sim_client *c, const void *data, size_t len)
{
    buf_add(&c->incoming, data, len);
    if (c->incoming.failed) return -1;
    if (!lws_is_final_fragment(c->wsi) || lws_remaining_packet_payload(c->wsi)) return 0;
    if (!c->silent) sim_market_at(c->sim, c->market)->venue->client_frame(c, buf_str(&c->incoming));
    buf_reset(&c->incoming);
    return 0;
}

void server_send(struct sim_client *c, struct str frame)
{
    uint32_t len = (uint32_t)frame.n;
    if (c->closing || c->silent) return;
    buf_add(&c->queue, &len, sizeof len);
    buf_add_str(&c->queue, frame);
    if (c->queue.failed) c->closing = true; /* a reader this slow is cut off, as venues do */
    lws_callback_on_writable(c->wsi);
}

void server_finish(struct sim_client *c)
{
    c->closing = true;
    lws_callback_on_writable(c->wsi);
}

bool server_flushed(const struct sim_client *c) { return c->queue.len == 0; }

/* --- HTTP --- */

/* "a=1&b=2" of the arguments as the library has them, one by one. */
static void read_query(struct lws *wsi, struct buf *out)
{
    char part[1024];
    for (int i = 0;; i++) {
        int n = lws_hdr_copy_fragment(wsi, part, sizeof part, WSI_TOKEN_HTTP_URI_ARGS, i);
        if (n <= 0) break;
        if (i) buf_add_byte(out, '&');
        buf_add(out, part, (size_t)n);
    }
}

static struct str read_header(struct lws *wsi, enum lws_token_indexes which, char *to, size_t size)
{
    int n = lws_hdr_copy(wsi, to, (int)size, which);
    return (struct str){to, n > 0 ? (size_t)n : 0};
}

static void make_answer(struct lws *wsi, struct sim_answer *a, struct str path,
                        struct sim_rest *out)
{
    struct sim_server *v = server_of(wsi);
    char authorization[512], range[64];
    struct str rest;
    struct buf whole;
    buf_init(&whole, 1 << 16);
    int market = sim_market_by_path(v->sim, path, &rest);
    *out = (struct sim_rest){.body = &a->body, .status = 200};
    if (market < 0) {
        out->status = 404;
        buf_add_cstr(&a->body, "{\"message\":\"not found\"}");
    } else {
        buf_add_str(&whole, rest);
        buf_add_byte(&whole, '?');
        read_query(wsi, &whole);
        struct str all = buf_str(&whole);
        const struct sim_request r = {
            .path = rest,
            .query = {all.p + rest.n + 1, all.n - rest.n - 1},
            .whole = all,
            .authorization =
                read_header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, authorization, sizeof authorization),
            .range = read_header(wsi, WSI_TOKEN_HTTP_RANGE, range, sizeof range)};
        sim_rest_answer(v->sim, market, &r, out);
    }
    buf_free(&whole);
}

static int begin_answer(struct lws *wsi, struct session *session, struct str path)
{
    uint8_t headers[LWS_PRE + 1024], *start = headers + LWS_PRE, *p = start;
    uint8_t *end = headers + sizeof headers - 1;
    struct sim_answer *a = calloc(1, sizeof *a);
    CHECK(a != NULL);
    session->answer = a;
    buf_init(&a->body, 300 << 20);
    struct sim_rest out;
    make_answer(wsi, a, path, &out);
    const char *type = out.type ? out.type : "application/json";
    char retry[16];
    int n = snprintf(retry, sizeof retry, "%d", out.retry_after_s);
    if (lws_add_http_common_headers(wsi, (unsigned)out.status, type, a->body.len, &p, end) ||
        (out.retry_after_s > 0 &&
         lws_add_http_header_by_name(wsi, (const unsigned char *)"retry-after:",
                                     (const unsigned char *)retry, n, &p, end)) ||
        lws_finalize_write_http_header(wsi, start, &p, end))
        return -1;
    lws_callback_on_writable(wsi);
    return 0;
}

static int write_answer(struct lws *wsi, struct session *session)
{
    struct sim_answer *a = session->answer;
    uint8_t piece[LWS_PRE + BODY_PIECE];
    if (!a) return -1;
    if (a->body.len == 0) return lws_http_transaction_completed(wsi) ? -1 : 0;
    size_t left = a->body.len - a->at, n = left < BODY_PIECE ? left : BODY_PIECE;
    memcpy(piece + LWS_PRE, a->body.data + a->at, n);
    a->at += n;
    bool last = a->at == a->body.len;
    if (lws_write(wsi, piece + LWS_PRE, n, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < 0)
        return -1;
    if (last) return lws_http_transaction_completed(wsi) ? -1 : 0;
    lws_callback_on_writable(wsi);
    return 0;
}

static void drop_answer(struct session *session)
{
    if (!session || !session->answer) return;
    buf_free(&session->answer->body);
    free(session->answer);
    session->answer = NULL;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct session *session = user;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        drop_answer(session);
        return begin_answer(wsi, session, (struct str){in, len});
    case LWS_CALLBACK_HTTP_WRITEABLE: return write_answer(wsi, session);
    case LWS_CALLBACK_CLOSED_HTTP: drop_answer(session); break;
    case LWS_CALLBACK_ESTABLISHED: return open_client(wsi, session);
    case LWS_CALLBACK_CLOSED: close_client(session); break;
    case LWS_CALLBACK_RECEIVE: return session->client ? receive(session->client, in, len) : -1;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return session->client ? write_client(session->client, server_of(wsi)) : -1;
    default: break;
    }
    return 0;
}

static const struct lws_protocols protocols[] = {
    {.name = "ticklake-simulate",
     .callback = callback,
     .per_session_data_size = sizeof(struct session),
     .rx_buffer_size = 16384},
    {0},
};

static void tick(lws_sorted_usec_list_t *timer)
{
    void *whole = (char *)timer - offsetof(struct sim_server, timer);
    struct sim_server *v = whole;
    sim_tick(v->sim);
    lws_sul_schedule(v->context, 0, &v->timer, tick, TICK_US);
}

enum err_code server_open(struct simulate *s, const char *bind, int port, struct sim_server **ret,
                          struct err *e)
{
    struct sim_server *v = calloc(1, sizeof *v);
    CHECK(v != NULL);
    v->sim = s;
    buf_init(&v->piece, SIM_QUEUE_MAX + LWS_PRE);
    lws_set_log_level(0, NULL); /* what matters comes back as errors */
    struct lws_context_creation_info info = {
        .port = port,
        .iface = bind,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DISABLE_IPV6,
        .user = v,
        .pt_serv_buf_size = 65536,
        .max_http_header_data = 16384,
        .keepalive_timeout = 60,
    };
    v->context = lws_create_context(&info);
    if (v->context) v->vhost = lws_create_vhost(v->context, &info);
    if (!v->vhost || lws_get_vhost_listen_port(v->vhost) <= 0) {
        server_close(v);
        return ERR(
            e, ERR_UNAVAILABLE,
            "%s port %d cannot be bound; is another simulator running? --port chooses another",
            bind, port);
    }
    lws_sul_schedule(v->context, 0, &v->timer, tick, TICK_US);
    *ret = v;
    return ERR_OK;
}

struct sim_server *server_close(struct sim_server *v)
{
    if (!v) return NULL;
    if (v->context) {
        lws_sul_cancel(&v->timer);
        lws_context_destroy(v->context);
    }
    buf_free(&v->piece);
    free(v);
    return NULL;
}

int server_port(const struct sim_server *v) { return lws_get_vhost_listen_port(v->vhost); }
void server_service(struct sim_server *v) { lws_service(v->context, 0); }
void server_wake(struct sim_server *v) { lws_cancel_service(v->context); }
