/* dedup.h - each trade once, and what is missing: pure, one instance per data folder.
 *
 * Consecutive ids (venue->consecutive): one set of closed id intervals per (series, stream) is at once the exact
 *   deduplication and the gap detector, and is what the store persists. The first id ever seen is the floor: older ones
 *   (a subscription's snapshot) are new trades but open no gap; history that is brought (origin backfilled, repaired) sets no
 *   floor: what lies between two intervals of it was never asked for. A hole becomes a gap event only when it is older than
 *   gap_grace_ns by the receipt clock, so that mere reordering opens none; ids that arrive later shrink or close it. An
 *   open gap's row is an exact range: an id in its middle leaves the lower part with the row, and the upper one is told
 *   as a gap of its own. A repaired row has the range that was told first. Ids below 0 go the other way.
 * Otherwise: the newest keys of all series, in a bounded window (the id, or for id-less prints venue_time, price, size and
 *   an ordinal counted per connection). It is not persisted: a resumed replay feeds it again.
 * Conflict: the same id again with other content, within the last contents of the tape (persisted): DEDUP_CONFLICT.
 * Epoch: an id far below the newest whose time is a minute newer than everything (a relisting) begins a new epoch: no
 *   duplicate, no gap. Older times still go to the epoch before.
 * Limits: intervals_max a tape and 65,536 over all tapes. Past it the lowest hole is given up: the ledger has it as
 *   unrepairable, and ids of it that come after all count as duplicates.
 * Clock: receipt times passed in; never reads a clock, so the same input gives the same output, wherever it is cut into
 *   batches and wherever it is restored.
 */
#ifndef TICKLAKE_SOURCE_DEDUP_H
#define TICKLAKE_SOURCE_DEDUP_H

#include "event/batch.h"

enum dedup_result { DEDUP_NEW, DEDUP_DUPLICATE, DEDUP_CONFLICT };

struct dedup;
struct dedup_options {
    const struct series_table *series;
    int64_t gap_grace_ns;
    uint32_t window_keys;   /* per series without consecutive ids */
    uint32_t intervals_max; /* a tape; see Limits */
    int64_t next_gap_id;
};
struct dedup *dedup_new(const struct dedup_options *o);
struct dedup *dedup_free(struct dedup *d);
/* From the store at start: the opaque bytes that dedup_flush gave. ERR_CORRUPT names the series, ERR_VERSION
 * a state of a newer program. */
enum err_code dedup_restore(struct dedup *d, uint32_t series, uint8_t stream, struct str bytes,
                            struct err *e) MUST_USE;
/* The state of another source: its ids (of its newest epoch) count as seen, its gaps are its own matter. */
enum err_code dedup_absorb(struct dedup *d, uint32_t series, uint8_t stream, struct str bytes,
                           struct err *e) MUST_USE;
/* Ids that others stored, after all dedup_restore: they count as seen, and holes close without a word, for whoever brought
 * them has told it. */
void dedup_brought(struct dedup *d, const struct id_range *r);
/* After both. A hole that is exactly the gap's range is that gap, whoever told it: it is not told anew. */
enum err_code dedup_restore_gap(struct dedup *d, const struct gap *g, struct err *e) MUST_USE;
/* `connection` numbers the connection the trade came over (ordinals of id-less prints are per connection). Sets
 * t->ordinal. `consecutive` is the venue's rule for this stream. */
enum dedup_result dedup_trade(struct dedup *d, uint32_t connection, bool consecutive,
                              struct trade *t);
/* What is missing of these ids is not to be had: the next dedup_gaps tells it as unrepairable, and ids of it that come after
 * all count as duplicates. */
void dedup_give_up(struct dedup *d, uint32_t series, uint8_t stream, int64_t first_id,
                   int64_t last_id);
/* A connection starts anew: its ordinals begin again. */
void dedup_connection(struct dedup *d, uint32_t connection);
/* Appends gap events (opened, shrunk, closed) that are due at clock_ns; at_end opens those still in their grace. ERR_FULL
 * when the batch is full: the next call goes on from there. */
enum err_code dedup_gaps(struct dedup *d, int64_t clock_ns, bool at_end, struct batch *b) MUST_USE;
/* Outage windows, for streams whose ids cannot tell (and for the time between two runs). to_ns TIME_ABSENT: it lasts; the
 * next call for this tape, in this run or (by dedup_restore_gap) a later one, ends that row instead of making another. */
enum err_code dedup_outage(struct dedup *d, uint32_t series, uint8_t stream, int64_t from_ns,
                           int64_t to_ns, struct str cause, struct batch *b) MUST_USE;
/* Puts the changed state since the last call into the batch (batch_set_dedup). */
enum err_code dedup_flush(struct dedup *d, struct batch *b) MUST_USE;
/* Gaps that came to an end and were not told yet. Until dedup_gaps they are part of the state, which so grows with them. */
size_t dedup_waiting(const struct dedup *d);
int64_t dedup_next_gap_id(const struct dedup *d);

#endif
