/* Every frame of the recordings of these venues: the catalogue's counts, no frame refused, and the same values as a reader
 * that knows no JSON finds in the text. */
#include "venue_help.h"

struct totals {
    size_t frames, trades, agg_trades, quotes, snapshots, bad;
    size_t class[FRAME_BAD + 1];
};

static void count(struct bench *b, struct totals *t)
{
    const struct decoded *d = &b->out;
    t->frames++;
    t->class[d->class]++;
    t->quotes += d->quote_count;
    for (size_t i = 0; i < d->trade_count; i++) {
        bool agg = d->trades[i].stream == STREAM_AGG_TRADE;
        t->agg_trades += agg;
        t->trades += !agg;
        t->snapshots += d->trades[i].origin == ORIGIN_SNAPSHOT;
        assert_true(d->trades[i].venue_time_ns > 0);
        assert_true(d->trades[i].size.digits > 0);
        assert_int_equal(d->trades[i].received_ns, RECEIVED_NS);
    }
    for (size_t i = 0; i < d->quote_count; i++)
        assert_true(dec_cmp(d->quotes[i].bid_price, d->quotes[i].ask_price) <= 0);
    t->bad += d->refused_count > 0 || d->class == FRAME_BAD || d->class == FRAME_ERROR;
    if (d->refused_count)
        print_message("%.*s: %s\n", 100, (char *)b->frame.data, d->refused[0].detail);
}

/* cryptofeed: "TIME: FRAME" is a received frame; a line that begins with an address is not. */
static void cryptofeed_socket(struct bench *b, const char *name, struct totals *t)
{
    struct buf file;
    read_recording(name, &file);
    for (struct str rest = buf_str(&file); rest.n;) {
        struct str line = str_cut(&rest, '\n');
        if (line.n == 0 || str_starts(line, "wss://")) continue;
        str_cut(&line, ':');
        bench_frame(b, str_trim(line));
        count(b, t);
    }
    buf_free(&file);
}

/* VENUE.0: "ADDRESS -> TIME: BODY", and "configuration: {...}" with the symbols in their normalised form. */
static void cryptofeed_list(struct bench *b, const char *name, size_t expected)
{
    struct buf file;
    read_recording(name, &file);
    for (struct str rest = buf_str(&file); rest.n;) {
        struct str line = str_cut(&rest, '\n');
        if (str_starts(line, "https://")) {
            struct str url = str_cut(&line, ' ');
            assert_ptr_equal(venue_by_url(url), b->venue);
            str_cut(&line, ':');
            struct err e = {0};
            if (bench_instruments(b, str_trim(line), &e)) fail_msg("%s", e.text);
            assert_int_equal(venue_names_count(b->names), expected);
        } else if (str_starts(line, "configuration:")) {
            size_t found = 0;
            for (struct str part = str_cut(&line, ']'), symbol; part.n;) {
                str_cut(&part, '"');
                symbol = str_cut(&part, '"');
                if (symbol.n == 0 || !memchr(symbol.p, '-', symbol.n)) continue;
                struct str venue_symbol;
                if (!venue_names_venue_symbol(b->names, symbol, &venue_symbol))
                    fail_msg("%.*s is in no instrument list", STR_ARG(symbol));
                found++;
            }
            assert_true(found >= 4);
        }
    }
    buf_free(&file);
}

static void test_binance(void **state)
{
    (void)state;
    NEED_RECORDINGS();
    struct bench b;
    struct totals t = {0};
    bench_open(&b, "binance");
    cryptofeed_list(&b, "cryptofeed/BINANCE/BINANCE.0", 1695);
    cryptofeed_socket(&b, "cryptofeed/BINANCE/BINANCE.ws.1.0", &t);
    assert_int_equal(t.frames, 265);
    assert_int_equal(t.agg_trades, 2);
    assert_int_equal(t.trades, 0);
    assert_int_equal(t.quotes, 84);
    assert_int_equal(t.class[FRAME_IGNORED], 177 + 2);
    assert_int_equal(t.bad, 0);
    assert_int_equal(venue_names_guessed(b.names), 0);
    assert_int_not_equal(series_find(b.series, STR("binance"), STR("NKN-USDT")), SERIES_NONE);
    bench_close(&b);
}

