#include "lake/rest_internal.h"

#include <stdio.h>

/* State in PostgreSQL and tables in a REST catalog belong together, which neither of the two can know alone: the state has the
 * tables' uuids from the first start on, and the last fold in each. */

#define BOUND "catalog/"      /* + table: its uuid, among the states */
#define LAST  "catalog-fold/" /* + table: the last fold in it */

struct binding {
    struct lake *l;
    char uuids[TABLE_MAX][65];
    size_t count;
    bool moved; /* some position is not 0 */
};

static enum err_code take_binding(void *ctx, struct str name, struct str bytes, struct err *e)
{
    struct binding *b = ctx;
    (void)e;
    for (int id = 0; id < TABLE_MAX; id++) {
        struct str table = {name.p + strlen(BOUND), name.n - strlen(BOUND)};
        if (!str_is(table, table_of((enum table_id)id)->name)) continue;
        if (str_copy(b->uuids[id], sizeof b->uuids[id], bytes)) b->count++;
    }
    return ERR_OK;
}

static enum err_code see_position(void *ctx, struct str name, int64_t position, struct err *e)
{
    struct binding *b = ctx;
    (void)name;
    (void)e;
    b->moved |= position > 0;
    return ERR_OK;
}

static enum err_code check_binding(const struct binding *b, enum table_id id, struct err *e)
{
    const struct lake_rest *r = b->l->rest;
    const char *name = table_of(id)->name, *uuid = r->tables[id].uuid;
    CHECK(uuid != NULL);
    if (*b->uuids[id]) {
        if (strcmp(b->uuids[id], uuid) == 0) return ERR_OK;
        return ERR(e, ERR_CONFIG,
                   "%s: table " LAKE_NAMESPACE
                   ".%s is another one than the positions in %s are of: "
                   "it was dropped and made anew, or lake.catalog or lake.rest_warehouse changed",
                   r->address, name, b->l->catalog_path);
    }
    char fold[LAKE_UUID_TEXT];
    if (rest_last_fold(buf_str(&r->tables[id].metadata), fold))
        return ERR(e, ERR_CONFIG,
                   "%s: table " LAKE_NAMESPACE ".%s is written with another database of positions "
                   "than %s: check lake.state_url",
                   r->address, name, b->l->catalog_path);
    if (b->moved && b->count == 0)
        return ERR(e, ERR_CONFIG,
                   "%s holds the positions of another lake: for the tables in %s use a database of "
                   "their own (lake.state_url)",
                   b->l->catalog_path, r->address);
    return ERR_OK;
}

static enum err_code bind_tables(struct binding *b, struct err *e)
{
    struct lake_state_put puts[TABLE_MAX];
    char names[TABLE_MAX][64];
    size_t count = 0;
    TRY(lake_each_state(b->l, BOUND, take_binding, b, e));
    TRY(lake_each_position(b->l, "", see_position, b, e));
    for (int id = 0; id < TABLE_MAX; id++) {
        TRY(check_binding(b, (enum table_id)id, e));
        if (*b->uuids[id]) continue;
        snprintf(names[count], sizeof names[0], BOUND "%s", table_of((enum table_id)id)->name);
        puts[count] = (struct lake_state_put){names[count], str_of(b->l->rest->tables[id].uuid)};
        count++;
    }
    return count && !b->l->o.read_only ? lake_catalog_put_states(b->l, puts, count, e) : ERR_OK;
}

struct folds {
    char last[TABLE_MAX][LAKE_UUID_TEXT];
};

static enum err_code take_fold(void *ctx, struct str name, struct str bytes, struct err *e)
{
    struct folds *f = ctx;
    struct str table = {name.p + strlen(LAST), name.n - strlen(LAST)};
    (void)e;
    for (int id = 0; id < TABLE_MAX; id++)
        if (str_is(table, table_of((enum table_id)id)->name))
            str_copy(f->last[id], sizeof f->last[id], bytes);
    return ERR_OK;
}

enum err_code rest_check_folds(struct lake *l, const bool which[TABLE_MAX], const char *fold,
                               struct err *e)
{
    struct folds f = {0};
    char there[LAKE_UUID_TEXT];
    TRY(lake_each_state(l, LAST, take_fold, &f, e));
    for (int id = 0; id < TABLE_MAX; id++) {
        const struct lake_table *t = &l->tables[id];
        if (!which[id] || !rest_last_fold(buf_str(&t->metadata), there)) continue;
        if (strcmp(there, f.last[id]) == 0 || strcmp(there, fold) == 0) continue;
        return ERR(
            e, ERR_HOLE,
            "%s: the last fold in table " LAKE_NAMESPACE ".%s is %s, and that of the state in "
            "%s is %s: it was restored from a backup, or lost its last transactions. "
            "Nothing is written, it would be twice in the table (docs/operating.md, \"Backup "
            "past one machine\")",
            l->rest->address, t->t->name, there, l->catalog_path,
            *f.last[id] ? f.last[id] : "none");
    }
    return ERR_OK;
}

void rest_fold_state(enum table_id id, char out[64])
{
    snprintf(out, 64, LAST "%s", table_of(id)->name);
}

enum err_code rest_refuse_bound(struct lake *l, struct err *e)
{
    struct binding b = {.l = l};
    TRY(lake_each_state(l, BOUND, take_binding, &b, e));
    if (b.count == 0) return ERR_OK;
    return ERR(e, ERR_CONFIG,
               "%s holds the positions of tables in a REST catalog: lake.catalog must be its "
               "address, or this be another database",
               l->catalog_path);
}

enum err_code rest_bind(struct lake *l, struct err *e)
{
    struct binding b = {.l = l};
    if (l->o.read_only) return bind_tables(&b, e);
    TRY(lake_catalog_begin(l, e));
    enum err_code code = bind_tables(&b, e);
    if (code == ERR_OK) return lake_catalog_commit(l, e);
    lake_catalog_rollback(l);
    return code;
}
