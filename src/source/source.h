/* source.h - from sockets or recordings to batches: each event once, every hole told.
 *
 * Takes     frames of live connections (source_live_*) or of recordings (source_replay_*).
 * Gives     batches (event/batch.h) through options.push, filled, with proofs, dedup state, positions, gaps and dead
 *           letters; ownership goes with the call. A batch is pushed when full or options.batch_ms old.
 * Promises  nothing is dropped uncounted: duplicates are counted, unreadable frames become dead letters with their raw
 *           bytes, missing ids and outages become gap events. Deduplication and gap detection are pure (dedup.h).
 * Order     restore (from the store's state) -> open -> run (in the caller's thread, until stop or the end) -> close.
 * Blocks    in push (a full pipeline stops the reading; sockets keep answering pings).
 * Threads   run in one thread; stop and stats from any.
 */
#ifndef TICKLAKE_SOURCE_SOURCE_H
#define TICKLAKE_SOURCE_SOURCE_H

#include "event/batch.h"
#include "recording/recording.h"
#include "venue/venue.h"

#include <stdatomic.h>

struct source_stats { /* read with relaxed atomics */
    int64_t frames, bytes, trades, quotes, duplicates, dead, gaps_opened, gaps_closed;
    int64_t connects, connections_up, connections, venue_errors, guessed_symbols;
    int64_t batches;
};

/* What the store knows of the past; borrowed during the call. */
struct source_past {
    const struct dedup_state *dedup;
    size_t dedup_count;
    const struct source_position *positions;
    size_t position_count;
    const struct gap *open_gaps;
    size_t open_gap_count;
    int64_t next_gap_id;
    int64_t
        last_received_ns; /* of the newest durable event: where an outage began; TIME_ABSENT at first start */
    const struct instrument *instruments;
    size_t instrument_count;
    const struct id_range *brought; /* by others than this source: they are not missing */
    size_t brought_count;
    bool
        of_all_writers; /* `dedup` has the states of several sources: only what ids they saw is taken of them */
};

struct source_options {
    struct series_table *series;
    struct batch_pool *pool;
    enum err_code (*push)(void *ctx, struct batch *b, struct err *e); /* takes the batch */
    void *push_ctx;
    /* For connections made, lost, refused; for the log of run/. May be NULL. */
    void (*notice)(void *ctx, const char *venue, const char *what, const char *detail);
    void *notice_ctx;
    int32_t batch_ms;        /* a batch is pushed at this age */
    int64_t gap_grace_ns;    /* a hole of ids is a gap only after so long (by the receipt clock) */
    int64_t future_limit_ns; /* venue time further ahead of the receipt: dead letter */
    uint8_t origin;          /* LIVE, REPLAYED, SIMULATED */
};

struct source_venue { /* one configured venue */
    const struct venue *venue;
    const char *ws_url, *rest_url; /* NULL: the venue's own */
    struct str token;
    const struct str *symbols; /* normalised, or "*" */
    size_t symbol_count;
    uint32_t streams; /* bits of enum stream */
};

struct source_live_options {
    const struct source_venue *venues;
    size_t venue_count;
    struct recording_writer *recorder; /* may be NULL */
    int32_t reconnect_min_ms, reconnect_max_ms;
    int32_t connect_timeout_ms;
    bool tls_verify;
    const char *ca_file; /* NULL: the system's */
};

struct source_live;
enum err_code source_live_open(const struct source_options *o, const struct source_live_options *l,
                               const struct source_past *past, struct source_live **ret,
                               struct err *e) MUST_USE;
enum err_code source_live_run(struct source_live *s,
                              struct err *e) MUST_USE; /* until source_live_stop */
void source_live_stop(
    struct source_live *s); /* drains what was received, pushes it, run() returns ERR_OK */
void source_live_stats(const struct source_live *s, struct source_stats *ret);
struct source_live *source_live_close(struct source_live *s);

/* A venue's instrument list by REST, in the caller's thread: for what looks at a venue outside of a run. (A live source
 * asks for the lists of its venues by itself.) Errors name venue and address, and never the token. */
struct source_fetch {
    const struct venue *venue;
    const char *rest_url; /* NULL: the venue's own */
    struct str token;
    int32_t connect_timeout_ms;
    bool tls_verify;
    const char *ca_file;       /* NULL: the system's */
    const atomic_bool *cancel; /* any thread sets it; may be NULL */
};
enum err_code source_fetch_instruments(const struct source_fetch *f,
                                       void (*each)(void *ctx, const struct instrument *i),
                                       void *ctx, struct err *e) MUST_USE;

struct source_replay_options {
    const char *const *paths;
    size_t path_count;
    struct str venue_hint;
    double
        speed; /* 0: as fast as it goes; 1: in real time by receive times. A ratio, no data. inexact: pacing only */
    void (*progress)(void *ctx, uint64_t done_bytes, uint64_t all_bytes, int64_t trades);
    void *progress_ctx;
};
struct source_replay;
enum err_code source_replay_open(const struct source_options *o,
                                 const struct source_replay_options *r,
                                 const struct source_past *past, struct source_replay **ret,
                                 struct err *e) MUST_USE;
/* Until the end of the recordings (ERR_OK) or source_replay_stop (ERR_STOPPED). Damaged places are dead letters, are
 * counted in stats, and do not end the run; source_replay_damage() tells the first ones in words. */
enum err_code source_replay_run(struct source_replay *s, struct err *e) MUST_USE;
void source_replay_stop(struct source_replay *s);
void source_replay_stats(const struct source_replay *s, struct source_stats *ret);
size_t source_replay_damage(const struct source_replay *s, const char *const **ret_lines);
struct source_replay *source_replay_close(struct source_replay *s);

#endif
