/* One column of one row group: gaps out, dictionary or not, pages, indexes. */
#include "parquet/parquet_internal.h"

#include <zstd.h>

struct job {
    struct parquet_writer *w;
    const struct parquet_column *column;
    const struct parquet_values *values;
    size_t rows;
    struct parquet_dense dense;
    size_t covered;                 /* values, from the first, that have a dictionary code */
    enum parquet_encoding encoding; /* of the pages behind them */
    struct parquet_chunk_meta *meta;
    size_t page_count;
};

/* ---- without gaps ---------------------------------------------------------------------------- */

static size_t value_size(const struct parquet_column *c)
{
    switch (c->type) {
    case COLUMN_STRING:
    case COLUMN_BINARY: return sizeof(struct str);
    case COLUMN_DECIMAL: return sizeof(i128);
    case COLUMN_BOOLEAN: return 1;
    default: return sizeof(int64_t);
    }
}

static size_t count_present(const uint8_t *present, size_t from, size_t to)
{
    size_t n = 0;
    for (size_t i = from; i < to; i++) n += present[i] != 0;
    return n;
}

#define COMPACT(type, to, from)                                                                    \
    for (size_t i = 0, k = 0; i < rows; i++) {                                                     \
        ((type *)(to))[k] = (from)[i];                                                             \
        k += present[i] != 0;                                                                      \
    }

/* The absent rows' slots are copied and overwritten by the next: no branch to mispredict. The
 * array has one to spare. */
static void compact(const struct parquet_values *v, const struct parquet_column *c, size_t rows,
                    void *to)
{
    const uint8_t *present = v->present;
    switch (c->type) {
    case COLUMN_STRING:
    case COLUMN_BINARY: COMPACT(struct str, to, v->strings) return;
    case COLUMN_DECIMAL: COMPACT(i128, to, v->decimals) return;
    case COLUMN_BOOLEAN: COMPACT(uint8_t, to, v->booleans) return;
    default: COMPACT(int64_t, to, v->longs)
    }
}

static void make_dense(struct job *j)
{
    const struct parquet_values *v = j->values;
    struct parquet_writer *w = j->w;
    struct parquet_dense *d = &j->dense;
    d->type = j->column->type;
    d->n = v->present ? count_present(v->present, 0, j->rows) : j->rows;
    if (v->dictionary || d->n == 0) return;
    const void *array = v->strings; /* whichever it is: a union of pointers */
    if (d->n < j->rows) {
        w->dense = scratch(w->dense, &w->dense_cap, (j->rows + 1) * value_size(j->column), 1);
        compact(v, j->column, j->rows, w->dense);
        array = w->dense;
    }
    switch (d->type) {
    case COLUMN_STRING:
    case COLUMN_BINARY: d->strings = array; break;
    case COLUMN_DECIMAL: d->decimals = array; break;
    case COLUMN_BOOLEAN: d->booleans = array; break;
    default: d->longs = array;
    }
}

/* ---- pages ----------------------------------------------------------------------------------- */

static enum err_code compress_page(struct job *j, struct str *ret, struct err *e)
{
    struct parquet_writer *w = j->w;
    if (w->page.failed || w->page.len > INT32_MAX)
        return ERR(e, ERR_FULL, "parquet column %s: a page is over 2 GiB", j->column->name);
    buf_reset(&w->packed);
    size_t room = ZSTD_compressBound(w->page.len);
    uint8_t *to = buf_room(&w->packed, room);
    if (!to) return ERR(e, ERR_FULL, "parquet column %s: a page is over 2 GiB", j->column->name);
    size_t n = ZSTD_compress2(w->zstd, to, room, w->page.data, w->page.len);
    if (ZSTD_isError(n))
        return ERR(e, ERR_INTERNAL, "zstd, column %s: %s", j->column->name, ZSTD_getErrorName(n));
    w->packed.len = n;
    *ret = buf_str(&w->packed);
    return ERR_OK;
}

static void page_header(struct job *j, enum parquet_encoding encoding, size_t values, size_t packed)
{
    struct parquet_writer *w = j->w;
    struct thrift_writer t;
    buf_reset(&w->header);
    thrift_start(&t, &w->header);
    thrift_put_i32(&t, 1, PAGE_DATA);
    thrift_put_i32(&t, 2, (int32_t)w->page.len);
    thrift_put_i32(&t, 3, (int32_t)packed);
    thrift_put_struct(&t, 5);
    thrift_put_i32(&t, 1, (int32_t)values);
    thrift_put_i32(&t, 2, encoding);
    thrift_put_i32(&t, 3, ENCODING_RLE);
    thrift_put_i32(&t, 4, ENCODING_RLE);
    thrift_end(&t);
    thrift_end(&t);
}

