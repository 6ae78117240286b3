#include "recording/input.h"

#include "io/file.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum pack { PACK_GZIP, PACK_ZSTD, PACK_ZIP };
enum { PACKED_CHUNK = 128 << 10, ZIP_HEADER = 30 };

struct unpack {
    enum pack pack;
    struct packed *from;
    bool ended;
    bool between; /* the last byte read ended a gzip member or zstd frame */
    size_t in_at, in_len;
    z_stream flate; /* gzip, and the deflated file of a zip */
    ZSTD_DStream *zstd;
    bool stored;           /* zip: the file is not deflated */
    bool described;        /* zip: length and checksum stand behind the file */
    uint64_t left;         /* zip, stored: bytes still to come */
    uint32_t crc, crc_due; /* zip: of what was unpacked, and as its header has it */
    char entry[256];
    uint8_t in[PACKED_CHUNK];
};

enum err_code packed_read(struct packed *p, void *to, size_t n, size_t *ret_n, struct err *e)
{
    uint64_t left = p->size - p->at;
    if (n > left) n = (size_t)left;
    if (p->fd < 0) {
        if (n) memcpy(to, p->bytes.p + p->at, n);
    } else {
        TRY(file_read_at(p->fd, p->path, p->at, to, n, e));
    }
    p->at += n;
    *ret_n = n;
    return ERR_OK;
}

static enum err_code damaged(const struct unpack *u, struct err *e, const char *what)
{
    static const char *const names[] = {"gzip", "zstd", "zip"};
    return ERR(e, ERR_CORRUPT, "%s: %s data %s near byte %llu of %llu", u->from->path,
               names[u->pack], what, (unsigned long long)(u->from->at - (u->in_len - u->in_at)),
               (unsigned long long)u->from->size);
}

/* ERR_OK with an empty buffer at the end of the packed bytes. */
static enum err_code more_packed(struct unpack *u, struct err *e)
{
    if (u->in_at < u->in_len) return ERR_OK;
    u->in_at = u->in_len = 0;
    return packed_read(u->from, u->in, sizeof u->in, &u->in_len, e);
}

