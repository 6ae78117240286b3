/* The HTTP port, asked by libcurl: every path, the token, a slow /live client. */
#include "io/clock.h"
#include "io/http.h"
#include "serve/serve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sys/socket.h>

static bool is_ready;

static void metrics(void *ctx, struct buf *out)
{
    (void)ctx;
    for (int i = 0; i < 5000; i++) buf_addf(out, "ticklake_test_total{n=\"%d\"} 1\n", i);
}

static bool live(void *ctx, struct buf *why)
{
    (void)ctx;
    (void)why;
    return true;
}

static bool ready(void *ctx, struct buf *why)
{
    (void)ctx;
    if (!is_ready) buf_add_cstr(why, "0 of 1 connections are up");
    return is_ready;
}

static void status(void *ctx, struct buf *json)
{
    (void)ctx;
    buf_add_cstr(json, "{\"marks\":1}\n");
}

static struct serve *start(const char *bind, const char *token)
{
    struct serve_options o = {.bind = bind,
                              .token = token,
                              .metrics = metrics,
                              .live = live,
                              .ready = ready,
                              .status = status};
    struct serve *s = NULL;
    struct err e = {0};
    if (serve_start(&o, &s, &e) != ERR_OK) fail_msg("%s", e.text);
    return s;
}

static int ask(struct serve *s, const char *path, const char *header, struct http_answer *a)
{
    char url[256];
    struct err e = {0};
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", serve_port(s), path);
    struct http_request r = {.url = url,
                             .header = header,
                             .limit = 1 << 20,
                             .connect_timeout_ms = 5000,
                             .timeout_ms = 10000};
    buf_reset(&a->body);
    if (http_get(&r, a, &e) != ERR_OK) fail_msg("%s", e.text);
    return a->status;
}

static void test_paths(void **state)
{
    (void)state;
    struct serve *s = start("127.0.0.1:0", NULL);
    struct http_answer a;
    http_answer_init(&a, 1 << 20);
    assert_int_equal(ask(s, "/livez", NULL, &a), 200);
    assert_int_equal(ask(s, "/readyz", NULL, &a), 503);
    assert_non_null(strstr(buf_cstr(&a.body), "0 of 1"));
    is_ready = true;
    assert_int_equal(ask(s, "/readyz", NULL, &a), 200);
    assert_int_equal(ask(s, "/metrics", NULL, &a), 200);
    assert_non_null(strstr(buf_cstr(&a.body), "n=\"4999\""));
    assert_int_equal(ask(s, "/api/v1/status", NULL, &a), 200);
    assert_string_equal(buf_cstr(&a.body), "{\"marks\":1}\n");
    assert_int_equal(ask(s, "/nothing", NULL, &a), 404);
    http_answer_free(&a);
    serve_stop(s);
}

static void test_token(void **state)
{
    (void)state;
    struct serve *s = start("127.0.0.1:0", "right");
    struct http_answer a;
    http_answer_init(&a, 1 << 20);
    assert_int_equal(ask(s, "/livez", NULL, &a), 401);
    assert_int_equal(ask(s, "/livez", "Authorization: Bearer wrong", &a), 401);
    assert_int_equal(ask(s, "/livez", "Authorization: Bearer right", &a), 200);
    assert_int_equal(ask(s, "/livez?token=right", NULL, &a), 200);
    assert_int_equal(ask(s, "/livez?token=righ", NULL, &a), 401);
    http_answer_free(&a);
    serve_stop(s);
}

static void test_refused(void **state)
{
    (void)state;
    struct serve *s = start("127.0.0.1:0", NULL), *again = NULL;
    struct err e = {0};
    char bind[64];
    snprintf(bind, sizeof bind, "127.0.0.1:%d", serve_port(s));
    struct serve_options o = {
        .bind = bind, .metrics = metrics, .live = live, .ready = ready, .status = status};
    assert_int_equal(serve_start(&o, &again, &e), ERR_UNAVAILABLE);
    o.bind = "0.0.0.0:0";
    assert_int_equal(serve_start(&o, &again, &e), ERR_CONFIG);
    o.bind = "7070";
    assert_int_equal(serve_start(&o, &again, &e), ERR_CONFIG);
    serve_stop(s);
}

/* A client that does not read loses events, is told so, and holds nobody up. */
static void test_live(void **state)
{
    (void)state;
    struct serve *s = start("127.0.0.1:0", NULL);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)serve_port(s))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    const char *get = "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_int_equal(write(fd, get, strlen(get)), (ssize_t)strlen(get));
    int64_t until = clock_mono_ns() + 10 * NS_PER_S;
    while (!serve_has_listeners(s) && clock_mono_ns() < until) clock_sleep_ns(NS_PER_MS);
    assert_true(serve_has_listeners(s));
    serve_publish(s, STR("{\"n\":1}"));
    struct buf got;
    buf_init(&got, 1 << 22);
    while (!strstr(buf_cstr(&got), "data: {\"n\":1}")) {
        char piece[4096];
        ssize_t n = read(fd, piece, sizeof piece);
        assert_true(n > 0);
        buf_add(&got, piece, (size_t)n);
    }
    assert_non_null(strstr(buf_cstr(&got), "text/event-stream"));
    char *big = malloc(100000);
    assert_non_null(big);
    memset(big, 'x', 100000);
    for (int i = 0; i < 300; i++) serve_publish(s, (struct str){big, 100000});
    free(big);
    while (!strstr(buf_cstr(&got), "event: dropped")) {
        char piece[65536];
        ssize_t n = read(fd, piece, sizeof piece);
        assert_true(n > 0);
        if (got.len > 1 << 20) buf_reset(&got);
        buf_add(&got, piece, (size_t)n);
    }
    close(fd);
    buf_free(&got);
    serve_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
