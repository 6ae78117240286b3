#include "io/s3_internal.h"

#include "base/time.h"
#include "io/aws_internal.h"
#include "io/aws_xml.h"
#include "io/clock.h"
#include "io/http_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TRIES = 6,
    CONNECT_TIMEOUT_MS = 5000,
    TIMEOUT_MS = 60000,
    WAIT_SLICE_MS = 50,
    WAIT_MAX_MS = 20000
};
enum { URL_LIMIT = 8192, KEY_SHOWN = 160 };
#define PART_LEAST   ((int64_t)5 << 20)
#define PART_DEFAULT ((int64_t)8 << 20)
/* S3 takes no request that is more than 15 minutes off; an answer without a body does not say so. */
#define SKEW_SUSPECT_NS (5 * NS_PER_MINUTE)

static const char *copy(const char *text)
{
    if (!text || !text[0]) return NULL;
    char *ret = strdup(text);
    CHECK(ret != NULL);
    return ret;
}

static char *endpoint_of(const struct s3 *s, const char *given)
{
    char *ret = NULL;
    if (!given || !given[0]) given = aws_env("AWS_ENDPOINT_URL_S3");
    if (given) {
        ret = strdup(given);
    } else {
        const char *region = aws_region(s->aws);
        bool china = strncmp(region, "cn-", 3) == 0;
        if (asprintf(&ret, "https://s3.%s.amazonaws.com%s", region, china ? ".cn" : "") < 0)
            ret = NULL;
    }
    CHECK(ret != NULL);
    for (size_t n = strlen(ret); n && ret[n - 1] == '/'; n--) ret[n - 1] = 0;
    return ret;
}

static struct s3 *new_with(const struct s3_options *o, struct aws *shared)
{
    static const struct retry_policy policy = {100, 10000, 0};
    struct s3 *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->o = *o;
    s->o.aws.ca_file = copy(o->aws.ca_file);
    s->o.tries = o->tries > 0 ? o->tries : TRIES;
    s->o.connect_timeout_ms = o->connect_timeout_ms ? o->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    s->o.timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS;
    s->o.part_bytes = o->part_bytes == 0           ? PART_DEFAULT
                      : o->part_bytes < PART_LEAST ? PART_LEAST
                                                   : o->part_bytes;
    s->shares_aws = shared != NULL;
    s->aws = shared ? shared : aws_new(&o->aws);
    s->endpoint = endpoint_of(s, o->endpoint);
    s->client = http_client_new();
    /* Secrets stay where they belong, in `aws`. */
    s->o.endpoint = s->o.aws.access_key = s->o.aws.secret_key = s->o.aws.session_token = NULL;
    s->o.aws.region = s->o.aws.profile = NULL;
    retry_init(&s->retry, &policy, (uint64_t)clock_mono_ns() ^ (uintptr_t)s);
    return s;
}

struct s3 *s3_new(const struct s3_options *o) { return new_with(o, NULL); }

struct s3 *s3_share(const struct s3 *of)
{
    struct s3_options o = of->o;
    o.endpoint = of->endpoint;
    struct s3 *s = new_with(&o, of->aws);
    s->unconditional = of->unconditional;
    s->skew_ns = of->skew_ns;
    memcpy(s->good_bucket, of->good_bucket, sizeof s->good_bucket);
    return s;
}

struct s3 *s3_free(struct s3 *s)
{
    if (!s) return NULL;
    http_client_free(s->client);
    if (!s->shares_aws) aws_free(s->aws);
    free((void *)(uintptr_t)s->o.aws.ca_file);
    free(s->endpoint);
    free(s);
    return NULL;
}

bool s3_split(struct str address, struct str *ret_bucket, struct str *ret_key)
{
    static const char *const schemes[] = {"s3://", "s3a://", "s3n://"};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(schemes[i]);
        if (!str_starts(address, schemes[i])) continue;
        struct str rest = {address.p + n, address.n - n};
        struct str bucket = str_cut(&rest, '/');
        if (bucket.n == 0 || bucket.n >= S3_BUCKET_MAX || rest.n > S3_KEY_MAX) return false;
        /* It becomes part of a host name or path. */
        for (size_t k = 0; k < bucket.n; k++) {
            char c = bucket.p[k];
            bool letter =
                (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
            if (!letter && c != '.' && c != '-' && c != '_') return false;
        }
        *ret_bucket = bucket;
        *ret_key = rest.n ? rest : (struct str){"", 0};
        return true;
    }
    return false;
}

enum err_code s3_request_init(struct s3_request *q, const char *method, struct str address,
                              struct err *e)
{
    *q = (struct s3_request){.method = method, .limit = S3_ANSWER_LIMIT};
    if (s3_split(address, &q->bucket, &q->key)) return ERR_OK;
    return ERR(e, ERR_CONFIG, "%.*s: expected s3://bucket/key (a key of at most %d bytes)",
               address.n < 200 ? (int)address.n : 200, address.p, S3_KEY_MAX);
}

/* ---- one attempt */

