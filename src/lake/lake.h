/* lake.h - Iceberg v2 tables in a folder or on S3: Parquet, manifests, metadata, and the catalog with our positions.
 *
 * Takes     batches and candles (lake_push*), buffered in columns; lake_commit makes them visible.
 * Promises  ONE transaction of the catalog (catalog.db, or PostgreSQL) moves the metadata pointers of all touched tables, the
 *           positions, the proof deltas and the state blobs: after ERR_OK all of it survives power loss, before it nothing of it
 *           is there.
 *           Data, manifests, metadata and their folders are synced before that transaction.
 *           With the tables in a REST catalog (lake_rest_options) each of them moves by itself and the rest follows in one
 *           transaction; a fold that is cut off in between is finished by whoever comes next, once.
 * Rivals    other writers (PyIceberg) may commit to our tables at any time through the same catalog: the pointer is
 *           compared and swapped; on a lost race the commit is rebuilt on theirs, and nothing of either is lost.
 * Upkeep    each commit trims old snapshots and metadata files itself; merges small manifests; lake_compact joins small
 *           files and applies position deletes. Files no snapshot needs any more are removed after lake.grace.
 * Rows      candles, gaps, instruments: one row a key. A replacement deletes the old row by position in the same commit.
 * Reading   lake_scan_* reads the committed state (ours and foreign rows that our reader understands), deletes applied.
 * Threads   one thread; lake_stats from any. Other processes may read everything at any time.
 * Fails     ERR_DISK ERR_CORRUPT ERR_VERSION ERR_FULL ERR_IN_USE.
 * Formats   docs/formats.md; what every reader needs of a table was tried out field by field.
 */
#ifndef TICKLAKE_LAKE_LAKE_H
#define TICKLAKE_LAKE_LAKE_H

#include "event/batch.h"
#include "event/schema.h"
#include "io/s3.h"

enum { LAKE_VERSION = 1 };

struct lake_rest_options;
struct lake_options {
    const char *catalog_path; /* .../catalog.db */
    const char *warehouse; /* absolute folder of the warehouse: .../lake; written as file:///... */
    struct series_table *series; /* names that reading finds are added */
    int32_t snapshots_keep;      /* newest snapshots kept in the metadata */
    int32_t metadata_keep;       /* metadata JSON files kept */
    int64_t grace_ns;            /* removed files stay on disk this long for running readers */
    int64_t target_file_bytes;   /* of compaction */
    int32_t compact_files;       /* compaction joins this many neighbours of one size class */
    int64_t buffer_rows_max;     /* ERR_FULL past it: commit first */
    bool read_only;              /* verify, status, files, connect */
    /* Distributed. catalog_url: PostgreSQL (as libpq takes it) instead of catalog_path, tables of the schema "ticklake" in
     * the same layout. warehouse may then be s3://bucket/prefix, with `s3` and a local folder for copies of its objects, of
     * at most mirror_bytes. */
    const char *catalog_url;
    const struct s3_options *s3;
    const char *mirror;
    int64_t mirror_bytes;
    const char *worker; /* name, for the queue and the log */
    /* The tables in an Iceberg REST catalog; catalog_url is then where positions, queue, proofs and states are. NULL: in
     * catalog_url itself. */
    const struct lake_rest_options *rest;
};
/* What is not needed is NULL. At most one way of authorization: token (or its file, read again when it is refused), credential,
 * or signing. */
struct lake_rest_options {
    const char *uri;       /* https://host/path, without /v1 */
    const char *warehouse; /* of /v1/config */
    const char *token, *token_file;
    const char *credential, *credential_file; /* CLIENT_ID:SECRET, for a token of OAuth 2 */
    const char *token_uri, *scope; /* where it is asked for (URI/v1/oauth/tokens), and for what */
    const char *signing_name;      /* SigV4: glue, s3tables, execute-api */
    struct aws_options aws;
    const char *ca_file;
    bool vended; /* credentials for the files are asked for, and used where the server gives them */
};

struct lake_stats {
    int64_t commits, rows, files_written, bytes_written, commit_ns_total, commit_ns_max;
    int64_t conflicts, compactions, files_removed, position, buffered_rows;
    int64_t folds,
        folded; /* transactions that took commits from the queue, and how many; of this process */
    int64_t columns_added, columns_refused; /* for fields of other writers' schemas */
    int64_t unreadable_files; /* files and rows of other writers that we met and cannot read */
};

struct lake;
enum err_code lake_open(const struct lake_options *o, struct lake **ret, struct err *e) MUST_USE;
struct lake *
lake_close(struct lake *l); /* what was pushed and not committed is gone (and is read again) */

