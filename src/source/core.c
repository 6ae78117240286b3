#include "source/core_internal.h"

#include <stdio.h>
#include <stdlib.h>

static enum err_code restore(struct core *c, const struct source_past *past, struct err *e)
{
    for (size_t i = 0; i < past->dedup_count; i++) {
        const struct dedup_state *s = &past->dedup[i];
        if (past->of_all_writers)
            TRY(dedup_absorb(c->dedup, s->series, s->stream, s->bytes, e));
        else
            TRY(dedup_restore(c->dedup, s->series, s->stream, s->bytes, e));
    }
    for (size_t i = 0; i < past->brought_count; i++) dedup_brought(c->dedup, &past->brought[i]);
    for (size_t i = 0; i < past->open_gap_count; i++)
        TRY(dedup_restore_gap(c->dedup, &past->open_gaps[i], e));
    for (size_t i = 0; i < past->position_count; i++) {
        const struct source_position *p = &past->positions[i];
        uint32_t slot = core_position_slot(c, p->name);
        struct core_place *place = &c->places[slot];
        place->frames = p->frames;
        place->done = p->done;
        place->known = true;
    }
    return ERR_OK;
}

enum err_code core_open(const struct source_options *o, const struct source_past *past,
                        struct core **ret, struct err *e)
{
    struct core *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->options = *o;
    c->clock_ns = c->event_ns = TIME_ABSENT;
    c->last_received_ns = past ? past->last_received_ns : TIME_ABSENT;
    c->next_gap_id = past ? past->next_gap_id : 1;
    struct dedup_options d = {
        .series = o->series,
        .gap_grace_ns = o->gap_grace_ns,
        .window_keys = 65536,
        .intervals_max = 4096,
        .next_gap_id = c->next_gap_id,
    };
    c->dedup = dedup_new(&d);
    decoded_init(&c->decoded);
    buf_init(&c->frame, VENUE_REST_MAX + VENUE_PADDING);
    map_init(&c->place_index, CORE_PLACES_MAX);
    c->dirty = calloc(CORE_DIRTY_MAX, sizeof *c->dirty);
    CHECK(c->dirty != NULL);
    core_names_open(c, past);
    enum err_code code = past ? restore(c, past, e) : ERR_OK;
    if (code != ERR_OK) {
        core_close(c);
        return code;
    }
    *ret = c;
    return ERR_OK;
}

struct core *core_close(struct core *c)
{
    if (!c) return NULL;
    batch_put(c->batch);
    dedup_free(c->dedup);
    decoded_free(&c->decoded);
    buf_free(&c->frame);
    core_names_close(c);
    for (size_t i = 0; i < c->place_count; i++) free(c->places[i].name);
    free(c->places);
    map_free(&c->place_index);
    free(c->dirty);
    free(c);
    return NULL;
}

void core_skip(struct core *c, bool on) { c->skip = on; }
void core_stop(struct core *c) { atomic_store(&c->stop, true); }
struct source_stats *core_counters(struct core *c) { return &c->stats; }

