/* What the values of a record mean: events in the batch. An event is made whole before it is added, so that a record that is
 * refused, and one that finds the batch full, leave nothing behind but some text in the arena. */
#include "bus/codec_internal.h"

#define WORDS(name, text_of, MAX)                                                                  \
    static int name(struct str s)                                                                  \
    {                                                                                              \
        for (int i = 0; i < MAX; i++)                                                              \
            if (str_is(s, text_of(i))) return i;                                                   \
        return -1;                                                                                 \
    }
WORDS(origin_of, origin_text, ORIGIN_MAX)
WORDS(kind_of, kind_text, KIND_MAX)
WORDS(gap_kind_of, gap_kind_text, GAP_KIND_MAX)
WORDS(gap_state_of, gap_state_text, GAP_STATE_MAX)
WORDS(reason_of, dead_reason_text, DEAD_REASON_MAX)

/* Values of one record, and where they go. The first thing that cannot be taken is the error; what follows does nothing. */
struct taking {
    const struct registry_value *values;
    enum bus_topic topic;
    struct batch *batch;
    struct bus_names *names;
    enum err_code code;
    struct err *e;
};

static const char *field_name(const struct taking *t, int field)
{
    const struct table *table = table_of(bus_topic_id(t->topic));
    if (field < table->column_count) return table->columns[field].name;
    return t->topic == BUS_TRADES ? "ordinal" : "exact time";
}

static void refuse(struct taking *t, enum err_code code, int field, const char *what)
{
    if (t->code != ERR_OK) return;
    const struct registry_value *v = &t->values[field];
    struct buf shown;
    buf_init(&shown, 400);
    struct str s = v->kind == REGISTRY_VALUE_BYTES ? v->bytes : STR("");
    buf_add_json(&shown, (struct str){s.p, s.n > 60 ? 60 : s.n});
    t->code = ERR(t->e, code, "field %s: %s%s%s", field_name(t, field), what, s.n ? ": " : "",
                  s.n ? buf_cstr(&shown) : "");
    buf_free(&shown);
}

static bool given(const struct taking *t, int field)
{
    return t->values[field].kind != REGISTRY_VALUE_NULL;
}

static int64_t number(const struct taking *t, int field)
{
    return given(t, field) ? t->values[field].number : 0;
}

static struct str bytes(const struct taking *t, int field)
{
    return given(t, field) ? t->values[field].bytes : STR("");
}

static struct str text(struct taking *t, int field)
{
    struct str s = bytes(t, field), kept = STR("");
    if (s.n == 0 || t->code != ERR_OK || batch_text(t->batch, s, &kept)) return kept;
    if (t->batch->event_count || t->batch->instrument_count)
        t->code = ERR_FULL;
    else /* the next batch would be no emptier */
        refuse(t, ERR_PARSE, field, "too long for a batch");
    return kept;
}

static uint8_t word(struct taking *t, int field, int (*of)(struct str))
{
    int v = of(bytes(t, field));
    if (v < 0) refuse(t, ERR_PARSE, field, "an unknown word");
    return (uint8_t)(v < 0 ? 0 : v);
}

/* Microseconds, or the nanoseconds beside them, which are exact. */
static int64_t time_of(struct taking *t, int micros, int exact)
{
    int64_t ns;
    if (exact >= 0 && given(t, exact) && number(t, exact) != TIME_ABSENT) return number(t, exact);
    if (!given(t, micros)) return TIME_ABSENT;
    if (__builtin_mul_overflow(number(t, micros), NS_PER_US, &ns) || ns == TIME_ABSENT) {
        refuse(t, ERR_PARSE, micros, "a time outside of 1678 to 2262");
        return TIME_ABSENT;
    }
    return ns;
}

/* A required time without nanoseconds beside it that is 0 is how an absent one is written. */
static int64_t time_or_absent(struct taking *t, int micros, int exact)
{
    int64_t ns = time_of(t, micros, exact);
    return ns == 0 && (exact < 0 || !given(t, exact)) ? TIME_ABSENT : ns;
}

/* Two's complement, most significant byte first; bytes that only repeat the sign are allowed. */
enum err_code bus_decimal(struct str s, i128 *ret)
{
    const uint8_t *p = (const uint8_t *)s.p;
    u128 v = s.n && p[0] & 0x80 ? ~(u128)0 : 0;
    uint8_t sign = (uint8_t)v;
    size_t skip = 0;
    while (s.n - skip > sizeof v && p[skip] == sign) skip++;
    bool fits = s.n > 0 && (s.n - skip < sizeof v ||
                            (s.n - skip == sizeof v && ((p[skip] ^ sign) & 0x80) == 0));
    if (!fits) return s.n ? ERR_INEXACT : ERR_PARSE;
    for (size_t i = skip; i < s.n; i++) v = v << 8 | p[i];
    *ret = (i128)v;
    return ERR_OK;
}

