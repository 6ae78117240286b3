/* postgres_bench - trades into the PostgreSQL store, and out of it by logical replication.
 *
 *   postgres_bench append URL ROWS BATCH    store_append of batches of that many trades (ROWS 0: the tables alone)
 *   postgres_bench stream URL SLOT ROWS     changes_read from the stream, until ROWS trades have come
 *   postgres_bench bulk   URL SLOT ROWS     the same, the backlog read in bulk
 *
 * One line of JSON: rows, wall_ns, cpu_ns of this process's threads. The connections are open until then: whoever measures the
 * server's processes looks at them meanwhile.
 */
#include "bench_trades.h"
#include "io/clock.h"
#include "store/changes.h"
#include "store/store.h"

#include <inttypes.h>

enum { READ_EVENTS = 16384, TEXT_BYTES = 1 << 20, PATIENCE_S = 60 };

static void tell(int64_t rows, int64_t wall_ns, int64_t cpu_ns)
{
    printf("{\"rows\":%" PRId64 ",\"wall_ns\":%" PRId64 ",\"cpu_ns\":%" PRId64 "}\n", rows, wall_ns,
           cpu_ns);
}

static void append(const char *url, int64_t rows, int64_t batch_rows)
{
    struct err e = {0};
    struct bench_names names;
    struct series_table *table = series_new();
    const struct store_options o = {
        .url = url, .writer = "bench", .role = STORE_OWNER, .series = table};
    struct store *store;
    bench_must(store_open(&o, &store, &e), "store_open", &e);
    bench_name_series(&names, table);
    struct batch_pool *pool = batch_pool_new(1, (size_t)batch_rows, TEXT_BYTES);
    struct batch *b = batch_get(pool, -1);
    int64_t wall_ns = 0, cpu_ns = 0;
    for (int64_t done = 0; done < rows; done += batch_rows) {
        int64_t left = rows - done;
        batch_clear(b);
        bench_fill(b, &names, done, (size_t)(left < batch_rows ? left : batch_rows));
        int64_t wall = clock_mono_ns(), cpu = clock_cpu_ns();
        bench_must(store_append(store, b, &e), "store_append", &e);
        cpu_ns += clock_cpu_ns() - cpu;
        wall_ns += clock_mono_ns() - wall;
    }
    tell(rows, wall_ns, cpu_ns);
    batch_put(b);
    batch_pool_free(pool);
    store_close(store);
    series_free(table);
}

static void notice(void *ctx, const char *what, const char *detail)
{
    (void)ctx;
    fprintf(stderr, "%s: %s\n", what, detail);
}

static void read_changes(const char *url, const char *slot, int64_t rows, int64_t bulk_rows)
{
    struct err e = {0};
    struct series_table *table = series_new();
    const struct changes_options o = {.url = url,
                                      .slot = slot,
                                      .publication = "ticklake",
                                      .series = table,
                                      .bulk_rows = bulk_rows,
                                      .notice = notice};
    struct changes *c;
    int64_t wall = clock_mono_ns(), cpu = clock_cpu_ns(), trades = 0, last_ns = wall;
    bench_must(changes_open(&o, &c, &e), "changes_open", &e);
    struct batch_pool *pool = batch_pool_new(1, READ_EVENTS, TEXT_BYTES);
    struct batch *b = batch_get(pool, -1);
    while (trades < rows) {
        struct changes_mark mark;
        int64_t got;
        bench_must(changes_read(c, 100, b, &mark, &got, &e), "changes_read", &e);
        trades += (int64_t)b->trade_count;
        batch_clear(b);
        changes_confirm(c, &mark.position);
        if (got > 0) last_ns = clock_mono_ns();
        if (clock_mono_ns() - last_ns < PATIENCE_S * NS_PER_S) continue;
        fprintf(stderr, "nothing came for %d s, at %" PRId64 " trades of %" PRId64 "\n", PATIENCE_S,
                trades, rows);
        exit(70);
    }
    tell(trades, clock_mono_ns() - wall, clock_cpu_ns() - cpu);
    changes_close(c);
    batch_put(b);
    batch_pool_free(pool);
    series_free(table);
}

int main(int argc, char **argv)
{
    int64_t rows = 0, batch_rows = 0;
    if (argc == 5 && strcmp(argv[1], "append") == 0 &&
        str_to_i64(str_of(argv[3]), &rows) == ERR_OK &&
        str_to_i64(str_of(argv[4]), &batch_rows) == ERR_OK && rows >= 0 && batch_rows > 0) {
        append(argv[2], rows, batch_rows);
        return 0;
    }
    bool bulk = argc == 5 && strcmp(argv[1], "bulk") == 0;
    if (argc != 5 || (!bulk && strcmp(argv[1], "stream") != 0) ||
        str_to_i64(str_of(argv[4]), &rows) != ERR_OK || rows < 1) {
        fprintf(stderr, "usage: see the head of bench/postgres_bench.c\n");
        return 64;
    }
    read_changes(argv[2], argv[3], rows, bulk ? 1 : INT64_MAX);
    return 0;
}
