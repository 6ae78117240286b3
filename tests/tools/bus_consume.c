/* bus_consume.c - a worker whose lake is two files, for the tests of the consumer.
 *
 *   bus_consume read|scan|bench [OPTION VALUE]...
 *     brokers LIST  prefix P  registry URL  partitions N  group G  client NAME  property NAME=VALUE
 *     state FILE    the catalog: where each partition stands, and how much of the log counts; changed under a lock, in one
 *                   write of less than a page, so that a kill leaves the old or the new
 *     log FILE      one line an event: "PARTITION TABLE SEQUENCE NUMBER", "PARTITION clock ROW FINISHES" ...
 *     commit N      milliseconds between commits    batch N  most events a batch    bytes N  text a batch
 *     idle N        ends after so many ms without any record; 0: when told to
 *     events N      bench: ends after that many
 *
 * Told on standard output: "gained P", "losing P LOST", "fenced P", "committed P", and errors as "NAME: text". A commit is refused
 * where the catalog does not stand where the worker began, as the lake's are; the worker then begins anew. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "bus/bus.h"
#include "io/clock.h"

enum { PROPERTIES_MAX = 32, OWNED_MAX = 64, LOG_MAX = 1 << 30 };
#define START (INT64_C(1700000000) * NS_PER_S)

struct catalog {
    int64_t log_bytes;
    struct bus_offsets next[OWNED_MAX];
};
_Static_assert(sizeof(struct catalog) <= 4096, "one write is whole or absent");

struct pending {
    bool any;
    struct bus_offsets from, next;
    struct buf text;
};
struct tool {
    struct err e;
    struct bus_options bus;
    struct bus_property properties[PROPERTIES_MAX];
    const char *registry, *group, *client, *state, *log;
    int64_t batch, bytes, commit_ms, idle_ms, events;
    struct bus_consumer *consumer;
    struct pending pending[OWNED_MAX];
    int64_t row[OWNED_MAX];
    int state_file, log_file;
};

static atomic_bool cancelled;
static void cancel(int signal_number)
{
    (void)signal_number;
    atomic_store(&cancelled, true);
}

static void must(struct tool *t, enum err_code code)
{
    if (code == ERR_OK) return;
    printf("%s: %s\n", err_name(code), t->e.text);
    exit(err_exit_code(code));
}

static void notice(void *ctx, const char *what, const char *detail)
{
    (void)ctx;
    printf("notice %s: %s\n", what, detail);
    fflush(stdout);
}

static void set(struct tool *t, const char *name, char *value)
{
    int64_t n = 0;
    bool number = str_to_i64(str_of(value), &n) == ERR_OK;
    const struct {
        const char *name;
        const char **text;
        int64_t *i64;
    } all[] = {
        {"brokers", &t->bus.brokers, NULL},
        {"prefix", &t->bus.prefix, NULL},
        {"registry", &t->registry, NULL},
        {"group", &t->group, NULL},
        {"client", &t->client, NULL},
        {"state", &t->state, NULL},
        {"log", &t->log, NULL},
        {"batch", NULL, &t->batch},
        {"bytes", NULL, &t->bytes},
        {"commit", NULL, &t->commit_ms},
        {"idle", NULL, &t->idle_ms},
        {"events", NULL, &t->events},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(all[i].name, name) != 0) continue;
        if (all[i].text) *all[i].text = value;
        if (all[i].i64 && number) *all[i].i64 = n;
        return;
    }
    char *equals = strchr(value, '=');
    if (strcmp(name, "partitions") == 0 && number) {
        t->bus.partitions = (int32_t)n;
    } else if (strcmp(name, "property") == 0 && equals && t->bus.property_count < PROPERTIES_MAX) {
        *equals = 0;
        t->properties[t->bus.property_count++] = (struct bus_property){value, equals + 1};
    } else {
        fprintf(stderr, "no option %s %s\n", name, value);
        exit(64);
    }
}

/* --- events as lines --- */

