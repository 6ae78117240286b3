/* publisher_internal.h - the publisher's state, shared by publisher.c (records) and publisher_commit.c (transactions).
 *
 * Lanes      a partition of market.trades or market.gaps. The header "ticklake.after" needs the offset of a record that may be
 *            underway still. Within a transaction our records of a partition stand one behind the other, so the first delivery
 *            report of a lane tells the offsets of all its records of this transaction, and only for that one is waited: a
 *            round trip, about 10 ms. Somebody else who writes in between moves the records behind: where a header has told an
 *            offset that turns out wrong, the transaction is given up; and from the first such record on every change between
 *            trades and gaps waits for the reports, also of the next publisher (bus_options.shared), or one beside another that
 *            never pauses would never come to an end.
 * States     CLOSED -> OPEN at the first record -> CLOSED by commit or abort. BROKEN: an abortable error was seen; DEAD: a
 *            fatal one. Both end with ERR_CONFLICT and a publisher that can be used on, but for ERR_FENCED, which stays.
 */
#ifndef TICKLAKE_BUS_PUBLISHER_INTERNAL_H
#define TICKLAKE_BUS_PUBLISHER_INTERNAL_H

#include "bus/bus_internal.h"

enum { STEP_MS = 1000 }; /* between looks at whether to stop */

struct lane {
    int64_t newest;    /* offset of the newest acknowledged record of ours; -1: none */
    int64_t committed; /* the same at the end of the newest committed transaction */
    int64_t told;      /* what the newest header in this transaction said; -1: there was none */
    int64_t sent, reported; /* in this transaction */
    int64_t base; /* offset of its first record, by the newest report; -1: not reported yet */
    int64_t
        relied; /* of so many of its records the other topic told offsets before they were reported */
    int64_t finishes; /* what the newest header in this transaction said; -1: there was none */
};

struct bus_publisher {
    struct bus_client client;
    struct bus_options options;
    char name[BUS_NAME_MAX], id[2 * BUS_NAME_MAX];
    char topic_names[BUS_TOPICS + 1][BUS_NAME_MAX];
    rd_kafka_topic_t *topics[BUS_TOPICS + 1]; /* the positions' topic is the last */
    uint8_t frames[BUS_TOPICS][REGISTRY_FRAME_MAX];
    size_t frame_bytes[BUS_TOPICS];
    struct lane trades[BUS_PARTITIONS_MAX], gaps[BUS_PARTITIONS_MAX];
    struct buf value;
    bool open;              /* a transaction is underway */
    int64_t opened_ns;      /* since when */
    int64_t transaction_ns; /* transaction.timeout.ms of the client */
    int64_t number;         /* transactions committed so far, by the position record */
    int64_t finishes;       /* inputs that ended before what is published now */
    int64_t records, bytes; /* of the open transaction */
    bool failed;            /* a delivery report brought an error, or no offset */
    char failed_text[160];  /* the first such error */
    bool mixed;             /* somebody else writes to our partitions */
    bool fenced;
    _Atomic int64_t total_records, total_bytes, transactions, commit_ns, commit_ns_max, aborts;
};

/* One record as it goes out. */
struct outgoing {
    int topic; /* enum bus_topic, or BUS_TOPICS: a position */
    int32_t partition;
    struct str key, value;
    int64_t timestamp_ms;    /* 0: now */
    struct lane *lane;       /* NULL: of no topic with an order to keep */
    int64_t after, finishes; /* -1: no header */
};

/* publisher_commit.c */
enum err_code publisher_connect(struct bus_publisher *p, int32_t limit_ms, struct err *e) MUST_USE;
void publisher_disconnect(struct bus_publisher *p);
enum err_code publisher_begin(struct bus_publisher *p, struct err *e) MUST_USE;
/* Waits for every delivery report; false in *ret_good where one of them was an error. */
enum err_code publisher_drain(struct bus_publisher *p, bool *ret_good, struct err *e) MUST_USE;
/* The transaction cannot go on, because of `why`: ends it, and makes the client anew where it must be. ERR_CONFLICT then;
 * ERR_OK where `attempted` (a commit was asked for) and it turns out to have been done; ERR_FENCED. */
enum err_code publisher_give_up(struct bus_publisher *p, bool attempted, const char *why,
                                struct err *e) MUST_USE;
/* publisher.c */
enum err_code publisher_send(struct bus_publisher *p, const struct outgoing *r,
                             struct err *e) MUST_USE;

#endif
