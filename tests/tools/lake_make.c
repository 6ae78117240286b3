/* lake_make.c - makes (or goes on with) a lake for the tests that read it with other people's readers.
 *
 *   lake_make FOLDER COMMITS [EXPECTED]    catalog.db and lake/ in FOLDER
 *   S3_ENDPOINT=http://... S3_WAREHOUSE=s3://bucket/prefix lake_make ...    catalog.db and mirror/ in FOLDER
 *   LAKE_CHECK=1 reads every file again instead, LAKE_CLEAN=1 removes what is not needed any more.
 *
 * Trades and candles follow from their number alone, so that every run knows what was there before. EXPECTED gets what
 * the tables must hold as far as ticklake wrote it, a line a row:
 *   trade,SEQUENCE,VENUE,SYMBOL,TRADE_ID,PRICE,SIZE,VENUE_TIME_NS      candle,VENUE,SYMBOL,TIMEFRAME,OPEN_TIME_NS,CLOSE,REVISION
 * Decimals are unscaled, of scale 18; an absent value is empty. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/clock.h"
#include "io/file.h"
#include "lake/lake.h"

enum { SERIES = 5, TRADES = 40, CANDLES = 8 };
#define START (INT64_C(1700000000) * NS_PER_S)

struct maker {
    struct err e;
    struct series_table *series;
    struct batch_pool *pool;
    struct lake *lake;
    uint32_t ids[SERIES];
};

static void must(struct maker *m, enum err_code code)
{
    if (code == ERR_OK) return;
    fprintf(stderr, "%s:%d: %s\n", m->e.file, m->e.line, m->e.text);
    exit(err_exit_code(code));
}

/* Trade number n, from 1; a commit is TRADES of them and spans hours, so that there are several days. */
static struct trade trade_of(const struct maker *m, int64_t n)
{
    struct trade t = {.series = m->ids[n % SERIES],
                      .side = (uint8_t)(n % SIDE_MAX),
                      .origin = ORIGIN_REPLAYED,
                      .has_id = n % 9 != 0,
                      .id = n % 9 ? n : 0,
                      .venue_time_ns = START + n * 61 * NS_PER_S + n,
                      .sequence = n};
    t.price = dec_normal(n * 104729 % 999999937 - 1000000, 9);
    t.size = dec_normal(n % 10 ? n * 31 : INT64_C(999999999999999999), n % 10 ? 18 : 3);
    t.received_ns = t.venue_time_ns + 5 * NS_PER_MS;
    if (n % 50 == 0) t.venue_time_ns = TIME_ABSENT;
    return t;
}

/* Candle k of a commit: the last of each commit is the revision of the first of the commit before. */
static struct candle candle_of(const struct maker *m, int64_t number, int64_t revision)
{
    return (struct candle){.series = m->ids[number % SERIES],
                           .timeframe = TIMEFRAME_1M,
                           .complete = true,
                           .replaces = revision > 0,
                           .has_base_volume = true,
                           .has_quote_volume = true,
                           .has_ids = true,
                           .open_time_ns =
                               START / NS_PER_MINUTE * NS_PER_MINUTE + number * NS_PER_HOUR,
                           .open = 1,
                           .high = 3,
                           .low = -2,
                           .close = ((i128)number << 64) + revision,
                           .base_volume = 1,
                           .quote_volume = 2,
                           .trade_count = revision + 1,
                           .revision = revision,
                           .updated_ns = START};
}

static void push(struct maker *m, int64_t commit)
{
    struct batch *b = batch_get(m->pool, -1);
    for (int64_t i = 1; i <= TRADES; i++) {
        struct trade *t = batch_add_trade(b);
        *t = trade_of(m, commit * TRADES + i);
    }
    struct gap *g = batch_add_gap(b);
    *g = (struct gap){.gap_id = commit / 2, /* every second one replaces the one before */
                      .series = m->ids[0],
                      .from_time_ns = START,
                      .to_time_ns = TIME_ABSENT,
                      .opened_ns = START,
                      .closed_ns = TIME_ABSENT,
                      .rows_recovered = commit,
                      .cause = STR("id_jump")};
    must(m, lake_push(m->lake, b, &m->e));
    batch_put(b);
    for (int64_t i = 0; i < CANDLES; i++) {
        const struct candle c = candle_of(m, commit * CANDLES + i, 0);
        must(m, lake_push_candle(m->lake, &c, &m->e));
    }
    if (commit == 0) return;
    const struct candle c = candle_of(m, (commit - 1) * CANDLES, 1);
    must(m, lake_push_candle(m->lake, &c, &m->e));
}

