#include "lake/lake_internal.h"

#include <stdlib.h>

/* Orders rows by (day, sort order). Rows come nearly ordered by time and of few groups, so: one counting pass by
 * group, then a merge sort of those groups that are not in order already. */

static uint32_t group_of(struct lake_groups *g, struct str venue, struct str symbol)
{
    char key[280];
    size_t n = 0;
    struct str parts[2] = {venue, symbol};
    for (int i = 0; i < 2; i++) {
        size_t len = parts[i].n < 128 ? parts[i].n : 128;
        key[n++] = (char)len;
        if (len) memcpy(key + n, parts[i].p, len);
        n += len;
    }
    struct str whole = {key, n};
    uint32_t id = map_get(&g->map, whole);
    if (id != MAP_NONE) return id;
    if (g->count == g->cap) {
        g->cap = g->cap ? g->cap * 2 : 256;
        g->names = realloc(g->names, g->cap * sizeof *g->names);
        g->ranks = realloc(g->ranks, g->cap * sizeof *g->ranks);
        CHECK(g->names != NULL && g->ranks != NULL);
    }
    id = g->count++;
    CHECK(map_put(&g->map, whole, id) == id);
    for (int i = 0; i < 2; i++) CHECK(arena_copy(&g->text, parts[i], &g->names[id][i]));
    return id;
}

static uint32_t group_of_series(struct lake *l, uint32_t series)
{
    struct lake_groups *g = &l->groups;
    if (series >= g->series_count) {
        uint32_t count = series_count(l->o.series);
        CHECK(series < count);
        g->of_series = realloc(g->of_series, count * sizeof *g->of_series);
        CHECK(g->of_series != NULL);
        for (uint32_t i = g->series_count; i < count; i++) {
            const struct series *s = series_get(l->o.series, i);
            g->of_series[i] = group_of(g, s->venue, s->symbol);
        }
        g->series_count = count;
    }
    return g->of_series[series];
}

struct ranked {
    const struct str *names;
    uint32_t id;
};

static int by_names(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    int order = str_cmp(x->names[0], y->names[0]);
    return order ? order : str_cmp(x->names[1], y->names[1]);
}

static void rank_groups(struct lake_groups *g)
{
    if (g->ranked == g->count) return;
    struct ranked *all = malloc(g->count * sizeof *all);
    CHECK(all != NULL);
    for (uint32_t i = 0; i < g->count; i++) all[i] = (struct ranked){g->names[i], i};
    qsort(all, g->count, sizeof *all, by_names);
    for (uint32_t i = 0; i < g->count; i++) g->ranks[all[i].id] = i;
    g->ranked = g->count;
    free(all);
}

static uint32_t timeframe_rank(uint8_t timeframe)
{
    uint32_t rank = 0;
    const char *text = timeframe_text((enum timeframe)timeframe);
    for (int i = 0; i < TIMEFRAME_MAX; i++)
        rank += strcmp(timeframe_text((enum timeframe)i), text) < 0;
    return rank;
}

/* time: what the last sort column holds; day: of the partition column. major: a group until ranks are known. */
static void key_of(struct lake *l, enum table_id id, const void *row, struct lake_sorted *k)
{
    int64_t day_ns = TIME_ABSENT;
    switch (id) {
    case TABLE_TRADES: {
        const struct trade *t = row;
        k->major = group_of_series(l, t->series);
        k->time = day_ns = t->venue_time_ns;
        break;
    }
    case TABLE_QUOTES: {
        const struct quote *q = row;
        k->major = group_of_series(l, q->series);
        k->time = day_ns = q->received_ns;
        break;
    }
    case TABLE_CANDLES:
    case TABLE_VENUE_CANDLES: {
        const struct candle *c = id == TABLE_CANDLES ? row : &((const struct venue_candle *)row)->c;
        k->major = (uint64_t)timeframe_rank(c->timeframe) << 32 | group_of_series(l, c->series);
        k->time = day_ns = c->open_time_ns;
        break;
    }
    case TABLE_GAPS: k->time = ((const struct gap *)row)->gap_id; break;
    case TABLE_INSTRUMENTS: {
        const struct instrument *n = row;
        k->major = group_of(&l->groups, n->venue, n->symbol);
        break;
    }
    case TABLE_DEAD_LETTERS: k->time = day_ns = ((const struct dead *)row)->received_ns; break;
    case TABLE_MAX: break;
    }
    k->day = day_ns == TIME_ABSENT ? LAKE_NO_DAY : time_day(day_ns);
}

