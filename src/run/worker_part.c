/* One partition of a worker: its positions, and its events renumbered for process/. */
#include "run/worker_internal.h"

#include <stdio.h>
#include <stdlib.h>

struct wanted {
    const struct worker *w;
    struct part *p;
};

static enum err_code note_position(void *ctx, struct str name, int64_t position, struct err *e)
{
    struct wanted *wanted = ctx;
    (void)e;
    for (int t = 0; t < BUS_TOPICS; t++) {
        char own[300];
        distributed_move_name(&wanted->w->bus, (enum bus_topic)t, wanted->p->number, own);
        if (str_is(name, own)) wanted->p->committed.next[t] = position;
    }
    char more[MOVE_NAME_MAX];
    worker_part_commits_name(wanted->w, wanted->p->number, more);
    if (str_is(name, more)) wanted->p->commits = position;
    worker_part_dead_name(wanted->w, wanted->p->number, more);
    if (str_is(name, more)) wanted->p->gaps_dead = position;
    return ERR_OK;
}

void worker_part_commits_name(const struct worker *w, int32_t number, char out[MOVE_NAME_MAX])
{
    char trades[300];
    distributed_move_name(&w->bus, BUS_TRADES, number, trades);
    snprintf(out, MOVE_NAME_MAX, "%s/commits", trades);
}

void worker_part_dead_name(const struct worker *w, int32_t number, char out[MOVE_NAME_MAX])
{
    char gaps[300];
    distributed_move_name(&w->bus, BUS_GAPS, number, gaps);
    snprintf(out, MOVE_NAME_MAX, "%s/dead", gaps);
}

int64_t worker_part_position(const struct part *p)
{
    return p->next.next[BUS_TRADES] << GAP_BITS | (p->next.next[BUS_GAPS] & GAP_MASK);
}

static enum err_code load(struct worker *w, struct part *p, struct bus_offsets *ret_from,
                          struct err *e)
{
    char prefix[SHARD_PREFIX_MAX];
    struct wanted wanted = {w, p};
    p->committed = (struct bus_offsets){0};
    /* Before the states: where another owner commits in between, our next commit is fenced. */
    TRY(lake_each_position(w->lake, "", note_position, &wanted, e));
    p->next = p->committed;
    snprintf(prefix, sizeof prefix, "%d/", p->number);
    TRY(shard_open(&p->shard, prefix, w->lake, w->series, w->options.config, e));
    shard_rebuild_upto(&p->shard, worker_part_position(p));
    p->rebuild_upto = p->committed.next[BUS_TRADES];
    *ret_from = p->committed;
    if (p->shard.keep_from > 0) {
        int64_t from = ((p->shard.keep_from + GAP_MASK) >> GAP_BITS) - 1;
        if (from < ret_from->next[BUS_TRADES]) ret_from->next[BUS_TRADES] = from;
    }
    p->next.next[BUS_TRADES] = ret_from->next[BUS_TRADES];
    return ERR_OK;
}

enum err_code worker_part_open(struct worker *w, int32_t number, struct bus_offsets *ret_from,
                               struct err *e)
{
    CHECK(number >= 0 && number < BUS_PARTITIONS_MAX && !w->owned[number]);
    struct part *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    p->number = number;
    w->owned[number] = p;
    w->owned_count++;
    atomic_store(&w->partitions, w->owned_count);
    enum err_code code = load(w, p, ret_from, e);
    if (code != ERR_OK) worker_part_close(w, number);
    return code;
}

void worker_part_close(struct worker *w, int32_t number)
{
    struct part *p = w->owned[number];
    if (!p) return;
    shard_close(&p->shard);
    free(p);
    w->owned[number] = NULL;
    w->owned_count--;
    atomic_store(&w->partitions, w->owned_count);
}

/* Of records that nobody can read, and whose dead letters the lake holds already. */
static bool is_known_dead(void *ctx, const struct dead *d)
{
    const struct wanted *wanted = ctx;
    enum bus_topic t = bus_topic_of_dead(&wanted->w->bus, d);
    return (t == BUS_TRADES && d->sequence <= wanted->p->rebuild_upto) ||
           (t == BUS_GAPS && d->sequence <= wanted->p->gaps_dead);
}

