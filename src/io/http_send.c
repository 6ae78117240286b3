#include "io/http_internal.h"

#include <stdlib.h>
#include <strings.h>

enum { CONNECT_TIMEOUT_MS = 5000, TIMEOUT_MS = 30000 };

struct http_client {
    CURL *curl;
    char words[CURL_ERROR_SIZE];
};

struct http_client *http_client_new(void)
{
    http_set_up();
    struct http_client *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->curl = curl_easy_init();
    CHECK(c->curl != NULL);
    return c;
}

struct http_client *http_client_free(struct http_client *c)
{
    if (!c) return NULL;
    curl_easy_cleanup(c->curl);
    free(c);
    return NULL;
}

void http_call_init(struct http_call *c, const char *method, const char *url, size_t limit)
{
    *c = (struct http_call){.method = method, .url = strdup(url), .limit = limit};
    CHECK(c->url != NULL);
}

/* Headers held secrets: they do not stay readable in freed memory. */
static void wipe(char *text)
{
    if (text) explicit_bzero(text, strlen(text));
    free(text);
}

void http_call_free(struct http_call *c)
{
    free(c->url);
    for (size_t i = 0; i < c->header_count; i++) wipe(c->headers[i]);
    c->url = NULL;
    c->header_count = 0;
}

static bool is_named(const char *line, const char *name)
{
    size_t n = strlen(name);
    return strncasecmp(line, name, n) == 0 && (line[n] == ':' || line[n] == ';');
}

void http_call_header(struct http_call *c, const char *name, const char *value)
{
    size_t len = strlen(name) + strlen(value) + 3, at = 0;
    while (at < c->header_count && !is_named(c->headers[at], name)) at++;
    /* A line break in a value would be a second header: somebody else's words in our request. */
    if (strpbrk(name, "\r\n") || strpbrk(value, "\r\n") || len > HTTP_HEADER_LIMIT ||
        at == HTTP_HEADERS_MAX) {
        c->bad_header = true;
        return;
    }
    char *line = malloc(len);
    CHECK(line != NULL);
    /* "Name;" is curl's way to ask for a header without a value. */
    const char *between = value[0] ? ": " : ";";
    char *end = mempcpy(line, name, strlen(name));
    end = mempcpy(end, between, strlen(between));
    memcpy(end, value, strlen(value) + 1);
    if (at == c->header_count)
        c->header_count++;
    else
        wipe(c->headers[at]);
    c->headers[at] = line;
}

const char *http_call_get_header(const struct http_call *c, const char *name)
{
    for (size_t i = 0; i < c->header_count; i++)
        if (is_named(c->headers[i], name)) {
            const char *value = c->headers[i] + strlen(name);
            return *value == ';' ? "" : value + 2;
        }
    return NULL;
}

void http_reply_free(struct http_reply *r)
{
    buf_free(&r->body);
    buf_free(&r->headers);
}

struct str http_reply_header(const struct http_reply *r, const char *name)
{
    struct str rest = buf_str(&r->headers);
    size_t n = strlen(name);
    while (rest.n) {
        struct str line = str_cut(&rest, '\n');
        if (line.n > n && line.p[n] == ':' && strncasecmp(line.p, name, n) == 0)
            return str_trim((struct str){line.p + n + 1, line.n - n - 1});
    }
    return (struct str){"", 0};
}

static size_t on_header(char *data, size_t size, size_t count, void *ctx)
{
    struct buf *headers = ctx;
    size_t n = size * count;
    if (n >= 5 && memcmp(data, "HTTP/", 5) == 0) buf_reset(headers);
    buf_add(headers, data, n);
    return headers->failed ? 0 : n;
}

static int on_sending(void *ctx, char *a, char *b, int c, int d)
{
    (void)a, (void)b, (void)c, (void)d;
    struct http_reply *r = ctx;
    r->sends++;
    return CURL_PREREQFUNC_OK;
}

