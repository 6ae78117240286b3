#include "base/array.h"
#include "store/changes_internal.h"

#include <stdlib.h>

/* Foreign tables of the publication, at most; our own are a handful. */
enum { RELATIONS_MAX = 4096 };

enum field_kind { FIELD_INT, FIELD_BOOL, FIELD_TEXT, FIELD_NUMERIC, FIELD_BYTES };
struct field {
    const char *name;
    enum field_kind kind;
};

#define X(name, kind) {#name, FIELD_##kind},
static const struct field series_fields[] = {CHANGES_SERIES_LIST(X)};
static const struct field trade_fields[] = {CHANGES_TRADE_LIST(X)};
static const struct field quote_fields[] = {CHANGES_QUOTE_LIST(X)};
static const struct field gap_fields[] = {CHANGES_GAP_LIST(X)};
static const struct field dead_fields[] = {CHANGES_DEAD_LIST(X)};
static const struct field candle_fields[] = {CHANGES_CANDLE_LIST(X)};
static const struct field instrument_fields[] = {CHANGES_INSTRUMENT_LIST(X)};
static const struct field batch_fields[] = {CHANGES_BATCH_LIST(X)};
#undef X

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
static const struct {
    const char *name;
    const struct field *fields;
    size_t count;
} tables[CHANGES_TABLES] = {
    [CHANGES_SERIES] = {"series", series_fields, COUNT(series_fields)},
    [CHANGES_TRADE] = {"trade_rows", trade_fields, COUNT(trade_fields)},
    [CHANGES_QUOTE] = {"quote_rows", quote_fields, COUNT(quote_fields)},
    [CHANGES_GAP] = {"gap_rows", gap_fields, COUNT(gap_fields)},
    [CHANGES_DEAD] = {"dead_rows", dead_fields, COUNT(dead_fields)},
    [CHANGES_CANDLE] = {"candle_rows", candle_fields, COUNT(candle_fields)},
    [CHANGES_INSTRUMENT] = {"instrument_rows", instrument_fields, COUNT(instrument_fields)},
    [CHANGES_BATCH] = {"batches", batch_fields, COUNT(batch_fields)},
};

const char *changes_table_name(enum changes_table t) { return tables[t].name; }
size_t changes_table_fields(enum changes_table t) { return tables[t].count; }

static uint8_t find_table(const struct changes_message *m)
{
    if (!str_is(m->schema, "ticklake")) return CHANGES_FOREIGN;
    for (uint8_t i = 0; i < CHANGES_TABLES; i++)
        if (str_is(m->table, tables[i].name)) return i;
    return CHANGES_FIELD_NONE;
}

/* Object ids of built-in types never change. */
static bool type_fits(enum field_kind kind, uint32_t type)
{
    switch (kind) {
    case FIELD_INT: return type == 20 || type == 21 || type == 23;
    case FIELD_BOOL: return type == 16;
    case FIELD_TEXT: return type == 25 || type == 1043;
    case FIELD_NUMERIC: return type == 1700;
    case FIELD_BYTES: return type == 17;
    }
    return false;
}

static enum err_code map_columns(uint8_t table, const struct changes_message *m, uint8_t *fields,
                                 struct err *e)
{
    bool found[CHANGES_FIELDS_MAX] = {false};
    struct str body = m->body;
    for (uint16_t i = 0; i < m->columns; i++) {
        struct changes_column c;
        if (!changes_next_column(&body, &c))
            return ERR(e, ERR_CORRUPT, "the description of table %.*s is cut short",
                       STR_ARG(m->table));
        fields[i] = CHANGES_FIELD_NONE;
        for (uint8_t f = 0; table < CHANGES_TABLES && f < tables[table].count; f++) {
            if (!str_is(c.name, tables[table].fields[f].name)) continue;
            if (!type_fits(tables[table].fields[f].kind, c.type))
                return ERR(e, ERR_VERSION,
                           "column %s.%.*s has a type (object id %u) that this version does not "
                           "read; run the version of ticklake that wrote the store",
                           tables[table].name, STR_ARG(c.name), c.type);
            fields[i] = f;
            found[f] = true;
        }
    }
    for (size_t f = 0; table < CHANGES_TABLES && f < tables[table].count; f++)
        if (!found[f])
            return ERR(
                e, ERR_VERSION,
                "table %s comes without its column %s: a column list of the publication, or a "
                "store of another version; run the version of ticklake that wrote the store",
                tables[table].name, tables[table].fields[f].name);
    return ERR_OK;
}

enum err_code changes_relations_put(struct changes_relations *r, const struct changes_message *m,
                                    struct err *e)
{
    uint8_t table = find_table(m);
    /* The server describes the leaf partitions too, although no row ever names one (publish_via_partition_root). */
    if (table == CHANGES_FIELD_NONE) return ERR_OK;
    uint8_t *fields = malloc(m->columns + 1u);
    CHECK(fields != NULL);
    enum err_code code = map_columns(table, m, fields, e);
    size_t at = 0;
    while (at < r->count && r->items[at].relation != m->relation) at++;
    if (code == ERR_OK && at == RELATIONS_MAX)
        code = ERR(e, ERR_FULL, "the publication gives rows of more than %d tables", RELATIONS_MAX);
    if (code != ERR_OK) {
        free(fields);
        return code;
    }
    if (at == r->count) {
        r->items = array_grown(r->items, r->count, &r->cap, sizeof *r->items);
        r->items[r->count++] = (struct changes_relation){0};
    }
    free(r->items[at].fields);
    r->items[at] = (struct changes_relation){m->relation, table, m->columns, fields};
    return ERR_OK;
}

const struct changes_relation *changes_relations_get(struct changes_relations *r, uint32_t relation)
{
    if (r->last < r->count && r->items[r->last].relation == relation) return &r->items[r->last];
    for (size_t i = 0; i < r->count; i++) {
        if (r->items[i].relation != relation) continue;
        r->last = i;
        return &r->items[i];
    }
    return NULL;
}

void changes_relations_free(struct changes_relations *r)
{
    for (size_t i = 0; i < r->count; i++) free(r->items[i].fields);
    free(r->items);
    *r = (struct changes_relations){0};
}
