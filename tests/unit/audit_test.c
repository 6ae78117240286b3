/* verify against a small pipeline: what is whole is found whole, and each kind of damage is named by its place. */
#include "store_random.h"

#include "audit/audit_internal.h"

#include <sqlite3.h>
#include <sys/wait.h>

struct pipeline_options {
    int64_t batches;
    int64_t uncommitted; /* batches at the end that the lake never sees */
    bool wrong_candle;   /* one candle's volume is changed on the way into the lake */
    bool lost_candle;    /* one candle never gets there */
    bool gap_unknown;    /* the skipped ids are not told to the ledger */
    bool retain;
};

struct pipeline {
    char folder[PATH_LIMIT], store[PATH_LIMIT], catalog[PATH_LIMIT], warehouse[PATH_LIMIT];
    struct pipeline_options o;
    struct lake *lake;
    int64_t candles;
    struct random rnd;
    int64_t next_id[3], time_ns;
    int64_t skipped_from;
};

static void take_candle(void *ctx, const struct candle *c)
{
    struct pipeline *p = ctx;
    struct candle own = *c;
    p->candles++;
    if (p->o.lost_candle && p->candles == 20) return;
    if (p->o.wrong_candle && p->candles == 20) own.base_volume += 1;
    struct err e = {0};
    assert_ok(lake_push_candle(p->lake, &own, &e), &e);
}
static void take_late(void *ctx, const struct late_trade *l)
{
    (void)ctx, (void)l;
    fail_msg("a late trade: the test's market has none");
}
static void take_rollup(void *ctx, uint32_t series, enum timeframe tf, int64_t open_time_ns)
{
    (void)ctx, (void)series, (void)tf, (void)open_time_ns;
    fail_msg("a roll-up from the lake: the test's market has no late trades");
}
static void take_gap(void *ctx, const struct gap_change *g) { (void)ctx, (void)g; }
static void take_state(void *ctx, struct str name, struct str bytes)
{
    (void)ctx, (void)name, (void)bytes;
}

/* Two symbols with consecutive ids, one without ids whose prints repeat, and quotes. */
static void fill_batch(struct pipeline *p, struct series_table *names, struct batch *b)
{
    const uint32_t series[3] = {
        series_intern(names, STR("binance"), STR("binance"), STR("BTC-USDT"), STR("BTCUSDT")),
        series_intern(names, STR("binance"), STR("binance"), STR("ETH-USDT"), STR("ETHUSDT")),
        series_intern(names, STR("tiingo"), STR("gdax"), STR("BTC-USD"), STR("btcusd"))};
    for (int i = 0; i < 40; i++) {
        p->time_ns += 1 + random_below(&p->rnd, 2 * NS_PER_S);
        int k = (int)random_below(&p->rnd, 4);
        if (k == 3) {
            struct quote *q = batch_add_quote(b);
            q->series = series[0];
            q->bid_price = dec_normal(600000 + random_below(&p->rnd, 100), 1);
            q->bid_size = dec_normal(15, 1);
            q->ask_price = q->ask_size = dec_absent();
            q->venue_time_ns = TIME_ABSENT;
            q->received_ns = p->time_ns;
            proof_add_quote(&b->proofs, names, q);
            continue;
        }
        struct trade *t = batch_add_trade(b);
        t->series = series[k];
        t->side = random_below(&p->rnd, 2) ? SIDE_BUY : SIDE_SELL;
        t->price = dec_normal(6000000 + random_below(&p->rnd, 999), 2);
        t->size = dec_normal(1 + random_below(&p->rnd, 99999), 5);
        t->venue_time_ns = p->time_ns;
        t->received_ns = p->time_ns + 5 * NS_PER_MS;
        if (k < 2) {
            t->has_id = t->has_range = true;
            t->id = t->first_id = t->last_id = p->next_id[k]++;
        }
        proof_add_trade(&b->proofs, names, t);
    }
    b->clock_ns = p->time_ns + 5 * NS_PER_MS;
}

