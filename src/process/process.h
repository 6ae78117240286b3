/* process.h - candles from trades: watermarks, lateness, roll-ups, revisions. Pure: no clock, no files.
 *
 * Takes     batches in sequence order (process_push), the clock when live (process_tick), the end of a replay
 *           (process_finish). What it gives goes to the sink, in a deterministic order: the same events in the same
 *           order give the same calls, however they were cut into batches and wherever the run was interrupted.
 * Tape      candles are made per (venue, symbol) from ONE stream: trade or agg_trade, whichever is seen first, kept for
 *           ever (persisted), over all exchanges of that venue. Trades of other streams are passed over, and so are those of
 *           kind liquidation (what a venue did with its own insurance fund).
 * Watermark per tape: the newest min(venue time, receipt), less `lateness_ns`, floored to the second. A window whose end is
 *           <= the watermark is closed and its candle emitted. The receipt only holds the watermark back, never forward:
 *           where the venue's clock is ahead of ours by 1.3 s, as in real recordings, windows stay open 1.3 s longer and
 *           nothing is lost. A trade without a venue time counts at its receipt.
 * Windows   1s and 1m from trades, ordered by (time, id, sequence), ids that are no numbers by (time, sequence); 5m to 1d
 *           rolled up from 1m. No row for a timeframe without trades. A trade more than 146 years from 1970 has no candle.
 * Values    sums are exact; quote_volume and vwap of 1s and 1m are rounded once, half-even, at the 18th decimal; roll-ups
 *           add the rounded 1m values, and their vwap is quote_volume / base_volume of these. A sum past 38 digits is absent,
 *           as is vwap where the base volume is zero, and the taker volumes as soon as one side is unknown.
 * Late      a trade for a closed window is not applied there: it is told to the sink as `late` with a bit for each timeframe
 *           whose window is closed; the caller persists that (in the commit that holds the trade) and later remakes those
 *           rows from the lake (process_candles_of_minute, process_rollup). Where its second is closed and its minute is not,
 *           the minute takes it as any other trade, and only 1s is late. A roll-up bucket still open that contains a closed
 *           minute with a late trade is tainted: at its close it is told as `rollup_from_lake` instead of being made here.
 * Gaps      an open or unrepairable gap of the tape's stream makes every candle incomplete whose window meets the closed
 *           interval [from, to]; a repaired one no longer does. Candles emitted before the change are told by sink->gap.
 * Finish    process_finish emits every open window, roll-ups too, at the end of a replay. When the input goes on later, 1s
 *           and 1m go on as ever; each new minute of a roll-up that was emitted early is told as one `late` of it.
 * Restart   the caller persists what sink->state gives with each commit. On restart: process_restore for each of them;
 *           process_rebuild_upto(committed position); process_push of the events from process_resume_sequence() (persisted
 *           too) to that position, which refill the open windows and emit nothing; then on as ever. It is exact because a
 *           re-read trade goes into its window if and only if that window is still open at the persisted watermark: the
 *           watermark never goes back, so these are the windows that took it before. Ticks come after the rebuild.
 *           Roll-ups are in the state; only where that part of it is missing, process_wanted_candles asks for the lake's 1m
 *           rows instead.
 * Memory    about 4 KB a tape, at most tapes_max; lateness plus 128 open seconds a tape, past which the oldest is closed
 *           early (later trades of it are late, so nothing is lost); PROCESS_GAPS_MAX gaps a tape, past which the span of the
 *           oldest stays incomplete for good.
 * Fails     ERR_FULL past tapes_max, ERR_CORRUPT and ERR_VERSION for a state that cannot be read. After a failed push the
 *           process is in the middle of that batch: free it.
 */
#ifndef TICKLAKE_PROCESS_PROCESS_H
#define TICKLAKE_PROCESS_PROCESS_H

#include "event/batch.h"

enum { PROCESS_GAPS_MAX = 512 };

struct process_options {
    const struct series_table *series;
    int64_t lateness_ns;
    /* A live symbol without trades for so long is quiet: its watermark follows the clock less this and lateness_ns. */
    int64_t tick_limit_ns;
    uint32_t tapes_max;
};

/* A late trade: the closed windows it belongs to get one revision each. The row may not exist yet, where the window had no
 * trades before. */
struct late_trade {
    uint32_t series;     /* any series of the tape: gives venue and symbol */
    int64_t time_ns;     /* of the trade, floored to the second */
    uint32_t timeframes; /* bit per enum timeframe whose window was closed before */
    int64_t sequence;
};
/* A gap opened, changed or closed: `complete` of emitted candles that meet [from, to] may change. */
struct gap_change {
    uint32_t series;
    int64_t gap_id;
    int64_t from_ns, to_ns; /* the old and the new span together; to_ns INT64_MAX while it lasts */
    int64_t watermark_ns;   /* candles whose end is <= this were emitted before */
    int64_t sequence;
};

