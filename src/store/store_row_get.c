#include "store/store_row.h"

enum { NO_SCALE = 31 };

int64_t store_row_number(sqlite3_stmt *s, int column, int64_t otherwise)
{
    if (sqlite3_column_type(s, column) == SQLITE_NULL) return otherwise;
    return sqlite3_column_int64(s, column);
}

struct str store_row_bytes(sqlite3_stmt *s, int column)
{
    /* The pointer first: asking for it may convert, and the length is that of the conversion. */
    const char *p = sqlite3_column_blob(s, column);
    return (struct str){p, p ? (size_t)sqlite3_column_bytes(s, column) : 0};
}

static enum err_code damaged(struct store_db *db, const char *row, int64_t at, const char *what,
                             struct err *e)
{
    return ERR(e, ERR_CORRUPT, "%s: %s %lld: %s; the file was altered by somebody else or damaged",
               db->path, row, (long long)at, what);
}

static enum err_code copy_text(struct arena *a, sqlite3_stmt *s, int column, struct str *ret,
                               struct err *e)
{
    struct str text = store_row_bytes(s, column);
    *ret = (struct str){0};
    if (text.n == 0 || arena_copy(a, text, ret)) return ERR_OK;
    return ERR(e, ERR_FULL, "a batch's room for text (%zu bytes) is used up", a->limit);
}

/* A scale that no decimal has would break invariants far from here. */
static bool get_dec(sqlite3_stmt *s, int column, int64_t scale, struct dec *ret)
{
    bool absent = sqlite3_column_type(s, column) == SQLITE_NULL;
    *ret = absent ? dec_absent()
                  : (struct dec){sqlite3_column_int64(s, column), (int8_t)(scale & NO_SCALE)};
    return absent ? scale == NO_SCALE : scale >= 0 && scale <= DEC_SCALE_MAX;
}

static bool get_series(sqlite3_stmt *s, int column, uint32_t series_end, uint32_t *ret)
{
    int64_t v = sqlite3_column_int64(s, column);
    *ret = v >= 0 && v < series_end ? (uint32_t)v : 0;
    return v >= 0 && v < series_end;
}

enum err_code store_row_get_trade(struct store_db *db, sqlite3_stmt *s, struct arena *a,
                                  uint32_t series_end, struct trade *ret, struct err *e)
{
    int64_t sequence = sqlite3_column_int64(s, 0), codes = sqlite3_column_int64(s, 2);
    struct trade t = {.sequence = sequence,
                      .stream = codes & 7,
                      .side = codes >> 3 & 3,
                      .origin = codes >> 5 & 7,
                      .kind = codes >> 8 & 3,
                      .has_id = codes >> 10 & 1,
                      .has_range = codes >> 11 & 1,
                      .ordinal = (uint16_t)(codes >> 22)};
    if (codes < 0 || codes >> 38 || t.stream > STREAM_BLOCK_TRADE || t.side >= SIDE_MAX ||
        t.origin >= ORIGIN_MAX || t.kind >= KIND_MAX)
        return damaged(db, "trade row", sequence, "codes that do not exist", e);
    if (!get_series(s, 1, series_end, &t.series))
        return damaged(db, "trade row", sequence, "a series that does not exist", e);
    if (!get_dec(s, 4, codes >> 12 & 31, &t.price) || dec_is_absent(t.price))
        return damaged(db, "trade row", sequence, "a price without digits or scale", e);
    if (!get_dec(s, 5, codes >> 17 & 31, &t.size) || dec_is_absent(t.size))
        return damaged(db, "trade row", sequence, "a size without digits or scale", e);
    TRY(copy_text(a, s, 10, &t.id_text, e));
    if (t.has_id) t.id = store_row_number(s, 3, t.id_text.n ? 0 : INT64_MIN);
    t.venue_time_ns = store_row_number(s, 6, TIME_ABSENT);
    t.received_ns = store_row_number(s, 7, TIME_ABSENT);
    if (t.has_range) {
        t.first_id = store_row_number(s, 8, t.id);
        t.last_id = store_row_number(s, 9, t.id);
    }
    *ret = t;
    return ERR_OK;
}

enum err_code store_row_get_quote(struct store_db *db, sqlite3_stmt *s, uint32_t series_end,
                                  struct quote *ret, struct err *e)
{
    int64_t sequence = sqlite3_column_int64(s, 0), codes = sqlite3_column_int64(s, 2);
    struct quote q = {.sequence = sequence, .origin = codes & 7};
    if (codes < 0 || codes >> 23 || q.origin >= ORIGIN_MAX)
        return damaged(db, "quote row", sequence, "codes that do not exist", e);
    if (!get_series(s, 1, series_end, &q.series))
        return damaged(db, "quote row", sequence, "a series that does not exist", e);
    if (!get_dec(s, 3, codes >> 3 & 31, &q.bid_price) ||
        !get_dec(s, 4, codes >> 8 & 31, &q.bid_size) ||
        !get_dec(s, 5, codes >> 13 & 31, &q.ask_price) ||
        !get_dec(s, 6, codes >> 18 & 31, &q.ask_size))
        return damaged(db, "quote row", sequence, "digits and scale that do not fit", e);
    q.venue_time_ns = store_row_number(s, 7, TIME_ABSENT);
    q.received_ns = store_row_number(s, 8, TIME_ABSENT);
    *ret = q;
    return ERR_OK;
}

