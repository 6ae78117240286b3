#include "bus/topics.h"

#include <stdio.h>

void bus_topic_name(const struct bus_options *o, enum bus_topic t, char out[BUS_NAME_MAX])
{
    snprintf(out, BUS_NAME_MAX, "%smarket.%s", o->prefix ? o->prefix : "", bus_topic_table(t));
}

void bus_positions_name(const struct bus_options *o, char out[BUS_NAME_MAX])
{
    snprintf(out, BUS_NAME_MAX, "%s" BUS_POSITIONS, o->prefix ? o->prefix : "");
}

void bus_subject(const struct bus_options *o, enum bus_topic t, char out[BUS_SUBJECT_MAX])
{
    bus_topic_name(o, t, out);
    size_t n = strlen(out);
    memcpy(out + n, "-value", sizeof "-value");
}

enum err_code bus_schema_register(const struct bus_options *o, enum bus_topic t,
                                  struct registry_id *ret, struct err *e)
{
    char subject[BUS_SUBJECT_MAX];
    bus_subject(o, t, subject);
    return registry_register(o->registry, str_of(subject), bus_schema(t), ret, e);
}

/* --- what each topic must be --- */

static void add_config(struct topic_wish *w, const char *name, const char *value)
{
    CHECK(w->config_count < TOPIC_CONFIGS_MAX);
    struct topic_config *c = &w->configs[w->config_count++];
    c->name = name;
    CHECK(str_copy(c->value, sizeof c->value, str_of(value)));
}

/* Retention goes by the records' timestamps. They are times of receipt, which in a replay are years old: the broker would
 * delete such records before a worker has read them. So where retention is limited, the broker's own time of the append is
 * the timestamp; where all is kept, it is the time of receipt. */
static void wish_market(const struct bus_options *o, struct topic_wish *w)
{
    char text[32];
    add_config(w, "cleanup.policy", "delete");
    snprintf(text, sizeof text, "%lld",
             o->retention_hours ? (long long)o->retention_hours * 3600000 : -1LL);
    add_config(w, "retention.ms", text);
    add_config(w, "retention.bytes", "-1");
    add_config(w, "message.timestamp.type", o->retention_hours ? "LogAppendTime" : "CreateTime");
}

void bus_topic_wishes(const struct bus_options *o, struct topic_wish wishes[TOPICS_ALL])
{
    char least[16];
    snprintf(least, sizeof least, "%d", o->min_insync);
    for (int t = 0; t < TOPICS_ALL; t++) {
        struct topic_wish *w = &wishes[t];
        *w = (struct topic_wish){.partitions = o->partitions};
        if (t < BUS_TOPICS) {
            bus_topic_name(o, (enum bus_topic)t, w->name);
            wish_market(o, w);
        } else {
            bus_positions_name(o, w->name);
            w->partitions = 1;
            add_config(w, "cleanup.policy", "compact");
            /* Records come ten a second and only the newest counts; the log stays short, so that reading it back is fast. */
            add_config(w, "segment.bytes", "4194304");
            add_config(w, "min.cleanable.dirty.ratio", "0.1");
        }
        add_config(w, "min.insync.replicas", least);
        add_config(w, "unclean.leader.election.enable", "false");
    }
}

/* --- making them --- */

/* Waits for the answer of an admin call; the event is the caller's. */
enum err_code bus_admin_wait(struct bus_client *c, rd_kafka_queue_t *queue, const char *what,
                             rd_kafka_event_t **ret, struct err *e)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TOPIC_ADMIN_MS + 5000);
    rd_kafka_poll(c->rk, 0);
    if (!event) return bus_error(c, RD_KAFKA_RESP_ERR__TIMED_OUT, what, e);
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        enum err_code ours = bus_error(c, code, what, e);
        rd_kafka_event_destroy(event);
        return ours;
    }
    *ret = event;
    return ERR_OK;
}

static rd_kafka_NewTopic_t *new_topic(const struct topic_wish *w, int32_t replication)
{
    char why[256];
    rd_kafka_NewTopic_t *t =
        rd_kafka_NewTopic_new(w->name, w->partitions, replication, why, sizeof why);
    CHECK(t != NULL);
    for (int i = 0; i < w->config_count; i++)
        CHECK(rd_kafka_NewTopic_set_config(t, w->configs[i].name, w->configs[i].value) ==
              RD_KAFKA_RESP_ERR_NO_ERROR);
    return t;
}

static enum err_code create_result(const struct bus_client *c, const rd_kafka_topic_result_t *r,
                                   struct err *e)
{
    rd_kafka_resp_err_t code = rd_kafka_topic_result_error(r);
    /* Somebody else began at the same time: it is looked at like any topic that was there. */
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
        return ERR_OK;
    const char *words = rd_kafka_topic_result_error_string(r);
    return ERR(e, bus_error_code(code), "topic %s cannot be made at Kafka brokers %s: %s: %s%s",
               rd_kafka_topic_result_name(r), c->options.brokers, rd_kafka_err2name(code),
               words ? words : "",
               bus_error_code(code) == ERR_REFUSED
                   ? "; grant this user CREATE, DESCRIBE, DESCRIBE_CONFIGS, READ and WRITE on it"
                   : "");
}

enum err_code bus_topics_create(struct bus_client *c, const struct topic_wish *wishes,
                                const bool *absent, struct err *e)
{
    rd_kafka_NewTopic_t *list[TOPICS_ALL];
    size_t n = 0;
    for (int t = 0; t < TOPICS_ALL; t++)
        if (absent[t]) list[n++] = new_topic(&wishes[t], c->options.replication);
    char why[256];
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(c->rk, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    CHECK(rd_kafka_AdminOptions_set_request_timeout(options, TOPIC_ADMIN_MS, why, sizeof why) == 0);
    CHECK(rd_kafka_AdminOptions_set_operation_timeout(options, TOPIC_ADMIN_MS / 2, why,
                                                      sizeof why) == 0);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(c->rk);
    rd_kafka_CreateTopics(c->rk, list, n, options, queue);
    rd_kafka_event_t *event = NULL;
    enum err_code code = bus_admin_wait(c, queue, "making topics", &event, e);
    if (code == ERR_OK) {
        size_t count = 0;
        const rd_kafka_topic_result_t **results =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count);
        for (size_t i = 0; i < count && code == ERR_OK; i++) code = create_result(c, results[i], e);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy_array(list, n);
    return code;
}
