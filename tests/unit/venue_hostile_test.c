/* Bad input: every frame cut at every byte, every value replaced by one of another type, members doubled, deep nesting, huge
 * numbers, too many events. Nothing crashes (run it under the sanitizers), every refusal has a reason, and the events beside
 * a bad one are still there. Frames are in allocations that end where their padding ends. */
#include "venue_help.h"

static const struct {
    const char *venue, *frame;
} cases[] = {
    {"binance",
     "{\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"E\":1723161255343,\"s\":"
     "\"BTCUSDT\",\"t\":"
     "3735683259,\"p\":\"61837.63\",\"q\":\"0.02\",\"T\":1723161255342,\"m\":true,\"M\":true}}"},
    {"binance", "{\"e\":\"aggTrade\",\"E\":1626992741575,\"a\":16599292,\"s\":\"CTKUSDT\",\"p\":"
                "\"1.011\",\"q\":\"10\","
                "\"f\":23961322,\"l\":23961322,\"T\":1626992741421,\"m\":false}"},
    {"binance_futures",
     "{\"e\":\"bookTicker\",\"u\":51,\"s\":\"ETHUSDT\",\"b\":\"2681.62\",\"B\":\"1.165\",\"a\":"
     "\"2681.63\",\"A\":\"73.077\",\"T\":1723161256310,\"E\":1723161256311}"},
    {"coinbase",
     "{\"type\":\"match\",\"trade_id\":280232,\"maker_order_id\":\"2a\",\"side\":\"sell\",\"size\":"
     "\"985\","
     "\"price\":\"0.00001305\",\"product_id\":\"SKL-BTC\",\"sequence\":177100030,\"time\":"
     "\"2021-04-17T16:43:37.089723Z\"}"},
    {"coinbase", "{\"type\":\"ticker\",\"product_id\":\"BAND-GBP\",\"best_bid\":\"14.755\",\"best_"
                 "ask\":\"14.8\",\"time\":"
                 "\"2021-04-17T16:43:30.244075Z\"}"},
    {"coinbase",
     "{\"type\":\"error\",\"message\":\"Failed\",\"reason\":\"XYZ-USD is not a valid product\"}"},
    {"kraken", "{\"channel\":\"trade\",\"type\":\"update\",\"data\":[{\"symbol\":\"MATIC/"
               "USD\",\"side\":\"buy\",\"price\":"
               "0.5147,\"qty\":6423.46326,\"trade_id\":4665846,\"timestamp\":\"2023-09-25T07:48:36."
               "925533Z\"}]}"},
    {"kraken", "[993,[[\"354.11\",\"0.89594024\",\"1618678142.557535\",\"s\",\"l\",\"\"]],"
               "\"trade\",\"XBT/USD\"]"},
    {"kraken", "[1668,{\"a\":[\"13.2\",35,\"35.7\"],\"b\":[\"13.1\",185,\"185.1\"]},\"ticker\","
               "\"WAVES/EUR\"]"},
    {"tiingo", "{\"service\":\"crypto_data\",\"messageType\":\"A\",\"data\":[\"T\",\"btcusd\","
               "\"2026-09-06T06:17:26.543000+00:00\",\"gemini\",6.255e-5,79927.99]}"},
    {"tiingo", "{\"messageType\":\"A\",\"data\":[\"Q\",\"btcusd\",\"2026-09-06T06:17:23.477686+00:"
               "00\",\"gdax\","
               "0.00729493,79917.44,79917.445,0.00558949,79917.45]}"},
    {"tiingo",
     "{\"messageType\":\"E\",\"response\":{\"code\":403,\"message\":\"Not authorized\"}}"},
};
enum { CASES = sizeof cases / sizeof *cases };

static bool is_printable(char c) { return c >= ' ' && c <= '~'; }

/* Whatever came out is within its limits and readable to its last byte. */
static void assert_sound(const struct bench *b)
{
    const struct decoded *d = &b->out;
    for (size_t i = 0; i < d->error.n; i++) assert_true(is_printable(d->error.p[i]));
    for (size_t i = 0; i < d->refused_count; i++) {
        for (const char *c = d->refused[i].detail; *c; c++) assert_true(is_printable(*c));
        assert_true(strlen(d->refused[i].detail) > 0);
        assert_true(d->refused[i].stream >= -1 && d->refused[i].stream < STREAM_MAX);
        assert_true(d->refused[i].symbol.n <= 128);
        assert_int_equal(dead_reason_text(d->refused[i].reason)[0] != 0, 1);
    }
    for (size_t i = 0; i < d->trade_count; i++) {
        const struct trade *t = &d->trades[i];
        assert_non_null(series_get(b->series, t->series));
        assert_true(t->price.scale >= 0 && t->size.scale >= 0 && t->price.digits >= 0);
        assert_true(t->has_id || t->id_text.n == 0);
        for (size_t k = 0; k < t->id_text.n; k++) assert_true(is_printable(t->id_text.p[k]));
    }
    if (d->class == FRAME_BAD) assert_true(d->refused_count > 0);
    if (d->class == FRAME_ERROR) assert_true(d->error.n > 0);
}

