#include "io/ws_internal.h"

#include "io/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum { CLOSE_WAIT_MS = 2000, RX_BYTES = 64 << 10, HEADER_BYTES = 16 << 10, FRAME_KEEP = 1 << 20 };
enum { PONGS_MAX = 64 }; /* of one connection in one turn of the loop */

/* ---- The end of a connection ---- */

static void set_reason(struct ws *w, const char *text, size_t n)
{
    if (w->closed.reason[0]) return; /* the first one knows best */
    size_t at = 0;
    for (size_t i = 0; i < n && at + 1 < sizeof w->closed.reason; i++) {
        unsigned char byte = (unsigned char)text[i];
        w->closed.reason[at++] = (char)(byte >= 32 && byte < 127 ? byte : '?');
    }
    w->closed.reason[at] = 0;
}

static void set_reason_text(struct ws *w, const char *text) { set_reason(w, text, strlen(text)); }

static void unlink_ws(struct ws *w)
{
    for (struct ws **at = &w->loop->open; *at; at = &(*at)->next) {
        if (*at != w) continue;
        *at = w->next;
        return;
    }
}

static void free_ws(struct ws *w)
{
    buf_free(&w->incoming);
    for (struct ws_outgoing *o = w->first, *next; o; o = next) {
        next = o->next;
        free(o);
    }
    free(w);
}

/* on_close comes out of ws_loop_run, when nothing of the library points here any more. */
static void deliver_ends(struct ws_loop *l)
{
    for (struct ws *w = l->open, *next; w; w = next) {
        next = w->next;
        if (!w->gone) continue;
        unlink_ws(w);
        if (!w->closed.reason[0]) set_reason_text(w, "connection lost");
        w->options.on_close(w->options.ctx, w, &w->closed);
        free_ws(w);
        next = l->open; /* the callback may have opened or ended others */
    }
}

void ws_abort(struct ws *w)
{
    w->closing = true;
    if (w->wsi)
        lws_set_timeout(w->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
    else
        w->gone = true;
    lws_cancel_service(w->loop->context);
}

void ws_close(struct ws *w, int code, const char *reason)
{
    if (!w->is_open) {
        set_reason_text(w, reason);
        ws_abort(w);
        return;
    }
    if (w->closing) return;
    w->closing = true;
    w->close_code = code;
    w->closed.code = code;
    set_reason_text(w, reason);
    w->deadline_ns = clock_mono_ns() + CLOSE_WAIT_MS * NS_PER_MS;
    lws_callback_on_writable(w->wsi);
}

/* ---- Sending ---- */

static enum err_code queue(struct ws *w, struct str text, bool ping, struct err *e)
{
    if (!w->is_open || w->closing) return ERR(e, ERR_NETWORK, "%s: not connected", w->name);
    if (w->waiting_frames >= WS_SEND_FRAMES_MAX || w->waiting_bytes + text.n > WS_SEND_BYTES_MAX)
        return ERR(e, ERR_FULL, "%s: too much is waiting to be sent", w->name);
    struct ws_outgoing *o = malloc(sizeof *o + LWS_PRE + text.n);
    CHECK(o != NULL);
    *o = (struct ws_outgoing){.len = text.n, .ping = ping};
    if (text.n) memcpy(o->data + LWS_PRE, text.p, text.n);
    if (w->last)
        w->last->next = o;
    else
        w->first = o;
    w->last = o;
    w->waiting_frames++;
    w->waiting_bytes += text.n;
    lws_callback_on_writable(w->wsi);
    return ERR_OK;
}

enum err_code ws_send(struct ws *w, struct str text, struct err *e)
{
    return queue(w, text, false, e);
}
/* Without a payload: see on_pong. */
enum err_code ws_ping(struct ws *w, struct err *e) { return queue(w, STR(""), true, e); }

/* -1 closes the connection. */
static int on_writable(struct ws *w)
{
    struct ws_outgoing *o = w->first;
    if (!o) {
        if (!w->closing) return 0;
        lws_close_reason(w->wsi, (enum lws_close_status)w->close_code,
                         (unsigned char *)w->closed.reason, strlen(w->closed.reason));
        return -1;
    }
    int n = lws_write(w->wsi, o->data + LWS_PRE, o->len, o->ping ? LWS_WRITE_PING : LWS_WRITE_TEXT);
    w->first = o->next;
    if (!w->first) w->last = NULL;
    w->waiting_frames--;
    w->waiting_bytes -= o->len;
    free(o);
    if (n < 0) return -1;
    if (w->first || w->closing) lws_callback_on_writable(w->wsi);
    return 0;
}

/* ---- Receiving ---- */

static void on_receive(struct ws *w, const char *bytes, size_t len)
{
    bool whole = lws_is_final_fragment(w->wsi) && lws_remaining_packet_payload(w->wsi) == 0;
    int64_t now_ns = clock_wall_ns();
    if (w->closing) return;
    if (whole && w->whole_len == 0 && len <= w->options.frame_max) { /* in one piece: no copy */
        w->options.on_frame(w->options.ctx, w, bytes, len, len, now_ns);
        return;
    }
    size_t room = w->options.frame_max - w->incoming.len;
    buf_add(&w->incoming, bytes, len < room ? len : room);
    w->whole_len += len;
    if (!whole) return;
    size_t whole_len = w->whole_len;
    w->whole_len = 0;
    w->options.on_frame(w->options.ctx, w, (const char *)w->incoming.data, w->incoming.len,
                        whole_len, now_ns);
    if (w->incoming.cap > FRAME_KEEP) { /* one huge frame must not hold its memory for ever */
        buf_free(&w->incoming);
        buf_init(&w->incoming, w->options.frame_max);
    }
    buf_reset(&w->incoming);
}

static void on_failed(struct ws *w, const char *text, size_t len)
{
    w->closed.status = (int)lws_http_client_http_response(w->wsi);
    bool answered = w->closed.status >= 100 && w->closed.status != 101;
    w->closed.end = answered ? WS_END_REFUSED : WS_END_UNREACHABLE;
    char reason[64];
    snprintf(reason, sizeof reason, "the server answered with status %d", w->closed.status);
    if (answered)
        set_reason_text(w, reason);
    else if (text && len)
        set_reason(w, text, len);
    else
        set_reason_text(w, "no connection");
}

static void on_peer_close(struct ws *w, const unsigned char *in, size_t len)
{
    if (w->closing) return;
    w->closed.code = len >= 2 ? in[0] << 8 | in[1] : 1005;
    if (len > 2) set_reason(w, (const char *)in + 2, len - 2);
    if (!w->closed.reason[0]) set_reason_text(w, "closed by the server");
}

static void on_established(struct ws *w)
{
    w->is_open = true;
    w->deadline_ns = INT64_MAX;
    w->closed = (struct ws_closed){.end = WS_END_CLOSED, .code = 1006};
    w->options.on_open(w->options.ctx, w);
}

/* With permessage-deflate the library gives a pong that has a payload again and again, for ever (4.1.6, measured). Ours have
 * none, but a peer may send one unasked: then the connection is cut, and the next one goes without compression. -1 cuts. */
static int on_pong(struct ws *w)
{
    if (++w->pongs > PONGS_MAX) {
        w->closed.deflate_failed = true;
        set_reason_text(w, "pongs with a payload and compression do not go together");
        return -1;
    }
    if (w->options.on_pong && !w->closing && w->pongs == 1) w->options.on_pong(w->options.ctx, w);
    return 0;
}

/* Some venues' front ends turn away clients without a name. */
static int add_header(char **at, size_t room)
{
    static const char line[] = "User-Agent: ticklake/1\r\n";
    if (room < sizeof line) return -1;
    memcpy(*at, line, sizeof line - 1);
    *at += sizeof line - 1;
    return 0;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct ws *w = user;
    if (reason == LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER) return add_header(in, len);
    if (!w) return 0;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED: on_established(w); return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE: on_receive(w, in, len); return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG: return on_pong(w);
    case LWS_CALLBACK_CLIENT_WRITEABLE: return on_writable(w);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: on_peer_close(w, in, len); return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        w->wsi = wsi;
        on_failed(w, in, len);
        w->is_open = false;
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED: w->is_open = false; return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        w->is_open = false;
        w->wsi = NULL;
        w->gone = true;
        return 0;
    default: return 0;
    }
}

