/* avro_internal.h - a file's own schema as a tree, for avro_*.c only. */
#ifndef TICKLAKE_LAKE_AVRO_INTERNAL_H
#define TICKLAKE_LAKE_AVRO_INTERNAL_H

#include "base/arena.h"
#include "avro/avro.h"

enum {
    AVRO_DEPTH_MAX = 32, /* of schema and of values: Iceberg's need 6 */
    AVRO_SCHEMA_BYTES_MAX = 4 << 20,
    AVRO_NAMES_MAX = 4096, /* named types in a schema */
};

enum avro_form { /* how a value is encoded */
                 FORM_NULL,
                 FORM_BOOLEAN,
                 FORM_INT, /* and long and enum */
                 FORM_FLOAT,
                 FORM_DOUBLE,
                 FORM_BYTES, /* and string */
                 FORM_FIXED,
                 FORM_RECORD,
                 FORM_ARRAY,
                 FORM_MAP,
                 FORM_UNION,
};

struct avro_type {
    enum avro_form form;
    int64_t size;            /* FIXED */
    struct avro_part *parts; /* RECORD: fields; ARRAY and MAP: one; UNION: branches */
    size_t count;
};

struct avro_part {
    struct avro_type *type;
    int32_t field_id; /* -1 unknown */
};

/* ERR_CORRUPT where the JSON is no schema. Types live in the arena. */
enum err_code avro_parse_schema(struct str json, struct arena *a, struct avro_type **ret,
                                struct err *e) MUST_USE;

#endif
