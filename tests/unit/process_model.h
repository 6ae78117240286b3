/* A lake and a tail without cleverness, for tests of process/: arrays that are searched from end to end.
 *
 * The tail is a list of actions (an event, or a tick of the clock). play() drives a process through it: cut into batches
 * and commits by a seed, killed and restarted at random places where asked. What process tells is applied one by one, in
 * the order it was told, from the trades that are committed. Rows and states that were not committed die with the process.
 */
#ifndef TICKLAKE_TESTS_PROCESS_MODEL_H
#define TICKLAKE_TESTS_PROCESS_MODEL_H

#include "process/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TOLD_LATE, TOLD_ROLLUP, TOLD_GAP };

struct action {
    enum { ACTION_TRADE, ACTION_GAP, ACTION_TICK, ACTION_FINISH } what;
    struct trade trade;
    struct gap gap;
    int64_t now_ns;
};

struct told {
    int what;
    uint32_t series;
    struct late_trade late;
    struct gap_change gap;
    enum timeframe tf;
    int64_t open_ns;
};

struct kept_state {
    char name[300];
    struct buf bytes;
};

/* What a commit makes durable. */
struct lake_model {
    struct candle *rows;
    size_t row_count;
    struct told *told; /* not applied yet */
    size_t told_count;
    struct kept_state *states;
    size_t state_count;
    size_t position; /* actions done */
    int64_t sequence, resume;
};

struct play {
    const struct series_table *series;
    const struct action *actions;
    size_t action_count;
    struct process_options options;
    uint64_t seed;
    int kills;             /* how often the process dies on the way */
    bool without_rollups;  /* the state of roll-ups is lost at each kill */
    struct lake_model now; /* the last commit, plus what was told since */
    struct lake_model committed;
    struct process *process;
    struct batch_pool *pool;
    struct process_sink sink;
    bool rebuilding; /* nothing may be told */
};

static inline uint64_t random_of(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}
static inline int64_t random_below(uint64_t *seed, int64_t limit)
{
    return (int64_t)(random_of(seed) % (uint64_t)limit);
}

/* Room for one more; grows when the count is a power of two. */
static inline void *one_more(void *array, size_t count, size_t size)
{
    if (count & (count - 1)) return array;
    array = realloc(array, (count ? count * 2 : 1) * size);
    assert_non_null(array);
    return array;
}

/* --- the lake --- */

static inline bool same_tape(const struct series_table *t, uint32_t a, uint32_t b)
{
    const struct series *x = series_get(t, a), *y = series_get(t, b);
    return str_eq(x->venue, y->venue) && str_eq(x->symbol, y->symbol);
}

static inline struct candle *row_of(const struct series_table *t, const struct lake_model *m,
                                    uint32_t series, enum timeframe tf, int64_t open_ns)
{
    for (size_t i = m->row_count; i-- > 0;)
        if (m->rows[i].open_time_ns == open_ns && m->rows[i].timeframe == tf &&
            same_tape(t, m->rows[i].series, series))
            return &m->rows[i];
    return NULL;
}

static inline struct candle *put_row(struct lake_model *m, const struct candle *c)
{
    m->rows = one_more(m->rows, m->row_count, sizeof *m->rows);
    m->rows[m->row_count] = *c;
    return &m->rows[m->row_count++];
}

static inline struct told *put_told(struct lake_model *m, int what, uint32_t series)
{
    m->told = one_more(m->told, m->told_count, sizeof *m->told);
    m->told[m->told_count] = (struct told){.what = what, .series = series};
    return &m->told[m->told_count++];
}

static inline void model_free(struct lake_model *m)
{
    for (size_t i = 0; i < m->state_count; i++) buf_free(&m->states[i].bytes);
    free(m->rows);
    free(m->told);
    free(m->states);
    *m = (struct lake_model){0};
}

static inline void model_copy(struct lake_model *to, const struct lake_model *from)
{
    model_free(to);
    *to = *from;
    to->rows = NULL;
    to->told = NULL;
    to->states = NULL;
    to->row_count = to->told_count = to->state_count = 0;
    for (size_t i = 0; i < from->row_count; i++) put_row(to, &from->rows[i]);
    for (size_t i = 0; i < from->told_count; i++) *put_told(to, 0, 0) = from->told[i];
    for (size_t i = 0; i < from->state_count; i++) {
        to->states = one_more(to->states, i, sizeof *to->states);
        to->states[i] = from->states[i];
        buf_init(&to->states[i].bytes, 1 << 20);
        buf_add_str(&to->states[i].bytes, buf_str(&from->states[i].bytes));
        to->state_count++;
    }
}

