/* Batches, series and proofs. */
#include "event/batch.h"
#include "event/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct trade some_trade(uint32_t series, int64_t id)
{
    return (struct trade){.series = series,
                          .side = SIDE_BUY,
                          .has_id = true,
                          .id = id,
                          .price = dec_normal(6183763, 2),
                          .size = dec_normal(2, 2),
                          .venue_time_ns = id * NS_PER_S,
                          .received_ns = id * NS_PER_S + 5};
}

static void test_series(void **state)
{
    (void)state;
    struct series_table *t = series_new();
    uint32_t a = series_intern(t, STR("binance"), STR("binance"), STR("BTC-USDT"), STR("BTCUSDT"));
    uint32_t b = series_intern(t, STR("binance"), STR("binance"), STR("ETH-USDT"), STR("ETHUSDT"));
    assert_int_equal(a, 0);
    assert_int_equal(b, 1);
    assert_int_equal(
        series_intern(t, STR("binance"), STR("binance"), STR("BTC-USDT"), STR("BTCUSDT")), a);
    assert_int_equal(series_intern(t, STR(""), STR("x"), STR("x"), STR("x")), SERIES_NONE);
    assert_int_equal(series_find(t, STR("binance"), STR("ETH-USDT")), b);
    for (int i = 0; i < 5000; i++) {
        char name[16];
        int n = snprintf(name, sizeof name, "S%d", i);
        struct str s = {name, (size_t)n};
        assert_int_equal(series_intern(t, STR("v"), STR("v"), s, s), i + 2);
    }
    assert_true(str_is(series_get(t, 4001)->symbol, "S3999"));
    series_free(t);
}

/* The hash is stored for ever: a change of the canonical form must fail here. */
static void test_proof_is_stable(void **state)
{
    (void)state;
    struct series_table *t = series_new();
    uint32_t a = series_intern(t, STR("binance"), STR("binance"), STR("BTC-USDT"), STR("BTCUSDT"));
    struct trade one = some_trade(a, 7), two = one;
    char hex[33];
    hash_hex(proof_hash_trade(series_get(t, a), &one), hex);
    assert_string_equal(hex, "5b60e92999c8f9ba12999abe227c59ae");
    two.origin = ORIGIN_REPLAYED;
    two.sequence = 99;
    two.received_ns++;
    assert_true(proof_hash_trade(series_get(t, a), &one) ==
                proof_hash_trade(series_get(t, a), &two));
    two.size = dec_normal(3, 2);
    assert_false(proof_hash_trade(series_get(t, a), &one) ==
                 proof_hash_trade(series_get(t, a), &two));
    series_free(t);
}

static void test_proof_sets(void **state)
{
    (void)state;
    struct proof_set p, q;
    proof_set_init(&p);
    proof_set_init(&q);
    for (int i = 0; i < 10000; i++)
        proof_set_add(&p, (uint32_t)(i % 7), 0, i % 300, 1, (u128)i << 90);
    for (int i = 9999; i >= 0; i--)
        proof_set_add(&q, (uint32_t)(i % 7), 0, i % 300, 1, (u128)i << 90);
    proof_set_sort(&p);
    proof_set_sort(&q);
    assert_int_equal(p.count, q.count);
    assert_int_equal(p.count, 2100);
    for (size_t i = 0; i < p.count; i++) {
        assert_true(p.items[i].sum == q.items[i].sum && p.items[i].count == q.items[i].count);
        const struct proof *found = proof_set_find(&p, q.items[i].series, 0, q.items[i].minute);
        assert_ptr_equal(found, &p.items[i]);
    }
    assert_null(proof_set_find(&p, 9, 0, 0));
    proof_set_free(&p);
    proof_set_free(&q);
}

