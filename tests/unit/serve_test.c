#include "serve/serve.h"

#include "io/http.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { BIG = 3000000 };

struct state {
    bool ready;
    size_t metrics_len;
};

static void metrics(void *ctx, struct buf *out)
{
    const struct state *s = ctx;
    buf_add_cstr(out, "ticklake_test 1\n");
    while (out->len < s->metrics_len) buf_add_cstr(out, "# a long line of metrics to fill it\n");
}
static bool live(void *ctx, struct buf *why)
{
    (void)ctx, (void)why;
    return true;
}
static bool ready(void *ctx, struct buf *why)
{
    const struct state *s = ctx;
    if (!s->ready) buf_add_cstr(why, "venues are not connected yet");
    return s->ready;
}
static void status(void *ctx, struct buf *json)
{
    (void)ctx;
    buf_add_cstr(json, "{\"ok\":true}");
}

static struct serve *start(struct state *s, const char *bind, const char *token)
{
    struct serve_options o = {.bind = bind,
                              .token = token,
                              .metrics = metrics,
                              .live = live,
                              .ready = ready,
                              .status = status,
                              .ctx = s};
    struct serve *v = NULL;
    struct err e;
    assert_int_equal(serve_start(&o, &v, &e), ERR_OK);
    assert_in_range(serve_port(v), 1, 65535);
    return v;
}

static int get(const struct serve *s, const char *path, const char *header, struct buf *body)
{
    char url[128];
    struct err e;
    struct http_answer a;
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", serve_port(s), path);
    struct http_request r = {.url = url,
                             .header = header,
                             .limit = 8 << 20,
                             .connect_timeout_ms = 5000,
                             .timeout_ms = 20000,
                             .tls_verify = true};
    http_answer_init(&a, 8 << 20);
    assert_int_equal(http_get(&r, &a, &e), ERR_OK);
    if (body) {
        buf_reset(body);
        buf_add_str(body, buf_str(&a.body));
    }
    http_answer_free(&a);
    return a.status;
}

static void test_pages(void **state)
{
    (void)state;
    struct state st = {.ready = false};
    struct serve *s = start(&st, "127.0.0.1:0", NULL);
    struct buf body;
    buf_init(&body, 8 << 20);
    assert_int_equal(get(s, "/metrics", NULL, &body), 200);
    assert_true(str_is(buf_str(&body), "ticklake_test 1\n"));
    assert_int_equal(get(s, "/livez", NULL, &body), 200);
    assert_int_equal(get(s, "/readyz", NULL, &body), 503);
    assert_true(str_contains(buf_str(&body), "not connected"));
    st.ready = true;
    assert_int_equal(get(s, "/readyz", NULL, &body), 200);
    assert_int_equal(get(s, "/api/v1/status", NULL, &body), 200);
    assert_true(str_is(buf_str(&body), "{\"ok\":true}"));
    assert_int_equal(get(s, "/", NULL, &body), 200);
    assert_int_equal(get(s, "/nothing?here", NULL, &body), 404);
    /* A page of another origin, led to us by its own name, is not answered. */
    assert_int_equal(get(s, "/metrics", "Host: evil.example", &body), 403);
    assert_int_equal(get(s, "/metrics", "Host: 127.0.0.1.evil.example", &body), 403);
    assert_int_equal(get(s, "/metrics", "Host: localhost.evil.example:7070", &body), 403);
    assert_int_equal(get(s, "/metrics", "Host: 127.0.0.1:7070", &body), 200);
    assert_int_equal(get(s, "/metrics", "Host: [::1]:7070", &body), 200);
    st.metrics_len = BIG;
    assert_int_equal(get(s, "/metrics", NULL, &body), 200);
    assert_true(body.len >= BIG);
    buf_free(&body);
    serve_stop(s);
}

static void test_token(void **state)
{
    (void)state;
    struct state st = {.ready = true};
    struct serve *s = start(&st, "0.0.0.0:0", "s3cret");
    assert_int_equal(get(s, "/metrics", NULL, NULL), 401);
    assert_int_equal(get(s, "/metrics", "Authorization: Bearer s3cret", NULL), 200);
    assert_int_equal(get(s, "/metrics", "Authorization: Bearer s3cres", NULL), 401);
    assert_int_equal(get(s, "/metrics", "Authorization: Bearer s3cret0", NULL), 401);
    assert_int_equal(get(s, "/metrics", "Authorization: Bearer ", NULL), 401);
    assert_int_equal(get(s, "/api/v1/status?token=s3cret", NULL, NULL), 200);
    assert_int_equal(get(s, "/api/v1/status?token=", NULL, NULL), 401);
    assert_int_equal(get(s, "/livez", NULL, NULL), 200);
    serve_stop(s);
}

static void test_refusals(void **state)
{
    (void)state;
    struct state st = {.ready = true};
    struct serve *s = start(&st, "127.0.0.1:0", NULL), *none = NULL;
    struct err e;
    char bind[64];
    snprintf(bind, sizeof bind, "127.0.0.1:%d", serve_port(s));
    struct serve_options o = {.bind = bind};
    assert_int_equal(serve_start(&o, &none, &e), ERR_UNAVAILABLE);
    assert_non_null(strstr(e.text, "127.0.0.1"));
    static const char *const bad[] = {"0.0.0.0:0", "[::]:0",          "10.1.2.3:80",    "127.0.0.1",
                                      "x:y",       "127.0.0.1:70000", "host.example:80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        o.bind = bad[i];
        assert_int_equal(serve_start(&o, &none, &e), ERR_CONFIG);
    }
    assert_null(none);
    serve_stop(s);
}

/* ---- The stream ---- */

