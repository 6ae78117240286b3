#include "view/view_internal.h"

#include <stdlib.h>

enum { GAPS_SHOWN = 500 };

void view_gaps_reset(struct view_gaps *g)
{
    g->first = g->count = 0;
    g->total = g->open = g->missing = 0;
}

void view_gaps_free(struct view_gaps *g)
{
    free(g->items);
    *g = (struct view_gaps){0};
}

void view_gaps_add(struct view_gaps *g, const struct gap *gap)
{
    if (!g->items) g->items = calloc(VIEW_GAPS_MAX, sizeof *g->items);
    CHECK(g->items != NULL);
    size_t at = g->count < VIEW_GAPS_MAX ? g->count++ : g->first;
    if (g->count == VIEW_GAPS_MAX && at == g->first) g->first = (at + 1) % VIEW_GAPS_MAX;
    struct view_gap *to = &g->items[at];
    to->g = *gap;
    struct str cause = gap->cause;
    if (cause.n >= sizeof to->cause) cause.n = sizeof to->cause - 1;
    str_copy(to->cause, sizeof to->cause, cause);
    g->total++;
    if (gap->state != GAP_STATE_OPEN) return;
    g->open++;
    if (gap->has_count) g->missing += gap->missing_count;
}

static void put_gap(const struct view_gap *v, const struct series_table *names, struct buf *out)
{
    const struct gap *g = &v->g;
    const struct series *s = series_get(names, g->series);
    buf_addf(out, "{\"gap_id\":\"%lld\"", (long long)g->gap_id);
    view_put_text(out, "venue", s->venue);
    view_put_text(out, "symbol", s->symbol);
    view_put_text(out, "stream", str_of(stream_text((enum stream)g->stream)));
    view_put_text(out, "kind", str_of(gap_kind_text((enum gap_kind)g->kind)));
    view_put_text(out, "state", str_of(gap_state_text((enum gap_state)g->state)));
    view_put_text(out, "cause", str_of(v->cause));
    view_put_ms(out, "from_ms", g->from_time_ns);
    view_put_ms(out, "to_ms", g->to_time_ns);
    /* As texts: ids may be beyond what a browser's numbers hold. */
    if (g->has_ids)
        buf_addf(out, ",\"from_id\":\"%lld\",\"to_id\":\"%lld\"", (long long)g->from_id,
                 (long long)g->to_id);
    view_put_count(out, "missing", g->has_count ? g->missing_count : -1);
    view_put_count(out, "recovered", g->rows_recovered);
    view_put_count(out, "candles_revised", g->candles_revised);
    view_put_ms(out, "opened_ms", g->opened_ns);
    view_put_ms(out, "closed_ms", g->closed_ns);
    buf_add_byte(out, '}');
}

static const struct view_gap *newest(const struct view_gaps *g, size_t back)
{
    return &g->items[(g->first + g->count - 1 - back) % g->count];
}

struct gap_filter {
    char venue[VIEW_PARAMETER_MAX], symbol[VIEW_PARAMETER_MAX], state[VIEW_PARAMETER_MAX];
};

static bool passes(const struct gap_filter *f, const struct view_gap *v,
                   const struct series_table *names)
{
    const struct series *s = series_get(names, v->g.series);
    return (!f->venue[0] || str_is(s->venue, f->venue)) &&
           (!f->symbol[0] || str_is(s->symbol, f->symbol)) &&
           (!f->state[0] || str_is(str_of(f->state), gap_state_text((enum gap_state)v->g.state)));
}

void view_gaps_page(struct view *v, const char *query, struct buf *out)
{
    const struct view_gaps *g = &v->gaps;
    const struct series_table *names = v->probes[SOURCE_STORE].series;
    struct gap_filter f;
    view_parameter(query, "venue", f.venue);
    view_parameter(query, "symbol", f.symbol);
    view_parameter(query, "state", f.state);
    int64_t limit = view_parameter_int(query, "limit", GAPS_SHOWN, 1, VIEW_GAPS_MAX), shown = 0;
    buf_addf(out, ",\"open\":%lld,\"missing\":%lld,\"total\":%lld,\"gaps\":[", (long long)g->open,
             (long long)g->missing, (long long)g->total);
    /* Open ones first: of many closed ones only the newest are of interest. */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < g->count && shown < limit; i++) {
            const struct view_gap *at = newest(g, i);
            if ((at->g.state == GAP_STATE_OPEN) != (pass == 0) || !passes(&f, at, names)) continue;
            if (shown++) buf_add_byte(out, ',');
            put_gap(at, names, out);
        }
    }
    buf_add_byte(out, ']');
}

void view_gaps_of(const struct view_gaps *g, const struct series_table *names, struct str venue,
                  struct str symbol, int64_t from_ns, int64_t to_ns, struct buf *out)
{
    int64_t shown = 0;
    for (size_t i = 0; i < g->count && shown < GAPS_SHOWN; i++) {
        const struct view_gap *at = newest(g, i);
        const struct series *s = series_get(names, at->g.series);
        if (!str_eq(s->venue, venue) || !str_eq(s->symbol, symbol)) continue;
        bool lasts = at->g.to_time_ns == TIME_ABSENT;
        if (at->g.from_time_ns > to_ns || (!lasts && at->g.to_time_ns < from_ns)) continue;
        if (shown++) buf_add_byte(out, ',');
        put_gap(at, names, out);
    }
}
