/* series.h - the names of a tape, interned: an event carries one number for
 * (venue, exchange, symbol, venue_symbol).
 *
 * Purpose   codes instead of strings in every row, window, and column. Numbers are dense from 0 and, once
 *           stored, permanent for that data folder: the store loads its table first (series_load in order),
 *           the source adds new ones, and the store persists those it meets for the first time.
 * Threads   series_intern from any (a mutex inside); series_get needs no lock: entries never move and are
 *           visible to whoever received an event that carries the number.
 * Limits    1,000,000 series.
 */
#ifndef TICKLAKE_EVENT_SERIES_H
#define TICKLAKE_EVENT_SERIES_H

#include "base/str.h"

enum { SERIES_LIMIT = 1000000 };
#define SERIES_NONE UINT32_MAX

struct series {
    uint32_t id;
    struct str venue, exchange, symbol, venue_symbol;
};

struct series_table;
struct series_table *series_new(void);
struct series_table *series_free(struct series_table *t);
/* Finds or adds; SERIES_NONE when the limit is reached or a name is empty or longer than 128 bytes. */
uint32_t series_intern(struct series_table *t, struct str venue, struct str exchange,
                       struct str symbol, struct str venue_symbol);
const struct series *series_get(const struct series_table *t, uint32_t id); /* CHECKs the id */
uint32_t series_count(const struct series_table *t);
/* First series with these two, or SERIES_NONE. */
uint32_t series_find(const struct series_table *t, struct str venue, struct str symbol);

#endif