static void line_of(const struct batch *b, struct event_ref ref, int32_t p, struct buf *out)
{
    uint32_t i = ref.index;
    switch ((enum event_type)ref.type) {
    case EVENT_TRADE:
        buf_addf(out, "%d trades %" PRId64 " %" PRId64 "\n", p, b->trades[i].sequence,
                 b->trades[i].id - 1);
        break;
    case EVENT_QUOTE:
        buf_addf(out, "%d quotes %" PRId64 " %" PRId64 "\n", p, b->quotes[i].sequence,
                 (b->quotes[i].received_ns - START) / NS_PER_MS);
        break;
    case EVENT_GAP:
        buf_addf(out, "%d gaps %" PRId64 " %" PRId64 "\n", p, b->gaps[i].sequence,
                 b->gaps[i].gap_id - 1);
        break;
    case EVENT_VENUE_CANDLE:
        buf_addf(out, "%d venue_candles %" PRId64 " 0\n", p, b->candles[i].c.sequence);
        break;
    case EVENT_DEAD: {
        const struct dead *d = &b->deads[i];
        buf_addf(out, "%d dead_letters %" PRId64 " %" PRId64 " %s %zu %.*s|%.*s|%.*s|%.*s\n", p,
                 d->sequence, d->position, dead_reason_text(d->reason), d->payload.n,
                 STR_ARG(d->venue), STR_ARG(d->symbol), STR_ARG(d->connection), STR_ARG(d->detail));
        break;
    }
    }
}

static void lines_of(const struct batch *b, int32_t p, struct buf *out)
{
    buf_addf(out, "%d batch %" PRId64 " %" PRId64 " %zu\n", p, b->first_sequence, b->last_sequence,
             b->event_count);
    for (size_t i = 0; i < b->instrument_count; i++)
        buf_addf(out, "%d instruments 0 %.*s\n", p, STR_ARG(b->instruments[i].symbol));
    for (size_t i = 0; i < b->event_count; i++) line_of(b, b->order[i], p, out);
    int64_t proven = 0;
    for (size_t i = 0; i < b->proofs.count; i++) proven += b->proofs.items[i].count;
    CHECK(proven == (int64_t)(b->trade_count + b->quote_count) && !out->failed);
}

static void clock_line(struct tool *t, int32_t p)
{
    int64_t clock_ns, finishes;
    if (!bus_consumer_clock(t->consumer, p, &clock_ns, &finishes)) return;
    int64_t row = (clock_ns - START) / NS_PER_MS;
    CHECK(row >= t->row[p]);
    if (row == t->row[p]) return;
    t->row[p] = row;
    buf_addf(&t->pending[p].text, "%d clock %" PRId64 " %" PRId64 "\n", p, row, finishes);
    t->pending[p].any = true;
}

/* --- the catalog --- */

static void lock_catalog(struct tool *t, struct catalog *ret)
{
    memset(ret, 0, sizeof *ret);
    CHECK(flock(t->state_file, LOCK_EX) == 0);
    ssize_t n = pread(t->state_file, ret, sizeof *ret, 0);
    CHECK(n == 0 || n == (ssize_t)sizeof *ret);
}

static void unlock_catalog(struct tool *t) { CHECK(flock(t->state_file, LOCK_UN) == 0); }

