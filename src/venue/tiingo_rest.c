/* Tiingo's REST answers: metadata, bars (/tiingo/crypto/prices), top of book (/tiingo/crypto/top).
 *
 * Bars      aggregates over exchanges, printed doubles: derived values, so they are rounded once, half-even, at the 18th
 *           decimal. volumeNotional is close times volume, an approximation. Bars of single exchanges ("exchangeData") are
 *           not read: the lake's candles are per venue.
 * Top       the composite takes the best bid and the best ask over exchanges without looking at their age; it may be crossed
 *           and months old. It is a quote of exchange "tiingo"; the rows of single exchanges are quotes of theirs.
 * Case      exchange names are in upper case here and in lower case on the socket: lower case in both for us.
 */
#include "venue/tiingo_common.h"

#include "venue/rest.h"

#include <stdio.h>

/* The digits of a token without the point, at most 38 significant, and the power of ten of the last one. */
static bool take_digits(struct str token, u128 *ret_digits, int *ret_count, int64_t *ret_exponent)
{
    u128 digits = 0;
    int count = 0;
    int64_t fraction = 0, exponent = 0;
    bool dot = false;
    size_t i = 0;
    for (; i < token.n; i++) {
        char c = token.p[i];
        if (c == '.') {
            dot = true;
            continue;
        }
        if (c < '0' || c > '9') break;
        if (count == 38) return false;
        digits = digits * 10 + (unsigned)(c - '0');
        count += digits != 0;
        fraction += dot;
    }
    if (i < token.n) {
        struct str rest = {token.p + i + 1, token.n - i - 1};
        if (rest.n && rest.p[0] == '+') rest = (struct str){rest.p + 1, rest.n - 1};
        if (str_to_i64(rest, &exponent) || exponent > 1000 || exponent < -1000) return false;
    }
    *ret_digits = digits;
    *ret_count = count;
    *ret_exponent = exponent - fraction;
    return true;
}

/* The lake's form of a printed double, rounded half-even at the 18th decimal where it has more. */
static enum err_code lake_rounded(struct str token, i128 *ret)
{
    enum err_code code = dec_parse_lake(token, ret);
    if (code != ERR_INEXACT) return code;
    bool negative = token.n && token.p[0] == '-';
    if (negative) token = (struct str){token.p + 1, token.n - 1};
    u128 digits;
    int count;
    int64_t exponent;
    if (!take_digits(token, &digits, &count, &exponent)) return ERR_INEXACT;
    int64_t drop = -(exponent + DEC_SCALE_MAX);
    if (drop <= 0) return ERR_INEXACT; /* too large, not too fine */
    if (drop > count) {
        *ret = 0; /* less than a tenth of the last place */
        return ERR_OK;
    }
    u128 unit = dec_pow10_u128((int)drop), rest = digits % unit, half = unit / 2;
    u128 value = digits / unit;
    if (rest > half || (rest == half && value % 2 == 1)) value++;
    *ret = negative ? -(i128)value : (i128)value;
    return ERR_OK;
}

static void rounded(struct reading *r, yyjson_val *v, const char *name, i128 *ret)
{
    if (r->failed) return;
    struct str token = json_token(v);
    enum err_code code = lake_rounded(token, ret);
    if (code)
        reading_fail(r, code == ERR_INEXACT ? DEAD_INEXACT : DEAD_MALFORMED,
                     "%s: expected a number of at most 38 digits, found \"%.*s\"", name,
                     (int)(token.n < 60 ? token.n : 60), token.p ? token.p : "");
}

static void rounded_if_there(struct reading *r, yyjson_val *v, const char *name, bool *ret_has,
                             i128 *ret)
{
    *ret_has = v && !yyjson_is_null(v);
    if (*ret_has) rounded(r, v, name, ret);
}

