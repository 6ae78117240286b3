/* Tiingo's history: bars and the top of book. There are no single trades or quotes of the past.
 *
 * Bars      dates only, no cursor, and whether a wide answer is cut is not documented: a day a request for bars of a minute,
 *           30 days for longer ones. endDate is one day more than is wanted, since whether it is inclusive differs by report.
 * Allowance 50 requests an hour, from the full hour on, and 1000 a day, from midnight in New York on (free plan). The counts
 *           are the caller's matter.
 * Errors    plain text with status 200, "Error: Ticker 'XYZ' not found", "You have run over your hourly request allocation".
 */
#include "venue/history.h"

#include <stdio.h>

enum { DAYS_LONG = 30, DAYS_MINUTES = 1 };

static int64_t window_ns(const struct history_ask *ask)
{
    return (ask->timeframe == TIMEFRAME_1M ? DAYS_MINUTES : DAYS_LONG) * NS_PER_DAY;
}

static int64_t window_from(const struct history_ask *ask, const struct history_cursor *c)
{
    return c->step ? c->a : time_floor(ask->from_ns, NS_PER_DAY);
}

static const char *width_of(enum timeframe t)
{
    switch (t) {
    case TIMEFRAME_1M: return "1min";
    case TIMEFRAME_5M: return "5min";
    case TIMEFRAME_15M: return "15min";
    case TIMEFRAME_1H: return "1hour";
    case TIMEFRAME_4H: return "4hour";
    default: return "1day";
    }
}

static bool request(const struct history_ask *ask, const struct history_cursor *c, struct str token,
                    struct history_request *ret)
{
    char symbols[HISTORY_SYMBOLS_MAX], from[16], to[16];
    *ret = (struct history_request){0};
    if (c->done || ask->kind == HISTORY_TRADES || !history_escape(ask->symbols, symbols))
        return false;
    (void)snprintf(ret->http.header, sizeof ret->http.header, "Authorization: Token %.*s",
                   (int)(token.n < 400 ? token.n : 400), token.p ? token.p : "");
    if (ask->kind == HISTORY_TOP) {
        history_path(ret, "/tiingo/crypto/top?tickers=%s", symbols);
        return true;
    }
    int64_t from_ns = window_from(ask, c), to_ns = from_ns + window_ns(ask);
    if (to_ns > ask->to_ns) to_ns = ask->to_ns;
    history_day_text(time_day(from_ns), from);
    history_day_text(time_day(to_ns - 1) + 1, to);
    history_path(ret, "/tiingo/crypto/prices?tickers=%s&startDate=%s&endDate=%s&resampleFreq=%s",
                 symbols, from, to, width_of(ask->timeframe));
    return true;
}

static void answer(const struct history_ask *ask, struct history_cursor *c,
                   const struct history_page *page)
{
    (void)page; /* a day without trades has no bars, and says nothing of the next one */
    c->a = window_from(ask, c) + window_ns(ask);
    c->step = 1;
    c->done = ask->kind == HISTORY_TOP || c->a >= ask->to_ns;
}

static enum history_error error(struct str words)
{
    if (str_contains(words, "run over your")) return HISTORY_ALLOWANCE;
    if (str_contains(words, "not found")) return HISTORY_UNKNOWN_SYMBOL;
    static const char *const refusals[] = {"oken", "uthoriz", "uthentic", "ermission"};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (str_contains(words, refusals[i])) return HISTORY_REFUSED;
    return HISTORY_OTHER;
}

const struct venue_history tiingo_history = {
    .timeframes = 1u << TIMEFRAME_1M | 1u << TIMEFRAME_5M | 1u << TIMEFRAME_15M |
                  1u << TIMEFRAME_1H | 1u << TIMEFRAME_4H | 1u << TIMEFRAME_1D,
    .top = true,
    .symbols_per_request = 20,
    .requests_per_hour = 50,
    .requests_per_day = 1000,
    .request = request,
    .answer = answer,
    .error = error,
};
