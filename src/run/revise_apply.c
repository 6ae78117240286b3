/* Late trades and gap changes applied: minutes and roll-ups made anew from the lake, `complete` turned. */
#include "run/revise_internal.h"

#include <stdlib.h>

enum { ROWS_MAX = 1 << 30 }; /* of one tape in one apply; memory ends before */

struct candle_list {
    struct candle *items;
    size_t count, cap;
};

struct old_row { /* a candle as it stands in the lake */
    int64_t revision;
};

struct tape_pass { /* one tape of one apply */
    struct revise *rv;
    uint32_t series;
    const struct series *names;
    const struct dirty *dirty; /* sorted by second */
    size_t dirty_count;
    struct candle *fresh; /* made in this pass, so that roll-ups and gap changes see them */
    size_t fresh_count, fresh_cap;
    struct map fresh_places; /* timeframe and open time -> place in `fresh` */
    struct old_row *old;
    size_t old_count, old_cap;
    struct map old_places;
    struct candle_list rows; /* of the lake, with open times in [rows_from, rows_to) */
    int64_t rows_from_ns, rows_to_ns;
    int64_t now_ns;
};

struct place_key {
    int64_t timeframe, open_ns;
};

static uint32_t place_of(const struct map *places, enum timeframe tf, int64_t open_ns)
{
    struct place_key k = {tf, open_ns};
    return map_get(places, (struct str){(const char *)&k, sizeof k});
}

static void put_place(struct map *places, enum timeframe tf, int64_t open_ns, size_t place)
{
    struct place_key k = {tf, open_ns};
    CHECK(map_put(places, (struct str){(const char *)&k, sizeof k}, (uint32_t)place) != MAP_FULL);
}

static struct candle *fresh_find(const struct tape_pass *p, enum timeframe tf, int64_t open_ns)
{
    uint32_t at = place_of(&p->fresh_places, tf, open_ns);
    return at == MAP_NONE ? NULL : &p->fresh[at];
}

static void fresh_set(struct tape_pass *p, const struct candle *c)
{
    struct candle *old = fresh_find(p, (enum timeframe)c->timeframe, c->open_time_ns);
    if (old) {
        *old = *c;
        return;
    }
    p->fresh = array_grown(p->fresh, p->fresh_count, &p->fresh_cap, sizeof *p->fresh);
    put_place(&p->fresh_places, (enum timeframe)c->timeframe, c->open_time_ns, p->fresh_count);
    p->fresh[p->fresh_count++] = *c;
}

static enum err_code note_old(void *ctx, const struct candle *c, struct err *e)
{
    struct tape_pass *p = ctx;
    (void)e;
    if (place_of(&p->old_places, (enum timeframe)c->timeframe, c->open_time_ns) != MAP_NONE)
        return ERR_OK;
    p->old = array_grown(p->old, p->old_count, &p->old_cap, sizeof *p->old);
    put_place(&p->old_places, (enum timeframe)c->timeframe, c->open_time_ns, p->old_count);
    p->old[p->old_count++] = (struct old_row){c->revision};
    return ERR_OK;
}

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

static enum err_code collect_candle(void *ctx, const struct candle *c, struct err *e)
{
    (void)e;
    struct candle_list *l = ctx;
    l->items = array_grown(l->items, l->count, &l->cap, sizeof *l->items);
    l->items[l->count++] = *c;
    return ERR_OK;
}

/* The rows of every day with late trades, in one scan a day: a scan for each row took 2.6 ms, measured, and a day that is
 * late as a whole has 88,000. Buckets never reach over a day. */
static enum err_code find_old(struct tape_pass *p, struct err *e)
{
    for (size_t i = 0; i < p->dirty_count;) {
        int64_t day_ns = time_floor(p->dirty[i].second_ns, NS_PER_DAY);
        TRY(lake_scan_candles(p->rv->lake, p->names->venue, p->names->symbol, TIMEFRAME_MAX, day_ns,
                              day_ns + NS_PER_DAY, note_old, p, e));
        while (i < p->dirty_count && p->dirty[i].second_ns < day_ns + NS_PER_DAY) i++;
    }
    return ERR_OK;
}

/* The row's revision as it stands: made in this pass, or in the lake; 0 where there is none yet. */
static int64_t old_revision(const struct tape_pass *p, enum timeframe tf, int64_t open_ns)
{
    const struct candle *fresh = fresh_find(p, tf, open_ns);
    if (fresh) return fresh->revision;
    uint32_t at = place_of(&p->old_places, tf, open_ns);
    return at == MAP_NONE ? 0 : p->old[at].revision;
}

static void replace(struct tape_pass *p, struct candle *c, int64_t late)
{
    enum timeframe tf = (enum timeframe)c->timeframe;
    c->series = p->series;
    c->revision = old_revision(p, tf, c->open_time_ns) + late;
    c->replaces = true;
    c->complete = process_is_complete(p->rv->process, p->series, c->open_time_ns,
                                      c->open_time_ns + timeframe_ns(tf));
    c->updated_ns = p->now_ns;
    fresh_set(p, c);
}