static int listen_live(const struct serve *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)serve_port(s)),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    int small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    struct timeval patience = {20, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)(void *)&a, sizeof a), 0);
    static const char request[] = "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_int_equal(write(fd, request, sizeof request - 1), sizeof request - 1);
    return fd;
}

static void read_until(int fd, struct buf *all, const char *wanted)
{
    char bytes[65536];
    while (!str_contains(buf_str(all), wanted)) {
        ssize_t n = read(fd, bytes, sizeof bytes);
        assert_true(n > 0);
        if (all->len > 60000) { /* the end is enough to look at */
            memmove(all->data, all->data + all->len - 100, 100);
            all->len = 100;
        }
        buf_add(all, bytes, (size_t)n);
    }
}

static void test_live(void **state)
{
    (void)state;
    struct state st = {.ready = true};
    struct serve *s = start(&st, "127.0.0.1:0", NULL);
    struct buf all;
    buf_init(&all, 1 << 20);
    assert_false(serve_has_listeners(s));
    serve_publish(s, STR("{\"nobody\":1}"));
    int fd = listen_live(s);
    read_until(fd, &all, ": ticklake\n\n"); /* the header "server: ticklake" comes before */
    assert_true(str_contains(buf_str(&all), "text/event-stream"));
    assert_true(serve_has_listeners(s));
    serve_publish(s, STR("{\"trade\":1}"));
    serve_publish(s, STR("{\"trade\":2}"));
    read_until(fd, &all, "data: {\"trade\":1}\n\ndata: {\"trade\":2}\n\n");
    /* A listener that does not read: events are dropped, and it is told once it reads again. */
    char big[1000];
    memset(big, 'x', sizeof big);
    for (int i = 0; i < 20000; i++) serve_publish(s, (struct str){big, sizeof big});
    char bytes[65536];
    bool told = false;
    for (int i = 0; i < 100000 && !told; i++) {
        ssize_t n = read(fd, bytes, sizeof bytes);
        assert_true(n > 0);
        told = memmem(bytes, (size_t)n, "\"dropped\":", 10) != NULL;
        if (!told && i % 4 == 0) serve_publish(s, STR("{\"last\":1}"));
    }
    assert_true(told);
    buf_free(&all);
    close(fd);
    int again = listen_live(s); /* stopped while somebody listens */
    serve_stop(s);
    close(again);
}

/* ---- Files and the API ---- */

static const unsigned char page_bytes[] = "<!doctype html>";
static const struct serve_file files[] = {
    {"/index.html", "text/html", "\"e1\"", page_bytes, sizeof page_bytes - 1},
};

struct asking {
    struct serve *serve;
    pthread_t thread;
    uint64_t id;
};

static void *answer_later(void *ctx)
{
    struct asking *a = ctx;
    serve_answer(a->serve, a->id + 1000, 200, STR("{\"whose\":1}")); /* nobody waits for that */
    serve_answer(a->serve, a->id, 400, STR("{\"later\":1}"));
    return NULL;
}

static enum serve_reply api(void *ctx, uint64_t id, const char *name, const char *query,
                            struct buf *out)
{
    struct asking *a = ctx;
    if (str_is(str_of(name), "busy")) return SERVE_BUSY;
    if (str_is(str_of(name), "later")) {
        a->id = id;
        assert_int_equal(pthread_create(&a->thread, NULL, answer_later, a), 0);
        return SERVE_LATER;
    }
    if (!str_is(str_of(name), "now")) return SERVE_NONE;
    buf_add_cstr(out, query);
    return SERVE_NOW;
}

static void test_files_and_api(void **state)
{
    (void)state;
    struct asking a = {0};
    struct serve_options o = {.bind = "127.0.0.1:0",
                              .token = "s3cret",
                              .api = api,
                              .files = files,
                              .file_count = 1,
                              .ctx = &a};
    struct err e;
    struct buf body;
    static const char bearer[] = "Authorization: Bearer s3cret";
    assert_int_equal(serve_start(&o, &a.serve, &e), ERR_OK);
    buf_init(&body, 1 << 20);
    /* A page must be there to ask for the token; what it shows must not. */
    assert_int_equal(get(a.serve, "/", NULL, &body), 200);
    assert_true(str_is(buf_str(&body), "<!doctype html>"));
    assert_int_equal(get(a.serve, "/index.html", "If-None-Match: W/\"e1\"", &body), 304);
    assert_int_equal(body.len, 0);
    assert_int_equal(get(a.serve, "/index.html", "If-None-Match: \"e2\"", NULL), 200);
    assert_int_equal(get(a.serve, "/../index.html", bearer, NULL),
                     200); /* resolved, and nothing else */
    assert_int_equal(get(a.serve, "/etc/passwd", bearer, NULL), 404);
    assert_int_equal(get(a.serve, "/api/v1/now", NULL, NULL), 401);
    assert_int_equal(get(a.serve, "/api/v1/now?a=1&b=x%26y%3D%2F%25&c", bearer, &body), 200);
    assert_true(str_is(buf_str(&body), "a=1&b=x%26y%3D/%25&c"));
    assert_int_equal(get(a.serve, "/api/v1/busy", bearer, NULL), 503);
    assert_int_equal(get(a.serve, "/api/v1/none", bearer, NULL), 404);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(get(a.serve, "/api/v1/later", bearer, &body), 400);
        assert_true(str_is(buf_str(&body), "{\"later\":1}"));
        pthread_join(a.thread, NULL);
    }
    serve_answer(a.serve, a.id, 200, STR("{\"twice\":1}"));
    buf_free(&body);
    serve_stop(a.serve);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages),         cmocka_unit_test(test_token),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_live),
        cmocka_unit_test(test_files_and_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
