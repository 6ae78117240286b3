/* queue_internal.h - commits of workers as they wait in the catalog's queue, and the fold that makes them one.
 *
 * A worker encodes what a commit needs beside the files themselves; whoever folds decodes it and trusts nothing: version,
 * counts and lengths are bounded by the bytes that are there, paths must be ours and in their table.
 */
#ifndef TICKLAKE_LAKE_QUEUE_INTERNAL_H
#define TICKLAKE_LAKE_QUEUE_INTERNAL_H

#include "lake/lake_internal.h"

enum { QUEUE_VERSION = 1, QUEUE_PAYLOAD_MAX = 96 << 20, QUEUE_NAME_MAX = 511 };

struct queue_key { /* one row of a keyed table */
    struct lake_wanted w;
    bool replaces;
    uint32_t file; /* of its table in this commit */
    int64_t position;
};
struct queue_table {
    struct lake_entry *files; /* data files only */
    struct queue_key *keys;
    size_t file_count, key_count;
};
struct queue_proof {
    struct str names[4]; /* venue, exchange, symbol, venue_symbol */
    uint8_t stream;
    int64_t minute, count;
    u128 sum;
};
struct queue_commit {
    struct lake_move *moves;
    struct lake_state_put *states;
    struct queue_proof *proofs;
    size_t move_count, state_count, proof_count;
    struct queue_table tables[TABLE_MAX];
};

/* ---- queue_encode.c, queue_decode.c */
void queue_encode(const struct queue_commit *q, struct buf *to);
/* Memory of `ret` is the arena's, texts point into `bytes`. ERR_VERSION: made by a newer version. ERR_CORRUPT. */
enum err_code queue_decode(struct str bytes, struct arena *a, struct queue_commit *ret,
                           struct err *e) MUST_USE;

/* ---- postgres_queue.c: rows of the queue. */
enum queue_state {
    QUEUE_ABSENT = -1,
    QUEUE_WAITS = 0,
    QUEUE_DONE = 1,
    QUEUE_FENCED = 2,
    QUEUE_DAMAGED = 3
};
struct queue_verdict {
    int64_t id;
    enum queue_state state;
    char reason[240];
};
/* Does nothing where it is there already. */
enum err_code queue_put(struct lake *l, const char *commit, struct str payload,
                        struct err *e) MUST_USE;
/* `ret` lacks the id. */
enum err_code queue_look(struct lake *l, const char *commit, struct queue_verdict *ret,
                         struct err *e) MUST_USE;
/* A fold that is recorded and not finished: rows that wait and bear its id. "": none. */
enum err_code queue_recorded(struct lake *l, char ret[LAKE_UUID_TEXT], struct err *e) MUST_USE;
/* These rows and no others are what the fold is made of, whoever makes it. */
enum err_code queue_record(struct lake *l, const char *fold, const struct queue_verdict *rows,
                           size_t count, struct err *e) MUST_USE;
/* Rows that wait, oldest first: so many as fit into one fold, or those of a recorded one (NULL: none). The payload is the callee's
 * for the call only. */
enum err_code queue_each(struct lake *l, const char *fold,
                         enum err_code (*each)(void *ctx, int64_t id, struct str payload,
                                               struct err *e),
                         void *ctx, struct err *e) MUST_USE;
enum err_code queue_decide(struct lake *l, const char *fold, const struct queue_verdict *items,
                           size_t count, struct err *e) MUST_USE;
enum err_code queue_trim(struct lake *l, struct err *e) MUST_USE;

/* ---- fold.c: under the lock, everything that waits becomes one change a table. ret: what became of the row `commit` (NULL:
 * none is asked for). Where the answer to its COMMIT is lost, the row tells.
 * With a REST catalog the fold is recorded before the first table is committed; a recorded one is finished before any other. */
enum err_code lake_fold(struct lake *l, const char *commit, struct queue_verdict *ret,
                        struct err *e) MUST_USE;

#endif
