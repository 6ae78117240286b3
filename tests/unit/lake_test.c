#include "lake_help.h"

#include "base/crash.h"

#include <signal.h>
#include <sys/wait.h>

static void an_empty_lake_opens_again(void **state)
{
    (void)state;
    struct world *world = world_new(1);
    assert_int_equal(lake_position(world->lake), 0);
    world_check(world);
    world_reopen(world);
    world_check(world);
    assert_ok(lake_commit(world->lake, 0, WORLD_START, &world->e)); /* nothing pushed: no commit */
    struct lake_table_info info;
    assert_ok(lake_table_info(world->lake, TABLE_TRADES, &info, &world->e));
    assert_int_equal(info.snapshots, 0);
    world_free(world);
}

static void commits_survive_and_are_read_back(void **state)
{
    (void)state;
    struct world *world = world_new(2);
    for (int i = 0; i < 12; i++) {
        world_push(world, 50 + i * 37, 20);
        for (int c = 0; c < 5; c++) world_candle(world, (i * 5 + c) % WORLD_CANDLES);
        world_commit(world);
        world->clock_ns += 3 * NS_PER_HOUR; /* over several days */
        if (i % 3 == 0) world_reopen(world);
        assert_int_equal(lake_position(world->lake), world->next - 1);
    }
    world_check(world);
    world_reopen(world);
    world_check(world);
    world_free(world);
}

/* What was pushed and not committed is gone with a close, and nothing of it is there. */
static void what_is_not_committed_is_not_there(void **state)
{
    (void)state;
    struct world *world = world_new(3);
    world_push(world, 10, 0);
    world_commit(world);
    int64_t next = world->next;
    struct batch *b = batch_get(world->pool, 0);
    struct trade *t = batch_add_trade(b);
    *t = (struct trade){
        .series = world->ids[0], .has_id = true, .id = 99, .venue_time_ns = WORLD_START};
    assert_ok(lake_push(world->lake, b, &world->e));
    batch_put(b);
    assert_int_equal(lake_buffered_rows(world->lake), 1);
    world_reopen(world);
    assert_int_equal(lake_position(world->lake), next - 1);
    world_check(world);
    world_free(world);
}

static void a_candle_is_one_row(void **state)
{
    (void)state;
    struct world *world = world_new(4);
    for (int i = 0; i < 40; i++) world_candle(world, i);
    world_commit(world);
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 12; i++) world_candle(world, (int)(world_random(world) % 40));
        world_candle(world, 3); /* twice in one commit: the later one wins */
        world_candle(world, 3);
        world_candle(world, 41 + round);
        world_commit(world);
        if (round % 2) world_reopen(world); /* without the cache: by bounds and scan */
        world_check(world);
    }
    int64_t files;
    world->lake = lake_close(world->lake);
    world->o.compact_files = 2;
    assert_ok(lake_open(&world->o, &world->lake, &world->e));
    assert_ok(lake_compact(world->lake, false, world->clock_ns, &files, NULL, NULL, &world->e));
    assert_true(files > 0);
    world_check(world);
    world_candle(world, 7); /* found after compaction moved it */
    world_commit(world);
    world_check(world);
    world_free(world);
}

static struct gap gap_of(struct world *w, int64_t id, uint8_t state)
{
    return (struct gap){.gap_id = id,
                        .series = w->ids[0],
                        .kind = GAP_IDS,
                        .state = state,
                        .has_ids = true,
                        .from_id = id,
                        .to_id = id + 5,
                        .from_time_ns = WORLD_START,
                        .to_time_ns = TIME_ABSENT,
                        .opened_ns = WORLD_START,
                        .closed_ns = TIME_ABSENT,
                        .cause = STR("id_jump")};
}

static void gaps_and_instruments_are_replaced(void **state)
{
    (void)state;
    struct world *world = world_new(5);
    struct lake_table_info info;
    for (int round = 0; round < 3; round++) {
        struct batch *b = batch_get(world->pool, 0);
        for (int i = 0; i < 20; i++) *batch_add_gap(b) = gap_of(world, i, (uint8_t)round);
        for (int i = 0; i < 30; i++) {
            struct instrument *n = batch_add_instrument(b);
            char name[16];
            struct str text;
            snprintf(name, sizeof name, "COIN%d", i);
            assert_true(batch_text(b, str_of(name), &text));
            *n = (struct instrument){.venue = STR("okx"),
                                     .symbol = text,
                                     .venue_symbol = text,
                                     .contract_size = dec_absent(),
                                     .status = STR("live"),
                                     .listed_ns = TIME_ABSENT,
                                     .delisted_ns = TIME_ABSENT};
        }
        assert_ok(lake_push(world->lake, b, &world->e));
        batch_put(b);
        world_commit(world);
        assert_ok(lake_table_info(world->lake, TABLE_GAPS, &info, &world->e));
        assert_int_equal(info.rows, 20);
        assert_ok(lake_table_info(world->lake, TABLE_INSTRUMENTS, &info, &world->e));
        assert_int_equal(info.rows, 30);
        if (round) world_reopen(world);
    }
    world_free(world);
}

