/* Avro schema JSON to a tree of types, by the specification: names and namespaces, aliases, defaults, logical types. */
#include "registry/registry_internal.h"

#include <stdlib.h>

struct parser {
    struct arena *arena;
    struct schema_type **names;
    size_t name_count;
    struct err *e;
};

static enum err_code parse_type(struct parser *p, yyjson_val *v, struct str space, int depth,
                                struct schema_type **ret);

static enum err_code refuse(struct parser *p, const char *what, struct str name)
{
    return ERR(p->e, ERR_CORRUPT, "the Avro schema %s%s%.*s", what, name.n ? " " : "",
               name.n > 100 ? 100 : (int)name.n, name.p ? name.p : "");
}

static enum err_code too_big(struct parser *p) { return refuse(p, "is too big", STR("")); }

static struct str text_of(yyjson_val *object, const char *key)
{
    yyjson_val *v = yyjson_obj_get(object, key);
    return yyjson_is_str(v) ? (struct str){yyjson_get_str(v), yyjson_get_len(v)}
                            : (struct str){NULL, 0};
}

/* A part of a name: [A-Za-z_][A-Za-z0-9_]*. */
static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9')) return false;
    }
    return s.n > 0;
}

static bool is_full_name(struct str s)
{
    while (s.n) {
        size_t before = s.n;
        struct str part = str_cut(&s, '.');
        if (!is_name(part)) return false;
        if (s.n == 0) return part.n == before; /* no dot at the end */
    }
    return false;
}

struct str schema_short_name(struct str full)
{
    for (size_t i = full.n; i > 0; i--)
        if (full.p[i - 1] == '.') return (struct str){full.p + i, full.n - i};
    return full;
}

static struct str space_of(struct str full)
{
    struct str name = schema_short_name(full);
    return name.n == full.n ? STR("") : (struct str){full.p, full.n - name.n - 1};
}

/* A name with a dot is full already; else the namespace stands before it. */
static enum err_code full_name(struct parser *p, struct str name, struct str space, struct str *ret)
{
    *ret = name;
    if (memchr(name.p, '.', name.n) || space.n == 0) return ERR_OK;
    char *text = arena_alloc(p->arena, space.n + 1 + name.n);
    if (!text) return too_big(p);
    memcpy(text, space.p, space.n);
    text[space.n] = '.';
    memcpy(text + space.n + 1, name.p, name.n);
    *ret = (struct str){text, space.n + 1 + name.n};
    return ERR_OK;
}

static enum err_code new_type(struct parser *p, enum schema_form form, struct schema_type **ret)
{
    struct schema_type *t = arena_zero(p->arena, sizeof *t);
    if (!t) return too_big(p);
    t->form = form;
    *ret = t;
    return ERR_OK;
}

static void *parts(struct parser *p, size_t count, size_t size)
{
    return count > SCHEMA_PARTS_MAX ? NULL : arena_zero(p->arena, count * size + 1);
}

static enum err_code parse_texts(struct parser *p, yyjson_val *array, struct str **ret,
                                 size_t *ret_count)
{
    size_t i, n;
    yyjson_val *v;
    *ret = parts(p, yyjson_arr_size(array), sizeof **ret);
    if (!*ret) return too_big(p);
    yyjson_arr_foreach(array, i, n, v)
    {
        if (!yyjson_is_str(v)) return refuse(p, "has a name that is no text", STR(""));
        (*ret)[(*ret_count)++] = (struct str){yyjson_get_str(v), yyjson_get_len(v)};
    }
    return ERR_OK;
}

static struct schema_type *named(const struct parser *p, struct str full)
{
    for (size_t i = 0; i < p->name_count; i++)
        if (str_eq(p->names[i]->name, full)) return p->names[i];
    return NULL;
}

/* Name, namespace and aliases of a record, an enum or a fixed. */
static enum err_code parse_name(struct parser *p, yyjson_val *v, struct str space,
                                struct schema_type *t)
{
    struct str name = text_of(v, "name"), own = text_of(v, "namespace");
    if (!is_full_name(name)) return refuse(p, "has a type without a proper name", name);
    if (own.p && own.n && !is_full_name(own)) return refuse(p, "has no proper namespace in", name);
    TRY(full_name(p, name, own.p ? own : space, &t->name));
    TRY(parse_texts(p, yyjson_obj_get(v, "aliases"), &t->aliases, &t->alias_count));
    for (size_t i = 0; i < t->alias_count; i++) {
        if (!is_full_name(t->aliases[i])) return refuse(p, "has no proper alias in", name);
        TRY(full_name(p, t->aliases[i], space_of(t->name), &t->aliases[i]));
    }
    if (named(p, t->name)) return refuse(p, "defines twice", t->name);
    if (p->name_count == SCHEMA_NAMES_MAX) return too_big(p);
    p->names[p->name_count++] = t;
    return ERR_OK;
}

static const char *const primitives[] = {
    [FORM_NULL] = "null",   [FORM_BOOLEAN] = "boolean", [FORM_INT] = "int",
    [FORM_LONG] = "long",   [FORM_FLOAT] = "float",     [FORM_DOUBLE] = "double",
    [FORM_BYTES] = "bytes", [FORM_STRING] = "string",
};

