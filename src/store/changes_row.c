#include "store/changes_internal.h"

#define X(name, kind) SERIES_##name,
enum { CHANGES_SERIES_LIST(X) };
#undef X
#define X(name, kind) TRADE_##name,
enum { CHANGES_TRADE_LIST(X) };
#undef X
#define X(name, kind) QUOTE_##name,
enum { CHANGES_QUOTE_LIST(X) };
#undef X
#define X(name, kind) GAP_##name,
enum { CHANGES_GAP_LIST(X) };
#undef X
#define X(name, kind) DEAD_##name,
enum { CHANGES_DEAD_LIST(X) };
#undef X
#define X(name, kind) CANDLE_##name,
enum { CHANGES_CANDLE_LIST(X) };
#undef X
#define X(name, kind) INSTRUMENT_##name,
enum { CHANGES_INSTRUMENT_LIST(X) };
#undef X
#define X(name, kind) BATCH_##name,
enum { CHANGES_BATCH_LIST(X) };
#undef X

/* Reads the fields of one row; the first value that cannot be is remembered, so that a row is read in one go. */
struct row {
    enum changes_table table;
    const struct changes_value *values;
    const char *wrong; /* NULL: all good so far */
};

static bool is_null(const struct row *r, int field) { return r->values[field].kind == 'n'; }

static void refuse(struct row *r, const char *what)
{
    if (!r->wrong) r->wrong = what;
}

static bool has_bytes(struct row *r, int field)
{
    if (r->values[field].kind == 'b') return true;
    refuse(r, "NULL or text where a binary value belongs");
    return false;
}

static int64_t integer(struct row *r, int field)
{
    if (!has_bytes(r, field)) return 0;
    const uint8_t *p = (const uint8_t *)r->values[field].bytes.p;
    switch (r->values[field].bytes.n) {
    case 2: return (int16_t)changes_u16(p);
    case 4: return (int32_t)changes_u32(p);
    case 8: return (int64_t)changes_u64(p);
    default: refuse(r, "an integer of another width"); return 0;
    }
}

static int64_t integer_or(struct row *r, int field, int64_t absent)
{
    return is_null(r, field) ? absent : integer(r, field);
}

/* A code of one of event.h's lists, 0 to end - 1. */
static uint8_t code_of(struct row *r, int field, int end)
{
    int64_t v = integer(r, field);
    if (v >= 0 && v < end) return (uint8_t)v;
    refuse(r, "a code that does not exist");
    return 0;
}

static bool truth(struct row *r, int field)
{
    if (!has_bytes(r, field)) return false;
    if (r->values[field].bytes.n != 1) refuse(r, "no boolean");
    return r->values[field].bytes.n == 1 && r->values[field].bytes.p[0] != 0;
}

static struct str bytes_of(struct row *r, int field)
{
    return has_bytes(r, field) ? r->values[field].bytes : (struct str){"", 0};
}

static struct dec decimal(struct row *r, int field, bool may_be_absent)
{
    struct dec d = dec_absent();
    if (may_be_absent && is_null(r, field)) return d;
    if (!has_bytes(r, field)) return d;
    if (changes_numeric(r->values[field].bytes, &d) != ERR_OK)
        refuse(r, "a number of more than 18 digits or decimals");
    return d;
}

static uint32_t series_of(struct row *r, int field, const struct series_table *series)
{
    int64_t v = integer(r, field);
    if (v >= 0 && v < series_count(series)) return (uint32_t)v;
    refuse(r, "a series that the store never named");
    return 0;
}

static enum err_code verdict(const struct row *r, struct err *e)
{
    if (!r->wrong) return ERR_OK;
    return ERR(e, ERR_CORRUPT,
               "a row of %s: %s; the store was written by another program or damaged",
               changes_table_name(r->table), r->wrong);
}

static bool copy(struct batch *b, struct str from, struct str *to)
{
    *to = (struct str){0};
    return from.n == 0 || batch_text(b, from, to);
}

