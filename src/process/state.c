/* The state of a tape as text, one line under each of three names, so that only what changed is written:
 *   tape/VENUE/SYMBOL     1 STREAM WATERMARK PRESENT TAINTED EARLY*5 NEWEST PRICE DAY_TRADES   each second with trades
 *   rollup/VENUE/SYMBOL   1 (TIMEFRAME OPEN MINUTES FIRST LAST values COUNT FIRST_ID LAST_ID)*   each minute
 *   gaps/VENUE/SYMBOL     1 FORGOTTEN_FROM FORGOTTEN_TO (GAP_ID STREAM FROM TO)*
 * Times in ns, masks with a bit per roll-up, values in the lake's decimals ("-": absent), ids as "n123" or "t5:ab cd".
 * They may come back in any order. A tape's last three (time and price of its newest trade, trades of that day) may be missing:
 * older programs did not write them. */
#include "process/process_internal.h"

#include <stdio.h>

enum { VERSION = 1, VALUES = 8 };

/* --- writing --- */

static void put_tape(const struct tape *tape, struct buf *b)
{
    unsigned present = 0, tainted = 0;
    for (int i = 0; i < ROLLUPS; i++) {
        present |= (unsigned)tape->rollups[i].present << i;
        tainted |= (unsigned)(tape->rollups[i].present && tape->rollups[i].tainted) << i;
    }
    buf_addf(b, "%d %d %lld %u %u", VERSION, tape->stream, (long long)tape->watermark_ns, present,
             tainted);
    for (int i = 0; i < ROLLUPS; i++) buf_addf(b, " %lld", (long long)tape->early_ns[i]);
    if (tape->newest_ns == TIME_NEVER) return;
    char price[DEC_TEXT_MAX];
    dec_format(tape->newest_price, price);
    buf_addf(b, " %lld %s %lld", (long long)tape->newest_ns, price, (long long)tape->day_trades);
}

static void put_value(struct buf *b, i128 value, bool has)
{
    char text[DEC_TEXT_MAX] = "-";
    if (has) dec_format_lake(value, text);
    buf_addf(b, " %s", text);
}

static void put_id(struct buf *b, int64_t id, const char *text, bool is_number)
{
    if (is_number)
        buf_addf(b, " n%lld", (long long)id);
    else
        buf_addf(b, " t%zu:%s", strlen(text), text);
}

static void put_rollup(const struct rollup *r, struct buf *b)
{
    const struct candle *c = &r->sum;
    buf_addf(b, " %d %lld %lld %lld %lld", c->timeframe, (long long)c->open_time_ns,
             (long long)r->minutes, (long long)r->first_minute_ns, (long long)r->last_minute_ns);
    const i128 values[VALUES] = {c->open,           c->high,           c->low,
                                 c->close,          c->base_volume,    c->quote_volume,
                                 c->taker_buy_base, c->taker_buy_quote};
    const bool has[VALUES] = {
        true,         true,        true, true, c->has_base_volume, c->has_quote_volume,
        c->has_taker, c->has_taker};
    for (int i = 0; i < VALUES; i++) put_value(b, values[i], has[i]);
    buf_addf(b, " %lld", (long long)c->trade_count);
    put_id(b, c->first_id, c->first_id_text, r->first_is_number);
    put_id(b, c->last_id, c->last_id_text, r->last_is_number);
}

static void put_rollups(const struct tape *tape, struct buf *b)
{
    for (int i = 0; i < ROLLUPS; i++) {
        const struct rollup *r = &tape->rollups[i];
        if (!r->present || r->tainted) continue;
        if (b->len == 0) buf_addf(b, "%d", VERSION);
        put_rollup(r, b);
    }
}

static void put_gaps(const struct tape *tape, struct buf *b)
{
    const struct gap_list *l = &tape->gaps;
    if (l->count == 0 && l->forgotten_from_ns > l->forgotten_to_ns) return;
    buf_addf(b, "%d %lld %lld", VERSION, (long long)l->forgotten_from_ns,
             (long long)l->forgotten_to_ns);
    for (uint32_t i = 0; i < l->count; i++)
        buf_addf(b, " %lld %d %lld %lld", (long long)l->spans[i].gap_id, l->spans[i].stream,
                 (long long)l->spans[i].from_ns, (long long)l->spans[i].to_ns);
}

static void give(const struct tape *tape, const char *kind,
                 void (*put)(const struct tape *, struct buf *), struct buf *b,
                 const struct process_sink *sink)
{
    char name[TAPE_NAME_MAX + 16];
    int n = snprintf(name, sizeof name, "%s/%.*s", kind, STR_ARG(tape->name));
    CHECK(n > 0 && (size_t)n < sizeof name);
    buf_reset(b);
    put(tape, b);
    CHECK(!b->failed);
    sink->state(sink->ctx, (struct str){name, (size_t)n}, buf_str(b));
}

