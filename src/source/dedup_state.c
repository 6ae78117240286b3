/* The persisted form of a tape's deduplication (docs/formats.md): version, sets, gaps to be told, recent contents.
 *
 * Numbers are varints (7 bits a byte, lowest first), differences zigzag. All that decides about later events is in it, the
 * beginning of each grace included: a run that goes on from here gives what an undisturbed one gives.
 */
#include "source/dedup_internal.h"

#include <stdlib.h>

/* Version 2 has a set without a floor, which version 1 cannot say. */
enum { STATE_VERSION = 2, STATE_VERSION_FLOORS = 1, SPANS_MAX = 1 << 20, CLOSED_MAX = 1 << 20 };
enum { HOLE_TOLD = 1, HOLE_CHANGED = 2, HOLE_DUE = 4 };

/* ---- Writing ---- */

static void put(struct buf *b, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 128; v >>= 7) bytes[n++] = (uint8_t)(v | 128);
    bytes[n++] = (uint8_t)v;
    buf_add(b, bytes, n);
}

/* Differences wrap, on both sides alike, so that any two times can stand. */
static void put_difference(struct buf *b, int64_t v, int64_t from)
{
    uint64_t d = (uint64_t)v - (uint64_t)from;
    put(b, d << 1 ^ (d >> 63 ? UINT64_MAX : 0));
}

static void put_hole(struct buf *b, const struct dedup_hole *h, int64_t time_ns)
{
    put(b, (h->gap_id ? HOLE_TOLD : 0) | (h->changed ? HOLE_CHANGED : 0) | (h->due ? HOLE_DUE : 0));
    put_difference(b, h->seen_ns, time_ns);
    if (!h->gap_id && !h->due) return;
    put(b, (uint64_t)h->gap_id);
    put(b, (uint64_t)h->first_id);
    put(b, (uint64_t)(h->last_id - h->first_id));
    put_difference(b, h->opened_ns, h->seen_ns);
    put(b, (uint64_t)h->recovered);
    put(b, (uint64_t)h->candles_revised);
}

static void put_set(struct buf *b, const struct dedup_set *set)
{
    put(b, set->count);
    if (!set->count) return;
    put(b, (uint64_t)set->floor);
    put_difference(b, set->start_ns, 0);
    put_difference(b, set->newest_ns, set->start_ns);
    int64_t id = 0, time_ns = set->newest_ns;
    for (uint32_t i = 0; i < set->count; i++) {
        const struct dedup_span *s = &set->spans[i];
        put(b, (uint64_t)(s->lo - id));
        put(b, (uint64_t)(s->hi - s->lo));
        put_difference(b, s->lo_ns, time_ns);
        put_difference(b, s->hi_ns, s->lo_ns);
        if (i > 0) put_hole(b, &s->hole, s->lo_ns);
        id = s->hi;
        time_ns = s->hi_ns;
    }
}

static void put_closed(struct buf *b, const struct gap *g)
{
    put(b, g->state);
    put(b, (uint64_t)g->gap_id);
    put(b, (uint64_t)g->from_id);
    put(b, (uint64_t)(g->to_id - g->from_id));
    put(b, (uint64_t)g->missing_count);
    put_difference(b, g->from_time_ns, 0);
    put_difference(b, g->to_time_ns, g->from_time_ns);
    put_difference(b, g->opened_ns, g->to_time_ns);
    put(b, (uint64_t)g->rows_recovered);
    put(b, (uint64_t)g->candles_revised);
}

static void put_contents(struct buf *b, const struct dedup_tape *tape)
{
    uint32_t used = 0, before = 0;
    for (uint32_t i = 0; i < DEDUP_CONTENTS; i++)
        if (tape->contents[i].tag) used |= UINT32_C(1) << i;
    put(b, used);
    for (uint32_t i = 0; i < DEDUP_CONTENTS; i++) {
        const struct dedup_content *c = &tape->contents[i];
        if (!c->tag) continue;
        put_difference(b, c->tag, before);
        before = c->tag;
        buf_add(b, &c->hash, sizeof c->hash);
    }
}

