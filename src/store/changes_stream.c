/* The server ends a walsender that hears nothing of us for SERVER_PATIENCE. One that was told to end meanwhile (a checkpoint
 * invalidates its slot) waits in the midst of its farewell to a process that is stopped as a whole, and the checkpointer with it
 * (measured: minutes): that is what tcp_user_timeout is for, of the server's side of our connection. Unix sockets have none. */
#include "io/clock.h"
#include "store/changes_internal.h"

#include <endian.h>
#include <poll.h>

#define SERVER_PATIENCE "10s"
enum {
    STATUS_MS = 2000,    /* we tell our progress at least so often */
    CONFIRM_MS = 200,    /* and after a confirmation within this */
    SILENCE_MS = 60000,  /* a server that does not even answer that is gone */
    FULL_MS = 500,       /* a full buffer may get room within this before the connection is ended */
    COALESCE_NS = 200000 /* see wait_for_bytes */
};

struct session {
    struct changes *c;
    struct changes_link *l;
    int64_t heard_ns, told_ns;
    uint64_t told_lsn;
    int64_t fresh; /* bytes since the last wait */
    bool reply;    /* the server wants an answer at once */
};

static enum err_code tell_status(struct session *s, bool ask_back, struct err *e)
{
    uint64_t confirmed = atomic_load(&s->c->confirmed);
    uint64_t received = atomic_load(&s->c->received);
    if (received < confirmed) received = confirmed;
    uint64_t numbers[4] = {received, confirmed, confirmed,
                           (uint64_t)(clock_wall_ns() / 1000 - INT64_C(946684800000000))};
    char m[34] = {'r'};
    for (int i = 0; i < 4; i++) {
        uint64_t v = htobe64(numbers[i]);
        memcpy(m + 1 + 8 * i, &v, sizeof v);
    }
    m[33] = ask_back ? 1 : 0;
    /* 0: the socket is full, so the server has not read the last one yet: no need for another. */
    int sent = PQputCopyData(s->l->conn, m, sizeof m);
    if (sent < 0 || PQflush(s->l->conn) < 0)
        return changes_link_error(s->l, NULL, "telling the server our progress", e);
    s->told_ns = clock_mono_ns();
    s->told_lsn = confirmed;
    s->reply = false;
    atomic_store(&s->c->acknowledged, confirmed);
    return ERR_OK;
}

static enum err_code keep_up(struct session *s, struct err *e)
{
    int64_t now = clock_mono_ns(), silent = now - s->heard_ns;
    if (silent > SILENCE_MS * NS_PER_MS)
        return ERR(e, ERR_NETWORK, "%s: nothing was heard of the server for %d s", s->l->address,
                   SILENCE_MS / 1000);
    int64_t age = now - s->told_ns;
    bool news = atomic_load(&s->c->confirmed) > s->told_lsn && age > CONFIRM_MS * NS_PER_MS;
    if (s->reply || news || age > STATUS_MS * NS_PER_MS)
        return tell_status(s, silent > STATUS_MS * NS_PER_MS, e);
    return ERR_OK;
}

/* The buffer is full. A short wait is harmless (the server is told that we live); more would hold it up. */
static enum err_code wait_for_room(struct session *s, struct str message, bool *ret_full,
                                   struct err *e)
{
    bool put = false;
    for (int waited_ms = 0; waited_ms < FULL_MS && !put; waited_ms += 50) {
        if (atomic_load(&s->c->stop)) return ERR_STOPPED;
        (void)changes_queue_wait(&s->c->queue, s->c->queue.limit - s->c->queue.limit / 4, 50);
        TRY(changes_take(s->c, message, &put, e));
        TRY(keep_up(s, e));
    }
    *ret_full = !put;
    return ERR_OK;
}

static enum err_code handle(struct session *s, const uint8_t *p, size_t n, bool *ret_full,
                            struct err *e)
{
    enum { DATA_HEAD = 25, KEEPALIVE_HEAD = 18 };
    if (n >= DATA_HEAD && *p == 'w') {
        atomic_store(&s->c->server, changes_u64(p + 9));
        bool put;
        struct str message = {(const char *)p + DATA_HEAD, n - DATA_HEAD};
        TRY(changes_take(s->c, message, &put, e));
        return put ? ERR_OK : wait_for_room(s, message, ret_full, e);
    }
    if (n >= KEEPALIVE_HEAD && *p == 'k') {
        uint64_t end = changes_u64(p + 1);
        struct changes_filter *f = &s->c->filter;
        if (end > atomic_load(&s->c->server)) atomic_store(&s->c->server, end);
        if (p[17]) s->reply = true;
        changes_filter_progress(f, end);
        /* Everything that committed below `end` was sent before it. */
        if (!f->open && !f->begun) {
            atomic_store(&s->c->received, f->lsn);
            changes_queue_flush(&s->c->queue, f->lsn);
        }
        return ERR_OK;
    }
    return ERR(e, ERR_CORRUPT, "%s: a message of type 0x%02x in the replication stream",
               s->l->address, n ? *p : 0u);
}

