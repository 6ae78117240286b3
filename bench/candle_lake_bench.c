/* candle_lake_bench - candles out of Parquet files of the trades table, as a recompute of history makes them: our reader, our
 * engine, nothing else. bench/candles_bench.py lets DuckDB make its candles from the same files.
 *
 *   candle_lake_bench write [--trades N] [--venues N] [--symbols N] [--rate N] [--files N] [--seed N] FOLDER
 *   candle_lake_bench read [--threads N] FILE...
 *
 * write   a generated market as compaction leaves it: sorted by venue, symbol, time; a file holds whole tapes. --rate: trades in
 *         1,000 seconds of a tape. Times of a tape differ, so that "first by time" is one trade for every engine.
 * read    one line of JSON: trades, candles of each timeframe, and the sum modulo 2^64 of the closes (10^-8) of 1m.
 */
#include "event/schema.h"
#include "event/series.h"
#include "io/clock.h"
#include "parquet/parquet.h"
#include "process/process.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { GROUP_ROWS = 1000000, FILES_MAX = 256, THREADS_MAX = 16, BATCH = 16384, TEXT = 24 };
#define START_US INT64_C(1760054400000000) /* midnight */

static void fail(const char *what, const struct err *e)
{
    fprintf(stderr, "candle_lake_bench: %s: %s\n", what, e ? e->text : "failed");
    exit(70);
}

static void *array(size_t n, size_t size)
{
    void *p = calloc(n, size);
    CHECK(p != NULL);
    return p;
}

/* ---- write ---- */

struct market {
    int64_t trades, venues, symbols, rate, files, seed;
    const char *folder;
    uint64_t random;
    struct str *venue, *symbol; /* names by code */
    /* A row group. */
    uint32_t *venue_code, *symbol_code, *zero, *side;
    struct str *id;
    char (*id_text)[TEXT];
    int64_t *number, *time, *time_ns, *received, *received_ns, *sequence;
    i128 *price, *size;
    size_t rows;
    int64_t next_sequence;
    struct parquet_writer *writer;
    FILE *file;
};

static uint64_t next_random(struct market *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    return m->random ^= m->random << 17;
}

static struct str *make_names(const char *format, int64_t count)
{
    struct str *names = array((size_t)count, sizeof *names);
    for (int64_t i = 0; i < count; i++) {
        char *text = array(1, TEXT);
        int n = snprintf(text, TEXT, "%s%03lld", format, (long long)i);
        names[i] = (struct str){text, (size_t)n};
    }
    return names;
}

static void make_room(struct market *m)
{
    m->venue = make_names("venue_", m->venues);
    m->symbol = make_names("COIN-USDT", m->symbols);
    uint32_t **codes[] = {&m->venue_code, &m->symbol_code, &m->zero, &m->side};
    for (size_t i = 0; i < 4; i++) *codes[i] = array(GROUP_ROWS, sizeof(uint32_t));
    int64_t **longs[] = {&m->number,   &m->time,        &m->time_ns,
                         &m->received, &m->received_ns, &m->sequence};
    for (size_t i = 0; i < 6; i++) *longs[i] = array(GROUP_ROWS, sizeof(int64_t));
    m->id = array(GROUP_ROWS, sizeof *m->id);
    m->id_text = array(GROUP_ROWS, sizeof *m->id_text);
    m->price = array(GROUP_ROWS, sizeof *m->price);
    m->size = array(GROUP_ROWS, sizeof *m->size);
}

static enum err_code to_file(void *ctx, const void *data, size_t len, struct err *e)
{
    return fwrite(data, 1, len, ctx) == len ? ERR_OK : ERR(e, ERR_DISK, "short write");
}

