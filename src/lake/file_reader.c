#include "lake/lake_internal.h"

#include <stdlib.h>

/* A column that another writer's file lacks reads as absent: enough slots for the largest row group we take. */
enum { GROUP_ROWS_MAX = 1 << 22 };

enum err_code lake_reader_open(struct lake *l, struct lake_file_reader *r, const struct table *t,
                               const struct lake_live *f, struct err *e)
{
    *r = (struct lake_file_reader){.t = t, .f = f, .group = -1};
    TRY(lake_fetch(l, f->path, f->bytes, r->path, e));
    enum err_code code = parquet_reader_open(r->path, &r->parquet, e);
    if (code == ERR_NOT_FOUND && !file_exists(r->path))
        return ERR(e, ERR_CORRUPT, "%s: the file is missing", r->path);
    if (code != ERR_OK) return code;
    if (parquet_reader_rows(r->parquet) == f->rows) return ERR_OK;
    code = ERR(e, ERR_CORRUPT, "%s: holds %lld rows, the manifest says %lld", r->path,
               (long long)parquet_reader_rows(r->parquet), (long long)f->rows);
    lake_reader_close(r);
    return code;
}

void lake_reader_close(struct lake_file_reader *r)
{
    r->parquet = parquet_reader_close(r->parquet);
    r->loaded = 0;
}

bool lake_reader_next(struct lake_file_reader *r)
{
    r->base += r->group < 0 ? 0 : r->rows;
    r->loaded = 0;
    if (++r->group >= parquet_reader_row_groups(r->parquet)) return false;
    r->rows = parquet_reader_group_rows(r->parquet, r->group);
    return true;
}

static const uint8_t
    none[GROUP_ROWS_MAX]; /* in .bss: costs nothing until a file without a column needs it */
static const i128 zero[1];

bool lake_reader_has_extra(const struct lake_file_reader *r, const struct lake_extra *x)
{
    return parquet_reader_column(r->parquet, x->field_id) >= 0;
}

enum err_code lake_reader_extra(const struct lake_file_reader *r, const struct lake_extra *x,
                                struct parquet_chunk *ret, struct err *e)
{
    int at = parquet_reader_column(r->parquet, x->field_id);
    *ret = (struct parquet_chunk){.rows = (size_t)r->rows, .present = none};
    ret->decimals = zero; /* nobody looks at a value that is absent */
    if (at < 0 && r->rows <= GROUP_ROWS_MAX) return ERR_OK;
    if (at >= 0) TRY(parquet_reader_read(r->parquet, r->group, at, x->type, ret, e));
    if (at >= 0 && (int64_t)ret->rows == r->rows) return ERR_OK;
    return ERR(e, ERR_CORRUPT, "%s: column \"%s\": rows are missing", r->path, x->name);
}

enum err_code lake_reader_load(struct lake_file_reader *r, uint32_t columns, struct err *e)
{
    for (int c = 0; c < r->t->column_count; c++) {
        if (!(columns & LAKE_BIT(c)) || r->loaded & LAKE_BIT(c)) continue;
        const struct column *col = &r->t->columns[c];
        int at = parquet_reader_column(r->parquet, c + 1);
        struct parquet_chunk *chunk = &r->chunks[c];
        if (at < 0 && (col->required || r->rows > GROUP_ROWS_MAX))
            return ERR(e, r->f->foreign ? ERR_NOT_FOUND : ERR_CORRUPT,
                       "%s: column \"%s\" (field id %d) is missing", r->path, col->name, c + 1);
        if (at < 0) {
            *chunk = (struct parquet_chunk){.rows = (size_t)r->rows, .present = none};
            chunk->decimals = zero; /* nobody looks at a value that is absent */
        } else {
            TRY(parquet_reader_read(r->parquet, r->group, at, col->type, chunk, e));
            if ((int64_t)chunk->rows != r->rows || (col->required && chunk->present))
                return ERR(e, ERR_CORRUPT, "%s: column \"%s\": rows are missing", r->path,
                           col->name);
        }
        r->loaded |= LAKE_BIT(c);
    }
    return ERR_OK;
}
