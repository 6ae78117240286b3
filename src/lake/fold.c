#include "base/crash.h"
#include "io/clock.h"
#include "lake/queue_internal.h"
#include "lake/rest_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* Under the lock of the catalog: everything that waits in the queue becomes one change a table, published in that transaction
 * with the verdict of every row. Rows are taken in the order of their numbers; a row whose positions are not where it expects
 * them, after the rows before it, is refused. Nobody else of ours moves pointers or positions meanwhile.
 *
 * Where the tables are in a REST catalog no transaction spans them and the queue. The rows are marked with the fold's id first,
 * and that is committed: from then on the fold is what these rows make of the positions as they are, whoever makes it, since no
 * position moves before it is finished. Then the tables, one by one, each with the id in it; then positions, proof, states and
 * verdicts in one transaction. Whoever finds a recorded fold makes it again and leaves out the tables that have its id. */

#define FOLD_MEMORY ((size_t)1 << 30)

struct folded_row {
    struct queue_commit q;
    struct queue_verdict verdict;
    char *payload; /* texts of q point here */
};
struct fold {
    struct lake *l;
    char id[LAKE_UUID_TEXT];
    struct folded_row *rows;
    size_t row_count, row_cap, taken; /* taken: also those of a newer version */
    struct queue_verdict *verdicts;
    struct arena memory;
    struct map position_places, state_places; /* name -> place below */
    struct lake_move *moves;                  /* names differ: from as it was, to as it becomes */
    struct lake_state_put *states;
    size_t move_count, move_cap, state_count, state_cap;
    struct proof_set proofs;
    struct lake_change changes[TABLE_MAX], *pointers[TABLE_MAX];
    struct lake_replacing replacing[TABLE_MAX];
    size_t change_count, written;
    bool made; /* here, not by whoever had the lock after us */
};

static void init(struct fold *f, struct lake *l)
{
    *f = (struct fold){.l = l};
    lake_uuid(f->id);
    arena_init(&f->memory, FOLD_MEMORY);
    map_init(&f->position_places, 1 << 20);
    map_init(&f->state_places, 1 << 24);
    proof_set_init(&f->proofs);
}

static void done(struct fold *f)
{
    for (size_t i = 0; i < f->change_count; i++) {
        lake_change_done(&f->changes[i]);
        lake_replacing_free(&f->replacing[i]);
    }
    for (size_t i = 0; i < f->row_count; i++) free(f->rows[i].payload);
    free(f->rows);
    free(f->verdicts);
    free(f->moves);
    free(f->states);
    map_free(&f->position_places);
    map_free(&f->state_places);
    proof_set_free(&f->proofs);
    arena_free(&f->memory);
}

/* ---- judging */

/* Printable ASCII only: the reason goes into the catalog as text. */
static void set_reason(struct folded_row *row, enum queue_state state, const char *text)
{
    row->verdict.state = state;
    snprintf(row->verdict.reason, sizeof row->verdict.reason, "%.239s", text);
    for (char *p = row->verdict.reason; *p; p++)
        if (*p < ' ' || *p > '~') *p = '?';
}

static enum err_code add_place(void *ctx, struct str name, int64_t position, struct err *e)
{
    struct fold *f = ctx;
    char *copy = arena_alloc(&f->memory, name.n + 1);
    if (!copy || map_put(&f->position_places, name, (uint32_t)f->move_count) == MAP_FULL)
        return ERR(e, ERR_FULL, "lake: %zu positions", f->move_count);
    memcpy(copy, name.p, name.n);
    copy[name.n] = 0;
    f->moves = array_grown(f->moves, f->move_count, &f->move_cap, sizeof *f->moves);
    f->moves[f->move_count++] = (struct lake_move){copy, position, position};
    return ERR_OK;
}

/* A position that is not there is 0. */
static enum err_code place_of(struct fold *f, const char *name, struct lake_move **ret,
                              struct err *e)
{
    uint32_t at = map_get(&f->position_places, str_of(name));
    if (at == MAP_NONE) TRY(add_place(f, str_of(name), 0, e));
    *ret = &f->moves[at == MAP_NONE ? f->move_count - 1 : at];
    return ERR_OK;
}

