/* Binance's history, spot and USD-M: historicalTrades and aggTrades by id, klines by time, and the public daily archive.
 *
 * Trades    there is no way to ask for single trades by time. aggTrades can be: the first aggregate at or behind `from` tells
 *           the first id it covers, and from there historicalTrades is walked by fromId (inclusive, ascending). On USD-M what
 *           is no market trade (insurance fund, ADL) has an id but is in no aggregate, so the walk begins a page before it;
 *           rows outside of the interval are left out by the caller.
 * Limits    weight a minute: spot 6000 (historicalTrades 25, aggTrades 4, klines 2), USD-M 2400 (20, 20, 5). 429 and 418 with
 *           Retry-After are the caller's matter. [documentation, 2026-07]
 * Token     USD-M's historicalTrades needs an API key; spot's takes one and needs none.
 * Archive   data.binance.vision/data/spot/daily/trades/BTCUSDT/BTCUSDT-trades-2024-08-08.zip and .CHECKSUM beside it (sha256sum's
 *           form), from the day after on.
 */
#include "venue/history.h"

#include "venue/names.h"

#include <stdio.h>

enum { PAGE_ROWS = 1000 };
enum step { FIND, WALK };

struct product { /* what differs between the two */
    const char *root, *archive;
    int32_t trades_ms, aggregates_ms, candles_ms;
    int64_t before; /* ids that may lie before the first aggregate at the beginning */
};
static const struct product spot = {"/api/v3", "spot", 250, 40, 20, 0};
static const struct product futures = {"/fapi/v1", "futures/um", 500, 500, 125, PAGE_ROWS};

static int64_t page_rows(const struct history_ask *ask, const struct history_cursor *c)
{
    int64_t left = ask->by_id ? ask->last_id - c->a + 1 : PAGE_ROWS;
    return left < PAGE_ROWS ? left : PAGE_ROWS;
}

static void trades(const struct product *p, const struct history_ask *ask, const char *symbol,
                   const struct history_cursor *c, struct history_request *ret)
{
    bool aggregates = ask->stream == STREAM_AGG_TRADE;
    int64_t from = ask->by_id && c->step == FIND ? ask->first_id : c->a;
    if (!ask->by_id && c->step == FIND) {
        history_path(ret, "%s/aggTrades?symbol=%s&startTime=%lld&limit=1", p->root, symbol,
                     (long long)history_floor(ask->from_ns, NS_PER_MS));
        ret->pause_ms = p->aggregates_ms;
        ret->probe = true;
        return;
    }
    struct history_cursor at = {.a = from};
    history_path(ret, "%s/%s?symbol=%s&fromId=%lld&limit=%lld", p->root,
                 aggregates ? "aggTrades" : "historicalTrades", symbol, (long long)from,
                 (long long)page_rows(ask, &at));
    ret->pause_ms = aggregates ? p->aggregates_ms : p->trades_ms;
}

static bool request(const struct product *p, const struct history_ask *ask,
                    const struct history_cursor *c, struct str token, struct history_request *ret)
{
    char symbol[HISTORY_SYMBOLS_MAX];
    *ret = (struct history_request){0};
    if (c->done || !history_escape(ask->symbols, symbol)) return false;
    if (token.n && token.n < 256)
        (void)snprintf(ret->http.header, sizeof ret->http.header, "X-MBX-APIKEY: %.*s",
                       STR_ARG(token));
    if (ask->kind == HISTORY_TRADES) {
        trades(p, ask, symbol, c, ret);
        return true;
    }
    int64_t from_ns = c->step == FIND ? ask->from_ns : c->a;
    history_path(ret, "%s/klines?symbol=%s&interval=%s&startTime=%lld&endTime=%lld&limit=%d",
                 p->root, symbol, timeframe_text(ask->timeframe),
                 (long long)history_floor(from_ns, NS_PER_MS),
                 (long long)history_ceil(ask->to_ns, NS_PER_MS) - 1, PAGE_ROWS);
    ret->pause_ms = p->candles_ms;
    return true;
}

static void answer_trades(const struct product *p, const struct history_ask *ask,
                          struct history_cursor *c, const struct history_page *page)
{
    if (page->rows == 0) {
        c->done = true;
    } else if (c->step == FIND && !ask->by_id) {
        bool single = ask->stream == STREAM_TRADE;
        int64_t id = single ? page->first_covered - p->before : page->first_id;
        c->done = page->first_ns >= ask->to_ns && (p->before == 0 || !single);
        c->a = id > 0 ? id : 0;
        c->step = WALK;
    } else {
        int64_t from = c->step == FIND ? ask->first_id : c->a;
        if (page->last_id < from) c->stuck = c->done = true;
        c->step = WALK;
        c->a = page->last_id + 1;
        if (ask->by_id)
            c->done = c->done || c->a > ask->last_id;
        else /* a short page is the newest there is */
            c->done = c->done || page->last_ns >= ask->to_ns || page->rows < PAGE_ROWS;
    }
}

