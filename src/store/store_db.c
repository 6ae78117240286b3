#include "store/store_db.h"

#include "gen/sql.h"
#include "store/store.h"

#include <stdio.h>

/* "tklk" in the file's header: tells our store from any other SQLite database before it is touched. */
enum { APPLICATION_ID = 0x746b6c6b };
/* A reader recovering the log of a killed writer holds the lock for moments; a second writer for ever. */
enum { BUSY_TIMEOUT_MS = 5000 };

/* synchronous FULL costs nothing that could be measured against NORMAL here, and rarer checkpoints than each 1000 pages
 * raised the longest commit from 34 to 600 ms. The log is cut back after a peak. 16 MiB of cache: more did not help. */
static const char settings[] = "PRAGMA journal_mode = WAL;"
                               "PRAGMA synchronous = FULL;"
                               "PRAGMA wal_autocheckpoint = 1000;"
                               "PRAGMA journal_size_limit = 67108864;"
                               "PRAGMA cache_size = -16384;";

static enum err_code code_of(int sqlite_code)
{
    switch (sqlite_code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM: return ERR_DISK;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_SCHEMA:
    case SQLITE_FORMAT:
    case SQLITE_CONSTRAINT: /* a sequence that is there already: the mark and the rows disagree */
    case SQLITE_ERROR:      /* our statements are fixed, so the schema or the header is not ours */
        return ERR_CORRUPT;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ERR_IN_USE;
    case SQLITE_NOMEM: return ERR_FULL;
    default: return ERR_INTERNAL;
    }
}

enum err_code store_db_failed(struct store_db *db, const char *doing, struct err *e)
{
    int sqlite_code = sqlite3_extended_errcode(db->handle);
    enum err_code code = code_of(sqlite_code);
    int system_errno = sqlite3_system_errno(db->handle);
    const char *advice = "";
    if (code == ERR_CORRUPT)
        advice = "; nothing was overwritten: set the file aside and restore or replay";
    if (code == ERR_DISK) advice = "; free space or check the disk, then try again";
    return ERR(e, code, "%s: %s: %s (SQLite %d%s%s)%s", db->path, doing, sqlite3_errmsg(db->handle),
               sqlite_code, code == ERR_DISK && system_errno ? ", " : "",
               code == ERR_DISK && system_errno ? strerror(system_errno) : "", advice);
}

static const char *const names[STATEMENT_MAX] = {
#define X(name) [STATEMENT_##name] = #name,
    STORE_STATEMENT_LIST(X)
#undef X
};

/* The text behind "-- name: NAME\n"; a name of the list that is missing there is a bug. */
static const char *text_of(enum store_statement which)
{
    char head[64];
    int len = snprintf(head, sizeof head, "-- name: %s\n", names[which]);
    CHECK(len > 0 && (size_t)len < sizeof head);
    const char *at = strstr(sql_sqlite_store_queries, head);
    CHECK(at != NULL);
    return at + len;
}

enum err_code store_db_get(struct store_db *db, enum store_statement which, sqlite3_stmt **ret,
                           struct err *e)
{
    sqlite3_stmt **slot = &db->statements[which];
    if (!*slot && sqlite3_prepare_v3(db->handle, text_of(which), -1, SQLITE_PREPARE_PERSISTENT,
                                     slot, NULL) != SQLITE_OK)
        return store_db_failed(db, names[which], e);
    sqlite3_reset(*slot);
    *ret = *slot;
    return ERR_OK;
}

enum err_code store_db_next(struct store_db *db, sqlite3_stmt *s, bool *ret_row, struct err *e)
{
    int rc = sqlite3_step(s);
    *ret_row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW) return ERR_OK;
    enum err_code code = rc == SQLITE_DONE ? ERR_OK : store_db_failed(db, sqlite3_sql(s), e);
    sqlite3_reset(s);
    return code;
}

enum err_code store_db_run(struct store_db *db, sqlite3_stmt *s, struct err *e)
{
    int rc = sqlite3_step(s);
    enum err_code code =
        rc == SQLITE_DONE || rc == SQLITE_ROW ? ERR_OK : store_db_failed(db, sqlite3_sql(s), e);
    sqlite3_reset(s);
    return code;
}

enum err_code store_db_do(struct store_db *db, enum store_statement which, struct err *e)
{
    sqlite3_stmt *s;
    TRY(store_db_get(db, which, &s, e));
    return store_db_run(db, s, e);
}

enum err_code store_db_number(struct store_db *db, enum store_statement which, int64_t otherwise,
                              int64_t *ret, struct err *e)
{
    sqlite3_stmt *s;
    TRY(store_db_get(db, which, &s, e));
    bool row;
    TRY(store_db_next(db, s, &row, e));
    bool given = row && sqlite3_column_type(s, 0) != SQLITE_NULL;
    *ret = given ? sqlite3_column_int64(s, 0) : otherwise;
    sqlite3_reset(s);
    return ERR_OK;
}