static void open_file(struct market *m, int64_t number)
{
    static const int sort_columns[] = {TRADES_venue, TRADES_symbol, TRADES_venue_time};
    static const struct parquet_column columns[] = {
#define X(name, type, required, doc)                                                               \
    {#name, COLUMN_##type, required, TRADES_##name + 1, COLUMN_##type == COLUMN_DECIMAL},
        TRADES_COLUMNS(X)
#undef X
    };
    char path[4096];
    snprintf(path, sizeof path, "%s/trades-%03lld.parquet", m->folder, (long long)number);
    m->file = fopen(path, "wb");
    if (!m->file) fail(path, NULL);
    struct parquet_writer_options o = {.columns = columns,
                                       .column_count = TRADES_MAX,
                                       .sort_columns = sort_columns,
                                       .sort_count = 3,
                                       .sink = to_file,
                                       .sink_ctx = m->file};
    struct err e = {0};
    if (parquet_writer_new(&o, &m->writer, &e) != ERR_OK) fail(path, &e);
}

static void flush(struct market *m)
{
    static const struct str stream = {"trade", 5}, origin = {"live", 4}, kind = {"regular", 7};
    static const struct str sides[] = {{"buy", 3}, {"sell", 4}};
    struct parquet_values v[TRADES_MAX] = {0};
    struct err e = {0};
    if (m->rows == 0) return;
#define CODES(column, array, names, count)                                                         \
    v[TRADES_##column] = (struct parquet_values){                                                  \
        .codes = (array), .dictionary = (names), .dictionary_count = (count)}
#define LONGS(column, array)                                                                       \
    v[TRADES_##column] = (struct parquet_values) { .longs = (array) }
    CODES(venue, m->venue_code, m->venue, (uint32_t)m->venues);
    CODES(exchange, m->venue_code, m->venue, (uint32_t)m->venues);
    CODES(symbol, m->symbol_code, m->symbol, (uint32_t)m->symbols);
    CODES(venue_symbol, m->symbol_code, m->symbol, (uint32_t)m->symbols);
    CODES(stream, m->zero, &stream, 1);
    CODES(side, m->side, sides, 2);
    CODES(origin, m->zero, &origin, 1);
    CODES(kind, m->zero, &kind, 1);
    v[TRADES_trade_id] = (struct parquet_values){.strings = m->id};
    LONGS(first_id_number, m->number);
    LONGS(last_id_number, m->number);
    v[TRADES_price] = (struct parquet_values){.decimals = m->price};
    v[TRADES_size] = (struct parquet_values){.decimals = m->size};
    LONGS(venue_time, m->time);
    LONGS(venue_time_ns, m->time_ns);
    LONGS(received_time, m->received);
    LONGS(received_time_ns, m->received_ns);
    LONGS(sequence, m->sequence);
    if (parquet_writer_row_group(m->writer, v, m->rows, &e) != ERR_OK) fail("row group", &e);
    m->rows = 0;
}

static void close_file(struct market *m)
{
    struct err e = {0};
    flush(m);
    if (parquet_writer_finish(m->writer, &e) != ERR_OK) fail("finish", &e);
    m->writer = parquet_writer_free(m->writer);
    if (fclose(m->file) != 0) fail("close", NULL);
}

static void write_tape(struct market *m, int64_t tape, int64_t trades)
{
    int64_t id = 1 + (int64_t)(next_random(m) % 4000000000), now_us = START_US;
    int64_t ticks = 100000 + (int64_t)(next_random(m) % 6000000);
    int64_t step_us = INT64_C(1000000000) / m->rate;
    for (int64_t k = 0; k < trades; k++, id++) {
        uint64_t r = next_random(m);
        size_t i = m->rows++;
        ticks += (int64_t)(r & 15) - 7;
        if (ticks < 100) ticks = 100;
        now_us += 1 + 2 * step_us * (int64_t)(r >> 4 & 1023) / 1023;
        m->venue_code[i] = (uint32_t)(tape / m->symbols);
        m->symbol_code[i] = (uint32_t)(tape % m->symbols);
        m->side[i] = r >> 14 & 1;
        int n = snprintf(m->id_text[i], TEXT, "%lld", (long long)id);
        m->id[i] = (struct str){m->id_text[i], (size_t)n};
        m->number[i] = id;
        m->price[i] = dec_to_lake(dec_normal(ticks, 2));
        m->size[i] = dec_to_lake(dec_normal(1 + (int64_t)(r >> 15 & 0xfffff), 5));
        m->time[i] = now_us;
        m->time_ns[i] = now_us * NS_PER_US;
        m->received[i] = now_us + 5000;
        m->received_ns[i] = m->received[i] * NS_PER_US;
        m->sequence[i] = ++m->next_sequence;
        if (m->rows == GROUP_ROWS) flush(m);
    }
}

static void write_market(struct market *m)
{
    int64_t tapes = m->venues * m->symbols;
    m->random = (uint64_t)m->seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    make_room(m);
    for (int64_t f = 0; f < m->files; f++) {
        open_file(m, f);
        for (int64_t t = f * tapes / m->files; t < (f + 1) * tapes / m->files; t++)
            write_tape(m, t, m->trades * (t + 1) / tapes - m->trades * t / tapes);
        close_file(m);
    }
    printf("{\"trades\":%lld,\"files\":%lld}\n", (long long)m->trades, (long long)m->files);
}

/* ---- read ---- */

struct tally {
    int64_t trades, candles[TIMEFRAME_MAX];
    uint64_t closes;
};

struct reading {
    char **files;
    int count;
    atomic_int next;
};

struct worker {
    struct reading *all;
    pthread_t thread;
    struct tally tally;
    struct series_table *series;
    struct batch_pool *pool;
    struct process *process;
    struct process_sink sink;
    struct str venue,
        symbol; /* of the newest row: texts of a chunk are the dictionary's, so equal ones have one address */
    uint32_t id;
};

static void on_candle(void *ctx, const struct candle *c)
{
    struct worker *w = ctx;
    w->tally.candles[c->timeframe]++;
    if (c->timeframe == TIMEFRAME_1M) w->tally.closes += (uint64_t)(c->close / dec_pow10_i64(10));
}
static void on_late(void *ctx, const struct late_trade *l) { (void)ctx, (void)l; }
static void on_rollup(void *ctx, uint32_t series, enum timeframe tf, int64_t open_time_ns)
{
    (void)ctx, (void)series, (void)tf, (void)open_time_ns;
}
static void on_gap(void *ctx, const struct gap_change *g) { (void)ctx, (void)g; }
static void on_state(void *ctx, struct str name, struct str bytes)
{
    (void)ctx, (void)name, (void)bytes;
}

static const int wanted[] = {TRADES_venue,   TRADES_symbol,          TRADES_stream,
                             TRADES_side,    TRADES_first_id_number, TRADES_price,
                             TRADES_size,    TRADES_venue_time_ns,   TRADES_received_time_ns,
                             TRADES_sequence};
enum { WANTED = sizeof wanted / sizeof wanted[0] };

static enum err_code add_row(struct worker *w, const struct parquet_chunk *c, size_t row,
                             struct batch *b, struct err *e)
{
    struct str venue = c[0].strings[row], symbol = c[1].strings[row];
    if (venue.p != w->venue.p || symbol.p != w->symbol.p) {
        w->id = series_intern(w->series, venue, venue, symbol, symbol);
        w->venue = venue;
        w->symbol = symbol;
    }
    struct trade *t = batch_add_trade(b);
    t->series = w->id;
    int stream = stream_of_text(c[2].strings[row]), side = side_of_text(c[3].strings[row]);
    if (stream < 0 || side < 0) return ERR(e, ERR_CORRUPT, "row %zu: stream or side", row);
    t->stream = (uint8_t)stream;
    t->side = (uint8_t)side;
    t->has_id = true;
    t->id = c[4].longs[row];
    TRY(dec_from_lake(c[5].decimals[row], &t->price));
    TRY(dec_from_lake(c[6].decimals[row], &t->size));
    t->venue_time_ns = c[7].longs[row];
    t->received_ns = c[8].longs[row];
    t->sequence = c[9].longs[row];
    return ERR_OK;
}

static enum err_code read_group(struct worker *w, struct parquet_reader *r, int group,
                                struct err *e)
{
    const struct table *table = table_of(TABLE_TRADES);
    struct parquet_chunk c[WANTED];
    for (int k = 0; k < WANTED; k++)
        TRY(parquet_reader_read(r, group, parquet_reader_column(r, wanted[k] + 1),
                                table->columns[wanted[k]].type, &c[k], e));
    w->venue = w->symbol = (struct str){0};
    for (size_t from = 0; from < c[0].rows; from += BATCH) {
        struct batch *b = batch_get(w->pool, 0);
        size_t end = from + BATCH < c[0].rows ? from + BATCH : c[0].rows;
        enum err_code code = ERR_OK;
        for (size_t i = from; i < end && code == ERR_OK; i++) code = add_row(w, c, i, b, e);
        if (code == ERR_OK) {
            b->first_sequence = c[9].longs[from];
            b->last_sequence = c[9].longs[end - 1];
            code = process_push(w->process, b, &w->sink, e);
        }
        batch_put(b);
        TRY(code);
    }
    w->tally.trades += (int64_t)c[0].rows;
    return ERR_OK;
}

static void read_file(struct worker *w, const char *path)
{
    struct err e = {0};
    struct parquet_reader *r = NULL;
    w->series = series_new();
    struct process_options o = {w->series, 2 * NS_PER_S, 5 * NS_PER_S, 100000};
    w->process = process_new(&o);
    if (parquet_reader_open(path, &r, &e) != ERR_OK) fail(path, &e);
    for (int g = 0; g < parquet_reader_row_groups(r); g++)
        if (read_group(w, r, g, &e) != ERR_OK) fail(path, &e);
    process_finish(w->process, &w->sink);
    parquet_reader_close(r);
    w->process = process_free(w->process);
    w->series = series_free(w->series);
}

static void *work(void *ctx)
{
    struct worker *w = ctx;
    w->pool = batch_pool_new(1, BATCH, 1 << 16);
    w->sink = (struct process_sink){w, on_candle, on_late, on_rollup, on_gap, on_state};
    for (int i; (i = atomic_fetch_add(&w->all->next, 1)) < w->all->count;)
        read_file(w, w->all->files[i]);
    batch_pool_free(w->pool);
    return NULL;
}

static void read_files(struct reading *all, int64_t threads)
{
    struct worker workers[THREADS_MAX] = {0};
    struct tally sum = {0};
    int64_t cpu = clock_cpu_ns(), wall = clock_mono_ns();
    for (int64_t i = 0; i < threads; i++) {
        workers[i].all = all;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i])) fail("thread", NULL);
    }
    for (int64_t i = 0; i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        sum.trades += workers[i].tally.trades;
        sum.closes += workers[i].tally.closes;
        for (int k = 0; k < TIMEFRAME_MAX; k++) sum.candles[k] += workers[i].tally.candles[k];
    }
    printf("{\"trades\":%lld,\"cpu_ms\":%lld,\"wall_ms\":%lld,\"closes\":%llu,\"candles\":{",
           (long long)sum.trades, (long long)((clock_cpu_ns() - cpu) / NS_PER_MS),
           (long long)((clock_mono_ns() - wall) / NS_PER_MS), (unsigned long long)sum.closes);
    for (int k = 0; k < TIMEFRAME_MAX; k++)
        printf("%s\"%s\":%lld", k ? "," : "", timeframe_text((enum timeframe)k),
               (long long)sum.candles[k]);
    printf("}}\n");
}