static inline bool before(const struct lake_sorted *a, const struct lake_sorted *b)
{
    if (a->day != b->day) return a->day < b->day;
    if (a->major != b->major) return a->major < b->major;
    return a->time < b->time;
}

/* Stable; `spare` has room for half. Runs that are in order already cost one pass. */
static void merge_sort(struct lake_sorted *a, size_t n, struct lake_sorted *spare)
{
    size_t i = 1;
    while (i < n && !before(&a[i], &a[i - 1])) i++;
    if (i >= n) return;
    if (n <= 12) {
        for (; i < n; i++) {
            struct lake_sorted x = a[i];
            size_t at = i;
            for (; at > 0 && before(&x, &a[at - 1]); at--) a[at] = a[at - 1];
            a[at] = x;
        }
        return;
    }
    size_t half = n / 2;
    merge_sort(a, half, spare);
    merge_sort(a + half, n - half, spare);
    memcpy(spare, a, half * sizeof *a);
    size_t left = 0, right = half, out = 0;
    while (left < half && right < n)
        a[out++] = before(&a[right], &spare[left]) ? a[right++] : spare[left++];
    while (left < half) a[out++] = spare[left++];
}

/* Groups by rank in one pass when all rows are of one day; false when it does not pay. */
static bool counting_sort(struct lake *l, size_t n)
{
    const struct lake_sorted *from = l->sorted;
    struct lake_sorted *to = l->sorted_spare;
    uint32_t groups = l->groups.count;
    if (n < 64 || groups > n * 4) return false;
    for (size_t i = 0; i < n; i++)
        if (from[i].day != from[0].day || from[i].major >= groups) return false;
    uint32_t *starts = calloc((size_t)groups + 1, sizeof *starts);
    CHECK(starts != NULL);
    for (size_t i = 0; i < n; i++) starts[from[i].major + 1]++;
    for (uint32_t g = 0; g < groups; g++) starts[g + 1] += starts[g];
    for (size_t i = 0; i < n; i++) to[starts[from[i].major]++] = from[i];
    l->sorted = to;
    l->sorted_spare = (struct lake_sorted *)(uintptr_t)from;
    /* starts[g] is now where group g ends. */
    for (uint32_t g = 0, begin = 0; g < groups; begin = starts[g++])
        if (starts[g] > begin) merge_sort(l->sorted + begin, starts[g] - begin, l->sorted_spare);
    free(starts);
    return true;
}

struct lake_sorted *lake_rows_sort(struct lake *l, enum table_id id)
{
    const struct lake_rows *r = &l->rows[id];
    if (r->count > l->sorted_cap) {
        l->sorted_cap = r->cap;
        l->sorted = realloc(l->sorted, l->sorted_cap * sizeof *l->sorted);
        l->sorted_spare = realloc(l->sorted_spare, l->sorted_cap * sizeof *l->sorted_spare);
        CHECK(l->sorted != NULL && l->sorted_spare != NULL);
    }
    for (size_t i = 0; i < r->count; i++) {
        l->sorted[i] = (struct lake_sorted){.index = (uint32_t)i};
        key_of(l, id, lake_rows_at(r, i), &l->sorted[i]);
    }
    bool grouped = id != TABLE_GAPS && id != TABLE_DEAD_LETTERS;
    if (grouped) {
        rank_groups(&l->groups);
        for (size_t i = 0; i < r->count; i++) {
            uint64_t *major = &l->sorted[i].major;
            *major = (*major >> 32) << 32 | l->groups.ranks[(uint32_t)*major];
        }
    }
    if (!counting_sort(l, r->count)) merge_sort(l->sorted, r->count, l->sorted_spare);
    return l->sorted;
}
