#include "io/aws_xml.h"

/* One piece of markup, or a run of text between two. */
enum kind { END, TEXT, CDATA, OPEN, CLOSE, EMPTY, OTHER };
struct piece {
    enum kind kind;
    struct str text; /* of TEXT and CDATA: the characters; of tags: the local name */
    const char *from;
};

/* The rest from behind `end` on; nothing where it does not come. */
static bool skip_past(struct str *rest, const char *end, struct str *ret_before)
{
    size_t n = strlen(end);
    const char *at = rest->n ? memmem(rest->p, rest->n, end, n) : NULL;
    if (!at) return false;
    *ret_before = (struct str){rest->p, (size_t)(at - rest->p)};
    size_t used = (size_t)(at - rest->p) + n;
    *rest = (struct str){rest->p + used, rest->n - used};
    return true;
}

/* From behind '<' to behind '>', quotes respected: an attribute may hold '>'. */
static bool tag(struct str *rest, struct str *ret)
{
    char quote = 0;
    for (size_t i = 0; i < rest->n; i++) {
        char c = rest->p[i];
        if (quote)
            quote = c == quote ? 0 : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == '>') {
            *ret = (struct str){rest->p, i};
            *rest = (struct str){rest->p + i + 1, rest->n - i - 1};
            return true;
        }
    }
    return false;
}

static struct str local_name(struct str s)
{
    size_t n = 0;
    while (n < s.n && !strchr(" \t\r\n/", s.p[n] ? s.p[n] : ' ')) n++;
    const char *colon = n ? memrchr(s.p, ':', n) : NULL;
    size_t skip = colon ? (size_t)(colon + 1 - s.p) : 0;
    return (struct str){s.p + skip, n - skip};
}

static struct piece next(struct str *rest)
{
    struct piece p = {.kind = END, .from = rest->p};
    if (rest->n == 0) return p;
    if (rest->p[0] != '<') {
        const char *at = memchr(rest->p, '<', rest->n);
        p.kind = TEXT;
        p.text = (struct str){rest->p, at ? (size_t)(at - rest->p) : rest->n};
        *rest = (struct str){rest->p + p.text.n, rest->n - p.text.n};
        return p;
    }
    struct str after = *rest, text = {"", 0};
    bool whole;
    if (str_starts(*rest, "<!--"))
        p.kind = OTHER, whole = skip_past(&after, "-->", &text);
    else if (str_starts(*rest, "<![CDATA[")) {
        after = (struct str){rest->p + 9, rest->n - 9};
        p.kind = CDATA, whole = skip_past(&after, "]]>", &text);
    } else if (str_starts(*rest, "<?"))
        p.kind = OTHER, whole = skip_past(&after, "?>", &text);
    else {
        after = (struct str){rest->p + 1, rest->n - 1};
        whole = tag(&after, &text);
        p.kind = str_starts(text, "!")   ? OTHER
                 : str_starts(text, "/") ? CLOSE
                 : str_ends(text, "/")   ? EMPTY
                                         : OPEN;
        if (p.kind == CLOSE) text = (struct str){text.p + 1, text.n - 1};
        if (p.kind != OTHER) text = local_name(text);
    }
    if (!whole) return (struct piece){.kind = END, .from = rest->p};
    p.text = text;
    *rest = after;
    return p;
}

bool xml_next(struct str *rest, const char *name, struct str *ret)
{
    struct piece p;
    while ((p = next(rest)).kind != END) {
        if (p.kind == EMPTY && str_is(p.text, name)) {
            *ret = (struct str){rest->p, 0};
            return true;
        }
        if (p.kind != OPEN || !str_is(p.text, name)) continue;
        /* To the tag that closes it; elements of the same name inside are counted. */
        const char *from = rest->p;
        for (int depth = 1; (p = next(rest)).kind != END;) {
            if (p.kind == OPEN && str_is(p.text, name)) depth++;
            if (p.kind != CLOSE || !str_is(p.text, name) || --depth) continue;
            *ret = (struct str){from, (size_t)(p.from - from)};
            return true;
        }
        return false;
    }
    return false;
}

struct str xml_first(struct str in, const char *name)
{
    struct str ret = {"", 0};
    return xml_next(&in, name, &ret) ? ret : (struct str){"", 0};
}

struct str xml_root(struct str in)
{
    struct piece p;
    while ((p = next(&in)).kind != END)
        if (p.kind == OPEN || p.kind == EMPTY) return p.text;
    return (struct str){"", 0};
}

static void add_utf8(struct buf *b, uint32_t c)
{
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) c = 0xfffd;
    if (c < 0x80) {
        buf_add_byte(b, (uint8_t)c);
    } else if (c < 0x800) {
        buf_add_byte(b, (uint8_t)(0xc0 | c >> 6));
        buf_add_byte(b, (uint8_t)(0x80 | (c & 63)));
    } else {
        if (c < 0x10000) {
            buf_add_byte(b, (uint8_t)(0xe0 | c >> 12));
        } else {
            buf_add_byte(b, (uint8_t)(0xf0 | c >> 18));
            buf_add_byte(b, (uint8_t)(0x80 | (c >> 12 & 63)));
        }
        buf_add_byte(b, (uint8_t)(0x80 | (c >> 6 & 63)));
        buf_add_byte(b, (uint8_t)(0x80 | (c & 63)));
    }
}

/* "#233", "#xE9": false where it is no number. */
static bool number(struct str s, uint32_t *ret)
{
    uint32_t base = s.n > 1 && (s.p[1] == 'x' || s.p[1] == 'X') ? 16 : 10, v = 0;
    size_t i = base == 16 ? 2 : 1;
    if (i >= s.n || s.n > 9) return false;
    for (; i < s.n; i++) {
        char c = s.p[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
                                                : 99;
        if (digit >= base) return false;
        v = v * base + digit;
    }
    *ret = v;
    return true;
}

static void add_decoded(struct buf *b, struct str s)
{
    static const struct {
        const char *name;
        uint32_t code;
    } known[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    for (size_t i = 0; i < s.n; i++) {
        const char *end = s.p[i] == '&' ? memchr(s.p + i, ';', s.n - i < 12 ? s.n - i : 12) : NULL;
        uint32_t code = 0;
        bool found = false;
        if (end) {
            struct str name = {s.p + i + 1, (size_t)(end - s.p) - i - 1};
            found = name.n && name.p[0] == '#' && number(name, &code);
            for (size_t k = 0; k < sizeof known / sizeof *known; k++)
                if (str_is(name, known[k].name)) found = true, code = known[k].code;
        }
        if (found) {
            add_utf8(b, code);
            i = (size_t)(end - s.p);
        } else {
            buf_add_byte(b, (uint8_t)s.p[i]);
        }
    }
}

void xml_text(struct str encoded, struct buf *ret)
{
    struct piece p;
    while ((p = next(&encoded)).kind != END) {
        if (p.kind == TEXT) add_decoded(ret, p.text);
        if (p.kind == CDATA) buf_add_str(ret, p.text);
    }
}