enum err_code store_row_get_gap(struct store_db *db, sqlite3_stmt *s, struct arena *a,
                                uint32_t series_end, struct gap *ret, struct err *e)
{
    int64_t gap_id = sqlite3_column_int64(s, 1), codes = sqlite3_column_int64(s, 3);
    struct gap g = {.sequence = sqlite3_column_int64(s, 0),
                    .gap_id = gap_id,
                    .stream = codes & 7,
                    .kind = codes >> 3 & 7,
                    .state = codes >> 6 & 3,
                    .has_ids = codes >> 8 & 1,
                    .has_count = codes >> 9 & 1};
    if (codes < 0 || codes >> 10 || g.stream >= STREAM_MAX || g.kind >= GAP_KIND_MAX ||
        g.state >= GAP_STATE_MAX)
        return damaged(db, "gap", gap_id, "codes that do not exist", e);
    if (!get_series(s, 2, series_end, &g.series))
        return damaged(db, "gap", gap_id, "a series that does not exist", e);
    g.from_id = store_row_number(s, 4, 0);
    g.to_id = store_row_number(s, 5, 0);
    g.from_time_ns = store_row_number(s, 6, TIME_ABSENT);
    g.to_time_ns = store_row_number(s, 7, TIME_ABSENT);
    g.missing_count = store_row_number(s, 8, 0);
    g.rows_recovered = store_row_number(s, 9, 0);
    g.candles_revised = store_row_number(s, 10, 0);
    g.opened_ns = store_row_number(s, 11, TIME_ABSENT);
    g.closed_ns = store_row_number(s, 12, TIME_ABSENT);
    TRY(copy_text(a, s, 13, &g.cause, e));
    *ret = g;
    return ERR_OK;
}

enum err_code store_row_get_dead(struct store_db *db, sqlite3_stmt *s, struct arena *a,
                                 struct dead *ret, struct err *e)
{
    int64_t sequence = sqlite3_column_int64(s, 0);
    int64_t stream = sqlite3_column_int64(s, 1), reason = sqlite3_column_int64(s, 2);
    if (stream < -1 || stream >= STREAM_MAX || reason < 0 || reason >= DEAD_REASON_MAX)
        return damaged(db, "dead letter", sequence, "codes that do not exist", e);
    struct dead d = {.sequence = sequence,
                     .stream = (int8_t)stream,
                     .reason = (uint8_t)reason,
                     .position = store_row_number(s, 3, -1),
                     .received_ns = store_row_number(s, 4, TIME_ABSENT)};
    struct str *texts[] = {&d.venue, &d.symbol, &d.connection, &d.detail, &d.payload};
    for (int i = 0; i < 5; i++) TRY(copy_text(a, s, 5 + i, texts[i], e));
    *ret = d;
    return ERR_OK;
}

enum err_code store_row_get_candle(struct store_db *db, sqlite3_stmt *s, struct arena *a,
                                   uint32_t series_end, struct venue_candle *ret, struct err *e)
{
    int64_t sequence = sqlite3_column_int64(s, 0), timeframe = sqlite3_column_int64(s, 2);
    struct venue_candle vc = {.fetched_ns = store_row_number(s, 4, TIME_ABSENT)};
    struct candle *c = &vc.c;
    if (timeframe < 0 || timeframe >= TIMEFRAME_MAX)
        return damaged(db, "venue candle", sequence, "a timeframe that does not exist", e);
    if (!get_series(s, 1, series_end, &c->series))
        return damaged(db, "venue candle", sequence, "a series that does not exist", e);
    c->sequence = sequence;
    c->timeframe = (uint8_t)timeframe;
    c->complete = true;
    c->open_time_ns = store_row_number(s, 3, TIME_ABSENT);
    c->updated_ns = vc.fetched_ns;
    c->trade_count = store_row_number(s, 5, -1);
    i128 *values[] = {&c->open,           &c->high,           &c->low,
                      &c->close,          &c->base_volume,    &c->quote_volume,
                      &c->taker_buy_base, &c->taker_buy_quote};
    bool given[8];
    for (int i = 0; i < 8; i++) {
        struct str text = store_row_bytes(s, 6 + i);
        given[i] = sqlite3_column_type(s, 6 + i) != SQLITE_NULL;
        if ((i < 4 || given[i]) && dec_parse_lake(text, values[i]) != ERR_OK)
            return damaged(db, "venue candle", sequence, "a value that is no decimal", e);
    }
    c->has_base_volume = given[4];
    c->has_quote_volume = given[5];
    c->has_taker = given[6] && given[7];
    TRY(copy_text(a, s, 14, &vc.source, e));
    *ret = vc;
    return ERR_OK;
}

enum err_code store_row_get_instrument(struct store_db *db, sqlite3_stmt *s, struct arena *a,
                                       struct instrument *ret, struct err *e)
{
    struct instrument in = {.inverse = sqlite3_column_int64(s, 10) != 0,
                            .listed_ns = store_row_number(s, 11, TIME_ABSENT),
                            .delisted_ns = store_row_number(s, 12, TIME_ABSENT)};
    struct str *keys[] = {&in.venue, &in.symbol, &in.venue_symbol};
    struct str *others[] = {&in.base, &in.quote, &in.settle, &in.status};
    for (int i = 0; i < 3; i++) TRY(copy_text(a, s, i, keys[i], e));
    for (int i = 0; i < 4; i++) TRY(copy_text(a, s, 4 + i, others[i], e));
    int64_t scale = sqlite3_column_int64(s, 9);
    if (!get_dec(s, 8, scale == DEC_ABSENT ? NO_SCALE : scale, &in.contract_size))
        return damaged(db, "instrument at sequence", sqlite3_column_int64(s, 3),
                       "a contract size without digits or scale", e);
    *ret = in;
    return ERR_OK;
}