static void bar(struct venue_session *s, yyjson_val *row, struct str ticker, int timeframe,
                struct decoded *out)
{
    static const struct json_key keys[] = {
        JSON_KEY("date"),  JSON_KEY("open"),   JSON_KEY("high"),           JSON_KEY("low"),
        JSON_KEY("close"), JSON_KEY("volume"), JSON_KEY("volumeNotional"), JSON_KEY("tradesDone")};
    yyjson_val *v[8];
    struct reading r;
    struct venue_candle *vc = reading_candle(&r, s, out);
    if (!vc) return;
    struct candle *c = &vc->c;
    c->timeframe = (uint8_t)timeframe;
    bool once = json_members(row, keys, 8, v);
    reading_symbol(&r, ticker, STR(""));
    if (!once) reading_fail(&r, DEAD_MALFORMED, "no object, or a field stands twice");
    reading_iso(&r, v[0], "date", &c->open_time_ns);
    rounded(&r, v[1], "open", &c->open);
    rounded(&r, v[2], "high", &c->high);
    rounded(&r, v[3], "low", &c->low);
    rounded(&r, v[4], "close", &c->close);
    rounded_if_there(&r, v[5], "volume", &c->has_base_volume, &c->base_volume);
    rounded_if_there(&r, v[6], "volumeNotional", &c->has_quote_volume, &c->quote_volume);
    struct dec trades; /* documented as an integer, printed as "284.0" */
    if (json_dec(v[7], &trades) == ERR_OK && trades.scale == 0) c->trade_count = trades.digits;
    rest_candle_complete(&r);
    reading_end(&r);
}

/* "1min" "5min" "1hour" "1day" to a timeframe, or -1. */
static int timeframe_of(struct str width)
{
    size_t n = 0;
    while (n < width.n && width.p[n] >= '0' && width.p[n] <= '9') n++;
    int64_t count;
    if (n > 6 || str_to_i64((struct str){width.p, n}, &count)) return -1;
    char unit[8] = "";
    if (width.n - n >= sizeof unit) return -1;
    names_lower((struct str){width.p + n, width.n - n}, unit);
    int64_t seconds = strcmp(unit, "min") == 0    ? 60
                      : strcmp(unit, "hour") == 0 ? 3600
                      : strcmp(unit, "day") == 0  ? 86400
                                                  : 0;
    return rest_timeframe(count * seconds);
}

static void quote_row(struct venue_session *s, yyjson_val *row, struct str ticker, bool composite,
                      struct decoded *out)
{
    static const struct json_key keys[] = {JSON_KEY("quoteTimestamp"),   JSON_KEY("bidSize"),
                                           JSON_KEY("bidPrice"),         JSON_KEY("askSize"),
                                           JSON_KEY("askPrice"),         JSON_KEY("exchangeCode"),
                                           JSON_KEY("quoteTimestampStr")};
    yyjson_val *v[7];
    char exchange[NAMES_TEXT_MAX];
    struct reading r;
    struct quote *q = reading_quote(&r, s, out);
    if (!q) return;
    bool once = json_members(row, keys, 7, v);
    struct str code = composite ? STR("") : json_string(v[5]);
    if (code.n > sizeof exchange) code.n = sizeof exchange;
    names_lower(code, exchange);
    reading_symbol(&r, ticker, (struct str){exchange, code.n});
    if (!once) reading_fail(&r, DEAD_MALFORMED, "no object, or a field stands twice");
    if (!composite && !code.n) reading_fail(&r, DEAD_MALFORMED, "exchangeCode: expected a text");
    reading_iso(&r, v[0] ? v[0] : v[6], "quoteTimestamp", &q->venue_time_ns);
    reading_side(&r, v[2], v[1], "bid", &q->bid_price, &q->bid_size);
    reading_side(&r, v[4], v[3], "ask", &q->ask_price, &q->ask_size);
    reading_end(&r);
}

static void quote_rows(struct venue_session *s, yyjson_val *rows, struct str ticker, bool composite,
                       struct decoded *out)
{
    size_t i, n;
    yyjson_val *row;
    if (!yyjson_is_arr(rows)) return;
    yyjson_arr_foreach(rows, i, n, row) quote_row(s, row, ticker, composite, out);
}

static void top(struct venue_session *s, yyjson_val *entry, struct str ticker, struct decoded *out)
{
    quote_rows(s, yyjson_obj_get(entry, "topOfBookData"), ticker, true, out);
    yyjson_val *exchanges = yyjson_obj_get(entry, "exchangeData");
    size_t i, n;
    yyjson_val *key, *rows;
    if (!yyjson_is_obj(exchanges)) return;
    yyjson_obj_foreach(exchanges, i, n, key, rows) quote_rows(s, rows, ticker, false, out);
}

