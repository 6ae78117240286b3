/* The core, frame by frame: what becomes of good, bad, large and hostile ones. */
#include "source_sink.h"

#include "source/core.h"

struct bench {
    struct sink sink;
    struct core *core;
    struct core_connection *connection;
    struct err e;
};

static void setup(struct bench *b, size_t max_events, const char *venue)
{
    memset(b, 0, sizeof *b);
    sink_init(&b->sink, max_events, 4 << 20);
    struct source_options o = sink_options(&b->sink);
    o.origin = ORIGIN_LIVE;
    assert_ok(core_open(&o, NULL, &b->core, &b->e), &b->e);
    b->connection = core_connection_new(b->core, venue_by_name(str_of(venue)), STR("test/0"));
    core_connected(b->core, b->connection);
}

static void teardown(struct bench *b)
{
    core_close(b->core);
    sink_free(&b->sink);
}

static const int64_t START = INT64_C(1723161254000000000);

static struct core_result frame(struct bench *b, struct str bytes, int64_t position)
{
    struct core_result r;
    struct core_input in = {.connection = b->connection,
                            .bytes = bytes.p,
                            .len = bytes.n,
                            .received_ns = START + position * NS_PER_MS,
                            .position = position,
                            .origin = ORIGIN_LIVE};
    assert_ok(core_frame(b->core, &in, &r, &b->e), &b->e);
    return r;
}

static struct str trade_frame(int64_t id, const char *price, int64_t ms)
{
    static char text[512];
    int n = snprintf(
        text, sizeof text,
        "{\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"E\":%lld,\"s\":\"BTCUSDT\","
        "\"t\":%lld,\"p\":\"%s\",\"q\":\"0.5\",\"T\":%lld,\"m\":true,\"M\":true}}",
        (long long)ms, (long long)id, price, (long long)ms);
    return (struct str){text, (size_t)n};
}

static void assert_lines(struct bench *b, const char *const *parts, size_t count)
{
    struct str rest = buf_str(&b->sink.lines);
    for (size_t i = 0; i < count; i++) {
        struct str line = str_cut(&rest, '\n');
        if (!str_contains(line, parts[i]))
            fail_msg("line %zu: %.*s: %s expected", i, STR_ARG(line), parts[i]);
    }
    assert_int_equal(rest.n, 0);
}

static void test_one_of_each(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, 1000, "binance");
    int64_t ms = START / NS_PER_MS;
    assert_int_equal(frame(&b, trade_frame(7, "100.10", ms), 1).trades, 1);
    assert_int_equal(frame(&b, trade_frame(7, "100.10", ms), 2).trades, 0);
    assert_int_equal(frame(&b, trade_frame(7, "100.11", ms), 3).refused, 1);
    assert_int_equal(frame(&b, trade_frame(8, "0.1234567890123456789", ms), 4).refused, 1);
    assert_int_equal(frame(&b, trade_frame(8, "100.2", ms + 60000), 5).refused, 1);
    assert_int_equal(frame(&b, STR("not json"), 6).class, FRAME_BAD);
    assert_int_equal(frame(&b, trade_frame(8, "100.2", ms + 9000), 7).trades, 1);
    assert_ok(core_push(b.core, &b.e), &b.e);
    const char *const lines[] = {
        "trade binance binance BTC-USDT trade sell 7/",
        "dead binance test/0 conflict 3 ",
        "dead binance test/0 inexact 4 ",
        "dead binance test/0 future 5 ",
        "dead binance test/0 malformed 6 ",
        "trade binance binance BTC-USDT trade sell 8/",
    };
    assert_lines(&b, lines, 6);
    struct source_stats s;
    core_stats(b.core, &s);
    assert_int_equal(s.frames, 7);
    assert_int_equal(s.trades, 2);
    assert_int_equal(s.dead, 4);
    assert_int_equal(s.duplicates, 2); /* the conflict is a dropped duplicate too */
    teardown(&b);
}

