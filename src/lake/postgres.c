#include "lake/postgres_internal.h"

#include "io/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

/* The connection. libpq's own blocking calls would wait for ever for a peer that has become silent; so everything is sent
 * and awaited with a deadline, after which the connection is given up. */

enum { CONNECT_MS = 15000, ANSWER_MS = 55000, COMMIT_MS = 15000 };

/* Without the first two a process that is frozen while it holds the lock would stop all others for ever; the third ends a
 * worker's connection before its uncommitted files may be taken for leftovers (cleanup.c); the fourth is below ANSWER_MS. */
static const char settings[] = "SET idle_in_transaction_session_timeout = '30s';"
                               "SET statement_timeout = '50s';"
                               "SET idle_session_timeout = '10min';"
                               "SET lock_timeout = '40s';"
                               "SET client_min_messages = warning;"
                               "SET default_transaction_isolation = 'read committed';"
                               "SET search_path = ticklake, pg_catalog";

void pg_bytes(struct pg_args *a, struct str v)
{
    CHECK(a->count < PG_ARGS_MAX && v.n <= INT32_MAX);
    a->values[a->count] = v.n ? v.p : "";
    a->lengths[a->count] = (int)v.n;
    a->formats[a->count++] = 1;
}

void pg_text(struct pg_args *a, const char *v)
{
    CHECK(a->count < PG_ARGS_MAX);
    a->lengths[a->count] = a->formats[a->count] = 0;
    a->values[a->count++] = v;
}

void pg_number(struct pg_args *a, int64_t v)
{
    CHECK(a->count < PG_ARGS_MAX);
    char *text = a->numbers[a->count];
    snprintf(text, sizeof a->numbers[0], "%" PRId64, v);
    pg_text(a, text);
}

void pg_array(struct pg_args *a, const struct buf *v)
{
    CHECK(!v->failed && v->len && v->data[v->len - 1] == 0);
    pg_text(a, (const char *)v->data);
}

void pg_add_text(struct buf *b, struct str v)
{
    buf_add_cstr(b, b->len ? ",\"" : "{\"");
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '"' || v.p[i] == '\\') buf_add_byte(b, '\\');
        buf_add_byte(b, (uint8_t)v.p[i]);
    }
    buf_add_byte(b, '"');
}

void pg_add_hex(struct buf *b, struct str v)
{
    static const char hex[] = "0123456789abcdef";
    buf_add_cstr(b, b->len ? ",\"\\\\x" : "{\"\\\\x");
    for (size_t i = 0; i < v.n; i++) {
        buf_add_byte(b, (uint8_t)hex[(uint8_t)v.p[i] >> 4]);
        buf_add_byte(b, (uint8_t)hex[(uint8_t)v.p[i] & 15]);
    }
    buf_add_byte(b, '"');
}

void pg_add_number(struct buf *b, int64_t v) { buf_addf(b, "%s%" PRId64, b->len ? "," : "{", v); }

void pg_add_end(struct buf *b)
{
    buf_add_cstr(b, b->len ? "}" : "{}");
    buf_add_byte(b, 0);
}

struct str pg_cell(const PGresult *r, int row, int column)
{
    return (struct str){PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column)};
}

int64_t pg_cell_number(const PGresult *r, int row, int column)
{
    int64_t v = 0;
    CHECK(str_to_i64(pg_cell(r, row, column), &v) == ERR_OK); /* our own casts */
    return v;
}

int64_t pg_changed(const PGresult *r)
{
    int64_t v = 0;
    if (str_to_i64(str_of(PQcmdTuples((PGresult *)(uintptr_t)r)), &v) != ERR_OK) return 0;
    return v;
}

void pg_drop_connection(struct lake *l)
{
    struct lake_postgres *p = l->postgres;
    PQfinish(p->conn);
    p->conn = NULL;
    p->upkeep = false; /* the server lets go of it; in_transaction stays until who began it knows */
}

/* ---- what went wrong */

