/* Boundaries of process/, one by one: what is told, in which order, as text. Times are seconds behind 12:00:00. */
#include "event/series.h"
#include "process/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOON  (INT64_C(1723161600) / 86400 * NS_PER_DAY + 12 * NS_PER_HOUR)
#define AT(s) (NOON + (int64_t)((s)*1000) * NS_PER_MS)

struct script {
    struct series_table *series;
    uint32_t btc;
    struct process *process;
    struct process_sink sink;
    struct batch_pool *pool;
    int64_t sequence;
    uint32_t shown; /* timeframes of candles that are logged */
    char log[16384];
    size_t len;
    char names[32][64];
    struct buf states[32];
    int state_count;
};

static void note(struct script *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct script *s, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(s->log + s->len, sizeof s->log - s->len, format, ap);
    va_end(ap);
    assert_true(n >= 0 && (size_t)n < sizeof s->log - s->len);
    s->len += (size_t)n;
}

static void note_value(struct script *s, i128 value, bool has)
{
    char text[DEC_TEXT_MAX] = "-";
    if (has) dec_format_lake(value, text);
    note(s, " %s", text);
}

static void on_candle(void *ctx, const struct candle *c)
{
    struct script *s = ctx;
    if (!(s->shown >> c->timeframe & 1)) return;
    note(s, "%s %lld:", timeframe_text((enum timeframe)c->timeframe),
         (long long)((c->open_time_ns - NOON) / NS_PER_S));
    note_value(s, c->open, true);
    note_value(s, c->high, true);
    note_value(s, c->low, true);
    note_value(s, c->close, true);
    note_value(s, c->base_volume, c->has_base_volume);
    note(s, "%s\n", c->complete ? "" : " incomplete");
}
static void on_late(void *ctx, const struct late_trade *l)
{
    struct script *s = ctx;
    note(s, "late %lld", (long long)((l->time_ns - NOON) / NS_PER_S));
    for (int tf = 0; tf < TIMEFRAME_MAX; tf++)
        if (l->timeframes >> tf & 1) note(s, " %s", timeframe_text((enum timeframe)tf));
    note(s, "\n");
}
static void on_rollup(void *ctx, uint32_t series, enum timeframe tf, int64_t open_time_ns)
{
    struct script *s = ctx;
    assert_int_equal(series, s->btc);
    note(s, "from lake %s %lld\n", timeframe_text(tf),
         (long long)((open_time_ns - NOON) / NS_PER_S));
}
static void on_gap(void *ctx, const struct gap_change *g)
{
    struct script *s = ctx;
    note(s, "gap %lld [%lld,", (long long)g->gap_id, (long long)((g->from_ns - NOON) / NS_PER_MS));
    if (g->to_ns == INT64_MAX)
        note(s, "..");
    else
        note(s, "%lld", (long long)((g->to_ns - NOON) / NS_PER_MS));
    note(s, "] below %lld\n", (long long)((g->watermark_ns - NOON) / NS_PER_S));
}
static void on_state(void *ctx, struct str name, struct str bytes)
{
    struct script *s = ctx;
    int i = 0;
    while (i < s->state_count && !str_is(name, s->names[i])) i++;
    if (i == s->state_count) {
        assert_true(i < 32 && str_copy(s->names[i], sizeof s->names[i], name));
        buf_init(&s->states[s->state_count++], 1 << 20);
    }
    buf_reset(&s->states[i]);
    buf_add_str(&s->states[i], bytes);
}

static void renew(struct script *s, int64_t lateness_ns)
{
    struct process_options o = {s->series, lateness_ns, 5 * NS_PER_S, 2};
    process_free(s->process);
    s->process = process_new(&o);
}

static int begin(void **state)
{
    struct script *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->series = series_new();
    s->btc = series_intern(s->series, STR("v"), STR("v"), STR("BTC-USDT"), STR("x"));
    s->pool = batch_pool_new(1, 4096, 1 << 20);
    s->sink = (struct process_sink){s, on_candle, on_late, on_rollup, on_gap, on_state};
    s->shown = UINT32_MAX;
    renew(s, 2 * NS_PER_S);
    *state = s;
    return 0;
}

