/* The store when something goes wrong: the process killed, the disk full, the file damaged, foreign or newer. */
#include "store_random.h"

#include "base/crash.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { BATCH_EVENTS = 64 };

/* A child that appends the seed's batches from where the store stands, and writes each mark into the pipe once
 * store_append has returned. */
static _Noreturn void child_appends(const struct folder *f, uint64_t seed, int pipe_fd,
                                    const char *crash)
{
    crash_setup(crash);
    struct series_table *names = series_new();
    struct store *s;
    struct err e = {0};
    if (store_open(&(struct store_options){.path = f->db, .series = names}, &s, &e)) _exit(1);
    struct batch_pool *pool = batch_pool_new(1, BATCH_EVENTS, 1 << 20);
    struct batch *b = batch_get(pool, 0);
    struct random rnd = {seed};
    for (;;) {
        batch_clear(b);
        random_batch(&rnd, names, b, 1 + random_below(&rnd, BATCH_EVENTS - 1));
        if (store_append(s, b, &e)) _exit(2);
        int64_t mark = store_mark(s);
        if (write(pipe_fd, &mark, sizeof mark) != sizeof mark) _exit(0);
    }
}

/* What is in the file must be whole batches, from the first on, and all that were acknowledged. */
static void check_prefix(const struct folder *f, uint64_t seed, int64_t acknowledged)
{
    struct reference r;
    reference_init(&r);
    struct store *s = open_store(f, r.names);
    int64_t mark = store_mark(s);
    assert_true(mark >= acknowledged);
    struct err e = {0};
    assert_ok(store_check(s, &e), &e);
    struct store_tail *t = open_tail(f, r.names);
    struct batch_pool *pool = batch_pool_new(2, BATCH_EVENTS, 1 << 20);
    struct batch *expected = batch_get(pool, 0), *got = batch_get(pool, 0);
    struct random rnd = {seed};
    int64_t at = 0;
    while (at < mark) {
        batch_clear(expected);
        random_batch(&rnd, r.names, expected, 1 + random_below(&rnd, BATCH_EVENTS - 1));
        batch_number(expected, at + 1);
        r.count = 0;
        reference_add(&r, expected);
        assert_true(expected->last_sequence <= mark);
        bool end;
        batch_clear(got);
        assert_ok(store_tail_read(t, at, expected->last_sequence, got, &end, &e), &e);
        assert_int_equal(got->event_count, expected->event_count);
        for (size_t i = 0; i < got->event_count; i++) assert_event(got, i, &r.events[i]);
        at = expected->last_sequence;
    }
    batch_put(expected);
    batch_put(got);
    batch_pool_free(pool);
    store_tail_close(t);
    store_close(s);
    reference_free(&r);
}

static pid_t start_child(const struct folder *f, uint64_t seed, const char *crash, int *ret_fd)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        child_appends(f, seed, fds[1], crash);
    }
    close(fds[1]);
    *ret_fd = fds[0];
    return pid;
}

static void end_child(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_killed_at_any_time(void **state)
{
    (void)state;
    struct random rnd = {11};
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct folder f;
        folder_make(&f);
        int fd;
        pid_t pid = start_child(&f, seed, NULL, &fd);
        int64_t acknowledged = 0, wanted = random_below(&rnd, 60), mark;
        for (int64_t i = 0; i < wanted; i++) {
            assert_int_equal(read(fd, &mark, sizeof mark), sizeof mark);
            acknowledged = mark;
        }
        for (int64_t spin = random_below(&rnd, 300000); spin > 0; spin--) __asm__ volatile("");
        kill(pid, SIGKILL);
        end_child(pid);
        while (read(fd, &mark, sizeof mark) == sizeof mark) acknowledged = mark;
        close(fd);
        check_prefix(&f, seed, acknowledged);
        folder_remove(&f);
    }
}

