#include "lake/lake_internal.h"

#include "base/crash.h"

#include <stdio.h>
#include <stdlib.h>

/* One table's part of a commit: from new files to the metadata JSON that the catalog will point to. */

void lake_change_init(struct lake_change *c, struct lake_table *t, const char *operation,
                      int64_t position, int64_t now_ns)
{
    *c = (struct lake_change){.table = t,
                              .operation = operation,
                              .position = position,
                              .now_ns = now_ns,
                              .snapshot_id = lake_random_id()};
    lake_uuid(c->uuid);
    arena_init(&c->text, LAKE_AVRO_LIMIT);
    buf_init(&c->next.metadata, LAKE_JSON_LIMIT);
}

static void next_clear(struct lake_next *n)
{
    for (size_t i = 0; i < n->manifest_count; i++) lake_manifest_free(&n->manifests[i]);
    for (size_t i = 0; i < n->garbage_count; i++) free(n->garbage[i].location);
    free(n->metadata_location);
    n->metadata_location = NULL;
    n->manifest_count = n->remap_count = n->garbage_count = 0;
}

void lake_change_done(struct lake_change *c)
{
    next_clear(&c->next);
    free(c->next.manifests);
    free(c->next.remaps);
    free(c->next.garbage);
    buf_free(&c->next.metadata);
    for (int i = 0; i < 2; i++)
        if (c->has_own[i]) lake_manifest_free(&c->own[i]);
    free(c->added);
    free(c->removed);
    free(c->targets);
    arena_free(&c->text);
    *c = (struct lake_change){0};
}

struct lake_new_file *lake_change_add(struct lake_change *c)
{
    c->added = array_grown(c->added, c->added_count, &c->added_cap, sizeof *c->added);
    struct lake_new_file *f = &c->added[c->added_count++];
    *f = (struct lake_new_file){0};
    return f;
}

void lake_change_remove(struct lake_change *c, uint32_t serial)
{
    c->removed = array_grown(c->removed, c->removed_count, &c->removed_cap, sizeof *c->removed);
    c->removed[c->removed_count++] = serial;
}

void lake_change_target(struct lake_change *c, struct lake_target target)
{
    c->targets = array_grown(c->targets, c->target_count, &c->target_cap, sizeof *c->targets);
    c->targets[c->target_count++] = target;
}

/* Only what has a name of ours is ever removed from the disk. */
void lake_change_garbage(struct lake_change *c, struct str location, int64_t sequence_number)
{
    if (!lake_is_ours(location)) return;
    struct lake_next *n = &c->next;
    n->garbage = array_grown(n->garbage, n->garbage_count, &n->garbage_cap, sizeof *n->garbage);
    char *copy = strndup(location.p, location.n);
    CHECK(copy != NULL);
    n->garbage[n->garbage_count++] = (struct lake_garbage){copy, sequence_number, false};
}

static void add_manifest(struct lake_next *n, const struct lake_manifest *m)
{
    n->manifests =
        array_grown(n->manifests, n->manifest_count, &n->manifest_cap, sizeof *n->manifests);
    n->manifests[n->manifest_count++] = *m;
}

static void add_remap(struct lake_next *n, uint32_t from, uint32_t to)
{
    n->remaps = array_grown(n->remaps, n->remap_count, &n->remap_cap, sizeof *n->remaps);
    n->remaps[n->remap_count++] = (struct lake_remap){from, to};
}

/* Entries of added files inherit their sequence number from the manifest list, so that these manifests outlive a lost
 * race unchanged. */
enum err_code lake_change_build_own(struct lake *l, struct lake_change *c, struct err *e)
{
    for (int content = 0; content < 2; content++) {
        bool any = false;
        for (size_t i = 0; i < c->added_count; i++)
            any |= (c->added[i].entry.content != LAKE_DATA) == content;
        if (c->has_own[content] || !any) continue;
        struct lake_manifest_writer w;
        lake_manifest_begin(&w, c->table, content);
        for (size_t i = 0; i < c->added_count; i++)
            if ((c->added[i].entry.content != LAKE_DATA) == content)
                lake_manifest_put(&w, &c->added[i].entry, INT64_MAX);
        TRY(lake_manifest_end(l, &w, c->snapshot_id, 0, &c->own[content], e));
        c->own[content].serial = c->table->next_serial++;
        c->has_own[content] = true;
    }
    return ERR_OK;
}

