/* Tiingo's crypto socket: an aggregator, so `exchange` differs from the venue.
 *
 * Sources   www.tiingo.com/documentation/websockets/crypto; frames recorded by kenshin579/tiingo-go (2026-09).
 * Frames    {"messageType":"A","service":"crypto_data","data":["T",ticker,time,exchange,size,price]}: SIZE BEFORE PRICE, and
 *           ["Q",ticker,time,exchange,bidSize,bidPrice,midPrice,askSize,askPrice] with nulls where there is none. The mid price
 *           is derived and not read. More elements may follow.
 * Numbers   doubles as a program prints them ("6.255e-5", "79916.7291212748"): taken as they stand. One with more than 18
 *           decimals (a coin far below a cent) cannot be held: refused as inexact, never rounded.
 * Missing   no trade ids, no sequence, no side: gaps cannot be told, and side is unknown.
 * Answers   decided by response.code, not by messageType: some report refusals in an "I" frame.
 * Unknown   whether one token may hold several connections; a connection's largest age.
 */
#include "venue/tiingo_common.h"
#include "venue/history.h"

#include <stdio.h>

enum { KIND_AT, TICKER_AT, TIME_AT, EXCHANGE_AT, FIRST_AT, FIELDS_MAX = 9 };

static void trade(struct venue_session *s, yyjson_val *const v[FIELDS_MAX], struct decoded *out)
{
    struct reading r;
    struct trade *t = reading_trade(&r, s, out, STREAM_TRADE);
    if (!t) return;
    struct str exchange = json_string(v[EXCHANGE_AT]);
    if (!exchange.n) reading_fail(&r, DEAD_MALFORMED, "exchange: expected a text");
    reading_symbol(&r, json_string(v[TICKER_AT]), exchange);
    reading_iso(&r, v[TIME_AT], "date", &t->venue_time_ns);
    reading_size(&r, v[4], "lastSize", &t->size);
    reading_price(&r, v[5], "lastPrice", &t->price);
    reading_end(&r);
}

static void quote(struct venue_session *s, yyjson_val *const v[FIELDS_MAX], struct decoded *out)
{
    struct reading r;
    struct quote *q = reading_quote(&r, s, out);
    if (!q) return;
    struct str exchange = json_string(v[EXCHANGE_AT]);
    if (!exchange.n) reading_fail(&r, DEAD_MALFORMED, "exchange: expected a text");
    reading_symbol(&r, json_string(v[TICKER_AT]), exchange);
    reading_iso(&r, v[TIME_AT], "date", &q->venue_time_ns);
    reading_side(&r, v[5], v[4], "bid", &q->bid_price, &q->bid_size);
    reading_side(&r, v[8], v[7], "ask", &q->ask_price, &q->ask_size);
    reading_end(&r);
}

static void data(struct venue_session *s, yyjson_val *array, struct decoded *out)
{
    yyjson_val *v[FIELDS_MAX] = {NULL};
    size_t i, n = 0;
    yyjson_val *value;
    yyjson_arr_foreach(array, i, n, value)
    {
        if (i == FIELDS_MAX) break;
        v[i] = value;
    }
    n = yyjson_arr_size(array);
    struct str kind = json_string(v[KIND_AT]);
    if (str_eq(kind, STR("T")) && n >= 6)
        trade(s, v, out);
    else if (str_eq(kind, STR("Q")) && n >= 9)
        quote(s, v, out);
    else
        decode_bad(out, kind.n == 1 ? DEAD_MALFORMED : DEAD_UNKNOWN,
                   "data: expected a T of 6 or a Q of 9 elements, found \"%.*s\" of %zu",
                   (int)(kind.n < 20 ? kind.n : 20), kind.p ? kind.p : "", n);
}

/* "Error: Ticker 'XYZ' not found" */
static struct str ticker_in(struct str words)
{
    static const char before[] = "icker '";
    for (size_t i = 0; i + sizeof before - 1 <= words.n; i++) {
        if (memcmp(words.p + i, before, sizeof before - 1) != 0) continue;
        struct str rest = {words.p + i + sizeof before - 1, words.n - i - (sizeof before - 1)};
        size_t all = rest.n;
        struct str ticker = str_cut(&rest, '\'');
        return ticker.n < all ? ticker : (struct str){NULL, 0};
    }
    return (struct str){NULL, 0};
}

void tiingo_error(struct decoded *out, struct str words, bool refusal)
{
    /* An allocation that is used up is no outage either: asking on only prolongs it. */
    static const char *const refusals[] = {"oken", "uthoriz", "uthentic", "run over your",
                                           "ermission"};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        refusal = refusal || str_contains(words, refusals[i]);
    decode_error(out, words, ticker_in(words), refusal);
}

struct str tiingo_error_text(const char *text, size_t len)
{
    struct str words = str_trim((struct str){text, len});
    bool json = words.n && (words.p[0] == '[' || words.p[0] == '{');
    return json ? (struct str){NULL, 0} : words;
}

