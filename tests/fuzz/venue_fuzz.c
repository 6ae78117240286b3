/* Any bytes through every door of a venue's decoder: a frame, a REST answer, an instrument list.
 *
 * Input: one byte chooses the venue, one the REST path, the rest is the frame. What came out must be within its limits; a
 * frame of Binance must decode alike by the scanner and by the full parser (a blank in front sends it there).
 */
#include "venue/venue.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const paths[] = {
    "/api/v3/trades?symbol=BTCUSDT",
    "/api/v3/aggTrades?symbol=%42TC%USDT&x",
    "/api/v3/klines?symbol=BTCUSDT&interval=1m",
    "/products/BTC-USD/trades",
    "https://api.exchange.coinbase.com/products/BTC-USD/candles?granularity=60",
    "/0/public/Trades?pair=XBTUSD",
    "/0/public/OHLC?pair=XBTUSD&interval=60",
    "/tiingo/crypto/prices?resampleFreq=1min",
    "/tiingo/crypto/top",
    "/",
};
enum { VENUES = 5, PATHS = sizeof paths / sizeof *paths };

struct target {
    struct venue_names *names;
    struct venue_session *session;
};
static struct target targets[VENUES];
static struct series_table *series;
static struct decoded out, other;

static void check(const struct decoded *d)
{
    for (size_t i = 0; i < d->trade_count; i++) {
        const struct trade *t = &d->trades[i];
        CHECK(series_get(series, t->series) != NULL);
        CHECK(t->price.scale >= 0 && t->price.scale <= DEC_SCALE_MAX && t->price.digits >= 0);
        CHECK(t->size.scale >= 0 && t->size.scale <= DEC_SCALE_MAX && t->size.digits >= 0);
        CHECK(!t->has_range || t->first_id <= t->last_id);
    }
    for (size_t i = 0; i < d->quote_count; i++)
        CHECK(series_get(series, d->quotes[i].series) != NULL);
    for (size_t i = 0; i < d->candle_count; i++) CHECK(d->candles[i].c.timeframe < TIMEFRAME_MAX);
    for (size_t i = 0; i < d->refused_count; i++)
        CHECK(d->refused[i].detail[0] && d->refused[i].reason < DEAD_REASON_MAX);
    CHECK(d->class != FRAME_BAD || d->refused_count > 0);
    CHECK(d->class != FRAME_ERROR || d->error.n > 0);
}

static char *copy_behind(const char *head, const uint8_t *data, size_t size, size_t *ret_len)
{
    size_t n = strlen(head);
    char *p = malloc(n + size + VENUE_PADDING);
    CHECK(p != NULL);
    memcpy(p, head, n);
    if (size) memcpy(p + n, data, size);
    *ret_len = n + size;
    return p;
}

static void same(const struct decoded *a, const struct decoded *b)
{
    CHECK(a->class == b->class && a->refused_count == b->refused_count);
    CHECK(a->trade_count == b->trade_count && a->quote_count == b->quote_count);
    for (size_t i = 0; i < a->trade_count; i++) {
        const struct trade *x = &a->trades[i], *y = &b->trades[i];
        CHECK(x->series == y->series && x->id == y->id && x->first_id == y->first_id);
        CHECK(dec_eq(x->price, y->price) && dec_eq(x->size, y->size) && x->side == y->side);
        CHECK(x->venue_time_ns == y->venue_time_ns && str_eq(x->id_text, y->id_text));
    }
    for (size_t i = 0; i < a->quote_count; i++) {
        const struct quote *x = &a->quotes[i], *y = &b->quotes[i];
        CHECK(x->series == y->series && dec_eq(x->bid_price, y->bid_price));
        CHECK(dec_eq(x->ask_size, y->ask_size) && x->venue_time_ns == y->venue_time_ns);
    }
}

static void each_instrument(void *ctx, const struct instrument *i)
{
    struct target *t = ctx;
    CHECK(i->symbol.n > 0 && i->venue_symbol.n > 0);
    venue_names_add(t->names, i);
}

/* Names pile up over millions of inputs: begin anew before they reach their limit. */
static void reset(void)
{
    for (size_t i = 0; i < VENUES; i++) {
        targets[i].session = venue_session_free(targets[i].session);
        targets[i].names = venue_names_free(targets[i].names);
    }
    series_free(series);
    series = series_new();
    for (size_t i = 0; i < VENUES && venue_all[i]; i++) {
        targets[i].names = venue_names_new(venue_all[i], series);
        targets[i].session = venue_session_new(venue_all[i], targets[i].names);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    if (!series) {
        decoded_init(&out);
        decoded_init(&other);
    }
    if (!series || series_count(series) > 20000) reset();
    struct target *t = &targets[data[0] % VENUES];
    const struct venue *v = venue_session_venue(t->session);
    const char *path = paths[data[1] % PATHS];
    data += 2;
    size -= 2;
    size_t len;
    char *frame = copy_behind("", data, size, &len);
    venue_decode(t->session, frame, len, 1, &out);
    check(&out);
    free(frame);
    if (str_starts(str_of(v->name), "binance") && size > 0) {
        frame = copy_behind(" ", data, size, &len);
        venue_decode(t->session, frame, len, 1, &other);
        same(&out, &other);
        free(frame);
    }
    frame = copy_behind("", data, size, &len);
    venue_decode_rest(t->session, str_of(path), frame, len, 1, &out);
    check(&out);
    free(frame);
    struct err e;
    frame = copy_behind("", data, size, &len);
    enum err_code code = v->instruments_answer(frame, len, each_instrument, t, &e);
    CHECK(code == ERR_OK || (code == ERR_PARSE && e.text[0]));
    free(frame);
    return 0;
}
