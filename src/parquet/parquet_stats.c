/* Lowest and highest values: of a page, of a column, and as the bytes that footers and Iceberg
 * manifests hold. */
#include "parquet/parquet_internal.h"

static bool is_text(enum column_type type)
{
    return type == COLUMN_STRING || type == COLUMN_BINARY;
}

int bound_cmp(enum column_type type, const struct parquet_bound *a, const struct parquet_bound *b)
{
    if (is_text(type)) return str_cmp(a->text, b->text);
    return (a->number > b->number) - (a->number < b->number);
}

void range_add(enum column_type type, struct parquet_range *into, const struct parquet_range *more)
{
    if (!more->any) return;
    if (!into->any || bound_cmp(type, &more->min, &into->min) < 0) into->min = more->min;
    if (!into->any || bound_cmp(type, &more->max, &into->max) > 0) into->max = more->max;
    into->any = true;
}

static struct parquet_range range_of_numbers(i128 min, i128 max)
{
    return (struct parquet_range){true, {.number = min}, {.number = max}};
}

static struct parquet_range range_of_longs(const int64_t *v, size_t n)
{
    int64_t min = v[0], max = v[0];
    for (size_t i = 1; i < n; i++) {
        min = v[i] < min ? v[i] : min;
        max = v[i] > max ? v[i] : max;
    }
    return range_of_numbers(min, max);
}

static struct parquet_range range_of_decimals(const i128 *v, size_t n)
{
    i128 min = v[0], max = v[0];
    for (size_t i = 1; i < n; i++) {
        min = v[i] < min ? v[i] : min;
        max = v[i] > max ? v[i] : max;
    }
    return range_of_numbers(min, max);
}

static struct parquet_range range_of_booleans(const uint8_t *v, size_t n)
{
    bool all = true, some = false;
    for (size_t i = 0; i < n; i++) {
        all &= v[i] != 0;
        some |= v[i] != 0;
    }
    return range_of_numbers(all, some);
}

/* Ids mostly ascend. So a value is compared with the one before it, and with the extremes only
 * where the direction turns: an extreme is always at a turn or at an end. */
static struct parquet_range range_of_strings(const struct str *v, size_t n)
{
    struct str min = v[0], max = v[0];
    int direction = 0;
    for (size_t i = 1; i <= n; i++) {
        int step = i < n ? str_cmp(v[i], v[i - 1]) : -direction;
        if (i < n && (step == 0 || (step < 0) == (direction < 0))) {
            if (direction == 0) direction = step;
            continue;
        }
        if (direction >= 0 && str_cmp(v[i - 1], max) > 0) max = v[i - 1];
        if (direction <= 0 && str_cmp(v[i - 1], min) < 0) min = v[i - 1];
        direction = step;
    }
    return (struct parquet_range){true, {.text = min}, {.text = max}};
}

struct parquet_range range_of_values(const struct parquet_dense *v, size_t from, size_t to)
{
    if (from == to) return (struct parquet_range){.any = false};
    if (v->strings) return range_of_strings(v->strings + from, to - from);
    if (v->decimals) return range_of_decimals(v->decimals + from, to - from);
    if (v->longs) return range_of_longs(v->longs + from, to - from);
    return range_of_booleans(v->booleans + from, to - from);
}

struct parquet_range range_of_codes(const struct parquet_dictionary *d, size_t from, size_t to,
                                    uint32_t *stamps, uint32_t stamp)
{
    struct parquet_range r = {.any = false};
    for (size_t i = from; i < to; i++) {
        uint32_t code = d->codes[i];
        if (stamps[code] == stamp) continue;
        stamps[code] = stamp;
        struct parquet_range one = {.any = true};
        if (d->type == COLUMN_STRING)
            one.min.text = d->strings[code];
        else
            one.min.number = d->decimals[code];
        one.max = one.min;
        range_add(d->type, &r, &one);
    }
    return r;
}

/* ---- as bytes -------------------------------------------------------------------------------- */

/* Length of the code point at p, 0 where it is no UTF-8 (overlong forms and surrogates are not
 * told apart: they are only cut and raised, never decoded for use). */
static size_t point_len(const uint8_t *p, size_t n)
{
    size_t len = p[0] < 0x80   ? 1
                 : p[0] < 0xC2 ? 0
                 : p[0] < 0xE0 ? 2
                 : p[0] < 0xF0 ? 3
                 : p[0] < 0xF5 ? 4
                               : 0;
    if (len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    return len;
}

static uint32_t point_decode(const uint8_t *p, size_t len)
{
    if (len == 1) return p[0];
    uint32_t v = p[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) v = v << 6 | (p[i] & 0x3F);
    return v;
}

static size_t point_encode(uint32_t v, uint8_t *p)
{
    static const uint8_t lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    if (v < 0x80) {
        p[0] = (uint8_t)v;
        return 1;
    }
    size_t len = v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, v >>= 6) p[i] = (uint8_t)(0x80 | (v & 0x3F));
    p[0] = (uint8_t)(lead[len] | v);
    return len;
}

/* Raises the last code point that can be raised and drops what is behind it. A point may grow by
 * a byte, so the room is that of `points` points of 4 bytes. */
