#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t max) { *b = (struct buf){.max = max}; }

void buf_free(struct buf *b)
{
    if (!b) return;
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

uint8_t *buf_room(struct buf *b, size_t n)
{
    if (b->failed || n > b->max || b->len > b->max - n) {
        b->failed = true;
        return NULL;
    }
    size_t need = b->len + n + 1; /* the zero of buf_cstr */
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap < need) cap *= 2;
        if (cap > b->max + 1) cap = b->max + 1;
        b->data = realloc(b->data, cap);
        CHECK(b->data != NULL);
        b->cap = cap;
    }
    return b->data + b->len;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    uint8_t *to = buf_room(b, len);
    if (!to) return;
    if (len) memcpy(to, data, len);
    b->len += len;
}

void buf_add_byte(struct buf *b, uint8_t byte)
{
    uint8_t *to = buf_room(b, 1);
    if (!to) return;
    *to = byte;
    b->len++;
}

void buf_add_cstr(struct buf *b, const char *text) { buf_add(b, text, strlen(text)); }

void buf_add_str(struct buf *b, struct str s) { buf_add(b, s.p, s.n); }

void buf_vaddf(struct buf *b, const char *format, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    uint8_t *to = n < 0 ? NULL : buf_room(b, (size_t)n);
    if (!to) return;
    vsnprintf((char *)to, (size_t)n + 1, format, ap);
    b->len += (size_t)n;
}

void buf_addf(struct buf *b, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    buf_vaddf(b, format, ap);
    va_end(ap);
}

void buf_add_json(struct buf *b, struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    buf_add_byte(b, '"');
    for (size_t i = 0; i < s.n;) {
        size_t len = str_utf8((struct str){s.p + i, s.n - i});
        if (len == 0 || p[i] < 0x20 || p[i] == 0x7f) {
            buf_addf(b, "\\u%04x", p[i]);
            len = 1;
        } else if (p[i] == '"' || p[i] == '\\') {
            buf_add_byte(b, '\\');
            buf_add_byte(b, p[i]);
        } else {
            buf_add(b, p + i, len);
        }
        i += len;
    }
    buf_add_byte(b, '"');
}

const char *buf_cstr(struct buf *b)
{
    if (!b->data) return "";
    b->data[b->len] = 0; /* buf_room always leaves room for it */
    return (const char *)b->data;
}