static enum err_code full(struct err *e)
{
    return ERR(e, ERR_FULL, "a row does not fit an empty batch; raise the batch's bytes");
}

static void note(struct batch *b, int64_t sequence, int64_t received_ns)
{
    if (b->first_sequence == 0 || sequence < b->first_sequence) b->first_sequence = sequence;
    if (sequence > b->last_sequence) b->last_sequence = sequence;
    if (received_ns == TIME_ABSENT) return;
    if (b->first_received_ns == TIME_ABSENT || received_ns < b->first_received_ns)
        b->first_received_ns = received_ns;
}

/* key: '' where id is the id, 't' and a text, or 'n' and what stands for an id. */
static struct str trade_id_text(struct row *r, bool has_id)
{
    struct str key = bytes_of(r, TRADE_key);
    char mark = key.n ? key.p[0] : 0;
    if (has_id ? mark != 0 && (mark != 't' || key.n < 2) : mark != 'n')
        refuse(r, "a key that does not fit has_id");
    if (mark == 't') return (struct str){key.p + 1, key.n - 1};
    return (struct str){0};
}

static enum err_code add_trade(struct row *r, const struct series_table *series, struct batch *b,
                               struct err *e)
{
    struct trade t = {
        .series = series_of(r, TRADE_series, series),
        .stream = code_of(r, TRADE_stream, STREAM_BLOCK_TRADE + 1),
        .side = code_of(r, TRADE_side, SIDE_MAX),
        .origin = code_of(r, TRADE_origin, ORIGIN_MAX),
        .kind = code_of(r, TRADE_kind, KIND_MAX),
        .has_id = truth(r, TRADE_has_id),
        .has_range = !is_null(r, TRADE_first_id) && !is_null(r, TRADE_last_id),
        .ordinal = (uint16_t)integer(r, TRADE_ordinal),
        .first_id = integer_or(r, TRADE_first_id, 0),
        .last_id = integer_or(r, TRADE_last_id, 0),
        .price = decimal(r, TRADE_price, false),
        .size = decimal(r, TRADE_size, false),
        .venue_time_ns = integer_or(r, TRADE_venue_time, TIME_ABSENT),
        .received_ns = integer(r, TRADE_received),
        .sequence = integer(r, TRADE_sequence),
    };
    struct str text = trade_id_text(r, t.has_id);
    if (t.has_id && text.n == 0) t.id = integer(r, TRADE_id);
    TRY(verdict(r, e));
    if (!copy(b, text, &t.id_text)) return full(e);
    struct trade *to = batch_add_trade(b);
    if (!to) return full(e);
    *to = t;
    proof_add_trade(&b->proofs, series, to);
    note(b, t.sequence, t.received_ns);
    return ERR_OK;
}

static enum err_code add_quote(struct row *r, const struct series_table *series, struct batch *b,
                               struct err *e)
{
    struct quote q = {
        .series = series_of(r, QUOTE_series, series),
        .origin = code_of(r, QUOTE_origin, ORIGIN_MAX),
        .bid_price = decimal(r, QUOTE_bid_price, true),
        .bid_size = decimal(r, QUOTE_bid_size, true),
        .ask_price = decimal(r, QUOTE_ask_price, true),
        .ask_size = decimal(r, QUOTE_ask_size, true),
        .venue_time_ns = integer_or(r, QUOTE_venue_time, TIME_ABSENT),
        .received_ns = integer(r, QUOTE_received),
        .sequence = integer(r, QUOTE_sequence),
    };
    TRY(verdict(r, e));
    struct quote *to = batch_add_quote(b);
    if (!to) return full(e);
    *to = q;
    proof_add_quote(&b->proofs, series, to);
    note(b, q.sequence, q.received_ns);
    return ERR_OK;
}

