/* Opening, the writer's lock, and coming back after an outage. */
#include "store/store_pg.h"

#include "base/array.h"
#include "base/hash.h"
#include "io/clock.h"

#include <stdio.h>
#include <stdlib.h>

/* A writer killed a moment ago holds its lock until its backend notices. */
enum {
    LOCK_WAIT_MS = 5000,
    LOCK_AGAIN_MS = 100,
    WRITER_MAX_BYTES = 60,
    COPY_MAX_BYTES = 256 << 20
};

static int64_t lock_key(const char *writer)
{
    char text[128];
    int n = snprintf(text, sizeof text, "ticklake writer %s", writer);
    CHECK(n > 0 && (size_t)n < sizeof text);
    return (int64_t)hash64((struct str){text, (size_t)n});
}

/* *ret_ours: the connection that we lost has it still; it was told to end. */
static enum err_code look_at_holder(struct store_pg *s, int64_t key, bool *ret_ours, struct err *e)
{
    struct store_pg_args args = {0};
    store_pg_number(&args, key);
    PGresult *r;
    *ret_ours = false;
    TRY(store_pg_run(&s->link, PG_lock_holder, &args, &r, e));
    enum err_code code = ERR_OK;
    if (PQntuples(r)) {
        int64_t pid = store_pg_get(r, 0, 0, 0);
        struct str start = store_pg_get_bytes(r, 0, 1);
        *ret_ours = s->backend_pid && pid == s->backend_pid && str_is(start, s->backend_start);
        code = ERR(e, ERR_IN_USE,
                   "%s: writer \"%s\" is in use by server process %lld (%.*s from %.*s): stop that "
                   "process, or give this one another store.writer",
                   s->link.address, s->writer, (long long)pid, STR_ARG(store_pg_get_bytes(r, 0, 2)),
                   STR_ARG(store_pg_get_bytes(r, 0, 3)));
    } else {
        code = ERR(e, ERR_IN_USE, "%s: writer \"%s\" is in use", s->link.address, s->writer);
    }
    if (*ret_ours) {
        struct store_pg_args whom = {0};
        store_pg_number(&whom, s->backend_pid);
        store_pg_bytes(&whom, str_of(s->backend_start));
        code = store_pg_run(&s->link, PG_end_backend, &whom, NULL, e);
    }
    PQclear(r);
    return code;
}

static enum err_code try_lock(struct store_pg *s, int64_t key, bool *ret_got, char start[64],
                              struct err *e)
{
    struct store_pg_args args = {0};
    store_pg_number(&args, key);
    PGresult *r;
    TRY(store_pg_run(&s->link, PG_try_lock, &args, &r, e));
    *ret_got = store_pg_get(r, 0, 0, 0) != 0;
    bool fits = str_copy(start, 64, store_pg_get_bytes(r, 0, 1));
    PQclear(r);
    CHECK(fits);
    return ERR_OK;
}

/* Until the session ends. Whoever has it may believe that nothing of an earlier session of this writer is still underway. */
static enum err_code take_lock(struct store_pg *s, struct err *e)
{
    int64_t key = lock_key(s->writer), until = clock_mono_ns() + LOCK_WAIT_MS * NS_PER_MS;
    for (;;) {
        bool got, ours;
        char start[64];
        TRY(try_lock(s, key, &got, start, e));
        if (got) {
            s->backend_pid = PQbackendPID(s->link.conn);
            memcpy(s->backend_start, start, sizeof start);
            return ERR_OK;
        }
        enum err_code code = look_at_holder(s, key, &ours, e);
        if (code != ERR_OK && code != ERR_IN_USE) return code;
        if (clock_mono_ns() > until)
            return ours ? ERR(e, ERR_UNAVAILABLE, "%s: the lost connection has not ended yet",
                              s->link.address)
                        : code;
        clock_sleep_ns(LOCK_AGAIN_MS * NS_PER_MS);
    }
}

struct newest {
    int64_t number, first, last, received_ns;
};

