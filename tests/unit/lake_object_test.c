/* The mirror of a lake on S3 against a plain list: what it says is there is there, and it keeps to its size. The lake itself on
 * a real server: tests/e2e/test_s3.py. */
#include "lake/object_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { NAMES = 300, LIMIT = 20000, STEPS = 20000 };

static uint64_t seed = 7;
static int draw(int n)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (int)(seed >> 33) % n;
}

static void folder(char out[PATH_LIMIT], const char *name)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(out, PATH_LIMIT, "%.500s/%s-%ld", tmp ? tmp : "/tmp", name, (long)getpid());
}

static void name_of(int i, char out[200])
{
    /* Some differ in what a file's name cannot hold, and s3a:// is the same place as s3://. */
    snprintf(out, 200, "%s://bucket/a/%d/%s-%d", i % 2 ? "s3" : "s3a", i / 10,
             i % 10 ? "x y" : "..", i);
}

static void put(struct lake_mirror *m, const char *location, int size, bool fetched)
{
    char path[PATH_LIMIT];
    lake_mirror_path(m, str_of(location), path);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    for (int i = 0; i < size; i++) fputc('x', f);
    fclose(f);
    lake_mirror_put(m, str_of(location), size, fetched);
}

static void copies_come_and_go(void **state)
{
    (void)state;
    struct lake_mirror m;
    struct err e = {0};
    char root[PATH_LIMIT], path[PATH_LIMIT], location[200];
    int sizes[NAMES] = {0}, pins[NAMES] = {0}, pinned = 0, hits = 0;
    folder(root, "mirror");
    assert_int_equal(lake_mirror_open(&m, root, LIMIT, &e), ERR_OK);
    for (int step = 0; step < STEPS; step++) {
        int i = draw(NAMES);
        name_of(i, location);
        struct str s = str_of(location);
        switch (draw(4)) {
        case 0:
            sizes[i] = 1 + draw(500);
            put(&m, location, sizes[i], true);
            lake_mirror_room(&m, 0);
            break;
        case 1:
            if (lake_mirror_has(&m, s, -1, false, path)) {
                assert_int_equal(file_size(path), sizes[i]);
                assert_true(lake_mirror_has(&m, s, sizes[i], true, path));
                hits++;
            }
            assert_true(!pins[i] || lake_mirror_has(&m, s, sizes[i], false, path));
            break;
        case 2:
            if (pinned < 20 && lake_mirror_has(&m, s, -1, false, path)) {
                lake_mirror_pin(&m, s, 1);
                pinned++;
                pins[i]++;
            }
            break;
        case 3:
            if (pins[i]) {
                lake_mirror_pin(&m, s, -1);
                pinned--;
                pins[i]--;
            } else if (draw(10) == 0) {
                lake_mirror_drop(&m, s);
                assert_false(lake_mirror_has(&m, s, -1, false, path));
            }
            break;
        }
        assert_true(m.bytes <= LIMIT + 20 * 500);
    }
    assert_true(hits > 500);
    /* Opened again, the same is there; nothing counts as fetched, one of another size is none. */
    int64_t bytes = m.bytes;
    lake_mirror_close(&m);
    assert_int_equal(lake_mirror_open(&m, root, 1 << 20, &e), ERR_OK);
    assert_int_equal(m.bytes, bytes);
    int there = 0;
    for (int i = 0; i < NAMES; i++) {
        name_of(i, location);
        if (!lake_mirror_has(&m, str_of(location), -1, false, path)) continue;
        there++;
        assert_false(
            lake_mirror_has(&m, str_of(location), there % 2 ? -1 : sizes[i] + 1, there % 2, path));
        assert_false(file_exists(path));
    }
    assert_true(there > 20);
    assert_int_equal(m.bytes, 0);
    lake_mirror_close(&m);
}

/* After a restart of the machine copies may be torn: they go. */
static void another_boot_empties_it(void **state)
{
    (void)state;
    struct lake_mirror m;
    struct err e = {0};
    char root[PATH_LIMIT], path[PATH_LIMIT], boot[PATH_LIMIT];
    folder(root, "boot");
    assert_int_equal(lake_mirror_open(&m, root, LIMIT, &e), ERR_OK);
    put(&m, "s3://b/k", 10, true);
    lake_mirror_close(&m);
    path_join(boot, root, "boot");
    assert_int_equal(file_write_durable(boot, STR("another"), &e), ERR_OK);
    assert_int_equal(lake_mirror_open(&m, root, LIMIT, &e), ERR_OK);
    assert_false(lake_mirror_has(&m, STR("s3://b/k"), -1, false, path));
    assert_false(file_exists(path));
    lake_mirror_close(&m);
}

static void many_names_are_forgotten(void **state)
{
    (void)state;
    struct lake_mirror m;
    struct err e = {0};
    char root[PATH_LIMIT], path[PATH_LIMIT], location[64];
    folder(root, "many");
    assert_int_equal(lake_mirror_open(&m, root, 1000, &e), ERR_OK);
    put(&m, "s3://b/pinned", 10, true);
    lake_mirror_pin(&m, STR("s3://b/pinned"), 1);
    for (int i = 0; i < 6000; i++) {
        snprintf(location, sizeof location, "s3://b/%d", i);
        put(&m, location, 100, true);
        lake_mirror_room(&m, 0);
    }
    assert_true(m.count < 5500);
    assert_true(lake_mirror_has(&m, STR("s3://b/5999"), 100, false, path));
    assert_true(lake_mirror_has(&m, STR("s3://b/pinned"), 10, false, path));
    lake_mirror_pin(&m, STR("s3://b/pinned"), -1);
    lake_mirror_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_come_and_go),
        cmocka_unit_test(another_boot_empties_it),
        cmocka_unit_test(many_names_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
