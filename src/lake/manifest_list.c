#include "lake/lake_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    F_PATH = 500,
    F_LENGTH = 501,
    F_SPEC = 502,
    F_ADDED_SNAPSHOT = 503,
    F_ADDED_FILES = 504,
    F_EXISTING_FILES = 505,
    F_DELETED_FILES = 506,
    F_PARTITIONS = 507,
    F_CONTAINS_NULL = 509,
    F_LOWER = 510,
    F_UPPER = 511,
    F_ADDED_ROWS = 512,
    F_EXISTING_ROWS = 513,
    F_DELETED_ROWS = 514,
    F_SEQUENCE = 515,
    F_MIN_SEQUENCE = 516,
    F_CONTENT = 517,
    F_CONTAINS_NAN = 518,
};
enum { SUMMARIES_MAX = 64, MANIFESTS_MAX = 100000 };

static const char list_schema[] =
    "{\"type\":\"record\",\"name\":\"manifest_file\",\"fields\":["
    "{\"name\":\"manifest_path\",\"type\":\"string\",\"field-id\":500},"
    "{\"name\":\"manifest_length\",\"type\":\"long\",\"field-id\":501},"
    "{\"name\":\"partition_spec_id\",\"type\":\"int\",\"field-id\":502},"
    "{\"name\":\"content\",\"type\":\"int\",\"field-id\":517},"
    "{\"name\":\"sequence_number\",\"type\":\"long\",\"field-id\":515},"
    "{\"name\":\"min_sequence_number\",\"type\":\"long\",\"field-id\":516},"
    "{\"name\":\"added_snapshot_id\",\"type\":\"long\",\"field-id\":503},"
    "{\"name\":\"added_files_count\",\"type\":\"int\",\"field-id\":504},"
    "{\"name\":\"existing_files_count\",\"type\":\"int\",\"field-id\":505},"
    "{\"name\":\"deleted_files_count\",\"type\":\"int\",\"field-id\":506},"
    "{\"name\":\"added_rows_count\",\"type\":\"long\",\"field-id\":512},"
    "{\"name\":\"existing_rows_count\",\"type\":\"long\",\"field-id\":513},"
    "{\"name\":\"deleted_rows_count\",\"type\":\"long\",\"field-id\":514},"
    "{\"name\":\"partitions\",\"type\":[\"null\",{\"type\":\"array\",\"items\":"
    "{\"type\":\"record\",\"name\":\"r508\",\"fields\":["
    "{\"name\":\"contains_null\",\"type\":\"boolean\",\"field-id\":509},"
    "{\"name\":\"contains_nan\",\"type\":[\"null\",\"boolean\"],\"field-id\":518,\"default\":null},"
    "{\"name\":\"lower_bound\",\"type\":[\"null\",\"bytes\"],\"field-id\":510,\"default\":null},"
    "{\"name\":\"upper_bound\",\"type\":[\"null\",\"bytes\"],\"field-id\":511,\"default\":null}]},"
    "\"element-id\":508}],\"field-id\":507,\"default\":null},"
    "{\"name\":\"key_metadata\",\"type\":[\"null\",\"bytes\"],\"field-id\":519,\"default\":null}]}";

void lake_manifest_free(struct lake_manifest *m)
{
    free(m->path); /* one block with the summaries */
    m->path = NULL;
}

void lake_manifest_copy(struct lake_manifest *to, const struct lake_manifest *from)
{
    size_t path = (strlen(from->path) + 16) / 16 * 16; /* keeps the summaries aligned */
    size_t need = path + from->summary_count * sizeof *from->summaries;
    for (size_t i = 0; i < from->summary_count; i++)
        need += from->summaries[i].lower.n + from->summaries[i].upper.n;
    char *block = malloc(need);
    CHECK(block != NULL);
    *to = *from;
    to->ours = lake_is_ours(str_of(from->path));
    to->path = block;
    memcpy(block, from->path, strlen(from->path) + 1);
    to->summaries = (void *)(block + path);
    char *at = block + path + from->summary_count * sizeof *from->summaries;
    for (size_t i = 0; i < from->summary_count; i++) {
        struct lake_summary *s = &to->summaries[i];
        *s = from->summaries[i];
        struct str *bounds[] = {&s->lower, &s->upper};
        for (int b = 0; b < 2; b++) {
            if (bounds[b]->n) memcpy(at, bounds[b]->p, bounds[b]->n);
            bounds[b]->p = at;
            at += bounds[b]->n;
        }
    }
}

