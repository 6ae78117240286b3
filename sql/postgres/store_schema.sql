-- The PostgreSQL store, format version 1, in the schema "ticklake". Rows as in store.db (sql/sqlite/store_schema.sql), so
-- that the numbers of streams, sides and so on are those of src/event/event.h; the views spell them out. Times are ns.
--
-- trade_rows.key: '' where `id` is the trade's id; 't' and the id as given where it is no 64-bit number; where there is none
--   'n' and venue time, price, size, ordinal. day: of venue_time, else of the receipt (days since 1970 as a date).
-- quote_rows.digest: NULL for a live stream's quotes, which have no key; else a hash of the quote, so that history written twice
--   is there once. candle_rows.digest: a hash of all that the venue stated.
-- batches: one row a group commit, in its transaction. (writer, number) is its identity: a commit whose answer was lost is
--   looked up by it. live: `clock` is a wall clock. sum, content, proofs: as in store.db. Sequences of a batch rise, with holes
--   where a row was there already. first_day, last_day: of its rows in daily partitions. whole: false once retention took
--   some of them. A batch was confirmed by the slots when a batch with horizon > its xid has lsn <= what they confirmed.
-- guest_keys: hashes of the dead letters and quotes of guests, so that history read again gives them once.
-- candles_deleted: keys of bars that somebody deleted, noted by triggers. Like history_ids and guest_keys they outlive the rows: what
--   went on to the bus and the lake once is not stored, and so not sent, a second time.
-- history_ids: ids that guests (back-fill, repair) stored, as ranges, added in the batch's transaction. They outlive the rows:
--   what retention removed is not stored a second time, and a live source takes them over when it starts.
-- gap_ledger: the newest state of each gap; teller: who wrote it. gap ids come in blocks of 2^32, sequences in blocks of 2^22.
-- Daily partitions are named TABLE_YYYYMMDD; TABLE_before holds all days before 2009, TABLE_after all from 2100 on.
CREATE TABLE ticklake.series (
    id int PRIMARY KEY,
    venue text NOT NULL,
    exchange text NOT NULL,
    symbol text NOT NULL,
    venue_symbol text NOT NULL,
    UNIQUE (venue, exchange, symbol, venue_symbol)
);
CREATE TABLE ticklake.trade_rows (
    day date NOT NULL,
    series int NOT NULL,
    stream smallint NOT NULL,
    id bigint NOT NULL,
    key text COLLATE "C" NOT NULL,
    has_id boolean NOT NULL,
    side smallint NOT NULL,
    origin smallint NOT NULL,
    kind smallint NOT NULL,
    ordinal smallint NOT NULL,
    first_id bigint,
    last_id bigint,
    price numeric NOT NULL,
    size numeric NOT NULL,
    venue_time bigint,
    received bigint NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (series, stream, id, key, day)
) PARTITION BY RANGE (day);
CREATE TABLE ticklake.quote_rows (
    day date NOT NULL,
    series int NOT NULL,
    origin smallint NOT NULL,
    bid_price numeric,
    bid_size numeric,
    ask_price numeric,
    ask_size numeric,
    venue_time bigint,
    received bigint NOT NULL,
    sequence bigint NOT NULL,
    digest bytea
) PARTITION BY RANGE (day);
CREATE TABLE ticklake.gap_rows (
    sequence bigint PRIMARY KEY,
    gap_id bigint NOT NULL,
    series int NOT NULL,
    stream smallint NOT NULL,
    kind smallint NOT NULL,
    state smallint NOT NULL,
    from_id bigint,
    to_id bigint,
    from_time bigint,
    to_time bigint,
    missing_count bigint,
    rows_recovered bigint NOT NULL,
    candles_revised bigint NOT NULL,
    opened bigint,
    closed bigint,
    cause text NOT NULL
);
CREATE TABLE ticklake.dead_rows (
    day date NOT NULL,
    stream smallint NOT NULL,
    reason smallint NOT NULL,
    position bigint NOT NULL,
    received bigint NOT NULL,
    venue text NOT NULL,
    symbol text NOT NULL,
    connection text NOT NULL,
    detail text NOT NULL,
    payload bytea NOT NULL,
    sequence bigint NOT NULL
) PARTITION BY RANGE (day);
CREATE TABLE ticklake.candle_rows (
    series int NOT NULL,
    timeframe smallint NOT NULL,
    open_time bigint NOT NULL,
    source text NOT NULL,
    digest bytea NOT NULL,
    fetched bigint NOT NULL,
    trade_count bigint,
    open numeric NOT NULL,
    high numeric NOT NULL,
    low numeric NOT NULL,
    close numeric NOT NULL,
    base_volume numeric,
    quote_volume numeric,
    taker_buy_base_volume numeric,
    taker_buy_quote_volume numeric,
    sequence bigint NOT NULL,
    PRIMARY KEY (series, timeframe, open_time, source, digest)
);
CREATE TABLE ticklake.instrument_rows (
    sequence bigint PRIMARY KEY,
    venue text NOT NULL,
    symbol text NOT NULL,
    venue_symbol text NOT NULL,
    base text NOT NULL,
    quote text NOT NULL,
    settle text NOT NULL,
    status text NOT NULL,
    contract_size numeric,
    inverse boolean NOT NULL,
    listed bigint,
    delisted bigint
);
CREATE TABLE ticklake.batches (
    writer text NOT NULL,
    number bigint NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    trades int NOT NULL,
    quotes int NOT NULL,
    gaps int NOT NULL,
    deads int NOT NULL,
    candles int NOT NULL,
    instruments int NOT NULL,
    duplicates bigint NOT NULL,
    received bigint,
    clock bigint,
    live boolean NOT NULL,
    finish boolean NOT NULL,
    sum bytea NOT NULL,
    content bytea NOT NULL,
    proofs bytea NOT NULL,
    text_bytes bigint NOT NULL,
    first_day date,
    last_day date,
    whole boolean NOT NULL DEFAULT true,
    written timestamptz NOT NULL DEFAULT clock_timestamp(),
    lsn pg_lsn NOT NULL DEFAULT pg_current_wal_insert_lsn(),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    horizon xid8 NOT NULL DEFAULT pg_snapshot_xmin(pg_current_snapshot()),
    PRIMARY KEY (writer, number)
);
CREATE INDEX trade_rows_sequence ON ticklake.trade_rows
    USING brin (sequence) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX quote_rows_sequence ON ticklake.quote_rows
    USING brin (sequence) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX dead_rows_sequence ON ticklake.dead_rows
    USING brin (sequence) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX candle_rows_sequence ON ticklake.candle_rows (sequence);
