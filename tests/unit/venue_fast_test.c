/* The fast readers against the plain ones: Binance's scanner against the full parser, numbers against dec_parse and
 * str_to_i64, times against time_parse_iso. Seeded random input, real frames as the start. */
#include "venue/json.h"
#include "venue_help.h"

static uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);
static uint32_t draw(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 32) % below;
}

static const char *const frames[] = {
    "{\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"E\":1723161255343,\"s\":\"BTCUSDT\","
    "\"t\":"
    "3735683259,\"p\":\"61837.63000000\",\"q\":\"0.02000000\",\"T\":1723161255342,\"m\":true,\"M\":"
    "true}}",
    "{\"e\":\"trade\",\"E\":1723161255343,\"s\":\"BTCUSDT\",\"t\":3735683259,\"p\":\"61837."
    "63000000\",\"q\":"
    "\"0.02000000\",\"T\":1723161255342,\"m\":false,\"M\":true}",
    "{\"stream\":\"btcusdt@bookTicker\",\"data\":{\"u\":50093239212,\"s\":\"BTCUSDT\",\"b\":"
    "\"61837.63000000\",\"B\":\"3.78826000\",\"a\":\"61837.64000000\",\"A\":\"1.54698000\"}}",
    "{\"stream\":\"ethusdt@bookTicker\",\"data\":{\"e\":\"bookTicker\",\"u\":5123107838717,\"s\":"
    "\"ETHUSDT\","
    "\"b\":\"2681.62\",\"B\":\"1.165\",\"a\":\"2681.63\",\"A\":\"73.077\",\"T\":1723161256310,"
    "\"E\":1723161256311}}",
    "{\"e\":\"aggTrade\",\"E\":1626992741575,\"a\":16599292,\"s\":\"CTKUSDT\",\"p\":\"1.01100\","
    "\"q\":\"10\","
    "\"f\":23961322,\"l\":23961322,\"T\":1626992741421,\"m\":false}",
    "{\"e\":\"trade\",\"E\":1,\"T\":1723161256560,\"s\":\"ETHUSDT\",\"t\":4308068523,\"p\":\"0\","
    "\"q\":\"0\","
    "\"X\":\"NA\",\"m\":true}",
    "{\"e\":\"serverShutdown\",\"E\":1770123456789}",
};

static bool same_trade(const struct trade *a, const struct trade *b)
{
    return a->series == b->series && a->stream == b->stream && a->side == b->side &&
           a->kind == b->kind && a->has_id == b->has_id && a->has_range == b->has_range &&
           a->id == b->id && a->first_id == b->first_id && a->last_id == b->last_id &&
           str_eq(a->id_text, b->id_text) && dec_eq(a->price, b->price) &&
           dec_eq(a->size, b->size) && a->venue_time_ns == b->venue_time_ns;
}

static bool same_quote(const struct quote *a, const struct quote *b)
{
    return a->series == b->series && dec_eq(a->bid_price, b->bid_price) &&
           dec_eq(a->bid_size, b->bid_size) && dec_eq(a->ask_price, b->ask_price) &&
           dec_eq(a->ask_size, b->ask_size) && a->venue_time_ns == b->venue_time_ns;
}

static bool same_decoded(const struct decoded *a, const struct decoded *b)
{
    if (a->class != b->class || a->trade_count != b->trade_count ||
        a->quote_count != b->quote_count || a->refused_count != b->refused_count)
        return false;
    for (size_t i = 0; i < a->trade_count; i++)
        if (!same_trade(&a->trades[i], &b->trades[i])) return false;
    for (size_t i = 0; i < a->quote_count; i++)
        if (!same_quote(&a->quotes[i], &b->quotes[i])) return false;
    for (size_t i = 0; i < a->refused_count; i++)
        if (a->refused[i].reason != b->refused[i].reason) return false;
    return true;
}

/* A blank in front is white space, which the scanner leaves to the full parser. */
static void compare(struct bench *fast, struct bench *full, struct str frame)
{
    struct buf spaced;
    buf_init(&spaced, 1 << 20);
    buf_add_byte(&spaced, ' ');
    buf_add_str(&spaced, frame);
    bench_frame(fast, frame);
    bench_frame(full, buf_str(&spaced));
    if (!same_decoded(&fast->out, &full->out))
        fail_msg("the scanner and the full parser differ on %.*s", STR_ARG(frame));
    buf_free(&spaced);
}

