/* Several recordings as one: against a plain sort of all their items by (time, file). */
#include "recording_help.h"

enum { FILES_MAX = 90, LINES_EACH = 40 };

struct line {
    int64_t key;
    size_t file;
    int64_t number;
};

static int by_key(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    return (x->number > y->number) - (x->number < y->number);
}

static const char *file_path(size_t i)
{
    char name[32];
    snprintf(name, sizeof name, "set-%03zu", i);
    return temporary(name);
}

/* Rising times in each file, so that the merge is a sort; some files have the same times. */
static size_t write_files(uint64_t seed, size_t files, struct line *all)
{
    size_t count = 0;
    for (size_t i = 0; i < files; i++) {
        struct buf b;
        struct err e = {0};
        buf_init(&b, 1 << 20);
        int64_t at = INT64_C(1700000000000000000) + (int64_t)(random_next(&seed) % 50);
        for (int64_t n = 1; n <= LINES_EACH; n++) {
            at += (int64_t)(random_next(&seed) % 3);
            buf_addf(&b, "%lld {\"stream\":\"a@trade\",\"M\":1,\"f\":%zu,\"n\":%lld}\n",
                     (long long)at, i, (long long)n);
            all[count++] = (struct line){at, i, n};
        }
        assert_ok(file_write_durable(file_path(i), buf_str(&b), &e), &e);
        buf_free(&b);
    }
    qsort(all, count, sizeof *all, by_key);
    return count;
}

static void test_merge(void **state)
{
    (void)state;
    static struct line all[FILES_MAX * LINES_EACH];
    static char paths[FILES_MAX][PATH_LIMIT];
    const char *list[FILES_MAX];
    const size_t sizes[] = {1, 2, 7, FILES_MAX}; /* the last has more members than are kept open */
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        size_t count = write_files(k + 1, sizes[k], all);
        for (size_t i = 0; i < sizes[k]; i++) {
            snprintf(paths[i], PATH_LIMIT, "%s", file_path(i));
            list[i] = paths[i];
        }
        struct recording_set *s;
        struct err e = {0};
        struct recording_item item;
        size_t member, ended = 0, at;
        assert_ok(recording_set_open(list, sizes[k], STR(""), NULL, NULL, &s, &e), &e);
        for (size_t i = 0; i < count; i++) {
            assert_ok(recording_set_next(s, &item, &member, &e), &e);
            assert_int_equal(item.received_ns, all[i].key);
            assert_int_equal(member, all[i].file);
            assert_int_equal(item.number, all[i].number);
            char wanted[64];
            snprintf(wanted, sizeof wanted, "\"f\":%zu,\"n\":%lld}", all[i].file,
                     (long long)all[i].number);
            assert_true(str_ends((struct str){item.bytes, item.len}, wanted));
            while (recording_set_ended(s, &at)) ended++;
        }
        assert_int_equal(recording_set_next(s, &item, &member, &e), ERR_NOT_FOUND);
        while (recording_set_ended(s, &at)) ended++;
        assert_int_equal(ended, sizes[k]);
        uint64_t done, size;
        recording_set_progress(s, &done, &size);
        assert_true(done == size && size > 0);
        recording_set_close(s);
        for (size_t i = 0; i < sizes[k]; i++) remove(paths[i]);
    }
}

static int skipped_count;

static void skipped(void *ctx, const char *path, const char *why)
{
    (void)ctx;
    assert_non_null(path);
    assert_true(strlen(why) > 10);
    skipped_count++;
}

/* Files without times go one after the other, in the order given; the same recording twice counts
 * once. */
static void test_without_times(void **state)
{
    (void)state;
    struct err e = {0};
    const char *a = temporary("b-first.jsonl"), *b = temporary("a-second.jsonl"),
               *c = temporary("same");
    const char *other = temporary("folder");
    char copy[PATH_LIMIT], junk[PATH_LIMIT];
    assert_ok(file_make_folders(other, &e), &e);
    path_join(copy, other, strrchr(a, '/') + 1);
    path_join(junk, other, "readme.txt");
    struct str first = STR("{\"messageType\":\"H\",\"n\":1}\n{\"messageType\":\"H\",\"n\":2}\n");
    struct str second = STR("{\"messageType\":\"H\",\"n\":3}\n");
    assert_ok(file_write_durable(a, first, &e), &e);
    assert_ok(file_write_durable(b, second, &e), &e);
    assert_ok(file_write_durable(copy, first, &e), &e);
    assert_ok(file_write_durable(junk, STR("what is here\n"), &e), &e);
    const char *paths[] = {a, b, other};
    struct recording_set *s;
    struct recording_item item;
    size_t member;
    assert_ok(recording_set_open(paths, 3, STR(""), skipped, NULL, &s, &e), &e);
    assert_int_equal(recording_set_count(s), 2);
    assert_int_equal(skipped_count, 2);
    for (int i = 1; i <= 3; i++) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, "\"n\":%d}", i);
        assert_ok(recording_set_next(s, &item, &member, &e), &e);
        assert_true(str_ends((struct str){item.bytes, item.len}, wanted));
    }
    assert_int_equal(recording_set_next(s, &item, &member, &e), ERR_NOT_FOUND);
    recording_set_close(s);
    /* Left out: as if it were read already. */
    assert_ok(recording_set_open(paths, 3, STR(""), NULL, NULL, &s, &e), &e);
    recording_set_leave_out(s, 0);
    assert_ok(recording_set_next(s, &item, &member, &e), &e);
    assert_int_equal(member, 1);
    recording_set_close(s);
    remove(a), remove(b), remove(c), remove(copy), remove(junk), rmdir(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_without_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
