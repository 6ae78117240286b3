/* history.h - what of a REST answer is wanted, and which ids have come: pure. Internal to source/.
 *
 * A page of history reaches beyond what was asked for (venue.h). history_trim tells what the page held and then leaves out
 * what lies outside of the window, so that an interval is exactly [from, to) whatever the pages were.
 */
#ifndef TICKLAKE_SOURCE_HISTORY_H
#define TICKLAKE_SOURCE_HISTORY_H

#include "venue/venue.h"

struct history_ids;
struct history_known; /* rows that are stored already, by what they say */

struct history_window {
    bool nothing; /* leaves out every row: the page was asked for to find a place */
    bool by_id;
    int64_t first_id, last_id;     /* both inclusive */
    const struct history_ids *ids; /* by_id: only these of them; may be NULL */
    int64_t from_ns, to_ns;        /* [from, to) */
    int64_t
        now_ns; /* bars that end behind it are running: left out. When the others were fetched */
    struct history_known
        *known; /* bars and quotes of it are left out, and what is taken goes in; may be NULL */
};

/* Fills *ret with what the answer held, then takes out of it what is not wanted. A trade without a time is taken where the
 * nearest one before it that has a time is. Refused rows stay: nobody knows when they were, unless `nothing`. */
void history_trim(struct decoded *d, const struct history_window *w, struct history_page *ret);
bool history_wants_trade(const struct history_window *w, const struct trade *t);
bool history_wants_candle(const struct history_window *w, const struct venue_candle *c);

/* A venue's bars and quotes have no ids: the same one again is known by everything that the venue states of it. One thread. */
struct history_known *history_known_new(void);
struct history_known *history_known_free(struct history_known *k);
void history_known_clear(struct history_known *k);
/* True where it was not in it yet. */
bool history_known_candle(struct history_known *k, const struct venue_candle *c);
bool history_known_quote(struct history_known *k, const struct quote *q);

/* A set of ids as disjoint closed ranges, ascending. */
struct history_range {
    int64_t first, last;
};
struct history_ids {
    struct history_range *ranges;
    size_t count, cap;
};
void history_ids_add(struct history_ids *ids, int64_t first, int64_t last);
void history_ids_free(struct history_ids *ids);
/* How many of [first, last] are in it. */
int64_t history_ids_within(const struct history_ids *ids, int64_t first, int64_t last);
/* The first run of ids of [first, last] that is not in it; false where all are. */
bool history_ids_missing(const struct history_ids *ids, int64_t first, int64_t last,
                         struct history_range *ret);

#endif