static bool has_floor(const struct dedup_set *set)
{
    return set->count == 0 || set->floor != DEDUP_NO_FLOOR;
}

static void encode(const struct dedup_tape *tape, struct buf *out)
{
    bool floors = has_floor(&tape->now) && has_floor(&tape->before);
    buf_add_byte(out, floors ? STATE_VERSION_FLOORS : STATE_VERSION);
    put_set(out, &tape->now);
    put_set(out, &tape->before);
    put(out, tape->closed_count);
    for (uint32_t i = 0; i < tape->closed_count; i++) put_closed(out, &tape->closed[i].gap);
    put_contents(out, tape);
}

enum err_code dedup_flush(struct dedup *d, struct batch *b)
{
    for (size_t i = 0; i < d->dirty_count; i++) {
        struct dedup_tape *tape = d->dirty[i];
        buf_reset(&d->buf);
        encode(tape, &d->buf);
        if (d->buf.failed || !batch_set_dedup(b, tape->series, tape->stream, buf_str(&d->buf)))
            return ERR_FULL;
    }
    for (size_t i = 0; i < d->dirty_count; i++) d->dirty[i]->dirty = false;
    d->dirty_count = 0;
    return ERR_OK;
}

/* ---- Reading: hostile bytes end in `bad`, nothing is allocated by their word ---- */

struct reader {
    const uint8_t *p, *end;
    bool bad;
};

static uint64_t get(struct reader *r)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (r->p == r->end) break;
        uint8_t byte = *r->p++;
        if (shift == 63 && byte > 1) break;
        v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return v;
    }
    r->bad = true;
    return 0;
}

/* A number from 0 to INT64_MAX. */
static int64_t get_number(struct reader *r)
{
    uint64_t v = get(r);
    if (v > INT64_MAX) r->bad = true;
    return r->bad ? 0 : (int64_t)v;
}

static int64_t get_sum(struct reader *r, int64_t to)
{
    int64_t sum;
    if (!__builtin_add_overflow(to, get_number(r), &sum)) return sum;
    r->bad = true;
    return to;
}

static int64_t get_difference(struct reader *r, int64_t from)
{
    uint64_t v = get(r);
    return (int64_t)((v >> 1 ^ (v & 1 ? UINT64_MAX : 0)) + (uint64_t)from);
}

static void get_hole(struct reader *r, struct dedup_hole *h, const struct dedup_span *above,
                     int64_t below_id)
{
    uint64_t flags = get(r);
    if (flags > (HOLE_TOLD | HOLE_CHANGED | HOLE_DUE)) r->bad = true;
    h->changed = flags & HOLE_CHANGED;
    h->due = flags & HOLE_DUE;
    h->seen_ns = get_difference(r, above->lo_ns);
    if (!(flags & (HOLE_TOLD | HOLE_DUE))) return;
    h->gap_id = get_number(r);
    h->first_id = get_number(r);
    h->last_id = get_sum(r, h->first_id);
    h->opened_ns = get_difference(r, h->seen_ns);
    h->recovered = get_number(r);
    h->candles_revised = get_number(r);
    if ((h->gap_id != 0) != !!(flags & HOLE_TOLD) || h->first_id > below_id + 1 ||
        h->last_id < above->lo - 1)
        r->bad = true;
}

