#include "base/time.h"
#include "bus/topics.h"
#include "io/clock.h"

#include <inttypes.h>
#include <stdio.h>

enum { REACH_MS = 15000, LEADERS_MS = 30000, BROKERS_MS = 20000 };

/* --- pure: one topic against what it must be --- */

enum err_code bus_topic_layout(const struct bus_options *o, const struct topic_wish *w,
                               const struct rd_kafka_metadata_topic *t, struct err *e)
{
    if (t->partition_cnt != w->partitions && w->partitions == 1)
        return ERR(e, ERR_CONFIG,
                   "topic %s has %d partitions, needed is 1: delete it while nothing publishes "
                   "(kafka-topics.sh --delete --topic %s), or set another bus.prefix",
                   w->name, t->partition_cnt, w->name);
    if (t->partition_cnt != w->partitions)
        return ERR(e, ERR_CONFIG,
                   "topic %s has %d partitions, bus.partitions is %d, and all topics must have the "
                   "same number: set bus.partitions: %d, or another bus.prefix to begin with new "
                   "topics",
                   w->name, t->partition_cnt, w->partitions, t->partition_cnt);
    for (int i = 0; i < t->partition_cnt; i++)
        if (t->partitions[i].replica_cnt < o->replication)
            return ERR(e, ERR_CONFIG,
                       "topic %s, partition %d, has %d replicas, bus.replication is %d: add "
                       "replicas (kafka-reassign-partitions.sh), or set bus.replication: %d",
                       w->name, t->partitions[i].id, t->partitions[i].replica_cnt, o->replication,
                       t->partitions[i].replica_cnt);
    return ERR_OK;
}

static enum err_code wrong(const struct topic_facts *f, const char *name, const char *has,
                           const char *needed, struct err *e)
{
    return ERR(e, ERR_CONFIG,
               "topic %s has %s=%s, needed is %s: kafka-configs.sh --alter --entity-type topics "
               "--entity-name %s --add-config %s=%s",
               f->name, name, has, needed, f->name, name, needed);
}

static void warn(const struct bus_options *o, const struct topic_facts *f)
{
    if (f->compacted || !o->notice || !f->timestamp_type || !f->retention_ms) return;
    if (strcmp(f->timestamp_type, "CreateTime") != 0 || f->retention_ms[0] == '-') return;
    char text[400];
    snprintf(text, sizeof text,
             "topic %s keeps %s ms by the records' own time: what is replayed or filled in late is "
             "deleted before workers read it; set message.timestamp.type=LogAppendTime",
             f->name, f->retention_ms);
    o->notice(o->ctx, "retention may be too short", text);
}

enum err_code bus_topic_settings(const struct bus_options *o, const struct topic_facts *f,
                                 struct err *e)
{
    const char *policy = f->compacted ? "compact" : "delete";
    if (f->cleanup_policy && strcmp(f->cleanup_policy, policy) != 0)
        return wrong(f, "cleanup.policy", f->cleanup_policy, policy, e);
    int64_t least = 0;
    if (f->min_insync &&
        (str_to_i64(str_of(f->min_insync), &least) != ERR_OK || least < o->min_insync)) {
        char needed[16];
        snprintf(needed, sizeof needed, "%d", o->min_insync);
        return wrong(f, "min.insync.replicas", f->min_insync, needed, e);
    }
    if (f->unclean && strcmp(f->unclean, "true") == 0)
        return wrong(f, "unclean.leader.election.enable", f->unclean, "false", e);
    warn(o, f);
    return ERR_OK;
}

/* --- asking the brokers --- */

static void note_fact(struct topic_facts *f, const rd_kafka_ConfigEntry_t *entry)
{
    const char *name = rd_kafka_ConfigEntry_name(entry);
    const char *value = rd_kafka_ConfigEntry_value(entry);
    if (strcmp(name, "cleanup.policy") == 0) f->cleanup_policy = value;
    if (strcmp(name, "min.insync.replicas") == 0) f->min_insync = value;
    if (strcmp(name, "unclean.leader.election.enable") == 0) f->unclean = value;
    if (strcmp(name, "message.timestamp.type") == 0) f->timestamp_type = value;
    if (strcmp(name, "retention.ms") == 0) f->retention_ms = value;
}

static enum err_code check_resource(const struct bus_client *c, const char *positions,
                                    const rd_kafka_ConfigResource_t *r, struct err *e)
{
    const char *name = rd_kafka_ConfigResource_name(r);
    rd_kafka_resp_err_t code = rd_kafka_ConfigResource_error(r);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        const char *words = rd_kafka_ConfigResource_error_string(r);
        /* Another process has just made it, and the broker that was asked does not know yet. */
        bool spreading = code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        return ERR(e, spreading ? ERR_UNAVAILABLE : bus_error_code(code),
                   "settings of topic %s at Kafka brokers %s: %s: %s%s", name, c->options.brokers,
                   rd_kafka_err2name(code), words ? words : "",
                   bus_error_code(code) == ERR_REFUSED ? "; grant this user DESCRIBE_CONFIGS on it"
                                                       : "");
    }
    struct topic_facts f = {.name = name, .compacted = strcmp(name, positions) == 0};
    size_t n = 0;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(r, &n);
    for (size_t i = 0; i < n; i++) note_fact(&f, entries[i]);
    return bus_topic_settings(&c->options, &f, e);
}

