-- The PostgreSQL store, format version 1, in the schema "ticklake". Rows as in store.db (sql/sqlite/store_schema.sql), so
-- that the numbers of streams, sides and so on are those of src/event/event.h; the views spell them out. Times are ns.
--
-- trade_rows.key: '' where `id` is the trade's id; 't' and the id as given where it is no 64-bit number; where there is none
--   'n' and venue time, price, size, ordinal. day: of venue_time, else of the receipt (days since 1970 as a date).
-- batches: one row a group commit, in its transaction. (writer, number) is its identity: a commit whose answer was lost is
--   looked up by it. live: `clock` is a wall clock. sum, content, proofs: as in store.db.
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
    sequence bigint NOT NULL
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
    PRIMARY KEY (writer, number)
);