static void bars_of(struct venue_session *s, yyjson_val *entry, struct str ticker, int timeframe,
                    struct decoded *out)
{
    yyjson_val *rows = yyjson_obj_get(entry, "priceData");
    size_t i, n;
    yyjson_val *row;
    if (!yyjson_is_arr(rows)) return;
    yyjson_arr_foreach(rows, i, n, row) bar(s, row, ticker, timeframe, out);
}

void tiingo_decode_rest(struct venue_session *s, struct str path, char *body, size_t len,
                        int64_t received_ns, struct decoded *out)
{
    decode_begin(s, received_ns, out);
    struct str text = tiingo_error_text(body, len);
    if (text.n) {
        tiingo_error(out, text, false);
        return;
    }
    yyjson_val *root = decode_json(s, body, len, out);
    if (!root) return;
    struct str detail = json_string(yyjson_obj_get(root, "detail"));
    struct str name = rest_path(path);
    if (name.n && name.p[name.n - 1] == '/') name.n--;
    bool bars = str_ends(name, "/crypto/prices"), tops = str_ends(name, "/crypto/top");
    char width_text[16];
    struct str width = rest_query(path, "resampleFreq", width_text, sizeof width_text);
    int timeframe = timeframe_of(width.n ? width : STR("5min"));
    if (detail.n) {
        tiingo_error(out, detail, false);
    } else if (!bars && !tops) {
        out->class = FRAME_IGNORED;
    } else if (!yyjson_is_arr(root)) {
        decode_bad(out, DEAD_MALFORMED, "expected an array of tickers");
    } else if (bars && timeframe < 0) {
        rest_refuse_width(out, STR(""), width);
    } else {
        size_t i, n;
        yyjson_val *entry;
        yyjson_arr_foreach(root, i, n, entry)
        {
            struct str ticker = json_string(yyjson_obj_get(entry, "ticker"));
            if (tops)
                top(s, entry, ticker, out);
            else
                bars_of(s, entry, ticker, timeframe, out);
        }
    }
}

bool tiingo_instruments_request(int page, struct str token, struct venue_request *ret)
{
    if (page != 0) return false;
    *ret = (struct venue_request){.path = "/tiingo/crypto?format=json"};
    snprintf(ret->header, sizeof ret->header, "Authorization: Token %.*s", STR_ARG(token));
    return true;
}

static bool one_instrument(struct instruments *in, yyjson_val *entry)
{
    static const struct json_key keys[] = {JSON_KEY("ticker"), JSON_KEY("baseCurrency"),
                                           JSON_KEY("quoteCurrency")};
    yyjson_val *v[3];
    if (!json_members(entry, keys, 3, v)) return false;
    struct instrument i = {.venue_symbol = json_string(v[0]),
                           .status = STR(""),
                           .contract_size = dec_absent(),
                           .listed_ns = TIME_ABSENT,
                           .delisted_ns = TIME_ABSENT};
    struct venue_symbol_parts parts = {.base = json_string(v[1]), .quote = json_string(v[2])};
    return instruments_give(in, &i, &parts);
}

enum err_code tiingo_instruments_answer(char *body, size_t len,
                                        void (*each)(void *ctx, const struct instrument *i),
                                        void *ctx, struct err *e)
{
    struct str text = tiingo_error_text(body, len);
    if (text.n)
        return ERR(e, ERR_PARSE, "tiingo answered: %.*s", (int)(text.n < 300 ? text.n : 300),
                   text.p);
    struct instruments in = {.venue = &venue_tiingo, .each = each, .ctx = ctx};
    struct json j;
    json_init(&j);
    enum err_code code = ERR_PARSE;
    yyjson_val *root = json_read(&j, body, len, e);
    struct str detail = json_string(yyjson_obj_get(root, "detail"));
    if (detail.n)
        code = ERR(e, ERR_PARSE, "tiingo answered: %.*s", STR_ARG(detail));
    else if (root)
        code = instruments_read(&in, yyjson_is_arr(root) ? root : NULL, "the answer",
                                one_instrument, e);
    json_free(&j);
    return code;
}
