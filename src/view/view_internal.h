/* view_internal.h - inside the view.
 *
 * view.c           threads, pages, what is told of a source
 * view_store.c     marks of the store, gaps, jobs;  view_gaps.c: the list of gaps
 * view_slot.c      PostgreSQL's replication slot;   view_bus.c: Kafka;   view_registry.c: schemas
 * view_lake.c      tables, positions, markets
 * view_flow.c      samples of all marks: rates, lags, history
 * view_query.c     candles and trades on demand;    view_text.c: parameters, JSON
 * view_metrics.c   gauges
 */
#ifndef TICKLAKE_VIEW_VIEW_INTERNAL_H
#define TICKLAKE_VIEW_VIEW_INTERNAL_H

#include "bus/bus.h"
#include "lake/lake.h"
#include "run/distributed.h"
#include "store/changes.h"
#include "store/store.h"
#include "view/view.h"

#include <pthread.h>

enum view_source {
    SOURCE_STORE,
    SOURCE_SLOT,
    SOURCE_BUS,
    SOURCE_REGISTRY,
    SOURCE_LAKE,
    VIEW_SOURCES
};
enum {
    VIEW_PAGE_BYTES = 16 << 20,
    VIEW_ERROR_BYTES = 512,
    VIEW_GAPS_MAX = 20000,
    VIEW_SAMPLES = 300,
    VIEW_SAMPLE_MS = 2000,
    VIEW_QUESTIONS_MAX = 32,
    VIEW_BROKERS_MAX = 64,
};

/* A gap of the ledger; names point into the store source's series table, which lives as long as the view. */
struct view_gap {
    struct gap g;
    char cause[48];
};
struct view_gaps {
    struct view_gap *items; /* the newest, in the order of the ledger, from `first` on as a ring */
    size_t first, count;
    int64_t total, open, missing;
};

/* What the samples, the metrics and other sources need of a look. -1: not known. Members stand in the order of the sources: each
 * owns a range (view.c). */
struct view_numbers {
    /* store */
    struct store_progress progress;
    int64_t gaps_open, gaps_missing, jobs_running, jobs_failed;
    /* slot */
    bool slot_exists, slot_active;
    int64_t slot_behind_bytes, slot_safe_bytes;
    uint64_t slot_confirmed;
    /* bus */
    int64_t brokers_up, brokers_known, under_replicated, offline;
    int64_t bus_end, group_lag;                   /* of the events' topics, summed up */
    int64_t ends[BUS_TOPICS][BUS_PARTITIONS_MAX]; /* -1: not known */
    int32_t bus_partitions;
    /* registry */
    int64_t subjects, different;
    /* lake */
    int64_t lake_position; /* embedded: the mark; distributed: all positions of events summed up */
    int64_t lake_lag;      /* records on the bus that are not in the lake */
    int64_t newest_trade_ns, emitted_ns, newest_commit_ns; /* TIME_ABSENT */
    int64_t markets, markets_with_gaps;
    int64_t table_rows[TABLE_MAX], table_bytes[TABLE_MAX], table_files[TABLE_MAX],
        table_snapshots[TABLE_MAX];
};

/* What one look gives: it is made aside and replaces the last one when it is whole. */
struct view_look {
    struct buf page[VIEW_PAGES]; /* members of a JSON object, without the braces */
    struct view_numbers numbers; /* a copy: the look sets its own */
};

struct view_probe {
    struct view *view;
    enum view_source source;
    const char *name;
    int64_t period_ns, deadline_ns;
    bool wanted;
    pthread_t thread;
    bool started;
    struct distributed parts;
    struct series_table *series;
    void *own; /* connections of the source */
    /* under view.lock */
    struct buf page[VIEW_PAGES];
    int64_t looks, began_mono_ns, began_ns, took_ns, good_ns, failing_since_ns;
    char error[VIEW_ERROR_BYTES];
};

struct view_sample { /* of the flow; values as in view_numbers and view_own */
    int64_t at_ns;
    int64_t received, durable, acked, committed; /* counts that only rise; -1 */
    int64_t durable_rate; /* per 10 s as the store says it, or -1: by `durable` */
};

struct view_question {
    uint64_t id;
    char what[16];
    char query[1024];
};

struct view {
    struct view_options options;
    bool distributed, has_bus;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    struct view_probe probes[VIEW_SOURCES];
    struct view_numbers numbers; /* under lock, as all below */
    struct view_gaps gaps;
    struct view_sample samples[VIEW_SAMPLES]; /* ring */
    size_t sample_first, sample_count;
    pthread_t flow_thread, query_thread;
    bool flow_started, query_started;
    struct view_question questions[VIEW_QUESTIONS_MAX];
    size_t question_count;
    struct distributed parts; /* of the query thread */
    struct series_table *series;
    struct lake *lake;
};

/* A look of each source, and what closes its connections (the next look makes them anew). */
enum err_code view_look_store(struct view_probe *p, struct view_look *ret, struct err *e) MUST_USE;
enum err_code view_look_slot(struct view_probe *p, struct view_look *ret, struct err *e) MUST_USE;
enum err_code view_look_bus(struct view_probe *p, struct view_look *ret, struct err *e) MUST_USE;
enum err_code view_look_registry(struct view_probe *p, struct view_look *ret,
                                 struct err *e) MUST_USE;
enum err_code view_look_lake(struct view_probe *p, struct view_look *ret, struct err *e) MUST_USE;
void view_close_store(struct view_probe *p);
void view_close_bus(struct view_probe *p);
void view_close_lake(struct view_probe *p);

/* true: stopping. Sleeps for so long, or until the end. */
bool view_rest(struct view *v, int64_t ns);
/* The state of a source in words, as of now; under the lock. */
struct view_health {
    const char *state; /* off waiting ok failing */
    int64_t since_ns;
    char error[VIEW_ERROR_BYTES];
};
void view_health(const struct view_probe *p, struct view_health *ret);

/* ---- view_gaps.c; under the lock */
void view_gaps_reset(struct view_gaps *g);
void view_gaps_add(struct view_gaps *g, const struct gap *gap);
void view_gaps_free(struct view_gaps *g);
void view_gaps_page(struct view *v, const char *query, struct buf *out);
/* Members of a JSON list: gaps of a symbol that meet [from, to]. */
void view_gaps_of(const struct view_gaps *g, const struct series_table *names, struct str venue,
                  struct str symbol, int64_t from_ns, int64_t to_ns, struct buf *out);

/* ---- view_flow.c */
void *view_flow_thread(void *view);
void view_flow_page(struct view *v, struct buf *out); /* under the lock */
/* Seconds since the count of `which` (offset of a member of view_sample) had reached `value`; -1: not known. Under the lock. */
int64_t view_flow_lag_ms(const struct view *v, size_t which, int64_t value);

/* ---- view_query.c */
void *view_query_thread(void *view);

/* ---- view_text.c */
enum { VIEW_PARAMETER_MAX = 160 };
/* Value of a parameter, percent-decoded; false: absent, or longer than the array. */
bool view_parameter(const char *query, const char *name, char out[VIEW_PARAMETER_MAX]);
int64_t view_parameter_int(const char *query, const char *name, int64_t standard, int64_t least,
                           int64_t most);
/* ,"name":VALUE for times in milliseconds; null where absent. */
void view_put_ms(struct buf *out, const char *name, int64_t ns);
/* null where v is negative. */
void view_put_count(struct buf *out, const char *name, int64_t v);
void view_put_text(struct buf *out, const char *name, struct str text);

#endif
