/* Checks 4 and 5 read the lake's trades once: tape by tape, day by day, in pieces of bounded size. */
#include "audit/audit_internal.h"

#include <stdlib.h>

/* Minutes are read together while they hold fewer trades than this by the lake's own claim. */
enum { PIECE_TRADES = 500000, MINUTE_TRADES_MAX = 20000000 };
#define PIECE_TEXT_BYTES ((size_t)1 << 30)

struct minute {
    int64_t minute, trades;
};

struct tape_walk {
    struct audit *a;
    uint32_t number;
    struct audit_day day;
    struct minute *minutes; /* sorted, merged over exchanges and streams */
    size_t minute_count, minute_cap;
    struct audit_ids ids[64]; /* one for each (exchange, stream) with consecutive ids */
    size_t ids_count;
    struct trade *trades;
    size_t trade_count, trade_cap;
    struct arena text;
    int64_t from_ns, to_ns;
    int64_t stream_sequence; /* of the first trade, whose stream is the tape */
    uint32_t streams;        /* bit per stream met */
};

static int compare_minutes(const void *x, const void *y)
{
    const struct minute *a = x, *b = y;
    return (a->minute > b->minute) - (a->minute < b->minute);
}

/* First minute that the claim (sorted) has of a series. */
static size_t claim_at(const struct proof_set *claim, uint32_t series)
{
    size_t low = 0, high = claim->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (claim->items[middle].series < series)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* From the lake's claim: when there are trades of the tape, and how many. */
static void list_minutes(struct tape_walk *w)
{
    const struct proof_set *claim = &w->a->claim;
    for (uint32_t series = 0; series < w->a->tape_of_count; series++) {
        if (w->a->tape_of[series] != w->number) continue;
        for (size_t i = claim_at(claim, series);
             i < claim->count && claim->items[i].series == series; i++) {
            const struct proof *p = &claim->items[i];
            if (p->stream >= STREAM_QUOTE || p->count == 0) continue;
            w->minutes =
                array_grown(w->minutes, w->minute_count, &w->minute_cap, sizeof *w->minutes);
            w->minutes[w->minute_count++] = (struct minute){p->minute, p->count};
            w->streams |= 1u << p->stream;
        }
    }
    if (w->minute_count) qsort(w->minutes, w->minute_count, sizeof *w->minutes, compare_minutes);
    size_t kept = 0;
    for (size_t i = 0; i < w->minute_count; i++) {
        if (kept && w->minutes[kept - 1].minute == w->minutes[i].minute)
            w->minutes[kept - 1].trades += w->minutes[i].trades;
        else
            w->minutes[kept++] = w->minutes[i];
    }
    w->minute_count = kept;
}

static void note_ids(struct tape_walk *w, const struct trade *t)
{
    /* The ledger is looked at as it stood at the position; what was committed since is not its matter. */
    if (!t->has_range || t->sequence > w->a->position) return;
    uint32_t series = audit_canonical(w->a, &w->a->of_lake, w->a->lake_names, t->series);
    struct audit_ids *ids = NULL;
    for (size_t i = 0; i < w->ids_count && !ids; i++)
        if (w->ids[i].series == series && w->ids[i].stream == t->stream) ids = &w->ids[i];
    if (!ids) {
        if (w->ids_count == sizeof w->ids / sizeof w->ids[0]) return;
        ids = &w->ids[w->ids_count++];
        *ids = (struct audit_ids){
            .series = series, .stream = t->stream, .floor = INT64_MAX, .floor_sequence = INT64_MAX};
    }
    /* History was asked for by intervals: what lies between two of them was never promised. */
    bool history = t->origin == ORIGIN_BACKFILLED || t->origin == ORIGIN_REPAIRED;
    if (!history && t->sequence < ids->floor_sequence) {
        ids->floor = t->first_id;
        ids->floor_sequence = t->sequence;
    }
    audit_ids_add(ids, t->first_id, t->last_id, t->received_ns);
}

/* A trade without a venue time counts at its receipt. */
static int64_t time_of(const struct trade *t)
{
    return t->venue_time_ns != TIME_ABSENT ? t->venue_time_ns : t->received_ns;
}

static enum err_code take_trade(void *ctx, const struct trade *t, struct err *e)
{
    struct tape_walk *w = ctx;
    note_ids(w, t);
    if (t->stream != w->day.stream) return ERR_OK;
    if (w->trade_count >= MINUTE_TRADES_MAX)
        return ERR(e, ERR_FULL, "more than %d trades of one symbol at a time", MINUTE_TRADES_MAX);
    w->trades = array_grown(w->trades, w->trade_count, &w->trade_cap, sizeof *w->trades);
    struct trade *own = &w->trades[w->trade_count++];
    *own = *t;
    own->id_text = (struct str){0};
    if (t->id_text.n && !arena_copy(&w->text, t->id_text, &own->id_text))
        return ERR(e, ERR_FULL, "the ids of %zu trades do not fit in memory", w->trade_count);
    return ERR_OK;
}

static enum err_code take_first(void *ctx, const struct trade *t, struct err *e)
{
    (void)e;
    struct tape_walk *w = ctx;
    if (t->stream > STREAM_AGG_TRADE || t->sequence >= w->stream_sequence) return ERR_OK;
    w->stream_sequence = t->sequence;
    w->day.stream = t->stream;
    return ERR_OK;
}

static int compare_trades(const void *x, const void *y)
{
    int64_t a = time_of(x), b = time_of(y);
    return (a > b) - (a < b);
}

static enum err_code check_piece(struct tape_walk *w, struct err *e)
{
    const struct audit_tape *t = w->day.tape;
    w->trade_count = 0;
    arena_reset(&w->text);
    TRY(lake_scan_trades(w->a->lake, t->venue, t->symbol, w->from_ns, w->to_ns, take_trade, w, e));
    if (w->trade_count) qsort(w->trades, w->trade_count, sizeof *w->trades, compare_trades);
    for (size_t i = 0; i < w->trade_count;) {
        int64_t open = time_floor(time_of(&w->trades[i]), NS_PER_MINUTE);
        size_t from = i;
        while (i < w->trade_count && time_of(&w->trades[i]) < open + NS_PER_MINUTE) i++;
        TRY(audit_day_minute(&w->day, w->trades[from].series, w->trades + from, i - from, open, e));
    }
    return ERR_OK;
}

/* The pieces of one day; *at moves behind its last minute. */
static enum err_code check_pieces(struct tape_walk *w, size_t *at, struct err *e)
{
    int64_t day_end = (w->day.day + INT64_C(1)) * NS_PER_DAY;
    while (*at < w->minute_count && w->minutes[*at].minute * NS_PER_MINUTE < day_end) {
        int64_t trades = 0;
        w->from_ns = w->minutes[*at].minute * NS_PER_MINUTE;
        for (; *at < w->minute_count; ++*at) {
            int64_t open = w->minutes[*at].minute * NS_PER_MINUTE;
            if (open >= day_end || (trades && trades + w->minutes[*at].trades > PIECE_TRADES))
                break;
            trades += w->minutes[*at].trades;
            w->to_ns = open + NS_PER_MINUTE;
        }
        TRY(check_piece(w, e));
    }
    return ERR_OK;
}

/* Which stream is the tape: trade or agg_trade, the only one of them there is, else that of the trade that came first. */
static enum err_code find_stream(struct tape_walk *w, struct err *e)
{
    uint32_t streams = w->streams & (1u << STREAM_TRADE | 1u << STREAM_AGG_TRADE);
    if (streams == 1u << STREAM_TRADE) w->day.stream = STREAM_TRADE;
    if (streams == 1u << STREAM_AGG_TRADE) w->day.stream = STREAM_AGG_TRADE;
    if ((streams & (streams - 1)) == 0) return ERR_OK;
    const struct audit_tape *t = w->day.tape;
    w->stream_sequence = INT64_MAX;
    int64_t from = w->minutes[0].minute * NS_PER_MINUTE;
    int64_t to = (w->minutes[w->minute_count - 1].minute + 1) * NS_PER_MINUTE;
    return lake_scan_trades(w->a->lake, t->venue, t->symbol, from, to, take_first, w, e);
}

static enum err_code check_days(struct tape_walk *w, struct err *e)
{
    const struct audit_tape *t = w->day.tape;
    size_t minute = 0, day = 0;
    while (minute < w->minute_count || day < t->day_count) {
        int32_t next = day < t->day_count ? t->days[day] : INT32_MAX;
        if (minute < w->minute_count) {
            int32_t d = time_day(w->minutes[minute].minute * NS_PER_MINUTE);
            if (d < next) next = d;
        }
        w->day.day = next;
        enum err_code code = audit_day_load(&w->day, e);
        if (code == ERR_OK) code = check_pieces(w, &minute, e);
        if (code == ERR_OK) code = audit_day_end(&w->day, e);
        audit_day_free(&w->day);
        TRY(code);
        while (day < t->day_count && t->days[day] <= next) day++;
    }
    return ERR_OK;
}

static enum err_code check_tape(struct audit *a, uint32_t number, struct err *e)
{
    struct tape_walk w = {.a = a, .number = number};
    w.day = (struct audit_day){
        .a = a, .tape = &a->tape_list[number], .tape_number = number, .stream = -1};
    arena_init(&w.text, PIECE_TEXT_BYTES);
    list_minutes(&w);
    enum err_code code = find_stream(&w, e);
    if (code == ERR_OK) code = check_days(&w, e);
    for (size_t i = 0; i < w.ids_count; i++) {
        if (code == ERR_OK && !a->skip_ledger) audit_ids_check(a, &w.ids[i]);
        free(w.ids[i].items);
    }
    free(w.minutes);
    free(w.trades);
    arena_free(&w.text);
    return code;
}

static enum err_code note_candle(void *ctx, const struct candle *c, const char *path, struct err *e)
{
    (void)path, (void)e;
    struct audit *a = ctx;
    const struct series *s = series_get(a->lake_names, c->series);
    uint32_t number = audit_tape_of(a, s->venue, s->symbol); /* may move the list */
    struct audit_tape *t = &a->tape_list[number];
    int32_t day = time_day(c->open_time_ns);
    if (c->timeframe < TIMEFRAME_MAX) {
        int64_t end = c->open_time_ns + timeframe_ns((enum timeframe)c->timeframe);
        if (end > t->newest_end[c->timeframe]) t->newest_end[c->timeframe] = end;
    }
    size_t at = t->day_count;
    while (at > 0 && t->days[at - 1] > day) at--;
    if (at > 0 && t->days[at - 1] == day) return ERR_OK;
    t->days = array_grown(t->days, t->day_count, &t->day_cap, sizeof *t->days);
    memmove(t->days + at + 1, t->days + at, (t->day_count - at) * sizeof *t->days);
    t->days[at] = day;
    t->day_count++;
    return ERR_OK;
}

/* A file that is gone or damaged was told by the check of files; what else of this tape there is cannot be read. */
static enum err_code absorb(struct audit *a, enum err_code code, const char *place, struct err *e)
{
    if (code != ERR_CORRUPT && code != ERR_DISK && code != ERR_NOT_FOUND) return code;
    if (code != ERR_NOT_FOUND || a->position > 0)
        audit_differs(a, CHECK_CANDLES, place, "%s", e->text);
    return ERR_OK;
}

/* Every (venue, symbol) that the claim has trades of, beside those with candles. */
static void list_tapes(struct audit *a)
{
    proof_set_sort(&a->claim);
    a->tape_of_count = series_count(a->names);
    a->tape_of = malloc((a->tape_of_count + 1) * sizeof *a->tape_of);
    CHECK(a->tape_of != NULL);
    for (uint32_t i = 0; i < a->tape_of_count; i++) {
        const struct series *s = series_get(a->names, i);
        a->tape_of[i] = UINT32_MAX;
        for (size_t k = claim_at(&a->claim, i); k < a->claim.count && a->claim.items[k].series == i;
             k++)
            if (a->claim.items[k].stream < STREAM_QUOTE && a->tape_of[i] == UINT32_MAX)
                a->tape_of[i] = audit_tape_of(a, s->venue, s->symbol);
    }
}

enum err_code audit_tapes(struct audit *a, struct err *e)
{
    TRY(absorb(a, lake_each_candle(a->lake, note_candle, a, e), "the table of candles", e));
    list_tapes(a);
    for (uint32_t i = 0; i < a->tape_count; i++) {
        char place[300];
        struct buf text;
        buf_init(&text, sizeof place);
        buf_addf(&text, "%.*s %.*s", STR_ARG(a->tape_list[i].venue),
                 STR_ARG(a->tape_list[i].symbol));
        str_copy(place, sizeof place, buf_str(&text));
        buf_free(&text);
        TRY(absorb(a, check_tape(a, i, e), place, e));
        audit_progress(a, CHECK_CANDLES, i + 1, (int64_t)a->tape_count);
    }
    return ERR_OK;
}
