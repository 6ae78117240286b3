#include "io/clock.h"
#include "store/changes_internal.h"

#include <inttypes.h>
#include <poll.h>

/* A row of a trade is about 200 bytes of log with its index (measured: 209). */
enum { LOG_BYTES_A_ROW = 200, IN_USE_MS = 120000, REFUSALS_MAX = 3 };

void changes_tell(struct changes *c, const char *what, const char *format, ...)
{
    if (!c->notice) return;
    char detail[640];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(detail, sizeof detail, format, ap);
    va_end(ap);
    c->notice(c->ctx, what, detail);
}

enum err_code changes_take(struct changes *c, struct str message, bool *ret_put, struct err *e)
{
    struct changes_filter next = c->filter;
    bool keep;
    *ret_put = true;
    enum err_code code = changes_filter_message(&next, message, &keep, e);
    if (code != ERR_OK) {
        (void)err_prefix(e, "slot %s: ", c->names.slot);
        return code;
    }
    if (keep && !changes_queue_put(&c->queue, message)) {
        *ret_put = false; /* the filter stays where it is: the message will come again */
        return ERR_OK;
    }
    c->filter = next;
    atomic_store_explicit(&c->received, next.lsn, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->bytes, (int64_t)message.n, memory_order_relaxed);
    return ERR_OK;
}

/* On a connection of its own: what a walsender looked up in the catalogs by SQL stays in its caches, and it then decodes by the
 * catalogs of today what was written under older ones (seen: rows left out without a word, where a fresh one reports that the
 * publication was not there yet). */
static enum err_code check(struct changes *c, struct changes_checked *ret, struct err *e)
{
    struct changes_link l;
    TRY(changes_link_open(&l, c->names.url, CHANGES_REPLICATION, c->stop_fd, e));
    struct changes_position at = {c->from.system, c->filter.lsn, 0};
    enum err_code code = changes_check(&l, &c->names, &at, false, ret, e);
    changes_link_close(&l);
    return code;
}

/* Checks, then the way that suits the backlog. */
static enum err_code session(struct changes *c, bool *stream_next, bool *ret_full, struct err *e)
{
    struct changes_checked k;
    TRY(check(c, &k, e));
    c->in_use_since_ns = 0;
    atomic_store(&c->server, k.server_lsn);
    bool bulk = !*stream_next && k.backlog / LOG_BYTES_A_ROW >= (uint64_t)c->bulk_rows;
    *stream_next = false;
    struct changes_link l;
    enum changes_link_kind kind = bulk ? CHANGES_SQL : CHANGES_REPLICATION;
    TRY(changes_link_open(&l, c->names.url, kind, c->stop_fd, e));
    atomic_fetch_add(&c->connects, 1);
    changes_tell(c, "connected",
                 "%s slot=%s position=" CHANGES_LSN " backlog_bytes=%" PRIu64 " way=%s", l.address,
                 c->names.slot, CHANGES_LSN_ARG(c->filter.lsn), k.backlog,
                 bulk ? "bulk" : "stream");
    enum err_code code =
        bulk ? changes_bulk(c, &l, stream_next, e) : changes_stream(c, &l, ret_full, e);
    if (bulk && (code == ERR_STOPPED || code == ERR_FULL)) changes_link_cancel(&l);
    changes_link_close(&l);
    if (code != ERR_FULL) return code;
    *ret_full = true;
    return ERR_OK;
}

/* Whether the thread goes on after this. */
static bool is_outage(struct changes *c, enum err_code code, int *refusals, struct err *e)
{
    if (code == ERR_IN_USE) { /* mostly our own last walsender, which has not noticed yet */
        int64_t now = clock_mono_ns();
        if (c->in_use_since_ns == 0) c->in_use_since_ns = now;
        return now - c->in_use_since_ns < IN_USE_MS * NS_PER_MS;
    }
    if (code == ERR_NOT_FOUND && str_contains(str_of(e->text), "publication")) {
        (void)err_prefix(e,
                         "slot %s looks at its publication as of the log's own time; it was made "
                         "before the publication %s, or that was dropped and made again: drop "
                         "the slot and begin anew with another bus.name. ",
                         c->names.slot, c->names.publication);
        e->code = ERR_CONFIG;
        return false;
    }
    /* Refused in mid-stream, an invalidated slot above all: the next check says it better. */
    if (code == ERR_NOT_FOUND || code == ERR_CONFIG) return ++*refusals < REFUSALS_MAX;
    return err_action(code) == ACT_RETRY;
}

static void rest(struct changes *c, int32_t ms)
{
    struct pollfd fd = {.fd = c->stop_fd, .events = POLLIN};
    (void)poll(&fd, 1, ms);
}

static void wait_for_room(struct changes *c)
{
    changes_tell(c, "buffer full",
                 "slot=%s buffered_bytes=%zu: connection ended until there is room", c->names.slot,
                 changes_queue_bytes(&c->queue));
    while (!atomic_load(&c->stop) && !changes_queue_wait(&c->queue, c->queue.limit / 4, 200)) {
    }
}

void *changes_thread(void *changes)
{
    struct changes *c = changes;
    bool stream_next = false;
    int refusals = 0;
    while (!atomic_load(&c->stop)) {
        struct err e = {0};
        bool full = false;
        int64_t bytes = atomic_load(&c->bytes);
        enum err_code code = session(c, &stream_next, &full, &e);
        changes_queue_flush(&c->queue, 0);
        if (code == ERR_STOPPED) break;
        if (atomic_load(&c->bytes) != bytes) {
            retry_reset(&c->retry);
            refusals = 0;
        }
        if (code == ERR_OK && full) wait_for_room(c);
        if (code == ERR_OK) continue;
        if (!is_outage(c, code, &refusals, &e)) {
            c->failure = e;
            break;
        }
        int32_t wait_ms = retry_next_ms(&c->retry);
        changes_tell(c, "connection lost", "%s; trying again in %d ms", e.text, wait_ms);
        rest(c, wait_ms);
    }
    changes_queue_close(&c->queue);
    return NULL;
}