static void test_crash_points(void **state)
{
    (void)state;
    static const struct {
        const char *point;
        int64_t unacknowledged; /* batches in the file beyond those acknowledged */
    } cases[] = {
        {"store.in_transaction:5", 0}, {"store.before_commit:5", 0}, {"store.after_commit:5", 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct folder f;
        folder_make(&f);
        int fd;
        pid_t pid = start_child(&f, 77, cases[i].point, &fd);
        int64_t acknowledged = 0, batches = 0, mark;
        while (read(fd, &mark, sizeof mark) == sizeof mark) {
            acknowledged = mark;
            batches++;
        }
        close(fd);
        end_child(pid);
        assert_int_equal(batches, 4);
        check_prefix(&f, 77, acknowledged);
        struct series_table *names = series_new();
        struct store *s = open_store(&f, names);
        assert_int_equal(store_mark(s) > acknowledged, cases[i].unacknowledged);
        store_close(s);
        series_free(names);
        folder_remove(&f);
    }
}

/* A limit on file sizes makes writes fail as a full disk does, without one. In a child: the limit is the process's. */
static _Noreturn void child_fills_disk(const struct folder *f)
{
    signal(SIGXFSZ, SIG_IGN);
    struct series_table *names = series_new();
    struct store *s;
    struct err e = {0};
    if (store_open(&(struct store_options){.path = f->db, .series = names}, &s, &e)) _exit(10);
    struct batch_pool *pool = batch_pool_new(1, 2000, 1 << 22);
    struct batch *b = batch_get(pool, 0);
    struct random rnd = {21};
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 1 << 20;
    setrlimit(RLIMIT_FSIZE, &limit);
    enum err_code code = ERR_OK;
    for (int i = 0; i < 1000 && code == ERR_OK; i++) {
        batch_clear(b);
        random_batch(&rnd, names, b, 1500);
        code = store_append(s, b, &e);
    }
    if (code != ERR_DISK || !strstr(e.text, f->db)) _exit(11);
    int64_t mark = store_mark(s);
    if (store_append(s, b, &e) != ERR_DISK || store_mark(s) != mark) _exit(12);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
    if (store_append(s, b, &e) || store_mark(s) != b->last_sequence) _exit(13);
    if (b->first_sequence != mark + 1 || store_check(s, &e)) _exit(14);
    store_close(s);
    if (store_open(&(struct store_options){.path = f->db, .series = names}, &s, &e)) _exit(15);
    if (store_mark(s) != mark + 1500 || store_check(s, &e)) _exit(16);
    store_close(s);
    batch_put(b);
    batch_pool_free(pool);
    series_free(names);
    _exit(0);
}

static void test_disk_full(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) child_fills_disk(&f);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    folder_remove(&f);
}

static void fill_store(const struct folder *f, int batches)
{
    struct series_table *names = series_new();
    struct store *s = open_store(f, names);
    struct batch_pool *pool = batch_pool_new(1, BATCH_EVENTS, 1 << 20);
    struct batch *b = batch_get(pool, 0);
    struct random rnd = {31};
    struct err e = {0};
    for (int i = 0; i < batches; i++) {
        batch_clear(b);
        random_batch(&rnd, names, b, BATCH_EVENTS);
        assert_ok(store_append(s, b, &e), &e);
    }
    batch_put(b);
    batch_pool_free(pool);
    store_close(s);
    series_free(names);
}

static enum err_code try_open(const struct folder *f, bool read_only, struct err *e)
{
    struct series_table *names = series_new();
    struct store *s;
    enum err_code code = store_open(
        &(struct store_options){.path = f->db, .series = names, .read_only = read_only}, &s, e);
    store_close(s);
    series_free(names);
    return code;
}

static void run_sql(const struct folder *f, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s", message);
    sqlite3_close(db);
}

static uint64_t hash_of_file(const char *path)
{
    struct buf bytes;
    buf_init(&bytes, 64 << 20);
    assert_int_equal(file_read(path, 64 << 20, &bytes, NULL), ERR_OK);
    uint64_t h = hash64(buf_str(&bytes));
    buf_free(&bytes);
    return h;
}

static void test_not_ours(void **state)
{
    (void)state;
    struct folder f;
    struct err e = {0};
    /* No database at all. */
    folder_make(&f);
    assert_ok(
        file_write_durable(f.db, STR("time,price\n1,2\nthis is somebody's precious file\n"), &e),
        &e);
    uint64_t before = hash_of_file(f.db);
    assert_int_equal(try_open(&f, false, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, f.db));
    assert_int_equal(try_open(&f, true, &e), ERR_CORRUPT);
    assert_true(hash_of_file(f.db) == before);
    folder_remove(&f);
    /* Another program's database. */
    folder_make(&f);
    run_sql(&f, "CREATE TABLE t (a); INSERT INTO t VALUES (1);");
    before = hash_of_file(f.db);
    assert_int_equal(try_open(&f, false, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "another program"));
    assert_true(hash_of_file(f.db) == before);
    folder_remove(&f);
    /* A newer version of ours. */
    folder_make(&f);
    fill_store(&f, 2);
    run_sql(&f, "PRAGMA user_version = 99");
    assert_int_equal(try_open(&f, false, &e), ERR_VERSION);
    assert_int_equal(try_open(&f, true, &e), ERR_VERSION);
    assert_non_null(strstr(e.text, "99"));
    run_sql(&f, "PRAGMA user_version = 1");
    assert_ok(try_open(&f, false, &e), &e);
    folder_remove(&f);
}

