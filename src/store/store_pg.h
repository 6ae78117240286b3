/* store_pg.h - inside the store: the PostgreSQL backend.
 *
 * store_pg_link.c       the connection, parameters and results, what its errors mean
 * store_pg_schema.c     schema version, migrations; store_pg_probe.c: what validate asks
 * store_pg_numeric.c    numeric in binary, exactly (pure); store_pg_copy.c: rows as binary COPY (pure)
 * store_pg_partition.c  daily partitions, made when a day is first met
 * store_pg_series.c     series numbers of this process and of the database
 * store_pg_append.c     the transaction of a batch; store_pg_copy_in.c: its rows, optimistically;
 *                       store_pg_twice.c: what turned out to be there already; store_pg_history.c: writers beside each other
 * store_pg.c            open: the writer's lock, its state; reconnect
 * store_pg_tail.c, store_pg_row.c, store_pg_claims.c   reading; store_pg_upkeep.c: retention, check; store_pg_jobs.c;
 *                       store_pg_progress.c
 */
#ifndef TICKLAKE_STORE_STORE_PG_H
#define TICKLAKE_STORE_STORE_PG_H

#include "store/store_internal.h"

#include <libpq-fe.h>

/* ---- store_pg_link.c */

/* Names of the statements in sql/postgres/store_queries.sql. */
#define STORE_PG_STATEMENT_LIST(X)                                                                 \
    X(version)                                                                                     \
    X(try_lock)                                                                                    \
    X(lock_holder)                                                                                 \
    X(end_backend)                                                                                 \
    X(next_guest)                                                                                  \
    X(next_sequences)                                                                              \
    X(next_gaps)                                                                                   \
    X(newest_of_writer)                                                                            \
    X(lock_series)                                                                                 \
    X(add_series)                                                                                  \
    X(find_series)                                                                                 \
    X(read_series)                                                                                 \
    X(read_dedup)                                                                                  \
    X(read_all_dedup)                                                                              \
    X(read_history)                                                                                \
    X(read_positions)                                                                              \
    X(read_own_gaps)                                                                               \
    X(read_ledger)                                                                                 \
    X(read_open_ledger)                                                                            \
    X(read_all_instruments)                                                                        \
    X(read_partitions)                                                                             \
    X(put_dedup)                                                                                   \
    X(put_positions)                                                                               \
    X(put_ledger)                                                                                  \
    X(put_history)                                                                                 \
    X(lock_gaps)                                                                                   \
    X(told_gaps)                                                                                   \
    X(told_elsewhere)                                                                              \
    X(brought)                                                                                     \
    X(put_batch)                                                                                   \
    X(stage_trades)                                                                                \
    X(unstage_trades)                                                                              \
    X(twice_trades)                                                                                \
    X(stage_quotes)                                                                                \
    X(unstage_quotes)                                                                              \
    X(twice_quotes)                                                                                \
    X(stage_candles)                                                                               \
    X(unstage_candles)                                                                             \
    X(twice_candles)                                                                               \
    X(any_deleted)                                                                                 \
    X(known_keys)                                                                                  \
    X(measure)                                                                                     \
    X(bounds)                                                                                      \
    X(plan)                                                                                        \
    X(read_trades)                                                                                 \
    X(read_quotes)                                                                                 \
    X(read_gaps)                                                                                   \
    X(read_deads)                                                                                  \
    X(read_candles)                                                                                \
    X(read_instruments)                                                                            \
    X(read_claims)                                                                                 \
    X(read_claim_proofs)                                                                           \
    X(read_batch_proofs)                                                                           \
    X(read_kept_proofs)                                                                            \
    X(confirmed)                                                                                   \
    X(old_partitions)                                                                              \
    X(days_in_use)                                                                                 \
    X(mark_partial)                                                                                \
    X(old_batches)                                                                                 \
    X(put_kept_proof)                                                                              \
    X(read_kept_proof)                                                                             \
    X(delete_gaps)                                                                                 \
    X(delete_batch)                                                                                \
    X(note_removed)                                                                                \
    X(check_batches)                                                                               \
    X(add_job)                                                                                     \
    X(put_job)                                                                                     \
    X(read_jobs)                                                                                   \
    X(progress)

enum store_pg_statement {
#define X(name) PG_##name,
    STORE_PG_STATEMENT_LIST(X)
#undef X
        PG_STATEMENT_MAX
};

