/* core.h - what live and replay have in common: the bytes of a frame in, batches out. Internal to
 * source/.
 *
 * Path      frame -> venue_decode -> origin, receipt -> future limit -> dedup -> batch ->
 *           options.push. Refused events, unreadable frames, conflicts and the venue's own errors
 *           become dead letters with the frame's raw bytes.
 * Calls     core_open(options, past) -> core_connection_new for each connection -> core_connected()
 *           each time that it is made -> core_frame/core_rest/core_trade/core_candle ->
 *           core_position -> ... -> core_clock every now and then -> core_finish -> core_close.
 * Errors    a call fails only when push, or the deduplication's state, does; bad input never makes
 *           it fail.
 * Frames    are never split over two batches, unless one alone exceeds an empty batch: the batch is
 *           pushed on before a frame that does not fit. So a position (core_position) always stands
 *           between two whole frames.
 * Clock     receipt times, never backwards; every call with an input moves it by itself. Gaps are
 *           looked for when the clock passes a tick, not when a batch is cut: the order of events
 *           does not depend on the cuts, nor on where a run was interrupted.
 * Threads   one; core_stats from any.
 * Limits    VENUE_FRAME_MAX a frame, CORE_PAYLOAD_MAX raw bytes a dead letter, CORE_PAYLOADS_MAX
 *           copies of them a frame.
 */
#ifndef TICKLAKE_SOURCE_CORE_H
#define TICKLAKE_SOURCE_CORE_H

#include "source/dedup.h"
#include "source/history.h"
#include "source/source.h"

enum {
    CORE_STOP_WAIT_MS = 5000,
    CORE_PAYLOAD_MAX = 64 << 10, /* more raw bytes are cut, and the detail says so */
    CORE_PAYLOADS_MAX =
        16, /* a frame with more refused events keeps its bytes with the first ones only */
};

struct core;
struct core_connection;

/* `past` may be NULL. ERR_CORRUPT where the stored state of the deduplication cannot be read. */
enum err_code core_open(const struct source_options *o, const struct source_past *past,
                        struct core **ret, struct err *e) MUST_USE;
struct core *core_close(struct core *c); /* gives an unpushed batch back; NULL allowed */

/* The symbols of a venue, shared by its connections; made at the first call, with those of the past
 * in it. */
struct venue_names *core_names(struct core *c, const struct venue *v);

/* A connection; `name` ("binance/0", "KRAKEN.ws.48.0") stands in dead letters. Lives as long as the
 * core. Connections get their number in the order of these calls. */
struct core_connection *core_connection_new(struct core *c, const struct venue *v, struct str name);
/* It was made (anew): the venue's session and the ordinals of id-less prints start from nothing. */
void core_connected(struct core *c, struct core_connection *n);

struct core_input {
    struct core_connection *connection;
    const char *bytes; /* not changed; needs no padding */
    size_t len;
    int64_t received_ns; /* TIME_ABSENT: the recording has none, and events get the venue's time */
    /* For dead letters: number of the frame in the recording, bytes on the connection; -1. */
    int64_t position;
    uint8_t origin; /* enum origin of the events: usually options.origin; REPAIRED for a repair's */
    /* Another connection tells the same quotes now; they have no id by which one of the two could be dropped. */
    bool no_quotes;
    /* History: only these rows of a REST answer, and the venue's error answer is the caller's matter alone. May be NULL. */
    const struct history_window *window;
};

/* What the caller has to know of a frame; valid until the next call. */
struct core_result {
    enum frame_class class;
    struct str error, error_symbol; /* FRAME_ERROR */
    bool error_is_refusal;
    struct str reply;               /* not empty: send it now */
    size_t trades, quotes, refused; /* new trades, quotes, dead letters that came of it */
    size_t candles, duplicates;
    struct history_page page; /* with a window: what the answer held */
};
enum err_code core_frame(struct core *c, const struct core_input *in, struct core_result *ret,
                         struct err *e) MUST_USE;
/* A REST answer: an instrument list, trades, candles. `path` is the request's path and query. */
enum err_code core_rest(struct core *c, const struct core_input *in, struct str path,
                        struct core_result *ret, struct err *e) MUST_USE;