static enum err_code count_one(void *ctx, const char *name, bool is_folder, struct err *e)
{
    (void)name, (void)is_folder, (void)e;
    ++*(int *)ctx;
    return ERR_OK;
}

static void test_read_only_makes_nothing(void **state)
{
    (void)state;
    struct folder f;
    struct err e = {0};
    folder_make(&f);
    assert_int_equal(try_open(&f, true, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, f.db));
    assert_non_null(strstr(e.text, "run or replay first"));
    int files = 0;
    assert_int_equal(file_list(f.path, count_one, &files, NULL), ERR_OK);
    assert_int_equal(files, 0);
    /* What a crash in the middle of creation leaves: nothing yet for a reader, a fresh start for a writer. */
    assert_ok(file_write_durable(f.db, (struct str){"", 0}, &e), &e);
    assert_int_equal(try_open(&f, true, &e), ERR_NOT_FOUND);
    assert_ok(try_open(&f, false, &e), &e);
    assert_ok(try_open(&f, true, &e), &e);
    folder_remove(&f);
}

/* Damage anywhere may be found at once, by a read or by store_check, but never as a crash or as an endless loop. */
static void test_damaged(void **state)
{
    (void)state;
    struct random rnd = {41};
    int found = 0;
    for (int round = 0; round < 40; round++) {
        struct folder f;
        struct err e = {0};
        folder_make(&f);
        fill_store(&f, 30);
        int64_t size = file_size(f.db);
        int fd = open(f.db, O_WRONLY);
        assert_true(fd >= 0);
        for (int i = 0; i < 20; i++) {
            uint8_t junk[64];
            for (int k = 0; k < 64; k++) junk[k] = (uint8_t)random_next(&rnd);
            assert_int_equal(pwrite(fd, junk, 64, 4096 + random_below(&rnd, size - 4096 - 64)), 64);
        }
        close(fd);
        struct series_table *names = series_new();
        struct store_options o = {.path = f.db, .series = names};
        struct store *s;
        enum err_code code = store_open(&o, &s, &e);
        if (code == ERR_OK) code = store_check(s, &e);
        if (code == ERR_CORRUPT) found++;
        store_close(s);
        struct store_tail *t;
        struct batch_pool *pool = batch_pool_new(1, 256, 1 << 20);
        struct batch *b = batch_get(pool, 0);
        if (store_tail_open(&o, &t, &e) == ERR_OK) {
            int64_t after = 0;
            for (bool end = false; !end && after >= 0;) {
                batch_clear(b);
                if (store_tail_read(t, after, INT64_MAX, b, &end, &e) != ERR_OK) break;
                assert_true(b->last_sequence > after || end);
                after = b->last_sequence;
            }
        }
        store_tail_close(t);
        batch_put(b);
        batch_pool_free(pool);
        series_free(names);
        folder_remove(&f);
    }
    assert_int_equal(found, 40);
}

static enum err_code read_all(const struct folder *f, struct err *e)
{
    struct series_table *names = series_new();
    struct store_tail *t = open_tail(f, names);
    struct batch_pool *pool = batch_pool_new(1, 1000, 1 << 20);
    struct batch *b = batch_get(pool, 0);
    bool end;
    enum err_code code = store_tail_read(t, 0, INT64_MAX, b, &end, e);
    batch_put(b);
    batch_pool_free(pool);
    store_tail_close(t);
    series_free(names);
    return code;
}

