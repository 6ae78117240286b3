/* run: the pipeline, live, until stopped. */
#include "command/run_internal.h"
#include "event/json.h"
#include "io/clock.h"
#include "io/retry.h"

#include <pthread.h>

static const struct option options[] = {
    {"stages", "LIST", "only these of source,store,bus,process,lake,serve (distributed)"},
    {"seconds", "N", "stop after so long (default: run until stopped)"},
    {"trades", "N", "stop after so many trades"},
    {NULL, NULL, NULL},
};

static void stop(void *ctx)
{
    struct living *l = ctx;
    if (!atomic_exchange(&l->stopping, true) && l->source) source_live_stop(l->source);
}

static enum err_code open_recorder(struct living *l, struct err *e)
{
    const struct config *c = l->inv->config;
    if (!c->record.enabled) return ERR_OK;
    char folder[1024];
    config_path(c, "frames", folder, sizeof folder);
    struct recording_writer_options o = {
        .folder = folder,
        .segment_bytes = (uint64_t)c->record.segment_mb << 20,
        .segment_ns = c->record.segment_minutes * NS_PER_MINUTE,
        .retention_ns = c->record.retention_hours * NS_PER_HOUR,
    };
    return recording_writer_open(&o, &l->recorder, e);
}

static void notice(void *ctx, const char *venue, const char *what, const char *detail)
{
    (void)ctx;
    LOG(INFO, "source", what, LOG_STR("venue", venue), LOG_STR("detail", detail));
}

static enum err_code open_source(struct living *l, struct err *e)
{
    const struct config *c = l->inv->config;
    struct source_options o = run_source_options(l->run, ORIGIN_LIVE);
    o.notice = notice;
    struct source_live_options live = {
        .venues = l->venues,
        .venue_count = c->venue_count,
        .recorder = l->recorder,
        .reconnect_min_ms = (int32_t)c->source.reconnect_min_ms,
        .reconnect_max_ms = (int32_t)c->source.reconnect_max_ms,
        .connect_timeout_ms = (int32_t)c->source.connect_timeout_ms,
        .tls_verify = c->source.tls_verify,
        .ca_file = c->source.ca_file,
    };
    return source_live_open(&o, &live, run_past(l->run), &l->source, e);
}

static void publish(void *ctx, const struct batch *b)
{
    struct living *l = ctx;
    if (!l->serve || !serve_has_listeners(l->serve)) return;
    struct buf json;
    buf_init(&json, 1 << 20);
    for (size_t i = 0; i < b->event_count; i++) {
        buf_reset(&json);
        event_json(b, b->order[i], run_series(l->run), &json);
        if (!json.failed) serve_publish(l->serve, buf_str(&json));
    }
    buf_free(&json);
}

static enum err_code open_serve(struct living *l, struct err *e)
{
    const struct config *c = l->inv->config;
    if (!c->serve.enabled) return ERR_OK;
    struct serve_options o = {
        .bind = c->serve.bind,
        .token = c->serve.token,
        .metrics = run_tell_metrics,
        .live = run_tell_live,
        .ready = run_tell_ready,
        .status = run_tell_status,
        .ctx = l,
    };
    run_view_options(l, &o);
    TRY(serve_start(&o, &l->serve, e));
    TRY(run_view_start(l, e));
    LOG(INFO, "serve", "listening", LOG_STR("bind", c->serve.bind),
        LOG_I64("port", serve_port(l->serve)));
    return ERR_OK;
}

/* --- while it runs --- */

static void *watch(void *ctx)
{
    struct living *l = ctx;
    while (!atomic_load(&l->stopping)) {
        char line[512];
        struct source_stats s = {0};
        if (l->source) source_live_stats(l->source, &s);
        run_tell_progress(l, line, sizeof line);
        progress_show("%s", line);
        bool over = l->stop_after_ns && clock_mono_ns() - l->started_ns >= l->stop_after_ns;
        bool enough = l->stop_after_trades && s.trades >= l->stop_after_trades;
        if (over || enough) stop(l);
        clock_sleep_ns(100 * NS_PER_MS);
    }
    return NULL;
}

static enum err_code live(struct living *l, struct err *e)
{
    pthread_t watcher;
    if (l->run) TRY(run_start(l->run, e));
    LOG(INFO, "run", "started", LOG_STR("data", l->inv->config->data),
        LOG_I64("venues", l->source ? (int64_t)l->inv->config->venue_count : 0));
    if (pthread_create(&watcher, NULL, watch, l) != 0)
        return ERR(e, ERR_INTERNAL, "cannot start a thread; is the process limit reached?");
    /* A signal that came while the source was being opened found none to stop. */
    if (l->source && atomic_load(&l->stopping)) source_live_stop(l->source);
    enum err_code code = l->source ? source_live_run(l->source, e) : ERR_OK;
    /* Without a source there is nothing to do here but to wait for the end. */
    if (l->source) atomic_store(&l->stopping, true);
    pthread_join(watcher, NULL);
    return code;
}

