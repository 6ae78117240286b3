/* The two hops of the distributed deployment: PostgreSQL = bus, and bus = lake. */
#include "audit/audit_internal.h"

#include "io/clock.h"
#include "store/changes.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOOK_EVERY_MS = 200 };

struct hops {
    struct audit *a;
    struct series_table *names; /* of the bus */
    struct audit_names of_bus;
    struct bus_options bus;
    struct proof_set store0, store1; /* before and after the records were read */
    struct proof_set all, below;     /* records on the bus, and those below the lake's positions */
    struct bus_offsets positions[BUS_PARTITIONS_MAX], ends[BUS_PARTITIONS_MAX];
    struct bus_offsets oldest[BUS_PARTITIONS_MAX],
        marks[BUS_PARTITIONS_MAX]; /* as the brokers say */
    bool counting;                 /* the first pass only looks where the topics end */
    int64_t deadline_ns, records;
};

static bool wait_a_little(const struct hops *h)
{
    if (clock_mono_ns() >= h->deadline_ns) return false;
    clock_sleep_ns(LOOK_EVERY_MS * NS_PER_MS);
    return true;
}

static void note_behind(struct audit *a, const char *what)
{
    if (!a->result->behind[0]) snprintf(a->result->behind, sizeof a->result->behind, "%s", what);
}

/* --- the publisher has passed what the store held --- */

static enum err_code wait_for_bus(struct hops *h, uint64_t lsn, struct err *e)
{
    struct bus_position p = {0};
    for (;;) {
        enum err_code code = bus_position_read(&h->bus, h->a->o->publisher, &p, e);
        if (code != ERR_OK && code != ERR_NOT_FOUND) return code;
        if (code == ERR_OK && p.lsn >= lsn) return ERR_OK;
        audit_progress(h->a, CHECK_STORE_BUS, 0, 1);
        if (wait_a_little(h)) continue;
        char text[200];
        snprintf(text, sizeof text,
                 "the publisher is at %X/%X of PostgreSQL's log, the store held %X/%X; is "
                 "`ticklake run --stages bus` running?",
                 (unsigned)(p.lsn >> 32), (unsigned)p.lsn, (unsigned)(lsn >> 32), (unsigned)lsn);
        note_behind(h->a, text);
        return ERR_OK;
    }
}

/* --- reading the records --- */

static void add(struct hops *h, struct proof_set *to, const struct proof *p)
{
    uint32_t series = audit_canonical(h->a, &h->of_bus, h->names, p->series);
    proof_set_add(to, series, p->stream, p->minute, 1, p->sum);
}

static void take(struct hops *h, enum bus_topic topic, int32_t partition, int64_t sequence,
                 const struct proof *p)
{
    h->records++;
    add(h, &h->all, p);
    if (sequence <= h->positions[partition].next[topic]) add(h, &h->below, p);
}

static void note_end(struct hops *h, int32_t partition, const struct batch *b)
{
    static const enum bus_topic topics[] = {BUS_TRADES, BUS_QUOTES, BUS_GAPS, BUS_VENUE_CANDLES};
    int64_t *end = h->ends[partition].next;
    for (size_t i = 0; i < b->event_count; i++) {
        size_t at = b->order[i].index;
        enum event_type type = (enum event_type)b->order[i].type;
        int64_t sequence = type == EVENT_TRADE   ? b->trades[at].sequence
                           : type == EVENT_QUOTE ? b->quotes[at].sequence
                           : type == EVENT_GAP   ? b->gaps[at].sequence
                           : type == EVENT_DEAD  ? b->deads[at].sequence
                                                 : b->candles[at].c.sequence;
        enum bus_topic topic = type == EVENT_TRADE   ? topics[0]
                               : type == EVENT_QUOTE ? topics[1]
                               : type == EVENT_GAP   ? topics[2]
                               : type == EVENT_DEAD  ? bus_topic_of_dead(&h->bus, &b->deads[at])
                                                     : topics[3];
        if (sequence > end[topic]) end[topic] = sequence;
    }
}

