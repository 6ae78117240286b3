#include "venue/decode.h"

#include <stdio.h>

void decode_begin(struct venue_session *s, int64_t received_ns, struct decoded *out)
{
    s->received_ns = received_ns;
    decoded_reset(out);
}

static void begin(struct reading *r, struct venue_session *s, struct decoded *out, int stream)
{
    *r = (struct reading){.session = s, .out = out, .stream = (int8_t)stream};
}

static void too_many(struct reading *r)
{
    r->failed = true;
    decoded_refuse(r->out, DEAD_TOO_BIG, r->stream, r->symbol,
                   "the frame holds more than %d events: this one and those behind it are left out",
                   VENUE_EVENTS_MAX);
}

struct trade *reading_trade(struct reading *r, struct venue_session *s, struct decoded *out,
                            enum stream stream)
{
    begin(r, s, out, stream);
    r->trade = decoded_add_trade(out);
    if (!r->trade) {
        too_many(r);
        return NULL;
    }
    r->trade->stream = (uint8_t)stream;
    r->trade->venue_time_ns = TIME_ABSENT;
    r->trade->received_ns = s->received_ns;
    return r->trade;
}

struct quote *reading_quote(struct reading *r, struct venue_session *s, struct decoded *out)
{
    begin(r, s, out, STREAM_QUOTE);
    r->quote = decoded_add_quote(out);
    if (!r->quote) {
        too_many(r);
        return NULL;
    }
    r->quote->venue_time_ns = TIME_ABSENT;
    r->quote->received_ns = s->received_ns;
    return r->quote;
}

struct venue_candle *reading_candle(struct reading *r, struct venue_session *s, struct decoded *out)
{
    begin(r, s, out, STREAM_CANDLE);
    r->candle = decoded_add_candle(out);
    if (!r->candle) {
        too_many(r);
        return NULL;
    }
    r->candle->source = STR("rest");
    r->candle->fetched_ns = s->received_ns;
    r->candle->c.trade_count = -1;
    r->candle->c.updated_ns = s->received_ns;
    return r->candle;
}

void reading_end(struct reading *r)
{
    if (!r->failed) return;
    if (r->trade) r->out->trade_count--;
    if (r->quote) r->out->quote_count--;
    if (r->candle) r->out->candle_count--;
}

void reading_fail(struct reading *r, enum dead_reason reason, const char *format, ...)
{
    if (r->failed) return;
    r->failed = true;
    char text[sizeof((struct refused *)0)->detail];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    decoded_refuse(r->out, reason, r->stream, r->symbol, "%s", text);
}

void reading_symbol(struct reading *r, struct str symbol, struct str exchange)
{
    if (r->failed) return;
    if (symbol.n == 0) {
        reading_fail(r, DEAD_MALFORMED, "symbol: expected a text, found none");
        return;
    }
    uint32_t series = venue_names_series(r->session->names, symbol, exchange);
    if (series == SERIES_NONE) {
        reading_fail(r, DEAD_UNKNOWN,
                     "symbol \"%.*s\": too long, with control characters, or past the limit of "
                     "%d series",
                     (int)(symbol.n < 32 ? symbol.n : 32), symbol.p, SERIES_LIMIT);
        return;
    }
    r->symbol = symbol;
    if (r->trade) r->trade->series = series;
    if (r->quote) r->quote->series = series;
    if (r->candle) r->candle->c.series = series;
}

/* Says what stands where a number, a text, or a time was expected. */
static void fail_value(struct reading *r, yyjson_val *v, const char *name, const char *expected)
{
    struct str token = json_token(v);
    if (token.p)
        reading_fail(r, DEAD_MALFORMED, "%s: expected %s, found \"%.*s\"", name, expected,
                     (int)(token.n < 40 ? token.n : 40), token.p);
    else
        reading_fail(r, DEAD_MALFORMED, "%s: expected %s, found %s", name, expected,
                     v ? yyjson_get_type_desc(v) : "nothing");
}

static void fail_inexact(struct reading *r, yyjson_val *v, const char *name, const char *limit)
{
    struct str token = json_token(v);
    reading_fail(r, DEAD_INEXACT, "%s: %.*s needs more than %s", name,
                 (int)(token.n < 60 ? token.n : 60), token.p, limit);
}

static void read_dec(struct reading *r, yyjson_val *v, const char *name, struct dec *ret)
{
    if (r->failed) return;
    enum err_code code = json_dec(v, ret);
    if (__builtin_expect(code == ERR_OK, 1)) return;
    if (code == ERR_INEXACT)
        fail_inexact(r, v, name, "18 digits, or 18 behind the point");
    else
        fail_value(r, v, name, "a number");
}

void reading_price(struct reading *r, yyjson_val *v, const char *name, struct dec *ret)
{
    read_dec(r, v, name, ret);
    if (!r->failed && ret->digits <= 0) fail_value(r, v, name, "a price above zero");
}

void reading_size(struct reading *r, yyjson_val *v, const char *name, struct dec *ret)
{
    read_dec(r, v, name, ret);
    if (!r->failed && ret->digits < 0) fail_value(r, v, name, "a size of zero or more");
}

