/* REST answers: trades, candles, tops, instrument lists, and errors, real ones where a recording has them. */
#include "venue/json.h"
#include "venue_help.h"

/* One answer out of gocryptotrader's {route: [{"queryString":..., "data":...}]}, numbers as written. */
static struct str gocryptotrader(const char *file, const char *route, const char *query)
{
    struct buf text;
    read_recording(file, &text);
    yyjson_doc *doc = yyjson_read((const char *)text.data, text.len, YYJSON_READ_NUMBER_AS_RAW);
    assert_non_null(doc);
    size_t i, n, len = 0;
    yyjson_val *answer;
    char *body = NULL;
    yyjson_val *answers = yyjson_obj_get(yyjson_doc_get_root(doc), route);
    yyjson_arr_foreach(
        answers, i, n,
        answer) if (!body &&
                    str_contains(json_string(yyjson_obj_get(answer, "queryString")), query)) body =
        yyjson_val_write(yyjson_obj_get(answer, "data"), 0, &len);
    assert_non_null(body);
    yyjson_doc_free(doc);
    buf_free(&text);
    return (struct str){body, len}; /* the caller frees it */
}

static const char binance_file[] = "gocryptotrader/binance.public.json";

static void test_binance_klines(void **state)
{
    (void)state;
    NEED_RECORDINGS();
    struct bench b;
    bench_open(&b, "binance");
    struct str body = gocryptotrader(binance_file, "/api/v3/klines", "endTime=1588743688000");
    const struct decoded *d =
        bench_rest(&b, "https://api.binance.com/api/v3/klines?interval=1m&symbol=BTCUSDT", body);
    assert_int_equal(d->refused_count, 0);
    assert_int_equal(d->candle_count, 60);
    const struct candle *c = &d->candles[0].c;
    assert_symbol(&b, c->series, "BTC-USDT", "binance");
    assert_int_equal(c->timeframe, TIMEFRAME_1M);
    assert_time(c->open_time_ns, "2020-05-06T04:42:00Z");
    assert_lake(c->open, "9033.34");
    assert_lake(c->high, "9039.99");
    assert_lake(c->low, "9032.75");
    assert_lake(c->close, "9033.15");
    assert_lake(c->base_volume, "31.192968");
    assert_lake(c->quote_volume, "281893.08800082");
    assert_int_equal(c->trade_count, 282);
    assert_lake(c->taker_buy_base, "6.358103");
    assert_lake(c->taker_buy_quote, "57447.26912415");
    assert_true(c->has_base_volume && c->has_quote_volume && c->has_taker && c->complete);
    assert_str(d->candles[0].source, "rest");
    /* Asked at 05:41:28: the last bar was still running then. */
    buf_reset(&b.frame);
    buf_add_str(&b.frame, body);
    assert_non_null(buf_room(&b.frame, VENUE_PADDING));
    venue_decode_rest(b.session, STR("/api/v3/klines?symbol=BTCUSDT&interval=1m"),
                      (char *)b.frame.data, body.n, INT64_C(1588743688000) * NS_PER_MS, &b.out);
    assert_true(b.out.candles[58].c.complete);
    assert_false(b.out.candles[59].c.complete);
    d = bench_rest(&b, "/api/v3/klines?symbol=BTCUSDT&interval=3m", body);
    assert_refused(d, DEAD_UNKNOWN, "\"3m\"");
    free((char *)(uintptr_t)body.p);
    bench_close(&b);
}

