#include "base/array.h"
#include "bus/topics.h"
#include "io/clock.h"

#include <stdio.h>
#include <stdlib.h>

/* What is left of the caller's time, at least a little. */
static int32_t left_ms(int64_t end_ns)
{
    int64_t ms = (end_ns - clock_mono_ns()) / NS_PER_MS;
    return ms < 50 ? 50 : (int32_t)ms;
}

/* --- brokers and partitions --- */

static void add_brokers(struct bus_cluster *c, const struct rd_kafka_metadata *m,
                        int32_t controller)
{
    const size_t room = sizeof c->brokers / sizeof c->brokers[0];
    for (int i = 0; i < m->broker_cnt && c->broker_count < room; i++) {
        struct bus_broker *b = &c->brokers[c->broker_count++];
        b->id = m->brokers[i].id;
        b->port = m->brokers[i].port;
        b->controller = b->id == controller;
        snprintf(b->host, sizeof b->host, "%s", m->brokers[i].host);
    }
}

static bool broker_is_up(const struct bus_cluster *c, int32_t id)
{
    for (size_t i = 0; i < c->broker_count; i++)
        if (c->brokers[i].id == id) return true;
    return false;
}

static void add_partition(struct bus_cluster *c, enum bus_topic topic,
                          const struct rd_kafka_metadata_partition *from)
{
    c->partitions =
        array_grown(c->partitions, c->partition_count, &c->partition_cap, sizeof *c->partitions);
    struct bus_partition *p = &c->partitions[c->partition_count++];
    const int most = sizeof p->in_sync_ids / sizeof p->in_sync_ids[0];
    *p = (struct bus_partition){
        .topic = topic,
        .partition = from->id,
        .leader = from->leader,
        .replicas = from->replica_cnt,
        .in_sync = from->isr_cnt,
        .oldest = -1,
        .end = -1,
        .group_offset = -1,
    };
    for (int i = 0; i < from->isr_cnt && i < most; i++) p->in_sync_ids[i] = from->isrs[i];
    for (int i = 0; i < from->replica_cnt && i < most; i++) p->replica_ids[i] = from->replicas[i];
    if (p->in_sync < p->replicas) c->under_replicated++;
    /* Metadata may be a moment old: a leader that is no longer among the brokers leads nothing. */
    if (!broker_is_up(c, p->leader)) {
        p->leader = -1;
        c->offline++;
    }
}

static void add_topics(struct bus_cluster *c, const struct bus_options *o,
                       const struct rd_kafka_metadata *m)
{
    char name[BUS_NAME_MAX];
    for (int t = 0; t < TOPICS_ALL; t++) {
        if (t < BUS_TOPICS)
            bus_topic_name(o, (enum bus_topic)t, name);
        else
            bus_positions_name(o, name);
        for (int i = 0; i < m->topic_cnt; i++) {
            const struct rd_kafka_metadata_topic *from = &m->topics[i];
            if (strcmp(from->topic, name) != 0) continue;
            int n =
                from->partition_cnt < BUS_PARTITIONS_MAX ? from->partition_cnt : BUS_PARTITIONS_MAX;
            for (int k = 0; k < n; k++) add_partition(c, (enum bus_topic)t, &from->partitions[k]);
        }
    }
}

/* --- offsets --- */

static struct bus_partition *find(struct bus_cluster *c, const struct bus_options *o,
                                  const rd_kafka_topic_partition_t *of)
{
    char name[BUS_NAME_MAX];
    for (size_t i = 0; i < c->partition_count; i++) {
        struct bus_partition *p = &c->partitions[i];
        if (p->partition != of->partition) continue;
        if (p->topic < BUS_TOPICS)
            bus_topic_name(o, p->topic, name);
        else
            bus_positions_name(o, name);
        if (strcmp(name, of->topic) == 0) return p;
    }
    return NULL;
}

/* Those with a leader (others would only use up the time), each with `offset`. */
static rd_kafka_topic_partition_list_t *list_led(const struct bus_cluster *c,
                                                 const struct bus_options *o, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)c->partition_count);
    char name[BUS_NAME_MAX];
    for (size_t i = 0; i < c->partition_count; i++) {
        const struct bus_partition *p = &c->partitions[i];
        if (p->leader < 0) continue;
        if (p->topic < BUS_TOPICS)
            bus_topic_name(o, p->topic, name);
        else
            bus_positions_name(o, name);
        rd_kafka_topic_partition_list_add(list, name, p->partition)->offset = offset;
    }
    return list;
}

