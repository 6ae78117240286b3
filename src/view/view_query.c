/* Candles and trades of a symbol, read from the lake when asked: in a thread of its own with a lake handle of its own. */
#include "io/clock.h"
#include "view/view_internal.h"

#include <stdlib.h>

enum { CANDLES_WANTED = 500, CANDLE_LIMIT = 5000, TRADES_WANTED = 50, TRADE_LIMIT = 1000 };

struct answer {
    struct view *view;
    const char *query;
    struct buf out;
    char venue[VIEW_PARAMETER_MAX], symbol[VIEW_PARAMETER_MAX];
    void *items;
    size_t count, cap, size;
};

static void *add_item(struct answer *a)
{
    if (a->count == a->cap) {
        a->cap = a->cap ? a->cap * 2 : 256;
        a->items = realloc(a->items, a->cap * a->size);
        CHECK(a->items != NULL);
    }
    return (char *)a->items + a->count++ * a->size;
}

/* ---- candles */

static enum err_code take_candle(void *ctx, const struct candle *c, struct err *e)
{
    struct answer *a = ctx;
    if (a->count >= CANDLE_LIMIT * 2)
        return ERR(e, ERR_FULL, "more than %d candles in this range", CANDLE_LIMIT * 2);
    *(struct candle *)add_item(a) = *c;
    return ERR_OK;
}

static int by_open(const void *x, const void *y)
{
    const struct candle *a = x, *b = y;
    if (a->open_time_ns != b->open_time_ns) return a->open_time_ns < b->open_time_ns ? -1 : 1;
    return a->revision < b->revision ? -1 : a->revision > b->revision;
}

static void put_value(struct buf *out, const char *name, i128 value, bool has)
{
    char text[DEC_TEXT_MAX];
    if (!has) {
        buf_addf(out, ",\"%s\":null", name);
        return;
    }
    dec_format_lake(value, text);
    buf_addf(out, ",\"%s\":\"%s\"", name, text);
}

static void put_candle(const struct candle *c, bool first, struct buf *out)
{
    buf_addf(out, "%s{\"open_time_ms\":%lld", first ? "" : ",",
             (long long)(c->open_time_ns / NS_PER_MS));
    put_value(out, "open", c->open, true);
    put_value(out, "high", c->high, true);
    put_value(out, "low", c->low, true);
    put_value(out, "close", c->close, true);
    put_value(out, "base_volume", c->base_volume, c->has_base_volume);
    put_value(out, "vwap", c->vwap, c->has_vwap);
    buf_addf(out, ",\"trades\":%lld,\"complete\":%s,\"revision\":%lld}", (long long)c->trade_count,
             c->complete ? "true" : "false", (long long)c->revision);
}

static enum err_code answer_candles(struct answer *a, struct err *e)
{
    char text[VIEW_PARAMETER_MAX];
    struct view *v = a->view;
    view_parameter(a->query, "timeframe", text);
    int tf = timeframe_of_text(str_of(text[0] ? text : "1m"));
    if (tf < 0) return ERR(e, ERR_USAGE, "timeframe: expected 1s 1m 5m 15m 1h 4h or 1d");
    int64_t unit_ms = timeframe_ns((enum timeframe)tf) / NS_PER_MS;
    int64_t now_ms = clock_wall_ns() / NS_PER_MS, far = INT64_MAX / NS_PER_MS / 2;
    int64_t limit = view_parameter_int(a->query, "limit", CANDLES_WANTED, 1, CANDLE_LIMIT);
    int64_t to_ms = view_parameter_int(a->query, "to_ms", now_ms + unit_ms, 0, far);
    int64_t from_ms = view_parameter_int(a->query, "from_ms", to_ms - limit * unit_ms, 0, far);
    if (from_ms < to_ms - CANDLE_LIMIT * unit_ms) from_ms = to_ms - CANDLE_LIMIT * unit_ms;
    a->size = sizeof(struct candle);
    TRY(lake_scan_candles(v->lake, str_of(a->venue), str_of(a->symbol), (enum timeframe)tf,
                          from_ms * NS_PER_MS, to_ms * NS_PER_MS, take_candle, a, e));
    struct candle *c = a->items;
    if (a->count) qsort(c, a->count, sizeof *c, by_open);
    buf_addf(&a->out, ",\"timeframe\":\"%s\",\"unit_ms\":%lld,\"from_ms\":%lld,\"to_ms\":%lld",
             timeframe_text((enum timeframe)tf), (long long)unit_ms, (long long)from_ms,
             (long long)to_ms);
    buf_add_cstr(&a->out, ",\"candles\":[");
    size_t skip = a->count > (size_t)limit ? a->count - (size_t)limit : 0;
    for (size_t i = skip; i < a->count; i++) put_candle(&c[i], i == skip, &a->out);
    buf_add_cstr(&a->out, "],\"gaps\":[");
    pthread_mutex_lock(&v->lock);
    view_gaps_of(&v->gaps, v->probes[SOURCE_STORE].series, str_of(a->venue), str_of(a->symbol),
                 from_ms * NS_PER_MS, to_ms * NS_PER_MS, &a->out);
    pthread_mutex_unlock(&v->lock);
    buf_add_byte(&a->out, ']');
    return ERR_OK;
}

