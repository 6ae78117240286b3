#include "venue/venue.h"

#include "venue/decode.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX_BYTES = 2 * VENUE_REST_MAX };

#define X(name) extern const struct venue venue_##name;
VENUE_LIST(X)
#undef X

const struct venue *const venue_all[] = {
#define X(name) &venue_##name,
    VENUE_LIST(X)
#undef X
        NULL,
};

const struct venue *venue_by_name(struct str name)
{
    for (size_t i = 0; venue_all[i]; i++)
        if (str_is(name, venue_all[i]->name)) return venue_all[i];
    return NULL;
}

/* "wss://stream.binance.com:9443/ws" -> "stream.binance.com"; empty when it is no address. */
static struct str host_of(struct str url)
{
    for (size_t i = 0; i + 3 <= url.n; i++) {
        if (memcmp(url.p + i, "://", 3) != 0) continue;
        struct str rest = {url.p + i + 3, url.n - i - 3};
        size_t n = 0;
        while (n < rest.n && !strchr("/:?#", rest.p[n])) n++;
        return (struct str){rest.p, n};
    }
    return (struct str){NULL, 0};
}

const struct venue *venue_by_url(struct str url)
{
    struct str host = host_of(url);
    if (host.n == 0) return NULL;
    for (size_t i = 0; venue_all[i]; i++)
        for (const char *const *h = venue_all[i]->hosts; *h; h++)
            if (str_is(host, *h)) return venue_all[i];
    return NULL;
}

void decoded_init(struct decoded *d)
{
    *d = (struct decoded){0};
    arena_init(&d->arena, TEXT_MAX_BYTES);
    buf_init(&d->reply, 64 << 10);
}

void decoded_free(struct decoded *d)
{
    if (!d) return;
    free(d->trades);
    free(d->quotes);
    free(d->candles);
    free(d->refused);
    arena_free(&d->arena);
    buf_free(&d->reply);
    *d = (struct decoded){0};
}

void decoded_reset(struct decoded *d)
{
    d->class = FRAME_DATA;
    d->trade_count = d->quote_count = d->candle_count = d->refused_count = 0;
    d->error = d->error_symbol = (struct str){NULL, 0};
    d->error_is_refusal = false;
    buf_reset(&d->reply);
    if (d->arena.used) arena_reset(&d->arena);
}

/* One more element; NULL past VENUE_EVENTS_MAX. The arrays are kept from frame to frame. */
static void *grow(void **array, size_t *count, size_t *cap, size_t size)
{
    if (*count == *cap) {
        if (*cap >= VENUE_EVENTS_MAX) return NULL;
        *cap = *cap ? *cap * 2 : 64;
        *array = reallocarray(*array, *cap, size);
        CHECK(*array != NULL);
    }
    char *p = (char *)*array + (*count)++ * size;
    memset(p, 0, size);
    return p;
}

#define GROW(d, what, size)                                                                        \
    ({                                                                                             \
        void *array_ = (d)->what##s;                                                               \
        void *p_ = grow(&array_, &(d)->what##_count, &(d)->what##_cap, size);                      \
        (d)->what##s = array_;                                                                     \
        p_;                                                                                        \
    })

struct trade *decoded_add_trade(struct decoded *d) { return GROW(d, trade, sizeof(struct trade)); }
struct quote *decoded_add_quote(struct decoded *d) { return GROW(d, quote, sizeof(struct quote)); }
struct venue_candle *decoded_add_candle(struct decoded *d)
{
    return GROW(d, candle, sizeof(struct venue_candle));
}

struct refused *decoded_refuse(struct decoded *d, enum dead_reason reason, int stream,
                               struct str symbol, const char *format, ...)
{
    void *array = d->refused;
    struct refused *r = grow(&array, &d->refused_count, &d->refused_cap, sizeof *r);
    d->refused = array;
    /* Past the limit the last refusal stands for all that follow: the raw bytes are kept by the caller anyway. */
    if (!r) return &d->refused[d->refused_count - 1];
    r->reason = reason;
    r->stream = (int8_t)stream;
    if (symbol.n > NAMES_TEXT_MAX) symbol.n = 0; /* part of a name is another name */
    if (!arena_copy(&d->arena, symbol, &r->symbol)) r->symbol = STR("");
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(r->detail, sizeof r->detail, format, ap);
    va_end(ap);
    decode_printable(r->detail, n < 0 ? 0 : strlen(r->detail));
    return r;
}

struct venue_session *venue_session_new(const struct venue *v, struct venue_names *names)
{
    struct venue_session *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->venue = v;
    s->names = names;
    json_init(&s->json);
    return s;
}

struct venue_session *venue_session_free(struct venue_session *s)
{
    if (!s) return NULL;
    json_free(&s->json);
    free(s);
    return NULL;
}

const struct venue *venue_session_venue(const struct venue_session *s) { return s->venue; }

static bool fits(struct decoded *out, size_t len, size_t limit)
{
    if (len == 0 || len > limit) decoded_reset(out);
    if (len == 0)
        decode_bad(out, DEAD_MALFORMED, "an empty frame");
    else if (len > limit)
        decode_bad(out, DEAD_TOO_BIG, "%zu bytes; at most %zu are read", len, limit);
    else
        return true;
    return false;
}

void venue_decode(struct venue_session *s, char *frame, size_t len, int64_t received_ns,
                  struct decoded *out)
{
    if (!fits(out, len, VENUE_FRAME_MAX)) return;
    s->venue->decode(s, frame, len, received_ns, out);
}

void venue_decode_rest(struct venue_session *s, struct str path, char *body, size_t len,
                       int64_t received_ns, struct decoded *out)
{
    if (!fits(out, len, VENUE_REST_MAX)) return;
    if (!s->venue->decode_rest) {
        decoded_reset(out);
        out->class = FRAME_IGNORED;
        return;
    }
    s->venue->decode_rest(s, path, body, len, received_ns, out);
}
