/* event.h - the one vocabulary: what flows from a venue to the lake.
 *
 * Stages meet only here. Field names, units and nullability of the lake's columns are in schema.h.
 * Units     prices in the quote currency, sizes in the venue's own unit, times in ns since 1970 UTC
 *           (TIME_ABSENT where the venue gives none, never invented), decimals in normal form (dec.h).
 * Text      struct str members point into the arena of the batch that carries the event.
 */
#ifndef TICKLAKE_EVENT_EVENT_H
#define TICKLAKE_EVENT_EVENT_H

#include "base/dec.h"
#include "base/time.h"

/* Each list is (ENUM_SUFFIX, "text in the lake"). The numbers are stored in store.db: append, never renumber. */
#define STREAM_LIST(X)                                                                             \
    X(TRADE, "trade")                                                                              \
    X(AGG_TRADE, "agg_trade")                                                                      \
    X(BLOCK_TRADE, "block_trade")                                                                  \
    X(QUOTE, "quote")                                                                              \
    X(CANDLE, "candle")
#define SIDE_LIST(X) X(UNKNOWN, "unknown") X(BUY, "buy") X(SELL, "sell")
#define ORIGIN_LIST(X)                                                                             \
    X(LIVE, "live")                                                                                \
    X(SNAPSHOT, "snapshot")                                                                        \
    X(REPAIRED, "repaired")                                                                        \
    X(BACKFILLED, "backfilled")                                                                    \
    X(REPLAYED, "replayed")                                                                        \
    X(SIMULATED, "simulated")
#define KIND_LIST(X)                                                                               \
    X(REGULAR, "regular") X(BLOCK, "block") X(AUCTION, "auction") X(LIQUIDATION, "liquidation")
#define TIMEFRAME_LIST(X) /* name, text, seconds */                                                \
    X(1S, "1s", 1)                                                                                 \
    X(1M, "1m", 60)                                                                                \
    X(5M, "5m", 300)                                                                               \
    X(15M, "15m", 900)                                                                             \
    X(1H, "1h", 3600)                                                                              \
    X(4H, "4h", 14400)                                                                             \
    X(1D, "1d", 86400)
#define GAP_KIND_LIST(X)  X(IDS, "ids") X(OUTAGE, "outage") X(SHED, "shed") X(HOLE, "hole")
#define GAP_STATE_LIST(X) X(OPEN, "open") X(REPAIRED, "repaired") X(UNREPAIRABLE, "unrepairable")
#define DEAD_REASON_LIST(X)                                                                        \
    X(MALFORMED, "malformed") /* not the venue's JSON, or a field missing or of a wrong type */    \
    X(INEXACT, "inexact")     /* a number that we cannot hold exactly */                           \
    X(UNKNOWN, "unknown")     /* a frame or symbol that we do not know */                          \
    X(VENUE_ERROR, "venue_error") /* the venue's own error answer, in its words */                 \
    X(CONFLICT, "conflict")       /* an id seen before with other content */                       \
    X(FUTURE, "future")           /* a venue time too far ahead of the receipt */                  \
    X(TOO_BIG, "too_big")         /* a frame past the limit; its first bytes */

#define X(n, t) STREAM_##n,
enum stream { STREAM_LIST(X) STREAM_MAX };
#undef X
#define X(n, t) SIDE_##n,
enum side { SIDE_LIST(X) SIDE_MAX };
#undef X
#define X(n, t) ORIGIN_##n,
enum origin { ORIGIN_LIST(X) ORIGIN_MAX };
#undef X
#define X(n, t) KIND_##n,
enum kind { KIND_LIST(X) KIND_MAX };
#undef X
#define X(n, t, s) TIMEFRAME_##n,
enum timeframe { TIMEFRAME_LIST(X) TIMEFRAME_MAX };
#undef X
#define X(n, t) GAP_##n,
enum gap_kind { GAP_KIND_LIST(X) GAP_KIND_MAX };
#undef X
#define X(n, t) GAP_STATE_##n,
enum gap_state { GAP_STATE_LIST(X) GAP_STATE_MAX };
#undef X
#define X(n, t) DEAD_##n,
enum dead_reason { DEAD_REASON_LIST(X) DEAD_REASON_MAX };
#undef X

