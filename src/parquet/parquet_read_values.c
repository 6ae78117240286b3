/* What is in a page: unpacking, values of every encoding, dictionaries. */
#include "parquet/parquet_reader.h"

#include <zlib.h>
#include <zstd.h>

enum err_code read_damaged(struct read_job *j, const char *what)
{
    return ERR(j->e, ERR_CORRUPT, "%s: row group %d, column %.*s, page %d: %s", j->r->path,
               j->group, STR_ARG(j->c->name), j->page, what);
}

enum err_code read_foreign(struct read_job *j, const char *what, int64_t number)
{
    return ERR(j->e, ERR_NOT_FOUND, "%s: row group %d, column %.*s: not understood: %s %lld",
               j->r->path, j->group, STR_ARG(j->c->name), what, (long long)number);
}

bool type_is_text(enum column_type type) { return type == COLUMN_STRING || type == COLUMN_BINARY; }

size_t type_size(enum column_type type)
{
    return type == COLUMN_DECIMAL || type_is_text(type) ? 16 : type == COLUMN_BOOLEAN ? 1 : 8;
}

/* ---- unpacking ------------------------------------------------------------------------------- */

static bool inflate_page(struct str in, uint8_t *to, size_t len)
{
    z_stream z = {.next_in = (z_const Bytef *)(uintptr_t)in.p,
                  .avail_in = (uInt)in.n,
                  .next_out = to,
                  .avail_out = (uInt)len};
    if (inflateInit2(&z, 15 + 32) != Z_OK) return false; /* gzip or zlib by its head */
    int got = inflate(&z, Z_FINISH);
    bool good = got == Z_STREAM_END && z.avail_out == 0;
    inflateEnd(&z);
    return good;
}

/* Texts point into the page, so it must live as long as the row group; numbers are copied out of
 * it at once. */
static uint8_t *page_room(struct read_job *j, size_t len)
{
    if (type_is_text(j->type)) return arena_alloc(&j->r->memory, len + 8);
    buf_reset(&j->r->page);
    return buf_room(&j->r->page, len + 8);
}

/* `keep` bytes stand unpacked in front (the levels of a v2 page). */
enum err_code read_unpack(struct read_job *j, struct str in, size_t keep, size_t len,
                          struct str *ret)
{
    if (len > PAGE_READ_MAX)
        return read_foreign(j, "a page of more bytes than this reader's limit:", (int64_t)len);
    if (keep > in.n || keep > len) return read_damaged(j, "levels longer than the page");
    if (j->chunk->codec == CODEC_NONE && !type_is_text(j->type)) {
        *ret = in;
        return in.n == len ? ERR_OK
                           : read_damaged(j, "a page that is not compressed has two sizes");
    }
    uint8_t *to = page_room(j, len);
    if (!to)
        return read_foreign(
            j, "more text in one row group than this reader's limit of bytes:", 4LL << 30);
    if (keep) memcpy(to, in.p, keep);
    struct str packed = {in.p + keep, in.n - keep};
    bool good = false;
    if (j->chunk->codec == CODEC_NONE) {
        good = packed.n == len - keep;
        if (good && packed.n) memcpy(to + keep, packed.p, packed.n);
    } else if (packed.n == 0 && len == keep) {
        good = true; /* nothing was worth packing: a v2 page of nulls */
    } else if (j->chunk->codec == CODEC_GZIP) {
        good = inflate_page(packed, to + keep, len - keep);
    } else {
        good = ZSTD_decompressDCtx(j->r->zstd, to + keep, len - keep, packed.p, packed.n) ==
               len - keep;
    }
    *ret = (struct str){(const char *)to, len};
    return good ? ERR_OK
                : read_damaged(j, "its bytes do not unpack to the size that its header says");
}

/* ---- values ---------------------------------------------------------------------------------- */

static int64_t *lengths_room(struct parquet_reader *r, size_t n)
{
    return r->lengths = scratch(r->lengths, &r->lengths_cap, 2 * n, sizeof(int64_t));
}

static bool decode_texts(struct read_job *j, int encoding, struct str in, struct str *to, size_t n)
{
    struct parquet_reader *r = j->r;
    if (encoding == ENCODING_PLAIN) return decode_plain_strings(in, to, n);
    if (encoding == ENCODING_DELTA_LENGTH_BYTE_ARRAY)
        return decode_delta_lengths(in, to, n, lengths_room(r, n));
    return decode_delta_strings(in, to, n, lengths_room(r, n), &r->memory);
}

static bool decode_decimals(struct read_job *j, int encoding, struct str in, i128 *to, size_t n)
{
    int bytes = j->c->type_length;
    if (j->c->physical == PHYSICAL_FIXED && encoding == ENCODING_PLAIN)
        return decode_plain_decimals(in, to, n, bytes);
    if (j->c->physical ==
        PHYSICAL_FIXED) { /* parquet-mr's v2 pages: DELTA_BYTE_ARRAY of equal lengths */
        struct str *texts = arena_alloc(&j->r->memory, n * sizeof *texts + 1);
        if (!texts || !decode_delta_strings(in, texts, n, lengths_room(j->r, n), &j->r->memory))
            return false;
        for (size_t i = 0; i < n; i++)
            if (texts[i].n != (size_t)bytes || !decode_plain_decimals(texts[i], to + i, 1, bytes))
                return false;
        return true;
    }
    int64_t *longs = lengths_room(j->r, n);
    bool good = encoding == ENCODING_PLAIN
                    ? decode_plain_longs(in, longs, n, j->c->physical == PHYSICAL_INT32 ? 4 : 8)
                    : decode_delta(in, longs, n, NULL);
    for (size_t i = 0; good && i < n; i++)
        to[i] = j->c->physical == PHYSICAL_INT32 ? (int32_t)longs[i] : longs[i];
    return good;
}

