/* local.h - inside command/: store and lake opened for reading, while a running program may hold them. */
#ifndef TICKLAKE_COMMAND_LOCAL_H
#define TICKLAKE_COMMAND_LOCAL_H

#include "command/command.h"
#include "run/distributed.h"

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

#endif
