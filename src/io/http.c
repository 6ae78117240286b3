#include "io/http_internal.h"

#include <pthread.h>

enum { REDIRECTS_MAX = 3 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void set_up(void) { CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); }
void http_set_up(void) { pthread_once(&once, set_up); }

void http_answer_init(struct http_answer *a, size_t limit)
{
    *a = (struct http_answer){.retry_after_ms = -1};
    buf_init(&a->body, limit);
}

void http_answer_free(struct http_answer *a) { buf_free(&a->body); }

void http_place(const char *url, char place[HTTP_PLACE_MAX])
{
    struct str s = str_of(url);
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '?' || s.p[i] == '#') s.n = i;
    const char *host = strstr(url, "://");
    const char *at = s.n ? memchr(s.p, '@', s.n) : NULL;
    if (host && at) s = (struct str){at + 1, s.n - (size_t)(at + 1 - url)};
    if (s.n >= HTTP_PLACE_MAX) s.n = HTTP_PLACE_MAX - 1;
    str_copy(place, HTTP_PLACE_MAX, s);
}

size_t http_on_body(char *data, size_t size, size_t count, void *ctx)
{
    struct buf *body = ctx;
    buf_add(body, data, size * count);
    return body->failed ? 0 : size * count;
}

int http_on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    const atomic_bool *cancel = ctx;
    return cancel && atomic_load_explicit(cancel, memory_order_relaxed) ? 1 : 0;
}

enum err_code http_code_of(CURLcode code, const struct buf *body)
{
    if (body->failed) return ERR_FULL;
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return ERR_TIMEOUT;
    case CURLE_URL_MALFORMAT:
    case CURLE_SSL_CACERT_BADFILE: return ERR_CONFIG;
    case CURLE_ABORTED_BY_CALLBACK: return ERR_STOPPED;
    default: return ERR_NETWORK;
    }
}

static void set_options(CURL *c, const struct http_request *r, struct http_answer *a,
                        struct curl_slist *headers)
{
    curl_easy_setopt(c, CURLOPT_URL, r->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, HTTP_USER_AGENT);
    curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)r->connect_timeout_ms);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, r->tls_verify ? 1L : 0L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, r->tls_verify ? 2L : 0L);
    if (r->ca_file) curl_easy_setopt(c, CURLOPT_CAINFO, r->ca_file);
    if (headers) curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, http_on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &a->body);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, http_on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, (void *)(uintptr_t)r->cancel);
}

int64_t http_retry_after_ms(CURL *c)
{
    curl_off_t after = 0;
    if (curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &after) != CURLE_OK || after <= 0) return -1;
    return (after < HTTP_RETRY_AFTER_MAX_S ? after : HTTP_RETRY_AFTER_MAX_S) * 1000;
}

enum err_code http_get(const struct http_request *r, struct http_answer *ret, struct err *e)
{
    char place[HTTP_PLACE_MAX];
    http_place(r->url, place);
    if (!str_starts(str_of(r->url), "http://") && !str_starts(str_of(r->url), "https://"))
        return ERR(e, ERR_CONFIG, "GET %s: expected http:// or https://", place);
    http_set_up();
    CURL *c = curl_easy_init();
    CHECK(c != NULL);
    struct curl_slist *headers = NULL;
    if (r->header && r->header[0]) headers = curl_slist_append(NULL, r->header);
    buf_reset(&ret->body);
    ret->body.max = r->limit;
    ret->status = 0;
    ret->retry_after_ms = -1;
    set_options(c, r, ret, headers);
    CURLcode code = curl_easy_perform(c);
    long status = 0;
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    ret->retry_after_ms = http_retry_after_ms(c);
    ret->status = (int)status;
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    if (code == CURLE_OK) return ERR_OK;
    enum err_code result = http_code_of(code, &ret->body);
    if (result == ERR_FULL)
        return ERR(e, result, "GET %s: the answer is longer than %zu bytes", place, r->limit);
    return ERR(e, result, "GET %s: %s", place, curl_easy_strerror(code));
}
