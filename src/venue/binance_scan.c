/* A scanner for Binance's commonest frames: flat objects of one-letter names, alone or as the "data" of a combined frame.
 *
 * Why       measured on one core of an EPYC: a trade frame costs 220 ns through yyjson's tree, of which 130 are the tree
 *           and the walk over it; this scanner takes 45. It only tells where values begin and end: what they mean is read
 *           by the same code from either.
 * Strict    it takes a frame only when every byte is what it expects (no escapes, no other white space than none, plain
 *           integers, ASCII); anything else is left, unchanged, to the full parser. tests/unit/venue_scan_test.c and the
 *           fuzzer hold the two against each other.
 * Bytes     eight at a time, little endian; reads up to VENUE_PADDING bytes behind the frame.
 */
#include "venue/binance_common.h"

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static uint64_t load8(const char *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* The high bit of each zero byte. Bits above the first true one may be false alarms: only the lowest counts. */
static uint64_t zeros(uint64_t x) { return (x - EACH(0x01)) & ~x & EACH(0x80); }

/* The end of a string's bytes (its closing quote), or NULL where it holds anything but plain ASCII. */
static const char *string_end(const char *p, const char *end)
{
    for (; p < end; p += 8) {
        uint64_t x = load8(p);
        uint64_t quote = zeros(x ^ EACH('"'));
        uint64_t below = (x - EACH(0x20)) & ~x & EACH(0x80);
        uint64_t odd = (x & EACH(0x80)) | below | zeros(x ^ EACH('\\'));
        if (odd && (!quote || (odd & -odd) < (quote & -quote))) return NULL;
        if (quote) {
            p += __builtin_ctzll(quote) / 8;
            return p < end ? p : NULL;
        }
    }
    return NULL;
}

static const char *digits_end(const char *p)
{
    for (;; p += 8) {
        uint64_t x = load8(p) ^ EACH('0');
        uint64_t others = ((x + EACH(0x76)) | x) & EACH(0x80);
        if (others) return p + __builtin_ctzll(others) / 8;
    }
}

/* One value; returns what follows it, or NULL. Needs a byte behind the value inside the frame. */
static const char *value_end(const char *p, const char *end, yyjson_val *v)
{
    if (*p == '"') {
        const char *close = string_end(p + 1, end);
        if (!close) return NULL;
        unsafe_yyjson_set_strn(v, p + 1, (size_t)(close - p - 1));
        return close + 1;
    }
    if (*p >= '1' && *p <= '9') {
        /* The zero byte that is put behind the frame ends a run of digits that reaches its end. */
        const char *after = digits_end(p);
        if (*after == '.' || *after == 'e' || *after == 'E') return NULL;
        unsafe_yyjson_set_raw(v, p, (size_t)(after - p));
        return after;
    }
    if (memcmp(p, "true", 4) == 0) {
        unsafe_yyjson_set_bool(v, true);
        return p + 4;
    }
    if (memcmp(p, "false", 5) == 0) {
        unsafe_yyjson_set_bool(v, false);
        return p + 5;
    }
    return NULL;
}

/* {"stream":"btcusdt@trade","data": -> what follows; anything else -> p itself. */
static const char *skip_envelope(const char *p, const char *end)
{
    static const char head[] = "{\"stream\":\"", middle[] = ",\"data\":";
    size_t len = (size_t)(end - p);
    if (len < 40 || memcmp(p, head, sizeof head - 1) != 0) return p;
    const char *close = string_end(p + sizeof head - 1, end);
    if (!close || (size_t)(end - close) < sizeof middle) return p;
    return memcmp(close + 1, middle, sizeof middle - 1) == 0 ? close + sizeof middle : p;
}

/* Events that are all scalars and that we decode; others have members of other names, too. */
bool binance_scan(char *frame, size_t len, struct binance_scan *scan)
{
    memset(frame + len, 0, VENUE_PADDING);
    const char *end = frame + len;
    const char *p = skip_envelope(frame, end);
    bool combined = p != frame;
    struct binance_event *ev = &scan->event;
    *ev = (struct binance_event){0};
    if (*p != '{') return false;
    do {
        p++;
        if (p[0] != '"' || p[1] == 0 || p[2] != '"' || p[3] != ':') return false;
        if (p[1] == '\\' || p[1] == '"' || (unsigned char)p[1] < 0x20 || p[1] & 0x80) return false;
        enum binance_field field = binance_field_of(p[1]);
        yyjson_val *v = &scan->values[field];
        p = value_end(p + 4, end, v);
        if (!p || (field != BINANCE_NONE && ev->f[field])) return false;
        ev->f[field] = v;
    } while (*p == ',');
    ev->f[BINANCE_NONE] = NULL;
    if (*p++ != '}' || (combined && *p++ != '}')) return false;
    return p == end && (ev->f[BINANCE_e] || ev->f[BINANCE_u]);
}

#else

bool binance_scan(char *frame, size_t len, struct binance_scan *scan)
{
    (void)frame;
    (void)len;
    (void)scan;
    return false;
}

#endif
