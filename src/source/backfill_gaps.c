/* The ledger beside history: what has come goes out of the open gaps, and what the venue does not have is given up.
 *
 * A guest's rows replace those of the live source, whose own memory of a gap is another process's: what that one tells later is
 * brought up to date in the store (store_pg_history.c), and it takes over what was brought when it starts again.
 */
#include "source/backfill_internal.h"
#include "source/core_internal.h"

#include "base/array.h"
#include "io/clock.h"

#include <stdio.h>
#include <stdlib.h>

struct loading {
    struct source_backfill *s;
    uint8_t stream;
};

static bool is_open(const struct gap *g)
{
    return g->kind == GAP_IDS && g->state == GAP_STATE_OPEN && g->has_ids && g->from_id <= g->to_id;
}

static void keep(struct source_backfill *s, const struct gap *g)
{
    s->gaps = array_grown(s->gaps, s->gap_count, &s->gap_cap, sizeof *s->gaps);
    struct gap *to = &s->gaps[s->gap_count++];
    *to = *g;
    to->cause = STR("id_jump");
}

static bool is_kept(const struct source_backfill *s, int64_t gap_id)
{
    for (size_t i = 0; i < s->gap_count; i++)
        if (s->gaps[i].gap_id == gap_id) return true;
    return false;
}

static enum err_code load_gap(void *ctx, const struct gap *g, struct err *e)
{
    struct loading *l = ctx;
    const struct series *n = series_get(l->s->options.series, g->series);
    (void)e;
    if (is_open(g) && g->stream == l->stream && str_is(n->venue, l->s->o.venue->name) &&
        str_eq(n->symbol, l->s->symbol) && !is_kept(l->s, g->gap_id))
        keep(l->s, g);
    return ERR_OK;
}

/* What is kept already was told since, by a batch that may not be durable yet: ours is the newer word. */
enum err_code backfill_gaps_load(struct source_backfill *s, uint8_t stream, struct err *e)
{
    struct loading l = {s, stream};
    return s->o.open_gaps ? s->o.open_gaps(s->o.ctx, load_gap, &l, e) : ERR_OK;
}

void backfill_gaps_note(struct source_backfill *s, const struct decoded *d)
{
    for (size_t i = 0; i < d->trade_count; i++)
        if (d->trades[i].has_id && d->trades[i].id_text.n == 0)
            history_ids_add(&s->seen, d->trades[i].id, d->trades[i].id);
}

static enum err_code tell(struct source_backfill *s, struct gap *g, struct err *e)
{
    bool closed = g->state != GAP_STATE_OPEN;
    g->missing_count = g->state == GAP_STATE_REPAIRED ? 0 : g->missing_count;
    g->closed_ns = closed ? clock_wall_ns() : TIME_ABSENT;
    if (g->state == GAP_STATE_REPAIRED) BACKFILL_COUNT(s, gaps_repaired, 1);
    if (g->state == GAP_STATE_UNREPAIRABLE) BACKFILL_COUNT(s, gaps_unrepairable, 1);
    return core_gap(s->core, g, e);
}

static size_t runs_missing(const struct source_backfill *s, const struct gap *g)
{
    struct history_range run;
    size_t count = 0;
    for (int64_t from = g->from_id;
         from <= g->to_id && history_ids_missing(&s->seen, from, g->to_id, &run);
         from = run.last + 1) {
        count++;
        if (run.last >= g->to_id) break;
    }
    return count;
}

/* What is left of the gap keeps its row, the first run of it; further runs are gaps of their own, so that rows are exact
 * ranges. The times stay those of the whole: what lies between is not known to be complete. */
static enum err_code shrink(struct source_backfill *s, size_t at, struct err *e)
{
    struct gap g = s->gaps[at];
    struct history_range run;
    int64_t came = history_ids_within(&s->seen, g.from_id, g.to_id);
    if (came == 0) return ERR_OK;
    BACKFILL_COUNT(s, recovered, came);
    s->gaps[at].rows_recovered += came;
    if (!history_ids_missing(&s->seen, g.from_id, g.to_id, &run)) {
        s->gaps[at].state = GAP_STATE_REPAIRED;
        return tell(s, &s->gaps[at], e);
    }
    TRY(core_room(s->core, runs_missing(s, &g), 0,
                  e)); /* durable together: a rest that is in no row is never asked for */
    s->gaps[at].from_id = run.first;
    s->gaps[at].to_id = run.last;
    s->gaps[at].missing_count = run.last - run.first + 1;
    TRY(tell(s, &s->gaps[at], e));
    while (run.last < g.to_id && history_ids_missing(&s->seen, run.last + 1, g.to_id, &run)) {
        struct gap more = g;
        more.gap_id = s->next_gap_id++;
        more.from_id = run.first;
        more.to_id = run.last;
        more.missing_count = run.last - run.first + 1;
        more.rows_recovered = more.candles_revised = 0;
        keep(s, &more);
        TRY(tell(s, &s->gaps[s->gap_count - 1], e));
    }
    return ERR_OK;
}

enum err_code backfill_gaps_tell(struct source_backfill *s, struct err *e)
{
    size_t count = s->gap_count;
    for (size_t i = 0; i < count; i++)
        if (s->gaps[i].state == GAP_STATE_OPEN) TRY(shrink(s, i, e));
    return ERR_OK;
}