static void test_binance_rows(void **state)
{
    (void)state;
    NEED_RECORDINGS();
    struct bench b;
    bench_open(&b, "binance");
    struct str body = gocryptotrader(binance_file, "/api/v3/trades", "ETHBTC");
    const struct decoded *d = bench_rest(&b, "/api/v3/trades?limit=1000&symbol=ETHBTC", body);
    assert_int_equal(d->trade_count, 1000);
    assert_int_equal(d->refused_count, 0);
    assert_int_equal(d->trades[0].id, 409018748);
    assert_int_equal(d->trades[0].side, SIDE_BUY);
    assert_dec(d->trades[0].price, "0.064362");
    assert_symbol(&b, d->trades[0].series, "ETH-BTC", "binance");
    for (size_t i = 1; i < 1000; i++) assert_int_equal(d->trades[i].id, d->trades[i - 1].id + 1);
    free((char *)(uintptr_t)body.p);
    bench_close(&b);
    bench_open(&b, "binance_futures");
    body = gocryptotrader(binance_file, "/fapi/v1/aggTrades", "LTCUSDT");
    d = bench_rest(&b, "/fapi/v1/aggTrades?endTime=1&symbol=LTCUSDT", body);
    assert_int_equal(d->trade_count, 500);
    assert_int_equal(d->trades[0].id, 19427407);
    assert_true(d->trades[0].first_id == 42831257 && d->trades[0].last_id == 42831257);
    assert_int_equal(d->trades[0].stream, STREAM_AGG_TRADE);
    assert_symbol(&b, d->trades[0].series, "LTC-USDT-PERP", "binance_futures");
    free((char *)(uintptr_t)body.p);
    body = gocryptotrader(binance_file, "/fapi/v1/klines", "LTCUSDT");
    d = bench_rest(&b, "/fapi/v1/klines?interval=5m&symbol=LTCUSDT", body);
    assert_int_equal(d->candle_count, 500);
    free((char *)(uintptr_t)body.p);
    bench_close(&b);
}

static void test_binance_other(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "binance");
    const struct decoded *d = bench_rest(&b, "/api/v3/trades?symbol=NOPE",
                                         STR("{\"code\":-1121,\"msg\":\"Invalid symbol.\"}"));
    assert_int_equal(d->class, FRAME_ERROR);
    assert_str(d->error, "Invalid symbol.");
    assert_str(d->error_symbol, "NOPE");
    d = bench_rest(&b, "/api/v3/depth?symbol=A", STR("{\"lastUpdateId\":1}"));
    assert_int_equal(d->class, FRAME_IGNORED);
    /* A name that is no ASCII, as a request carries it. */
    d = bench_rest(&b, "/api/v3/historicalTrades?symbol=%E5%B8%81USDT&fromId=1",
                   STR("[{\"id\":1,\"price\":\"1\",\"qty\":\"2\",\"time\":1499865549590,"
                       "\"isBuyerMaker\":true},{\"id\":"
                       "2}]"));
    assert_int_equal(d->trade_count, 1);
    assert_int_equal(d->refused_count, 1);
    assert_symbol(&b, d->trades[0].series, "\xe5\xb8\x81-USDT", "binance");
    d = bench_rest(&b, "/api/v3/trades?symbol=%ff%feUSDT",
                   STR("[{\"id\":1,\"price\":\"1\",\"qty\":\"2\",\"time\":1499865549590,"
                       "\"isBuyerMaker\":true}]"));
    assert_refused(d, DEAD_UNKNOWN, "symbol");
    bench_close(&b);
}

static void test_binance_exchange_info(void **state)
{
    (void)state;
    NEED_RECORDINGS();
    struct bench b;
    struct err e;
    bench_open(&b, "binance");
    struct str body = gocryptotrader(binance_file, "/api/v3/exchangeInfo", "");
    assert_int_equal(bench_instruments(&b, body, &e), ERR_OK);
    assert_true(venue_names_count(b.names) > 0);
    struct str venue_symbol;
    assert_true(venue_names_venue_symbol(b.names, STR("ETH-BTC"), &venue_symbol));
    assert_str(venue_symbol, "ETHBTC");
    free((char *)(uintptr_t)body.p);
    bench_close(&b);
}

