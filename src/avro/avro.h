/* avro.h - Avro object container files, as Iceberg's manifests need them.
 *
 * Writing   the schema JSON goes into the header verbatim (libavro drops the field ids that Iceberg
 *           needs); the caller encodes each record with avro_put_* in schema order; blocks are
 *           deflate. Whole file in memory.
 * Reading   by the file's own schema: fields in any order, codec null or deflate; the caller walks
 *           a record by FIELD ID, unknown fields are skipped by their type. Hostile input: bounded
 *           (nesting, sizes), fuzzed.
 */
#ifndef TICKLAKE_LAKE_AVRO_H
#define TICKLAKE_LAKE_AVRO_H

#include "base/buf.h"

struct avro_writer; /* one object container file */
struct avro_meta {
    const char *key;
    struct str value;
};
struct avro_writer *avro_writer_new(struct str schema_json, const struct avro_meta *meta,
                                    size_t meta_count);
/* The buffer that the next record is encoded into. */
struct buf *avro_writer_record(struct avro_writer *w);
void avro_writer_end_record(struct avro_writer *w);
/* The finished file; valid until avro_writer_free. */
enum err_code avro_writer_finish(struct avro_writer *w, struct str *ret, struct err *e) MUST_USE;
struct avro_writer *avro_writer_free(struct avro_writer *w);

void avro_put_long(struct buf *b, int64_t v); /* int and long */
void avro_put_bool(struct buf *b, bool v);
void avro_put_bytes(struct buf *b, struct str v);   /* bytes and string */
void avro_put_null_or(struct buf *b, bool present); /* union [null, T] */

enum avro_kind {
    AVRO_NULL,
    AVRO_BOOL,
    AVRO_LONG /* int too */,
    AVRO_FLOAT,
    AVRO_DOUBLE,
    AVRO_BYTES /* string, fixed too */,
    AVRO_RECORD,
    AVRO_ARRAY,
    AVRO_MAP,
};
/* A decoded value: a small tree in the reader's arena, valid until the next record. Unions are
 * resolved away. */
struct avro_value {
    enum avro_kind kind;
    int32_t field_id; /* of the record field that holds it; -1 unknown */
    int64_t number;   /* BOOL, LONG */
    struct str bytes;
    struct avro_value
        *items; /* RECORD: fields in file order; ARRAY: elements; MAP: key, value, key, value */
    size_t count;
};
struct avro_reader;
enum err_code avro_reader_open(struct str bytes, struct avro_reader **ret, struct err *e) MUST_USE;
struct avro_reader *avro_reader_close(struct avro_reader *r);
bool avro_reader_meta(const struct avro_reader *r, const char *key, struct str *ret);
/* ERR_OK with a RECORD; ERR_NOT_FOUND at the end; ERR_CORRUPT. */
enum err_code avro_reader_next(struct avro_reader *r, const struct avro_value **ret,
                               struct err *e) MUST_USE;
const struct avro_value *avro_field(const struct avro_value *record, int32_t field_id); /* NULL */

#endif
