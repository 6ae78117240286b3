/* Binance USD-M futures. The protocol is in binance_common.c; here are its addresses, limits, and instruments.
 *
 * Address   Since 2026-04-23 the host has one entry for each class of stream, and the old bare paths are retired: /public
 *           carries trade, bookTicker and depth, /market carries aggTrade and klines [Binance's change notice]. The
 *           default is /public, with the default tape; for agg_trade set venues[].ws_url to
 *           wss://fstream.binance.com/market/ws.
 * Limits    10 messages a second to the server; 1024 streams a connection; closed at 24 hours; a ping frame each 3
 *           minutes. [documentation]
 * Symbols   BTCUSDT perpetual, BTCUSDT_210924 dated. Sizes are in the base currency.
 */
#include "venue/binance_common.h"
#include "venue/history.h"

#include <stdio.h>

/* What Binance writes as the delivery date of a contract that has none: 2100-12-25. */
#define NEVER_DELIVERED INT64_C(4133404800000000000)

static bool instruments_request(int page, struct str token, struct venue_request *ret)
{
    (void)token;
    if (page != 0) return false;
    *ret = (struct venue_request){.path = "/fapi/v1/exchangeInfo"};
    return true;
}

/* "-20210924" of a delivery time. */
static void dated_suffix(int64_t delivery_ns, struct venue_symbol_parts *parts)
{
    char text[TIME_TEXT_MAX];
    time_format(delivery_ns, text);
    snprintf(parts->suffix, sizeof parts->suffix, "-%.4s%.2s%.2s", text, text + 5, text + 8);
}

static bool one_instrument(struct instruments *in, yyjson_val *entry)
{
    static const struct json_key keys[] = {JSON_KEY("symbol"),       JSON_KEY("contractType"),
                                           JSON_KEY("deliveryDate"), JSON_KEY("onboardDate"),
                                           JSON_KEY("status"),       JSON_KEY("baseAsset"),
                                           JSON_KEY("quoteAsset"),   JSON_KEY("marginAsset")};
    yyjson_val *v[8];
    if (!json_members(entry, keys, 8, v)) return false;
    struct instrument i = {.venue_symbol = json_string(v[0]),
                           .status = json_string(v[4]),
                           .settle = json_string(v[7]),
                           .contract_size = dec_normal(1, 0),
                           .listed_ns = instruments_time_ms(v[3]),
                           .delisted_ns = instruments_time_ms(v[2])};
    if (i.delisted_ns == NEVER_DELIVERED) i.delisted_ns = TIME_ABSENT;
    struct venue_symbol_parts parts = {.base = json_string(v[5]), .quote = json_string(v[6])};
    /* PERPETUAL, TRADIFI_PERPETUAL, PERPETUAL_DELIVERING; a contract not yet opened may have no type at all. */
    struct str type = json_string(v[1]);
    if (type.n == 0 || str_contains(type, "PERPETUAL"))
        memcpy(parts.suffix, "-PERP", 6);
    else if (i.delisted_ns != TIME_ABSENT)
        dated_suffix(i.delisted_ns, &parts);
    else
        return false;
    return instruments_give(in, &i, &parts);
}

extern const struct venue venue_binance_futures;

static enum err_code instruments_answer(char *body, size_t len,
                                        void (*each)(void *ctx, const struct instrument *i),
                                        void *ctx, struct err *e)
{
    struct instruments in = {.venue = &venue_binance_futures, .each = each, .ctx = ctx};
    return binance_instruments(&in, body, len, one_instrument, e);
}

static const char quote_currencies[] = "USDT USDC FDUSD BUSD USD1 BTC ETH";

/* "BTCUSDT" -> BTC-USDT-PERP, "BTCUSDT_210924" -> BTC-USDT-20210924. */
static bool split_symbol(struct str venue_symbol, struct venue_symbol_parts *ret)
{
    struct str date = venue_symbol;
    struct str pair = str_cut(&date, '_');
    if (!names_split(quote_currencies, pair, ret)) return false;
    if (date.n == 0)
        memcpy(ret->suffix, "-PERP", 6);
    else if (date.n == 6)
        snprintf(ret->suffix, sizeof ret->suffix, "-20%.6s", date.p);
    else
        return false;
    return true;
}

static const char *const hosts[] = {"fstream.binance.com", "fstream-auth.binance.com",
                                    "fapi.binance.com", NULL};

const struct venue venue_binance_futures = {
    .name = "binance_futures",
    .hosts = hosts,
    .quote_currencies = quote_currencies,
    .ws_url = "wss://fstream.binance.com/public/ws",
    .rest_url = "https://fapi.binance.com",
    .documentation = "https://developers.binance.com/docs/derivatives/usds-margined-futures",
    .streams = 1u << STREAM_TRADE | 1u << STREAM_AGG_TRADE | 1u << STREAM_QUOTE,
    .consecutive = 1u << STREAM_TRADE | 1u << STREAM_AGG_TRADE,
    .default_tape = STREAM_TRADE,
    .pure_trade_candle = true,
    .keep_alive = KEEP_ALIVE_SERVER_PINGS,
    .silence_ms = 200000,
    .lifetime_ms = 86400000,
    .subscriptions_per_connection = 1024,
    .subscriptions_per_frame = 200,
    .subscribe_interval_ms = 250,
    .connects_per_minute = 60,
    .encode_subscribe = binance_encode_subscribe,
    .split_symbol = split_symbol,
    .decode = binance_decode,
    .instruments_request = instruments_request,
    .instruments_answer = instruments_answer,
    .decode_rest = binance_decode_rest,
    .history = &binance_futures_history,
};