static bool raise_text(uint8_t *bytes, size_t *len)
{
    while (*len > 0) {
        size_t start = *len - 1;
        while (start > 0 && (bytes[start] & 0xC0) == 0x80) start--;
        size_t have = point_len(bytes + start, *len - start);
        if (have == 0) return false;
        uint32_t v = point_decode(bytes + start, have) + 1;
        if (v == 0xD800) v = 0xE000; /* surrogates are no code points */
        *len = start;
        if (v > 0x10FFFF) continue;
        *len += point_encode(v, bytes + start);
        return true;
    }
    return false;
}

/* Cuts to `points` code points and `most` bytes; false where the kept part is no UTF-8. */
static bool cut_text(struct str text, size_t points, size_t most, size_t *ret_len)
{
    size_t at = 0;
    for (size_t i = 0; i < points && at < text.n; i++) {
        size_t len = point_len((const uint8_t *)text.p + at, text.n - at);
        if (len == 0) return false;
        if (at + len > most) break;
        at += len;
    }
    *ret_len = at;
    return true;
}

bool text_bound(struct str text, size_t points, bool upper, uint8_t *bytes, size_t *ret_len)
{
    size_t len = 0;
    if (!cut_text(text, points, points * 4, &len)) return false;
    if (len) memcpy(bytes, text.p, len);
    if (upper && len < text.n && !raise_text(bytes, &len)) return false;
    *ret_len = len;
    return true;
}

static bool raise_bytes(uint8_t *bytes, size_t *len)
{
    while (*len > 0 && bytes[*len - 1] == 0xFF) --*len;
    if (*len == 0) return false;
    bytes[*len - 1]++;
    return true;
}

/* A long text that cannot be cut (no UTF-8, nothing to raise) stays whole: a bound must be true
 * before it is short. */
static struct str text_bytes(enum column_type type, struct str text, bool upper, uint8_t *bytes,
                             bool *ret_exact)
{
    size_t len = BOUND_BYTES;
    *ret_exact = true;
    if (text.n <= BOUND_BYTES) return text;
    if (type == COLUMN_STRING && !cut_text(text, BOUND_BYTES, BOUND_BYTES, &len)) return text;
    memcpy(bytes, text.p, len);
    if (upper && !(type == COLUMN_STRING ? raise_text(bytes, &len) : raise_bytes(bytes, &len)))
        return text;
    *ret_exact = false;
    return (struct str){(const char *)bytes, len};
}

struct str bound_bytes(enum column_type type, const struct parquet_bound *b, bool upper,
                       uint8_t *bytes, bool *ret_exact)
{
    if (is_text(type)) return text_bytes(type, b->text, upper, bytes, ret_exact);
    *ret_exact = true;
    if (type == COLUMN_BOOLEAN) {
        bytes[0] = b->number != 0;
        return (struct str){(const char *)bytes, 1};
    }
    if (type == COLUMN_DECIMAL) {
        for (int i = 0; i < DECIMAL_BYTES; i++)
            bytes[i] = (uint8_t)((u128)b->number >> (120 - 8 * i));
        return (struct str){(const char *)bytes, DECIMAL_BYTES};
    }
    int64_t v = (int64_t)b->number;
    memcpy(bytes, &v, sizeof v);
    return (struct str){(const char *)bytes, sizeof v};
}

/* ---- for the manifest ------------------------------------------------------------------------ */

enum { MANIFEST_POINTS = 16 };

static struct str text_of(const uint8_t *bytes, uint8_t len)
{
    return (struct str){(const char *)bytes, len};
}

/* Cutting keeps the order of texts and raising does too, so bounds of row groups can be joined
 * as cut texts. */
static void add_text(struct parquet_column_stats *s, const struct parquet_range *r, bool first)
{
    uint8_t bytes[MANIFEST_POINTS * 4];
    size_t len;
    if (!text_bound(r->min.text, MANIFEST_POINTS, false, bytes, &len)) {
        s->has_bounds = false;
        return;
    }
    if (first ||
        str_cmp((struct str){(char *)bytes, len}, text_of(s->min_text, s->min_text_len)) < 0) {
        memcpy(s->min_text, bytes, len);
        s->min_text_len = (uint8_t)len;
    }
    if (!text_bound(r->max.text, MANIFEST_POINTS, true, bytes, &len)) {
        s->has_bounds = false;
        return;
    }
    if (first ||
        str_cmp((struct str){(char *)bytes, len}, text_of(s->max_text, s->max_text_len)) > 0) {
        memcpy(s->max_text, bytes, len);
        s->max_text_len = (uint8_t)len;
    }
}

static void add_number(struct parquet_column_stats *s, enum column_type type,
                       const struct parquet_range *r, bool first)
{
    i128 min = r->min.number, max = r->max.number;
    if (type == COLUMN_DECIMAL) {
        if (first || min < s->min_decimal) s->min_decimal = min;
        if (first || max > s->max_decimal) s->max_decimal = max;
        return;
    }
    if (first || min < s->min_long) s->min_long = (int64_t)min;
    if (first || max > s->max_long) s->max_long = (int64_t)max;
}

/* Called before s->values and s->nulls take in the row group: no value so far means the first
 * range. */
void stats_add(struct parquet_column_stats *s, enum column_type type, const struct parquet_range *r)
{
    if (!r->any || type == COLUMN_BINARY) return;
    bool first = s->values == s->nulls;
    if (!first && !s->has_bounds) return; /* lost in an earlier row group */
    s->has_bounds = true;
    if (type == COLUMN_STRING)
        add_text(s, r, first);
    else
        add_number(s, type, r, first);
}