static void dictionary_header(struct job *j, size_t entries, size_t packed)
{
    struct parquet_writer *w = j->w;
    struct thrift_writer t;
    buf_reset(&w->header);
    thrift_start(&t, &w->header);
    thrift_put_i32(&t, 1, PAGE_DICTIONARY);
    thrift_put_i32(&t, 2, (int32_t)w->page.len);
    thrift_put_i32(&t, 3, (int32_t)packed);
    thrift_put_struct(&t, 7);
    thrift_put_i32(&t, 1, (int32_t)entries);
    thrift_put_i32(&t, 2, ENCODING_PLAIN);
    thrift_end(&t);
    thrift_end(&t);
}

/* Puts out w->header and the packed body. */
static enum err_code put_page(struct job *j, struct str packed, int64_t *ret_offset,
                              int32_t *ret_bytes, struct err *e)
{
    struct parquet_writer *w = j->w;
    buf_add_str(&w->out, buf_str(&w->header));
    buf_add_str(&w->out, packed);
    size_t bytes = w->header.len + packed.n;
    if (w->out.failed || bytes > INT32_MAX)
        return ERR(e, ERR_FULL, "parquet column %s: a page is over 2 GiB", j->column->name);
    *ret_offset = (int64_t)w->offset;
    *ret_bytes = (int32_t)bytes;
    w->offset += bytes;
    j->meta->compressed += (int64_t)bytes;
    j->meta->uncompressed += (int64_t)(w->header.len + w->page.len);
    return writer_flush(w, e);
}

/* A page is coded when the dictionary covers all of it: `to` is the value behind its last. */
static bool is_coded(const struct job *j, size_t to) { return j->covered > 0 && to <= j->covered; }

/* Codes are dense in order of appearance, so the early pages of a column get by with fewer bits. */
static void encode_codes(struct buf *out, const uint32_t *codes, size_t n)
{
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) most = codes[i] > most ? codes[i] : most;
    int width = most ? bits_for(most) : 1; /* some readers refuse a width of 0 */
    buf_add_byte(out, (uint8_t)width);
    encode_hybrid(out, codes, n, width);
}

static void encode_values(struct job *j, size_t from, size_t to)
{
    struct buf *out = &j->w->page;
    const struct parquet_dense *d = &j->dense;
    size_t n = to - from;
    if (is_coded(j, to)) {
        encode_codes(out, j->w->dictionary.codes + from, n);
    } else if (j->encoding == ENCODING_DELTA_BINARY_PACKED) {
        encode_delta(out, d->longs + from, n);
    } else if (j->encoding == ENCODING_DELTA_BYTE_ARRAY) {
        j->w->lengths = scratch(j->w->lengths, &j->w->lengths_cap, 2 * n, sizeof(int64_t));
        encode_delta_strings(out, d->strings ? d->strings + from : NULL, n, j->w->lengths);
    } else if (n == 0) {
        return;
    } else if (d->strings) {
        encode_plain_strings(out, d->strings + from, n);
    } else if (d->decimals) {
        encode_plain_decimals(out, d->decimals + from, n);
    } else if (d->booleans) {
        encode_plain_booleans(out, d->booleans + from, n);
    }
}

/* The row after the last of the page that starts at `row`; *ret_values: how many of them have a
 * value. */
static size_t page_end(const struct job *j, size_t row, size_t value, size_t *ret_values)
{
    const uint8_t *present = j->values->present;
    size_t end = j->rows - row > j->w->page_rows ? row + j->w->page_rows : j->rows;
    if (!j->dense.strings) {
        *ret_values = present ? count_present(present, row, end) : end - row;
        return end;
    }
    size_t bytes = 0, n = 0, i = row;
    for (; i < end && bytes < PAGE_BYTES; i++) {
        if (present && !present[i]) continue;
        bytes += j->dense.strings[value + n].n;
        n++;
    }
    *ret_values = n;
    return i;
}

static struct parquet_page *new_page(struct job *j)
{
    struct parquet_writer *w = j->w;
    w->pages = array_grown(w->pages, j->page_count, &w->pages_cap, sizeof *w->pages);
    return &w->pages[j->page_count++];
}

static enum err_code put_data_pages(struct job *j, struct err *e)
{
    struct parquet_writer *w = j->w;
    size_t value = 0;
    for (size_t row = 0; row < j->rows;) {
        size_t n, end = page_end(j, row, value, &n);
        buf_reset(&w->page);
        const uint8_t *present = n == end - row ? NULL : j->values->present + row;
        if (!j->column->required) {
            w->levels = scratch(w->levels, &w->levels_cap, end - row, sizeof *w->levels);
            encode_levels(&w->page, present, end - row, w->levels);
        }
        encode_values(j, value, value + n);
        struct parquet_page *p = new_page(j);
        p->first_row = (int64_t)row;
        p->rows = (int64_t)(end - row);
        p->nulls = (int64_t)(end - row - n);
        bool coded = is_coded(j, value + n);
        p->range = coded ? range_of_codes(&w->dictionary, value, value + n, w->stamps,
                                          (uint32_t)j->page_count)
                         : range_of_values(&j->dense, value, value + n);
        j->meta->dictionary_pages += coded;
        struct str packed;
        TRY(compress_page(j, &packed, e));
        page_header(j, coded ? ENCODING_RLE_DICTIONARY : j->encoding, end - row, packed.n);
        TRY(put_page(j, packed, &p->offset, &p->bytes, e));
        row = end;
        value += n;
    }
    return ERR_OK;
}

