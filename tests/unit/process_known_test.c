/* Real trades against the venue's official candles, in all nine fields; official minutes against the official longer ones. */
#include "event/series.h"
#include "process/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <yyjson.h>
#include <zlib.h>

#include <cmocka.h>

enum { LINE_LIMIT = 1 << 20, ROWS_MAX = 20000, BATCH = 1000 };

struct rows {
    struct candle *items;
    size_t count;
};

/* Path of a file of the catalogue; skips the test where the recordings are not there. */
static const char *recorded(const char *name, char path[600])
{
    const char *root = getenv("TICKLAKE_RECORDINGS");
    snprintf(path, 600, "%s/%s", root && root[0] ? root : "../shared/recordings", name);
    FILE *f = fopen(path, "rb");
    if (!f) {
        print_message("skipped: no recordings (%s); set TICKLAKE_RECORDINGS\n", path);
        skip();
    }
    fclose(f);
    return path;
}

static struct candle *add_row(struct rows *r)
{
    if (!r->items) r->items = calloc(ROWS_MAX, sizeof *r->items);
    assert_true(r->items && r->count < ROWS_MAX);
    return &r->items[r->count++];
}

static const struct candle *row_at(const struct rows *r, int64_t open_ns)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->items[i].open_time_ns == open_ns) return &r->items[i];
    return NULL;
}

/* --- official klines: open_time,open,high,low,close,volume,close_time,quote_volume,trades,taker_base,taker_quote --- */

enum { KLINE_FIELDS = 11 };

static void fill_kline(struct candle *c, const struct str field[KLINE_FIELDS])
{
    int64_t ms;
    i128 *values[KLINE_FIELDS] = {NULL,
                                  &c->open,
                                  &c->high,
                                  &c->low,
                                  &c->close,
                                  &c->base_volume,
                                  NULL,
                                  &c->quote_volume,
                                  NULL,
                                  &c->taker_buy_base,
                                  &c->taker_buy_quote};
    assert_int_equal(str_to_i64(field[0], &ms), ERR_OK);
    assert_int_equal(str_to_i64(field[8], &c->trade_count), ERR_OK);
    c->open_time_ns = ms * NS_PER_MS;
    c->has_base_volume = c->has_quote_volume = c->has_taker = true;
    for (int i = 0; i < KLINE_FIELDS; i++)
        if (values[i]) assert_int_equal(dec_parse_lake(field[i], values[i]), ERR_OK);
}

static void read_klines(const char *name, struct rows *r)
{
    char path[600], line[1024];
    FILE *f = fopen(recorded(name, path), "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        struct str rest = str_trim(str_of(line)), field[KLINE_FIELDS];
        for (int i = 0; i < KLINE_FIELDS; i++) field[i] = str_cut(&rest, ',');
        fill_kline(add_row(r), field);
    }
    fclose(f);
}

/* The recorded answer whose query has both parts. */
static void read_answer(const char *interval, const char *start, struct rows *r)
{
    char path[600];
    yyjson_doc *doc = yyjson_read_file(recorded("gocryptotrader/binance.public.json", path),
                                       YYJSON_READ_NUMBER_AS_RAW, NULL, NULL);
    yyjson_val *answers = yyjson_obj_get(yyjson_doc_get_root(doc), "/api/v3/klines");
    yyjson_arr_iter each = yyjson_arr_iter_with(answers);
    for (yyjson_val *a; (a = yyjson_arr_iter_next(&each)) != NULL;) {
        const char *query = yyjson_get_str(yyjson_obj_get(a, "queryString"));
        if (!query || !strstr(query, interval) || !strstr(query, start)) continue;
        yyjson_arr_iter rows = yyjson_arr_iter_with(yyjson_obj_get(a, "data"));
        for (yyjson_val *row; (row = yyjson_arr_iter_next(&rows)) != NULL;) {
            struct str field[KLINE_FIELDS];
            for (size_t i = 0; i < KLINE_FIELDS; i++) {
                yyjson_val *v = yyjson_arr_get(row, i);
                field[i] = str_of(yyjson_is_raw(v) ? yyjson_get_raw(v) : yyjson_get_str(v));
            }
            fill_kline(add_row(r), field);
        }
    }
    yyjson_doc_free(doc);
    assert_true(r->count > 0);
}

