/* bus.h - the events on Kafka: one topic a table, Avro in the registry's framing, exactly once.
 *
 * Topics     PREFIXmarket.trades, market.quotes, market.gaps, market.dead_letters, market.venue_candles, market.instruments:
 *            the same number of partitions each, key "venue:symbol", partitioner murmur2 (as Java's), so that number p of every
 *            topic holds the same symbols. PREFIXticklake_positions: one partition, compacted. Made with `replication` and
 *            `min_insync` where they are absent; where they exist with fewer replicas, a lower min.insync.replicas or another
 *            number of partitions, that is ERR_CONFIG with what to change.
 * Values     the columns of event/schema.h in that order, then what it has no column for: `ordinal` in trades (it tells
 *            identical prints without an id apart), `from_time_ns` and `to_time_ns` in gaps: bus_schema().
 * Publisher  idempotent and transactional: the records of any number of batches and the position behind them are one Kafka
 *            transaction. A transaction costs about 100 ms whatever its size, so they are cut by time. After a crash the
 *            position read back says where to go on; what was not committed no reader (read_committed) ever sees.
 * Causality  trades and gaps of a partition are read back in the order in which they were published: where a record follows
 *            one of the other topic, its header "ticklake.after" holds that one's offset (see bus_internal.h). The position
 *            record of each transaction has the source's clock, and the ends of all partitions at that moment.
 * Consumer   a group (cooperative-sticky, read_committed) shares the partitions of market.trades; a member that owns number p
 *            reads number p of all topics. Where to begin is told by the caller (the lake's positions), never by Kafka's
 *            committed offsets; those are written for the tools that show lag.
 * Properties every librdkafka property passes through, "client.NAME" to all clients, "producer.NAME", "consumer.NAME" to one
 *            kind. What the exactness stands on (enable.idempotence, acks, isolation.level, ...) is refused with ERR_CONFIG.
 * Threads    each handle belongs to one thread.
 * Fails      ERR_UNAVAILABLE ERR_TIMEOUT ERR_NETWORK (retry), ERR_REFUSED, ERR_CONFIG, ERR_INCOMPATIBLE, ERR_FENCED (another
 *            publisher has the same transactional id), ERR_CORRUPT. An outage of brokers is no error: calls wait and say so
 *            through `notice`.
 */
#ifndef TICKLAKE_BUS_BUS_H
#define TICKLAKE_BUS_BUS_H

#include "event/batch.h"
#include "event/schema.h"
#include "registry/registry.h"

#include <stdatomic.h>

enum bus_topic {
    BUS_TRADES,
    BUS_QUOTES,
    BUS_GAPS,
    BUS_DEAD_LETTERS,
    BUS_VENUE_CANDLES,
    BUS_INSTRUMENTS,
    BUS_TOPICS
};
enum { BUS_PARTITIONS_MAX = 256, BUS_NAME_MAX = 250 };

struct bus_property {
    const char *name, *value; /* name with its "client." and so on */
};
struct bus_options {
    const char *brokers; /* "host:port,host:port" */
    const char *prefix;  /* of topic names; "" */
    int32_t partitions, replication, min_insync;
    int32_t retention_hours; /* of topics that we make; 0: for ever */
    const struct bus_property *properties;
    size_t property_count;
    struct registry *registry; /* borrowed; one thread at a time */
    struct series_table *series;
    bool shared; /* others write to our topics too, as an earlier publisher of ours has seen */
    void (*notice)(void *ctx, const char *what,
                   const char *detail); /* brokers gone and back; may be NULL */
    void *ctx;
    const atomic_bool
        *cancel; /* set by any thread: what waits for brokers ends with ERR_STOPPED; may be NULL */
};

const char *bus_topic_table(enum bus_topic t); /* "trades" */
enum table_id bus_topic_id(enum bus_topic t);
void bus_topic_name(const struct bus_options *o, enum bus_topic t, char out[BUS_NAME_MAX]);
/* The Avro schema of a topic's values, compact JSON; lives for ever. */
struct str bus_schema(enum bus_topic t);
/* Partition number of a key, as every client of ours and Java's default computes it. */
int32_t bus_partition(struct str venue, struct str symbol, int32_t partitions);
/* create: topics made where they are absent, all of them as they should be, and our schemas registered. Else only the topics
 * are looked at, and one that is absent is ERR_CONFIG; nothing is changed. ERR_INCOMPATIBLE: a schema is refused, or a topic
 * holds records whose subject the registry does not know (it was emptied). */
