/* The flow: every two seconds a sample of all marks, from which rates and lags in time are made. Samples are of what the other
 * sources saw last, so that this never waits. */
#include "io/clock.h"
#include "view/view_internal.h"

#include <stddef.h>

enum {
    RATE_SAMPLES = 5
}; /* a rate is over ten seconds: sources look at other moments than this does */

static const struct view_sample *sample(const struct view *v, size_t i)
{
    return &v->samples[(v->sample_first + i) % VIEW_SAMPLES];
}

static int64_t count_of(const struct view_sample *s, size_t which)
{
    return *(const int64_t *)(const void *)((const char *)s + which);
}

int64_t view_flow_lag_ms(const struct view *v, size_t which, int64_t value)
{
    if (value < 0 || v->sample_count == 0) return -1;
    int64_t now_ns = sample(v, v->sample_count - 1)->at_ns;
    for (size_t i = 0; i < v->sample_count; i++)
        if (count_of(sample(v, i), which) > value)
            return (now_ns - sample(v, i)->at_ns) / NS_PER_MS;
    return count_of(sample(v, v->sample_count - 1), which) < 0 ? -1 : 0;
}

/* Per second, at sample i; -1: not known. A count that fell is of a process that began anew. */
static int64_t rate_at(const struct view *v, size_t i, size_t which)
{
    const struct view_sample *now = sample(v, i);
    if (which == offsetof(struct view_sample, durable) && now->durable_rate >= 0)
        return now->durable_rate / 10;
    if (i == 0) return -1;
    const struct view_sample *then = sample(v, i < RATE_SAMPLES ? 0 : i - RATE_SAMPLES);
    int64_t a = count_of(then, which), b = count_of(now, which);
    int64_t ms = (now->at_ns - then->at_ns) / NS_PER_MS;
    return a < 0 || b < a || ms <= 0 ? -1 : (b - a) * 1000 / ms;
}

static void take_sample(struct view *v)
{
    struct view_own own;
    bool has_own = v->options.own != NULL;
    if (has_own) v->options.own(v->options.ctx, &own);
    pthread_mutex_lock(&v->lock);
    const struct view_numbers *n = &v->numbers;
    struct view_sample s = {.at_ns = clock_wall_ns(),
                            .received = -1,
                            .durable = -1,
                            .acked = -1,
                            .committed = n->lake_position,
                            .durable_rate = n->progress.events_10s};
    if (has_own) s.received = own.marks.received;
    if (v->has_bus) {
        s.acked = n->bus_end;
    } else if (!v->distributed) {
        s.durable = has_own && own.marks.durable >= 0 ? own.marks.durable : n->progress.mark;
        if (has_own && own.marks.committed >= 0) s.committed = own.marks.committed;
    }
    size_t at = (v->sample_first + v->sample_count) % VIEW_SAMPLES;
    if (v->sample_count == VIEW_SAMPLES)
        v->sample_first = (v->sample_first + 1) % VIEW_SAMPLES;
    else
        v->sample_count++;
    v->samples[at] = s;
    pthread_mutex_unlock(&v->lock);
}

void *view_flow_thread(void *view)
{
    struct view *v = view;
    do take_sample(v);
    while (!view_rest(v, VIEW_SAMPLE_MS * NS_PER_MS));
    return NULL;
}

/* ---- the page */

struct hop {
    const char *name, *unit; /* of the mark */
    size_t which;            /* SIZE_MAX: nothing is counted */
    int64_t mark, time_ns, lag_events, lag_records, lag_bytes, lag_ms;
};

static void put_hop(const struct view *v, const struct hop *h, bool first, struct buf *out)
{
    buf_addf(out, "%s{\"name\":\"%s\",\"unit\":\"%s\"", first ? "" : ",", h->name, h->unit);
    view_put_count(out, "mark", h->mark);
    view_put_ms(out, "time_ms", h->time_ns);
    view_put_count(out, "lag_events", h->lag_events);
    view_put_count(out, "lag_records", h->lag_records);
    view_put_count(out, "lag_bytes", h->lag_bytes);
    view_put_count(out, "lag_ms", h->lag_ms);
    bool counted = h->which != SIZE_MAX && v->sample_count > 0;
    view_put_count(out, "rate_per_s", counted ? rate_at(v, v->sample_count - 1, h->which) : -1);
    buf_add_cstr(out, ",\"history\":[");
    for (size_t i = 0; counted && i < v->sample_count; i++) {
        int64_t rate = rate_at(v, i, h->which);
        if (rate < 0)
            buf_addf(out, "%snull", i ? "," : "");
        else
            buf_addf(out, "%s%lld", i ? "," : "", (long long)rate);
    }
    buf_add_cstr(out, "]}");
}

