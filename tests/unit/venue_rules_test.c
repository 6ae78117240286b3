/* The rules of each protocol: aggressor, ids, absent values, exponents, answers, errors, symbols, subscriptions. */
#include "venue_help.h"

static void test_binance_trades(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "binance");
    const struct decoded *d = bench_text(&b, "{\"e\":\"trade\",\"E\":1672515782136,\"s\":"
                                             "\"BNBBTC\",\"t\":12345,\"p\":\"0.001\",\"q\":\"100\","
                                             "\"T\":1672515782135,\"m\":true,\"M\":true}");
    assert_int_equal(d->class, FRAME_DATA);
    assert_int_equal(d->trade_count, 1);
    const struct trade *t = &d->trades[0];
    assert_symbol(&b, t->series, "BNB-BTC", "binance");
    assert_int_equal(t->side, SIDE_SELL); /* the buyer was the maker */
    assert_true(t->has_id && t->id == 12345 && t->has_range && t->last_id == 12345);
    assert_dec(t->price, "0.001");
    assert_dec(t->size, "100");
    assert_time(t->venue_time_ns, "2022-12-31T19:43:02.135Z");
    assert_int_equal(t->received_ns, RECEIVED_NS);

    /* Microseconds, by ?timeUnit=MICROSECOND: told by their size. */
    d = bench_text(
        &b, "{\"e\":\"trade\",\"E\":1672515782136001,\"s\":\"BNBBTC\",\"t\":12346,\"p\":\"0.001\","
            "\"q\":\"100\",\"T\":1672515782135999,\"m\":false,\"M\":true}");
    assert_time(d->trades[0].venue_time_ns, "2022-12-31T19:43:02.135999Z");
    assert_int_equal(d->trades[0].side, SIDE_BUY);

    d = bench_text(
        &b,
        "{\"e\":\"aggTrade\",\"E\":1672515782136,\"s\":\"BNBBTC\",\"a\":7,\"p\":\"1\",\"q\":\"2\","
        "\"f\":100,\"l\":105,\"T\":1672515782136,\"m\":true,\"M\":true}");
    t = &d->trades[0];
    assert_int_equal(t->stream, STREAM_AGG_TRADE);
    assert_true(t->id == 7 && t->has_range && t->first_id == 100 && t->last_id == 105);

    d = bench_text(&b, "{\"e\":\"blockTrade\",\"E\":1672515782136,\"s\":\"BNBBTC\",\"t\":582,\"p\":"
                       "\"1\",\"q\":\"2\","
                       "\"T\":1672515782136,\"m\":true}");
    assert_int_equal(d->trades[0].stream, STREAM_BLOCK_TRADE);
    assert_int_equal(d->trades[0].kind, KIND_BLOCK);
    assert_false(d->trades[0].has_range);
    bench_close(&b);
}

static void test_binance_quotes(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "binance");
    const struct decoded *d = bench_text(
        &b, "{\"u\":400900217,\"s\":\"BNBUSDT\",\"b\":\"25.35190000\",\"B\":\"31.21000000\",\"a\":"
            "\"25.36520000\",\"A\":\"40.66000000\"}");
    assert_int_equal(d->quote_count, 1);
    assert_dec(d->quotes[0].bid_price, "25.3519");
    assert_dec(d->quotes[0].ask_size, "40.66");
    assert_true(d->quotes[0].venue_time_ns == TIME_ABSENT);
    /* No bids at all: a price of zero. */
    d = bench_text(
        &b, "{\"u\":1,\"s\":\"BNBUSDT\",\"b\":\"0.00000000\",\"B\":\"0.00000000\",\"a\":\"25.3\","
            "\"A\":\"4\"}");
    assert_true(dec_is_absent(d->quotes[0].bid_price) && dec_is_absent(d->quotes[0].bid_size));
    assert_dec(d->quotes[0].ask_price, "25.3");
    bench_close(&b);
}