static void expect(const struct maker *m, const char *path, int64_t commits)
{
    char price[DEC_TEXT_MAX], size[DEC_TEXT_MAX], id[24], time[24];
    FILE *f = fopen(path, "w");
    if (!f) exit(74);
    for (int64_t n = 1; n <= commits * TRADES; n++) {
        const struct trade t = trade_of(m, n);
        const struct series *s = series_get(m->series, t.series);
        id[0] = time[0] = 0;
        if (t.has_id) snprintf(id, sizeof id, "%" PRId64, t.id);
        if (t.venue_time_ns != TIME_ABSENT)
            snprintf(time, sizeof time, "%" PRId64, t.venue_time_ns);
        dec_format(t.price, price);
        dec_format(t.size, size);
        fprintf(f, "trade,%" PRId64 ",%.*s,%.*s,%s,%s,%s,%s\n", n, STR_ARG(s->venue),
                STR_ARG(s->symbol), id, price, size, time);
    }
    for (int64_t n = 0; n < commits * CANDLES; n++) {
        bool revised = n % CANDLES == 0 && n / CANDLES < commits - 1;
        const struct candle c = candle_of(m, n, revised);
        const struct series *s = series_get(m->series, c.series);
        dec_format_lake(c.close, price);
        fprintf(f, "candle,%.*s,%.*s,%s,%" PRId64 ",%s,%" PRId64 "\n", STR_ARG(s->venue),
                STR_ARG(s->symbol), timeframe_text((enum timeframe)c.timeframe), c.open_time_ns,
                price, c.revision);
    }
    if (fclose(f) != 0) exit(74);
}

static void open_lake(struct maker *m, const char *folder)
{
    static char catalog[PATH_LIMIT], warehouse[PATH_LIMIT], mirror[PATH_LIMIT];
    static struct s3_options s3;
    const char *place = getenv("S3_WAREHOUSE"), *limit = getenv("MIRROR_BYTES");
    int64_t mirror_bytes = 64 << 20;
    path_join(catalog, folder, "catalog.db");
    path_join(warehouse, folder, "lake");
    path_join(mirror, folder, "mirror");
    s3.endpoint = getenv("S3_ENDPOINT");
    if (limit && str_to_i64(str_of(limit), &mirror_bytes) != ERR_OK) exit(64);
    m->series = series_new();
    m->pool = batch_pool_new(1, 10000, 16 << 20);
    for (int i = 0; i < SERIES; i++) {
        char name[48];
        snprintf(name, sizeof name, "A-COIN-LONGER-THAN-SIXTEEN%d-USDT", i);
        m->ids[i] = series_intern(m->series, i % 2 ? STR("binance") : STR("kraken"), STR("binance"),
                                  str_of(name), STR("X"));
    }
    const struct lake_options o = {.catalog_path = catalog,
                                   .warehouse = place ? place : warehouse,
                                   .s3 = place ? &s3 : NULL,
                                   .mirror = place ? mirror : NULL,
                                   .mirror_bytes = mirror_bytes,
                                   .read_only = getenv("LAKE_CHECK") != NULL,
                                   .series = m->series,
                                   .snapshots_keep = 10,
                                   .metadata_keep = 10,
                                   .grace_ns = 60 * NS_PER_S,
                                   .target_file_bytes = 1 << 20,
                                   .compact_files = 4,
                                   .buffer_rows_max = 100000};
    must(m, file_make_folders(folder, &m->e));
    must(m, lake_open(&o, &m->lake, &m->e));
}

static void tell(void *ctx, const char *path, const char *what)
{
    (void)ctx;
    printf("problem %s: %s\n", path, what);
}

/* The proof of trades and every value of the rest. */
static void check(struct maker *m)
{
    struct proof_set ours, foreign;
    proof_set_init(&ours);
    proof_set_init(&foreign);
    must(m, lake_reread_proofs(m->lake, TABLE_TRADES, &ours, &foreign, tell, NULL, &m->e));
    for (int id = 0; id < TABLE_MAX; id++)
        must(m, lake_reread_values(m->lake, (enum table_id)id, tell, NULL, &m->e));
    proof_set_free(&ours);
    proof_set_free(&foreign);
}

static void commit_all(struct maker *m, int64_t commits)
{
    int64_t first = lake_position(m->lake) / TRADES, files;
    struct lake_stats s;
    for (int64_t i = first; i < first + commits; i++) {
        push(m, i);
        must(m, lake_commit(m->lake, (i + 1) * TRADES, clock_wall_ns(), &m->e));
        if (lake_compact_due(m->lake))
            must(m, lake_compact(m->lake, false, clock_wall_ns(), &files, NULL, NULL, &m->e));
    }
    /* An hour later every grace is over. */
    if (getenv("LAKE_CLEAN")) must(m, lake_cleanup(m->lake, clock_wall_ns() + NS_PER_HOUR, &m->e));
    lake_stats(m->lake, &s);
    printf("%" PRId64 " commits, %" PRId64 " us each, %" PRId64 " files written, %" PRId64
           " removed\n",
           s.commits, s.commits ? s.commit_ns_total / s.commits / 1000 : 0, s.files_written,
           s.files_removed);
}

int main(int argc, char **argv)
{
    struct maker m = {0};
    int64_t commits;
    if (argc < 3 || argc > 4 || str_to_i64(str_of(argv[2]), &commits) != ERR_OK) {
        fprintf(stderr, "usage: lake_make FOLDER COMMITS [EXPECTED]\n");
        return 64;
    }
    open_lake(&m, argv[1]);
    if (getenv("LAKE_CHECK"))
        check(&m);
    else
        commit_all(&m, commits);
    if (argc == 4) expect(&m, argv[3], lake_position(m.lake) / TRADES);
    lake_close(m.lake);
    batch_pool_free(m.pool);
    series_free(m.series);
    return 0;
}
