#include "base/crash.h"
#include "base/log.h"
#include "io/clock.h"
#include "lake/rest_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>

/* New columns of a table: one more schema in the metadata's list, which becomes the current one. No snapshot: what is there
 * reads as before, with nothing in the new columns. It is done before the first file with such a column is written, so a
 * process that dies on the way leaves a column without values, or a metadata file that nobody points to. */

enum { TRIES = 20 };
#define ID_MAX (INT32_MAX - 1000) /* those behind are the readers' own */

static bool same_letters(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char x = *a >= 'A' && *a <= 'Z' ? (char)(*a + 32) : *a;
        char y = *b >= 'A' && *b <= 'Z' ? (char)(*b + 32) : *b;
        if (x != y) return false;
    }
    return *a == *b;
}

static enum err_code refuse(const struct lake_table *t, const struct lake_wanted_extra *w,
                            const struct lake_extra *x, struct err *e)
{
    return ERR(e, ERR_INCOMPATIBLE,
               "%s: field \"%s\" is %s, and column \"%s\" of the table " LAKE_NAMESPACE
               ".%s is %s. Nothing is committed, and the positions stay: rename the column "
               "(ALTER TABLE ... RENAME COLUMN) and start again; the field then gets a column of "
               "its own",
               w->from, w->name, lake_type_text(w->type), x->name, t->t->name, x->type_text);
}

static void drop(struct lake *l, const struct lake_table *t, struct lake_wanted_extra *w,
                 const char *why)
{
    w->dropped = true;
    atomic_fetch_add(&l->stats.columns_refused, 1);
    LOG(WARN, "lake", "a field of another writer's schema is left out",
        LOG_STR("table", t->t->name), LOG_STR("field", w->name), LOG_STR("from", w->from),
        LOG_STR("why", why));
}

/* Whether the table lacks the column. What cannot be one is dropped, told once. */
static enum err_code is_lacking(struct lake *l, const struct lake_table *t,
                                struct lake_wanted_extra *w, size_t usable, bool *ret,
                                struct err *e)
{
    *ret = false;
    if (!w->used || w->dropped) return ERR_OK;
    const struct lake_extra *x = lake_extra_by_name(t, w->name);
    if (x && (x->type != w->type || !x->known)) return refuse(t, w, x, e);
    if (x && x->usable) return ERR_OK;
    bool clashes = false;
    for (size_t i = 0; i < t->extras.count; i++)
        clashes |= !x && same_letters(t->extras.items[i].name, w->name);
    for (int i = 0; i < t->t->column_count; i++)
        clashes |= same_letters(t->t->columns[i].name, w->name);
    if (clashes)
        drop(l, t, w, "a column differs in upper and lower case only");
    else if (x || usable >= LAKE_EXTRAS_MAX)
        drop(l, t, w, "the table has too many columns");
    else
        *ret = true;
    return ERR_OK;
}

static size_t usable(const struct lake_table *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->extras.count; i++) n += t->extras.items[i].usable;
    return n;
}

/* ---- the new metadata */

static int64_t number(yyjson_mut_val *object, const char *key, int64_t absent)
{
    yyjson_mut_val *v = yyjson_mut_obj_get(object, key);
    return yyjson_mut_is_int(v) ? yyjson_mut_get_sint(v) : absent;
}

static void set(yyjson_mut_doc *d, yyjson_mut_val *object, const char *key, int64_t v)
{
    CHECK(yyjson_mut_obj_put(object, yyjson_mut_strcpy(d, key), yyjson_mut_sint(d, v)));
}

static void add_field(yyjson_mut_doc *d, yyjson_mut_val *fields, int64_t id, const struct column *c)
{
    yyjson_mut_val *f = yyjson_mut_obj(d);
    yyjson_mut_obj_add_sint(d, f, "id", id);
    yyjson_mut_obj_add_strcpy(d, f, "name", c->name);
    yyjson_mut_obj_add_bool(d, f, "required", false);
    yyjson_mut_obj_add_strcpy(d, f, "type", lake_type_text(c->type));
    if (*c->doc) yyjson_mut_obj_add_strcpy(d, f, "doc", c->doc);
    yyjson_mut_arr_append(fields, f);
}

