-- What plain `sqlite3 store.db` shows: names instead of numbers, exact decimals, times in ISO with nanoseconds.
--
-- Decimals: printf pads the digits with zeros so that at least one stands before the point ('%0*d' counts the sign),
-- and the point goes in by position, so no binary float is ever involved. Times: SQLite divides towards zero, hence the
-- remainder is made positive first, so that times before 1970 are right too.
CREATE VIEW trades AS
SELECT n.venue, n.exchange, n.symbol, n.venue_symbol,
    CASE r.codes & 7
        WHEN 0 THEN 'trade' WHEN 1 THEN 'agg_trade' WHEN 2 THEN 'block_trade' END AS stream,
    CASE WHEN r.codes >> 10 & 1 THEN coalesce(r.id_text, CAST(r.id AS TEXT)) END AS trade_id,
    CASE WHEN r.codes >> 11 & 1 THEN coalesce(r.first_id, r.id) END AS first_id_number,
    CASE WHEN r.codes >> 11 & 1 THEN coalesce(r.last_id, r.id) END AS last_id_number,
    CASE r.codes >> 3 & 3 WHEN 0 THEN 'unknown' WHEN 1 THEN 'buy' WHEN 2 THEN 'sell' END AS side,
    CASE WHEN r.price_scale = 0 THEN CAST(r.price AS TEXT)
        ELSE substr(r.price_text, 1, length(r.price_text) - r.price_scale)
            || '.' || substr(r.price_text, -r.price_scale) END AS price,
    CASE WHEN r.size_scale = 0 THEN CAST(r.size AS TEXT)
        ELSE substr(r.size_text, 1, length(r.size_text) - r.size_scale)
            || '.' || substr(r.size_text, -r.size_scale) END AS size,
    strftime('%Y-%m-%dT%H:%M:%S', (r.venue_time - r.venue_part) / 1000000000, 'unixepoch')
        || printf('.%09dZ', r.venue_part) AS venue_time,
    r.venue_time AS venue_time_ns,
    strftime('%Y-%m-%dT%H:%M:%S', (r.received - r.received_part) / 1000000000, 'unixepoch')
        || printf('.%09dZ', r.received_part) AS received_time,
    r.received AS received_time_ns,
    CASE r.codes >> 5 & 7
        WHEN 0 THEN 'live' WHEN 1 THEN 'snapshot' WHEN 2 THEN 'repaired'
        WHEN 3 THEN 'backfilled' WHEN 4 THEN 'replayed' WHEN 5 THEN 'simulated' END AS origin,
    CASE r.codes >> 8 & 3
        WHEN 0 THEN 'regular' WHEN 1 THEN 'block' WHEN 2 THEN 'auction'
        WHEN 3 THEN 'liquidation' END AS kind,
    r.sequence
FROM (
    SELECT *,
        codes >> 12 & 31 AS price_scale,
        codes >> 17 & 31 AS size_scale,
        printf('%0*d', (codes >> 12 & 31) + 1 + (price < 0), price) AS price_text,
        printf('%0*d', (codes >> 17 & 31) + 1 + (size < 0), size) AS size_text,
        (venue_time % 1000000000 + 1000000000) % 1000000000 AS venue_part,
        (received % 1000000000 + 1000000000) % 1000000000 AS received_part
    FROM trade_rows
) AS r
LEFT JOIN series AS n ON n.id = r.series;

