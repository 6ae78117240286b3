/* http_send against servers of canned answers on loopback. */
#include "io/http.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Serves `answers` in turn, each for one request, over as few connections as the client opens; NULL closes the
 * connection without an answer. */
struct server {
    int listener, port, connections;
    pthread_t thread;
    const char *const *answers;
    size_t count;
    char requests[8][4096];
};

/* One request, headers and Content-Length of body; 0 when the client has gone. */
static size_t read_request(int fd, char *to, size_t room)
{
    size_t n = 0, want = 0;
    for (;;) {
        const char *end = strstr(to, "\r\n\r\n");
        const char *len = strstr(to, "Content-Length: ");
        if (end) {
            int64_t body = 0;
            if (len && len < end) {
                struct str rest = str_of(len + 16);
                assert_int_equal(str_to_i64(str_trim(str_cut(&rest, '\r')), &body), ERR_OK);
            }
            want = (size_t)(end + 4 - to) + (size_t)body;
            if (n >= want) return n;
        }
        ssize_t got = read(fd, to + n, room - 1 - n);
        if (got <= 0) return 0;
        n += (size_t)got;
        to[n] = 0;
    }
}

static void *run(void *arg)
{
    struct server *s = arg;
    int fd = -1;
    for (size_t i = 0; i < s->count; i++) {
        if (fd < 0) {
            fd = accept(s->listener, NULL, NULL);
            if (fd < 0) return NULL;
            s->connections++;
        }
        s->requests[i][0] = 0;
        if (read_request(fd, s->requests[i], sizeof s->requests[i]) == 0) {
            close(fd);
            fd = -1;
            i--;
            continue;
        }
        if (s->answers[i]) {
            size_t len = strlen(s->answers[i]);
            assert_int_equal(write(fd, s->answers[i], len), len);
        } else {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0) close(fd);
    return NULL;
}

static void start(struct server *s, const char *const *answers, size_t count)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    memset(s, 0, sizeof *s);
    s->answers = answers;
    s->count = count;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)(void *)&a, sizeof a), 0);
    assert_int_equal(listen(s->listener, 4), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)(void *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
}

static void stop(struct server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    close(s->listener);
}

static void init(struct http_call *c, const struct server *s, const char *method, const char *path)
{
    char url[256];
    snprintf(url, sizeof url, "http://user:hidden@127.0.0.1:%d%s", s->port, path);
    http_call_init(c, method, url, 1000);
    http_call_header(c, "Authorization", "Bearer secret-token");
}

static void methods_headers_and_bodies(void **state)
{
    (void)state;
    const char *answers[] = {
        ("HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n"
         "HTTP/1.1 201 Created\r\nContent-Length: 2\r\nETag: \"abc\"\r\n\r\nhi"),
        "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 Slow\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy",
        "HTTP/1.1 204 No Content\r\n\r\n",
    };
    const char *methods[] = {"PUT", "HEAD", "GET", "POST", "DELETE"};
    const int statuses[] = {201, 200, 302, 503, 204};
    struct server s;
    start(&s, answers, 5);
    struct http_client *h = http_client_new();
    for (size_t i = 0; i < 5; i++) {
        struct http_call c;
        struct http_reply r;
        struct err e = {0};
        init(&c, &s, methods[i], "/a%20b/../c?x=1");
        if (i == 0) c.body = STR("payload");
        http_call_header(&c, "x-empty", "");
        http_call_header(&c, "x-twice", "one");
        http_call_header(&c, "X-Twice", "two");
        assert_string_equal(http_call_get_header(&c, "x-TWICE"), "two");
        assert_string_equal(http_call_get_header(&c, "x-empty"), "");
        assert_null(http_call_get_header(&c, "x-twic"));
        assert_int_equal(http_send(h, &c, &r, &e), ERR_OK);
        assert_int_equal(r.status, statuses[i]);
        assert_int_equal(r.sends, 1);
        assert_int_equal(r.retry_after_ms, i == 3 ? 7000 : -1);
        if (i == 0) {
            assert_true(str_is(buf_str(&r.body), "hi"));
            assert_true(str_is(http_reply_header(&r, "etag"), "\"abc\""));
            assert_int_equal(http_reply_header(&r, "x-early").n, 0);
        }
        if (i == 1) assert_true(str_is(http_reply_header(&r, "CONTENT-LENGTH"), "77"));
        http_reply_free(&r);
        http_reply_free(&r);
        http_call_free(&c);
    }
    http_client_free(h);
    stop(&s);
    assert_int_equal(s.connections, 1);
    for (size_t i = 0; i < 5; i++) {
        const char *q = s.requests[i];
        char line[64];
        snprintf(line, sizeof line, "%s /a%%20b/../c?x=1 HTTP/1.1\r\n", methods[i]);
        assert_true(str_starts(str_of(q), line));
        assert_non_null(strstr(q, "Authorization: Bearer secret-token\r\n"));
        assert_non_null(strstr(q, "X-Twice: two\r\n"));
        assert_non_null(strstr(q, "x-empty:\r\n"));
        assert_null(strstr(q, "one\r\n"));
        assert_null(strstr(q, "Expect"));
        assert_null(strstr(q, "Content-Type"));
    }
    assert_non_null(strstr(s.requests[0], "Content-Length: 7\r\n"));
    assert_non_null(strstr(s.requests[0], "\r\n\r\npayload"));
    assert_non_null(strstr(s.requests[3], "Content-Length: 0\r\n"));
    assert_null(strstr(s.requests[4], "Content-Length"));
}

