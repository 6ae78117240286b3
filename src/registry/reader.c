/* A writer's records read as a flat reader's record, by a plan that is made once for the two schemas. */
#include "registry/registry_internal.h"

#include <stdlib.h>

enum take {
    TAKE_NULL,
    TAKE_BOOLEAN,
    TAKE_INT,
    TAKE_LONG,
    TAKE_BYTES,
    TAKE_TEXT,
    TAKE_SKIP,  /* a field that the reader does not have, of a type that is not taken along */
    TAKE_REFUSE /* a branch of the writer's union that the reader lacks */
};
enum { TARGET_NONE = -1 };

struct step { /* one of the writer's fields */
    const struct schema_type *type;
    int32_t target; /* index of the reader's field */
    int32_t extra;  /* or of what is taken along */
    bool is_union;
    uint8_t take;  /* where it is no union */
    uint8_t *each; /* by branch */
};

struct registry_reader {
    struct schema reader, writer;
    struct step *steps;
    struct registry_value *standard; /* of fields that were not written; NULL kind elsewhere */
    struct registry_extra *extras;
    size_t extra_count;
};

/* ---- bytes ---- */

struct input {
    const uint8_t *at, *end;
    int64_t budget; /* of values skipped: those of no bytes must not take for ever */
};

static inline bool take_long(struct input *in, int64_t *ret)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (in->at == in->end) return false;
        uint8_t byte = *in->at++;
        if (shift == 63 && byte > 1) return false;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80) continue;
        *ret = (int64_t)((v >> 1) ^ -(v & 1));
        return true;
    }
    return false;
}

static inline bool take_run(struct input *in, int64_t n, struct str *ret)
{
    if (n < 0 || n > in->end - in->at) return false;
    *ret = (struct str){(const char *)in->at, (size_t)n};
    in->at += n;
    return true;
}

static inline bool take_bytes(struct input *in, struct str *ret)
{
    int64_t n;
    return take_long(in, &n) && take_run(in, n, ret);
}

/* ---- skipping ---- */

static bool skip(struct input *in, const struct schema_type *t, int depth);

/* A block whose count is negative says its bytes, and is skipped whole. */
static bool skip_blocks(struct input *in, const struct schema_type *t, int depth)
{
    for (;;) {
        int64_t n, bytes;
        struct str run;
        if (!take_long(in, &n)) return false;
        if (n == 0) return true;
        if (n < 0) {
            if (!take_long(in, &bytes) || !take_run(in, bytes, &run)) return false;
            continue;
        }
        for (; n > 0; n--) {
            if (t->form == FORM_MAP && !take_bytes(in, &run)) return false;
            if (!skip(in, t->inner[0], depth + 1)) return false;
        }
    }
}

static bool skip(struct input *in, const struct schema_type *t, int depth)
{
    int64_t number;
    struct str run;
    if (depth > SCHEMA_DEPTH_MAX || --in->budget < 0) return false;
    switch (t->form) {
    case FORM_NULL: return true;
    case FORM_BOOLEAN: return take_run(in, 1, &run);
    case FORM_INT:
    case FORM_LONG:
    case FORM_ENUM: return take_long(in, &number);
    case FORM_FLOAT: return take_run(in, 4, &run);
    case FORM_DOUBLE: return take_run(in, 8, &run);
    case FORM_BYTES:
    case FORM_STRING: return take_bytes(in, &run);
    case FORM_FIXED: return take_run(in, t->size, &run);
    case FORM_RECORD:
        for (size_t i = 0; i < t->count; i++)
            if (!skip(in, t->fields[i].type, depth + 1)) return false;
        return true;
    case FORM_ARRAY:
    case FORM_MAP: return skip_blocks(in, t, depth);
    case FORM_UNION:
        return take_long(in, &number) && number >= 0 && (uint64_t)number < t->count &&
               skip(in, t->inner[number], depth + 1);
    }
    return false;
}

/* ---- the plan ---- */

static bool is_flat(const struct schema_type *t)
{
    if (t->form == FORM_UNION) {
        for (size_t i = 0; i < t->count; i++)
            if (!is_flat(t->inner[i])) return false;
        return t->count > 0;
    }
    return t->form <= FORM_STRING && t->form != FORM_FLOAT && t->form != FORM_DOUBLE;
}

/* How a value that `w` (no union) wrote is taken by `r`. */
static enum take take_of(const struct schema_type *r, const struct schema_type *w, struct err *e)
{
    if (r->form == FORM_UNION) {
        for (size_t i = 0; i < r->count; i++)
            if (schema_resolve(r->inner[i], w, NULL) == ERR_OK) return take_of(r->inner[i], w, e);
    }
    if (schema_resolve(r, w, e) != ERR_OK) return TAKE_REFUSE;
    switch ((int)w->form) {
    case FORM_NULL: return TAKE_NULL;
    case FORM_BOOLEAN: return TAKE_BOOLEAN;
    case FORM_INT: return TAKE_INT;
    case FORM_LONG: return TAKE_LONG;
    default: return r->form == FORM_STRING ? TAKE_TEXT : TAKE_BYTES;
    }
}

