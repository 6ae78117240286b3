/* segment.h - the layout of our own frame segments; docs/formats.md is its text. Internal to
 * recording/.
 *
 * A segment is a valid .zst file: our headers are zstd's skippable frames, so `zstd -dc` gives the
 * bare records.
 */
#ifndef TICKLAKE_RECORDING_SEGMENT_H
#define TICKLAKE_RECORDING_SEGMENT_H

#include "base/str.h"

#define SEGMENT_MAGIC       "TLFRAMES"
#define SEGMENT_BLOCK_MAGIC "TLBK"

enum {
    SEGMENT_VERSION = 1,
    SEGMENT_SKIPPABLE = 8, /* zstd's magic and the size of what follows */
    SEGMENT_HEADER_BODY = 32,
    SEGMENT_HEADER = SEGMENT_SKIPPABLE + SEGMENT_HEADER_BODY,
    SEGMENT_BLOCK_BODY = 40,
    SEGMENT_BLOCK_HEADER = SEGMENT_SKIPPABLE + SEGMENT_BLOCK_BODY,
    SEGMENT_RECORD_HEADER = 21,
    SEGMENT_BLOCK_RAW = 1 << 20,         /* a block is closed at this size */
    SEGMENT_RAW_MAX = (64 << 20) + 8192, /* one record can be a whole REST answer */
    SEGMENT_URL_MAX = 4096,
};
#define SEGMENT_SKIPPABLE_HEADER UINT32_C(0x184D2A5E)
#define SEGMENT_SKIPPABLE_BLOCK  UINT32_C(0x184D2A5D)

static inline void segment_put(uint8_t *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) to[i] = (uint8_t)(value >> (8 * i));
}
static inline uint64_t segment_get(const void *from, int bytes)
{
    const uint8_t *p = from;
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)p[i] << (8 * i);
    return value;
}

#endif
