/* Live venues against a server that plays their part, frame by frame, on loopback. */
#include "source/source.h"

#include "io/clock.h"
#include "io/file.h"

#include <libwebsockets.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { PARTS_MAX = 8, QUEUE_MAX = 32, TEXT_MAX = 512 };

/* ---- The server: one thread; a script says what to do ---- */

struct peer {
    struct lws *wsi;
    int number; /* of the connection, from 1 */
    char queue[QUEUE_MAX][TEXT_MAX];
    int first, count;
    bool hang_up;
};

struct server {
    struct lws_context *context;
    pthread_t thread;
    atomic_bool stop;
    int port, connections;
    struct peer peers[PARTS_MAX];
    bool both_open; /* the first two at once */
    void (*on_text)(struct server *s, struct peer *p, const char *text);
    void (*on_gone)(struct server *s, struct peer *p);
};

static void say(struct peer *p, const char *text)
{
    if (!p->wsi || p->count == QUEUE_MAX) return;
    snprintf(p->queue[(p->first + p->count++) % QUEUE_MAX], TEXT_MAX, "%s", text);
    lws_callback_on_writable(p->wsi);
}

static void hang_up(struct peer *p)
{
    p->hang_up = true;
    if (p->wsi) lws_callback_on_writable(p->wsi);
}

static int write_next(struct peer *p)
{
    unsigned char room[LWS_PRE + TEXT_MAX];
    if (p->count == 0) return p->hang_up ? -1 : 0;
    size_t len = strlen(p->queue[p->first]);
    memcpy(room + LWS_PRE, p->queue[p->first], len);
    p->first = (p->first + 1) % QUEUE_MAX;
    p->count--;
    int n = lws_write(p->wsi, room + LWS_PRE, len, LWS_WRITE_TEXT);
    lws_callback_on_writable(p->wsi);
    return n < 0 ? -1 : 0;
}

static int serve(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                 size_t len)
{
    struct peer **slot = user;
    struct server *s = lws_context_user(lws_get_context(wsi));
    char text[TEXT_MAX];
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        if (s->connections == PARTS_MAX) return -1;
        *slot = &s->peers[s->connections++];
        **slot = (struct peer){.wsi = wsi, .number = s->connections};
        s->both_open = s->both_open || (s->peers[0].wsi && s->peers[1].wsi);
        return 0;
    case LWS_CALLBACK_RECEIVE:
        str_copy(text, sizeof text, (struct str){in, len});
        s->on_text(s, *slot, text);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE: return write_next(*slot);
    case LWS_CALLBACK_CLOSED:
        if (!*slot) return 0;
        (*slot)->wsi = NULL;
        if (s->on_gone) s->on_gone(s, *slot);
        return 0;
    default: return 0;
    }
}

static void *run_server(void *arg)
{
    struct server *s = arg;
    while (!atomic_load(&s->stop)) lws_service(s->context, 0);
    return NULL;
}

static void start_server(struct server *s)
{
    static const struct lws_protocols protocols[] = {
        {.name = "any", .callback = serve, .per_session_data_size = sizeof(struct peer *)},
        {.name = NULL}};
    lws_set_log_level(0, NULL);
    struct lws_context_creation_info i = {.port = 0,
                                          .iface = "127.0.0.1",
                                          .protocols = protocols,
                                          .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
                                          .vhost_name = "venue",
                                          .user = s};
    s->context = lws_create_context(&i);
    assert_non_null(s->context);
    s->port = lws_get_vhost_listen_port(lws_create_vhost(s->context, &i));
    assert_int_equal(pthread_create(&s->thread, NULL, run_server, s), 0);
}

static void stop_server(struct server *s)
{
    atomic_store(&s->stop, true);
    lws_cancel_service(s->context);
    pthread_join(s->thread, NULL);
    lws_context_destroy(s->context);
}

/* ---- The pipeline behind the source ---- */

struct sink {
    struct source_live *source;
    int64_t trades, dead, lasting, outages, id_gaps, duplicates;
    int64_t stop_trades, stop_outages; /* ends the run */
    const char *stop_notice;
    char notices[16384];
    char outage_cause[32];
};

