/* Replay: nothing of the result depends on where it was interrupted, nor on how batches are cut. */
#include "source_sink.h"

enum { GENERATED = 4 };

struct market {
    uint64_t seed;
    int64_t id, quote_id, ns;
    bool without_ids; /* Tiingo's frames instead of Binance's */
};

/* Prints that repeat within a second: identical ones on one connection are different trades, those
 * of another are the same. */
static void add_print(struct market *m, struct buf *b)
{
    m->ns += (int64_t)(random_next(&m->seed) % (uint64_t)(300 * NS_PER_MS));
    char when[TIME_TEXT_MAX];
    time_format(time_floor(m->ns, NS_PER_S), when);
    buf_addf(
        b,
        "%lld {\"service\":\"crypto_data\",\"messageType\":\"A\",\"data\":[\"T\",\"btcusd\",\"%s\","
        "\"kraken\",%llu.5,100.%llu]}\n",
        (long long)m->ns, when, (unsigned long long)(random_next(&m->seed) % 2),
        (unsigned long long)(1 + random_next(&m->seed) % 2));
}

static void add_frame(struct market *m, struct buf *b)
{
    uint64_t what = random_next(&m->seed) % 100;
    int64_t at = m->ns;
    long long ms = (long long)(at / NS_PER_MS);
    m->ns += (int64_t)(random_next(&m->seed) % (uint64_t)(400 * NS_PER_MS));
    if (what < 55) {
        int64_t id = m->id++;
        if (what < 2) m->id += (int64_t)(random_next(&m->seed) % 5); /* missing ids */
        if (what == 3) id -= 3;                                      /* once more, other content */
        buf_addf(
            b,
            "%lld "
            "{\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"E\":%lld,\"s\":\"BTCUSDT\","
            "\"t\":%lld,\"p\":\"%llu.10000000\",\"q\":\"0.0%llu\",\"T\":%lld,\"m\":%s,\"M\":true}}"
            "\n",
            (long long)at, ms, (long long)id, (unsigned long long)(60000 + (uint64_t)id % 977),
            (unsigned long long)(1 + (uint64_t)id % 89), ms, id % 3 ? "true" : "false");
    } else if (what < 85) {
        buf_addf(b,
                 "%lld "
                 "{\"stream\":\"ethusdt@bookTicker\",\"data\":{\"u\":%lld,\"s\":\"ETHUSDT\",\"b\":"
                 "\"%lld.1\","
                 "\"B\":\"1.5\",\"a\":\"%lld.2\",\"A\":\"2\"}}\n",
                 (long long)at, (long long)m->quote_id, (long long)(2000 + m->quote_id % 50),
                 (long long)(2000 + m->quote_id % 50));
        m->quote_id++;
    } else if (what < 90) {
        buf_addf(b,
                 "%lld {\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"t\":\"x%d\"}}\n",
                 (long long)at, (int)what);
    } else if (what < 92) {
        buf_addf(b, "%lld {\"stream\":\"bt\xff\x01\n", (long long)at);
    } else if (what < 94) {
        buf_addf(b, "what is this?\n");
    } else {
        buf_addf(b, "%lld {\"result\":null,\"id\":%d}\n", (long long)at, (int)what);
    }
}

/* Several collectors of the same market: each saw some of the same trades, so that most are there
 * more than once. */
static void write_market(uint64_t seed, bool without_ids, const char *paths[GENERATED], int frames)
{
    struct market m = {.seed = seed,
                       .id = 1000,
                       .quote_id = 1,
                       .ns = INT64_C(1723161254000000000),
                       .without_ids = without_ids};
    struct buf b[GENERATED], one;
    struct err e = {0};
    for (int f = 0; f < GENERATED; f++) buf_init(&b[f], 64 << 20);
    buf_init(&one, 1 << 20);
    for (int i = 0; i < frames; i++) {
        buf_reset(&one);
        if (m.without_ids)
            add_print(&m, &one);
        else
            add_frame(&m, &one);
        for (int f = 0; f < GENERATED; f++)
            if (i < 20 || random_next(&m.seed) % 3 == 0) buf_add_str(&b[f], buf_str(&one));
    }
    for (int f = 0; f < GENERATED; f++) {
        char name[32];
        snprintf(name, sizeof name, "market-%d", f);
        paths[f] = temporary(name);
        assert_ok(file_write_durable(paths[f], buf_str(&b[f]), &e), &e);
        buf_free(&b[f]);
    }
    buf_free(&one);
}

