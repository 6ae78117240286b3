/* history.h - what the plans of the venues share. Internal to venue/. */
#ifndef TICKLAKE_VENUE_HISTORY_H
#define TICKLAKE_VENUE_HISTORY_H

#include "venue/venue.h"

/* Times of requests are whole units, so that a page may begin a little early but never late. */
static inline int64_t history_floor(int64_t ns, int64_t unit_ns)
{
    return time_floor(ns, unit_ns) / unit_ns;
}
static inline int64_t history_ceil(int64_t ns, int64_t unit_ns)
{
    int64_t floor = history_floor(ns, unit_ns);
    return floor * unit_ns == ns ? floor : floor + 1;
}
/* "2024-08-08" of days since 1970. */
void history_day_text(int32_t day, char text[16]);
/* The path and header of a request; CHECKs that they fit: symbols are at most NAMES_TEXT_MAX bytes. */
void history_path(struct history_request *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Symbols stand in paths and queries: what is none of A-Z a-z 0-9 - _ . ~ , is escaped. */
#define HISTORY_SYMBOLS_MAX 400
bool history_escape(struct str symbols, char text[HISTORY_SYMBOLS_MAX]);

extern const struct venue_history binance_history, binance_futures_history, coinbase_history,
    kraken_history, tiingo_history;

#endif
