/* Binance spot and USD-M futures, as web-socket-streams.md and the recordings have them. */
#include "simulate/encode.h"

#include <ctype.h>
#include <stdio.h>

static void venue_symbol(const struct sim_symbol *s, char out[SIM_NAME_MAX])
{
    snprintf(out, SIM_NAME_MAX, "%s%s", s->base, s->quote);
}

static enum stream stream_of(struct str channel, bool *known)
{
    *known = true;
    if (str_is(channel, "trade")) return STREAM_TRADE;
    if (str_is(channel, "aggTrade")) return STREAM_AGG_TRADE;
    *known = str_is(channel, "bookTicker");
    return STREAM_QUOTE;
}

/* An unknown symbol is acknowledged and stays silent, as with the venue; a malformed stream name is an error. */
static void client_frame(struct sim_client *c, struct str frame)
{
    yyjson_doc *doc = parse_frame(frame);
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct str method = json_string(yyjson_obj_get(root, "method"));
    long long id = (long long)yyjson_get_sint(yyjson_obj_get(root, "id"));
    struct buf out;
    buf_init(&out, 1 << 16);
    if (!str_is(method, "SUBSCRIBE") && !str_is(method, "UNSUBSCRIBE")) {
        buf_addf(&out,
                 doc ? "{\"code\":2,\"msg\":\"Invalid request: unknown variant\",\"id\":%lld}"
                     : "{\"code\":3,\"msg\":\"Invalid JSON: expected value\"}",
                 id);
    } else {
        size_t i, max;
        yyjson_val *item;
        bool bad = false;
        yyjson_arr_foreach(yyjson_obj_get(root, "params"), i, max, item)
        {
            struct str channel = json_string(item), symbol = str_cut(&channel, '@');
            bool known;
            enum stream stream = stream_of(channel, &known);
            bad = bad || !known;
            if (known) sim_subscribe(c, symbol, stream, str_is(method, "SUBSCRIBE"));
        }
        buf_addf(&out,
                 bad ? "{\"code\":2,\"msg\":\"Invalid request: invalid stream\",\"id\":%lld}"
                     : "{\"result\":null,\"id\":%lld}",
                 id);
    }
    reply_text(c, &out);
    yyjson_doc_free(doc);
}

static void wrap(const struct sim_symbol *s, const char *channel, bool combined, struct buf *out)
{
    if (!combined) return;
    buf_add_cstr(out, "{\"stream\":\"");
    for (const char *p = s->venue_symbol; *p; p++)
        buf_add_byte(out, (uint8_t)tolower((unsigned char)*p));
    buf_addf(out, "@%s\",\"data\":", channel);
}

static void trade(const struct sim_symbol *s, const struct sim_trade *t, bool combined,
                  struct buf *out)
{
    long long ms = (long long)(t->time_ns / NS_PER_MS);
    wrap(s, "trade", combined, out);
    buf_addf(out, "{\"e\":\"trade\",\"E\":%lld,\"s\":\"%s\",\"t\":%lld,\"p\":\"", ms + 1,
             s->venue_symbol, (long long)t->id);
    put_dec(out, t->price);
    buf_add_cstr(out, "\",\"q\":\"");
    put_dec(out, t->size);
    buf_addf(out, "\",\"T\":%lld,\"m\":%s,\"M\":true}", ms,
             t->side == SIDE_SELL ? "true" : "false");
    if (combined) buf_add_byte(out, '}');
}

static void futures_trade(const struct sim_symbol *s, const struct sim_trade *t, bool combined,
                          struct buf *out)
{
    long long ms = (long long)(t->time_ns / NS_PER_MS);
    wrap(s, "trade", combined, out);
    buf_addf(out, "{\"e\":\"trade\",\"E\":%lld,\"T\":%lld,\"s\":\"%s\",\"t\":%lld,\"p\":\"", ms + 1,
             ms, s->venue_symbol, (long long)t->id);
    put_dec(out, t->price);
    buf_add_cstr(out, "\",\"q\":\"");
    put_dec(out, t->size);
    buf_addf(out, "\",\"X\":\"MARKET\",\"m\":%s}", t->side == SIDE_SELL ? "true" : "false");
    if (combined) buf_add_byte(out, '}');
}

