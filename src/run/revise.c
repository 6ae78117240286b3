#include "run/revise.h"

#include "run/run_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* One second of one tape with late trades, and the roll-up buckets that begin in it and must be made from the lake. */
struct dirty {
    uint32_t series;
    int64_t second_ns;
    int64_t
        counts[TIMEFRAME_MAX]; /* late trades that came after that timeframe's row was emitted */
    uint32_t rollups; /* bit per timeframe: bucket that opens here, to be made from the lake */
    bool changed;     /* since it was persisted */
};

struct change {
    struct gap_change g;
    bool persisted;
};

struct revise {
    const struct series_table *names;
    struct lake *lake;
    struct process *process;
    struct map index; /* name of the dirty state -> its place in `dirty` */
    struct dirty *dirty;
    size_t dirty_count, dirty_cap;
    struct change *changes;
    size_t change_count, change_cap;
};

static void *grown(void *array, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) return array;
    *cap = *cap ? *cap * 2 : 64;
    array = realloc(array, *cap * size);
    CHECK(array != NULL);
    return array;
}

struct revise *revise_new(const struct series_table *series, struct lake *lake,
                          struct process *process)
{
    struct revise *rv = calloc(1, sizeof *rv);
    CHECK(rv != NULL);
    *rv = (struct revise){.names = series, .lake = lake, .process = process};
    map_init(&rv->index, REVISE_MAX * 2);
    return rv;
}

struct revise *revise_free(struct revise *rv)
{
    if (!rv) return NULL;
    map_free(&rv->index);
    free(rv->dirty);
    free(rv->changes);
    free(rv);
    return NULL;
}

bool revise_pending(const struct revise *rv) { return rv->dirty_count + rv->change_count > 0; }
bool revise_is_full(const struct revise *rv)
{
    return rv->dirty_count + rv->change_count >= REVISE_MAX;
}

static struct str dirty_name(const struct revise *rv, const struct dirty *d,
                             char out[STATE_NAME_MAX])
{
    const struct series *s = series_get(rv->names, d->series);
    int n = snprintf(out, STATE_NAME_MAX, "revise/second/%lld/%.*s/%.*s", (long long)d->second_ns,
                     STR_ARG(s->venue), STR_ARG(s->symbol));
    CHECK(n > 0 && n < STATE_NAME_MAX);
    return (struct str){out, (size_t)n};
}

static struct dirty *dirty_at(struct revise *rv, uint32_t series, int64_t second_ns)
{
    char text[STATE_NAME_MAX];
    struct dirty d = {.series = series, .second_ns = second_ns};
    struct str name = dirty_name(rv, &d, text);
    uint32_t at = map_get(&rv->index, name);
    if (at == MAP_NONE) {
        rv->dirty = grown(rv->dirty, rv->dirty_count, &rv->dirty_cap, sizeof *rv->dirty);
        at = (uint32_t)rv->dirty_count++;
        rv->dirty[at] = d;
        CHECK(map_put(&rv->index, name, at) != MAP_FULL);
    }
    rv->dirty[at].changed = true;
    return &rv->dirty[at];
}

void revise_late(struct revise *rv, const struct late_trade *l)
{
    struct dirty *d = dirty_at(rv, l->series, l->time_ns);
    for (int tf = 0; tf < TIMEFRAME_MAX; tf++) d->counts[tf] += l->timeframes >> tf & 1;
}

void revise_rollup(struct revise *rv, uint32_t series, enum timeframe tf, int64_t open_time_ns)
{
    dirty_at(rv, series, open_time_ns)->rollups |= 1u << tf;
}

void revise_gap(struct revise *rv, const struct gap_change *g)
{
    rv->changes = grown(rv->changes, rv->change_count, &rv->change_cap, sizeof *rv->changes);
    rv->changes[rv->change_count++] = (struct change){.g = *g};
}

/* --- state: survives a crash with the commit that holds the cause --- */

static struct str change_name(const struct gap_change *g, char out[STATE_NAME_MAX])
{
    int n = snprintf(out, STATE_NAME_MAX, "revise/gap/%lld", (long long)g->sequence);
    CHECK(n > 0 && n < STATE_NAME_MAX);
    return (struct str){out, (size_t)n};
}

