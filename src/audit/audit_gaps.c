/* Check 5, second half: the ledger of the store against the gaps table of the lake, row by row. */
#include "audit/audit_internal.h"

#include <stdio.h>
#include <stdlib.h>

struct audit_lake_gaps {
    struct audit *a;
    struct map index; /* 8 bytes of gap_id -> place in rows */
    struct gap *rows;
    size_t count, cap;
    bool unread;
};

static struct str key_of(const int64_t *id) { return (struct str){(const char *)id, sizeof *id}; }

static enum err_code collect(void *ctx, const struct gap *g, const char *path, struct err *e)
{
    struct audit_lake_gaps *l = ctx;
    if (map_get(&l->index, key_of(&g->gap_id)) != MAP_NONE) {
        audit_differs(l->a, CHECK_LEDGER, path, "gap %lld has more than one row",
                      (long long)g->gap_id);
        return ERR_OK;
    }
    l->rows = array_grown(l->rows, l->count, &l->cap, sizeof *l->rows);
    l->rows[l->count] = *g;
    if (map_put(&l->index, key_of(&g->gap_id), (uint32_t)l->count) == MAP_FULL)
        return ERR(e, ERR_FULL, "%s: more gaps than verify can hold", path);
    l->count++;
    return ERR_OK;
}

/* The lake keeps microseconds. */
static bool same_time(int64_t a, int64_t b)
{
    if (a == TIME_ABSENT || b == TIME_ABSENT) return a == b;
    return time_micros(a) == time_micros(b);
}

static const char *difference(const struct gap *a, const struct gap *b)
{
    if (a->stream != b->stream || a->kind != b->kind) return "its stream or kind";
    if (a->state != b->state) return "its state";
    if (a->has_ids != b->has_ids || a->from_id != b->from_id || a->to_id != b->to_id)
        return "its ids";
    if (a->has_count != b->has_count || a->missing_count != b->missing_count)
        return "how many are missing";
    if (a->rows_recovered != b->rows_recovered) return "how many were recovered";
    bool times = same_time(a->from_time_ns, b->from_time_ns) &&
                 same_time(a->to_time_ns, b->to_time_ns) && same_time(a->opened_ns, b->opened_ns) &&
                 same_time(a->closed_ns, b->closed_ns);
    return times ? NULL : "its times";
}

static void compare_one(struct audit *a, struct audit_lake_gaps *l, const struct audit_gap *entry)
{
    const struct gap *g = &entry->g;
    const struct series *s = series_get(a->names, g->series);
    uint32_t at = map_get(&l->index, key_of(&g->gap_id));
    char place[512];
    snprintf(place, sizeof place, "gap %lld of %.*s %.*s", (long long)g->gap_id, STR_ARG(s->venue),
             STR_ARG(s->symbol));
    a->result->checks[CHECK_LEDGER].compared++;
    if (at == MAP_NONE) {
        audit_differs(a, CHECK_LEDGER, place,
                      "it is in the ledger, and not in the lake's gaps table");
        return;
    }
    const char *what = difference(g, &l->rows[at]);
    l->rows[at].gap_id = -1; /* met */
    if (what) audit_differs(a, CHECK_LEDGER, place, "%s in the lake's gaps table is another", what);
}

static void compare(struct audit *a, struct audit_lake_gaps *l)
{
    for (size_t i = 0; i < a->gap_count; i++) {
        /* How it stood at the position is not known any more: its older rows were removed by retention. */
        uint32_t at = map_get(&l->index, key_of(&a->gaps[i].g.gap_id));
        if (a->gaps[i].state != GAP_LATER)
            compare_one(a, l, &a->gaps[i]);
        else if (at != MAP_NONE)
            l->rows[at].gap_id = -1;
    }
    for (size_t i = 0; i < l->count; i++)
        if (l->rows[i].gap_id >= 0)
            audit_differs(a, CHECK_LEDGER, "the lake's gaps table", "gap %lld is not in the ledger",
                          (long long)l->rows[i].gap_id);
}

enum err_code audit_read_gaps(struct audit *a, struct err *e)
{
    struct audit_lake_gaps *l = calloc(1, sizeof *l);
    CHECK(l != NULL);
    l->a = a;
    map_init(&l->index, UINT32_MAX / 4);
    a->lake_gaps = l;
    enum err_code code = lake_each_gap(a->lake, collect, l, e);
    /* What cannot be read is told by the check of the files. */
    l->unread = code == ERR_CORRUPT || code == ERR_NOT_FOUND;
    return l->unread ? ERR_OK : code;
}

void audit_compare_gaps(struct audit *a)
{
    /* A commit in between may have been read in either state. */
    if (!a->lake_gaps->unread && a->position == a->position_after) compare(a, a->lake_gaps);
}

void audit_free_gaps(struct audit *a)
{
    if (!a->lake_gaps) return;
    map_free(&a->lake_gaps->index);
    free(a->lake_gaps->rows);
    free(a->lake_gaps);
    a->lake_gaps = NULL;
}
