#include "lake/rest_internal.h"

#include "base/crash.h"
#include "io/clock.h"

#include <stdlib.h>

/* The act itself: everything is on the disk, then one transaction of the catalog makes it the truth. With a REST catalog it cannot
 * span the tables: each is committed there first, once, and the transaction takes the rest. */

static enum err_code write_garbage(struct lake *l, const struct lake_change *c, struct err *e)
{
    const struct lake_next *n = &c->next;
    const struct lake_table *t = c->table;
    const char *name = t->t->name;
    TRY(lake_catalog_add_garbage(l, name, n->garbage, n->garbage_count, c->now_ns, e));
    TRY(lake_catalog_add_garbage(l, name, t->vanished, t->vanished_count, c->now_ns, e));
    if (n->release_below < 0) return ERR_OK;
    return lake_catalog_release(l, name, n->release_below, c->now_ns, e);
}

static enum err_code move_positions(struct lake *l, const struct lake_publish *p, struct err *e)
{
    size_t moved;
    TRY(lake_catalog_move(l, p->moves, p->move_count, &moved, e));
    if (moved == p->move_count) return ERR_OK;
    const struct lake_move *m = &p->moves[moved];
    if (strcmp(m->name, LAKE_POSITION) == 0 && !l->catalog->shared)
        return ERR(e, ERR_IN_USE,
                   "%s: the position is no longer %lld: another ticklake writes to this lake; stop "
                   "one",
                   l->catalog_path, (long long)m->from);
    return ERR(e, ERR_FENCED, "%s: position %s is no longer %lld", l->catalog_path, m->name,
               (long long)m->from);
}

static enum err_code fill_rest(struct lake *l, const struct lake_publish *p, struct err *e)
{
    TRY(move_positions(l, p, e));
    if (p->proofs) TRY(lake_catalog_add_proofs(l, p->proofs, e));
    TRY(lake_catalog_put_states(l, p->states, p->state_count, e));
    for (size_t i = 0; i < p->count; i++)
        if (!p->changes[i]->done) TRY(write_garbage(l, p->changes[i], e));
    TRY(p->also ? p->also(l, p->ctx, e) : ERR_OK);
    if (p->also) CRASH_POINT(fold_before_commit);
    return ERR_OK;
}

static enum err_code fill_transaction(struct lake *l, const struct lake_publish *p, bool *ret_won,
                                      struct err *e)
{
    *ret_won = true;
    for (size_t i = 0; i < p->count && *ret_won; i++) {
        const struct lake_change *c = p->changes[i];
        TRY(lake_catalog_swap(l, c->table->t->name, c->table->metadata_location,
                              c->next.metadata_location, ret_won, e));
    }
    return *ret_won ? fill_rest(l, p, e) : ERR_OK;
}

static enum err_code transact(struct lake *l, const struct lake_publish *p, bool held,
                              bool *ret_won, struct err *e)
{
    if (p->compaction)
        CRASH_POINT(compact_before_pointer);
    else
        CRASH_POINT(lake_before_pointer);
    TRY(held ? l->catalog->mark(l, e) : lake_catalog_begin(l, e));
    enum err_code code = fill_transaction(l, p, ret_won, e);
    if (code == ERR_OK && !*ret_won && held) return l->catalog->back_to_mark(l, e);
    if (code == ERR_OK && *ret_won) code = lake_catalog_commit(l, e);
    if (!held && (code != ERR_OK || !*ret_won)) lake_catalog_rollback(l);
    if (code != ERR_OK || !*ret_won) return code;
    if (p->compaction)
        CRASH_POINT(compact_after_pointer);
    else
        CRASH_POINT(lake_after_pointer);
    return ERR_OK;
}

/* ---- the tables take over what is durable now */

