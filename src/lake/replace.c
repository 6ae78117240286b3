#include "lake/lake_internal.h"

#include <stdlib.h>

/* Candles, gaps and instruments are one row a key: before a new row is added, the old one is found and deleted by its
 * position. Recent rows are found in a small cache; all others by the bounds of the files and a scan of their keys. */

void lake_cache_put(struct lake *l, enum table_id id, u128 key, uint32_t serial, int64_t position)
{
    if (!l->cache) l->cache = calloc(LAKE_CACHE_SLOTS, sizeof *l->cache);
    CHECK(l->cache != NULL);
    struct lake_cache_slot *s = &l->cache[(uint64_t)key % LAKE_CACHE_SLOTS];
    if (position > UINT32_MAX) return;
    *s = (struct lake_cache_slot){key, serial, (uint32_t)position, (uint8_t)id};
}

static int by_place(const void *a, const void *b)
{
    const struct lake_run *x = a, *y = b;
    if (x->serial != y->serial) return x->serial < y->serial ? -1 : 1;
    return (x->from > y->from) - (x->from < y->from);
}

const struct lake_run *lake_run_of(const struct lake_runs *runs, uint32_t serial, int64_t position)
{
    size_t low = 0, high = runs->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct lake_run *r = &runs->items[mid];
        if (r->serial < serial || (r->serial == serial && r->from + r->count <= position))
            low = mid + 1;
        else
            high = mid;
    }
    const struct lake_run *r = low < runs->count ? &runs->items[low] : NULL;
    return r && r->serial == serial && r->from <= position ? r : NULL;
}

void lake_runs_sort(struct lake_runs *runs)
{
    if (runs->count) qsort(runs->items, runs->count, sizeof *runs->items, by_place);
}

void lake_cache_move(struct lake *l, enum table_id id, const struct lake_runs *runs,
                     uint32_t serial)
{
    if (!l->cache) return;
    for (size_t i = 0; i < LAKE_CACHE_SLOTS; i++) {
        struct lake_cache_slot *s = &l->cache[i];
        if (s->serial == 0 || s->table != (uint8_t)id) continue;
        const struct lake_run *r = lake_run_of(runs, s->serial, s->position);
        if (!r) continue;
        s->position = (uint32_t)(r->to + (s->position - r->from));
        s->serial = serial;
    }
}

static bool cache_find(const struct lake *l, const struct lake_table *t, u128 key,
                       struct lake_target *ret)
{
    if (!l->cache) return false;
    const struct lake_cache_slot *s = &l->cache[(uint64_t)key % LAKE_CACHE_SLOTS];
    if (s->key != key || s->serial == 0 || s->table != (uint8_t)t->t->id) return false;
    const struct lake_live *f = lake_index_by_serial(t, s->serial);
    if (!f || f->content != LAKE_DATA || lake_live_is_deleted(f, s->position)) return false;
    *ret = (struct lake_target){.serial = s->serial, .position = s->position};
    return true;
}

static bool targets_live(const struct lake_change *c)
{
    for (size_t i = 0; i < c->target_count; i++) {
        if (c->targets[i].added) continue;
        const struct lake_live *f = lake_index_by_serial(c->table, c->targets[i].serial);
        if (!f || lake_live_is_deleted(f, c->targets[i].position)) return false;
    }
    return true;
}

/* ---- keys that are wanted */

struct search {
    struct lake *l;
    struct lake_change *c;
    struct lake_wanted *items;
    size_t count, left;
    struct map by_key; /* the hash's bytes -> index */
    int64_t *ranges;   /* sorted: what the range column of a wanted row holds */
};

