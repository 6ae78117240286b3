/* revise.h - late trades and gap changes, applied to candles that are in the lake already.
 *
 * process/ tells what must be revised (revise_late, revise_rollup, revise_gap); it is kept in the lake's state with the
 * commit that holds its cause, so a crash forgets nothing. revise_apply, right after a commit, reads the trades of the
 * minutes concerned from the lake, makes their candles anew and pushes them as replacements; the caller commits, which
 * removes the kept state in the same transaction.
 * Same rows  a revision is the old row's number plus the count of late trades and gap changes that came after the row was
 *           emitted. Both are facts of the tail's order, so a re-run gives the same numbers however applies were grouped.
 * Limit     REVISE_MAX pending seconds; past it the caller must apply first (revise_is_full).
 */
#ifndef TICKLAKE_RUN_REVISE_H
#define TICKLAKE_RUN_REVISE_H

#include "lake/lake.h"
#include "process/process.h"

enum { REVISE_MAX = 100000 };

struct revise;
/* prefix: of the names of its state; borrowed. */
struct revise *revise_new(struct series_table *series, struct lake *lake, struct process *process,
                          const char *prefix);
struct revise *revise_free(struct revise *rv);
enum err_code revise_restore(struct revise *rv, struct err *e) MUST_USE;
void revise_late(struct revise *rv, const struct late_trade *l);
void revise_rollup(struct revise *rv, uint32_t series, enum timeframe tf, int64_t open_time_ns);
void revise_gap(struct revise *rv, const struct gap_change *g);
bool revise_pending(const struct revise *rv);
bool revise_is_full(const struct revise *rv);
/* Puts what is pending into the lake's state; before each commit. */
enum err_code revise_persist(struct revise *rv, struct err *e) MUST_USE;
/* *ret_rows: candles replaced. */
enum err_code revise_apply(struct revise *rv, int64_t now_ns, int64_t *ret_rows,
                           struct err *e) MUST_USE;

#endif
