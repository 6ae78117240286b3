/* Tiingo: size before price, no ids, no side, heartbeat every 30 s, the token inside the subscription. */
#include "simulate/encode.h"

#include <ctype.h>
#include <stdio.h>

static void venue_symbol(const struct sim_symbol *s, char out[SIM_NAME_MAX])
{
    int n = snprintf(out, SIM_NAME_MAX, "%s%s", s->base, s->quote);
    for (int i = 0; i < n; i++) out[i] = (char)tolower((unsigned char)out[i]);
}

static void client_frame(struct sim_client *c, struct str frame)
{
    yyjson_doc *doc = parse_frame(frame);
    yyjson_val *root = yyjson_doc_get_root(doc), *item;
    yyjson_val *data = yyjson_obj_get(root, "eventData"),
               *tickers = yyjson_obj_get(data, "tickers");
    struct str event = json_string(yyjson_obj_get(root, "eventName"));
    bool on = str_is(event, "subscribe");
    yyjson_val *level = yyjson_obj_get(data, "thresholdLevel");
    int64_t threshold = yyjson_is_int(level) ? yyjson_get_sint(level) : 0;
    if (yyjson_is_str(level) && str_to_i64(json_string(level), &threshold) != ERR_OK)
        threshold = -1;
    size_t i, max;
    if (json_string(yyjson_obj_get(root, "authorization")).n == 0) {
        sim_reply(c, STR("{\"messageType\":\"E\",\"response\":{\"code\":401,\"message\":\"Invalid "
                         "token\"}}"));
    } else if (on && threshold != 2 && threshold != 5) {
        sim_reply(c, STR("{\"messageType\":\"E\",\"response\":{\"code\":400,\"message\":"
                         "\"thresholdLevel not valid\"}}"));
    } else {
        if (!tickers) sim_subscribe(c, STR("*"), STREAM_TRADE, on);
        if (!tickers && threshold == 2) sim_subscribe(c, STR("*"), STREAM_QUOTE, on);
        yyjson_arr_foreach(tickers, i, max, item)
        {
            sim_subscribe(c, json_string(item), STREAM_TRADE, on);
            if (threshold == 2) sim_subscribe(c, json_string(item), STREAM_QUOTE, on);
        }
        sim_reply(c, STR("{\"response\":{\"code\":200,\"message\":\"Success\"},\"data\":{"
                         "\"subscriptionId\":61},"
                         "\"messageType\":\"I\"}"));
    }
    yyjson_doc_free(doc);
}

static void trade(const struct sim_symbol *s, const struct sim_trade *t, bool combined,
                  struct buf *out)
{
    (void)combined;
    buf_addf(out, "{\"service\":\"crypto_data\",\"messageType\":\"A\",\"data\":[\"T\",\"%s\",\"",
             s->venue_symbol);
    put_iso(out, t->time_ns, "+00:00\",\"tiingo\",");
    put_dec(out, t->size);
    buf_add_byte(out, ',');
    put_dec(out, t->price);
    buf_add_cstr(out, "]}");
}

static void quote_frame(const struct sim_symbol *s, const struct quote *q, bool combined,
                        struct buf *out)
{
    (void)combined;
    buf_addf(out, "{\"service\":\"crypto_data\",\"messageType\":\"A\",\"data\":[\"Q\",\"%s\",\"",
             s->venue_symbol);
    put_iso(out, q->venue_time_ns, "+00:00\",\"tiingo\",");
    put_dec(out, q->bid_size);
    buf_add_byte(out, ',');
    put_dec(out, q->bid_price);
    buf_add_cstr(out, ",null,");
    put_dec(out, q->ask_size);
    buf_add_byte(out, ',');
    put_dec(out, q->ask_price);
    buf_add_cstr(out, "]}");
}

static void heartbeat(int64_t now_ns, struct buf *out)
{
    (void)now_ns;
    buf_add_cstr(out,
                 "{\"response\":{\"code\":200,\"message\":\"HeartBeat\"},\"messageType\":\"H\"}");
}

static bool rest(const struct sim_market *m, struct str path, struct buf *out)
{
    if (!str_starts(path, "/tiingo/crypto")) return false;
    for (int i = 0; i < m->count; i++) {
        const struct sim_symbol *s = &m->symbols[i];
        char base[16], quote[16];
        for (size_t k = 0; k < sizeof base; k++) base[k] = (char)tolower((unsigned char)s->base[k]);
        for (size_t k = 0; k < sizeof quote; k++)
            quote[k] = (char)tolower((unsigned char)s->quote[k]);
        buf_addf(out,
                 "%s{\"ticker\":\"%s\",\"name\":\"%s "
                 "(%s/%s)\",\"baseCurrency\":\"%s\",\"quoteCurrency\":\"%s\"}",
                 i ? "," : "[", s->venue_symbol, s->base, s->base, s->quote, base, quote);
    }
    buf_add_byte(out, ']');
    return true;
}

/* The third element of "data" is the time: shift the one ISO time of the frame. */
static void retime(struct str frame, int64_t shift_ns, struct buf *out)
{
    const char *at = memmem(frame.p, frame.n, "+00:00\"", 7);
    enum { DATE = sizeof "2026-09-06T06:17:23.371785" - 1 };
    int64_t ns;
    if (!at || at - frame.p < DATE ||
        time_parse_iso((struct str){at - DATE, DATE}, &ns) != ERR_OK) {
        buf_add_str(out, frame);
        return;
    }
    buf_add(out, frame.p, (size_t)(at - frame.p) - DATE);
    put_iso(out, ns + shift_ns, "");
    buf_add(out, at, (size_t)(frame.p + frame.n - at));
}

const struct sim_venue sim_tiingo = {
    .name = "tiingo",
    .ids = false,
    .tape = STREAM_TRADE,
    .quote = "USD",
    .time_unit_ns = NS_PER_US,
    .heartbeat_ms = 30000,
    .venue_symbol = venue_symbol,
    .client_frame = client_frame,
    .heartbeat = heartbeat,
    .trade = trade,
    .quote_frame = quote_frame,
    .rest = rest,
    .history = sim_tiingo_history,
    .retime = retime,
};
