#include "command/local.h"
#include "io/file.h"

#include <libpq-fe.h>
#include <stdio.h>

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
    *ret = (struct local){.series = series_new(), .lock = -1};
    enum err_code code = open_both(ret, c, store, lake, e);
    if (code != ERR_OK) local_close(ret);
    return code;
}

enum err_code local_own_lake(const struct config *c, const char *command, int64_t keep,
                             struct local *ret, struct err *e)
{
    struct lake_options o;
    *ret = (struct local){.series = series_new(), .lock = -1};
    enum err_code code = distributed_open(&ret->parts, c, e);
    if (code == ERR_OK) code = distributed_lake(&ret->parts, ret->series, false, &o, e);
    if (code == ERR_OK && keep) o.snapshots_keep = (int32_t)keep;
    if (code == ERR_OK && !o.catalog_url) code = file_lock(c->data, command, &ret->lock, e);
    if (code == ERR_OK) code = lake_open(&o, &ret->lake, e);
    if (code != ERR_OK) local_close(ret);
    return code;
}

void local_close(struct local *l)
{
    l->tail = store_tail_close(l->tail);
    l->lake = lake_close(l->lake);
    l->series = series_free(l->series);
    distributed_close(&l->parts);
    file_unlock(l->lock);
}

static const char *option_of(const PQconninfoOption *list, const char *name)
{
    for (const PQconninfoOption *o = list; o && o->keyword; o++)
        if (strcmp(o->keyword, name) == 0 && o->val && *o->val) return o->val;
    return NULL;
}

void local_postgres_address(const char *url, char out[LOCAL_ADDRESS_MAX])
{
    char *wrong = NULL;
    PQconninfoOption *given = PQconninfoParse(url, &wrong), *standard = PQconndefaults();
    PQfreemem(wrong); /* may quote the password */
    const char *names[] = {"host", "port", "dbname"}, *values[3];
    for (int i = 0; i < 3; i++) {
        values[i] = option_of(given, names[i]);
        if (!values[i]) values[i] = option_of(standard, names[i]);
    }
    const char *service = option_of(given, "service");
    if (service && !option_of(given, "host"))
        snprintf(out, LOCAL_ADDRESS_MAX, "service %.200s", service);
    else
        snprintf(out, LOCAL_ADDRESS_MAX, "%.200s:%.20s/%.100s", values[0] ? values[0] : "local",
                 values[1] ? values[1] : "5432", values[2] ? values[2] : "?");
    PQconninfoFree(given);
    PQconninfoFree(standard);
}

void local_postgres_user(const char *url, char *out, size_t size)
{
    char *wrong = NULL;
    PQconninfoOption *given = PQconninfoParse(url, &wrong), *standard = PQconndefaults();
    PQfreemem(wrong);
    const char *user = option_of(given, "user");
    if (!user) user = option_of(standard, "user");
    snprintf(out, size, "%s", user ? user : "USER");
    PQconninfoFree(given);
    PQconninfoFree(standard);
}
