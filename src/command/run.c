/* run: the pipeline, live, until stopped. */
#include "command/command.h"
#include "event/json.h"
#include "io/clock.h"
#include "run/run.h"
#include "serve/serve.h"

#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>

static const struct option options[] = {
    {"seconds", "N", "stop after so long (default: run until stopped)"},
    {"trades", "N", "stop after so many trades"},
    {NULL, NULL, NULL},
};

struct living {
    struct invocation *inv;
    struct run *run;
    struct source_live *source;
    struct recording_writer *recorder;
    struct serve *serve;
    struct source_venue venues[CONFIG_VENUES_MAX];
    atomic_bool stopping;
    int64_t started_ns, stop_after_ns, stop_after_trades;
};

static void stop(void *ctx)
{
    struct living *l = ctx;
    if (!atomic_exchange(&l->stopping, true) && l->source) source_live_stop(l->source);
}

/* --- settings to options --- */

static enum err_code streams_of(const struct config_venue *v, const struct venue *venue,
                                uint32_t *ret, struct err *e)
{
    uint32_t streams = 0;
    for (size_t i = 0; i < v->streams.count; i++) {
        int s = stream_of_text(v->streams.items[i]);
        if (s < 0 || !(venue->streams >> s & 1))
            return ERR(e, ERR_CONFIG,
                       "venue %s has no stream \"%.*s\"; `ticklake venues` lists them", v->name,
                       STR_ARG(v->streams.items[i]));
        streams |= 1u << s;
    }
    if (!streams) streams = (1u << venue->default_tape | 1u << STREAM_QUOTE) & venue->streams;
    *ret = streams;
    return ERR_OK;
}

static enum err_code unknown_venue(const struct config *c, const struct config_venue *v,
                                   struct err *e)
{
    const char *best = NULL;
    int best_distance = 4; /* further away is no typing error any more */
    for (int i = 0; venue_all[i]; i++) {
        int d = str_distance(str_of(v->name), str_of(venue_all[i]->name));
        if (d >= best_distance) continue;
        best = venue_all[i]->name;
        best_distance = d;
    }
    return ERR(e, ERR_CONFIG, "%s:%d: unknown venue \"%s\"%s%s%s; `ticklake venues` lists them",
               c->path ? c->path : "settings", v->line, v->name, best ? "; did you mean " : "",
               best ? best : "", best ? "?" : "");
}

static enum err_code no_token(const char *venue, struct err *e)
{
    char name[64];
    str_copy(name, sizeof name, str_of(venue));
    for (char *c = name; *c; c++) *c = (char)toupper((unsigned char)*c);
    return ERR(e, ERR_CONFIG,
               "venue %s needs a token: token: ${%s_TOKEN} or token_file: in the settings, or "
               "TICKLAKE_VENUES__%s__TOKEN in the environment",
               venue, name, name);
}

static enum err_code venue_options(const struct config *c, struct source_venue *out, struct err *e)
{
    if (c->venue_count == 0)
        return ERR(
            e, ERR_CONFIG,
            "no venue is configured; write to ticklake.yaml: venues: [{name: binance, symbols: "
            "[BTC-USDT]}], or see `ticklake run --help`");
    for (size_t i = 0; i < c->venue_count; i++) {
        const struct config_venue *v = &c->venues[i];
        const struct venue *venue = venue_by_name(str_of(v->name));
        if (!venue) return unknown_venue(c, v, e);
        if (venue->needs_token && !v->token) return no_token(v->name, e);
        if (v->symbols.count == 0)
            return ERR(e, ERR_CONFIG, "venue %s: symbols is empty; list some, or \"*\" for all",
                       v->name);
        out[i] = (struct source_venue){
            .venue = venue,
            .ws_url = v->ws_url,
            .rest_url = v->rest_url,
            .token = str_of(v->token),
            .symbols = v->symbols.items,
            .symbol_count = v->symbols.count,
        };
        TRY(streams_of(v, venue, &out[i].streams, e));
    }
    return ERR_OK;
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

/* --- what the HTTP port tells --- */

static void tell_metrics(void *ctx, struct buf *out)
{
    struct living *l = ctx;
    struct source_stats s;
    source_live_stats(l->source, &s);
    run_metrics(l->run, &s, out);
}

static bool tell_live(void *ctx, struct buf *why)
{
    struct living *l = ctx;
    if (!run_failed(l->run)) return true;
    buf_add_cstr(why, "a stage failed; the log says which");
    return false;
}

/* Ready: every connection stands, and the lake is not behind by more than a few commits. */
static bool tell_ready(void *ctx, struct buf *why)
{
    struct living *l = ctx;
    struct source_stats s;
    struct run_status r;
    if (!tell_live(ctx, why)) return false;
    source_live_stats(l->source, &s);
    run_status(l->run, &r);
    if (s.connections_up < s.connections || s.connections == 0) {
        buf_addf(why, "%lld of %lld connections are up", (long long)s.connections_up,
                 (long long)s.connections);
        return false;
    }
    int64_t limit_ns = l->inv->config->lake.commit_ms * NS_PER_MS * 10 + 10 * NS_PER_S;
    bool behind = r.last_commit_ns == 0 || clock_wall_ns() - r.last_commit_ns > limit_ns;
    if (r.marks.durable > r.marks.committed && behind) {
        buf_addf(why, "the lake is %lld events behind",
                 (long long)(r.marks.durable - r.marks.committed));
        return false;
    }
    return true;
}

static void tell_status(void *ctx, struct buf *out)
{
    struct living *l = ctx;
    struct source_stats s;
    struct run_status r;
    source_live_stats(l->source, &s);
    run_status(l->run, &r);
    buf_addf(out,
             "{\"marks\":{\"received\":%lld,\"durable\":%lld,\"emitted\":%lld,\"committed\":%lld},"
             "\"connections\":%lld,\"connections_up\":%lld,\"frames\":%lld,\"trades\":%lld,"
             "\"quotes\":%lld,\"duplicates\":%lld,\"dead_letters\":%lld,\"gaps_open\":%lld,"
             "\"candles\":%lld,\"late\":%lld,\"revisions\":%lld,\"commits\":%lld,\"retries\":%lld,",
             (long long)r.marks.received, (long long)r.marks.durable, (long long)r.marks.emitted,
             (long long)r.marks.committed, (long long)s.connections, (long long)s.connections_up,
             (long long)s.frames, (long long)s.trades, (long long)s.quotes, (long long)s.duplicates,
             (long long)s.dead, (long long)r.gaps_open, (long long)r.candles, (long long)r.late,
             (long long)r.revisions, (long long)r.commits, (long long)r.retries);
    buf_addf(out,
             "\"durable_us\":{\"p50\":%lld,\"p99\":%lld,\"max\":%lld},"
             "\"visible_us\":{\"p50\":%lld,\"p99\":%lld,\"max\":%lld}}\n",
             (long long)(r.durable.p50 / 1000), (long long)(r.durable.p99 / 1000),
             (long long)(r.durable.max / 1000), (long long)(r.visible.p50 / 1000),
             (long long)(r.visible.p99 / 1000), (long long)(r.visible.max / 1000));
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
        .metrics = tell_metrics,
        .live = tell_live,
        .ready = tell_ready,
        .status = tell_status,
        .ctx = l,
    };
    TRY(serve_start(&o, &l->serve, e));
    LOG(INFO, "serve", "listening", LOG_STR("bind", c->serve.bind),
        LOG_I64("port", serve_port(l->serve)));
    return ERR_OK;
}

