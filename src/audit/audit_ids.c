/* Check 5: which ids the lake holds, and whether the ledger knows of every hole, to the id. */
#include "audit/audit_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* Where in the sorted intervals [first, last] belongs: the first one that ends at or after first - 1. */
static size_t place_of(const struct audit_ids *ids, int64_t first)
{
    size_t low = 0, high = ids->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (ids->items[middle].last < first - 1)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void audit_ids_add(struct audit_ids *ids, int64_t first, int64_t last, int64_t received_ns)
{
    if (last < first || first == INT64_MIN || last == INT64_MAX) return;
    /* Files are sorted by time, so nearly always the newest interval grows. */
    size_t at = ids->count && ids->items[ids->count - 1].first <= first ? ids->count - 1
                                                                        : place_of(ids, first);
    if (at < ids->count && ids->items[at].last < first - 1) at++;
    if (at == ids->count || ids->items[at].first > last + 1) {
        ids->items = array_grown(ids->items, ids->count, &ids->cap, sizeof *ids->items);
        memmove(ids->items + at + 1, ids->items + at, (ids->count - at) * sizeof *ids->items);
        ids->items[at] = (struct audit_interval){first, last, received_ns};
        ids->count++;
        return;
    }
    struct audit_interval *i = &ids->items[at];
    if (first < i->first) {
        i->first = first;
        i->received_ns = received_ns;
    }
    if (last > i->last) i->last = last;
    size_t end = at + 1;
    for (; end < ids->count && ids->items[end].first <= i->last + 1; end++)
        if (ids->items[end].last > i->last) i->last = ids->items[end].last;
    memmove(ids->items + at + 1, ids->items + end, (ids->count - end) * sizeof *ids->items);
    ids->count -= end - at - 1;
}

static bool same_gap(const struct gap *x, const struct gap *y)
{
    return x->series == y->series && x->stream == y->stream && x->kind == y->kind &&
           x->state == y->state && x->has_ids == y->has_ids && x->has_count == y->has_count &&
           x->from_id == y->from_id && x->to_id == y->to_id && x->from_time_ns == y->from_time_ns &&
           x->to_time_ns == y->to_time_ns && x->missing_count == y->missing_count &&
           x->rows_recovered == y->rows_recovered && x->candles_revised == y->candles_revised &&
           x->opened_ns == y->opened_ns && x->closed_ns == y->closed_ns;
}

static void gap_place(const struct audit *a, const struct gap *g, char text[512])
{
    const struct series *s = series_get(a->names, g->series);
    snprintf(text, 512, "gap %lld of %.*s %.*s %s", (long long)g->gap_id, STR_ARG(s->venue),
             STR_ARG(s->symbol), stream_text((enum stream)g->stream));
}

void audit_note_gap(struct audit *a, const struct gap *g)
{
    struct str key = {(const char *)&g->gap_id, sizeof g->gap_id};
    uint32_t at = map_get(&a->gap_index, key);
    struct gap own = *g;
    own.series = audit_canonical(a, &a->of_store, a->store_names, g->series);
    own.cause = (struct str){0};
    char place[512];
    gap_place(a, &own, place);
    if (at == MAP_NONE) {
        audit_differs(a, CHECK_LEDGER, place,
                      "row %lld tells of it, but the ledger has no such gap",
                      (long long)g->sequence);
        return;
    }
    struct audit_gap *entry = &a->gaps[at];
    if (entry->state == GAP_AS_LEDGER) {
        if (entry->g.sequence == g->sequence && !same_gap(&entry->g, &own))
            audit_differs(a, CHECK_LEDGER, place, "the ledger is not what row %lld says",
                          (long long)g->sequence);
        return;
    }
    entry->g = own; /* the rows come in order: the last one up to the position stays */
    entry->state = GAP_FROM_ROWS;
}

static enum err_code load_gap(void *ctx, const struct gap *g, struct err *e)
{
    struct audit *a = ctx;
    a->gaps = array_grown(a->gaps, a->gap_count, &a->gap_cap, sizeof *a->gaps);
    struct audit_gap *entry = &a->gaps[a->gap_count];
    bool later = a->lake && g->sequence > a->position;
    *entry = (struct audit_gap){.g = *g, .state = later ? GAP_LATER : GAP_AS_LEDGER};
    entry->g.series = audit_canonical(a, &a->of_store, a->store_names, g->series);
    entry->g.cause = (struct str){0};
    struct str key = {(const char *)&g->gap_id, sizeof g->gap_id};
    if (map_put(&a->gap_index, key, (uint32_t)a->gap_count) == MAP_FULL)
        return ERR(e, ERR_FULL, "%s: more gaps in the ledger than verify can hold", a->store_place);
    a->gap_count++;
    return ERR_OK;
}

enum err_code audit_load_gaps(struct audit *a, struct err *e)
{
    enum err_code code = store_gaps(a->tail, load_gap, a, e);
    if (code != ERR_CORRUPT) return code;
    audit_differs(a, CHECK_LEDGER, a->store_place, "%s", e->text);
    return ERR_OK;
}

static int compare_gaps(const void *x, const void *y)
{
    const struct gap *a = &((const struct audit_gap *)x)->g;
    const struct gap *b = &((const struct audit_gap *)y)->g;
    if (a->series != b->series) return a->series < b->series ? -1 : 1;
    if (a->stream != b->stream) return a->stream < b->stream ? -1 : 1;
    return (a->from_id > b->from_id) - (a->from_id < b->from_id);
}

void audit_ledger_totals(struct audit *a)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->gap_count; i++) {
        /* Without retention every row is there, so a gap without one up to the position was not open yet. */
        if (a->gaps[i].state == GAP_LATER && a->first_sequence <= 1) continue;
        const struct gap *g = &a->gaps[i].g;
        a->gaps[kept++] = a->gaps[i];
        if (g->state != GAP_STATE_OPEN) continue;
        a->result->gaps_open++;
        if (g->kind != GAP_IDS) continue;
        int64_t missing = g->has_count ? g->missing_count : 0;
        if (!g->has_count && g->has_ids) missing = g->to_id - g->from_id + 1;
        a->result->missing_trades += missing;
    }
    a->gap_count = kept;
    map_clear(&a->gap_index); /* places are no longer what it says */
    if (kept) qsort(a->gaps, kept, sizeof *a->gaps, compare_gaps);
    a->result->checks[CHECK_LEDGER].compared += (int64_t)kept;
}