/* The first second that is not before time_ns. */
static size_t dirty_from(const struct tape_pass *p, int64_t time_ns)
{
    size_t low = 0, high = p->dirty_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (p->dirty[middle].second_ns < time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Late trades of timeframe tf that fall into [open, open + tf). */
static int64_t late_in(const struct tape_pass *p, enum timeframe tf, int64_t open_ns)
{
    int64_t sum = 0;
    for (size_t i = dirty_from(p, open_ns);
         i < p->dirty_count && p->dirty[i].second_ns < open_ns + timeframe_ns(tf); i++)
        sum += p->dirty[i].counts[tf];
    return sum;
}

struct dirty_minute {
    int64_t open_ns;
    uint64_t seconds; /* bit per second whose candle is made anew */
};

static int64_t time_of(const struct trade *t)
{
    return t->venue_time_ns != TIME_ABSENT ? t->venue_time_ns : t->received_ns;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = time_of(a), y = time_of(b);
    return (x > y) - (x < y);
}

static enum err_code make_minute(struct tape_pass *p, const struct dirty_minute *m,
                                 const struct trade *trades, size_t count)
{
    struct candle out[61];
    size_t made = 0;
    TRY(process_candles_of_minute(p->rv->names, p->series, trades, count, m->open_ns, m->seconds,
                                  out, &made));
    for (size_t i = 0; i < made; i++) {
        int64_t late = late_in(p, (enum timeframe)out[i].timeframe, out[i].open_time_ns);
        if (late) replace(p, &out[i], late);
    }
    return ERR_OK;
}

/* Minutes of one hour: their trades come from one scan. */
static enum err_code make_hour(struct tape_pass *p, const struct dirty_minute *minutes,
                               size_t count, struct err *e)
{
    struct trade_list l = {.stream = process_tape_stream(p->rv->process, p->series)};
    arena_init(&l.texts, (size_t)1 << 30);
    enum err_code code =
        lake_scan_trades(p->rv->lake, p->names->venue, p->names->symbol, minutes[0].open_ns,
                         minutes[count - 1].open_ns + NS_PER_MINUTE, collect_trade, &l, e);
    if (code == ERR_OK && l.count) qsort(l.items, l.count, sizeof *l.items, by_time);
    size_t from = 0;
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        while (from < l.count && time_of(&l.items[from]) < minutes[i].open_ns) from++;
        size_t to = from;
        while (to < l.count && time_of(&l.items[to]) < minutes[i].open_ns + NS_PER_MINUTE) to++;
        code = make_minute(p, &minutes[i], l.items + from, to - from);
        from = to;
    }
    free(l.items);
    arena_free(&l.texts);
    return code;
}

/* The dirty seconds of one minute from *i on; false where none of them is late for a second or the minute. */
static bool take_minute(const struct tape_pass *p, size_t *i, struct dirty_minute *ret)
{
    *ret = (struct dirty_minute){.open_ns = time_floor(p->dirty[*i].second_ns, NS_PER_MINUTE)};
    int64_t late = 0;
    for (; *i < p->dirty_count && p->dirty[*i].second_ns < ret->open_ns + NS_PER_MINUTE; ++*i) {
        const struct dirty *d = &p->dirty[*i];
        if (d->counts[TIMEFRAME_1S])
            ret->seconds |= UINT64_C(1) << ((d->second_ns - ret->open_ns) / NS_PER_S);
        late += d->counts[TIMEFRAME_1S] + d->counts[TIMEFRAME_1M];
    }
    return late > 0;
}

static enum err_code make_minutes(struct tape_pass *p, struct err *e)
{
    for (size_t i = 0; i < p->dirty_count;) {
        struct dirty_minute minutes[60];
        size_t count = 0;
        int64_t hour = time_floor(p->dirty[i].second_ns, NS_PER_HOUR);
        while (i < p->dirty_count && p->dirty[i].second_ns < hour + NS_PER_HOUR)
            count += take_minute(p, &i, &minutes[count]);
        if (count) TRY(make_hour(p, minutes, count, e));
    }
    return ERR_OK;
}

/* Minutes of the bucket that this pass made, in place of those of the lake. */
static enum err_code add_fresh_minutes(const struct tape_pass *p, int64_t open_ns,
                                       int64_t length_ns, struct candle_list *minutes,
                                       struct err *e)
{
    size_t in_lake = minutes->count;
    for (size_t i = 0; i < in_lake; i++) {
        const struct candle *made = fresh_find(p, TIMEFRAME_1M, minutes->items[i].open_time_ns);
        if (made) minutes->items[i] = *made;
    }
    for (int64_t t = open_ns; t < open_ns + length_ns; t += NS_PER_MINUTE) {
        const struct candle *made = fresh_find(p, TIMEFRAME_1M, t);
        if (made && place_of(&p->old_places, TIMEFRAME_1M, t) == MAP_NONE)
            TRY(collect_candle(minutes, made, e));
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
    if (code == ERR_OK) code = add_fresh_minutes(p, open_ns, timeframe_ns(tf), &minutes, e);
    struct candle made;
    if (code == ERR_OK && minutes.count) {
        code = process_rollup(tf, open_ns, minutes.items, minutes.count, &made);
        if (code == ERR_OK) replace(p, &made, late);
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
    for (size_t i = dirty_from(p, c->open_time_ns);
         i < p->dirty_count && p->dirty[i].second_ns < end; i++) {
        const struct dirty *d = &p->dirty[i];
        if (d->rollups >> c->timeframe & 1) return true;
        if (d->counts[c->timeframe] && d->first[c->timeframe] < g->sequence) return true;
    }
    return false;
}

static bool is_in_lake(const struct tape_pass *p, const struct candle *c)
{
    return place_of(&p->old_places, (enum timeframe)c->timeframe, c->open_time_ns) != MAP_NONE;
}

/* Open times of the rows that the change can turn, from the beginning of a day. */
static void span_of(const struct gap_change *g, int64_t *ret_from, int64_t *ret_to)
{
    int64_t to = g->to_ns < g->watermark_ns ? g->to_ns : g->watermark_ns;
    *ret_from = time_floor(g->from_ns, NS_PER_DAY);
    *ret_to = (to < g->from_ns ? g->from_ns : to) + 1;
}

/* The rows that a change can turn, from one scan for as many of the following changes as lie within two days. */
static enum err_code load_rows(struct tape_pass *p, const struct change *changes, size_t count,
                               struct err *e)
{
    int64_t from, to;
    span_of(&changes[0].g, &from, &to);
    if (from >= p->rows_from_ns && to <= p->rows_to_ns) return ERR_OK;
    for (size_t i = 1; i < count; i++) {
        int64_t other_from, other_to;
        span_of(&changes[i].g, &other_from, &other_to);
        if (other_from < from) other_from = from;
        if (other_from < from + 2 * NS_PER_DAY && other_to > to &&
            other_to <= from + 2 * NS_PER_DAY)
            to = other_to;
    }
    p->rows.count = 0;
    p->rows_from_ns = p->rows_to_ns = 0;
    TRY(lake_scan_candles(p->rv->lake, p->names->venue, p->names->symbol, TIMEFRAME_MAX, from, to,
                          collect_candle, &p->rows, e));
    for (size_t i = 0; i < p->rows.count; i++) TRY(note_old(p, &p->rows.items[i], e));
    p->rows_from_ns = from;
    p->rows_to_ns = to;
    return ERR_OK;
}

static void turn(struct tape_pass *p, struct change *change, const struct candle *row)
{
    const struct candle *made = fresh_find(p, (enum timeframe)row->timeframe, row->open_time_ns);
    struct candle copy = made ? *made : *row;
    replace(p, &copy, 1);
    change->revised++;
}

static enum err_code apply_change(struct tape_pass *p, struct change *changes, size_t count,
                                  struct err *e)
{
    struct change *change = &changes[0];
    const struct gap_change *g = &change->g;
    TRY(load_rows(p, changes, count, e));
    size_t made_before = p->fresh_count; /* what is turned here is in the lake */
    for (size_t i = 0; i < p->rows.count; i++)
        if (meets(&p->rows.items[i], g)) turn(p, change, &p->rows.items[i]);
    for (size_t i = 0; i < made_before; i++) {
        struct candle c = p->fresh[i]; /* a copy: turning it may move the array */
        if (meets(&c, g) && !is_in_lake(p, &c) && was_there(p, &c, g)) turn(p, change, &c);
    }
    return ERR_OK;
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
    TRY(find_old(p, e));
    TRY(make_minutes(p, e));
    for (int tf = TIMEFRAME_5M; tf < TIMEFRAME_MAX; tf++)
        TRY(make_rollups(p, (enum timeframe)tf, e));
    for (size_t i = 0; i < count; i++) TRY(apply_change(p, &changes[i], count - i, e));
    for (size_t i = 0; i < p->fresh_count; i++) TRY(lake_push_candle(p->rv->lake, &p->fresh[i], e));
    *ret_rows += (int64_t)p->fresh_count;
    return ERR_OK;
}

static void tape_pass_free(struct tape_pass *p)
{
    free(p->fresh);
    free(p->old);
    free(p->rows.items);
    map_free(&p->fresh_places);
    map_free(&p->old_places);
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
        map_init(&p.fresh_places, ROWS_MAX);
        map_init(&p.old_places, ROWS_MAX);
        enum err_code code = apply_tape(&p, rv->changes + first, ci - first, ret_rows, e);
        tape_pass_free(&p);
        TRY(code);
    }
    TRY(revise_count(rv, e));
    return revise_forget(rv, e);
}