static void stop_when_done(struct sink *k)
{
    if ((k->stop_trades && k->trades >= k->stop_trades) ||
        (k->stop_outages && k->outages >= k->stop_outages))
        source_live_stop(k->source);
}

static enum err_code push(void *ctx, struct batch *b, struct err *e)
{
    struct sink *k = ctx;
    (void)e;
    k->trades += (int64_t)b->trade_count;
    k->dead += (int64_t)b->dead_count;
    k->duplicates += b->duplicates;
    for (size_t i = 0; i < b->gap_count; i++) {
        if (b->gaps[i].kind == GAP_IDS) k->id_gaps++;
        if (b->gaps[i].kind != GAP_OUTAGE) continue;
        k->lasting += b->gaps[i].to_time_ns == TIME_ABSENT;
        if (b->gaps[i].to_time_ns == TIME_ABSENT) continue;
        assert_int_equal(b->gaps[i].gap_id, 1);
        k->outages++;
        str_copy(k->outage_cause, sizeof k->outage_cause, b->gaps[i].cause);
    }
    batch_put(b);
    stop_when_done(k);
    return ERR_OK;
}

static void notice(void *ctx, const char *venue, const char *what, const char *detail)
{
    struct sink *k = ctx;
    size_t at = strlen(k->notices);
    snprintf(k->notices + at, sizeof k->notices - at, "%s %s %s\n", venue, what, detail);
    if (k->stop_notice && strcmp(what, k->stop_notice) == 0) source_live_stop(k->source);
}

struct plan {
    const char *venue, *token;
    const struct str *symbols;
    size_t symbol_count;
    uint32_t streams;
    const struct instrument *instruments;
    size_t instrument_count;
    const char *record; /* folder */
};

static void run_live(struct server *s, struct sink *k, const struct plan *p)
{
    struct err e;
    char url[64];
    struct series_table *series = series_new();
    struct batch_pool *pool = batch_pool_new(4, 1000, 1 << 20);
    start_server(s);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/ws", s->port);
    struct source_options o = {.series = series,
                               .pool = pool,
                               .push = push,
                               .push_ctx = k,
                               .notice = notice,
                               .notice_ctx = k,
                               .batch_ms = 5,
                               .gap_grace_ns = NS_PER_S};
    struct source_venue v = {.venue = venue_by_name(str_of(p->venue)),
                             .ws_url = url,
                             .rest_url = "http://127.0.0.1:1", /* nobody: the cache has to do */
                             .token = str_of(p->token),
                             .symbols = p->symbols,
                             .symbol_count = p->symbol_count,
                             .streams = p->streams};
    struct recording_writer *recorder = NULL;
    if (p->record) {
        struct recording_writer_options w = {
            .folder = p->record, .segment_bytes = 1 << 20, .segment_ns = NS_PER_HOUR};
        assert_int_equal(recording_writer_open(&w, &recorder, &e), ERR_OK);
    }
    struct source_live_options l = {.venues = &v,
                                    .venue_count = 1,
                                    .recorder = recorder,
                                    .reconnect_min_ms = 10,
                                    .reconnect_max_ms = 100,
                                    .connect_timeout_ms = 5000,
                                    .tls_verify = true};
    struct source_past past = {.last_received_ns = TIME_ABSENT,
                               .next_gap_id = 1,
                               .instruments = p->instruments,
                               .instrument_count = p->instrument_count};
    assert_int_equal(source_live_open(&o, &l, &past, &k->source, &e), ERR_OK);
    assert_int_equal(source_live_run(k->source, &e), ERR_OK);
    source_live_close(k->source);
    if (recorder) assert_int_equal(recording_writer_close(recorder, &e), ERR_OK);
    stop_server(s);
    batch_pool_free(pool);
    series_free(series);
}

#define INSTRUMENT(v, s, vs, b, q)                                                                 \
    {                                                                                              \
        .venue = STR(v), .symbol = STR(s), .venue_symbol = STR(vs), .base = STR(b),                \
        .quote = STR(q), .status = STR("online"), .contract_size = {0, DEC_ABSENT},                \
        .listed_ns = TIME_ABSENT, .delisted_ns = TIME_ABSENT                                       \
    }

