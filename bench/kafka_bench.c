/* kafka_bench - trades to Kafka by bus_publish, next to librdkafka alone sending the very same bytes under the same keys with
 * the same settings, idempotent, to a topic of the same partitions and replicas; and that once more with transactions.
 *
 *   kafka_bench BROKERS REGISTRY PREFIX RECORDS ROUNDS
 *
 * A line of JSON a round and way ("ours", "alone", "alone_transactions"): records, wall_ns until the last is acknowledged, cpu_ns
 * of the process. Ours encodes each record, the others find theirs encoded. Transactions are cut every 100 ms.
 */
#include "bench_trades.h"
#include "bus/bus.h"
#include "bus/codec.h"
#include "io/clock.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>

enum {
    PARTITIONS = 3,
    BATCH = 16384,
    BATCHES = 4,
    POOL = BATCH * BATCHES,
    CUT_MS = 100,
    WAIT_MS = 60000
};

struct record {
    uint32_t at, bytes;
    int32_t partition;
    struct str key;
};
struct bench {
    struct err e;
    const char *brokers, *prefix;
    int64_t records;
    struct bus_options bus;
    struct batch *batches[BATCHES];
    struct record pool[POOL];
    struct buf values;
};

static void tell(const char *way, int64_t records, int64_t wall_ns, int64_t cpu_ns)
{
    printf("{\"way\":\"%s\",\"records\":%" PRId64 ",\"wall_ns\":%" PRId64 ",\"cpu_ns\":%" PRId64
           "}\n",
           way, records, wall_ns, cpu_ns);
    fflush(stdout);
}

static bool cut(int64_t began_ns) { return clock_mono_ns() - began_ns > CUT_MS * NS_PER_MS; }

/* --- ours --- */

static void ours(struct bench *t, int64_t round)
{
    char name[32];
    struct bus_publisher *p;
    struct bus_position at;
    snprintf(name, sizeof name, "bench-%" PRId64, round);
    bench_must(bus_publisher_open(&t->bus, name, &p, &at, &t->e), "bus_publisher_open", &t->e);
    int64_t wall = clock_mono_ns(), cpu = clock_cpu_ns(), began = wall, done = 0;
    at = (struct bus_position){.system = 1, .clock_ns = TIME_ABSENT};
    for (int i = 0; done < t->records; i = (i + 1) % BATCHES) {
        bench_must(bus_publish(p, t->batches[i], &t->e), "bus_publish", &t->e);
        done += BATCH;
        at.lsn = (uint64_t)done;
        if (!cut(began) && done < t->records) continue;
        bench_must(bus_publisher_commit(p, &at, &t->e), "bus_publisher_commit", &t->e);
        began = clock_mono_ns();
    }
    tell("ours", done, clock_mono_ns() - wall, clock_cpu_ns() - cpu);
    bus_publisher_close(p);
}

/* --- librdkafka alone --- */

static int64_t failed;
static void delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    (void)rk;
    (void)opaque;
    failed += m->err != 0;
}

static void must_kafka(rd_kafka_error_t *error, const char *what)
{
    if (!error) return;
    fprintf(stderr, "%s: %s\n", what, rd_kafka_error_string(error));
    exit(69);
}

static rd_kafka_t *producer(const struct bench *t, const char *transactional_id)
{
    const char *const settings[][2] = {{"bootstrap.servers", t->brokers},
                                       {"client.id", "bench"},
                                       {"compression.codec", "lz4"},
                                       {"linger.ms", "5"},
                                       {"queue.buffering.max.kbytes", "65536"},
                                       {"queue.buffering.max.messages", "200000"},
                                       {"enable.idempotence", "true"},
                                       {"transactional.id", transactional_id}};
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        if (settings[i][1] && rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why,
                                                sizeof why) != RD_KAFKA_CONF_OK) {
            fprintf(stderr, "%s\n", why);
            exit(70);
        }
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (!rk) {
        fprintf(stderr, "%s\n", why);
        exit(70);
    }
    return rk;
}

static void send_one(rd_kafka_t *rk, rd_kafka_topic_t *topic, const struct bench *t, int64_t n)
{
    const struct record *r = &t->pool[n % POOL];
    while (rd_kafka_produce(topic, r->partition, RD_KAFKA_MSG_F_COPY, t->values.data + r->at,
                            r->bytes, r->key.p, r->key.n, NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            fprintf(stderr, "%s\n", rd_kafka_err2str(rd_kafka_last_error()));
            exit(69);
        }
        rd_kafka_poll(rk, 100);
    }
    if (n % 256 == 0) rd_kafka_poll(rk, 0);
}

