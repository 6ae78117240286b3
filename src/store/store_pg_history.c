/* Writers beside each other: a live source, and guests that bring what it did not hear. */
#include "store/store_pg.h"

#include "io/clock.h"

#include <stdlib.h>

/* ---- Gaps: what is missing only ever gets less ----
 *
 * The source that found a gap and the guests that bring its ids each tell its row by what they know, and none knows all. So a
 * row is brought up to date before it is stored, under the lock of the ledger's row:
 *   - repaired is final, then unrepairable, then open: a less final word than another's is left out;
 *   - of what two tell to be missing, only what both say is: the ledger's row of another teller narrows this one;
 *   - what a guest splits off a gap is left out where another guest did the same;
 *   - what guests brought (history_ids) is not missing, whatever the source remembers: a gap that it tells later, or splits
 *     off one, begins behind it. Its own memory of that comes with its next start.
 * A row that says nothing new is left out. Ids in the middle of a row stay in it: a row is one range. Bus and lake get the rows
 * as they are stored, in the order of the commits. */

struct told { /* the ledger's row */
    bool there, foreign;
    uint8_t state;
    int64_t from_id, to_id;
};

static int finality(uint8_t state)
{
    return state == GAP_STATE_REPAIRED ? 2 : state == GAP_STATE_UNREPAIRABLE ? 1 : 0;
}

static bool has_missing(const struct gap *g)
{
    return g->kind == GAP_IDS && g->has_ids && g->state != GAP_STATE_REPAIRED;
}

/* true: it changed. */
static bool narrow(struct gap *g, int64_t from_id, int64_t to_id, int64_t now_ns)
{
    int64_t before = g->to_id - g->from_id + 1, after = to_id - from_id + 1;
    if (after >= before) return false;
    g->rows_recovered += after > 0 ? before - after : before;
    g->missing_count = after > 0 ? after : 0;
    if (after > 0) {
        g->from_id = from_id;
        g->to_id = to_id;
        return true;
    }
    g->state = GAP_STATE_REPAIRED;
    g->closed_ns = now_ns;
    return true;
}

/* The result is in the order of the gaps' ids. */
static struct told find_told(const PGresult *r, int64_t gap_id)
{
    int low = 0, high = PQntuples(r);
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (store_pg_get(r, middle, 0, 0) < gap_id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == PQntuples(r) || store_pg_get(r, low, 0, 0) != gap_id) return (struct told){0};
    return (struct told){.there = true,
                         .foreign = store_pg_get(r, low, 1, 0) != 0,
                         .state = (uint8_t)store_pg_get(r, low, 2, 0),
                         .from_id = store_pg_get(r, low, 3, 0),
                         .to_id = store_pg_get(r, low, 4, -1)};
}

struct brought { /* by guests, in the order of the batch's gaps and then of ids */
    PGresult *r;
    int at;
};

/* Of [from_id, to_id], from the first to the last id that is not in the ranges of this gap; to_id < from_id: none. */
static void leave_out(struct brought *b, size_t gap, int64_t *from_id, int64_t *to_id)
{
    int64_t next = *from_id, first_missing = INT64_MAX, last_missing = 0;
    for (; b->at < PQntuples(b->r); b->at++) {
        int64_t place = store_pg_get(b->r, b->at, 0, 0) - 1;
        if (place > (int64_t)gap) break;
        int64_t first = store_pg_get(b->r, b->at, 1, 0), last = store_pg_get(b->r, b->at, 2, 0);
        if (place < (int64_t)gap || last < next || first > *to_id) continue;
        if (first > next) {
            if (first_missing == INT64_MAX) first_missing = next;
            last_missing = first - 1;
        }
        next = last + 1;
    }
    if (next <= *to_id) {
        if (first_missing == INT64_MAX) first_missing = next;
        last_missing = *to_id;
    }
    if (first_missing != INT64_MAX) {
        *from_id = first_missing;
        *to_id = last_missing;
    } else {
        *to_id = *from_id - 1;
    }
}

