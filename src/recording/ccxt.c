/* ccxt's unified trades and candles as freqtrade stores them, JSON arrays of any length, read
 * element by element.
 *
 *   [[1570752011620,"13519807",null,"sell",0.00141342,23.0,0.03250866],...
 *       trades: ms, id, type, side, price, amount, cost
 *   [{"info":{"a":13519807,"p":"0.00141342",...},"timestamp":...,"symbol":"XRP/ETH",...},...
 *       trades with the venue's answer
 *   [[1570752000000,0.00141342,0.00141557,0.00141266,0.00141418,1482.0],...
 *       candles: ms, open, high, low, close, volume
 *
 * "info" is Binance's own aggTrade and is what is read then; ccxt's own numbers went through a
 * float and are printed in its shortest form. Venue: --venue, else "info", else a folder of the
 * path ("binance/"). Symbol: "symbol", else the file's name (XRP_ETH-trades.json, XRP_ETH-1m.json;
 * a third part is the settlement of a futures market).
 */
#include "recording/json.h"
#include "recording/reader.h"

#include <stdlib.h>

enum { ELEMENT_MAX = 1 << 20 };

struct ccxt {
    int timeframe;
    bool futures;
    char base[40], quote[40];
    char symbol[96];
};

/* "XRP_ETH-1m.json.gz": what stands behind the dash is `what`. */
static bool parse_name(const char *name, struct ccxt *c, struct str *what)
{
    struct str rest = str_of(name);
    struct str pair = str_cut(&rest, '-');
    struct str base = str_cut(&pair, '_');
    struct str quote = str_cut(&pair, '_');
    c->futures = pair.n > 0;
    *what = str_cut(&rest, '.');
    return base.n && quote.n && what->n && str_copy(c->base, sizeof c->base, base) &&
           str_copy(c->quote, sizeof c->quote, quote);
}

/* Behind "[[" and 13 digits; *ret is what follows the comma. */
static bool first_row(struct str head, struct str *ret)
{
    head = str_trim(head);
    if (!str_starts(head, "[")) return false;
    head = str_trim((struct str){head.p + 1, head.n - 1});
    if (!str_starts(head, "[")) return false;
    head = str_trim((struct str){head.p + 1, head.n - 1});
    struct str time = str_trim(str_cut(&head, ','));
    int64_t ns;
    *ret = str_trim(head);
    return time.n == 13 && time_of_digits(time, &ns) == ERR_OK;
}

static bool probe_trades(const struct probe *p)
{
    struct str rest = str_trim(p->head);
    if (first_row(rest, &rest)) return str_starts(rest, "\"") || str_starts(rest, "null");
    rest = str_trim(p->head);
    if (!str_starts(rest, "[")) return false;
    rest = str_trim((struct str){rest.p + 1, rest.n - 1});
    return str_starts(rest, "{\"info\":") && str_contains(rest, "\"takerOrMaker\"");
}

static bool probe_candles(const struct probe *p)
{
    struct str rest, what;
    struct ccxt c;
    return first_row(p->head, &rest) && rest.n && rest.p[0] >= '0' && rest.p[0] <= '9' &&
           parse_name(p->name, &c, &what) && timeframe_of_text(what) >= 0;
}

static enum err_code open_file(struct recording *r, struct err *e)
{
    struct ccxt *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    r->state = c;
    const char *entry = input_entry(r->in);
    const char *slash = entry ? strrchr(entry, '/') : NULL;
    struct str what;
    c->timeframe = -1;
    if (parse_name(slash ? slash + 1 : entry ? entry : r->name, c, &what))
        c->timeframe = timeframe_of_text(what);
    struct str venue = r->hint.n ? r->hint : venue_of_folders(r->path);
    if (str_is(venue, "binance") && c->futures) venue = STR("binance_futures");
    str_copy(r->venue_text, sizeof r->venue_text, venue);
    r->venue = str_of(r->venue_text);
    if (c->base[0])
        venue_symbol_of_pair(r->venue, str_of(c->base), str_of(c->quote), c->symbol,
                             sizeof c->symbol);
    /* The bracket of the array around all elements. */
    struct str head = input_peek(r->in, 16);
    struct input_line skipped;
    size_t n = 0;
    while (n < head.n && head.p[n] != '[') n++;
    return input_take(r->in, n + 1, &skipped, e);
}

static void close_file(struct recording *r) { free(r->state); }

static enum err_code set_id(struct trade *t, struct str id)
{
    t->has_id = true;
    return str_to_i64(id, &t->id);
}

static enum err_code set_ms(struct str text, int64_t *ret_ns)
{
    int64_t ms;
    TRY(str_to_i64(text, &ms));
    return time_from_unit(ms, NS_PER_MS, ret_ns);
}

/* Binance's aggTrade as it stands in "info". */
static enum err_code fill_agg(yyjson_val *info, struct trade *t)
{
    yyjson_val *maker = yyjson_obj_get(info, "m");
    if (!yyjson_is_bool(maker)) return ERR_PARSE;
    t->stream = STREAM_AGG_TRADE;
    t->side = yyjson_get_bool(maker) ? SIDE_SELL : SIDE_BUY;
    t->has_range = true;
    TRY(set_id(t, json_member(info, "a")));
    TRY(str_to_i64(json_member(info, "f"), &t->first_id));
    TRY(str_to_i64(json_member(info, "l"), &t->last_id));
    TRY(dec_parse(json_member(info, "p"), &t->price));
    TRY(dec_parse(json_member(info, "q"), &t->size));
    return set_ms(json_member(info, "T"), &t->venue_time_ns);
}