static void test_binance_answers(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "binance");
    assert_int_equal(bench_text(&b, "{\"result\":null,\"id\":1}")->class, FRAME_ACK);
    assert_int_equal(bench_text(&b, "{\"id\":3,\"result\":[\"btcusdt@trade\"]}")->class, FRAME_ACK);
    assert_int_equal(bench_text(&b, "{\"e\":\"serverShutdown\",\"E\":1770123456789}")->class,
                     FRAME_RECONNECT);
    assert_int_equal(
        bench_text(&b, "{\"stream\":\"!serverShutdown\",\"data\":{\"e\":\"serverShutdown\","
                       "\"E\":1770123456789}}")
            ->class,
        FRAME_RECONNECT);
    const struct decoded *d =
        bench_text(&b, "{\"code\":2,\"msg\":\"Invalid request: unknown variant\",\"id\":1}");
    assert_int_equal(d->class, FRAME_ERROR);
    assert_str(d->error, "Invalid request: unknown variant");
    assert_false(d->error_is_refusal);
    d = bench_text(&b, "{\"error\":{\"code\":3,\"msg\":\"Invalid JSON: x\"},\"id\":null}");
    assert_int_equal(d->class, FRAME_ERROR);
    assert_str(d->error, "Invalid JSON: x");
    d = bench_text(&b, "{\"code\":-2015,\"msg\":\"Invalid API-key\"}");
    assert_true(d->error_is_refusal);
    assert_int_equal(bench_text(&b, "{\"e\":\"kline\",\"E\":1,\"s\":\"A\",\"k\":{}}")->class,
                     FRAME_IGNORED);
    assert_int_equal(bench_text(&b, "{\"lastUpdateId\":1,\"bids\":[],\"asks\":[]}")->class,
                     FRAME_IGNORED);
    d = bench_text(&b, "{\"e\":\"brandNew\",\"E\":1}");
    assert_int_equal(d->class, FRAME_BAD);
    assert_refused(d, DEAD_UNKNOWN, "brandNew");
    bench_close(&b);
}

static void test_binance_futures(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "binance_futures");
    const struct decoded *d =
        bench_text(&b, "{\"e\":\"trade\",\"E\":1723161256560,\"T\":1723161256559,\"s\":\"ETHUSDT\","
                       "\"t\":4308068523,"
                       "\"p\":\"2681.62\",\"q\":\"1.000\",\"X\":\"MARKET\",\"m\":true}");
    assert_symbol(&b, d->trades[0].series, "ETH-USDT-PERP", "binance_futures");
    assert_int_equal(d->trades[0].kind, KIND_REGULAR);
    assert_dec(d->trades[0].size, "1");
    d = bench_text(
        &b, "{\"e\":\"trade\",\"E\":1723161256560,\"T\":1723161256559,\"s\":\"ETHUSDT_240927\","
            "\"t\":8,\"p\":\"2300\",\"q\":\"1\",\"X\":\"INSURANCE_FUND\",\"m\":true}");
    assert_symbol(&b, d->trades[0].series, "ETH-USDT-20240927", "binance_futures");
    assert_int_equal(d->trades[0].kind, KIND_LIQUIDATION);
    /* A void entry that only takes an id. */
    d = bench_text(
        &b, "{\"e\":\"trade\",\"E\":1723161256560,\"T\":1723161256559,\"s\":\"ETHUSDT\",\"t\":9,"
            "\"p\":\"0\",\"q\":\"0\",\"X\":\"NA\",\"m\":true}");
    assert_int_equal(d->trade_count, 1);
    assert_int_equal(d->trades[0].kind, KIND_LIQUIDATION);
    /* The same on the market is no trade. */
    d = bench_text(
        &b, "{\"e\":\"trade\",\"E\":1723161256560,\"T\":1723161256559,\"s\":\"ETHUSDT\",\"t\":9,"
            "\"p\":\"0\",\"q\":\"0\",\"X\":\"MARKET\",\"m\":true}");
    assert_refused(d, DEAD_MALFORMED, "price above zero");
    d = bench_text(
        &b,
        "{\"e\":\"bookTicker\",\"u\":5,\"s\":\"ETHUSDT\",\"b\":\"2681.62\",\"B\":\"1.165\",\"a\":"
        "\"2681.63\",\"A\":\"73.077\",\"T\":1723161256310,\"E\":1723161256311}");
    assert_time(d->quotes[0].venue_time_ns, "2024-08-08T23:54:16.310Z");
    assert_int_equal(venue_names_guessed(b.names), 2);
    bench_close(&b);
}

