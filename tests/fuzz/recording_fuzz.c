/* Any bytes as a recording: every reader, every unpacker. The first byte picks the file's name
 * (some formats read symbol and timeframe from it) and --venue; the rest is the file. Reading ends,
 * items are bounded, padding is zero. */
#include "recording/reader.h"

static const char *const names[] = {
    "recording",
    "BTCUSDT-1m-2024-08-08.csv",
    "binance/XRP_ETH-1m.json",
    "binance/XRP_ETH-trades.json",
    "coinbase/20161007_btcusd_minute_trade.csv",
    "binance.public.json",
    "KRAKEN.ws.48.0",
    "futures/um/ETHUSDT-1h-2024.csv",
};
static const char *const hints[] = {"", "binance", "kraken", "tiingo"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct str bytes = {(const char *)data + 1, size - 1};
    const char *name = names[data[0] % (sizeof names / sizeof names[0])];
    struct str hint = str_of(hints[data[0] / 8 % (sizeof hints / sizeof hints[0])]);
    struct recording *r;
    struct err e = {0};
    if (recording_open_bytes(name, bytes, hint, &r, &e) != ERR_OK) {
        CHECK(e.text[0] != 0);
        return 0;
    }
    struct recording_item item;
    int64_t damaged = 0;
    for (int64_t items = 1;; items++) {
        enum err_code code = recording_next(r, &item, &e);
        if (code == ERR_NOT_FOUND) break;
        CHECK(item.number == items);
        if (code != ERR_OK) {
            CHECK(e.text[0] != 0);
            damaged++;
            continue;
        }
        CHECK(item.venue.n <= UINT16_MAX);
        if (item.kind >= RECORDING_TRADE || !item.bytes) continue;
        for (int i = 0; i < VENUE_PADDING; i++) CHECK(item.bytes[item.len + (size_t)i] == 0);
    }
    /* Nothing follows the end. */
    CHECK(recording_next(r, &item, &e) == ERR_NOT_FOUND);
    recording_close(r);
    return 0;
}
