/* Rows as the read_* statements give them, back to events. They come from a socket: whatever cannot be is refused by name. */
#include "store/store_pg.h"

static enum err_code damaged(const struct store_pg_reader *rd, const char *row, int64_t at,
                             const char *what, struct err *e)
{
    return ERR(e, ERR_CORRUPT, "%s: %s %lld: %s; the table was altered by somebody else or damaged",
               rd->where, row, (long long)at, what);
}

static int64_t get(const struct store_pg_reader *rd, int i, int column)
{
    return store_pg_get(rd->r, i, column, 0);
}

static int64_t get_time(const struct store_pg_reader *rd, int i, int column)
{
    return store_pg_get(rd->r, i, column, TIME_ABSENT);
}

static bool given(const struct store_pg_reader *rd, int i, int column)
{
    return !PQgetisnull(rd->r, i, column);
}

static enum err_code copy_text(const struct store_pg_reader *rd, struct str text, struct str *ret,
                               struct err *e)
{
    *ret = (struct str){0};
    if (text.n == 0 || arena_copy(rd->arena, text, ret)) return ERR_OK;
    return ERR(e, ERR_FULL, "a batch's room for text (%zu bytes) is used up", rd->arena->limit);
}

static bool get_dec(const struct store_pg_reader *rd, int i, int column, struct dec *ret)
{
    *ret = dec_absent();
    if (!given(rd, i, column)) return true;
    return store_pg_numeric_get(store_pg_get_bytes(rd->r, i, column), ret) == ERR_OK;
}

static bool code_in(int64_t v, int64_t end) { return v >= 0 && v < end; }

enum err_code store_pg_get_trade(const struct store_pg_reader *rd, int i, struct trade *ret,
                                 struct err *e)
{
    int64_t sequence = get(rd, i, 0), series = get(rd, i, 1), stream = get(rd, i, 2);
    int64_t side = get(rd, i, 6), origin = get(rd, i, 7), kind = get(rd, i, 8);
    struct str key = store_pg_get_bytes(rd->r, i, 4);
    struct trade t = {.sequence = sequence,
                      .series = (uint32_t)series,
                      .stream = (uint8_t)stream,
                      .side = (uint8_t)side,
                      .origin = (uint8_t)origin,
                      .kind = (uint8_t)kind,
                      .has_id = get(rd, i, 5) != 0,
                      .has_range = given(rd, i, 10) && given(rd, i, 11),
                      .ordinal = (uint16_t)get(rd, i, 9),
                      .id = get(rd, i, 3),
                      .first_id = get(rd, i, 10),
                      .last_id = get(rd, i, 11),
                      .venue_time_ns = get_time(rd, i, 14),
                      .received_ns = get_time(rd, i, 15)};
    if (!code_in(series, rd->series_end) || !code_in(stream, STREAM_QUOTE) ||
        !code_in(side, SIDE_MAX) || !code_in(origin, ORIGIN_MAX) || !code_in(kind, KIND_MAX))
        return damaged(rd, "trade row", sequence, "codes that do not exist", e);
    if (!get_dec(rd, i, 12, &t.price) || !get_dec(rd, i, 13, &t.size) || dec_is_absent(t.price) ||
        dec_is_absent(t.size))
        return damaged(rd, "trade row", sequence, "a price or size past 18 digits", e);
    if (t.has_id ? key.n && key.p[0] != 't' : !key.n || key.p[0] != 'n')
        return damaged(rd, "trade row", sequence, "a key that does not fit has_id", e);
    if (t.has_id && key.n) TRY(copy_text(rd, (struct str){key.p + 1, key.n - 1}, &t.id_text, e));
    *ret = t;
    return ERR_OK;
}

enum err_code store_pg_get_quote(const struct store_pg_reader *rd, int i, struct quote *ret,
                                 struct err *e)
{
    int64_t sequence = get(rd, i, 0), series = get(rd, i, 1), origin = get(rd, i, 2);
    struct quote q = {.sequence = sequence,
                      .series = (uint32_t)series,
                      .origin = (uint8_t)origin,
                      .venue_time_ns = get_time(rd, i, 7),
                      .received_ns = get_time(rd, i, 8)};
    if (!code_in(series, rd->series_end) || !code_in(origin, ORIGIN_MAX))
        return damaged(rd, "quote row", sequence, "codes that do not exist", e);
    if (!get_dec(rd, i, 3, &q.bid_price) || !get_dec(rd, i, 4, &q.bid_size) ||
        !get_dec(rd, i, 5, &q.ask_price) || !get_dec(rd, i, 6, &q.ask_size))
        return damaged(rd, "quote row", sequence, "a price or size past 18 digits", e);
    *ret = q;
    return ERR_OK;
}

