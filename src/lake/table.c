#include "lake/rest_internal.h"

#include "io/clock.h"

#include <stdio.h>
#include <stdlib.h>

/* The Avro schema of manifests, in the order that manifest.c encodes; ids on every field and element, or PyIceberg
 * and DuckDB refuse the file. %s: the partition's fields. */
static const char manifest_schema[] =
    "{\"type\":\"record\",\"name\":\"manifest_entry\",\"fields\":["
    "{\"name\":\"status\",\"type\":\"int\",\"field-id\":0},"
    "{\"name\":\"snapshot_id\",\"type\":[\"null\",\"long\"],\"field-id\":1,\"default\":null},"
    "{\"name\":\"sequence_number\",\"type\":[\"null\",\"long\"],\"field-id\":3,\"default\":null},"
    "{\"name\":\"file_sequence_number\",\"type\":[\"null\",\"long\"],\"field-id\":4,\"default\":"
    "null},"
    "{\"name\":\"data_file\",\"type\":{\"type\":\"record\",\"name\":\"r2\",\"fields\":["
    "{\"name\":\"content\",\"type\":\"int\",\"field-id\":134},"
    "{\"name\":\"file_path\",\"type\":\"string\",\"field-id\":100},"
    "{\"name\":\"file_format\",\"type\":\"string\",\"field-id\":101},"
    "{\"name\":\"partition\",\"type\":{\"type\":\"record\",\"name\":\"r102\",\"fields\":[%s]},"
    "\"field-id\":102},"
    "{\"name\":\"record_count\",\"type\":\"long\",\"field-id\":103},"
    "{\"name\":\"file_size_in_bytes\",\"type\":\"long\",\"field-id\":104},"
#define MAP(name, id, key, value, type)                                                            \
    "{\"name\":\"" name "\",\"type\":[\"null\",{\"type\":\"array\",\"logicalType\":\"map\","       \
    "\"items\":{\"type\":\"record\",\"name\":\"k" #key "_v" #value "\",\"fields\":["               \
    "{\"name\":\"key\",\"type\":\"int\",\"field-id\":" #key "},"                                   \
    "{\"name\":\"value\",\"type\":\"" type "\",\"field-id\":" #value "}]}}],"                      \
    "\"field-id\":" #id ",\"default\":null},"
    MAP("column_sizes", 108, 117, 118, "long") MAP("value_counts", 109, 119, 120, "long") MAP(
        "null_value_counts", 110, 121, 122,
        "long") MAP("nan_value_counts", 137, 138, 139, "long") MAP("lower_bounds", 125, 126, 127,
                                                                   "bytes") MAP("upper_bounds", 128,
                                                                                129, 130, "bytes")
#undef MAP
        "{\"name\":\"key_metadata\",\"type\":[\"null\",\"bytes\"],\"field-id\":131,\"default\":"
        "null},"
        "{\"name\":\"split_offsets\",\"type\":[\"null\",{\"type\":\"array\",\"items\":\"long\","
        "\"element-id\":133}],\"field-id\":132,\"default\":null},"
        "{\"name\":\"equality_ids\",\"type\":[\"null\",{\"type\":\"array\",\"items\":\"int\","
        "\"element-id\":136}],\"field-id\":135,\"default\":null},"
        "{\"name\":\"sort_order_id\",\"type\":[\"null\",\"int\"],\"field-id\":140,\"default\":null}"
        "]},\"field-id\":2}]}";

static void make_manifest_schema(struct lake_table *t)
{
    char partition[256] = "";
    if (t->t->day_column >= 0) {
        int n = snprintf(partition, sizeof partition,
                         "{\"name\":\"%s_day\",\"type\":[\"null\",{\"type\":\"int\","
                         "\"logicalType\":\"date\"}],\"field-id\":1000,\"default\":null}",
                         t->t->columns[t->t->day_column].name);
        CHECK(n > 0 && (size_t)n < sizeof partition);
    }
    size_t size = sizeof manifest_schema + sizeof partition;
    t->manifest_schema = malloc(size);
    CHECK(t->manifest_schema != NULL);
    int n = snprintf(t->manifest_schema, size, manifest_schema, partition);
    CHECK(n > 0 && (size_t)n < size);
}

