#include "lake/lake_internal.h"

#include <stdlib.h>
#include <yyjson.h>

static int64_t number(yyjson_val *object, const char *key, int64_t absent)
{
    yyjson_val *v = yyjson_obj_get(object, key);
    return yyjson_is_int(v) ? yyjson_get_sint(v) : absent;
}

static struct str text(yyjson_val *object, const char *key)
{
    yyjson_val *v = yyjson_obj_get(object, key);
    return (struct str){yyjson_get_str(v), yyjson_get_len(v)};
}

static char *json_text(yyjson_val *v)
{
    char *s = yyjson_val_write(v, 0, NULL);
    CHECK(s != NULL);
    return s;
}

/* Ours may stand beside newer ones of other writers: the array's item with `key` equal to `id`. */
static yyjson_val *item_by_id(yyjson_val *array, const char *key, int64_t id)
{
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(array, i, max, item)
    {
        if (number(item, key, -1) == id) return item;
    }
    return NULL;
}

static bool is_our_spec(const struct table *t, yyjson_val *spec)
{
    yyjson_val *fields = yyjson_obj_get(spec, "fields");
    if (t->day_column < 0) return yyjson_is_arr(fields) && yyjson_arr_size(fields) == 0;
    if (yyjson_arr_size(fields) != 1) return false;
    yyjson_val *f = yyjson_arr_get_first(fields);
    return str_is(text(f, "transform"), "day") && number(f, "source-id", -1) == t->day_column + 1 &&
           number(f, "field-id", -1) == 1000;
}

static bool is_our_order(const struct table *t, yyjson_val *order)
{
    yyjson_val *fields = yyjson_obj_get(order, "fields");
    if (yyjson_arr_size(fields) != (size_t)t->sort_count) return false;
    size_t i, max;
    yyjson_val *f;
    yyjson_arr_foreach(fields, i, max, f)
    {
        if (number(f, "source-id", -1) != t->sort_columns[i] + 1) return false;
        if (!str_is(text(f, "transform"), "identity") || !str_is(text(f, "direction"), "asc") ||
            !str_is(text(f, "null-order"), "nulls-first"))
            return false;
    }
    return true;
}

static bool same_type(enum column_type type, struct str name)
{
    switch (type) {
    case COLUMN_STRING: return str_is(name, "string");
    case COLUMN_DECIMAL: return str_is(name, "decimal(38, 18)") || str_is(name, "decimal(38,18)");
    case COLUMN_TIME: return str_is(name, "timestamptz");
    case COLUMN_LONG: return str_is(name, "long");
    case COLUMN_BOOLEAN: return str_is(name, "boolean");
    case COLUMN_BINARY: return str_is(name, "binary");
    }
    return false;
}

static bool has_name(yyjson_val *fields, const char *name)
{
    size_t i, max;
    yyjson_val *f;
    yyjson_arr_foreach(fields, i, max, f)
    {
        if (str_is(text(f, "name"), name)) return true;
    }
    return false;
}

static void add_extra(struct lake_table *t, yyjson_val *f, size_t *usable)
{
    struct lake_extras *all = &t->extras;
    struct lake_extra x = {.field_id = (int32_t)number(f, "id", 0)};
    struct str type = text(f, "type");
    if (!str_copy(x.name, sizeof x.name, text(f, "name"))) return; /* longer than ours can be */
    if (!type.n || !str_copy(x.type_text, sizeof x.type_text, type))
        str_copy(x.type_text, sizeof x.type_text, STR("a nested type"));
    for (int i = COLUMN_STRING; i <= COLUMN_BINARY; i++) {
        if (!same_type((enum column_type)i, type)) continue;
        x.type = (enum column_type)i;
        x.known = true;
    }
    bool good = number(f, "id", 0) > 0 && number(f, "id", 0) < INT32_MAX;
    x.usable = x.known && good && *usable < LAKE_EXTRAS_MAX;
    *usable += x.usable;
    all->items = array_grown(all->items, all->count, &all->cap, sizeof *all->items);
    all->items[all->count++] = x;
}