/* --- the sink --- */

static inline void on_candle(void *ctx, const struct candle *c)
{
    struct play *p = ctx;
    assert_false(p->rebuilding);
    assert_null(
        row_of(p->series, &p->now, c->series, (enum timeframe)c->timeframe, c->open_time_ns));
    assert_int_equal(c->revision, 0);
    put_row(&p->now, c);
}
static inline void on_late(void *ctx, const struct late_trade *l)
{
    struct play *p = ctx;
    assert_false(p->rebuilding);
    put_told(&p->now, TOLD_LATE, l->series)->late = *l;
}
static inline void on_rollup(void *ctx, uint32_t series, enum timeframe tf, int64_t open_ns)
{
    struct play *p = ctx;
    assert_false(p->rebuilding);
    struct told *t = put_told(&p->now, TOLD_ROLLUP, series);
    t->tf = tf;
    t->open_ns = open_ns;
}
static inline void on_gap(void *ctx, const struct gap_change *g)
{
    struct play *p = ctx;
    assert_false(p->rebuilding);
    put_told(&p->now, TOLD_GAP, g->series)->gap = *g;
}
static inline void on_state(void *ctx, struct str name, struct str bytes)
{
    struct play *p = ctx;
    struct lake_model *m = &p->now;
    size_t i = 0;
    while (i < m->state_count && !str_is(name, m->states[i].name)) i++;
    if (i == m->state_count) {
        m->states = one_more(m->states, i, sizeof *m->states);
        assert_true(str_copy(m->states[i].name, sizeof m->states[i].name, name));
        buf_init(&m->states[i].bytes, 1 << 20);
        m->state_count++;
    }
    buf_reset(&m->states[i].bytes);
    buf_add_str(&m->states[i].bytes, bytes);
}

/* --- revising --- */

static inline void replace_row(struct play *p, struct candle *c, uint32_t series, int64_t more)
{
    enum timeframe tf = (enum timeframe)c->timeframe;
    struct candle *row = row_of(p->series, &p->now, series, tf, c->open_time_ns);
    int64_t revision = row ? row->revision : 0;
    if (!row) row = put_row(&p->now, c);
    *row = *c;
    row->series = series;
    row->revision = revision + more;
    row->complete = process_is_complete(p->process, series, c->open_time_ns,
                                        c->open_time_ns + timeframe_ns(tf));
}

static inline void remake_rollup(struct play *p, uint32_t series, enum timeframe tf,
                                 int64_t open_ns, int64_t more)
{
    struct candle minutes[1440], made;
    size_t count = 0;
    for (size_t i = 0; i < p->now.row_count; i++) {
        const struct candle *c = &p->now.rows[i];
        if (c->timeframe == TIMEFRAME_1M && c->open_time_ns >= open_ns &&
            c->open_time_ns < open_ns + timeframe_ns(tf) && same_tape(p->series, c->series, series))
            minutes[count++] = *c;
    }
    assert_true(count > 0);
    assert_int_equal(process_rollup(tf, open_ns, minutes, count, &made), ERR_OK);
    replace_row(p, &made, series, more);
}

static inline void remake_minute(struct play *p, const struct late_trade *l)
{
    struct trade *trades = NULL;
    struct candle out[61];
    size_t count = 0, made = 0;
    int64_t open_ns = time_floor(l->time_ns, NS_PER_MINUTE);
    for (size_t i = 0; i < p->now.position; i++) {
        const struct trade *t = &p->actions[i].trade;
        if (p->actions[i].what != ACTION_TRADE || !same_tape(p->series, t->series, l->series) ||
            t->stream != process_tape_stream(p->process, l->series))
            continue;
        trades = one_more(trades, count, sizeof *trades);
        trades[count++] = *t;
    }
    uint64_t seconds = UINT64_C(1) << (l->time_ns - open_ns) / NS_PER_S;
    assert_int_equal(process_candles_of_minute(p->series, l->series, trades, count, open_ns,
                                               seconds, out, &made),
                     ERR_OK);
    for (size_t i = 0; i < made; i++)
        if (l->timeframes >> out[i].timeframe & 1) replace_row(p, &out[i], l->series, 1);
    free(trades);
}

