/* store.h - the first durable home: every event in SQLite or PostgreSQL before anything downstream sees it.
 *
 * Backends  options.url NULL: SQLite at options.path. Else PostgreSQL, schema "ticklake": binary COPY straight into keyed
 *           daily partitions, and only when that meets a duplicate through a staging table (measured: two to three times
 *           cheaper than staging always). Several writers may append at a time, each under its own name; a batch whose commit
 *           was lost on the way is looked up by (writer, number) and never written twice. Rows whose key is there already are
 *           left out and taken off the batch's proof. What is said of SQLite below holds for both unless it says otherwise.
 * Takes     batches; store_append writes one batch in ONE transaction: rows, batch row (count, id ranges, checksum),
 *           proof deltas, dedup state, source positions, new series, instruments, gap ledger.
 * Promises  after ERR_OK the batch survives power loss (WAL, synchronous FULL; PostgreSQL: synchronous_commit is never below
 *           `on`) and has its sequences. SQLite: duplicates never reach the store (source/dedup.h), so tables are
 *           append-only by sequence without a second index:
 *           measured, that is a million durable rows a second where a keyed table is 0.2 to 0.4 million.
 * Keys      PostgreSQL: trades by (series, stream, id, day), venue candles by all they state, quotes of guests and of history by
 *           their content, dead letters of guests by what was refused and why. What is there already is taken off the batch
 *           in memory too, and counted in b->duplicates; a trade with the same key and another price, size, side or venue
 *           time becomes a dead letter `conflict` in its place. A day is part of the key: the same id on another day is
 *           another trade. Once retention has removed a day, its keys are gone as well.
 * Order     sequences rise by one per event over all kinds, never reused; every batch takes at least one. PostgreSQL: a writer's
 *           sequences rise, with holes (blocks of 2^22, rows left out); those of two writers interleave by blocks.
 * Reading   store_tail_* is a cursor by sequence on its own connection: for restart, for a consumer that fell behind, and
 *           for verify. Plain `sqlite3 store.db` shows the views that docs/formats.md lists (`trades`, `quotes`, `gaps`,
 *           ...), with exact decimals and readable times; psql the same in schema ticklake, `batches` as `batch_list`. PostgreSQL: a
 *           batch of another writer may be committed below where the cursor stands, so it re-reads ranges (verify, tap) and is no
 *           queue: that is changes.h. Its series table must be its own: numbers in it are the database's.
 * Outage    PostgreSQL: ERR_NETWORK ERR_UNAVAILABLE ERR_TIMEOUT ERR_CONFLICT of store_append mean: give the same batch again. It
 *           connects anew by itself, takes the writer's lock again (ending its own lost session if the server still has it),
 *           and looks whether the batch was committed after all.
 * Retention PostgreSQL: a day goes when every batch with rows of it was written before `before_ns` by the server's clock and
 *           is confirmed by every logical slot of the database; without a slot nothing goes. below_sequence is not used.
 *           The batch rows follow when all their days are gone; their proofs stay. Venue candles, instruments and the
 *           ledger stay. A batch of which a day is gone is no longer among store_claims.
 * Threads   a store belongs to one thread, each tail to one; they do not disturb each other.
 * Limits    batch by its pool; database by options.bytes_max (then ERR_FULL; PostgreSQL: measured each 30 s). PostgreSQL: days
 *           before 2009 and from 2100 on share a partition each. Text that it cannot hold has '?' for each such byte; a
 *           trade with such an id is a dead letter.
 * Fails     ERR_DISK ERR_CORRUPT (damaged: named, nothing overwritten) ERR_VERSION ERR_FULL ERR_HOLE; PostgreSQL also
 *           ERR_REFUSED (credentials, rights: names the grant) ERR_CONFIG ERR_IN_USE (the writer's name) and those of an outage.
 */
#ifndef TICKLAKE_STORE_STORE_H
#define TICKLAKE_STORE_STORE_H

#include "base/buf.h"
#include "event/batch.h"

enum { STORE_VERSION = 1 };

