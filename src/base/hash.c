#include "base/hash.h"

#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash64(struct str s) { return XXH3_64bits(s.p, s.n); }

u128 hash128(struct str s)
{
    XXH128_hash_t h = XXH3_128bits(s.p, s.n);
    return (u128)h.high64 << 64 | h.low64;
}

void hash_hex(u128 h, char text[33])
{
    snprintf(text, 33, "%016llx%016llx", (unsigned long long)(uint64_t)(h >> 64),
             (unsigned long long)(uint64_t)h);
}
