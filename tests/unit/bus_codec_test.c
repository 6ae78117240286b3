/* Events to Avro and back: against a stupid reader of the test's own, older and newer writers, damaged records. */
#include "bus/codec_internal.h"
#include "io/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { EVENTS = 400 };

struct world {
    struct batch_pool *pool;
    struct batch *sent, *got;
    struct series_table *series, *other; /* other: the reader's, with numbers of its own */
    struct registry *registry;
    struct buf record;
    uint64_t seed;
};

static uint64_t next(struct world *w)
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return w->seed;
}
static int64_t upto(struct world *w, int64_t n) { return (int64_t)(next(w) % (uint64_t)n); }
static bool coin(struct world *w) { return next(w) >> 40 & 1; }
static int64_t any_long(struct world *w)
{
    int64_t v = (int64_t)(next(w) >> upto(w, 64));
    return coin(w) ? v : -v;
}
static struct dec any_dec(struct world *w)
{
    int64_t digits = (int64_t)(next(w) % 1000000000000000000u) / dec_pow10_i64((int)upto(w, 18));
    return dec_normal(coin(w) ? digits : -digits, (int)upto(w, 19));
}
static i128 any_wide(struct world *w)
{
    u128 v = ((u128)next(w) << 64 | next(w)) >> upto(w, 128);
    v %= dec_pow10_u128(38);
    return coin(w) ? (i128)v : -(i128)v;
}
static int64_t any_time(struct world *w)
{
    return (coin(w) ? 1 : -1) * upto(w, INT64_C(4000000000) * NS_PER_S);
}
static struct str any_text(struct world *w, const char *kind)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%s-%d é", kind, (int)upto(w, 9));
    struct str ret;
    assert_true(batch_text(w->sent, (struct str){text, (size_t)n}, &ret));
    return ret;
}
static uint32_t any_series(struct world *w) { return (uint32_t)upto(w, series_count(w->series)); }

static void make_trade(struct world *w)
{
    struct trade *t = batch_add_trade(w->sent);
    *t = (struct trade){.series = any_series(w),
                        .stream = (uint8_t)upto(w, STREAM_QUOTE),
                        .side = (uint8_t)upto(w, SIDE_MAX),
                        .origin = (uint8_t)upto(w, ORIGIN_MAX),
                        .kind = (uint8_t)upto(w, KIND_MAX),
                        .has_id = coin(w),
                        .has_range = coin(w),
                        .price = any_dec(w),
                        .size = any_dec(w),
                        .venue_time_ns = coin(w) ? any_time(w) : TIME_ABSENT,
                        .received_ns = any_time(w),
                        .sequence = any_long(w)};
    if (t->has_id && coin(w))
        t->id_text = any_text(w, coin(w) ? "id" : "0012");
    else if (t->has_id)
        t->id = coin(w) ? any_long(w) : coin(w) ? INT64_MIN : INT64_MAX;
    if (!t->has_id) t->ordinal = (uint16_t)next(w);
    if (t->has_range) t->first_id = upto(w, 1000), t->last_id = t->first_id + upto(w, 1000);
}

static void make_quote(struct world *w)
{
    *batch_add_quote(w->sent) = (struct quote){.series = any_series(w),
                                               .origin = (uint8_t)upto(w, ORIGIN_MAX),
                                               .bid_price = coin(w) ? any_dec(w) : dec_absent(),
                                               .bid_size = coin(w) ? any_dec(w) : dec_absent(),
                                               .ask_price = coin(w) ? any_dec(w) : dec_absent(),
                                               .ask_size = coin(w) ? any_dec(w) : dec_absent(),
                                               .venue_time_ns = coin(w) ? any_time(w) : TIME_ABSENT,
                                               .received_ns = any_time(w),
                                               .sequence = any_long(w)};
}

static void make_gap(struct world *w)
{
    struct gap *g = batch_add_gap(w->sent);
    *g = (struct gap){.gap_id = any_long(w),
                      .series = any_series(w),
                      .stream = (uint8_t)upto(w, STREAM_MAX),
                      .kind = (uint8_t)upto(w, GAP_KIND_MAX),
                      .state = (uint8_t)upto(w, GAP_STATE_MAX),
                      .has_ids = coin(w),
                      .has_count = coin(w),
                      .from_time_ns = coin(w) ? any_time(w) : TIME_ABSENT,
                      .to_time_ns = coin(w) ? any_time(w) : TIME_ABSENT,
                      .rows_recovered = any_long(w),
                      .candles_revised = any_long(w),
                      .opened_ns = time_floor(any_time(w), NS_PER_US),
                      .closed_ns = coin(w) ? time_floor(any_time(w), NS_PER_US) : TIME_ABSENT,
                      .cause = any_text(w, "cause")};
    if (g->has_ids) g->from_id = any_long(w), g->to_id = any_long(w);
    if (g->has_count) g->missing_count = any_long(w);
}

