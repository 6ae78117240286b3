#include "lake/postgres_internal.h"

#include "gen/sql.h"

#include <stdio.h>
#include <stdlib.h>

/* The catalog in PostgreSQL: opening, transactions, pointers and garbage. Positions, proof and states: postgres_state.c. */

#define OUR_TABLE                                                                                  \
    " WHERE catalog_name='" LAKE_CATALOG "' AND table_namespace='" LAKE_NAMESPACE                  \
    "' AND table_name=$1"
enum { GARBAGE_PAGE = 1000 };

/* ---- the schema */

static enum err_code check_version(struct lake *l, struct err *e)
{
    PGresult *r;
    TRY(pg_run(l, "SELECT version::text FROM ticklake.ticklake_lake", NULL, &r, e));
    int64_t version = PQntuples(r) == 1 ? pg_cell_number(r, 0, 0) : 0;
    PQclear(r);
    if (version == LAKE_VERSION) return ERR_OK;
    if (version > LAKE_VERSION)
        return ERR(e, ERR_VERSION,
                   "%s: catalog of format version %lld; this program knows up to %d",
                   l->catalog_path, (long long)version, LAKE_VERSION);
    return ERR(e, ERR_CONFIG, "%s: ticklake.ticklake_lake has no usable row: not made by ticklake",
               l->catalog_path);
}

struct found {
    bool schema, ours, iceberg;
};

static enum err_code look(struct lake *l, struct found *ret, struct err *e)
{
    PGresult *r;
    /* By the tables themselves: to_regclass() answers from a cache that what another session has just committed may not have
     * reached yet, also behind the lock. */
    TRY(pg_run(l,
               "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = 'ticklake')::text, "
               "count(*) FILTER (WHERE c.relname = 'ticklake_lake')::text, "
               "count(*) FILTER (WHERE c.relname = 'iceberg_tables')::text "
               "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
               "WHERE n.nspname = 'ticklake'",
               NULL, &r, e));
    *ret = (struct found){pg_cell_number(r, 0, 0) == 1, pg_cell_number(r, 0, 1) == 1,
                          pg_cell_number(r, 0, 2) == 1};
    PQclear(r);
    return ERR_OK;
}

static enum err_code make_schema(struct lake *l, struct err *e)
{
    struct found f;
    /* The store makes the same schema, it may be in the same database, and both start at the same moment: its lock too. */
    TRY(pg_run(l, "SELECT pg_advisory_xact_lock(" PG_LOCK_STORE ", 0)", NULL, NULL, e));
    TRY(pg_run(l, "SELECT pg_advisory_xact_lock(" PG_LOCK ", 1)", NULL, NULL, e));
    TRY(look(l, &f, e)); /* another worker may have made it while we waited */
    if (f.ours) return ERR_OK;
    if (f.iceberg)
        return ERR(
            e, ERR_CONFIG,
            "%s: the schema \"ticklake\" holds an Iceberg catalog that ticklake did not make; "
            "use another database",
            l->catalog_path);
    if (!f.schema) TRY(pg_run(l, "CREATE SCHEMA ticklake", NULL, NULL, e));
    return pg_script(l, "the schema of the catalog", sql_postgres_catalog, e);
}
_Static_assert(PG_LOCK_MIGRATE == 1 && PG_LOCK_UPKEEP == 2, "as in the statements");

static enum err_code begin_plain(struct lake *l, const char *how, struct err *e)
{
    CHECK(!l->postgres->in_transaction);
    TRY(pg_run(l, how, NULL, NULL, e));
    l->postgres->in_transaction = true;
    return ERR_OK;
}

static void rollback(struct lake *l)
{
    struct lake_postgres *p = l->postgres;
    if (!p || !p->in_transaction) return;
    if (p->new_series) map_clear(&l->series_ids); /* their numbers are taken back */
    bool open = p->conn != NULL;
    p->in_transaction = p->new_series = false;
    if (open && pg_run(l, "ROLLBACK", NULL, NULL, NULL) != ERR_OK) pg_drop_connection(l);
}

static enum err_code commit(struct lake *l, struct err *e)
{
    struct lake_postgres *p = l->postgres;
    PGresult *r = NULL;
    l->outcome_unknown = false;
    if (!p->conn) return ERR(e, ERR_NETWORK, "%s: connection lost", l->catalog_path);
    enum err_code code = pg_run(l, "COMMIT", NULL, &r, e);
    if (code == ERR_OK && strcmp(PQcmdStatus(r), "COMMIT") != 0)
        code = ERR(e, ERR_CONFLICT, "%s: the transaction was rolled back by the server",
                   l->catalog_path);
    else if (code != ERR_OK && !p->conn)
        l->outcome_unknown = true; /* whether it came through is asked later */
    PQclear(r);
    if (code == ERR_OK) p->in_transaction = p->new_series = false;
    return code;
}

