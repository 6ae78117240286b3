/* Coinbase Exchange, the `ws-feed` protocol (formerly Coinbase Pro).
 *
 * Sources   docs.cdp.coinbase.com/exchange/websocket-feed (2025-2026); cryptofeed's recording of 2021.
 * Side      `side` of match and last_match is the MAKER's: sell here means that a buyer came and took. Inverted. The same
 *           holds for REST trades. (`ticker.side` is the taker's; it is not read.)
 * First     after subscribing, one `last_match` per product: the last trade once more, origin snapshot.
 * Ids       trade_id rises by one per product. `sequence` counts all messages of the book and jumps: no sign of loss.
 * Quotes    no public channel gives every change of the best bid and offer. `ticker` comes on matches, and several matches
 *           may share one: these quotes are true but INCOMPLETE, their time is that of the last trade, and sizes are
 *           absent in older frames. Books (level2) are not decoded.
 * Time      0001-01-01T00:00:00Z has been seen where the venue knows none: absent. The trade stays, since its id counts.
 * Limits    8 connections a second, 100 messages a second; the first subscription within 5 s of connecting.
 */
#include "venue/decode.h"
#include "venue/history.h"
#include "venue/instruments.h"
#include "venue/rest.h"

#include <stdio.h>

enum field { TYPE, TRADE_ID, SIDE, SIZE, PRICE, PRODUCT_ID, TIME, FIELDS };
static const struct json_key match_keys[FIELDS] = {
    JSON_KEY("type"),  JSON_KEY("trade_id"),   JSON_KEY("side"), JSON_KEY("size"),
    JSON_KEY("price"), JSON_KEY("product_id"), JSON_KEY("time")};

static void maker_side(struct reading *r, yyjson_val *v)
{
    struct str side = json_string(v);
    if (str_eq(side, STR("sell")))
        r->trade->side = SIDE_BUY;
    else if (str_eq(side, STR("buy")))
        r->trade->side = SIDE_SELL;
    else
        reading_fail(r, DEAD_MALFORMED, "side: expected buy or sell, found \"%.*s\"",
                     (int)(side.n < 20 ? side.n : 20), side.p ? side.p : "");
}

static void time_of(struct reading *r, yyjson_val *v, int64_t *ret_ns)
{
    if (str_starts(json_string(v), "0001-01-01T")) return; /* stays TIME_ABSENT */
    reading_iso(r, v, "time", ret_ns);
}

/* A match of the socket, or a row of REST where the product stands in the path. */
static void match(struct venue_session *s, yyjson_val *object, struct str product, bool snapshot,
                  struct decoded *out)
{
    struct reading r;
    yyjson_val *v[FIELDS];
    struct trade *t = reading_trade(&r, s, out, STREAM_TRADE);
    if (!t) return;
    bool once = json_members(object, match_keys, FIELDS, v);
    reading_symbol(&r, product.n ? product : json_string(v[PRODUCT_ID]), STR(""));
    if (!once) reading_fail(&r, DEAD_MALFORMED, "no object, or a field stands twice");
    if (snapshot) t->origin = ORIGIN_SNAPSHOT;
    reading_id(&r, v[TRADE_ID], "trade_id", true);
    reading_price(&r, v[PRICE], "price", &t->price);
    reading_size(&r, v[SIZE], "size", &t->size);
    maker_side(&r, v[SIDE]);
    time_of(&r, v[TIME], &t->venue_time_ns);
    reading_end(&r);
}

static void ticker(struct venue_session *s, yyjson_val *object, struct decoded *out)
{
    static const struct json_key keys[] = {JSON_KEY("product_id"),    JSON_KEY("best_bid"),
                                           JSON_KEY("best_bid_size"), JSON_KEY("best_ask"),
                                           JSON_KEY("best_ask_size"), JSON_KEY("time")};
    yyjson_val *v[6];
    bool once = json_members(object, keys, 6, v);
    if (!v[1] && !v[3]) {
        out->class = FRAME_IGNORED;
        return;
    }
    struct reading r;
    struct quote *q = reading_quote(&r, s, out);
    if (!q) return;
    reading_symbol(&r, json_string(v[0]), STR(""));
    if (!once) reading_fail(&r, DEAD_MALFORMED, "a field stands twice");
    reading_side(&r, v[1], v[2], "best_bid", &q->bid_price, &q->bid_size);
    reading_side(&r, v[3], v[4], "best_ask", &q->ask_price, &q->ask_size);
    if (v[5]) time_of(&r, v[5], &q->venue_time_ns);
    reading_end(&r);
}