static void make_dead(struct world *w)
{
    static const char raw[] = "{\"e\":\0\377\376}";
    *batch_add_dead(w->sent) = (struct dead){.venue = any_text(w, "venue"),
                                             .symbol = coin(w) ? any_text(w, "symbol") : STR(""),
                                             .connection = coin(w) ? any_text(w, "c") : STR(""),
                                             .detail = any_text(w, "detail"),
                                             .payload = {raw, (size_t)upto(w, sizeof raw)},
                                             .stream = (int8_t)(upto(w, STREAM_MAX + 1) - 1),
                                             .reason = (uint8_t)upto(w, DEAD_REASON_MAX),
                                             .position = upto(w, 1000) - 1,
                                             .received_ns = any_time(w),
                                             .sequence = any_long(w)};
}

static void make_candle(struct world *w)
{
    struct venue_candle *v = batch_add_venue_candle(w->sent);
    *v = (struct venue_candle){.c = {.series = any_series(w),
                                     .timeframe = (uint8_t)upto(w, TIMEFRAME_MAX),
                                     .has_base_volume = coin(w),
                                     .has_quote_volume = coin(w),
                                     .has_taker = coin(w),
                                     .open_time_ns = time_floor(any_time(w), NS_PER_S),
                                     .open = any_wide(w),
                                     .high = any_wide(w),
                                     .low = any_wide(w),
                                     .close = any_wide(w),
                                     .trade_count = coin(w) ? -1 : upto(w, 100000)},
                               .source = any_text(w, "klines"),
                               .fetched_ns = time_floor(any_time(w), NS_PER_US)};
    struct candle *c = &v->c;
    if (c->has_base_volume) c->base_volume = any_wide(w);
    if (c->has_quote_volume) c->quote_volume = any_wide(w);
    if (c->has_taker) c->taker_buy_base = any_wide(w), c->taker_buy_quote = any_wide(w);
}

static void make_instrument(struct world *w)
{
    *batch_add_instrument(w->sent) = (struct instrument){
        .venue = any_text(w, "v"),
        .symbol = any_text(w, "s"),
        .venue_symbol = any_text(w, "vs"),
        .base = coin(w) ? any_text(w, "b") : STR(""),
        .quote = coin(w) ? any_text(w, "q") : STR(""),
        .settle = coin(w) ? any_text(w, "q") : STR(""),
        .status = any_text(w, "TRADING"),
        .contract_size = coin(w) ? any_dec(w) : dec_absent(),
        .inverse = coin(w),
        .listed_ns = coin(w) ? time_floor(any_time(w), NS_PER_US) : TIME_ABSENT,
        .delisted_ns = coin(w) ? time_floor(any_time(w), NS_PER_US) : TIME_ABSENT,
    };
}

static void (*const makers[BUS_TOPICS])(struct world *) = {
    [BUS_TRADES] = make_trade,
    [BUS_QUOTES] = make_quote,
    [BUS_GAPS] = make_gap,
    [BUS_DEAD_LETTERS] = make_dead,
    [BUS_VENUE_CANDLES] = make_candle,
    [BUS_INSTRUMENTS] = make_instrument,
};

static const struct registry_id ours = {REGISTRY_CONFLUENT, 7, {0}};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    w->seed = 88172645463325252u;
    w->pool = batch_pool_new(3, 10000, 64 << 20);
    w->sent = batch_get(w->pool, 0);
    w->got = batch_get(w->pool, 0);
    w->series = series_new();
    w->other = series_new();
    series_intern(w->other, STR("x"), STR("x"), STR("x"), STR("x"));
    for (int i = 0; i < 20; i++) {
        char name[32];
        struct str s = {name, (size_t)snprintf(name, sizeof name, "S%d-USDT", i)};
        series_intern(w->series, STR("binance"), i & 1 ? STR("binance") : STR("nyse"), s, s);
    }
    w->registry = registry_new(
        &(struct registry_options){.kind = REGISTRY_CONFLUENT, .url = "http://127.0.0.1:1"});
    buf_init(&w->record, 1 << 20);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    batch_put(w->sent);
    batch_put(w->got);
    batch_pool_free(w->pool);
    series_free(w->series);
    series_free(w->other);
    registry_free(w->registry);
    buf_free(&w->record);
    free(w);
    return 0;
}

