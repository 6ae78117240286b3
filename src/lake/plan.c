#include "lake/lake_internal.h"

#include <stdlib.h>

/* Which files to join: neighbours in time of one partition and one size class, so that a row is rewritten once a class
 * and the number of files grows with the logarithm of the commits. */

enum {
    SETTLED_COMMITS = 600 /* a day that got nothing new for so long is joined whatever the sizes */
};

struct candidate {
    const struct lake_live *f;
    int size_class;
    bool tail; /* of a settled day: sizes do not matter */
};

/* By rows, not bytes: rows add up exactly, so what is joined is sure to leave its class. Small files are mostly overhead,
 * and by bytes their joint would be rewritten with the next ones again and again. */
static int class_of(const struct lake *l, const struct lake_live *f)
{
    int c = 0;
    for (int64_t rows = f->rows; rows >= l->o.compact_files; rows /= l->o.compact_files) c++;
    return c;
}

static bool is_heavy(const struct lake_live *f)
{
    return f->content == LAKE_DATA && f->deleted_count && (int64_t)f->deleted_count >= f->rows / 4;
}

static bool is_candidate(const struct lake *l, const struct lake_live *f)
{
    if (f->foreign || !f->our_spec || f->unreadable || f->content == LAKE_EQUALITY) return false;
    return f->content == LAKE_DELETES || is_heavy(f) || f->bytes < l->o.target_file_bytes * 3 / 4;
}

static int by_place(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->f->content != y->f->content) return x->f->content - y->f->content;
    if (x->f->day != y->f->day) return x->f->day < y->f->day ? -1 : 1;
    if (x->size_class != y->size_class) return x->size_class - y->size_class;
    return (x->f->serial > y->f->serial) - (x->f->serial < y->f->serial);
}

/* Rows that another writer deleted in a way we cannot read would come back by rewriting: hands off. */
static bool frozen(const struct lake_table *t)
{
    for (size_t i = 0; i < t->file_count; i++)
        if (t->files[i].unreadable) return true;
    return false;
}

static size_t collect(const struct lake *l, const struct lake_table *t, struct candidate *to)
{
    size_t n = 0;
    for (size_t i = 0; i < t->file_count; i++)
        if (is_candidate(l, &t->files[i]))
            to[n++] = (struct candidate){&t->files[i], class_of(l, &t->files[i]), false};
    qsort(to, n, sizeof *to, by_place);
    for (size_t from = 0, end; from < n; from = end) {
        int64_t newest = 0;
        for (end = from; end < n && to[end].f->day == to[from].f->day &&
                         to[end].f->content == to[from].f->content;
             end++)
            if (to[end].f->sequence_number > newest) newest = to[end].f->sequence_number;
        bool settled = newest < t->last_sequence_number - SETTLED_COMMITS && end - from > 1;
        for (size_t i = from; i < end && settled; i++) to[i].tail = true;
    }
    return n;
}

static void add_input(struct lake_plan *p, const struct lake_live *f)
{
    p->serials[p->count] = f->serial;
    p->deleted[p->count++] = f->deleted_count;
    p->rows += f->rows - (int64_t)f->deleted_count;
    p->bytes += f->bytes;
}

static int64_t rows_in_memory(const struct lake_live *f)
{
    return f->rows < LAKE_ROW_GROUP ? f->rows : LAKE_ROW_GROUP;
}

/* As many of the group [from, end) as fit into one output and into memory. */
static bool make_plan(const struct lake *l, struct lake_table *t, const struct candidate *from,
                      size_t count, struct lake_plan *p)
{
    *p = (struct lake_plan){
        .table = t, .day = from->f->day, .deletes = from->f->content != LAKE_DATA};
    size_t most = from->tail ? LAKE_PLAN_INPUTS : (size_t)l->o.compact_files;
    int64_t held = 0, bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += from[i].f->bytes;
    bool enough = from->tail || count >= (size_t)l->o.compact_files ||
                  (!p->deletes && count > 1 && bytes >= l->o.target_file_bytes);
    for (size_t i = 0; i < count && enough && p->count < most && p->count < LAKE_PLAN_INPUTS; i++) {
        held += rows_in_memory(from[i].f);
        if (p->count > 1 && (held > LAKE_MERGE_ROWS || p->bytes >= l->o.target_file_bytes)) break;
        add_input(p, from[i].f);
    }
    if (p->count > 1) return true;
    for (size_t i = 0; i < count; i++) {
        if (!is_heavy(from[i].f)) continue;
        *p = (struct lake_plan){.table = t, .day = from->f->day};
        add_input(p, from[i].f);
        return true;
    }
    return false;
}

bool lake_plan_next(const struct lake *l, struct lake_table *t, size_t skip, struct lake_plan *ret)
{
    if (frozen(t)) return false;
    struct candidate *all = malloc((t->file_count + 1) * sizeof *all);
    CHECK(all != NULL);
    size_t n = collect(l, t, all);
    bool found = false;
    for (size_t from = 0, end; from < n && !found; from = end) {
        for (end = from + 1; end < n && all[end].f->day == all[from].f->day &&
                             all[end].f->content == all[from].f->content &&
                             (all[from].tail || all[end].size_class == all[from].size_class);
             end++)
            ;
        found = make_plan(l, t, all + from, end - from, ret);
        if (found && skip) {
            skip--;
            found = false;
        }
    }
    free(all);
    return found;
}

bool lake_compact_due(struct lake *l)
{
    bool due = false;
    for (int id = 0; id < TABLE_MAX; id++) {
        struct lake_table *t = &l->tables[id];
        struct lake_plan plan;
        if (t->dirty) t->due = lake_plan_next(l, t, 0, &plan);
        t->dirty = false;
        due |= t->due;
    }
    return due;
}
