/* Cut, damaged and foreign files: what can be read is read, what cannot is said with its place and
 * bytes. */
#include "recording_help.h"

#include <zlib.h>
#include <zstd.h>

static void test_unknown(void **state)
{
    (void)state;
    struct recording *r;
    struct err e = {0};
    const struct str samples[] = {
        STR("hello, world\n"),
        STR(""),
        STR("{\"a\":1}\n"),
        STR("exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"),
        STR("\x7f"
            "ELF\x02\x01\x01"),
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        assert_int_equal(recording_open_bytes("some.file", samples[i], STR(""), &r, &e), ERR_PARSE);
        assert_non_null(strstr(e.text, "some.file"));
    }
    assert_int_equal(recording_open("/nowhere/x", STR(""), &r, &e), ERR_NOT_FOUND);
    const char *path = "/nowhere/x";
    struct recording_set *s;
    assert_int_equal(recording_set_open(&path, 1, STR(""), NULL, NULL, &s, &e), ERR_NOT_FOUND);
}

static const char frames[] = "wss://ws.kraken.com <-> 1618678132.368463\n"
                             "1618678132.5: {\"a\":[1,2,\"}\"]}\n"
                             "\n"
                             "nonsense\n"
                             "1618678132.6: {\"b\":2}\n"
                             "1618678132.7: {\"c\":3}";

static void test_cut_line(void **state)
{
    (void)state;
    struct tally t;
    /* Whole but for its line end: the frame is whole. */
    tally_bytes("K.ws.1.0", str_of(frames), "", &t);
    assert_int_equal(t.kind[RECORDING_CONNECT], 1);
    assert_int_equal(t.kind[RECORDING_FRAME], 3);
    assert_int_equal(t.damaged, 1);
    assert_non_null(strstr(t.last_damage, "K.ws.1.0: line 4"));
    assert_int_equal(t.damaged_bytes, strlen("nonsense"));
    /* Cut anywhere in the last frame: two frames and one damaged place with the bytes that are
     * there. */
    for (size_t cut = 1; cut < strlen("1618678132.7: {\"c\":3}"); cut++) {
        tally_bytes("K.ws.1.0", (struct str){frames, sizeof frames - 1 - cut}, "", &t);
        assert_int_equal(t.kind[RECORDING_FRAME], 2);
        assert_int_equal(t.damaged, 2);
        assert_non_null(strstr(t.last_damage, "line 6"));
        assert_true(t.damaged_bytes > 0);
    }
}

static size_t gzip(struct str from, char *to, size_t size)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)from.p;
    z.avail_in = (uInt)from.n;
    z.next_out = (Bytef *)to;
    z.avail_out = (uInt)size;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t n = size - z.avail_out;
    deflateEnd(&z);
    return n;
}

/* With a checksum, as the zstd program writes it: without one an altered digit is an altered digit.
 * */
static size_t zstd(struct str from, char *to, size_t size)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    size_t n = ZSTD_compress2(c, to, size, from.p, from.n);
    assert_false(ZSTD_isError(n));
    ZSTD_freeCCtx(c);
    return n;
}

enum { LINES = 20000 };

/* Lines that do not compress to nothing, so that a cut packed file holds some of them. */
static struct str make_lines(void)
{
    struct buf b;
    buf_init(&b, 8 << 20);
    uint64_t seed = 77;
    for (int i = 0; i < LINES; i++)
        buf_addf(&b, "%lld {\"stream\":\"btcusdt@trade\",\"data\":{\"M\":true,\"n\":%llu}}\n",
                 (long long)(INT64_C(1723161254087896568) + i),
                 (unsigned long long)(random_next(&seed) % 1000000000));
    return buf_str(&b);
}

