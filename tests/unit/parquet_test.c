/* Our Parquet reader against our writer: random tables, the edges of every encoding, and damage.
 * Other people's readers judge the same files in tests/e2e/test_parquet_readers.py. */
#include "../tools/random_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static enum err_code to_buf(void *ctx, const void *data, size_t len, struct err *e)
{
    struct buf *b = ctx;
    buf_add(b, data, len);
    return b->failed ? ERR(e, ERR_FULL, "the test's buffer is full") : ERR_OK;
}

static bool same_row(const struct parquet_values *want, const struct parquet_chunk *got,
                     enum column_type type, size_t i)
{
    bool present = !want->present || want->present[i];
    if (present != (!got->present || got->present[i])) return false;
    if (!present) return true;
    if (type == COLUMN_STRING || type == COLUMN_BINARY) {
        struct str s = want->dictionary ? want->dictionary[want->codes[i]] : want->strings[i];
        return str_eq(s, got->strings[i]);
    }
    if (type == COLUMN_DECIMAL) return want->decimals[i] == got->decimals[i];
    if (type == COLUMN_BOOLEAN) return want->booleans[i] == got->booleans[i];
    return want->longs[i] == got->longs[i];
}

static void check_column(struct parquet_reader *r, int group, int32_t field_id,
                         enum column_type type, const struct parquet_values *want, size_t rows)
{
    struct err e = {0};
    struct parquet_chunk got;
    int column = parquet_reader_column(r, field_id);
    assert_true(column >= 0);
    if (parquet_reader_read(r, group, column, type, &got, &e) != ERR_OK) fail_msg("%s", e.text);
    assert_int_equal(got.rows, rows);
    for (size_t i = 0; i < rows; i++)
        if (!same_row(want, &got, type, i))
            fail_msg("group %d, field %d, row %zu differs", group, field_id, i);
}

static int64_t count_nulls(const struct random_table *t, int column)
{
    int64_t n = 0;
    for (int g = 0; g < t->group_count; g++)
        for (size_t i = 0; i < t->rows[g]; i++)
            n += t->values[g][column].present && !t->values[g][column].present[i];
    return n;
}

static void check_numbers(const struct random_table *t, int column,
                          const struct parquet_column_stats *s)
{
    bool is_decimal = random_columns[column].type == COLUMN_DECIMAL, any = false;
    i128 min = 0, max = 0;
    for (int g = 0; g < t->group_count; g++) {
        const struct parquet_values *v = &t->values[g][column];
        for (size_t i = 0; i < t->rows[g]; i++) {
            if (v->present && !v->present[i]) continue;
            i128 x = is_decimal ? v->decimals[i] : v->longs[i];
            min = !any || x < min ? x : min;
            max = !any || x > max ? x : max;
            any = true;
        }
    }
    assert_int_equal(s->has_bounds, any);
    if (!any) return;
    assert_true(min == (is_decimal ? s->min_decimal : s->min_long));
    assert_true(max == (is_decimal ? s->max_decimal : s->max_long));
}

static void check_texts(const struct random_table *t, int column,
                        const struct parquet_column_stats *s)
{
    struct str min = {(const char *)s->min_text, s->min_text_len},
               max = {(const char *)s->max_text, s->max_text_len};
    for (int g = 0; g < t->group_count && s->has_bounds; g++) {
        const struct parquet_values *v = &t->values[g][column];
        for (size_t i = 0; i < t->rows[g]; i++) {
            if (v->present && !v->present[i]) continue;
            struct str x = v->dictionary ? v->dictionary[v->codes[i]] : v->strings[i];
            if (str_cmp(min, x) > 0 || str_cmp(x, max) > 0)
                fail_msg("%s: row %zu is outside", random_columns[column].name, i);
        }
    }
}

static void check_stats(const struct random_table *t, const struct parquet_writer *w)
{
    for (int c = 0; c < RANDOM_MAX; c++) {
        const struct parquet_column_stats *s = parquet_writer_stats(w, c);
        assert_int_equal(s->values, parquet_writer_rows(w));
        assert_int_equal(s->nulls, count_nulls(t, c));
        enum column_type type = random_columns[c].type;
        if (type == COLUMN_BINARY) assert_false(s->has_bounds);
        if (type == COLUMN_STRING) check_texts(t, c, s);
        if (type == COLUMN_DECIMAL || type == COLUMN_LONG || type == COLUMN_TIME)
            check_numbers(t, c, s);
    }
}

