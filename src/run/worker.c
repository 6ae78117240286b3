#include "run/worker_internal.h"

#include "io/clock.h"

#include <stdlib.h>

enum { BATCH_EVENTS = 16384, BATCH_TEXT = 64 << 20, POLL_MS = 50 };

static void notice(void *ctx, const char *what, const char *detail)
{
    (void)ctx;
    LOG(WARN, "bus", what, LOG_STR("detail", detail));
}

/* --- partitions come and go (called from within bus_consumer_read) --- */

static enum err_code gained(void *ctx, int32_t partition, struct bus_offsets *ret_from,
                            struct err *e)
{
    struct worker *w = ctx;
    LOG(INFO, "process", "partition gained", LOG_I64("partition", partition));
    for (int attempt = 0;; attempt++) {
        enum err_code code = worker_part_open(w, partition, ret_from, e);
        if (code == ERR_OK || err_action(code) != ACT_RETRY) return code;
        if (!worker_wait_retry(w, "lake", e, attempt)) return code;
    }
}

static enum err_code losing(void *ctx, int32_t partition, bool lost, struct err *e)
{
    struct worker *w = ctx;
    if (!w->owned[partition]) return ERR_OK;
    LOG(INFO, "process", lost ? "partition lost" : "partition given up",
        LOG_I64("partition", partition));
    enum err_code code = ERR_OK;
    /* What is pushed is one heap for all partitions: where one may be somebody else's already, all of it goes. */
    if (lost)
        w->begin_again = true;
    else if (!w->begin_again)
        code = worker_commit(w, e);
    worker_part_close(w, partition);
    return code;
}

static enum err_code begin_again(struct worker *w, struct err *e)
{
    w->begin_again = false;
    lake_drop(w->lake);
    w->received_count = 0;
    for (int32_t i = 0; i < BUS_PARTITIONS_MAX; i++) {
        if (!w->owned[i]) continue;
        struct bus_offsets from;
        worker_part_close(w, i);
        TRY(worker_part_open(w, i, &from, e));
        TRY(bus_consumer_seek(w->consumer, i, &from, e));
    }
    return ERR_OK;
}

/* --- the loop --- */

static void show(struct worker *w)
{
    int64_t lag = 0, candles = 0, late = 0;
    for (int32_t i = 0; i < BUS_PARTITIONS_MAX; i++) {
        if (!w->owned[i]) continue;
        struct process_stats s;
        process_stats(w->owned[i]->shard.process, &s);
        lag += bus_consumer_lag(w->consumer, i);
        candles += s.candles;
        late += s.late;
    }
    struct bus_strange strange;
    struct lake_stats lake;
    bus_consumer_strange(w->consumer, &strange);
    lake_stats(w->lake, &lake);
    atomic_store(&w->columns_added, lake.columns_added);
    atomic_store(&w->fields_left_out, strange.fields_left_out + lake.columns_refused);
    atomic_store(&w->records_unreadable, strange.records_unreadable);
    atomic_store(&w->lag, lag);
    atomic_store(&w->candles, candles);
    atomic_store(&w->late, late);
}

static enum err_code step(struct worker *w, struct err *e)
{
    struct batch *b = batch_get(w->pool, -1);
    int32_t number = -1;
    struct bus_offsets next;
    enum err_code code = bus_consumer_read(w->consumer, POLL_MS, b, &number, &next, e);
    if (code == ERR_OK && number >= 0 && !w->begin_again && w->owned[number])
        code = worker_part_take(w, w->owned[number], b, &next, e);
    batch_put(b);
    TRY(code);
    for (int32_t i = 0; i < BUS_PARTITIONS_MAX && !w->begin_again; i++)
        if (w->owned[i]) TRY(worker_part_tick(w, w->owned[i], e));
    if (!w->begin_again) TRY(worker_commit_if_due(w, e));
    if (w->begin_again) TRY(begin_again(w, e));
    show(w);
    return ERR_OK;
}

static enum err_code open_outside(struct worker *w, struct err *e)
{
    const struct config *c = w->options.config;
    struct lake_options lake;
    w->begin_again = false;
    w->bus = distributed_bus(&w->parts_of_config, w->series);
    w->bus.notice = notice;
    w->bus.cancel = &w->stopping;
    TRY(distributed_lake(&w->parts_of_config, w->series, true, &lake, e));
    TRY(lake_open(&lake, &w->lake, e));
    TRY(bus_prepare(&w->bus, true, e));
    struct bus_consumer_options o = {
        .bus = &w->bus,
        .group = c->bus.group,
        .client = w->parts_of_config.worker,
        .gained = gained,
        .losing = losing,
        .ctx = w,
    };
    return bus_consumer_open(&o, &w->consumer, e);
}

static void close_outside(struct worker *w)
{
    w->consumer = bus_consumer_close(w->consumer);
    for (int32_t i = 0; i < BUS_PARTITIONS_MAX; i++) worker_part_close(w, i);
    w->lake = lake_close(w->lake);
}

