/* venue_help.h - a venue's session over a fresh table of names, for the tests of the decoders. */
#ifndef TICKLAKE_TESTS_VENUE_HELP_H
#define TICKLAKE_TESTS_VENUE_HELP_H

#include "base/buf.h"
#include "venue/venue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

struct bench {
    const struct venue *venue;
    struct series_table *series;
    struct venue_names *names;
    struct venue_session *session;
    struct decoded out;
    struct buf frame; /* the frame of the last bench_decode, with its padding */
};

static inline void bench_open(struct bench *b, const char *venue)
{
    *b = (struct bench){.venue = venue_by_name(str_of(venue)), .series = series_new()};
    assert_non_null(b->venue);
    b->names = venue_names_new(b->venue, b->series);
    b->session = venue_session_new(b->venue, b->names);
    decoded_init(&b->out);
    buf_init(&b->frame, VENUE_REST_MAX + 1024);
}

static inline void bench_close(struct bench *b)
{
    venue_session_free(b->session);
    venue_names_free(b->names);
    series_free(b->series);
    decoded_free(&b->out);
    buf_free(&b->frame);
}

/* A copy that ends where its padding ends, so that a sanitizer sees each byte read or written too far. */
static inline char *exact_copy(struct str s)
{
    char *p = malloc(s.n + VENUE_PADDING);
    assert_non_null(p);
    if (s.n) memcpy(p, s.p, s.n);
    memset(p + s.n, '#', VENUE_PADDING);
    return p;
}

enum { RECEIVED_NS = 1000 };

static inline struct decoded *bench_frame(struct bench *b, struct str frame)
{
    buf_reset(&b->frame);
    buf_add_str(&b->frame, frame);
    memset(buf_room(&b->frame, VENUE_PADDING), '#', VENUE_PADDING);
    venue_decode(b->session, (char *)b->frame.data, frame.n, RECEIVED_NS, &b->out);
    return &b->out;
}

static inline struct decoded *bench_text(struct bench *b, const char *frame)
{
    return bench_frame(b, str_of(frame));
}

static inline struct decoded *bench_rest(struct bench *b, const char *path, struct str body)
{
    buf_reset(&b->frame);
    buf_add_str(&b->frame, body);
    memset(buf_room(&b->frame, VENUE_PADDING), '#', VENUE_PADDING);
    venue_decode_rest(b->session, str_of(path), (char *)b->frame.data, body.n, TIME_ABSENT,
                      &b->out);
    return &b->out;
}

static inline void bench_add_instrument(void *ctx, const struct instrument *i)
{
    venue_names_add(((struct bench *)ctx)->names, i);
}

static inline enum err_code bench_instruments(struct bench *b, struct str body, struct err *e)
{
    char *copy = exact_copy(body);
    enum err_code code = b->venue->instruments_answer(copy, body.n, bench_add_instrument, b, e);
    free(copy);
    return code;
}

/* A decimal in the frame's own digits: "0.5" */
static inline void assert_dec(struct dec d, const char *text)
{
    char shown[DEC_TEXT_MAX];
    dec_format(d, shown);
    assert_string_equal(shown, text);
}

static inline void assert_lake(i128 value, const char *text)
{
    char shown[DEC_TEXT_MAX];
    dec_format_lake(value, shown);
    assert_string_equal(shown, text);
}

static inline void assert_str(struct str s, const char *text)
{
    if (!str_is(s, text)) fail_msg("expected \"%s\", found \"%.*s\"", text, STR_ARG(s));
}

static inline void assert_symbol(const struct bench *b, uint32_t series, const char *symbol,
                                 const char *exchange)
{
    const struct series *s = series_get(b->series, series);
    assert_str(s->symbol, symbol);
    assert_str(s->exchange, exchange);
    assert_str(s->venue, b->venue->name);
}

static inline void assert_time(int64_t ns, const char *text)
{
    char shown[TIME_TEXT_MAX];
    time_format(ns, shown);
    assert_string_equal(shown, text);
}

/* One refusal, no event, with that reason and those words in its sentence. */
static inline void assert_refused(const struct decoded *d, enum dead_reason reason,
                                  const char *words)
{
    assert_int_equal(d->trade_count + d->quote_count + d->candle_count, 0);
    assert_int_equal(d->refused_count, 1);
    assert_string_equal(dead_reason_text(d->refused[0].reason), dead_reason_text(reason));
    if (!strstr(d->refused[0].detail, words))
        fail_msg("expected \"%s\" in \"%s\"", words, d->refused[0].detail);
}

/* Where the recordings are, or NULL. */
static inline const char *recordings(void)
{
    const char *folder = getenv("TICKLAKE_RECORDINGS");
    if (!folder) folder = "../shared/recordings";
    return access(folder, R_OK) == 0 ? folder : NULL;
}

#define NEED_RECORDINGS()                                                                          \
    do {                                                                                           \
        if (recordings()) break;                                                                   \
        print_message("skipped: no recordings\n");                                                 \
        skip();                                                                                    \
    } while (0)

/* All of a recording's file, unpacked. */
static inline void read_recording(const char *name, struct buf *ret)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", recordings(), name);
    gzFile f = gzopen(path, "rb");
    if (!f) fail_msg("cannot open %s", path);
    buf_init(ret, 256 << 20);
    for (;;) {
        enum { CHUNK = 1 << 20 };
        uint8_t *room = buf_room(ret, CHUNK);
        assert_non_null(room);
        int n = gzread(f, room, CHUNK);
        assert_true(n >= 0);
        if (n == 0) break;
        ret->len += (size_t)n;
    }
    gzclose(f);
}

#endif
