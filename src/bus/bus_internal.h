/* bus_internal.h - what the publishing and the consuming half share: clients, names, the header that keeps two topics in one
 * order, and the form of the position record.
 *
 * Clients    every handle of librdkafka is made by bus_client_open: the properties of the settings, ours over them, the log
 *            into base/log, and errors that come on other threads kept until somebody asks. A handle's opaque pointer is its
 *            struct bus_client; `owner` is for the callbacks of whoever made it.
 * Causality  the records of market.trades and market.gaps of one partition number have ONE order, the published one. A record
 *            behind which the other topic had grown since the last record of its own topic carries the header BUS_AFTER: 8
 *            bytes, big-endian, the OFFSET (in the other topic, same partition number) of the newest record that was published
 *            before it. A reader of both holds it back until its next offset to read in the other topic is greater than that.
 *              - Offsets, not counts or sequences: they stay true after retention, from any place where reading begins, and
 *                for foreign readers. A reader that begins beyond the offset (the older records are gone, or were read before)
 *                holds nothing back. Position means "next offset", as rd_kafka_position and an end-of-partition event tell
 *                it: control markers move it too.
 *              - The record that is waited for is in the same transaction or an earlier one: with read_committed it always
 *                comes. (Its partition's marker may be written a moment later, so a reader may have to wait although the
 *                other topic is at its present end.)
 *              - In each transaction the first record of a partition of either topic carries the header too, so nothing but
 *                the offsets need survive a restart of the publisher; those are `ends` of the position record.
 *              - No header: nothing was published before it in the other topic since the record ahead of it in its own.
 *              - Without waiting for each other's place, records of one topic stay in the order of their offsets.
 * Ends       a replay or back-fill that is done closes all windows, so what comes after it must not be read before: the first
 *            record of a partition of trades and of gaps behind such an end, and in each transaction, carries the header
 *            BUS_FINISHES, 8 bytes, big-endian: how many inputs had ended before it (no header: none). The position record
 *            tells the same to partitions in which nothing follows.
 * Positions  topic PREFIXticklake_positions, one partition, compacted, plain JSON without a registry frame.
 *            Key "publisher/NAME". Value, one line:
 *              {"version":1,"number":7,"system":"7300112233445566778","lsn":"0/16B3748","row":12,
 *               "clock_ns":1764086803123456789,"finishes":0,"ends":{"trades":[10,0,3],"gaps":[2,0,0]}}
 *            number: transactions of this publisher so far. clock_ns: null where absent. ends: by partition, the offset behind
 *            the newest record that this publisher wrote there (0: none yet); every event from before the position lies below.
 *            `system` and `lsn` are texts: readers in other languages lose digits of 64-bit numbers.
 */
#ifndef TICKLAKE_BUS_BUS_INTERNAL_H
#define TICKLAKE_BUS_BUS_INTERNAL_H

#include "base/buf.h"
#include "bus/bus.h"

#include <librdkafka/rdkafka.h>

#define BUS_AFTER            "ticklake.after"
#define BUS_FINISHES         "ticklake.finishes"
#define BUS_POSITIONS        "ticklake_positions"
#define BUS_PUBLISHER_PREFIX "publisher/"
enum { BUS_NUMBER_BYTES = 8, BUS_POSITION_VERSION = 1, BUS_POSITION_RECORD_MAX = 64 << 10 };

/* ---- clients (client.c) */

enum bus_client_kind { BUS_CLIENT_PRODUCER, BUS_CLIENT_CONSUMER };
struct bus_client {
    rd_kafka_t *rk;
    struct bus_options options; /* a copy; its texts are the caller's and outlive the client */
    void *owner;
    const char *role;  /* "publisher", "consumer" ...: in log lines and in client.id */
    int64_t silent_ns; /* since when somebody waits for the brokers; 0: nobody */
    bool told;         /* the outage was told through notice */
    /* Written by error_cb, that is, from within the polling calls of the handle's own thread. */
    rd_kafka_resp_err_t error; /* newest; 0: none since bus_client_moved */
    char error_text[256];
};
/* `settings` are name, value pairs; the properties come over them, but for those that exactness stands on, which are refused
 * with ERR_CONFIG (see client.c). `prepare` (may be NULL) sets what is no text on the configuration, such as callbacks. */