static void put_summary(struct buf *b, const struct lake_summary *s)
{
    avro_put_bool(b, s->contains_null);
    avro_put_null_or(b, s->has_nan);
    if (s->has_nan) avro_put_bool(b, s->contains_nan);
    avro_put_null_or(b, s->has_lower);
    if (s->has_lower) avro_put_bytes(b, s->lower);
    avro_put_null_or(b, s->has_upper);
    if (s->has_upper) avro_put_bytes(b, s->upper);
}

static void put_manifest(struct buf *b, const struct lake_manifest *m)
{
    avro_put_bytes(b, str_of(m->path));
    const int64_t numbers[] = {m->length,
                               m->spec_id,
                               m->content,
                               m->sequence_number,
                               m->min_sequence_number,
                               m->added_snapshot_id,
                               m->added_files,
                               m->existing_files,
                               m->deleted_files,
                               m->added_rows,
                               m->existing_rows,
                               m->deleted_rows};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) avro_put_long(b, numbers[i]);
    avro_put_null_or(b, m->has_summaries);
    if (m->has_summaries) {
        if (m->summary_count) avro_put_long(b, (int64_t)m->summary_count);
        for (size_t i = 0; i < m->summary_count; i++) put_summary(b, &m->summaries[i]);
        avro_put_long(b, 0);
    }
    avro_put_null_or(b, false);
}

enum err_code lake_list_write(struct lake *l, struct lake_table *t,
                              const struct lake_manifest *items, size_t count, int64_t snapshot_id,
                              int64_t parent_id, int64_t sequence_number, const char *location,
                              struct err *e)
{
    (void)t;
    char id[24], parent[24] = "null", sequence[24];
    snprintf(id, sizeof id, "%lld", (long long)snapshot_id);
    if (parent_id >= 0) snprintf(parent, sizeof parent, "%lld", (long long)parent_id);
    snprintf(sequence, sizeof sequence, "%lld", (long long)sequence_number);
    const struct avro_meta meta[] = {{"snapshot-id", str_of(id)},
                                     {"parent-snapshot-id", str_of(parent)},
                                     {"sequence-number", str_of(sequence)},
                                     {"format-version", STR("2")}};
    struct avro_writer *w = avro_writer_new(str_of(list_schema), meta, sizeof meta / sizeof *meta);
    for (size_t i = 0; i < count; i++) {
        put_manifest(avro_writer_record(w), &items[i]);
        avro_writer_end_record(w);
    }
    struct str bytes;
    enum err_code code = avro_writer_finish(w, &bytes, e);
    if (code == ERR_OK) code = lake_write_file(l, location, bytes, e);
    avro_writer_free(w);
    return code;
}

static int64_t number(const struct avro_value *v, int64_t absent)
{
    return v && v->kind == AVRO_LONG ? v->number : absent;
}

static void get_summary(const struct avro_value *v, struct lake_summary *ret)
{
    *ret = (struct lake_summary){0};
    const struct avro_value *null = avro_field(v, F_CONTAINS_NULL);
    const struct avro_value *nan = avro_field(v, F_CONTAINS_NAN);
    const struct avro_value *lower = avro_field(v, F_LOWER), *upper = avro_field(v, F_UPPER);
    ret->contains_null = null && null->number;
    ret->has_nan = nan && nan->kind == AVRO_BOOL;
    ret->contains_nan = ret->has_nan && nan->number;
    ret->has_lower = lower && lower->kind == AVRO_BYTES;
    ret->has_upper = upper && upper->kind == AVRO_BYTES;
    if (ret->has_lower) ret->lower = lower->bytes;
    if (ret->has_upper) ret->upper = upper->bytes;
}