/* The frames that are not data. */
static void control(struct str type, yyjson_val *response, struct decoded *out)
{
    struct str code = json_token(yyjson_obj_get(response, "code"));
    struct str words = json_string(yyjson_obj_get(response, "message"));
    bool fine = code.n == 0 || str_is(code, "200");
    if (!fine || str_is(type, "E")) {
        char text[600];
        int n = snprintf(text, sizeof text, "%.*s%s%.*s", (int)(code.n < 20 ? code.n : 20),
                         code.p ? code.p : "", code.n ? " " : "",
                         (int)(words.n < 500 ? words.n : 500), words.p ? words.p : "");
        tiingo_error(out, (struct str){text, (size_t)n},
                     str_is(code, "401") || str_is(code, "403"));
    } else if (str_is(type, "H")) {
        out->class = FRAME_HEARTBEAT;
    } else if (str_is(type, "I")) {
        out->class = FRAME_ACK;
    } else {
        /* "U" and "D" (update, delete) are documented and never seen for crypto: kept as raw bytes. */
        decode_bad(out, DEAD_UNKNOWN, "messageType \"%.*s\" is not known",
                   (int)(type.n < 20 ? type.n : 20), type.p ? type.p : "");
    }
}

static void decode(struct venue_session *s, char *frame, size_t len, int64_t received_ns,
                   struct decoded *out)
{
    decode_begin(s, received_ns, out);
    struct str text = tiingo_error_text(frame, len);
    if (text.n) {
        tiingo_error(out, text, false);
        return;
    }
    yyjson_val *root = decode_json(s, frame, len, out);
    if (!root) return;
    static const struct json_key keys[] = {JSON_KEY("service"), JSON_KEY("messageType"),
                                           JSON_KEY("data"), JSON_KEY("response")};
    yyjson_val *v[4];
    if (!json_members(root, keys, 4, v)) {
        decode_bad(out, DEAD_MALFORMED, "no object, or a member stands twice");
        return;
    }
    struct str type = json_string(v[1]);
    struct str detail = v[1] ? (struct str){NULL, 0} : json_string(yyjson_obj_get(root, "detail"));
    if (detail.n)
        tiingo_error(out, detail, false);
    else if (!str_eq(type, STR("A")))
        control(type, v[3], out);
    else if (yyjson_is_arr(v[2]))
        data(s, v[2], out);
    else
        decode_bad(out, DEAD_MALFORMED, "data: expected an array, found %s",
                   v[2] ? yyjson_get_type_desc(v[2]) : "nothing");
}

/* Level 2 is quotes and trades, 5 trades alone. The very first subscribe must name its tickers: a bare one is "*" for ever. */
static size_t encode_subscribe(const struct subscription *subs, size_t count, int64_t request_id,
                               struct str token, struct buf *frame)
{
    (void)request_id;
    struct map seen;
    map_init(&seen, SERIES_LIMIT);
    bool quotes = false;
    for (size_t i = 0; i < count; i++) quotes = quotes || subs[i].stream == STREAM_QUOTE;
    buf_add_cstr(frame, "{\"eventName\":\"subscribe\",\"authorization\":");
    buf_add_json(frame, token);
    buf_addf(frame, ",\"eventData\":{\"thresholdLevel\":%d,\"tickers\":[", quotes ? 2 : 5);
    size_t given = 0;
    for (size_t i = 0; i < count; i++) {
        if (map_get(&seen, subs[i].venue_symbol) != MAP_NONE) continue;
        map_put(&seen, subs[i].venue_symbol, 1);
        if (given++) buf_add_byte(frame, ',');
        buf_add_json(frame, subs[i].venue_symbol);
    }
    buf_add_cstr(frame, "]}}");
    map_free(&seen);
    return count;
}

static const char *const hosts[] = {"api.tiingo.com", NULL};

const struct venue venue_tiingo = {
    .name = "tiingo",
    .hosts = hosts,
    /* USD before BUSD and TUSD: "bnbusd" is BNB-USD. */
    .quote_currencies =
        "USDT USDC FDUSD USD EUR GBP JPY KRW TRY BRL AUD CAD CHF BTC ETH BNB DAI BUSD TUSD",
    .pair_lower_case = true,
    .ws_url = "wss://api.tiingo.com/crypto",
    .rest_url = "https://api.tiingo.com",
    .documentation = "https://www.tiingo.com/documentation/websockets/crypto",
    .streams = 1u << STREAM_TRADE | 1u << STREAM_QUOTE,
    .consecutive = 0,
    .default_tape = STREAM_TRADE,
    .pure_trade_candle = false,
    .needs_token = true,
    .subscribes_all = true,
    .keep_alive = KEEP_ALIVE_SERVER_PINGS,
    .silence_ms = 65000, /* two heartbeats of 30 s missed */
    /* A second subscribe frame needs the id of the first one's answer: all tickers go into the first. */
    .subscriptions_per_frame = 40000,
    .subscribe_interval_ms = 1000,
    .connects_per_minute = 10,
    .encode_subscribe = encode_subscribe,
    .decode = decode,
    .instruments_request = tiingo_instruments_request,
    .instruments_answer = tiingo_instruments_answer,
    .decode_rest = tiingo_decode_rest,
    .history = &tiingo_history,
};
