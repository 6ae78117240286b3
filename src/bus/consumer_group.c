/* The member of the group: who owns which partition number. */
#include "bus/consumer_internal.h"
#include "base/log.h"
#include "io/clock.h"

enum { LEAVE_S = 10, LEAVE_STEP_MS = 100, ASSIGNOR_MENDED = 0x02030000 /* 2.3.0 */ };

static void keep_failure(struct bus_consumer *c, enum err_code code, const struct err *why)
{
    if (c->failure != ERR_OK || code == ERR_OK) return;
    c->failure = code;
    c->failure_text = *why;
}

static void keep_error(struct bus_consumer *c, rd_kafka_error_t *error, const char *what)
{
    struct err why;
    if (!error) return;
    enum err_code code = bus_error(&c->member, rd_kafka_error_code(error), what, &why);
    rd_kafka_error_destroy(error);
    keep_failure(c, code, &why);
}

/* --- rebalances --- */

static bool ours(const struct bus_consumer *c, const rd_kafka_topic_partition_t *p)
{
    return strcmp(p->topic, c->reader.names[BUS_TRADES]) == 0 && p->partition >= 0 &&
           p->partition < c->options.bus->partitions;
}

/* The group's agreement is on the member's own record of it. What the client would read is another matter, and it is given
 * nothing to read: partitions that it holds, even paused ones, were seen to keep rd_kafka_destroy waiting for ever after an
 * outage in which brokers answered that the topic has none (2.0.2). */
static rd_kafka_error_t *agree(rd_kafka_t *rk, bool gained)
{
    rd_kafka_topic_partition_list_t *none = rd_kafka_topic_partition_list_new(0);
    rd_kafka_error_t *error =
        gained ? rd_kafka_incremental_assign(rk, none) : rd_kafka_incremental_unassign(rk, none);
    rd_kafka_topic_partition_list_destroy(none);
    return error;
}

static void gain(struct bus_consumer *c, const rd_kafka_topic_partition_list_t *list)
{
    keep_error(c, agree(c->member.rk, true), "taking over partitions");
    for (int i = 0; i < list->cnt; i++) {
        if (!ours(c, &list->elems[i])) continue;
        struct owned *o = &c->owned[list->elems[i].partition];
        if (o->state == OWNED_NO) o->state = OWNED_ASKING;
    }
}

static void lose(struct bus_consumer *c, int32_t partition, bool lost)
{
    struct err why;
    bool reading = c->owned[partition].state == OWNED_READING;
    owned_drop(c, partition);
    if (!reading) return;
    keep_failure(c, c->options.losing(c->options.ctx, partition, lost, &why), &why);
}

static void lose_all(struct bus_consumer *c)
{
    for (int32_t p = 0; p < c->options.bus->partitions; p++) lose(c, p, true);
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct bus_consumer *c = ((struct bus_client *)opaque)->owner;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        c->assigned = true;
        gain(c, list);
    } else if (code == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        bool lost = rd_kafka_assignment_lost(rk);
        for (int i = 0; i < list->cnt; i++)
            if (ours(c, &list->elems[i])) lose(c, list->elems[i].partition, lost);
        keep_error(c, agree(rk, false), "giving partitions back");
    } else {
        LOG(WARN, "bus", "the group could not agree; all partitions are given up",
            LOG_STR("error", rd_kafka_err2str(code)));
        lose_all(c);
        rd_kafka_assign(rk, NULL);
    }
}

/* --- the client --- */

static void set_callbacks(rd_kafka_conf_t *conf)
{
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
}

static void on_member_event(rd_kafka_t *rk, void *opaque)
{
    (void)rk;
    reader_wake(opaque);
}

static enum err_code subscribe(struct bus_consumer *c, struct err *e)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, c->reader.names[BUS_TRADES], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(c->member.rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code ? bus_error(&c->member, code, "joining the consumer group", e) : ERR_OK;
}

