/* The lake thread: events in sequence order through process/ into the lake, committed by time. */
#include "run/run_internal.h"

#include "base/crash.h"
#include "io/clock.h"
#include "run/revise.h"

#include <stdio.h>
#include <stdlib.h>

enum { RECEIVED_SAMPLES = 4096, POLL_MS = 20 };

struct consumer {
    struct run *r;
    struct shard *shard;
    int64_t next; /* the sequence wanted now: everything below it was pushed */
    int64_t committed_mono_ns, revised_mono_ns;
    int64_t received[RECEIVED_SAMPLES]; /* of the batches since the last commit */
    size_t received_count;
};

/* --- committing --- */

static enum err_code commit_once(struct consumer *c, struct err *e)
{
    struct run *r = c->r;
    int64_t position = c->next - 1;
    TRY(shard_persist(c->shard, position, e));
    TRY(lake_commit(r->lake, position, clock_wall_ns(), e));
    shard_committed(c->shard);
    atomic_store(&r->keep_from, c->shard->keep_from);
    atomic_store(&r->committed, position);
    return ERR_OK;
}

static enum err_code commit(struct consumer *c, struct err *e)
{
    struct run *r = c->r;
    for (int attempt = 0;; attempt++) {
        enum err_code code = commit_once(c, e);
        if (code == ERR_OK) break;
        if (err_action(code) != ACT_RETRY || !run_wait_retry(r, "lake", e, attempt)) return code;
    }
    int64_t now = clock_wall_ns();
    for (size_t i = 0; i < c->received_count; i++)
        histogram_add(&r->visible_latency, now - c->received[i]);
    c->received_count = 0;
    c->committed_mono_ns = clock_mono_ns();
    atomic_store(&r->last_commit_ns, now);
    return ERR_OK;
}

/* Late trades and gap changes: their candles are made anew from what is committed. */
static enum err_code revise(struct consumer *c, struct err *e)
{
    struct run *r = c->r;
    int64_t rows = 0;
    c->revised_mono_ns = clock_mono_ns();
    if (!revise_pending(c->shard->revise)) return ERR_OK;
    TRY(revise_apply(c->shard->revise, clock_wall_ns(), &rows, e));
    atomic_fetch_add(&r->revisions, rows);
    return commit(c, e);
}

static enum err_code tidy(struct consumer *c, struct err *e)
{
    struct run *r = c->r;
    const struct config *config = r->options.config;
    int64_t files = 0;
    if (config->lake.compact && lake_compact_due(r->lake))
        TRY(lake_compact(r->lake, false, clock_wall_ns(), &files, NULL, NULL, e));
    return lake_cleanup(r->lake, clock_wall_ns(), e);
}

/* Nothing waits for it: where somebody else holds the catalog's lock or was faster, the next commit does it. */
static enum err_code upkeep(struct consumer *c, struct err *e)
{
    enum err_code code = tidy(c, e);
    if (code == ERR_OK || err_action(code) != ACT_RETRY) return code;
    atomic_fetch_add(&c->r->retries, 1);
    LOG(WARN, "lake", "upkeep is put off", LOG_STR("error", err_name(code)),
        LOG_STR("what", e->text));
    return ERR_OK;
}

static enum err_code commit_if_due(struct consumer *c, struct err *e)
{
    struct run *r = c->r;
    const struct config *config = r->options.config;
    int64_t since_ns = clock_mono_ns() - c->committed_mono_ns;
    int64_t rows = lake_buffered_rows(r->lake);
    bool waiting = c->next - 1 > lake_position(r->lake) || rows > 0;
    bool due = since_ns >= config->lake.commit_ms * NS_PER_MS && waiting;
    if (!due && rows < config->lake.commit_rows && !revise_is_full(c->shard->revise)) return ERR_OK;
    TRY(commit(c, e));
    if (clock_mono_ns() - c->revised_mono_ns >= config->process.revise_ms * NS_PER_MS ||
        revise_is_full(c->shard->revise))
        TRY(revise(c, e));
    return upkeep(c, e);
}

/* --- taking events --- */