/* ---- Connecting ---- */

static void connect_to(struct ws *w, const char *ip)
{
    const struct ws_address *a = &w->address;
    struct ws_loop *l = w->loop;
    char host[300];
    bool standard = a->port == (a->tls ? 443 : 80);
    bool v6 = strchr(a->host, ':') != NULL;
    if (standard)
        snprintf(host, sizeof host, v6 ? "[%s]" : "%s", a->host);
    else
        snprintf(host, sizeof host, v6 ? "[%s]:%d" : "%s:%d", a->host, a->port);
    int tls = a->tls ? LCCSCF_USE_SSL : 0;
    if (a->tls && !l->tls_verify)
        tls |= LCCSCF_ALLOW_SELFSIGNED | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK |
               LCCSCF_ALLOW_EXPIRED | LCCSCF_ALLOW_INSECURE;
    struct lws_client_connect_info i = {.context = l->context,
                                        .address = ip,
                                        .port = a->port,
                                        .ssl_connection = tls,
                                        .path = a->path,
                                        .host = host,
                                        .ietf_version_or_minus_one = -1,
                                        .vhost = w->options.no_deflate ? l->plain : l->deflating,
                                        .userdata = w,
                                        .local_protocol_name = "ticklake",
                                        .alpn = "http/1.1",
                                        .pwsi = &w->wsi};
    if (lws_client_connect_via_info(&i)) return;
    w->wsi = NULL;
    w->gone = true;
    if (!w->closed.reason[0]) set_reason_text(w, "no connection");
}

static void take_resolved(struct ws_loop *l)
{
    for (struct ws_lookup *k; (k = ws_resolver_next(l->resolver)) != NULL; free(k)) {
        struct ws *w = NULL;
        for (struct ws *o = l->open; o && !w; o = o->next)
            if (o->id == k->id) w = o;
        if (!w || w->gone || w->closing) continue;
        if (k->count == 0) {
            set_reason_text(w, k->error);
            w->gone = true;
            continue;
        }
        connect_to(w, k->addresses[w->options.attempt % (uint32_t)k->count]);
    }
}

