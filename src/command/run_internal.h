/* run_internal.h - what the files of `ticklake run` share: run.c (threads and their end), run_venues.c (settings to options),
 * run_tell.c (what the HTTP port tells), run_view.c (the console behind it). */
#ifndef TICKLAKE_COMMAND_RUN_INTERNAL_H
#define TICKLAKE_COMMAND_RUN_INTERNAL_H

#include "command/command.h"
#include "run/publish.h"
#include "run/run.h"
#include "run/worker.h"
#include "serve/serve.h"
#include "view/view.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    STAGE_SOURCE = 1,
    STAGE_STORE = 2,
    STAGE_BUS = 4,
    STAGE_PROCESS = 8,
    STAGE_LAKE = 16,
    STAGE_SERVE = 32,
    STAGES_ALL = 63,
};

struct living {
    struct invocation *inv;
    unsigned stages;
    struct run *run;         /* source and store; embedded: all of it */
    struct publish *publish; /* bus */
    struct worker *worker;   /* process and lake behind the bus */
    struct source_live *source;
    struct recording_writer *recorder;
    struct serve *serve;
    pthread_mutex_t view_lock; /* over `view`: the port asks it while it ends */
    struct view *view;
    struct source_venue venues[CONFIG_VENUES_MAX];
    atomic_bool stopping;
    int64_t started_ns, stop_after_ns, stop_after_trades;
};

/* What the settings and --stages ask for; ERR_USAGE, ERR_CONFIG. */
enum err_code run_stages(const struct config *c, const char *text, unsigned *ret,
                         struct err *e) MUST_USE;
enum err_code run_venue_options(const struct config *c, struct source_venue *out,
                                struct err *e) MUST_USE;

/* Callbacks of serve/: ctx is a struct living. */
void run_tell_metrics(void *ctx, struct buf *out);
bool run_tell_live(void *ctx, struct buf *why);
bool run_tell_ready(void *ctx, struct buf *why);
void run_tell_status(void *ctx, struct buf *out);
/* The console: only with the stage serve. */
void run_view_options(struct living *l, struct serve_options *o);
enum err_code run_view_start(struct living *l, struct err *e) MUST_USE;
void run_view_metrics(struct living *l, struct buf *out);
void run_view_stop(struct living *l); /* before serve_stop */
/* One line for a terminal. */
void run_tell_progress(struct living *l, char *out, size_t size);

#endif