/* Other writers may add columns or rename ours, but ids and types must be what we write. */
static enum err_code check_schema(struct lake_table *t, yyjson_val *schema, struct err *e)
{
    yyjson_val *fields = yyjson_obj_get(schema, "fields");
    t->absent = 0;
    for (int i = 0; i < t->t->column_count; i++) {
        const struct column *c = &t->t->columns[i];
        yyjson_val *f = item_by_id(fields, "id", i + 1);
        if (f && same_type(c->type, text(f, "type"))) continue;
        if (!f && !c->required && !has_name(fields, c->name)) {
            t->absent |= UINT64_C(1) << i;
            continue;
        }
        return ERR(e, ERR_VERSION,
                   "%s: column \"%s\" (id %d) is missing or of another type: the table was changed "
                   "by a newer or another program",
                   t->metadata_location, c->name, i + 1);
    }
    size_t i, max, usable = 0;
    yyjson_val *f;
    t->extras.count = 0;
    yyjson_arr_foreach(fields, i, max, f)
    {
        if (number(f, "id", 0) <= t->t->column_count) continue;
        if (!yyjson_get_bool(yyjson_obj_get(f, "required"))) {
            add_extra(t, f, &usable);
            continue;
        }
        return ERR(e, ERR_VERSION, "%s: another program added the required column \"%.*s\"",
                   t->metadata_location, STR_ARG(text(f, "name")));
    }
    return ERR_OK;
}

static enum err_code parse_layout(struct lake_table *t, yyjson_val *root, struct err *e)
{
    t->schema_id = number(root, "current-schema-id", -1);
    yyjson_val *schema = item_by_id(yyjson_obj_get(root, "schemas"), "schema-id", t->schema_id);
    if (!schema)
        return ERR(e, ERR_CORRUPT, "%s: no schema of id %lld", t->metadata_location,
                   (long long)t->schema_id);
    TRY(check_schema(t, schema, e));
    free(t->schema_json);
    t->schema_json = json_text(schema);
    size_t i, max;
    yyjson_val *item, *spec = NULL;
    yyjson_arr_foreach(yyjson_obj_get(root, "partition-specs"), i, max, item)
    {
        if (is_our_spec(t->t, item)) spec = item;
    }
    if (!spec)
        return ERR(e, ERR_VERSION, "%s: the partition spec that ticklake writes is gone",
                   t->metadata_location);
    t->spec_id = number(spec, "spec-id", 0);
    free(t->spec_json);
    t->spec_json = json_text(yyjson_obj_get(spec, "fields"));
    t->sort_order_id = 0; /* unsorted: always valid, even when our order is gone */
    yyjson_arr_foreach(yyjson_obj_get(root, "sort-orders"), i, max, item)
    {
        if (is_our_order(t->t, item)) t->sort_order_id = number(item, "order-id", 0);
    }
    return ERR_OK;
}

/* Upkeep changes files, not rows. Where no other snapshot is left, the rows are as old as the oldest one at least. */
static int64_t newest_rows(yyjson_val *snapshots)
{
    int64_t newest_ms = -1, oldest_ms = -1;
    size_t i, max;
    yyjson_val *s;
    yyjson_arr_foreach(snapshots, i, max, s)
    {
        int64_t at_ms = number(s, "timestamp-ms", -1);
        if (oldest_ms < 0 || at_ms < oldest_ms) oldest_ms = at_ms;
        struct str operation = text(yyjson_obj_get(s, "summary"), "operation");
        if (!str_is(operation, "replace") && at_ms > newest_ms) newest_ms = at_ms;
    }
    return newest_ms >= 0 ? newest_ms : oldest_ms;
}

/* yyjson reads any depth without recursion, but compares and copies with it. */
bool lake_json_is_shallow(struct str s)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
        if (depth > LAKE_JSON_DEPTH) return false;
    }
    return true;
}

