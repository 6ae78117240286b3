/* run_internal.h - what the files of run/ share. */
#ifndef TICKLAKE_RUN_RUN_INTERNAL_H
#define TICKLAKE_RUN_RUN_INTERNAL_H

#include "base/ring.h"
#include "run/distributed.h"
#include "run/histogram.h"
#include "run/run.h"
#include "run/shard.h"
#include "store/store.h"

#include <pthread.h>

enum { RING_BATCHES = 4 };

struct run {
    struct run_options options;
    struct distributed parts;
    int lock_fd;
    struct series_table *series;
    struct batch_pool *pool;
    struct batch_pool
        *tail_pool; /* one batch: reading the tail must not wait for the source's batches */
    struct ring *to_store, *to_lake;
    struct store *store;
    struct store_tail *tail;
    struct lake *lake;
    struct shard shard;
    struct source_past past;

    pthread_t store_thread, lake_thread;
    bool started;
    atomic_bool finish;    /* the input ended for good */
    int64_t newest_gap_id; /* that the store thread has met */
    atomic_bool failed;
    pthread_mutex_t failure_lock;
    struct err failure;

    /* Marks and counters: written by one thread each, read by any. */
    _Atomic int64_t received, durable, emitted, committed, keep_from;
    _Atomic int64_t trades, quotes, dead, duplicates, gaps_open, last_commit_ns, retries, revisions;
    struct histogram durable_latency, visible_latency;
};

void run_fail(struct run *r, const struct err *e);
/* Logs a RETRY error and waits (capped backoff by `attempt`); false when the run failed meanwhile. */
bool run_wait_retry(struct run *r, const char *stage, const struct err *e, int attempt);
void *run_store_thread(void *run);
void *run_lake_thread(void *run);
/* Opens the shard, after the positions were held against each other. */
enum err_code run_restore(struct run *r, struct err *e) MUST_USE;

#endif
