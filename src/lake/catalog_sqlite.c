#include "lake/lake_internal.h"

#include "gen/sql.h"

#include <stdlib.h>

/* WAL: a reader (PyIceberg, Spark's JDBC catalog) never blocks a commit and is never blocked, and a commit is one sync
 * instead of three; the mode is kept in the file, and sqlite-jdbc and Python's sqlite3 follow it by themselves.
 * FULL: every commit is synced, since with NORMAL a power cut may take back commits that were reported as done. */
static const char pragmas[] = "PRAGMA journal_mode=WAL;"
                              "PRAGMA synchronous=FULL;"
                              "PRAGMA wal_autocheckpoint=1000;";
enum { BUSY_TIMEOUT_MS = 10000, APPLICATION_ID = 0x746c616b /* "tlak" */ };

enum query {
    Q_BEGIN,
    Q_BEGIN_READ,
    Q_COMMIT,
    Q_ROLLBACK,
    Q_POINTER,
    Q_SWAP,
    Q_CREATE,
    Q_POSITION,
    Q_POSITIONS,
    Q_MOVE,
    Q_MOVE_NEW,
    Q_SERIES_FIND,
    Q_SERIES_ADD,
    Q_PROOF_ADD,
    Q_PROOFS,
    Q_STATE_PUT,
    Q_STATE_DROP,
    Q_STATES,
    Q_GARBAGE_ADD,
    Q_GARBAGE_RELEASE,
    Q_GARBAGE_READY,
    Q_GARBAGE_FORGET,
    Q_GARBAGE_IS,
    Q_MAX
};
_Static_assert((int)Q_MAX <= (int)LAKE_QUERIES, "room for every prepared query");

#define OUR_TABLE                                                                                  \
    " WHERE catalog_name='" LAKE_CATALOG "' AND table_namespace='" LAKE_NAMESPACE                  \
    "' AND table_name=?1"
static const char *const sql[Q_MAX] = {
    [Q_BEGIN] = "BEGIN IMMEDIATE",
    [Q_BEGIN_READ] = "BEGIN",
    [Q_COMMIT] = "COMMIT",
    [Q_ROLLBACK] = "ROLLBACK",
    [Q_POINTER] = "SELECT metadata_location FROM iceberg_tables" OUR_TABLE,
    /* The comparison is the database's, never ours: that is what makes two writers safe. */
    [Q_SWAP] =
        "UPDATE iceberg_tables SET metadata_location=?2, previous_metadata_location=?3" OUR_TABLE
        " AND metadata_location=?3 AND (iceberg_type='TABLE' OR iceberg_type IS NULL)",
    [Q_CREATE] = "INSERT OR IGNORE INTO iceberg_tables (catalog_name, table_namespace, table_name, "
                 "metadata_location, previous_metadata_location, iceberg_type) "
                 "VALUES ('" LAKE_CATALOG "', '" LAKE_NAMESPACE "', ?1, ?2, NULL, 'TABLE')",
    [Q_POSITION] = "SELECT position FROM ticklake_position WHERE name=?1",
    [Q_POSITIONS] = "SELECT name, position FROM ticklake_position "
                    "WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name",
    [Q_MOVE] = "UPDATE ticklake_position SET position=?1 WHERE name=?3 AND position=?2",
    [Q_MOVE_NEW] = "INSERT OR IGNORE INTO ticklake_position VALUES (?3, ?1)",
    [Q_SERIES_FIND] = "SELECT id FROM ticklake_proof_series WHERE venue=?1 AND exchange=?2 AND "
                      "symbol=?3 AND venue_symbol=?4",
    [Q_SERIES_ADD] = "INSERT INTO ticklake_proof_series (venue, exchange, symbol, venue_symbol) "
                     "VALUES (?1, ?2, ?3, ?4)",
    [Q_PROOF_ADD] = "INSERT INTO ticklake_proof VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE "
                    "SET count = count + excluded.count, sum = ticklake_sum(sum, excluded.sum)",
    [Q_PROOFS] =
        "SELECT s.venue, s.exchange, s.symbol, s.venue_symbol, p.stream, p.minute, p.count, "
        "p.sum FROM ticklake_proof p LEFT JOIN ticklake_proof_series s ON s.id = p.series",
    [Q_STATE_PUT] = "INSERT OR REPLACE INTO ticklake_state VALUES (?1, ?2)",
    [Q_STATE_DROP] = "DELETE FROM ticklake_state WHERE name=?1",
    [Q_STATES] = "SELECT name, bytes FROM ticklake_state WHERE substr(name, 1, length(?1)) = ?1",
    [Q_GARBAGE_ADD] = "INSERT OR REPLACE INTO ticklake_garbage VALUES (?1, ?2, ?3, ?4, ?5)",
    [Q_GARBAGE_RELEASE] = "UPDATE ticklake_garbage SET released_ns=?3 WHERE table_name=?1 AND "
                          "removed_at<=?2 AND released_ns IS NULL",
    [Q_GARBAGE_READY] = "SELECT table_name, location FROM ticklake_garbage "
                        "WHERE released_ns<=?1 LIMIT 1000",
    [Q_GARBAGE_FORGET] = "DELETE FROM ticklake_garbage WHERE location=?1",
    [Q_GARBAGE_IS] = "SELECT 1 FROM ticklake_garbage WHERE location=?1",
};

