/* Binance's WebSocket protocol, spot and USD-M futures.
 *
 * Sources   github binance/binance-spot-api-docs (web-socket-streams.md, 2026-07); developers.binance.com derivatives
 *           documentation; recordings of cryptofeed (2021) and hftbacktest (2024).
 * Frames    raw ({"e":"trade",...}) or combined ({"stream":"btcusdt@trade","data":{...}}); both on any connection.
 * BBO       spot bookTicker has neither "e" nor a time (venue_time is absent); futures have both, and "T" is the matching
 *           engine's time. A side without orders has price and quantity zero: absent.
 * X         the futures trade stream gives ids also to what never met the book: "X":"INSURANCE_FUND", "ADL", "NA" ...
 *           Binance leaves these out of aggTrade and klines. We keep them as kind `liquidation`, since their ids are part
 *           of the sequence (dropping them would open gaps that nobody can repair); candles pass over that kind. Such a
 *           print may have price and quantity zero.
 * Ids       `t` rises by one per symbol, and so does `a`. f..l of a futures aggregate need not chain, since insurance
 *           fund prints are not aggregated: gaps are told by `a`.
 */
#include "venue/binance_common.h"

void binance_event(yyjson_val *object, struct binance_event *ret)
{
    *ret = (struct binance_event){0};
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(object, i, n, key, value)
    {
        if (yyjson_get_len(key) != 1) {
            if (yyjson_equals_str(key, "lastUpdateId")) ret->depth = true;
            continue;
        }
        enum binance_field field = binance_field_of(key->uni.str[0]);
        if (field == BINANCE_NONE) continue;
        if (ret->f[field]) ret->twice = true;
        ret->f[field] = value;
    }
}

/* Milliseconds, or microseconds where the connection asked for them: told by size, since 10^15 ms is the year 33658. */
static void event_time(struct reading *r, yyjson_val *v, const char *name, int64_t *ret_ns)
{
    int64_t value = 0;
    reading_i64(r, v, name, &value);
    if (r->failed) return;
    int64_t unit_ns = value >= INT64_C(1000000000000000) ? NS_PER_US : NS_PER_MS;
    if (value <= 0 || time_from_unit(value, unit_ns, ret_ns))
        reading_fail(r, DEAD_MALFORMED, "%s: %lld is no time in ms or us", name, (long long)value);
}

/* The ids that an aggregate covers. */
static void range(struct reading *r, const struct binance_event *ev)
{
    struct trade *t = r->trade;
    reading_i64(r, ev->f[BINANCE_f], "f", &t->first_id);
    reading_i64(r, ev->f[BINANCE_l], "l", &t->last_id);
    if (!r->failed && (t->first_id < 0 || t->last_id < t->first_id))
        reading_fail(r, DEAD_MALFORMED, "f and l: %lld to %lld is no range of ids",
                     (long long)t->first_id, (long long)t->last_id);
    t->has_range = true;
}

void binance_trade(struct venue_session *s, const struct binance_event *ev, enum stream stream,
                   struct str symbol, struct decoded *out)
{
    struct reading r;
    struct trade *t = reading_trade(&r, s, out, stream);
    if (!t) return;
    reading_symbol(&r, symbol, STR(""));
    if (ev->twice) reading_fail(&r, DEAD_MALFORMED, "a field stands twice");
    struct str origin = json_string(ev->f[BINANCE_X]);
    if (origin.n && !str_is(origin, "MARKET")) t->kind = KIND_LIQUIDATION;
    if (stream == STREAM_BLOCK_TRADE) t->kind = KIND_BLOCK;
    if (stream == STREAM_AGG_TRADE) {
        reading_id(&r, ev->f[BINANCE_a], "a", false);
        range(&r, ev);
    } else {
        reading_id(&r, ev->f[BINANCE_t], "t", stream == STREAM_TRADE);
    }
    if (t->kind == KIND_LIQUIDATION)
        reading_size(&r, ev->f[BINANCE_p], "p", &t->price);
    else
        reading_price(&r, ev->f[BINANCE_p], "p", &t->price);
    reading_size(&r, ev->f[BINANCE_q], "q", &t->size);
    event_time(&r, ev->f[BINANCE_T], "T", &t->venue_time_ns);
    if (!yyjson_is_bool(ev->f[BINANCE_m]))
        reading_fail(&r, DEAD_MALFORMED, "m: expected true or false (was the buyer the maker?)");
    t->side = yyjson_is_true(ev->f[BINANCE_m]) ? SIDE_SELL : SIDE_BUY;
    reading_end(&r);
}