static void feed(struct bench *b, struct str frame)
{
    char *copy = exact_copy(frame);
    venue_decode(b->session, copy, frame.n, RECEIVED_NS, &b->out);
    assert_sound(b);
    free(copy);
}

static void test_cut(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        struct bench b;
        bench_open(&b, cases[i].venue);
        size_t n = strlen(cases[i].frame);
        for (size_t len = 0; len < n; len++) {
            feed(&b, (struct str){cases[i].frame, len});
            assert_int_equal(b.out.class, FRAME_BAD);
        }
        feed(&b, (struct str){cases[i].frame, n});
        assert_int_equal(b.out.refused_count, 0);
        bench_close(&b);
    }
}

/* Ends of the value that begins at p, be it a text, a number, a word, or an array or object without braces in its texts. */
static size_t value_length(const char *p)
{
    if (*p == '"') return strcspn(p + 1, "\"") + 2;
    if (*p != '[' && *p != '{') return strcspn(p, ",]}");
    size_t n = 0;
    int depth = 0;
    do {
        depth += p[n] == '[' || p[n] == '{';
        depth -= p[n] == ']' || p[n] == '}';
        n++;
    } while (depth);
    return n;
}

static bool begins_value(const char *frame, size_t i)
{
    if (i == 0) return true;
    char before = frame[i - 1];
    if (before == ':') return true;
    if (before != ',' && before != '[') return false;
    size_t n = value_length(frame + i);
    return frame[i + n] != ':'; /* a key */
}

static void test_types(void **state)
{
    (void)state;
    static const char *const values[] = {"null",
                                         "true",
                                         "false",
                                         "{}",
                                         "[]",
                                         "\"\"",
                                         "\"x\"",
                                         "0",
                                         "-1",
                                         "1.5",
                                         "1e400",
                                         "1e-400",
                                         "99999999999999999999",
                                         "123456789012345678901234567890.5",
                                         "\"0.0000000000000000001\"",
                                         "\"9223372036854775808\"",
                                         "-0",
                                         "\"-0\"",
                                         "\"007\"",
                                         "[[]]",
                                         "{\"a\":{}}",
                                         "\"\\u0000\"",
                                         "\"\\n\"",
                                         "\"2026-13-45T99:99:99Z\"",
                                         "9223372036854775807",
                                         "\"9999999999999.999999999\"",
                                         "\"\\ud83d\\ude00\"",
                                         "1672515782136000000000"};
    for (int i = 0; i < CASES; i++) {
        struct bench b;
        bench_open(&b, cases[i].venue);
        const char *frame = cases[i].frame;
        for (size_t at = 0; frame[at]; at++) {
            if (!begins_value(frame, at)) continue;
            size_t len = value_length(frame + at);
            for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
                char text[1024];
                int n = snprintf(text, sizeof text, "%.*s%s%s", (int)at, frame, values[v],
                                 frame + at + len);
                feed(&b, (struct str){text, (size_t)n});
            }
        }
        bench_close(&b);
    }
}

/* A member that we read stands twice: which one would be meant? */
static void test_twice(void **state)
{
    (void)state;
    static const struct {
        int frame;
        const char *member;
    } doubled[] = {{0, "\"p\":\"1\","},        {0, "\"t\":7,"},         {1, "\"f\":7,"},
                   {2, "\"b\":\"1\","},        {3, "\"price\":\"1\","}, {3, "\"trade_id\":7,"},
                   {4, "\"best_bid\":\"1\","}, {9, "\"data\":[],"}};
    for (size_t i = 0; i < sizeof doubled / sizeof *doubled; i++) {
        struct bench b;
        const char *frame = cases[doubled[i].frame].frame;
        bench_open(&b, cases[doubled[i].frame].venue);
        const char *inner = strrchr(frame, '{') + 1;
        char text[1024];
        int n = snprintf(text, sizeof text, "%.*s%s%s", (int)(inner - frame), frame,
                         doubled[i].member, inner);
        feed(&b, (struct str){text, (size_t)n});
        assert_refused(&b.out, DEAD_MALFORMED, "twice");
        bench_close(&b);
    }
}

static void test_nesting(void **state)
{
    (void)state;
    enum { DEPTH = 1000000 };
    char *text = malloc(2 * DEPTH + 64);
    for (size_t i = 0; venue_all[i]; i++) {
        struct bench b;
        bench_open(&b, venue_all[i]->name);
        memset(text, '[', DEPTH);
        memset(text + DEPTH, ']', DEPTH);
        feed(&b, (struct str){text, 2 * DEPTH});
        assert_int_equal(b.out.class, FRAME_BAD);
        feed(&b, (struct str){text, DEPTH});
        assert_int_equal(b.out.class, FRAME_BAD);
        for (size_t k = 0; k < DEPTH / 5; k++) memcpy(text + k * 5, "{\"a\":", 5);
        feed(&b, (struct str){text, DEPTH});
        assert_int_equal(b.out.class, FRAME_BAD);
        bench_close(&b);
    }
    free(text);
}