static enum err_code newest_of_writer(struct store_pg *s, struct newest *ret, struct err *e)
{
    struct store_pg_args args = {0};
    store_pg_bytes(&args, str_of(s->writer));
    PGresult *r;
    TRY(store_pg_run(&s->link, PG_newest_of_writer, &args, &r, e));
    *ret = (struct newest){.received_ns = TIME_ABSENT};
    if (PQntuples(r))
        *ret = (struct newest){store_pg_get(r, 0, 0, 0), store_pg_get(r, 0, 1, 0),
                               store_pg_get(r, 0, 2, 0), store_pg_get(r, 0, 3, TIME_ABSENT)};
    PQclear(r);
    return ERR_OK;
}

/* Behind an outage: was the batch whose commit nobody answered done? */
static enum err_code settle(struct store_pg *s, struct err *e)
{
    struct newest n;
    TRY(newest_of_writer(s, &n, e));
    bool next = s->uncertain && n.number == s->number + 1 && n.first == s->pending_first &&
                n.last == s->pending_last;
    if (n.number != s->number && !next)
        return ERR(e, ERR_IN_USE,
                   "%s: writer \"%s\" wrote batch %lld here, but batch %lld is the newest there: "
                   "another process writes under this name, or the server was put back to an "
                   "older state",
                   s->link.address, s->writer, (long long)s->number, (long long)n.number);
    s->uncertain = false;
    if (!next) return ERR_OK;
    s->found = true;
    s->number = n.number;
    s->base.mark = n.last;
    s->base.newest_received_ns = n.received_ns;
    s->next_sequence =
        0; /* the next batch begins a new block: instruments may stand behind this one */
    return ERR_OK;
}

static enum err_code connect_writer(struct store_pg *s, struct err *e)
{
    char what[80];
    (void)snprintf(what, sizeof what, "ticklake store %.40s", s->writer ? s->writer : "guest");
    return store_pg_connect(&s->link, s->url, what, s->read_only, e);
}

enum err_code store_pg_ready(struct store_pg *s, struct err *e)
{
    enum err_code code = ERR_OK;
    if (!store_pg_is_up(&s->link)) {
        store_pg_disconnect(&s->link);
        TRY(connect_writer(s, e));
        code = take_lock(s, e);
        if (code == ERR_OK) code = settle(s, e);
        s->reload = true;
    }
    if (code == ERR_OK && s->reload) {
        code = store_pg_series_load(s, e);
        if (code == ERR_OK) code = store_pg_days_load(&s->link, &s->days, e);
        if (code == ERR_OK) s->reload = false;
    }
    if (code != ERR_OK) store_pg_disconnect(&s->link);
    return code;
}

static enum err_code copy_bytes(struct store_pg *s, struct str bytes, struct str *ret,
                                struct err *e)
{
    if (arena_copy(&s->base.loaded.arena, bytes, ret)) return ERR_OK;
    return ERR(e, ERR_FULL, "%s: its state is larger than %zu bytes", s->link.address,
               s->base.loaded.arena.limit);
}

/* The database's number to ours; every stored series is known here by now. */
static uint32_t from_db(const struct store_pg *s, int64_t there)
{
    return there >= 0 && there < s->from_db_cap ? s->from_db[there] : SERIES_NONE;
}

static enum err_code load_dedup(struct store_pg *s, const PGresult *r, int row, struct err *e)
{
    struct store_loaded *l = &s->base.loaded;
    uint32_t series = from_db(s, store_pg_get(r, row, 0, -1));
    int64_t stream = store_pg_get(r, row, 1, -1);
    if (series == SERIES_NONE || stream < 0 || stream >= STREAM_MAX)
        return ERR(e, ERR_CORRUPT, "%s: dedup state of series %lld, stream %lld: no such thing",
                   s->link.address, (long long)store_pg_get(r, row, 0, -1), (long long)stream);
    l->dedup = array_grown(l->dedup, l->state.dedup_count, &l->dedup_cap, sizeof *l->dedup);
    struct dedup_state *d = &l->dedup[l->state.dedup_count++];
    *d = (struct dedup_state){.series = series, .stream = (uint8_t)stream};
    return copy_bytes(s, store_pg_get_bytes(r, row, 2), &d->bytes, e);
}

