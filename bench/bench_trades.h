/* bench_trades.h - trades by their number alone, for the benches of the distributed path: the same rows for ours and the peer.
 *
 * Binance's shape: 48 symbols, prices of 2 decimals, sizes of 5, ids that rise. Times are of one day, so that the rows go to one
 * partition of PostgreSQL.
 */
#ifndef TICKLAKE_BENCH_TRADES_H
#define TICKLAKE_BENCH_TRADES_H

#include "base/str.h"
#include "event/batch.h"
#include "event/series.h"

#include <stdio.h>
#include <stdlib.h>

enum { BENCH_SERIES = 48 };
#define BENCH_START_NS (INT64_C(1760000000) * NS_PER_S)

struct bench_names {
    struct series_table *table;
    uint32_t ids[BENCH_SERIES];
};

static inline void bench_must(enum err_code code, const char *what, const struct err *e)
{
    if (code == ERR_OK) return;
    fprintf(stderr, "%s: %s: %s\n", what, err_name(code), e->text);
    exit(err_exit_code(code));
}

/* Into a table that may hold others already. */
static inline void bench_name_series(struct bench_names *n, struct series_table *table)
{
    n->table = table;
    for (int i = 0; i < BENCH_SERIES; i++) {
        char symbol[16], venue_symbol[16];
        int k = snprintf(symbol, sizeof symbol, "COIN%d-USDT", i);
        int m = snprintf(venue_symbol, sizeof venue_symbol, "COIN%dUSDT", i);
        n->ids[i] =
            series_intern(table, STR("binance"), STR("binance"), (struct str){symbol, (size_t)k},
                          (struct str){venue_symbol, (size_t)m});
    }
}

/* Trades from + 1, from + 2, ... into an empty batch; with their proof, without their sequences. */
static inline void bench_fill(struct batch *b, const struct bench_names *n, int64_t from,
                              size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct trade *t = batch_add_trade(b);
        CHECK(t != NULL);
        int64_t id = from + 1 + (int64_t)i;
        uint64_t random = (uint64_t)id * UINT64_C(0x9e3779b97f4a7c15);
        *t = (struct trade){
            .series = n->ids[(random >> 40) % BENCH_SERIES],
            .stream = STREAM_TRADE,
            .side = random >> 20 & 1 ? SIDE_BUY : SIDE_SELL,
            .origin = ORIGIN_LIVE,
            .has_id = true,
            .id = 3000000000 + id,
            .price = dec_normal(6000000 + (int64_t)(random >> 44) % 99999, 2),
            .size = dec_normal(1 + (int64_t)(random >> 30) % 9999999, 5),
            .venue_time_ns = BENCH_START_NS + id * 1000,
            .received_ns = BENCH_START_NS + id * 1000 + 3234567,
        };
        proof_add_trade(&b->proofs, n->table, t);
    }
}

#endif
