/* One tape: trades into open seconds, seconds into the minute, minutes into roll-ups, each at the close by the watermark. */
#include "process/process_internal.h"

#include <stdlib.h>

void tape_init(struct tape *t, struct str name)
{
    *t = (struct tape){.name = name,
                       .series = SERIES_NONE,
                       .stream = NO_STREAM,
                       .watermark_ns = TIME_NEVER,
                       .received_ns = TIME_NEVER,
                       .newest_ns = TIME_NEVER};
    for (int i = 0; i < ROLLUPS; i++) t->early_ns[i] = TIME_NEVER;
    window_init(&t->minute, 0, 0, 0);
    gaps_init(&t->gaps);
}

void tape_free(struct tape *t)
{
    free(t->seconds);
    free(t->gaps.spans);
}

/* --- closing --- */

static void emit(struct process *p, struct tape *tape, struct candle *c,
                 const struct process_sink *sink)
{
    int64_t end_ns = c->open_time_ns + timeframe_ns((enum timeframe)c->timeframe);
    c->series = tape->series;
    c->complete = !gaps_meet(tape, c->open_time_ns, end_ns);
    c->revision = 0;
    c->replaces = false;
    c->updated_ns = p->now_ns;
    c->sequence = p->sequence;
    p->counts.candles++;
    sink->candle(sink->ctx, c);
}

static void close_rollup(struct process *p, struct tape *tape, struct rollup *r,
                         const struct process_sink *sink)
{
    if (r->tainted) {
        sink->rollup_from_lake(sink->ctx, tape->series, (enum timeframe)r->sum.timeframe,
                               r->sum.open_time_ns);
    } else {
        struct candle c;
        rollup_candle(r, &c);
        emit(p, tape, &c, sink);
    }
    r->present = false;
    tape->rollups_changed = true;
}

static void tell_late(struct process *p, struct tape *tape, int64_t second_ns, uint32_t timeframes,
                      const struct process_sink *sink)
{
    struct late_trade l = {tape->series, second_ns, timeframes, p->sequence};
    sink->late(sink->ctx, &l);
}

/* The bucket of that timeframe that holds time_ns; NULL where finish emitted it early. */
static struct rollup *open_bucket(struct tape *tape, enum timeframe tf, int64_t time_ns)
{
    struct rollup *r = &tape->rollups[tf - ROLLUP_FIRST];
    int64_t open_ns = time_floor(time_ns, timeframe_ns(tf));
    if (open_ns + timeframe_ns(tf) <= tape->early_ns[tf - ROLLUP_FIRST]) return NULL;
    if (!r->present) rollup_init(r, tf, open_ns);
    CHECK(r->sum.open_time_ns == open_ns);
    tape->rollups_changed = true;
    return r;
}

static void close_minute(struct process *p, struct tape *tape, const struct process_sink *sink)
{
    struct candle c;
    uint32_t emitted_early = 0;
    window_candle(&tape->minute, TIMEFRAME_1M, &c);
    tape->minute.trade_count = 0;
    p->counts.open_windows--;
    emit(p, tape, &c, sink);
    for (int tf = ROLLUP_FIRST; tf < TIMEFRAME_MAX; tf++) {
        struct rollup *r = open_bucket(tape, (enum timeframe)tf, c.open_time_ns);
        if (r)
            rollup_add(r, &c);
        else
            emitted_early |= 1u << tf;
    }
    if (emitted_early) tell_late(p, tape, c.open_time_ns, emitted_early, sink);
}

static int64_t minute_end(const struct tape *tape) { return tape->minute.open_ns + NS_PER_MINUTE; }

/* The minute and the roll-ups that end at or before upto_ns. Buckets lie within each other, so the order of timeframes is
 * the order of their ends. */
static void close_upto(struct process *p, struct tape *tape, int64_t upto_ns,
                       const struct process_sink *sink)
{
    if (tape->minute.trade_count && minute_end(tape) <= upto_ns) close_minute(p, tape, sink);
    for (int i = 0; i < ROLLUPS; i++) {
        struct rollup *r = &tape->rollups[i];
        if (r->present && bucket_end(r) <= upto_ns) close_rollup(p, tape, r, sink);
    }
}