static void add_url(struct buf *url, const struct s3 *s, const struct s3_request *q)
{
    const char *after = strstr(s->endpoint, "://");
    bool https = str_starts(str_of(s->endpoint), "https://");
    /* A bucket with a dot is no single name under the server's wildcard certificate. */
    bool dotted = https && memchr(q->bucket.p, '.', q->bucket.n);
    if (s->o.virtual_host && after && !dotted) {
        buf_add(url, s->endpoint, (size_t)(after + 3 - s->endpoint));
        buf_add_str(url, q->bucket);
        buf_addf(url, ".%s/", after + 3);
    } else {
        buf_addf(url, "%s/", s->endpoint);
        buf_add_str(url, q->bucket);
        if (q->key.n) buf_add_byte(url, '/');
    }
    aws_encode(url, q->key, true);
    if (q->query) buf_addf(url, "?%s", q->query);
}

static enum err_code try_once(struct s3 *s, const struct s3_request *q, struct http_reply *ret,
                              struct err *e)
{
    struct buf url;
    char hash[65];
    struct http_call call;
    buf_init(&url, URL_LIMIT);
    add_url(&url, s, q);
    CHECK(!url.failed);
    http_call_init(&call, q->method, buf_cstr(&url), q->limit);
    buf_free(&url);
    call.body = q->body;
    call.connect_timeout_ms = s->o.connect_timeout_ms;
    call.timeout_ms = s->o.timeout_ms;
    call.ca_file = s->o.aws.ca_file;
    call.cancel = s->o.cancel;
    for (size_t i = 0; i < 4 && q->headers[i][0]; i++)
        http_call_header(&call, q->headers[i][0], q->headers[i][1]);
    aws_sha256_hex(q->body, hash);
    enum err_code code = aws_sign(s->aws, "s3", &call, hash, clock_wall_ns() + s->skew_ns, e);
    if (code == ERR_OK) code = http_send(s->client, &call, ret, e);
    http_call_free(&call);
    return code;
}

/* ---- what an answer means */

static void take(char *to, size_t size, struct str in, const char *name)
{
    struct buf b;
    buf_init(&b, 4096);
    xml_text(xml_first(in, name), &b);
    struct str s = str_trim(buf_str(&b));
    if (s.n >= size) s.n = size - 1;
    str_copy(to, size, s);
    for (char *p = to; *p; p++)
        if ((unsigned char)*p < ' ') *p = ' ';
    buf_free(&b);
}

void s3_failure_of(const struct http_reply *r, struct s3_failure *ret)
{
    *ret = (struct s3_failure){{0}, {0}, {0}, {0}};
    struct str body = buf_str(&r->body);
    if (str_is(xml_root(body), "Error")) {
        take(ret->code, sizeof ret->code, body, "Code");
        take(ret->message, sizeof ret->message, body, "Message");
        take(ret->request_id, sizeof ret->request_id, body, "RequestId");
        take(ret->region, sizeof ret->region, body, "Region");
    }
    struct str id = http_reply_header(r, "x-amz-request-id");
    if (id.n && id.n < sizeof ret->request_id)
        str_copy(ret->request_id, sizeof ret->request_id, id);
    struct str region = http_reply_header(r, "x-amz-bucket-region");
    if (region.n && region.n < sizeof ret->region)
        str_copy(ret->region, sizeof ret->region, region);
}

/* The server's clock is taken for ours, once: after a second complaint it is something else. */
static bool takes_servers_clock(struct s3 *s, const struct http_reply *r, const char *code)
{
    char text[64];
    if (s->skew_ns != 0 || r->status < 400 || r->status >= 500) return false;
    if (!str_copy(text, sizeof text, http_reply_header(r, "Date"))) return false;
    time_t server = curl_getdate(text, NULL);
    if (server <= 0) return false;
    int64_t off = (int64_t)server * NS_PER_S - clock_wall_ns();
    int64_t much = off < 0 ? -off : off;
    bool told = strcmp(code, "RequestTimeTooSkewed") == 0 || strcmp(code, "RequestExpired") == 0;
    if (!told && (r->status != 403 || r->body.len || much < SKEW_SUSPECT_NS)) return false;
    s->skew_ns = off ? off : 1;
    return true;
}

static bool is_passing(const struct http_reply *r, const char *code)
{
    static const char *const codes[] = {
        "SlowDown",           "RequestTimeout",      "InternalError",
        "ServiceUnavailable", "OperationAborted",    "ConditionalRequestConflict",
        "TooManyRequests",    "ThrottlingException", "RequestLimitExceeded"};
    if (r->status == 501 || r->status == 505) return false;
    if (r->status >= 500 || r->status == 429 || r->status == 408) return true;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (strcmp(code, codes[i]) == 0) return true;
    return false;
}

bool s3_wait(struct s3 *s, int32_t n, int64_t least_ms)
{
    if (n <= 0) return true;
    if (n == 1) retry_reset(&s->retry);
    int64_t ms = retry_next_ms(&s->retry);
    if (ms < least_ms) ms = least_ms < WAIT_MAX_MS ? least_ms : WAIT_MAX_MS;
    for (; ms > 0; ms -= WAIT_SLICE_MS) {
        if (s->o.cancel && atomic_load(s->o.cancel)) return false;
        clock_sleep_ns((ms < WAIT_SLICE_MS ? ms : WAIT_SLICE_MS) * NS_PER_MS);
    }
    return true;
}