static enum err_code persist_dirty(struct revise *rv, struct dirty *d, struct err *e)
{
    char name[STATE_NAME_MAX], text[256];
    size_t n = 0;
    for (int tf = 0; tf < TIMEFRAME_MAX; tf++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%lld,", (long long)d->counts[tf]);
    n += (size_t)snprintf(text + n, sizeof text - n, "%u", d->rollups);
    d->changed = false;
    return lake_put_state(rv->lake, dirty_name(rv, d, name), (struct str){text, n}, e);
}

static enum err_code persist_change(struct revise *rv, struct change *c, struct err *e)
{
    char name[STATE_NAME_MAX], text[STATE_NAME_MAX];
    const struct series *s = series_get(rv->names, c->g.series);
    int n = snprintf(text, sizeof text, "%lld,%lld,%lld,%lld,%.*s/%.*s", (long long)c->g.gap_id,
                     (long long)c->g.from_ns, (long long)c->g.to_ns, (long long)c->g.watermark_ns,
                     STR_ARG(s->venue), STR_ARG(s->symbol));
    CHECK(n > 0 && (size_t)n < sizeof text);
    c->persisted = true;
    return lake_put_state(rv->lake, change_name(&c->g, name), (struct str){text, (size_t)n}, e);
}

enum err_code revise_persist(struct revise *rv, struct err *e)
{
    for (size_t i = 0; i < rv->dirty_count; i++)
        if (rv->dirty[i].changed) TRY(persist_dirty(rv, &rv->dirty[i], e));
    for (size_t i = 0; i < rv->change_count; i++)
        if (!rv->changes[i].persisted) TRY(persist_change(rv, &rv->changes[i], e));
    return ERR_OK;
}

static enum err_code bad_state(struct str name, struct err *e)
{
    return ERR(e, ERR_CORRUPT,
               "catalog.db: state %.*s cannot be read; restore the data folder from a copy",
               STR_ARG(name));
}

static uint32_t series_of(struct revise *rv, struct str venue, struct str symbol)
{
    return series_find(rv->names, venue, symbol);
}

static enum err_code restore_dirty(void *ctx, struct str name, struct str bytes, struct err *e)
{
    struct revise *rv = ctx;
    struct str rest = {name.p + strlen("revise/second/"), name.n - strlen("revise/second/")};
    int64_t second;
    if (str_to_i64(str_cut(&rest, '/'), &second) != ERR_OK) return bad_state(name, e);
    struct str venue = str_cut(&rest, '/');
    uint32_t series = series_of(rv, venue, rest);
    if (series == SERIES_NONE) return bad_state(name, e);
    struct dirty *d = dirty_at(rv, series, second);
    for (int tf = 0; tf < TIMEFRAME_MAX; tf++)
        if (str_to_i64(str_cut(&bytes, ','), &d->counts[tf]) != ERR_OK) return bad_state(name, e);
    int64_t rollups;
    if (str_to_i64(bytes, &rollups) != ERR_OK || rollups < 0 || rollups >= 1 << TIMEFRAME_MAX)
        return bad_state(name, e);
    d->rollups = (uint32_t)rollups;
    d->changed = false;
    return ERR_OK;
}

static enum err_code restore_change(void *ctx, struct str name, struct str bytes, struct err *e)
{
    struct revise *rv = ctx;
    struct str sequence = {name.p + strlen("revise/gap/"), name.n - strlen("revise/gap/")};
    struct gap_change g = {0};
    if (str_to_i64(sequence, &g.sequence) != ERR_OK ||
        str_to_i64(str_cut(&bytes, ','), &g.gap_id) != ERR_OK ||
        str_to_i64(str_cut(&bytes, ','), &g.from_ns) != ERR_OK ||
        str_to_i64(str_cut(&bytes, ','), &g.to_ns) != ERR_OK ||
        str_to_i64(str_cut(&bytes, ','), &g.watermark_ns) != ERR_OK)
        return bad_state(name, e);
    struct str venue = str_cut(&bytes, '/');
    g.series = series_of(rv, venue, bytes);
    if (g.series == SERIES_NONE) return bad_state(name, e);
    revise_gap(rv, &g);
    rv->changes[rv->change_count - 1].persisted = true;
    return ERR_OK;
}

enum err_code revise_restore(struct revise *rv, struct err *e)
{
    TRY(lake_each_state(rv->lake, "revise/second/", restore_dirty, rv, e));
    return lake_each_state(rv->lake, "revise/gap/", restore_change, rv, e);
}

/* --- applying --- */

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
    f->items = grown(f->items, f->count, &f->cap, sizeof *f->items);
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
};

