/* Can what one schema wrote be read by another? The specification's "Schema Resolution", and two refusals beyond it, because
 * Avro would read a wrong number without a word: a decimal against bytes or another scale, and times of different units. */
#include "registry/registry_internal.h"

#include <stdio.h>

enum { PAIRS_MAX = 1024, STEPS_MAX = 1000000, REASON_BYTES = 400 };

struct pair {
    const struct schema_type *reader, *writer;
};

struct state {
    /* Records under way or found readable: a recursive type meets itself again, and then holds if all the rest does. */
    struct pair pairs[PAIRS_MAX];
    size_t pair_count;
    int64_t steps;
    struct str path[2 * SCHEMA_DEPTH_MAX + 2]; /* fields down to here */
    size_t depth;
    struct err *e; /* NULL while a union tries its branches */
};

static bool resolve(struct state *s, const struct schema_type *r, const struct schema_type *w);

static bool refuse(struct state *s, const struct schema_type *r, const struct schema_type *w,
                   const char *why)
{
    if (!s->e) return false;
    struct buf text;
    buf_init(&text, REASON_BYTES);
    for (size_t i = 0; i < s->depth; i++)
        buf_addf(&text, "%s%.*s", i ? "." : "field ", s->path[i].n > 60 ? 60 : (int)s->path[i].n,
                 s->path[i].p);
    buf_add_cstr(&text, s->depth ? ": " : "");
    buf_add_cstr(&text, "what was written as ");
    schema_describe(w, &text);
    buf_add_cstr(&text, " cannot be read as ");
    schema_describe(r, &text);
    buf_add_cstr(&text, why);
    ERR(s->e, ERR_INCOMPATIBLE, "%s",
        text.failed ? "types with long names differ" : buf_cstr(&text));
    buf_free(&text);
    return false;
}

bool schema_names_match(const struct schema_type *r, const struct schema_type *w)
{
    if (str_eq(schema_short_name(r->name), schema_short_name(w->name))) return true;
    for (size_t i = 0; i < r->alias_count; i++)
        if (str_eq(r->aliases[i], w->name)) return true;
    return false;
}

static size_t find_name(const struct schema_type *w, struct str name)
{
    for (size_t i = 0; i < w->count; i++)
        if (str_eq(w->fields[i].name, name)) return i;
    return w->count;
}

size_t schema_find_field(const struct schema_type *w, const struct schema_field *r)
{
    size_t at = find_name(w, r->name);
    for (size_t i = 0; at == w->count && i < r->alias_count; i++) at = find_name(w, r->aliases[i]);
    return at;
}

static bool is_time(const struct schema_type *t)
{
    static const char *const words[] = {"timestamp-", "local-timestamp-", "time-"};
    for (size_t i = 0; t->logical.p && i < sizeof words / sizeof words[0]; i++)
        if (str_starts(t->logical, words[i])) return true;
    return false;
}

static bool resolve_record(struct state *s, const struct schema_type *r,
                           const struct schema_type *w)
{
    if (!schema_names_match(r, w)) return refuse(s, r, w, ": other names");
    for (size_t i = 0; i < s->pair_count; i++)
        if (s->pairs[i].reader == r && s->pairs[i].writer == w) return true;
    if (s->pair_count == PAIRS_MAX) return refuse(s, r, w, ": too many types");
    s->pairs[s->pair_count++] = (struct pair){r, w};
    for (size_t i = 0; i < r->count; i++) {
        const struct schema_field *f = &r->fields[i];
        size_t at = schema_find_field(w, f);
        if (s->depth == sizeof s->path / sizeof s->path[0]) return refuse(s, r, w, ": too deep");
        s->path[s->depth++] = f->name;
        bool good = at < w->count ? resolve(s, f->type, w->fields[at].type) : f->standard != NULL;
        if (!good && at == w->count && s->e) {
            s->depth--;
            ERR(s->e, ERR_INCOMPATIBLE, "field %.*s of %.*s was not written and has no default",
                f->name.n > 80 ? 80 : (int)f->name.n, f->name.p,
                r->name.n > 100 ? 100 : (int)r->name.n, r->name.p);
            return false;
        }
        if (!good) return false;
        s->depth--;
    }
    return true;
}

