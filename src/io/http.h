/* http.h - one blocking GET, for REST answers; and, further down, any method over kept connections. TLS verified, time and
 * size limited.
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

/* ---- Any method, any headers, over kept connections: for S3, registries, catalogs.
 *
 * Owner     an `http_client` belongs to one thread at a time and keeps its connections open. Headers are "Name: value"
 *           lines, copied; neither they nor the query nor the bodies ever stand in a text.
 * Answers   as http_get: every status is an answer. Redirects are NOT followed, compressed answers not asked for. Retrying
 *           is the caller's, but for one thing: a kept connection that turns out to be dead is replaced and the request
 *           sent again; `sends` tells, because the server may have acted on the first one.
 * Fails     as http_get; ERR_CONFIG also for a header with a line break, too many or too long headers. `cancel`: ERR_STOPPED.
 */
enum { HTTP_HEADERS_MAX = 32, HTTP_HEADER_LIMIT = 8192, HTTP_REPLY_HEADERS_LIMIT = 65536 };
struct http_call {
    const char *method; /* GET HEAD PUT POST DELETE PATCH; a literal */
    char *url;          /* malloc'd by http_call_init: with path and query, percent-encoded */
    char *headers[HTTP_HEADERS_MAX]; /* malloc'd */
    size_t header_count;
    bool bad_header;
    struct str body; /* borrowed; empty: none (PUT and POST then send Content-Length: 0) */
    size_t limit;    /* bytes of the answer's body */
    int32_t connect_timeout_ms, timeout_ms; /* 0: 5000, 30000 */
    const char *ca_file;                    /* NULL: the system's */
    const atomic_bool *cancel;
    bool
        direct; /* past any proxy of the environment: for addresses that exist on this machine only */
};
void http_call_init(struct http_call *c, const char *method, const char *url, size_t limit);
/* Replaces a header of that name (any case). An empty value sends the header empty. */
void http_call_header(struct http_call *c, const char *name, const char *value);
/* Its value, or NULL. */
const char *http_call_get_header(const struct http_call *c, const char *name);
void http_call_free(struct http_call *c);

struct http_reply {
    int status;
    int sends; /* how often the request went out: more than 1 where a kept connection was dead */
    int64_t retry_after_ms; /* -1 where the server does not say */
    struct buf body;
    struct buf headers; /* raw lines as received, of the last answer (not of "100 Continue") */
};
/* Value of an answer's header (any case), or an empty str. */
struct str http_reply_header(const struct http_reply *r, const char *name);
void http_reply_free(struct http_reply *r); /* twice is fine */

struct http_client;
struct http_client *http_client_new(void);
struct http_client *http_client_free(struct http_client *c);
/* Initialises *ret; http_reply_free it after ERR_OK (after an error it is empty). */
enum err_code http_send(struct http_client *c, const struct http_call *call, struct http_reply *ret,
                        struct err *e) MUST_USE;

#endif
