/* Symbols: lists, guesses, what a newer list changes, names of every kind; against a plain list of what was added. */
#include "venue_help.h"

static struct instrument instrument(const char *venue_symbol, const char *symbol)
{
    return (struct instrument){.venue_symbol = str_of(venue_symbol),
                               .symbol = str_of(symbol),
                               .status = STR("TRADING"),
                               .contract_size = dec_absent(),
                               .listed_ns = TIME_ABSENT,
                               .delisted_ns = TIME_ABSENT};
}

static void assert_guess(const char *venue, const char *venue_symbol, const char *symbol,
                         size_t guessed)
{
    struct bench b;
    bench_open(&b, venue);
    uint32_t series = venue_names_series(b.names, str_of(venue_symbol), STR(""));
    assert_symbol(&b, series, symbol, venue);
    assert_int_equal(venue_names_series(b.names, str_of(venue_symbol), STR("")), series);
    assert_int_equal(venue_names_guessed(b.names), guessed);
    bench_close(&b);
}

static void test_guesses(void **state)
{
    (void)state;
    assert_guess("binance", "BTCUSDT", "BTC-USDT", 1);
    assert_guess("binance", "BNBBUSD", "BNB-BUSD", 1);
    assert_guess("binance", "BTCFDUSD", "BTC-FDUSD", 1);
    assert_guess("binance", "NKNUSDT", "NKN-USDT", 1);
    assert_guess("binance", "USDT", "USDT", 1); /* nothing before it: taken as it is */
    assert_guess("binance", "WHATEVER", "WHATEVER", 1);
    assert_guess("binance_futures", "BTCUSDT", "BTC-USDT-PERP", 1);
    assert_guess("binance_futures", "ETHUSDT_210924", "ETH-USDT-20210924", 1);
    assert_guess("binance_futures", "ETHUSDT_21092", "ETHUSDT_21092", 1);
    assert_guess("tiingo", "btcusd", "BTC-USD", 1);
    assert_guess("tiingo", "bnbusd", "BNB-USD", 1);
    assert_guess("tiingo", "dotusd", "DOT-USD", 1);
    assert_guess("tiingo", "btcusdt", "BTC-USDT", 1);
    assert_guess("coinbase", "BTC-USD", "BTC-USD", 0);
    assert_guess("coinbase", "BTCUSD", "BTCUSD", 1);
    assert_guess("kraken", "BTC/USD", "BTC-USD", 0);
    assert_guess("kraken", "XBT/EUR", "BTC-EUR", 0);
    assert_guess("kraken", "XXBTZUSD", "BTC-USD", 1);
    assert_guess("kraken", "XDGUSD", "DOGE-USD", 1);
    assert_guess("kraken", "USDTZUSD", "USDT-USD", 1);
    assert_guess("kraken", "ADAXBT", "ADA-BTC", 1);
}

static void test_lists(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "binance");
    uint32_t guess = venue_names_series(b.names, STR("ABCUSDT"), STR(""));
    assert_symbol(&b, guess, "ABC-USDT", "binance");
    struct instrument i = instrument("ABCUSDT", "ABCU-SDT");
    venue_names_add(b.names, &i);
    assert_int_equal(venue_names_guessed(b.names), 0);
    uint32_t listed = venue_names_series(b.names, STR("ABCUSDT"), STR(""));
    assert_int_not_equal(listed, guess);
    assert_symbol(&b, listed, "ABCU-SDT", "binance");
    struct str venue_symbol;
    assert_true(venue_names_venue_symbol(b.names, STR("ABCU-SDT"), &venue_symbol));
    assert_str(venue_symbol, "ABCUSDT");
    assert_false(venue_names_venue_symbol(b.names, STR("ABC-USDT"), &venue_symbol));
    /* The newest wins, and the old name is nobody's. */
    i = instrument("ABCUSDT", "AB-CUSDT");
    venue_names_add(b.names, &i);
    assert_int_equal(venue_names_count(b.names), 1);
    assert_symbol(&b, venue_names_series(b.names, STR("ABCUSDT"), STR("")), "AB-CUSDT", "binance");
    assert_false(venue_names_venue_symbol(b.names, STR("ABCU-SDT"), &venue_symbol));
    /* A delisting keeps its name. */
    i.delisted_ns = 5;
    venue_names_add(b.names, &i);
    assert_true(venue_names_instrument(b.names, 0)->delisted_ns == 5);
    bench_close(&b);
}

