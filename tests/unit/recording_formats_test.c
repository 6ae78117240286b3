/* Every file of the catalogue that holds our venues: as many items as its tables say, of the right
 * venue. */
#include "recording_help.h"

struct expected {
    const char *path, *format, *venue, *symbol;
    int64_t frames, sent, connects, rest, trades, candles;
};

static const struct expected files[] = {
    {"cryptofeed/BINANCE/BINANCE.0", "cryptofeed", "binance", "", 0, 0, 0, 1, 0, 0},
    {"cryptofeed/BINANCE/BINANCE.http.0.0", "cryptofeed", "binance", "", 0, 0, 0, 4, 0, 0},
    {"cryptofeed/BINANCE/BINANCE.ws.1.0", "cryptofeed", "binance", "", 265, 0, 1, 0, 0, 0},
    {"cryptofeed/BINANCE_FUTURES/BINANCE_FUTURES.0", "cryptofeed", "binance_futures", "", 0, 0, 0,
     1, 0, 0},
    {"cryptofeed/BINANCE_FUTURES/BINANCE_FUTURES.http.0.0", "cryptofeed", "binance_futures", "", 0,
     0, 0, 4, 0, 0},
    {"cryptofeed/BINANCE_FUTURES/BINANCE_FUTURES.ws.1.0", "cryptofeed", "binance_futures", "", 1535,
     0, 1, 0, 0, 0},
    {"cryptofeed/COINBASE/COINBASE.0", "cryptofeed", "coinbase", "", 0, 0, 0, 1, 0, 0},
    {"cryptofeed/COINBASE/COINBASE.ws.28.0", "cryptofeed", "coinbase", "", 9946, 3, 1, 0, 0, 0},
    {"cryptofeed/KRAKEN/KRAKEN.0", "cryptofeed", "kraken", "", 0, 0, 0, 1, 0, 0},
    {"cryptofeed/KRAKEN/KRAKEN.ws.48.0", "cryptofeed", "kraken", "", 49, 1, 1, 0, 0, 0},
    {"cryptofeed/KRAKEN/KRAKEN.ws.49.0", "cryptofeed", "kraken", "", 60, 1, 1, 0, 0, 0},
    {"cryptofeed/KRAKEN/KRAKEN.ws.50.0", "cryptofeed", "kraken", "", 4321, 1, 1, 0, 0, 0},
    /* Of other venues: read, but of a venue that we do not know. */
    {"cryptofeed/BYBIT/BYBIT.ws.25.0", "cryptofeed", "", "", 3342, 16, 1, 0, 0, 0},
    {"cryptofeed-v3/COINBASE/COINBASE.jsonl", "cryptofeed v3", "", "", 1030, 5, 1, 1, 0, 0},
    {"cryptofeed-v3/BYBIT/BYBIT.jsonl", "cryptofeed v3", "", "", 3227, -1, -1, -1, 0, 0},
    {"hftbacktest/hyperliquid/btcusd_20250126.gz", "hftbacktest", "", "", 55, 0, 0, 0, 0, 0},

    {"hftbacktest/binance-spot/btcusdt_20240808.gz", "hftbacktest", "binance", "", 41248, 0, 0, 1,
     0, 0},
    {"hftbacktest/binance-spot/btcusdt_20240809.gz", "hftbacktest", "binance", "", 58325, 0, 0, 0,
     0, 0},
    {"hftbacktest/binance-usdm/ethusdt_20240808.gz", "hftbacktest", "binance_futures", "", 74654, 0,
     0, 1, 0, 0},
    {"binance-data-processor/test_positive_binance_trade_stream_spot_trxusdt_04-03-2025.csv",
     "binance-data-processor", "binance", "TRXUSDT", 0, 0, 0, 0, 10000, 0},
    {"binance-data-processor/test_negative_binance_trade_stream_spot_trxusdt_04-03-2025.csv",
     "binance-data-processor", "binance", "TRXUSDT", 0, 0, 0, 0, 10000, 0},
    {"binance-official-klines/spot-BTCUSDT-1m/BTCUSDT-1m-2017-08-17.csv", "binance klines",
     "binance", "BTCUSDT", 0, 0, 0, 0, 0, 1200},
    {"binance-official-klines/spot-BTCUSDT-1m/BTCUSDT-1m-2019-05-15.csv", "binance klines",
     "binance", "BTCUSDT", 0, 0, 0, 0, 0, 840},
    {"binance-official-klines/spot-BTCUSDT-1m/BTCUSDT-1m-2024-08-08.csv", "binance klines",
     "binance", "BTCUSDT", 0, 0, 0, 0, 0, 1440},
    {"binance-official-klines/usdm-ETHUSDT-1m/ETHUSDT-1m-2024-08.excerpt.csv", "binance klines",
     "binance_futures", "ETHUSDT", 0, 0, 0, 0, 0, 6},
    {"freqtrade/binance/XRP_ETH-trades.json.gz", "ccxt trades", "binance", "XRPETH", 0, 0, 0, 0,
     12477, 0},
    {"freqtrade/binance/XRP_OLD-trades.json.gz", "ccxt trades", "binance", "XRPETH", 0, 0, 0, 0,
     12477, 0},
    {"freqtrade/binance/XRP_ETH-1m.json", "ccxt candles", "binance", "XRPETH", 0, 0, 0, 0, 0, 3560},
    {"freqtrade/binance/XRP_ETH-5m.json", "ccxt candles", "binance", "XRPETH", 0, 0, 0, 0, 0, 712},
    {"gocryptotrader/binance.public.json", "gocryptotrader", "binance", "", 0, 0, 0, 11, 0, 0},
    {"lean/coinbase/minute/btcusd/20161007_trade.zip", "lean", "coinbase", "BTC-USD", 0, 0, 0, 0, 0,
     1419},
    {"lean/coinbase/second/btcusd/20161007_trade.zip", "lean", "coinbase", "BTC-USD", 0, 0, 0, 0, 0,
     4063},
    {"tiingo/tiingo-go/crypto_live.jsonl", "json lines", "tiingo", "", 31, 0, 0, 0, 0, 0},
    {"tiingo/tiingo-go/meta_btcusd.json", "tiingo rest", "tiingo", "", 0, 0, 0, 1, 0, 0},
    {"tiingo/tiingo-go/prices_btcusd_1min.excerpt.json", "tiingo rest", "tiingo", "", 0, 0, 0, 1, 0,
     0},
    {"tiingo/tiingo-go/top_btcusd.json", "tiingo rest", "tiingo", "", 0, 0, 0, 1, 0, 0},
    {"tiingo/tiingo-python/crypto_metadata.yaml", "vcr", "tiingo", "", 0, 0, 0, 1, 0, 0},
    {"tiingo/tiingo-python/crypto_top_of_book.yaml", "vcr", "tiingo", "", 0, 0, 0, 1, 0, 0},
    {"xchange/kraken/example-ohlc-data.json", "kraken ohlc", "kraken", "XBT/USD", 0, 0, 0, 0, 0,
     719},
};