static int by_number(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static bool is_wanted(const struct search *s, int64_t range)
{
    if (range < s->ranges[0] || range > s->ranges[s->count - 1]) return false;
    return bsearch(&range, s->ranges, s->count, sizeof range, by_number) != NULL;
}

static struct str key_bytes(const u128 *key)
{
    return (struct str){(const char *)key, sizeof *key};
}

bool lake_wanted_of(const struct lake *l, enum table_id id, size_t i, struct lake_wanted *w)
{
    const void *row = lake_rows_at(&l->rows[id], i);
    *w = (struct lake_wanted){.key = l->rows[id].keys[i], .day = LAKE_NO_DAY};
    switch (id) {
    case TABLE_CANDLES: {
        const struct candle *c = row;
        const struct series *s = series_get(l->o.series, c->series);
        w->day = time_day(c->open_time_ns);
        w->range = time_micros(c->open_time_ns);
        w->venue = s->venue;
        w->symbol = s->symbol;
        return c->replaces;
    }
    case TABLE_GAPS: {
        const struct gap *g = row;
        w->range = g->gap_id;
        return true;
    }
    case TABLE_INSTRUMENTS: {
        const struct instrument *n = row;
        w->venue = n->venue; /* the symbol is no part of the key: it may have been renamed */
        return true;
    }
    default: LAKE_NEVER();
    }
    return false;
}

/* The prefix of a value never lies below a cut lower bound, nor above a cut and raised upper one. */
static bool within(struct str v, struct str lower, struct str upper)
{
    if (v.n == 0) return true;
    if (lower.n && str_cmp(v, lower) < 0) return false;
    return !upper.n || str_cmp(v, upper) <= 0;
}

static bool may_hold(const struct lake_live *f, const struct lake_wanted *w)
{
    if (f->our_spec && f->day != w->day) return false;
    if (f->has_range && (w->range < f->low || w->range > f->high)) return false;
    return within(w->venue, f->lower[0], f->upper[0]) &&
           within(w->symbol, f->lower[1], f->upper[1]);
}

/* ---- scanning the key columns of one file */

static u128 key_at(enum table_id id, const struct parquet_chunk *k, size_t i)
{
    switch (id) {
    case TABLE_CANDLES:
        return lake_key_candle(k[0].strings[i], k[1].strings[i], k[2].strings[i], k[3].longs[i]);
    case TABLE_GAPS: return lake_key_gap(k[0].longs[i]);
    default: return lake_key_instrument(k[0].strings[i], k[1].strings[i]);
    }
}

static void scan_group(struct search *s, const struct lake_live *f,
                       const struct parquet_chunk *chunks, const struct parquet_chunk *range,
                       int64_t base)
{
    enum table_id id = s->c->table->t->id;
    for (size_t i = 0; i < chunks[0].rows && s->left; i++) {
        if (range && !is_wanted(s, range->longs[i])) continue;
        u128 key = key_at(id, chunks, i);
        uint32_t at = map_get(&s->by_key, key_bytes(&key));
        int64_t position = base + (int64_t)i;
        if (at == MAP_NONE || s->items[at].found || lake_live_is_deleted(f, position)) continue;
        s->items[at].found = true;
        s->left--;
        lake_change_target(s->c, (struct lake_target){.serial = f->serial, .position = position});
    }
}

static bool group_may_hold(const struct search *s, const struct parquet_reader *r, int group,
                           int column)
{
    int64_t low, high;
    if (column < 0 || !parquet_reader_long_bounds(r, group, column, &low, &high)) return true;
    for (size_t i = 0; i < s->count; i++)
        if (!s->items[i].found && s->items[i].range >= low && s->items[i].range <= high)
            return true;
    return false;
}

static enum err_code read_key(const struct search *s, struct parquet_reader *r, int group, int k,
                              struct parquet_chunk *ret, struct err *e)
{
    const struct table *t = s->c->table->t;
    int column = parquet_reader_column(r, t->key_columns[k] + 1);
    if (column < 0) return ERR(e, ERR_NOT_FOUND, "a key column is missing");
    TRY(parquet_reader_read(r, group, column, t->columns[t->key_columns[k]].type, ret, e));
    if (ret->present || (int64_t)ret->rows != parquet_reader_group_rows(r, group))
        return ERR(e, ERR_CORRUPT, "a key column has absent rows");
    return ERR_OK;
}

/* The range column (the last of the key where there is one) first: mostly it tells that nothing is here. */
static enum err_code scan_one(struct search *s, const struct lake_live *f, struct parquet_reader *r,
                              int group, int64_t base, struct err *e)
{
    struct parquet_chunk chunks[4];
    int last = s->c->table->t->key_count - 1;
    bool ranged = s->c->table->range_column >= 0;
    CHECK(last < 4);
    TRY(read_key(s, r, group, last, &chunks[last], e));
    bool any = !ranged;
    for (size_t i = 0; !any && i < chunks[last].rows; i++)
        any = is_wanted(s, chunks[last].longs[i]);
    if (!any) return ERR_OK;
    for (int k = 0; k < last; k++) TRY(read_key(s, r, group, k, &chunks[k], e));
    scan_group(s, f, chunks, ranged ? &chunks[last] : NULL, base);
    return ERR_OK;
}

static enum err_code scan_file(struct search *s, const struct lake_live *f, struct err *e)
{
    char path[PATH_LIMIT];
    struct parquet_reader *r = NULL;
    TRY(lake_fetch(s->l, f->path, f->bytes, path, e));
    enum err_code code = parquet_reader_open(path, &r, e);
    int64_t base = 0;
    int range = s->c->table->range_column;
    if (code == ERR_OK && range >= 0) range = parquet_reader_column(r, range + 1);
    for (int g = 0; code == ERR_OK && g < parquet_reader_row_groups(r) && s->left; g++) {
        if (group_may_hold(s, r, g, range)) code = scan_one(s, f, r, g, base, e);
        base += parquet_reader_group_rows(r, g);
    }
    parquet_reader_close(r);
    /* What another writer added and we cannot read holds no row of ours. */
    if (code == ERR_OK || (f->foreign && code != ERR_DISK)) return ERR_OK;
    return err_prefix(e, "%s: ", path);
}

static enum err_code search_files(struct search *s, struct err *e)
{
    const struct lake_table *t = s->c->table;
    for (size_t i = t->file_count;
         i-- > 0 && s->left;) { /* newest first: the row is mostly there */
        const struct lake_live *f = &t->files[i];
        if (f->content != LAKE_DATA) continue;
        bool any = false;
        for (size_t k = 0; k < s->count && !any; k++)
            any = !s->items[k].found && may_hold(f, &s->items[k]);
        if (any) TRY(scan_file(s, f, e));
    }
    return ERR_OK;
}

static enum err_code find(struct lake *l, struct lake_change *c, const struct lake_replacing *want,
                          struct err *e)
{
    struct search s = {.l = l, .c = c};
    s.items = malloc((want->count + 1) * sizeof *s.items);
    CHECK(s.items != NULL);
    map_init(&s.by_key, (uint32_t)want->count + 1);
    for (size_t i = 0; i < want->count; i++) {
        const struct lake_wanted *w = &want->wanted[i];
        struct lake_target target;
        if (cache_find(l, c->table, w->key, &target)) {
            lake_change_target(c, target);
            continue;
        }
        CHECK(map_put(&s.by_key, key_bytes(&w->key), (uint32_t)s.count) != MAP_FULL);
        s.items[s.count++] = *w;
    }
    s.left = s.count;
    s.ranges = malloc((s.count + 1) * sizeof *s.ranges);
    CHECK(s.ranges != NULL);
    for (size_t i = 0; i < s.count; i++) s.ranges[i] = s.items[i].range;
    qsort(s.ranges, s.count, sizeof *s.ranges, by_number);
    enum err_code code = s.left ? search_files(&s, e) : ERR_OK;
    map_free(&s.by_key);
    free(s.ranges);
    free(s.items);
    return code;
}

enum err_code lake_replace(struct lake *l, struct lake_change *c, const struct lake_replacing *r,
                           struct err *e)
{
    c->target_count = 0;
    for (size_t i = 0; i < r->own_count; i++) lake_change_target(c, r->own[i]);
    TRY(find(l, c, r, e));
    c->operation = c->target_count ? "overwrite" : "append";
    return lake_deletes_write(l, c, e);
}

/* After a lost race: the rows to delete may lie elsewhere now, because somebody compacted or deleted them. The delete files
 * of before stay unreferenced; they are found as leftovers. */
enum err_code lake_replace_again(struct lake *l, struct lake_change *c, struct err *e)
{
    if (targets_live(c)) return ERR_OK;
    size_t kept = 0;
    for (size_t i = 0; i < c->added_count; i++) /* data files come first and keep their numbers */
        if (c->added[i].entry.content == LAKE_DATA) c->added[kept++] = c->added[i];
    c->added_count = kept;
    lake_note_orphan(l);
    if (c->has_own[1]) lake_manifest_free(&c->own[1]);
    c->has_own[1] = false;
    return lake_replace(l, c, c->ctx, e);
}

void lake_replacing_free(struct lake_replacing *r)
{
    free(r->wanted);
    free(r->own);
    *r = (struct lake_replacing){0};
}