static enum err_code get_manifest(const struct avro_value *v, struct lake_manifest *ret,
                                  struct err *e)
{
    struct lake_summary summaries[SUMMARIES_MAX];
    char path[LAKE_LOCATION_MAX];
    const struct avro_value *p = avro_field(v, F_PATH), *list = avro_field(v, F_PARTITIONS);
    if (!p || p->kind != AVRO_BYTES || !str_copy(path, sizeof path, p->bytes))
        return ERR(e, ERR_CORRUPT, "an entry without a manifest path");
    struct lake_manifest m = {
        .path = path,
        .summaries = summaries,
        .length = number(avro_field(v, F_LENGTH), 0),
        .spec_id = (int32_t)number(avro_field(v, F_SPEC), 0),
        .content = (int32_t)number(avro_field(v, F_CONTENT), 0),
        .sequence_number = number(avro_field(v, F_SEQUENCE), 0),
        .min_sequence_number = number(avro_field(v, F_MIN_SEQUENCE), 0),
        .added_snapshot_id = number(avro_field(v, F_ADDED_SNAPSHOT), -1),
        .added_files = number(avro_field(v, F_ADDED_FILES), 0),
        .existing_files = number(avro_field(v, F_EXISTING_FILES), 0),
        .deleted_files = number(avro_field(v, F_DELETED_FILES), 0),
        .added_rows = number(avro_field(v, F_ADDED_ROWS), 0),
        .existing_rows = number(avro_field(v, F_EXISTING_ROWS), 0),
        .deleted_rows = number(avro_field(v, F_DELETED_ROWS), 0),
        .has_summaries = list && list->kind == AVRO_ARRAY,
    };
    if (m.has_summaries && list->count > SUMMARIES_MAX)
        return ERR(e, ERR_CORRUPT, "%zu partition fields, at most %d", list->count, SUMMARIES_MAX);
    for (; m.has_summaries && m.summary_count < list->count; m.summary_count++)
        get_summary(&list->items[m.summary_count], &summaries[m.summary_count]);
    lake_manifest_copy(ret, &m);
    return ERR_OK;
}

enum err_code lake_list_read(struct lake *l, struct str location, struct lake_manifest **ret,
                             size_t *ret_count, struct err *e)
{
    char path[PATH_LIMIT];
    *ret = NULL;
    *ret_count = 0;
    TRY(lake_fetch(l, location, -1, path, e));
    struct buf bytes;
    buf_init(&bytes, LAKE_AVRO_LIMIT);
    struct avro_reader *r = NULL;
    size_t cap = 0;
    enum err_code code = file_read(path, LAKE_AVRO_LIMIT, &bytes, e);
    if (code == ERR_NOT_FOUND) code = ERR(e, ERR_CORRUPT, "manifest list %s: no such file", path);
    if (code == ERR_OK) code = avro_reader_open(buf_str(&bytes), &r, e);
    while (code == ERR_OK) {
        const struct avro_value *v;
        code = avro_reader_next(r, &v, e);
        if (code != ERR_OK) break;
        *ret = array_grown(*ret, *ret_count, &cap, sizeof **ret);
        code = get_manifest(v, &(*ret)[*ret_count], e);
        if (code == ERR_OK && ++*ret_count > MANIFESTS_MAX)
            code = ERR(e, ERR_CORRUPT, "more than %d manifests", MANIFESTS_MAX);
    }
    avro_reader_close(r);
    buf_free(&bytes);
    if (code == ERR_NOT_FOUND) return ERR_OK;
    err_prefix(e, "manifest list %s: ", path);
    for (size_t i = 0; i < *ret_count; i++) lake_manifest_free(&(*ret)[i]);
    free(*ret);
    *ret = NULL;
    *ret_count = 0;
    return code;
}
