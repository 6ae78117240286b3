/* Rows as binary COPY: a header, then for each row the number of fields and each field behind its length, then -1. */
#include "store/store_pg.h"

#include "base/hash.h"

#include <stdio.h>

/* The most bytes of a row without its texts. */
enum { ROW_MAX = 24 * (4 + STORE_PG_NUMERIC_MAX), EPOCH_2000_DAYS = 10957 };

static const struct {
    const char *table, *columns;
    int16_t count;
} kinds[PG_KINDS] = {
    [PG_TRADES] = {"ticklake.trade_rows",
                   "day, series, stream, id, key, has_id, side, origin, kind, ordinal, first_id, "
                   "last_id, price, size, venue_time, received, sequence",
                   17},
    [PG_QUOTES] = {"ticklake.quote_rows",
                   "day, series, origin, bid_price, bid_size, ask_price, ask_size, venue_time, "
                   "received, sequence, digest",
                   11},
    [PG_GAPS] = {"ticklake.gap_rows",
                 "sequence, gap_id, series, stream, kind, state, from_id, to_id, from_time, "
                 "to_time, missing_count, rows_recovered, candles_revised, opened, closed, cause",
                 16},
    [PG_DEADS] = {"ticklake.dead_rows",
                  "day, stream, reason, position, received, venue, symbol, connection, detail, "
                  "payload, sequence",
                  11},
    [PG_CANDLES] = {"ticklake.candle_rows",
                    "series, timeframe, open_time, source, digest, fetched, trade_count, open, "
                    "high, low, close, base_volume, quote_volume, taker_buy_base_volume, "
                    "taker_buy_quote_volume, sequence",
                    16},
    [PG_INSTRUMENTS] = {"ticklake.instrument_rows",
                        "sequence, venue, symbol, venue_symbol, base, quote, settle, status, "
                        "contract_size, inverse, listed, delisted",
                        12},
};
const char *store_pg_table(enum store_pg_kind k) { return kinds[k].table; }
const char *store_pg_columns(enum store_pg_kind k) { return kinds[k].columns; }

size_t store_pg_row_count(const struct batch *b, enum store_pg_kind k)
{
    const size_t counts[PG_KINDS] = {
        [PG_TRADES] = b->trade_count,   [PG_QUOTES] = b->quote_count,
        [PG_GAPS] = b->gap_count,       [PG_DEADS] = b->dead_count,
        [PG_CANDLES] = b->candle_count, [PG_INSTRUMENTS] = b->instrument_count};
    return counts[k];
}

void store_pg_put32(uint8_t *to, uint32_t v)
{
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(v >> (24 - 8 * i));
}

static uint8_t *put_int(uint8_t *p, int bytes, int64_t v)
{
    store_pg_put32(p, (uint32_t)bytes);
    p += 4;
    for (int i = 0; i < bytes; i++) *p++ = (uint8_t)((uint64_t)v >> (8 * (bytes - 1 - i)));
    return p;
}

static uint8_t *put_null(uint8_t *p)
{
    store_pg_put32(p, UINT32_MAX);
    return p + 4;
}

static uint8_t *put_int_or_null(uint8_t *p, int64_t v, bool given)
{
    return given ? put_int(p, 8, v) : put_null(p);
}

static uint8_t *put_time(uint8_t *p, int64_t ns)
{
    return put_int_or_null(p, ns, ns != TIME_ABSENT);
}

static uint8_t *put_dec(uint8_t *p, struct dec d)
{
    if (dec_is_absent(d)) return put_null(p);
    size_t n = store_pg_numeric(d, p + 4);
    store_pg_put32(p, (uint32_t)n);
    return p + 4 + n;
}

static uint8_t *put_lake(uint8_t *p, i128 v, bool given)
{
    if (!given) return put_null(p);
    size_t n = store_pg_numeric_lake(v, p + 4);
    store_pg_put32(p, (uint32_t)n);
    return p + 4 + n;
}

static uint8_t *put_str(uint8_t *p, struct str s)
{
    store_pg_put32(p, (uint32_t)s.n);
    if (s.n) memcpy(p + 4, s.p, s.n);
    return p + 4 + s.n;
}

static uint8_t *put_sum(uint8_t *p, u128 sum)
{
    store_pg_put32(p, 16);
    store_row_sum_bytes(sum, p + 4);
    return p + 20;
}

