/* decode.h - what the decoders of all venues share: one event read field by field. Internal to venue/.
 *
 * Calls     t = reading_trade(&r, session, out, stream); reading_symbol(&r, symbol, exchange); reading_price(...) ...;
 *           reading_end(&r).
 * Errors    sticky: the first thing that is wrong refuses the event with a reason and a sentence, and reading_end takes
 *           it away again. So a decoder reads ten fields and tests nothing.
 */
#ifndef TICKLAKE_VENUE_DECODE_H
#define TICKLAKE_VENUE_DECODE_H

#include "venue/json.h"
#include "venue/names.h"

struct venue_session {
    const struct venue *venue;
    struct venue_names *names;
    struct json json;
    int64_t received_ns; /* of the frame that is being read */
};
/* What every decode and decode_rest begins with. */
void decode_begin(struct venue_session *s, int64_t received_ns, struct decoded *out);

struct reading {
    struct venue_session *session;
    struct decoded *out;
    struct trade *trade; /* the event: one of these three */
    struct quote *quote;
    struct venue_candle *candle;
    struct str symbol; /* venue symbol, once known */
    int8_t stream;
    bool failed;
};

/* NULL, and refused as too big, when the frame holds more events than VENUE_EVENTS_MAX. */
struct trade *reading_trade(struct reading *r, struct venue_session *s, struct decoded *out,
                            enum stream stream);
struct quote *reading_quote(struct reading *r, struct venue_session *s, struct decoded *out);
struct venue_candle *reading_candle(struct reading *r, struct venue_session *s,
                                    struct decoded *out);
void reading_end(struct reading *r);
void reading_fail(struct reading *r, enum dead_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets the event's series. `exchange` empty: the venue itself. */
void reading_symbol(struct reading *r, struct str symbol, struct str exchange);
void reading_price(struct reading *r, yyjson_val *v, const char *name, struct dec *ret); /* > 0 */
void reading_size(struct reading *r, yyjson_val *v, const char *name, struct dec *ret);  /* >= 0 */
/* One side of a quote. Absent where price is missing, null, empty or zero: a venue has no other way to say so. */
void reading_side(struct reading *r, yyjson_val *price, yyjson_val *size, const char *name,
                  struct dec *ret_price, struct dec *ret_size);
/* trade->id, or id_text where it is no int64 in its shortest form; `ranged` sets the range to that id alone. */
void reading_id(struct reading *r, yyjson_val *v, const char *name, bool ranged);
void reading_i64(struct reading *r, yyjson_val *v, const char *name, int64_t *ret);
void reading_iso(struct reading *r, yyjson_val *v, const char *name, int64_t *ret_ns);
/* A count of units since 1970, "1618678142.557535" included. */
void reading_time(struct reading *r, yyjson_val *v, const char *name, int64_t unit_ns,
                  int64_t *ret_ns);
/* The lake's form, exactly. */
void reading_lake(struct reading *r, yyjson_val *v, const char *name, i128 *ret);

/* Sentences may quote the venue's bytes, cut anywhere: what is not printable ASCII becomes '?'. */
void decode_printable(char *text, size_t n);
/* The frame is nothing that we know: FRAME_BAD with one refusal. */
void decode_bad(struct decoded *out, enum dead_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* FRAME_ERROR in the venue's words; `symbol` may be empty. */
void decode_error(struct decoded *out, struct str words, struct str symbol, bool refusal);
/* Reads the frame; NULL (and FRAME_BAD) when it is no JSON. */
yyjson_val *decode_json(struct venue_session *s, char *text, size_t len, struct decoded *out);
/* Trades from `from` on in the opposite order: for answers that come newest first. */
void decode_reverse_trades(struct decoded *out, size_t from);

#endif
