/* History: the plans of the venues against a list, sets of ids against a bitmap, allowances against a calendar.
 *
 * The simulator answers the requests of a plan and the venue's own decoder reads the answers; what comes out must be what a
 * stupid walk over the simulator's tape finds.
 */
#include "simulate/history.h"
#include "source/history.h"
#include "store/allowance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { REQUESTS_MAX = 400, ROWS_MAX = 20000 };
#define BEGIN_NS (INT64_C(1723075200) * NS_PER_S) /* 2024-08-08 */

struct world {
    const struct venue *venue;
    struct sim_market market;
    struct series_table *series;
    struct venue_names *names;
    struct venue_session *session;
    struct decoded decoded;
    int requests;
    int64_t found[ROWS_MAX];
    size_t count;
};

static void open_world(struct world *w, const char *name, uint64_t seed, int64_t trades,
                       int64_t span_ns)
{
    *w = (struct world){.venue = venue_by_name(str_of(name))};
    market_init(&w->market, sim_venue_by_name(str_of(name)), 2, seed);
    if (trades) market_past(&w->market, trades, BEGIN_NS, BEGIN_NS + span_ns);
    w->series = series_new();
    w->names = venue_names_new(w->venue, w->series);
    w->session = venue_session_new(w->venue, w->names);
    decoded_init(&w->decoded);
}

static void close_world(struct world *w)
{
    decoded_free(&w->decoded);
    venue_session_free(w->session);
    venue_names_free(w->names);
    series_free(w->series);
    market_done(&w->market);
}

/* One request to the simulator, its answer through the decoder, the window of the ask laid over it. */
static void ask_once(struct world *w, const struct history_ask *ask,
                     const struct history_request *r, struct history_page *page)
{
    struct buf body;
    buf_init(&body, 64 << 20);
    struct sim_rest out = {.body = &body, .status = 200};
    struct str whole = str_of(r->http.path), query = whole;
    struct str path = str_cut(&query, '?');
    const struct sim_request request = {.path = path, .query = query, .whole = whole};
    assert_true(w->market.venue->history(&w->market, &request, &out));
    assert_int_equal(out.status, 200);
    size_t len = body.len;
    uint8_t *padding = buf_room(&body, VENUE_PADDING);
    memset(padding, 0, VENUE_PADDING);
    venue_decode_rest(w->session, whole, (char *)body.data, len, TIME_ABSENT, &w->decoded);
    assert_int_equal(w->decoded.class, FRAME_DATA);
    assert_int_equal(w->decoded.refused_count, 0);
    const struct history_window window = {.nothing = r->probe,
                                          .by_id = ask->by_id,
                                          .first_id = ask->first_id,
                                          .last_id = ask->last_id,
                                          .from_ns = ask->from_ns,
                                          .to_ns = ask->to_ns,
                                          .now_ns = INT64_MAX};
    history_trim(&w->decoded, &window, page);
    buf_free(&body);
}

static int compare(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
    return (a > b) - (a < b);
}

/* Ids of trades, opening times of bars: each once, in order. */
static void walk(struct world *w, const struct history_ask *ask)
{
    struct history_cursor cursor = {0};
    struct history_request r;
    w->count = 0;
    w->requests = 0;
    while (w->venue->history->request(ask, &cursor, STR("t"), &r)) {
        struct history_page page;
        assert_true(++w->requests < REQUESTS_MAX);
        ask_once(w, ask, &r, &page);
        for (size_t i = 0; i < w->decoded.trade_count; i++)
            w->found[w->count++] = w->decoded.trades[i].id;
        for (size_t i = 0; i < w->decoded.candle_count; i++)
            w->found[w->count++] = w->decoded.candles[i].c.open_time_ns;
        assert_true(w->count < ROWS_MAX - 2000);
        w->venue->history->answer(ask, &cursor, &page);
    }
    assert_false(cursor.stuck);
    qsort(w->found, w->count, sizeof *w->found, compare);
    size_t kept = 0;
    for (size_t i = 0; i < w->count; i++)
        if (i == 0 || w->found[i] != w->found[i - 1]) w->found[kept++] = w->found[i];
    w->count = kept;
}

static void expect(struct world *w, const int64_t *wanted, size_t count)
{
    assert_int_equal(w->count, count);
    for (size_t i = 0; i < count; i++) assert_int_equal(w->found[i], wanted[i]);
}