static uint8_t *put_day(uint8_t *p, int32_t day) { return put_int(p, 4, day - EPOCH_2000_DAYS); }

void store_pg_copy_begin(struct buf *to)
{
    static const char header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* no flags, no extension */
    buf_add(to, header, sizeof header); /* its own last zero is the header's */
}

void store_pg_copy_end(struct buf *to) { buf_add(to, "\377\377", 2); }

/* '' where the number is the id; else a mark and what stands for it. */
static uint8_t *put_key(uint8_t *p, const struct trade *t)
{
    if (t->has_id && t->id_text.n == 0) return put_str(p, (struct str){0});
    char text[2 * DEC_TEXT_MAX + 64] = "t", price[DEC_TEXT_MAX], size[DEC_TEXT_MAX], time[24] = "-";
    int n = 1;
    if (!t->has_id) {
        struct str ps = {price, dec_format(t->price, price)},
                   ss = {size, dec_format(t->size, size)};
        if (t->venue_time_ns != TIME_ABSENT)
            (void)snprintf(time, sizeof time, "%lld", (long long)t->venue_time_ns);
        n = snprintf(text, sizeof text, "n%s %.*s %.*s %u", time, STR_ARG(ps), STR_ARG(ss),
                     t->ordinal);
        CHECK(n > 0 && (size_t)n < sizeof text);
    }
    uint8_t *end = put_str(p, (struct str){text, (size_t)n});
    if (!t->has_id) return end;
    memcpy(end, t->id_text.p, t->id_text.n);
    store_pg_put32(p, (uint32_t)(1 + t->id_text.n));
    return end + t->id_text.n;
}

static uint8_t *trade_row(const struct trade *t, const struct store_pg_row_options *o, uint8_t *p,
                          int32_t day)
{
    p = put_day(p, day);
    p = put_int(p, 4, o->series[t->series]);
    p = put_int(p, 2, t->stream);
    p = put_int(p, 8, t->has_id ? t->id : 0);
    p = put_key(p, t);
    p = put_int(p, 1, t->has_id);
    p = put_int(p, 2, t->side);
    p = put_int(p, 2, t->origin);
    p = put_int(p, 2, t->kind);
    p = put_int(p, 2, (int16_t)t->ordinal);
    p = put_int_or_null(p, t->first_id, t->has_range);
    p = put_int_or_null(p, t->last_id, t->has_range);
    p = put_dec(p, t->price);
    p = put_dec(p, t->size);
    p = put_time(p, t->venue_time_ns);
    p = put_int(p, 8, t->received_ns);
    return put_int(p, 8, t->sequence);
}

/* What makes two rows of history the same quote. Of a back-fill the receipt is no part of it: it may be when we asked. */
static u128 quote_digest(const struct quote *q)
{
    bool asked = (q->origin == ORIGIN_BACKFILLED || q->origin == ORIGIN_REPAIRED) &&
                 q->venue_time_ns != TIME_ABSENT;
    const struct dec d[] = {q->bid_price, q->bid_size, q->ask_price, q->ask_size};
    int64_t v[10] = {q->venue_time_ns, asked ? 0 : q->received_ns};
    for (int i = 0; i < 4; i++) {
        v[2 + 2 * i] = d[i].digits;
        v[3 + 2 * i] = d[i].scale;
    }
    return hash128((struct str){(const char *)v, sizeof v});
}

static uint8_t *quote_row(const struct quote *q, const struct store_pg_row_options *o, uint8_t *p,
                          int32_t day)
{
    bool keyed = o->guest || q->origin == ORIGIN_BACKFILLED || q->origin == ORIGIN_REPAIRED;
    p = put_day(p, day);
    p = put_int(p, 4, o->series[q->series]);
    p = put_int(p, 2, q->origin);
    p = put_dec(p, q->bid_price);
    p = put_dec(p, q->bid_size);
    p = put_dec(p, q->ask_price);
    p = put_dec(p, q->ask_size);
    p = put_time(p, q->venue_time_ns);
    p = put_int(p, 8, q->received_ns);
    p = put_int(p, 8, q->sequence);
    return keyed ? put_sum(p, quote_digest(q)) : put_null(p);
}