static enum err_code count_trade(void *ctx, const struct trade *t, struct err *e)
{
    (void)t;
    (void)e;
    ++*(int64_t *)ctx;
    return ERR_OK;
}

static void a_scan_gives_the_rows_of_its_range(void **state)
{
    (void)state;
    struct world *world = world_new(6);
    int64_t want = 0, got = 0;
    int64_t from = WORLD_START + 2 * NS_PER_S, to = WORLD_START + 5 * NS_PER_S + 400 * NS_PER_MS;
    const struct series *s = series_get(world->series, world->ids[1]);
    for (int i = 0; i < 10; i++) {
        struct batch *b = world_batch(world, 300, 0);
        for (size_t k = 0; k < b->trade_count; k++) {
            const struct trade *t = &b->trades[k];
            int64_t time = t->venue_time_ns == TIME_ABSENT ? t->received_ns : t->venue_time_ns;
            want += t->series == world->ids[1] && time >= from && time < to;
        }
        assert_ok(lake_push(world->lake, b, &world->e));
        batch_put(b);
        world_commit(world);
    }
    assert_ok(
        lake_scan_trades(world->lake, s->venue, s->symbol, from, to, count_trade, &got, &world->e));
    assert_int_equal(got, want);
    assert_true(want > 0);
    world_free(world);
}

static enum err_code see_state(void *ctx, struct str name, struct str bytes, struct err *e)
{
    (void)e;
    char *to = ctx;
    size_t at = strlen(to);
    snprintf(to + at, 200 - at, "%.*s=%.*s;", STR_ARG(name), STR_ARG(bytes));
    return ERR_OK;
}

static void state_travels_with_the_commit(void **state)
{
    (void)state;
    struct world *world = world_new(7);
    char seen[200] = "";
    assert_ok(lake_put_state(world->lake, STR("process/a"), STR("one"), &world->e));
    assert_ok(lake_put_state(world->lake, STR("process/a"), STR("two"), &world->e));
    assert_ok(lake_put_state(world->lake, STR("process/b"), STR("three"), &world->e));
    assert_ok(lake_put_state(world->lake, STR("other"), STR("x"), &world->e));
    assert_ok(lake_each_state(world->lake, "process/", see_state, seen, &world->e));
    assert_string_equal(seen, "");
    world_commit(world);
    assert_ok(lake_put_state(world->lake, STR("process/b"), STR(""), &world->e));
    world_commit(world);
    world_reopen(world);
    assert_ok(lake_each_state(world->lake, "process/", see_state, seen, &world->e));
    assert_string_equal(seen, "process/a=two;");
    world_free(world);
}

static void a_full_buffer_asks_for_a_commit(void **state)
{
    (void)state;
    struct world *world = world_new(8);
    world->lake = lake_close(world->lake);
    world->o.buffer_rows_max = 100;
    assert_ok(lake_open(&world->o, &world->lake, &world->e));
    world_push(world, 90, 0);
    struct batch *b = batch_get(world->pool, 0);
    for (int i = 0; i < 20; i++)
        *batch_add_trade(b) = (struct trade){.series = world->ids[0], .venue_time_ns = WORLD_START};
    assert_int_equal(lake_push(world->lake, b, &world->e), ERR_FULL);
    batch_put(b);
    world_commit(world);
    world_check(world);
    world_free(world);
}

/* ---- upkeep */

static void compact(struct world *world)
{
    int64_t files;
    while (lake_compact_due(world->lake))
        assert_ok(lake_compact(world->lake, false, world->clock_ns, &files, NULL, NULL, &world->e));
}

