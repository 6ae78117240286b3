#include "lake/lake_internal.h"

#include <stdlib.h>

/* The index after somebody else moved the table, which with many workers is at every turn: manifests never change, so only
 * those that were not there before are read, and only the deletes that are new are applied. */

enum { FILES_MAX = 4000000 };

/* What was there before. */
struct before {
    struct lake_live *files; /* by path */
    bool *taken;             /* its memory is the table's again */
    struct lake_manifest *manifests;
    size_t file_count, manifest_count;
};

/* ---- deletes */

struct applying {
    struct lake_table *t;
    struct lake_live *deletes, *last;
};

static enum err_code apply_one(void *ctx, struct str path, int64_t position, struct err *e)
{
    (void)e;
    struct applying *a = ctx;
    if (!a->last || !str_eq(a->last->path, path)) a->last = lake_index_by_path(a->t, path);
    struct lake_live *f = a->last;
    if (f && f->content == LAKE_DATA && f->sequence_number <= a->deletes->sequence_number &&
        position >= 0 && position < f->rows)
        lake_live_delete(f, position);
    return ERR_OK;
}

/* Reads a position delete file and marks its rows in the live data files. */
static enum err_code apply_deletes(struct lake *l, struct lake_table *t, struct lake_live *deletes,
                                   struct err *e)
{
    struct applying a = {.t = t, .deletes = deletes};
    return lake_deletes_read(l, deletes, apply_one, &a, e);
}

/* Deletes of other writers that we cannot read stop nothing: the file is marked, verify reports it, and compaction
 * leaves its partition alone. */
static enum err_code load_deletes(struct lake *l, struct lake_table *t, uint32_t first_new,
                                  struct err *e)
{
    for (size_t i = 0; i < t->file_count; i++) {
        struct lake_live *f = &t->files[i];
        if (f->content == LAKE_DATA || f->serial < first_new) continue;
        enum err_code code =
            f->content == LAKE_EQUALITY ? ERR_NOT_FOUND : apply_deletes(l, t, f, e);
        if (code == ERR_OK) continue;
        if ((code == ERR_DISK && !f->foreign) || lake_is_outage(code)) return code;
        f->unreadable = true;
        atomic_fetch_add(&l->stats.unreadable, 1);
    }
    return ERR_OK;
}

/* ---- manifests */

struct loading {
    struct lake_table *t;
    const struct lake_manifest *m;
};

static enum err_code load_entry(void *ctx, const struct lake_entry *n, struct err *e)
{
    const struct loading *load = ctx;
    struct lake_table *t = load->t;
    if (n->status == LAKE_REMOVED) return ERR_OK;
    if (t->file_count >= FILES_MAX)
        return ERR(e, ERR_FULL, "table %s: more than %d files", t->t->name, FILES_MAX);
    lake_index_add(t, n, load->m->serial, load->m->spec_id == t->spec_id);
    return ERR_OK;
}

static int by_path(const void *a, const void *b)
{
    const struct lake_live *x = a, *y = b;
    return str_cmp(x->path, y->path);
}

static int by_serial(const void *a, const void *b)
{
    const struct lake_live *x = a, *y = b;
    return (x->serial > y->serial) - (x->serial < y->serial);
}

/* Files known before keep their serial, so that what points to them (the cache of candle rows, a commit that lost a
 * race) stays right; and what is known to be deleted of them. The array ends up sorted by serial. */
static void keep_known(struct lake_table *t, struct before *b)
{
    for (size_t i = 0; i < t->file_count && b->file_count; i++) {
        struct lake_live *f = &t->files[i];
        struct lake_live *was = bsearch(f, b->files, b->file_count, sizeof *b->files, by_path);
        if (!was || b->taken[was - b->files]) continue;
        f->serial = was->serial;
        f->unreadable = was->unreadable;
        f->deleted = was->deleted;
        f->deleted_count = was->deleted_count;
        f->deleted_cap = was->deleted_cap;
        was->deleted = NULL;
        was->deleted_count = was->deleted_cap = 0;
    }
    if (t->file_count) qsort(t->files, t->file_count, sizeof *t->files, by_serial);
}

/* The files of a manifest that was there before, as they are known. */
static void keep_manifest(struct lake_table *t, struct before *b, uint32_t serial)
{
    for (size_t i = 0; i < b->file_count; i++) {
        if (b->files[i].manifest != serial) continue;
        lake_index_keep(t, &b->files[i]);
        b->taken[i] = true;
    }
}

static const struct lake_manifest *
known_manifest(const struct lake_table *t, const struct before *b, const struct lake_manifest *m)
{
    for (size_t i = 0; i < b->manifest_count && t->index_spec_id == t->spec_id; i++)
        if (strcmp(b->manifests[i].path, m->path) == 0) return &b->manifests[i];
    return NULL;
}

