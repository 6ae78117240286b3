/* Frames of records, hostile ones too; schemas and records read as a flat record. Registries themselves, and resolution against
 * fastavro's, are in tests/e2e/test_registry.py. */
#include "registry/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

static const struct registry_id glue_id = {
    REGISTRY_GLUE,
    0,
    {0xe2, 0x2a, 0x0c, 0xd3, 0x8a, 8, 0x4b, 0x86, 0x8d, 0x42, 0xf0, 0x7d, 0x25, 0x2a, 0xc9, 0xa7}};

static void test_frames(void **state)
{
    (void)state;
    const struct registry_id ids[] = {
        {REGISTRY_CONFLUENT, 0x01020304, {0}}, {REGISTRY_CONFLUENT, UINT32_MAX, {0}}, glue_id};
    static const size_t lengths[] = {5, 5, 18};
    for (int i = 0; i < 3; i++) {
        uint8_t bytes[REGISTRY_FRAME_MAX + 3];
        size_t n = registry_frame(&ids[i], bytes);
        assert_int_equal(n, lengths[i]);
        memcpy(bytes + n, "abc", 3);
        struct str record = {(char *)bytes, n + 3};
        struct registry_id got;
        assert_int_equal(registry_unframe(&record, NULL, 0, &got, NULL), ERR_OK);
        assert_true(str_is(record, "abc"));
        assert_memory_equal(&got, &ids[i], sizeof got);
        for (size_t cut = 0; cut < n; cut++) {
            struct err e = {0};
            record = (struct str){(char *)bytes, cut};
            assert_int_equal(registry_unframe(&record, NULL, 0, &got, &e), ERR_PARSE);
            assert_true(e.text[0] != 0);
        }
    }
    char text[REGISTRY_ID_TEXT];
    registry_id_text(&ids[1], text);
    assert_string_equal(text, "4294967295");
    registry_id_text(&glue_id, text);
    assert_string_equal(text, "e22a0cd3-8a08-4b86-8d42-f07d252ac9a7");
}

static void test_no_frames(void **state)
{
    (void)state;
    for (int first = 1; first < 256; first++) {
        char bytes[32] = {(char)first, 4};
        struct str record = {bytes, sizeof bytes};
        struct registry_id id;
        struct err e = {0};
        assert_int_equal(registry_unframe(&record, NULL, 0, &id, &e), ERR_PARSE);
        assert_non_null(strstr(e.text, first == 3 ? "03 04" : "no registry's frame"));
    }
}

/* A Glue record with the bytes packed by zlib. */
static struct buf packed_record(struct str payload)
{
    struct buf b;
    buf_init(&b, 64 << 20);
    uint8_t frame[REGISTRY_FRAME_MAX];
    buf_add(&b, frame, registry_frame(&glue_id, frame));
    b.data[1] = 5;
    uLongf n = compressBound(payload.n);
    uint8_t *room = buf_room(&b, n);
    assert_int_equal(compress2(room, &n, (const Bytef *)payload.p, payload.n, 9), Z_OK);
    b.len += n;
    return b;
}

static void test_packed(void **state)
{
    (void)state;
    enum { BIG = 20 << 20, LIMIT = 1 << 20 };
    char *zeros = calloc(1, BIG);
    struct buf scratch;
    buf_init(&scratch, LIMIT + 1);
    const size_t sizes[] = {0, 1, 5000, LIMIT - 1, LIMIT, LIMIT + 1, BIG};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct buf b = packed_record((struct str){zeros, sizes[i]});
        struct str record = buf_str(&b);
        struct registry_id id;
        struct err e = {0};
        enum err_code code = registry_unframe(&record, &scratch, LIMIT, &id, &e);
        assert_int_equal(code,
                         sizes[i] > LIMIT ? ERR_PARSE : ERR_OK); /* 20 MB of zeros are 20 kB */
        if (code == ERR_OK) {
            assert_int_equal(record.n, sizes[i]);
            assert_int_equal(memcmp(record.p, zeros, record.n), 0);
        }
        assert_true(scratch.cap <= LIMIT + 2);
        buf_free(&b);
    }
    free(zeros);
    struct buf b = packed_record(STR("a record of some length, a record of some length"));
    for (size_t n = 18; n < b.len; n++) { /* cut */
        struct str record = {(char *)b.data, n};
        struct registry_id id;
        assert_int_equal(registry_unframe(&record, &scratch, LIMIT, &id, NULL), ERR_PARSE);
    }
    buf_add_byte(&b, 0); /* and with something behind */
    struct str record = buf_str(&b);
    struct registry_id id;
    assert_int_equal(registry_unframe(&record, &scratch, LIMIT, &id, NULL), ERR_PARSE);
    buf_free(&b);
    buf_free(&scratch);
}

/* ---- flat records ---- */

static const char flat[] =
    "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":\"long\"},{\"name\":"
    "\"b\",\"type\":[\"null\","
    "\"string\"],\"default\":null},{\"name\":\"c\",\"type\":\"bytes\"},{\"name\":\"d\",\"type\":"
    "\"boolean\",\"default\":true},"
    "{\"name\":\"e\",\"type\":\"string\",\"default\":\"x\",\"aliases\":[\"old_e\"]}]}";