void state_flush(struct tape *tape, struct buf *scratch, const struct process_sink *sink)
{
    if (tape->changed || tape->rollups_changed) give(tape, "tape", put_tape, scratch, sink);
    if (tape->rollups_changed) give(tape, "rollup", put_rollups, scratch, sink);
    if (tape->gaps_changed) give(tape, "gaps", put_gaps, scratch, sink);
    tape->changed = tape->rollups_changed = tape->gaps_changed = false;
}

/* --- reading --- */

struct reader {
    struct str rest;
    bool bad;
};

static int64_t get_int(struct reader *r, int64_t least, int64_t most)
{
    int64_t v = 0;
    struct str token = str_cut(&r->rest, ' ');
    if (str_to_i64(token, &v) != ERR_OK || v < least || v > most) r->bad = true;
    return r->bad ? least : v;
}

static int64_t get_time(struct reader *r)
{
    /* A bucket around the first or last usable trade begins or ends up to a day beyond. */
    return get_int(r, TIME_NEVER - NS_PER_DAY, TIME_FARTHEST + NS_PER_DAY);
}

static bool get_value(struct reader *r, i128 *ret)
{
    struct str token = str_cut(&r->rest, ' ');
    *ret = 0;
    if (str_is(token, "-")) return false;
    if (dec_parse_lake(token, ret) != ERR_OK) r->bad = true;
    return true;
}

static bool get_id(struct reader *r, int64_t *ret_id, char text[WINDOW_ID_TEXT])
{
    bool is_number = str_starts(r->rest, "n");
    int64_t len;
    text[0] = 0;
    *ret_id = 0;
    if (!is_number && !str_starts(r->rest, "t")) r->bad = true;
    if (r->bad) return false;
    r->rest = (struct str){r->rest.p + 1, r->rest.n - 1};
    if (is_number) {
        *ret_id = get_int(r, INT64_MIN, INT64_MAX);
        return true;
    }
    if (str_to_i64(str_cut(&r->rest, ':'), &len) != ERR_OK || len < 0 || len >= WINDOW_ID_TEXT ||
        (size_t)len > r->rest.n) {
        r->bad = true;
        return false;
    }
    if (!str_copy(text, WINDOW_ID_TEXT, (struct str){r->rest.p, (size_t)len})) r->bad = true;
    bool more = r->rest.n > (size_t)len;
    if (more && r->rest.p[len] != ' ') r->bad = true;
    size_t gone = (size_t)len + more;
    r->rest = (struct str){r->rest.p + gone, r->rest.n - gone};
    return false;
}

static void get_newest(struct reader *r, int64_t *ret_ns, struct dec *ret_price,
                       int64_t *ret_day_trades)
{
    *ret_ns = get_time(r);
    if (dec_parse(str_cut(&r->rest, ' '), ret_price) != ERR_OK) r->bad = true;
    *ret_day_trades = get_int(r, 1, INT64_MAX);
}

static void get_tape(struct tape *tape, struct reader *r)
{
    tape->stream = (int8_t)get_int(r, NO_STREAM, STREAM_AGG_TRADE);
    tape->watermark_ns = get_time(r);
    int64_t present = get_int(r, 0, (1 << ROLLUPS) - 1),
            tainted = get_int(r, 0, (1 << ROLLUPS) - 1);
    for (int i = 0; i < ROLLUPS; i++) tape->early_ns[i] = get_time(r);
    if (r->rest.n) get_newest(r, &tape->newest_ns, &tape->newest_price, &tape->day_trades);
    bool whole = tape->watermark_ns % NS_PER_S == 0 || tape->watermark_ns == TIME_NEVER;
    if (r->bad || !whole || (present && tape->watermark_ns == TIME_NEVER)) {
        r->bad = true;
        return;
    }
    for (int i = 0; i < ROLLUPS; i++) {
        struct rollup *k = &tape->rollups[i];
        enum timeframe tf = (enum timeframe)(ROLLUP_FIRST + i);
        if (!(present >> i & 1)) continue;
        if (k->minutes == 0) rollup_init(k, tf, time_floor(tape->watermark_ns, timeframe_ns(tf)));
        k->present = true;
        k->tainted = tainted >> i & 1;
        k->refill = k->minutes == 0 && !k->tainted;
    }
}

