#include "bus/topics.h"

#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct bus_options options(void)
{
    return (struct bus_options){
        .brokers = "127.0.0.1:1",
        .prefix = "p.",
        .partitions = 6,
        .replication = 3,
        .min_insync = 2,
    };
}

static void topic_names(void **state)
{
    (void)state;
    struct bus_options o = options();
    char name[BUS_NAME_MAX];
    bus_topic_name(&o, BUS_DEAD_LETTERS, name);
    assert_string_equal(name, "p.market.dead_letters");
    bus_positions_name(&o, name);
    assert_string_equal(name, "p.ticklake_positions");
    o.prefix = NULL;
    bus_topic_name(&o, BUS_TRADES, name);
    assert_string_equal(name, "market.trades");
}

static const char *config(const struct topic_wish *w, const char *name)
{
    for (int i = 0; i < w->config_count; i++)
        if (strcmp(w->configs[i].name, name) == 0) return w->configs[i].value;
    return "";
}

static void wishes(void **state)
{
    (void)state;
    struct topic_wish w[TOPICS_ALL];
    struct bus_options o = options();
    bus_topic_wishes(&o, w);
    for (int t = 0; t < BUS_TOPICS; t++) {
        assert_int_equal(w[t].partitions, 6);
        assert_string_equal(config(&w[t], "min.insync.replicas"), "2");
        assert_string_equal(config(&w[t], "cleanup.policy"), "delete");
        assert_string_equal(config(&w[t], "retention.ms"), "-1");
        assert_string_equal(config(&w[t], "message.timestamp.type"), "CreateTime");
        assert_string_equal(config(&w[t], "unclean.leader.election.enable"), "false");
    }
    assert_int_equal(w[BUS_TOPICS].partitions, 1);
    assert_string_equal(config(&w[BUS_TOPICS], "cleanup.policy"), "compact");
    /* Replayed records bear old times of receipt; with a limited retention they would go at once. */
    o.retention_hours = 168;
    bus_topic_wishes(&o, w);
    assert_string_equal(config(&w[BUS_TRADES], "retention.ms"), "604800000");
    assert_string_equal(config(&w[BUS_TRADES], "message.timestamp.type"), "LogAppendTime");
}

static void names(enum err_code code, const struct err *e, const char *a, const char *b)
{
    assert_int_equal(code, ERR_CONFIG);
    if (!strstr(e->text, a) || !strstr(e->text, b)) fail_msg("%s", e->text);
}

static void layouts(void **state)
{
    (void)state;
    const struct bus_options o = options();
    struct topic_wish w[TOPICS_ALL];
    struct rd_kafka_metadata_partition parts[7];
    struct err e;
    bus_topic_wishes(&o, w);
    for (int i = 0; i < 7; i++)
        parts[i] = (struct rd_kafka_metadata_partition){.id = i, .replica_cnt = 3};
    struct rd_kafka_metadata_topic t = {.partition_cnt = 6, .partitions = parts};
    assert_int_equal(bus_topic_layout(&o, &w[BUS_TRADES], &t, &e), ERR_OK);
    parts[4].replica_cnt = 5; /* more is fine */
    assert_int_equal(bus_topic_layout(&o, &w[BUS_TRADES], &t, &e), ERR_OK);
    t.partition_cnt = 7;
    names(bus_topic_layout(&o, &w[BUS_TRADES], &t, &e), &e, "7 partitions", "bus.partitions: 7");
    t.partition_cnt = 6;
    parts[5].replica_cnt = 1;
    names(bus_topic_layout(&o, &w[BUS_TRADES], &t, &e), &e, "1 replicas", "p.market.trades");
    names(bus_topic_layout(&o, &w[BUS_TOPICS], &t, &e), &e, "6 partitions", "needed is 1");
}

static int told;
static void notice(void *ctx, const char *what, const char *detail)
{
    (void)ctx;
    (void)what;
    assert_non_null(strstr(detail, "LogAppendTime"));
    told++;
}

static void settings(void **state)
{
    (void)state;
    struct bus_options o = options();
    o.notice = notice;
    struct err e;
    struct topic_facts f = {.name = "p.market.trades",
                            .cleanup_policy = "delete",
                            .min_insync = "2",
                            .unclean = "false",
                            .timestamp_type = "CreateTime",
                            .retention_ms = "-1"};
    told = 0;
    assert_int_equal(bus_topic_settings(&o, &f, &e), ERR_OK);
    assert_int_equal(told, 0);
    f.retention_ms = "604800000";
    assert_int_equal(bus_topic_settings(&o, &f, &e), ERR_OK);
    assert_int_equal(told, 1);
    f.min_insync = "1";
    names(bus_topic_settings(&o, &f, &e), &e, "min.insync.replicas=1", "kafka-configs.sh");
    f.min_insync = "many";
    names(bus_topic_settings(&o, &f, &e), &e, "min.insync.replicas", "needed is 2");
    f.min_insync = "3";
    assert_int_equal(bus_topic_settings(&o, &f, &e), ERR_OK);
    f.unclean = "true";
    names(bus_topic_settings(&o, &f, &e), &e, "unclean.leader.election.enable=true", "false");
    f.unclean = "false";
    f.cleanup_policy = "compact,delete"; /* by key: all but the newest trade of a symbol would go */
    names(bus_topic_settings(&o, &f, &e), &e, "cleanup.policy=compact,delete", "delete");
    f.compacted = true;
    f.cleanup_policy = "delete";
    names(bus_topic_settings(&o, &f, &e), &e, "cleanup.policy=delete", "compact");
    f.cleanup_policy = "compact";
    assert_int_equal(bus_topic_settings(&o, &f, &e), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topic_names),
        cmocka_unit_test(wishes),
        cmocka_unit_test(layouts),
        cmocka_unit_test(settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