CREATE VIEW quotes AS
SELECT n.venue, n.exchange, n.symbol, n.venue_symbol,
    CASE WHEN r.bid_price_scale = 0 THEN CAST(r.bid_price AS TEXT)
        WHEN r.bid_price IS NOT NULL
        THEN substr(r.bid_price_text, 1, length(r.bid_price_text) - r.bid_price_scale)
            || '.' || substr(r.bid_price_text, -r.bid_price_scale) END AS bid_price,
    CASE WHEN r.bid_size_scale = 0 THEN CAST(r.bid_size AS TEXT)
        WHEN r.bid_size IS NOT NULL
        THEN substr(r.bid_size_text, 1, length(r.bid_size_text) - r.bid_size_scale)
            || '.' || substr(r.bid_size_text, -r.bid_size_scale) END AS bid_size,
    CASE WHEN r.ask_price_scale = 0 THEN CAST(r.ask_price AS TEXT)
        WHEN r.ask_price IS NOT NULL
        THEN substr(r.ask_price_text, 1, length(r.ask_price_text) - r.ask_price_scale)
            || '.' || substr(r.ask_price_text, -r.ask_price_scale) END AS ask_price,
    CASE WHEN r.ask_size_scale = 0 THEN CAST(r.ask_size AS TEXT)
        WHEN r.ask_size IS NOT NULL
        THEN substr(r.ask_size_text, 1, length(r.ask_size_text) - r.ask_size_scale)
            || '.' || substr(r.ask_size_text, -r.ask_size_scale) END AS ask_size,
    strftime('%Y-%m-%dT%H:%M:%S', (r.venue_time - r.venue_part) / 1000000000, 'unixepoch')
        || printf('.%09dZ', r.venue_part) AS venue_time,
    r.venue_time AS venue_time_ns,
    strftime('%Y-%m-%dT%H:%M:%S', (r.received - r.received_part) / 1000000000, 'unixepoch')
        || printf('.%09dZ', r.received_part) AS received_time,
    r.received AS received_time_ns,
    CASE r.codes & 7
        WHEN 0 THEN 'live' WHEN 1 THEN 'snapshot' WHEN 2 THEN 'repaired'
        WHEN 3 THEN 'backfilled' WHEN 4 THEN 'replayed' WHEN 5 THEN 'simulated' END AS origin,
    r.sequence
FROM (
    SELECT *,
        codes >> 3 & 31 AS bid_price_scale,
        codes >> 8 & 31 AS bid_size_scale,
        codes >> 13 & 31 AS ask_price_scale,
        codes >> 18 & 31 AS ask_size_scale,
        printf('%0*d', (codes >> 3 & 31) + 1 + (bid_price < 0), bid_price) AS bid_price_text,
        printf('%0*d', (codes >> 8 & 31) + 1 + (bid_size < 0), bid_size) AS bid_size_text,
        printf('%0*d', (codes >> 13 & 31) + 1 + (ask_price < 0), ask_price) AS ask_price_text,
        printf('%0*d', (codes >> 18 & 31) + 1 + (ask_size < 0), ask_size) AS ask_size_text,
        (venue_time % 1000000000 + 1000000000) % 1000000000 AS venue_part,
        (received % 1000000000 + 1000000000) % 1000000000 AS received_part
    FROM quote_rows
) AS r
LEFT JOIN series AS n ON n.id = r.series;

CREATE VIEW gaps AS
SELECT r.gap_id, n.venue, n.symbol,
    CASE r.codes & 7
        WHEN 0 THEN 'trade' WHEN 1 THEN 'agg_trade' WHEN 2 THEN 'block_trade'
        WHEN 3 THEN 'quote' WHEN 4 THEN 'candle' END AS stream,
    CASE r.codes >> 3 & 7
        WHEN 0 THEN 'ids' WHEN 1 THEN 'outage' WHEN 2 THEN 'shed' WHEN 3 THEN 'hole' END AS kind,
    r.from_id, r.to_id,
    strftime('%Y-%m-%dT%H:%M:%S', (r.from_time - r.from_part) / 1000000000, 'unixepoch')
        || printf('.%09dZ', r.from_part) AS from_time,
    strftime('%Y-%m-%dT%H:%M:%S', (r.to_time - r.to_part) / 1000000000, 'unixepoch')
        || printf('.%09dZ', r.to_part) AS to_time,
    r.missing_count, r.cause,
    CASE r.codes >> 6 & 3
        WHEN 0 THEN 'open' WHEN 1 THEN 'repaired' WHEN 2 THEN 'unrepairable' END AS state,
    r.rows_recovered, r.candles_revised,
    strftime('%Y-%m-%dT%H:%M:%S', (r.opened - r.opened_part) / 1000000000, 'unixepoch')
        || printf('.%09dZ', r.opened_part) AS opened_at,
    strftime('%Y-%m-%dT%H:%M:%S', (r.closed - r.closed_part) / 1000000000, 'unixepoch')
        || printf('.%09dZ', r.closed_part) AS closed_at,
    r.sequence
FROM (
    SELECT *,
        (from_time % 1000000000 + 1000000000) % 1000000000 AS from_part,
        (to_time % 1000000000 + 1000000000) % 1000000000 AS to_part,
        (opened % 1000000000 + 1000000000) % 1000000000 AS opened_part,
        (closed % 1000000000 + 1000000000) % 1000000000 AS closed_part
    FROM gap_ledger
) AS r
LEFT JOIN series AS n ON n.id = r.series;

