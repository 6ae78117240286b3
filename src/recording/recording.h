/* recording.h - recordings of venue traffic: every known format read, our own written.
 *
 * Reading   recording_open(path) recognises the format by CONTENT (gzip, zstd and zip are unpacked
 *           on the way), then recording_next() yields items in the file's order. A file that ends
 *           in mid-line or is damaged yields what was read, then ERR_CORRUPT with path, line and
 *           reason; recording_next may be called on to read what follows where that is possible.
 * Formats   ours ("ticklake frames", docs/formats.md); cryptofeed A (.ws.N.0, .http.N.0, VENUE.0)
 *           and B (JSON lines); hftbacktest (ns or us, gz); binance-data-processor CSV; Binance
 *           archive CSV (klines, trades, aggTrades); ccxt/freqtrade trades and candles JSON; gocryptotrader recorded REST;
 *           LEAN candles zip; Kraken OHLC JSON; Tiingo frames as JSON lines, REST JSON, VCR YAML.
 * Items     a frame is the venue's own bytes, to be decoded by venue/. A format that holds rows
 *           instead of frames yields events whose names are text (the reader knows no series
 *           numbers).
 * Memory    an item is valid until the next call. Limits: VENUE_FRAME_MAX a frame, VENUE_REST_MAX a
 *           REST answer.
 * Writing   recording_writer_*: segments of compressed, checksummed frames, rotated by size and
 *           time, old ones removed by retention. A crash loses at most what was not flushed; a torn
 *           tail is recognised and said.
 */
#ifndef TICKLAKE_RECORDING_RECORDING_H
#define TICKLAKE_RECORDING_RECORDING_H

#include "base/buf.h"
#include "event/event.h"

enum recording_kind {
    RECORDING_FRAME,   /* a received WebSocket frame */
    RECORDING_SENT,    /* a frame the client sent */
    RECORDING_CONNECT, /* a connection was opened: url */
    RECORDING_CLOSED,  /* a connection was lost */
    RECORDING_REST,    /* a REST answer: url, bytes */
    RECORDING_TRADE,   /* one decoded trade (row formats) */
    RECORDING_CANDLE,  /* one candle as a venue stated it */
};

struct recording_item {
    enum recording_kind kind;
    int64_t number;        /* of this item in the file, from 1; damaged places count too */
    int64_t received_ns;   /* the recording's receive time, or TIME_ABSENT where it has none */
    struct str venue;      /* our venue name ("binance"), or empty when unknown */
    struct str connection; /* stable name of the connection inside the recording */
    struct str url;
    char *bytes; /* FRAME, SENT, REST; VENUE_PADDING writable zero bytes behind */
    size_t len;
    struct str venue_symbol; /* TRADE, CANDLE */
    /* Not set for other kinds: zeroing and copying them for each frame was a tenth of a replay. */
    struct trade trade;         /* TRADE; series unset */
    struct venue_candle candle; /* CANDLE */
};

struct recording;
/* `venue_hint` (may be empty) is --venue of the command line, for formats that do not tell. */
enum err_code recording_open(const char *path, struct str venue_hint, struct recording **ret,
                             struct err *e) MUST_USE;
struct recording *recording_close(struct recording *r); /* NULL allowed, returns NULL */
/* ERR_OK; ERR_NOT_FOUND at the end; ERR_CORRUPT / ERR_PARSE for a damaged place (call again to go
 * on): ret->bytes then holds what is known of it (may be empty), and it counts as an item in
 * ret->number. */
enum err_code recording_next(struct recording *r, struct recording_item *ret,
                             struct err *e) MUST_USE;
const char *recording_format(const struct recording *r); /* "hftbacktest" */
const char *recording_path(const struct recording *r);
/* A connection of the same name in another file of this format is the same connection (our own
 * segments). */
bool recording_connections_span(const struct recording *r);
/* The next recording_next begins at the first item again; file and window are released meanwhile. */
void recording_rewind(struct recording *r);
/* Name of the content, equal wherever the file lies: base name, size, and a hash of the packed
 * bytes (of the first and last 64 KiB alone where the file is larger than 8 MiB). */
const char *recording_identity(const struct recording *r);
/* Position read so far and size, in compressed bytes, for progress. */
void recording_progress(const struct recording *r, uint64_t *ret_done, uint64_t *ret_size);

/* Several recordings as one, merged by receive time (files without times go one after the other, in
 * the order given); deterministic for the same set. A folder stands for the files in it,
 * recursively, in name order; files of no known format inside a folder are skipped and reported
 * through `skipped` (may be NULL), a named one is an error. */
struct recording_set;
enum err_code recording_set_open(const char *const *paths, size_t count, struct str venue_hint,
                                 void (*skipped)(void *ctx, const char *path, const char *why),
                                 void *ctx, struct recording_set **ret, struct err *e) MUST_USE;
struct recording_set *recording_set_close(struct recording_set *s);
/* A member whose last item was handed out and whose end was met since the last call; false: none
 * (more). */
bool recording_set_ended(struct recording_set *s, size_t *ret_member);
/* Leaves a member out, as if it were at its end already; before the first recording_set_next. */
void recording_set_leave_out(struct recording_set *s, size_t index);
size_t recording_set_count(const struct recording_set *s);
struct recording *recording_set_member(struct recording_set *s, size_t index);
/* Like recording_next; also tells which member it came from. */
enum err_code recording_set_next(struct recording_set *s, struct recording_item *ret,
                                 size_t *ret_member, struct err *e) MUST_USE;
void recording_set_progress(const struct recording_set *s, uint64_t *ret_done, uint64_t *ret_size);

struct recording_writer;
struct recording_writer_options {
    const char *folder;     /* frames/ in the data folder */
    uint64_t segment_bytes; /* rotate at this size (compressed) */
    int64_t segment_ns;     /* and at this age */
    int64_t retention_ns;   /* remove older segments; 0 keeps all */
};
enum err_code recording_writer_open(const struct recording_writer_options *o,
                                    struct recording_writer **ret, struct err *e) MUST_USE;
/* kind FRAME, SENT, CONNECT, CLOSED or REST. Buffered; recording_writer_flush makes it durable. */
enum err_code recording_writer_add(struct recording_writer *w, const struct recording_item *item,
                                   struct err *e) MUST_USE;
enum err_code recording_writer_flush(struct recording_writer *w, int64_t now_ns,
                                     struct err *e) MUST_USE;
enum err_code recording_writer_close(struct recording_writer *w, struct err *e) MUST_USE;

#endif
