/* A call of peek decodes everything from the slot's restart position again, so it pays only in large pieces (measured: a million
 * rows a call are twice as fast as the stream, ten thousand six times slower). The server holds the result; while we take it the
 * slot is free, so a reader that is held up hurts nobody but its own snapshot. */
#include "io/clock.h"
#include "store/changes_internal.h"

#include <poll.h>

enum {
    ROOM_MS = 60000,       /* so long the copy may stand still for want of room in the buffer */
    UNCONFIRMED_MS = 10000 /* so long nothing may be confirmed before the stream is tried instead */
};

static enum err_code begin_copy(struct changes *c, struct changes_link *l, struct err *e)
{
    PGresult *r;
    TRY(changes_link_run(l, "SET statement_timeout = 0", 10000, &r, e));
    PQclear(r);
    struct buf sql, list;
    buf_init(&sql, 1024);
    buf_init(&list, 512);
    changes_quote(&list, c->names.publication, '"');
    buf_add_cstr(&sql, "COPY (SELECT data FROM pg_logical_slot_peek_binary_changes(");
    changes_quote(&sql, c->names.slot, '\'');
    buf_addf(&sql, ", NULL, %lld, 'proto_version', '1', 'publication_names', ",
             (long long)c->bulk_rows);
    changes_quote(&sql, buf_cstr(&list), '\'');
    buf_add_cstr(&sql, ", 'binary', 'true')) TO STDOUT (FORMAT binary)");
    CHECK(!sql.failed && !list.failed);
    enum err_code code = changes_link_run(l, buf_cstr(&sql), 0, &r, e);
    buf_free(&sql);
    buf_free(&list);
    TRY(code);
    if (PQresultStatus(r) != PGRES_COPY_OUT)
        code = ERR(e, ERR_CONFIG, "%s: COPY was not answered by data", l->address);
    PQclear(r);
    return code;
}

static enum err_code take_patiently(struct changes *c, struct str message, struct err *e)
{
    bool put;
    TRY(changes_take(c, message, &put, e));
    for (int64_t waited_ms = 0; !put; waited_ms += 100) {
        if (atomic_load(&c->stop)) return ERR_STOPPED;
        if (waited_ms >= ROOM_MS)
            return ERR(e, ERR_FULL, "no room in the buffer for %d s", ROOM_MS / 1000);
        changes_queue_flush(&c->queue, 0);
        (void)changes_queue_wait(&c->queue, c->queue.limit - c->queue.limit / 4, 100);
        TRY(changes_take(c, message, &put, e));
    }
    return ERR_OK;
}

/* One CopyData message: a row of one column; the file's head stands before the first, its end is a row of -1 columns. */
static enum err_code copy_row(struct changes *c, const uint8_t *p, size_t n, bool *first,
                              struct err *e)
{
    static const char signature[] = "PGCOPY\n\377\r\n"; /* with its zero: 11 bytes */
    enum { HEAD = 19, ROW_HEAD = 6 };
    bool good = true;
    if (*first) {
        *first = false;
        good = n >= HEAD && memcmp(p, signature, sizeof signature) == 0 && changes_u32(p + 15) == 0;
        p += good ? HEAD : 0;
        n -= good ? HEAD : 0;
        if (good && n == 0) return ERR_OK;
    }
    if (good && n == 2 && changes_u16(p) == UINT16_MAX) return ERR_OK;
    if (good && n > ROW_HEAD && changes_u16(p) == 1 && changes_u32(p + 2) == n - ROW_HEAD)
        return take_patiently(c, (struct str){(const char *)p + ROW_HEAD, n - ROW_HEAD}, e);
    return ERR(e, ERR_CORRUPT, "a row of COPY of %zu bytes that is none", n);
}

static enum err_code copy_all(struct changes *c, struct changes_link *l, struct err *e)
{
    for (bool first = true;;) {
        char *bytes = NULL;
        int n = PQgetCopyData(l->conn, &bytes, 1);
        if (n > 0) {
            enum err_code code = copy_row(c, (const uint8_t *)bytes, (size_t)n, &first, e);
            PQfreemem(bytes);
            TRY(code);
        } else if (n == 0) {
            changes_queue_flush(&c->queue, 0);
            enum err_code code = changes_link_wait(l, false, 60000, e);
            if (code != ERR_TIMEOUT) TRY(code);
            if (!PQconsumeInput(l->conn)) return changes_link_error(l, NULL, "reading in bulk", e);
        } else {
            PGresult *r = n == -1 ? PQgetResult(l->conn) : NULL;
            enum err_code code = ERR_OK;
            if (!r || PQresultStatus(r) != PGRES_COMMAND_OK)
                code = changes_link_error(l, r, "reading in bulk", e);
            PQclear(r);
            while ((r = PQgetResult(l->conn))) PQclear(r);
            return code;
        }
    }
}

/* Until everything that was queued is durable downstream. False: the consumer confirms nothing. */
static enum err_code await_confirmation(struct changes *c, bool *ret, struct err *e)
{
    uint64_t last = 0;
    *ret = false;
    for (int64_t since_ns = clock_mono_ns();;) {
        uint64_t now = atomic_load(&c->confirmed);
        *ret = now >= c->filter.lsn;
        if (*ret) return ERR_OK;
        if (now != last) since_ns = clock_mono_ns();
        last = now;
        if (clock_mono_ns() - since_ns > UNCONFIRMED_MS * NS_PER_MS) return ERR_OK;
        struct pollfd fd = {.fd = c->stop_fd, .events = POLLIN};
        if (poll(&fd, 1, 10) > 0) return ERR_STOPPED;
        if (atomic_load(&c->stop)) return ERR(e, ERR_STOPPED, "stopped");
    }
}

static enum err_code advance(struct changes *c, struct changes_link *l, struct err *e)
{
    uint64_t upto = atomic_load(&c->confirmed);
    struct buf sql;
    buf_init(&sql, 1024);
    buf_add_cstr(&sql, "SELECT pg_replication_slot_advance(");
    changes_quote(&sql, c->names.slot, '\'');
    buf_addf(&sql, ", '" CHANGES_LSN "')", CHANGES_LSN_ARG(upto));
    CHECK(!sql.failed);
    PGresult *r = NULL;
    enum err_code code = changes_link_run(l, buf_cstr(&sql), 0, &r, e);
    buf_free(&sql);
    PQclear(r);
    if (code == ERR_OK) atomic_store(&c->acknowledged, upto);
    return code;
}

enum err_code changes_bulk(struct changes *c, struct changes_link *l, bool *ret_stream,
                           struct err *e)
{
    *ret_stream = false;
    changes_filter_session(&c->filter);
    uint64_t before = c->filter.lsn;
    enum err_code code = begin_copy(c, l, e);
    if (code == ERR_OK) code = copy_all(c, l, e);
    changes_queue_flush(&c->queue, 0);
    TRY(code);
    atomic_fetch_add(&c->bulk_reads, 1);
    bool confirmed;
    TRY(await_confirmation(c, &confirmed, e));
    if (confirmed && c->filter.lsn > before) TRY(advance(c, l, e));
    *ret_stream = !confirmed || c->filter.lsn == before;
    return ERR_OK;
}