static bool decode_longs(struct read_job *j, int encoding, struct str in, int64_t *to, size_t n)
{
    bool small = j->c->physical == PHYSICAL_INT32;
    if (encoding == ENCODING_PLAIN) return decode_plain_longs(in, to, n, small ? 4 : 8);
    bool good = decode_delta(in, to, n, NULL);
    for (size_t i = 0; good && small && i < n; i++)
        to[i] = (int32_t)to[i]; /* deltas wrap at the type's width */
    return good;
}

static bool decode_booleans(struct read_job *j, int encoding, struct str in, uint8_t *to, size_t n)
{
    if (encoding == ENCODING_PLAIN) return decode_plain_booleans(in, to, n);
    uint32_t len;
    if (in.n < 4) return false;
    memcpy(&len, in.p, 4);
    if (len > in.n - 4) return false;
    uint32_t *bits = j->r->codes = scratch(j->r->codes, &j->r->codes_cap, n, sizeof(uint32_t));
    if (!decode_hybrid((struct str){in.p + 4, len}, 1, bits, n)) return false;
    for (size_t i = 0; i < n; i++) to[i] = bits[i] & 1;
    return true;
}

static bool decode_values(struct read_job *j, int encoding, struct str in, void *to, size_t n)
{
    if (type_is_text(j->type)) return decode_texts(j, encoding, in, to, n);
    if (j->type == COLUMN_DECIMAL) return decode_decimals(j, encoding, in, to, n);
    if (j->type == COLUMN_BOOLEAN) return decode_booleans(j, encoding, in, to, n);
    return decode_longs(j, encoding, in, to, n);
}

static bool knows_encoding(const struct read_job *j, int encoding)
{
    switch (encoding) {
    case ENCODING_PLAIN: return true;
    case ENCODING_DELTA_BINARY_PACKED:
        return j->c->physical == PHYSICAL_INT32 || j->c->physical == PHYSICAL_INT64;
    case ENCODING_DELTA_LENGTH_BYTE_ARRAY: return j->c->physical == PHYSICAL_BYTE_ARRAY;
    case ENCODING_DELTA_BYTE_ARRAY:
        return j->c->physical == PHYSICAL_BYTE_ARRAY || j->c->physical == PHYSICAL_FIXED;
    case ENCODING_RLE: return j->c->physical == PHYSICAL_BOOLEAN;
    default: return false;
    }
}

/* ---- dictionary ------------------------------------------------------------------------------ */

enum err_code read_dictionary(struct read_job *j, const struct read_page *p, struct str body)
{
    if (j->has_dictionary || j->row > 0) return read_damaged(j, "a second dictionary");
    if (p->encoding != ENCODING_PLAIN && p->encoding != ENCODING_PLAIN_DICTIONARY)
        return read_foreign(j, "a dictionary in encoding", p->encoding);
    if (j->type == COLUMN_BOOLEAN)
        return read_foreign(j, "a dictionary of booleans, entries", p->values);
    if (p->values < 0 || (uint64_t)p->values > body.n)
        return read_damaged(j, "more dictionary entries than bytes");
    size_t n = (size_t)p->values;
    j->dictionary = arena_alloc(&j->r->memory, n * type_size(j->type) + 1);
    if (!j->dictionary)
        return read_foreign(j, "a dictionary past this reader's limit, entries", p->values);
    if (!decode_values(j, ENCODING_PLAIN, body, j->dictionary, n))
        return read_damaged(j, "a cut dictionary");
    j->has_dictionary = true;
    j->dictionary_count = n;
    return ERR_OK;
}

#define GATHER(type)                                                                               \
    for (size_t i = 0; i < n; i++) ((type *)to)[i] = ((const type *)j->dictionary)[codes[i]];

static enum err_code decode_codes(struct read_job *j, struct str in, void *to, size_t n)
{
    if (n == 0) return ERR_OK;
    if (!j->has_dictionary) return read_damaged(j, "dictionary codes without a dictionary");
    uint32_t *codes = j->r->codes = scratch(j->r->codes, &j->r->codes_cap, n, sizeof(uint32_t));
    if (in.n < 1 || !decode_hybrid((struct str){in.p + 1, in.n - 1}, (uint8_t)in.p[0], codes, n))
        return read_damaged(j, "cut dictionary codes");
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) most = codes[i] > most ? codes[i] : most;
    if (most >= j->dictionary_count)
        return read_damaged(j, "a code past the end of the dictionary");
    if (type_is_text(j->type)) {
        GATHER(struct str)
    } else if (j->type == COLUMN_DECIMAL) {
        GATHER(i128)
    } else {
        GATHER(int64_t)
    }
    return ERR_OK;
}

enum err_code read_values(struct read_job *j, int encoding, struct str in, void *to, size_t n)
{
    if (encoding == ENCODING_RLE_DICTIONARY || encoding == ENCODING_PLAIN_DICTIONARY)
        return decode_codes(j, in, to, n);
    if (!knows_encoding(j, encoding)) return read_foreign(j, "encoding", encoding);
    if (n > 0 && !decode_values(j, encoding, in, to, n))
        return read_damaged(j, "its values are cut or do not fit their encoding");
    return ERR_OK;
}
