/* consumer_internal.h - reading number p of every topic; for consumer*.c and scan.c only.
 *
 * Two clients  the member of the group only says who owns which number; it reads nothing.
 *              The reader has no group; it reads from wherever it is told.
 * Lanes        one topic of one partition number, each with a queue of its own. So a lane that waits for another (merge.h)
 *              holds back nothing but itself: its queue fills up to a limit, and then the brokers are not asked for more.
 * Position     lane.next: everything below was taken, or is gone. Ends of the partition and the head of the queue move it too,
 *              so markers of transactions, and what retention or an abort removed, are no records that are awaited.
 * Waiting      librdkafka calls on_ready from its own threads when a queue that was empty fills; one condition variable wakes
 *              the reader. Nothing else of a reader is touched by other threads.
 * Memory       what librdkafka keeps ready is READY_BYTES_TOTAL shared out over the lanes (READY_BYTES_LANE at least), and a
 *              fetch of FETCH_BYTES a broker; a lane holds LANE_HELD of its messages at a time.
 */
#ifndef TICKLAKE_BUS_CONSUMER_INTERNAL_H
#define TICKLAKE_BUS_CONSUMER_INTERNAL_H

#include "bus/bus_internal.h"
#include "bus/codec.h"
#include "bus/merge.h"

#include <pthread.h>

enum {
    LANE_HELD = 512,
    READY_BYTES_TOTAL = 384 << 20,
    READY_BYTES_LANE = 2 << 20, /* two of the largest fetches of a partition */
    FETCH_BYTES = 16 << 20,
    DEAD_PAYLOAD_MAX = 64 << 10,
    WAIT_MS = 200,        /* between looks at the group, the brokers and whether to stop */
    HOLD_PATIENCE_S = 5,  /* for a record that the other topic says it has not */
    FAULT_RETRY_MS = 500, /* a lane that met an error is begun again after this */
    FAULT_PATIENCE_S = 30 /* and tells an error that no waiting should cure after this */
};

struct bus_reader;
struct lane {
    struct bus_reader *reader;
    rd_kafka_queue_t *queue; /* NULL: not reading */
    int topic;               /* enum bus_topic; BUS_TOPICS: the positions */
    int32_t partition;
    rd_kafka_message_t *held[LANE_HELD]; /* out of the queue, not taken yet: [at, count) */
    size_t at, count;
    int64_t next; /* -1: at the oldest kept, wherever that is */
    int64_t end;  /* nothing from here on is wanted; INT64_MAX: all is */
    atomic_bool ready;
    rd_kafka_resp_err_t fault; /* why it stands still */
    int64_t fault_since_ns, retry_ns;
};

/* Number p of all topics. */
struct reading {
    struct bus_reader *reader;
    int32_t number;
    struct lane lanes[BUS_TOPICS];
    struct merge merge;
    int64_t
        given; /* next of trades behind the newest batch; ends seen since belong to the next one */
    int64_t finishes;      /* inputs that had ended before the newest batch, as its records say */
    int64_t held_since_ns; /* a head of trades or gaps waits since then; 0: none */
    int64_t asked_ns, beyond_since_ns; /* whether what it waits for can be there */
    bool distrust;       /* a header pointed beyond the end of the other topic, provably */
    enum bus_topic turn; /* whose records are looked at first */
};

struct bus_reader {
    struct bus_client client;
    struct bus_options options;
    char names[BUS_TOPICS + 1][BUS_NAME_MAX];
    rd_kafka_topic_t *topics[BUS_TOPICS + 1];
    struct bus_decoder *decoders[BUS_TOPICS];
    pthread_mutex_t lock;
    pthread_cond_t filled;
    bool woken;
    size_t faults; /* lanes that stand still */
    int64_t moved; /* records and ends that came, for telling an outage */
};

/* consumer_lane.c */
/* fetch_wait_ms: how long a broker holds an answer back that has no record; 0: as the properties say. */
enum err_code reader_open(struct bus_reader *r, const struct bus_options *o, const char *role,
                          int32_t fetch_wait_ms, struct err *e) MUST_USE;
