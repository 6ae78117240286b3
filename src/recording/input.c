#include "recording/input.h"

#include "io/file.h"
#include "venue/venue.h"

#include <stdio.h>
#include <stdlib.h>

enum { CHUNK = 256 << 10 };

struct input {
    struct packed packed;
    struct unpack *unpack; /* NULL: read as it is */
    char *window;
    size_t start, end, cap; /* window[start..end) is not yet taken */
    bool ended;             /* nothing more comes behind `end` */
    bool faulty;            /* because of `fault`, which was not told yet */
    struct err fault;
    bool closed;  /* the array of input_element was, or its missing end was told */
    int64_t line; /* of window[start], from 1 */
    char *pad;    /* where VENUE_PADDING bytes were zeroed, or NULL */
    char saved[VENUE_PADDING];
    char path[PATH_LIMIT];
};

static struct input *input_new(const char *name)
{
    struct input *in = calloc(1, sizeof *in);
    CHECK(in != NULL);
    str_copy(in->path, sizeof in->path, str_of(name));
    in->packed.path = in->path;
    in->packed.fd = -1;
    in->line = 1;
    return in;
}

static enum err_code opened(struct input *in, struct input **ret, struct err *e)
{
    enum err_code code = unpack_open(&in->packed, &in->unpack, e);
    in->cap = 2 * CHUNK;
    in->window = malloc(in->cap);
    CHECK(in->window != NULL);
    if (code != ERR_OK) {
        input_close(in);
        return code;
    }
    *ret = in;
    return ERR_OK;
}

enum err_code input_open(const char *path, struct input **ret, struct err *e)
{
    if (strlen(path) >= PATH_LIMIT)
        return ERR(e, ERR_USAGE, "%.100s...: a path has at most %d bytes", path, PATH_LIMIT - 1);
    struct input *in = input_new(path);
    enum err_code code = file_open_read(path, &in->packed.fd, &in->packed.size, e);
    if (code != ERR_OK) {
        input_close(in);
        return code;
    }
    return opened(in, ret, e);
}

enum err_code input_open_bytes(const char *name, struct str bytes, struct input **ret,
                               struct err *e)
{
    struct input *in = input_new(name);
    in->packed.bytes = bytes;
    in->packed.size = bytes.n;
    return opened(in, ret, e);
}

struct input *input_close(struct input *in)
{
    if (!in) return NULL;
    unpack_close(in->unpack);
    file_close(in->packed.fd);
    free(in->window);
    free(in);
    return NULL;
}

const char *input_entry(const struct input *in) { return unpack_entry(in->unpack); }

void input_progress(const struct input *in, uint64_t *ret_done, uint64_t *ret_size)
{
    *ret_done = in->packed.at;
    *ret_size = in->packed.size;
}

static void unpad(struct input *in)
{
    if (in->pad) memcpy(in->pad, in->saved, sizeof in->saved);
    in->pad = NULL;
}

static void pad(struct input *in, char *end)
{
    memcpy(in->saved, end, sizeof in->saved);
    memset(end, 0, sizeof in->saved);
    in->pad = end;
}

/* Makes room for a chunk behind `end` and reads into it. */
static void refill(struct input *in)
{
    if (in->ended) return;
    if (in->start > 0) {
        memmove(in->window, in->window + in->start, in->end - in->start);
        in->end -= in->start;
        in->start = 0;
    }
    if (in->cap - in->end < CHUNK + VENUE_PADDING) {
        in->cap *= 2;
        in->window = realloc(in->window, in->cap);
        CHECK(in->window != NULL);
    }
    size_t n = 0;
    enum err_code code =
        in->unpack ? unpack_read(in->unpack, in->window + in->end, CHUNK, &n, &in->fault)
                   : packed_read(&in->packed, in->window + in->end, CHUNK, &n, &in->fault);
    in->end += n;
    in->faulty = code != ERR_OK;
    in->ended = code != ERR_OK || n == 0;
}

enum err_code input_fault(const struct input *in, struct err *e)
{
    if (!in->faulty) return ERR_OK;
    if (e) *e = in->fault;
    return in->fault.code;
}

struct str input_peek(struct input *in, size_t n)
{
    unpad(in);
    while (in->end - in->start < n && !in->ended) refill(in);
    size_t have = in->end - in->start;
    return (struct str){in->window + in->start, have < n ? have : n};
}

/* Lends window[start..start+n) and steps over n + skip bytes. */
static void lend(struct input *in, size_t n, size_t skip, struct input_line *ret)
{
    ret->p = in->window + in->start;
    ret->n = n;
    in->start += n + skip;
    pad(in, ret->p + n);
}

/* The fault is told once, together with what was left in front of it. */
static enum err_code tell_fault(struct input *in, struct input_line *ret, struct err *e)
{
    lend(in, in->end - in->start, 0, ret);
    ret->cut = true;
    in->faulty = false;
    if (e) *e = in->fault;
    return in->fault.code;
}

