/* Kraken spot: the v2 socket, and frames of the older v1 as recordings have them.
 *
 * Sources   docs.kraken.com/exchange/api-reference/spot-websocket-v2 (2026-05); cryptofeed's recording of v1 (2021).
 * v2        {"channel":"trade","data":[{...}]}: prices and sizes are JSON numbers, kept as written. `side` is the taker's.
 *           trade_id is the sequence number in that book: rises by one. type "snapshot" is old trades: origin snapshot.
 *           {"channel":"ticker"} subscribed with event_trigger "bbo" is the best bid and offer; an empty book gives zeros
 *           and a time of 1970: side and time absent.
 * v1        [1665,[["354.1","0.89","1618678142.557535","s","l",""]],"trade","XMR/USD"] has no trade ids; a ticker is
 *           [996,{"a":[price,whole,size],"b":[...]},"ticker","XMR/USD"] without a time. XBT is BTC, XDG is DOGE: v1 names are
 *           put into v2's spelling, so that both protocols feed one series.
 * Limits    about 150 connection attempts per 10 minutes; a heartbeat each second while subscribed, and without a
 *           subscription the connection is closed after a minute. One channel a subscribe frame.
 */
#include "venue/kraken_common.h"
#include "venue/history.h"

static void v2_side(struct reading *r, yyjson_val *v)
{
    struct str side = json_string(v);
    if (str_eq(side, STR("buy")))
        r->trade->side = SIDE_BUY;
    else if (str_eq(side, STR("sell")))
        r->trade->side = SIDE_SELL;
    else
        reading_fail(r, DEAD_MALFORMED, "side: expected buy or sell, found \"%.*s\"",
                     (int)(side.n < 20 ? side.n : 20), side.p ? side.p : "");
}

static void v2_trade(struct venue_session *s, yyjson_val *row, bool snapshot, struct decoded *out)
{
    enum { SYMBOL, SIDE, PRICE, QTY, ORD_TYPE, TRADE_ID, TIMESTAMP, FIELDS };
    static const struct json_key keys[FIELDS] = {
        JSON_KEY("symbol"),   JSON_KEY("side"),     JSON_KEY("price"),    JSON_KEY("qty"),
        JSON_KEY("ord_type"), JSON_KEY("trade_id"), JSON_KEY("timestamp")};
    yyjson_val *v[FIELDS];
    struct reading r;
    struct trade *t = reading_trade(&r, s, out, STREAM_TRADE);
    if (!t) return;
    bool once = json_members(row, keys, FIELDS, v);
    reading_symbol(&r, json_string(v[SYMBOL]), STR(""));
    if (!once) reading_fail(&r, DEAD_MALFORMED, "no object, or a field stands twice");
    if (snapshot) t->origin = ORIGIN_SNAPSHOT;
    v2_side(&r, v[SIDE]);
    reading_price(&r, v[PRICE], "price", &t->price);
    reading_size(&r, v[QTY], "qty", &t->size);
    reading_id(&r, v[TRADE_ID], "trade_id", true);
    reading_iso(&r, v[TIMESTAMP], "timestamp", &t->venue_time_ns);
    reading_end(&r);
}

static void v2_ticker(struct venue_session *s, yyjson_val *row, bool snapshot, struct decoded *out)
{
    enum { SYMBOL, BID, BID_QTY, ASK, ASK_QTY, TIMESTAMP, FIELDS };
    static const struct json_key keys[FIELDS] = {JSON_KEY("symbol"),  JSON_KEY("bid"),
                                                 JSON_KEY("bid_qty"), JSON_KEY("ask"),
                                                 JSON_KEY("ask_qty"), JSON_KEY("timestamp")};
    yyjson_val *v[FIELDS];
    struct reading r;
    struct quote *q = reading_quote(&r, s, out);
    if (!q) return;
    bool once = json_members(row, keys, FIELDS, v);
    reading_symbol(&r, json_string(v[SYMBOL]), STR(""));
    if (!once) reading_fail(&r, DEAD_MALFORMED, "no object, or a field stands twice");
    if (!v[BID] || !v[ASK]) reading_fail(&r, DEAD_MALFORMED, "a ticker without bid or ask");
    if (snapshot) q->origin = ORIGIN_SNAPSHOT;
    reading_side(&r, v[BID], v[BID_QTY], "bid", &q->bid_price, &q->bid_size);
    reading_side(&r, v[ASK], v[ASK_QTY], "ask", &q->ask_price, &q->ask_size);
    if (v[TIMESTAMP] && !str_starts(json_string(v[TIMESTAMP]), "1970-01-01T"))
        reading_iso(&r, v[TIMESTAMP], "timestamp", &q->venue_time_ns);
    reading_end(&r);
}