/* The request that found its kept connection dead was sent twice, and says so. */
static void a_dead_connection_is_told(void **state)
{
    (void)state;
    const char *answers[] = {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", NULL,
                             "HTTP/1.1 412 No\r\nContent-Length: 0\r\n\r\n"};
    struct server s;
    start(&s, answers, 3);
    struct http_client *h = http_client_new();
    for (size_t i = 0; i < 2; i++) {
        struct http_call c;
        struct http_reply r;
        struct err e = {0};
        init(&c, &s, "PUT", "/k");
        c.body = STR("x");
        assert_int_equal(http_send(h, &c, &r, &e), ERR_OK);
        assert_int_equal(r.status, i == 0 ? 200 : 412);
        assert_int_equal(r.sends, i == 0 ? 1 : 2);
        http_reply_free(&r);
        http_call_free(&c);
    }
    http_client_free(h);
    stop(&s);
}

static void failures_name_the_place_without_secrets(void **state)
{
    (void)state;
    /* A length is said and nothing sent; more answers than requests, so that it waits on. */
    const char *silent = "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n";
    const char *answers[] = {silent, silent, silent};
    struct server s;
    start(&s, answers, 3);
    struct http_client *h = http_client_new();
    struct http_call c;
    struct http_reply r;
    struct err e = {0};
    const atomic_bool yes = true;

    init(&c, &s, "GET", "/k?token=hidden");
    c.limit = 5000;
    c.cancel = &yes;
    assert_int_equal(http_send(h, &c, &r, &e), ERR_STOPPED);
    c.cancel = NULL;
    c.timeout_ms = 200;
    assert_int_equal(http_send(h, &c, &r, &e), ERR_TIMEOUT);
    assert_non_null(strstr(e.text, "GET 127.0.0.1:"));
    assert_null(strstr(e.text, "hidden"));
    assert_null(strstr(e.text, "secret"));
    http_call_header(&c, "x", "a\r\nb: c");
    assert_int_equal(http_send(h, &c, &r, &e), ERR_CONFIG);
    http_call_free(&c);

    http_call_init(&c, "GET", "http://user:hidden@127.0.0.1:1/k?token=hidden", 10);
    assert_int_equal(http_send(h, &c, &r, &e), ERR_NETWORK);
    assert_non_null(strstr(e.text, "127.0.0.1:1/k"));
    assert_null(strstr(e.text, "hidden"));
    http_call_free(&c);
    http_call_init(&c, "GET", "file:///etc/passwd", 10);
    assert_int_equal(http_send(h, &c, &r, &e), ERR_CONFIG);
    http_call_free(&c);
    http_client_free(h);
    stop(&s);
}

static void answers_are_bounded(void **state)
{
    (void)state;
    static char big[70000 + 100];
    int n = snprintf(big, sizeof big, "HTTP/1.1 200 OK\r\n");
    for (size_t i = (size_t)n; i < 70000;)
        i += (size_t)snprintf(big + i, sizeof big - i, "X-Long-%zu: %0500d\r\n", i, 7);
    const char *answers[] = {"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n12345678901"};
    const char *headers[] = {big};
    struct http_client *h = http_client_new();
    for (int i = 0; i < 2; i++) {
        struct server s;
        struct http_call c;
        struct http_reply r;
        struct err e = {0};
        start(&s, i == 0 ? answers : headers, 1);
        init(&c, &s, "GET", "/k");
        c.limit = 10;
        assert_int_equal(http_send(h, &c, &r, &e), ERR_FULL);
        http_call_free(&c);
        stop(&s);
    }
    http_client_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods_headers_and_bodies),
        cmocka_unit_test(a_dead_connection_is_told),
        cmocka_unit_test(failures_name_the_place_without_secrets),
        cmocka_unit_test(answers_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
