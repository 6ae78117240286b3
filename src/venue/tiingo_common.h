/* tiingo_common.h - shared by Tiingo's socket (tiingo.c) and its REST answers (tiingo_rest.c). Internal to venue/. */
#ifndef TICKLAKE_VENUE_TIINGO_COMMON_H
#define TICKLAKE_VENUE_TIINGO_COMMON_H

#include "venue/decode.h"
#include "venue/instruments.h"

/* Errors come as plain text with status 200, or as {"detail":"..."}: the words, or empty when it is neither. */
struct str tiingo_error_text(const char *text, size_t len);
void tiingo_error(struct decoded *out, struct str words, bool refusal);

void tiingo_decode_rest(struct venue_session *s, struct str path, char *body, size_t len,
                        int64_t received_ns, struct decoded *out);
bool tiingo_instruments_request(int page, struct str token, struct venue_request *ret);
enum err_code tiingo_instruments_answer(char *body, size_t len,
                                        void (*each)(void *ctx, const struct instrument *i),
                                        void *ctx, struct err *e);

extern const struct venue venue_tiingo;

#endif