enum store_role {
    STORE_OWNER, /* a source with deduplication and gap ledger of its own; one at a time for each writer name */
    /* Back-fill and repair (PostgreSQL), any number beside the owners: keys decide what is new. All writers' deduplication is
     * read (several states for one tape), none is kept; the ids that it stores are, as ranges. */
    STORE_GUEST,
};
struct store_options {
    const char *path; /* .../store.db */
    const char *url;  /* PostgreSQL, as libpq takes it; NULL: SQLite */
    const char
        *writer; /* PostgreSQL: name of this writer, "main"; ERR_IN_USE where an owner of it runs */
    enum store_role role;
    bool live;                   /* PostgreSQL: the clock of its batches is the wall clock */
    int64_t partitions_ahead;    /* PostgreSQL: days made ahead; 0: 3 */
    struct series_table *series; /* filled from the store at open */
    uint64_t bytes_max;          /* 0: no limit */
    bool read_only;              /* for verify, status: never creates, never migrates */
};

/* Everything a start needs; lives until store_close. */
struct store_state {
    int64_t last_sequence;    /* durable mark; 0 when empty */
    int64_t first_sequence;   /* oldest row kept; 1 when nothing was ever removed */
    int64_t last_received_ns; /* newest receipt, or TIME_ABSENT */
    int64_t next_gap_id; /* PostgreSQL: the first of a block of 2^32 that is this start's alone */
    const struct dedup_state *dedup;
    size_t dedup_count;
    const struct source_position *positions;
    size_t position_count;
    const struct gap *open_gaps;
    size_t open_gap_count;
    const struct instrument *instruments;
    size_t instrument_count;
    const struct id_range *brought; /* PostgreSQL: what guests stored, merged */
    size_t brought_count;
};

struct store_stats {
    int64_t rows, batches, bytes, commit_ns_total, commit_ns_max, mark;
};

struct store;
enum err_code store_open(const struct store_options *o, struct store **ret, struct err *e) MUST_USE;
struct store *store_close(struct store *s);
const struct store_state *store_state(const struct store *s); /* as it was at open */
enum err_code store_append(struct store *s, struct batch *b, struct err *e) MUST_USE;
int64_t store_mark(const struct store *s); /* durable: every sequence <= mark */
void store_stats(const struct store *s, struct store_stats *ret); /* any thread */
/* Removes batches wholly below `below_sequence` AND received before `before_ns`, a bounded number of rows a call;
 * *ret_more tells whether another call would remove more. Their proofs stay. */
enum err_code store_retain(struct store *s, int64_t below_sequence, int64_t before_ns,
                           bool *ret_more, struct err *e) MUST_USE;
/* PRAGMA integrity_check and the invariants of the batch table: ERR_CORRUPT names the place. */
enum err_code store_check(struct store *s, struct err *e) MUST_USE;

/* What the gap ledger says is missing: open id gaps (and, where a venue lists by time, outages) of all writers, for
 * `repair`. On its own connection. */
enum err_code store_open_gaps(const struct store_options *o,
                              enum err_code (*each)(void *ctx, const struct gap *g, struct err *e),
                              void *ctx, struct err *e) MUST_USE;

/* Work with a beginning and an end (backfill, repair, compact, verify ...), for the `jobs` list. PostgreSQL and SQLite.
 * job_id 0 adds and gives the id back; else the row is updated. */
struct store_job {
    int64_t job_id, started_ns, finished_ns; /* finished: TIME_ABSENT while it runs */
    int64_t rows, duplicates;
    int32_t exit_code;     /* -1 while it runs */
    const char *command;   /* "backfill" */
    const char *arguments; /* as given, without secrets */
    const char *message;   /* the error, or "" */
};
enum err_code store_job_put(const struct store_options *o, struct store_job *job,
                            struct err *e) MUST_USE;
enum err_code store_each_job(const struct store_options *o, int64_t newest,
                             enum err_code (*each)(void *ctx, const struct store_job *job,
                                                   struct err *e),
                             void *ctx, struct err *e) MUST_USE;
