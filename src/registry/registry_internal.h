/* registry_internal.h - for registry/ only: Avro schemas as trees, and what the two kinds of registries must be able to do. */
#ifndef TICKLAKE_REGISTRY_REGISTRY_INTERNAL_H
#define TICKLAKE_REGISTRY_REGISTRY_INTERNAL_H

#include "base/arena.h"
#include "base/map.h"
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

/* extra.c: what a field of this type can be taken along as, and its words. */
void schema_extra_of(const struct schema_type *t, struct registry_extra *ret);

/* ---- registries ---- */

enum {
    REGISTRY_ANSWER_MAX = 4 << 20,
    REGISTRY_TIMEOUT_MS = 10000,
    REGISTRY_KEPT_MAX = 4096,        /* writers' schemas */
    REGISTRY_KEPT_BYTES = 256 << 20, /* and their texts */
    REGISTRY_MISSES = 64,
    REGISTRY_SUBJECTS_MAX = 10000,
    REGISTRY_NAME_MAX = 256,
};

struct registry_version {
    struct registry_id id;
    int32_t number;
};

/* What differs between the two. Functions return ERR_NOT_FOUND where the subject, the version or the schema is not there. */
struct registry_ops {
    /* The version of the subject that has this very schema. */
    enum err_code (*find)(struct registry *r, struct str subject, struct str schema,
                          struct registry_id *ret, struct err *e);
    /* Version `number` (0: the newest) and its text in *text. */
    enum err_code (*version)(struct registry *r, struct str subject, int32_t number,
                             struct registry_version *ret, struct buf *text, struct err *e);
    /* The registry's own word on a new version of a subject that is there. */
    enum err_code (*check)(struct registry *r, struct str subject, struct str schema,
                           struct err *e);
    enum err_code (*add)(struct registry *r, struct str subject, struct str schema, bool exists,
                         struct registry_id *ret, struct err *e);
    enum err_code (*schema)(struct registry *r, const struct registry_id *id, struct buf *text,
                            struct err *e);
    /* Calls `take` with the name of every subject. */
    enum err_code (*subjects)(struct registry *r,
                              enum err_code (*take)(void *ctx, struct str subject, struct err *e),
                              void *ctx, struct err *e);
};
extern const struct registry_ops registry_confluent, registry_glue;

struct registry_miss {
    struct registry_id id;
    int64_t until_ns;
    struct err why;
};

struct registry {
    enum registry_kind kind;
    const struct registry_ops *ops;
    char *url, *address; /* without an end slash; address: without credentials, for texts */
    char *user, *password, *token, *name, *ca_file;
    char compatibility[32];
    int32_t timeout_ms;
    struct http_client *http;
    struct aws *aws;
    struct map kept; /* id bytes -> index */
    struct str *schemas;
    size_t schema_count, schema_cap;
    struct arena texts;
    struct registry_miss misses[REGISTRY_MISSES];
    size_t next_miss;
    struct buf latest, scratch;
};

/* A yyjson document of an answer, or NULL. */
yyjson_doc *registry_json(const struct http_reply *reply);
struct str registry_text(yyjson_val *object, const char *key); /* p NULL: none, or no text */
/* First words of a body that is not what was asked for, on one line, for error texts. */
void registry_excerpt(struct str body, char out[96]);

#endif