static void test_instrument_errors(void **state)
{
    (void)state;
    static const struct {
        const char *venue, *body, *words;
    } cases[] = {
        {"binance", "{\"code\":-1003,\"msg\":\"Too many requests.\"}", "Too many requests."},
        {"binance", "{\"symbols\":7}", "exchangeInfo.symbols"},
        {"binance", "{\"symbols\":[{},{\"symbol\":\"A\"}]}", "none of the 2 entries"},
        {"binance_futures", "<html>", "byte 0"},
        {"coinbase", "{\"message\":\"NotFound\"}", "NotFound"},
        {"coinbase", "{}", "expected the list"},
        {"kraken", "{\"error\":[\"EGeneral:Too many requests\"]}", "EGeneral:Too many requests"},
        {"kraken", "{\"error\":[]}", "result"},
        {"tiingo", "{\"detail\":\"Invalid token.\"}", "Invalid token."},
        {"tiingo", "Error: You have run over your hourly request allocation", "run over"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench b;
        struct err e = {0};
        bench_open(&b, cases[i].venue);
        assert_int_equal(bench_instruments(&b, str_of(cases[i].body), &e), ERR_PARSE);
        if (!strstr(e.text, cases[i].words)) fail_msg("\"%s\" in \"%s\"", cases[i].words, e.text);
        assert_int_equal(venue_names_count(b.names), 0);
        bench_close(&b);
    }
}

static void test_futures_instruments(void **state)
{
    (void)state;
    struct bench b;
    struct err e;
    bench_open(&b, "binance_futures");
    /* Settled elsewhere, dated, odd ones, and one bad entry that stops nobody. */
    enum err_code code =
        bench_instruments(&b,
                          STR("{\"symbols\":[{\"symbol\":\"BTCUSD_X\",\"contractType\":"
                              "\"PERPETUAL\",\"deliveryDate\":4133404800000,"
                              "\"onboardDate\":1569398400000,\"status\":\"TRADING\",\"baseAsset\":"
                              "\"BTC\",\"quoteAsset\":\"USD\","
                              "\"marginAsset\":\"USDT\"},7,{\"symbol\":\"\"},{\"symbol\":\"ETHUSDC_"
                              "260925\",\"contractType\":"
                              "\"CURRENT_QUARTER\",\"deliveryDate\":1790323200000,\"onboardDate\":"
                              "1,\"status\":\"TRADING\",\"baseAsset\":"
                              "\"eth\",\"quoteAsset\":\"USDC\",\"marginAsset\":\"USDC\"}]}"),
                          &e);
    assert_int_equal(code, ERR_OK);
    assert_int_equal(venue_names_count(b.names), 2);
    const struct instrument *i = venue_names_instrument(b.names, 0);
    assert_str(i->symbol, "BTC-USD:USDT-PERP");
    assert_str(i->settle, "USDT");
    assert_true(i->delisted_ns == TIME_ABSENT);
    assert_time(i->listed_ns, "2019-09-25T08:00:00Z");
    i = venue_names_instrument(b.names, 1);
    assert_str(i->symbol, "ETH-USDC-20260925");
    assert_str(i->base, "ETH");
    assert_time(i->delisted_ns, "2026-09-25T08:00:00Z");
    bench_close(&b);
}

static void test_coinbase(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "coinbase");
    const struct decoded *d = bench_rest(&b, "/products/BTC-USD/trades?limit=2&after=12",
                                         STR("[{\"time\":\"2024-08-08T23:54:16.5Z\",\"trade_id\":"
                                             "11,\"price\":\"61000.10\",\"size\":\"0.5\",\"side\":"
                                             "\"sell\"},{\"time\":\"2024-08-08T23:54:15Z\",\"trade_"
                                             "id\":10,\"price\":\"61000\",\"size\":\"1\",\"side\":"
                                             "\"buy\"}]"));
    assert_int_equal(d->trade_count, 2);
    assert_int_equal(d->trades[0].id, 10); /* the oldest first */
    assert_int_equal(d->trades[0].side, SIDE_SELL);
    assert_int_equal(d->trades[1].side, SIDE_BUY);
    assert_symbol(&b, d->trades[1].series, "BTC-USD", "coinbase");
    d = bench_rest(&b, "https://api.exchange.coinbase.com/products/BTC-USD/candles?granularity=300",
                   STR("[[1723161000,60999.5,61001.25,61000,61001,12.5]]"));
    assert_int_equal(d->candles[0].c.timeframe, TIMEFRAME_5M);
    assert_lake(d->candles[0].c.low, "60999.5");
    assert_lake(d->candles[0].c.high, "61001.25");
    assert_lake(d->candles[0].c.open, "61000");
    assert_int_equal(d->candles[0].c.trade_count, -1);
    assert_false(d->candles[0].c.has_quote_volume || d->candles[0].c.has_taker);
    d = bench_rest(&b, "/products/X-Y/trades", STR("{\"message\":\"NotFound\"}"));
    assert_int_equal(d->class, FRAME_ERROR);
    assert_str(d->error_symbol, "X-Y");
    bench_close(&b);
}

