/* changes_internal.h - inside change data capture: what its files share.
 *
 *   changes.c           open, read, confirm, close
 *   changes_thread.c    the receiving thread: connects, checks, chooses the way, waits and begins again
 *   changes_stream.c    one streaming session            changes_bulk.c    one bulk read
 *   changes_check.c     what must hold before either, the series of the store, the slot for others to look at
 *   changes_connect.c   libpq without blocking calls: a thread that is told to stop does so at once
 *   changes_queue.c     bounded bytes between the two threads
 *   changes_filter.c    pure: what of a session's messages is new, so that nothing is queued twice
 *   changes_message.c   pure: one message of pgoutput    changes_table.c   pure: our tables, by column names
 *   changes_row.c       pure: a row to an event           changes_decode.c  pure: messages to batches and marks
 */
#ifndef TICKLAKE_STORE_CHANGES_INTERNAL_H
#define TICKLAKE_STORE_CHANGES_INTERNAL_H

#include "io/retry.h"
#include "store/changes.h"

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>

/* ---- changes_message.c: protocol version 1 of pgoutput; bytes from a socket, so every length is checked. */

enum { CHANGES_COLUMNS_MAX = 1600 }; /* PostgreSQL's own limit */

struct changes_message {
    char type;                /* 'B' 'C' 'R' 'I', or another that has nothing for us */
    uint64_t lsn;             /* B: where the commit record begins; C: where it ends */
    int64_t time_ns;          /* B, C: of the commit, or TIME_ABSENT */
    uint32_t relation;        /* R, I */
    struct str schema, table; /* R */
    uint16_t columns;         /* R, I */
    struct str body;          /* R: the columns; I: the values */
};
struct changes_column {
    struct str name;
    uint32_t type; /* object id of a built-in type */
};
struct changes_value {
    char kind; /* 'n' NULL, 'b' binary, 't' text, 'u' unchanged */
    struct str bytes;
};
enum err_code changes_message_parse(struct str bytes, struct changes_message *ret,
                                    struct err *e) MUST_USE;
bool changes_next_column(struct str *body, struct changes_column *ret); /* false: cut short */
bool changes_next_value(struct str *body, struct changes_value *ret);
uint16_t changes_u16(const uint8_t *p);
uint32_t changes_u32(const uint8_t *p);
uint64_t changes_u64(const uint8_t *p);
/* Microseconds since 2000 (PostgreSQL) to ns since 1970, TIME_ABSENT out of range. */
int64_t changes_time(uint64_t micros);
/* A numeric's binary form, exactly, at the lake's scale; ERR_INEXACT: not finite, or does not fit. */
enum err_code changes_numeric_lake(struct str bytes, i128 *ret) MUST_USE;
enum err_code changes_numeric(struct str bytes, struct dec *ret) MUST_USE;

/* ---- changes_table.c: our tables and the columns that we need, found by name in each Relation message. */

/* Laid out by hand: clang-format lays each layout of these out anew. */
/* clang-format off */
#define CHANGES_SERIES_LIST(X) X(id, INT) X(venue, TEXT) X(exchange, TEXT) X(symbol, TEXT) X(venue_symbol, TEXT)
#define CHANGES_TRADE_LIST(X)                                                                                       \
    X(series, INT) X(stream, INT) X(id, INT) X(key, TEXT) X(has_id, BOOL) X(side, INT) X(origin, INT) X(kind, INT)  \
    X(ordinal, INT) X(first_id, INT) X(last_id, INT) X(price, NUMERIC) X(size, NUMERIC) X(venue_time, INT)          \
    X(received, INT) X(sequence, INT)
#define CHANGES_QUOTE_LIST(X)                                                                                       \
    X(series, INT) X(origin, INT) X(bid_price, NUMERIC) X(bid_size, NUMERIC) X(ask_price, NUMERIC)                  \
    X(ask_size, NUMERIC) X(venue_time, INT) X(received, INT) X(sequence, INT)
#define CHANGES_GAP_LIST(X)                                                                                         \
    X(sequence, INT) X(gap_id, INT) X(series, INT) X(stream, INT) X(kind, INT) X(state, INT) X(from_id, INT)        \
    X(to_id, INT) X(from_time, INT) X(to_time, INT) X(missing_count, INT) X(rows_recovered, INT)                    \
    X(candles_revised, INT) X(opened, INT) X(closed, INT) X(cause, TEXT)
#define CHANGES_DEAD_LIST(X)                                                                                        \
    X(stream, INT) X(reason, INT) X(position, INT) X(received, INT) X(venue, TEXT) X(symbol, TEXT)                  \
    X(connection, TEXT) X(detail, TEXT) X(payload, BYTES) X(sequence, INT)
#define CHANGES_CANDLE_LIST(X)                                                                                      \
    X(series, INT) X(timeframe, INT) X(open_time, INT) X(source, TEXT) X(fetched, INT) X(trade_count, INT)          \
    X(open, NUMERIC) X(high, NUMERIC) X(low, NUMERIC) X(close, NUMERIC) X(base_volume, NUMERIC)                     \
    X(quote_volume, NUMERIC) X(taker_buy_base_volume, NUMERIC) X(taker_buy_quote_volume, NUMERIC) X(sequence, INT)