/* ---- trades */

struct shown_trade {
    int64_t time_ns, sequence, id;
    struct dec price, size;
    uint8_t side;
    bool has_id;
    char id_text[40];
};

static enum err_code take_trade(void *ctx, const struct trade *t, struct err *e)
{
    struct answer *a = ctx;
    if (a->count >= TRADE_LIMIT * 100)
        return ERR(e, ERR_FULL, "more than %d trades in this range", TRADE_LIMIT * 100);
    struct shown_trade *to = add_item(a);
    *to = (struct shown_trade){.time_ns = t->venue_time_ns != TIME_ABSENT ? t->venue_time_ns
                                                                          : t->received_ns,
                               .sequence = t->sequence,
                               .id = t->id,
                               .price = t->price,
                               .size = t->size,
                               .side = t->side,
                               .has_id = t->has_id};
    struct str id = t->id_text;
    if (id.n >= sizeof to->id_text) id.n = sizeof to->id_text - 1;
    str_copy(to->id_text, sizeof to->id_text, id);
    return ERR_OK;
}

static int newest_first(const void *x, const void *y)
{
    const struct shown_trade *a = x, *b = y;
    if (a->time_ns != b->time_ns) return a->time_ns < b->time_ns ? 1 : -1;
    return a->sequence < b->sequence ? 1 : a->sequence > b->sequence ? -1 : 0;
}

static void put_trade(const struct shown_trade *t, bool first, struct buf *out)
{
    char price[DEC_TEXT_MAX], size[DEC_TEXT_MAX];
    dec_format(t->price, price);
    dec_format(t->size, size);
    buf_addf(out, "%s{\"time_ms\":%lld,\"price\":\"%s\",\"size\":\"%s\",\"side\":\"%s\"",
             first ? "" : ",", (long long)(t->time_ns / NS_PER_MS), price, size,
             side_text((enum side)t->side));
    if (t->id_text[0])
        view_put_text(out, "trade_id", str_of(t->id_text));
    else if (t->has_id)
        buf_addf(out, ",\"trade_id\":\"%lld\"", (long long)t->id);
    buf_add_byte(out, '}');
}

static enum err_code answer_trades(struct answer *a, struct err *e)
{
    int64_t limit = view_parameter_int(a->query, "limit", TRADES_WANTED, 1, TRADE_LIMIT);
    int64_t now_ms = clock_wall_ns() / NS_PER_MS, far = INT64_MAX / NS_PER_MS / 2;
    int64_t to_ms = view_parameter_int(a->query, "to_ms", now_ms + 60000, 0, far);
    a->size = sizeof(struct shown_trade);
    /* Of a minute first, since one file holds that; only a quiet symbol needs more. */
    for (int64_t span_ms = 60000; a->count < (size_t)limit; span_ms *= 8) {
        a->count = 0;
        TRY(lake_scan_trades(a->view->lake, str_of(a->venue), str_of(a->symbol),
                             (to_ms - span_ms) * NS_PER_MS, to_ms * NS_PER_MS, take_trade, a, e));
        if (span_ms > 3600000) break;
    }
    struct shown_trade *t = a->items;
    if (a->count) qsort(t, a->count, sizeof *t, newest_first);
    buf_add_cstr(&a->out, ",\"trades\":[");
    for (size_t i = 0; i < a->count && i < (size_t)limit; i++) put_trade(&t[i], i == 0, &a->out);
    buf_add_byte(&a->out, ']');
    return ERR_OK;
}