static void get_rollup(struct tape *tape, struct reader *r)
{
    enum timeframe tf = (enum timeframe)get_int(r, ROLLUP_FIRST, TIMEFRAME_MAX - 1);
    int64_t open_ns = get_time(r);
    if (r->bad) return;
    struct rollup *k = &tape->rollups[tf - ROLLUP_FIRST];
    struct candle *c = &k->sum;
    bool present = k->present, tainted = k->tainted;
    rollup_init(k, tf, open_ns);
    k->present = present;
    k->tainted = tainted;
    k->minutes = get_int(r, 1, timeframe_ns(tf) / NS_PER_MINUTE);
    k->first_minute_ns = get_time(r);
    k->last_minute_ns = get_time(r);
    i128 *values[] = {&c->open, &c->high, &c->low, &c->close};
    for (int i = 0; i < 4; i++) r->bad |= !get_value(r, values[i]);
    c->has_base_volume = get_value(r, &c->base_volume);
    c->has_quote_volume = get_value(r, &c->quote_volume);
    c->has_taker = get_value(r, &c->taker_buy_base);
    c->has_taker &= get_value(r, &c->taker_buy_quote);
    c->trade_count = get_int(r, 0, INT64_MAX);
    k->first_is_number = get_id(r, &c->first_id, c->first_id_text);
    k->last_is_number = get_id(r, &c->last_id, c->last_id_text);
}

static void get_gaps(struct tape *tape, struct reader *r)
{
    struct gap_list *l = &tape->gaps;
    l->forgotten_from_ns = get_int(r, INT64_MIN, INT64_MAX);
    l->forgotten_to_ns = get_int(r, INT64_MIN, INT64_MAX);
    while (r->rest.n && !r->bad) {
        struct gap_span s;
        s.gap_id = get_int(r, INT64_MIN, INT64_MAX);
        s.stream = (uint8_t)get_int(r, 0, STREAM_MAX - 1);
        s.from_ns = get_int(r, INT64_MIN, INT64_MAX);
        s.to_ns = get_int(r, INT64_MIN, INT64_MAX);
        if (!r->bad) gaps_put(l, &s);
    }
}

static enum err_code unreadable(struct str name, struct err *e)
{
    return ERR(e, ERR_CORRUPT,
               "catalog.db: state process/%.*s cannot be read; restore the data folder "
               "from a copy",
               STR_ARG(name));
}

enum err_code state_restore(struct process *p, struct str name, struct str bytes, struct err *e)
{
    struct str tape_name = name;
    struct str kind = str_cut(&tape_name, '/');
    struct reader r = {bytes, false};
    if (tape_name.n == 0 || tape_name.n >= TAPE_NAME_MAX ||
        memchr(tape_name.p, '/', tape_name.n) == NULL)
        return unreadable(name, e);
    int64_t version = get_int(&r, 1, INT64_MAX);
    if (r.bad) return unreadable(name, e);
    if (version > VERSION)
        return ERR(e, ERR_VERSION,
                   "catalog.db: state process/%.*s has version %lld; this program knows %d",
                   STR_ARG(name), (long long)version, VERSION);
    struct tape *tape = tape_named(p, tape_name);
    if (!tape)
        return ERR(e, ERR_FULL,
                   "process: the data folder has more than %u pairs of venue and symbol; "
                   "raise process.tapes_max",
                   p->options.tapes_max);
    if (str_is(kind, "tape"))
        get_tape(tape, &r);
    else if (str_is(kind, "gaps"))
        get_gaps(tape, &r);
    else if (str_is(kind, "rollup"))
        while (r.rest.n && !r.bad) get_rollup(tape, &r);
    else
        r.bad = true;
    return r.bad || r.rest.n ? unreadable(name, e) : ERR_OK;
}

/* --- without a process --- */

enum err_code process_market_read(struct str name, struct str bytes, struct process_market *ret,
                                  struct err *e)
{
    struct str tape_name = name;
    struct str kind = str_cut(&tape_name, '/');
    struct reader r = {bytes, false};
    *ret = (struct process_market){.newest_ns = TIME_ABSENT};
    if (!str_is(kind, "tape")) return ERR_NOT_FOUND;
    ret->symbol = tape_name;
    ret->venue = str_cut(&ret->symbol, '/');
    int64_t version = get_int(&r, 1, INT64_MAX);
    ret->stream = (int)get_int(&r, NO_STREAM, STREAM_AGG_TRADE);
    ret->watermark_ns = get_time(&r);
    for (int i = 0; i < 2; i++) get_int(&r, 0, (1 << ROLLUPS) - 1);
    for (int i = 0; i < ROLLUPS; i++) get_time(&r);
    if (version == VERSION && !r.bad && r.rest.n)
        get_newest(&r, &ret->newest_ns, &ret->price, &ret->day_trades);
    if (ret->watermark_ns == TIME_NEVER) ret->watermark_ns = TIME_ABSENT;
    bool good = !r.bad && r.rest.n == 0 && version == VERSION && ret->venue.n && ret->symbol.n;
    return good ? ERR_OK : unreadable(name, e);
}
