/* process_internal.h - what the files of process/ share: a tape with its windows, and who calls whom.
 *
 * process.c  the public calls, and the way of one event
 * tape.c     one tape: open seconds, the minute, roll-ups; closing by the watermark; late trades
 * gaps.c     spans that make candles incomplete
 * state.c    the state as text, and back
 * window.c rollup.c  the arithmetic
 */
#ifndef TICKLAKE_PROCESS_PROCESS_INTERNAL_H
#define TICKLAKE_PROCESS_PROCESS_INTERNAL_H

#include "base/array.h"
#include "base/map.h"
#include "event/series.h"
#include "process/process.h"
#include "process/rollup.h"
#include "process/window.h"

#include <stdatomic.h>

/* Times beyond are not used, so that sums of a time and a day never overflow. */
#define TIME_FARTHEST (INT64_MAX / 2)
#define TIME_NEVER    (-TIME_FARTHEST) /* a watermark before the first trade */

enum { SHOWN = 7, SHOWN_MARK = 5 };
enum { NO_STREAM = -1, TAPE_NAME_MAX = 2 * 128 + 2, WINDOWS_BEYOND_LATENESS = 128 };

struct gap_span {
    int64_t gap_id, from_ns, to_ns; /* closed; to_ns INT64_MAX while it lasts */
    uint8_t stream;
};

struct gap_list {
    struct gap_span *spans;
    uint32_t count, cap;
    int64_t latest_ns; /* largest to_ns: later windows need no look at the spans */
    int64_t forgotten_from_ns, forgotten_to_ns; /* past PROCESS_GAPS_MAX; from > to: none */
};

/* Only the minute that holds the watermark can have closed seconds; later minutes are nothing but open seconds. The same is
 * true of each roll-up: the bucket that holds the watermark is the only one with closed minutes. */
struct tape {
    struct str name;                             /* "venue/symbol" */
    uint32_t series;                             /* SERIES_NONE: restored, and not met yet */
    int8_t stream;                               /* enum stream, or NO_STREAM */
    uint8_t price_scale, size_scale;             /* largest seen: new windows start with them */
    bool changed, rollups_changed, gaps_changed; /* since the last flush */
    int64_t watermark_ns;                        /* whole seconds, or TIME_NEVER */
    int64_t received_ns;                         /* of the newest trade: quiet since then */
    int64_t
        newest_ns; /* for lists of markets: time and price of the newest trade, or TIME_NEVER, */
    struct dec newest_price;
    int64_t day_trades;     /* and how many trades its day has */
    struct window *seconds; /* open, sorted by open_ns: [first, first + count) */
    uint32_t first, count, cap;
    struct window minute; /* of closed seconds; empty when its trade_count is 0 */
    struct rollup rollups[ROLLUPS];
    int64_t
        early_ns[ROLLUPS]; /* end of the last bucket emitted by process_finish, else TIME_NEVER */
    struct gap_list gaps;
};

struct process {
    struct process_options options;
    struct map names; /* name -> index in tapes */
    struct tape **tapes;
    uint32_t tape_count;
    size_t tape_cap;
    uint32_t *tape_of; /* by series; MAP_NONE: not known */
    uint32_t series_known;
    uint32_t seconds_max; /* open seconds a tape */
    int64_t rebuild_upto, ticked_ns;
    int64_t now_ns;   /* newest receipt or tick */
    int64_t sequence; /* of the event at hand */
    struct buf scratch;
    struct process_stats counts;
    _Atomic int64_t shown[SHOWN]; /* a copy of counts for other threads */
};

/* process.c: finds or makes the tape. NULL: tapes_max is reached. */
struct tape *tape_named(struct process *p, struct str name);

/* tape.c */
void tape_init(struct tape *t, struct str name);
void tape_free(struct tape *t);
/* A trade of the tape's stream, with a usable time. */
void tape_take(struct process *p, struct tape *tape, const struct trade *t, int64_t time_ns,
               const struct process_sink *sink);
/* The same while rebuilding: only windows that are open at the watermark, and nothing is told. */
void tape_retake(struct process *p, struct tape *tape, const struct trade *t, int64_t time_ns);
/* Closes everything that ends at or before watermark_ns (whole seconds). */
void tape_advance(struct process *p, struct tape *tape, int64_t watermark_ns,
                  const struct process_sink *sink);
void tape_finish(struct process *p, struct tape *tape, const struct process_sink *sink);
/* End of the window or bucket that closes first; INT64_MAX where nothing is open. */
int64_t tape_next_end(const struct tape *tape);
/* After a restart: roll-ups whose minutes are not known are to be made from the lake. */
void tape_settle(struct tape *tape);
int64_t tape_first_sequence(const struct tape *tape); /* of the open windows; INT64_MAX: none */

static inline int64_t bucket_end(const struct rollup *r)
{
    return r->sum.open_time_ns + timeframe_ns((enum timeframe)r->sum.timeframe);
}

/* gaps.c */
void gaps_init(struct gap_list *l);
void gaps_take(struct process *p, struct tape *tape, const struct gap *g,
               const struct process_sink *sink);
/* Adds or replaces; the oldest goes when there are too many. */
void gaps_put(struct gap_list *l, const struct gap_span *span);
bool gaps_meet(const struct tape *tape, int64_t from_ns, int64_t to_ns);

/* state.c */
void state_flush(struct tape *tape, struct buf *scratch, const struct process_sink *sink);
enum err_code state_restore(struct process *p, struct str name, struct str bytes,
                            struct err *e) MUST_USE;

#endif