/* Position: events of the tail up to this sequence are in the lake. 0 at first. */
int64_t lake_position(const struct lake *l);
/* Trades, quotes, dead letters, gaps, venue candles and instruments of the batch, with its extras: those get optional columns of
 * the table with the next commit (ERR_INCOMPATIBLE then, where it has a column of that name and another type). The row of a gap
 * or an instrument has the extras that came with its newest event. */
enum err_code lake_push(struct lake *l, const struct batch *b, struct err *e) MUST_USE;
enum err_code lake_push_candle(struct lake *l, const struct candle *c, struct err *e) MUST_USE;
/* One row of `gaps`, replacing the one of its gap_id. */
enum err_code lake_push_gap(struct lake *l, const struct gap *g, struct err *e) MUST_USE;
/* State blobs of other stages, written with the next commit. Empty bytes delete. */
enum err_code lake_put_state(struct lake *l, struct str name, struct str bytes,
                             struct err *e) MUST_USE;
enum err_code lake_each_state(struct lake *l, const char *prefix,
                              enum err_code (*each)(void *ctx, struct str name, struct str bytes,
                                                    struct err *e),
                              void *ctx, struct err *e) MUST_USE;
/* Everything pushed becomes visible, position becomes `position`. Nothing pushed and position unchanged: no commit. */
enum err_code lake_commit(struct lake *l, int64_t position, int64_t now_ns, struct err *e) MUST_USE;
/* ---- Distributed: many workers, each with the positions of the partitions it owns.
 *
 * The commit is a row in a queue: uploaded files, states, proofs, and (name, from -> to) of every position. Whoever holds the
 * lock folds everything that waits into one snapshot a table, in a fixed order of tables, and moves pointers and positions in
 * that transaction. A row whose `from` is not what the catalog holds is refused: ERR_FENCED, its files are thrown away,
 * nothing of it is there; the caller drops what it pushed and begins again at lake_each_position. That is the fence; there is
 * no coordinator. A lost answer is resolved by the queue row's own state. */
struct lake_move {
    const char *name; /* "market.trades/3" */
    int64_t from, to; /* from 0 where the name is not there yet */
};
enum err_code lake_commit_moves(struct lake *l, const struct lake_move *moves, size_t count,
                                int64_t now_ns, struct err *e) MUST_USE;
/* As of now in the catalog, for names with this prefix. */
enum err_code lake_each_position(struct lake *l, const char *prefix,
                                 enum err_code (*each)(void *ctx, struct str name, int64_t position,
                                                       struct err *e),
                                 void *ctx, struct err *e) MUST_USE;
/* Forgets everything pushed and not committed. */
void lake_drop(struct lake *l);
/* One transaction: positions and proofs as of the same moment, for verify. */
enum err_code lake_claims(struct lake *l, struct proof_set *ret,
                          enum err_code (*each)(void *ctx, struct str name, int64_t position,
                                                struct err *e),
                          void *ctx, struct err *e) MUST_USE;
/* Catalog and object store: connection, rights, bucket, conditional writes; the error names what is missing. */
enum err_code lake_probe(const struct lake_options *o, struct buf *grants, struct err *e) MUST_USE;

int64_t lake_buffered_rows(const struct lake *l);
void lake_stats(const struct lake *l, struct lake_stats *ret);

/* Committed rows of (venue, symbol) with from <= time < to, any order; trades of all streams. */
enum err_code lake_scan_trades(struct lake *l, struct str venue, struct str symbol, int64_t from_ns,
                               int64_t to_ns,
                               enum err_code (*each)(void *ctx, const struct trade *t,
                                                     struct err *e),
                               void *ctx, struct err *e) MUST_USE;
/* Committed candles of (venue, symbol, tf) with from <= open_time < to. tf TIMEFRAME_MAX: all of them. */
enum err_code lake_scan_candles(struct lake *l, struct str venue, struct str symbol,
                                enum timeframe tf, int64_t from_ns, int64_t to_ns,
                                enum err_code (*each)(void *ctx, const struct candle *c,
                                                      struct err *e),
                                void *ctx, struct err *e) MUST_USE;

/* Committed candles of the venue's own, and quotes by their receipt: what a back-fill must not bring again. */
enum err_code lake_scan_venue_candles(struct lake *l, struct str venue, struct str symbol,
                                      enum timeframe tf, int64_t from_ns, int64_t to_ns,
                                      enum err_code (*each)(void *ctx, const struct venue_candle *c,
                                                            struct err *e),
                                      void *ctx, struct err *e) MUST_USE;
enum err_code lake_scan_quotes(struct lake *l, struct str venue, struct str symbol, int64_t from_ns,
                               int64_t to_ns,
                               enum err_code (*each)(void *ctx, const struct quote *q,
                                                     struct err *e),
                               void *ctx, struct err *e) MUST_USE;

