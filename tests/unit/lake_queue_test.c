/* A commit as it waits in the queue: what is encoded is decoded, and whatever is cut or changed is refused or read as
 * something whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lake/queue_internal.h"

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static struct lake_longs some_longs(uint64_t *r, struct arena *a)
{
    struct lake_longs v = {.present = draw(r) % 4 != 0};
    v.count = v.present ? draw(r) % 5 : 0;
    v.items = arena_zero(a, 5 * sizeof *v.items);
    for (size_t i = 0; i < v.count; i++)
        v.items[i] = (struct lake_id_long){(int32_t)(draw(r) % 100), (int64_t)draw(r)};
    return v;
}

static struct lake_bounds some_bounds(uint64_t *r, struct arena *a)
{
    struct lake_bounds v = {.present = draw(r) % 4 != 0};
    v.count = v.present ? draw(r) % 5 : 0;
    v.items = arena_zero(a, 5 * sizeof *v.items);
    for (size_t i = 0; i < v.count; i++)
        v.items[i] =
            (struct lake_id_bytes){(int32_t)(draw(r) % 100), draw(r) % 2 ? STR("\0\xff") : STR("")};
    return v;
}

static struct str some_path(struct arena *a)
{
    char uuid[LAKE_UUID_TEXT], text[200];
    struct str ret;
    lake_uuid(uuid);
    int n = snprintf(text, sizeof text, "file:///x/market/trades/data/%s-00000.parquet", uuid);
    assert_true(arena_copy(a, (struct str){text, (size_t)n}, &ret));
    return ret;
}

static void some_table(uint64_t *r, struct arena *a, enum table_id id, struct queue_table *t)
{
    t->file_count = draw(r) % 4;
    t->files = arena_zero(a, 4 * sizeof *t->files);
    for (size_t i = 0; i < t->file_count; i++)
        t->files[i] =
            (struct lake_entry){.path = some_path(a),
                                .day = draw(r) % 3 ? (int32_t)(draw(r) % 30000) : LAKE_NO_DAY,
                                .rows = (int64_t)(draw(r) % 1000) + 1,
                                .bytes = (int64_t)(draw(r) % 100000) + 1,
                                .sort_order_id = draw(r) % 2 ? 1 : LAKE_NULL,
                                .sizes = some_longs(r, a),
                                .values = some_longs(r, a),
                                .nulls = some_longs(r, a),
                                .splits = some_longs(r, a),
                                .lower = some_bounds(r, a),
                                .upper = some_bounds(r, a)};
    if (table_of(id)->key_count == 0 || t->file_count == 0) return;
    t->key_count = draw(r) % 20;
    t->keys = arena_zero(a, 20 * sizeof *t->keys);
    for (size_t i = 0; i < t->key_count; i++) {
        uint32_t file = (uint32_t)(draw(r) % t->file_count);
        t->keys[i] =
            (struct queue_key){.w = {.key = (u128)draw(r) << 64 | draw(r),
                                     .day = (int32_t)(draw(r) % 30000),
                                     .range = (int64_t)draw(r),
                                     .venue = draw(r) % 3 ? STR("kraken") : STR(""),
                                     .symbol = draw(r) % 3 ? STR("BTC-USD") : STR("X")},
                               .replaces = draw(r) % 2,
                               .file = file,
                               .position = (int64_t)(draw(r) % (uint64_t)t->files[file].rows)};
    }
}

static void some_commit(uint64_t *r, struct arena *a, struct queue_commit *q)
{
    *q = (struct queue_commit){
        .move_count = draw(r) % 3 + 1, .state_count = draw(r) % 3, .proof_count = draw(r) % 6};
    q->moves = arena_zero(a, 3 * sizeof *q->moves);
    for (size_t i = 0; i < q->move_count; i++)
        q->moves[i] =
            (struct lake_move){i ? "market.quotes/12" : "lake", (int64_t)draw(r), (int64_t)draw(r)};
    q->states = arena_zero(a, 3 * sizeof *q->states);
    for (size_t i = 0; i < q->state_count; i++)
        q->states[i] = (struct lake_state_put){(char *)(uintptr_t) "3/tape",
                                               draw(r) % 2 ? STR("a\0b") : STR("")};
    q->proofs = arena_zero(a, 6 * sizeof *q->proofs);
    for (size_t i = 0; i < q->proof_count; i++)
        q->proofs[i] = (struct queue_proof){.names = {STR("binance"), STR("b"), STR("S"), STR("s")},
                                            .stream = (uint8_t)(draw(r) % STREAM_MAX),
                                            .minute = (int64_t)draw(r),
                                            .count = (int64_t)(draw(r) % 1000),
                                            .sum = (u128)draw(r) << 64 | draw(r)};
    for (int id = 0; id < TABLE_MAX; id++) some_table(r, a, (enum table_id)id, &q->tables[id]);
}

static void what_is_encoded_is_decoded(void **state)
{
    (void)state;
    uint64_t r = 88172645463325252;
    for (int round = 0; round < 500; round++) {
        struct queue_commit q, got;
        struct arena a;
        struct buf one, two;
        struct err e = {0};
        arena_init(&a, 64 << 20);
        buf_init(&one, 1 << 20);
        buf_init(&two, 1 << 20);
        some_commit(&r, &a, &q);
        queue_encode(&q, &one);
        if (queue_decode(buf_str(&one), &a, &got, &e) != ERR_OK) fail_msg("%s", e.text);
        queue_encode(&got, &two);
        assert_true(str_eq(buf_str(&one), buf_str(&two)));
        assert_int_equal(got.move_count, q.move_count);
        assert_string_equal(got.moves[0].name, q.moves[0].name);
        for (int id = 0; id < TABLE_MAX; id++) {
            assert_int_equal(got.tables[id].file_count, q.tables[id].file_count);
            for (size_t i = 0; i < q.tables[id].key_count; i++)
                assert_true(got.tables[id].keys[i].w.key == q.tables[id].keys[i].w.key);
        }
        buf_free(&one);
        buf_free(&two);
        arena_free(&a);
    }
}

static void damage_is_refused(void **state)
{
    (void)state;
    uint64_t r = 1234567;
    int64_t whole = 0;
    for (int round = 0; round < 60; round++) {
        struct queue_commit q;
        struct arena a;
        struct buf b;
        arena_init(&a, 64 << 20);
        buf_init(&b, 1 << 20);
        some_commit(&r, &a, &q);
        queue_encode(&q, &b);
        for (size_t n = 0; n < b.len; n++) { /* cut anywhere */
            assert_int_equal(queue_decode((struct str){(char *)b.data, n}, &a, &q, NULL),
                             ERR_CORRUPT);
        }
        for (int i = 0; i < 300; i++) { /* a byte changed: refused, or something whole */
            size_t at = 1 + draw(&r) % (b.len - 1);
            uint8_t was = b.data[at];
            b.data[at] = (uint8_t)draw(&r);
            whole += queue_decode(buf_str(&b), &a, &q, NULL) == ERR_OK;
            b.data[at] = was;
            arena_reset(&a);
        }
        b.data[0] = QUEUE_VERSION + 1;
        assert_int_equal(queue_decode(buf_str(&b), &a, &q, NULL), ERR_VERSION);
        b.data[0] = 0;
        assert_int_equal(queue_decode(buf_str(&b), &a, &q, NULL), ERR_CORRUPT);
        buf_free(&b);
        arena_free(&a);
    }
    assert_true(whole > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(damage_is_refused),
    };
    return cmocka_run_group_tests_name("lake queue", tests, NULL, NULL);
}
