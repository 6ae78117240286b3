#include "recording/reader.h"

#include "base/hash.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { IDENTITY_WHOLE = 8 << 20, IDENTITY_EDGE = 64 << 10 };

static const struct format *const formats[] = {
#define X(n) &format_##n,
    FORMAT_LIST(X)
#undef X
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static enum err_code hash_part(struct packed *p, uint64_t at, size_t n, uint64_t *hash,
                               struct err *e)
{
    char *part = malloc(n + 8);
    CHECK(part != NULL);
    memcpy(part, hash, 8);
    size_t got;
    p->at = at;
    enum err_code code = packed_read(p, part + 8, n, &got, e);
    if (code == ERR_OK) *hash = hash64((struct str){part, got + 8});
    free(part);
    return code;
}

/* Small files are hashed whole, so that two that differ in one digit in the middle are two; big
 * ones at both ends. */
static enum err_code find_identity(struct recording *r, struct err *e)
{
    struct packed p = {.fd = -1, .path = r->path, .bytes = r->bytes, .size = r->bytes.n};
    if (!r->bytes.p) TRY(file_open_read(r->path, &p.fd, &p.size, e));
    uint64_t hash = 0;
    enum err_code code;
    if (p.size <= IDENTITY_WHOLE) {
        code = hash_part(&p, 0, (size_t)p.size, &hash, e);
    } else {
        code = hash_part(&p, 0, IDENTITY_EDGE, &hash, e);
        if (code == ERR_OK) code = hash_part(&p, p.size - IDENTITY_EDGE, IDENTITY_EDGE, &hash, e);
    }
    file_close(p.fd);
    r->packed_size = p.size;
    snprintf(r->identity, sizeof r->identity, "%s:%llu:%016llx", r->name,
             (unsigned long long)p.size, (unsigned long long)hash);
    return code;
}

static enum err_code open_input(struct recording *r, struct err *e)
{
    if (r->bytes.p) return input_open_bytes(r->path, r->bytes, &r->in, e);
    return input_open(r->path, &r->in, e);
}

static enum err_code unknown_format(const struct recording *r, struct str head, struct err *e)
{
    char shown[64] = "";
    size_t n = 0;
    for (size_t i = 0; i < head.n && n < 48; i++)
        shown[n++] = head.p[i] >= ' ' && head.p[i] < 127 ? head.p[i] : '.';
    if (head.n == 0) return ERR(e, ERR_PARSE, "%s: the file is empty", r->path);
    return ERR(e, ERR_PARSE,
               "%s: no known format of recordings (it begins \"%s\"); docs/operating.md lists them",
               r->path, shown);
}

/* Formats that read packed bytes know their own magic, so they are asked without unpacking. */
static const struct format *probe_all(const struct probe *p, bool packed)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i]->packed == packed && formats[i]->probe(p)) return formats[i];
    return NULL;
}

static enum err_code packed_head(const struct recording *r, char *head, size_t *ret_n,
                                 struct err *e)
{
    struct packed p = {.fd = -1, .path = r->path, .bytes = r->bytes, .size = r->bytes.n};
    if (!r->bytes.p) TRY(file_open_read(r->path, &p.fd, &p.size, e));
    enum err_code code = packed_read(&p, head, *ret_n, ret_n, e);
    file_close(p.fd);
    return code;
}

static enum err_code find_format(struct recording *r, struct err *e)
{
    char first[64];
    struct probe p = {.path = r->path, .name = r->name, .hint = r->hint};
    p.head = (struct str){first, sizeof first};
    TRY(packed_head(r, first, &p.head.n, e));
    r->format = probe_all(&p, true);
    if (r->format) return ERR_OK;
    TRY(open_input(r, e));
    p.head = input_peek(r->in, RECORDING_PROBE_BYTES);
    p.whole = p.head.n < RECORDING_PROBE_BYTES;
    if (input_entry(r->in)) p.name = base_name(input_entry(r->in));
    r->format = probe_all(&p, false);
    if (r->format) return ERR_OK;
    if (p.head.n == 0) TRY(input_fault(r->in, e));
    return unknown_format(r, p.head, e);
}