/* One round of compaction over all tables: joins small files of a partition, applies position deletes, merges
 * manifests. dry_run only tells. *ret_files: files replaced. Crash-safe: a file either is in the table or is removed by
 * the next open. Re-plans when a foreign snapshot came in between. */
enum err_code lake_compact(struct lake *l, bool dry_run, int64_t now_ns, int64_t *ret_files,
                           void (*tell)(void *ctx, const char *line), void *ctx,
                           struct err *e) MUST_USE;
/* Whether lake_compact would find work: cheap, to be asked after each commit. */
bool lake_compact_due(struct lake *l);
/* Snapshots beyond snapshots_keep of every table, also of those that no commit comes to; branches and tags keep theirs. *ret_count:
 * how many. ERR_IN_USE where another process is at the upkeep. Files go with lake_cleanup, after the grace. */
enum err_code lake_expire(struct lake *l, bool dry_run, int64_t now_ns, int64_t *ret_count,
                          void (*tell)(void *ctx, const char *line), void *ctx,
                          struct err *e) MUST_USE;
/* Files with names of ours that no kept snapshot of any table knows: told one by one. Where several share the lake, only those
 * older than a day: a younger one may belong to a commit under way. Not dry_run: they are noted for lake_cleanup. */
enum err_code lake_orphans(struct lake *l, bool dry_run, int64_t *ret_count,
                           void (*tell)(void *ctx, const char *line), void *ctx,
                           struct err *e) MUST_USE;
/* Removes files that no snapshot needs and whose grace is over, and leftovers of commits that never happened. */
enum err_code lake_cleanup(struct lake *l, int64_t now_ns, struct err *e) MUST_USE;

/* Size of the file of a `lake_file` as it is now, on the disk or in the object store; -1: missing. */
enum err_code lake_file_size(struct lake *l, const char *path, int64_t *ret,
                             struct err *e) MUST_USE;

/* For verify, files, connect, status. */
struct lake_file {
    enum table_id table;
    const char *path;        /* or location of an object, s3://... */
    bool is_delete, foreign; /* foreign: not written by us */
    int64_t rows, bytes, snapshot_id, sequence_number;
    int32_t day; /* partition, or INT32_MIN */
};
enum err_code lake_each_file(struct lake *l, enum table_id table,
                             enum err_code (*each)(void *ctx, const struct lake_file *f,
                                                   struct err *e),
                             void *ctx, struct err *e) MUST_USE;
struct lake_table_info {
    const char *name;    /* "trades" */
    char location[1100]; /* file:///.../lake/market/trades */
    char metadata_location[1200];
    int64_t snapshot_id, snapshots, data_files, delete_files, rows, bytes, last_updated_ms;
    int64_t newest_rows_ms; /* when rows last came or changed, upkeep left out; -1: never */
};
enum err_code lake_table_info(struct lake *l, enum table_id table, struct lake_table_info *ret,
                              struct err *e) MUST_USE;
/* The lake's claim: proof minutes as written with the commits. */
enum err_code lake_proofs(struct lake *l, struct proof_set *ret, struct err *e) MUST_USE;
/* The lake's truth: re-reads every live data file of ours of `table` (trades or quotes), deletes applied. Problems
 * (a missing file, a wrong size, a row count that differs from the manifest, a page that cannot be read) are told one
 * by one with the path; the rest is read on. Foreign rows are added to `foreign` instead. */
enum err_code lake_reread_proofs(struct lake *l, enum table_id table, struct proof_set *ret,
                                 struct proof_set *foreign,
                                 void (*problem)(void *ctx, const char *path, const char *what),
                                 void *ctx, struct err *e) MUST_USE;
/* Reads every value of every live file of ours of `table`, delete files too. What cannot be read is told with its path;
 * files that are missing or of another size are not (lake_each_file gives the sizes). */
enum err_code lake_reread_values(struct lake *l, enum table_id table,
                                 void (*problem)(void *ctx, const char *path, const char *what),
                                 void *ctx, struct err *e) MUST_USE;
/* Every committed candle, deletes applied, in file order: for verify. */
enum err_code lake_each_candle(struct lake *l,
                               enum err_code (*each)(void *ctx, const struct candle *c,
                                                     const char *path, struct err *e),
                               void *ctx, struct err *e) MUST_USE;
/* Every committed gap, deletes applied; times are whole microseconds. */
enum err_code lake_each_gap(struct lake *l,
                            enum err_code (*each)(void *ctx, const struct gap *g, const char *path,
                                                  struct err *e),
                            void *ctx, struct err *e) MUST_USE;

#endif
