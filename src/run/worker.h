/* worker.h - the stages behind Kafka: a member of the consumer group that makes candles and commits to the lake.
 *
 *   consumer ──batches of one partition──▶ that partition's shard (process, revise) ──▶ the one lake of this worker
 *
 * Rule      a partition's position is in the lake's catalog, and moves with the commit that holds its events. Where the
 *           catalog says that a position is another than we think (ERR_FENCED: a partition was taken over while this process
 *           was frozen or cut off), everything pushed is dropped and every partition begins again at the catalog's position.
 * Partition what a partition needs (open windows, pending revisions, gaps) is in the lake's state under its number, or is made
 *           again from the log: a takeover reads the trades of the open windows once more.
 * Clock     quiet windows are closed by the publisher's clock (bus_consumer_clock), never by this machine's: what is on its
 *           way is not late.
 */
#ifndef TICKLAKE_RUN_WORKER_H
#define TICKLAKE_RUN_WORKER_H

#include "run/histogram.h"

struct worker_status {
    int64_t events, trades, quotes, candles, late, revisions, commits, fenced, retries;
    int64_t partitions; /* owned now */
    int64_t lag;        /* records of the owned partitions still to be read */
    int64_t buffered_rows, last_commit_ns;
    int64_t columns_added, fields_left_out; /* of other writers' schemas */
    int64_t records_unreadable;             /* dead letters because of their schema */
    struct run_latency visible;             /* received -> committed */
    bool failed;
};

struct worker;
struct worker_options {
    const struct config *config;
    void (*on_failure)(void *ctx);
    void *ctx;
};
enum err_code worker_start(const struct worker_options *o, struct worker **ret,
                           struct err *e) MUST_USE;
void worker_stop(struct worker *w); /* any thread: commits what it has, and leaves the group */
enum err_code worker_join(struct worker *w, struct err *e) MUST_USE;
struct worker *worker_close(struct worker *w);
void worker_status(struct worker *w, struct worker_status *ret); /* any thread */
bool worker_failed(const struct worker *w);
void worker_latency_metrics(struct worker *x, struct buf *out);
void worker_metrics(struct worker *w, struct buf *out);

#endif