static enum err_code work(struct worker *w, struct err *e)
{
    if (!w->consumer) TRY(open_outside(w, e));
    w->committed_mono_ns = w->revised_mono_ns = clock_mono_ns();
    enum err_code code = ERR_OK;
    while (!atomic_load(&w->stopping) && code == ERR_OK) code = step(w, e);
    /* A read that was cut short by the stop gave nothing, so that what is pushed is whole. */
    if (code != ERR_OK && code != ERR_STOPPED) return code;
    return w->begin_again ? ERR_OK : worker_commit(w, e);
}

static void fail(struct worker *w, const struct err *e)
{
    w->failure = *e;
    atomic_store(&w->failed, true);
    if (w->options.on_failure) w->options.on_failure(w->options.ctx);
}

static void *worker_thread(void *ctx)
{
    struct worker *w = ctx;
    for (int attempt = 0; !atomic_load(&w->stopping); attempt++) {
        struct err e = {0};
        int64_t began_ns = clock_mono_ns();
        enum err_code code = work(w, &e);
        if (code == ERR_OK) break;
        /* Half a batch may be pushed: nothing of it is committed on the way out. */
        w->begin_again = true;
        close_outside(w);
        if (code == ERR_STOPPED) break;
        if (err_action(code) != ACT_RETRY) {
            fail(w, &e);
            break;
        }
        if (clock_mono_ns() - began_ns > 30 * NS_PER_S) attempt = 0;
        if (!worker_wait_retry(w, "process", &e, attempt)) break;
    }
    close_outside(w);
    return NULL;
}

/* --- calls --- */

enum err_code worker_start(const struct worker_options *o, struct worker **ret, struct err *e)
{
    struct worker *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    w->options = *o;
    w->series = series_new();
    w->pool = batch_pool_new(1, BATCH_EVENTS, BATCH_TEXT);
    enum err_code code = distributed_open(&w->parts_of_config, o->config, e);
    /* The first try is made here, so that a wrong setting ends the program instead of a log line. */
    if (code == ERR_OK) {
        code = open_outside(w, e);
        if (code != ERR_OK && err_action(code) == ACT_RETRY) {
            LOG(WARN, "process", "not there yet", LOG_STR("what", e->text));
            close_outside(w);
            code = ERR_OK;
        }
    }
    if (code == ERR_OK && pthread_create(&w->thread, NULL, worker_thread, w) != 0)
        code = ERR(e, ERR_INTERNAL, "cannot start a thread; is the process limit reached?");
    if (code != ERR_OK) {
        worker_close(w);
        return code;
    }
    w->started = true;
    *ret = w;
    return ERR_OK;
}

void worker_stop(struct worker *w) { atomic_store(&w->stopping, true); }

enum err_code worker_join(struct worker *w, struct err *e)
{
    if (w->started) pthread_join(w->thread, NULL);
    w->started = false;
    if (!atomic_load(&w->failed)) return ERR_OK;
    if (e) *e = w->failure;
    return w->failure.code;
}

struct worker *worker_close(struct worker *w)
{
    if (!w) return NULL;
    struct err ignored;
    worker_stop(w);
    if (worker_join(w, &ignored) != ERR_OK) {
        /* The cause was returned by worker_join before, or logged. */
    }
    close_outside(w);
    batch_pool_free(w->pool);
    distributed_close(&w->parts_of_config);
    series_free(w->series);
    free(w);
    return NULL;
}

bool worker_failed(const struct worker *w)
{
    return atomic_load(&((struct worker *)(uintptr_t)w)->failed);
}

void worker_status(struct worker *w, struct worker_status *ret)
{
    *ret = (struct worker_status){
        .events = atomic_load(&w->events),
        .trades = atomic_load(&w->trades),
        .quotes = atomic_load(&w->quotes),
        .candles = atomic_load(&w->candles),
        .late = atomic_load(&w->late),
        .revisions = atomic_load(&w->revisions),
        .commits = atomic_load(&w->commits),
        .fenced = atomic_load(&w->fenced),
        .retries = atomic_load(&w->retries),
        .partitions = atomic_load(&w->partitions),
        .lag = atomic_load(&w->lag),
        .buffered_rows = atomic_load(&w->buffered_rows),
        .last_commit_ns = atomic_load(&w->last_commit_ns),
        .columns_added = atomic_load(&w->columns_added),
        .fields_left_out = atomic_load(&w->fields_left_out),
        .records_unreadable = atomic_load(&w->records_unreadable),
        .failed = worker_failed(w),
    };
    histogram_read(&w->visible, &ret->visible);
}

void worker_latency_metrics(struct worker *x, struct buf *out)
{
    histogram_metrics(&x->visible, "ticklake_lake_visible_latency_seconds",
                      "From the receipt of a batch's first event until it is in the lake.", out);
}