/* All of a row's moves or none: first looked at, then made. */
static enum err_code judge_moves(struct fold *f, struct folded_row *row, struct err *e)
{
    const struct queue_commit *q = &row->q;
    struct lake_move *m;
    for (size_t i = 0; i < q->move_count; i++) {
        TRY(place_of(f, q->moves[i].name, &m, e));
        if (m->to == q->moves[i].from) continue;
        char text[240];
        snprintf(text, sizeof text, "position %.160s is %lld, not %lld", m->name, (long long)m->to,
                 (long long)q->moves[i].from);
        set_reason(row, QUEUE_FENCED, text);
        return ERR_OK;
    }
    for (size_t i = 0; i < q->move_count; i++) {
        TRY(place_of(f, q->moves[i].name, &m, e));
        m->to = q->moves[i].to;
    }
    return ERR_OK;
}

/* A file anywhere else could never be found again, or be somebody else's. */
static bool lies_in(const struct lake_table *t, struct str path)
{
    size_t n = strlen(t->location);
    return path.n > n + 6 && memcmp(path.p, t->location, n) == 0 &&
           memcmp(path.p + n, "/data/", 6) == 0 && !str_contains(path, "/../");
}

static bool all_lie_right(const struct fold *f, const struct queue_commit *q)
{
    for (int id = 0; id < TABLE_MAX; id++)
        for (size_t i = 0; i < q->tables[id].file_count; i++)
            if (!lies_in(&f->l->tables[id], q->tables[id].files[i].path)) return false;
    return true;
}

/* Of a newer version: left for a worker of that version, which folds its own row. */
static enum err_code take_row(void *ctx, int64_t id, struct str payload, struct err *e)
{
    struct fold *f = ctx;
    struct err found = {0};
    f->taken++;
    f->rows = array_grown(f->rows, f->row_count, &f->row_cap, sizeof *f->rows);
    struct folded_row *row = &f->rows[f->row_count];
    *row = (struct folded_row){.verdict = {.id = id, .state = QUEUE_DONE}};
    row->payload = malloc(payload.n + 1);
    CHECK(row->payload != NULL);
    if (payload.n) memcpy(row->payload, payload.p, payload.n);
    enum err_code code =
        queue_decode((struct str){row->payload, payload.n}, &f->memory, &row->q, &found);
    if (code == ERR_VERSION) {
        free(row->payload);
        return ERR_OK;
    }
    f->row_count++;
    if (code != ERR_OK) {
        set_reason(row, QUEUE_DAMAGED, found.text);
        return ERR_OK;
    }
    if (!all_lie_right(f, &row->q)) {
        set_reason(row, QUEUE_DAMAGED, "a file lies outside of its table");
        return ERR_OK;
    }
    return judge_moves(f, row, e);
}

/* ---- merging what was accepted */

static void put_state(struct fold *f, const struct lake_state_put *put)
{
    uint32_t at = map_get(&f->state_places, str_of(put->name));
    if (at != MAP_NONE) {
        f->states[at] = *put; /* the later one counts */
        return;
    }
    CHECK(map_put(&f->state_places, str_of(put->name), (uint32_t)f->state_count) != MAP_FULL);
    f->states = array_grown(f->states, f->state_count, &f->state_cap, sizeof *f->states);
    f->states[f->state_count++] = *put;
}

static enum err_code merge_state(struct fold *f, const struct queue_commit *q, struct err *e)
{
    for (size_t i = 0; i < q->state_count; i++) put_state(f, &q->states[i]);
    for (size_t i = 0; i < q->proof_count; i++) {
        const struct queue_proof *p = &q->proofs[i];
        uint32_t series =
            series_intern(f->l->o.series, p->names[0], p->names[1], p->names[2], p->names[3]);
        if (series == SERIES_NONE)
            return ERR(e, ERR_FULL, "lake: more than %d series", SERIES_LIMIT);
        proof_set_add(&f->proofs, series, p->stream, p->minute, p->count, p->sum);
    }
    return ERR_OK;
}

