/* The compact protocol of Thrift, as far as Parquet's metadata needs it. */
#include "parquet/parquet_internal.h"

void encode_varint(struct buf *out, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    while (v >= 0x80) {
        bytes[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    bytes[n++] = (uint8_t)v;
    buf_add(out, bytes, n);
}

static void put_zigzag(struct buf *out, int64_t v)
{
    encode_varint(out, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

void thrift_start(struct thrift_writer *t, struct buf *out)
{
    *t = (struct thrift_writer){.out = out, .depth = 0};
}

static void put_field(struct thrift_writer *t, int16_t id, enum thrift_type type)
{
    int16_t *last = &t->last[t->depth];
    int delta = id - *last;
    if (delta > 0 && delta <= 15) {
        buf_add_byte(t->out, (uint8_t)(delta << 4 | (int)type));
    } else {
        buf_add_byte(t->out, (uint8_t)type);
        put_zigzag(t->out, id);
    }
    *last = id;
}

static void open_struct(struct thrift_writer *t)
{
    CHECK(t->depth + 1 < THRIFT_DEPTH_MAX);
    t->last[++t->depth] = 0;
}

void thrift_end(struct thrift_writer *t)
{
    buf_add_byte(t->out, THRIFT_STOP);
    t->depth--;
}

void thrift_put_i16(struct thrift_writer *t, int16_t id, int16_t v)
{
    put_field(t, id, THRIFT_I16);
    put_zigzag(t->out, v);
}

void thrift_put_i32(struct thrift_writer *t, int16_t id, int32_t v)
{
    put_field(t, id, THRIFT_I32);
    put_zigzag(t->out, v);
}

void thrift_put_i64(struct thrift_writer *t, int16_t id, int64_t v)
{
    put_field(t, id, THRIFT_I64);
    put_zigzag(t->out, v);
}

void thrift_put_bool(struct thrift_writer *t, int16_t id, bool v)
{
    put_field(t, id, v ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_put_bytes(struct thrift_writer *t, int16_t id, struct str v)
{
    put_field(t, id, THRIFT_BINARY);
    thrift_add_bytes(t, v);
}

void thrift_put_struct(struct thrift_writer *t, int16_t id)
{
    put_field(t, id, THRIFT_STRUCT);
    open_struct(t);
}

void thrift_put_list(struct thrift_writer *t, int16_t id, enum thrift_type element, size_t count)
{
    put_field(t, id, THRIFT_LIST);
    if (count < 15) {
        buf_add_byte(t->out, (uint8_t)(count << 4 | (size_t)element));
    } else {
        buf_add_byte(t->out, (uint8_t)(0xF0 | (int)element));
        encode_varint(t->out, count);
    }
}

void thrift_add_struct(struct thrift_writer *t) { open_struct(t); }

void thrift_add_int(struct thrift_writer *t, int64_t v) { put_zigzag(t->out, v); }

void thrift_add_bool(struct thrift_writer *t, bool v)
{
    buf_add_byte(t->out, v ? THRIFT_TRUE : THRIFT_FALSE);
}

void thrift_add_bytes(struct thrift_writer *t, struct str v)
{
    encode_varint(t->out, v.n);
    buf_add_str(t->out, v);
}

/* ---- reading --------------------------------------------------------------------------------- */

bool decode_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (*p >= end) return false;
        uint8_t byte = *(*p)++;
        if (shift == 63 && byte > 1) return false;
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static uint64_t get_varint(struct thrift_reader *t)
{
    uint64_t v = 0;
    if (!t->failed && !decode_varint(&t->p, t->end, &v)) t->failed = true;
    return t->failed ? 0 : v;
}

static int64_t get_zigzag(struct thrift_reader *t)
{
    uint64_t v = get_varint(t);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

static uint8_t get_byte(struct thrift_reader *t)
{
    if (t->failed || t->p >= t->end) {
        t->failed = true;
        return 0;
    }
    return *t->p++;
}

bool thrift_next(struct thrift_reader *t, int16_t *id, enum thrift_type *type)
{
    uint8_t head = get_byte(t);
    if (t->failed || (head & 0x0F) == THRIFT_STOP) return false;
    if ((head & 0x0F) > THRIFT_STRUCT) {
        t->failed = true;
        return false;
    }
    *type = (enum thrift_type)(head & 0x0F);
    int64_t next = head >> 4 ? *id + (head >> 4) : get_zigzag(t);
    if (next < INT16_MIN || next > INT16_MAX) t->failed = true;
    *id = (int16_t)next;
    return !t->failed;
}

int64_t thrift_int(struct thrift_reader *t, enum thrift_type type)
{
    if (type == THRIFT_BYTE) return (int8_t)get_byte(t);
    if (type >= THRIFT_I16 && type <= THRIFT_I64) return get_zigzag(t);
    t->failed = true;
    return 0;
}

int32_t thrift_int32(struct thrift_reader *t, enum thrift_type type)
{
    int64_t v = thrift_int(t, type);
    if (v < INT32_MIN || v > INT32_MAX) t->failed = true;
    return t->failed ? 0 : (int32_t)v;
}

bool thrift_bool(struct thrift_reader *t, enum thrift_type type)
{
    if (type != THRIFT_TRUE && type != THRIFT_FALSE) t->failed = true;
    return type == THRIFT_TRUE;
}

struct str thrift_bytes(struct thrift_reader *t, enum thrift_type type)
{
    if (type != THRIFT_BINARY) t->failed = true;
    uint64_t n = get_varint(t);
    if (t->failed || n > (uint64_t)(t->end - t->p)) {
        t->failed = true;
        return (struct str){"", 0};
    }
    struct str s = {(const char *)t->p, (size_t)n};
    t->p += n;
    return s;
}

static size_t list_head(struct thrift_reader *t, enum thrift_type *ret_element)
{
    uint8_t head = get_byte(t);
    uint64_t n = head >> 4;
    if (n == 15) n = get_varint(t);
    *ret_element = (enum thrift_type)(head & 0x0F);
    /* Every element takes a byte at least, so a count past what is left is damage and never an
     * allocation. */
    if ((head & 0x0F) == 0 || (head & 0x0F) > THRIFT_STRUCT || n > (uint64_t)(t->end - t->p))
        t->failed = true;
    return t->failed ? 0 : (size_t)n;
}

size_t thrift_list(struct thrift_reader *t, enum thrift_type type, enum thrift_type element)
{
    enum thrift_type have;
    if (type != THRIFT_LIST) t->failed = true;
    size_t n = list_head(t, &have);
    if (n > 0 && have != element) t->failed = true;
    return t->failed ? 0 : n;
}

static void skip_value(struct thrift_reader *t, enum thrift_type type, bool in_list, int depth);

static void skip_map(struct thrift_reader *t, int depth)
{
    uint64_t n = get_varint(t);
    if (n == 0) return;
    uint8_t types = get_byte(t);
    if (n > (uint64_t)(t->end - t->p) || types >> 4 > THRIFT_STRUCT || (types & 15) > THRIFT_STRUCT)
        t->failed = true;
    for (uint64_t i = 0; i < n && !t->failed; i++) {
        skip_value(t, (enum thrift_type)(types >> 4), true, depth + 1);
        skip_value(t, (enum thrift_type)(types & 15), true, depth + 1);
    }
}

static void skip_value(struct thrift_reader *t, enum thrift_type type, bool in_list, int depth)
{
    if (depth > THRIFT_DEPTH_MAX) t->failed = true;
    if (t->failed) return;
    enum thrift_type inner;
    int16_t id = 0;
    switch (type) {
    case THRIFT_TRUE:
    case THRIFT_FALSE:
        if (in_list) get_byte(t);
        return;
    case THRIFT_BYTE: get_byte(t); return;
    case THRIFT_I16:
    case THRIFT_I32:
    case THRIFT_I64: get_varint(t); return;
    case THRIFT_DOUBLE:
        for (int i = 0; i < 8; i++) get_byte(t);
        return;
    case THRIFT_BINARY: thrift_bytes(t, type); return;
    case THRIFT_LIST:
    case THRIFT_SET:
        for (size_t n = list_head(t, &inner); n > 0 && !t->failed; n--)
            skip_value(t, inner, true, depth + 1);
        return;
    case THRIFT_MAP: skip_map(t, depth); return;
    case THRIFT_STRUCT:
        while (thrift_next(t, &id, &inner)) skip_value(t, inner, false, depth + 1);
        return;
    default: t->failed = true;
    }
}

void thrift_skip(struct thrift_reader *t, enum thrift_type type) { skip_value(t, type, false, 0); }
