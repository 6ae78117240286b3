#include "recording/recording.h"
#include "recording/segment.h"

#include "base/hash.h"
#include "io/file.h"
#include "venue/venue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

enum { ZSTD_LEVEL = 1 }; /* measured: level 3 is slower and not smaller on such frames */

struct recording_writer {
    char folder[PATH_LIMIT];
    struct recording_writer_options options;
    int fd; /* of the open segment, or -1 */
    char path[PATH_LIMIT];
    uint64_t written;
    int64_t opened_ns, first_ns, last_ns; /* of the segment; of the block's first record; newest */
    int64_t count;                        /* of segments, for their names */
    size_t records;
    struct buf raw;
    struct buf zip;
    ZSTD_CCtx *compressor;
};

static enum err_code disk(const struct recording_writer *w, const char *what, struct err *e)
{
    return ERR(e, ERR_DISK, "%s %s: %s", what, w->path, strerror(errno));
}

static enum err_code write_all(struct recording_writer *w, const void *data, size_t len,
                               struct err *e)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(w->fd, (const char *)data + done, len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return disk(w, "write", e);
        done += (size_t)n;
    }
    w->written += len;
    return ERR_OK;
}

enum err_code recording_writer_open(const struct recording_writer_options *o,
                                    struct recording_writer **ret, struct err *e)
{
    if (!o->folder || strlen(o->folder) + 64 >= PATH_LIMIT)
        return ERR(e, ERR_CONFIG, "record: a folder of at most %d bytes is expected",
                   PATH_LIMIT - 64);
    TRY(file_make_folders(o->folder, e));
    struct recording_writer *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    memcpy(w->folder, o->folder, strlen(o->folder));
    w->options = *o;
    w->options.folder = w->folder;
    w->fd = -1;
    w->last_ns = TIME_ABSENT;
    buf_init(&w->raw, SEGMENT_RAW_MAX + SEGMENT_BLOCK_RAW);
    buf_init(&w->zip, ZSTD_compressBound(SEGMENT_RAW_MAX + SEGMENT_BLOCK_RAW));
    w->compressor = ZSTD_createCCtx();
    CHECK(w->compressor != NULL);
    *ret = w;
    return ERR_OK;
}

/* "frames-20261125T120000.123Z-7.tlf.zst": name order is time order. */
static void segment_path(struct recording_writer *w, int64_t now_ns)
{
    char text[TIME_TEXT_MAX], name[96], compact[32];
    time_format(time_floor(now_ns, NS_PER_S), text);
    size_t n = 0;
    for (const char *c = text; *c && n < sizeof compact - 1; c++)
        if (*c != '-' && *c != ':') compact[n++] = *c;
    compact[n] = 0;
    snprintf(name, sizeof name, "frames-%s-%06lld.tlf.zst", compact, (long long)w->count);
    path_join(w->path, w->folder, name);
}

