/* What the tests of the lake share: a folder of their own, a lake in it, a seeded market and the stupid model of what
 * the lake must hold: the sums of all trades, and one candle a key. */
#ifndef TICKLAKE_TESTS_LAKE_HELP_H
#define TICKLAKE_TESTS_LAKE_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <libpq-fe.h>

#include "io/file.h"
#include "lake/lake.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        struct err *e_ = &world->e;                                                                \
        if ((call) != ERR_OK) fail_msg("%s:%d: %s", e_->file, e_->line, e_->text);                 \
    } while (0)

enum { WORLD_SERIES = 6, WORLD_CANDLES = 400 };
#define WORLD_START (INT64_C(1700000000) * NS_PER_S)

struct world {
    struct err e;
    char folder[PATH_LIMIT / 2], catalog[PATH_LIMIT], warehouse[PATH_LIMIT];
    struct lake_options o;
    struct series_table *series;
    struct batch_pool *pool;
    struct lake *lake;
    uint32_t ids[WORLD_SERIES];
    uint64_t random;
    int64_t next, clock_ns;
    struct proof_set expected; /* of all committed trades and quotes */
    int64_t trades, quotes;
    struct candle candles[WORLD_CANDLES]; /* by number; revision -1: not there */
};

static inline uint64_t world_random(struct world *w)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random;
}

static inline void world_remove(const char *path);
static inline enum err_code world_remove_one(void *ctx, const char *name, bool is_folder,
                                             struct err *e)
{
    char path[PATH_LIMIT];
    (void)e;
    path_join(path, ctx, name);
    if (is_folder)
        world_remove(path);
    else
        unlink(path);
    return ERR_OK;
}
static inline void world_remove(const char *path)
{
    if (file_list(path, world_remove_one, (void *)(uintptr_t)path, NULL) == ERR_OK) rmdir(path);
}

/* With this in the environment (tests/e2e/test_lake_postgres.py sets it) the catalog is in that PostgreSQL database. */
static inline const char *world_url(void) { return getenv("TICKLAKE_TEST_POSTGRES"); }

static inline void world_sql(const char *sql)
{
    PGconn *conn = PQconnectdb(world_url());
    PGresult *r = PQexec(conn, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK) fail_msg("%s: %s", sql, PQerrorMessage(conn));
    PQclear(r);
    PQfinish(conn);
}

static inline struct world *world_new(uint64_t seed)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    /* In memory where that is possible: a kill needs no disk, and the many thousand syncs would take a minute. */
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    snprintf(world->folder, sizeof world->folder, "%s/ticklake-lake-%ld-%llu",
             root && *root ? root : "/tmp", (long)getpid(), (unsigned long long)seed);
    world_remove(world->folder);
    assert_ok(file_make_folders(world->folder, &world->e));
    path_join(world->catalog, world->folder, "catalog.db");
    path_join(world->warehouse, world->folder, "lake");
    world->series = series_new();
    world->pool = batch_pool_new(1, 100000, 64 << 20);
    world->random = seed * 0x9e3779b97f4a7c15 + 1;
    world->clock_ns = WORLD_START;
    world->next = 1;
    proof_set_init(&world->expected);
    for (int i = 0; i < WORLD_SERIES; i++) {
        char name[64];
        snprintf(name, sizeof name, "SYMBOL-LONGER-THAN-16-%d", i);
        world->ids[i] = series_intern(world->series, i % 2 ? STR("binance") : STR("tiingo"),
                                      STR("binance"), str_of(name), str_of(name));
    }
    for (int i = 0; i < WORLD_CANDLES; i++) world->candles[i].revision = -1;
    world->o = (struct lake_options){.catalog_path = world->catalog,
                                     .catalog_url = world_url(),
                                     .warehouse = world->warehouse,
                                     .series = world->series,
                                     .snapshots_keep = 4,
                                     .metadata_keep = 5,
                                     .grace_ns = 10 * NS_PER_S,
                                     .target_file_bytes = 1 << 20,
                                     .compact_files = 4,
                                     .buffer_rows_max = 100000};
    if (world_url())
        world_sql("SET client_min_messages = error; DROP SCHEMA IF EXISTS ticklake CASCADE");
    assert_ok(lake_open(&world->o, &world->lake, &world->e));
    return world;
}

