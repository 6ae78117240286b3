/* Check 1: the rows of the store against what their batch rows claim. */
#include "audit/audit_internal.h"

#include <stdio.h>

enum { READ_EVENTS = 16384, READ_TEXT = 32 << 20, ROWS_NAMED = 8 };

struct rows {
    struct audit *a;
    struct batch *b;
    size_t at;                         /* next event of b */
    int64_t covered;                   /* last sequence that b covers */
    int64_t last_sequence, last_batch; /* of the claim before */
};

struct tally { /* of the rows found for one claim */
    int64_t events, proven, next;
    int64_t missing, first_missing;
    bool dense;
    u128 sum, content;
};

static int64_t sequence_of(const struct batch *b, size_t i)
{
    size_t at = b->order[i].index;
    switch ((enum event_type)b->order[i].type) {
    case EVENT_TRADE: return b->trades[at].sequence;
    case EVENT_QUOTE: return b->quotes[at].sequence;
    case EVENT_GAP: return b->gaps[at].sequence;
    case EVENT_DEAD: return b->deads[at].sequence;
    case EVENT_VENUE_CANDLE: return b->candles[at].c.sequence;
    }
    return 0;
}

static u128 proof_of(struct rows *r, size_t i, struct proof *ret)
{
    const struct batch *b = r->b;
    const struct series_table *names = r->a->store_names;
    size_t at = b->order[i].index;
    if (b->order[i].type == EVENT_TRADE) {
        const struct trade *t = &b->trades[at];
        *ret = (struct proof){.series = t->series,
                              .stream = t->stream,
                              .minute = proof_minute(t->venue_time_ns, t->received_ns)};
        return proof_hash_trade(series_get(names, t->series), t);
    }
    const struct quote *q = &b->quotes[at];
    *ret = (struct proof){.series = q->series,
                          .stream = STREAM_QUOTE,
                          .minute = proof_minute(q->venue_time_ns, q->received_ns)};
    return proof_hash_quote(series_get(names, q->series), q);
}

/* SQLite's sequences are dense, so one that does not come is a row that is gone. PostgreSQL's are not, where keys that were
 * there already were left out of a batch: there the count tells. */
static void miss_upto(struct tally *t, int64_t sequence)
{
    if (sequence <= t->next || !t->dense) return;
    if (!t->missing) t->first_missing = t->next;
    t->missing += sequence - t->next;
    t->next = sequence;
}

static void tally_event(struct rows *r, size_t i, struct tally *t)
{
    int64_t sequence = sequence_of(r->b, i);
    miss_upto(t, sequence);
    t->next = sequence + 1;
    t->events++;
    t->content += store_content(r->b, r->b->order[i]);
    if (r->b->order[i].type <= EVENT_QUOTE) {
        struct proof key;
        t->sum += proof_of(r, i, &key);
        t->proven++;
    }
    if (r->b->order[i].type == EVENT_GAP && sequence <= r->a->position)
        audit_note_gap(r->a, &r->b->gaps[r->b->order[i].index]);
}

static enum err_code read_after(struct rows *r, int64_t after, int64_t upto, struct err *e)
{
    bool end;
    batch_clear(r->b);
    r->at = 0;
    r->covered = 0;
    TRY(store_tail_read(r->a->tail, after, upto, r->b, &end, e));
    r->covered = r->b->last_sequence;
    if (r->covered > after) return ERR_OK;
    return ERR(e, ERR_CORRUPT, "%s: batches are listed after sequence %lld, but cannot be read",
               r->a->store_place, (long long)after);
}

