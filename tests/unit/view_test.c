/* What of the view is pure: parameters out of addresses, the list of gaps, lags out of samples. */
#include "view/view_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_parameters(void **state)
{
    (void)state;
    char out[VIEW_PARAMETER_MAX], text[400];
    assert_true(view_parameter("a=1&venue=binance&b=", "venue", out));
    assert_string_equal(out, "binance");
    assert_true(view_parameter("symbol=BTC%2fUSD%26x+y", "symbol", out));
    assert_string_equal(out, "BTC/USD&x y");
    assert_true(view_parameter("b=", "b", out));
    assert_string_equal(out, "");
    static const char *const bad[] = {"v=%", "v=%4", "v=%zz", "v=a%00b", "v=%4g", "", "w=1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(view_parameter(bad[i], "v", out));
        assert_string_equal(out, "");
    }
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    memcpy(text, "v=", 2);
    assert_false(view_parameter(text, "v", out));
    assert_int_equal(view_parameter_int("n=12", "n", 5, 1, 10), 10);
    assert_int_equal(view_parameter_int("n=-3", "n", 5, 1, 10), 1);
    assert_int_equal(view_parameter_int("n=7x", "n", 5, 1, 10), 5);
    assert_int_equal(view_parameter_int(NULL, "n", 5, 1, 10), 5);
}

static struct gap gap_of(int64_t id, uint32_t series, enum gap_state gap_state, int64_t missing)
{
    return (struct gap){.gap_id = id,
                        .series = series,
                        .state = (uint8_t)gap_state,
                        .has_count = missing > 0,
                        .missing_count = missing,
                        .from_time_ns = id * NS_PER_S,
                        .to_time_ns = id * NS_PER_S + NS_PER_MS,
                        .opened_ns = id * NS_PER_S,
                        .closed_ns = TIME_ABSENT,
                        .cause = STR("id_jump")};
}

static size_t count_in(struct buf *b, const char *what)
{
    size_t n = 0;
    for (const char *at = buf_cstr(b); (at = strstr(at, what)) != NULL; at++) n++;
    return n;
}

/* The newest are kept, the open ones told first; sums are of all. */
static void test_gaps(void **state)
{
    (void)state;
    struct view *v = calloc(1, sizeof *v);
    struct buf out;
    assert_non_null(v);
    struct series_table *names = v->probes[SOURCE_STORE].series = series_new();
    uint32_t a = series_intern(names, STR("v"), STR("v"), STR("A-B"), STR("ab"));
    uint32_t b = series_intern(names, STR("v"), STR("v"), STR("C-\"D"), STR("cd"));
    const int64_t total = VIEW_GAPS_MAX + 50;
    for (int64_t i = 0; i < total; i++) {
        struct gap g = gap_of(i, i % 2 ? a : b, i % 1000 ? GAP_STATE_REPAIRED : GAP_STATE_OPEN, 2);
        view_gaps_add(&v->gaps, &g);
    }
    assert_int_equal(v->gaps.count, VIEW_GAPS_MAX);
    assert_int_equal(v->gaps.total, total);
    assert_int_equal(v->gaps.open, 21);
    assert_int_equal(v->gaps.missing, 42);
    buf_init(&out, VIEW_PAGE_BYTES);
    view_gaps_page(v, "limit=30", &out);
    assert_int_equal(count_in(&out, "\"gap_id\""), 30);
    assert_int_equal(count_in(&out, "\"state\":\"open\""), 20); /* the first of all is forgotten */
    assert_true(str_starts(buf_str(&out),
                           ",\"open\":21,\"missing\":42,\"total\":20050,\"gaps\":["
                           "{\"gap_id\":\"20000\",\"venue\":\"v\",\"symbol\":\"C-\\\"D\""));
    buf_reset(&out);
    view_gaps_page(v, "state=repaired&symbol=A-B&limit=3", &out);
    assert_int_equal(count_in(&out, "\"symbol\":\"A-B\""), 3);
    assert_non_null(strstr(buf_cstr(&out), "[{\"gap_id\":\"20049\""));
    buf_reset(&out);
    view_gaps_of(&v->gaps, names, STR("v"), STR("A-B"), 101 * NS_PER_S, 105 * NS_PER_S, &out);
    assert_int_equal(count_in(&out, "\"gap_id\""), 3);
    view_gaps_free(&v->gaps);
    series_free(names);
    buf_free(&out);
    free(v);
}

/* How long the count downstream is behind: since when the count upstream was above it. */
static void test_lag(void **state)
{
    (void)state;
    struct view *v = calloc(1, sizeof *v);
    assert_non_null(v);
    const size_t which = offsetof(struct view_sample, durable);
    assert_int_equal(view_flow_lag_ms(v, which, 5), -1);
    for (int i = 0; i < VIEW_SAMPLES + 7; i++) {
        size_t at = (v->sample_first + v->sample_count) % VIEW_SAMPLES;
        if (v->sample_count == VIEW_SAMPLES)
            v->sample_first = (v->sample_first + 1) % VIEW_SAMPLES;
        else
            v->sample_count++;
        v->samples[at] = (struct view_sample){.at_ns = i * 2 * NS_PER_S, .durable = i * 100};
    }
    const int64_t newest = VIEW_SAMPLES + 6;
    assert_int_equal(view_flow_lag_ms(v, which, newest * 100), 0);
    assert_int_equal(view_flow_lag_ms(v, which, newest * 100 - 1), 0);
    assert_int_equal(view_flow_lag_ms(v, which, newest * 100 - 100), 0);
    assert_int_equal(view_flow_lag_ms(v, which, newest * 100 - 101), 2000);
    assert_int_equal(view_flow_lag_ms(v, which, newest * 100 - 1000), 18000);
    assert_int_equal(view_flow_lag_ms(v, which, 0), (VIEW_SAMPLES - 1) * 2000);
    assert_int_equal(view_flow_lag_ms(v, which, -1), -1);
    free(v);
}

/* Without a store and a lake every source fails in words, and nothing else. */
static void test_nothing_there(void **state)
{
    (void)state;
    struct config *c = config_new();
    struct err e = {0};
    struct view *v;
    struct buf out;
    config_set(c, "data=/nonexistent/ticklake", "a test");
    assert_int_equal(config_finish(c, &e), ERR_OK);
    struct view_options o = {.config = c};
    assert_int_equal(view_start(&o, &v, &e), ERR_OK);
    view_settle(v, 20000);
    buf_init(&out, VIEW_PAGE_BYTES);
    for (int p = 0; p < VIEW_PAGES; p++) {
        buf_reset(&out);
        view_page(v, (enum view_page)p, "", &out);
        assert_true(str_starts(buf_str(&out), "{\"now_ms\":"));
        assert_true(str_ends(buf_str(&out), "}"));
    }
    buf_reset(&out);
    view_page(v, VIEW_FLOW, "", &out);
    assert_non_null(strstr(buf_cstr(&out), "\"lake\":{\"state\":\"failing\""));
    assert_non_null(strstr(buf_cstr(&out), "\"kafka\":{\"state\":\"off\""));
    assert_false(view_ask(v, 1, "candles", "venue=a&symbol=b")); /* nobody to answer to */
    assert_false(view_ask(v, 1, "secrets", ""));
    buf_reset(&out);
    view_metrics(v, &out);
    assert_non_null(strstr(buf_cstr(&out), "ticklake_view_source_up{source=\"lake\"} 0\n"));
    assert_null(strstr(buf_cstr(&out), "-1"));
    assert_null(view_stop(v));
    buf_free(&out);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_lag),
        cmocka_unit_test(test_nothing_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
