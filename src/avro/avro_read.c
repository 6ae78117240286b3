/* Avro object container files, reading: blocks, and values by the file's own schema. */
#include "avro/avro_internal.h"

#include <stdlib.h>
#include <zlib.h>

enum {
    SYNC_BYTES = 16,
    META_MAX = 1000,
    BLOCK_BYTES_MAX = 256 << 20,  /* unpacked */
    RECORD_BYTES_MAX = 256 << 20, /* of one decoded record */
    SCHEMA_ARENA_MAX = 64 << 20,
};

struct meta {
    struct str key, value;
};

struct avro_reader {
    struct arena schema_arena, arena;
    struct avro_type *schema;
    struct meta *meta;
    size_t meta_count;
    bool deflated;
    const uint8_t *p, *end; /* of the file: the next block */
    const uint8_t *sync;
    struct buf unpacked;
    const uint8_t *at, *block_end; /* in the open block */
    int64_t left, block, record;   /* records left in it; for messages */
};

static bool get_long(const uint8_t **p, const uint8_t *end, int64_t *ret)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (*p >= end) return false;
        uint8_t byte = *(*p)++;
        if (shift == 63 && byte > 1) return false;
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (byte & 0x80) continue;
        *ret = (int64_t)((v >> 1) ^ -(v & 1));
        return true;
    }
    return false;
}

static bool take(const uint8_t **p, const uint8_t *end, int64_t n, struct str *ret)
{
    if (n < 0 || n > end - *p) return false;
    *ret = (struct str){(const char *)*p, (size_t)n};
    *p += n;
    return true;
}

static bool get_bytes(const uint8_t **p, const uint8_t *end, struct str *ret)
{
    int64_t n;
    return get_long(p, end, &n) && take(p, end, n, ret);
}

/* Head of a block of an array or map: count, which when negative is followed by the block's
 * bytes. */