static enum err_code tally_claim(struct rows *r, const struct store_batch_claim *c, struct tally *t,
                                 struct err *e)
{
    *t = (struct tally){.next = c->first_sequence, .dense = r->a->o->store.url == NULL};
    for (;;) {
        if (r->covered < t->next && r->at >= r->b->event_count) {
            /* Many batches at a time; where one of them is damaged, this one alone, in case it is another. */
            enum err_code code = read_after(r, t->next - 1, INT64_MAX, e);
            if (code == ERR_CORRUPT || code == ERR_FULL)
                code = read_after(r, t->next - 1, c->last_sequence, e);
            TRY(code);
        }
        for (; r->at < r->b->event_count; r->at++) {
            if (sequence_of(r->b, r->at) > c->last_sequence) break;
            tally_event(r, r->at, t);
        }
        if (r->covered >= c->last_sequence) break;
        miss_upto(t, r->covered + 1);
        if (!t->dense && t->next <= r->covered) t->next = r->covered + 1;
    }
    /* A batch without events takes one sequence, too. */
    if (c->events) miss_upto(t, c->last_sequence + 1);
    return ERR_OK;
}

static void place_of(const struct audit *a, const struct store_batch_claim *c, char text[1400])
{
    snprintf(text, 1400, "%s batch %lld sequences %lld to %lld", a->store_place,
             (long long)c->batch, (long long)c->first_sequence, (long long)c->last_sequence);
}

/* Of one key whose rows do not give what the batch claims, the rows that may be it. */
static enum err_code name_rows(struct rows *r, const struct store_batch_claim *c,
                               const struct proof *key, struct buf *out, struct err *e)
{
    int64_t named = 0;
    for (int64_t after = c->first_sequence - 1; after < c->last_sequence; after = r->covered) {
        TRY(read_after(r, after, c->last_sequence, e));
        for (size_t i = 0; i < r->b->event_count; i++) {
            struct proof p;
            if (r->b->order[i].type > EVENT_QUOTE) continue;
            proof_of(r, i, &p);
            if (p.series != key->series || p.stream != key->stream || p.minute != key->minute)
                continue;
            if (++named <= ROWS_NAMED)
                buf_addf(out, "%s %lld", named > 1 ? "," : "", (long long)sequence_of(r->b, i));
        }
    }
    if (named > ROWS_NAMED) buf_addf(out, " and %lld more", (long long)(named - ROWS_NAMED));
    return ERR_OK;
}

/* The minutes where rows and claim part; with a single row there, the row is named. */
static enum err_code explain(struct rows *r, const struct store_batch_claim *c, struct buf *out,
                             struct err *e)
{
    struct proof_set found, claimed;
    proof_set_init(&found);
    proof_set_init(&claimed);
    enum err_code code = store_claim_proofs(r->a->tail, c, &claimed, e);
    for (int64_t after = c->first_sequence - 1; after < c->last_sequence && code == ERR_OK;) {
        code = read_after(r, after, c->last_sequence, e);
        for (size_t i = 0; i < r->b->event_count && code == ERR_OK; i++) {
            struct proof p;
            if (r->b->order[i].type > EVENT_QUOTE) continue;
            u128 h = proof_of(r, i, &p);
            proof_set_add(&found, p.series, p.stream, p.minute, 1, h);
        }
        after = r->covered;
    }
    int keys = 0;
    for (size_t i = 0; i < claimed.count && code == ERR_OK && keys < 3; i++) {
        const struct proof *p = &claimed.items[i];
        if (audit_same(p, proof_set_find(&found, p->series, p->stream, p->minute))) continue;
        char text[512];
        struct proof canonical = *p;
        canonical.series = audit_canonical(r->a, &r->a->of_store, r->a->store_names, p->series);
        audit_key_text(r->a, &canonical, text);
        buf_addf(out, "; %s%s: row", keys++ ? "also " : "", text);
        code = name_rows(r, c, p, out, e);
    }
    proof_set_free(&found);
    proof_set_free(&claimed);
    return code;
}