static void book_ticker(struct venue_session *s, const struct binance_event *ev,
                        struct decoded *out)
{
    struct reading r;
    struct quote *q = reading_quote(&r, s, out);
    if (!q) return;
    reading_symbol(&r, json_string(ev->f[BINANCE_s]), STR(""));
    if (ev->twice) reading_fail(&r, DEAD_MALFORMED, "a field stands twice");
    yyjson_val *const *f = ev->f;
    if (!f[BINANCE_b] || !f[BINANCE_B] || !f[BINANCE_a] || !f[BINANCE_A])
        reading_fail(&r, DEAD_MALFORMED, "a book ticker without one of b, B, a, A");
    reading_side(&r, f[BINANCE_b], f[BINANCE_B], "bid", &q->bid_price, &q->bid_size);
    reading_side(&r, f[BINANCE_a], f[BINANCE_A], "ask", &q->ask_price, &q->ask_size);
    yyjson_val *time = f[BINANCE_T] ? f[BINANCE_T] : f[BINANCE_E];
    if (time) event_time(&r, time, "T", &q->venue_time_ns);
    reading_end(&r);
}

/* Events that a user may record beside ours; what is in none of these lists is a dead letter, so that nothing that
 * Binance adds to our streams is passed over in silence. */
static bool is_known(struct str kind)
{
    static const char *const known[] = {"depthUpdate",      "kline",
                                        "24hrTicker",       "24hrMiniTicker",
                                        "1hTicker",         "4hTicker",
                                        "1dTicker",         "avgPrice",
                                        "markPriceUpdate",  "forceOrder",
                                        "indexPrice",       "indexPriceUpdate",
                                        "continuous_kline", "indexPrice_kline",
                                        "markPrice_kline",  "compositeIndex",
                                        "contractInfo",     "assetIndexUpdate",
                                        "referencePrice"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_is(kind, known[i])) return true;
    return false;
}

static void unnamed_event(struct venue_session *s, const struct binance_event *ev,
                          struct decoded *out)
{
    if (ev->f[BINANCE_u] && ev->f[BINANCE_s])
        book_ticker(s, ev, out);
    else if (ev->depth)
        out->class = FRAME_IGNORED;
    else
        decode_bad(out, DEAD_UNKNOWN, "an object that is no event, answer, or book ticker");
}

static void decode_event(struct venue_session *s, const struct binance_event *ev,
                         struct decoded *out)
{
    struct str symbol = json_string(ev->f[BINANCE_s]);
    if (!ev->f[BINANCE_e]) {
        unnamed_event(s, ev, out);
        return;
    }
    struct str kind = json_string(ev->f[BINANCE_e]);
    if (str_eq(kind, STR("trade")))
        binance_trade(s, ev, STREAM_TRADE, symbol, out);
    else if (str_eq(kind, STR("bookTicker")))
        book_ticker(s, ev, out);
    else if (str_eq(kind, STR("aggTrade")))
        binance_trade(s, ev, STREAM_AGG_TRADE, symbol, out);
    else if (str_eq(kind, STR("blockTrade")))
        binance_trade(s, ev, STREAM_BLOCK_TRADE, symbol, out);
    else if (str_eq(kind, STR("serverShutdown")))
        out->class = FRAME_RECONNECT;
    else if (is_known(kind))
        out->class = FRAME_IGNORED;
    else
        decode_bad(out, DEAD_UNKNOWN, "event \"%.*s\" is not known",
                   (int)(kind.n < 40 ? kind.n : 40), kind.p ? kind.p : "");
}