static enum err_code collect_trade(void *ctx, const struct trade *t, struct err *e)
{
    enum { LIMIT = 50000000 };
    struct trade_list *l = ctx;
    if (t->stream != l->stream) return ERR_OK;
    if (l->count >= LIMIT) return ERR(e, ERR_FULL, "more than %d trades in one minute", LIMIT);
    l->items = grown(l->items, l->count, &l->cap, sizeof *l->items);
    l->items[l->count++] = *t;
    l->items[l->count - 1].id_text =
        (struct str){0}; /* the scan's memory; order falls back to the sequence */
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
    l->items = grown(l->items, l->count, &l->cap, sizeof *l->items);
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
    struct candle out[61];
    size_t count = 0;
    enum err_code code = lake_scan_trades(p->rv->lake, p->names->venue, p->names->symbol, minute_ns,
                                          minute_ns + NS_PER_MINUTE, collect_trade, &trades, e);
    if (code == ERR_OK) {
        code = process_candles_of_minute(p->rv->names, p->series, trades.items, trades.count,
                                         minute_ns, seconds, out, &count);
        if (code != ERR_OK)
            code = ERR(e, code, "candles of %.*s: a sum does not fit in 38 digits",
                       STR_ARG(p->names->symbol));
    }
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        int64_t late = late_in(p, (enum timeframe)out[i].timeframe, out[i].open_time_ns);
        if (late) code = replace(p, &out[i], late, e);
    }
    free(trades.items);
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
        if (code != ERR_OK)
            ERR(e, code, "roll-up of %.*s: a sum does not fit in 38 digits",
                STR_ARG(p->names->symbol));
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

static enum err_code apply_change(struct tape_pass *p, const struct gap_change *g, struct err *e)
{
    int64_t to = g->to_ns < g->watermark_ns ? g->to_ns : g->watermark_ns;
    if (to < g->from_ns) to = g->from_ns;
    struct candle_list rows = {0};
    enum err_code code =
        lake_scan_candles(p->rv->lake, p->names->venue, p->names->symbol, TIMEFRAME_MAX,
                          time_floor(g->from_ns, NS_PER_DAY), to + 1, collect_candle, &rows, e);
    for (size_t i = 0; i < rows.count && code == ERR_OK; i++) {
        struct candle *c = &rows.items[i];
        int64_t end = c->open_time_ns + timeframe_ns((enum timeframe)c->timeframe);
        if (end <= g->from_ns || c->open_time_ns > g->to_ns || end > g->watermark_ns) continue;
        const struct candle *made =
            fresh_find(&p->fresh, (enum timeframe)c->timeframe, c->open_time_ns);
        struct candle copy = made ? *made : *c;
        code = replace(p, &copy, 1, e);
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

static enum err_code apply_tape(struct tape_pass *p, const struct change *changes, size_t count,
                                int64_t *ret_rows, struct err *e)
{
    TRY(make_minutes(p, e));
    for (int tf = TIMEFRAME_5M; tf < TIMEFRAME_MAX; tf++)
        TRY(make_rollups(p, (enum timeframe)tf, e));
    for (size_t i = 0; i < count; i++) TRY(apply_change(p, &changes[i].g, e));
    for (size_t i = 0; i < p->fresh.count; i++)
        TRY(lake_push_candle(p->rv->lake, &p->fresh.items[i], e));
    *ret_rows += (int64_t)p->fresh.count;
    return ERR_OK;
}

static enum err_code forget_all(struct revise *rv, struct err *e)
{
    char name[STATE_NAME_MAX];
    for (size_t i = 0; i < rv->dirty_count; i++)
        TRY(lake_put_state(rv->lake, dirty_name(rv, &rv->dirty[i], name), STR(""), e));
    for (size_t i = 0; i < rv->change_count; i++)
        TRY(lake_put_state(rv->lake, change_name(&rv->changes[i].g, name), STR(""), e));
    rv->dirty_count = rv->change_count = 0;
    map_clear(&rv->index);
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
    return forget_all(rv, e);
}
