#include "run/run_internal.h"

#include "io/clock.h"
#include "io/file.h"

#include <stdlib.h>

enum { BATCH_TEXT_PER_EVENT = 512, BATCH_TEXT_LEAST = 16 << 20 };

void run_fail(struct run *r, const struct err *e)
{
    pthread_mutex_lock(&r->failure_lock);
    bool first = !atomic_load(&r->failed);
    if (first) r->failure = *e;
    atomic_store(&r->failed, true);
    pthread_mutex_unlock(&r->failure_lock);
    if (!first) return;
    if (r->options.on_failure) r->options.on_failure(r->options.ctx);
    ring_close(r->to_store);
    ring_close(r->to_lake);
}

bool run_failed(const struct run *r) { return atomic_load(&((struct run *)(uintptr_t)r)->failed); }

bool run_wait_retry(struct run *r, const char *stage, const struct err *e, int attempt)
{
    enum { FIRST_MS = 100, CAP_MS = 5000, STEP_MS = 50 };
    int64_t pause_ms = attempt >= 6 ? CAP_MS : (int64_t)FIRST_MS << attempt;
    atomic_fetch_add(&r->retries, 1);
    LOG(WARN, stage, "trying again", LOG_STR("error", err_name(e->code)), LOG_STR("what", e->text),
        LOG_I64("attempt", attempt + 1), LOG_I64("pause_ms", pause_ms));
    for (int64_t waited = 0; waited < pause_ms && !run_failed(r); waited += STEP_MS)
        clock_sleep_ns(STEP_MS * NS_PER_MS);
    return !run_failed(r);
}

static enum err_code open_lake(struct run *r, struct err *e)
{
    struct lake_options o;
    TRY(distributed_lake(&r->parts, r->series, true, &o, e));
    return lake_open(&o, &r->lake, e);
}

/* The slot keeps what the bus has not got yet, so it must be there before the first row is. */
static enum err_code make_slot(struct run *r, struct err *e)
{
    const struct config *c = r->options.config;
    if (!distributed_has_bus(c)) return ERR_OK;
    bool made;
    TRY(changes_make_slot(c->store.url, c->store.slot, c->store.publication, &made, e));
    if (made) LOG(INFO, "store", "slot made", LOG_STR("slot", c->store.slot));
    return ERR_OK;
}

static enum err_code open_store(struct run *r, struct err *e)
{
    struct store_options o = distributed_store(&r->parts, r->series);
    o.role = r->options.guest ? STORE_GUEST : STORE_OWNER;
    o.live = !r->options.replaying;
    if (r->options.writer) o.writer = r->options.writer;
    TRY(store_open(&o, &r->store, e));
    TRY(make_slot(r, e));
    if (!r->options.without_lake) TRY(store_tail_open(&o, &r->tail, e));
    const struct store_state *s = store_state(r->store);
    r->past = (struct source_past){
        .dedup = s->dedup,
        .dedup_count = s->dedup_count,
        .positions = s->positions,
        .position_count = s->position_count,
        .open_gaps = s->open_gaps,
        .open_gap_count = s->open_gap_count,
        .next_gap_id = s->next_gap_id,
        .last_received_ns = s->last_received_ns,
        .instruments = s->instruments,
        .instrument_count = s->instrument_count,
        .brought = s->brought,
        .brought_count = s->brought_count,
        .of_all_writers = r->options.guest,
    };
    atomic_store(&r->durable, s->last_sequence);
    atomic_store(&r->received, s->last_sequence);
    atomic_store(&r->gaps_open, (int64_t)s->open_gap_count);
    r->newest_gap_id = s->next_gap_id - 1;
    return ERR_OK;
}

static enum err_code open_parts(struct run *r, struct err *e)
{
    const struct config *c = r->options.config;
    TRY(distributed_open(&r->parts, c, e));
    if (c->store.url && !r->options.without_lake)
        return ERR(e, ERR_CONFIG,
                   "store.url is set, but bus.brokers is not: set it, or let this process run "
                   "--stages source,store alone");
    TRY(file_make_folders(c->data, e));
    /* PostgreSQL has a lock for each writer name: several may share a folder there. */
    if (!c->store.url) TRY(file_lock(c->data, r->options.command, &r->lock_fd, e));
    if (!r->options.without_store)
        TRY(open_store(r, e));
    else
        r->past = (struct source_past){.next_gap_id = 1, .last_received_ns = TIME_ABSENT};
    if (r->options.without_lake) return ERR_OK;
    TRY(open_lake(r, e));
    return run_restore(r, e);
}