static void encode(struct world *w, enum bus_topic t, uint32_t i)
{
    uint8_t frame[REGISTRY_FRAME_MAX];
    buf_reset(&w->record);
    buf_add(&w->record, frame, registry_frame(&ours, frame));
    assert_int_equal(bus_encode(t, w->sent, i, w->series, &w->record), ERR_OK);
}

static struct bus_decoder *decoder(struct world *w, enum bus_topic t, struct str schema)
{
    assert_int_equal(registry_keep(w->registry, &ours, schema, NULL), ERR_OK);
    return bus_decoder_new(t, w->registry, w->other);
}

/* Series are compared by their names; of gaps and candles venue and symbol are all that is told. */
static void same_series(struct world *w, uint32_t a, uint32_t b, bool all)
{
    const struct series *x = series_get(w->series, a), *y = series_get(w->other, b);
    assert_true(str_eq(x->venue, y->venue) && str_eq(x->symbol, y->symbol));
    if (all) assert_true(str_eq(x->exchange, y->exchange));
    if (all) assert_true(str_eq(x->venue_symbol, y->venue_symbol));
}

#define SAME(field)      assert_true(a->field == b->field)
#define SAME_DEC(field)  assert_true(dec_eq(a->field, b->field))
#define SAME_TEXT(field) assert_true(str_eq(a->field, b->field))

static void same_trade(struct world *w, const struct trade *a, const struct trade *b)
{
    same_series(w, a->series, b->series, true);
    SAME(stream), SAME(side), SAME(origin), SAME(kind), SAME(has_id), SAME(has_range),
        SAME(ordinal);
    SAME(id), SAME(first_id), SAME(last_id), SAME(venue_time_ns), SAME(received_ns), SAME(sequence);
    SAME_TEXT(id_text), SAME_DEC(price), SAME_DEC(size);
}

static void same_event(struct world *w, enum bus_topic topic, uint32_t i)
{
    switch (topic) {
    case BUS_TRADES: same_trade(w, &w->sent->trades[i], &w->got->trades[i]); break;
    case BUS_QUOTES: {
        const struct quote *a = &w->sent->quotes[i], *b = &w->got->quotes[i];
        same_series(w, a->series, b->series, true);
        SAME(origin), SAME(venue_time_ns), SAME(received_ns), SAME(sequence);
        SAME_DEC(bid_price), SAME_DEC(bid_size), SAME_DEC(ask_price), SAME_DEC(ask_size);
        break;
    }
    case BUS_GAPS: {
        const struct gap *a = &w->sent->gaps[i], *b = &w->got->gaps[i];
        same_series(w, a->series, b->series, false);
        SAME(gap_id), SAME(stream), SAME(kind), SAME(state), SAME(has_ids), SAME(has_count);
        SAME(from_id), SAME(to_id), SAME(from_time_ns), SAME(to_time_ns), SAME(missing_count);
        SAME(rows_recovered), SAME(candles_revised), SAME(opened_ns), SAME(closed_ns);
        SAME_TEXT(cause);
        break;
    }
    case BUS_DEAD_LETTERS: {
        const struct dead *a = &w->sent->deads[i], *b = &w->got->deads[i];
        SAME_TEXT(venue), SAME_TEXT(symbol), SAME_TEXT(connection), SAME_TEXT(detail);
        SAME_TEXT(payload), SAME(stream), SAME(reason), SAME(position), SAME(received_ns);
        SAME(sequence);
        break;
    }
    case BUS_VENUE_CANDLES: {
        const struct venue_candle *x = &w->sent->candles[i], *y = &w->got->candles[i];
        const struct candle *a = &x->c, *b = &y->c;
        assert_true(str_eq(x->source, y->source) && x->fetched_ns == y->fetched_ns);
        same_series(w, a->series, b->series, false);
        SAME(timeframe), SAME(has_base_volume), SAME(has_quote_volume), SAME(has_taker);
        SAME(open_time_ns), SAME(open), SAME(high), SAME(low), SAME(close), SAME(base_volume);
        SAME(quote_volume), SAME(taker_buy_base), SAME(taker_buy_quote), SAME(trade_count);
        break;
    }
    case BUS_INSTRUMENTS: {
        const struct instrument *a = &w->sent->instruments[i], *b = &w->got->instruments[i];
        SAME_TEXT(venue), SAME_TEXT(symbol), SAME_TEXT(venue_symbol), SAME_TEXT(base);
        SAME_TEXT(quote), SAME_TEXT(settle), SAME_TEXT(status), SAME_DEC(contract_size);
        SAME(inverse), SAME(listed_ns), SAME(delisted_ns);
        break;
    }
    case BUS_TOPICS: fail();
    }
}

