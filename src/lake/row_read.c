#include "lake/lake_internal.h"

/* Rows of the lake back as events. What our own writer never writes is ERR_CORRUPT, with the file and the row. */

static enum err_code odd(const struct lake_file_reader *r, size_t row, const char *column,
                         struct err *e)
{
    return ERR(e, ERR_CORRUPT,
               "%s: row %lld: column \"%s\" has a value that ticklake does not know", r->path,
               (long long)(r->base + (int64_t)row), column);
}

static struct str text(const struct lake_file_reader *r, int c, size_t row)
{
    return lake_reader_has(r, c, row) ? r->chunks[c].strings[row] : (struct str){0};
}

static int64_t number(const struct lake_file_reader *r, int c, size_t row, int64_t absent)
{
    return lake_reader_has(r, c, row) ? r->chunks[c].longs[row] : absent;
}

static int64_t micros_to_ns(int64_t us)
{
    int64_t ns;
    return us == INT64_MIN || __builtin_mul_overflow(us, NS_PER_US, &ns) ? TIME_ABSENT : ns;
}

static bool decimal(const struct lake_file_reader *r, int c, size_t row, struct dec *ret)
{
    *ret = dec_absent();
    return !lake_reader_has(r, c, row) || dec_from_lake(r->chunks[c].decimals[row], ret) == ERR_OK;
}

static bool wide(const struct lake_file_reader *r, int c, size_t row, i128 *ret)
{
    if (!lake_reader_has(r, c, row)) return false;
    *ret = r->chunks[c].decimals[row];
    return true;
}

static int index_of(struct str s, int count, const char *(*name)(int))
{
    for (int i = 0; i < count; i++)
        if (str_is(s, name(i))) return i;
    return -1;
}
static const char *origin_name(int i) { return origin_text((enum origin)i); }
static const char *kind_name(int i) { return kind_text((enum kind)i); }

/* An id that is a canonical integer is kept as a number, as the venues' decoders do. */
static bool is_number(struct str s, int64_t *ret)
{
    if (s.n == 0 || s.n > 20 || s.p[0] == '+' || str_to_i64(s, ret) != ERR_OK) return false;
    bool minus = s.p[0] == '-';
    if (minus && *ret == 0) return false;
    return s.p[minus] != '0' || s.n == 1;
}

static enum err_code find_series(struct lake *l, const struct lake_file_reader *r, size_t row,
                                 const struct str names[4], struct lake_names *last, struct err *e)
{
    if (last->venue.p && str_eq(last->symbol, names[2]) && str_eq(last->venue, names[0]) &&
        str_eq(last->exchange, names[1]) && str_eq(last->venue_symbol, names[3]))
        return ERR_OK;
    uint32_t id = series_intern(l->o.series, names[0], names[1], names[2], names[3]);
    if (id == SERIES_NONE) return odd(r, row, "symbol", e);
    const struct series *s = series_get(l->o.series, id);
    *last = (struct lake_names){s->venue, s->exchange, s->symbol, s->venue_symbol, id};
    return ERR_OK;
}

enum err_code lake_read_trade(struct lake *l, const struct lake_file_reader *r, size_t row,
                              struct lake_names *names, struct trade *t, struct err *e)
{
    const struct str texts[4] = {text(r, TRADES_venue, row), text(r, TRADES_exchange, row),
                                 text(r, TRADES_symbol, row), text(r, TRADES_venue_symbol, row)};
    TRY(find_series(l, r, row, texts, names, e));
    int stream = stream_of_text(text(r, TRADES_stream, row));
    int side = side_of_text(text(r, TRADES_side, row));
    int origin = index_of(text(r, TRADES_origin, row), ORIGIN_MAX, origin_name);
    int kind = index_of(text(r, TRADES_kind, row), KIND_MAX, kind_name);
    if (stream < 0 || side < 0) return odd(r, row, stream < 0 ? "stream" : "side", e);
    if (origin < 0 || kind < 0) return odd(r, row, origin < 0 ? "origin" : "kind", e);
    *t = (struct trade){.series = names->series,
                        .stream = (uint8_t)stream,
                        .side = (uint8_t)side,
                        .origin = (uint8_t)origin,
                        .kind = (uint8_t)kind};
    struct str id = text(r, TRADES_trade_id, row);
    t->has_id = id.p != NULL;
    if (t->has_id && !is_number(id, &t->id)) {
        t->id = 0;
        t->id_text = id;
    }
    t->has_range = lake_reader_has(r, TRADES_first_id_number, row);
    t->first_id = number(r, TRADES_first_id_number, row, 0);
    t->last_id = number(r, TRADES_last_id_number, row, 0);
    if (!decimal(r, TRADES_price, row, &t->price)) return odd(r, row, "price", e);
    if (!decimal(r, TRADES_size, row, &t->size)) return odd(r, row, "size", e);
    t->venue_time_ns = number(r, TRADES_venue_time_ns, row,
                              micros_to_ns(number(r, TRADES_venue_time, row, INT64_MIN)));
    t->received_ns = r->chunks[TRADES_received_time_ns].longs[row];
    t->sequence = r->chunks[TRADES_sequence].longs[row];
    return ERR_OK;
}

