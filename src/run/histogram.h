/* histogram.h - latencies in logarithmic buckets (12.5 % wide), counted without a lock. */
#ifndef TICKLAKE_RUN_HISTOGRAM_H
#define TICKLAKE_RUN_HISTOGRAM_H

#include "run/run.h"

#include <stdatomic.h>

enum { HISTOGRAM_BUCKETS = 64 * 8 };
struct histogram {
    _Atomic int64_t buckets[HISTOGRAM_BUCKETS];
    _Atomic int64_t count, sum, max;
};
void histogram_add(struct histogram *h, int64_t ns);
void histogram_read(const struct histogram *h, struct run_latency *ret);
/* Prometheus histogram lines of `name` in seconds. */
void histogram_metrics(const struct histogram *h, const char *name, const char *help,
                       struct buf *out);

#endif
