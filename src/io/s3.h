/* s3.h - objects of any S3-compatible store.
 *
 * Addressing  path style (http://host/bucket/key) or virtual host (http://bucket.host/key); keys are any UTF-8.
 * Writing     one PUT, or multipart above part_bytes (parts of that size; aborted when it fails). if_absent asks the server
 *             with If-None-Match: * (ERR_CONFLICT where the key exists). A server may ignore that header and overwrite
 *             (seen): s3_probe tries it out once with a key of its own, and s3_put with if_absent falls back to HEAD before PUT
 *             where it does not hold.
 *             A key that somebody else made is ERR_CONFLICT also where the bytes are equal.
 * Retries     by class of error: network, 5xx, 429, SlowDown, RequestTimeout, a clock skew once: again with backoff and
 *             jitter, up to `tries`; 4xx else: at once an error. A lost answer of a conditional PUT is resolved by HEAD and
 *             the content's length and ETag (where an ETag is no MD5, by the content itself), never by blind retry.
 * Errors      name bucket, key, endpoint, the server's Code and Message and its request id. ERR_REFUSED (403, any other 4xx
 *             refusal of credentials), ERR_NOT_FOUND (the object, or the bucket), ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_NETWORK,
 *             ERR_CONFLICT, ERR_CONFIG (a request that the server does not take), ERR_FULL, ERR_PARSE (no S3 answered), ERR_DISK.
 * Threads     an `s3` belongs to one thread at a time; s3_share makes one for another thread.
 */
#ifndef TICKLAKE_IO_S3_H
#define TICKLAKE_IO_S3_H

#include "io/aws.h"

struct s3_options {
    const char *
        endpoint; /* "http://127.0.0.1:29000"; NULL: AWS_ENDPOINT_URL_S3, else https://s3.REGION.amazonaws.com */
    bool virtual_host;
    struct aws_options aws;
    int64_t part_bytes;                     /* 0: 8 MiB, the least of S3 is 5 MiB */
    int32_t tries;                          /* 0: 6 */
    int32_t connect_timeout_ms, timeout_ms; /* 0: 5000, 60000 */
    const atomic_bool *cancel;              /* ends requests and waits: ERR_STOPPED; may be NULL */
};
struct s3;
struct s3 *s3_new(const struct s3_options *o);
/* The same settings, credentials and verdict on conditional writes, connections of its own. Freed before `of`. */
struct s3 *s3_share(const struct s3 *of);
struct s3 *s3_free(struct s3 *s);
/* "s3://bucket/some/key" (s3a:// alike) in its parts; false where it is none. */
bool s3_split(struct str address, struct str *ret_bucket, struct str *ret_key);

enum err_code s3_put(struct s3 *s, struct str address, struct str bytes, bool if_absent,
                     struct err *e) MUST_USE;
/* The file at path, in parts where it is large, never wholly in memory. */
enum err_code s3_put_file(struct s3 *s, struct str address, const char *path, bool if_absent,
                          struct err *e) MUST_USE;
/* Adds the object's bytes to *ret, at most `limit` (else ERR_FULL). */
enum err_code s3_get(struct s3 *s, struct str address, size_t limit, struct buf *ret,
                     struct err *e) MUST_USE;
/* Into a file (under a temporary name, then renamed; not synced: it can be had again), by ranges of part_bytes. */
enum err_code s3_get_file(struct s3 *s, struct str address, const char *path,
                          struct err *e) MUST_USE;
/* *ret_size -1 where it is not there. */
enum err_code s3_head(struct s3 *s, struct str address, int64_t *ret_size, struct err *e) MUST_USE;
enum err_code s3_delete(struct s3 *s, struct str address,
                        struct err *e) MUST_USE; /* absent is fine */
/* Keys below the prefix as full addresses, with sizes and times (ns), in key order, page by page. */
enum err_code s3_list(struct s3 *s, struct str prefix,
                      enum err_code (*each)(void *ctx, struct str address, int64_t size,
                                            int64_t modified_ns, struct err *e),
                      void *ctx, struct err *e) MUST_USE;
/* Bucket there, credentials good, write, conditional write, read, list, delete: each tried below `prefix`. *ret_conditional:
 * whether If-None-Match holds. The error says what was tried, and what a policy must grant. */
enum err_code s3_probe(struct s3 *s, struct str prefix, bool *ret_conditional,
                       struct err *e) MUST_USE;
/* Only whether If-None-Match holds, with a key of its own below the prefix. Both set the handle's verdict. */
enum err_code s3_probe_conditional(struct s3 *s, struct str prefix, bool *ret_conditional,
                                   struct err *e) MUST_USE;
enum err_code s3_make_bucket(struct s3 *s, struct str bucket,
                             struct err *e) MUST_USE; /* there is fine */

#endif
