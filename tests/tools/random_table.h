/* random_table.h - tables by seed for the Parquet tests: every type, required and optional, with
 * and without dictionary, of sizes around the boundaries of blocks and pages. Included by the
 * unit test and by parquet_random. */
#ifndef TICKLAKE_TESTS_RANDOM_TABLE_H
#define TICKLAKE_TESTS_RANDOM_TABLE_H

#include "base/arena.h"
#include "parquet/parquet.h"

#include <stdio.h>
#include <stdlib.h>

static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15)); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline uint64_t random_below(uint64_t *state, uint64_t n) { return random_next(state) % n; }

/* name, type, required, try_dictionary, by code */
#define RANDOM_COLUMNS(X)                                                                          \
    X(code, STRING, true, false, true)                                                             \
    X(code_optional, STRING, false, false, true)                                                   \
    X(text, STRING, true, false, false)                                                            \
    X(text_optional, STRING, false, false, false)                                                  \
    X(text_dictionary, STRING, false, true, false)                                                 \
    X(decimal, DECIMAL, true, false, false)                                                        \
    X(decimal_optional, DECIMAL, false, false, false)                                              \
    X(decimal_dictionary, DECIMAL, false, true, false)                                             \
    X(time, TIME, true, false, false)                                                              \
    X(time_optional, TIME, false, false, false)                                                    \
    X(long, LONG, true, false, false)                                                              \
    X(long_optional, LONG, false, false, false)                                                    \
    X(long_dictionary, LONG, false, true, false)                                                   \
    X(boolean, BOOLEAN, true, false, false)                                                        \
    X(boolean_optional, BOOLEAN, false, false, false)                                              \
    X(binary, BINARY, true, false, false)                                                          \
    X(binary_optional, BINARY, false, false, false)                                                \
    X(text_absent, STRING, false, false, false)                                                    \
    X(code_absent, STRING, false, false, true)                                                     \
    X(decimal_absent, DECIMAL, false, true, false)                                                 \
    X(long_absent, LONG, false, false, false)

#define X(name, type, required, dictionary, code) RANDOM_##name,
enum random_column { RANDOM_COLUMNS(X) RANDOM_MAX };
#undef X