static enum err_code failed(struct lake *l, int rc, struct err *e)
{
    const char *text = l->db ? sqlite3_errmsg(l->db) : sqlite3_errstr(rc);
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR(e, ERR_TIMEOUT, "%s: another program holds its lock for more than %d s: %s",
                   l->catalog_path, BUSY_TIMEOUT_MS / 1000, text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
    case SQLITE_ERROR: /* our statements are fixed, so the schema or the header is not ours */
        return ERR(e, ERR_CORRUPT,
                   "%s: %s; nothing was overwritten: set the file aside and restore a backup",
                   l->catalog_path, text);
    default: return ERR(e, ERR_DISK, "%s: %s", l->catalog_path, text);
    }
}

static enum err_code prepare(struct lake *l, enum query q, sqlite3_stmt **ret, struct err *e)
{
    *ret = NULL;
    if (!l->queries[q]) {
        int rc =
            sqlite3_prepare_v3(l->db, sql[q], -1, SQLITE_PREPARE_PERSISTENT, &l->queries[q], NULL);
        if (rc != SQLITE_OK) return failed(l, rc, e);
    }
    sqlite3_reset(l->queries[q]);
    *ret = l->queries[q];
    return ERR_OK;
}

/* Runs a statement that gives no rows. */
static enum err_code finish(struct lake *l, sqlite3_stmt *s, struct err *e)
{
    int rc = sqlite3_step(s);
    enum err_code code = rc == SQLITE_DONE ? ERR_OK : failed(l, rc, e);
    sqlite3_reset(s);
    return code;
}

static void bind_str(sqlite3_stmt *s, int i, struct str v)
{
    sqlite3_bind_text(s, i, v.n ? v.p : "", (int)v.n, SQLITE_TRANSIENT);
}

static struct str column_str(sqlite3_stmt *s, int i)
{
    const void *p = sqlite3_column_blob(s, i);
    return (struct str){p, p ? (size_t)sqlite3_column_bytes(s, i) : 0};
}

static u128 sum_of(const uint8_t bytes[16])
{
    u128 v = 0;
    for (int i = 15; i >= 0; i--) v = v << 8 | bytes[i];
    return v;
}

static void sum_bytes(u128 v, uint8_t bytes[16])
{
    for (int i = 0; i < 16; i++) bytes[i] = (uint8_t)(v >> (8 * i));
}

/* SQLite's integers end at 64 bits, and an overflow there becomes a float: the sum is added here. */
static void sql_sum(sqlite3_context *ctx, int count, sqlite3_value **values)
{
    uint8_t out[16];
    u128 sum = 0;
    for (int i = 0; i < count; i++) {
        if (sqlite3_value_bytes(values[i]) != 16) {
            sqlite3_result_error(ctx, "a proof sum is not of 16 bytes", -1);
            return;
        }
        sum += sum_of(sqlite3_value_blob(values[i]));
    }
    sum_bytes(sum, out);
    sqlite3_result_blob(ctx, out, sizeof out, SQLITE_TRANSIENT);
}

