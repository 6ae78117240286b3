/* Avro object container files, writing: the caller encodes the records, this file frames them. */
#include "base/hash.h"
#include "avro/avro.h"

#include <stdlib.h>
#include <zlib.h>

enum {
    SYNC_BYTES = 16,
    BLOCK_BYTES = 64 << 10, /* a block is closed past it */
    FILE_BYTES_MAX = 1 << 30,
    RECORD_BYTES_MAX = 64 << 20,
};

struct avro_writer {
    struct buf file, block, packed;
    int64_t records; /* of the open block */
    uint8_t sync[SYNC_BYTES];
    bool finished;
};

void avro_put_long(struct buf *b, int64_t v)
{
    uint64_t z = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
    uint8_t bytes[10];
    size_t n = 0;
    for (; z >= 0x80; z >>= 7) bytes[n++] = (uint8_t)(z | 0x80);
    bytes[n++] = (uint8_t)z;
    buf_add(b, bytes, n);
}

void avro_put_bool(struct buf *b, bool v) { buf_add_byte(b, v); }

void avro_put_bytes(struct buf *b, struct str v)
{
    avro_put_long(b, (int64_t)v.n);
    buf_add_str(b, v);
}

void avro_put_null_or(struct buf *b, bool present) { avro_put_long(b, present); }

static void put_head(struct avro_writer *w, struct str schema, const struct avro_meta *meta,
                     size_t count)
{
    buf_add(&w->file, "Obj\x01", 4);
    avro_put_long(&w->file, (int64_t)count + 2);
    avro_put_bytes(&w->file, STR("avro.schema"));
    avro_put_bytes(&w->file, schema);
    avro_put_bytes(&w->file, STR("avro.codec"));
    avro_put_bytes(&w->file, STR("deflate"));
    for (size_t i = 0; i < count; i++) {
        avro_put_bytes(&w->file, str_of(meta[i].key));
        avro_put_bytes(&w->file, meta[i].value);
    }
    avro_put_long(&w->file, 0);
    /* The marker only has to be unlikely inside of blocks; a hash keeps equal input giving equal
     * files. */
    u128 hash = hash128(buf_str(&w->file));
    memcpy(w->sync, &hash, SYNC_BYTES);
    buf_add(&w->file, w->sync, SYNC_BYTES);
}

struct avro_writer *avro_writer_new(struct str schema_json, const struct avro_meta *meta,
                                    size_t meta_count)
{
    struct avro_writer *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    buf_init(&w->file, FILE_BYTES_MAX);
    buf_init(&w->block, RECORD_BYTES_MAX);
    buf_init(&w->packed, 2 * (size_t)RECORD_BYTES_MAX);
    put_head(w, schema_json, meta, meta_count);
    return w;
}

struct avro_writer *avro_writer_free(struct avro_writer *w)
{
    if (!w) return NULL;
    buf_free(&w->file);
    buf_free(&w->block);
    buf_free(&w->packed);
    free(w);
    return NULL;
}

struct buf *avro_writer_record(struct avro_writer *w) { return &w->block; }

/* Raw deflate, without zlib's head, as the format wants it. */
static bool pack(struct avro_writer *w)
{
    z_stream z = {.next_in = w->block.data, .avail_in = (uInt)w->block.len};
    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    buf_reset(&w->packed);
    uLong room = deflateBound(&z, z.avail_in);
    z.next_out = buf_room(&w->packed, room);
    z.avail_out = (uInt)room;
    bool good = z.next_out && deflate(&z, Z_FINISH) == Z_STREAM_END;
    w->packed.len = z.total_out;
    deflateEnd(&z);
    return good;
}

static void close_block(struct avro_writer *w)
{
    if (w->records == 0 || w->block.failed) return;
    if (!pack(w)) {
        w->file.failed = true;
        return;
    }
    avro_put_long(&w->file, w->records);
    avro_put_bytes(&w->file, buf_str(&w->packed));
    buf_add(&w->file, w->sync, SYNC_BYTES);
    w->records = 0;
    buf_reset(&w->block);
}

void avro_writer_end_record(struct avro_writer *w)
{
    CHECK(!w->finished);
    w->records++;
    if (w->block.len >= BLOCK_BYTES) close_block(w);
}

enum err_code avro_writer_finish(struct avro_writer *w, struct str *ret, struct err *e)
{
    CHECK(!w->finished);
    close_block(w);
    w->finished = true;
    if (w->block.failed)
        return ERR(e, ERR_FULL, "an Avro record is over the limit of %d bytes", RECORD_BYTES_MAX);
    if (w->file.failed)
        return ERR(e, ERR_FULL, "an Avro file is over the limit of %d bytes", FILE_BYTES_MAX);
    *ret = buf_str(&w->file);
    return ERR_OK;
}
