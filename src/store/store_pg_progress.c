#include "store/store_pg.h"

/* Rows of the batch table by two of its indexes; of a backlog the oldest 100,000 batches, which is what a reader of a screen
 * can tell apart. */
enum err_code store_pg_progress(struct store_tail *base, const char *slot,
                                struct store_progress *ret, struct err *e)
{
    struct store_pg_tail *t = (struct store_pg_tail *)base;
    struct store_pg_args args = {0};
    PGresult *r;
    store_pg_bytes(&args, str_of(slot));
    TRY(store_pg_run(&t->link, PG_progress, &args, &r, e));
    ret->events_10s = store_pg_get(r, 0, 0, 0);
    ret->newest_commit_ns = store_pg_get(r, 0, 1, TIME_ABSENT);
    bool has_slot = store_pg_get(r, 0, 4, 0) > 0;
    ret->unpublished_events = store_pg_get(r, 0, 2, has_slot ? 0 : -1);
    ret->unpublished_ns = store_pg_get(r, 0, 3, has_slot ? 0 : -1);
    PQclear(r);
    return ERR_OK;
}
