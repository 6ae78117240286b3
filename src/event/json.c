#include "event/json.h"

static void text(struct buf *out, const char *key, struct str value)
{
    buf_addf(out, ",\"%s\":", key);
    buf_add_json(out, value);
}

static void number(struct buf *out, const char *key, int64_t value)
{
    buf_addf(out, ",\"%s\":%lld", key, (long long)value);
}

static void decimal(struct buf *out, const char *key, struct dec value)
{
    char digits[DEC_TEXT_MAX];
    size_t n = dec_format(value, digits);
    if (n)
        text(out, key, (struct str){digits, n});
    else
        buf_addf(out, ",\"%s\":null", key);
}

static void lake_decimal(struct buf *out, const char *key, i128 value)
{
    char digits[DEC_TEXT_MAX];
    text(out, key, (struct str){digits, dec_format_lake(value, digits)});
}

static void time_field(struct buf *out, const char *key, int64_t ns)
{
    char iso[TIME_TEXT_MAX];
    size_t n = time_format(ns, iso);
    if (n)
        text(out, key, (struct str){iso, n});
    else
        buf_addf(out, ",\"%s\":null", key);
}

static void names_of(struct buf *out, const struct series_table *names, uint32_t id)
{
    const struct series *s = series_get(names, id);
    text(out, "venue", s->venue);
    text(out, "exchange", s->exchange);
    text(out, "symbol", s->symbol);
}

static void trade_json(const struct trade *t, const struct series_table *names, struct buf *out)
{
    buf_addf(out, "{\"type\":\"trade\"");
    names_of(out, names, t->series);
    text(out, "stream", str_of(stream_text((enum stream)t->stream)));
    buf_add_cstr(out, ",\"trade_id\":");
    if (!t->has_id) {
        buf_add_cstr(out, "null");
    } else if (t->id_text.n) {
        buf_add_json(out, t->id_text);
    } else {
        buf_addf(out, "\"%lld\"", (long long)t->id);
    }
    text(out, "side", str_of(side_text((enum side)t->side)));
    decimal(out, "price", t->price);
    decimal(out, "size", t->size);
    time_field(out, "venue_time", t->venue_time_ns);
    time_field(out, "received_time", t->received_ns);
    text(out, "origin", str_of(origin_text((enum origin)t->origin)));
    number(out, "sequence", t->sequence);
    buf_add_byte(out, '}');
}

static void quote_json(const struct quote *q, const struct series_table *names, struct buf *out)
{
    buf_addf(out, "{\"type\":\"quote\"");
    names_of(out, names, q->series);
    decimal(out, "bid_price", q->bid_price);
    decimal(out, "bid_size", q->bid_size);
    decimal(out, "ask_price", q->ask_price);
    decimal(out, "ask_size", q->ask_size);
    time_field(out, "venue_time", q->venue_time_ns);
    time_field(out, "received_time", q->received_ns);
    number(out, "sequence", q->sequence);
    buf_add_byte(out, '}');
}

void gap_json(const struct gap *g, const struct series_table *names, struct buf *out)
{
    buf_addf(out, "{\"type\":\"gap\",\"gap_id\":%lld", (long long)g->gap_id);
    names_of(out, names, g->series);
    text(out, "stream", str_of(stream_text((enum stream)g->stream)));
    text(out, "kind", str_of(gap_kind_text((enum gap_kind)g->kind)));
    text(out, "state", str_of(gap_state_text((enum gap_state)g->state)));
    if (g->has_ids) {
        number(out, "from_id", g->from_id);
        number(out, "to_id", g->to_id);
    }
    time_field(out, "from_time", g->from_time_ns);
    time_field(out, "to_time", g->to_time_ns);
    if (g->has_count) number(out, "missing_count", g->missing_count);
    number(out, "rows_recovered", g->rows_recovered);
    text(out, "cause", g->cause);
    time_field(out, "opened_at", g->opened_ns);
    time_field(out, "closed_at", g->closed_ns);
    buf_add_byte(out, '}');
}

static void dead_json(const struct dead *d, struct buf *out)
{
    buf_addf(out, "{\"type\":\"dead_letter\"");
    text(out, "venue", d->venue);
    text(out, "symbol", d->symbol);
    text(out, "reason", str_of(dead_reason_text((enum dead_reason)d->reason)));
    text(out, "detail", d->detail);
    text(out, "payload", d->payload);
    text(out, "connection", d->connection);
    time_field(out, "received_time", d->received_ns);
    number(out, "sequence", d->sequence);
    buf_add_byte(out, '}');
}

static void candle_json(const struct venue_candle *v, const struct series_table *names,
                        struct buf *out)
{
    const struct candle *c = &v->c;
    buf_addf(out, "{\"type\":\"venue_candle\"");
    names_of(out, names, c->series);
    text(out, "timeframe", str_of(timeframe_text((enum timeframe)c->timeframe)));
    time_field(out, "open_time", c->open_time_ns);
    lake_decimal(out, "open", c->open);
    lake_decimal(out, "high", c->high);
    lake_decimal(out, "low", c->low);
    lake_decimal(out, "close", c->close);
    text(out, "source", v->source);
    number(out, "sequence", c->sequence);
    buf_add_byte(out, '}');
}

void event_json(const struct batch *b, struct event_ref ref, const struct series_table *names,
                struct buf *out)
{
    switch ((enum event_type)ref.type) {
    case EVENT_TRADE: trade_json(&b->trades[ref.index], names, out); break;
    case EVENT_QUOTE: quote_json(&b->quotes[ref.index], names, out); break;
    case EVENT_GAP: gap_json(&b->gaps[ref.index], names, out); break;
    case EVENT_DEAD: dead_json(&b->deads[ref.index], out); break;
    case EVENT_VENUE_CANDLE: candle_json(&b->candles[ref.index], names, out); break;
    }
}
