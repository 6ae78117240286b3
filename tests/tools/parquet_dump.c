/* parquet_dump FILE ID:TYPE... - prints columns of a Parquet file, by field id, as our reader sees
 * them.
 *
 * TYPE is string, binary, decimal, time, long or boolean. One line a row, in the form of
 * parquet_random's CSV. Exit code 0; 2 where the file or column is not understood; 65 where it is
 * damaged; the reason on standard error.
 */
#include "cells.h"
#include "parquet/parquet.h"

#include <stdlib.h>

enum { COLUMNS_MAX = 64 };

static const char *const type_names[] = {"string", "decimal", "time", "long", "boolean", "binary"};

static void put_cell(const struct parquet_chunk *c, enum column_type type, size_t row)
{
    if (c->present && !c->present[row])
        fputc('-', stdout);
    else if (type == COLUMN_STRING || type == COLUMN_BINARY)
        put_hex(stdout, c->strings[row]);
    else if (type == COLUMN_DECIMAL)
        put_i128(stdout, c->decimals[row]);
    else if (type == COLUMN_BOOLEAN)
        fputc('0' + c->booleans[row], stdout);
    else
        printf("%lld", (long long)c->longs[row]);
}

struct request {
    int column;
    enum column_type type;
};

static bool parse_request(const char *text, const struct parquet_reader *r, struct request *ret)
{
    struct str rest = str_of(text), id = str_cut(&rest, ':');
    int64_t field_id;
    if (str_to_i64(id, &field_id) != ERR_OK) return false;
    ret->column = parquet_reader_column(r, (int32_t)field_id);
    for (int i = 0; i < 6; i++) {
        ret->type = (enum column_type)i;
        if (str_is(rest, type_names[i])) return ret->column >= 0;
    }
    return false;
}

static enum err_code dump(struct parquet_reader *r, const struct request *requests, int count,
                          struct err *e)
{
    for (int g = 0; g < parquet_reader_row_groups(r); g++) {
        struct parquet_chunk chunks[COLUMNS_MAX];
        for (int i = 0; i < count; i++)
            TRY(parquet_reader_read(r, g, requests[i].column, requests[i].type, &chunks[i], e));
        for (size_t row = 0; row < (size_t)parquet_reader_group_rows(r, g); row++) {
            for (int i = 0; i < count; i++) {
                if (i) fputc(',', stdout);
                put_cell(&chunks[i], requests[i].type, row);
            }
            fputc('\n', stdout);
        }
    }
    return ERR_OK;
}

int main(int argc, char **argv)
{
    struct parquet_reader *r = NULL;
    struct request requests[COLUMNS_MAX];
    struct err e = {0};
    if (argc < 3 || argc - 2 > COLUMNS_MAX) {
        fprintf(stderr, "usage: parquet_dump FILE ID:TYPE...\n");
        return 64;
    }
    enum err_code code = parquet_reader_open(argv[1], &r, &e);
    for (int i = 0; code == ERR_OK && i < argc - 2; i++)
        if (!parse_request(argv[i + 2], r, &requests[i]))
            code = ERR(&e, ERR_NOT_FOUND, "no column %s", argv[i + 2]);
    if (code == ERR_OK) code = dump(r, requests, argc - 2, &e);
    parquet_reader_close(r);
    if (code != ERR_OK) fprintf(stderr, "parquet_dump: %s\n", e.text);
    return code == ERR_OK ? 0 : code == ERR_NOT_FOUND ? 2 : 65;
}