static void test_round_trip(void **state)
{
    struct world *w = *state;
    for (int t = 0; t < BUS_TOPICS; t++) {
        batch_clear(w->sent);
        batch_clear(w->got);
        struct registry *r = w->registry;
        w->registry = registry_new(&(struct registry_options){.kind = REGISTRY_CONFLUENT});
        struct bus_decoder *d = decoder(w, (enum bus_topic)t, bus_schema((enum bus_topic)t));
        for (uint32_t i = 0; i < EVENTS; i++) {
            makers[t](w);
            encode(w, (enum bus_topic)t, i);
            struct err e = {0};
            if (bus_decode(d, buf_str(&w->record), w->got, &e) != ERR_OK)
                fail_msg("%s: %s", bus_topic_table((enum bus_topic)t), e.text);
            same_event(w, (enum bus_topic)t, i);
        }
        bus_decoder_free(d);
        registry_free(w->registry);
        w->registry = r;
    }
}

/* ---- the stupid reader: field by field as the schema's text has them, each value as text ---- */

struct input {
    const uint8_t *p, *end;
};

static int64_t read_long(struct input *in)
{
    uint64_t v = 0;
    int shift = 0;
    do {
        assert_true(in->p < in->end);
        v |= (uint64_t)(*in->p & 127) << shift;
        shift += 7;
    } while (*in->p++ & 128);
    return v & 1 ? -(int64_t)(v >> 1) - 1 : (int64_t)(v >> 1);
}

static void read_value(struct input *in, enum column_type type, struct buf *out)
{
    if (type == COLUMN_LONG || type == COLUMN_TIME) {
        buf_addf(out, "%lld|", (long long)read_long(in));
        return;
    }
    if (type == COLUMN_BOOLEAN) {
        buf_addf(out, "%d|", *in->p++);
        return;
    }
    int64_t n = read_long(in);
    assert_true(n >= 0 && n <= in->end - in->p);
    if (type ==
        COLUMN_DECIMAL) { /* by its definition: the number of that many bytes, and its sign */
        i128 v = 0, one = 1;
        for (int64_t i = 0; i < n; i++) v = v * 256 + in->p[i];
        if (in->p[0] >= 128 && n < 16) v -= one << (8 * n);
        char text[DEC_TEXT_MAX];
        dec_format_lake(v, text);
        buf_addf(out, "%s|", text);
    } else {
        buf_add(out, in->p, (size_t)n);
        buf_add_cstr(out, "|");
    }
    in->p += n;
}

static void read_record(struct str record, const struct table *table, int extra_longs,
                        struct buf *out)
{
    struct input in = {(const uint8_t *)record.p, (const uint8_t *)record.p + record.n};
    for (int i = 0; i < table->column_count; i++) {
        const struct column *c = &table->columns[i];
        if (!c->required && read_long(&in) == 0) {
            buf_add_cstr(out, "-|");
            continue;
        }
        read_value(&in, c->type, out);
    }
    for (int i = 0; i < extra_longs; i++) read_value(&in, COLUMN_LONG, out);
    assert_true(in.p == in.end);
}

static void test_stupid_reader(void **state)
{
    struct world *w = *state;
    struct buf got, want;
    buf_init(&got, 1 << 16);
    buf_init(&want, 1 << 16);
    for (uint32_t i = 0; i < EVENTS; i++) {
        make_trade(w);
        const struct trade *t = &w->sent->trades[i];
        const struct series *s = series_get(w->series, t->series);
        buf_reset(&w->record), buf_reset(&got), buf_reset(&want);
        assert_int_equal(bus_encode(BUS_TRADES, w->sent, i, w->series, &w->record), ERR_OK);
        read_record(buf_str(&w->record), table_of(TABLE_TRADES), 1, &got);
        char price[DEC_TEXT_MAX], size[DEC_TEXT_MAX];
        dec_format(t->price, price), dec_format(t->size, size);
        buf_addf(&want, "%.*s|%.*s|%.*s|%.*s|%s|", STR_ARG(s->venue), STR_ARG(s->exchange),
                 STR_ARG(s->symbol), STR_ARG(s->venue_symbol), stream_text(t->stream));
        if (!t->has_id) buf_addf(&want, "-|");
        if (t->has_id && t->id_text.n) buf_addf(&want, "%.*s|", STR_ARG(t->id_text));
        if (t->has_id && !t->id_text.n) buf_addf(&want, "%lld|", (long long)t->id);
        if (t->has_range)
            buf_addf(&want, "%lld|%lld|", (long long)t->first_id, (long long)t->last_id);
        else
            buf_addf(&want, "-|-|");
        buf_addf(&want, "%s|%s|%s|", side_text(t->side), price, size);
        if (t->venue_time_ns != TIME_ABSENT)
            buf_addf(&want, "%lld|%lld|", (long long)time_micros(t->venue_time_ns),
                     (long long)t->venue_time_ns);
        else
            buf_addf(&want, "-|-|");
        buf_addf(&want, "%lld|%lld|%s|%s|%lld|%d|", (long long)time_micros(t->received_ns),
                 (long long)t->received_ns, origin_text(t->origin), kind_text(t->kind),
                 (long long)t->sequence, t->ordinal);
        assert_string_equal(buf_cstr(&got), buf_cstr(&want));
    }
    buf_free(&got);
    buf_free(&want);
}