static uint8_t stream_of(struct str venue)
{
    return str_starts(venue, "binance") ? STREAM_AGG_TRADE
                                        : STREAM_TRADE; /* what ccxt asks Binance for */
}

static enum err_code fill_unified(struct str venue, const struct str field[5], struct trade *t)
{
    t->stream = stream_of(venue);
    t->side = str_is(field[2], "buy")    ? SIDE_BUY
              : str_is(field[2], "sell") ? SIDE_SELL
                                         : SIDE_UNKNOWN;
    if (field[1].n) TRY(set_id(t, field[1]));
    t->first_id = t->last_id = t->id;
    TRY(dec_parse(field[3], &t->price));
    TRY(dec_parse(field[4], &t->size));
    return set_ms(field[0], &t->venue_time_ns);
}

static enum err_code fill_object(struct recording *r, yyjson_val *v, struct recording_item *ret)
{
    struct ccxt *c = r->state;
    yyjson_val *info = yyjson_obj_get(v, "info");
    bool agg = yyjson_obj_get(info, "a") && yyjson_obj_get(info, "f") && yyjson_obj_get(info, "l");
    if (agg && !ret->venue.n) ret->venue = STR("binance");
    struct str symbol = json_member(v, "symbol");
    struct str base = str_cut(&symbol, '/');
    struct str quote = str_cut(&symbol, ':');
    if (symbol.n && str_is(ret->venue, "binance")) ret->venue = STR("binance_futures");
    if (!venue_symbol_of_pair(ret->venue, base, quote, c->symbol, sizeof c->symbol))
        return ERR_PARSE;
    if (agg) return fill_agg(info, &ret->trade);
    const struct str field[5] = {json_member(v, "timestamp"), json_member(v, "id"),
                                 json_member(v, "side"), json_member(v, "price"),
                                 json_member(v, "amount")};
    return fill_unified(ret->venue, field, &ret->trade);
}

static enum err_code fill_trade(struct recording *r, yyjson_val *v, struct recording_item *ret)
{
    struct ccxt *c = r->state;
    ret->kind = RECORDING_TRADE;
    memset(&ret->trade, 0, sizeof ret->trade);
    enum err_code code = ERR_PARSE;
    if (yyjson_is_obj(v)) {
        code = fill_object(r, v, ret);
    } else if (yyjson_arr_size(v) >= 6) {
        const struct str field[5] = {json_at(v, 0), json_at(v, 1), json_at(v, 3), json_at(v, 4),
                                     json_at(v, 5)};
        code = fill_unified(ret->venue, field, &ret->trade);
    }
    ret->venue_symbol = str_of(c->symbol);
    return code == ERR_OK && c->symbol[0] == 0 ? ERR_PARSE : code;
}

static enum err_code fill_candle(struct recording *r, yyjson_val *v, struct recording_item *ret)
{
    struct ccxt *c = r->state;
    const struct str text[5] = {json_at(v, 1), json_at(v, 2), json_at(v, 3), json_at(v, 4),
                                json_at(v, 5)};
    int64_t open_ns;
    if (yyjson_arr_size(v) != 6 || text[4].n == 0) return ERR_PARSE;
    TRY(set_ms(json_at(v, 0), &open_ns));
    candle_start(ret, c->timeframe, open_ns, "ccxt");
    ret->venue_symbol = str_of(c->symbol);
    return candle_prices(ret, text);
}

static enum err_code next_element(struct recording *r, struct recording_item *ret, struct err *e,
                                  enum err_code (*fill)(struct recording *r, yyjson_val *v,
                                                        struct recording_item *ret),
                                  const char *expected)
{
    struct input_line line;
    enum err_code code = input_element(r->in, ELEMENT_MAX, &line, e);
    item_bytes(ret, &line);
    if (code != ERR_OK) return code;
    yyjson_doc *doc = yyjson_read(line.p, line.n, YYJSON_READ_NUMBER_AS_RAW);
    code = doc ? fill(r, yyjson_doc_get_root(doc), ret) : ERR_PARSE;
    yyjson_doc_free(doc);
    if (line.cut)
        return damaged_line(r, e, ERR_CORRUPT, line.number, "the file ends inside an element");
    if (code == ERR_OK) return ERR_OK;
    return damaged_line(r, e, code, line.number, "%s",
                        code == ERR_INEXACT ? "a number that cannot be held exactly" : expected);
}

static enum err_code next_trade(struct recording *r, struct recording_item *ret, struct err *e)
{
    return next_element(r, ret, e, fill_trade,
                        "expected a ccxt trade: time, id, side, price, amount");
}

static enum err_code next_candle(struct recording *r, struct recording_item *ret, struct err *e)
{
    return next_element(r, ret, e, fill_candle, "expected [ms,open,high,low,close,volume]");
}

const struct format format_ccxt_trades = {
    .name = "ccxt trades",
    .probe = probe_trades,
    .open = open_file,
    .next = next_trade,
    .close = close_file,
};
const struct format format_ccxt_candles = {
    .name = "ccxt candles",
    .probe = probe_candles,
    .open = open_file,
    .next = next_candle,
    .close = close_file,
};
