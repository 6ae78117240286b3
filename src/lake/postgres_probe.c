#include "lake/postgres_internal.h"

#include <stdlib.h>

/* Before anything runs: does the database let us in, and do what a worker does? Nothing is changed. */

static enum err_code ask(struct lake *l, const char *sql, bool *ret, struct err *e)
{
    PGresult *r;
    TRY(pg_run(l, sql, NULL, &r, e));
    *ret = PQntuples(r) == 1 && str_is(pg_cell(r, 0, 0), "t");
    PQclear(r);
    return ERR_OK;
}

static void add_name(struct lake *l, struct buf *to, const char *name)
{
    char *quoted = PQescapeIdentifier(l->postgres->conn, name, strlen(name));
    buf_add_cstr(to, quoted ? quoted : "?");
    PQfreemem(quoted);
}

/* The least rights: of the first start, which makes the schema, and of all others. */
static void add_grants(struct lake *l, struct buf *to)
{
    const char *user = PQuser(l->postgres->conn), *database = PQdb(l->postgres->conn);
    buf_addf(to, "-- the lake's catalog, %s\nGRANT CONNECT, CREATE ON DATABASE ", l->catalog_path);
    add_name(l, to, database);
    buf_add_cstr(to, " TO ");
    add_name(l, to, user);
    buf_add_cstr(to, "; -- CREATE for the first start only\n"
                     "GRANT USAGE ON SCHEMA ticklake TO ");
    add_name(l, to, user);
    buf_add_cstr(to,
                 ";\nGRANT SELECT, INSERT, UPDATE, DELETE ON "
                 "ticklake.iceberg_tables, ticklake.iceberg_namespace_properties, "
                 "ticklake.ticklake_lake, ticklake.ticklake_position, "
                 "ticklake.ticklake_proof_series, ticklake.ticklake_proof, "
                 "ticklake.ticklake_state, ticklake.ticklake_garbage, ticklake.ticklake_queue TO ");
    add_name(l, to, user);
    buf_add_cstr(to, ";\n");
}

static enum err_code check_made(struct lake *l, struct err *e)
{
    bool good;
    TRY(ask(l,
            "SELECT CASE WHEN has_schema_privilege('ticklake', 'USAGE') AND bool_and("
            "has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') AND "
            "has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')) "
            "THEN 't' ELSE 'f' END FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'ticklake' AND c.relkind = 'r' AND "
            "(c.relname LIKE 'ticklake\\_%' OR c.relname LIKE 'iceberg\\_%')",
            &good, e));
    if (!good)
        return ERR(
            e, ERR_REFUSED,
            "%s: user %s may not read and write the tables of the schema \"ticklake\"; grant "
            "what is listed",
            l->catalog_path, PQuser(l->postgres->conn));
    return pg_open_schema(l, e);
}

enum err_code pg_probe(struct lake *l, struct buf *grants, struct err *e)
{
    bool made, may, standby;
    l->postgres = calloc(1, sizeof *l->postgres);
    CHECK(l->postgres != NULL);
    TRY(pg_connect(l, e));
    add_grants(l, grants);
    TRY(ask(l, "SELECT CASE WHEN pg_is_in_recovery() THEN 't' ELSE 'f' END", &standby, e));
    if (standby)
        return ERR(e, ERR_UNAVAILABLE, "%s: a standby, which takes no writes; name the primary",
                   l->catalog_path);
    TRY(ask(l,
            "SELECT CASE WHEN EXISTS (SELECT FROM pg_namespace n JOIN pg_class c "
            "ON c.relnamespace = n.oid WHERE nspname = 'ticklake' AND relname = 'ticklake_lake') "
            "THEN 't' ELSE 'f' END",
            &made, e));
    if (made) return check_made(l, e);
    TRY(ask(l,
            "SELECT CASE WHEN coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM "
            "pg_namespace WHERE nspname = 'ticklake'), has_database_privilege("
            "current_database(), 'CREATE')) THEN 't' ELSE 'f' END",
            &may, e));
    if (may) return ERR_OK;
    return ERR(
        e, ERR_REFUSED,
        "%s: user %s may not make the schema \"ticklake\" (or its tables); grant CREATE on the "
        "database for the first start",
        l->catalog_path, PQuser(l->postgres->conn));
}
