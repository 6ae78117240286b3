/* A pipeline for tests of the source: what is pushed becomes lines of text, and the state that a
 * store would keep. */
#ifndef TICKLAKE_TESTS_SOURCE_SINK_H
#define TICKLAKE_TESTS_SOURCE_SINK_H

#include "recording_help.h"

#include "base/hash.h"
#include "source/source.h"

enum { SINK_STATES_MAX = 512 };

struct sink {
    struct series_table *series;
    struct batch_pool *pool;
    struct buf lines; /* one event a line, in order */
    int64_t batches;  /* durable */
    int64_t fail_at;  /* the batch that is lost, from 1; 0 none */
    int64_t events;
    struct proof_set proofs;
    /* What the store keeps: copies. */
    struct dedup_state dedup[SINK_STATES_MAX];
    struct source_position positions[SINK_STATES_MAX];
    struct gap gaps[SINK_STATES_MAX];
    struct instrument *instruments;
    size_t dedup_count, position_count, gap_count, instrument_count;
    int64_t next_gap_id, last_received_ns;
    int64_t notices;
};

static inline struct str sink_copy(struct str s)
{
    char *p = malloc(s.n + 1);
    assert_non_null(p);
    if (s.n) memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return (struct str){p, s.n};
}

static inline void sink_drop(struct str s) { free((void *)(uintptr_t)s.p); }

static inline void sink_init(struct sink *k, size_t max_events, size_t max_bytes)
{
    memset(k, 0, sizeof *k);
    k->series = series_new();
    k->pool = batch_pool_new(2, max_events, max_bytes);
    buf_init(&k->lines, 256 << 20);
    proof_set_init(&k->proofs);
    k->next_gap_id = 1;
    k->last_received_ns = TIME_ABSENT;
}

static inline void sink_free(struct sink *k)
{
    batch_pool_free(k->pool);
    series_free(k->series);
    buf_free(&k->lines);
    proof_set_free(&k->proofs);
    for (size_t i = 0; i < k->dedup_count; i++) sink_drop(k->dedup[i].bytes);
    for (size_t i = 0; i < k->position_count; i++) sink_drop(k->positions[i].name);
    for (size_t i = 0; i < k->gap_count; i++) sink_drop(k->gaps[i].cause);
    for (size_t i = 0; i < k->instrument_count; i++) {
        const struct instrument *x = &k->instruments[i];
        const struct str t[] = {x->venue, x->symbol, x->venue_symbol, x->base,
                                x->quote, x->settle, x->status};
        for (size_t j = 0; j < 7; j++) sink_drop(t[j]);
    }
    free(k->instruments);
}

static inline const char *sink_dec(struct dec d)
{
    static char text[8][DEC_TEXT_MAX];
    static int at;
    char *to = text[at++ % 8];
    if (dec_is_absent(d))
        snprintf(to, DEC_TEXT_MAX, "-");
    else
        dec_format(d, to);
    return to;
}

