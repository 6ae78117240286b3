/* dedup_internal.h - what the files of the deduplication share; nobody else includes it. Pure: no clock, no files. */
#ifndef TICKLAKE_SOURCE_DEDUP_INTERNAL_H
#define TICKLAKE_SOURCE_DEDUP_INTERNAL_H

#include "base/arena.h"
#include "base/array.h"
#include "source/dedup.h"

/* The ids that are missing below a span. */
struct dedup_hole {
    int64_t seen_ns;           /* receipt of the trade that showed it: its grace begins here */
    int64_t gap_id;            /* 0: not told yet */
    int64_t first_id, last_id; /* as it was told first */
    int64_t opened_ns, recovered, candles_revised;
    bool changed; /* since it was told last */
    bool due;     /* split off from a told gap, to be told as one of its own: no grace again */
};

/* Ids [lo, hi] that were all seen, with the times of both ends. */
struct dedup_span {
    int64_t lo, hi, lo_ns, hi_ns;
    struct dedup_hole hole; /* between the span before and this one; unused in the first */
};

/* Only history was brought so far. */
#define DEDUP_NO_FLOOR INT64_MAX

struct dedup_set {
    struct dedup_span *spans; /* ascending; never touching */
    uint32_t count, cap;
    int64_t floor; /* the first id ever seen: holes below it are no gaps; DEDUP_NO_FLOOR: none is */
    int64_t start_ns;  /* venue time of that one, or TIME_ABSENT */
    int64_t newest_ns; /* newest venue time, or TIME_ABSENT */
};

/* A gap that is no hole of a set any more and waits to be told. */
struct dedup_closed {
    struct gap gap; /* gap_id 0: never told before */
};

enum { DEDUP_CONTENTS = 32 };
/* Which trade the slot of an id (id % DEDUP_CONTENTS) had last, and what it said. */
struct dedup_content {
    uint32_t tag; /* id / DEDUP_CONTENTS, plus one; 0: empty */
    uint32_t hash;
};

struct dedup_tape { /* one (series, stream) with consecutive ids */
    uint32_t series;
    uint8_t stream;
    bool dirty;     /* in dedup.dirty: to be persisted */
    bool active;    /* in dedup.active: has holes that wait for their grace, or something to tell */
    bool changed;   /* something to tell that is not a matter of time */
    int64_t due_ns; /* when the first grace ends */
    struct dedup_set now;
    struct dedup_set before; /* of the epoch before a relisting; count 0: none */
    struct dedup_closed *closed;
    uint32_t closed_count, closed_cap;
    struct dedup_content contents[DEDUP_CONTENTS];
};

/* Recent keys of all series without consecutive ids; the oldest go first. */
struct dedup_key {
    uint64_t high, low; /* 128 bits of hash: two keys that meet are equal for all purposes */
    uint32_t owner;     /* connection and life of it that `count` belongs to */
    uint32_t content;   /* with ids */
    uint16_t count;     /* prints of this key on the owner */
    uint16_t total;     /* different prints of this key */
};
struct dedup_window {
    struct dedup_key *keys; /* a ring */
    uint32_t *slots;        /* index into keys plus one; 0 empty */
    uint32_t count, cap, next, max, slot_count;
};

struct dedup_ongoing { /* an outage that lasts */
    int64_t gap_id, from_ns, opened_ns, candles_revised;
    char cause[32];
};

struct dedup {
    struct dedup_options options;
    struct dedup_tape **tapes; /* [series * DEDUP_STREAMS + stream] */
    size_t tape_cap;
    struct dedup_tape **dirty, **active;
    size_t dirty_count, dirty_cap, active_count, active_cap;
    size_t span_count;   /* of all sets */
    size_t closed_count; /* of all tapes */
    struct dedup_window window;
    struct dedup_ongoing **ongoing; /* [series * STREAM_MAX + stream] */
    size_t ongoing_cap;
    uint32_t *lives; /* by connection: which life it is in, over all connections */
    size_t life_cap;
    uint32_t next_life;
    int64_t next_gap_id;
    struct buf buf;
};

enum {
    DEDUP_STREAMS = STREAM_BLOCK_TRADE + 1,
    DEDUP_INTERVALS_TOTAL = 65536, /* of all tapes; past it each tape with holes gives up its own */
    DEDUP_WINDOW_SHARE = 32,
};

struct dedup_tape *dedup_tape_of(struct dedup *d, uint32_t series, uint8_t stream);
void dedup_touch(struct dedup *d, struct dedup_tape *tape);    /* to be persisted */
void dedup_activate(struct dedup *d, struct dedup_tape *tape); /* to be looked at by dedup_gaps */

/* False where the id is in the set already. `time_ns` is never absent. */
bool dedup_set_insert(struct dedup *d, struct dedup_tape *tape, struct dedup_set *set, int64_t id,
                      int64_t time_ns, int64_t received_ns);
/* Adds [first, last] without a word: the holes that it fills vanish, the one that it splits is its lower part. */
void dedup_set_brought(struct dedup *d, struct dedup_set *set, int64_t first, int64_t last);
bool dedup_set_has(const struct dedup_set *set, int64_t id);
/* Gives up every hole that is a gap: the set will not be looked at again. Empties it. */
/* The hole below span `at` goes into the ledger for good, and its ids count as seen. */
void dedup_set_give_up(struct dedup *d, struct dedup_tape *tape, struct dedup_set *set,
                       uint32_t at);
void dedup_set_end(struct dedup *d, struct dedup_tape *tape, struct dedup_set *set);
struct dedup_span *dedup_set_add(struct dedup *d, struct dedup_set *set, uint32_t at);
static inline bool dedup_hole_is_gap(const struct dedup_set *set, uint32_t i)
{
    return set->spans[i - 1].hi >= set->floor;
}
struct gap *dedup_closed_add(struct dedup_tape *tape);

void dedup_window_init(struct dedup_window *w, uint32_t max);
void dedup_window_free(struct dedup_window *w);
/* Finds or adds (then all but the hash is zero, and *ret_new is set). */
struct dedup_key *dedup_window_key(struct dedup_window *w, u128 hash, bool *ret_new);

#endif
