/* The store against a plain list of events. */
#include "store_random.h"

#include <sqlite3.h>

/* Every event of (after, upto] through a tail whose batches hold `max_events`, against the reference. Every piece's
 * proofs must be those of exactly its rows. */
static void check_tail(struct reference *r, struct store_tail *t, int64_t after, int64_t upto,
                       size_t max_events)
{
    struct batch_pool *pool = batch_pool_new(1, max_events, 1 << 20);
    struct batch *b = batch_get(pool, 0);
    struct err e = {0};
    size_t at = 0;
    while (at < r->count && event_sequence(&r->events[at]) <= after) at++;
    for (bool end = false; !end;) {
        batch_clear(b);
        assert_ok(store_tail_read(t, after, upto, b, &end, &e), &e);
        for (size_t i = 0; i < b->event_count; i++, at++) {
            assert_true(at < r->count);
            assert_event(b, i, &r->events[at]);
        }
        struct proof_set expected;
        proof_set_init(&expected);
        reference_proofs(r, after, b->last_sequence, &expected);
        assert_proofs(&b->proofs, &expected);
        proof_set_free(&expected);
        if (b->last_sequence == 0) break;
        assert_int_equal(b->first_sequence, after + 1);
        assert_true(b->last_sequence > after);
        after = b->last_sequence;
    }
    int64_t last = upto < r->mark ? upto : r->mark;
    assert_true(after >= last);
    if (at < r->count) assert_true(event_sequence(&r->events[at]) > last);
    batch_put(b);
    batch_pool_free(pool);
}

static void check_proofs(struct reference *r, struct store_tail *t, int64_t upto)
{
    struct proof_set a, b;
    struct err e = {0};
    proof_set_init(&a);
    proof_set_init(&b);
    assert_ok(store_proofs(t, upto, &a, &e), &e);
    reference_proofs(r, 0, upto, &b);
    assert_proofs(&a, &b);
    proof_set_free(&a);
    proof_set_free(&b);
}

struct claims {
    struct reference *r;
    struct store_tail *t;
    size_t at;
};

static enum err_code check_claim(void *ctx, const struct store_batch_claim *c, struct err *e)
{
    struct claims *k = ctx;
    struct reference *r = k->r;
    while (r->batch_last[k->at] < c->last_sequence) k->at++; /* retention may have removed some */
    assert_int_equal(r->batch_last[k->at], c->last_sequence);
    assert_int_equal(c->batch, k->at + 1);
    assert_int_equal(c->first_sequence, k->at ? r->batch_last[k->at - 1] + 1 : 1);
    struct proof_set mine, stored;
    proof_set_init(&mine);
    proof_set_init(&stored);
    reference_proofs(r, c->first_sequence - 1, c->last_sequence, &mine);
    assert_ok(store_claim_proofs(k->t, c, &stored, e), e);
    assert_proofs(&mine, &stored);
    u128 sum = 0;
    int64_t count = 0;
    for (size_t i = 0; i < mine.count; i++) {
        sum += mine.items[i].sum;
        count += mine.items[i].count;
    }
    assert_true(sum == c->sum);
    assert_int_equal(count, c->trades + c->quotes);
    proof_set_free(&mine);
    proof_set_free(&stored);
    k->at++;
    return ERR_OK;
}

static void append_random(struct random *rnd, struct reference *r, struct store *s, struct batch *b,
                          int64_t max)
{
    struct err e = {0};
    batch_clear(b);
    random_batch(rnd, r->names, b, random_one_in(rnd, 8) ? 0 : random_below(rnd, max));
    int64_t mark = store_mark(s);
    assert_ok(store_append(s, b, &e), &e);
    assert_int_equal(b->first_sequence, mark + 1);
    assert_int_equal(b->last_sequence, mark + (b->event_count ? (int64_t)b->event_count : 1));
    assert_int_equal(store_mark(s), b->last_sequence);
    reference_add(r, b);
}

