/* parquet_bench ROWS SEED FILE - CPU time of writing the trades table with our Parquet writer, as
 * one line of JSON.
 *
 * The table is made by seed: 12 venues, 40 symbols, walks of ticks, sizes of few digits, ids that
 * ascend (one venue has none), times in milliseconds or microseconds by venue, sorted as the lake
 * sorts. bench/parquet_bench.py reads FILE back and lets pyarrow write the same values.
 */
#include "event/schema.h"
#include "io/clock.h"
#include "parquet/parquet.h"

#include <stdio.h>
#include <stdlib.h>

enum { GROUP_ROWS = 1000000, VENUES = 12, SYMBOLS = 40, SERIES = VENUES * SYMBOLS };

static uint64_t state;

static uint64_t random_next(void)
{
    uint64_t z = (state += UINT64_C(0x9E3779B97F4A7C15)); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint64_t below(uint64_t n) { return (uint64_t)(((u128)random_next() * n) >> 64); }

/* All columns of the table, whole. */
struct rows {
    uint32_t *series, *stream, *side, *origin, *kind;
    uint8_t *has_id;
    struct str *ids;
    char (*id_text)[16];
    int64_t *first_id, *last_id, *time, *time_ns, *received, *received_ns, *sequence;
    i128 *price, *size;
};

static void *array(size_t n, size_t size)
{
    void *p = calloc(n, size);
    CHECK(p != NULL);
    return p;
}

static void make_room(struct rows *r, size_t n)
{
    uint32_t **codes[] = {&r->series, &r->stream, &r->side, &r->origin, &r->kind};
    for (size_t i = 0; i < 5; i++) *codes[i] = array(n, sizeof(uint32_t));
    int64_t **longs[] = {&r->first_id, &r->last_id,     &r->time,    &r->time_ns,
                         &r->received, &r->received_ns, &r->sequence};
    for (size_t i = 0; i < 7; i++) *longs[i] = array(n, sizeof(int64_t));
    r->has_id = array(n, 1);
    r->ids = array(n, sizeof *r->ids);
    r->id_text = array(n, sizeof *r->id_text);
    r->price = array(n, sizeof *r->price);
    r->size = array(n, sizeof *r->size);
}

static void make_series(struct rows *r, uint32_t series, size_t from, size_t to)
{
    uint32_t venue = series / SYMBOLS;
    int64_t id = (int64_t)below(4000000000), ticks = 1000 + (int64_t)below(5000000),
            tick_digits = 1 + (int64_t)below(5);
    int64_t now_us = INT64_C(1764028800000000),
            step_us = INT64_C(86400000000) / (int64_t)(to - from + 1);
    uint32_t side = 0;
    for (size_t i = from; i < to; i++) {
        id += 1 + (int64_t)(below(50) == 0);
        ticks += below(3) ? 0 : (int64_t)below(7) - 3;
        now_us += (int64_t)below((uint64_t)step_us * 2);
        if (below(3) == 0) side = !side;
        int64_t shown_us =
            venue % 3 ? now_us / 1000 * 1000 : now_us; /* most venues give milliseconds */
        int64_t lots =
            below(4) ? 1 + (int64_t)below(20) * (int64_t)below(200) : 1 + (int64_t)below(1000000);
        r->series[i] = series;
        r->stream[i] = venue % 4 == 0;
        r->side[i] = side;
        r->has_id[i] = venue != 7;
        r->ids[i] =
            (struct str){r->id_text[i], (size_t)snprintf(r->id_text[i], sizeof r->id_text[i],
                                                         "%lld", (long long)id)};
        r->first_id[i] = id;
        r->last_id[i] = r->stream[i] ? id + (int64_t)below(3) : id;
        r->price[i] = (i128)(ticks > 0 ? ticks : 1) * (i128)dec_pow10_u128(18 - (int)tick_digits);
        r->size[i] = (i128)lots * (i128)dec_pow10_u128(13);
        r->time[i] = shown_us;
        r->time_ns[i] = shown_us * 1000;
        r->received_ns[i] = now_us * 1000 + 5000000 + (int64_t)below(30000000);
        r->received[i] = r->received_ns[i] / 1000;
        r->sequence[i] = (int64_t)(i - from) * SERIES + (int64_t)below(SERIES);
    }
}

static struct str names[SERIES][4]; /* venue, exchange, symbol, venue_symbol */
static char name_text[SERIES][4][24];

static void make_names(void)
{
    for (int s = 0; s < SERIES; s++) {
        int venue = s / SYMBOLS, symbol = s % SYMBOLS;
        int n[4] = {snprintf(name_text[s][0], 24, "venue_%02d", venue),
                    snprintf(name_text[s][1], 24, "venue_%02d", venue),
                    snprintf(name_text[s][2], 24, "C%02d-USDT", symbol),
                    snprintf(name_text[s][3], 24, "C%02dUSDT", symbol)};
        for (int k = 0; k < 4; k++) names[s][k] = (struct str){name_text[s][k], (size_t)n[k]};
    }
}

/* A name column as the lake has it: a code a row, and the texts by code. */
struct codes {
    struct str *dictionary;
    uint32_t *codes;
    uint32_t count;
};

static struct codes codes_of(const struct rows *r, size_t rows, int name)
{
    struct codes c = {array(SERIES, sizeof *c.dictionary), array(rows, sizeof *c.codes), 0};
    uint32_t of_series[SERIES];
    for (int s = 0; s < SERIES; s++) {
        uint32_t k = 0;
        while (k < c.count && !str_eq(c.dictionary[k], names[s][name])) k++;
        if (k == c.count) c.dictionary[c.count++] = names[s][name];
        of_series[s] = k;
    }
    for (size_t i = 0; i < rows; i++) c.codes[i] = of_series[r->series[i]];
    return c;
}

static enum err_code to_file(void *ctx, const void *data, size_t len, struct err *e)
{
    if (fwrite(data, 1, len, ctx) != len) return ERR(e, ERR_DISK, "short write");
    return ERR_OK;
}

static struct str streams[] = {{"trade", 5}, {"agg_trade", 9}}, sides[] = {{"buy", 3}, {"sell", 4}},
                  origins[] = {{"live", 4}}, kinds[] = {{"regular", 7}};

static void group_values(const struct rows *r, const struct codes *c, size_t from,
                         struct parquet_values *v)
{
    for (int k = 0; k < 4; k++)
        v[k] = (struct parquet_values){.codes = c[k].codes + from,
                                       .dictionary = c[k].dictionary,
                                       .dictionary_count = c[k].count};
    v[TRADES_stream] = (struct parquet_values){
        .codes = r->stream + from, .dictionary = streams, .dictionary_count = 2};
    v[TRADES_side] = (struct parquet_values){
        .codes = r->side + from, .dictionary = sides, .dictionary_count = 2};
    v[TRADES_origin] = (struct parquet_values){
        .codes = r->origin + from, .dictionary = origins, .dictionary_count = 1};
    v[TRADES_kind] = (struct parquet_values){
        .codes = r->kind + from, .dictionary = kinds, .dictionary_count = 1};
    v[TRADES_trade_id] =
        (struct parquet_values){.present = r->has_id + from, .strings = r->ids + from};
    v[TRADES_first_id_number] =
        (struct parquet_values){.present = r->has_id + from, .longs = r->first_id + from};
    v[TRADES_last_id_number] =
        (struct parquet_values){.present = r->has_id + from, .longs = r->last_id + from};
    v[TRADES_price] = (struct parquet_values){.decimals = r->price + from};
    v[TRADES_size] = (struct parquet_values){.decimals = r->size + from};
    v[TRADES_venue_time] = (struct parquet_values){.longs = r->time + from};
    v[TRADES_venue_time_ns] = (struct parquet_values){.longs = r->time_ns + from};
    v[TRADES_received_time] = (struct parquet_values){.longs = r->received + from};
    v[TRADES_received_time_ns] = (struct parquet_values){.longs = r->received_ns + from};
    v[TRADES_sequence] = (struct parquet_values){.longs = r->sequence + from};
}

static const int sort_columns[] = {TRADES_venue, TRADES_symbol, TRADES_venue_time};

static enum err_code write_table(const struct rows *r, const struct codes *c, size_t rows, FILE *f,
                                 struct err *e)
{
    static const struct parquet_column columns[] = {
#define X(name, type, required, doc)                                                               \
    {#name, COLUMN_##type, required, TRADES_##name + 1, COLUMN_##type == COLUMN_DECIMAL},
        TRADES_COLUMNS(X)
#undef X
    };
    struct parquet_writer_options o = {.columns = columns,
                                       .column_count = TRADES_MAX,
                                       .sort_columns = sort_columns,
                                       .sort_count = 3,
                                       .sink = to_file,
                                       .sink_ctx = f};
    struct parquet_writer *w = NULL;
    enum err_code code = parquet_writer_new(&o, &w, e);
    for (size_t from = 0; from < rows && code == ERR_OK; from += GROUP_ROWS) {
        struct parquet_values v[TRADES_MAX];
        group_values(r, c, from, v);
        code =
            parquet_writer_row_group(w, v, rows - from < GROUP_ROWS ? rows - from : GROUP_ROWS, e);
    }
    if (code == ERR_OK) code = parquet_writer_finish(w, e);
    parquet_writer_free(w);
    return code;
}

int main(int argc, char **argv)
{
    int64_t rows, seed;
    if (argc != 4 || str_to_i64(str_of(argv[1]), &rows) != ERR_OK ||
        str_to_i64(str_of(argv[2]), &seed) != ERR_OK || rows < SERIES || rows > 50000000) {
        fprintf(stderr, "usage: parquet_bench ROWS SEED FILE; %d to 50000000 rows\n", SERIES);
        return 64;
    }
    struct rows r;
    size_t n = (size_t)rows;
    state = (uint64_t)seed;
    make_room(&r, n);
    make_names();
    for (uint32_t s = 0; s < SERIES; s++) make_series(&r, s, n * s / SERIES, n * (s + 1) / SERIES);
    struct codes c[4];
    for (int k = 0; k < 4; k++) c[k] = codes_of(&r, n, k);
    FILE *f = fopen(argv[3], "wb");
    if (!f) {
        fprintf(stderr, "parquet_bench: cannot write %s\n", argv[3]);
        return 74;
    }
    struct err e = {0};
    int64_t start = clock_cpu_ns();
    enum err_code code = write_table(&r, c, n, f, &e);
    int64_t bytes = ftell(f);
    if (fclose(f) != 0 || code != ERR_OK) {
        fprintf(stderr, "parquet_bench: %s\n", code == ERR_OK ? "short write" : e.text);
        return 74;
    }
    printf("{\"rows\": %lld, \"cpu_ms\": %lld, \"bytes\": %lld}\n", (long long)rows,
           (long long)((clock_cpu_ns() - start) / 1000000), (long long)bytes);
    return 0;
}