static i128 decimal(struct taking *t, int field)
{
    i128 v = 0;
    enum err_code code = bus_decimal(bytes(t, field), &v);
    if (code != ERR_OK) refuse(t, code, field, "a decimal that does not fit");
    return v;
}

static i128 lake_decimal(struct taking *t, int field)
{
    i128 v = decimal(t, field), limit = (i128)dec_pow10_u128(38);
    if (v <= -limit || v >= limit)
        refuse(t, ERR_INEXACT, field, "a decimal of more than 38 digits");
    return v;
}

static struct dec dec(struct taking *t, int field)
{
    struct dec d = dec_absent();
    if (dec_from_lake(decimal(t, field), &d) != ERR_OK)
        refuse(t, ERR_INEXACT, field, "a decimal of more than 18 digits");
    return d;
}

static struct dec dec_or_absent(struct taking *t, int field)
{
    return given(t, field) ? dec(t, field) : dec_absent();
}

/* Names stand in those of states ("3/process/tape/VENUE/SYMBOL") and in messages. */
static bool is_name(struct str s, bool venue)
{
    for (size_t i = 0; i < s.n; i++)
        if ((uint8_t)s.p[i] < ' ' || (venue && s.p[i] == '/')) return false;
    return true;
}

static uint32_t series4(struct taking *t, int venue, int exchange, int symbol, int venue_symbol)
{
    if (t->code != ERR_OK) return SERIES_NONE;
    struct str names[] = {bytes(t, venue), bytes(t, exchange), bytes(t, symbol),
                          bytes(t, venue_symbol)};
    for (int i = 0; i < 4; i++)
        if (!is_name(names[i], i == 0))
            refuse(t, ERR_PARSE, symbol, "a name with control characters, or a venue with a slash");
    if (t->code != ERR_OK) return SERIES_NONE;
    uint32_t id = series_intern(t->names->series, names[0], names[1], names[2], names[3]);
    if (id == SERIES_NONE)
        refuse(t, ERR_PARSE, symbol, "a name is empty or too long, or there are too many series");
    return id;
}

static uint32_t series2(struct taking *t, int venue, int symbol)
{
    struct str v = bytes(t, venue), s = bytes(t, symbol);
    char key[1 + 2 * 128]; /* a length in front: a venue may hold any byte */
    if (t->code != ERR_OK) return SERIES_NONE;
    if (v.n > 128 || s.n > 128) {
        refuse(t, ERR_PARSE, symbol, "a name is too long");
        return SERIES_NONE;
    }
    key[0] = (char)v.n;
    memcpy(key + 1, v.p, v.n);
    memcpy(key + 1 + v.n, s.p, s.n);
    struct str whole = {key, 1 + v.n + s.n};
    uint32_t id = map_get(&t->names->by_symbol, whole);
    if (id != MAP_NONE) return id;
    id = series_find(t->names->series, v, s);
    if (id == SERIES_NONE) id = series4(t, venue, venue, symbol, symbol);
    if (id != SERIES_NONE) map_put(&t->names->by_symbol, whole, id);
    return id;
}

/* The id as a number where it is the shortest form of an int64, else false. */
static bool id_number(struct str s, int64_t *ret)
{
    bool minus = s.n && s.p[0] == '-';
    size_t first = minus;
    if (s.n == first || s.n - first > 19 || (s.p[first] == '0' && s.n > 1)) return false;
    int64_t v = 0;
    for (size_t i = first; i < s.n; i++) {
        int digit = s.p[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(v, 10, &v) ||
            (minus ? __builtin_sub_overflow(v, digit, &v) : __builtin_add_overflow(v, digit, &v)))
            return false;
    }
    *ret = v;
    return true;
}

static void take_id(struct taking *t, struct trade *trade)
{
    trade->has_id = given(t, TRADES_trade_id);
    if (!trade->has_id) return;
    struct str id = bytes(t, TRADES_trade_id);
    if (id.n == 0) refuse(t, ERR_PARSE, TRADES_trade_id, "an empty id");
    if (!id_number(id, &trade->id)) trade->id_text = text(t, TRADES_trade_id);
}

