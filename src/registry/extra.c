/* Which fields of somebody else's schema can be taken along without knowing what they mean. */
#include "registry/registry_internal.h"

/* A logical type that is not one of ours changes what a number means (days, milliseconds, another scale): not taken. */
static enum registry_type simple(const struct schema_type *t)
{
    bool plain = t->logical.p == NULL;
    switch ((int)t->form) {
    case FORM_STRING: return REGISTRY_TYPE_STRING;
    case FORM_BOOLEAN: return REGISTRY_TYPE_BOOLEAN;
    case FORM_INT: return plain ? REGISTRY_TYPE_LONG : REGISTRY_TYPE_OTHER;
    case FORM_LONG:
        if (!plain && str_is(t->logical, "timestamp-micros")) return REGISTRY_TYPE_TIME;
        return plain ? REGISTRY_TYPE_LONG : REGISTRY_TYPE_OTHER;
    case FORM_BYTES:
        if (schema_is_decimal(t) && t->precision == 38 && t->scale == 18)
            return REGISTRY_TYPE_DECIMAL;
        return plain ? REGISTRY_TYPE_BYTES : REGISTRY_TYPE_OTHER;
    default: return REGISTRY_TYPE_OTHER;
    }
}

static enum registry_type optional(const struct schema_type *t)
{
    if (t->form != FORM_UNION) return simple(t);
    if (t->count == 1) return simple(t->inner[0]);
    if (t->count != 2) return REGISTRY_TYPE_OTHER;
    if (t->inner[0]->form == FORM_NULL) return simple(t->inner[1]);
    return t->inner[1]->form == FORM_NULL ? simple(t->inner[0]) : REGISTRY_TYPE_OTHER;
}

void schema_extra_of(const struct schema_type *t, struct registry_extra *ret)
{
    struct buf words;
    buf_init(&words, sizeof ret->words - 1);
    schema_describe(t, &words);
    if (words.failed || !str_copy(ret->words, sizeof ret->words, buf_str(&words)))
        str_copy(ret->words, sizeof ret->words, STR("a type with long names"));
    buf_free(&words);
    ret->type = optional(t);
}
