/* bus_publish.c - a publisher whose events follow from their number alone, for the tests that read them back.
 *
 *   bus_publish prepare|publish|position|describe|schema [OPTION VALUE]...
 *     brokers LIST  prefix P  name N  registry URL  partitions N  replication N  min_insync N  retention N  property NAME=VALUE
 *     events N      stop after that many in all         batch N    events a batch        batches N   batches a transaction
 *     rate N        events a second, 0: all            group G    describe: its offsets   timeout N   describe: milliseconds
 *     topic N       schema: which
 *
 * publish goes on from the position that is read back, row = events so far, and says so: "from ROW", then "committed ROW" after
 * each transaction, "again ROW" where one was given up. Errors are one line "NAME: text" and the exit code of the error.
 * Event n is trade id n + 1 of symbol n % 40; every 10th a quote, some of them a gap with gap_id n + 1, or a dead letter. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "bus/bus.h"
#include "io/clock.h"

enum { SYMBOLS = 40, PROPERTIES_MAX = 32 };
#define START (INT64_C(1700000000) * NS_PER_S)

struct tool {
    struct err e;
    struct bus_options bus;
    struct bus_property properties[PROPERTIES_MAX];
    const char *name, *registry, *group;
    int64_t events, batch, batches, rate, timeout_ms, topic;
    struct series_table *series;
    struct batch_pool *pool;
    uint32_t ids[SYMBOLS];
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

/* --- options --- */

static void add_property(struct tool *t, char *text)
{
    char *equals = strchr(text, '=');
    if (!equals || t->bus.property_count == PROPERTIES_MAX) {
        fprintf(stderr, "property NAME=VALUE, at most %d\n", PROPERTIES_MAX);
        exit(64);
    }
    *equals = 0;
    t->properties[t->bus.property_count++] = (struct bus_property){text, equals + 1};
}

static void set(struct tool *t, const char *name, char *value)
{
    int64_t n = 0;
    bool number = str_to_i64(str_of(value), &n) == ERR_OK;
    const struct {
        const char *name;
        const char **text;
        int64_t *i64;
        int32_t *i32;
    } all[] = {
        {"brokers", &t->bus.brokers, NULL, NULL},
        {"prefix", &t->bus.prefix, NULL, NULL},
        {"name", &t->name, NULL, NULL},
        {"registry", &t->registry, NULL, NULL},
        {"group", &t->group, NULL, NULL},
        {"events", NULL, &t->events, NULL},
        {"batch", NULL, &t->batch, NULL},
        {"batches", NULL, &t->batches, NULL},
        {"rate", NULL, &t->rate, NULL},
        {"timeout", NULL, &t->timeout_ms, NULL},
        {"topic", NULL, &t->topic, NULL},
        {"partitions", NULL, NULL, &t->bus.partitions},
        {"replication", NULL, NULL, &t->bus.replication},
        {"min_insync", NULL, NULL, &t->bus.min_insync},
        {"retention", NULL, NULL, &t->bus.retention_hours},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(all[i].name, name) != 0) continue;
        if (all[i].text) *all[i].text = value;
        if (all[i].i64 && number) *all[i].i64 = n;
        if (all[i].i32 && number) *all[i].i32 = (int32_t)n;
        return;
    }
    if (strcmp(name, "property") == 0) {
        add_property(t, value);
        return;
    }
    fprintf(stderr, "no option %s\n", name);
    exit(64);
}

/* --- events --- */

static bool add_gap(struct tool *t, struct batch *b, int64_t n)
{
    struct gap *g = batch_add_gap(b);
    if (!g) return false;
    *g = (struct gap){.gap_id = n + 1,
                      .series = t->ids[n % SYMBOLS],
                      .stream = STREAM_TRADE,
                      .kind = GAP_IDS,
                      .state = GAP_STATE_OPEN,
                      .has_ids = true,
                      .from_id = n,
                      .to_id = n + 3,
                      .from_time_ns = START + n,
                      .to_time_ns = START + n + 1,
                      .opened_ns = START + n * NS_PER_MS,
                      .closed_ns = TIME_ABSENT,
                      .cause = STR("id_jump")};
    return true;
}

static bool add_dead(struct batch *b, int64_t n)
{
    struct dead *d = batch_add_dead(b);
    if (!d) return false;
    *d = (struct dead){.venue = STR("binance"),
                       .detail = STR("not JSON"),
                       .payload = STR("{\"e\":"),
                       .stream = -1,
                       .reason = DEAD_MALFORMED,
                       .position = n,
                       .received_ns = START + n * NS_PER_MS};
    return true;
}

