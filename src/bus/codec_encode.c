/* Events to Avro bytes. Room for the whole event is asked for once, then bytes are written without looking back: an event is
 * BUS_ENCODED_MAX bytes and its texts at most. */
#include "bus/codec_internal.h"

/* Zigzag, seven bits a byte, least significant first. */
static inline uint8_t *put_long(uint8_t *p, int64_t v)
{
    uint64_t z = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
    for (; z >= 0x80; z >>= 7) *p++ = (uint8_t)(z | 0x80);
    *p++ = (uint8_t)z;
    return p;
}

static inline uint8_t *put_bytes(uint8_t *p, struct str s)
{
    p = put_long(p, (int64_t)s.n);
    if (s.n) memcpy(p, s.p, s.n);
    return p + s.n;
}

/* A text that may quote received bytes. A string that is no UTF-8 makes other people's readers give up the whole record, so
 * each such byte becomes '?'; dead letters have the bytes themselves in their payload. */
static uint8_t *put_text(uint8_t *p, struct str s)
{
    uint8_t *text = put_long(p, (int64_t)s.n), *end = text + s.n;
    if (s.n) memcpy(text, s.p, s.n);
    if (str_is_utf8(s)) return end;
    while (text < end) {
        size_t len = str_utf8((struct str){(const char *)text, (size_t)(end - text)});
        if (len == 0) *text = '?';
        text += len ? len : 1;
    }
    return end;
}

static inline uint8_t *put_word(uint8_t *p, const char *text) { return put_bytes(p, str_of(text)); }

static inline uint8_t *put_flag(uint8_t *p, bool v)
{
    *p = v;
    return p + 1;
}

/* Branch 0 of ["null", T] is null, branch 1 the value: zigzag 0 and 2. */
static inline uint8_t *put_branch(uint8_t *p, bool present)
{
    *p = present ? 2 : 0;
    return p + 1;
}

/* Two's complement, most significant byte first, no byte more than needed. */
static inline uint8_t *put_decimal(uint8_t *p, i128 v)
{
    u128 sign = v < 0 ? ~(u128)0 : 0, bits = (u128)v ^ sign; /* its leading zeros repeat the sign */
    uint64_t high = (uint64_t)(bits >> 64), low = (uint64_t)bits;
    int zeros = high ? __builtin_clzll(high) : 64 + (low ? __builtin_clzll(low) : 64);
    int bytes = (128 - zeros) / 8 + 1;
    *p++ = (uint8_t)(bytes << 1);
    /* All of it is written from the front: what runs over is written over by the next field. */
    u128 shifted = (u128)v << (128 - 8 * bytes);
    uint64_t front = __builtin_bswap64((uint64_t)(shifted >> 64));
    uint64_t back = __builtin_bswap64((uint64_t)shifted);
    memcpy(p, &front, sizeof front);
    memcpy(p + sizeof front, &back, sizeof back);
    return p + bytes;
}

static inline uint8_t *put_dec_or_null(uint8_t *p, struct dec d)
{
    p = put_branch(p, !dec_is_absent(d));
    return dec_is_absent(d) ? p : put_decimal(p, dec_to_lake(d));
}

static inline uint8_t *put_decimal_or_null(uint8_t *p, bool present, i128 v)
{
    p = put_branch(p, present);
    return present ? put_decimal(p, v) : p;
}

static inline uint8_t *put_long_or_null(uint8_t *p, bool present, int64_t v)
{
    p = put_branch(p, present);
    return present ? put_long(p, v) : p;
}

static inline uint8_t *put_text_or_null(uint8_t *p, struct str s)
{
    p = put_branch(p, s.n > 0);
    return s.n ? put_text(p, s) : p;
}

static inline uint8_t *put_time(uint8_t *p, int64_t ns) { return put_long(p, time_micros(ns)); }

static inline uint8_t *put_time_or_null(uint8_t *p, int64_t ns)
{
    p = put_branch(p, ns != TIME_ABSENT);
    return ns != TIME_ABSENT ? put_time(p, ns) : p;
}

/* A time that the schema requires: absent ones do not come from our sources, and 1970 tells that one did. */
static inline uint8_t *put_time_given(uint8_t *p, int64_t ns)
{
    return put_time(p, ns == TIME_ABSENT ? 0 : ns);
}

static uint8_t *put_id(uint8_t *p, int64_t id)
{
    char text[20];
    size_t at = sizeof text;
    uint64_t v = id < 0 ? (uint64_t)0 - (uint64_t)id : (uint64_t)id;
    do {
        text[--at] = (char)('0' + (int)(v % 10));
        v /= 10;
    } while (v);
    if (id < 0) text[--at] = '-';
    return put_bytes(p, (struct str){text + at, sizeof text - at});
}

