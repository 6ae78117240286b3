/* The store thread: makes each batch durable, then hands it on. */
#include "run/run_internal.h"

#include "io/clock.h"

enum { IDLE_MS = 500, RETAIN_EVERY_MS = 5000, RETAIN_AGAIN_MS = 100 };

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
    enum err_code code = store_retain(r->store, atomic_load(&r->keep_from),
                                      clock_wall_ns() - hours * NS_PER_HOUR, &more, &e);
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
    bool replaying = r->options.replaying || !r->store;
    while (!ring_push(r->to_lake, b, replaying ? 200 : 0)) {
        if (replaying && !run_failed(r)) continue;
        batch_put(b); /* durable: the lake thread reads it from the tail */
        return;
    }
}

void *run_store_thread(void *run)
{
    struct run *r = run;
    int64_t retain_at = clock_mono_ns() + RETAIN_EVERY_MS * NS_PER_MS;
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
        }
        if (clock_mono_ns() < retain_at) continue;
        int64_t pause_ms = retain(r);
        retain_at = clock_mono_ns() + pause_ms * NS_PER_MS;
    }
    ring_close(r->to_lake);
    return NULL;
}