#define CHANGES_INSTRUMENT_LIST(X)                                                                                  \
    X(sequence, INT) X(venue, TEXT) X(symbol, TEXT) X(venue_symbol, TEXT) X(base, TEXT) X(quote, TEXT)              \
    X(settle, TEXT) X(status, TEXT) X(contract_size, NUMERIC) X(inverse, BOOL) X(listed, INT) X(delisted, INT)
#define CHANGES_BATCH_LIST(X) X(clock, INT) X(live, BOOL) X(finish, BOOL)
/* clang-format on */

enum changes_table {
    CHANGES_SERIES,
    CHANGES_TRADE,
    CHANGES_QUOTE,
    CHANGES_GAP,
    CHANGES_DEAD,
    CHANGES_CANDLE,
    CHANGES_INSTRUMENT,
    CHANGES_BATCH,
    CHANGES_TABLES,
    CHANGES_FOREIGN = CHANGES_TABLES /* a table that somebody else added to the publication */
};
enum { CHANGES_FIELDS_MAX = 24, CHANGES_FIELD_NONE = 255 };

struct changes_relation {
    uint32_t relation;
    uint8_t table; /* enum changes_table */
    uint16_t columns;
    uint8_t *fields; /* of each column: number of our field, or CHANGES_FIELD_NONE */
};
struct changes_relations {
    struct changes_relation *items;
    size_t count, cap, last;
};
const char *changes_table_name(enum changes_table t);
size_t changes_table_fields(enum changes_table t);
/* Remembers a Relation message. ERR_VERSION: a needed column is missing or of a type that we do not read. */
enum err_code changes_relations_put(struct changes_relations *r, const struct changes_message *m,
                                    struct err *e) MUST_USE;
const struct changes_relation *changes_relations_get(struct changes_relations *r,
                                                     uint32_t relation);
void changes_relations_free(struct changes_relations *r);

/* ---- changes_row.c: `values` by field number. */

/* ERR_FULL: the batch has no room (any more) for it, nothing was added. */
enum err_code changes_row_add(enum changes_table t, const struct changes_value *values,
                              const struct series_table *series, struct batch *b,
                              struct err *e) MUST_USE;
/* A row of `series` into the table in memory, whose numbers must be the store's. */
enum err_code changes_row_series(const struct changes_value *values, struct series_table *series,
                                 struct err *e) MUST_USE;
enum err_code changes_series_add(struct series_table *series, int64_t id, const struct str names[4],
                                 struct err *e) MUST_USE;
struct changes_batch_row {
    int64_t clock_ns;
    bool live, finish;
};
enum err_code changes_row_batch(const struct changes_value *values, struct changes_batch_row *ret,
                                struct err *e) MUST_USE;

/* ---- changes_decode.c */

struct changes_decoder {
    struct series_table *series;
    struct changes_relations relations;
    bool open;      /* inside a transaction */
    uint64_t begin; /* where the commit record of that transaction begins */
    int64_t rows;   /* of it, handed out */
    struct changes_mark mark;
    int64_t row_total, transaction_total;
};
/* One message into the batch. *ret_row: it was a row (an insert). ERR_FULL: it does not fit; give it again with an empty batch
 * (then it is an error). */
enum err_code changes_decode(struct changes_decoder *d, struct str message, struct batch *b,
                             bool *ret_row, struct err *e) MUST_USE;
void changes_decoder_free(struct changes_decoder *d);

/* ---- changes_filter.c: sessions overlap (the server sends whole transactions, a bulk read everything unconfirmed). */

struct changes_filter {
    /* What was queued up to now, as a position: everything below lsn, and, while `open`, `row` rows of the transaction there. */
    uint64_t lsn;
    int64_t row;
    bool open;
    /* Of this session. */
    bool begun, skip; /* in a transaction; it was queued wholly before */
    int64_t left;     /* its rows that were queued before and are still to come */
};
void changes_filter_session(struct changes_filter *f);
/* ERR_HOLE: the rest of an open transaction does not come. */
enum err_code changes_filter_message(struct changes_filter *f, struct str message, bool *ret_keep,
                                     struct err *e) MUST_USE;
/* Everything below lsn was sent. */
void changes_filter_progress(struct changes_filter *f, uint64_t lsn);

/* ---- changes_queue.c: one thread puts, one takes. */

struct changes_block;
struct changes_queue {
    pthread_mutex_t lock;
    pthread_cond_t more, room;
    size_t limit, in_use; /* bytes of blocks */
    struct changes_block *head, *tail, *spare;
    bool sealed;                   /* of the putter: it writes no more into tail */
    struct changes_block *reading; /* of the taker: head as of its last look, */
    size_t read_at, seen;          /* where it reads there, and up to where it may */
    uint64_t idle_lsn;             /* everything below was put */
    bool closed;
};
void changes_queue_init(struct changes_queue *q, size_t limit);
void changes_queue_free(struct changes_queue *q);
/* false: no room, nothing was put. Seen by the taker after the next changes_queue_flush. */
bool changes_queue_put(struct changes_queue *q, struct str message);
void changes_queue_flush(struct changes_queue *q, uint64_t idle_lsn); /* 0: unchanged */
/* Waits until at most `bytes` are in use; false after timeout_ms. */
bool changes_queue_wait(struct changes_queue *q, size_t bytes, int32_t timeout_ms);
void changes_queue_close(struct changes_queue *q); /* nothing more comes; waiting ends */
/* The oldest message, again and again until changes_queue_drop; false after timeout_ms (and when closed and empty), then
 * *ret_idle_lsn is the progress behind all that was taken. */
