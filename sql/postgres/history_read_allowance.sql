SELECT hour_begin, hour_count, day_begin, day_count FROM ticklake.allowances WHERE venue = $1