static inline void world_free(struct world *w)
{
    lake_close(w->lake);
    batch_pool_free(w->pool);
    series_free(w->series);
    proof_set_free(&w->expected);
    world_remove(w->folder);
    free(w);
}

static inline void world_reopen(struct world *world)
{
    world->lake = lake_close(world->lake);
    assert_ok(lake_open(&world->o, &world->lake, &world->e));
}

static inline void world_trade(struct world *w, struct batch *b)
{
    struct trade *t = batch_add_trade(b);
    uint64_t r = world_random(w);
    t->series = w->ids[r % WORLD_SERIES];
    t->has_id = r % 11 != 0;
    if (t->has_id) t->id = w->next;
    if (t->has_id && r % 7 == 0) {
        t->id = 0;
        t->id_text = STR("id-that-is-no-number");
    }
    t->side = (uint8_t)(r % 3);
    t->origin = (uint8_t)(r / 8 % ORIGIN_MAX);
    t->kind = (uint8_t)(r / 64 % KIND_MAX);
    t->price = dec_normal((int64_t)(r % 1000003), 4);
    t->size = dec_normal((int64_t)(r % 7001) - 3000, (int)(r % 18));
    t->venue_time_ns = r % 97 == 0 ? TIME_ABSENT : w->clock_ns + (int64_t)(r % 1000) * NS_PER_MS;
    t->received_ns = w->clock_ns + NS_PER_S;
    t->sequence = w->next++;
    proof_add_trade(&w->expected, w->series, t);
    w->trades++;
}

static inline void world_quote(struct world *w, struct batch *b)
{
    struct quote *q = batch_add_quote(b);
    uint64_t r = world_random(w);
    q->series = w->ids[r % WORLD_SERIES];
    q->bid_price = r % 13 ? dec_normal((int64_t)(r % 1009), 2) : dec_absent();
    q->bid_size = q->bid_price;
    q->ask_price = q->ask_size = dec_normal((int64_t)(r % 1013), 3);
    q->venue_time_ns = r % 5 ? w->clock_ns : TIME_ABSENT;
    q->received_ns = w->clock_ns + (int64_t)(r % 1000);
    q->sequence = w->next++;
    proof_add_quote(&w->expected, w->series, q);
    w->quotes++;
}

static inline int64_t world_candle_time(int number) { return WORLD_START + number * NS_PER_HOUR; }

/* Number n is candle n / series of series n % series; the same again is a revision. */
static inline void world_candle(struct world *world, int number)
{
    struct candle *c = &world->candles[number];
    int64_t revision = c->revision + 1;
    *c = (struct candle){.series = world->ids[number % WORLD_SERIES],
                         .timeframe = TIMEFRAME_1M,
                         .complete = revision % 2,
                         .has_base_volume = true,
                         .has_quote_volume = true,
                         .has_ids = true,
                         .replaces = revision > 0,
                         .open_time_ns = world_candle_time(number),
                         .open = (i128)number << 70,
                         .high = revision,
                         .close = -(i128)number,
                         .base_volume = 1,
                         .quote_volume = 2,
                         .vwap = 2,
                         .trade_count = revision + 1,
                         .revision = revision};
    assert_ok(lake_push_candle(world->lake, c, &world->e));
}

static inline struct batch *world_batch(struct world *w, int trades, int quotes)
{
    struct batch *b = batch_get(w->pool, 0);
    assert_non_null(b);
    for (int i = 0; i < trades; i++) world_trade(w, b);
    for (int i = 0; i < quotes; i++) world_quote(w, b);
    return b;
}