static void assert_nine_fields(const struct candle *got, const struct candle *want)
{
    assert_true(got->open == want->open);
    assert_true(got->high == want->high);
    assert_true(got->low == want->low);
    assert_true(got->close == want->close);
    assert_true(got->has_base_volume && got->base_volume == want->base_volume);
    assert_true(got->has_quote_volume && got->quote_volume == want->quote_volume);
    assert_int_equal(got->trade_count, want->trade_count);
    assert_true(got->has_taker && got->taker_buy_base == want->taker_buy_base);
    assert_true(got->taker_buy_quote == want->taker_buy_quote);
}

/* --- recorded trades: "RECEIVED {...}", read by looking for the keys --- */

static struct str value_of(const char *line, const char *key)
{
    const char *at = strstr(line, key);
    assert_non_null(at);
    at += strlen(key);
    if (*at == '"') at++;
    return (struct str){at, strcspn(at, "\",}")};
}

static bool read_trade(const char *line, struct trade *t)
{
    int64_t ms;
    struct str received = {line, strcspn(line, " ")};
    if (!strstr(line, "@trade\"")) return false;
    assert_int_equal(str_to_i64(received, &t->received_ns), ERR_OK);
    assert_int_equal(str_to_i64(value_of(line, "\"T\":"), &ms), ERR_OK);
    assert_int_equal(str_to_i64(value_of(line, "\"t\":"), &t->id), ERR_OK);
    assert_int_equal(dec_parse(value_of(line, "\"p\":"), &t->price), ERR_OK);
    assert_int_equal(dec_parse(value_of(line, "\"q\":"), &t->size), ERR_OK);
    t->venue_time_ns = ms * NS_PER_MS;
    t->has_id = true;
    t->side = str_is(value_of(line, "\"m\":"), "true") ? SIDE_SELL : SIDE_BUY;
    return true;
}

struct player {
    struct series_table *series;
    struct process *process;
    struct process_sink sink;
    struct batch_pool *pool;
    struct batch *batch;
    int64_t sequence, late;
    struct rows minutes;
};

static void on_candle(void *ctx, const struct candle *c)
{
    struct player *p = ctx;
    if (c->timeframe == TIMEFRAME_1M) *add_row(&p->minutes) = *c;
}
static void on_late(void *ctx, const struct late_trade *l)
{
    struct player *p = ctx;
    (void)l;
    p->late++;
}
static void on_rollup(void *ctx, uint32_t series, enum timeframe tf, int64_t open_time_ns)
{
    (void)ctx, (void)series, (void)tf, (void)open_time_ns;
}
static void on_gap(void *ctx, const struct gap_change *g) { (void)ctx, (void)g; }
static void on_state(void *ctx, struct str name, struct str bytes)
{
    (void)ctx, (void)name, (void)bytes;
}

static void push(struct player *p)
{
    struct err e = {0};
    batch_number(p->batch, p->sequence + 1);
    p->sequence += (int64_t)p->batch->event_count;
    assert_int_equal(process_push(p->process, p->batch, &p->sink, &e), ERR_OK);
    batch_clear(p->batch);
}

static void play_file(struct player *p, const char *name)
{
    char path[600];
    char *line = malloc(LINE_LIMIT);
    gzFile f = gzopen(recorded(name, path), "rb");
    assert_true(f && line);
    while (gzgets(f, line, LINE_LIMIT)) {
        struct trade t = {0};
        if (!read_trade(line, &t)) continue;
        if (batch_is_full(p->batch)) push(p);
        *batch_add_trade(p->batch) = t;
    }
    gzclose(f);
    free(line);
}

