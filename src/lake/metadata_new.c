#include "lake/lake_internal.h"

#include <stdio.h>

/* The metadata JSON of a new table. Which key which reader insists on was tried out one by one: none may be left out
 * (docs/formats.md). */

const char *lake_type_text(enum column_type type)
{
    switch (type) {
    case COLUMN_STRING: return "string";
    case COLUMN_DECIMAL: return "decimal(38, 18)";
    case COLUMN_TIME: return "timestamptz";
    case COLUMN_LONG: return "long";
    case COLUMN_BOOLEAN: return "boolean";
    case COLUMN_BINARY: return "binary";
    }
    LAKE_NEVER();
}

static void add_schema(struct buf *b, const struct table *t)
{
    buf_add_cstr(b, "{\"type\":\"struct\",\"schema-id\":0,\"fields\":[");
    for (int i = 0; i < t->column_count; i++) {
        const struct column *c = &t->columns[i];
        buf_addf(b, "%s{\"id\":%d,\"name\":\"%s\",\"required\":%s,\"type\":\"%s\"", i ? "," : "",
                 i + 1, c->name, c->required ? "true" : "false", lake_type_text(c->type));
        if (*c->doc) {
            buf_add_cstr(b, ",\"doc\":");
            buf_add_json(b, str_of(c->doc));
        }
        buf_add_cstr(b, "}");
    }
    buf_add_cstr(b, "]}");
}

static void add_spec(struct buf *b, const struct table *t)
{
    buf_add_cstr(b, "[");
    if (t->day_column >= 0)
        buf_addf(b,
                 "{\"source-id\":%d,\"field-id\":1000,\"transform\":\"day\",\"name\":\"%s_day\"}",
                 t->day_column + 1, t->columns[t->day_column].name);
    buf_add_cstr(b, "]");
}

static void add_sort_order(struct buf *b, const struct table *t)
{
    buf_add_cstr(b, "{\"order-id\":1,\"fields\":[");
    for (int i = 0; i < t->sort_count; i++)
        buf_addf(b,
                 "%s{\"transform\":\"identity\",\"source-id\":%d,\"direction\":\"asc\","
                 "\"null-order\":\"nulls-first\"}",
                 i ? "," : "", t->sort_columns[i] + 1);
    buf_add_cstr(b, "]}");
}

/* Other writers obey these: they write what we write, and keep as few metadata files as we do. */
static void add_properties(struct buf *b, const struct lake *l)
{
    buf_addf(b,
             "{\"write.format.default\":\"parquet\",\"write.parquet.compression-codec\":\"zstd\","
             "\"write.metadata.delete-after-commit.enabled\":\"true\","
             "\"write.metadata.previous-versions-max\":\"%d\","
             "\"write.delete.mode\":\"merge-on-read\",\"write.update.mode\":\"merge-on-read\","
             "\"write.merge.mode\":\"merge-on-read\","
             "\"history.expire.min-snapshots-to-keep\":\"1\",\"created-by\":\"ticklake\"}",
             l->o.metadata_keep);
}

enum err_code lake_metadata_new(struct lake *l, struct lake_table *t, int64_t now_ms, struct buf *b,
                                struct err *e)
{
    char uuid[LAKE_UUID_TEXT];
    lake_uuid(uuid);
    buf_addf(b, "{\"format-version\":2,\"table-uuid\":\"%s\",\"location\":", uuid);
    buf_add_json(b, str_of(t->location));
    buf_addf(b, ",\"last-sequence-number\":0,\"last-updated-ms\":%lld,\"last-column-id\":%d,",
             (long long)now_ms, t->t->column_count);
    buf_add_cstr(b, "\"current-schema-id\":0,\"schemas\":[");
    add_schema(b, t->t);
    buf_add_cstr(b, "],\"default-spec-id\":0,\"partition-specs\":[{\"spec-id\":0,\"fields\":");
    add_spec(b, t->t);
    buf_addf(b, "}],\"last-partition-id\":%d,\"default-sort-order-id\":1,\"sort-orders\":[",
             t->t->day_column >= 0 ? 1000 : 999);
    add_sort_order(b, t->t);
    buf_add_cstr(b, "],\"properties\":");
    add_properties(b, l);
    buf_add_cstr(b, ",\"refs\":{},\"snapshots\":[],\"statistics\":[],\"partition-statistics\":[],"
                    "\"snapshot-log\":[],\"metadata-log\":[]}");
    if (b->failed) return ERR(e, ERR_FULL, "table %s: metadata too large", t->t->name);
    return ERR_OK;
}
