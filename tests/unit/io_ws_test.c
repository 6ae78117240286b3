/* The WebSocket client against a small libwebsockets server on loopback, in a thread. */
#include "base/buf.h"
#include "io/clock.h"
#include "io/ws.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { HUGE_BYTES = 300000, FRAME_MAX = 200000, FRAMES_MAX = 64, PATIENCE_S = 20 };

/* ---- The server ---- */

struct session {
    char path[32];
    int step;
    unsigned char *queue;
    size_t len;
};

struct server {
    struct lws_context *context;
    pthread_t thread;
    atomic_bool stop;
    int port;
    atomic_int pongs;
    atomic_int extensions; /* handshakes that offered permessage-deflate */
};

static int write_part(struct lws *wsi, const char *text, size_t len, int kind)
{
    unsigned char *room = malloc(LWS_PRE + len);
    memcpy(room + LWS_PRE, text, len);
    int n = lws_write(wsi, room + LWS_PRE, len, (enum lws_write_protocol)kind);
    free(room);
    return n < 0 ? -1 : 0;
}

static int serve_step(struct lws *wsi, struct session *s)
{
    int step = s->step++;
    if (strcmp(s->path, "/fragments") == 0) {
        if (step > 2) return 0;
        const char *const parts[] = {"one ", "two ", "three"};
        int kind = step == 0 ? LWS_WRITE_TEXT : LWS_WRITE_CONTINUATION;
        lws_callback_on_writable(wsi);
        return write_part(wsi, parts[step], strlen(parts[step]),
                          kind | (step < 2 ? LWS_WRITE_NO_FIN : 0));
    }
    if (strcmp(s->path, "/huge") == 0) {
        if (step > 1) return 0;
        char *text = malloc(HUGE_BYTES);
        for (size_t i = 0; i < HUGE_BYTES; i++) text[i] = (char)('a' + i * i % 23);
        lws_callback_on_writable(wsi);
        int n = write_part(wsi, text, step == 0 ? HUGE_BYTES : 100000, LWS_WRITE_TEXT);
        free(text);
        return n;
    }
    if (strcmp(s->path, "/pong") == 0)
        return step > 0 ? 0 : write_part(wsi, "x", 1, LWS_WRITE_PONG);
    if (strcmp(s->path, "/ping") == 0 && step < 1) {
        lws_callback_on_writable(wsi);
        return write_part(wsi, "hello", 5, LWS_WRITE_PING);
    }
    if (strcmp(s->path, "/close") == 0) {
        lws_close_reason(wsi, (enum lws_close_status)4001, (unsigned char *)"bye\nnow", 7);
        return -1;
    }
    if (s->queue) {
        int n = write_part(wsi, (char *)s->queue, s->len, LWS_WRITE_TEXT);
        free(s->queue);
        s->queue = NULL;
        s->len = 0;
        lws_rx_flow_control(wsi, 1);
        return n;
    }
    return 0;
}

static int serve(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                 size_t len)
{
    struct session *s = user;
    char offered[64];
    struct server *server = lws_context_user(lws_get_context(wsi));
    switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        lws_hdr_copy(wsi, offered, sizeof offered, WSI_TOKEN_GET_URI);
        if (strcmp(offered, "/refuse") == 0) return 1;
        if (lws_hdr_total_length(wsi, WSI_TOKEN_EXTENSIONS) > 0)
            atomic_fetch_add(&server->extensions, 1);
        return 0;
    case LWS_CALLBACK_ESTABLISHED:
        memset(s, 0, sizeof *s);
        lws_hdr_copy(wsi, s->path, sizeof s->path, WSI_TOKEN_GET_URI);
        lws_callback_on_writable(wsi);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE: return serve_step(wsi, s);
    case LWS_CALLBACK_RECEIVE:
        s->queue = realloc(s->queue, s->len + len + 1);
        memcpy(s->queue + s->len, in, len);
        s->len += len;
        if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi)) return 0;
        lws_rx_flow_control(wsi, 0);
        lws_callback_on_writable(wsi);
        return 0;
    case LWS_CALLBACK_RECEIVE_PONG: atomic_fetch_add(&server->pongs, 1); return 0;
    case LWS_CALLBACK_CLOSED: free(s->queue); return 0;
    default: return 0;
    }
}