void store_db_rollback(struct store_db *db)
{
    for (int i = 0; i < STATEMENT_MAX; i++)
        if (db->statements[i]) sqlite3_reset(db->statements[i]);
    /* Some errors have ended the transaction already. */
    if (sqlite3_get_autocommit(db->handle)) return;
    enum err_code ignored = store_db_do(db, STATEMENT_rollback, NULL);
    (void)ignored;
}

enum err_code store_db_execute(struct store_db *db, const char *sql, const char *doing,
                               struct err *e)
{
    if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK) return ERR_OK;
    return store_db_failed(db, doing, e);
}

static enum err_code ask(struct store_db *db, const char *sql, int64_t *ret, struct err *e)
{
    sqlite3_stmt *s;
    if (sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL) != SQLITE_OK)
        return store_db_failed(db, "opening it", e);
    bool row;
    enum err_code code = store_db_next(db, s, &row, e);
    if (code == ERR_OK) *ret = row ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return code;
}

/* *ret_empty: a file without any content, such as a crash in the middle of creation leaves. */
static enum err_code identify(struct store_db *db, bool *ret_empty, struct err *e)
{
    int64_t application = 0, version = 0, objects = 0;
    TRY(ask(db, "PRAGMA application_id", &application, e));
    TRY(ask(db, "PRAGMA user_version", &version, e));
    TRY(ask(db, "SELECT count(*) FROM sqlite_schema", &objects, e));
    *ret_empty = application == 0 && version == 0 && objects == 0;
    if (*ret_empty) return ERR_OK;
    if (application != APPLICATION_ID)
        return ERR(e, ERR_CORRUPT,
                   "%s: a SQLite database of another program (application_id %lld); nothing was "
                   "overwritten: choose another data folder",
                   db->path, (long long)application);
    if (version > STORE_VERSION)
        return ERR(e, ERR_VERSION,
                   "%s: format version %lld, this program knows up to %d: use a newer ticklake",
                   db->path, (long long)version, STORE_VERSION);
    /* Version 1 is the first: there is nothing older to migrate from. */
    if (version < 1)
        return ERR(e, ERR_CORRUPT, "%s: no format version (%lld), expected 1 to %d", db->path,
                   (long long)version, STORE_VERSION);
    return ERR_OK;
}

static enum err_code create(struct store_db *db, struct err *e)
{
    char marks[128];
    snprintf(marks, sizeof marks, "PRAGMA application_id = %d; PRAGMA user_version = %d;",
             APPLICATION_ID, STORE_VERSION);
    TRY(store_db_execute(db, "BEGIN IMMEDIATE", "creating it", e));
    enum err_code code = store_db_execute(db, sql_sqlite_store_schema, "creating its tables", e);
    if (code == ERR_OK)
        code = store_db_execute(db, sql_sqlite_store_views, "creating its views", e);
    if (code == ERR_OK) code = store_db_execute(db, marks, "creating it", e);
    if (code == ERR_OK) code = store_db_execute(db, "COMMIT", "creating it", e);
    if (code != ERR_OK) {
        store_db_rollback(db);
        return code;
    }
    /* SQLite syncs the folder for its log, not for the database file itself. */
    char folder[PATH_LIMIT];
    snprintf(folder, sizeof folder, "%s", db->path);
    char *slash = strrchr(folder, '/');
    if (slash && slash != folder) *slash = 0;
    return file_sync_folder(slash ? folder : ".", e);
}

static enum err_code set_up(struct store_db *db, bool read_only, struct err *e)
{
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    /* What is in the file is data: its triggers, views and functions get no say in our writes. */
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    bool empty;
    TRY(identify(db, &empty, e));
    if (read_only) {
        if (empty) return ERR(e, ERR_NOT_FOUND, "%s: no store yet: run or replay first", db->path);
        return store_db_execute(db, "PRAGMA cell_size_check = ON; PRAGMA cache_size = -8192;",
                                "opening it", e);
    }
    TRY(store_db_execute(db, settings, "opening it", e));
    return empty ? create(db, e) : ERR_OK;
}

enum err_code store_db_open(struct store_db *db, const char *path, bool read_only, struct err *e)
{
    *db = (struct store_db){0};
    if (!str_copy(db->path, sizeof db->path, str_of(path)))
        return ERR(e, ERR_DISK, "the path of the store is longer than %d bytes", PATH_LIMIT - 1);
    if (read_only && !file_exists(path))
        return ERR(e, ERR_NOT_FOUND, "%s: no store yet: run or replay first", path);
    int flags = SQLITE_OPEN_NOMUTEX |
                (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    enum err_code code = ERR_OK;
    if (sqlite3_open_v2(path, &db->handle, flags, NULL) != SQLITE_OK)
        code = store_db_failed(db, "opening it", e);
    if (code == ERR_OK) code = set_up(db, read_only, e);
    if (code != ERR_OK) store_db_close(db);
    return code;
}

void store_db_close(struct store_db *db)
{
    for (int i = 0; i < STATEMENT_MAX; i++) sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->handle);
    *db = (struct store_db){0};
}
