#include "io/retry.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_waits(void **state)
{
    (void)state;
    static const struct retry_policy policy = {100, 5000, 2};
    struct retry r, same;
    retry_init(&r, &policy, 7);
    retry_init(&same, &policy, 7);
    const int32_t nominal[] = {100, 100, 100, 200, 400, 800, 1600, 3200, 5000, 5000};
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof nominal / sizeof nominal[0]; i++) {
            int32_t ms = retry_next_ms(&r);
            assert_in_range(ms, nominal[i] * 3 / 4, nominal[i] * 5 / 4 + 1);
            assert_int_equal(ms, retry_next_ms(&same));
        }
        retry_reset(&r);
        retry_reset(&same);
    }
}

static void test_for_ever(void **state)
{
    (void)state;
    static const struct retry_policy odd[] = {{0, 0, 0}, {-5, 10, -3}, {INT32_MAX, INT32_MAX, 0}};
    for (size_t k = 0; k < 3; k++) {
        struct retry r;
        retry_init(&r, &odd[k], k);
        for (int i = 0; i < 1000; i++) assert_true(retry_next_ms(&r) >= 1);
        r.tries = INT32_MAX;
        assert_true(retry_next_ms(&r) >= 1);
    }
}

static void test_seeds_differ(void **state)
{
    (void)state;
    static const struct retry_policy policy = {100000, 100000, 0};
    struct retry a, b;
    retry_init(&a, &policy, 1);
    retry_init(&b, &policy, 2);
    int equal = 0;
    for (int i = 0; i < 100; i++) equal += retry_next_ms(&a) == retry_next_ms(&b);
    assert_true(equal < 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_for_ever),
        cmocka_unit_test(test_seeds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
