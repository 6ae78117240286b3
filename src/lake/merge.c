#include "lake/lake_internal.h"

#include <stdlib.h>

/* The sorted merge of compaction. Small files cover neighbouring moments, so long runs of one input follow each other:
 * a run is found by galloping and copied column by column. */

enum { RANGE_ROWS = 4096 };
#define TEXT_SOFT_MAX ((size_t)32 << 20) /* a row group ends here, however few rows it has */

struct input {
    struct lake_file_reader r;
    size_t row; /* next one of the current group */
    bool done;
    struct parquet_chunk extras[LAKE_EXTRAS_MAX]; /* of the current group, as the set has them */
};

struct merge {
    struct lake *l;
    const struct table *t;
    struct lake_data_writer *w;
    struct lake_row_set *set;
    struct input *inputs;
    size_t count;
    struct lake_runs *runs;
    int64_t written; /* rows, flushed or not */
};

static int compare(const struct table *t, const struct input *a, size_t i, const struct input *b,
                   size_t k)
{
    for (int s = 0; s < t->sort_count; s++) {
        int c = t->sort_columns[s];
        bool x = lake_reader_has(&a->r, c, i), y = lake_reader_has(&b->r, c, k);
        if (!x || !y) {
            if (x != y) return x ? 1 : -1; /* absent ones first */
            continue;
        }
        int order;
        if (t->columns[c].type == COLUMN_STRING) {
            order = str_cmp(a->r.chunks[c].strings[i], b->r.chunks[c].strings[k]);
        } else {
            int64_t v = a->r.chunks[c].longs[i], u = b->r.chunks[c].longs[k];
            order = (v > u) - (v < u);
        }
        if (order) return order;
    }
    return 0;
}

static enum err_code load_next(const struct merge *m, struct input *in, struct err *e)
{
    in->row = 0;
    do in->done = !lake_reader_next(&in->r);
    while (!in->done && in->r.rows == 0);
    if (in->done) return ERR_OK;
    TRY(lake_reader_load(&in->r, UINT32_MAX, e));
    for (size_t i = 0; i < m->set->extra_count; i++)
        TRY(lake_reader_extra(&in->r, m->set->extras[i], &in->extras[i], e));
    return ERR_OK;
}

/* Whether row i of `a` still comes before the head of `b`; of equals, those of the earlier input. */
static bool comes_first(const struct merge *m, const struct input *a, size_t i,
                        const struct input *b)
{
    int order = compare(m->t, a, i, b, b->row);
    return order < 0 || (order == 0 && a < b);
}

static struct input *first_of(const struct merge *m, const struct input *except)
{
    struct input *best = NULL;
    for (size_t i = 0; i < m->count; i++) {
        struct input *in = &m->inputs[i];
        if (in->done || in == except) continue;
        if (!best || comes_first(m, in, in->row, best)) best = in;
    }
    return best;
}

/* End of the run of `a` that comes before the head of `b`. */
static size_t run_end(const struct merge *m, const struct input *a, const struct input *b)
{
    size_t end = (size_t)a->r.rows;
    if (!b || comes_first(m, a, end - 1, b)) return end;
    size_t low = a->row, step = 1; /* row low comes first */
    while (low + step < end && comes_first(m, a, low + step, b)) {
        low += step;
        step *= 2;
    }
    size_t high = low + step < end ? low + step : end;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (comes_first(m, a, mid, b))
            low = mid;
        else
            high = mid;
    }
    return high;
}

static void copy_texts(struct lake_row_set *s, struct lake_column *to,
                       const struct parquet_chunk *from, size_t first, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        if (!from->present || from->present[first + i]) bytes += from->strings[first + i].n;
    char *at = arena_alloc(&s->text, bytes + 1);
    CHECK(at != NULL); /* flush_if_full keeps far below the limit */
    for (size_t i = 0; i < count; i++) {
        struct str v = STR("");
        if (!from->present || from->present[first + i]) v = from->strings[first + i];
        if (v.n) memcpy(at, v.p, v.n);
        to->strings[s->rows + i] = (struct str){at, v.n};
        at += v.n;
    }
}

static void copy_column(struct lake_row_set *s, int c, const struct parquet_chunk *from,
                        size_t first, size_t count)
{
    struct lake_column *to = &s->columns[c];
    if (from->present) {
        memcpy(to->present + s->rows, from->present + first, count);
        to->absent = true;
    } else {
        memset(to->present + s->rows, 1, count);
    }
    if (to->coded) {
        for (size_t i = 0; i < count; i++) {
            bool present = !from->present || from->present[first + i];
            struct str v = present ? from->strings[first + i] : STR("");
            to->codes[s->rows + i] = present ? lake_row_set_code(to, v, &s->text) : 0;
        }
        return;
    }
    switch (lake_row_set_type(s, c)) {
    case COLUMN_STRING:
    case COLUMN_BINARY: copy_texts(s, to, from, first, count); break;
    case COLUMN_DECIMAL:
        memcpy(to->decimals + s->rows, from->decimals + first, count * sizeof *to->decimals);
        break;
    case COLUMN_TIME:
    case COLUMN_LONG:
        memcpy(to->longs + s->rows, from->longs + first, count * sizeof *to->longs);
        break;
    case COLUMN_BOOLEAN: memcpy(to->booleans + s->rows, from->booleans + first, count); break;
    }
}