/* {"type":"error","message":"Failed to subscribe","reason":"XYZ-USD is not a valid product"} */
static void error(yyjson_val *root, struct decoded *out)
{
    struct str message = json_string(yyjson_obj_get(root, "message"));
    struct str reason = json_string(yyjson_obj_get(root, "reason"));
    char words[1000];
    int n = snprintf(words, sizeof words, "%.*s%s%.*s", (int)(message.n < 500 ? message.n : 500),
                     message.p ? message.p : "", reason.n ? ": " : "",
                     (int)(reason.n < 400 ? reason.n : 400), reason.p ? reason.p : "");
    struct str rest = reason;
    struct str first = str_cut(&rest, ' ');
    bool product = first.n && memchr(first.p, '-', first.n) && str_contains(rest, "product");
    bool refusal = str_contains(message, "uthenticat") || str_contains(reason, "uthenticat");
    decode_error(out, (struct str){words, (size_t)n}, product ? first : STR(""), refusal);
}

static void other(yyjson_val *root, struct str type, struct decoded *out)
{
    static const char *const known[] = {"l2update", "snapshot", "status",   "received",
                                        "open",     "done",     "change",   "activate",
                                        "auction",  "balance",  "rfq_match"};
    if (str_is(type, "heartbeat")) {
        out->class = FRAME_HEARTBEAT;
    } else if (str_is(type, "subscriptions")) {
        out->class = FRAME_ACK;
    } else if (str_is(type, "error")) {
        error(root, out);
    } else {
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            if (str_is(type, known[i])) {
                out->class = FRAME_IGNORED;
                return;
            }
        decode_bad(out, DEAD_UNKNOWN, "type \"%.*s\" is not known",
                   (int)(type.n < 40 ? type.n : 40), type.p ? type.p : "");
    }
}

static void decode(struct venue_session *s, char *frame, size_t len, int64_t received_ns,
                   struct decoded *out)
{
    decode_begin(s, received_ns, out);
    yyjson_val *root = decode_json(s, frame, len, out);
    if (!root) return;
    if (!yyjson_is_obj(root)) {
        decode_bad(out, DEAD_MALFORMED, "expected an object, found %s", yyjson_get_type_desc(root));
        return;
    }
    struct str type = json_string(yyjson_obj_getn(root, "type", 4));
    if (str_eq(type, STR("match")))
        match(s, root, STR(""), false, out);
    else if (str_eq(type, STR("last_match")))
        match(s, root, STR(""), true, out);
    else if (str_eq(type, STR("ticker")))
        ticker(s, root, out);
    else
        other(root, type, out);
}

static void channel(const struct subscription *subs, size_t count, enum stream stream,
                    const char *name, size_t most, struct buf *frame)
{
    size_t given = 0;
    for (size_t i = 0; i < count && given < most; i++) {
        if (subs[i].stream != stream) continue;
        if (given == 0) buf_addf(frame, "{\"name\":\"%s\",\"product_ids\":[", name);
        if (given++) buf_add_byte(frame, ',');
        buf_add_json(frame, subs[i].venue_symbol);
    }
    if (given) buf_add_cstr(frame, "]},");
}

static size_t encode_subscribe(const struct subscription *subs, size_t count, int64_t request_id,
                               struct str token, struct buf *frame)
{
    (void)request_id;
    (void)token;
    CHECK(count > 0);
    buf_add_cstr(frame, "{\"type\":\"subscribe\",\"channels\":[");
    channel(subs, count, STREAM_TRADE, "matches", count, frame);
    channel(subs, count, STREAM_QUOTE, "ticker", count, frame);
    /* One product's heartbeat, each second, tells a quiet connection from a dead one. */
    enum stream any = (enum stream)subs[0].stream;
    channel(subs, count, any, "heartbeat", 1, frame);
    if (!frame->failed && frame->data[frame->len - 1] == ',') frame->len--;
    buf_add_cstr(frame, "]}");
    return count;
}

static bool instruments_request(int page, struct str token, struct venue_request *ret)
{
    (void)token;
    if (page != 0) return false;
    *ret = (struct venue_request){.path = "/products"};
    return true;
}

static bool one_instrument(struct instruments *in, yyjson_val *entry)
{
    static const struct json_key keys[] = {JSON_KEY("id"), JSON_KEY("base_currency"),
                                           JSON_KEY("quote_currency"), JSON_KEY("status")};
    yyjson_val *v[4];
    if (!json_members(entry, keys, 4, v)) return false;
    struct instrument i = {.venue_symbol = json_string(v[0]),
                           .status = json_string(v[3]),
                           .contract_size = dec_absent(),
                           .listed_ns = TIME_ABSENT,
                           .delisted_ns = TIME_ABSENT};
    struct venue_symbol_parts parts = {.base = json_string(v[1]), .quote = json_string(v[2])};
    return instruments_give(in, &i, &parts);
}

