/* Telling what is missing: gap events, by the receipt clock, in the order of (series, stream, id). */
#include "source/dedup_internal.h"

#include <stdlib.h>

struct teller {
    struct dedup *d;
    struct batch *b;
    int64_t clock_ns;
    bool at_end;
    int64_t due_ns; /* of the tape at hand: when the next grace ends */
    bool waiting;   /* it has holes in their grace */
};

static enum err_code put(struct teller *w, struct dedup_tape *tape, const struct gap *g)
{
    struct gap *to = batch_add_gap(w->b);
    if (!to) return ERR_FULL;
    *to = *g;
    if (!to->cause.n) to->cause = STR("id_jump");
    dedup_touch(w->d, tape);
    return ERR_OK;
}

static enum err_code tell_closed(struct teller *w, struct dedup_tape *tape)
{
    uint32_t done = 0;
    enum err_code code = ERR_OK;
    for (; done < tape->closed_count; done++) {
        struct gap g = tape->closed[done].gap;
        if (g.gap_id == 0) {
            g.gap_id = w->d->next_gap_id;
            g.opened_ns = w->clock_ns;
        }
        g.closed_ns = w->clock_ns;
        code = put(w, tape, &g);
        if (code != ERR_OK) break;
        if (g.gap_id == w->d->next_gap_id) w->d->next_gap_id++;
    }
    tape->closed_count -= done;
    w->d->closed_count -= done;
    if (done) memmove(tape->closed, tape->closed + done, tape->closed_count * sizeof *tape->closed);
    return code;
}

static struct gap gap_of(const struct dedup_tape *tape, const struct dedup_span *above)
{
    const struct dedup_span *below = above - 1;
    const struct dedup_hole *h = &above->hole;
    return (struct gap){.gap_id = h->gap_id,
                        .series = tape->series,
                        .stream = tape->stream,
                        .kind = GAP_IDS,
                        .state = GAP_STATE_OPEN,
                        .has_ids = true,
                        .has_count = true,
                        .from_id = below->hi + 1,
                        .to_id = above->lo - 1,
                        .from_time_ns = below->hi_ns,
                        .to_time_ns = above->lo_ns,
                        .missing_count = above->lo - below->hi - 1,
                        .rows_recovered = h->recovered,
                        .candles_revised = h->candles_revised,
                        .opened_ns = h->opened_ns,
                        .closed_ns = TIME_ABSENT};
}

static bool is_due(const struct teller *w, const struct dedup_hole *h, int64_t *ret_due_ns)
{
    *ret_due_ns = INT64_MIN;
    if (h->due || w->at_end) return true;
    if (__builtin_add_overflow(h->seen_ns, w->d->options.gap_grace_ns, ret_due_ns))
        *ret_due_ns = h->seen_ns < 0 ? INT64_MIN : INT64_MAX;
    return w->clock_ns >= *ret_due_ns;
}

static enum err_code tell_hole(struct teller *w, struct dedup_tape *tape, struct dedup_span *above)
{
    struct dedup_hole *h = &above->hole;
    struct gap g = gap_of(tape, above);
    if (h->gap_id == 0) {
        int64_t due_ns;
        if (!is_due(w, h, &due_ns)) {
            if (!w->waiting || due_ns < w->due_ns) w->due_ns = due_ns;
            w->waiting = true;
            return ERR_OK;
        }
        g.gap_id = w->d->next_gap_id;
        g.opened_ns = w->clock_ns;
    } else if (!h->changed) {
        return ERR_OK;
    }
    TRY(put(w, tape, &g));
    if (h->gap_id == 0) {
        w->d->next_gap_id++;
        h->gap_id = g.gap_id;
        h->opened_ns = g.opened_ns;
        if (!h->due) {
            h->first_id = g.from_id;
            h->last_id = g.to_id;
        }
    }
    h->changed = h->due = false;
    return ERR_OK;
}