/* A file that has not the column has no values to copy either. */
static void copy_extra(struct lake_row_set *s, int c, const struct parquet_chunk *from,
                       size_t first, size_t count)
{
    bool any = !from->present || memchr(from->present + first, 1, count);
    if (any)
        copy_column(s, c, from, first, count);
    else
        lake_row_set_absent(s, c, count);
}

static enum err_code flush(struct merge *m, struct err *e)
{
    if (m->set->rows == 0) return ERR_OK;
    TRY(lake_data_add(m->w, m->set, e));
    lake_row_set_reset(m->set);
    return ERR_OK;
}

static void note_run(struct merge *m, const struct input *in, size_t from, size_t count)
{
    struct lake_runs *r = m->runs;
    r->items = array_grown(r->items, r->count, &r->cap, sizeof *r->items);
    r->items[r->count++] =
        (struct lake_run){in->r.f->serial, in->r.base + (int64_t)from, m->written, (int64_t)count};
    m->written += (int64_t)count;
}

static enum err_code append(struct merge *m, const struct input *in, size_t from, size_t to,
                            struct err *e)
{
    if (from == to) return ERR_OK;
    note_run(m, in, from, to - from);
    while (from < to) {
        size_t n = to - from;
        if (n > RANGE_ROWS) n = RANGE_ROWS;
        if (n > LAKE_ROW_GROUP - m->set->rows) n = LAKE_ROW_GROUP - m->set->rows;
        lake_row_set_reserve(m->set, m->set->rows + n);
        for (int c = 0; c < m->t->column_count; c++)
            copy_column(m->set, c, &in->r.chunks[c], from, n);
        for (size_t i = 0; i < m->set->extra_count; i++)
            copy_extra(m->set, m->t->column_count + (int)i, &in->extras[i], from, n);
        m->set->rows += n;
        from += n;
        if (m->set->rows == LAKE_ROW_GROUP || m->set->text.used > TEXT_SOFT_MAX) TRY(flush(m, e));
    }
    return ERR_OK;
}

/* Rows [from, to) of the current group without those that are deleted. */
static enum err_code append_live(struct merge *m, const struct input *in, size_t from, size_t to,
                                 struct err *e)
{
    const struct lake_live *f = in->r.f;
    size_t start = from;
    for (size_t i = from; f->deleted_count && i < to; i++) {
        if (!lake_live_is_deleted(f, in->r.base + (int64_t)i)) continue;
        TRY(append(m, in, start, i, e));
        start = i + 1;
    }
    return append(m, in, start, to, e);
}

static enum err_code merge_all(struct merge *m, struct err *e)
{
    for (size_t i = 0; i < m->count; i++) TRY(load_next(m, &m->inputs[i], e));
    for (;;) {
        struct input *best = first_of(m, NULL);
        if (!best) return flush(m, e);
        const struct input *second = first_of(m, best);
        size_t end = run_end(m, best, second);
        TRY(append_live(m, best, best->row, end, e));
        best->row = end;
        if (best->row == (size_t)best->r.rows) TRY(load_next(m, best, e));
    }
}

enum err_code lake_merge_extras(struct lake *l, struct lake_data_writer *w,
                                const struct lake_table *t, const uint32_t *serials, size_t count,
                                struct err *e)
{
    bool has[LAKE_EXTRAS_MAX] = {false};
    const struct lake_extra *usable[LAKE_EXTRAS_MAX];
    size_t usable_count = 0;
    for (size_t i = 0; i < t->extras.count; i++)
        if (t->extras.items[i].usable) usable[usable_count++] = &t->extras.items[i];
    for (size_t i = 0; i < count && usable_count; i++) {
        struct lake_file_reader r;
        TRY(lake_reader_open(l, &r, t->t, lake_index_by_serial(t, serials[i]), e));
        for (size_t k = 0; k < usable_count; k++) has[k] |= lake_reader_has_extra(&r, usable[k]);
        lake_reader_close(&r);
    }
    w->extra_count = 0;
    for (size_t k = 0; k < usable_count; k++)
        if (has[k]) w->extras[w->extra_count++] = usable[k];
    return ERR_OK;
}

enum err_code lake_merge(struct lake *l, struct lake_data_writer *w, const uint32_t *serials,
                         size_t count, struct lake_runs *runs, struct err *e)
{
    const struct table *t = w->table->t;
    struct merge m = {.l = l, .t = t, .w = w, .set = &l->sets[t->id], .runs = runs};
    m.inputs = calloc(count, sizeof *m.inputs);
    CHECK(m.inputs != NULL);
    lake_row_set_reset(m.set);
    lake_row_set_extras(m.set, w->extras, w->extra_count);
    enum err_code code = ERR_OK;
    for (; m.count < count && code == ERR_OK; m.count++) {
        const struct lake_live *f = lake_index_by_serial(w->table, serials[m.count]);
        CHECK(f != NULL);
        code = lake_reader_open(l, &m.inputs[m.count].r, t, f, e);
    }
    if (code == ERR_OK) code = merge_all(&m, e);
    for (size_t i = 0; i < m.count; i++) lake_reader_close(&m.inputs[i].r);
    free(m.inputs);
    return code;
}
