/* reader.h - what a reader of one format gets and gives. Internal to recording/.
 *
 * To add a format: write recording/NAME.c with one `const struct format format_NAME`, add its line
 * to FORMAT_LIST in the place where its probe should be asked (the first that says yes reads the
 * file), and a test over a real sample.
 */
#ifndef TICKLAKE_RECORDING_READER_H
#define TICKLAKE_RECORDING_READER_H

#include "recording/input.h"
#include "recording/recording.h"

#include "io/file.h"
#include "venue/venue.h"

enum {
    RECORDING_PROBE_BYTES = 64 << 10,
    RECORDING_LINE_MAX = (64 << 20) + 4096, /* a REST answer and what stands before it */
    RECORDING_DOCUMENT_MAX = 64 << 20,
};

/* In the order in which they are asked. */
#define FORMAT_LIST(X)                                                                             \
    X(ours)                                                                                        \
    X(cryptofeed)                                                                                  \
    X(cryptofeed_b)                                                                                \
    X(hftbacktest)                                                                                 \
    X(binance_csv)                                                                                 \
    X(klines)                                                                                      \
    X(binance_archive)                                                                             \
    X(lean)                                                                                        \
    X(vcr)                                                                                         \
    X(gct)                                                                                         \
    X(kraken_ohlc)                                                                                 \
    X(tiingo_rest)                                                                                 \
    X(ccxt_trades)                                                                                 \
    X(ccxt_candles)                                                                                \
    X(json_lines)

struct probe {
    struct str head;  /* the first unpacked bytes, at most RECORDING_PROBE_BYTES */
    bool whole;       /* they are all there is */
    const char *path; /* as it was given */
    const char *name; /* of the file (inside the zip, where it is one), without folders */
    struct str hint;  /* --venue, or empty */
};

struct format {
    const char *name;
    bool
        packed; /* reads the packed bytes themselves (ours: a zstd file with an index of its own) */
    bool spans; /* a connection of the same name in the next file is the same connection */
    bool (*probe)(const struct probe *p);
    enum err_code (*open)(struct recording *r, struct err *e);
    /* As recording_next; number and venue (where it is one for the whole file: r->venue) are filled
     * by the caller. */
    enum err_code (*next)(struct recording *r, struct recording_item *ret, struct err *e);
    void (*close)(struct recording *r); /* frees r->state, which may be NULL */
};

#define X(n) extern const struct format format_##n;
FORMAT_LIST(X)
#undef X

struct recording {
    const struct format *format;
    struct input *in; /* NULL while parked */
    void *state;      /* the format's own */
    struct str bytes; /* opened from memory, where p is not NULL */
    bool broken;      /* could not be begun: told by the first recording_next */
    bool ended;       /* and nothing follows that */
    struct err why;
    int64_t number;
    struct str venue, hint;
    const char *name; /* of the file, inside `path` */
    uint64_t packed_size;
    char path[PATH_LIMIT];
    char identity[PATH_LIMIT + 64];
    char venue_text[64], hint_text[64];
};

/* Over bytes in memory, which must outlive it: for the fuzzer and tests. */
enum err_code recording_open_bytes(const char *name, struct str bytes, struct str venue_hint,
                                   struct recording **ret, struct err *e) MUST_USE;

/* "PATH: line N: ..." */
enum err_code damaged_line(const struct recording *r, struct err *e, enum err_code code,
                           int64_t line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Takes the line's bytes into the item, so that what is damaged can be kept. */
void item_bytes(struct recording_item *item, const struct input_line *line);
/* A last line without an end is damaged, unless its JSON is whole; else ERR_OK. */
enum err_code line_of_text(const struct recording *r, const struct input_line *line,
                           struct recording_item *item, struct err *e) MUST_USE;
/* Brackets and quotes of a JSON text are closed: a line without an end that is whole nevertheless. */
bool json_is_whole(struct str s);
/* A name of ours that is one of the path's folders or begins one ("binance-spot", "spot-BTCUSDT-1m"
 * do not count); else empty. */
struct str venue_of_folders(const char *path);
/* How a venue of ours writes the pair; false where it does not fit. */
bool venue_symbol_of_pair(struct str venue, struct str base, struct str quote, char *to,
                          size_t size);
/* "1m", "1min" ... to enum timeframe, or -1. */
int timeframe_of_ns(int64_t ns);
/* Epoch time of 10, 13, 16 or 19 digits (s, ms, us, ns). */
enum err_code time_of_digits(struct str digits, int64_t *ret_ns) MUST_USE;
/* A candle with nothing in it but its place, as a venue stated it; count -1. */
void candle_start(struct recording_item *item, int timeframe, int64_t open_time_ns,
                  const char *source);
/* Open, high, low, close and, where text[4] is not empty, base volume. */
enum err_code candle_prices(struct recording_item *item, const struct str text[5]) MUST_USE;

#endif
