#include "store/changes_internal.h"

#include <inttypes.h>
#include <stdlib.h>

enum { ASK_MS = 30000, ASK_BYTES = 8192 };

/* Names go into statements of the replication protocol, which has no parameters. */
enum err_code changes_check_names(const struct changes_names *n, struct err *e)
{
    size_t len = strlen(n->slot);
    if (len == 0 || len > 63 || strspn(n->slot, "abcdefghijklmnopqrstuvwxyz0123456789_") != len)
        return ERR(e, ERR_CONFIG, "store.slot \"%s\": a slot's name has 1 to 63 of a-z, 0-9 and _",
                   n->slot);
    len = strlen(n->publication);
    if (len == 0 || len > 63)
        return ERR(e, ERR_CONFIG, "store.publication \"%s\": a name of 1 to 63 bytes",
                   n->publication);
    return ERR_OK;
}

static enum err_code ask(struct changes_link *l, struct buf *sql, PGresult **ret, struct err *e)
{
    CHECK(!sql->failed);
    enum err_code code = changes_link_run(l, buf_cstr(sql), ASK_MS, ret, e);
    buf_free(sql);
    return code;
}

static uint64_t number(const PGresult *r, int row, int column)
{
    return strtoull(PQgetvalue(r, row, column), NULL, 10);
}

static bool truth(const PGresult *r, int row, int column)
{
    return PQgetvalue(r, row, column)[0] == 't';
}

/* ---- the slot */

struct slot {
    struct changes_slot s;
    bool logical, pgoutput, lost, here; /* here: of this database */
    char database[64], plugin[64];
};

/* Differences to '0/0' give the positions as numbers. A standby has no write position. */
static const char slot_columns[] =
    "SELECT s.slot_name IS NOT NULL, coalesce(s.active, false), coalesce(s.active_pid, 0),"
    " coalesce(s.wal_status, ''), s.safe_wal_size, coalesce(s.confirmed_flush_lsn - '0/0', 0),"
    " coalesce(s.restart_lsn - '0/0', 0), n.lsn - '0/0', coalesce(s.plugin, ''),"
    " coalesce(s.database, ''), s.database = current_database(),"
    " (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user),"
    " current_user "
    "FROM (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
    " ELSE pg_current_wal_insert_lsn() END AS lsn) n"
    " LEFT JOIN pg_replication_slots s ON s.slot_name = ";

static enum err_code read_slot(struct changes_link *l, const char *slot, struct slot *ret,
                               struct err *e)
{
    struct buf sql;
    buf_init(&sql, ASK_BYTES);
    buf_add_cstr(&sql, slot_columns);
    changes_quote(&sql, slot, '\'');
    PGresult *r;
    TRY(ask(l, &sql, &r, e));
    *ret = (struct slot){.s = {.exists = truth(r, 0, 0),
                               .active = truth(r, 0, 1),
                               .active_pid = (int32_t)number(r, 0, 2),
                               .confirmed_lsn = number(r, 0, 5),
                               .restart_lsn = number(r, 0, 6),
                               .server_lsn = number(r, 0, 7)},
                         .here = truth(r, 0, 10)};
    (void)str_copy(ret->s.wal_status, sizeof ret->s.wal_status, str_of(PQgetvalue(r, 0, 3)));
    (void)str_copy(ret->plugin, sizeof ret->plugin, str_of(PQgetvalue(r, 0, 8)));
    (void)str_copy(ret->database, sizeof ret->database, str_of(PQgetvalue(r, 0, 9)));
    ret->s.may_replicate = truth(r, 0, 11);
    (void)str_copy(ret->s.role, sizeof ret->s.role, str_of(PQgetvalue(r, 0, 12)));
    bool limit = !PQgetisnull(r, 0, 4);
    ret->s.safe_bytes = limit ? strtoll(PQgetvalue(r, 0, 4), NULL, 10) : -1;
    /* Below zero the slot is past its limit and lives until the next checkpoint; -1 is "no limit". */
    if (limit && ret->s.safe_bytes < 0) ret->s.safe_bytes = 0;
    uint64_t held = ret->s.restart_lsn ? ret->s.restart_lsn : ret->s.confirmed_lsn;
    ret->s.behind_bytes =
        ret->s.exists && ret->s.server_lsn > held ? (int64_t)(ret->s.server_lsn - held) : 0;
    ret->lost = strcmp(ret->s.wal_status, "lost") == 0;
    PQclear(r);
    return ERR_OK;
}