static void v2_channel(struct venue_session *s, yyjson_val *root, struct str channel,
                       struct decoded *out)
{
    bool trades = str_eq(channel, STR("trade")), tickers = str_eq(channel, STR("ticker"));
    static const char *const known[] = {"status", "book", "ohlc", "level3", "instrument"};
    if (!trades && !tickers) {
        if (str_is(channel, "heartbeat")) {
            out->class = FRAME_HEARTBEAT;
            return;
        }
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (str_is(channel, known[i])) {
                out->class = FRAME_IGNORED;
                return;
            }
        decode_bad(out, DEAD_UNKNOWN, "channel \"%.*s\" is not known",
                   (int)(channel.n < 40 ? channel.n : 40), channel.p);
        return;
    }
    yyjson_val *data = yyjson_obj_getn(root, "data", 4);
    bool snapshot = str_is(json_string(yyjson_obj_getn(root, "type", 4)), "snapshot");
    if (!yyjson_is_arr(data)) {
        decode_bad(out, DEAD_MALFORMED, "data: expected an array, found %s",
                   data ? yyjson_get_type_desc(data) : "nothing");
        return;
    }
    size_t i, n;
    yyjson_val *row;
    yyjson_arr_foreach(data, i, n, row)
    {
        if (trades)
            v2_trade(s, row, snapshot, out);
        else
            v2_ticker(s, row, snapshot, out);
    }
}

/* "Currency pair not supported XXX/YYY": the pair, if the last word is one. */
static struct str pair_in(struct str words)
{
    size_t n = words.n;
    while (n > 0 && words.p[n - 1] != ' ') n--;
    struct str last = {words.p + n, words.n - n};
    return last.n && memchr(last.p, '/', last.n) ? last : (struct str){NULL, 0};
}

/* Answers to requests of v2: {"method":"subscribe","success":false,"error":"...","symbol":"XXX/YYY"} */
static void v2_answer(yyjson_val *root, struct decoded *out)
{
    struct str words = json_string(yyjson_obj_get(root, "error"));
    if (!words.n) {
        out->class = str_is(json_string(yyjson_obj_get(root, "method")), "pong") ? FRAME_HEARTBEAT
                                                                                 : FRAME_ACK;
        return;
    }
    struct str symbol = json_string(yyjson_obj_get(root, "symbol"));
    if (!symbol.n) symbol = json_string(yyjson_obj_get(yyjson_obj_get(root, "result"), "symbol"));
    decode_error(out, words, symbol.n ? symbol : pair_in(words), kraken_refusal(words));
}

static void v1_event(yyjson_val *root, struct str event, struct decoded *out)
{
    struct str words = json_string(yyjson_obj_get(root, "errorMessage"));
    if (words.n)
        decode_error(out, words, json_string(yyjson_obj_get(root, "pair")), kraken_refusal(words));
    else if (str_is(event, "heartbeat") || str_is(event, "pong"))
        out->class = FRAME_HEARTBEAT;
    else if (str_is(event, "subscriptionStatus"))
        out->class = FRAME_ACK;
    else if (str_is(event, "systemStatus"))
        out->class = FRAME_IGNORED;
    else
        decode_bad(out, DEAD_UNKNOWN, "event \"%.*s\" is not known",
                   (int)(event.n < 40 ? event.n : 40), event.p);
}

static void v1_ticker(struct venue_session *s, yyjson_val *payload, struct str pair,
                      struct decoded *out)
{
    char text[NAMES_TEXT_MAX];
    struct reading r;
    struct quote *q = reading_quote(&r, s, out);
    if (!q) return;
    reading_symbol(&r, kraken_name(pair, text), STR(""));
    yyjson_val *ask = yyjson_obj_getn(payload, "a", 1), *bid = yyjson_obj_getn(payload, "b", 1);
    if (!yyjson_is_arr(ask) || !yyjson_is_arr(bid))
        reading_fail(&r, DEAD_MALFORMED, "a ticker without the arrays a and b");
    /* [price, whole lots, lots] */
    reading_side(&r, yyjson_arr_get(bid, 0), yyjson_arr_get(bid, 2), "b", &q->bid_price,
                 &q->bid_size);
    reading_side(&r, yyjson_arr_get(ask, 0), yyjson_arr_get(ask, 2), "a", &q->ask_price,
                 &q->ask_size);
    reading_end(&r);
}