static void test_random_batches(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    struct reference r;
    reference_init(&r);
    struct random rnd = {1};
    struct batch_pool *pool = batch_pool_new(1, 128, 1 << 20);
    struct batch *b = batch_get(pool, 0);
    struct store *s = open_store(&f, r.names);
    struct store_tail *t = open_tail(&f, r.names);
    for (int i = 0; i < 300; i++) {
        append_random(&rnd, &r, s, b, 60);
        if (random_one_in(&rnd, 20)) {
            store_close(s);
            s = open_store(&f, r.names);
            assert_int_equal(store_mark(s), r.mark);
            assert_int_equal(store_state(s)->last_sequence, r.mark);
        }
        if (random_one_in(&rnd, 10)) {
            int64_t after = random_below(&rnd, r.mark + 1);
            int64_t upto = random_one_in(&rnd, 3) ? random_below(&rnd, r.mark + 9) : INT64_MAX;
            if (upto < after) upto = after;
            check_tail(&r, t, after, upto, (size_t)random_below(&rnd, 300) + 1);
            check_proofs(&r, t, r.batch_last[random_below(&rnd, (int64_t)r.batch_count)]);
        }
    }
    check_tail(&r, t, 0, INT64_MAX, 1);
    check_tail(&r, t, 0, INT64_MAX, 1000);
    struct err e = {0};
    struct claims k = {&r, t, 0};
    assert_ok(store_claims(t, check_claim, &k, &e), &e);
    assert_int_equal(k.at, r.batch_count);
    assert_ok(store_check(s, &e), &e);
    assert_int_equal(store_tail_mark(t), r.mark);
    store_tail_close(t);
    store_close(s);
    /* Another process has another table of series: the same numbers must come out of the file. */
    struct series_table *names = series_new();
    t = open_tail(&f, names);
    check_tail(&r, t, 0, INT64_MAX, 777);
    store_tail_close(t);
    series_free(names);
    batch_put(b);
    batch_pool_free(pool);
    reference_free(&r);
    folder_remove(&f);
}

static void test_state(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    struct series_table *names = series_new();
    struct batch_pool *pool = batch_pool_new(1, 16, 1 << 20);
    struct batch *b = batch_get(pool, 0);
    struct store *s = open_store(&f, names);
    assert_int_equal(store_state(s)->first_sequence, 1);
    assert_int_equal(store_state(s)->last_sequence, 0);
    assert_int_equal(store_state(s)->next_gap_id, 1);
    assert_true(store_state(s)->last_received_ns == TIME_ABSENT);
    struct err e = {0};
    uint32_t a = series_intern(names, STR("kraken"), STR("kraken"), STR("A-B"), STR("AB"));
    uint32_t c = series_intern(names, STR("kraken"), STR("kraken"), STR("C-D"), STR("CD"));
    for (int round = 0; round < 3; round++) {
        batch_clear(b);
        assert_true(batch_set_position(b, STR("one.gz"), 10 + round, false));
        assert_true(batch_set_position(b, STR("two.gz"), 7, round == 2));
        assert_true(batch_set_dedup(b, c, STREAM_TRADE, round ? STR("new\0er") : STR("old")));
        struct gap *g = batch_add_gap(b);
        g->gap_id = 5 + round;
        g->series = a;
        g->closed_ns = TIME_ABSENT;
        g->state = round == 1 ? GAP_STATE_REPAIRED : GAP_STATE_OPEN;
        struct instrument *i = batch_add_instrument(b);
        *i = (struct instrument){.venue = STR("kraken"),
                                 .symbol = STR("A-B"),
                                 .venue_symbol = STR("AB"),
                                 .base = STR("A"),
                                 .quote = STR("B"),
                                 .status = round ? STR("online") : STR("post_only"),
                                 .contract_size = round ? dec_normal(1, 3) : dec_absent(),
                                 .listed_ns = 77,
                                 .delisted_ns = TIME_ABSENT};
        assert_ok(store_append(s, b, &e), &e);
    }
    store_close(s);
    s = open_store(&f, names);
    const struct store_state *st = store_state(s);
    assert_int_equal(st->next_gap_id, 8);
    assert_int_equal(st->open_gap_count, 2);
    assert_int_equal(st->open_gaps[0].gap_id, 5);
    assert_int_equal(st->open_gaps[1].gap_id, 7);
    assert_int_equal(st->position_count, 2);
    assert_true(str_is(st->positions[0].name, "one.gz") && !st->positions[0].done);
    assert_int_equal(st->positions[0].frames, 12);
    assert_true(st->positions[1].done);
    assert_int_equal(st->dedup_count, 1);
    assert_int_equal(st->dedup[0].series, c);
    assert_str(st->dedup[0].bytes, STR("new\0er"));
    assert_int_equal(st->instrument_count, 1);
    assert_str(st->instruments[0].status, STR("online"));
    assert_dec(st->instruments[0].contract_size, dec_normal(1, 3));
    assert_true(st->instruments[0].delisted_ns == TIME_ABSENT);
    /* An instrument comes through the tail with the batch that wrote it last. */
    struct store_tail *t = open_tail(&f, names);
    bool end;
    batch_clear(b);
    assert_ok(store_tail_read(t, 0, 2, b, &end, &e), &e);
    assert_int_equal(b->instrument_count, 0);
    batch_clear(b);
    assert_ok(store_tail_read(t, 2, 3, b, &end, &e), &e);
    assert_int_equal(b->instrument_count, 1);
    assert_str(b->instruments[0].status, STR("online"));
    store_tail_close(t);
    store_close(s);
    batch_put(b);
    batch_pool_free(pool);
    series_free(names);
    folder_remove(&f);
}

