#include "io/clock.h"
#include "io/retry.h"
#include "lake/rest_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* One question to the REST catalog and its answer, tried again where that is harmless. */

enum { REST_TIMEOUT_MS = 30000, RETRY_AFTER_MAX_MS = 20000, WORDS_MAX = 160 };

void rest_answer_done(struct rest_answer *a)
{
    yyjson_doc_free(a->doc);
    http_reply_free(&a->reply);
    *a = (struct rest_answer){0};
}

/* ---- what it said */

/* A server's words in one line of printable ASCII: they go into logs. */
static void words_of(struct str s, char out[WORDS_MAX])
{
    size_t n = 0;
    for (; n < s.n && n < WORDS_MAX - 1; n++)
        out[n] = s.p[n] >= ' ' && s.p[n] <= '~' ? s.p[n] : ' ';
    out[n] = 0;
}

static enum err_code code_of(int status)
{
    switch (status) {
    case 401:
    case 403:
    case 419: return ERR_REFUSED;
    case 404: return ERR_NOT_FOUND;
    case 409: return ERR_CONFLICT;
    case 408:
    case 429: return ERR_UNAVAILABLE;
    default: return status >= 400 && status < 500 ? ERR_CONFIG : ERR_UNAVAILABLE;
    }
}

static const char *advice(const struct lake_rest *r, int status)
{
    if (status == 419) return "; the token has run out: put a new one in its place";
    if (status == 403 || status == 401)
        return r->aws
                   ? "; check the AWS credentials, lake.rest_signing_name and the rights"
                   : "; check lake.rest_token, lake.rest_token_file or lake.rest_credential, and "
                     "the rights";
    if (status >= 300 && status < 400)
        return "; is lake.catalog the address of an Iceberg REST catalog, without /v1?";
    return "";
}

static enum err_code refused(struct lake_rest *r, const struct rest_question *q,
                             const struct rest_answer *a, struct err *e)
{
    struct str type, message;
    char words[WORDS_MAX], kind[WORDS_MAX];
    const struct buf *body = &a->reply.body;
    yyjson_doc *doc = yyjson_read((const char *)body->data, body->len, 0);
    rest_parse_error(yyjson_doc_get_root(doc), &type, &message);
    /* Those of a refusal may repeat the token. */
    bool secret = r->token.len && (a->status == 401 || a->status == 403 || a->status == 419);
    words_of(secret ? STR("") : message.n ? message : doc ? STR("") : buf_str(body), words);
    words_of(type, kind);
    yyjson_doc_free(doc);
    return ERR(e, code_of(a->status), "%s, asked to %s, answered %d%s%.60s%s%s%s", r->address,
               q->asked, a->status, *kind ? " " : "", kind, *words ? ": " : "", words,
               advice(r, a->status));
}

static enum err_code judge(struct lake_rest *r, const struct rest_question *q,
                           struct rest_answer *a, struct err *e)
{
    a->status = a->reply.status;
    struct str etag = http_reply_header(&a->reply, "ETag");
    if (etag.n < sizeof a->etag) str_copy(a->etag, sizeof a->etag, etag);
    if (a->status == 304 && q->etag) return ERR_OK;
    if (a->status < 200 || a->status > 299) {
        a->unknown = a->status >= 500;
        return refused(r, q, a, e);
    }
    const struct buf *body = &a->reply.body;
    if (body->len == 0) return ERR_OK;
    if (lake_json_is_shallow(buf_str(body)))
        a->doc = yyjson_read((const char *)body->data, body->len, 0);
    if (yyjson_is_obj(yyjson_doc_get_root(a->doc))) return ERR_OK;
    a->unknown = true; /* a proxy's page in between? */
    return ERR(e, ERR_CONFIG,
               "%s, asked to %s, answered %d with something else than JSON; is lake.catalog the "
               "address of an Iceberg REST catalog, without /v1?",
               r->address, q->asked, a->status);
}

/* ---- asking */

static enum err_code send(struct lake_rest *r, const struct rest_question *q, struct rest_answer *a,
                          struct err *e)
{
    struct buf url;
    struct http_call call;
    buf_init(&url, 4 * REST_URI_MAX);
    buf_addf(&url, "%s/v1%s%s", r->uri, q->bare ? "" : r->prefix, q->path);
    if (url.failed) {
        buf_free(&url);
        return ERR(e, ERR_CONFIG, "%s: an address that is too long", r->address);
    }
    http_call_init(&call, q->method, buf_cstr(&url), REST_ANSWER_MAX);
    buf_free(&url);
    http_call_header(&call, "Accept", "application/json");
    if (q->body.n) http_call_header(&call, "Content-Type", "application/json");
    if (q->etag && *q->etag) http_call_header(&call, "If-None-Match", q->etag);
    if (r->o.vended) http_call_header(&call, "X-Iceberg-Access-Delegation", "vended-credentials");
    call.body = q->body;
    call.ca_file = r->o.ca_file;
    call.timeout_ms = REST_TIMEOUT_MS;
    enum err_code code = rest_authorize(r, &call, e);
    if (code == ERR_OK) {
        code = http_send(r->http, &call, &a->reply, e);
        a->unknown = code != ERR_OK;
        if (code != ERR_OK) err_prefix(e, "%s, asked to %s: ", r->address, q->asked);
    }
    http_call_free(&call);
    return code == ERR_OK ? judge(r, q, a, e) : code;
}

/* 429: it was not taken up, and may be asked again by anybody. 5xx and silence only by who asks for something harmless. */
static bool again(const struct rest_question *q, const struct rest_answer *a, enum err_code code)
{
    if (a->status == 429) return true;
    return !q->once && (code == ERR_NETWORK || code == ERR_TIMEOUT || code == ERR_UNAVAILABLE);
}

enum err_code rest_ask(struct lake_rest *r, const struct rest_question *q, struct rest_answer *ret,
                       struct err *e)
{
    static const struct retry_policy policy = {100, 3000, 1};
    struct retry wait;
    bool renewed = false;
    retry_init(&wait, &policy, (uint64_t)clock_wall_ns());
    for (int try_number = 1;; try_number++) {
        *ret = (struct rest_answer){0};
        enum err_code code = send(r, q, ret, e);
        if (code == ERR_OK) return code;
        if ((ret->status == 401 || ret->status == 419) && !renewed) {
            bool fresh = false;
            struct err why;
            renewed = true;
            if (rest_renew(r, &fresh, &why) == ERR_OK && fresh) {
                rest_answer_done(ret);
                continue;
            }
        }
        if (try_number >= REST_TRIES || !again(q, ret, code)) return code;
        int64_t ms = retry_next_ms(&wait);
        if (ret->reply.retry_after_ms > ms) ms = ret->reply.retry_after_ms;
        rest_answer_done(ret);
        clock_sleep_ns((ms < RETRY_AFTER_MAX_MS ? ms : RETRY_AFTER_MAX_MS) * NS_PER_MS);
    }
}
