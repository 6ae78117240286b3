/* parquet_internal.h - what the parquet_*.c files share; nobody else includes it.
 *
 * Numbers   the enums below are the format's own (parquet.thrift), so they are written and read as
 *           they stand.
 * Memory    encoders append to a struct buf; decoders read from a slice that they never leave and
 *           write into arrays that the caller has sized by the page header's count. They return
 *           false on damage, the caller says where.
 */
#ifndef TICKLAKE_LAKE_PARQUET_INTERNAL_H
#define TICKLAKE_LAKE_PARQUET_INTERNAL_H

#include "base/arena.h"
#include "base/array.h"
#include "parquet/parquet.h"

enum parquet_physical {
    PHYSICAL_BOOLEAN,
    PHYSICAL_INT32,
    PHYSICAL_INT64,
    PHYSICAL_INT96,
    PHYSICAL_FLOAT,
    PHYSICAL_DOUBLE,
    PHYSICAL_BYTE_ARRAY,
    PHYSICAL_FIXED,
};

enum parquet_encoding {
    ENCODING_PLAIN = 0,
    ENCODING_PLAIN_DICTIONARY = 2,
    ENCODING_RLE = 3,
    ENCODING_DELTA_BINARY_PACKED = 5,
    ENCODING_DELTA_LENGTH_BYTE_ARRAY = 6,
    ENCODING_DELTA_BYTE_ARRAY = 7,
    ENCODING_RLE_DICTIONARY = 8,
};

enum parquet_codec { CODEC_NONE = 0, CODEC_SNAPPY = 1, CODEC_GZIP = 2, CODEC_ZSTD = 6 };

enum parquet_page_type { PAGE_DATA = 0, PAGE_INDEX = 1, PAGE_DICTIONARY = 2, PAGE_DATA_V2 = 3 };

enum {
    DECIMAL_BYTES = 16,
    PAGE_ROWS_DEFAULT = 20000,
    PAGE_BYTES = 1 << 20,        /* a page of long strings ends here, whatever its rows */
    DICTIONARY_MAX = 1 << 16,    /* distinct values; past it a column is written without */
    DICTIONARY_SAMPLE = 1 << 16, /* after so many rows a dictionary must have proved itself */
    VALUE_BYTES_MAX = 64 << 20,  /* one string */
    CHUNK_BYTES_MAX = 1 << 30,   /* one column of one row group, written or read */
    PAGE_READ_MAX = 256 << 20,   /* one page, unpacked */
    FOOTER_BYTES_MAX = 64 << 20,
    GROUP_ROWS_MAX = 64 << 20, /* 1 GiB of decimals */
    THRIFT_DEPTH_MAX = 16,
    BOUND_BYTES = 64, /* text bounds in footer and index are cut to this, as parquet-mr does */
};

/* ---- compact Thrift -------------------------------------------------------------------------- */

enum thrift_type {
    THRIFT_STOP,
    THRIFT_TRUE,
    THRIFT_FALSE,
    THRIFT_BYTE,
    THRIFT_I16,
    THRIFT_I32,
    THRIFT_I64,
    THRIFT_DOUBLE,
    THRIFT_BINARY,
    THRIFT_LIST,
    THRIFT_SET,
    THRIFT_MAP,
    THRIFT_STRUCT,
};

struct thrift_writer {
    struct buf *out;
    int depth;
    int16_t last[THRIFT_DEPTH_MAX]; /* field id written last, per open struct */
};

void thrift_start(struct thrift_writer *t, struct buf *out); /* opens the outermost struct */
void thrift_end(struct thrift_writer *t);                    /* closes the innermost */
void thrift_put_i16(struct thrift_writer *t, int16_t id, int16_t v);
void thrift_put_i32(struct thrift_writer *t, int16_t id, int32_t v);
void thrift_put_i64(struct thrift_writer *t, int16_t id, int64_t v);
void thrift_put_bool(struct thrift_writer *t, int16_t id, bool v);
void thrift_put_bytes(struct thrift_writer *t, int16_t id, struct str v);
void thrift_put_struct(struct thrift_writer *t, int16_t id);
void thrift_put_list(struct thrift_writer *t, int16_t id, enum thrift_type element, size_t count);
/* Elements of the list just begun. */
void thrift_add_struct(struct thrift_writer *t);
void thrift_add_int(struct thrift_writer *t, int64_t v);
void thrift_add_bool(struct thrift_writer *t, bool v);
void thrift_add_bytes(struct thrift_writer *t, struct str v);

