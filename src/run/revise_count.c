/* candles_revised: how many candles the changes of a gap turned, added up in the lake's gaps table.
 *
 * The tail tells each change of a gap without that number, so a newer row would forget it: the sum is kept as state, from
 * the first change until the gap is closed. */
#include "run/revise_internal.h"

#include <stdio.h>

#define KIND "revise/counted/"

static struct str key_of(const int64_t *id) { return (struct str){(const char *)id, sizeof *id}; }

static enum err_code put(struct revise *rv, int64_t gap_id, int64_t sum, struct err *e)
{
    char name[64], text[32];
    int n = snprintf(name, sizeof name, "%s" KIND "%lld", rv->prefix, (long long)gap_id);
    int m = sum ? snprintf(text, sizeof text, "%lld", (long long)sum) : 0;
    CHECK(n > 0 && m >= 0);
    return lake_put_state(rv->lake, (struct str){name, (size_t)n}, (struct str){text, (size_t)m},
                          e);
}

static enum err_code restore(void *ctx, struct str name, struct str bytes, struct err *e)
{
    struct revise *rv = ctx;
    int64_t id, sum;
    size_t skip = strlen(rv->prefix) + strlen(KIND);
    struct str number = {name.p + skip, name.n - skip};
    if (str_to_i64(number, &id) != ERR_OK || str_to_i64(bytes, &sum) != ERR_OK || sum < 0 ||
        sum >= MAP_FULL)
        return ERR(e, ERR_CORRUPT, "catalog.db: state %.*s is no number", STR_ARG(name));
    map_put(&rv->counted, key_of(&id), (uint32_t)sum);
    return ERR_OK;
}

enum err_code revise_restore_counts(struct revise *rv, struct err *e)
{
    char name[64];
    snprintf(name, sizeof name, "%s" KIND, rv->prefix);
    return lake_each_state(rv->lake, name, restore, rv, e);
}

static int64_t counted(const struct revise *rv, int64_t gap_id)
{
    uint32_t sum = map_get(&rv->counted, key_of(&gap_id));
    return sum == MAP_NONE ? 0 : sum;
}

static enum err_code renew(void *ctx, const struct gap *row, const char *path, struct err *e)
{
    struct revise *rv = ctx;
    (void)path;
    int64_t sum = counted(rv, row->gap_id);
    if (sum == 0 || sum == row->candles_revised) return ERR_OK;
    struct gap g = *row;
    g.candles_revised = sum;
    TRY(lake_push_gap(rv->lake, &g, e));
    if (row->state == GAP_STATE_OPEN) return ERR_OK;
    map_put(&rv->counted, key_of(&g.gap_id), 0); /* closed: nothing tells of it any more */
    return put(rv, g.gap_id, 0, e);
}

enum err_code revise_count(struct revise *rv, struct err *e)
{
    bool any = false;
    for (size_t i = 0; i < rv->change_count; i++) {
        const struct change *c = &rv->changes[i];
        int64_t id = c->g.gap_id, sum = counted(rv, id) + c->revised;
        if (sum == 0) continue;
        if (sum >= MAP_FULL) sum = MAP_FULL - 1;
        if (map_put(&rv->counted, key_of(&id), (uint32_t)sum) == MAP_FULL)
            return ERR(e, ERR_FULL, "more than %d gaps with revised candles", REVISE_GAPS_MAX);
        TRY(put(rv, id, sum, e));
        any = true;
    }
    return any ? lake_each_gap(rv->lake, renew, rv, e) : ERR_OK;
}
