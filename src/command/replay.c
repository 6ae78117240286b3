/* replay: recordings through the whole pipeline, and the end of the program when everything is committed. */
#include "command/command.h"
#include "io/clock.h"
#include "run/run.h"

#include <stdio.h>
#include <stdlib.h>

static const struct option options[] = {
    {"venue", "NAME", "the venue, where the recording does not tell"},
    {"speed", "N", "1: in real time by receive times; 0 (default): as fast as it goes"},
    {NULL, NULL, NULL},
};

struct replaying {
    struct run *run;
    struct source_replay *source;
    int64_t started_ns, speed;
};

static void stop(void *ctx)
{
    struct replaying *p = ctx;
    if (p->source) source_replay_stop(p->source);
}

static void show_progress(void *ctx, uint64_t done_bytes, uint64_t all_bytes, int64_t trades)
{
    struct replaying *p = ctx;
    struct run_status s;
    run_status(p->run, &s);
    int64_t ms = (clock_mono_ns() - p->started_ns) / NS_PER_MS;
    progress_show("replay %3lld %%  %lld trades  %lld/s  durable %lld  in the lake %lld",
                  (long long)(all_bytes ? done_bytes * 100 / all_bytes : 0), (long long)trades,
                  (long long)(ms ? trades * 1000 / ms : 0), (long long)s.marks.durable,
                  (long long)s.marks.committed);
}

static void notice(void *ctx, const char *venue, const char *what, const char *detail)
{
    (void)ctx;
    LOG(WARN, "source", what, LOG_STR("venue", venue), LOG_STR("detail", detail));
}

static void skipped(const struct invocation *inv, const struct source_replay *source)
{
    const char *const *lines;
    size_t count = source_replay_damage(source, &lines);
    (void)inv;
    for (size_t i = 0; i < count; i++) fprintf(stderr, "ticklake replay: %s\n", lines[i]);
}

static void report(const struct invocation *inv, struct replaying *p)
{
    struct run_status s;
    struct source_stats in;
    run_status(p->run, &s);
    source_replay_stats(p->source, &in);
    int64_t ms = (clock_mono_ns() - p->started_ns) / NS_PER_MS;
    struct buf out;
    buf_init(&out, 1 << 20);
    if (inv->json) {
        buf_addf(&out,
                 "{\"frames\":%lld,\"trades\":%lld,\"quotes\":%lld,\"duplicates\":%lld,"
                 "\"dead_letters\":%lld,\"gaps_opened\":%lld,\"gaps_closed\":%lld,\"candles\":%lld,"
                 "\"late\":%lld,\"revisions\":%lld,\"commits\":%lld,\"committed\":%lld,"
                 "\"guessed_symbols\":%lld,\"milliseconds\":%lld}\n",
                 (long long)in.frames, (long long)in.trades, (long long)in.quotes,
                 (long long)in.duplicates, (long long)in.dead, (long long)in.gaps_opened,
                 (long long)in.gaps_closed, (long long)s.candles, (long long)s.late,
                 (long long)s.revisions, (long long)s.commits, (long long)s.marks.committed,
                 (long long)in.guessed_symbols, (long long)ms);
    } else {
        buf_addf(&out, "%lld trades, %lld quotes from %lld frames in %lld.%03lld s\n",
                 (long long)in.trades, (long long)in.quotes, (long long)in.frames,
                 (long long)(ms / 1000), (long long)(ms % 1000));
        buf_addf(&out,
                 "%lld duplicates dropped, %lld dead letters, %lld gaps opened, %lld closed\n",
                 (long long)in.duplicates, (long long)in.dead, (long long)in.gaps_opened,
                 (long long)in.gaps_closed);
        if (inv->config->store.url)
            buf_add_cstr(&out,
                         "all of it is in PostgreSQL; `ticklake run` takes it on from there\n");
        else
            buf_addf(&out, "%lld candles (%lld revised) in %lld commits; all of it is in %s/lake\n",
                     (long long)s.candles, (long long)s.revisions, (long long)s.commits,
                     inv->config->data);
        if (in.guessed_symbols)
            buf_addf(&out,
                     "%lld symbols were split by known quote currencies, for want of an instrument "
                     "list\n",
                     (long long)in.guessed_symbols);
    }
    print_out(&out);
}

static enum err_code drive(struct invocation *inv, struct replaying *p, struct err *e)
{
    struct source_options o = run_source_options(p->run, ORIGIN_REPLAYED);
    o.notice = notice;
    struct source_replay_options r = {
        .paths = inv->arguments,
        .path_count = inv->argument_count,
        .venue_hint = str_of(option_text(inv, "venue", "")),
        .speed = (double)p->speed,
        .progress = show_progress,
        .progress_ctx = p,
    };
    TRY(source_replay_open(&o, &r, run_past(p->run), &p->source, e));
    TRY(command_signals_start(stop, p, e));
    TRY(run_start(p->run, e));
    enum err_code code = source_replay_run(p->source, e);
    struct err drained = {0};
    enum err_code drain_code = run_drain(p->run, code == ERR_OK, &drained);
    if (drain_code != ERR_OK) *e = drained;
    return drain_code != ERR_OK ? drain_code : code;
}

static int replay(struct invocation *inv)
{
    struct err e = {0};
    struct replaying p = {.started_ns = clock_mono_ns(),
                          .speed = option_int(inv, "speed", 0, 0, 1000000)};
    struct run_options o = {.config = inv->config,
                            .command = "replay",
                            .replaying = true,
                            .without_lake = inv->config->store.url != NULL,
                            .on_failure = stop,
                            .ctx = &p};
    command_signals_block();
    enum err_code code = run_open(&o, &p.run, &e);
    if (code == ERR_OK) code = drive(inv, &p, &e);
    progress_clear();
    int exit_code = 0;
    if (code == ERR_OK || code == ERR_STOPPED) {
        report(inv, &p);
        skipped(inv, p.source);
        const char *const *lines;
        if (source_replay_damage(p.source, &lines)) exit_code = err_exit_code(ERR_CORRUPT);
        if (code == ERR_STOPPED) {
            fprintf(stderr, "ticklake replay: stopped; run the same command again to go on\n");
            exit_code = 130;
        }
    } else {
        exit_code = command_fail(inv, &e);
    }
    source_replay_close(p.source);
    run_close(p.run);
    return exit_code;
}

const struct command command_replay = {
    .name = "replay",
    .brief = "recordings into the lake, then exit",
    .summary = "Recordings of venue traffic through the whole pipeline into the lake. Formats are "
               "recognised\n"
               "by content, .gz .zst and .zip included. Interrupted and run again, it goes on from "
               "what was\n"
               "durable, and the result is the same as without the interruption.",
    .arguments = "PATH...",
    .example = "  ticklake replay --data ./lake samples/\n"
               "  ticklake replay btcusdt_20240808.gz btcusdt_20240809.gz --venue binance --json",
    .options = options,
    .arguments_least = 1,
    .arguments_most = ARGUMENTS_MAX,
    .needs_config = true,
    .run = replay,
};
