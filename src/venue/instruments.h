/* instruments.h - reading a venue's instrument list. Internal to venue/.
 *
 * An entry that cannot be named (no base or quote, a kind of market that we do not know) is passed over: one bad symbol
 * never stops the others. A list of which nothing can be used is no instrument list: ERR_PARSE.
 */
#ifndef TICKLAKE_VENUE_INSTRUMENTS_H
#define TICKLAKE_VENUE_INSTRUMENTS_H

#include "venue/json.h"
#include "venue/names.h"

struct instruments {
    const struct venue *venue;
    void (*each)(void *ctx, const struct instrument *i);
    void *ctx;
    size_t given;
};
/* Calls one() for each element of an array or member of an object; it returns false for an entry to be passed over. `list`
 * NULL or of another type is ERR_PARSE; `where` names its place in the answer. */
enum err_code instruments_read(struct instruments *in, yyjson_val *list, const char *where,
                               bool (*one)(struct instruments *in, yyjson_val *entry),
                               struct err *e) MUST_USE;
/* Gives one instrument: fills in venue, symbol, base, quote of `i` from the parts. False when it cannot be named. */
bool instruments_give(struct instruments *in, struct instrument *i,
                      const struct venue_symbol_parts *parts) MUST_USE;
/* A member in milliseconds as a time, or TIME_ABSENT. */
int64_t instruments_time_ms(yyjson_val *v);

#endif