static void test_packed(void **state)
{
    (void)state;
    struct str lines = make_lines();
    char *packed = malloc(lines.n + 4096);
    size_t half = lines.n / 2;
    while (lines.p[half - 1] != '\n') half++;
    /* Two gzip members, one after the other. */
    size_t n = gzip((struct str){lines.p, half}, packed, lines.n);
    n += gzip((struct str){lines.p + half, lines.n - half}, packed + n, lines.n + 4096 - n);
    struct tally t;
    tally_bytes("a.gz", (struct str){packed, n}, "", &t);
    assert_int_equal(t.kind[RECORDING_FRAME], LINES);
    assert_int_equal(t.damaged, 0);
    assert_string_equal(t.venue, "binance");
    /* Zeros behind it are padding, other bytes are not. */
    memset(packed + n, 0, 64);
    tally_bytes("a.gz", (struct str){packed, n + 64}, "", &t);
    assert_int_equal(t.damaged, 0);
    memset(packed + n, 'x', 64);
    tally_bytes("a.gz", (struct str){packed, n + 64}, "", &t);
    assert_int_equal(t.kind[RECORDING_FRAME], LINES);
    assert_int_equal(t.damaged, 1);
    /* Two zstd frames. */
    n = ZSTD_compress(packed, lines.n, lines.p, half, 1);
    n += ZSTD_compress(packed + n, lines.n + 4096 - n, lines.p + half, lines.n - half, 1);
    tally_bytes("a.zst", (struct str){packed, n}, "", &t);
    assert_int_equal(t.kind[RECORDING_FRAME], LINES);
    assert_int_equal(t.damaged, 0);
    free(packed);
    free((void *)(uintptr_t)lines.p);
}

/* Cut or altered at any place: all frames in front of it, then one damaged place that names it. */
static void test_damaged_packed(void **state)
{
    (void)state;
    struct str lines = make_lines();
    char *packed = malloc(lines.n + 4096);
    size_t n[2];
    struct tally t;
    for (int way = 0; way < 2; way++) {
        n[way] = way ? zstd(lines, packed, lines.n) : gzip(lines, packed, lines.n);
        int64_t before = 0;
        for (int part = 1; part < 8; part++) {
            size_t cut = n[way] * (size_t)part / 8;
            tally_bytes("a", (struct str){packed, cut}, "", &t);
            assert_int_equal(t.damaged, 1);
            assert_non_null(strstr(t.last_damage, "cut"));
            /* Not more than one zstd block (128 KiB) is lost in front of the cut; gzip gives all.
             * */
            int64_t least = (int64_t)LINES * part / 8 - (way ? 3000 : 100);
            assert_true(t.kind[RECORDING_FRAME] >= least);
            assert_true(t.kind[RECORDING_FRAME] >= before);
            before = t.kind[RECORDING_FRAME];
        }
        packed[n[way] / 2] ^= 0x55;
        packed[n[way] / 2 + 1] ^= 0x55;
        tally_bytes("a", (struct str){packed, n[way]}, "", &t);
        assert_true(t.damaged >= 1);
        assert_true(t.kind[RECORDING_FRAME] >= LINES / 2 - 3000);
    }
    free(packed);
    free((void *)(uintptr_t)lines.p);
}

/* Real files, cut in the middle: never more than one damaged place, all before it as in the whole
 * file. */