static enum err_code load_manifests(struct lake *l, struct lake_table *t, struct before *b,
                                    struct err *e)
{
    for (size_t i = 0; i < t->manifest_count; i++) {
        struct lake_manifest *m = &t->manifests[i];
        const struct lake_manifest *known = known_manifest(t, b, m);
        m->serial = known ? known->serial : t->next_serial++;
        if (known) {
            keep_manifest(t, b, m->serial);
            continue;
        }
        struct loading load = {t, m};
        TRY(lake_manifest_read(l, m, load_entry, &load, e));
    }
    return ERR_OK;
}

/* What another writer took out of the table stays on the disk until no kept snapshot needs it. */
static void add_vanished(struct lake_table *t, struct str location)
{
    if (!lake_is_ours(location)) return;
    t->vanished =
        array_grown(t->vanished, t->vanished_count, &t->vanished_cap, sizeof *t->vanished);
    char *copy = strndup(location.p, location.n);
    CHECK(copy != NULL);
    t->vanished[t->vanished_count++] = (struct lake_garbage){copy, t->last_sequence_number, true};
}

static void find_vanished(struct lake_table *t, const struct before *b)
{
    for (size_t i = 0; i < b->file_count; i++)
        if (!lake_index_by_serial(t, b->files[i].serial)) add_vanished(t, b->files[i].path);
    for (size_t i = 0; i < b->manifest_count; i++) {
        bool kept = false;
        for (size_t k = 0; k < t->manifest_count && !kept; k++)
            kept = strcmp(t->manifests[k].path, b->manifests[i].path) == 0;
        if (!kept) add_vanished(t, str_of(b->manifests[i].path));
    }
}

/* New deletes can be applied on top of the known ones, except where deletes went without their data (somebody rolled back), or
 * data came that older deletes are for. */
static bool must_apply_all(const struct lake_table *t, const struct before *b, uint32_t first_new)
{
    int64_t newest_known = 0;
    for (size_t i = 0; i < b->file_count; i++) {
        const struct lake_live *f = &b->files[i];
        if (f->content != LAKE_DATA && !lake_index_by_serial(t, f->serial)) return true;
    }
    for (size_t i = 0; i < t->file_count; i++) {
        const struct lake_live *f = &t->files[i];
        if (f->content != LAKE_DATA && f->serial < first_new && f->sequence_number > newest_known)
            newest_known = f->sequence_number;
    }
    for (size_t i = 0; i < t->file_count; i++) {
        const struct lake_live *f = &t->files[i];
        if (f->content == LAKE_DATA && f->serial >= first_new && f->sequence_number <= newest_known)
            return true;
    }
    return false;
}

static enum err_code load(struct lake *l, struct lake_table *t, struct before *b, struct err *e)
{
    uint32_t first_new = t->next_serial;
    if (t->list_location)
        TRY(lake_list_read(l, str_of(t->list_location), &t->manifests, &t->manifest_count, e));
    TRY(load_manifests(l, t, b, e));
    keep_known(t, b);
    if (must_apply_all(t, b, first_new)) {
        for (size_t i = 0; i < t->file_count; i++) {
            t->files[i].deleted_count = 0;
            t->files[i].unreadable = false;
        }
        first_new = 0;
    }
    TRY(load_deletes(l, t, first_new, e));
    find_vanished(t, b);
    t->index_spec_id = t->spec_id;
    return ERR_OK;
}

/* After an error nothing is known: the next look loads all of it. */
enum err_code lake_index_load(struct lake *l, struct lake_table *t, struct err *e)
{
    struct before b = {.files = t->files,
                       .manifests = t->manifests,
                       .file_count = t->file_count,
                       .manifest_count = t->manifest_count};
    b.taken = calloc(b.file_count + 1, sizeof *b.taken);
    CHECK(b.taken != NULL);
    t->files = NULL;
    t->manifests = NULL;
    t->file_count = t->file_cap = t->manifest_count = 0;
    t->totals = (struct lake_totals){0};
    if (b.file_count) qsort(b.files, b.file_count, sizeof *b.files, by_path);
    enum err_code code = load(l, t, &b, e);
    if (code != ERR_OK) lake_index_clear(t);
    for (size_t i = 0; i < b.file_count; i++) {
        if (b.taken[i]) continue;
        free((char *)(uintptr_t)b.files[i].path.p);
        free(b.files[i].deleted);
    }
    for (size_t i = 0; i < b.manifest_count; i++) lake_manifest_free(&b.manifests[i]);
    free(b.manifests);
    free(b.files);
    free(b.taken);
    return code;
}
