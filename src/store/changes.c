#include "store/changes.h"

#include "io/clock.h"
#include "store/changes_internal.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    BUFFER_BYTES = 64 << 20,
    BULK_ROWS = 1000000,
    IDLE_MS =
        1000, /* verify waits for it: a transaction of Kafka a second, where others write to this server */
    SLICE_MS = 500,     /* idle progress is looked at so often at least */
    IN_USE_MS = 12000,  /* longer than the server needs to notice that our last process is gone */
    INSTRUMENTS = 50000 /* a batch holds 65,536 */
};

static const struct retry_policy reconnect = {250, 30000, 3};

static struct changes *new_changes(const struct changes_options *o)
{
    struct changes *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->url = strdup(o->url);
    c->slot = strdup(o->slot);
    c->publication = strdup(o->publication);
    CHECK(c->url && c->slot && c->publication);
    c->names = (struct changes_names){c->url, c->slot, c->publication};
    c->buffer_bytes = o->buffer_bytes ? o->buffer_bytes : BUFFER_BYTES;
    c->bulk_rows = o->bulk_rows > 0 ? o->bulk_rows : BULK_ROWS;
    c->notice = o->notice;
    c->ctx = o->ctx;
    c->from = o->from;
    c->decoder.series = o->series;
    c->decoder.mark.clock_ns = c->decoder.mark.committed_ns = TIME_ABSENT;
    c->idle_told_ns = clock_mono_ns();
    retry_init(&c->retry, &reconnect, (uint64_t)c->idle_told_ns);
    changes_queue_init(&c->queue, c->buffer_bytes);
    c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(c->stop_fd >= 0);
    return c;
}

struct changes *changes_close(struct changes *c)
{
    if (!c) return NULL;
    atomic_store(&c->stop, true);
    uint64_t one = 1;
    CHECK(write(c->stop_fd, &one, sizeof one) == sizeof one);
    if (c->started) pthread_join(c->thread, NULL);
    close(c->stop_fd);
    changes_queue_free(&c->queue);
    changes_decoder_free(&c->decoder);
    free(c->url);
    free(c->slot);
    free(c->publication);
    free(c);
    return NULL;
}

static enum err_code check_until_free(struct changes *c, struct changes_link *l,
                                      struct changes_checked *ret, struct err *e)
{
    bool create = c->from.lsn == 0 && c->from.system == 0;
    bool told = false;
    for (int64_t until = clock_mono_ns() + IN_USE_MS * NS_PER_MS;;) {
        enum err_code code = changes_check(l, &c->names, &c->from, create, ret, e);
        if (code != ERR_IN_USE || clock_mono_ns() > until) return code;
        if (!told) changes_tell(c, "slot in use", "%s; waiting a little", e ? e->text : "");
        told = true;
        clock_sleep_ns(200 * NS_PER_MS);
    }
}

/* What a first connection tells; the receiving thread makes its own. */
static enum err_code start(struct changes *c, struct err *e)
{
    struct changes_link l;
    struct changes_checked k;
    TRY(changes_check_names(&c->names, e));
    TRY(changes_link_open(&l, c->url, CHANGES_REPLICATION, -1, e));
    enum err_code code = check_until_free(c, &l, &k, e);
    if (code == ERR_OK) code = changes_load_series(&l, c->decoder.series, e);
    if (code == ERR_OK && k.created)
        changes_tell(c, "slot made", "%s slot=%s position=" CHANGES_LSN "%s", l.address, c->slot,
                     CHANGES_LSN_ARG(k.confirmed_lsn),
                     k.published_before
                         ? ": the store holds batches from before, which it does not "
                           "give; `ticklake verify` tells what is missing"
                         : "");
    changes_link_close(&l);
    TRY(code);
    c->from.system = k.system;
    if (c->from.lsn == 0) c->from.lsn = k.confirmed_lsn;
    struct changes_decoder *d = &c->decoder;
    c->filter = (struct changes_filter){c->from.lsn, c->from.row, c->from.row > 0, false, false, 0};
    d->open = c->from.row > 0;
    d->begin = c->from.lsn;
    d->rows = c->from.row;
    d->mark.position = c->from;
    atomic_store(&c->confirmed, k.confirmed_lsn);
    atomic_store(&c->acknowledged, k.confirmed_lsn);
    atomic_store(&c->received, c->from.lsn);
    atomic_store(&c->server, k.server_lsn);
    return ERR_OK;
}

