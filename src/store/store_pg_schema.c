/* Schema "ticklake": made when it is not there, migrated when it is older, refused when it is newer. */
#include "gen/sql.h"
#include "store/store_pg.h"

enum { MIGRATION_LOCK = 0x746b6c6b };

/* *ret: 0 where there is no store yet. */
static enum err_code look(struct store_pg_link *l, int64_t *ret_version, bool *ret_has_schema,
                          bool *ret_has_publication, struct err *e)
{
    static const char sql[] =
        "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = 'ticklake'),"
        " (SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        "  WHERE n.nspname = 'ticklake' AND c.relname = 'meta'),"
        " (SELECT count(*) FROM pg_publication WHERE pubname = 'ticklake'),"
        " (SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        "  WHERE n.nspname = 'ticklake' AND c.relname IN ('trade_rows', 'batches', 'series'))";
    PGresult *r = PQexecParams(l->conn, sql, 0, NULL, NULL, NULL, NULL, 1);
    enum err_code code = ERR_OK;
    if (PQresultStatus(r) != PGRES_TUPLES_OK) code = store_pg_error(l, r, "its catalog", e);
    int64_t meta = 0, tables = 0;
    if (code == ERR_OK) {
        *ret_has_schema = store_pg_get(r, 0, 0, 0) > 0;
        meta = store_pg_get(r, 0, 1, 0);
        *ret_has_publication = store_pg_get(r, 0, 2, 0) > 0;
        tables = store_pg_get(r, 0, 3, 0);
    }
    PQclear(r);
    TRY(code);
    *ret_version = 0;
    if (!meta && tables)
        return ERR(e, ERR_CORRUPT,
                   "%s: schema \"ticklake\" has our tables but not `meta`, which holds the format "
                   "version: somebody else altered it; nothing was overwritten",
                   l->address);
    return meta ? store_pg_ask(l, PG_version, NULL, 0, ret_version, e) : ERR_OK;
}

static enum err_code create(struct store_pg_link *l, bool has_schema, bool has_publication,
                            struct err *e)
{
    if (!has_schema) TRY(store_pg_do(l, "CREATE SCHEMA ticklake", e));
    TRY(store_pg_do(l, sql_postgres_store_schema, e));
    TRY(store_pg_do(l, sql_postgres_store_views, e));
    if (!has_publication) TRY(store_pg_do(l, sql_postgres_store_publication, e));
    char meta[160];
    (void)snprintf(meta, sizeof meta,
                   "INSERT INTO ticklake.meta (id, version, removed_sequence) VALUES (1, %d, 0)",
                   STORE_VERSION);
    return store_pg_do(l, meta, e);
}

static enum err_code check_version(struct store_pg_link *l, int64_t version, struct err *e)
{
    if (version > STORE_VERSION)
        return ERR(e, ERR_VERSION,
                   "%s: schema \"ticklake\" has format version %lld, this program knows up to %d: "
                   "use a newer ticklake",
                   l->address, (long long)version, STORE_VERSION);
    /* Version 1 is the first: there is nothing older to migrate from. */
    if (version < 1)
        return ERR(e, ERR_CORRUPT, "%s: schema \"ticklake\" has no format version (%lld)",
                   l->address, (long long)version);
    return ERR_OK;
}

static enum err_code under_lock(struct store_pg_link *l, struct err *e)
{
    char lock[80];
    (void)snprintf(lock, sizeof lock, "SELECT pg_advisory_xact_lock(%d, 0)", MIGRATION_LOCK);
    TRY(store_pg_do(l, "BEGIN", e));
    TRY(store_pg_do(l, lock, e));
    int64_t version;
    bool schema, publication;
    TRY(look(l, &version, &schema, &publication, e)); /* another process may have been faster */
    if (version)
        TRY(check_version(l, version, e));
    else
        TRY(create(l, schema, publication, e));
    return store_pg_do(l, "COMMIT", e);
}

enum err_code store_pg_migrate(struct store_pg_link *l, bool read_only, struct err *e)
{
    int64_t version;
    bool schema, publication;
    TRY(look(l, &version, &schema, &publication, e));
    if (version) return check_version(l, version, e);
    if (read_only)
        return ERR(e, ERR_NOT_FOUND, "%s: no store yet (schema \"ticklake\"): run or replay first",
                   l->address);
    enum err_code code = under_lock(l, e);
    if (code != ERR_OK) store_pg_rollback(l);
    return code == ERR_OK ? ERR_OK : err_prefix(e, "making schema \"ticklake\": ");
}
