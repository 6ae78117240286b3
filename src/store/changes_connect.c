#include "io/clock.h"
#include "store/changes_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

enum { CONNECT_MS = 15000 };

void changes_quote(struct buf *to, const char *text, char quote)
{
    buf_add_byte(to, (uint8_t)quote);
    for (const char *p = text; *p; p++) {
        if (*p == quote) buf_add_byte(to, (uint8_t)quote);
        buf_add_byte(to, (uint8_t)*p);
    }
    buf_add_byte(to, (uint8_t)quote);
}

enum err_code changes_link_wait(struct changes_link *l, bool to_write, int32_t timeout_ms,
                                struct err *e)
{
    struct pollfd fds[2] = {
        {.fd = PQsocket(l->conn), .events = (short)(POLLIN | (to_write ? POLLOUT : 0))},
        {.fd = l->stop_fd, .events = POLLIN}};
    int n = poll(fds, 2, timeout_ms);
    if (n < 0 && errno != EINTR)
        return ERR(e, ERR_INTERNAL, "%s: poll: %s", l->address, strerror(errno));
    if (n > 0 && fds[1].revents) return ERR_STOPPED;
    return n == 0 ? ERR_TIMEOUT : ERR_OK;
}

/* The first line of libpq's words; further ones guess, or tell where in the server's source. */
static struct str words_of(const char *message)
{
    struct str s = str_trim(str_of(message ? message : ""));
    if (s.n == 0) return STR("no reason given");
    return str_cut(&s, '\n');
}

static enum err_code code_of_state(const char *state)
{
    static const struct {
        const char *prefix;
        enum err_code code;
    } codes[] = {{"28", ERR_REFUSED},      {"42501", ERR_REFUSED},  {"3D000", ERR_CONFIG},
                 {"42704", ERR_NOT_FOUND}, {"55006", ERR_IN_USE},   {"55000", ERR_CONFIG},
                 {"57014", ERR_TIMEOUT},   {"57", ERR_UNAVAILABLE}, {"53", ERR_UNAVAILABLE},
                 {"08", ERR_NETWORK},      {"40", ERR_CONFLICT},    {"58", ERR_UNAVAILABLE},
                 {"XX", ERR_UNAVAILABLE},  {"42", ERR_CONFIG},      {"22", ERR_CONFIG},
                 {"0A", ERR_CONFIG},       {"3F", ERR_CONFIG}};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (str_starts(str_of(state), codes[i].prefix)) return codes[i].code;
    return ERR_UNAVAILABLE;
}

enum err_code changes_link_error(struct changes_link *l, const PGresult *r, const char *asked,
                                 struct err *e)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *primary = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    const char *detail = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL) : NULL;
    if (!state || !primary) {
        struct str words = words_of(PQerrorMessage(l->conn));
        return ERR(e, ERR_NETWORK, "%s: %s: %.*s", l->address, asked, STR_ARG(words));
    }
    enum err_code code = code_of_state(state);
    return ERR(e, code, "%s: %s: the server answered %s: %s%s%s", l->address, asked, state, primary,
               detail ? "; " : "", detail ? detail : "");
}

/* With verbose errors the state stands behind the severity: "FATAL:  28P01: password authentication failed ...". */
static enum err_code connect_error(struct changes_link *l, struct err *e)
{
    struct str words = words_of(PQerrorMessage(l->conn));
    enum err_code code = ERR_UNAVAILABLE;
    for (size_t i = 0; i + 10 < words.n; i++) {
        if (memcmp(words.p + i, ":  ", 3) != 0 || words.p[i + 8] != ':') continue;
        char state[6] = "";
        memcpy(state, words.p + i + 3, 5);
        code = code_of_state(state);
        words = str_trim((struct str){words.p + i + 10, words.n - i - 10});
        break;
    }
    if (PQconnectionNeedsPassword(l->conn)) code = ERR_REFUSED;
    return ERR(e, code, "PostgreSQL at %s: connect as %s: %.*s%s", l->address,
               PQuser(l->conn) ? PQuser(l->conn) : "?", STR_ARG(words),
               code == ERR_REFUSED ? "; check user, password (or the password file) and pg_hba.conf"
                                   : "");
}

/* Host, port and database as libpq resolved them; PQhost gives the folder of a Unix socket. */
static void note_address(struct changes_link *l)
{
    const char *host = PQhost(l->conn), *port = PQport(l->conn), *db = PQdb(l->conn);
    (void)snprintf(l->address, sizeof l->address, "%s:%s/%s", host && *host ? host : "?",
                   port && *port ? port : "?", db && *db ? db : "?");
}