static void get_set(struct dedup *d, struct reader *r, struct dedup_set *set)
{
    uint64_t count = get(r);
    if (count > SPANS_MAX) r->bad = true;
    if (r->bad || count == 0) return;
    set->floor = get_number(r);
    set->start_ns = get_difference(r, 0);
    set->newest_ns = get_difference(r, set->start_ns);
    int64_t id = 0, time_ns = set->newest_ns;
    for (uint64_t i = 0; i < count && !r->bad; i++) {
        struct dedup_span s = {0};
        s.lo = get_sum(r, id);
        s.hi = get_sum(r, s.lo);
        s.lo_ns = get_difference(r, time_ns);
        s.hi_ns = get_difference(r, s.lo_ns);
        if (s.hi >= INT64_MAX - 1 || (i > 0 && s.lo < id + 2)) r->bad = true;
        if (i > 0) get_hole(r, &s.hole, &s, id);
        if (r->bad) return;
        *dedup_set_add(d, set, (uint32_t)i) = s;
        id = s.hi;
        time_ns = s.hi_ns;
    }
    bool known = set->floor == DEDUP_NO_FLOOR || dedup_set_has(set, set->floor);
    if (!r->bad && !known) r->bad = true;
}

static void get_closed(struct reader *r, struct dedup_tape *tape)
{
    uint64_t count = get(r);
    if (count > CLOSED_MAX) r->bad = true;
    for (uint64_t i = 0; i < count && !r->bad; i++) {
        struct gap *g = dedup_closed_add(tape);
        g->has_ids = g->has_count = true;
        uint64_t state = get(r);
        g->state = (uint8_t)state;
        g->gap_id = get_number(r);
        g->from_id = get_number(r);
        g->to_id = get_sum(r, g->from_id);
        g->missing_count = get_number(r);
        g->from_time_ns = get_difference(r, 0);
        g->to_time_ns = get_difference(r, g->from_time_ns);
        g->opened_ns = get_difference(r, g->to_time_ns);
        g->rows_recovered = get_number(r);
        g->candles_revised = get_number(r);
        if (state != GAP_STATE_REPAIRED && state != GAP_STATE_UNREPAIRABLE) r->bad = true;
    }
}

static void get_contents(struct reader *r, struct dedup_tape *tape)
{
    uint64_t used = get(r);
    int64_t before = 0;
    if (used > UINT32_MAX) r->bad = true;
    for (uint32_t i = 0; i < DEDUP_CONTENTS && !r->bad; i++) {
        struct dedup_content *c = &tape->contents[i];
        if (!(used >> i & 1)) continue;
        int64_t tag = get_difference(r, before);
        if (tag <= 0 || tag > UINT32_MAX || r->end - r->p < (ptrdiff_t)sizeof c->hash) {
            r->bad = true;
            return;
        }
        c->tag = (uint32_t)tag;
        before = tag;
        memcpy(&c->hash, r->p, sizeof c->hash);
        r->p += sizeof c->hash;
    }
}

static void raise_gap_id(struct dedup *d, int64_t gap_id)
{
    if (gap_id >= d->next_gap_id && gap_id < INT64_MAX) d->next_gap_id = gap_id + 1;
}

static void restore_rest(struct dedup *d, struct dedup_tape *tape)
{
    const struct dedup_set *const sets[] = {&tape->now, &tape->before};
    for (int k = 0; k < 2; k++)
        for (uint32_t i = 1; i < sets[k]->count; i++)
            raise_gap_id(d, sets[k]->spans[i].hole.gap_id);
    for (uint32_t i = 0; i < tape->closed_count; i++) raise_gap_id(d, tape->closed[i].gap.gap_id);
    if (tape->now.count < 2 && tape->before.count < 2 && tape->closed_count == 0) return;
    tape->changed = true; /* looked at once, which finds out what it waits for */
    dedup_activate(d, tape);
}

/* Into an empty tape; ERR_PARSE for bytes that encode() does not write. */
static enum err_code decode_tape(struct dedup *d, struct dedup_tape *tape, struct str bytes)
{
    struct reader r = {(const uint8_t *)bytes.p, (const uint8_t *)bytes.p + bytes.n, false};
    if (bytes.n == 0 || bytes.p[0] < STATE_VERSION_FLOORS || bytes.p[0] > STATE_VERSION)
        return ERR_PARSE;
    bool floors = *r.p++ == STATE_VERSION_FLOORS;
    get_set(d, &r, &tape->now);
    if (!r.bad) get_set(d, &r, &tape->before);
    if (floors && !(has_floor(&tape->now) && has_floor(&tape->before))) r.bad = true;
    if (!r.bad) get_closed(&r, tape);
    if (!r.bad) get_contents(&r, tape);
    return r.bad || r.p != r.end ? ERR_PARSE : ERR_OK;
}

