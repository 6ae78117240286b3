#include "io/s3_internal.h"

#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>

static enum err_code need_key(const struct s3_request *q, struct str address, struct err *e)
{
    if (q->key.n) return ERR_OK;
    return ERR(e, ERR_CONFIG, "%.*s: names a bucket and no key", STR_ARG(address));
}

/* A HEAD is answered without words. A GET of one byte tells whether a 404 is about the key, the bucket or the credentials:
 * servers answer 404 to an access key that they do not know. */
static enum err_code explain(struct s3 *s, struct str bucket, struct str key, bool *ret_absent,
                             struct err *e)
{
    struct http_reply r;
    struct s3_failure f;
    struct s3_request q = {.method = "GET",
                           .bucket = bucket,
                           .key = key,
                           .headers = {{"Range", "bytes=0-0"}},
                           .limit = S3_ANSWER_LIMIT};
    TRY(s3_send(s, &q, &r, e));
    s3_failure_of(&r, &f);
    *ret_absent = strcmp(f.code, "NoSuchKey") == 0;
    if (!*ret_absent && !s3_is_good(&r)) return s3_refused(s, &q, &r, e);
    http_reply_free(&r);
    if (*ret_absent) str_copy(s->good_bucket, sizeof s->good_bucket, bucket);
    return ERR_OK;
}

enum err_code s3_facts_of(struct s3 *s, struct str bucket, struct str key, struct s3_facts *ret,
                          struct err *e)
{
    for (int again = 0; again < 2; again++) {
        struct http_reply r;
        struct s3_request q = {.method = "HEAD", .bucket = bucket, .key = key};
        *ret = (struct s3_facts){.size = -1};
        TRY(s3_send(s, &q, &r, e));
        if (r.status == 404 && str_is(bucket, s->good_bucket)) {
            http_reply_free(&r);
            return ERR_OK;
        }
        if (s3_is_good(&r)) {
            struct str etag = http_reply_header(&r, "ETag");
            enum err_code code = str_to_i64(http_reply_header(&r, "Content-Length"), &ret->size);
            str_copy(ret->etag, sizeof ret->etag, etag);
            http_reply_free(&r);
            if (code == ERR_OK && ret->size >= 0) return ERR_OK;
            return ERR(e, ERR_PARSE, "S3 %.*s/%.*s: HEAD without Content-Length", STR_ARG(bucket),
                       STR_ARG(key));
        }
        bool absent;
        if (r.status >= 500 || r.status == 429) return s3_refused(s, &q, &r, e);
        http_reply_free(&r);
        TRY(explain(s, bucket, key, &absent, e));
        if (absent) return ERR_OK;
    }
    return ERR(e, ERR_UNAVAILABLE, "S3 %.*s/%.*s: HEAD and GET disagree whether it is there",
               STR_ARG(bucket), STR_ARG(key));
}

enum err_code s3_head(struct s3 *s, struct str address, int64_t *ret_size, struct err *e)
{
    struct s3_request q;
    struct s3_facts facts;
    TRY(s3_request_init(&q, "HEAD", address, e));
    TRY(need_key(&q, address, e));
    TRY(s3_facts_of(s, q.bucket, q.key, &facts, e));
    *ret_size = facts.size;
    return ERR_OK;
}

enum err_code s3_get(struct s3 *s, struct str address, size_t limit, struct buf *ret, struct err *e)
{
    struct s3_request q;
    struct http_reply r;
    TRY(s3_request_init(&q, "GET", address, e));
    TRY(need_key(&q, address, e));
    q.limit = limit > S3_ANSWER_LIMIT ? limit : S3_ANSWER_LIMIT; /* an error's words have room */
    TRY(s3_send(s, &q, &r, e));
    if (!s3_is_good(&r)) return s3_refused(s, &q, &r, e);
    enum err_code code = ERR_OK;
    if (r.body.len > limit)
        code = ERR(e, ERR_FULL, "%.*s: %zu bytes, at most %zu are read", STR_ARG(address),
                   r.body.len, limit);
    if (code == ERR_OK) {
        buf_add_str(ret, buf_str(&r.body));
        if (ret->failed) code = ERR(e, ERR_FULL, "%.*s: longer than its buffer", STR_ARG(address));
    }
    http_reply_free(&r);
    return code;
}

