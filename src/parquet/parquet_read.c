/* The reader: its life, and what it tells of a file. */
#include "io/file.h"
#include "parquet/parquet_reader.h"

#include <stdlib.h>
#include <zstd.h>

enum {
    META_BYTES_MAX = 256 << 20,
    TAIL_BYTES = 8, /* length of the footer, magic */
};
#define MEMORY_BYTES_MAX ((size_t)4 << 30) /* all columns of a row group */

static struct parquet_reader *new_reader(const char *path)
{
    struct parquet_reader *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    r->path = strdup(path);
    CHECK(r->path != NULL);
    r->fd = -1;
    r->current_group = -1;
    arena_init(&r->meta, META_BYTES_MAX);
    arena_init(&r->memory, MEMORY_BYTES_MAX);
    buf_init(&r->raw, CHUNK_BYTES_MAX);
    buf_init(&r->page, PAGE_READ_MAX + 64);
    r->zstd = ZSTD_createDCtx();
    CHECK(r->zstd != NULL);
    return r;
}

struct parquet_reader *parquet_reader_close(struct parquet_reader *r)
{
    if (!r) return NULL;
    if (r->fd >= 0) file_close(r->fd);
    ZSTD_freeDCtx(r->zstd);
    arena_free(&r->meta);
    arena_free(&r->memory);
    buf_free(&r->raw);
    buf_free(&r->page);
    free(r->codes);
    free(r->lengths);
    free(r->footer);
    free(r->path);
    free(r);
    return NULL;
}

enum err_code reader_bytes(struct parquet_reader *r, uint64_t offset, size_t len, void *to,
                           struct err *e)
{
    if (offset > r->size || len > r->size - offset)
        return ERR(e, ERR_CORRUPT, "%s: ends at byte %llu, before %llu", r->path,
                   (unsigned long long)r->size, (unsigned long long)(offset + len));
    if (r->fd >= 0) return file_read_at(r->fd, r->path, offset, to, len, e);
    if (len) memcpy(to, r->bytes.p + offset, len);
    return ERR_OK;
}

static enum err_code read_footer(struct parquet_reader *r, struct err *e)
{
    uint8_t tail[TAIL_BYTES], head[4];
    if (r->size < sizeof head + TAIL_BYTES)
        return ERR(e, ERR_CORRUPT, "%s: %llu bytes are no Parquet file", r->path,
                   (unsigned long long)r->size);
    TRY(reader_bytes(r, 0, sizeof head, head, e));
    TRY(reader_bytes(r, r->size - TAIL_BYTES, TAIL_BYTES, tail, e));
    if (memcmp(tail + 4, "PARE", 4) == 0)
        return ERR(e, ERR_NOT_FOUND, "%s: not understood: encrypted", r->path);
    if (memcmp(head, "PAR1", 4) != 0 || memcmp(tail + 4, "PAR1", 4) != 0)
        return ERR(e, ERR_CORRUPT,
                   "%s: no Parquet file, or cut: PAR1 is missing at its start or end", r->path);
    uint32_t len;
    memcpy(&len, tail, 4);
    if (len > r->size - sizeof head - TAIL_BYTES)
        return ERR(e, ERR_CORRUPT, "%s: a footer of %u bytes in a file of %llu", r->path, len,
                   (unsigned long long)r->size);
    if (len > FOOTER_BYTES_MAX)
        return ERR(e, ERR_NOT_FOUND, "%s: not understood: a footer of %u bytes, limit %d", r->path,
                   len, FOOTER_BYTES_MAX);
    r->footer_start = r->size - TAIL_BYTES - len;
    r->footer = malloc(len + 1);
    CHECK(r->footer != NULL);
    TRY(reader_bytes(r, r->footer_start, len, r->footer, e));
    return reader_parse_footer(r, len, e);
}

static enum err_code finish_open(struct parquet_reader *r, struct parquet_reader **ret,
                                 struct err *e)
{
    enum err_code code = read_footer(r, e);
    if (code == ERR_OK)
        *ret = r;
    else
        parquet_reader_close(r);
    return code;
}

enum err_code parquet_reader_open(const char *path, struct parquet_reader **ret, struct err *e)
{
    int fd;
    uint64_t size;
    TRY(file_open_read(path, &fd, &size, e));
    struct parquet_reader *r = new_reader(path);
    r->fd = fd;
    r->size = size;
    return finish_open(r, ret, e);
}

enum err_code parquet_reader_open_bytes(struct str bytes, struct parquet_reader **ret,
                                        struct err *e)
{
    struct parquet_reader *r = new_reader("(memory)");
    r->bytes = bytes;
    r->size = bytes.n;
    return finish_open(r, ret, e);
}

int parquet_reader_column(const struct parquet_reader *r, int32_t field_id)
{
    for (size_t i = 0; i < r->column_count; i++)
        if (r->columns[i].field_id == field_id && field_id >= 0) return (int)i;
    return -1;
}

int parquet_reader_row_groups(const struct parquet_reader *r) { return (int)r->group_count; }

int64_t parquet_reader_rows(const struct parquet_reader *r) { return r->rows; }

bool parquet_reader_ours(const struct parquet_reader *r) { return r->ours; }

int64_t parquet_reader_group_rows(const struct parquet_reader *r, int group)
{
    CHECK(group >= 0 && (size_t)group < r->group_count);
    return r->groups[group].rows;
}

bool parquet_reader_long_bounds(const struct parquet_reader *r, int group, int column,
                                int64_t *ret_min, int64_t *ret_max)
{
    CHECK(group >= 0 && (size_t)group < r->group_count);
    CHECK(column >= 0 && (size_t)column < r->column_count);
    const struct read_chunk *c = &r->groups[group].chunks[column];
    if (r->columns[column].physical != PHYSICAL_INT64 || !r->columns[column].ordered) return false;
    if (c->min.n != 8 || c->max.n != 8) return false;
    memcpy(ret_min, c->min.p, 8);
    memcpy(ret_max, c->max.p, 8);
    return *ret_min <= *ret_max;
}
