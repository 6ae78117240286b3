/* buf.h - a growable run of bytes with a stated maximum.
 *
 * Purpose   building messages, files, rows. `max` is set at birth; going past it makes the buffer
 *           `failed` (sticky, like a stream's error flag): write ten things, test once.
 * Calls     buf_init(&b, max) ... buf_add*() ... if (b.failed) ... buf_free(&b). buf_reset keeps memory.
 * Limits    `max` bytes. Out of memory is a CHECK, since max bounds the ask.
 */
#ifndef TICKLAKE_BASE_BUF_H
#define TICKLAKE_BASE_BUF_H

#include "base/str.h"

#include <stdarg.h>

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max;
    bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b); /* NULL and half-built are fine */
void buf_reset(struct buf *b);
/* Room for n more bytes to be written by the caller, who then raises b->len; NULL when past max. */
uint8_t *buf_room(struct buf *b, size_t n);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_add_byte(struct buf *b, uint8_t byte);
void buf_add_cstr(struct buf *b, const char *text);
void buf_add_str(struct buf *b, struct str s);
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));
/* The bytes as a JSON string with its quotes; bytes that are no UTF-8 become \u00XX. */
void buf_add_json(struct buf *b, struct str s);
/* A terminating zero is kept behind the data (not counted). */
const char *buf_cstr(struct buf *b);
static inline struct str buf_str(const struct buf *b)
{
    return (struct str){(const char *)b->data, b->len};
}

#endif
