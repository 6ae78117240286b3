-- Requests that a venue was sent: see src/store/allowance.h. The lock orders the processes until the transaction's end.
SELECT pg_advisory_xact_lock(1953196140, 1);
CREATE TABLE IF NOT EXISTS ticklake.allowances (
    venue text PRIMARY KEY,
    hour_begin bigint NOT NULL,
    hour_count bigint NOT NULL,
    day_begin bigint NOT NULL,
    day_count bigint NOT NULL
);
