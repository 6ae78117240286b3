/* One column of one row group, page by page, into whole arrays. */
#include "lake/parquet_reader.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

struct job {
    struct parquet_reader *r;
    int group, column, page;
    const struct read_column *c;
    const struct read_chunk *chunk;
    enum column_type type;
    size_t rows, row; /* of the group; done so far */
    uint8_t *present; /* NULL while every row had a value */
    void *values;     /* of the public type */
    bool has_dictionary;
    size_t dictionary_count;
    void *dictionary; /* of the same type */
    struct err *e;
};

static enum err_code damaged(struct job *j, const char *what)
{
    return ERR(j->e, ERR_CORRUPT, "%s: row group %d, column %.*s, page %d: %s", j->r->path, j->group,
               STR_ARG(j->c->name), j->page, what);
}

static enum err_code foreign(struct job *j, const char *what, int64_t number)
{
    return ERR(j->e, ERR_NOT_FOUND, "%s: row group %d, column %.*s: not understood: %s %lld", j->r->path, j->group,
               STR_ARG(j->c->name), what, (long long)number);
}

static bool is_text(enum column_type type) { return type == COLUMN_STRING || type == COLUMN_BINARY; }

static size_t size_of(enum column_type type)
{
    return type == COLUMN_DECIMAL || is_text(type) ? 16 : type == COLUMN_BOOLEAN ? 1 : 8;
}

/* ---- unpacking ------------------------------------------------------------------------------------------------ */