static uint8_t *gap_row(const struct gap *g, const struct store_pg_row_options *o, uint8_t *p)
{
    p = put_int(p, 8, g->sequence);
    p = put_int(p, 8, g->gap_id);
    p = put_int(p, 4, o->series[g->series]);
    p = put_int(p, 2, g->stream);
    p = put_int(p, 2, g->kind);
    p = put_int(p, 2, g->state);
    p = put_int_or_null(p, g->from_id, g->has_ids);
    p = put_int_or_null(p, g->to_id, g->has_ids);
    p = put_time(p, g->from_time_ns);
    p = put_time(p, g->to_time_ns);
    p = put_int_or_null(p, g->missing_count, g->has_count);
    p = put_int(p, 8, g->rows_recovered);
    p = put_int(p, 8, g->candles_revised);
    p = put_time(p, g->opened_ns);
    p = put_time(p, g->closed_ns);
    return put_str(p, g->cause);
}

static uint8_t *dead_row(const struct dead *d, uint8_t *p, int32_t day)
{
    p = put_day(p, day);
    p = put_int(p, 2, d->stream);
    p = put_int(p, 2, d->reason);
    p = put_int(p, 8, d->position);
    p = put_int(p, 8, d->received_ns);
    p = put_str(p, d->venue);
    p = put_str(p, d->symbol);
    p = put_str(p, d->connection);
    p = put_str(p, d->detail);
    p = put_str(p, d->payload);
    return put_int(p, 8, d->sequence);
}

static u128 candle_digest(const struct candle *c)
{
    const i128 v[] = {c->open,
                      c->high,
                      c->low,
                      c->close,
                      c->has_base_volume ? c->base_volume : -1,
                      c->has_quote_volume ? c->quote_volume : -1,
                      c->has_taker ? c->taker_buy_base : -1,
                      c->has_taker ? c->taker_buy_quote : -1,
                      c->trade_count};
    return hash128((struct str){(const char *)v, sizeof v});
}

static uint8_t *candle_row(const struct venue_candle *vc, const struct store_pg_row_options *o,
                           uint8_t *p)
{
    const struct candle *c = &vc->c;
    p = put_int(p, 4, o->series[c->series]);
    p = put_int(p, 2, c->timeframe);
    p = put_int(p, 8, c->open_time_ns);
    p = put_str(p, vc->source);
    p = put_sum(p, candle_digest(c));
    p = put_int(p, 8, vc->fetched_ns);
    p = put_int_or_null(p, c->trade_count, c->trade_count >= 0);
    p = put_lake(p, c->open, true);
    p = put_lake(p, c->high, true);
    p = put_lake(p, c->low, true);
    p = put_lake(p, c->close, true);
    p = put_lake(p, c->base_volume, c->has_base_volume);
    p = put_lake(p, c->quote_volume, c->has_quote_volume);
    p = put_lake(p, c->taker_buy_base, c->has_taker);
    p = put_lake(p, c->taker_buy_quote, c->has_taker);
    return put_int(p, 8, c->sequence);
}

/* Instruments have no sequence of their own; in their table they take those behind the events'. */
static uint8_t *instrument_row(const struct instrument *in, int64_t sequence, uint8_t *p)
{
    const struct str texts[] = {in->venue, in->symbol, in->venue_symbol, in->base,
                                in->quote, in->settle, in->status};
    p = put_int(p, 8, sequence);
    for (int i = 0; i < 7; i++) p = put_str(p, texts[i]);
    p = put_dec(p, in->contract_size);
    p = put_int(p, 1, in->inverse);
    p = put_time(p, in->listed_ns);
    return put_time(p, in->delisted_ns);
}

static u128 dead_digest(const struct dead *d)
{
    /* Of a conflict the detail says it all, and the payload has the receipt in it. */
    uint64_t payload = d->reason == DEAD_CONFLICT ? 0 : hash64(d->payload);
    const uint64_t v[] = {hash64(d->venue), hash64(d->symbol),   hash64(d->detail),
                          payload,          (uint64_t)d->stream, d->reason};
    return hash128((struct str){(const char *)v, sizeof v});
}

