/* registry.h - schemas of what stands on the bus: Confluent's API or AWS Glue, chosen by the options.
 *
 * Names     a subject is "<topic>-value" (Confluent) or a schema of that name in a Glue registry.
 * Rule      before the first record of a topic its schema is looked up, checked for compatibility (BACKWARD at least: by the
 *           registry where it does, by registry_compatible() always) and registered. A refused schema is ERR_INCOMPATIBLE:
 *           loud, and nothing is published.
 * Framing   Confluent: 00, schema id 4 bytes big-endian. Glue: 03, 00 (or 05: zlib of the payload), the schema version's UUID
 *           16 bytes.
 * Reading   a record names its writer's schema; registry_schema fetches and keeps it (a few thousand at most).
 * Errors    ERR_UNAVAILABLE, ERR_REFUSED, ERR_INCOMPATIBLE, ERR_NOT_FOUND; texts name registry, subject, what was asked and
 *           answered. Bodies that are not JSON are survived.
 * Answers   Confluent's error_code and Glue's __type are read, never the words: those differ between products (Apicurio).
 * Threads   one at a time.
 */
#ifndef TICKLAKE_REGISTRY_REGISTRY_H
#define TICKLAKE_REGISTRY_REGISTRY_H

#include "base/buf.h"
#include "io/aws.h"

enum registry_kind { REGISTRY_NONE, REGISTRY_CONFLUENT, REGISTRY_GLUE };
/* Texts are copied. */
struct registry_options {
    enum registry_kind kind;
    const char *
        url; /* Confluent: with its base path; Glue: endpoint, NULL: https://glue.REGION.amazonaws.com */
    const char *user, *password, *token; /* Confluent: basic or bearer; may be NULL */
    const char *name;                    /* Glue: the registry's name, made where it is absent */
    struct aws_options aws;              /* Glue */
    const char *ca_file;
    const char *compatibility; /* set for subjects of ours that have none yet: "BACKWARD" ... */
    int32_t timeout_ms;        /* 0: 10000 */
};
/* Identity of a registered schema: the bytes that stand before every record. */
struct registry_id {
    enum registry_kind kind;
    uint32_t number;  /* Confluent */
    uint8_t uuid[16]; /* Glue */
};
enum { REGISTRY_FRAME_MAX = 18, REGISTRY_SCHEMA_MAX = 1 << 20, REGISTRY_FIELDS_MAX = 4096 };

enum { REGISTRY_ID_TEXT = 40 };
/* "17" or "e22a0cd3-8a08-4b86-8d42-f07d252ac9a7". */
void registry_id_text(const struct registry_id *id, char out[REGISTRY_ID_TEXT]);

struct registry;
struct registry *registry_new(const struct registry_options *o);
struct registry *registry_free(struct registry *r);
const char *registry_address(const struct registry *r);

/* Registers `schema` (compact JSON) under the subject unless it is there already. */
enum err_code registry_register(struct registry *r, struct str subject, struct str schema,
                                struct registry_id *ret, struct err *e) MUST_USE;
/* Would the registry and our own rule take it? ERR_INCOMPATIBLE says why not; nothing is registered. */
enum err_code registry_check(struct registry *r, struct str subject, struct str schema,
                             struct err *e) MUST_USE;
/* Newest version's text; ERR_NOT_FOUND where the subject is not there. *ret is valid until the next call. */
enum err_code registry_latest(struct registry *r, struct str subject, struct registry_id *ret_id,
                              int32_t *ret_version, struct str *ret, struct err *e) MUST_USE;
/* The writer's schema of a record; kept. *ret lives as long as the registry. */
enum err_code registry_schema(struct registry *r, const struct registry_id *id, struct str *ret,
                              struct err *e) MUST_USE;
/* Remembers the text of an id, as registry_schema does what it fetched. */
enum err_code registry_keep(struct registry *r, const struct registry_id *id, struct str schema,
                            struct err *e) MUST_USE;