static void test_hostile_rows(void **state)
{
    (void)state;
    static const char *const edits[] = {
        "UPDATE trade_rows SET codes = -1",
        "UPDATE trade_rows SET codes = codes | (31 << 12)",
        "UPDATE trade_rows SET codes = 1 << 60",
        "UPDATE trade_rows SET series = 1000000",
        "UPDATE trade_rows SET series = -1",
        "UPDATE quote_rows SET codes = codes | 7",
        "UPDATE quote_rows SET bid_price = NULL, ask_size = 1",
        "UPDATE gap_rows SET codes = 1023",
        "UPDATE dead_rows SET reason = 99",
        "UPDATE candle_rows SET open = 'twelve'",
        "UPDATE candle_rows SET timeframe = 7",
        "UPDATE batch_rows SET proofs = x'00'",
        "UPDATE batch_rows SET trades = trades + 1",
        "UPDATE batch_rows SET sum = x'00'",
        "UPDATE batch_rows SET first_sequence = -5",
        "UPDATE series SET id = id + 100",
    };
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        struct folder f;
        struct err e = {0};
        folder_make(&f);
        fill_store(&f, 3);
        run_sql(&f, edits[i]);
        enum err_code code =
            i + 1 < sizeof edits / sizeof edits[0] ? read_all(&f, &e) : try_open(&f, true, &e);
        if (code != ERR_CORRUPT) fail_msg("%s: %s %s", edits[i], err_name(code), e.text);
        assert_non_null(strstr(e.text, f.db));
        folder_remove(&f);
    }
    /* A row that no batch knows of would take the next number. */
    struct folder f;
    struct err e = {0};
    folder_make(&f);
    fill_store(&f, 3);
    run_sql(&f, "UPDATE trade_rows SET sequence = sequence + 100000 WHERE sequence = (SELECT "
                "max(sequence) FROM trade_rows)");
    assert_int_equal(try_open(&f, false, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "above the newest batch"));
    folder_remove(&f);
}

static void test_reader_beside_writer(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    struct series_table *names = series_new(), *others = series_new();
    struct store *s = open_store(&f, names), *reader;
    struct batch_pool *pool = batch_pool_new(2, 20000, 1 << 24);
    struct batch *b = batch_get(pool, 0), *got = batch_get(pool, 0);
    struct err e = {0};
    struct random rnd = {51};
    struct store_tail *t = open_tail(&f, others);
    int64_t after = 0;
    for (int i = 0; i < 30; i++) {
        batch_clear(b);
        random_batch(&rnd, names, b, 2000);
        assert_ok(store_append(s, b, &e), &e);
        struct store_options o = {.path = f.db, .series = others, .read_only = true};
        assert_ok(store_open(&o, &reader, &e), &e);
        assert_int_equal(store_mark(reader), store_mark(s));
        store_close(reader);
        bool end;
        batch_clear(got);
        assert_ok(store_tail_read(t, after, INT64_MAX, got, &end, &e), &e);
        assert_int_equal(got->event_count, b->event_count);
        assert_true(end);
        after = got->last_sequence;
    }
    /* No reader holds the log back: it is reused after each thousand pages, far below what was written. */
    char wal[PATH_LIMIT];
    path_join(wal, f.path, "store.db-wal");
    assert_true(file_size(wal) < 16 << 20);
    store_tail_close(t);
    store_close(s);
    batch_put(b);
    batch_put(got);
    batch_pool_free(pool);
    series_free(names);
    series_free(others);
    folder_remove(&f);
}

static void test_proof_left_out(void **state)
{
    (void)state;
    struct folder f;
    folder_make(&f);
    struct series_table *names = series_new();
    struct store *s = open_store(&f, names);
    struct batch_pool *pool = batch_pool_new(1, 10, 1 << 20);
    struct batch *b = batch_get(pool, 0);
    struct err e = {0};
    struct random rnd = {61};
    random_trade(&rnd, names, b);
    proof_set_clear(&b->proofs);
    assert_int_equal(store_append(s, b, &e), ERR_INTERNAL);
    assert_int_equal(store_mark(s), 0);
    proof_add_trade(&b->proofs, names, &b->trades[0]);
    assert_ok(store_append(s, b, &e), &e);
    assert_int_equal(store_mark(s), 1);
    assert_ok(store_check(s, &e), &e);
    store_close(s);
    batch_put(b);
    batch_pool_free(pool);
    series_free(names);
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_at_any_time),
        cmocka_unit_test(test_crash_points),
        cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_not_ours),
        cmocka_unit_test(test_read_only_makes_nothing),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_hostile_rows),
        cmocka_unit_test(test_reader_beside_writer),
        cmocka_unit_test(test_proof_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
