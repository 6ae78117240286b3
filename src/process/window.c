/* Exact sums of a window. Digits are brought to the window's scales in 64 bits and summed in 128; what does not fit (a
 * scale above all before, sizes full of float noise) goes to 256 bits. Both ways are exact, so the result does not depend on
 * which was taken. */
#include "process/window.h"

#include <stdio.h>

enum { LAKE_DIGITS = 38 };

void window_init(struct window *w, int64_t open_ns, uint8_t price_scale, uint8_t size_scale)
{
    w->open_ns = open_ns;
    w->first_sequence = INT64_MAX;
    w->trade_count = 0;
    w->price_scale = price_scale;
    w->size_scale = size_scale;
    w->side_unknown = w->base_overflow = w->spilled = false;
    w->base = w->taker_base = w->quote = w->taker_quote = 0;
}

/* --- sums --- */

static void spill_begin(struct window *w)
{
    if (w->spilled) return;
    w->quote_spill = w->taker_quote_spill = wide_zero();
    w->spilled = true;
}

static void spill(struct window *w)
{
    int scale = w->price_scale + w->size_scale;
    spill_begin(w);
    wide_add_scaled(&w->quote_spill, w->quote, scale);
    wide_add_scaled(&w->taker_quote_spill, w->taker_quote, scale);
    w->quote = w->taker_quote = 0;
}

/* An overflow of 128 bits at a scale up to 18 is one of 38 digits in the lake's form as well. */
static void add_base(struct window *w, i128 *sum, i128 size)
{
    if (__builtin_add_overflow(*sum, size, sum)) w->base_overflow = true;
}

static void raise_scales(struct window *w, int price_scale, int size_scale)
{
    if (price_scale <= w->price_scale && size_scale <= w->size_scale) return;
    if (w->quote || w->taker_quote) spill(w);
    if (price_scale > w->price_scale) w->price_scale = (uint8_t)price_scale;
    if (size_scale <= w->size_scale) return;
    i128 factor = dec_powers[size_scale - w->size_scale];
    w->size_scale = (uint8_t)size_scale;
    if (__builtin_mul_overflow(w->base, factor, &w->base)) w->base_overflow = true;
    if (__builtin_mul_overflow(w->taker_base, factor, &w->taker_base)) w->base_overflow = true;
}

static void add_quote(struct window *w, i128 product, i128 taker)
{
    i128 quote, taker_quote;
    if (__builtin_add_overflow(w->quote, product, &quote) ||
        __builtin_add_overflow(w->taker_quote, taker, &taker_quote)) {
        spill(w);
        quote = product; /* at most 126 bits, into an empty sum */
        taker_quote = taker;
    }
    w->quote = quote;
    w->taker_quote = taker_quote;
}

static void add_volumes_wide(struct window *w, const struct trade *t)
{
    i128 size = (i128)t->size.digits * dec_powers[w->size_scale - t->size.scale];
    spill_begin(w);
    add_base(w, &w->base, size);
    wide_add_product(&w->quote_spill, t->price, t->size);
    if (t->side != SIDE_BUY) return;
    add_base(w, &w->taker_base, size);
    wide_add_product(&w->taker_quote_spill, t->price, t->size);
}

static void add_volumes(struct window *w, const struct trade *t)
{
    int64_t price, size;
    if (t->price.scale > w->price_scale || t->size.scale > w->size_scale)
        raise_scales(w, t->price.scale, t->size.scale);
    w->side_unknown |= t->side != SIDE_BUY && t->side != SIDE_SELL;
    if (__builtin_mul_overflow(t->price.digits, dec_powers[w->price_scale - t->price.scale],
                               &price) ||
        __builtin_mul_overflow(t->size.digits, dec_powers[w->size_scale - t->size.scale], &size)) {
        add_volumes_wide(w, t);
        return;
    }
    i128 product = (i128)price * size;
    bool taker = t->side == SIDE_BUY;
    add_base(w, &w->base, size);
    add_base(w, &w->taker_base, taker ? size : 0);
    add_quote(w, product, taker ? product : 0);
}

/* --- first and last --- */