static void test_cut_real_files(void **state)
{
    (void)state;
    const char *names[] = {
        "cryptofeed/KRAKEN/KRAKEN.ws.50.0",
        "cryptofeed-v3/COINBASE/COINBASE.jsonl",
        "binance-data-processor/test_positive_binance_trade_stream_spot_trxusdt_04-03-2025.csv",
        "binance-official-klines/spot-BTCUSDT-1m/BTCUSDT-1m-2024-08-08.csv",
        "freqtrade/binance/XRP_ETH-1m.json",
        "hftbacktest/binance-spot/btcusdt_20240808.gz",
        "freqtrade/binance/XRP_OLD-trades.json.gz",
        "gocryptotrader/binance.public.json",
        "lean/coinbase/minute/btcusd/20161007_trade.zip",
        "tiingo/tiingo-go/crypto_live.jsonl",
        "tiingo/tiingo-python/crypto_top_of_book.yaml",
        "xchange/kraken/example-ohlc-data.json",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct buf b;
        struct err e = {0};
        struct tally whole, t;
        const char *path = recorded(names[i]);
        buf_init(&b, 64 << 20);
        assert_ok(file_read(path, 64 << 20, &b, &e), &e);
        tally_bytes(path, buf_str(&b), "", &whole);
        tally_bytes(path, (struct str){(char *)b.data, b.len * 2 / 3 + 1}, "", &t);
        if (t.damaged != 1) fail_msg("%s: %lld damaged", names[i], (long long)t.damaged);
        for (int k = 0; k <= RECORDING_CANDLE; k++) assert_true(t.kind[k] <= whole.kind[k]);
        buf_free(&b);
    }
}

static void test_bad_rows(void **state)
{
    (void)state;
    struct tally t;
    tally_bytes(
        "t.csv",
        STR("TimestampOfReceive,Stream,EventType,EventTime,TransactionTime,Symbol,TradeId,Price,"
            "Quantity,IsBuyerMarketMaker,MUnknownParameter\n"
            "1741046401272286,x,trade,1741046401271969,1741046401271497,TRXUSDT,1,0.2312,2619.4,1,"
            "True\n"
            "1741046401272286,x,trade,1741046401271969,1741046401271497,TRXUSDT,x,0.2312,2619.4,1,"
            "True\n"
            "1741046401272286,x,trade,1741046401271969,1741046401271497,TRXUSDT,2,nan,2619.4,1,"
            "True\n"
            "1741046401272286,x,trade,1741046401271969,1741046401271497,TRXUSDT,3,0.2312,2619.4,2,"
            "True\n"
            "1741046401272286,x\n"
            "1741046401272286,x,trade,1741046401271969,1741046401271497,TRXUSDT,4,0."
            "1234567890123456789,1,1,True\n"
            "1741046401272286,x,trade,1741046401271969,1741046401271497,TRXUSDT,5,0.2312,2619.4,0,"
            "True"),
        "", &t);
    assert_int_equal(t.kind[RECORDING_TRADE], 2);
    assert_int_equal(t.damaged, 5);
    tally_bytes("XRP_ETH-trades.json",
                STR("[[1570752011620,\"13519807\",null,\"sell\",0.00141342,23.0,0.03250866],\n"
                    "[1570752011620,\"13519808\"], {}, 7, \"x,]\",\n"
                    "[1570752017964,\"13519809\",null,\"sell\",1.41e-3,8.0,0.01130128]]\n"),
                "binance", &t);
    assert_int_equal(t.kind[RECORDING_TRADE], 2);
    assert_int_equal(t.damaged, 4);
}

/* A line past the limit is walked over, and the next one is read. */
static void test_long_line(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 80 << 20);
    buf_add_cstr(&b, "1723161254087896568 "
                     "{\"stream\":\"btcusdt@trade\",\"M\":1}\n1723161254087896569 {\"x\":\"");
    uint8_t *room = buf_room(&b, 20 << 20);
    memset(room, 'y', 20 << 20);
    b.len += 20 << 20;
    buf_add_cstr(&b, "\"}\n1723161254087896570 {\"stream\":\"btcusdt@trade\",\"M\":2}\n");
    struct tally t;
    tally_bytes("x", buf_str(&b), "", &t);
    assert_int_equal(t.kind[RECORDING_FRAME], 2);
    assert_int_equal(t.damaged, 1);
    assert_non_null(strstr(t.last_damage, "line 2 has more than"));
    assert_int_equal(t.damaged_bytes, 4096);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown),        cmocka_unit_test(test_cut_line),
        cmocka_unit_test(test_packed),         cmocka_unit_test(test_damaged_packed),
        cmocka_unit_test(test_cut_real_files), cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_long_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
