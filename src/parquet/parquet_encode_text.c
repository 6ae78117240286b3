/* Strings and decimals to bytes. */
#include "parquet/parquet_internal.h"

void encode_plain_strings(struct buf *out, const struct str *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t *to = buf_room(out, 4 + values[i].n);
        if (!to) return;
        uint32_t len = (uint32_t)values[i].n;
        memcpy(to, &len, 4);
        if (len) memcpy(to + 4, values[i].p, len);
        out->len += 4 + values[i].n;
    }
}

void encode_plain_decimals(struct buf *out, const i128 *values, size_t n)
{
    uint8_t *to = buf_room(out, n * DECIMAL_BYTES);
    if (!to) return;
    for (size_t i = 0; i < n; i++) {
        uint64_t high = __builtin_bswap64((uint64_t)((u128)values[i] >> 64));
        uint64_t low = __builtin_bswap64((uint64_t)values[i]);
        memcpy(to + i * DECIMAL_BYTES, &high, 8);
        memcpy(to + i * DECIMAL_BYTES + 8, &low, 8);
    }
    out->len += n * DECIMAL_BYTES;
}

static size_t common_prefix(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n, i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t x, y;
        memcpy(&x, a.p + i, 8);
        memcpy(&y, b.p + i, 8);
        if (x != y) return i + (size_t)__builtin_ctzll(x ^ y) / 8;
    }
    while (i < n && a.p[i] == b.p[i]) i++;
    return i;
}

void encode_delta_strings(struct buf *out, const struct str *values, size_t n, int64_t *lengths)
{
    int64_t *prefixes = lengths, *suffixes = lengths + n;
    size_t total = 0;
    struct str before = {"", 0};
    for (size_t i = 0; i < n; i++) {
        size_t prefix = common_prefix(before, values[i]);
        prefixes[i] = (int64_t)prefix;
        suffixes[i] = (int64_t)(values[i].n - prefix);
        total += values[i].n - prefix;
        before = values[i];
    }
    encode_delta(out, prefixes, n);
    encode_delta(out, suffixes, n);
    uint8_t *to = buf_room(out, total);
    if (!to) return;
    for (size_t i = 0; i < n; i++) {
        size_t suffix = (size_t)suffixes[i];
        if (suffix) memcpy(to, values[i].p + prefixes[i], suffix);
        to += suffix;
    }
    out->len += total;
}