static enum err_code add_gap(struct row *r, const struct series_table *series, struct batch *b,
                             struct err *e)
{
    struct gap g = {
        .gap_id = integer(r, GAP_gap_id),
        .series = series_of(r, GAP_series, series),
        .stream = code_of(r, GAP_stream, STREAM_MAX),
        .kind = code_of(r, GAP_kind, GAP_KIND_MAX),
        .state = code_of(r, GAP_state, GAP_STATE_MAX),
        .has_ids = !is_null(r, GAP_from_id) && !is_null(r, GAP_to_id),
        .has_count = !is_null(r, GAP_missing_count),
        .from_id = integer_or(r, GAP_from_id, 0),
        .to_id = integer_or(r, GAP_to_id, 0),
        .from_time_ns = integer_or(r, GAP_from_time, TIME_ABSENT),
        .to_time_ns = integer_or(r, GAP_to_time, TIME_ABSENT),
        .missing_count = integer_or(r, GAP_missing_count, 0),
        .rows_recovered = integer(r, GAP_rows_recovered),
        .candles_revised = integer(r, GAP_candles_revised),
        .opened_ns = integer_or(r, GAP_opened, TIME_ABSENT),
        .closed_ns = integer_or(r, GAP_closed, TIME_ABSENT),
        .sequence = integer(r, GAP_sequence),
    };
    struct str cause = bytes_of(r, GAP_cause);
    TRY(verdict(r, e));
    if (!copy(b, cause, &g.cause)) return full(e);
    struct gap *to = batch_add_gap(b);
    if (!to) return full(e);
    *to = g;
    note(b, g.sequence, TIME_ABSENT);
    return ERR_OK;
}

static enum err_code add_dead(struct row *r, struct batch *b, struct err *e)
{
    struct dead d = {
        .reason = code_of(r, DEAD_reason, DEAD_REASON_MAX),
        .position = integer(r, DEAD_position),
        .received_ns = integer(r, DEAD_received),
        .sequence = integer(r, DEAD_sequence),
    };
    int64_t stream = integer(r, DEAD_stream);
    if (stream < -1 || stream >= STREAM_MAX) refuse(r, "a stream that does not exist");
    const struct str texts[] = {bytes_of(r, DEAD_venue), bytes_of(r, DEAD_symbol),
                                bytes_of(r, DEAD_connection), bytes_of(r, DEAD_detail),
                                bytes_of(r, DEAD_payload)};
    TRY(verdict(r, e));
    d.stream = (int8_t)stream;
    struct str *to[] = {&d.venue, &d.symbol, &d.connection, &d.detail, &d.payload};
    for (int i = 0; i < 5; i++)
        if (!copy(b, texts[i], to[i])) return full(e);
    struct dead *added = batch_add_dead(b);
    if (!added) return full(e);
    *added = d;
    note(b, d.sequence, d.received_ns);
    return ERR_OK;
}

static enum err_code add_candle(struct row *r, const struct series_table *series, struct batch *b,
                                struct err *e)
{
    struct venue_candle v = {.fetched_ns = integer(r, CANDLE_fetched)};
    struct candle *c = &v.c;
    c->series = series_of(r, CANDLE_series, series);
    c->timeframe = code_of(r, CANDLE_timeframe, TIMEFRAME_MAX);
    c->complete = true;
    c->open_time_ns = integer(r, CANDLE_open_time);
    c->updated_ns = v.fetched_ns;
    c->trade_count = integer_or(r, CANDLE_trade_count, -1);
    c->sequence = integer(r, CANDLE_sequence);
    i128 *values[] = {&c->open,           &c->high,           &c->low,
                      &c->close,          &c->base_volume,    &c->quote_volume,
                      &c->taker_buy_base, &c->taker_buy_quote};
    for (int i = 0; i < 8; i++) {
        int field = CANDLE_open + i;
        if (i >= 4 && is_null(r, field)) continue;
        if (!has_bytes(r, field)) break;
        if (changes_numeric_lake(r->values[field].bytes, values[i]) != ERR_OK)
            refuse(r, "a number that does not fit 38 digits, 18 of them decimals");
    }
    c->has_base_volume = !is_null(r, CANDLE_base_volume);
    c->has_quote_volume = !is_null(r, CANDLE_quote_volume);
    c->has_taker =
        !is_null(r, CANDLE_taker_buy_base_volume) && !is_null(r, CANDLE_taker_buy_quote_volume);
    struct str source = bytes_of(r, CANDLE_source);
    TRY(verdict(r, e));
    if (!copy(b, source, &v.source)) return full(e);
    struct venue_candle *to = batch_add_venue_candle(b);
    if (!to) return full(e);
    *to = v;
    note(b, c->sequence, v.fetched_ns);
    return ERR_OK;
}