/* The minute that holds time_ns, for trades and seconds that are closed. */
static struct window *open_minute(struct process *p, struct tape *tape, int64_t time_ns)
{
    struct window *m = &tape->minute;
    int64_t open_ns = time_floor(time_ns, NS_PER_MINUTE);
    if (m->trade_count == 0) {
        window_init(m, open_ns, tape->price_scale, tape->size_scale);
        p->counts.open_windows++;
    }
    CHECK(m->open_ns == open_ns);
    return m;
}

static void close_second(struct process *p, struct tape *tape, const struct process_sink *sink)
{
    struct window *w = &tape->seconds[tape->first];
    struct candle c;
    window_candle(w, TIMEFRAME_1S, &c);
    emit(p, tape, &c, sink);
    window_merge(open_minute(p, tape, w->open_ns), w);
    tape->first++;
    tape->count--;
    p->counts.open_windows--;
}

void tape_advance(struct process *p, struct tape *tape, int64_t watermark_ns,
                  const struct process_sink *sink)
{
    tape->watermark_ns = watermark_ns;
    tape->changed = true;
    while (tape->count) {
        int64_t open_ns = tape->seconds[tape->first].open_ns;
        if (open_ns + NS_PER_S > watermark_ns) break;
        close_upto(p, tape, open_ns, sink);
        close_second(p, tape, sink);
    }
    close_upto(p, tape, watermark_ns, sink);
}

void tape_finish(struct process *p, struct tape *tape, const struct process_sink *sink)
{
    int64_t end_ns = tape->watermark_ns;
    if (tape->minute.trade_count) end_ns = minute_end(tape);
    if (tape->count)
        end_ns = time_floor(tape->seconds[tape->first + tape->count - 1].open_ns, NS_PER_MINUTE) +
                 NS_PER_MINUTE;
    if (end_ns > tape->watermark_ns) tape_advance(p, tape, end_ns, sink);
    for (int i = 0; i < ROLLUPS; i++) {
        struct rollup *r = &tape->rollups[i];
        if (!r->present) continue;
        tape->early_ns[i] = bucket_end(r);
        tape->changed = true;
        close_rollup(p, tape, r, sink);
    }
}

int64_t tape_next_end(const struct tape *tape)
{
    int64_t end_ns = INT64_MAX;
    for (int i = 0; i < ROLLUPS; i++) {
        const struct rollup *r = &tape->rollups[i];
        if (r->present && bucket_end(r) < end_ns) end_ns = bucket_end(r);
    }
    if (tape->minute.trade_count && minute_end(tape) < end_ns) end_ns = minute_end(tape);
    if (tape->count && tape->seconds[tape->first].open_ns + NS_PER_S < end_ns)
        end_ns = tape->seconds[tape->first].open_ns + NS_PER_S;
    return end_ns;
}

void tape_settle(struct tape *tape)
{
    for (int i = 0; i < ROLLUPS; i++) {
        struct rollup *r = &tape->rollups[i];
        enum timeframe tf = (enum timeframe)(ROLLUP_FIRST + i);
        if (!r->present) continue;
        int64_t open_ns = time_floor(tape->watermark_ns, timeframe_ns(tf));
        bool sound = r->sum.open_time_ns == open_ns && (r->minutes || r->tainted);
        r->refill = false;
        if (sound) continue;
        rollup_init(r, tf, open_ns);
        r->tainted = tape->rollups_changed = true;
    }
}

int64_t tape_first_sequence(const struct tape *tape)
{
    int64_t first = tape->minute.trade_count ? tape->minute.first_sequence : INT64_MAX;
    for (uint32_t i = 0; i < tape->count; i++) {
        int64_t sequence = tape->seconds[tape->first + i].first_sequence;
        if (sequence < first) first = sequence;
    }
    return first;
}

/* --- trades --- */

static void make_room(struct tape *tape)
{
    if (tape->first + tape->count < tape->cap) return;
    if (tape->first >= tape->cap / 2 && tape->first) {
        memmove(tape->seconds, tape->seconds + tape->first, tape->count * sizeof *tape->seconds);
        tape->first = 0;
        return;
    }
    tape->cap = tape->cap ? tape->cap * 2 : 4;
    tape->seconds = realloc(tape->seconds, tape->cap * sizeof *tape->seconds);
    CHECK(tape->seconds != NULL);
}

