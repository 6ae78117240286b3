-- catalog.db: the Iceberg SQL catalog (layout V1, as other writers read and swap it) and our state beside it.
-- One transaction of a lake commit changes pointers, position, proof, state and garbage together.
CREATE TABLE IF NOT EXISTS iceberg_tables (
    catalog_name VARCHAR(255) NOT NULL,
    table_namespace VARCHAR(255) NOT NULL,
    table_name VARCHAR(255) NOT NULL,
    metadata_location VARCHAR(1000),
    previous_metadata_location VARCHAR(1000),
    iceberg_type VARCHAR(5),
    PRIMARY KEY (catalog_name, table_namespace, table_name)
);
CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
    catalog_name VARCHAR(255) NOT NULL,
    namespace VARCHAR(255) NOT NULL,
    property_key VARCHAR(255) NOT NULL,
    property_value VARCHAR(1000) NOT NULL,
    PRIMARY KEY (catalog_name, namespace, property_key)
);
INSERT OR IGNORE INTO iceberg_namespace_properties VALUES ('ticklake', 'market', 'exists', 'true');

-- Events of the store's tail up to this sequence are in the lake.
CREATE TABLE IF NOT EXISTS ticklake_position (
    name TEXT NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;
INSERT OR IGNORE INTO ticklake_position VALUES ('lake', 0);

-- What the lake claims to hold: docs/formats.md, "The proof". sum: 128 bits, little-endian.
CREATE TABLE IF NOT EXISTS ticklake_proof_series (
    id INTEGER PRIMARY KEY,
    venue TEXT NOT NULL,
    exchange TEXT NOT NULL,
    symbol TEXT NOT NULL,
    venue_symbol TEXT NOT NULL,
    UNIQUE (venue, exchange, symbol, venue_symbol)
);
CREATE TABLE IF NOT EXISTS ticklake_proof (
    series INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    minute INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sum BLOB NOT NULL,
    PRIMARY KEY (series, stream, minute)
) WITHOUT ROWID;

-- Opaque state of other stages, as of the position.
CREATE TABLE IF NOT EXISTS ticklake_state (
    name TEXT NOT NULL PRIMARY KEY,
    bytes BLOB NOT NULL
) WITHOUT ROWID;

-- Files that left a table. removed_at: sequence number of the snapshot without it (0: no snapshot ever needed it);
-- released_ns: since when no kept snapshot needs it. The file goes lake.grace after that.
CREATE TABLE IF NOT EXISTS ticklake_garbage (
    location TEXT NOT NULL PRIMARY KEY,
    table_name TEXT NOT NULL,
    removed_at INTEGER NOT NULL,
    removed_ns INTEGER NOT NULL,
    released_ns INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ticklake_garbage_waiting
    ON ticklake_garbage (table_name, removed_at) WHERE released_ns IS NULL;
CREATE INDEX IF NOT EXISTS ticklake_garbage_released
    ON ticklake_garbage (released_ns) WHERE released_ns IS NOT NULL;
