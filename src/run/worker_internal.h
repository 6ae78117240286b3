/* worker_internal.h - what worker.c (the thread) and worker_part.c (one partition) share. */
#ifndef TICKLAKE_RUN_WORKER_INTERNAL_H
#define TICKLAKE_RUN_WORKER_INTERNAL_H

#include "run/distributed.h"
#include "run/shard.h"
#include "run/worker.h"

#include <pthread.h>
#include <stdatomic.h>

/* process/ wants one rising number over trades and gaps, which are two topics: the trade at offset o is (o + 1) << GAP_BITS,
 * and a gap behind it is that plus its own offset + 1 in the low bits. So a gap between two trades lies between them, two
 * gaps there have different numbers, and a restart gives the same ones. */
enum { GAP_BITS = 20 };
#define GAP_MASK ((INT64_C(1) << GAP_BITS) - 1)

struct part { /* one owned partition number */
    int32_t number;
    struct shard shard;
    struct bus_offsets committed, next; /* in the lake; pushed */
    int64_t
        gaps_dead; /* dead letters of the gaps' topic below this offset are in the lake, whatever its position */
    int64_t commits; /* of whoever owned it, as in the catalog: the fence where no topic moves */
    int64_t rebuild_upto; /* offset in trades: below it they only fill the open windows again */
    int64_t clock_ns;     /* of the last tick */
};

struct worker {
    struct worker_options options;
    struct distributed parts_of_config;
    struct bus_options bus;
    struct series_table *series;
    struct lake *lake;
    struct bus_consumer *consumer;
    struct batch_pool *pool;
    struct part *owned[BUS_PARTITIONS_MAX];
    int32_t owned_count;
    bool begin_again; /* everything pushed is to be dropped */
    int64_t committed_mono_ns, revised_mono_ns;
    int64_t received[1024]; /* oldest receipt of batches since the last commit */
    size_t received_count;
    pthread_t thread;
    bool started;
    atomic_bool stopping, failed;
    struct err failure;
    _Atomic int64_t events, trades, quotes, candles, late, revisions, commits, fenced, retries;
    _Atomic int64_t columns_added, fields_left_out, records_unreadable;
    _Atomic int64_t partitions, lag, buffered_rows, last_commit_ns;
    struct histogram visible;
};

/* While a takeover still reads again what is committed, the windows are not what they were: nothing is persisted. */
static inline bool part_is_rebuilding(const struct part *p)
{
    return p->next.next[BUS_TRADES] < p->rebuild_upto;
}
/* The name of the count of its commits, among the positions. */
enum { MOVE_NAME_MAX = 320 };
void worker_part_commits_name(const struct worker *w, int32_t number, char out[MOVE_NAME_MAX]);
/* And of gaps_dead. */
void worker_part_dead_name(const struct worker *w, int32_t number, char out[MOVE_NAME_MAX]);

/* worker_part.c */
/* Positions and state from the catalog; *ret_from: where to read on. */
enum err_code worker_part_open(struct worker *w, int32_t number, struct bus_offsets *ret_from,
                               struct err *e) MUST_USE;
void worker_part_close(struct worker *w, int32_t number);
/* Takes a batch of the partition that stands at *next behind it. Changes the batch's sequences. */
enum err_code worker_part_take(struct worker *w, struct part *p, struct batch *b,
                               const struct bus_offsets *next, struct err *e) MUST_USE;
enum err_code worker_part_tick(struct worker *w, struct part *p, struct err *e) MUST_USE;
/* Sequence up to which the shard has seen everything. */
int64_t worker_part_position(const struct part *p);

/* worker_commit.c */
enum err_code worker_commit(struct worker *w, struct err *e) MUST_USE;
enum err_code worker_commit_if_due(struct worker *w, struct err *e) MUST_USE;
enum err_code worker_revise(struct worker *w, struct err *e) MUST_USE;
/* Waits (capped backoff by `attempt`) after a RETRY error; false when the worker is to stop. */
bool worker_wait_retry(struct worker *w, const char *stage, const struct err *e, int attempt);

#endif
