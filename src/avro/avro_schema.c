/* Avro schema JSON to a tree of types. Only the shape and the field ids matter here; names
 * resolve references. */
#include "avro/avro_internal.h"

#include <stdlib.h>
#include <yyjson.h>

struct named {
    struct str name;
    struct avro_type *type;
};

struct parser {
    struct arena *arena;
    struct named *names;
    size_t name_count;
    struct err *e;
};

static enum err_code parse_type(struct parser *p, yyjson_val *v, int depth, struct avro_type **ret);

static struct str text_of(yyjson_val *object, const char *key)
{
    yyjson_val *v = yyjson_obj_get(object, key);
    return yyjson_is_str(v) ? (struct str){yyjson_get_str(v), yyjson_get_len(v)}
                            : (struct str){NULL, 0};
}

static int32_t id_of(yyjson_val *object, const char *key)
{
    yyjson_val *v = yyjson_obj_get(object, key);
    if (!yyjson_is_int(v) || yyjson_get_sint(v) < 0 || yyjson_get_sint(v) > INT32_MAX) return -1;
    return (int32_t)yyjson_get_sint(v);
}

static enum err_code refuse(struct parser *p, const char *what, struct str name)
{
    return ERR(p->e, ERR_CORRUPT, "the Avro schema %s %.*s", what, name.n > 80 ? 80 : (int)name.n,
               name.p ? name.p : "");
}

static enum err_code new_type(struct parser *p, enum avro_form form, size_t parts,
                              struct avro_type **ret)
{
    struct avro_type *t = arena_zero(p->arena, sizeof *t);
    struct avro_part *list = arena_zero(p->arena, parts * sizeof *list + 1);
    if (!t || !list) return refuse(p, "is too big", STR(""));
    *t = (struct avro_type){.form = form, .parts = list, .count = parts};
    *ret = t;
    return ERR_OK;
}

/* "ns.name" and "name" both find it: Iceberg's names (r2, manifest_file) are unique without
 * their namespace. */
static struct str last_part(struct str name)
{
    for (size_t i = name.n; i > 0; i--)
        if (name.p[i - 1] == '.') return (struct str){name.p + i, name.n - i};
    return name;
}

static enum err_code remember(struct parser *p, struct str name, struct avro_type *t)
{
    if (name.n == 0) return refuse(p, "has a record, enum or fixed without a name", STR(""));
    if (p->name_count == AVRO_NAMES_MAX) return refuse(p, "has too many names at", name);
    p->names[p->name_count++] = (struct named){last_part(name), t};
    return ERR_OK;
}

static enum err_code parse_name(struct parser *p, struct str name, struct avro_type **ret)
{
    static const struct {
        const char *name;
        enum avro_form form;
    } simple[] = {
        {"null", FORM_NULL},   {"boolean", FORM_BOOLEAN}, {"int", FORM_INT},
        {"long", FORM_INT},    {"float", FORM_FLOAT},     {"double", FORM_DOUBLE},
        {"bytes", FORM_BYTES}, {"string", FORM_BYTES},
    };
    for (size_t i = 0; i < sizeof simple / sizeof simple[0]; i++)
        if (str_is(name, simple[i].name)) return new_type(p, simple[i].form, 0, ret);
    for (size_t i = 0; i < p->name_count; i++) {
        if (!str_eq(p->names[i].name, last_part(name))) continue;
        *ret = p->names[i].type;
        return ERR_OK;
    }
    return refuse(p, "names an unknown type", name);
}

static enum err_code parse_record(struct parser *p, yyjson_val *v, int depth,
                                  struct avro_type **ret)
{
    yyjson_val *fields = yyjson_obj_get(v, "fields"), *field;
    if (!yyjson_is_arr(fields))
        return refuse(p, "has a record without fields:", text_of(v, "name"));
    TRY(new_type(p, FORM_RECORD, yyjson_arr_size(fields), ret));
    TRY(remember(p, text_of(v, "name"), *ret));
    size_t i, n;
    yyjson_arr_foreach(fields, i, n, field)
    {
        struct avro_part *part = &(*ret)->parts[i];
        part->field_id = id_of(field, "field-id");
        TRY(parse_type(p, yyjson_obj_get(field, "type"), depth + 1, &part->type));
    }
    return ERR_OK;
}