static bool may_pass(enum err_code code) { return code == ERR_NETWORK || code == ERR_TIMEOUT; }

static enum err_code name_place(const struct s3 *s, const struct s3_request *q, enum err_code code,
                                struct err *e)
{
    char place[HTTP_PLACE_MAX];
    struct str key = q->key;
    if (!e) return code;
    if (key.n > KEY_SHOWN) key = (struct str){key.p + key.n - KEY_SHOWN, KEY_SHOWN};
    http_place(s->endpoint, place);
    return err_prefix(e, "S3 at %.80s, %.*s%s%.*s: ", place, STR_ARG(q->bucket), key.n ? "/" : "",
                      STR_ARG(key));
}

enum err_code s3_send(struct s3 *s, struct s3_request *q, struct http_reply *ret, struct err *e)
{
    int64_t least_ms = 0;
    for (int32_t n = 0;; n++) {
        struct s3_failure f = {{0}, {0}, {0}, {0}};
        if (!s3_wait(s, n, least_ms)) return ERR(e, ERR_STOPPED, "S3 %s: stopped", q->method);
        enum err_code code = try_once(s, q, ret, e);
        bool last = n + 1 >= s->o.tries;
        if (code != ERR_OK) {
            if (may_pass(code)) q->lost = true;
            if (may_pass(code) && !last && !q->once_lost) continue;
            return e ? err_prefix(e, "S3: ") : code;
        }
        if (ret->sends > 1) q->lost = true;
        /* Only a completed upload may say 200 and mean an error; an object may well look like one. */
        if (!s3_is_good(ret) || strcmp(q->method, "POST") == 0) s3_failure_of(ret, &f);
        if (s3_is_good(ret) && !f.code[0]) {
            str_copy(s->good_bucket, sizeof s->good_bucket, q->bucket);
            return ERR_OK;
        }
        bool passing = is_passing(ret, f.code);
        if (passing && ret->status >= 500) q->lost = true;
        bool skewed = takes_servers_clock(s, ret, f.code);
        if (!skewed && (!passing || last || (q->once_lost && q->lost))) return ERR_OK;
        least_ms = ret->retry_after_ms;
        http_reply_free(ret);
        if (skewed) n = -1;
    }
}

static enum err_code class_of(const struct http_reply *r, const struct s3_failure *f)
{
    static const struct {
        const char *code;
        enum err_code is;
    } known[] = {{"NoSuchKey", ERR_NOT_FOUND},           {"NoSuchBucket", ERR_CONFIG},
                 {"NoSuchUpload", ERR_NOT_FOUND},        {"PreconditionFailed", ERR_CONFLICT},
                 {"XAdminUserNotFound", ERR_REFUSED},    {"InvalidAccessKeyId", ERR_REFUSED},
                 {"SignatureDoesNotMatch", ERR_REFUSED}, {"AccessDenied", ERR_REFUSED},
                 {"ExpiredToken", ERR_REFUSED},          {"InvalidToken", ERR_REFUSED},
                 {"InvalidClientTokenId", ERR_REFUSED}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(f->code, known[i].code) == 0) return known[i].is;
    if (r->status == 401 || r->status == 403) return ERR_REFUSED;
    if (r->status == 404) return f->code[0] ? ERR_REFUSED : ERR_NOT_FOUND;
    if (r->status == 409 || r->status == 412) return ERR_CONFLICT;
    if (is_passing(r, f->code)) return ERR_UNAVAILABLE;
    return ERR_CONFIG;
}

static const char *advice(enum err_code code, const struct http_reply *r,
                          const struct s3_failure *f)
{
    if (strcmp(f->code, "NoSuchBucket") == 0) return "; create the bucket, or correct its name";
    if (strcmp(f->code, "RequestTimeTooSkewed") == 0) return "; set this machine's clock";
    if (strcmp(f->code, "AccessDenied") == 0)
        return "; the policy of these credentials does not grant it";
    if (code == ERR_REFUSED)
        return "; check s3.access_key and its secret, or where else credentials come from";
    if (f->region[0] && (r->status == 301 || r->status == 307 || r->status == 400))
        return "; set s3.region to the bucket's";
    if (r->status == 301 || r->status == 307) return "; set s3.endpoint to the bucket's own";
    return "";
}

enum err_code s3_refused(struct s3 *s, const struct s3_request *q, struct http_reply *r,
                         struct err *e)
{
    struct s3_failure f;
    s3_failure_of(r, &f);
    enum err_code code = class_of(r, &f);
    ERR(e, code, "%s: HTTP %d%s%s%s%s%s%s%s%s%s", q->method, r->status, f.code[0] ? " " : "",
        f.code, f.message[0] ? ": " : "", f.message, f.region[0] ? ", region " : "", f.region,
        f.request_id[0] ? ", request " : "", f.request_id, advice(code, r, &f));
    http_reply_free(r);
    return name_place(s, q, code, e);
}
