/* store_db.h - inside the store: the SQLite file, its statements by name, and what its errors mean.
 *
 * Every query stands in sql/sqlite/store_queries.sql under "-- name: NAME"; the list below is the same list.
 * Threads   a store_db belongs to one thread (SQLITE_OPEN_NOMUTEX).
 * Trap      never open and close store.db by any other way inside this process: closing any descriptor of the file
 *           drops all of SQLite's POSIX locks on it.
 */
#ifndef TICKLAKE_STORE_STORE_DB_H
#define TICKLAKE_STORE_STORE_DB_H

#include "io/file.h"

#include <sqlite3.h>

#define STORE_STATEMENT_LIST(X)                                                                    \
    X(begin_write)                                                                                 \
    X(begin_read)                                                                                  \
    X(commit)                                                                                      \
    X(rollback)                                                                                    \
    X(insert_series)                                                                               \
    X(insert_trade)                                                                                \
    X(insert_quote)                                                                                \
    X(insert_gap)                                                                                  \
    X(put_ledger)                                                                                  \
    X(insert_dead)                                                                                 \
    X(insert_candle)                                                                               \
    X(put_instrument)                                                                              \
    X(insert_batch)                                                                                \
    X(put_dedup)                                                                                   \
    X(put_position)                                                                                \
    X(read_series)                                                                                 \
    X(read_trades)                                                                                 \
    X(read_quotes)                                                                                 \
    X(read_gaps)                                                                                   \
    X(read_deads)                                                                                  \
    X(read_candles)                                                                                \
    X(read_instruments)                                                                            \
    X(read_all_instruments)                                                                        \
    X(read_dedup)                                                                                  \
    X(read_positions)                                                                              \
    X(read_ledger)                                                                                 \
    X(read_open_ledger)                                                                            \
    X(newest_gap_id)                                                                               \
    X(oldest_batch)                                                                                \
    X(newest_batch)                                                                                \
    X(newest_rows)                                                                                 \
    X(read_batches)                                                                                \
    X(read_batch_proofs)                                                                           \
    X(read_kept_proofs)                                                                            \
    X(read_kept_proof)                                                                             \
    X(put_kept_proof)                                                                              \
    X(count_rows)                                                                                  \
    X(delete_trades)                                                                               \
    X(delete_quotes)                                                                               \
    X(delete_gaps)                                                                                 \
    X(delete_deads)                                                                                \
    X(delete_candles)                                                                              \
    X(delete_batches)                                                                              \
    X(has_jobs)                                                                                    \
    X(add_job)                                                                                     \
    X(put_job)                                                                                     \
    X(read_jobs)                                                                                   \
    X(page_count)                                                                                  \
    X(freelist_count)                                                                              \
    X(page_size)

enum store_statement {
#define X(name) STATEMENT_##name,
    STORE_STATEMENT_LIST(X)
#undef X
        STATEMENT_MAX
};

struct store_db {
    sqlite3 *handle;
    sqlite3_stmt *statements[STATEMENT_MAX]; /* prepared when first asked for */
    char path[PATH_LIMIT];
};

/* Opens, and for a writer creates, the file and checks that it is ours and of our version, before anything is
 * written to it. read_only never creates a store. */
enum err_code store_db_open(struct store_db *db, const char *path, bool read_only,
                            struct err *e) MUST_USE;
void store_db_close(struct store_db *db);

/* SQLite's last error in our words: the disk, damage, somebody else's lock, or a bug. */
enum err_code store_db_failed(struct store_db *db, const char *doing, struct err *e);
/* The named statement, reset, ready to bind. */
enum err_code store_db_get(struct store_db *db, enum store_statement which, sqlite3_stmt **ret,
                           struct err *e) MUST_USE;
/* One step of a statement that gives rows. Without a further row it is reset. */
enum err_code store_db_next(struct store_db *db, sqlite3_stmt *s, bool *ret_row,
                            struct err *e) MUST_USE;
/* One whole run of a statement that gives none (bound already), with its reset. */
enum err_code store_db_run(struct store_db *db, sqlite3_stmt *s, struct err *e) MUST_USE;
enum err_code store_db_do(struct store_db *db, enum store_statement which, struct err *e) MUST_USE;
/* One number from a statement without parameters; `otherwise` where it gives NULL or no row. */
enum err_code store_db_number(struct store_db *db, enum store_statement which, int64_t otherwise,
                              int64_t *ret, struct err *e) MUST_USE;
/* Fixed statements without results. */
enum err_code store_db_execute(struct store_db *db, const char *sql, const char *doing,
                               struct err *e) MUST_USE;
/* Ends a transaction after an error; what fails here is not told, since the error itself is. */
void store_db_rollback(struct store_db *db);

#endif