static enum err_code parse_reference(struct parser *p, struct str name, struct str space,
                                     struct schema_type **ret)
{
    for (size_t i = 0; i < sizeof primitives / sizeof primitives[0]; i++)
        if (str_is(name, primitives[i])) return new_type(p, (enum schema_form)i, ret);
    struct str full;
    TRY(full_name(p, name, space, &full));
    *ret = named(p, full);
    return *ret ? ERR_OK : refuse(p, "names an unknown type", name);
}

static bool has_text(const struct str *list, size_t count, struct str s)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(list[i], s)) return true;
    return false;
}

static enum err_code parse_field(struct parser *p, yyjson_val *v, struct str space, int depth,
                                 struct schema_field *f)
{
    f->name = text_of(v, "name");
    if (!is_name(f->name)) return refuse(p, "has a field without a proper name", f->name);
    TRY(parse_texts(p, yyjson_obj_get(v, "aliases"), &f->aliases, &f->alias_count));
    f->standard = yyjson_obj_get(v, "default");
    return parse_type(p, yyjson_obj_get(v, "type"), space, depth + 1, &f->type);
}

static enum err_code parse_record(struct parser *p, yyjson_val *v, struct str space, int depth,
                                  struct schema_type *t)
{
    TRY(parse_name(p, v, space, t));
    yyjson_val *fields = yyjson_obj_get(v, "fields"), *field;
    if (!yyjson_is_arr(fields)) return refuse(p, "has no fields in record", t->name);
    t->fields = parts(p, yyjson_arr_size(fields), sizeof *t->fields);
    if (!t->fields) return too_big(p);
    size_t i, n;
    yyjson_arr_foreach(fields, i, n, field)
    {
        struct schema_field *f = &t->fields[t->count];
        TRY(parse_field(p, field, space_of(t->name), depth, f));
        for (size_t k = 0; k < t->count; k++)
            if (str_eq(t->fields[k].name, f->name))
                return refuse(p, "has twice the field", f->name);
        t->count++;
    }
    return ERR_OK;
}

static enum err_code parse_enum(struct parser *p, yyjson_val *v, struct str space,
                                struct schema_type *t)
{
    TRY(parse_name(p, v, space, t));
    yyjson_val *symbols = yyjson_obj_get(v, "symbols");
    if (!yyjson_is_arr(symbols)) return refuse(p, "has no symbols in enum", t->name);
    TRY(parse_texts(p, symbols, &t->symbols, &t->count));
    t->standard = text_of(v, "default");
    if (t->standard.p && !has_text(t->symbols, t->count, t->standard))
        return refuse(p, "has a default that is no symbol in enum", t->name);
    return ERR_OK;
}

static enum err_code parse_fixed(struct parser *p, yyjson_val *v, struct str space,
                                 struct schema_type *t)
{
    TRY(parse_name(p, v, space, t));
    yyjson_val *size = yyjson_obj_get(v, "size");
    if (!yyjson_is_int(size) || yyjson_get_sint(size) < 0 || yyjson_get_sint(size) > INT32_MAX)
        return refuse(p, "has no proper size in fixed", t->name);
    t->size = yyjson_get_sint(size);
    return ERR_OK;
}

static enum err_code parse_inner(struct parser *p, yyjson_val *v, struct str space, int depth,
                                 struct schema_type *t)
{
    t->inner = parts(p, 1, sizeof *t->inner);
    if (!t->inner) return too_big(p);
    t->count = 1;
    return parse_type(p, yyjson_obj_get(v, t->form == FORM_MAP ? "values" : "items"), space,
                      depth + 1, &t->inner[0]);
}

/* A logical type that is not valid is ignored, as the specification demands. */
static void parse_logical(yyjson_val *v, struct schema_type *t)
{
    struct str logical = text_of(v, "logicalType");
    if (!logical.p) return;
    if (!str_is(logical, "decimal")) {
        t->logical = logical;
        return;
    }
    yyjson_val *precision = yyjson_obj_get(v, "precision"), *scale = yyjson_obj_get(v, "scale");
    bool bytes = t->form == FORM_BYTES || t->form == FORM_FIXED;
    if (!bytes || !yyjson_is_int(precision) || (scale && !yyjson_is_int(scale))) return;
    int64_t digits = yyjson_get_sint(precision), places = scale ? yyjson_get_sint(scale) : 0;
    if (digits < 1 || places < 0 || places > digits) return;
    t->logical = logical;
    t->precision = digits;
    t->scale = places;
}

