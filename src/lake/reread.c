#include "lake/lake_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* The lake's truth for verify: every live row read again and hashed. Damage is told and the rest read on. */

/* Identical prints without an id are told apart by their ordinal, which the lake does not keep: the n-th one met has
 * ordinal n. Prints of one time lie in one day's partition, so the counts are forgotten day by day. */
struct seen_slot {
    uint64_t hash;
    uint32_t count; /* 0: free */
};
struct seen {
    struct seen_slot *slots;
    size_t slot_count, used;
};

static struct seen_slot *find_seen(struct seen_slot *slots, size_t count, uint64_t hash)
{
    for (uint64_t i = hash;; i++) {
        struct seen_slot *s = &slots[i & (count - 1)];
        if (s->count == 0 || s->hash == hash) return s;
    }
}

static uint16_t next_ordinal(struct seen *s, u128 hash128_value)
{
    if (s->used * 2 >= s->slot_count) {
        size_t count = s->slot_count ? s->slot_count * 2 : 1024;
        struct seen_slot *slots = calloc(count, sizeof *slots);
        CHECK(slots != NULL);
        for (size_t i = 0; i < s->slot_count; i++)
            if (s->slots[i].count) *find_seen(slots, count, s->slots[i].hash) = s->slots[i];
        free(s->slots);
        s->slots = slots;
        s->slot_count = count;
    }
    uint64_t hash = (uint64_t)hash128_value;
    struct seen_slot *slot = find_seen(s->slots, s->slot_count, hash);
    slot->hash = hash;
    s->used += slot->count == 0;
    return (uint16_t)(slot->count++ & UINT16_MAX);
}

static void clear_seen(struct seen *s)
{
    free(s->slots);
    *s = (struct seen){0};
}

struct reread {
    struct lake *l;
    enum table_id id;
    struct proof_set *ours, *foreign;
    void (*problem)(void *ctx, const char *path, const char *what);
    void *ctx;
    struct lake_names names;
    struct seen seen;
};

static enum err_code add_row(struct reread *v, const struct lake_file_reader *r, size_t i,
                             struct proof_set *to, struct err *e)
{
    if (v->id == TABLE_QUOTES) {
        struct quote q;
        TRY(lake_read_quote(v->l, r, i, &v->names, &q, e));
        proof_add_quote(to, v->l->o.series, &q);
        return ERR_OK;
    }
    struct trade t;
    TRY(lake_read_trade(v->l, r, i, &v->names, &t, e));
    if (!t.has_id)
        t.ordinal =
            next_ordinal(&v->seen, proof_hash_trade(series_get(v->l->o.series, t.series), &t));
    proof_add_trade(to, v->l->o.series, &t);
    return ERR_OK;
}

static enum err_code read_group(struct reread *v, struct lake_file_reader *r, struct err *e)
{
    struct proof_set *to = r->f->foreign ? v->foreign : v->ours;
    TRY(lake_reader_load(r, UINT32_MAX, e));
    for (size_t i = 0; i < (size_t)r->rows; i++)
        if (!lake_live_is_deleted(r->f, r->base + (int64_t)i)) TRY(add_row(v, r, i, to, e));
    return ERR_OK;
}

/* *ret_size is what the disk or the store has, -1 where it has nothing; `shown` is what the file is called. A store that does
 * not answer is an error: nothing is said of the file. */
static enum err_code size_now(struct lake *l, const struct lake_live *f, char shown[PATH_LIMIT],
                              int64_t *ret_size, struct err *e)
{
    char path[PATH_LIMIT];
    *ret_size = -1;
    if (!lake_is_object(f->path)) {
        if (lake_path_of(f->path, shown, NULL) == ERR_OK)
            *ret_size = file_size(shown);
        else
            str_copy(shown, PATH_LIMIT, f->path);
        return ERR_OK;
    }
    str_copy(shown, PATH_LIMIT, f->path);
    enum err_code code = lake_fetch_anew(l, f->path, path, e);
    if (code == ERR_OK) *ret_size = file_size(path);
    return code == ERR_CORRUPT ? ERR_OK : code;
}