static void skip_ids(struct pipeline *p, struct series_table *names, struct batch *b)
{
    p->skipped_from = p->next_id[0];
    p->next_id[0] += 5;
    if (p->o.gap_unknown) return;
    struct str cause;
    assert_true(batch_text(b, STR("id_jump"), &cause));
    struct gap *g = batch_add_gap(b);
    g->gap_id = 1;
    g->series = series_find(names, STR("binance"), STR("BTC-USDT"));
    g->stream = STREAM_TRADE;
    g->kind = GAP_IDS;
    g->has_ids = g->has_count = true;
    g->from_id = p->skipped_from;
    g->to_id = p->skipped_from + 4;
    g->missing_count = 5;
    g->from_time_ns = p->time_ns;
    g->to_time_ns = p->time_ns + NS_PER_S;
    g->opened_ns = p->time_ns;
    g->closed_ns = TIME_ABSENT;
    g->cause = cause;
}

static void run_pipeline(struct pipeline *p)
{
    struct err e = {0};
    struct series_table *names = series_new();
    struct store *store;
    assert_ok(store_open(&(struct store_options){.path = p->store, .series = names}, &store, &e),
              &e);
    struct lake_options lo = {
        .catalog_path = p->catalog, .warehouse = p->warehouse, .series = names};
    assert_ok(lake_open(&lo, &p->lake, &e), &e);
    struct process *process = process_new(&(struct process_options){
        .series = names, .lateness_ns = NS_PER_S, .tick_limit_ns = NS_PER_S, .tapes_max = 100});
    struct process_sink sink = {p, take_candle, take_late, take_rollup, take_gap, take_state};
    struct batch_pool *pool = batch_pool_new(1, 64, 1 << 20);
    struct batch *b = batch_get(pool, 0);
    for (int64_t i = 0; i < p->o.batches + p->o.uncommitted; i++) {
        batch_clear(b);
        fill_batch(p, names, b);
        if (i == p->o.batches / 2) skip_ids(p, names, b);
        assert_ok(store_append(store, b, &e), &e);
        if (i >= p->o.batches) continue;
        assert_ok(process_push(process, b, &sink, &e), &e);
        assert_ok(lake_push(p->lake, b, &e), &e);
        if (i + 1 == p->o.batches) process_finish(process, &sink);
        if (i % 15 == 14 || i + 1 == p->o.batches)
            assert_ok(lake_commit(p->lake, b->last_sequence, p->time_ns, &e), &e);
    }
    bool more = p->o.retain;
    while (more) {
        int64_t below = lake_position(p->lake) / 2;
        assert_ok(store_retain(store, below, INT64_MAX, &more, &e), &e);
    }
    batch_put(b);
    batch_pool_free(pool);
    process_free(process);
    p->lake = lake_close(p->lake);
    store_close(store);
    series_free(names);
}

static void pipeline_place(struct pipeline *p, struct pipeline_options o)
{
    struct folder f;
    folder_make(&f);
    *p = (struct pipeline){.o = o, .rnd = {7}, .time_ns = INT64_C(1723161600000000000)};
    p->next_id[0] = 1000;
    p->next_id[1] = 77;
    memcpy(p->folder, f.path, sizeof p->folder);
    path_join(p->store, p->folder, "store.db");
    path_join(p->catalog, p->folder, "catalog.db");
    path_join(p->warehouse, p->folder, "lake");
}
static void pipeline_make(struct pipeline *p, struct pipeline_options o)
{
    pipeline_place(p, o);
    run_pipeline(p);
}

static enum err_code remove_tree(void *ctx, const char *name, bool is_folder, struct err *e)
{
    char path[PATH_LIMIT];
    path_join(path, ctx, name);
    if (!is_folder) return file_remove(path, e);
    TRY(file_list(path, remove_tree, path, e));
    return rmdir(path) == 0 ? ERR_OK : ERR(e, ERR_DISK, "rmdir %s", path);
}
static void pipeline_remove(struct pipeline *p)
{
    struct err e = {0};
    assert_ok(file_list(p->folder, remove_tree, p->folder, &e), &e);
    assert_int_equal(rmdir(p->folder), 0);
}

struct found {
    char text[20000];
    size_t len;
    int count;
};
static void difference(void *ctx, const char *check, const char *place, const char *what)
{
    struct found *f = ctx;
    int n =
        snprintf(f->text + f->len, sizeof f->text - f->len, "[%s] %s: %s\n", check, place, what);
    if (n > 0 && f->len + (size_t)n < sizeof f->text) f->len += (size_t)n;
    f->count++;
}