static void assert_same_lines(const struct sink *a, const struct sink *b)
{
    struct str x = buf_str(&a->lines), y = buf_str(&b->lines);
    for (int line = 1; x.n || y.n; line++) {
        struct str p = str_cut(&x, '\n'), q = str_cut(&y, '\n');
        if (!str_eq(p, q)) fail_msg("line %d:\n  %.*s\n  %.*s", line, STR_ARG(p), STR_ARG(q));
    }
}

static void test_cuts_do_not_matter(void **state)
{
    (void)state;
    const char *paths[GENERATED];
    struct sink small, large;
    write_market(3, false, paths, 2000);
    sink_init(&small, 7, 1 << 20);
    sink_init(&large, 5000, 16 << 20);
    assert_int_equal(sink_replay(&small, paths, GENERATED, "binance", NULL), ERR_OK);
    assert_int_equal(sink_replay(&large, paths, GENERATED, "binance", NULL), ERR_OK);
    assert_true(small.batches > large.batches);
    assert_same_lines(&large, &small);
    assert_true(str_contains(buf_str(&large.lines), "gap "));
    assert_true(str_contains(buf_str(&large.lines), " conflict "));
    assert_true(str_contains(buf_str(&large.lines), " malformed "));
    sink_free(&small);
    sink_free(&large);
}

static void test_interrupted_anywhere(void **state)
{
    (void)state;
    const char *paths[GENERATED];
    uint64_t seed = 11;
    for (int round = 0; round < 6; round++) {
        bool without_ids = round >= 3;
        const char *hint = without_ids ? "tiingo" : "binance";
        write_market((uint64_t)round + 20, without_ids, paths, 1200);
        struct sink whole, broken;
        sink_init(&whole, 40, 1 << 20);
        assert_int_equal(sink_replay(&whole, paths, GENERATED, hint, NULL), ERR_OK);
        sink_init(&broken, 40, 1 << 20);
        for (int tries = 0;; tries++) {
            broken.fail_at = broken.batches + 1 + (int64_t)(random_next(&seed) % 9);
            enum err_code code = sink_replay(&broken, paths, GENERATED, hint, NULL);
            if (code == ERR_OK) break;
            assert_int_equal(code, ERR_DISK);
            assert_true(tries < 10000);
            if (random_next(&seed) % 8 == 0) broken.fail_at = 0;
        }
        broken.fail_at = 0;
        assert_same_lines(&whole, &broken);
        /* Once more: nothing happens. */
        int64_t events = broken.events;
        struct source_stats stats;
        assert_int_equal(sink_replay(&broken, paths, GENERATED, hint, &stats), ERR_OK);
        assert_int_equal(broken.events, events);
        assert_int_equal(stats.frames, 0);
        assert_true(str_contains(buf_str(&whole.lines), without_ids ? "#1 " : "gap "));
        sink_free(&whole);
        sink_free(&broken);
    }
}

struct expected {
    const char *path, *hint;
    int64_t trades, quotes; /* -1: not told by the catalogue */
};

/* Section 2 and 6 of the catalogue. */
static const struct expected catalogue[] = {
    {"hftbacktest/binance-spot", "", 9757 + 10147, 28040 + 45134},
    {"hftbacktest/binance-usdm", "", 14076, 53992},
    {"cryptofeed/BINANCE", "", 2, 84},
    {"cryptofeed/BINANCE_FUTURES", "", 91, 613},
    {"cryptofeed/COINBASE", "", 107, -1},
    {"cryptofeed/KRAKEN", "", 10, 18},
    {"tiingo/tiingo-go/crypto_live.jsonl", "", 11, 18},
    {"binance-data-processor/test_positive_binance_trade_stream_spot_trxusdt_04-03-2025.csv", "",
     10000, 0},
    {"binance-data-processor/test_negative_binance_trade_stream_spot_trxusdt_04-03-2025.csv", "",
     9999, 0},
    {"freqtrade/binance/XRP_OLD-trades.json.gz", "", 12477, 0},
    {"freqtrade/binance/XRP_ETH-trades.json.gz", "", 12477, 0},
};

