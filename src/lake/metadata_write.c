#include "lake/lake_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

/* A new snapshot is put into the JSON as it is, so that whatever other writers keep there (properties, refs, newer
 * schemas, keys we do not know) stays. */

static int64_t number(yyjson_mut_val *object, const char *key, int64_t absent)
{
    yyjson_mut_val *v = yyjson_mut_obj_get(object, key);
    return yyjson_mut_is_int(v) ? yyjson_mut_get_sint(v) : absent;
}

static struct str text(yyjson_mut_val *object, const char *key)
{
    yyjson_mut_val *v = yyjson_mut_obj_get(object, key);
    return (struct str){yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
}

static void set(yyjson_mut_doc *d, yyjson_mut_val *object, const char *key, yyjson_mut_val *value)
{
    CHECK(yyjson_mut_obj_put(object, yyjson_mut_strcpy(d, key), value));
}

static yyjson_mut_val *array(yyjson_mut_doc *d, yyjson_mut_val *root, const char *key)
{
    yyjson_mut_val *v = yyjson_mut_obj_get(root, key);
    if (yyjson_mut_is_arr(v)) return v;
    v = yyjson_mut_arr(d);
    set(d, root, key, v);
    return v;
}

static void add_number_text(yyjson_mut_doc *d, yyjson_mut_val *summary, const char *key, int64_t v)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRId64, v);
    yyjson_mut_obj_add_strcpy(d, summary, key, digits); /* the specification wants strings only */
}

struct difference {
    int64_t added_data, added_deletes, added_rows, added_positions, added_bytes;
    int64_t removed_data, removed_deletes, removed_rows, removed_positions, removed_bytes, days;
};

static void count_added(const struct lake_change *c, struct difference *d)
{
    for (size_t i = 0; i < c->added_count; i++) {
        const struct lake_entry *n = &c->added[i].entry;
        bool data = n->content == LAKE_DATA, seen = false;
        *(data ? &d->added_data : &d->added_deletes) += 1;
        *(data ? &d->added_rows : &d->added_positions) += n->rows;
        d->added_bytes += n->bytes;
        /* Files come partition by partition, so that looking at a few before is enough; it is only a statistic. */
        for (size_t k = i > 64 ? i - 64 : 0; k < i; k++)
            if (c->added[k].entry.day == n->day) seen = true;
        d->days += !seen;
    }
}

static void count_removed(const struct lake_change *c, struct difference *d)
{
    for (size_t i = 0; i < c->removed_count; i++) {
        const struct lake_live *f = lake_index_by_serial(c->table, c->removed[i]);
        CHECK(f != NULL);
        bool data = f->content == LAKE_DATA;
        *(data ? &d->removed_data : &d->removed_deletes) += 1;
        *(data ? &d->removed_rows : &d->removed_positions) += f->rows;
        d->removed_bytes += f->bytes;
    }
}

static void add_total(yyjson_mut_doc *d, yyjson_mut_val *summary, const char *key, int64_t v)
{
    if (v) add_number_text(d, summary, key, v);
}

