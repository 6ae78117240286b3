#include "audit/audit_internal.h"

#include "io/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Differences told one by one for each check; one cause may show in a million minutes. */
enum { TOLD_MAX = 100, GAP_LIMIT = 50000000, TAPE_LIMIT = SERIES_LIMIT, END_TRIES = 5 };

static const struct {
    const char *name, *words;
} checks[AUDIT_CHECKS] = {
    [CHECK_ROWS] = {"store_rows", "rows of the store against what their batches claim"},
    [CHECK_LAKE] = {"store_lake", "minutes of the store against the lake's claim"},
    [CHECK_STORE_BUS] = {"store_bus", "minutes of the store against the records on the bus"},
    [CHECK_BUS_LAKE] = {"bus_lake", "records below the lake's positions against the lake's claim"},
    [CHECK_FILES] = {"lake_files", "minutes re-read from the data files against the lake's claim"},
    [CHECK_CANDLES] = {"candles", "candles against a recompute from the lake's trades"},
    [CHECK_LEDGER] =
        {"ledger",
         "missing ids against the open gaps of the ledger, and the ledger against the lake's"},
    [CHECK_FOREIGN] = {"foreign", "rows that other writers added"},
};

void audit_differs(struct audit *a, enum audit_check_id check, const char *place,
                   const char *format, ...)
{
    int64_t count = ++a->result->checks[check].differences;
    if (!a->o->difference || count > TOLD_MAX + 1) return;
    char text[1024];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (count <= TOLD_MAX)
        a->o->difference(a->o->ctx, checks[check].name, place, text);
    else
        a->o->difference(a->o->ctx, checks[check].name, "further places",
                         "more differences of this check are only counted");
}

void audit_progress(const struct audit *a, enum audit_check_id check, int64_t done, int64_t all)
{
    if (a->o->progress) a->o->progress(a->o->ctx, checks[check].name, done, all);
}

uint32_t audit_canonical(struct audit *a, struct audit_names *n, const struct series_table *from,
                         uint32_t series)
{
    if (series >= n->count) {
        uint32_t count = series_count(from);
        n->of = realloc(n->of, count * sizeof *n->of);
        CHECK(n->of != NULL && series < count);
        for (; n->count < count; n->count++) {
            const struct series *s = series_get(from, n->count);
            n->of[n->count] = series_intern(a->names, s->venue, s->exchange, s->symbol, s->symbol);
            CHECK(n->of[n->count] != SERIES_NONE);
        }
    }
    return n->of[series];
}

void audit_key_text(const struct audit *a, const struct proof *p, char text[512])
{
    const struct series *s = series_get(a->names, p->series);
    char minute[TIME_TEXT_MAX];
    time_format(p->minute * NS_PER_MINUTE, minute);
    bool same = str_eq(s->venue, s->exchange);
    snprintf(text, 512, "%.*s%s%.*s %.*s %s %s", STR_ARG(s->venue), same ? "" : "/",
             same ? 0 : (int)s->exchange.n, s->exchange.p, STR_ARG(s->symbol),
             stream_text((enum stream)p->stream), minute);
}

bool audit_same(const struct proof *x, const struct proof *y)
{
    int64_t nx = x ? x->count : 0, ny = y ? y->count : 0;
    u128 sx = x ? x->sum : 0, sy = y ? y->sum : 0;
    return nx == ny && sx == sy;
}

