/* input.h - the bytes of a recording, unpacked, through one window. Internal to recording/.
 *
 * Unpacks   gzip (several members), zstd (several frames) and zip (the first file in it) by their
 *           first bytes; anything else is read as it is. On zlib and libzstd directly, not by
 *           libarchive: that throws away what was readable of the piece in which a file is cut (64
 *           KiB of a gzip, a zip's whole file).
 * Lent      what a call returns is valid until the next call; it is writable and has VENUE_PADDING
 *           zero bytes behind it (the bytes that really stand there are put back by the next call:
 *           no copy is needed to decode in situ).
 * Damage    a damaged place ends the input: ERR_CORRUPT once, behind all that could be read, then
 *           ERR_NOT_FOUND.
 * Limits    the window grows to the limit that a call is given, and one chunk.
 */
#ifndef TICKLAKE_RECORDING_INPUT_H
#define TICKLAKE_RECORDING_INPUT_H

#include "base/buf.h"

struct input;
enum err_code input_open(const char *path, struct input **ret, struct err *e) MUST_USE;
/* The same over bytes in memory, which must outlive it (for the fuzzer). */
enum err_code input_open_bytes(const char *name, struct str bytes, struct input **ret,
                               struct err *e) MUST_USE;
struct input *input_close(struct input *in);

/* ERR_OK, or why nothing more can be read behind what input_peek gives. */
enum err_code input_fault(const struct input *in, struct err *e) MUST_USE;
/* The first bytes at the place where the input stands, at most n, fewer only at its end; nothing is
 * taken. */
struct str input_peek(struct input *in, size_t n);

struct input_line {
    char *p;
    size_t n;       /* without the line end */
    int64_t number; /* from 1 */
    bool cut;       /* the input ends without a line end */
};
/* ERR_NOT_FOUND at the end. ERR_CORRUPT at a damaged place or for a line past `limit`; what is
 * known of it is in *ret. */
enum err_code input_line(struct input *in, size_t limit, struct input_line *ret,
                         struct err *e) MUST_USE;
/* The next element of a JSON array of any size: skips white space, commas and brackets of the array
 * around it. `line` is the one it begins in; `cut` where the input ends inside of it. ERR_NOT_FOUND
 * behind the last one. */
enum err_code input_element(struct input *in, size_t limit, struct input_line *ret,
                            struct err *e) MUST_USE;
/* Exactly n bytes, or fewer at the end (then ret->cut). */
enum err_code input_take(struct input *in, size_t n, struct input_line *ret,
                         struct err *e) MUST_USE;
/* All that follows; ERR_CORRUPT past `limit` or at a damaged place. */
enum err_code input_rest(struct input *in, size_t limit, struct input_line *ret,
                         struct err *e) MUST_USE;

const char *input_entry(const struct input *in); /* name of the file inside a zip, else NULL */
void input_progress(const struct input *in, uint64_t *ret_done, uint64_t *ret_size); /* packed */

/* The source of packed bytes and the decoders over it; used by input.c alone. */
struct packed {
    int fd; /* or -1: bytes */
    const char *path;
    struct str bytes;
    uint64_t at, size;
};
/* At most n bytes from where it stands. */
enum err_code packed_read(struct packed *p, void *to, size_t n, size_t *ret_n,
                          struct err *e) MUST_USE;

struct unpack;
/* By the first bytes; *ret is NULL where nothing is to be unpacked. */
enum err_code unpack_open(struct packed *p, struct unpack **ret, struct err *e) MUST_USE;
struct unpack *unpack_close(struct unpack *u);
/* At most n bytes; *ret_n 0 at the end. After ERR_CORRUPT nothing more comes, but *ret_n bytes did. */
enum err_code unpack_read(struct unpack *u, void *to, size_t n, size_t *ret_n,
                          struct err *e) MUST_USE;
const char *unpack_entry(const struct unpack *u);

#endif