struct bus_client_setup {
    enum bus_client_kind kind;
    const char *role;
    void *owner;
    const char *const (*settings)[2];
    size_t setting_count;
    void (*prepare)(rd_kafka_conf_t *conf);
};
enum err_code bus_client_open(const struct bus_options *o, const struct bus_client_setup *s,
                              struct bus_client *ret, struct err *e) MUST_USE;
/* rd_kafka_destroy; a consumer is closed by its owner first. */
void bus_client_close(struct bus_client *c);
/* Fills conf from the options alone, for a look at whether they are right. */
enum err_code bus_client_check(const struct bus_options *o, struct err *e) MUST_USE;
/* First contact: metadata within timeout_ms. ERR_REFUSED and ERR_CONFIG (credentials, TLS) come at once, else ERR_UNAVAILABLE
 * with the brokers and the newest error in words. */
enum err_code bus_client_reach(struct bus_client *c, int32_t timeout_ms, struct err *e) MUST_USE;
/* For loops that wait for brokers: call about once a second. Tells through notice after 5 s; ERR_STOPPED when cancelled. */
enum err_code bus_client_wait(struct bus_client *c, const char *what, struct err *e) MUST_USE;
void bus_client_moved(
    struct bus_client *c); /* something was acknowledged: the end of such a wait */
/* How an error of librdkafka is one of ours; ERR_OK for RD_KAFKA_RESP_ERR_NO_ERROR. */
enum err_code bus_error_code(rd_kafka_resp_err_t code);
/* "WHAT: words of librdkafka (brokers ...)" with the mapped code. */
enum err_code bus_error(const struct bus_client *c, rd_kafka_resp_err_t code, const char *what,
                        struct err *e) MUST_USE;

/* ---- names and numbers (topics.c, partition.c) */

void bus_positions_name(const struct bus_options *o, char out[BUS_NAME_MAX]);
/* Murmur2 as Java's client computes it; bus_partition is its positive part modulo the partitions. */
uint32_t bus_murmur2(struct str key);
/* "venue:symbol", or "venue" without a symbol. Names are at most 128 bytes; what a dead letter has beyond is cut. */
struct bus_key {
    char bytes[2 * 128 + 1];
    size_t n;
};
struct bus_key bus_key(struct str venue, struct str symbol);
int32_t bus_partition_of_key(struct str key, int32_t partitions);
/* Registers the schema of a topic's values as "<topic>-value"; *ret is its identity. */
enum err_code bus_schema_register(const struct bus_options *o, enum bus_topic t,
                                  struct registry_id *ret, struct err *e) MUST_USE;

/* ---- the position record (position.c) */

struct bus_position_record {
    struct bus_position position;
    int64_t number;
    int32_t partitions; /* how many of `ends` were told */
    int64_t trades_end[BUS_PARTITIONS_MAX], gaps_end[BUS_PARTITIONS_MAX];
};
void bus_position_write(const struct bus_position_record *r, struct buf *out);
/* ERR_CORRUPT says what is wrong; ERR_VERSION where a newer version wrote it. */
enum err_code bus_position_parse(struct str value, struct bus_position_record *ret,
                                 struct err *e) MUST_USE;
/* Newest committed record of "publisher/NAME"; number 0 and no clock where there is none. Waits while brokers are gone, and
 * while an open transaction of somebody else hides the end of the topic: an older record would double events. For one who has
 * just taken the name over (whose own open transaction would be waited for, too). */
enum err_code bus_position_fetch(const struct bus_options *o, const char *name,
                                 struct bus_position_record *ret, struct err *e) MUST_USE;
/* Ends of n partitions of a topic, uncommitted records included (control records too); -1 where nobody answered. */
enum err_code bus_ends(struct bus_client *c, const char *topic, int32_t n, int64_t *ret,
                       struct err *e) MUST_USE;

#endif