struct process_sink {
    void *ctx;
    /* revision 0, replaces false; updated_ns is the newest receipt or tick, sequence the event that closed it. */
    void (*candle)(void *ctx, const struct candle *c);
    void (*late)(void *ctx, const struct late_trade *l);
    /* 5m..1d bucket that closed tainted: to be made from the lake's 1m rows, as revision 0. */
    void (*rollup_from_lake)(void *ctx, uint32_t series, enum timeframe tf, int64_t open_time_ns);
    void (*gap)(void *ctx, const struct gap_change *g);
    /* State of a tape changed: persist under this name with the commit; empty bytes: remove it. */
    void (*state)(void *ctx, struct str name, struct str bytes);
};

struct process;
struct process *process_new(const struct process_options *o);
struct process *process_free(struct process *p);
enum err_code process_restore(struct process *p, struct str name, struct str bytes,
                              struct err *e) MUST_USE;
enum err_code process_restore_candle(struct process *p, const struct candle *one_minute,
                                     struct err *e) MUST_USE;
/* 1m open times [from, to) that restore_candle wants, for each tape restored without its roll-ups. */
void process_wanted_candles(const struct process *p,
                            void (*each)(void *ctx, uint32_t series, int64_t from_ns,
                                         int64_t to_ns),
                            void *ctx);
void process_rebuild_upto(struct process *p, int64_t sequence);
enum err_code process_push(struct process *p, const struct batch *b,
                           const struct process_sink *sink, struct err *e) MUST_USE;
/* now_ns: a clock that the pushed events have reached. While a backlog is being read that is not the wall clock: ticking
 * with it would close windows whose trades are still to come, and each of them would be late. */
void process_tick(struct process *p, int64_t now_ns, const struct process_sink *sink);
void process_finish(struct process *p,
                    const struct process_sink *sink); /* closes every open window */
/* Gives the state of each tape that changed since the last call, through sink->state. Call before each commit. */
void process_flush_state(struct process *p, const struct process_sink *sink);
/* The lowest sequence that must be read again to rebuild the open windows (<= position + 1). */
int64_t process_resume_sequence(const struct process *p, int64_t position);
/* complete=false for candles that meet an open or unrepairable gap of the tape. */
bool process_is_complete(const struct process *p, uint32_t series, int64_t from_ns, int64_t to_ns);
/* The stream (enum stream) that the tape's candles are made from; -1 while none was seen. */
int process_tape_stream(const struct process *p, uint32_t series);
int64_t process_mark(const struct process *p); /* emitted: every event <= mark was looked at */

/* Recompute, pure functions; the same arithmetic as above. trades: all of one tape's stream in [open, open + 60 s), any
 * order, others are passed over; out (room for 61) gets the 1s candles asked for by bit, then the 1m, where they have
 * trades: revision 0, complete true; the caller sets both. */
enum err_code process_candles_of_minute(const struct series_table *names, uint32_t series,
                                        const struct trade *trades, size_t count, int64_t open_ns,
                                        uint64_t seconds, struct candle *out,
                                        size_t *ret_count) MUST_USE;
/* One candle of tf from the 1m candles of its bucket (any order, count >= 1, each once). */
enum err_code process_rollup(enum timeframe tf, int64_t open_ns, const struct candle *minutes,
                             size_t count, struct candle *ret) MUST_USE;

/* What the persisted state of a tape tells, for lists of markets. name: as sink->state gave it; ERR_NOT_FOUND: it is the name of
 * another kind of state. Texts point into it. */
struct process_market {
    struct str venue, symbol;
    int stream;           /* enum stream, or -1 */
    int64_t watermark_ns; /* candles that end up to there are made; TIME_ABSENT: none yet */
    int64_t newest_ns;    /* time of the newest trade; TIME_ABSENT: written by an older program */
    struct dec price;     /* of that trade */
    int64_t day_trades;   /* trades so far of the day (UTC) that newest_ns is in */
};
enum err_code process_market_read(struct str name, struct str bytes, struct process_market *ret,
                                  struct err *e) MUST_USE;

struct process_stats {
    int64_t trades; /* made part of a candle, or late */
    int64_t late, candles, tapes, open_windows, mark;
    int64_t passed_over; /* trades of other streams, or without a usable time */
};
void process_stats(const struct process *p, struct process_stats *ret); /* any thread */

#endif