u128 store_pg_guest_key(const struct batch *b, enum store_pg_kind k, size_t i,
                        const uint32_t *series)
{
    if (k == PG_DEADS) return dead_digest(&b->deads[i]);
    CHECK(k == PG_QUOTES);
    const u128 v[] = {quote_digest(&b->quotes[i]), series[b->quotes[i].series]};
    return hash128((struct str){(const char *)v, sizeof v});
}

static size_t text_bytes(const struct batch *b, enum store_pg_kind k, size_t i)
{
    switch (k) {
    case PG_TRADES: return b->trades[i].id_text.n;
    case PG_GAPS: return b->gaps[i].cause.n;
    case PG_CANDLES: return b->candles[i].source.n;
    case PG_DEADS: {
        const struct dead *d = &b->deads[i];
        return d->venue.n + d->symbol.n + d->connection.n + d->detail.n + d->payload.n;
    }
    case PG_INSTRUMENTS: {
        const struct instrument *in = &b->instruments[i];
        return in->venue.n + in->symbol.n + in->venue_symbol.n + in->base.n + in->quote.n +
               in->settle.n + in->status.n;
    }
    default: return 0;
    }
}

int32_t store_pg_row_day(const struct batch *b, enum store_pg_kind k, size_t i)
{
    int64_t venue = TIME_ABSENT, received = 0;
    if (k == PG_TRADES) {
        venue = b->trades[i].venue_time_ns;
        received = b->trades[i].received_ns;
    } else if (k == PG_QUOTES) {
        venue = b->quotes[i].venue_time_ns;
        received = b->quotes[i].received_ns;
    } else if (k == PG_DEADS) {
        received = b->deads[i].received_ns;
    }
    return time_day(venue != TIME_ABSENT ? venue : received != TIME_ABSENT ? received : 0);
}

void store_pg_copy_row(const struct batch *b, enum store_pg_kind k, size_t i,
                       const struct store_pg_row_options *o, struct buf *to)
{
    uint8_t *start = buf_room(to, ROW_MAX + text_bytes(b, k, i)), *p = start;
    if (!start) return;
    *p++ = 0;
    *p++ = (uint8_t)kinds[k].count;
    switch (k) {
    case PG_TRADES: p = trade_row(&b->trades[i], o, p, store_pg_row_day(b, k, i)); break;
    case PG_QUOTES: p = quote_row(&b->quotes[i], o, p, store_pg_row_day(b, k, i)); break;
    case PG_GAPS: p = gap_row(&b->gaps[i], o, p); break;
    case PG_DEADS: p = dead_row(&b->deads[i], p, store_pg_row_day(b, k, i)); break;
    case PG_CANDLES: p = candle_row(&b->candles[i], o, p); break;
    case PG_INSTRUMENTS:
        p = instrument_row(&b->instruments[i], b->last_sequence + 1 + (int64_t)i, p);
        break;
    case PG_KINDS: break;
    }
    to->len += (size_t)(p - start);
}

void store_pg_array_init(struct store_pg_array *a, uint32_t element_oid)
{
    enum { ARRAY_MAX_BYTES = 1 << 30 };
    *a = (struct store_pg_array){0};
    buf_init(&a->buf, ARRAY_MAX_BYTES);
    uint8_t *head = buf_room(&a->buf, 20); /* dimensions, no NULLs, type, length, lowest index */
    store_pg_put32(head, 1);
    store_pg_put32(head + 4, 0);
    store_pg_put32(head + 8, element_oid);
    store_pg_put32(head + 12, 0);
    store_pg_put32(head + 16, 1);
    a->buf.len += 20;
}

void store_pg_array_add(struct store_pg_array *a, struct str bytes)
{
    uint8_t *p = buf_room(&a->buf, 4 + bytes.n);
    if (!p) return;
    (void)put_str(p, bytes);
    a->buf.len += 4 + bytes.n;
    a->count++;
}

void store_pg_array_add_number(struct store_pg_array *a, int64_t v)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)v >> (56 - 8 * i));
    store_pg_array_add(a, (struct str){(const char *)bytes, sizeof bytes});
}

void store_pg_array_arg(struct store_pg_array *a, struct store_pg_args *args)
{
    CHECK(!a->buf.failed);
    store_pg_put32(a->buf.data + 12, a->count);
    store_pg_bytes(args, buf_str(&a->buf));
}

void store_pg_array_free(struct store_pg_array *a) { buf_free(&a->buf); }