static enum err_code exec(struct lake *l, const char *text, struct err *e)
{
    int rc = sqlite3_exec(l->db, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? ERR_OK : failed(l, rc, e);
}

static enum err_code pragma_number(struct lake *l, const char *text, int64_t *ret, struct err *e)
{
    sqlite3_stmt *s;
    int rc = sqlite3_prepare_v2(l->db, text, -1, &s, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(s);
    *ret = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : failed(l, rc, e);
}

static enum err_code check_version(struct lake *l, struct err *e)
{
    int64_t id, version;
    TRY(pragma_number(l, "PRAGMA application_id", &id, e));
    TRY(pragma_number(l, "PRAGMA user_version", &version, e));
    if (id != 0 && id != APPLICATION_ID)
        return ERR(e, ERR_CORRUPT, "%s: a database of another program (application id %lld)",
                   l->catalog_path, (long long)id);
    if (version > LAKE_VERSION)
        return ERR(e, ERR_VERSION, "%s: format version %lld; this program knows up to %d",
                   l->catalog_path, (long long)version, LAKE_VERSION);
    if (l->o.read_only && version == 0)
        return ERR(e, ERR_NOT_FOUND, "%s: holds no lake yet", l->catalog_path);
    return ERR_OK;
}

static void close_catalog(struct lake *l)
{
    for (int i = 0; i < LAKE_QUERIES; i++) sqlite3_finalize(l->queries[i]);
    memset(l->queries, 0, sizeof l->queries);
    sqlite3_close(l->db);
    l->db = NULL;
}

static enum err_code begin(struct lake *l, struct err *e)
{
    sqlite3_stmt *s;
    TRY(prepare(l, Q_BEGIN, &s, e));
    return finish(l, s, e);
}

/* The first reading of a transaction in WAL mode decides what all of it sees. */
static enum err_code begin_read(struct lake *l, struct err *e)
{
    sqlite3_stmt *s;
    TRY(prepare(l, Q_BEGIN_READ, &s, e));
    return finish(l, s, e);
}

static enum err_code commit(struct lake *l, struct err *e)
{
    sqlite3_stmt *s;
    TRY(prepare(l, Q_COMMIT, &s, e));
    enum err_code code = finish(l, s, e);
    /* Refused for want of a lock or of room, nothing was written; after any other failure nobody knows. */
    l->outcome_unknown = code == ERR_DISK && (sqlite3_errcode(l->db) & 0xff) != SQLITE_FULL;
    return code;
}

static void rollback(struct lake *l)
{
    sqlite3_stmt *s;
    map_clear(&l->series_ids);                 /* some may have been given in this transaction */
    if (sqlite3_get_autocommit(l->db)) return; /* SQLite rolled back by itself */
    if (prepare(l, Q_ROLLBACK, &s, NULL) == ERR_OK && finish(l, s, NULL) == ERR_OK) return;
}

static enum err_code pointer(struct lake *l, const char *table, char **ret, struct err *e)
{
    sqlite3_stmt *s;
    TRY(prepare(l, Q_POINTER, &s, e));
    bind_str(s, 1, str_of(table));
    int rc = sqlite3_step(s);
    *ret = NULL;
    if (rc == SQLITE_ROW && sqlite3_column_type(s, 0) != SQLITE_NULL) {
        struct str v = column_str(s, 0);
        *ret = strndup(v.n ? v.p : "", v.n);
        CHECK(*ret != NULL);
    }
    enum err_code code = rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : failed(l, rc, e);
    sqlite3_reset(s);
    return code;
}

static enum err_code swap(struct lake *l, const char *table, const char *from, const char *to,
                          bool *ret_won, struct err *e)
{
    sqlite3_stmt *s;
    TRY(prepare(l, from ? Q_SWAP : Q_CREATE, &s, e));
    bind_str(s, 1, str_of(table));
    bind_str(s, 2, str_of(to));
    if (from) bind_str(s, 3, str_of(from));
    TRY(finish(l, s, e));
    *ret_won = sqlite3_changes(l->db) == 1;
    return ERR_OK;
}

static enum err_code position(struct lake *l, const char *name, int64_t *ret, struct err *e)
{
    sqlite3_stmt *s;
    TRY(prepare(l, Q_POSITION, &s, e));
    bind_str(s, 1, str_of(name));
    int rc = sqlite3_step(s);
    *ret = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    enum err_code code = rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : failed(l, rc, e);
    if (rc == SQLITE_DONE && strcmp(name, LAKE_POSITION) == 0)
        code = ERR(e, ERR_CORRUPT, "%s: ticklake_position has no row '" LAKE_POSITION "'",
                   l->catalog_path);
    sqlite3_reset(s);
    return code;
}

static enum err_code each_position(struct lake *l, const char *prefix, lake_position_each each,
                                   void *ctx, struct err *e)
{
    sqlite3_stmt *s;
    TRY(prepare(l, Q_POSITIONS, &s, e));
    bind_str(s, 1, str_of(prefix));
    enum err_code code = ERR_OK;
    int rc = SQLITE_DONE;
    while (code == ERR_OK && (rc = sqlite3_step(s)) == SQLITE_ROW)
        code = each(ctx, column_str(s, 0), sqlite3_column_int64(s, 1), e);
    if (code == ERR_OK && rc != SQLITE_DONE) code = failed(l, rc, e);
    sqlite3_reset(s);
    return code;
}

static enum err_code move_one(struct lake *l, enum query q, const struct lake_move *m,
                              bool *ret_moved, struct err *e)
{
    sqlite3_stmt *s;
    TRY(prepare(l, q, &s, e));
    sqlite3_bind_int64(s, 1, m->to);
    if (q == Q_MOVE) sqlite3_bind_int64(s, 2, m->from);
    bind_str(s, 3, str_of(m->name));
    TRY(finish(l, s, e));
    *ret_moved = sqlite3_changes(l->db) == 1;
    return ERR_OK;
}

static enum err_code move(struct lake *l, const struct lake_move *moves, size_t count,
                          size_t *ret_moved, struct err *e)
{
    for (*ret_moved = 0; *ret_moved < count; ++*ret_moved) {
        const struct lake_move *m = &moves[*ret_moved];
        bool moved;
        TRY(move_one(l, Q_MOVE, m, &moved, e));
        if (!moved && m->from == 0) TRY(move_one(l, Q_MOVE_NEW, m, &moved, e));
        if (!moved) return ERR_OK;
    }
    return ERR_OK;
}

static enum err_code put_states(struct lake *l, const struct lake_state_put *items, size_t count,
                                struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        sqlite3_stmt *s;
        struct str bytes = items[i].bytes;
        TRY(prepare(l, bytes.n ? Q_STATE_PUT : Q_STATE_DROP, &s, e));
        bind_str(s, 1, str_of(items[i].name));
        if (bytes.n) sqlite3_bind_blob64(s, 2, bytes.p, bytes.n, SQLITE_TRANSIENT);
        TRY(finish(l, s, e));
    }
    return ERR_OK;
}

static enum err_code each_state(struct lake *l, const char *prefix, lake_state_each each, void *ctx,
                                struct err *e)
{
    sqlite3_stmt *s;
    TRY(prepare(l, Q_STATES, &s, e));
    bind_str(s, 1, str_of(prefix));
    enum err_code code = ERR_OK;
    int rc = SQLITE_DONE;
    while (code == ERR_OK && (rc = sqlite3_step(s)) == SQLITE_ROW)
        code = each(ctx, column_str(s, 0), column_str(s, 1), e);
    if (code == ERR_OK && rc != SQLITE_DONE) code = failed(l, rc, e);
    sqlite3_reset(s);
    return code;
}

/* The catalog numbers series by itself: the store's numbers mean nothing without the store. */
static enum err_code series_id(struct lake *l, uint32_t series, int64_t *ret, struct err *e)
{
    struct str key = {(const char *)&series, sizeof series};
    uint32_t known = map_get(&l->series_ids, key);
    if (known != MAP_NONE) {
        *ret = known;
        return ERR_OK;
    }
    const struct series *names = series_get(l->o.series, series);
    sqlite3_stmt *s;
    for (int add = 0; add < 2; add++) {
        TRY(prepare(l, add ? Q_SERIES_ADD : Q_SERIES_FIND, &s, e));
        bind_str(s, 1, names->venue);
        bind_str(s, 2, names->exchange);
        bind_str(s, 3, names->symbol);
        bind_str(s, 4, names->venue_symbol);
        int rc = sqlite3_step(s);
        bool found = rc == SQLITE_ROW || (add && rc == SQLITE_DONE);
        if (found) *ret = add ? sqlite3_last_insert_rowid(l->db) : sqlite3_column_int64(s, 0);
        enum err_code code = found || rc == SQLITE_DONE ? ERR_OK : failed(l, rc, e);
        sqlite3_reset(s);
        if (found) map_put(&l->series_ids, key, (uint32_t)*ret);
        if (code != ERR_OK || found) return code;
    }
    return ERR_OK;
}

static enum err_code add_proofs(struct lake *l, const struct proof_set *p, struct err *e)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct proof *item = &p->items[i];
        int64_t id = 0;
        TRY(series_id(l, item->series, &id, e));
        sqlite3_stmt *s;
        TRY(prepare(l, Q_PROOF_ADD, &s, e));
        uint8_t sum[16];
        sum_bytes(item->sum, sum);
        sqlite3_bind_int64(s, 1, id);
        sqlite3_bind_int(s, 2, item->stream);
        sqlite3_bind_int64(s, 3, item->minute);
        sqlite3_bind_int64(s, 4, item->count);
        sqlite3_bind_blob(s, 5, sum, sizeof sum, SQLITE_TRANSIENT);
        TRY(finish(l, s, e));
    }
    return ERR_OK;
}

