/* Kraken's REST answer of OHLC:
 * {"error":[],"result":{"XXBTZUSD":[[time,open,high,low,close,vwap,volume,count],...],
 * "last":time}}. The interval is the smallest distance of two rows; rows behind "last" were still
 * running and are left out.
 */
#include "recording/json.h"
#include "recording/reader.h"

#include <stdio.h>
#include <stdlib.h>

struct kraken_ohlc {
    yyjson_doc *doc;
    yyjson_val *rows;
    yyjson_arr_iter iter;
    int timeframe;
    int64_t last_s;
    char symbol[64];
};

static bool probe(const struct probe *p)
{
    struct str head = str_trim(p->head);
    size_t n = head.n < 512 ? head.n : 512;
    char flat[512];
    size_t at = 0;
    for (size_t i = 0; i < n; i++)
        if (head.p[i] > ' ') flat[at++] = head.p[i];
    struct str start = {flat, at};
    if (!str_starts(start, "{\"error\":[],\"result\":{\"")) return false;
    struct str rest = {flat + 23, at - 23};
    str_cut(&rest, '"');
    return str_starts(rest, ":[[1") && rest.n > 14 && rest.p[13] == ',';
}

/* "XXBTZUSD" is XBT/USD by Kraken's old rule of one letter before crypto (X) and fiat (Z); newer
 * pairs have none. */
static void set_symbol(struct kraken_ohlc *k, struct str pair)
{
    struct str base = pair, quote = {NULL, 0};
    if (pair.n == 8 && (pair.p[0] == 'X' || pair.p[0] == 'Z') &&
        (pair.p[4] == 'Z' || pair.p[4] == 'X')) {
        base = (struct str){pair.p + 1, 3};
        quote = (struct str){pair.p + 5, 3};
    }
    if (!quote.n || !venue_symbol_of_pair(STR("kraken"), base, quote, k->symbol, sizeof k->symbol))
        str_copy(k->symbol, sizeof k->symbol, pair);
}

static int64_t seconds(yyjson_val *row)
{
    int64_t s;
    return str_to_i64(json_at(row, 0), &s) == ERR_OK && s >= 0 && s < INT64_MAX / NS_PER_S ? s : -1;
}

static int find_timeframe(yyjson_val *rows)
{
    int64_t least = INT64_MAX, before = -1;
    size_t i, max;
    yyjson_val *row;
    yyjson_arr_foreach(rows, i, max, row)
    {
        int64_t s = seconds(row);
        if (before >= 0 && s > before && s - before < least) least = s - before;
        before = s;
    }
    return least < INT64_MAX / NS_PER_S ? timeframe_of_ns(least * NS_PER_S) : -1;
}

static enum err_code open_file(struct recording *r, struct err *e)
{
    struct kraken_ohlc *k = calloc(1, sizeof *k);
    CHECK(k != NULL);
    r->state = k;
    r->venue = STR("kraken");
    struct input_line text;
    TRY(input_rest(r->in, RECORDING_DOCUMENT_MAX, &text, e));
    yyjson_read_err why;
    k->doc = yyjson_read_opts(text.p, text.n, YYJSON_READ_NUMBER_AS_RAW, NULL, &why);
    if (!k->doc) return ERR(e, ERR_CORRUPT, "%s: byte %zu: no JSON: %s", r->path, why.pos, why.msg);
    yyjson_val *result = yyjson_obj_get(yyjson_doc_get_root(k->doc), "result");
    yyjson_obj_iter iter;
    yyjson_obj_iter_init(result, &iter);
    yyjson_val *key = yyjson_obj_iter_next(&iter);
    if (!key) return ERR(e, ERR_PARSE, "%s: result has no pair", r->path);
    k->rows = yyjson_obj_iter_get_val(key);
    set_symbol(k, json_token(key));
    k->timeframe = find_timeframe(k->rows);
    if (k->timeframe < 0)
        return ERR(e, ERR_PARSE, "%s: the rows' distance is none of our timeframes", r->path);
    if (str_to_i64(json_member(result, "last"), &k->last_s) != ERR_OK) k->last_s = INT64_MAX;
    yyjson_arr_iter_init(k->rows, &k->iter);
    return ERR_OK;
}

static void close_file(struct recording *r)
{
    struct kraken_ohlc *k = r->state;
    if (k) yyjson_doc_free(k->doc);
    free(k);
}

static enum err_code fill(const struct kraken_ohlc *k, yyjson_val *row, struct recording_item *ret)
{
    const struct str text[5] = {json_at(row, 1), json_at(row, 2), json_at(row, 3), json_at(row, 4),
                                json_at(row, 6)};
    if (seconds(row) < 0 || yyjson_arr_size(row) != 8) return ERR_PARSE;
    candle_start(ret, k->timeframe, seconds(row) * NS_PER_S, "rest");
    ret->venue_symbol = str_of(k->symbol);
    TRY(candle_prices(ret, text));
    return str_to_i64(json_at(row, 7), &ret->candle.c.trade_count);
}

static enum err_code next_item(struct recording *r, struct recording_item *ret, struct err *e)
{
    struct kraken_ohlc *k = r->state;
    yyjson_val *row;
    do {
        row = yyjson_arr_iter_next(&k->iter);
    } while (row && seconds(row) > k->last_s);
    if (!row) return ERR_NOT_FOUND;
    enum err_code code = fill(k, row, ret);
    if (code == ERR_OK) return ERR_OK;
    return ERR(e, code, "%s: row %zu: expected [time,open,high,low,close,vwap,volume,count]",
               r->path, k->iter.idx);
}

const struct format format_kraken_ohlc = {
    .name = "kraken ohlc",
    .probe = probe,
    .open = open_file,
    .next = next_item,
    .close = close_file,
};