static void *run_server(void *arg)
{
    struct server *s = arg;
    while (!atomic_load(&s->stop)) lws_service(s->context, 0);
    return NULL;
}

static void start_server(struct server *s)
{
    static const struct lws_protocols protocols[] = {
        {.name = "any",
         .callback = serve,
         .per_session_data_size = sizeof(struct session),
         .rx_buffer_size = 1 << 20},
        {.name = NULL}};
    static const struct lws_extension extensions[] = {
        {"permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate"},
        {NULL, NULL, NULL}};
    memset(s, 0, sizeof *s);
    lws_set_log_level(0, NULL);
    struct lws_context_creation_info i = {.port = 0,
                                          .iface = "127.0.0.1",
                                          .protocols = protocols,
                                          .extensions = extensions,
                                          .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
                                          .vhost_name = "test",
                                          .user = s};
    s->context = lws_create_context(&i);
    assert_non_null(s->context);
    struct lws_vhost *vhost = lws_create_vhost(s->context, &i);
    assert_non_null(vhost);
    s->port = lws_get_vhost_listen_port(vhost);
    assert_int_equal(pthread_create(&s->thread, NULL, run_server, s), 0);
}

static void stop_server(struct server *s)
{
    atomic_store(&s->stop, true);
    lws_cancel_service(s->context);
    pthread_join(s->thread, NULL);
    lws_context_destroy(s->context);
}

/* ---- The client ---- */

struct client {
    struct ws_loop *loop;
    struct ws *ws;
    bool open, closed;
    int frames, pongs;
    size_t lens[FRAMES_MAX], whole_lens[FRAMES_MAX];
    char text[FRAMES_MAX][64];
    uint64_t sum;
    struct ws_closed end;
};

static void on_open(void *ctx, struct ws *w)
{
    struct client *c = ctx;
    assert_ptr_equal(c->ws, w);
    c->open = true;
}
static void on_frame(void *ctx, struct ws *w, const char *bytes, size_t len, size_t whole_len,
                     int64_t received_ns)
{
    struct client *c = ctx;
    (void)w;
    assert_true(received_ns > 0);
    assert_true(c->frames < FRAMES_MAX);
    for (size_t i = 0; i < len; i++) c->sum = c->sum * 31 + (unsigned char)bytes[i];
    str_copy(c->text[c->frames], sizeof c->text[0], (struct str){bytes, len < 63 ? len : 63});
    c->lens[c->frames] = len;
    c->whole_lens[c->frames++] = whole_len;
}
static void on_pong(void *ctx, struct ws *w)
{
    (void)w;
    ((struct client *)ctx)->pongs++;
}
static void on_close(void *ctx, struct ws *w, const struct ws_closed *end)
{
    struct client *c = ctx;
    (void)w;
    c->closed = true;
    c->ws = NULL;
    c->end = *end;
}

static void connect_client(struct client *c, const char *host, int port, const char *path,
                           bool no_deflate)
{
    struct err e;
    char url[128];
    memset(c, 0, sizeof *c);
    struct ws_loop_options lo = {.tls_verify = true};
    assert_int_equal(ws_loop_new(&lo, &c->loop, &e), ERR_OK);
    snprintf(url, sizeof url, "%s:%d%s", host, port, path);
    struct ws_options o = {.url = url,
                           .connect_timeout_ms = 5000,
                           .frame_max = FRAME_MAX,
                           .no_deflate = no_deflate,
                           .ctx = c,
                           .on_open = on_open,
                           .on_frame = on_frame,
                           .on_pong = on_pong,
                           .on_close = on_close};
    assert_int_equal(ws_open(c->loop, &o, &c->ws, &e), ERR_OK);
}

#define RUN_UNTIL(c, condition)                                                                    \
    do {                                                                                           \
        int64_t end_ns = clock_mono_ns() + PATIENCE_S * NS_PER_S;                                  \
        while (!(condition)) {                                                                     \
            assert_true(clock_mono_ns() < end_ns);                                                 \
            ws_loop_run((c)->loop, 100);                                                           \
        }                                                                                          \
    } while (0)

