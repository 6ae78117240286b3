/* Settings of `ticklake run` as options of its stages. */
#include "command/run_internal.h"

#include <ctype.h>

static const struct {
    const char *name;
    unsigned bit;
} stages[] = {{"source", STAGE_SOURCE},   {"store", STAGE_STORE}, {"bus", STAGE_BUS},
              {"process", STAGE_PROCESS}, {"lake", STAGE_LAKE},   {"serve", STAGE_SERVE}};

static enum err_code read_stages(const char *text, unsigned *ret, struct err *e)
{
    struct str rest = str_of(text);
    *ret = 0;
    while (rest.n) {
        struct str word = str_trim(str_cut(&rest, ','));
        unsigned bit = 0;
        for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++)
            if (str_is(word, stages[i].name)) bit = stages[i].bit;
        if (!bit)
            return ERR(e, ERR_USAGE,
                       "--stages: \"%.*s\" is none of source, store, bus, process, lake, serve",
                       STR_ARG(word));
        *ret |= bit;
    }
    return ERR_OK;
}

static enum err_code pair(unsigned asked, unsigned both, const char *words, struct err *e)
{
    if ((asked & both) == 0 || (asked & both) == both) return ERR_OK;
    return ERR(e, ERR_USAGE, "--stages: %s go together in one process: name both", words);
}

enum err_code run_stages(const struct config *c, const char *text, unsigned *ret, struct err *e)
{
    *ret = STAGES_ALL;
    if (text) TRY(read_stages(text, ret, e));
    TRY(pair(*ret, STAGE_SOURCE | STAGE_STORE, "source and store", e));
    TRY(pair(*ret, STAGE_PROCESS | STAGE_LAKE, "process and lake", e));
    if (c->bus.brokers) return ERR_OK;
    if (!text && !c->store.url) return ERR_OK;
    if (c->store.url && *ret & (STAGE_BUS | STAGE_PROCESS))
        return ERR(e, ERR_CONFIG,
                   "store.url is set, but bus.brokers is not: what is in PostgreSQL goes on over "
                   "Kafka. Set bus.brokers, or run --stages source,store alone");
    if (!c->store.url && *ret != STAGES_ALL)
        return ERR(e, ERR_CONFIG,
                   "--stages splits the work over processes that meet in PostgreSQL and Kafka: set "
                   "store.url and bus.brokers, or leave --stages out");
    return ERR_OK;
}

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

enum err_code run_venue_options(const struct config *c, struct source_venue *out, struct err *e)
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
