#include "source/history.h"

#include "base/array.h"
#include "base/hash.h"

#include <stdlib.h>

/* ---- What a page held ---- */

static void note_time(struct history_page *p, int64_t ns)
{
    if (ns == TIME_ABSENT) return;
    if (p->first_ns == TIME_ABSENT || ns < p->first_ns) p->first_ns = ns;
    if (p->last_ns == TIME_ABSENT || ns > p->last_ns) p->last_ns = ns;
}

static void note_trade(struct history_page *p, const struct trade *t)
{
    bool first = p->rows++ == 0;
    note_time(p, t->venue_time_ns);
    if (first || t->id < p->first_id) {
        p->first_id = t->id;
        p->first_covered = t->has_range ? t->first_id : t->id;
    }
    if (first || t->id > p->last_id) p->last_id = t->id;
}

static void describe(const struct decoded *d, struct history_page *ret)
{
    *ret = (struct history_page){.first_ns = TIME_ABSENT, .last_ns = TIME_ABSENT};
    for (size_t i = 0; i < d->trade_count; i++) note_trade(ret, &d->trades[i]);
    for (size_t i = 0; i < d->candle_count; i++) {
        ret->rows++;
        note_time(ret, d->candles[i].c.open_time_ns);
    }
    ret->rows += d->quote_count + d->refused_count;
}

/* ---- What of it is wanted ---- */

static bool in_time(const struct history_window *w, int64_t ns)
{
    return ns >= w->from_ns && ns < w->to_ns;
}

bool history_wants_trade(const struct history_window *w, const struct trade *t)
{
    if (w->by_id)
        return t->id >= w->first_id && t->id <= w->last_id &&
               (!w->ids || history_ids_within(w->ids, t->id, t->id) == 1);
    return t->venue_time_ns != TIME_ABSENT && in_time(w, t->venue_time_ns);
}

bool history_wants_candle(const struct history_window *w, const struct venue_candle *c)
{
    int64_t end_ns;
    if (__builtin_add_overflow(c->c.open_time_ns, timeframe_ns((enum timeframe)c->c.timeframe),
                               &end_ns))
        return false;
    return in_time(w, c->c.open_time_ns) && end_ns <= w->now_ns;
}

static void trim_trades(struct decoded *d, const struct history_window *w)
{
    size_t kept = 0;
    bool before = false; /* the newest one with a time was wanted */
    for (size_t i = 0; i < d->trade_count; i++) {
        const struct trade *t = &d->trades[i];
        bool timeless = !w->by_id && t->venue_time_ns == TIME_ABSENT;
        bool wanted = timeless ? before : history_wants_trade(w, t);
        before = wanted;
        if (wanted) d->trades[kept++] = *t;
    }
    d->trade_count = kept;
}

static void trim_candles(struct decoded *d, const struct history_window *w,
                         struct history_page *page)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->candle_count; i++) {
        if (!history_wants_candle(w, &d->candles[i])) continue;
        bool known = w->known && !history_known_candle(w->known, &d->candles[i]);
        page->known += known;
        if (known) continue;
        d->candles[kept] = d->candles[i];
        d->candles[kept++].fetched_ns = w->now_ns;
    }
    d->candle_count = kept;
}

/* A top of book is what it is at the moment: it has no interval. */
static void trim_quotes(struct decoded *d, const struct history_window *w,
                        struct history_page *page)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->quote_count; i++) {
        bool known = w->known && !history_known_quote(w->known, &d->quotes[i]);
        page->known += known;
        if (!known) d->quotes[kept++] = d->quotes[i];
    }
    d->quote_count = kept;
}

void history_trim(struct decoded *d, const struct history_window *w, struct history_page *ret)
{
    describe(d, ret);
    if (w->nothing) {
        d->trade_count = d->quote_count = d->candle_count = d->refused_count = 0;
        return;
    }
    trim_trades(d, w);
    trim_candles(d, w, ret);
    trim_quotes(d, w, ret);
}

/* ---- Known rows: an open table of 128 bits of hash; two that meet are equal for all purposes ---- */

struct history_known {
    u128 *slots; /* 0: empty */
    size_t count, cap;
};

struct history_known *history_known_new(void)
{
    struct history_known *k = calloc(1, sizeof *k);
    CHECK(k != NULL);
    return k;
}

struct history_known *history_known_free(struct history_known *k)
{
    if (!k) return NULL;
    free(k->slots);
    free(k);
    return NULL;
}

void history_known_clear(struct history_known *k)
{
    free(k->slots);
    *k = (struct history_known){0};
}

