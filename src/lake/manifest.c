#include "lake/lake_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* Field ids of the specification. */
enum {
    F_STATUS = 0,
    F_SNAPSHOT = 1,
    F_DATA_FILE = 2,
    F_SEQUENCE = 3,
    F_FILE_SEQUENCE = 4,
    F_PATH = 100,
    F_FORMAT = 101,
    F_PARTITION = 102,
    F_ROWS = 103,
    F_BYTES = 104,
    F_SIZES = 108,
    F_VALUES = 109,
    F_NULLS = 110,
    F_LOWER = 125,
    F_UPPER = 128,
    F_KEY_METADATA = 131,
    F_SPLITS = 132,
    F_CONTENT = 134,
    F_EQUALITY = 135,
    F_NANS = 137,
    F_SORT_ORDER = 140,
    F_DAY = 1000
};

/* Of one file; more is damage, and sums of them must not overflow. */
#define ROWS_MAX (INT64_C(1) << 42)

static void put_longs(struct buf *b, const struct lake_longs *v, bool keyed)
{
    avro_put_null_or(b, v->present);
    if (!v->present) return;
    if (v->count) {
        avro_put_long(b, (int64_t)v->count);
        for (size_t i = 0; i < v->count; i++) {
            if (keyed) avro_put_long(b, v->items[i].id);
            avro_put_long(b, v->items[i].value);
        }
    }
    avro_put_long(b, 0);
}

static void put_bounds(struct buf *b, const struct lake_bounds *v)
{
    avro_put_null_or(b, v->present);
    if (!v->present) return;
    if (v->count) {
        avro_put_long(b, (int64_t)v->count);
        for (size_t i = 0; i < v->count; i++) {
            avro_put_long(b, v->items[i].id);
            avro_put_bytes(b, v->items[i].value);
        }
    }
    avro_put_long(b, 0);
}

static void put_optional(struct buf *b, int64_t v)
{
    avro_put_null_or(b, v != LAKE_NULL);
    if (v != LAKE_NULL) avro_put_long(b, v);
}

/* In the order of the schema that lake_table made. */
static void put_entry(struct buf *b, const struct lake_entry *n, bool partitioned)
{
    avro_put_long(b, n->status);
    put_optional(b, n->snapshot_id);
    put_optional(b, n->sequence_number);
    put_optional(b, n->file_sequence_number);
    avro_put_long(b, n->content);
    avro_put_bytes(b, n->path);
    avro_put_bytes(b, n->format);
    if (partitioned) put_optional(b, n->day == LAKE_NO_DAY ? LAKE_NULL : n->day);
    avro_put_long(b, n->rows);
    avro_put_long(b, n->bytes);
    put_longs(b, &n->sizes, true);
    put_longs(b, &n->values, true);
    put_longs(b, &n->nulls, true);
    put_longs(b, &n->nans, true);
    put_bounds(b, &n->lower);
    put_bounds(b, &n->upper);
    avro_put_null_or(b, n->key_metadata.p != NULL);
    if (n->key_metadata.p) avro_put_bytes(b, n->key_metadata);
    put_longs(b, &n->splits, false);
    put_longs(b, &n->equality, false);
    put_optional(b, n->sort_order_id);
}

void lake_manifest_begin(struct lake_manifest_writer *w, struct lake_table *t, int content)
{
    char schema_id[24], spec_id[24];
    snprintf(schema_id, sizeof schema_id, "%lld", (long long)t->schema_id);
    snprintf(spec_id, sizeof spec_id, "%lld", (long long)t->spec_id);
    const struct avro_meta meta[] = {
        {"schema", str_of(t->schema_json)},
        {"schema-id", str_of(schema_id)},
        {"partition-spec", str_of(t->spec_json)},
        {"partition-spec-id", str_of(spec_id)},
        {"format-version", STR("2")},
        {"content", content ? STR("deletes") : STR("data")},
    };
    *w = (struct lake_manifest_writer){.table = t};
    w->m.content = content ? 1 : 0;
    w->m.spec_id = (int32_t)t->spec_id;
    w->m.min_sequence_number = INT64_MAX;
    w->avro = avro_writer_new(str_of(t->manifest_schema), meta, sizeof meta / sizeof *meta);
}