static enum err_code verify(const struct pipeline *p, struct found *f, struct audit_result *r)
{
    struct err e = {0};
    *f = (struct found){0};
    struct audit_options o = {.store = {.path = p->store},
                              .lake = {.catalog_path = p->catalog, .warehouse = p->warehouse},
                              .difference = difference,
                              .ctx = f};
    enum err_code code = audit_verify(&o, r, &e);
    if (code != ERR_OK && code != ERR_DIFFERENT) fail_msg("%s: %s", err_name(code), e.text);
    int64_t count = 0;
    for (int i = 0; i < AUDIT_CHECKS; i++) count += r->checks[i].differences;
    assert_int_equal(code == ERR_DIFFERENT, count > 0);
    return code;
}

static void assert_whole(const struct pipeline *p, struct audit_result *r)
{
    struct found f;
    if (verify(p, &f, r) != ERR_OK) fail_msg("%s", f.text);
}

/* `what` must be among the differences that are told. */
static int assert_found(const struct pipeline *p, const char *check, const char *what)
{
    struct found f;
    struct audit_result r;
    assert_int_equal(verify(p, &f, &r), ERR_DIFFERENT);
    if (!strstr(f.text, check) || !strstr(f.text, what))
        fail_msg("no %s %s in: %s", check, what, f.text);
    return f.count;
}

static void run_sql(const struct pipeline *p, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(p->store, &db), SQLITE_OK);
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s", message);
    assert_true(sqlite3_changes(db) > 0);
    sqlite3_close(db);
}

/* One pipeline serves many damages: the damaged file is put back afterwards (without a sync, there is nothing to lose). */
static void keep_file(const char *path, struct buf *bytes)
{
    buf_init(bytes, 64 << 20);
    assert_int_equal(file_read(path, 64 << 20, bytes, NULL), ERR_OK);
}
static void put_back(const char *path, const struct buf *bytes)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes->data, 1, bytes->len, f), bytes->len);
    assert_int_equal(fclose(f), 0);
}
static void put_back_store(const struct pipeline *p, const struct buf *bytes)
{
    static const char *const others[] = {"store.db-wal", "store.db-shm"};
    for (int i = 0; i < 2; i++) {
        char path[PATH_LIMIT];
        path_join(path, p->folder, others[i]);
        assert_int_equal(file_remove(path, NULL), ERR_OK);
    }
    put_back(p->store, bytes);
}

static void test_whole(void **state)
{
    (void)state;
    struct pipeline p;
    struct audit_result r;
    pipeline_make(&p, (struct pipeline_options){.batches = 30, .uncommitted = 2});
    assert_whole(&p, &r);
    assert_int_equal(r.gaps_open, 1);
    assert_int_equal(r.missing_trades, 5);
    assert_int_equal(r.candles, p.candles);
    assert_int_equal(r.trades + r.quotes, 30 * 40);
    assert_int_equal(r.store_sequence - r.lake_position, 80);
    assert_int_equal(r.foreign_rows, 0);
    assert_int_equal(r.checks[0].compared, 32 * 40 + 1);
    for (int i = 0; i < 7; i++) assert_true(!r.checks[i].applies || r.checks[i].compared > 0);
    pipeline_remove(&p);
}

static void test_retained(void **state)
{
    (void)state;
    struct pipeline p;
    struct audit_result r;
    pipeline_make(&p, (struct pipeline_options){.batches = 30, .retain = true});
    assert_whole(&p, &r);
    assert_true(r.checks[0].compared < 30 * 40);
    assert_int_equal(r.trades + r.quotes, 30 * 40);
    run_sql(&p, "UPDATE proof_kept SET count = count + 1 WHERE minute = (SELECT min(minute) FROM "
                "proof_kept)");
    assert_found(&p, "[store_lake]", "the store has");
    pipeline_remove(&p);
}

static void test_without_lake(void **state)
{
    (void)state;
    struct pipeline p;
    struct audit_result r;
    pipeline_make(&p, (struct pipeline_options){.batches = 3});
    assert_int_equal(file_remove(p.catalog, NULL), ERR_OK);
    assert_whole(&p, &r);
    assert_int_equal(r.lake_position, 0);
    assert_int_equal(r.store_sequence, 121);
    assert_int_equal(r.gaps_open, 1);
    run_sql(&p, "DELETE FROM trade_rows WHERE sequence = (SELECT min(sequence) FROM trade_rows)");
    assert_found(&p, "[store_rows]", "1 of");
    pipeline_remove(&p);
}