static uint8_t *put_names(uint8_t *p, const struct series *s)
{
    p = put_bytes(p, s->venue);
    p = put_bytes(p, s->exchange);
    p = put_bytes(p, s->symbol);
    return put_bytes(p, s->venue_symbol);
}

static uint8_t *put_trade(uint8_t *p, const struct trade *t, const struct series *s)
{
    p = put_names(p, s);
    p = put_word(p, stream_text((enum stream)t->stream));
    p = put_branch(p, t->has_id);
    if (t->has_id) p = t->id_text.n ? put_text(p, t->id_text) : put_id(p, t->id);
    p = put_long_or_null(p, t->has_range, t->first_id);
    p = put_long_or_null(p, t->has_range, t->last_id);
    p = put_word(p, side_text((enum side)t->side));
    p = put_decimal(p, dec_to_lake(t->price));
    p = put_decimal(p, dec_to_lake(t->size));
    p = put_time_or_null(p, t->venue_time_ns);
    p = put_long_or_null(p, t->venue_time_ns != TIME_ABSENT, t->venue_time_ns);
    p = put_time_given(p, t->received_ns);
    p = put_long(p, t->received_ns);
    p = put_word(p, origin_text((enum origin)t->origin));
    p = put_word(p, kind_text((enum kind)t->kind));
    p = put_long(p, t->sequence);
    return put_long(p, t->ordinal);
}

static uint8_t *put_quote(uint8_t *p, const struct quote *q, const struct series *s)
{
    p = put_names(p, s);
    p = put_dec_or_null(p, q->bid_price);
    p = put_dec_or_null(p, q->bid_size);
    p = put_dec_or_null(p, q->ask_price);
    p = put_dec_or_null(p, q->ask_size);
    p = put_time_or_null(p, q->venue_time_ns);
    p = put_long_or_null(p, q->venue_time_ns != TIME_ABSENT, q->venue_time_ns);
    p = put_time_given(p, q->received_ns);
    p = put_long(p, q->received_ns);
    p = put_word(p, origin_text((enum origin)q->origin));
    return put_long(p, q->sequence);
}

static uint8_t *put_gap(uint8_t *p, const struct gap *g, const struct series *s)
{
    p = put_long(p, g->gap_id);
    p = put_bytes(p, s->venue);
    p = put_bytes(p, s->symbol);
    p = put_word(p, stream_text((enum stream)g->stream));
    p = put_word(p, gap_kind_text((enum gap_kind)g->kind));
    p = put_long_or_null(p, g->has_ids, g->from_id);
    p = put_long_or_null(p, g->has_ids, g->to_id);
    p = put_time_given(p, g->from_time_ns);
    p = put_time_or_null(p, g->to_time_ns);
    p = put_long_or_null(p, g->has_count, g->missing_count);
    p = put_text(p, g->cause);
    p = put_word(p, gap_state_text((enum gap_state)g->state));
    p = put_long(p, g->rows_recovered);
    p = put_long(p, g->candles_revised);
    p = put_time_given(p, g->opened_ns);
    p = put_time_or_null(p, g->closed_ns);
    p = put_long_or_null(p, g->from_time_ns != TIME_ABSENT, g->from_time_ns);
    return put_long_or_null(p, g->to_time_ns != TIME_ABSENT, g->to_time_ns);
}

static uint8_t *put_dead(uint8_t *p, const struct dead *d)
{
    bool known = d->stream >= 0 && d->stream < STREAM_MAX;
    p = put_text(p, d->venue);
    p = put_branch(p, known);
    if (known) p = put_word(p, stream_text((enum stream)d->stream));
    p = put_text_or_null(p, d->symbol);
    p = put_word(p, dead_reason_text((enum dead_reason)d->reason));
    p = put_text(p, d->detail);
    p = put_bytes(p, d->payload);
    p = put_text_or_null(p, d->connection);
    p = put_long_or_null(p, d->position >= 0, d->position);
    p = put_time_given(p, d->received_ns);
    p = put_long(p, d->received_ns);
    return put_long(p, d->sequence);
}

