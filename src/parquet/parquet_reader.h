/* parquet_reader.h - the reader's parts, for parquet_read*.c only. */
#ifndef TICKLAKE_LAKE_PARQUET_READER_H
#define TICKLAKE_LAKE_PARQUET_READER_H

#include "parquet/parquet_internal.h"

/* ConvertedType of parquet.thrift, those that matter here. */
enum {
    CONVERTED_DECIMAL = 5,
    CONVERTED_MICROS = 10,
    CONVERTED_INT32 = 17,
    CONVERTED_INT64 = 18,
};

struct read_column { /* a leaf of the schema */
    struct str name;
    int32_t physical, type_length, field_id; /* field_id -1: none */
    int32_t converted, scale;                /* converted -1: none */
    bool optional, nested, ordered;          /* ordered: min_value and max_value can be trusted */
    bool micros, other_logical; /* TIMESTAMP(MICROS); something that a LONG cannot stand for */
    bool nanos_or_millis;
};

struct read_chunk {
    int64_t data_offset, dictionary_offset, values, compressed;
    int32_t physical, codec;
    bool elsewhere;      /* in another file, or encrypted */
    struct str min, max; /* min_value and max_value; p NULL: none */
};

struct read_group {
    int64_t rows;
    struct read_chunk *chunks;
    size_t chunk_count;
};

struct parquet_reader {
    char *path;
    int fd; /* -1: bytes */
    struct str bytes;
    uint64_t size, footer_start;
    uint8_t *footer;
    struct arena meta;
    struct read_column *columns;
    size_t column_count;
    struct read_group *groups;
    size_t group_count;
    int64_t rows;
    bool ours;

    int current_group;
    struct arena memory; /* chunks of the current row group */
    struct buf raw;      /* a chunk as it stands in the file */
    struct buf page;     /* unpacked */
    uint32_t *codes;
    size_t codes_cap;
    int64_t *lengths;
    size_t lengths_cap;
    void *zstd;
};

/* Fills columns, groups, rows and ours from r->footer. */
enum err_code reader_parse_footer(struct parquet_reader *r, size_t len, struct err *e) MUST_USE;
enum err_code reader_bytes(struct parquet_reader *r, uint64_t offset, size_t len, void *to,
                           struct err *e) MUST_USE;

struct read_page {
    int32_t type, unpacked, packed;
    int64_t values;
    int32_t encoding, levels_encoding;
    int64_t levels_bytes, repetition_bytes; /* v2 */
    bool v2_packed;
};
/* Parses a page header at *p and moves behind it. */
bool read_page_header(const uint8_t **p, const uint8_t *end, struct read_page *ret);

/* A column of a row group on its way into arrays. */
struct read_job {
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

/* The two ways to refuse; both name file, row group, column and page. */
enum err_code read_damaged(struct read_job *j, const char *what);
enum err_code read_foreign(struct read_job *j, const char *what, int64_t number);
bool type_is_text(enum column_type type);
size_t type_size(enum column_type type); /* of a value in struct parquet_chunk */
/* Unpacks a page body of `len` bytes, of which `keep` in front are not packed. */
enum err_code read_unpack(struct read_job *j, struct str in, size_t keep, size_t len,
                          struct str *ret) MUST_USE;
enum err_code read_dictionary(struct read_job *j, const struct read_page *p,
                              struct str body) MUST_USE;
/* n values of a data page, without gaps. */
enum err_code read_values(struct read_job *j, int encoding, struct str in, void *to,
                          size_t n) MUST_USE;

#endif
