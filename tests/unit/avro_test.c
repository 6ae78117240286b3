/* Avro container files: our writer and reader against each other, fields by id, foreign shapes,
 * and damage. fastavro and PyIceberg judge the writer in the end-to-end tests of the lake. */
#include "avro/avro.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* A record with all that a manifest has: optional fields, a nested record, arrays, int-keyed
 * maps as arrays of {key, value} records, a string-keyed map, fixed, enum, and a name used
 * twice. */
static const char schema[] =
    "{\"type\":\"record\",\"name\":\"manifest_entry\",\"fields\":["
    "{\"name\":\"status\",\"type\":\"int\",\"field-id\":0},"
    "{\"name\":\"snapshot_id\",\"type\":[\"null\",\"long\"],\"default\":null,\"field-id\":1},"
    "{\"name\":\"data_file\",\"field-id\":2,\"type\":{\"type\":\"record\",\"name\":\"r2\","
    "\"fields\":["
    "{\"name\":\"file_path\",\"type\":\"string\",\"field-id\":100},"
    "{\"name\":\"day\",\"type\":[\"null\",{\"type\":\"int\",\"logicalType\":\"date\"}],\"field-"
    "id\":1000},"
    "{\"name\":\"bounds\",\"field-id\":125,\"type\":[\"null\",{\"type\":\"array\",\"logicalType\":"
    "\"map\",\"items\":"
    "{\"type\":\"record\",\"name\":\"k126_v127\",\"fields\":["
    "{\"name\":\"key\",\"type\":\"int\",\"field-id\":126},{\"name\":\"value\",\"type\":\"bytes\","
    "\"field-id\":127}]}}]},"
    "{\"name\":\"offsets\",\"field-id\":132,\"type\":{\"type\":\"array\",\"items\":\"long\","
    "\"element-id\":133}}]}},"
    "{\"name\":\"live\",\"type\":\"boolean\",\"field-id\":7},"
    "{\"name\":\"tags\",\"type\":{\"type\":\"map\",\"values\":\"string\"},\"field-id\":8},"
    "{\"name\":\"uuid\",\"type\":{\"type\":\"fixed\",\"name\":\"u\",\"size\":4},\"field-id\":9},"
    "{\"name\":\"again\",\"type\":\"u\",\"field-id\":10},"
    "{\"name\":\"kind\",\"type\":{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\",\"B\"]},"
    "\"field-id\":11},"
    "{\"name\":\"ratio\",\"type\":\"double\",\"field-id\":12}]}";

static void put_entry(struct buf *b, int64_t i)
{
    char path[64];
    int n = snprintf(path, sizeof path, "file:///lake/data/%lld.parquet", (long long)i);
    const double ratio = 0;
    avro_put_long(b, i % 3);
    avro_put_null_or(b, i % 2 == 0);
    if (i % 2 == 0) avro_put_long(b, INT64_MIN + i);
    avro_put_bytes(b, (struct str){path, (size_t)n});
    avro_put_null_or(b, true);
    avro_put_long(b, 19723 - i);
    avro_put_null_or(b, i % 5 != 0);
    if (i % 5 != 0) {
        avro_put_long(b, 2);
        for (int k = 1; k <= 2; k++) {
            avro_put_long(b, k);
            avro_put_bytes(b, (struct str){path, (size_t)(i % 20)});
        }
        avro_put_long(b, 0);
    }
    for (int64_t k = 0; k < i % 4; k++) { /* one block each: allowed, and a trap for readers */
        avro_put_long(b, 1);
        avro_put_long(b, INT64_MAX - k);
    }
    avro_put_long(b, 0);
    avro_put_bool(b, i % 2 != 0);
    avro_put_long(b, -1); /* a block with its size in bytes */
    avro_put_long(b, 4);
    avro_put_bytes(b, STR("k"));
    avro_put_bytes(b, STR("v"));
    avro_put_long(b, 0);
    buf_add(b, "abcdefgh", 8);
    avro_put_long(b, 1);
    buf_add(b, &ratio, sizeof ratio);
}

