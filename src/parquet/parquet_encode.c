/* Integers to bytes: bit packing, the RLE / bit-packed hybrid, DELTA_BINARY_PACKED.
 *
 * Plain C: on 5 million trades all that is here takes less than half of the time that zstd does, so
 * intrinsics would buy little.
 */
#include "parquet/parquet_internal.h"

enum { BLOCK = 128, MINIBLOCK = 32 }; /* what pyarrow and parquet-mr use: 4 miniblocks a block */

int bits_for(uint64_t v) { return v ? 64 - __builtin_clzll(v) : 0; }

static inline void put_u64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof v); /* little endian: the only order this program is built for */
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "Parquet and Avro values are copied as they are");

/* n (a multiple of 8) values below 2^width to n * width / 8 bytes, lowest bit first. `out` has 8
 * bytes to spare. */
static inline __attribute__((always_inline)) void pack(const uint64_t *values, size_t n, int width,
                                                       uint8_t *out)
{
    uint64_t bits = 0;
    int used = 0;
    for (size_t i = 0; i < n; i++) {
        bits |= values[i] << used;
        used += width;
        if (used >= 64) {
            put_u64(out, bits);
            out += 8;
            used -= 64;
            bits = used ? values[i] >> (width - used) : 0;
        }
    }
    if (used > 0) put_u64(out, bits);
}

/* ---- hybrid ---------------------------------------------------------------------------------- */

static void put_literals(struct buf *out, const uint32_t *values, size_t n, int width)
{
    size_t groups = (n + 7) / 8;
    encode_varint(out, groups << 1 | 1);
    uint8_t *to = buf_room(out, groups * (size_t)width + 8);
    if (!to) return;
    out->len += groups * (size_t)width;
    uint64_t part[64];
    for (size_t i = 0; i < n; i += 64) {
        size_t m = n - i < 64 ? n - i : 64;
        for (size_t k = 0; k < m; k++) part[k] = values[i + k];
        size_t padded = (m + 7) / 8 * 8;
        for (size_t k = m; k < padded; k++) part[k] = 0;
        pack(part, padded, width, to);
        to += padded * (size_t)width / 8;
    }
}

static void put_run(struct buf *out, uint32_t value, size_t n, int width)
{
    encode_varint(out, (uint64_t)n << 1);
    uint8_t bytes[4];
    memcpy(bytes, &value, 4);
    buf_add(out, bytes, (size_t)(width + 7) / 8);
}

static size_t run_length(const uint32_t *values, size_t n)
{
    size_t k = 1;
    while (k < n && values[k] == values[0]) k++;
    return k;
}

/* A run pays when its values, packed, take more than the run and the head of the literals behind
 * it. */
void encode_hybrid(struct buf *out, const uint32_t *values, size_t n, int width)
{
    size_t least = width > 0 ? 8 + 32 / (size_t)width : 1, literals = 0, i = 0;
    while (i < n) {
        size_t run = run_length(values + i, n - i), pad = (8 - (i - literals) % 8) % 8;
        if (run < least + pad) {
            i += run;
            continue;
        }
        i += pad; /* literals come in groups of eight: the run gives what is missing */
        if (i > literals) put_literals(out, values + literals, i - literals, width);
        put_run(out, values[i], run - pad, width);
        i += run - pad;
        literals = i;
    }
    if (n > literals) put_literals(out, values + literals, n - literals, width);
}

void encode_levels(struct buf *out, const uint8_t *present, size_t n, uint32_t *levels)
{
    size_t start = out->len;
    buf_add(out, "\0\0\0", 4);
    if (!present) {
        put_run(out, 1, n, 1);
    } else {
        for (size_t i = 0; i < n; i++) levels[i] = present[i] != 0;
        encode_hybrid(out, levels, n, 1);
    }
    if (out->failed) return;
    uint32_t len = (uint32_t)(out->len - start - 4);
    memcpy(out->data + start, &len, 4);
}

void encode_plain_booleans(struct buf *out, const uint8_t *values, size_t n)
{
    uint8_t *to = buf_room(out, (n + 7) / 8);
    if (!to) return;
    memset(to, 0, (n + 7) / 8);
    for (size_t i = 0; i < n; i++) to[i / 8] |= (uint8_t)((values[i] != 0) << (i % 8));
    out->len += (n + 7) / 8;
}

/* ---- DELTA_BINARY_PACKED --------------------------------------------------------------------- */

/* One block of n <= 128 deltas; returns the end. Room: 10 + 4 + 128 * 8 + 8. */
static uint8_t *put_block(uint8_t *to, const int64_t *values, int64_t before, size_t n)
{
    uint64_t deltas[BLOCK];
    deltas[0] = (uint64_t)values[0] - (uint64_t)before; /* wraps, and unwraps in the reader */
    for (size_t i = 1; i < n; i++) deltas[i] = (uint64_t)values[i] - (uint64_t)values[i - 1];
    int64_t least = (int64_t)deltas[0];
    for (size_t i = 1; i < n; i++) {
        int64_t d = (int64_t)deltas[i];
        least = d < least ? d : least;
    }
    for (size_t i = 0; i < n; i++) deltas[i] -= (uint64_t)least;
    for (size_t i = n; i < BLOCK; i++) deltas[i] = 0;
    uint64_t head = ((uint64_t)least << 1) ^ (uint64_t)(least >> 63);
    for (; head >= 0x80; head >>= 7) *to++ = (uint8_t)(head | 0x80);
    *to++ = (uint8_t)head;
    uint8_t *widths = to;
    to += BLOCK / MINIBLOCK;
    for (size_t m = 0; m < BLOCK / MINIBLOCK; m++) {
        const uint64_t *mini = deltas + m * MINIBLOCK;
        uint64_t all = 0;
        for (size_t i = 0; i < MINIBLOCK; i++) all |= mini[i];
        int width = bits_for(all); /* an unused miniblock is all zeros: width 0, no bytes */
        widths[m] = (uint8_t)width;
        if (width == 0) continue;
        pack(mini, MINIBLOCK, width, to);
        to += MINIBLOCK * width / 8;
    }
    return to;
}

void encode_delta(struct buf *out, const int64_t *values, size_t n)
{
    int64_t first = n ? values[0] : 0;
    encode_varint(out, BLOCK);
    encode_varint(out, BLOCK / MINIBLOCK);
    encode_varint(out, n);
    encode_varint(out, ((uint64_t)first << 1) ^ (uint64_t)(first >> 63));
    for (size_t i = 1; i < n; i += BLOCK) {
        size_t m = n - i < BLOCK ? n - i : BLOCK;
        uint8_t *to = buf_room(out, 10 + 4 + BLOCK * 8 + 8);
        if (!to) return;
        out->len += (size_t)(put_block(to, values + i, values[i - 1], m) - to);
    }
}
