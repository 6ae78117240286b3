/* Our own frame segments (segment.h): checked block by block. A block that is damaged is told with
 * its place and skipped; a tail that a crash tore off is told as such.
 */
#include "recording/reader.h"
#include "recording/segment.h"

#include "base/hash.h"

#include <stdlib.h>
#include <zstd.h>

struct ours {
    struct packed packed;
    uint8_t *zip; /* the block as it lies in the file */
    char *raw;    /* its records, with padding behind */
    size_t zip_cap, raw_cap, raw_len, raw_at;
    size_t records; /* of the block that are still to come */
    char *pad;      /* where padding was put over the next record */
    char saved[VENUE_PADDING];
    bool ended;
};

static bool probe(const struct probe *p)
{
    return p->head.n >= SEGMENT_HEADER && segment_get(p->head.p, 4) == SEGMENT_SKIPPABLE_HEADER &&
           memcmp(p->head.p + SEGMENT_SKIPPABLE, SEGMENT_MAGIC, 8) == 0;
}

static enum err_code open_file(struct recording *r, struct err *e)
{
    struct ours *o = calloc(1, sizeof *o);
    CHECK(o != NULL);
    r->state = o;
    o->packed = (struct packed){.fd = -1, .path = r->path, .bytes = r->bytes, .size = r->bytes.n};
    if (!r->bytes.p) TRY(file_open_read(r->path, &o->packed.fd, &o->packed.size, e));
    uint8_t head[SEGMENT_HEADER];
    size_t n;
    TRY(packed_read(&o->packed, head, sizeof head, &n, e));
    const uint8_t *body = head + SEGMENT_SKIPPABLE;
    uint64_t version = segment_get(body + 8, 4);
    if (segment_get(body + 24, 8) != hash64((struct str){(const char *)body, 24}))
        return ERR(e, ERR_CORRUPT, "%s: the segment's header is damaged", r->path);
    if (version > SEGMENT_VERSION)
        return ERR(e, ERR_VERSION,
                   "%s: frames of version %llu; this program reads up to %d: update it", r->path,
                   (unsigned long long)version, SEGMENT_VERSION);
    return ERR_OK;
}

static void close_file(struct recording *r)
{
    struct ours *o = r->state;
    if (!o) return;
    file_close(o->packed.fd);
    free(o->zip);
    free(o->raw);
    free(o);
}

static void *sized(void *p, size_t *cap, size_t n)
{
    if (n <= *cap) return p;
    free(p);
    p = malloc(n);
    CHECK(p != NULL);
    *cap = n;
    return p;
}

struct block {
    uint64_t at; /* of its header in the file */
    size_t zip_len, raw_len, records;
    uint64_t hash;
};

static bool parse_block(const uint8_t *head, struct block *b)
{
    const uint8_t *body = head + SEGMENT_SKIPPABLE;
    if (segment_get(head, 4) != SEGMENT_SKIPPABLE_BLOCK ||
        segment_get(head + 4, 4) != SEGMENT_BLOCK_BODY || memcmp(body, SEGMENT_BLOCK_MAGIC, 4) != 0)
        return false;
    b->zip_len = (size_t)segment_get(body + 4, 4);
    b->raw_len = (size_t)segment_get(body + 8, 4);
    b->records = (size_t)segment_get(body + 12, 4);
    b->hash = segment_get(body + 24, 8);
    return segment_get(body + 32, 8) == hash64((struct str){(const char *)body, 32}) &&
           b->raw_len <= SEGMENT_RAW_MAX && b->zip_len <= SEGMENT_RAW_MAX;
}

/* Looks for the next whole block header from `at` on; false: there is none. */
static bool find_block(struct ours *o, uint64_t at)
{
    enum { STEP = 64 << 10 };
    uint8_t part[STEP + SEGMENT_BLOCK_HEADER];
    for (; at + SEGMENT_BLOCK_HEADER <= o->packed.size; at += STEP) {
        size_t n;
        o->packed.at = at;
        if (packed_read(&o->packed, part, sizeof part, &n, NULL) != ERR_OK) return false;
        for (size_t i = 0; i + SEGMENT_BLOCK_HEADER <= n && i < STEP; i++) {
            struct block b;
            if (part[i] != (SEGMENT_SKIPPABLE_BLOCK & 0xff) || !parse_block(part + i, &b)) continue;
            o->packed.at = at + i;
            return true;
        }
    }
    return false;
}

