/* revise_internal.h - what revise.c (what is pending, and its state) and revise_apply.c (its application) share. */
#ifndef TICKLAKE_RUN_REVISE_INTERNAL_H
#define TICKLAKE_RUN_REVISE_INTERNAL_H

#include "base/array.h"
#include "run/revise.h"
#include "run/shard.h"

#include "base/map.h"

/* One second of one tape with late trades, and the roll-up buckets that begin in it and must be made from the lake. */
struct dirty {
    uint32_t series;
    int64_t second_ns;
    int64_t
        counts[TIMEFRAME_MAX]; /* late trades that came after that timeframe's window was closed */
    int64_t first[TIMEFRAME_MAX]; /* sequence of the first of them */
    uint32_t rollups; /* bit per timeframe: bucket that opens here, to be made from the lake */
    bool changed;     /* since it was persisted */
};

struct change {
    struct gap_change g;
    bool persisted;
    int64_t revised; /* candles that it turned */
};

struct revise {
    struct series_table *names;
    struct lake *lake;
    struct process *process;
    const char *prefix;
    struct map index; /* name of the dirty state -> its place in `dirty` */
    struct dirty *dirty;
    size_t dirty_count, dirty_cap;
    struct change *changes;
    size_t change_count, change_cap;
    struct map counted; /* 8 bytes of gap_id -> candles revised so far; 0: closed */
};

enum { REVISE_GAPS_MAX = 1 << 24 };

/* revise_count.c: candles_revised of the gaps that changed, after their changes were applied. */
enum err_code revise_restore_counts(struct revise *rv, struct err *e) MUST_USE;
enum err_code revise_count(struct revise *rv, struct err *e) MUST_USE;
/* Forgets everything that is pending, in memory and in the lake's state. */
enum err_code revise_forget(struct revise *rv, struct err *e) MUST_USE;

#endif
