#include "base/crash.h"
#include "io/clock.h"
#include "lake/queue_internal.h"
#include "lake/rest_internal.h"

#include <stdlib.h>

/* One commit by the queue. Its row is inserted under an id made up here, so that it can be asked for by any connection: what
 * became of it is what the row says, never what an answer said or failed to say. While that is not known the commit is
 * pending; the caller asks again by calling again. */

enum { SETTLE_TRIES = 4, WAIT_MS = 250 };
/* Files of nobody are leftovers after a day (cleanup.c), decided rows are kept for an hour (queue_trim): after this time a
 * row must not be inserted any more. */
#define AGE_MAX_NS (10 * NS_PER_MINUTE)

struct lake_pending {
    char commit[LAKE_UUID_TEXT];
    struct buf payload;
    struct lake_move *moves;
    size_t move_count;
    int64_t made_ns;
    bool sent; /* it may be in the queue */
};

static void free_pending(struct lake *l)
{
    struct lake_pending *p = l->pending;
    for (size_t i = 0; i < p->move_count; i++) free((char *)(uintptr_t)p->moves[i].name);
    free(p->moves);
    buf_free(&p->payload);
    free(p);
    l->pending = NULL;
}

/* What may be in the queue is somebody's to fold. */
void lake_pending_drop(struct lake *l)
{
    if (!l->pending) return;
    if (l->pending->sent)
        lake_note_orphan(l);
    else
        lake_written_remove(l, 0);
    lake_written_forget(l);
    free_pending(l);
}

/* ---- making it */

/* Place of each row of a keyed table in the files just written, in the order in which they were written. */
static void add_keys(struct lake *l, const struct lake_change *c, struct queue_table *t)
{
    enum table_id id = c->table->t->id;
    const struct lake_rows *r = &l->rows[id];
    if (c->table->t->key_count == 0) return;
    t->keys = calloc(r->count + 1, sizeof *t->keys);
    CHECK(t->keys != NULL);
    const struct lake_sorted *rows = lake_rows_sort(l, id);
    uint32_t file = 0;
    int64_t position = 0;
    for (size_t i = 0; i < r->count; i++, position++) {
        while (position == t->files[file].rows) {
            file++;
            position = 0;
        }
        struct queue_key *k = &t->keys[t->key_count++];
        k->replaces = lake_wanted_of(l, id, rows[i].index, &k->w);
        k->file = file;
        k->position = position;
    }
}

static enum err_code write_table(struct lake *l, enum table_id id, struct lake_change *c,
                                 struct queue_table *t, struct err *e)
{
    lake_change_init(c, &l->tables[id], "append", 0, l->commit_ns);
    if (l->rows[id].count == 0) return ERR_OK;
    if (l->rest) TRY(rest_refresh_vended(l, id, e));
    TRY(lake_write_rows(l, c, e));
    t->files = calloc(c->added_count, sizeof *t->files);
    CHECK(t->files != NULL);
    for (size_t i = 0; i < c->added_count; i++) t->files[t->file_count++] = c->added[i].entry;
    add_keys(l, c, t);
    return ERR_OK;
}

static struct queue_proof *proofs_of(const struct lake *l)
{
    struct queue_proof *out = calloc(l->proofs.count + 1, sizeof *out);
    CHECK(out != NULL);
    for (size_t i = 0; i < l->proofs.count; i++) {
        const struct proof *p = &l->proofs.items[i];
        const struct series *s = series_get(l->o.series, p->series);
        out[i] = (struct queue_proof){.names = {s->venue, s->exchange, s->symbol, s->venue_symbol},
                                      .stream = p->stream,
                                      .minute = p->minute,
                                      .count = p->count,
                                      .sum = p->sum};
    }
    return out;
}

static enum err_code make(struct lake *l, struct lake_pending *p, struct err *e)
{
    struct lake_change changes[TABLE_MAX];
    struct queue_commit q = {.moves = p->moves,
                             .move_count = p->move_count,
                             .states = l->states,
                             .state_count = l->state_count,
                             .proofs = proofs_of(l),
                             .proof_count = l->proofs.count};
    enum err_code code = ERR_OK;
    int id = 0;
    for (; id < TABLE_MAX && code == ERR_OK; id++)
        code = write_table(l, (enum table_id)id, &changes[id], &q.tables[id], e);
    CRASH_POINT(lake_after_data);
    if (code == ERR_OK) code = lake_objects_flush(l, e);
    if (code == ERR_OK) queue_encode(&q, &p->payload);
    if (code == ERR_OK && p->payload.failed)
        code = ERR(e, ERR_INTERNAL, "lake: a commit describes itself in more than %d bytes",
                   QUEUE_PAYLOAD_MAX);
    for (int i = 0; i < id; i++) {
        lake_change_done(&changes[i]);
        free(q.tables[i].files);
        free(q.tables[i].keys);
    }
    free(q.proofs);
    return code;
}