/* A frame past the limit is not decoded; the dead letter has its first bytes and says so. */
static void test_too_big(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, 1000, "binance");
    char *big = malloc(VENUE_FRAME_MAX + 1);
    memset(big, 'x', VENUE_FRAME_MAX + 1);
    assert_int_equal(frame(&b, (struct str){big, VENUE_FRAME_MAX + 1}, 1).refused, 1);
    assert_int_equal(frame(&b, (struct str){big, 70000}, 2).refused, 1);
    assert_int_equal(frame(&b, (struct str){big, 0}, 3).refused, 1);
    assert_ok(core_push(b.core, &b.e), &b.e);
    free(big);
    const char *const lines[] = {"too_big 1 ", "malformed 2 ", "malformed 3 "};
    assert_lines(&b, lines, 3);
    assert_true(
        str_contains(buf_str(&b.sink.lines), "(only the first 65536 bytes are kept) | 65536 "));
    teardown(&b);
}

/* Many refused events in one frame do not multiply its bytes. */
static void test_many_refused(void **state)
{
    (void)state;
    struct bench b;
    struct buf f;
    setup(&b, 5000, "kraken");
    buf_init(&f, 1 << 20);
    buf_add_cstr(&f, "{\"channel\":\"trade\",\"type\":\"update\",\"data\":[");
    for (int i = 0; i < 1000; i++)
        buf_addf(&f, "%s{\"symbol\":\"BTC/USD\",\"n\":%d}", i ? "," : "", i);
    buf_add_cstr(&f, "]}");
    assert_int_equal(frame(&b, buf_str(&f), 1).refused, 1000);
    assert_ok(core_push(b.core, &b.e), &b.e);
    struct str rest = buf_str(&b.sink.lines);
    int whole = 0;
    while (rest.n) {
        struct str line = str_cut(&rest, '\n');
        whole += !str_contains(line, "| 0 ");
    }
    assert_int_equal(whole, CORE_PAYLOADS_MAX);
    buf_free(&f);
    teardown(&b);
}

/* A frame of more events than a batch: split, and still each event once. */
static void test_oversize(void **state)
{
    (void)state;
    struct bench b;
    struct buf f;
    setup(&b, 10, "kraken");
    buf_init(&f, 1 << 20);
    buf_add_cstr(&f, "{\"channel\":\"trade\",\"type\":\"update\",\"data\":[");
    for (int i = 0; i < 95; i++)
        buf_addf(&f,
                 "%s{\"symbol\":\"BTC/"
                 "USD\",\"side\":\"buy\",\"price\":1.5,\"qty\":2,\"ord_type\":\"limit\","
                 "\"trade_id\":%d,\"timestamp\":\"2024-08-08T23:54:14.000000Z\"}",
                 i ? "," : "", i + 1);
    buf_add_cstr(&f, "]}");
    assert_int_equal(frame(&b, buf_str(&f), 1).trades, 95);
    assert_ok(core_push(b.core, &b.e), &b.e);
    assert_int_equal(b.sink.events, 95);
    assert_int_equal(b.sink.batches, 10);
    buf_free(&f);
    teardown(&b);
}

