/* Kraken's names and REST answers: AssetPairs, Trades, OHLC. They are {"error":["EGeneral:..."],"result":{...}}; the key of
 * the result is Kraken's own name of the pair, whatever was asked for. */
#include "venue/kraken_common.h"

#include "venue/rest.h"

/* XBT and XDG are Kraken's old words for what everybody calls BTC and DOGE. */
static struct str currency(struct str code)
{
    if (str_eq(code, STR("XBT"))) return STR("BTC");
    if (str_eq(code, STR("XDG"))) return STR("DOGE");
    return code;
}

static bool is_class(char c) { return c == 'X' || c == 'Z'; }

/* "XXBTZUSD": X stands before old crypto codes and Z before state currencies, three letters each. */
static bool split_classed(struct str pair, struct venue_symbol_parts *ret)
{
    if (pair.n != 8 || !is_class(pair.p[0]) || !is_class(pair.p[4])) return false;
    *ret = (struct venue_symbol_parts){.base = {pair.p + 1, 3}, .quote = {pair.p + 5, 3}};
    return true;
}

static struct str strip_class(struct str code)
{
    if (code.n == 4 && is_class(code.p[0])) return (struct str){code.p + 1, 3};
    return code;
}

bool kraken_split_symbol(struct str venue_symbol, struct venue_symbol_parts *ret)
{
    if (!names_split_at(venue_symbol, '/', ret) && !split_classed(venue_symbol, ret)) {
        if (!names_split(venue_kraken.quote_currencies, venue_symbol, ret)) return false;
        ret->quote = strip_class(ret->quote);
    }
    ret->base = currency(ret->base);
    ret->quote = currency(ret->quote);
    return true;
}

struct str kraken_name(struct str pair, char *text)
{
    struct venue_symbol_parts parts;
    if (!kraken_split_symbol(pair, &parts)) return pair;
    if (parts.base.n + 1 + parts.quote.n >= NAMES_TEXT_MAX) return pair;
    memcpy(text, parts.base.p, parts.base.n);
    text[parts.base.n] = '/';
    memcpy(text + parts.base.n + 1, parts.quote.p, parts.quote.n);
    return (struct str){text, parts.base.n + 1 + parts.quote.n};
}

bool kraken_refusal(struct str words)
{
    return str_starts(words, "EAuth") || str_starts(words, "EAPI:Invalid key") ||
           str_contains(words, "Permission denied");
}

void kraken_trade_row(struct venue_session *s, yyjson_val *row, struct str pair,
                      struct decoded *out)
{
    enum { PRICE, VOLUME, TIME, SIDE, TYPE, MISC, ID, FIELDS };
    char text[NAMES_TEXT_MAX];
    struct reading r;
    struct trade *t = reading_trade(&r, s, out, STREAM_TRADE);
    if (!t) return;
    reading_symbol(&r, kraken_name(pair, text), STR(""));
    yyjson_val *v[FIELDS] = {NULL};
    size_t i, n;
    yyjson_val *value;
    if (!yyjson_is_arr(row)) reading_fail(&r, DEAD_MALFORMED, "expected an array of fields");
    yyjson_arr_foreach(row, i, n, value) if (i < FIELDS) v[i] = value;
    reading_price(&r, v[PRICE], "price", &t->price);
    reading_size(&r, v[VOLUME], "volume", &t->size);
    reading_time(&r, v[TIME], "time", NS_PER_S, &t->venue_time_ns);
    struct str side = json_string(v[SIDE]);
    if (str_eq(side, STR("b")))
        t->side = SIDE_BUY;
    else if (str_eq(side, STR("s")))
        t->side = SIDE_SELL;
    else
        reading_fail(&r, DEAD_MALFORMED, "side: expected b or s");
    if (v[ID]) reading_id(&r, v[ID], "id", true);
    reading_end(&r);
}

