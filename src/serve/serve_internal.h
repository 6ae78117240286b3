/* serve_internal.h - inside the HTTP port; nobody else includes it. */
#ifndef TICKLAKE_SERVE_SERVE_INTERNAL_H
#define TICKLAKE_SERVE_SERVE_INTERNAL_H

#include "serve/serve.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    SERVE_ANSWER_MAX = 16 << 20,
    SERVE_QUEUE_MAX = 256 << 10, /* bytes that wait for one listener of /live */
    SERVE_LISTENERS_MAX = 64,
    SERVE_PIECE = 16 << 10,
    SERVE_QUERY_MAX = 1000,
    SERVE_LATER_S = 30, /* an answer that is not there by then is 504 */
};

struct serve_client { /* one connection */
    struct serve_client *next;
    struct serve *serve;
    struct lws *wsi;
    struct buf answer;
    size_t answer_at;
    bool headers_sent, live;
    struct buf events; /* under serve.lock, as is `dropped` */
    uint64_t dropped;
    uint64_t waits_for; /* an answer that comes later, and that answer; under serve.lock */
    int later_status;
    struct buf later;
};

struct serve {
    struct serve_options options;
    char *token;
    char address[64];
    int port;
    struct lws_context *context;
    pthread_t thread;
    bool running;
    atomic_bool stop;
    atomic_int listeners;
    pthread_mutex_t lock; /* over the list of clients and their queues */
    struct serve_client *clients;
    uint64_t last_id;
};

/* ---- serve_answer.c */

/* Sends what is in c->answer. */
int serve_send(struct lws *wsi, struct serve_client *c, int status, const char *type);
int serve_say(struct lws *wsi, struct serve_client *c, int status, const char *text);
/* A static file of that path; -2: there is none. */
int serve_send_file(struct lws *wsi, struct serve_client *c, struct str path);
int serve_ask_api(struct lws *wsi, struct serve_client *c, struct str name);
/* In the service thread: answers that came meanwhile are sent. */
void serve_send_later(struct serve *s);
/* The time of an answer is over. */
int serve_give_up(struct lws *wsi, struct serve_client *c);

#endif