static void test_retention(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    struct reference r;
    reference_init(&r);
    struct random rnd = {3};
    struct batch_pool *pool = batch_pool_new(1, 128, 1 << 20);
    struct batch *b = batch_get(pool, 0);
    struct store *s = open_store(&f, r.names);
    struct err e = {0};
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 40; i++) append_random(&rnd, &r, s, b, 60);
        int64_t below = round == 4 ? INT64_MAX : r.mark - random_below(&rnd, r.mark / 2);
        bool more;
        /* Nothing was received before 1960. */
        assert_ok(store_retain(s, below, -10 * 365 * NS_PER_DAY, &more, &e), &e);
        assert_false(more);
        assert_ok(store_retain(s, below, INT64_MAX, &more, &e), &e);
        assert_false(more);
        struct store_tail *t = open_tail(&f, r.names);
        int64_t kept = 0; /* last sequence of the newest batch that had to go; the newest stays */
        for (size_t i = 0; i + 1 < r.batch_count && r.batch_last[i] < below; i++)
            kept = r.batch_last[i];
        bool end;
        batch_clear(b);
        assert_int_equal(store_tail_read(t, kept - 1, INT64_MAX, b, &end, &e), ERR_HOLE);
        check_tail(&r, t, kept, INT64_MAX, 100);
        check_proofs(&r, t, kept);
        check_proofs(&r, t, r.mark);
        struct claims k = {&r, t, 0};
        assert_ok(store_claims(t, check_claim, &k, &e), &e);
        store_tail_close(t);
        assert_ok(store_check(s, &e), &e);
        store_close(s);
        s = open_store(&f, r.names);
        assert_int_equal(store_state(s)->first_sequence, kept + 1);
        assert_int_equal(store_mark(s), r.mark);
    }
    store_close(s);
    batch_put(b);
    batch_pool_free(pool);
    reference_free(&r);
    folder_remove(&f);
}

static struct str column(sqlite3_stmt *q, int i)
{
    const char *p = sqlite3_column_blob(q, i);
    return (struct str){p, p ? (size_t)sqlite3_column_bytes(q, i) : 0};
}

static void assert_time_text(struct str text, int64_t expected)
{
    int64_t ns = TIME_ABSENT;
    if (text.n) assert_int_equal(time_parse_iso(text, &ns), ERR_OK);
    assert_true(ns == expected);
}

static void assert_dec_text(struct str text, struct dec d)
{
    char expected[DEC_TEXT_MAX];
    assert_str(text, (struct str){expected, dec_is_absent(d) ? 0 : dec_format(d, expected)});
}