/* A document that is damaged is known to be of the format: that is told as a damaged place, not as
 * an unknown file. */
static enum err_code begin(struct recording *r, struct err *e)
{
    r->broken = r->ended = false;
    if (!r->format->open) return ERR_OK;
    enum err_code code = r->format->open(r, &r->why);
    r->broken = code == ERR_CORRUPT;
    if (code == ERR_OK || r->broken) return ERR_OK;
    if (e) *e = r->why;
    return code;
}

static enum err_code open_recording(const char *path, struct str bytes, struct str hint,
                                    struct recording **ret, struct err *e)
{
    if (strlen(path) >= PATH_LIMIT)
        return ERR(e, ERR_USAGE, "%.100s...: a path has at most %d bytes", path, PATH_LIMIT - 1);
    struct recording *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    memcpy(r->path, path, strlen(path));
    r->name = base_name(r->path);
    r->bytes = bytes;
    if (hint.n && str_copy(r->hint_text, sizeof r->hint_text, hint)) r->hint = str_of(r->hint_text);
    enum err_code code = find_identity(r, e);
    if (code == ERR_OK) code = find_format(r, e);
    if (code == ERR_OK) code = begin(r, e);
    if (code != ERR_OK) {
        recording_close(r);
        return code;
    }
    *ret = r;
    return ERR_OK;
}

enum err_code recording_open(const char *path, struct str venue_hint, struct recording **ret,
                             struct err *e)
{
    return open_recording(path, (struct str){NULL, 0}, venue_hint, ret, e);
}

enum err_code recording_open_bytes(const char *name, struct str bytes, struct str venue_hint,
                                   struct recording **ret, struct err *e)
{
    if (!bytes.p) bytes = STR("");
    return open_recording(name, bytes, venue_hint, ret, e);
}

void recording_rewind(struct recording *r)
{
    if (r->format && r->format->close) r->format->close(r);
    r->state = NULL;
    r->in = input_close(r->in);
    r->number = 0;
}

struct recording *recording_close(struct recording *r)
{
    if (!r) return NULL;
    recording_rewind(r);
    free(r);
    return NULL;
}

static enum err_code unpark(struct recording *r, struct err *e)
{
    if (!r->format->packed) TRY(open_input(r, e));
    return begin(r, e);
}

static enum err_code next_of_format(struct recording *r, struct recording_item *ret, struct err *e)
{
    if (r->ended) return ERR_NOT_FOUND;
    if (!r->broken) {
        enum err_code code = r->format->next(r, ret, e);
        r->ended = code == ERR_NOT_FOUND;
        return code;
    }
    r->ended = true;
    if (e) *e = r->why;
    return r->why.code;
}

enum err_code recording_next(struct recording *r, struct recording_item *ret, struct err *e)
{
    memset(ret, 0, offsetof(struct recording_item, trade));
    ret->received_ns = TIME_ABSENT;
    ret->venue = r->venue;
    ret->connection = str_of(r->name);
    if (!r->in && !r->state) {
        enum err_code opened = unpark(r, e);
        /* A file that went away meanwhile must not look like one that was read to its end. */
        if (opened == ERR_NOT_FOUND)
            return ERR(e, ERR_DISK, "%s: was there before, and is gone", r->path);
        if (opened != ERR_OK) return opened;
    }
    enum err_code code = next_of_format(r, ret, e);
    if (code != ERR_NOT_FOUND) r->number++;
    ret->number = r->number;
    return code;
}

const char *recording_format(const struct recording *r) { return r->format->name; }
const char *recording_identity(const struct recording *r) { return r->identity; }
const char *recording_path(const struct recording *r) { return r->path; }
bool recording_connections_span(const struct recording *r) { return r->format->spans; }

void recording_progress(const struct recording *r, uint64_t *ret_done, uint64_t *ret_size)
{
    *ret_done = 0;
    if (r->in) input_progress(r->in, ret_done, ret_size);
    *ret_size = r->packed_size;
}

enum err_code damaged_line(const struct recording *r, struct err *e, enum err_code code,
                           int64_t line, const char *format, ...)
{
    char text[384];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return ERR(e, code, "%s: line %lld: %s", r->path, (long long)line, text);
}
