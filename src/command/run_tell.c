/* What `ticklake run` tells on its HTTP port, and on a terminal. */
#include "command/run_internal.h"
#include "io/clock.h"

#include <stdio.h>

void run_tell_metrics(void *ctx, struct buf *out)
{
    struct living *l = ctx;
    struct source_stats s;
    if (l->source) source_live_stats(l->source, &s);
    if (l->run) run_metrics(l->run, l->source ? &s : NULL, out);
    if (l->publish) publish_metrics(l->publish, out);
    if (l->worker) worker_metrics(l->worker, out);
    run_view_metrics(l, out);
}

bool run_tell_live(void *ctx, struct buf *why)
{
    struct living *l = ctx;
    bool failed = (l->run && run_failed(l->run)) || (l->publish && publish_failed(l->publish)) ||
                  (l->worker && worker_failed(l->worker));
    if (!failed) return true;
    buf_add_cstr(why, "a stage failed; the log says which");
    return false;
}

static bool source_ready(struct living *l, struct buf *why)
{
    struct source_stats s;
    if (!l->source) return true;
    source_live_stats(l->source, &s);
    if (s.connections_up == s.connections && s.connections > 0) return true;
    buf_addf(why, "%lld of %lld connections are up", (long long)s.connections_up,
             (long long)s.connections);
    return false;
}

static bool lake_ready(struct living *l, int64_t waiting, int64_t last_commit_ns, struct buf *why)
{
    int64_t limit_ns = l->inv->config->lake.commit_ms * NS_PER_MS * 10 + 10 * NS_PER_S;
    if (waiting <= 0 || (last_commit_ns && clock_wall_ns() - last_commit_ns <= limit_ns))
        return true;
    buf_addf(why, "the lake is %lld events behind", (long long)waiting);
    return false;
}

/* Ready: every connection stands, and nothing downstream is behind by more than a few commits. */
bool run_tell_ready(void *ctx, struct buf *why)
{
    struct living *l = ctx;
    if (!run_tell_live(ctx, why) || !source_ready(l, why)) return false;
    if (l->run && !l->worker && !l->publish) {
        struct run_status r;
        run_status(l->run, &r);
        bool embedded = l->inv->config->store.url == NULL;
        if (embedded && !lake_ready(l, r.marks.durable - r.marks.committed, r.last_commit_ns, why))
            return false;
    }
    if (l->publish) {
        struct publish_status p;
        publish_status(l->publish, &p);
        if (!p.connected) {
            buf_add_cstr(why, "the publisher is not connected to PostgreSQL and Kafka");
            return false;
        }
    }
    if (l->worker) {
        struct worker_status w;
        worker_status(l->worker, &w);
        return lake_ready(l, w.lag, w.last_commit_ns, why);
    }
    return true;
}

static void put_latency(struct buf *out, const char *name, const struct run_latency *l)
{
    buf_addf(out, ",\"%s\":{\"p50\":%lld,\"p99\":%lld,\"max\":%lld}", name,
             (long long)(l->p50 / 1000), (long long)(l->p99 / 1000), (long long)(l->max / 1000));
}

static void put_run(struct living *l, struct buf *out)
{
    struct source_stats s = {0};
    struct run_status r;
    if (l->source) source_live_stats(l->source, &s);
    run_status(l->run, &r);
    buf_addf(out,
             "\"marks\":{\"received\":%lld,\"durable\":%lld,\"emitted\":%lld,\"committed\":%lld},"
             "\"connections\":%lld,\"connections_up\":%lld,\"frames\":%lld,\"trades\":%lld,"
             "\"quotes\":%lld,\"duplicates\":%lld,\"dead_letters\":%lld,\"gaps_open\":%lld,"
             "\"candles\":%lld,\"late\":%lld,\"revisions\":%lld,\"commits\":%lld,\"retries\":%lld",
             (long long)r.marks.received, (long long)r.marks.durable, (long long)r.marks.emitted,
             (long long)r.marks.committed, (long long)s.connections, (long long)s.connections_up,
             (long long)s.frames, (long long)s.trades, (long long)s.quotes, (long long)s.duplicates,
             (long long)s.dead, (long long)r.gaps_open, (long long)r.candles, (long long)r.late,
             (long long)r.revisions, (long long)r.commits, (long long)r.retries);
    put_latency(out, "durable_us", &r.durable);
    put_latency(out, "visible_us", &r.visible);
}