struct store_pg_link {
    PGconn *conn;
    char address[320]; /* host:port/database, for errors; never a password */
    bool prepared[PG_STATEMENT_MAX];
};

enum { STORE_PG_ARGS_MAX = 24 };
struct store_pg_args {
    int count;
    const char *values[STORE_PG_ARGS_MAX];
    int lengths[STORE_PG_ARGS_MAX], formats[STORE_PG_ARGS_MAX];
    char numbers[STORE_PG_ARGS_MAX][24];
};
void store_pg_number(struct store_pg_args *a, int64_t v);
void store_pg_number_or_null(struct store_pg_args *a, int64_t v); /* NULL for TIME_ABSENT */
void store_pg_bool(struct store_pg_args *a, bool v);
void store_pg_bytes(struct store_pg_args *a, struct str bytes); /* text and bytea; not copied */

/* ERR_UNAVAILABLE ERR_TIMEOUT ERR_REFUSED ERR_CONFIG. `what` is the name that pg_stat_activity shows. */
enum err_code store_pg_connect(struct store_pg_link *l, const char *url, const char *what,
                               bool read_only, struct err *e) MUST_USE;
void store_pg_disconnect(struct store_pg_link *l);
bool store_pg_is_up(const struct store_pg_link *l);
/* Results in binary; *ret may be NULL when nobody wants it. `what` for the error. */
enum err_code store_pg_run(struct store_pg_link *l, enum store_pg_statement which,
                           const struct store_pg_args *a, PGresult **ret, struct err *e) MUST_USE;
/* Statements without parameters or results, of our own making: BEGIN, DDL with numbers. */
enum err_code store_pg_do(struct store_pg_link *l, const char *sql, struct err *e) MUST_USE;
/* One number of a statement that gives one row; `otherwise` where it gives none or NULL. */
enum err_code store_pg_ask(struct store_pg_link *l, enum store_pg_statement which,
                           const struct store_pg_args *a, int64_t otherwise, int64_t *ret,
                           struct err *e) MUST_USE;
void store_pg_rollback(struct store_pg_link *l);
/* The error of a result (NULL: of the connection), by its SQLSTATE; a lost connection is closed. */
enum err_code store_pg_error(struct store_pg_link *l, const PGresult *r, const char *asked,
                             struct err *e);
/* As above, by state. */
enum err_code store_pg_code(const char *sqlstate);

int64_t store_pg_get(const PGresult *r, int row, int column,
                     int64_t otherwise);                               /* int2 4 8, bool */
struct str store_pg_get_bytes(const PGresult *r, int row, int column); /* lives with the result */

/* ---- store_pg_schema.c */

/* Creates what is not there, migrates what is older; never for read_only. */
enum err_code store_pg_migrate(struct store_pg_link *l, bool read_only, struct err *e) MUST_USE;
enum err_code store_pg_probe(const struct store_options *o, struct buf *grants,
                             struct err *e) MUST_USE;

/* ---- store_pg_numeric.c */

enum { STORE_PG_NUMERIC_MAX = 8 + 2 * 12 };
/* Binary form, returns its length. */
size_t store_pg_numeric(struct dec d, uint8_t to[STORE_PG_NUMERIC_MAX]);
size_t store_pg_numeric_lake(i128 v, uint8_t to[STORE_PG_NUMERIC_MAX]);
/* ERR_INEXACT: NaN, infinite, or it does not fit; ERR_PARSE: no numeric. */
enum err_code store_pg_numeric_get(struct str bytes, struct dec *ret) MUST_USE;
enum err_code store_pg_numeric_get_lake(struct str bytes, i128 *ret) MUST_USE;

/* ---- store_pg_copy.c: rows of COPY ... (FORMAT binary), columns as in the column lists there */

enum store_pg_kind {
    PG_TRADES,
    PG_QUOTES,
    PG_GAPS,
    PG_DEADS,
    PG_CANDLES,
    PG_INSTRUMENTS,
    PG_KINDS
};
struct store_pg_row_options {
    const uint32_t *series; /* number of this process to the database's */
    bool guest;             /* every quote has a digest */
    const struct series_table *names;
};
const char *store_pg_table(enum store_pg_kind k);
const char *store_pg_columns(enum store_pg_kind k);
size_t store_pg_row_count(const struct batch *b, enum store_pg_kind k);
void store_pg_copy_begin(struct buf *to);
void store_pg_copy_row(const struct batch *b, enum store_pg_kind k, size_t i,
                       const struct store_pg_row_options *o, struct buf *to);