static void test_coinbase(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "coinbase");
    static const char match[] = "{\"type\":\"%s\",\"trade_id\":280232,\"maker_order_id\":\"2a\","
                                "\"taker_order_id\":\"3c\",\"side\":"
                                "\"%s\",\"size\":\"985\",\"price\":\"0.00001305\",\"product_id\":"
                                "\"SKL-BTC\",\"sequence\":177100030,"
                                "\"time\":\"%s\"}";
    char text[512];
    snprintf(text, sizeof text, match, "match", "sell", "2021-04-17T16:43:37.089723Z");
    const struct decoded *d = bench_text(&b, text);
    assert_int_equal(d->trades[0].side, SIDE_BUY); /* the maker sold */
    assert_int_equal(d->trades[0].origin, ORIGIN_LIVE);
    assert_dec(d->trades[0].price, "0.00001305");
    assert_time(d->trades[0].venue_time_ns, "2021-04-17T16:43:37.089723Z");
    assert_symbol(&b, d->trades[0].series, "SKL-BTC", "coinbase");
    assert_int_equal(venue_names_guessed(b.names), 0); /* the hyphen says it */
    snprintf(text, sizeof text, match, "last_match", "buy", "0001-01-01T00:00:00.000000Z");
    d = bench_text(&b, text);
    assert_int_equal(d->trades[0].side, SIDE_SELL);
    assert_int_equal(d->trades[0].origin, ORIGIN_SNAPSHOT);
    assert_true(d->trades[0].venue_time_ns == TIME_ABSENT);
    d = bench_text(
        &b,
        "{\"type\":\"ticker\",\"product_id\":\"BAND-GBP\",\"price\":\"14.7775\",\"best_bid\":"
        "\"14.7550\",\"best_bid_size\":\"2.5\",\"best_ask\":\"14.8060\",\"side\":\"buy\",\"time\":"
        "\"2021-04-17T16:43:30.244075Z\",\"trade_id\":881613,\"last_size\":\"0.04\"}");
    assert_int_equal(d->trade_count, 0);
    assert_dec(d->quotes[0].bid_price, "14.755");
    assert_dec(d->quotes[0].bid_size, "2.5");
    assert_true(dec_is_absent(d->quotes[0].ask_size));
    assert_int_equal(bench_text(&b, "{\"type\":\"heartbeat\",\"sequence\":90}")->class,
                     FRAME_HEARTBEAT);
    assert_int_equal(bench_text(&b, "{\"type\":\"subscriptions\",\"channels\":[]}")->class,
                     FRAME_ACK);
    d = bench_text(
        &b, "{\"type\":\"error\",\"message\":\"Failed to subscribe\",\"reason\":\"XYZ-USD is not a "
            "valid product\"}");
    assert_int_equal(d->class, FRAME_ERROR);
    assert_str(d->error, "Failed to subscribe: XYZ-USD is not a valid product");
    assert_str(d->error_symbol, "XYZ-USD");
    d = bench_text(&b, "{\"type\":\"error\",\"message\":\"Authentication Failed\"}");
    assert_true(d->error_is_refusal);
    bench_close(&b);
}

