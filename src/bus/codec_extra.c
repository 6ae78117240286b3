/* Fields of other programs' schemas, taken along to the lake. */
#include "bus/codec_internal.h"

enum { NAME_BYTES_MAX = 128 };

static bool same_letters(struct str a, struct str b)
{
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++) {
        char x = a.p[i], y = b.p[i];
        if (x >= 'A' && x <= 'Z') x = (char)(x + 32);
        if (y >= 'A' && y <= 'Z') y = (char)(y + 32);
        if (x != y) return false;
    }
    return true;
}

/* Spark and DuckDB do not tell Price from price: a table with both could not be read any more. */
static const char *unfit(enum bus_topic t, const struct registry_extra *x,
                         const struct bus_extras *chosen)
{
    const struct table *table = table_of(bus_topic_id(t));
    if (x->type == REGISTRY_TYPE_OTHER)
        return "no column can be made of this type (string, int, long, boolean, bytes, "
               "decimal(38,18) and timestamp-micros can)";
    if (x->name.n > NAME_BYTES_MAX) return "the name is too long";
    if (chosen->count == BUS_EXTRAS_MAX) return "there are too many of them";
    for (int i = 0; i < table->column_count; i++)
        if (same_letters(x->name, str_of(table->columns[i].name)))
            return "a column of ours differs in upper and lower case only";
    for (size_t i = 0; i < chosen->count; i++)
        if (same_letters(x->name, chosen->items[i].name))
            return "another field differs in upper and lower case only";
    return NULL;
}

static enum column_type column_of(enum registry_type type)
{
    switch (type) {
    case REGISTRY_TYPE_STRING: return COLUMN_STRING;
    case REGISTRY_TYPE_LONG: return COLUMN_LONG;
    case REGISTRY_TYPE_BOOLEAN: return COLUMN_BOOLEAN;
    case REGISTRY_TYPE_BYTES: return COLUMN_BINARY;
    case REGISTRY_TYPE_DECIMAL: return COLUMN_DECIMAL;
    case REGISTRY_TYPE_TIME: return COLUMN_TIME;
    case REGISTRY_TYPE_OTHER: break;
    }
    CHECK(false);
}

size_t bus_extras_choose(enum bus_topic t, const struct registry_extra *all, size_t count,
                         struct bus_extras *ret,
                         void (*tell)(void *ctx, const struct registry_extra *x, const char *why),
                         void *ctx)
{
    size_t left_out = 0;
    ret->count = 0;
    for (size_t i = 0; i < count; i++) {
        const char *why = unfit(t, &all[i], ret);
        if (why) {
            left_out++;
            tell(ctx, &all[i], why);
            continue;
        }
        ret->items[ret->count++] = (struct bus_extra){all[i].name, column_of(all[i].type), i};
    }
    return left_out;
}

/* ---- values */

static uint32_t next_index(enum bus_topic t, const struct batch *b)
{
    switch (t) {
    case BUS_TRADES: return (uint32_t)b->trade_count;
    case BUS_QUOTES: return (uint32_t)b->quote_count;
    case BUS_GAPS: return (uint32_t)b->gap_count;
    case BUS_DEAD_LETTERS: return (uint32_t)b->dead_count;
    case BUS_VENUE_CANDLES: return (uint32_t)b->candle_count;
    case BUS_INSTRUMENTS: return (uint32_t)b->instrument_count;
    case BUS_TOPICS: break;
    }
    CHECK(false);
}

static enum err_code full(const struct batch *b, const struct bus_extra *field, struct err *e)
{
    if (b->event_count || b->instrument_count) return ERR(e, ERR_FULL, "the batch is full");
    return ERR(e, ERR_PARSE, "field %.*s: too long for a batch", STR_ARG(field->name));
}

static enum err_code take(const struct bus_extra *f, const struct registry_value *v,
                          struct batch *b, struct extra *x, struct err *e)
{
    const i128 limit = (i128)dec_pow10_u128(38);
    if (v->kind == REGISTRY_VALUE_NUMBER) {
        x->number = v->number;
        return ERR_OK;
    }
    if (f->type != COLUMN_DECIMAL)
        return batch_text(b, v->bytes, &x->bytes) ? ERR_OK : full(b, f, e);
    enum err_code code = bus_decimal(v->bytes, &x->decimal);
    if (code != ERR_OK || x->decimal <= -limit || x->decimal >= limit)
        return ERR(e, code == ERR_PARSE ? ERR_PARSE : ERR_INEXACT,
                   "field %.*s: a decimal that does not fit", STR_ARG(f->name));
    return ERR_OK;
}

/* The column is there from the first record of such a schema on, with or without a value. */
static enum err_code add(enum bus_topic t, const struct bus_extras *all, const struct bus_extra *f,
                         struct batch *b, struct err *e)
{
    const struct extra_column column = {bus_topic_id(t), f->type, f->name, str_of(all->from)};
    const struct registry_value *v = &all->values[f->at];
    int number = batch_extra_column(b, &column);
    if (number < 0) return full(b, f, e);
    if (v->kind == REGISTRY_VALUE_NULL) return ERR_OK;
    struct extra *x = batch_add_extra(b);
    if (!x) return full(b, f, e);
    x->column = (uint32_t)number;
    x->index = next_index(t, b);
    return take(f, v, b, x, e);
}

enum err_code bus_extras_add(enum bus_topic t, const struct bus_extras *all, struct batch *into,
                             struct err *e)
{
    size_t before = into->extra_count;
    for (size_t i = 0; i < all->count; i++) {
        enum err_code code = add(t, all, &all->items[i], into, e);
        if (code == ERR_OK) continue;
        into->extra_count = before;
        return code;
    }
    return ERR_OK;
}