static void count(int64_t got, int64_t wanted, const char *path, const char *what)
{
    if (wanted >= 0 && got != wanted)
        fail_msg("%s: %lld %s, %lld expected", path, (long long)got, what, (long long)wanted);
}

static void test_catalogue(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const struct expected *f = &files[i];
        const char *path = recorded(f->path);
        struct recording *r;
        struct err e = {0};
        struct tally t;
        assert_ok(recording_open(path, STR(""), &r, &e), &e);
        assert_string_equal(recording_format(r), f->format);
        recording_close(r);
        tally_path(path, "", &t);
        count(t.kind[RECORDING_FRAME], f->frames, f->path, "frames");
        count(t.kind[RECORDING_SENT], f->sent, f->path, "sent");
        count(t.kind[RECORDING_CONNECT], f->connects, f->path, "connects");
        count(t.kind[RECORDING_REST], f->rest, f->path, "REST answers");
        count(t.kind[RECORDING_TRADE], f->trades, f->path, "trades");
        count(t.kind[RECORDING_CANDLE], f->candles, f->path, "candles");
        count(t.damaged, 0, f->path, "damaged places");
        if (strcmp(t.venue, f->venue) != 0) fail_msg("%s: venue %s", f->path, t.venue);
        assert_string_equal(t.symbol, f->symbol);
    }
}