static bool number(char **argv, int argc, int *i, const char *name, int64_t *to)
{
    if (strcmp(argv[*i], name) != 0 || *i + 1 == argc) return false;
    if (str_to_i64(str_of(argv[++*i]), to) != ERR_OK || *to < 1) {
        fprintf(stderr, "candle_lake_bench: %s: expected a positive number\n", name);
        exit(64);
    }
    return true;
}

int main(int argc, char **argv)
{
    struct market m = {
        .trades = 10000000, .venues = 4, .symbols = 50, .rate = 1157, .files = 8, .seed = 1};
    struct reading all = {.files = array(FILES_MAX, sizeof(char *))};
    int64_t threads = 1;
    bool writes = argc > 2 && strcmp(argv[1], "write") == 0;
    for (int i = 2; i < argc; i++) {
        if (number(argv, argc, &i, "--trades", &m.trades)) continue;
        if (number(argv, argc, &i, "--venues", &m.venues)) continue;
        if (number(argv, argc, &i, "--symbols", &m.symbols)) continue;
        if (number(argv, argc, &i, "--rate", &m.rate)) continue;
        if (number(argv, argc, &i, "--files", &m.files)) continue;
        if (number(argv, argc, &i, "--seed", &m.seed)) continue;
        if (number(argv, argc, &i, "--threads", &threads)) continue;
        m.folder = argv[i];
        if (all.count < FILES_MAX) all.files[all.count++] = argv[i];
    }
    if (argc < 3 || all.count == 0 || threads > THREADS_MAX) {
        fprintf(stderr, "usage: candle_lake_bench write|read [OPTIONS] FOLDER|FILE...\n");
        return 64;
    }
    if (writes)
        write_market(&m);
    else
        read_files(&all, threads);
    free(all.files);
    return 0;
}
