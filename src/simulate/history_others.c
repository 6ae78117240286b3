/* Coinbase's trades and candles, Kraken's trades, Tiingo's bars and top of book. */
#include "simulate/history.h"

#include "venue/rest.h"

#include <ctype.h>
#include <stdio.h>

enum { ROWS_MAX = 1000, COINBASE_BARS = 300 };

/* ---- Coinbase ---- */

static void coinbase_trades(const struct sim_symbol *s, const struct sim_request *r,
                            struct sim_rest *out)
{
    int64_t limit = sim_query_number(r, "limit", ROWS_MAX);
    int64_t after = sim_query_number(r, "after", INT64_MAX);
    if (limit > ROWS_MAX) limit = ROWS_MAX;
    buf_add_byte(out->body, '[');
    size_t at = sim_tape_from_id(s, after);
    for (int64_t i = 0; i < limit && at > 0; i++) {
        const struct sim_trade *t = &s->tape[--at];
        buf_addf(out->body, "%s{\"trade_id\":%lld,\"side\":\"%s\",\"size\":\"", i ? "," : "",
                 (long long)t->id, t->side == SIDE_SELL ? "buy" : "sell"); /* the maker's */
        put_dec(out->body, t->size);
        buf_add_cstr(out->body, "\",\"price\":\"");
        put_dec(out->body, t->price);
        buf_add_cstr(out->body, "\",\"time\":\"");
        put_iso(out->body, t->time_ns, "Z\"}");
    }
    buf_add_byte(out->body, ']');
}

static bool coinbase_candles(const struct sim_symbol *s, const struct sim_request *r,
                             struct sim_rest *out)
{
    char a[64], b[64];
    int64_t length_ns = sim_query_number(r, "granularity", 60) * NS_PER_S, from_ns, to_ns;
    if (length_ns <= 0 ||
        time_parse_iso(rest_query(r->whole, "start", a, sizeof a), &from_ns) != ERR_OK ||
        time_parse_iso(rest_query(r->whole, "end", b, sizeof b), &to_ns) != ERR_OK ||
        (to_ns - from_ns) / length_ns >= COINBASE_BARS) {
        out->status = 400;
        buf_add_cstr(out->body, "{\"message\":\"granularity too small for the requested time range."
                                " Count of aggregations requested exceeds 300\"}");
        return true;
    }
    int given = 0;
    buf_add_byte(out->body, '[');
    for (int64_t at = time_floor(to_ns, length_ns); at >= from_ns; at -= length_ns) {
        struct sim_bar bar;
        if (!sim_bar(s, at, length_ns, &bar)) continue;
        const struct dec prices[4] = {bar.low, bar.high, bar.open, bar.close};
        buf_addf(out->body, "%s[%lld", given++ ? "," : "", (long long)(at / NS_PER_S));
        for (int i = 0; i < 4; i++) {
            buf_add_byte(out->body, ',');
            put_dec(out->body, prices[i]);
        }
        buf_add_byte(out->body, ',');
        sim_put_sum(out->body, bar.base);
        buf_add_byte(out->body, ']');
    }
    buf_add_byte(out->body, ']');
    return true;
}

bool sim_coinbase_history(const struct sim_market *m, const struct sim_request *r,
                          struct sim_rest *out)
{
    struct str rest = r->path;
    if (!str_starts(rest, "/products/")) return false;
    rest = (struct str){rest.p + 10, rest.n - 10};
    int i = market_find(m, str_cut(&rest, '/'));
    if (i < 0) {
        out->status = 404;
        buf_add_cstr(out->body, "{\"message\":\"NotFound\"}");
        return true;
    }
    if (str_is(rest, "candles")) return coinbase_candles(&m->symbols[i], r, out);
    if (!str_is(rest, "trades")) return false;
    coinbase_trades(&m->symbols[i], r, out);
    return true;
}

/* ---- Kraken ---- */

static int kraken_symbol(const struct sim_market *m, struct str pair)
{
    for (int i = 0; i < m->count; i++) {
        const struct sim_symbol *s = &m->symbols[i];
        char name[64];
        const char *base = strcmp(s->base, "BTC") == 0    ? "XBT"
                           : strcmp(s->base, "DOGE") == 0 ? "XDG"
                                                          : s->base;
        (void)snprintf(name, sizeof name, "%s%s", base, s->quote);
        if (str_is(pair, name)) return i;
    }
    return -1;
}

bool sim_kraken_history(const struct sim_market *m, const struct sim_request *r,
                        struct sim_rest *out)
{
    char text[64];
    struct str pair = rest_query(r->whole, "pair", text, sizeof text);
    if (!str_is(r->path, "/0/public/Trades")) return false;
    int i = kraken_symbol(m, pair);
    if (i < 0) {
        buf_add_cstr(out->body, "{\"error\":[\"EQuery:Unknown asset pair\"]}");
        return true;
    }
    const struct sim_symbol *s = &m->symbols[i];
    int64_t limit = sim_query_number(r, "count", ROWS_MAX);
    int64_t since_ns = sim_query_number(r, "since", 0), last_ns = since_ns, given = 0;
    buf_addf(out->body, "{\"error\":[],\"result\":{\"%.*s\":[", STR_ARG(pair));
    for (size_t at = sim_tape_from_time(s, since_ns + 1); at < s->tape_count && given < limit;
         at++) {
        const struct sim_trade *t = &s->tape[at];
        buf_add_cstr(out->body, given++ ? ",[\"" : "[\"");
        put_dec(out->body, t->price);
        buf_add_cstr(out->body, "\",\"");
        put_dec(out->body, t->size);
        buf_addf(out->body, "\",%lld.%06lld,\"%s\",\"m\",\"\",%lld]",
                 (long long)(t->time_ns / NS_PER_S), (long long)(t->time_ns % NS_PER_S / NS_PER_US),
                 t->side == SIDE_BUY ? "b" : "s", (long long)t->id);
        last_ns = t->time_ns;
    }
    buf_addf(out->body, "],\"last\":\"%lld\"}}", (long long)last_ns);
    return true;
}