static void round_trip(uint64_t seed)
{
    static struct random_table table;
    random_table_make(&table, seed);
    struct buf file;
    buf_init(&file, (size_t)1 << 30);
    struct parquet_writer *w = NULL;
    struct err e = {0};
    assert_int_equal(random_table_write(&table, to_buf, &file, &w, &e), ERR_OK);
    assert_int_equal(parquet_writer_bytes(w), file.len);
    check_stats(&table, w);
    struct parquet_reader *r = NULL;
    if (parquet_reader_open_bytes(buf_str(&file), &r, &e) != ERR_OK) fail_msg("%s", e.text);
    assert_true(parquet_reader_ours(r));
    assert_int_equal(parquet_reader_row_groups(r), table.group_count);
    assert_int_equal(parquet_reader_rows(r), parquet_writer_rows(w));
    assert_int_equal(parquet_reader_column(r, 9), -1);
    for (int g = 0; g < table.group_count; g++)
        for (int c = 0; c < RANDOM_MAX; c++)
            check_column(r, g, random_columns[c].field_id, random_columns[c].type,
                         &table.values[g][c], table.rows[g]);
    parquet_reader_close(r);
    parquet_writer_free(w);
    buf_free(&file);
    arena_free(&table.arena);
}

static void test_random_tables(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 240; seed++) round_trip(seed);
}

/* ---- one column, one purpose ----------------------------------------------------------------- */

struct file {
    struct buf bytes;
    struct parquet_writer *writer;
};

static void write_one(struct file *f, const struct parquet_column *c,
                      const struct parquet_values *v, size_t rows)
{
    struct err e = {0};
    *f = (struct file){.writer = NULL};
    buf_init(&f->bytes, (size_t)1 << 30);
    struct parquet_writer_options o = {
        .columns = c, .column_count = 1, .sink = to_buf, .sink_ctx = &f->bytes};
    assert_int_equal(parquet_writer_new(&o, &f->writer, &e), ERR_OK);
    if (parquet_writer_row_group(f->writer, v, rows, &e) != ERR_OK) fail_msg("%s", e.text);
    assert_int_equal(parquet_writer_finish(f->writer, &e), ERR_OK);
}

static void check_one(struct file *f, const struct parquet_column *c,
                      const struct parquet_values *v, size_t rows)
{
    struct err e = {0};
    struct parquet_reader *r = NULL;
    if (parquet_reader_open_bytes(buf_str(&f->bytes), &r, &e) != ERR_OK) fail_msg("%s", e.text);
    check_column(r, 0, c->field_id, c->type, v, rows);
    parquet_reader_close(r);
    parquet_writer_free(f->writer);
    buf_free(&f->bytes);
}

/* Distinct values just at, and just past, what a dictionary may hold; and too many new ones in
 * the sample. */
static void test_dictionary_limits(void **state)
{
    (void)state;
    enum { ROWS = 300000 };
    i128 *decimals = malloc(ROWS * sizeof *decimals);
    int64_t *longs = malloc(ROWS * sizeof *longs);
    assert_true(decimals && longs);
    const uint32_t distinct[] = {1,     2,     255,   256,   257,    40000, 49152,
                                 49153, 65535, 65536, 65537, 100000, ROWS};
    uint64_t r = 7;
    for (size_t k = 0; k < sizeof distinct / sizeof distinct[0]; k++) {
        for (size_t i = 0; i < ROWS; i++) {
            size_t repeat =
                i < 65536 ? i / 2 : i; /* the sample looks good, the overflow comes later */
            longs[i] = (int64_t)(repeat % distinct[k]) * 1000003 - 5;
            decimals[i] = (i128)longs[i] * 1000000007 * (random_below(&r, 1000) == 0 ? -1 : 1);
        }
        const struct parquet_column d = {"d", COLUMN_DECIMAL, true, 1, true},
                                    l = {"l", COLUMN_LONG, true, 1, true};
        struct parquet_values dv = {.decimals = decimals}, lv = {.longs = longs};
        struct file f;
        write_one(&f, &d, &dv, ROWS);
        check_one(&f, &d, &dv, ROWS);
        write_one(&f, &l, &lv, ROWS);
        check_one(&f, &l, &lv, ROWS);
    }
    free(decimals);
    free(longs);
}

