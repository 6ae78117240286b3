/* The simulator against the decoders: what a venue is made to say is what our decoder understands; faults lose nothing
 * and double nothing that they do not count. */
#include "simulate/simulate_internal.h"
#include "venue/venue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START INT64_C(1723161254000000000)

static const char *const names[] = {"tiingo", "binance", "binance_futures", "coinbase", "kraken"};
enum { VENUES = sizeof names / sizeof names[0] };

struct decoding {
    struct series_table *series;
    struct venue_names *symbols;
    struct venue_session *session;
    struct decoded out;
};

static void add_instrument(void *ctx, const struct instrument *i) { venue_names_add(ctx, i); }

static void begin(struct decoding *d, const struct sim_market *m)
{
    const struct venue *v = venue_by_name(str_of(m->venue->name));
    struct venue_request request;
    struct buf body;
    struct err e = {0};
    assert_non_null(v);
    d->series = series_new();
    d->symbols = venue_names_new(v, d->series);
    d->session = venue_session_new(v, d->symbols);
    decoded_init(&d->out);
    buf_init(&body, 1 << 24);
    assert_true(v->instruments_request(0, STR("token"), &request));
    if (!m->venue->rest(m, str_of(request.path), &body))
        fail_msg("%s: no answer to %s", v->name, request.path);
    memset(buf_room(&body, VENUE_PADDING), 0, VENUE_PADDING);
    if (v->instruments_answer((char *)body.data, body.len, add_instrument, d->symbols, &e) !=
        ERR_OK)
        fail_msg("%s: %s", v->name, e.text);
    buf_free(&body);
}

static void end(struct decoding *d)
{
    decoded_free(&d->out);
    venue_session_free(d->session);
    venue_names_free(d->symbols);
    series_free(d->series);
}

static void decode(struct decoding *d, struct buf *frame)
{
    size_t len = frame->len;
    memset(buf_room(frame, VENUE_PADDING), 0, VENUE_PADDING);
    decoded_reset(&d->out);
    venue_decode(d->session, (char *)frame->data, len, START, &d->out);
}

static void test_decoders_understand(void **state)
{
    (void)state;
    for (int v = 0; v < VENUES; v++) {
        struct sim_market m;
        struct decoding d;
        struct buf frame;
        market_init(&m, sim_venue_by_name(str_of(names[v])), 20, 7);
        begin(&d, &m);
        buf_init(&frame, 1 << 16);
        u128 decoded_sum = 0, sent_sum = 0;
        for (int i = 0; i < 4000; i++) {
            struct sim_trade t = market_trade(&m, i % m.count, START + i * NS_PER_MS);
            market_sent(&m, &t);
            buf_reset(&frame);
            m.venue->trade(&m.symbols[t.symbol], &t, i % 2, &frame);
            decode(&d, &frame);
            if (d.out.trade_count != 1) fail_msg("%s: %s", names[v], buf_cstr(&frame));
            const struct trade *got = &d.out.trades[0];
            const struct series *s = series_get(d.series, got->series);
            assert_true(str_is(s->symbol, m.symbols[t.symbol].symbol));
            assert_true(dec_eq(got->price, t.price) && dec_eq(got->size, t.size));
            assert_int_equal(got->venue_time_ns, t.time_ns);
            decoded_sum += proof_hash_trade(s, got);
            struct quote q = market_quote(&m, t.symbol, START + i * NS_PER_MS);
            buf_reset(&frame);
            m.venue->quote_frame(&m.symbols[t.symbol], &q, i % 2, &frame);
            decode(&d, &frame);
            if (d.out.quote_count != 1) fail_msg("%s: quote not decoded", names[v]);
            assert_true(dec_eq(d.out.quotes[0].bid_price, q.bid_price));
            assert_true(dec_eq(d.out.quotes[0].ask_size, q.ask_size));
        }
        for (int i = 0; i < m.count; i++) sent_sum += m.symbols[i].truth.sent_sum;
        assert_true(decoded_sum == sent_sum);
        buf_free(&frame);
        end(&d);
        market_done(&m);
    }
}

static void test_same_seed_same_market(void **state)
{
    (void)state;
    struct sim_market a, b;
    market_init(&a, &sim_binance, 5, 42);
    market_init(&b, &sim_binance, 5, 42);
    for (int i = 0; i < 1000; i++) {
        struct sim_trade x = market_trade(&a, i % 5, START + i),
                         y = market_trade(&b, i % 5, START + i);
        assert_int_equal(x.id, y.id);
        assert_true(dec_eq(x.price, y.price) && dec_eq(x.size, y.size) && x.side == y.side);
    }
    market_done(&a);
    market_done(&b);
}

enum { TRADES = 20000 };
struct counted {
    int seen[TRADES];
    int64_t first_id, all;
};

static void count(void *ctx, int market, const struct sim_trade *t)
{
    struct counted *c = ctx;
    assert_int_equal(market, 0);
    c->seen[t->id - c->first_id]++;
    c->all++;
}

static void test_faults_keep_count(void **state)
{
    (void)state;
    struct sim_market m;
    struct sim_faults f;
    static struct counted c;
    struct simulate_faults script = {.duplicate = 50, .reorder = 20, .late = 30, .late_ms = 700};
    market_init(&m, &sim_binance, 1, 3);
    faults_init(&f, &script, 3);
    c.first_id = m.symbols[0].next_id;
    int64_t now = START;
    for (int i = 0; i < TRADES; i++) {
        now += NS_PER_MS;
        struct sim_trade t = market_trade(&m, 0, now);
        faults_pass(&f, 0, true, &t, now, count, &c);
        faults_release(&f, now, false, count, &c);
    }
    faults_release(&f, now, true, count, &c);
    assert_int_equal(f.held_count, 0);
    int64_t doubled = 0;
    for (int i = 0; i < TRADES; i++) {
        assert_true(c.seen[i] == 1 || c.seen[i] == 2);
        doubled += c.seen[i] == 2;
    }
    assert_int_equal(doubled, f.duplicates);
    assert_int_equal(c.all, TRADES + f.duplicates);
    assert_true(f.duplicates > 200 && f.reordered > 500 && f.late > 300);
    faults_done(&f);
    market_done(&m);
}

static void test_retime(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 4096);
    sim_binance.retime(
        STR("{\"e\":\"trade\",\"E\":1723161255343,\"s\":\"T\",\"T\":1723161255342,\"m\":true}"),
        5 * NS_PER_S, &out);
    assert_string_equal(
        buf_cstr(&out),
        "{\"e\":\"trade\",\"E\":1723161260343,\"s\":\"T\",\"T\":1723161260342,\"m\":true}");
    buf_reset(&out);
    sim_tiingo.retime(
        STR("[\"T\",\"ethusd\",\"2026-09-06T06:17:23.371785+00:00\",\"kraken\",1.3,2509.5]"),
        NS_PER_MINUTE, &out);
    assert_string_equal(
        buf_cstr(&out),
        "[\"T\",\"ethusd\",\"2026-09-06T06:18:23.371785+00:00\",\"kraken\",1.3,2509.5]");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decoders_understand),
        cmocka_unit_test(test_same_seed_same_market),
        cmocka_unit_test(test_faults_keep_count),
        cmocka_unit_test(test_retime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