enum err_code lake_read_quote(struct lake *l, const struct lake_file_reader *r, size_t row,
                              struct lake_names *names, struct quote *q, struct err *e)
{
    const struct str texts[4] = {text(r, QUOTES_venue, row), text(r, QUOTES_exchange, row),
                                 text(r, QUOTES_symbol, row), text(r, QUOTES_venue_symbol, row)};
    TRY(find_series(l, r, row, texts, names, e));
    int origin = index_of(text(r, QUOTES_origin, row), ORIGIN_MAX, origin_name);
    if (origin < 0) return odd(r, row, "origin", e);
    *q = (struct quote){.series = names->series, .origin = (uint8_t)origin};
    if (!decimal(r, QUOTES_bid_price, row, &q->bid_price)) return odd(r, row, "bid_price", e);
    if (!decimal(r, QUOTES_bid_size, row, &q->bid_size)) return odd(r, row, "bid_size", e);
    if (!decimal(r, QUOTES_ask_price, row, &q->ask_price)) return odd(r, row, "ask_price", e);
    if (!decimal(r, QUOTES_ask_size, row, &q->ask_size)) return odd(r, row, "ask_size", e);
    q->venue_time_ns = number(r, QUOTES_venue_time_ns, row,
                              micros_to_ns(number(r, QUOTES_venue_time, row, INT64_MIN)));
    q->received_ns = r->chunks[QUOTES_received_time_ns].longs[row];
    q->sequence = r->chunks[QUOTES_sequence].longs[row];
    return ERR_OK;
}

/* A candle names only venue and symbol: the first series with both stands for them. */
/* Tables of one row a tape name no exchange: any series of that venue and symbol will do. */
static enum err_code tape_series(struct lake *l, const struct lake_file_reader *r, size_t row,
                                 struct str venue, struct str symbol, struct lake_names *last,
                                 struct err *e)
{
    if (last->venue.p && str_eq(last->venue, venue) && str_eq(last->symbol, symbol)) return ERR_OK;
    uint32_t id = series_find(l->o.series, venue, symbol);
    if (id == SERIES_NONE) id = series_intern(l->o.series, venue, venue, symbol, symbol);
    if (id == SERIES_NONE) return odd(r, row, "symbol", e);
    const struct series *s = series_get(l->o.series, id);
    *last = (struct lake_names){s->venue, s->exchange, s->symbol, s->venue_symbol, id};
    return ERR_OK;
}

static void read_ids(const struct lake_file_reader *r, size_t row, struct candle *c)
{
    struct str first = text(r, CANDLES_first_trade_id, row);
    struct str last = text(r, CANDLES_last_trade_id, row);
    int64_t a, b;
    c->has_ids = is_number(first, &a) && is_number(last, &b);
    if (c->has_ids) {
        c->first_id = a;
        c->last_id = b;
        return;
    }
    if (!str_copy(c->first_id_text, sizeof c->first_id_text, first)) c->first_id_text[0] = 0;
    if (!str_copy(c->last_id_text, sizeof c->last_id_text, last)) c->last_id_text[0] = 0;
}

enum err_code lake_read_candle(struct lake *l, const struct lake_file_reader *r, size_t row,
                               struct lake_names *names, struct candle *c, struct err *e)
{
    TRY(tape_series(l, r, row, text(r, CANDLES_venue, row), text(r, CANDLES_symbol, row), names,
                    e));
    int timeframe = timeframe_of_text(text(r, CANDLES_timeframe, row));
    if (timeframe < 0) return odd(r, row, "timeframe", e);
    *c = (struct candle){.series = names->series, .timeframe = (uint8_t)timeframe};
    c->open_time_ns = micros_to_ns(r->chunks[CANDLES_open_time].longs[row]);
    if (c->open_time_ns == TIME_ABSENT) return odd(r, row, "open_time", e);
    c->open = r->chunks[CANDLES_open].decimals[row];
    c->high = r->chunks[CANDLES_high].decimals[row];
    c->low = r->chunks[CANDLES_low].decimals[row];
    c->close = r->chunks[CANDLES_close].decimals[row];
    c->has_base_volume = wide(r, CANDLES_base_volume, row, &c->base_volume);
    c->has_quote_volume = wide(r, CANDLES_quote_volume, row, &c->quote_volume);
    c->has_taker = wide(r, CANDLES_taker_buy_base_volume, row, &c->taker_buy_base);
    if (!wide(r, CANDLES_taker_buy_quote_volume, row, &c->taker_buy_quote)) c->taker_buy_quote = 0;
    c->has_vwap = wide(r, CANDLES_vwap, row, &c->vwap);
    if (!c->has_vwap) c->vwap = 0;
    c->trade_count = r->chunks[CANDLES_trade_count].longs[row];
    read_ids(r, row, c);
    c->revision = r->chunks[CANDLES_revision].longs[row];
    c->complete = r->chunks[CANDLES_complete].booleans[row];
    c->updated_ns = micros_to_ns(r->chunks[CANDLES_updated_at].longs[row]);
    return ERR_OK;
}

