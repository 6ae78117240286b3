#include "run/revise_internal.h"

#include <stdio.h>
#include <stdlib.h>

struct revise *revise_new(struct series_table *series, struct lake *lake, struct process *process,
                          const char *prefix)
{
    struct revise *rv = calloc(1, sizeof *rv);
    CHECK(rv != NULL);
    *rv = (struct revise){.names = series, .lake = lake, .process = process, .prefix = prefix};
    map_init(&rv->index, REVISE_MAX * 2);
    map_init(&rv->counted, REVISE_GAPS_MAX);
    return rv;
}

struct revise *revise_free(struct revise *rv)
{
    if (!rv) return NULL;
    map_free(&rv->index);
    map_free(&rv->counted);
    free(rv->dirty);
    free(rv->changes);
    free(rv);
    return NULL;
}

bool revise_pending(const struct revise *rv) { return rv->dirty_count + rv->change_count > 0; }
bool revise_is_full(const struct revise *rv)
{
    return rv->dirty_count + rv->change_count >= REVISE_MAX;
}

static struct str dirty_name(const struct revise *rv, const struct dirty *d,
                             char out[STATE_NAME_MAX])
{
    const struct series *s = series_get(rv->names, d->series);
    int n = snprintf(out, STATE_NAME_MAX, "%srevise/second/%lld/%.*s/%.*s", rv->prefix,
                     (long long)d->second_ns, STR_ARG(s->venue), STR_ARG(s->symbol));
    CHECK(n > 0 && n < STATE_NAME_MAX);
    return (struct str){out, (size_t)n};
}

static struct dirty *dirty_at(struct revise *rv, uint32_t series, int64_t second_ns)
{
    char text[STATE_NAME_MAX];
    struct dirty d = {.series = series, .second_ns = second_ns};
    struct str name = dirty_name(rv, &d, text);
    uint32_t at = map_get(&rv->index, name);
    if (at == MAP_NONE) {
        rv->dirty = array_grown(rv->dirty, rv->dirty_count, &rv->dirty_cap, sizeof *rv->dirty);
        at = (uint32_t)rv->dirty_count++;
        rv->dirty[at] = d;
        CHECK(map_put(&rv->index, name, at) != MAP_FULL);
    }
    rv->dirty[at].changed = true;
    return &rv->dirty[at];
}

void revise_late(struct revise *rv, const struct late_trade *l)
{
    struct dirty *d = dirty_at(rv, l->series, l->time_ns);
    for (int tf = 0; tf < TIMEFRAME_MAX; tf++) {
        if (!(l->timeframes >> tf & 1)) continue;
        if (d->counts[tf]++ == 0) d->first[tf] = l->sequence;
    }
}

void revise_rollup(struct revise *rv, uint32_t series, enum timeframe tf, int64_t open_time_ns)
{
    dirty_at(rv, series, open_time_ns)->rollups |= 1u << tf;
}

void revise_gap(struct revise *rv, const struct gap_change *g)
{
    rv->changes = array_grown(rv->changes, rv->change_count, &rv->change_cap, sizeof *rv->changes);
    rv->changes[rv->change_count++] = (struct change){.g = *g};
}

/* --- state: survives a crash with the commit that holds the cause --- */

static struct str change_name(const struct revise *rv, const struct gap_change *g,
                              char out[STATE_NAME_MAX])
{
    int n = snprintf(out, STATE_NAME_MAX, "%srevise/gap/%lld", rv->prefix, (long long)g->sequence);
    CHECK(n > 0 && n < STATE_NAME_MAX);
    return (struct str){out, (size_t)n};
}

static enum err_code persist_dirty(struct revise *rv, struct dirty *d, struct err *e)
{
    char name[STATE_NAME_MAX], text[STATE_NAME_MAX];
    size_t n = 0;
    for (int tf = 0; tf < TIMEFRAME_MAX; tf++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%lld,%lld,", (long long)d->counts[tf],
                              (long long)d->first[tf]);
    n += (size_t)snprintf(text + n, sizeof text - n, "%u", d->rollups);
    d->changed = false;
    return lake_put_state(rv->lake, dirty_name(rv, d, name), (struct str){text, n}, e);
}

static enum err_code persist_change(struct revise *rv, struct change *c, struct err *e)
{
    char name[STATE_NAME_MAX], text[STATE_NAME_MAX];
    const struct series *s = series_get(rv->names, c->g.series);
    int n = snprintf(text, sizeof text, "%lld,%lld,%lld,%lld,%.*s/%.*s", (long long)c->g.gap_id,
                     (long long)c->g.from_ns, (long long)c->g.to_ns, (long long)c->g.watermark_ns,
                     STR_ARG(s->venue), STR_ARG(s->symbol));
    CHECK(n > 0 && (size_t)n < sizeof text);
    c->persisted = true;
    return lake_put_state(rv->lake, change_name(rv, &c->g, name), (struct str){text, (size_t)n}, e);
}