/* One page of the venue's instrument list: names are mapped by it from now on, and new or changed
 * instruments go into the batch. ERR_PARSE (with the place) where it is none; then nothing has
 * changed but the entries before that place. */
enum err_code core_instruments(struct core *c, const struct core_input *in, size_t *ret_count,
                               struct err *e) MUST_USE;
/* One trade of a row format: series, origin and receipt are set here; in->bytes is the row, for
 * dead letters. */
enum err_code core_trade(struct core *c, const struct core_input *in, struct str venue_symbol,
                         const struct trade *t, struct err *e) MUST_USE;
enum err_code core_candle(struct core *c, const struct core_input *in, struct str venue_symbol,
                          const struct venue_candle *candle, struct err *e) MUST_USE;
/* What the newest core_rest found, of the window alone; valid until the next input. */
const struct decoded *core_decoded(const struct core *c);
/* A dead letter of the caller's own (a damaged place, a venue without decoder): raw bytes are
 * in->bytes; in->connection may be NULL, then `venue` and `connection` name what they can. */
struct core_dead {
    enum dead_reason reason;
    int stream; /* enum stream or -1 */
    struct str venue, connection, symbol;
    const char *detail;
};
enum err_code core_dead(struct core *c, const struct core_input *in, const struct core_dead *d,
                        struct err *e) MUST_USE;
/* A row of the ledger that the caller vouches for; `cause` is copied. It goes behind the events that are in the batch, so
 * into the same transaction wherever they fit one. */
enum err_code core_gap(struct core *c, const struct gap *g, struct err *e) MUST_USE;
/* The venue has nothing more of these ids: see dedup_give_up. */
enum err_code core_give_up(struct core *c, const struct gap *g, struct err *e) MUST_USE;
/* A window in which a tape was not heard; see dedup_outage. */
enum err_code core_outage(struct core *c, uint32_t series, uint8_t stream, int64_t from_ns,
                          int64_t to_ns, struct str cause, struct err *e) MUST_USE;

/* Where an input stands: travels with the batch that is being filled. Call it behind core_frame,
 * never before. */
uint32_t core_position_slot(struct core *c, struct str name); /* finds or adds */
enum err_code core_position(struct core *c, uint32_t slot, int64_t frames, bool done,
                            struct err *e) MUST_USE;
/* What is known of it: what the past said, or what was set since; false and {0, false} where
 * nothing is. */
bool core_position_known(const struct core *c, uint32_t slot, int64_t *ret_frames, bool *ret_done);

/* The receipt clock, for times without frames: looks for gaps that are due. Going backwards is
 * ignored. */
enum err_code core_clock(struct core *c, int64_t now_ns, struct err *e) MUST_USE;
/* Pushes a batch that is older than options.batch_ms by the monotonic clock; cheap to call often. */
enum err_code core_age(struct core *c, int64_t mono_ns, struct err *e) MUST_USE;
/* Pushes what there is; nothing where there is nothing. */
enum err_code core_push(struct core *c, struct err *e) MUST_USE;
/* The end of all input: gaps still in their grace are opened. Nothing is pushed: set the last
 * positions and do that. */
enum err_code core_gaps_at_end(struct core *c, struct err *e) MUST_USE;
/* The end of a live run, which goes on later: core_gaps_at_end where at_end, then core_push. */
enum err_code core_finish(struct core *c, bool at_end, struct err *e) MUST_USE;

/* While on, frames are decoded to rebuild sessions, symbols, and the window of id-less keys, and
 * nothing else comes of them: how a resumed replay walks over what is durable already. Interval
 * sets are not fed: theirs is stored. */
void core_skip(struct core *c, bool on);

/* From any thread: a wait for a free batch ends after CORE_STOP_WAIT_MS more with ERR_STOPPED, so
 * that a pipeline that stands still cannot hold the source for ever. Everything else goes on: the
 * caller stops by itself. */
void core_stop(struct core *c);

struct source_stats *
core_counters(struct core *c); /* for the caller's own counts: connects, connections_up */
void core_stats(const struct core *c, struct source_stats *ret);

#endif