/* [from, to) anywhere, beyond both ends of the tape too. */
static void random_interval(uint64_t *random, int64_t span_ns, struct history_ask *ask)
{
    int64_t a = (int64_t)(sim_random(random) % (uint64_t)(span_ns * 5 / 4)) - span_ns / 8;
    int64_t b = (int64_t)(sim_random(random) % (uint64_t)(span_ns * 5 / 4)) - span_ns / 8;
    if (a == b) b++;
    ask->from_ns = BEGIN_NS + (a < b ? a : b);
    ask->to_ns = BEGIN_NS + (a < b ? b : a);
}

static void try_trades(struct world *w, uint64_t *random, int64_t span_ns)
{
    static int64_t wanted[ROWS_MAX];
    const struct sim_symbol *s = &w->market.symbols[sim_random(random) % 2];
    struct history_ask ask = {
        .kind = HISTORY_TRADES, .stream = STREAM_TRADE, .symbols = str_of(s->venue_symbol)};
    random_interval(random, span_ns, &ask);
    size_t count = 0;
    for (size_t i = 0; i < s->tape_count; i++)
        if (s->tape[i].time_ns >= ask.from_ns && s->tape[i].time_ns < ask.to_ns)
            wanted[count++] = s->tape[i].id;
    walk(w, &ask);
    expect(w, wanted, count);
}

static void try_ids(struct world *w, uint64_t *random)
{
    static int64_t wanted[ROWS_MAX];
    const struct sim_symbol *s = &w->market.symbols[sim_random(random) % 2];
    if (s->tape_count == 0) return;
    size_t from = sim_random(random) % s->tape_count;
    size_t n = 1 + sim_random(random) % 2500;
    if (from + n > s->tape_count) n = s->tape_count - from;
    const struct history_ask ask = {.kind = HISTORY_TRADES,
                                    .stream = STREAM_TRADE,
                                    .symbols = str_of(s->venue_symbol),
                                    .by_id = true,
                                    .from_ns = s->tape[from].time_ns,
                                    .to_ns = s->tape[from + n - 1].time_ns + 1,
                                    .first_id = s->tape[from].id,
                                    .last_id = s->tape[from + n - 1].id};
    for (size_t i = 0; i < n; i++) wanted[i] = s->tape[from + i].id;
    walk(w, &ask);
    expect(w, wanted, n);
}

static void test_trades_by_time_and_id(void **state)
{
    static const char *const venues[] = {"binance", "binance_futures", "coinbase", "kraken"};
    (void)state;
    for (size_t v = 0; v < sizeof venues / sizeof *venues; v++) {
        static const int64_t sizes[] = {0, 1, 2, 999, 1000, 1001, 4321};
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            static struct world w;
            uint64_t random = 1 + v * 100 + k;
            int64_t span_ns = (1 + (int64_t)(sim_random(&random) % 48)) * NS_PER_HOUR;
            open_world(&w, venues[v], random, sizes[k], span_ns);
            for (int i = 0; i < 5; i++) {
                try_trades(&w, &random, span_ns);
                try_ids(&w, &random);
            }
            close_world(&w);
        }
    }
}

static void try_candles(struct world *w, enum timeframe tf, uint64_t *random, int64_t span_ns)
{
    static int64_t wanted[ROWS_MAX];
    const struct sim_symbol *s = &w->market.symbols[sim_random(random) % 2];
    struct history_ask ask = {
        .kind = HISTORY_CANDLES, .timeframe = tf, .symbols = str_of(s->venue_symbol)};
    random_interval(random, span_ns, &ask);
    size_t count = 0;
    for (size_t i = 0; i < s->tape_count; i++) {
        int64_t open_ns = time_floor(s->tape[i].time_ns, timeframe_ns(tf));
        bool there = count && wanted[count - 1] == open_ns;
        if (open_ns >= ask.from_ns && open_ns < ask.to_ns && !there) wanted[count++] = open_ns;
    }
    walk(w, &ask);
    expect(w, wanted, count);
}

static void test_candles(void **state)
{
    static const char *const venues[] = {"binance", "binance_futures", "coinbase", "tiingo"};
    (void)state;
    for (size_t v = 0; v < sizeof venues / sizeof *venues; v++) {
        static struct world w;
        uint64_t random = 77 + v;
        int64_t span_ns = 70 * NS_PER_HOUR;
        open_world(&w, venues[v], random, 5000, span_ns);
        for (int i = 0; i < 10; i++) {
            try_candles(&w, TIMEFRAME_1M, &random, span_ns);
            try_candles(&w, TIMEFRAME_1H, &random, span_ns);
        }
        close_world(&w);
    }
}

/* ---- Ids ---- */

