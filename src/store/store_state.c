#include "store/store_state.h"

#include "base/array.h"

#include <stdlib.h>

/* Deduplication keeps some kilobytes a series at most; this holds 100,000 of them. */
#define STATE_MAX_BYTES ((size_t)1 << 30)

void store_state_init(struct store_loaded *l)
{
    *l = (struct store_loaded){0};
    arena_init(&l->arena, STATE_MAX_BYTES);
}

void store_state_free(struct store_loaded *l)
{
    arena_free(&l->arena);
    free(l->dedup);
    free(l->positions);
    free(l->open_gaps);
    free(l->instruments);
    free(l->brought);
    *l = (struct store_loaded){0};
}

static enum err_code copy(struct store_db *db, struct arena *a, struct str bytes, struct str *ret,
                          struct err *e)
{
    if (arena_copy(a, bytes, ret)) return ERR_OK;
    return ERR(e, ERR_FULL, "%s: its state is larger than %zu bytes", db->path, a->limit);
}

static enum err_code get_dedup(struct store_db *db, sqlite3_stmt *s, uint32_t series_end,
                               struct store_loaded *l, struct err *e)
{
    int64_t series = sqlite3_column_int64(s, 0), stream = sqlite3_column_int64(s, 1);
    if (series < 0 || series >= series_end || stream < 0 || stream >= STREAM_MAX)
        return ERR(e, ERR_CORRUPT, "%s: dedup state of series %lld, stream %lld: no such thing",
                   db->path, (long long)series, (long long)stream);
    l->dedup = array_grown(l->dedup, l->state.dedup_count, &l->dedup_cap, sizeof *l->dedup);
    struct dedup_state *d = &l->dedup[l->state.dedup_count++];
    d->series = (uint32_t)series;
    d->stream = (uint8_t)stream;
    return copy(db, &l->arena, store_row_bytes(s, 2), &d->bytes, e);
}

static enum err_code get_position(struct store_db *db, sqlite3_stmt *s, uint32_t series_end,
                                  struct store_loaded *l, struct err *e)
{
    (void)series_end;
    l->positions =
        array_grown(l->positions, l->state.position_count, &l->position_cap, sizeof *l->positions);
    struct source_position *p = &l->positions[l->state.position_count++];
    p->frames = sqlite3_column_int64(s, 1);
    p->done = sqlite3_column_int64(s, 2) != 0;
    return copy(db, &l->arena, store_row_bytes(s, 0), &p->name, e);
}

static enum err_code get_gap(struct store_db *db, sqlite3_stmt *s, uint32_t series_end,
                             struct store_loaded *l, struct err *e)
{
    l->open_gaps =
        array_grown(l->open_gaps, l->state.open_gap_count, &l->open_gap_cap, sizeof *l->open_gaps);
    struct gap *g = &l->open_gaps[l->state.open_gap_count++];
    return store_row_get_gap(db, s, &l->arena, series_end, g, e);
}

static enum err_code get_instrument(struct store_db *db, sqlite3_stmt *s, uint32_t series_end,
                                    struct store_loaded *l, struct err *e)
{
    (void)series_end;
    l->instruments = array_grown(l->instruments, l->state.instrument_count, &l->instrument_cap,
                                 sizeof *l->instruments);
    struct instrument *i = &l->instruments[l->state.instrument_count++];
    return store_row_get_instrument(db, s, &l->arena, i, e);
}

enum err_code store_state_load(struct store_db *db, uint32_t series_end, struct store_loaded *l,
                               struct err *e)
{
    static const struct {
        enum store_statement statement;
        enum err_code (*get)(struct store_db *db, sqlite3_stmt *s, uint32_t series_end,
                             struct store_loaded *l, struct err *e);
    } parts[] = {{STATEMENT_read_dedup, get_dedup},
                 {STATEMENT_read_positions, get_position},
                 {STATEMENT_read_open_ledger, get_gap},
                 {STATEMENT_read_all_instruments, get_instrument}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        sqlite3_stmt *s;
        TRY(store_db_get(db, parts[i].statement, &s, e));
        for (;;) {
            bool row;
            TRY(store_db_next(db, s, &row, e));
            if (!row) break;
            enum err_code code = parts[i].get(db, s, series_end, l, e);
            if (code == ERR_OK) continue;
            sqlite3_reset(s);
            return code;
        }
    }
    struct store_state *state = &l->state;
    TRY(store_db_number(db, STATEMENT_newest_gap_id, 0, &state->next_gap_id, e));
    state->next_gap_id++;
    state->dedup = l->dedup;
    state->positions = l->positions;
    state->open_gaps = l->open_gaps;
    state->instruments = l->instruments;
    return ERR_OK;
}
