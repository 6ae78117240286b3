/* A worker's commits: every owned partition's move, and the state behind it, in one act. */
#include "run/worker_internal.h"

#include "io/clock.h"

#include <stdlib.h>

bool worker_wait_retry(struct worker *w, const char *stage, const struct err *e, int attempt)
{
    enum { FIRST_MS = 100, CAP_MS = 5000, STEP_MS = 50 };
    int64_t pause_ms = attempt >= 6 ? CAP_MS : (int64_t)FIRST_MS << attempt;
    atomic_fetch_add(&w->retries, 1);
    LOG(WARN, stage, "trying again", LOG_STR("error", err_name(e->code)), LOG_STR("what", e->text),
        LOG_I64("attempt", attempt + 1), LOG_I64("pause_ms", pause_ms));
    for (int64_t waited = 0; waited < pause_ms && !atomic_load(&w->stopping); waited += STEP_MS)
        clock_sleep_ns(STEP_MS * NS_PER_MS);
    return !atomic_load(&w->stopping);
}

struct moves {
    struct lake_move *items;
    char (*names)[MOVE_NAME_MAX];
    size_t count;
};

static void add_move(struct moves *m, int64_t from, int64_t to)
{
    m->items[m->count] = (struct lake_move){m->names[m->count], from, to};
    m->count++;
}

/* Where the topic stands with this commit. What a gap does to the windows is not persisted while they are rebuilt, so it is read
 * again where that is cut short: its row replaces itself. */
static int64_t move_to(const struct part *p, int t)
{
    if (t == BUS_GAPS && part_is_rebuilding(p)) return p->committed.next[t];
    return p->next.next[t] > p->committed.next[t] ? p->next.next[t] : p->committed.next[t];
}

/* Where the gaps' position is held, the dead letters of their topic are in the lake all the same. */
static int64_t dead_upto(const struct part *p)
{
    bool held = move_to(p, BUS_GAPS) < p->next.next[BUS_GAPS];
    return held && p->next.next[BUS_GAPS] > p->gaps_dead ? p->next.next[BUS_GAPS] : p->gaps_dead;
}

/* Every owned partition's count of commits moves with each: candles and states may change where no topic does, and two owners
 * must not both write them. */
static void list_moves(const struct worker *w, struct moves *m)
{
    size_t most = (size_t)w->owned_count * (BUS_TOPICS + 2) + 1;
    *m = (struct moves){calloc(most, sizeof *m->items), calloc(most, sizeof *m->names), 0};
    CHECK(m->items != NULL && m->names != NULL);
    for (int32_t i = 0; i < BUS_PARTITIONS_MAX; i++) {
        const struct part *p = w->owned[i];
        if (!p) continue;
        for (int t = 0; t < BUS_TOPICS; t++) {
            int64_t from = p->committed.next[t], to = move_to(p, t);
            if (to == from) continue;
            distributed_move_name(&w->bus, (enum bus_topic)t, i, m->names[m->count]);
            add_move(m, from, to);
        }
        worker_part_commits_name(w, i, m->names[m->count]);
        add_move(m, p->commits, p->commits + 1);
        int64_t dead = dead_upto(p);
        if (dead == p->gaps_dead) continue;
        worker_part_dead_name(w, i, m->names[m->count]);
        add_move(m, p->gaps_dead, dead);
    }
}

static void free_moves(struct moves *m)
{
    free(m->items);
    free(m->names);
}

static enum err_code commit_once(struct worker *w, struct err *e)
{
    struct moves m;
    for (int32_t i = 0; i < BUS_PARTITIONS_MAX; i++) {
        struct part *p = w->owned[i];
        if (p && !part_is_rebuilding(p)) TRY(shard_persist(&p->shard, worker_part_position(p), e));
    }
    list_moves(w, &m);
    enum err_code code = ERR_OK;
    if (m.count) code = lake_commit_moves(w->lake, m.items, m.count, clock_wall_ns(), e);
    free_moves(&m);
    return code;
}

