/* Check 4: candles of one tape and day against a stupid recompute: all trades of a minute at once, and roll-ups from the
 * minutes that are in the lake. */
#include "audit/audit_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { DAY_CANDLES_MAX = 4000000, SUSPECTS_MAX = 20000 };

static void tell(struct audit *a, const struct audit_suspect *s)
{
    char time[TIME_TEXT_MAX], place[512];
    const struct audit_tape *t = &a->tape_list[s->tape];
    time_format(s->open_ns, time);
    snprintf(place, sizeof place, "%.*s %.*s %s %s", STR_ARG(t->venue), STR_ARG(t->symbol),
             timeframe_text(s->timeframe), time);
    audit_differs(a, CHECK_CANDLES, place, "%s", s->text);
}

static struct audit_suspect *suspect(struct audit_day *d, enum timeframe tf, int64_t open_ns)
{
    struct audit *a = d->a;
    if (a->suspect_count == SUSPECTS_MAX) { /* so many do not come from a commit meanwhile */
        audit_tell_suspects(a);
        a->suspect_count = 0;
    }
    a->suspects = array_grown(a->suspects, a->suspect_count, &a->suspect_cap, sizeof *a->suspects);
    struct audit_suspect *s = &a->suspects[a->suspect_count++];
    *s = (struct audit_suspect){.tape = d->tape_number, .timeframe = tf, .open_ns = open_ns};
    return s;
}

static enum err_code take_candle(void *ctx, const struct candle *c, struct err *e)
{
    struct audit_day *d = ctx;
    if (c->timeframe >= TIMEFRAME_MAX) return ERR_OK;
    if (d->count >= DAY_CANDLES_MAX)
        return ERR(e, ERR_FULL, "%.*s %.*s: more than %d candles on one day",
                   STR_ARG(d->tape->venue), STR_ARG(d->tape->symbol), DAY_CANDLES_MAX);
    d->candles = array_grown(d->candles, d->count, &d->cap, sizeof *d->candles);
    d->candles[d->count++] = *c;
    return ERR_OK;
}

static int compare_candles(const void *x, const void *y)
{
    const struct candle *a = x, *b = y;
    if (a->timeframe != b->timeframe) return a->timeframe < b->timeframe ? -1 : 1;
    return (a->open_time_ns > b->open_time_ns) - (a->open_time_ns < b->open_time_ns);
}

enum err_code audit_day_load(struct audit_day *d, struct err *e)
{
    int64_t from = d->day * NS_PER_DAY;
    TRY(lake_scan_candles(d->a->lake, d->tape->venue, d->tape->symbol, TIMEFRAME_MAX, from,
                          from + NS_PER_DAY, take_candle, d, e));
    d->matched = calloc(d->count + 1, 1);
    CHECK(d->matched != NULL);
    if (d->count == 0) return ERR_OK;
    qsort(d->candles, d->count, sizeof *d->candles, compare_candles);
    size_t kept = 1;
    for (size_t i = 1; i < d->count; i++) {
        const struct candle *c = &d->candles[i];
        if (compare_candles(c, &d->candles[kept - 1]) != 0) {
            d->candles[kept++] = *c;
            continue;
        }
        if (d->a->foreign_candles) continue;
        struct audit_suspect *s = suspect(d, (enum timeframe)c->timeframe, c->open_time_ns);
        snprintf(s->text, sizeof s->text, "more than one row of this key: revisions %lld and %lld",
                 (long long)d->candles[kept - 1].revision, (long long)c->revision);
    }
    d->count = kept;
    d->a->result->candles += (int64_t)kept;
    return ERR_OK;
}

void audit_day_free(struct audit_day *d)
{
    free(d->candles);
    free(d->matched);
    d->candles = NULL;
    d->matched = NULL;
    d->count = d->cap = 0;
}