static enum err_code take(struct consumer *c, const struct batch *b, bool rebuilding, struct err *e)
{
    struct run *r = c->r;
    TRY(shard_push(c->shard, b, e));
    if (rebuilding) return ERR_OK;
    TRY(lake_push(r->lake, b, e));
    CRASH_POINT(process_after_push);
    c->next = b->last_sequence + 1;
    atomic_store(&r->emitted, b->last_sequence);
    if (b->first_received_ns != TIME_ABSENT && !r->options.replaying &&
        c->received_count < RECEIVED_SAMPLES)
        c->received[c->received_count++] = b->first_received_ns;
    return commit_if_due(c, e);
}

/* Reads (after, upto] from the store; what is there is taken in order. */
static enum err_code read_tail(struct consumer *c, int64_t after, int64_t upto, bool rebuilding,
                               struct err *e)
{
    struct run *r = c->r;
    enum err_code code = ERR_OK;
    while (after < upto && code == ERR_OK && !run_failed(r)) {
        struct batch *b = batch_get(r->tail_pool, -1);
        bool end = false;
        code = store_tail_read(r->tail, after, upto, b, &end, e);
        bool something = code == ERR_OK && b->last_sequence > after;
        if (something) code = take(c, b, rebuilding, e);
        int64_t reached = something ? b->last_sequence : after;
        batch_put(b);
        if (!something) break;
        after = reached;
    }
    return code;
}

/* What was committed, but is needed again for the windows that were open at the commit. */
static enum err_code rebuild(struct consumer *c, struct err *e)
{
    struct run *r = c->r;
    int64_t position = lake_position(r->lake);
    shard_rebuild_upto(c->shard, position);
    c->next = position + 1;
    atomic_store(&r->committed, position);
    atomic_store(&r->emitted, position);
    int64_t keep_from = atomic_load(&r->keep_from);
    if (r->tail && keep_from > 0 && keep_from <= position)
        TRY(read_tail(c, keep_from - 1, position, true, e));
    return ERR_OK;
}

static enum err_code step(struct consumer *c, struct batch *b, struct err *e)
{
    struct run *r = c->r;
    int64_t upto = b ? b->first_sequence - 1 : atomic_load(&r->durable);
    if (r->tail && c->next <= upto && (b || ring_count(r->to_lake) == 0))
        TRY(read_tail(c, c->next - 1, upto, false, e));
    if (b && b->first_sequence == c->next) TRY(take(c, b, false, e));
    /* Only when nothing waits: the clock must not overtake events that are durable or on their way. */
    bool caught_up = c->next > atomic_load(&r->durable) && ring_count(r->to_store) == 0;
    if (!r->options.replaying && caught_up) TRY(shard_tick(c->shard, clock_wall_ns(), e));
    return commit_if_due(c, e);
}

static enum err_code finish(struct consumer *c, struct err *e)
{
    struct run *r = c->r;
    if (r->tail) TRY(read_tail(c, c->next - 1, atomic_load(&r->durable), false, e));
    /* Where the store failed, the input has not ended: windows closed now would take their last trades as late ones. */
    if (run_failed(r)) return ERR_OK;
    if (atomic_load(&r->finish)) TRY(shard_finish(c->shard, e));
    TRY(commit(c, e));
    TRY(revise(c, e));
    return upkeep(c, e);
}

static enum err_code consume(struct consumer *c, struct err *e)
{
    struct run *r = c->r;
    TRY(rebuild(c, e));
    while (!run_failed(r)) {
        struct batch *b = ring_pop(r->to_lake, POLL_MS);
        bool ended = !b && ring_is_over(r->to_lake);
        enum err_code code = ended ? finish(c, e) : step(c, b, e);
        batch_put(b);
        if (code != ERR_OK || ended) return code;
    }
    return ERR_OK;
}

void *run_lake_thread(void *run)
{
    struct run *r = run;
    struct err e = {0};
    struct consumer *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->r = r;
    c->shard = &r->shard;
    c->committed_mono_ns = c->revised_mono_ns = clock_mono_ns();
    if (consume(c, &e) != ERR_OK) run_fail(r, &e);
    free(c);
    return NULL;
}