static bool same(const struct bus_offsets *a, const struct bus_offsets *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void tell(const char *what, int32_t p)
{
    printf("%s %d\n", what, p);
    fflush(stdout);
}

/* False: refused, somebody else went on from there. */
static bool commit(struct tool *t, int32_t p)
{
    struct pending *w = &t->pending[p];
    struct catalog c;
    if (!w->any) return true;
    lock_catalog(t, &c);
    bool good = same(&c.next[p], &w->from);
    if (good) {
        struct str s = buf_str(&w->text);
        CHECK(pwrite(t->log_file, s.p, s.n, c.log_bytes) == (ssize_t)s.n);
        c.log_bytes += (int64_t)s.n;
        c.next[p] = w->next;
        CHECK(pwrite(t->state_file, &c, sizeof c, 0) == (ssize_t)sizeof c);
    }
    unlock_catalog(t);
    tell(good ? "committed" : "fenced", p);
    w->from = good ? w->next : c.next[p];
    w->any = false;
    buf_reset(&w->text);
    return good;
}

static enum err_code gained(void *ctx, int32_t p, struct bus_offsets *ret, struct err *e)
{
    (void)e;
    struct tool *t = ctx;
    struct catalog c;
    lock_catalog(t, &c);
    unlock_catalog(t);
    tell("gained", p);
    *ret = t->pending[p].from = t->pending[p].next = c.next[p];
    t->pending[p].any = false;
    buf_reset(&t->pending[p].text);
    t->row[p] = -1;
    return ERR_OK;
}

static enum err_code losing(void *ctx, int32_t p, bool lost, struct err *e)
{
    (void)e;
    struct tool *t = ctx;
    printf("losing %d %d\n", p, lost);
    fflush(stdout);
    if (commit(t, p)) bus_consumer_note(t->consumer, p, &t->pending[p].next);
    return ERR_OK;
}

static void commit_all(struct tool *t)
{
    for (int32_t p = 0; p < t->bus.partitions; p++) {
        if (!t->pending[p].any) continue;
        if (commit(t, p))
            bus_consumer_note(t->consumer, p, &t->pending[p].next);
        else {
            t->row[p] = -1;
            t->pending[p].next = t->pending[p].from;
            must(t, bus_consumer_seek(t->consumer, p, &t->pending[p].from, &t->e));
        }
    }
}

/* --- verbs --- */

static void open_consumer(struct tool *t)
{
    const struct bus_consumer_options o = {
        .bus = &t->bus,
        .group = t->group,
        .client = t->client,
        .gained = gained,
        .losing = losing,
        .ctx = t,
    };
    must(t, bus_consumer_open(&o, &t->consumer, &t->e));
    tell("open", 0);
}

static void take_batch(struct tool *t, const struct batch *b, int32_t p,
                       const struct bus_offsets *next)
{
    struct pending *w = &t->pending[p];
    CHECK(b->first_sequence == w->next.next[BUS_TRADES] + 1 &&
          b->last_sequence == next->next[BUS_TRADES]);
    lines_of(b, p, &w->text);
    w->next = *next;
    w->any = true;
}

static void read_on(struct tool *t)
{
    struct batch_pool *pool = batch_pool_new(1, (size_t)t->batch, (size_t)t->bytes);
    struct batch *b = batch_get(pool, -1);
    int64_t quiet_ns = clock_mono_ns(), committed_ns = quiet_ns;
    while (!atomic_load(&cancelled)) {
        int32_t p;
        struct bus_offsets next;
        batch_clear(b);
        enum err_code code = bus_consumer_read(t->consumer, 100, b, &p, &next, &t->e);
        if (code == ERR_STOPPED) break;
        if (code != ERR_OK && err_action(code) == ACT_RETRY) {
            printf("again %s: %s\n", err_name(code), t->e.text);
            fflush(stdout);
            clock_sleep_ns(100 * NS_PER_MS);
            continue;
        }
        must(t, code);
        int64_t now_ns = clock_mono_ns();
        if (p >= 0) {
            quiet_ns = now_ns;
            take_batch(t, b, p, &next);
        }
        for (int32_t i = 0; i < t->bus.partitions; i++) clock_line(t, i);
        if (now_ns - committed_ns >= t->commit_ms * NS_PER_MS) {
            commit_all(t);
            committed_ns = now_ns;
        }
        if (t->idle_ms && now_ns - quiet_ns > t->idle_ms * NS_PER_MS) break;
    }
    commit_all(t);
    int64_t lag = 0;
    for (int32_t i = 0; i < t->bus.partitions; i++) lag += bus_consumer_lag(t->consumer, i);
    printf("lag %" PRId64 "\n", lag);
    bus_consumer_close(t->consumer);
    tell("closed", 0);
    batch_put(b);
    batch_pool_free(pool);
}

static enum err_code scanned(void *ctx, int32_t p, const struct batch *b, struct err *e)
{
    (void)e;
    struct tool *t = ctx;
    struct buf *out = &t->pending[0].text;
    buf_reset(out);
    lines_of(b, p, out);
    fwrite(out->data, 1, out->len, stdout);
    return ERR_OK;
}

static void scan(struct tool *t)
{
    static struct bus_offsets oldest[BUS_PARTITIONS_MAX], ends[BUS_PARTITIONS_MAX];
    must(t, bus_scan(&t->bus, scanned, oldest, ends, t, &t->e));
    for (int32_t p = 0; p < t->bus.partitions; p++)
        for (int k = 0; k < BUS_TOPICS; k++)
            printf("%d bounds %s %" PRId64 " %" PRId64 "\n", p, bus_topic_table((enum bus_topic)k),
                   oldest[p].next[k], ends[p].next[k]);
}

static enum err_code from_oldest(void *ctx, int32_t p, struct bus_offsets *ret, struct err *e)
{
    (void)ctx, (void)p, (void)ret, (void)e;
    return ERR_OK;
}

static enum err_code let_go(void *ctx, int32_t p, bool lost, struct err *e)
{
    (void)ctx, (void)p, (void)lost, (void)e;
    return ERR_OK;
}

static void bench(struct tool *t)
{
    const struct bus_consumer_options o = {
        .bus = &t->bus, .group = t->group, .gained = from_oldest, .losing = let_go};
    must(t, bus_consumer_open(&o, &t->consumer, &t->e));
    struct batch_pool *pool = batch_pool_new(1, (size_t)t->batch, (size_t)t->bytes);
    struct batch *b = batch_get(pool, -1);
    int64_t events = 0, batches = 0, began_ns = 0, cpu_ns = 0;
    while (events < t->events && !atomic_load(&cancelled)) {
        int32_t p;
        struct bus_offsets next;
        batch_clear(b);
        must(t, bus_consumer_read(t->consumer, 100, b, &p, &next, &t->e));
        if (p < 0) continue;
        if (!began_ns) {
            began_ns = clock_mono_ns();
            cpu_ns = clock_cpu_ns();
        }
        events += (int64_t)b->event_count;
        batches++;
    }
    printf("events=%" PRId64 " batches=%" PRId64 " ms=%" PRId64 " cpu_ms=%" PRId64 "\n", events,
           batches, (clock_mono_ns() - began_ns) / NS_PER_MS,
           (clock_cpu_ns() - cpu_ns) / NS_PER_MS);
    bus_consumer_close(t->consumer);
    batch_put(b);
    batch_pool_free(pool);
}

static void setup(struct tool *t)
{
    const struct registry_options registry = {
        .kind = REGISTRY_CONFLUENT, .url = t->registry, .compatibility = "BACKWARD"};
    t->bus.registry = registry_new(&registry);
    t->bus.series = series_new();
    t->bus.properties = t->properties;
    t->bus.notice = notice;
    t->bus.cancel = &cancelled;
    for (int i = 0; i < OWNED_MAX; i++) {
        buf_init(&t->pending[i].text, LOG_MAX);
        t->row[i] = -1;
    }
    if (t->state) t->state_file = open(t->state, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (t->log) t->log_file = open(t->log, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    CHECK(t->state_file >= 0 && t->log_file >= 0 && t->bus.partitions <= OWNED_MAX);
    signal(SIGTERM, cancel);
    signal(SIGINT, cancel);
}

int main(int argc, char **argv)
{
    static struct tool t = {
        .bus = {.brokers = "127.0.0.1:19091", .partitions = 3, .replication = 3, .min_insync = 2},
        .group = "workers",
        .batch = 4096,
        .bytes = 8 << 20,
        .commit_ms = 200,
        .events = 1000000,
    };
    if (argc < 2 || argc % 2) {
        fprintf(stderr, "bus_consume VERB [OPTION VALUE]...\n");
        return 64;
    }
    for (int i = 2; i < argc; i += 2) set(&t, argv[i], argv[i + 1]);
    log_setup(getenv("BUS_DEBUG") ? LOG_DEBUG : LOG_NONE, LOG_LOGFMT);
    setup(&t);
    if (strcmp(argv[1], "read") == 0) {
        open_consumer(&t);
        read_on(&t);
    } else if (strcmp(argv[1], "scan") == 0)
        scan(&t);
    else if (strcmp(argv[1], "bench") == 0)
        bench(&t);
    else
        return 64;
    for (int i = 0; i < OWNED_MAX; i++) buf_free(&t.pending[i].text);
    registry_free(t.bus.registry);
    series_free(t.bus.series);
    return 0;
}
