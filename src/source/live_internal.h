/* live_internal.h - what the files of the live source share; nobody else includes it.
 *
 * One venue has connections, each with its share of the subscriptions; a connection has two legs, so that the next socket
 * is made before the last one's known end (make before break): what both bring is deduplicated by the core.
 */
#ifndef TICKLAKE_SOURCE_LIVE_INTERNAL_H
#define TICKLAKE_SOURCE_LIVE_INTERNAL_H

#include "io/retry.h"
#include "io/ws.h"
#include "source/core.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    LIVE_LEGS = 2,
    LIVE_SUBSCRIPTIONS_MAX = 200000, /* of a venue */
    LIVE_RANGES_MAX = 64,
    LIVE_CONNECTS_MAX = 128,
    LIVE_NAME_MAX = 96,
};

struct source_live;
struct live_venue;
struct live_connection;

struct live_sub {
    struct subscription sub; /* venue_symbol is owned */
    bool bad;                /* the venue does not want it */
};

struct live_range { /* subscriptions [from, to) to be sent */
    uint32_t from, to;
};

enum live_state { LEG_IDLE, LEG_CONNECTING, LEG_OPEN };

struct live_leg {
    struct live_connection *connection;
    struct core_connection *core;
    char name[LIVE_NAME_MAX]; /* "binance/0", and "binance/0+" for the other leg */
    struct ws *ws;
    enum live_state state;
    bool no_deflate;
    bool ready;     /* everything was subscribed */
    bool renew;     /* the venue asked for a new connection */
    bool suspected; /* silent for long: its successor is on the way */
    /* Monotonic times: since when open, newest frame, newest sign of life, last ping, next keep-alive, next own frame. */
    int64_t opened_ns, frame_ns, alive_ns, ping_ns, keep_alive_ns, send_ns, ready_ns;
    int64_t bytes;
    int64_t request_id;
    struct live_range ranges[LIVE_RANGES_MAX]; /* to be subscribed: a stack */
    uint32_t range_count;
    struct live_range batch; /* sent last; its answer is waited for until answer_ns */
    bool waiting, acked, failed, named;
    int64_t answer_ns;
};

struct live_connection {
    struct live_venue *venue;
    uint32_t index;
    struct live_sub *subs;
    uint32_t sub_count, sub_cap;
    struct live_leg legs[LIVE_LEGS];
    int current; /* the leg that counts; the other is its successor, or on its way out */
    struct retry retry, refused_retry;
    uint32_t attempt;
    int64_t try_ns;      /* monotonic: no new socket before */
    int64_t received_ns; /* wall clock: newest frame, or TIME_ABSENT */
    int64_t down_ns;     /* wall clock: begin of an outage that is not told yet, or TIME_ABSENT */
    const char *down_cause;
    uint32_t told_subs; /* of that outage, so many subscriptions were told; 0: it is not told yet */
    int64_t patience_ms,
        suspected_ns; /* how long a silence with answered pings is taken for quiet */
};

struct live_fetch;
struct live_venue {
    struct source_live *live;
    const struct venue *venue;
    struct str *symbols;
    size_t symbol_count;
    bool all, wildcard; /* all: "*" of the list; wildcard: the venue takes "*" itself */
    uint32_t streams;
    char *ws_url, *rest_url, *token;
    struct venue_names *names;
    struct core_connection *rest; /* for the answers' dead letters */
    struct live_connection **connections;
    uint32_t connection_count;
    struct map planned;  /* "stream symbol" of every subscription */
    uint32_t old_series; /* of them, at open: those that were heard before */
    bool told_unknown, asked;
    struct live_fetch *fetch;
    int64_t fetch_ns; /* monotonic: next one */
    struct retry fetch_retry;
    int64_t connects[LIVE_CONNECTS_MAX]; /* times of the newest, a ring */
    uint32_t connect_at;
};

struct source_live {
    struct source_options options;
    struct source_live_options live;
    char *ca_file;
    struct core *core;
    struct ws_loop *loop;
    struct live_venue *venues;
    size_t venue_count;
    int64_t last_received_ns; /* of the past */
    bool pending;             /* events may wait in a batch */
    int64_t batches, flush_ns;
    enum err_code code; /* what ended it */
    struct err err;
    atomic_bool stop;
};

void live_notice(struct live_venue *v, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void live_fail(struct source_live *s, enum err_code code, const struct err *e);
/* What is received or sent goes to the recorder; secrets masked. */
void live_record(struct live_leg *g, enum recording_kind kind, struct str bytes, int64_t now_ns);

/* Subscriptions for every wanted symbol that has none yet. */
void live_plan(struct live_venue *v);
bool live_can_plan(const struct live_venue *v);
/* Outage rows for the streams of a connection whose ids cannot tell; TIME_ABSENT: it lasts. */
void live_outage(struct live_connection *c, int64_t to_ns);
void live_plan_free(struct live_venue *v);

struct live_connection *live_connection_new(struct live_venue *v);
void live_connection_free(struct live_connection *c);
void live_connection_step(struct live_connection *c, int64_t now_ns);
void live_leg_subscribe(struct live_leg *g, uint32_t from, uint32_t to); /* queues */
void live_leg_step(struct live_leg *g, int64_t now_ns);                  /* sends what is due */
void live_leg_answer(struct live_leg *g, const struct core_result *r, int64_t now_ns);
void live_leg_settle(struct live_leg *g, int64_t now_ns); /* ready, where all is subscribed */
void live_leg_send(struct live_leg *g, struct str text);

void live_fetch_step(struct live_venue *v, int64_t now_ns);
void live_fetch_free(struct live_venue *v);

#endif
