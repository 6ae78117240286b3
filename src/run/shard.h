/* shard.h - one ordered stream of events on its way into the lake: process/, revise and their state under one prefix.
 *
 * The embedded run has one shard, of the store's tail. A worker has one for each partition that it owns, all of them on one
 * lake: their states are kept apart by the prefix, since a partition moves to another worker with its state alone.
 * Calls     shard_open (restores from the lake's state) -> shard_rebuild_upto(position) -> shard_push of what is needed again,
 *           from shard.keep_from on -> shard_push, shard_tick, shard_finish -> shard_persist before each commit, whose moves
 *           hold the same position -> shard_committed -> shard_revise every now and then -> shard_close.
 * Threads   one.
 */
#ifndef TICKLAKE_RUN_SHARD_H
#define TICKLAKE_RUN_SHARD_H

#include "config/config.h"
#include "run/revise.h"

enum { SHARD_PREFIX_MAX = 32, STATE_NAME_MAX = 512 };

struct shard {
    struct lake *lake;
    struct series_table *series;
    struct process *process;
    struct revise *revise;
    struct process_sink sink;
    char prefix[SHARD_PREFIX_MAX]; /* "" or "3/" */
    int64_t keep_from; /* sequence from which the open windows can be made again; as committed */
    int64_t keep_next; /* the same for the commit under way */
    int64_t finishes,
        finishes_kept;  /* of the bus's publisher: how many of them were applied; as committed */
    enum err_code code; /* sticky: callbacks of the sink cannot return */
    struct err *e;
};

/* `s` must not move afterwards. */
enum err_code shard_open(struct shard *s, const char *prefix, struct lake *lake,
                         struct series_table *series, const struct config *c,
                         struct err *e) MUST_USE;
void shard_close(struct shard *s);
void shard_rebuild_upto(struct shard *s, int64_t position);
enum err_code shard_push(struct shard *s, const struct batch *b, struct err *e) MUST_USE;
enum err_code shard_tick(struct shard *s, int64_t now_ns, struct err *e) MUST_USE;
enum err_code shard_finish(struct shard *s, struct err *e) MUST_USE; /* the input ended for good */
/* Puts the state as of `position` into the lake's next commit. */
enum err_code shard_persist(struct shard *s, int64_t position, struct err *e) MUST_USE;
void shard_committed(struct shard *s);

#endif
