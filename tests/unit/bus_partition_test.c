#include "bus/bus_internal.h"

#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* As org.apache.kafka.common.utils.UtilsTest.testMurmur2 has them. */
static void java_values(void **state)
{
    (void)state;
    static const struct {
        struct str key;
        int32_t hash;
    } known[] = {
        {STR("21"), -973932308},
        {STR("foobar"), -790332482},
        {STR("a-little-bit-long-string"), -985981536},
        {STR("a-little-bit-longer-string"), -1486304829},
        {STR("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58897971},
        {STR("abc"), 479470107},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_int_equal((int32_t)bus_murmur2(known[i].key), known[i].hash);
}

/* Our keys, as `new DefaultPartitioner` of Java's client 3.9.2 places them (Utils.toPositive(murmur2(key)) % n). */
static void java_partitions(void **state)
{
    (void)state;
    static const struct {
        struct str venue, symbol;
        int32_t of_3, of_6, of_256;
    } known[] = {
        {STR("binance"), STR("BTC-USDT"), 0, 3, 187},
        {STR("coinbase"), STR("ETH-USD"), 2, 2, 124},
        {STR("kraken"), STR("XBT-EUR"), 1, 4, 246},
        {STR("bybit"), STR("SOL-USDT-PERP"), 2, 2, 66},
        {STR("okx"), STR("DOGE-USDT"), 1, 1, 57},
        {STR("tiingo"), STR(""), 2, 5, 41},
        {STR("bitstamp"), STR("A"), 1, 1, 185},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        assert_int_equal(bus_partition(known[i].venue, known[i].symbol, 3), known[i].of_3);
        assert_int_equal(bus_partition(known[i].venue, known[i].symbol, 6), known[i].of_6);
        assert_int_equal(bus_partition(known[i].venue, known[i].symbol, 256), known[i].of_256);
    }
}

static uint64_t random_state = 20261125;
static uint32_t random_u32(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

/* The client's own partitioner is the reference; keys of every length modulo four, bytes above 127 among them. */
static void as_librdkafka(void **state)
{
    (void)state;
    uint8_t key[300];
    for (int i = 0; i < 20000; i++) {
        size_t n = random_u32() % sizeof key;
        int32_t partitions = (int32_t)(1 + random_u32() % BUS_PARTITIONS_MAX);
        for (size_t k = 0; k < n; k++) key[k] = (uint8_t)random_u32();
        int32_t theirs = rd_kafka_msg_partitioner_murmur2(NULL, key, n, partitions, NULL, NULL);
        assert_int_equal(bus_partition_of_key((struct str){(char *)key, n}, partitions), theirs);
    }
}

static void keys(void **state)
{
    (void)state;
    struct bus_key k = bus_key(STR("binance"), STR("BTC-USDT"));
    assert_int_equal(k.n, strlen("binance:BTC-USDT"));
    assert_memory_equal(k.bytes, "binance:BTC-USDT", k.n);
    k = bus_key(STR("binance"), (struct str){0});
    assert_int_equal(k.n, strlen("binance"));
    k = bus_key((struct str){0}, (struct str){0});
    assert_int_equal(k.n, 0);
    /* Dead letters may bring any text: cut, never overrun. */
    char text[1000];
    memset(text, 'x', sizeof text);
    for (size_t a = 0; a < 600; a += 7)
        for (size_t b = 0; b < 600; b += 11) {
            k = bus_key((struct str){text, a}, (struct str){text, b});
            assert_true(k.n <= sizeof k.bytes);
            size_t whole = a + (b ? 1 + b : 0);
            assert_int_equal(k.n, whole < sizeof k.bytes ? whole : sizeof k.bytes);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(java_values),
        cmocka_unit_test(java_partitions),
        cmocka_unit_test(as_librdkafka),
        cmocka_unit_test(keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
