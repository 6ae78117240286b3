/* Coinbase Exchange's history: trades by id cursors, candles by time.
 *
 * Trades    /products/X/trades?after=N has the newest ids below N, newest first; times cannot be asked for. The first id of
 *           an interval is found by halving the ids (about 30 requests for a thousand million), then pages of 1000 ids are
 *           walked upwards: after = id + 1000.
 * Candles   at most 300 rows a request; start and end are both inclusive. Empty intervals have no rows.
 * Limits    10 requests a second and address. [documentation, 2026]
 */
#include "venue/history.h"

#include <stdio.h>

enum { PAGE_ROWS = 1000, PAGE_CANDLES = 300, PAUSE_MS = 110 };
/* a: where the walk goes on; b and c: ids between which the first one is looked for: b's trade is before `from` (or there is
 * none), c's is not; d: the newest id at the beginning. */
enum step { NEWEST, HALVE, WALK };

static int64_t first_of_page(const struct history_ask *ask, const struct history_cursor *c)
{
    return c->step != WALK && ask->by_id ? ask->first_id : c->a;
}

static int64_t rows_of_page(const struct history_ask *ask, int64_t first)
{
    int64_t left = ask->by_id ? ask->last_id - first + 1 : PAGE_ROWS;
    return left < PAGE_ROWS ? left : PAGE_ROWS;
}

static int64_t middle_of(const struct history_cursor *c) { return c->b + (c->c - c->b) / 2; }

static void trades(const struct history_ask *ask, const struct history_cursor *c,
                   const char *product, struct history_request *ret)
{
    if (ask->by_id || c->step == WALK) {
        int64_t first = first_of_page(ask, c), rows = rows_of_page(ask, first);
        history_path(ret, "/products/%s/trades?limit=%lld&after=%lld", product, (long long)rows,
                     (long long)(first + rows));
        return;
    }
    ret->probe = true;
    if (c->step == NEWEST)
        history_path(ret, "/products/%s/trades?limit=1", product);
    else
        history_path(ret, "/products/%s/trades?limit=1&after=%lld", product,
                     (long long)(middle_of(c) + 1));
}

static int64_t candles_from(const struct history_ask *ask, const struct history_cursor *c)
{
    return c->step == WALK ? c->a : time_floor(ask->from_ns, timeframe_ns(ask->timeframe));
}

static bool request(const struct history_ask *ask, const struct history_cursor *c, struct str token,
                    struct history_request *ret)
{
    char product[HISTORY_SYMBOLS_MAX], start[TIME_TEXT_MAX], end[TIME_TEXT_MAX];
    (void)token;
    *ret = (struct history_request){.pause_ms = PAUSE_MS};
    if (c->done || !history_escape(ask->symbols, product)) return false;
    if (ask->kind == HISTORY_TRADES) {
        trades(ask, c, product, ret);
        return true;
    }
    int64_t length_ns = timeframe_ns(ask->timeframe), from_ns = candles_from(ask, c);
    time_format(from_ns, start);
    time_format(from_ns + (PAGE_CANDLES - 1) * length_ns, end);
    history_path(ret, "/products/%s/candles?granularity=%lld&start=%s&end=%s", product,
                 (long long)(length_ns / NS_PER_S), start, end);
    return true;
}

/* The probe gave the newest trade with an id of at most the middle. One without a time counts as not before: the walk may
 * begin too early by that, never too late. */
static void halve(const struct history_ask *ask, struct history_cursor *c,
                  const struct history_page *page)
{
    bool nothing = page->rows == 0 || page->last_id <= c->b;
    if (nothing || (page->last_ns != TIME_ABSENT && page->last_ns < ask->from_ns))
        c->b = middle_of(c);
    else
        c->c = page->last_id < c->c ? page->last_id : middle_of(c);
    if (c->c - c->b > 1) return;
    c->step = WALK;
    c->a = c->c;
}

static void find_newest(const struct history_ask *ask, struct history_cursor *c,
                        const struct history_page *page)
{
    c->done = page->rows == 0 || page->last_id < 1 ||
              (page->last_ns != TIME_ABSENT && page->last_ns < ask->from_ns);
    c->step = HALVE;
    c->b = 0;
    c->c = c->d = page->last_id;
    if (c->c > 1) return;
    c->step = WALK;
    c->a = c->c;
}

static void answer(const struct history_ask *ask, struct history_cursor *c,
                   const struct history_page *page)
{
    if (ask->kind != HISTORY_TRADES) {
        c->a = candles_from(ask, c) + PAGE_CANDLES * timeframe_ns(ask->timeframe);
        c->step = WALK;
        c->done = c->a >= ask->to_ns;
    } else if (ask->by_id || c->step == WALK) {
        int64_t first = first_of_page(ask, c);
        c->a = first + rows_of_page(ask, first);
        c->step = WALK;
        c->done = ask->by_id ? c->a > ask->last_id
                             : page->rows == 0 || page->last_ns >= ask->to_ns || c->a > c->d;
    } else if (c->step == NEWEST) {
        find_newest(ask, c, page);
    } else {
        halve(ask, c, page);
    }
}

static enum history_error error(struct str words)
{
    if (str_contains(words, "NotFound") || str_contains(words, "not found"))
        return HISTORY_UNKNOWN_SYMBOL;
    return str_contains(words, "rate limit") ? HISTORY_ALLOWANCE : HISTORY_OTHER;
}

const struct venue_history coinbase_history = {
    .streams = 1u << STREAM_TRADE,
    .timeframes = 1u << TIMEFRAME_1M | 1u << TIMEFRAME_5M | 1u << TIMEFRAME_15M |
                  1u << TIMEFRAME_1H | 1u << TIMEFRAME_1D,
    .symbols_per_request = 1,
    .request = request,
    .answer = answer,
    .error = error,
};