/* PostgreSQL: connection, version, wal_level, rights, schema version: each tried; the error names what is missing, and
 * `grants` gets the SQL of the least rights. */
enum err_code store_probe(const struct store_options *o, struct buf *grants,
                          struct err *e) MUST_USE;

struct store_tail;
enum err_code store_tail_open(const struct store_options *o, struct store_tail **ret,
                              struct err *e) MUST_USE;
struct store_tail *store_tail_close(struct store_tail *t);
/* Fills an empty batch with the events of (after_sequence, upto], whole stored batches at a time while they fit (a
 * larger stored batch is given in pieces, and so is one that after_sequence or upto lies in; INT64_MAX: no bound).
 * *ret_end: nothing follows up to there. Gives trades, quotes, gaps, dead letters, venue candles, instruments, proofs,
 * clock_ns; not positions and dedup. ERR_HOLE when rows after it were removed by retention, or the store ends before. */
enum err_code store_tail_read(struct store_tail *t, int64_t after_sequence, int64_t upto,
                              struct batch *b, bool *ret_end, struct err *e) MUST_USE;
int64_t store_tail_mark(struct store_tail *t); /* newest durable sequence seen now */

/* For the proof: what the batch rows claim, in order, and what each minute adds up to. */
struct store_batch_claim {
    int64_t batch, first_sequence, last_sequence, events, trades, quotes;
    u128 sum;     /* of the trade and quote hashes of the batch, mod 2^128 */
    u128 content; /* of store_content() over all its events */
    int64_t
        received_ns; /* newest of this and all batches before it (of its writer), or TIME_ABSENT */
    const char *writer; /* PostgreSQL; lives until `each` returns */
    int64_t number;     /* of the writer's batches, from 1 without holes; SQLite: as batch */
    bool finish;        /* PostgreSQL */
    /* PostgreSQL, of the same writer's batch before it: where its sequences end, and how many numbers in between are neither
     * there nor removed by retention (below the newest batch that retention removed, all holes count as its). */
    int64_t previous_last, missing_before;
};
/* A hash over everything that the store keeps of an event, for every kind. The proof leaves out receipt, origin, id
 * ranges, gaps, dead letters and candles; this finds an altered digit there too. Needs the event's sequence. */
u128 store_content(const struct batch *b, struct event_ref r);
/* `each` may use the tail (no read transaction stays open meanwhile, so that a long verify does not hold back the log
 * of a running writer). */
enum err_code store_claims(struct store_tail *t,
                           enum err_code (*each)(void *ctx, const struct store_batch_claim *c,
                                                 struct err *e),
                           void *ctx, struct err *e) MUST_USE;
/* The proof minutes that one batch claims, to narrow a difference down: where claim.sum is not what the rows give. */
enum err_code store_claim_proofs(struct store_tail *t, const struct store_batch_claim *c,
                                 struct proof_set *ret, struct err *e) MUST_USE;
/* Added to ret: proof minutes of all batches with last_sequence <= upto, removed ones included: the store's side of
 * store = lake. Exact where upto ends a batch. ERR_HOLE when upto lies inside what retention removed. */
enum err_code store_proofs(struct store_tail *t, int64_t upto, struct proof_set *ret,
                           struct err *e) MUST_USE;
/* How far and how fast the store goes, for who watches it. */
struct store_progress {
    int64_t mark;
    int64_t events_10s;       /* events of the last ten seconds; -1: not known (SQLite) */
    int64_t newest_commit_ns; /* TIME_ABSENT: none, or not known */
    int64_t
        unpublished_events; /* behind the slot's confirmed position (at most of 100,000 batches); -1: no slot */
    int64_t unpublished_ns; /* age of the oldest of them */
};
enum err_code store_tail_progress(struct store_tail *t, const char *slot,
                                  struct store_progress *ret, struct err *e) MUST_USE;
/* The ledger, newest state of each gap. */
enum err_code store_gaps(struct store_tail *t,
                         enum err_code (*each)(void *ctx, const struct gap *g, struct err *e),
                         void *ctx, struct err *e) MUST_USE;

#endif
