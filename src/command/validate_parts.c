/* What stands outside, each tried as the stages would use it. A part that is not there yet but will be made is good. */
#include "command/validate_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { KAFKA_MS = 15000, TOPICS_ALL = BUS_TOPICS + 1 };

struct trying {
    struct finding *f;
    struct local *l;
    struct buf grants;
    bool store_good;
    struct bus_cluster kafka; /* asked first: the slot's line needs it */
    struct err kafka_error;
    enum err_code kafka_code;
};

static bool has_positions(const struct bus_cluster *k)
{
    for (size_t i = 0; i < k->partition_count; i++)
        if (k->partitions[i].topic == BUS_TOPICS && k->partitions[i].end > 0) return true;
    return false;
}

/* ---- PostgreSQL */

static void try_store(struct trying *t)
{
    const char *url = t->f->inv->config->store.url;
    struct err e = {0};
    char address[LOCAL_ADDRESS_MAX];
    if (!url) return;
    local_postgres_address(url, address);
    struct store_options o = distributed_store(&t->l->parts, t->l->series);
    struct found found = {"PostgreSQL store", address, store_probe(&o, &t->grants, &e)};
    t->store_good = found.code == ERR_OK;
    if (t->store_good)
        validate_tell(t->f, &found, "connection, version, wal_level, rights and schema are right");
    else
        validate_tell(t->f, &found, "%s", e.text);
}

/* A slot that is gone although something was published has lost what came since. */
static void judge_slot(struct trying *t, struct found *found, const struct changes_slot *s,
                       bool published)
{
    const char *slot = t->f->inv->config->store.slot;
    if (!s->may_replicate) {
        found->code = ERR_REFUSED;
        validate_tell(t->f, found,
                      "role \"%s\" may not use replication slots: ALTER ROLE \"%s\" REPLICATION",
                      s->role, s->role);
    } else if (strcmp(s->wal_status, "lost") == 0 || (!s->exists && published)) {
        found->code = ERR_HOLE;
        validate_tell(t->f, found,
                      "slot %s is %s, so changes are lost to the bus; docs/operating.md, \"A lost "
                      "slot\", says how to begin anew",
                      slot, s->exists ? "invalidated (wal_status lost)" : "gone");
    } else if (!s->exists) {
        validate_tell(t->f, found, "slot %s is not there yet; the first process makes it", slot);
    } else {
        validate_tell(
            t->f, found, "slot %s is %s, %" PRId64 " bytes of log kept for it, wal_status %s", slot,
            s->active ? "in use by a running publisher" : "free", s->behind_bytes, s->wal_status);
    }
}

static void try_slot(struct trying *t)
{
    const struct config *c = t->f->inv->config;
    struct err e = {0};
    struct changes_slot s = {0};
    struct bus_position p = {0};
    char address[LOCAL_ADDRESS_MAX];
    if (!c->store.url || !c->bus.brokers || !t->store_good) return;
    local_postgres_address(c->store.url, address);
    struct found found = {"replication slot", address,
                          changes_slot(c->store.url, c->store.slot, &s, &e)};
    if (found.code != ERR_OK) {
        validate_tell(t->f, &found, "%s", e.text);
        return;
    }
    struct bus_options bus = distributed_bus(&t->l->parts, t->l->series);
    /* Where Kafka cannot tell, its own line says why. */
    bool published = !s.exists && has_positions(&t->kafka) &&
                     bus_position_read(&bus, c->bus.name, &p, &e) == ERR_OK && p.lsn > 0;
    judge_slot(t, &found, &s, published);
}

/* ---- Kafka */

