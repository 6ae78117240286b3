/* Kraken v2: one acknowledgement a symbol, numbers unquoted, heartbeats, status on connect. */
#include "simulate/encode.h"

#include <stdio.h>

static void venue_symbol(const struct sim_symbol *s, char out[SIM_NAME_MAX])
{
    snprintf(out, SIM_NAME_MAX, "%s/%s", s->base, s->quote);
}

static void hello(struct sim_client *c)
{
    sim_reply(c,
              STR("{\"channel\":\"status\",\"type\":\"update\",\"data\":[{\"api_version\":\"v2\","
                  "\"connection_id\":1,\"system\":\"online\",\"version\":\"2.0.8\"}]}"));
}

static void acknowledge(struct sim_client *c, struct str method, struct str channel,
                        struct str symbol, bool known, long long id)
{
    struct buf out;
    buf_init(&out, 1 << 16);
    if (known)
        buf_addf(
            &out,
            "{\"method\":\"%.*s\",\"req_id\":%lld,\"result\":{\"channel\":\"%.*s\",\"snapshot\":"
            "false,"
            "\"symbol\":\"%.*s\"},\"success\":true,\"time_in\":\"2024-01-01T00:00:00.000000Z\","
            "\"time_out\":\"2024-01-01T00:00:00.000001Z\"}",
            STR_ARG(method), id, STR_ARG(channel), STR_ARG(symbol));
    else
        buf_addf(
            &out,
            "{\"error\":\"Currency pair not supported %.*s\",\"method\":\"%.*s\",\"req_id\":%lld,"
            "\"success\":false,\"symbol\":\"%.*s\"}",
            STR_ARG(symbol), STR_ARG(method), id, STR_ARG(symbol));
    reply_text(c, &out);
}

static void client_frame(struct sim_client *c, struct str frame)
{
    yyjson_doc *doc = parse_frame(frame);
    yyjson_val *root = yyjson_doc_get_root(doc), *item;
    struct str method = json_string(yyjson_obj_get(root, "method"));
    yyjson_val *params = yyjson_obj_get(root, "params");
    struct str channel = json_string(yyjson_obj_get(params, "channel"));
    long long id = (long long)yyjson_get_sint(yyjson_obj_get(root, "req_id"));
    size_t i, max;
    if (str_is(method, "ping")) {
        struct buf out;
        buf_init(&out, 1 << 12);
        buf_addf(
            &out,
            "{\"method\":\"pong\",\"req_id\":%lld,\"time_in\":\"2024-01-01T00:00:00.000000Z\"}",
            id);
        reply_text(c, &out);
    }
    bool on = str_is(method, "subscribe");
    if (on || str_is(method, "unsubscribe")) {
        yyjson_arr_foreach(yyjson_obj_get(params, "symbol"), i, max, item)
        {
            enum stream stream = str_is(channel, "ticker") ? STREAM_QUOTE : STREAM_TRADE;
            struct str symbol = json_string(item);
            acknowledge(c, method, channel, symbol, sim_subscribe(c, symbol, stream, on), id);
        }
    }
    yyjson_doc_free(doc);
}

static void trade(const struct sim_symbol *s, const struct sim_trade *t, bool combined,
                  struct buf *out)
{
    (void)combined;
    buf_addf(out,
             "{\"channel\":\"trade\",\"type\":\"update\",\"data\":[{\"symbol\":\"%s\",\"side\":\"%"
             "s\",\"price\":",
             s->venue_symbol, side_text(t->side));
    put_dec(out, t->price);
    buf_add_cstr(out, ",\"qty\":");
    put_dec(out, t->size);
    buf_addf(out, ",\"ord_type\":\"limit\",\"trade_id\":%lld,\"timestamp\":\"", (long long)t->id);
    put_iso(out, t->time_ns, "Z\"}]}");
}

static void quote_frame(const struct sim_symbol *s, const struct quote *q, bool combined,
                        struct buf *out)
{
    (void)combined;
    buf_addf(out, "{\"channel\":\"ticker\",\"type\":\"update\",\"data\":[{\"symbol\":\"%s\"",
             s->venue_symbol);
    const struct dec values[] = {q->bid_price, q->bid_size, q->ask_price, q->ask_size};
    const char *const keys[] = {"bid", "bid_qty", "ask", "ask_qty"};
    for (int i = 0; i < 4; i++) {
        buf_addf(out, ",\"%s\":", keys[i]);
        put_dec(out, values[i]);
    }
    buf_add_cstr(
        out,
        ",\"last\":1,\"volume\":1,\"vwap\":1,\"low\":1,\"high\":1,\"change\":0,\"change_pct\":0,"
        "\"timestamp\":\"");
    put_iso(out, q->venue_time_ns, "Z\"}]}");
}

static void heartbeat(int64_t now_ns, struct buf *out)
{
    (void)now_ns;
    buf_add_cstr(out, "{\"channel\":\"heartbeat\"}");
}

static bool rest(const struct sim_market *m, struct str path, struct buf *out)
{
    if (!str_starts(path, "/0/public/AssetPairs")) return false;
    buf_add_cstr(out, "{\"error\":[],\"result\":{");
    for (int i = 0; i < m->count; i++) {
        const struct sim_symbol *s = &m->symbols[i];
        /* The REST side keeps the old names XBT and XDG; the v2 socket says BTC and DOGE. */
        const char *base = strcmp(s->base, "BTC") == 0    ? "XBT"
                           : strcmp(s->base, "DOGE") == 0 ? "XDG"
                                                          : s->base;
        buf_addf(out,
                 "%s\"%s%s\":{\"altname\":\"%s%s\",\"wsname\":\"%s/"
                 "%s\",\"base\":\"%s\",\"quote\":\"Z%s\","
                 "\"status\":\"online\"}",
                 i ? "," : "", base, s->quote, base, s->quote, base, s->quote, base, s->quote);
    }
    buf_add_cstr(out, "}}");
    return true;
}

const struct sim_venue sim_kraken = {
    .name = "kraken",
    .ids = true,
    .tape = STREAM_TRADE,
    .quote = "USD",
    .time_unit_ns = NS_PER_US,
    .heartbeat_ms = 1000,
    .venue_symbol = venue_symbol,
    .hello = hello,
    .client_frame = client_frame,
    .heartbeat = heartbeat,
    .trade = trade,
    .quote_frame = quote_frame,
    .rest = rest,
    .history = sim_kraken_history,
};
