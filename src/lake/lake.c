#include "lake/queue_internal.h"
#include "lake/rest_internal.h"

#include "io/clock.h"

#include <stdio.h>
#include <stdlib.h>

static enum err_code take_options(struct lake *l, const struct lake_options *o, struct err *e)
{
    l->o = *o;
    CHECK((o->catalog_path || o->catalog_url) && o->warehouse && o->series);
    struct str catalog = o->catalog_url ? STR("PostgreSQL") : str_of(o->catalog_path);
    if (!str_copy(l->catalog_path, sizeof l->catalog_path, catalog))
        return ERR(e, ERR_CONFIG, "catalog %s: the path is too long", o->catalog_path);
    l->o.catalog_url = l->catalog_url = o->catalog_url ? strdup(o->catalog_url) : NULL;
    str_copy(l->worker, sizeof l->worker, str_of(o->worker ? o->worker : ""));
    l->o.worker = l->worker;
    struct str warehouse = str_of(o->warehouse);
    while (warehouse.n > 1 && warehouse.p[warehouse.n - 1] == '/') warehouse.n--;
    bool place = str_starts(warehouse, "/") || lake_is_object(warehouse);
    if (!place || !str_copy(l->warehouse, sizeof l->warehouse, warehouse))
        return ERR(e, ERR_CONFIG, "warehouse %s: expected an absolute path or s3://bucket/prefix",
                   o->warehouse);
    l->o.catalog_path = l->catalog_path;
    l->o.warehouse = l->warehouse;
    if (l->o.snapshots_keep < 1) l->o.snapshots_keep = 20;
    if (l->o.metadata_keep < 1) l->o.metadata_keep = 20;
    if (l->o.compact_files < 2) l->o.compact_files = 8;
    if (l->o.target_file_bytes < 1) l->o.target_file_bytes = INT64_C(64) << 20;
    if (l->o.buffer_rows_max < 1) l->o.buffer_rows_max = 1000000;
    return ERR_OK;
}

/* Commits that a worker queued before it died: done before positions are read, or the first commit from these is refused. */
static enum err_code fold_waiting(struct lake *l, struct err *e)
{
    struct queue_verdict ignored;
    l->commit_ns = clock_wall_ns();
    return lake_fold(l, NULL, &ignored, e);
}

static enum err_code open_all(struct lake *l, struct err *e)
{
    TRY(lake_objects_open(l, e));
    if (!l->o.read_only && !l->objects) TRY(file_make_folders(l->warehouse, e));
    TRY(lake_catalog_open(l, e));
    if (l->catalog->shared && !l->rest) TRY(rest_refuse_bound(l, e));
    for (int id = 0; id < TABLE_MAX; id++) TRY(lake_table_open(l, (enum table_id)id, e));
    if (l->rest) TRY(rest_bind(l, e));
    if (l->catalog->shared && !l->o.read_only) TRY(fold_waiting(l, e));
    TRY(lake_catalog_position(l, LAKE_POSITION, &l->position, e));
    atomic_store(&l->stats.position, l->position);
    lake_written_forget(l);
    return ERR_OK;
}

static enum err_code find_orphans(struct lake *l, struct err *e)
{
    bool mine;
    TRY(lake_upkeep_begin(l, &mine, e));
    enum err_code code = mine ? lake_orphans_find(l, e) : ERR_OK;
    if (mine) lake_upkeep_end(l);
    l->orphans_looked_ns = clock_wall_ns();
    return code;
}

enum err_code lake_open(const struct lake_options *o, struct lake **ret, struct err *e)
{
    struct lake *l = calloc(1, sizeof *l);
    CHECK(l != NULL);
    lake_rows_init(l);
    map_init(&l->series_ids, SERIES_LIMIT);
    enum err_code code = take_options(l, o, e);
    if (code == ERR_OK) code = open_all(l, e);
    if (code == ERR_OK && !l->o.read_only) code = find_orphans(l, e);
    if (code != ERR_OK) {
        lake_close(l);
        return code;
    }
    *ret = l;
    return ERR_OK;
}

struct lake *lake_close(struct lake *l)
{
    if (!l) return NULL;
    for (int id = 0; id < TABLE_MAX; id++) lake_table_done(&l->tables[id]);
    lake_pending_drop(l);
    lake_catalog_close(l);
    lake_rows_done(l);
    lake_written_forget(l);
    lake_objects_close(l);
    free(l->written);
    free(l->cache);
    map_free(&l->series_ids);
    free(l->catalog_url);
    free(l);
    return NULL;
}

