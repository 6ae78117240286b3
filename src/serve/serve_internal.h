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
};

#endif