static enum err_code decode(struct dedup *d, struct dedup_tape *tape, struct str bytes)
{
    TRY(decode_tape(d, tape, bytes));
    d->closed_count += tape->closed_count;
    restore_rest(d, tape);
    return ERR_OK;
}

static void empty_tape(struct dedup *d, struct dedup_tape *tape)
{
    d->span_count -= tape->now.count + tape->before.count;
    free(tape->now.spans);
    free(tape->before.spans);
    free(tape->closed);
    *tape = (struct dedup_tape){.series = tape->series, .stream = tape->stream};
    tape->now.start_ns = tape->now.newest_ns = TIME_ABSENT;
    tape->before.start_ns = tape->before.newest_ns = TIME_ABSENT;
}

enum err_code dedup_restore(struct dedup *d, uint32_t series, uint8_t stream, struct str bytes,
                            struct err *e)
{
    if (series >= series_count(d->options.series) || stream >= DEDUP_STREAMS)
        return ERR(e, ERR_CORRUPT, "state of the deduplication for series %u stream %u: no such",
                   series, stream);
    struct dedup_tape *tape = dedup_tape_of(d, series, stream);
    const struct series *s = series_get(d->options.series, series);
    if (tape->now.count || tape->before.count || tape->dirty || tape->active)
        return ERR(e, ERR_CORRUPT, "state of the deduplication for %.*s %.*s stands twice",
                   STR_ARG(s->venue), STR_ARG(s->symbol));
    if (bytes.n && (uint8_t)bytes.p[0] > STATE_VERSION)
        return ERR(e, ERR_VERSION, "state of the deduplication for %.*s %.*s is of version %d",
                   STR_ARG(s->venue), STR_ARG(s->symbol), (uint8_t)bytes.p[0]);
    if (decode(d, tape, bytes) == ERR_OK) return ERR_OK;
    empty_tape(d, tape);
    return ERR(e, ERR_CORRUPT,
               "state of the deduplication for %.*s %.*s %s (%zu bytes) cannot be read",
               STR_ARG(s->venue), STR_ARG(s->symbol), stream_text((enum stream)stream), bytes.n);
}

enum err_code dedup_absorb(struct dedup *d, uint32_t series, uint8_t stream, struct str bytes,
                           struct err *e)
{
    if (series >= series_count(d->options.series) || stream >= DEDUP_STREAMS)
        return ERR(e, ERR_CORRUPT, "state of the deduplication for series %u stream %u: no such",
                   series, stream);
    struct dedup_tape other = {.series = series, .stream = stream};
    enum err_code code = decode_tape(d, &other, bytes);
    struct dedup_set *set = &dedup_tape_of(d, series, stream)->now;
    for (uint32_t i = 0; code == ERR_OK && i < other.now.count; i++)
        dedup_set_brought(d, set, other.now.spans[i].lo, other.now.spans[i].hi);
    empty_tape(d, &other);
    if (code == ERR_OK) return ERR_OK;
    const struct series *s = series_get(d->options.series, series);
    return ERR(e, ERR_CORRUPT, "state of the deduplication for %.*s %.*s cannot be read",
               STR_ARG(s->venue), STR_ARG(s->symbol));
}

void dedup_brought(struct dedup *d, const struct id_range *r)
{
    if (r->series >= series_count(d->options.series) || r->stream >= DEDUP_STREAMS) return;
    struct dedup_tape *tape = dedup_tape_of(d, r->series, r->stream);
    dedup_set_brought(d, &tape->now, r->first, r->last);
    tape->changed = true; /* looked at once, which finds out what it waits for */
    dedup_activate(d, tape);
}
