/* store_batch.h - inside the store: the batch row, its proof minutes as a blob, and the series table.
 *
 * Proofs    29 bytes an entry: series 4, stream 1, minute 4, count 4, sum 16, little-endian. A blob, since at 8,000
 *           symbols a row per entry would cost as much as the trades themselves.
 */
#ifndef TICKLAKE_STORE_STORE_BATCH_H
#define TICKLAKE_STORE_STORE_BATCH_H

#include "store/store.h"
#include "store/store_row.h"

enum { STORE_PROOF_BYTES = 29 };

/* A row of batch_rows but for its proofs. */
struct store_batch_row {
    int64_t last_sequence, first_sequence, batch;
    int64_t trades, quotes, gaps, deads, candles, instruments, duplicates, text_bytes;
    int64_t received_ns, clock_ns;
    u128 sum, content;
};
int64_t store_batch_events(const struct store_batch_row *r);

/* Series through `map` where there is one; minutes of count 0 are left out. */
void store_proofs_pack(const struct proof_set *p, const uint32_t *map, struct buf *to);
/* ERR_CORRUPT: not whole entries, or one with a stream, count or series that cannot be. */
enum err_code store_proofs_unpack(const char *where, struct str blob, uint32_t series_end,
                                  struct proof_set *ret, struct err *e) MUST_USE;

enum err_code store_batch_put(struct store_db *db, const struct store_batch_row *r,
                              struct str proofs, struct err *e) MUST_USE;
/* The current row of read_batches; *ret_proofs lives until the next step. Checks that the row makes sense in itself. */
enum err_code store_batch_get(struct store_db *db, sqlite3_stmt *s, struct store_batch_row *ret,
                              struct str *ret_proofs, struct err *e) MUST_USE;

/* First sequence kept (1 when nothing was ever removed or written) and the mark (0 when empty). */
enum err_code store_bounds(struct store_db *db, int64_t *ret_first, int64_t *ret_mark,
                           struct err *e) MUST_USE;

/* Series from `*count` on, into the table in memory; *count then is the number stored. Both must give the same
 * numbers: ERR_CORRUPT otherwise. */
enum err_code store_series_load(struct store_db *db, struct series_table *t, uint32_t *count,
                                struct err *e) MUST_USE;

#endif