static void take_trade(struct taking *t, struct trade *trade)
{
    *trade = (struct trade){
        .series = series4(t, TRADES_venue, TRADES_exchange, TRADES_symbol, TRADES_venue_symbol),
        .stream = word(t, TRADES_stream, stream_of_text),
        .side = word(t, TRADES_side, side_of_text),
        .origin = word(t, TRADES_origin, origin_of),
        .kind = word(t, TRADES_kind, kind_of),
        .has_range = given(t, TRADES_first_id_number) && given(t, TRADES_last_id_number),
        .first_id = number(t, TRADES_first_id_number),
        .last_id = number(t, TRADES_last_id_number),
        .price = dec(t, TRADES_price),
        .size = dec(t, TRADES_size),
        .venue_time_ns = time_of(t, TRADES_venue_time, TRADES_venue_time_ns),
        .received_ns = time_of(t, TRADES_received_time, TRADES_received_time_ns),
        .sequence = number(t, TRADES_sequence),
    };
    if (!trade->has_range) trade->first_id = trade->last_id = 0;
    if (trade->first_id > trade->last_id)
        refuse(t, ERR_PARSE, TRADES_first_id_number, "the first id is behind the last");
    if (trade->stream > STREAM_BLOCK_TRADE)
        refuse(t, ERR_PARSE, TRADES_stream, "no stream of trades");
    int64_t ordinal = number(t, TRADES_ordinal);
    if (ordinal < 0 || ordinal > UINT16_MAX)
        refuse(t, ERR_PARSE, TRADES_ordinal, "a number outside of 0 to 65535");
    trade->ordinal = (uint16_t)ordinal;
    take_id(t, trade);
}

static void take_quote(struct taking *t, struct quote *quote)
{
    *quote = (struct quote){
        .series = series4(t, QUOTES_venue, QUOTES_exchange, QUOTES_symbol, QUOTES_venue_symbol),
        .origin = word(t, QUOTES_origin, origin_of),
        .bid_price = dec_or_absent(t, QUOTES_bid_price),
        .bid_size = dec_or_absent(t, QUOTES_bid_size),
        .ask_price = dec_or_absent(t, QUOTES_ask_price),
        .ask_size = dec_or_absent(t, QUOTES_ask_size),
        .venue_time_ns = time_of(t, QUOTES_venue_time, QUOTES_venue_time_ns),
        .received_ns = time_of(t, QUOTES_received_time, QUOTES_received_time_ns),
        .sequence = number(t, QUOTES_sequence),
    };
}

static void take_gap(struct taking *t, struct gap *gap)
{
    *gap = (struct gap){
        .gap_id = number(t, GAPS_gap_id),
        .series = series2(t, GAPS_venue, GAPS_symbol),
        .stream = word(t, GAPS_stream, stream_of_text),
        .kind = word(t, GAPS_kind, gap_kind_of),
        .state = word(t, GAPS_state, gap_state_of),
        .has_ids = given(t, GAPS_from_id) && given(t, GAPS_to_id),
        .from_id = number(t, GAPS_from_id),
        .to_id = number(t, GAPS_to_id),
        .from_time_ns = time_or_absent(t, GAPS_from_time, GAPS_from_time_ns),
        .to_time_ns = time_of(t, GAPS_to_time, GAPS_to_time_ns),
        .has_count = given(t, GAPS_missing_count),
        .missing_count = number(t, GAPS_missing_count),
        .rows_recovered = number(t, GAPS_rows_recovered),
        .candles_revised = number(t, GAPS_candles_revised),
        .opened_ns = time_or_absent(t, GAPS_opened_at, -1),
        .closed_ns = time_of(t, GAPS_closed_at, -1),
        .cause = text(t, GAPS_cause),
    };
    if (!gap->has_ids) gap->from_id = gap->to_id = 0;
}

static void take_dead(struct taking *t, struct dead *dead)
{
    *dead = (struct dead){
        .venue = text(t, DEAD_LETTERS_venue),
        .symbol = text(t, DEAD_LETTERS_symbol),
        .connection = text(t, DEAD_LETTERS_connection),
        .detail = text(t, DEAD_LETTERS_detail),
        .payload = text(t, DEAD_LETTERS_payload),
        .stream = given(t, DEAD_LETTERS_stream)
                      ? (int8_t)word(t, DEAD_LETTERS_stream, stream_of_text)
                      : -1,
        .reason = word(t, DEAD_LETTERS_reason, reason_of),
        .position = given(t, DEAD_LETTERS_position) ? number(t, DEAD_LETTERS_position) : -1,
        .received_ns = time_of(t, DEAD_LETTERS_received_time, DEAD_LETTERS_received_time_ns),
        .sequence = number(t, DEAD_LETTERS_sequence),
    };
}

