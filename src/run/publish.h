/* publish.h - the stage between PostgreSQL and Kafka: changes in, transactions out, each with its position.
 *
 *   changes (its own receiving thread) ──batches──▶ this thread ──▶ Kafka transaction {records, position} ──▶ confirm
 *
 * Rule      the slot is told only what Kafka has acknowledged, and a start goes on behind the position that Kafka holds. What
 *           is in between is sent again by PostgreSQL and skipped by its row: nothing lost, nothing doubled.
 * Failure   outages are waited for, for ever; a failed transaction begins again behind the last position. A STOP error (a
 *           refused schema, a lost slot, another publisher of this name) ends it: publish_failed, on_failure.
 */
#ifndef TICKLAKE_RUN_PUBLISH_H
#define TICKLAKE_RUN_PUBLISH_H

#include "run/histogram.h"

struct publish_status {
    int64_t rows, records, bytes, transactions, aborts, retries, connects;
    int64_t behind_bytes; /* of the server's log that is not confirmed yet */
    int64_t buffered_bytes;
    int64_t committed_ns;   /* commit time in PostgreSQL of the newest row that is on the bus */
    struct run_latency lag; /* commit in PostgreSQL -> acknowledged by Kafka */
    uint64_t lsn;
    bool connected, failed;
};

struct publish;
struct publish_options {
    const struct config *config;
    void (*on_failure)(void *ctx);
    void *ctx;
};
enum err_code publish_start(const struct publish_options *o, struct publish **ret,
                            struct err *e) MUST_USE;
void publish_stop(struct publish *p); /* any thread */
/* Waits for the end; what is open is committed. ERR_OK or the cause. */
enum err_code publish_join(struct publish *p, struct err *e) MUST_USE;
struct publish *publish_close(struct publish *p);
void publish_status(struct publish *p, struct publish_status *ret); /* any thread */
bool publish_failed(const struct publish *p);
void publish_latency_metrics(struct publish *x, struct buf *out);
void publish_metrics(struct publish *p, struct buf *out);

#endif
