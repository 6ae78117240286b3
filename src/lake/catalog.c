#include "io/clock.h"
#include "lake/queue_internal.h"
#include "lake/rest_internal.h"

/* The two kinds of catalog behind one set of calls. With a REST catalog the tables' pointers are there, and everything else is in
 * PostgreSQL as ever. */

enum { CLAIMS_WAIT_MS = 60000, CLAIMS_LOOK_MS = 50 };

enum err_code lake_catalog_open(struct lake *l, struct err *e)
{
    l->catalog = l->o.catalog_url ? &lake_catalog_postgres : &lake_catalog_sqlite;
    TRY(l->catalog->open(l, e));
    return l->o.rest ? rest_open(l, e) : ERR_OK;
}

const char *lake_tables_place(const struct lake *l)
{
    return l->rest ? l->rest->address : l->catalog_path;
}

void lake_catalog_close(struct lake *l)
{
    rest_close(l);
    if (l->catalog) l->catalog->close(l);
}

enum err_code lake_upkeep_begin(struct lake *l, bool *ret, struct err *e)
{
    *ret = true;
    if (l->pending) *ret = false; /* its files are nobody's yet, and its outcome comes first */
    return *ret && l->catalog->shared ? l->catalog->upkeep_begin(l, ret, e) : ERR_OK;
}

void lake_upkeep_end(struct lake *l)
{
    if (l->catalog->shared) l->catalog->upkeep_end(l);
}

enum err_code lake_catalog_begin(struct lake *l, struct err *e) { return l->catalog->begin(l, e); }

enum err_code lake_catalog_commit(struct lake *l, struct err *e)
{
    return l->catalog->commit(l, e);
}

void lake_catalog_rollback(struct lake *l) { l->catalog->rollback(l); }

enum err_code lake_catalog_pointer(struct lake *l, const struct table *t, char **ret, struct err *e)
{
    return l->rest ? rest_pointer(l, t, ret, e) : l->catalog->pointer(l, t->name, ret, e);
}

enum err_code lake_catalog_swap(struct lake *l, const char *table, const char *from, const char *to,
                                bool *ret_won, struct err *e)
{
    return l->catalog->swap(l, table, from, to, ret_won, e);
}

enum err_code lake_catalog_position(struct lake *l, const char *name, int64_t *ret, struct err *e)
{
    return l->catalog->position(l, name, ret, e);
}

enum err_code lake_each_position(struct lake *l, const char *prefix, lake_position_each each,
                                 void *ctx, struct err *e)
{
    return l->catalog->each_position(l, prefix, each, ctx, e);
}

enum err_code lake_catalog_move(struct lake *l, const struct lake_move *moves, size_t count,
                                size_t *ret_moved, struct err *e)
{
    *ret_moved = 0;
    return count ? l->catalog->move(l, moves, count, ret_moved, e) : ERR_OK;
}

enum err_code lake_catalog_add_proofs(struct lake *l, const struct proof_set *p, struct err *e)
{
    return p->count ? l->catalog->add_proofs(l, p, e) : ERR_OK;
}

enum err_code lake_catalog_proofs(struct lake *l, struct proof_set *ret, struct err *e)
{
    return l->catalog->proofs(l, ret, e);
}

enum err_code lake_catalog_put_states(struct lake *l, const struct lake_state_put *items,
                                      size_t count, struct err *e)
{
    return count ? l->catalog->put_states(l, items, count, e) : ERR_OK;
}

enum err_code lake_each_state(struct lake *l, const char *prefix, lake_state_each each, void *ctx,
                              struct err *e)
{
    return l->catalog->each_state(l, prefix, each, ctx, e);
}

enum err_code lake_catalog_add_garbage(struct lake *l, const char *table,
                                       const struct lake_garbage *items, size_t count,
                                       int64_t now_ns, struct err *e)
{
    return count ? l->catalog->add_garbage(l, table, items, count, now_ns, e) : ERR_OK;
}

enum err_code lake_catalog_garbage(struct lake *l, const char *table, const struct lake_garbage *g,
                                   int64_t now_ns, struct err *e)
{
    return l->catalog->add_garbage(l, table, g, 1, now_ns, e);
}

enum err_code lake_catalog_release(struct lake *l, const char *table, int64_t sequence_number,
                                   int64_t now_ns, struct err *e)
{
    return l->catalog->release(l, table, sequence_number, now_ns, e);
}

enum err_code lake_catalog_each_garbage(struct lake *l, int64_t released_before_ns,
                                        lake_garbage_each each, void *ctx, struct err *e)
{
    return l->catalog->each_garbage(l, released_before_ns, each, ctx, e);
}

enum err_code lake_catalog_forget(struct lake *l, struct str location, struct err *e)
{
    return l->catalog->forget(l, location, e);
}

enum err_code lake_catalog_is_garbage(struct lake *l, const char *location, bool *ret,
                                      struct err *e)
{
    return l->catalog->is_garbage(l, location, ret, e);
}

enum err_code lake_proofs(struct lake *l, struct proof_set *ret, struct err *e)
{
    return lake_catalog_proofs(l, ret, e);
}

/* While a fold is between its first table and its last transaction, tables are ahead of what is claimed. It goes on as soon as a
 * worker has the lock. */
static enum err_code begin_claims(struct lake *l, struct err *e)
{
    char recorded[LAKE_UUID_TEXT] = "";
    for (int waited_ms = 0;; waited_ms += CLAIMS_LOOK_MS) {
        TRY(l->catalog->begin_read(l, e));
        enum err_code code = l->rest ? queue_recorded(l, recorded, e) : ERR_OK;
        if (code == ERR_OK && !*recorded) return ERR_OK;
        lake_catalog_rollback(l);
        TRY(code);
        if (waited_ms >= CLAIMS_WAIT_MS)
            return ERR(e, ERR_UNAVAILABLE,
                       "%s: a fold has not been finished for %d s, and the tables are ahead of the "
                       "positions: start a worker (ticklake run --stages process,lake), which "
                       "finishes it",
                       l->catalog_path, CLAIMS_WAIT_MS / 1000);
        clock_sleep_ns(CLAIMS_LOOK_MS * NS_PER_MS);
    }
}

/* Positions and proofs as of one moment: between two readings a commit could move both. */
enum err_code lake_claims(struct lake *l, struct proof_set *ret, lake_position_each each, void *ctx,
                          struct err *e)
{
    TRY(begin_claims(l, e));
    enum err_code code = lake_catalog_proofs(l, ret, e);
    if (code == ERR_OK) code = lake_each_position(l, "", each, ctx, e);
    lake_catalog_rollback(l);
    return code;
}
