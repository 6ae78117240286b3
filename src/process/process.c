/* The public calls, and the way of one event to its tape. */
#include "process/process_internal.h"

#include <stdlib.h>

enum { NAME_MAX_BYTES = 128, STATE_BYTES_MAX = 1 << 16 }; /* 512 gaps of 4 numbers at most */

struct process *process_new(const struct process_options *o)
{
    struct process *p = calloc(1, sizeof *p);
    CHECK(p != NULL && o->lateness_ns >= 0 && o->tick_limit_ns >= 0 && o->tapes_max > 0);
    p->options = *o;
    map_init(&p->names, o->tapes_max);
    buf_init(&p->scratch, STATE_BYTES_MAX);
    p->seconds_max = (uint32_t)(o->lateness_ns / NS_PER_S) + WINDOWS_BEYOND_LATENESS;
    p->now_ns = p->ticked_ns = TIME_NEVER;
    return p;
}

struct process *process_free(struct process *p)
{
    if (!p) return NULL;
    for (uint32_t i = 0; i < p->tape_count; i++) {
        tape_free(p->tapes[i]);
        free(p->tapes[i]);
    }
    map_free(&p->names);
    buf_free(&p->scratch);
    free(p->tapes);
    free(p->tape_of);
    free(p);
    return NULL;
}

/* --- tapes --- */

static struct str name_of(const struct series *s, char text[TAPE_NAME_MAX])
{
    CHECK(s->venue.n <= NAME_MAX_BYTES && s->symbol.n <= NAME_MAX_BYTES);
    memcpy(text, s->venue.p, s->venue.n);
    text[s->venue.n] = '/';
    memcpy(text + s->venue.n + 1, s->symbol.p, s->symbol.n);
    return (struct str){text, s->venue.n + 1 + s->symbol.n};
}

struct tape *tape_named(struct process *p, struct str name)
{
    uint32_t at = map_get(&p->names, name);
    if (at != MAP_NONE) return p->tapes[at];
    if (p->tape_count >= p->options.tapes_max) return NULL;
    p->tapes = array_grown(p->tapes, p->tape_count, &p->tape_cap, sizeof(struct tape *));
    struct tape *tape = malloc(sizeof *tape + name.n);
    CHECK(tape != NULL);
    uint32_t put = map_put(&p->names, name, p->tape_count);
    CHECK(put == p->tape_count);
    memcpy(tape + 1, name.p, name.n);
    tape_init(tape, (struct str){(const char *)(tape + 1), name.n});
    p->tapes[p->tape_count++] = tape;
    return tape;
}

/* Series that appeared since the last look, joined with the tapes that exist (restored ones wait for theirs). */
static void learn_series(struct process *p)
{
    uint32_t count = series_count(p->options.series);
    if (count == p->series_known) return;
    p->tape_of = realloc(p->tape_of, count * sizeof *p->tape_of);
    CHECK(p->tape_of != NULL);
    for (uint32_t i = p->series_known; i < count; i++) {
        char text[TAPE_NAME_MAX];
        p->tape_of[i] = map_get(&p->names, name_of(series_get(p->options.series, i), text));
        if (p->tape_of[i] == MAP_NONE) continue;
        struct tape *tape = p->tapes[p->tape_of[i]];
        if (tape->series == SERIES_NONE) tape->series = i;
    }
    p->series_known = count;
}

static struct tape *tape_of_series(struct process *p, uint32_t series)
{
    if (series >= p->series_known) learn_series(p);
    CHECK(series < p->series_known);
    uint32_t at = p->tape_of[series];
    if (at != MAP_NONE) return p->tapes[at];
    char text[TAPE_NAME_MAX];
    struct str name = name_of(series_get(p->options.series, series), text);
    struct tape *tape = tape_named(p, name);
    if (!tape) return NULL;
    p->tape_of[series] = map_get(&p->names, name);
    if (tape->series == SERIES_NONE) tape->series = series;
    return tape;
}

static const struct tape *known_tape(const struct process *p, uint32_t series)
{
    char text[TAPE_NAME_MAX];
    uint32_t at = series < p->series_known ? p->tape_of[series] : MAP_NONE;
    if (at == MAP_NONE)
        at = map_get(&p->names, name_of(series_get(p->options.series, series), text));
    return at == MAP_NONE ? NULL : p->tapes[at];
}

static enum err_code full(const struct process *p, struct err *e)
{
    return ERR(
        e, ERR_FULL,
        "process: more than %u pairs of venue and symbol have trades; raise process.tapes_max "
        "(about 4 KB of memory each)",
        p->options.tapes_max);
}

/* --- events --- */

static enum err_code no_state(const struct process *p, const struct trade *t, struct err *e)
{
    const struct series *s = series_get(p->options.series, t->series);
    return ERR(
        e, ERR_CORRUPT,
        "process: the state of %.*s %.*s is missing although its trade at sequence %lld is in "
        "the lake; restore the data folder from a copy",
        STR_ARG(s->venue), STR_ARG(s->symbol), (long long)t->sequence);
}

