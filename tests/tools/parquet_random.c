/* parquet_random SEED FILE.parquet FILE.csv - writes a random table and what every reader must find
 * in it.
 *
 * The CSV has one line a row, '-' for null, strings and bytes as x and hex digits, decimals as the
 * integer behind decimal(38,18), times in microseconds. test_parquet_readers.py compares.
 */
#include "cells.h"
#include "random_table.h"

static enum err_code to_file(void *ctx, const void *data, size_t len, struct err *e)
{
    if (fwrite(data, 1, len, ctx) != len) return ERR(e, ERR_DISK, "short write");
    return ERR_OK;
}

static void put_cell(FILE *f, const struct parquet_values *v, enum column_type type, size_t row)
{
    if (v->present && !v->present[row]) {
        fputc('-', f);
    } else if (v->dictionary) {
        put_hex(f, v->dictionary[v->codes[row]]);
    } else if (type == COLUMN_STRING || type == COLUMN_BINARY) {
        put_hex(f, v->strings[row]);
    } else if (type == COLUMN_DECIMAL) {
        put_i128(f, v->decimals[row]);
    } else if (type == COLUMN_BOOLEAN) {
        fputc('0' + v->booleans[row], f);
    } else {
        fprintf(f, "%lld", (long long)v->longs[row]);
    }
}

static void put_csv(FILE *f, const struct random_table *t)
{
    for (int c = 0; c < RANDOM_MAX; c++) fprintf(f, "%s%s", c ? "," : "", random_columns[c].name);
    fputc('\n', f);
    for (int g = 0; g < t->group_count; g++) {
        for (size_t row = 0; row < t->rows[g]; row++) {
            for (int c = 0; c < RANDOM_MAX; c++) {
                if (c) fputc(',', f);
                put_cell(f, &t->values[g][c], random_columns[c].type, row);
            }
            fputc('\n', f);
        }
    }
}

int main(int argc, char **argv)
{
    int64_t seed;
    if (argc != 4 || str_to_i64(str_of(argv[1]), &seed) != ERR_OK) {
        fprintf(stderr, "usage: parquet_random SEED FILE.parquet FILE.csv\n");
        return 64;
    }
    static struct random_table table;
    random_table_make(&table, (uint64_t)seed);
    FILE *parquet = fopen(argv[2], "wb"), *csv = fopen(argv[3], "wb");
    if (!parquet || !csv) {
        fprintf(stderr, "cannot write %s and %s\n", argv[2], argv[3]);
        return 74;
    }
    struct parquet_writer *w = NULL;
    struct err e = {0};
    enum err_code code = random_table_write(&table, to_file, parquet, &w, &e);
    parquet_writer_free(w);
    put_csv(csv, &table);
    arena_free(&table.arena);
    if (fclose(parquet) != 0 || fclose(csv) != 0 || code != ERR_OK) {
        fprintf(stderr, "parquet_random: %s\n", e.text);
        return 1;
    }
    return 0;
}
