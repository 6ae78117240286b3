/* Coinbase Exchange: matches (the side is the maker's), ticker, heartbeat, subscriptions. */
#include "simulate/encode.h"

#include <stdio.h>

static void venue_symbol(const struct sim_symbol *s, char out[SIM_NAME_MAX])
{
    snprintf(out, SIM_NAME_MAX, "%s-%s", s->base, s->quote);
}

static void subscribe_products(struct sim_client *c, yyjson_val *products, struct str channel,
                               bool on, struct buf *unknown)
{
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(products, i, max, item)
    {
        struct str product = json_string(item);
        bool found = true;
        if (str_is(channel, "matches")) found = sim_subscribe(c, product, STREAM_TRADE, on);
        if (str_is(channel, "ticker")) found = sim_subscribe(c, product, STREAM_QUOTE, on);
        if (!found && unknown->len == 0) buf_add_str(unknown, product);
    }
}

static void client_frame(struct sim_client *c, struct str frame)
{
    yyjson_doc *doc = parse_frame(frame);
    yyjson_val *root = yyjson_doc_get_root(doc), *item;
    struct str type = json_string(yyjson_obj_get(root, "type"));
    bool on = str_is(type, "subscribe");
    struct buf out, unknown;
    buf_init(&out, 1 << 20);
    buf_init(&unknown, 1 << 16);
    size_t i, max;
    buf_add_cstr(&out, "{\"type\":\"subscriptions\",\"channels\":[");
    yyjson_arr_foreach(yyjson_obj_get(root, "channels"), i, max, item)
    {
        bool object = yyjson_is_obj(item);
        struct str name = json_string(object ? yyjson_obj_get(item, "name") : item);
        yyjson_val *own = object ? yyjson_obj_get(item, "product_ids") : NULL;
        subscribe_products(c, own ? own : yyjson_obj_get(root, "product_ids"), name, on, &unknown);
        buf_addf(&out, "%s{\"name\":\"%.*s\",\"product_ids\":[]}", i ? "," : "", STR_ARG(name));
    }
    buf_add_cstr(&out, "]}");
    if (!on && !str_is(type, "unsubscribe")) {
        buf_reset(&out);
        buf_add_cstr(&out, "{\"type\":\"error\",\"message\":\"Malformed JSON\"}");
    } else if (unknown.len) {
        buf_reset(&out);
        buf_addf(&out,
                 "{\"type\":\"error\",\"message\":\"Failed to subscribe\",\"reason\":\"%s is not a "
                 "valid product\"}",
                 buf_cstr(&unknown));
    }
    reply_text(c, &out);
    buf_free(&unknown);
    yyjson_doc_free(doc);
}

static void trade(const struct sim_symbol *s, const struct sim_trade *t, bool combined,
                  struct buf *out)
{
    (void)combined;
    buf_addf(
        out,
        "{\"type\":\"match\",\"trade_id\":%lld,\"maker_order_id\":\"5d4ab1c6-1c4c-4a1b-9a1e-"
        "000000000001\","
        "\"taker_order_id\":\"5d4ab1c6-1c4c-4a1b-9a1e-000000000002\",\"side\":\"%s\",\"size\":\"",
        (long long)t->id, t->side == SIDE_SELL ? "buy" : "sell");
    put_dec(out, t->size);
    buf_add_cstr(out, "\",\"price\":\"");
    put_dec(out, t->price);
    buf_addf(out, "\",\"product_id\":\"%s\",\"sequence\":%lld,\"time\":\"", s->venue_symbol,
             (long long)t->id * 7);
    put_iso(out, t->time_ns, "Z\"}");
}

static void quote_frame(const struct sim_symbol *s, const struct quote *q, bool combined,
                        struct buf *out)
{
    (void)combined;
    buf_addf(out, "{\"type\":\"ticker\",\"sequence\":%lld,\"product_id\":\"%s\",\"price\":\"",
             (long long)(q->venue_time_ns / NS_PER_US), s->venue_symbol);
    put_dec(out, q->bid_price);
    const struct dec values[] = {q->bid_price, q->bid_size, q->ask_price, q->ask_size};
    const char *const keys[] = {"best_bid", "best_bid_size", "best_ask", "best_ask_size"};
    for (int i = 0; i < 4; i++) {
        buf_addf(out, "\",\"%s\":\"", keys[i]);
        put_dec(out, values[i]);
    }
    buf_add_cstr(out, "\",\"side\":\"buy\",\"time\":\"");
    put_iso(out, q->venue_time_ns, "Z\",\"trade_id\":1,\"last_size\":\"1\"}");
}

static void heartbeat(int64_t now_ns, struct buf *out)
{
    buf_add_cstr(out, "{\"type\":\"heartbeat\",\"sequence\":1,\"last_trade_id\":0,\"product_id\":"
                      "\"BTC-USD\",\"time\":\"");
    put_iso(out, now_ns, "Z\"}");
}

static bool rest(const struct sim_market *m, struct str path, struct buf *out)
{
    if (!str_is(path, "/products") && !str_starts(path, "/products?")) return false;
    for (int i = 0; i < m->count; i++) {
        const struct sim_symbol *s = &m->symbols[i];
        buf_addf(out,
                 "%s{\"id\":\"%s\",\"base_currency\":\"%s\",\"quote_currency\":\"%s\",\"status\":"
                 "\"online\","
                 "\"trading_disabled\":false}",
                 i ? "," : "[", s->venue_symbol, s->base, s->quote);
    }
    buf_add_byte(out, ']');
    return true;
}

const struct sim_venue sim_coinbase = {
    .name = "coinbase",
    .ids = true,
    .tape = STREAM_TRADE,
    .quote = "USD",
    .time_unit_ns = NS_PER_US,
    .heartbeat_ms = 1000,
    .venue_symbol = venue_symbol,
    .client_frame = client_frame,
    .heartbeat = heartbeat,
    .trade = trade,
    .quote_frame = quote_frame,
    .rest = rest,
    .history = sim_coinbase_history,
};
