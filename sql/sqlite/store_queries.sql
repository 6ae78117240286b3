-- Every statement of the store under its name. src/store/store_db.h lists the names; parameters are numbered in the
-- order in which the code binds them.

-- name: begin_write
BEGIN IMMEDIATE;
-- name: begin_read
BEGIN;
-- name: commit
COMMIT;
-- name: rollback
ROLLBACK;

-- name: insert_series
INSERT INTO series VALUES (?1, ?2, ?3, ?4, ?5);
-- name: insert_trade
INSERT INTO trade_rows VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11);
-- name: insert_quote
INSERT INTO quote_rows VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9);
-- name: insert_gap
INSERT INTO gap_rows (sequence, gap_id, series, codes, from_id, to_id, from_time, to_time,
    missing_count, rows_recovered, candles_revised, opened, closed, cause)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14);
-- name: put_ledger
INSERT OR REPLACE INTO gap_ledger (sequence, gap_id, series, codes, from_id, to_id, from_time,
    to_time, missing_count, rows_recovered, candles_revised, opened, closed, cause)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14);
-- name: insert_dead
INSERT INTO dead_rows VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10);
-- name: insert_candle
INSERT INTO candle_rows VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15);
-- name: put_instrument
INSERT OR REPLACE INTO instrument_rows
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13);
-- name: insert_batch
INSERT INTO batch_rows
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16);
-- name: put_dedup
INSERT OR REPLACE INTO dedup_state VALUES (?1, ?2, ?3);
-- name: put_position
INSERT OR REPLACE INTO source_positions VALUES (?1, ?2, ?3);

-- name: read_series
SELECT id, venue, exchange, symbol, venue_symbol FROM series WHERE id >= ?1 ORDER BY id;
-- name: read_trades
SELECT * FROM trade_rows WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence;
-- name: read_quotes
SELECT * FROM quote_rows WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence;
-- name: read_gaps
SELECT * FROM gap_rows WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence;
-- name: read_deads
SELECT * FROM dead_rows WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence;
-- name: read_candles
SELECT * FROM candle_rows WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence;
-- name: read_instruments
SELECT * FROM instrument_rows WHERE sequence > ?1 AND sequence <= ?2 ORDER BY sequence;
-- name: read_all_instruments
SELECT * FROM instrument_rows ORDER BY venue, symbol, venue_symbol;
-- name: read_dedup
SELECT series, stream, bytes FROM dedup_state ORDER BY series, stream;
-- name: read_positions
SELECT name, frames, done FROM source_positions ORDER BY name;
-- name: read_ledger
SELECT sequence, gap_id, series, codes, from_id, to_id, from_time, to_time, missing_count,
    rows_recovered, candles_revised, opened, closed, cause
FROM gap_ledger WHERE gap_id > ?1 ORDER BY gap_id LIMIT ?2;
-- name: read_open_ledger
SELECT sequence, gap_id, series, codes, from_id, to_id, from_time, to_time, missing_count,
    rows_recovered, candles_revised, opened, closed, cause
FROM gap_ledger WHERE codes >> 6 & 3 = 0 ORDER BY gap_id;
-- name: newest_gap_id
SELECT max(gap_id) FROM gap_ledger;
-- name: oldest_batch
SELECT first_sequence FROM batch_rows ORDER BY last_sequence LIMIT 1;
-- name: newest_batch
SELECT last_sequence, batch, received FROM batch_rows ORDER BY last_sequence DESC LIMIT 1;
-- name: newest_rows
SELECT max(s) FROM (
    SELECT max(sequence) AS s FROM trade_rows UNION ALL SELECT max(sequence) FROM quote_rows
    UNION ALL SELECT max(sequence) FROM gap_rows UNION ALL SELECT max(sequence) FROM dead_rows
    UNION ALL SELECT max(sequence) FROM candle_rows);
-- name: read_batches
SELECT last_sequence, first_sequence, batch, trades, quotes, gaps, deads, candles, instruments,
    duplicates, text_bytes, received, clock, sum, content, proofs
FROM batch_rows WHERE last_sequence > ?1 ORDER BY last_sequence LIMIT ?2;
-- name: read_batch_proofs
SELECT proofs FROM batch_rows WHERE last_sequence <= ?1 AND last_sequence >= ?2
ORDER BY last_sequence;
-- name: read_kept_proofs
SELECT series, stream, minute, count, sum FROM proof_kept;
-- name: read_kept_proof
SELECT count, sum FROM proof_kept WHERE series = ?1 AND stream = ?2 AND minute = ?3;
-- name: put_kept_proof
INSERT OR REPLACE INTO proof_kept VALUES (?1, ?2, ?3, ?4, ?5);
-- name: count_rows
SELECT (SELECT count(*) FROM trade_rows), (SELECT count(*) FROM quote_rows),
    (SELECT count(*) FROM gap_rows), (SELECT count(*) FROM dead_rows),
    (SELECT count(*) FROM candle_rows);

-- name: delete_trades
DELETE FROM trade_rows WHERE sequence <= ?1;
-- name: delete_quotes
DELETE FROM quote_rows WHERE sequence <= ?1;
-- name: delete_gaps
DELETE FROM gap_rows WHERE sequence <= ?1;
-- name: delete_deads
DELETE FROM dead_rows WHERE sequence <= ?1;
-- name: delete_candles
DELETE FROM candle_rows WHERE sequence <= ?1;
-- name: delete_batches
DELETE FROM batch_rows WHERE last_sequence <= ?1;

-- name: has_jobs
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'jobs';
-- name: add_job
INSERT INTO jobs (command, arguments, message, started, finished, row_count, duplicates, exit_code)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8);
-- name: put_job
UPDATE jobs SET command = ?1, arguments = ?2, message = ?3, started = ?4, finished = ?5,
    row_count = ?6, duplicates = ?7, exit_code = ?8 WHERE job_id = ?9;
-- name: read_jobs
SELECT job_id, command, arguments, message, started, finished, row_count, duplicates, exit_code
FROM jobs ORDER BY job_id DESC LIMIT ?1;

-- name: page_count
PRAGMA page_count;
-- name: freelist_count
PRAGMA freelist_count;
-- name: page_size
PRAGMA page_size;