static enum err_code take_trade(struct process *p, const struct trade *t,
                                const struct process_sink *sink, struct err *e)
{
    int64_t time_ns = trade_time(t);
    bool usable = time_ns >= -TIME_FARTHEST && time_ns <= TIME_FARTHEST;
    if (!usable || !trade_counts(t) ||
        (t->stream != STREAM_TRADE && t->stream != STREAM_AGG_TRADE)) {
        p->counts.passed_over++;
        return ERR_OK;
    }
    struct tape *tape = tape_of_series(p, t->series);
    if (!tape) return full(p, e);
    bool rebuilding = t->sequence <= p->rebuild_upto;
    if (rebuilding && tape->stream == NO_STREAM) return no_state(p, t, e);
    if (tape->stream == NO_STREAM) {
        tape->stream = (int8_t)t->stream;
        tape->changed = true;
    }
    if (t->stream != tape->stream) {
        p->counts.passed_over++;
        return ERR_OK;
    }
    if (t->received_ns > p->now_ns) p->now_ns = t->received_ns;
    if (t->received_ns > tape->received_ns) tape->received_ns = t->received_ns;
    if (rebuilding) {
        tape_retake(p, tape, t, time_ns);
        return ERR_OK;
    }
    p->counts.trades++;
    p->sequence = t->sequence;
    tape_take(p, tape, t, time_ns, sink);
    return ERR_OK;
}

static enum err_code take_gap(struct process *p, const struct gap *g,
                              const struct process_sink *sink, struct err *e)
{
    if (g->sequence <= p->rebuild_upto) return ERR_OK; /* it is in the state */
    if (g->stream != STREAM_TRADE && g->stream != STREAM_AGG_TRADE) return ERR_OK;
    struct tape *tape = tape_of_series(p, g->series);
    if (!tape) return full(p, e);
    p->sequence = g->sequence;
    gaps_take(p, tape, g, sink);
    return ERR_OK;
}

static void show_counts(struct process *p)
{
    const struct process_stats *c = &p->counts;
    const int64_t values[SHOWN] = {c->trades,       c->late, c->candles,    p->tape_count,
                                   c->open_windows, c->mark, c->passed_over};
    for (int i = 0; i < SHOWN; i++)
        atomic_store_explicit(&p->shown[i], values[i], memory_order_relaxed);
}

enum err_code process_push(struct process *p, const struct batch *b,
                           const struct process_sink *sink, struct err *e)
{
    for (size_t i = 0; i < b->event_count; i++) {
        size_t at = b->order[i].index;
        if (b->order[i].type == EVENT_TRADE)
            TRY(take_trade(p, &b->trades[at], sink, e));
        else if (b->order[i].type == EVENT_GAP)
            TRY(take_gap(p, &b->gaps[at], sink, e));
    }
    if (b->event_count && b->last_sequence > p->counts.mark) p->counts.mark = b->last_sequence;
    show_counts(p);
    return ERR_OK;
}

void process_tick(struct process *p, int64_t now_ns, const struct process_sink *sink)
{
    int64_t to_ns =
        time_floor(now_ns - p->options.tick_limit_ns - p->options.lateness_ns, NS_PER_S);
    if (to_ns <= p->ticked_ns) return;
    p->ticked_ns = to_ns;
    if (now_ns > p->now_ns) p->now_ns = now_ns;
    p->sequence = p->counts.mark;
    for (uint32_t i = 0; i < p->tape_count; i++) {
        struct tape *tape = p->tapes[i];
        /* Only where something closes: else each quiet symbol would change its state every second. */
        bool quiet = now_ns - tape->received_ns >= p->options.tick_limit_ns;
        if (quiet && tape->series != SERIES_NONE && tape_next_end(tape) <= to_ns)
            tape_advance(p, tape, to_ns, sink);
    }
    show_counts(p);
}

void process_finish(struct process *p, const struct process_sink *sink)
{
    p->sequence = p->counts.mark;
    for (uint32_t i = 0; i < p->tape_count; i++)
        if (p->tapes[i]->series != SERIES_NONE) tape_finish(p, p->tapes[i], sink);
    show_counts(p);
}

/* --- restart --- */

enum err_code process_restore(struct process *p, struct str name, struct str bytes, struct err *e)
{
    return state_restore(p, name, bytes, e);
}

void process_rebuild_upto(struct process *p, int64_t sequence)
{
    p->rebuild_upto = sequence;
    p->counts.mark = sequence;
    for (uint32_t i = 0; i < p->tape_count; i++) tape_settle(p->tapes[i]);
    p->series_known = 0; /* restored tapes get their series */
    learn_series(p);
    show_counts(p);
}