enum err_code bus_prepare(const struct bus_options *o, bool create, struct err *e) MUST_USE;

/* ---- publishing */

/* How far the publisher has come in the store's stream of changes: everything up to row `row` of the transaction whose
 * commit ends at `lsn`. */
struct bus_position {
    uint64_t system; /* identifier of the PostgreSQL cluster; 0: nothing was published yet */
    uint64_t lsn;
    int64_t row;
    int64_t clock_ns; /* the source's clock up to there, or TIME_ABSENT */
    int64_t finishes; /* how often an input ended for good up to there */
};
struct bus_publisher;
/* Fences whoever published under the same name before, ends its open transaction, and reads its last position. */
enum err_code bus_publisher_open(const struct bus_options *o, const char *name,
                                 struct bus_publisher **ret, struct bus_position *ret_position,
                                 struct err *e) MUST_USE;
struct bus_publisher *
bus_publisher_close(struct bus_publisher *p); /* an open transaction is given up */
/* Adds the batch's events (and instruments) to the open transaction, beginning one where none is. Waits while the client's
 * queue is full. The batch may be given back afterwards. */
enum err_code bus_publish(struct bus_publisher *p, const struct batch *b, struct err *e) MUST_USE;
/* Ends the transaction with this position in it (without events: a transaction of the position alone). ERR_OK: all of it is
 * acknowledged by every in-sync replica. An abortable failure is ERR_CONFLICT: nothing of the transaction is there, publish
 * its batches again. */
enum err_code bus_publisher_commit(struct bus_publisher *p, const struct bus_position *position,
                                   struct err *e) MUST_USE;
/* Inputs that had ended for good (bus_position.finishes) before whatever is published from now on. */
void bus_publisher_finishes(struct bus_publisher *p, int64_t finishes);
/* Whether others were seen to write to our topics: for the options of the next publisher. */
bool bus_publisher_shares(const struct bus_publisher *p);
struct bus_publisher_stats {
    int64_t records, bytes, transactions, commit_ns_total, commit_ns_max, aborts;
};
void bus_publisher_stats(const struct bus_publisher *p,
                         struct bus_publisher_stats *ret); /* any thread */

/* ---- consuming */

/* Next offset to read of number p of each topic. */
struct bus_offsets {
    int64_t next[BUS_TOPICS];
};
struct bus_consumer_options {
    const struct bus_options *bus;
    const char *group;
    const char *client; /* name of this member, for tools; NULL */
    /* Called from within bus_consumer_read. gained: fills where to begin (0 is the oldest that is kept). losing: what was
     * read of it should be committed to the lake before it returns; `lost` tells that somebody else may own it already. */
    enum err_code (*gained)(void *ctx, int32_t partition, struct bus_offsets *ret_from,
                            struct err *e);
    enum err_code (*losing)(void *ctx, int32_t partition, bool lost, struct err *e);
    void *ctx;
};
struct bus_consumer;
enum err_code bus_consumer_open(const struct bus_consumer_options *o, struct bus_consumer **ret,
                                struct err *e) MUST_USE;
struct bus_consumer *bus_consumer_close(
    struct bus_consumer *c); /* calls losing; leaves the group, within about 20 s without brokers */
/* Fills an empty batch with events of ONE partition number, in the order described above, up to what fits; waits up to
 * timeout_ms for any. Sequences are offset + 1 in the event's own topic. Of the trades' topic, first_sequence is the next
 * offset before the batch + 1 and last_sequence the next offset behind it, without a step between two batches of a partition
 * (no trade: last is first - 1, or more where only markers of transactions were passed). Proofs of trades and quotes are
 * filled, clock_ns is bus_consumer_clock's or TIME_ABSENT. *ret_partition -1: nothing came. *ret_next: where the partition
 * stands behind the batch; 0: at the oldest that is kept.
 * Fields of a writer's schema that ours has not come as the batch's extras.
 * A record that cannot be decoded, or has no value, becomes a dead letter (reason malformed, or inexact; its raw bytes, 64 KB
 * at most; "topic/partition/offset" as connection; venue and symbol of its key; the sequence of its own topic) and the stream
 * goes on. ERR_HOLE where an offset that is wanted was removed by retention, or lies beyond the end (the topic was made anew):
 * again with every call until bus_consumer_seek; other partitions go on in between. An error that passes (a registry or a
 * catalog that is not there): call again. */
