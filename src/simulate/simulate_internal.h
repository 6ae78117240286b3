/* simulate_internal.h - what the files of simulate/ share.
 *
 *   market.c    what is traded: symbols, a random walk, ids           (pure)
 *   faults.c    what goes wrong with a trade on its way               (pure)
 *   encode_*.c  the venue's own frames, answers and instrument lists  (pure)
 *   playback.c  recorded frames, in their own time
 *   server.c    sockets and queues
 */
#ifndef TICKLAKE_SIMULATE_SIMULATE_INTERNAL_H
#define TICKLAKE_SIMULATE_SIMULATE_INTERNAL_H

#include "event/proof.h"
#include "recording/recording.h"
#include "simulate/simulate.h"

enum { SIM_TAPE_MAX = 200000 }; /* trades of a symbol that REST still has */
enum { SIM_VENUES_MAX = 8, SIM_NAME_MAX = 48, SIM_QUEUE_MAX = 64 << 20, SIM_QUEUE_HIGH = 8 << 20 };

uint64_t sim_random(uint64_t *state);
bool sim_one_in(uint64_t *state, int32_t n); /* false for n == 0 */

/* --- market --- */

struct sim_trade {
    int symbol; /* index in its market */
    int64_t id, time_ns;
    struct dec price, size;
    enum side side;
};

struct sim_truth {                      /* of one symbol */
    int64_t generated, sent, held_back; /* held_back: by the fault `missing` */
    int64_t first_id, last_id;
    u128 sent_sum; /* of the proof's hashes of the trades sent at least once */
    int64_t past;  /* traded before the simulator began */
    u128 all_sum;  /* of all trades: the past, and what was held back too */
};

struct sim_symbol {
    char base[16], quote[16], symbol[SIM_NAME_MAX], venue_symbol[SIM_NAME_MAX];
    int price_scale, size_scale;
    int64_t price, start_price; /* in units of the price scale */
    int64_t next_id, last_time_ns;
    bool wanted; /* somebody subscribed to its trades: it is traded from then on */
    struct series series;
    struct sim_truth truth;
    struct sim_trade *tape; /* what REST knows: everything generated, in order */
    size_t tape_count, tape_cap;
};
void sim_tape_add(struct sim_symbol *s, const struct sim_trade *t);

struct sim_market {
    const struct sim_venue *venue;
    struct sim_symbol *symbols;
    int count;
    uint64_t random;
};
void market_init(struct sim_market *m, const struct sim_venue *venue, int symbols, uint64_t seed);
void market_done(struct sim_market *m);
/* Trades of each symbol from a time to another, by the seed: known by REST alone. */
void market_past(struct sim_market *m, int64_t trades, int64_t from_ns, int64_t to_ns);
/* Next trade of symbol i at now; counts it as generated. */
struct sim_trade market_trade(struct sim_market *m, int i, int64_t now_ns);
void market_sent(struct sim_market *m, const struct sim_trade *t); /* to at least one client */
struct quote market_quote(struct sim_market *m, int i, int64_t now_ns);
int market_find(const struct sim_market *m, struct str venue_symbol); /* any case; -1 */

/* --- venues --- */

struct sim_request; /* history.h */
struct sim_rest;
struct sim_client; /* server.c */
/* Marks (symbol, stream) as wanted by the client; false for an unknown symbol. "*" is all. */
bool sim_subscribe(struct sim_client *c, struct str venue_symbol, enum stream stream, bool wanted);
void sim_reply(struct sim_client *c, struct str frame); /* queues a frame to this client */

struct sim_venue {
    const char *name;
    bool ids;       /* trades carry consecutive ids: duplicates and holes can be told */
    bool perpetual; /* BASE-QUOTE-PERP */
    enum stream tape;
    const char *quote;    /* quote currency of the generated symbols */
    int64_t time_unit_ns; /* of the times in its frames */
    int32_t heartbeat_ms; /* 0: none */
    void (*venue_symbol)(const struct sim_symbol *s, char out[SIM_NAME_MAX]);
    void (*hello)(struct sim_client *c); /* on connect; may be NULL */
    void (*client_frame)(struct sim_client *c, struct str frame);
    void (*heartbeat)(int64_t now_ns, struct buf *out);
    void (*trade)(const struct sim_symbol *s, const struct sim_trade *t, bool combined,
                  struct buf *out);
    void (*quote_frame)(const struct sim_symbol *s, const struct quote *q, bool combined,
                        struct buf *out);
    /* The instrument list: the answer to GET path (behind /NAME), or false for 404. */
    bool (*rest)(const struct sim_market *m, struct str path, struct buf *out);
    /* The past; asked before. NULL: none. */
    bool (*history)(const struct sim_market *m, const struct sim_request *r, struct sim_rest *out);
    /* Shifts the times inside a recorded frame; NULL: frames are sent as recorded. */
    void (*retime)(struct str frame, int64_t shift_ns, struct buf *out);
};
bool sim_binance_history(const struct sim_market *m, const struct sim_request *r,
                         struct sim_rest *out);
bool sim_coinbase_history(const struct sim_market *m, const struct sim_request *r,
                          struct sim_rest *out);
bool sim_kraken_history(const struct sim_market *m, const struct sim_request *r,
                        struct sim_rest *out);
bool sim_tiingo_history(const struct sim_market *m, const struct sim_request *r,
                        struct sim_rest *out);
extern const struct sim_venue sim_tiingo, sim_binance, sim_binance_futures, sim_coinbase,
    sim_kraken;
extern const struct sim_venue *const sim_venue_all[]; /* NULL-terminated */
const struct sim_venue *sim_venue_by_name(struct str name);

/* --- faults: a trade goes in, zero or more come out, now or later --- */

enum { SIM_HELD_MAX = 65536 };
struct sim_held {
    int market;
    struct sim_trade trade;
    int64_t due_ns; /* INT64_MAX: behind the next trade of its symbol (reorder) */
};
struct sim_faults {
    struct simulate_faults script;
    uint64_t random;
    struct sim_held *held;
    int held_count;
    int64_t duplicates, missing, reordered, late, garbage, disconnects, silences; /* done so far */
};
void faults_init(struct sim_faults *f, const struct simulate_faults *script, uint64_t seed);
void faults_done(struct sim_faults *f);
/* Calls send() for what goes out now because of trade t (itself, twice, a held one before it), in order. */
void faults_pass(struct sim_faults *f, int market, bool ids, const struct sim_trade *t,
                 int64_t now_ns, void (*send)(void *ctx, int market, const struct sim_trade *t),
                 void *ctx);
/* What is due; all of it when `all`. */
void faults_release(struct sim_faults *f, int64_t now_ns, bool all,
                    void (*send)(void *ctx, int market, const struct sim_trade *t), void *ctx);
const char *faults_garbage(struct sim_faults *f); /* a frame that is none */

/* --- playback --- */

struct sim_playback;
enum err_code playback_open(const struct simulate_options *o, struct sim_playback **ret,
                            struct err *e) MUST_USE;
struct sim_playback *playback_close(struct sim_playback *p);
bool playback_has(const struct sim_playback *p, const char *venue);
/* Frames that are due, since `started_ns` of the playback; false at the end. */
bool playback_step(struct sim_playback *p, int64_t now_ns,
                   void (*send)(void *ctx, const char *venue, struct str frame), void *ctx);
void playback_report(const struct sim_playback *p, struct buf *json);

#endif
