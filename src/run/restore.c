/* The start: positions held against each other, then process/ and revise as they were at the lake's last commit. */
#include "run/run_internal.h"

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

enum err_code run_restore(struct run *r, struct err *e)
{
    TRY(check_positions(r, e));
    TRY(shard_open(&r->shard, "", r->lake, r->series, r->options.config, e));
    atomic_store(&r->keep_from, r->shard.keep_from);
    return ERR_OK;
}