static bool inflate_page(struct str in, uint8_t *to, size_t len)
{
    z_stream z = {.next_in = (z_const Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n, .next_out = to,
                  .avail_out = (uInt)len};
    if (inflateInit2(&z, 15 + 32) != Z_OK) return false; /* gzip or zlib by its head */
    int got = inflate(&z, Z_FINISH);
    bool good = got == Z_STREAM_END && z.avail_out == 0;
    inflateEnd(&z);
    return good;
}

/* Texts point into the page, so it must live as long as the row group; numbers are copied out of it at once. */
static uint8_t *page_room(struct job *j, size_t len)
{
    if (is_text(j->type)) return arena_alloc(&j->r->memory, len + 8);
    buf_reset(&j->r->page);
    return buf_room(&j->r->page, len + 8);
}

/* `keep` bytes stand unpacked in front (the levels of a v2 page). */
static enum err_code unpack(struct job *j, struct str in, size_t keep, size_t len, struct str *ret)
{
    if (len > PAGE_READ_MAX) return foreign(j, "a page of more bytes than this reader's limit:", (int64_t)len);
    if (keep > in.n || keep > len) return damaged(j, "levels longer than the page");
    if (j->chunk->codec == CODEC_NONE && !is_text(j->type)) {
        *ret = in;
        return in.n == len ? ERR_OK : damaged(j, "a page that is not compressed has two sizes");
    }
    uint8_t *to = page_room(j, len);
    if (!to) return foreign(j, "more text in one row group than this reader's limit of bytes:", 4LL << 30);
    if (keep) memcpy(to, in.p, keep);
    struct str packed = {in.p + keep, in.n - keep};
    bool good = false;
    if (j->chunk->codec == CODEC_NONE) {
        good = packed.n == len - keep;
        if (good && packed.n) memcpy(to + keep, packed.p, packed.n);
    } else if (packed.n == 0 && len == keep) {
        good = true; /* nothing was worth packing: a v2 page of nulls */
    } else if (j->chunk->codec == CODEC_GZIP) {
        good = inflate_page(packed, to + keep, len - keep);
    } else {
        good = ZSTD_decompressDCtx(j->r->zstd, to + keep, len - keep, packed.p, packed.n) == len - keep;
    }
    *ret = (struct str){(const char *)to, len};
    return good ? ERR_OK : damaged(j, "its bytes do not unpack to the size that its header says");
}

/* ---- values --------------------------------------------------------------------------------------------------- */

static int64_t *lengths_room(struct parquet_reader *r, size_t n)
{
    return r->lengths = scratch(r->lengths, &r->lengths_cap, 2 * n, sizeof(int64_t));
}

static bool decode_texts(struct job *j, int encoding, struct str in, struct str *to, size_t n)
{
    struct parquet_reader *r = j->r;
    if (encoding == ENCODING_PLAIN) return decode_plain_strings(in, to, n);
    if (encoding == ENCODING_DELTA_LENGTH_BYTE_ARRAY) return decode_delta_lengths(in, to, n, lengths_room(r, n));
    return decode_delta_strings(in, to, n, lengths_room(r, n), &r->memory);
}

static bool decode_decimals(struct job *j, int encoding, struct str in, i128 *to, size_t n)
{
    int bytes = j->c->type_length;
    if (j->c->physical == PHYSICAL_FIXED && encoding == ENCODING_PLAIN) return decode_plain_decimals(in, to, n, bytes);
    if (j->c->physical == PHYSICAL_FIXED) { /* parquet-mr's v2 pages: DELTA_BYTE_ARRAY of equal lengths */
        struct str *texts = arena_alloc(&j->r->memory, n * sizeof *texts + 1);
        if (!texts || !decode_delta_strings(in, texts, n, lengths_room(j->r, n), &j->r->memory)) return false;
        for (size_t i = 0; i < n; i++)
            if (texts[i].n != (size_t)bytes || !decode_plain_decimals(texts[i], to + i, 1, bytes)) return false;
        return true;
    }
    int64_t *longs = lengths_room(j->r, n);
    bool good = encoding == ENCODING_PLAIN
                    ? decode_plain_longs(in, longs, n, j->c->physical == PHYSICAL_INT32 ? 4 : 8)
                    : decode_delta(in, longs, n, NULL);
    for (size_t i = 0; good && i < n; i++)
        to[i] = j->c->physical == PHYSICAL_INT32 ? (int32_t)longs[i] : longs[i];
    return good;
}

static bool decode_longs(struct job *j, int encoding, struct str in, int64_t *to, size_t n)
{
    bool small = j->c->physical == PHYSICAL_INT32;
    if (encoding == ENCODING_PLAIN) return decode_plain_longs(in, to, n, small ? 4 : 8);
    bool good = decode_delta(in, to, n, NULL);
    for (size_t i = 0; good && small && i < n; i++) to[i] = (int32_t)to[i]; /* deltas wrap at the type's width */
    return good;
}

static bool decode_booleans(struct job *j, int encoding, struct str in, uint8_t *to, size_t n)
{
    if (encoding == ENCODING_PLAIN) return decode_plain_booleans(in, to, n);
    uint32_t len;
    if (in.n < 4) return false;
    memcpy(&len, in.p, 4);
    if (len > in.n - 4) return false;
    uint32_t *bits = j->r->codes = scratch(j->r->codes, &j->r->codes_cap, n, sizeof(uint32_t));
    if (!decode_hybrid((struct str){in.p + 4, len}, 1, bits, n)) return false;
    for (size_t i = 0; i < n; i++) to[i] = bits[i] & 1;
    return true;
}

static bool decode_values(struct job *j, int encoding, struct str in, void *to, size_t n)
{
    if (is_text(j->type)) return decode_texts(j, encoding, in, to, n);
    if (j->type == COLUMN_DECIMAL) return decode_decimals(j, encoding, in, to, n);
    if (j->type == COLUMN_BOOLEAN) return decode_booleans(j, encoding, in, to, n);
    return decode_longs(j, encoding, in, to, n);
}

static bool knows_encoding(const struct job *j, int encoding)
{
    switch (encoding) {
    case ENCODING_PLAIN: return true;
    case ENCODING_DELTA_BINARY_PACKED:
        return j->c->physical == PHYSICAL_INT32 || j->c->physical == PHYSICAL_INT64;
    case ENCODING_DELTA_LENGTH_BYTE_ARRAY: return j->c->physical == PHYSICAL_BYTE_ARRAY;
    case ENCODING_DELTA_BYTE_ARRAY:
        return j->c->physical == PHYSICAL_BYTE_ARRAY || j->c->physical == PHYSICAL_FIXED;
    case ENCODING_RLE: return j->c->physical == PHYSICAL_BOOLEAN;
    default: return false;
    }
}

/* ---- dictionary ----------------------------------------------------------------------------------------------- */

static enum err_code read_dictionary(struct job *j, const struct read_page *p, struct str body)
{
    if (j->has_dictionary || j->row > 0) return damaged(j, "a second dictionary");
    if (p->encoding != ENCODING_PLAIN && p->encoding != ENCODING_PLAIN_DICTIONARY)
        return foreign(j, "a dictionary in encoding", p->encoding);
    if (j->type == COLUMN_BOOLEAN) return foreign(j, "a dictionary of booleans, entries", p->values);
    if (p->values < 0 || (uint64_t)p->values > body.n) return damaged(j, "more dictionary entries than bytes");
    size_t n = (size_t)p->values;
    j->dictionary = arena_alloc(&j->r->memory, n * size_of(j->type) + 1);
    if (!j->dictionary) return foreign(j, "a dictionary past this reader's limit, entries", p->values);
    if (!decode_values(j, ENCODING_PLAIN, body, j->dictionary, n)) return damaged(j, "a cut dictionary");
    j->has_dictionary = true;
    j->dictionary_count = n;
    return ERR_OK;
}

#define GATHER(type)                                                                                                  \
    for (size_t i = 0; i < n; i++) ((type *)to)[i] = ((const type *)j->dictionary)[codes[i]];

static enum err_code decode_codes(struct job *j, struct str in, void *to, size_t n)
{
    if (n == 0) return ERR_OK;
    if (!j->has_dictionary) return damaged(j, "dictionary codes without a dictionary");
    uint32_t *codes = j->r->codes = scratch(j->r->codes, &j->r->codes_cap, n, sizeof(uint32_t));
    if (in.n < 1 || !decode_hybrid((struct str){in.p + 1, in.n - 1}, (uint8_t)in.p[0], codes, n))
        return damaged(j, "cut dictionary codes");
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) most = codes[i] > most ? codes[i] : most;
    if (most >= j->dictionary_count) return damaged(j, "a code past the end of the dictionary");
    if (is_text(j->type)) {
        GATHER(struct str)
    } else if (j->type == COLUMN_DECIMAL) {
        GATHER(i128)
    } else {
        GATHER(int64_t)
    }
    return ERR_OK;
}

