/* simulate.h - the venues on loopback, in their own protocols, with scripted faults and an independent count.
 *
 * Serves    one port: WebSocket at /NAME/ws (and the venue's own paths below it), REST at /NAME/... with the venue's own
 *           instrument list and history: trades (those that were never sent included), bars, daily files below
 *           /NAME/archive. A client cannot tell it from the venue, but for the address.
 * Data      recordings (the venue's own frames, re-timed to now or as recorded, at any speed) or a generated market: by
 *           seed, symbols and rate; a random walk in the tick sizes of the venue, ids rising by one, exact decimals.
 * Faults    counted and drawn by seed: disconnect, duplicate, missing (ids never sent), reorder, late, garbage, and
 *           silence. Each is "one in N"; a disconnect also once at a given moment.
 * Truth     simulate_report: per (venue, symbol, stream) what was generated, sent and held back: counts and the proof's
 *           hash (event/proof.h), made from what the generator knows, never from decoding its own frames.
 * End       after `seconds` or `trades`, or by simulate_stop; then every client gets what is still due and a close.
 */
#ifndef TICKLAKE_SIMULATE_SIMULATE_H
#define TICKLAKE_SIMULATE_SIMULATE_H

#include "base/buf.h"
#include "event/event.h"

struct simulate_faults { /* one in N events; 0: never */
    int32_t disconnect, duplicate, missing, reorder, late, garbage, silence;
    int32_t rest_429, rest_5xx; /* one in N REST requests */
    bool bad_checksum;          /* of the daily files */
    int64_t disconnect_at_ms;   /* once, so long after the first subscription; 0: never */
    int64_t late_ms;            /* how late */
};
struct simulate_options {
    const char *bind;          /* 127.0.0.1 */
    int port;                  /* 0: any free */
    const char *const *venues; /* names; NULL: all that there are */
    size_t venue_count;
    const char *const
        *recordings; /* paths; their venues are served from them instead of the generator */
    size_t recording_count;
    double speed;    /* of recordings; inexact: pacing only */
    bool retime;     /* shift recorded venue times so that the first is now */
    int32_t symbols; /* generated, per venue */
    int32_t rate;    /* generated trades a second in all */
    int32_t quotes_per_trade;
    uint64_t seed;
    int64_t seconds, trades;                /* end after; 0: no limit */
    int64_t past, past_from_ns, past_to_ns; /* trades of each symbol in that time, by REST alone */
    int64_t allowance;                      /* Tiingo's REST requests an hour; 0: no limit */
    const char *token;                      /* that Tiingo's REST takes; NULL: any */
    struct simulate_faults faults;
    void (*notice)(void *ctx, const char *venue, const char *what, const char *detail);
    void *ctx;
};

struct simulate;
enum err_code simulate_open(const struct simulate_options *o, struct simulate **ret,
                            struct err *e) MUST_USE;
int simulate_port(const struct simulate *s);
enum err_code simulate_run(struct simulate *s, struct err *e) MUST_USE;
void simulate_stop(struct simulate *s);                           /* any thread, and signal-safe */
void simulate_report(const struct simulate *s, struct buf *json); /* after run */
struct simulate *simulate_close(struct simulate *s);

#endif
