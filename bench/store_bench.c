/* store_bench - rows per CPU second of store_append, next to a bare loop of the same INSERT into the same table, which
 * is the limit of what SQLite gives for this shape. Interleaved, in one process.
 *
 * store_bench [ROWS] [ROUNDS]   rows a measurement (default 1,000,000), rounds (default 3)
 */
#include "base/str.h"
#include "io/clock.h"
#include "io/file.h"
#include "store/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SERIES = 48 };

static void fail(const struct err *e)
{
    fprintf(stderr, "store_bench: %s\n", e->text);
    exit(70);
}

static void fill(struct batch *b, const struct series_table *names, size_t events, int64_t *next_id)
{
    for (size_t i = 0; i < events; i++) {
        struct trade *t = batch_add_trade(b);
        CHECK(t != NULL);
        int64_t id = ++*next_id;
        uint64_t random = (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15);
        t->series = (uint32_t)(random >> 40) % SERIES;
        t->side = random >> 20 & 1 ? SIDE_BUY : SIDE_SELL;
        t->has_id = t->has_range = true;
        t->id = t->first_id = t->last_id = 3000000000 + id;
        t->price = dec_normal(6000000 + (int64_t)(random >> 44) % 9999, 2);
        t->size = dec_normal(1 + (int64_t)(random >> 34) % 9999999, 8);
        t->venue_time_ns = INT64_C(1760000000000000000) + id * 100000;
        t->received_ns = t->venue_time_ns + 31234567;
        proof_add_trade(&b->proofs, names, t);
    }
}

static void report(const char *what, size_t batch_rows, int64_t rows, int64_t cpu_ns,
                   int64_t wall_ns, int64_t worst_ns)
{
    printf("%-14s batch %6zu: %9lld rows/s CPU, %9lld rows/s wall, longest commit %lld us\n", what,
           batch_rows, (long long)((i128)rows * NS_PER_S / cpu_ns),
           (long long)((i128)rows * NS_PER_S / wall_ns), (long long)(worst_ns / 1000));
    fflush(stdout);
}

static void bench_store(const char *folder, int64_t rows, size_t batch_rows)
{
    struct err e = {0};
    char path[PATH_LIMIT];
    path_join(path, folder, "store.db");
    struct series_table *names = series_new();
    for (int i = 0; i < SERIES; i++) {
        char symbol[16];
        int n = snprintf(symbol, sizeof symbol, "S%d-USDT", i);
        struct str s = {symbol, (size_t)n};
        series_intern(names, STR("binance"), STR("binance"), s, s);
    }
    struct store *store;
    if (store_open(&(struct store_options){.path = path, .series = names}, &store, &e)) fail(&e);
    struct batch_pool *pool = batch_pool_new(1, batch_rows, 1 << 20);
    struct batch *b = batch_get(pool, 0);
    int64_t cpu_ns = 0, wall_ns = 0, id = 0;
    for (int64_t done = 0; done < rows; done += (int64_t)batch_rows) {
        batch_clear(b);
        fill(b, names, batch_rows, &id);
        int64_t wall = clock_mono_ns(), cpu = clock_cpu_ns();
        if (store_append(store, b, &e)) fail(&e);
        cpu_ns += clock_cpu_ns() - cpu;
        wall_ns += clock_mono_ns() - wall;
    }
    struct store_stats stats;
    store_stats(store, &stats);
    report("store_append", batch_rows, stats.rows, cpu_ns, wall_ns, stats.commit_ns_max);
    printf("%-14s %lld bytes a row\n", "", (long long)(stats.bytes / stats.rows));
    batch_put(b);
    batch_pool_free(pool);
    store_close(store);
    series_free(names);
}

static void sql(sqlite3 *db, const char *text)
{
    if (sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK) return;
    fprintf(stderr, "store_bench: %s: %s\n", text, sqlite3_errmsg(db));
    exit(70);
}

/* The same eleven columns and values, nothing else: no hash, no batch row, no proof. */
static void bench_bare(const char *folder, int64_t rows, size_t batch_rows)
{
    char path[PATH_LIMIT];
    path_join(path, folder, "bare.db");
    sqlite3 *db;
    if (sqlite3_open(path, &db) != SQLITE_OK) exit(70);
    sql(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16384;"
            "CREATE TABLE t (sequence INTEGER PRIMARY KEY, series INTEGER NOT NULL, codes INTEGER "
            "NOT NULL, id INTEGER, price INTEGER NOT NULL, size INTEGER NOT NULL, venue_time "
            "INTEGER, received INTEGER NOT NULL, first_id INTEGER, last_id INTEGER, id_text TEXT)");
    sqlite3_stmt *s;
    sqlite3_prepare_v3(db, "INSERT INTO t VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)", -1,
                       SQLITE_PREPARE_PERSISTENT, &s, NULL);
    int64_t cpu = clock_cpu_ns(), wall = clock_mono_ns(), done = 0;
    while (done < rows) {
        sql(db, "BEGIN IMMEDIATE");
        for (size_t i = 0; i < batch_rows; i++) {
            int64_t id = ++done;
            uint64_t random = (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15);
            sqlite3_bind_int64(s, 1, id);
            sqlite3_bind_int64(s, 2, (int64_t)(random >> 40) % SERIES);
            sqlite3_bind_int64(s, 3, 1060872);
            sqlite3_bind_int64(s, 4, 3000000000 + id);
            sqlite3_bind_int64(s, 5, 6000000 + (int64_t)(random >> 44) % 9999);
            sqlite3_bind_int64(s, 6, 1 + (int64_t)(random >> 34) % 9999999);
            sqlite3_bind_int64(s, 7, INT64_C(1760000000000000000) + id * 100000);
            sqlite3_bind_int64(s, 8, INT64_C(1760000000031234567) + id * 100000);
            for (int k = 9; k <= 11; k++) sqlite3_bind_null(s, k);
            if (sqlite3_step(s) != SQLITE_DONE) exit(70);
            sqlite3_reset(s);
        }
        sql(db, "COMMIT");
    }
    report("bare INSERT", batch_rows, done, clock_cpu_ns() - cpu, clock_mono_ns() - wall, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
}

static void clean(const char *folder)
{
    static const char *const files[] = {"store.db", "store.db-wal", "store.db-shm",
                                        "bare.db",  "bare.db-wal",  "bare.db-shm"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[PATH_LIMIT];
        path_join(path, folder, files[i]);
        struct err e;
        if (file_remove(path, &e)) fail(&e);
    }
}

int main(int argc, char **argv)
{
    int64_t rows = 1000000, rounds = 3;
    if ((argc > 1 && str_to_i64(str_of(argv[1]), &rows)) ||
        (argc > 2 && str_to_i64(str_of(argv[2]), &rounds)) || rows < 1 || rounds < 1) {
        fprintf(stderr, "usage: store_bench [ROWS] [ROUNDS]\n");
        return 64;
    }
    char folder[] = "/var/tmp/ticklake-store-bench-XXXXXX";
    if (!mkdtemp(folder)) return 74;
    for (int64_t round = 0; round < rounds; round++) {
        static const size_t sizes[] = {1000, 10000};
        for (size_t i = 0; i < 2; i++) {
            bench_store(folder, rows, sizes[i]);
            bench_bare(folder, rows, sizes[i]);
            clean(folder);
        }
    }
    return rmdir(folder) ? 74 : 0;
}
