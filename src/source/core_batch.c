/* The batch that is being filled: room, dead letters, positions, gaps, and the push. */
#include "source/core_internal.h"

#include "base/crash.h"

#include <stdio.h>
#include <stdlib.h>

/* Text of events takes at most this part of a batch's arena; the rest is for positions and the
 * deduplication's state, which must go with them. */
enum { TEXT_PART = 2, WAIT_MS = 100, WAITING_MAX = 1024 };

static enum err_code take_batch(struct core *c, struct err *e)
{
    if (c->batch) return ERR_OK;
    for (int waited = 0; !c->batch;) {
        c->batch = batch_get(c->options.pool, WAIT_MS);
        if (c->batch || !atomic_load(&c->stop)) continue;
        waited += WAIT_MS;
        if (waited >= CORE_STOP_WAIT_MS)
            return ERR(e, ERR_STOPPED, "stopped while the pipeline was full");
    }
    c->batch_number++;
    c->batch_since_ns = TIME_ABSENT;
    return ERR_OK;
}

static bool is_empty(const struct core *c)
{
    const struct batch *b = c->batch;
    return c->dirty_count == 0 && (!b || (b->event_count == 0 && b->instrument_count == 0 &&
                                          b->duplicates == 0 && b->position_count == 0));
}

static enum err_code put_positions(struct core *c, struct err *e)
{
    for (size_t i = 0; i < c->dirty_count; i++) {
        struct core_place *p = &c->places[c->dirty[i]];
        if (!batch_set_position(c->batch, str_of(p->name), p->frames, p->done))
            return ERR(e, ERR_FULL, "no room for the position of %s in a batch", p->name);
        p->dirty = false;
    }
    c->dirty_count = 0;
    return ERR_OK;
}

static void count_guessed(struct core *c)
{
    size_t guessed = 0;
    for (size_t i = 0; i < c->venue_count; i++) guessed += venue_names_guessed(c->venues[i].names);
    __atomic_store_n(&c->stats.guessed_symbols, (int64_t)guessed, __ATOMIC_RELAXED);
}

enum err_code core_push(struct core *c, struct err *e)
{
    if (is_empty(c)) return ERR_OK;
    TRY(take_batch(c, e));
    if (dedup_flush(c->dedup, c->batch) != ERR_OK)
        return ERR(e, ERR_FULL,
                   "the deduplication's state does not fit a batch: raise source.batch_bytes");
    TRY(put_positions(c, e));
    struct batch *b = c->batch;
    b->clock_ns = c->clock_ns;
    c->batch = NULL;
    count_guessed(c);
    CORE_COUNT(c, batches, 1);
    CRASH_POINT(source_before_push);
    return c->options.push(c->options.push_ctx, b, e);
}

enum err_code core_room(struct core *c, size_t events, size_t text, struct err *e)
{
    TRY(take_batch(c, e));
    struct batch *b = c->batch;
    bool fits = b->event_count + events <= b->max_events &&
                b->arena.used + text <= b->arena.limit / TEXT_PART;
    if (fits || (b->event_count == 0 && b->instrument_count == 0)) return ERR_OK;
    TRY(core_push(c, e));
    return take_batch(c, e);
}

enum err_code core_age(struct core *c, int64_t mono_ns, struct err *e)
{
    if (is_empty(c)) return ERR_OK;
    TRY(take_batch(c, e)); /* a position alone has none yet */
    if (c->batch_since_ns == TIME_ABSENT) c->batch_since_ns = mono_ns;
    if (mono_ns - c->batch_since_ns < c->options.batch_ms * NS_PER_MS) return ERR_OK;
    return core_push(c, e);
}

/* ---- Clock and gaps ---- */

static void count_gaps(struct core *c, size_t from)
{
    for (size_t i = from; i < c->batch->gap_count; i++) {
        const struct gap *g = &c->batch->gaps[i];
        core_touched(c, c->clock_ns);
        if (g->gap_id >= c->next_gap_id) {
            CORE_COUNT(c, gaps_opened, 1);
            c->next_gap_id = g->gap_id + 1;
        }
        if (g->state != GAP_STATE_OPEN) CORE_COUNT(c, gaps_closed, 1);
    }
}

