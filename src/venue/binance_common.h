/* binance_common.h - what Binance's spot and USD-M futures protocols have in common: nearly all. Internal to venue/. */
#ifndef TICKLAKE_VENUE_BINANCE_COMMON_H
#define TICKLAKE_VENUE_BINANCE_COMMON_H

#include "venue/decode.h"
#include "venue/instruments.h"

/* Members of Binance's events have names of one letter; these are the ones we read. */
enum binance_field {
    BINANCE_NONE,
    BINANCE_e, /* kind of event */
    BINANCE_E, /* event time */
    BINANCE_s, /* symbol */
    BINANCE_t, /* trade id */
    BINANCE_a, /* aggregate id, or ask price */
    BINANCE_f, /* first trade id of an aggregate */
    BINANCE_l, /* last trade id of an aggregate */
    BINANCE_p, /* price */
    BINANCE_q, /* quantity */
    BINANCE_T, /* trade (transaction) time */
    BINANCE_m, /* the buyer was the maker: the aggressor sold */
    BINANCE_X, /* futures: MARKET, or what else took a trade id */
    BINANCE_u, /* book update id */
    BINANCE_b, /* bid price */
    BINANCE_B, /* bid quantity */
    BINANCE_A, /* ask quantity */
    BINANCE_FIELDS
};
struct binance_event {
    yyjson_val *f[BINANCE_FIELDS];
    bool twice; /* a field of these stands twice */
    bool depth; /* a book image: "lastUpdateId" */
};
static inline enum binance_field binance_field_of(char name)
{
    static const uint8_t field_of[128] = {
        ['e'] = BINANCE_e, ['E'] = BINANCE_E, ['s'] = BINANCE_s, ['t'] = BINANCE_t,
        ['a'] = BINANCE_a, ['f'] = BINANCE_f, ['l'] = BINANCE_l, ['p'] = BINANCE_p,
        ['q'] = BINANCE_q, ['T'] = BINANCE_T, ['m'] = BINANCE_m, ['X'] = BINANCE_X,
        ['u'] = BINANCE_u, ['b'] = BINANCE_b, ['B'] = BINANCE_B, ['A'] = BINANCE_A,
    };
    unsigned char c = (unsigned char)name;
    return c < 128 ? (enum binance_field)field_of[c] : BINANCE_NONE;
}
void binance_event(yyjson_val *object, struct binance_event *ret);
/* The same straight from the text of a flat frame (binance_scan.c); false: take the full parser, the frame is as it was. */
struct binance_scan {
    struct binance_event event;
    yyjson_val values[BINANCE_FIELDS];
};
bool binance_scan(char *frame, size_t len, struct binance_scan *scan) MUST_USE;
/* A trade or an aggregate; `symbol` as the frame or the request names it. */
void binance_trade(struct venue_session *s, const struct binance_event *ev, enum stream stream,
                   struct str symbol, struct decoded *out);
/* {"code":-1121,"msg":"Invalid symbol."}, alone or under "error"; false when it is neither. */
bool binance_error(yyjson_val *root, struct str symbol, struct decoded *out);

size_t binance_encode_subscribe(const struct subscription *subs, size_t count, int64_t request_id,
                                struct str token, struct buf *frame);
void binance_decode(struct venue_session *s, char *frame, size_t len, int64_t received_ns,
                    struct decoded *out);
void binance_decode_rest(struct venue_session *s, struct str path, char *body, size_t len,
                         int64_t received_ns, struct decoded *out);
/* exchangeInfo: the symbols one by one. */
enum err_code binance_instruments(struct instruments *in, char *body, size_t len,
                                  bool (*one)(struct instruments *in, yyjson_val *entry),
                                  struct err *e) MUST_USE;

#endif