static enum err_code put_dictionary(struct job *j, struct err *e)
{
    struct parquet_writer *w = j->w;
    const struct parquet_dictionary *d = &w->dictionary;
    buf_reset(&w->page);
    dictionary_encode(d, &w->page);
    struct str packed;
    int32_t bytes;
    TRY(compress_page(j, &packed, e));
    dictionary_header(j, d->count, packed.n);
    TRY(put_page(j, packed, &j->meta->dictionary_offset, &bytes, e));
    w->stamps = scratch(w->stamps, &w->stamps_cap, d->count, sizeof *w->stamps);
    memset(w->stamps, 0, d->count * sizeof *w->stamps);
    return ERR_OK;
}

/* ---- the column ------------------------------------------------------------------------------ */

static enum err_code check_values(const struct job *j, struct err *e)
{
    const struct parquet_values *v = j->values;
    const struct parquet_column *c = j->column;
    if (c->required && j->dense.n != j->rows)
        return ERR(e, ERR_INTERNAL,
                   "parquet column %s: required, and %zu of %zu rows have no value", c->name,
                   j->rows - j->dense.n, j->rows);
    CHECK(!v->dictionary || c->type == COLUMN_STRING);
    for (size_t i = 0; j->dense.strings && i < j->dense.n; i++)
        if (j->dense.strings[i].n > VALUE_BYTES_MAX)
            return ERR(e, ERR_FULL, "parquet column %s: a value of %zu bytes, limit %d", c->name,
                       j->dense.strings[i].n, VALUE_BYTES_MAX);
    return ERR_OK;
}

static void choose_encoding(struct job *j)
{
    const struct parquet_column *c = j->column;
    j->encoding = ENCODING_PLAIN;
    if (j->dense.n == 0) return; /* nothing but levels: the form that every reader takes */
    if (j->values->dictionary) {
        dictionary_from_codes(&j->w->dictionary, j->values, j->rows);
        j->covered = j->dense.n;
    } else if (c->try_dictionary && c->type != COLUMN_BOOLEAN) {
        j->covered = dictionary_build(&j->w->dictionary, &j->dense);
        /* Full before the first page is: no page would be coded. */
        if (j->covered < j->dense.n && j->covered < j->w->page_rows) j->covered = 0;
    }
    if (j->dense.longs) j->encoding = ENCODING_DELTA_BINARY_PACKED;
    if (c->type == COLUMN_STRING) j->encoding = ENCODING_DELTA_BYTE_ARRAY;
}

static void put_range(struct parquet_writer *w, enum column_type type,
                      const struct parquet_range *r, struct parquet_chunk_meta *m)
{
    uint8_t bytes[BOUND_BYTES + 4];
    m->has_range = r->any;
    if (!r->any) return;
    struct str s = bound_bytes(type, &r->min, false, bytes, &m->min_exact);
    m->min_at = (uint32_t)w->bounds.len;
    m->min_len = (uint32_t)s.n;
    buf_add_str(&w->bounds, s);
    s = bound_bytes(type, &r->max, true, bytes, &m->max_exact);
    m->max_at = (uint32_t)w->bounds.len;
    m->max_len = (uint32_t)s.n;
    buf_add_str(&w->bounds, s);
}

enum err_code writer_column(struct parquet_writer *w, int column, const struct parquet_values *v,
                            size_t rows, struct parquet_chunk_meta *ret, struct err *e)
{
    const struct parquet_column *c = &w->columns[column];
    *ret = (struct parquet_chunk_meta){.codec = CODEC_ZSTD};
    struct job j = {.w = w, .column = c, .values = v, .rows = rows, .meta = ret};
    make_dense(&j);
    TRY(check_values(&j, e));
    choose_encoding(&j);
    if (j.covered > 0) TRY(put_dictionary(&j, e));
    ret->data_offset = (int64_t)w->offset;
    TRY(put_data_pages(&j, e));
    ret->encoding = (uint8_t)j.encoding;
    ret->pages = (int32_t)j.page_count;
    ret->values = (int64_t)rows;
    ret->nulls = (int64_t)(rows - j.dense.n);
    struct parquet_range range = {.any = false};
    for (size_t i = 0; i < j.page_count; i++) range_add(c->type, &range, &w->pages[i].range);
    put_range(w, c->type, &range, ret);
    writer_index(w, column, w->pages, j.page_count, ret);
    if (w->bounds.failed || w->indexes.failed)
        return ERR(e, ERR_FULL, "parquet: the file's indexes are over 1 GiB; write smaller files");
    struct parquet_column_stats *s = &w->stats[column];
    stats_add(s, c->type, &range);
    s->values += ret->values;
    s->nulls += ret->nulls;
    s->compressed_bytes += ret->compressed;
    return ERR_OK;
}