static enum err_code plan_field(struct registry_reader *p, struct step *s, struct err *e)
{
    const struct schema_field *f = &p->reader.root->fields[s->target];
    const struct schema_type *w = s->type;
    struct err why = {0};
    s->is_union = w->form == FORM_UNION;
    size_t branches = s->is_union ? w->count : 1, readable = 0;
    s->each = arena_zero(&p->reader.arena, branches + 1);
    CHECK(s->each != NULL);
    for (size_t i = 0; i < branches; i++) {
        s->each[i] = (uint8_t)take_of(f->type, s->is_union ? w->inner[i] : w, &why);
        readable += s->each[i] != TAKE_REFUSE;
    }
    s->take = s->each[0];
    if (readable) return ERR_OK;
    return ERR(e, ERR_INCOMPATIBLE, "field %.*s: %s", f->name.n > 80 ? 80 : (int)f->name.n,
               f->name.p, why.text[0] ? why.text : "the writer's union is empty");
}

static enum take take_extra(const struct schema_type *t)
{
    switch ((int)t->form) {
    case FORM_NULL: return TAKE_NULL;
    case FORM_BOOLEAN: return TAKE_BOOLEAN;
    case FORM_INT: return TAKE_INT;
    case FORM_LONG: return TAKE_LONG;
    case FORM_BYTES: return TAKE_BYTES;
    case FORM_STRING: return TAKE_TEXT;
    default: CHECK(false);
    }
}

static void plan_extra(struct registry_reader *p, const struct schema_field *f, struct step *s)
{
    struct registry_extra *x = &p->extras[p->extra_count++];
    *x = (struct registry_extra){.name = f->name};
    schema_extra_of(f->type, x);
    if (x->type == REGISTRY_TYPE_OTHER) return;
    s->extra = (int32_t)p->extra_count - 1;
    s->is_union = f->type->form == FORM_UNION;
    size_t branches = s->is_union ? f->type->count : 1;
    s->each = arena_zero(&p->reader.arena, branches + 1);
    CHECK(s->each != NULL);
    for (size_t i = 0; i < branches; i++)
        s->each[i] = (uint8_t)take_extra(s->is_union ? f->type->inner[i] : f->type);
    s->take = s->each[0];
}

static bool default_of(const struct schema_field *f, struct registry_value *ret)
{
    const struct schema_type *t = f->type->form == FORM_UNION ? f->type->inner[0] : f->type;
    yyjson_val *v = f->standard;
    *ret = (struct registry_value){.kind = REGISTRY_VALUE_NULL};
    switch ((int)t->form) {
    case FORM_NULL: return yyjson_is_null(v);
    case FORM_BOOLEAN:
        ret->kind = REGISTRY_VALUE_NUMBER;
        ret->number = yyjson_get_bool(v);
        return yyjson_is_bool(v);
    case FORM_INT:
    case FORM_LONG:
        ret->kind = REGISTRY_VALUE_NUMBER;
        ret->number = yyjson_get_sint(v);
        return yyjson_is_int(v);
    case FORM_STRING:
        ret->kind = REGISTRY_VALUE_BYTES;
        ret->bytes = (struct str){yyjson_get_str(v), yyjson_get_len(v)};
        return yyjson_is_str(v);
    default: return false;
    }
}

static enum err_code plan(struct registry_reader *p, struct err *e)
{
    const struct schema_type *r = p->reader.root, *w = p->writer.root;
    CHECK(r->form == FORM_RECORD);
    for (size_t i = 0; i < r->count; i++) CHECK(is_flat(r->fields[i].type));
    if (w->form != FORM_RECORD || !schema_names_match(r, w)) return schema_resolve(r, w, e);
    p->steps = arena_zero(&p->reader.arena, w->count * sizeof *p->steps + 1);
    p->standard = arena_zero(&p->reader.arena, r->count * sizeof *p->standard + 1);
    p->extras = arena_zero(&p->reader.arena, w->count * sizeof *p->extras + 1);
    CHECK(p->steps != NULL && p->standard != NULL && p->extras != NULL);
    for (size_t i = 0; i < w->count; i++)
        p->steps[i] = (struct step){.type = w->fields[i].type,
                                    .target = TARGET_NONE,
                                    .extra = TARGET_NONE,
                                    .take = TAKE_SKIP};
    for (size_t i = 0; i < r->count; i++) {
        const struct schema_field *f = &r->fields[i];
        size_t at = schema_find_field(w, f);
        if (at < w->count && p->steps[at].target == TARGET_NONE) {
            p->steps[at].target = (int32_t)i;
            TRY(plan_field(p, &p->steps[at], e));
            continue;
        }
        if (!f->standard || !default_of(f, &p->standard[i]))
            return ERR(e, ERR_INCOMPATIBLE, "field %.*s was not written and has no default",
                       f->name.n > 80 ? 80 : (int)f->name.n, f->name.p);
    }
    for (size_t i = 0; i < w->count; i++)
        if (p->steps[i].target == TARGET_NONE) plan_extra(p, &w->fields[i], &p->steps[i]);
    return ERR_OK;
}

