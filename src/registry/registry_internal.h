/* registry_internal.h - Avro schemas as trees, for registry/ only. */
#ifndef TICKLAKE_REGISTRY_REGISTRY_INTERNAL_H
#define TICKLAKE_REGISTRY_REGISTRY_INTERNAL_H

#include "base/arena.h"
#include "registry/registry.h"

#include <yyjson.h>

enum {
    SCHEMA_DEPTH_MAX = 64,         /* of a schema's JSON, and of a value that is skipped */
    SCHEMA_NAMES_MAX = 1024,       /* named types in a schema */
    SCHEMA_PARTS_MAX = 4096,       /* fields, branches and symbols of one type */
    SCHEMA_ARENA_BYTES = 64 << 20, /* of a tree */
};

enum schema_form {
    FORM_NULL,
    FORM_BOOLEAN,
    FORM_INT,
    FORM_LONG,
    FORM_FLOAT,
    FORM_DOUBLE,
    FORM_BYTES,
    FORM_STRING,
    FORM_FIXED,
    FORM_ENUM,
    FORM_RECORD,
    FORM_ARRAY,
    FORM_MAP,
    FORM_UNION,
};

struct schema_type {
    enum schema_form form;
    struct str name;     /* FIXED, ENUM, RECORD: full name, "io.ticklake.market.Trade" */
    struct str *aliases; /* full names */
    size_t alias_count;
    struct schema_field *fields; /* RECORD */
    struct schema_type **inner;  /* UNION: branches; ARRAY, MAP: one */
    struct str *symbols;         /* ENUM */
    size_t count;                /* of fields, inner or symbols */
    struct str standard;         /* ENUM: its default symbol; p NULL: none */
    int64_t size;                /* FIXED */
    struct str
        logical; /* "decimal", "timestamp-micros" ...; p NULL: none (or one that is not valid) */
    int64_t precision, scale; /* of decimal */
};

struct schema_field {
    struct str name;
    struct str *aliases;
    size_t alias_count;
    struct schema_type *type;
    yyjson_val *standard; /* default; NULL: none */
};

/* A parsed schema. Texts point into its JSON document. */
struct schema {
    struct arena arena;
    yyjson_doc *doc;
    struct schema_type *root;
};
/* ERR_CORRUPT says what is wrong with it. A half-built one is freed. */
enum err_code schema_parse(struct str json, struct schema *ret, struct err *e) MUST_USE;
void schema_free(struct schema *s); /* zeroed is fine */

struct str schema_short_name(struct str full);
/* Same unqualified name, or one of the reader's aliases is the writer's full name. */
bool schema_names_match(const struct schema_type *reader, const struct schema_type *writer);
/* The writer's field that a reader's field is read from: by name, else by the reader's aliases; count: none. */
size_t schema_find_field(const struct schema_type *writer, const struct schema_field *reader);
bool schema_is_decimal(const struct schema_type *t);
/* "decimal(38,18)", "union of null, string", "record Trade": for people. */
void schema_describe(const struct schema_type *t, struct buf *out);
/* As registry_compatible, of trees: is any value of `writer` read as `reader`? */
enum err_code schema_resolve(const struct schema_type *reader, const struct schema_type *writer,
                             struct err *e) MUST_USE;

#endif