enum err_code pg_open_schema(struct lake *l, struct err *e)
{
    struct found f;
    TRY(look(l, &f, e));
    if (f.ours) return check_version(l, e);
    if (l->o.read_only) return ERR(e, ERR_NOT_FOUND, "%s: holds no lake yet", l->catalog_path);
    TRY(begin_plain(l, "BEGIN", e));
    enum err_code code = make_schema(l, e);
    if (code == ERR_OK) code = commit(l, e);
    if (code != ERR_OK) rollback(l);
    l->outcome_unknown = false; /* made or not: the next open sees */
    TRY(code);
    return check_version(l, e);
}

static enum err_code open_catalog(struct lake *l, struct err *e)
{
    l->postgres = calloc(1, sizeof *l->postgres);
    CHECK(l->postgres != NULL);
    TRY(pg_connect(l, e));
    return pg_open_schema(l, e);
}

static void close_catalog(struct lake *l)
{
    if (!l->postgres) return;
    pg_drop_connection(l);
    free(l->postgres);
    l->postgres = NULL;
}

/* ---- transactions */

static enum err_code begin(struct lake *l, struct err *e)
{
    PGresult *r = NULL;
    TRY(begin_plain(l, "BEGIN", e));
    enum err_code code =
        pg_run(l, "SELECT version::text FROM ticklake.ticklake_lake FOR UPDATE", NULL, &r, e);
    if (code == ERR_OK && (PQntuples(r) != 1 || pg_cell_number(r, 0, 0) != LAKE_VERSION))
        code =
            ERR(e, ERR_VERSION, "%s: the catalog was changed by a newer version", l->catalog_path);
    PQclear(r);
    if (code != ERR_OK) rollback(l);
    return code;
}

static enum err_code begin_read(struct lake *l, struct err *e)
{
    return begin_plain(l, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e);
}

static enum err_code mark(struct lake *l, struct err *e)
{
    return pg_run(l, "SAVEPOINT mark", NULL, NULL, e);
}

static enum err_code back_to_mark(struct lake *l, struct err *e)
{
    return pg_run(l, "ROLLBACK TO SAVEPOINT mark", NULL, NULL, e);
}

static enum err_code still_held(struct lake *l, struct err *e)
{
    CHECK(l->postgres->in_transaction);
    return pg_run(l, "SELECT 1::text", NULL, NULL, e);
}

/* ---- pointers */

static enum err_code pointer(struct lake *l, const char *table, char **ret, struct err *e)
{
    struct pg_args a = {0};
    PGresult *r;
    *ret = NULL;
    pg_text(&a, table);
    TRY(pg_run(l, "SELECT metadata_location FROM ticklake.iceberg_tables" OUR_TABLE, &a, &r, e));
    if (PQntuples(r) && !PQgetisnull(r, 0, 0)) {
        struct str v = pg_cell(r, 0, 0);
        *ret = strndup(v.p, v.n);
        CHECK(*ret != NULL);
    }
    PQclear(r);
    return ERR_OK;
}

/* The comparison is the database's, never ours: that is what makes it safe beside writers that know nothing of our lock. */
static enum err_code swap(struct lake *l, const char *table, const char *from, const char *to,
                          bool *ret_won, struct err *e)
{
    struct pg_args a = {0};
    PGresult *r;
    pg_text(&a, table);
    pg_text(&a, to);
    if (from) pg_text(&a, from);
    TRY(pg_run(l,
               from ? "UPDATE ticklake.iceberg_tables SET metadata_location=$2, "
                      "previous_metadata_location=$3" OUR_TABLE
                      " AND metadata_location=$3 AND (iceberg_type='TABLE' OR iceberg_type IS NULL)"
                    : "INSERT INTO ticklake.iceberg_tables VALUES ('" LAKE_CATALOG
                      "', '" LAKE_NAMESPACE "', $1, $2, NULL, 'TABLE') ON CONFLICT DO NOTHING",
               &a, &r, e));
    *ret_won = pg_changed(r) == 1;
    PQclear(r);
    return ERR_OK;
}

/* ---- garbage */