static int end(void **state)
{
    struct script *s = *state;
    for (int i = 0; i < s->state_count; i++) buf_free(&s->states[i]);
    process_free(s->process);
    batch_pool_free(s->pool);
    series_free(s->series);
    free(s);
    return 0;
}

static void told(struct script *s, const char *want)
{
    assert_string_equal(s->log, want);
    s->len = 0;
    s->log[0] = 0;
}

static enum err_code push(struct script *s, const struct trade *t, const struct gap *g,
                          struct err *e)
{
    struct batch *b = batch_get(s->pool, 0);
    assert_non_null(b);
    if (t) *batch_add_trade(b) = *t;
    if (g) *batch_add_gap(b) = *g;
    batch_number(b, ++s->sequence);
    enum err_code code = process_push(s->process, b, &s->sink, e);
    batch_put(b);
    return code;
}

static struct trade trade_at(struct script *s, int64_t time_ns, const char *price, const char *size)
{
    struct trade t = {.series = s->btc,
                      .side = SIDE_BUY,
                      .has_id = true,
                      .id = s->sequence + 1,
                      .venue_time_ns = time_ns,
                      .received_ns = time_ns};
    assert_int_equal(dec_parse(str_of(price), &t.price), ERR_OK);
    assert_int_equal(dec_parse(str_of(size), &t.size), ERR_OK);
    return t;
}

static void take(struct script *s, struct trade t)
{
    struct err e = {0};
    if (push(s, &t, NULL, &e) != ERR_OK) fail_msg("%s", e.text);
}
static void trade(struct script *s, int64_t time_ns, const char *price)
{
    take(s, trade_at(s, time_ns, price, "1"));
}

static void gap(struct script *s, int64_t id, int64_t from_ns, int64_t to_ns, enum gap_state state)
{
    struct err e = {0};
    struct gap g = {.gap_id = id,
                    .series = s->btc,
                    .stream = STREAM_TRADE,
                    .state = (uint8_t)state,
                    .from_time_ns = from_ns,
                    .to_time_ns = to_ns};
    if (push(s, NULL, &g, &e) != ERR_OK) fail_msg("%s", e.text);
}

static void finish(struct script *s) { process_finish(s->process, &s->sink); }

/* --- windows --- */

static void test_a_window_closes_at_its_end(void **state)
{
    struct script *s = *state;
    trade(s, AT(10), "100");
    trade(s, AT(12.999), "101");
    told(s, "");
    trade(s, AT(13), "102"); /* less two seconds of lateness: 11 */
    told(s, "1s 10: 100 100 100 100 1\n");
    trade(s, AT(62), "103");
    told(s, "1s 12: 101 101 101 101 1\n1s 13: 102 102 102 102 1\n1m 0: 100 102 100 102 3\n");
    trade(s, AT(302), "104");
    told(s, "1s 62: 103 103 103 103 1\n1m 60: 103 103 103 103 1\n5m 0: 100 103 100 103 4\n");
    finish(s);
    told(s, "1s 302: 104 104 104 104 1\n1m 300: 104 104 104 104 1\n5m 300: 104 104 104 104 1\n"
            "15m 0: 100 104 100 104 5\n1h 0: 100 104 100 104 5\n4h 0: 100 104 100 104 5\n"
            "1d -43200: 100 104 100 104 5\n");
}

static void test_order_by_time_id_sequence(void **state)
{
    struct script *s = *state;
    s->shown = 1 << TIMEFRAME_1S;
    struct trade t = trade_at(s, AT(1), "5", "1");
    t.id = 50;
    take(s, t);
    t = trade_at(s, AT(1), "4", "1");
    t.id = 49; /* came later, is earlier */
    take(s, t);
    t = trade_at(s, AT(1.5), "6", "1");
    t.has_id = false;
    take(s, t);
    t = trade_at(s, AT(1.5), "7", "1");
    t.has_id = false; /* the sequence decides */
    take(s, t);
    finish(s);
    told(s, "1s 1: 4 7 4 7 4\n");
}

