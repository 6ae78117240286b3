/* The counters of every stage, for /metrics, /api/v1/status and `ticklake status`. */
#include "run/publish.h"
#include "run/run_internal.h"
#include "run/worker.h"

void run_status(struct run *r, struct run_status *ret)
{
    struct lake_stats lake = {0};
    struct process_stats process = {0};
    if (r->lake) lake_stats(r->lake, &lake);
    if (r->lake) process_stats(r->shard.process, &process);
    *ret = (struct run_status){
        .marks = {atomic_load(&r->received), atomic_load(&r->durable), atomic_load(&r->emitted),
                  atomic_load(&r->committed)},
        .trades = atomic_load(&r->trades),
        .quotes = atomic_load(&r->quotes),
        .dead = atomic_load(&r->dead),
        .duplicates = atomic_load(&r->duplicates),
        .candles = process.candles,
        .late = process.late,
        .gaps_open = atomic_load(&r->gaps_open),
        .commits = lake.commits,
        .last_commit_ns = atomic_load(&r->last_commit_ns),
        .retries = atomic_load(&r->retries),
        .revisions = atomic_load(&r->revisions),
        .failed = run_failed(r),
    };
    histogram_read(&r->durable_latency, &ret->durable);
    histogram_read(&r->visible_latency, &ret->visible);
}

static void line(struct buf *out, const char *type, const char *name, const char *help,
                 int64_t value)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %lld\n", name, help, name, type, name,
             (long long)value);
}

static void source_metrics(const struct source_stats *s, struct buf *out)
{
    line(out, "counter", "ticklake_source_frames_total", "Frames received.", s->frames);
    line(out, "counter", "ticklake_source_received_bytes_total", "Bytes received.", s->bytes);
    line(out, "counter", "ticklake_source_trades_total", "Trades accepted.", s->trades);
    line(out, "counter", "ticklake_source_quotes_total", "Quotes accepted.", s->quotes);
    line(out, "counter", "ticklake_source_duplicates_total", "Events seen before, dropped.",
         s->duplicates);
    line(out, "counter", "ticklake_source_dead_total", "Dead letters.", s->dead);
    line(out, "counter", "ticklake_source_gaps_opened_total", "Gaps opened.", s->gaps_opened);
    line(out, "counter", "ticklake_source_gaps_closed_total", "Gaps closed.", s->gaps_closed);
    line(out, "counter", "ticklake_source_connects_total", "Connections made.", s->connects);
    line(out, "counter", "ticklake_source_venue_errors_total", "Error answers of venues.",
         s->venue_errors);
    line(out, "gauge", "ticklake_source_connections", "Connections wanted.", s->connections);
    line(out, "gauge", "ticklake_source_connections_up", "Connections up.", s->connections_up);
    line(out, "gauge", "ticklake_source_guessed_symbols", "Symbols mapped without a list.",
         s->guessed_symbols);
}

static void lake_metrics(struct run *r, const struct run_status *s, struct buf *out)
{
    struct lake_stats lake;
    struct process_stats process;
    lake_stats(r->lake, &lake);
    process_stats(r->shard.process, &process);
    line(out, "gauge", "ticklake_process_emitted_mark", "Newest sequence processed.",
         s->marks.emitted);
    line(out, "gauge", "ticklake_lake_committed_mark", "Newest sequence in the lake.",
         s->marks.committed);
    line(out, "counter", "ticklake_process_trades_total", "Trades processed.", process.trades);
    line(out, "counter", "ticklake_process_late_total", "Trades after their window.", process.late);
    line(out, "counter", "ticklake_process_candles_total", "Candles emitted.", process.candles);
    line(out, "gauge", "ticklake_process_open_windows", "Open windows.", process.open_windows);
    line(out, "counter", "ticklake_process_revisions_total", "Candles replaced.", s->revisions);
    line(out, "counter", "ticklake_lake_commits_total", "Commits.", lake.commits);
    line(out, "counter", "ticklake_lake_conflicts_total", "Commits rebuilt on another writer's.",
         lake.conflicts);
    line(out, "counter", "ticklake_lake_unreadable_files_total",
         "Files of other writers met that cannot be read.", lake.unreadable_files);
    line(out, "counter", "ticklake_lake_rows_total", "Rows written.", lake.rows);
    line(out, "counter", "ticklake_lake_written_bytes_total", "Bytes written.", lake.bytes_written);
    line(out, "counter", "ticklake_lake_compactions_total", "Compactions.", lake.compactions);
    line(out, "counter", "ticklake_lake_files_removed_total", "Files removed.", lake.files_removed);
    line(out, "gauge", "ticklake_lake_buffered_rows", "Rows that wait for a commit.",
         lake.buffered_rows);
    line(out, "gauge", "ticklake_lake_last_commit_seconds", "Time of the newest commit.",
         s->last_commit_ns / NS_PER_S);
    histogram_metrics(&r->visible_latency, "ticklake_lake_visible_latency_seconds",
                      "From the receipt of a batch's first event until it is in the lake.", out);
}