/* ---- One bad symbol never stops the others ---- */

static void coinbase_text(struct server *s, struct peer *p, const char *text)
{
    static const char *const products[] = {"BTC-USD", "ETH-USD", "SOL-USD"};
    (void)s;
    if (strstr(text, "BAD-USD")) {
        say(p, "{\"type\":\"error\",\"message\":\"Failed to subscribe\",\"reason\":\"BAD-USD is "
               "not a valid product\"}");
        return;
    }
    say(p, "{\"type\":\"subscriptions\",\"channels\":[]}");
    for (int i = 0; i < 3; i++) {
        char frame[TEXT_MAX];
        if (!strstr(text, products[i])) continue;
        snprintf(frame, sizeof frame,
                 "{\"type\":\"match\",\"trade_id\":7,\"side\":\"sell\",\"size\":\"1\",\"price\":"
                 "\"2\",\"product_id\":\"%s\",\"time\":\"2026-01-01T00:00:00.000001Z\"}",
                 products[i]);
        say(p, frame);
    }
}

static void test_bad_symbol(void **state)
{
    (void)state;
    static struct server s;
    static struct sink k;
    s = (struct server){.on_text = coinbase_text};
    k = (struct sink){.stop_trades = 3};
    const struct instrument list[] = {
        INSTRUMENT("coinbase", "BTC-USD", "BTC-USD", "BTC", "USD"),
        INSTRUMENT("coinbase", "BAD-USD", "BAD-USD", "BAD", "USD"),
        INSTRUMENT("coinbase", "ETH-USD", "ETH-USD", "ETH", "USD"),
        INSTRUMENT("coinbase", "SOL-USD", "SOL-USD", "SOL", "USD"),
    };
    const struct str symbols[] = {STR("BTC-USD"), STR("BAD-USD"), STR("ETH-USD"), STR("SOL-UDS"),
                                  STR("SOL-USD")};
    run_live(&s, &k,
             &(struct plan){.venue = "coinbase",
                            .symbols = symbols,
                            .symbol_count = 5,
                            .streams = 1u << STREAM_TRADE,
                            .instruments = list,
                            .instrument_count = 4});
    assert_int_equal(k.trades, 3);
    assert_int_equal(k.dead, 1);
    assert_non_null(strstr(k.notices, "symbol refused coinbase/0: BAD-USD"));
    assert_non_null(strstr(k.notices, "unknown symbol SOL-UDS; did you mean SOL-USD?"));
    assert_non_null(strstr(k.notices, "instruments failed"));
}

/* ---- Make before break ---- */

static void binance_trade(struct peer *p, int id)
{
    char frame[TEXT_MAX];
    snprintf(frame, sizeof frame,
             "{\"e\":\"trade\",\"E\":1700000000000,\"s\":\"BTCUSDT\",\"t\":%d,\"p\":\"1\",\"q\":"
             "\"2\",\"T\":1700000000000,\"m\":true,\"M\":true}",
             id);
    say(p, frame);
}

static void binance_text(struct server *s, struct peer *p, const char *text)
{
    (void)s;
    if (!strstr(text, "SUBSCRIBE")) return;
    say(p, "{\"result\":null,\"id\":1}");
    binance_trade(p, 1);
    if (p->number == 1) say(p, "{\"e\":\"serverShutdown\",\"E\":1770123456789}");
    if (p->number == 2) binance_trade(p, 2);
}

static void binance_gone(struct server *s, struct peer *p)
{
    if (p->number == 1) binance_trade(&s->peers[1], 3);
}

static void test_replaced_before_its_end(void **state)
{
    (void)state;
    static struct server s;
    static struct sink k;
    s = (struct server){.on_text = binance_text, .on_gone = binance_gone};
    k = (struct sink){.stop_trades = 3};
    const struct instrument list[] = {INSTRUMENT("binance", "BTC-USDT", "BTCUSDT", "BTC", "USDT")};
    const struct str symbols[] = {STR("BTC-USDT")};
    run_live(&s, &k,
             &(struct plan){.venue = "binance",
                            .symbols = symbols,
                            .symbol_count = 1,
                            .streams = 1u << STREAM_TRADE,
                            .instruments = list,
                            .instrument_count = 1});
    assert_true(s.both_open);
    assert_int_equal(k.trades, 3);
    assert_int_equal(k.duplicates, 1);
    assert_int_equal(k.id_gaps + k.outages + k.dead, 0);
    assert_non_null(strstr(k.notices, "replaced binance/0 by binance/0+"));
}