static void test_damaged_store(void **state)
{
    (void)state;
    static const struct {
        const char *sql, *check, *what;
        int count; /* of differences; 0: any */
    } cases[] = {
        {"UPDATE trade_rows SET price = price + 1 WHERE sequence = (SELECT min(sequence) FROM "
         "trade_rows WHERE sequence > 430)",
         "[store_rows]", "altered", 1},
        {"UPDATE trade_rows SET received = received + 1 WHERE sequence = (SELECT min(sequence) "
         "FROM "
         "trade_rows WHERE sequence > 430)",
         "[store_rows]", "outside the proof", 1},
        {"UPDATE quote_rows SET bid_size = bid_size * 10 WHERE sequence = (SELECT min(sequence) "
         "FROM "
         "quote_rows WHERE sequence > 430)",
         "[store_rows]", "altered", 1},
        {"DELETE FROM trade_rows WHERE sequence = (SELECT max(sequence) FROM trade_rows)",
         "[store_rows]", "rows are gone, the first of them row", 1},
        {"UPDATE trade_rows SET codes = -1 WHERE sequence = (SELECT min(sequence) FROM trade_rows "
         "WHERE sequence > 430)",
         "[store_rows]", "codes that do not exist", 1},
        {"UPDATE batch_rows SET sum = zeroblob(16) WHERE batch = 7", "[store_rows]", "batch 7 ", 1},
        {"UPDATE batch_rows SET trades = trades + 1 WHERE batch = 7", "[store_rows]", "batch 7 ",
         1},
        {"DELETE FROM batch_rows WHERE batch = 7", "[store_rows]", "batches are missing before it",
         0},
        {"UPDATE gap_rows SET to_id = to_id + 1", "[store_rows]", "outside the proof", 2},
        {"UPDATE gap_ledger SET to_id = to_id + 1", "[ledger]", "not what row", 3},
        {"UPDATE gap_ledger SET codes = codes | 64", "[ledger]", "no open gap", 3},
        {"DELETE FROM gap_ledger", "[ledger]", "no such gap", 3},
        {"DELETE FROM batch_rows WHERE batch > 25", "[store_lake]", "a hole", 0},
    };
    struct pipeline p;
    struct buf whole;
    pipeline_make(&p, (struct pipeline_options){.batches = 30});
    keep_file(p.store, &whole);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run_sql(&p, cases[i].sql);
        int count = assert_found(&p, cases[i].check, cases[i].what);
        if (cases[i].count && count != cases[i].count)
            fail_msg("%s: %d differences, expected %d", cases[i].sql, count, cases[i].count);
        put_back_store(&p, &whole);
    }
    buf_free(&whole);
    struct audit_result r;
    assert_whole(&p, &r);
    pipeline_remove(&p);
}

static void test_row_is_named(void **state)
{
    (void)state;
    struct pipeline p;
    pipeline_make(&p, (struct pipeline_options){.batches = 30});
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open(p.store, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT min(sequence) FROM trade_rows WHERE sequence > 430",
                                        -1, &q, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    int64_t sequence = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    sqlite3_close(db);
    char sql[100], row[40];
    snprintf(sql, sizeof sql, "UPDATE trade_rows SET size = size + 1 WHERE sequence = %lld",
             (long long)sequence);
    snprintf(row, sizeof row, " %lld", (long long)sequence);
    run_sql(&p, sql);
    assert_found(&p, "trade 2024-08-09T00:", row);
    pipeline_remove(&p);
}

/* The first data file of a table, by its folder. */
struct picked {
    char path[PATH_LIMIT];
};
static enum err_code pick(void *ctx, const struct lake_file *f, struct err *e)
{
    (void)e;
    struct picked *p = ctx;
    if (!f->is_delete && !p->path[0])
        assert_true(str_copy(p->path, sizeof p->path, str_of(f->path)));
    return ERR_OK;
}
static void first_file(const struct pipeline *p, enum table_id table, char path[PATH_LIMIT])
{
    struct err e = {0};
    struct series_table *names = series_new();
    struct lake_options o = {
        .catalog_path = p->catalog, .warehouse = p->warehouse, .series = names, .read_only = true};
    struct lake *l;
    struct picked picked = {0};
    assert_ok(lake_open(&o, &l, &e), &e);
    assert_ok(lake_each_file(l, table, pick, &picked, &e), &e);
    assert_true(picked.path[0]);
    memcpy(path, picked.path, PATH_LIMIT);
    lake_close(l);
    series_free(names);
}

static void test_damaged_lake(void **state)
{
    (void)state;
    static const enum table_id tables[] = {TABLE_TRADES, TABLE_QUOTES, TABLE_CANDLES, TABLE_GAPS};
    struct pipeline p;
    struct audit_result r;
    pipeline_make(&p, (struct pipeline_options){.batches = 30});
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        char path[PATH_LIMIT];
        struct buf whole;
        first_file(&p, tables[i], path);
        keep_file(path, &whole);
        assert_int_equal(file_remove(path, NULL), ERR_OK);
        assert_found(&p, "[lake_files]", path);
        put_back(path, &whole);
        assert_int_equal(truncate(path, file_size(path) - 9), 0);
        assert_found(&p, "[lake_files]", path);
        put_back(path, &whole);
        buf_free(&whole);
    }
    assert_whole(&p, &r);
    pipeline_remove(&p);
}