static void test_ids(void **state)
{
    enum { IDS = 300 };
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        bool there[IDS] = {false};
        struct history_ids ids = {0};
        uint64_t random = seed;
        for (int i = 0; i < 30; i++) {
            int64_t first = (int64_t)(sim_random(&random) % IDS);
            int64_t last = first + (int64_t)(sim_random(&random) % 20);
            if (last >= IDS) last = IDS - 1;
            history_ids_add(&ids, first, last);
            for (int64_t k = first; k <= last; k++) there[k] = true;
            int64_t from = (int64_t)(sim_random(&random) % IDS), to = from + 40, count = 0;
            if (to >= IDS) to = IDS - 1;
            int64_t missing = -1, end = -1;
            for (int64_t k = from; k <= to; k++) {
                count += there[k];
                if (!there[k] && missing < 0) missing = k;
                if (!there[k] && missing >= 0 && (end < 0 || end == k - 1)) end = k;
            }
            struct history_range run;
            assert_int_equal(history_ids_within(&ids, from, to), count);
            assert_int_equal(history_ids_missing(&ids, from, to, &run), missing >= 0);
            if (missing < 0) continue;
            assert_int_equal(run.first, missing);
            assert_int_equal(run.last, end);
        }
        for (size_t i = 1; i < ids.count; i++)
            assert_true(ids.ranges[i].first > ids.ranges[i - 1].last + 1);
        history_ids_free(&ids);
    }
}

/* ---- Allowances ---- */

static int64_t at(const char *text)
{
    int64_t ns;
    assert_int_equal(time_parse_iso(str_of(text), &ns), ERR_OK);
    return ns;
}

static void test_days_of_new_york(void **state)
{
    static const struct {
        const char *now, *day, *next;
    } cases[] = {
        {"2026-01-15T12:00:00Z", "2026-01-15T05:00:00Z", "2026-01-16T05:00:00Z"},
        {"2026-01-15T04:59:59Z", "2026-01-14T05:00:00Z", "2026-01-15T05:00:00Z"},
        {"2026-07-01T03:59:59Z", "2026-06-30T04:00:00Z", "2026-07-01T04:00:00Z"},
        {"2026-07-01T04:00:00Z", "2026-07-01T04:00:00Z", "2026-07-02T04:00:00Z"},
        /* Summer time begins on 8 March 2026 and ends on 1 November 2026, at two in the night. */
        {"2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"},
        {"2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
        {"2026-11-01T04:30:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(allowance_day(at(cases[i].now)), at(cases[i].day));
        assert_int_equal(allowance_next_day(at(cases[i].now)), at(cases[i].next));
    }
}

static void test_allowance(void **state)
{
    (void)state;
    struct allowance_count c = {0};
    int64_t now = at("2026-07-01T10:59:00Z");
    assert_int_equal(allowance_take(&c, now, 2, 5), TIME_ABSENT);
    assert_int_equal(allowance_take(&c, now, 2, 5), TIME_ABSENT);
    assert_int_equal(allowance_take(&c, now, 2, 5), at("2026-07-01T11:00:00Z"));
    now = at("2026-07-01T11:00:00Z");
    assert_int_equal(allowance_take(&c, now, 2, 5), TIME_ABSENT);
    /* A clock set back gives nothing anew. */
    assert_int_equal(allowance_take(&c, now - NS_PER_HOUR, 2, 5), TIME_ABSENT);
    assert_int_equal(allowance_take(&c, now - NS_PER_HOUR, 2, 5), at("2026-07-01T12:00:00Z"));
    assert_int_equal(allowance_take(&c, now + NS_PER_HOUR, 2, 5), TIME_ABSENT);
    assert_int_equal(allowance_take(&c, now + NS_PER_HOUR, 2, 5), at("2026-07-02T04:00:00Z"));
    assert_int_equal(allowance_take(&c, at("2026-07-02T04:00:00Z"), 2, 5), TIME_ABSENT);
    /* The venue says more than our count does. */
    now = at("2026-07-02T05:10:00Z");
    assert_int_equal(allowance_used_up(&c, now, 2, 5, false), at("2026-07-02T06:00:00Z"));
    assert_int_equal(allowance_take(&c, now, 2, 5), at("2026-07-02T06:00:00Z"));
    assert_int_equal(allowance_used_up(&c, now, 2, 5, true), at("2026-07-03T04:00:00Z"));
    assert_int_equal(allowance_take(&c, now + NS_PER_HOUR, 2, 5), at("2026-07-03T04:00:00Z"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trades_by_time_and_id),
        cmocka_unit_test(test_candles),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_days_of_new_york),
        cmocka_unit_test(test_allowance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