static void alone(struct bench *t, int64_t round, bool transactions)
{
    char id[64], name[BUS_NAME_MAX];
    bus_topic_name(&t->bus, BUS_TRADES, name);
    snprintf(id, sizeof id, "%salone-%" PRId64, t->prefix, round);
    rd_kafka_t *rk = producer(t, transactions ? id : NULL);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(rk, 0, topic, &metadata, WAIT_MS) != 0) exit(69);
    rd_kafka_metadata_destroy(metadata);
    if (transactions) must_kafka(rd_kafka_init_transactions(rk, WAIT_MS), "init_transactions");
    int64_t wall = clock_mono_ns(), cpu = clock_cpu_ns(), began = wall;
    bool open = false;
    for (int64_t n = 0; n < t->records; n++) {
        if (transactions && !open) must_kafka(rd_kafka_begin_transaction(rk), "begin_transaction");
        open = true;
        send_one(rk, topic, t, n);
        if (!transactions || (n + 1 < t->records && (n % 1024 != 0 || !cut(began)))) continue;
        must_kafka(rd_kafka_commit_transaction(rk, WAIT_MS), "commit_transaction");
        began = clock_mono_ns();
        open = false;
    }
    if (rd_kafka_flush(rk, WAIT_MS) != 0 || failed) {
        fprintf(stderr, "%" PRId64 " records were not delivered\n", failed);
        exit(69);
    }
    tell(transactions ? "alone_transactions" : "alone", t->records, clock_mono_ns() - wall,
         clock_cpu_ns() - cpu);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(rk);
}

/* --- the records --- */

static void encode_all(struct bench *t, const struct series_table *table)
{
    buf_init(&t->values, 256 << 20);
    for (int n = 0; n < POOL; n++) {
        const struct batch *b = t->batches[n / BATCH];
        const struct series *s = series_get(table, b->trades[n % BATCH].series);
        struct record *r = &t->pool[n];
        r->at = (uint32_t)t->values.len;
        bench_must(bus_encode(BUS_TRADES, b, (uint32_t)(n % BATCH), table, &t->values),
                   "bus_encode", &t->e);
        r->bytes = (uint32_t)(t->values.len - r->at);
        r->partition = bus_partition(s->venue, s->symbol, PARTITIONS);
        r->key.n = (size_t)snprintf(NULL, 0, "%.*s:%.*s", STR_ARG(s->venue), STR_ARG(s->symbol));
        char *key = malloc(r->key.n + 1);
        CHECK(key != NULL);
        snprintf(key, r->key.n + 1, "%.*s:%.*s", STR_ARG(s->venue), STR_ARG(s->symbol));
        r->key.p = key; /* lives as long as the program */
    }
}

int main(int argc, char **argv)
{
    static struct bench t;
    int64_t rounds = 0;
    if (argc != 6 || str_to_i64(str_of(argv[4]), &t.records) != ERR_OK ||
        str_to_i64(str_of(argv[5]), &rounds) != ERR_OK || t.records < 1) {
        fprintf(stderr, "usage: kafka_bench BROKERS REGISTRY PREFIX RECORDS ROUNDS\n");
        return 64;
    }
    t.records = (t.records + BATCH - 1) / BATCH * BATCH;
    t.brokers = argv[1];
    t.prefix = argv[3];
    struct series_table *table = series_new();
    struct bench_names names;
    bench_name_series(&names, table);
    const struct registry_options registry = {
        .kind = REGISTRY_CONFLUENT, .url = argv[2], .compatibility = "backward"};
    t.bus = (struct bus_options){.brokers = t.brokers,
                                 .prefix = t.prefix,
                                 .partitions = PARTITIONS,
                                 .replication = 3,
                                 .min_insync = 2,
                                 .retention_hours = 1,
                                 .registry = registry_new(&registry),
                                 .series = table};
    struct batch_pool *pool = batch_pool_new(BATCHES, BATCH, 1 << 20);
    for (int i = 0; i < BATCHES; i++) {
        t.batches[i] = batch_get(pool, -1);
        bench_fill(t.batches[i], &names, (int64_t)i * BATCH, BATCH);
        batch_number(t.batches[i], (int64_t)i * BATCH + 1);
    }
    encode_all(&t, table);
    bench_must(bus_prepare(&t.bus, true, &t.e), "bus_prepare", &t.e);
    for (int64_t round = 0; round < rounds; round++) {
        ours(&t, round);
        alone(&t, round, false);
        alone(&t, round, true);
    }
    return 0;
}
