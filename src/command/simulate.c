/* simulate: the venues on loopback, with scripted faults and an independent count. */
#include "command/command.h"
#include "io/clock.h"
#include "simulate/simulate.h"

#include <stdio.h>
#include <stdlib.h>

static const struct option options[] = {
    {"port", "N", "port on 127.0.0.1 (default 7071; 0: any free, told on standard error)"},
    {"venues", "LIST", "comma list (default: all that can be simulated)"},
    {"recording", "PATHS", "comma list: these venues send the recorded frames instead"},
    {"speed", "N", "speed of the recordings (default 1)"},
    {"retime", NULL, "shift the recorded venue times so that the first is now"},
    {"symbols", "N", "generated symbols of each venue (default 4)"},
    {"rate", "N", "generated trades a second in all (default 100)"},
    {"quotes", "N", "quotes for each trade (default 2)"},
    {"seed", "N", "of the generated market and the faults (default 1)"},
    {"seconds", "N", "end after so long"},
    {"trades", "N", "end after so many generated trades"},
    {"disconnect", "N", "one in N events breaks the connection"},
    {"disconnect-at", "MS", "break each connection once, so long after its first subscription"},
    {"duplicate", "N", "one in N trades is sent twice"},
    {"missing", "N", "one in N trades is never sent"},
    {"reorder", "N", "one in N trades changes place with the next"},
    {"late", "N", "one in N trades comes late"},
    {"late-ms", "MS", "by so much (default 5000)"},
    {"garbage", "N", "one in N frames is followed by garbage"},
    {"silence", "N", "one in N events begins a silence of the connection"},
    {"past", "N", "trades of each symbol before the beginning, for REST and daily files"},
    {"past-from", "TIME", "from this time (default: an hour ago)"},
    {"past-to", "TIME", "to this time (default: the beginning)"},
    {"allowance", "N", "Tiingo's REST takes so many requests an hour"},
    {"token", "TOKEN", "Tiingo's REST takes this token only"},
    {"rest-429", "N", "one in N REST requests is refused with Retry-After"},
    {"rest-5xx", "N", "one in N fails"},
    {"bad-checksum", NULL, "the checksums of the daily files are wrong"},
    {"report", "FILE", "the truth as JSON, at the end (default: standard output)"},
    {NULL, NULL, NULL},
};

enum { LIST_MAX = 256 };
struct list {
    char *copy;
    const char *items[LIST_MAX];
    size_t count;
};

static void split(const char *text, struct list *l)
{
    *l = (struct list){0};
    if (!text) return;
    l->copy = strdup(text);
    CHECK(l->copy != NULL);
    for (char *p = l->copy; p && *p && l->count < LIST_MAX;) {
        char *comma = strchr(p, ',');
        if (comma) *comma = 0;
        l->items[l->count++] = p;
        p = comma ? comma + 1 : NULL;
    }
}

static void stop(void *ctx) { simulate_stop(ctx); }

static void notice(void *ctx, const char *venue, const char *what, const char *detail)
{
    (void)ctx;
    LOG(INFO, "simulate", what, LOG_STR("venue", venue), LOG_STR("detail", detail));
}

static int32_t one_in(const struct invocation *inv, const char *name)
{
    return (int32_t)option_int(inv, name, 0, 0, INT32_MAX);
}

static void fill_faults(const struct invocation *inv, struct simulate_faults *f)
{
    *f = (struct simulate_faults){
        .disconnect = one_in(inv, "disconnect"),
        .duplicate = one_in(inv, "duplicate"),
        .missing = one_in(inv, "missing"),
        .reorder = one_in(inv, "reorder"),
        .late = one_in(inv, "late"),
        .garbage = one_in(inv, "garbage"),
        .silence = one_in(inv, "silence"),
        .disconnect_at_ms = option_int(inv, "disconnect-at", 0, 0, INT32_MAX),
        .late_ms = option_int(inv, "late-ms", 5000, 1, INT32_MAX),
        .rest_429 = one_in(inv, "rest-429"),
        .rest_5xx = one_in(inv, "rest-5xx"),
        .bad_checksum = option_given(inv, "bad-checksum"),
    };
}

