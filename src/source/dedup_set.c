/* Sets of ids as closed intervals, and the holes between them. */
#include "source/dedup_internal.h"

#include <stdlib.h>

/* First span that ends at or behind the id; set->count when there is none. */
static uint32_t find(const struct dedup_set *set, int64_t id)
{
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (set->spans[middle].hi < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool dedup_set_has(const struct dedup_set *set, int64_t id)
{
    uint32_t at = find(set, id);
    return at < set->count && set->spans[at].lo <= id;
}

struct dedup_span *dedup_set_add(struct dedup *d, struct dedup_set *set, uint32_t at)
{
    if (set->count == set->cap) {
        set->cap = set->cap ? set->cap * 2 : 1;
        set->spans = realloc(set->spans, set->cap * sizeof *set->spans);
        CHECK(set->spans != NULL);
    }
    struct dedup_span *s = &set->spans[at];
    memmove(s + 1, s, (set->count - at) * sizeof *s);
    *s = (struct dedup_span){0};
    set->count++;
    d->span_count++;
    return s;
}

static void take_out(struct dedup *d, struct dedup_set *set, uint32_t at)
{
    struct dedup_span *s = &set->spans[at];
    memmove(s, s + 1, (set->count - at - 1) * sizeof *s);
    set->count--;
    d->span_count--;
}

struct gap *dedup_closed_add(struct dedup_tape *tape)
{
    if (tape->closed_count == tape->closed_cap) {
        tape->closed_cap = tape->closed_cap ? tape->closed_cap * 2 : 4;
        tape->closed = realloc(tape->closed, tape->closed_cap * sizeof *tape->closed);
        CHECK(tape->closed != NULL);
    }
    struct gap *g = &tape->closed[tape->closed_count++].gap;
    *g = (struct gap){.series = tape->series, .stream = tape->stream, .kind = GAP_IDS};
    return g;
}

/* The hole below span `at` goes: it was filled, or is given up with what is still missing of it. */
static void close_hole(struct dedup *d, struct dedup_tape *tape, const struct dedup_set *set,
                       uint32_t at, enum gap_state state)
{
    const struct dedup_span *below = &set->spans[at - 1], *above = &set->spans[at];
    const struct dedup_hole *h = &above->hole;
    bool given_up = state == GAP_STATE_UNREPAIRABLE;
    struct gap *g = dedup_closed_add(tape);
    d->closed_count++;
    g->state = (uint8_t)state;
    g->gap_id = h->gap_id;
    g->has_ids = g->has_count = true;
    g->from_id = given_up ? below->hi + 1 : h->first_id;
    g->to_id = given_up ? above->lo - 1 : h->last_id;
    g->missing_count = given_up ? g->to_id - g->from_id + 1 : 0;
    g->from_time_ns = below->hi_ns;
    g->to_time_ns = above->lo_ns;
    g->rows_recovered = h->recovered;
    g->candles_revised = h->candles_revised;
    g->opened_ns = h->opened_ns;
    tape->changed = true;
    dedup_activate(d, tape);
}

static void merge_with_next(struct dedup *d, struct dedup_set *set, uint32_t at)
{
    struct dedup_span *s = &set->spans[at];
    s->hi = s[1].hi;
    s->hi_ns = s[1].hi_ns;
    take_out(d, set, at + 1);
}

/* Ids of it that come after all are taken for duplicates from now on: the ledger says that they are missing, so they stay
 * accounted for. */
void dedup_set_give_up(struct dedup *d, struct dedup_tape *tape, struct dedup_set *set, uint32_t at)
{
    close_hole(d, tape, set, at, GAP_STATE_UNREPAIRABLE);
    merge_with_next(d, set, at - 1);
}

void dedup_set_end(struct dedup *d, struct dedup_tape *tape, struct dedup_set *set)
{
    for (uint32_t i = 1; i < set->count; i++)
        if (dedup_hole_is_gap(set, i)) close_hole(d, tape, set, i, GAP_STATE_UNREPAIRABLE);
    d->span_count -= set->count;
    free(set->spans);
    *set = (struct dedup_set){.start_ns = TIME_ABSENT, .newest_ns = TIME_ABSENT};
}

static void limit(struct dedup *d, struct dedup_tape *tape, struct dedup_set *set)
{
    while (set->count > 2 &&
           (set->count > d->options.intervals_max || d->span_count > DEDUP_INTERVALS_TOTAL))
        dedup_set_give_up(d, tape, set, 1);
}

static void new_span(struct dedup *d, struct dedup_set *set, uint32_t at, int64_t id,
                     int64_t time_ns)
{
    struct dedup_span *s = dedup_set_add(d, set, at);
    s->lo = s->hi = id;
    s->lo_ns = s->hi_ns = time_ns;
}

static void wait_for(struct dedup *d, struct dedup_tape *tape, int64_t seen_ns)
{
    int64_t due;
    if (__builtin_add_overflow(seen_ns, d->options.gap_grace_ns, &due)) due = INT64_MAX;
    if (!tape->active || due < tape->due_ns) tape->due_ns = due;
    dedup_activate(d, tape);
}

/* The id is inside the hole below span `at`. */
static void into_hole(struct dedup *d, struct dedup_tape *tape, struct dedup_set *set, uint32_t at,
                      int64_t id, int64_t time_ns)
{
    struct dedup_span *below = &set->spans[at - 1], *above = &set->spans[at];
    bool told = above->hole.gap_id != 0 || above->hole.due;
    if (told) {
        above->hole.recovered++;
        above->hole.changed = true;
        tape->changed = true;
        dedup_activate(d, tape);
    }
    bool left = below->hi == id - 1, right = above->lo == id + 1;
    if (left && right) {
        if (told) close_hole(d, tape, set, at, GAP_STATE_REPAIRED);
        merge_with_next(d, set, at - 1);
    } else if (left) {
        below->hi = id;
        below->hi_ns = time_ns;
    } else if (right) {
        above->lo = id;
        above->lo_ns = time_ns;
    } else {
        /* The told gap keeps the lower part; the upper one is told as a gap of its own, so that rows are exact ranges. */
        struct dedup_hole lower = above->hole;
        above->hole = (struct dedup_hole){.seen_ns = lower.seen_ns, .due = told};
        above->hole.first_id = id + 1;
        above->hole.last_id = above->lo - 1;
        new_span(d, set, at, id, time_ns);
        set->spans[at].hole = lower;
        limit(d, tape, set);
    }
}

/* Between two spans, or at an end. Nobody knows the times: those of the neighbours are the widest that holes can have. */
static void brought_apart(struct dedup *d, struct dedup_set *set, uint32_t at, int64_t first,
                          int64_t last)
{
    bool has_below = at > 0, has_above = at < set->count;
    if (set->count == 0) set->floor = DEDUP_NO_FLOOR;
    int64_t below_ns = has_below ? set->spans[at - 1].hi_ns : 0;
    int64_t above_ns = has_above ? set->spans[at].lo_ns : below_ns;
    struct dedup_hole lower = has_below && has_above ? set->spans[at].hole : (struct dedup_hole){0};
    struct dedup_span *s = dedup_set_add(d, set, at);
    *s = (struct dedup_span){.lo = first,
                             .hi = last,
                             .lo_ns = above_ns,
                             .hi_ns = has_below ? below_ns : above_ns,
                             .hole = lower};
    if (!has_above) return;
    bool told = has_below && (lower.gap_id != 0 || lower.due);
    s[1].hole = (struct dedup_hole){.seen_ns = lower.seen_ns, .due = told};
    if (!told) return;
    s[1].hole.first_id = last + 1;
    s[1].hole.last_id = s[1].lo - 1;
}

void dedup_set_brought(struct dedup *d, struct dedup_set *set, int64_t first, int64_t last)
{
    if (first < 0 || last < first || last >= INT64_MAX - 1) return;
    uint32_t at = find(set, first > 0 ? first - 1 : 0);
    if (at == set->count || set->spans[at].lo > last + 1) {
        brought_apart(d, set, at, first, last);
        return;
    }
    uint32_t end = at;
    while (end + 1 < set->count && set->spans[end + 1].lo <= last + 1) end++;
    struct dedup_span *s = &set->spans[at];
    if (first < s->lo) s->lo = first;
    s->hi_ns = set->spans[end].hi_ns;
    s->hi = set->spans[end].hi > last ? set->spans[end].hi : last;
    for (; end > at; end--) take_out(d, set, end);
}

bool dedup_set_insert(struct dedup *d, struct dedup_tape *tape, struct dedup_set *set, int64_t id,
                      int64_t time_ns, int64_t received_ns)
{
    if (set->count == 0) {
        set->floor = DEDUP_NO_FLOOR; /* the caller knows whether it is history */
        new_span(d, set, 0, id, time_ns);
        return true;
    }
    struct dedup_span *last = &set->spans[set->count - 1];
    if (id == last->hi + 1) {
        last->hi = id;
        last->hi_ns = time_ns;
        return true;
    }
    if (id > last->hi) {
        new_span(d, set, set->count, id, time_ns);
        set->spans[set->count - 1].hole.seen_ns = received_ns;
        wait_for(d, tape, received_ns);
        limit(d, tape, set);
        return true;
    }
    uint32_t at = find(set, id);
    struct dedup_span *s = &set->spans[at];
    if (s->lo <= id) return false;
    if (at > 0) {
        into_hole(d, tape, set, at, id, time_ns);
    } else if (s->lo == id + 1) {
        s->lo = id;
        s->lo_ns = time_ns;
    } else {
        new_span(d, set, 0, id, time_ns);
        limit(d, tape, set);
    }
    return true;
}