static void committed(struct worker *w)
{
    for (int32_t i = 0; i < BUS_PARTITIONS_MAX; i++) {
        struct part *p = w->owned[i];
        if (!p) continue;
        p->gaps_dead = dead_upto(p);
        for (int t = 0; t < BUS_TOPICS; t++) p->committed.next[t] = move_to(p, t);
        p->commits++;
        if (!part_is_rebuilding(p)) shard_committed(&p->shard);
        bus_consumer_note(w->consumer, i, &p->committed);
    }
    int64_t now = clock_wall_ns();
    for (size_t i = 0; i < w->received_count; i++) histogram_add(&w->visible, now - w->received[i]);
    w->received_count = 0;
    w->committed_mono_ns = clock_mono_ns();
    atomic_store(&w->last_commit_ns, now);
    atomic_fetch_add(&w->commits, 1);
}

enum err_code worker_commit(struct worker *w, struct err *e)
{
    for (int attempt = 0;; attempt++) {
        enum err_code code = commit_once(w, e);
        if (code == ERR_OK) break;
        if (code == ERR_FENCED) {
            LOG(WARN, "lake", "a partition was taken over; beginning again",
                LOG_STR("what", e->text));
            atomic_fetch_add(&w->fenced, 1);
            w->begin_again = true;
            return ERR_OK;
        }
        if (err_action(code) != ACT_RETRY || !worker_wait_retry(w, "lake", e, attempt)) return code;
    }
    committed(w);
    return ERR_OK;
}

static bool can_revise(const struct part *p)
{
    return p && !part_is_rebuilding(p) && revise_pending(p->shard.revise);
}

static bool late_trades_wait(const struct worker *w)
{
    for (int32_t i = 0; i < BUS_PARTITIONS_MAX; i++)
        if (can_revise(w->owned[i])) return true;
    return false;
}

enum err_code worker_revise(struct worker *w, struct err *e)
{
    bool any = false;
    w->revised_mono_ns = clock_mono_ns();
    for (int32_t i = 0; i < BUS_PARTITIONS_MAX; i++) {
        struct part *p = w->owned[i];
        if (!can_revise(p)) continue;
        int64_t rows = 0;
        TRY(revise_apply(p->shard.revise, clock_wall_ns(), &rows, e));
        atomic_fetch_add(&w->revisions, rows);
        any = true;
    }
    return any ? worker_commit(w, e) : ERR_OK;
}

static bool revise_full(const struct worker *w)
{
    for (int32_t i = 0; i < BUS_PARTITIONS_MAX; i++)
        if (w->owned[i] && revise_is_full(w->owned[i]->shard.revise)) return true;
    return false;
}

static bool something_waits(const struct worker *w)
{
    if (lake_buffered_rows(w->lake) > 0) return true;
    for (int32_t i = 0; i < BUS_PARTITIONS_MAX; i++) {
        const struct part *p = w->owned[i];
        for (int t = 0; p && t < BUS_TOPICS; t++)
            if (p->next.next[t] > p->committed.next[t]) return true;
    }
    return false;
}

/* Nothing waits for it: where another worker is at it, or was faster, the next one does it. */
static enum err_code upkeep(struct worker *w, struct err *e)
{
    int64_t files = 0, now = clock_wall_ns();
    enum err_code code = ERR_OK;
    if (w->options.config->lake.compact && lake_compact_due(w->lake))
        code = lake_compact(w->lake, false, now, &files, NULL, NULL, e);
    if (code == ERR_OK) code = lake_cleanup(w->lake, now, e);
    if (code == ERR_OK || err_action(code) != ACT_RETRY) return code;
    atomic_fetch_add(&w->retries, 1);
    LOG(WARN, "lake", "upkeep is put off", LOG_STR("error", err_name(code)),
        LOG_STR("what", e->text));
    return ERR_OK;
}

enum err_code worker_commit_if_due(struct worker *w, struct err *e)
{
    const struct config *c = w->options.config;
    int64_t rows = lake_buffered_rows(w->lake);
    atomic_store(&w->buffered_rows, rows);
    bool full = rows >= c->lake.commit_rows || revise_full(w);
    int64_t now_ns = clock_mono_ns();
    bool late = now_ns - w->committed_mono_ns >= c->lake.commit_ms * NS_PER_MS;
    /* Also where nothing comes any more: the newest late trades of a quiet topic would wait for ever. */
    bool revise =
        now_ns - w->revised_mono_ns >= c->process.revise_ms * NS_PER_MS && late_trades_wait(w);
    if (!full && !revise && !(late && something_waits(w))) return ERR_OK;
    TRY(worker_commit(w, e));
    if (!w->begin_again && (revise || revise_full(w))) TRY(worker_revise(w, e));
    return w->begin_again ? ERR_OK : upkeep(w, e);
}
