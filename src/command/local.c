#include "command/local.h"

#include "io/file.h"

#include <stdlib.h>

enum err_code local_lake_options(const struct config *c, char catalog[1024], char warehouse[1024],
                                 struct lake_options *ret, struct err *e)
{
    char relative[PATH_LIMIT], *absolute;
    config_path(c, "catalog.db", catalog, 1024);
    config_path(c, "lake", relative, sizeof relative);
    absolute = realpath(relative, NULL);
    if (!absolute || !file_exists(catalog)) {
        free(absolute);
        return ERR(e, ERR_NOT_FOUND,
                   "%s: there is no lake yet; `ticklake run` or `ticklake replay` makes one",
                   c->data);
    }
    bool fits = str_copy(warehouse, 1024, str_of(absolute));
    free(absolute);
    if (!fits) return ERR(e, ERR_USAGE, "%s: the path is longer than 1023 bytes", relative);
    *ret = (struct lake_options){
        .catalog_path = catalog,
        .warehouse = warehouse,
        .snapshots_keep = (int32_t)c->lake.snapshots_keep,
        .metadata_keep = (int32_t)c->lake.metadata_keep,
        .grace_ns = c->lake.grace_minutes * NS_PER_MINUTE,
        .target_file_bytes = c->lake.target_file_mb << 20,
        .compact_files = (int32_t)c->lake.compact_files,
        .buffer_rows_max = c->lake.commit_rows * 2,
    };
    return ERR_OK;
}

enum err_code local_open(const struct config *c, bool store, bool lake, struct local *ret,
                         struct err *e)
{
    *ret = (struct local){.series = series_new()};
    char path[1024], warehouse[1024];
    enum err_code code = ERR_OK;
    if (store) {
        config_path(c, "store.db", path, sizeof path);
        struct store_options o = {.path = path, .series = ret->series, .read_only = true};
        code = store_tail_open(&o, &ret->tail, e);
    }
    if (code == ERR_OK && lake) {
        struct lake_options o;
        code = local_lake_options(c, path, warehouse, &o, e);
        o.series = ret->series;
        o.read_only = true;
        if (code == ERR_OK) code = lake_open(&o, &ret->lake, e);
    }
    if (code != ERR_OK) local_close(ret);
    return code;
}

void local_close(struct local *l)
{
    l->tail = store_tail_close(l->tail);
    l->lake = lake_close(l->lake);
    l->series = series_free(l->series);
}
