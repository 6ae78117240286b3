/* parquet.h - the Parquet subset that the lake writes, and a reader for it.
 *
 * Writes    flat columns, required or optional; zstd with its checksum, so that every reader
 *           notices a flipped bit; v1 data pages of at most `page_rows` rows or about 1 MiB;
 *           dictionary (the pages behind 65,536 distinct values go without), DELTA_BINARY_PACKED,
 *           DELTA_BYTE_ARRAY, PLAIN; statistics in footer and column/offset index; field ids;
 *           sorting columns; created_by "ticklake version ...". Four other readers judge it in
 *           tests.
 * Types     string BYTE_ARRAY(UTF8); decimal(38,18) FIXED_LEN_BYTE_ARRAY(16) big-endian; time INT64
 *           TIMESTAMP(MICROS, UTC); long INT64; boolean BOOLEAN; binary BYTE_ARRAY.
 * Columns   are handed over whole per row group: `present` NULL means every row has a value; absent
 *           rows still take a slot in `values` (ignored). Strings come as codes into a dictionary
 *           (venue, symbol, ...; several codes may have one text) or as slices. A STRING must be
 *           UTF-8; the writer does not look.
 * Sink      bytes go out in order through a callback, so a file, a socket or memory can take them.
 * Reader    files of ours, and of others where the column is flat: v1 and v2 pages; zstd, gzip or
 *           none; PLAIN, dictionary, DELTA_*, RLE booleans; decimals of scale 18 as FIXED(1..16),
 *           INT64, INT32; INT32 as LONG. Everything else (snappy, nanoseconds, BYTE_STREAM_SPLIT,
 *           nested) is ERR_NOT_FOUND "not understood"; damage is ERR_CORRUPT with file, row group,
 *           column and page. Hostile input: bounded, fuzzed.
 * Limits    written: 64 Mi rows a row group, 64 MiB a value (ERR_FULL). Read: 64 Mi rows a row
 *           group, 256 MiB a page, 1 GiB a column of a row group, 4 GiB all columns of a row group.
 * Threads   each writer and reader in one thread.
 */
#ifndef TICKLAKE_LAKE_PARQUET_H
#define TICKLAKE_LAKE_PARQUET_H

#include "base/buf.h"
#include "base/dec.h"
#include "event/schema.h"

struct parquet_column {
    const char *name;
    enum column_type type;
    bool required;
    int32_t field_id;
    bool try_dictionary; /* for slices, decimals and longs; codes are always a dictionary */
};

struct parquet_values {
    const uint8_t *present; /* one byte a row, or NULL */
    union {
        const struct str *strings; /* STRING, BINARY by slice */
        const i128 *decimals;
        const int64_t *longs; /* LONG, TIME (micros) */
        const uint8_t *booleans;
        const uint32_t *codes; /* STRING by code */
    };
    const struct str *dictionary; /* not NULL: `codes` index into it */
    uint32_t dictionary_count;
};

/* What Iceberg's manifest wants to know of each column of the file. */
struct parquet_column_stats {
    int64_t compressed_bytes, values, nulls; /* values: incl. nulls */
    bool has_bounds;                         /* false: all null, or no upper bound possible */
    int64_t min_long, max_long;
    i128 min_decimal, max_decimal;
    uint8_t min_text[16 * 4], max_text[16 * 4]; /* cut to 16 code points, upper raised */
    uint8_t min_text_len, max_text_len;
};

typedef enum err_code (*parquet_sink)(void *ctx, const void *data, size_t len, struct err *e);

struct parquet_writer;
struct parquet_writer_options {
    const struct parquet_column *columns;
    int column_count;
    const int *sort_columns; /* told in the footer; rows must come so */
    int sort_count;
    int32_t page_rows; /* 0: 20,000 */
    parquet_sink sink;
    void *sink_ctx;
};
enum err_code parquet_writer_new(const struct parquet_writer_options *o,
                                 struct parquet_writer **ret, struct err *e) MUST_USE;
enum err_code parquet_writer_row_group(struct parquet_writer *w,
                                       const struct parquet_values *columns, size_t rows,
                                       struct err *e) MUST_USE;
/* Writes the footer. Stats and split offsets are valid until parquet_writer_free. */
enum err_code parquet_writer_finish(struct parquet_writer *w, struct err *e) MUST_USE;
uint64_t parquet_writer_bytes(const struct parquet_writer *w);
int64_t parquet_writer_rows(const struct parquet_writer *w);
const struct parquet_column_stats *parquet_writer_stats(const struct parquet_writer *w, int column);
size_t parquet_writer_splits(const struct parquet_writer *w, const int64_t **ret_offsets);
struct parquet_writer *parquet_writer_free(struct parquet_writer *w);

/* Reading: a column chunk at a time into memory owned by the reader, valid until the next row
 * group. */
struct parquet_chunk {
    size_t rows;
    const uint8_t *present; /* NULL: all */
    union {
        const struct str *strings;
        const i128 *decimals;
        const int64_t *longs;
        const uint8_t *booleans;
    };
};
struct parquet_reader;
enum err_code parquet_reader_open(const char *path, struct parquet_reader **ret,
                                  struct err *e) MUST_USE;
/* The same over memory (tests, fuzzing); bytes must outlive the reader. */
enum err_code parquet_reader_open_bytes(struct str bytes, struct parquet_reader **ret,
                                        struct err *e) MUST_USE;
struct parquet_reader *parquet_reader_close(struct parquet_reader *r);
int parquet_reader_column(const struct parquet_reader *r, int32_t field_id); /* -1 when absent */
int parquet_reader_row_groups(const struct parquet_reader *r);
int64_t parquet_reader_rows(const struct parquet_reader *r);
int64_t parquet_reader_group_rows(const struct parquet_reader *r, int group);
bool parquet_reader_ours(const struct parquet_reader *r); /* created_by ticklake */
/* Footer bounds of a LONG/TIME column in a row group; false when there are none. */
bool parquet_reader_long_bounds(const struct parquet_reader *r, int group, int column,
                                int64_t *ret_min, int64_t *ret_max);
enum err_code parquet_reader_read(struct parquet_reader *r, int group, int column,
                                  enum column_type type, struct parquet_chunk *ret,
                                  struct err *e) MUST_USE;

#endif