/* false: it says nothing that is not known. */
static bool bring_up_to_date(struct gap *g, const struct told *l, struct brought *brought,
                             size_t place, int64_t now_ns)
{
    bool foreign = l->there && l->foreign;
    if (foreign && finality(g->state) < finality(l->state)) return false;
    if (g->kind != GAP_IDS) return !foreign;
    if (!has_missing(g)) return !foreign || l->state != GAP_STATE_REPAIRED;
    int64_t from_id = g->from_id, to_id = g->to_id;
    bool both = foreign && l->from_id <= l->to_id;
    if (both && l->from_id > from_id) from_id = l->from_id;
    if (both && l->to_id < to_id) to_id = l->to_id;
    if (brought->r && from_id <= to_id) leave_out(brought, place, &from_id, &to_id);
    /* A row that was narrowed is not what its writer remembers, so that it may say the same of it once more. */
    bool narrowed = narrow(g, from_id, to_id, now_ns);
    bool same = g->state == l->state && (g->state == GAP_STATE_REPAIRED ||
                                         (g->from_id == l->from_id && g->to_id == l->to_id));
    return !l->there || !same || !(foreign || narrowed);
}

/* Guests tell of gaps one after the other: two that repair the same gap would split the same rest off it. */
static enum err_code read_told(struct store_pg *s, const struct batch *b, PGresult **ret,
                               struct err *e)
{
    struct store_pg_array ids;
    struct store_pg_args args = {0};
    if (s->role == STORE_GUEST) TRY(store_pg_run(&s->link, PG_lock_gaps, &args, NULL, e));
    store_pg_array_init(&ids, PG_OID_INT8);
    for (size_t i = 0; i < b->gap_count; i++) store_pg_array_add_number(&ids, b->gaps[i].gap_id);
    store_pg_bytes(&args, str_of(s->writer));
    store_pg_array_arg(&ids, &args);
    enum err_code code = store_pg_run(&s->link, PG_told_gaps, &args, ret, e);
    store_pg_array_free(&ids);
    return code;
}

/* A statement about what each gap of the batch says to be missing. */
static enum err_code read_by_range(struct store_pg *s, const struct batch *b,
                                   enum store_pg_statement which, PGresult **ret, struct err *e)
{
    struct store_pg_array columns[5];
    struct store_pg_args args = {0};
    for (int i = 0; i < 5; i++) store_pg_array_init(&columns[i], PG_OID_INT8);
    for (size_t i = 0; i < b->gap_count; i++) {
        const struct gap *g = &b->gaps[i];
        store_pg_array_add_number(&columns[0], s->to_db[g->series]);
        store_pg_array_add_number(&columns[1], g->stream);
        store_pg_array_add_number(&columns[2], has_missing(g) ? g->from_id : 0);
        store_pg_array_add_number(&columns[3], has_missing(g) ? g->to_id : -1);
        store_pg_array_add_number(&columns[4], g->gap_id);
    }
    for (int i = 0; i < 4; i++) store_pg_array_arg(&columns[i], &args);
    if (which == PG_brought)
        store_pg_number(&args, PG_HISTORY_RANGE_MAX);
    else
        store_pg_array_arg(&columns[4], &args);
    enum err_code code = store_pg_run(&s->link, which, &args, ret, e);
    for (int i = 0; i < 5; i++) store_pg_array_free(&columns[i]);
    return code;
}

struct
    ledger { /* what is known of the gaps of a batch; results of statements, NULL where nobody asked */
    PGresult *told;
    struct brought brought;
    PGresult *elsewhere; /* gaps that lie in the row of another gap */
};

