#include "command/history.h"

#include "io/clock.h"
#include "lake/lake.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- Settings ---- */

static const struct config_venue *configured(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->venue_count; i++)
        if (strcmp(c->venues[i].name, name) == 0) return &c->venues[i];
    return NULL;
}

static int64_t allowed(int64_t configured, int32_t own)
{
    return configured < 0 ? own : configured;
}

enum err_code history_venue(const struct history_command *h, const char *name,
                            struct source_backfill_options *ret, struct err *e)
{
    const struct config *c = h->inv->config;
    const struct venue *v = venue_by_name(str_of(name));
    if (!v)
        return ERR(e, ERR_USAGE, "--venue %s: no such venue; `ticklake venues` lists them", name);
    const struct config_venue *cv = configured(c, name);
    *ret = (struct source_backfill_options){
        .venue = v,
        .rest_url = cv ? cv->rest_url : NULL,
        .archive_url = cv ? cv->archive_url : NULL,
        .token = str_of(cv ? cv->token : NULL),
        .folder = c->data,
        .guest = c->store.url != NULL,
        .connect_timeout_ms = (int32_t)c->source.connect_timeout_ms,
        .tls_verify = c->source.tls_verify,
        .ca_file = c->source.ca_file,
    };
    if (v->needs_token && ret->token.n == 0)
        return ERR(e, ERR_CONFIG,
                   "venue %s needs a token: token or token_file of the venue in the settings",
                   name);
    return ERR_OK;
}

/* ---- The ledger, by the run's series ---- */

struct ledger {
    struct series_table *from, *to;
    enum err_code (*each)(void *to, const struct gap *g, struct err *e);
    void *ctx;
};

static enum err_code each_gap(void *ctx, const struct gap *g, struct err *e)
{
    struct ledger *l = ctx;
    const struct series *s = series_get(l->from, g->series);
    struct gap own = *g;
    own.series = series_intern(l->to, s->venue, s->exchange, s->symbol, s->venue_symbol);
    if (own.series == SERIES_NONE) return ERR(e, ERR_FULL, "more series than there may be");
    return l->each(l->ctx, &own, e);
}

enum err_code history_open_gaps(void *ctx,
                                enum err_code (*each)(void *to, const struct gap *g, struct err *e),
                                void *to, struct err *e)
{
    struct history_command *h = ctx;
    struct series_table *own = series_new();
    struct ledger l = {own, run_series(h->run), each, to};
    struct store_options o = h->store;
    o.series = own;
    o.read_only = true;
    enum err_code code = store_open_gaps(&o, each_gap, &l, e);
    series_free(own);
    return code;
}

/* ---- Allowance ---- */

static enum err_code allow(void *ctx, int64_t now_ns, int64_t *ret_until_ns, struct err *e)
{
    struct history_command *h = ctx;
    return store_allowance_take(&h->allowance, now_ns, ret_until_ns, e);
}

static enum err_code used_up(void *ctx, bool of_day, int64_t now_ns, int64_t *ret_until_ns,
                             struct err *e)
{
    struct history_command *h = ctx;
    return store_allowance_used_up(&h->allowance, of_day, now_ns, ret_until_ns, e);
}

static void set_allowance(struct history_command *h, struct source_backfill_options *o)
{
    const struct config *c = h->inv->config;
    const struct config_venue *cv = configured(c, o->venue->name);
    const struct venue_history *v = o->venue->history;
    h->allowance = (struct store_allowance){
        .url = c->store.url,
        .folder = c->data,
        .venue = o->venue->name,
        .hour = allowed(cv ? cv->requests_per_hour : -1, v ? v->requests_per_hour : 0),
        .day = allowed(cv ? cv->requests_per_day : -1, v ? v->requests_per_day : 0)};
    if (h->allowance.hour == 0 && h->allowance.day == 0) return;
    o->allow = allow;
    o->used_up = used_up;
}

/* ---- Embedded: what the lake has of bars and quotes, which have no keys there ---- */

enum { QUOTES_DAYS = 7, CATCH_UP_NAP_MS = 10 };

struct known_rows {
    struct history_known *known;
    uint32_t series;
};

static enum err_code known_candle(void *ctx, const struct venue_candle *c, struct err *e)
{
    struct known_rows *k = ctx;
    struct venue_candle own = *c;
    (void)e;
    own.c.series = k->series;
    source_backfill_known_candle(k->known, &own);
    return ERR_OK;
}

static enum err_code known_quote(void *ctx, const struct quote *q, struct err *e)
{
    struct known_rows *k = ctx;
    struct quote own = *q;
    (void)e;
    own.series = k->series;
    source_backfill_known_quote(k->known, &own);
    return ERR_OK;
}

/* What an interrupted run left in the store alone is in the lake a moment after the start. */
static enum err_code catch_up(struct history_command *h, struct err *e)
{
    for (;;) {
        struct run_status s;
        run_status(h->run, &s);
        if (s.marks.committed >= s.marks.durable) return ERR_OK;
        if (run_failed(h->run) || h->stopped) return ERR(e, ERR_STOPPED, "stopped");
        clock_sleep_ns(CATCH_UP_NAP_MS * NS_PER_MS);
    }
}