enum err_code s3_delete(struct s3 *s, struct str address, struct err *e)
{
    struct s3_request q;
    struct http_reply r;
    struct s3_failure f;
    TRY(s3_request_init(&q, "DELETE", address, e));
    TRY(need_key(&q, address, e));
    TRY(s3_send(s, &q, &r, e));
    s3_failure_of(&r, &f);
    if (!s3_is_good(&r) && strcmp(f.code, "NoSuchKey") != 0) return s3_refused(s, &q, &r, e);
    http_reply_free(&r);
    return ERR_OK;
}

/* ---- into a file, range by range */

struct download {
    struct s3 *s;
    struct s3_request q;
    struct file_writer *file;
    int64_t at, size; /* size -1: not known yet */
    char etag[S3_ETAG_MAX];
};

/* "bytes 0-99/1234", "bytes * /0" without the blank: the number behind the slash. */
static int64_t whole_size(const struct http_reply *r)
{
    struct str range = http_reply_header(r, "Content-Range");
    int64_t size = -1;
    str_cut(&range, '/');
    return str_to_i64(range, &size) == ERR_OK ? size : -1;
}

static enum err_code take_range(struct download *d, struct http_reply *r, struct err *e)
{
    if (r->status == 416 && d->at == 0 &&
        d->size < 0) { /* no byte of an empty object can be asked for */
        d->size = 0;
        http_reply_free(r);
        return ERR_OK;
    }
    if (!s3_is_good(r)) return s3_refused(d->s, &d->q, r, e);
    int64_t size = r->status == 206 ? whole_size(r) : (int64_t)r->body.len;
    enum err_code code = ERR_OK;
    if (d->size < 0) {
        d->size = size;
        str_copy(d->etag, sizeof d->etag, http_reply_header(r, "ETag"));
    }
    bool fits = size == d->size && r->body.len > 0 && (int64_t)r->body.len <= d->size - d->at &&
                (r->status == 206 || d->at == 0);
    if (d->size != 0 && !fits)
        code = ERR(e, ERR_PARSE,
                   "S3 %.*s/%.*s: a range at byte %lld of %lld was answered by %zu bytes of %lld",
                   STR_ARG(d->q.bucket), STR_ARG(d->q.key), (long long)d->at, (long long)d->size,
                   r->body.len, (long long)size);
    if (code == ERR_OK) code = file_writer_add(d->file, r->body.data, r->body.len, e);
    d->at += (int64_t)r->body.len;
    http_reply_free(r);
    return code;
}

static enum err_code get_ranges(struct download *d, struct err *e)
{
    while (d->size < 0 || d->at < d->size) {
        char range[64];
        struct http_reply r;
        snprintf(range, sizeof range, "bytes=%lld-%lld", (long long)d->at,
                 (long long)(d->at + d->s->o.part_bytes - 1));
        d->q.headers[0][0] = "Range";
        d->q.headers[0][1] = range;
        /* Each range of the same object: one that was replaced meanwhile answers 412. */
        d->q.headers[1][0] = d->etag[0] ? "If-Match" : NULL;
        d->q.headers[1][1] = d->etag;
        d->q.limit = (size_t)d->s->o.part_bytes + S3_ANSWER_LIMIT;
        TRY(s3_send(d->s, &d->q, &r, e));
        TRY(take_range(d, &r, e));
    }
    return ERR_OK;
}

enum err_code s3_get_file(struct s3 *s, struct str address, const char *path, struct err *e)
{
    struct download d = {.s = s, .size = -1};
    TRY(s3_request_init(&d.q, "GET", address, e));
    TRY(need_key(&d.q, address, e));
    TRY(file_writer_open(path, &d.file, e));
    enum err_code code = get_ranges(&d, e);
    if (code == ERR_OK) return file_writer_finish_copy(d.file, e);
    file_writer_abort(d.file);
    return code;
}