static void test_echo(void **state)
{
    struct server *s = *state;
    struct err e;
    for (int deflate = 0; deflate < 2; deflate++) {
        struct client c;
        int before = atomic_load(&s->extensions);
        connect_client(&c, "ws://localhost", s->port, "/echo?x=1", !deflate);
        assert_int_equal(ws_send(c.ws, STR("too early"), &e), ERR_NETWORK);
        RUN_UNTIL(&c, c.open);
        assert_int_equal(atomic_load(&s->extensions) - before, deflate);
        for (int i = 0; i < 10; i++) {
            char text[64];
            snprintf(text, sizeof text, "frame %d", i);
            assert_int_equal(ws_send(c.ws, str_of(text), &e), ERR_OK);
            RUN_UNTIL(&c, c.frames == i + 1);
            assert_string_equal(c.text[i], text);
        }
        assert_int_equal(ws_ping(c.ws, &e), ERR_OK);
        RUN_UNTIL(&c, c.pongs == 1);
        ws_close(c.ws, 1000, "done");
        RUN_UNTIL(&c, c.closed);
        assert_int_equal(c.end.end, WS_END_CLOSED);
        ws_loop_free(c.loop);
    }
}

static void test_fragments(void **state)
{
    struct server *s = *state;
    for (int deflate = 0; deflate < 2; deflate++) {
        struct client c;
        connect_client(&c, "ws://127.0.0.1", s->port, "/fragments", !deflate);
        RUN_UNTIL(&c, c.frames == 1);
        assert_string_equal(c.text[0], "one two three");
        ws_loop_free(c.loop);
    }
}

static void test_huge(void **state)
{
    struct server *s = *state;
    uint64_t sums[2];
    for (int deflate = 0; deflate < 2; deflate++) {
        struct client c;
        connect_client(&c, "ws://127.0.0.1", s->port, "/huge", !deflate);
        RUN_UNTIL(&c, c.frames == 2);
        assert_int_equal(c.lens[0], FRAME_MAX);
        assert_int_equal(c.whole_lens[0], HUGE_BYTES);
        assert_int_equal(c.lens[1], 100000);
        assert_int_equal(c.whole_lens[1], 100000);
        sums[deflate] = c.sum;
        ws_loop_free(c.loop);
    }
    assert_int_equal(sums[0], sums[1]);
}

static void test_pings(void **state)
{
    struct server *s = *state;
    for (int deflate = 0; deflate < 2; deflate++) {
        struct client c;
        int before = atomic_load(&s->pongs);
        connect_client(&c, "ws://127.0.0.1", s->port, "/ping", !deflate);
        RUN_UNTIL(&c, atomic_load(&s->pongs) == before + 1);
        ws_loop_free(c.loop);
        /* A pong with a payload that nobody asked for: fine without compression, else the end of the connection. */
        connect_client(&c, "ws://127.0.0.1", s->port, "/pong", !deflate);
        if (deflate)
            RUN_UNTIL(&c, c.closed);
        else
            RUN_UNTIL(&c, c.pongs == 1);
        assert_int_equal(c.closed && c.end.deflate_failed, deflate);
        ws_loop_free(c.loop);
    }
}

static void test_ends(void **state)
{
    struct server *s = *state;
    struct client c;
    connect_client(&c, "ws://127.0.0.1", s->port, "/close", false);
    RUN_UNTIL(&c, c.closed);
    assert_true(c.open);
    assert_int_equal(c.end.code, 4001);
    assert_string_equal(c.end.reason, "bye?now");
    ws_loop_free(c.loop);

    connect_client(&c, "ws://127.0.0.1", s->port, "/refuse", false);
    RUN_UNTIL(&c, c.closed);
    assert_false(c.open);
    ws_loop_free(c.loop);

    connect_client(&c, "ws://127.0.0.1", 1, "/", false);
    RUN_UNTIL(&c, c.closed);
    assert_int_equal(c.end.end, WS_END_UNREACHABLE);
    assert_true(c.end.reason[0] != 0);
    ws_loop_free(c.loop);

    connect_client(&c, "wss://127.0.0.1", s->port, "/", false); /* no TLS there */
    RUN_UNTIL(&c, c.closed);
    assert_int_equal(c.end.end, WS_END_UNREACHABLE);
    ws_loop_free(c.loop);

    connect_client(&c, "ws://name.invalid", s->port, "/", false);
    RUN_UNTIL(&c, c.closed);
    assert_int_equal(c.end.end, WS_END_UNREACHABLE);
    ws_loop_free(c.loop);

    connect_client(&c, "ws://127.0.0.1", s->port, "/echo", false);
    RUN_UNTIL(&c, c.open);
    ws_abort(c.ws);
    RUN_UNTIL(&c, c.closed);
    assert_int_equal(c.end.end, WS_END_CLOSED);
    ws_loop_free(c.loop);

    /* Freed while it connects, and while it resolves: no callback, no leak. */
    connect_client(&c, "ws://127.0.0.1", s->port, "/echo", false);
    ws_loop_run(c.loop, 0);
    ws_loop_free(c.loop);
    connect_client(&c, "ws://localhost", s->port, "/echo", false);
    ws_loop_free(c.loop);
    assert_false(c.closed);
}