/* ---- data pages ----------------------------------------------------------------------------------------------- */

/* Takes the definition levels off the front of *body; *ret_count: rows with a value. */
static enum err_code read_levels(struct job *j, const struct read_page *p, size_t n, struct str *body,
                                 size_t *ret_count)
{
    *ret_count = n;
    bool v2 = p->type == PAGE_DATA_V2;
    uint32_t len = v2 ? (uint32_t)p->levels_bytes : 0, head = v2 ? 0 : 4;
    if (v2 && p->repetition_bytes != 0) return damaged(j, "repetition levels in a flat column");
    if (!j->c->optional) {
        *body = (struct str){body->p + len, body->n - len};
        return ERR_OK;
    }
    if (p->levels_encoding != ENCODING_RLE) return foreign(j, "levels in encoding", p->levels_encoding);
    if (body->n < head) return damaged(j, "no levels");
    if (!v2) memcpy(&len, body->p, 4);
    if (len > body->n - head) return damaged(j, "levels longer than the page");
    uint32_t *levels = j->r->codes = scratch(j->r->codes, &j->r->codes_cap, n, sizeof(uint32_t));
    if (!decode_hybrid((struct str){body->p + head, len}, 1, levels, n)) return damaged(j, "cut levels");
    *body = (struct str){body->p + head + len, body->n - head - len};
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += levels[i] & 1;
    *ret_count = count;
    if (count == n && !j->present) return ERR_OK;
    if (!j->present) {
        j->present = arena_alloc(&j->r->memory, j->rows + 1);
        if (!j->present) return foreign(j, "more rows than this reader's limit:", (int64_t)j->rows);
        memset(j->present, 1, j->rows);
    }
    for (size_t i = 0; i < n; i++) j->present[j->row + i] = levels[i] & 1;
    return ERR_OK;
}