static size_t mutate(char *text, size_t n, size_t room)
{
    static const char alphabet[] = "\"\\{}[]:,.0123456789eE+-truefalsnpqTmXsab \n\x01\x7f\xc3\xa9";
    switch (draw(5)) {
    case 0: text[draw((uint32_t)n)] = alphabet[draw(sizeof alphabet)]; break;
    case 1: text[draw((uint32_t)n)] = (char)draw(256); break;
    case 2: {
        size_t at = draw((uint32_t)n);
        memmove(text + at, text + at + 1, n - at - 1);
        return n - 1;
    }
    case 3: {
        size_t at = draw((uint32_t)n);
        if (n + 1 > room) break;
        memmove(text + at + 1, text + at, n - at);
        text[at] = alphabet[draw(sizeof alphabet)];
        return n + 1;
    }
    default: {
        size_t from = draw((uint32_t)n), to = draw((uint32_t)n), len = draw(20);
        if (from + len > n || to + len > n) break;
        memmove(text + to, text + from, len);
    }
    }
    return n;
}

static void test_scanner(void **state)
{
    (void)state;
    struct bench fast, full;
    bench_open(&fast, "binance_futures");
    bench_open(&full, "binance_futures");
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct str frame = str_of(frames[i]);
        compare(&fast, &full, frame);
        assert_int_equal(fast.out.refused_count, 0);
        for (int k = 0; k < 15000; k++) {
            char text[512];
            memcpy(text, frame.p, frame.n);
            size_t n = frame.n;
            for (uint32_t m = draw(3) + 1; m && n > 1; m--) n = mutate(text, n, sizeof text);
            compare(&fast, &full, (struct str){text, n});
        }
    }
    bench_close(&fast);
    bench_close(&full);
}

/* The token with hostile bytes behind it, as a value. */
static yyjson_val *value_of(yyjson_val *v, char *room, struct str token)
{
    memcpy(room, token.p, token.n);
    memset(room + token.n, '0' + (int)draw(10), JSON_PADDING);
    unsafe_yyjson_set_raw(v, room, token.n);
    return v;
}

static size_t random_number(char *text)
{
    size_t n = 0;
    if (draw(8) == 0) text[n++] = '-';
    for (uint32_t k = draw(12); k; k--) text[n++] = (char)('0' + (draw(3) ? draw(10) : 0));
    if (draw(2)) text[n++] = '.';
    for (uint32_t k = draw(12); k; k--) text[n++] = (char)('0' + (draw(2) ? draw(10) : 0));
    if (draw(10) == 0) text[n++] = "eE.x-+ "[draw(7)];
    if (draw(10) == 0) text[n++] = (char)('0' + draw(10));
    return n;
}

static void test_numbers(void **state)
{
    (void)state;
    for (int i = 0; i < 300000; i++) {
        char text[64], room[64 + JSON_PADDING];
        yyjson_val v;
        struct str token = {text, random_number(text)};
        value_of(&v, room, token);
        struct dec a = {1, 1}, b = {1, 1};
        enum err_code fast = json_dec(&v, &a), plain = dec_parse(token, &b);
        if (fast != plain || !dec_eq(a, b)) fail_msg("json_dec of %.*s", STR_ARG(token));
        int64_t x = 0, y = 0;
        fast = json_i64(&v, &x);
        plain = str_to_i64(token, &y);
        if (fast != plain || x != y) fail_msg("json_i64 of %.*s", STR_ARG(token));
    }
}

static void test_times(void **state)
{
    (void)state;
    static const char *const starts[] = {
        "2026-09-06T06:17:23.371785+00:00", "2021-04-17T16:43:37.089723Z", "2024-02-29T23:59:59Z",
        "1969-12-31T23:59:59.999999999Z", "2026-09-06T06:17:23.5+02:00"};
    struct json j = {0};
    for (int i = 0; i < 200000; i++) {
        char text[64];
        struct str start = str_of(starts[draw(5)]);
        memcpy(text, start.p, start.n);
        size_t n = start.n;
        for (uint32_t m = draw(3); m; m--) text[draw((uint32_t)n)] = "0123456789:-T.Z+ "[draw(17)];
        if (draw(4) == 0) n -= draw(12);
        yyjson_val v;
        unsafe_yyjson_set_strn(&v, text, n);
        int64_t a = 0, b = 0;
        enum err_code fast = json_time_iso(&j, &v, &a);
        enum err_code plain = time_parse_iso((struct str){text, n}, &b);
        if (fast != plain || (fast == ERR_OK && a != b)) fail_msg("time %.*s", (int)n, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scanner),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