/* All messages that libpq holds. */
static enum err_code drain(struct session *s, bool *ret_full, struct err *e)
{
    enum { KEEP_UP_EVERY = 4096 };
    for (int count = 1;; count++) {
        char *bytes = NULL;
        int n = PQgetCopyData(s->l->conn, &bytes, 1);
        if (n == 0) return ERR_OK;
        if (n == -1) {
            PGresult *r = PQgetResult(s->l->conn);
            enum err_code code =
                r && PQresultStatus(r) == PGRES_FATAL_ERROR
                    ? changes_link_error(s->l, r, "streaming", e)
                    : ERR(e, ERR_NETWORK, "%s: the server ended the stream", s->l->address);
            PQclear(r);
            return code;
        }
        if (n < 0) return changes_link_error(s->l, NULL, "streaming", e);
        s->fresh += n;
        enum err_code code = handle(s, (const uint8_t *)bytes, (size_t)n, ret_full, e);
        PQfreemem(bytes);
        TRY(code);
        if (*ret_full) return ERR_OK;
        if (s->reply || count % KEEP_UP_EVERY == 0) TRY(keep_up(s, e));
        if (count % KEEP_UP_EVERY == 0 && atomic_load(&s->c->stop)) return ERR_STOPPED;
    }
}

/* The server sends each row by itself. Under load we let a few come together: one call of recv for them instead of one each
 * halves our CPU; a Unix socket holds some 200 such rows, so longer would hold the server up. */
static enum err_code wait_for_bytes(struct session *s, struct err *e)
{
    int64_t fresh = s->fresh;
    s->fresh = 0;
    if (fresh > 0 && fresh < 65536) clock_sleep_ns(COALESCE_NS);
    enum err_code code = ERR_TIMEOUT;
    if (PQflush(s->l->conn) < 0) return changes_link_error(s->l, NULL, "streaming", e);
    code = changes_link_wait(s->l, false, CONFIRM_MS, e);
    if (code == ERR_TIMEOUT) return ERR_OK;
    TRY(code);
    if (!PQconsumeInput(s->l->conn)) return changes_link_error(s->l, NULL, "streaming", e);
    s->heard_ns = clock_mono_ns();
    return ERR_OK;
}

static enum err_code start(struct changes *c, struct changes_link *l, struct err *e)
{
    PGresult *r;
    TRY(changes_link_run(l, "SET wal_sender_timeout = '" SERVER_PATIENCE "'", 10000, &r, e));
    PQclear(r);
    TRY(changes_link_run(l, "SET tcp_user_timeout = '" SERVER_PATIENCE "'", 10000, &r, e));
    PQclear(r);
    struct buf sql, list;
    buf_init(&sql, 1024);
    buf_init(&list, 512);
    changes_quote(&list, c->names.publication, '"');
    buf_add_cstr(&sql, "START_REPLICATION SLOT ");
    changes_quote(&sql, c->names.slot, '"');
    buf_addf(&sql, " LOGICAL " CHANGES_LSN " (proto_version '1', publication_names ",
             CHANGES_LSN_ARG(c->filter.lsn));
    changes_quote(&sql, buf_cstr(&list), '\'');
    buf_add_cstr(&sql, ", binary 'true')");
    CHECK(!sql.failed && !list.failed);
    enum err_code code = changes_link_run(l, buf_cstr(&sql), 60000, &r, e);
    buf_free(&sql);
    buf_free(&list);
    TRY(code);
    if (PQresultStatus(r) != PGRES_COPY_BOTH)
        code = ERR(e, ERR_CONFIG, "%s: START_REPLICATION was not answered by a stream", l->address);
    PQclear(r);
    return code;
}

/* Tells the last confirmation and leaves orderly, so that the slot is free, and where it should be, when this returns. */
static void leave(struct session *s)
{
    struct err ignored;
    if (tell_status(s, false, &ignored) != ERR_OK) return;
    if (PQputCopyEnd(s->l->conn, NULL) < 0 || PQflush(s->l->conn) < 0) return;
    int64_t until = clock_mono_ns() + NS_PER_S;
    while (clock_mono_ns() < until) {
        char *bytes = NULL;
        int n = PQgetCopyData(s->l->conn, &bytes, 1);
        if (n > 0) PQfreemem(bytes);
        if (n < 0) return;
        struct pollfd fd = {.fd = PQsocket(s->l->conn), .events = POLLIN};
        if (n == 0 && (poll(&fd, 1, 100) < 0 || !PQconsumeInput(s->l->conn))) return;
    }
}

enum err_code changes_stream(struct changes *c, struct changes_link *l, bool *ret_full,
                             struct err *e)
{
    *ret_full = false;
    TRY(start(c, l, e));
    changes_filter_session(&c->filter);
    int64_t now = clock_mono_ns();
    struct session s = {.c = c, .l = l, .heard_ns = now, .told_ns = now};
    enum err_code code = tell_status(&s, false, e);
    while (code == ERR_OK && !*ret_full) {
        code = drain(&s, ret_full, e);
        changes_queue_flush(&c->queue, 0);
        if (code == ERR_OK && !*ret_full) code = keep_up(&s, e);
        if (code == ERR_OK && !*ret_full) code = wait_for_bytes(&s, e);
    }
    if (code == ERR_STOPPED) leave(&s);
    return code;
}