uint32_t audit_tape_of(struct audit *a, struct str venue, struct str symbol)
{
    char key[300];
    CHECK(venue.n + symbol.n + 1 < sizeof key);
    memcpy(key, venue.p, venue.n);
    key[venue.n] = '/';
    memcpy(key + venue.n + 1, symbol.p, symbol.n);
    struct str k = {key, venue.n + symbol.n + 1};
    uint32_t at = map_get(&a->tapes, k);
    if (at != MAP_NONE) return at;
    a->tape_list = array_grown(a->tape_list, a->tape_count, &a->tape_cap, sizeof *a->tape_list);
    at = (uint32_t)a->tape_count++;
    uint32_t series = series_intern(a->names, venue, venue, symbol, symbol);
    CHECK(series != SERIES_NONE && map_put(&a->tapes, k, at) != MAP_FULL);
    const struct series *s = series_get(a->names, series);
    struct audit_tape *t = &a->tape_list[at];
    *t = (struct audit_tape){.venue = s->venue, .symbol = s->symbol};
    for (int tf = 0; tf < TIMEFRAME_MAX; tf++) t->newest_end[tf] = INT64_MIN;
    return at;
}

static void set_up(struct audit *a, const struct audit_options *o, struct audit_result *ret)
{
    *a = (struct audit){.o = o, .result = ret, .newest_received_ns = TIME_ABSENT};
    *ret = (struct audit_result){0};
    for (int i = 0; i < AUDIT_CHECKS; i++) {
        ret->checks[i].name = checks[i].name;
        ret->checks[i].words = checks[i].words;
        bool hop = i == CHECK_STORE_BUS || i == CHECK_BUS_LAKE;
        ret->checks[i].applies = o->bus ? i != CHECK_LAKE : !hop;
    }
    a->store_place = o->store.url ? "PostgreSQL" : o->store.path;
    a->lake_place = o->lake.catalog_url ? "the lake's catalog" : o->lake.catalog_path;
    a->store_names = series_new();
    a->lake_names = series_new();
    a->names = series_new();
    struct proof_set *sets[] = {&a->claim, &a->reread, &a->foreign, &a->before, &a->after};
    for (int i = 0; i < 5; i++) proof_set_init(sets[i]);
    map_init(&a->tapes, TAPE_LIMIT);
    map_init(&a->gap_index, GAP_LIMIT);
}

static void tear_down(struct audit *a)
{
    audit_free_gaps(a);
    store_tail_close(a->tail);
    lake_close(a->lake);
    series_free(a->store_names);
    series_free(a->lake_names);
    series_free(a->names);
    struct proof_set *sets[] = {&a->claim, &a->reread, &a->foreign, &a->before, &a->after};
    for (int i = 0; i < 5; i++) proof_set_free(sets[i]);
    for (size_t i = 0; i < a->tape_count; i++) free(a->tape_list[i].days);
    map_free(&a->tapes);
    map_free(&a->gap_index);
    free(a->of_store.of);
    free(a->of_lake.of);
    free(a->tape_list);
    free(a->tape_of);
    free(a->pending);
    free(a->suspects);
    free(a->gaps);
}

enum err_code audit_open_lake(struct audit *a, struct lake **ret, struct err *e)
{
    struct lake_options o = a->o->lake;
    o.series = a->lake_names;
    o.snapshots_keep = o.metadata_keep = 1;
    o.read_only = true;
    return lake_open(&o, ret, e);
}

/* State "revise/second/<ns>/<venue>/<symbol>": a late trade is in the lake, its candles are made anew by the next
 * revision. */
enum err_code audit_note_pending(void *ctx, struct str name, struct str bytes, struct err *e)
{
    (void)bytes;
    struct audit *a = ctx;
    static const char kind[] = "revise/second/";
    const char *at = memmem(name.p, name.n, kind, sizeof kind - 1);
    if (!at) return ERR_OK;
    struct str rest = {at + sizeof kind - 1, name.n - (size_t)(at - name.p) - (sizeof kind - 1)};
    int64_t second;
    if (str_to_i64(str_cut(&rest, '/'), &second) != ERR_OK)
        return ERR(e, ERR_CORRUPT, "%s: state %.*s: expected a number behind revise/second/",
                   a->lake_place, STR_ARG(name));
    struct str venue = str_cut(&rest, '/');
    a->pending = array_grown(a->pending, a->pending_count, &a->pending_cap, sizeof *a->pending);
    a->pending[a->pending_count++] = (struct audit_pending){audit_tape_of(a, venue, rest), second};
    return ERR_OK;
}