static void test_binance_futures(void **state)
{
    (void)state;
    NEED_RECORDINGS();
    struct bench b;
    struct totals t = {0};
    bench_open(&b, "binance_futures");
    cryptofeed_list(&b, "cryptofeed/BINANCE_FUTURES/BINANCE_FUTURES.0", 122);
    struct str venue_symbol;
    assert_true(venue_names_venue_symbol(b.names, STR("BTC-USDT-20210924"), &venue_symbol));
    assert_str(venue_symbol, "BTCUSDT_210924");
    assert_true(venue_names_venue_symbol(b.names, STR("BTCST-USDT-PERP"), &venue_symbol));
    cryptofeed_socket(&b, "cryptofeed/BINANCE_FUTURES/BINANCE_FUTURES.ws.1.0", &t);
    assert_int_equal(t.frames, 1535);
    assert_int_equal(t.agg_trades, 91);
    assert_int_equal(t.quotes, 613);
    assert_int_equal(t.class[FRAME_IGNORED], 764 + 67);
    assert_int_equal(t.bad, 0);
    assert_int_equal(venue_names_guessed(b.names), 0);
    uint32_t series = series_find(b.series, STR("binance_futures"), STR("SUSHI-USDT-PERP"));
    assert_int_not_equal(series, SERIES_NONE);
    bench_close(&b);
}

static void test_coinbase(void **state)
{
    (void)state;
    NEED_RECORDINGS();
    struct bench b;
    struct totals t = {0};
    bench_open(&b, "coinbase");
    cryptofeed_list(&b, "cryptofeed/COINBASE/COINBASE.0", 162);
    cryptofeed_socket(&b, "cryptofeed/COINBASE/COINBASE.ws.28.0", &t);
    assert_int_equal(t.frames, 9946);
    assert_int_equal(t.trades, 97 + 10);
    assert_int_equal(t.snapshots, 10);
    assert_int_equal(t.quotes, 107);
    assert_int_equal(t.class[FRAME_ACK], 3);
    assert_int_equal(t.bad, 0);
    bench_close(&b);
}

static void test_kraken(void **state)
{
    (void)state;
    NEED_RECORDINGS();
    struct bench b;
    struct totals t = {0};
    bench_open(&b, "kraken");
    /* 304 pairs, of which the dark pools have no wsname. */
    cryptofeed_list(&b, "cryptofeed/KRAKEN/KRAKEN.0", 293);
    cryptofeed_socket(&b, "cryptofeed/KRAKEN/KRAKEN.ws.48.0", &t);
    cryptofeed_socket(&b, "cryptofeed/KRAKEN/KRAKEN.ws.49.0", &t);
    cryptofeed_socket(&b, "cryptofeed/KRAKEN/KRAKEN.ws.50.0", &t);
    assert_int_equal(t.frames, 4430);
    assert_int_equal(t.trades, 10);
    assert_int_equal(t.quotes, 18);
    assert_int_equal(t.class[FRAME_HEARTBEAT], 30 + 31 + 31);
    assert_int_equal(t.class[FRAME_ACK], 30);
    assert_int_equal(t.bad, 0);
    assert_int_equal(venue_names_guessed(b.names), 0);
    /* "XBT/CHF" of the old protocol is the same tape as "BTC/CHF" of the new one. */
    uint32_t series = series_find(b.series, STR("kraken"), STR("BTC-CHF"));
    assert_int_not_equal(series, SERIES_NONE);
    assert_str(series_get(b.series, series)->venue_symbol, "BTC/CHF");
    bench_close(&b);
}

static void test_tiingo(void **state)
{
    (void)state;
    NEED_RECORDINGS();
    struct bench b;
    struct totals t = {0};
    struct buf file;
    bench_open(&b, "tiingo");
    read_recording("tiingo/tiingo-go/meta_btcusd.json", &file);
    struct err e = {0};
    assert_int_equal(bench_instruments(&b, buf_str(&file), &e), ERR_OK);
    buf_free(&file);
    read_recording("tiingo/tiingo-go/crypto_live.jsonl", &file);
    for (struct str rest = buf_str(&file); rest.n;) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        if (line.n == 0) continue;
        bench_frame(&b, line);
        count(&b, &t);
    }
    buf_free(&file);
    assert_int_equal(t.frames, 31);
    assert_int_equal(t.trades, 11);
    assert_int_equal(t.quotes, 18);
    assert_int_equal(t.class[FRAME_ACK], 1);
    assert_int_equal(t.class[FRAME_HEARTBEAT], 1);
    assert_int_equal(t.bad, 0);
    assert_int_equal(venue_names_guessed(b.names), 1); /* ethusd is in no list here */
    bench_close(&b);
}

