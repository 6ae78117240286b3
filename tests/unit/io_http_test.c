/* The REST client against a server of canned answers on loopback. */
#include "io/http.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct server {
    int listener, port;
    pthread_t thread;
    const char *answer; /* NULL: none at all */
    char request[4096];
};

static void *run(void *arg)
{
    struct server *s = arg;
    int fd = accept(s->listener, NULL, NULL);
    if (fd < 0) return NULL;
    ssize_t n = read(fd, s->request, sizeof s->request - 1);
    if (n > 0) s->request[n] = 0;
    if (s->answer) n = write(fd, s->answer, strlen(s->answer));
    if (!s->answer) n = read(fd, s->request, sizeof s->request); /* until the client gives up */
    close(fd);
    return NULL;
}

static void start(struct server *s, const char *answer)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof a;
    memset(s, 0, sizeof *s);
    s->answer = answer;
    s->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)(void *)&a, sizeof a), 0);
    assert_int_equal(listen(s->listener, 1), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)(void *)&a, &len), 0);
    s->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
}

static enum err_code get(struct server *s, struct http_answer *a, size_t limit, int32_t timeout_ms,
                         struct err *e)
{
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/list?key=hidden", s->port);
    struct http_request r = {.url = url,
                             .header = "Authorization: Token secret",
                             .limit = limit,
                             .connect_timeout_ms = 5000,
                             .timeout_ms = timeout_ms,
                             .tls_verify = true};
    http_answer_init(a, limit);
    enum err_code code = http_get(&r, a, e);
    pthread_join(s->thread, NULL);
    close(s->listener);
    return code;
}

static void test_answer(void **state)
{
    (void)state;
    struct server s;
    struct http_answer a;
    struct err e;
    start(&s, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(get(&s, &a, 100, 10000, &e), ERR_OK);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.retry_after_ms, -1);
    assert_true(str_is(buf_str(&a.body), "hello"));
    assert_non_null(strstr(s.request, "User-Agent: ticklake"));
    assert_non_null(strstr(s.request, "Authorization: Token secret"));
    assert_non_null(strstr(s.request, "GET /list?key=hidden "));
    http_answer_free(&a);
}

static void test_retry_after(void **state)
{
    (void)state;
    struct server s;
    struct http_answer a;
    struct err e;
    start(&s, "HTTP/1.1 429 Slow down\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(get(&s, &a, 100, 10000, &e), ERR_OK);
    assert_int_equal(a.status, 429);
    assert_int_equal(a.retry_after_ms, 7000);
    http_answer_free(&a);
}

static void no_secret(const struct err *e)
{
    assert_null(strstr(e->text, "hidden"));
    assert_null(strstr(e->text, "secret"));
    assert_non_null(strstr(e->text, "127.0.0.1"));
}

static void test_failures(void **state)
{
    (void)state;
    struct server s;
    struct http_answer a;
    struct err e;
    start(&s,
          "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n0123456789012345678901234567890123456");
    assert_int_equal(get(&s, &a, 20, 10000, &e), ERR_FULL);
    no_secret(&e);
    http_answer_free(&a);
    start(&s, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\ncut");
    assert_int_equal(get(&s, &a, 1000, 10000, &e), ERR_NETWORK);
    no_secret(&e);
    http_answer_free(&a);
    start(&s, NULL);
    assert_int_equal(get(&s, &a, 1000, 100, &e), ERR_TIMEOUT);
    no_secret(&e);
    http_answer_free(&a);
    start(&s, "garbage");
    assert_int_equal(get(&s, &a, 1000, 10000, &e), ERR_NETWORK);
    http_answer_free(&a);

    struct http_request r = {
        .url = "file:///etc/passwd", .limit = 100, .connect_timeout_ms = 100, .timeout_ms = 100};
    http_answer_init(&a, 100);
    assert_int_equal(http_get(&r, &a, &e), ERR_CONFIG);
    r.url = "https://user:secret@127.0.0.1:1/x";
    assert_int_equal(http_get(&r, &a, &e), ERR_NETWORK);
    no_secret(&e);
    atomic_bool cancel = true;
    r.cancel = &cancel;
    assert_int_not_equal(http_get(&r, &a, &e), ERR_OK);
    http_answer_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answer),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