/* The column whose bounds tell in which files a key can be. */
static int range_column(const struct table *t)
{
    int last = t->sort_columns[t->sort_count - 1];
    enum column_type type = t->columns[last].type;
    return type == COLUMN_TIME || type == COLUMN_LONG ? last : -1;
}

static enum err_code read_metadata(struct lake *l, struct lake_table *t, struct err *e)
{
    char path[PATH_LIMIT];
    TRY(lake_fetch(l, str_of(t->metadata_location), -1, path, e));
    buf_reset(&t->metadata);
    enum err_code code = file_read(path, LAKE_JSON_LIMIT, &t->metadata, e);
    if (code != ERR_NOT_FOUND) return code;
    return ERR(e, ERR_CORRUPT, "table %s: its metadata %s is missing", t->t->name, path);
}

static enum err_code load_metadata(struct lake *l, struct lake_table *t, struct err *e)
{
    TRY(l->rest ? rest_metadata(l, t->t, &t->metadata, e) : read_metadata(l, t, e));
    enum err_code code = lake_metadata_parse(t, e);
    if (code != ERR_OK && l->rest)
        err_prefix(e, "%s, table " LAKE_NAMESPACE ".%s: ", l->rest->address, t->t->name);
    TRY(code);
    return lake_index_load(l, t, e);
}

static enum err_code make_folders(struct lake *l, const struct lake_table *t, struct err *e)
{
    char folder[LAKE_LOCATION_MAX + 16];
    snprintf(folder, sizeof folder, "%s/data", t->location);
    TRY(lake_make_folder(l, folder, e));
    snprintf(folder, sizeof folder, "%s/metadata", t->location);
    return lake_make_folder(l, folder, e);
}

/* Two programs may create it at once: who loses takes the other's. */
static enum err_code create(struct lake *l, struct lake_table *t, struct err *e)
{
    int n = snprintf(t->location, sizeof t->location, "%s%s/" LAKE_NAMESPACE "/%s",
                     l->objects ? "" : "file://", l->warehouse, t->t->name);
    if (n < 0 || (size_t)n >= sizeof t->location - 100)
        return ERR(e, ERR_CONFIG, "warehouse %s: the path is too long for an Iceberg catalog",
                   l->warehouse);
    TRY(make_folders(l, t, e));
    TRY(lake_metadata_new(l, t, clock_wall_ns() / NS_PER_MS, &t->metadata, e));
    if (l->rest) return rest_create(l, t->t, buf_str(&t->metadata), e);
    char location[LAKE_LOCATION_MAX], uuid[LAKE_UUID_TEXT];
    lake_uuid(uuid);
    n = snprintf(location, sizeof location, "%s/metadata/00000-%s.metadata.json", t->location,
                 uuid);
    CHECK(n > 0 && (size_t)n < sizeof location);
    TRY(lake_write_file(l, location, buf_str(&t->metadata), e));
    TRY(lake_sync_folder(l, location, e));
    TRY(lake_objects_flush(l, e));
    bool won;
    return lake_catalog_swap(l, t->t->name, NULL, location, &won, e);
}

/* A copy of a data folder points into the folder it was copied from, and its writer would take the files that the
 * original wrote since for leftovers of crashes and remove them. */
static enum err_code check_place(const struct lake *l, const struct lake_table *t,
                                 struct str location, struct err *e)
{
    char path[PATH_LIMIT], expected[PATH_LIMIT];
    if (l->rest && lake_is_object(location) == (l->objects != NULL)) return ERR_OK; /* its choice */
    if (lake_is_object(location) && l->objects) { /* s3:// and s3a:// are the same place */
        struct str bucket, key;
        CHECK(s3_split(location, &bucket, &key));
        snprintf(path, sizeof path, "s3://%.*s/%.*s", STR_ARG(bucket), STR_ARG(key));
    } else {
        TRY(lake_path_of(location, path, e));
    }
    int n =
        snprintf(expected, sizeof expected, "%s/" LAKE_NAMESPACE "/%s", l->warehouse, t->t->name);
    if (n > 0 && (size_t)n < sizeof expected && strcmp(path, expected) == 0) return ERR_OK;
    return ERR(
        e, ERR_CONFIG,
        "%s: table %s lies in %s, expected %s: the data folder was copied or moved, and a lake "
        "is bound to its path; put it back there",
        l->catalog_path, t->t->name, path, expected);
}