static inline void apply_gap(struct play *p, const struct gap_change *g)
{
    for (size_t i = 0; i < p->now.row_count; i++) {
        struct candle *c = &p->now.rows[i];
        int64_t end_ns = c->open_time_ns + timeframe_ns((enum timeframe)c->timeframe);
        if (!same_tape(p->series, c->series, g->series) || end_ns > g->watermark_ns ||
            end_ns <= g->from_ns || c->open_time_ns > g->to_ns)
            continue;
        c->revision++;
        c->complete = process_is_complete(p->process, g->series, c->open_time_ns, end_ns);
    }
}

/* Only after a commit, since the trades that it reads must be there. */
static inline void apply_told(struct play *p)
{
    for (size_t i = 0; i < p->now.told_count; i++) {
        const struct told *t = &p->now.told[i];
        if (t->what == TOLD_GAP) apply_gap(p, &t->gap);
        if (t->what == TOLD_ROLLUP) remake_rollup(p, t->series, t->tf, t->open_ns, 0);
        if (t->what != TOLD_LATE) continue;
        if (t->late.timeframes & 3) remake_minute(p, &t->late);
        for (int tf = TIMEFRAME_5M; tf < TIMEFRAME_MAX; tf++)
            if (t->late.timeframes >> tf & 1)
                remake_rollup(p, t->series, (enum timeframe)tf,
                              time_floor(t->late.time_ns, timeframe_ns((enum timeframe)tf)), 1);
    }
    p->now.told_count = 0;
}

/* --- driving --- */

static inline int64_t sequence_of(const struct play *p, size_t action)
{
    int64_t n = 0;
    for (size_t i = 0; i < action; i++)
        n += p->actions[i].what == ACTION_TRADE || p->actions[i].what == ACTION_GAP;
    return n + 1;
}

/* Pushes the events of [from, to) as one batch; there are only events in it. */
static inline void push(struct play *p, size_t from, size_t to)
{
    struct err e = {0};
    struct batch *b = batch_get(p->pool, 0);
    assert_non_null(b);
    for (size_t i = from; i < to; i++) {
        const struct action *a = &p->actions[i];
        if (a->what == ACTION_TRADE) {
            struct trade *t = batch_add_trade(b);
            *t = a->trade;
            assert_true(batch_text(b, a->trade.id_text, &t->id_text));
        } else {
            *batch_add_gap(b) = a->gap;
        }
    }
    batch_number(b, sequence_of(p, from));
    if (process_push(p->process, b, &p->sink, &e) != ERR_OK) fail_msg("%s", e.text);
    batch_put(b);
}

static inline bool is_event(const struct action *a)
{
    return a->what == ACTION_TRADE || a->what == ACTION_GAP;
}

static inline void commit(struct play *p)
{
    process_flush_state(p->process, &p->sink);
    p->now.sequence = sequence_of(p, p->now.position) - 1;
    p->now.resume = process_resume_sequence(p->process, p->now.sequence);
    assert_true(p->now.resume <= p->now.sequence + 1);
    model_copy(&p->committed, &p->now);
}

static inline void wanted(void *ctx, uint32_t series, int64_t from_ns, int64_t to_ns)
{
    struct play *p = ctx;
    struct err e = {0};
    for (size_t i = p->now.row_count; i-- > 0;) { /* backwards: any order will do */
        struct candle c = p->now.rows[i];
        if (c.timeframe != TIMEFRAME_1M || !same_tape(p->series, c.series, series) ||
            c.open_time_ns < from_ns || c.open_time_ns >= to_ns)
            continue;
        assert_int_equal(process_restore_candle(p->process, &c, &e), ERR_OK);
    }
}

static inline void restart(struct play *p)
{
    struct err e = {0};
    process_free(p->process);
    p->process = process_new(&p->options);
    model_copy(&p->now, &p->committed);
    for (size_t i = 0; i < p->now.state_count; i++) {
        struct kept_state *s = &p->now.states[i];
        if (s->bytes.len == 0 || (p->without_rollups && str_starts(str_of(s->name), "rollup/")))
            continue;
        if (process_restore(p->process, str_of(s->name), buf_str(&s->bytes), &e) != ERR_OK)
            fail_msg("%s", e.text);
    }
    process_wanted_candles(p->process, wanted, p);
    process_rebuild_upto(p->process, p->now.sequence);
    p->rebuilding = true;
    for (size_t i = 0; i < p->now.position; i++)
        if (is_event(&p->actions[i]) && sequence_of(p, i) >= p->now.resume) push(p, i, i + 1);
    p->rebuilding = false;
}

