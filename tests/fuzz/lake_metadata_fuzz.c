/* What another program may leave in a table: metadata JSON, manifest lists, manifests. The first byte says which, and of
 * which table; whatever follows, nothing may crash, and what was read must take a snapshot of ours. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lake/lake_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err_code one_entry(void *ctx, const struct lake_entry *entry, struct err *e)
{
    (void)e;
    lake_index_add(ctx, entry, 1, true);
    return ERR_OK;
}

static enum err_code one_location(void *ctx, bool is_list, struct str location, struct err *e)
{
    (void)e;
    *(size_t *)ctx += location.n + is_list;
    return ERR_OK;
}

/* Two fields of somebody's schema; what comes out must be a table of ours that has them. */
static void add_columns(struct lake *l, struct lake_table *t)
{
    struct err e;
    struct buf made;
    size_t added = 0;
    static char note[] = "note", fee[] = "fee", from[] = "x";
    struct lake_wanted_extra wanted[] = {
        {.name = note, .from = from, .type = COLUMN_STRING, .used = true},
        {.name = fee, .from = from, .type = COLUMN_DECIMAL, .used = true}};
    struct lake_extra_rows *rows = &l->extras[t->t->id];
    *rows = (struct lake_extra_rows){.wanted = wanted, .wanted_count = 2};
    buf_init(&made, LAKE_JSON_LIMIT);
    if (lake_metadata_add_columns(l, t, &made, &added, &e) == ERR_OK && added) {
        buf_reset(&t->metadata);
        buf_add_str(&t->metadata, buf_str(&made));
        CHECK(lake_metadata_parse(t, &e) == ERR_OK && t->absent == 0);
        for (int i = 0; i < 2; i++)
            CHECK(wanted[i].dropped || lake_extra_by_name(t, wanted[i].name) != NULL);
    }
    *rows = (struct lake_extra_rows){0};
    buf_free(&made);
}

static void try_metadata(struct lake *l, struct lake_table *t, struct str json)
{
    struct err e;
    size_t sum = 0;
    buf_add_str(&t->metadata, json);
    if (lake_metadata_parse(t, &e) != ERR_OK) return;
    if (lake_metadata_each_location(t, one_location, &sum, &e) != ERR_OK) return;
    struct lake_change c;
    struct buf made;
    buf_init(&made, LAKE_JSON_LIMIT);
    lake_change_init(&c, t, "append", 1, INT64_C(1700000000) * NS_PER_S);
    c.next.sequence_number = t->last_sequence_number;
    if (lake_metadata_add_snapshot(l, &c, &made, &e) != ERR_OK) made.len = 0;
    lake_change_done(&c);
    add_columns(l, t);
    buf_free(&made);
}

static void try_avro(struct lake *l, struct lake_table *t, struct str bytes)
{
    struct err e;
    char path[64];
    snprintf(path, sizeof path, "/dev/shm/ticklake-fuzz-%ld", (long)getpid());
    FILE *f = fopen(path, "wb");
    if (!f) return;
    fwrite(bytes.p, 1, bytes.n, f);
    fclose(f);
    struct lake_manifest *items = NULL, m = {.path = path};
    size_t count = 0;
    if (lake_list_read(l, str_of(path), &items, &count, &e) == ERR_OK)
        for (size_t i = 0; i < count; i++) lake_manifest_free(&items[i]);
    free(items);
    if (lake_manifest_read(l, &m, one_entry, t, &e) != ERR_OK) t->dirty = true;
    remove(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct lake *l = calloc(1, sizeof *l);
    CHECK(l != NULL);
    l->o.snapshots_keep = 2;
    l->o.metadata_keep = 2;
    struct lake_table *t = &l->tables[0];
    *t = (struct lake_table){.t = table_of((enum table_id)(data[0] / 2 % TABLE_MAX)),
                             .metadata_location = strdup("/x/00001-y.metadata.json"),
                             .snapshot_id = -1,
                             .next_serial = 1};
    buf_init(&t->metadata, LAKE_JSON_LIMIT);
    struct str rest = {(const char *)data + 1, size - 1};
    if (data[0] % 2)
        try_avro(l, t, rest);
    else
        try_metadata(l, t, rest);
    lake_table_done(t);
    free(l);
    return 0;
}