static void test_venue_clock_ahead(void **state)
{
    struct script *s = *state;
    s->shown = 1 << TIMEFRAME_1S;
    for (int i = 0; i < 5; i++) { /* 1.3 s ahead of our clock, as hftbacktest's recordings are */
        struct trade t = trade_at(s, AT(10 + i), "100", "1");
        t.received_ns = t.venue_time_ns - 1300 * NS_PER_MS;
        take(s, t);
    }
    told(s, ""); /* venue 14, receipt 12.7, watermark 10 */
    struct trade t = trade_at(s, AT(14.5), "100", "1");
    t.received_ns = AT(13.2);
    take(s, t);
    told(s, "1s 10: 100 100 100 100 1\n");
}

static void test_without_venue_time(void **state)
{
    struct script *s = *state;
    s->shown = 1 << TIMEFRAME_1S;
    struct trade t = trade_at(s, AT(7), "9", "2");
    t.venue_time_ns = TIME_ABSENT;
    take(s, t);
    finish(s);
    told(s, "1s 7: 9 9 9 9 2\n");
}

static void test_late(void **state)
{
    struct script *s = *state;
    s->shown = 1 << TIMEFRAME_1M | 1 << TIMEFRAME_5M;
    trade(s, AT(10), "100");
    trade(s, AT(20), "101"); /* watermark 18 */
    trade(s, AT(18), "102"); /* just in time */
    told(s, "");
    trade(s, AT(17.999), "99"); /* its second is closed, its minute is not */
    told(s, "late 17 1s\n");
    trade(s, AT(62), "103");
    told(s, "1m 0: 100 102 99 101 4\n");
    trade(s, AT(59), "1"); /* the longer ones are open: tainted */
    told(s, "late 59 1s 1m\n");
    trade(s, AT(302), "104");
    told(s, "1m 60: 103 103 103 103 1\nfrom lake 5m 0\n");
    trade(s, AT(200), "2"); /* no row yet for that minute: the caller makes one */
    told(s, "late 200 1s 1m 5m\n");
    finish(s);
    told(s,
         "1m 300: 104 104 104 104 1\n5m 300: 104 104 104 104 1\nfrom lake 15m 0\nfrom lake 1h 0\n"
         "from lake 4h 0\nfrom lake 1d -43200\n");
}

static void test_only_late_trades_make_a_bucket(void **state)
{
    struct script *s = *state;
    s->shown = 0;
    trade(s, AT(7000), "100"); /* 13:56:40 */
    trade(s, AT(3700), "50");  /* 13:01:40: its 1h holds no closed minute in memory, and is open */
    told(s, "late 3700 1s 1m 5m 15m\n");
    trade(s, AT(7202), "101");
    told(s, "from lake 1h 3600\n");
}

static void test_a_quiet_symbol_follows_the_clock(void **state)
{
    struct script *s = *state;
    s->shown = 1 << TIMEFRAME_1S | 1 << TIMEFRAME_1M;
    trade(s, AT(10), "100");
    process_tick(s->process, AT(17.9), &s->sink);
    told(s, "");
    process_tick(s->process, AT(18), &s->sink); /* 11 and lateness 2 and quiet 5 */
    told(s, "1s 10: 100 100 100 100 1\n");
    process_tick(s->process, AT(67), &s->sink);
    told(s, "1m 0: 100 100 100 100 1\n");
    trade(s, AT(59), "1");
    told(s, "late 59 1s 1m\n");
    s->state_count = 0;
    process_flush_state(s->process, &s->sink);
    int written = s->state_count;
    for (int i = 0; i < written; i++) buf_free(&s->states[i]);
    s->state_count = 0;
    process_tick(s->process, AT(100), &s->sink); /* nothing to close: nothing to persist */
    process_flush_state(s->process, &s->sink);
    assert_int_equal(written, 2);
    assert_int_equal(s->state_count, 0);
}