static enum err_code read_ledger(struct store_pg *s, const struct batch *b, struct ledger *l,
                                 struct err *e)
{
    TRY(read_told(s, b, &l->told, e));
    if (s->role == STORE_OWNER) return read_by_range(s, b, PG_brought, &l->brought.r, e);
    for (size_t i = 0; i < b->gap_count; i++)
        if (!find_told(l->told, b->gaps[i].gap_id).there)
            return read_by_range(s, b, PG_told_elsewhere, &l->elsewhere, e);
    return ERR_OK;
}

static bool is_elsewhere(const struct ledger *l, size_t gap)
{
    for (int i = 0; l->elsewhere && i < PQntuples(l->elsewhere); i++)
        if (store_pg_get(l->elsewhere, i, 0, 0) == (int64_t)gap + 1) return true;
    return false;
}

static enum err_code merge(struct store_pg *s, struct batch *b, struct ledger *l, struct err *e)
{
    struct store_pg_twice *known = calloc(b->gap_count, sizeof *known);
    size_t count = 0;
    CHECK(known != NULL);
    int64_t now_ns = b->clock_ns != TIME_ABSENT ? b->clock_ns : clock_wall_ns();
    for (size_t i = 0; i < b->gap_count; i++) {
        const struct told told = find_told(l->told, b->gaps[i].gap_id);
        bool is_new = bring_up_to_date(&b->gaps[i], &told, &l->brought, i, now_ns);
        if (!is_new || (!told.there && is_elsewhere(l, i)))
            known[count++].sequence = b->gaps[i].sequence;
    }
    enum err_code code = store_pg_take_off(s, b, PG_GAPS, known, count, e);
    free(known);
    return code;
}

enum err_code store_pg_merge_gaps(struct store_pg *s, struct batch *b, struct err *e)
{
    struct ledger l = {0};
    enum err_code code = read_ledger(s, b, &l, e);
    if (code == ERR_OK) code = merge(s, b, &l, e);
    PQclear(l.told);
    PQclear(l.brought.r);
    PQclear(l.elsewhere);
    return code;
}

/* ---- Ids ---- */

struct ranges {
    struct store_pg_array series, streams, first, last;
    struct id_range now; /* not yet added; last < first: none */
};

static void flush(struct store_pg *s, struct ranges *r)
{
    if (r->now.last < r->now.first) return;
    store_pg_array_add_number(&r->series, s->to_db[r->now.series]);
    store_pg_array_add_number(&r->streams, r->now.stream);
    store_pg_array_add_number(&r->first, r->now.first);
    store_pg_array_add_number(&r->last, r->now.last);
}

static void add(struct store_pg *s, struct ranges *r, const struct trade *t)
{
    if (!t->has_id || t->id_text.n || t->id < 0 || t->id >= INT64_MAX - 1) return;
    bool next = r->now.last >= r->now.first && t->series == r->now.series &&
                t->stream == r->now.stream && t->id == r->now.last + 1 &&
                t->id - r->now.first < PG_HISTORY_RANGE_MAX;
    if (next) {
        r->now.last = t->id;
        return;
    }
    flush(s, r);
    r->now = (struct id_range){t->series, t->stream, t->id, t->id};
}

enum err_code store_pg_put_history(struct store_pg *s, const struct batch *b, struct err *e)
{
    struct ranges r = {.now = {.first = 1, .last = 0}};
    struct store_pg_array *const all[] = {&r.series, &r.streams, &r.first, &r.last};
    struct store_pg_args args = {0};
    for (int i = 0; i < 4; i++) store_pg_array_init(all[i], PG_OID_INT8);
    for (size_t i = 0; i < b->trade_count; i++) add(s, &r, &b->trades[i]);
    flush(s, &r);
    for (int i = 0; i < 4; i++) store_pg_array_arg(all[i], &args);
    enum err_code code =
        r.series.count ? store_pg_run(&s->link, PG_put_history, &args, NULL, e) : ERR_OK;
    for (int i = 0; i < 4; i++) store_pg_array_free(all[i]);
    return code;
}