void reader_close(struct bus_reader *r); /* its lanes are stopped before */
void reader_wait(struct bus_reader *r, int64_t most_ms);
void reader_wake(struct bus_reader *r); /* any thread */
/* Begins at an offset, or at RD_KAFKA_OFFSET_BEGINNING or RD_KAFKA_OFFSET_TAIL(n). */
enum err_code lane_start(struct lane *l, int64_t offset, struct err *e) MUST_USE;
void lane_stop(struct lane *l);
/* The next record; NULL: none at hand. Ends and errors on the way are taken in. */
const rd_kafka_message_t *lane_peek(struct lane *l);
void lane_take(struct lane *l); /* the record that lane_peek gave is done with */
/* Begins again what met an error; ERR_HOLE where what is wanted is gone. */
enum err_code lane_mend(struct lane *l, struct err *e) MUST_USE;
/* *ret_code: the brokers did not answer; nothing else is an error but having been cancelled. */
enum err_code lane_watermarks(struct lane *l, int64_t *ret_oldest, int64_t *ret_end,
                              rd_kafka_resp_err_t *ret_code, struct err *e) MUST_USE;

/* consumer_fill.c */
enum err_code reading_start(struct reading *g, const struct bus_offsets *from,
                            struct err *e) MUST_USE;
void reading_stop(struct reading *g);
/* Adds what is at hand, up to what fits; an error only where the batch is empty. */
enum err_code reading_fill(struct reading *g, struct batch *b, struct err *e) MUST_USE;
/* Faults, and heads that wait for too long. */
enum err_code reading_mend(struct reading *g, struct err *e) MUST_USE;
void reading_next(const struct reading *g, struct bus_offsets *ret);

/* consumer_record.c: adds one record to the batch, as its event or as a dead letter. ERR_FULL; else why not (the registry is
 * not there). */
enum err_code record_add(struct bus_reader *r, enum bus_topic t, const rd_kafka_message_t *m,
                         struct batch *b, struct err *e) MUST_USE;

/* Pure: of a key that is "venue:symbol"; empty of anything else. */
void record_names(struct str key, struct str *ret_venue, struct str *ret_symbol);

/* consumer_clock.c */
enum { CLOCKS_MAX = 64, CLOCK_TAIL = 32 };
struct clock_seen {
    int64_t offset; /* of the position record; -1: none */
    int64_t clock_ns, finishes;
};
struct clock_entry {
    int64_t offset;
    struct bus_position_record record;
};
struct clocks {
    struct lane lane;
    struct clock_entry *entries; /* oldest first */
    size_t count;
    int64_t unneeded; /* all owned partitions have seen a clock at this offset or behind it */
};
enum err_code clocks_start(struct clocks *k, struct bus_reader *r, struct err *e) MUST_USE;
void clocks_stop(struct clocks *k);
enum err_code clocks_read(struct clocks *k, struct err *e) MUST_USE;
/* Newest record whose ends are not beyond these offsets; what was seen before is kept where it is newer. */
void clocks_find(const struct clocks *k, int32_t partition, int64_t next_trades, int64_t next_gaps,
                 struct clock_seen *seen);
/* Pure: puts a record behind the others. Where there are too many, what is unneeded goes, then every second one but the newest. */
void clocks_add(struct clocks *k, int64_t offset, const struct bus_position_record *record);

/* consumer.c and consumer_group.c */
enum owned_state { OWNED_NO, OWNED_ASKING /* gained was not answered yet */, OWNED_READING };
struct owned {
    enum owned_state state;
    struct reading *reading; /* OWNED_READING */
    struct clock_seen clock;
};
struct bus_consumer {
    struct bus_consumer_options options;
    struct bus_client member;
    rd_kafka_queue_t *member_queue;
    struct bus_reader reader;
    struct clocks clocks;
    struct owned owned[BUS_PARTITIONS_MAX];
    bool assigned;         /* the group has given this member something, or nothing, once */
    int64_t moved;         /* of the reader, when it was looked at last */
    int32_t turn;          /* the partition that is looked at first */
    enum err_code failure; /* of a callback within a rebalance; told by the next read */
    struct err failure_text;
};
enum err_code member_open(struct bus_consumer *c, struct err *e) MUST_USE;
/* false: the client had to be left behind, and may still call back: the consumer must stay. */
bool member_close(struct bus_consumer *c);
/* Rebalances, heartbeats' errors. */
enum err_code member_poll(struct bus_consumer *c, struct err *e) MUST_USE;
void owned_drop(struct bus_consumer *c, int32_t partition);

#endif