static struct str key_of(const struct queue_key *k)
{
    return (struct str){(const char *)&k->w.key, sizeof k->w.key};
}

/* One row a key: of two commits in this fold the later one counts, and the row of the earlier is deleted from the file that
 * this very snapshot adds. */
struct keyed {
    struct map places; /* key -> place in rows */
    struct lake_target *rows;
    size_t count, cap;
    struct map wanted; /* keys that stand in the list of wanted ones */
};

static void merge_key(struct keyed *k, struct lake_replacing *r, const struct queue_key *key,
                      uint32_t first_file)
{
    const struct lake_target here = {.added = first_file + key->file + 1,
                                     .position = key->position};
    uint32_t at = map_get(&k->places, key_of(key));
    if (at != MAP_NONE) {
        r->own = array_grown(r->own, r->own_count, &r->own_cap, sizeof *r->own);
        r->own[r->own_count++] = k->rows[at];
        k->rows[at] = here;
    } else {
        CHECK(map_put(&k->places, key_of(key), (uint32_t)k->count) != MAP_FULL);
        k->rows = array_grown(k->rows, k->count, &k->cap, sizeof *k->rows);
        k->rows[k->count++] = here;
    }
    if (!key->replaces || map_get(&k->wanted, key_of(key)) != MAP_NONE) return;
    CHECK(map_put(&k->wanted, key_of(key), 1) != MAP_FULL);
    r->wanted = array_grown(r->wanted, r->count, &r->cap, sizeof *r->wanted);
    r->wanted[r->count++] = key->w;
}

static void merge_table(struct fold *f, struct lake_change *c, struct lake_replacing *r)
{
    enum table_id id = c->table->t->id;
    struct keyed k = {0};
    map_init(&k.places, 1 << 26);
    map_init(&k.wanted, 1 << 26);
    for (size_t i = 0; i < f->row_count; i++) {
        const struct queue_table *t = &f->rows[i].q.tables[id];
        uint32_t first = (uint32_t)c->added_count;
        if (f->rows[i].verdict.state != QUEUE_DONE) continue;
        for (size_t n = 0; n < t->file_count; n++) {
            struct lake_new_file *added = lake_change_add(c);
            added->entry = t->files[n];
            added->entry.snapshot_id = c->snapshot_id;
        }
        for (size_t n = 0; n < t->key_count; n++) merge_key(&k, r, &t->keys[n], first);
    }
    map_free(&k.places);
    map_free(&k.wanted);
    free(k.rows);
}

/* Which fold was the last one in each table, for rest_check_folds. */
static void note_fold(struct fold *f, enum table_id id)
{
    char name[64], *copy = arena_alloc(&f->memory, sizeof name);
    CHECK(copy != NULL); /* far below the limit of what rows may hold */
    rest_fold_state(id, name);
    memcpy(copy, name, sizeof name);
    const struct lake_state_put put = {copy, str_of(f->id)};
    put_state(f, &put);
}

static bool has_files(const struct fold *f, int id)
{
    for (size_t i = 0; i < f->row_count; i++)
        if (f->rows[i].verdict.state == QUEUE_DONE && f->rows[i].q.tables[id].file_count)
            return true;
    return false;
}

static enum err_code make_changes(struct fold *f, struct err *e)
{
    int64_t last = f->row_count ? f->rows[f->row_count - 1].verdict.id : 0;
    for (size_t i = 0; i < f->row_count; i++)
        if (f->rows[i].verdict.state == QUEUE_DONE) TRY(merge_state(f, &f->rows[i].q, e));
    for (int id = 0; id < TABLE_MAX; id++) {
        if (!has_files(f, id)) continue;
        struct lake_change *c = &f->changes[f->change_count];
        struct lake_replacing *r = &f->replacing[f->change_count];
        struct lake_table *t = &f->l->tables[id];
        bool moved;
        if (!f->l->rest) TRY(lake_table_refresh(f->l, t, &moved, e)); /* else just done */
        if (f->l->rest) note_fold(f, (enum table_id)id);
        if (f->l->rest && rest_has_commit(buf_str(&t->metadata), f->id, -1)) continue;
        f->pointers[f->change_count++] = c;
        lake_change_init(c, t, "append", last, f->l->commit_ns);
        c->fold = f->l->rest ? f->id : NULL;
        merge_table(f, c, r);
        if (c->table->t->key_count == 0) continue;
        c->again = lake_replace_again;
        c->ctx = r;
        TRY(lake_replace(f->l, c, r, e));
    }
    return ERR_OK;
}