static void test_text_dictionary_limits(void **state)
{
    (void)state;
    enum { ROWS = 150000 };
    static char texts[ROWS][8];
    struct str *values = malloc(ROWS * sizeof *values);
    assert_non_null(values);
    const uint32_t distinct[] = {1, 3, 65536, 65537, ROWS};
    for (size_t k = 0; k < sizeof distinct / sizeof distinct[0]; k++) {
        for (size_t i = 0; i < ROWS; i++) {
            size_t n = (size_t)snprintf(texts[i], sizeof texts[i], "%zu",
                                        (i < 70000 ? i / 2 : i) % distinct[k]);
            values[i] = (struct str){texts[i], n};
        }
        const struct parquet_column c = {"t", COLUMN_STRING, true, 1, true};
        struct parquet_values v = {.strings = values};
        struct file f;
        write_one(&f, &c, &v, ROWS);
        check_one(&f, &c, &v, ROWS);
    }
    free(values);
}

/* Codes into a dictionary of which only a few entries are used: the others must not reach the
 * statistics. */
static void test_codes_used(void **state)
{
    (void)state;
    struct str words[1000];
    char texts[1000][8];
    for (int i = 0; i < 1000; i++)
        words[i] = (struct str){texts[i], (size_t)snprintf(texts[i], sizeof texts[i], "w%03d", i)};
    const uint32_t codes[] = {500, 400, 500, 600, 400};
    const uint8_t present[] = {1, 1, 1, 0, 1};
    const struct parquet_column c = {"t", COLUMN_STRING, false, 1, false};
    struct parquet_values v = {
        .present = present, .codes = codes, .dictionary = words, .dictionary_count = 1000};
    struct file f;
    write_one(&f, &c, &v, 5);
    const struct parquet_column_stats *s = parquet_writer_stats(f.writer, 0);
    assert_true(s->has_bounds);
    assert_memory_equal(s->min_text, "w400", 4);
    assert_memory_equal(s->max_text, "w500", 4);
    check_one(&f, &c, &v, 5);
}

static void test_extremes(void **state)
{
    (void)state;
    const int64_t longs[] = {INT64_MIN, INT64_MAX, 0,         -1,       1,
                             INT64_MAX, INT64_MIN, INT64_MIN, INT64_MAX};
    const i128 most = (i128)(dec_pow10_u128(38) - 1);
    const i128 decimals[] = {most, -most, 0, 1, -1, most, 127, 128, -128};
    const uint8_t booleans[] = {1, 0, 1, 1, 0, 0, 0, 1, 1};
    const struct str texts[] = {STR(""),     STR(""),    STR("a"), STR("ab"),      STR("a"),
                                STR("\xFF"), STR("abc"), STR(""),  STR("\xC3\xA4")};
    const struct {
        struct parquet_column c;
        struct parquet_values v;
    } cases[] = {
        {{"x", COLUMN_LONG, true, 1, false}, {.longs = longs}},
        {{"x", COLUMN_TIME, false, 1, false}, {.longs = longs}},
        {{"x", COLUMN_LONG, false, 1, true}, {.longs = longs}},
        {{"x", COLUMN_DECIMAL, true, 1, false}, {.decimals = decimals}},
        {{"x", COLUMN_DECIMAL, true, 1, true}, {.decimals = decimals}},
        {{"x", COLUMN_BOOLEAN, true, 1, false}, {.booleans = booleans}},
        {{"x", COLUMN_STRING, true, 1, false}, {.strings = texts}},
        {{"x", COLUMN_STRING, true, 1, true}, {.strings = texts}},
        {{"x", COLUMN_BINARY, false, 1, false}, {.strings = texts}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t rows = 1; rows <= 9; rows++) {
            struct file f;
            write_one(&f, &cases[i].c, &cases[i].v, rows);
            check_one(&f, &cases[i].c, &cases[i].v, rows);
        }
    }
}

static void bounds_of(const char *text, const char *min, const char *max)
{
    struct str value = str_of(text);
    const struct parquet_column c = {"t", COLUMN_STRING, true, 1, false};
    struct parquet_values v = {.strings = &value};
    struct file f;
    write_one(&f, &c, &v, 1);
    const struct parquet_column_stats *s = parquet_writer_stats(f.writer, 0);
    assert_int_equal(s->has_bounds, max != NULL);
    if (max) {
        assert_true(str_is((struct str){(const char *)s->min_text, s->min_text_len}, min));
        assert_true(str_is((struct str){(const char *)s->max_text, s->max_text_len}, max));
    }
    check_one(&f, &c, &v, 1);
}

