/* backfill: history of a venue into the same pipeline, exactly [from, to). */
#include "command/history.h"

#include "base/array.h"
#include "io/clock.h"

#include <stdio.h>
#include <stdlib.h>

static const struct option options[] = {
    {"venue", "NAME", "tiingo, binance, binance_futures, coinbase or kraken"},
    {"symbols", "LIST", "comma list of symbols, or \"*\" for all of the venue"},
    {"from", "TIME", "2024-08-08 or 2024-08-08T12:00:00Z; belongs to it"},
    {"to", "TIME", "does not belong to it"},
    {"kind", "KIND", "trades (default), agg_trades, candles, top or metadata"},
    {"timeframe", "WIDTH", "of candles: 1s 1m (default) 5m 15m 1h 4h 1d"},
    {"archive", NULL, "take every day from the venue's daily files, where it has one"},
    {"no-archive", NULL, "ask by REST only (default: files for whole days)"},
    {"wait", NULL, "wait where an allowance of requests is used up (default: exit 69)"},
    {NULL, NULL, NULL},
};

static enum err_code usage_of(const char *name, const char *expected, const char *got,
                              struct err *e)
{
    return ERR(e, ERR_USAGE, "--%s: expected %s, got \"%s\"", name, expected, got);
}

/* "2024-08-08" is its midnight. */
static enum err_code read_time(const struct invocation *inv, const char *name, int64_t *ret_ns,
                               struct err *e)
{
    const char *text = option_text(inv, name, NULL);
    char whole[64];
    if (!text)
        return ERR(e, ERR_USAGE, "--%s is missing: 2024-08-08 or 2024-08-08T12:00:00Z", name);
    int n = snprintf(whole, sizeof whole, "%s%s", text, strlen(text) == 10 ? "T00:00:00Z" : "");
    if (n > 0 && (size_t)n < sizeof whole && time_parse_iso(str_of(whole), ret_ns) == ERR_OK)
        return ERR_OK;
    return usage_of(name, "a time as 2024-08-08 or 2024-08-08T12:00:00Z", text, e);
}

static enum err_code read_kind(const struct invocation *inv, struct source_backfill_options *o,
                               struct err *e)
{
    const char *kind = option_text(inv, "kind", "trades");
    const char *width = option_text(inv, "timeframe", "1m");
    int timeframe = timeframe_of_text(str_of(width));
    if (timeframe < 0) return usage_of("timeframe", "1s 1m 5m 15m 1h 4h or 1d", width, e);
    o->timeframe = (enum timeframe)timeframe;
    o->stream = STREAM_TRADE;
    struct str k = str_of(kind);
    if (str_is(k, "agg_trades"))
        o->stream = STREAM_AGG_TRADE;
    else if (str_is(k, "candles"))
        o->kind = HISTORY_CANDLES;
    else if (str_is(k, "top"))
        o->kind = HISTORY_TOP;
    else if (str_is(k, "metadata"))
        o->metadata = true;
    else if (!str_is(k, "trades"))
        return usage_of("kind", "trades, agg_trades, candles, top or metadata", kind, e);
    if (option_given(inv, "archive") && option_given(inv, "no-archive"))
        return ERR(e, ERR_USAGE, "--archive and --no-archive: one of them");
    if (option_given(inv, "archive")) o->archive = BACKFILL_ARCHIVE_ALWAYS;
    if (option_given(inv, "no-archive")) o->archive = BACKFILL_ARCHIVE_NEVER;
    return ERR_OK;
}

struct symbol_list {
    struct str *items;
    size_t count, cap;
};

static enum err_code read_symbols(const struct invocation *inv, struct symbol_list *l,
                                  struct err *e)
{
    const char *text = option_text(inv, "symbols", NULL);
    if (!text) return ERR(e, ERR_USAGE, "--symbols is missing: BTC-USDT,ETH-USDT or \"*\"");
    for (struct str rest = str_of(text); rest.n;) {
        struct str one = str_trim(str_cut(&rest, ','));
        if (one.n == 0) continue;
        if (l->count == HISTORY_SYMBOLS)
            return ERR(e, ERR_USAGE, "--symbols: more than %d", HISTORY_SYMBOLS);
        l->items = array_grown(l->items, l->count, &l->cap, sizeof *l->items);
        l->items[l->count++] = one;
    }
    return l->count ? ERR_OK : usage_of("symbols", "at least one symbol", text, e);
}

static enum err_code read_options(struct history_command *h, struct source_backfill_options *o,
                                  struct symbol_list *symbols, struct err *e)
{
    const char *venue = option_text(h->inv, "venue", NULL);
    if (!venue) return ERR(e, ERR_USAGE, "--venue is missing; `ticklake venues` lists them");
    TRY(history_venue(h, venue, o, e));
    TRY(read_kind(h->inv, o, e));
    o->wait = option_given(h->inv, "wait");
    if (o->metadata) return ERR_OK;
    TRY(read_symbols(h->inv, symbols, e));
    o->symbols = symbols->items;
    o->symbol_count = symbols->count;
    if (o->kind == HISTORY_TOP) { /* as it is now */
        o->from_ns = 0;
        o->to_ns = clock_wall_ns();
        return ERR_OK;
    }
    TRY(read_time(h->inv, "from", &o->from_ns, e));
    TRY(read_time(h->inv, "to", &o->to_ns, e));
    if (o->from_ns < 0 || o->from_ns >= o->to_ns)
        return ERR(e, ERR_USAGE, "--from must be before --to, and not before 1970");
    return ERR_OK;
}

static int backfill(struct invocation *inv)
{
    static struct history_command h;
    struct err e = {0};
    struct source_backfill_options o = {0};
    struct symbol_list symbols = {0};
    h.inv = inv;
    h.name = "backfill";
    enum err_code code = read_options(&h, &o, &symbols, &e);
    if (code == ERR_OK) code = history_open(&h, &e);
    if (code == ERR_OK) code = history_run(&h, &o, ORIGIN_BACKFILLED, &e);
    int exit_code = history_close(&h, code, &e);
    free(symbols.items);
    return exit_code;
}

const struct command command_backfill = {
    .name = "backfill",
    .brief = "history of a venue, exactly an interval of it",
    .summary =
        "History by a venue's REST and its daily files into the same pipeline: exactly what lies "
        "in\n"
        "[from, to). Run again it changes nothing; interrupted and run again it goes on. With "
        "store.url it\n"
        "writes to PostgreSQL beside a running source; without, into the data folder, which "
        "nobody else may hold.",
    .arguments = "",
    .example = "  ticklake backfill --venue binance --symbols BTC-USDT --from 2024-08-08 --to "
               "2024-08-09\n"
               "  ticklake backfill --venue tiingo --symbols BTC-USD,ETH-USD --kind candles "
               "--timeframe 1m \\\n"
               "      --from 2024-08-08 --to 2024-08-09 --json\n"
               "  ticklake backfill --venue coinbase --kind metadata",
    .options = options,
    .needs_config = true,
    .run = backfill,
};