static enum err_code proof_row(struct lake *l, sqlite3_stmt *s, struct proof_set *ret,
                               struct err *e)
{
    struct str sum = column_str(s, 7);
    int64_t stream = sqlite3_column_int64(s, 4);
    uint32_t series = SERIES_NONE;
    if (sqlite3_column_type(s, 0) != SQLITE_NULL)
        series = series_intern(l->o.series, column_str(s, 0), column_str(s, 1), column_str(s, 2),
                               column_str(s, 3));
    if (series == SERIES_NONE || sum.n != 16 || stream < 0 || stream >= STREAM_MAX)
        return ERR(e, ERR_CORRUPT, "%s: ticklake_proof: a row of minute %lld is damaged",
                   l->catalog_path, (long long)sqlite3_column_int64(s, 5));
    proof_set_add(ret, series, (uint8_t)stream, sqlite3_column_int64(s, 5),
                  sqlite3_column_int64(s, 6), sum_of((const uint8_t *)sum.p));
    return ERR_OK;
}

static enum err_code proofs(struct lake *l, struct proof_set *ret, struct err *e)
{
    sqlite3_stmt *s;
    TRY(prepare(l, Q_PROOFS, &s, e));
    enum err_code code = ERR_OK;
    int rc = SQLITE_DONE;
    while (code == ERR_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) code = proof_row(l, s, ret, e);
    if (code == ERR_OK && rc != SQLITE_DONE) code = failed(l, rc, e);
    sqlite3_reset(s);
    return code;
}

