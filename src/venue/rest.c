#include "venue/rest.h"

struct str rest_path(struct str url)
{
    for (size_t i = 0; i + 3 <= url.n && url.p[i] != '?'; i++) {
        if (memcmp(url.p + i, "://", 3) != 0) continue;
        struct str rest = {url.p + i + 3, url.n - i - 3};
        const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
        if (!slash) return STR("/");
        url = (struct str){slash, rest.n - (size_t)(slash - rest.p)};
        break;
    }
    return str_cut(&url, '?');
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static struct str unescape(struct str value, char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (n == size) return (struct str){text, 0};
        char c = value.p[i];
        bool escape =
            c == '%' && i + 2 < value.n && hex(value.p[i + 1]) >= 0 && hex(value.p[i + 2]) >= 0;
        if (escape) {
            c = (char)(hex(value.p[i + 1]) << 4 | hex(value.p[i + 2]));
            i += 2;
        }
        text[n++] = c;
    }
    return (struct str){text, n};
}

struct str rest_query(struct str url, const char *name, char *text, size_t size)
{
    str_cut(&url, '?');
    while (url.n) {
        struct str value = str_cut(&url, '&');
        struct str key = str_cut(&value, '=');
        if (str_is(key, name)) return unescape(value, text, size);
    }
    return (struct str){text, 0};
}

static yyjson_val *at(yyjson_val *row, int8_t index)
{
    return index < 0 ? NULL : yyjson_arr_get(row, (size_t)index);
}

static void volume(struct reading *r, yyjson_val *v, const char *name, bool *ret_has, i128 *ret)
{
    *ret_has = v && !yyjson_is_null(v);
    if (*ret_has) reading_lake(r, v, name, ret);
}

static void read_candle(struct reading *r, yyjson_val *row, const struct rest_candle_layout *layout)
{
    if (r->failed) return;
    struct candle *c = &r->candle->c;
    reading_time(r, at(row, layout->time), "time", layout->time_unit_ns, &c->open_time_ns);
    reading_lake(r, at(row, layout->open), "open", &c->open);
    reading_lake(r, at(row, layout->high), "high", &c->high);
    reading_lake(r, at(row, layout->low), "low", &c->low);
    reading_lake(r, at(row, layout->close), "close", &c->close);
    bool has_taker_quote;
    volume(r, at(row, layout->base_volume), "volume", &c->has_base_volume, &c->base_volume);
    volume(r, at(row, layout->quote_volume), "quote volume", &c->has_quote_volume,
           &c->quote_volume);
    volume(r, at(row, layout->taker_base), "taker buy base volume", &c->has_taker,
           &c->taker_buy_base);
    volume(r, at(row, layout->taker_quote), "taker buy quote volume", &has_taker_quote,
           &c->taker_buy_quote);
    c->has_taker = c->has_taker && has_taker_quote;
    if (layout->trades >= 0) reading_i64(r, at(row, layout->trades), "trades", &c->trade_count);
    rest_candle_complete(r);
}

void rest_candle_complete(struct reading *r)
{
    if (r->failed) return;
    struct candle *c = &r->candle->c;
    int64_t end_ns;
    bool in_range = !__builtin_add_overflow(c->open_time_ns,
                                            timeframe_ns((enum timeframe)c->timeframe), &end_ns);
    int64_t received_ns = r->session->received_ns;
    c->complete = in_range && (received_ns == TIME_ABSENT || end_ns <= received_ns);
}

int rest_timeframe(int64_t seconds)
{
    for (int i = 0; i < TIMEFRAME_MAX; i++)
        if (timeframe_ns((enum timeframe)i) / NS_PER_S == seconds) return i;
    return -1;
}

void rest_refuse_width(struct decoded *out, struct str symbol, struct str width)
{
    decoded_refuse(out, DEAD_UNKNOWN, STREAM_CANDLE, symbol,
                   "candles of width \"%.*s\": the lake has 1s 1m 5m 15m 1h 4h 1d",
                   (int)(width.n < 20 ? width.n : 20), width.p);
}

void rest_candles(struct venue_session *s, yyjson_val *rows, const struct rest_candles *what,
                  struct decoded *out)
{
    if (what->timeframe < 0) {
        rest_refuse_width(out, what->symbol, what->width);
        return;
    }
    size_t i, n;
    yyjson_val *row;
    yyjson_arr_foreach(rows, i, n, row)
    {
        struct reading r;
        struct venue_candle *c = reading_candle(&r, s, out);
        if (!c) return;
        c->c.timeframe = (uint8_t)what->timeframe;
        reading_symbol(&r, what->symbol, STR(""));
        read_candle(&r, row, what->layout);
        reading_end(&r);
    }
}
