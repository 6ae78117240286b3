/* A venue's daily file: its checksum first, then the file in pieces, read like any recording once it is proven. */
#include "source/backfill_internal.h"

#include "io/clock.h"
#include "io/file.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

enum { PIECE_BYTES = 8 << 20, CHECKSUM_BYTES = 4096, ITEMS_LOOK = 1024, DIGEST_TEXT = 64 };
#define ARCHIVE_BYTES_MAX (UINT64_C(8) << 30)

static const char *base_of(const struct source_backfill *s)
{
    return s->o.archive_url ? s->o.archive_url : s->o.venue->history->archive_url;
}

/* "<64 hex digits>  BTCUSDT-trades-2024-08-08.zip" */
static bool read_checksum(struct str text, char digest[DIGEST_TEXT + 1])
{
    struct str first = str_trim(text);
    first = str_cut(&first, ' ');
    if (first.n != DIGEST_TEXT) return false;
    for (size_t i = 0; i < first.n; i++) {
        char c = first.p[i];
        if (c >= 'A' && c <= 'F') c = (char)(c - 'A' + 'a');
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
        digest[i] = c;
    }
    digest[DIGEST_TEXT] = 0;
    return true;
}

static enum err_code get_checksum(struct source_backfill *s, const char *path,
                                  char digest[DIGEST_TEXT + 1], bool *ret_there, struct err *e)
{
    struct history_request r = {0};
    int n = snprintf(r.http.path, sizeof r.http.path, "%s.CHECKSUM", path);
    CHECK(n > 0 && (size_t)n < sizeof r.http.path);
    struct http_answer a;
    http_answer_init(&a, CHECKSUM_BYTES);
    enum err_code code = backfill_get(s, base_of(s), &r, CHECKSUM_BYTES, &a, e);
    *ret_there = code == ERR_OK && a.status == 200;
    if (code == ERR_OK && a.status != 200 && a.status != 404)
        code = ERR(e, ERR_UNAVAILABLE, "GET %s.CHECKSUM: status %d", path, a.status);
    struct str text = {(const char *)a.body.data, *ret_there ? a.body.len : 0};
    if (*ret_there && !read_checksum(text, digest))
        code = ERR(e, ERR_CORRUPT, "GET %s.CHECKSUM: it is no line of sha256sum", path);
    http_answer_free(&a);
    return code;
}

struct download {
    struct file_writer *file;
    EVP_MD_CTX *hash;
    uint64_t got;
};

static enum err_code take_piece(struct download *d, const struct http_answer *a, const char *path,
                                bool *ret_more, struct err *e)
{
    size_t len = a->body.len;
    if (a->status == 416 && d->got) return ERR_OK; /* the piece before was the last */
    if (a->status != 200 && a->status != 206)
        return ERR(e, ERR_UNAVAILABLE, "GET %s: status %d", path, a->status);
    if (a->status == 200 && d->got)
        return ERR(e, ERR_UNAVAILABLE, "GET %s: it no longer gives ranges", path);
    d->got += len;
    if (d->got > ARCHIVE_BYTES_MAX)
        return ERR(e, ERR_FULL, "GET %s: more than %llu bytes; use --no-archive", path,
                   (unsigned long long)ARCHIVE_BYTES_MAX);
    *ret_more = a->status == 206 && len == PIECE_BYTES;
    CHECK(EVP_DigestUpdate(d->hash, a->body.data, len) == 1);
    return file_writer_add(d->file, a->body.data, len, e);
}

static enum err_code pieces(struct source_backfill *s, struct download *d, const char *path,
                            struct err *e)
{
    struct history_request r = {0};
    CHECK(str_copy(r.http.path, sizeof r.http.path, str_of(path)));
    for (bool more = true; more;) {
        struct http_answer a;
        more = false;
        (void)snprintf(r.http.header, sizeof r.http.header, "Range: bytes=%llu-%llu",
                       (unsigned long long)d->got, (unsigned long long)d->got + PIECE_BYTES - 1);
        /* A server that knows no ranges sends all of it. */
        http_answer_init(&a, VENUE_REST_MAX * 4);
        enum err_code code = backfill_get(s, base_of(s), &r, VENUE_REST_MAX * 4, &a, e);
        if (code == ERR_OK) code = take_piece(d, &a, path, &more, e);
        http_answer_free(&a);
        TRY(code);
    }
    return ERR_OK;
}

static enum err_code compare(EVP_MD_CTX *hash, const char *wanted, const char *path, struct err *e)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    char text[2 * EVP_MAX_MD_SIZE + 1] = "";
    CHECK(EVP_DigestFinal_ex(hash, bytes, &size) == 1);
    for (unsigned int i = 0; i < size; i++) (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    if (strcmp(text, wanted) == 0) return ERR_OK;
    return ERR(
        e, ERR_CORRUPT,
        "archive %s: its sha256 is %.16s..., but its CHECKSUM says %.16s...: nothing of it is "
        "taken; try again later, or use --no-archive",
        path, text, wanted);
}

