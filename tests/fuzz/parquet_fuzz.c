/* The Parquet reader on hostile files: every column of every row group as every type. */
#include "parquet/parquet.h"

enum { COLUMNS = 40, ROWS_MAX = 100000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(const struct parquet_chunk *c, enum column_type type)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < c->rows; i++) {
        if (c->present && !c->present[i]) continue;
        if (type == COLUMN_STRING || type == COLUMN_BINARY)
            for (size_t k = 0; k < c->strings[i].n; k += 64) sum += (uint8_t)c->strings[i].p[k];
        else if (type == COLUMN_DECIMAL)
            sum += (uint64_t)c->decimals[i];
        else if (type == COLUMN_BOOLEAN)
            sum += c->booleans[i];
        else
            sum += (uint64_t)c->longs[i];
    }
    __asm__ volatile("" : : "r"(sum)); /* the reads must happen */
}

static void read_group(struct parquet_reader *r, int group)
{
    /* A hostile row group may say millions of rows in a few bytes, all of them legal: no use
     * here. */
    if (parquet_reader_group_rows(r, group) > ROWS_MAX) return;
    for (int32_t id = 0; id < COLUMNS; id++) {
        int column = parquet_reader_column(r, id);
        if (column < 0) continue;
        int64_t min, max;
        (void)parquet_reader_long_bounds(r, group, column, &min, &max);
        for (int type = COLUMN_STRING; type <= COLUMN_BINARY; type++) {
            struct parquet_chunk chunk;
            struct err e;
            if (parquet_reader_read(r, group, column, (enum column_type)type, &chunk, &e) == ERR_OK)
                touch(&chunk, (enum column_type)type);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct parquet_reader *r = NULL;
    struct err e;
    if (parquet_reader_open_bytes((struct str){(const char *)data, size}, &r, &e) != ERR_OK)
        return 0;
    for (int g = 0; g < parquet_reader_row_groups(r) && g < 4; g++) read_group(r, g);
    parquet_reader_close(r);
    return 0;
}