static void test_limits(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "kraken");
    feed(&b, STR(""));
    assert_refused(&b.out, DEAD_MALFORMED, "empty");
    char byte[1 + VENUE_PADDING] = "x";
    venue_decode(b.session, byte, (size_t)VENUE_FRAME_MAX + 1, 0, &b.out); /* not read */
    assert_refused(&b.out, DEAD_TOO_BIG, "16777217");
    struct buf frame;
    buf_init(&frame, VENUE_FRAME_MAX);
    buf_add_cstr(&frame, "[1,[");
    for (int i = 0; i < VENUE_EVENTS_MAX + 1000; i++)
        buf_addf(&frame, "%s[\"1\",\"1\",\"1618678142.5\",\"%s\",\"l\",\"\"]", i ? "," : "",
                 i == 5 ? "q" : "s");
    buf_add_cstr(&frame, "],\"trade\",\"XBT/USD\"]");
    feed(&b, buf_str(&frame));
    assert_int_equal(b.out.trade_count, VENUE_EVENTS_MAX);
    assert_string_equal(dead_reason_text(b.out.refused[0].reason), "malformed"); /* row 5 */
    assert_string_equal(dead_reason_text(b.out.refused[1].reason), "too_big");
    buf_free(&frame);
    bench_close(&b);
}

/* One bad row in the middle costs one dead letter, and no other. */
static void test_neighbours(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "kraken");
    const struct decoded *d =
        bench_text(&b, "{\"channel\":\"trade\",\"type\":\"update\",\"data\":[{\"symbol\":\"A/"
                       "USD\",\"side\":\"buy\",\"price\":1,"
                       "\"qty\":1,\"trade_id\":1,\"timestamp\":\"2023-09-25T07:48:36Z\"},{"
                       "\"symbol\":\"B/USD\",\"side\":\"buy\","
                       "\"price\":0.1234567890123456789,\"qty\":1,\"trade_id\":2,\"timestamp\":"
                       "\"2023-09-25T07:48:36Z\"},"
                       "7,{\"symbol\":\"C/"
                       "USD\",\"side\":\"sell\",\"price\":3,\"qty\":1,\"trade_id\":3,\"timestamp\":"
                       "\"2023-09-25T07:48:36Z\"}]}");
    assert_int_equal(d->class, FRAME_DATA);
    assert_int_equal(d->trade_count, 2);
    assert_symbol(&b, d->trades[1].series, "C-USD", "kraken");
    assert_int_equal(d->refused_count, 2);
    assert_int_equal(d->refused[0].reason, DEAD_INEXACT);
    assert_str(d->refused[0].symbol, "B/USD");
    assert_int_equal(d->refused[1].reason, DEAD_MALFORMED);
    bench_close(&b);
}

/* Ids that no int64 holds keep their text; others of another spelling are other ids. */
static void test_ids(void **state)
{
    (void)state;
    static const struct {
        const char *given;
        int64_t number;
        const char *text;
    } ids[] = {{"10003317158754670853281", 0, "10003317158754670853281"},
               {"\"a8f5-x\"", 0, "a8f5-x"},
               {"\"007\"", 0, "007"},
               {"\"-0\"", 0, "-0"},
               {"9223372036854775807", INT64_MAX, ""},
               {"9223372036854775808", 0, "9223372036854775808"},
               {"0", 0, ""}};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct bench b;
        bench_open(&b, "binance");
        char text[512];
        snprintf(text, sizeof text,
                 "{\"e\":\"trade\",\"E\":1,\"s\":\"BTCUSDT\",\"t\":%s,\"p\":\"1\",\"q\":\"1\","
                 "\"T\":1723161255342,\"m\":true}",
                 ids[i].given);
        bench_text(&b, text);
        assert_int_equal(b.out.trade_count, 1);
        assert_true(b.out.trades[0].has_id);
        assert_true(b.out.trades[0].id == ids[i].number);
        assert_str(b.out.trades[0].id_text, ids[i].text);
        bench_close(&b);
    }
}

static void test_bytes(void **state)
{
    (void)state;
    uint64_t seed = 42;
    for (int i = 0; i < CASES; i++) {
        struct bench b;
        bench_open(&b, cases[i].venue);
        char text[512];
        size_t n = strlen(cases[i].frame);
        for (int k = 0; k < 5000; k++) {
            memcpy(text, cases[i].frame, n);
            for (int m = 0; m < 3; m++) {
                seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
                text[(seed >> 33) % n] = (char)(seed >> 56);
            }
            feed(&b, (struct str){text, n});
        }
        bench_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut),    cmocka_unit_test(test_types),
        cmocka_unit_test(test_twice),  cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_ids),    cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
