#include "base/log.h"
#include "bus/bus_internal.h"
#include "io/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

enum { TELL_AFTER_S = 5, DESTROY_S = 10 };

/* --- properties --- */

/* What the exactness stands on, and what the settings of ours say already. */
static const char *const refused[][2] = {
    {"acks", "every in-sync replica must acknowledge"},
    {"request.required.acks", "every in-sync replica must acknowledge"},
    {"enable.idempotence", "a repeated request must not double a record"},
    {"transactional.id", "it is bus.prefix and bus.name"},
    {"partitioner", "a symbol has one partition number in all topics"},
    {"delivery.report.only.error", "offsets are taken from the delivery reports"},
    {"isolation.level", "records of aborted transactions must stay unseen"},
    {"group.id", "it is bus.group"},
    {"enable.auto.commit", "positions are in the lake's catalog"},
    {"enable.auto.offset.store", "positions are in the lake's catalog"},
    {"auto.offset.reset", "an offset that is gone is a hole, and must be told"},
    {"partition.assignment.strategy", "the hand-over of partitions is made for cooperative-sticky"},
    {"enable.partition.eof", "the merge of topics needs to see their ends"},
    {"allow.auto.create.topics", "topics are made with replicas, by bus.replication"},
    {"bootstrap.servers", "it is bus.brokers"},
    {"metadata.broker.list", "it is bus.brokers"},
    {"log.queue", "log lines go to the program's log"},
};

static bool secret(const char *name)
{
    static const char *const words[] = {"password", "secret", "key",   "pem",
                                        "jaas",     "oauth",  "token", "sasl.username"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasestr(name, words[i])) return true;
    return false;
}

/* Where the property's name stands behind "client." and so on; NULL: of another kind. */
static const char *applies(const struct bus_property *p, enum bus_client_kind kind)
{
    struct str name = str_of(p->name);
    if (str_starts(name, "client.")) return p->name + strlen("client.");
    if (str_starts(name, "producer."))
        return kind == BUS_CLIENT_PRODUCER ? p->name + strlen("producer.") : NULL;
    return kind == BUS_CLIENT_CONSUMER ? p->name + strlen("consumer.") : NULL;
}

/* Of a file that it cannot read, librdkafka says only "system lib". */
static enum err_code check_file(const struct bus_property *p, const char *name, struct err *e)
{
    static const char *const files[] = {"ssl.ca.location", "ssl.certificate.location",
                                        "ssl.key.location", "ssl.keystore.location",
                                        "ssl.crl.location"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (strcasecmp(name, files[i]) == 0 && strcmp(p->value, "probe") != 0 &&
            access(p->value, R_OK) != 0)
            return ERR(e, ERR_CONFIG, "bus property %s: %s: %s", p->name, p->value,
                       strerror(errno));
    return ERR_OK;
}

static enum err_code set_property(rd_kafka_conf_t *conf, const struct bus_property *p,
                                  const char *name, struct err *e)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (strcasecmp(name, refused[i][0]) == 0)
            return ERR(e, ERR_CONFIG, "bus property %s cannot be set: %s; remove it", p->name,
                       refused[i][1]);
    TRY(check_file(p, name, e));
    char why[256];
    switch (rd_kafka_conf_set(conf, name, p->value, why, sizeof why)) {
    case RD_KAFKA_CONF_OK: return ERR_OK;
    case RD_KAFKA_CONF_UNKNOWN:
        return ERR(e, ERR_CONFIG,
                   "bus property %s: librdkafka %s has no property of that name; see its "
                   "CONFIGURATION.md",
                   p->name, rd_kafka_version_str());
    default:
        /* Its words repeat the value, which must not stand in a log. */
        return ERR(e, ERR_CONFIG, "bus property %s: %s", p->name,
                   secret(name) ? "the value is not one that librdkafka takes" : why);
    }
}

static enum err_code set_properties(rd_kafka_conf_t *conf, const struct bus_options *o,
                                    enum bus_client_kind kind, struct err *e)
{
    for (size_t i = 0; i < o->property_count; i++) {
        const struct bus_property *p = &o->properties[i];
        struct str full = str_of(p->name);
        if (!str_starts(full, "client.") && !str_starts(full, "producer.") &&
            !str_starts(full, "consumer."))
            return ERR(e, ERR_CONFIG,
                       "bus property %s: write client.%s for all clients, or producer.%s or "
                       "consumer.%s for one kind",
                       p->name, p->name, p->name, p->name);
        const char *name = applies(p, kind);
        if (name) TRY(set_property(conf, p, name, e));
    }
    return ERR_OK;
}

static enum err_code set_ours(rd_kafka_conf_t *conf, const char *name, const char *value,
                              struct err *e)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        return ERR(e, ERR_INTERNAL, "librdkafka %s, %s: %s", rd_kafka_version_str(), name, why);
    return ERR_OK;
}