/* A batch is pushed on before a frame that does not fit: its position never stands inside a frame. */
static void test_never_split(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, 10, "kraken");
    uint32_t slot = core_position_slot(b.core, STR("x"));
    int64_t id = 1;
    uint64_t seed = 3;
    for (int64_t n = 1; n <= 200; n++) {
        struct buf f;
        buf_init(&f, 1 << 20);
        buf_add_cstr(&f, "{\"channel\":\"trade\",\"type\":\"update\",\"data\":[");
        int count = 1 + (int)(random_next(&seed) % 6);
        for (int i = 0; i < count; i++)
            buf_addf(&f,
                     "%s{\"symbol\":\"BTC/USD\",\"side\":\"buy\",\"price\":%lld.5,\"qty\":2,"
                     "\"ord_type\":\"limit\",\"trade_id\":%lld,\"timestamp\":\"2024-08-08T23:54:14."
                     "000000Z\"}",
                     i ? "," : "", (long long)n, (long long)id++);
        buf_add_cstr(&f, "]}");
        frame(&b, buf_str(&f), n);
        assert_ok(core_position(b.core, slot, n, false, &b.e), &b.e);
        buf_free(&f);
        /* The newest durable event is of a frame that the durable position covers, and the other way round. */
        struct str all = buf_str(&b.sink.lines), last = {NULL, 0};
        while (all.n) last = str_cut(&all, '\n');
        char price[32];
        snprintf(price, sizeof price, " %lld.5 ",
                 b.sink.position_count ? (long long)b.sink.positions[0].frames : 0LL);
        if (last.n) assert_true(str_contains(last, price));
    }
    teardown(&b);
}

static void test_venue_error(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, 100, "kraken");
    struct core_result r =
        frame(&b,
              STR("{\"method\":\"subscribe\",\"success\":false,\"error\":\"Currency pair not "
                  "supported FOO/BAR\",\"symbol\":\"FOO/BAR\"}"),
              1);
    assert_int_equal(r.class, FRAME_ERROR);
    assert_true(str_contains(r.error, "not supported"));
    assert_int_equal(b.sink.notices, 1);
    assert_ok(core_push(b.core, &b.e), &b.e);
    const char *const lines[] = {"dead kraken test/0 venue_error 1 "};
    assert_lines(&b, lines, 1);
    teardown(&b);
}

/* The same list twice brings its instruments once; a changed one again; a broken one is a dead letter. */
static void test_instruments(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, 100, "coinbase");
    const char *const status[] = {"online", "online", "delisted"};
    struct core_result r;
    for (int i = 0; i < 3; i++) {
        char body[256];
        int n = snprintf(body, sizeof body,
                         "[{\"id\":\"BTC-USD\",\"base_currency\":\"BTC\","
                         "\"quote_currency\":\"USD\",\"status\":\"%s\"}]",
                         status[i]);
        struct core_input in = {
            .connection = b.connection, .bytes = body, .len = (size_t)n, .received_ns = START};
        assert_ok(core_rest(b.core, &in, STR("/products"), &r, &b.e), &b.e);
        assert_ok(core_push(b.core, &b.e), &b.e);
    }
    assert_int_equal(b.sink.instrument_count, 2);
    assert_true(str_is(b.sink.instruments[1].status, "delisted"));
    assert_true(str_is(b.sink.instruments[0].symbol, "BTC-USD"));
    struct core_input in = {
        .connection = b.connection, .bytes = "{\"message\":", .len = 11, .received_ns = START};
    assert_ok(core_rest(b.core, &in, STR("/products?x=1"), &r, &b.e), &b.e);
    assert_int_equal(r.class, FRAME_BAD);
    assert_ok(core_push(b.core, &b.e), &b.e);
    assert_true(str_contains(buf_str(&b.sink.lines), "dead coinbase test/0 malformed "));
    assert_int_equal(b.sink.events, 1);
    teardown(&b);
}

/* A hole is a gap when the receipt clock says so, and an id that comes later closes it. */
static void test_gap_by_the_clock(void **state)
{
    (void)state;
    struct bench b;
    setup(&b, 100, "binance");
    int64_t ms = START / NS_PER_MS;
    frame(&b, trade_frame(1, "1", ms), 1);
    frame(&b, trade_frame(3, "3", ms), 2);
    frame(&b, trade_frame(4, "4", ms), 400); /* within the grace of one second */
    assert_ok(core_push(b.core, &b.e), &b.e);
    assert_false(str_contains(buf_str(&b.sink.lines), "gap "));
    frame(&b, trade_frame(5, "5", ms), 1400);
    assert_ok(core_push(b.core, &b.e), &b.e);
    assert_true(str_contains(buf_str(&b.sink.lines), "gap 1 BTC-USDT trade ids open 2-2 "));
    frame(&b, trade_frame(2, "2", ms), 1500);
    assert_ok(core_clock(b.core, START + 5 * NS_PER_S, &b.e), &b.e);
    assert_ok(core_push(b.core, &b.e), &b.e);
    assert_true(str_contains(buf_str(&b.sink.lines), "gap 1 BTC-USDT trade ids repaired "));
    struct source_stats s;
    core_stats(b.core, &s);
    assert_int_equal(s.gaps_opened, 1);
    assert_int_equal(s.gaps_closed, 1);
    teardown(&b);
}