void store_pg_copy_end(struct buf *to);
/* Of a dead letter: what was refused and why, not when. Of a quote: what it states and of which series. */
u128 store_pg_guest_key(const struct batch *b, enum store_pg_kind k, size_t i,
                        const uint32_t *series);
int32_t store_pg_row_day(const struct batch *b, enum store_pg_kind k, size_t i);
void store_pg_put32(uint8_t *to, uint32_t v);

/* One-dimensional arrays as parameters. */
struct store_pg_array {
    struct buf buf;
    uint32_t count;
};
enum {
    PG_OID_BYTEA = 17,
    PG_OID_INT8 = 20,
    PG_OID_INT4 = 23,
    PG_OID_TEXT = 25,
    PG_OID_DATE = 1082
};
void store_pg_array_init(struct store_pg_array *a, uint32_t element_oid);
void store_pg_array_add(struct store_pg_array *a, struct str bytes);
void store_pg_array_add_number(struct store_pg_array *a, int64_t v); /* int8 */
void store_pg_array_arg(struct store_pg_array *a, struct store_pg_args *args);
void store_pg_array_free(struct store_pg_array *a);

/* ---- store_pg_partition.c */

struct store_pg_days { /* sorted days since 1970 for which all partitions are there */
    int32_t *days;
    size_t count, cap;
    size_t
        foreign; /* partitions of other names, or not of all tables: whose rows they hold is not known */
};
enum err_code store_pg_days_load(struct store_pg_link *l, struct store_pg_days *d,
                                 struct err *e) MUST_USE;
/* In transactions of their own, so that no writer waits for another's batch. */
enum err_code store_pg_days_make(struct store_pg_link *l, struct store_pg_days *d, int32_t first,
                                 int32_t count, struct err *e) MUST_USE;
/* Those that the batch's rows need. */
enum err_code store_pg_days_of_batch(struct store_pg_link *l, struct store_pg_days *d,
                                     const struct batch *b, struct err *e) MUST_USE;
enum { PG_FIRST_DAY = 14245 /* 2009-01-01 */, PG_END_DAY = 47482 /* 2100-01-01 */ };
void store_pg_day_text(int32_t day, char text[16]); /* 2019-06-01 */

/* ---- store_pg.c */

struct store_pg {
    struct store base;
    struct store_pg_link link;
    char *url, *writer;
    enum store_role role;
    bool live, read_only;
    int64_t partitions_ahead;
    int64_t number;        /* of the writer's newest batch that is known to be durable */
    int64_t next_sequence; /* of the block in hand */
    int64_t block_end;     /* its last */
    bool
        uncertain; /* the commit of number + 1 was sent and not answered; it has these sequences: */
    int64_t pending_first, pending_last;
    bool found;  /* it was durable after all */
    bool reload; /* a transaction failed: series or days known here may not be there */
    int backend_pid;
    char backend_start[64];
    struct store_pg_days days;
    int32_t ahead_day;   /* partitions ahead were made on that day */
    int64_t measured_ns; /* clock_mono_ns of the last measure of the size */
    uint32_t *to_db;     /* series number here -> the database's; up to to_db_count */
    uint32_t *from_db;   /* and back */
    uint32_t to_db_cap, from_db_cap;
    struct buf copy, proofs;
};
/* Connected, locked, and what was uncertain is known. */
enum err_code store_pg_ready(struct store_pg *s, struct err *e) MUST_USE;

/* ---- store_pg_series.c */

/* Maps all series that both sides know. */
enum err_code store_pg_series_load(struct store_pg *s, struct err *e) MUST_USE;
/* Inside the batch's transaction: gives numbers to those below `end` that have none yet. */
enum err_code store_pg_series_add(struct store_pg *s, uint32_t end, struct err *e) MUST_USE;
/* For a reader: the table in memory must have the database's numbers. */
enum err_code store_pg_series_read(struct store_pg_link *l, struct series_table *t,
                                   struct err *e) MUST_USE;

/* ---- store_pg_append.c, store_pg_copy_in.c, store_pg_twice.c */

