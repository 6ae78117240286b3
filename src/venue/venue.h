/* venue.h - everything the program knows of a venue, pure: bytes and a time in, values out.
 *
 * To add a venue: write venue/NAME.c with one `const struct venue venue_NAME`, and add its line to VENUE_LIST.
 * Nothing else changes. CONTRIBUTING.md walks through it; docs of the protocols' sources stand in each file's head.
 *
 * Calls     names = venue_names_new(v, series); venue_names_add() for each instrument (from REST, a cache, or a
 *           recording's symbol list); session = venue_session_new(v, names) for EACH connection;
 *           venue_decode(session, frame, ...) for each received frame; venue_session_free.
 * Decoding  never fails for bad input: what cannot be read is in out->refused (with a reason and a sentence), and
 *           the other events of the same frame are still there. The caller keeps the raw bytes.
 * Threads   a names table and its sessions belong to one thread.
 * Limits    VENUE_FRAME_MAX bytes a frame, VENUE_EVENTS_MAX events a frame.
 */
#ifndef TICKLAKE_VENUE_VENUE_H
#define TICKLAKE_VENUE_VENUE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "event/event.h"
#include "event/series.h"

enum {
    VENUE_FRAME_MAX = 16 << 20,
    VENUE_REST_MAX = 64 << 20,
    VENUE_EVENTS_MAX = 65536,
    VENUE_PADDING = 8, /* writable bytes behind a frame (yyjson in situ needs 4) */
};

#define VENUE_LIST(X) X(tiingo) X(binance) X(binance_futures) X(coinbase) X(kraken)

/* What a frame was. DATA may also hold refused events. */
enum frame_class {
    FRAME_DATA,
    FRAME_ACK,       /* subscription confirmed */
    FRAME_HEARTBEAT, /* the venue is alive */
    FRAME_IGNORED,   /* known, but nothing that we decode (depth, kline, status) */
    FRAME_ERROR,     /* the venue's error answer: out->error */
    FRAME_RECONNECT, /* the venue asks us to connect anew (serverShutdown) */
    FRAME_BAD,       /* not understood at all: see out->refused[0] */
};

struct refused {
    enum dead_reason reason;
    int8_t stream;     /* enum stream or -1 */
    struct str symbol; /* venue symbol if known; in out->arena */
    char detail[160];
};

