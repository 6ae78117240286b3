/* window.h - inside process: the trades of one second or minute, added up exactly. See window.c for the arithmetic. */
#ifndef TICKLAKE_PROCESS_WINDOW_H
#define TICKLAKE_PROCESS_WINDOW_H

#include "event/event.h"

enum { WINDOW_ID_TEXT = sizeof(((struct candle *)0)->first_id_text) };

/* Where a trade stands in its tape. Ids that are no numbers have no order: the store's sequence decides there. */
struct trade_order {
    int64_t time_ns, id, sequence;
    bool has_number;
};

/* One end of a window: its first or its last trade. */
struct window_end {
    struct trade_order order;
    i128 price;
    int64_t id;
    bool has_id;               /* id is set, or text where that is not empty */
    char text[WINDOW_ID_TEXT]; /* an id that is no number */
};

struct window {
    int64_t open_ns, first_sequence, trade_count; /* trade_count 0: empty */
    uint8_t price_scale, size_scale;
    bool side_unknown;
    bool base_overflow;      /* past 38 digits for sure: the volume is absent */
    bool spilled;            /* quote_spill and taker_quote_spill hold a part of the sums */
    i128 high, low;          /* prices in the lake's form */
    i128 base, taker_base;   /* at size_scale */
    i128 quote, taker_quote; /* at price_scale + size_scale */
    struct wide quote_spill, taker_quote_spill;
    struct window_end open, close;
};

/* An empty window; the scales are those that the tape's trades had so far, so that sums need no change of scale. */
void window_init(struct window *w, int64_t open_ns, uint8_t price_scale, uint8_t size_scale);
void window_add(struct window *w, const struct trade *t, int64_t time_ns);
void window_merge(struct window *w, const struct window *part);
/* Only values, times and ids: the caller sets series, complete, revision. The window must not be empty. */
void window_candle(const struct window *w, enum timeframe tf, struct candle *ret);

/* What a venue did with its own insurance fund is in its ids, but in nobody's candle: its price and size may be zero. */
static inline bool trade_counts(const struct trade *t) { return t->kind != KIND_LIQUIDATION; }

/* Time of a trade for windows: the venue's, else the receipt. */
static inline int64_t trade_time(const struct trade *t)
{
    return t->venue_time_ns != TIME_ABSENT ? t->venue_time_ns : t->received_ns;
}

#endif
