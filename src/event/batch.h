/* batch.h - what moves between stages: the events of one group commit, with all that must be durable with them.
 *
 * Life      batch_get(pool) -> source fills -> store writes it in ONE transaction and gives the sequences
 *           -> process and lake read it -> batch_put(batch) gives it back to its pool (from any thread).
 * Owner     exactly one stage at a time; whoever popped it from a ring.
 * Order     events have increasing `sequence` over all five arrays together, in the order of `order`.
 * Limits    `max_events` events and `max_bytes` of text a batch; the pool has a fixed number of batches:
 *           batch_get waits, which is how a full pipeline stops the source.
 */
#ifndef TICKLAKE_EVENT_BATCH_H
#define TICKLAKE_EVENT_BATCH_H

#include "base/arena.h"
#include "event/proof.h"
#include "event/schema.h"

enum event_type { EVENT_TRADE, EVENT_QUOTE, EVENT_GAP, EVENT_DEAD, EVENT_VENUE_CANDLE };

struct event_ref {
    uint32_t type : 3;   /* enum event_type */
    uint32_t index : 29; /* into the batch's array of that type */
};

/* Where an input stands once this batch is durable: what a resumed replay skips. Upserted by `name`. */
struct source_position {
    struct str name; /* recording: its identity; live connection: "venue/connection" */
    int64_t frames;  /* frames wholly covered by this batch and all before it */
    bool done;
};

/* State of the deduplication that this batch changed, opaque to the store. Upserted by (series, stream). */
struct dedup_state {
    uint32_t series;
    uint8_t stream;
    struct str bytes;
};

/* Ids [first, last] of a tape that are stored, whoever brought them. */
struct id_range {
    uint32_t series;
    uint8_t stream;
    int64_t first, last;
};

/* A field that somebody else's schema has and no column of ours is: it becomes a column of the lake's table. */
struct extra_column {
    enum table_id table;
    enum column_type type;
    struct str name, from; /* from: which schema of which topic, for people */
};
struct extra {       /* its value of one event; an absent one is not there */
    uint32_t column; /* into extra_columns */
    uint32_t index;  /* into the batch's array of the table's events */
    int64_t number;  /* LONG, TIME (microseconds), BOOLEAN */
    i128 decimal;    /* unscaled, of scale 18 */
    struct str bytes;
};

struct batch_pool;
struct batch {
    struct batch_pool *pool;
    struct arena arena; /* all text of this batch */
    struct event_ref *order;
    struct trade *trades;
    struct quote *quotes;
    struct gap *gaps;
    struct dead *deads;
    struct venue_candle *candles;
    struct source_position *positions;
    struct dedup_state *dedup;
    struct instrument *instruments; /* new or changed */
    size_t event_count, trade_count, quote_count, gap_count, dead_count, candle_count;
    size_t position_count, dedup_count, instrument_count;
    size_t trade_cap, quote_cap, gap_cap, dead_cap, candle_cap; /* kept from use to use */
    size_t position_cap, dedup_cap, instrument_cap;
    struct extra_column *extra_columns;
    struct extra *extras; /* in the order of the events of each array */
    size_t extra_column_count, extra_count, extra_column_cap, extra_cap;
    size_t trades_cut; /* a view that lacks so many of the first trades; those of extras count */
    size_t max_events;
    struct proof_set proofs;   /* of the trades and quotes, added by source as it accepted them */
    int64_t duplicates;        /* dropped by dedup while this batch was filled */
    int64_t first_received_ns; /* of the oldest event, for latency; TIME_ABSENT while empty */
    int64_t clock_ns; /* the source's clock at the end of the batch: receipt time when replaying */
    bool finish; /* the input ended for good with this batch: open windows are closed behind it */
    int64_t first_sequence, last_sequence; /* given by the store; 0 before */
};

struct batch_pool *batch_pool_new(size_t batches, size_t max_events, size_t max_bytes);
struct batch_pool *batch_pool_free(struct batch_pool *p); /* every batch must be back (CHECK) */
/* An empty batch; waits up to timeout_ms for one (negative: for ever); NULL then. */
struct batch *batch_get(struct batch_pool *p, int timeout_ms);
void batch_put(struct batch *b); /* NULL allowed */
void batch_clear(struct batch *b);

/* Adds and returns the new element, zeroed; NULL when the batch is full (the caller pushes it on and takes another).
 * Texts must be copied into the arena by batch_text first. */
struct trade *batch_add_trade(struct batch *b);
struct quote *batch_add_quote(struct batch *b);
struct gap *batch_add_gap(struct batch *b);
struct dead *batch_add_dead(struct batch *b);
struct venue_candle *batch_add_venue_candle(struct batch *b);
struct instrument *batch_add_instrument(struct batch *b);
bool batch_set_position(struct batch *b, struct str name, int64_t frames, bool done);
bool batch_set_dedup(struct batch *b, uint32_t series, uint8_t stream, struct str bytes);
bool batch_text(struct batch *b, struct str s, struct str *ret); /* false: arena full */
/* Number of the column in extra_columns, which gets it if it is not there yet; -1: full. */
int batch_extra_column(struct batch *b, const struct extra_column *column);
struct extra *batch_add_extra(struct batch *b); /* zeroed; NULL: full */
static inline bool batch_is_full(const struct batch *b)
{
    return b->event_count >= b->max_events || b->arena.used * 8 > b->arena.limit * 7;
}
/* Takes out the dead letters that `drop` says, with all that refers to them. */
void batch_drop_deads(struct batch *b, bool (*drop)(void *ctx, const struct dead *d), void *ctx);
/* Gives sequences first, first+1 ... in `order` to all events. */
void batch_number(struct batch *b, int64_t first);

#endif