static enum err_code add_garbage(struct lake *l, const char *table,
                                 const struct lake_garbage *items, size_t count, int64_t now_ns,
                                 struct err *e)
{
    struct buf locations, numbers;
    buf_init(&locations, (size_t)256 << 20);
    buf_init(&numbers, (size_t)64 << 20);
    for (size_t i = 0; i < count; i++) {
        pg_add_text(&locations, str_of(items[i].location));
        pg_add_number(&numbers, items[i].sequence_number);
    }
    pg_add_end(&locations);
    pg_add_end(&numbers);
    struct pg_args a = {0};
    enum err_code code = ERR_OK;
    bool seen = count > 0 && items[0].seen; /* all of a call are alike */
    if (locations.failed || numbers.failed)
        code = ERR(e, ERR_FULL, "%s: %zu files leave a table at once", l->catalog_path, count);
    if (code == ERR_OK) {
        pg_array(&a, &locations);
        pg_text(&a, table);
        pg_array(&a, &numbers);
        pg_number(&a, now_ns);
        pg_text(&a, seen ? "t" : "f");
        code = pg_run(l,
                      "INSERT INTO ticklake.ticklake_garbage SELECT DISTINCT ON (g.location) "
                      "g.location, $2, g.at, $4::bigint, CASE g.at WHEN 0 THEN $4::bigint END "
                      "FROM unnest($1::text[], $3::bigint[]) AS g (location, at) "
                      "ORDER BY g.location, g.at ON CONFLICT (location) DO UPDATE SET "
                      "table_name=excluded.table_name, removed_at=excluded.removed_at, "
                      "removed_ns=excluded.removed_ns, released_ns=excluded.released_ns "
                      "WHERE NOT $5::boolean OR ticklake_garbage.removed_at = 0",
                      &a, NULL, e);
    }
    buf_free(&locations);
    buf_free(&numbers);
    return code;
}

static enum err_code release(struct lake *l, const char *table, int64_t sequence_number,
                             int64_t now_ns, struct err *e)
{
    struct pg_args a = {0};
    pg_text(&a, table);
    pg_number(&a, sequence_number);
    pg_number(&a, now_ns);
    return pg_run(l,
                  "UPDATE ticklake.ticklake_garbage SET released_ns=$3::bigint WHERE table_name=$1 "
                  "AND removed_at<=$2::bigint AND released_ns IS NULL",
                  &a, NULL, e);
}

static enum err_code each_garbage(struct lake *l, int64_t released_before_ns,
                                  lake_garbage_each each, void *ctx, struct err *e)
{
    struct pg_args a = {0};
    PGresult *r;
    pg_number(&a, released_before_ns);
    pg_number(&a, GARBAGE_PAGE);
    TRY(pg_run(l,
               "SELECT table_name, location FROM ticklake.ticklake_garbage "
               "WHERE released_ns<=$1::bigint LIMIT $2::int",
               &a, &r, e));
    enum err_code code = ERR_OK;
    for (int i = 0; i < PQntuples(r) && code == ERR_OK; i++)
        code = each(ctx, pg_cell(r, i, 0), pg_cell(r, i, 1), e);
    PQclear(r);
    return code;
}

static enum err_code forget(struct lake *l, struct str location, struct err *e)
{
    struct pg_args a = {0};
    pg_bytes(&a, location);
    return pg_run(l, "DELETE FROM ticklake.ticklake_garbage WHERE location=$1::text", &a, NULL, e);
}

static enum err_code is_garbage(struct lake *l, const char *location, bool *ret, struct err *e)
{
    struct pg_args a = {0};
    PGresult *r;
    pg_text(&a, location);
    TRY(pg_run(l, "SELECT 1::text FROM ticklake.ticklake_garbage WHERE location=$1", &a, &r, e));
    *ret = PQntuples(r) > 0;
    PQclear(r);
    return ERR_OK;
}

/* ---- upkeep: the lock is the connection's, and goes with it */

static enum err_code upkeep_begin(struct lake *l, bool *ret, struct err *e)
{
    PGresult *r;
    TRY(pg_run(l, "SELECT pg_try_advisory_lock(" PG_LOCK ", 2)::int::text", NULL, &r, e));
    *ret = pg_cell_number(r, 0, 0) == 1;
    PQclear(r);
    l->postgres->upkeep |= *ret;
    return ERR_OK;
}

static void upkeep_end(struct lake *l)
{
    if (!l->postgres->upkeep) return;
    l->postgres->upkeep = false;
    if (pg_run(l, "SELECT pg_advisory_unlock_all()", NULL, NULL, NULL) != ERR_OK)
        pg_drop_connection(l);
}

const struct lake_catalog lake_catalog_postgres = {
    .shared = true,
    .probe = pg_probe,
    .open = open_catalog,
    .close = close_catalog,
    .begin = begin,
    .begin_read = begin_read,
    .commit = commit,
    .rollback = rollback,
    .mark = mark,
    .back_to_mark = back_to_mark,
    .pointer = pointer,
    .swap = swap,
    .position = pg_position,
    .each_position = pg_each_position,
    .move = pg_move,
    .add_proofs = pg_add_proofs,
    .proofs = pg_proofs,
    .put_states = pg_put_states,
    .each_state = pg_each_state,
    .add_garbage = add_garbage,
    .release = release,
    .each_garbage = each_garbage,
    .forget = forget,
    .is_garbage = is_garbage,
    .upkeep_begin = upkeep_begin,
    .upkeep_end = upkeep_end,
    .still_held = still_held,
};
