/* merge.h - trades and gaps of one partition number in their published order; inside bus/, pure.
 *
 * Rule      bus_internal.h, "Causality": a record whose header says "behind offset X of the other topic" is held until the
 *           other topic's next offset is greater than X. Two records of one place are never both held, so the order is
 *           the published one without looking further than one record of each.
 * Calls     merge_begin, then for each lane merge_head (a record is there, behind all that was read of its topic) or
 *           merge_end (nothing is there below this offset); merge_pick says whose record is next; merge_take takes it.
 * Never     waits for a record that cannot come: offsets below a head or an end are past, whatever stood there. Two heads
 *           that hold each other are nobody's order (only a foreign or damaged header says so): trades go first, counted.
 *           A header that points beyond the end of the other topic is merge_release's, by whoever knows that end.
 */
#ifndef TICKLAKE_BUS_MERGE_H
#define TICKLAKE_BUS_MERGE_H

#include "base/str.h"

enum merge_lane_id { MERGE_TRADES, MERGE_GAPS, MERGE_LANES, MERGE_WAIT = MERGE_LANES };

struct merge_lane {
    int64_t next;  /* all below was taken or is gone; -1: not known yet */
    int64_t head;  /* offset of the record at hand; -1: none */
    int64_t after; /* of the head: an offset of the other topic; -1: none */
};
struct merge {
    struct merge_lane lanes[MERGE_LANES];
    int64_t contradictions; /* heads that held each other */
};

/* Where reading begins; -1: at the oldest that is kept, wherever that is. */
void merge_begin(struct merge *m, int64_t next_trades, int64_t next_gaps);
void merge_head(struct merge *m, enum merge_lane_id lane, int64_t offset, int64_t after);
/* Everything below `offset` was seen: an end of the partition was told. INT64_MAX: nothing of it is awaited any more. */
void merge_end(struct merge *m, enum merge_lane_id lane, int64_t offset);
enum merge_lane_id merge_pick(struct merge *m);
void merge_take(struct merge *m, enum merge_lane_id lane);
/* The head of this lane waits for nothing any more. */
void merge_release(struct merge *m, enum merge_lane_id lane);
/* Value of the header: 8 bytes, big-endian. -1 where it is no such thing. */
int64_t merge_after(struct str value);

#endif