static enum err_code load_brought(struct store_pg *s, const PGresult *r, int row, struct err *e)
{
    struct store_loaded *l = &s->base.loaded;
    uint32_t series = from_db(s, store_pg_get(r, row, 0, -1));
    int64_t stream = store_pg_get(r, row, 1, -1);
    if (series == SERIES_NONE || stream < 0 || stream >= STREAM_MAX)
        return ERR(e, ERR_CORRUPT, "%s: history_ids of series %lld, stream %lld: no such thing",
                   s->link.address, (long long)store_pg_get(r, row, 0, -1), (long long)stream);
    l->brought =
        array_grown(l->brought, l->state.brought_count, &l->brought_cap, sizeof *l->brought);
    l->brought[l->state.brought_count++] = (struct id_range){.series = series,
                                                             .stream = (uint8_t)stream,
                                                             .first = store_pg_get(r, row, 2, 0),
                                                             .last = store_pg_get(r, row, 3, 0)};
    return ERR_OK;
}

static enum err_code load_position(struct store_pg *s, const PGresult *r, int row, struct err *e)
{
    struct store_loaded *l = &s->base.loaded;
    l->positions =
        array_grown(l->positions, l->state.position_count, &l->position_cap, sizeof *l->positions);
    struct source_position *p = &l->positions[l->state.position_count++];
    p->frames = store_pg_get(r, row, 1, 0);
    p->done = store_pg_get(r, row, 2, 0) != 0;
    return copy_bytes(s, store_pg_get_bytes(r, row, 0), &p->name, e);
}

static enum err_code load_gap(struct store_pg *s, const PGresult *r, int row, struct err *e)
{
    struct store_loaded *l = &s->base.loaded;
    const struct store_pg_reader rd = {s->link.address, r, &l->arena, SERIES_LIMIT};
    l->open_gaps =
        array_grown(l->open_gaps, l->state.open_gap_count, &l->open_gap_cap, sizeof *l->open_gaps);
    struct gap *g = &l->open_gaps[l->state.open_gap_count++];
    TRY(store_pg_get_gap(&rd, row, g, e));
    uint32_t series = from_db(s, g->series);
    if (series == SERIES_NONE)
        return ERR(e, ERR_CORRUPT, "%s: gap %lld is of a series that does not exist",
                   s->link.address, (long long)g->gap_id);
    g->series = series;
    return ERR_OK;
}

static enum err_code load_instrument(struct store_pg *s, const PGresult *r, int row, struct err *e)
{
    struct store_loaded *l = &s->base.loaded;
    const struct store_pg_reader rd = {s->link.address, r, &l->arena, SERIES_LIMIT};
    l->instruments = array_grown(l->instruments, l->state.instrument_count, &l->instrument_cap,
                                 sizeof *l->instruments);
    return store_pg_get_instrument(&rd, row, &l->instruments[l->state.instrument_count++], e);
}

static enum err_code load_state(struct store_pg *s, struct err *e)
{
    static const struct {
        enum store_pg_statement statement;
        bool of_owner, of_guest; /* neither: both */
        enum err_code (*load)(struct store_pg *s, const PGresult *r, int row, struct err *e);
    } parts[] = {{PG_read_dedup, true, false, load_dedup},
                 {PG_read_all_dedup, false, true, load_dedup},
                 {PG_read_history, false, false, load_brought},
                 {PG_read_positions, true, false, load_position},
                 {PG_read_own_gaps, true, false, load_gap},
                 {PG_read_all_instruments, false, false, load_instrument}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].of_owner && s->role != STORE_OWNER) continue;
        if (parts[i].of_guest && (s->role != STORE_GUEST || s->read_only)) continue;
        struct store_pg_args args = {0};
        if (parts[i].of_owner) store_pg_bytes(&args, str_of(s->writer));
        PGresult *r;
        TRY(store_pg_run(&s->link, parts[i].statement, &args, &r, e));
        enum err_code code = ERR_OK;
        for (int row = 0; row < PQntuples(r) && code == ERR_OK; row++)
            code = parts[i].load(s, r, row, e);
        PQclear(r);
        TRY(code);
    }
    struct store_loaded *l = &s->base.loaded;
    l->state.dedup = l->dedup;
    l->state.positions = l->positions;
    l->state.open_gaps = l->open_gaps;
    l->state.instruments = l->instruments;
    l->state.brought = l->brought;
    return ERR_OK;
}

