/* gaps: the ledger of what is missing. */
#include "command/local.h"
#include "event/json.h"

static const struct option options[] = {
    {"all", NULL, "closed ones too (default: open ones)"},
    {"venue", "NAME", "only of this venue"},
    {"symbol", "SYMBOL", "only of this symbol"},
    {NULL, NULL, NULL},
};

struct listing {
    const struct invocation *inv;
    struct local *local;
    struct buf out;
    struct table_out table;
    int64_t count, missing;
};

static bool wanted(const struct listing *l, const struct gap *g)
{
    const struct series *s = series_get(l->local->series, g->series);
    const char *venue = option_text(l->inv, "venue", NULL);
    const char *symbol = option_text(l->inv, "symbol", NULL);
    if (!option_given(l->inv, "all") && g->state != GAP_STATE_OPEN) return false;
    return (!venue || str_is(s->venue, venue)) && (!symbol || str_is(s->symbol, symbol));
}

static void cell_time(struct table_out *t, int64_t ns)
{
    char text[TIME_TEXT_MAX];
    table_cell(t, "%s", time_format(ns, text) ? text : "-");
}

static enum err_code each(void *ctx, const struct gap *g, struct err *e)
{
    struct listing *l = ctx;
    (void)e;
    if (!wanted(l, g)) return ERR_OK;
    const struct series *s = series_get(l->local->series, g->series);
    if (g->has_count && g->state == GAP_STATE_OPEN) l->missing += g->missing_count;
    if (l->inv->json) {
        buf_add_cstr(&l->out, l->count++ ? ",\n" : "");
        gap_json(g, l->local->series, &l->out);
        return ERR_OK;
    }
    l->count++;
    struct table_out *t = &l->table;
    table_cell(t, "%lld", (long long)g->gap_id);
    table_cell(t, "%.*s", STR_ARG(s->venue));
    table_cell(t, "%.*s", STR_ARG(s->symbol));
    table_cell(t, "%s", stream_text((enum stream)g->stream));
    table_cell(t, "%s", gap_kind_text((enum gap_kind)g->kind));
    table_cell(t, "%s", gap_state_text((enum gap_state)g->state));
    if (g->has_ids)
        table_cell(t, "%lld..%lld", (long long)g->from_id, (long long)g->to_id);
    else
        table_cell(t, "-");
    table_cell(t, g->has_count ? "%lld" : "unknown", (long long)g->missing_count);
    cell_time(t, g->from_time_ns);
    cell_time(t, g->to_time_ns);
    table_cell(t, "%.*s", STR_ARG(g->cause));
    return ERR_OK;
}

static int gaps(struct invocation *inv)
{
    static const char *const heads[] = {"gap", "venue",   "symbol", "stream", "kind", "state",
                                        "ids", "missing", "from",   "to",     "cause"};
    struct err e = {0};
    struct local local;
    enum err_code code = local_open(inv->config, true, false, &local, &e);
    if (code != ERR_OK) return command_fail(inv, &e);
    struct listing l = {.inv = inv, .local = &local};
    buf_init(&l.out, 256 << 20);
    if (inv->json) buf_add_cstr(&l.out, "[");
    table_begin(&l.table, sizeof heads / sizeof heads[0]);
    for (size_t i = 0; i < l.table.columns; i++) table_cell(&l.table, "%s", heads[i]);
    code = store_gaps(local.tail, each, &l, &e);
    if (code == ERR_OK && inv->json) buf_add_cstr(&l.out, "]\n");
    if (code == ERR_OK && !inv->json) {
        if (l.count) table_print(&l.table, &l.out);
        buf_addf(&l.out, "%lld gap%s, %lld ids known to be missing\n", (long long)l.count,
                 l.count == 1 ? "" : "s", (long long)l.missing);
    }
    buf_free(&l.table.cells);
    local_close(&local);
    print_out(&l.out);
    return code == ERR_OK ? 0 : command_fail(inv, &e);
}

const struct command command_gaps = {
    .name = "gaps",
    .brief = "what is known to be missing",
    .summary = "The ledger: what is known to be missing, symbol by symbol, and what was recovered.",
    .arguments = "",
    .example = "  ticklake gaps --data ./data\n"
               "  ticklake gaps --all --venue binance --json",
    .options = options,
    .needs_config = true,
    .run = gaps,
};