struct state_sizes {
    size_t most;
    int64_t unrepairable;
};

static enum err_code measure_state(void *ctx, struct batch *b, struct err *e)
{
    struct state_sizes *m = ctx;
    (void)e;
    for (size_t i = 0; i < b->dedup_count; i++)
        if (b->dedup[i].bytes.n > m->most) m->most = b->dedup[i].bytes.n;
    for (size_t i = 0; i < b->gap_count; i++)
        m->unrepairable += b->gaps[i].state == GAP_STATE_UNREPAIRABLE;
    batch_put(b);
    return ERR_OK;
}

/* Ids that leave a hole each, all at one moment of the receipt clock: the holes that are given up are told all the same, or
 * the state that keeps them would outgrow a batch. */
static void test_holes_without_end(void **state)
{
    (void)state;
    struct bench b;
    struct state_sizes m = {0};
    memset(&b, 0, sizeof b);
    sink_init(&b.sink, 4096, 4 << 20);
    struct source_options o = sink_options(&b.sink);
    o.push = measure_state;
    o.push_ctx = &m;
    assert_ok(core_open(&o, NULL, &b.core, &b.e), &b.e);
    b.connection = core_connection_new(b.core, venue_by_name(STR("binance")), STR("c"));
    for (int64_t id = 1; id < 80000; id += 2) frame(&b, trade_frame(id, "1", START / NS_PER_MS), 1);
    assert_ok(core_push(b.core, &b.e), &b.e);
    assert_in_range(m.unrepairable, 30000, 40000);
    assert_in_range(m.most, 1000, 200000);
    teardown(&b);
}

static void test_age(void **state)
{
    (void)state;
    struct bench b;
    memset(&b, 0, sizeof b);
    sink_init(&b.sink, 100, 1 << 20);
    struct source_options o = sink_options(&b.sink);
    o.batch_ms = 20;
    assert_ok(core_open(&o, NULL, &b.core, &b.e), &b.e);
    b.connection = core_connection_new(b.core, venue_by_name(STR("binance")), STR("c"));
    assert_ok(core_age(b.core, 1000 * NS_PER_MS, &b.e), &b.e);
    frame(&b, trade_frame(1, "1", START / NS_PER_MS), 1);
    assert_ok(core_age(b.core, 1001 * NS_PER_MS, &b.e), &b.e);
    assert_ok(core_age(b.core, 1020 * NS_PER_MS, &b.e), &b.e);
    assert_int_equal(b.sink.batches, 0);
    assert_ok(core_age(b.core, 1021 * NS_PER_MS, &b.e), &b.e);
    assert_int_equal(b.sink.batches, 1);
    assert_ok(core_age(b.core, 2000 * NS_PER_MS, &b.e), &b.e);
    assert_int_equal(b.sink.batches, 1); /* nothing: nothing is pushed */
    teardown(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_of_each),  cmocka_unit_test(test_too_big),
        cmocka_unit_test(test_many_refused), cmocka_unit_test(test_oversize),
        cmocka_unit_test(test_never_split),  cmocka_unit_test(test_venue_error),
        cmocka_unit_test(test_instruments),  cmocka_unit_test(test_gap_by_the_clock),
        cmocka_unit_test(test_age),          cmocka_unit_test(test_holes_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