static void put_publish(struct living *l, struct buf *out)
{
    struct publish_status p;
    publish_status(l->publish, &p);
    buf_addf(out,
             "\"bus\":{\"connected\":%s,\"rows\":%lld,\"records\":%lld,\"bytes\":%lld,"
             "\"transactions\":%lld,\"aborts\":%lld,\"retries\":%lld,\"behind_bytes\":%lld,"
             "\"buffered_bytes\":%lld,\"lsn\":\"%X/%X\"",
             p.connected ? "true" : "false", (long long)p.rows, (long long)p.records,
             (long long)p.bytes, (long long)p.transactions, (long long)p.aborts,
             (long long)p.retries, (long long)p.behind_bytes, (long long)p.buffered_bytes,
             (unsigned)(p.lsn >> 32), (unsigned)p.lsn);
    put_latency(out, "lag_us", &p.lag);
    buf_add_byte(out, '}');
}

static void put_worker(struct living *l, struct buf *out)
{
    struct worker_status w;
    worker_status(l->worker, &w);
    buf_addf(out,
             "\"worker\":{\"partitions\":%lld,\"lag\":%lld,\"events\":%lld,\"trades\":%lld,"
             "\"quotes\":%lld,\"candles\":%lld,\"late\":%lld,\"revisions\":%lld,"
             "\"commits\":%lld,\"fenced\":%lld,\"retries\":%lld",
             (long long)w.partitions, (long long)w.lag, (long long)w.events, (long long)w.trades,
             (long long)w.quotes, (long long)w.candles, (long long)w.late, (long long)w.revisions,
             (long long)w.commits, (long long)w.fenced, (long long)w.retries);
    put_latency(out, "visible_us", &w.visible);
    buf_add_byte(out, '}');
}

void run_tell_status(void *ctx, struct buf *out)
{
    struct living *l = ctx;
    const char *between = "";
    buf_add_byte(out, '{');
    if (l->run) {
        put_run(l, out);
        between = ",";
    }
    if (l->publish) {
        buf_add_cstr(out, between);
        put_publish(l, out);
        between = ",";
    }
    if (l->worker) {
        buf_add_cstr(out, between);
        put_worker(l, out);
    }
    buf_add_cstr(out, "}\n");
}

void run_tell_progress(struct living *l, char *out, size_t size)
{
    size_t n = 0;
    out[0] = 0;
    if (l->run && l->source) {
        struct source_stats s;
        struct run_status r;
        source_live_stats(l->source, &s);
        run_status(l->run, &r);
        n += (size_t)snprintf(out, size, "up %lld/%lld  %lld trades  %lld quotes  durable %lld",
                              (long long)s.connections_up, (long long)s.connections,
                              (long long)s.trades, (long long)s.quotes, (long long)r.marks.durable);
        if (!l->inv->config->store.url && n < size)
            n += (size_t)snprintf(out + n, size - n, "  in the lake %lld  visible p99 %lld ms",
                                  (long long)r.marks.committed,
                                  (long long)(r.visible.p99 / NS_PER_MS));
        if (n < size)
            n += (size_t)snprintf(out + n, size - n, "  gaps %lld  dead %lld",
                                  (long long)r.gaps_open, (long long)s.dead);
    }
    if (l->publish && n < size) {
        struct publish_status p;
        publish_status(l->publish, &p);
        n +=
            (size_t)snprintf(out + n, size - n, "%sbus %lld records  behind %lld kB", n ? "  " : "",
                             (long long)p.records, (long long)(p.behind_bytes / 1024));
    }
    if (l->worker && n < size) {
        struct worker_status w;
        worker_status(l->worker, &w);
        snprintf(out + n, size - n,
                 "%s%lld partitions  lag %lld  %lld trades  %lld candles  visible p99 %lld ms",
                 n ? "  " : "", (long long)w.partitions, (long long)w.lag, (long long)w.trades,
                 (long long)w.candles, (long long)(w.visible.p99 / NS_PER_MS));
    }
}