static struct avro_writer *write_entries(int64_t count, struct str *ret)
{
    const struct avro_meta meta[] = {{"format-version", STR("2")}, {"content", STR("data")}};
    struct avro_writer *w = avro_writer_new(str_of(schema), meta, 2);
    for (int64_t i = 0; i < count; i++) {
        put_entry(avro_writer_record(w), i);
        avro_writer_end_record(w);
    }
    struct err e = {0};
    assert_int_equal(avro_writer_finish(w, ret, &e), ERR_OK);
    return w;
}

static void check_bounds(const struct avro_value *v, int64_t i)
{
    if (i % 5 == 0) {
        assert_int_equal(v->kind, AVRO_NULL);
        return;
    }
    assert_int_equal(v->kind, AVRO_ARRAY);
    assert_int_equal(v->count, 2);
    for (size_t k = 0; k < 2; k++) {
        assert_int_equal(avro_field(&v->items[k], 126)->number, k + 1);
        assert_int_equal(avro_field(&v->items[k], 127)->bytes.n, i % 20);
    }
}

static void check_entry(const struct avro_value *v, int64_t i)
{
    assert_int_equal(v->kind, AVRO_RECORD);
    assert_int_equal(avro_field(v, 0)->number, i % 3);
    const struct avro_value *snapshot = avro_field(v, 1), *file = avro_field(v, 2);
    assert_int_equal(snapshot->kind, i % 2 ? AVRO_NULL : AVRO_LONG);
    if (i % 2 == 0) assert_int_equal(snapshot->number, INT64_MIN + i);
    assert_int_equal(avro_field(file, 1000)->number, 19723 - i);
    assert_true(str_ends(avro_field(file, 100)->bytes, ".parquet"));
    check_bounds(avro_field(file, 125), i);
    const struct avro_value *offsets = avro_field(file, 132);
    assert_int_equal(offsets->count, i % 4);
    for (size_t k = 0; k < offsets->count; k++)
        assert_int_equal(offsets->items[k].number, INT64_MAX - (int64_t)k);
    assert_int_equal(avro_field(v, 7)->number, i % 2);
    const struct avro_value *tags = avro_field(v, 8);
    assert_int_equal(tags->count, 2);
    assert_true(str_is(tags->items[0].bytes, "k") && str_is(tags->items[1].bytes, "v"));
    assert_true(str_is(avro_field(v, 9)->bytes, "abcd"));
    assert_true(str_is(avro_field(v, 10)->bytes, "efgh"));
    assert_int_equal(avro_field(v, 11)->number, 1);
    assert_null(avro_field(v, 99));
    assert_null(avro_field(avro_field(v, 0), 1));
}

static void test_round_trip(void **state)
{
    (void)state;
    const int64_t counts[] = {0, 1, 2, 100, 5000};
    for (size_t k = 0; k < 5; k++) {
        struct str file, value;
        struct avro_writer *w = write_entries(counts[k], &file);
        struct avro_reader *r = NULL;
        const struct avro_value *v;
        struct err e = {0};
        if (avro_reader_open(file, &r, &e) != ERR_OK) fail_msg("%s", e.text);
        assert_true(avro_reader_meta(r, "format-version", &value) && str_is(value, "2"));
        assert_true(avro_reader_meta(r, "avro.schema", &value) && str_is(value, schema));
        assert_false(avro_reader_meta(r, "nothing", &value));
        for (int64_t i = 0; i < counts[k]; i++) {
            if (avro_reader_next(r, &v, &e) != ERR_OK) fail_msg("%s", e.text);
            check_entry(v, i);
        }
        assert_int_equal(avro_reader_next(r, &v, &e), ERR_NOT_FOUND);
        assert_int_equal(avro_reader_next(r, &v, &e), ERR_NOT_FOUND);
        avro_reader_close(r);
        avro_writer_free(w);
    }
}

