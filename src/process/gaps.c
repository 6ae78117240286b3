/* Spans of a tape in which trades are missing. */
#include "process/process_internal.h"

#include <stdlib.h>

void gaps_init(struct gap_list *l)
{
    *l = (struct gap_list){
        .latest_ns = INT64_MIN, .forgotten_from_ns = INT64_MAX, .forgotten_to_ns = INT64_MIN};
}

static bool meets(int64_t gap_from_ns, int64_t gap_to_ns, int64_t from_ns, int64_t to_ns)
{
    return gap_from_ns < to_ns && gap_to_ns >= from_ns;
}

bool gaps_meet(const struct tape *tape, int64_t from_ns, int64_t to_ns)
{
    const struct gap_list *l = &tape->gaps;
    if (meets(l->forgotten_from_ns, l->forgotten_to_ns, from_ns, to_ns)) return true;
    if (l->latest_ns < from_ns) return false;
    for (uint32_t i = l->count; i-- > 0;) {
        const struct gap_span *s = &l->spans[i];
        if (s->stream == tape->stream && meets(s->from_ns, s->to_ns, from_ns, to_ns)) return true;
    }
    return false;
}

static struct gap_span *find(struct gap_list *l, int64_t gap_id)
{
    for (uint32_t i = l->count; i-- > 0;)
        if (l->spans[i].gap_id == gap_id) return &l->spans[i];
    return NULL;
}

static void find_latest(struct gap_list *l)
{
    l->latest_ns = INT64_MIN;
    for (uint32_t i = 0; i < l->count; i++)
        if (l->spans[i].to_ns > l->latest_ns) l->latest_ns = l->spans[i].to_ns;
}

static void take_out(struct gap_list *l, struct gap_span *span)
{
    size_t behind = (size_t)(l->spans + l->count - (span + 1));
    memmove(span, span + 1, behind * sizeof *span);
    l->count--;
    find_latest(l);
}

/* A claim of completeness must never be wrong, so what is forgotten stays incomplete: the price of a bound. */
static void forget_oldest(struct gap_list *l)
{
    struct gap_span *oldest = &l->spans[0];
    for (uint32_t i = 1; i < l->count; i++)
        if (l->spans[i].to_ns < oldest->to_ns) oldest = &l->spans[i];
    if (oldest->from_ns < l->forgotten_from_ns) l->forgotten_from_ns = oldest->from_ns;
    if (oldest->to_ns > l->forgotten_to_ns) l->forgotten_to_ns = oldest->to_ns;
    take_out(l, oldest);
}

void gaps_put(struct gap_list *l, const struct gap_span *span)
{
    struct gap_span *old = find(l, span->gap_id);
    if (old) {
        *old = *span;
        find_latest(l);
        return;
    }
    if (l->count == PROCESS_GAPS_MAX) forget_oldest(l);
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 4;
        l->spans = realloc(l->spans, l->cap * sizeof *l->spans);
        CHECK(l->spans != NULL);
    }
    l->spans[l->count++] = *span;
    if (span->to_ns > l->latest_ns) l->latest_ns = span->to_ns;
}

static struct gap_span span_of(const struct gap *g)
{
    int64_t from_ns = g->from_time_ns, to_ns = g->to_time_ns;
    if (to_ns == TIME_ABSENT) to_ns = INT64_MAX;
    struct gap_span s = {g->gap_id, from_ns, to_ns, g->stream};
    if (from_ns > to_ns) {
        s.from_ns = to_ns;
        s.to_ns = from_ns;
    }
    return s;
}

/* Candles that were emitted: those behind the watermark, and the roll-ups that finish emitted early, which the caller cannot
 * tell by the watermark and remakes as if they had a late trade. */
static void tell_change(struct process *p, struct tape *tape, const struct gap_change *change,
                        const struct process_sink *sink)
{
    if (change->from_ns < tape->watermark_ns) sink->gap(sink->ctx, change);
    for (int i = 0; i < ROLLUPS; i++) {
        int64_t length_ns = timeframe_ns((enum timeframe)(ROLLUP_FIRST + i));
        int64_t end_ns = tape->early_ns[i], open_ns = end_ns - length_ns;
        if (end_ns == TIME_NEVER || end_ns <= tape->watermark_ns) continue;
        if (!meets(change->from_ns, change->to_ns, open_ns, end_ns)) continue;
        struct late_trade l = {tape->series, open_ns, 1u << (ROLLUP_FIRST + i), p->sequence};
        sink->late(sink->ctx, &l);
    }
}

void gaps_take(struct process *p, struct tape *tape, const struct gap *g,
               const struct process_sink *sink)
{
    struct gap_list *l = &tape->gaps;
    struct gap_span now = span_of(g);
    struct gap_span *old = find(l, g->gap_id);
    bool missing = g->state != GAP_STATE_REPAIRED;
    if (!old && !missing) return;
    if (old && missing && old->from_ns == now.from_ns && old->to_ns == now.to_ns &&
        old->stream == now.stream)
        return;
    struct gap_change change = {.series = tape->series,
                                .gap_id = g->gap_id,
                                .from_ns =
                                    old && old->from_ns < now.from_ns ? old->from_ns : now.from_ns,
                                .to_ns = old && old->to_ns > now.to_ns ? old->to_ns : now.to_ns,
                                .watermark_ns = tape->watermark_ns,
                                .sequence = p->sequence};
    if (missing)
        gaps_put(l, &now);
    else
        take_out(l, old);
    tape->gaps_changed = true;
    if (tape->stream == g->stream) tell_change(p, tape, &change, sink);
}