static enum err_code add_garbage_one(struct lake *l, const char *table,
                                     const struct lake_garbage *g, int64_t now_ns, struct err *e)
{
    sqlite3_stmt *s;
    TRY(prepare(l, Q_GARBAGE_ADD, &s, e));
    bind_str(s, 1, str_of(g->location));
    bind_str(s, 2, str_of(table));
    sqlite3_bind_int64(s, 3, g->sequence_number);
    sqlite3_bind_int64(s, 4, now_ns);
    if (g->sequence_number == 0)
        sqlite3_bind_int64(s, 5, now_ns);
    else
        sqlite3_bind_null(s, 5);
    return finish(l, s, e);
}

static enum err_code add_garbage(struct lake *l, const char *table,
                                 const struct lake_garbage *items, size_t count, int64_t now_ns,
                                 struct err *e)
{
    for (size_t i = 0; i < count; i++) TRY(add_garbage_one(l, table, &items[i], now_ns, e));
    return ERR_OK;
}

static enum err_code release(struct lake *l, const char *table, int64_t sequence_number,
                             int64_t now_ns, struct err *e)
{
    sqlite3_stmt *s;
    TRY(prepare(l, Q_GARBAGE_RELEASE, &s, e));
    bind_str(s, 1, str_of(table));
    sqlite3_bind_int64(s, 2, sequence_number);
    sqlite3_bind_int64(s, 3, now_ns);
    return finish(l, s, e);
}

