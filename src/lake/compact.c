#include "lake/lake_internal.h"

#include "base/crash.h"

#include <stdio.h>
#include <stdlib.h>

enum { GROUPS_PER_ROUND = 16 };

struct joining {
    const struct lake_plan *plan;
    struct lake_runs runs; /* where the rows of data files went */
};

/* Rows of the inputs that were deleted since they were read: with many workers somebody replaces candles all the time, and
 * nothing would ever be joined. Where they went in the output is known, so they are deleted there. */
static void carry_deletes(struct lake_change *c, const struct joining *j)
{
    for (size_t i = 0; i < j->plan->count; i++) {
        const struct lake_live *f = lake_index_by_serial(c->table, j->plan->serials[i]);
        for (size_t d = 0; d < f->deleted_count; d++) {
            const struct lake_run *r = lake_run_of(&j->runs, f->serial, f->deleted[d]);
            if (!r) continue;
            int64_t position = r->to + (f->deleted[d] - r->from);
            lake_change_target(c, (struct lake_target){.added = 1, .position = position});
        }
    }
}

static enum err_code write_carried(struct lake *l, struct lake_change *c, const struct joining *j,
                                   struct err *e)
{
    size_t carried = c->target_count;
    if (j->plan->deletes || c->added_count == 0) return ERR_OK;
    c->target_count = 0;
    carry_deletes(c, j);
    if (c->target_count == carried) return ERR_OK; /* they only become more */
    if (c->added_count > 1) lake_note_orphan(l);
    c->added_count =
        1; /* the joint file; the delete file of a race before is not enough any more */
    if (c->has_own[1]) lake_manifest_free(&c->own[1]);
    c->has_own[1] = false;
    return lake_deletes_write(l, c, e);
}

/* After another writer moved the table: the inputs must be live still. */
static enum err_code still_possible(struct lake *l, struct lake_change *c, struct err *e)
{
    const struct joining *j = c->ctx;
    const struct lake_plan *p = j->plan;
    for (size_t i = 0; i < p->count; i++) {
        const struct lake_live *f = lake_index_by_serial(c->table, p->serials[i]);
        bool gone = !f || (c->added_count == 0 && f->deleted_count != p->deleted[i]);
        if (gone || f->deleted_count < p->deleted[i])
            return ERR(e, ERR_CONFLICT, "table %s: another writer changed what was being joined",
                       c->table->t->name);
    }
    for (size_t i = 0; i < c->table->file_count; i++)
        if (c->table->files[i].unreadable)
            return ERR(e, ERR_CONFLICT,
                       "table %s: another writer deleted rows in a way not understood",
                       c->table->t->name);
    for (size_t i = 0; i < c->removed_count; i++)
        if (!lake_index_by_serial(c->table, c->removed[i]))
            return ERR(e, ERR_CONFLICT, "table %s: another writer removed deletes",
                       c->table->t->name);
    for (size_t i = 0; i < c->target_count; i++)
        if (!c->targets[i].added && !lake_index_by_serial(c->table, c->targets[i].serial))
            return ERR(e, ERR_CONFLICT, "table %s: another writer removed what deletes are of",
                       c->table->t->name);
    return write_carried(l, c, j, e);
}

/* ---- delete files that no live data file needs any more */

struct needing {
    const struct lake_change *c;
    bool needed;
    const struct lake_live *last;
};

static bool goes(const struct lake_change *c, uint32_t serial)
{
    for (size_t i = 0; i < c->removed_count; i++)
        if (c->removed[i] == serial) return true;
    return false;
}

static enum err_code is_needed(void *ctx, struct str path, int64_t position, struct err *e)
{
    (void)position;
    (void)e;
    struct needing *n = ctx;
    if (!n->last || !str_eq(n->last->path, path)) n->last = lake_index_by_path(n->c->table, path);
    if (n->last && !goes(n->c, n->last->serial)) n->needed = true;
    return ERR_OK;
}

static enum err_code drop_deletes(struct lake *l, struct lake_change *c, int32_t day, struct err *e)
{
    const struct lake_table *t = c->table;
    for (size_t i = 0; i < t->file_count; i++) {
        const struct lake_live *f = &t->files[i];
        if (f->content != LAKE_DELETES || f->foreign || f->day != day) continue;
        struct needing n = {.c = c};
        TRY(lake_deletes_read(l, f, is_needed, &n, e));
        if (!n.needed) lake_change_remove(c, f->serial);
    }
    return ERR_OK;
}

/* ---- one group */

static enum err_code join_data(struct lake *l, struct lake_change *c, const struct lake_plan *p,
                               struct lake_runs *runs, struct err *e)
{
    for (size_t i = 0; i < p->count; i++) lake_change_remove(c, p->serials[i]);
    if (p->rows > 0) {
        struct lake_data_writer w = {.l = l};
        enum err_code code = lake_merge_extras(l, &w, p->table, p->serials, p->count, e);
        if (code == ERR_OK) code = lake_data_open(&w, c, p->day, e);
        if (code == ERR_OK) code = lake_merge(l, &w, p->serials, p->count, runs, e);
        if (code == ERR_OK) code = lake_data_finish(&w, c, e);
        if (code != ERR_OK) {
            lake_data_abort(&w);
            return code;
        }
        CHECK(c->added[0].entry.rows == p->rows); /* not a row more or less than is live */
    }
    return drop_deletes(l, c, p->day, e);
}