/* The result of one frame; reused from frame to frame. Text lives in `arena` until the next decode. */
struct decoded {
    enum frame_class class;
    struct trade *trades;
    struct quote *quotes;
    struct venue_candle *candles;
    struct refused *refused;
    size_t trade_count, quote_count, candle_count, refused_count;
    size_t trade_cap, quote_cap, candle_cap, refused_cap;
    struct str error;        /* FRAME_ERROR: the venue's words */
    struct str error_symbol; /* venue symbol it speaks of, if it says so */
    bool error_is_refusal;   /* credentials or entitlement: back off, do not hammer */
    struct buf reply;        /* not empty: send this text frame back now (keep-alive answers) */
    struct arena arena;
};
void decoded_init(struct decoded *d);
void decoded_free(struct decoded *d);
void decoded_reset(struct decoded *d);
struct trade *decoded_add_trade(struct decoded *d); /* zeroed; NULL past VENUE_EVENTS_MAX */
struct quote *decoded_add_quote(struct decoded *d);
struct venue_candle *decoded_add_candle(struct decoded *d);
struct refused *decoded_refuse(struct decoded *d, enum dead_reason reason, int stream,
                               struct str symbol, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* One wanted tape: a venue symbol on one stream. "*" where the venue can send all. */
struct subscription {
    struct str venue_symbol;
    uint8_t stream; /* TRADE, AGG_TRADE, BLOCK_TRADE, QUOTE */
};

struct venue_names;
struct venue_session;

enum keep_alive {
    KEEP_ALIVE_SERVER_PINGS, /* the venue sends ping frames; we answer (the socket library does) */
    KEEP_ALIVE_PING_FRAME,   /* we send ping frames */
    KEEP_ALIVE_TEXT,         /* we send what encode_keep_alive gives */
};

struct venue_request { /* one HTTP GET */
    char path[512];    /* behind the REST base address, with the query */
    char header[512];  /* "Authorization: Token ..." or empty; secret, never logged */
};

/* ---- History by REST: which requests cover an interval, as a pure plan that the answers drive.
 *
 * Calls     cursor = {0}; while (history->request(ask, &cursor, token, &r)): send it, decode the answer, leave out the rows
 *           outside of the ask (all of them where r.probe), and history->answer(ask, &cursor, &page).
 * Covers    every row of [from, to), or every id of [first, last]; pages may overlap and reach beyond: rows have keys.
 * Ends      each answer moves the cursor on or ends the plan: an answer that does neither sets cursor.stuck. */
enum history_kind { HISTORY_TRADES, HISTORY_CANDLES, HISTORY_TOP, HISTORY_KINDS };

struct history_ask {
    enum history_kind kind;
    uint8_t stream;           /* TRADES */
    enum timeframe timeframe; /* CANDLES */
    struct str symbols;       /* venue symbols with commas, at most history->symbols_per_request */
    int64_t from_ns, to_ns;   /* [from, to) of the venue's time; of candles: of the opening */
    bool
        by_id; /* TRADES: exactly these ids, both inclusive; the times are those of their neighbours */
    int64_t first_id, last_id;
};

struct
    history_cursor { /* zeroed: the beginning. What the numbers mean is the venue's own matter. */
    int32_t step;
    bool done, stuck;
    bool short_of; /* the venue has nothing so old any more: what it has was given */
    int64_t a, b, c, d;
};

/* The answer to one request, rows outside of the ask included. */
struct history_page {
    size_t rows;
    size_t known;              /* of the wanted ones, stored already (bars and quotes) */
    int64_t first_id, last_id; /* lowest and highest; 0 where there is none */
    int64_t first_covered;     /* first id that the aggregate of first_id covers */
    int64_t first_ns, last_ns; /* TIME_ABSENT where none has a time */
};

struct history_request {
    struct venue_request http;
    int32_t pause_ms; /* what it uses up of the venue's limit: so long nothing else is asked */
    bool probe;       /* looks for a place only: its rows are not wanted */
};

enum history_error { HISTORY_OTHER, HISTORY_REFUSED, HISTORY_ALLOWANCE, HISTORY_UNKNOWN_SYMBOL };

struct venue_history {
    uint32_t streams;                            /* bit per enum stream of trades */
    uint32_t timeframes;                         /* bit per enum timeframe of candles */
    bool top;                                    /* has a top of book by REST, as it is now */
    int32_t symbols_per_request;                 /* 1 where an answer is of one symbol */
    int32_t requests_per_hour, requests_per_day; /* of the free plan; 0: the venue counts none */
    const char *archive_url;                     /* daily files; NULL: none */
    bool (*request)(const struct history_ask *ask, const struct history_cursor *cursor,
                    struct str token, struct history_request *ret); /* false: done */
    void (*answer)(const struct history_ask *ask, struct history_cursor *cursor,
                   const struct history_page *page);
    /* What the venue's words (decode_rest's FRAME_ERROR) mean. */
    enum history_error (*error)(struct str words);
    /* Path below archive_url of the file of that day (days since 1970); false where there is none for the ask. */
    bool (*archive)(const struct history_ask *ask, int32_t day, char path[512]);
};

/* What a venue symbol says when no instrument list is at hand. */
struct venue_symbol_parts {
    struct str base, quote;
    char suffix[16]; /* "-PERP", "-20260925", or empty */
    bool certain;    /* the venue's spelling separates the parts: nothing was guessed */
};

struct venue {
    const char *name;
    /* NULL-terminated: of its public addresses, WebSocket and REST, old ones too. */
    const char *const *hosts;
    /* "USDT USDC BTC": split venue symbols when no instrument list is at hand. Of two that both fit the one that is meant
     * stands first. */
    const char *quote_currencies;
    /* How it writes a pair, for recordings that state base and quote alone: "BTC-USD", "btcusdt". */
    const char *pair_separator; /* NULL: none */
    bool pair_lower_case;
    const char *ws_url; /* default; the config's venues[].ws_url replaces it, path included */
    const char *rest_url;
    const char *documentation;
    uint32_t streams; /* bit per enum stream that we decode */
    /* Bit per enum stream whose trade.id (not the range of an aggregate) rises by one: gaps can be told exactly. */
    uint32_t consecutive;
    uint8_t default_tape;   /* the stream that candles are made from */
    bool pure_trade_candle; /* the venue's own candles equal ours in every field */
    bool needs_token;       /* a subscription carries a secret */
    bool subscribes_all;    /* the symbol "*" stands for all of them */
    enum keep_alive keep_alive;
    int32_t keep_alive_ms;                /* between our pings; 0 none */
    int32_t silence_ms;                   /* nothing at all for so long: the connection is dead */
    int32_t lifetime_ms;                  /* the venue closes connections of this age; 0 unknown */
    int32_t subscriptions_per_connection; /* streams; 0 no limit known */
    int32_t subscriptions_per_frame;
    int32_t subscribe_interval_ms; /* at least so long between two frames of ours */
    int32_t connects_per_minute;   /* of all connections to this venue */

    /* Appends ONE frame that subscribes the first n of subs[0..count), count <= subscriptions_per_frame, and returns n,
     * at least 1: where the venue takes one stream a frame (Kraken) only the leading subs of the same stream are in it.
     * Call again with the rest. Sort by stream, so that these frames are few. */
    size_t (*encode_subscribe)(const struct subscription *subs, size_t count, int64_t request_id,
                               struct str token, struct buf *frame);
    void (*encode_keep_alive)(int64_t request_id, struct buf *frame); /* NULL: none */
    /* Normalised parts of a venue symbol without an instrument list; NULL: by quote_currencies. */
    bool (*split_symbol)(struct str venue_symbol, struct venue_symbol_parts *ret);
    /* Frame has VENUE_PADDING writable bytes behind its end and may be changed. */
    void (*decode)(struct venue_session *session, char *frame, size_t len, int64_t received_ns,
                   struct decoded *out);
    /* Page `page` (from 0) of the instrument list; false when there is no such page. */
    bool (*instruments_request)(int page, struct str token, struct venue_request *ret);
    /* Calls each() for every instrument of an answer; ERR_PARSE with the place where it is no such answer. */
    enum err_code (*instruments_answer)(char *body, size_t len,
                                        void (*each)(void *ctx, const struct instrument *i),
                                        void *ctx, struct err *e);
    /* A recorded or fetched REST answer with trades, quotes, or candles of one symbol; may be NULL. `path` is the
     * request's path and query (a whole address will do): it tells the kind and the symbol. Trades come out oldest
     * first. An answer that we have no use for is FRAME_IGNORED, the venue's error object FRAME_ERROR. Origin is left
     * LIVE: the caller knows what it asked for. */
    void (*decode_rest)(struct venue_session *session, struct str path, char *body, size_t len,
                        int64_t received_ns, struct decoded *out);
    const struct venue_history *history; /* NULL: none by REST */
};

extern const struct venue *const venue_all[]; /* NULL-terminated, by VENUE_LIST */
const struct venue *venue_by_name(struct str name);
/* The venue of a recorded connection's address ("wss://stream.binance.com:9443/..."), or NULL. */
const struct venue *venue_by_url(struct str url);

/* Symbols of one venue: venue symbol <-> normalised symbol, and the series numbers. */
struct venue_names *venue_names_new(const struct venue *v, struct series_table *series);
struct venue_names *venue_names_free(struct venue_names *n);
void venue_names_add(struct venue_names *n, const struct instrument *i); /* the newest wins */
size_t venue_names_count(const struct venue_names *n);
/* Symbols mapped without an instrument list where the venue's own spelling does not separate base from quote. */
size_t venue_names_guessed(const struct venue_names *n);
/* Normalised -> venue symbol; false when unknown. */
bool venue_names_venue_symbol(const struct venue_names *n, struct str symbol, struct str *ret);
const struct instrument *venue_names_instrument(const struct venue_names *n, size_t index);
/* Series of a venue symbol traded on `exchange` (venue->name where empty). Unknown symbols are split by known quote
 * currencies (and counted as guessed), or, where that fails too, taken in upper case as they are. */
uint32_t venue_names_series(struct venue_names *n, struct str venue_symbol, struct str exchange);

struct venue_session *venue_session_new(const struct venue *v, struct venue_names *names);
struct venue_session *venue_session_free(struct venue_session *s);
const struct venue *venue_session_venue(const struct venue_session *s);
/* decode through the venue, with all checks around it (sizes, padding); never fails. Sets the receipt of all events. */
void venue_decode(struct venue_session *s, char *frame, size_t len, int64_t received_ns,
                  struct decoded *out);
/* The same for a REST answer; FRAME_IGNORED where the venue decodes none. VENUE_REST_MAX bytes. */
void venue_decode_rest(struct venue_session *s, struct str path, char *body, size_t len,
                       int64_t received_ns, struct decoded *out);

#endif