static void test_open_seconds_are_bounded(void **state)
{
    struct script *s = *state;
    struct process_stats stats;
    s->shown = 0;
    for (int i = 0; i < 1000; i++) {
        struct trade t = trade_at(s, AT(i), "100", "1");
        t.received_ns = AT(0); /* the receipt clock stands */
        take(s, t);
        process_stats(s->process, &stats);
        assert_true(stats.open_windows <= 2 + 128 + 1);
    }
    assert_true(stats.candles > 800);
    assert_int_equal(stats.late, 0);
    trade(s, AT(5), "1"); /* lost for memory, not for truth */
    told(s, "late 5 1s 1m 5m\n");
}

static void test_a_replay_that_goes_on(void **state)
{
    struct script *s = *state;
    s->shown = 1 << TIMEFRAME_1M | 1 << TIMEFRAME_5M;
    trade(s, AT(10), "100");
    finish(s);
    told(s, "1m 0: 100 100 100 100 1\n5m 0: 100 100 100 100 1\n");
    finish(s); /* again: nothing */
    told(s, "");
    trade(s, AT(30), "99"); /* the minute was closed by finish */
    told(s, "late 30 1s 1m 5m 15m 1h 4h 1d\n");
    trade(s, AT(70), "98");
    trade(s, AT(302), "97");
    told(s, "1m 60: 98 98 98 98 1\nlate 60 5m 15m 1h 4h 1d\n");
    finish(s);
    told(s, "1m 300: 97 97 97 97 1\nlate 300 15m 1h 4h 1d\n5m 300: 97 97 97 97 1\n");
}

static void test_what_is_passed_over(void **state)
{
    struct script *s = *state;
    struct process_stats stats;
    struct trade t = trade_at(s, AT(1), "1", "1");
    t.stream = STREAM_BLOCK_TRADE; /* never becomes the tape */
    take(s, t);
    assert_int_equal(process_tape_stream(s->process, s->btc), -1);
    t.stream = STREAM_AGG_TRADE;
    take(s, t);
    t.stream = STREAM_TRADE; /* the tape is agg_trade by now */
    take(s, t);
    t.stream = STREAM_AGG_TRADE;
    t.venue_time_ns = INT64_MAX;
    take(s, t);
    t.venue_time_ns = INT64_MIN + 1;
    take(s, t);
    t.venue_time_ns = t.received_ns = TIME_ABSENT;
    take(s, t);
    t.venue_time_ns = AT(1); /* a receipt that cannot be does not move the watermark */
    take(s, t);
    assert_int_equal(process_tape_stream(s->process, s->btc), STREAM_AGG_TRADE);
    process_stats(s->process, &stats);
    assert_int_equal(stats.passed_over, 5);
    assert_int_equal(stats.trades, 2);
    assert_int_equal(process_mark(s->process), s->sequence);
}

static void test_tapes_are_bounded(void **state)
{
    struct script *s = *state;
    struct err e = {0};
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "S%d", i);
        struct trade t = trade_at(s, AT(1), "1", "1");
        t.series = series_intern(s->series, STR("v"), STR("v"), str_of(name), STR("x"));
        assert_int_equal(push(s, &t, NULL, &e), i < 2 ? ERR_OK : ERR_FULL);
    }
    assert_non_null(strstr(e.text, "process.tapes_max"));
}

/* --- values --- */

static struct candle minute_of(struct script *s, const struct trade *trades, size_t count)
{
    struct candle out[61];
    size_t made = 0;
    assert_int_equal(
        process_candles_of_minute(s->series, s->btc, trades, count, NOON, 0, out, &made), ERR_OK);
    assert_int_equal(made, 1);
    return out[0];
}

static void assert_value(i128 value, const char *want)
{
    char text[DEC_TEXT_MAX];
    dec_format_lake(value, text);
    assert_string_equal(text, want);
}