static bool put(u128 *slots, size_t cap, u128 hash)
{
    size_t at = (size_t)hash & (cap - 1);
    for (; slots[at]; at = (at + 1) & (cap - 1))
        if (slots[at] == hash) return false;
    slots[at] = hash;
    return true;
}

static void grow(struct history_known *k)
{
    enum { FIRST = 1024 };
    size_t cap = k->cap ? k->cap * 2 : FIRST;
    u128 *slots = calloc(cap, sizeof *slots);
    CHECK(slots != NULL);
    for (size_t i = 0; i < k->cap; i++)
        if (k->slots[i]) put(slots, cap, k->slots[i]);
    free(k->slots);
    k->slots = slots;
    k->cap = cap;
}

static bool add(struct history_known *k, const void *image, size_t size)
{
    u128 hash = hash128((struct str){image, size});
    if (k->count * 2 >= k->cap) grow(k);
    bool is_new = put(k->slots, k->cap, hash ? hash : 1);
    k->count += is_new;
    return is_new;
}

bool history_known_candle(struct history_known *k, const struct venue_candle *vc)
{
    const struct candle *c = &vc->c;
    struct {
        i128 values[8];
        int64_t open_time_ns, trades, series, flags;
        char source[32];
    } image;
    memset(&image, 0, sizeof image);
    const i128 values[8] = {c->open,
                            c->high,
                            c->low,
                            c->close,
                            c->has_base_volume ? c->base_volume : 0,
                            c->has_quote_volume ? c->quote_volume : 0,
                            c->has_taker ? c->taker_buy_base : 0,
                            c->has_taker ? c->taker_buy_quote : 0};
    memcpy(image.values, values, sizeof values);
    image.open_time_ns = c->open_time_ns;
    image.trades = c->trade_count;
    image.series = (int64_t)c->series << 8 | c->timeframe;
    image.flags = c->has_base_volume | c->has_quote_volume << 1 | c->has_taker << 2;
    size_t n = vc->source.n < sizeof image.source ? vc->source.n : sizeof image.source;
    if (n) memcpy(image.source, vc->source.p, n);
    return add(k, &image, sizeof image);
}

bool history_known_quote(struct history_known *k, const struct quote *q)
{
    const struct dec values[4] = {q->bid_price, q->bid_size, q->ask_price, q->ask_size};
    int64_t image[10] = {q->series, q->venue_time_ns};
    for (int i = 0; i < 4; i++) {
        image[2 + 2 * i] = values[i].digits;
        image[3 + 2 * i] = values[i].scale;
    }
    return add(k, image, sizeof image);
}

/* ---- Ids ---- */

/* The first range that ends at or behind the id. */
static size_t place(const struct history_ids *ids, int64_t id)
{
    size_t low = 0, high = ids->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ids->ranges[middle].last < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void history_ids_add(struct history_ids *ids, int64_t first, int64_t last)
{
    if (last < first || first < 0 || last >= INT64_MAX - 1) return;
    size_t at = place(ids, first - 1), end = at;
    struct history_range joined = {first, last};
    for (; end < ids->count && ids->ranges[end].first <= last + 1; end++) {
        const struct history_range *r = &ids->ranges[end];
        if (r->first < joined.first) joined.first = r->first;
        if (r->last > joined.last) joined.last = r->last;
    }
    if (end == at) {
        ids->ranges = array_grown(ids->ranges, ids->count, &ids->cap, sizeof *ids->ranges);
        memmove(ids->ranges + at + 1, ids->ranges + at, (ids->count - at) * sizeof *ids->ranges);
        ids->count++;
    } else if (end > at + 1) {
        memmove(ids->ranges + at + 1, ids->ranges + end, (ids->count - end) * sizeof *ids->ranges);
        ids->count -= end - at - 1;
    }
    ids->ranges[at] = joined;
}

void history_ids_free(struct history_ids *ids)
{
    free(ids->ranges);
    *ids = (struct history_ids){0};
}

int64_t history_ids_within(const struct history_ids *ids, int64_t first, int64_t last)
{
    int64_t count = 0;
    for (size_t i = place(ids, first); i < ids->count && ids->ranges[i].first <= last; i++) {
        const struct history_range *r = &ids->ranges[i];
        int64_t from = r->first > first ? r->first : first, to = r->last < last ? r->last : last;
        count += to - from + 1;
    }
    return count;
}

bool history_ids_missing(const struct history_ids *ids, int64_t first, int64_t last,
                         struct history_range *ret)
{
    size_t at = place(ids, first);
    if (at < ids->count && ids->ranges[at].first <= first) first = ids->ranges[at++].last + 1;
    if (first > last) return false;
    bool more = at < ids->count && ids->ranges[at].first <= last;
    *ret = (struct history_range){first, more ? ids->ranges[at].first - 1 : last};
    return true;
}