static inline void sink_event(struct sink *k, const struct batch *b, struct event_ref ref)
{
    const struct series *s;
    switch ((enum event_type)ref.type) {
    case EVENT_TRADE: {
        const struct trade *t = &b->trades[ref.index];
        s = series_get(k->series, t->series);
        buf_addf(
            &k->lines, "trade %.*s %.*s %.*s %s %s %lld/%.*s %lld-%lld #%d %s %s %lld %lld %s\n",
            STR_ARG(s->venue), STR_ARG(s->exchange), STR_ARG(s->symbol),
            stream_text((enum stream)t->stream), side_text((enum side)t->side), (long long)t->id,
            STR_ARG(t->id_text), (long long)t->first_id, (long long)t->last_id, t->ordinal,
            sink_dec(t->price), sink_dec(t->size), (long long)t->venue_time_ns,
            (long long)t->received_ns, origin_text((enum origin)t->origin));
        break;
    }
    case EVENT_QUOTE: {
        const struct quote *q = &b->quotes[ref.index];
        s = series_get(k->series, q->series);
        buf_addf(&k->lines, "quote %.*s %.*s %s %s %s %s %lld %lld\n", STR_ARG(s->venue),
                 STR_ARG(s->symbol), sink_dec(q->bid_price), sink_dec(q->bid_size),
                 sink_dec(q->ask_price), sink_dec(q->ask_size), (long long)q->venue_time_ns,
                 (long long)q->received_ns);
        break;
    }
    case EVENT_GAP: {
        const struct gap *g = &b->gaps[ref.index];
        s = series_get(k->series, g->series);
        buf_addf(&k->lines,
                 "gap %lld %.*s %s %s %s %lld-%lld %lld..%lld missing %lld at %lld closed %lld\n",
                 (long long)g->gap_id, STR_ARG(s->symbol), stream_text((enum stream)g->stream),
                 gap_kind_text((enum gap_kind)g->kind), gap_state_text((enum gap_state)g->state),
                 (long long)g->from_id, (long long)g->to_id, (long long)g->from_time_ns,
                 (long long)g->to_time_ns, (long long)g->missing_count, (long long)g->opened_ns,
                 (long long)g->closed_ns);
        break;
    }
    case EVENT_DEAD: {
        const struct dead *d = &b->deads[ref.index];
        buf_addf(&k->lines, "dead %.*s %.*s %s %lld %lld %.*s | %zu %016llx\n", STR_ARG(d->venue),
                 STR_ARG(d->connection), dead_reason_text((enum dead_reason)d->reason),
                 (long long)d->position, (long long)d->received_ns, STR_ARG(d->detail),
                 d->payload.n, (unsigned long long)hash64(d->payload));
        break;
    }
    case EVENT_VENUE_CANDLE: {
        const struct candle *c = &b->candles[ref.index].c;
        s = series_get(k->series, c->series);
        buf_addf(&k->lines, "candle %.*s %s %lld count %lld\n", STR_ARG(s->symbol),
                 timeframe_text((enum timeframe)c->timeframe), (long long)c->open_time_ns,
                 (long long)c->trade_count);
        break;
    }
    }
}

static inline void sink_keep_gaps(struct sink *k, const struct batch *b)
{
    for (size_t i = 0; i < b->gap_count; i++) {
        const struct gap *g = &b->gaps[i];
        size_t at = 0;
        while (at < k->gap_count && k->gaps[at].gap_id != g->gap_id) at++;
        assert_true(at < SINK_STATES_MAX);
        if (at < k->gap_count) sink_drop(k->gaps[at].cause);
        if (at == k->gap_count) k->gap_count++;
        k->gaps[at] = *g;
        k->gaps[at].cause = sink_copy(g->cause);
        if (g->gap_id >= k->next_gap_id) k->next_gap_id = g->gap_id + 1;
    }
}

static inline void sink_keep(struct sink *k, const struct batch *b)
{
    for (size_t i = 0; i < b->dedup_count; i++) {
        const struct dedup_state *d = &b->dedup[i];
        size_t at = 0;
        while (at < k->dedup_count &&
               (k->dedup[at].series != d->series || k->dedup[at].stream != d->stream))
            at++;
        assert_true(at < SINK_STATES_MAX);
        if (at < k->dedup_count) sink_drop(k->dedup[at].bytes);
        if (at == k->dedup_count) k->dedup_count++;
        k->dedup[at] = (struct dedup_state){d->series, d->stream, sink_copy(d->bytes)};
    }
    for (size_t i = 0; i < b->position_count; i++) {
        const struct source_position *p = &b->positions[i];
        size_t at = 0;
        while (at < k->position_count && !str_eq(k->positions[at].name, p->name)) at++;
        assert_true(at < SINK_STATES_MAX);
        if (at == k->position_count) k->positions[k->position_count++].name = sink_copy(p->name);
        assert_true(p->frames >= k->positions[at].frames && !k->positions[at].done);
        k->positions[at].frames = p->frames;
        k->positions[at].done = p->done;
    }
    for (size_t i = 0; i < b->instrument_count; i++) {
        struct instrument x = b->instruments[i];
        struct str *const t[] = {&x.venue, &x.symbol, &x.venue_symbol, &x.base,
                                 &x.quote, &x.settle, &x.status};
        for (size_t j = 0; j < 7; j++) *t[j] = sink_copy(*t[j]);
        k->instruments = realloc(k->instruments, (k->instrument_count + 1) * sizeof x);
        k->instruments[k->instrument_count++] = x;
    }
}