static bool resolve_enum(struct state *s, const struct schema_type *r, const struct schema_type *w)
{
    if (!schema_names_match(r, w)) return refuse(s, r, w, ": other names");
    if (r->standard.p) return true;
    for (size_t i = 0; i < w->count; i++) {
        bool known = false;
        for (size_t k = 0; k < r->count && !known; k++)
            known = str_eq(w->symbols[i], r->symbols[k]);
        if (known) continue;
        char why[128];
        struct str symbol = w->symbols[i];
        snprintf(why, sizeof why, ", which lacks the symbol %.*s and a default",
                 symbol.n > 60 ? 60 : (int)symbol.n, symbol.p);
        return refuse(s, r, w, why);
    }
    return true;
}

/* The first branch that takes it; which one is looked for without words. */
static bool resolve_reader_union(struct state *s, const struct schema_type *r,
                                 const struct schema_type *w)
{
    struct err *e = s->e;
    size_t pairs = s->pair_count, depth = s->depth;
    s->e = NULL;
    bool good = false;
    for (size_t i = 0; i < r->count && !good; i++) {
        good = resolve(s, r->inner[i], w);
        s->depth = depth;
        if (!good) s->pair_count = pairs; /* what was assumed on the way did not hold */
    }
    s->e = e;
    return good || refuse(s, r, w, "");
}

static bool resolve_simple(struct state *s, const struct schema_type *r,
                           const struct schema_type *w)
{
    bool decimal = schema_is_decimal(r) || schema_is_decimal(w);
    if (decimal && (schema_is_decimal(r) != schema_is_decimal(w) || r->form != w->form ||
                    r->precision != w->precision || r->scale != w->scale))
        return refuse(s, r, w, "");
    if (is_time(r) && is_time(w) && !str_eq(r->logical, w->logical)) return refuse(s, r, w, "");
    bool good = r->form == w->form;
    switch ((int)w->form) {
    case FORM_INT:
        good |= r->form == FORM_LONG || r->form == FORM_FLOAT || r->form == FORM_DOUBLE;
        break;
    case FORM_LONG: good |= r->form == FORM_FLOAT || r->form == FORM_DOUBLE; break;
    case FORM_FLOAT: good |= r->form == FORM_DOUBLE; break;
    case FORM_STRING: good |= r->form == FORM_BYTES; break;
    case FORM_BYTES: good |= r->form == FORM_STRING; break;
    case FORM_FIXED: good = good && r->size == w->size && schema_names_match(r, w); break;
    default: break;
    }
    return good || refuse(s, r, w, "");
}

static bool resolve(struct state *s, const struct schema_type *r, const struct schema_type *w)
{
    if (++s->steps > STEPS_MAX) return refuse(s, r, w, ": too complex to tell");
    if (w->form == FORM_UNION) {
        for (size_t i = 0; i < w->count; i++)
            if (!resolve(s, r, w->inner[i])) return false;
        return true;
    }
    if (r->form == FORM_UNION) return resolve_reader_union(s, r, w);
    if (r->form == w->form) {
        switch ((int)r->form) {
        case FORM_RECORD: return resolve_record(s, r, w);
        case FORM_ENUM: return resolve_enum(s, r, w);
        case FORM_ARRAY:
        case FORM_MAP: return resolve(s, r->inner[0], w->inner[0]);
        default: break;
        }
    }
    return resolve_simple(s, r, w);
}

enum err_code schema_resolve(const struct schema_type *reader, const struct schema_type *writer,
                             struct err *e)
{
    struct err unheard = {0};
    struct state s = {.e = e ? e : &unheard};
    return resolve(&s, reader, writer) ? ERR_OK : ERR_INCOMPATIBLE;
}

static enum err_code parse(const char *whose, struct str json, struct schema *ret, struct err *e)
{
    if (schema_parse(json, ret, e) == ERR_OK) return ERR_OK;
    err_prefix(e, "the %s's schema: ", whose);
    if (e) e->code = ERR_INCOMPATIBLE;
    return ERR_INCOMPATIBLE;
}

enum err_code registry_compatible(struct str reader, struct str writer, struct err *e)
{
    struct schema r, w = {0};
    TRY(parse("reader", reader, &r, e));
    enum err_code code = parse("writer", writer, &w, e);
    if (code == ERR_OK) code = schema_resolve(r.root, w.root, e);
    schema_free(&r);
    schema_free(&w);
    return code;
}