/* A file by hand: codec, schema and one block. */
static void hand_made(struct buf *b, const char *codec, const char *schema_json, int64_t records,
                      struct str block)
{
    buf_init(b, 1 << 20);
    buf_add(b, "Obj\x01", 4);
    avro_put_long(b, codec ? 2 : 1);
    if (codec) {
        avro_put_bytes(b, STR("avro.codec"));
        avro_put_bytes(b, str_of(codec));
    }
    avro_put_bytes(b, STR("avro.schema"));
    avro_put_bytes(b, str_of(schema_json));
    avro_put_long(b, 0);
    buf_add(b, "0123456789abcdef", 16);
    if (records == 0) return;
    avro_put_long(b, records);
    avro_put_bytes(b, block);
    buf_add(b, "0123456789abcdef", 16);
}

static enum err_code read_all(struct str file, int64_t *ret_records, struct err *e)
{
    struct avro_reader *r = NULL;
    const struct avro_value *v;
    *ret_records = 0;
    TRY(avro_reader_open(file, &r, e));
    enum err_code code;
    while ((code = avro_reader_next(r, &v, e)) == ERR_OK) ++*ret_records;
    avro_reader_close(r);
    return code == ERR_NOT_FOUND ? ERR_OK : code;
}

static enum err_code read_hand_made(const char *codec, const char *schema_json, int64_t records,
                                    struct str block)
{
    struct buf b;
    struct err e = {0};
    int64_t got;
    hand_made(&b, codec, schema_json, records, block);
    enum err_code code = read_all(buf_str(&b), &got, &e);
    if (code == ERR_OK) assert_int_equal(got, records);
    if (code != ERR_OK) assert_true(e.text[0] != 0);
    buf_free(&b);
    return code;
}

#define RECORD(fields) "{\"type\":\"record\",\"name\":\"t\",\"fields\":[" fields "]}"
#define LONG_FIELD     "{\"name\":\"a\",\"type\":\"long\",\"field-id\":1}"

static void test_foreign_shapes(void **state)
{
    (void)state;
    assert_int_equal(read_hand_made(NULL, RECORD(LONG_FIELD), 2, STR("\x02\x04")), ERR_OK);
    assert_int_equal(read_hand_made("null", RECORD(LONG_FIELD), 2, STR("\x02\x04")), ERR_OK);
    assert_int_equal(read_hand_made("snappy", RECORD(LONG_FIELD), 2, STR("\x02\x04")),
                     ERR_NOT_FOUND);
    assert_int_equal(read_hand_made("zstandard", RECORD(LONG_FIELD), 0, STR("")), ERR_NOT_FOUND);
    /* T or null in the other order; a type in a type; a name with its namespace. */
    assert_int_equal(read_hand_made(NULL, RECORD("{\"name\":\"a\",\"type\":[\"long\",\"null\"]}"),
                                    2, STR("\0\x02\x02")),
                     ERR_OK);
    assert_int_equal(
        read_hand_made(NULL, RECORD("{\"name\":\"a\",\"type\":{\"type\":{\"type\":\"int\"}}}"), 1,
                       STR("\x02")),
        ERR_OK);
    assert_int_equal(
        read_hand_made(
            NULL,
            RECORD("{\"name\":\"a\",\"type\":{\"type\":\"fixed\",\"name\":\"x.y\",\"size\":1}},"
                   "{\"name\":\"b\",\"type\":\"x.y\"}"),
            1, STR("12")),
        ERR_OK);
}