static enum err_code open_segment(struct recording_writer *w, int64_t now_ns, struct err *e)
{
    do {
        w->count++;
        segment_path(w, now_ns);
        w->fd = open(w->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    } while (w->fd < 0 && errno == EEXIST && w->count < 1000000);
    if (w->fd < 0) return disk(w, "create", e);
    w->written = 0;
    w->opened_ns = now_ns;
    uint8_t head[SEGMENT_HEADER] = {0};
    uint8_t *body = head + SEGMENT_SKIPPABLE;
    segment_put(head, SEGMENT_SKIPPABLE_HEADER, 4);
    segment_put(head + 4, SEGMENT_HEADER_BODY, 4);
    memcpy(body, SEGMENT_MAGIC, 8);
    segment_put(body + 8, SEGMENT_VERSION, 4);
    segment_put(body + 16, (uint64_t)now_ns, 8);
    segment_put(body + 24, hash64((struct str){(const char *)body, 24}), 8);
    TRY(write_all(w, head, sizeof head, e));
    return file_sync_folder(w->folder, e);
}

/* Compresses what is buffered and writes it behind its header. */
static enum err_code write_block(struct recording_writer *w, struct err *e)
{
    if (w->records == 0) return ERR_OK;
    buf_reset(&w->zip);
    size_t bound = ZSTD_compressBound(w->raw.len);
    uint8_t *to = buf_room(&w->zip, bound);
    CHECK(to != NULL);
    size_t n = ZSTD_compressCCtx(w->compressor, to, bound, w->raw.data, w->raw.len, ZSTD_LEVEL);
    CHECK(!ZSTD_isError(n));
    uint8_t head[SEGMENT_BLOCK_HEADER] = {0};
    uint8_t *body = head + SEGMENT_SKIPPABLE;
    segment_put(head, SEGMENT_SKIPPABLE_BLOCK, 4);
    segment_put(head + 4, SEGMENT_BLOCK_BODY, 4);
    memcpy(body, SEGMENT_BLOCK_MAGIC, 4);
    segment_put(body + 4, n, 4);
    segment_put(body + 8, w->raw.len, 4);
    segment_put(body + 12, w->records, 4);
    segment_put(body + 16, (uint64_t)w->first_ns, 8);
    segment_put(body + 24, hash64(buf_str(&w->raw)), 8);
    segment_put(body + 32, hash64((struct str){(const char *)body, 32}), 8);
    TRY(write_all(w, head, sizeof head, e));
    TRY(write_all(w, to, n, e));
    buf_reset(&w->raw);
    w->records = 0;
    return ERR_OK;
}

static enum err_code close_segment(struct recording_writer *w, struct err *e)
{
    if (w->fd < 0) return ERR_OK;
    enum err_code code = write_block(w, e);
    if (code == ERR_OK && fdatasync(w->fd) != 0) code = disk(w, "sync", e);
    close(w->fd);
    w->fd = -1;
    return code;
}

enum err_code recording_writer_add(struct recording_writer *w, const struct recording_item *item,
                                   struct err *e)
{
    if (item->kind > RECORDING_REST || item->venue.n > UINT16_MAX ||
        item->connection.n > UINT16_MAX || item->url.n > SEGMENT_URL_MAX || item->len > (64u << 20))
        return ERR(e, ERR_FULL, "record: an item of kind %d with %zu bytes cannot be recorded",
                   (int)item->kind, item->len);
    if (w->fd < 0) TRY(open_segment(w, item->received_ns, e));
    if (w->records == 0) w->first_ns = item->received_ns;
    uint8_t head[SEGMENT_RECORD_HEADER];
    head[0] = (uint8_t)item->kind;
    segment_put(head + 1, (uint64_t)item->received_ns, 8);
    segment_put(head + 9, item->venue.n, 2);
    segment_put(head + 11, item->connection.n, 2);
    segment_put(head + 13, item->url.n, 4);
    segment_put(head + 17, item->len, 4);
    buf_add(&w->raw, head, sizeof head);
    buf_add_str(&w->raw, item->venue);
    buf_add_str(&w->raw, item->connection);
    buf_add_str(&w->raw, item->url);
    if (item->len) buf_add(&w->raw, item->bytes, item->len);
    CHECK(!w->raw.failed);
    w->records++;
    w->last_ns = item->received_ns;
    if (w->raw.len < SEGMENT_BLOCK_RAW) return ERR_OK;
    TRY(write_block(w, e));
    bool big = w->options.segment_bytes && w->written >= w->options.segment_bytes;
    return big ? close_segment(w, e) : ERR_OK;
}

struct retention {
    struct recording_writer *w;
    int64_t before_ns;
};

/* A segment is as old as its name says. It goes when the next one begins before the limit too,
 * which its own end is not later than: so nothing younger than the retention is removed. */
static enum err_code remove_old(void *ctx, const char *name, bool is_folder, struct err *e)
{
    struct retention *x = ctx;
    struct str rest = str_of(name);
    if (is_folder || !str_starts(rest, "frames-") || !str_ends(rest, ".tlf.zst")) return ERR_OK;
    str_cut(&rest, '-');
    struct str t = str_cut(&rest, '-');
    int64_t begun;
    char iso[32];
    if (t.n != 16) return ERR_OK;
    snprintf(iso, sizeof iso, "%.4s-%.2s-%.5s:%.2s:%.2sZ", t.p, t.p + 4, t.p + 6, t.p + 11,
             t.p + 13);
    if (time_parse_iso(str_of(iso), &begun) != ERR_OK) return ERR_OK;
    int64_t end = begun + x->w->options.segment_ns;
    char path[PATH_LIMIT];
    path_join(path, x->w->folder, name);
    if (end >= x->before_ns || strcmp(path, x->w->path) == 0) return ERR_OK;
    return file_remove(path, e);
}

enum err_code recording_writer_flush(struct recording_writer *w, int64_t now_ns, struct err *e)
{
    if (w->fd < 0) return ERR_OK;
    TRY(write_block(w, e));
    if (fdatasync(w->fd) != 0) return disk(w, "sync", e);
    bool old = w->options.segment_ns && now_ns - w->opened_ns >= w->options.segment_ns;
    bool big = w->options.segment_bytes && w->written >= w->options.segment_bytes;
    if (!old && !big) return ERR_OK;
    TRY(close_segment(w, e));
    if (w->options.retention_ns == 0) return ERR_OK;
    struct retention x = {w, now_ns - w->options.retention_ns};
    return file_list(w->folder, remove_old, &x, e);
}

enum err_code recording_writer_close(struct recording_writer *w, struct err *e)
{
    if (!w) return ERR_OK;
    enum err_code code = close_segment(w, e);
    ZSTD_freeCCtx(w->compressor);
    buf_free(&w->raw);
    buf_free(&w->zip);
    free(w);
    return code;
}