/* One request a leader for all its partitions: the protocol takes the times -2 and -1 for the oldest offset and the end, and
 * the client passes them on. A query for each partition would be hundreds of round trips. */
static void ask_ends(struct bus_client *k, struct bus_cluster *c, bool oldest, int32_t timeout_ms)
{
    rd_kafka_topic_partition_list_t *list =
        list_led(c, &k->options, oldest ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END);
    if (list->cnt > 0) {
        (void)rd_kafka_offsets_for_times(k->rk, list, timeout_ms);
        for (int i = 0; i < list->cnt; i++) {
            struct bus_partition *p = find(c, &k->options, &list->elems[i]);
            if (!p || list->elems[i].err || list->elems[i].offset < 0) continue;
            if (oldest)
                p->oldest = list->elems[i].offset;
            else
                p->end = list->elems[i].offset;
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
}

static void note_group(struct bus_client *k, struct bus_cluster *c, rd_kafka_event_t *event)
{
    size_t n = 0;
    const rd_kafka_group_result_t **groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(event), &n);
    for (size_t g = 0; g < n; g++) {
        const rd_kafka_topic_partition_list_t *list = rd_kafka_group_result_partitions(groups[g]);
        for (int i = 0; list && i < list->cnt; i++) {
            struct bus_partition *p = find(c, &k->options, &list->elems[i]);
            if (p && !list->elems[i].err && list->elems[i].offset >= 0)
                p->group_offset = list->elems[i].offset;
        }
    }
}

static void ask_group(struct bus_client *k, struct bus_cluster *c, const char *group,
                      int32_t timeout_ms)
{
    char why[256];
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(k->rk, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    CHECK(rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, why, sizeof why) == 0);
    rd_kafka_ListConsumerGroupOffsets_t *ask = rd_kafka_ListConsumerGroupOffsets_new(group, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(k->rk);
    rd_kafka_ListConsumerGroupOffsets(k->rk, &ask, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms);
    if (event && !rd_kafka_event_error(event)) note_group(k, c, event);
    if (event) rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ListConsumerGroupOffsets_destroy(ask);
    rd_kafka_AdminOptions_destroy(options);
}

/* --- the whole --- */

static enum err_code describe(struct bus_client *k, const char *group, int64_t end_ns,
                              struct bus_cluster *ret, struct err *e)
{
    const struct rd_kafka_metadata *m;
    TRY(bus_client_reach(k, left_ms(end_ns) / 2, e));
    rd_kafka_resp_err_t code = rd_kafka_metadata(k->rk, 1, NULL, &m, left_ms(end_ns) / 2);
    if (code) return bus_error(k, code, "asking for the topics", e);
    add_brokers(ret, m, rd_kafka_controllerid(k->rk, left_ms(end_ns) / 4));
    add_topics(ret, &k->options, m);
    rd_kafka_metadata_destroy(m);
    char *id = rd_kafka_clusterid(k->rk, left_ms(end_ns) / 4);
    if (id) {
        snprintf(ret->id, sizeof ret->id, "%s", id);
        rd_kafka_mem_free(k->rk, id);
    }
    ask_ends(k, ret, true, left_ms(end_ns) / 3);
    ask_ends(k, ret, false, left_ms(end_ns) / 2);
    if (group) ask_group(k, ret, group, left_ms(end_ns));
    return ERR_OK;
}

enum err_code bus_describe(const struct bus_options *o, const char *group, int32_t timeout_ms,
                           struct bus_cluster *ret, struct err *e)
{
    const struct bus_client_setup setup = {.kind = BUS_CLIENT_PRODUCER, .role = "status"};
    const int64_t end_ns = clock_mono_ns() + timeout_ms * NS_PER_MS;
    struct bus_client k;
    *ret = (struct bus_cluster){0};
    TRY(bus_client_open(o, &setup, &k, e));
    enum err_code code = describe(&k, group, end_ns, ret, e);
    bus_client_close(&k);
    if (code != ERR_OK) bus_cluster_free(ret);
    return code;
}

void bus_cluster_free(struct bus_cluster *c)
{
    free(c->partitions);
    *c = (struct bus_cluster){0};
}
