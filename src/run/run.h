/* run.h - the stages joined: threads, rings between them, marks, stop levels, health, metrics.
 *
 *   source ──batches──▶ [ring] ──▶ store thread ──durable──▶ [ring] ──▶ lake thread (process, revise, lake)
 *
 * Without   a lake (distributed: publish.h and worker.h go on from PostgreSQL) the second ring and thread are not there; the
 *           store thread writes an empty batch a second, so that downstream knows how far the clock is.
 * Rule      store.db is the queue: a batch is handed on in memory once it is durable; where the ring is full (live) or the
 *           consumer starts behind, the lake thread reads the same events from the store's tail. One cursor, by
 *           sequence, decides; nothing is ever taken twice or skipped.
 * Calls     run_open -> run_past (what the source must know) -> run_start -> run_push by the source ... -> run_drain
 *           (all pushed batches committed) -> run_close.
 * Failure   a stage's STOP error ends the run: run_failed, on_failure (to stop the source), run_drain returns it.
 *           RETRY errors are retried for ever with capped backoff, visible in the log and the metrics.
 */
#ifndef TICKLAKE_RUN_RUN_H
#define TICKLAKE_RUN_RUN_H

#include "config/config.h"
#include "event/batch.h"
#include "source/source.h"

struct run;
struct run_options {
    const struct config *config;
    const char *command; /* for the lock: "run", "replay" */
    bool replaying;      /* back-pressure instead of the tail; no clock ticks */
    bool
        without_store; /* for the bench of what the store costs: nothing is durable before the lake */
    bool without_lake;  /* distributed: what is durable in PostgreSQL goes on from there */
    bool guest;         /* back-fill and repair in PostgreSQL: its keys decide what is new */
    const char *writer; /* another name than store.writer */
    void (*on_failure)(void *ctx);
    void *ctx;
    void (*live_event)(void *ctx,
                       const struct batch *b); /* durable batches, for /live; may be NULL */
};

struct run_marks { /* of the one partition */
    int64_t received, durable, emitted, committed;
};
struct run_latency { /* ns */
    int64_t count, p50, p99, max;
};
struct run_status {
    struct run_marks marks;
    struct run_latency durable, visible; /* received -> durable, received -> committed */
    int64_t trades, quotes, dead, duplicates, candles, late, gaps_open, revisions;
    int64_t commits, last_commit_ns, retries;
    bool failed;
};

enum err_code run_open(const struct run_options *o, struct run **ret, struct err *e) MUST_USE;
const struct source_past *run_past(const struct run *r);
struct series_table *run_series(struct run *r);
struct batch_pool *run_pool(struct run *r);
/* What a source of this run needs, from its settings; the caller adds whom it notifies. */
struct source_options run_source_options(struct run *r, enum origin origin);
enum err_code run_start(struct run *r, struct err *e) MUST_USE;
enum err_code run_push(void *run, struct batch *b, struct err *e); /* source_options.push */
/* No more pushes. Waits until all is committed; finish: the input ended for good, so open windows are closed. */
enum err_code run_drain(struct run *r, bool finish, struct err *e) MUST_USE;
struct run *run_close(struct run *r);
bool run_failed(const struct run *r);
void run_status(struct run *r, struct run_status *ret); /* any thread */
void run_metrics(struct run *r, const struct source_stats *source, struct buf *out);

#endif