static enum err_code load_known(void *ctx, const struct source_backfill_options *o, uint32_t series,
                                struct history_known *known, struct err *e)
{
    struct history_command *h = ctx;
    struct str venue = str_of(o->venue->name);
    struct str symbol = series_get(run_series(h->run), series)->symbol;
    struct known_rows k = {known, series};
    TRY(catch_up(h, e));
    if (o->kind == HISTORY_CANDLES)
        return lake_scan_venue_candles(h->lake, venue, symbol, o->timeframe, o->from_ns, o->to_ns,
                                       known_candle, &k, e);
    int64_t now_ns = clock_wall_ns();
    return lake_scan_quotes(h->lake, venue, symbol, now_ns - QUOTES_DAYS * NS_PER_DAY,
                            now_ns + NS_PER_DAY, known_quote, &k, e);
}

static enum err_code open_reader(struct history_command *h, struct err *e)
{
    struct lake_options o;
    if (h->inv->config->store.url) return ERR_OK;
    h->series = series_new();
    TRY(distributed_lake(&h->parts, h->series, false, &o, e));
    o.read_only = true;
    return lake_open(&o, &h->lake, e);
}

/* ---- The run ---- */

/* From the thread of signals, or of a stage that failed. */
static void stop(void *ctx)
{
    struct history_command *h = ctx;
    pthread_mutex_lock(&h->lock);
    h->stopped = true;
    if (h->source) source_backfill_stop(h->source);
    pthread_mutex_unlock(&h->lock);
}

static void set_source(struct history_command *h, struct source_backfill *source)
{
    pthread_mutex_lock(&h->lock);
    h->source = source;
    if (source && h->stopped) source_backfill_stop(source);
    pthread_mutex_unlock(&h->lock);
}

/* As the store left the batch: what was there already is off it. */
static void durable(void *ctx, const struct batch *b)
{
    struct history_command *h = ctx;
    h->trades += (int64_t)b->trade_count;
    h->quotes += (int64_t)b->quote_count;
    h->candles += (int64_t)b->candle_count;
    h->instruments += (int64_t)b->instrument_count;
    h->dead += (int64_t)b->dead_count;
    h->duplicates += b->duplicates;
}

static void notice(void *ctx, const char *venue, const char *what, const char *detail)
{
    (void)ctx;
    LOG(WARN, "source", what, LOG_STR("venue", venue), LOG_STR("detail", detail));
}

static void progress(void *ctx, struct str symbol, int64_t upto_ns)
{
    struct history_command *h = ctx;
    struct source_backfill_stats s;
    char when[TIME_TEXT_MAX];
    source_backfill_stats(h->source, &s);
    time_format(time_floor(upto_ns, NS_PER_S), when);
    progress_show("%s %.*s  %s  %lld rows  %lld requests", h->name, STR_ARG(symbol), when,
                  (long long)s.rows, (long long)s.requests);
}

/* The arguments as given: no option of these commands is a secret, settings may be. */
static void note_arguments(struct history_command *h)
{
    const struct invocation *inv = h->inv;
    size_t n = 0;
    for (int i = 0; inv->command->options[i].name; i++) {
        if (!inv->values[i]) continue;
        const struct option *o = &inv->command->options[i];
        int len = snprintf(h->arguments + n, sizeof h->arguments - n, "%s--%s%s%s", n ? " " : "",
                           o->name, o->value ? " " : "", o->value ? inv->values[i] : "");
        if (len < 0 || (size_t)len >= sizeof h->arguments - n) break;
        n += (size_t)len;
    }
}

enum err_code history_open(struct history_command *h, struct err *e)
{
    const struct config *c = h->inv->config;
    bool guest = c->store.url != NULL;
    h->started_ns = clock_mono_ns();
    pthread_mutex_init(&h->lock, NULL);
    command_signals_block();
    const struct run_options o = {.config = c,
                                  .command = h->name,
                                  .replaying = true,
                                  .without_lake = guest,
                                  .guest = guest,
                                  .on_failure = stop,
                                  .ctx = h,
                                  .live_event = durable};
    TRY(run_open(&o, &h->run, e));
    TRY(distributed_open(&h->parts, c, e));
    h->store = distributed_store(&h->parts, run_series(h->run));
    note_arguments(h);
    h->job = (struct store_job){.started_ns = clock_wall_ns(),
                                .finished_ns = TIME_ABSENT,
                                .exit_code = -1,
                                .command = h->name,
                                .arguments = h->arguments,
                                .message = ""};
    TRY(store_job_put(&h->store, &h->job, e));
    TRY(open_reader(h, e));
    TRY(command_signals_start(stop, h, e));
    return run_start(h->run, e);
}

static void add_up(struct history_command *h)
{
    struct source_backfill_stats s;
    source_backfill_stats(h->source, &s);
    const int64_t *from = (const int64_t *)&s;
    int64_t *to = (int64_t *)&h->total;
    for (size_t i = 0; i < sizeof s / sizeof *to; i++) to[i] += from[i];
}

