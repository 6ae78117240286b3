/* The store thread: makes each batch durable, then hands it on. */
#include "run/run_internal.h"

#include "io/clock.h"

enum { IDLE_MS = 500, RETAIN_EVERY_MS = 5000, RETAIN_AGAIN_MS = 100, CLOCK_EVERY_MS = 1000 };

/* Without a store the batches are only numbered; for the bench of what durability costs. */
static enum err_code append(struct run *r, struct batch *b, struct err *e)
{
    if (r->store) return store_append(r->store, b, e);
    batch_number(b, atomic_load(&r->durable) + 1);
    return ERR_OK;
}

/* Rows go only below everything that may still be read again: the lake's position and the open windows' first trade.
 * Returns in how many ms to look again: a call removes a bounded number, and more than that may come in. */
static int64_t retain(struct run *r)
{
    int64_t hours = r->options.config->store.retention_hours;
    if (!r->store || hours == 0) return RETAIN_EVERY_MS;
    struct err e = {0};
    bool more = false;
    /* PostgreSQL knows by itself what its slot still needs. */
    int64_t below = r->options.without_lake ? INT64_MAX : atomic_load(&r->keep_from);
    enum err_code code =
        store_retain(r->store, below, clock_wall_ns() - hours * NS_PER_HOUR, &more, &e);
    if (code != ERR_OK) log_error("store", "retention", &e);
    return code == ERR_OK && more ? RETAIN_AGAIN_MS : RETAIN_EVERY_MS;
}

static bool append_until_durable(struct run *r, struct batch *b)
{
    for (int attempt = 0;; attempt++) {
        struct err e = {0};
        enum err_code code = append(r, b, &e);
        if (code == ERR_OK) return true;
        if (err_action(code) != ACT_RETRY) {
            run_fail(r, &e);
            return false;
        }
        if (code == ERR_FULL) retain(r); /* nothing else makes room while this batch waits */
        if (!run_wait_retry(r, "store", &e, attempt)) return false;
    }
}

/* A gap is told again whenever it changes. Their ids rise, so a higher one than any before is told the first time. */
static void count_gaps(struct run *r, const struct batch *b)
{
    for (size_t i = 0; i < b->gap_count; i++) {
        const struct gap *g = &b->gaps[i];
        bool first = g->gap_id > r->newest_gap_id, open = g->state == GAP_STATE_OPEN;
        if (first) r->newest_gap_id = g->gap_id;
        if (first && open) atomic_fetch_add(&r->gaps_open, 1);
        if (!first && !open) atomic_fetch_sub(&r->gaps_open, 1);
    }
}

static void hand_on(struct run *r, struct batch *b)
{
    if (r->options.without_lake) {
        batch_put(b); /* goes on from PostgreSQL */
        return;
    }
    bool replaying = r->options.replaying || !r->store;
    while (!ring_push(r->to_lake, b, replaying ? 200 : 0)) {
        if (replaying && !run_failed(r)) continue;
        batch_put(b); /* durable: the lake thread reads it from the tail */
        return;
    }
}

/* Downstream closes quiet windows by the source's clock as it is in the store: an empty batch carries it on. */
static bool tell_clock(struct run *r, bool finish)
{
    struct batch *b = batch_get(r->pool, finish ? -1 : 0);
    if (!b) return true; /* all batches are with the source: there will be events */
    if (!r->options.replaying) b->clock_ns = clock_wall_ns();
    b->finish = finish;
    bool good = append_until_durable(r, b);
    if (good) atomic_store(&r->durable, b->last_sequence);
    batch_put(b);
    return good;
}

static bool clock_is_due(const struct run *r, int64_t appended_ns)
{
    return r->options.without_lake && !r->options.guest && !r->options.replaying &&
           clock_mono_ns() - appended_ns >= CLOCK_EVERY_MS * NS_PER_MS;
}

void *run_store_thread(void *run)
{
    struct run *r = run;
    int64_t appended_ns = clock_mono_ns(), retain_at = appended_ns + RETAIN_EVERY_MS * NS_PER_MS;
    for (;;) {
        struct batch *b = ring_pop(r->to_store, IDLE_MS);
        if (!b && ring_is_over(r->to_store)) break;
        if (b) {
            if (!append_until_durable(r, b)) {
                batch_put(b);
                break;
            }
            atomic_store(&r->durable, b->last_sequence);
            count_gaps(r, b);
            if (b->first_received_ns != TIME_ABSENT && !r->options.replaying)
                histogram_add(&r->durable_latency, clock_wall_ns() - b->first_received_ns);
            if (r->options.live_event) r->options.live_event(r->options.ctx, b);
            hand_on(r, b);
            appended_ns = clock_mono_ns();
        } else if (clock_is_due(r, appended_ns)) {
            if (!tell_clock(r, false)) break;
            appended_ns = clock_mono_ns();
        }
        if (clock_mono_ns() < retain_at) continue;
        int64_t pause_ms = retain(r);
        retain_at = clock_mono_ns() + pause_ms * NS_PER_MS;
    }
    if (r->options.without_lake && atomic_load(&r->finish) && !run_failed(r)) tell_clock(r, true);
    ring_close(r->to_lake);
    return NULL;
}
