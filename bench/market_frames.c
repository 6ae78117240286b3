/* market_frames - a generated market in Binance's own frames, as hftbacktest's collector writes them: "<receive time in ns>
 * <combined frame>" a line. The recordings hold some 60,000 trades; a large run needs millions, and the same by every seed.
 *
 *   market_frames [--trades N] [--symbols N] [--quotes N] [--rate N] [--seed N] [--zstd] FILE
 *
 * --quotes N  bookTicker frames for each trade (default 0)      --rate N  trades a second of the market's time, all symbols
 * Ids are consecutive per symbol, times never go back, prices walk in ticks: nothing in it is late, doubled or missing, so
 * that trades in the lake = N is the check of a run.
 */
#include "base/str.h"
#include "base/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

enum { SYMBOLS_MAX = 10000, LINE_MAX_BYTES = 512, CHUNK = 1 << 20 };
#define START_NS (INT64_C(1760000000) * NS_PER_S)

struct symbol {
    char lower[32], upper[32];
    int64_t price, id, update; /* price in ticks of 0.01 */
};

struct market {
    int64_t trades, symbols, quotes, rate, seed;
    bool zstd;
    const char *path;
    uint64_t random;
    struct symbol *symbol;
};

struct out {
    FILE *file;
    ZSTD_CCtx *zstd;
    char *text, *packed;
    size_t used, packed_cap;
};

static void fail(const char *what, const char *path)
{
    fprintf(stderr, "market_frames: %s: %s\n", path, what);
    exit(74);
}

static void flush(struct out *o, const char *path, bool end)
{
    if (!o->zstd) {
        if (fwrite(o->text, 1, o->used, o->file) != o->used) fail("cannot be written", path);
        o->used = 0;
        return;
    }
    ZSTD_inBuffer in = {o->text, o->used, 0};
    for (size_t left = 1; in.pos < in.size || (end && left);) {
        ZSTD_outBuffer to = {o->packed, o->packed_cap, 0};
        left = ZSTD_compressStream2(o->zstd, &to, &in, end ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left)) fail(ZSTD_getErrorName(left), path);
        if (fwrite(o->packed, 1, to.pos, o->file) != to.pos) fail("cannot be written", path);
    }
    o->used = 0;
}

static char *line(struct out *o, const char *path)
{
    if (o->used + LINE_MAX_BYTES > CHUNK) flush(o, path, false);
    return o->text + o->used;
}

static uint64_t next_random(struct market *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    return m->random ^= m->random << 17;
}

static void add_trade(struct market *m, struct out *o, struct symbol *s, int64_t now_ns)
{
    uint64_t r = next_random(m);
    int64_t ms = now_ns / NS_PER_MS, lots = 1 + (int64_t)(r & 0xfffff);
    s->price += (int64_t)(r >> 20 & 15) - 7;
    if (s->price < 100) s->price = 100;
    o->used += (size_t)snprintf(
        line(o, m->path), LINE_MAX_BYTES,
        "%lld "
        "{\"stream\":\"%s@trade\",\"data\":{\"e\":\"trade\",\"E\":%lld,\"s\":\"%s\",\"t\":%lld,"
        "\"p\":\"%lld.%02lld000000\",\"q\":\"%lld.%05lld000\",\"T\":%lld,\"m\":%s,\"M\":true}}\n",
        (long long)(now_ns + 3 * NS_PER_MS), s->lower, (long long)ms, s->upper, (long long)s->id++,
        (long long)(s->price / 100), (long long)(s->price % 100), (long long)(lots / 100000),
        (long long)(lots % 100000), (long long)ms, r >> 24 & 1 ? "true" : "false");
}