/* A guest has a number of its own, so that its batches are known by (writer, number) too. */
static enum err_code name_writer(struct store_pg *s, const char *writer, struct err *e)
{
    char name[WRITER_MAX_BYTES + 32];
    int64_t guest = 0;
    if (s->role == STORE_GUEST && !s->read_only)
        TRY(store_pg_ask(&s->link, PG_next_guest, NULL, 0, &guest, e));
    if (guest)
        (void)snprintf(name, sizeof name, "%s guest %lld", writer, (long long)guest);
    else
        (void)snprintf(name, sizeof name, "%s", writer);
    s->writer = strdup(name);
    CHECK(s->writer != NULL);
    return ERR_OK;
}

static enum err_code load(struct store_pg *s, const char *writer, struct err *e)
{
    TRY(store_pg_migrate(&s->link, s->read_only, e));
    TRY(name_writer(s, writer, e));
    if (!s->read_only) TRY(take_lock(s, e));
    struct newest n;
    TRY(newest_of_writer(s, &n, e));
    s->number = n.number;
    s->base.mark = n.last;
    s->base.newest_received_ns = n.received_ns;
    TRY(store_pg_series_load(s, e));
    TRY(store_pg_days_load(&s->link, &s->days, e));
    TRY(load_state(s, e));
    struct store_state *state = &s->base.loaded.state;
    state->last_received_ns = n.received_ns;
    state->last_sequence = n.last;
    state->first_sequence = 1;
    if (!s->read_only) TRY(store_pg_ask(&s->link, PG_next_gaps, NULL, 1, &state->next_gap_id, e));
    atomic_store(&s->base.mark_seen, n.last);
    return ERR_OK;
}

static struct store *pg_close(struct store *base)
{
    struct store_pg *s = (struct store_pg *)base;
    if (!s) return NULL;
    store_pg_disconnect(&s->link);
    store_state_free(&s->base.loaded);
    buf_free(&s->copy);
    buf_free(&s->proofs);
    free(s->days.days);
    free(s->to_db);
    free(s->from_db);
    free(s->writer);
    free(s->url);
    free(s);
    return NULL;
}

static enum err_code pg_open(const struct store_options *o, struct store **ret, struct err *e)
{
    const char *writer = o->writer ? o->writer : "main";
    struct str name = str_of(writer);
    if (name.n == 0 || name.n > WRITER_MAX_BYTES || !str_is_utf8(name))
        return ERR(e, ERR_CONFIG, "store.writer: a name of 1 to %d bytes is needed",
                   WRITER_MAX_BYTES);
    struct store_pg *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    store_init(&s->base, &store_postgres, o);
    s->url = strdup(o->url);
    CHECK(s->url != NULL);
    s->role = o->role;
    s->live = o->live;
    s->read_only = o->read_only;
    s->partitions_ahead = o->partitions_ahead ? o->partitions_ahead : 3;
    buf_init(&s->copy, COPY_MAX_BYTES);
    buf_init(&s->proofs, STORE_PROOFS_MAX_BYTES);
    enum err_code code = connect_writer(s, e);
    if (code == ERR_OK) code = load(s, writer, e);
    *ret = code == ERR_OK ? &s->base : pg_close(&s->base);
    return code;
}

const struct store_backend store_postgres = {
    .open = pg_open,
    .close = pg_close,
    .append = store_pg_append,
    .retain = store_pg_retain,
    .check = store_pg_check,
    .tail_open = store_pg_tail_open,
    .tail_close = store_pg_tail_close,
    .tail_read = store_pg_tail_read,
    .tail_mark = store_pg_tail_mark,
    .claims = store_pg_claims,
    .claim_proofs = store_pg_claim_proofs,
    .proofs = store_pg_proofs,
    .gaps = store_pg_gaps,
    .progress = store_pg_progress,
    .job_put = store_pg_job_put,
    .each_job = store_pg_each_job,
    .probe = store_pg_probe,
};
