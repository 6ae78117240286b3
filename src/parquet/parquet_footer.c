/* What stands behind the data: column index, offset index, and the footer. Field numbers are
 * parquet.thrift's. */
#include "gen/version.h"
#include "parquet/parquet_internal.h"

/* parquet-mr parses "NAME version N (build B)" and distrusts files of writers that it cannot
 * parse. */
static const char created_by[] = "ticklake version " TICKLAKE_VERSION " (build " TICKLAKE_BUILD ")";

enum boundary_order { UNORDERED, ASCENDING, DESCENDING };

/* Over the pages that have values, as the format wants it; equal bounds are in both orders. */
static enum boundary_order order_of(enum column_type type, const struct parquet_page *pages,
                                    size_t count)
{
    bool up = true, down = true;
    const struct parquet_range *last = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct parquet_range *r = &pages[i].range;
        if (!r->any) continue;
        if (last) {
            int min = bound_cmp(type, &r->min, &last->min),
                max = bound_cmp(type, &r->max, &last->max);
            up &= min >= 0 && max >= 0;
            down &= min <= 0 && max <= 0;
        }
        last = r;
    }
    return up ? ASCENDING : down ? DESCENDING : UNORDERED;
}

static void put_bounds(struct thrift_writer *t, int16_t id, enum column_type type,
                       const struct parquet_page *pages, size_t count)
{
    uint8_t bytes[BOUND_BYTES + 4];
    bool upper = id == 3, exact;
    thrift_put_list(t, id, THRIFT_BINARY, count);
    for (size_t i = 0; i < count; i++) {
        const struct parquet_range *r = &pages[i].range;
        struct str s = {"", 0};
        if (r->any) s = bound_bytes(type, upper ? &r->max : &r->min, upper, bytes, &exact);
        thrift_add_bytes(t, s);
    }
}

static void put_column_index(struct buf *out, enum column_type type,
                             const struct parquet_page *pages, size_t count)
{
    struct thrift_writer t;
    thrift_start(&t, out);
    thrift_put_list(&t, 1, THRIFT_TRUE, count);
    for (size_t i = 0; i < count; i++) thrift_add_bool(&t, !pages[i].range.any);
    put_bounds(&t, 2, type, pages, count);
    put_bounds(&t, 3, type, pages, count);
    thrift_put_i32(&t, 4, order_of(type, pages, count));
    thrift_put_list(&t, 5, THRIFT_I64, count);
    for (size_t i = 0; i < count; i++) thrift_add_int(&t, pages[i].nulls);
    thrift_end(&t);
}

static void put_offset_index(struct buf *out, const struct parquet_page *pages, size_t count)
{
    struct thrift_writer t;
    thrift_start(&t, out);
    thrift_put_list(&t, 1, THRIFT_STRUCT, count);
    for (size_t i = 0; i < count; i++) {
        thrift_add_struct(&t);
        thrift_put_i64(&t, 1, pages[i].offset);
        thrift_put_i32(&t, 2, pages[i].bytes);
        thrift_put_i64(&t, 3, pages[i].first_row);
        thrift_end(&t);
    }
    thrift_end(&t);
}

/* Offsets are relative to the start of w->indexes until the footer is written. */
void writer_index(struct parquet_writer *w, int column, const struct parquet_page *pages,
                  size_t count, struct parquet_chunk_meta *m)
{
    m->column_index_offset = (int64_t)w->indexes.len;
    put_column_index(&w->indexes, w->columns[column].type, pages, count);
    m->column_index_bytes = (int32_t)((int64_t)w->indexes.len - m->column_index_offset);
    m->offset_index_offset = (int64_t)w->indexes.len;
    put_offset_index(&w->indexes, pages, count);
    m->offset_index_bytes = (int32_t)((int64_t)w->indexes.len - m->offset_index_offset);
}

/* ---- footer ---------------------------------------------------------------------------------- */

static enum parquet_physical physical_of(enum column_type type)
{
    switch (type) {
    case COLUMN_STRING:
    case COLUMN_BINARY: return PHYSICAL_BYTE_ARRAY;
    case COLUMN_DECIMAL: return PHYSICAL_FIXED;
    case COLUMN_BOOLEAN: return PHYSICAL_BOOLEAN;
    default: return PHYSICAL_INT64;
    }
}

