/* http.h - one blocking GET, for REST answers. TLS verified, time and size limited.
 *
 * Answers   any HTTP status is an answer (ERR_OK): the caller judges it. Redirects are followed, at most three.
 * Fails     ERR_NETWORK (not reached, cut off, certificate), ERR_TIMEOUT, ERR_FULL (longer than `limit`), ERR_CONFIG (no
 *           address). Texts name host and path without the query: the header and the query may hold secrets, and never
 *           stand in a text.
 * Blocks    up to timeout_ms: call it in a thread that may wait. `cancel` (any thread sets it) ends it within a second.
 * Threads   any number at a time; no shared state after the first call.
 */
#ifndef TICKLAKE_IO_HTTP_H
#define TICKLAKE_IO_HTTP_H

#include "base/buf.h"

#include <stdatomic.h>

struct http_request {
    const char *url;    /* with path and query */
    const char *header; /* one more header line, secret; NULL or empty: none */
    size_t limit;       /* bytes of body */
    int32_t connect_timeout_ms, timeout_ms;
    bool tls_verify;
    const char *ca_file;       /* NULL: the system's */
    const atomic_bool *cancel; /* may be NULL */
};
struct http_answer {
    int status;
    int64_t retry_after_ms; /* -1 where the server does not say */
    struct buf body;
};
void http_answer_init(struct http_answer *a, size_t limit);
void http_answer_free(struct http_answer *a);
enum err_code http_get(const struct http_request *r, struct http_answer *ret,
                       struct err *e) MUST_USE;

#endif
