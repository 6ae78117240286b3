#include "gen/sql.h"
#include "io/clock.h"
#include "store/store_pg.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

enum { CONNECT_MS = 15000 };

/* What stands before the URL are defaults, behind it what must be so. A peer that vanished is noticed after half a minute, not
 * after two hours. */
static PGconn *start(const char *url, const char *what)
{
    const char *keys[] = {
        "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
        "dbname",          "application_name",    "client_encoding",  NULL};
    const char *values[] = {"15", "5", "3", "30000", url, what, "UTF8", NULL};
    return PQconnectStartParams(keys, values, 1);
}

static void ignore_notice(void *ctx, const PGresult *r)
{
    (void)ctx;
    (void)r;
}

/* Host, port and database as libpq resolved them; PQhost gives the folder of a Unix socket. */
static void note_address(struct store_pg_link *l)
{
    const char *host = PQhost(l->conn), *port = PQport(l->conn), *db = PQdb(l->conn);
    (void)snprintf(l->address, sizeof l->address, "PostgreSQL at %s:%s/%s",
                   host && *host ? host : "?", port && *port ? port : "?", db && *db ? db : "?");
}

enum err_code store_pg_code(const char *sqlstate)
{
    static const struct {
        const char *prefix;
        enum err_code code;
    } codes[] = {
        {"28", ERR_REFUSED},     {"42501", ERR_REFUSED},  {"3D000", ERR_CONFIG},
        {"53100", ERR_FULL},     {"53", ERR_UNAVAILABLE}, {"57014", ERR_TIMEOUT},
        {"57", ERR_UNAVAILABLE}, {"08", ERR_NETWORK},     {"40", ERR_CONFLICT},
        {"55P03", ERR_TIMEOUT},  {"55006", ERR_IN_USE},   {"25006", ERR_UNAVAILABLE},
        {"25P03", ERR_NETWORK},  {"58", ERR_UNAVAILABLE}, {"XX001", ERR_CORRUPT},
        {"XX002", ERR_CORRUPT},  {"XX", ERR_UNAVAILABLE}, {"42P01", ERR_CORRUPT},
        {"42703", ERR_CORRUPT},  {"3F", ERR_CORRUPT},     {"0A", ERR_CONFIG},
    };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (str_starts(str_of(sqlstate), codes[i].prefix)) return codes[i].code;
    return ERR_INTERNAL;
}

static const char *advice_of(const char *state, enum err_code code)
{
    if (str_is(str_of(state), "42501"))
        return "; grant it, or let the role that made the schema own it (`ticklake validate` "
               "prints the least rights)";
    if (str_is(str_of(state), "25006"))
        return "; this is a standby: point store.url at the primary";
    if (str_is(str_of(state), "3D000")) return "; create the database, or correct store.url";
    if (code == ERR_REFUSED)
        return "; check user and password (or the password file) and the server's pg_hba.conf";
    if (code == ERR_FULL) return "; free space on the server's disk";
    if (code == ERR_CORRUPT) return "; the schema was altered by somebody else, or is damaged";
    return "";
}

enum err_code store_pg_error(struct store_pg_link *l, const PGresult *r, const char *asked,
                             struct err *e)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *primary = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    const char *detail = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL) : NULL;
    if (!state || !primary) {
        struct str words = str_trim(str_of(PQerrorMessage(l->conn)));
        enum err_code code = ERR(e, ERR_NETWORK, "%s: %s: %.*s", l->address, asked,
                                 STR_ARG(words.n ? words : STR("connection lost")));
        if (PQstatus(l->conn) == CONNECTION_BAD) store_pg_disconnect(l);
        return code;
    }
    enum err_code code = store_pg_code(state);
    ERR(e, code, "%s: %s: the server answered %s: %s%s%s%s", l->address, asked, state, primary,
        detail ? "; " : "", detail ? detail : "", advice_of(state, code));
    if (PQstatus(l->conn) == CONNECTION_BAD) {
        store_pg_disconnect(l);
        if (err_action(code) != ACT_RETRY && code != ERR_REFUSED) code = ERR_NETWORK;
        if (e) e->code = code;
    }
    return code;
}

/* With verbose errors the state stands behind the severity: "FATAL:  28P01: password authentication failed ...". With several
 * hosts there are several; the last counts. */
