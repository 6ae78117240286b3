#include "base/str.h"

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

bool str_starts(struct str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

bool str_ends(struct str s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.n >= n && (n == 0 || memcmp(s.p + s.n - n, suffix, n) == 0);
}

bool str_contains(struct str s, const char *part)
{
    size_t n = strlen(part);
    return n == 0 || (s.n >= n && memmem(s.p, s.n, part, n) != NULL);
}

struct str str_cut(struct str *s, char sep)
{
    const char *at = s->n ? memchr(s->p, sep, s->n) : NULL;
    struct str head = {s->p, at ? (size_t)(at - s->p) : s->n};
    size_t gone = at ? head.n + 1 : head.n;
    *s = (struct str){s->p ? s->p + gone : NULL, s->n - gone};
    return head;
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

struct str str_trim(struct str s)
{
    while (s.n && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_space(s.p[s.n - 1])) s.n--;
    return s;
}

static enum err_code to_u64(struct str s, uint64_t *ret)
{
    if (s.n == 0) return ERR_PARSE;
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9) return ERR_PARSE;
        if (__builtin_mul_overflow(v, UINT64_C(10), &v)) return ERR_PARSE;
        if (__builtin_add_overflow(v, (uint64_t)digit, &v)) return ERR_PARSE;
    }
    *ret = v;
    return ERR_OK;
}

enum err_code str_to_i64(struct str s, int64_t *ret)
{
    bool negative = s.n && s.p[0] == '-';
    uint64_t v;
    TRY(to_u64(negative ? (struct str){s.p + 1, s.n - 1} : s, &v));
    if (v > (uint64_t)INT64_MAX + negative) return ERR_PARSE;
    *ret = negative ? (int64_t)(0 - v) : (int64_t)v;
    return ERR_OK;
}

bool str_copy(char *to, size_t to_size, struct str s)
{
    bool fits = s.n < to_size;
    if (fits && s.n) memcpy(to, s.p, s.n);
    to[fits ? s.n : 0] = 0;
    return fits;
}

int str_distance(struct str a, struct str b)
{
    enum { LIMIT = 64 };
    if (a.n > LIMIT || b.n > LIMIT) return LIMIT;
    int row[LIMIT + 1];
    for (size_t j = 0; j <= b.n; j++) row[j] = (int)j;
    for (size_t i = 1; i <= a.n; i++) {
        int corner = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= b.n; j++) {
            int best = corner + (a.p[i - 1] != b.p[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            corner = row[j];
            row[j] = best;
        }
    }
    return row[b.n];
}

size_t str_utf8(struct str s)
{
    if (s.n == 0) return 0;
    const unsigned char *p = (const unsigned char *)s.p;
    if (p[0] < 0x80) return 1;
    size_t len = p[0] >= 0xc2 && p[0] <= 0xdf ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 0;
    if (p[0] >= 0xf0 && p[0] <= 0xf4) len = 4;
    if (len == 0 || len > s.n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if (p[0] == 0xe0 && p[1] < 0xa0) return 0;
    if (p[0] == 0xed && p[1] > 0x9f) return 0;
    if (p[0] == 0xf0 && p[1] < 0x90) return 0;
    if (p[0] == 0xf4 && p[1] > 0x8f) return 0;
    return len;
}

bool str_is_utf8(struct str s)
{
    while (s.n) {
        uint64_t eight;
        if (s.n >= sizeof eight) { /* most texts have no byte above 127 */
            memcpy(&eight, s.p, sizeof eight);
            if (!(eight & UINT64_C(0x8080808080808080))) {
                s = (struct str){s.p + sizeof eight, s.n - sizeof eight};
                continue;
            }
        }
        size_t len = str_utf8(s);
        if (len == 0) return false;
        s = (struct str){s.p + len, s.n - len};
    }
    return true;
}
