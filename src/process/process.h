/* process.h - candles from trades: watermarks, lateness, roll-ups, revisions. Pure: no clock, no files.
 *
 * Takes     batches in sequence order (process_push), the clock when live (process_tick), the end of a replay
 *           (process_finish). What it gives goes to the sink, in a deterministic order: the same events in the same
 *           order give the same calls, however they were cut into batches.
 * Tape      candles are made per (venue, symbol) from ONE stream: the first one seen, kept for ever (persisted), over all
 *           exchanges of that venue. Trades of other streams are passed over.
 * Watermark per (venue, symbol): the newest venue time, clamped by the receipt, less `lateness_ns`. A window whose end
 *           is <= the watermark is closed and its candle emitted. 1s and 1m are made from trades, ordered by (time, id,
 *           sequence); 5m to 1d are rolled up from 1m. No row for a timeframe without trades.
 * Late      a trade for a closed window is not applied here: it is told to the sink as `late`, the caller persists that
 *           (in the commit that holds the trade), and later calls process_recompute with the lake's trades.
 * Restart   the caller persists process_state() with each commit. On restart: process_restore for each, then
 *           process_push of the batches from process_resume_sequence() (persisted too) with `rebuild_upto` = the
 *           committed position: trades up to it only rebuild open windows and emit nothing; then on as ever. Roll-ups
 *           still open are refilled by process_restore_candle with the lake's 1m rows of the open buckets.
 * Memory    per (venue, symbol) with open windows; limit tapes_max.
 */
#ifndef TICKLAKE_PROCESS_PROCESS_H
#define TICKLAKE_PROCESS_PROCESS_H

#include "event/batch.h"

struct process_options {
    const struct series_table *series;
    int64_t lateness_ns;
    int64_t tick_limit_ns; /* a live symbol that is quiet: watermark follows the clock less this */
    uint32_t tapes_max;
};

/* A late trade: the windows of `second` that were already emitted get one revision each. */
struct late_trade {
    uint32_t series;         /* any series of the tape: gives venue and symbol */
    int64_t time_ns;         /* venue time of the trade, floored to the second */
    uint32_t timeframes;     /* bit per enum timeframe whose candle was emitted before */
    int64_t sequence;
};
/* A roll-up bucket that could not be made from memory because a minute in it is dirty: make it from the lake. */
/* A gap opened or closed: `complete` of emitted candles in [from, to) may change. */
struct gap_change {
    uint32_t series;
    int64_t gap_id;
    int64_t from_ns, to_ns;  /* to_ns INT64_MAX while it lasts */
    int64_t watermark_ns;    /* candles whose end is <= this were emitted before */
    int64_t sequence;
};

struct process_sink {
    void *ctx;
    void (*candle)(void *ctx, const struct candle *c);
    void (*late)(void *ctx, const struct late_trade *l);
    /* 5m..1d bucket that closed while a minute of it was dirty: to be made from the lake's 1m rows, as revision 0. */
    void (*rollup_from_lake)(void *ctx, uint32_t series, enum timeframe tf, int64_t open_time_ns);
    void (*gap)(void *ctx, const struct gap_change *g);
    /* State of a tape changed: persist under this name with the commit of `sequence`. */
    void (*state)(void *ctx, struct str name, struct str bytes);
};

struct process;
struct process *process_new(const struct process_options *o);
struct process *process_free(struct process *p);
enum err_code process_restore(struct process *p, struct str name, struct str bytes, struct err *e) MUST_USE;
enum err_code process_restore_candle(struct process *p, const struct candle *one_minute, struct err *e) MUST_USE;
/* Earliest 1m open time that restore_candle wants for a tape (start of its open 1d bucket), for each restored tape. */
void process_wanted_candles(const struct process *p,
                            void (*each)(void *ctx, uint32_t series, int64_t from_ns, int64_t to_ns),
                            void *ctx);
void process_rebuild_upto(struct process *p, int64_t sequence);
enum err_code process_push(struct process *p, const struct batch *b, const struct process_sink *sink,
                           struct err *e) MUST_USE;
void process_tick(struct process *p, int64_t now_ns, const struct process_sink *sink);
void process_finish(struct process *p, const struct process_sink *sink); /* closes every open window */
/* Gives the state of each tape that changed since the last call, through sink->state. Call before each commit. */
void process_flush_state(struct process *p, const struct process_sink *sink);
/* The lowest sequence that must be read again to rebuild the open windows (<= position + 1). */
int64_t process_resume_sequence(const struct process *p, int64_t position);
/* complete=false for candles that overlap an open gap of the tape. */
bool process_is_complete(const struct process *p, uint32_t series, int64_t from_ns, int64_t to_ns);
int64_t process_mark(const struct process *p); /* emitted: every event <= mark was looked at */

/* Recompute, pure functions. trades: all of one tape in [open, open + 60 s), any order; candles are appended to out
 * (1s of the seconds asked for by bit, then the 1m), revision 0, complete true: the caller sets both. Returns ERR_INEXACT
 * where a sum outgrows 38 digits. */
enum err_code process_candles_of_minute(const struct series_table *names, uint32_t series,
                                        const struct trade *trades, size_t count, int64_t open_ns,
                                        uint64_t seconds, struct candle *out, size_t *ret_count) MUST_USE;
/* One candle of tf from the 1m candles of its bucket (any order, count >= 1). Sums are exact: 1m quote volumes are rounded
 * values, so the roll-up adds the rounded ones, in memory and here alike. */
enum err_code process_rollup(enum timeframe tf, int64_t open_ns, const struct candle *minutes,
                             size_t count, struct candle *ret) MUST_USE;

struct process_stats {
    int64_t trades, late, candles, tapes, open_windows, mark;
};
void process_stats(const struct process *p, struct process_stats *ret); /* any thread */

#endif
