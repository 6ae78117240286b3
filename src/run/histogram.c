#include "run/histogram.h"

static int bucket_of(int64_t ns)
{
    uint64_t v = ns < 8 ? 8 : (uint64_t)ns;
    int top = 63 - __builtin_clzll(v);
    return top * 8 + (int)(v >> (top - 3) & 7);
}

/* The largest value that falls into the bucket. */
static int64_t bucket_limit(int bucket)
{
    int top = bucket / 8, part = bucket % 8;
    if (top < 3) return 8;
    return (int64_t)(((uint64_t)(8 + part + 1) << (top - 3)) - 1);
}

void histogram_add(struct histogram *h, int64_t ns)
{
    if (ns < 0) ns = 0; /* two clocks: the receipt's may be a recording's */
    atomic_fetch_add_explicit(&h->buckets[bucket_of(ns)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum, ns, memory_order_relaxed);
    int64_t max = atomic_load_explicit(&h->max, memory_order_relaxed);
    while (ns > max && !atomic_compare_exchange_weak(&h->max, &max, ns)) {
    }
}

void histogram_read(const struct histogram *h, struct run_latency *ret)
{
    struct histogram *m = (struct histogram *)(uintptr_t)h;
    int64_t counts[HISTOGRAM_BUCKETS], all = 0;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        counts[i] = atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
        all += counts[i];
    }
    *ret = (struct run_latency){.count = all, .max = atomic_load(&m->max)};
    int64_t *const quantiles[] = {&ret->p50, &ret->p99};
    const int percents[] = {50, 99};
    for (int q = 0; q < 2 && all; q++) {
        int64_t seen = 0;
        for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
            seen += counts[i];
            if (seen * 100 < all * percents[q]) continue;
            *quantiles[q] = bucket_limit(i) < ret->max ? bucket_limit(i) : ret->max;
            break;
        }
    }
}

void histogram_metrics(const struct histogram *h, const char *name, const char *help,
                       struct buf *out)
{
    struct histogram *m = (struct histogram *)(uintptr_t)h;
    int64_t seen = 0;
    buf_addf(out, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name);
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += atomic_load_explicit(&m->buckets[i], memory_order_relaxed);
        bool edge = i % 8 == 7 && i / 8 >= 16 && i / 8 <= 36; /* 0.13 ms to 137 s, doubling */
        if (edge)
            buf_addf(out, "%s_bucket{le=\"%lld.%09lld\"} %lld\n", name,
                     (long long)(bucket_limit(i) / NS_PER_S),
                     (long long)(bucket_limit(i) % NS_PER_S), (long long)seen);
    }
    int64_t sum = atomic_load(&m->sum);
    buf_addf(out, "%s_bucket{le=\"+Inf\"} %lld\n%s_sum %lld.%09lld\n%s_count %lld\n", name,
             (long long)seen, name, (long long)(sum / NS_PER_S), (long long)(sum % NS_PER_S), name,
             (long long)seen);
}