static void test_wrong_candles(void **state)
{
    (void)state;
    struct pipeline p;
    pipeline_make(&p, (struct pipeline_options){.batches = 30, .wrong_candle = true});
    assert_found(&p, "[candles]", "base_volume is");
    pipeline_remove(&p);
    pipeline_make(&p, (struct pipeline_options){.batches = 30, .lost_candle = true});
    assert_found(&p, "[candles]", "no row, but");
    pipeline_remove(&p);
}

static void test_unknown_hole(void **state)
{
    (void)state;
    struct pipeline p;
    pipeline_make(&p, (struct pipeline_options){.batches = 30, .gap_unknown = true});
    char what[100];
    snprintf(what, sizeof what, "BTC-USDT trade ids %lld to %lld", (long long)p.skipped_from,
             (long long)p.skipped_from + 4);
    assert_found(&p, "[ledger]", what);
    pipeline_remove(&p);
}

/* A running program commits while verify looks, again and again: what moves is no difference. */
static void test_beside_writer(void **state)
{
    (void)state;
    struct pipeline p;
    struct audit_result r = {0};
    pipeline_place(&p, (struct pipeline_options){.batches = 100});
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        run_pipeline(&p);
        _exit(0);
    }
    int status = 0, rounds = 0;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (!file_exists(p.store) || !file_exists(p.catalog)) continue;
        struct err e = {0};
        struct found f = {0};
        struct audit_options o = {.store = {.path = p.store},
                                  .lake = {.catalog_path = p.catalog, .warehouse = p.warehouse},
                                  .difference = difference,
                                  .ctx = &f};
        enum err_code code = audit_verify(&o, &r, &e);
        /* Before the first commit there may be no store or table yet. */
        if (code != ERR_OK && code != ERR_NOT_FOUND) fail_msg("%s %s", e.text, f.text);
        rounds += code == ERR_OK;
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(rounds > 0);
    assert_whole(&p, &r);
    assert_int_equal(r.trades + r.quotes, 100 * 40);
    pipeline_remove(&p);
}

/* Intervals against one flag for each id. */
static void test_ids(void **state)
{
    (void)state;
    enum { IDS = 300 };
    struct random rnd = {9};
    for (int round = 0; round < 200; round++) {
        bool there[IDS + 20] = {0};
        struct audit_ids ids = {0};
        for (int64_t i = random_below(&rnd, 80); i > 0; i--) {
            int64_t first = random_below(&rnd, IDS), last = first + random_below(&rnd, 12);
            audit_ids_add(&ids, first, last, first);
            for (int64_t k = first; k <= last; k++) there[k] = true;
        }
        size_t at = 0;
        for (int64_t id = 0; id < IDS + 20; id++) {
            if (!there[id]) continue;
            assert_true(at < ids.count);
            assert_int_equal(ids.items[at].first, id);
            assert_int_equal(ids.items[at].received_ns, id);
            while (id < IDS + 20 && there[id]) id++;
            assert_int_equal(ids.items[at].last, id - 1);
            at++;
        }
        assert_int_equal(at, ids.count);
        free(ids.items);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),         cmocka_unit_test(test_retained),
        cmocka_unit_test(test_without_lake),  cmocka_unit_test(test_damaged_store),
        cmocka_unit_test(test_row_is_named),  cmocka_unit_test(test_damaged_lake),
        cmocka_unit_test(test_wrong_candles), cmocka_unit_test(test_unknown_hole),
        cmocka_unit_test(test_beside_writer), cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