CREATE VIEW dead_letters AS
SELECT r.venue,
    CASE r.stream
        WHEN 0 THEN 'trade' WHEN 1 THEN 'agg_trade' WHEN 2 THEN 'block_trade'
        WHEN 3 THEN 'quote' WHEN 4 THEN 'candle' END AS stream,
    nullif(r.symbol, '') AS symbol,
    CASE r.reason
        WHEN 0 THEN 'malformed' WHEN 1 THEN 'inexact' WHEN 2 THEN 'unknown'
        WHEN 3 THEN 'venue_error' WHEN 4 THEN 'conflict' WHEN 5 THEN 'future'
        WHEN 6 THEN 'too_big' END AS reason,
    r.detail, r.payload,
    nullif(r.connection, '') AS connection,
    nullif(r.position, -1) AS position,
    strftime('%Y-%m-%dT%H:%M:%S', (r.received - r.received_part) / 1000000000, 'unixepoch')
        || printf('.%09dZ', r.received_part) AS received_time,
    r.received AS received_time_ns,
    r.sequence
FROM (
    SELECT *, (received % 1000000000 + 1000000000) % 1000000000 AS received_part FROM dead_rows
) AS r;

CREATE VIEW venue_candles AS
SELECT n.venue, n.symbol,
    CASE r.timeframe
        WHEN 0 THEN '1s' WHEN 1 THEN '1m' WHEN 2 THEN '5m' WHEN 3 THEN '15m'
        WHEN 4 THEN '1h' WHEN 5 THEN '4h' WHEN 6 THEN '1d' END AS timeframe,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.open_time / 1000000000, 'unixepoch') AS open_time,
    r.open, r.high, r.low, r.close, r.base_volume, r.quote_volume, r.trade_count,
    r.taker_buy_base_volume, r.taker_buy_quote_volume, r.source,
    strftime('%Y-%m-%dT%H:%M:%S', (r.fetched - r.fetched_part) / 1000000000, 'unixepoch')
        || printf('.%09dZ', r.fetched_part) AS fetched_at,
    r.sequence
FROM (
    SELECT *, (fetched % 1000000000 + 1000000000) % 1000000000 AS fetched_part FROM candle_rows
) AS r
LEFT JOIN series AS n ON n.id = r.series;

CREATE VIEW instruments AS
SELECT r.venue, r.symbol, r.venue_symbol,
    nullif(r.base, '') AS base, nullif(r.quote, '') AS quote, nullif(r.settle, '') AS settle,
    CASE WHEN r.contract_scale = 0 THEN CAST(r.contract_size AS TEXT)
        WHEN r.contract_size IS NOT NULL
        THEN substr(r.contract_text, 1, length(r.contract_text) - r.contract_scale)
            || '.' || substr(r.contract_text, -r.contract_scale) END AS contract_size,
    r.inverse, r.status,
    strftime('%Y-%m-%dT%H:%M:%S', (r.listed - r.listed_part) / 1000000000, 'unixepoch')
        || printf('.%09dZ', r.listed_part) AS listed_at,
    strftime('%Y-%m-%dT%H:%M:%S', (r.delisted - r.delisted_part) / 1000000000, 'unixepoch')
        || printf('.%09dZ', r.delisted_part) AS delisted_at
FROM (
    SELECT *,
        printf('%0*d', contract_scale + 1 + (contract_size < 0), contract_size) AS contract_text,
        (listed % 1000000000 + 1000000000) % 1000000000 AS listed_part,
        (delisted % 1000000000 + 1000000000) % 1000000000 AS delisted_part
    FROM instrument_rows
) AS r;

CREATE VIEW batches AS
SELECT batch, first_sequence, last_sequence,
    trades + quotes + gaps + deads + candles AS events,
    trades, quotes, gaps, deads AS dead_letters, candles AS venue_candles, instruments, duplicates,
    strftime('%Y-%m-%dT%H:%M:%S', (received - received_part) / 1000000000, 'unixepoch')
        || printf('.%09dZ', received_part) AS newest_received_time,
    hex(sum) AS sum_little_endian
FROM (
    SELECT *, (received % 1000000000 + 1000000000) % 1000000000 AS received_part FROM batch_rows
);
