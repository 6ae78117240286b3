/* Settings: defaults, order, and all mistakes at once with their place. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static struct config *load(const char *text)
{
    snprintf(path, sizeof path, "/tmp/ticklake_config_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    struct config *c = config_new();
    struct err e = {0};
    assert_int_equal(config_load(c, path, &e), ERR_OK);
    unlink(path);
    return c;
}

static void assert_error(struct config *c, const char *part)
{
    if (!strstr(buf_cstr(&c->errors), part))
        fail_msg("no \"%s\" in:\n%s", part, buf_cstr(&c->errors));
}

static void test_good(void **state)
{
    (void)state;
    setenv("TL_TEST_TOKEN", "secret", 1);
    struct config *c = load("version: 1\n"
                            "data: /tmp/x\n"
                            "venues:\n"
                            "  - name: tiingo\n"
                            "    token: ${TL_TEST_TOKEN}\n"
                            "    symbols: [BTC-USD, \"*\"]\n"
                            "  - name: binance\n"
                            "    symbols: BTC-USDT\n"
                            "    rest_url: ${TL_TEST_ABSENT:-http://127.0.0.1:1}\n"
                            "lake:\n"
                            "  commit_ms: 250\n"
                            "log: {level: debug, format: json}\n");
    struct err e = {0};
    static char commit[] = "TICKLAKE_LAKE__COMMIT_MS=300", cache[] = "TICKLAKE_CACHE=/x";
    static char kraken[] = "TICKLAKE_VENUES__KRAKEN__SYMBOLS=A-B,C-D";
    char *environment[] = {commit, kraken, cache, NULL};
    config_environment(c, environment);
    config_set(c, "store.retention_hours=5", "--set");
    if (config_finish(c, &e) != ERR_OK) fail_msg("%s", buf_cstr(&c->errors));
    assert_string_equal(c->data, "/tmp/x");
    assert_int_equal(c->venue_count, 3);
    assert_string_equal(c->venues[0].token, "secret");
    assert_int_equal(c->venues[0].symbols.count, 2);
    assert_true(str_is(c->venues[1].symbols.items[0], "BTC-USDT"));
    assert_string_equal(c->venues[1].rest_url, "http://127.0.0.1:1");
    assert_string_equal(c->venues[2].name, "kraken");
    assert_true(str_is(c->venues[2].symbols.items[1], "C-D"));
    assert_int_equal(c->lake.commit_ms, 300);
    assert_int_equal(c->store.retention_hours, 5);
    assert_int_equal(c->log.format, LOG_JSON);
    assert_int_equal(c->source.batch_ms, 5);
    config_free(c);
}

static void test_all_mistakes_at_once(void **state)
{
    (void)state;
    struct config *c = load("version: 9\n"
                            "lake:\n"
                            "  comit_ms: 250\n"
                            "  snapshots_keep: many\n"
                            "  metadata_keep: 0\n"
                            "venues:\n"
                            "  - name: binance\n"
                            "    simbols: [A-B]\n"
                            "    token: ${TL_TEST_NOT_SET}\n"
                            "log: {level: loud}\n"
                            "nonsense: 1\n"
                            "serve:\n"
                            "  enabled: maybe\n");
    struct err e = {0};
    assert_int_equal(config_finish(c, &e), ERR_CONFIG);
    assert_int_equal(c->error_count, 9);
    assert_error(c, ":3:3: unknown key lake.comit_ms; did you mean lake.commit_ms?");
    assert_error(c, ":4:19: lake.snapshots_keep: expected a whole number from 1 to 10000");
    assert_error(c, ":5:18: lake.metadata_keep: expected 1 to 1000, got 0");
    assert_error(c, ":8:5: unknown key simbols of a venue; did you mean symbols?");
    assert_error(c, ":9:12: ${TL_TEST_NOT_SET} is not set");
    assert_error(c, "log.level: expected one of: debug info warn error");
    assert_error(c, ":11:1: unknown key nonsense");
    assert_error(c, "serve.enabled: expected true or false");
    assert_error(c, "version: 9 is newer");
    config_free(c);
}

static void test_not_yaml(void **state)
{
    (void)state;
    struct config *c = load("lake: [unclosed\nstore:\n");
    struct err e = {0};
    assert_int_equal(config_finish(c, &e), ERR_CONFIG);
    assert_error(c, "not YAML");
    config_free(c);
    c = config_new();
    assert_int_equal(config_load(c, "/nowhere/at/all.yaml", &e), ERR_CONFIG);
    config_set(c, "no assignment", "--set");
    config_set(c, "lake.comit_ms=1", "--set");
    assert_int_equal(config_finish(c, &e), ERR_CONFIG);
    assert_int_equal(c->error_count, 2);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_all_mistakes_at_once),
        cmocka_unit_test(test_not_yaml),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