/* The trades that the lake holds already come again only for the open windows. The view shares the batch's arrays. */
static enum err_code push_new(struct worker *w, const struct part *p, const struct batch *b,
                              struct err *e)
{
    size_t known = 0;
    while (known < b->trade_count && b->trades[known].sequence <= p->rebuild_upto) known++;
    if (known == 0) return lake_push(w->lake, b, e);
    struct batch view = *b;
    view.trades += known;
    view.trade_count -= known;
    view.event_count -= known;
    view.trades_cut = known;
    view.proofs = (struct proof_set){0}; /* of all of them: the lake makes its own */
    return lake_push(w->lake, &view, e);
}

static void renumber(const struct part *p, struct batch *b)
{
    int64_t trades = p->next.next[BUS_TRADES], gaps = p->next.next[BUS_GAPS];
    /* Only trades are read again: a gap that comes meanwhile is news, behind all that the state holds. */
    int64_t known = p->rebuild_upto;
    for (size_t i = 0; i < b->event_count; i++) {
        struct event_ref r = b->order[i];
        if (r.type == EVENT_TRADE) {
            trades = b->trades[r.index].sequence;
            b->trades[r.index].sequence = trades << GAP_BITS;
        } else if (r.type == EVENT_GAP) {
            gaps = b->gaps[r.index].sequence;
            int64_t at = trades > known ? trades : known;
            b->gaps[r.index].sequence = at << GAP_BITS | (gaps & GAP_MASK);
        }
    }
    b->first_sequence = p->next.next[BUS_TRADES] << GAP_BITS | 1;
    b->last_sequence = trades << GAP_BITS | (gaps & GAP_MASK);
}

/* The receipts of replays and back-fills are of another time. */
static bool is_live(const struct batch *b)
{
    uint8_t origin = b->trade_count   ? b->trades[0].origin
                     : b->quote_count ? b->quotes[0].origin
                                      : (uint8_t)ORIGIN_REPLAYED;
    return origin == ORIGIN_LIVE || origin == ORIGIN_SIMULATED;
}

static void note_receipt(struct worker *w, const struct batch *b)
{
    const size_t most = sizeof w->received / sizeof w->received[0];
    if (is_live(b) && b->first_received_ns != TIME_ABSENT && w->received_count < most)
        w->received[w->received_count++] = b->first_received_ns;
}

/* A batch never holds events from before and behind an input's end: what was open then is closed first. Of trades that come
 * again for the open windows all ends are known. */
static enum err_code finish_before(struct worker *w, struct part *p, struct err *e)
{
    int64_t finishes = bus_consumer_finishes(w->consumer, p->number);
    if (finishes <= p->shard.finishes) return ERR_OK;
    p->shard.finishes = finishes;
    return shard_finish(&p->shard, e);
}

enum err_code worker_part_take(struct worker *w, struct part *p, struct batch *b,
                               const struct bus_offsets *next, struct err *e)
{
    struct wanted wanted = {w, p};
    TRY(finish_before(w, p, e));
    if (part_is_rebuilding(p) || p->next.next[BUS_GAPS] < p->gaps_dead)
        batch_drop_deads(b, is_known_dead, &wanted);
    TRY(push_new(w, p, b, e));
    if (next->next[BUS_TRADES] > p->rebuild_upto) note_receipt(w, b);
    renumber(p, b);
    TRY(shard_push(&p->shard, b, e));
    p->next = *next;
    atomic_fetch_add(&w->events, (int64_t)b->event_count);
    atomic_fetch_add(&w->trades, (int64_t)b->trade_count);
    atomic_fetch_add(&w->quotes, (int64_t)b->quote_count);
    return ERR_OK;
}

enum err_code worker_part_tick(struct worker *w, struct part *p, struct err *e)
{
    int64_t clock_ns, finishes;
    struct bus_offsets next;
    /* What is committed may end with a mark of a transaction, behind which nothing comes while the market is quiet. */
    if (part_is_rebuilding(p) && bus_consumer_next(w->consumer, p->number, &next) &&
        next.next[BUS_TRADES] >= p->rebuild_upto)
        p->next = next;
    if (part_is_rebuilding(p)) return ERR_OK;
    if (!bus_consumer_clock(w->consumer, p->number, &clock_ns, &finishes)) return ERR_OK;
    if (finishes > p->shard.finishes) {
        p->shard.finishes = finishes;
        return shard_finish(&p->shard, e);
    }
    if (clock_ns == TIME_ABSENT || clock_ns <= p->clock_ns) return ERR_OK;
    p->clock_ns = clock_ns;
    return shard_tick(&p->shard, clock_ns, e);
}