/* Files may hold values under an id that another program used and dropped. */
static enum err_code check_unused(const struct lake_table *t, yyjson_mut_val *schemas, int id,
                                  const char *name, struct err *e)
{
    size_t i, n, k, m;
    yyjson_mut_val *schema, *f;
    yyjson_mut_arr_foreach(schemas, i, n, schema)
    {
        yyjson_mut_val *fields = yyjson_mut_obj_get(schema, "fields");
        yyjson_mut_arr_foreach(fields, k, m, f)
        {
            if (number(f, "id", 0) != id) continue;
            if (yyjson_mut_equals_str(yyjson_mut_obj_get(f, "name"), name)) continue;
            return ERR(e, ERR_VERSION,
                       "%s: column id %d, which is for \"%s\", was used by another program",
                       t->metadata_location, id, name);
        }
    }
    return ERR_OK;
}

static yyjson_mut_val *schema_by_id(yyjson_mut_val *schemas, int64_t id, int64_t *ret_highest)
{
    size_t i, n;
    yyjson_mut_val *schema, *found = NULL;
    *ret_highest = 0;
    yyjson_mut_arr_foreach(schemas, i, n, schema)
    {
        int64_t own = number(schema, "schema-id", -1);
        if (own == id) found = schema;
        if (own > *ret_highest) *ret_highest = own;
    }
    return found;
}

struct adding {
    yyjson_mut_doc *d;
    yyjson_mut_val *fields;
    int64_t last_id;
    size_t added;
};

/* Ours that the table lacks have their ids for ever. */
static enum err_code add_ours(const struct lake_table *t, struct adding *a, struct err *e)
{
    yyjson_mut_val *schemas = yyjson_mut_obj_get(yyjson_mut_doc_get_root(a->d), "schemas");
    for (int i = 0; i < t->t->column_count; i++) {
        if (!(t->absent & UINT64_C(1) << i)) continue;
        TRY(check_unused(t, schemas, i + 1, t->t->columns[i].name, e));
        add_field(a->d, a->fields, i + 1, &t->t->columns[i]);
        if (a->last_id < i + 1) a->last_id = i + 1;
        a->added++;
    }
    return ERR_OK;
}

/* Two writers that do not agree, in one commit: the first one has the column. Refusing both would stop this partition for good:
 * the two records stay where they are, and there is no column yet that could be renamed. */
static void settle(struct lake *l, const struct lake_table *t, size_t number)
{
    const struct lake_extra_rows *x = &l->extras[t->t->id];
    struct lake_wanted_extra *w = &x->wanted[number];
    for (size_t i = 0; i < number && !w->dropped; i++) {
        const struct lake_wanted_extra *o = &x->wanted[i];
        if (!o->used || o->dropped || !same_letters(o->name, w->name)) continue;
        drop(l, t, w,
             strcmp(o->name, w->name) != 0
                 ? "another field differs in upper and lower case only"
                 : "another field of this name came first, with another type");
    }
}

static enum err_code add_wanted(struct lake *l, const struct lake_table *t, struct adding *a,
                                struct err *e)
{
    const struct lake_extra_rows *x = &l->extras[t->t->id];
    size_t columns = usable(t);
    for (size_t i = 0; i < x->wanted_count; i++) {
        const struct lake_wanted_extra *w = &x->wanted[i];
        bool lacking;
        TRY(is_lacking(l, t, &x->wanted[i], columns, &lacking, e));
        if (lacking) settle(l, t, i);
        if (!lacking || w->dropped) continue;
        a->last_id = (a->last_id < LAKE_EXTRA_ID ? LAKE_EXTRA_ID : a->last_id) + 1;
        const struct column c = {.name = w->name, .type = w->type, .doc = w->from};
        add_field(a->d, a->fields, a->last_id, &c);
        columns++;
        a->added++;
    }
    return ERR_OK;
}

