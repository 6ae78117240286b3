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

enum err_code hash_from_hex(struct str hex, u128 *ret)
{
    if (hex.n != 32) return ERR_PARSE;
    u128 h = 0;
    for (size_t i = 0; i < hex.n; i++) {
        char c = hex.p[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0) return ERR_PARSE;
        h = h << 4 | (unsigned)v;
    }
    *ret = h;
    return ERR_OK;
}
