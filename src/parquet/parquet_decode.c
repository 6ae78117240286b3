/* Bytes to integers: the RLE / bit-packed hybrid, DELTA_BINARY_PACKED, PLAIN. Input is hostile
 * until proved otherwise: no read past the end, no count that was not checked against the
 * caller's. */
#include "parquet/parquet_internal.h"

enum { MINIBLOCK_MAX = 1024, MINIBLOCKS_MAX = 512 };

/* Eight bytes from p, zeros past the end. */
static inline uint64_t load(const uint8_t *p, const uint8_t *end)
{
    uint64_t v = 0;
    if (end - p >= 8)
        memcpy(&v, p, 8);
    else if (end > p)
        memcpy(&v, p, (size_t)(end - p));
    return v;
}

static inline uint64_t mask_of(int width)
{
    return width >= 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
}

/* The i-th value of `width` bits (0..64). */
static inline uint64_t bits_at(const uint8_t *p, const uint8_t *end, size_t i, int width)
{
    size_t bit = i * (size_t)width;
    int shift = (int)(bit % 8);
    uint64_t v = load(p + bit / 8, end) >> shift;
    if (width + shift > 64) v |= load(p + bit / 8 + 8, end) << (64 - shift);
    return v & mask_of(width);
}

/* ---- hybrid ---------------------------------------------------------------------------------- */

static bool decode_literals(const uint8_t **p, const uint8_t *end, int width, size_t groups,
                            uint32_t *values, size_t n)
{
    size_t left = (size_t)(end - *p), need = (n * (size_t)width + 7) / 8;
    if (need > left) return false;
    for (size_t i = 0; i < n; i++) values[i] = (uint32_t)bits_at(*p, end, i, width);
    /* The last group is padded; a writer may have left the padding out at the end of the page. */
    size_t whole = groups > left ? left : groups * (size_t)width;
    *p += whole < left ? whole : left;
    return true;
}

static bool decode_run(const uint8_t **p, const uint8_t *end, int width, uint32_t *values, size_t n)
{
    size_t bytes = (size_t)(width + 7) / 8;
    if ((size_t)(end - *p) < bytes) return false;
    uint32_t v = 0;
    memcpy(&v, *p, bytes);
    *p += bytes;
    for (size_t i = 0; i < n; i++) values[i] = v;
    return true;
}

bool decode_hybrid(struct str in, int width, uint32_t *values, size_t n)
{
    if (width < 0 || width > 32) return false;
    const uint8_t *p = (const uint8_t *)in.p, *end = p + in.n;
    for (size_t i = 0; i < n;) {
        uint64_t head;
        if (!decode_varint(&p, end, &head)) return false;
        size_t left = n - i, count = head >> 1;
        if (head & 1) {
            size_t groups = count;
            count = groups > left / 8 ? left : groups * 8;
            if (!decode_literals(&p, end, width, groups, values + i, count)) return false;
        } else {
            count = count < left ? count : left;
            if (!decode_run(&p, end, width, values + i, count)) return false;
        }
        i += count;
    }
    return true;
}

/* ---- DELTA_BINARY_PACKED --------------------------------------------------------------------- */

struct delta {
    const uint8_t *p, *end;
    size_t miniblocks, miniblock;
    uint64_t last;
};

static bool delta_head(struct delta *d, size_t n)
{
    uint64_t block, miniblocks, count, first;
    if (!decode_varint(&d->p, d->end, &block) || !decode_varint(&d->p, d->end, &miniblocks) ||
        !decode_varint(&d->p, d->end, &count) || !decode_varint(&d->p, d->end, &first))
        return false;
    if (miniblocks == 0 || miniblocks > MINIBLOCKS_MAX || block % miniblocks != 0 || count != n)
        return false;
    uint64_t miniblock = block / miniblocks;
    if (miniblock == 0 || miniblock % 8 != 0 || miniblock > MINIBLOCK_MAX) return false;
    d->miniblocks = (size_t)miniblocks;
    d->miniblock = (size_t)miniblock;
    d->last = (first >> 1) ^ -(first & 1);
    return true;
}

static bool delta_miniblock(struct delta *d, uint64_t least, int width, int64_t *values, size_t n)
{
    size_t left = (size_t)(d->end - d->p), whole = d->miniblock * (size_t)width / 8;
    if (width > 64 || (n * (size_t)width + 7) / 8 > left) return false;
    uint64_t last = d->last;
    for (size_t i = 0; i < n; i++) {
        last += least + bits_at(d->p, d->end, i, width);
        values[i] = (int64_t)last;
    }
    d->last = last;
    d->p += whole < left ? whole : left;
    return true;
}

static bool delta_block(struct delta *d, int64_t *values, size_t n, size_t *ret_done)
{
    uint64_t least;
    if (!decode_varint(&d->p, d->end, &least)) return false;
    least = (least >> 1) ^ -(least & 1);
    if ((size_t)(d->end - d->p) < d->miniblocks) return false;
    const uint8_t *widths = d->p;
    d->p += d->miniblocks;
    size_t done = 0;
    for (size_t m = 0; m < d->miniblocks && done < n; m++) {
        size_t count = n - done < d->miniblock ? n - done : d->miniblock;
        if (!delta_miniblock(d, least, widths[m], values + done, count)) return false;
        done += count;
    }
    *ret_done = done;
    return true;
}

bool decode_delta(struct str in, int64_t *values, size_t n, size_t *ret_used)
{
    struct delta d = {.p = (const uint8_t *)in.p, .end = (const uint8_t *)in.p + in.n};
    if (!delta_head(&d, n)) return false;
    if (n > 0) values[0] = (int64_t)d.last;
    for (size_t i = 1, done = 0; i < n; i += done)
        if (!delta_block(&d, values + i, n - i, &done)) return false;
    if (ret_used) *ret_used = (size_t)(d.p - (const uint8_t *)in.p);
    return true;
}

/* ---- PLAIN ----------------------------------------------------------------------------------- */

bool decode_plain_longs(struct str in, int64_t *values, size_t n, int bytes)
{
    if (in.n / (size_t)bytes < n) return false;
    if (bytes == 8) {
        if (n) memcpy(values, in.p, n * 8);
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        int32_t v;
        memcpy(&v, in.p + i * 4, 4);
        values[i] = v;
    }
    return true;
}

/* Big-endian two's complement of 1 to 16 bytes. */
bool decode_plain_decimals(struct str in, i128 *values, size_t n, int bytes)
{
    if (bytes < 1 || bytes > DECIMAL_BYTES || in.n / (size_t)bytes < n) return false;
    const uint8_t *p = (const uint8_t *)in.p;
    for (size_t i = 0; i < n; i++, p += bytes) {
        if (bytes == DECIMAL_BYTES) {
            uint64_t high, low;
            memcpy(&high, p, 8);
            memcpy(&low, p + 8, 8);
            values[i] = (i128)((u128)__builtin_bswap64(high) << 64 | __builtin_bswap64(low));
            continue;
        }
        u128 v = p[0] & 0x80 ? ~(u128)0 : 0;
        for (int k = 0; k < bytes; k++) v = v << 8 | p[k];
        values[i] = (i128)v;
    }
    return true;
}

bool decode_plain_booleans(struct str in, uint8_t *values, size_t n)
{
    if (in.n < (n + 7) / 8) return false;
    for (size_t i = 0; i < n; i++) values[i] = (uint8_t)in.p[i / 8] >> (i % 8) & 1;
    return true;
}