/* --- what librdkafka tells --- */

/* A broker that is gone is information: librdkafka goes on trying, and whoever waits tells it after a while. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    bool outage = strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0;
    if (strcmp(facility, "CONFWARN") == 0) level = 7; /* a property of the other kind of client */
    const char *client = rk ? rd_kafka_name(rk) : "";
    if (level >= 7)
        LOG(DEBUG, "bus", text, LOG_STR("client", client), LOG_STR("facility", facility));
    else if (level >= 5 || outage)
        LOG(INFO, "bus", text, LOG_STR("client", client), LOG_STR("facility", facility));
    else
        LOG(WARN, "bus", text, LOG_STR("client", client), LOG_STR("facility", facility));
}

static bool explains(int code)
{
    return code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL ||
           code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED;
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct bus_client *c = opaque;
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        char text[256];
        code = rd_kafka_fatal_error(rk, text, sizeof text);
        (void)str_copy(c->error_text, sizeof c->error_text, str_of(text));
        c->error = code;
        return;
    }
    /* "All brokers are down" follows the reason, and must not cover it. */
    if (explains(c->error) && !explains(code)) return;
    if (c->error && code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) return;
    c->error = code;
    snprintf(c->error_text, sizeof c->error_text, "%s", reason);
}

/* --- clients --- */

static enum err_code make_conf(const struct bus_options *o, const struct bus_client_setup *s,
                               rd_kafka_conf_t *conf, struct err *e)
{
    static const char *const common[][2] = {
        {"socket.keepalive.enable", "true"},
        {"reconnect.backoff.max.ms", "2000"}, /* its 10 s make an outage that long longer */
    };
    char id[64];
    snprintf(id, sizeof id, "ticklake-%s", s->role);
    TRY(set_ours(conf, "client.id", id, e));
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        TRY(set_ours(conf, common[i][0], common[i][1], e));
    for (size_t i = 0; i < s->setting_count; i++)
        TRY(set_ours(conf, s->settings[i][0], s->settings[i][1], e));
    TRY(set_properties(conf, o, s->kind, e));
    char why[256];
    if (rd_kafka_conf_set(conf, "bootstrap.servers", o->brokers, why, sizeof why) !=
        RD_KAFKA_CONF_OK)
        return ERR(e, ERR_CONFIG, "bus.brokers \"%s\": %s", o->brokers, why);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    if (s->prepare) s->prepare(conf);
    return ERR_OK;
}

enum err_code bus_client_open(const struct bus_options *o, const struct bus_client_setup *s,
                              struct bus_client *ret, struct err *e)
{
    *ret = (struct bus_client){.options = *o, .owner = s->owner, .role = s->role};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum err_code code = make_conf(o, s, conf, e);
    if (code != ERR_OK) {
        rd_kafka_conf_destroy(conf);
        return code;
    }
    rd_kafka_conf_set_opaque(conf, ret);
    char why[512];
    ret->rk = rd_kafka_new(s->kind == BUS_CLIENT_PRODUCER ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER,
                           conf, why, sizeof why);
    if (!ret->rk) {
        rd_kafka_conf_destroy(conf);
        return ERR(e, ERR_CONFIG, "the Kafka client cannot be made of the bus properties: %s", why);
    }
    return ERR_OK;
}

static void *destroy(void *rk)
{
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return NULL;
}

/* After an outage rd_kafka_destroy was seen to wait for ever for a thread of its own (2.0.2). It is left to itself then: what
 * ends is a process, or a client that is made anew. */
void bus_client_close(struct bus_client *c)
{
    pthread_t thread;
    struct timespec until;
    if (!c->rk) return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DESTROY_S;
    CHECK(pthread_create(&thread, NULL, destroy, c->rk) == 0);
    if (pthread_timedjoin_np(thread, NULL, &until) != 0) {
        LOG(WARN, "bus", "librdkafka does not end; the client is left behind",
            LOG_STR("client", c->role));
        pthread_detach(thread);
    }
    c->rk = NULL;
}

enum err_code bus_client_check(const struct bus_options *o, struct err *e)
{
    if (o->partitions < 1 || o->partitions > BUS_PARTITIONS_MAX)
        return ERR(e, ERR_CONFIG, "bus.partitions is %d; it must be from 1 to %d", o->partitions,
                   BUS_PARTITIONS_MAX);
    if (o->replication < 1 || o->min_insync < 1 || o->min_insync > o->replication)
        return ERR(e, ERR_CONFIG,
                   "bus.replication is %d and bus.min_insync %d; both are at least 1, and the "
                   "second is not above the first",
                   o->replication, o->min_insync);
    for (int kind = BUS_CLIENT_PRODUCER; kind <= BUS_CLIENT_CONSUMER; kind++) {
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        enum err_code code = set_properties(conf, o, (enum bus_client_kind)kind, e);
        rd_kafka_conf_destroy(conf);
        TRY(code);
    }
    return ERR_OK;
}