void lake_manifest_put(struct lake_manifest_writer *w, const struct lake_entry *entry,
                       int64_t sequence_number)
{
    put_entry(avro_writer_record(w->avro), entry, w->table->t->day_column >= 0);
    avro_writer_end_record(w->avro);
    struct lake_manifest *m = &w->m;
    int64_t *files[] = {&m->existing_files, &m->added_files, &m->deleted_files};
    int64_t *rows[] = {&m->existing_rows, &m->added_rows, &m->deleted_rows};
    CHECK(entry->status >= LAKE_EXISTING && entry->status <= LAKE_REMOVED);
    ++*files[entry->status];
    *rows[entry->status] += entry->rows;
    if (entry->status != LAKE_REMOVED && sequence_number < m->min_sequence_number)
        m->min_sequence_number = sequence_number;
    if (entry->day == LAKE_NO_DAY) {
        w->any_null = true;
        return;
    }
    if (!w->any_day || entry->day < w->day_low) w->day_low = entry->day;
    if (!w->any_day || entry->day > w->day_high) w->day_high = entry->day;
    w->any_day = true;
}

static void day_bytes(int32_t day, char out[4])
{
    for (int i = 0; i < 4; i++) out[i] = (char)((uint32_t)day >> (8 * i));
}

static void finish_manifest(struct lake_manifest_writer *w, const char *location,
                            int64_t snapshot_id, int64_t sequence_number)
{
    char low[4], high[4];
    day_bytes(w->day_low, low);
    day_bytes(w->day_high, high);
    struct lake_summary summary = {.contains_null = w->any_null,
                                   .has_nan = true,
                                   .has_lower = w->any_day,
                                   .has_upper = w->any_day,
                                   .lower = {low, sizeof low},
                                   .upper = {high, sizeof high}};
    w->m.path = (char *)(uintptr_t)location;
    w->m.has_summaries = true;
    w->m.summary_count = w->table->t->day_column >= 0 ? 1 : 0;
    w->m.summaries = &summary;
    w->m.sequence_number = sequence_number;
    w->m.added_snapshot_id = snapshot_id;
    if (w->m.min_sequence_number > sequence_number) w->m.min_sequence_number = sequence_number;
    struct lake_manifest copy;
    lake_manifest_copy(&copy, &w->m);
    w->m = copy;
}

enum err_code lake_manifest_end(struct lake *l, struct lake_manifest_writer *w, int64_t snapshot_id,
                                int64_t sequence_number, struct lake_manifest *ret, struct err *e)
{
    char uuid[LAKE_UUID_TEXT], location[LAKE_LOCATION_MAX];
    lake_uuid(uuid);
    int n = snprintf(location, sizeof location, "%s/metadata/%s-m%d.avro", w->table->location, uuid,
                     w->m.content);
    CHECK(n > 0 && (size_t)n < sizeof location);
    struct str bytes;
    enum err_code code = avro_writer_finish(w->avro, &bytes, e);
    if (code == ERR_OK) code = lake_write_file(l, location, bytes, e);
    if (code == ERR_OK) {
        w->m.length = (int64_t)bytes.n;
        finish_manifest(w, location, snapshot_id, sequence_number);
        *ret = w->m;
    }
    lake_manifest_drop(w);
    return code;
}

void lake_manifest_drop(struct lake_manifest_writer *w) { w->avro = avro_writer_free(w->avro); }

/* ---- reading */

static int64_t number(const struct avro_value *v, int64_t absent)
{
    return v && v->kind == AVRO_LONG ? v->number : absent;
}

static void get_longs(struct arena *a, const struct avro_value *v, bool keyed,
                      struct lake_longs *ret)
{
    *ret = (struct lake_longs){0};
    if (!v || v->kind != AVRO_ARRAY) return;
    ret->items = arena_alloc(a, (v->count + 1) * sizeof *ret->items);
    if (!ret->items) return;
    ret->present = true;
    for (size_t i = 0; i < v->count; i++) {
        const struct avro_value *item = &v->items[i];
        if (!keyed) {
            ret->items[ret->count++] = (struct lake_id_long){0, number(item, 0)};
        } else if (item->kind == AVRO_RECORD && item->count == 2) {
            int32_t id = (int32_t)number(&item->items[0], -1);
            ret->items[ret->count++] = (struct lake_id_long){id, number(&item->items[1], 0)};
        }
    }
}

static void get_bounds(struct arena *a, const struct avro_value *v, struct lake_bounds *ret)
{
    *ret = (struct lake_bounds){0};
    if (!v || v->kind != AVRO_ARRAY) return;
    ret->items = arena_alloc(a, (v->count + 1) * sizeof *ret->items);
    if (!ret->items) return;
    ret->present = true;
    for (size_t i = 0; i < v->count; i++) {
        const struct avro_value *item = &v->items[i];
        if (item->kind != AVRO_RECORD || item->count != 2) continue;
        int32_t id = (int32_t)number(&item->items[0], -1);
        ret->items[ret->count++] = (struct lake_id_bytes){id, item->items[1].bytes};
    }
}