static enum err_code add_instrument(struct row *r, struct batch *b, struct err *e)
{
    struct instrument in = {
        .contract_size = decimal(r, INSTRUMENT_contract_size, true),
        .inverse = truth(r, INSTRUMENT_inverse),
        .listed_ns = integer_or(r, INSTRUMENT_listed, TIME_ABSENT),
        .delisted_ns = integer_or(r, INSTRUMENT_delisted, TIME_ABSENT),
    };
    struct str *to[] = {&in.venue, &in.symbol, &in.venue_symbol, &in.base,
                        &in.quote, &in.settle, &in.status};
    struct str texts[7];
    for (int i = 0; i < 7; i++) texts[i] = bytes_of(r, INSTRUMENT_venue + i);
    TRY(verdict(r, e));
    for (int i = 0; i < 7; i++)
        if (!copy(b, texts[i], to[i])) return full(e);
    struct instrument *added = batch_add_instrument(b);
    if (!added) return full(e);
    *added = in;
    return ERR_OK;
}

enum err_code changes_row_add(enum changes_table t, const struct changes_value *values,
                              const struct series_table *series, struct batch *b, struct err *e)
{
    struct row r = {.table = t, .values = values};
    switch (t) {
    case CHANGES_TRADE: return add_trade(&r, series, b, e);
    case CHANGES_QUOTE: return add_quote(&r, series, b, e);
    case CHANGES_GAP: return add_gap(&r, series, b, e);
    case CHANGES_DEAD: return add_dead(&r, b, e);
    case CHANGES_CANDLE: return add_candle(&r, series, b, e);
    case CHANGES_INSTRUMENT: return add_instrument(&r, b, e);
    default: return ERR_OK;
    }
}

enum err_code changes_series_add(struct series_table *series, int64_t id, const struct str names[4],
                                 struct err *e)
{
    uint32_t count = series_count(series);
    uint32_t got = SERIES_NONE;
    if (id >= 0 && id <= count) got = series_intern(series, names[0], names[1], names[2], names[3]);
    if (got != SERIES_NONE && got == id) return ERR_OK;
    return ERR(
        e, ERR_CORRUPT,
        "series %lld (%.*s %.*s): expected number %u at most, and each name once; the series "
        "of a store are numbered from 0 without holes",
        (long long)id, STR_ARG(names[0]), STR_ARG(names[2]), count);
}

enum err_code changes_row_series(const struct changes_value *values, struct series_table *series,
                                 struct err *e)
{
    struct row r = {.table = CHANGES_SERIES, .values = values};
    int64_t id = integer(&r, SERIES_id);
    struct str names[4];
    for (int i = 0; i < 4; i++) names[i] = bytes_of(&r, SERIES_venue + i);
    TRY(verdict(&r, e));
    return changes_series_add(series, id, names, e);
}

enum err_code changes_row_batch(const struct changes_value *values, struct changes_batch_row *ret,
                                struct err *e)
{
    struct row r = {.table = CHANGES_BATCH, .values = values};
    ret->clock_ns = integer_or(&r, BATCH_clock, TIME_ABSENT);
    ret->live = truth(&r, BATCH_live);
    ret->finish = truth(&r, BATCH_finish);
    return verdict(&r, e);
}
