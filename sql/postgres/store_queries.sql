-- Every statement of the PostgreSQL store under its name. src/store/store_pg.h lists the names; parameters are numbered in
-- the order in which the code gives them.

-- name: version
SELECT version FROM ticklake.meta
-- name: try_lock
SELECT pg_try_advisory_lock($1),
    (SELECT backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid())
-- name: lock_holder
SELECT l.pid, a.backend_start::text, coalesce(a.application_name, '?'),
    coalesce(host(a.client_addr), 'the same machine')
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid::bigint = $1::bigint >> 32 & 4294967295 AND l.objid::bigint = $1::bigint & 4294967295
-- name: end_backend
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = $1::int AND backend_start::text = $2::text
-- name: next_guest
SELECT nextval('ticklake.guests')
-- name: next_sequences
SELECT nextval('ticklake.sequence_blocks')
-- name: next_gaps
SELECT nextval('ticklake.gap_blocks')
-- name: newest_of_writer
SELECT number, first_sequence, last_sequence, received FROM ticklake.batches
WHERE writer = $1 ORDER BY number DESC LIMIT 1

-- name: lock_series
LOCK TABLE ticklake.series IN SHARE ROW EXCLUSIVE MODE
-- name: add_series
INSERT INTO ticklake.series (id, venue, exchange, symbol, venue_symbol)
SELECT (SELECT coalesce(max(id) + 1, 0) FROM ticklake.series) + row_number() OVER (ORDER BY n.place) - 1,
    n.venue, n.exchange, n.symbol, n.venue_symbol
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
    AS n (venue, exchange, symbol, venue_symbol, place)
WHERE NOT EXISTS (SELECT FROM ticklake.series AS s WHERE s.venue = n.venue
    AND s.exchange = n.exchange AND s.symbol = n.symbol AND s.venue_symbol = n.venue_symbol)
-- name: find_series
SELECT n.place, s.id
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY
    AS n (venue, exchange, symbol, venue_symbol, place)
JOIN ticklake.series AS s ON s.venue = n.venue AND s.exchange = n.exchange
    AND s.symbol = n.symbol AND s.venue_symbol = n.venue_symbol
-- name: read_series
SELECT id, venue, exchange, symbol, venue_symbol FROM ticklake.series ORDER BY id

-- name: read_dedup
SELECT series, stream, bytes FROM ticklake.dedup_state WHERE writer = $1 ORDER BY series, stream
-- name: read_all_dedup
SELECT series, stream, bytes FROM ticklake.dedup_state ORDER BY series, stream, writer
-- name: read_history
SELECT series, stream, min(first_id), max(last_id)
FROM (SELECT series, stream, first_id, last_id,
        count(*) FILTER (WHERE begins) OVER (PARTITION BY series, stream ORDER BY first_id, last_id) AS island
    FROM (SELECT series, stream, first_id, last_id, first_id > coalesce(max(last_id) OVER (
            PARTITION BY series, stream ORDER BY first_id, last_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), -2) + 1 AS begins
        FROM ticklake.history_ids) AS marked) AS counted
GROUP BY series, stream, island
ORDER BY 1, 2, 3
-- name: read_positions
SELECT name, frames, done FROM ticklake.source_positions WHERE writer = $1 ORDER BY name
-- name: read_own_gaps
SELECT sequence, gap_id, series, stream, kind, state, from_id, to_id, from_time, to_time,
    missing_count, rows_recovered, candles_revised, opened, closed, cause
FROM ticklake.gap_ledger
WHERE state = 0 AND (writer = $1 OR (kind = 0 AND (series, stream) IN
    (SELECT series, stream FROM ticklake.dedup_state WHERE writer = $1)))
ORDER BY gap_id
-- name: read_ledger
SELECT sequence, gap_id, series, stream, kind, state, from_id, to_id, from_time, to_time,
    missing_count, rows_recovered, candles_revised, opened, closed, cause
FROM ticklake.gap_ledger WHERE gap_id > $1 ORDER BY gap_id LIMIT $2
-- name: read_open_ledger
SELECT sequence, gap_id, series, stream, kind, state, from_id, to_id, from_time, to_time,
    missing_count, rows_recovered, candles_revised, opened, closed, cause