enum err_code registry_reader_new(struct str reader, struct str writer,
                                  struct registry_reader **ret, struct err *e)
{
    struct registry_reader *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    enum err_code code = schema_parse(reader, &p->reader, e);
    CHECK(code == ERR_OK); /* it is ours */
    code = schema_parse(writer, &p->writer, e);
    if (code != ERR_OK) {
        err_prefix(e, "the writer's schema: ");
        code = ERR_INCOMPATIBLE;
        if (e) e->code = code;
    }
    if (code == ERR_OK) code = plan(p, e);
    if (code == ERR_OK)
        *ret = p;
    else
        registry_reader_free(p);
    return code;
}

struct registry_reader *registry_reader_free(struct registry_reader *p)
{
    if (!p) return NULL;
    schema_free(&p->reader);
    schema_free(&p->writer);
    free(p);
    return NULL;
}

size_t registry_reader_fields(const struct registry_reader *p) { return p->reader.root->count; }

size_t registry_reader_extras(const struct registry_reader *p, const struct registry_extra **ret)
{
    *ret = p->extras;
    return p->extra_count;
}

/* ---- records ---- */

static inline bool take_value(struct input *in, enum take take, const struct schema_type *w,
                              struct registry_value *v)
{
    v->kind = REGISTRY_VALUE_NUMBER;
    switch (take) {
    case TAKE_NULL: v->kind = REGISTRY_VALUE_NULL; return true;
    case TAKE_BOOLEAN:
        if (in->at == in->end || *in->at > 1) return false;
        v->number = *in->at++;
        return true;
    case TAKE_INT:
        return take_long(in, &v->number) && v->number >= INT32_MIN && v->number <= INT32_MAX;
    case TAKE_LONG: return take_long(in, &v->number);
    case TAKE_BYTES: v->kind = REGISTRY_VALUE_BYTES; return take_bytes(in, &v->bytes);
    case TAKE_TEXT:
        v->kind = REGISTRY_VALUE_BYTES;
        return take_bytes(in, &v->bytes) && str_is_utf8(v->bytes);
    case TAKE_SKIP: return skip(in, w, 0);
    case TAKE_REFUSE: return false;
    }
    return false;
}

static enum err_code refuse(const struct registry_reader *p, size_t field, const uint8_t *at,
                            struct str record, struct err *e)
{
    struct str name = p->writer.root->fields[field].name;
    return ERR(
        e, ERR_PARSE, "field %.*s, at byte %zu of %zu: cut, damaged or a branch that is not ours",
        name.n > 80 ? 80 : (int)name.n, name.p, (size_t)(at - (const uint8_t *)record.p), record.n);
}

enum err_code registry_reader_read_all(const struct registry_reader *p, struct str record,
                                       struct registry_value *values, struct registry_value *extras,
                                       struct err *e)
{
    struct input in = {(const uint8_t *)record.p, (const uint8_t *)record.p + record.n,
                       64 * (int64_t)record.n + SCHEMA_PARTS_MAX};
    memcpy(values, p->standard, p->reader.root->count * sizeof *values);
    size_t steps = p->writer.root->count;
    struct registry_value unwanted;
    for (size_t i = 0; extras && i < p->extra_count; i++)
        extras[i] = (struct registry_value){.kind = REGISTRY_VALUE_NULL};
    for (size_t i = 0; i < steps; i++) {
        const struct step *s = &p->steps[i];
        const uint8_t *from = in.at;
        enum take take = (enum take)s->take;
        if (s->is_union) {
            int64_t branch;
            if (!take_long(&in, &branch) || branch < 0 || (uint64_t)branch >= s->type->count)
                return refuse(p, i, from, record, e);
            take = (enum take)s->each[branch];
        }
        struct registry_value *v = &unwanted;
        if (s->target != TARGET_NONE)
            v = &values[s->target];
        else if (s->extra != TARGET_NONE && extras)
            v = &extras[s->extra];
        if (!take_value(&in, take, s->type, v)) return refuse(p, i, from, record, e);
    }
    if (in.at != in.end)
        return ERR(e, ERR_PARSE, "%zu bytes are left over behind the record",
                   (size_t)(in.end - in.at));
    return ERR_OK;
}

enum err_code registry_reader_read(const struct registry_reader *p, struct str record,
                                   struct registry_value *values, struct err *e)
{
    return registry_reader_read_all(p, record, values, NULL, e);
}