/* dedup_gaps goes on where it was when the batch was full. */
static enum err_code look_for_gaps(struct core *c, bool at_end, struct err *e)
{
    for (;;) {
        TRY(core_room(c, 1, 0, e));
        size_t before = c->batch->gap_count;
        enum err_code code = dedup_gaps(c->dedup, c->clock_ns, at_end, c->batch);
        count_gaps(c, before);
        if (code != ERR_FULL) return code == ERR_OK ? ERR_OK : ERR(e, code, "gaps cannot be told");
        if (c->batch->gap_count == before && c->batch->event_count == 0)
            return ERR(e, ERR_FULL, "a gap does not fit an empty batch");
        TRY(core_push(c, e));
    }
}

enum err_code core_clock(struct core *c, int64_t now_ns, struct err *e)
{
    if (now_ns == TIME_ABSENT || (c->clock_ns != TIME_ABSENT && now_ns <= c->clock_ns))
        return ERR_OK;
    bool tick = c->clock_ns != TIME_ABSENT &&
                time_floor(now_ns, CORE_TICK_NS) > time_floor(c->clock_ns, CORE_TICK_NS);
    c->clock_ns = now_ns;
    return tick && !c->skip ? look_for_gaps(c, false, e) : ERR_OK;
}

enum err_code core_receive(struct core *c, const struct core_input *in, struct err *e)
{
    CORE_COUNT(c, frames, 1);
    CORE_COUNT(c, bytes, in->len);
    TRY(core_clock(c, in->received_ns != TIME_ABSENT ? in->received_ns : c->event_ns, e));
    /* Hostile ids give up holes faster than the clock ticks; the state that holds them must go on fitting a batch. */
    bool many = dedup_waiting(c->dedup) >= WAITING_MAX && c->clock_ns != TIME_ABSENT;
    return many && !c->skip ? look_for_gaps(c, false, e) : ERR_OK;
}

enum err_code core_outage(struct core *c, uint32_t series, uint8_t stream, int64_t from_ns,
                          int64_t to_ns, struct str cause, struct err *e)
{
    if (c->skip) return ERR_OK;
    TRY(core_room(c, 1, 64 + cause.n, e));
    size_t before = c->batch->gap_count;
    enum err_code code = dedup_outage(c->dedup, series, stream, from_ns, to_ns, cause, c->batch);
    count_gaps(c, before);
    return code == ERR_OK ? ERR_OK : ERR(e, code, "an outage cannot be told");
}

enum err_code core_gap(struct core *c, const struct gap *g, struct err *e)
{
    TRY(core_room(c, 1, 64 + g->cause.n, e));
    size_t before = c->batch->gap_count;
    struct str cause;
    struct gap *to = batch_text(c->batch, g->cause, &cause) ? batch_add_gap(c->batch) : NULL;
    if (!to) return ERR(e, ERR_FULL, "a gap does not fit an empty batch");
    *to = *g;
    to->cause = cause;
    count_gaps(c, before);
    return ERR_OK;
}

enum err_code core_give_up(struct core *c, const struct gap *g, struct err *e)
{
    dedup_give_up(c->dedup, g->series, g->stream, g->from_id, g->to_id);
    if (c->clock_ns == TIME_ABSENT) c->clock_ns = c->last_received_ns;
    return c->clock_ns != TIME_ABSENT ? look_for_gaps(c, false, e) : ERR_OK;
}

enum err_code core_gaps_at_end(struct core *c, struct err *e)
{
    if (c->clock_ns == TIME_ABSENT) c->clock_ns = c->last_received_ns;
    return !c->skip && c->clock_ns != TIME_ABSENT ? look_for_gaps(c, true, e) : ERR_OK;
}

enum err_code core_finish(struct core *c, bool at_end, struct err *e)
{
    if (at_end) TRY(core_gaps_at_end(c, e));
    return core_push(c, e);
}

/* ---- Dead letters ---- */

static struct str payload_of(struct core *c, const struct core_input *in, struct core_payload *p,
                             bool *ret_left)
{
    struct str none = {"", 0};
    *ret_left = p->count >= CORE_PAYLOADS_MAX && in->len > 0;
    if (*ret_left) return none;
    p->count++;
    if (p->batch_number == c->batch_number) return p->copy;
    struct str raw = {in->bytes, in->len < CORE_PAYLOAD_MAX ? in->len : CORE_PAYLOAD_MAX};
    if (!raw.n || !batch_text(c->batch, raw, &p->copy)) return none;
    p->batch_number = c->batch_number;
    return p->copy;
}

