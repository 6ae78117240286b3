/* changes.h - change data capture: what was committed to the PostgreSQL store, in commit order, by logical replication.
 *
 * Takes     the publication of the options (inserts of series, trade_rows, quote_rows, gap_rows, dead_rows, candle_rows,
 *           instrument_rows, batches; the store makes it as `ticklake`) through their slot (pgoutput, binary).
 * Gives     batches of events in the order of the commits, each with the position behind it. Batches may end inside a
 *           transaction. Events of several writers interleave: their sequences do not rise.
 * Position  (lsn, row), ordered by lsn, then row. row 0: every transaction whose commit record begins below lsn is done; so lsn
 *           is the end of the last one's commit, or newer by idle progress. row > 0: so many rows (inserts of any published
 *           table) of the transaction whose commit record begins at lsn are done as well: inside a transaction the server
 *           tells where its commit record begins, not yet where it ends. Transactions of any size pass without being held.
 * Thread    receiving is a thread of its own that never waits for downstream: a stalled reader was seen to block the server's
 *           checkpointer for minutes. When its buffer (buffer_bytes) is full it ends the replication connection, keeps answering
 *           nothing, and begins again from the confirmed position once there is room.
 * Ways      streaming near the head; a backlog above bulk_rows is read in bulk (pg_logical_slot_peek_binary_changes by COPY,
 *           measured at twice the speed of the stream), then the slot is advanced.
 * Confirm   changes_confirm tells what is durable downstream; only that reaches the server. An idle slot is kept moving by the
 *           marks as well: when nothing of ours is underway, a read that gives no row moves the mark to the server's own
 *           progress every IDLE_MS (5 s). Make such a mark durable like any other (a position without events), THEN confirm
 *           it: a slot that was confirmed past the position that the next start brings is refused as a hole.
 * Start     the slot must be able to give everything behind `from`: a slot that is absent although something was published,
 *           one that moved past `from`, one invalidated (wal_status lost), and another cluster (system identifier) are
 *           ERR_HOLE with what to do; a slot in use is ERR_IN_USE with its pid, a missing publication ERR_CONFIG.
 *           A slot is made only where nothing was ever published.
 * Outage    a connection lost is no error: it is made again for ever (capped backoff, `notice`), and goes on at the row. Each
 *           time the checks of the start are done again, so a slot lost meanwhile is found; credentials refused stop.
 * Threads   read and confirm from one thread; `notice` is called from the receiving thread (and from changes_open).
 * Limits    buffer_bytes and one message; a row must fit an empty batch (else ERR_FULL).
 * Fails     ERR_HOLE ERR_IN_USE ERR_CONFIG ERR_REFUSED ERR_VERSION (a column or table of a newer or older store) ERR_CORRUPT;
 *           at the start also ERR_UNAVAILABLE ERR_NETWORK ERR_TIMEOUT.
 * Source    postgresql.org/docs/15/protocol-logicalrep-message-formats.html, protocol-replication.html
 */
#ifndef TICKLAKE_STORE_CHANGES_H
#define TICKLAKE_STORE_CHANGES_H

#include "event/batch.h"

struct changes_position {
    uint64_t system, lsn; /* 0, 0: from the beginning of the slot */
    int64_t row;
};
struct changes_options {
    const char *
        url; /* as libpq takes it: a URI or key=value words; service and password files are libpq's own */
    const char *slot, *publication; /* "ticklake" both */
    struct series_table *series;
    struct changes_position from;
    size_t buffer_bytes; /* 0: 64 MiB */
    int64_t bulk_rows;   /* 0: 1,000,000 rows, guessed from the bytes of the backlog */
    void (*notice)(void *ctx, const char *what, const char *detail);
    void *ctx;
};
struct changes_stats {
    int64_t rows, transactions, bytes, connects, bulk_reads, buffered_bytes;
    uint64_t received_lsn, confirmed_lsn, server_lsn;
};
/* Where the stream stands behind a batch. */
struct changes_mark {
    struct changes_position position;
    /* Newest clock of a live writer's batch up to there (never of a replay's or back-fill's); TIME_ABSENT. */
    int64_t clock_ns;
    int64_t finishes;     /* batches with `finish` since changes_open */
    int64_t committed_ns; /* the server's time of the newest commit, for the lag */
};
struct changes;
enum err_code changes_open(const struct changes_options *o, struct changes **ret,
                           struct err *e) MUST_USE;
struct changes *changes_close(struct changes *c);
/* Fills an empty batch; waits up to timeout_ms for the first row. *ret_rows counts rows, of which some are no events (a batch
 * row, a new series): the position moves all the same. *ret_rows 0: nothing came (the mark may have moved all the same: idle
 * progress). The batch has proofs of its trades and quotes, clock_ns (live), finish (it ends there), the least and the greatest
 * sequence. After an error nothing more can be read: close, and open at the last position that is durable. */
enum err_code changes_read(struct changes *c, int32_t timeout_ms, struct batch *b,
                           struct changes_mark *ret, int64_t *ret_rows, struct err *e) MUST_USE;
void changes_confirm(struct changes *c, const struct changes_position *upto);
void changes_stats(const struct changes *c, struct changes_stats *ret); /* any thread */

/* For validate, status, the console; each on a connection of its own. */
struct changes_slot {
    bool exists, active;
    int32_t active_pid;
    char wal_status[16];              /* reserved extended unreserved lost */
    int64_t behind_bytes, safe_bytes; /* -1: no limit */
    uint64_t confirmed_lsn, restart_lsn, server_lsn, system;
    bool may_replicate; /* the role has what slots need */
    char role[64];
};
enum err_code changes_slot(const char *url, const char *slot, struct changes_slot *ret,
                           struct err *e) MUST_USE;
/* Makes the slot where it is not there: before the first row is written, so that the bus gets every one. The publication (made
 * with the store's tables) must exist. */
enum err_code changes_make_slot(const char *url, const char *slot, const char *publication,
                                bool *ret_made, struct err *e) MUST_USE;
enum err_code changes_drop_slot(const char *url, const char *slot, struct err *e) MUST_USE;

#endif
