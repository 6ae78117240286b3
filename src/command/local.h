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
};
/* A missing store or lake is an error only when it is asked for. */
enum err_code local_open(const struct config *c, bool store, bool lake, struct local *ret,
                         struct err *e) MUST_USE;
void local_close(struct local *l);
/* "host:port/database" of what libpq takes, its defaults filled in, without user and password. */
void local_postgres_address(const char *url, char out[LOCAL_ADDRESS_MAX]);

#endif