static enum err_code fetch(struct source_backfill *s, const char *path, const char *digest,
                           const char *file, struct err *e)
{
    struct download d = {.hash = EVP_MD_CTX_new()};
    CHECK(d.hash != NULL && EVP_DigestInit_ex(d.hash, EVP_sha256(), NULL) == 1);
    enum err_code code = file_writer_open(file, &d.file, e);
    if (code == ERR_OK) code = pieces(s, &d, path, e);
    if (code == ERR_OK) code = compare(d.hash, digest, path, e);
    if (code == ERR_OK)
        code = file_writer_finish_copy(d.file, e);
    else
        file_writer_abort(d.file);
    EVP_MD_CTX_free(d.hash);
    return code;
}

/* ---- Its rows ---- */

static enum err_code take_row(struct source_backfill *s, const struct history_ask *ask,
                              const struct history_window *w, const struct recording_item *item,
                              struct err *e)
{
    const struct core_input in = {.connection = s->connection,
                                  .bytes = item->bytes ? item->bytes : "",
                                  .len = item->bytes ? item->len : 0,
                                  .received_ns = TIME_ABSENT,
                                  .position = item->number,
                                  .origin = s->options.origin};
    struct str symbol = ask->symbols; /* the file is what was asked for, whatever it is named */
    if (item->kind == RECORDING_TRADE) {
        if (!history_wants_trade(w, &item->trade) || item->trade.stream != ask->stream)
            return ERR_OK;
        BACKFILL_COUNT(s, rows, 1);
        history_ids_add(&s->seen, item->trade.id, item->trade.id);
        return core_trade(s->core, &in, symbol, &item->trade, e);
    }
    if (item->kind != RECORDING_CANDLE || !history_wants_candle(w, &item->candle)) return ERR_OK;
    struct venue_candle c = item->candle;
    c.c.series = venue_names_series(s->names, symbol, STR(""));
    c.source = STR("archive");
    BACKFILL_COUNT(s, rows, 1);
    if (!history_known_candle(s->known, &c)) {
        BACKFILL_COUNT(s, known, 1);
        return ERR_OK;
    }
    c.fetched_ns = w->now_ns;
    return core_candle(s->core, &in, symbol, &c, e);
}

static enum err_code damaged(struct source_backfill *s, const struct recording_item *item,
                             const char *why, struct err *e)
{
    const struct core_input in = {.connection = s->connection,
                                  .bytes = item->bytes ? item->bytes : "",
                                  .len = item->bytes ? item->len : 0,
                                  .received_ns = TIME_ABSENT,
                                  .position = item->number,
                                  .origin = s->options.origin};
    const char *name = strrchr(why, '/'); /* without the folder, which differs from run to run */
    const struct core_dead d = {
        .reason = DEAD_MALFORMED, .stream = -1, .detail = name ? name + 1 : why};
    return core_dead(s->core, &in, &d, e);
}

static enum err_code take_rows(struct source_backfill *s, const struct history_ask *ask,
                               struct recording *r, struct err *e)
{
    const struct history_window w = {
        .from_ns = ask->from_ns, .to_ns = ask->to_ns, .now_ns = clock_wall_ns()};
    for (int64_t count = 1;; count++) {
        struct recording_item item;
        struct err why = {0};
        enum err_code code = recording_next(r, &item, &why);
        if (code == ERR_NOT_FOUND) return ERR_OK;
        if (code == ERR_OK)
            code = take_row(s, ask, &w, &item, e);
        else if (code == ERR_PARSE || code == ERR_INEXACT || code == ERR_CORRUPT)
            code = damaged(s, &item, why.text, e);
        else if (e)
            *e = why;
        TRY(code);
        if (count % ITEMS_LOOK != 0) continue;
        TRY(backfill_stopped(s, e));
        TRY(core_age(s->core, clock_mono_ns(), e));
        if (s->o.guest) TRY(backfill_gaps_tell(s, e));
        if (s->o.progress && item.kind == RECORDING_TRADE)
            s->o.progress(s->o.ctx, s->symbol, item.trade.venue_time_ns);
    }
}

static enum err_code read_file(struct source_backfill *s, const struct history_ask *ask,
                               const char *file, struct err *e)
{
    struct recording *r;
    TRY(recording_open(file, str_of(s->o.venue->name), &r, e));
    enum err_code code = take_rows(s, ask, r, e);
    recording_close(r);
    if (code == ERR_OK && s->o.guest) code = backfill_gaps_tell(s, e);
    return code;
}

enum err_code backfill_archive(struct source_backfill *s, const struct history_ask *ask,
                               int32_t day, bool *ret_there, struct err *e)
{
    char path[512], name[160], file[PATH_LIMIT], digest[DIGEST_TEXT + 1];
    *ret_there = false;
    if (!s->o.venue->history->archive(ask, day, path)) return ERR_OK;
    TRY(get_checksum(s, path, digest, ret_there, e));
    if (!*ret_there) return ERR_OK;
    /* Several may run at a time in one folder. */
    const char *slash = strrchr(path, '/');
    (void)snprintf(name, sizeof name, "history-%ld-%.100s", (long)getpid(), slash + 1);
    path_join(file, s->o.folder, name);
    enum err_code code = fetch(s, path, digest, file, e);
    if (code == ERR_OK) {
        BACKFILL_COUNT(s, archives, 1);
        code = read_file(s, ask, file, e);
    }
    struct err ignored;
    enum err_code removed = file_remove(file, &ignored);
    if (code == ERR_OK && removed != ERR_OK) {
        if (e) *e = ignored;
        return removed;
    }
    return code;
}
