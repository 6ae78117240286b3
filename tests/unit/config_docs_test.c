/* What docs/ tells of tables in the code: settings, exit codes, metrics, columns of the lake, numbers of the store. Each
 * is read from the code's own table and looked for in the page, so that neither can change alone. Run in the root. */
#include "config/config.h"
#include "event/event.h"
#include "event/schema.h"
#include "io/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void read_file(const char *path, struct buf *ret)
{
    struct err e = {0};
    buf_init(ret, 1 << 20);
    if (file_read(path, 1 << 20, ret, &e) != ERR_OK) fail_msg("%s", e.text);
}

static void expect(struct buf *page, const char *path, const char *text)
{
    if (!str_contains(buf_str(page), text)) fail_msg("%s: expected in it: %s", path, text);
}

static void test_settings(void **state)
{
    (void)state;
    struct buf page, table;
    read_file("docs/settings.md", &page);
    buf_init(&table, 1 << 20);
    config_markdown(&table);
    if (!str_eq(buf_str(&page), buf_str(&table)))
        fail_msg("docs/settings.md is not what `ticklake validate --keys` prints: make it anew");
    buf_free(&page);
    buf_free(&table);
}

static void test_exit_codes(void **state)
{
    (void)state;
    struct buf page;
    read_file("docs/operating.md", &page);
    for (int code = 0; code < ERR_MAX; code++) {
        char row[64];
        snprintf(row, sizeof row, "\n| %d | ", err_exit_code((enum err_code)code));
        expect(&page, "docs/operating.md", row);
    }
    buf_free(&page);
}

/* Every "ticklake_..." in the sources that write metrics stands in the page as `ticklake_...`. */
static void test_metrics(void **state)
{
    (void)state;
    static const char *const sources[] = {"src/run/metrics.c", "src/view/view_metrics.c"};
    struct buf page, source;
    size_t count = 0;
    read_file("docs/operating.md", &page);
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        read_file(sources[i], &source);
        for (const char *p = buf_cstr(&source); (p = strstr(p, "\"ticklake_")) != NULL; count++) {
            const char *name = ++p;
            p += strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789_");
            char text[128];
            snprintf(text, sizeof text, "`%.*s`", (int)(p - name), name);
            expect(&page, "docs/operating.md", text);
        }
        buf_free(&source);
    }
    assert_true(count > 60);
    buf_free(&page);
}

static const char *type_text(enum column_type type)
{
    switch (type) {
    case COLUMN_STRING: return "string";
    case COLUMN_DECIMAL: return "decimal(38,18)";
    case COLUMN_TIME: return "timestamptz";
    case COLUMN_LONG: return "long";
    case COLUMN_BOOLEAN: return "boolean";
    case COLUMN_BINARY: return "binary";
    }
    return "";
}

static void put_names(struct buf *b, const struct table *t, const int *columns, int count)
{
    for (int i = 0; i < count; i++) buf_addf(b, "%s%s", i ? ", " : "", t->columns[columns[i]].name);
}

/* "### trades", then "Partition ..., sort order ..., key ...", then a row a column: id, name, type, null. */
static void test_columns(void **state)
{
    (void)state;
    struct buf page, want;
    read_file("docs/formats.md", &page);
    buf_init(&want, 1 << 20);
    for (int id = 0; id < TABLE_MAX; id++) {
        const struct table *t = table_of((enum table_id)id);
        buf_reset(&want);
        buf_addf(&want, "\n### %s\n\n", t->name);
        if (t->day_column >= 0)
            buf_addf(&want, "Partition day(%s)", t->columns[t->day_column].name);
        else
            buf_add_cstr(&want, "No partition");
        buf_add_cstr(&want, "; sort order ");
        put_names(&want, t, t->sort_columns, t->sort_count);
        buf_add_cstr(&want, t->key_count ? "; key " : "; append only.");
        put_names(&want, t, t->key_columns, t->key_count);
        expect(&page, "docs/formats.md", buf_cstr(&want));
        const char *section = strstr(buf_cstr(&page), buf_cstr(&want));
        for (int c = 0; c < t->column_count; c++) {
            buf_reset(&want);
            buf_addf(&want, "\n| %d | `%s` | %s | %s | ", c + 1, t->columns[c].name,
                     type_text(t->columns[c].type), t->columns[c].required ? "" : "null");
            const char *row = strstr(section, buf_cstr(&want));
            if (!row) fail_msg("docs/formats.md, %s: expected in it: %s", t->name, buf_cstr(&want));
            section = row; /* the rows come in order */
        }
    }
    buf_free(&page);
    buf_free(&want);
}

/* The numbers that store.db has in place of words. */
static void test_codes(void **state)
{
    (void)state;
    static const char *const lists[] = {
#define X(n, t) t,
        "stream",    STREAM_LIST(X) NULL,      "side",  SIDE_LIST(X) NULL,
        "origin",    ORIGIN_LIST(X) NULL,      "kind",  KIND_LIST(X) NULL,
        "gap kind",  GAP_KIND_LIST(X) NULL,    "state", GAP_STATE_LIST(X) NULL,
        "reason",    DEAD_REASON_LIST(X) NULL,
#undef X
#define X(n, t, s) t,
        "timeframe", TIMEFRAME_LIST(X) NULL};
#undef X
    struct buf page, want;
    read_file("docs/formats.md", &page);
    buf_init(&want, 1 << 16);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        buf_reset(&want);
        buf_addf(&want, "\n| %s |", lists[i++]);
        for (int n = 0; lists[i]; n++) buf_addf(&want, " %d %s", n, lists[i++]);
        buf_add_cstr(&want, " |\n");
        expect(&page, "docs/formats.md", buf_cstr(&want));
    }
    buf_free(&page);
    buf_free(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings), cmocka_unit_test(test_exit_codes),
        cmocka_unit_test(test_metrics),  cmocka_unit_test(test_columns),
        cmocka_unit_test(test_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