static enum err_code connect_error(struct store_pg_link *l, struct err *e)
{
    struct str words = str_trim(str_of(PQerrorMessage(l->conn)));
    enum err_code code = ERR_UNAVAILABLE;
    char state[6] = "";
    for (size_t i = 0; i + 10 < words.n; i++) {
        if (memcmp(words.p + i, ":  ", 3) != 0 || words.p[i + 8] != ':') continue;
        memcpy(state, words.p + i + 3, 5);
        code = store_pg_code(state);
        words = str_trim((struct str){words.p + i + 10, words.n - i - 10});
        i = 0;
    }
    const char *line = memchr(words.p, '\n', words.n); /* behind it, where in the server's source */
    if (line) words.n = (size_t)(line - words.p);
    if (PQconnectionNeedsPassword(l->conn)) code = ERR_REFUSED;
    return ERR(e, code, "%s: connect as %s: %.*s%s", l->address,
               PQuser(l->conn) ? PQuser(l->conn) : "?", STR_ARG(words), advice_of(state, code));
}

static enum err_code finish_connect(struct store_pg_link *l, struct err *e)
{
    int64_t until = clock_mono_ns() + CONNECT_MS * NS_PER_MS;
    PQsetErrorVerbosity(l->conn, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(l->conn, ignore_notice, NULL);
    for (PostgresPollingStatusType want = PGRES_POLLING_WRITING;;) {
        note_address(l);
        if (want == PGRES_POLLING_OK) return ERR_OK;
        if (want == PGRES_POLLING_FAILED || PQstatus(l->conn) == CONNECTION_BAD)
            return connect_error(l, e);
        struct pollfd fd = {.fd = PQsocket(l->conn),
                            .events = want == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int64_t left_ms = (until - clock_mono_ns()) / NS_PER_MS;
        int n = left_ms > 0 ? poll(&fd, 1, (int)left_ms) : 0;
        if (n < 0 && errno == EINTR) continue;
        if (n == 0)
            return ERR(e, ERR_TIMEOUT, "%s: no connection within %d s", l->address,
                       CONNECT_MS / 1000);
        want = PQconnectPoll(l->conn);
    }
}

/* A promise of durability does not depend on what an administrator set for the role. Compiling a batch's queries took 50 ms of
 * the 250 that they ran. */
static const char settings[] =
    "SET search_path = pg_catalog; SET statement_timeout = 0; SET lock_timeout = 0;"
    "SET idle_in_transaction_session_timeout = 0; SET default_transaction_isolation = "
    "'read committed'; SET jit = off; SET datestyle = 'ISO'; SET timezone = 'UTC';"
    "SELECT CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')"
    " THEN set_config('synchronous_commit', 'on', false) END;";

enum err_code store_pg_connect(struct store_pg_link *l, const char *url, const char *what,
                               bool read_only, struct err *e)
{
    *l = (struct store_pg_link){.address = "PostgreSQL"};
    char *wrong = NULL;
    PQconninfoOption *parsed = PQconninfoParse(url, &wrong);
    bool good = parsed != NULL || (!strchr(url, '=') && !strstr(url, "://"));
    PQconninfoFree(parsed);
    PQfreemem(wrong); /* may quote the password */
    if (!good || strlen(url) == 0)
        return ERR(e, ERR_CONFIG,
                   "store.url: neither a URI (postgresql://user@host:5432/database) nor key=value "
                   "words that libpq can read");
    l->conn = start(url, what);
    CHECK(l->conn != NULL);
    enum err_code code = finish_connect(l, e);
    if (code == ERR_OK) {
        PQsetErrorVerbosity(l->conn, PQERRORS_DEFAULT);
        code = store_pg_do(l, settings, e);
    }
    if (code == ERR_OK && read_only)
        code = store_pg_do(l, "SET default_transaction_read_only = on", e);
    if (code != ERR_OK) store_pg_disconnect(l);
    return code;
}

void store_pg_disconnect(struct store_pg_link *l)
{
    if (l->conn) PQfinish(l->conn);
    l->conn = NULL;
}

bool store_pg_is_up(const struct store_pg_link *l)
{
    return l->conn && PQstatus(l->conn) == CONNECTION_OK;
}

void store_pg_number(struct store_pg_args *a, int64_t v)
{
    CHECK(a->count < STORE_PG_ARGS_MAX);
    (void)snprintf(a->numbers[a->count], sizeof a->numbers[0], "%lld", (long long)v);
    a->values[a->count] = a->numbers[a->count];
    a->formats[a->count++] = 0;
}

void store_pg_number_or_null(struct store_pg_args *a, int64_t v)
{
    store_pg_number(a, v);
    if (v == TIME_ABSENT) a->values[a->count - 1] = NULL;
}

void store_pg_bool(struct store_pg_args *a, bool v)
{
    CHECK(a->count < STORE_PG_ARGS_MAX);
    a->values[a->count] = v ? "t" : "f";
    a->formats[a->count++] = 0;
}

void store_pg_bytes(struct store_pg_args *a, struct str bytes)
{
    CHECK(a->count < STORE_PG_ARGS_MAX && bytes.n <= INT32_MAX);
    a->values[a->count] = bytes.p ? bytes.p : "";
    a->lengths[a->count] = (int)bytes.n;
    a->formats[a->count++] = 1;
}

static const char *const names[PG_STATEMENT_MAX] = {
#define X(name) [PG_##name] = #name,
    STORE_PG_STATEMENT_LIST(X)
#undef X
};

/* The text between "-- name: NAME\n" and the next; a name of the list that is missing there is a bug. */
static void text_of(enum store_pg_statement which, char *to, size_t size)
{
    char head[64];
    int len = snprintf(head, sizeof head, "-- name: %s\n", names[which]);
    CHECK(len > 0 && (size_t)len < sizeof head);
    const char *at = strstr(sql_postgres_store_queries, head);
    CHECK(at != NULL);
    at += len;
    const char *end = strstr(at, "-- name: ");
    CHECK(str_copy(to, size, (struct str){at, end ? (size_t)(end - at) : strlen(at)}));
}

static enum err_code finish(struct store_pg_link *l, PGresult *r, const char *asked, PGresult **ret,
                            struct err *e)
{
    ExecStatusType status = PQresultStatus(r);
    enum err_code code = ERR_OK;
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        code = store_pg_error(l, r, asked, e);
    if (code != ERR_OK || !ret) {
        PQclear(r);
        r = NULL;
    }
    if (ret) *ret = r;
    return code;
}

static enum err_code lost(struct store_pg_link *l, const char *asked, struct err *e)
{
    return ERR(e, ERR_NETWORK, "%s: %s: not connected", l->address, asked);
}

/* What every batch runs is planned once. The others are planned each time, for their days prune the partitions. */
static bool is_of_batches(enum store_pg_statement which)
{
    return which == PG_put_batch || which == PG_put_dedup || which == PG_put_positions;
}

static PGresult *execute(struct store_pg_link *l, enum store_pg_statement which, const char *sql,
                         const struct store_pg_args *a)
{
    static const struct store_pg_args none = {0};
    if (!a) a = &none;
    if (!is_of_batches(which))
        return PQexecParams(l->conn, sql, a->count, NULL, a->values, a->lengths, a->formats, 1);
    if (!l->prepared[which]) {
        PGresult *r = PQprepare(l->conn, names[which], sql, a->count, NULL);
        if (PQresultStatus(r) != PGRES_COMMAND_OK) return r;
        PQclear(r);
        l->prepared[which] = true;
    }
    return PQexecPrepared(l->conn, names[which], a->count, a->values, a->lengths, a->formats, 1);
}

enum err_code store_pg_run(struct store_pg_link *l, enum store_pg_statement which,
                           const struct store_pg_args *a, PGresult **ret, struct err *e)
{
    char sql[4096];
    if (ret) *ret = NULL;
    if (!l->conn) return lost(l, names[which], e);
    text_of(which, sql, sizeof sql);
    return finish(l, execute(l, which, sql, a), names[which], ret, e);
}

enum err_code store_pg_do(struct store_pg_link *l, const char *sql, struct err *e)
{
    char asked[80];
    size_t len = strcspn(sql, ";\n");
    if (!str_copy(asked, sizeof asked, (struct str){sql, len < 79 ? len : 79})) return ERR_INTERNAL;
    if (!l->conn) return lost(l, asked, e);
    return finish(l, PQexec(l->conn, sql), asked, NULL, e);
}

enum err_code store_pg_ask(struct store_pg_link *l, enum store_pg_statement which,
                           const struct store_pg_args *a, int64_t otherwise, int64_t *ret,
                           struct err *e)
{
    PGresult *r;
    TRY(store_pg_run(l, which, a, &r, e));
    *ret = PQntuples(r) > 0 ? store_pg_get(r, 0, 0, otherwise) : otherwise;
    PQclear(r);
    return ERR_OK;
}

void store_pg_rollback(struct store_pg_link *l)
{
    if (!l->conn || PQtransactionStatus(l->conn) == PQTRANS_IDLE) return;
    if (store_pg_do(l, "ROLLBACK", NULL) != ERR_OK) store_pg_disconnect(l);
}

int64_t store_pg_get(const PGresult *r, int row, int column, int64_t otherwise)
{
    if (PQgetisnull(r, row, column)) return otherwise;
    const uint8_t *p = (const uint8_t *)PQgetvalue(r, row, column);
    uint64_t v = 0;
    int len = PQgetlength(r, row, column);
    for (int i = 0; i < len && i < 8; i++) v = v << 8 | p[i];
    if (len == 2) return (int16_t)v;
    if (len == 4) return (int32_t)v;
    return (int64_t)v;
}

struct str store_pg_get_bytes(const PGresult *r, int row, int column)
{
    if (PQgetisnull(r, row, column)) return (struct str){0};
    return (struct str){PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column)};
}
