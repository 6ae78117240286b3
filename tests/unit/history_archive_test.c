/* Binance's archive of trades and aggregates: with and without a header, ms and us, and what is no row. */
#include "recording/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct recording *open_csv(const char *name, const char *text)
{
    struct recording *r = NULL;
    struct err e = {0};
    if (recording_open_bytes(name, str_of(text), STR("binance"), &r, &e) != ERR_OK)
        fail_msg("%s: %s", name, e.text);
    assert_string_equal(recording_format(r), "binance archive");
    return r;
}

static void test_trades(void **state)
{
    (void)state;
    struct recording *r = open_csv("BTCUSDT-trades-2025-01-01.csv",
                                   "7,93548.80,0.00100,93.5488,1735689600011234,True,True\n"
                                   "8,93548.81,0.2,18709.762,1735689600012000,False,True\n");
    struct recording_item item;
    struct err e = {0};
    assert_int_equal(recording_next(r, &item, &e), ERR_OK);
    assert_int_equal(item.kind, RECORDING_TRADE);
    assert_true(str_is(item.venue_symbol, "BTCUSDT"));
    assert_int_equal(item.received_ns, TIME_ABSENT);
    assert_int_equal(item.trade.id, 7);
    assert_int_equal(item.trade.side, SIDE_SELL);
    assert_int_equal(item.trade.venue_time_ns, INT64_C(1735689600011234000));
    assert_true(dec_eq(item.trade.price, dec_normal(9354880, 2)));
    assert_int_equal(recording_next(r, &item, &e), ERR_OK);
    assert_int_equal(item.trade.side, SIDE_BUY);
    assert_int_equal(recording_next(r, &item, &e), ERR_NOT_FOUND);
    recording_close(r);
}

static void test_aggregates_with_a_header(void **state)
{
    (void)state;
    struct recording *r =
        open_csv("BTCUSDT-aggTrades-2024-08-08.csv",
                 "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,"
                 "is_buyer_maker\n"
                 "5,61.5,3,100,102,1723075200001,true\n"
                 "6,61.5,3,102,100,1723075200001,true\n"
                 "7,not a price,3,103,103,1723075200001,true\n"
                 "8,61.25,1,104,104,1723075200002,false\n");
    struct recording_item item;
    struct err e = {0};
    assert_int_equal(recording_next(r, &item, &e), ERR_OK);
    assert_int_equal(item.trade.stream, STREAM_AGG_TRADE);
    assert_int_equal(item.trade.first_id, 100);
    assert_int_equal(item.trade.last_id, 102);
    assert_int_equal(recording_next(r, &item, &e), ERR_PARSE);
    assert_int_equal(recording_next(r, &item, &e), ERR_PARSE);
    assert_true(strstr(e.text, "line 4") != NULL);
    assert_int_equal(recording_next(r, &item, &e), ERR_OK);
    assert_int_equal(item.trade.id, 8);
    recording_close(r);
}

static void test_cut(void **state)
{
    (void)state;
    struct recording *r = open_csv("BTCUSDT-trades-2024-08-08.csv",
                                   "7,93548.80,0.00100,93.5488,1735689600011,True,True\n"
                                   "8,93548.81,0.2,18709.762,17356896");
    struct recording_item item;
    struct err e = {0};
    assert_int_equal(recording_next(r, &item, &e), ERR_OK);
    assert_int_equal(recording_next(r, &item, &e), ERR_CORRUPT);
    assert_int_equal(recording_next(r, &item, &e), ERR_NOT_FOUND);
    recording_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trades),
        cmocka_unit_test(test_aggregates_with_a_header),
        cmocka_unit_test(test_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