/* By what the metadata says and by what it holds. */
static int64_t last_column_id(yyjson_mut_val *root)
{
    int64_t last = number(root, "last-column-id", 0);
    size_t i, n, k, m;
    yyjson_mut_val *schema, *f;
    yyjson_mut_arr_foreach(yyjson_mut_obj_get(root, "schemas"), i, n, schema)
    {
        yyjson_mut_val *fields = yyjson_mut_obj_get(schema, "fields");
        yyjson_mut_arr_foreach(fields, k, m, f)
        {
            if (number(f, "id", 0) > last) last = number(f, "id", 0);
        }
    }
    return last;
}

static void add_log(yyjson_mut_doc *d, const struct lake_table *t, int64_t now_ms)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(d);
    yyjson_mut_val *log = yyjson_mut_obj_get(root, "metadata-log");
    if (!yyjson_mut_is_arr(log)) {
        log = yyjson_mut_arr(d);
        CHECK(yyjson_mut_obj_put(root, yyjson_mut_strcpy(d, "metadata-log"), log));
    }
    yyjson_mut_val *entry = yyjson_mut_obj(d);
    yyjson_mut_obj_add_sint(d, entry, "timestamp-ms", t->last_updated_ms);
    yyjson_mut_obj_add_strcpy(d, entry, "metadata-file", t->metadata_location);
    yyjson_mut_arr_append(log, entry);
    set(d, root, "last-updated-ms", now_ms > t->last_updated_ms ? now_ms : t->last_updated_ms);
}

static enum err_code edit(struct lake *l, const struct lake_table *t, yyjson_mut_doc *d,
                          size_t *ret_added, struct err *e)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(d);
    yyjson_mut_val *schemas = yyjson_mut_obj_get(root, "schemas");
    int64_t highest;
    yyjson_mut_val *old = schema_by_id(schemas, t->schema_id, &highest);
    CHECK(old != NULL); /* lake_metadata_parse found it */
    yyjson_mut_val *schema = yyjson_mut_val_mut_copy(d, old);
    CHECK(schema != NULL);
    struct adding a = {d, yyjson_mut_obj_get(schema, "fields"), last_column_id(root), 0};
    if (a.last_id < 0 || a.last_id > ID_MAX - LAKE_EXTRAS_MAX || highest < 0 || highest >= ID_MAX)
        return ERR(e, ERR_CORRUPT, "%s: ids of columns or schemas beyond any table's",
                   t->metadata_location);
    TRY(add_ours(t, &a, e));
    TRY(add_wanted(l, t, &a, e));
    *ret_added = a.added;
    set(d, root, "last-column-id", a.last_id);
    set(d, schema, "schema-id", highest + 1);
    yyjson_mut_arr_append(schemas, schema);
    set(d, root, "current-schema-id", highest + 1);
    add_log(d, t, l->commit_ns / NS_PER_MS);
    return ERR_OK;
}

enum err_code lake_metadata_add_columns(struct lake *l, const struct lake_table *t, struct buf *ret,
                                        size_t *ret_added, struct err *e)
{
    yyjson_doc *old = yyjson_read((const char *)t->metadata.data, t->metadata.len, 0);
    if (!old) return ERR(e, ERR_CORRUPT, "%s: not JSON", t->metadata_location);
    yyjson_mut_doc *d = yyjson_doc_mut_copy(old, NULL);
    yyjson_doc_free(old);
    CHECK(d != NULL);
    enum err_code code = edit(l, t, d, ret_added, e);
    if (code == ERR_OK) {
        size_t len;
        char *json = yyjson_mut_write(d, 0, &len);
        CHECK(json != NULL);
        buf_add(ret, json, len);
        free(json);
        if (ret->failed) code = ERR(e, ERR_FULL, "table %s: metadata too large", t->t->name);
    }
    yyjson_mut_doc_free(d);
    return code;
}

/* ---- the transaction */

static enum err_code send_schema(struct lake *l, const struct lake_table *t, struct str metadata,
                                 bool *ret_won, struct err *e)
{
    const struct rest_commit c = {.before = buf_str(&t->metadata), .after = metadata};
    CRASH_POINT(evolve_before_pointer);
    TRY(rest_send(l, t, &c, ret_won, e));
    if (*ret_won) CRASH_POINT(evolve_after_pointer);
    return ERR_OK;
}

