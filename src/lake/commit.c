#include "lake/lake_internal.h"

#include "base/crash.h"
#include "io/clock.h"

/* A commit: each touched table's rows become one data file a day, replaced rows are deleted by position, and
 * lake_publish makes it all visible at once. */

static enum err_code write_partition(struct lake_data_writer *w, enum table_id id,
                                     const struct lake_sorted *rows, size_t count, struct err *e)
{
    struct lake_row_set *set = &w->l->sets[id];
    for (size_t done = 0; done < count;) {
        size_t n = count - done < LAKE_ROW_GROUP ? count - done : LAKE_ROW_GROUP;
        lake_row_set_reset(set);
        lake_fill(w->l, id, set, rows + done, n);
        TRY(lake_data_add(w, set, e));
        done += n;
    }
    return ERR_OK;
}

enum err_code lake_write_rows(struct lake *l, struct lake_change *c, struct err *e)
{
    enum table_id id = c->table->t->id;
    TRY(lake_evolve(l, c->table, e));
    const struct lake_sorted *rows = lake_rows_sort(l, id);
    size_t count = l->rows[id].count;
    struct lake_data_writer w = {.l = l};
    w.extra_count = lake_extras_choose(l, c->table, w.extras);
    lake_row_set_reset(&l->sets[id]);
    lake_row_set_extras(&l->sets[id], w.extras, w.extra_count);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && rows[to].day == rows[from].day;) to++;
        enum err_code code = lake_data_open(&w, c, rows[from].day, e);
        if (code == ERR_OK) code = write_partition(&w, id, rows + from, to - from, e);
        if (code == ERR_OK) code = lake_data_finish(&w, c, e);
        if (code != ERR_OK) {
            lake_data_abort(&w);
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code replace(struct lake *l, struct lake_change *c, struct lake_replacing *r,
                             struct err *e)
{
    enum table_id id = c->table->t->id;
    if (c->table->t->key_count == 0) return ERR_OK;
    for (size_t i = 0; i < l->rows[id].count; i++) {
        r->wanted = array_grown(r->wanted, r->count, &r->cap, sizeof *r->wanted);
        r->count += lake_wanted_of(l, id, i, &r->wanted[r->count]);
    }
    c->again = lake_replace_again;
    c->ctx = r;
    return lake_replace(l, c, r, e);
}

static void remember_keys(struct lake *l, const struct lake_change *c)
{
    enum table_id id = c->table->t->id;
    const struct lake_rows *r = &l->rows[id];
    if (c->table->t->key_count == 0 || r->count == 0) return;
    const struct lake_sorted *rows =
        lake_rows_sort(l, id); /* the order in which they were written */
    size_t file = 0;
    int64_t position = 0;
    for (size_t i = 0; i < r->count; i++) {
        while (position == c->added[file].entry.rows) {
            file++;
            position = 0;
        }
        lake_cache_put(l, id, r->keys[rows[i].index], c->added[file].serial, position++);
    }
}

static enum err_code make_changes(struct lake *l, struct lake_change *changes,
                                  struct lake_replacing *replacing, size_t *count, int64_t position,
                                  struct err *e)
{
    for (int id = 0; id < TABLE_MAX; id++) {
        if (l->rows[id].count == 0) continue;
        struct lake_change *c = &changes[*count];
        lake_change_init(c, &l->tables[id], "append", position, l->commit_ns);
        ++*count;
        bool moved;
        TRY(lake_table_refresh(l, c->table, &moved, e));
        TRY(lake_write_rows(l, c, e));
        TRY(replace(l, c, &replacing[*count - 1], e));
    }
    CRASH_POINT(lake_after_data);
    return ERR_OK;
}

static void count_commit(struct lake *l, int64_t rows, int64_t started_ns)
{
    int64_t took = clock_mono_ns() - started_ns;
    atomic_fetch_add(&l->stats.commits, 1);
    atomic_fetch_add(&l->stats.rows, rows);
    atomic_fetch_add(&l->stats.commit_ns_total, took);
    if (took > atomic_load(&l->stats.commit_ns_max)) atomic_store(&l->stats.commit_ns_max, took);
    atomic_store(&l->stats.position, l->position);
}

static enum err_code commit_local(struct lake *l, const struct lake_move *moves, size_t move_count,
                                  int64_t now_ns, struct err *e)
{
    struct lake_change changes[TABLE_MAX], *pointers[TABLE_MAX];
    struct lake_replacing replacing[TABLE_MAX] = {{0}};
    for (int i = 0; i < TABLE_MAX; i++) pointers[i] = &changes[i];
    size_t count = 0;
    enum err_code code = make_changes(l, changes, replacing, &count, moves[0].to, e);
    const struct lake_publish p = {.changes = pointers,
                                   .count = count,
                                   .moves = moves,
                                   .move_count = move_count,
                                   .now_ns = now_ns,
                                   .proofs = &l->proofs,
                                   .states = l->states,
                                   .state_count = l->state_count};
    if (code == ERR_OK) code = lake_publish(l, &p, e);
    if (code == ERR_OK) {
        for (size_t i = 0; i < count; i++) remember_keys(l, &changes[i]);
        lake_written_forget(l);
    } else if (l->outcome_unknown) {
        lake_written_forget(l);
    } else {
        lake_written_remove(l, 0);
    }
    for (size_t i = 0; i < count; i++) {
        lake_change_done(&changes[i]);
        lake_replacing_free(&replacing[i]);
    }
    return code;
}

static enum err_code commit(struct lake *l, const struct lake_move *moves, size_t count,
                            int64_t now_ns, struct err *e)
{
    int64_t rows = lake_buffered_rows(l), started_ns = clock_mono_ns();
    if (l->outcome_unknown)
        return ERR(e, ERR_DISK,
                   "%s: the last commit failed in a way that may have been durable; start again to "
                   "find out",
                   l->catalog_path);
    l->commit_ns = now_ns;
    TRY(l->catalog->shared ? lake_commit_shared(l, moves, count, e)
                           : commit_local(l, moves, count, now_ns, e));
    for (size_t i = 0; i < count; i++)
        if (strcmp(moves[i].name, LAKE_POSITION) == 0) l->position = moves[i].to;
    lake_rows_clear(l);
    count_commit(l, rows, started_ns);
    return ERR_OK;
}

enum err_code lake_commit(struct lake *l, int64_t position, int64_t now_ns, struct err *e)
{
    const struct lake_move move = {LAKE_POSITION, l->position, position};
    enum err_code code = lake_commit_moves(l, &move, 1, now_ns, e);
    if (code != ERR_FENCED) return code;
    return ERR(e, ERR_IN_USE,
               "%s: the position is no longer %lld: another ticklake writes to this lake; stop one",
               l->catalog_path, (long long)move.from);
}

enum err_code lake_commit_moves(struct lake *l, const struct lake_move *moves, size_t count,
                                int64_t now_ns, struct err *e)
{
    CHECK(!l->o.read_only && count > 0);
    bool moving = lake_buffered_rows(l) > 0 || l->state_count > 0 || l->pending;
    for (size_t i = 0; i < count; i++) moving |= moves[i].from != moves[i].to;
    return moving ? commit(l, moves, count, now_ns, e) : ERR_OK;
}

void lake_drop(struct lake *l)
{
    lake_pending_drop(l);
    lake_rows_clear(l);
}