enum err_code ws_open(struct ws_loop *l, const struct ws_options *o, struct ws **ret, struct err *e)
{
    struct ws *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    enum err_code code = ws_parse_url(o->url, &w->address, e);
    if (code != ERR_OK) {
        free(w);
        return code;
    }
    w->loop = l;
    w->options = *o;
    w->options.url = NULL; /* the caller's; what we need of it is in address */
    w->id = ++l->next_id;
    w->closed = (struct ws_closed){.end = WS_END_UNREACHABLE, .code = 1006};
    w->deadline_ns = clock_mono_ns() + o->connect_timeout_ms * NS_PER_MS;
    snprintf(w->name, sizeof w->name, "%s:%d", w->address.host, w->address.port);
    buf_init(&w->incoming, o->frame_max);
    w->next = l->open;
    l->open = w;
    ws_resolver_ask(l->resolver, w->id, w->address.host);
    *ret = w;
    return ERR_OK;
}

/* ---- The loop ---- */

static const struct lws_extension extensions[] = {
    {"permessage-deflate", lws_extension_callback_pm_deflate,
     "permessage-deflate; client_no_context_takeover; client_max_window_bits"},
    {NULL, NULL, NULL}};
static const struct lws_protocols protocols[] = {
    {.name = "ticklake", .callback = callback, .rx_buffer_size = RX_BYTES}, {.name = NULL}};

enum err_code ws_loop_new(const struct ws_loop_options *o, struct ws_loop **ret, struct err *e)
{
    struct ws_loop *l = calloc(1, sizeof *l);
    CHECK(l != NULL);
    l->tls_verify = o->tls_verify;
    lws_set_log_level(0, NULL); /* what matters comes back as reasons */
    struct lws_context_creation_info i = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        /* Every context that makes TLS connections needs the first, else SSL_new fails with reason 99. */
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .pt_serv_buf_size = RX_BYTES,
        .max_http_header_data = HEADER_BYTES,
        .alpn = "http/1.1", /* h2 is compiled in, and a server may choose it */
        .client_ssl_ca_filepath = o->ca_file,
        .http_proxy_address = "", /* NULL would take that of the environment */
        .vhost_name = "plain",
        .user = l,
    };
    l->context = lws_create_context(&i);
    if (l->context) l->plain = lws_create_vhost(l->context, &i);
    i.vhost_name = "deflating";
    i.extensions = extensions;
    if (l->plain) l->deflating = lws_create_vhost(l->context, &i);
    if (!l->deflating) {
        if (l->context) lws_context_destroy(l->context);
        free(l);
        return ERR(e, ERR_UNAVAILABLE,
                   "cannot set up WebSocket connections; is source.ca_file readable, and are file "
                   "descriptors left?");
    }
    l->resolver = ws_resolver_new(l);
    *ret = l;
    return ERR_OK;
}

struct ws_loop *ws_loop_free(struct ws_loop *l)
{
    if (!l) return NULL;
    ws_resolver_free(l->resolver);
    for (struct ws *w = l->open; w; w = w->next) w->closing = true;
    lws_context_destroy(l->context);
    for (struct ws *w = l->open, *next; w; w = next) {
        next = w->next;
        free_ws(w);
    }
    free(l);
    return NULL;
}

void ws_loop_wake(struct ws_loop *l) { lws_cancel_service(l->context); }

static void on_timer(struct lws_sorted_usec_list *sul) { (void)sul; } /* ends the wait, no more */

static void check_deadlines(struct ws_loop *l, int64_t now_ns)
{
    for (struct ws *w = l->open; w; w = w->next) {
        if (w->gone || now_ns < w->deadline_ns) continue;
        w->deadline_ns = INT64_MAX;
        if (!w->is_open) set_reason_text(w, "no connection in time");
        ws_abort(w);
    }
}

static int64_t wait_ns(const struct ws_loop *l, int32_t timeout_ms, int64_t now_ns)
{
    int64_t wait = timeout_ms * NS_PER_MS;
    for (const struct ws *w = l->open; w; w = w->next) {
        if (w->gone) return 0;
        if (w->deadline_ns != INT64_MAX && w->deadline_ns - now_ns < wait)
            wait = w->deadline_ns - now_ns;
    }
    return wait > 0 ? wait : 0;
}

void ws_loop_run(struct ws_loop *l, int32_t timeout_ms)
{
    take_resolved(l);
    int64_t wait = wait_ns(l, timeout_ms, clock_mono_ns());
    /* The library takes no timeout of its own any more: a timer ends its wait. */
    if (wait > 0) lws_sul_schedule(l->context, 0, &l->timer, on_timer, wait / NS_PER_US + 1);
    for (struct ws *w = l->open; w; w = w->next) w->pongs = 0;
    lws_service(l->context, wait > 0 ? 0 : -1);
    check_deadlines(l, clock_mono_ns());
    take_resolved(l);
    deliver_ends(l);
}