static void adopt_files(struct lake_table *t, struct lake_change *c)
{
    for (size_t r = 0; r < c->next.remap_count; r++)
        for (size_t i = 0; i < t->file_count; i++)
            if (t->files[i].manifest == c->next.remaps[r].from)
                t->files[i].manifest = c->next.remaps[r].to;
    for (size_t i = 0; i < c->target_count; i++) {
        if (c->targets[i].added) continue;
        struct lake_live *f = lake_index_by_serial(t, c->targets[i].serial);
        CHECK(f != NULL);
        lake_live_delete(f, c->targets[i].position);
    }
    if (c->removed_count) lake_index_remove(t, c->removed, c->removed_count);
    for (size_t i = 0; i < c->added_count; i++) {
        struct lake_entry *n = &c->added[i].entry;
        n->sequence_number = c->next.sequence_number;
        const uint32_t manifest = c->own[n->content != LAKE_DATA].serial;
        c->added[i].serial = lake_index_add(t, n, manifest, true)->serial;
    }
    for (size_t i = 0; i < c->target_count; i++) {
        if (!c->targets[i].added) continue;
        uint32_t serial = c->added[c->targets[i].added - 1].serial;
        lake_live_delete(lake_index_by_serial(t, serial), c->targets[i].position);
    }
}

static void adopt(struct lake_change *c)
{
    struct lake_table *t = c->table;
    struct lake_next *n = &c->next;
    adopt_files(t, c);
    for (size_t i = 0; i < t->manifest_count; i++) lake_manifest_free(&t->manifests[i]);
    free(t->manifests);
    t->manifests = n->manifests;
    t->manifest_count = n->manifest_count;
    n->manifests = NULL;
    n->manifest_count = n->manifest_cap = 0;
    free(t->metadata_location);
    t->metadata_location = n->metadata_location;
    n->metadata_location = NULL;
    struct buf swap = t->metadata;
    t->metadata = n->metadata;
    n->metadata = swap;
    free(t->list_location);
    t->list_location = strdup(n->list_location);
    CHECK(t->list_location != NULL);
    t->last_sequence_number = n->sequence_number;
    t->last_updated_ms = n->timestamp_ms;
    if (strcmp(c->operation, "replace") != 0) t->newest_rows_ms = n->timestamp_ms;
    t->snapshot_id = c->snapshot_id;
    t->snapshot_count = n->snapshot_count;
    for (size_t i = 0; i < t->vanished_count; i++) free(t->vanished[i].location);
    t->vanished_count = 0;
    t->dirty = t->hint_stale = true;
    lake_table_hint(t);
}

/* ---- tries */

static enum err_code prepare(struct lake *l, const struct lake_publish *p, struct err *e)
{
    for (size_t i = 0; i < p->count; i++) {
        struct lake_change *c = p->changes[i];
        bool moved;
        TRY(lake_table_refresh(l, c->table, &moved, e));
        if (moved && c->again) TRY(c->again(l, c, e));
        TRY(lake_change_build_own(l, c, e));
    }
    return ERR_OK;
}

/* ---- in a REST catalog */

enum { POSITIONS_MAX = 2000 };

/* For people who look at a snapshot; the truth is in PostgreSQL. Left out where it is long. */
static void positions_text(const struct lake_publish *p, struct buf *to)
{
    buf_init(to, POSITIONS_MAX);
    for (size_t i = 0; i < p->move_count; i++)
        buf_addf(to, "%s%s=%lld", i ? "," : "", p->moves[i].name, (long long)p->moves[i].to);
    if (to->failed) buf_reset(to);
    to->failed = false;
}

/* The caller has just looked at the table. The order matters: the state that the commit is built on was loaded first, then the
 * lock is seen to be held still, then the server compares with that state. So whoever was frozen in between, and comes back when
 * others have long finished this fold and more, is refused by the lock or by the comparison. */
static enum err_code try_table(struct lake *l, struct lake_change *c, struct str positions,
                               size_t written, bool *ret_won, struct err *e)
{
    TRY(lake_change_build_own(l, c, e));
    TRY(lake_change_build(l, c, e));
    TRY(lake_objects_flush(l, e));
    TRY(l->catalog->still_held(l, e));
    CRASH_POINT(rest_before_commit);
    /* From here on they may be the table's, whatever is answered: what is not is found as leftovers. */
    lake_written_keep(l, written);
    TRY(rest_send_change(l, c, positions, ret_won, e));
    if (*ret_won) CRASH_POINT(rest_after_commit);
    return ERR_OK;
}