static enum err_code tell(struct rows *r, const struct store_batch_claim *c, const struct tally *t,
                          struct err *e)
{
    char place[1400];
    place_of(r->a, c, place);
    if (t->missing) {
        audit_differs(r->a, CHECK_ROWS, place,
                      "%lld of %lld rows are gone, the first of them row %lld",
                      (long long)t->missing, (long long)c->events, (long long)t->first_missing);
        return ERR_OK;
    }
    if (t->events != c->events) {
        audit_differs(r->a, CHECK_ROWS, place, "it has %lld rows, and claims %lld",
                      (long long)t->events, (long long)c->events);
        return ERR_OK;
    }
    if (t->sum == c->sum && t->proven == c->trades + c->quotes) {
        audit_differs(r->a, CHECK_ROWS, place,
                      "a row was altered in a field outside the proof (receipt, origin, id range), "
                      "or a gap, dead letter or venue candle was");
        return ERR_OK;
    }
    struct buf out;
    buf_init(&out, 4096);
    enum err_code code = explain(r, c, &out, e);
    r->covered = 0; /* what was read for the explanation is not the next batch */
    batch_clear(r->b);
    r->at = 0;
    audit_differs(r->a, CHECK_ROWS, place, "its rows do not add up to what it claims: altered%s",
                  buf_cstr(&out));
    buf_free(&out);
    return code == ERR_CORRUPT ? ERR_OK : code;
}

/* Each writer has its own numbers without holes, and its own sequences, which rise with holes. */
static void check_writer(struct rows *r, const struct store_batch_claim *c, const char *place)
{
    if (c->missing_before > 0)
        audit_differs(r->a, CHECK_ROWS, place,
                      "before batch %lld of writer %s, %lld of its batches are missing",
                      (long long)c->number, c->writer, (long long)c->missing_before);
    if (c->first_sequence <= c->previous_last)
        audit_differs(r->a, CHECK_ROWS, place,
                      "batch %lld of writer %s begins before the one before it ends, at %lld",
                      (long long)c->number, c->writer, (long long)c->previous_last);
}

static void check_order(struct rows *r, const struct store_batch_claim *c)
{
    char place[1400];
    place_of(r->a, c, place);
    if (r->a->o->store.url) {
        check_writer(r, c, place);
        return;
    }
    if (r->last_batch &&
        (c->batch != r->last_batch + 1 || c->first_sequence != r->last_sequence + 1))
        audit_differs(r->a, CHECK_ROWS, place,
                      "batches are missing before it: the one before is %lld and ends at %lld",
                      (long long)r->last_batch, (long long)r->last_sequence);
    if (!r->last_batch) r->a->first_sequence = c->first_sequence;
    r->last_batch = c->batch;
    r->last_sequence = c->last_sequence;
}

static enum err_code check_claim(void *ctx, const struct store_batch_claim *c, struct err *e)
{
    struct rows *r = ctx;
    if (c->first_sequence > r->a->mark)
        return ERR_STOPPED; /* came while we look: the next verify's */
    check_order(r, c);
    struct tally t;
    enum err_code code = tally_claim(r, c, &t, e);
    if (code == ERR_HOLE) return ERR_OK; /* retention removed it while we look; its proof stays */
    if (code == ERR_CORRUPT) {
        char place[1400];
        place_of(r->a, c, place);
        audit_differs(r->a, CHECK_ROWS, place, "%s", e->text);
        batch_clear(r->b);
        r->at = 0;
        r->covered = 0;
        return ERR_OK;
    }
    TRY(code);
    r->a->result->checks[CHECK_ROWS].compared += t.events;
    if (c->last_sequence <= r->a->position && c->received_ns > r->a->newest_received_ns)
        r->a->newest_received_ns = c->received_ns;
    audit_progress(r->a, CHECK_ROWS, c->last_sequence, r->a->mark);
    if (t.missing || t.events != c->events || t.sum != c->sum || t.content != c->content ||
        t.proven != c->trades + c->quotes)
        return tell(r, c, &t, e);
    return ERR_OK;
}

enum err_code audit_store_rows(struct audit *a, struct err *e)
{
    struct batch_pool *pool = batch_pool_new(1, READ_EVENTS, READ_TEXT);
    struct rows r = {.a = a, .b = batch_get(pool, 0)};
    a->first_sequence = 1;
    enum err_code code = store_claims(a->tail, check_claim, &r, e);
    batch_put(r.b);
    batch_pool_free(pool);
    if (code == ERR_CORRUPT) { /* the batch table itself: what is behind it cannot be read */
        audit_differs(a, CHECK_ROWS, a->store_place, "%s", e->text);
        return ERR_OK;
    }
    return code == ERR_STOPPED ? ERR_OK : code;
}
