/* Late trades and gap changes applied: minutes and roll-ups made anew from the lake, `complete` turned. */
#include "run/revise_internal.h"

#include <stdlib.h>

struct fresh { /* candles made in this pass, so that roll-ups and gap changes see them */
    struct candle *items;
    size_t count, cap;
};

static struct candle *fresh_find(struct fresh *f, enum timeframe tf, int64_t open_ns)
{
    for (size_t i = f->count; i-- > 0;)
        if (f->items[i].timeframe == tf && f->items[i].open_time_ns == open_ns) return &f->items[i];
    return NULL;
}

static void fresh_set(struct fresh *f, const struct candle *c)
{
    struct candle *old = fresh_find(f, (enum timeframe)c->timeframe, c->open_time_ns);
    if (old) {
        *old = *c;
        return;
    }
    f->items = array_grown(f->items, f->count, &f->cap, sizeof *f->items);
    f->items[f->count++] = *c;
}

struct tape_pass { /* one tape of one apply */
    struct revise *rv;
    uint32_t series;
    const struct series *names;
    const struct dirty *dirty; /* sorted by second */
    size_t dirty_count;
    struct fresh fresh;
    int64_t now_ns;
};

struct trade_list {
    struct trade *items;
    size_t count, cap;
    int stream;
    struct arena texts;
};

static enum err_code collect_trade(void *ctx, const struct trade *t, struct err *e)
{
    enum { LIMIT = 50000000 };
    struct trade_list *l = ctx;
    if (t->stream != l->stream) return ERR_OK;
    if (l->count >= LIMIT) return ERR(e, ERR_FULL, "more than %d trades in one minute", LIMIT);
    l->items = array_grown(l->items, l->count, &l->cap, sizeof *l->items);
    struct trade *copy = &l->items[l->count++];
    *copy = *t;
    if (!arena_copy(&l->texts, t->id_text, &copy->id_text))
        return ERR(e, ERR_FULL, "the ids of one minute's trades are too long");
    return ERR_OK;
}

struct candle_list {
    struct candle *items;
    size_t count, cap;
};

static enum err_code collect_candle(void *ctx, const struct candle *c, struct err *e)
{
    (void)e;
    struct candle_list *l = ctx;
    l->items = array_grown(l->items, l->count, &l->cap, sizeof *l->items);
    l->items[l->count++] = *c;
    return ERR_OK;
}

/* The row's revision as it stands: made in this pass, or in the lake; 0 where there is none yet. */
static enum err_code old_revision(struct tape_pass *p, enum timeframe tf, int64_t open_ns,
                                  int64_t *ret, struct err *e)
{
    const struct candle *fresh = fresh_find(&p->fresh, tf, open_ns);
    struct candle_list l = {0};
    enum err_code code = ERR_OK;
    *ret = fresh ? fresh->revision : 0;
    if (!fresh)
        code = lake_scan_candles(p->rv->lake, p->names->venue, p->names->symbol, tf, open_ns,
                                 open_ns + timeframe_ns(tf), collect_candle, &l, e);
    if (l.count) *ret = l.items[0].revision;
    free(l.items);
    return code;
}

static enum err_code replace(struct tape_pass *p, struct candle *c, int64_t late, struct err *e)
{
    enum timeframe tf = (enum timeframe)c->timeframe;
    int64_t old = 0;
    TRY(old_revision(p, tf, c->open_time_ns, &old, e));
    c->series = p->series;
    c->revision = old + late;
    c->replaces = true;
    c->complete = process_is_complete(p->rv->process, p->series, c->open_time_ns,
                                      c->open_time_ns + timeframe_ns(tf));
    c->updated_ns = p->now_ns;
    fresh_set(&p->fresh, c);
    return ERR_OK;
}

/* Late trades of timeframe tf that fall into [open, open + tf). */
static int64_t late_in(const struct tape_pass *p, enum timeframe tf, int64_t open_ns)
{
    int64_t sum = 0;
    for (size_t i = 0; i < p->dirty_count; i++) {
        int64_t s = p->dirty[i].second_ns;
        if (s >= open_ns && s < open_ns + timeframe_ns(tf)) sum += p->dirty[i].counts[tf];
    }
    return sum;
}