static enum err_code tell_set(struct teller *w, struct dedup_tape *tape, struct dedup_set *set)
{
    for (uint32_t i = 1; i < set->count; i++)
        if (dedup_hole_is_gap(set, i)) TRY(tell_hole(w, tape, &set->spans[i]));
    return ERR_OK;
}

static enum err_code tell_tape(struct teller *w, struct dedup_tape *tape)
{
    if (!tape->changed && !w->at_end && w->clock_ns < tape->due_ns) return ERR_OK;
    w->waiting = false;
    TRY(tell_closed(w, tape));
    TRY(tell_set(w, tape, &tape->before));
    TRY(tell_set(w, tape, &tape->now));
    tape->changed = false;
    tape->active = w->waiting;
    tape->due_ns = w->due_ns;
    return ERR_OK;
}

static int by_place(const void *x, const void *y)
{
    const struct dedup_tape *a = *(struct dedup_tape *const *)x;
    const struct dedup_tape *b = *(struct dedup_tape *const *)y;
    if (a->series != b->series) return a->series < b->series ? -1 : 1;
    return (a->stream > b->stream) - (a->stream < b->stream);
}

enum err_code dedup_gaps(struct dedup *d, int64_t clock_ns, bool at_end, struct batch *b)
{
    struct teller w = {.d = d, .b = b, .clock_ns = clock_ns, .at_end = at_end};
    if (d->active_count > 1)
        qsort(d->active, d->active_count, sizeof(struct dedup_tape *), by_place);
    enum err_code code = ERR_OK;
    size_t kept = 0;
    for (size_t i = 0; i < d->active_count; i++) {
        struct dedup_tape *tape = d->active[i];
        if (code == ERR_OK) code = tell_tape(&w, tape);
        if (tape->active) d->active[kept++] = tape;
    }
    d->active_count = kept;
    return code;
}

/* ---- Outages ---- */

static struct dedup_ongoing **ongoing_of(struct dedup *d, uint32_t series, uint8_t stream)
{
    CHECK(series < SERIES_LIMIT && stream < STREAM_MAX);
    size_t at = (size_t)series * STREAM_MAX + stream;
    if (at >= d->ongoing_cap) {
        size_t cap = d->ongoing_cap ? d->ongoing_cap : 64;
        while (cap <= at) cap *= 2;
        d->ongoing = realloc(d->ongoing, cap * sizeof(struct dedup_ongoing *));
        CHECK(d->ongoing != NULL);
        for (size_t i = d->ongoing_cap; i < cap; i++) d->ongoing[i] = NULL;
        d->ongoing_cap = cap;
    }
    return &d->ongoing[at];
}

static void remember(struct dedup *d, const struct gap *g)
{
    struct dedup_ongoing **slot = ongoing_of(d, g->series, g->stream);
    free(*slot);
    *slot = calloc(1, sizeof **slot);
    CHECK(*slot != NULL);
    **slot = (struct dedup_ongoing){.gap_id = g->gap_id,
                                    .from_ns = g->from_time_ns,
                                    .opened_ns = g->opened_ns,
                                    .candles_revised = g->candles_revised};
    size_t most = sizeof(*slot)->cause - 1;
    str_copy((*slot)->cause, most + 1,
             (struct str){g->cause.p, g->cause.n < most ? g->cause.n : most});
}