/* The gaps of one series and stream: a run in the sorted list. */
static const struct audit_gap *gaps_of(const struct audit *a, const struct audit_ids *ids,
                                       size_t *ret_count)
{
    size_t low = 0, high = a->gap_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct gap *g = &a->gaps[middle].g;
        if (g->series < ids->series || (g->series == ids->series && g->stream < ids->stream))
            low = middle + 1;
        else
            high = middle;
    }
    size_t end = low;
    while (end < a->gap_count && a->gaps[end].g.series == ids->series &&
           a->gaps[end].g.stream == ids->stream)
        end++;
    *ret_count = end - low;
    return a->gaps + low;
}

static void tell_hole(struct audit *a, const struct audit_ids *ids, int64_t from, int64_t to)
{
    const struct series *s = series_get(a->names, ids->series);
    char place[512];
    snprintf(place, sizeof place, "%.*s %.*s %s ids %lld to %lld", STR_ARG(s->venue),
             STR_ARG(s->symbol), stream_text((enum stream)ids->stream), (long long)from,
             (long long)to);
    audit_differs(a, CHECK_LEDGER, place,
                  "%lld ids are missing in the lake, and no open gap of the ledger has them",
                  (long long)(to - from + 1));
}

/* What of the hole no gap covers. `gaps` is sorted by its first id. */
static void check_hole(struct audit *a, const struct audit_ids *ids, const struct audit_gap *gaps,
                       size_t count, int64_t from, int64_t to)
{
    for (size_t i = 0; i < count && from <= to; i++) {
        const struct gap *g = &gaps[i].g;
        if (!g->has_ids || g->to_id < from || g->to_id < g->from_id) continue;
        if (g->state == GAP_STATE_REPAIRED && gaps[i].state != GAP_LATER) continue;
        if (g->from_id > to) break;
        if (g->from_id > from) tell_hole(a, ids, from, g->from_id - 1);
        from = g->to_id + 1;
    }
    if (from <= to) tell_hole(a, ids, from, to);
}

static bool has_foreign(const struct audit *a, uint32_t series)
{
    for (size_t i = 0; i < a->foreign.count; i++)
        if (a->foreign.items[i].series == series) return true;
    return false;
}

/* An id that the ledger calls missing must not be there. */
static void check_gap(struct audit *a, const struct audit_ids *ids, const struct audit_gap *entry)
{
    const struct gap *g = &entry->g;
    if (entry->state == GAP_LATER || g->state != GAP_STATE_OPEN || g->kind != GAP_IDS ||
        !g->has_ids || g->to_id < g->from_id)
        return;
    size_t at = place_of(ids, g->from_id + (g->from_id < INT64_MAX));
    if (at == ids->count || ids->items[at].first > g->to_id || ids->items[at].last < g->from_id)
        return;
    int64_t id = ids->items[at].first > g->from_id ? ids->items[at].first : g->from_id;
    char place[512];
    gap_place(a, g, place);
    audit_differs(a, CHECK_LEDGER, place,
                  "the ledger says ids %lld to %lld are missing, but the lake has %lld",
                  (long long)g->from_id, (long long)g->to_id, (long long)id);
}

void audit_ids_check(struct audit *a, const struct audit_ids *ids)
{
    size_t count, from = 0;
    const struct audit_gap *gaps = gaps_of(a, ids, &count);
    for (size_t i = 0; i + 1 < ids->count; i++) {
        const struct audit_interval *next = &ids->items[i + 1];
        int64_t first = ids->items[i].last + 1, last = next->first - 1;
        a->result->checks[CHECK_LEDGER].compared++;
        /* The first id ever seen is the floor: what a snapshot brings from below it opens no gap. */
        if (last < ids->floor) continue;
        if (a->o->gap_grace_ns > 0 &&
            a->newest_received_ns - a->o->gap_grace_ns < next->received_ns)
            continue;
        while (from < count && gaps[from].g.to_id < first) from++;
        check_hole(a, ids, gaps + from, count - from, first, last);
    }
    if (has_foreign(a, ids->series)) return; /* somebody else may have brought what we miss */
    for (size_t i = 0; i < count; i++) check_gap(a, ids, &gaps[i]);
}