static void test_text_bounds(void **state)
{
    (void)state;
    bounds_of("", "", "");
    bounds_of("0123456789abcdef", "0123456789abcdef", "0123456789abcdef");
    bounds_of("0123456789abcdefg", "0123456789abcdef", "0123456789abcdeg");
    bounds_of("0123456789abcde\x7Fz", "0123456789abcde\x7F", "0123456789abcde\xC2\x80");
    bounds_of("0123456789abcde\xED\x9F\xBFz", "0123456789abcde\xED\x9F\xBF",
              "0123456789abcde\xEE\x80\x80");
    bounds_of("0123456789abcd-\xF4\x8F\xBF\xBFz", "0123456789abcd-\xF4\x8F\xBF\xBF",
              "0123456789abcd.");
    bounds_of("0123456789abcde\xFFz", NULL, NULL); /* no UTF-8 where it is cut */
    char last[17 * 4 + 1];
    for (int i = 0; i < 17; i++) memcpy(last + (size_t)i * 4, "\xF4\x8F\xBF\xBF", 5);
    bounds_of(last, NULL, NULL); /* nothing to raise */
}

static void test_pages_of_long_values(void **state)
{
    (void)state;
    enum { ROWS = 40, EACH = 300000 };
    char *bytes = malloc(EACH);
    assert_non_null(bytes);
    uint64_t r = 3;
    for (size_t i = 0; i < EACH; i++) bytes[i] = (char)random_next(&r);
    struct str values[ROWS];
    for (size_t i = 0; i < ROWS; i++) values[i] = (struct str){bytes, EACH - i};
    const struct parquet_column c = {"b", COLUMN_BINARY, true, 1, false},
                                s = {"s", COLUMN_STRING, true, 1, false};
    struct parquet_values v = {.strings = values};
    struct file f;
    write_one(&f, &c, &v, ROWS);
    check_one(&f, &c, &v, ROWS);
    write_one(&f, &s, &v, ROWS);
    check_one(&f, &s, &v, ROWS);
    free(bytes);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void test_wrong_use(void **state)
{
    (void)state;
    const uint8_t present[] = {1, 0};
    const int64_t longs[] = {1, 2};
    const struct parquet_column c = {"n", COLUMN_LONG, true, 1, false};
    const struct parquet_values v = {.present = present, .longs = longs};
    struct buf b;
    buf_init(&b, 1 << 20);
    struct parquet_writer_options o = {
        .columns = &c, .column_count = 1, .sink = to_buf, .sink_ctx = &b};
    struct parquet_writer *w = NULL;
    struct err e = {0};
    assert_int_equal(parquet_writer_new(&o, &w, &e), ERR_OK);
    assert_int_equal(parquet_writer_row_group(w, &v, 2, &e), ERR_INTERNAL);
    assert_non_null(strstr(e.text, "column n"));
    w = parquet_writer_free(w);
    buf_free(&b);
}

static void test_full_sink(void **state)
{
    (void)state;
    const int64_t longs[] = {1, 2};
    const struct parquet_column c = {"n", COLUMN_LONG, true, 1, false};
    const struct parquet_values v = {.longs = longs};
    struct buf b;
    buf_init(&b, 10);
    struct parquet_writer_options o = {
        .columns = &c, .column_count = 1, .sink = to_buf, .sink_ctx = &b};
    struct parquet_writer *w = NULL;
    struct err e = {0};
    assert_int_equal(parquet_writer_new(&o, &w, &e), ERR_OK);
    assert_int_equal(parquet_writer_row_group(w, &v, 2, &e), ERR_OK);
    assert_int_equal(parquet_writer_finish(w, &e), ERR_FULL);
    parquet_writer_free(w);
    buf_free(&b);
}

static void test_types_are_checked(void **state)
{
    (void)state;
    const int64_t longs[] = {1, 2};
    const struct parquet_column c = {"n", COLUMN_TIME, true, 1, false};
    const struct parquet_values v = {.longs = longs};
    struct file f;
    write_one(&f, &c, &v, 2);
    struct parquet_reader *r = NULL;
    struct err e = {0};
    struct parquet_chunk chunk;
    assert_int_equal(parquet_reader_open_bytes(buf_str(&f.bytes), &r, &e), ERR_OK);
    const enum column_type wrong[] = {COLUMN_STRING, COLUMN_DECIMAL, COLUMN_LONG, COLUMN_BOOLEAN,
                                      COLUMN_BINARY};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(parquet_reader_read(r, 0, 0, wrong[i], &chunk, &e), ERR_NOT_FOUND);
    int64_t min, max;
    assert_true(parquet_reader_long_bounds(r, 0, 0, &min, &max));
    assert_int_equal(min, 1);
    assert_int_equal(max, 2);
    parquet_reader_close(r);
    check_one(&f, &c, &v, 2);
}

static enum err_code read_everything(struct str bytes, struct err *e)
{
    struct parquet_reader *r = NULL;
    TRY(parquet_reader_open_bytes(bytes, &r, e));
    enum err_code code = ERR_OK;
    for (int g = 0; g < parquet_reader_row_groups(r) && code == ERR_OK; g++) {
        for (int c = 0; c < RANDOM_MAX && code == ERR_OK; c++) {
            struct parquet_chunk chunk;
            int column = parquet_reader_column(r, random_columns[c].field_id);
            code = column < 0
                       ? ERR_CORRUPT
                       : parquet_reader_read(r, g, column, random_columns[c].type, &chunk, e);
        }
    }
    parquet_reader_close(r);
    return code;
}

/* The file of the first table that is small enough to be read thousands of times. */
static void small_file(struct buf *file)
{
    static struct random_table table;
    struct err e = {0};
    buf_init(file, 1 << 28);
    for (uint64_t seed = 1; file->len == 0 || file->len > 40000; seed++) {
        random_table_make(&table, seed);
        buf_reset(file);
        struct parquet_writer *w = NULL;
        if (table.group_count > 0 && table.rows[0] < 200)
            assert_int_equal(random_table_write(&table, to_buf, file, &w, &e), ERR_OK);
        parquet_writer_free(w);
        arena_free(&table.arena);
    }
}

/* Page headers, indexes and footer have no checksum: it is enough that nothing breaks. */
static void test_flipped_bits(void **state)
{
    (void)state;
    struct buf file;
    small_file(&file);
    struct err e = {0};
    for (size_t i = 0; i < file.len; i += 7) {
        file.data[i] ^= (uint8_t)(1u << (i % 8));
        enum err_code code = read_everything(buf_str(&file), &e);
        assert_true(code == ERR_OK || code == ERR_CORRUPT || code == ERR_NOT_FOUND);
        file.data[i] ^= (uint8_t)(1u << (i % 8));
    }
    assert_int_equal(read_everything(buf_str(&file), &e), ERR_OK);
    buf_free(&file);
}

static void test_cut_files(void **state)
{
    (void)state;
    struct buf file;
    small_file(&file);
    struct err e = {0};
    for (size_t n = 0; n < file.len; n += n < 100 || n + 100 > file.len ? 1 : 37)
        assert_int_equal(read_everything((struct str){(const char *)file.data, n}, &e),
                         ERR_CORRUPT);
    buf_free(&file);
}

/* zstd's checksum sits at the end of every page, so no flipped bit gives other values. */
static void test_damage_is_named(void **state)
{
    (void)state;
    const int64_t longs[] = {1, 2, 300, 4, 5, 66, 7};
    const struct parquet_column c = {"sequence", COLUMN_LONG, true, 1, false};
    const struct parquet_values v = {.longs = longs};
    struct file f;
    write_one(&f, &c, &v, 7);
    size_t at = 0, end = 4 + (size_t)parquet_writer_stats(f.writer, 0)->compressed_bytes;
    while (memcmp(f.bytes.data + at, "\x28\xB5\x2F\xFD", 4) != 0) at++;
    struct parquet_reader *r = NULL;
    struct err e = {0};
    struct parquet_chunk chunk;
    for (size_t bit = (at + 6) * 8; bit < end * 8; bit++) { /* behind the frame's own head */
        f.bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(parquet_reader_open_bytes(buf_str(&f.bytes), &r, &e), ERR_OK);
        enum err_code code = parquet_reader_read(r, 0, 0, COLUMN_LONG, &chunk, &e);
        if (code == ERR_OK) { /* zstd has a few bits that change nothing */
            assert_memory_equal(chunk.longs, longs, sizeof longs);
        } else {
            assert_int_equal(code, ERR_CORRUPT);
            assert_non_null(strstr(e.text, "row group 0"));
            assert_non_null(strstr(e.text, "sequence"));
        }
        parquet_reader_close(r);
        f.bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    check_one(&f, &c, &v, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_tables),
        cmocka_unit_test(test_dictionary_limits),
        cmocka_unit_test(test_text_dictionary_limits),
        cmocka_unit_test(test_codes_used),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_text_bounds),
        cmocka_unit_test(test_pages_of_long_values),
        cmocka_unit_test(test_wrong_use),
        cmocka_unit_test(test_full_sink),
        cmocka_unit_test(test_types_are_checked),
        cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_cut_files),
        cmocka_unit_test(test_damage_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
