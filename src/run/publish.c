#include "run/publish.h"

#include "base/crash.h"
#include "io/clock.h"
#include "io/retry.h"
#include "run/distributed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { BATCH_EVENTS = 16384, BATCH_TEXT = 64 << 20 };
#define WAIT_NS (100 * NS_PER_MS)

struct publish {
    struct publish_options options;
    struct distributed parts;
    struct series_table *series;
    struct batch_pool *pool;
    pthread_t thread;
    bool started;
    atomic_bool stopping, failed, connected;
    struct err failure;
    struct changes *changes;
    struct bus_publisher *bus;
    bool shared;                  /* others publish beside us */
    struct bus_position position; /* as committed */
    int64_t finishes_before;      /* position.finishes when changes was opened */
    _Atomic int64_t rows, retries, committed_ns, behind_bytes, buffered_bytes, connects;
    _Atomic int64_t records, bytes, transactions, aborts;
    _Atomic uint64_t lsn;
    struct histogram lag;
};

/* What goes into the transaction that is open. */
struct open_transaction {
    struct changes_mark mark;
    int64_t rows, began_ns;
    bool moved; /* the mark is another than the committed position */
};

static void notice(void *ctx, const char *what, const char *detail)
{
    (void)ctx;
    LOG(WARN, "bus", what, LOG_STR("detail", detail));
}

/* --- connecting --- */

static void disconnect(struct publish *p)
{
    p->changes = changes_close(p->changes);
    p->shared |= p->bus && bus_publisher_shares(p->bus);
    p->bus = bus_publisher_close(p->bus);
    atomic_store(&p->connected, false);
}

static enum err_code connect_both(struct publish *p, struct err *e)
{
    const struct config *c = p->options.config;
    struct bus_options bus = distributed_bus(&p->parts, p->series);
    bus.notice = notice;
    bus.shared = p->shared;
    bus.cancel = &p->stopping;
    TRY(bus_prepare(&bus, true, e));
    TRY(bus_publisher_open(&bus, c->bus.name, &p->bus, &p->position, e));
    struct changes_options o = {
        .url = c->store.url,
        .slot = c->store.slot,
        .publication = c->store.publication,
        .series = p->series,
        .from = {p->position.system, p->position.lsn, p->position.row},
        .buffer_bytes = (size_t)c->bus.buffer_mb << 20,
        .notice = notice,
    };
    enum err_code code = changes_open(&o, &p->changes, e);
    if (code != ERR_OK) {
        disconnect(p);
        return code;
    }
    p->finishes_before = p->position.finishes;
    atomic_store(&p->connected, true);
    LOG(INFO, "bus", "publishing", LOG_STR("brokers", c->bus.brokers),
        LOG_STR("slot", c->store.slot));
    return ERR_OK;
}

/* --- one transaction --- */

static void show(struct publish *p)
{
    struct changes_stats s;
    struct bus_publisher_stats b;
    changes_stats(p->changes, &s);
    bus_publisher_stats(p->bus, &b);
    atomic_store(&p->buffered_bytes, s.buffered_bytes);
    atomic_store(&p->connects, s.connects);
    atomic_store(&p->behind_bytes,
                 s.server_lsn > s.confirmed_lsn ? (int64_t)(s.server_lsn - s.confirmed_lsn) : 0);
    atomic_store(&p->records, b.records);
    atomic_store(&p->bytes, b.bytes);
    atomic_store(&p->transactions, b.transactions);
    atomic_store(&p->aborts, b.aborts);
}

static enum err_code commit(struct publish *p, struct open_transaction *t, struct err *e)
{
    if (!t->moved) return ERR_OK;
    struct bus_position next = {
        .system = t->mark.position.system,
        .lsn = t->mark.position.lsn,
        .row = t->mark.position.row,
        .clock_ns = t->mark.clock_ns != TIME_ABSENT ? t->mark.clock_ns : p->position.clock_ns,
        .finishes = p->finishes_before + t->mark.finishes,
    };
    CRASH_POINT(bus_before_commit);
    TRY(bus_publisher_commit(p->bus, &next, e));
    CRASH_POINT(bus_after_commit);
    p->position = next;
    changes_confirm(p->changes, &t->mark.position);
    if (t->rows) {
        histogram_add(&p->lag, clock_wall_ns() - t->mark.committed_ns);
        atomic_store(&p->committed_ns, t->mark.committed_ns);
    }
    atomic_store(&p->lsn, next.lsn);
    atomic_fetch_add(&p->rows, t->rows);
    *t = (struct open_transaction){0};
    show(p);
    return ERR_OK;
}

static enum err_code take(struct publish *p, struct open_transaction *t, int32_t wait_ms,
                          struct err *e)
{
    struct batch *b = batch_get(p->pool, -1);
    struct changes_mark mark = {0};
    int64_t rows = 0;
    enum err_code code = changes_read(p->changes, wait_ms, b, &mark, &rows, e);
    if (code == ERR_OK && rows > 0) code = bus_publish(p->bus, b, e);
    batch_put(b);
    TRY(code);
    bool moved = mark.position.lsn != p->position.lsn || mark.position.row != p->position.row;
    if (rows == 0 && !moved) return ERR_OK;
    if (!t->moved) t->began_ns = clock_mono_ns();
    t->moved = true;
    t->rows += rows;
    t->mark = mark;
    bus_publisher_finishes(p->bus, p->finishes_before + mark.finishes);
    return ERR_OK;
}

/* A transaction costs about the same whatever its size, so time cuts it; one without events only carries the clock on, and
 * once a second is enough for that. */
