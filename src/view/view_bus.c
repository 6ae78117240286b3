/* Kafka: its brokers, and the partitions of our topics with their replicas, ends and the group's offsets. */
#include "io/clock.h"
#include "view/view_internal.h"

#include <stdlib.h>

enum { DESCRIBE_MS = 4000 };

/* Brokers tell only of those that are up: whoever was seen once, or should hold a replica, is known. */
struct known {
    struct bus_broker brokers[VIEW_BROKERS_MAX];
    size_t count;
    int64_t missing_since_ns[VIEW_BROKERS_MAX]; /* TIME_ABSENT: up */
};

void view_close_bus(struct view_probe *p)
{
    free(p->own);
    p->own = NULL;
}

static size_t know(struct known *k, int32_t id)
{
    for (size_t i = 0; i < k->count; i++)
        if (k->brokers[i].id == id) return i;
    if (k->count == VIEW_BROKERS_MAX) return k->count;
    k->brokers[k->count] = (struct bus_broker){.id = id};
    k->missing_since_ns[k->count] = TIME_ABSENT;
    return k->count++;
}

static int by_id(const void *a, const void *b)
{
    int32_t x = ((const struct bus_broker *)a)->id, y = ((const struct bus_broker *)b)->id;
    return x < y ? -1 : x > y;
}

static bool is_up(const struct bus_cluster *c, int32_t id)
{
    for (size_t i = 0; i < c->broker_count; i++)
        if (c->brokers[i].id == id) return true;
    return false;
}

static void note_brokers(struct known *k, struct bus_cluster *c)
{
    qsort(c->brokers, c->broker_count, sizeof c->brokers[0], by_id);
    for (size_t i = 0; i < c->broker_count; i++) {
        size_t at = know(k, c->brokers[i].id);
        if (at < k->count) k->brokers[at] = c->brokers[i];
    }
    for (size_t i = 0; i < c->partition_count; i++) {
        const struct bus_partition *p = &c->partitions[i];
        for (int r = 0; r < p->replicas && r < 16; r++) (void)know(k, p->replica_ids[r]);
    }
}

static void put_brokers(struct known *k, const struct bus_cluster *c, struct view_numbers *n,
                        struct buf *out)
{
    int64_t now_ns = clock_wall_ns();
    n->brokers_known = (int64_t)k->count;
    n->brokers_up = 0;
    buf_add_cstr(out, ",\"brokers\":[");
    for (size_t i = 0; i < k->count; i++) {
        const struct bus_broker *b = &k->brokers[i];
        bool up = is_up(c, b->id);
        n->brokers_up += up;
        if (up) k->missing_since_ns[i] = TIME_ABSENT;
        if (!up && k->missing_since_ns[i] == TIME_ABSENT) k->missing_since_ns[i] = now_ns;
        buf_addf(out, "%s{\"id\":%d,\"up\":%s,\"controller\":%s", i ? "," : "", b->id,
                 up ? "true" : "false", up && b->controller ? "true" : "false");
        if (b->host[0]) {
            view_put_text(out, "host", str_of(b->host));
            buf_addf(out, ",\"port\":%d", b->port);
        }
        view_put_ms(out, "down_since_ms", k->missing_since_ns[i]);
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, ']');
}

static void put_ids(struct buf *out, const char *name, const int32_t *ids, int32_t count)
{
    buf_addf(out, ",\"%s\":[", name);
    for (int32_t i = 0; i < count && i < 16; i++) buf_addf(out, "%s%d", i ? "," : "", ids[i]);
    buf_add_byte(out, ']');
}

static void put_partition(const struct bus_partition *p, struct view_numbers *n, struct buf *out)
{
    int64_t lag = p->end >= 0 && p->group_offset >= 0 ? p->end - p->group_offset : -1;
    if (lag < 0 && p->group_offset >= 0 && p->end >= 0) lag = 0;
    bool events = p->topic < BUS_TOPICS;
    if (events && lag > 0) n->group_lag += lag;
    if (events && p->end > 0) n->bus_end += p->end;
    if (events && p->partition < BUS_PARTITIONS_MAX) n->ends[p->topic][p->partition] = p->end;
    buf_addf(out, "{\"partition\":%d,\"leader\":%d", p->partition, p->leader);
    put_ids(out, "replicas", p->replica_ids, p->replicas);
    put_ids(out, "in_sync", p->in_sync_ids, p->in_sync);
    buf_addf(out, ",\"under_replicated\":%s", p->in_sync < p->replicas ? "true" : "false");
    view_put_count(out, "oldest", p->oldest);
    view_put_count(out, "end", p->end);
    view_put_count(out, "group_offset", events ? p->group_offset : -1);
    view_put_count(out, "lag_records", events ? lag : -1);
    buf_add_byte(out, '}');
}

static void put_topics(const struct bus_options *o, const struct bus_cluster *c,
                       struct view_numbers *n, struct buf *out)
{
    int topic = -1;
    n->group_lag = n->bus_end = 0;
    for (int t = 0; t < BUS_TOPICS; t++)
        for (int i = 0; i < BUS_PARTITIONS_MAX; i++) n->ends[t][i] = -1;
    buf_add_cstr(out, ",\"topics\":[");
    for (size_t i = 0; i < c->partition_count; i++) {
        const struct bus_partition *p = &c->partitions[i];
        if ((int)p->topic != topic) {
            char name[BUS_NAME_MAX + 32];
            bool events = p->topic < BUS_TOPICS;
            if (events) bus_topic_name(o, p->topic, name);
            buf_addf(out, "%s{\"table\":\"%s\"", topic < 0 ? "" : "]},",
                     events ? bus_topic_table(p->topic) : "positions");
            if (events) view_put_text(out, "name", str_of(name));
            buf_add_cstr(out, ",\"partitions\":[");
            topic = (int)p->topic;
        } else {
            buf_add_byte(out, ',');
        }
        put_partition(p, n, out);
    }
    buf_add_cstr(out, topic < 0 ? "]" : "]}]");
}

enum err_code view_look_bus(struct view_probe *p, struct view_look *ret, struct err *e)
{
    const struct config *c = p->view->options.config;
    struct bus_options o = distributed_bus(&p->parts, p->series);
    struct buf *out = &ret->page[VIEW_KAFKA];
    struct bus_cluster *cluster = calloc(1, sizeof *cluster);
    CHECK(cluster != NULL);
    if (!p->own) p->own = calloc(1, sizeof(struct known));
    CHECK(p->own != NULL);
    enum err_code code = bus_describe(&o, c->bus.group, DESCRIBE_MS, cluster, e);
    if (code == ERR_OK) {
        struct view_numbers *n = &ret->numbers;
        n->under_replicated = cluster->under_replicated;
        n->offline = cluster->offline;
        n->bus_partitions = o.partitions;
        buf_add_cstr(out, ",\"cluster\":");
        buf_add_json(out, str_of(cluster->id));
        view_put_text(out, "group", str_of(c->bus.group));
        buf_addf(out, ",\"min_insync\":%d,\"under_replicated\":%d,\"offline\":%d", o.min_insync,
                 cluster->under_replicated, cluster->offline);
        note_brokers(p->own, cluster);
        put_brokers(p->own, cluster, n, out);
        put_topics(&o, cluster, n, out);
        view_put_count(out, "group_lag_records", n->group_lag);
        bus_cluster_free(cluster);
    }
    free(cluster);
    return code;
}