static void test_kraken(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "kraken");
    const struct decoded *d =
        bench_rest(&b, "/0/public/Trades?pair=XBTUSD&since=1",
                   STR("{\"error\":[],\"result\":{\"XXBTZUSD\":[[\"30243.40000\",\"0.34507674\","
                       "1688669597.8277369,\"b\",\"m\",\"\","
                       "61044952]],\"last\":\"1688671969993150842\"}}"));
    assert_int_equal(d->trade_count, 1);
    assert_int_equal(d->trades[0].id, 61044952);
    assert_int_equal(d->trades[0].side, SIDE_BUY);
    assert_true(d->trades[0].venue_time_ns == INT64_C(1688669597827736900));
    assert_symbol(&b, d->trades[0].series, "BTC-USD", "kraken");
    assert_str(series_get(b.series, d->trades[0].series)->venue_symbol, "BTC/USD");
    d = bench_rest(&b, "/0/public/Trades?pair=NOPE",
                   STR("{\"error\":[\"EQuery:Unknown asset pair\"]}"));
    assert_int_equal(d->class, FRAME_ERROR);
    assert_str(d->error_symbol, "NOPE");
    bench_close(&b);
    NEED_RECORDINGS();
    struct buf file;
    bench_open(&b, "kraken");
    read_recording("xchange/kraken/example-ohlc-data.json", &file);
    d = bench_rest(&b, "/0/public/OHLC?pair=XBTUSD", buf_str(&file));
    assert_int_equal(d->candle_count, 720);
    assert_int_equal(d->refused_count, 0);
    assert_lake(d->candles[0].c.base_volume, "1.012");
    assert_int_equal(d->candles[0].c.trade_count, 7);
    assert_lake(d->candles[719].c.close, "3534.099");
    buf_free(&file);
    bench_close(&b);
}

static void test_tiingo_bars(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "tiingo");
    /* Printed doubles: rounded once, half-even, at the 18th decimal. */
    const struct decoded *d =
        bench_rest(&b, "/tiingo/crypto/prices?tickers=pepeusd&resampleFreq=1min",
                   STR("[{\"ticker\":\"pepeusd\",\"priceData\":[{\"date\":\"2026-09-05T00:00:00+00:"
                       "00\",\"open\":"
                       "1.2345678901234567e-05,\"high\":0.0000000000000000025,\"low\":0."
                       "0000000000000000035,\"close\":"
                       "0.00000000000000000251,\"volume\":null,\"volumeNotional\":4e-19,"
                       "\"tradesDone\":284.0}]}]"));
    assert_int_equal(d->refused_count, 0);
    const struct candle *c = &d->candles[0].c;
    assert_lake(c->open, "0.000012345678901235");
    assert_lake(c->high, "0.000000000000000002");
    assert_lake(c->low, "0.000000000000000004");
    assert_lake(c->close, "0.000000000000000003");
    assert_false(c->has_base_volume);
    assert_true(c->has_quote_volume);
    assert_lake(c->quote_volume, "0");
    assert_int_equal(c->trade_count, 284);
    assert_int_equal(c->timeframe, TIMEFRAME_1M);
    d = bench_rest(&b, "/tiingo/crypto/prices?resampleFreq=7min", STR("[]"));
    assert_refused(d, DEAD_UNKNOWN, "7min");
    d = bench_rest(&b, "/tiingo/crypto/prices", STR("{\"detail\":\"Invalid token.\"}"));
    assert_int_equal(d->class, FRAME_ERROR);
    assert_true(d->error_is_refusal);
    d = bench_rest(&b, "/tiingo/crypto/prices", STR("You have run over your 500 symbol look up"));
    assert_int_equal(d->class, FRAME_ERROR);
    bench_close(&b);
}

