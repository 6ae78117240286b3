INSERT INTO ticklake.allowances (venue, hour_begin, hour_count, day_begin, day_count)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (venue) DO UPDATE SET hour_begin = excluded.hour_begin, hour_count = excluded.hour_count,
    day_begin = excluded.day_begin, day_count = excluded.day_count