static void add_quote(struct market *m, struct out *o, struct symbol *s, int64_t now_ns)
{
    uint64_t r = next_random(m);
    int64_t bid = (int64_t)(r & 0xfffff), ask = (int64_t)(r >> 20 & 0xfffff), above = s->price + 1;
    s->update += 1 + (int64_t)(r >> 60);
    o->used += (size_t)snprintf(
        line(o, m->path), LINE_MAX_BYTES,
        "%lld "
        "{\"stream\":\"%s@bookTicker\",\"data\":{\"u\":%lld,\"s\":\"%s\",\"b\":\"%lld.%"
        "02lld000000\","
        "\"B\":\"%lld.%05lld000\",\"a\":\"%lld.%02lld000000\",\"A\":\"%lld.%05lld000\"}}\n",
        (long long)(now_ns + 3 * NS_PER_MS), s->lower, (long long)s->update, s->upper,
        (long long)(s->price / 100), (long long)(s->price % 100), (long long)(bid / 100000),
        (long long)(bid % 100000), (long long)(above / 100), (long long)(above % 100),
        (long long)(ask / 100000), (long long)(ask % 100000));
}

static void start(struct market *m)
{
    m->random = (uint64_t)m->seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    m->symbol = calloc((size_t)m->symbols, sizeof *m->symbol);
    CHECK(m->symbol != NULL);
    for (int64_t i = 0; i < m->symbols; i++) {
        struct symbol *s = &m->symbol[i];
        snprintf(s->lower, sizeof s->lower, "coin%lldusdt", (long long)i);
        snprintf(s->upper, sizeof s->upper, "COIN%lldUSDT", (long long)i);
        s->price = 10000 + (int64_t)(next_random(m) % 6000000);
        s->id = 1000000 + (int64_t)(next_random(m) % 4000000000);
        s->update = s->id * 7;
    }
}

static void write_market(struct market *m, struct out *o)
{
    int64_t now_ns = START_NS, step_ns = NS_PER_S / m->rate;
    for (int64_t i = 0; i < m->trades; i++) {
        uint64_t r = next_random(m);
        struct symbol *s = &m->symbol[(r >> 32) % (uint64_t)m->symbols];
        now_ns += step_ns * (int64_t)(r & 1023) / 512;
        add_trade(m, o, s, now_ns);
        for (int64_t q = 0; q < m->quotes; q++) add_quote(m, o, s, now_ns);
    }
    flush(o, m->path, true);
}

static bool number(int argc, char **argv, int *i, const char *name, int64_t *to)
{
    if (strcmp(argv[*i], name) != 0) return false;
    if (*i + 1 == argc || str_to_i64(str_of(argv[*i + 1]), to) != ERR_OK || *to < 0) {
        fprintf(stderr, "market_frames: %s: expected a number\n", name);
        exit(64);
    }
    ++*i;
    return true;
}

static void options(int argc, char **argv, struct market *m)
{
    for (int i = 1; i < argc; i++) {
        if (number(argc, argv, &i, "--trades", &m->trades)) continue;
        if (number(argc, argv, &i, "--symbols", &m->symbols)) continue;
        if (number(argc, argv, &i, "--quotes", &m->quotes)) continue;
        if (number(argc, argv, &i, "--rate", &m->rate)) continue;
        if (number(argc, argv, &i, "--seed", &m->seed)) continue;
        if (strcmp(argv[i], "--zstd") == 0)
            m->zstd = true;
        else
            m->path = argv[i];
    }
    if (m->path && m->symbols >= 1 && m->symbols <= SYMBOLS_MAX && m->rate >= 1 &&
        m->rate <= NS_PER_S)
        return;
    fprintf(stderr,
            "usage: market_frames [--trades N] [--symbols 1..%d] [--quotes N] [--rate N] "
            "[--seed N] [--zstd] FILE\n",
            SYMBOLS_MAX);
    exit(64);
}

int main(int argc, char **argv)
{
    struct market m = {.trades = 1000000, .symbols = 50, .rate = 2000, .seed = 1};
    options(argc, argv, &m);
    struct out o = {.file = fopen(m.path, "wb"), .packed_cap = ZSTD_CStreamOutSize()};
    if (!o.file) fail("cannot be made", m.path);
    o.text = malloc(CHUNK);
    o.packed = malloc(o.packed_cap);
    o.zstd = m.zstd ? ZSTD_createCCtx() : NULL;
    CHECK(o.text && o.packed && (o.zstd || !m.zstd));
    start(&m);
    write_market(&m, &o);
    if (fclose(o.file) != 0) fail("cannot be written", m.path);
    ZSTD_freeCCtx(o.zstd);
    free(o.text);
    free(o.packed);
    free(m.symbol);
    return 0;
}
