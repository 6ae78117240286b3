-- What psql shows: names instead of numbers, times as timestamptz (whole microseconds) beside the exact nanoseconds.
--
-- Times: to_timestamp and interval arithmetic over long spans go through binary floats, so the day is added as a date and only
-- the microseconds of the day as an interval; the remainder is made positive first, for times before 1970.
CREATE FUNCTION ticklake.time_of(ns bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ((date '1970-01-01' + ((ns - part) / 86400000000000)::int)
        + part / 1000 * interval '1 microsecond') AT TIME ZONE 'UTC'
    FROM (SELECT (ns % 86400000000000 + 86400000000000) % 86400000000000 AS part) AS p
$$;
CREATE FUNCTION ticklake.stream_of(stream int) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (ARRAY['trade', 'agg_trade', 'block_trade', 'quote', 'candle'])[stream + 1]
$$;
CREATE FUNCTION ticklake.origin_of(origin int) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (ARRAY['live', 'snapshot', 'repaired', 'backfilled', 'replayed', 'simulated'])[origin + 1]
$$;

CREATE VIEW ticklake.trades AS
SELECT n.venue, n.exchange, n.symbol, n.venue_symbol,
    ticklake.stream_of(r.stream) AS stream,
    CASE WHEN r.has_id THEN CASE WHEN r.key = '' THEN r.id::text ELSE substr(r.key, 2) END END
        AS trade_id,
    r.first_id AS first_id_number, r.last_id AS last_id_number,
    (ARRAY['unknown', 'buy', 'sell'])[r.side + 1] AS side,
    r.price, r.size,
    ticklake.time_of(r.venue_time) AS venue_time, r.venue_time AS venue_time_ns,
    ticklake.time_of(r.received) AS received_time, r.received AS received_time_ns,
    ticklake.origin_of(r.origin) AS origin,
    (ARRAY['regular', 'block', 'auction', 'liquidation'])[r.kind + 1] AS kind,
    r.sequence, r.day
FROM ticklake.trade_rows AS r
LEFT JOIN ticklake.series AS n ON n.id = r.series;

CREATE VIEW ticklake.quotes AS
SELECT n.venue, n.exchange, n.symbol, n.venue_symbol,
    r.bid_price, r.bid_size, r.ask_price, r.ask_size,
    ticklake.time_of(r.venue_time) AS venue_time, r.venue_time AS venue_time_ns,
    ticklake.time_of(r.received) AS received_time, r.received AS received_time_ns,
    ticklake.origin_of(r.origin) AS origin,
    r.sequence, r.day
FROM ticklake.quote_rows AS r
LEFT JOIN ticklake.series AS n ON n.id = r.series;

CREATE VIEW ticklake.gaps AS
SELECT r.gap_id, n.venue, n.symbol,
    ticklake.stream_of(r.stream) AS stream,
    (ARRAY['ids', 'outage', 'shed', 'hole'])[r.kind + 1] AS kind,
    r.from_id, r.to_id,
    ticklake.time_of(r.from_time) AS from_time, ticklake.time_of(r.to_time) AS to_time,
    r.missing_count, r.cause,
    (ARRAY['open', 'repaired', 'unrepairable'])[r.state + 1] AS state,
    r.rows_recovered, r.candles_revised,
    ticklake.time_of(r.opened) AS opened_at, ticklake.time_of(r.closed) AS closed_at,
    r.writer, r.sequence
FROM ticklake.gap_ledger AS r
LEFT JOIN ticklake.series AS n ON n.id = r.series;

CREATE VIEW ticklake.dead_letters AS
SELECT r.venue, ticklake.stream_of(r.stream) AS stream,
    nullif(r.symbol, '') AS symbol,
    (ARRAY['malformed', 'inexact', 'unknown', 'venue_error', 'conflict', 'future', 'too_big'])
        [r.reason + 1] AS reason,
    r.detail, r.payload,
    nullif(r.connection, '') AS connection,
    nullif(r.position, -1) AS position,
    ticklake.time_of(r.received) AS received_time, r.received AS received_time_ns,
    r.sequence, r.day
FROM ticklake.dead_rows AS r;

CREATE VIEW ticklake.venue_candles AS
SELECT n.venue, n.symbol,
    (ARRAY['1s', '1m', '5m', '15m', '1h', '4h', '1d'])[r.timeframe + 1] AS timeframe,
    ticklake.time_of(r.open_time) AS open_time,
    r.open, r.high, r.low, r.close, r.base_volume, r.quote_volume, r.trade_count,
    r.taker_buy_base_volume, r.taker_buy_quote_volume, r.source,
    ticklake.time_of(r.fetched) AS fetched_at,
    r.sequence
FROM ticklake.candle_rows AS r
LEFT JOIN ticklake.series AS n ON n.id = r.series;

CREATE VIEW ticklake.instruments AS
SELECT DISTINCT ON (venue, symbol, venue_symbol)
    venue, symbol, venue_symbol,
    nullif(base, '') AS base, nullif(quote, '') AS quote, nullif(settle, '') AS settle,
    contract_size, inverse, status,
    ticklake.time_of(listed) AS listed_at, ticklake.time_of(delisted) AS delisted_at
FROM ticklake.instrument_rows
ORDER BY venue, symbol, venue_symbol, sequence DESC;

CREATE VIEW ticklake.batch_list AS
SELECT writer, number, first_sequence, last_sequence,
    trades + quotes + gaps + deads + candles AS events,
    trades, quotes, gaps, deads AS dead_letters, candles AS venue_candles, instruments, duplicates,
    ticklake.time_of(received) AS newest_received_time, ticklake.time_of(clock) AS clock,
    live, finish, first_day, last_day, whole, written, encode(sum, 'hex') AS sum_little_endian
FROM ticklake.batches;

CREATE VIEW ticklake.job_list AS
SELECT job_id, command, arguments, message,
    ticklake.time_of(started) AS started_at, ticklake.time_of(finished) AS finished_at,
    row_count, duplicates, nullif(exit_code, -1) AS exit_code
FROM ticklake.jobs;