static enum err_code read_past(const struct invocation *inv, struct simulate_options *o,
                               struct err *e)
{
    const char *from = option_text(inv, "past-from", NULL), *to = option_text(inv, "past-to", NULL);
    o->past = option_int(inv, "past", 0, 0, 200000);
    o->past_to_ns = clock_wall_ns();
    o->past_from_ns = o->past_to_ns - NS_PER_HOUR;
    if ((from && time_parse_iso(str_of(from), &o->past_from_ns) != ERR_OK) ||
        (to && time_parse_iso(str_of(to), &o->past_to_ns) != ERR_OK) ||
        o->past_from_ns >= o->past_to_ns)
        return ERR(e, ERR_USAGE, "--past-from, --past-to: expected times as 2024-08-08T00:00:00Z");
    return ERR_OK;
}

static enum err_code write_report(const struct invocation *inv, const struct simulate *s,
                                  struct err *e)
{
    struct buf json;
    buf_init(&json, 256 << 20);
    simulate_report(s, &json);
    const char *path = option_text(inv, "report", NULL);
    if (!path) {
        print_out(&json);
        return ERR_OK;
    }
    FILE *f = fopen(path, "w");
    bool written = f && fwrite(json.data, 1, json.len, f) == json.len;
    if (f && fclose(f) != 0) written = false;
    buf_free(&json);
    return written ? ERR_OK : ERR(e, ERR_DISK, "--report %s: cannot be written", path);
}

static int simulate(struct invocation *inv)
{
    struct err e = {0};
    struct list venues, recordings;
    split(option_text(inv, "venues", NULL), &venues);
    split(option_text(inv, "recording", NULL), &recordings);
    struct simulate_options o = {
        .bind = "127.0.0.1",
        .port = (int)option_int(inv, "port", 7071, 0, 65535),
        .venues = venues.count ? venues.items : NULL,
        .venue_count = venues.count,
        .recordings = recordings.items,
        .recording_count = recordings.count,
        .speed = (double)option_int(inv, "speed", 1, 1, 1000000),
        .retime = option_given(inv, "retime"),
        .symbols = (int32_t)option_int(inv, "symbols", 4, 1, 20000),
        .rate = (int32_t)option_int(inv, "rate", 100, 1, 10000000),
        .quotes_per_trade = (int32_t)option_int(inv, "quotes", 2, 0, 100),
        .seed = (uint64_t)option_int(inv, "seed", 1, 0, INT64_MAX),
        .seconds = option_int(inv, "seconds", 0, 0, INT32_MAX),
        .trades = option_int(inv, "trades", 0, 0, INT64_MAX),
        .allowance = option_int(inv, "allowance", 0, 0, INT32_MAX),
        .token = option_text(inv, "token", NULL),
        .notice = notice,
    };
    fill_faults(inv, &o.faults);
    struct simulate *s = NULL;
    command_signals_block();
    enum err_code code = read_past(inv, &o, &e);
    if (code == ERR_OK) code = simulate_open(&o, &s, &e);
    if (code == ERR_OK) code = command_signals_start(stop, s, &e);
    if (code == ERR_OK) {
        LOG(INFO, "simulate", "listening", LOG_I64("port", simulate_port(s)));
        code = simulate_run(s, &e);
    }
    if (code == ERR_OK) code = write_report(inv, s, &e);
    simulate_close(s);
    free(venues.copy);
    free(recordings.copy);
    return code == ERR_OK ? 0 : command_fail(inv, &e);
}

const struct command command_simulate = {
    .name = "simulate",
    .brief = "the venues on loopback, with scripted faults and an independent count",
    .summary = "The venues on loopback in their own protocols, WebSocket and REST: recordings, or "
               "a market\n"
               "generated by seed, with faults drawn by seed; at the end its own count and hash of "
               "what it sent.",
    .arguments = "",
    .example = "  ticklake simulate --rate 1000 --symbols 8 --seconds 60 --report truth.json &\n"
               "  ticklake simulate --recording samples/ --venues binance,tiingo --duplicate 100 "
               "--missing 500",
    .options = options,
    .run = simulate,
};
