#include "lake/queue_internal.h"

#include "base/crash.h"
#include "io/clock.h"

#include <stdio.h>
#include <stdlib.h>

/* What may go from the disk: files in ticklake_garbage whose grace is over, and files of crashed commits, which are
 * found by their names. A file without a name of ours is never touched, and one that is live never either. */

enum { NAMES_MAX = 8000000 };
/* Where several workers share a lake, files of a commit that is being made belong to nobody yet. */
#define ORPHAN_AGE_NS  (24 * NS_PER_HOUR)
#define ORPHAN_LOOK_NS (6 * NS_PER_HOUR) /* all names of the warehouse are listed then */

/* Names (they are unique by themselves) of what the table's current state needs. */
static void add_name(struct map *known, struct str location)
{
    size_t from = location.n;
    while (from > 0 && location.p[from - 1] != '/') from--;
    struct str name = {location.p + from, location.n - from};
    CHECK(map_put(known, name, 1) != MAP_FULL);
}

static enum err_code add_location(void *ctx, bool is_list, struct str location, struct err *e)
{
    (void)is_list;
    (void)e;
    add_name(ctx, location);
    return ERR_OK;
}

static enum err_code add_current(struct map *known, const struct lake_table *t, struct err *e)
{
    for (size_t i = 0; i < t->file_count; i++) add_name(known, t->files[i].path);
    for (size_t i = 0; i < t->manifest_count; i++) add_name(known, str_of(t->manifests[i].path));
    add_name(known, str_of(t->metadata_location));
    return lake_metadata_each_location(t, add_location, known, e);
}

/* ---- garbage */

struct ready {
    struct lake *l;
    struct map *known;
    char **remove, **forget; /* locations; forget: of all rows */
    size_t remove_count, remove_cap, forget_count, forget_cap;
};

static enum err_code add_ready(void *ctx, struct str table, struct str location, struct err *e)
{
    (void)table;
    (void)e;
    struct ready *r = ctx;
    size_t from = location.n;
    while (from > 0 && location.p[from - 1] != '/') from--;
    struct str name = {location.p + from, location.n - from};
    r->forget = array_grown(r->forget, r->forget_count, &r->forget_cap, sizeof *r->forget);
    r->forget[r->forget_count++] = strndup(location.p, location.n);
    /* Live again after another writer's roll-back: it stays. */
    if (!lake_is_ours(location) || map_get(r->known, name) != MAP_NONE) return ERR_OK;
    r->remove = array_grown(r->remove, r->remove_count, &r->remove_cap, sizeof *r->remove);
    r->remove[r->remove_count++] = strndup(location.p, location.n);
    return ERR_OK;
}

static void drop_list(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++) free(list[i]);
    free(list);
}

/* A COMMIT without an answer is harmless here, so it must not stop the next commit: what it wrote is looked up each time. */
static enum err_code end_bookkeeping(struct lake *l, enum err_code code, struct err *e)
{
    if (code == ERR_OK) code = lake_catalog_commit(l, e);
    if (code == ERR_OK) return ERR_OK;
    lake_catalog_rollback(l);
    if (l->catalog->shared) l->outcome_unknown = false;
    return code;
}

static enum err_code remove_ready(struct lake *l, struct ready *r, struct err *e)
{
    for (size_t i = 0; i < r->remove_count; i++) {
        TRY(lake_remove(l, r->remove[i], e));
        CRASH_POINT(lake_in_cleanup);
        atomic_fetch_add(&l->stats.files_removed, 1);
    }
    TRY(lake_objects_flush(l, e));
    TRY(lake_catalog_begin(l, e));
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < r->forget_count && code == ERR_OK; i++)
        code = lake_catalog_forget(l, str_of(r->forget[i]), e);
    return end_bookkeeping(l, code, e);
}

static enum err_code clean(struct lake *l, struct map *known, int64_t before_ns, struct err *e)
{
    for (;;) {
        struct ready r = {.l = l, .known = known};
        enum err_code code = lake_catalog_each_garbage(l, before_ns, add_ready, &r, e);
        size_t count = r.forget_count;
        if (code == ERR_OK && count) code = remove_ready(l, &r, e);
        drop_list(r.remove, r.remove_count);
        drop_list(r.forget, r.forget_count);
        if (code != ERR_OK || count == 0) return code;
    }
}

static enum err_code nothing_ready(void *ctx, struct str table, struct str location, struct err *e)
{
    (void)table;
    (void)location;
    *(bool *)ctx = true;
    (void)e;
    return ERR_OK;
}