enum err_code run_open(const struct run_options *o, struct run **ret, struct err *e)
{
    struct run *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    r->options = *o;
    r->lock_fd = -1;
    pthread_mutex_init(&r->failure_lock, NULL);
    r->series = series_new();
    const struct config *c = o->config;
    size_t events = (size_t)c->source.batch_events;
    size_t text = events * BATCH_TEXT_PER_EVENT;
    if (text < BATCH_TEXT_LEAST) text = BATCH_TEXT_LEAST;
    r->pool = batch_pool_new((size_t)c->source.batches, events, text);
    r->tail_pool = batch_pool_new(1, events, text);
    r->to_store = ring_new(RING_BATCHES);
    r->to_lake = ring_new(RING_BATCHES);
    enum err_code code = open_parts(r, e);
    if (code != ERR_OK) {
        run_close(r);
        return code;
    }
    *ret = r;
    return ERR_OK;
}

const struct source_past *run_past(const struct run *r) { return &r->past; }
struct series_table *run_series(struct run *r) { return r->series; }
struct batch_pool *run_pool(struct run *r) { return r->pool; }

struct source_options run_source_options(struct run *r, enum origin origin)
{
    const struct config *c = r->options.config;
    return (struct source_options){
        .series = r->series,
        .pool = r->pool,
        .push = run_push,
        .push_ctx = r,
        .batch_ms = (int32_t)c->source.batch_ms,
        .gap_grace_ns = c->source.gap_grace_ms * NS_PER_MS,
        .future_limit_ns = c->source.future_limit_ms * NS_PER_MS,
        .origin = (uint8_t)origin,
    };
}

enum err_code run_start(struct run *r, struct err *e)
{
    if (pthread_create(&r->store_thread, NULL, run_store_thread, r) != 0 ||
        (!r->options.without_lake &&
         pthread_create(&r->lake_thread, NULL, run_lake_thread, r) != 0))
        return ERR(e, ERR_INTERNAL, "cannot start threads; is the process limit reached?");
    r->started = true;
    return ERR_OK;
}

enum err_code run_push(void *run, struct batch *b, struct err *e)
{
    struct run *r = run;
    atomic_fetch_add(&r->received, b->event_count ? (int64_t)b->event_count : 1);
    atomic_fetch_add(&r->trades, (int64_t)b->trade_count);
    atomic_fetch_add(&r->quotes, (int64_t)b->quote_count);
    atomic_fetch_add(&r->dead, (int64_t)b->dead_count);
    atomic_fetch_add(&r->duplicates, b->duplicates);
    while (!ring_push(r->to_store, b, 200)) {
        if (!run_failed(r)) continue;
        batch_put(b);
        return ERR(e, ERR_STOPPED, "the pipeline stopped");
    }
    return ERR_OK;
}

enum err_code run_drain(struct run *r, bool finish, struct err *e)
{
    atomic_store(&r->finish, finish);
    ring_close(r->to_store);
    if (r->started) {
        pthread_join(r->store_thread, NULL);
        if (!r->options.without_lake) pthread_join(r->lake_thread, NULL);
        r->started = false;
    }
    if (!run_failed(r)) return ERR_OK;
    if (e) *e = r->failure;
    return r->failure.code;
}

static void empty_ring(struct ring *ring)
{
    if (!ring) return;
    for (struct batch *b; (b = ring_pop(ring, 0)) != NULL;) batch_put(b);
    ring_free(ring);
}

struct run *run_close(struct run *r)
{
    if (!r) return NULL;
    struct err ignored;
    if (r->started && run_drain(r, false, &ignored) != ERR_OK) {
        /* The cause was returned by run_drain or logged where it happened. */
    }
    empty_ring(r->to_store);
    empty_ring(r->to_lake);
    shard_close(&r->shard);
    lake_close(r->lake);
    store_tail_close(r->tail);
    store_close(r->store);
    batch_pool_free(r->pool);
    batch_pool_free(r->tail_pool);
    series_free(r->series);
    distributed_close(&r->parts);
    file_unlock(r->lock_fd);
    pthread_mutex_destroy(&r->failure_lock);
    free(r);
    return NULL;
}