static void check_trade_view(sqlite3_stmt *q, const struct reference *r, const struct trade *t)
{
    const struct series *n = series_get(r->names, t->series);
    assert_str(column(q, 0), n->venue);
    assert_str(column(q, 1), n->exchange);
    assert_str(column(q, 2), n->symbol);
    assert_str(column(q, 3), n->venue_symbol);
    assert_str(column(q, 4), str_of(stream_text(t->stream)));
    char number[24];
    int len = snprintf(number, sizeof number, "%lld", (long long)t->id);
    struct str id = t->id_text.n ? t->id_text : (struct str){number, (size_t)len};
    if (t->id != INT64_MIN) assert_str(column(q, 5), t->has_id ? id : (struct str){0});
    assert_str(column(q, 6), str_of(side_text(t->side)));
    assert_dec_text(column(q, 7), t->price);
    assert_dec_text(column(q, 8), t->size);
    assert_time_text(column(q, 9), t->venue_time_ns);
    assert_time_text(column(q, 10), t->received_ns);
    assert_str(column(q, 11), str_of(origin_text(t->origin)));
    assert_str(column(q, 12), str_of(kind_text(t->kind)));
}

static void check_quote_view(sqlite3_stmt *q, const struct reference *r, const struct quote *t)
{
    assert_str(column(q, 0), series_get(r->names, t->series)->venue);
    assert_dec_text(column(q, 1), t->bid_price);
    assert_dec_text(column(q, 2), t->bid_size);
    assert_dec_text(column(q, 3), t->ask_price);
    assert_dec_text(column(q, 4), t->ask_size);
    assert_time_text(column(q, 5), t->venue_time_ns);
    assert_time_text(column(q, 6), t->received_ns);
    assert_str(column(q, 7), str_of(origin_text(t->origin)));
}

static int64_t count_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &q, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    int64_t ret = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return ret;
}

static sqlite3_stmt *query(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *q;
    if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK) fail_msg("%s", sqlite3_errmsg(db));
    return q;
}

static void check_event_views(sqlite3 *db, const struct reference *r)
{
    sqlite3_stmt *trades = query(
        db, "SELECT venue, exchange, symbol, venue_symbol, stream, trade_id, side, price, size, "
            "venue_time, received_time, origin, kind FROM trades ORDER BY sequence");
    sqlite3_stmt *quotes = query(db, "SELECT venue, bid_price, bid_size, ask_price, ask_size, "
                                     "venue_time, received_time, origin FROM quotes "
                                     "ORDER BY sequence");
    sqlite3_stmt *deads = query(db, "SELECT stream, reason, payload, received_time FROM "
                                    "dead_letters ORDER BY sequence");
    for (size_t i = 0; i < r->count; i++) {
        const struct event *ev = &r->events[i];
        if (ev->type == EVENT_TRADE) {
            assert_int_equal(sqlite3_step(trades), SQLITE_ROW);
            check_trade_view(trades, r, &ev->trade);
        } else if (ev->type == EVENT_QUOTE) {
            assert_int_equal(sqlite3_step(quotes), SQLITE_ROW);
            check_quote_view(quotes, r, &ev->quote);
        } else if (ev->type == EVENT_DEAD) {
            const struct dead *d = &ev->dead;
            assert_int_equal(sqlite3_step(deads), SQLITE_ROW);
            assert_str(column(deads, 0),
                       d->stream < 0 ? (struct str){0} : str_of(stream_text(d->stream)));
            assert_str(column(deads, 1), str_of(dead_reason_text(d->reason)));
            assert_str(column(deads, 2), d->payload);
            assert_time_text(column(deads, 3), d->received_ns);
        }
    }
    sqlite3_stmt *all[] = {trades, quotes, deads};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sqlite3_step(all[i]), SQLITE_DONE);
        sqlite3_finalize(all[i]);
    }
}