static enum err_code clean_garbage(struct lake *l, int64_t before_ns, struct err *e)
{
    bool any = false, moved;
    TRY(lake_catalog_each_garbage(l, before_ns, nothing_ready, &any, e));
    if (!any) return ERR_OK;
    struct map known;
    map_init(&known, NAMES_MAX);
    enum err_code code = ERR_OK;
    for (int id = 0; id < TABLE_MAX && code == ERR_OK; id++) {
        code = lake_table_refresh(l, &l->tables[id], &moved, e);
        if (code == ERR_OK) code = add_current(&known, &l->tables[id], e);
    }
    if (code == ERR_OK) code = clean(l, &known, before_ns, e);
    map_free(&known);
    return code;
}

/* Files of commits that wait belong to no table yet, so these come first. */
static enum err_code clean_shared(struct lake *l, int64_t before_ns, struct err *e)
{
    struct queue_verdict ignored;
    TRY(lake_fold(l, NULL, &ignored, e));
    TRY(queue_trim(l, e));
    if (clock_wall_ns() - l->orphans_looked_ns > ORPHAN_LOOK_NS) TRY(lake_orphans_find(l, e));
    return clean_garbage(l, before_ns, e);
}

enum err_code lake_cleanup(struct lake *l, int64_t now_ns, struct err *e)
{
    bool mine;
    int64_t before_ns = now_ns - l->o.grace_ns;
    CHECK(!l->o.read_only);
    l->commit_ns = now_ns;
    if (!l->catalog->shared) {
        if (l->orphans) TRY(lake_orphans_find(l, e));
        return clean_garbage(l, before_ns, e);
    }
    TRY(lake_upkeep_begin(l, &mine, e));
    if (!mine) return ERR_OK;
    enum err_code code = clean_shared(l, before_ns, e);
    lake_upkeep_end(l);
    return code;
}

/* ---- orphans */

struct orphans {
    struct lake *l;
    struct lake_table *t;
    struct map known;
    char folder[PATH_LIMIT]; /* the one being listed */
    const char *location;    /* the same as a location */
    char **found;            /* locations */
    size_t count, cap;
    const struct lake_manifest *m;
};

static enum err_code see_location(struct orphans *o, const char *location, struct err *e)
{
    struct str name = str_of(lake_base_name(location));
    bool garbage;
    if (!lake_is_ours(name) || map_get(&o->known, name) != MAP_NONE) return ERR_OK;
    TRY(lake_catalog_is_garbage(o->l, location, &garbage, e));
    if (garbage) return ERR_OK;
    o->found = array_grown(o->found, o->count, &o->cap, sizeof *o->found);
    o->found[o->count++] = strdup(location);
    return ERR_OK;
}

static enum err_code see_file(void *ctx, const char *name, bool is_folder, struct err *e)
{
    struct orphans *o = ctx;
    char location[PATH_LIMIT + 8], path[PATH_LIMIT * 2];
    if (is_folder) return ERR_OK;
    snprintf(location, sizeof location, "%s/%s", o->location, name);
    snprintf(path, sizeof path, "%s/%s", o->folder, name);
    if (o->l->catalog->shared && file_modified_ns(path) > clock_wall_ns() - ORPHAN_AGE_NS)
        return ERR_OK;
    return see_location(o, location, e);
}

static enum err_code see_object(void *ctx, struct str location, int64_t modified_ns, struct err *e)
{
    struct orphans *o = ctx;
    char text[PATH_LIMIT];
    if (o->l->catalog->shared && modified_ns > clock_wall_ns() - ORPHAN_AGE_NS) return ERR_OK;
    if (!str_copy(text, sizeof text, location)) return ERR_OK; /* longer than any name of ours */
    return see_location(o, text, e);
}

static enum err_code list_files(struct orphans *o, const char *location, struct err *e)
{
    TRY(lake_path_of(str_of(location), o->folder, e));
    o->location = location;
    enum err_code code = file_list(o->folder, see_file, o, e);
    return code == ERR_NOT_FOUND ? ERR_OK : code;
}

static enum err_code see_folder(void *ctx, const char *name, bool is_folder, struct err *e)
{
    struct orphans *o = ctx;
    char location[PATH_LIMIT + 8];
    if (!is_folder) return ERR_OK;
    snprintf(location, sizeof location, "%s/data/%s", o->t->location, name);
    return list_files(o, location, e);
}

