#include "command/local.h"

static enum err_code open_both(struct local *l, const struct config *c, bool store, bool lake,
                               struct err *e)
{
    TRY(distributed_open(&l->parts, c, e));
    if (store) {
        struct store_options o = distributed_store(&l->parts, l->series);
        o.read_only = true;
        TRY(store_tail_open(&o, &l->tail, e));
    }
    if (!lake) return ERR_OK;
    struct lake_options o;
    TRY(distributed_lake(&l->parts, l->series, false, &o, e));
    o.read_only = true;
    return lake_open(&o, &l->lake, e);
}

enum err_code local_open(const struct config *c, bool store, bool lake, struct local *ret,
                         struct err *e)
{
    *ret = (struct local){.series = series_new()};
    enum err_code code = open_both(ret, c, store, lake, e);
    if (code != ERR_OK) local_close(ret);
    return code;
}

void local_close(struct local *l)
{
    l->tail = store_tail_close(l->tail);
    l->lake = lake_close(l->lake);
    l->series = series_free(l->series);
    distributed_close(&l->parts);
}
