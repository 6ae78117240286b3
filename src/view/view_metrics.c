/* The view as gauges. What is not known (a source that is off, or was never seen) has no line. Names: docs/operating.md. */
#include "io/clock.h"
#include "view/view_internal.h"

static void gauge(struct buf *out, const char *name, const char *help, int64_t value)
{
    if (value < 0) return;
    buf_addf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %lld\n", name, help, name, name,
             (long long)value);
}

static void head(struct buf *out, const char *name, const char *help)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static int64_t age_s(int64_t ns)
{
    if (ns == TIME_ABSENT || ns == 0) return -1;
    int64_t age = (clock_wall_ns() - ns) / NS_PER_S;
    return age < 0 ? 0 : age;
}

static void source_metrics(const struct view *v, struct buf *out)
{
    head(out, "ticklake_view_source_up", "1 while a source of the console answers.");
    for (int i = 0; i < VIEW_SOURCES; i++) {
        struct view_health h;
        view_health(&v->probes[i], &h);
        if (!v->probes[i].wanted || str_is(str_of(h.state), "waiting")) continue;
        buf_addf(out, "ticklake_view_source_up{source=\"%s\"} %d\n", v->probes[i].name,
                 str_is(str_of(h.state), "ok"));
    }
    head(out, "ticklake_view_source_age_seconds", "Since a source of the console answered.");
    for (int i = 0; i < VIEW_SOURCES; i++) {
        int64_t age = age_s(v->probes[i].good_ns);
        if (age < 0) continue;
        buf_addf(out, "ticklake_view_source_age_seconds{source=\"%s\"} %lld\n", v->probes[i].name,
                 (long long)age);
    }
}

static void table_metric(const char *name, const char *help, const int64_t *values, struct buf *out)
{
    if (values[0] < 0) return;
    head(out, name, help);
    for (int id = 0; id < TABLE_MAX; id++)
        buf_addf(out, "%s{table=\"%s\"} %lld\n", name, table_of((enum table_id)id)->name,
                 (long long)values[id]);
}

static void lake_metrics(const struct view_numbers *n, struct buf *out)
{
    table_metric("ticklake_lake_table_rows", "Rows of a table.", n->table_rows, out);
    table_metric("ticklake_lake_table_bytes", "Bytes of its files.", n->table_bytes, out);
    table_metric("ticklake_lake_table_files", "Data and delete files.", n->table_files, out);
    table_metric("ticklake_lake_table_snapshots", "Snapshots kept.", n->table_snapshots, out);
    gauge(out, "ticklake_lake_lag_records", "Records on the bus that are not in the lake.",
          n->lake_lag);
    gauge(out, "ticklake_lake_newest_commit_age_seconds", "Since the newest commit of rows.",
          age_s(n->newest_commit_ns));
    gauge(out, "ticklake_lake_newest_trade_age_seconds", "Age of the newest trade in the lake.",
          age_s(n->newest_trade_ns));
    gauge(out, "ticklake_lake_markets", "Markets (venue and symbol) seen.", n->markets);
    gauge(out, "ticklake_lake_markets_with_gaps", "Of these, with open gaps.",
          n->markets_with_gaps);
}

static void bus_metrics(const struct view_numbers *n, struct buf *out)
{
    gauge(out, "ticklake_bus_brokers_known", "Kafka brokers seen or named as replicas.",
          n->brokers_known);
    gauge(out, "ticklake_bus_brokers_up", "Kafka brokers that are up.", n->brokers_up);
    gauge(out, "ticklake_bus_under_replicated_partitions",
          "Partitions of our topics with fewer in-sync replicas than replicas.",
          n->under_replicated);
    gauge(out, "ticklake_bus_offline_partitions", "Partitions of our topics without a leader.",
          n->offline);
    gauge(out, "ticklake_bus_group_lag_records", "Records behind the group's committed offsets.",
          n->group_lag);
    gauge(out, "ticklake_registry_subjects", "Subjects of ours that are registered.", n->subjects);
    gauge(out, "ticklake_registry_different_subjects",
          "Of our subjects, absent or different from what this program writes.", n->different);
}

static void store_metrics(const struct view *v, struct buf *out)
{
    const struct view_numbers *n = &v->numbers;
    gauge(out, "ticklake_store_gaps_open", "Open gaps in the ledger of all writers.", n->gaps_open);
    gauge(out, "ticklake_store_missing_events", "Events known to be missing.", n->gaps_missing);
    gauge(out, "ticklake_store_jobs_running", "Jobs that run, of the newest 200.", n->jobs_running);
    gauge(out, "ticklake_store_jobs_failed", "Jobs that failed, of the newest 200.",
          n->jobs_failed);
    gauge(out, "ticklake_store_unpublished_events",
          "Events in PostgreSQL that are not acknowledged by Kafka.",
          n->progress.unpublished_events);
    gauge(out, "ticklake_store_unpublished_age_seconds", "Age of the oldest of them.",
          n->progress.unpublished_ns < 0 ? -1 : n->progress.unpublished_ns / NS_PER_S);
    if (!v->probes[SOURCE_SLOT].wanted || !v->probes[SOURCE_SLOT].good_ns) return;
    gauge(out, "ticklake_store_slot_exists", "1 while the replication slot exists.",
          n->slot_exists);
    gauge(out, "ticklake_store_slot_active", "1 while somebody reads from it.", n->slot_active);
    gauge(out, "ticklake_store_slot_behind_bytes", "PostgreSQL's log that it holds back.",
          n->slot_behind_bytes);
    gauge(out, "ticklake_store_slot_safe_bytes",
          "What may be written before the slot is lost; absent without a limit.",
          n->slot_safe_bytes);
}

void view_metrics(struct view *v, struct buf *out)
{
    pthread_mutex_lock(&v->lock);
    source_metrics(v, out);
    store_metrics(v, out);
    bus_metrics(&v->numbers, out);
    lake_metrics(&v->numbers, out);
    pthread_mutex_unlock(&v->lock);
}
