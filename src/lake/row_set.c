#include "lake/lake_internal.h"

#include <stdlib.h>

enum { DICTIONARY_MAX = 1000000 };
#define TEXT_MAX ((size_t)1 << 30)

/* Texts of few distinct values, which go as codes; the rest (ids, causes, details) go as slices. */
static bool is_coded(const struct table *t, int column)
{
    static const char *const names[] = {"venue",     "exchange", "symbol", "venue_symbol",
                                        "stream",    "side",     "origin", "kind",
                                        "timeframe", "source",   "state",  "reason"};
    if (t->columns[column].type != COLUMN_STRING) return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(t->columns[column].name, names[i]) == 0) return true;
    return false;
}

void lake_row_set_init(struct lake_row_set *s, const struct table *t)
{
    CHECK(t->column_count <= LAKE_COLUMNS_MAX);
    *s = (struct lake_row_set){.t = t};
    arena_init(&s->text, TEXT_MAX);
    for (int c = 0; c < t->column_count; c++) {
        s->columns[c].coded = is_coded(t, c);
        map_init(&s->columns[c].map, DICTIONARY_MAX);
    }
}

void lake_row_set_free(struct lake_row_set *s)
{
    if (!s->t) return;
    for (int c = 0; c < LAKE_COLUMNS_ALL; c++) {
        struct lake_column *col = &s->columns[c];
        free(col->present);
        free(col->any);
        free(col->dictionary);
        map_free(&col->map);
    }
    arena_free(&s->text);
    *s = (struct lake_row_set){0};
}

void lake_row_set_reset(struct lake_row_set *s)
{
    s->rows = 0;
    arena_reset(&s->text);
    for (int c = 0; c < s->t->column_count + (int)s->extra_count; c++) {
        struct lake_column *col = &s->columns[c];
        col->absent = false;
        col->dictionary_count = 0;
        col->last = (struct str){0};
        if (col->map.used) map_clear(&col->map);
    }
}

static size_t value_size(const struct lake_column *c, enum column_type type)
{
    if (c->coded) return sizeof *c->codes;
    switch (type) {
    case COLUMN_STRING:
    case COLUMN_BINARY: return sizeof *c->strings;
    case COLUMN_DECIMAL: return sizeof *c->decimals;
    case COLUMN_TIME:
    case COLUMN_LONG: return sizeof *c->longs;
    case COLUMN_BOOLEAN: return sizeof *c->booleans;
    }
    LAKE_NEVER();
    return 0;
}

/* A slot holds a column of one type in this file and of another in the next: room for the widest. */
static void reserve_extras(struct lake_row_set *s)
{
    _Static_assert(sizeof(i128) == 16 && sizeof(struct str) == 16, "the widest values");
    for (size_t i = 0; i < s->extra_count; i++) {
        struct lake_column *col = &s->columns[s->t->column_count + (int)i];
        if (col->room >= s->cap) continue;
        col->present = realloc(col->present, s->cap);
        col->any = realloc(col->any, s->cap * sizeof(i128));
        CHECK(col->present != NULL && col->any != NULL);
        col->room = s->cap;
    }
}

void lake_row_set_reserve(struct lake_row_set *s, size_t rows)
{
    CHECK(rows <= LAKE_ROW_GROUP);
    if (rows <= s->cap) return;
    size_t cap = s->cap ? s->cap : 64;
    while (cap < rows) cap *= 2;
    for (int c = 0; c < s->t->column_count; c++) {
        struct lake_column *col = &s->columns[c];
        col->present = realloc(col->present, cap);
        col->any = realloc(col->any, cap * value_size(col, s->t->columns[c].type));
        CHECK(col->present != NULL && col->any != NULL);
    }
    s->cap = cap;
    reserve_extras(s);
}

void lake_row_set_extras(struct lake_row_set *s, const struct lake_extra *const *extras,
                         size_t count)
{
    CHECK(s->rows == 0 && count <= LAKE_EXTRAS_MAX);
    for (size_t i = 0; i < count; i++) s->extras[i] = extras[i];
    s->extra_count = count;
    reserve_extras(s);
}

uint32_t lake_row_set_code(struct lake_column *c, struct str text, struct arena *texts)
{
    /* Neighbouring rows mostly share the text, and then its memory too. */
    if (c->dictionary_count && c->last.n == text.n &&
        (c->last.p == text.p || memcmp(c->last.p, text.p, text.n) == 0))
        return c->last_code;
    uint32_t code = map_get(&c->map, text);
    if (code == MAP_NONE) {
        c->dictionary = array_grown(c->dictionary, c->dictionary_count, &c->dictionary_cap,
                                    sizeof *c->dictionary);
        code = c->dictionary_count++;
        CHECK(arena_copy(texts, text, &c->dictionary[code]));
        CHECK(map_put(&c->map, text, code) == code);
    }
    c->last = c->dictionary[code];
    c->last_code = code;
    return code;
}

void lake_set_text(struct lake_row_set *s, int c, size_t row, struct str v)
{
    struct lake_column *col = &s->columns[c];
    bool present = v.p != NULL;
    col->present[row] = present;
    col->absent |= !present;
    if (!col->coded)
        col->strings[row] = present ? v : (struct str){"", 0};
    else
        col->codes[row] = present ? lake_row_set_code(col, v, &s->text) : 0;
}

void lake_row_set_absent(struct lake_row_set *s, int c, size_t count)
{
    struct lake_column *col = &s->columns[c];
    memset(col->present + s->rows, 0, count);
    col->absent = true;
    switch (lake_row_set_type(s, c)) {
    case COLUMN_STRING:
    case COLUMN_BINARY:
        for (size_t i = 0; i < count; i++) col->strings[s->rows + i] = STR("");
        break;
    case COLUMN_DECIMAL: memset(col->decimals + s->rows, 0, count * sizeof *col->decimals); break;
    case COLUMN_TIME:
    case COLUMN_LONG: memset(col->longs + s->rows, 0, count * sizeof *col->longs); break;
    case COLUMN_BOOLEAN: memset(col->booleans + s->rows, 0, count); break;
    }
}
