/* lake_worker.c - a worker of the distributed lake for the tests: pushes what follows from partition and number alone, commits
 * by the queue, and begins again where the catalog says when it was refused.
 *
 *   lake_worker work URL WAREHOUSE NAME PARTITIONS TARGET [compact]    "0,1,5": until each of them is at TARGET
 *   lake_worker check URL WAREHOUSE PARTITIONS                         all partitions below that number
 *
 * Partition p is the series "P<p>". Event n of it, from 1, is a trade with id n. The commit that ends at n also has the 1m
 * candle number n / ROWS of the series, a revision of the one before it, a candle that all partitions share, and one gap.
 * LAKE_REST_URI and so on in the environment: the tables in a REST catalog, URL has the rest. LAKE_MIRROR: for s3:// warehouses.
 * `check` compares the claims with the positions, the files with the claims, and looks for keys that have two rows. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crash.h"
#include "base/map.h"
#include "io/clock.h"
#include "io/file.h"
#include "lake/lake.h"

enum { PARTITIONS_MAX = 64, ROWS = 25, SHARED_KEYS = 4 };
#define START (INT64_C(1700000000) / 60 * 60 * NS_PER_S)

struct worker {
    struct err e;
    struct series_table *series;
    struct batch_pool *pool;
    struct lake *lake;
    int64_t partitions[PARTITIONS_MAX], positions[PARTITIONS_MAX], fenced, retries;
    int count;
    struct proof_set claimed, expected, read, foreign;
    struct map keys;
    int64_t different;
};

static void must(struct worker *w, enum err_code code)
{
    if (code == ERR_OK) return;
    fprintf(stderr, "%s:%d: %s: %s\n", w->e.file, w->e.line, err_name(code), w->e.text);
    exit(err_exit_code(code));
}

static uint32_t series_of(struct worker *w, int64_t partition)
{
    char name[24];
    snprintf(name, sizeof name, "P%" PRId64, partition);
    return series_intern(w->series, STR("binance"), STR("binance"), str_of(name), str_of(name));
}

static struct trade trade_of(uint32_t series, int64_t n)
{
    struct trade t = {.series = series,
                      .side = (uint8_t)(n % SIDE_MAX),
                      .origin = ORIGIN_LIVE,
                      .has_id = true,
                      .id = n,
                      .venue_time_ns = START + n * 97 * NS_PER_S,
                      .sequence = n};
    t.price = dec_normal(n * 104729 % 999999937 + 1, 9);
    t.size = dec_normal(n % 1000 + 1, 3);
    t.received_ns = t.venue_time_ns + NS_PER_MS;
    return t;
}

static void push_candle(struct worker *w, uint32_t series, int64_t number, int64_t revision)
{
    const struct candle c = {.series = series,
                             .timeframe = TIMEFRAME_1M,
                             .complete = true,
                             .replaces = revision > 0,
                             .has_base_volume = true,
                             .open_time_ns = START + number * NS_PER_MINUTE,
                             .open = 1,
                             .high = 3,
                             .low = 1,
                             .close = 2,
                             .trade_count = number,
                             .revision = revision,
                             .updated_ns = START};
    must(w, lake_push_candle(w->lake, &c, &w->e));
}

static void push(struct worker *w, int i)
{
    int64_t from = w->positions[i], commit = from / ROWS + 1;
    uint32_t series = series_of(w, w->partitions[i]);
    char name[40], text[24];
    struct batch *b = batch_get(w->pool, -1);
    for (int64_t n = from + 1; n <= from + ROWS; n++) {
        struct trade *t = batch_add_trade(b);
        *t = trade_of(series, n);
    }
    struct gap *g = batch_add_gap(b);
    *g = (struct gap){.gap_id = w->partitions[i],
                      .series = series,
                      .from_time_ns = START,
                      .to_time_ns = TIME_ABSENT,
                      .opened_ns = START,
                      .closed_ns = TIME_ABSENT,
                      .rows_recovered = commit,
                      .cause = STR("id_jump")};
    must(w, lake_push(w->lake, b, &w->e));
    batch_put(b);
    push_candle(w, series, commit, 0);
    if (commit > 1) push_candle(w, series, commit - 1, 1);
    push_candle(w, series_of(w, PARTITIONS_MAX), commit % SHARED_KEYS, commit);
    snprintf(name, sizeof name, "worker/%" PRId64, w->partitions[i]);
    snprintf(text, sizeof text, "%" PRId64, from + ROWS);
    must(w, lake_put_state(w->lake, str_of(name), str_of(text), &w->e));
}

static enum err_code see_position(void *ctx, struct str name, int64_t position, struct err *e)
{
    struct worker *w = ctx;
    int64_t partition;
    (void)e;
    (void)str_cut(&name, '/');
    if (str_to_i64(name, &partition) != ERR_OK) return ERR_OK;
    for (int i = 0; i < w->count; i++)
        if (w->partitions[i] == partition) w->positions[i] = position;
    return ERR_OK;
}

static enum err_code see_state(void *ctx, struct str name, struct str bytes, struct err *e)
{
    struct worker *w = ctx;
    int64_t partition, position;
    (void)str_cut(&name, '/');
    if (str_to_i64(name, &partition) != ERR_OK || str_to_i64(bytes, &position) != ERR_OK)
        return ERR(e, ERR_CORRUPT, "a state that is no number");
    for (int i = 0; i < w->count; i++)
        if (w->partitions[i] == partition) w->different += w->positions[i] != position;
    return ERR_OK;
}

static void patiently(struct worker *w, enum err_code code)
{
    if (err_action(code) != ACT_RETRY) must(w, code);
    w->retries++;
    clock_sleep_ns(100 * NS_PER_MS);
}

static void begin_again(struct worker *w)
{
    enum err_code code;
    lake_drop(w->lake);
    memset(w->positions, 0, sizeof w->positions);
    while ((code = lake_each_position(w->lake, "market.trades/", see_position, w, &w->e)) != ERR_OK)
        patiently(w, code);
}

static bool commit(struct worker *w, int64_t target)
{
    struct lake_move moves[PARTITIONS_MAX];
    char names[PARTITIONS_MAX][40];
    size_t count = 0;
    for (int i = 0; i < w->count; i++) {
        if (w->positions[i] >= target) continue;
        push(w, i);
        snprintf(names[count], sizeof names[0], "market.trades/%" PRId64, w->partitions[i]);
        moves[count] = (struct lake_move){names[count], w->positions[i], w->positions[i] + ROWS};
        count++;
    }
    if (count == 0) return false;
    enum err_code code;
    while ((code = lake_commit_moves(w->lake, moves, count, clock_wall_ns(), &w->e)) != ERR_OK) {
        if (code == ERR_FENCED) {
            w->fenced++;
            begin_again(w);
            return true;
        }
        patiently(w, code);
    }
    for (int i = 0; i < w->count; i++)
        if (w->positions[i] < target) w->positions[i] += ROWS;
    return true;
}

static void upkeep(struct worker *w)
{
    int64_t files;
    enum err_code code = ERR_OK;
    if (lake_compact_due(w->lake))
        code = lake_compact(w->lake, false, clock_wall_ns(), &files, NULL, NULL, &w->e);
    if (code == ERR_OK) code = lake_cleanup(w->lake, clock_wall_ns(), &w->e);
    if (code != ERR_OK) patiently(w, code);
}

static void work(struct worker *w, int64_t target, bool compact)
{
    struct lake_stats s;
    begin_again(w);
    for (int64_t round = 1; commit(w, target); round++)
        if (compact && round % 5 == 0) upkeep(w);
    lake_stats(w->lake, &s);
    printf("{\"commits\": %" PRId64 ", \"rows\": %" PRId64 ", \"folds\": %" PRId64
           ", \"folded\": %" PRId64 ", \"conflicts\": %" PRId64 ", \"compactions\": %" PRId64
           ", \"removed\": %" PRId64 ", \"commit_ms\": %" PRId64 ", \"fenced\": %" PRId64
           ", \"retries\": %" PRId64 "}\n",
           s.commits, s.rows, s.folds, s.folded, s.conflicts, s.compactions, s.files_removed,
           s.commits ? s.commit_ns_total / s.commits / NS_PER_MS : 0, w->fenced, w->retries);
}

/* ---- check */

