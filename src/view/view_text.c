#include "view/view_internal.h"

static int hex_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* A wrong escape makes the whole value unusable: a name that was not meant is not looked for. */
static bool decode(struct str s, char out[VIEW_PARAMETER_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '+') c = ' ';
        if (c == '%') {
            if (s.n - i < 3) return false;
            int high = hex_of(s.p[i + 1]), low = hex_of(s.p[i + 2]);
            if (high < 0 || low < 0) return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == 0 || n + 1 >= VIEW_PARAMETER_MAX) return false;
        out[n++] = c;
    }
    out[n] = 0;
    return true;
}

bool view_parameter(const char *query, const char *name, char out[VIEW_PARAMETER_MAX])
{
    struct str rest = str_of(query ? query : "");
    out[0] = 0;
    while (rest.n) {
        struct str value = str_cut(&rest, '&');
        if (!str_is(str_cut(&value, '='), name)) continue;
        if (decode(value, out)) return true;
        out[0] = 0;
        return false;
    }
    return false;
}

int64_t view_parameter_int(const char *query, const char *name, int64_t standard, int64_t least,
                           int64_t most)
{
    char text[VIEW_PARAMETER_MAX];
    int64_t v;
    if (!view_parameter(query, name, text) || str_to_i64(str_of(text), &v) != ERR_OK)
        return standard;
    return v < least ? least : v > most ? most : v;
}

void view_put_ms(struct buf *out, const char *name, int64_t ns)
{
    if (ns == TIME_ABSENT || ns == INT64_MAX)
        buf_addf(out, ",\"%s\":null", name);
    else
        buf_addf(out, ",\"%s\":%lld", name, (long long)(time_floor(ns, NS_PER_MS) / NS_PER_MS));
}

void view_put_count(struct buf *out, const char *name, int64_t v)
{
    if (v < 0)
        buf_addf(out, ",\"%s\":null", name);
    else
        buf_addf(out, ",\"%s\":%lld", name, (long long)v);
}

void view_put_text(struct buf *out, const char *name, struct str text)
{
    buf_addf(out, ",\"%s\":", name);
    buf_add_json(out, text);
}