static bool get_count(const uint8_t **p, const uint8_t *end, int64_t *ret)
{
    int64_t bytes;
    if (!get_long(p, end, ret)) return false;
    if (*ret >= 0) return true;
    if (*ret == INT64_MIN || !get_long(p, end, &bytes)) return false;
    *ret = -*ret;
    return true;
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool read_meta(struct avro_reader *r)
{
    for (;;) {
        int64_t n;
        if (!get_count(&r->p, r->end, &n)) return false;
        if (n == 0) return true;
        for (; n > 0; n--) {
            if (r->meta_count == META_MAX) return false;
            struct meta *m = &r->meta[r->meta_count++];
            if (!get_bytes(&r->p, r->end, &m->key) || !get_bytes(&r->p, r->end, &m->value))
                return false;
        }
    }
}

static enum err_code read_head(struct avro_reader *r, struct err *e)
{
    struct str magic, sync, schema, codec;
    if (!take(&r->p, r->end, 4, &magic) || memcmp(magic.p, "Obj\x01", 4) != 0)
        return ERR(e, ERR_CORRUPT, "no Avro object file: it must start with \"Obj\" and 1");
    if (!read_meta(r) || !take(&r->p, r->end, SYNC_BYTES, &sync))
        return ERR(e, ERR_CORRUPT, "the head of the Avro file is cut or damaged");
    r->sync = (const uint8_t *)sync.p;
    if (!avro_reader_meta(r, "avro.schema", &schema))
        return ERR(e, ERR_CORRUPT, "the Avro file has no avro.schema in its head");
    if (avro_reader_meta(r, "avro.codec", &codec) && !str_is(codec, "null")) {
        if (!str_is(codec, "deflate"))
            return ERR(e, ERR_NOT_FOUND, "not understood: Avro codec %.*s; deflate and null are",
                       codec.n > 40 ? 40 : (int)codec.n, codec.p);
        r->deflated = true;
    }
    return avro_parse_schema(schema, &r->schema_arena, &r->schema, e);
}

enum err_code avro_reader_open(struct str bytes, struct avro_reader **ret, struct err *e)
{
    struct avro_reader *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    r->meta = malloc(META_MAX * sizeof *r->meta);
    CHECK(r->meta != NULL);
    arena_init(&r->schema_arena, SCHEMA_ARENA_MAX);
    arena_init(&r->arena, RECORD_BYTES_MAX);
    buf_init(&r->unpacked, BLOCK_BYTES_MAX);
    r->p = (const uint8_t *)bytes.p;
    r->end = r->p + bytes.n;
    enum err_code code = read_head(r, e);
    if (code == ERR_OK)
        *ret = r;
    else
        avro_reader_close(r);
    return code;
}

struct avro_reader *avro_reader_close(struct avro_reader *r)
{
    if (!r) return NULL;
    arena_free(&r->schema_arena);
    arena_free(&r->arena);
    buf_free(&r->unpacked);
    free(r->meta);
    free(r);
    return NULL;
}

bool avro_reader_meta(const struct avro_reader *r, const char *key, struct str *ret)
{
    for (size_t i = 0; i < r->meta_count; i++) {
        if (!str_is(r->meta[i].key, key)) continue;
        *ret = r->meta[i].value;
        return true;
    }
    return false;
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool read_value(struct avro_reader *r, const struct avro_type *t, int depth,
                       struct avro_value *v);

static bool read_record(struct avro_reader *r, const struct avro_type *t, int depth,
                        struct avro_value *v)
{
    v->count = t->count;
    v->items = arena_alloc(&r->arena, t->count * sizeof *v->items + 1);
    if (!v->items) return false;
    for (size_t i = 0; i < t->count; i++) {
        if (!read_value(r, t->parts[i].type, depth + 1, &v->items[i])) return false;
        v->items[i].field_id = t->parts[i].field_id;
    }
    return true;
}

static bool read_entry(struct avro_reader *r, const struct avro_type *t, int depth,
                       struct avro_value *to)
{
    if (t->form == FORM_MAP) {
        *to = (struct avro_value){.kind = AVRO_BYTES, .field_id = -1};
        if (!get_bytes(&r->at, r->block_end, &to->bytes)) return false;
        to++;
    }
    if (!read_value(r, t->parts[0].type, depth + 1, to)) return false;
    to->field_id = t->parts[0].field_id;
    return true;
}

/* Arrays and maps come in blocks; most have one. An element of no bytes (null) cannot be counted
 * against what is left, so the count is held to the bytes all the same: no file of ours or of
 * Iceberg has such arrays. */
static bool read_blocks(struct avro_reader *r, const struct avro_type *t, int depth,
                        struct avro_value *v)
{
    size_t each = t->form == FORM_MAP ? 2 : 1;
    for (;;) {
        int64_t n;
        if (!get_count(&r->at, r->block_end, &n) || n > r->block_end - r->at) return false;
        if (n == 0) return true;
        struct avro_value *items =
            arena_alloc(&r->arena, (v->count + (size_t)n * each) * sizeof *items);
        if (!items) return false;
        if (v->count) memcpy(items, v->items, v->count * sizeof *items);
        v->items = items;
        for (; n > 0; n--) {
            if (!read_entry(r, t, depth, v->items + v->count)) return false;
            v->count += each;
        }
    }
}

static bool read_union(struct avro_reader *r, const struct avro_type *t, int depth,
                       struct avro_value *v)
{
    int64_t branch;
    if (!get_long(&r->at, r->block_end, &branch) || branch < 0 || (uint64_t)branch >= t->count)
        return false;
    return read_value(r, t->parts[branch].type, depth + 1, v);
}

static bool read_fixed(struct avro_reader *r, enum avro_kind kind, int64_t n, struct avro_value *v)
{
    v->kind = kind;
    return take(&r->at, r->block_end, n, &v->bytes);
}

static bool read_value(struct avro_reader *r, const struct avro_type *t, int depth,
                       struct avro_value *v)
{
    *v = (struct avro_value){.field_id = -1};
    if (depth > 2 * AVRO_DEPTH_MAX) return false;
    switch (t->form) {
    case FORM_NULL: v->kind = AVRO_NULL; return true;
    case FORM_BOOLEAN:
        if (!read_fixed(r, AVRO_BOOL, 1, v)) return false;
        v->number = v->bytes.p[0] != 0;
        return true;
    case FORM_INT: v->kind = AVRO_LONG; return get_long(&r->at, r->block_end, &v->number);
    case FORM_FLOAT: return read_fixed(r, AVRO_FLOAT, 4, v);
    case FORM_DOUBLE: return read_fixed(r, AVRO_DOUBLE, 8, v);
    case FORM_BYTES: v->kind = AVRO_BYTES; return get_bytes(&r->at, r->block_end, &v->bytes);
    case FORM_FIXED: return read_fixed(r, AVRO_BYTES, t->size, v);
    case FORM_RECORD: v->kind = AVRO_RECORD; return read_record(r, t, depth, v);
    case FORM_ARRAY: v->kind = AVRO_ARRAY; return read_blocks(r, t, depth, v);
    case FORM_MAP: v->kind = AVRO_MAP; return read_blocks(r, t, depth, v);
    default: return read_union(r, t, depth, v);
    }
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* The unpacked size is told nowhere: the buffer grows as it must, up to its limit. */
static bool inflate_block(struct avro_reader *r, struct str packed)
{
    z_stream z = {.next_in = (z_const Bytef *)(uintptr_t)packed.p, .avail_in = (uInt)packed.n};
    if (packed.n > UINT32_MAX || inflateInit2(&z, -15) != Z_OK) return false;
    buf_reset(&r->unpacked);
    int got = Z_OK;
    while (got == Z_OK) {
        size_t room = packed.n * 4 < 4096 ? 4096 : packed.n * 4;
        if (room > 1 << 20) room = 1 << 20;
        z.next_out = buf_room(&r->unpacked, room);
        if (!z.next_out) break;
        z.avail_out = (uInt)room;
        got = inflate(&z, Z_NO_FLUSH);
        r->unpacked.len += room - z.avail_out;
        if (got == Z_BUF_ERROR) break; /* cut */
    }
    inflateEnd(&z);
    return got == Z_STREAM_END;
}

static enum err_code damaged(const struct avro_reader *r, const char *what, struct err *e)
{
    return ERR(e, ERR_CORRUPT, "Avro block %lld, record %lld: %s", (long long)r->block,
               (long long)r->record, what);
}

static enum err_code open_block(struct avro_reader *r, struct err *e)
{
    int64_t records;
    struct str packed, sync;
    if (!get_long(&r->p, r->end, &records) || records < 0 || !get_bytes(&r->p, r->end, &packed) ||
        !take(&r->p, r->end, SYNC_BYTES, &sync))
        return damaged(r, "the block is cut", e);
    if (memcmp(sync.p, r->sync, SYNC_BYTES) != 0)
        return damaged(r, "the block does not end with the marker", e);
    r->at = (const uint8_t *)packed.p;
    r->block_end = r->at + packed.n;
    if (r->deflated) {
        if (!inflate_block(r, packed))
            return damaged(r, "the block does not unpack, or is over 256 MiB", e);
        r->at = r->unpacked.data;
        r->block_end = r->at + r->unpacked.len;
    }
    if (records > r->block_end - r->at) return damaged(r, "more records than bytes", e);
    r->left = records;
    r->record = 0;
    return ERR_OK;
}

enum err_code avro_reader_next(struct avro_reader *r, const struct avro_value **ret, struct err *e)
{
    while (r->left == 0) {
        if (r->at != r->block_end) return damaged(r, "bytes behind the last record", e);
        if (r->p == r->end) return ERR_NOT_FOUND;
        TRY(open_block(r, e));
        r->block++;
    }
    arena_reset(&r->arena);
    struct avro_value *v = arena_alloc(&r->arena, sizeof *v);
    CHECK(v != NULL);
    if (!read_value(r, r->schema, 0, v))
        return damaged(r, "cut, or not what the schema says, or too big", e);
    r->left--;
    r->record++;
    *ret = v;
    return ERR_OK;
}

const struct avro_value *avro_field(const struct avro_value *record, int32_t field_id)
{
    if (!record || record->kind != AVRO_RECORD || field_id < 0) return NULL;
    for (size_t i = 0; i < record->count; i++)
        if (record->items[i].field_id == field_id) return &record->items[i];
    return NULL;
}