static uint8_t *put_venue_candle(uint8_t *p, const struct venue_candle *v, const struct series *s)
{
    const struct candle *c = &v->c;
    p = put_bytes(p, s->venue);
    p = put_bytes(p, s->symbol);
    p = put_word(p, timeframe_text((enum timeframe)c->timeframe));
    p = put_time_given(p, c->open_time_ns);
    p = put_decimal(p, c->open);
    p = put_decimal(p, c->high);
    p = put_decimal(p, c->low);
    p = put_decimal(p, c->close);
    p = put_decimal_or_null(p, c->has_base_volume, c->base_volume);
    p = put_decimal_or_null(p, c->has_quote_volume, c->quote_volume);
    p = put_long_or_null(p, c->trade_count >= 0, c->trade_count);
    p = put_decimal_or_null(p, c->has_taker, c->taker_buy_base);
    p = put_decimal_or_null(p, c->has_taker, c->taker_buy_quote);
    p = put_text(p, v->source);
    return put_time_given(p, v->fetched_ns);
}

static uint8_t *put_instrument(uint8_t *p, const struct instrument *n, int64_t updated_ns)
{
    p = put_text(p, n->venue);
    p = put_text(p, n->symbol);
    p = put_text(p, n->venue_symbol);
    p = put_text_or_null(p, n->base);
    p = put_text_or_null(p, n->quote);
    p = put_text_or_null(p, n->settle);
    p = put_dec_or_null(p, n->contract_size);
    p = put_flag(p, n->inverse);
    p = put_text(p, n->status);
    p = put_time_or_null(p, n->listed_ns);
    p = put_time_or_null(p, n->delisted_ns);
    return put_time_given(p, updated_ns);
}

/* ---- one event ---- */

static const struct series *series_at(const struct batch *b, enum bus_topic t, uint32_t i,
                                      const struct series_table *names)
{
    switch (t) {
    case BUS_TRADES: return series_get(names, b->trades[i].series);
    case BUS_QUOTES: return series_get(names, b->quotes[i].series);
    case BUS_GAPS: return series_get(names, b->gaps[i].series);
    case BUS_VENUE_CANDLES: return series_get(names, b->candles[i].c.series);
    case BUS_DEAD_LETTERS:
    case BUS_INSTRUMENTS:
    case BUS_TOPICS: break;
    }
    return NULL; /* its names are texts of its own */
}

static size_t texts_of(const struct batch *b, enum bus_topic t, uint32_t i, const struct series *s)
{
    size_t n = s ? s->venue.n + s->exchange.n + s->symbol.n + s->venue_symbol.n : 0;
    switch (t) {
    case BUS_TRADES: return n + b->trades[i].id_text.n;
    case BUS_GAPS: return n + b->gaps[i].cause.n;
    case BUS_VENUE_CANDLES: return n + b->candles[i].source.n;
    case BUS_DEAD_LETTERS: {
        const struct dead *d = &b->deads[i];
        return d->venue.n + d->symbol.n + d->detail.n + d->payload.n + d->connection.n;
    }
    case BUS_INSTRUMENTS: {
        const struct instrument *x = &b->instruments[i];
        return x->venue.n + x->symbol.n + x->venue_symbol.n + x->base.n + x->quote.n + x->settle.n +
               x->status.n;
    }
    case BUS_QUOTES:
    case BUS_TOPICS: break;
    }
    return n;
}

static size_t count_of(const struct batch *b, enum bus_topic t)
{
    switch (t) {
    case BUS_TRADES: return b->trade_count;
    case BUS_QUOTES: return b->quote_count;
    case BUS_GAPS: return b->gap_count;
    case BUS_DEAD_LETTERS: return b->dead_count;
    case BUS_VENUE_CANDLES: return b->candle_count;
    case BUS_INSTRUMENTS: return b->instrument_count;
    case BUS_TOPICS: break;
    }
    return 0;
}

enum err_code bus_encode(enum bus_topic t, const struct batch *b, uint32_t index,
                         const struct series_table *names, struct buf *out)
{
    CHECK(index < count_of(b, t));
    const struct series *s = series_at(b, t, index, names);
    bool failed = out->failed;
    uint8_t *to = buf_room(out, BUS_ENCODED_MAX + texts_of(b, t, index, s)), *end = to;
    out->failed = failed;
    if (!to) return ERR_FULL;
    switch (t) {
    case BUS_TRADES: end = put_trade(to, &b->trades[index], s); break;
    case BUS_QUOTES: end = put_quote(to, &b->quotes[index], s); break;
    case BUS_GAPS: end = put_gap(to, &b->gaps[index], s); break;
    case BUS_DEAD_LETTERS: end = put_dead(to, &b->deads[index]); break;
    case BUS_VENUE_CANDLES: end = put_venue_candle(to, &b->candles[index], s); break;
    case BUS_INSTRUMENTS: end = put_instrument(to, &b->instruments[index], b->clock_ns); break;
    case BUS_TOPICS: break;
    }
    out->len += (size_t)(end - to);
    return ERR_OK;
}