/* Finds or opens the second that holds time_ns; nearly always it is the newest. */
static struct window *open_second(struct process *p, struct tape *tape, int64_t time_ns)
{
    uint32_t at = tape->first + tape->count;
    for (; at > tape->first; at--) {
        struct window *w = &tape->seconds[at - 1];
        if (time_ns >= w->open_ns + NS_PER_S) break;
        if (time_ns >= w->open_ns) return w;
    }
    uint32_t place = at - tape->first;
    make_room(tape);
    struct window *w = &tape->seconds[tape->first + place];
    memmove(w + 1, w, (tape->count - place) * sizeof *w);
    window_init(w, time_floor(time_ns, NS_PER_S), tape->price_scale, tape->size_scale);
    tape->count++;
    p->counts.open_windows++;
    return w;
}

static void note_scales(struct tape *tape, const struct trade *t)
{
    if (t->price.scale > tape->price_scale) tape->price_scale = (uint8_t)t->price.scale;
    if (t->size.scale > tape->size_scale) tape->size_scale = (uint8_t)t->size.scale;
}

static bool is_closed(const struct tape *tape, int64_t time_ns, int64_t unit_ns)
{
    return tape->watermark_ns != TIME_NEVER &&
           time_floor(time_ns, unit_ns) + unit_ns <= tape->watermark_ns;
}

static void take_late(struct process *p, struct tape *tape, const struct trade *t, int64_t time_ns,
                      const struct process_sink *sink)
{
    uint32_t timeframes = 1u << TIMEFRAME_1S;
    if (!is_closed(tape, time_ns, NS_PER_MINUTE)) {
        window_add(open_minute(p, tape, time_ns), t, time_ns);
    } else {
        timeframes |= 1u << TIMEFRAME_1M;
        for (int tf = ROLLUP_FIRST; tf < TIMEFRAME_MAX; tf++) {
            struct rollup *r = NULL;
            if (!is_closed(tape, time_ns, timeframe_ns((enum timeframe)tf)))
                r = open_bucket(tape, (enum timeframe)tf, time_ns);
            if (r)
                r->tainted = true;
            else
                timeframes |= 1u << tf;
        }
    }
    p->counts.late++;
    tell_late(p, tape, time_floor(time_ns, NS_PER_S), timeframes, sink);
}

static void note_newest(struct tape *tape, const struct trade *t, int64_t time_ns)
{
    int64_t newest_day_ns = time_floor(tape->newest_ns, NS_PER_DAY);
    if (time_ns >= tape->newest_ns) {
        if (time_ns - newest_day_ns >= NS_PER_DAY) tape->day_trades = 0;
        tape->newest_ns = time_ns;
        tape->newest_price = t->price;
        tape->day_trades++;
    } else if (time_ns >= newest_day_ns) {
        tape->day_trades++;
    }
}

void tape_take(struct process *p, struct tape *tape, const struct trade *t, int64_t time_ns,
               const struct process_sink *sink)
{
    note_scales(tape, t);
    note_newest(tape, t, time_ns);
    if (time_ns >= tape->watermark_ns) {
        window_add(open_second(p, tape, time_ns), t, time_ns);
        if (tape->count > p->seconds_max)
            tape_advance(p, tape, tape->seconds[tape->first].open_ns + NS_PER_S, sink);
    } else {
        take_late(p, tape, t, time_ns, sink);
    }
    int64_t seen_ns = time_ns < t->received_ns ? time_ns : t->received_ns;
    if (seen_ns < TIME_NEVER) return;
    seen_ns -= p->options.lateness_ns;
    if (seen_ns - tape->watermark_ns >= NS_PER_S)
        tape_advance(p, tape, time_floor(seen_ns, NS_PER_S), sink);
}

void tape_retake(struct process *p, struct tape *tape, const struct trade *t, int64_t time_ns)
{
    note_scales(tape, t);
    if (time_ns >= tape->watermark_ns)
        window_add(open_second(p, tape, time_ns), t, time_ns);
    else if (!is_closed(tape, time_ns, NS_PER_MINUTE))
        window_add(open_minute(p, tape, time_ns), t, time_ns);
}
