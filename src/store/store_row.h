/* store_row.h - inside the store: events to rows and back, one bind loop a kind.
 *
 * Content   each row also yields a 128-bit hash over everything that is stored of it (the proof's hash leaves out
 *           receipt, ids' ranges and more, and knows only trades and quotes). The sum over a batch stands in its batch
 *           row, so that one altered digit in any column of any kind is found.
 */
#ifndef TICKLAKE_STORE_STORE_ROW_H
#define TICKLAKE_STORE_STORE_ROW_H

#include "event/batch.h"
#include "store/store_db.h"

/* What the rows of a batch add up to while they are written. */
struct store_sums {
    u128 content;
    int64_t newest_received_ns; /* TIME_ABSENT at first */
    uint32_t series_end;        /* one above the highest series met */
    size_t text_bytes;          /* room the texts take in an arena */
};

enum err_code store_row_put_trades(struct store_db *db, const struct batch *b,
                                   struct store_sums *sums, struct err *e) MUST_USE;
enum err_code store_row_put_quotes(struct store_db *db, const struct batch *b,
                                   struct store_sums *sums, struct err *e) MUST_USE;
/* The row, and the newest state in the ledger. */
enum err_code store_row_put_gaps(struct store_db *db, const struct batch *b,
                                 struct store_sums *sums, struct err *e) MUST_USE;
enum err_code store_row_put_deads(struct store_db *db, const struct batch *b,
                                  struct store_sums *sums, struct err *e) MUST_USE;
enum err_code store_row_put_candles(struct store_db *db, const struct batch *b,
                                    struct store_sums *sums, struct err *e) MUST_USE;
/* Instruments have no sequence of their own; their rows carry the last one of the batch. */
enum err_code store_row_put_instruments(struct store_db *db, const struct batch *b,
                                        struct store_sums *sums, struct err *e) MUST_USE;

/* Column 0 of `s` is the sequence. Texts are copied into `a`. ERR_FULL: the arena is full. ERR_CORRUPT: a value that
 * was never written so (a code out of its list, a series that does not exist); the sentence names the row. */
enum err_code store_row_get_trade(struct store_db *db, sqlite3_stmt *s, struct arena *a,
                                  uint32_t series_end, struct trade *ret, struct err *e) MUST_USE;
enum err_code store_row_get_quote(struct store_db *db, sqlite3_stmt *s, uint32_t series_end,
                                  struct quote *ret, struct err *e) MUST_USE;
enum err_code store_row_get_gap(struct store_db *db, sqlite3_stmt *s, struct arena *a,
                                uint32_t series_end, struct gap *ret, struct err *e) MUST_USE;
enum err_code store_row_get_dead(struct store_db *db, sqlite3_stmt *s, struct arena *a,
                                 struct dead *ret, struct err *e) MUST_USE;
enum err_code store_row_get_candle(struct store_db *db, sqlite3_stmt *s, struct arena *a,
                                   uint32_t series_end, struct venue_candle *ret,
                                   struct err *e) MUST_USE;
enum err_code store_row_get_instrument(struct store_db *db, sqlite3_stmt *s, struct arena *a,
                                       struct instrument *ret, struct err *e) MUST_USE;

/* Column as number, `otherwise` where NULL. */
int64_t store_row_number(sqlite3_stmt *s, int column, int64_t otherwise);
struct str store_row_bytes(sqlite3_stmt *s, int column); /* until the next step */

/* store_content, with the series numbers of another numbering (NULL: as they are). */
u128 store_content_as(const struct batch *b, struct event_ref r, const uint32_t *series);

/* 128-bit sums as 16 bytes, little-endian. */
void store_row_sum_bytes(u128 sum, uint8_t to[16]);
u128 store_row_sum_of(const uint8_t from[16]);

#endif