static void test_catalogue(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof catalogue / sizeof catalogue[0]; i++) {
        const struct expected *x = &catalogue[i];
        const char *path = recorded(x->path);
        struct sink k;
        struct source_stats stats;
        sink_init(&k, 8192, 8 << 20);
        assert_int_equal(sink_replay(&k, &path, 1, x->hint, &stats), ERR_OK);
        if (stats.trades != x->trades || (x->quotes >= 0 && stats.quotes != x->quotes))
            fail_msg("%s: %lld trades, %lld quotes, %lld dead", x->path, (long long)stats.trades,
                     (long long)stats.quotes, (long long)stats.dead);
        assert_int_equal(sink_replay(&k, &path, 1, x->hint, &stats), ERR_OK);
        assert_int_equal(stats.trades + stats.quotes + stats.dead + stats.frames, 0);
        sink_free(&k);
    }
}

static void test_interrupted_real(void **state)
{
    (void)state;
    const char *paths[] = {recorded("cryptofeed/KRAKEN"), recorded("cryptofeed/COINBASE"),
                           recorded("tiingo"), recorded("gocryptotrader/binance.public.json")};
    struct sink whole, broken;
    /* A batch holds the largest answer, so that none is split. */
    sink_init(&whole, 1100, 4 << 20);
    assert_int_equal(sink_replay(&whole, paths, 4, "", NULL), ERR_OK);
    sink_init(&broken, 1100, 4 << 20);
    enum err_code code;
    do {
        broken.fail_at = broken.batches + 2;
        code = sink_replay(&broken, paths, 4, "", NULL);
        assert_true(code == ERR_OK || code == ERR_DISK);
    } while (code != ERR_OK);
    broken.fail_at = 0;
    assert_same_lines(&whole, &broken);
    sink_free(&whole);
    sink_free(&broken);
}

static void test_no_decoder(void **state)
{
    (void)state;
    const char *path = recorded("cryptofeed/BYBIT");
    struct sink k;
    struct source_replay *s;
    struct err e = {0};
    const char *const *lines;
    sink_init(&k, 100, 1 << 20);
    struct source_options o = sink_options(&k);
    struct source_replay_options r = {.paths = &path, .path_count = 1};
    assert_ok(source_replay_open(&o, &r, NULL, &s, &e), &e);
    assert_ok(source_replay_run(s, &e), &e);
    assert_int_equal(source_replay_damage(s, &lines), 3);
    assert_non_null(strstr(lines[1], "no decoder for this venue"));
    assert_non_null(strstr(lines[1], "3342 items are not read"));
    assert_int_equal(k.events, 3); /* one dead letter a file */
    source_replay_close(s);
    sink_free(&k);
}

static void test_wrong_use(void **state)
{
    (void)state;
    struct sink k;
    struct source_replay *s;
    struct err e = {0};
    const char *path = "/nowhere/at/all";
    sink_init(&k, 100, 1 << 20);
    struct source_options o = sink_options(&k);
    struct source_replay_options r = {.paths = &path, .path_count = 1, .venue_hint = STR("mtgox")};
    assert_int_equal(source_replay_open(&o, &r, NULL, &s, &e), ERR_USAGE);
    assert_non_null(strstr(e.text, "mtgox"));
    r.venue_hint = STR("");
    assert_int_equal(source_replay_open(&o, &r, NULL, &s, &e), ERR_NOT_FOUND);
    sink_free(&k);
}

static void test_stop(void **state)
{
    (void)state;
    const char *paths[GENERATED];
    struct sink k, whole;
    struct source_replay *s;
    struct err e = {0};
    write_market(9, false, paths, 500);
    sink_init(&k, 30, 1 << 20);
    sink_init(&whole, 30, 1 << 20);
    struct source_options o = sink_options(&k);
    struct source_replay_options r = {.paths = paths, .path_count = GENERATED};
    assert_ok(source_replay_open(&o, &r, NULL, &s, &e), &e);
    source_replay_stop(s);
    assert_int_equal(source_replay_run(s, &e), ERR_STOPPED);
    source_replay_close(s);
    assert_int_equal(sink_replay(&k, paths, GENERATED, "", NULL), ERR_OK);
    assert_int_equal(sink_replay(&whole, paths, GENERATED, "", NULL), ERR_OK);
    assert_same_lines(&whole, &k);
    sink_free(&k);
    sink_free(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cuts_do_not_matter),
        cmocka_unit_test(test_interrupted_anywhere),
        cmocka_unit_test(test_catalogue),
        cmocka_unit_test(test_interrupted_real),
        cmocka_unit_test(test_no_decoder),
        cmocka_unit_test(test_wrong_use),
        cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