static bool is_empty(yyjson_val *v)
{
    return !v || yyjson_is_null(v) || (yyjson_is_str(v) && yyjson_get_len(v) == 0);
}

void reading_side(struct reading *r, yyjson_val *price, yyjson_val *size, const char *name,
                  struct dec *ret_price, struct dec *ret_size)
{
    *ret_price = dec_absent();
    *ret_size = dec_absent(); /* not chained: a copy of what was just stored in halves stalls */
    if (is_empty(price)) return;
    reading_size(r, price, name, ret_price);
    if (r->failed) return;
    if (ret_price->digits == 0) {
        *ret_price = dec_absent();
        return;
    }
    if (!is_empty(size)) reading_size(r, size, name, ret_size);
}

/* "12", not "012", "-0" or "+1": only these are equal as numbers exactly when they are equal as texts. */
static bool is_shortest(struct str s)
{
    if (s.n && s.p[0] == '-') return s.n > 1 && s.p[1] != '0';
    return s.n == 1 || (s.n && s.p[0] != '0');
}

/* What an id may be made of: anything else would not survive every reader of the lake. */
static bool is_id_text(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~') return false;
    return s.n > 0 && s.n <= NAMES_TEXT_MAX;
}

void reading_id(struct reading *r, yyjson_val *v, const char *name, bool ranged)
{
    if (r->failed) return;
    struct trade *t = r->trade;
    struct str token = json_token(v);
    t->has_id = true;
    if (json_i64(v, &t->id) == ERR_OK && is_shortest(token)) {
        t->has_range = ranged;
        if (ranged) t->first_id = t->last_id = t->id;
        return;
    }
    t->id = 0;
    if (!is_id_text(token))
        fail_value(r, v, name, "an id of 1 to 128 printable characters");
    else if (!arena_copy(&r->out->arena, token, &t->id_text))
        reading_fail(r, DEAD_TOO_BIG, "%s: no room for the texts of this frame", name);
}

void reading_i64(struct reading *r, yyjson_val *v, const char *name, int64_t *ret)
{
    if (!r->failed && json_i64(v, ret) != ERR_OK) fail_value(r, v, name, "an integer");
}

void reading_iso(struct reading *r, yyjson_val *v, const char *name, int64_t *ret_ns)
{
    if (r->failed) return;
    enum err_code code = json_time_iso(&r->session->json, v, ret_ns);
    if (code == ERR_INEXACT)
        fail_inexact(r, v, name, "the years 1678 to 2261");
    else if (code)
        fail_value(r, v, name, "a time such as 2026-09-06T03:55:54.366Z");
}

void reading_time(struct reading *r, yyjson_val *v, const char *name, int64_t unit_ns,
                  int64_t *ret_ns)
{
    if (r->failed) return;
    struct str token = json_token(v);
    enum err_code code = token.n ? time_parse_decimal(token, unit_ns, ret_ns) : ERR_PARSE;
    if (code == ERR_INEXACT)
        fail_inexact(r, v, name, "whole nanoseconds of the years 1678 to 2261");
    else if (code)
        fail_value(r, v, name, "a time since 1970");
}

void reading_lake(struct reading *r, yyjson_val *v, const char *name, i128 *ret)
{
    if (r->failed) return;
    enum err_code code = dec_parse_lake(json_token(v), ret);
    if (code == ERR_INEXACT)
        fail_inexact(r, v, name, "38 digits, or 18 behind the point");
    else if (code)
        fail_value(r, v, name, "a number");
}

void decode_printable(char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] < ' ' || text[i] > '~') text[i] = '?';
}

void decode_bad(struct decoded *out, enum dead_reason reason, const char *format, ...)
{
    char text[sizeof((struct refused *)0)->detail];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    out->class = FRAME_BAD;
    decoded_refuse(out, reason, -1, STR(""), "%s", text);
}

void decode_error(struct decoded *out, struct str words, struct str symbol, bool refusal)
{
    enum { WORDS_MAX = 1000 };
    out->class = FRAME_ERROR;
    if (words.n > WORDS_MAX) words.n = WORDS_MAX;
    if (symbol.n > NAMES_TEXT_MAX) symbol.n = 0;
    char text[WORDS_MAX];
    if (words.n) memcpy(text, words.p, words.n);
    decode_printable(text, words.n);
    out->error_is_refusal = refusal;
    struct str shown = words.n ? (struct str){text, words.n} : STR("an error without words");
    if (!arena_copy(&out->arena, shown, &out->error)) out->error = STR("an error");
    if (!arena_copy(&out->arena, symbol, &out->error_symbol)) out->error_symbol = STR("");
}

yyjson_val *decode_json(struct venue_session *s, char *text, size_t len, struct decoded *out)
{
    struct err e;
    yyjson_val *root = json_read(&s->json, text, len, &e);
    if (!root) decode_bad(out, DEAD_MALFORMED, "%s", e.text);
    return root;
}

void decode_reverse_trades(struct decoded *out, size_t from)
{
    if (out->trade_count < from + 2) return;
    for (size_t i = from, j = out->trade_count - 1; i < j; i++, j--) {
        struct trade t = out->trades[i];
        out->trades[i] = out->trades[j];
        out->trades[j] = t;
    }
}
