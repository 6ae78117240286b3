/* kraken_common.h - Kraken's names, shared by its sockets (kraken.c) and its REST answers (kraken_rest.c). Internal. */
#ifndef TICKLAKE_VENUE_KRAKEN_COMMON_H
#define TICKLAKE_VENUE_KRAKEN_COMMON_H

#include "venue/decode.h"
#include "venue/instruments.h"

/* Any of Kraken's spellings ("XBT/USD", "XXBTZUSD", "XBTUSD") in that of its v2 socket: "BTC/USD". Where it is none of
 * them, as it is. `text` has NAMES_TEXT_MAX bytes. */
struct str kraken_name(struct str pair, char *text);
/* [price, volume, time, side, type, misc(, id)]: v1 sockets and REST. */
void kraken_trade_row(struct venue_session *s, yyjson_val *row, struct str pair,
                      struct decoded *out);
bool kraken_split_symbol(struct str venue_symbol, struct venue_symbol_parts *ret);
bool kraken_refusal(struct str words);

void kraken_decode_rest(struct venue_session *s, struct str path, char *body, size_t len,
                        int64_t received_ns, struct decoded *out);
bool kraken_instruments_request(int page, struct str token, struct venue_request *ret);
enum err_code kraken_instruments_answer(char *body, size_t len,
                                        void (*each)(void *ctx, const struct instrument *i),
                                        void *ctx, struct err *e);

extern const struct venue venue_kraken;

#endif