/* The topics that are there against the settings, where bus_prepare would stop at the first that is absent. */
static bool layout_fits(struct trying *t, struct found *found, const struct bus_cluster *k,
                        int *ret_there)
{
    const struct config *c = t->f->inv->config;
    int partitions[TOPICS_ALL] = {0}, replicas[TOPICS_ALL] = {0};
    for (size_t i = 0; i < k->partition_count; i++) {
        const struct bus_partition *p = &k->partitions[i];
        if (++partitions[p->topic] == 1 || p->replicas < replicas[p->topic])
            replicas[p->topic] = p->replicas;
    }
    for (int i = 0; i < TOPICS_ALL; i++) {
        if (!partitions[i]) continue;
        ++*ret_there;
        int64_t wanted = i < BUS_TOPICS ? c->bus.partitions : 1;
        if (partitions[i] == wanted && replicas[i] >= c->bus.replication) continue;
        found->code = ERR_CONFIG;
        validate_tell(t->f, found,
                      "topic of %s has %d partitions with %d replicas, the settings want %" PRId64
                      " with %" PRId64 ": change bus.partitions or bus.replication, add replicas "
                      "(kafka-reassign-partitions.sh), or set another bus.prefix",
                      i < BUS_TOPICS ? bus_topic_table((enum bus_topic)i) : "positions",
                      partitions[i], replicas[i], wanted, c->bus.replication);
        return false;
    }
    return true;
}

static void try_topics(struct trying *t, const struct bus_options *bus, const struct bus_cluster *k)
{
    struct found found = {"Kafka topics", bus->brokers, ERR_OK};
    struct err e = {0};
    int there = 0;
    if (!layout_fits(t, &found, k, &there)) return;
    if (there == TOPICS_ALL) found.code = bus_prepare(bus, false, &e);
    if (found.code != ERR_OK)
        validate_tell(t->f, &found, "%s", e.text);
    else if (there == TOPICS_ALL)
        validate_tell(t->f, &found, "all %d are there with %d partitions, %d replicas at least",
                      there, bus->partitions, bus->replication);
    else
        validate_tell(
            t->f, &found,
            "%d of %d are there; the others will be made with %d partitions, %d replicas, "
            "min.insync.replicas %d",
            there, TOPICS_ALL, bus->partitions, bus->replication, bus->min_insync);
}

static void reach_kafka(struct trying *t)
{
    const struct config *c = t->f->inv->config;
    if (!c->bus.brokers) return;
    struct bus_options bus = distributed_bus(&t->l->parts, t->l->series);
    t->kafka_code = bus_describe(&bus, c->bus.group, KAFKA_MS, &t->kafka, &t->kafka_error);
}

static void try_kafka(struct trying *t)
{
    const struct config *c = t->f->inv->config;
    const struct bus_cluster *k = &t->kafka;
    if (!c->bus.brokers) return;
    struct bus_options bus = distributed_bus(&t->l->parts, t->l->series);
    struct found found = {"Kafka brokers", c->bus.brokers, t->kafka_code};
    if (found.code != ERR_OK) {
        validate_tell(t->f, &found, "%s", t->kafka_error.text);
        return;
    }
    if ((int64_t)k->broker_count < c->bus.replication || k->offline > 0) {
        found.code = k->offline > 0 ? ERR_UNAVAILABLE : ERR_CONFIG;
        validate_tell(t->f, &found,
                      "%zu brokers are up, bus.replication is %" PRId64
                      "; %d partitions have no leader: start the missing brokers",
                      k->broker_count, c->bus.replication, k->offline);
    } else {
        validate_tell(t->f, &found, "%zu are up; %d partitions are not fully in sync",
                      k->broker_count, k->under_replicated);
    }
    try_topics(t, &bus, k);
}

/* ---- registry */