static enum err_code list_table(struct orphans *o, struct err *e)
{
    char location[PATH_LIMIT + 8], path[PATH_LIMIT];
    if (lake_is_object(str_of(o->t->location)))
        return lake_objects_list(o->l, o->t->location, see_object, o, e);
    snprintf(location, sizeof location, "%s/metadata", o->t->location);
    TRY(list_files(o, location, e));
    snprintf(location, sizeof location, "%s/data", o->t->location);
    TRY(list_files(o, location, e));
    TRY(lake_path_of(str_of(location), path, e));
    return file_list(path, see_folder, o, e);
}

static enum err_code add_entry(void *ctx, const struct lake_entry *entry, struct err *e)
{
    (void)e;
    struct orphans *o = ctx;
    if (entry->status != LAKE_REMOVED) add_name(&o->known, entry->path);
    return ERR_OK;
}

/* Everything that any kept snapshot refers to: only looked at when there is a file that needs explaining. */
static enum err_code add_snapshot(void *ctx, bool is_list, struct str location, struct err *e)
{
    struct orphans *o = ctx;
    if (!is_list) return ERR_OK;
    struct lake_manifest *manifests;
    size_t count;
    TRY(lake_list_read(o->l, location, &manifests, &count, e));
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < count; i++) {
        struct str name = str_of(lake_base_name(manifests[i].path));
        if (code == ERR_OK && map_get(&o->known, name) == MAP_NONE) {
            add_name(&o->known, name);
            code = lake_manifest_read(o->l, &manifests[i], add_entry, o, e);
        }
        lake_manifest_free(&manifests[i]);
    }
    free(manifests);
    return code;
}

static enum err_code write_found(struct orphans *o, struct err *e)
{
    for (size_t i = 0; i < o->count; i++) {
        bool needed = map_get(&o->known, str_of(lake_base_name(o->found[i]))) != MAP_NONE;
        const struct lake_garbage g = {.location = o->found[i],
                                       .sequence_number = needed ? o->t->last_sequence_number : 0};
        TRY(lake_catalog_garbage(o->l, o->t->t->name, &g, 0, e));
    }
    return ERR_OK;
}

/* Whom to tell of what nothing needs. */
struct telling {
    bool dry_run;
    int64_t count;
    void (*tell)(void *ctx, const char *line);
    void *ctx;
};

static void tell_found(const struct orphans *o, struct telling *to)
{
    for (size_t i = 0; i < o->count; i++) {
        if (map_get(&o->known, str_of(lake_base_name(o->found[i]))) != MAP_NONE) continue;
        to->count++;
        if (to->tell) to->tell(to->ctx, o->found[i]);
    }
}

static enum err_code find_in_table(struct lake *l, struct lake_table *t, struct telling *to,
                                   struct err *e)
{
    struct orphans o = {.l = l, .t = t};
    map_init(&o.known, NAMES_MAX);
    enum err_code code = add_current(&o.known, t, e);
    if (code == ERR_OK) code = list_table(&o, e);
    if (code == ERR_OK && o.count) code = lake_metadata_each_location(t, add_snapshot, &o, e);
    if (code == ERR_OK && to) tell_found(&o, to);
    if (code == ERR_OK && o.count && !(to && to->dry_run)) {
        code = lake_catalog_begin(l, e);
        if (code == ERR_OK) code = end_bookkeeping(l, write_found(&o, e), e);
    }
    drop_list(o.found, o.count);
    map_free(&o.known);
    return code;
}

enum err_code lake_orphans_find(struct lake *l, struct err *e)
{
    for (int id = 0; id < TABLE_MAX; id++) TRY(find_in_table(l, &l->tables[id], NULL, e));
    l->orphans = false;
    l->orphans_looked_ns = clock_wall_ns();
    return ERR_OK;
}

enum err_code lake_orphans(struct lake *l, bool dry_run, int64_t *ret_count,
                           void (*tell)(void *ctx, const char *line), void *ctx, struct err *e)
{
    struct telling to = {.dry_run = dry_run, .tell = tell, .ctx = ctx};
    bool mine = true, moved;
    CHECK(dry_run || !l->o.read_only);
    *ret_count = 0;
    if (!dry_run) TRY(lake_upkeep_begin(l, &mine, e));
    if (!mine)
        return ERR(e, ERR_IN_USE,
                   "%s: another process is at the lake's upkeep right now; try again in a minute",
                   l->catalog_path);
    enum err_code code = ERR_OK;
    for (int id = 0; id < TABLE_MAX && code == ERR_OK; id++) {
        code = lake_table_refresh(l, &l->tables[id], &moved, e);
        if (code == ERR_OK) code = find_in_table(l, &l->tables[id], &to, e);
    }
    if (!dry_run) lake_upkeep_end(l);
    *ret_count = to.count;
    return code;
}
