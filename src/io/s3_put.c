#include "io/s3_internal.h"

#include "io/file.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

enum err_code s3_source_read(const struct s3_source *in, int64_t offset, size_t len,
                             struct buf *buffer, struct str *ret, struct err *e)
{
    if (in->fd < 0) {
        *ret = (struct str){len ? in->bytes.p + offset : "", len};
        return ERR_OK;
    }
    buf_reset(buffer);
    uint8_t *to = buf_room(buffer, len);
    CHECK(to != NULL);
    TRY(file_read_at(in->fd, in->path, (uint64_t)offset, to, len, e));
    buffer->len = len;
    *ret = buf_str(buffer);
    return ERR_OK;
}

/* ---- is what is there ours? */

void s3_sum_add(struct s3_sum *sum, struct str part)
{
    CHECK(sum->count < S3_PARTS_MAX);
    unsigned len = 16;
    /* Where MD5 is forbidden the sum is never equal, and the content itself is compared. */
    if (!EVP_Digest(part.p, part.n, sum->parts[sum->count], &len, EVP_md5(), NULL))
        memset(sum->parts[sum->count], 0, 16);
    sum->count++;
}

static void etag_of(const struct s3_sum *sum, char out[S3_ETAG_MAX])
{
    uint8_t all[16];
    unsigned len = 16;
    memcpy(all, sum->parts[0], 16);
    if (sum->multipart &&
        !EVP_Digest(sum->parts, 16 * (size_t)sum->count, all, &len, EVP_md5(), NULL))
        memset(all, 0, 16);
    char *to = out;
    *to++ = '"';
    for (int i = 0; i < 16; i++, to += 2) snprintf(to, 3, "%02x", all[i]);
    if (sum->multipart) to += snprintf(to, 16, "-%d", sum->count);
    *to++ = '"';
    *to = 0;
}

/* Range by range against our bytes: for ETags that are no MD5 (encrypted objects, other servers' own ways). */
static enum err_code same_content(struct s3 *s, struct s3_request *q, const struct s3_source *in,
                                  bool *ret, struct err *e)
{
    struct buf buffer;
    buf_init(&buffer, (size_t)s->o.part_bytes);
    enum err_code code = ERR_OK;
    *ret = true;
    for (int64_t at = 0; at < in->size && *ret && code == ERR_OK;) {
        char range[64];
        struct http_reply r;
        struct str ours;
        int64_t len = in->size - at < s->o.part_bytes ? in->size - at : s->o.part_bytes;
        snprintf(range, sizeof range, "bytes=%lld-%lld", (long long)at, (long long)(at + len - 1));
        q->method = "GET";
        q->headers[0][0] = "Range";
        q->headers[0][1] = range;
        q->limit = (size_t)len + S3_ANSWER_LIMIT;
        code = s3_send(s, q, &r, e);
        if (code == ERR_OK && !s3_is_good(&r)) code = s3_refused(s, q, &r, e);
        if (code != ERR_OK) break;
        code = s3_source_read(in, at, (size_t)len, &buffer, &ours, e);
        if (code == ERR_OK) *ret = str_eq(ours, buf_str(&r.body));
        http_reply_free(&r);
        at += len;
    }
    buf_free(&buffer);
    return code;
}

enum err_code s3_is_ours(struct s3 *s, struct str bucket, struct str key,
                         const struct s3_source *in, const struct s3_sum *sum,
                         struct s3_facts *facts, bool *ret, struct err *e)
{
    char etag[S3_ETAG_MAX];
    *ret = false;
    TRY(s3_facts_of(s, bucket, key, facts, e));
    if (facts->size != in->size) return ERR_OK;
    etag_of(sum, etag);
    *ret = strcmp(etag, facts->etag) == 0;
    if (*ret) return ERR_OK;
    struct s3_request q = {.bucket = bucket, .key = key};
    return same_content(s, &q, in, ret, e);
}

/* ---- one PUT */

static enum err_code exists(const struct s3_request *q, struct err *e)
{
    return ERR(e, ERR_CONFLICT,
               "S3 %.*s/%.*s: the key exists already, with other content or made by another",
               STR_ARG(q->bucket), STR_ARG(q->key));
}