static void problem(void *ctx, const char *path, const char *what)
{
    struct worker *w = ctx;
    printf("%s: %s\n", path, what);
    w->different++;
}

static void see_key(struct worker *w, const void *key, size_t size)
{
    struct str s = {key, size};
    if (map_get(&w->keys, s) != MAP_NONE) problem(w, "key", "two rows");
    map_put(&w->keys, s, 1);
}

static enum err_code see_candle(void *ctx, const struct candle *c, const char *path, struct err *e)
{
    const struct {
        int64_t open, series;
    } key = {c->open_time_ns, c->series};
    (void)path, (void)e;
    see_key(ctx, &key, sizeof key);
    return ERR_OK;
}

static enum err_code see_gap(void *ctx, const struct gap *g, const char *path, struct err *e)
{
    struct worker *w = ctx;
    (void)path, (void)e;
    see_key(w, &g->gap_id, sizeof g->gap_id);
    if (g->gap_id < w->count && g->rows_recovered != w->positions[g->gap_id] / ROWS)
        problem(w, "gap", "not the newest row");
    return ERR_OK;
}

static void compare(struct worker *w, struct proof_set *a, struct proof_set *b, const char *what)
{
    proof_set_sort(a);
    proof_set_sort(b);
    bool same = a->count == b->count;
    for (size_t i = 0; i < a->count && same; i++)
        same = a->items[i].series == b->items[i].series &&
               a->items[i].minute == b->items[i].minute && a->items[i].count == b->items[i].count &&
               a->items[i].sum == b->items[i].sum;
    if (!same) problem(w, "proof", what);
}