static void assert_official(const char *const files[], size_t file_count,
                            const struct rows *official, size_t want)
{
    struct player p = {.series = series_new(), .pool = batch_pool_new(1, BATCH, 1 << 16)};
    struct process_options o = {p.series, 2 * NS_PER_S, 5 * NS_PER_S, 1};
    p.sink = (struct process_sink){&p, on_candle, on_late, on_rollup, on_gap, on_state};
    p.process = process_new(&o);
    p.batch = batch_get(p.pool, 0);
    series_intern(p.series, STR("binance"), STR("binance"), STR("A-B"), STR("AB"));
    for (size_t i = 0; i < file_count; i++) play_file(&p, files[i]);
    push(&p);
    process_finish(p.process, &p.sink);
    assert_int_equal(p.late, 0);
    size_t equal = 0;
    for (size_t i = 1; i + 1 < p.minutes.count; i++) { /* the first and the last are not whole */
        const struct candle *row = row_at(official, p.minutes.items[i].open_time_ns);
        if (!row) continue;
        assert_nine_fields(&p.minutes.items[i], row);
        equal++;
    }
    assert_int_equal(equal, want);
    batch_put(p.batch);
    process_free(p.process);
    batch_pool_free(p.pool);
    series_free(p.series);
    free(p.minutes.items);
}

static void test_spot_minutes(void **state)
{
    (void)state;
    struct rows official = {0};
    read_klines("binance-official-klines/spot-BTCUSDT-1m/BTCUSDT-1m-2024-08-08.csv", &official);
    read_klines("binance-official-klines/spot-BTCUSDT-1m/BTCUSDT-1m-2024-08-09.csv", &official);
    const char *const files[] = {"hftbacktest/binance-spot/btcusdt_20240808.gz",
                                 "hftbacktest/binance-spot/btcusdt_20240809.gz"};
    assert_official(files, 2, &official, 10);
    free(official.items);
}

static void test_usdm_minutes(void **state)
{
    (void)state;
    struct rows official = {0};
    read_klines("binance-official-klines/usdm-ETHUSDT-1m/ETHUSDT-1m-2024-08.excerpt.csv",
                &official);
    const char *const files[] = {"hftbacktest/binance-usdm/ethusdt_20240808.gz"};
    assert_official(files, 1, &official, 5);
    free(official.items);
}

/* Each official longer candle whose minutes are all in `days`. */
static void assert_rollups(const char *const days[], size_t day_count, enum timeframe tf,
                           const char *interval, const char *start, size_t want)
{
    struct rows minutes = {0}, official = {0};
    for (size_t i = 0; i < day_count; i++) {
        char name[200];
        snprintf(name, sizeof name, "binance-official-klines/spot-BTCUSDT-1m/BTCUSDT-1m-%s.csv",
                 days[i]);
        read_klines(name, &minutes);
    }
    read_answer(interval, start, &official);
    size_t equal = 0;
    for (size_t i = 0; i < official.count; i++) {
        struct candle inside[1440], made;
        size_t count = 0;
        int64_t open_ns = official.items[i].open_time_ns;
        for (size_t k = minutes.count; k-- > 0;) {
            const struct candle *m = &minutes.items[k];
            bool in = m->open_time_ns >= open_ns && m->open_time_ns < open_ns + timeframe_ns(tf);
            /* No row for a minute without trades; Binance repeats the last close there. */
            if (in && m->trade_count) inside[count++] = *m;
        }
        if (count == 0) continue;
        assert_int_equal(process_rollup(tf, open_ns, inside, count, &made), ERR_OK);
        assert_nine_fields(&made, &official.items[i]);
        equal++;
    }
    assert_int_equal(equal, want);
    free(minutes.items);
    free(official.items);
}

static void test_official_rollups(void **state)
{
    (void)state;
    const char *const january[] = {"2020-01-01"}, *const may[] = {"2020-05-05", "2020-05-06"};
    const char *const days[] = {"2019-01-01", "2019-01-02", "2019-01-03", "2019-05-15"};
    assert_rollups(january, 1, TIMEFRAME_5M, "interval=5m", "startTime=1577836800000", 24);
    assert_rollups(may, 2, TIMEFRAME_1H, "interval=1h", "startTime=1588280400000", 48);
    assert_rollups(days, 4, TIMEFRAME_1D, "interval=1d", "startTime=1546300800000", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spot_minutes),
        cmocka_unit_test(test_usdm_minutes),
        cmocka_unit_test(test_official_rollups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