enum err_code store_pg_append(struct store *s, struct batch *b, struct err *e) MUST_USE;
/* *ret_missing_partition: nothing is lost, make it and begin again. Takes rows that are there already off the batch. */
enum err_code store_pg_copy_in(struct store_pg *s, struct batch *b, bool *ret_missing_partition,
                               struct err *e) MUST_USE;
struct store_pg_twice { /* a row that was there already */
    int64_t sequence;
    bool conflict; /* with another content: */
    char detail[200];
};
/* Sorted by sequence, all of one kind. Conflicts become dead letters at their place. */
enum err_code store_pg_take_off(struct store_pg *s, struct batch *b, enum store_pg_kind k,
                                const struct store_pg_twice *twice, size_t count,
                                struct err *e) MUST_USE;
/* store_pg_history.c: the gaps of a batch brought up to date with what others told and brought; the ids of a guest's trades as
 * ranges of at most PG_HISTORY_RANGE_MAX (so that those near an id are found by their first one), into its transaction. */
enum { PG_HISTORY_RANGE_MAX = 65536 };
enum err_code store_pg_merge_gaps(struct store_pg *s, struct batch *b, struct err *e) MUST_USE;
enum err_code store_pg_put_history(struct store_pg *s, const struct batch *b,
                                   struct err *e) MUST_USE;
/* What PostgreSQL cannot hold: zero bytes and malformed UTF-8 in texts. */
enum err_code store_pg_clean(struct store_pg *s, struct batch *b, struct err *e) MUST_USE;

/* ---- reading */

struct store_pg_tail {
    struct store_tail base;
    struct store_pg_link link;
};
enum err_code store_pg_tail_open(const struct store_options *o, struct store_tail **ret,
                                 struct err *e) MUST_USE;
struct store_tail *store_pg_tail_close(struct store_tail *t);
enum err_code store_pg_tail_read(struct store_tail *t, int64_t after_sequence, int64_t upto,
                                 struct batch *b, bool *ret_end, struct err *e) MUST_USE;
int64_t store_pg_tail_mark(struct store_tail *t);
enum err_code store_pg_claims(struct store_tail *t, store_claim_each *each, void *ctx,
                              struct err *e) MUST_USE;
enum err_code store_pg_claim_proofs(struct store_tail *t, const struct store_batch_claim *c,
                                    struct proof_set *ret, struct err *e) MUST_USE;
enum err_code store_pg_proofs(struct store_tail *t, int64_t upto, struct proof_set *ret,
                              struct err *e) MUST_USE;
enum err_code store_pg_gaps(struct store_tail *t, bool open_only, store_gap_each *each, void *ctx,
                            struct err *e) MUST_USE;

enum err_code store_pg_progress(struct store_tail *t, const char *slot, struct store_progress *ret,
                                struct err *e) MUST_USE;

/* Row `i` of the read_* statements. ERR_CORRUPT names it, ERR_FULL: the arena. */
struct store_pg_reader {
    const char *where;
    const PGresult *r;
    struct arena *arena;
    uint32_t series_end;
};
enum err_code store_pg_get_trade(const struct store_pg_reader *rd, int i, struct trade *ret,
                                 struct err *e) MUST_USE;
enum err_code store_pg_get_quote(const struct store_pg_reader *rd, int i, struct quote *ret,
                                 struct err *e) MUST_USE;
enum err_code store_pg_get_gap(const struct store_pg_reader *rd, int i, struct gap *ret,
                               struct err *e) MUST_USE;
enum err_code store_pg_get_dead(const struct store_pg_reader *rd, int i, struct dead *ret,
                                struct err *e) MUST_USE;
enum err_code store_pg_get_candle(const struct store_pg_reader *rd, int i, struct venue_candle *ret,
                                  struct err *e) MUST_USE;
enum err_code store_pg_get_instrument(const struct store_pg_reader *rd, int i,
                                      struct instrument *ret, struct err *e) MUST_USE;

/* ---- upkeep, jobs */

enum err_code store_pg_retain(struct store *s, int64_t below_sequence, int64_t before_ns,
                              bool *ret_more, struct err *e) MUST_USE;
enum err_code store_pg_check(struct store *s, struct err *e) MUST_USE;
enum err_code store_pg_job_put(const struct store_options *o, struct store_job *job,
                               struct err *e) MUST_USE;
enum err_code store_pg_each_job(const struct store_options *o, int64_t newest, store_job_each *each,
                                void *ctx, struct err *e) MUST_USE;

#endif
