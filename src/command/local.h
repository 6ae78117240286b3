/* local.h - inside command/: store and lake opened for reading, while a running program may hold them. */
#ifndef TICKLAKE_COMMAND_LOCAL_H
#define TICKLAKE_COMMAND_LOCAL_H

#include "command/command.h"
#include "run/distributed.h"

enum { LOCAL_ADDRESS_MAX = 400 };
struct local {
    struct distributed parts;
    struct series_table *series;
    struct store_tail *tail; /* NULL where it was not asked for */
    struct lake *lake;       /* the same */
    int lock;                /* of the data folder; -1 none */
};
/* A missing store or lake is an error only when it is asked for. */
enum err_code local_open(const struct config *c, bool store, bool lake, struct local *ret,
                         struct err *e) MUST_USE;
/* The lake, to change it: upkeep by hand. Embedded it takes the data folder's lock; a catalog in PostgreSQL has one of its own for
 * this, and workers go on meanwhile. keep 0: lake.snapshots_keep. */
enum err_code local_own_lake(const struct config *c, const char *command, int64_t keep,
                             struct local *ret, struct err *e) MUST_USE;
void local_close(struct local *l);
/* "host:port/database" of what libpq takes, its defaults filled in, without user and password. */
void local_postgres_address(const char *url, char out[LOCAL_ADDRESS_MAX]);
void local_postgres_user(const char *url, char *out, size_t size);

#endif