static int64_t behind(int64_t ahead, int64_t mark)
{
    if (ahead < 0 || mark < 0) return -1;
    return ahead > mark ? ahead - mark : 0;
}

#define OF(member) offsetof(struct view_sample, member)

static struct hop hop_of(const char *name, const char *unit, size_t which, int64_t mark)
{
    return (struct hop){.name = name,
                        .unit = unit,
                        .which = which,
                        .mark = mark,
                        .time_ns = TIME_ABSENT,
                        .lag_events = -1,
                        .lag_records = -1,
                        .lag_bytes = -1,
                        .lag_ms = -1};
}

/* One process: the same sequence all the way. */
static void put_embedded(const struct view *v, const struct view_own *own, struct buf *out)
{
    const struct view_numbers *n = &v->numbers;
    bool runs = own->marks.durable >= 0;
    int64_t durable_mark = runs ? own->marks.durable : n->progress.mark;
    int64_t committed_mark = runs ? own->marks.committed : n->lake_position;
    struct hop received = hop_of("received", "events", OF(received), own->marks.received);
    struct hop durable = hop_of("durable", "sequence", OF(durable), durable_mark);
    struct hop emitted = hop_of("emitted", "sequence", SIZE_MAX, own->marks.emitted);
    struct hop committed = hop_of("committed", "sequence", OF(committed), committed_mark);
    emitted.lag_events = behind(durable_mark, own->marks.emitted);
    emitted.time_ns = n->emitted_ns;
    committed.lag_events = behind(durable_mark, committed_mark);
    committed.lag_ms = view_flow_lag_ms(v, OF(durable), committed_mark);
    committed.time_ns = n->newest_commit_ns;
    put_hop(v, &received, true, out);
    put_hop(v, &durable, false, out);
    put_hop(v, &emitted, false, out);
    put_hop(v, &committed, false, out);
}

static void put_distributed(const struct view *v, const struct view_own *own, struct buf *out)
{
    const struct view_numbers *n = &v->numbers;
    struct hop received = hop_of("received", "events", OF(received), own->marks.received);
    struct hop durable = hop_of("durable", "sequence", OF(durable), n->progress.mark);
    struct hop acked = hop_of("acked", "records", OF(acked), n->bus_end);
    struct hop emitted = hop_of("emitted", "time", SIZE_MAX, -1);
    struct hop committed = hop_of("committed", "records", OF(committed), n->lake_position);
    durable.time_ns = n->progress.newest_commit_ns;
    acked.lag_events = n->progress.unpublished_events;
    acked.lag_bytes = n->slot_behind_bytes;
    acked.lag_ms = n->progress.unpublished_ns < 0 ? -1 : n->progress.unpublished_ns / NS_PER_MS;
    emitted.time_ns = n->emitted_ns;
    committed.lag_records = n->lake_lag;
    committed.lag_ms = view_flow_lag_ms(v, OF(acked), n->lake_position);
    committed.time_ns = n->newest_commit_ns;
    put_hop(v, &received, true, out);
    put_hop(v, &durable, false, out);
    if (v->has_bus) put_hop(v, &acked, false, out);
    put_hop(v, &emitted, false, out);
    put_hop(v, &committed, false, out);
}

void view_flow_page(struct view *v, struct buf *out)
{
    const struct view_numbers *n = &v->numbers;
    struct view_own own = {.marks = {-1, -1, -1, -1}, .connections = -1};
    if (v->options.own) v->options.own(v->options.ctx, &own);
    buf_addf(out, ",\"deployment\":\"%s\",\"step_ms\":%d,\"hops\":[",
             v->distributed ? "distributed" : "embedded", VIEW_SAMPLE_MS);
    if (v->distributed)
        put_distributed(v, &own, out);
    else
        put_embedded(v, &own, out);
    buf_add_byte(out, ']');
    view_put_ms(out, "newest_trade_ms", n->newest_trade_ns);
    view_put_count(out, "markets", n->markets);
    view_put_count(out, "gaps_open", n->gaps_open);
    view_put_count(out, "missing", n->gaps_missing);
    if (own.connections < 0) return;
    buf_addf(out,
             ",\"source\":{\"connections\":%lld,\"connections_up\":%lld,\"trades\":%lld,"
             "\"quotes\":%lld,\"dead_letters\":%lld,\"duplicates\":%lld,\"errors\":%lld,"
             "\"retries\":%lld}",
             (long long)own.connections, (long long)own.connections_up, (long long)own.trades,
             (long long)own.quotes, (long long)own.dead, (long long)own.duplicates,
             (long long)own.errors, (long long)own.retries);
}