static inline void step(struct play *p)
{
    size_t from = p->now.position, to = from + 1;
    const struct action *a = &p->actions[from];
    if (a->what == ACTION_TICK) {
        process_tick(p->process, a->now_ns, &p->sink);
    } else if (a->what == ACTION_FINISH) {
        process_finish(p->process, &p->sink);
    } else {
        size_t most = from + 1 + (size_t)random_below(&p->seed, 40);
        while (to < p->action_count && to < most && is_event(&p->actions[to])) to++;
        push(p, from, to);
    }
    p->now.position = to;
}

/* Plays all actions, commits, and applies what was told. The rows are in p->now then. */
static inline void play(struct play *p)
{
    p->process = process_new(&p->options);
    p->pool = batch_pool_new(1, 4096, 1 << 20);
    p->sink = (struct process_sink){p, on_candle, on_late, on_rollup, on_gap, on_state};
    size_t steps_to_kill = p->kills ? (size_t)random_below(&p->seed, 30) : SIZE_MAX;
    while (p->now.position < p->action_count) {
        step(p);
        if (random_below(&p->seed, 4) == 0) commit(p);
        if (p->committed.position == p->now.position && random_below(&p->seed, 4) == 0) {
            apply_told(p);
            commit(p);
        }
        if (steps_to_kill-- > 0) continue;
        restart(p);
        steps_to_kill = --p->kills > 0 ? (size_t)random_below(&p->seed, 60) : SIZE_MAX;
    }
    commit(p);
    apply_told(p);
}

static inline void play_free(struct play *p)
{
    model_free(&p->now);
    model_free(&p->committed);
    p->process = process_free(p->process);
    p->pool = batch_pool_free(p->pool);
}

/* --- comparing --- */

static inline void candle_text(const struct candle *c, bool with_revision, char text[1024])
{
    const i128 values[] = {c->open,
                           c->high,
                           c->low,
                           c->close,
                           c->base_volume,
                           c->quote_volume,
                           c->taker_buy_base,
                           c->taker_buy_quote,
                           c->vwap};
    const bool has[] = {
        true,         true,         true,       true, c->has_base_volume, c->has_quote_volume,
        c->has_taker, c->has_taker, c->has_vwap};
    int n = snprintf(text, 1024, "%s %lld:", timeframe_text((enum timeframe)c->timeframe),
                     (long long)c->open_time_ns);
    for (int i = 0; i < 9; i++) {
        char value[DEC_TEXT_MAX] = "-";
        if (has[i]) dec_format_lake(values[i], value);
        n += snprintf(text + n, 1024 - (size_t)n, " %s", value);
    }
    n += snprintf(text + n, 1024 - (size_t)n, " count %lld complete %d", (long long)c->trade_count,
                  c->complete);
    if (c->has_ids)
        n += snprintf(text + n, 1024 - (size_t)n, " ids %lld..%lld", (long long)c->first_id,
                      (long long)c->last_id);
    else
        n += snprintf(text + n, 1024 - (size_t)n, " ids %s..%s", c->first_id_text, c->last_id_text);
    if (with_revision)
        snprintf(text + n, 1024 - (size_t)n, " revision %lld", (long long)c->revision);
}

static inline void assert_same_candle(const struct candle *got, const struct candle *want,
                                      bool with_revision)
{
    char a[1024], b[1024];
    candle_text(got, with_revision, a);
    candle_text(want, with_revision, b);
    assert_string_equal(a, b);
}

static inline void assert_same_rows(const struct series_table *t, const struct lake_model *got,
                                    const struct lake_model *want)
{
    for (size_t i = 0; i < want->row_count; i++) {
        const struct candle *w = &want->rows[i];
        const struct candle *g =
            row_of(t, got, w->series, (enum timeframe)w->timeframe, w->open_time_ns);
        assert_non_null(g);
        assert_same_candle(g, w, true);
    }
    assert_int_equal(got->row_count, want->row_count);
}

#endif