static enum err_code hole(struct changes_link *l, const struct changes_names *n, struct err *e,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The cure is the same for all: start anew, and let the proof say what the bus lacks. */
static enum err_code hole(struct changes_link *l, const struct changes_names *n, struct err *e,
                          const char *format, ...)
{
    char why[300];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(why, sizeof why, format, ap);
    va_end(ap);
    return ERR(
        e, ERR_HOLE,
        "slot %s at %s: %s. To begin anew: SELECT pg_drop_replication_slot('%s') if it is "
        "there, set another bus.name and start, and `ticklake verify` tells what the bus lacks",
        n->slot, l->address, why, n->slot);
}

static enum err_code judge_slot(struct changes_link *l, const struct changes_names *n,
                                const struct changes_position *from, const struct slot *s,
                                struct err *e)
{
    if (!s->s.exists)
        return hole(l, n, e, "it is gone, but everything up to " CHANGES_LSN " was published",
                    CHANGES_LSN_ARG(from->lsn));
    if (strcmp(s->plugin, "pgoutput") != 0 || !s->here)
        return ERR(e, ERR_CONFIG,
                   "slot %s at %s: it belongs to plugin \"%s\" in database \"%s\", not to pgoutput "
                   "here; set store.slot to another name",
                   n->slot, l->address, s->plugin, s->database);
    if (s->lost)
        return hole(l, n, e,
                    "the server gave it up (wal_status lost): more than max_slot_wal_keep_size of "
                    "log was waiting for it");
    if (from->lsn != 0 && s->s.confirmed_lsn > from->lsn)
        return hole(l, n, e,
                    "it was confirmed up to " CHANGES_LSN ", past " CHANGES_LSN
                    " where this publisher stands: somebody else read from it",
                    CHANGES_LSN_ARG(s->s.confirmed_lsn), CHANGES_LSN_ARG(from->lsn));
    if (from->lsn > s->s.server_lsn)
        return hole(l, n, e,
                    "the server's log ends at " CHANGES_LSN ", before " CHANGES_LSN
                    " which was published: it was set back to an older state",
                    CHANGES_LSN_ARG(s->s.server_lsn), CHANGES_LSN_ARG(from->lsn));
    if (s->s.active)
        return ERR(e, ERR_IN_USE,
                   "slot %s at %s: in use by the process %d of the server; is another publisher "
                   "running? (SELECT * FROM pg_stat_replication WHERE pid = %d)",
                   n->slot, l->address, s->s.active_pid, s->s.active_pid);
    return ERR_OK;
}

/* ---- the publication */

/* The publication is made with the tables: before the first writer came there is neither, and that is waited for. */
static enum err_code publication_absent(struct changes_link *l, const struct changes_names *n,
                                        struct err *e)
{
    struct buf sql;
    PGresult *r;
    buf_init(&sql, ASK_BYTES);
    buf_add_cstr(&sql, "SELECT to_regclass('ticklake.batches') IS NULL");
    TRY(ask(l, &sql, &r, e));
    bool empty = truth(r, 0, 0);
    PQclear(r);
    return ERR(e, empty ? ERR_UNAVAILABLE : ERR_CONFIG,
               "publication %s at %s is not there; it is made with the store's tables (start a "
               "writer first), or store.publication names another. It has to exist before the "
               "slot is made",
               n->publication, l->address);
}

static enum err_code check_publication(struct changes_link *l, const struct changes_names *n,
                                       struct err *e)
{
    struct buf sql;
    buf_init(&sql, ASK_BYTES);
    buf_add_cstr(&sql, "SELECT p.pubinsert AND p.pubviaroot, (SELECT string_agg(t.name, ', ') FROM "
                       "(VALUES ");
    for (enum changes_table t = 0; t < CHANGES_TABLES; t++) {
        if (t) buf_add_byte(&sql, ',');
        buf_addf(&sql, "('%s')", changes_table_name(t));
    }
    buf_add_cstr(&sql, ") t(name) WHERE NOT EXISTS (SELECT FROM pg_publication_tables q WHERE "
                       "q.pubname = p.pubname AND q.schemaname = 'ticklake' AND q.tablename = "
                       "t.name)) FROM pg_publication p WHERE p.pubname = ");
    changes_quote(&sql, n->publication, '\'');
    PGresult *r;
    TRY(ask(l, &sql, &r, e));
    enum err_code code = ERR_OK;
    if (PQntuples(r) == 0)
        code = publication_absent(l, n, e);
    else if (!truth(r, 0, 0))
        code = ERR(e, ERR_CONFIG,
                   "publication %s at %s must publish inserts by the root of the partitions: ALTER "
                   "PUBLICATION %s SET (publish = 'insert', publish_via_partition_root = true)",
                   n->publication, l->address, n->publication);
    else if (!PQgetisnull(r, 0, 1))
        code = ERR(e, ERR_CONFIG,
                   "publication %s at %s lacks tables of schema ticklake: %s; add them by ALTER "
                   "PUBLICATION %s ADD TABLE",
                   n->publication, l->address, PQgetvalue(r, 0, 1), n->publication);
    PQclear(r);
    return code;
}

/* ---- all of it */

static enum err_code check_system(struct changes_link *l, const struct changes_names *n,
                                  const struct changes_position *from, uint64_t *ret, struct err *e)
{
    PGresult *r;
    TRY(changes_link_run(l, "IDENTIFY_SYSTEM", ASK_MS, &r, e));
    *ret = PQntuples(r) == 1 ? number(r, 0, 0) : 0;
    PQclear(r);
    if (from->system != 0 && *ret != from->system)
        return hole(l, n, e,
                    "this is the cluster %" PRIu64 ", but what was published came from %" PRIu64
                    "; point store.url to that one",
                    *ret, from->system);
    return ERR_OK;
}

static enum err_code make_slot(struct changes_link *l, const struct changes_names *n,
                               struct changes_checked *ret, struct err *e)
{
    struct buf sql;
    struct slot now;
    struct err why = {0};
    buf_init(&sql, ASK_BYTES);
    buf_add_cstr(&sql, "SELECT pg_create_logical_replication_slot(");
    changes_quote(&sql, n->slot, '\'');
    buf_add_cstr(&sql, ", 'pgoutput'), EXISTS (SELECT FROM ticklake.batches)");
    PGresult *r;
    enum err_code code = ask(l, &sql, &r, &why);
    /* A writer and the publisher that start at the same moment both make it. */
    if (code == ERR_CONFIG && read_slot(l, n->slot, &now, NULL) == ERR_OK && now.s.exists)
        return ERR_OK;
    if (code == ERR_CONFIG)
        (void)err_prefix(&why,
                         "making slot %s (wal_level must be logical, with max_replication_slots "
                         "left): ",
                         n->slot);
    if (code != ERR_OK) {
        if (e) *e = why;
        return code;
    }
    ret->created = true;
    ret->published_before = truth(r, 0, 1);
    PQclear(r);
    return ERR_OK;
}

enum err_code changes_check(struct changes_link *l, const struct changes_names *n,
                            const struct changes_position *from, bool create,
                            struct changes_checked *ret, struct err *e)
{
    *ret = (struct changes_checked){0};
    TRY(check_system(l, n, from, &ret->system, e));
    TRY(check_publication(l, n, e));
    struct slot s;
    TRY(read_slot(l, n->slot, &s, e));
    if (!s.s.exists && create) {
        TRY(make_slot(l, n, ret, e));
        TRY(read_slot(l, n->slot, &s, e));
    }
    TRY(judge_slot(l, n, from, &s, e));
    ret->confirmed_lsn = s.s.confirmed_lsn;
    ret->server_lsn = s.s.server_lsn;
    uint64_t begin = from->lsn > s.s.confirmed_lsn ? from->lsn : s.s.confirmed_lsn;
    ret->backlog = s.s.server_lsn > begin ? s.s.server_lsn - begin : 0;
    return ERR_OK;
}

/* Later than the slot's position is good enough: series are only added, and what the stream repeats must be the same. */
enum err_code changes_load_series(struct changes_link *l, struct series_table *series,
                                  struct err *e)
{
    PGresult *r;
    TRY(changes_link_run(l,
                         "SELECT id, venue, exchange, symbol, venue_symbol FROM ticklake.series "
                         "ORDER BY id",
                         ASK_MS, &r, e));
    enum err_code code = ERR_OK;
    for (int i = 0; i < PQntuples(r) && code == ERR_OK; i++) {
        struct str names[4];
        for (int k = 0; k < 4; k++)
            names[k] = (struct str){PQgetvalue(r, i, k + 1), (size_t)PQgetlength(r, i, k + 1)};
        code = changes_series_add(series, strtoll(PQgetvalue(r, i, 0), NULL, 10), names, e);
    }
    PQclear(r);
    if (code != ERR_OK) (void)err_prefix(e, "%s: ", l->address);
    return code;
}

/* ---- for others */

enum err_code changes_slot(const char *url, const char *slot, struct changes_slot *ret,
                           struct err *e)
{
    struct changes_names n = {url, slot, "ticklake"};
    TRY(changes_check_names(&n, e));
    struct changes_link l;
    TRY(changes_link_open(&l, url, CHANGES_SQL, -1, e));
    struct slot s = {0};
    PGresult *r;
    enum err_code code = read_slot(&l, slot, &s, e);
    if (code == ERR_OK)
        code = changes_link_run(&l, "SELECT system_identifier FROM pg_control_system()", ASK_MS, &r,
                                e);
    if (code == ERR_OK) {
        s.s.system = number(r, 0, 0);
        PQclear(r);
    }
    changes_link_close(&l);
    *ret = s.s;
    return code;
}

enum err_code changes_make_slot(const char *url, const char *slot, const char *publication,
                                bool *ret_made, struct err *e)
{
    struct changes_names n = {url, slot, publication};
    *ret_made = false;
    TRY(changes_check_names(&n, e));
    struct changes_link l;
    TRY(changes_link_open(&l, url, CHANGES_SQL, -1, e));
    struct slot s = {0};
    struct changes_checked checked = {0};
    enum err_code code = check_publication(&l, &n, e);
    if (code == ERR_OK) code = read_slot(&l, slot, &s, e);
    if (code == ERR_OK && !s.s.exists) {
        code = make_slot(&l, &n, &checked, e);
        *ret_made = code == ERR_OK && checked.created;
    }
    changes_link_close(&l);
    return code;
}

enum err_code changes_drop_slot(const char *url, const char *slot, struct err *e)
{
    struct changes_names n = {url, slot, "ticklake"};
    TRY(changes_check_names(&n, e));
    struct changes_link l;
    TRY(changes_link_open(&l, url, CHANGES_SQL, -1, e));
    struct buf sql;
    buf_init(&sql, ASK_BYTES);
    buf_add_cstr(&sql, "SELECT pg_drop_replication_slot(");
    changes_quote(&sql, slot, '\'');
    buf_add_byte(&sql, ')');
    PGresult *r = NULL;
    enum err_code code = ask(&l, &sql, &r, e);
    PQclear(r);
    changes_link_close(&l);
    return code;
}