static enum err_code get_file(const struct avro_value *f, struct arena *a, struct lake_entry *n,
                              const char *path, struct err *e)
{
    const struct avro_value *file = avro_field(f, F_PATH), *format = avro_field(f, F_FORMAT);
    const struct avro_value *partition = avro_field(f, F_PARTITION);
    n->content = (int32_t)number(avro_field(f, F_CONTENT), LAKE_DATA);
    n->rows = number(avro_field(f, F_ROWS), -1);
    n->bytes = number(avro_field(f, F_BYTES), -1);
    if (!file || file->kind != AVRO_BYTES || !format || format->kind != AVRO_BYTES || n->rows < 0 ||
        n->bytes < 0 || n->rows > ROWS_MAX || n->bytes > ROWS_MAX || n->content < LAKE_DATA ||
        n->content > LAKE_EQUALITY)
        return ERR(e, ERR_CORRUPT, "manifest %s: an entry lacks its path, rows or size", path);
    n->path = file->bytes;
    n->format = format->bytes;
    int64_t day = LAKE_NULL;
    if (partition && partition->kind == AVRO_RECORD)
        day = number(avro_field(partition, F_DAY), day);
    n->day = day < INT32_MIN || day > INT32_MAX ? LAKE_NO_DAY : (int32_t)day;
    get_longs(a, avro_field(f, F_SIZES), true, &n->sizes);
    get_longs(a, avro_field(f, F_VALUES), true, &n->values);
    get_longs(a, avro_field(f, F_NULLS), true, &n->nulls);
    get_longs(a, avro_field(f, F_NANS), true, &n->nans);
    get_longs(a, avro_field(f, F_SPLITS), false, &n->splits);
    get_longs(a, avro_field(f, F_EQUALITY), false, &n->equality);
    get_bounds(a, avro_field(f, F_LOWER), &n->lower);
    get_bounds(a, avro_field(f, F_UPPER), &n->upper);
    n->sort_order_id = number(avro_field(f, F_SORT_ORDER), LAKE_NULL);
    const struct avro_value *key = avro_field(f, F_KEY_METADATA);
    if (key && key->kind == AVRO_BYTES) n->key_metadata = key->bytes;
    return ERR_OK;
}

static enum err_code get_entry(const struct lake_manifest *m, const struct avro_value *v,
                               struct arena *a, struct lake_entry *n, struct err *e)
{
    *n = (struct lake_entry){.status = (int32_t)number(avro_field(v, F_STATUS), -1)};
    const struct avro_value *f = avro_field(v, F_DATA_FILE);
    if (n->status < LAKE_EXISTING || n->status > LAKE_REMOVED || !f || f->kind != AVRO_RECORD)
        return ERR(e, ERR_CORRUPT, "manifest %s: an entry without status or data_file", m->path);
    n->snapshot_id = number(avro_field(v, F_SNAPSHOT), m->added_snapshot_id);
    n->sequence_number = number(avro_field(v, F_SEQUENCE), m->sequence_number);
    n->file_sequence_number = number(avro_field(v, F_FILE_SEQUENCE), m->sequence_number);
    return get_file(f, a, n, m->path, e);
}

enum err_code lake_manifest_read(struct lake *l, const struct lake_manifest *m,
                                 lake_entry_each each, void *ctx, struct err *e)
{
    char path[PATH_LIMIT];
    TRY(lake_fetch(l, str_of(m->path), m->length, path, e));
    struct buf bytes;
    buf_init(&bytes, LAKE_AVRO_LIMIT);
    struct avro_reader *r = NULL;
    struct arena scratch;
    arena_init(&scratch, 64 << 20);
    enum err_code code = file_read(path, LAKE_AVRO_LIMIT, &bytes, e);
    if (code == ERR_NOT_FOUND) code = ERR(e, ERR_CORRUPT, "manifest %s: no such file", path);
    if (code == ERR_OK) code = avro_reader_open(buf_str(&bytes), &r, e);
    while (code == ERR_OK) {
        const struct avro_value *v;
        struct lake_entry entry;
        arena_reset(&scratch);
        code = avro_reader_next(r, &v, e);
        if (code == ERR_OK) code = get_entry(m, v, &scratch, &entry, e);
        if (code == ERR_OK)
            code = each(ctx, &entry, e);
        else if (code == ERR_CORRUPT)
            err_prefix(e, "%s: ", path);
    }
    avro_reader_close(r);
    arena_free(&scratch);
    buf_free(&bytes);
    return code == ERR_NOT_FOUND ? ERR_OK : code;
}