static void test_values(void **state)
{
    struct script *s = *state;
    struct trade t[3] = {trade_at(s, AT(1), "0.3", "0.1"),
                         trade_at(s, AT(2), "0.000000000000000001", "0.5"),
                         trade_at(s, AT(3), "7", "2.00000001")};
    t[1].side = SIDE_SELL;
    t[2].has_range = true; /* an aggregate of four */
    t[2].first_id = 11;
    t[2].last_id = 14;
    struct candle c = minute_of(s, t, 3);
    assert_int_equal(c.trade_count, 6);
    assert_value(c.base_volume, "2.60000001");
    assert_value(c.quote_volume, "14.03000007"); /* half of the last place, to even */
    assert_value(c.taker_buy_base, "2.10000001");
    assert_value(c.taker_buy_quote, "14.03000007");
    assert_value(c.vwap, "5.396153852322485184");
    assert_true(c.has_ids && c.has_taker);
    assert_int_equal(c.last_id, 14);
    t[0].side = SIDE_UNKNOWN;
    assert_false(minute_of(s, t, 3).has_taker);
}

static void test_absent_values(void **state)
{
    struct script *s = *state;
    struct trade zero = trade_at(s, AT(1), "5", "0");
    struct candle c = minute_of(s, &zero, 1);
    assert_true(c.has_base_volume && c.has_quote_volume && !c.has_vwap);
    struct trade huge = trade_at(s, AT(1), "999999999999999999", "999999999999999999");
    c = minute_of(s, &huge, 1);
    assert_true(c.has_base_volume && !c.has_quote_volume && !c.has_vwap && !c.has_taker);
    struct trade many[200];
    for (int i = 0; i < 200; i++) many[i] = huge;
    many[0].size = dec_normal(1, 18); /* the sum of sizes outgrows 38 digits */
    c = minute_of(s, many, 200);
    assert_true(!c.has_base_volume && !c.has_quote_volume && !c.has_vwap);
    assert_value(c.high, "999999999999999999");
    struct trade range = huge;
    range.has_range = true;
    range.first_id = INT64_MIN;
    range.last_id = INT64_MAX;
    assert_int_equal(minute_of(s, &range, 1).trade_count, 1);
}

static void test_ids_of_both_kinds(void **state)
{
    struct script *s = *state;
    struct trade t[2] = {trade_at(s, AT(1), "1", "1"), trade_at(s, AT(2), "1", "1")};
    t[0].id = 7;
    t[1].id = 0;
    t[1].id_text = STR("3f2a-b");
    struct candle mixed = minute_of(s, t, 2), numbers = minute_of(s, t, 1), c;
    assert_false(mixed.has_ids);
    assert_string_equal(mixed.first_id_text, "7");
    assert_string_equal(mixed.last_id_text, "3f2a-b");
    t[1].id_text = STR("an id of more than thirty-nine characters");
    assert_string_equal(minute_of(s, t, 2).last_id_text, ""); /* never cut */
    mixed.open_time_ns += NS_PER_MINUTE;
    const struct candle both[] = {mixed, numbers};
    assert_int_equal(process_rollup(TIMEFRAME_5M, NOON, both, 2, &c), ERR_OK);
    assert_string_equal(c.first_id_text, "7");
    assert_string_equal(c.last_id_text, "3f2a-b");
    assert_int_equal(process_rollup(TIMEFRAME_5M, NOON, &numbers, 1, &c), ERR_OK);
    assert_true(c.has_ids && c.first_id == 7 && c.last_id == 7);
}

/* --- gaps --- */

