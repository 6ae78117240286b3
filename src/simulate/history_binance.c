/* Binance's trades, aggregates and klines, spot and USD-M. */
#include "simulate/history.h"

#include "venue/rest.h"

enum { ROWS_MAX = 1000, ROWS_STANDARD = 500, AGGREGATES_FROM = 5000000 };

static bool unknown_symbol(struct sim_rest *out)
{
    out->status = 400;
    buf_add_cstr(out->body, "{\"code\":-1121,\"msg\":\"Invalid symbol.\"}");
    return true;
}

static void put_trade(struct buf *out, const struct sim_trade *t)
{
    buf_addf(out, "{\"id\":%lld,\"price\":\"", (long long)t->id);
    put_dec(out, t->price);
    buf_add_cstr(out, "\",\"qty\":\"");
    put_dec(out, t->size);
    buf_addf(out, "\",\"quoteQty\":\"0\",\"time\":%lld,\"isBuyerMaker\":%s,\"isBestMatch\":true}",
             (long long)(t->time_ns / NS_PER_MS), t->side == SIDE_SELL ? "true" : "false");
}

static void trades(const struct sim_symbol *s, const struct sim_request *r, struct sim_rest *out)
{
    int64_t limit = sim_query_number(r, "limit", ROWS_STANDARD);
    if (limit > ROWS_MAX) limit = ROWS_MAX;
    size_t newest = s->tape_count > (size_t)limit ? s->tape_count - (size_t)limit : 0;
    int64_t from = sim_query_number(r, "fromId", -1);
    size_t at = from >= 0 ? sim_tape_from_id(s, from) : newest;
    buf_add_byte(out->body, '[');
    for (int64_t i = 0; i < limit && at < s->tape_count; i++, at++) {
        if (i) buf_add_byte(out->body, ',');
        put_trade(out->body, &s->tape[at]);
    }
    buf_add_byte(out->body, ']');
}

/* An aggregate is a run of trades of one moment, price and side. `number` is its index. */
static size_t run_end(const struct sim_symbol *s, size_t at)
{
    size_t end = at + 1;
    while (end < s->tape_count && s->tape[end].time_ns == s->tape[at].time_ns &&
           s->tape[end].side == s->tape[at].side &&
           dec_cmp(s->tape[end].price, s->tape[at].price) == 0)
        end++;
    return end;
}

static void put_aggregate(struct buf *out, const struct sim_symbol *s, size_t at, size_t end,
                          int64_t id)
{
    const struct sim_trade *t = &s->tape[at];
    int64_t digits = 0;
    for (size_t i = at; i < end; i++) {
        int64_t unit = 1;
        for (int k = s->tape[i].size.scale; k < s->size_scale; k++) unit *= 10;
        digits += s->tape[i].size.digits * unit;
    }
    buf_addf(out, "{\"a\":%lld,\"p\":\"", (long long)id);
    put_dec(out, t->price);
    buf_add_cstr(out, "\",\"q\":\"");
    put_dec(out, dec_normal(digits, s->size_scale));
    buf_addf(out, "\",\"f\":%lld,\"l\":%lld,\"T\":%lld,\"m\":%s,\"M\":true}", (long long)t->id,
             (long long)s->tape[end - 1].id, (long long)(t->time_ns / NS_PER_MS),
             t->side == SIDE_SELL ? "true" : "false");
}

