/* names.h - helpers for venue files that name instruments. Internal to venue/.
 *
 * Rules     spot BASE-QUOTE; perpetual BASE-QUOTE-PERP where it settles in the quote currency, else
 *           BASE-QUOTE:SETTLE-PERP; dated future BASE-QUOTE-YYYYMMDD, with :SETTLE alike; upper case. The venue's own
 *           instrument list decides, never the splitting of a string, as long as there is a list.
 */
#ifndef TICKLAKE_VENUE_NAMES_H
#define TICKLAKE_VENUE_NAMES_H

#include "venue/venue.h"

enum { NAMES_TEXT_MAX = 128 };

/* Writes BASE-QUOTE in upper case (ASCII), with ":SETTLE" where settle differs from quote and is not empty, and `suffix`
 * ("-PERP", "-20260925", "") behind it. False when it does not fit or a part is empty. */
bool names_compose(const struct venue_symbol_parts *parts, struct str settle, char *text,
                   size_t size) MUST_USE;
/* Splits by the venue's known quote currencies, the first of the list that fits. */
bool names_split(const char *quote_currencies, struct str venue_symbol,
                 struct venue_symbol_parts *ret) MUST_USE;
/* Splits at the one separator in it: certain, no guess. */
bool names_split_at(struct str venue_symbol, char separator,
                    struct venue_symbol_parts *ret) MUST_USE;
/* Text that every reader of the lake takes: UTF-8 without control characters. A request's path may hold anything. */
bool names_is_clean(struct str s);
void names_upper(struct str s, char *text); /* text has room for s.n */
void names_lower(struct str s, char *text);

#endif