static void add_own(struct lake_change *c)
{
    for (int content = 0; content < 2; content++) {
        if (!c->has_own[content]) continue;
        struct lake_manifest copy;
        lake_manifest_copy(&copy, &c->own[content]);
        copy.sequence_number = copy.min_sequence_number = c->next.sequence_number;
        add_manifest(&c->next, &copy);
    }
}

/* ---- manifests whose files go, and manifests that are merged: both are read and written anew */

struct rewriting {
    struct lake_change *c;
    struct lake_manifest_writer w;
};

static bool is_removed(const struct lake_change *c, struct str path, bool *ret_known)
{
    for (size_t i = 0; i < c->removed_count; i++) {
        const struct lake_live *f = lake_index_by_serial(c->table, c->removed[i]);
        if (f && str_eq(f->path, path)) return *ret_known = true;
    }
    return false;
}

/* What stays is EXISTING with explicit numbers; what goes is told once as DELETED, as readers of changes want it. */
static enum err_code rewrite_entry(void *ctx, const struct lake_entry *n, struct err *e)
{
    (void)e;
    struct rewriting *r = ctx;
    if (n->status == LAKE_REMOVED) return ERR_OK;
    struct lake_entry copy = *n;
    bool known = false;
    copy.status = is_removed(r->c, n->path, &known) ? LAKE_REMOVED : LAKE_EXISTING;
    if (copy.status == LAKE_REMOVED) copy.snapshot_id = r->c->snapshot_id;
    lake_manifest_put(&r->w, &copy, copy.sequence_number);
    return ERR_OK;
}

static enum err_code rewrite(struct lake *l, struct lake_change *c,
                             const struct lake_manifest *from, size_t count, const bool *chosen,
                             struct err *e)
{
    struct rewriting r = {.c = c};
    const struct lake_manifest *first = NULL;
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < count && code == ERR_OK; i++) {
        if (!chosen[i]) continue;
        if (!first) lake_manifest_begin(&r.w, c->table, from[i].content);
        if (!first) first = &from[i];
        code = lake_manifest_read(l, &from[i], rewrite_entry, &r, e);
    }
    if (!first) return ERR_OK;
    struct lake_manifest made;
    if (code == ERR_OK)
        code = lake_manifest_end(l, &r.w, c->snapshot_id, c->next.sequence_number, &made, e);
    if (code != ERR_OK) {
        lake_manifest_drop(&r.w);
        return code;
    }
    made.serial = c->table->next_serial++;
    add_manifest(&c->next, &made);
    for (size_t i = 0; i < count; i++) {
        if (!chosen[i]) continue;
        add_remap(&c->next, from[i].serial, made.serial);
        lake_change_garbage(c, str_of(from[i].path), c->next.sequence_number);
    }
    return ERR_OK;
}

static bool holds_removed(const struct lake_change *c, const struct lake_manifest *m)
{
    for (size_t i = 0; i < c->removed_count; i++) {
        const struct lake_live *f = lake_index_by_serial(c->table, c->removed[i]);
        CHECK(f != NULL);
        if (f->manifest == m->serial) return true;
    }
    return false;
}

static int size_class(const struct lake_manifest *m)
{
    int64_t entries = m->added_files + m->existing_files;
    int c = 0;
    for (; entries >= LAKE_MANIFEST_FAN; entries /= LAKE_MANIFEST_FAN) c++;
    return c;
}

/* Sixteen manifests of one size class become one: the list stays short, and an entry is copied once a class. */
static void choose_merge(const struct lake_change *c, bool *chosen)
{
    const struct lake_table *t = c->table;
    for (size_t i = 0; i < t->manifest_count; i++) {
        const struct lake_manifest *m = &t->manifests[i];
        if (m->spec_id != t->spec_id || !m->ours) continue;
        size_t same = 0;
        for (size_t k = 0; k < t->manifest_count; k++) {
            const struct lake_manifest *o = &t->manifests[k];
            chosen[k] = o->spec_id == t->spec_id && o->content == m->content &&
                        size_class(o) == size_class(m) && o->ours && !holds_removed(c, o);
            same += chosen[k];
        }
        if (same >= LAKE_MANIFEST_FAN) return;
    }
    memset(chosen, 0, t->manifest_count * sizeof *chosen);
}