/* Readers of different age look at the converted or at the logical type, so both are told. */
static void put_logical(struct thrift_writer *t, enum column_type type)
{
    thrift_put_struct(t, 10);
    if (type == COLUMN_STRING) {
        thrift_put_struct(t, 1);
    } else if (type == COLUMN_DECIMAL) {
        thrift_put_struct(t, 5);
        thrift_put_i32(t, 1, DEC_SCALE_MAX);
        thrift_put_i32(t, 2, 38);
    } else {
        thrift_put_struct(t, 8);
        thrift_put_bool(t, 1, true);
        thrift_put_struct(t, 2);
        thrift_put_struct(t, 2); /* MICROS */
        thrift_end(t);
        thrift_end(t);
    }
    thrift_end(t);
    thrift_end(t);
}

static void put_schema_column(struct thrift_writer *t, const struct parquet_column *c)
{
    thrift_add_struct(t);
    thrift_put_i32(t, 1, physical_of(c->type));
    if (c->type == COLUMN_DECIMAL) thrift_put_i32(t, 2, DECIMAL_BYTES);
    thrift_put_i32(t, 3, c->required ? 0 : 1);
    thrift_put_bytes(t, 4, str_of(c->name));
    if (c->type == COLUMN_STRING) thrift_put_i32(t, 6, 0);
    if (c->type == COLUMN_DECIMAL) thrift_put_i32(t, 6, 5);
    if (c->type == COLUMN_TIME) thrift_put_i32(t, 6, 10);
    if (c->type == COLUMN_DECIMAL) {
        thrift_put_i32(t, 7, DEC_SCALE_MAX);
        thrift_put_i32(t, 8, 38);
    }
    thrift_put_i32(t, 9, c->field_id);
    if (c->type == COLUMN_STRING || c->type == COLUMN_DECIMAL || c->type == COLUMN_TIME)
        put_logical(t, c->type);
    thrift_end(t);
}

static void put_schema(struct thrift_writer *t, const struct parquet_writer *w)
{
    thrift_put_list(t, 2, THRIFT_STRUCT, (size_t)w->column_count + 1);
    thrift_add_struct(t);
    thrift_put_bytes(t, 4, STR("table"));
    thrift_put_i32(t, 5, w->column_count);
    thrift_end(t);
    for (int i = 0; i < w->column_count; i++) put_schema_column(t, &w->columns[i]);
}

static void put_statistics(struct thrift_writer *t, const struct parquet_writer *w,
                           const struct parquet_chunk_meta *m)
{
    const char *bounds = (const char *)w->bounds.data;
    thrift_put_struct(t, 12);
    thrift_put_i64(t, 3, m->nulls);
    if (m->has_range) {
        thrift_put_bytes(t, 5, (struct str){bounds + m->max_at, m->max_len});
        thrift_put_bytes(t, 6, (struct str){bounds + m->min_at, m->min_len});
        thrift_put_bool(t, 7, m->max_exact);
        thrift_put_bool(t, 8, m->min_exact);
    }
    thrift_end(t);
}

static void put_page_count(struct thrift_writer *t, enum parquet_page_type type,
                           enum parquet_encoding encoding, int32_t count)
{
    thrift_add_struct(t);
    thrift_put_i32(t, 1, type);
    thrift_put_i32(t, 2, encoding);
    thrift_put_i32(t, 3, count);
    thrift_end(t);
}

/* Lets readers see whether every page has the dictionary, and so filter by it alone. */
static void put_encoding_stats(struct thrift_writer *t, const struct parquet_chunk_meta *m)
{
    bool dictionary = m->dictionary_offset != 0;
    int32_t others = m->pages - m->dictionary_pages;
    thrift_put_list(t, 13, THRIFT_STRUCT,
                    (size_t)dictionary + (m->dictionary_pages > 0) + (others > 0));
    if (dictionary) put_page_count(t, PAGE_DICTIONARY, ENCODING_PLAIN, 1);
    if (m->dictionary_pages > 0)
        put_page_count(t, PAGE_DATA, ENCODING_RLE_DICTIONARY, m->dictionary_pages);
    if (others > 0) put_page_count(t, PAGE_DATA, m->encoding, others);
}