/* ---- Ids that cannot tell: a broken connection is an outage; secrets stay secret ---- */

static void tiingo_text(struct server *s, struct peer *p, const char *text)
{
    (void)s;
    assert_non_null(strstr(text, "s3cret"));
    say(p, "{\"response\":{\"code\":200,\"message\":\"Success\"},\"data\":{\"subscriptionId\":1},"
           "\"messageType\":\"I\"}");
    say(p, "{\"service\":\"crypto_data\",\"messageType\":\"A\",\"data\":[\"T\",\"btcusd\","
           "\"2026-09-06T03:55:54.366000+00:00\",\"bitfinex\",0.0002,80132.0]}");
    if (p->number == 1) hang_up(p);
}

static enum err_code look_for_secret(void *ctx, const char *name, bool is_folder, struct err *e)
{
    char path[PATH_LIMIT];
    struct recording *r;
    struct recording_item item;
    (void)is_folder;
    path_join(path, ctx, name);
    TRY(recording_open(path, STR(""), &r, e));
    int sent = 0;
    while (recording_next(r, &item, e) == ERR_OK) {
        struct str bytes = {item.bytes, item.len};
        assert_false(str_contains(bytes, "s3cret"));
        if (item.kind == RECORDING_SENT) sent += str_contains(bytes, "\"***\"");
    }
    assert_int_equal(sent, 2);
    recording_close(r);
    return file_remove(path, e);
}

static void test_outage(void **state)
{
    (void)state;
    static struct server s;
    static struct sink k;
    struct err e;
    char folder[] = "/tmp/ticklake_live_XXXXXX";
    assert_non_null(mkdtemp(folder));
    s = (struct server){.on_text = tiingo_text};
    k = (struct sink){.stop_outages = 1};
    const struct str symbols[] = {STR("BTC-USD")};
    const struct instrument list[] = {INSTRUMENT("tiingo", "BTC-USD", "btcusd", "BTC", "USD")};
    run_live(&s, &k,
             &(struct plan){.venue = "tiingo",
                            .token = "s3cret",
                            .symbols = symbols,
                            .symbol_count = 1,
                            .streams = 1u << STREAM_TRADE,
                            .instruments = list,
                            .instrument_count = 1,
                            .record = folder});
    assert_int_equal(k.lasting, 1);
    assert_int_equal(k.outages, 1);
    assert_string_equal(k.outage_cause, "disconnect");
    assert_int_equal(k.trades, 1); /* the second connection repeated it */
    assert_null(strstr(k.notices, "s3cret"));
    assert_int_equal(file_list(folder, look_for_secret, folder, &e), ERR_OK);
    assert_int_equal(rmdir(folder), 0);
}

static void refusing_text(struct server *s, struct peer *p, const char *text)
{
    (void)s, (void)text;
    say(p, "{\"messageType\":\"E\",\"response\":{\"code\":401,\"message\":\"bad token\"}}");
}

static void test_refused(void **state)
{
    (void)state;
    static struct server s;
    static struct sink k;
    s = (struct server){.on_text = refusing_text};
    k = (struct sink){.stop_notice = "disconnected"};
    const struct str symbols[] = {STR("BTC-USD")};
    const struct instrument list[] = {INSTRUMENT("tiingo", "BTC-USD", "btcusd", "BTC", "USD")};
    run_live(&s, &k,
             &(struct plan){.venue = "tiingo",
                            .token = "s3cret",
                            .symbols = symbols,
                            .symbol_count = 1,
                            .instruments = list,
                            .instrument_count = 1});
    assert_int_equal(k.dead, 1);
    assert_non_null(strstr(k.notices, "refused tiingo/0: 401 bad token; again in"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_symbol),
        cmocka_unit_test(test_replaced_before_its_end),
        cmocka_unit_test(test_outage),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