static enum err_code parse_object(struct parser *p, yyjson_val *v, struct str space, int depth,
                                  struct schema_type **ret)
{
    static const struct {
        const char *name;
        enum schema_form form;
    } complex[] = {{"record", FORM_RECORD}, {"error", FORM_RECORD}, {"enum", FORM_ENUM},
                   {"fixed", FORM_FIXED},   {"array", FORM_ARRAY},  {"map", FORM_MAP}};
    struct str type = text_of(v, "type");
    if (!type.p) return parse_type(p, yyjson_obj_get(v, "type"), space, depth + 1, ret);
    for (size_t i = 0; i < sizeof complex / sizeof complex[0]; i++) {
        if (!str_is(type, complex[i].name)) continue;
        TRY(new_type(p, complex[i].form, ret));
        struct schema_type *t = *ret;
        switch ((int)t->form) {
        case FORM_RECORD: return parse_record(p, v, space, depth, t);
        case FORM_ENUM: return parse_enum(p, v, space, t);
        case FORM_FIXED: TRY(parse_fixed(p, v, space, t)); break;
        default: return parse_inner(p, v, space, depth, t);
        }
        parse_logical(v, t);
        return ERR_OK;
    }
    TRY(parse_reference(p, type, space, ret));
    if ((*ret)->form <= FORM_STRING)
        parse_logical(v, *ret); /* a primitive is an object of its own */
    return ERR_OK;
}

static enum err_code parse_union(struct parser *p, yyjson_val *v, struct str space, int depth,
                                 struct schema_type **ret)
{
    TRY(new_type(p, FORM_UNION, ret));
    struct schema_type *t = *ret;
    t->inner = parts(p, yyjson_arr_size(v), sizeof *t->inner);
    if (!t->inner) return too_big(p);
    yyjson_val *branch;
    size_t i, n;
    yyjson_arr_foreach(v, i, n, branch)
    {
        TRY(parse_type(p, branch, space, depth + 1, &t->inner[t->count]));
        if (t->inner[t->count++]->form == FORM_UNION)
            return refuse(p, "has a union in a union", STR(""));
    }
    return ERR_OK;
}

static enum err_code parse_type(struct parser *p, yyjson_val *v, struct str space, int depth,
                                struct schema_type **ret)
{
    if (depth > SCHEMA_DEPTH_MAX) return refuse(p, "is nested too deeply", STR(""));
    if (yyjson_is_str(v))
        return parse_reference(p, (struct str){yyjson_get_str(v), yyjson_get_len(v)}, space, ret);
    if (yyjson_is_arr(v)) return parse_union(p, v, space, depth, ret);
    if (yyjson_is_obj(v)) return parse_object(p, v, space, depth, ret);
    return refuse(p, "lacks a type", STR(""));
}

enum err_code schema_parse(struct str json, struct schema *ret, struct err *e)
{
    *ret = (struct schema){0};
    if (json.n > REGISTRY_SCHEMA_MAX)
        return ERR(e, ERR_CORRUPT, "an Avro schema of %zu bytes, limit %d", json.n,
                   REGISTRY_SCHEMA_MAX);
    arena_init(&ret->arena, SCHEMA_ARENA_BYTES);
    ret->doc = yyjson_read(json.p, json.n, 0);
    struct parser p = {.arena = &ret->arena,
                       .names = malloc(SCHEMA_NAMES_MAX * sizeof(struct schema_type *)),
                       .e = e};
    CHECK(p.names != NULL);
    enum err_code code = ret->doc
                             ? parse_type(&p, yyjson_doc_get_root(ret->doc), STR(""), 0, &ret->root)
                             : refuse(&p, "is no JSON", STR(""));
    free(p.names);
    if (code != ERR_OK) schema_free(ret);
    return code;
}

void schema_free(struct schema *s)
{
    yyjson_doc_free(s->doc);
    arena_free(&s->arena);
    *s = (struct schema){0};
}

/* ---- words ---- */

bool schema_is_decimal(const struct schema_type *t)
{
    return t->logical.p && str_is(t->logical, "decimal");
}

static void describe(const struct schema_type *t, int depth, struct buf *out)
{
    static const char *const words[] = {
        [FORM_FIXED] = "fixed",    [FORM_ENUM] = "enum",  [FORM_RECORD] = "record",
        [FORM_ARRAY] = "array of", [FORM_MAP] = "map of", [FORM_UNION] = "union of",
    };
    if (schema_is_decimal(t)) {
        buf_addf(out, "%sdecimal(%lld,%lld)", t->form == FORM_FIXED ? "fixed " : "",
                 (long long)t->precision, (long long)t->scale);
        return;
    }
    if (t->form <= FORM_STRING) {
        buf_add_cstr(out, primitives[t->form]);
        if (t->logical.p)
            buf_addf(out, " %.*s", t->logical.n > 40 ? 40 : (int)t->logical.n, t->logical.p);
        return;
    }
    buf_addf(out, "%s ", words[t->form]);
    if (t->name.n) buf_addf(out, "%.*s", t->name.n > 80 ? 80 : (int)t->name.n, t->name.p);
    if (t->form == FORM_FIXED) buf_addf(out, "(%lld)", (long long)t->size);
    if (!t->inner) return;
    for (size_t i = 0; i < t->count; i++) {
        if (i > 7 || depth > 2) {
            buf_add_cstr(out, " ...");
            return;
        }
        if (i) buf_add_cstr(out, ", ");
        describe(t->inner[i], depth + 1, out);
    }
}

void schema_describe(const struct schema_type *t, struct buf *out) { describe(t, 0, out); }
