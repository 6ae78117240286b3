/* lake_night_bench.c - a night at one commit a second, accelerated: does the last commit cost what the first did?
 *
 *   lake_night_bench FOLDER [COMMITS [TRADES_PER_COMMIT]]      100000 commits of 100 trades by default
 *
 * Each commit adds trades, quotes and candles (one of them a revision); after it, compaction and cleanup run when they
 * are due, as run/ does it. Prints the mean time of the first and of the last thousand commits (upkeep included) and
 * how many files and metadata there are at most. Exits 1 when the last thousand took more than 1.2 times the first. */
#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/file.h"
#include "lake/lake.h"

enum { SERIES = 20, SAMPLE = 1000 };
#define START (INT64_C(1700000000) * NS_PER_S)

struct night {
    struct err e;
    struct series_table *series;
    struct batch_pool *pool;
    struct lake *lake;
    uint32_t ids[SERIES];
    uint64_t random;
    int64_t next, now_ns, most_files[3], most_metadata, cpu_ns[3], wall_ns[3], upkeep_ns[3];
    int part; /* 0 first, 1 middle, 2 last */
};

static void must(struct night *n, enum err_code code)
{
    if (code == ERR_OK) return;
    fprintf(stderr, "%s:%d: %s\n", n->e.file, n->e.line, n->e.text);
    exit(err_exit_code(code));
}

static uint64_t next_random(struct night *n)
{
    n->random ^= n->random << 13;
    n->random ^= n->random >> 7;
    return n->random ^= n->random << 17;
}

static void push_candles(struct night *n, int64_t second)
{
    for (int i = 0; i < SERIES; i++) {
        struct candle c = {.series = n->ids[i],
                           .timeframe = TIMEFRAME_1S,
                           .complete = true,
                           .has_base_volume = true,
                           .has_quote_volume = true,
                           .has_ids = true,
                           .open_time_ns = START + second * NS_PER_S,
                           .open = i,
                           .close = i + 1,
                           .base_volume = 1,
                           .quote_volume = 1,
                           .trade_count = 1};
        must(n, lake_push_candle(n->lake, &c, &n->e));
        if (i || second < 60) continue;
        c.open_time_ns -= 60 * NS_PER_S; /* a late trade: one candle of a minute ago is replaced */
        c.replaces = true;
        c.revision = 1;
        must(n, lake_push_candle(n->lake, &c, &n->e));
    }
}

static void one_second(struct night *n, int64_t second, int rows)
{
    struct batch *b = batch_get(n->pool, -1);
    for (int i = 0; i < rows; i++) {
        uint64_t r = next_random(n);
        struct trade *t = batch_add_trade(b);
        t->series = n->ids[r % SERIES];
        t->has_id = true;
        t->id = n->next;
        t->side = SIDE_BUY;
        t->price = dec_normal((int64_t)(6000000 + r % 1000), 2);
        t->size = dec_normal((int64_t)(r % 100000), 5);
        t->venue_time_ns = n->now_ns + i * NS_PER_MS;
        t->received_ns = t->venue_time_ns + 3 * NS_PER_MS;
        t->sequence = n->next++;
        proof_add_trade(&b->proofs, n->series, t);
    }
    must(n, lake_push(n->lake, b, &n->e));
    batch_put(b);
    push_candles(n, second);
    must(n, lake_commit(n->lake, n->next - 1, n->now_ns, &n->e));
    int64_t files, before = clock_cpu_ns();
    if (lake_compact_due(n->lake))
        must(n, lake_compact(n->lake, false, n->now_ns, &files, NULL, NULL, &n->e));
    if (second % 60 == 0) must(n, lake_cleanup(n->lake, n->now_ns, &n->e));
    n->upkeep_ns[n->part] += clock_cpu_ns() - before;
    n->now_ns += NS_PER_S;
}

static enum err_code count_one(void *ctx, const char *name, bool is_folder, struct err *e)
{
    (void)name;
    (void)is_folder;
    (void)e;
    ++*(int64_t *)ctx;
    return ERR_OK;
}

