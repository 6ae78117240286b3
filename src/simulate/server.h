/* server.h - inside simulate/: sockets, one queue a client, in the thread of simulate_run. */
#ifndef TICKLAKE_SIMULATE_SERVER_H
#define TICKLAKE_SIMULATE_SERVER_H

#include "simulate/history.h"

#include <libwebsockets.h>

enum { WANT_TRADES = 1, WANT_QUOTES = 2 };

struct sim_client {
    struct simulate *sim;
    struct sim_client *next;
    struct lws *wsi;
    int market; /* index; its venue is the first part of the URL */
    bool combined;
    bool closing; /* flush, then close: gets nothing more */
    bool silent;  /* half-open: reads, sends nothing any more */
    bool subscribed;
    uint8_t *wants;   /* bits by symbol */
    struct buf queue; /* length (4 bytes), frame, ... */
    size_t queue_at;
    int64_t heartbeat_ns, subscribed_ns;
    struct buf incoming;
};

struct sim_answer {
    struct buf body;
    size_t at;
};

struct sim_server;
/* What the server asks of the simulator. */
int sim_market_by_path(struct simulate *s, struct str path, struct str *ret_rest); /* -1 */
/* The answer to a REST request of that market, faults and allowances included. */
void sim_rest_answer(struct simulate *s, int market, const struct sim_request *r,
                     struct sim_rest *out);
const struct sim_market *sim_market_at(const struct simulate *s, int index);
void sim_client_opened(struct simulate *s, struct sim_client *c);
void sim_client_closed(struct simulate *s, struct sim_client *c);
void sim_tick(struct simulate *s); /* about every millisecond */

enum err_code server_open(struct simulate *s, const char *bind, int port, struct sim_server **ret,
                          struct err *e) MUST_USE;
struct sim_server *server_close(struct sim_server *v);
int server_port(const struct sim_server *v);
void server_service(struct sim_server *v); /* waits for events, at most some ms */
void server_wake(struct sim_server *v);    /* any thread */
void server_send(struct sim_client *c, struct str frame);
void server_finish(struct sim_client *c); /* flush and close */
bool server_flushed(const struct sim_client *c);

#endif
