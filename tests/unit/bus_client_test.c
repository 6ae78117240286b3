#include "bus/bus_internal.h"
#include "io/clock.h"

#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct bus_options options(const struct bus_property *properties, size_t count)
{
    return (struct bus_options){
        .brokers = "127.0.0.1:1",
        .partitions = 3,
        .replication = 3,
        .min_insync = 2,
        .properties = properties,
        .property_count = count,
    };
}

static enum err_code open_with(enum bus_client_kind kind, const char *name, const char *value,
                               struct bus_client *c, struct err *e)
{
    const struct bus_property p = {name, value};
    const struct bus_options o = options(&p, 1);
    const struct bus_client_setup s = {.kind = kind, .role = "test"};
    return bus_client_open(&o, &s, c, e);
}

static void holds(const struct bus_client *c, const char *name, const char *value)
{
    char text[128];
    size_t n = sizeof text;
    assert_int_equal(rd_kafka_conf_get(rd_kafka_conf(c->rk), name, text, &n), RD_KAFKA_CONF_OK);
    assert_string_equal(text, value);
}

static void passed_through(void **state)
{
    (void)state;
    static const struct {
        enum bus_client_kind kind;
        const char *name, *property, *value;
    } all[] = {
        {BUS_CLIENT_PRODUCER, "client.socket.timeout.ms", "socket.timeout.ms", "12345"},
        {BUS_CLIENT_CONSUMER, "client.socket.timeout.ms", "socket.timeout.ms", "12345"},
        {BUS_CLIENT_PRODUCER, "producer.linger.ms", "linger.ms", "77"},
        {BUS_CLIENT_CONSUMER, "consumer.fetch.min.bytes", "fetch.min.bytes", "9"},
        {BUS_CLIENT_PRODUCER, "client.reconnect.backoff.max.ms", "reconnect.backoff.max.ms",
         "5000"}, /* ours is a default only */
        {BUS_CLIENT_PRODUCER, "producer.compression.codec", "compression.codec", "zstd"},
        {BUS_CLIENT_PRODUCER, "client.client.id", "client.id", "mine"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct bus_client c;
        struct err e;
        assert_int_equal(open_with(all[i].kind, all[i].name, all[i].value, &c, &e), ERR_OK);
        holds(&c, all[i].property, all[i].value);
        bus_client_close(&c);
    }
}

/* A property of the other kind of client changes nothing here. */
static void of_the_other_kind(void **state)
{
    (void)state;
    struct bus_client c;
    struct err e;
    assert_int_equal(open_with(BUS_CLIENT_CONSUMER, "producer.linger.ms", "77", &c, &e), ERR_OK);
    holds(&c, "linger.ms", "5");
    bus_client_close(&c);
}

static void refused_ones(void **state)
{
    (void)state;
    static const char *const names[] = {
        "client.acks",
        "producer.enable.idempotence",
        "producer.request.required.acks",
        "producer.transactional.id",
        "client.isolation.level",
        "consumer.Isolation.Level", /* names of properties know no case */
        "consumer.group.id",
        "consumer.enable.auto.commit",
        "consumer.auto.offset.reset",
        "consumer.partition.assignment.strategy",
        "client.bootstrap.servers",
        "client.metadata.broker.list",
        "producer.partitioner",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct bus_property p = {names[i], "1"};
        const struct bus_options o = options(&p, 1);
        struct err e;
        assert_int_equal(bus_client_check(&o, &e), ERR_CONFIG);
        assert_non_null(strstr(e.text, names[i]));
    }
}

static void wrong_ones(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *words;
    } all[] = {
        {"linger.ms", "5", "client.linger.ms"}, /* says how to write it */
        {"broker.linger.ms", "5", "client.broker.linger.ms"},
        {"client.no.such.thing", "5", "no property of that name"},
        {"client.socket.timeout.ms", "soon", "Invalid value"},
        {"client.", "5", "no property of that name"},
        {"client.ssl.ca.location", "/no/such.pem", "/no/such.pem: No such file"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const struct bus_property p = {all[i].name, all[i].value};
        const struct bus_options o = options(&p, 1);
        struct err e;
        assert_int_equal(bus_client_check(&o, &e), ERR_CONFIG);
        if (!strstr(e.text, all[i].words)) fail_msg("%s: %s", all[i].name, e.text);
    }
}

/* librdkafka's words repeat a value that it does not take. */
static void no_secret_told(void **state)
{
    (void)state;
    static const char *const names[] = {"client.ssl.key.pem", "client.ssl.keystore.password",
                                        "client.sasl.password", "client.ssl.key.password",
                                        "client.sasl.oauthbearer.client.secret"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct bus_client c;
        struct err e = {0};
        enum err_code code = open_with(BUS_CLIENT_PRODUCER, names[i], "TopSecret", &c, &e);
        assert_null(strstr(e.text, "TopSecret"));
        if (code == ERR_OK) bus_client_close(&c);
    }
}

static void numbers_of_replicas(void **state)
{
    (void)state;
    static const int32_t bad[][3] = {{0, 3, 2}, {257, 3, 2}, {3, 0, 0}, {3, 2, 3}, {3, 3, 0}};
    struct err e;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct bus_options o = options(NULL, 0);
        o.partitions = bad[i][0];
        o.replication = bad[i][1];
        o.min_insync = bad[i][2];
        assert_int_equal(bus_client_check(&o, &e), ERR_CONFIG);
    }
    struct bus_options good = options(NULL, 0);
    assert_int_equal(bus_client_check(&good, &e), ERR_OK);
}

