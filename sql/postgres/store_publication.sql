-- What CDC takes out (src/store/changes.h): inserts only, under the names of the partitioned tables. It must be there before the
-- slot, and may never be dropped while one exists.
CREATE PUBLICATION ticklake FOR TABLE
    ticklake.series, ticklake.trade_rows, ticklake.quote_rows, ticklake.gap_rows,
    ticklake.dead_rows, ticklake.candle_rows, ticklake.instrument_rows, ticklake.batches
WITH (publish = 'insert', publish_via_partition_root = true);