static enum err_code parse_snapshot(struct lake_table *t, yyjson_val *root, struct err *e)
{
    yyjson_val *snapshots = yyjson_obj_get(root, "snapshots");
    t->newest_rows_ms = newest_rows(snapshots);
    t->snapshot_count = (int64_t)yyjson_arr_size(snapshots);
    if (t->snapshot_count > LAKE_SNAPSHOTS_MAX)
        return ERR(e, ERR_FULL, "%s: %lld snapshots, at most %d are read; expire some",
                   t->metadata_location, (long long)t->snapshot_count, LAKE_SNAPSHOTS_MAX);
    t->snapshot_id = number(root, "current-snapshot-id", -1);
    free(t->list_location);
    t->list_location = NULL;
    if (t->snapshot_id < 0) return ERR_OK;
    yyjson_val *s = item_by_id(snapshots, "snapshot-id", t->snapshot_id);
    struct str list = s ? text(s, "manifest-list") : (struct str){0};
    if (!list.n)
        return ERR(e, ERR_CORRUPT, "%s: the current snapshot %lld is not among the snapshots",
                   t->metadata_location, (long long)t->snapshot_id);
    t->list_location = strndup(list.p, list.n);
    CHECK(t->list_location != NULL);
    return ERR_OK;
}

static enum err_code parse_root(struct lake_table *t, yyjson_val *root, struct err *e)
{
    int64_t version = number(root, "format-version", -1);
    if (version != LAKE_FORMAT_VERSION)
        return ERR(e, version > LAKE_FORMAT_VERSION ? ERR_VERSION : ERR_CORRUPT,
                   "%s: Iceberg format version %lld; ticklake writes version %d",
                   t->metadata_location, (long long)version, LAKE_FORMAT_VERSION);
    struct str location = text(root, "location");
    while (location.n > 1 && location.p[location.n - 1] == '/') location.n--;
    if (!location.n || !str_copy(t->location, sizeof t->location, location))
        return ERR(e, ERR_CORRUPT, "%s: no location of a usable length", t->metadata_location);
    t->last_sequence_number = number(root, "last-sequence-number", -1);
    t->last_updated_ms = number(root, "last-updated-ms", -1);
    if (t->last_sequence_number < 0 || t->last_updated_ms < 0 ||
        t->last_sequence_number > INT64_MAX / 2)
        return ERR(e, ERR_CORRUPT,
                   "%s: last-sequence-number or last-updated-ms is missing or absurd",
                   t->metadata_location);
    TRY(parse_layout(t, root, e));
    return parse_snapshot(t, root, e);
}

enum err_code lake_metadata_parse(struct lake_table *t, struct err *e)
{
    yyjson_doc *doc = yyjson_read((const char *)t->metadata.data, t->metadata.len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    enum err_code code = ERR_OK;
    if (!yyjson_is_obj(root))
        code = ERR(e, ERR_CORRUPT, "%s: not a JSON object", t->metadata_location);
    if (code == ERR_OK) code = parse_root(t, root, e);
    yyjson_doc_free(doc);
    return code;
}

enum err_code lake_metadata_each_location(const struct lake_table *t,
                                          enum err_code (*each)(void *ctx, bool is_list,
                                                                struct str location, struct err *e),
                                          void *ctx, struct err *e)
{
    yyjson_doc *doc = yyjson_read((const char *)t->metadata.data, t->metadata.len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *item;
    enum err_code code = ERR_OK;
    size_t i, max;
    yyjson_arr_foreach(yyjson_obj_get(root, "snapshots"), i, max, item)
    {
        if (code == ERR_OK) code = each(ctx, true, text(item, "manifest-list"), e);
    }
    yyjson_arr_foreach(yyjson_obj_get(root, "metadata-log"), i, max, item)
    {
        if (code == ERR_OK) code = each(ctx, false, text(item, "metadata-file"), e);
    }
    yyjson_doc_free(doc);
    return code;
}
