#include "serve/serve_internal.h"

#include <stdio.h>

/* ---- Headers ---- */

struct headers {
    struct lws *wsi;
    unsigned char bytes[LWS_PRE + 2048];
    unsigned char *at, *end;
    bool failed;
};

static void add_header(struct headers *h, const char *name, const char *value)
{
    if (lws_add_http_header_by_name(h->wsi, (const unsigned char *)name,
                                    (const unsigned char *)value, (int)strlen(value), &h->at,
                                    h->end))
        h->failed = true;
}

/* Nothing but what comes from here runs, and no other page may frame it. Styles that a script sets on an element are not what
 * style-src is about. */
static void add_policy(struct headers *h)
{
    add_header(h, "content-security-policy:",
               "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
               "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    add_header(h, "x-content-type-options:", "nosniff");
    add_header(h, "referrer-policy:", "no-referrer");
    add_header(h, "cross-origin-resource-policy:", "same-origin");
}

static int send_with(struct lws *wsi, struct serve_client *c, int status, const char *type,
                     const char *etag)
{
    struct headers h = {.wsi = wsi};
    h.at = h.bytes + LWS_PRE;
    h.end = h.bytes + sizeof h.bytes;
    c->answer_at = 0;
    if (lws_add_http_common_headers(wsi, (unsigned)status, type, c->answer.len, &h.at, h.end))
        return -1;
    add_header(&h, "cache-control:", etag ? "no-cache" : "no-store");
    if (etag) add_header(&h, "etag:", etag);
    add_policy(&h);
    if (status == 401) add_header(&h, "www-authenticate:", "Bearer");
    if (h.failed || lws_finalize_write_http_header(wsi, h.bytes + LWS_PRE, &h.at, h.end)) return -1;
    c->headers_sent = true;
    lws_callback_on_writable(wsi);
    return 0;
}

int serve_send(struct lws *wsi, struct serve_client *c, int status, const char *type)
{
    return send_with(wsi, c, status, type, NULL);
}

int serve_say(struct lws *wsi, struct serve_client *c, int status, const char *text)
{
    buf_reset(&c->answer);
    buf_add_cstr(&c->answer, text);
    return serve_send(wsi, c, status, "text/plain; charset=utf-8");
}

/* ---- Static files ---- */

static bool is_known(struct lws *wsi, const char *etag)
{
    char text[256];
    int n = lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP_IF_NONE_MATCH);
    return n > 0 && str_contains((struct str){text, (size_t)n}, etag);
}

int serve_send_file(struct lws *wsi, struct serve_client *c, struct str path)
{
    const struct serve_options *o = &c->serve->options;
    if (str_is(path, "/")) path = STR("/index.html");
    for (size_t i = 0; i < o->file_count; i++) {
        const struct serve_file *f = &o->files[i];
        if (!str_is(path, f->path)) continue;
        buf_reset(&c->answer);
        if (is_known(wsi, f->etag)) return send_with(wsi, c, 304, f->type, f->etag);
        buf_add(&c->answer, f->data, f->size);
        return send_with(wsi, c, 200, f->type, f->etag);
    }
    return -2;
}

/* ---- Pages of the API ---- */

static void add_encoded(struct buf *out, char c, bool in_value)
{
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 memchr("-._~/:", c, 6) || (c == '=' && !in_value);
    if (plain)
        buf_add_byte(out, (uint8_t)c);
    else
        buf_addf(out, "%%%02X", (unsigned char)c);
}

/* The server has cut the arguments at "&" and taken their escapes off: put together again, as whoever asked wrote them. */
static bool read_query(struct lws *wsi, struct buf *out)
{
    char piece[SERVE_QUERY_MAX];
    for (int i = 0;; i++) {
        if (lws_hdr_fragment_length(wsi, WSI_TOKEN_HTTP_URI_ARGS, i) <= 0) return !out->failed;
        int n = lws_hdr_copy_fragment(wsi, piece, sizeof piece, WSI_TOKEN_HTTP_URI_ARGS, i);
        if (n < 0) return false; /* too long */
        if (out->len) buf_add_byte(out, '&');
        bool in_value = false;
        for (int k = 0; k < n; k++) {
            add_encoded(out, piece[k], in_value);
            in_value = in_value || piece[k] == '=';
        }
    }
}