int64_t lake_position(const struct lake *l) { return l->position; }

void lake_note_orphan(struct lake *l) { l->orphans = true; }

void lake_stats(const struct lake *l, struct lake_stats *ret)
{
    struct lake_counters *s = (struct lake_counters *)(uintptr_t)&l->stats;
    *ret = (struct lake_stats){
        .commits = atomic_load(&s->commits),
        .rows = atomic_load(&s->rows),
        .files_written = atomic_load(&s->files_written),
        .bytes_written = atomic_load(&s->bytes_written),
        .commit_ns_total = atomic_load(&s->commit_ns_total),
        .commit_ns_max = atomic_load(&s->commit_ns_max),
        .conflicts = atomic_load(&s->conflicts),
        .compactions = atomic_load(&s->compactions),
        .files_removed = atomic_load(&s->files_removed),
        .position = atomic_load(&s->position),
        .buffered_rows = atomic_load(&s->buffered_rows),
        .folds = atomic_load(&s->folds),
        .folded = atomic_load(&s->folded),
        .columns_added = atomic_load(&s->columns_added),
        .columns_refused = atomic_load(&s->columns_refused),
        .unreadable_files = atomic_load(&s->unreadable),
    };
}

enum err_code lake_table_info(struct lake *l, enum table_id table, struct lake_table_info *ret,
                              struct err *e)
{
    struct lake_table *t = &l->tables[table];
    bool moved;
    TRY(lake_table_refresh(l, t, &moved, e));
    *ret = (struct lake_table_info){
        .name = t->t->name,
        .snapshot_id = t->snapshot_id,
        .snapshots = t->snapshot_count,
        .data_files = t->totals.data_files,
        .delete_files = t->totals.delete_files,
        .rows = t->totals.rows,
        .bytes = t->totals.bytes,
        .last_updated_ms = t->last_updated_ms,
        .newest_rows_ms = t->newest_rows_ms,
    };
    for (size_t i = 0; i < t->file_count; i++) ret->rows -= (int64_t)t->files[i].deleted_count;
    CHECK(str_copy(ret->location, sizeof ret->location, str_of(t->location)));
    CHECK(str_copy(ret->metadata_location, sizeof ret->metadata_location,
                   str_of(t->metadata_location)));
    return ERR_OK;
}

enum err_code lake_each_file(struct lake *l, enum table_id table,
                             enum err_code (*each)(void *ctx, const struct lake_file *f,
                                                   struct err *e),
                             void *ctx, struct err *e)
{
    struct lake_table *t = &l->tables[table];
    bool moved;
    TRY(lake_table_refresh(l, t, &moved, e));
    for (size_t i = 0; i < t->file_count; i++) {
        const struct lake_live *f = &t->files[i];
        char path[PATH_LIMIT];
        bool object = lake_is_object(f->path) && str_copy(path, sizeof path, f->path);
        if (!object) TRY(lake_path_of(f->path, path, e));
        const struct lake_file file = {.table = table,
                                       .path = path,
                                       .is_delete = f->content != LAKE_DATA,
                                       .foreign = f->foreign,
                                       .rows = f->rows,
                                       .bytes = f->bytes,
                                       .snapshot_id = f->snapshot_id,
                                       .sequence_number = f->sequence_number,
                                       .day = f->day};
        TRY(each(ctx, &file, e));
    }
    return ERR_OK;
}

static enum err_code probe(struct lake *l, const struct lake_options *o, struct buf *grants,
                           struct err *e)
{
    TRY(take_options(l, o, e));
    l->o.read_only = true; /* looks, and makes nothing */
    if (o->catalog_url) {
        l->catalog = &lake_catalog_postgres;
        TRY(l->catalog->probe(l, grants, e));
    }
    if (o->rest) TRY(rest_probe(l, e));
    return lake_objects_probe(o, grants, e);
}

enum err_code lake_probe(const struct lake_options *o, struct buf *grants, struct err *e)
{
    struct lake *l = calloc(1, sizeof *l);
    CHECK(l != NULL);
    lake_rows_init(l);
    map_init(&l->series_ids, SERIES_LIMIT);
    enum err_code code = probe(l, o, grants, e);
    lake_close(l);
    return code;
}