enum err_code revise_persist(struct revise *rv, struct err *e)
{
    for (size_t i = 0; i < rv->dirty_count; i++)
        if (rv->dirty[i].changed) TRY(persist_dirty(rv, &rv->dirty[i], e));
    for (size_t i = 0; i < rv->change_count; i++)
        if (!rv->changes[i].persisted) TRY(persist_change(rv, &rv->changes[i], e));
    return ERR_OK;
}

static enum err_code bad_state(struct str name, struct err *e)
{
    return ERR(e, ERR_CORRUPT,
               "catalog.db: state %.*s cannot be read; restore the data folder from a copy",
               STR_ARG(name));
}

/* A worker that has just started knows no names yet: its rows bring them. */
static uint32_t series_of(struct revise *rv, struct str venue, struct str symbol)
{
    uint32_t found = series_find(rv->names, venue, symbol);
    return found != SERIES_NONE ? found : series_intern(rv->names, venue, venue, symbol, symbol);
}

static enum err_code restore_dirty(void *ctx, struct str name, struct str bytes, struct err *e)
{
    struct revise *rv = ctx;
    size_t skip = strlen(rv->prefix) + strlen("revise/second/");
    struct str rest = {name.p + skip, name.n - skip};
    int64_t second;
    if (str_to_i64(str_cut(&rest, '/'), &second) != ERR_OK) return bad_state(name, e);
    struct str venue = str_cut(&rest, '/');
    uint32_t series = series_of(rv, venue, rest);
    if (series == SERIES_NONE) return bad_state(name, e);
    struct dirty *d = dirty_at(rv, series, second);
    for (int tf = 0; tf < TIMEFRAME_MAX; tf++)
        if (str_to_i64(str_cut(&bytes, ','), &d->counts[tf]) != ERR_OK ||
            str_to_i64(str_cut(&bytes, ','), &d->first[tf]) != ERR_OK)
            return bad_state(name, e);
    int64_t rollups;
    if (str_to_i64(bytes, &rollups) != ERR_OK || rollups < 0 || rollups >= 1 << TIMEFRAME_MAX)
        return bad_state(name, e);
    d->rollups = (uint32_t)rollups;
    d->changed = false;
    return ERR_OK;
}

static enum err_code restore_change(void *ctx, struct str name, struct str bytes, struct err *e)
{
    struct revise *rv = ctx;
    size_t skip = strlen(rv->prefix) + strlen("revise/gap/");
    struct str sequence = {name.p + skip, name.n - skip};
    struct gap_change g = {0};
    if (str_to_i64(sequence, &g.sequence) != ERR_OK ||
        str_to_i64(str_cut(&bytes, ','), &g.gap_id) != ERR_OK ||
        str_to_i64(str_cut(&bytes, ','), &g.from_ns) != ERR_OK ||
        str_to_i64(str_cut(&bytes, ','), &g.to_ns) != ERR_OK ||
        str_to_i64(str_cut(&bytes, ','), &g.watermark_ns) != ERR_OK)
        return bad_state(name, e);
    struct str venue = str_cut(&bytes, '/');
    g.series = series_of(rv, venue, bytes);
    if (g.series == SERIES_NONE) return bad_state(name, e);
    revise_gap(rv, &g);
    rv->changes[rv->change_count - 1].persisted = true;
    return ERR_OK;
}

enum err_code revise_restore(struct revise *rv, struct err *e)
{
    char name[STATE_NAME_MAX];
    snprintf(name, sizeof name, "%srevise/second/", rv->prefix);
    TRY(lake_each_state(rv->lake, name, restore_dirty, rv, e));
    snprintf(name, sizeof name, "%srevise/gap/", rv->prefix);
    TRY(lake_each_state(rv->lake, name, restore_change, rv, e));
    return revise_restore_counts(rv, e);
}

enum err_code revise_forget(struct revise *rv, struct err *e)
{
    char name[STATE_NAME_MAX];
    for (size_t i = 0; i < rv->dirty_count; i++)
        TRY(lake_put_state(rv->lake, dirty_name(rv, &rv->dirty[i], name), STR(""), e));
    for (size_t i = 0; i < rv->change_count; i++)
        TRY(lake_put_state(rv->lake, change_name(rv, &rv->changes[i].g, name), STR(""), e));
    rv->dirty_count = rv->change_count = 0;
    map_clear(&rv->index);
    return ERR_OK;
}
