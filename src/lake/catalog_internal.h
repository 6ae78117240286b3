/* catalog_internal.h - where the pointers and positions are: catalog.db, or a PostgreSQL database that many workers share.
 *
 * Pointers, positions, proof, states and garbage change together, in one transaction. In PostgreSQL a transaction holds the
 * lock of all writers of ours from its begin on, and a connection that is lost outside of one is made anew.
 */
#ifndef TICKLAKE_LAKE_CATALOG_INTERNAL_H
#define TICKLAKE_LAKE_CATALOG_INTERNAL_H

#include "lake/lake.h"

struct lake_garbage {
    char *location;
    int64_t sequence_number; /* of the snapshot that removed it; 0: no snapshot needs it */
    bool seen; /* found missing in a snapshot of somebody else, who may have noted it already */
};
struct lake_state_put {
    char *name;
    struct str bytes;
};
typedef enum err_code (*lake_state_each)(void *ctx, struct str name, struct str bytes,
                                         struct err *e);
typedef enum err_code (*lake_position_each)(void *ctx, struct str name, int64_t position,
                                            struct err *e);
typedef enum err_code (*lake_garbage_each)(void *ctx, struct str table, struct str location,
                                           struct err *e);
struct lake_catalog {
    bool shared;
    enum err_code (*probe)(struct lake *l, struct buf *grants, struct err *e); /* then close */
    enum err_code (*open)(struct lake *l, struct err *e);
    void (*close)(struct lake *l);
    enum err_code (*begin)(struct lake *l, struct err *e);
    enum err_code (*begin_read)(struct lake *l, struct err *e); /* one moment; no lock */
    enum err_code (*commit)(struct lake *l, struct err *e);
    void (*rollback)(struct lake *l);
    /* A lost race inside of a transaction takes back what was done since `mark`. */
    enum err_code (*mark)(struct lake *l, struct err *e);
    enum err_code (*back_to_mark)(struct lake *l, struct err *e);
    enum err_code (*pointer)(struct lake *l, const char *table, char **ret, struct err *e);
    enum err_code (*swap)(struct lake *l, const char *table, const char *from, const char *to,
                          bool *ret_won, struct err *e);
    enum err_code (*position)(struct lake *l, const char *name, int64_t *ret, struct err *e);
    enum err_code (*each_position)(struct lake *l, const char *prefix, lake_position_each each,
                                   void *ctx, struct err *e);
    enum err_code (*move)(struct lake *l, const struct lake_move *moves, size_t count,
                          size_t *ret_moved, struct err *e);
    enum err_code (*add_proofs)(struct lake *l, const struct proof_set *p, struct err *e);
    enum err_code (*proofs)(struct lake *l, struct proof_set *ret, struct err *e);
    enum err_code (*put_states)(struct lake *l, const struct lake_state_put *items, size_t count,
                                struct err *e);
    enum err_code (*each_state)(struct lake *l, const char *prefix, lake_state_each each, void *ctx,
                                struct err *e);
    enum err_code (*add_garbage)(struct lake *l, const char *table,
                                 const struct lake_garbage *items, size_t count, int64_t now_ns,
                                 struct err *e);
    enum err_code (*release)(struct lake *l, const char *table, int64_t sequence_number,
                             int64_t now_ns, struct err *e);
    enum err_code (*each_garbage)(struct lake *l, int64_t released_before_ns,
                                  lake_garbage_each each, void *ctx, struct err *e);
    enum err_code (*forget)(struct lake *l, struct str location, struct err *e);
    enum err_code (*is_garbage)(struct lake *l, const char *location, bool *ret, struct err *e);
    /* Compaction and cleanup are done by one worker at a time; *ret false: another one is at it. */
    enum err_code (*upkeep_begin)(struct lake *l, bool *ret, struct err *e);
    /* Shared: whether the transaction, and with it the lock, is still ours. */
    enum err_code (*still_held)(struct lake *l, struct err *e);
    void (*upkeep_end)(struct lake *l);
};
extern const struct lake_catalog lake_catalog_sqlite, lake_catalog_postgres;
#define LAKE_POSITION "lake" /* the one position of a lake with one writer */
enum err_code lake_catalog_open(struct lake *l, struct err *e) MUST_USE;
void lake_catalog_close(struct lake *l);
const char *
lake_tables_place(const struct lake *l); /* where the tables' pointers are, for errors */
enum err_code lake_upkeep_begin(struct lake *l, bool *ret, struct err *e) MUST_USE;
void lake_upkeep_end(struct lake *l);
enum err_code lake_catalog_begin(struct lake *l, struct err *e) MUST_USE;
enum err_code lake_catalog_commit(struct lake *l, struct err *e) MUST_USE;
void lake_catalog_rollback(struct lake *l);
/* *ret is malloc'd; NULL when the table is not there. */
enum err_code lake_catalog_pointer(struct lake *l, const struct table *t, char **ret,
                                   struct err *e) MUST_USE;
/* from NULL creates. *ret_won false: the pointer is not `from` any more. */
enum err_code lake_catalog_swap(struct lake *l, const char *table, const char *from, const char *to,
                                bool *ret_won, struct err *e) MUST_USE;
/* 0 where the name is not there. */
enum err_code lake_catalog_position(struct lake *l, const char *name, int64_t *ret,
                                    struct err *e) MUST_USE;
/* In order; *ret_moved < count: that one is not at its `from` any more. */
enum err_code lake_catalog_move(struct lake *l, const struct lake_move *moves, size_t count,
                                size_t *ret_moved, struct err *e) MUST_USE;
enum err_code lake_catalog_add_proofs(struct lake *l, const struct proof_set *p,
                                      struct err *e) MUST_USE;
enum err_code lake_catalog_proofs(struct lake *l, struct proof_set *ret, struct err *e) MUST_USE;
/* Names differ; empty bytes delete. */
enum err_code lake_catalog_put_states(struct lake *l, const struct lake_state_put *items,
                                      size_t count, struct err *e) MUST_USE;
enum err_code lake_catalog_add_garbage(struct lake *l, const char *table,
                                       const struct lake_garbage *items, size_t count,
                                       int64_t now_ns, struct err *e) MUST_USE;
enum err_code lake_catalog_garbage(struct lake *l, const char *table, const struct lake_garbage *g,
                                   int64_t now_ns, struct err *e) MUST_USE;
/* Files that were removed at or before this sequence number are needed by no snapshot from now on. */
enum err_code lake_catalog_release(struct lake *l, const char *table, int64_t sequence_number,
                                   int64_t now_ns, struct err *e) MUST_USE;
enum err_code lake_catalog_each_garbage(struct lake *l, int64_t released_before_ns,
                                        lake_garbage_each each, void *ctx, struct err *e) MUST_USE;
enum err_code lake_catalog_forget(struct lake *l, struct str location, struct err *e) MUST_USE;
enum err_code lake_catalog_is_garbage(struct lake *l, const char *location, bool *ret,
                                      struct err *e) MUST_USE;

#endif