/* From upstream to downstream; the first cause is told. */
static enum err_code end(struct living *l, enum err_code code, struct err *e)
{
    struct err other = {0};
    enum err_code drained = l->run ? run_drain(l->run, false, &other) : ERR_OK;
    if (drained != ERR_OK) {
        *e = other;
        code = drained;
    }
    if (l->publish) publish_stop(l->publish);
    if (l->publish && publish_join(l->publish, &other) != ERR_OK && code == ERR_OK)
        code = (*e = other).code;
    if (l->worker) worker_stop(l->worker);
    if (l->worker && worker_join(l->worker, &other) != ERR_OK && code == ERR_OK)
        code = (*e = other).code;
    return code;
}

/* A database that is not there yet is waited for: services start in any order. */
static enum err_code open_run(struct living *l, const struct run_options *o, struct err *e)
{
    static const struct retry_policy policy = {200, 5000, 2};
    struct retry retry;
    retry_init(&retry, &policy, (uint64_t)clock_mono_ns());
    for (;;) {
        enum err_code code = run_open(o, &l->run, e);
        bool waits = code != ERR_OK && o->without_lake && err_action(code) == ACT_RETRY;
        if (!waits || atomic_load(&l->stopping)) return code;
        int32_t pause_ms = retry_next_ms(&retry);
        LOG(WARN, "store", "not there yet", LOG_STR("what", e->text),
            LOG_I64("pause_ms", pause_ms));
        for (int32_t i = 0; i < pause_ms && !atomic_load(&l->stopping); i += 50)
            clock_sleep_ns(50 * NS_PER_MS);
    }
}

static enum err_code open_stages(struct living *l, struct err *e)
{
    const struct config *c = l->inv->config;
    bool distributed = c->store.url != NULL;
    struct run_options o = {
        .config = c,
        .command = "run",
        .without_lake = distributed,
        .on_failure = stop,
        .ctx = l,
        .live_event = publish,
    };
    if (l->stages & STAGE_SOURCE) {
        TRY(run_venue_options(c, l->venues, e));
        TRY(open_run(l, &o, e));
        TRY(open_recorder(l, e));
        TRY(open_source(l, e));
    }
    if (distributed && l->stages & STAGE_BUS) {
        struct publish_options p = {.config = c, .on_failure = stop, .ctx = l};
        TRY(publish_start(&p, &l->publish, e));
    }
    if (distributed && l->stages & STAGE_PROCESS) {
        struct worker_options w = {.config = c, .on_failure = stop, .ctx = l};
        TRY(worker_start(&w, &l->worker, e));
    }
    return open_serve(l, e);
}

static int run(struct invocation *inv)
{
    struct err e = {0};
    struct living l = {
        .inv = inv,
        .started_ns = clock_mono_ns(),
        .stop_after_ns = option_int(inv, "seconds", 0, 0, INT32_MAX) * NS_PER_S,
        .stop_after_trades = option_int(inv, "trades", 0, 0, INT64_MAX),
    };
    command_signals_block();
    log_before_line(progress_clear);
    enum err_code code = run_stages(inv->config, option_text(inv, "stages", NULL), &l.stages, &e);
    if (code == ERR_OK) code = command_signals_start(stop, &l, &e);
    if (code == ERR_OK) code = open_stages(&l, &e);
    if (code == ERR_OK) code = live(&l, &e);
    code = end(&l, code, &e);
    if (code == ERR_STOPPED) code = ERR_OK; /* while a part was still being opened */
    progress_end();
    if (code == ERR_OK && inv->json) {
        struct buf out;
        buf_init(&out, 1 << 16);
        run_tell_status(&l, &out);
        print_out(&out);
    }
    run_view_stop(&l);
    serve_stop(l.serve);
    int exit_code = code == ERR_OK ? 0 : command_fail(inv, &e);
    source_live_close(l.source);
    struct err closed = {0};
    if (l.recorder && recording_writer_close(l.recorder, &closed) != ERR_OK)
        exit_code = command_fail(inv, &closed);
    publish_close(l.publish);
    worker_close(l.worker);
    run_close(l.run);
    return exit_code;
}

const struct command command_run = {
    .name = "run",
    .brief = "live venues into the lake, until stopped",
    .summary =
        "The pipeline, live: venues to the lake, until it is stopped (Ctrl-C or SIGTERM: what was\n"
        "received is written first). With store.url and bus.brokers the stages may be spread over\n"
        "processes: source,store write to PostgreSQL, bus takes it to Kafka, process,lake (any\n"
        "number of them) from there to the lake.",
    .arguments = "",
    .example =
        "  ticklake run --config ticklake.yaml\n"
        "  TICKLAKE_VENUES__BINANCE__SYMBOLS=BTC-USDT,ETH-USDT ticklake run --data ./data\n"
        "  ticklake run --config ticklake.yaml --stages process,lake\n"
        "  TICKLAKE_VENUES__TIINGO__TOKEN=... TICKLAKE_VENUES__TIINGO__SYMBOLS='*' ticklake run",
    .options = options,
    .arguments_least = 0,
    .arguments_most = 0,
    .needs_config = true,
    .run = run,
};