static bool before(const struct trade_order *a, const struct trade_order *b)
{
    if (a->time_ns != b->time_ns) return a->time_ns < b->time_ns;
    if (a->has_number != b->has_number) return b->has_number;
    if (a->has_number && a->id != b->id) return a->id < b->id;
    return a->sequence < b->sequence;
}

static void set_end(struct window_end *end, const struct trade_order *order, const struct trade *t,
                    i128 price, bool first)
{
    end->order = *order;
    end->price = price;
    end->has_id = t->has_range || t->has_id;
    end->id = !t->has_range ? t->id : first ? t->first_id : t->last_id;
    end->text[0] = 0;
    /* One too long for the candle is left out: cut it would name another trade. */
    if (t->id_text.n && !t->has_range)
        end->has_id = str_copy(end->text, sizeof end->text, t->id_text);
}

static void widen_ends(struct window *w, const struct trade *t, int64_t time_ns, i128 price)
{
    struct trade_order order = {time_ns, t->id, t->sequence, t->has_id && t->id_text.n == 0};
    if (w->trade_count == 0 || before(&order, &w->open.order))
        set_end(&w->open, &order, t, price, true);
    if (w->trade_count == 0 || before(&w->close.order, &order))
        set_end(&w->close, &order, t, price, false);
}

/* An aggregate covers several trades; a range that cannot be counts as one. */
static int64_t trades_in(const struct trade *t)
{
    int64_t more;
    if (!t->has_range || t->last_id < t->first_id) return 1;
    if (__builtin_sub_overflow(t->last_id, t->first_id, &more) || more == INT64_MAX) return 1;
    return more + 1;
}

static void add_count(int64_t *count, int64_t more)
{
    if (__builtin_add_overflow(*count, more, count)) *count = INT64_MAX;
}

void window_add(struct window *w, const struct trade *t, int64_t time_ns)
{
    CHECK(!dec_is_absent(t->price) && !dec_is_absent(t->size));
    i128 price = (i128)t->price.digits * dec_powers[DEC_SCALE_MAX - t->price.scale];
    widen_ends(w, t, time_ns, price);
    if (w->trade_count == 0 || price > w->high) w->high = price;
    if (w->trade_count == 0 || price < w->low) w->low = price;
    if (t->sequence < w->first_sequence) w->first_sequence = t->sequence;
    add_volumes(w, t);
    add_count(&w->trade_count, trades_in(t));
}

static void merge_volumes(struct window *w, const struct window *part)
{
    raise_scales(w, part->price_scale, part->size_scale);
    i128 factor = dec_powers[w->size_scale - part->size_scale], base = 0, taker_base = 0;
    w->base_overflow |= part->base_overflow || __builtin_mul_overflow(part->base, factor, &base) ||
                        __builtin_mul_overflow(part->taker_base, factor, &taker_base);
    add_base(w, &w->base, base);
    add_base(w, &w->taker_base, taker_base);
    w->side_unknown |= part->side_unknown;
    int scale = part->price_scale + part->size_scale;
    if (scale == w->price_scale + w->size_scale) {
        add_quote(w, part->quote, part->taker_quote);
    } else {
        spill_begin(w);
        wide_add_scaled(&w->quote_spill, part->quote, scale);
        wide_add_scaled(&w->taker_quote_spill, part->taker_quote, scale);
    }
    if (!part->spilled) return;
    spill_begin(w);
    wide_add(&w->quote_spill, &part->quote_spill);
    wide_add(&w->taker_quote_spill, &part->taker_quote_spill);
}

void window_merge(struct window *w, const struct window *part)
{
    if (part->trade_count == 0) return;
    bool first = w->trade_count == 0;
    if (first || before(&part->open.order, &w->open.order)) w->open = part->open;
    if (first || before(&w->close.order, &part->close.order)) w->close = part->close;
    if (first || part->high > w->high) w->high = part->high;
    if (first || part->low < w->low) w->low = part->low;
    if (part->first_sequence < w->first_sequence) w->first_sequence = part->first_sequence;
    merge_volumes(w, part);
    add_count(&w->trade_count, part->trade_count);
}

/* --- the candle --- */

static bool fits_lake(i128 v)
{
    i128 limit = (i128)dec_pow10_u128(LAKE_DIGITS);
    return v > -limit && v < limit;
}