enum err_code bus_consumer_read(struct bus_consumer *c, int32_t timeout_ms, struct batch *b,
                                int32_t *ret_partition, struct bus_offsets *ret_next,
                                struct err *e) MUST_USE;
/* The newest position record of a publisher all of whose earlier events of this partition were returned by read: its clock may
 * close quiet windows there. false: none yet. */
bool bus_consumer_clock(struct bus_consumer *c, int32_t partition, int64_t *ret_clock_ns,
                        int64_t *ret_finishes);
/* The topic whose record could not be read and became this dead letter; BUS_DEAD_LETTERS: none, it was published as one. */
enum bus_topic bus_topic_of_dead(const struct bus_options *o, const struct dead *d);
/* Where reading stands: behind all that was given, and behind the marks of transactions that follow it, which no batch tells in a
 * quiet partition. False while it is not read. */
bool bus_consumer_next(const struct bus_consumer *c, int32_t partition, struct bus_offsets *ret);
/* Inputs that had ended before the newest batch of this partition (and behind the one before it): their windows close first. */
int64_t bus_consumer_finishes(const struct bus_consumer *c, int32_t partition);
/* Tells Kafka how far the lake is (for tools; failing is no error of the pipeline). */
void bus_consumer_note(struct bus_consumer *c, int32_t partition, const struct bus_offsets *next);
/* Begins anew at these offsets: after the lake refused a commit. */
enum err_code bus_consumer_seek(struct bus_consumer *c, int32_t partition,
                                const struct bus_offsets *from, struct err *e) MUST_USE;
/* What this consumer met of other writers' schemas. */
struct bus_strange {
    int64_t fields_left_out;    /* of all schemas: no column can be made of them */
    int64_t records_unreadable; /* became dead letters because of their schema */
};
void bus_consumer_strange(const struct bus_consumer *c, struct bus_strange *ret);
/* End of a partition as the brokers have it, less what was read: records still to come. */
int64_t bus_consumer_lag(const struct bus_consumer *c, int32_t partition);

/* ---- looking */

/* Every committed record of all topics from the oldest kept to the end as of the call, in batches of one partition. */
enum err_code bus_scan(const struct bus_options *o,
                       enum err_code (*each)(void *ctx, int32_t partition, const struct batch *b,
                                             struct err *e),
                       struct bus_offsets *ret_oldest,
                       struct bus_offsets *ret_ends, /* [BUS_PARTITIONS_MAX] each */
                       void *ctx, struct err *e) MUST_USE;
/* Newest position that a reader can see; for looking, within 30 s. (A transaction that a killed publisher left open may hide a
 * newer one of another publisher.) */
enum err_code bus_position_read(const struct bus_options *o, const char *name,
                                struct bus_position *ret, struct err *e) MUST_USE;

struct bus_broker {
    int32_t id, port;
    char host[256];
    bool controller;
};
struct bus_partition {
    enum bus_topic topic; /* BUS_TOPICS: the positions' topic */
    int32_t partition, leader, replicas, in_sync;
    int32_t in_sync_ids[16], replica_ids[16];
    int64_t oldest, end, group_offset; /* -1: unknown */
};
struct bus_cluster {
    char id[64];
    struct bus_broker brokers[64];
    size_t broker_count;
    struct bus_partition *partitions;
    size_t partition_count, partition_cap;
    int32_t under_replicated, offline;
};
/* The cluster as its brokers tell it now, within timeout_ms. */
enum err_code bus_describe(const struct bus_options *o, const char *group, int32_t timeout_ms,
                           struct bus_cluster *ret, struct err *e) MUST_USE;
void bus_cluster_free(struct bus_cluster *c);

#endif