static void v1_array(struct venue_session *s, yyjson_val *root, struct decoded *out)
{
    size_t count = yyjson_arr_size(root);
    struct str pair = json_string(yyjson_arr_get_last(root));
    struct str channel =
        count >= 4 ? json_string(yyjson_arr_get(root, count - 2)) : (struct str){NULL, 0};
    yyjson_val *payload = yyjson_arr_get(root, 1);
    if (!pair.n || !channel.n || count > 5) {
        decode_bad(out, DEAD_MALFORMED,
                   "expected [channel, payload, name, pair], found an array of %zu", count);
    } else if (str_eq(channel, STR("trade"))) {
        if (!yyjson_is_arr(payload)) {
            decode_bad(out, DEAD_MALFORMED, "trade: expected an array of trades");
            return;
        }
        size_t i, n;
        yyjson_val *row;
        yyjson_arr_foreach(payload, i, n, row) kraken_trade_row(s, row, pair, out);
    } else if (str_eq(channel, STR("ticker"))) {
        v1_ticker(s, payload, pair, out);
    } else if (str_starts(channel, "book") || str_starts(channel, "ohlc") ||
               str_is(channel, "spread")) {
        out->class = FRAME_IGNORED;
    } else {
        decode_bad(out, DEAD_UNKNOWN, "channel \"%.*s\" is not known",
                   (int)(channel.n < 40 ? channel.n : 40), channel.p);
    }
}

static void decode(struct venue_session *s, char *frame, size_t len, int64_t received_ns,
                   struct decoded *out)
{
    decode_begin(s, received_ns, out);
    yyjson_val *root = decode_json(s, frame, len, out);
    if (!root) return;
    if (yyjson_is_arr(root)) {
        v1_array(s, root, out);
        return;
    }
    struct str channel = json_string(yyjson_obj_getn(root, "channel", 7));
    struct str event = json_string(yyjson_obj_getn(root, "event", 5));
    if (channel.n)
        v2_channel(s, root, channel, out);
    else if (event.n)
        v1_event(root, event, out);
    else if (yyjson_obj_get(root, "method") || yyjson_obj_get(root, "error"))
        v2_answer(root, out);
    else
        decode_bad(out, DEAD_UNKNOWN, "no channel, event, or method");
}

static size_t encode_subscribe(const struct subscription *subs, size_t count, int64_t request_id,
                               struct str token, struct buf *frame)
{
    (void)token;
    CHECK(count > 0);
    bool quotes = subs[0].stream == STREAM_QUOTE;
    buf_addf(frame, "{\"method\":\"subscribe\",\"params\":{\"channel\":\"%s\",\"symbol\":[",
             quotes ? "ticker" : "trade");
    size_t given = 0;
    for (; given < count && subs[given].stream == subs[0].stream; given++) {
        if (given) buf_add_byte(frame, ',');
        buf_add_json(frame, subs[given].venue_symbol);
    }
    /* The 50 last trades of a snapshot would only be duplicates after each reconnect. */
    buf_addf(frame, "],%s},\"req_id\":%lld}",
             quotes ? "\"event_trigger\":\"bbo\"" : "\"snapshot\":false", (long long)request_id);
    return given;
}

static void encode_keep_alive(int64_t request_id, struct buf *frame)
{
    buf_addf(frame, "{\"method\":\"ping\",\"req_id\":%lld}", (long long)request_id);
}

static const char *const hosts[] = {"ws.kraken.com", "beta-ws.kraken.com", "api.kraken.com", NULL};

const struct venue venue_kraken = {
    .name = "kraken",
    .hosts = hosts,
    .quote_currencies =
        "ZUSD ZEUR ZGBP ZCAD ZJPY XXBT XETH USDT USDC PYUSD RLUSD USD EUR GBP CAD AUD CHF JPY "
        "DAI XBT BTC ETH DOT",
    .pair_separator = "/",
    .ws_url = "wss://ws.kraken.com/v2",
    .rest_url = "https://api.kraken.com",
    .documentation = "https://docs.kraken.com/exchange/api-reference/spot-websocket-v2",
    .streams = 1u << STREAM_TRADE | 1u << STREAM_QUOTE,
    .consecutive = 1u << STREAM_TRADE,
    .default_tape = STREAM_TRADE,
    .pure_trade_candle = false, /* no recording proves it */
    .keep_alive = KEEP_ALIVE_TEXT,
    .keep_alive_ms = 30000,
    .silence_ms = 45000, /* longer than our own ping, whose pong counts as a sign of life */
    .subscriptions_per_frame = 100,
    .subscribe_interval_ms = 200,
    .connects_per_minute = 12,
    .encode_subscribe = encode_subscribe,
    .encode_keep_alive = encode_keep_alive,
    .split_symbol = kraken_split_symbol,
    .decode = decode,
    .instruments_request = kraken_instruments_request,
    .instruments_answer = kraken_instruments_answer,
    .decode_rest = kraken_decode_rest,
    .history = &kraken_history,
};
