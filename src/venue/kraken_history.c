/* Kraken's history: Trades by time since the first one, OHLC for the newest 720 bars only.
 *
 * Trades    since is exclusive, in ns; the answer's row times are printed as seconds with fewer digits than `last` has, so the
 *           next page begins a microsecond before the newest row: rows come twice and none is passed over.
 * Limits    about one request a second and address. [support article 206548367]
 * Pairs     BTC/USD of our names is XBTUSD in a query.
 */
#include "venue/history.h"

#include <stdio.h>

enum { PAGE_ROWS = 1000, PAUSE_MS = 1000, MARGIN_NS = 1000 };

/* "BTC/USD" -> "XBTUSD" */
static bool pair_of(struct str symbol, char text[HISTORY_SYMBOLS_MAX])
{
    struct str quote = symbol;
    struct str base = str_cut(&quote, '/');
    if (str_is(base, "BTC")) base = STR("XBT");
    if (str_is(base, "DOGE")) base = STR("XDG");
    if (str_is(quote, "BTC")) quote = STR("XBT");
    char whole[128];
    int n = snprintf(whole, sizeof whole, "%.*s%.*s", STR_ARG(base), STR_ARG(quote));
    return n > 0 && (size_t)n < sizeof whole &&
           history_escape((struct str){whole, (size_t)n}, text);
}

static bool request(const struct history_ask *ask, const struct history_cursor *c, struct str token,
                    struct history_request *ret)
{
    char pair[HISTORY_SYMBOLS_MAX];
    (void)token;
    *ret = (struct history_request){.pause_ms = PAUSE_MS};
    if (c->done || !pair_of(ask->symbols, pair)) return false; /* ids cannot be asked for */
    int64_t since_ns = c->step ? c->a : ask->from_ns;
    if (ask->kind == HISTORY_TRADES)
        history_path(ret, "/0/public/Trades?pair=%s&since=%lld&count=%d", pair,
                     (long long)(since_ns - MARGIN_NS), PAGE_ROWS);
    else
        history_path(ret, "/0/public/OHLC?pair=%s&interval=%lld&since=%lld", pair,
                     (long long)(timeframe_ns(ask->timeframe) / NS_PER_MINUTE),
                     (long long)(history_floor(since_ns, NS_PER_S) - 1));
    return true;
}

static void answer(const struct history_ask *ask, struct history_cursor *c,
                   const struct history_page *page)
{
    int64_t since_ns = c->step ? c->a : ask->from_ns;
    c->step = 1;
    if (ask->kind == HISTORY_CANDLES) {
        c->done = true;
        c->short_of = page->rows > 0 && page->first_ns > since_ns + timeframe_ns(ask->timeframe);
        return;
    }
    c->a = page->last_ns;
    c->done = page->rows < PAGE_ROWS || page->last_ns >= ask->to_ns;
    /* A whole page of one moment: there is no way to ask for what follows. */
    if (!c->done && page->last_ns <= since_ns) c->stuck = c->done = true;
}

static enum history_error error(struct str words)
{
    if (str_contains(words, "Unknown asset pair")) return HISTORY_UNKNOWN_SYMBOL;
    if (str_contains(words, "Too many requests") || str_contains(words, "Rate limit"))
        return HISTORY_ALLOWANCE;
    return HISTORY_OTHER;
}

const struct venue_history kraken_history = {
    .streams = 1u << STREAM_TRADE,
    .timeframes = 1u << TIMEFRAME_1M | 1u << TIMEFRAME_5M | 1u << TIMEFRAME_15M |
                  1u << TIMEFRAME_1H | 1u << TIMEFRAME_4H | 1u << TIMEFRAME_1D,
    .symbols_per_request = 1,
    .request = request,
    .answer = answer,
    .error = error,
};