/* What no waiting will cure: said at once on the first contact. Later, brokers that are being restarted may refuse for a
 * moment what they took before, so then it is only told. */
static enum err_code refusal(const struct bus_client *c, struct err *e)
{
    const char *b = c->options.brokers, *t = c->error_text;
    if (c->error == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
        c->error == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED)
        return ERR(e, ERR_REFUSED,
                   "Kafka brokers %s refuse the credentials: %s; check client.sasl.mechanism, "
                   "client.sasl.username and client.sasl.password",
                   b, t);
    if (c->error == RD_KAFKA_RESP_ERR__SSL && strstr(t, "certificate"))
        return ERR(e, ERR_CONFIG,
                   "Kafka brokers %s: TLS failed: %.250s; check client.ssl.ca.location, and "
                   "client.ssl.certificate.location where brokers ask for one",
                   b, t);
    return ERR_OK;
}

enum err_code bus_client_reach(struct bus_client *c, int32_t timeout_ms, struct err *e)
{
    const int64_t end_ns = clock_mono_ns() + timeout_ms * NS_PER_MS;
    for (;;) {
        int64_t left_ms = (end_ns - clock_mono_ns()) / NS_PER_MS;
        const struct rd_kafka_metadata *m;
        int ask_ms = (int)(left_ms < 1 ? 1 : left_ms > 500 ? 500 : left_ms);
        rd_kafka_resp_err_t code = rd_kafka_metadata(c->rk, 0, NULL, &m, ask_ms);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(m);
            return ERR_OK;
        }
        rd_kafka_poll(c->rk, 0);
        TRY(refusal(c, e));
        if (c->options.cancel && atomic_load(c->options.cancel))
            return ERR(e, ERR_STOPPED, "stopped while waiting for Kafka");
        if (left_ms <= 0) {
            if (c->error == 0) c->error = code;
            return ERR(e, ERR_UNAVAILABLE,
                       "no Kafka broker of %s answers: %s; are they running, "
                       "and is the security.protocol right?",
                       c->options.brokers,
                       c->error_text[0] ? c->error_text : rd_kafka_err2str(code));
        }
    }
}

static void tell(const struct bus_client *c, const char *what, const char *detail)
{
    if (c->options.notice) c->options.notice(c->options.ctx, what, detail);
}

enum err_code bus_client_wait(struct bus_client *c, const char *what, struct err *e)
{
    if (c->options.cancel && atomic_load(c->options.cancel))
        return ERR(e, ERR_STOPPED, "%s: stopped while waiting for Kafka", what);
    int64_t now_ns = clock_mono_ns();
    if (c->silent_ns == 0) c->silent_ns = now_ns;
    int64_t seconds = (now_ns - c->silent_ns) / NS_PER_S;
    if (c->told || seconds < TELL_AFTER_S) return ERR_OK;
    char text[400];
    snprintf(text, sizeof text, "%s: waiting since %" PRId64 " s%s%s", what, seconds,
             c->error_text[0] ? ": " : "", c->error_text);
    tell(c, "Kafka does not acknowledge", text);
    c->told = true;
    return ERR_OK;
}

void bus_client_moved(struct bus_client *c)
{
    if (c->told) {
        char text[64];
        snprintf(text, sizeof text, "after %" PRId64 " s",
                 (clock_mono_ns() - c->silent_ns) / NS_PER_S);
        tell(c, "Kafka acknowledges again", text);
    }
    c->told = false;
    c->silent_ns = 0;
    c->error = RD_KAFKA_RESP_ERR_NO_ERROR;
    c->error_text[0] = 0;
}

/* --- errors --- */

enum err_code bus_error_code(rd_kafka_resp_err_t code)
{
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR: return ERR_OK;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT: return ERR_TIMEOUT;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION: return ERR_NETWORK;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED: return ERR_REFUSED;
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID: return ERR_FENCED;
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR__INVALID_ARG: return ERR_CONFIG;
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
    case RD_KAFKA_RESP_ERR_INVALID_MSG: return ERR_CORRUPT;
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET: return ERR_HOLE;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL: return ERR_FULL;
    default: return ERR_UNAVAILABLE; /* all else passes: elections, coordinators that move */
    }
}

enum err_code bus_error(const struct bus_client *c, rd_kafka_resp_err_t code, const char *what,
                        struct err *e)
{
    return ERR(e, bus_error_code(code), "%s: Kafka brokers %s: %s%s%.200s", what,
               c->options.brokers, rd_kafka_err2str(code), c->error_text[0] ? "; " : "",
               c->error_text);
}