CREATE UNIQUE INDEX quote_rows_digest ON ticklake.quote_rows (series, digest, day)
    WHERE digest IS NOT NULL;
CREATE INDEX instrument_rows_names
    ON ticklake.instrument_rows (venue, symbol, venue_symbol, sequence);
CREATE INDEX batches_first ON ticklake.batches (first_sequence);
CREATE INDEX batches_last ON ticklake.batches (last_sequence);
CREATE INDEX batches_written ON ticklake.batches (written);
CREATE INDEX batches_lsn ON ticklake.batches (lsn);

CREATE TABLE ticklake.gap_ledger (
    gap_id bigint PRIMARY KEY,
    writer text NOT NULL,
    teller text NOT NULL,
    sequence bigint NOT NULL,
    series int NOT NULL,
    stream smallint NOT NULL,
    kind smallint NOT NULL,
    state smallint NOT NULL,
    from_id bigint,
    to_id bigint,
    from_time bigint,
    to_time bigint,
    missing_count bigint,
    rows_recovered bigint NOT NULL,
    candles_revised bigint NOT NULL,
    opened bigint,
    closed bigint,
    cause text NOT NULL
);
CREATE INDEX gap_ledger_open ON ticklake.gap_ledger (gap_id) WHERE state = 0;
CREATE TABLE ticklake.dedup_state (
    writer text NOT NULL,
    series int NOT NULL,
    stream smallint NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (writer, series, stream)
);
CREATE TABLE ticklake.history_ids (
    series int NOT NULL,
    stream smallint NOT NULL,
    first_id bigint NOT NULL,
    last_id bigint NOT NULL,
    PRIMARY KEY (series, stream, first_id, last_id)
);
CREATE TABLE ticklake.source_positions (
    writer text NOT NULL,
    name text NOT NULL,
    frames bigint NOT NULL,
    done boolean NOT NULL,
    PRIMARY KEY (writer, name)
);
CREATE TABLE ticklake.proof_kept (
    series int NOT NULL,
    stream smallint NOT NULL,
    minute bigint NOT NULL,
    count bigint NOT NULL,
    sum bytea NOT NULL,
    PRIMARY KEY (series, stream, minute)
);
CREATE TABLE ticklake.guest_keys (
    digest bytea PRIMARY KEY
);
CREATE TABLE ticklake.candles_deleted (
    series int NOT NULL,
    timeframe smallint NOT NULL,
    open_time bigint NOT NULL,
    source text NOT NULL,
    digest bytea NOT NULL,
    PRIMARY KEY (series, timeframe, open_time, source, digest)
);
CREATE FUNCTION ticklake.note_deleted_candles() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO ticklake.candles_deleted
        SELECT series, timeframe, open_time, source, digest FROM ticklake.candle_rows
        ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO ticklake.candles_deleted
        SELECT series, timeframe, open_time, source, digest FROM gone
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER candles_deleted AFTER DELETE ON ticklake.candle_rows REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION ticklake.note_deleted_candles();
CREATE TRIGGER candles_truncated BEFORE TRUNCATE ON ticklake.candle_rows
    FOR EACH STATEMENT EXECUTE FUNCTION ticklake.note_deleted_candles();
CREATE TABLE ticklake.jobs (
    job_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    command text NOT NULL,
    arguments text NOT NULL,
    message text NOT NULL,
    started bigint NOT NULL,
    finished bigint,
    row_count bigint NOT NULL,
    duplicates bigint NOT NULL,
    exit_code int NOT NULL
);
-- One row. removed_sequence: newest sequence of a batch that retention removed.
CREATE TABLE ticklake.meta (
    id int PRIMARY KEY CHECK (id = 1),
    version int NOT NULL,
    removed_sequence bigint NOT NULL,
    created timestamptz NOT NULL DEFAULT now()
);
CREATE SEQUENCE ticklake.sequence_blocks INCREMENT BY 4194304 START 1;
CREATE SEQUENCE ticklake.gap_blocks INCREMENT BY 4294967296 START 1;
CREATE SEQUENCE ticklake.guests;
