/* retry.h - how long to wait before the next try, as data: doubling up to a cap, with jitter, for ever.
 *
 * Usage     static const struct retry_policy policy = {250, 60000, 3}; struct retry r; retry_init(&r, &policy, seed);
 *           after each failure: wait retry_next_ms(&r); after a success that lasted: retry_reset(&r).
 * Jitter    each wait is drawn evenly from [3/4, 5/4] of its nominal length, so that many clients cut off at one moment do
 *           not come back at one moment. No clock, no global random state: the same seed gives the same waits.
 */
#ifndef TICKLAKE_IO_RETRY_H
#define TICKLAKE_IO_RETRY_H

#include "base/err.h"

struct retry_policy {
    int32_t first_ms; /* at least 1 */
    int32_t cap_ms;
    int32_t free_tries; /* so many go with first_ms before the doubling begins */
};
struct retry {
    struct retry_policy policy;
    int32_t tries;
    uint64_t random;
};
void retry_init(struct retry *r, const struct retry_policy *p, uint64_t seed);
int32_t retry_next_ms(struct retry *r);
void retry_reset(struct retry *r);

#endif