static uint64_t little(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static enum err_code inflate_open(struct unpack *u, int window, struct err *e)
{
    return inflateInit2(&u->flate, window) == Z_OK ? ERR_OK : ERR(e, ERR_FULL, "zlib: no memory");
}

/* ---- zip: the first file in it, read from front to back, so that a cut one gives what is there
 * ---- */

/* Reads the first local header; what it names is what is unpacked. */
static enum err_code zip_open(struct unpack *u, struct err *e)
{
    uint8_t head[ZIP_HEADER], skipped[256];
    size_t n, name_n;
    do {
        TRY(packed_read(u->from, head, sizeof head, &n, e));
        if (n < sizeof head || little(head, 4) != 0x04034b50)
            return damaged(u, e, "hold no file, or are cut,");
        name_n = (size_t)little(head + 26, 2);
        size_t kept = name_n < sizeof u->entry - 1 ? name_n : sizeof u->entry - 1;
        TRY(packed_read(u->from, u->entry, kept, &n, e));
        u->entry[n] = 0;
        for (size_t skip = name_n - kept + (size_t)little(head + 28, 2); skip > 0; skip -= n) {
            TRY(packed_read(u->from, skipped, skip < sizeof skipped ? skip : sizeof skipped, &n,
                            e));
            if (n == 0) return damaged(u, e, "are cut");
        }
        /* A folder has no bytes, and a name that ends in a slash. */
    } while (name_n > 0 && u->entry[strlen(u->entry) ? strlen(u->entry) - 1 : 0] == '/');
    uint64_t flags = little(head + 6, 2), method = little(head + 8, 2);
    u->stored = method == 0;
    u->described = (flags & 8) != 0;
    u->crc_due = (uint32_t)little(head + 14, 4);
    u->left = little(head + 18, 4);
    u->crc = (uint32_t)crc32(0, NULL, 0);
    if ((flags & 1) || (method != 0 && method != 8) ||
        (u->stored && (u->described || u->left == UINT32_MAX)))
        return damaged(u, e, "are encrypted or packed in a way that is not read");
    u->between = false;
    return inflate_open(u, -15, e);
}

/* At the end of the file: its checksum, and whether another one follows. */
static enum err_code zip_end(struct unpack *u, struct err *e)
{
    uint8_t tail[24];
    size_t n;
    u->ended = true;
    u->from->at -= u->in_len - u->in_at; /* give back what was read ahead */
    u->in_at = u->in_len = 0;
    if (u->described) {
        TRY(packed_read(u->from, tail, 16, &n, e));
        bool marked = n == 16 && little(tail, 4) == 0x08074b50;
        if (n < 16 && n < 12) return damaged(u, e, "are cut");
        u->crc_due = (uint32_t)little(tail + (marked ? 4 : 0), 4);
        if (!marked && n == 16) u->from->at -= 4;
    }
    if (u->crc != u->crc_due) return damaged(u, e, "have another checksum than they should");
    TRY(packed_read(u->from, tail, 4, &n, e));
    if (n == 4 && little(tail, 4) == 0x04034b50)
        return damaged(u, e, "hold more than one file; only the first one was read,");
    return ERR_OK;
}

static enum err_code zip_stored(struct unpack *u, uint8_t *to, size_t n, size_t *ret_n)
{
    size_t have = u->in_len - u->in_at;
    if (n > have) n = have;
    if (n > u->left) n = (size_t)u->left;
    memcpy(to, u->in + u->in_at, n);
    u->in_at += n;
    u->left -= n;
    *ret_n = n;
    return ERR_OK;
}

/* ---- One step of each: some packed bytes in, some unpacked ones out ---- */

/* zlib's codes: OK, END and BUF_ERROR (no progress without more input) are fine. */
static int inflate_step(struct unpack *u, uint8_t *to, size_t n, size_t *ret_n)
{
    u->flate.next_in = u->in + u->in_at;
    u->flate.avail_in = (uInt)(u->in_len - u->in_at);
    u->flate.next_out = to;
    u->flate.avail_out = (uInt)n;
    int got = inflate(&u->flate, Z_NO_FLUSH);
    u->in_at = u->in_len - u->flate.avail_in;
    *ret_n = n - u->flate.avail_out;
    u->between = got == Z_STREAM_END;
    return got == Z_BUF_ERROR ? Z_OK : got;
}

/* Behind a gzip member: another one follows, or padding zeros, or the end. */
static enum err_code next_member(struct unpack *u, struct err *e)
{
    while (u->in_at < u->in_len && u->in[u->in_at] == 0) u->in_at++;
    if (u->in_at == u->in_len) return ERR_OK;
    if (u->in[u->in_at] != 0x1f) return damaged(u, e, "are followed by foreign bytes");
    inflateReset(&u->flate);
    u->between = false;
    return ERR_OK;
}

static enum err_code gzip_step(struct unpack *u, uint8_t *to, size_t n, size_t *ret_n,
                               struct err *e)
{
    if (u->between) {
        TRY(next_member(u, e));
        if (u->in_at == u->in_len) return ERR_OK;
    }
    int got = inflate_step(u, to, n, ret_n);
    return got == Z_OK || got == Z_STREAM_END ? ERR_OK : damaged(u, e, "are damaged");
}

static enum err_code zip_step(struct unpack *u, uint8_t *to, size_t n, size_t *ret_n, struct err *e)
{
    int got = Z_OK;
    if (u->stored)
        TRY(zip_stored(u, to, n, ret_n));
    else
        got = inflate_step(u, to, n, ret_n);
    u->crc = (uint32_t)crc32(u->crc, to, (uInt)*ret_n);
    if (got != Z_OK && got != Z_STREAM_END) return damaged(u, e, "are damaged");
    return got == Z_STREAM_END || (u->stored && u->left == 0) ? zip_end(u, e) : ERR_OK;
}

/* One block at a time: what was unpacked in a call that meets damage is lost, by zstd's interface. */
static enum err_code zstd_step(struct unpack *u, uint8_t *to, size_t n, size_t *ret_n,
                               struct err *e)
{
    ZSTD_inBuffer in = {u->in, u->in_len, u->in_at};
    ZSTD_outBuffer out = {to, n < ZSTD_BLOCKSIZE_MAX ? n : ZSTD_BLOCKSIZE_MAX, 0};
    size_t got = ZSTD_decompressStream(u->zstd, &out, &in);
    u->in_at = in.pos;
    *ret_n = out.pos;
    if (ZSTD_isError(got)) return damaged(u, e, "are damaged");
    u->between = got == 0;
    return ERR_OK;
}

static enum err_code step(struct unpack *u, uint8_t *to, size_t n, size_t *ret_n, struct err *e)
{
    TRY(more_packed(u, e));
    bool dry = u->in_len == 0;
    if (dry && u->between) {
        u->ended = true;
        return ERR_OK;
    }
    enum err_code code = u->pack == PACK_GZIP   ? gzip_step(u, to, n, ret_n, e)
                         : u->pack == PACK_ZSTD ? zstd_step(u, to, n, ret_n, e)
                                                : zip_step(u, to, n, ret_n, e);
    /* What a decoder still holds comes out without more input; then it must be at its end. */
    if (code == ERR_OK && dry && *ret_n == 0 && !u->ended && !u->between)
        return damaged(u, e, "end before their end: the file is cut");
    return code;
}

enum err_code unpack_read(struct unpack *u, void *to, size_t n, size_t *ret_n, struct err *e)
{
    *ret_n = 0;
    while (!u->ended && *ret_n == 0) {
        enum err_code code = step(u, to, n, ret_n, e);
        if (code != ERR_OK) u->ended = true;
        if (code != ERR_OK) return code;
    }
    return ERR_OK;
}

/* ---- Opening ---- */

static int pack_of(const unsigned char *head, size_t n)
{
    if (n >= 2 && head[0] == 0x1f && head[1] == 0x8b) return PACK_GZIP;
    /* 0x184D2A5x is a skippable frame, with which a zstd file may begin. */
    bool skippable = n == 4 && (head[0] & 0xf0) == 0x50 && memcmp(head + 1, "\x2a\x4d\x18", 3) == 0;
    if (skippable || (n == 4 && memcmp(head, "\x28\xb5\x2f\xfd", 4) == 0)) return PACK_ZSTD;
    return n == 4 && memcmp(head, "PK\x03\x04", 4) == 0 ? PACK_ZIP : -1;
}

enum err_code unpack_open(struct packed *p, struct unpack **ret, struct err *e)
{
    unsigned char head[4] = {0};
    size_t n;
    TRY(packed_read(p, head, sizeof head, &n, e));
    p->at = 0;
    *ret = NULL;
    int pack = pack_of(head, n);
    if (pack < 0) return ERR_OK;
    struct unpack *u = calloc(1, sizeof *u);
    CHECK(u != NULL);
    u->pack = (enum pack)pack;
    u->from = p;
    u->between = true;
    enum err_code code = ERR_OK;
    if (pack == PACK_GZIP) code = inflate_open(u, 15 + 16, e);
    if (pack == PACK_ZSTD) u->zstd = ZSTD_createDStream();
    if (pack == PACK_ZIP) code = zip_open(u, e);
    if (code != ERR_OK) {
        unpack_close(u);
        return code;
    }
    *ret = u;
    return ERR_OK;
}

struct unpack *unpack_close(struct unpack *u)
{
    if (!u) return NULL;
    if (u->pack != PACK_ZSTD) inflateEnd(&u->flate);
    ZSTD_freeDStream(u->zstd);
    free(u);
    return NULL;
}

const char *unpack_entry(const struct unpack *u) { return u && u->entry[0] ? u->entry : NULL; }