enum err_code bus_topics_check(struct bus_client *c, const struct topic_wish *wishes, struct err *e)
{
    rd_kafka_ConfigResource_t *list[TOPICS_ALL];
    for (int t = 0; t < TOPICS_ALL; t++) {
        list[t] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, wishes[t].name);
        CHECK(list[t] != NULL);
    }
    char why[256];
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(c->rk, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    CHECK(rd_kafka_AdminOptions_set_request_timeout(options, TOPIC_ADMIN_MS, why, sizeof why) == 0);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(c->rk);
    rd_kafka_DescribeConfigs(c->rk, list, TOPICS_ALL, options, queue);
    rd_kafka_event_t *event = NULL;
    enum err_code code = bus_admin_wait(c, queue, "asking for the settings of topics", &event, e);
    if (code == ERR_OK) {
        size_t n = 0;
        const rd_kafka_ConfigResource_t **found = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(event), &n);
        for (size_t i = 0; i < n && code == ERR_OK; i++)
            code = check_resource(c, wishes[BUS_TOPICS].name, found[i], e);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_ConfigResource_destroy_array(list, TOPICS_ALL);
    return code;
}

/* --- the whole --- */

static const struct rd_kafka_metadata_topic *find(const struct rd_kafka_metadata *m,
                                                  const char *name)
{
    for (int i = 0; i < m->topic_cnt; i++)
        if (strcmp(m->topics[i].topic, name) == 0 &&
            m->topics[i].err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
            return &m->topics[i];
    return NULL;
}

/* All topics are asked for, not ours by name: a broker that makes topics by itself would make ours, with its defaults. */
static enum err_code metadata(struct bus_client *c, const struct rd_kafka_metadata **ret,
                              struct err *e)
{
    rd_kafka_resp_err_t code = rd_kafka_metadata(c->rk, 1, NULL, ret, REACH_MS);
    return code ? bus_error(c, code, "asking for the topics", e) : ERR_OK;
}

static enum err_code make_absent(struct bus_client *c, const struct topic_wish *wishes,
                                 const struct rd_kafka_metadata *m, bool create,
                                 int64_t wait_until_ns, struct err *e)
{
    bool absent[TOPICS_ALL];
    int first = -1;
    for (int t = TOPICS_ALL - 1; t >= 0; t--) {
        absent[t] = !find(m, wishes[t].name);
        if (absent[t]) first = t;
    }
    if (first < 0) return ERR_OK;
    if (!create)
        return ERR(
            e, ERR_CONFIG,
            "topic %s is not there at Kafka brokers %s: the publisher (ticklake run --stages "
            "bus) makes it, or check bus.prefix",
            wishes[first].name, c->options.brokers);
    /* A broker may just be starting, or restarting: that is waited for before it is a setting. */
    if (m->broker_cnt < c->options.replication && clock_mono_ns() < wait_until_ns) return ERR_OK;
    if (m->broker_cnt < c->options.replication)
        return ERR(
            e, ERR_CONFIG,
            "topic %s needs bus.replication=%d brokers, of %s %d are up: start the others, or "
            "set bus.replication: %d (and bus.min_insync)",
            wishes[first].name, c->options.replication, c->options.brokers, m->broker_cnt,
            m->broker_cnt);
    return bus_topics_create(c, wishes, absent, e);
}

static bool has_leaders(const struct rd_kafka_metadata_topic *t)
{
    for (int i = 0; i < t->partition_cnt; i++)
        if (t->partitions[i].leader < 0) return false;
    return t->partition_cnt > 0;
}

static enum err_code check_layouts(struct bus_client *c, const struct topic_wish *wishes,
                                   const struct rd_kafka_metadata *m, bool *ret_ready,
                                   struct err *e)
{
    *ret_ready = true;
    for (int t = 0; t < TOPICS_ALL; t++) {
        const struct rd_kafka_metadata_topic *topic = find(m, wishes[t].name);
        if (!topic || topic->partition_cnt == 0) {
            *ret_ready = false; /* just made: not every broker knows of it yet */
            continue;
        }
        TRY(bus_topic_layout(&c->options, &wishes[t], topic, e));
        if (!has_leaders(topic)) *ret_ready = false;
    }
    return ERR_OK;
}

/* Those absent are made again and again: one that is just being deleted is still there for the broker that is asked to make
 * it, and gone a moment later. */
static enum err_code make_all(struct bus_client *c, const struct topic_wish *wishes, bool create,
                              struct err *e)
{
    const int64_t end_ns = clock_mono_ns() + LEADERS_MS * NS_PER_MS;
    const int64_t brokers_ns = clock_mono_ns() + BROKERS_MS * NS_PER_MS;
    for (;;) {
        const struct rd_kafka_metadata *m;
        bool ready = false;
        TRY(metadata(c, &m, e));
        enum err_code code = make_absent(c, wishes, m, create, brokers_ns, e);
        if (code == ERR_OK) code = check_layouts(c, wishes, m, &ready, e);
        rd_kafka_metadata_destroy(m);
        if (code != ERR_OK || ready) return code;
        if (clock_mono_ns() > end_ns)
            return ERR(e, ERR_UNAVAILABLE,
                       "topics of %s are without a leader for %d s: are all Kafka brokers up?",
                       c->options.brokers, LEADERS_MS / 1000);
        TRY(bus_client_wait(c, "waiting for leaders of the topics", e));
        clock_sleep_ns(100 * NS_PER_MS);
    }
}

static enum err_code prepare_topics(struct bus_client *c, bool create, struct err *e)
{
    struct topic_wish wishes[TOPICS_ALL];
    bus_topic_wishes(&c->options, wishes);
    TRY(bus_client_reach(c, REACH_MS, e));
    const int64_t end_ns = clock_mono_ns() + LEADERS_MS * NS_PER_MS;
    for (;;) {
        TRY(make_all(c, wishes, create, e));
        enum err_code code = bus_topics_check(c, wishes, e);
        if (code != ERR_UNAVAILABLE || clock_mono_ns() > end_ns) return code;
        TRY(bus_client_wait(c, "waiting for the settings of the topics", e));
        clock_sleep_ns(100 * NS_PER_MS);
    }
}

/* --- the registry knows what the topics hold --- */

/* A partition of a topic that was just made may still have no leader, or one that does not know of it. */
static enum err_code count_partition(struct bus_client *c, const char *topic, int32_t partition,
                                     int64_t *ret, struct err *e)
{
    const int64_t end_ns = clock_mono_ns() + LEADERS_MS * NS_PER_MS;
    for (;;) {
        int64_t low = 0, high = 0;
        rd_kafka_resp_err_t code =
            rd_kafka_query_watermark_offsets(c->rk, topic, partition, &low, &high, REACH_MS);
        *ret = high - low;
        if (!code) return ERR_OK;
        bool new = code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                   code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
                   code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
        if (!new || clock_mono_ns() > end_ns)
            return bus_error(c, code, "asking where the topics end", e);
        TRY(bus_client_wait(c, "asking where the topics end", e));
        clock_sleep_ns(100 * NS_PER_MS);
    }
}

static enum err_code count_records(struct bus_client *c, const char *topic, int64_t *ret,
                                   struct err *e)
{
    *ret = 0;
    for (int32_t i = 0; i < c->options.partitions; i++) {
        int64_t records;
        TRY(count_partition(c, topic, i, &records, e));
        *ret += records;
    }
    return ERR_OK;
}

/* A registry that was emptied gives ids anew, and those in the records then name other schemas or none: nothing is registered
 * over that, and the records stay as they are until the old registry is back. */
static enum err_code check_registry(struct bus_client *c, enum bus_topic t, struct err *e)
{
    struct registry *r = c->options.registry;
    char topic[BUS_NAME_MAX], subject[BUS_SUBJECT_MAX];
    struct registry_id id;
    struct str schema;
    int32_t version;
    int64_t records;
    bus_topic_name(&c->options, t, topic);
    bus_subject(&c->options, t, subject);
    enum err_code code = registry_latest(r, str_of(subject), &id, &version, &schema, e);
    if (code != ERR_NOT_FOUND) return code;
    TRY(count_records(c, topic, &records, e));
    if (!records) return ERR_OK;
    /* Whoever published them just now registered before that. */
    code = registry_latest(r, str_of(subject), &id, &version, &schema, e);
    if (code != ERR_NOT_FOUND) return code;
    return ERR(e, ERR_INCOMPATIBLE,
               "topic %s at %s holds %" PRId64 " records, and the registry %s does not know %s, by "
               "whose ids they are read: was the registry emptied, or is registry.url another than "
               "before? Bring it back, or begin with new topics (bus.prefix)",
               topic, c->options.brokers, records, registry_address(r), subject);
}

static enum err_code register_schemas(struct bus_client *c, struct err *e)
{
    for (int t = 0; t < BUS_TOPICS; t++) TRY(check_registry(c, (enum bus_topic)t, e));
    for (int t = 0; t < BUS_TOPICS; t++) {
        struct registry_id id;
        TRY(bus_schema_register(&c->options, (enum bus_topic)t, &id, e));
    }
    return ERR_OK;
}

enum err_code bus_prepare(const struct bus_options *o, bool create, struct err *e)
{
    TRY(bus_client_check(o, e));
    const struct bus_client_setup setup = {.kind = BUS_CLIENT_PRODUCER, .role = "admin"};
    struct bus_client c;
    TRY(bus_client_open(o, &setup, &c, e));
    enum err_code code = prepare_topics(&c, create, e);
    if (code == ERR_OK && create) code = register_schemas(&c, e);
    bus_client_close(&c);
    return code;
}
