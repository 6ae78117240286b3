/* audit.h - the proof: every hop against the next, and the lake against itself.
 *
 * audit_verify opens store.db and catalog.db read-only (a running program may hold the folder) and checks, below the
 * lowest mark:
 *   1 store rows    each batch: rows re-read, hashed, counted against the batch row's claim (one altered digit, a lost row)
 *   2 store = lake  per (venue, exchange, symbol, stream, minute): count and sum of the store against the lake's claim
 *   3 lake files    every live data file re-read: exists, has its size and rows, adds up to the lake's claim
 *   4 candles       each key once; 1s and 1m equal a stupid recompute from the lake's trades, roll-ups equal their minutes
 *   5 ledger        holes in the ids that the lake holds = open gaps of the ledger, to the id; ledger of store = of lake
 *   6 foreign rows  counted apart, never a difference
 * In the distributed deployment (options.bus) two hops stand in place of check 2:
 *   store = bus     per minute as above: PostgreSQL's batches against every committed record of the topics. A minute that grew
 *                   while verify looked must lie between what the store had before and after.
 *   bus = lake      the records below the lake's positions against the lake's claim; positions and claim are of one moment.
 *                   Where retention has removed the beginning of a topic, the store is held against the lake instead.
 * Waiting    distributed, verify first waits up to wait_ns until what the store held when it began has reached the lake. What has
 *            not is no difference, but told: result.behind.
 * Every difference is told with its place (batch and sequences, file, key); the result is ERR_DIFFERENT when there are any.
 * What retention removed from the store is proven by its kept proofs. A lake behind its store is no difference; a store
 * that ends before the lake's position is ("hole"). Without a catalog the store alone is checked.
 * Running    what moves while verify looks (minutes between two positions, windows that await a revision, holes younger
 *            than the grace) is left out, and is looked at by the next verify.
 * Memory     the minutes of store and lake (some 70 bytes each), one day of candles of one symbol, half a million trades.
 * Told       at most 100 differences a check; all are counted.
 */
#ifndef TICKLAKE_AUDIT_AUDIT_H
#define TICKLAKE_AUDIT_AUDIT_H

#include "bus/bus.h"
#include "lake/lake.h"
#include "store/store.h"

struct audit_options {
    struct store_options store;    /* path or url; the rest is set here */
    struct lake_options lake;      /* where it is; the rest is set here */
    const struct bus_options *bus; /* NULL: embedded */
    const char *publisher, *slot;  /* with bus: bus.name, store.slot */
    int64_t wait_ns;
    /* A hole in the ids that began less than this before the newest receipt need not be in the ledger yet. */
    int64_t gap_grace_ns;
    /* One finding: check ("store_rows"), place, what. */
    void (*difference)(void *ctx, const char *check, const char *place, const char *what);
    void (*progress)(void *ctx, const char *check, int64_t done, int64_t all);
    void *ctx;
};
struct audit_check {
    const char *name, *words;
    int64_t compared, differences;
    bool applies; /* in this deployment */
};
enum { AUDIT_CHECKS = 8 };
struct audit_result {
    struct audit_check checks[AUDIT_CHECKS];
    int64_t store_sequence, lake_position;
    int64_t trades, quotes, candles, gaps_open, foreign_rows;
    int64_t missing_trades; /* sum of open id gaps */
    int64_t bus_records;
    char behind[256]; /* which hop had not caught up within wait_ns; "" none */
};
enum err_code audit_verify(const struct audit_options *o, struct audit_result *ret,
                           struct err *e) MUST_USE;

#endif