static enum err_code each(void *ctx, int32_t partition, const struct batch *b, struct err *e)
{
    struct hops *h = ctx;
    (void)e;
    if (h->counting) {
        note_end(h, partition, b);
        return ERR_OK;
    }
    for (size_t i = 0; i < b->trade_count; i++) {
        const struct trade *t = &b->trades[i];
        struct proof p = {.series = t->series,
                          .stream = t->stream,
                          .minute = proof_minute(t->venue_time_ns, t->received_ns),
                          .sum = proof_hash_trade(series_get(h->names, t->series), t)};
        take(h, BUS_TRADES, partition, t->sequence, &p);
    }
    for (size_t i = 0; i < b->quote_count; i++) {
        const struct quote *q = &b->quotes[i];
        struct proof p = {.series = q->series,
                          .stream = STREAM_QUOTE,
                          .minute = proof_minute(q->venue_time_ns, q->received_ns),
                          .sum = proof_hash_quote(series_get(h->names, q->series), q)};
        take(h, BUS_QUOTES, partition, q->sequence, &p);
    }
    return ERR_OK;
}

/* --- the lake has passed what was on the bus --- */

static enum err_code note_position(void *ctx, struct str name, int64_t position, struct err *e)
{
    struct hops *h = ctx;
    (void)e;
    for (int t = 0; t < BUS_TOPICS; t++) {
        char topic[BUS_NAME_MAX];
        bus_topic_name(&h->bus, (enum bus_topic)t, topic);
        size_t n = strlen(topic);
        int64_t partition;
        if (name.n < n + 2 || memcmp(name.p, topic, n) != 0 || name.p[n] != '/') continue;
        struct str number = {name.p + n + 1, name.n - n - 1};
        if (str_to_i64(number, &partition) == ERR_OK && partition >= 0 &&
            partition < BUS_PARTITIONS_MAX)
            h->positions[partition].next[t] = position;
    }
    return ERR_OK;
}

static int64_t lake_is_behind(const struct hops *h)
{
    int64_t behind = 0;
    for (int p = 0; p < BUS_PARTITIONS_MAX; p++)
        for (int t = 0; t < BUS_TOPICS; t++)
            if (h->ends[p].next[t] > h->positions[p].next[t])
                behind += h->ends[p].next[t] - h->positions[p].next[t];
    return behind;
}

/* Claim and positions of one moment, once the lake has what was on the bus. */
static enum err_code wait_for_lake(struct hops *h, struct err *e)
{
    struct audit *a = h->a;
    for (;;) {
        struct proof_set raw;
        memset(h->positions, 0, sizeof h->positions);
        proof_set_init(&raw);
        enum err_code code = lake_claims(a->lake, &raw, note_position, h, e);
        int64_t behind = code == ERR_OK ? lake_is_behind(h) : 0;
        bool again = code == ERR_OK && behind > 0 && wait_a_little(h);
        if (code == ERR_OK && !again) {
            audit_add_canonical(a, &raw, &a->of_lake, a->lake_names, &a->claim);
            audit_add_canonical(a, &raw, &a->of_lake, a->lake_names, &a->before);
        }
        proof_set_free(&raw);
        if (again) continue;
        TRY(code);
        if (behind > 0) {
            char text[200];
            snprintf(text, sizeof text,
                     "the lake is %lld records behind the bus; is `ticklake run --stages "
                     "process,lake` running?",
                     (long long)behind);
            note_behind(a, text);
        }
        return ERR_OK;
    }
}

/* --- comparing --- */

/* While rows come in, the bus must lie between what the store held before and after. */
static void compare_store_bus(struct hops *h)
{
    struct audit *a = h->a;
    bool caught_up = a->result->behind[0] == 0;
    for (size_t i = 0; i < h->store1.count; i++) {
        const struct proof *now = &h->store1.items[i];
        const struct proof *old = proof_set_find(&h->store0, now->series, now->stream, now->minute);
        const struct proof *bus = proof_set_find(&h->all, now->series, now->stream, now->minute);
        int64_t least = caught_up && old ? old->count : 0, count = bus ? bus->count : 0;
        a->result->checks[CHECK_STORE_BUS].compared++;
        bool good = audit_same(old, now) && caught_up ? audit_same(now, bus)
                                                      : count >= least && count <= now->count;
        if (!good) audit_tell_minute(a, CHECK_STORE_BUS, now, now, "the store", bus, "the bus");
    }
    for (size_t i = 0; i < h->all.count; i++) {
        const struct proof *p = &h->all.items[i];
        if (!proof_set_find(&h->store1, p->series, p->stream, p->minute))
            audit_tell_minute(a, CHECK_STORE_BUS, p, NULL, "the store", p, "the bus");
    }
}