static void nobody_there(void **state)
{
    (void)state;
    struct bus_client c;
    struct err e;
    assert_int_equal(open_with(BUS_CLIENT_PRODUCER, "client.log_level", "0", &c, &e), ERR_OK);
    assert_int_equal(bus_client_reach(&c, 300, &e), ERR_UNAVAILABLE);
    assert_non_null(strstr(e.text, "127.0.0.1:1"));
    bus_client_close(&c);
}

static int told;
static void notice(void *ctx, const char *what, const char *detail)
{
    (void)ctx;
    (void)detail;
    assert_non_null(strstr(what, told == 0 ? "does not acknowledge" : "again"));
    told++;
}

static void waiting(void **state)
{
    (void)state;
    atomic_bool cancel = false;
    struct bus_client c = {.options = options(NULL, 0)};
    struct err e;
    c.options.notice = notice;
    c.options.cancel = &cancel;
    told = 0;
    assert_int_equal(bus_client_wait(&c, "commit", &e), ERR_OK);
    assert_int_equal(told, 0); /* a moment is no outage */
    bus_client_moved(&c);
    assert_int_equal(told, 0);
    c.silent_ns = clock_mono_ns() - 6 * NS_PER_S;
    for (int i = 0; i < 3; i++) assert_int_equal(bus_client_wait(&c, "commit", &e), ERR_OK);
    assert_int_equal(told, 1);
    bus_client_moved(&c);
    bus_client_moved(&c);
    assert_int_equal(told, 2);
    atomic_store(&cancel, true);
    assert_int_equal(bus_client_wait(&c, "commit", &e), ERR_STOPPED);
}

static void errors(void **state)
{
    (void)state;
    assert_int_equal(bus_error_code(RD_KAFKA_RESP_ERR_NO_ERROR), ERR_OK);
    assert_int_equal(bus_error_code(RD_KAFKA_RESP_ERR__TIMED_OUT), ERR_TIMEOUT);
    assert_int_equal(bus_error_code(RD_KAFKA_RESP_ERR__TRANSPORT), ERR_NETWORK);
    assert_int_equal(bus_error_code(RD_KAFKA_RESP_ERR__FENCED), ERR_FENCED);
    assert_int_equal(bus_error_code(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED), ERR_REFUSED);
    assert_int_equal(bus_error_code(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART), ERR_CONFIG);
    assert_int_equal(bus_error_code(RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE), ERR_HOLE);
    /* What nobody thought of is tried again, visibly. */
    assert_int_equal(err_action(bus_error_code(RD_KAFKA_RESP_ERR_UNKNOWN)), ACT_RETRY);
    struct bus_client c = {.options = options(NULL, 0)};
    struct err e;
    assert_int_equal(bus_error(&c, RD_KAFKA_RESP_ERR__TIMED_OUT, "asking", &e), ERR_TIMEOUT);
    assert_non_null(strstr(e.text, "127.0.0.1:1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passed_through), cmocka_unit_test(of_the_other_kind),
        cmocka_unit_test(refused_ones),   cmocka_unit_test(wrong_ones),
        cmocka_unit_test(no_secret_told), cmocka_unit_test(numbers_of_replicas),
        cmocka_unit_test(nobody_there),   cmocka_unit_test(waiting),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
