/* What differs between two schemas of records, field by field, for people. */
#include "registry/registry_internal.h"

#include <stdlib.h>

enum { WORDS_MAX = 1024, PAIRS_MAX = 1024 };

struct comparing {
    void (*each)(void *ctx, const struct registry_difference *d);
    void *ctx;
    size_t count;
    /* Records that are the same, or are being compared: a type that is met again and again is looked at once. */
    const struct schema_type *pairs[PAIRS_MAX][2];
    size_t pair_count;
};

static void tell(struct comparing *c, struct str field, const char *ours, const char *theirs)
{
    struct registry_difference d = {field, ours, theirs};
    if (c->each) c->each(c->ctx, &d);
    c->count++;
}

/* "union of null, decimal(38,18), default null" */
static void words_of(const struct schema_field *f, struct buf *out)
{
    schema_describe(f->type, out);
    if (f->standard) {
        size_t n;
        char *text = yyjson_val_write(f->standard, 0, &n);
        buf_addf(out, ", default %.*s", n > 60 ? 60 : (int)n, text ? text : "?");
        free(text);
    }
    for (size_t i = 0; i < f->alias_count; i++)
        buf_addf(out, ", alias %.*s", f->aliases[i].n > 60 ? 60 : (int)f->aliases[i].n,
                 f->aliases[i].p);
    if (out->failed) buf_reset(out);
}

static bool same_type(struct comparing *c, const struct schema_type *a,
                      const struct schema_type *b);

static bool same_texts(const struct str *a, size_t a_count, const struct str *b, size_t b_count)
{
    if (a_count != b_count) return false;
    for (size_t i = 0; i < a_count; i++)
        if (!str_eq(a[i], b[i])) return false;
    return true;
}

static bool same_field(struct comparing *c, const struct schema_field *a,
                       const struct schema_field *b)
{
    bool standards = (!a->standard && !b->standard) ||
                     (a->standard && b->standard && yyjson_equals(a->standard, b->standard));
    return standards && str_eq(a->name, b->name) &&
           same_texts(a->aliases, a->alias_count, b->aliases, b->alias_count) &&
           same_type(c, a->type, b->type);
}

static bool same_parts(struct comparing *c, const struct schema_type *a,
                       const struct schema_type *b)
{
    for (size_t i = 0; i < a->count; i++) {
        if (a->symbols && !str_eq(a->symbols[i], b->symbols[i])) return false;
        if (a->inner && !same_type(c, a->inner[i], b->inner[i])) return false;
        if (a->fields && !same_field(c, &a->fields[i], &b->fields[i])) return false;
    }
    return true;
}

static bool same_type(struct comparing *c, const struct schema_type *a, const struct schema_type *b)
{
    size_t before = c->pair_count;
    for (size_t i = 0; a->form == FORM_RECORD && i < before; i++)
        if (c->pairs[i][0] == a && c->pairs[i][1] == b) return true;
    if (a->form != b->form || a->count != b->count || a->size != b->size ||
        !str_eq(a->name, b->name) || !str_eq(a->logical, b->logical) ||
        a->precision != b->precision || a->scale != b->scale || !str_eq(a->standard, b->standard) ||
        !same_texts(a->aliases, a->alias_count, b->aliases, b->alias_count))
        return false;
    if (a->form == FORM_RECORD) {
        if (before == PAIRS_MAX) return false;
        c->pairs[before][0] = a;
        c->pairs[c->pair_count++][1] = b;
    }
    if (same_parts(c, a, b)) return true;
    c->pair_count = before;
    return false;
}

static const struct schema_field *field_of(const struct schema_type *t, struct str name,
                                           size_t *ret_place)
{
    for (size_t i = 0; i < t->count; i++) {
        if (!str_eq(t->fields[i].name, name)) continue;
        *ret_place = i;
        return &t->fields[i];
    }
    return NULL;
}

static void compare_field(struct comparing *c, const struct schema_field *ours,
                          const struct schema_field *theirs, bool moved)
{
    struct buf a, b;
    buf_init(&a, WORDS_MAX);
    buf_init(&b, WORDS_MAX);
    if (ours) words_of(ours, &a);
    if (theirs) words_of(theirs, &b);
    struct str name = ours ? ours->name : theirs->name;
    if (!ours || !theirs)
        tell(c, name, ours ? buf_cstr(&a) : "absent", theirs ? buf_cstr(&b) : "absent");
    else if (!same_field(c, ours, theirs))
        tell(c, name, buf_cstr(&a), buf_cstr(&b));
    else if (moved)
        tell(c, name, buf_cstr(&a), "the same, at another place");
    buf_free(&a);
    buf_free(&b);
}

static void compare_records(struct comparing *c, const struct schema_type *ours,
                            const struct schema_type *theirs)
{
    size_t place = 0, behind = 0;
    /* Where a field leads back to the record itself, its differences are told already. */
    c->pairs[0][0] = ours;
    c->pairs[0][1] = theirs;
    c->pair_count = 1;
    for (size_t i = 0; i < ours->count; i++) {
        const struct schema_field *other = field_of(theirs, ours->fields[i].name, &place);
        /* Moved: it stands before one that it stood behind. */
        compare_field(c, &ours->fields[i], other, other && place < behind);
        if (other && place > behind) behind = place;
    }
    for (size_t i = 0; i < theirs->count; i++)
        if (!field_of(ours, theirs->fields[i].name, &place))
            compare_field(c, NULL, &theirs->fields[i], false);
}

static void compare_roots(struct comparing *c, const struct schema_type *ours,
                          const struct schema_type *theirs)
{
    struct buf a, b;
    buf_init(&a, WORDS_MAX);
    buf_init(&b, WORDS_MAX);
    schema_describe(ours, &a);
    schema_describe(theirs, &b);
    bool records = ours->form == FORM_RECORD && theirs->form == FORM_RECORD;
    bool same = records ? str_eq(ours->name, theirs->name) &&
                              same_texts(ours->aliases, ours->alias_count, theirs->aliases,
                                         theirs->alias_count)
                        : same_type(c, ours, theirs);
    if (!same) tell(c, STR(""), buf_cstr(&a), buf_cstr(&b));
    if (records) compare_records(c, ours, theirs);
    buf_free(&a);
    buf_free(&b);
}

enum err_code registry_compare(struct str ours, struct str theirs,
                               void (*each)(void *ctx, const struct registry_difference *d),
                               void *ctx, size_t *ret_count, struct err *e)
{
    struct schema a = {0}, b = {0};
    struct comparing c = {.each = each, .ctx = ctx};
    TRY(schema_parse(ours, &a, e));
    enum err_code code = schema_parse(theirs, &b, e);
    if (code == ERR_OK) compare_roots(&c, a.root, b.root);
    *ret_count = c.count;
    schema_free(&a);
    schema_free(&b);
    return code;
}
