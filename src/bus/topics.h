/* topics.h - what the topics must be, making them, and holding those that are there against it; inside bus/.
 *
 * Usage     bus_topic_wishes -> rd_kafka_metadata -> bus_topics_create (those absent) -> bus_topics_check.
 * Errors    ERR_CONFIG names the topic, what it has, what is needed, and the command or setting that changes it.
 */
#ifndef TICKLAKE_BUS_TOPICS_H
#define TICKLAKE_BUS_TOPICS_H

#include "bus/bus_internal.h"

enum {
    TOPICS_ALL = BUS_TOPICS + 1, /* the positions' topic is the last */
    TOPIC_CONFIGS_MAX = 8,
    TOPIC_ADMIN_MS = 20000,
    BUS_SUBJECT_MAX = BUS_NAME_MAX + 8,
};

struct topic_config {
    const char *name;
    char value[24];
};
struct topic_wish {
    char name[BUS_NAME_MAX];
    int32_t partitions;
    struct topic_config configs[TOPIC_CONFIGS_MAX];
    int config_count;
};
/* What stands in the way of exactness, of one topic as the brokers tell it. Texts point into their answer. */
struct topic_facts {
    const char *name;
    bool compacted; /* the positions' topic must be, no other may be */
    const char *cleanup_policy, *min_insync, *unclean, *timestamp_type, *retention_ms;
};

/* The registry's name for the topic's schema: Confluent's TopicNameStrategy. */
void bus_subject(const struct bus_options *o, enum bus_topic t, char out[BUS_SUBJECT_MAX]);
void bus_topic_wishes(const struct bus_options *o, struct topic_wish wishes[TOPICS_ALL]);
enum err_code bus_topics_create(struct bus_client *c, const struct topic_wish *wishes,
                                const bool *absent, struct err *e) MUST_USE;
/* Partitions and replicas of a topic that is there. */
enum err_code bus_topic_layout(const struct bus_options *o, const struct topic_wish *w,
                               const struct rd_kafka_metadata_topic *t, struct err *e) MUST_USE;
/* Its settings. */
enum err_code bus_topic_settings(const struct bus_options *o, const struct topic_facts *f,
                                 struct err *e) MUST_USE;
/* Asks for the settings of all topics and looks at each. */
enum err_code bus_topics_check(struct bus_client *c, const struct topic_wish *wishes,
                               struct err *e) MUST_USE;
/* Waits for the answer of an admin call; the event is the caller's. */
enum err_code bus_admin_wait(struct bus_client *c, rd_kafka_queue_t *queue, const char *what,
                             rd_kafka_event_t **ret, struct err *e) MUST_USE;

#endif