enum err_code lake_read_venue_candle(struct lake *l, const struct lake_file_reader *r, size_t row,
                                     struct lake_names *names, struct venue_candle *vc,
                                     struct err *e)
{
    struct candle *c = &vc->c;
    TRY(tape_series(l, r, row, text(r, VENUE_CANDLES_venue, row),
                    text(r, VENUE_CANDLES_symbol, row), names, e));
    int timeframe = timeframe_of_text(text(r, VENUE_CANDLES_timeframe, row));
    if (timeframe < 0) return odd(r, row, "timeframe", e);
    *vc = (struct venue_candle){.source = text(r, VENUE_CANDLES_source, row)};
    c->series = names->series;
    c->timeframe = (uint8_t)timeframe;
    c->open_time_ns = micros_to_ns(r->chunks[VENUE_CANDLES_open_time].longs[row]);
    if (c->open_time_ns == TIME_ABSENT) return odd(r, row, "open_time", e);
    c->open = r->chunks[VENUE_CANDLES_open].decimals[row];
    c->high = r->chunks[VENUE_CANDLES_high].decimals[row];
    c->low = r->chunks[VENUE_CANDLES_low].decimals[row];
    c->close = r->chunks[VENUE_CANDLES_close].decimals[row];
    c->has_base_volume = wide(r, VENUE_CANDLES_base_volume, row, &c->base_volume);
    c->has_quote_volume = wide(r, VENUE_CANDLES_quote_volume, row, &c->quote_volume);
    c->has_taker = wide(r, VENUE_CANDLES_taker_buy_base_volume, row, &c->taker_buy_base);
    if (!wide(r, VENUE_CANDLES_taker_buy_quote_volume, row, &c->taker_buy_quote))
        c->taker_buy_quote = 0;
    c->trade_count = number(r, VENUE_CANDLES_trade_count, row, -1);
    vc->fetched_ns = micros_to_ns(r->chunks[VENUE_CANDLES_fetched_at].longs[row]);
    return ERR_OK;
}

static const char *kind_of(int i) { return gap_kind_text((enum gap_kind)i); }
static const char *state_of(int i) { return gap_state_text((enum gap_state)i); }

enum err_code lake_read_gap(struct lake *l, const struct lake_file_reader *r, size_t row,
                            struct lake_names *names, struct gap *g, struct err *e)
{
    TRY(tape_series(l, r, row, text(r, GAPS_venue, row), text(r, GAPS_symbol, row), names, e));
    int stream = stream_of_text(text(r, GAPS_stream, row));
    int kind = index_of(text(r, GAPS_kind, row), GAP_KIND_MAX, kind_of);
    int state = index_of(text(r, GAPS_state, row), GAP_STATE_MAX, state_of);
    if (stream < 0) return odd(r, row, "stream", e);
    if (kind < 0) return odd(r, row, "kind", e);
    if (state < 0) return odd(r, row, "state", e);
    *g = (struct gap){
        .gap_id = r->chunks[GAPS_gap_id].longs[row],
        .series = names->series,
        .stream = (uint8_t)stream,
        .kind = (uint8_t)kind,
        .state = (uint8_t)state,
        .has_ids = lake_reader_has(r, GAPS_from_id, row),
        .has_count = lake_reader_has(r, GAPS_missing_count, row),
        .from_id = number(r, GAPS_from_id, row, 0),
        .to_id = number(r, GAPS_to_id, row, 0),
        .missing_count = number(r, GAPS_missing_count, row, 0),
        .from_time_ns = micros_to_ns(number(r, GAPS_from_time, row, INT64_MIN)),
        .to_time_ns = micros_to_ns(number(r, GAPS_to_time, row, INT64_MIN)),
        .rows_recovered = r->chunks[GAPS_rows_recovered].longs[row],
        .candles_revised = r->chunks[GAPS_candles_revised].longs[row],
        .opened_ns = micros_to_ns(r->chunks[GAPS_opened_at].longs[row]),
        .closed_ns = micros_to_ns(number(r, GAPS_closed_at, row, INT64_MIN)),
        .cause = text(r, GAPS_cause, row),
    };
    return ERR_OK;
}