static enum err_code each_garbage(struct lake *l, int64_t released_before_ns,
                                  lake_garbage_each each, void *ctx, struct err *e)
{
    sqlite3_stmt *s;
    TRY(prepare(l, Q_GARBAGE_READY, &s, e));
    sqlite3_bind_int64(s, 1, released_before_ns);
    enum err_code code = ERR_OK;
    int rc = SQLITE_DONE;
    while (code == ERR_OK && (rc = sqlite3_step(s)) == SQLITE_ROW)
        code = each(ctx, column_str(s, 0), column_str(s, 1), e);
    if (code == ERR_OK && rc != SQLITE_DONE) code = failed(l, rc, e);
    sqlite3_reset(s);
    return code;
}

static enum err_code forget(struct lake *l, struct str location, struct err *e)
{
    sqlite3_stmt *s;
    TRY(prepare(l, Q_GARBAGE_FORGET, &s, e));
    bind_str(s, 1, location);
    return finish(l, s, e);
}

static enum err_code is_garbage(struct lake *l, const char *location, bool *ret, struct err *e)
{
    sqlite3_stmt *s;
    TRY(prepare(l, Q_GARBAGE_IS, &s, e));
    bind_str(s, 1, str_of(location));
    int rc = sqlite3_step(s);
    *ret = rc == SQLITE_ROW;
    sqlite3_reset(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_OK : failed(l, rc, e);
}

static enum err_code open_catalog(struct lake *l, struct err *e)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    if (!l->o.read_only) flags |= SQLITE_OPEN_CREATE;
    if (l->o.read_only && !file_exists(l->catalog_path))
        return ERR(e, ERR_NOT_FOUND, "%s: no such file; no lake was written here yet",
                   l->catalog_path);
    int rc = sqlite3_open_v2(l->catalog_path, &l->db, flags, NULL);
    if (rc != SQLITE_OK) return failed(l, rc, e);
    sqlite3_extended_result_codes(l->db, 1);
    sqlite3_busy_timeout(l->db, BUSY_TIMEOUT_MS);
    TRY(check_version(l, e));
    if (l->o.read_only) return exec(l, "PRAGMA query_only=1", e);
    TRY(exec(l, pragmas, e));
    rc = sqlite3_create_function(l->db, "ticklake_sum", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL,
                                 sql_sum, NULL, NULL);
    if (rc != SQLITE_OK) return failed(l, rc, e);
    TRY(begin(l, e));
    enum err_code code = exec(l, sql_sqlite_catalog, e);
    if (code == ERR_OK)
        code = exec(l, "PRAGMA application_id=1953259883; PRAGMA user_version=1", e);
    if (code == ERR_OK) return commit(l, e);
    rollback(l);
    return code;
}
_Static_assert(APPLICATION_ID == 1953259883 && LAKE_VERSION == 1, "as in the pragma above");

const struct lake_catalog lake_catalog_sqlite = {
    .open = open_catalog,
    .close = close_catalog,
    .begin = begin,
    .begin_read = begin_read,
    .commit = commit,
    .rollback = rollback,
    .pointer = pointer,
    .swap = swap,
    .position = position,
    .each_position = each_position,
    .move = move,
    .add_proofs = add_proofs,
    .proofs = proofs,
    .put_states = put_states,
    .each_state = each_state,
    .add_garbage = add_garbage,
    .release = release,
    .each_garbage = each_garbage,
    .forget = forget,
    .is_garbage = is_garbage,
};