static void test_kraken_v2(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "kraken");
    const struct decoded *d = bench_text(&b, "{\"channel\":\"trade\",\"type\":\"update\",\"data\":["
                                             "{\"symbol\":\"MATIC/USD\",\"side\":\"buy\","
                                             "\"price\":0.5147,\"qty\":6423.46326000,\"ord_type\":"
                                             "\"limit\",\"trade_id\":4665846,\"timestamp\":"
                                             "\"2023-09-25T07:48:36.925533Z\"},{\"symbol\":\"DOGE/"
                                             "USD\",\"side\":\"sell\",\"price\":6.37e-2,"
                                             "\"qty\":2.2E3,\"ord_type\":\"market\",\"trade_id\":1,"
                                             "\"timestamp\":\"2023-09-25T07:48:36Z\"}]}");
    assert_int_equal(d->trade_count, 2);
    assert_int_equal(d->trades[0].side, SIDE_BUY);
    assert_dec(d->trades[0].size, "6423.46326");
    assert_int_equal(d->trades[0].id, 4665846);
    assert_dec(d->trades[1].price, "0.0637");
    assert_dec(d->trades[1].size, "2200");
    assert_symbol(&b, d->trades[1].series, "DOGE-USD", "kraken");
    d = bench_text(
        &b,
        "{\"channel\":\"ticker\",\"type\":\"snapshot\",\"data\":[{\"symbol\":\"ALGO/USD\",\"bid\":"
        "0.10025,\"bid_qty\":740.0,\"ask\":0,\"ask_qty\":0,\"last\":0.1,\"timestamp\":"
        "\"1970-01-01T00:00:00Z\"}]}");
    assert_int_equal(d->quotes[0].origin, ORIGIN_SNAPSHOT);
    assert_dec(d->quotes[0].bid_size, "740");
    assert_true(dec_is_absent(d->quotes[0].ask_price));
    assert_true(d->quotes[0].venue_time_ns == TIME_ABSENT);
    assert_int_equal(bench_text(&b, "{\"channel\":\"heartbeat\"}")->class, FRAME_HEARTBEAT);
    assert_int_equal(bench_text(&b, "{\"method\":\"pong\",\"req_id\":42}")->class, FRAME_HEARTBEAT);
    assert_int_equal(
        bench_text(&b, "{\"channel\":\"status\",\"type\":\"update\",\"data\":[{}]}")->class,
        FRAME_IGNORED);
    assert_int_equal(
        bench_text(&b, "{\"method\":\"subscribe\",\"req_id\":1,\"result\":{\"channel\":\"trade\","
                       "\"symbol\":\"BTC/USD\"},\"success\":true}")
            ->class,
        FRAME_ACK);
    d = bench_text(
        &b,
        "{\"error\":\"Currency pair not supported XXX/YYY\",\"method\":\"subscribe\",\"success\":"
        "false}");
    assert_int_equal(d->class, FRAME_ERROR);
    assert_str(d->error_symbol, "XXX/YYY");
    d = bench_text(
        &b,
        "{\"errorMessage\":\"Currency pair not supported A/B\",\"event\":\"subscriptionStatus\","
        "\"pair\":\"A/B\",\"status\":\"error\"}");
    assert_int_equal(d->class, FRAME_ERROR);
    assert_str(d->error_symbol, "A/B");
    bench_close(&b);
}

static void test_kraken_v1(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "kraken");
    const struct decoded *d = bench_text(
        &b, "[993,[[\"354.11000000\",\"0.89594024\",\"1618678142.557535\",\"s\",\"l\",\"\"],"
            "[\"354.2\",\"1\",\"1618678142.6\",\"b\",\"m\",\"\"]],\"trade\",\"XBT/XDG\"]");
    assert_int_equal(d->trade_count, 2);
    assert_false(d->trades[0].has_id);
    assert_int_equal(d->trades[0].side, SIDE_SELL);
    assert_int_equal(d->trades[1].side, SIDE_BUY);
    assert_time(d->trades[0].venue_time_ns, "2021-04-17T16:49:02.557535Z");
    assert_symbol(&b, d->trades[0].series, "BTC-DOGE", "kraken");
    d = bench_text(&b, "[1668,{\"a\":[\"13.253900\",35,\"35.72892241\"],\"b\":[\"13.232900\",185,"
                       "\"185.18432037\"],\"c\":[\"1\",\"2\"]},\"ticker\",\"WAVES/EUR\"]");
    assert_dec(d->quotes[0].ask_price, "13.2539");
    assert_dec(d->quotes[0].ask_size, "35.72892241");
    assert_dec(d->quotes[0].bid_size, "185.18432037");
    assert_int_equal(bench_text(&b, "[1,{\"a\":[]},{\"b\":[]},\"book-1000\",\"XMR/USD\"]")->class,
                     FRAME_IGNORED);
    bench_close(&b);
}