static void test_batch(void **state)
{
    (void)state;
    struct batch_pool *pool = batch_pool_new(1, 100, 1 << 20);
    struct batch *b = batch_get(pool, 0);
    assert_null(batch_get(pool, 0));
    for (int i = 0; i < 50; i++) {
        assert_non_null(batch_add_trade(b));
        assert_non_null(batch_add_quote(b));
    }
    assert_null(batch_add_gap(b));
    assert_true(batch_is_full(b));
    batch_number(b, 1000);
    assert_int_equal(b->trades[49].sequence, 1098);
    assert_int_equal(b->quotes[49].sequence, 1099);
    assert_int_equal(b->last_sequence, 1099);
    assert_true(batch_set_position(b, STR("file"), 5, false));
    assert_true(batch_set_position(b, STR("file"), 9, true));
    assert_int_equal(b->position_count, 1);
    assert_int_equal(b->positions[0].frames, 9);
    batch_put(b);
    b = batch_get(pool, 0);
    assert_int_equal(b->event_count + b->trade_count + b->position_count, 0);
    batch_number(b, 7);
    assert_int_equal(b->last_sequence, 7);
    batch_put(b);
    batch_pool_free(pool);
}

static bool is_odd(void *ctx, const struct dead *d)
{
    (void)ctx;
    return d->position % 2;
}

/* Every event and every extra still belongs to what it did: positions of dead letters are their numbers. */
static void test_dead_letters_dropped(void **state)
{
    (void)state;
    struct batch_pool *pool = batch_pool_new(1, 100, 1 << 20);
    struct batch *b = batch_get(pool, 0);
    struct extra_column note = {
        .table = TABLE_DEAD_LETTERS, .type = COLUMN_LONG, .name = STR("note")};
    struct extra_column fee = {.table = TABLE_TRADES, .type = COLUMN_LONG, .name = STR("fee")};
    uint32_t notes = (uint32_t)batch_extra_column(b, &note),
             fees = (uint32_t)batch_extra_column(b, &fee);
    for (int i = 0; i < 20; i++) {
        batch_add_trade(b)->sequence = i;
        *batch_add_extra(b) = (struct extra){.column = fees, .index = (uint32_t)i, .number = i};
        batch_add_dead(b)->position = i;
        *batch_add_extra(b) = (struct extra){.column = notes, .index = (uint32_t)i, .number = i};
    }
    batch_drop_deads(b, is_odd, NULL);
    assert_int_equal(b->dead_count, 10);
    assert_int_equal(b->trade_count, 20);
    assert_int_equal(b->event_count, 30);
    assert_int_equal(b->extra_count, 30);
    int64_t dead = 0, trade = 0;
    for (size_t i = 0; i < b->event_count; i++) {
        struct event_ref r = b->order[i];
        if (r.type == EVENT_TRADE)
            assert_int_equal(b->trades[r.index].sequence, trade++);
        else
            assert_int_equal(b->deads[r.index].position, 2 * dead++);
    }
    for (size_t i = 0; i < b->extra_count; i++) {
        const struct extra *x = &b->extras[i];
        int64_t of = x->column == fees ? b->trades[x->index].sequence : b->deads[x->index].position;
        assert_int_equal(of, x->number);
    }
    batch_put(b);
    batch_pool_free(pool);
}

static void test_schema(void **state)
{
    (void)state;
    for (int i = 0; i < TABLE_MAX; i++) {
        const struct table *t = table_of((enum table_id)i);
        assert_int_equal(t->id, i);
        assert_ptr_equal(table_by_name(str_of(t->name)), t);
        assert_true(t->column_count > 0 && t->sort_count > 0);
        for (int c = 0; c < t->column_count; c++)
            assert_int_equal(table_column(t, t->columns[c].name), c);
    }
    assert_int_equal(TRADES_MAX, 18);
    assert_null(table_by_name(STR("books")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series),     cmocka_unit_test(test_proof_is_stable),
        cmocka_unit_test(test_proof_sets), cmocka_unit_test(test_batch),
        cmocka_unit_test(test_schema),     cmocka_unit_test(test_dead_letters_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