static void test_gaps(void **state)
{
    struct script *s = *state;
    s->shown = 1 << TIMEFRAME_1S;
    gap(s, 1, AT(11), AT(12),
        GAP_STATE_OPEN); /* before the first trade, and the spans are closed */
    for (int i = 10; i < 14; i++) trade(s, AT(i), "1");
    trade(s, AT(16), "1");
    told(s, "1s 10: 1 1 1 1 1\n1s 11: 1 1 1 1 1 incomplete\n1s 12: 1 1 1 1 1 incomplete\n"
            "1s 13: 1 1 1 1 1\n");
    gap(s, 1, AT(11), AT(12), GAP_STATE_OPEN); /* only a count changed: nothing is told */
    told(s, "");
    gap(s, 1, AT(11.5), AT(12.5), GAP_STATE_OPEN);
    told(s, "gap 1 [11000,12500] below 14\n"); /* both spans together */
    assert_false(process_is_complete(s->process, s->btc, AT(11), AT(12)));
    assert_true(process_is_complete(s->process, s->btc, AT(10), AT(11.5)));
    gap(s, 1, AT(11.5), AT(12.5), GAP_STATE_UNREPAIRABLE); /* as incomplete as before */
    told(s, "");
    gap(s, 1, AT(11.5), AT(12.5), GAP_STATE_REPAIRED);
    told(s, "gap 1 [11500,12500] below 14\n");
    assert_true(process_is_complete(s->process, s->btc, AT(0), AT(100)));
    gap(s, 2, AT(14), AT(15), GAP_STATE_OPEN);   /* nothing emitted there */
    gap(s, 3, AT(1), AT(2), GAP_STATE_REPAIRED); /* never seen open */
    told(s, "");
    gap(s, 4, AT(13), TIME_ABSENT, GAP_STATE_OPEN);
    told(s, "gap 4 [13000,..] below 14\n");
    struct gap other = {.gap_id = 5,
                        .series = s->btc,
                        .stream = STREAM_QUOTE,
                        .from_time_ns = AT(0),
                        .to_time_ns = AT(9)};
    struct err e;
    assert_int_equal(push(s, NULL, &other, &e), ERR_OK);
    other.stream = STREAM_AGG_TRADE; /* not what the candles are made of */
    assert_int_equal(push(s, NULL, &other, &e), ERR_OK);
    told(s, "");
    assert_true(process_is_complete(s->process, s->btc, AT(0), AT(9)));
}

static void test_gaps_of_early_rollups(void **state)
{
    struct script *s = *state;
    s->shown = 0;
    trade(s, AT(10), "1");
    finish(s);
    gap(s, 1, AT(200), AT(250),
        GAP_STATE_OPEN); /* behind the last minute, in the roll-ups that were emitted */
    told(s, "late 0 5m\nlate 0 15m\nlate 0 1h\nlate 0 4h\nlate -43200 1d\n");
}

static void test_gaps_are_bounded(void **state)
{
    struct script *s = *state;
    trade(s, AT(0), "1");
    for (int i = 0; i < PROCESS_GAPS_MAX + 10; i++)
        gap(s, i, AT(1000 + 100 * i), AT(1010 + 100 * i), GAP_STATE_UNREPAIRABLE);
    assert_false(process_is_complete(s->process, s->btc, AT(1000), AT(1005)));
    assert_false(process_is_complete(s->process, s->btc, AT(1900), AT(1910)));
    assert_false(
        process_is_complete(s->process, s->btc, AT(1850), AT(1855))); /* between forgotten ones */
    assert_true(process_is_complete(s->process, s->btc, AT(2050), AT(2055)));
    process_flush_state(s->process, &s->sink);
    struct err e = {0};
    renew(s, 0);
    for (int i = 0; i < s->state_count; i++)
        if (s->states[i].len)
            assert_int_equal(
                process_restore(s->process, str_of(s->names[i]), buf_str(&s->states[i]), &e),
                ERR_OK);
    assert_false(process_is_complete(s->process, s->btc, AT(1000), AT(1005)));
    assert_true(process_is_complete(s->process, s->btc, AT(2050), AT(2055)));
    assert_false(process_is_complete(s->process, s->btc, AT(2000), AT(2005)));
}

/* --- restart --- */

static void make_states(struct script *s)
{
    gap(s, 3, AT(100), AT(150), GAP_STATE_OPEN);
    trade(s, AT(10), "100");
    struct trade t = trade_at(s, AT(70), "101", "2.5");
    t.id = 0;
    t.id_text = STR("a b");
    take(s, t);
    trade(s, AT(400), "102");
    trade(s, AT(350), "102");
    process_flush_state(s->process, &s->sink);
    assert_int_equal(s->state_count, 3);
}