/* Two thousand accelerated commits: everything that could grow must not. */
static void growth_is_bounded(void **state)
{
    (void)state;
    struct world *world = world_new(9);
    int64_t most_files = 0, most_metadata = 0;
    for (int i = 0; i < 2000; i++) {
        world_push(world, 3, 1);
        if (i % 4 == 0) world_candle(world, (i / 4) % 60);
        world_commit(world);
        compact(world);
        assert_ok(lake_cleanup(world->lake, world->clock_ns, &world->e));
        if (i < 300 || i % 16) continue;
        struct lake_table_info info;
        assert_ok(lake_table_info(world->lake, TABLE_TRADES, &info, &world->e));
        if (info.data_files > most_files) most_files = info.data_files;
        assert_true(info.snapshots <= 4);
        int64_t metadata = world_files(world, "market/trades/metadata");
        if (metadata > most_metadata) most_metadata = metadata;
    }
    world_check(world);
    /* At most 3 files a class, 6 classes, and the partition without a venue's time. */
    assert_true(most_files < 40);
    /* Grace keeps about 12 commits' worth: list, manifests and JSON of each, twice with compaction. */
    assert_true(most_metadata < 220);
    world_free(world);
}

static int64_t referenced_files(struct world *w);

static void cleanup_leaves_no_orphan(struct world *world)
{
    world_reopen(world);          /* finds what a crash left */
    for (int i = 0; i < 6; i++) { /* until every old snapshot is trimmed */
        world_push(world, 5, 1);
        world_candle(world, 300 + i);
        world_commit(world);
    }
    assert_ok(lake_cleanup(world->lake, world->clock_ns + NS_PER_HOUR, &world->e));
    int64_t on_disk = world_files(world, "market/trades/data/venue_time_day=2023-11-14") +
                      world_files(world, "market/trades/data/venue_time_day=null");
    if (!world_url()) /* else they may be another worker's, and stay for a day */
        assert_int_equal(on_disk, referenced_files(world));
}

static enum err_code count_file(void *ctx, const struct lake_file *f, struct err *e)
{
    (void)e;
    *(int64_t *)ctx += file_exists(f->path);
    return ERR_OK;
}

static int64_t referenced_files(struct world *world)
{
    int64_t count = 0;
    assert_ok(lake_each_file(world->lake, TABLE_TRADES, count_file, &count, &world->e));
    return count;
}

/* ---- kill -9 at each named point, in a child; then the lake must be as before that commit or as after it. */

static void work(struct world *world, bool upkeep)
{
    world_push(world, 40, 10);
    for (int c = 0; c < 8; c++) world_candle(world, c);
    world_commit(world);
    if (!upkeep) return;
    int64_t files;
    assert_ok(lake_compact(world->lake, false, world->clock_ns, &files, NULL, NULL, &world->e));
    assert_ok(lake_cleanup(world->lake, world->clock_ns + NS_PER_HOUR, &world->e));
}

static void die_at(struct world *world, const char *point, int times)
{
    char spec[80];
    snprintf(spec, sizeof spec, "%s:%d", point, times);
    world->lake = lake_close(world->lake); /* SQLite must not be carried over a fork */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (lake_open(&world->o, &world->lake, &world->e) != ERR_OK) _exit(3);
        crash_setup(spec);
        for (int i = 0; i < 8; i++) work(world, true);
        _exit(0); /* the point was never reached */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_ok(lake_open(&world->o, &world->lake, &world->e));
}

static void a_crash_leaves_all_or_nothing(void **state)
{
    (void)state;
    static const char *const points[] = {
        "lake.after_data",     "lake.after_manifest",    "lake.after_metadata",
        "lake.before_pointer", "lake.after_pointer",     "lake.in_cleanup",
        "compact.after_data",  "compact.before_pointer", "compact.after_pointer",
        "queue.before_insert", "queue.after_insert",     "fold.before_commit"};
    size_t count = sizeof points / sizeof *points - (world_url() ? 0 : 3);
    for (size_t p = 0; p < count; p++) {
        for (int times = 1; times <= 4; times += 3) {
            struct world *world = world_new(100 + p * 10 + (unsigned)times);
            work(world, false);
            die_at(world, points[p], times);
            /* The same work again, from the position that the lake has, must give what was never disturbed. */
            int rounds = 0;
            while (world->next - 1 < lake_position(world->lake) && rounds < 9) {
                struct batch *b = world_batch(world, 40, 10);
                batch_put(b);
                for (int c = 0; c < 8; c++) world->candles[c].revision++;
                for (int c = 0; c < 8; c++) {
                    struct candle *k = &world->candles[c];
                    k->complete = k->revision % 2;
                    k->high = k->revision;
                    k->trade_count = k->revision + 1;
                }
                world->clock_ns += NS_PER_S;
                rounds++;
            }
            assert_int_equal(world->next - 1, lake_position(world->lake));
            world_check(world);
            for (; rounds < 8; rounds++) work(world, true);
            world_check(world);
            cleanup_leaves_no_orphan(world);
            world_check(world);
            world_free(world);
        }
    }
}

/* ---- another writer: a second lake on the same catalog, which the first one knows nothing of */

