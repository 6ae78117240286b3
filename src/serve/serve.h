/* serve.h - a small HTTP port: /metrics (Prometheus text), /livez, /readyz, /api/v1/status, /live (event stream).
 *
 * Content comes from callbacks, which run in serve's own thread and must not block.
 * Bind      loopback only; another address needs a token and is refused without one (ERR_CONFIG).
 * Fails     ERR_UNAVAILABLE when the port cannot be bound, naming address and port: a program that cannot be watched
 *           does not start blind.
 */
#ifndef TICKLAKE_SERVE_SERVE_H
#define TICKLAKE_SERVE_SERVE_H

#include "base/buf.h"

struct serve_options {
    const char *bind; /* "127.0.0.1:7070"; port 0: any free */
    const char *token;
    void (*metrics)(void *ctx, struct buf *out);
    bool (*live)(void *ctx, struct buf *why); /* false: 503 with the reason */
    bool (*ready)(void *ctx, struct buf *why);
    void (*status)(void *ctx, struct buf *json);
    void *ctx;
};
struct serve;
enum err_code serve_start(const struct serve_options *o, struct serve **ret,
                          struct err *e) MUST_USE;
int serve_port(const struct serve *s);
/* To every /live client: one JSON text; dropped (and counted, and told to the client) for one that is slow. Any thread. */
void serve_publish(struct serve *s, struct str json);
bool serve_has_listeners(const struct serve *s);
struct serve *serve_stop(struct serve *s);

#endif