enum err_code dedup_outage(struct dedup *d, uint32_t series, uint8_t stream, int64_t from_ns,
                           int64_t to_ns, struct str cause, struct batch *b)
{
    struct dedup_ongoing **slot = ongoing_of(d, series, stream), *old = *slot;
    if (old && to_ns == TIME_ABSENT) return ERR_OK;
    struct gap row = {.gap_id = old ? old->gap_id : d->next_gap_id,
                      .series = series,
                      .stream = stream,
                      .kind = GAP_OUTAGE,
                      .state = GAP_STATE_OPEN,
                      .from_time_ns = old ? old->from_ns : from_ns,
                      .to_time_ns = to_ns,
                      .opened_ns = old                    ? old->opened_ns
                                   : to_ns != TIME_ABSENT ? to_ns
                                                          : from_ns,
                      .candles_revised = old ? old->candles_revised : 0,
                      .closed_ns = TIME_ABSENT};
    if (!batch_text(b, old ? str_of(old->cause) : cause, &row.cause)) return ERR_FULL;
    struct gap *g = batch_add_gap(b);
    if (!g) return ERR_FULL;
    *g = row;
    if (!old) d->next_gap_id++;
    free(old);
    *slot = NULL;
    if (to_ns == TIME_ABSENT) remember(d, g);
    return ERR_OK;
}

/* ---- Restoring ---- */

static struct dedup_span *span_of_gap(struct dedup_set *set, int64_t gap_id)
{
    for (uint32_t i = 1; i < set->count; i++)
        if (set->spans[i].hole.gap_id == gap_id) return &set->spans[i];
    return NULL;
}

void dedup_give_up(struct dedup *d, uint32_t series, uint8_t stream, int64_t first_id,
                   int64_t last_id)
{
    if (stream >= DEDUP_STREAMS) return;
    struct dedup_tape *tape = dedup_tape_of(d, series, stream);
    struct dedup_set *const sets[] = {&tape->now, &tape->before};
    for (int k = 0; k < 2; k++) {
        for (uint32_t i = sets[k]->count; i-- > 1;) {
            const struct dedup_span *above = &sets[k]->spans[i];
            bool inside = above[-1].hi + 1 >= first_id && above->lo - 1 <= last_id;
            if (!inside || !dedup_hole_is_gap(sets[k], i)) continue;
            dedup_set_give_up(d, tape, sets[k], i);
            tape->closed[tape->closed_count - 1].gap.cause = STR("not_at_venue");
            dedup_touch(d, tape);
        }
    }
}

/* Where others brought ids meanwhile, the ledger knows the holes better than our state does. */
static void adopt(struct dedup_tape *tape, const struct gap *g)
{
    for (uint32_t i = 1; i < tape->now.count; i++) {
        struct dedup_span *above = &tape->now.spans[i];
        if (above[-1].hi + 1 != g->from_id || above->lo - 1 != g->to_id) continue;
        struct dedup_hole *h = &above->hole;
        if (g->state != GAP_STATE_OPEN || !g->has_ids || h->gap_id == g->gap_id) return;
        h->gap_id = g->gap_id;
        h->first_id = g->from_id;
        h->last_id = g->to_id;
        h->opened_ns = g->opened_ns;
        h->recovered = g->rows_recovered;
        h->candles_revised = g->candles_revised;
        h->changed = h->due = false;
    }
}

enum err_code dedup_restore_gap(struct dedup *d, const struct gap *g, struct err *e)
{
    if (g->gap_id <= 0 || g->series >= series_count(d->options.series))
        return ERR(e, ERR_CORRUPT, "ledger: gap %lld of series %u, of which there are %u",
                   (long long)g->gap_id, g->series, series_count(d->options.series));
    if (g->gap_id >= d->next_gap_id) d->next_gap_id = g->gap_id + 1;
    if (g->kind == GAP_OUTAGE && g->to_time_ns == TIME_ABSENT && g->state == GAP_STATE_OPEN &&
        g->stream < STREAM_MAX)
        remember(d, g);
    if (g->kind != GAP_IDS || g->stream >= DEDUP_STREAMS) return ERR_OK;
    struct dedup_tape *tape = dedup_tape_of(d, g->series, g->stream);
    struct dedup_span *s = span_of_gap(&tape->now, g->gap_id);
    if (!s) s = span_of_gap(&tape->before, g->gap_id);
    if (s) s->hole.candles_revised = g->candles_revised;
    adopt(tape, g);
    return ERR_OK;
}