static bool is_whole(const struct hops *h)
{
    for (int p = 0; p < BUS_PARTITIONS_MAX; p++)
        if (h->oldest[p].next[BUS_TRADES] > 0 || h->oldest[p].next[BUS_QUOTES] > 0) return false;
    return true;
}

static void compare_hops(struct hops *h)
{
    struct audit *a = h->a;
    if (is_whole(h)) {
        compare_store_bus(h);
        /* Positions and claim are of one moment, so nothing here may move. */
        int64_t after = a->position_after;
        a->position_after = a->position;
        audit_compare_sets(a, CHECK_BUS_LAKE, &h->below, "the bus", &a->claim, "the lake's claim");
        a->position_after = after;
        return;
    }
    a->result->checks[CHECK_STORE_BUS].applies = a->result->checks[CHECK_BUS_LAKE].applies = false;
    a->result->checks[CHECK_LAKE].applies = true;
    if (a->result->behind[0] == 0)
        audit_compare_sets(a, CHECK_LAKE, &h->store0, "the store", &a->claim, "the lake's claim");
}

static enum err_code store_now(struct audit *a, struct proof_set *to, struct err *e)
{
    return audit_store_side(a, INT64_MAX, to, e);
}

static enum err_code read_hops(struct hops *h, struct err *e)
{
    struct audit *a = h->a;
    struct changes_slot slot;
    TRY(store_now(a, &h->store0, e));
    TRY(changes_slot(a->o->store.url, a->o->slot, &slot, e)); /* past all that was just read */
    h->deadline_ns = clock_mono_ns() + a->o->wait_ns;
    TRY(wait_for_bus(h, slot.server_lsn, e));
    h->counting = true;
    TRY(bus_scan(&h->bus, each, h->oldest, h->marks, h, e));
    TRY(audit_open_lake(a, &a->lake, e));
    TRY(wait_for_lake(h, e));
    h->counting = false;
    TRY(bus_scan(&h->bus, each, h->oldest, h->marks, h, e));
    a->result->bus_records = h->records;
    return store_now(a, &h->store1, e);
}

/* Everything that the embedded verify does with the lake alone. */
static enum err_code check_lake(struct audit *a, struct hops *h, struct err *e)
{
    /* With events coming in, ledger and ids are of different moments, and both are left to a quieter one. */
    int64_t mark = store_tail_mark(a->tail);
    bool moving = mark != a->mark || a->result->behind[0] != 0;
    TRY(lake_each_state(a->lake, "", audit_note_pending, a, e));
    TRY(audit_lake_files(a, e));
    a->skip_ledger = moving;
    TRY(audit_tapes(a, e));
    TRY(audit_read_gaps(a, e));
    struct proof_set raw;
    struct bus_offsets positions[BUS_PARTITIONS_MAX];
    memcpy(positions, h->positions, sizeof positions);
    proof_set_init(&raw);
    enum err_code code = lake_claims(a->lake, &raw, note_position, h, e);
    if (code == ERR_OK) audit_add_canonical(a, &raw, &a->of_lake, a->lake_names, &a->after);
    if (code == ERR_OK) code = lake_each_state(a->lake, "", audit_note_pending, a, e);
    proof_set_free(&raw);
    TRY(code);
    if (moving || memcmp(positions, h->positions, sizeof positions) != 0) a->position_after--;
    audit_compare_gaps(a);
    audit_compare_minutes(a);
    audit_tell_suspects(a);
    return ERR_OK;
}

enum err_code audit_distributed(struct audit *a, struct err *e)
{
    struct hops *h = calloc(1, sizeof *h);
    CHECK(h != NULL);
    h->a = a;
    h->names = series_new();
    h->bus = *a->o->bus;
    h->bus.series = h->names;
    struct proof_set *sets[] = {&h->store0, &h->store1, &h->all, &h->below};
    for (int i = 0; i < 4; i++) proof_set_init(sets[i]);
    a->position = a->position_after = INT64_MAX;
    a->mark = a->result->store_sequence = store_tail_mark(a->tail);
    enum err_code code = read_hops(h, e);
    if (code == ERR_OK) code = audit_load_gaps(a, e);
    if (code == ERR_OK) code = audit_store_rows(a, e);
    if (code == ERR_OK) audit_ledger_totals(a);
    if (code == ERR_OK) code = check_lake(a, h, e);
    if (code == ERR_OK) compare_hops(h);
    for (int i = 0; i < 4; i++) proof_set_free(sets[i]);
    series_free(h->names);
    free(h->of_bus.of);
    free(h);
    return code;
}