struct thrift_reader {
    const uint8_t *p, *end;
    bool failed; /* sticky: every later read gives zeros */
};

/* Walks the fields of a struct: id starts at 0, false at its end or on damage. */
bool thrift_next(struct thrift_reader *t, int16_t *id, enum thrift_type *type);
void thrift_skip(struct thrift_reader *t, enum thrift_type type);
int64_t thrift_int(struct thrift_reader *t, enum thrift_type type); /* BYTE to I64, or fails */
int32_t thrift_int32(struct thrift_reader *t, enum thrift_type type);
bool thrift_bool(struct thrift_reader *t, enum thrift_type type);
struct str thrift_bytes(struct thrift_reader *t, enum thrift_type type);
/* Opens a list of `element`; the count never exceeds the bytes that are left. */
size_t thrift_list(struct thrift_reader *t, enum thrift_type type, enum thrift_type element);

/* ---- encodings ------------------------------------------------------------------------------- */

void encode_varint(struct buf *out, uint64_t v);
/* RLE / bit-packed hybrid of n values of `width` bits (0..32). */
void encode_hybrid(struct buf *out, const uint32_t *values, size_t n, int width);
/* Definition levels of a v1 page: 4 bytes length, then the hybrid of width 1. present NULL: all.
 * `levels` is scratch of n. */
void encode_levels(struct buf *out, const uint8_t *present, size_t n, uint32_t *levels);
void encode_delta(struct buf *out, const int64_t *values, size_t n);
/* DELTA_BYTE_ARRAY. `lengths` is scratch of 2n. */
void encode_delta_strings(struct buf *out, const struct str *values, size_t n, int64_t *lengths);
void encode_plain_strings(struct buf *out, const struct str *values, size_t n);
void encode_plain_decimals(struct buf *out, const i128 *values, size_t n);
void encode_plain_booleans(struct buf *out, const uint8_t *values, size_t n);
int bits_for(uint64_t v); /* 0 for 0 */

bool decode_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret);
bool decode_hybrid(struct str in, int width, uint32_t *values, size_t n);
/* *ret_used (may be NULL): bytes consumed. The encoded count must be n. */
bool decode_delta(struct str in, int64_t *values, size_t n, size_t *ret_used);
bool decode_plain_longs(struct str in, int64_t *values, size_t n, int bytes);
bool decode_plain_decimals(struct str in, i128 *values, size_t n, int bytes);
bool decode_plain_booleans(struct str in, uint8_t *values, size_t n);
bool decode_plain_strings(struct str in, struct str *values, size_t n); /* slices of `in` */
bool decode_delta_lengths(struct str in, struct str *values, size_t n,
                          int64_t *lengths); /* slices of `in` */
/* New bytes come from the arena; false also where its limit is reached. `lengths` is scratch of
 * 2n. */
bool decode_delta_strings(struct str in, struct str *values, size_t n, int64_t *lengths,
                          struct arena *a);

/* ---- the writer's parts ---------------------------------------------------------------------- */

/* A lowest or highest value: text for STRING and BINARY, else the number. */
struct parquet_bound {
    i128 number;
    struct str text;
};

struct parquet_range {
    bool any; /* false: no value seen */
    struct parquet_bound min, max;
};

/* Everything a column of a row group holds, without its gaps: n values, of which only one array
 * is set. */
struct parquet_dense {
    enum column_type type;
    size_t n;
    const struct str *strings;
    const i128 *decimals;
    const int64_t *longs;
    const uint8_t *booleans;
};

/* A dictionary being built over one column of one row group; memory is kept for the next. */
struct parquet_dictionary {
    enum column_type type;
    uint32_t count;
    struct str *strings;
    i128 *decimals;  /* longs too */
    uint32_t *codes; /* of each value of the column */
    size_t codes_cap, entries_cap;
    uint32_t *slots; /* open addressing: entry + 1, 0 empty */
    size_t slot_count;
    uint32_t *remap; /* by the caller's code: entry + 1, 0 unseen */
    uint32_t *used;  /* the caller's codes that were seen */
    uint32_t used_count;
    size_t remap_count;
};
void dictionary_free(struct parquet_dictionary *d);
/* Returns how many values, from the first, the dictionary covers before it is full; 0: not worth
 * it. The entries are slices of the values. */