enum err_code changes_open(const struct changes_options *o, struct changes **ret, struct err *e)
{
    CHECK(o->url && o->slot && o->publication && o->series);
    *ret = NULL;
    struct changes *c = new_changes(o);
    enum err_code code = start(c, e);
    if (code != ERR_OK) {
        changes_close(c);
        return code;
    }
    CHECK(pthread_create(&c->thread, NULL, changes_thread, c) == 0);
    c->started = true;
    *ret = c;
    return ERR_OK;
}

/* Progress without rows of ours: everything that was taken lies before it. */
static bool idle_progress(struct changes *c, uint64_t idle_lsn)
{
    struct changes_decoder *d = &c->decoder;
    int64_t now = clock_mono_ns();
    if (d->open || idle_lsn <= d->mark.position.lsn) return false;
    if (now - c->idle_told_ns < IDLE_MS * NS_PER_MS) return false;
    c->idle_told_ns = now;
    d->mark.position.lsn = idle_lsn;
    d->mark.position.row = 0;
    return true;
}

static enum err_code decode_error(struct changes *c, enum err_code code, struct err *e)
{
    const struct changes_decoder *d = &c->decoder;
    uint64_t lsn = d->open ? d->begin : d->mark.position.lsn;
    (void)err_prefix(e, "slot %s, transaction " CHANGES_LSN ", behind row %lld: ", c->slot,
                     CHANGES_LSN_ARG(lsn), (long long)(d->open ? d->rows : 0));
    return code;
}

static bool has_room(const struct batch *b)
{
    return !batch_is_full(b) && b->instrument_count < INSTRUMENTS;
}

/* Nothing is queued (any more). */
static enum err_code nothing_came(struct changes *c, uint64_t idle_lsn, bool *ret_done,
                                  struct err *e)
{
    if (!changes_queue_is_over(&c->queue)) {
        *ret_done = idle_progress(c, idle_lsn);
        return ERR_OK;
    }
    if (e) *e = c->failure;
    return c->failure.code == ERR_OK ? ERR(e, ERR_STOPPED, "stopped") : c->failure.code;
}

enum err_code changes_read(struct changes *c, int32_t timeout_ms, struct batch *b,
                           struct changes_mark *ret, int64_t *ret_rows, struct err *e)
{
    int64_t until = clock_mono_ns() + timeout_ms * NS_PER_MS, rows = 0;
    bool done = false;
    while (!done && has_room(b)) {
        struct str message;
        uint64_t idle_lsn = 0;
        int64_t left_ms = rows ? 0 : (until - clock_mono_ns() + NS_PER_MS - 1) / NS_PER_MS;
        if (left_ms > SLICE_MS) left_ms = SLICE_MS;
        if (!changes_queue_peek(&c->queue, (int32_t)left_ms, &message, &idle_lsn)) {
            if (rows > 0) break;
            TRY(nothing_came(c, idle_lsn, &done, e));
            if (left_ms <= 0) break;
            continue;
        }
        bool row;
        enum err_code code = changes_decode(&c->decoder, message, b, &row, e);
        if (code == ERR_FULL && rows > 0) break; /* it comes again, first in the next batch */
        if (code != ERR_OK) return decode_error(c, code, e);
        changes_queue_drop(&c->queue);
        rows += row;
        done = b->finish; /* what follows belongs to another input */
    }
    if (rows > 0) c->idle_told_ns = clock_mono_ns();
    atomic_store(&c->rows, c->decoder.row_total);
    atomic_store(&c->transactions, c->decoder.transaction_total);
    *ret = c->decoder.mark;
    *ret_rows = rows;
    return ERR_OK;
}

void changes_confirm(struct changes *c, const struct changes_position *upto)
{
    /* More than was handed out would let the server forget what nobody has. */
    CHECK(upto->lsn <= c->decoder.mark.position.lsn);
    if (upto->lsn > atomic_load(&c->confirmed)) atomic_store(&c->confirmed, upto->lsn);
}

void changes_stats(const struct changes *c, struct changes_stats *ret)
{
    struct changes *m = (struct changes *)(uintptr_t)c; /* loads of atomics and the queue's lock */
    *ret = (struct changes_stats){.rows = atomic_load(&m->rows),
                                  .transactions = atomic_load(&m->transactions),
                                  .bytes = atomic_load(&m->bytes),
                                  .connects = atomic_load(&m->connects),
                                  .bulk_reads = atomic_load(&m->bulk_reads),
                                  .buffered_bytes = (int64_t)changes_queue_bytes(&m->queue),
                                  .received_lsn = atomic_load(&m->received),
                                  .confirmed_lsn = atomic_load(&m->acknowledged),
                                  .server_lsn = atomic_load(&m->server)};
}