static void test_tiingo(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "tiingo");
    const struct decoded *d = bench_text(
        &b, "{\"service\":\"crypto_data\",\"messageType\":\"A\",\"data\":[\"T\",\"btcusd\","
            "\"2026-09-06T06:17:26.543000+00:00\",\"gemini\",6.255e-5,79927.99]}");
    const struct trade *t = &d->trades[0];
    assert_dec(t->size, "0.00006255"); /* size stands before price */
    assert_dec(t->price, "79927.99");
    assert_false(t->has_id);
    assert_int_equal(t->side, SIDE_UNKNOWN);
    assert_symbol(&b, t->series, "BTC-USD", "gemini");
    d = bench_text(
        &b,
        "{\"messageType\":\"A\",\"data\":[\"Q\",\"bnbusd\",\"2026-09-06T06:17:23+00:00\",\"gdax\","
        "null,null,null,2e3,79917.45,\"more\",1]}");
    assert_true(dec_is_absent(d->quotes[0].bid_price) && dec_is_absent(d->quotes[0].bid_size));
    assert_dec(d->quotes[0].ask_size, "2000");
    assert_symbol(&b, d->quotes[0].series, "BNB-USD", "gdax");
    d = bench_text(
        &b, "{\"messageType\":\"A\",\"data\":[\"T\",\"pepeusd\",\"2026-09-06T06:17:26Z\",\"x\",1,"
            "1.2345678901234567e-5]}");
    assert_refused(d, DEAD_INEXACT, "1.2345678901234567e-5");
    assert_str(d->refused[0].symbol, "pepeusd");
    d = bench_text(&b, "{\"messageType\":\"E\",\"response\":{\"code\":400,\"message\":"
                       "\"thresholdLevel not valid\"}}");
    assert_int_equal(d->class, FRAME_ERROR);
    assert_str(d->error, "400 thresholdLevel not valid");
    assert_false(d->error_is_refusal);
    d = bench_text(&b, "{\"messageType\":\"I\",\"response\":{\"code\":401,\"message\":\"no\"}}");
    assert_int_equal(d->class, FRAME_ERROR);
    assert_true(d->error_is_refusal);
    d = bench_text(&b, "Error: Ticker 'XYZ' not found");
    assert_int_equal(d->class, FRAME_ERROR);
    assert_str(d->error, "Error: Ticker 'XYZ' not found");
    assert_str(d->error_symbol, "XYZ");
    assert_int_equal(
        bench_text(&b,
                   "{\"messageType\":\"H\",\"response\":{\"code\":200,\"message\":\"HeartBeat\"}}")
            ->class,
        FRAME_HEARTBEAT);
    assert_int_equal(
        bench_text(
            &b, "{\"data\":{\"subscriptionId\":1},\"messageType\":\"I\",\"response\":{\"code\":200,"
                "\"message\":\"Success\"}}")
            ->class,
        FRAME_ACK);
    assert_refused(bench_text(&b, "{\"messageType\":\"U\",\"data\":[]}"), DEAD_UNKNOWN, "\"U\"");
    bench_close(&b);
}

static void assert_subscribe(const char *venue, const struct subscription *subs, size_t count,
                             size_t taken, const char *expected)
{
    struct buf frame;
    buf_init(&frame, 1 << 16);
    const struct venue *v = venue_by_name(str_of(venue));
    assert_int_equal(v->encode_subscribe(subs, count, 7, STR("to\"ken"), &frame), taken);
    assert_string_equal(buf_cstr(&frame), expected);
    buf_free(&frame);
}