void core_stats(const struct core *c, struct source_stats *ret)
{
    /* All members are int64_t, each of them counted atomically; the set is not one moment's. */
    const int64_t *from = (const int64_t *)&c->stats;
    int64_t *to = (int64_t *)ret;
    for (size_t i = 0; i < sizeof *ret / sizeof *to; i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

int64_t core_received(const struct core *c, const struct core_input *in, int64_t venue_time_ns)
{
    if (in->received_ns != TIME_ABSENT) return in->received_ns;
    if (venue_time_ns != TIME_ABSENT) return venue_time_ns;
    if (c->event_ns != TIME_ABSENT) return c->event_ns;
    return c->clock_ns != TIME_ABSENT ? c->clock_ns : 0;
}

void core_touched(struct core *c, int64_t received_ns)
{
    struct batch *b = c->batch;
    if (b->first_received_ns == TIME_ABSENT || received_ns < b->first_received_ns)
        b->first_received_ns = received_ns;
}

char *core_copy(struct core *c, const struct core_input *in)
{
    buf_reset(&c->frame);
    char *to = (char *)buf_room(&c->frame, in->len + VENUE_PADDING);
    if (!to) return NULL;
    if (in->len) memcpy(to, in->bytes, in->len);
    memset(to + in->len, 0, VENUE_PADDING);
    return to;
}

/* One input on its way into the batch. */
struct absorb {
    struct core *c;
    const struct core_input *in;
    struct core_payload payload;
    struct core_result *result;
};

static enum err_code dead(struct absorb *a, enum dead_reason reason, int stream, struct str symbol,
                          const char *detail, struct err *e)
{
    const struct core_dead d = {
        .reason = reason, .stream = stream, .symbol = symbol, .detail = detail};
    a->result->refused++;
    return core_dead_letter(a->c, a->in, &d, &a->payload, e);
}

/* The batch ran full in the middle of a frame that exceeds an empty one: the only case in which a
 * frame is split. */
static enum err_code next_batch(struct core *c, struct err *e)
{
    TRY(core_push(c, e));
    return core_room(c, 0, 0, e);
}

/* Room for one more trade must be there BEFORE the deduplication takes it in: its state would else
 * be pushed ahead of the trade, which a crash would then lose. */
static enum err_code trade_room(struct core *c, const struct trade *t, struct err *e)
{
    const struct batch *b = c->batch;
    size_t text = t->id_text.n + 64;
    if (b->event_count < b->max_events && b->arena.limit - b->arena.used > text) return ERR_OK;
    return next_batch(c, e);
}

static enum err_code keep_trade(struct absorb *a, const struct trade *t, struct err *e)
{
    struct core *c = a->c;
    struct str id = t->id_text;
    struct trade *to = NULL;
    if (!id.n || batch_text(c->batch, t->id_text, &id)) to = batch_add_trade(c->batch);
    if (!to) return ERR(e, ERR_FULL, "a trade does not fit an empty batch");
    *to = *t;
    to->id_text = id;
    core_touched(c, t->received_ns);
    proof_add_trade(&c->batch->proofs, c->options.series, to);
    CORE_COUNT(c, trades, 1);
    a->result->trades++;
    return ERR_OK;
}

static bool is_future(const struct core *c, const struct core_input *in, int64_t venue_time_ns)
{
    int64_t ahead;
    return c->options.future_limit_ns > 0 && in->received_ns != TIME_ABSENT &&
           venue_time_ns != TIME_ABSENT &&
           (__builtin_sub_overflow(venue_time_ns, in->received_ns, &ahead) ||
            ahead > c->options.future_limit_ns) &&
           venue_time_ns > in->received_ns;
}

static enum err_code future(struct absorb *a, int stream, uint32_t series, int64_t venue_time_ns,
                            struct err *e)
{
    char when[TIME_TEXT_MAX], received[TIME_TEXT_MAX], detail[160];
    time_format(venue_time_ns, when);
    time_format(a->in->received_ns, received);
    snprintf(detail, sizeof detail, "venue time %s is too far ahead of the receipt at %s", when,
             received);
    return dead(a, DEAD_FUTURE, stream, series_get(a->c->options.series, series)->venue_symbol,
                detail, e);
}

static enum err_code conflict(struct absorb *a, const struct trade *t, struct err *e)
{
    char price[DEC_TEXT_MAX], size[DEC_TEXT_MAX], number[24], detail[256];
    dec_format(t->price, price);
    dec_format(t->size, size);
    snprintf(number, sizeof number, "%lld", (long long)t->id);
    struct str id = t->id_text.n ? t->id_text : str_of(number);
    snprintf(detail, sizeof detail, "%s %.*s was seen before with other content; now %s %s at %s",
             stream_text((enum stream)t->stream), STR_ARG(id), side_text((enum side)t->side), size,
             price);
    return dead(a, DEAD_CONFLICT, t->stream,
                series_get(a->c->options.series, t->series)->venue_symbol, detail, e);
}

static enum err_code take_trade(struct absorb *a, struct trade *t, struct err *e)
{
    struct core *c = a->c;
    const struct core_connection *n = a->in->connection;
    bool consecutive = n->venue->consecutive >> t->stream & 1;
    t->origin = a->in->origin;
    t->received_ns = core_received(c, a->in, t->venue_time_ns);
    if (a->in->received_ns == TIME_ABSENT && t->received_ns > c->event_ns)
        c->event_ns = t->received_ns;
    if (is_future(c, a->in, t->venue_time_ns))
        return future(a, t->stream, t->series, t->venue_time_ns, e);
    if (c->skip && consecutive) return ERR_OK;
    if (!c->skip) TRY(trade_room(c, t, e));
    enum dedup_result seen = dedup_trade(c->dedup, n->number, consecutive, t);
    if (c->skip) return ERR_OK;
    if (seen == DEDUP_NEW) return keep_trade(a, t, e);
    /* A conflict is dropped like any duplicate and counted with them; its other content is kept as
     * a dead letter. */
    c->batch->duplicates++;
    a->result->duplicates++;
    CORE_COUNT(c, duplicates, 1);
    return seen == DEDUP_CONFLICT ? conflict(a, t, e) : ERR_OK;
}

static enum err_code take_quote(struct absorb *a, struct quote *q, struct err *e)
{
    struct core *c = a->c;
    q->origin = a->in->origin;
    q->received_ns = core_received(c, a->in, q->venue_time_ns);
    if (a->in->received_ns == TIME_ABSENT && q->received_ns > c->event_ns)
        c->event_ns = q->received_ns;
    if (is_future(c, a->in, q->venue_time_ns))
        return future(a, STREAM_QUOTE, q->series, q->venue_time_ns, e);
    if (c->skip) return ERR_OK;
    if (a->in->no_quotes) {
        c->batch->duplicates++;
        CORE_COUNT(c, duplicates, 1);
        return ERR_OK;
    }
    for (int tries = 0; tries < 2; tries++) {
        struct quote *to = batch_add_quote(c->batch);
        if (to) {
            *to = *q;
            core_touched(c, q->received_ns);
            proof_add_quote(&c->batch->proofs, c->options.series, to);
            CORE_COUNT(c, quotes, 1);
            a->result->quotes++;
            return ERR_OK;
        }
        TRY(next_batch(c, e));
    }
    return ERR(e, ERR_FULL, "a quote does not fit an empty batch");
}

static enum err_code take_candle(struct absorb *a, const struct venue_candle *v, struct err *e)
{
    struct core *c = a->c;
    if (c->skip) return ERR_OK;
    struct venue_candle copy = *v;
    copy.c.updated_ns = copy.fetched_ns =
        v->fetched_ns != TIME_ABSENT && v->fetched_ns != 0
            ? v->fetched_ns
            : core_received(c, a->in,
                            v->c.open_time_ns + timeframe_ns((enum timeframe)v->c.timeframe));
    for (int tries = 0; tries < 2; tries++) {
        struct venue_candle *to = NULL;
        if (batch_text(c->batch, v->source, &copy.source)) to = batch_add_venue_candle(c->batch);
        if (to) {
            *to = copy;
            core_touched(c, copy.fetched_ns);
            a->result->candles++;
            return ERR_OK;
        }
        TRY(next_batch(c, e));
    }
    return ERR(e, ERR_FULL, "a candle does not fit an empty batch");
}

static enum err_code take_error(struct absorb *a, struct err *e)
{
    struct core *c = a->c;
    const struct decoded *d = &c->decoded;
    char detail[256];
    snprintf(detail, sizeof detail, "%.*s", STR_ARG(d->error));
    a->result->error = d->error;
    a->result->error_symbol = d->error_symbol;
    a->result->error_is_refusal = d->error_is_refusal;
    if (c->skip) return ERR_OK;
    CORE_COUNT(c, venue_errors, 1);
    if (c->options.notice)
        c->options.notice(c->options.notice_ctx, a->in->connection->venue->name, "venue error",
                          detail);
    return dead(a, DEAD_VENUE_ERROR, -1, d->error_symbol, detail, e);
}

/* Bytes of the batch's arena that the frame's texts take, alignment included. */
static size_t text_needed(const struct decoded *d, size_t len)
{
    size_t n = d->candle_count * 64;
    for (size_t i = 0; i < d->trade_count; i++)
        n += d->trades[i].id_text.n ? d->trades[i].id_text.n + 16 : 0;
    bool any = d->refused_count > 0 || d->class == FRAME_ERROR || d->class == FRAME_BAD;
    if (any) n += (d->refused_count + 1) * 512 + (len < CORE_PAYLOAD_MAX ? len : CORE_PAYLOAD_MAX);
    return n;
}

static enum err_code take_decoded(struct absorb *a, struct err *e)
{
    struct core *c = a->c;
    struct decoded *d = &c->decoded;
    bool bad = d->class == FRAME_BAD && d->refused_count == 0;
    a->result->class = d->class;
    a->result->reply = buf_str(&d->reply);
    size_t events = d->trade_count + d->quote_count + d->candle_count + d->refused_count +
                    (d->class == FRAME_ERROR || bad);
    if (events == 0) return ERR_OK;
    if (!c->skip) TRY(core_room(c, events, text_needed(d, a->in->len), e));
    for (size_t i = 0; i < d->trade_count; i++) TRY(take_trade(a, &d->trades[i], e));
    for (size_t i = 0; i < d->quote_count; i++) TRY(take_quote(a, &d->quotes[i], e));
    for (size_t i = 0; i < d->candle_count; i++) TRY(take_candle(a, &d->candles[i], e));
    for (size_t i = 0; i < d->refused_count; i++) {
        const struct refused *r = &d->refused[i];
        TRY(dead(a, r->reason, r->stream, r->symbol, r->detail, e));
    }
    if (bad) TRY(dead(a, DEAD_MALFORMED, -1, STR(""), "not understood", e));
    return d->class == FRAME_ERROR ? take_error(a, e) : ERR_OK;
}

/* The copy to decode; NULL where it is too big, which is a dead letter then. */
static enum err_code copy_or_refuse(struct absorb *a, size_t limit, char **ret, struct err *e)
{
    *ret = a->in->len <= limit ? core_copy(a->c, a->in) : NULL;
    if (*ret) return ERR_OK;
    char detail[96];
    snprintf(detail, sizeof detail, "%zu bytes, at most %zu are decoded", a->in->len, limit);
    a->result->class = FRAME_BAD;
    if (!a->c->skip) TRY(core_room(a->c, 1, CORE_PAYLOAD_MAX + 1024, e));
    return dead(a, DEAD_TOO_BIG, -1, STR(""), detail, e);
}

enum err_code core_frame(struct core *c, const struct core_input *in, struct core_result *ret,
                         struct err *e)
{
    *ret = (struct core_result){.class = FRAME_IGNORED};
    struct absorb a = {.c = c, .in = in, .result = ret};
    TRY(core_receive(c, in, e));
    char *frame;
    TRY(copy_or_refuse(&a, VENUE_FRAME_MAX, &frame, e));
    if (!frame) return ERR_OK;
    venue_decode(in->connection->session, frame, in->len, in->received_ns, &c->decoded);
    return take_decoded(&a, e);
}

static struct str without_query(struct str path) { return str_cut(&path, '?'); }

static bool is_instrument_list(const struct venue *v, struct str path)
{
    struct venue_request request;
    return v->instruments_request && v->instruments_answer &&
           v->instruments_request(0, STR(""), &request) &&
           str_eq(without_query(path), without_query(str_of(request.path)));
}

static enum err_code take_list(struct absorb *a, struct err *e)
{
    struct err why = {0};
    size_t count;
    a->result->class = FRAME_DATA;
    enum err_code code = core_instruments(a->c, a->in, &count, &why);
    if (code != ERR_PARSE && code != ERR_INEXACT) {
        if (code != ERR_OK && e) *e = why;
        return code;
    }
    a->result->class = FRAME_BAD;
    if (!a->c->skip) TRY(core_room(a->c, 1, CORE_PAYLOAD_MAX + 1024, e));
    return dead(a, DEAD_MALFORMED, -1, STR(""), why.text, e);
}

/* What a venue answers to a request that it does not like is no event: whoever asked decides what comes of it. */
static enum err_code take_history(struct absorb *a, struct err *e)
{
    struct decoded *d = &a->c->decoded;
    if (d->class == FRAME_ERROR) {
        a->result->class = FRAME_ERROR;
        a->result->error = d->error;
        a->result->error_symbol = d->error_symbol;
        a->result->error_is_refusal = d->error_is_refusal;
        return ERR_OK;
    }
    history_trim(d, a->in->window, &a->result->page);
    return take_decoded(a, e);
}

enum err_code core_rest(struct core *c, const struct core_input *in, struct str path,
                        struct core_result *ret, struct err *e)
{
    const struct core_connection *n = in->connection;
    *ret = (struct core_result){.class = FRAME_IGNORED};
    struct absorb a = {.c = c, .in = in, .result = ret};
    char *body;
    if (is_instrument_list(n->venue, path)) {
        TRY(copy_or_refuse(&a, VENUE_REST_MAX, &body, e));
        return body ? take_list(&a, e) : ERR_OK;
    }
    TRY(core_receive(c, in, e));
    TRY(copy_or_refuse(&a, VENUE_REST_MAX, &body, e));
    if (!body) return ERR_OK;
    venue_decode_rest(n->session, path, body, in->len, in->received_ns, &c->decoded);
    return in->window ? take_history(&a, e) : take_decoded(&a, e);
}

const struct decoded *core_decoded(const struct core *c) { return &c->decoded; }

/* Series of a row's symbol, or a dead letter where there is none to be had. */
static enum err_code row_series(struct absorb *a, struct str venue_symbol, uint32_t *ret,
                                struct err *e)
{
    *ret = venue_names_series(a->in->connection->names, venue_symbol, STR(""));
    if (*ret != SERIES_NONE) return ERR_OK;
    return dead(a, DEAD_UNKNOWN, -1, venue_symbol, "no symbol can be made of this name", e);
}

enum err_code core_trade(struct core *c, const struct core_input *in, struct str venue_symbol,
                         const struct trade *t, struct err *e)
{
    struct core_result result = {0};
    struct absorb a = {.c = c, .in = in, .result = &result};
    struct trade own = *t;
    int64_t clock = in->received_ns != TIME_ABSENT ? in->received_ns : t->venue_time_ns;
    struct core_input at = *in;
    at.received_ns = clock;
    TRY(core_receive(c, &at, e));
    if (!c->skip) TRY(core_room(c, 1, t->id_text.n + in->len + 1024, e));
    TRY(row_series(&a, venue_symbol, &own.series, e));
    return own.series == SERIES_NONE ? ERR_OK : take_trade(&a, &own, e);
}

enum err_code core_candle(struct core *c, const struct core_input *in, struct str venue_symbol,
                          const struct venue_candle *candle, struct err *e)
{
    struct core_result result = {0};
    struct absorb a = {.c = c, .in = in, .result = &result};
    struct venue_candle own = *candle;
    TRY(core_receive(c, in, e));
    if (!c->skip) TRY(core_room(c, 1, candle->source.n + in->len + 1024, e));
    TRY(row_series(&a, venue_symbol, &own.c.series, e));
    return own.c.series == SERIES_NONE ? ERR_OK : take_candle(&a, &own, e);
}