static enum err_code new_pending(struct lake *l, const struct lake_move *moves, size_t count,
                                 struct err *e)
{
    struct lake_pending *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    l->pending = p;
    lake_uuid(p->commit);
    buf_init(&p->payload, QUEUE_PAYLOAD_MAX);
    p->made_ns = clock_wall_ns();
    p->moves = calloc(count, sizeof *p->moves);
    CHECK(p->moves != NULL);
    for (; p->move_count < count; p->move_count++) {
        const struct lake_move *m = &moves[p->move_count];
        p->moves[p->move_count] = (struct lake_move){strdup(m->name), m->from, m->to};
    }
    enum err_code code = make(l, p, e);
    if (code != ERR_OK) lake_pending_drop(l);
    return code;
}

static bool same_moves(const struct lake_pending *p, const struct lake_move *moves, size_t count)
{
    bool same = p->move_count == count;
    for (size_t i = 0; i < count && same; i++)
        same = strcmp(p->moves[i].name, moves[i].name) == 0 && p->moves[i].from == moves[i].from &&
               p->moves[i].to == moves[i].to;
    return same;
}

/* ---- settling it */

static bool is_lost(enum err_code code)
{
    return code == ERR_NETWORK || code == ERR_TIMEOUT || code == ERR_UNAVAILABLE;
}

/* Inserting it again is harmless: the id is unique, and a row that came through is left alone. */
static enum err_code send(struct lake *l, struct lake_pending *p, struct err *e)
{
    if (clock_wall_ns() - p->made_ns > AGE_MAX_NS || p->made_ns > clock_wall_ns() + AGE_MAX_NS)
        return ERR_NOT_FOUND;
    CRASH_POINT(queue_before_insert);
    p->sent = true;
    TRY(queue_put(l, p->commit, buf_str(&p->payload), e));
    CRASH_POINT(queue_after_insert);
    return ERR_OK;
}

static enum err_code settle_once(struct lake *l, struct queue_verdict *v, struct err *e)
{
    struct lake_pending *p = l->pending;
    *v = (struct queue_verdict){.state = QUEUE_ABSENT};
    if (p->sent) TRY(queue_look(l, p->commit, v, e));
    if (v->state == QUEUE_ABSENT) TRY(send(l, p, e));
    while (v->state == QUEUE_ABSENT || v->state == QUEUE_WAITS) {
        TRY(lake_fold(l, p->commit, v, e));
        if (v->state == QUEUE_ABSENT) return ERR_NOT_FOUND;
    }
    return ERR_OK;
}

static enum err_code settle(struct lake *l, struct queue_verdict *v, struct err *e)
{
    for (int try_number = 1;; try_number++) {
        enum err_code code = settle_once(l, v, e);
        if (!is_lost(code) || try_number == SETTLE_TRIES) return code;
        clock_sleep_ns(try_number * WAIT_MS * NS_PER_MS);
    }
}

static enum err_code judge(struct lake *l, const struct queue_verdict *v, struct err *e)
{
    switch (v->state) {
    case QUEUE_DONE: return ERR_OK;
    case QUEUE_FENCED:
        return ERR(e, ERR_FENCED, "%s: the commit was refused: %s", l->catalog_path, v->reason);
    default:
        return ERR(e, ERR_CORRUPT, "%s: the commit was refused as damaged: %s", l->catalog_path,
                   v->reason);
    }
}

enum err_code lake_commit_shared(struct lake *l, const struct lake_move *moves, size_t count,
                                 struct err *e)
{
    struct queue_verdict v;
    if (l->pending && !same_moves(l->pending, moves, count))
        return ERR(e, ERR_INTERNAL,
                   "lake: the outcome of a commit is not known and another one was asked for");
    if (!l->pending) TRY(new_pending(l, moves, count, e));
    enum err_code code = settle(l, &v, e);
    if (code == ERR_NOT_FOUND) {
        /* Too old: it is not in the queue and must not come into it. It may have been, though, folded by somebody and trimmed. */
        lake_pending_drop(l);
        return ERR(e, ERR_TIMEOUT, "%s: the commit could not be queued within %d minutes",
                   l->catalog_path, (int)(AGE_MAX_NS / NS_PER_MINUTE));
    }
    TRY(code);
    code = judge(l, &v, e);
    /* Done: the files are the table's. Refused: they are garbage in the catalog since then. */
    lake_written_forget(l);
    free_pending(l);
    if (code == ERR_FENCED) lake_rows_clear(l);
    return code;
}