static void event(struct venue_session *s, yyjson_val *object, struct decoded *out)
{
    struct binance_event ev;
    binance_event(object, &ev);
    decode_event(s, &ev, out);
}

bool binance_error(yyjson_val *root, struct str symbol, struct decoded *out)
{
    yyjson_val *error = yyjson_obj_get(root, "error");
    if (!yyjson_is_obj(error)) error = root;
    struct str code = json_token(yyjson_obj_get(error, "code"));
    struct str words = json_string(yyjson_obj_get(error, "msg"));
    if (code.n == 0 || !words.p) return false;
    /* UNAUTHORIZED, BAD_API_KEY_FMT, REJECTED_MBX_KEY: asking again will not help. */
    bool refusal = str_is(code, "-1002") || str_is(code, "-2014") || str_is(code, "-2015");
    decode_error(out, words, symbol, refusal);
    return true;
}

/* Answers to requests, and combined frames. */
static void envelope(struct venue_session *s, yyjson_val *root, struct decoded *out)
{
    yyjson_val *data = yyjson_obj_get(root, "data");
    size_t i, n;
    yyjson_val *element;
    if (yyjson_is_obj(data)) {
        event(s, data, out);
    } else if (yyjson_is_arr(data)) {
        yyjson_arr_foreach(data, i, n, element) event(s, element, out);
    } else if (yyjson_obj_get(root, "result")) {
        out->class = FRAME_ACK;
    } else if (!binance_error(root, STR(""), out)) {
        event(s, root, out);
    }
}

void binance_decode(struct venue_session *s, char *frame, size_t len, int64_t received_ns,
                    struct decoded *out)
{
    decode_begin(s, received_ns, out);
    struct binance_scan scan;
    if (binance_scan(frame, len, &scan)) {
        decode_event(s, &scan.event, out);
        return;
    }
    yyjson_val *root = decode_json(s, frame, len, out);
    if (!root) return;
    if (!yyjson_is_obj(root)) {
        decode_bad(out, DEAD_MALFORMED, "expected an object, found %s", yyjson_get_type_desc(root));
        return;
    }
    /* The first member tells raw events ("e" or "u") from everything else. */
    yyjson_val *first = yyjson_get_len(root) ? unsafe_yyjson_get_first(root) : NULL;
    if (first && yyjson_get_len(first) == 1)
        event(s, root, out);
    else
        envelope(s, root, out);
}

size_t binance_encode_subscribe(const struct subscription *subs, size_t count, int64_t request_id,
                                struct str token, struct buf *frame)
{
    (void)token;
    static const char *const suffix[STREAM_MAX] = {
        [STREAM_TRADE] = "@trade",
        [STREAM_AGG_TRADE] = "@aggTrade",
        [STREAM_BLOCK_TRADE] = "@blockTrade",
        [STREAM_QUOTE] = "@bookTicker",
    };
    buf_add_cstr(frame, "{\"method\":\"SUBSCRIBE\",\"params\":[");
    for (size_t i = 0; i < count; i++) {
        CHECK(subs[i].stream < STREAM_MAX && suffix[subs[i].stream]);
        char name[NAMES_TEXT_MAX + 16];
        struct str symbol = subs[i].venue_symbol;
        CHECK(symbol.n <= NAMES_TEXT_MAX);
        names_lower(symbol, name); /* stream names are in lower case, payloads in upper */
        size_t n = strlen(suffix[subs[i].stream]);
        memcpy(name + symbol.n, suffix[subs[i].stream], n);
        if (i) buf_add_byte(frame, ',');
        buf_add_json(frame, (struct str){name, symbol.n + n});
    }
    buf_addf(frame, "],\"id\":%lld}", (long long)request_id);
    return count;
}
