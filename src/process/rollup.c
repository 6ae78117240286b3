/* Longer candles from 1m candles. The minutes' rounded values are added, so that the sum over a day's rows is the day's row. */
#include "process/rollup.h"

#include "process/process.h"

#include <stdio.h>

enum { LAKE_SCALE = 18, LAKE_DIGITS = 38 };

void rollup_init(struct rollup *r, enum timeframe tf, int64_t open_ns)
{
    *r = (struct rollup){.present = true};
    r->sum.timeframe = (uint8_t)tf;
    r->sum.open_time_ns = open_ns;
    r->sum.has_base_volume = r->sum.has_quote_volume = r->sum.has_taker = true;
}

static void take_first(struct rollup *r, const struct candle *minute)
{
    struct candle *c = &r->sum;
    r->first_minute_ns = minute->open_time_ns;
    c->open = minute->open;
    r->first_is_number = minute->has_ids;
    c->first_id = minute->first_id;
    memcpy(c->first_id_text, minute->first_id_text, sizeof c->first_id_text);
}

static void take_last(struct rollup *r, const struct candle *minute)
{
    struct candle *c = &r->sum;
    r->last_minute_ns = minute->open_time_ns;
    c->close = minute->close;
    r->last_is_number = minute->has_ids;
    c->last_id = minute->last_id;
    memcpy(c->last_id_text, minute->last_id_text, sizeof c->last_id_text);
}

static void add_value(i128 *sum, bool *has, i128 more, bool has_more)
{
    *has = *has && has_more && !__builtin_add_overflow(*sum, more, sum);
    i128 limit = (i128)dec_pow10_u128(LAKE_DIGITS);
    if (*has && *sum<limit && * sum> - limit) return;
    *has = false;
    *sum = 0;
}

void rollup_add(struct rollup *r, const struct candle *minute)
{
    struct candle *c = &r->sum;
    bool only = r->minutes == 0;
    if (only || minute->open_time_ns < r->first_minute_ns) take_first(r, minute);
    if (only || minute->open_time_ns > r->last_minute_ns) take_last(r, minute);
    if (only || minute->high > c->high) c->high = minute->high;
    if (only || minute->low < c->low) c->low = minute->low;
    add_value(&c->base_volume, &c->has_base_volume, minute->base_volume, minute->has_base_volume);
    add_value(&c->quote_volume, &c->has_quote_volume, minute->quote_volume,
              minute->has_quote_volume);
    bool has_taker_quote = c->has_taker;
    add_value(&c->taker_buy_base, &c->has_taker, minute->taker_buy_base, minute->has_taker);
    add_value(&c->taker_buy_quote, &has_taker_quote, minute->taker_buy_quote, minute->has_taker);
    c->has_taker = c->has_taker && has_taker_quote;
    if (__builtin_add_overflow(c->trade_count, minute->trade_count, &c->trade_count))
        c->trade_count = INT64_MAX;
    r->minutes++;
}

static bool vwap_of(const struct candle *c, i128 *ret)
{
    if (!c->has_base_volume || !c->has_quote_volume || c->base_volume <= 0) return false;
    struct wide quote = wide_zero(), base = wide_zero();
    wide_add_scaled(&quote, c->quote_volume, LAKE_SCALE);
    wide_add_scaled(&base, c->base_volume, LAKE_SCALE);
    return wide_ratio(&quote, &base, ret) == ERR_OK;
}

/* Numbers only where both are; else both as text. */
static void finish_ids(const struct rollup *r, struct candle *c)
{
    c->has_ids = r->first_is_number && r->last_is_number;
    if (c->has_ids) {
        c->first_id_text[0] = c->last_id_text[0] = 0;
        return;
    }
    if (r->first_is_number)
        snprintf(c->first_id_text, sizeof c->first_id_text, "%lld", (long long)c->first_id);
    if (r->last_is_number)
        snprintf(c->last_id_text, sizeof c->last_id_text, "%lld", (long long)c->last_id);
    c->first_id = c->last_id = 0;
}

void rollup_candle(const struct rollup *r, struct candle *ret)
{
    CHECK(r->minutes > 0);
    *ret = r->sum;
    ret->complete = true;
    ret->has_vwap = vwap_of(ret, &ret->vwap);
    if (!ret->has_vwap) ret->vwap = 0;
    if (!ret->has_taker) ret->taker_buy_base = ret->taker_buy_quote = 0;
    finish_ids(r, ret);
}

enum err_code process_rollup(enum timeframe tf, int64_t open_ns, const struct candle *minutes,
                             size_t count, struct candle *ret)
{
    struct rollup r;
    CHECK(count > 0);
    rollup_init(&r, tf, open_ns);
    for (size_t i = 0; i < count; i++) rollup_add(&r, &minutes[i]);
    rollup_candle(&r, ret);
    ret->series = minutes[0].series;
    return ERR_OK;
}