static void watch(struct night *n, const char *warehouse)
{
    static const enum table_id tables[3] = {TABLE_TRADES, TABLE_CANDLES, TABLE_QUOTES};
    for (int i = 0; i < 3; i++) {
        struct lake_table_info info;
        must(n, lake_table_info(n->lake, tables[i], &info, &n->e));
        int64_t files = info.data_files + info.delete_files;
        if (files > n->most_files[i]) n->most_files[i] = files;
    }
    char path[PATH_LIMIT];
    int64_t count = 0;
    path_join(path, warehouse, "market/candles/metadata");
    must(n, file_list(path, count_one, &count, &n->e));
    if (count > n->most_metadata) n->most_metadata = count;
}

static void open_night(struct night *n, const char *folder, char warehouse[PATH_LIMIT])
{
    static char catalog[PATH_LIMIT];
    path_join(catalog, folder, "catalog.db");
    path_join(warehouse, folder, "lake");
    n->series = series_new();
    n->pool = batch_pool_new(1, 1000000, 256 << 20);
    n->random = 42;
    n->next = 1;
    n->now_ns = START;
    for (int i = 0; i < SERIES; i++) {
        char name[24];
        snprintf(name, sizeof name, "COIN%d-USDT", i);
        n->ids[i] =
            series_intern(n->series, STR("binance"), STR("binance"), str_of(name), str_of(name));
    }
    const struct lake_options o = {.catalog_path = catalog,
                                   .warehouse = warehouse,
                                   .series = n->series,
                                   .snapshots_keep = 20,
                                   .metadata_keep = 20,
                                   .grace_ns = 300 * NS_PER_S,
                                   .target_file_bytes = 64 << 20,
                                   .compact_files = 8,
                                   .buffer_rows_max = 2000000};
    must(n, file_make_folders(folder, &n->e));
    must(n, lake_open(&o, &n->lake, &n->e));
}

int main(int argc, char **argv)
{
    struct night n = {0};
    char warehouse[PATH_LIMIT];
    int64_t commits = 100000, rows = 100;
    if (argc < 2 || (argc > 2 && str_to_i64(str_of(argv[2]), &commits) != ERR_OK) ||
        (argc > 3 && str_to_i64(str_of(argv[3]), &rows) != ERR_OK)) {
        fprintf(stderr, "usage: lake_night_bench FOLDER [COMMITS [TRADES_PER_COMMIT]]\n");
        return 64;
    }
    open_night(&n, argv[1], warehouse);
    for (int64_t i = 0; i < commits; i++) {
        int64_t cpu = clock_cpu_ns(), wall = clock_mono_ns();
        int part = n.part = i < SAMPLE ? 0 : i >= commits - SAMPLE ? 2 : 1;
        one_second(&n, i, (int)rows);
        n.cpu_ns[part] += clock_cpu_ns() - cpu;
        n.wall_ns[part] += clock_mono_ns() - wall;
        if (i % 50 == 0) watch(&n, warehouse);
        if (i % 10000 == 9999)
            fprintf(stderr, "%lld commits, %lld us cpu each\n", (long long)i + 1,
                    (long long)(n.cpu_ns[1] / (i + 1) / 1000));
    }
    const int64_t us = SAMPLE * 1000;
    printf("commits %lld, rows of trades %lld\n", (long long)commits, (long long)n.next - 1);
    printf(
        "first 1000: %lld us wall, %lld us cpu each; last 1000: %lld us wall, %lld us cpu each\n",
        (long long)(n.wall_ns[0] / us), (long long)(n.cpu_ns[0] / us),
        (long long)(n.wall_ns[2] / us), (long long)(n.cpu_ns[2] / us));
    printf("of that upkeep: first %lld us, last %lld us cpu each\n",
           (long long)(n.upkeep_ns[0] / us), (long long)(n.upkeep_ns[2] / us));
    printf("most files at once: trades %lld, candles %lld; metadata files of candles %lld\n",
           (long long)n.most_files[0], (long long)n.most_files[1], (long long)n.most_metadata);
    lake_close(n.lake);
    batch_pool_free(n.pool);
    series_free(n.series);
    return n.cpu_ns[2] * 10 > n.cpu_ns[0] * 12;
}