/* ---- the transaction */

static enum err_code drop_files(struct fold *f, const struct queue_commit *q, struct err *e)
{
    for (int id = 0; id < TABLE_MAX; id++) {
        const struct queue_table *t = &q->tables[id];
        for (size_t i = 0; i < t->file_count; i++) {
            char location[LAKE_LOCATION_MAX];
            CHECK(str_copy(location, sizeof location, t->files[i].path));
            const struct lake_garbage g = {.location = location};
            TRY(lake_catalog_garbage(f->l, table_of((enum table_id)id)->name, &g, f->l->commit_ns,
                                     e));
        }
    }
    return ERR_OK;
}

/* The verdicts, and the files of what was refused: whoever wrote them may be dead. A damaged row's are not believed. */
static void list_verdicts(struct fold *f)
{
    free(f->verdicts);
    f->verdicts = calloc(f->row_count, sizeof *f->verdicts);
    CHECK(f->verdicts != NULL);
    for (size_t i = 0; i < f->row_count; i++) f->verdicts[i] = f->rows[i].verdict;
}

static enum err_code write_verdicts(struct lake *l, const void *ctx, struct err *e)
{
    struct fold *f = (struct fold *)(uintptr_t)ctx;
    list_verdicts(f);
    for (size_t i = 0; i < f->row_count; i++)
        if (f->rows[i].verdict.state == QUEUE_FENCED) TRY(drop_files(f, &f->rows[i].q, e));
    return queue_decide(l, f->id, f->verdicts, f->row_count, e);
}

static void remember_keys(struct fold *f)
{
    for (size_t n = 0; n < f->change_count; n++) {
        const struct lake_change *c = &f->changes[n];
        enum table_id id = c->table->t->id;
        uint32_t first = 0;
        if (c->done) continue; /* what we made is not what is there */
        for (size_t i = 0; i < f->row_count && c->table->t->key_count; i++) {
            const struct queue_table *t = &f->rows[i].q.tables[id];
            if (f->rows[i].verdict.state != QUEUE_DONE) continue;
            for (size_t k = 0; k < t->key_count; k++)
                lake_cache_put(f->l, id, t->keys[k].w.key, c->added[first + t->keys[k].file].serial,
                               t->keys[k].position);
            first += (uint32_t)t->file_count;
        }
    }
}

static void drop_unmoved(struct fold *f)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->move_count; i++)
        if (f->moves[i].from != f->moves[i].to) f->moves[kept++] = f->moves[i];
    f->move_count = kept;
}

/* Marks the rows, and takes the lock again; *ret false: somebody finished the fold in between. */
static enum err_code record(struct fold *f, bool *ret, struct err *e)
{
    char now[LAKE_UUID_TEXT];
    struct lake *l = f->l;
    list_verdicts(f);
    TRY(queue_record(l, f->id, f->verdicts, f->row_count, e));
    enum err_code code = lake_catalog_commit(l, e);
    l->outcome_unknown = false; /* marked or not: the next fold sees */
    TRY(code);
    CRASH_POINT(fold_recorded);
    TRY(lake_catalog_begin(l, e));
    TRY(queue_recorded(l, now, e));
    *ret = strcmp(now, f->id) == 0;
    return ERR_OK;
}

/* Loads the tables that the fold is for. */
static enum err_code look_at_tables(struct fold *f, const char *recorded, bool *ret_any,
                                    struct err *e)
{
    bool which[TABLE_MAX] = {false}, moved;
    *ret_any = false;
    for (int id = 0; id < TABLE_MAX; id++) {
        which[id] = has_files(f, id);
        *ret_any |= which[id];
        if (which[id]) TRY(lake_table_refresh(f->l, &f->l->tables[id], &moved, e));
    }
    return rest_check_folds(f->l, which, recorded, e);
}