static void book(const struct quote *q, struct buf *out)
{
    const struct dec values[] = {q->bid_price, q->bid_size, q->ask_price, q->ask_size};
    const char *const keys[] = {"b", "B", "a", "A"};
    for (int i = 0; i < 4; i++) {
        buf_addf(out, ",\"%s\":\"", keys[i]);
        put_dec(out, values[i]);
        buf_add_byte(out, '"');
    }
}

static void quote_frame(const struct sim_symbol *s, const struct quote *q, bool combined,
                        struct buf *out)
{
    wrap(s, "bookTicker", combined, out);
    buf_addf(out, "{\"u\":%lld,\"s\":\"%s\"", (long long)(q->venue_time_ns / NS_PER_US),
             s->venue_symbol);
    book(q, out);
    buf_add_cstr(out, combined ? "}}" : "}");
}

static void futures_quote(const struct sim_symbol *s, const struct quote *q, bool combined,
                          struct buf *out)
{
    long long ms = (long long)(q->venue_time_ns / NS_PER_MS);
    wrap(s, "bookTicker", combined, out);
    buf_addf(out, "{\"e\":\"bookTicker\",\"u\":%lld,\"s\":\"%s\"", ms, s->venue_symbol);
    book(q, out);
    buf_addf(out, ",\"T\":%lld,\"E\":%lld}%s", ms, ms, combined ? "}" : "");
}

static void instruments(const struct sim_market *m, bool futures, struct buf *out)
{
    buf_add_cstr(out, "{\"timezone\":\"UTC\",\"serverTime\":0,\"rateLimits\":[],\"symbols\":[");
    for (int i = 0; i < m->count; i++) {
        const struct sim_symbol *s = &m->symbols[i];
        buf_addf(out,
                 "%s{\"symbol\":\"%s\",\"status\":\"TRADING\",\"baseAsset\":\"%s\",\"quoteAsset\":"
                 "\"%s\"",
                 i ? "," : "", s->venue_symbol, s->base, s->quote);
        if (futures)
            buf_addf(out,
                     ",\"pair\":\"%s\",\"contractType\":\"PERPETUAL\",\"marginAsset\":\"%s\","
                     "\"deliveryDate\":4133404800000,\"onboardDate\":1569398400000",
                     s->venue_symbol, s->quote);
        buf_add_byte(out, '}');
    }
    buf_add_cstr(out, "]}");
}

static bool rest(const struct sim_market *m, struct str path, struct buf *out)
{
    if (!str_starts(path, "/api/v3/exchangeInfo")) return false;
    instruments(m, false, out);
    return true;
}

static bool futures_rest(const struct sim_market *m, struct str path, struct buf *out)
{
    if (!str_starts(path, "/fapi/v1/exchangeInfo")) return false;
    instruments(m, true, out);
    return true;
}

static void retime(struct str frame, int64_t shift_ns, struct buf *out)
{
    static const char *const keys[] = {"E", "T", NULL};
    retime_number(frame, keys, shift_ns, NS_PER_MS, out);
}

const struct sim_venue sim_binance = {
    .name = "binance",
    .ids = true,
    .tape = STREAM_TRADE,
    .quote = "USDT",
    .time_unit_ns = NS_PER_MS,
    .venue_symbol = venue_symbol,
    .client_frame = client_frame,
    .trade = trade,
    .quote_frame = quote_frame,
    .rest = rest,
    .history = sim_binance_history,
    .retime = retime,
};

const struct sim_venue sim_binance_futures = {
    .name = "binance_futures",
    .ids = true,
    .perpetual = true,
    .tape = STREAM_TRADE,
    .quote = "USDT",
    .time_unit_ns = NS_PER_MS,
    .venue_symbol = venue_symbol,
    .client_frame = client_frame,
    .trade = futures_trade,
    .quote_frame = futures_quote,
    .rest = futures_rest,
    .history = sim_binance_history,
    .retime = retime,
};