static void set_method(CURL *c, const struct http_call *call)
{
    bool head = strcmp(call->method, "HEAD") == 0;
    bool sends = strcmp(call->method, "PUT") == 0 || strcmp(call->method, "POST") == 0 ||
                 strcmp(call->method, "PATCH") == 0 || call->body.n > 0;
    if (sends) {
        curl_easy_setopt(c, CURLOPT_POST, 1L);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, call->body.n ? call->body.p : "");
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
    }
    if (head)
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, call->method);
}

static void set_options(struct http_client *h, const struct http_call *call, struct http_reply *ret,
                        struct curl_slist *headers)
{
    CURL *c = h->curl;
    curl_easy_reset(c); /* the connections stay */
    h->words[0] = 0;
    curl_easy_setopt(c, CURLOPT_URL, call->url);
    set_method(c, call);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L); /* a key "a/../b" is signed as it stands */
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, HTTP_USER_AGENT);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, h->words);
    curl_easy_setopt(
        c, CURLOPT_CONNECTTIMEOUT_MS,
        (long)(call->connect_timeout_ms ? call->connect_timeout_ms : CONNECT_TIMEOUT_MS));
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS,
                     (long)(call->timeout_ms ? call->timeout_ms : TIMEOUT_MS));
    if (call->direct) curl_easy_setopt(c, CURLOPT_PROXY, "");
    if (call->ca_file) curl_easy_setopt(c, CURLOPT_CAINFO, call->ca_file);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, http_on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &ret->body);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, &ret->headers);
    curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, on_sending);
    curl_easy_setopt(c, CURLOPT_PREREQDATA, ret);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, http_on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, (void *)(uintptr_t)call->cancel);
}

static struct curl_slist *header_list(const struct http_call *call)
{
    struct curl_slist *list = NULL;
    for (size_t i = 0; i < call->header_count; i++)
        CHECK((list = curl_slist_append(list, call->headers[i])) != NULL);
    /* curl would wait a second for "100 Continue", and call every body a form. */
    CHECK((list = curl_slist_append(list, "Expect:")) != NULL);
    if (!http_call_get_header(call, "Content-Type"))
        CHECK((list = curl_slist_append(list, "Content-Type:")) != NULL);
    return list;
}

static enum err_code check_call(const struct http_call *call, const char *place, struct err *e)
{
    if (!str_starts(str_of(call->url), "http://") && !str_starts(str_of(call->url), "https://"))
        return ERR(e, ERR_CONFIG, "%s %s: expected http:// or https://", call->method, place);
    if (call->bad_header)
        return ERR(e, ERR_CONFIG,
                   "%s %s: a header holds a line break, is longer than %d bytes, or is the %dth",
                   call->method, place, HTTP_HEADER_LIMIT, HTTP_HEADERS_MAX + 1);
    return ERR_OK;
}

enum err_code http_send(struct http_client *h, const struct http_call *call, struct http_reply *ret,
                        struct err *e)
{
    char place[HTTP_PLACE_MAX];
    http_place(call->url, place);
    *ret = (struct http_reply){.retry_after_ms = -1};
    buf_init(&ret->body, call->limit);
    buf_init(&ret->headers, HTTP_REPLY_HEADERS_LIMIT);
    TRY(check_call(call, place, e));
    struct curl_slist *headers = header_list(call);
    set_options(h, call, ret, headers);
    CURLcode code = curl_easy_perform(h->curl);
    long status = 0;
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
    ret->status = (int)status;
    ret->retry_after_ms = http_retry_after_ms(h->curl);
    curl_slist_free_all(headers);
    if (code == CURLE_OK) return ERR_OK;
    enum err_code result = http_code_of(code, &ret->body);
    bool long_headers = ret->headers.failed;
    http_reply_free(ret);
    if (long_headers)
        return ERR(e, ERR_FULL, "%s %s: the answer's headers are longer than %d bytes",
                   call->method, place, HTTP_REPLY_HEADERS_LIMIT);
    if (result == ERR_FULL)
        return ERR(e, result, "%s %s: the answer is longer than %zu bytes", call->method, place,
                   call->limit);
    return ERR(e, result, "%s %s: %s", call->method, place,
               h->words[0] ? h->words : curl_easy_strerror(code));
}