size_t dictionary_build(struct parquet_dictionary *d, const struct parquet_dense *values);
/* The caller has codes already: keeps the entries in use, in order of appearance. present NULL:
 * all. */
void dictionary_from_codes(struct parquet_dictionary *d, const struct parquet_values *v,
                           size_t rows);
void dictionary_encode(const struct parquet_dictionary *d,
                       struct buf *out); /* the dictionary page's body */

struct parquet_page {
    int64_t offset;    /* in the file, of its header */
    int32_t bytes;     /* header included */
    int64_t first_row; /* in the row group */
    int64_t rows, nulls;
    struct parquet_range range;
};

int bound_cmp(enum column_type type, const struct parquet_bound *a, const struct parquet_bound *b);
void range_add(enum column_type type, struct parquet_range *into, const struct parquet_range *more);
struct parquet_range range_of_values(const struct parquet_dense *v, size_t from, size_t to);
/* Over the entries that codes[from..to) name. `stamps` (one per entry) and `stamp` tell pages
 * apart. */
struct parquet_range range_of_codes(const struct parquet_dictionary *d, size_t from, size_t to,
                                    uint32_t *stamps, uint32_t stamp);

/* Bytes of a bound as statistics hold it; text is cut. Returns false where a cut upper bound
 * cannot be raised; *ret_exact tells whether it was cut. `bytes` has BOUND_BYTES + 4. */
struct str bound_bytes(enum column_type type, const struct parquet_bound *b, bool upper,
                       uint8_t *bytes, bool *ret_exact);
/* Cuts to `points` code points; upper: raised. false where that is impossible. Room for points *
 * 4 bytes. */
bool text_bound(struct str text, size_t points, bool upper, uint8_t *bytes, size_t *ret_len);
void stats_add(struct parquet_column_stats *s, enum column_type type,
               const struct parquet_range *r);

struct parquet_chunk_meta { /* what the footer says of one column of one row group */
    int64_t data_offset, dictionary_offset; /* dictionary: 0 none */
    int64_t uncompressed, compressed, values, nulls;
    int64_t column_index_offset, offset_index_offset;
    int32_t column_index_bytes, offset_index_bytes;
    int32_t pages, dictionary_pages; /* data pages in all, and those of dictionary codes */
    uint8_t encoding, codec;         /* encoding: of the other pages */
    bool has_range, min_exact, max_exact;
    uint32_t min_at, min_len, max_at, max_len; /* in struct parquet_writer.bounds */
};

struct parquet_group_meta {
    int64_t rows, offset, uncompressed, compressed;
};

struct parquet_writer {
    struct parquet_column *columns;
    char *names;
    int column_count;
    int *sort_columns;
    int sort_count;
    size_t page_rows;
    parquet_sink sink;
    void *sink_ctx;
    void *zstd; /* one context for all pages: making one costs more than a small page */
    bool finished;

    struct buf out;     /* written, not yet given to the sink */
    uint64_t offset;    /* in the file, of the end of `out` */
    struct buf page;    /* a page's body before compression */
    struct buf packed;  /* and after */
    struct buf header;  /* footers and page headers */
    struct buf indexes; /* column and offset indexes of the file, until finish */
    struct buf bounds;

    struct parquet_dictionary dictionary;
    uint32_t *stamps, *levels;
    size_t stamps_cap, levels_cap;
    void *dense; /* values without gaps */
    size_t dense_cap;
    int64_t *lengths;
    size_t lengths_cap;
    struct parquet_page *pages;
    size_t pages_cap;

    struct parquet_chunk_meta *chunks; /* group by group */
    struct parquet_group_meta *groups;
    size_t group_count, group_cap;
    int64_t *splits;
    int64_t rows;
    struct parquet_column_stats *stats;
};

enum err_code writer_flush(struct parquet_writer *w, struct err *e) MUST_USE;
enum err_code writer_column(struct parquet_writer *w, int column, const struct parquet_values *v,
                            size_t rows, struct parquet_chunk_meta *ret, struct err *e) MUST_USE;
/* Appends the two indexes of a chunk to w->indexes. */
void writer_index(struct parquet_writer *w, int column, const struct parquet_page *pages,
                  size_t count, struct parquet_chunk_meta *m);
void writer_footer(struct parquet_writer *w, struct buf *out);
/* Grows an array to hold n elements of `size`; contents are lost. Out of memory is a CHECK: n is
 * bounded. */
void *scratch(void *old, size_t *cap, size_t n, size_t size);

#endif
