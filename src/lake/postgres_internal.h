/* postgres_internal.h - the lake's connection to PostgreSQL: one statement after the other, each with a limit of time.
 *
 * A statement outside of a transaction is one that may be run twice: when the connection is lost it is made anew and the
 * statement sent once more. Inside of a transaction the loss ends it: ERR_NETWORK or ERR_TIMEOUT, and nothing of it is there
 * unless its COMMIT was on the way (l->outcome_unknown).
 */
#ifndef TICKLAKE_LAKE_POSTGRES_INTERNAL_H
#define TICKLAKE_LAKE_POSTGRES_INTERNAL_H

#include "lake/lake_internal.h"

#include <libpq-fe.h>

#define PG_LOCK "1953259883" /* "tlak": class of our advisory locks */
#define PG_LOCK_STORE                                                                              \
    "1953197163" /* "tklk": of the store's; number 0 is held while its schema is made */
enum { PG_LOCK_MIGRATE = 1, PG_LOCK_UPKEEP = 2 };

struct lake_postgres {
    PGconn *conn;
    bool in_transaction;
    bool new_series; /* numbers of series were given in it */
    bool upkeep;     /* the advisory lock is held by this connection */
};

enum { PG_ARGS_MAX = 10 };
struct pg_args {
    int count;
    const char *values[PG_ARGS_MAX];
    int lengths[PG_ARGS_MAX], formats[PG_ARGS_MAX];
    char numbers[PG_ARGS_MAX][24];
};
void pg_number(struct pg_args *a, int64_t v);
void pg_text(struct pg_args *a, const char *v);        /* must outlive the statement */
void pg_bytes(struct pg_args *a, struct str v);        /* the same; of text or bytea */
void pg_array(struct pg_args *a, const struct buf *v); /* made by pg_add_* and ended */
/* '{' "a", "b" '}': begin with an empty buffer. */
void pg_add_text(struct buf *b, struct str v);
void pg_add_hex(struct buf *b, struct str v); /* as bytea */
void pg_add_number(struct buf *b, int64_t v);
void pg_add_end(struct buf *b);

/* Results come in binary: cast numbers to text. *ret is the caller's; ret NULL: no rows are wanted. */
enum err_code pg_run(struct lake *l, const char *sql, const struct pg_args *args, PGresult **ret,
                     struct err *e) MUST_USE;
/* Several statements as they stand in a file; `name` is for errors. */
enum err_code pg_script(struct lake *l, const char *name, const char *text, struct err *e) MUST_USE;
struct str pg_cell(const PGresult *r, int row, int column);
int64_t pg_cell_number(const PGresult *r, int row, int column);
int64_t pg_changed(const PGresult *r);
/* Connects, and looks at the schema or makes it. */
enum err_code pg_connect(struct lake *l, struct err *e) MUST_USE;
enum err_code pg_open_schema(struct lake *l, struct err *e) MUST_USE;
void pg_drop_connection(struct lake *l);

/* ---- postgres_probe.c */
enum err_code pg_probe(struct lake *l, struct buf *grants, struct err *e) MUST_USE;

/* ---- postgres_state.c: parts of lake_catalog_postgres. */
enum err_code pg_position(struct lake *l, const char *name, int64_t *ret, struct err *e) MUST_USE;
enum err_code pg_each_position(struct lake *l, const char *prefix, lake_position_each each,
                               void *ctx, struct err *e) MUST_USE;
enum err_code pg_move(struct lake *l, const struct lake_move *moves, size_t count,
                      size_t *ret_moved, struct err *e) MUST_USE;
enum err_code pg_add_proofs(struct lake *l, const struct proof_set *p, struct err *e) MUST_USE;
enum err_code pg_proofs(struct lake *l, struct proof_set *ret, struct err *e) MUST_USE;
enum err_code pg_put_states(struct lake *l, const struct lake_state_put *items, size_t count,
                            struct err *e) MUST_USE;
enum err_code pg_each_state(struct lake *l, const char *prefix, lake_state_each each, void *ctx,
                            struct err *e) MUST_USE;

#endif