/* A line that outgrows the limit is walked over; its first bytes are lent. */
static enum err_code too_long(struct input *in, size_t limit, struct input_line *ret, struct err *e)
{
    size_t keep = limit < 4096 ? limit : 4096;
    size_t skipped = 0;
    for (;;) {
        char *from = in->window + in->start + keep;
        char *stop = memchr(from, '\n', in->end - in->start - keep);
        if (stop || in->ended) {
            size_t n = stop ? (size_t)(stop - from) + 1 : in->end - in->start - keep;
            skipped += n;
            /* The bytes in between are gone: what follows moves up to the ones that are kept. */
            memmove(from, from + n, in->end - in->start - keep - n);
            in->end -= n;
            break;
        }
        skipped += in->end - in->start - keep;
        in->end = in->start + keep;
        refill(in);
    }
    lend(in, keep, 0, ret);
    in->line++;
    return ERR(e, ERR_CORRUPT, "%s: line %lld has more than %zu bytes (%zu)", in->path,
               (long long)ret->number, limit, skipped + keep);
}

enum err_code input_line(struct input *in, size_t limit, struct input_line *ret, struct err *e)
{
    unpad(in);
    *ret = (struct input_line){.number = in->line};
    for (size_t seen = 0;;) {
        size_t have = in->end - in->start;
        char *at = in->window + in->start;
        char *stop = have > seen ? memchr(at + seen, '\n', have - seen) : NULL;
        if (stop && (size_t)(stop - at) <= limit) {
            size_t n = (size_t)(stop - at);
            bool carriage = n > 0 && at[n - 1] == '\r';
            lend(in, n - carriage, 1 + carriage, ret);
            in->line++;
            return ERR_OK;
        }
        if (have > limit) return too_long(in, limit, ret, e);
        if (in->ended && in->faulty) return tell_fault(in, ret, e);
        if (in->ended && have == 0) return ERR_NOT_FOUND;
        if (in->ended) {
            lend(in, have, 0, ret);
            ret->cut = true;
            return ERR_OK;
        }
        seen = have;
        refill(in);
    }
}

/* Skips what stands between the elements of an array. */
static void skip_between(struct input *in)
{
    for (;; in->start++) {
        if (in->start == in->end) refill(in);
        if (in->start == in->end) return;
        char c = in->window[in->start];
        if (c == '\n') in->line++;
        if (c == ']') in->closed = true;
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != ',' && c != ']' && c != '}')
            return;
    }
}

/* Where an element stands while its end is looked for. */
struct scan {
    size_t at;
    int depth;
    bool text, escape, whole;
};

static void scan_on(struct scan *s, const char *p, size_t n)
{
    for (; s->at < n && !s->whole; s->at++) {
        char c = p[s->at];
        if (s->text) {
            if (s->escape)
                s->escape = false;
            else if (c == '\\')
                s->escape = true;
            else if (c == '"')
                s->text = false;
            continue;
        }
        if (c == '"') {
            s->text = true;
        } else if (c == '{' || c == '[') {
            s->depth++;
        } else if ((c == '}' || c == ']' || c == ',') && s->depth == 0) {
            s->whole = true; /* a bare value ends in front of it */
            return;
        } else if (c == '}' || c == ']') {
            if (--s->depth == 0) s->whole = true;
        }
    }
}

enum err_code input_element(struct input *in, size_t limit, struct input_line *ret, struct err *e)
{
    unpad(in);
    skip_between(in);
    *ret = (struct input_line){.number = in->line};
    struct scan s = {0};
    for (;;) {
        size_t have = in->end - in->start;
        scan_on(&s, in->window + in->start, have);
        if (s.whole) break;
        if (have > limit) {
            lend(in, 4096, have - 4096, ret);
            in->ended = in->closed = true;
            in->end = in->start;
            return ERR(e, ERR_CORRUPT,
                       "%s: line %lld: an element of more than %zu bytes: the rest is not read",
                       in->path, (long long)ret->number, limit);
        }
        if (in->ended && in->faulty) {
            in->closed = true;
            return tell_fault(in, ret, e);
        }
        if (in->ended && have == 0 && in->closed) return ERR_NOT_FOUND;
        if (in->ended && have == 0) {
            in->closed = true;
            lend(in, 0, 0, ret);
            return ERR(e, ERR_CORRUPT, "%s: line %lld: the file ends before its array does",
                       in->path, (long long)ret->number);
        }
        if (in->ended) {
            lend(in, have, 0, ret);
            ret->cut = true;
            in->closed = true;
            return ERR_OK;
        }
        refill(in);
    }
    for (size_t i = 0; i < s.at; i++) in->line += in->window[in->start + i] == '\n';
    lend(in, s.at, 0, ret);
    return ERR_OK;
}

enum err_code input_take(struct input *in, size_t n, struct input_line *ret, struct err *e)
{
    unpad(in);
    *ret = (struct input_line){.number = in->line};
    while (in->end - in->start < n && !in->ended) refill(in);
    size_t have = in->end - in->start;
    if (have < n && in->faulty) return tell_fault(in, ret, e);
    if (have == 0 && n > 0) return ERR_NOT_FOUND;
    ret->cut = have < n;
    lend(in, have < n ? have : n, 0, ret);
    return ERR_OK;
}

enum err_code input_rest(struct input *in, size_t limit, struct input_line *ret, struct err *e)
{
    unpad(in);
    *ret = (struct input_line){.number = in->line};
    while (in->end - in->start <= limit && !in->ended) refill(in);
    if (in->end - in->start > limit) {
        in->end = in->start + 4096;
        in->ended = true;
        lend(in, 4096, 0, ret);
        return ERR(e, ERR_CORRUPT, "%s: more than %zu bytes in one document", in->path, limit);
    }
    if (in->faulty) return tell_fault(in, ret, e);
    if (in->end == in->start) return ERR_NOT_FOUND;
    lend(in, in->end - in->start, 0, ret);
    return ERR_OK;
}