/* Whatever is restored, the process goes on or says that it cannot. */
static void restore_damaged(struct script *s, int which, struct str bytes)
{
    struct err e = {0};
    renew(s, 0);
    for (int i = 0; i < s->state_count; i++) {
        struct str given = i == which ? bytes : buf_str(&s->states[i]);
        enum err_code code = process_restore(s->process, str_of(s->names[i]), given, &e);
        if (code == ERR_OK) continue;
        assert_true(code == ERR_CORRUPT || code == ERR_VERSION);
        assert_non_null(strstr(e.text, s->names[i]));
        return;
    }
    process_rebuild_upto(s->process, s->sequence);
    struct trade t = trade_at(s, AT(500), "1", "1");
    enum err_code code = push(s, &t, NULL, &e);
    assert_true(code == ERR_OK || code == ERR_CORRUPT);
    if (code == ERR_OK) finish(s);
    s->len = 0;
}

static void test_damaged_states(void **state)
{
    struct script *s = *state;
    make_states(s);
    s->shown = 0;
    for (int i = 0; i < s->state_count; i++) {
        char *copy = malloc(s->states[i].len);
        assert_non_null(copy);
        for (size_t n = 0; n < s->states[i].len; n++) {
            memcpy(copy, s->states[i].data, s->states[i].len);
            restore_damaged(s, i, (struct str){copy, n});
            const char put[] = {' ', '-', '9', 't', 0, (char)255};
            for (size_t k = 0; k < sizeof put; k++) {
                copy[n] = put[k];
                restore_damaged(s, i, (struct str){copy, s->states[i].len});
            }
        }
        free(copy);
    }
    struct err e = {0};
    assert_int_equal(process_restore(s->process, STR("tape/v/BTC-USDT"), STR("2 0 0"), &e),
                     ERR_VERSION);
    assert_int_equal(process_restore(s->process, STR("tape/v"), STR("1"), &e), ERR_CORRUPT);
    assert_int_equal(process_restore(s->process, STR(""), STR("1"), &e), ERR_CORRUPT);
    assert_int_equal(process_restore(s->process, STR("other/v/x"), STR("1"), &e), ERR_CORRUPT);
}

static void test_a_missing_state_is_found(void **state)
{
    struct script *s = *state;
    struct err e = {0};
    process_rebuild_upto(s->process, 10);
    struct trade t = trade_at(s, AT(1), "1", "1");
    assert_int_equal(push(s, &t, NULL, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "BTC-USDT"));
}

static void test_resume_sequence(void **state)
{
    struct script *s = *state;
    assert_int_equal(process_resume_sequence(s->process, 0), 1);
    trade(s, AT(10), "1");
    trade(s, AT(20), "1");
    trade(s, AT(70), "1");
    assert_int_equal(process_resume_sequence(s->process, 3), 3); /* the first minute is emitted */
    finish(s);
    assert_int_equal(process_resume_sequence(s->process, 3), 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_window_closes_at_its_end),
        TEST(test_order_by_time_id_sequence),
        TEST(test_venue_clock_ahead),
        TEST(test_without_venue_time),
        TEST(test_late),
        TEST(test_only_late_trades_make_a_bucket),
        TEST(test_a_quiet_symbol_follows_the_clock),
        TEST(test_open_seconds_are_bounded),
        TEST(test_a_replay_that_goes_on),
        TEST(test_what_is_passed_over),
        TEST(test_tapes_are_bounded),
        TEST(test_values),
        TEST(test_absent_values),
        TEST(test_ids_of_both_kinds),
        TEST(test_gaps),
        TEST(test_gaps_of_early_rollups),
        TEST(test_gaps_are_bounded),
        TEST(test_damaged_states),
        TEST(test_a_missing_state_is_found),
        TEST(test_resume_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