static void aggregates(const struct sim_symbol *s, const struct sim_request *r,
                       struct sim_rest *out)
{
    int64_t limit = sim_query_number(r, "limit", ROWS_STANDARD), given = 0, id = AGGREGATES_FROM;
    if (limit > ROWS_MAX) limit = ROWS_MAX;
    int64_t from_id = sim_query_number(r, "fromId", -1);
    int64_t from_ns = sim_query_number(r, "startTime", 0) * NS_PER_MS;
    int64_t to_ns = sim_query_number(r, "endTime", INT64_MAX / NS_PER_MS - 1) * NS_PER_MS;
    buf_add_byte(out->body, '[');
    for (size_t at = 0, end; at < s->tape_count && given < limit; at = end, id++) {
        end = run_end(s, at);
        int64_t time_ns = s->tape[at].time_ns;
        if (from_id >= 0 ? id < from_id : time_ns < from_ns || time_ns > to_ns) continue;
        if (given++) buf_add_byte(out->body, ',');
        put_aggregate(out->body, s, at, end, id);
    }
    buf_add_byte(out->body, ']');
}

void sim_put_kline(struct buf *out, const struct sim_bar *b, int64_t length_ns, const char *quote,
                   const char *unit_zeros)
{
    const struct dec prices[4] = {b->open, b->high, b->low, b->close};
    buf_addf(out, "%lld%s", (long long)(b->open_ns / NS_PER_MS), unit_zeros);
    for (int i = 0; i < 4; i++) {
        buf_addf(out, ",%s", quote);
        put_dec(out, prices[i]);
        buf_add_cstr(out, quote);
    }
    buf_addf(out, ",%s", quote);
    sim_put_sum(out, b->base);
    buf_addf(out, "%s,%lld%s,%s", quote, (long long)((b->open_ns + length_ns) / NS_PER_MS - 1),
             *unit_zeros ? "999" : "", quote);
    sim_put_sum(out, b->quote);
    buf_addf(out, "%s,%lld,%s", quote, (long long)b->trades, quote);
    sim_put_sum(out, b->taker_base);
    buf_addf(out, "%s,%s", quote, quote);
    sim_put_sum(out, b->taker_quote);
    buf_addf(out, "%s,%s0%s", quote, quote, quote);
}

static bool klines(const struct sim_symbol *s, const struct sim_request *r, struct sim_rest *out)
{
    char text[16];
    int width = timeframe_of_text(rest_query(r->whole, "interval", text, sizeof text));
    int64_t limit = sim_query_number(r, "limit", ROWS_STANDARD), given = 0;
    if (width < 0) {
        out->status = 400;
        buf_add_cstr(out->body, "{\"code\":-1120,\"msg\":\"Invalid interval.\"}");
        return true;
    }
    int64_t length_ns = timeframe_ns((enum timeframe)width);
    int64_t from_ns = sim_query_number(r, "startTime", 0) * NS_PER_MS;
    int64_t to_ns = sim_query_number(r, "endTime", 1) * NS_PER_MS;
    buf_add_byte(out->body, '[');
    for (size_t at = sim_tape_from_time(s, from_ns); at < s->tape_count && given < limit;) {
        struct sim_bar b;
        int64_t open_ns = time_floor(s->tape[at].time_ns, length_ns);
        if (open_ns > to_ns) break;
        at = sim_tape_from_time(s, open_ns + length_ns);
        if (open_ns < from_ns || !sim_bar(s, open_ns, length_ns, &b)) continue;
        buf_add_cstr(out->body, given++ ? ",[" : "[");
        sim_put_kline(out->body, &b, length_ns, "\"", "");
        buf_add_byte(out->body, ']');
    }
    buf_add_byte(out->body, ']');
    return true;
}

bool sim_binance_history(const struct sim_market *m, const struct sim_request *r,
                         struct sim_rest *out)
{
    bool single = str_ends(r->path, "/historicalTrades") || str_ends(r->path, "/trades");
    bool many = str_ends(r->path, "/aggTrades"), bars = str_ends(r->path, "/klines");
    if (!single && !many && !bars) return false;
    int i = sim_query_symbol(m, r, "symbol");
    if (i < 0) return unknown_symbol(out);
    if (bars) return klines(&m->symbols[i], r, out);
    if (single)
        trades(&m->symbols[i], r, out);
    else
        aggregates(&m->symbols[i], r, out);
    return true;
}