/* ---- other writers ---- */

/* The schema of trades with one text in it replaced. */
static struct buf changed_schema(const char *from, const char *to)
{
    struct str s = bus_schema(BUS_TRADES);
    const char *at = memmem(s.p, s.n, from, strlen(from));
    assert_non_null(at);
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_add(&b, s.p, (size_t)(at - s.p));
    buf_add_cstr(&b, to);
    buf_add(&b, at + strlen(from), s.n - (size_t)(at - s.p) - strlen(from));
    return b;
}

static const char ordinal_field[] = ",{\"name\":\"ordinal\",\"type\":\"int\",\"default\":0}";

static void test_newer_writer(void **state)
{
    struct world *w = *state;
    /* New fields in front and behind, of every kind of type. */
    struct buf schema = changed_schema(
        ordinal_field,
        ",{\"name\":\"ordinal\",\"type\":\"int\",\"default\":0},"
        "{\"name\":\"flags\",\"type\":[\"null\",{\"type\":\"array\",\"items\":{\"type\":\"record\","
        "\"name\":\"Flag\",\"fields\":[{\"name\":\"name\",\"type\":\"string\"},{\"name\":"
        "\"weight\","
        "\"type\":\"double\"}]}}],\"default\":null},{\"name\":\"extra\",\"type\":{\"type\":\"map\","
        "\"values\":\"long\"}},{\"name\":\"state\",\"type\":{\"type\":\"enum\",\"name\":\"State\","
        "\"symbols\":[\"A\",\"B\"]}},{\"name\":\"hash\",\"type\":{\"type\":\"fixed\",\"name\":"
        "\"Hash\","
        "\"size\":4}}");
    struct bus_decoder *d = decoder(w, BUS_TRADES, buf_str(&schema));
    make_trade(w);
    encode(w, BUS_TRADES, 0);
    static const uint8_t behind[] = {
        2, 3, 26,  2, 'x', 0, 0, 0, 0, 0, 0, 0,
        0, 2, 'y', 0, 0,   0, 0, 0, 0, 0, 0, 0, /* flags: -2 items, 13+... bytes */
        2, 2, 'k', 8, 0,   2, 1, 2, 3, 4};
    buf_add(&w->record, behind, sizeof behind);
    struct err e = {0};
    /* The block says its bytes: 2 * 10 = 20. */
    w->record.data[w->record.len - sizeof behind + 2] = 40;
    if (bus_decode(d, buf_str(&w->record), w->got, &e) != ERR_OK) fail_msg("%s", e.text);
    same_event(w, BUS_TRADES, 0);
    bus_decoder_free(d);
    buf_free(&schema);
}

struct told {
    int count;
    char last[700];
};

static void note_told(void *ctx, const char *what, const char *detail)
{
    struct told *t = ctx;
    t->count++;
    snprintf(t->last, sizeof t->last, "%s: %s", what, detail);
}

static void zigzag(struct buf *b, int64_t v)
{
    uint64_t n = (uint64_t)v << 1 ^ (v < 0 ? ~UINT64_C(0) : 0);
    for (; n >= 128; n >>= 7) buf_add_byte(b, (uint8_t)(n | 128));
    buf_add_byte(b, (uint8_t)n);
}

static const struct extra *extra_of(const struct batch *b, const char *name, uint32_t index)
{
    for (size_t i = 0; i < b->extra_count; i++)
        if (b->extras[i].index == index && str_is(b->extra_columns[b->extras[i].column].name, name))
            return &b->extras[i];
    return NULL;
}