/* ---- Repair ---- */

/* Behind all pages: what has not come is not to be had. */
static enum err_code give_up(struct source_backfill *s, const struct gap *gap, struct err *e)
{
    int64_t came = history_ids_within(&s->seen, gap->from_id, gap->to_id);
    struct history_range run;
    bool missing = history_ids_missing(&s->seen, gap->from_id, gap->to_id, &run);
    if (!s->o.guest) {
        BACKFILL_COUNT(s, recovered, came);
        BACKFILL_COUNT(s, gaps_repaired, !missing);
        BACKFILL_COUNT(s, gaps_unrepairable, missing);
        return missing ? core_give_up(s->core, gap, e) : ERR_OK;
    }
    for (size_t i = 0; i < s->gap_count; i++) {
        struct gap *g = &s->gaps[i];
        if (g->state != GAP_STATE_OPEN || g->from_id < gap->from_id || g->to_id > gap->to_id)
            continue;
        g->state = GAP_STATE_UNREPAIRABLE;
        g->cause = STR("not_at_venue");
        TRY(tell(s, g, e));
    }
    return ERR_OK;
}

/* Neighbouring gaps that lie in one page are asked for together, and nothing between them is taken. */
static enum err_code repair_group(struct source_backfill *s, const struct gap *gaps, size_t count,
                                  struct err *e)
{
    const struct series *n = series_get(s->options.series, gaps[0].series);
    struct history_ask ask = {.kind = HISTORY_TRADES,
                              .stream = gaps[0].stream,
                              .symbols = n->venue_symbol,
                              .from_ns = gaps[0].from_time_ns,
                              .to_ns = gaps[0].to_time_ns,
                              .by_id = true,
                              .first_id = gaps[0].from_id,
                              .last_id = gaps[count - 1].to_id};
    history_ids_free(&s->wanted);
    for (size_t i = 0; i < count; i++) {
        keep(s, &gaps[i]);
        history_ids_add(&s->wanted, gaps[i].from_id, gaps[i].to_id);
        if (gaps[i].to_time_ns > ask.to_ns) ask.to_ns = gaps[i].to_time_ns;
    }
    ask.to_ns++;
    BACKFILL_COUNT(s, gaps, count);
    TRY(backfill_walk(s, &ask, e));
    for (size_t i = 0; i < count; i++) TRY(give_up(s, &gaps[i], e));
    return ERR_OK;
}

static int by_place(const void *x, const void *y)
{
    const struct gap *a = x, *b = y;
    if (a->series != b->series) return a->series < b->series ? -1 : 1;
    if (a->stream != b->stream) return a->stream < b->stream ? -1 : 1;
    return (a->from_id > b->from_id) - (a->from_id < b->from_id);
}

static bool goes_with(const struct gap *first, const struct gap *g)
{
    enum { PAGE_IDS = 1000 };
    return g->series == first->series && g->stream == first->stream &&
           g->to_id - first->from_id < PAGE_IDS;
}

static void begin_tape(struct source_backfill *s, const struct gap *first)
{
    s->symbol = series_get(s->options.series, first->series)->symbol;
    s->gap_count = 0;
    history_ids_free(&s->seen);
}

/* The live source may have told of some of these ids meanwhile, as a gap of its own. */
static enum err_code end_tape(struct source_backfill *s, uint8_t stream, struct err *e)
{
    if (!s->o.guest) return ERR_OK;
    TRY(backfill_gaps_load(s, stream, e));
    return backfill_gaps_tell(s, e);
}

static enum err_code repair_all(struct source_backfill *s, const struct gap *gaps, size_t count,
                                struct err *e)
{
    for (size_t i = 0; i < count;) {
        size_t n = 1;
        const struct gap *before = i ? &gaps[i - 1] : NULL;
        if (!before || before->series != gaps[i].series || before->stream != gaps[i].stream)
            begin_tape(s, &gaps[i]);
        while (i + n < count && goes_with(&gaps[i], &gaps[i + n])) n++;
        TRY(backfill_stopped(s, e));
        TRY(repair_group(s, gaps + i, n, e));
        i += n;
        bool last = i == count || gaps[i].series != gaps[i - 1].series ||
                    gaps[i].stream != gaps[i - 1].stream;
        if (last) TRY(end_tape(s, gaps[i - 1].stream, e));
    }
    return ERR_OK;
}

enum err_code backfill_repair(struct source_backfill *s, struct err *e)
{
    struct gap *gaps = calloc(s->o.gap_count ? s->o.gap_count : 1, sizeof *gaps);
    size_t count = 0;
    CHECK(gaps != NULL);
    for (size_t i = 0; i < s->o.gap_count; i++) {
        const struct gap *g = &s->o.gaps[i];
        const struct series *n = series_get(s->options.series, g->series);
        bool can = s->o.venue->history->streams >> g->stream & 1;
        if (is_open(g) && can && str_is(n->venue, s->o.venue->name)) gaps[count++] = *g;
    }
    qsort(gaps, count, sizeof *gaps, by_place);
    enum err_code code = repair_all(s, gaps, count, e);
    free(gaps);
    return code;
}
