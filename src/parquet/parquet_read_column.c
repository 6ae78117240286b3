/* One column of one row group, page by page, into whole arrays. */
#include "parquet/parquet_reader.h"

/* ---- data pages ------------------------------------------------------------------------------ */

/* Takes the definition levels off the front of *body; *ret_count: rows with a value. */
static enum err_code read_levels(struct read_job *j, const struct read_page *p, size_t n,
                                 struct str *body, size_t *ret_count)
{
    *ret_count = n;
    bool v2 = p->type == PAGE_DATA_V2;
    uint32_t len = v2 ? (uint32_t)p->levels_bytes : 0, head = v2 ? 0 : 4;
    if (v2 && p->repetition_bytes != 0)
        return read_damaged(j, "repetition levels in a flat column");
    if (!j->c->optional) {
        *body = (struct str){body->p + len, body->n - len};
        return ERR_OK;
    }
    if (p->levels_encoding != ENCODING_RLE)
        return read_foreign(j, "levels in encoding", p->levels_encoding);
    if (body->n < head) return read_damaged(j, "no levels");
    if (!v2) memcpy(&len, body->p, 4);
    if (len > body->n - head) return read_damaged(j, "levels longer than the page");
    uint32_t *levels = j->r->codes = scratch(j->r->codes, &j->r->codes_cap, n, sizeof(uint32_t));
    if (!decode_hybrid((struct str){body->p + head, len}, 1, levels, n))
        return read_damaged(j, "cut levels");
    *body = (struct str){body->p + head + len, body->n - head - len};
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += levels[i] & 1;
    *ret_count = count;
    if (count == n && !j->present) return ERR_OK;
    if (!j->present) {
        j->present = arena_alloc(&j->r->memory, j->rows + 1);
        if (!j->present)
            return read_foreign(j, "more rows than this reader's limit:", (int64_t)j->rows);
        memset(j->present, 1, j->rows);
    }
    for (size_t i = 0; i < n; i++) j->present[j->row + i] = levels[i] & 1;
    return ERR_OK;
}

#define SPREAD(type)                                                                               \
    for (size_t i = n; i-- > 0;) ((type *)to)[i] = present[i] ? ((type *)to)[--count] : (type){0};

/* `count` values at the front of `to` move to the rows that have one; from the end, so in place. */
static void spread(enum column_type type, void *to, const uint8_t *present, size_t n, size_t count)
{
    if (type_is_text(type)) {
        SPREAD(struct str)
    } else if (type == COLUMN_DECIMAL) {
        SPREAD(i128)
    } else if (type == COLUMN_BOOLEAN) {
        SPREAD(uint8_t)
    } else {
        SPREAD(int64_t)
    }
}

static enum err_code read_data(struct read_job *j, const struct read_page *p, struct str body)
{
    if (p->values < 0 || (uint64_t)p->values > j->rows - j->row)
        return read_damaged(j, "more values than rows");
    size_t n = (size_t)p->values, count;
    TRY(read_levels(j, p, n, &body, &count));
    uint8_t *to = (uint8_t *)j->values + j->row * type_size(j->type);
    TRY(read_values(j, p->encoding, body, to, count));
    if (j->present && count < n) spread(j->type, to, j->present + j->row, n, count);
    j->row += n;
    return ERR_OK;
}

static enum err_code read_pages(struct read_job *j, struct str chunk)
{
    const uint8_t *p = (const uint8_t *)chunk.p, *end = p + chunk.n;
    for (; j->row < j->rows; j->page++) {
        struct read_page page;
        if (!read_page_header(&p, end, &page))
            return read_damaged(j, "a page header that cannot be read");
        struct str packed = {(const char *)p, (size_t)page.packed}, body;
        p += page.packed;
        bool v2 = page.type == PAGE_DATA_V2;
        if (page.type != PAGE_DATA && page.type != PAGE_DICTIONARY && !v2)
            continue; /* the format says: skip */
        size_t keep = 0;
        if (v2 && (page.levels_bytes < 0 || page.repetition_bytes < 0 ||
                   page.levels_bytes > page.unpacked))
            return read_damaged(j, "levels longer than the page");
        if (v2) keep = (size_t)page.levels_bytes;
        if (v2 && !page.v2_packed) keep = packed.n;
        TRY(read_unpack(j, packed, keep, (size_t)page.unpacked, &body));
        TRY(page.type == PAGE_DICTIONARY ? read_dictionary(j, &page, body)
                                         : read_data(j, &page, body));
    }
    return ERR_OK;
}

/* ---- the column ------------------------------------------------------------------------------ */