/* Fields that ours has not: those of simple types come along, the others are told once. */
static void test_extras(void **state)
{
    struct world *w = *state;
    struct buf schema = changed_schema(
        ordinal_field,
        ",{\"name\":\"ordinal\",\"type\":\"int\",\"default\":0}"
        ",{\"name\":\"note\",\"type\":[\"null\",\"string\"],\"default\":null}"
        ",{\"name\":\"lot\",\"type\":\"int\",\"default\":1}"
        ",{\"name\":\"fee\",\"type\":[{\"type\":\"bytes\",\"logicalType\":\"decimal\","
        "\"precision\":38,\"scale\":18},\"null\"]}"
        ",{\"name\":\"seen\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"}}"
        ",{\"name\":\"maker\",\"type\":\"boolean\"}"
        ",{\"name\":\"rate\",\"type\":\"double\"}"
        ",{\"name\":\"PRICE\",\"type\":\"string\"}");
    struct bus_decoder *d = decoder(w, BUS_TRADES, buf_str(&schema));
    struct told told = {0};
    bus_decoder_tell(d, "p.market.trades", note_told, &told);
    for (int i = 0; i < 3; i++) {
        make_trade(w);
        encode(w, BUS_TRADES, (uint32_t)i);
        zigzag(&w->record, i != 1);
        if (i != 1) buf_add(&w->record, "\4\xc3\xa9", 3); /* note: é */
        zigzag(&w->record, -i);
        zigzag(&w->record, i == 1);
        if (i != 1) buf_add(&w->record, "\4\xff\x01", 3); /* fee: -255 */
        zigzag(&w->record, 1700000000000001);
        buf_add_byte(&w->record, (uint8_t)(i & 1));
        buf_add(&w->record, "\0\0\0\0\0\0\0\0\2x", 10);
        struct err e = {0};
        if (bus_decode(d, buf_str(&w->record), w->got, &e) != ERR_OK) fail_msg("%s", e.text);
        same_event(w, BUS_TRADES, (uint32_t)i);
        const struct extra *note = extra_of(w->got, "note", (uint32_t)i);
        const struct extra *fee = extra_of(w->got, "fee", (uint32_t)i);
        assert_true(i == 1 ? !note : str_is(note->bytes, "é"));
        assert_true(i == 1 ? !fee : fee->decimal == -255);
        assert_int_equal(extra_of(w->got, "lot", (uint32_t)i)->number, -i);
        assert_int_equal(extra_of(w->got, "seen", (uint32_t)i)->number, 1700000000000001);
        assert_int_equal(extra_of(w->got, "maker", (uint32_t)i)->number, i & 1);
        assert_null(extra_of(w->got, "rate", (uint32_t)i));
        assert_null(extra_of(w->got, "PRICE", (uint32_t)i));
    }
    assert_int_equal(w->got->extra_column_count, 5);
    assert_int_equal(told.count, 2);
    assert_non_null(strstr(told.last, "PRICE"));
    assert_non_null(strstr(told.last, "p.market.trades"));
    struct bus_strange strange = {0};
    bus_decoder_counts(d, &strange);
    assert_int_equal(strange.fields_left_out, 2);
    /* A record that is refused leaves nothing. */
    size_t before = w->got->extra_count;
    w->record.len--;
    assert_int_equal(bus_decode(d, buf_str(&w->record), w->got, NULL), ERR_PARSE);
    assert_int_equal(w->got->extra_count, before);
    bus_decoder_free(d);
    buf_free(&schema);
}

static void test_older_writer(void **state)
{
    struct world *w = *state;
    struct buf schema = changed_schema(ordinal_field, "");
    struct bus_decoder *d = decoder(w, BUS_TRADES, buf_str(&schema));
    make_trade(w);
    w->sent->trades[0].ordinal = 0;
    encode(w, BUS_TRADES, 0);
    w->record.len--;
    assert_int_equal(bus_decode(d, buf_str(&w->record), w->got, NULL), ERR_OK);
    same_event(w, BUS_TRADES, 0);
    bus_decoder_free(d);
    buf_free(&schema);
}

static void test_promoted(void **state)
{
    struct world *w = *state;
    struct buf schema = changed_schema("{\"name\":\"sequence\",\"type\":\"long\"}",
                                       "{\"name\":\"sequence\",\"type\":\"int\"}");
    struct bus_decoder *d = decoder(w, BUS_TRADES, buf_str(&schema));
    make_trade(w);
    w->sent->trades[0].sequence = -5;
    encode(w, BUS_TRADES, 0);
    assert_int_equal(bus_decode(d, buf_str(&w->record), w->got, NULL), ERR_OK);
    same_event(w, BUS_TRADES, 0);
    w->sent->trades[0].sequence = INT64_C(1) << 40; /* no int */
    encode(w, BUS_TRADES, 0);
    assert_int_equal(bus_decode(d, buf_str(&w->record), w->got, NULL), ERR_PARSE);
    bus_decoder_free(d);
    buf_free(&schema);
}

