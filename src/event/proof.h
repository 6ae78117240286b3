/* proof.h - the checksum that every hop keeps and `verify` compares (docs/formats.md, "The proof").
 *
 * Value     per (series, stream, minute): a count and a sum modulo 2^128 of a 128-bit hash (XXH3) over the
 *           canonical fields. Never XOR: pairs would cancel.
 * Trade     venue, exchange, symbol, stream, trade_id or the id-less key, side, price and size in normal form,
 *           venue_time_ns; never sequence, origin or receipt.
 * Quote     venue, exchange, symbol, the four decimals, venue_time_ns, received_ns (a quote has no other key).
 * Minute    of venue_time, else of the receipt, as floor(ns / 60 s).
 * Sets      a proof_set adds up deltas of a batch or commit; order of adding is irrelevant.
 */
#ifndef TICKLAKE_EVENT_PROOF_H
#define TICKLAKE_EVENT_PROOF_H

#include "base/hash.h"
#include "event/event.h"
#include "event/series.h"

u128 proof_hash_trade(const struct series *s, const struct trade *t);
u128 proof_hash_quote(const struct series *s, const struct quote *q);
int64_t proof_minute(int64_t venue_time_ns, int64_t received_ns);

struct proof {
    uint32_t series;
    uint8_t stream;
    int64_t minute;
    int64_t count;
    u128 sum;
};

struct proof_set {
    struct proof *items;
    size_t count, cap;
    uint32_t *slots; /* open addressing into items */
    size_t slot_count;
};
void proof_set_init(struct proof_set *p);
void proof_set_free(struct proof_set *p);
void proof_set_clear(struct proof_set *p);
void proof_set_add(struct proof_set *p, uint32_t series, uint8_t stream, int64_t minute,
                   int64_t count, u128 sum);
void proof_add_trade(struct proof_set *p, const struct series_table *names, const struct trade *t);
void proof_add_quote(struct proof_set *p, const struct series_table *names, const struct quote *q);
const struct proof *proof_set_find(const struct proof_set *p, uint32_t series, uint8_t stream,
                                   int64_t minute);
/* Orders items by series, stream, minute (for output and comparison); the set stays usable. */
void proof_set_sort(struct proof_set *p);

#endif
