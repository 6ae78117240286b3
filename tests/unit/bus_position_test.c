#include "bus/bus_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static uint64_t random_state = 4711;
static uint64_t random_u64(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state ^ random_state >> 29;
}

static struct bus_position_record random_record(void)
{
    struct bus_position_record r = {.number = (int64_t)(random_u64() >> 1)};
    int shift = (int)(random_u64() % 64);
    r.position = (struct bus_position){
        .system = random_u64() >> shift,
        .lsn = random_u64() >> shift,
        .row = (int64_t)(random_u64() >> 1 >> shift),
        .clock_ns = random_u64() % 4 ? (int64_t)random_u64() : TIME_ABSENT,
        .finishes = (int64_t)(random_u64() % 5),
    };
    r.partitions = (int32_t)(random_u64() % (BUS_PARTITIONS_MAX + 1));
    for (int32_t i = 0; i < r.partitions; i++) {
        r.trades_end[i] = (int64_t)(random_u64() >> 1 >> shift);
        r.gaps_end[i] = (int64_t)(random_u64() >> 1 >> shift);
    }
    return r;
}

static void there_and_back(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, BUS_POSITION_RECORD_MAX);
    for (int i = 0; i < 500; i++) {
        struct bus_position_record r = random_record(), back;
        struct err e;
        buf_reset(&text);
        bus_position_write(&r, &text);
        assert_false(text.failed);
        assert_int_equal(bus_position_parse(buf_str(&text), &back, &e), ERR_OK);
        assert_int_equal(back.number, r.number);
        assert_true(back.position.system == r.position.system);
        assert_true(back.position.lsn == r.position.lsn);
        assert_int_equal(back.position.row, r.position.row);
        assert_int_equal(back.position.clock_ns, r.position.clock_ns);
        assert_int_equal(back.position.finishes, r.position.finishes);
        assert_int_equal(back.partitions, r.partitions);
        for (int32_t k = 0; k < r.partitions; k++) {
            assert_int_equal(back.trades_end[k], r.trades_end[k]);
            assert_int_equal(back.gaps_end[k], r.gaps_end[k]);
        }
    }
    buf_free(&text);
}

#define GOOD                                                                                       \
    "{\"version\":1,\"number\":7,\"system\":\"7300112233445566778\",\"lsn\":\"0/16B3748\","        \
    "\"row\":12,\"clock_ns\":null,\"finishes\":0,\"ends\":{\"trades\":[10,0],\"gaps\":[2,0]}}"

static void as_documented(void **state)
{
    (void)state;
    struct bus_position_record r;
    struct err e;
    assert_int_equal(bus_position_parse(STR(GOOD), &r, &e), ERR_OK);
    assert_int_equal(r.position.lsn, 0x16B3748);
    assert_true(r.position.system == UINT64_C(7300112233445566778));
    assert_int_equal(r.position.clock_ns, TIME_ABSENT);
    assert_int_equal(r.trades_end[0], 10);
    assert_int_equal(r.gaps_end[0], 2);
}

/* The record with one text put for another. */
static void expect(const char *from, const char *to, enum err_code code)
{
    char text[sizeof GOOD + 200];
    const char *at = strstr(GOOD, from);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - GOOD), GOOD, to, at + strlen(from));
    struct bus_position_record r;
    struct err e;
    enum err_code got = bus_position_parse(str_of(text), &r, &e);
    if (got != code) fail_msg("%s: %s", text, err_name(got));
}

static void hostile(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"\"0/16B3748\"", "\"16B3748\""},
        {"\"0/16B3748\"", "\"0/-1\""},
        {"\"0/16B3748\"", "\"0/123456789\""},
        {"\"0/16B3748\"", "\"0/\""},
        {"\"0/16B3748\"", "12"},
        {"\"7300112233445566778\"", "\"99999999999999999999\""},
        {"\"7300112233445566778\"", "7"},
        {"\"row\":12", "\"row\":-1"},
        {"\"row\":12", "\"row\":1.5"},
        {"\"row\":12", "\"row\":9223372036854775808"},
        {"\"number\":7", "\"number\":null"},
        {"\"clock_ns\":null", "\"clock_ns\":\"1\""},
        {"[10,0]", "[10]"},
        {"[10,0]", "[10,-1]"},
        {"[10,0]", "{}"},
        {"\"version\":1", "\"version\":0"},
        {"}}", "}"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect(bad[i][0], bad[i][1], ERR_CORRUPT);
    expect("\"version\":1", "\"version\":2", ERR_VERSION);
    expect("\"row\":12", "\"new\":{\"a\":[1]},\"row\":12", ERR_OK); /* more is fine */
    struct bus_position_record r;
    struct err e;
    assert_int_equal(bus_position_parse((struct str){NULL, 0}, &r, &e), ERR_CORRUPT);
    assert_int_equal(bus_position_parse(STR("[]"), &r, &e), ERR_CORRUPT);
    /* Any damage is an error or a record in its bounds. */
    char text[] = GOOD;
    for (int i = 0; i < 20000; i++) {
        size_t at = random_u64() % (sizeof text - 1);
        char was = text[at];
        text[at] = (char)random_u64();
        enum err_code code = bus_position_parse((struct str){text, sizeof text - 1}, &r, &e);
        if (code == ERR_OK) assert_true(r.partitions <= BUS_PARTITIONS_MAX && r.position.row >= 0);
        text[at] = was;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(as_documented),
        cmocka_unit_test(hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