static enum err_code code_of_state(const char *state)
{
    static const struct {
        const char *prefix;
        enum err_code code;
    } codes[] = {
        {"28", ERR_REFUSED},        {"42501", ERR_REFUSED}, {"3D000", ERR_CONFIG},
        {"55P03", ERR_TIMEOUT},     {"57014", ERR_TIMEOUT}, {"25P0", ERR_TIMEOUT},
        {"25006", ERR_UNAVAILABLE}, {"08", ERR_NETWORK},    {"40", ERR_CONFLICT},
        {"23", ERR_CONFLICT},       {"42", ERR_CONFIG},     {"3F", ERR_CONFIG},
        {"22", ERR_CORRUPT},        {"XX", ERR_CORRUPT},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (str_starts(str_of(state), codes[i].prefix)) return codes[i].code;
    return ERR_UNAVAILABLE; /* 53 no room or connections, 57 shutting down, 58 its own disk */
}

static const char *advice(enum err_code code)
{
    switch (code) {
    case ERR_REFUSED:
        return "; check user, password (or the password file), pg_hba.conf and grants";
    case ERR_CONFIG:
        return "; the database or its schema \"ticklake\" is not what lake.catalog needs";
    default: return "";
    }
}

/* libpq's words without line feed, and of several lines the first. */
static struct str words_of(const char *message)
{
    struct str s = str_trim(str_of(message ? message : ""));
    const char *line = s.n ? memchr(s.p, '\n', s.n) : NULL;
    if (line) s.n = (size_t)(line - s.p);
    return s.n ? s : STR("no reason given");
}

static enum err_code server_error(struct lake *l, const PGresult *r, const char *asked,
                                  struct err *e)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *primary = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    int asked_len = (int)strcspn(asked, "\n");
    if (!state || !primary) {
        struct str words = words_of(PQerrorMessage(l->postgres->conn));
        return ERR(e, ERR_NETWORK, "%s: connection lost: %.*s (asked: %.*s)", l->catalog_path,
                   STR_ARG(words), asked_len < 100 ? asked_len : 100, asked);
    }
    enum err_code code = code_of_state(state);
    return ERR(e, code, "%s: %s (%s; asked: %.*s)%s", l->catalog_path, primary, state,
               asked_len < 100 ? asked_len : 100, asked, advice(code));
}

/* With verbose errors the state stands behind the severity: "FATAL:  28P01: password authentication failed ...". */
static enum err_code connect_error(struct lake *l, struct err *e)
{
    PGconn *conn = l->postgres->conn;
    struct str words = str_trim(str_of(PQerrorMessage(conn)));
    enum err_code code = ERR_UNAVAILABLE;
    for (size_t i = 0; i + 10 < words.n; i++) {
        if (memcmp(words.p + i, ":  ", 3) != 0 || words.p[i + 8] != ':') continue;
        char state[6] = "";
        memcpy(state, words.p + i + 3, 5);
        code = code_of_state(state);
        words = str_trim((struct str){words.p + i + 10, words.n - i - 10});
        break;
    }
    const char *line = words.n ? memchr(words.p, '\n', words.n) : NULL;
    if (line) words.n = (size_t)(line - words.p);
    if (PQconnectionNeedsPassword(conn)) code = ERR_REFUSED;
    return ERR(e, code, "%s: connect as %s: %.*s%s", l->catalog_path,
               PQuser(conn) ? PQuser(conn) : "?", STR_ARG(words), advice(code));
}

/* ---- connecting */

static void note_address(struct lake *l)
{
    const struct lake_postgres *p = l->postgres;
    const char *host = PQhost(p->conn), *port = PQport(p->conn), *db = PQdb(p->conn);
    snprintf(l->catalog_path, sizeof l->catalog_path, "PostgreSQL at %s:%s/%s",
             host && *host ? host : "?", port && *port ? port : "?", db && *db ? db : "?");
}

static enum err_code wait_for(struct lake *l, bool to_write, int64_t until_ns, const char *asked,
                              struct err *e)
{
    struct pollfd fd = {.fd = PQsocket(l->postgres->conn),
                        .events = (short)(POLLIN | (to_write ? POLLOUT : 0))};
    int64_t left_ms = (until_ns - clock_mono_ns()) / NS_PER_MS;
    int n = left_ms > 0 ? poll(&fd, 1, (int)left_ms) : 0;
    if (n > 0 || (n < 0 && errno == EINTR)) return ERR_OK;
    int asked_len = (int)strcspn(asked, "\n");
    return ERR(e, ERR_TIMEOUT, "%s: no answer in time (asked: %.*s)", l->catalog_path,
               asked_len < 100 ? asked_len : 100, asked);
}

static enum err_code finish_connect(struct lake *l, struct err *e)
{
    PGconn *conn = l->postgres->conn;
    int64_t until_ns = clock_mono_ns() + CONNECT_MS * NS_PER_MS;
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    for (PostgresPollingStatusType want = PGRES_POLLING_WRITING;; want = PQconnectPoll(conn)) {
        note_address(l);
        if (want == PGRES_POLLING_OK) return ERR_OK;
        if (want == PGRES_POLLING_FAILED || PQstatus(conn) == CONNECTION_BAD)
            return connect_error(l, e);
        TRY(wait_for(l, want == PGRES_POLLING_WRITING, until_ns, "connect", e));
    }
}

/* ---- statements */

static enum err_code await_one(struct lake *l, const char *sql, int64_t until_ns, struct err *e)
{
    PGconn *conn = l->postgres->conn;
    for (;;) {
        int unsent = PQflush(conn);
        if (unsent < 0) return server_error(l, NULL, sql, e);
        if (unsent == 0 && !PQisBusy(conn)) return ERR_OK;
        TRY(wait_for(l, unsent > 0, until_ns, sql, e));
        if (!PQconsumeInput(conn)) return server_error(l, NULL, sql, e);
    }
}