/* Nanoseconds win; a writer that has none gives microseconds. */
static void test_times(void **state)
{
    struct world *w = *state;
    struct buf schema = changed_schema(
        "{\"name\":\"venue_time_ns\",\"type\":[\"null\",\"long\"],\"default\":null},", "");
    struct bus_decoder *d = decoder(w, BUS_TRADES, buf_str(&schema));
    make_trade(w);
    struct trade *t = &w->sent->trades[0];
    t->venue_time_ns = TIME_ABSENT;
    encode(w, BUS_TRADES, 0);
    struct buf short_record;
    buf_init(&short_record, 4096);
    /* The byte of the absent nanoseconds stands behind that of the absent microseconds. */
    for (size_t i = 5; i + 1 < w->record.len; i++) {
        buf_reset(&short_record);
        buf_add(&short_record, w->record.data, i);
        buf_add(&short_record, w->record.data + i + 1, w->record.len - i - 1);
        if (w->record.data[i] == 0 && bus_decode(d, buf_str(&short_record), w->got, NULL) == ERR_OK)
            break;
    }
    assert_int_equal(w->got->trade_count, 1);
    assert_true(w->got->trades[0].venue_time_ns == TIME_ABSENT);
    buf_free(&short_record);
    bus_decoder_free(d);
    buf_free(&schema);
}

static void refused(struct world *w, const char *from, const char *to, const char *says)
{
    struct buf schema = changed_schema(from, to);
    struct registry *r =
        registry_new(&(struct registry_options){.kind = REGISTRY_CONFLUENT, .url = "http://x"});
    assert_int_equal(registry_keep(r, &ours, buf_str(&schema), NULL), ERR_OK);
    struct bus_decoder *d = bus_decoder_new(BUS_TRADES, r, w->other);
    make_trade(w);
    encode(w, BUS_TRADES, 0);
    for (int i = 0; i < 2; i++) { /* the second time from memory */
        struct err e = {0};
        assert_int_equal(bus_decode(d, buf_str(&w->record), w->got, &e), ERR_INCOMPATIBLE);
        if (!strstr(e.text, says)) fail_msg("%s: %s", says, e.text);
    }
    assert_int_equal(w->got->event_count, 0);
    bus_decoder_free(d);
    registry_free(r);
    buf_free(&schema);
}

static void test_incompatible(void **state)
{
    struct world *w = *state;
    refused(w, "\"precision\":38,\"scale\":18", "\"precision\":38,\"scale\":8", "field price");
    refused(w, "{\"name\":\"side\",\"type\":\"string\"}", "{\"name\":\"side\",\"type\":\"long\"}",
            "field side: what was written as long cannot be read as string");
    refused(w, "{\"name\":\"kind\",\"type\":\"string\"},", "",
            "field kind was not written and has no default");
    refused(w, "\"received_time\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"",
            "\"received_time\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"",
            "timestamp-millis");
    refused(w, "\"name\":\"Trade\"", "\"name\":\"Order\"", "record io.ticklake.market.Order");
    refused(w, "\"type\":\"record\"", "\"type\":\"recor\"", "writer's schema");
}

/* ---- damage ---- */