enum err_code member_open(struct bus_consumer *c, struct err *e)
{
    const char *const settings[][2] = {
        {"group.id", c->options.group},
        {"client.id", c->options.client ? c->options.client : "ticklake-worker"},
        {"partition.assignment.strategy", "cooperative-sticky"},
        {"isolation.level", "read_committed"},
        {"enable.auto.commit", "false"},
        {"enable.auto.offset.store", "false"},
        {"session.timeout.ms", "10000"},
        {"heartbeat.interval.ms", "2000"},
        {"queued.max.messages.kbytes", "1024"}, /* nothing is fetched */
    };
    const struct bus_client_setup setup = {
        .kind = BUS_CLIENT_CONSUMER,
        .role = "worker",
        .owner = c,
        .settings = settings,
        .setting_count = sizeof settings / sizeof settings[0],
        .prepare = set_callbacks,
    };
    TRY(bus_client_open(c->options.bus, &setup, &c->member, e));
    rd_kafka_poll_set_consumer(c->member.rk);
    c->member_queue = rd_kafka_queue_get_consumer(c->member.rk);
    rd_kafka_queue_cb_event_enable(c->member_queue, on_member_event, &c->reader);
    return subscribe(c, e);
}

/* Leaves the group, for as long as that may take: without brokers an offset that was told last, or the leaving itself, would
 * wait for them; then the session's end tells the others. */
static void leave(struct bus_consumer *c)
{
    const int64_t end_ns = clock_mono_ns() + LEAVE_S * NS_PER_S;
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(c->member.rk, c->member_queue);
    if (error) {
        rd_kafka_error_destroy(error);
        return;
    }
    while (!rd_kafka_consumer_closed(c->member.rk) && clock_mono_ns() < end_ns)
        rd_kafka_queue_poll_callback(c->member_queue, LEAVE_STEP_MS);
}

bool member_close(struct bus_consumer *c)
{
    if (!c->member.rk) return true;
    bool lost = rd_kafka_assignment_lost(c->member.rk);
    for (int32_t p = 0; p < c->options.bus->partitions; p++) lose(c, p, lost);
    if (c->member_queue) {
        rd_kafka_queue_cb_event_enable(c->member_queue, NULL, NULL);
        leave(c);
        rd_kafka_queue_destroy(c->member_queue);
    }
    /* librdkafka before 2.3 aborts the process when a member of a cooperative-sticky group is destroyed that has joined and was
     * never given an assignment (its issue 4312), as when brokers are slow while we are stopped. */
    if (!c->assigned && rd_kafka_version() < ASSIGNOR_MENDED) {
        c->member.rk = NULL;
        return false;
    }
    bus_client_close(&c->member);
    return true;
}

/* What no waiting will cure. Other errors are information: the member goes on trying. */
static enum err_code look_at_error(struct bus_consumer *c, rd_kafka_resp_err_t code, struct err *e)
{
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        char text[256];
        code = rd_kafka_fatal_error(c->member.rk, text, sizeof text);
        return bus_error(&c->member, code, "member of the consumer group", e);
    }
    if (bus_error_code(code) == ERR_REFUSED)
        return bus_error(&c->member, code, "member of the consumer group", e);
    return ERR_OK;
}

enum err_code member_poll(struct bus_consumer *c, struct err *e)
{
    rd_kafka_message_t *m;
    enum err_code code = ERR_OK;
    while (code == ERR_OK && (m = rd_kafka_consumer_poll(c->member.rk, 0))) {
        if (m->err) code = look_at_error(c, m->err, e);
        rd_kafka_message_destroy(m);
    }
    TRY(code);
    if (c->failure == ERR_OK) return ERR_OK;
    code = c->failure;
    c->failure = ERR_OK;
    if (e) *e = c->failure_text;
    return code;
}

/* --- for the tools that show lag --- */

void bus_consumer_note(struct bus_consumer *c, int32_t partition, const struct bus_offsets *next)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(BUS_TOPICS);
    for (int t = 0; t < BUS_TOPICS; t++) {
        if (next->next[t] <= 0) continue;
        rd_kafka_topic_partition_list_add(list, c->reader.names[t], partition)->offset =
            next->next[t];
    }
    if (list->cnt) (void)rd_kafka_commit(c->member.rk, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
}