/* The last result; of an error the first one. */
static enum err_code await(struct lake *l, const char *sql, int timeout_ms, PGresult **ret,
                           struct err *e)
{
    int64_t until_ns = clock_mono_ns() + timeout_ms * NS_PER_MS;
    enum err_code code = ERR_OK;
    for (;;) {
        enum err_code lost = await_one(l, sql, until_ns, code == ERR_OK ? e : NULL);
        if (lost != ERR_OK) return lost;
        PGresult *r = PQgetResult(l->postgres->conn);
        if (!r) return code;
        ExecStatusType status = PQresultStatus(r);
        bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
        if (!good && code == ERR_OK) code = server_error(l, r, sql, e);
        PQclear(*ret);
        *ret = r;
    }
}

enum err_code pg_script(struct lake *l, const char *name, const char *text, struct err *e)
{
    PGresult *r = NULL;
    if (!PQsendQuery(l->postgres->conn, text)) return server_error(l, NULL, name, e);
    enum err_code code = await(l, name, ANSWER_MS, &r, e);
    PQclear(r);
    return code;
}

/* Words before the URL are defaults, behind it what must be so. */
enum err_code pg_connect(struct lake *l, struct err *e)
{
    struct lake_postgres *p = l->postgres;
    char name[80];
    snprintf(name, sizeof name, "ticklake lake %.40s", l->o.worker ? l->o.worker : "");
    const char *const keys[] = {
        "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
        "dbname",          "application_name",    "client_encoding",  NULL};
    const char *const values[] = {"15", "5", "3", "30000", l->o.catalog_url, name, "UTF8", NULL};
    char *wrong = NULL;
    PQconninfoOption *parsed = PQconninfoParse(l->o.catalog_url, &wrong);
    bool good = parsed != NULL;
    PQconninfoFree(parsed);
    PQfreemem(wrong); /* may quote the password */
    if (!good)
        return ERR(e, ERR_CONFIG,
                   "lake.catalog: neither a URI (postgresql://user@host:5432/database) nor "
                   "key=value words that libpq can read");
    pg_drop_connection(l);
    p->conn = PQconnectStartParams(keys, values, 1);
    CHECK(p->conn != NULL);
    enum err_code code = finish_connect(l, e);
    if (code == ERR_OK && PQserverVersion(p->conn) < 140000)
        code = ERR(e, ERR_VERSION, "%s: server version %d; 14 or newer is needed", l->catalog_path,
                   PQserverVersion(p->conn) / 10000);
    if (code == ERR_OK && PQsetnonblocking(p->conn, 1) != 0)
        code = server_error(l, NULL, "settings of the connection", e);
    if (code == ERR_OK) code = pg_script(l, "settings of the connection", settings, e);
    if (code != ERR_OK) pg_drop_connection(l);
    return code;
}

static enum err_code run_once(struct lake *l, const char *sql, const struct pg_args *a,
                              PGresult **ret, struct err *e)
{
    PGconn *conn = l->postgres->conn;
    int sent = PQsendQueryParams(conn, sql, a ? a->count : 0, NULL, a ? a->values : NULL,
                                 a ? a->lengths : NULL, a ? a->formats : NULL, 1);
    if (!sent) return server_error(l, NULL, sql, e);
    int timeout_ms = strcmp(sql, "COMMIT") == 0 ? COMMIT_MS : ANSWER_MS;
    return await(l, sql, timeout_ms, ret, e);
}

/* A connection that is of no use any more: lost, silent past the limit, or ended by the server (57P: shutting down; 57P05,
 * 25P03: idle for too long). */
static bool is_lost(const struct lake_postgres *p, const PGresult *r, enum err_code code)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    if (!p->conn || PQstatus(p->conn) == CONNECTION_BAD || code == ERR_NETWORK) return true;
    if (!state) return code == ERR_TIMEOUT;
    return str_starts(str_of(state), "57P") || str_is(str_of(state), "25P03");
}

enum err_code pg_run(struct lake *l, const char *sql, const struct pg_args *args, PGresult **ret,
                     struct err *e)
{
    struct lake_postgres *p = l->postgres;
    bool in_transaction = p->in_transaction;
    if (in_transaction && !p->conn)
        return ERR(e, ERR_NETWORK, "%s: connection lost", l->catalog_path);
    for (int try_number = 0;; try_number++) {
        PGresult *r = NULL;
        if (!p->conn) TRY(pg_connect(l, e));
        enum err_code code = run_once(l, sql, args, &r, e);
        bool lost = code != ERR_OK && is_lost(p, r, code);
        if (lost) pg_drop_connection(l);
        if (lost && !in_transaction && try_number == 0 && code != ERR_TIMEOUT) {
            PQclear(r);
            continue;
        }
        if (code == ERR_OK && ret)
            *ret = r;
        else
            PQclear(r);
        return code;
    }
}
