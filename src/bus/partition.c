#include "bus/bus_internal.h"

/* Four bytes, little-endian: what Java's client assembles by hand. */
static uint32_t word(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* org.apache.kafka.common.utils.Utils.murmur2: its int arithmetic wraps as uint32_t does, and its seed and length word are
 * those here. A bit of difference would put a symbol's records on two partitions, beside those of other clients. */
uint32_t bus_murmur2(struct str key)
{
    const uint32_t seed = 0x9747b28c, m = 0x5bd1e995;
    const int r = 24;
    const uint8_t *p = (const uint8_t *)key.p;
    size_t n = key.n;
    uint32_t h = seed ^ (uint32_t)n;
    for (; n >= 4; p += 4, n -= 4) {
        uint32_t k = word(p) * m;
        k ^= k >> r;
        h = (h * m) ^ (k * m);
    }
    if (n == 3) h ^= (uint32_t)p[2] << 16;
    if (n >= 2) h ^= (uint32_t)p[1] << 8;
    if (n >= 1) h = (h ^ p[0]) * m;
    h = (h ^ h >> 13) * m;
    return h ^ h >> 15;
}

int32_t bus_partition_of_key(struct str key, int32_t partitions)
{
    CHECK(partitions > 0);
    return (int32_t)((bus_murmur2(key) & INT32_MAX) % (uint32_t)partitions);
}

struct bus_key bus_key(struct str venue, struct str symbol)
{
    struct bus_key key = {.n = 0};
    const size_t room = sizeof key.bytes;
    key.n = venue.n < room ? venue.n : room;
    if (key.n) memcpy(key.bytes, venue.p, key.n);
    if (symbol.n == 0 || key.n == room) return key;
    key.bytes[key.n++] = ':';
    size_t n = symbol.n < room - key.n ? symbol.n : room - key.n;
    if (n) memcpy(key.bytes + key.n, symbol.p, n);
    key.n += n;
    return key;
}

int32_t bus_partition(struct str venue, struct str symbol, int32_t partitions)
{
    struct bus_key key = bus_key(venue, symbol);
    return bus_partition_of_key((struct str){key.bytes, key.n}, partitions);
}