static struct registry_reader *reader_of(const char *writer)
{
    struct registry_reader *r = NULL;
    struct err e = {0};
    if (registry_reader_new(str_of(flat), str_of(writer), &r, &e) != ERR_OK) fail_msg("%s", e.text);
    assert_int_equal(registry_reader_fields(r), 5);
    return r;
}

static void test_reader(void **state)
{
    (void)state;
    /* Other order, an int for a long, a string for bytes, unions the other way round, an alias, and fields that ours lacks. */
    struct registry_reader *r =
        reader_of("{\"type\":\"record\",\"name\":\"some.where.R\",\"fields\":[{\"name\":\"x\","
                  "\"type\":{\"type\":\"map\",\"values\":"
                  "{\"type\":\"array\",\"items\":\"double\"}}},{\"name\":\"c\",\"type\":\"string\"}"
                  ",{\"name\":\"b\",\"type\":[\"bytes\","
                  "\"null\",\"int\"]},{\"name\":\"old_e\",\"type\":\"string\"},{\"name\":\"a\","
                  "\"type\":\"int\"}]}");
    static const char good[] = {2, 2,   'k', 2, 1, 2,   3, 4,   5, 6, 7, 8, 0, 0, /* x */
                                4, 'h', 'i', 0, 2, 'b', 2, 'e', 5};
    struct registry_value v[5];
    struct err e = {0};
    struct str record = {good, sizeof good};
    if (registry_reader_read(r, record, v, &e) != ERR_OK) fail_msg("%s", e.text);
    assert_int_equal(v[0].number, -3);
    assert_true(str_is(v[1].bytes, "b") && str_is(v[2].bytes, "hi") && str_is(v[4].bytes, "e"));
    assert_int_equal(v[3].number, 1); /* by default */
    char other[sizeof good];
    memcpy(other, good, sizeof good);
    other[17] = 4; /* the int, which ours cannot read */
    record.p = other;
    assert_int_equal(registry_reader_read(r, record, v, &e), ERR_PARSE);
    memcpy(other, good, sizeof good);
    other[19] = (char)0xff; /* no UTF-8, in a string */
    assert_int_equal(registry_reader_read(r, record, v, &e), ERR_PARSE);
    registry_reader_free(r);
}

/* A record of a few bytes that asks for much work, or for ever: arrays of nothing, records in records. */
static void test_greedy_records(void **state)
{
    (void)state;
    struct registry_reader *r =
        reader_of("{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\",\"type\":"
                  "\"long\"},{\"name\":\"c\",\"type\":\"bytes\"},"
                  "{\"name\":\"n\",\"type\":{\"type\":\"array\",\"items\":\"null\"}},{\"name\":"
                  "\"self\",\"type\":[\"null\",\"R\"]}]}");
    struct registry_value v[5];
    static const char many[] = {0,          0,          (char)0xfe, (char)0xff,
                                (char)0xff, (char)0xff, (char)0xff, (char)0xff,
                                (char)0xff, 127,        0,          0};
    assert_int_equal(registry_reader_read(r, (struct str){many, sizeof many}, v, NULL), ERR_PARSE);
    char deep[4000];
    for (size_t i = 0; i < sizeof deep; i += 4)
        memcpy(deep + i, "\0\0\0\2", 4); /* R in R in R ... */
    assert_int_equal(registry_reader_read(r, (struct str){deep, sizeof deep}, v, NULL), ERR_PARSE);
    static const char least[] = {(char)0xff, (char)0xff, (char)0xff, (char)0xff, (char)0xff,
                                 (char)0xff, (char)0xff, (char)0xff, (char)0xff, 1,
                                 0,          0,          0};
    assert_int_equal(registry_reader_read(r, (struct str){least, sizeof least}, v, NULL), ERR_OK);
    assert_true(v[0].number == INT64_MIN);
    char longer[sizeof least];
    memcpy(longer, least, sizeof least);
    longer[9] = 2; /* a 65th bit */
    assert_int_equal(registry_reader_read(r, (struct str){longer, sizeof longer}, v, NULL),
                     ERR_PARSE);
    registry_reader_free(r);
}

static void test_options(void **state)
{
    (void)state;
    struct registry *r = registry_new(&(struct registry_options){
        .kind = REGISTRY_CONFLUENT, .url = "https://me:secret@host:1/base//?q=secret"});
    assert_string_equal(registry_address(r), "https://host:1/base//");
    registry_free(r);
    r = registry_new(
        &(struct registry_options){.kind = REGISTRY_GLUE, .aws = {.region = "eu-west-3"}});
    assert_string_equal(registry_address(r), "https://glue.eu-west-3.amazonaws.com");
    assert_null(registry_free(r));
    r = registry_new(&(struct registry_options){.kind = REGISTRY_NONE});
    struct err e = {0};
    struct registry_id id;
    assert_int_equal(registry_register(r, STR("s"), STR("\"int\""), &id, &e), ERR_CONFIG);
    assert_null(registry_free(r));
    assert_null(registry_free(NULL));
    assert_null(registry_reader_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),         cmocka_unit_test(test_no_frames),
        cmocka_unit_test(test_packed),         cmocka_unit_test(test_reader),
        cmocka_unit_test(test_greedy_records), cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