/* First candle of (tf, time) or later. */
static size_t find(const struct audit_day *d, enum timeframe tf, int64_t open_ns)
{
    struct candle key = {.timeframe = (uint8_t)tf, .open_time_ns = open_ns};
    size_t low = 0, high = d->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare_candles(&d->candles[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct candle *find_exact(const struct audit_day *d, enum timeframe tf, int64_t open)
{
    size_t at = find(d, tf, open);
    bool found =
        at < d->count && d->candles[at].timeframe == tf && d->candles[at].open_time_ns == open;
    return found ? &d->candles[at] : NULL;
}

static bool touches(const struct audit *a, const struct proof *p, const struct audit_suspect *s)
{
    const struct series *n = series_get(a->names, p->series);
    const struct audit_tape *t = &a->tape_list[s->tape];
    int64_t at = p->minute * NS_PER_MINUTE, end = s->open_ns + timeframe_ns(s->timeframe);
    return at + NS_PER_MINUTE > s->open_ns && at < end && str_eq(n->venue, t->venue) &&
           str_eq(n->symbol, t->symbol);
}

/* Moved between the two positions, awaits a revision, or holds rows that somebody else wrote. */
static bool is_open_question(const struct audit *a, const struct audit_suspect *s)
{
    for (size_t i = 0; i < a->pending_count; i++) {
        const struct audit_pending *p = &a->pending[i];
        if (p->tape == s->tape && p->second_ns >= s->open_ns &&
            p->second_ns < s->open_ns + timeframe_ns(s->timeframe))
            return true;
    }
    for (size_t i = 0; i < a->foreign.count; i++)
        if (touches(a, &a->foreign.items[i], s)) return true;
    if (a->position == a->position_after) return false;
    for (size_t i = 0; i < a->after.count; i++) {
        const struct proof *p = &a->after.items[i];
        if (touches(a, p, s) &&
            !audit_same(p, proof_set_find(&a->before, p->series, p->stream, p->minute)))
            return true;
    }
    return false;
}

void audit_tell_suspects(struct audit *a)
{
    for (size_t i = 0; i < a->suspect_count; i++)
        if (!is_open_question(a, &a->suspects[i])) tell(a, &a->suspects[i]);
}

static struct str id_text(const struct candle *c, bool first, char text[24])
{
    const char *given = first ? c->first_id_text : c->last_id_text;
    if (!c->has_ids) return str_of(given);
    int n = snprintf(text, 24, "%lld", (long long)(first ? c->first_id : c->last_id));
    return (struct str){text, (size_t)n};
}

struct field {
    const char *name;
    bool x_has, y_has;
    i128 x, y;
};

/* Writes the first field that differs; false when all are equal. */
static bool differs(const struct candle *x, const struct candle *y, char *text, size_t size)
{
    bool vx = x->has_base_volume && x->base_volume != 0;
    bool vy = y->has_base_volume && y->base_volume != 0;
    const struct field fields[] = {
        {"open", true, true, x->open, y->open},
        {"high", true, true, x->high, y->high},
        {"low", true, true, x->low, y->low},
        {"close", true, true, x->close, y->close},
        {"base_volume", x->has_base_volume, y->has_base_volume, x->base_volume, y->base_volume},
        {"quote_volume", x->has_quote_volume, y->has_quote_volume, x->quote_volume,
         y->quote_volume},
        {"taker_buy_base_volume", x->has_taker, y->has_taker, x->taker_buy_base, y->taker_buy_base},
        {"taker_buy_quote_volume", x->has_taker, y->has_taker, x->taker_buy_quote,
         y->taker_buy_quote},
        {"vwap", vx, vy, x->vwap, y->vwap},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const struct field *f = &fields[i];
        if (f->x_has == f->y_has && (!f->x_has || f->x == f->y)) continue;
        char a[DEC_TEXT_MAX] = "absent", b[DEC_TEXT_MAX] = "absent";
        if (f->x_has) a[dec_format_lake(f->x, a)] = 0;
        if (f->y_has) b[dec_format_lake(f->y, b)] = 0;
        snprintf(text, size, "%s is %s in the lake, its trades give %s", f->name, a, b);
        return true;
    }
    if (x->trade_count != y->trade_count) {
        snprintf(text, size, "trade_count is %lld in the lake, its trades give %lld",
                 (long long)x->trade_count, (long long)y->trade_count);
        return true;
    }
    for (int first = 0; first < 2; first++) {
        char a[24], b[24];
        struct str p = id_text(x, first, a), q = id_text(y, first, b);
        if (str_eq(p, q)) continue;
        snprintf(text, size, "%s_trade_id is %.*s in the lake, its trades give %.*s",
                 first ? "first" : "last", STR_ARG(p), STR_ARG(q));
        return true;
    }
    return false;
}

static void compare(struct audit_day *d, const struct candle *made)
{
    enum timeframe tf = (enum timeframe)made->timeframe;
    int64_t open = made->open_time_ns, end = open + timeframe_ns(tf);
    const struct candle *c = find_exact(d, tf, open);
    d->a->result->checks[CHECK_CANDLES].compared++;
    if (c) d->matched[c - d->candles] = true;
    char text[200];
    /* Windows close in the order of their ends: one that ends after the newest row may still be open. */
    bool due = c || end <= d->tape->newest_end[tf];
    if (!due || (c && !differs(c, made, text, sizeof text))) return;
    struct audit_suspect *s = suspect(d, tf, open);
    if (c)
        snprintf(s->text, sizeof s->text, "%s", text);
    else
        snprintf(s->text, sizeof s->text, "no row, but %lld trades", (long long)made->trade_count);
}

enum err_code audit_day_minute(struct audit_day *d, uint32_t series, const struct trade *trades,
                               size_t count, int64_t open_ns, struct err *e)
{
    struct candle out[61];
    size_t made = 0;
    enum err_code code = process_candles_of_minute(d->a->lake_names, series, trades, count, open_ns,
                                                   (UINT64_C(1) << 60) - 1, out, &made);
    if (code != ERR_OK)
        return ERR(e, code, "%.*s %.*s: candles of a minute of %zu trades do not fit in 38 digits",
                   STR_ARG(d->tape->venue), STR_ARG(d->tape->symbol), count);
    for (size_t i = 0; i < made; i++) compare(d, &out[i]);
    return ERR_OK;
}

static enum err_code check_rollups(struct audit_day *d, enum timeframe tf, struct err *e)
{
    size_t at = find(d, TIMEFRAME_1M, INT64_MIN), end = find(d, TIMEFRAME_5M, INT64_MIN);
    while (at < end) {
        int64_t open = time_floor(d->candles[at].open_time_ns, timeframe_ns(tf));
        size_t from = at;
        while (at < end && d->candles[at].open_time_ns < open + timeframe_ns(tf)) at++;
        struct candle made = {0};
        enum err_code code = process_rollup(tf, open, d->candles + from, at - from, &made);
        if (code != ERR_OK)
            return ERR(e, code, "%.*s %.*s: a roll-up does not fit in 38 digits",
                       STR_ARG(d->tape->venue), STR_ARG(d->tape->symbol));
        compare(d, &made);
    }
    return ERR_OK;
}

enum err_code audit_day_end(struct audit_day *d, struct err *e)
{
    for (int tf = TIMEFRAME_5M; tf < TIMEFRAME_MAX; tf++)
        TRY(check_rollups(d, (enum timeframe)tf, e));
    for (size_t i = 0; i < d->count; i++) {
        const struct candle *c = &d->candles[i];
        enum timeframe tf = (enum timeframe)c->timeframe;
        if (d->matched[i] || d->a->foreign_candles) continue;
        d->a->result->checks[CHECK_CANDLES].compared++;
        struct audit_suspect *s = suspect(d, tf, c->open_time_ns);
        snprintf(s->text, sizeof s->text, "a row, but the lake has no %s for it",
                 tf <= TIMEFRAME_1M ? "trades" : "minutes");
    }
    return ERR_OK;
}