static void try_registry(struct trying *t)
{
    struct registry *r = t->l->parts.registry;
    struct bus_options bus = distributed_bus(&t->l->parts, t->l->series);
    int good = 0;
    if (!r) {
        struct found none = {"schema registry", "", ERR_CONFIG};
        if (bus.brokers)
            validate_tell(t->f, &none, "Kafka needs one: set registry.kind: confluent or glue");
        return;
    }
    struct found found = {"schema registry", registry_address(r), ERR_OK};
    for (int i = 0; i < BUS_TOPICS; i++) {
        char topic[BUS_NAME_MAX], subject[BUS_NAME_MAX + 8];
        struct err e = {0};
        bus_topic_name(&bus, (enum bus_topic)i, topic);
        snprintf(subject, sizeof subject, "%s-value", topic);
        found.code = registry_check(r, str_of(subject), bus_schema((enum bus_topic)i), &e);
        if (found.code == ERR_OK) {
            good++;
            continue;
        }
        validate_tell(t->f, &found, "%s", e.text);
        if (found.code != ERR_INCOMPATIBLE)
            return; /* not the schema: the rest would say the same */
    }
    found.code = ERR_OK;
    if (good) validate_tell(t->f, &found, "answers; takes %d of our %d schemas", good, BUS_TOPICS);
}

/* ---- lake */

static void try_lake(struct trying *t)
{
    const struct config *c = t->f->inv->config;
    struct err e = {0};
    struct lake_options o;
    if (!c->lake.catalog) return;
    char address[LOCAL_ADDRESS_MAX];
    if (!config_rest_catalog(c))
        local_postgres_address(c->lake.catalog, address);
    else /* one with a password in it is refused, and not shown */
        str_copy(address, sizeof address,
                 str_of(strchr(c->lake.catalog, '@') ? "Iceberg REST" : c->lake.catalog));
    struct found found = {"lake catalog", address,
                          distributed_lake(&t->l->parts, t->l->series, false, &o, &e)};
    struct lake *lake = NULL;
    struct lake_options catalog = o;
    catalog.warehouse = "/"; /* S3 has a line of its own */
    if (found.code == ERR_OK) found.code = lake_probe(&catalog, &t->grants, &e);
    o.read_only = true;
    if (found.code == ERR_OK) found.code = lake_open(&o, &lake, &e);
    lake_close(lake);
    if (found.code == ERR_NOT_FOUND) {
        found.code = ERR_OK;
        validate_tell(t->f, &found, "answers; there is no lake yet, the first worker makes it");
    } else if (found.code == ERR_OK) {
        validate_tell(t->f, &found, "answers; the lake's tables are there");
    } else {
        validate_tell(t->f, &found, "%s", e.text);
    }
}

static void try_s3(struct trying *t)
{
    const struct config *c = t->f->inv->config;
    struct err e = {0};
    bool conditional = false;
    if (!c->lake.warehouse || !str_starts(str_of(c->lake.warehouse), "s3")) return;
    if (config_rest_catalog(c) && c->lake.rest_vended_credentials) {
        struct found given = {"S3 warehouse", c->lake.warehouse, ERR_OK};
        validate_tell(t->f, &given, "not tried: the catalog gives credentials table by table");
        return;
    }
    struct s3 *s = s3_new(&t->l->parts.s3);
    struct found found = {"S3 warehouse", c->lake.warehouse,
                          s3_probe(s, str_of(c->lake.warehouse), &conditional, &e)};
    s3_free(s);
    if (found.code == ERR_NOT_FOUND) found.code = ERR_CONFIG; /* a bucket is not made here */
    if (found.code != ERR_OK)
        validate_tell(t->f, &found, "%s", e.text);
    else
        validate_tell(t->f, &found,
                      "bucket, write, read, list, multipart and delete work at %s; conditional "
                      "writes %s",
                      c->s3.endpoint ? c->s3.endpoint : "AWS",
                      conditional ? "hold" : "do not hold, so HEAD goes before PUT");
}

void validate_parts(struct finding *f, struct local *l)
{
    struct trying t = {.f = f, .l = l};
    buf_init(&t.grants, 1 << 16);
    reach_kafka(&t);
    try_store(&t);
    try_slot(&t);
    try_kafka(&t);
    try_registry(&t);
    try_s3(&t); /* first: the lake's own tables lie there */
    try_lake(&t);
    validate_rights(f, &l->parts, &t.grants);
    bus_cluster_free(&t.kafka);
    buf_free(&t.grants);
}