/* The body of a cassette: YAML in single quotes, folded at blanks. */
static struct str cassette_body(struct buf *file)
{
    static const char before[] = "string: '";
    char *from = memmem(file->data, file->len, before, sizeof before - 1);
    assert_non_null(from);
    from += sizeof before - 1;
    char *to = from, *p = from;
    for (; *p != '\''; p++) {
        *to++ = *p == '\n' ? ' ' : *p;
        if (*p == '\n')
            while (p[1] == ' ') p++;
    }
    return (struct str){from, (size_t)(to - from)};
}

static void test_tiingo_recorded(void **state)
{
    (void)state;
    NEED_RECORDINGS();
    struct bench b;
    struct buf file;
    bench_open(&b, "tiingo");
    read_recording("tiingo/tiingo-python/crypto_metadata.yaml", &file);
    struct err e = {0};
    if (bench_instruments(&b, cassette_body(&file), &e)) fail_msg("%s", e.text);
    struct str venue_symbol;
    assert_true(venue_names_venue_symbol(b.names, STR("FLDC-BTC"), &venue_symbol));
    assert_str(venue_symbol, "fldcbtc");
    buf_free(&file);

    read_recording("tiingo/tiingo-python/crypto_top_of_book.yaml", &file);
    const struct decoded *d =
        bench_rest(&b, "/tiingo/crypto/top?tickers=btcusd,fldcbtc", cassette_body(&file));
    assert_int_equal(d->quote_count, 2 + 11 + 1);
    assert_int_equal(d->refused_count, 0);
    assert_symbol(&b, d->quotes[0].series, "BTC-USD", "tiingo");
    assert_dec(d->quotes[0].bid_price, "10160.51"); /* crossed, as it is */
    assert_symbol(&b, d->quotes[1].series, "BTC-USD", "gemini");
    size_t one_sided = 0;
    for (size_t i = 0; i < d->quote_count; i++)
        one_sided += dec_is_absent(d->quotes[i].bid_price) || dec_is_absent(d->quotes[i].ask_price);
    assert_int_equal(one_sided, 2); /* KUCOIN without a bid, GATECOIN without an ask */
    assert_dec(d->quotes[13].bid_price, "0.00000004");
    buf_free(&file);

    read_recording("tiingo/tiingo-go/prices_btcusd_1min.excerpt.json", &file);
    d = bench_rest(&b, "/tiingo/crypto/prices?tickers=btcusd&resampleFreq=1min", buf_str(&file));
    assert_int_equal(d->candle_count, 10);
    assert_lake(d->candles[9].c.open, "79642.1603063834");
    assert_lake(d->candles[9].c.base_volume, "3.907998639999999");
    assert_int_equal(d->candles[9].c.trade_count, 388);
    buf_free(&file);
    read_recording("tiingo/tiingo-go/top_btcusd.json", &file);
    d = bench_rest(&b, "/tiingo/crypto/top?tickers=btcusd", buf_str(&file));
    assert_int_equal(d->quote_count, 1);
    assert_dec(d->quotes[0].ask_size, "0.018784");
    buf_free(&file);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binance_klines),    cmocka_unit_test(test_binance_rows),
        cmocka_unit_test(test_binance_other),     cmocka_unit_test(test_binance_exchange_info),
        cmocka_unit_test(test_instrument_errors), cmocka_unit_test(test_futures_instruments),
        cmocka_unit_test(test_coinbase),          cmocka_unit_test(test_kraken),
        cmocka_unit_test(test_tiingo_bars),       cmocka_unit_test(test_tiingo_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
