#include "io/s3_internal.h"

#include "io/aws_internal.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

enum { ADDRESS_MAX = S3_BUCKET_MAX + S3_KEY_MAX + 128 };

struct probe {
    struct s3 *s;
    struct str prefix;
    char address[ADDRESS_MAX]; /* of a key that nobody else has */
    bool written;
    int seen;
};

static enum err_code init(struct probe *p, struct s3 *s, struct str prefix, struct err *e)
{
    struct str bucket, key;
    uint8_t random[8];
    *p = (struct probe){.s = s, .prefix = prefix};
    if (!s3_split(prefix, &bucket, &key) || key.n > S3_KEY_MAX - 64)
        return ERR(e, ERR_CONFIG, "%.*s: expected s3://bucket/prefix",
                   prefix.n < 200 ? (int)prefix.n : 200, prefix.p);
    CHECK(RAND_bytes(random, sizeof random) == 1);
    int n = snprintf(p->address, sizeof p->address, "%.*s%sticklake-probe-", STR_ARG(prefix),
                     str_ends(prefix, "/") ? "" : "/");
    for (size_t i = 0; i < sizeof random; i++, n += 2)
        snprintf(p->address + n, sizeof p->address - (size_t)n, "%02x", random[i]);
    return ERR_OK;
}

/* PUT with If-None-Match: *ret_status is the server's word. */
static enum err_code put_absent(struct probe *p, struct str bytes, int *ret_status, struct err *e)
{
    struct s3_request q;
    struct http_reply r;
    TRY(s3_request_init(&q, "PUT", str_of(p->address), e));
    q.body = bytes;
    q.headers[0][0] = "If-None-Match";
    q.headers[0][1] = "*";
    TRY(s3_send(p->s, &q, &r, e));
    *ret_status = r.status;
    bool understood =
        s3_is_good(&r) || r.status == 412 || r.status == 501 || (r.status == 400 && !p->written);
    if (!understood) return s3_refused(p->s, &q, &r, e);
    http_reply_free(&r);
    return ERR_OK;
}

/* Twice the same key: the second must be refused. A server that does not know the header may say so (501, 400), or
 * overwrite without a word. */
static enum err_code conditional(struct probe *p, bool *ret, struct err *e)
{
    int first, second = 0;
    *ret = false;
    TRY(put_absent(p, STR("ticklake probe 1\n"), &first, e));
    if (first == 412) { /* of a first try whose answer was lost */
        p->written = *ret = true;
        return ERR_OK;
    }
    if (first < 300) {
        p->written = true;
        TRY(put_absent(p, STR("ticklake probe 2\n"), &second, e));
        *ret = second == 412;
        return ERR_OK;
    }
    TRY(s3_put(p->s, str_of(p->address), STR("ticklake probe 1\n"), false, e));
    p->written = true;
    return ERR_OK;
}

static enum err_code see(void *ctx, struct str address, int64_t size, int64_t modified_ns,
                         struct err *e)
{
    (void)size, (void)modified_ns, (void)e;
    struct probe *p = ctx;
    if (str_is(address, p->address)) p->seen++;
    return ERR_OK;
}

static enum err_code read_back(struct probe *p, struct err *e)
{
    struct buf b;
    buf_init(&b, 100);
    enum err_code code = s3_get(p->s, str_of(p->address), 100, &b, e);
    if (code == ERR_OK && !str_starts(buf_str(&b), "ticklake probe "))
        code = ERR(e, ERR_CORRUPT, "%s: other bytes came back than were written", p->address);
    buf_free(&b);
    return code;
}

static enum err_code gone(struct probe *p, struct err *e)
{
    int64_t size;
    TRY(s3_head(p->s, str_of(p->address), &size, e));
    if (size < 0) return ERR_OK;
    return ERR(e, ERR_CONFLICT, "%s: still there after it was deleted", p->address);
}

/* An upload of one small part: begun, sent and completed as a large one would be. */
static enum err_code parts(struct probe *p, struct err *e)
{
    struct s3_request q;
    const struct s3_source in = {.bytes = STR("ticklake probe 3\n"), .fd = -1, .size = 17};
    TRY(s3_request_init(&q, "POST", str_of(p->address), e));
    return s3_put_parts(p->s, q.bucket, q.key, &in, false, e);
}

static enum err_code step(enum err_code code, const char *what, const char *right, struct err *e)
{
    if (code != ERR_OK && e) err_prefix(e, "probe: %s (needs %s): ", what, right);
    return code;
}

static enum err_code all_steps(struct probe *p, bool *ret_conditional, struct err *e)
{
    char source[256];
    TRY(step(aws_source(p->s->aws, source, e), "finding credentials", "an access key", e));
    TRY(step(s3_list(p->s, str_of(p->address), see, p, e), "listing", "s3:ListBucket", e));
    TRY(step(conditional(p, ret_conditional, e), "writing", "s3:PutObject", e));
    TRY(step(read_back(p, e), "reading", "s3:GetObject", e));
    TRY(step(s3_list(p->s, str_of(p->address), see, p, e), "listing", "s3:ListBucket", e));
    if (p->seen != 1)
        return ERR(e, ERR_CONFLICT,
                   "probe: %s was written and is not in the listing: this store is "
                   "not consistent enough",
                   p->address);
    TRY(step(parts(p, e), "writing in parts", "s3:PutObject, s3:AbortMultipartUpload", e));
    TRY(step(s3_delete(p->s, str_of(p->address), e), "deleting", "s3:DeleteObject", e));
    p->written = false;
    return step(gone(p, e), "deleting", "s3:DeleteObject", e);
}

static enum err_code finish(struct probe *p, enum err_code code, const bool *holds)
{
    struct err ignored;
    if (p->written && s3_delete(p->s, str_of(p->address), &ignored) != ERR_OK) p->written = true;
    if (code == ERR_OK) p->s->unconditional = !*holds;
    return code;
}

enum err_code s3_probe(struct s3 *s, struct str prefix, bool *ret_conditional, struct err *e)
{
    struct probe p;
    TRY(init(&p, s, prefix, e));
    return finish(&p, all_steps(&p, ret_conditional, e), ret_conditional);
}

enum err_code s3_probe_conditional(struct s3 *s, struct str prefix, bool *ret_conditional,
                                   struct err *e)
{
    struct probe p;
    TRY(init(&p, s, prefix, e));
    return finish(&p, step(conditional(&p, ret_conditional, e), "writing", "s3:PutObject", e),
                  ret_conditional);
}

enum err_code s3_make_bucket(struct s3 *s, struct str bucket, struct err *e)
{
    char address[S3_BUCKET_MAX + 8];
    struct buf body;
    struct s3_request q;
    struct http_reply r;
    struct s3_failure f;
    snprintf(address, sizeof address, "s3://%.*s", bucket.n < S3_BUCKET_MAX ? (int)bucket.n : 0,
             bucket.p);
    TRY(s3_request_init(&q, "PUT", str_of(address), e));
    buf_init(&body, 1024);
    const char *region = aws_region(s->aws);
    if (strcmp(region, "us-east-1") != 0)
        buf_addf(&body,
                 "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                 "<LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>",
                 region);
    q.body = buf_str(&body);
    enum err_code code = s3_send(s, &q, &r, e);
    if (code == ERR_OK) {
        s3_failure_of(&r, &f);
        if (s3_is_good(&r) || strcmp(f.code, "BucketAlreadyOwnedByYou") == 0)
            http_reply_free(&r);
        else
            code = s3_refused(s, &q, &r, e);
    }
    buf_free(&body);
    return code;
}