/* --- while it runs --- */

static void *watch(void *ctx)
{
    struct living *l = ctx;
    while (!atomic_load(&l->stopping)) {
        struct source_stats s;
        struct run_status r;
        source_live_stats(l->source, &s);
        run_status(l->run, &r);
        progress_show("up %lld/%lld  %lld trades  %lld quotes  durable %lld  in the lake %lld  "
                      "visible p99 %lld ms  gaps %lld  dead %lld",
                      (long long)s.connections_up, (long long)s.connections, (long long)s.trades,
                      (long long)s.quotes, (long long)r.marks.durable, (long long)r.marks.committed,
                      (long long)(r.visible.p99 / NS_PER_MS), (long long)r.gaps_open,
                      (long long)s.dead);
        bool over = l->stop_after_ns && clock_mono_ns() - l->started_ns >= l->stop_after_ns;
        bool enough = l->stop_after_trades && s.trades >= l->stop_after_trades;
        if (over || enough) stop(l);
        clock_sleep_ns(100 * NS_PER_MS);
    }
    return NULL;
}

static enum err_code drive(struct living *l, struct err *e)
{
    pthread_t watcher;
    TRY(open_recorder(l, e));
    TRY(open_source(l, e));
    TRY(open_serve(l, e));
    TRY(command_signals_start(stop, l, e));
    TRY(run_start(l->run, e));
    LOG(INFO, "run", "started", LOG_STR("data", l->inv->config->data),
        LOG_I64("venues", l->inv->config->venue_count));
    if (pthread_create(&watcher, NULL, watch, l) != 0)
        return ERR(e, ERR_INTERNAL, "cannot start a thread; is the process limit reached?");
    enum err_code code = source_live_run(l->source, e);
    atomic_store(&l->stopping, true);
    pthread_join(watcher, NULL);
    struct err drained = {0};
    enum err_code drain_code = run_drain(l->run, false, &drained);
    if (drain_code != ERR_OK) *e = drained;
    return drain_code != ERR_OK ? drain_code : code;
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
    struct run_options o = {
        .config = inv->config,
        .command = "run",
        .on_failure = stop,
        .ctx = &l,
        .live_event = publish,
    };
    command_signals_block();
    log_before_line(progress_clear);
    enum err_code code = venue_options(inv->config, l.venues, &e);
    if (code == ERR_OK) code = run_open(&o, &l.run, &e);
    if (code == ERR_OK) code = drive(&l, &e);
    progress_end();
    if (code == ERR_OK && inv->json) {
        struct buf out;
        buf_init(&out, 1 << 16);
        tell_status(&l, &out);
        print_out(&out);
    }
    serve_stop(l.serve);
    int exit_code = code == ERR_OK ? 0 : command_fail(inv, &e);
    source_live_close(l.source);
    struct err closed = {0};
    if (l.recorder && recording_writer_close(l.recorder, &closed) != ERR_OK)
        exit_code = command_fail(inv, &closed);
    run_close(l.run);
    return exit_code;
}

const struct command command_run = {
    .name = "run",
    .brief = "live venues into the lake, until stopped",
    .summary =
        "The pipeline, live: venues to the lake, until it is stopped (Ctrl-C or SIGTERM: what was\n"
        "received is written first).",
    .arguments = "",
    .example =
        "  ticklake run --config ticklake.yaml\n"
        "  TICKLAKE_VENUES__BINANCE__SYMBOLS=BTC-USDT,ETH-USDT ticklake run --data ./data\n"
        "  TICKLAKE_VENUES__TIINGO__TOKEN=... TICKLAKE_VENUES__TIINGO__SYMBOLS='*' ticklake run",
    .options = options,
    .arguments_least = 0,
    .arguments_most = 0,
    .needs_config = true,
    .run = run,
};