/* n / d, half-even; d > 0. */
static i128 divided(i128 n, i128 d)
{
    i128 quotient = n / d, rest = n % d;
    i128 distance = (rest < 0 ? -rest : rest), other = d - distance;
    bool up = distance > other || (distance == other && (quotient & 1));
    return quotient + (up ? (n < 0 ? -1 : 1) : 0);
}

static bool quote_to_lake(const struct window *w, i128 sum, const struct wide *spilled, i128 *ret)
{
    int scale = w->price_scale + w->size_scale;
    if (w->spilled) {
        struct wide all = *spilled;
        wide_add_scaled(&all, sum, scale);
        return wide_to_lake(&all, ret) == ERR_OK;
    }
    if (scale > DEC_SCALE_MAX) {
        *ret = divided(sum, dec_powers[scale - DEC_SCALE_MAX]);
        return fits_lake(*ret);
    }
    return !__builtin_mul_overflow(sum, (i128)dec_powers[DEC_SCALE_MAX - scale], ret) &&
           fits_lake(*ret);
}

static bool base_to_lake(const struct window *w, i128 sum, i128 *ret)
{
    return !w->base_overflow &&
           !__builtin_mul_overflow(sum, (i128)dec_powers[DEC_SCALE_MAX - w->size_scale], ret) &&
           fits_lake(*ret);
}

static bool vwap_of(const struct window *w, i128 *ret)
{
    i128 scaled;
    if (w->base_overflow || w->base <= 0) return false;
    if (!w->spilled && !__builtin_mul_overflow(
                           w->quote, (i128)dec_powers[DEC_SCALE_MAX - w->price_scale], &scaled)) {
        *ret = divided(scaled, w->base);
        return fits_lake(*ret);
    }
    struct wide quote = w->spilled ? w->quote_spill : wide_zero(), base = wide_zero();
    wide_add_scaled(&quote, w->quote, w->price_scale + w->size_scale);
    wide_add_scaled(&base, w->base, w->size_scale);
    return wide_ratio(&quote, &base, ret) == ERR_OK;
}

static void id_text(const struct window_end *end, char text[WINDOW_ID_TEXT])
{
    struct str given = str_of(end->text);
    text[0] = 0;
    if (!end->has_id) return;
    if (given.n)
        CHECK(str_copy(text, WINDOW_ID_TEXT, given));
    else
        snprintf(text, WINDOW_ID_TEXT, "%lld", (long long)end->id);
}

static void candle_ids(const struct window *w, struct candle *ret)
{
    ret->has_ids = w->open.has_id && w->close.has_id && !w->open.text[0] && !w->close.text[0];
    if (ret->has_ids) {
        ret->first_id = w->open.id;
        ret->last_id = w->close.id;
    } else {
        id_text(&w->open, ret->first_id_text);
        id_text(&w->close, ret->last_id_text);
    }
}

void window_candle(const struct window *w, enum timeframe tf, struct candle *ret)
{
    CHECK(w->trade_count > 0);
    *ret = (struct candle){
        .timeframe = (uint8_t)tf,
        .complete = true,
        .open_time_ns = w->open_ns,
        .open = w->open.price,
        .high = w->high,
        .low = w->low,
        .close = w->close.price,
        .trade_count = w->trade_count,
    };
    ret->has_base_volume = base_to_lake(w, w->base, &ret->base_volume);
    ret->has_quote_volume = quote_to_lake(w, w->quote, &w->quote_spill, &ret->quote_volume);
    ret->has_taker = !w->side_unknown && base_to_lake(w, w->taker_base, &ret->taker_buy_base) &&
                     quote_to_lake(w, w->taker_quote, &w->taker_quote_spill, &ret->taker_buy_quote);
    ret->has_vwap = ret->has_base_volume && ret->has_quote_volume && vwap_of(w, &ret->vwap);
    if (!ret->has_base_volume) ret->base_volume = 0;
    if (!ret->has_quote_volume) ret->quote_volume = 0;
    if (!ret->has_taker) ret->taker_buy_base = ret->taker_buy_quote = 0;
    if (!ret->has_vwap) ret->vwap = 0;
    candle_ids(w, ret);
}