static bool add_quote(struct tool *t, struct batch *b, int64_t n)
{
    struct quote *q = batch_add_quote(b);
    if (!q) return false;
    *q = (struct quote){.series = t->ids[n % SYMBOLS],
                        .origin = ORIGIN_LIVE,
                        .bid_price = dec_normal(n + 1, 3),
                        .bid_size = dec_normal(7, 0),
                        .ask_price = dec_normal(n + 2, 3),
                        .ask_size = dec_normal(8, 1),
                        .venue_time_ns = TIME_ABSENT,
                        .received_ns = START + n * NS_PER_MS};
    return true;
}

static bool add_trade(struct tool *t, struct batch *b, int64_t n)
{
    struct trade *x = batch_add_trade(b);
    if (!x) return false;
    *x = (struct trade){.series = t->ids[n % SYMBOLS],
                        .stream = STREAM_TRADE,
                        .side = SIDE_BUY,
                        .origin = ORIGIN_LIVE,
                        .has_id = true,
                        .id = n + 1,
                        .price = dec_normal(n * 104729 % 999999937 + 1, 9),
                        .size = dec_normal(n % 1000 + 1, 5),
                        .venue_time_ns = START + n * NS_PER_MS - 5,
                        .received_ns = START + n * NS_PER_MS};
    return true;
}

static void fill(struct tool *t, struct batch *b, int64_t from, int64_t to)
{
    for (int64_t n = from; n < to; n++) {
        bool added = n % 331 == 7     ? add_gap(t, b, n)
                     : n % 1009 == 11 ? add_dead(b, n)
                     : n % 10 == 3    ? add_quote(t, b, n)
                                      : add_trade(t, b, n);
        CHECK(added);
    }
    batch_number(b, from + 1);
}

static void add_instruments(struct tool *t, struct batch *b)
{
    for (int i = 0; i < SYMBOLS; i++) {
        const struct series *s = series_get(t->series, t->ids[i]);
        struct instrument *x = batch_add_instrument(b);
        CHECK(x != NULL);
        *x = (struct instrument){.venue = s->venue,
                                 .symbol = s->symbol,
                                 .venue_symbol = s->venue_symbol,
                                 .status = STR("TRADING"),
                                 .listed_ns = TIME_ABSENT,
                                 .delisted_ns = TIME_ABSENT};
    }
}

/* --- what it does --- */

static void pace(const struct tool *t, int64_t done, int64_t began_ns)
{
    if (t->rate <= 0) return;
    int64_t due_ns = began_ns + done * NS_PER_S / t->rate, now_ns = clock_mono_ns();
    if (due_ns > now_ns) clock_sleep_ns(due_ns - now_ns);
}

/* One transaction from row `from`; returns the row behind it, or `from` where it was given up. */
static int64_t transact(struct tool *t, struct bus_publisher *p, int64_t from)
{
    int64_t row = from;
    enum err_code code = ERR_OK;
    for (int64_t i = 0; i < t->batches && row < t->events && code == ERR_OK; i++) {
        int64_t to = row + t->batch < t->events ? row + t->batch : t->events;
        struct batch *b = batch_get(t->pool, -1);
        fill(t, b, row, to);
        if (row == 0) add_instruments(t, b);
        code = bus_publish(p, b, &t->e);
        batch_put(b);
        row = to;
    }
    const struct bus_position position = {
        .system = UINT64_C(18446744073709551615),
        .lsn = UINT64_C(0xA00000000) + (uint64_t)row,
        .row = row,
        .clock_ns = START + row * NS_PER_MS,
        .finishes = row == t->events,
    };
    if (code == ERR_OK) code = bus_publisher_commit(p, &position, &t->e);
    if (code == ERR_CONFLICT) {
        printf("again %" PRId64 " %s\n", from, t->e.text);
        return from;
    }
    must(t, code);
    printf("committed %" PRId64 "\n", row);
    fflush(stdout);
    return row;
}

static void publish(struct tool *t)
{
    struct bus_publisher *p;
    struct bus_position position;
    must(t, bus_publisher_open(&t->bus, t->name, &p, &position, &t->e));
    int64_t row = position.system ? position.row : 0, first = row;
    printf("from %" PRId64 "\n", row);
    fflush(stdout);
    int64_t began_ns = clock_mono_ns(), cpu_ns = clock_cpu_ns();
    while (row < t->events && !atomic_load(&cancelled)) {
        row = transact(t, p, row);
        pace(t, row - first, began_ns);
    }
    struct bus_publisher_stats s;
    bus_publisher_stats(p, &s);
    printf("done records=%" PRId64 " bytes=%" PRId64 " transactions=%" PRId64 " aborts=%" PRId64
           " ms=%" PRId64 " cpu_ms=%" PRId64 " commit_ms=%" PRId64 "\n",
           s.records, s.bytes, s.transactions, s.aborts, (clock_mono_ns() - began_ns) / NS_PER_MS,
           (clock_cpu_ns() - cpu_ns) / NS_PER_MS, s.commit_ns_total / NS_PER_MS);
    bus_publisher_close(p);
}