static enum err_code make_minute(struct tape_pass *p, int64_t minute_ns, uint64_t seconds,
                                 struct err *e)
{
    struct trade_list trades = {.stream = process_tape_stream(p->rv->process, p->series)};
    arena_init(&trades.texts, (size_t)1 << 30);
    struct candle out[61];
    size_t count = 0;
    enum err_code code = lake_scan_trades(p->rv->lake, p->names->venue, p->names->symbol, minute_ns,
                                          minute_ns + NS_PER_MINUTE, collect_trade, &trades, e);
    if (code == ERR_OK)
        code = process_candles_of_minute(p->rv->names, p->series, trades.items, trades.count,
                                         minute_ns, seconds, out, &count);
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        int64_t late = late_in(p, (enum timeframe)out[i].timeframe, out[i].open_time_ns);
        if (late) code = replace(p, &out[i], late, e);
    }
    free(trades.items);
    arena_free(&trades.texts);
    return code;
}

static enum err_code make_minutes(struct tape_pass *p, struct err *e)
{
    for (size_t i = 0; i < p->dirty_count;) {
        int64_t minute = time_floor(p->dirty[i].second_ns, NS_PER_MINUTE);
        uint64_t seconds = 0;
        int64_t late = 0;
        for (; i < p->dirty_count && p->dirty[i].second_ns < minute + NS_PER_MINUTE; i++) {
            const struct dirty *d = &p->dirty[i];
            if (d->counts[TIMEFRAME_1S])
                seconds |= UINT64_C(1) << ((d->second_ns - minute) / NS_PER_S);
            late += d->counts[TIMEFRAME_1S] + d->counts[TIMEFRAME_1M];
        }
        if (late) TRY(make_minute(p, minute, seconds, e));
    }
    return ERR_OK;
}

static enum err_code make_rollup(struct tape_pass *p, enum timeframe tf, int64_t open_ns,
                                 int64_t late, struct err *e)
{
    struct candle_list minutes = {0};
    enum err_code code =
        lake_scan_candles(p->rv->lake, p->names->venue, p->names->symbol, TIMEFRAME_1M, open_ns,
                          open_ns + timeframe_ns(tf), collect_candle, &minutes, e);
    for (size_t i = 0; i < p->fresh.count && code == ERR_OK; i++) {
        const struct candle *c = &p->fresh.items[i];
        if (c->timeframe != TIMEFRAME_1M || c->open_time_ns < open_ns ||
            c->open_time_ns >= open_ns + timeframe_ns(tf))
            continue;
        size_t at = 0;
        while (at < minutes.count && minutes.items[at].open_time_ns != c->open_time_ns) at++;
        if (at < minutes.count)
            minutes.items[at] = *c;
        else
            code = collect_candle(&minutes, c, e);
    }
    struct candle made;
    if (code == ERR_OK && minutes.count) {
        code = process_rollup(tf, open_ns, minutes.items, minutes.count, &made);
        if (code == ERR_OK) code = replace(p, &made, late, e);
    }
    free(minutes.items);
    return code;
}

static enum err_code make_rollups(struct tape_pass *p, enum timeframe tf, struct err *e)
{
    for (size_t i = 0; i < p->dirty_count;) {
        int64_t open = time_floor(p->dirty[i].second_ns, timeframe_ns(tf));
        int64_t late = 0;
        bool wanted = false;
        for (; i < p->dirty_count && p->dirty[i].second_ns < open + timeframe_ns(tf); i++) {
            late += p->dirty[i].counts[tf];
            wanted = wanted || (p->dirty[i].rollups >> tf & 1);
        }
        if (late || wanted) TRY(make_rollup(p, tf, open, late, e));
    }
    return ERR_OK;
}

/* --- gap changes: complete turns, in every candle that was emitted before the change --- */

static bool meets(const struct candle *c, const struct gap_change *g)
{
    int64_t end = c->open_time_ns + timeframe_ns((enum timeframe)c->timeframe);
    return end > g->from_ns && c->open_time_ns <= g->to_ns && end <= g->watermark_ns;
}

/* A row that this pass made, and that is not in the lake yet: was there such a row at the time of the change? It was
 * where its bucket had closed tainted, or where the first late trade that made it came before. */
static bool was_there(const struct tape_pass *p, const struct candle *c, const struct gap_change *g)
{
    int64_t end = c->open_time_ns + timeframe_ns((enum timeframe)c->timeframe);
    for (size_t i = 0; i < p->dirty_count; i++) {
        const struct dirty *d = &p->dirty[i];
        if (d->second_ns < c->open_time_ns || d->second_ns >= end) continue;
        if (d->rollups >> c->timeframe & 1) return true;
        if (d->counts[c->timeframe] && d->first[c->timeframe] < g->sequence) return true;
    }
    return false;
}

static bool holds(const struct candle_list *l, const struct candle *c)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->items[i].timeframe == c->timeframe && l->items[i].open_time_ns == c->open_time_ns)
            return true;
    return false;
}

