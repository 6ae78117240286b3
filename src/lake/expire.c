#include "lake/lake_internal.h"

#include <stdio.h>

/* Commits trim the tables they touch (metadata_write.c). A table that nothing comes to keeps its snapshots, and with them files
 * that were long replaced: for these a snapshot without any change is added, and the trimming goes with it. */

static enum err_code expire(struct lake *l, struct lake_table *t, int64_t now_ns, struct err *e)
{
    struct lake_change c, *changes[] = {&c};
    lake_change_init(&c, t, "replace", l->position, now_ns);
    const struct lake_move still = {LAKE_POSITION, l->position, l->position};
    const struct lake_publish publish = {.changes = changes,
                                         .count = 1,
                                         .moves = &still,
                                         .move_count = l->catalog->shared ? 0 : 1,
                                         .now_ns = now_ns,
                                         .compaction = true};
    enum err_code code = lake_publish(l, &publish, e);
    if (l->outcome_unknown && l->catalog->shared) {
        lake_note_orphan(l); /* the next look at the pointer tells */
        l->outcome_unknown = false;
        lake_written_forget(l);
    } else if (code == ERR_OK || l->outcome_unknown)
        lake_written_forget(l);
    else
        lake_written_remove(l, 0);
    lake_change_done(&c);
    return code;
}

static enum err_code expire_all(struct lake *l, bool dry_run, int64_t now_ns, int64_t *ret_count,
                                void (*tell)(void *ctx, const char *line), void *ctx, struct err *e)
{
    for (int id = 0; id < TABLE_MAX; id++) {
        struct lake_table *t = &l->tables[id];
        bool moved;
        char line[240];
        TRY(lake_table_refresh(l, t, &moved, e));
        int64_t before = t->snapshot_count, excess = before - l->o.snapshots_keep;
        if (excess <= 0) continue;
        if (!dry_run) TRY(expire(l, t, now_ns, e));
        if (!dry_run) excess = before + 1 - t->snapshot_count; /* branches and tags keep theirs */
        *ret_count += excess;
        snprintf(line, sizeof line, "%s: %lld of %lld snapshots", t->t->name, (long long)excess,
                 (long long)before);
        if (tell) tell(ctx, line);
    }
    return ERR_OK;
}

enum err_code lake_expire(struct lake *l, bool dry_run, int64_t now_ns, int64_t *ret_count,
                          void (*tell)(void *ctx, const char *line), void *ctx, struct err *e)
{
    CHECK(dry_run || !l->o.read_only);
    bool mine = true;
    *ret_count = 0;
    l->commit_ns = now_ns;
    if (!dry_run) TRY(lake_upkeep_begin(l, &mine, e));
    if (!mine)
        return ERR(e, ERR_IN_USE,
                   "%s: another process is at the lake's upkeep right now; try again in a minute",
                   l->catalog_path);
    enum err_code code = expire_all(l, dry_run, now_ns, ret_count, tell, ctx, e);
    if (!dry_run) lake_upkeep_end(l);
    return code;
}