static enum err_code resolve(struct s3 *s, const struct s3_request *q, const struct s3_source *in,
                             bool *ret_done, struct err *e)
{
    struct s3_facts facts;
    struct s3_sum *sum = calloc(1, sizeof *sum);
    CHECK(sum != NULL);
    s3_sum_add(sum, q->body);
    enum err_code code = s3_is_ours(s, q->bucket, q->key, in, sum, &facts, ret_done, e);
    free(sum);
    if (code == ERR_OK && !*ret_done && facts.size >= 0) return exists(q, e);
    return code;
}

/* The outcome of an attempt whose answer was lost is looked up before there is another one. */
static enum err_code put_if_absent(struct s3 *s, struct s3_request *q, const struct s3_source *in,
                                   struct err *e)
{
    bool header = !s->unconditional;
    q->once_lost = true;
    q->headers[0][0] = header ? "If-None-Match" : NULL;
    q->headers[0][1] = "*";
    if (!header) {
        struct s3_facts facts;
        TRY(s3_facts_of(s, q->bucket, q->key, &facts, e));
        if (facts.size >= 0) return exists(q, e);
    }
    for (int32_t n = 0; n < s->o.tries; n++) {
        struct http_reply r = {0};
        bool done = false;
        if (!s3_wait(s, n, 0)) return ERR(e, ERR_STOPPED, "S3 PUT: stopped");
        enum err_code code = s3_send(s, q, &r, e);
        if (code == ERR_OK && s3_is_good(&r)) {
            http_reply_free(&r);
            return ERR_OK;
        }
        if (code == ERR_OK && !q->lost) {
            if (r.status != 412) return s3_refused(s, q, &r, e);
            http_reply_free(&r);
            return exists(q, e);
        }
        if (code == ERR_OK) code = s3_refused(s, q, &r, e);
        if (!q->lost) return code;
        struct err looking = {0};
        enum err_code found = resolve(s, q, in, &done, &looking);
        if (found == ERR_OK && done) return ERR_OK;
        if (found == ERR_CONFLICT) return exists(q, e);
        if (found != ERR_OK) {
            /* The look had all its tries already: tries within tries kept a caller waiting for a minute (seen). */
            bool away = found == ERR_NETWORK || found == ERR_TIMEOUT || found == ERR_UNAVAILABLE;
            if (!away && e) *e = looking;
            return away ? code : found;
        }
        if (n + 1 == s->o.tries) return code;
    }
    return ERR(e, ERR_INTERNAL, "S3 PUT without a try");
}

static enum err_code put_whole(struct s3 *s, struct s3_request *q, const struct s3_source *in,
                               bool if_absent, struct err *e)
{
    struct buf buffer;
    struct http_reply r;
    buf_init(&buffer, (size_t)in->size + 1);
    enum err_code code = s3_source_read(in, 0, (size_t)in->size, &buffer, &q->body, e);
    if (code == ERR_OK && if_absent) {
        code = put_if_absent(s, q, in, e);
    } else if (code == ERR_OK) {
        code = s3_send(s, q, &r, e);
        if (code == ERR_OK && !s3_is_good(&r))
            code = s3_refused(s, q, &r, e);
        else if (code == ERR_OK)
            http_reply_free(&r);
    }
    buf_free(&buffer);
    return code;
}

static enum err_code put(struct s3 *s, struct str address, const struct s3_source *in,
                         bool if_absent, struct err *e)
{
    struct s3_request q;
    TRY(s3_request_init(&q, "PUT", address, e));
    if (q.key.n == 0)
        return ERR(e, ERR_CONFIG, "%.*s: names a bucket and no key", STR_ARG(address));
    if (in->size > s->o.part_bytes) return s3_put_parts(s, q.bucket, q.key, in, if_absent, e);
    return put_whole(s, &q, in, if_absent, e);
}

enum err_code s3_put(struct s3 *s, struct str address, struct str bytes, bool if_absent,
                     struct err *e)
{
    const struct s3_source in = {.bytes = bytes, .fd = -1, .size = (int64_t)bytes.n};
    return put(s, address, &in, if_absent, e);
}

enum err_code s3_put_file(struct s3 *s, struct str address, const char *path, bool if_absent,
                          struct err *e)
{
    struct s3_source in = {.path = path};
    uint64_t size;
    TRY(file_open_read(path, &in.fd, &size, e));
    in.size = (int64_t)size;
    enum err_code code = put(s, address, &in, if_absent, e);
    file_close(in.fd);
    return code;
}
