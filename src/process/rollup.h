/* rollup.h - inside process: a longer candle from 1m candles, in memory and from the lake alike (process_rollup). */
#ifndef TICKLAKE_PROCESS_ROLLUP_H
#define TICKLAKE_PROCESS_ROLLUP_H

#include "event/event.h"

enum { ROLLUP_FIRST = TIMEFRAME_5M, ROLLUPS = TIMEFRAME_MAX - TIMEFRAME_5M };

struct rollup {
    struct candle sum; /* its open_time_ns is the bucket's */
    int64_t minutes;   /* added so far */
    int64_t first_minute_ns, last_minute_ns;
    bool first_is_number, last_is_number; /* ids; else the texts of `sum` */
    bool present;                         /* has minutes, or is tainted */
    bool refill;                          /* restored without its minutes: the lake's are wanted */
    bool tainted; /* a minute of it was revised: `sum` is no longer true, the lake is */
};

void rollup_init(struct rollup *r, enum timeframe tf, int64_t open_ns);
void rollup_add(struct rollup *r, const struct candle *minute);
/* Needs one minute at least. */
void rollup_candle(const struct rollup *r, struct candle *ret);

#endif