/* ERR_NOT_FOUND: nothing waits that we can read. *ret false: nothing is left to be done. */
static enum err_code take_rows(struct fold *f, bool *ret, struct err *e)
{
    char recorded[LAKE_UUID_TEXT] = "";
    *ret = true;
    if (f->l->rest) TRY(queue_recorded(f->l, recorded, e));
    if (*recorded) memcpy(f->id, recorded, sizeof f->id);
    TRY(lake_each_position(f->l, "", add_place, f, e));
    TRY(queue_each(f->l, *recorded ? recorded : NULL, take_row, f, e));
    if (*recorded && f->row_count < f->taken)
        return ERR(e, ERR_VERSION,
                   "%s: a fold of a newer version is not finished: start a worker of that version",
                   f->l->catalog_path);
    if (f->row_count == 0) return ERR_NOT_FOUND;
    bool any;
    if (!f->l->rest) return ERR_OK;
    TRY(look_at_tables(f, recorded, &any, e));
    return any && !*recorded ? record(f, ret, e) : ERR_OK;
}

static enum err_code fold_rows(struct fold *f, struct err *e)
{
    bool ours;
    f->written = f->l->written_count;
    TRY(take_rows(f, &ours, e));
    if (!ours) return ERR_OK;
    f->made = true;
    TRY(make_changes(f, e));
    drop_unmoved(f);
    const struct lake_publish p = {.changes = f->pointers,
                                   .count = f->change_count,
                                   .moves = f->moves,
                                   .move_count = f->move_count,
                                   .now_ns = f->l->commit_ns,
                                   .proofs = &f->proofs,
                                   .states = f->states,
                                   .state_count = f->state_count,
                                   .begun = true,
                                   .written = f->written,
                                   .also = write_verdicts,
                                   .ctx = f};
    return lake_publish(f->l, &p, e);
}

static enum err_code fold_locked(struct lake *l, const char *commit, struct queue_verdict *ret,
                                 struct err *e)
{
    if (commit) {
        TRY(queue_look(l, commit, ret, e));
        if (ret->state != QUEUE_WAITS) return ERR_OK; /* somebody folded it while we waited */
    }
    struct fold f;
    init(&f, l);
    size_t mark = l->written_count;
    enum err_code code = fold_rows(&f, e);
    if (code == ERR_OK) {
        lake_written_keep(l, mark);
        remember_keys(&f);
        atomic_fetch_add(&l->stats.folds, f.made);
        atomic_fetch_add(&l->stats.folded, f.made ? (int64_t)f.row_count : 0);
    } else if (l->outcome_unknown) {
        /* Its COMMIT may have come through: its files stay, and those of nobody are leftovers after a day. Asking later which
         * is not worth it: by then the list of files written is another commit's. */
        l->outcome_unknown = false;
        lake_written_keep(l, mark);
        lake_note_orphan(l);
    } else {
        lake_written_remove(l, mark);
    }
    done(&f);
    if (code == ERR_NOT_FOUND && commit)
        return ERR(e, ERR_VERSION, "%s: commits of a newer version are in front of ours",
                   l->catalog_path);
    return code == ERR_NOT_FOUND ? ERR_OK : code;
}

static enum err_code fold_once(struct lake *l, const char *commit, struct queue_verdict *ret,
                               struct err *e)
{
    *ret = (struct queue_verdict){.state = QUEUE_WAITS};
    TRY(lake_catalog_begin(l, e));
    enum err_code code = fold_locked(l, commit, ret, e);
    lake_catalog_rollback(l); /* where it was not committed */
    return code;
}

enum err_code lake_fold(struct lake *l, const char *commit, struct queue_verdict *ret,
                        struct err *e)
{
    TRY(fold_once(l, commit, ret, e));
    if (!commit) return l->rest ? fold_once(l, commit, ret, e) : ERR_OK; /* behind a recorded one */
    return ret->state == QUEUE_WAITS ? queue_look(l, commit, ret, e) : ERR_OK;
}