static enum err_code take_over(struct lake_change *c, struct err *e)
{
    struct lake_table *t = c->table;
    adopt(c);
    enum err_code code = lake_metadata_parse(t, e); /* what the server made of it */
    if (code != ERR_OK || t->snapshot_id != c->snapshot_id) *t->metadata_location = 0;
    return code;
}

static enum err_code publish_table(struct lake *l, const struct lake_publish *p,
                                   struct lake_change *c, struct str positions, struct err *e)
{
    for (int try_number = 0; try_number < LAKE_SWAP_TRIES; try_number++) {
        bool won = false, moved = false;
        if (try_number || !c->fold) TRY(lake_table_refresh(l, c->table, &moved, e));
        if (rest_has_commit(buf_str(&c->table->metadata), c->fold, c->snapshot_id)) {
            c->done = true;
            return ERR_OK;
        }
        if (try_number && !moved && l->rest->lost_status == 400) {
            if (e) *e = l->rest->lost; /* nobody else did anything: it is our request */
            return ERR_CONFIG;
        }
        if (moved && c->again) TRY(c->again(l, c, e));
        TRY(try_table(l, c, positions, p->written, &won, e));
        if (won) return take_over(c, e);
        lake_note_orphan(l);
        atomic_fetch_add(&l->stats.conflicts, 1);
        clock_sleep_ns((try_number + 1) * 10 * NS_PER_MS);
    }
    if (e) *e = l->rest->lost;
    if (e) e->code = ERR_UNAVAILABLE;
    err_prefix(e, "%d commits to table " LAKE_NAMESPACE ".%s in a row came to nothing; the last: ",
               LAKE_SWAP_TRIES, c->table->t->name);
    return ERR_UNAVAILABLE;
}

static enum err_code publish_rest(struct lake *l, const struct lake_publish *p, struct err *e)
{
    struct buf positions;
    enum err_code code = ERR_OK;
    positions_text(p, &positions);
    for (size_t i = 0; i < p->count && code == ERR_OK; i++)
        code = publish_table(l, p, p->changes[i], buf_str(&positions), e);
    buf_free(&positions);
    if (p->compaction)
        CRASH_POINT(compact_before_pointer);
    else
        CRASH_POINT(lake_before_pointer);
    if (code == ERR_OK) code = fill_rest(l, p, e);
    if (code == ERR_OK) code = lake_catalog_commit(l, e);
    if (code != ERR_OK) return code;
    if (p->compaction)
        CRASH_POINT(compact_after_pointer);
    else
        CRASH_POINT(lake_after_pointer);
    return ERR_OK;
}

/* ---- in the catalog itself */

static enum err_code try_often(struct lake *l, const struct lake_publish *p, bool held,
                               struct err *e)
{
    for (int try_number = 0; try_number < LAKE_SWAP_TRIES; try_number++) {
        TRY(prepare(l, p, e));
        size_t mark = l->written_count;
        for (size_t i = 0; i < p->count; i++) TRY(lake_change_build(l, p->changes[i], e));
        TRY(lake_objects_flush(l, e));
        bool won = false;
        TRY(transact(l, p, held, &won, e));
        if (won) {
            for (size_t i = 0; i < p->count; i++) adopt(p->changes[i]);
            return ERR_OK;
        }
        /* Lists and JSON files of a lost race: nobody points to them. */
        lake_written_remove(l, mark);
        atomic_fetch_add(&l->stats.conflicts, 1);
        clock_sleep_ns((try_number + 1) * 5 * NS_PER_MS); /* lets the other writer finish its own */
    }
    return ERR(e, ERR_CONFLICT, "lake: lost %d races for a table against another writer in a row",
               LAKE_SWAP_TRIES);
}

/* In a shared catalog everything from the first look at the pointers happens under the lock, so that only writers that are
 * not ours can come in between. In a file of one writer the lock is only held for the moment of the swap. */
enum err_code lake_publish(struct lake *l, const struct lake_publish *p, struct err *e)
{
    bool begin = l->catalog->shared && !p->begun;
    if (begin) TRY(lake_catalog_begin(l, e));
    enum err_code code = l->rest ? publish_rest(l, p, e) : try_often(l, p, begin || p->begun, e);
    if (begin && code != ERR_OK) lake_catalog_rollback(l);
    return code;
}