static inline enum err_code sink_push(void *ctx, struct batch *b, struct err *e)
{
    struct sink *k = ctx;
    if (k->fail_at && k->batches + 1 >= k->fail_at) {
        batch_put(b);
        return ERR(e, ERR_DISK, "as a test wants it");
    }
    k->batches++;
    k->events += (int64_t)b->event_count;
    for (size_t i = 0; i < b->event_count; i++) sink_event(k, b, b->order[i]);
    struct proof_set own;
    proof_set_init(&own);
    for (size_t i = 0; i < b->trade_count; i++) proof_add_trade(&own, k->series, &b->trades[i]);
    for (size_t i = 0; i < b->quote_count; i++) proof_add_quote(&own, k->series, &b->quotes[i]);
    assert_int_equal(own.count, b->proofs.count);
    for (size_t i = 0; i < own.count; i++) {
        const struct proof *p = proof_set_find(&b->proofs, own.items[i].series, own.items[i].stream,
                                               own.items[i].minute);
        assert_non_null(p);
        assert_true(p->count == own.items[i].count && p->sum == own.items[i].sum);
    }
    proof_set_free(&own);
    sink_keep_gaps(k, b);
    sink_keep(k, b);
    for (size_t i = 0; i < b->trade_count; i++) k->last_received_ns = b->trades[i].received_ns;
    batch_put(b);
    return ERR_OK;
}

static inline void sink_notice(void *ctx, const char *venue, const char *what, const char *detail)
{
    struct sink *k = ctx;
    (void)venue, (void)what, (void)detail;
    k->notices++;
}

static inline struct source_options sink_options(struct sink *k)
{
    return (struct source_options){
        .series = k->series,
        .pool = k->pool,
        .push = sink_push,
        .push_ctx = k,
        .notice = sink_notice,
        .notice_ctx = k,
        .batch_ms =
            1000000, /* batches are cut when they are full: tests do not depend on the wall clock */
        .gap_grace_ns = NS_PER_S,
        .future_limit_ns = 10 * NS_PER_S,
        .origin = ORIGIN_REPLAYED,
    };
}

/* As the store would give it at the next start. `open` has room for the gaps that are still open.
 * */
static inline struct source_past sink_past(const struct sink *k, struct gap open[SINK_STATES_MAX])
{
    struct source_past p = {
        .dedup = k->dedup,
        .dedup_count = k->dedup_count,
        .positions = k->positions,
        .position_count = k->position_count,
        .open_gaps = open,
        .next_gap_id = k->next_gap_id,
        .last_received_ns = k->last_received_ns,
        .instruments = k->instruments,
        .instrument_count = k->instrument_count,
    };
    for (size_t i = 0; i < k->gap_count; i++)
        if (k->gaps[i].state == GAP_STATE_OPEN) open[p.open_gap_count++] = k->gaps[i];
    return p;
}

/* One run of a replay over the sink's past; returns what source_replay_run did. */
static inline enum err_code sink_replay(struct sink *k, const char *const *paths, size_t count,
                                        const char *hint, struct source_stats *stats)
{
    struct gap open[SINK_STATES_MAX];
    struct source_past past = sink_past(k, open);
    struct source_options o = sink_options(k);
    struct source_replay_options r = {
        .paths = paths, .path_count = count, .venue_hint = str_of(hint)};
    struct source_replay *s;
    struct err e = {0};
    assert_ok(source_replay_open(&o, &r, &past, &s, &e), &e);
    enum err_code code = source_replay_run(s, &e);
    if (stats) source_replay_stats(s, stats);
    source_replay_close(s);
    return code;
}

#endif