static enum err_code work(struct publish *p, struct err *e)
{
    const int64_t cut_ns = p->options.config->bus.transaction_ms * NS_PER_MS;
    struct open_transaction t = {0};
    while (!atomic_load(&p->stopping)) {
        int64_t left_ns = t.moved ? t.began_ns + cut_ns - clock_mono_ns() : WAIT_NS;
        if (left_ns <= 0) {
            TRY(commit(p, &t, e));
            continue;
        }
        int64_t wait_ms = left_ns / NS_PER_MS + 1;
        TRY(take(p, &t, (int32_t)(wait_ms < 100 ? wait_ms : 100), e));
    }
    return commit(p, &t, e);
}

static void fail(struct publish *p, const struct err *e)
{
    p->failure = *e;
    atomic_store(&p->failed, true);
    if (p->options.on_failure) p->options.on_failure(p->options.ctx);
}

static void pause_ms(struct publish *p, int32_t ms)
{
    for (int32_t waited = 0; waited < ms && !atomic_load(&p->stopping); waited += 50)
        clock_sleep_ns(50 * NS_PER_MS);
}

static void *publish_thread(void *ctx)
{
    static const struct retry_policy policy = {200, 10000, 2};
    struct publish *p = ctx;
    struct retry retry;
    retry_init(&retry, &policy, (uint64_t)clock_mono_ns());
    while (!atomic_load(&p->stopping)) {
        struct err e = {0};
        int64_t began_ns = clock_mono_ns();
        enum err_code code = p->bus ? ERR_OK : connect_both(p, &e);
        if (code == ERR_OK) code = work(p, &e);
        if (code == ERR_OK || code == ERR_STOPPED) break;
        disconnect(p);
        if (code == ERR_FENCED)
            code = err_prefix(&e, "another publisher runs under the name %s (bus.name)",
                              p->options.config->bus.name);
        if (code == ERR_FENCED || err_action(code) != ACT_RETRY) {
            fail(p, &e);
            break;
        }
        if (clock_mono_ns() - began_ns > 30 * NS_PER_S) retry_reset(&retry);
        int32_t wait_ms = retry_next_ms(&retry);
        atomic_fetch_add(&p->retries, 1);
        LOG(WARN, "bus", "trying again", LOG_STR("error", err_name(code)), LOG_STR("what", e.text),
            LOG_I64("pause_ms", wait_ms));
        pause_ms(p, wait_ms);
    }
    disconnect(p);
    return NULL;
}

/* --- calls --- */

enum err_code publish_start(const struct publish_options *o, struct publish **ret, struct err *e)
{
    struct publish *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    p->options = *o;
    p->series = series_new();
    p->pool = batch_pool_new(1, BATCH_EVENTS, BATCH_TEXT);
    enum err_code code = distributed_open(&p->parts, o->config, e);
    /* The first connection is made here, so that a wrong setting ends the program instead of a log line. */
    if (code == ERR_OK) {
        code = connect_both(p, e);
        if (code != ERR_OK && code != ERR_FENCED && err_action(code) == ACT_RETRY) {
            LOG(WARN, "bus", "not there yet", LOG_STR("what", e->text));
            code = ERR_OK;
        }
    }
    if (code == ERR_OK && pthread_create(&p->thread, NULL, publish_thread, p) != 0)
        code = ERR(e, ERR_INTERNAL, "cannot start a thread; is the process limit reached?");
    if (code != ERR_OK) {
        publish_close(p);
        return code;
    }
    p->started = true;
    *ret = p;
    return ERR_OK;
}

void publish_stop(struct publish *p) { atomic_store(&p->stopping, true); }

enum err_code publish_join(struct publish *p, struct err *e)
{
    if (p->started) pthread_join(p->thread, NULL);
    p->started = false;
    if (!atomic_load(&p->failed)) return ERR_OK;
    if (e) *e = p->failure;
    return p->failure.code;
}

struct publish *publish_close(struct publish *p)
{
    if (!p) return NULL;
    struct err ignored;
    publish_stop(p);
    if (publish_join(p, &ignored) != ERR_OK) {
        /* The cause was returned by publish_join before, or logged. */
    }
    disconnect(p);
    batch_pool_free(p->pool);
    distributed_close(&p->parts);
    series_free(p->series);
    free(p);
    return NULL;
}

bool publish_failed(const struct publish *p)
{
    return atomic_load(&((struct publish *)(uintptr_t)p)->failed);
}

void publish_status(struct publish *p, struct publish_status *ret)
{
    *ret = (struct publish_status){
        .rows = atomic_load(&p->rows),
        .records = atomic_load(&p->records),
        .bytes = atomic_load(&p->bytes),
        .transactions = atomic_load(&p->transactions),
        .aborts = atomic_load(&p->aborts),
        .retries = atomic_load(&p->retries),
        .connects = atomic_load(&p->connects),
        .behind_bytes = atomic_load(&p->behind_bytes),
        .buffered_bytes = atomic_load(&p->buffered_bytes),
        .committed_ns = atomic_load(&p->committed_ns),
        .lsn = atomic_load(&p->lsn),
        .connected = atomic_load(&p->connected),
        .failed = publish_failed(p),
    };
    histogram_read(&p->lag, &ret->lag);
}

void publish_latency_metrics(struct publish *x, struct buf *out)
{
    histogram_metrics(&x->lag, "ticklake_bus_lag_seconds",
                      "From the commit in PostgreSQL until Kafka has acknowledged.", out);
}