static void test_exchanges(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "tiingo");
    uint32_t gdax = venue_names_series(b.names, STR("btcusd"), STR("gdax"));
    uint32_t kraken = venue_names_series(b.names, STR("btcusd"), STR("kraken"));
    uint32_t none = venue_names_series(b.names, STR("btcusd"), STR(""));
    assert_true(gdax != kraken && kraken != none && gdax != none);
    assert_int_equal(venue_names_series(b.names, STR("btcusd"), STR("gdax")), gdax);
    assert_symbol(&b, none, "BTC-USD", "tiingo");
    assert_int_equal(venue_names_guessed(b.names), 1);
    /* The border between the two names counts. */
    assert_int_not_equal(venue_names_series(b.names, STR("btcus"), STR("dgdax")), gdax);
    bench_close(&b);
}

static void test_names_refused(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "tiingo");
    char text[300];
    memset(text, 'a', sizeof text);
    assert_int_equal(venue_names_series(b.names, STR(""), STR("")), SERIES_NONE);
    assert_int_equal(venue_names_series(b.names, (struct str){text, 128}, STR("")), SERIES_NONE);
    assert_int_not_equal(venue_names_series(b.names, (struct str){text, 120}, STR("")),
                         SERIES_NONE);
    assert_int_equal(venue_names_series(b.names, STR("btcusd"), (struct str){text, 200}),
                     SERIES_NONE);
    static const char *const bad[] = {"a\nb",        "a\x7f",    "\x80",         "\xff",
                                      "a\xc3",       "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xe0\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(venue_names_series(b.names, str_of(bad[i]), STR("")), SERIES_NONE);
    assert_int_equal(venue_names_series(b.names, (struct str){"a\0b", 3}, STR("")), SERIES_NONE);
    assert_int_not_equal(
        venue_names_series(b.names, STR("\xe5\xb8\x81\xf0\x9f\x98\x80usd"), STR("")), SERIES_NONE);
    bench_close(&b);
}

/* Ten thousand instruments, asked for in any order while more are added, against a plain list. */
static void test_many(void **state)
{
    (void)state;
    enum { MANY = 10000 };
    struct bench b;
    bench_open(&b, "tiingo");
    static char venue_symbols[MANY][24], symbols[MANY][24];
    uint64_t seed = 7;
    for (int n = 0; n < MANY; n++) {
        snprintf(venue_symbols[n], sizeof venue_symbols[n], "c%dusd", n);
        snprintf(symbols[n], sizeof symbols[n], "C%d-USD", n);
        struct instrument i = instrument(venue_symbols[n], symbols[n]);
        venue_names_add(b.names, &i);
        if (n % 100) continue;
        for (int k = 0; k < 20; k++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
            int at = (int)((seed >> 33) % (uint64_t)(n + 1));
            uint32_t series = venue_names_series(b.names, str_of(venue_symbols[at]), STR("gdax"));
            assert_symbol(&b, series, symbols[at], "gdax");
            struct str venue_symbol;
            assert_true(venue_names_venue_symbol(b.names, str_of(symbols[at]), &venue_symbol));
            assert_str(venue_symbol, venue_symbols[at]);
        }
    }
    assert_int_equal(venue_names_count(b.names), MANY);
    assert_int_equal(venue_names_guessed(b.names), 0);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guesses),   cmocka_unit_test(test_lists),
        cmocka_unit_test(test_exchanges), cmocka_unit_test(test_names_refused),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