static void take_candle(struct taking *t, struct venue_candle *candle)
{
    bool base = given(t, VENUE_CANDLES_base_volume), quote = given(t, VENUE_CANDLES_quote_volume);
    bool taker = given(t, VENUE_CANDLES_taker_buy_base_volume) &&
                 given(t, VENUE_CANDLES_taker_buy_quote_volume);
    bool counted = given(t, VENUE_CANDLES_trade_count);
    *candle = (struct venue_candle){
        .c = {.series = series2(t, VENUE_CANDLES_venue, VENUE_CANDLES_symbol),
              .timeframe = word(t, VENUE_CANDLES_timeframe, timeframe_of_text),
              .has_base_volume = base,
              .has_quote_volume = quote,
              .has_taker = taker,
              .open_time_ns = time_of(t, VENUE_CANDLES_open_time, -1),
              .open = lake_decimal(t, VENUE_CANDLES_open),
              .high = lake_decimal(t, VENUE_CANDLES_high),
              .low = lake_decimal(t, VENUE_CANDLES_low),
              .close = lake_decimal(t, VENUE_CANDLES_close),
              .base_volume = base ? lake_decimal(t, VENUE_CANDLES_base_volume) : 0,
              .quote_volume = quote ? lake_decimal(t, VENUE_CANDLES_quote_volume) : 0,
              .taker_buy_base = taker ? lake_decimal(t, VENUE_CANDLES_taker_buy_base_volume) : 0,
              .taker_buy_quote = taker ? lake_decimal(t, VENUE_CANDLES_taker_buy_quote_volume) : 0,
              .trade_count = counted ? number(t, VENUE_CANDLES_trade_count) : -1},
        .source = text(t, VENUE_CANDLES_source),
        .fetched_ns = time_of(t, VENUE_CANDLES_fetched_at, -1),
    };
}

static void take_instrument(struct taking *t, struct instrument *n)
{
    *n = (struct instrument){
        .venue = text(t, INSTRUMENTS_venue),
        .symbol = text(t, INSTRUMENTS_symbol),
        .venue_symbol = text(t, INSTRUMENTS_venue_symbol),
        .base = text(t, INSTRUMENTS_base),
        .quote = text(t, INSTRUMENTS_quote),
        .settle = text(t, INSTRUMENTS_settle),
        .status = text(t, INSTRUMENTS_status),
        .contract_size = dec_or_absent(t, INSTRUMENTS_contract_size),
        .inverse = number(t, INSTRUMENTS_inverse) != 0,
        .listed_ns = time_of(t, INSTRUMENTS_listed_at, -1),
        .delisted_ns = time_of(t, INSTRUMENTS_delisted_at, -1),
    };
}

/* Takes the values apart and adds the event, whose order in the batch its own array has. */
#define ADD(type, take, add)                                                                       \
    do {                                                                                           \
        struct type item;                                                                          \
        take(&t, &item);                                                                           \
        struct type *to = t.code == ERR_OK ? add(into) : NULL;                                     \
        if (to)                                                                                    \
            *to = item;                                                                            \
        else if (t.code == ERR_OK)                                                                 \
            t.code = ERR_FULL;                                                                     \
    } while (0)

enum err_code bus_event_add(enum bus_topic topic, const struct registry_value *values,
                            struct bus_names *names, struct batch *into, struct err *e)
{
    struct taking t = {values, topic, into, names, ERR_OK, e};
    switch (topic) {
    case BUS_TRADES: ADD(trade, take_trade, batch_add_trade); break;
    case BUS_QUOTES: ADD(quote, take_quote, batch_add_quote); break;
    case BUS_GAPS: ADD(gap, take_gap, batch_add_gap); break;
    case BUS_DEAD_LETTERS: ADD(dead, take_dead, batch_add_dead); break;
    case BUS_VENUE_CANDLES: ADD(venue_candle, take_candle, batch_add_venue_candle); break;
    case BUS_INSTRUMENTS: ADD(instrument, take_instrument, batch_add_instrument); break;
    case BUS_TOPICS: CHECK(false);
    }
    if (t.code == ERR_FULL && e) ERR(e, ERR_FULL, "the batch is full");
    return t.code;
}
