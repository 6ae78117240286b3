/* The start: positions held against each other, then process/ and revise as they were at the lake's last commit. */
#include "run/run_internal.h"

#include "run/revise.h"

#include <stdlib.h>

static enum err_code check_positions(struct run *r, struct err *e)
{
    if (!r->store) return ERR_OK;
    const struct store_state *s = store_state(r->store);
    int64_t position = lake_position(r->lake);
    if (s->last_sequence < position)
        return ERR(
            e, ERR_HOLE,
            "the lake holds events up to sequence %lld, but store.db ends at %lld: store.db was "
            "removed or replaced; bring back the right one, or start with another --data folder",
            (long long)position, (long long)s->last_sequence);
    if (s->first_sequence > position + 1)
        return ERR(
            e, ERR_HOLE,
            "the lake ends at sequence %lld, but store.db begins at %lld: catalog.db was removed "
            "or replaced; bring back the right one, or start with another --data folder",
            (long long)position, (long long)s->first_sequence);
    return ERR_OK;
}

static enum err_code restore_tape(void *ctx, struct str name, struct str bytes, struct err *e)
{
    struct run *r = ctx;
    size_t prefix = strlen("process/");
    return process_restore(r->process, (struct str){name.p + prefix, name.n - prefix}, bytes, e);
}

static enum err_code restore_resume(void *ctx, struct str name, struct str bytes, struct err *e)
{
    struct run *r = ctx;
    int64_t keep_from;
    if (str_to_i64(bytes, &keep_from) != ERR_OK)
        return ERR(e, ERR_CORRUPT, "catalog.db: state %.*s is no number", STR_ARG(name));
    atomic_store(&r->keep_from, keep_from);
    return ERR_OK;
}

struct wanted {
    struct run *r;
    enum err_code code;
    struct err *e;
};

static enum err_code restore_candle(void *ctx, const struct candle *c, struct err *e)
{
    struct run *r = ctx;
    return process_restore_candle(r->process, c, e);
}

static void refill(void *ctx, uint32_t series, int64_t from_ns, int64_t to_ns)
{
    struct wanted *w = ctx;
    const struct series *s = series_get(w->r->series, series);
    if (w->code == ERR_OK)
        w->code = lake_scan_candles(w->r->lake, s->venue, s->symbol, TIMEFRAME_1M, from_ns, to_ns,
                                    restore_candle, w->r, w->e);
}

enum err_code run_restore(struct run *r, struct err *e)
{
    TRY(check_positions(r, e));
    TRY(lake_each_state(r->lake, "process/", restore_tape, r, e));
    TRY(lake_each_state(r->lake, "run/resume", restore_resume, r, e));
    TRY(revise_restore(r->revise, e));
    struct wanted w = {r, ERR_OK, e};
    process_wanted_candles(r->process, refill, &w);
    return w.code;
}