static struct str text_of(struct core *c, struct str s)
{
    struct str copy;
    return s.n && batch_text(c->batch, s, &copy) ? copy : (struct str){"", 0};
}

enum err_code core_dead_letter(struct core *c, const struct core_input *in,
                               const struct core_dead *d, struct core_payload *payload,
                               struct err *e)
{
    if (c->skip) return ERR_OK;
    struct core_payload own = {0};
    if (!payload) payload = &own;
    size_t text = 1024 + (payload->batch_number == c->batch_number && c->batch ? 0 : in->len);
    if (text > CORE_PAYLOAD_MAX + 1024) text = CORE_PAYLOAD_MAX + 1024;
    struct dead *to = NULL;
    for (int i = 0; i < 2 && !to; i++) {
        TRY(take_batch(c, e));
        if (c->batch->arena.limit - c->batch->arena.used > text) to = batch_add_dead(c->batch);
        if (!to) TRY(core_push(c, e)); /* only in the middle of a frame that exceeds a batch */
    }
    if (!to) return ERR(e, ERR_FULL, "a dead letter does not fit an empty batch");
    bool left_out;
    char detail[384];
    struct str raw = payload_of(c, in, payload, &left_out);
    snprintf(detail, sizeof detail, "%s%s%s", d->detail,
             in->len > raw.n && !left_out ? " (only the first 65536 bytes are kept)" : "",
             left_out ? " (the bytes are kept with the frame's first dead letters)" : "");
    const struct core_connection *n = in->connection;
    to->reason = (uint8_t)d->reason;
    to->stream = (int8_t)d->stream;
    to->venue = text_of(c, n ? str_of(n->venue->name) : d->venue);
    to->connection = text_of(c, n ? str_of(n->name) : d->connection);
    to->symbol = text_of(c, d->symbol.n <= 128 ? d->symbol : (struct str){d->symbol.p, 128});
    to->detail = text_of(c, str_of(detail));
    to->payload = raw;
    to->position = in->position;
    to->received_ns = core_received(c, in, TIME_ABSENT);
    core_touched(c, to->received_ns);
    CORE_COUNT(c, dead, 1);
    return ERR_OK;
}

enum err_code core_dead(struct core *c, const struct core_input *in, const struct core_dead *d,
                        struct err *e)
{
    if (c->skip) return ERR_OK;
    TRY(core_room(c, 1, (in->len < CORE_PAYLOAD_MAX ? in->len : CORE_PAYLOAD_MAX) + 1024, e));
    return core_dead_letter(c, in, d, NULL, e);
}

/* ---- Positions ---- */

uint32_t core_position_slot(struct core *c, struct str name)
{
    uint32_t slot = map_get(&c->place_index, name);
    if (slot != MAP_NONE) return slot;
    CHECK(c->place_count < CORE_PLACES_MAX);
    c->places = array_grown(c->places, c->place_count, &c->place_cap, sizeof *c->places);
    slot = (uint32_t)c->place_count++;
    c->places[slot] = (struct core_place){.name = strndup(name.p, name.n)};
    CHECK(c->places[slot].name != NULL);
    map_put(&c->place_index, name, slot);
    return slot;
}

enum err_code core_position(struct core *c, uint32_t slot, int64_t frames, bool done, struct err *e)
{
    CHECK(slot < c->place_count);
    struct core_place *p = &c->places[slot];
    p->frames = frames;
    p->done = done;
    p->known = true;
    if (p->dirty) return ERR_OK;
    p->dirty = true;
    c->dirty[c->dirty_count++] = slot;
    return c->dirty_count == CORE_DIRTY_MAX ? core_push(c, e) : ERR_OK;
}

bool core_position_known(const struct core *c, uint32_t slot, int64_t *ret_frames, bool *ret_done)
{
    CHECK(slot < c->place_count);
    *ret_frames = c->places[slot].frames;
    *ret_done = c->places[slot].done;
    return c->places[slot].known;
}
