/* Bytes to strings. Results are slices of the page where its bytes stand together, else of the
 * arena. */
#include "parquet/parquet_internal.h"

bool decode_plain_strings(struct str in, struct str *values, size_t n)
{
    const char *p = in.p, *end = in.p + in.n;
    for (size_t i = 0; i < n; i++) {
        if (end - p < 4) return false;
        uint32_t len;
        memcpy(&len, p, 4);
        p += 4;
        if (len > (size_t)(end - p)) return false;
        values[i] = (struct str){p, len};
        p += len;
    }
    return true;
}

static struct str rest(struct str in, size_t used)
{
    return (struct str){in.p + used, in.n - used};
}

bool decode_delta_lengths(struct str in, struct str *values, size_t n, int64_t *lengths)
{
    size_t used;
    if (!decode_delta(in, lengths, n, &used)) return false;
    in = rest(in, used);
    for (size_t i = 0; i < n; i++) {
        if (lengths[i] < 0 || (uint64_t)lengths[i] > in.n) return false;
        values[i] = (struct str){in.p, (size_t)lengths[i]};
        in = rest(in, (size_t)lengths[i]);
    }
    return true;
}

/* Checks all lengths before a byte is copied, and says how much room the strings with a prefix
 * need. A page whose every string is one byte longer than the last grows with the square of its
 * values: hence the limit. */
static bool measure(const int64_t *prefixes, const struct str *suffixes, size_t n, size_t *ret_room)
{
    size_t before = 0, room = 0;
    for (size_t i = 0; i < n; i++) {
        if (prefixes[i] < 0 || (uint64_t)prefixes[i] > before) return false;
        before = (size_t)prefixes[i] + suffixes[i].n;
        if (prefixes[i] > 0) room += before;
        if (room > PAGE_READ_MAX) return false;
    }
    *ret_room = room;
    return true;
}

bool decode_delta_strings(struct str in, struct str *values, size_t n, int64_t *lengths,
                          struct arena *a)
{
    int64_t *prefixes = lengths;
    size_t used, room;
    if (!decode_delta(in, prefixes, n, &used)) return false;
    if (!decode_delta_lengths(rest(in, used), values, n, lengths + n)) return false;
    if (!measure(prefixes, values, n, &room)) return false;
    char *to = arena_alloc(a, room + 1);
    if (!to) return false;
    for (size_t i = 0; i < n; i++) {
        size_t prefix = (size_t)prefixes[i];
        if (prefix == 0) continue;
        struct str suffix = values[i];
        memcpy(to, values[i - 1].p, prefix);
        if (suffix.n) memcpy(to + prefix, suffix.p, suffix.n);
        values[i] = (struct str){to, prefix + suffix.n};
        to += values[i].n;
    }
    return true;
}