static void *answer_status(void *arg)
{
    int listener = *(int *)arg;
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) return NULL;
    char request[4096];
    ssize_t n = read(fd, request, sizeof request);
    static const char answer[] =
        "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    if (n > 0) n = write(fd, answer, sizeof answer - 1);
    close(fd);
    return NULL;
}

static void test_refused_with_status(void **state)
{
    (void)state;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)(void *)&a, sizeof a), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)(void *)&a, &len), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer_status, &listener), 0);
    struct client c;
    connect_client(&c, "ws://127.0.0.1", ntohs(a.sin_port), "/", false);
    RUN_UNTIL(&c, c.closed);
    assert_int_equal(c.end.end, WS_END_REFUSED);
    assert_int_equal(c.end.status, 429);
    pthread_join(thread, NULL);
    close(listener);
    ws_loop_free(c.loop);
}

/* A server that accepts and says nothing: the connection fails in its time. */
static void test_silent_server(void **state)
{
    (void)state;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)(void *)&a, sizeof a), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)(void *)&a, &len), 0);
    struct client c;
    struct err e;
    memset(&c, 0, sizeof c);
    struct ws_loop_options lo = {.tls_verify = true};
    assert_int_equal(ws_loop_new(&lo, &c.loop, &e), ERR_OK);
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", ntohs(a.sin_port));
    struct ws_options o = {.url = url,
                           .connect_timeout_ms = 50,
                           .frame_max = FRAME_MAX,
                           .ctx = &c,
                           .on_open = on_open,
                           .on_frame = on_frame,
                           .on_close = on_close};
    assert_int_equal(ws_open(c.loop, &o, &c.ws, &e), ERR_OK);
    RUN_UNTIL(&c, c.closed);
    assert_string_equal(c.end.reason, "no connection in time");
    ws_loop_free(c.loop);
    close(listener);
}

static void test_addresses(void **state)
{
    (void)state;
    struct ws_address a;
    struct err e;
    assert_int_equal(ws_parse_url("wss://ws.kraken.com/v2", &a, &e), ERR_OK);
    assert_true(a.tls && a.port == 443 && strcmp(a.path, "/v2") == 0);
    assert_int_equal(ws_parse_url("ws://[::1]:8080?a=b", &a, &e), ERR_OK);
    assert_string_equal(a.host, "::1");
    assert_int_equal(a.port, 8080);
    assert_string_equal(a.path, "/?a=b");
    static const char *const bad[] = {"http://x/",     "ws://",     "ws://:80/",
                                      "ws://h:0/",     "ws://h:x/", "ws://[::1/",
                                      "ws://h:70000/", "",          "wss://h: 1/"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(ws_parse_url(bad[i], &a, &e), ERR_CONFIG);
    assert_int_equal(ws_parse_url("http://h/?token=secret", &a, &e), ERR_CONFIG);
    assert_null(strstr(e.text, "secret"));
}

static int set_up(void **state)
{
    static struct server s;
    start_server(&s);
    *state = &s;
    return 0;
}
static int tear_down(void **state)
{
    stop_server(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_echo, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fragments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_huge, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ends, set_up, tear_down),
        cmocka_unit_test(test_refused_with_status),
        cmocka_unit_test(test_silent_server),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