static yyjson_mut_val *make_summary(yyjson_mut_doc *doc, struct lake_change *c)
{
    struct difference d = {0};
    count_added(c, &d);
    count_removed(c, &d);
    yyjson_mut_val *s = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_strcpy(doc, s, "operation", c->operation);
    yyjson_mut_obj_add_strcpy(doc, s, "ticklake.commit", c->uuid);
    add_number_text(doc, s, "ticklake.position", c->position);
    add_total(doc, s, "added-data-files", d.added_data);
    add_total(doc, s, "added-records", d.added_rows);
    add_total(doc, s, "added-delete-files", d.added_deletes);
    add_total(doc, s, "added-position-delete-files", d.added_deletes);
    add_total(doc, s, "added-position-deletes", d.added_positions);
    add_total(doc, s, "added-files-size", d.added_bytes);
    add_total(doc, s, "deleted-data-files", d.removed_data);
    add_total(doc, s, "deleted-records", d.removed_rows);
    add_total(doc, s, "removed-delete-files", d.removed_deletes);
    add_total(doc, s, "removed-position-delete-files", d.removed_deletes);
    add_total(doc, s, "removed-position-deletes", d.removed_positions);
    add_total(doc, s, "removed-files-size", d.removed_bytes);
    add_number_text(doc, s, "changed-partition-count", d.days);
    struct lake_totals *t = &c->next.totals;
    *t = c->table->totals;
    t->data_files += d.added_data - d.removed_data;
    t->delete_files += d.added_deletes - d.removed_deletes;
    t->rows += d.added_rows - d.removed_rows;
    t->position_deletes += d.added_positions - d.removed_positions;
    t->bytes += d.added_bytes - d.removed_bytes;
    add_number_text(doc, s, "total-records", t->rows);
    add_number_text(doc, s, "total-files-size", t->bytes);
    add_number_text(doc, s, "total-data-files", t->data_files);
    add_number_text(doc, s, "total-delete-files", t->delete_files);
    add_number_text(doc, s, "total-position-deletes", t->position_deletes);
    add_number_text(doc, s, "total-equality-deletes", t->equality_deletes);
    return s;
}

static void add_snapshot(yyjson_mut_doc *d, yyjson_mut_val *root, struct lake_change *c)
{
    const struct lake_table *t = c->table;
    yyjson_mut_val *s = yyjson_mut_obj(d);
    yyjson_mut_obj_add_sint(d, s, "snapshot-id", c->snapshot_id);
    if (t->snapshot_id >= 0) yyjson_mut_obj_add_sint(d, s, "parent-snapshot-id", t->snapshot_id);
    yyjson_mut_obj_add_sint(d, s, "sequence-number", c->next.sequence_number);
    yyjson_mut_obj_add_sint(d, s, "timestamp-ms", c->next.timestamp_ms);
    yyjson_mut_obj_add_strcpy(d, s, "manifest-list", c->next.list_location);
    yyjson_mut_obj_add_val(d, s, "summary", make_summary(d, c));
    yyjson_mut_obj_add_sint(d, s, "schema-id", t->schema_id);
    yyjson_mut_arr_append(array(d, root, "snapshots"), s);
    set(d, root, "current-snapshot-id", yyjson_mut_sint(d, c->snapshot_id));
    set(d, root, "last-sequence-number", yyjson_mut_sint(d, c->next.sequence_number));
    set(d, root, "last-updated-ms", yyjson_mut_sint(d, c->next.timestamp_ms));
    yyjson_mut_val *refs = yyjson_mut_obj_get(root, "refs"), *branch;
    if (!yyjson_mut_is_obj(refs)) set(d, root, "refs", refs = yyjson_mut_obj(d));
    branch = yyjson_mut_obj_get(refs, "main");
    if (!yyjson_mut_is_obj(branch)) set(d, refs, "main", branch = yyjson_mut_obj(d));
    set(d, branch, "snapshot-id",
        yyjson_mut_sint(d, c->snapshot_id)); /* keeps its retention keys */
    set(d, branch, "type", yyjson_mut_str(d, "branch"));
    yyjson_mut_val *entry = yyjson_mut_obj(d);
    yyjson_mut_obj_add_sint(d, entry, "timestamp-ms", c->next.timestamp_ms);
    yyjson_mut_obj_add_sint(d, entry, "snapshot-id", c->snapshot_id);
    yyjson_mut_arr_append(array(d, root, "snapshot-log"), entry);
    entry = yyjson_mut_obj(d);
    yyjson_mut_obj_add_sint(d, entry, "timestamp-ms", t->last_updated_ms);
    yyjson_mut_obj_add_strcpy(d, entry, "metadata-file", t->metadata_location);
    yyjson_mut_arr_append(array(d, root, "metadata-log"), entry);
}

/* ---- trimming: a table that is left alone for a night must not grow */

static bool is_referenced(yyjson_mut_val *refs, int64_t id)
{
    size_t i, max;
    yyjson_mut_val *name, *ref;
    yyjson_mut_obj_foreach(refs, i, max, name, ref)
    {
        if (number(ref, "snapshot-id", -1) == id) return true;
    }
    return false;
}