void run_metrics(struct run *r, const struct source_stats *source, struct buf *out)
{
    struct run_status s;
    struct store_stats store = {0};
    run_status(r, &s);
    if (r->store) store_stats(r->store, &store);
    if (source) source_metrics(source, out);
    line(out, "gauge", "ticklake_source_received_mark", "Events handed to the store.",
         s.marks.received);
    line(out, "gauge", "ticklake_store_durable_mark", "Newest durable sequence.", s.marks.durable);
    line(out, "counter", "ticklake_store_rows_total", "Rows written.", store.rows);
    line(out, "counter", "ticklake_store_batches_total", "Group commits.", store.batches);
    line(out, "gauge", "ticklake_store_size_bytes", "Size of the database.", store.bytes);
    line(out, "gauge", "ticklake_audit_gaps_open", "Open gaps.", s.gaps_open);
    line(out, "counter", "ticklake_run_retries_total", "Retries after outages.", s.retries);
    histogram_metrics(&r->durable_latency, "ticklake_store_durable_latency_seconds",
                      "From the receipt of a batch's first event until it is durable.", out);
    if (r->lake) lake_metrics(r, &s, out);
}

void publish_metrics(struct publish *p, struct buf *out)
{
    struct publish_status s;
    publish_status(p, &s);
    line(out, "gauge", "ticklake_bus_connected", "1 while PostgreSQL and Kafka are connected.",
         s.connected);
    line(out, "counter", "ticklake_bus_rows_total", "Rows taken from PostgreSQL.", s.rows);
    line(out, "counter", "ticklake_bus_records_total", "Records acknowledged by Kafka.", s.records);
    line(out, "counter", "ticklake_bus_published_bytes_total", "Bytes of them.", s.bytes);
    line(out, "counter", "ticklake_bus_transactions_total", "Kafka transactions committed.",
         s.transactions);
    line(out, "counter", "ticklake_bus_aborts_total", "Kafka transactions given up.", s.aborts);
    line(out, "counter", "ticklake_bus_retries_total", "Connections begun again.", s.retries);
    line(out, "gauge", "ticklake_bus_behind_bytes", "PostgreSQL's log that is not published yet.",
         s.behind_bytes);
    line(out, "gauge", "ticklake_bus_buffered_bytes", "Changes received and not published yet.",
         s.buffered_bytes);
    publish_latency_metrics(p, out);
}

/* The names of the embedded process and lake threads where they mean the same, so that one dashboard fits both. */
void worker_metrics(struct worker *w, struct buf *out)
{
    struct worker_status s;
    worker_status(w, &s);
    line(out, "gauge", "ticklake_process_partitions", "Partitions owned.", s.partitions);
    line(out, "gauge", "ticklake_process_lag_records", "Records of them still to be read.", s.lag);
    line(out, "counter", "ticklake_process_events_total", "Events read from the bus.", s.events);
    line(out, "counter", "ticklake_process_trades_total", "Trades processed.", s.trades);
    line(out, "counter", "ticklake_process_late_total", "Trades after their window.", s.late);
    line(out, "counter", "ticklake_process_candles_total", "Candles emitted.", s.candles);
    line(out, "counter", "ticklake_process_revisions_total", "Candles replaced.", s.revisions);
    line(out, "counter", "ticklake_process_retries_total", "Retries after outages.", s.retries);
    line(out, "counter", "ticklake_lake_commits_total", "Commits.", s.commits);
    line(out, "counter", "ticklake_lake_fenced_total", "Commits refused after a takeover.",
         s.fenced);
    line(out, "counter", "ticklake_lake_columns_added_total",
         "Columns added for fields of other writers' schemas.", s.columns_added);
    line(out, "counter", "ticklake_bus_fields_left_out_total",
         "Fields of other writers' schemas that no column can be made of.", s.fields_left_out);
    line(out, "counter", "ticklake_bus_records_unreadable_total",
         "Records kept as dead letters because of their schema.", s.records_unreadable);
    line(out, "gauge", "ticklake_lake_buffered_rows", "Rows that wait for a commit.",
         s.buffered_rows);
    line(out, "gauge", "ticklake_lake_last_commit_seconds", "Time of the newest commit.",
         s.last_commit_ns / NS_PER_S);
    worker_latency_metrics(w, out);
}
