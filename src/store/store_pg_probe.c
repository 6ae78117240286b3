/* What `validate` asks of the server before anything runs. */
#include "store/store_pg.h"

enum { LEAST_SERVER = 140000 }; /* binary values from pgoutput */

struct server {
    int64_t version, schema, owns, may_create, may_temp, publication, replication, in_recovery;
    char wal_level[32], role[128], database[128];
};

static enum err_code ask(struct store_pg_link *l, struct server *ret, struct err *e)
{
    static const char sql[] =
        "SELECT current_setting('server_version_num')::int, current_setting('wal_level'),"
        " current_user::text, current_database()::text,"
        " (SELECT count(*) FROM pg_namespace WHERE nspname = 'ticklake'),"
        " (SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        "  WHERE n.nspname = 'ticklake' AND c.relname IN ('trade_rows', 'batches')"
        "  AND NOT pg_has_role(c.relowner, 'USAGE')) = 0"
        " AND (SELECT count(*) FROM pg_namespace AS n WHERE n.nspname = 'ticklake'"
        "  AND NOT has_schema_privilege(n.oid, 'CREATE, USAGE')) = 0,"
        " has_database_privilege(current_database(), 'CREATE'),"
        " has_database_privilege(current_database(), 'TEMPORARY'),"
        " (SELECT count(*) FROM pg_publication WHERE pubname = 'ticklake'),"
        " (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user),"
        " pg_is_in_recovery()";
    PGresult *r = PQexecParams(l->conn, sql, 0, NULL, NULL, NULL, NULL, 1);
    enum err_code code = ERR_OK;
    if (PQresultStatus(r) != PGRES_TUPLES_OK) code = store_pg_error(l, r, "its settings", e);
    if (code == ERR_OK) {
        bool fit = str_copy(ret->wal_level, sizeof ret->wal_level, store_pg_get_bytes(r, 0, 1)) &&
                   str_copy(ret->role, sizeof ret->role, store_pg_get_bytes(r, 0, 2)) &&
                   str_copy(ret->database, sizeof ret->database, store_pg_get_bytes(r, 0, 3));
        CHECK(fit); /* names have 63 bytes at most */
        int64_t *numbers[] = {&ret->schema,     &ret->owns,        &ret->may_create,
                              &ret->may_temp,   &ret->publication, &ret->replication,
                              &ret->in_recovery};
        ret->version = store_pg_get(r, 0, 0, 0);
        for (int i = 0; i < 7; i++) *numbers[i] = store_pg_get(r, 0, 4 + i, 0);
    }
    PQclear(r);
    return code;
}

/* A name as an identifier in SQL for a person to run. */
static void add_name(struct buf *to, const char *name)
{
    buf_add_byte(to, '"');
    for (const char *p = name; *p; p++) {
        if (*p == '"') buf_add_byte(to, '"');
        buf_add_byte(to, (uint8_t)*p);
    }
    buf_add_byte(to, '"');
}

static void tell_grants(const struct server *v, struct buf *to)
{
    if (!to) return;
    buf_add_cstr(to, "-- PostgreSQL: the least rights; run as a superuser in database ");
    add_name(to, v->database);
    buf_add_cstr(to, "\nGRANT CONNECT, CREATE, TEMPORARY ON DATABASE ");
    add_name(to, v->database);
    buf_add_cstr(to, " TO ");
    add_name(to, v->role);
    buf_add_cstr(to, "; -- makes and owns schema ticklake and its publication\nALTER ROLE ");
    add_name(to, v->role);
    buf_add_cstr(to, " REPLICATION; -- with a bus: who makes the slot, and who reads it\n");
    if (!str_is(str_of(v->wal_level), "logical"))
        buf_add_cstr(to, "ALTER SYSTEM SET wal_level = 'logical'; -- then restart the server\n");
}

static enum err_code judge(struct store_pg_link *l, const struct server *v, struct err *e)
{
    if (v->version < LEAST_SERVER)
        return ERR(e, ERR_CONFIG, "%s: server version %lld, at least %d is needed", l->address,
                   (long long)v->version, LEAST_SERVER);
    if (v->in_recovery)
        return ERR(e, ERR_CONFIG,
                   "%s: a standby, which takes no rows: point store.url at the "
                   "primary",
                   l->address);
    if (!v->may_create && (!v->schema || !v->publication))
        return ERR(
            e, ERR_REFUSED,
            "%s: role \"%s\" may not create schema and publication \"ticklake\": GRANT CREATE "
            "ON DATABASE \"%s\" TO \"%s\"",
            l->address, v->role, v->database, v->role);
    if (!v->may_temp)
        return ERR(e, ERR_REFUSED,
                   "%s: role \"%s\" may not make temporary tables: GRANT TEMPORARY ON DATABASE "
                   "\"%s\" TO \"%s\"",
                   l->address, v->role, v->database, v->role);
    if (!v->owns)
        return ERR(
            e, ERR_REFUSED,
            "%s: schema \"ticklake\" belongs to another role than \"%s\": make it a member of "
            "the owner, which alone can add daily partitions",
            l->address, v->role);
    if (!str_is(str_of(v->wal_level), "logical"))
        return ERR(e, ERR_CONFIG,
                   "%s: wal_level is %s, changes can only be read with logical: ALTER SYSTEM SET "
                   "wal_level = 'logical', then restart the server",
                   l->address, v->wal_level);
    return ERR_OK;
}

static enum err_code probe(struct store_pg_link *l, struct buf *grants, struct err *e)
{
    struct server v = {0};
    TRY(ask(l, &v, e));
    tell_grants(&v, grants);
    TRY(judge(l, &v, e));
    enum err_code code = store_pg_migrate(l, true, e);
    return code == ERR_NOT_FOUND ? ERR_OK : code; /* it is made at the first start */
}

enum err_code store_pg_probe(const struct store_options *o, struct buf *grants, struct err *e)
{
    struct store_pg_link l;
    TRY(store_pg_connect(&l, o->url, "ticklake validate", true, e));
    enum err_code code = probe(&l, grants, e);
    store_pg_disconnect(&l);
    return code;
}