/* NULL, or why the column cannot be read as that type. */
static const char *type_problem(const struct read_column *c, enum column_type type)
{
    bool integer = c->physical == PHYSICAL_INT64 || c->physical == PHYSICAL_INT32;
    if (c->nested) return "a nested column, physical type";
    switch (type) {
    case COLUMN_STRING:
    case COLUMN_BINARY:
        return c->physical == PHYSICAL_BYTE_ARRAY && c->converted != CONVERTED_DECIMAL
                   ? NULL
                   : "no text, physical type";
    case COLUMN_DECIMAL:
        if (!integer && c->physical != PHYSICAL_FIXED) return "no decimal, physical type";
        if (c->physical == PHYSICAL_FIXED && (c->type_length < 1 || c->type_length > DECIMAL_BYTES))
            return "a decimal of more than 16 bytes, physical type";
        return c->converted == CONVERTED_DECIMAL && c->scale == DEC_SCALE_MAX
                   ? NULL
                   : "no decimal of scale 18, physical type";
    case COLUMN_TIME:
        if (c->physical != PHYSICAL_INT64 || c->nanos_or_millis)
            return "no time in microseconds, physical type";
        return c->micros || c->converted == CONVERTED_MICROS
                   ? NULL
                   : "no time in microseconds, physical type";
    case COLUMN_BOOLEAN:
        return c->physical == PHYSICAL_BOOLEAN ? NULL : "no boolean, physical type";
    default:
        if (!integer || c->other_logical || c->micros || c->nanos_or_millis)
            return "no integer, physical type";
        return c->converted < 0 || c->converted == CONVERTED_INT64 ||
                       c->converted == CONVERTED_INT32
                   ? NULL
                   : "no integer, physical type";
    }
}

static enum err_code check_chunk(struct read_job *j, uint64_t *ret_offset)
{
    const struct read_chunk *c = j->chunk;
    const char *problem = type_problem(j->c, j->type);
    if (problem) return read_foreign(j, problem, j->c->physical);
    if (c->elsewhere) return read_foreign(j, "encrypted or in another file, codec", c->codec);
    if (c->codec != CODEC_NONE && c->codec != CODEC_GZIP && c->codec != CODEC_ZSTD)
        return read_foreign(j, c->codec == CODEC_SNAPPY ? "compressed with snappy, codec" : "codec",
                            c->codec);
    if (j->rows > GROUP_ROWS_MAX)
        return read_foreign(j, "more rows in a row group than the limit:", (int64_t)j->rows);
    if (c->compressed > CHUNK_BYTES_MAX)
        return read_foreign(j, "a column of more bytes than the limit:", c->compressed);
    if (c->physical != j->c->physical || c->values != (int64_t)j->rows)
        return read_damaged(j, "the footer contradicts itself about type or rows");
    *ret_offset = 0;
    if (j->rows == 0) return ERR_OK; /* pyarrow's empty row groups have no pages and no place */
    bool dictionary_first = c->dictionary_offset > 0 && c->dictionary_offset < c->data_offset;
    int64_t offset = dictionary_first ? c->dictionary_offset : c->data_offset;
    if (offset < 4 || c->compressed < 0 || (uint64_t)offset > j->r->footer_start ||
        (uint64_t)c->compressed > j->r->footer_start - (uint64_t)offset)
        return read_damaged(j, "the footer says that it lies outside of the file");
    *ret_offset = (uint64_t)offset;
    return ERR_OK;
}

static enum err_code read_column(struct read_job *j, struct parquet_chunk *ret)
{
    struct parquet_reader *r = j->r;
    uint64_t offset = 0;
    TRY(check_chunk(j, &offset));
    size_t len = j->rows ? (size_t)j->chunk->compressed : 0;
    buf_reset(&r->raw);
    uint8_t *raw = buf_room(&r->raw, len);
    CHECK(raw != NULL);
    TRY(reader_bytes(r, offset, len, raw, j->e));
    j->values = arena_alloc(&r->memory, (j->rows + 1) * type_size(j->type));
    if (!j->values)
        return read_foreign(j, "more rows than this reader's memory:", (int64_t)j->rows);
    TRY(read_pages(j, (struct str){(const char *)raw, len}));
    *ret = (struct parquet_chunk){.rows = j->rows, .present = j->present, .strings = j->values};
    return ERR_OK;
}

enum err_code parquet_reader_read(struct parquet_reader *r, int group, int column,
                                  enum column_type type, struct parquet_chunk *ret, struct err *e)
{
    CHECK(group >= 0 && (size_t)group < r->group_count);
    CHECK(column >= 0 && (size_t)column < r->column_count);
    if (group != r->current_group) {
        /* Not reset: one big row group must not keep its memory for the small ones behind. */
        arena_free(&r->memory);
        r->current_group = group;
    }
    struct read_job j = {.r = r,
                         .group = group,
                         .column = column,
                         .c = &r->columns[column],
                         .chunk = &r->groups[group].chunks[column],
                         .type = type,
                         .rows = (size_t)r->groups[group].rows,
                         .e = e};
    return read_column(&j, ret);
}
