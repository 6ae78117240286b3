/* local.h - inside command/: the data folder opened for reading, while a running program may hold it. */
#ifndef TICKLAKE_COMMAND_LOCAL_H
#define TICKLAKE_COMMAND_LOCAL_H

#include "command/command.h"
#include "lake/lake.h"
#include "store/store.h"

struct local {
    struct series_table *series;
    struct store_tail *tail; /* NULL where there is no store.db */
    struct lake *lake;       /* NULL where there is no catalog.db */
};
/* A missing store.db or catalog.db is an error only when it is asked for. */
enum err_code local_open(const struct config *c, bool store, bool lake, struct local *ret,
                         struct err *e) MUST_USE;
void local_close(struct local *l);
/* Options of a lake on this data folder; the texts live in the caller's arrays. */
enum err_code local_lake_options(const struct config *c, char catalog[1024], char warehouse[1024],
                                 struct lake_options *ret, struct err *e) MUST_USE;

#endif