static enum err_code read_file(struct reread *v, const struct lake_live *f, struct err *e)
{
    struct lake_file_reader r;
    struct err local = {0};
    char path[PATH_LIMIT];
    int64_t size;
    TRY(size_now(v->l, f, path, &size, e));
    if (size != f->bytes) {
        char what[120];
        snprintf(what, sizeof what, "%lld bytes on the disk, the manifest says %lld",
                 (long long)size, (long long)f->bytes);
        v->problem(v->ctx, path, size < 0 ? "the file is missing" : what);
        if (size < 0 || lake_is_object(f->path)) return ERR_OK;
    }
    if (lake_reader_open(v->l, &r, table_of(v->id), f, &local) != ERR_OK) {
        v->problem(v->ctx, path, local.text);
        return ERR_OK;
    }
    while (lake_reader_next(&r))
        if (read_group(v, &r, &local) != ERR_OK) v->problem(v->ctx, path, local.text);
    lake_reader_close(&r);
    return ERR_OK;
}

static int by_day(const void *a, const void *b)
{
    const struct lake_live *x = *(const struct lake_live *const *)a;
    const struct lake_live *y = *(const struct lake_live *const *)b;
    if (x->day != y->day) return x->day < y->day ? -1 : 1;
    return (x->serial > y->serial) - (x->serial < y->serial);
}

static enum err_code check_deletes(struct reread *v, const struct lake_live *f, struct err *e)
{
    char path[PATH_LIMIT];
    int64_t size;
    TRY(size_now(v->l, f, path, &size, e));
    if (f->unreadable)
        v->problem(v->ctx, f->path.p,
                   "deletes of another writer that ticklake does not understand: their rows are "
                   "counted as if they were there");
    else if (size != f->bytes)
        v->problem(v->ctx, path, "the delete file is missing or of another size");
    return ERR_OK;
}

enum err_code lake_reread_proofs(struct lake *l, enum table_id table, struct proof_set *ret,
                                 struct proof_set *foreign,
                                 void (*problem)(void *ctx, const char *path, const char *what),
                                 void *ctx, struct err *e)
{
    CHECK(table == TABLE_TRADES || table == TABLE_QUOTES);
    struct reread v = {
        .l = l, .id = table, .ours = ret, .foreign = foreign, .problem = problem, .ctx = ctx};
    struct lake_table *t = &l->tables[table];
    bool moved;
    TRY(lake_table_refresh(l, t, &moved, e));
    const struct lake_live **files = malloc((t->file_count + 1) * sizeof *files);
    CHECK(files != NULL);
    for (size_t i = 0; i < t->file_count; i++) files[i] = &t->files[i];
    qsort(files, t->file_count, sizeof *files, by_day);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < t->file_count && code == ERR_OK; i++) {
        if (i && files[i]->day != files[i - 1]->day) clear_seen(&v.seen);
        code = files[i]->content == LAKE_DATA ? read_file(&v, files[i], e)
                                              : check_deletes(&v, files[i], e);
    }
    clear_seen(&v.seen);
    free(files);
    return code;
}

/* ---- The other tables: no proof counts their rows, so it is enough that every value of them can be read. */

static enum err_code pass_over(void *ctx, struct str path, int64_t position, struct err *e)
{
    (void)ctx, (void)path, (void)position, (void)e;
    return ERR_OK;
}

static enum err_code read_values(struct lake *l, const struct table *t, const struct lake_live *f,
                                 struct err *e)
{
    if (f->content == LAKE_DELETES) return lake_deletes_read(l, f, pass_over, NULL, e);
    struct lake_file_reader r;
    TRY(lake_reader_open(l, &r, t, f, e));
    enum err_code code = ERR_OK;
    while (code == ERR_OK && lake_reader_next(&r)) code = lake_reader_load(&r, UINT32_MAX, e);
    lake_reader_close(&r);
    return code;
}

enum err_code lake_reread_values(struct lake *l, enum table_id table,
                                 void (*problem)(void *ctx, const char *path, const char *what),
                                 void *ctx, struct err *e)
{
    struct lake_table *t = &l->tables[table];
    bool moved;
    TRY(lake_table_refresh(l, t, &moved, e));
    for (size_t i = 0; i < t->file_count; i++) {
        const struct lake_live *f = &t->files[i];
        char path[PATH_LIMIT];
        struct err found = {0};
        int64_t size;
        if (f->foreign) continue;
        TRY(size_now(l, f, path, &size, e));
        if (size != f->bytes) continue; /* lost or replaced: told by its size */
        if (read_values(l, t->t, f, &found) != ERR_OK) problem(ctx, path, found.text);
    }
    return ERR_OK;
}
