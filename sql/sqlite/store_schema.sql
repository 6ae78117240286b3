-- store.db, format version 1. Rows are appended by sequence and have no second index: duplicates never reach the store,
-- and a keyed table was measured at a third of the speed. Every kind of row shares one numbering.
--
-- trade_rows.codes, from bit 0: stream 3, side 2, origin 3, kind 2, has_id 1, has_range 1, price scale 5, size scale 5,
--   ordinal 16. A value is price * 10^-scale. first_id and last_id are NULL where they equal id (see has_range).
-- quote_rows.codes, from bit 0: origin 3, then 5 bits each for the scale of bid price, bid size, ask price, ask size;
--   an absent side is NULL.
-- gap_rows.codes, from bit 0: stream 3, kind 3, state 2, has_ids 1, has_count 1.
-- The numbers of streams, sides and so on are those of src/event/event.h; the views spell them out.
-- batch_rows.sum: sum of the proof hashes (docs/formats.md), 16 bytes, little-endian. content: the same over every field
--   of every row. proofs: 29 bytes an entry (series 4, stream 1, minute 4, count 4, sum 16), little-endian.
-- proof_kept: what the batches add up to that retention removed.
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    venue TEXT NOT NULL,
    exchange TEXT NOT NULL,
    symbol TEXT NOT NULL,
    venue_symbol TEXT NOT NULL
);
CREATE TABLE trade_rows (
    sequence INTEGER PRIMARY KEY,
    series INTEGER NOT NULL,
    codes INTEGER NOT NULL,
    id INTEGER,
    price INTEGER NOT NULL,
    size INTEGER NOT NULL,
    venue_time INTEGER,
    received INTEGER NOT NULL,
    first_id INTEGER,
    last_id INTEGER,
    id_text TEXT
);
CREATE TABLE quote_rows (
    sequence INTEGER PRIMARY KEY,
    series INTEGER NOT NULL,
    codes INTEGER NOT NULL,
    bid_price INTEGER,
    bid_size INTEGER,
    ask_price INTEGER,
    ask_size INTEGER,
    venue_time INTEGER,
    received INTEGER NOT NULL
);
CREATE TABLE gap_rows (
    sequence INTEGER PRIMARY KEY,
    gap_id INTEGER NOT NULL,
    series INTEGER NOT NULL,
    codes INTEGER NOT NULL,
    from_id INTEGER,
    to_id INTEGER,
    from_time INTEGER,
    to_time INTEGER,
    missing_count INTEGER,
    rows_recovered INTEGER NOT NULL,
    candles_revised INTEGER NOT NULL,
    opened INTEGER,
    closed INTEGER,
    cause TEXT NOT NULL
);
CREATE TABLE gap_ledger (
    gap_id INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL,
    series INTEGER NOT NULL,
    codes INTEGER NOT NULL,
    from_id INTEGER,
    to_id INTEGER,
    from_time INTEGER,
    to_time INTEGER,
    missing_count INTEGER,
    rows_recovered INTEGER NOT NULL,
    candles_revised INTEGER NOT NULL,
    opened INTEGER,
    closed INTEGER,
    cause TEXT NOT NULL
);
CREATE TABLE dead_rows (
    sequence INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    position INTEGER NOT NULL,
    received INTEGER NOT NULL,
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    connection TEXT NOT NULL,
    detail TEXT NOT NULL,
    payload BLOB NOT NULL
);
CREATE TABLE candle_rows (
    sequence INTEGER PRIMARY KEY,
    series INTEGER NOT NULL,
    timeframe INTEGER NOT NULL,
    open_time INTEGER NOT NULL,
    fetched INTEGER NOT NULL,
    trade_count INTEGER,
    open TEXT NOT NULL,
    high TEXT NOT NULL,
    low TEXT NOT NULL,
    close TEXT NOT NULL,
    base_volume TEXT,
    quote_volume TEXT,
    taker_buy_base_volume TEXT,
    taker_buy_quote_volume TEXT,
    source TEXT NOT NULL
);
CREATE TABLE instrument_rows (
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    venue_symbol TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    base TEXT NOT NULL,
    quote TEXT NOT NULL,
    settle TEXT NOT NULL,
    status TEXT NOT NULL,
    contract_size INTEGER,
    contract_scale INTEGER NOT NULL,
    inverse INTEGER NOT NULL,
    listed INTEGER,
    delisted INTEGER,
    PRIMARY KEY (venue, symbol, venue_symbol)
) WITHOUT ROWID;
CREATE INDEX instrument_rows_by_sequence ON instrument_rows (sequence);
CREATE TABLE batch_rows (
    last_sequence INTEGER PRIMARY KEY,
    first_sequence INTEGER NOT NULL,
    batch INTEGER NOT NULL,
    trades INTEGER NOT NULL,
    quotes INTEGER NOT NULL,
    gaps INTEGER NOT NULL,
    deads INTEGER NOT NULL,
    candles INTEGER NOT NULL,
    instruments INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    text_bytes INTEGER NOT NULL,
    received INTEGER,
    clock INTEGER,
    sum BLOB NOT NULL,
    content BLOB NOT NULL,
    proofs BLOB NOT NULL
);
CREATE TABLE proof_kept (
    series INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sum BLOB NOT NULL,
    PRIMARY KEY (series, stream, minute)
) WITHOUT ROWID;
CREATE TABLE dedup_state (
    series INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (series, stream)
) WITHOUT ROWID;
CREATE TABLE source_positions (
    name TEXT PRIMARY KEY NOT NULL,
    frames INTEGER NOT NULL,
    done INTEGER NOT NULL
) WITHOUT ROWID;