void audit_add_canonical(struct audit *a, const struct proof_set *from, struct audit_names *n,
                         const struct series_table *names, struct proof_set *to)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct proof *p = &from->items[i];
        uint32_t series = audit_canonical(a, n, names, p->series);
        proof_set_add(to, series, p->stream, p->minute, p->count, p->sum);
    }
}

static enum err_code begin_lake(struct audit *a, struct err *e)
{
    if (!file_exists(a->o->lake.catalog_path)) return ERR_OK;
    enum err_code code = audit_open_lake(a, &a->lake, e);
    if (code == ERR_NOT_FOUND) return ERR_OK;
    TRY(code);
    a->position = a->position_after = lake_position(a->lake);
    struct proof_set raw;
    proof_set_init(&raw);
    code = lake_proofs(a->lake, &raw, e);
    if (code == ERR_OK) audit_add_canonical(a, &raw, &a->of_lake, a->lake_names, &a->claim);
    proof_set_free(&raw);
    if (code == ERR_OK) code = lake_each_state(a->lake, "revise/second/", audit_note_pending, a, e);
    return code;
}

enum err_code audit_store_side(struct audit *a, int64_t upto, struct proof_set *to, struct err *e)
{
    struct proof_set raw;
    proof_set_init(&raw);
    enum err_code code = store_proofs(a->tail, upto, &raw, e);
    if (code == ERR_OK) audit_add_canonical(a, &raw, &a->of_store, a->store_names, to);
    proof_set_free(&raw);
    return code;
}

/* A running program has committed while we looked. What lies between the two positions may have been read in either
 * state, so minutes that moved are left out. */
static enum err_code end_lake(struct audit *a, struct err *e)
{
    enum err_code code = ERR_HOLE;
    for (int i = 0; i < END_TRIES && code == ERR_HOLE; i++) { /* retention may pass the position */
        struct lake *now = NULL;
        TRY(audit_open_lake(a, &now, e));
        a->position_after = lake_position(now);
        code = lake_each_state(now, "revise/second/", audit_note_pending, a, e);
        lake_close(now);
        if (code != ERR_OK || store_tail_mark(a->tail) < a->position_after) return code;
        proof_set_clear(&a->after);
        code = audit_store_side(a, a->position_after, &a->after, e);
    }
    return code;
}

static enum err_code compare(struct audit *a, struct err *e)
{
    TRY(begin_lake(a, e));
    a->mark = a->result->store_sequence = store_tail_mark(a->tail);
    a->result->lake_position = a->position;
    if (a->lake && a->mark >= a->position) TRY(audit_store_side(a, a->position, &a->before, e));
    TRY(audit_load_gaps(a, e));
    TRY(audit_store_rows(a, e));
    audit_ledger_totals(a);
    if (!a->lake) return ERR_OK;
    TRY(audit_lake_files(a, e));
    TRY(audit_tapes(a, e));
    TRY(audit_read_gaps(a, e));
    TRY(end_lake(a, e));
    audit_compare_gaps(a);
    audit_compare_minutes(a);
    audit_tell_suspects(a);
    return ERR_OK;
}

enum err_code audit_verify(const struct audit_options *o, struct audit_result *ret, struct err *e)
{
    struct audit a;
    set_up(&a, o, ret);
    struct store_options so = o->store;
    so.series = a.store_names;
    so.read_only = true;
    enum err_code code = store_tail_open(&so, &a.tail, e);
    if (code == ERR_OK) code = o->bus ? audit_distributed(&a, e) : compare(&a, e);
    tear_down(&a);
    TRY(code);
    int64_t differences = 0;
    for (int i = 0; i < AUDIT_CHECKS; i++) differences += ret->checks[i].differences;
    if (differences == 0) return ERR_OK;
    return ERR(e, ERR_DIFFERENT, "verify found %lld differences", (long long)differences);
}
