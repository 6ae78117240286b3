/* Binance spot. The protocol is in binance_common.c; here are its addresses, limits, and instruments.
 *
 * Limits    5 messages a second to the server, pings and pongs included (so one subscribe frame each 250 ms leaves room);
 *           1024 streams a connection; 300 connection attempts per 5 minutes; closed at 24 hours; a ping frame each 20 s.
 *           [documentation, 2026-07]
 * Unknown   Whether an unknown symbol is acknowledged in silence: watch for symbols without data.
 */
#include "venue/binance_common.h"
#include "venue/history.h"

#include <stdio.h>

static bool instruments_request(int page, struct str token, struct venue_request *ret)
{
    (void)token;
    if (page != 0) return false;
    *ret = (struct venue_request){.path = "/api/v3/exchangeInfo"};
    return true;
}

static bool one_instrument(struct instruments *in, yyjson_val *entry)
{
    static const struct json_key keys[] = {JSON_KEY("symbol"), JSON_KEY("status"),
                                           JSON_KEY("baseAsset"), JSON_KEY("quoteAsset")};
    yyjson_val *v[4];
    if (!json_members(entry, keys, 4, v)) return false;
    struct instrument i = {.venue_symbol = json_string(v[0]),
                           .status = json_string(v[1]),
                           .contract_size = dec_absent(),
                           .listed_ns = TIME_ABSENT,
                           .delisted_ns = TIME_ABSENT};
    struct venue_symbol_parts parts = {.base = json_string(v[2]), .quote = json_string(v[3])};
    return instruments_give(in, &i, &parts);
}

extern const struct venue venue_binance;

static enum err_code instruments_answer(char *body, size_t len,
                                        void (*each)(void *ctx, const struct instrument *i),
                                        void *ctx, struct err *e)
{
    struct instruments in = {.venue = &venue_binance, .each = each, .ctx = ctx};
    return binance_instruments(&in, body, len, one_instrument, e);
}

static const char *const hosts[] = {"stream.binance.com",      "data-stream.binance.vision",
                                    "api.binance.com",         "api1.binance.com",
                                    "api2.binance.com",        "api3.binance.com",
                                    "api4.binance.com",        "api-gcp.binance.com",
                                    "data-api.binance.vision", NULL};

const struct venue venue_binance = {
    .name = "binance",
    .hosts = hosts,
    .quote_currencies =
        "USDT FDUSD USDC TUSD BUSD USDP USDS USD1 XUSD PAX DAI AEUR EURI EUR GBP AUD TRY "
        "BRL RUB UAH NGN ZAR PLN RON ARS JPY MXN COP CZK IDRT IDR BIDR BVND VAI UST BTC "
        "ETH BNB XRP TRX DOGE DOT SOL",
    .ws_url = "wss://stream.binance.com:9443/ws",
    .rest_url = "https://api.binance.com",
    .documentation = "https://github.com/binance/binance-spot-api-docs",
    .streams =
        1u << STREAM_TRADE | 1u << STREAM_AGG_TRADE | 1u << STREAM_BLOCK_TRADE | 1u << STREAM_QUOTE,
    .consecutive = 1u << STREAM_TRADE | 1u << STREAM_AGG_TRADE,
    .default_tape = STREAM_TRADE,
    .pure_trade_candle = true,
    .keep_alive = KEEP_ALIVE_SERVER_PINGS,
    .silence_ms = 70000,
    .lifetime_ms = 86400000,
    .subscriptions_per_connection = 1024,
    .subscriptions_per_frame = 200,
    .subscribe_interval_ms = 250,
    .connects_per_minute = 60,
    .encode_subscribe = binance_encode_subscribe,
    .decode = binance_decode,
    .instruments_request = instruments_request,
    .instruments_answer = instruments_answer,
    .decode_rest = binance_decode_rest,
    .history = &binance_history,
};
