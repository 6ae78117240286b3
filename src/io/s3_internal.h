/* s3_internal.h - what the files of s3.h share: one request with its retries. */
#ifndef TICKLAKE_IO_S3_INTERNAL_H
#define TICKLAKE_IO_S3_INTERNAL_H

#include "io/retry.h"
#include "io/s3.h"

enum {
    S3_BUCKET_MAX = 256,
    S3_KEY_MAX = 1024,
    S3_ANSWER_LIMIT = 1 << 20, /* of answers that are XML and no list */
    S3_ETAG_MAX = 128,
    S3_PARTS_MAX = 10000,
};

struct s3 {
    struct s3_options o; /* strings are owned */
    char *endpoint;      /* without a slash at its end */
    struct aws *aws;
    bool shares_aws;
    struct http_client *client;
    struct retry retry;
    int64_t skew_ns;    /* the server's clock minus ours, once it complained */
    bool unconditional; /* If-None-Match does not hold here */
    char good_bucket
        [S3_BUCKET_MAX]; /* it gave a good answer: a 404 is about the key, not about it or the credentials */
};

struct s3_request {
    const char *method;
    struct str bucket, key;
    const char *query;         /* encoded; NULL: none */
    const char *headers[4][2]; /* NULL ends */
    struct str body;
    size_t limit;
    bool once_lost; /* an attempt whose outcome is unknown ends it */
    bool lost;      /* set: some attempt may have been applied though its answer never came */
};
struct s3_failure { /* what the server said */
    char code[64], message[160], request_id[80], region[40];
};

/* Until the server gives an answer that repeating would not change. ERR_OK: *ret is that answer, of any status; the caller
 * judges it, by s3_refused where it is not what was wanted. */
enum err_code s3_send(struct s3 *s, struct s3_request *q, struct http_reply *ret,
                      struct err *e) MUST_USE;
/* The error of an answer; frees it. */
enum err_code s3_refused(struct s3 *s, const struct s3_request *q, struct http_reply *r,
                         struct err *e) MUST_USE;
void s3_failure_of(const struct http_reply *r, struct s3_failure *ret);
/* Waits before try number `n` (0 does not wait); false: stop. */
bool s3_wait(struct s3 *s, int32_t n, int64_t least_ms);
/* Fills bucket and key; ERR_CONFIG where the address is none. */
enum err_code s3_request_init(struct s3_request *q, const char *method, struct str address,
                              struct err *e) MUST_USE;
static inline bool s3_is_good(const struct http_reply *r)
{
    return r->status >= 200 && r->status < 300;
}

/* ---- s3_object.c */
struct s3_facts {
    int64_t size; /* -1: not there */
    char etag[S3_ETAG_MAX];
};
enum err_code s3_facts_of(struct s3 *s, struct str bucket, struct str key, struct s3_facts *ret,
                          struct err *e) MUST_USE;

/* ---- s3_put.c */
struct s3_source { /* bytes, or a file */
    struct str bytes;
    int fd; /* -1: bytes */
    const char *path;
    int64_t size;
};
/* len bytes at offset; *ret points into the bytes or into *buffer. */
enum err_code s3_source_read(const struct s3_source *in, int64_t offset, size_t len,
                             struct buf *buffer, struct str *ret, struct err *e) MUST_USE;
/* What an ETag would be: MD5 of the one part, or of the parts' MD5s with "-N". */
struct s3_sum {
    uint8_t parts[S3_PARTS_MAX][16];
    int count;
    bool multipart;
};
void s3_sum_add(struct s3_sum *sum, struct str part);
/* Whether the object that is there has our content. */
enum err_code s3_is_ours(struct s3 *s, struct str bucket, struct str key,
                         const struct s3_source *in, const struct s3_sum *sum,
                         struct s3_facts *facts, bool *ret, struct err *e) MUST_USE;

/* ---- s3_list.c */
typedef enum err_code (*s3_each)(void *ctx, struct str address, int64_t size, int64_t modified_ns,
                                 struct err *e);
/* One page of a listing of the bucket; *token becomes that of the next page, empty: this was the last. */
enum err_code s3_list_parse(struct str body, struct str bucket, s3_each each, void *ctx,
                            struct buf *token, struct err *e) MUST_USE;

/* ---- s3_multipart.c */
enum err_code s3_put_parts(struct s3 *s, struct str bucket, struct str key,
                           const struct s3_source *in, bool if_absent, struct err *e) MUST_USE;

#endif