static enum err_code write_and_swap(struct lake *l, struct lake_table *t, struct str metadata,
                                    bool *ret_won, struct err *e)
{
    char location[LAKE_LOCATION_MAX];
    if (l->rest) return send_schema(l, t, metadata, ret_won, e);
    TRY(lake_metadata_name(t, location, e));
    TRY(lake_write_file(l, location, metadata, e));
    TRY(lake_sync_folder(l, location, e));
    TRY(lake_objects_flush(l, e));
    CRASH_POINT(evolve_before_pointer);
    TRY(lake_catalog_swap(l, t->t->name, t->metadata_location, location, ret_won, e));
    if (!*ret_won) return ERR_OK;
    TRY(lake_catalog_commit(l, e));
    CRASH_POINT(evolve_after_pointer);
    return ERR_OK;
}

static enum err_code evolve_locked(struct lake *l, struct lake_table *t, size_t *ret_added,
                                   bool *ret_won, struct err *e)
{
    bool moved;
    struct buf metadata;
    TRY(lake_table_refresh(l, t, &moved, e));
    buf_init(&metadata, LAKE_JSON_LIMIT);
    enum err_code code = lake_metadata_add_columns(l, t, &metadata, ret_added, e);
    *ret_won = true;
    if (code == ERR_OK && *ret_added) code = write_and_swap(l, t, buf_str(&metadata), ret_won, e);
    buf_free(&metadata);
    return code;
}

static enum err_code evolve_once(struct lake *l, struct lake_table *t, bool *ret_won, struct err *e)
{
    size_t added = 0, mark = l->written_count;
    TRY(lake_catalog_begin(l, e));
    enum err_code code = evolve_locked(l, t, &added, ret_won, e);
    lake_catalog_rollback(l); /* where it was not committed */
    if (code == ERR_OK && *ret_won) {
        lake_written_keep(l, mark);
    } else if (l->outcome_unknown) { /* the next look at the pointer tells */
        lake_written_keep(l, mark);
        lake_note_orphan(l);
        l->outcome_unknown = !l->catalog->shared;
    } else {
        lake_written_remove(l, mark);
    }
    if (code != ERR_OK || !*ret_won || added == 0) return code;
    bool moved;
    TRY(lake_table_refresh(l, t, &moved, e));
    lake_table_hint(t);
    atomic_fetch_add(&l->stats.columns_added, (int64_t)added);
    LOG(INFO, "lake", "columns were added", LOG_STR("table", t->t->name),
        LOG_I64("columns", (int64_t)added), LOG_I64("schema", t->schema_id));
    return ERR_OK;
}

static bool has_all(const struct lake *l, const struct lake_table *t)
{
    const struct lake_extra_rows *x = &l->extras[t->t->id];
    for (size_t i = 0; i < x->wanted_count; i++) {
        const struct lake_wanted_extra *w = &x->wanted[i];
        if (!w->used || w->dropped) continue;
        const struct lake_extra *found = lake_extra_by_name(t, w->name);
        if (!found || !found->usable || found->type != w->type) return false;
    }
    return t->absent == 0;
}

enum err_code lake_evolve(struct lake *l, struct lake_table *t, struct err *e)
{
    for (int i = 0; i < TRIES; i++) {
        bool won;
        if (has_all(l, t)) return ERR_OK;
        TRY(evolve_once(l, t, &won, e));
        if (won) return ERR_OK;
        atomic_fetch_add(&l->stats.conflicts, 1);
        clock_sleep_ns((i + 1) * 5 * NS_PER_MS); /* lets the other writer finish its own */
    }
    if (l->rest && l->rest->lost_status == 400) { /* the server does not like what we ask for */
        if (e) *e = l->rest->lost;
        return ERR_CONFIG;
    }
    return ERR(e, ERR_CONFLICT, "table %s: lost %d races against another writer in a row",
               t->t->name, TRIES);
}