struct collecting {
    struct lake_change *c;
    const struct lake_live *last;
};

static enum err_code collect_target(void *ctx, struct str path, int64_t position, struct err *e)
{
    (void)e;
    struct collecting *k = ctx;
    struct lake_change *c = k->c;
    if (!k->last || !str_eq(k->last->path, path)) k->last = lake_index_by_path(c->table, path);
    if (!k->last || !lake_live_is_deleted(k->last, position)) return ERR_OK;
    lake_change_target(c, (struct lake_target){.serial = k->last->serial, .position = position});
    return ERR_OK;
}

static enum err_code join_deletes(struct lake *l, struct lake_change *c, const struct lake_plan *p,
                                  struct err *e)
{
    struct collecting k = {.c = c};
    for (size_t i = 0; i < p->count; i++) {
        const struct lake_live *f = lake_index_by_serial(p->table, p->serials[i]);
        TRY(lake_deletes_read(l, f, collect_target, &k, e));
        lake_change_remove(c, p->serials[i]);
    }
    return lake_deletes_write(l, c, e);
}

static enum err_code run_plan(struct lake *l, const struct lake_plan *p, int64_t now_ns,
                              struct err *e)
{
    struct lake_change c, *changes[] = {&c};
    struct joining j = {.plan = p};
    lake_change_init(&c, p->table, "replace", l->position, now_ns);
    c.again = still_possible;
    c.ctx = &j;
    enum err_code code = p->deletes ? join_deletes(l, &c, p, e) : join_data(l, &c, p, &j.runs, e);
    lake_runs_sort(&j.runs);
    CRASH_POINT(compact_after_data);
    const struct lake_move still = {LAKE_POSITION, l->position, l->position};
    const struct lake_publish publish = {.changes = changes,
                                         .count = 1,
                                         .moves = &still,
                                         .move_count = l->catalog->shared ? 0 : 1,
                                         .now_ns = now_ns,
                                         .compaction = true};
    if (code == ERR_OK) code = lake_publish(l, &publish, e);
    if (l->outcome_unknown && l->catalog->shared) {
        lake_note_orphan(l); /* the next look at the pointer tells */
        l->outcome_unknown = false;
        lake_written_forget(l);
    } else if (code == ERR_OK || l->outcome_unknown)
        lake_written_forget(l);
    else
        lake_written_remove(l, 0);
    if (code == ERR_OK) atomic_fetch_add(&l->stats.compactions, 1);
    if (code == ERR_OK && j.runs.count && p->table->t->key_count && !c.done)
        lake_cache_move(l, p->table->t->id, &j.runs, c.added[0].serial);
    free(j.runs.items);
    lake_change_done(&c);
    return code;
}

static void tell_plan(const struct lake_plan *p, void (*tell)(void *ctx, const char *line),
                      void *ctx)
{
    char line[240], day[16] = "-";
    if (!tell) return;
    if (p->day != LAKE_NO_DAY) lake_day_text(p->day, day);
    snprintf(line, sizeof line, "%s %s: %zu %s of %lld bytes, %lld rows, become one",
             p->table->t->name, day, p->count, p->deletes ? "delete files" : "data files",
             (long long)p->bytes, (long long)p->rows);
    tell(ctx, line);
}

static enum err_code compact_table(struct lake *l, struct lake_table *t, bool dry_run,
                                   int64_t now_ns, int64_t *files,
                                   void (*tell)(void *ctx, const char *line), void *ctx,
                                   struct err *e)
{
    struct lake_plan plan;
    bool moved;
    TRY(lake_table_refresh(l, t, &moved, e));
    for (size_t group = 0; group < GROUPS_PER_ROUND; group++) {
        if (!lake_plan_next(l, t, dry_run ? group : 0, &plan)) break;
        tell_plan(&plan, tell, ctx);
        *files += (int64_t)plan.count;
        if (dry_run) continue;
        enum err_code code = run_plan(l, &plan, now_ns, e);
        if (code == ERR_CONFLICT) { /* planned anew in the next round */
            *files -= (int64_t)plan.count;
            if (tell) tell(ctx, "another writer was there first: planned anew next time");
            return ERR_OK;
        }
        TRY(code);
    }
    return ERR_OK;
}

enum err_code lake_compact(struct lake *l, bool dry_run, int64_t now_ns, int64_t *ret_files,
                           void (*tell)(void *ctx, const char *line), void *ctx, struct err *e)
{
    CHECK(dry_run || !l->o.read_only);
    bool mine = true;
    *ret_files = 0;
    l->commit_ns = now_ns;
    if (!dry_run) TRY(lake_upkeep_begin(l, &mine, e));
    if (!mine) return ERR_OK;
    enum err_code code = ERR_OK;
    for (int id = 0; id < TABLE_MAX && code == ERR_OK; id++)
        code = compact_table(l, &l->tables[id], dry_run, now_ns, ret_files, tell, ctx, e);
    if (!dry_run) lake_upkeep_end(l);
    return code;
}