static bool holds(yyjson_mut_val *snapshots, int64_t id)
{
    size_t i, max;
    yyjson_mut_val *s;
    yyjson_mut_arr_foreach(snapshots, i, max, s)
    {
        if (number(s, "snapshot-id", -1) == id) return true;
    }
    return false;
}

static void drop_unknown_snapshots(yyjson_mut_val *items, yyjson_mut_val *snapshots)
{
    for (size_t i = yyjson_mut_arr_size(items); i-- > 0;)
        if (!holds(snapshots, number(yyjson_mut_arr_get(items, i), "snapshot-id", -1)))
            yyjson_mut_arr_remove(items, i);
}

static void trim_snapshots(const struct lake *l, yyjson_mut_doc *d, yyjson_mut_val *root,
                           struct lake_change *c)
{
    yyjson_mut_val *snapshots = array(d, root, "snapshots"),
                   *refs = yyjson_mut_obj_get(root, "refs");
    size_t keep = l->o.snapshots_keep > 1 ? (size_t)l->o.snapshots_keep : 1;
    int64_t oldest = INT64_MAX;
    size_t count = yyjson_mut_arr_size(snapshots), excess = count > keep ? count - keep : 0;
    for (size_t at = 0; at < yyjson_mut_arr_size(snapshots);) {
        yyjson_mut_val *s = yyjson_mut_arr_get(snapshots, at);
        bool old = excess > 0;
        if (old) excess--;
        if (!old || is_referenced(refs, number(s, "snapshot-id", -1))) {
            int64_t sequence = number(s, "sequence-number", 0);
            if (sequence < oldest) oldest = sequence;
            at++;
            continue;
        }
        lake_change_garbage(c, text(s, "manifest-list"), 0);
        yyjson_mut_arr_remove(snapshots, at);
    }
    /* A branch or tag of somebody else may need files that left main long ago; which, only its history tells, and that
     * may be trimmed. While there is one, nothing that ever was in a snapshot is released. */
    c->next.release_below = yyjson_mut_obj_size(refs) > 1 ? -1 : oldest;
    c->next.snapshot_count = (int64_t)yyjson_mut_arr_size(snapshots);
    if (yyjson_mut_arr_size(snapshots) == count) return;
    drop_unknown_snapshots(array(d, root, "snapshot-log"), snapshots);
    drop_unknown_snapshots(array(d, root, "statistics"), snapshots);
    drop_unknown_snapshots(array(d, root, "partition-statistics"), snapshots);
}

static void trim_metadata_log(const struct lake *l, yyjson_mut_doc *d, yyjson_mut_val *root,
                              struct lake_change *c)
{
    yyjson_mut_val *log = array(d, root, "metadata-log");
    size_t keep = l->o.metadata_keep > 1 ? (size_t)l->o.metadata_keep : 1;
    while (yyjson_mut_arr_size(log) > keep) {
        lake_change_garbage(c, text(yyjson_mut_arr_get_first(log), "metadata-file"), 0);
        yyjson_mut_arr_remove_first(log);
    }
}

enum err_code lake_metadata_add_snapshot(const struct lake *l, struct lake_change *c,
                                         struct buf *ret, struct err *e)
{
    const struct lake_table *t = c->table;
    yyjson_doc *old = yyjson_read((const char *)t->metadata.data, t->metadata.len, 0);
    if (!old) return ERR(e, ERR_CORRUPT, "%s: not JSON", t->metadata_location);
    yyjson_mut_doc *d = yyjson_doc_mut_copy(old, NULL);
    yyjson_doc_free(old);
    CHECK(d != NULL);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(d);
    add_snapshot(d, root, c);
    trim_snapshots(l, d, root, c);
    trim_metadata_log(l, d, root, c);
    size_t len;
    char *json = yyjson_mut_write(d, 0, &len);
    CHECK(json != NULL);
    buf_reset(ret);
    buf_add(ret, json, len);
    free(json);
    yyjson_mut_doc_free(d);
    if (ret->failed) return ERR(e, ERR_FULL, "table %s: metadata too large", t->t->name);
    return ERR_OK;
}
