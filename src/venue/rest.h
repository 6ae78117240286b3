/* rest.h - what a REST request's path and query say of its answer. Internal to venue/. */
#ifndef TICKLAKE_VENUE_REST_H
#define TICKLAKE_VENUE_REST_H

#include "venue/decode.h"

/* The path alone of a path or a whole address, without the query. */
struct str rest_path(struct str url);
/* The value of a query parameter with its percent escapes resolved, in text; empty when it is not there or too long. */
struct str rest_query(struct str url, const char *name, char *text, size_t size);

/* A row of candles: [time, ...] by the index of each field; -1 where the venue does not say. */
struct rest_candle_layout {
    int8_t time, open, high, low, close, base_volume, quote_volume, trades, taker_base, taker_quote;
    int64_t time_unit_ns;
};
/* An answer of candles of one symbol, as its request asked for them. */
struct rest_candles {
    struct str symbol;
    int timeframe;    /* -1: of a width that is none of ours, and the whole answer is refused */
    struct str width; /* as the request says it */
    const struct rest_candle_layout *layout;
};
void rest_candles(struct venue_session *s, yyjson_val *rows, const struct rest_candles *what,
                  struct decoded *out);
/* A bar that ends behind the receipt is still running: not complete. */
void rest_candle_complete(struct reading *r);
/* Index of the timeframe of so many seconds, or -1. */
int rest_timeframe(int64_t seconds);
/* Refuses a whole answer of candles whose width is none of ours. */
void rest_refuse_width(struct decoded *out, struct str symbol, struct str width);

#endif