#define SPREAD(type)                                                                                                  \
    for (size_t i = n; i-- > 0;) ((type *)to)[i] = present[i] ? ((type *)to)[--count] : (type){0};

/* `count` values at the front of `to` move to the rows that have one; from the end, so in place. */
static void spread(enum column_type type, void *to, const uint8_t *present, size_t n, size_t count)
{
    if (is_text(type)) {
        SPREAD(struct str)
    } else if (type == COLUMN_DECIMAL) {
        SPREAD(i128)
    } else if (type == COLUMN_BOOLEAN) {
        SPREAD(uint8_t)
    } else {
        SPREAD(int64_t)
    }
}

static enum err_code read_data(struct job *j, const struct read_page *p, struct str body)
{
    if (p->values < 0 || (uint64_t)p->values > j->rows - j->row) return damaged(j, "more values than rows");
    size_t n = (size_t)p->values, count;
    TRY(read_levels(j, p, n, &body, &count));
    uint8_t *to = (uint8_t *)j->values + j->row * size_of(j->type);
    if (p->encoding == ENCODING_RLE_DICTIONARY || p->encoding == ENCODING_PLAIN_DICTIONARY) {
        TRY(decode_codes(j, body, to, count));
    } else if (!knows_encoding(j, p->encoding)) {
        return foreign(j, "encoding", p->encoding);
    } else if (count > 0 && !decode_values(j, p->encoding, body, to, count)) {
        return damaged(j, "its values are cut or do not fit their encoding");
    }
    if (j->present && count < n) spread(j->type, to, j->present + j->row, n, count);
    j->row += n;
    return ERR_OK;
}

static enum err_code read_pages(struct job *j, struct str chunk)
{
    const uint8_t *p = (const uint8_t *)chunk.p, *end = p + chunk.n;
    for (; j->row < j->rows; j->page++) {
        struct read_page page;
        if (!read_page_header(&p, end, &page)) return damaged(j, "a page header that cannot be read");
        struct str packed = {(const char *)p, (size_t)page.packed}, body;
        p += page.packed;
        bool v2 = page.type == PAGE_DATA_V2;
        if (page.type != PAGE_DATA && page.type != PAGE_DICTIONARY && !v2) continue; /* the format says: skip */
        size_t keep = 0;
        if (v2 && (page.levels_bytes < 0 || page.repetition_bytes < 0 || page.levels_bytes > page.unpacked))
            return damaged(j, "levels longer than the page");
        if (v2) keep = (size_t)page.levels_bytes;
        if (v2 && !page.v2_packed) keep = packed.n;
        TRY(unpack(j, packed, keep, (size_t)page.unpacked, &body));
        TRY(page.type == PAGE_DICTIONARY ? read_dictionary(j, &page, body) : read_data(j, &page, body));
    }
    return ERR_OK;
}

/* ---- the column ----------------------------------------------------------------------------------------------- */