void process_wanted_candles(const struct process *p,
                            void (*each)(void *ctx, uint32_t series, int64_t from_ns,
                                         int64_t to_ns),
                            void *ctx)
{
    for (uint32_t i = 0; i < p->tape_count; i++) {
        const struct tape *tape = p->tapes[i];
        int64_t from_ns = INT64_MAX;
        for (int k = 0; k < ROLLUPS; k++) {
            const struct rollup *r = &tape->rollups[k];
            if (r->refill && r->sum.open_time_ns < from_ns) from_ns = r->sum.open_time_ns;
        }
        if (from_ns == INT64_MAX) continue;
        size_t cut = (size_t)((const char *)memchr(tape->name.p, '/', tape->name.n) - tape->name.p);
        uint32_t series = series_find(p->options.series, (struct str){tape->name.p, cut},
                                      (struct str){tape->name.p + cut + 1, tape->name.n - cut - 1});
        if (series != SERIES_NONE)
            each(ctx, series, from_ns, time_floor(tape->watermark_ns, NS_PER_MINUTE));
    }
}

enum err_code process_restore_candle(struct process *p, const struct candle *one_minute,
                                     struct err *e)
{
    struct tape *tape = tape_of_series(p, one_minute->series);
    if (!tape || one_minute->timeframe != TIMEFRAME_1M)
        return ERR(e, ERR_INTERNAL, "process: a candle of timeframe %d that was not wanted",
                   one_minute->timeframe);
    for (int k = 0; k < ROLLUPS; k++) {
        struct rollup *r = &tape->rollups[k];
        bool inside = one_minute->open_time_ns >= r->sum.open_time_ns &&
                      one_minute->open_time_ns + NS_PER_MINUTE <= bucket_end(r);
        if (r->refill && inside) rollup_add(r, one_minute);
    }
    tape->rollups_changed = true;
    return ERR_OK;
}

void process_flush_state(struct process *p, const struct process_sink *sink)
{
    for (uint32_t i = 0; i < p->tape_count; i++) state_flush(p->tapes[i], &p->scratch, sink);
}

int64_t process_resume_sequence(const struct process *p, int64_t position)
{
    int64_t first = position + 1;
    for (uint32_t i = 0; i < p->tape_count; i++) {
        int64_t sequence = tape_first_sequence(p->tapes[i]);
        if (sequence < first) first = sequence;
    }
    return first;
}

/* --- questions --- */

bool process_is_complete(const struct process *p, uint32_t series, int64_t from_ns, int64_t to_ns)
{
    const struct tape *tape = known_tape(p, series);
    return !tape || !gaps_meet(tape, from_ns, to_ns);
}

int process_tape_stream(const struct process *p, uint32_t series)
{
    const struct tape *tape = known_tape(p, series);
    return tape ? tape->stream : NO_STREAM;
}

int64_t process_mark(const struct process *p)
{
    return atomic_load_explicit(&((struct process *)(uintptr_t)p)->shown[SHOWN_MARK],
                                memory_order_relaxed);
}

void process_stats(const struct process *p, struct process_stats *ret)
{
    _Atomic int64_t *shown = ((struct process *)(uintptr_t)p)->shown;
    int64_t *const to[SHOWN] = {&ret->trades,       &ret->late, &ret->candles,    &ret->tapes,
                                &ret->open_windows, &ret->mark, &ret->passed_over};
    for (int i = 0; i < SHOWN; i++) *to[i] = atomic_load_explicit(&shown[i], memory_order_relaxed);
}

/* --- recompute --- */

enum err_code process_candles_of_minute(const struct series_table *names, uint32_t series,
                                        const struct trade *trades, size_t count, int64_t open_ns,
                                        uint64_t seconds, struct candle *out, size_t *ret_count)
{
    enum { SECONDS = 60 };
    struct window parts[SECONDS], minute;
    uint8_t price_scale = 0, size_scale = 0;
    CHECK(series < series_count(names));
    for (size_t i = 0; i < count; i++) {
        if (trades[i].price.scale > price_scale) price_scale = (uint8_t)trades[i].price.scale;
        if (trades[i].size.scale > size_scale) size_scale = (uint8_t)trades[i].size.scale;
    }
    for (int i = 0; i < SECONDS; i++)
        window_init(&parts[i], open_ns + i * NS_PER_S, price_scale, size_scale);
    for (size_t i = 0; i < count; i++) {
        int64_t time_ns = trade_time(&trades[i]);
        if (trade_counts(&trades[i]) && time_ns >= open_ns && time_ns < open_ns + NS_PER_MINUTE)
            window_add(&parts[(time_ns - open_ns) / NS_PER_S], &trades[i], time_ns);
    }
    size_t made = 0;
    window_init(&minute, open_ns, price_scale, size_scale);
    for (int i = 0; i < SECONDS; i++) {
        if (parts[i].trade_count == 0) continue;
        if (seconds >> i & 1) window_candle(&parts[i], TIMEFRAME_1S, &out[made++]);
        window_merge(&minute, &parts[i]);
    }
    if (minute.trade_count) window_candle(&minute, TIMEFRAME_1M, &out[made++]);
    for (size_t i = 0; i < made; i++) out[i].series = series;
    *ret_count = made;
    return ERR_OK;
}
