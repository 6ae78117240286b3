#include "source/fetch.h"

#include "io/clock.h"

#include <stdio.h>

enum { ANSWER_MS = 120000, URL_MAX = 1200, WORDS_MAX = 200 };

/* The venue's own words, without what would garble a terminal. */
static void words_of(const struct buf *body, char words[WORDS_MAX + 1])
{
    size_t n = body->len < WORDS_MAX ? body->len : WORDS_MAX;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = body->data[i];
        words[i] = (char)(c < ' ' || c == 0x7f ? ' ' : c);
    }
    words[n] = 0;
}

static enum err_code judge(const struct http_answer *a, const char *url, struct err *e)
{
    if (a->status >= 200 && a->status < 300) return ERR_OK;
    struct str place = str_of(url);
    place = str_cut(&place, '?'); /* a query may hold a secret */
    char words[WORDS_MAX + 1];
    words_of(&a->body, words);
    bool refused = a->status == 401 || a->status == 403;
    return ERR(e, refused ? ERR_REFUSED : ERR_UNAVAILABLE, "GET %.*s: status %d: %s%s",
               STR_ARG(place), a->status, words, refused ? "; check the token of this venue" : "");
}

static enum err_code get(const struct source_fetch *f, const struct venue_request *request,
                         struct http_answer *ret, struct err *e)
{
    char url[URL_MAX];
    struct str base = str_of(f->rest_url ? f->rest_url : f->venue->rest_url);
    while (base.n && base.p[base.n - 1] == '/') base.n--;
    int n = snprintf(url, sizeof url, "%.*s%s", STR_ARG(base), request->path);
    if (n < 0 || (size_t)n >= sizeof url) return ERR(e, ERR_CONFIG, "rest_url is too long");
    struct http_request r = {.url = url,
                             .header = request->header,
                             .limit = VENUE_REST_MAX,
                             .connect_timeout_ms = f->connect_timeout_ms,
                             .timeout_ms = ANSWER_MS,
                             .tls_verify = f->tls_verify,
                             .ca_file = f->ca_file,
                             .cancel = f->cancel};
    TRY(http_get(&r, ret, e));
    TRY(judge(ret, url, e));
    ret->body.max += VENUE_PADDING;
    uint8_t *padding = buf_room(&ret->body, VENUE_PADDING);
    CHECK(padding != NULL);
    memset(padding, 0, VENUE_PADDING);
    return ERR_OK;
}

enum err_code fetch_page(const struct source_fetch *f, int page, struct fetch_page *ret,
                         bool *ret_there, struct err *e)
{
    struct venue_request request = {0};
    *ret_there = page < FETCH_PAGES_MAX && f->venue->instruments_request(page, f->token, &request);
    if (!*ret_there) return ERR_OK;
    http_answer_init(&ret->answer, VENUE_REST_MAX);
    str_copy(ret->path, sizeof ret->path, str_of(request.path));
    enum err_code code = get(f, &request, &ret->answer, e);
    ret->received_ns = clock_wall_ns();
    if (code != ERR_OK) err_prefix(e, "instruments of %s: ", f->venue->name);
    return code;
}

void fetch_page_free(struct fetch_page *p) { http_answer_free(&p->answer); }

enum err_code source_fetch_instruments(const struct source_fetch *f,
                                       void (*each)(void *ctx, const struct instrument *i),
                                       void *ctx, struct err *e)
{
    for (int page = 0;; page++) {
        struct fetch_page p;
        bool there;
        enum err_code code = fetch_page(f, page, &p, &there, e);
        if (!there) return ERR_OK;
        if (code == ERR_OK) {
            struct buf *body = &p.answer.body;
            code = f->venue->instruments_answer((char *)body->data, body->len, each, ctx, e);
            if (code != ERR_OK) err_prefix(e, "instruments of %s: ", f->venue->name);
        }
        fetch_page_free(&p);
        TRY(code);
    }
}