extern const struct venue venue_coinbase;

static enum err_code instruments_answer(char *body, size_t len,
                                        void (*each)(void *ctx, const struct instrument *i),
                                        void *ctx, struct err *e)
{
    struct instruments in = {.venue = &venue_coinbase, .each = each, .ctx = ctx};
    struct json j;
    json_init(&j);
    enum err_code code = ERR_PARSE;
    yyjson_val *root = json_read(&j, body, len, e);
    struct str words = json_string(yyjson_obj_get(root, "message"));
    if (words.n)
        code = ERR(e, ERR_PARSE, "coinbase answered: %.*s", STR_ARG(words));
    else if (root)
        code =
            instruments_read(&in, yyjson_is_arr(root) ? root : NULL, "products", one_instrument, e);
    json_free(&j);
    return code;
}

/* [time_s, low, high, open, close, volume], newest first. */
static void candles(struct venue_session *s, yyjson_val *rows, struct str product, struct str path,
                    struct decoded *out)
{
    static const struct rest_candle_layout layout = {.time = 0,
                                                     .low = 1,
                                                     .high = 2,
                                                     .open = 3,
                                                     .close = 4,
                                                     .base_volume = 5,
                                                     .quote_volume = -1,
                                                     .trades = -1,
                                                     .taker_base = -1,
                                                     .taker_quote = -1,
                                                     .time_unit_ns = NS_PER_S};
    char text[16];
    struct str width = rest_query(path, "granularity", text, sizeof text);
    int64_t seconds = 60; /* the default */
    if (width.n && str_to_i64(width, &seconds)) seconds = 0;
    int timeframe = rest_timeframe(seconds);
    rest_candles(s, rows, &(struct rest_candles){product, timeframe, width, &layout}, out);
}

/* /products/BTC-USD/trades, /products/BTC-USD/candles */
static void decode_rest(struct venue_session *s, struct str path, char *body, size_t len,
                        int64_t received_ns, struct decoded *out)
{
    decode_begin(s, received_ns, out);
    yyjson_val *root = decode_json(s, body, len, out);
    if (!root) return;
    struct str rest = rest_path(path), product = {NULL, 0}, what = {NULL, 0};
    while (rest.n) {
        product = what;
        what = str_cut(&rest, '/');
    }
    struct str words = json_string(yyjson_obj_get(root, "message"));
    bool is_trades = str_is(what, "trades"), is_candles = str_is(what, "candles");
    if (words.p)
        decode_error(out, words, product, str_contains(words, "uthenticat"));
    else if (!is_trades && !is_candles)
        out->class = FRAME_IGNORED;
    else if (!yyjson_is_arr(root))
        decode_bad(out, DEAD_MALFORMED, "expected an array of rows, found %s",
                   yyjson_get_type_desc(root));
    else if (is_candles)
        candles(s, root, product, path, out);
    else {
        size_t i, n;
        yyjson_val *row;
        yyjson_arr_foreach(root, i, n, row) match(s, row, product, false, out);
        decode_reverse_trades(out, 0);
    }
}

static bool split_symbol(struct str venue_symbol, struct venue_symbol_parts *ret)
{
    return names_split_at(venue_symbol, '-', ret);
}

static const char *const hosts[] = {"ws-feed.exchange.coinbase.com",
                                    "ws-feed.pro.coinbase.com",
                                    "ws-feed.gdax.com",
                                    "ws-direct.exchange.coinbase.com",
                                    "api.exchange.coinbase.com",
                                    "api.pro.coinbase.com",
                                    "api.gdax.com",
                                    NULL};

const struct venue venue_coinbase = {
    .name = "coinbase",
    .hosts = hosts,
    .pair_separator = "-",
    .ws_url = "wss://ws-feed.exchange.coinbase.com",
    .rest_url = "https://api.exchange.coinbase.com",
    .documentation = "https://docs.cdp.coinbase.com/exchange/websocket-feed/overview",
    .streams = 1u << STREAM_TRADE | 1u << STREAM_QUOTE,
    .consecutive = 1u << STREAM_TRADE,
    .default_tape = STREAM_TRADE,
    .pure_trade_candle = false, /* no recording proves it */
    .keep_alive = KEEP_ALIVE_PING_FRAME,
    .keep_alive_ms = 30000,
    .silence_ms = 20000,
    .subscriptions_per_frame = 100,
    .subscribe_interval_ms = 100,
    .connects_per_minute = 120,
    .encode_subscribe = encode_subscribe,
    .split_symbol = split_symbol,
    .decode = decode,
    .instruments_request = instruments_request,
    .instruments_answer = instruments_answer,
    .decode_rest = decode_rest,
    .history = &coinbase_history,
};
