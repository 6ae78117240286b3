/* schema.h - names, types and units of every column of the lake, once.
 *
 * The Iceberg schemas, the Parquet files, docs/formats.md and (distributed) Avro and PostgreSQL are made
 * from or checked against these tables. Field ids are permanent: append, never renumber.
 */
#ifndef TICKLAKE_EVENT_SCHEMA_H
#define TICKLAKE_EVENT_SCHEMA_H

#include "base/str.h"

enum column_type {
    COLUMN_STRING,
    COLUMN_DECIMAL, /* decimal(38,18) */
    COLUMN_TIME,    /* timestamptz, microseconds */
    COLUMN_LONG,
    COLUMN_BOOLEAN,
    COLUMN_BINARY,
};

struct column {
    const char *name;
    enum column_type type;
    bool required;
    const char *doc;
};

enum table_id {
    TABLE_TRADES,
    TABLE_QUOTES,
    TABLE_CANDLES,
    TABLE_VENUE_CANDLES,
    TABLE_GAPS,
    TABLE_INSTRUMENTS,
    TABLE_DEAD_LETTERS,
    TABLE_MAX
};

struct table {
    enum table_id id;
    const char *name;
    const struct column *columns; /* field id = index + 1 */
    int column_count;
    int day_column;          /* index of the column whose day partitions the table, or -1 */
    const int *sort_columns; /* indexes, ascending, nulls first */
    int sort_count;
    const int
        *key_columns; /* tables of one row a key (rows are replaced); key_count 0: append only */
    int key_count;
};

const struct table *table_of(enum table_id id);
const struct table *table_by_name(struct str name);        /* NULL */
int table_column(const struct table *t, const char *name); /* CHECKs that it exists */

/* Column indexes of the tables, for code that fills rows: TRADES_venue ... */
#define TRADES_COLUMNS(X)                                                                          \
    X(venue, STRING, true, "who told us")                                                          \
    X(exchange, STRING, true, "where it traded; differs from venue for aggregators")               \
    X(symbol, STRING, true, "normalised: BASE-QUOTE, BASE-QUOTE-PERP")                             \
    X(venue_symbol, STRING, true, "as the venue writes it")                                        \
    X(stream, STRING, true, "trade, agg_trade, block_trade")                                       \
    X(trade_id, STRING, false, "as given")                                                         \
    X(first_id_number, LONG, false, "first id covered, where ids are consecutive")                 \
    X(last_id_number, LONG, false, "last id covered")                                              \
    X(side, STRING, true, "of the aggressor: buy, sell, unknown")                                  \
    X(price, DECIMAL, true, "quote currency")                                                      \
    X(size, DECIMAL, true, "the venue's unit")                                                     \
    X(venue_time, TIME, false, "by the venue's clock")                                             \
    X(venue_time_ns, LONG, false, "exact nanoseconds since 1970")                                  \
    X(received_time, TIME, true, "by our clock")                                                   \
    X(received_time_ns, LONG, true, "exact nanoseconds since 1970")                                \
    X(origin, STRING, true, "live, snapshot, repaired, backfilled, replayed, simulated")           \
    X(kind, STRING, true, "regular, block, auction, liquidation")                                  \
    X(sequence, LONG, true, "order inside one store")
#define QUOTES_COLUMNS(X)                                                                          \
    X(venue, STRING, true, "who told us")                                                          \
    X(exchange, STRING, true, "whose book it is")                                                  \
    X(symbol, STRING, true, "normalised")                                                          \
    X(venue_symbol, STRING, true, "as the venue writes it")                                        \
    X(bid_price, DECIMAL, false, "absent where there is no bid")                                   \
    X(bid_size, DECIMAL, false, "the venue's unit")                                                \
    X(ask_price, DECIMAL, false, "absent where there is no ask")                                   \
    X(ask_size, DECIMAL, false, "the venue's unit")                                                \
    X(venue_time, TIME, false, "by the venue's clock, where it gives one")                         \
    X(venue_time_ns, LONG, false, "exact nanoseconds since 1970")                                  \
    X(received_time, TIME, true, "by our clock")                                                   \
    X(received_time_ns, LONG, true, "exact nanoseconds since 1970")                                \
    X(origin, STRING, true, "as in trades")                                                        \
    X(sequence, LONG, true, "order inside one store")
#define CANDLES_COMMON(X)                                                                          \
    X(venue, STRING, true, "")                                                                     \
    X(symbol, STRING, true, "normalised")                                                          \
    X(timeframe, STRING, true, "1s 1m 5m 15m 1h 4h 1d")                                            \
    X(open_time, TIME, true, "start of the interval, UTC")                                         \
    X(open, DECIMAL, true, "first price by (time, id)")                                            \
    X(high, DECIMAL, true, "")                                                                     \
    X(low, DECIMAL, true, "")                                                                      \
    X(close, DECIMAL, true, "last price by (time, id)")                                            \
    X(base_volume, DECIMAL, false, "sum of sizes")                                                 \
    X(quote_volume, DECIMAL, false, "sum of price times size, rounded once, half-even")