static int send_api(struct lws *wsi, struct serve_client *c, enum serve_reply reply)
{
    if (reply == SERVE_NONE) return serve_say(wsi, c, 404, "no such page\n");
    if (reply == SERVE_BUSY) return serve_say(wsi, c, 503, "too many questions wait; ask again\n");
    if (c->answer.failed) return serve_say(wsi, c, 500, "the answer is too long\n");
    return serve_send(wsi, c, 200, "application/json");
}

int serve_ask_api(struct lws *wsi, struct serve_client *c, struct str name)
{
    struct serve *s = c->serve;
    const struct serve_options *o = &s->options;
    struct buf query;
    char text[64];
    if (!str_copy(text, sizeof text, name)) return serve_say(wsi, c, 404, "no such page\n");
    buf_init(&query, SERVE_QUERY_MAX);
    if (!read_query(wsi, &query)) {
        buf_free(&query);
        return serve_say(wsi, c, 414, "the address is too long\n");
    }
    buf_reset(&c->answer);
    pthread_mutex_lock(&s->lock);
    uint64_t id = c->waits_for = ++s->last_id;
    pthread_mutex_unlock(&s->lock);
    enum serve_reply reply =
        o->api(o->ctx, id, text, query.len ? buf_cstr(&query) : "", &c->answer);
    buf_free(&query);
    if (reply == SERVE_LATER) {
        lws_set_timer_usecs(wsi, SERVE_LATER_S * LWS_USEC_PER_SEC);
        lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, SERVE_LATER_S + 10);
        return 0;
    }
    pthread_mutex_lock(&s->lock);
    c->waits_for = 0;
    pthread_mutex_unlock(&s->lock);
    return send_api(wsi, c, reply);
}

void serve_answer(struct serve *s, uint64_t id, int status, struct str json)
{
    pthread_mutex_lock(&s->lock);
    for (struct serve_client *c = s->clients; c; c = c->next) {
        if (c->waits_for != id) continue;
        buf_reset(&c->later);
        buf_add_str(&c->later, json);
        c->later_status = status;
    }
    pthread_mutex_unlock(&s->lock);
    lws_cancel_service(s->context);
}

/* One client at a time: sending may end a connection, and with it change the list. */
static struct serve_client *take_answered(struct serve *s, int *ret_status)
{
    struct serve_client *found = NULL;
    pthread_mutex_lock(&s->lock);
    for (struct serve_client *c = s->clients; c && !found; c = c->next) {
        if (!c->later_status) continue;
        struct buf answer = c->answer;
        c->answer = c->later;
        c->later = answer;
        *ret_status = c->later_status;
        c->later_status = 0;
        c->waits_for = 0;
        found = c;
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

void serve_send_later(struct serve *s)
{
    struct serve_client *c;
    int status;
    while ((c = take_answered(s, &status)) != NULL) {
        struct lws *wsi = c->wsi;
        lws_set_timer_usecs(wsi, LWS_SET_TIMER_USEC_CANCEL);
        if (serve_send(wsi, c, c->answer.failed ? 500 : status, "application/json") != 0)
            lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, LWS_TO_KILL_ASYNC);
    }
}

int serve_give_up(struct lws *wsi, struct serve_client *c)
{
    struct serve *s = c->serve;
    pthread_mutex_lock(&s->lock);
    bool waits = c->waits_for != 0 && !c->later_status;
    if (waits) c->waits_for = 0;
    pthread_mutex_unlock(&s->lock);
    return waits ? serve_say(wsi, c, 504, "no answer in time\n") : 0;
}