/* The value behind "KEY": in the text, without quotes. */
static struct str naive(struct str frame, const char *key)
{
    char pattern[16];
    int n = snprintf(pattern, sizeof pattern, "\"%s\":", key);
    const char *at = memmem(frame.p, frame.n, pattern, (size_t)n);
    if (!at) return (struct str){NULL, 0};
    at += n;
    at += *at == '"';
    size_t len =
        0; /* strcspn would be checked to the end of the whole file by the sanitizer, for each field */
    while (at + len < frame.p + frame.n && !strchr("\",}", at[len])) len++;
    return (struct str){at, len};
}

static void assert_naive(struct dec d, struct str token)
{
    char shown[DEC_TEXT_MAX];
    size_t n = dec_format(d, shown);
    while (token.n && token.p[token.n - 1] == '0') token.n--; /* Binance writes 8 decimals */
    if (token.n && token.p[token.n - 1] == '.') token.n--;
    if (!str_eq((struct str){shown, n}, token)) fail_msg("%s is not %.*s", shown, STR_ARG(token));
}

static void compare_naive(struct bench *b, struct str frame)
{
    const struct decoded *d = &b->out;
    int64_t number;
    if (d->trade_count) {
        const struct trade *t = &d->trades[0];
        assert_naive(t->price, naive(frame, "p"));
        assert_naive(t->size, naive(frame, "q"));
        assert_int_equal(str_to_i64(naive(frame, "t"), &number), ERR_OK);
        assert_int_equal(number, t->id);
        assert_true(t->has_id && t->has_range && t->first_id == t->id && t->last_id == t->id);
        assert_int_equal(str_to_i64(naive(frame, "T"), &number), ERR_OK);
        assert_int_equal(number * NS_PER_MS, t->venue_time_ns);
        assert_int_equal(t->side, str_is(naive(frame, "m"), "true") ? SIDE_SELL : SIDE_BUY);
    }
    if (d->quote_count) {
        const struct quote *q = &d->quotes[0];
        assert_naive(q->bid_price, naive(frame, "b"));
        assert_naive(q->bid_size, naive(frame, "B"));
        assert_naive(q->ask_price, naive(frame, "a"));
        assert_naive(q->ask_size, naive(frame, "A"));
        bool timed = naive(frame, "T").n > 0;
        assert_true((q->venue_time_ns == TIME_ABSENT) == !timed);
    }
}

static void hftbacktest(const char *venue, const char *name, size_t trades, size_t quotes,
                        int64_t first_id)
{
    struct bench b;
    struct totals t = {0};
    struct buf file;
    bench_open(&b, venue);
    read_recording(name, &file);
    int64_t next_id = first_id;
    for (struct str rest = buf_str(&file); rest.n;) {
        struct str line = str_cut(&rest, '\n');
        str_cut(&line, ' ');
        if (line.n == 0) continue;
        bench_frame(&b, line);
        count(&b, &t);
        compare_naive(&b, line);
        if (b.out.trade_count) {
            assert_int_equal(b.out.trades[0].id, next_id);
            next_id++;
        }
    }
    buf_free(&file);
    assert_int_equal(t.trades, trades);
    assert_int_equal(t.quotes, quotes);
    assert_int_equal(t.bad, 0);
    bench_close(&b);
}

static void test_hftbacktest(void **state)
{
    (void)state;
    NEED_RECORDINGS();
    hftbacktest("binance", "hftbacktest/binance-spot/btcusdt_20240808.gz", 9757, 28040,
                INT64_C(3735683259));
    hftbacktest("binance", "hftbacktest/binance-spot/btcusdt_20240809.gz", 10147, 45134,
                INT64_C(3735683259) + 9757);
    hftbacktest("binance_futures", "hftbacktest/binance-usdm/ethusdt_20240808.gz", 14076, 53992,
                INT64_C(4308068523));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binance),  cmocka_unit_test(test_binance_futures),
        cmocka_unit_test(test_coinbase), cmocka_unit_test(test_kraken),
        cmocka_unit_test(test_tiingo),   cmocka_unit_test(test_hftbacktest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