static void check_gap_view(sqlite3 *db, const struct reference *r)
{
    const struct gap *newest[64] = {0};
    for (size_t i = 0; i < r->count; i++)
        if (r->events[i].type == EVENT_GAP) newest[r->events[i].gap.gap_id] = &r->events[i].gap;
    sqlite3_stmt *q = query(db, "SELECT gap_id, stream, kind, state, from_time, to_time, "
                                "opened_at, closed_at, cause FROM gaps ORDER BY gap_id");
    for (int id = 0; id < 64; id++) {
        const struct gap *g = newest[id];
        if (!g) continue;
        assert_int_equal(sqlite3_step(q), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int64(q, 0), id);
        assert_str(column(q, 1), str_of(stream_text(g->stream)));
        assert_str(column(q, 2), str_of(gap_kind_text(g->kind)));
        assert_str(column(q, 3), str_of(gap_state_text(g->state)));
        assert_time_text(column(q, 4), g->from_time_ns);
        assert_time_text(column(q, 5), g->to_time_ns);
        assert_time_text(column(q, 6), g->opened_ns);
        assert_time_text(column(q, 7), g->closed_ns);
        assert_str(column(q, 8), g->cause);
    }
    assert_int_equal(sqlite3_step(q), SQLITE_DONE);
    sqlite3_finalize(q);
}

static void test_views(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    struct reference r;
    reference_init(&r);
    struct random rnd = {5};
    struct batch_pool *pool = batch_pool_new(1, 128, 1 << 20);
    struct batch *b = batch_get(pool, 0);
    struct store *s = open_store(&f, r.names);
    for (int i = 0; i < 60; i++) append_random(&rnd, &r, s, b, 60);
    /* The numbers that people ask about: no digit before the point, and none behind it. */
    batch_clear(b);
    random_trade(&rnd, r.names, b);
    proof_set_clear(&b->proofs);
    b->trades[0].price = dec_normal(6255, 8);
    b->trades[0].size = dec_normal(-5, 18);
    proof_add_trade(&b->proofs, r.names, &b->trades[0]);
    struct err e = {0};
    assert_ok(store_append(s, b, &e), &e);
    reference_add(&r, b);
    sqlite3 *db;
    assert_int_equal(sqlite3_open_v2(f.db, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    sqlite3_stmt *q = query(db, "SELECT price, size FROM trades ORDER BY sequence DESC");
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    assert_str(column(q, 0), STR("0.00006255"));
    assert_str(column(q, 1), STR("-0.000000000000000005"));
    sqlite3_finalize(q);
    check_event_views(db, &r);
    check_gap_view(db, &r);
    assert_int_equal(count_of(db, "SELECT count(*) FROM batches"), r.batch_count);
    assert_int_equal(count_of(db, "SELECT sum(events) FROM batches"), r.count);
    assert_int_equal(count_of(db, "SELECT count(*) FROM venue_candles WHERE timeframe IS NULL"), 0);
    sqlite3_close(db);
    store_close(s);
    batch_put(b);
    batch_pool_free(pool);
    reference_free(&r);
    folder_remove(&f);
}

static void test_bytes_max(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    struct reference r;
    reference_init(&r);
    struct random rnd = {6};
    struct batch_pool *pool = batch_pool_new(1, 128, 1 << 20);
    struct batch *b = batch_get(pool, 0);
    struct store *s;
    struct err e = {0};
    struct store_options o = {.path = f.db, .series = r.names, .bytes_max = 400000};
    assert_ok(store_open(&o, &s, &e), &e);
    enum err_code code = ERR_OK;
    int batches = 0;
    while (code == ERR_OK && batches++ < 1000) {
        batch_clear(b);
        random_batch(&rnd, r.names, b, 50);
        code = store_append(s, b, &e);
    }
    assert_int_equal(code, ERR_FULL);
    assert_non_null(strstr(e.text, "store.max_mb"));
    /* Freed pages count as room. */
    bool more = true;
    while (more) assert_ok(store_retain(s, store_mark(s), INT64_MAX, &more, &e), &e);
    assert_ok(store_append(s, b, &e), &e);
    struct store_stats stats;
    store_stats(s, &stats);
    assert_int_equal(stats.batches, batches);
    assert_int_equal(stats.mark, store_mark(s));
    store_close(s);
    batch_put(b);
    batch_pool_free(pool);
    reference_free(&r);
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_batches), cmocka_unit_test(test_state),
        cmocka_unit_test(test_retention),      cmocka_unit_test(test_views),
        cmocka_unit_test(test_bytes_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
