#include "recording/input.h"

#include "io/file.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

/* Formats whose packed bytes come through one buffer; zip goes through libarchive, which reads by itself. */
enum pack { PACK_GZIP, PACK_ZSTD, PACK_ZIP };
enum { PACKED_CHUNK = 128 << 10 };

struct unpack {
    enum pack pack;
    struct packed *from;
    bool ended;
    bool between; /* the last byte read ended a gzip member or zstd frame */
    size_t in_at, in_len;
    z_stream gzip;
    ZSTD_DStream *zstd;
    struct archive *zip;
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

/* ERR_OK with nothing new in the buffer at the end of the packed bytes. */
static enum err_code more_packed(struct unpack *u, struct err *e)
{
    if (u->in_at < u->in_len) return ERR_OK;
    u->in_at = u->in_len = 0;
    return packed_read(u->from, u->in, sizeof u->in, &u->in_len, e);
}

static la_ssize_t zip_read(struct archive *a, void *ctx, const void **ret)
{
    struct unpack *u = ctx;
    struct err e;
    size_t n = 0;
    enum err_code code = packed_read(u->from, u->in, sizeof u->in, &n, &e);
    u->in_len = u->in_at = n;
    *ret = u->in;
    if (code == ERR_OK) return (la_ssize_t)n;
    archive_set_error(a, -1, "%s", e.text);
    return -1;
}

/* Moves on to the next file of the zip that is no folder; false at its end. */
static bool zip_entry(struct unpack *u)
{
    struct archive_entry *entry;
    while (archive_read_next_header(u->zip, &entry) == ARCHIVE_OK) {
        if (archive_entry_filetype(entry) != AE_IFREG) continue;
        const char *name = archive_entry_pathname(entry);
        if (u->entry[0] == 0) str_copy(u->entry, sizeof u->entry, str_of(name ? name : "?"));
        return true;
    }
    return false;
}

static bool zip_open(struct unpack *u)
{
    u->zip = archive_read_new();
    CHECK(u->zip != NULL);
    return archive_read_support_format_zip_streamable(u->zip) == ARCHIVE_OK &&
           archive_read_open(u->zip, u, NULL, zip_read, NULL) == ARCHIVE_OK && zip_entry(u);
}

enum err_code unpack_open(struct packed *p, struct unpack **ret, struct err *e)
{
    unsigned char head[4] = {0};
    size_t n;
    TRY(packed_read(p, head, sizeof head, &n, e));
    p->at = 0;
    *ret = NULL;
    enum pack pack;
    /* 0x184D2A5x is a skippable frame, with which a zstd file may begin. */
    if (n >= 2 && head[0] == 0x1f && head[1] == 0x8b)
        pack = PACK_GZIP;
    else if (n == 4 && (memcmp(head, "\x28\xb5\x2f\xfd", 4) == 0 ||
                        ((head[0] & 0xf0) == 0x50 && memcmp(head + 1, "\x2a\x4d\x18", 3) == 0)))
        pack = PACK_ZSTD;
    else if (n == 4 && memcmp(head, "PK\x03\x04", 4) == 0)
        pack = PACK_ZIP;
    else
        return ERR_OK;
    struct unpack *u = calloc(1, sizeof *u);
    CHECK(u != NULL);
    u->pack = pack;
    u->from = p;
    u->between = true;
    bool opened = true;
    if (pack == PACK_GZIP) opened = inflateInit2(&u->gzip, 15 + 16) == Z_OK;
    if (pack == PACK_ZSTD) opened = (u->zstd = ZSTD_createDStream()) != NULL;
    CHECK(opened);
    if (pack == PACK_ZIP && !zip_open(u)) {
        enum err_code code = damaged(u, e, "cannot be read");
        unpack_close(u);
        return code;
    }
    *ret = u;
    return ERR_OK;
}

struct unpack *unpack_close(struct unpack *u)
{
    if (!u) return NULL;
    if (u->pack == PACK_GZIP) inflateEnd(&u->gzip);
    ZSTD_freeDStream(u->zstd);
    if (u->zip) archive_read_free(u->zip);
    free(u);
    return NULL;
}

const char *unpack_entry(const struct unpack *u) { return u && u->entry[0] ? u->entry : NULL; }

/* Behind a gzip member: another one follows, or padding zeros, or the end. */
static enum err_code next_member(struct unpack *u, struct err *e)
{
    while (u->in_at < u->in_len && u->in[u->in_at] == 0) u->in_at++;
    if (u->in_at == u->in_len) return ERR_OK;
    if (u->in[u->in_at] != 0x1f) return damaged(u, e, "are followed by foreign bytes");
    inflateReset(&u->gzip);
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
    u->gzip.next_in = u->in + u->in_at;
    u->gzip.avail_in = (uInt)(u->in_len - u->in_at);
    u->gzip.next_out = to;
    u->gzip.avail_out = (uInt)n;
    int got = inflate(&u->gzip, Z_NO_FLUSH);
    u->in_at = u->in_len - u->gzip.avail_in;
    *ret_n = n - u->gzip.avail_out;
    u->between = got == Z_STREAM_END;
    if (got == Z_OK || got == Z_STREAM_END || got == Z_BUF_ERROR) return ERR_OK;
    return damaged(u, e, "are damaged");
}

static enum err_code zstd_step(struct unpack *u, uint8_t *to, size_t n, size_t *ret_n,
                               struct err *e)
{
    ZSTD_inBuffer in = {u->in, u->in_len, u->in_at};
    ZSTD_outBuffer out = {to, n, 0};
    size_t got = ZSTD_decompressStream(u->zstd, &out, &in);
    u->in_at = in.pos;
    *ret_n = out.pos;
    if (ZSTD_isError(got)) return damaged(u, e, "are damaged");
    u->between = got == 0;
    return ERR_OK;
}

static enum err_code zip_step(struct unpack *u, uint8_t *to, size_t n, size_t *ret_n, struct err *e)
{
    la_ssize_t got = archive_read_data(u->zip, to, n);
    if (got < 0) return damaged(u, e, "are damaged");
    *ret_n = (size_t)got;
    if (got > 0) return ERR_OK;
    u->ended = true;
    if (zip_entry(u)) return damaged(u, e, "hold more than one file; only the first one was read,");
    return ERR_OK;
}

enum err_code unpack_read(struct unpack *u, void *to, size_t n, size_t *ret_n, struct err *e)
{
    *ret_n = 0;
    while (!u->ended && *ret_n == 0) {
        enum err_code code = ERR_OK;
        if (u->pack == PACK_ZIP) {
            code = zip_step(u, to, n, ret_n, e);
        } else {
            code = more_packed(u, e);
            if (code == ERR_OK && u->in_len == 0 && !u->between) {
                /* What the decoder still holds comes out without more input. */
                code = u->pack == PACK_GZIP ? gzip_step(u, to, n, ret_n, e)
                                            : zstd_step(u, to, n, ret_n, e);
                if (code == ERR_OK && *ret_n == 0)
                    code = damaged(u, e, "end before their end: the file is cut");
            } else if (code == ERR_OK && u->in_len == 0) {
                u->ended = true;
            } else if (code == ERR_OK) {
                code = u->pack == PACK_GZIP ? gzip_step(u, to, n, ret_n, e)
                                            : zstd_step(u, to, n, ret_n, e);
            }
        }
        if (code != ERR_OK) u->ended = true;
        if (code != ERR_OK) return code;
    }
    return ERR_OK;
}