/* ---- the thread */

static enum err_code open_lake(struct view *v, struct err *e)
{
    struct lake_options o;
    if (v->lake) return ERR_OK;
    TRY(distributed_lake(&v->parts, v->series, false, &o, e));
    o.read_only = true;
    return lake_open(&o, &v->lake, e);
}

static enum err_code make_answer(struct answer *a, const char *what, struct err *e)
{
    if (!view_parameter(a->query, "venue", a->venue) ||
        !view_parameter(a->query, "symbol", a->symbol))
        return ERR(e, ERR_USAGE, "expected venue=... and symbol=...");
    TRY(open_lake(a->view, e));
    buf_addf(&a->out, "{\"now_ms\":%lld", (long long)(clock_wall_ns() / NS_PER_MS));
    view_put_text(&a->out, "venue", str_of(a->venue));
    view_put_text(&a->out, "symbol", str_of(a->symbol));
    TRY(str_is(str_of(what), "candles") ? answer_candles(a, e) : answer_trades(a, e));
    buf_add_byte(&a->out, '}');
    if (a->out.failed)
        return ERR(e, ERR_FULL, "the answer is longer than %d bytes", VIEW_PAGE_BYTES);
    return ERR_OK;
}

static void answer(struct view *v, const struct view_question *q)
{
    struct answer a = {.view = v, .query = q->query};
    struct err e = {0};
    buf_init(&a.out, VIEW_PAGE_BYTES);
    enum err_code code = make_answer(&a, q->what, &e);
    int status = code == ERR_OK ? 200 : code == ERR_USAGE ? 400 : code == ERR_FULL ? 413 : 503;
    if (code != ERR_OK) {
        buf_free(&a.out);
        buf_init(&a.out, VIEW_PAGE_BYTES);
        buf_add_cstr(&a.out, "{\"error\":");
        buf_add_json(&a.out, str_of(e.text));
        buf_add_byte(&a.out, '}');
        if (code != ERR_USAGE && code != ERR_FULL) v->lake = lake_close(v->lake);
    }
    pthread_mutex_lock(&v->lock);
    bool stopping = v->stopping; /* then nobody may be there any more to take it */
    pthread_mutex_unlock(&v->lock);
    if (!stopping) v->options.answer(v->options.ctx, q->id, status, buf_str(&a.out));
    buf_free(&a.out);
    free(a.items);
}

void *view_query_thread(void *view)
{
    struct view *v = view;
    pthread_mutex_lock(&v->lock);
    while (!v->stopping) {
        if (v->question_count == 0) {
            pthread_cond_wait(&v->wake, &v->lock);
            continue;
        }
        struct view_question q = v->questions[0];
        v->question_count--;
        memmove(v->questions, v->questions + 1, v->question_count * sizeof q);
        pthread_mutex_unlock(&v->lock);
        answer(v, &q);
        pthread_mutex_lock(&v->lock);
    }
    pthread_mutex_unlock(&v->lock);
    return NULL;
}

bool view_ask(struct view *v, uint64_t id, const char *what, const char *query)
{
    struct view_question q = {.id = id};
    if (!str_is(str_of(what), "candles") && !str_is(str_of(what), "trades")) return false;
    if (!str_copy(q.what, sizeof q.what, str_of(what)) ||
        !str_copy(q.query, sizeof q.query, str_of(query ? query : "")))
        return false;
    pthread_mutex_lock(&v->lock);
    bool room = v->question_count < VIEW_QUESTIONS_MAX && !v->stopping && v->options.answer;
    if (room) v->questions[v->question_count++] = q;
    pthread_cond_broadcast(&v->wake);
    pthread_mutex_unlock(&v->lock);
    return room;
}