#define CANDLES_COLUMNS(X)                                                                         \
    CANDLES_COMMON(X)                                                                              \
    X(trade_count, LONG, true, "an aggregate counts as many as it covers")                         \
    X(taker_buy_base_volume, DECIMAL, false, "absent when a side is unknown")                      \
    X(taker_buy_quote_volume, DECIMAL, false, "absent when a side is unknown")                     \
    X(vwap, DECIMAL, false, "quote volume by base volume, rounded once, half-even")                \
    X(first_trade_id, STRING, false, "")                                                           \
    X(last_trade_id, STRING, false, "")                                                            \
    X(revision, LONG, true, "late trades and gap changes applied after the first row")             \
    X(complete, BOOLEAN, true, "false where an open gap overlaps it")                              \
    X(updated_at, TIME, true, "")
#define VENUE_CANDLES_COLUMNS(X)                                                                   \
    CANDLES_COMMON(X)                                                                              \
    X(trade_count, LONG, false, "")                                                                \
    X(taker_buy_base_volume, DECIMAL, false, "")                                                   \
    X(taker_buy_quote_volume, DECIMAL, false, "")                                                  \
    X(source, STRING, true, "where it was read")                                                   \
    X(fetched_at, TIME, true, "")
#define GAPS_COLUMNS(X)                                                                            \
    X(gap_id, LONG, true, "")                                                                      \
    X(venue, STRING, true, "")                                                                     \
    X(symbol, STRING, true, "")                                                                    \
    X(stream, STRING, true, "")                                                                    \
    X(kind, STRING, true, "ids, outage, shed, hole")                                               \
    X(from_id, LONG, false, "first missing id")                                                    \
    X(to_id, LONG, false, "last missing id")                                                       \
    X(from_time, TIME, true, "")                                                                   \
    X(to_time, TIME, false, "absent while an outage lasts")                                        \
    X(missing_count, LONG, false, "absent where it is unknown")                                    \
    X(cause, STRING, true, "")                                                                     \
    X(state, STRING, true, "open, repaired, unrepairable")                                         \
    X(rows_recovered, LONG, true, "")                                                              \
    X(candles_revised, LONG, true, "")                                                             \
    X(opened_at, TIME, true, "")                                                                   \
    X(closed_at, TIME, false, "")
#define INSTRUMENTS_COLUMNS(X)                                                                     \
    X(venue, STRING, true, "")                                                                     \
    X(symbol, STRING, true, "")                                                                    \
    X(venue_symbol, STRING, true, "")                                                              \
    X(base, STRING, false, "")                                                                     \
    X(quote, STRING, false, "")                                                                    \
    X(settle, STRING, false, "")                                                                   \
    X(contract_size, DECIMAL, false, "")                                                           \
    X(inverse, BOOLEAN, true, "")                                                                  \
    X(status, STRING, true, "the venue's word")                                                    \
    X(listed_at, TIME, false, "")                                                                  \
    X(delisted_at, TIME, false, "")                                                                \
    X(updated_at, TIME, true, "")
#define DEAD_LETTERS_COLUMNS(X)                                                                    \
    X(venue, STRING, true, "")                                                                     \
    X(stream, STRING, false, "")                                                                   \
    X(symbol, STRING, false, "")                                                                   \
    X(reason, STRING, true, "")                                                                    \
    X(detail, STRING, true, "")                                                                    \
    X(payload, BINARY, true, "the raw bytes")                                                      \
    X(connection, STRING, false, "")                                                               \
    X(position, LONG, false, "")                                                                   \
    X(received_time, TIME, true, "")                                                               \
    X(received_time_ns, LONG, true, "")                                                            \
    X(sequence, LONG, true, "")

#define X(name, type, required, doc) TRADES_##name,
enum trades_column { TRADES_COLUMNS(X) TRADES_MAX };
#undef X
#define X(name, type, required, doc) QUOTES_##name,
enum quotes_column { QUOTES_COLUMNS(X) QUOTES_MAX };
#undef X
#define X(name, type, required, doc) CANDLES_##name,
enum candles_column { CANDLES_COLUMNS(X) CANDLES_MAX };
#undef X
#define X(name, type, required, doc) VENUE_CANDLES_##name,
enum venue_candles_column { VENUE_CANDLES_COLUMNS(X) VENUE_CANDLES_MAX };
#undef X
#define X(name, type, required, doc) GAPS_##name,
enum gaps_column { GAPS_COLUMNS(X) GAPS_MAX };
#undef X
#define X(name, type, required, doc) INSTRUMENTS_##name,
enum instruments_column { INSTRUMENTS_COLUMNS(X) INSTRUMENTS_MAX };
#undef X
#define X(name, type, required, doc) DEAD_LETTERS_##name,
enum dead_letters_column { DEAD_LETTERS_COLUMNS(X) DEAD_LETTERS_MAX };
#undef X

#endif
