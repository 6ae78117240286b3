/* allowance.h - how many requests a venue was sent this hour and today, kept over restarts and between processes.
 *
 * Kept      in PostgreSQL (ticklake.allowances, one row a venue; its lock orders the processes) or, embedded, in
 *           the file `allowances` of the data folder (whose owner is one process). Counted BEFORE the request goes out, so a crash
 *           counts one too many at worst, never one too few.
 * Windows   an hour begins with the full hour, a day at midnight in New York: how Tiingo counts, the one venue that does.
 * Fails     ERR_DISK ERR_CORRUPT, or as the store does.
 */
#ifndef TICKLAKE_STORE_ALLOWANCE_H
#define TICKLAKE_STORE_ALLOWANCE_H

#include "store/store.h"

struct store_allowance {
    const char *url;    /* PostgreSQL; NULL: in the folder */
    const char *folder; /* data folder */
    const char *venue;  /* "tiingo" */
    int64_t hour, day;  /* requests allowed in each; 0: not limited */
};
/* Takes one; *ret_until_ns is TIME_ABSENT where there was one left, else when there is again. */
enum err_code store_allowance_take(const struct store_allowance *a, int64_t now_ns,
                                   int64_t *ret_until_ns, struct err *e) MUST_USE;
/* The venue says that the hour's (the day's) are used up, by whomever: as if all had been taken. */
enum err_code store_allowance_used_up(const struct store_allowance *a, bool of_day, int64_t now_ns,
                                      int64_t *ret_until_ns, struct err *e) MUST_USE;

/* ---- Pure, for tests. */
struct allowance_count {
    int64_t hour_ns, hour_count; /* beginning of the hour that was counted */
    int64_t day_ns, day_count;
};
int64_t allowance_hour(int64_t now_ns);
int64_t allowance_day(int64_t now_ns); /* the newest midnight in New York */
int64_t allowance_next_day(int64_t now_ns);
/* TIME_ABSENT: taken. */
int64_t allowance_take(struct allowance_count *c, int64_t now_ns, int64_t hour, int64_t day);
int64_t allowance_used_up(struct allowance_count *c, int64_t now_ns, int64_t hour, int64_t day,
                          bool of_day);

#endif
