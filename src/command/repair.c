/* repair: exactly the ids that the ledger says are missing, from the venue. */
#include "command/history.h"

#include "base/array.h"
#include "event/json.h"

#include <stdlib.h>

static const struct option options[] = {
    {"venue", "NAME", "only gaps of this venue"},
    {"symbols", "LIST", "only gaps of these symbols, a comma list"},
    {"dry-run", NULL, "tell what would be asked for"},
    {"wait", NULL, "wait where an allowance of requests is used up (default: exit 69)"},
    {NULL, NULL, NULL},
};

struct repair {
    struct history_command h;
    struct gap *gaps;
    size_t count, cap;
    int64_t ids;
};

static bool is_wanted(const struct repair *r, const struct gap *g)
{
    const struct series *s = series_get(run_series(r->h.run), g->series);
    const char *venue = option_text(r->h.inv, "venue", NULL);
    const char *symbols = option_text(r->h.inv, "symbols", NULL);
    if (g->kind != GAP_IDS || !g->has_ids || g->state != GAP_STATE_OPEN) return false;
    if (venue && !str_is(s->venue, venue)) return false;
    if (!symbols) return true;
    for (struct str rest = str_of(symbols); rest.n;)
        if (str_eq(str_trim(str_cut(&rest, ',')), s->symbol)) return true;
    return false;
}

static enum err_code collect(void *ctx, const struct gap *g, struct err *e)
{
    struct repair *r = ctx;
    (void)e;
    if (!is_wanted(r, g)) return ERR_OK;
    r->gaps = array_grown(r->gaps, r->count, &r->cap, sizeof *r->gaps);
    r->gaps[r->count] = *g;
    r->gaps[r->count++].cause = STR("id_jump");
    r->ids += g->to_id - g->from_id + 1;
    return ERR_OK;
}

static void tell_plan(const struct repair *r)
{
    struct buf out;
    buf_init(&out, 256 << 20);
    const struct series_table *series = run_series(r->h.run);
    if (r->h.inv->json) buf_add_byte(&out, '[');
    for (size_t i = 0; i < r->count; i++) {
        const struct gap *g = &r->gaps[i];
        const struct series *s = series_get(series, g->series);
        if (r->h.inv->json) {
            buf_add_cstr(&out, i ? ",\n" : "");
            gap_json(g, series, &out);
        } else {
            buf_addf(&out, "gap %lld: %.*s %.*s %s ids %lld to %lld\n", (long long)g->gap_id,
                     STR_ARG(s->venue), STR_ARG(s->symbol), stream_text((enum stream)g->stream),
                     (long long)g->from_id, (long long)g->to_id);
        }
    }
    if (r->h.inv->json)
        buf_add_cstr(&out, "]\n");
    else
        buf_addf(&out, "%zu gaps, %lld ids would be asked for\n", r->count, (long long)r->ids);
    print_out(&out);
}

static bool has_gap_of(const struct repair *r, const char *venue)
{
    for (size_t i = 0; i < r->count; i++)
        if (str_is(series_get(run_series(r->h.run), r->gaps[i].series)->venue, venue)) return true;
    return false;
}

/* A venue that cannot be asked keeps its gaps; the others are repaired all the same, and the first error is the result. */
static enum err_code each_venue(struct repair *r, struct err *e)
{
    enum err_code first = ERR_OK;
    for (int i = 0; venue_all[i]; i++) {
        const struct venue *v = venue_all[i];
        struct source_backfill_options o;
        struct err why = {0};
        if (!v->history || v->history->streams == 0 || !has_gap_of(r, v->name)) continue;
        enum err_code code = history_venue(&r->h, v->name, &o, &why);
        o.gaps = r->gaps;
        o.gap_count = r->count;
        o.wait = option_given(r->h.inv, "wait");
        if (code == ERR_OK) code = history_run(&r->h, &o, ORIGIN_REPAIRED, &why);
        if (code == ERR_STOPPED || run_failed(r->h.run)) {
            *e = why;
            return code;
        }
        if (code == ERR_OK) continue;
        if (first != ERR_OK) log_error("source", "repair", &why);
        if (first == ERR_OK) *e = why;
        if (first == ERR_OK) first = code;
    }
    return first;
}

/* A symbol without an open gap has nothing to repair; one that nothing is known of is a slip of the pen. */
static bool is_known(const struct repair *r, const char *venue, struct str symbol)
{
    const struct series_table *series = run_series(r->h.run);
    for (uint32_t i = 0; i < series_count(series); i++) {
        const struct series *s = series_get(series, i);
        if (str_eq(s->symbol, symbol) && (!venue || str_is(s->venue, venue))) return true;
    }
    return false;
}

static enum err_code check_symbols(const struct repair *r, struct err *e)
{
    const char *venue = option_text(r->h.inv, "venue", NULL);
    const char *symbols = option_text(r->h.inv, "symbols", NULL);
    if (!symbols) return ERR_OK;
    for (struct str rest = str_of(symbols); rest.n;) {
        struct str symbol = str_trim(str_cut(&rest, ','));
        if (symbol.n == 0 || is_known(r, venue, symbol)) continue;
        return ERR(e, ERR_USAGE, "--symbols %.*s: nothing of such a symbol%s%s is stored",
                   STR_ARG(symbol), venue ? " of " : "", venue ? venue : "");
    }
    return ERR_OK;
}

static enum err_code check_options(const struct invocation *inv, struct err *e)
{
    const char *venue = option_text(inv, "venue", NULL);
    if (!venue || venue_by_name(str_of(venue))) return ERR_OK;
    return ERR(e, ERR_USAGE, "--venue %s: no such venue; `ticklake venues` lists them", venue);
}

static int repair(struct invocation *inv)
{
    static struct repair r;
    struct err e = {0};
    r.h.inv = inv;
    r.h.name = "repair";
    enum err_code code = check_options(inv, &e);
    if (code == ERR_OK) code = history_open(&r.h, &e);
    if (code == ERR_OK) code = history_open_gaps(&r.h, collect, &r, &e);
    if (code == ERR_OK) code = check_symbols(&r, &e);
    bool dry = option_given(inv, "dry-run");
    if (code == ERR_OK && !dry) code = each_venue(&r, &e);
    if (code == ERR_OK && dry) {
        tell_plan(&r);
        r.h.silent = true;
    }
    int exit_code = history_close(&r.h, code, &e);
    free(r.gaps);
    return exit_code;
}

const struct command command_repair = {
    .name = "repair",
    .brief = "fetch exactly what the ledger says is missing",
    .summary =
        "Asks the venues for exactly the ids that the ledger says are missing. A gap is repaired "
        "when all of\n"
        "them are stored, unrepairable when the venue does not have them, and else stays open for "
        "the next\n"
        "time. With store.url beside a running source; without, the data folder must be free.",
    .arguments = "",
    .example = "  ticklake repair --dry-run\n"
               "  ticklake repair --venue binance --symbols BTC-USDT --json",
    .options = options,
    .needs_config = true,
    .run = repair,
};