const char *stream_text(enum stream v);
const char *side_text(enum side v);
const char *origin_text(enum origin v);
const char *kind_text(enum kind v);
const char *timeframe_text(enum timeframe v);
int64_t timeframe_ns(enum timeframe v);
const char *gap_kind_text(enum gap_kind v);
const char *gap_state_text(enum gap_state v);
const char *dead_reason_text(enum dead_reason v);
/* Index of a text in such a list, or -1. */
int stream_of_text(struct str text);
int side_of_text(struct str text);
int timeframe_of_text(struct str text);

/* A trade. Key: (series, stream, trade_id), or without an id (series, venue_time, price, size, ordinal). */
struct trade {
    uint32_t series;      /* venue, exchange, symbol, venue_symbol: see series.h */
    uint8_t stream;       /* enum stream: TRADE, AGG_TRADE or BLOCK_TRADE */
    uint8_t side;         /* enum side, of the aggressor */
    uint8_t origin, kind; /* enum origin, enum kind */
    bool has_id;          /* trade_id is the number id, or id_text where that is not empty */
    bool has_range;       /* first_id and last_id are set (an aggregate covers several) */
    uint16_t ordinal;     /* n-th identical print on that connection, from 0; only without an id */
    int64_t id;           /* numeric trade id; 0 where id_text holds it */
    int64_t first_id, last_id;
    struct str id_text; /* the id as given where it is no canonical int64; in the batch's arena */
    struct dec price, size;
    int64_t venue_time_ns; /* or TIME_ABSENT */
    int64_t received_ns;
    int64_t sequence; /* given by the store; orders events inside one store */
};

struct quote {
    uint32_t series;
    uint8_t origin;
    struct dec bid_price, bid_size, ask_price, ask_size; /* a side may be absent */
    int64_t venue_time_ns;                               /* or TIME_ABSENT */
    int64_t received_ns;
    int64_t sequence;
};

/* A row of `gaps`; the same gap_id again replaces the row. */
struct gap {
    int64_t gap_id; /* unique inside one data folder, given by source/ */
    uint32_t series;
    uint8_t stream, kind, state; /* enum stream, gap_kind, gap_state */
    bool has_ids, has_count;
    int64_t from_id, to_id; /* the missing ids, both inclusive */
    int64_t from_time_ns,
        to_time_ns;        /* venue time of the neighbours (ids), or of the outage window */
    int64_t missing_count; /* still missing, where known */
    int64_t rows_recovered;
    int64_t candles_revised;
    int64_t opened_ns, closed_ns; /* closed: TIME_ABSENT while open */
    struct str cause;             /* "disconnect", "id_jump", "start", "shed" ... */
    int64_t sequence;
};

struct dead {
    struct str venue; /* name; dead letters exist before a series does */
    struct str symbol, connection, detail, payload;
    int8_t stream; /* enum stream, or -1 unknown */
    uint8_t reason;
    int64_t
        position; /* frame number in the recording, or bytes received on the connection; -1 unknown */
    int64_t received_ns;
    int64_t sequence;
};

/* Candle values are derived: at the lake's scale (10^18), rounded once, half-even. */
struct candle {
    uint32_t series;
    uint8_t timeframe;                /* enum timeframe */
    bool complete;                    /* false where an open gap overlaps it */
    bool has_quote_volume, has_taker; /* taker volumes are unknown as soon as one side is unknown */
    bool has_base_volume; /* venue candles may lack it; ours where it outgrows 38 digits */
    bool has_vwap;        /* ours only; not where the base volume is zero */
    bool replaces; /* a row of this key may already be in the lake: delete it in the same commit */
    bool has_ids;  /* first and last trade id are numbers, else the texts below */
    int64_t open_time_ns;
    i128 open, high, low, close;
    i128 base_volume, quote_volume, taker_buy_base, taker_buy_quote, vwap;
    int64_t trade_count;
    int64_t first_id, last_id;
    char first_id_text[40], last_id_text[40];
    int64_t revision;
    int64_t updated_ns;
    int64_t sequence;
};

/* A candle as the venue states it; values are what the venue printed, exactly. */
struct venue_candle {
    struct candle c;   /* c.trade_count is -1 where the venue does not say */
    struct str source; /* "klines.csv", "rest" ... */
    int64_t fetched_ns;
};

struct instrument {
    struct str venue, symbol, venue_symbol; /* symbol: by the rules of venue/names.h */
    struct str base, quote, settle;         /* upper case; settle empty for spot */
    struct str status;                      /* the venue's word */
    struct dec contract_size;               /* absent for spot */
    bool inverse;
    int64_t listed_ns, delisted_ns; /* TIME_ABSENT where unknown */
};

#endif