FROM ticklake.gap_ledger WHERE gap_id > $1 AND state = 0 ORDER BY gap_id LIMIT $2
-- name: read_all_instruments
SELECT DISTINCT ON (venue, symbol, venue_symbol) sequence, venue, symbol, venue_symbol, base, quote,
    settle, status, contract_size, inverse, listed, delisted
FROM ticklake.instrument_rows ORDER BY venue, symbol, venue_symbol, sequence DESC
-- name: read_partitions
SELECT substr(c.relname, length(p.relname) + 2), count(*)
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_class AS p ON p.oid = i.inhparent
WHERE p.oid IN ('ticklake.trade_rows'::regclass, 'ticklake.quote_rows'::regclass,
    'ticklake.dead_rows'::regclass)
GROUP BY 1

-- name: put_dedup
INSERT INTO ticklake.dedup_state (writer, series, stream, bytes)
SELECT DISTINCT ON (u.series, u.stream) $1, u.series, u.stream, u.bytes
FROM unnest($2::bigint[], $3::bigint[], $4::bytea[]) WITH ORDINALITY AS u (series, stream, bytes, place)
ORDER BY u.series, u.stream, u.place DESC
ON CONFLICT (writer, series, stream) DO UPDATE SET bytes = excluded.bytes
-- name: put_positions
INSERT INTO ticklake.source_positions (writer, name, frames, done)
SELECT DISTINCT ON (u.name) $1, u.name, u.frames, u.done <> 0
FROM unnest($2::text[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS u (name, frames, done, place)
ORDER BY u.name, u.place DESC
ON CONFLICT (writer, name) DO UPDATE SET frames = excluded.frames, done = excluded.done
-- name: put_ledger
INSERT INTO ticklake.gap_ledger AS l (gap_id, writer, teller, sequence, series, stream, kind, state, from_id, to_id,
    from_time, to_time, missing_count, rows_recovered, candles_revised, opened, closed, cause)
SELECT DISTINCT ON (gap_id) gap_id, $1, $1, sequence, series, stream, kind, state, from_id, to_id,
    from_time, to_time, missing_count, rows_recovered, candles_revised, opened, closed, cause
FROM ticklake.gap_rows WHERE sequence BETWEEN $2 AND $3
ORDER BY gap_id, sequence DESC
ON CONFLICT (gap_id) DO UPDATE SET teller = excluded.teller, sequence = excluded.sequence, series = excluded.series,
    stream = excluded.stream, kind = excluded.kind, state = excluded.state,
    from_id = excluded.from_id, to_id = excluded.to_id, from_time = excluded.from_time,
    to_time = excluded.to_time, missing_count = excluded.missing_count,
    rows_recovered = excluded.rows_recovered, candles_revised = excluded.candles_revised,
    opened = excluded.opened, closed = excluded.closed, cause = excluded.cause
-- name: put_history
INSERT INTO ticklake.history_ids (series, stream, first_id, last_id)
SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
ON CONFLICT DO NOTHING
-- name: lock_gaps
SELECT pg_advisory_xact_lock(1953196140, 2)
-- name: told_gaps
SELECT gap_id, teller <> $1, state, from_id, to_id FROM ticklake.gap_ledger
WHERE gap_id = ANY ($2::bigint[]) ORDER BY gap_id FOR UPDATE
-- name: told_elsewhere
SELECT g.place
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
    AS g (series, stream, first_id, last_id, place)
WHERE g.first_id <= g.last_id AND EXISTS (SELECT FROM ticklake.gap_ledger AS l
    WHERE l.series = g.series AND l.stream = g.stream AND l.kind = 0 AND l.state <> 1
        AND l.from_id <= g.first_id AND l.to_id >= g.last_id AND l.gap_id <> ALL ($5::bigint[]))
ORDER BY g.place
-- name: brought
SELECT g.place, h.first_id, h.last_id
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
    AS g (series, stream, first_id, last_id, place)
JOIN ticklake.history_ids AS h ON h.series = g.series AND h.stream = g.stream
    AND h.first_id > g.first_id - $5 AND h.first_id <= g.last_id AND h.last_id >= g.first_id
ORDER BY g.place, h.first_id
-- name: put_batch
INSERT INTO ticklake.batches (writer, number, first_sequence, last_sequence, trades, quotes, gaps,
    deads, candles, instruments, duplicates, received, clock, live, finish, sum, content, proofs,
    text_bytes, first_day, last_day)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
    date '1970-01-01' + $20::int, date '1970-01-01' + $21::int)

-- name: stage_trades
CREATE TEMPORARY TABLE IF NOT EXISTS stage_trades (LIKE ticklake.trade_rows) ON COMMIT DELETE ROWS
-- name: unstage_trades
INSERT INTO ticklake.trade_rows
SELECT * FROM pg_temp.stage_trades ORDER BY series, stream, id, key, day, sequence
ON CONFLICT DO NOTHING
-- name: twice_trades
SELECT s.sequence, t.price = s.price AND t.size = s.size AND t.side = s.side
        AND t.venue_time IS NOT DISTINCT FROM s.venue_time,
    t.side, t.size::text, t.price::text, t.sequence
FROM pg_temp.stage_trades AS s
CROSS JOIN LATERAL (
    SELECT r.sequence, r.price, r.size, r.side, r.venue_time FROM ticklake.trade_rows AS r
    WHERE r.day = ANY ($1::date[]) AND r.series = s.series AND r.stream = s.stream
        AND r.id = s.id AND r.key = s.key AND r.day = s.day
    LIMIT 1) AS t
WHERE t.sequence <> s.sequence ORDER BY s.sequence
-- name: stage_quotes
CREATE TEMPORARY TABLE IF NOT EXISTS stage_quotes (LIKE ticklake.quote_rows) ON COMMIT DELETE ROWS
-- name: unstage_quotes
INSERT INTO ticklake.quote_rows
SELECT * FROM pg_temp.stage_quotes ORDER BY series, digest, day, sequence
ON CONFLICT DO NOTHING
-- name: twice_quotes
SELECT s.sequence, true
FROM pg_temp.stage_quotes AS s
CROSS JOIN LATERAL (
    SELECT r.sequence FROM ticklake.quote_rows AS r
    WHERE r.day = ANY ($1::date[]) AND r.series = s.series AND r.digest = s.digest AND r.day = s.day
        AND r.digest IS NOT NULL
    LIMIT 1) AS t
WHERE t.sequence <> s.sequence ORDER BY s.sequence
-- name: stage_candles
CREATE TEMPORARY TABLE IF NOT EXISTS stage_candles (LIKE ticklake.candle_rows) ON COMMIT DELETE ROWS
-- name: unstage_candles
INSERT INTO ticklake.candle_rows
SELECT s.* FROM pg_temp.stage_candles AS s
WHERE NOT EXISTS (SELECT FROM ticklake.candles_deleted AS d
    WHERE d.series = s.series AND d.timeframe = s.timeframe AND d.open_time = s.open_time
        AND d.source = s.source AND d.digest = s.digest)
ORDER BY s.series, s.timeframe, s.open_time, s.source, s.digest, s.sequence
ON CONFLICT DO NOTHING
-- name: twice_candles
SELECT s.sequence, true
FROM pg_temp.stage_candles AS s
LEFT JOIN ticklake.candle_rows AS r ON r.series = s.series AND r.timeframe = s.timeframe
    AND r.open_time = s.open_time AND r.source = s.source AND r.digest = s.digest
WHERE r.sequence IS DISTINCT FROM s.sequence AND $1::date[] IS NOT NULL ORDER BY s.sequence
-- name: any_deleted
SELECT EXISTS (SELECT FROM ticklake.candles_deleted)

-- name: known_keys
WITH given AS (
    SELECT DISTINCT ON (digest) digest, sequence
    FROM unnest($1::bytea[], $2::bigint[]) AS g (digest, sequence) ORDER BY digest, sequence),
added AS (
    INSERT INTO ticklake.guest_keys (digest) SELECT digest FROM given ORDER BY digest
    ON CONFLICT DO NOTHING RETURNING digest)
SELECT a.sequence, true FROM unnest($2::bigint[]) AS a (sequence)
WHERE a.sequence NOT IN (SELECT g.sequence FROM given AS g JOIN added USING (digest))
ORDER BY a.sequence
-- name: measure
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'ticklake' AND c.relkind = 'r'
-- name: bounds
SELECT coalesce(min(first_sequence), 1), coalesce(max(last_sequence), 0),
    (SELECT removed_sequence FROM ticklake.meta) FROM ticklake.batches
-- name: plan
SELECT first_sequence, last_sequence, trades + quotes + gaps + deads + candles, text_bytes, instruments,
    duplicates, clock, finish, whole, first_day - date '1970-01-01', last_day - date '1970-01-01', proofs
FROM ticklake.batches WHERE last_sequence > $1 AND first_sequence <= $2
ORDER BY last_sequence LIMIT 64
-- name: read_trades
SELECT sequence, series, stream, id, key, has_id, side, origin, kind, ordinal, first_id, last_id,
    price, size, venue_time, received
FROM ticklake.trade_rows WHERE sequence > $1 AND sequence <= $2
    AND day BETWEEN date '1970-01-01' + $3::int AND date '1970-01-01' + $4::int
ORDER BY sequence LIMIT $5
-- name: read_quotes
SELECT sequence, series, origin, bid_price, bid_size, ask_price, ask_size, venue_time, received
FROM ticklake.quote_rows WHERE sequence > $1 AND sequence <= $2
    AND day BETWEEN date '1970-01-01' + $3::int AND date '1970-01-01' + $4::int
ORDER BY sequence LIMIT $5
-- name: read_gaps
SELECT sequence, gap_id, series, stream, kind, state, from_id, to_id, from_time, to_time,
    missing_count, rows_recovered, candles_revised, opened, closed, cause
FROM ticklake.gap_rows WHERE sequence > $1 AND sequence <= $2
    AND $3::int <= $4::int ORDER BY sequence LIMIT $5
-- name: read_deads
SELECT sequence, stream, reason, position, received, venue, symbol, connection, detail, payload
FROM ticklake.dead_rows WHERE sequence > $1 AND sequence <= $2
    AND day BETWEEN date '1970-01-01' + $3::int AND date '1970-01-01' + $4::int
ORDER BY sequence LIMIT $5
-- name: read_candles
SELECT sequence, series, timeframe, open_time, source, fetched, trade_count, open, high, low, close,
    base_volume, quote_volume, taker_buy_base_volume, taker_buy_quote_volume
FROM ticklake.candle_rows WHERE sequence > $1 AND sequence <= $2
    AND $3::int <= $4::int ORDER BY sequence LIMIT $5
-- name: read_instruments
SELECT sequence, venue, symbol, venue_symbol, base, quote, settle, status, contract_size, inverse,
    listed, delisted
FROM ticklake.instrument_rows WHERE sequence > $1 AND sequence <= $2 ORDER BY sequence

-- name: read_claims
SELECT b.writer, b.number, b.first_sequence, b.last_sequence, trades, quotes, gaps, deads, candles, received,
    finish, sum, content, coalesce(p.last_sequence, 0),
    CASE WHEN (SELECT removed_sequence FROM ticklake.meta) > coalesce(p.last_sequence, 0) THEN 0
        ELSE b.number - coalesce(p.number, 0) - 1 END
FROM ticklake.batches AS b
LEFT JOIN LATERAL (SELECT number, last_sequence FROM ticklake.batches AS o
    WHERE o.writer = b.writer AND o.number < b.number ORDER BY o.number DESC LIMIT 1) AS p ON true
WHERE b.first_sequence > $1 AND whole ORDER BY b.first_sequence LIMIT $2
-- name: read_claim_proofs
SELECT proofs FROM ticklake.batches WHERE writer = $1 AND number = $2
-- name: read_batch_proofs
SELECT proofs, last_sequence FROM ticklake.batches WHERE last_sequence > $1 AND last_sequence <= $2
ORDER BY last_sequence LIMIT $3
-- name: read_kept_proofs
SELECT series, stream, minute, count, sum FROM ticklake.proof_kept

-- name: confirmed
SELECT max(b.horizon)::text::bigint FROM ticklake.batches AS b
WHERE b.lsn <= (SELECT min(confirmed_flush_lsn) FROM pg_replication_slots
    WHERE slot_type = 'logical' AND database = current_database()
    HAVING count(*) = count(confirmed_flush_lsn))
-- name: old_partitions
SELECT DISTINCT substr(c.relname, length(p.relname) + 2)
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid JOIN pg_class AS p ON p.oid = i.inhparent
WHERE p.oid IN ('ticklake.trade_rows'::regclass, 'ticklake.quote_rows'::regclass,
    'ticklake.dead_rows'::regclass)
ORDER BY 1
-- name: days_in_use
SELECT count(*) FROM ticklake.batches
WHERE first_day <= date '1970-01-01' + $2::int AND last_day >= date '1970-01-01' + $1::int
    AND (xid::text::bigint >= $3::bigint OR written >= timestamptz 'epoch' + $4::bigint * interval '1 microsecond')
-- name: mark_partial
UPDATE ticklake.batches SET whole = false
WHERE first_day <= date '1970-01-01' + $2::int AND last_day >= date '1970-01-01' + $1::int AND whole
-- name: old_batches
SELECT b.writer, b.number, b.first_sequence, b.last_sequence, b.instruments,
    b.trades + b.quotes + b.gaps + b.deads + b.candles, b.proofs
FROM ticklake.batches AS b
WHERE b.written < timestamptz 'epoch' + $2::bigint * interval '1 microsecond'
    AND b.xid::text::bigint < $1::bigint
    AND number < (SELECT max(number) FROM ticklake.batches AS n WHERE n.writer = b.writer)
    AND NOT EXISTS (SELECT FROM unnest($3::bigint[]) AS d (day)
        WHERE date '1970-01-01' + d.day::int BETWEEN b.first_day AND b.last_day)
ORDER BY b.written LIMIT 64
-- name: read_kept_proof
SELECT count, sum FROM ticklake.proof_kept WHERE series = $1 AND stream = $2 AND minute = $3
-- name: put_kept_proof
INSERT INTO ticklake.proof_kept (series, stream, minute, count, sum) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (series, stream, minute) DO UPDATE SET count = excluded.count, sum = excluded.sum
-- name: delete_gaps
DELETE FROM ticklake.gap_rows WHERE sequence BETWEEN $1 AND $2
-- name: delete_batch
DELETE FROM ticklake.batches WHERE writer = $1 AND number = $2
-- name: note_removed
UPDATE ticklake.meta SET removed_sequence = greatest(removed_sequence, $1)

-- name: check_batches
SELECT writer, number, first_sequence, last_sequence, trades, quotes, trades + quotes + gaps + deads + candles,
    sum, proofs
FROM ticklake.batches WHERE (writer, number) > ($1, $2) ORDER BY writer, number LIMIT 256

-- name: add_job
INSERT INTO ticklake.jobs (command, arguments, message, started, finished, row_count, duplicates, exit_code)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING job_id
-- name: put_job
UPDATE ticklake.jobs SET command = $1, arguments = $2, message = $3, started = $4, finished = $5,
    row_count = $6, duplicates = $7, exit_code = $8 WHERE job_id = $9
-- name: read_jobs
SELECT job_id, command, arguments, message, started, finished, row_count, duplicates, exit_code
FROM ticklake.jobs ORDER BY job_id DESC LIMIT $1
-- name: progress
WITH slot AS (SELECT confirmed_flush_lsn AS lsn FROM pg_replication_slots WHERE slot_name = $1::text),
    behind AS (SELECT trades + quotes + gaps + deads + candles AS events, written
        FROM ticklake.batches WHERE lsn > (SELECT lsn FROM slot) ORDER BY lsn LIMIT 100000)
SELECT (SELECT coalesce(sum(trades + quotes + gaps + deads + candles), 0) FROM ticklake.batches
        WHERE written > clock_timestamp() - interval '10 seconds')::bigint,
    (SELECT extract(epoch FROM max(written)) * 1000000000 FROM ticklake.batches)::bigint,
    (SELECT sum(events) FROM behind)::bigint,
    (SELECT extract(epoch FROM clock_timestamp() - min(written)) * 1000000000 FROM behind)::bigint,
    (SELECT count(*) FROM slot)::bigint