static void position(struct tool *t)
{
    struct bus_position p;
    must(t, bus_position_read(&t->bus, t->name, &p, &t->e));
    printf("system=%" PRIu64 " lsn=%" PRIu64 " row=%" PRId64 " clock_ns=%" PRId64
           " finishes=%" PRId64 "\n",
           p.system, p.lsn, p.row, p.clock_ns, p.finishes);
}

static void describe(struct tool *t)
{
    struct bus_cluster c;
    int64_t began_ns = clock_mono_ns();
    must(t, bus_describe(&t->bus, t->group, (int32_t)t->timeout_ms, &c, &t->e));
    printf("{\"id\":\"%s\",\"under_replicated\":%d,\"offline\":%d,\"ms\":%" PRId64 ",\"brokers\":[",
           c.id, c.under_replicated, c.offline, (clock_mono_ns() - began_ns) / NS_PER_MS);
    for (size_t i = 0; i < c.broker_count; i++)
        printf("%s{\"id\":%d,\"host\":\"%s\",\"port\":%d,\"controller\":%s}", i ? "," : "",
               c.brokers[i].id, c.brokers[i].host, c.brokers[i].port,
               c.brokers[i].controller ? "true" : "false");
    printf("],\"partitions\":[");
    for (size_t i = 0; i < c.partition_count; i++) {
        const struct bus_partition *p = &c.partitions[i];
        printf("%s{\"topic\":\"%s\",\"partition\":%d,\"leader\":%d,\"replicas\":%d,\"in_sync\":[",
               i ? "," : "", p->topic < BUS_TOPICS ? bus_topic_table(p->topic) : "positions",
               p->partition, p->leader, p->replicas);
        for (int k = 0; k < p->in_sync; k++) printf("%s%d", k ? "," : "", p->in_sync_ids[k]);
        printf("],\"oldest\":%" PRId64 ",\"end\":%" PRId64 ",\"group\":%" PRId64 "}", p->oldest,
               p->end, p->group_offset);
    }
    printf("]}\n");
    bus_cluster_free(&c);
}

static void schema(struct tool *t)
{
    struct str s = bus_schema((enum bus_topic)t->topic);
    printf("%.*s\n", STR_ARG(s));
}

static void setup(struct tool *t)
{
    const struct registry_options registry = {
        .kind = REGISTRY_CONFLUENT, .url = t->registry, .compatibility = "BACKWARD"};
    t->bus.registry = t->registry ? registry_new(&registry) : NULL;
    t->bus.properties = t->properties;
    t->bus.notice = notice;
    t->bus.cancel = &cancelled;
    t->bus.series = t->series = series_new();
    t->pool = batch_pool_new(1, (size_t)t->batch + 64, 1 << 20);
    for (int i = 0; i < SYMBOLS; i++) {
        char name[32];
        snprintf(name, sizeof name, "COIN%d-USDT", i);
        t->ids[i] =
            series_intern(t->series, STR("binance"), STR("binance"), str_of(name), str_of(name));
    }
    signal(SIGTERM, cancel);
    signal(SIGINT, cancel);
}

static void tear_down(struct tool *t)
{
    batch_pool_free(t->pool);
    series_free(t->series);
    if (t->bus.registry) registry_free(t->bus.registry);
}

int main(int argc, char **argv)
{
    struct tool t = {
        .bus = {.brokers = "127.0.0.1:19091", .partitions = 3, .replication = 3, .min_insync = 2},
        .name = "test",
        .events = 1000,
        .batch = 500,
        .batches = 4,
        .timeout_ms = 5000,
    };
    if (argc < 2 || argc % 2) {
        fprintf(stderr, "bus_publish VERB [OPTION VALUE]...\n");
        return 64;
    }
    for (int i = 2; i < argc; i += 2) set(&t, argv[i], argv[i + 1]);
    log_setup(getenv("BUS_DEBUG") ? LOG_DEBUG : LOG_NONE, LOG_LOGFMT);
    setup(&t);
    const char *verb = argv[1];
    if (strcmp(verb, "prepare") == 0)
        must(&t, bus_prepare(&t.bus, true, &t.e));
    else if (strcmp(verb, "publish") == 0)
        publish(&t);
    else if (strcmp(verb, "position") == 0)
        position(&t);
    else if (strcmp(verb, "describe") == 0)
        describe(&t);
    else if (strcmp(verb, "schema") == 0)
        schema(&t);
    else
        return 64;
    tear_down(&t);
    return 0;
}