static void check(struct worker *w)
{
    struct lake *l = w->lake;
    int64_t rows = 0;
    must(w, lake_claims(l, &w->claimed, see_position, w, &w->e));
    must(w, lake_each_state(l, "worker/", see_state, w, &w->e));
    must(w, lake_reread_proofs(l, TABLE_TRADES, &w->read, &w->foreign, problem, w, &w->e));
    for (int i = 0; i < w->count; i++) {
        for (int64_t n = 1; n <= w->positions[i]; n++) {
            const struct trade t = trade_of(series_of(w, i), n);
            proof_add_trade(&w->expected, w->series, &t);
        }
        rows += w->positions[i];
    }
    compare(w, &w->expected, &w->claimed, "the claims are not the positions");
    compare(w, &w->claimed, &w->read, "the files are not the claims");
    must(w, lake_each_candle(l, see_candle, w, &w->e));
    must(w, lake_each_gap(l, see_gap, w, &w->e));
    printf("{\"rows\": %" PRId64 ", \"keys\": %u, \"different\": %" PRId64 "}\n", rows,
           w->keys.used, w->different);
}

static void open_lake(struct worker *w, char **argv, const char *name, bool read_only)
{
    const struct lake_rest_options rest = {.uri = getenv("LAKE_REST_URI"),
                                           .token = getenv("LAKE_REST_TOKEN"),
                                           .token_file = getenv("LAKE_REST_TOKEN_FILE"),
                                           .credential = getenv("LAKE_REST_CREDENTIAL"),
                                           .signing_name = getenv("LAKE_REST_SIGNING_NAME"),
                                           .warehouse = getenv("LAKE_REST_WAREHOUSE"),
                                           .vended = getenv("LAKE_REST_VENDED") != NULL};
    const struct s3_options s3 = {.endpoint = getenv("TICKLAKE_S3__ENDPOINT"),
                                  .aws = {.region = getenv("TICKLAKE_S3__REGION"),
                                          .access_key = getenv("TICKLAKE_S3__ACCESS_KEY"),
                                          .secret_key = getenv("TICKLAKE_S3__SECRET_KEY")}};
    const struct lake_options o = {.catalog_url = argv[2],
                                   .rest = rest.uri ? &rest : NULL,
                                   .s3 = &s3,
                                   .mirror = getenv("LAKE_MIRROR"),
                                   .warehouse = argv[3],
                                   .worker = name,
                                   .series = w->series,
                                   .snapshots_keep = 10,
                                   .metadata_keep = 10,
                                   .grace_ns = 30 * NS_PER_S,
                                   .target_file_bytes = 1 << 20,
                                   .compact_files = 4,
                                   .buffer_rows_max = 100000,
                                   .read_only = read_only};
    enum err_code code;
    while ((code = lake_open(&o, &w->lake, &w->e)) != ERR_OK) patiently(w, code);
}

int main(int argc, char **argv)
{
    static struct worker w;
    int64_t number;
    w.series = series_new();
    w.pool = batch_pool_new(1, 10000, 16 << 20);
    map_init(&w.keys, 1 << 20);
    struct proof_set *const sets[] = {&w.claimed, &w.expected, &w.read, &w.foreign};
    for (int i = 0; i < 4; i++) proof_set_init(sets[i]);
    if (argc == 5 && str_to_i64(str_of(argv[4]), &number) == ERR_OK && number <= PARTITIONS_MAX) {
        for (; w.count < number; w.count++) w.partitions[w.count] = w.count;
        open_lake(&w, argv, "check", true);
        check(&w);
    } else if (argc >= 7 && str_to_i64(str_of(argv[6]), &number) == ERR_OK) {
        struct str list = str_of(argv[5]);
        while (list.n && w.count < PARTITIONS_MAX)
            if (str_to_i64(str_cut(&list, ','), &w.partitions[w.count++]) != ERR_OK) return 64;
        crash_setup(getenv("TICKLAKE_CRASH"));
        open_lake(&w, argv, argv[4], false);
        work(&w, number, argc > 7);
    } else {
        fprintf(stderr, "usage: lake_worker work|check URL WAREHOUSE ...\n");
        return 64;
    }
    lake_close(w.lake);
    for (int i = 0; i < 4; i++) proof_set_free(sets[i]);
    map_free(&w.keys);
    batch_pool_free(w.pool);
    series_free(w.series);
    return w.different ? 1 : 0;
}
