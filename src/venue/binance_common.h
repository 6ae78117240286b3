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
void binance_event(yyjson_val *object, struct binance_event *ret);
/* A trade or an aggregate; `symbol` as the frame or the request names it. */
void binance_trade(struct venue_session *s, const struct binance_event *ev, enum stream stream,
                   struct str symbol, struct decoded *out);
/* Milliseconds, or microseconds where the connection asked for them: told by size, since 10^15 ms is the year 33658. */
void binance_time(struct reading *r, yyjson_val *v, const char *name, int64_t *ret_ns);
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