static void candles(struct venue_session *s, yyjson_val *rows, struct str pair, struct str path,
                    struct decoded *out)
{
    static const struct rest_candle_layout layout = {.time = 0,
                                                     .open = 1,
                                                     .high = 2,
                                                     .low = 3,
                                                     .close = 4,
                                                     .base_volume = 6,
                                                     .quote_volume = -1,
                                                     .trades = 7,
                                                     .taker_base = -1,
                                                     .taker_quote = -1,
                                                     .time_unit_ns = NS_PER_S};
    char width_text[16], name[NAMES_TEXT_MAX];
    struct str width = rest_query(path, "interval", width_text, sizeof width_text);
    int64_t minutes = 1; /* the default */
    if (width.n && (str_to_i64(width, &minutes) || minutes > 100000)) minutes = 0;
    int timeframe = rest_timeframe(minutes * 60);
    struct str symbol = kraken_name(pair, name);
    rest_candles(s, rows, &(struct rest_candles){symbol, timeframe, width, &layout}, out);
}

static struct str first_error(yyjson_val *root)
{
    return json_string(yyjson_arr_get_first(yyjson_obj_get(root, "error")));
}

void kraken_decode_rest(struct venue_session *s, struct str path, char *body, size_t len,
                        int64_t received_ns, struct decoded *out)
{
    decode_begin(s, received_ns, out);
    yyjson_val *root = decode_json(s, body, len, out);
    if (!root) return;
    struct str name = rest_path(path), words = first_error(root);
    bool trades = str_ends(name, "/Trades"), bars = str_ends(name, "/OHLC");
    yyjson_val *result = yyjson_obj_get(root, "result");
    char pair_text[NAMES_TEXT_MAX];
    if (words.n) {
        decode_error(out, words, rest_query(path, "pair", pair_text, sizeof pair_text),
                     kraken_refusal(words));
        return;
    }
    if (!trades && !bars) {
        out->class = FRAME_IGNORED;
        return;
    }
    if (!yyjson_is_obj(result)) {
        decode_bad(out, DEAD_MALFORMED, "expected an object \"result\"");
        return;
    }
    size_t i, n, k, rows;
    yyjson_val *key, *value, *row;
    yyjson_obj_foreach(result, i, n, key, value)
    {
        struct str pair = {yyjson_get_str(key), yyjson_get_len(key)};
        if (!yyjson_is_arr(value)) continue; /* "last" */
        if (bars)
            candles(s, value, pair, path, out);
        else
            yyjson_arr_foreach(value, k, rows, row) kraken_trade_row(s, row, pair, out);
    }
}

bool kraken_instruments_request(int page, struct str token, struct venue_request *ret)
{
    (void)token;
    if (page != 0) return false;
    *ret = (struct venue_request){.path = "/0/public/AssetPairs"};
    return true;
}

/* Dark pools ("XXBTZUSD.d") have no wsname and no public feed: passed over. */
static bool one_instrument(struct instruments *in, yyjson_val *entry)
{
    static const struct json_key keys[] = {JSON_KEY("wsname"), JSON_KEY("status")};
    yyjson_val *v[2];
    char name[NAMES_TEXT_MAX];
    struct venue_symbol_parts parts;
    if (!json_members(entry, keys, 2, v)) return false;
    struct str wsname = json_string(v[0]);
    if (!names_split_at(wsname, '/', &parts)) return false;
    parts.base = currency(parts.base);
    parts.quote = currency(parts.quote);
    struct instrument i = {.venue_symbol = kraken_name(wsname, name),
                           .status = json_string(v[1]),
                           .contract_size = dec_absent(),
                           .listed_ns = TIME_ABSENT,
                           .delisted_ns = TIME_ABSENT};
    return instruments_give(in, &i, &parts);
}

enum err_code kraken_instruments_answer(char *body, size_t len,
                                        void (*each)(void *ctx, const struct instrument *i),
                                        void *ctx, struct err *e)
{
    struct instruments in = {.venue = &venue_kraken, .each = each, .ctx = ctx};
    struct json j;
    json_init(&j);
    enum err_code code = ERR_PARSE;
    yyjson_val *root = json_read(&j, body, len, e);
    struct str words = first_error(root);
    if (words.n)
        code = ERR(e, ERR_PARSE, "kraken answered: %.*s", STR_ARG(words));
    else if (root)
        code = instruments_read(&in, yyjson_obj_get(root, "result"), "result", one_instrument, e);
    json_free(&j);
    return code;
}
