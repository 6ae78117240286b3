/* Binance's REST answers: trades, historicalTrades, aggTrades, klines, exchangeInfo. Spot and USD-M differ in the path
 * only ("/api/v3/", "/fapi/v1/"). Rows of trades and aggTrades come oldest first. */
#include "venue/binance_common.h"
#include "venue/rest.h"

/* {"id":28457,"price":"4.00","qty":"12","quoteQty":"48","time":1499865549590,"isBuyerMaker":true,"isBestMatch":true} */
static void trade_row(struct venue_session *s, yyjson_val *row, struct str symbol,
                      struct decoded *out)
{
    static const struct json_key keys[] = {JSON_KEY("id"), JSON_KEY("price"), JSON_KEY("qty"),
                                           JSON_KEY("time"), JSON_KEY("isBuyerMaker")};
    static const uint8_t fields[] = {BINANCE_t, BINANCE_p, BINANCE_q, BINANCE_T, BINANCE_m};
    yyjson_val *values[sizeof fields];
    struct binance_event ev = {.twice = !json_members(row, keys, sizeof fields, values)};
    for (size_t i = 0; i < sizeof fields; i++) ev.f[fields[i]] = values[i];
    binance_trade(s, &ev, STREAM_TRADE, symbol, out);
}

static void trades(struct venue_session *s, yyjson_val *rows, struct str symbol, bool aggregates,
                   struct decoded *out)
{
    size_t i, n;
    yyjson_val *row;
    yyjson_arr_foreach(rows, i, n, row)
    {
        struct binance_event ev;
        if (!aggregates) {
            trade_row(s, row, symbol, out);
            continue;
        }
        binance_event(row, &ev);
        binance_trade(s, &ev, STREAM_AGG_TRADE, symbol, out);
    }
}

static void klines(struct venue_session *s, yyjson_val *rows, struct str symbol, struct str width,
                   struct decoded *out)
{
    static const struct rest_candle_layout layout = {.time = 0,
                                                     .open = 1,
                                                     .high = 2,
                                                     .low = 3,
                                                     .close = 4,
                                                     .base_volume = 5,
                                                     .quote_volume = 7,
                                                     .trades = 8,
                                                     .taker_base = 9,
                                                     .taker_quote = 10,
                                                     .time_unit_ns = NS_PER_MS};
    int timeframe = timeframe_of_text(width);
    rest_candles(s, rows, &(struct rest_candles){symbol, timeframe, width, &layout}, out);
}

void binance_decode_rest(struct venue_session *s, struct str path, char *body, size_t len,
                         int64_t received_ns, struct decoded *out)
{
    decode_begin(s, received_ns, out);
    yyjson_val *root = decode_json(s, body, len, out);
    if (!root) return;
    char symbol_text[NAMES_TEXT_MAX], width_text[16];
    struct str symbol = rest_query(path, "symbol", symbol_text, sizeof symbol_text);
    struct str name = rest_path(path);
    bool aggregates = str_ends(name, "/aggTrades"), candles = str_ends(name, "/klines");
    bool rows =
        aggregates || candles || str_ends(name, "/trades") || str_ends(name, "/historicalTrades");
    if (yyjson_is_obj(root) && binance_error(root, symbol, out)) return;
    if (!rows)
        out->class = FRAME_IGNORED;
    else if (!yyjson_is_arr(root))
        decode_bad(out, DEAD_MALFORMED, "expected an array of rows, found %s",
                   yyjson_get_type_desc(root));
    else if (candles)
        klines(s, root, symbol, rest_query(path, "interval", width_text, sizeof width_text), out);
    else
        trades(s, root, symbol, aggregates, out);
}

enum err_code binance_instruments(struct instruments *in, char *body, size_t len,
                                  bool (*one)(struct instruments *in, yyjson_val *entry),
                                  struct err *e)
{
    struct json j;
    json_init(&j);
    enum err_code code = ERR_PARSE;
    yyjson_val *root = json_read(&j, body, len, e);
    struct str words = json_string(yyjson_obj_get(root, "msg"));
    if (words.n)
        code = ERR(e, ERR_PARSE, "%s answered: %.*s", in->venue->name, STR_ARG(words));
    else if (root)
        code =
            instruments_read(in, yyjson_obj_get(root, "symbols"), "exchangeInfo.symbols", one, e);
    json_free(&j);
    return code;
}