static inline void world_push(struct world *world, int trades, int quotes)
{
    struct batch *b = world_batch(world, trades, quotes);
    assert_ok(lake_push(world->lake, b, &world->e));
    batch_put(b);
}

static inline void world_commit(struct world *world)
{
    assert_ok(lake_commit(world->lake, world->next - 1, world->clock_ns, &world->e));
    world->clock_ns += NS_PER_S;
}

/* ---- does the lake hold what it must? */

static inline void world_problem(void *ctx, const char *path, const char *what)
{
    (void)ctx;
    fail_msg("%s: %s", path, what);
}

static inline void world_same_proofs(struct proof_set *a, struct proof_set *b)
{
    proof_set_sort(a);
    proof_set_sort(b);
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_int_equal(a->items[i].series, b->items[i].series);
        assert_int_equal(a->items[i].minute, b->items[i].minute);
        assert_int_equal(a->items[i].count, b->items[i].count);
        assert_true(a->items[i].sum == b->items[i].sum);
    }
}

struct world_seen {
    struct world *w;
    int64_t count;
    bool seen[WORLD_CANDLES];
};

static inline enum err_code world_see(void *ctx, const struct candle *c, const char *path,
                                      struct err *e)
{
    (void)path;
    (void)e;
    struct world_seen *s = ctx;
    int number = (int)((c->open_time_ns - WORLD_START) / NS_PER_HOUR);
    assert_true(number >= 0 && number < WORLD_CANDLES);
    assert_false(s->seen[number]); /* one row a key */
    s->seen[number] = true;
    s->count++;
    const struct candle *want = &s->w->candles[number];
    assert_int_equal(c->revision, want->revision);
    assert_int_equal(c->series, want->series);
    assert_int_equal(c->trade_count, want->trade_count);
    assert_int_equal(c->complete, want->complete);
    assert_true(c->open == want->open && c->close == want->close && c->high == want->high);
    return ERR_OK;
}

static inline void world_check(struct world *world)
{
    struct proof_set claimed, read, foreign;
    proof_set_init(&claimed);
    proof_set_init(&read);
    proof_set_init(&foreign);
    assert_ok(lake_proofs(world->lake, &claimed, &world->e));
    assert_ok(lake_reread_proofs(world->lake, TABLE_TRADES, &read, &foreign, world_problem, NULL,
                                 &world->e));
    assert_ok(lake_reread_proofs(world->lake, TABLE_QUOTES, &read, &foreign, world_problem, NULL,
                                 &world->e));
    world_same_proofs(&world->expected, &claimed);
    world_same_proofs(&world->expected, &read);
    assert_int_equal(foreign.count, 0);
    proof_set_free(&claimed);
    proof_set_free(&read);
    proof_set_free(&foreign);
    struct world_seen seen = {.w = world};
    assert_ok(lake_each_candle(world->lake, world_see, &seen, &world->e));
    int64_t want = 0;
    for (int i = 0; i < WORLD_CANDLES; i++) want += world->candles[i].revision >= 0;
    assert_int_equal(seen.count, want);
    struct lake_table_info info;
    assert_ok(lake_table_info(world->lake, TABLE_TRADES, &info, &world->e));
    assert_int_equal(info.rows, world->trades);
    assert_ok(lake_table_info(world->lake, TABLE_CANDLES, &info, &world->e));
    assert_int_equal(info.rows, want);
}

/* Files below a folder. */
static inline enum err_code world_count_one(void *ctx, const char *name, bool is_folder,
                                            struct err *e)
{
    (void)name;
    (void)e;
    (void)is_folder;
    ++*(int64_t *)ctx;
    return ERR_OK;
}
static inline int64_t world_files(struct world *w, const char *below)
{
    char path[PATH_LIMIT];
    int64_t count = 0;
    path_join(path, w->warehouse, below);
    if (file_list(path, world_count_one, &count, NULL) != ERR_OK) return 0;
    return count;
}

#endif