static void test_refusals(void **state)
{
    (void)state;
    const struct {
        const char *schema;
        int64_t records;
        struct str block;
    } bad[] = {
        {"", 0, STR("")},
        {"{", 0, STR("")},
        {"\"long\"", 1, STR("\x02")},                                  /* no record */
        {RECORD("{\"name\":\"a\"}"), 0, STR("")},                      /* no type */
        {RECORD("{\"name\":\"a\",\"type\":\"nothing\"}"), 0, STR("")}, /* unknown name */
        {"{\"type\":\"record\",\"name\":\"t\"}", 0, STR("")},          /* no fields */
        {RECORD(LONG_FIELD), 2, STR("\x02")},     /* fewer bytes than records */
        {RECORD(LONG_FIELD), 1, STR("\x02\x04")}, /* bytes left over */
        {RECORD(LONG_FIELD), 1, STR("\x80")},     /* a cut number */
        {RECORD(LONG_FIELD), 1,
         STR("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F")}, /* a number of 70 bits */
        {RECORD("{\"name\":\"a\",\"type\":\"bytes\"}"), 1, STR("\x08xx")},
        {RECORD("{\"name\":\"a\",\"type\":\"bytes\"}"), 1, STR("\x01xx")}, /* a negative length */
        {RECORD("{\"name\":\"a\",\"type\":[\"null\",\"long\"]}"), 1,
         STR("\x04\x02")}, /* branch 2 of 2 */
        {RECORD("{\"name\":\"a\",\"type\":{\"type\":\"array\",\"items\":\"null\"}}"), 1,
         STR("\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F")}, /* 2^60 nulls */
        {RECORD("{\"name\":\"a\",\"type\":\"t\"}"), 1,
         STR("\x02")}, /* a record in itself without end */
        {RECORD("{\"name\":\"a\",\"type\":\"t\"},{\"name\":\"b\",\"type\":\"t\"}"), 1, STR("\x02")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(read_hand_made(NULL, bad[i].schema, bad[i].records, bad[i].block),
                         ERR_CORRUPT);
}

static void test_deep_schema(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_add_cstr(&b, "{\"type\":\"record\",\"name\":\"t\",\"fields\":[{\"name\":\"a\",\"type\":");
    for (int i = 0; i < 1000; i++) buf_add_cstr(&b, "{\"type\":\"array\",\"items\":");
    buf_add_cstr(&b, "\"long\"");
    for (int i = 0; i < 1000; i++) buf_add_cstr(&b, "}");
    buf_add_cstr(&b, "}]}");
    assert_int_equal(read_hand_made(NULL, buf_cstr(&b), 0, STR("")), ERR_CORRUPT);
    buf_free(&b);
}

static void test_damage(void **state)
{
    (void)state;
    struct str file;
    struct avro_writer *w = write_entries(50, &file);
    struct err e = {0};
    int64_t records;
    char *copy = malloc(file.n);
    assert_non_null(copy);
    for (size_t i = 0; i < file.n; i++) {
        memcpy(copy, file.p, file.n);
        copy[i] ^= (char)(1 << (i % 8));
        enum err_code code = read_all((struct str){copy, file.n}, &records, &e);
        assert_true(code == ERR_OK || code == ERR_CORRUPT || code == ERR_NOT_FOUND);
    }
    for (size_t n = 0; n < file.n; n++) {
        memcpy(copy, file.p, n);
        enum err_code code = read_all((struct str){copy, n}, &records, &e);
        assert_true(code == ERR_CORRUPT ||
                    (code == ERR_OK && records == 0)); /* right behind the head: an empty file */
    }
    free(copy);
    avro_writer_free(w);
}

static void test_too_big(void **state)
{
    (void)state;
    struct avro_writer *w =
        avro_writer_new(STR(RECORD("{\"name\":\"a\",\"type\":\"bytes\"}")), NULL, 0);
    char *big = calloc(1, 65 << 20);
    assert_non_null(big);
    struct str file;
    struct err e = {0};
    avro_put_bytes(avro_writer_record(w), (struct str){big, 65 << 20});
    avro_writer_end_record(w);
    assert_int_equal(avro_writer_finish(w, &file, &e), ERR_FULL);
    free(big);
    avro_writer_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_foreign_shapes),
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_deep_schema),
        cmocka_unit_test(test_damage),     cmocka_unit_test(test_too_big),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