static void answer(const struct product *p, const struct history_ask *ask, struct history_cursor *c,
                   const struct history_page *page)
{
    if (ask->kind == HISTORY_TRADES) {
        answer_trades(p, ask, c, page);
        return;
    }
    int64_t from_ns = c->step == FIND ? ask->from_ns : c->a;
    c->step = WALK;
    if (page->rows == 0 || page->rows < PAGE_ROWS) c->done = true;
    if (page->rows == 0) return;
    if (page->last_ns < time_floor(from_ns, NS_PER_MS)) c->stuck = c->done = true;
    c->a = page->last_ns + timeframe_ns(ask->timeframe);
    c->done = c->done || c->a >= ask->to_ns;
}

static bool spot_request(const struct history_ask *ask, const struct history_cursor *c,
                         struct str token, struct history_request *ret)
{
    return request(&spot, ask, c, token, ret);
}
static bool futures_request(const struct history_ask *ask, const struct history_cursor *c,
                            struct str token, struct history_request *ret)
{
    return request(&futures, ask, c, token, ret);
}
static void spot_answer(const struct history_ask *ask, struct history_cursor *c,
                        const struct history_page *page)
{
    answer(&spot, ask, c, page);
}
static void futures_answer(const struct history_ask *ask, struct history_cursor *c,
                           const struct history_page *page)
{
    answer(&futures, ask, c, page);
}

static enum history_error error(struct str words)
{
    if (str_contains(words, "Invalid symbol")) return HISTORY_UNKNOWN_SYMBOL;
    if (str_contains(words, "API-key") || str_contains(words, "api-key")) return HISTORY_REFUSED;
    return HISTORY_OTHER;
}

static bool archive(const struct product *p, const struct history_ask *ask, int32_t day,
                    char path[512])
{
    char text[16], symbol[NAMES_TEXT_MAX + 1];
    if (ask->by_id || ask->kind == HISTORY_TOP) return false;
    if (!str_copy(symbol, sizeof symbol, ask->symbols) || strpbrk(symbol, "/,?#% ")) return false;
    history_day_text(day, text);
    bool candles = ask->kind == HISTORY_CANDLES;
    const char *width = candles ? timeframe_text(ask->timeframe) : "";
    const char *what = candles                           ? "klines"
                       : ask->stream == STREAM_AGG_TRADE ? "aggTrades"
                                                         : "trades";
    int n = snprintf(path, 512, "/data/%s/daily/%s/%s/%s%s%s-%s-%s.zip", p->archive, what, symbol,
                     width, candles ? "/" : "", symbol, candles ? width : what, text);
    return n > 0 && n < 500;
}
static bool spot_archive(const struct history_ask *ask, int32_t day, char path[512])
{
    return archive(&spot, ask, day, path);
}
static bool futures_archive(const struct history_ask *ask, int32_t day, char path[512])
{
    /* USD-M has daily files of all of these, but no bars of one second. */
    return !(ask->kind == HISTORY_CANDLES && ask->timeframe == TIMEFRAME_1S) &&
           archive(&futures, ask, day, path);
}

#define ALL_FRAMES                                                                                 \
    (1u << TIMEFRAME_1M | 1u << TIMEFRAME_5M | 1u << TIMEFRAME_15M | 1u << TIMEFRAME_1H |          \
     1u << TIMEFRAME_4H | 1u << TIMEFRAME_1D)

const struct venue_history binance_history = {
    .streams = 1u << STREAM_TRADE | 1u << STREAM_AGG_TRADE,
    .timeframes = ALL_FRAMES | 1u << TIMEFRAME_1S,
    .symbols_per_request = 1,
    .archive_url = "https://data.binance.vision",
    .request = spot_request,
    .answer = spot_answer,
    .error = error,
    .archive = spot_archive,
};

const struct venue_history binance_futures_history = {
    .streams = 1u << STREAM_TRADE | 1u << STREAM_AGG_TRADE,
    .timeframes = ALL_FRAMES,
    .symbols_per_request = 1,
    .archive_url = "https://data.binance.vision",
    .request = futures_request,
    .answer = futures_answer,
    .error = error,
    .archive = futures_archive,
};