/* What is wrong with the place at `at`; reading goes on at the next block that can be found. */
static enum err_code damaged(struct recording *r, struct err *e, uint64_t at, const char *what)
{
    struct ours *o = r->state;
    o->raw_len = o->raw_at = o->records = 0;
    unsigned long long end = o->packed.size, from = at;
    if (find_block(o, at + 1))
        return ERR(e, ERR_CORRUPT, "%s: byte %llu: %s; reading goes on at byte %llu", r->path, from,
                   what, (unsigned long long)o->packed.at);
    o->ended = true;
    return ERR(
        e, ERR_CORRUPT,
        "%s: byte %llu: %s; the last %llu bytes are not read (a torn tail, as a crash leaves it)",
        r->path, from, what, end - from);
}

static enum err_code read_block(struct recording *r, struct err *e)
{
    struct ours *o = r->state;
    struct block b = {.at = o->packed.at};
    uint8_t head[SEGMENT_BLOCK_HEADER];
    size_t n;
    TRY(packed_read(&o->packed, head, sizeof head, &n, e));
    if (n == 0) return ERR_NOT_FOUND;
    if (n < sizeof head) return damaged(r, e, b.at, "a block's header is cut");
    if (!parse_block(head, &b)) return damaged(r, e, b.at, "no block begins here");
    if (b.zip_len > o->packed.size - o->packed.at) return damaged(r, e, b.at, "a block is cut");
    o->zip = sized(o->zip, &o->zip_cap, b.zip_len);
    o->raw = sized(o->raw, &o->raw_cap, b.raw_len + VENUE_PADDING);
    TRY(packed_read(&o->packed, o->zip, b.zip_len, &n, e));
    size_t got = ZSTD_decompress(o->raw, b.raw_len, o->zip, b.zip_len);
    if (ZSTD_isError(got) || got != b.raw_len || hash64((struct str){o->raw, got}) != b.hash)
        return damaged(r, e, b.at, "a block's checksum differs");
    memset(o->raw + b.raw_len, 0, VENUE_PADDING);
    o->raw_len = b.raw_len;
    o->raw_at = 0;
    o->records = b.records;
    return ERR_OK;
}

static struct str take(struct ours *o, size_t n)
{
    struct str s = {o->raw + o->raw_at, n};
    o->raw_at += n;
    return s;
}

/* False where the record's lengths do not fit the block: a writer's bug, since the checksum was
 * right. */
static bool parse_record(struct ours *o, struct recording_item *ret)
{
    if (o->raw_len - o->raw_at < SEGMENT_RECORD_HEADER) return false;
    const char *head = take(o, SEGMENT_RECORD_HEADER).p;
    size_t venue = (size_t)segment_get(head + 9, 2), connection = (size_t)segment_get(head + 11, 2);
    size_t url = (size_t)segment_get(head + 13, 4), bytes = (size_t)segment_get(head + 17, 4);
    if (venue + connection + url + bytes > o->raw_len - o->raw_at ||
        (uint8_t)head[0] > RECORDING_REST)
        return false;
    ret->kind = (enum recording_kind)head[0];
    ret->received_ns = (int64_t)segment_get(head + 1, 8);
    ret->venue = take(o, venue);
    ret->connection = take(o, connection);
    ret->url = take(o, url);
    ret->bytes = o->raw + o->raw_at;
    ret->len = bytes;
    o->raw_at += bytes;
    return true;
}

static enum err_code next_item(struct recording *r, struct recording_item *ret, struct err *e)
{
    struct ours *o = r->state;
    if (o->pad) memcpy(o->pad, o->saved, sizeof o->saved);
    o->pad = NULL;
    if (o->ended) return ERR_NOT_FOUND;
    while (o->records == 0) TRY(read_block(r, e));
    o->records--;
    if (!parse_record(o, ret))
        return damaged(r, e, o->packed.at, "a record does not fit its block");
    o->pad = ret->bytes + ret->len;
    memcpy(o->saved, o->pad, sizeof o->saved);
    memset(o->pad, 0, sizeof o->saved);
    return ERR_OK;
}

const struct format format_ours = {
    .name = "ticklake frames",
    .packed = true,
    .spans = true,
    .probe = probe,
    .open = open_file,
    .next = next_item,
    .close = close_file,
};