static void test_subscribe(void **state)
{
    (void)state;
    struct subscription binance[] = {{STR("BTCUSDT"), STREAM_TRADE},
                                     {STR("BTCUSDT"), STREAM_QUOTE},
                                     {STR("ETHUSDT"), STREAM_AGG_TRADE}};
    assert_subscribe(
        "binance", binance, 3, 3,
        "{\"method\":\"SUBSCRIBE\",\"params\":[\"btcusdt@trade\",\"btcusdt@bookTicker\","
        "\"ethusdt@aggTrade\"],\"id\":7}");
    struct subscription coinbase[] = {{STR("BTC-USD"), STREAM_TRADE},
                                      {STR("ETH-USD"), STREAM_TRADE},
                                      {STR("BTC-USD"), STREAM_QUOTE}};
    assert_subscribe(
        "coinbase", coinbase, 3, 3,
        "{\"type\":\"subscribe\",\"channels\":[{\"name\":\"matches\",\"product_ids\":[\"BTC-USD\","
        "\"ETH-USD\"]},{\"name\":\"ticker\",\"product_ids\":[\"BTC-USD\"]},{\"name\":\"heartbeat\","
        "\"product_ids\":[\"BTC-USD\"]}]}");
    struct subscription kraken[] = {{STR("BTC/USD"), STREAM_TRADE},
                                    {STR("ETH/USD"), STREAM_TRADE},
                                    {STR("BTC/USD"), STREAM_QUOTE}};
    assert_subscribe(
        "kraken", kraken, 3, 2,
        "{\"method\":\"subscribe\",\"params\":{\"channel\":\"trade\",\"symbol\":[\"BTC/USD\","
        "\"ETH/USD\"],\"snapshot\":false},\"req_id\":7}");
    assert_subscribe(
        "kraken", kraken + 2, 1, 1,
        "{\"method\":\"subscribe\",\"params\":{\"channel\":\"ticker\",\"symbol\":[\"BTC/USD\"],"
        "\"event_trigger\":\"bbo\"},\"req_id\":7}");
    struct subscription tiingo[] = {{STR("btcusd"), STREAM_TRADE},
                                    {STR("btcusd"), STREAM_QUOTE},
                                    {STR("ethusd"), STREAM_TRADE}};
    assert_subscribe("tiingo", tiingo, 3, 3,
                     "{\"eventName\":\"subscribe\",\"authorization\":\"to\\\"ken\",\"eventData\":{"
                     "\"thresholdLevel\":2,\"tickers\":[\"btcusd\",\"ethusd\"]}}");
    struct subscription all[] = {{STR("*"), STREAM_TRADE}};
    assert_subscribe("tiingo", all, 1, 1,
                     "{\"eventName\":\"subscribe\",\"authorization\":\"to\\\"ken\",\"eventData\":{"
                     "\"thresholdLevel\":5,\"tickers\":[\"*\"]}}");
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *url, *venue;
    } cases[] = {
        {"wss://stream.binance.com:9443/stream?streams=a@trade", "binance"},
        {"wss://fstream.binance.com/stream?streams=x", "binance_futures"},
        {"https://api.binance.com/api/v3/exchangeInfo", "binance"},
        {"https://fapi.binance.com/fapi/v1/exchangeInfo", "binance_futures"},
        {"wss://ws-feed.pro.coinbase.com", "coinbase"},
        {"wss://ws-feed.exchange.coinbase.com", "coinbase"},
        {"https://api.pro.coinbase.com/products", "coinbase"},
        {"wss://ws.kraken.com", "kraken"},
        {"wss://ws.kraken.com/v2", "kraken"},
        {"https://api.kraken.com/0/public/AssetPairs", "kraken"},
        {"wss://api.tiingo.com/crypto", "tiingo"},
        {"https://api.tiingo.com/tiingo/crypto?tickers=btcusd", "tiingo"},
        {"wss://stream.binance.us:9443/ws", NULL},
        {"wss://stream.binance.com.example.org/ws", NULL},
        {"stream.binance.com", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct venue *v = venue_by_url(str_of(cases[i].url));
        assert_string_equal(v ? v->name : "-", cases[i].venue ? cases[i].venue : "-");
    }
    for (size_t i = 0; venue_all[i]; i++) {
        const struct venue *v = venue_all[i];
        assert_ptr_equal(venue_by_name(str_of(v->name)), v);
        assert_ptr_equal(venue_by_url(str_of(v->ws_url)), v);
        assert_ptr_equal(venue_by_url(str_of(v->rest_url)), v);
        assert_true(v->streams >> v->default_tape & 1);
        assert_true(v->subscriptions_per_frame > 0 && v->subscribe_interval_ms > 0);
        assert_int_equal(v->keep_alive == KEEP_ALIVE_TEXT, v->encode_keep_alive != NULL);
        struct venue_request request;
        assert_true(v->instruments_request(0, STR("secret"), &request));
        assert_int_equal(request.path[0], '/');
        assert_int_equal(strstr(request.header, "secret") != NULL, v->needs_token);
        assert_false(v->instruments_request(1, STR("secret"), &request));
    }
    assert_null(venue_by_name(STR("bitmex")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binance_trades),  cmocka_unit_test(test_binance_quotes),
        cmocka_unit_test(test_binance_answers), cmocka_unit_test(test_binance_futures),
        cmocka_unit_test(test_coinbase),        cmocka_unit_test(test_kraken_v2),
        cmocka_unit_test(test_kraken_v1),       cmocka_unit_test(test_tiingo),
        cmocka_unit_test(test_subscribe),       cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