/* ---- Tiingo ---- */

static int64_t width_of(struct str width)
{
    size_t n = 0;
    int64_t count;
    while (n < width.n && isdigit((unsigned char)width.p[n])) n++;
    if (str_to_i64((struct str){width.p, n}, &count) != ERR_OK) return 5 * NS_PER_MINUTE;
    struct str unit = {width.p + n, width.n - n};
    return count * (str_is(unit, "min")    ? NS_PER_MINUTE
                    : str_is(unit, "hour") ? NS_PER_HOUR
                                           : NS_PER_DAY);
}

static bool date_of(const struct sim_request *r, const char *name, int64_t *ret_ns)
{
    char text[64];
    struct str v = rest_query(r->whole, name, text, sizeof text - 16);
    if (v.n != 10) return false;
    memcpy(text + v.n, "T00:00:00Z", 10);
    return time_parse_iso((struct str){text, 20}, ret_ns) == ERR_OK;
}

static void tiingo_bars(const struct sim_symbol *s, int64_t from_ns, int64_t to_ns,
                        int64_t length_ns, struct buf *out)
{
    int given = 0;
    buf_add_cstr(out, ",\"priceData\":[");
    for (size_t at = sim_tape_from_time(s, from_ns); at < s->tape_count;) {
        struct sim_bar b;
        int64_t open_ns = time_floor(s->tape[at].time_ns, length_ns);
        if (open_ns >= to_ns) break;
        at = sim_tape_from_time(s, open_ns + length_ns);
        if (!sim_bar(s, open_ns, length_ns, &b)) continue;
        buf_addf(out, "%s{\"date\":\"", given++ ? "," : "");
        put_iso(out, open_ns, "+00:00\",\"open\":");
        put_dec(out, b.open);
        buf_add_cstr(out, ",\"high\":");
        put_dec(out, b.high);
        buf_add_cstr(out, ",\"low\":");
        put_dec(out, b.low);
        buf_add_cstr(out, ",\"close\":");
        put_dec(out, b.close);
        buf_addf(out, ",\"tradesDone\":%lld.0,\"volume\":", (long long)b.trades);
        sim_put_sum(out, b.base);
        buf_add_cstr(out, ",\"volumeNotional\":");
        sim_put_sum(out, b.quote);
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, ']');
}

static void tiingo_top(const struct sim_symbol *s, struct buf *out)
{
    buf_add_cstr(out, ",\"topOfBookData\":[");
    if (s->tape_count) {
        const struct sim_trade *t = &s->tape[s->tape_count - 1];
        buf_add_cstr(out, "{\"quoteTimestamp\":\"");
        put_iso(out, t->time_ns, "+00:00\",\"bidExchange\":\"SIM\",\"askExchange\":\"SIM\",");
        buf_add_cstr(out, "\"bidSize\":1.5,\"bidPrice\":");
        put_dec(out, t->price);
        buf_add_cstr(out, ",\"askSize\":2.5,\"askPrice\":");
        put_dec(out, t->price);
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, ']');
}

bool sim_tiingo_history(const struct sim_market *m, const struct sim_request *r,
                        struct sim_rest *out)
{
    char tickers_text[512], width_text[16];
    bool bars = str_is(r->path, "/tiingo/crypto/prices"),
         top = str_is(r->path, "/tiingo/crypto/top");
    if (!bars && !top) return false;
    struct str tickers = rest_query(r->whole, "tickers", tickers_text, sizeof tickers_text);
    int64_t from_ns = 0, to_ns = 0;
    if (bars && (!date_of(r, "startDate", &from_ns) || !date_of(r, "endDate", &to_ns))) {
        buf_add_cstr(out->body, "Error: startDate and endDate are YYYY-MM-DD");
        return true;
    }
    int64_t length_ns =
        width_of(rest_query(r->whole, "resampleFreq", width_text, sizeof width_text));
    for (int given = 0; tickers.n; given++) {
        struct str ticker = str_cut(&tickers, ',');
        int i = market_find(m, ticker);
        if (i < 0) { /* the whole answer is the error, as text, with status 200 */
            buf_reset(out->body);
            buf_addf(out->body, "Error: Ticker '%.*s' not found", STR_ARG(ticker));
            return true;
        }
        buf_addf(out->body, "%s{\"ticker\":\"%s\"", given ? "," : "[", m->symbols[i].venue_symbol);
        if (bars)
            tiingo_bars(&m->symbols[i], from_ns, to_ns + NS_PER_DAY, length_ns, out->body);
        else
            tiingo_top(&m->symbols[i], out->body);
        buf_add_byte(out->body, '}');
    }
    buf_add_byte(out->body, ']');
    return true;
}
