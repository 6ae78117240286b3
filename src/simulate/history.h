/* history.h - inside simulate/: the same market's past by REST and as daily files.
 *
 * What was traded stands in each symbol's tape from the first generated trade on, those that were never sent included: so
 * that what a client missed is to be had here. Bars are made from the tape anew for each answer, in the simplest way there is,
 * sharing no code with the candles that are held against them.
 */
#ifndef TICKLAKE_SIMULATE_HISTORY_H
#define TICKLAKE_SIMULATE_HISTORY_H

#include "simulate/encode.h"

struct sim_request {
    struct str path;  /* behind /NAME, without the query */
    struct str query; /* "symbol=BTCUSDT&limit=5" */
    struct str whole; /* both */
    struct str authorization, range;
};
struct sim_rest {
    struct buf *body;
    int status; /* 200 */
    int retry_after_s;
    const char *type; /* NULL: JSON */
};

/* What a tape has. Indexes into it; count where there is none. */
size_t sim_tape_from_id(const struct sim_symbol *s, int64_t id);
size_t sim_tape_from_time(const struct sim_symbol *s, int64_t time_ns);

/* A query's number; `standard` where it is not there. */
int64_t sim_query_number(const struct sim_request *r, const char *name, int64_t standard);
/* The symbol that a query names; -1. */
int sim_query_symbol(const struct sim_market *m, const struct sim_request *r, const char *name);

/* Sums at the 18th decimal, as text, so that no float and none of the code under test is needed. */
struct sim_bar {
    int64_t open_ns, trades, first_id, last_id;
    struct dec open, high, low, close;
    u128 base, quote, taker_base, taker_quote; /* at scale 18 */
};
/* The bar of [open_ns, open_ns + length_ns); false where nothing was traded. */
bool sim_bar(const struct sim_symbol *s, int64_t open_ns, int64_t length_ns, struct sim_bar *ret);
void sim_put_sum(struct buf *out, u128 value); /* scale 18 */

/* The 12 columns of a kline; `quote` around decimals, `unit_zeros` behind the milliseconds of times ("000": microseconds). */
void sim_put_kline(struct buf *out, const struct sim_bar *b, int64_t length_ns, const char *quote,
                   const char *unit_zeros);

/* The daily file of a path below /archive; false for 404. `corrupt`: its checksum is of something else. */
bool sim_archive(const struct sim_market *m, const struct sim_request *r, bool corrupt,
                 struct sim_rest *out);

#endif
