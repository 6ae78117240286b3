-- The lake's catalog in PostgreSQL, format version 1, in the schema "ticklake": the Iceberg SQL catalog (layout V1, as
-- Spark's JDBC and PyIceberg's SQL catalog read and swap it) and our state beside it. One transaction of a fold changes
-- pointers, positions, proof, states and garbage together. Other readers find the tables with the schema in their search
-- path: jdbc:postgresql://...?currentSchema=ticklake, postgresql+psycopg2://...?options=-csearch_path%3Dticklake.
CREATE TABLE ticklake.iceberg_tables (
    catalog_name varchar(255) NOT NULL,
    table_namespace varchar(255) NOT NULL,
    table_name varchar(255) NOT NULL,
    metadata_location varchar(1000),
    previous_metadata_location varchar(1000),
    iceberg_type varchar(5),
    PRIMARY KEY (catalog_name, table_namespace, table_name)
);
CREATE TABLE ticklake.iceberg_namespace_properties (
    catalog_name varchar(255) NOT NULL,
    namespace varchar(255) NOT NULL,
    property_key varchar(255) NOT NULL,
    property_value varchar(1000) NOT NULL,
    PRIMARY KEY (catalog_name, namespace, property_key)
);
INSERT INTO ticklake.iceberg_namespace_properties VALUES ('ticklake', 'market', 'exists', 'true');

-- One row. Whoever has it locked may change anything below; folds: transactions that took rows from the queue, folded: how
-- many rows.
CREATE TABLE ticklake.ticklake_lake (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version int NOT NULL,
    folds bigint NOT NULL DEFAULT 0,
    folded bigint NOT NULL DEFAULT 0
);
INSERT INTO ticklake.ticklake_lake (version) VALUES (1);

-- Events up to this position are in the lake: "market.trades/3" is partition 3 of that topic, "lake" a single writer's tail.
CREATE TABLE ticklake.ticklake_position (
    name text COLLATE "C" PRIMARY KEY,
    position bigint NOT NULL
);

-- What the lake claims to hold: docs/formats.md, "The proof". sum: modulo 2^128.
CREATE TABLE ticklake.ticklake_proof_series (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    venue text NOT NULL,
    exchange text NOT NULL,
    symbol text NOT NULL,
    venue_symbol text NOT NULL,
    UNIQUE (venue, exchange, symbol, venue_symbol)
);
CREATE TABLE ticklake.ticklake_proof (
    series int NOT NULL,
    stream int NOT NULL,
    minute bigint NOT NULL,
    count bigint NOT NULL,
    sum numeric(39, 0) NOT NULL,
    PRIMARY KEY (series, stream, minute)
);

-- Opaque state of other stages, as of the positions.
CREATE TABLE ticklake.ticklake_state (
    name text COLLATE "C" PRIMARY KEY,
    bytes bytea NOT NULL
);

-- Files that left a table. removed_at: sequence number of the snapshot without it (0: no snapshot ever needed it);
-- released_ns: since when no kept snapshot needs it. The file goes lake.grace after that.
CREATE TABLE ticklake.ticklake_garbage (
    location text PRIMARY KEY,
    table_name text NOT NULL,
    removed_at bigint NOT NULL,
    removed_ns bigint NOT NULL,
    released_ns bigint
);
CREATE INDEX ticklake_garbage_waiting
    ON ticklake.ticklake_garbage (table_name, removed_at) WHERE released_ns IS NULL;
CREATE INDEX ticklake_garbage_released
    ON ticklake.ticklake_garbage (released_ns) WHERE released_ns IS NOT NULL;

-- Commits of workers. commit: made up by the worker, so that a lost answer can be looked up. state: 0 waits, 1 done,
-- 2 refused (a position was not at its `from`), 3 refused as damaged. fold: which transaction decided it. The payload goes
-- when it is decided, the row an hour after that.
CREATE TABLE ticklake.ticklake_queue (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    commit text NOT NULL UNIQUE,
    worker text NOT NULL,
    state int NOT NULL DEFAULT 0,
    reason text,
    fold text,
    payload bytea,
    inserted timestamptz NOT NULL DEFAULT now(),
    decided timestamptz
);
CREATE INDEX ticklake_queue_waiting ON ticklake.ticklake_queue (id) WHERE state = 0;