static enum err_code first_of(const char *path, int kind, int64_t skip_items, struct recording **r,
                              struct recording_item *item)
{
    struct err e = {0};
    assert_ok(recording_open(path, STR(""), r, &e), &e);
    for (;;) {
        enum err_code code = recording_next(*r, item, &e);
        if (code != ERR_OK || ((int)item->kind == kind && skip_items-- == 0)) return code;
    }
}

static void test_known_values(void **state)
{
    (void)state;
    struct recording *r;
    struct recording_item i;
    const char *folder = "binance-data-processor/"
                         "test_positive_binance_trade_stream_spot_trxusdt_04-03-2025.csv";
    assert_int_equal(first_of(recorded(folder), RECORDING_TRADE, 1, &r, &i), ERR_OK);
    assert_int_equal(i.received_ns, INT64_C(1741046401322500000));
    assert_int_equal(i.trade.venue_time_ns, INT64_C(1741046401321398000));
    assert_int_equal(i.trade.id, 348656871);
    assert_int_equal(i.trade.side, SIDE_BUY);
    assert_true(dec_eq(i.trade.price, (struct dec){2313, 4}));
    assert_true(dec_eq(i.trade.size, (struct dec){839, 1}));
    recording_close(r);

    assert_int_equal(
        first_of(recorded("cryptofeed/KRAKEN/KRAKEN.ws.48.0"), RECORDING_FRAME, 1, &r, &i), ERR_OK);
    assert_int_equal(i.received_ns, INT64_C(1618678132934820200)); /* seven digits, exactly */
    assert_true(str_is(i.url, "wss://ws.kraken.com"));
    assert_true(str_is(i.connection, "KRAKEN.ws.48.0"));
    assert_true(str_starts((struct str){i.bytes, i.len}, "{\"channelID\":1665,"));
    recording_close(r);

    assert_int_equal(
        first_of(recorded("freqtrade/binance/XRP_OLD-trades.json.gz"), RECORDING_TRADE, 0, &r, &i),
        ERR_OK);
    assert_int_equal(i.received_ns, TIME_ABSENT);
    assert_int_equal(i.trade.id, 13519807);
    assert_int_equal(i.trade.first_id, 15373518);
    assert_int_equal(i.trade.last_id, 15373518);
    assert_int_equal(i.trade.stream, STREAM_AGG_TRADE);
    assert_int_equal(i.trade.side, SIDE_SELL);
    assert_true(dec_eq(i.trade.price, (struct dec){141342, 8}));
    assert_true(dec_eq(i.trade.size, (struct dec){23, 0}));
    recording_close(r);

    assert_int_equal(first_of(recorded("lean/coinbase/minute/btcusd/20161007_trade.zip"),
                              RECORDING_CANDLE, 1, &r, &i),
                     ERR_OK);
    char text[DEC_TEXT_MAX];
    dec_format_lake(i.candle.c.base_volume, text);
    assert_string_equal(text, "0.56799");
    assert_int_equal(i.candle.c.open_time_ns, INT64_C(1475798460000000000));
    assert_int_equal(i.candle.c.trade_count, -1);
    recording_close(r);

    assert_int_equal(
        first_of(recorded("binance-official-klines/spot-BTCUSDT-1m/BTCUSDT-1m-2024-08-08.csv"),
                 RECORDING_CANDLE, 0, &r, &i),
        ERR_OK);
    dec_format_lake(i.candle.c.quote_volume, text);
    assert_string_equal(text, "827333.7164774");
    dec_format_lake(i.candle.c.taker_buy_base, text);
    assert_string_equal(text, "5.63443");
    assert_int_equal(i.candle.c.trade_count, 1336);
    assert_int_equal(i.candle.c.timeframe, TIMEFRAME_1M);
    recording_close(r);
}