static enum err_code finish_connect(struct changes_link *l, struct err *e)
{
    int64_t until = clock_mono_ns() + CONNECT_MS * NS_PER_MS;
    PQsetErrorVerbosity(l->conn, PQERRORS_VERBOSE);
    for (PostgresPollingStatusType want = PGRES_POLLING_WRITING;;) {
        note_address(l);
        if (want == PGRES_POLLING_OK) return ERR_OK;
        if (want == PGRES_POLLING_FAILED || PQstatus(l->conn) == CONNECTION_BAD)
            return connect_error(l, e);
        struct pollfd fds[2] = {
            {.fd = PQsocket(l->conn), .events = want == PGRES_POLLING_READING ? POLLIN : POLLOUT},
            {.fd = l->stop_fd, .events = POLLIN}};
        int64_t left_ms = (until - clock_mono_ns()) / NS_PER_MS;
        int n = left_ms > 0 ? poll(fds, 2, (int)left_ms) : 0;
        if (n > 0 && fds[1].revents) return ERR_STOPPED;
        if (n == 0)
            return ERR(e, ERR_TIMEOUT, "PostgreSQL at %s: no connection within %d s", l->address,
                       CONNECT_MS / 1000);
        want = PQconnectPoll(l->conn);
    }
}

/* What stands before the URL are defaults, behind it what must be so. Without a limit of its own, a peer that vanished would
 * be noticed only after two hours. */
enum err_code changes_link_open(struct changes_link *l, const char *url,
                                enum changes_link_kind kind, int stop_fd, struct err *e)
{
    const char *keys[] = {"keepalives_idle",
                          "keepalives_interval",
                          "keepalives_count",
                          "tcp_user_timeout",
                          "dbname",
                          "application_name",
                          "client_encoding",
                          "replication",
                          NULL};
    const char *values[] = {"15",   "5",        "3", "30000", url, "ticklake changes",
                            "UTF8", "database", NULL};
    if (kind == CHANGES_SQL) keys[7] = NULL;
    *l = (struct changes_link){.stop_fd = stop_fd};
    char *wrong = NULL;
    PQconninfoOption *parsed = PQconninfoParse(url, &wrong);
    bool good = parsed != NULL;
    PQconninfoFree(parsed);
    PQfreemem(wrong); /* may quote the password */
    if (!good)
        return ERR(e, ERR_CONFIG,
                   "store.url: neither a URI (postgresql://user@host:5432/database) nor key=value "
                   "words that libpq can read");
    l->conn = PQconnectStartParams(keys, values, 1);
    CHECK(l->conn != NULL);
    enum err_code code = finish_connect(l, e);
    if (code == ERR_OK && PQsetnonblocking(l->conn, 1) != 0)
        code = changes_link_error(l, NULL, "non-blocking mode", e);
    if (code != ERR_OK) changes_link_close(l);
    return code;
}

void changes_link_close(struct changes_link *l)
{
    if (l->conn) PQfinish(l->conn);
    l->conn = NULL;
}

void changes_link_cancel(struct changes_link *l)
{
    char ignored[256];
    PGcancel *cancel = l->conn ? PQgetCancel(l->conn) : NULL;
    if (cancel) (void)PQcancel(cancel, ignored, sizeof ignored);
    PQfreeCancel(cancel);
}

static enum err_code await_result(struct changes_link *l, const char *sql, int32_t timeout_ms,
                                  struct err *e)
{
    int64_t until = clock_mono_ns() + timeout_ms * NS_PER_MS;
    for (;;) {
        int unsent = PQflush(l->conn);
        if (unsent < 0) return changes_link_error(l, NULL, sql, e);
        if (unsent == 0 && !PQisBusy(l->conn)) return ERR_OK;
        int64_t left_ms = timeout_ms ? (until - clock_mono_ns()) / NS_PER_MS : 60000;
        if (left_ms <= 0)
            return ERR(e, ERR_TIMEOUT, "%s: no answer within %d ms to: %s", l->address, timeout_ms,
                       sql);
        enum err_code code = changes_link_wait(l, unsent > 0, (int32_t)left_ms, e);
        if (code == ERR_TIMEOUT) continue;
        TRY(code);
        if (!PQconsumeInput(l->conn)) return changes_link_error(l, NULL, sql, e);
    }
}

enum err_code changes_link_run(struct changes_link *l, const char *sql, int32_t timeout_ms,
                               PGresult **ret, struct err *e)
{
    *ret = NULL;
    if (!PQsendQuery(l->conn, sql)) return changes_link_error(l, NULL, sql, e);
    for (PGresult *last = NULL;;) {
        enum err_code code = await_result(l, sql, timeout_ms, e);
        if (code != ERR_OK) {
            PQclear(last);
            return code;
        }
        PGresult *r = PQgetResult(l->conn);
        ExecStatusType status = r ? PQresultStatus(r) : PGRES_EMPTY_QUERY;
        if (r && status != PGRES_COPY_OUT && status != PGRES_COPY_BOTH) {
            PQclear(last);
            last =
                r; /* an error too: what follows is read to the end, so that the connection stays usable */
            continue;
        }
        if (r) { /* the data follow */
            PQclear(last);
            *ret = r;
            return ERR_OK;
        }
        status = last ? PQresultStatus(last) : PGRES_FATAL_ERROR;
        if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
            *ret = last;
            return ERR_OK;
        }
        code = changes_link_error(l, last, sql, e);
        PQclear(last);
        return code;
    }
}