/* NULL, or why the column cannot be read as that type. */
static const char *type_problem(const struct read_column *c, enum column_type type)
{
    bool integer = c->physical == PHYSICAL_INT64 || c->physical == PHYSICAL_INT32;
    if (c->nested) return "a nested column, physical type";
    switch (type) {
    case COLUMN_STRING:
    case COLUMN_BINARY:
        return c->physical == PHYSICAL_BYTE_ARRAY && c->converted != CONVERTED_DECIMAL ? NULL
                                                                                       : "no text, physical type";
    case COLUMN_DECIMAL:
        if (!integer && c->physical != PHYSICAL_FIXED) return "no decimal, physical type";
        if (c->physical == PHYSICAL_FIXED && (c->type_length < 1 || c->type_length > DECIMAL_BYTES))
            return "a decimal of more than 16 bytes, physical type";
        return c->converted == CONVERTED_DECIMAL && c->scale == DEC_SCALE_MAX ? NULL
                                                                              : "no decimal of scale 18, physical type";
    case COLUMN_TIME:
        if (c->physical != PHYSICAL_INT64 || c->nanos_or_millis) return "no time in microseconds, physical type";
        return c->micros || c->converted == CONVERTED_MICROS ? NULL : "no time in microseconds, physical type";
    case COLUMN_BOOLEAN: return c->physical == PHYSICAL_BOOLEAN ? NULL : "no boolean, physical type";
    default:
        if (!integer || c->other_logical || c->micros || c->nanos_or_millis) return "no integer, physical type";
        return c->converted < 0 || c->converted == CONVERTED_INT64 || c->converted == CONVERTED_INT32
                   ? NULL
                   : "no integer, physical type";
    }
}

static enum err_code check_chunk(struct job *j, uint64_t *ret_offset)
{
    const struct read_chunk *c = j->chunk;
    const char *problem = type_problem(j->c, j->type);
    if (problem) return foreign(j, problem, j->c->physical);
    if (c->elsewhere) return foreign(j, "encrypted or in another file, codec", c->codec);
    if (c->codec != CODEC_NONE && c->codec != CODEC_GZIP && c->codec != CODEC_ZSTD)
        return foreign(j, c->codec == CODEC_SNAPPY ? "compressed with snappy, codec" : "codec", c->codec);
    if (j->rows > GROUP_ROWS_MAX) return foreign(j, "more rows in a row group than the limit:", (int64_t)j->rows);
    if (c->compressed > CHUNK_BYTES_MAX) return foreign(j, "a column of more bytes than the limit:", c->compressed);
    if (c->physical != j->c->physical || c->values != (int64_t)j->rows)
        return damaged(j, "the footer contradicts itself about type or rows");
    bool dictionary_first = c->dictionary_offset > 0 && c->dictionary_offset < c->data_offset;
    int64_t offset = dictionary_first ? c->dictionary_offset : c->data_offset;
    if (offset < 4 || c->compressed < 0 || (uint64_t)offset > j->r->footer_start ||
        (uint64_t)c->compressed > j->r->footer_start - (uint64_t)offset)
        return damaged(j, "the footer says that it lies outside of the file");
    *ret_offset = (uint64_t)offset;
    return ERR_OK;
}

static enum err_code read_column(struct job *j, struct parquet_chunk *ret)
{
    struct parquet_reader *r = j->r;
    uint64_t offset = 0;
    TRY(check_chunk(j, &offset));
    size_t len = (size_t)j->chunk->compressed;
    buf_reset(&r->raw);
    uint8_t *raw = buf_room(&r->raw, len);
    CHECK(raw != NULL);
    TRY(reader_bytes(r, offset, len, raw, j->e));
    j->values = arena_alloc(&r->memory, (j->rows + 1) * size_of(j->type));
    if (!j->values) return foreign(j, "more rows than this reader's memory:", (int64_t)j->rows);
    TRY(read_pages(j, (struct str){(const char *)raw, len}));
    *ret = (struct parquet_chunk){.rows = j->rows, .present = j->present, .strings = j->values};
    return ERR_OK;
}

enum err_code parquet_reader_read(struct parquet_reader *r, int group, int column, enum column_type type,
                                  struct parquet_chunk *ret, struct err *e)
{
    CHECK(group >= 0 && (size_t)group < r->group_count);
    CHECK(column >= 0 && (size_t)column < r->column_count);
    if (group != r->current_group) {
        arena_free(&r->memory); /* not reset: one big row group must not keep its memory for the small ones behind */
        r->current_group = group;
    }
    struct job j = {.r = r, .group = group, .column = column, .c = &r->columns[column],
                    .chunk = &r->groups[group].chunks[column], .type = type, .rows = (size_t)r->groups[group].rows,
                    .e = e};
    return read_column(&j, ret);
}