static void test_damaged(void **state)
{
    struct world *w = *state;
    for (int t = 0; t < BUS_TOPICS; t++) {
        struct registry *r = registry_new(&(struct registry_options){.kind = REGISTRY_CONFLUENT});
        assert_int_equal(registry_keep(r, &ours, bus_schema((enum bus_topic)t), NULL), ERR_OK);
        struct bus_decoder *d = bus_decoder_new((enum bus_topic)t, r, w->other);
        batch_clear(w->sent);
        makers[t](w);
        encode(w, (enum bus_topic)t, 0);
        for (size_t n = 0; n < w->record.len; n++) {
            uint8_t *cut = malloc(n + 1); /* so that reading past it is seen */
            memcpy(cut, w->record.data, n);
            struct err e = {0};
            batch_clear(w->got);
            enum err_code code = bus_decode(d, (struct str){(char *)cut, n}, w->got, &e);
            assert_true(n < 5 ? code == ERR_PARSE : code == ERR_PARSE || code == ERR_INEXACT);
            assert_true(e.text[0] != 0);
            assert_int_equal(w->got->event_count + w->got->instrument_count, 0);
            free(cut);
        }
        for (size_t bit = 40; bit < 8 * w->record.len; bit++) {
            w->record.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            batch_clear(w->got);
            enum err_code code = bus_decode(d, buf_str(&w->record), w->got, NULL);
            size_t added = w->got->event_count + w->got->instrument_count;
            assert_int_equal(added, code == ERR_OK);
            w->record.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        bus_decoder_free(d);
        registry_free(r);
    }
}

static void test_other_frames(void **state)
{
    struct world *w = *state;
    struct bus_decoder *d = decoder(w, BUS_TRADES, bus_schema(BUS_TRADES));
    struct err e = {0};
    static const char glue[18] = {3, 0, 1};
    assert_int_equal(bus_decode(d, (struct str){glue, 18}, w->got, &e), ERR_NOT_FOUND);
    assert_non_null(strstr(e.text, "AWS Glue"));
    assert_int_equal(bus_decode(d, STR("{\"json\":1}"), w->got, &e), ERR_PARSE);
    assert_non_null(strstr(e.text, "7b"));
    assert_int_equal(bus_decode(d, (struct str){"\0\0\0\0\11x", 6}, w->got, &e), ERR_NETWORK);
    bus_decoder_free(d);
}

static void test_full_batch(void **state)
{
    struct world *w = *state;
    struct batch_pool *pool = batch_pool_new(1, 1, 4096);
    struct batch *small = batch_get(pool, 0);
    struct bus_decoder *d = decoder(w, BUS_TRADES, bus_schema(BUS_TRADES));
    make_trade(w);
    encode(w, BUS_TRADES, 0);
    assert_int_equal(bus_decode(d, buf_str(&w->record), small, NULL), ERR_OK);
    assert_int_equal(bus_decode(d, buf_str(&w->record), small, NULL), ERR_FULL);
    assert_int_equal(small->trade_count, 1);
    batch_put(small);
    batch_pool_free(pool);
    bus_decoder_free(d);
}

/* Encoding leaves the buffer as it was where the limit is met; quoted bytes become proper UTF-8. */
static void test_encode_limits(void **state)
{
    struct world *w = *state;
    struct buf tiny;
    buf_init(&tiny, 100);
    buf_add_cstr(&tiny, "before");
    make_trade(w);
    assert_int_equal(bus_encode(BUS_TRADES, w->sent, 0, w->series, &tiny), ERR_FULL);
    assert_string_equal(buf_cstr(&tiny), "before");
    assert_false(tiny.failed);
    buf_free(&tiny);
    make_dead(w);
    w->sent->deads[0].detail = (struct str){"a\377\303\251\355\240\200", 7};
    struct bus_decoder *d = decoder(w, BUS_DEAD_LETTERS, bus_schema(BUS_DEAD_LETTERS));
    encode(w, BUS_DEAD_LETTERS, 0);
    assert_int_equal(bus_decode(d, buf_str(&w->record), w->got, NULL), ERR_OK);
    assert_true(str_is(w->got->deads[0].detail, "a?\303\251???"));
    bus_decoder_free(d);
}

static void test_schema_files(void **state)
{
    (void)state;
    for (int t = 0; t < BUS_TOPICS; t++) {
        char path[128];
        snprintf(path, sizeof path, "schemas/market.%s.avsc", bus_topic_table((enum bus_topic)t));
        struct buf want, file;
        struct err e = {0};
        buf_init(&want, 1 << 16);
        buf_init(&file, 1 << 16);
        bus_schema_file((enum bus_topic)t, &want);
        if (file_read(path, 1 << 16, &file, &e) != ERR_OK) fail_msg("%s", e.text);
        if (!str_eq(buf_str(&want), buf_str(&file)))
            fail_msg("%s is not what event/schema.h says; write it anew: build/tests/tools/"
                     "registry_tool files schemas",
                     path);
        size_t differences;
        assert_int_equal(registry_compare(bus_schema((enum bus_topic)t), buf_str(&file), NULL, NULL,
                                          &differences, NULL),
                         ERR_OK);
        assert_int_equal(differences, 0);
        buf_free(&want);
        buf_free(&file);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_round_trip),   TEST(test_stupid_reader), TEST(test_newer_writer),
        TEST(test_extras),       TEST(test_older_writer),  TEST(test_promoted),
        TEST(test_times),        TEST(test_incompatible),  TEST(test_damaged),
        TEST(test_other_frames), TEST(test_full_batch),    TEST(test_encode_limits),
        TEST(test_schema_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