static void two_writers_lose_nothing(void **state)
{
    (void)state;
    struct world *world = world_new(10);
    world_push(world, 100, 0);
    for (int i = 0; i < 10; i++) world_candle(world, i);
    world_commit(world);
    struct lake *first = world->lake, *second;
    assert_ok(lake_open(&world->o, &second, &world->e));
    for (int round = 0; round < 8; round++) {
        /* The second one commits between the first one's push and commit, and compacts what the first one must delete
         * from. The position stays the first one's. */
        world_candle(world, round);
        int64_t position = lake_position(first);
        world->lake = second;
        world_push(world, 30, 5);
        assert_ok(lake_commit(second, position, world->clock_ns, &world->e));
        if (round % 2) {
            int64_t files;
            assert_ok(lake_compact(second, false, world->clock_ns, &files, NULL, NULL, &world->e));
        }
        world->lake = first;
        world_push(world, 20, 5);
        assert_ok(lake_commit(first, position, world->clock_ns, &world->e));
        world_check(world);
    }
    lake_close(second);
    world_reopen(world);
    world_check(world);
    world_free(world);
}

static void a_moved_position_stops_the_second_program(void **state)
{
    (void)state;
    struct world *world = world_new(11);
    struct lake *second;
    assert_ok(lake_open(&world->o, &second, &world->e));
    world_push(world, 10, 0);
    world_commit(world);
    assert_int_equal(lake_commit(second, 5, world->clock_ns, &world->e), ERR_IN_USE);
    lake_close(second);
    world_check(world);
    world_free(world);
}

static void a_missing_or_cut_file_is_named(void **state);

static void a_read_only_lake_needs_one_that_exists(void **state)
{
    (void)state;
    struct world *world = world_new(12);
    struct lake *reader = NULL;
    world_push(world, 10, 0);
    world_commit(world);
    struct lake_options o = world->o;
    o.read_only = true;
    assert_ok(lake_open(&o, &reader, &world->e));
    assert_int_equal(lake_position(reader), 10);
    lake_close(reader);
    o.catalog_path = "/nonexistent/catalog.db";
    o.catalog_url = NULL;
    assert_int_equal(lake_open(&o, &reader, &world->e), ERR_NOT_FOUND);
    world_free(world);
}

static enum err_code first_path(void *ctx, const struct lake_file *f, struct err *e)
{
    (void)e;
    char *to = ctx;
    if (!*to) str_copy(to, PATH_LIMIT, str_of(f->path));
    return ERR_OK;
}

static void note_problem(void *ctx, const char *path, const char *what)
{
    (void)what;
    str_copy(ctx, PATH_LIMIT, str_of(path));
}

static void a_missing_or_cut_file_is_named(void **state)
{
    (void)state;
    struct world *world = world_new(13);
    for (int i = 0; i < 3; i++) {
        world_push(world, 10, 0);
        world_commit(world);
    }
    char path[PATH_LIMIT] = "", told[PATH_LIMIT] = "";
    assert_ok(lake_each_file(world->lake, TABLE_TRADES, first_path, path, &world->e));
    struct proof_set read, foreign;
    proof_set_init(&read);
    proof_set_init(&foreign);
    assert_int_equal(truncate(path, file_size(path) - 1), 0);
    assert_ok(lake_reread_proofs(world->lake, TABLE_TRADES, &read, &foreign, note_problem, told,
                                 &world->e));
    assert_string_equal(told, path);
    told[0] = 0;
    unlink(path);
    assert_ok(lake_reread_proofs(world->lake, TABLE_TRADES, &read, &foreign, note_problem, told,
                                 &world->e));
    assert_string_equal(told, path);
    proof_set_free(&read);
    proof_set_free(&foreign);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_lake_opens_again),
        cmocka_unit_test(commits_survive_and_are_read_back),
        cmocka_unit_test(what_is_not_committed_is_not_there),
        cmocka_unit_test(a_candle_is_one_row),
        cmocka_unit_test(gaps_and_instruments_are_replaced),
        cmocka_unit_test(a_scan_gives_the_rows_of_its_range),
        cmocka_unit_test(state_travels_with_the_commit),
        cmocka_unit_test(a_full_buffer_asks_for_a_commit),
        cmocka_unit_test(a_read_only_lake_needs_one_that_exists),
        cmocka_unit_test(a_missing_or_cut_file_is_named),
        cmocka_unit_test(two_writers_lose_nothing),
        cmocka_unit_test(a_moved_position_stops_the_second_program),
        cmocka_unit_test(a_crash_leaves_all_or_nothing),
        cmocka_unit_test(growth_is_bounded),
    };
    return cmocka_run_group_tests_name("lake", tests, NULL, NULL);
}
