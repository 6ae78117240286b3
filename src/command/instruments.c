#include "command/instruments.h"

#include "io/http.h"

#include <stdio.h>

enum { ANSWER_MAX = 64 << 20, ANSWER_TIMEOUT_MS = 60000, WORDS = 200 };

static const struct config_venue *configured(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->venue_count; i++)
        if (strcmp(c->venues[i].name, name) == 0) return &c->venues[i];
    return NULL;
}

static enum err_code judge(const struct http_answer *a, const char *url, struct err *e)
{
    struct str words = {(const char *)a->body.data, a->body.len < WORDS ? a->body.len : WORDS};
    if (a->status == 200) return ERR_OK;
    enum err_code code = a->status == 401 || a->status == 403 ? ERR_REFUSED : ERR_UNAVAILABLE;
    return ERR(e, code, "%s answered %d: %.*s%s", url, a->status, STR_ARG(words),
               code == ERR_REFUSED ? "; check the token of this venue" : "");
}

static enum err_code fetch_page(const struct config *c, const struct venue *v, const char *base,
                                const struct venue_request *page,
                                void (*each)(void *ctx, const struct instrument *i), void *ctx,
                                struct err *e)
{
    char url[1024];
    int n = snprintf(url, sizeof url, "%s%s", base, page->path);
    if (n < 0 || (size_t)n >= sizeof url)
        return ERR(e, ERR_CONFIG, "%s: the address is longer than %zu bytes", base, sizeof url - 1);
    struct http_request r = {
        .url = url,
        .header = page->header,
        .limit = ANSWER_MAX,
        .connect_timeout_ms = (int32_t)c->source.connect_timeout_ms,
        .timeout_ms = ANSWER_TIMEOUT_MS,
        .tls_verify = c->source.tls_verify,
        .ca_file = c->source.ca_file,
    };
    struct http_answer a;
    http_answer_init(&a, ANSWER_MAX + VENUE_PADDING);
    enum err_code code = http_get(&r, &a, e);
    if (code == ERR_OK) code = judge(&a, url, e);
    if (code == ERR_OK && !buf_room(&a.body, VENUE_PADDING))
        code = ERR(e, ERR_FULL, "%s: the answer is longer than %d bytes", url, ANSWER_MAX);
    if (code == ERR_OK) {
        memset(a.body.data + a.body.len, 0, VENUE_PADDING);
        code = v->instruments_answer((char *)a.body.data, a.body.len, each, ctx, e);
    }
    http_answer_free(&a);
    return code;
}

enum err_code instruments_fetch(const struct config *c, const struct venue *v,
                                void (*each)(void *ctx, const struct instrument *i), void *ctx,
                                struct err *e)
{
    enum { PAGES_MAX = 1000 };
    const struct config_venue *cv = configured(c, v->name);
    struct str token = str_of(cv ? cv->token : NULL);
    struct venue_request page;
    for (int i = 0; i < PAGES_MAX && v->instruments_request(i, token, &page); i++) {
        enum err_code code =
            fetch_page(c, v, cv && cv->rest_url ? cv->rest_url : v->rest_url, &page, each, ctx, e);
        if (code != ERR_OK) {
            err_prefix(e, "instruments of %s: ", v->name);
            return code;
        }
    }
    return ERR_OK;
}