bool changes_queue_peek(struct changes_queue *q, int32_t timeout_ms, struct str *ret,
                        uint64_t *ret_idle_lsn);
void changes_queue_drop(struct changes_queue *q);
bool changes_queue_is_over(struct changes_queue *q); /* of the taker: closed, and nothing is left */
size_t changes_queue_bytes(struct changes_queue *q);

/* ---- changes_connect.c */

struct changes_link {
    PGconn *conn;
    int stop_fd;       /* readable: give up; -1: none */
    char address[320]; /* host:port/database, for errors; never a password */
};
enum changes_link_kind { CHANGES_SQL, CHANGES_REPLICATION };
/* ERR_STOPPED when stop_fd became readable. */
enum err_code changes_link_open(struct changes_link *l, const char *url,
                                enum changes_link_kind kind, int stop_fd, struct err *e) MUST_USE;
void changes_link_close(struct changes_link *l);
/* One statement; timeout_ms 0: none. The result's status is one of tuples, command, copy out or copy both. */
enum err_code changes_link_run(struct changes_link *l, const char *sql, int32_t timeout_ms,
                               PGresult **ret, struct err *e) MUST_USE;
/* Waits for bytes of the server; ERR_TIMEOUT without `e` filled after timeout_ms. */
enum err_code changes_link_wait(struct changes_link *l, bool to_write, int32_t timeout_ms,
                                struct err *e) MUST_USE;
/* The error of a result (NULL: of the connection), by its SQLSTATE; `asked` says what was being done. */
enum err_code changes_link_error(struct changes_link *l, const PGresult *r, const char *asked,
                                 struct err *e);
void changes_link_cancel(struct changes_link *l);
/* As SQL literal and identifier into `to`; what they quote are names from the config, checked to be short. */
void changes_quote(struct buf *to, const char *text, char quote);

/* ---- changes_check.c */

struct changes_names {
    const char *url, *slot, *publication;
};
enum err_code changes_check_names(const struct changes_names *n, struct err *e) MUST_USE;
/* Over a replication connection: system identifier, publication, slot. `from` 0: any position of the slot is good.
 * create: the slot may be made. *ret_backlog: bytes of log from `from` (or the slot's position) to the end. */
struct changes_checked {
    uint64_t system, confirmed_lsn, server_lsn, backlog;
    bool created, published_before; /* made now; although the store held batches already */
};
enum err_code changes_check(struct changes_link *l, const struct changes_names *n,
                            const struct changes_position *from, bool create,
                            struct changes_checked *ret, struct err *e) MUST_USE;
enum err_code changes_load_series(struct changes_link *l, struct series_table *series,
                                  struct err *e) MUST_USE;

/* ---- the two ways, called by the receiving thread */

struct changes {
    struct changes_names names;
    char *url, *slot, *publication;
    size_t buffer_bytes;
    int64_t bulk_rows;
    void (*notice)(void *ctx, const char *what, const char *detail);
    void *ctx;
    struct changes_position from;

    /* Of the thread that reads. */
    struct changes_decoder decoder;
    int64_t idle_told_ns;

    /* Of the receiving thread. */
    struct changes_filter filter;
    struct retry retry;
    int64_t in_use_since_ns;
    pthread_t thread;
    bool started;
    struct err failure; /* why it ended; readable once the queue is closed and empty */

    struct changes_queue queue;
    int stop_fd; /* an eventfd */
    atomic_bool stop;
    _Atomic uint64_t confirmed, received, server, acknowledged;
    _Atomic int64_t rows, transactions, bytes, connects, bulk_reads;
};
void *changes_thread(void *changes);
/* ERR_OK: ended on purpose (buffer full: *ret_full). ERR_NETWORK and its like: begin again. */
enum err_code changes_stream(struct changes *c, struct changes_link *l, bool *ret_full,
                             struct err *e) MUST_USE;
/* One call of peek; *ret_rows 0: the backlog is gone. On ERR_OK everything it gave is confirmed and the slot advanced, or
 * *ret_stream: the consumer confirms nothing, so only a stream gets further. */
enum err_code changes_bulk(struct changes *c, struct changes_link *l, bool *ret_stream,
                           struct err *e) MUST_USE;
/* Filters and queues one message; false in *ret_put: no room. */
enum err_code changes_take(struct changes *c, struct str message, bool *ret_put,
                           struct err *e) MUST_USE;
void changes_tell(struct changes *c, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define CHANGES_LSN        "%X/%X"
#define CHANGES_LSN_ARG(l) (unsigned)((l) >> 32), (unsigned)(l)

#endif