enum err_code store_pg_get_gap(const struct store_pg_reader *rd, int i, struct gap *ret,
                               struct err *e)
{
    int64_t gap_id = get(rd, i, 1), series = get(rd, i, 2), stream = get(rd, i, 3);
    int64_t kind = get(rd, i, 4), state = get(rd, i, 5);
    struct gap g = {.sequence = get(rd, i, 0),
                    .gap_id = gap_id,
                    .series = (uint32_t)series,
                    .stream = (uint8_t)stream,
                    .kind = (uint8_t)kind,
                    .state = (uint8_t)state,
                    .has_ids = given(rd, i, 6) && given(rd, i, 7),
                    .has_count = given(rd, i, 10),
                    .from_id = get(rd, i, 6),
                    .to_id = get(rd, i, 7),
                    .from_time_ns = get_time(rd, i, 8),
                    .to_time_ns = get_time(rd, i, 9),
                    .missing_count = get(rd, i, 10),
                    .rows_recovered = get(rd, i, 11),
                    .candles_revised = get(rd, i, 12),
                    .opened_ns = get_time(rd, i, 13),
                    .closed_ns = get_time(rd, i, 14)};
    if (!code_in(series, rd->series_end) || !code_in(stream, STREAM_MAX) ||
        !code_in(kind, GAP_KIND_MAX) || !code_in(state, GAP_STATE_MAX))
        return damaged(rd, "gap", gap_id, "codes that do not exist", e);
    TRY(copy_text(rd, store_pg_get_bytes(rd->r, i, 15), &g.cause, e));
    *ret = g;
    return ERR_OK;
}

enum err_code store_pg_get_dead(const struct store_pg_reader *rd, int i, struct dead *ret,
                                struct err *e)
{
    int64_t sequence = get(rd, i, 0), stream = get(rd, i, 1), reason = get(rd, i, 2);
    if (stream < -1 || stream >= STREAM_MAX || !code_in(reason, DEAD_REASON_MAX))
        return damaged(rd, "dead letter", sequence, "codes that do not exist", e);
    struct dead d = {.sequence = sequence,
                     .stream = (int8_t)stream,
                     .reason = (uint8_t)reason,
                     .position = get(rd, i, 3),
                     .received_ns = get_time(rd, i, 4)};
    struct str *texts[] = {&d.venue, &d.symbol, &d.connection, &d.detail, &d.payload};
    for (int k = 0; k < 5; k++)
        TRY(copy_text(rd, store_pg_get_bytes(rd->r, i, 5 + k), texts[k], e));
    *ret = d;
    return ERR_OK;
}

enum err_code store_pg_get_candle(const struct store_pg_reader *rd, int i, struct venue_candle *ret,
                                  struct err *e)
{
    int64_t sequence = get(rd, i, 0), series = get(rd, i, 1), timeframe = get(rd, i, 2);
    if (!code_in(series, rd->series_end) || !code_in(timeframe, TIMEFRAME_MAX))
        return damaged(rd, "venue candle", sequence, "codes that do not exist", e);
    struct venue_candle vc = {.fetched_ns = get_time(rd, i, 5)};
    struct candle *c = &vc.c;
    c->series = (uint32_t)series;
    c->timeframe = (uint8_t)timeframe;
    c->sequence = sequence;
    c->complete = true;
    c->open_time_ns = get_time(rd, i, 3);
    c->updated_ns = vc.fetched_ns;
    c->trade_count = store_pg_get(rd->r, i, 6, -1);
    i128 *values[] = {&c->open,           &c->high,           &c->low,
                      &c->close,          &c->base_volume,    &c->quote_volume,
                      &c->taker_buy_base, &c->taker_buy_quote};
    for (int k = 0; k < 8; k++) {
        if (k >= 4 && !given(rd, i, 7 + k)) continue;
        if (store_pg_numeric_get_lake(store_pg_get_bytes(rd->r, i, 7 + k), values[k]) != ERR_OK)
            return damaged(rd, "venue candle", sequence, "a value past 38 digits", e);
    }
    c->has_base_volume = given(rd, i, 11);
    c->has_quote_volume = given(rd, i, 12);
    c->has_taker = given(rd, i, 13) && given(rd, i, 14);
    TRY(copy_text(rd, store_pg_get_bytes(rd->r, i, 4), &vc.source, e));
    *ret = vc;
    return ERR_OK;
}

enum err_code store_pg_get_instrument(const struct store_pg_reader *rd, int i,
                                      struct instrument *ret, struct err *e)
{
    struct instrument in = {.inverse = get(rd, i, 9) != 0,
                            .listed_ns = get_time(rd, i, 10),
                            .delisted_ns = get_time(rd, i, 11)};
    struct str *texts[] = {&in.venue, &in.symbol, &in.venue_symbol, &in.base,
                           &in.quote, &in.settle, &in.status};
    for (int k = 0; k < 7; k++)
        TRY(copy_text(rd, store_pg_get_bytes(rd->r, i, 1 + k), texts[k], e));
    if (!get_dec(rd, i, 8, &in.contract_size))
        return damaged(rd, "instrument at sequence", get(rd, i, 0),
                       "a contract size past 18 digits", e);
    *ret = in;
    return ERR_OK;
}