enum err_code lake_table_open(struct lake *l, enum table_id id, struct err *e)
{
    struct lake_table *t = &l->tables[id];
    *t = (struct lake_table){.t = table_of(id), .snapshot_id = -1, .next_serial = 1};
    buf_init(&t->metadata, LAKE_JSON_LIMIT);
    t->range_column = range_column(t->t);
    make_manifest_schema(t);
    TRY(lake_catalog_pointer(l, t->t, &t->metadata_location, e));
    if (!t->metadata_location && l->o.read_only)
        return ERR(e, ERR_NOT_FOUND, "%s: table " LAKE_NAMESPACE ".%s is not in the catalog",
                   lake_tables_place(l), t->t->name);
    if (!t->metadata_location) {
        TRY(create(l, t, e));
        TRY(lake_catalog_pointer(l, t->t, &t->metadata_location, e));
    }
    if (!t->metadata_location)
        return ERR(e, ERR_CORRUPT, "%s: table " LAKE_NAMESPACE ".%s was dropped by another program",
                   lake_tables_place(l), t->t->name);
    enum err_code code = load_metadata(l, t, e);
    if (code == ERR_OK) code = check_place(l, t, str_of(t->location), e);
    if (code == ERR_CORRUPT) { /* missing, perhaps because all of it lies elsewhere now */
        struct str location = str_of(t->metadata_location);
        const char *at = memmem(location.p, location.n, "/metadata/", strlen("/metadata/"));
        if (at) TRY(check_place(l, t, (struct str){location.p, (size_t)(at - location.p)}, e));
    }
    TRY(code);
    if (!l->o.read_only) TRY(make_folders(l, t, e));
    t->hint_stale = true;
    if (!l->o.read_only) lake_table_hint(t);
    return ERR_OK;
}

enum err_code lake_table_refresh(struct lake *l, struct lake_table *t, bool *ret_moved,
                                 struct err *e)
{
    char *now;
    TRY(lake_catalog_pointer(l, t->t, &now, e));
    if (!now)
        return ERR(e, ERR_CORRUPT, "%s: table " LAKE_NAMESPACE ".%s was dropped by another program",
                   lake_tables_place(l), t->t->name);
    *ret_moved = strcmp(now, t->metadata_location) != 0;
    if (!*ret_moved) {
        free(now);
        return ERR_OK;
    }
    free(t->metadata_location);
    t->metadata_location = now;
    t->dirty = t->hint_stale = true;
    enum err_code code = load_metadata(l, t, e);
    if (code != ERR_OK) *t->metadata_location = 0; /* half loaded: the next look loads it again */
    return code;
}

void lake_table_done(struct lake_table *t)
{
    if (!t->t) return;
    lake_index_clear(t);
    free(t->files);
    free(t->metadata_location);
    free(t->list_location);
    free(t->schema_json);
    free(t->spec_json);
    free(t->manifest_schema);
    free(t->extras.items);
    for (size_t i = 0; i < t->vanished_count; i++) free(t->vanished[i].location);
    free(t->vanished);
    buf_free(&t->metadata);
    *t = (struct lake_table){0};
}

/* DuckDB reads a table by its folder when this file names the metadata's stem. It is a convenience: it may be one
 * commit behind after a crash, and is brought up to date by the next open. */
void lake_table_hint(struct lake_table *t)
{
    if (lake_is_object(str_of(t->location))) return;
    char folder[PATH_LIMIT], path[PATH_LIMIT];
    const char *name = lake_base_name(t->metadata_location);
    struct str s = str_of(name);
    if (!t->hint_stale || !str_ends(s, ".metadata.json")) return;
    s.n -= strlen(".metadata.json");
    if (lake_path_of(str_of(t->location), folder, NULL) != ERR_OK) return;
    if (strlen(folder) + 40 > sizeof path) return;
    path_join(path, folder, "metadata/version-hint.text");
    struct file_writer *w;
    if (file_writer_open(path, &w, NULL) != ERR_OK) return;
    if (file_writer_add(w, s.p, s.n, NULL) != ERR_OK) {
        file_writer_abort(w);
        return;
    }
    t->hint_stale = file_writer_finish(w, false, NULL) != ERR_OK;
}
