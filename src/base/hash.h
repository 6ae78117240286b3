/* hash.h - xxHash3, with the 128-bit sums of the proof. Stable across machines: its values are stored. */
#ifndef TICKLAKE_BASE_HASH_H
#define TICKLAKE_BASE_HASH_H

#include "base/dec.h"

uint64_t hash64(struct str s);
u128 hash128(struct str s);
void hash_hex(u128 h, char text[33]);

#endif