/* Field ids start at 10 and leave gaps, so that nobody can mistake an index for an id. */
static const struct parquet_column random_columns[RANDOM_MAX] = {
#define X(name, type, required, dictionary, code)                                                  \
    {#name, COLUMN_##type, required, 10 + 3 * RANDOM_##name, dictionary},
    RANDOM_COLUMNS(X)
#undef X
};
static const bool random_by_code[RANDOM_MAX] = {
#define X(name, type, required, dictionary, code) code,
    RANDOM_COLUMNS(X)
#undef X
};

enum { RANDOM_GROUPS_MAX = 3 };
struct random_table {
    struct arena arena;
    int group_count;
    size_t rows[RANDOM_GROUPS_MAX];
    struct parquet_values values[RANDOM_GROUPS_MAX][RANDOM_MAX];
    int32_t page_rows;
};

static inline size_t random_rows(uint64_t *r)
{
    static const uint16_t near[] = {1, 8, 32, 64, 128, 129, 256, 1000, 1024, 4096, 20000};
    size_t base = near[random_below(r, sizeof near / sizeof near[0])];
    size_t rows = base + random_below(r, 4);
    return rows > 2 ? rows - 2 : rows;
}

static inline struct str random_text(struct arena *a, uint64_t *r, int style, size_t row)
{
    static const char *points[] = {
        "a", "Z", "-", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x90\xB1", "\xF4\x8F\xBF\xBF"};
    char text[400];
    size_t n = 0;
    if (style == 0) { /* ids that ascend */
        n = (size_t)snprintf(text, sizeof text, "%zu",
                             (size_t)987654000 + row * 3 + random_below(r, 2));
    } else if (style == 1) { /* any length around the cuts of bounds */
        size_t count = random_below(r, 80);
        for (size_t i = 0; i < count; i++) {
            const char *p = points[random_below(r, 7)];
            memcpy(text + n, p, strlen(p));
            n += strlen(p);
        }
    } else if (style == 2) { /* few words */
        n = (size_t)snprintf(text, sizeof text, "w%d", (int)random_below(r, 40));
    } else if (style == 3) { /* nothing but the last code point: no upper bound */
        size_t count = 10 + random_below(r, 20);
        for (size_t i = 0; i < count; i++, n += 4) memcpy(text + n, points[6], 4);
    } else { /* UUIDs, more or less */
        n = (size_t)snprintf(text, sizeof text, "%016llx-%016llx",
                             (unsigned long long)random_next(r),
                             (unsigned long long)random_next(r));
    }
    struct str ret;
    CHECK(arena_copy(a, (struct str){text, n}, &ret));
    return ret;
}

static inline struct str random_bytes(struct arena *a, uint64_t *r)
{
    size_t n = random_below(r, 1000) == 0 ? random_below(r, 70000) : random_below(r, 100);
    char *p = arena_alloc(a, n + 1);
    CHECK(p != NULL);
    bool high = random_below(r, 10) == 0;
    for (size_t i = 0; i < n; i++) p[i] = (char)(high ? 0xFF : random_next(r));
    return (struct str){p, n};
}

static inline i128 random_decimal(uint64_t *r, int style)
{
    static const i128 most =
        (i128)(((u128)UINT64_C(0x4b3b4ca85a86c47a) << 64) | UINT64_C(0x098a223fffffffff));
    if (style == 0) return (i128)random_below(r, 200) * 1000000000000000;
    if (style == 1) return (i128)(random_next(r) >> 20) - (1 << 20);
    i128 wide = (i128)(((u128)random_next(r) << 64) | random_next(r));
    i128 v = wide % most;
    uint64_t pick = random_below(r, 16);
    return pick == 0 ? most : pick == 1 ? -most : pick == 2 ? 0 : v;
}

static inline int64_t random_long(uint64_t *r, int style, size_t row)
{
    if (style == 0)
        return (int64_t)(1700000000000000 + (int64_t)row * 1000 + (int64_t)random_below(r, 5000));
    if (style == 1) return (int64_t)random_below(r, 50) - 25;
    uint64_t pick = random_below(r, 16);
    return pick == 0 ? INT64_MAX : pick == 1 ? INT64_MIN : pick == 2 ? 0 : (int64_t)random_next(r);
}

static inline void random_codes(struct random_table *t, struct parquet_values *v, uint64_t *r,
                                size_t rows)
{
    uint32_t words = (uint32_t)(1 + random_below(r, 200));
    struct str *dictionary = arena_alloc(&t->arena, words * sizeof *dictionary);
    uint32_t *codes = arena_alloc(&t->arena, rows * sizeof *codes);
    CHECK(dictionary && codes);
    for (uint32_t i = 0; i < words; i++) {
        char text[40];
        int n = snprintf(text, sizeof text, "%.*s-%u", (int)random_below(r, 20),
                         "SOMETHING-RATHER-LONG", i);
        CHECK(arena_copy(&t->arena, (struct str){text, i == 0 ? 0 : (size_t)n}, &dictionary[i]));
        if (i > 0 && random_below(r, 8) == 0)
            dictionary[i] = dictionary[i - 1]; /* two codes, one text */
    }
    uint64_t stick = 1 + random_below(r, 60), kinds = 1 + random_below(r, words);
    uint32_t code = 0;
    for (size_t i = 0; i < rows; i++) {
        if (random_below(r, stick) == 0) code = (uint32_t)random_below(r, kinds);
        codes[i] = code;
    }
    v->codes = codes;
    v->dictionary = dictionary;
    v->dictionary_count = words;
}

static inline void random_fill(struct random_table *t, struct parquet_values *v, int column,
                               uint64_t *r, size_t rows)
{
    enum column_type type = random_columns[column].type;
    int style = (int)random_below(r, 3), texts = (int)random_below(r, 5);
    if (random_by_code[column]) {
        random_codes(t, v, r, rows);
        return;
    }
    void *array = arena_zero(&t->arena, rows * 16);
    CHECK(array != NULL);
    for (size_t i = 0; i < rows; i++) {
        if (type == COLUMN_STRING) ((struct str *)array)[i] = random_text(&t->arena, r, texts, i);
        if (type == COLUMN_BINARY) ((struct str *)array)[i] = random_bytes(&t->arena, r);
        if (type == COLUMN_DECIMAL) ((i128 *)array)[i] = random_decimal(r, style);
        if (type == COLUMN_TIME || type == COLUMN_LONG)
            ((int64_t *)array)[i] = random_long(r, style, i);
        if (type == COLUMN_BOOLEAN) ((uint8_t *)array)[i] = (uint8_t)random_below(r, 2);
    }
    v->strings = array; /* the union: whichever it is */
}

static inline void random_present(struct random_table *t, struct parquet_values *v, int column,
                                  uint64_t *r, size_t rows)
{
    bool absent = column >= RANDOM_text_absent;
    if (random_columns[column].required || (!absent && random_below(r, 4) == 0)) return;
    uint8_t *present = arena_zero(&t->arena, rows);
    CHECK(present != NULL);
    uint64_t stick = 1 + random_below(r, 300);
    bool now = true;
    for (size_t i = 0; i < rows && !absent; i++) {
        if (random_below(r, stick) == 0) now = random_below(r, 2) != 0;
        present[i] = now;
    }
    v->present = present;
}

static inline void random_table_make(struct random_table *t, uint64_t seed)
{
    uint64_t r = seed * 1000003;
    static const int16_t pages[] = {0, 1, 7, 8, 100, 128, 1000};
    *t = (struct random_table){.page_rows = pages[random_below(&r, 7)]};
    arena_init(&t->arena, (size_t)1 << 30);
    t->group_count = (int)random_below(&r, RANDOM_GROUPS_MAX + 1);
    for (int g = 0; g < t->group_count; g++) {
        t->rows[g] = random_rows(&r);
        if (t->page_rows == 1 && t->rows[g] > 300) t->rows[g] = 300;
        for (int c = 0; c < RANDOM_MAX; c++) {
            random_fill(t, &t->values[g][c], c, &r, t->rows[g]);
            random_present(t, &t->values[g][c], c, &r, t->rows[g]);
        }
    }
}

static inline enum err_code random_table_write(const struct random_table *t, parquet_sink sink,
                                               void *ctx, struct parquet_writer **ret,
                                               struct err *e)
{
    const int sorted[] = {0, 8};
    struct parquet_writer_options o = {
        .columns = random_columns,
        .column_count = RANDOM_MAX,
        .sort_columns = sorted,
        .sort_count = 2,
        .page_rows = t->page_rows,
        .sink = sink,
        .sink_ctx = ctx,
    };
    TRY(parquet_writer_new(&o, ret, e));
    for (int g = 0; g < t->group_count; g++)
        TRY(parquet_writer_row_group(*ret, t->values[g], t->rows[g], e));
    return parquet_writer_finish(*ret, e);
}

#endif