/* Numbers of a recorded REST answer are not printed anew: what the venue wrote is what is decoded.
 * */
static void test_rest_bytes(void **state)
{
    (void)state;
    struct recording *r;
    struct recording_item i;
    assert_int_equal(
        first_of(recorded("gocryptotrader/binance.public.json"), RECORDING_REST, 0, &r, &i),
        ERR_OK);
    assert_true(
        str_is(i.url, "https://api.binance.com/api/v3/klines?interval=5m&limit=24&symbol=BTCUSDT"));
    assert_true(str_starts((struct str){i.bytes, i.len}, "[[1586987400000,\"6733.55000000\","));
    recording_close(r);
    assert_int_equal(first_of(recorded("tiingo/tiingo-python/crypto_top_of_book.yaml"),
                              RECORDING_REST, 0, &r, &i),
                     ERR_OK);
    assert_true(str_contains((struct str){i.bytes, i.len}, "\"lastSize\":1.2e-7,"));
    assert_true(str_starts(i.url, "https://api.tiingo.com/tiingo/crypto/top?"));
    recording_close(r);
    assert_int_equal(first_of(recorded("tiingo/tiingo-go/prices_btcusd_1min.excerpt.json"),
                              RECORDING_REST, 0, &r, &i),
                     ERR_OK);
    assert_true(str_ends(i.url, "/prices?tickers=btcusd&resampleFreq=1min"));
    recording_close(r);
}

/* The symbol list of a folder comes before the frames, since it was received before them. */
static void test_folder_order(void **state)
{
    (void)state;
    const char *venues[] = {"BINANCE", "BINANCE_FUTURES", "COINBASE", "KRAKEN"};
    for (size_t v = 0; v < 4; v++) {
        char name[64];
        snprintf(name, sizeof name, "cryptofeed/%s", venues[v]);
        const char *path = recorded(name);
        struct recording_set *s;
        struct recording_item item;
        struct err e = {0};
        size_t member;
        assert_ok(recording_set_open(&path, 1, STR(""), NULL, NULL, &s, &e), &e);
        int64_t before = INT64_MIN, items = 0;
        while (recording_set_next(s, &item, &member, &e) == ERR_OK) {
            if (items++ == 0) assert_int_equal(item.kind, RECORDING_REST);
            assert_true(item.received_ns >= before);
            before = item.received_ns;
        }
        recording_set_close(s);
    }
}

/* Microseconds (16 digits), and --venue where the content does not tell. */
static void test_hftbacktest_units(void **state)
{
    (void)state;
    struct str lines = STR("1680652700423575 {\"stream\":\"btcusdt@trade\",\"data\":{\"X\":1}}\n"
                           "1723161254087896568 {\"what\":1}\n");
    struct recording *r;
    struct recording_item i;
    struct err e = {0};
    assert_ok(recording_open_bytes("x.dat", lines, STR("kraken"), &r, &e), &e);
    assert_ok(recording_next(r, &i, &e), &e);
    assert_true(str_is(i.venue, "binance_futures"));
    assert_int_equal(i.received_ns, INT64_C(1680652700423575000));
    assert_ok(recording_next(r, &i, &e), &e);
    assert_int_equal(i.received_ns, INT64_C(1723161254087896568));
    recording_close(r);
    struct str other = STR("1723161254087896568 {\"channel\":\"trade\"}\n");
    assert_ok(recording_open_bytes("x.dat", other, STR("kraken"), &r, &e), &e);
    assert_ok(recording_next(r, &i, &e), &e);
    assert_true(str_is(i.venue, "kraken"));
    recording_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_catalogue),         cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_rest_bytes),        cmocka_unit_test(test_folder_order),
        cmocka_unit_test(test_hftbacktest_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