static enum err_code apply_change(struct tape_pass *p, struct change *change, struct err *e)
{
    const struct gap_change *g = &change->g;
    int64_t to = g->to_ns < g->watermark_ns ? g->to_ns : g->watermark_ns;
    if (to < g->from_ns) to = g->from_ns;
    struct candle_list rows = {0};
    enum err_code code =
        lake_scan_candles(p->rv->lake, p->names->venue, p->names->symbol, TIMEFRAME_MAX,
                          time_floor(g->from_ns, NS_PER_DAY), to + 1, collect_candle, &rows, e);
    size_t in_lake = rows.count;
    for (size_t i = 0; i < p->fresh.count && code == ERR_OK; i++) {
        const struct candle *c = &p->fresh.items[i];
        if (!holds(&rows, c) && was_there(p, c, g)) code = collect_candle(&rows, c, e);
    }
    for (size_t i = 0; i < rows.count && code == ERR_OK; i++) {
        if (!meets(&rows.items[i], g)) continue;
        const struct candle *made =
            i >= in_lake ? NULL
                         : fresh_find(&p->fresh, (enum timeframe)rows.items[i].timeframe,
                                      rows.items[i].open_time_ns);
        struct candle copy = made ? *made : rows.items[i];
        code = replace(p, &copy, 1, e);
        change->revised++;
    }
    free(rows.items);
    return code;
}

static int by_tape(const struct revise *rv, uint32_t a, uint32_t b)
{
    if (a == b) return 0;
    const struct series *x = series_get(rv->names, a), *y = series_get(rv->names, b);
    int c = str_cmp(x->venue, y->venue);
    return c ? c : str_cmp(x->symbol, y->symbol);
}

static int compare_dirty(const void *a, const void *b, void *ctx)
{
    const struct dirty *x = a, *y = b;
    int c = by_tape(ctx, x->series, y->series);
    return c ? c : (x->second_ns > y->second_ns) - (x->second_ns < y->second_ns);
}

static int compare_change(const void *a, const void *b, void *ctx)
{
    const struct change *x = a, *y = b;
    int c = by_tape(ctx, x->g.series, y->g.series);
    return c ? c : (x->g.sequence > y->g.sequence) - (x->g.sequence < y->g.sequence);
}

static enum err_code apply_tape(struct tape_pass *p, struct change *changes, size_t count,
                                int64_t *ret_rows, struct err *e)
{
    TRY(make_minutes(p, e));
    for (int tf = TIMEFRAME_5M; tf < TIMEFRAME_MAX; tf++)
        TRY(make_rollups(p, (enum timeframe)tf, e));
    for (size_t i = 0; i < count; i++) TRY(apply_change(p, &changes[i], e));
    for (size_t i = 0; i < p->fresh.count; i++)
        TRY(lake_push_candle(p->rv->lake, &p->fresh.items[i], e));
    *ret_rows += (int64_t)p->fresh.count;
    return ERR_OK;
}

enum err_code revise_apply(struct revise *rv, int64_t now_ns, int64_t *ret_rows, struct err *e)
{
    size_t di = 0, ci = 0;
    if (rv->dirty_count) qsort_r(rv->dirty, rv->dirty_count, sizeof *rv->dirty, compare_dirty, rv);
    if (rv->change_count)
        qsort_r(rv->changes, rv->change_count, sizeof *rv->changes, compare_change, rv);
    *ret_rows = 0;
    while (di < rv->dirty_count || ci < rv->change_count) {
        bool from_change = di == rv->dirty_count ||
                           (ci < rv->change_count &&
                            by_tape(rv, rv->changes[ci].g.series, rv->dirty[di].series) < 0);
        uint32_t series = from_change ? rv->changes[ci].g.series : rv->dirty[di].series;
        struct tape_pass p = {.rv = rv,
                              .series = series,
                              .names = series_get(rv->names, series),
                              .dirty = rv->dirty + di,
                              .now_ns = now_ns};
        for (; di < rv->dirty_count && by_tape(rv, rv->dirty[di].series, series) == 0; di++)
            p.dirty_count++;
        size_t first = ci;
        for (; ci < rv->change_count && by_tape(rv, rv->changes[ci].g.series, series) == 0; ci++) {
        }
        enum err_code code = apply_tape(&p, rv->changes + first, ci - first, ret_rows, e);
        free(p.fresh.items);
        TRY(code);
    }
    TRY(revise_count(rv, e));
    return revise_forget(rv, e);
}