static enum err_code parse_inner(struct parser *p, yyjson_val *v, enum avro_form form, int depth,
                                 struct avro_type **ret)
{
    bool map = form == FORM_MAP;
    TRY(new_type(p, form, 1, ret));
    (*ret)->parts[0].field_id = id_of(v, map ? "value-id" : "element-id");
    return parse_type(p, yyjson_obj_get(v, map ? "values" : "items"), depth + 1,
                      &(*ret)->parts[0].type);
}

static enum err_code parse_fixed(struct parser *p, yyjson_val *v, struct avro_type **ret)
{
    int32_t size = id_of(v, "size");
    if (size < 0) return refuse(p, "has a fixed without a size:", text_of(v, "name"));
    TRY(new_type(p, FORM_FIXED, 0, ret));
    (*ret)->size = size;
    return remember(p, text_of(v, "name"), *ret);
}

static enum err_code parse_object(struct parser *p, yyjson_val *v, int depth,
                                  struct avro_type **ret)
{
    struct str type = text_of(v, "type");
    if (!type.p)
        return parse_type(p, yyjson_obj_get(v, "type"), depth + 1,
                          ret); /* {"type": {...}} or a union */
    if (str_is(type, "record")) return parse_record(p, v, depth, ret);
    if (str_is(type, "array")) return parse_inner(p, v, FORM_ARRAY, depth, ret);
    if (str_is(type, "map")) return parse_inner(p, v, FORM_MAP, depth, ret);
    if (str_is(type, "fixed")) return parse_fixed(p, v, ret);
    if (str_is(type, "enum")) {
        TRY(new_type(p, FORM_INT, 0, ret));
        return remember(p, text_of(v, "name"), *ret);
    }
    return parse_name(p, type, ret);
}

static enum err_code parse_union(struct parser *p, yyjson_val *v, int depth, struct avro_type **ret)
{
    TRY(new_type(p, FORM_UNION, yyjson_arr_size(v), ret));
    yyjson_val *branch;
    size_t i, n;
    yyjson_arr_foreach(v, i, n, branch)
    {
        (*ret)->parts[i].field_id = -1;
        TRY(parse_type(p, branch, depth + 1, &(*ret)->parts[i].type));
    }
    return ERR_OK;
}

static enum err_code parse_type(struct parser *p, yyjson_val *v, int depth, struct avro_type **ret)
{
    if (depth > AVRO_DEPTH_MAX) return refuse(p, "is nested too deeply", STR(""));
    if (yyjson_is_str(v))
        return parse_name(p, (struct str){yyjson_get_str(v), yyjson_get_len(v)}, ret);
    if (yyjson_is_arr(v)) return parse_union(p, v, depth, ret);
    if (yyjson_is_obj(v)) return parse_object(p, v, depth, ret);
    return refuse(p, "lacks a type", STR(""));
}

enum err_code avro_parse_schema(struct str json, struct arena *a, struct avro_type **ret,
                                struct err *e)
{
    if (json.n > AVRO_SCHEMA_BYTES_MAX)
        return ERR(e, ERR_CORRUPT, "an Avro schema of %zu bytes, limit %d", json.n,
                   AVRO_SCHEMA_BYTES_MAX);
    yyjson_doc *doc = yyjson_read(json.p, json.n, 0);
    if (!doc) return ERR(e, ERR_CORRUPT, "the Avro schema is no JSON");
    struct parser p = {.arena = a, .e = e, .names = malloc(AVRO_NAMES_MAX * sizeof(struct named))};
    CHECK(p.names != NULL);
    enum err_code code = parse_type(&p, yyjson_doc_get_root(doc), 0, ret);
    if (code == ERR_OK && (*ret)->form != FORM_RECORD) code = refuse(&p, "is no record", STR(""));
    free(p.names);
    yyjson_doc_free(doc);
    return code;
}