/* Each once: RLE for the levels, PLAIN for the dictionary, and what the pages have. */
static void put_encodings(struct thrift_writer *t, const struct parquet_chunk_meta *m)
{
    bool dictionary = m->dictionary_offset != 0, others = m->pages > m->dictionary_pages;
    others = others && !(dictionary && m->encoding == ENCODING_PLAIN);
    thrift_put_list(t, 2, THRIFT_I32, 1 + (size_t)dictionary + (m->dictionary_pages > 0) + others);
    thrift_add_int(t, ENCODING_RLE);
    if (dictionary) thrift_add_int(t, ENCODING_PLAIN);
    if (m->dictionary_pages > 0) thrift_add_int(t, ENCODING_RLE_DICTIONARY);
    if (others) thrift_add_int(t, m->encoding);
}

static void put_chunk_meta(struct thrift_writer *t, const struct parquet_writer *w,
                           const struct parquet_column *c, const struct parquet_chunk_meta *m)
{
    bool dictionary = m->dictionary_offset != 0;
    thrift_put_struct(t, 3);
    thrift_put_i32(t, 1, physical_of(c->type));
    put_encodings(t, m);
    thrift_put_list(t, 3, THRIFT_BINARY, 1);
    thrift_add_bytes(t, str_of(c->name));
    thrift_put_i32(t, 4, m->codec);
    thrift_put_i64(t, 5, m->values);
    thrift_put_i64(t, 6, m->uncompressed);
    thrift_put_i64(t, 7, m->compressed);
    thrift_put_i64(t, 9, m->data_offset);
    if (dictionary) thrift_put_i64(t, 11, m->dictionary_offset);
    put_statistics(t, w, m);
    put_encoding_stats(t, m);
    thrift_end(t);
}

static void put_group(struct thrift_writer *t, const struct parquet_writer *w, size_t group,
                      int64_t index_base)
{
    const struct parquet_group_meta *g = &w->groups[group];
    thrift_add_struct(t);
    thrift_put_list(t, 1, THRIFT_STRUCT, (size_t)w->column_count);
    for (int i = 0; i < w->column_count; i++) {
        const struct parquet_chunk_meta *m =
            &w->chunks[group * (size_t)w->column_count + (size_t)i];
        thrift_add_struct(t);
        thrift_put_i64(t, 2, 0); /* deprecated, and still required */
        put_chunk_meta(t, w, &w->columns[i], m);
        thrift_put_i64(t, 4, index_base + m->offset_index_offset);
        thrift_put_i32(t, 5, m->offset_index_bytes);
        thrift_put_i64(t, 6, index_base + m->column_index_offset);
        thrift_put_i32(t, 7, m->column_index_bytes);
        thrift_end(t);
    }
    thrift_put_i64(t, 2, g->uncompressed);
    thrift_put_i64(t, 3, g->rows);
    if (w->sort_count > 0) thrift_put_list(t, 4, THRIFT_STRUCT, (size_t)w->sort_count);
    for (int i = 0; i < w->sort_count; i++) {
        thrift_add_struct(t);
        thrift_put_i32(t, 1, w->sort_columns[i]);
        thrift_put_bool(t, 2, false); /* ascending */
        thrift_put_bool(t, 3, true);  /* nulls first */
        thrift_end(t);
    }
    thrift_put_i64(t, 5, g->offset);
    thrift_put_i64(t, 6, g->compressed);
    if (group <= INT16_MAX) thrift_put_i16(t, 7, (int16_t)group);
    thrift_end(t);
}

void writer_footer(struct parquet_writer *w, struct buf *out)
{
    int64_t index_base = (int64_t)w->offset;
    buf_add_str(out, buf_str(&w->indexes));
    size_t start = out->len;
    struct thrift_writer t;
    thrift_start(&t, out);
    thrift_put_i32(&t, 1, 2);
    put_schema(&t, w);
    thrift_put_i64(&t, 3, w->rows);
    thrift_put_list(&t, 4, THRIFT_STRUCT, w->group_count);
    for (size_t i = 0; i < w->group_count; i++) put_group(&t, w, i, index_base);
    thrift_put_bytes(&t, 6, str_of(created_by));
    /* Without column orders readers ignore min_value and max_value. */
    thrift_put_list(&t, 7, THRIFT_STRUCT, (size_t)w->column_count);
    for (int i = 0; i < w->column_count; i++) {
        thrift_add_struct(&t);
        thrift_put_struct(&t, 1);
        thrift_end(&t);
        thrift_end(&t);
    }
    thrift_end(&t);
    uint32_t len = (uint32_t)(out->len - start);
    buf_add(out, &len, sizeof len);
    buf_add_cstr(out, "PAR1");
}
