/* Binance's daily files: a zip of one CSV, not packed, and its CHECKSUM. */
#include "simulate/history.h"

#include "venue/rest.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <zlib.h>

enum { FILE_BYTES_MAX = 256 << 20 };

static void put16(struct buf *b, unsigned v)
{
    buf_add_byte(b, (uint8_t)v);
    buf_add_byte(b, (uint8_t)(v >> 8));
}
static void put32(struct buf *b, uint32_t v)
{
    put16(b, v & 0xffff);
    put16(b, v >> 16);
}

/* What the local and the central header of the one file share. */
static void put_header(struct buf *b, uint32_t crc, uint32_t size, struct str name)
{
    put16(b, 20); /* version needed */
    put16(b, 0);
    put16(b, 0); /* stored */
    put32(b, 0x58210000);
    put32(b, crc);
    put32(b, size);
    put32(b, size);
    put16(b, (unsigned)name.n);
    put16(b, 0);
}

static void zip(struct str name, struct str csv, struct buf *out)
{
    uint32_t crc = (uint32_t)crc32(0, (const unsigned char *)csv.p, (unsigned)csv.n);
    uint32_t size = (uint32_t)csv.n;
    put32(out, 0x04034b50);
    put_header(out, crc, size, name);
    buf_add_str(out, name);
    buf_add_str(out, csv);
    uint32_t directory = (uint32_t)out->len;
    put32(out, 0x02014b50);
    put16(out, 20);
    put_header(out, crc, size, name);
    put16(out, 0);
    put16(out, 0);
    put16(out, 0);
    put32(out, 0);
    put32(out, 0);
    buf_add_str(out, name);
    uint32_t end = (uint32_t)out->len;
    put32(out, 0x06054b50);
    put32(out, 0);
    put16(out, 1);
    put16(out, 1);
    put32(out, end - directory);
    put32(out, directory);
    put16(out, 0);
}

static void put_trades(const struct sim_symbol *s, int64_t day_ns, struct buf *csv)
{
    for (size_t i = sim_tape_from_time(s, day_ns);
         i < s->tape_count && s->tape[i].time_ns < day_ns + NS_PER_DAY; i++) {
        const struct sim_trade *t = &s->tape[i];
        buf_addf(csv, "%lld,", (long long)t->id);
        put_dec(csv, t->price);
        buf_add_byte(csv, ',');
        put_dec(csv, t->size);
        buf_addf(csv, ",0,%lld,%s,True\n", (long long)(t->time_ns / NS_PER_MS),
                 t->side == SIDE_SELL ? "True" : "False");
    }
}

static void put_klines(const struct sim_symbol *s, int64_t day_ns, int64_t length_ns,
                       struct buf *csv)
{
    for (int64_t at = day_ns; at < day_ns + NS_PER_DAY; at += length_ns) {
        struct sim_bar b;
        if (!sim_bar(s, at, length_ns, &b)) continue;
        sim_put_kline(csv, &b, length_ns, "", "000"); /* microseconds, as since 2025 */
        buf_add_byte(csv, '\n');
    }
}

/* ".../klines/BTCUSDT/1m/BTCUSDT-1m-2024-08-08.zip", ".../trades/BTCUSDT/BTCUSDT-trades-2024-08-08.zip" */
static bool make_csv(const struct sim_market *m, struct str name, struct buf *csv)
{
    if (name.n < 12) return false;
    struct str rest = {name.p, name.n - 11}, date = {name.p + name.n - 10, 10};
    char text[32];
    int64_t day_ns;
    (void)snprintf(text, sizeof text, "%.*sT00:00:00Z", STR_ARG(date));
    int i = market_find(m, str_cut(&rest, '-'));
    if (i < 0 || time_parse_iso(str_of(text), &day_ns) != ERR_OK) return false;
    int width = timeframe_of_text(rest);
    if (str_is(rest, "trades"))
        put_trades(&m->symbols[i], day_ns, csv);
    else if (width >= 0)
        put_klines(&m->symbols[i], day_ns, timeframe_ns((enum timeframe)width), csv);
    return csv->len > 0;
}

static void checksum(struct str bytes, struct str name, bool corrupt, struct buf *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    CHECK(EVP_Digest(bytes.p, bytes.n, digest, &size, EVP_sha256(), NULL) == 1);
    if (corrupt) digest[0] ^= 1;
    for (unsigned int i = 0; i < size; i++) buf_addf(out, "%02x", digest[i]);
    buf_addf(out, "  %.*s.zip\n", STR_ARG(name));
}

/* "bytes=8388608-16777215" */
static void cut_range(const struct sim_request *r, struct str all, struct sim_rest *out)
{
    struct str range = r->range;
    int64_t from, to;
    bool good = str_starts(range, "bytes=");
    if (good) {
        range = (struct str){range.p + 6, range.n - 6};
        struct str first = str_cut(&range, '-');
        good = str_to_i64(first, &from) == ERR_OK && str_to_i64(range, &to) == ERR_OK && from >= 0;
    }
    if (!good) {
        buf_add_str(out->body, all);
    } else if ((uint64_t)from >= all.n) {
        out->status = 416;
    } else {
        if ((uint64_t)to >= all.n) to = (int64_t)all.n - 1;
        out->status = 206;
        buf_add(out->body, all.p + from, (size_t)(to - from + 1));
    }
}

bool sim_archive(const struct sim_market *m, const struct sim_request *r, bool corrupt,
                 struct sim_rest *out)
{
    struct str name = r->path;
    while (memchr(name.p, '/', name.n)) (void)str_cut(&name, '/');
    bool sum = str_ends(name, ".CHECKSUM");
    if (sum) name.n -= 9;
    if (!str_ends(name, ".zip")) return false;
    name.n -= 4;
    char entry[160];
    struct buf csv, file;
    buf_init(&csv, FILE_BYTES_MAX);
    buf_init(&file, FILE_BYTES_MAX + (1 << 16));
    bool there = make_csv(m, name, &csv);
    if (there) {
        int n =
            snprintf(entry, sizeof entry, "%.*s.csv", (int)(name.n < 128 ? name.n : 128), name.p);
        zip((struct str){entry, (size_t)n}, buf_str(&csv), &file);
        out->type = sum ? "text/plain" : "application/zip";
        if (sum)
            checksum(buf_str(&file), name, corrupt, out->body);
        else
            cut_range(r, buf_str(&file), out);
    }
    buf_free(&csv);
    buf_free(&file);
    return there;
}
