/* history.h - inside command/: what backfill and repair have in common: a run of their own, its job row, its result. */
#ifndef TICKLAKE_COMMAND_HISTORY_H
#define TICKLAKE_COMMAND_HISTORY_H

#include "command/command.h"
#include "run/distributed.h"
#include "run/run.h"
#include "source/backfill.h"
#include "store/allowance.h"

#include <pthread.h>

enum { HISTORY_SYMBOLS = 20000, HISTORY_ARGUMENTS_MAX = 2048 };

struct history_command {
    const struct invocation *inv;
    const char *name; /* "backfill" */
    struct run *run;
    pthread_mutex_t lock; /* of `source`, which a signal's thread stops */
    struct source_backfill *source;
    struct lake *lake;           /* embedded: to read what is there, */
    struct series_table *series; /* with numbers of its own */
    struct distributed parts;    /* for the tables beside the run: jobs, allowances, the ledger */
    struct store_options store;
    struct store_allowance allowance;
    struct store_job job;
    char arguments[HISTORY_ARGUMENTS_MAX];
    int64_t started_ns;
    bool stopped;
    bool silent; /* the result was told already */
    /* Counted as they became durable. */
    _Atomic int64_t trades, quotes, candles, instruments, dead, duplicates;
    struct source_backfill_stats total; /* of the sources that ended */
};

/* Options of this venue from the settings; ERR_CONFIG for a token that is missing. */
enum err_code history_venue(const struct history_command *h, const char *name,
                            struct source_backfill_options *ret, struct err *e) MUST_USE;
/* Opens the run (guest of PostgreSQL, sole owner of a folder) and the job row, and starts its threads. */
enum err_code history_open(struct history_command *h, struct err *e) MUST_USE;
/* One venue. */
enum err_code history_run(struct history_command *h, struct source_backfill_options *o,
                          enum origin origin, struct err *e) MUST_USE;
/* Waits until all is durable (embedded: in the lake), ends the job row, prints the result; the exit code. `code` and `e` are
 * those of what was done. */
int history_close(struct history_command *h, enum err_code code, struct err *e);
/* The open gaps of all writers, with the series numbers of the run. */
enum err_code history_open_gaps(void *ctx,
                                enum err_code (*each)(void *to, const struct gap *g, struct err *e),
                                void *to, struct err *e);

#endif