enum err_code history_run(struct history_command *h, struct source_backfill_options *o,
                          enum origin origin, struct err *e)
{
    struct source_options so = run_source_options(h->run, origin);
    struct source_backfill *source;
    so.notice = notice;
    o->ctx = h;
    o->progress = progress;
    o->open_gaps = o->guest ? history_open_gaps : NULL;
    o->load_known = o->guest ? NULL : load_known;
    set_allowance(h, o);
    TRY(source_backfill_open(&so, o, run_past(h->run), &source, e));
    set_source(h, source);
    enum err_code code = source_backfill_run(source, e);
    add_up(h);
    set_source(h, NULL);
    source_backfill_close(source);
    return code;
}

/* ---- The end ---- */

static void result_json(const struct history_command *h, struct buf *out)
{
    const struct source_backfill_stats *s = &h->total;
    int64_t ms = (clock_mono_ns() - h->started_ns) / NS_PER_MS;
    buf_addf(out,
             "{\"trades\":%lld,\"quotes\":%lld,\"candles\":%lld,\"instruments\":%lld,"
             "\"dead_letters\":%lld,\"duplicates\":%lld,\"rows\":%lld,\"missing\":%lld,"
             "\"requests\":%lld,\"retries\":%lld,\"archives\":%lld,\"bytes\":%lld,",
             (long long)h->trades, (long long)h->quotes, (long long)h->candles,
             (long long)h->instruments, (long long)h->dead, (long long)(h->duplicates + s->known),
             (long long)s->rows, (long long)s->missing, (long long)s->requests,
             (long long)s->retries, (long long)s->archives, (long long)s->bytes);
    buf_addf(out,
             "\"gaps\":%lld,\"gaps_repaired\":%lld,\"gaps_unrepairable\":%lld,\"recovered\":%lld,"
             "\"job\":%lld,\"milliseconds\":%lld}\n",
             (long long)s->gaps, (long long)s->gaps_repaired, (long long)s->gaps_unrepairable,
             (long long)s->recovered, (long long)h->job.job_id, (long long)ms);
}

static void result_text(const struct history_command *h, struct buf *out)
{
    const struct source_backfill_stats *s = &h->total;
    int64_t ms = (clock_mono_ns() - h->started_ns) / NS_PER_MS;
    buf_addf(out,
             "%lld trades, %lld candles, %lld quotes, %lld instruments new; %lld duplicates, %lld "
             "dead letters\n",
             (long long)h->trades, (long long)h->candles, (long long)h->quotes,
             (long long)h->instruments, (long long)(h->duplicates + s->known), (long long)h->dead);
    if (s->gaps)
        buf_addf(out, "%lld gaps: %lld repaired, %lld unrepairable; %lld ids recovered\n",
                 (long long)s->gaps, (long long)s->gaps_repaired, (long long)s->gaps_unrepairable,
                 (long long)s->recovered);
    if (s->missing)
        buf_addf(out, "%lld ids are missing in what the venue gave\n", (long long)s->missing);
    buf_addf(out, "%lld requests, %lld archives, %lld bytes in %lld.%03lld s\n",
             (long long)s->requests, (long long)s->archives, (long long)s->bytes,
             (long long)(ms / 1000), (long long)(ms % 1000));
}

static void put_job(struct history_command *h, int exit_code, const char *message)
{
    struct err e = {0};
    if (!h->job.command || h->job.job_id == 0) return;
    h->job.finished_ns = clock_wall_ns();
    h->job.rows = h->trades + h->quotes + h->candles + h->instruments;
    h->job.duplicates = h->duplicates + h->total.known;
    h->job.exit_code = exit_code;
    h->job.message = message;
    if (store_job_put(&h->store, &h->job, &e) != ERR_OK) log_error("store", "job", &e);
}

int history_close(struct history_command *h, enum err_code code, struct err *e)
{
    if (h->run) {
        struct err drained = {0};
        enum err_code drain_code = run_drain(h->run, code == ERR_OK, &drained);
        if (drain_code != ERR_OK) {
            *e = drained;
            code = drain_code;
        }
    }
    progress_clear();
    struct buf out;
    buf_init(&out, 1 << 16);
    bool done = (code == ERR_OK || code == ERR_STOPPED) && !h->silent;
    if (done && h->inv->json) result_json(h, &out);
    if (done && !h->inv->json) result_text(h, &out);
    print_out(&out);
    int exit_code = 0;
    if (code == ERR_STOPPED) {
        fprintf(stderr, "ticklake %s: stopped; run the same command again to go on\n", h->name);
        exit_code = 130;
    } else if (code != ERR_OK) {
        exit_code = command_fail(h->inv, e);
    }
    put_job(h, exit_code, code == ERR_OK ? "" : e->text);
    lake_close(h->lake);
    series_free(h->series);
    run_close(h->run);
    distributed_close(&h->parts);
    return exit_code;
}