static enum err_code build_manifests(struct lake *l, struct lake_change *c, struct err *e)
{
    const struct lake_table *t = c->table;
    bool *chosen = calloc(t->manifest_count + 1, sizeof *chosen);
    bool *done = calloc(t->manifest_count + 1, sizeof *done);
    CHECK(chosen != NULL && done != NULL);
    enum err_code code = ERR_OK;
    add_own(c);
    choose_merge(c, chosen);
    memcpy(done, chosen, t->manifest_count * sizeof *done);
    if (code == ERR_OK) code = rewrite(l, c, t->manifests, t->manifest_count, chosen, e);
    for (size_t i = 0; i < t->manifest_count && code == ERR_OK; i++) {
        const struct lake_manifest *m = &t->manifests[i];
        if (done[i]) continue;
        if (holds_removed(c, m)) {
            bool one = true;
            code = rewrite(l, c, m, 1, &one, e);
        } else if (m->added_files + m->existing_files > 0) {
            struct lake_manifest copy;
            lake_manifest_copy(&copy, m);
            add_manifest(&c->next, &copy);
        } else { /* it only told what the last snapshot removed */
            lake_change_garbage(c, str_of(m->path), c->next.sequence_number);
        }
    }
    free(chosen);
    free(done);
    return code;
}

/* The number in a metadata file's name is the previous one's plus one. */
static long long version_of(const char *metadata_location)
{
    long long v = 0;
    for (const char *p = lake_base_name(metadata_location);
         *p >= '0' && *p <= '9' && v < 100000000000; p++)
        v = v * 10 + (*p - '0');
    return v;
}

enum err_code lake_metadata_name(const struct lake_table *t, char out[LAKE_LOCATION_MAX],
                                 struct err *e)
{
    char uuid[LAKE_UUID_TEXT];
    lake_uuid(uuid);
    int len = snprintf(out, LAKE_LOCATION_MAX, "%s/metadata/%05lld-%s.metadata.json", t->location,
                       version_of(t->metadata_location) + 1, uuid);
    if (len > 0 && len < LAKE_LOCATION_MAX) return ERR_OK;
    return ERR(e, ERR_CONFIG, "%s: the path is too long for an Iceberg catalog", t->location);
}

enum err_code lake_change_build(struct lake *l, struct lake_change *c, struct err *e)
{
    struct lake_next *n = &c->next;
    const struct lake_table *t = c->table;
    next_clear(n);
    c->try_number++;
    n->sequence_number = t->last_sequence_number + 1;
    int64_t now_ms = c->now_ns / NS_PER_MS;
    n->timestamp_ms = now_ms > t->last_updated_ms ? now_ms : t->last_updated_ms;
    for (size_t i = 0; i < c->removed_count; i++)
        lake_change_garbage(c, lake_index_by_serial(t, c->removed[i])->path, n->sequence_number);
    TRY(build_manifests(l, c, e));
    CRASH_POINT(lake_after_manifest);
    int len =
        snprintf(n->list_location, sizeof n->list_location, "%s/metadata/snap-%lld-%d-%s.avro",
                 t->location, (long long)c->snapshot_id, c->try_number, c->uuid);
    CHECK(len > 0 && (size_t)len < sizeof n->list_location);
    TRY(lake_list_write(l, c->table, n->manifests, n->manifest_count, c->snapshot_id,
                        t->snapshot_id, n->sequence_number, n->list_location, e));
    TRY(lake_metadata_add_snapshot(l, c, &n->metadata, e));
    if (l->rest) return ERR_OK; /* its file is the server's to write */
    char location[LAKE_LOCATION_MAX];
    TRY(lake_metadata_name(t, location, e));
    TRY(lake_write_file(l, location, buf_str(&n->metadata), e));
    n->metadata_location = strdup(location);
    CHECK(n->metadata_location != NULL);
    TRY(lake_sync_folder(l, location, e));
    CRASH_POINT(lake_after_metadata);
    return ERR_OK;
}