/* Newest versions of the subjects whose names begin with the prefix, 10,000 names at most. */
enum err_code registry_each(struct registry *r, struct str prefix,
                            enum err_code (*each)(void *ctx, struct str subject, int32_t version,
                                                  const struct registry_id *id, struct str schema,
                                                  struct err *e),
                            void *ctx, struct err *e) MUST_USE;

size_t registry_frame(const struct registry_id *id, uint8_t out[REGISTRY_FRAME_MAX]);
/* Reads the frame of either kind off the front of *record. A zlib payload is inflated into *scratch (bounded by limit).
 * ERR_PARSE names what was found. */
enum err_code registry_unframe(struct str *record, struct buf *scratch, size_t limit,
                               struct registry_id *ret, struct err *e) MUST_USE;

/* ---- Pure: schemas and records */

/* Can data written with `writer` be read with `reader`? The rules of the Avro specification ("Schema Resolution"),
 * for the types that we use and more: ERR_OK, or ERR_INCOMPATIBLE with the field and the reason. */
enum err_code registry_compatible(struct str reader, struct str writer, struct err *e) MUST_USE;

/* What differs between two schemas of records, field by field; `each` may be NULL. Texts live during the call; an absent side is
 * "absent". Equal schemas (white space, docs and the order of attributes aside) have no difference. */
struct registry_difference {
    struct str field; /* "price", or empty: the record itself */
    const char *ours, *theirs;
};
enum err_code registry_compare(struct str ours, struct str theirs,
                               void (*each)(void *ctx, const struct registry_difference *d),
                               void *ctx, size_t *ret_count, struct err *e) MUST_USE;

/* Records that any schema wrote, read as a flat record: `reader` has fields of null, boolean, int, long, bytes, string and
 * unions of these. The writer's schema may be anything that resolves to it; where a union of the writer has a branch that the
 * reader lacks, only a record that holds it is refused. */
struct registry_value {
    enum { REGISTRY_VALUE_NULL, REGISTRY_VALUE_NUMBER, REGISTRY_VALUE_BYTES } kind;
    int64_t number;   /* boolean, int, long */
    struct str bytes; /* bytes, string (proper UTF-8); point into the record or the reader */
};
struct registry_reader;
/* ERR_INCOMPATIBLE with the field and both types. */
enum err_code registry_reader_new(struct str reader, struct str writer,
                                  struct registry_reader **ret, struct err *e) MUST_USE;
struct registry_reader *registry_reader_free(struct registry_reader *r);
size_t registry_reader_fields(const struct registry_reader *r);
/* One value for each field of the reader, in its order. ERR_PARSE: damaged, or bytes are left over. Time and memory are bounded
 * by the record's length. */
enum err_code registry_reader_read(const struct registry_reader *r, struct str record,
                                   struct registry_value *values, struct err *e) MUST_USE;

/* Fields that the writer has and the reader has not. Those of a simple type, or a union of that and null, can be taken along. */
enum registry_type {
    REGISTRY_TYPE_OTHER, /* is skipped */
    REGISTRY_TYPE_STRING,
    REGISTRY_TYPE_LONG, /* int, long */
    REGISTRY_TYPE_BOOLEAN,
    REGISTRY_TYPE_BYTES,
    REGISTRY_TYPE_DECIMAL, /* decimal(38,18) in bytes */
    REGISTRY_TYPE_TIME,    /* timestamp-micros */
};
struct registry_extra {
    struct str name;
    enum registry_type type;
    char words[80]; /* "double", for people */
};
/* In the order of the writer's fields; lives as long as the reader. */
size_t registry_reader_extras(const struct registry_reader *r, const struct registry_extra **ret);
/* registry_reader_read with one value for each of the extras as well; null of a type that is skipped. */
enum err_code registry_reader_read_all(const struct registry_reader *r, struct str record,
                                       struct registry_value *values, struct registry_value *extras,
                                       struct err *e) MUST_USE;

#endif
