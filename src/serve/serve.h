/* serve.h - a small HTTP port: /metrics (Prometheus text), /livez, /readyz, /live (event stream), /api/v1/..., static files.
 *
 * Content comes from callbacks, which run in serve's own thread and must not block: what takes longer is answered later.
 * Files     are served without a token (they hold nothing of ours, and a page must be there to ask for the token), with an ETag.
 * Browser   everything comes from here: the Content-Security-Policy allows no other origin, no inline script, no frame.
 * Bind      loopback only; another address needs a token and is refused without one (ERR_CONFIG).
 * Fails     ERR_UNAVAILABLE when the port cannot be bound, naming address and port: a program that cannot be watched
 *           does not start blind.
 */
#ifndef TICKLAKE_SERVE_SERVE_H
#define TICKLAKE_SERVE_SERVE_H

#include "base/buf.h"

struct serve_file {
    const char *path;        /* "/console.js"; "/index.html" is "/" as well */
    const char *type, *etag; /* the ETag with its quotes */
    const unsigned char *data;
    size_t size;
};

enum serve_reply {
    SERVE_NONE,  /* there is no such page: 404 */
    SERVE_NOW,   /* `out` is the answer */
    SERVE_LATER, /* serve_answer will be called with the id */
    SERVE_BUSY,  /* 503 */
};

struct serve_options {
    const char *bind; /* "127.0.0.1:7070"; port 0: any free */
    const char *token;
    void (*metrics)(void *ctx, struct buf *out);
    bool (*live)(void *ctx, struct buf *why); /* false: 503 with the reason */
    bool (*ready)(void *ctx, struct buf *why);
    void (*status)(void *ctx, struct buf *json);
    /* /api/v1/NAME other than status; query as in the address, "a=1&b=2", percent-encoded. NULL: none. */
    enum serve_reply (*api)(void *ctx, uint64_t id, const char *name, const char *query,
                            struct buf *out);
    const struct serve_file *files;
    size_t file_count;
    void *ctx;
};
struct serve;
enum err_code serve_start(const struct serve_options *o, struct serve **ret,
                          struct err *e) MUST_USE;
int serve_port(const struct serve *s);
/* To every /live client: one JSON text; dropped (and counted, and told to the client) for one that is slow. Any thread. */
void serve_publish(struct serve *s, struct str json);
/* The JSON answer to an `api` that said SERVE_LATER; nothing happens where the client has gone. Any thread. */
void serve_answer(struct serve *s, uint64_t id, int status, struct str json);
bool serve_has_listeners(const struct serve *s);
struct serve *serve_stop(struct serve *s);

#endif
