#include "bus/codec.h"
#include "bus/publisher_internal.h"
#include "io/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { OPEN_MS = 30000, VALUE_MAX = 64 << 20, POLL_EVERY = 256 };

/* --- sending --- */

/* The client's queue is full: that is how brokers that are slow, or gone, stop the stream of changes. */
static enum err_code wait_for_room(struct bus_publisher *p, struct err *e)
{
    int64_t began_ns = clock_mono_ns();
    if (rd_kafka_poll(p->client.rk, STEP_MS) > 0) return ERR_OK;
    if (clock_mono_ns() - began_ns < STEP_MS * NS_PER_MS / 2) return ERR_OK;
    return bus_client_wait(&p->client, "waiting for room to publish", e);
}

static rd_kafka_vu_t number_header(const char *name, int64_t number,
                                   uint8_t bytes[BUS_NUMBER_BYTES])
{
    for (int i = 0; i < BUS_NUMBER_BYTES; i++)
        bytes[i] = (uint8_t)((uint64_t)number >> 8 * (BUS_NUMBER_BYTES - 1 - i));
    return (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_HEADER,
                           .u.header = {name, bytes, BUS_NUMBER_BYTES}};
}

enum err_code publisher_send(struct bus_publisher *p, const struct outgoing *r, struct err *e)
{
    uint8_t after[BUS_NUMBER_BYTES], finishes[BUS_NUMBER_BYTES];
    rd_kafka_vu_t u[9] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = p->topics[r->topic]},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = r->partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)r->key.p, r->key.n}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)r->value.p, r->value.n}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = r->timestamp_ms},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = r->lane},
    };
    size_t n = 7;
    if (r->after >= 0) u[n++] = number_header(BUS_AFTER, r->after, after);
    if (r->finishes >= 0) u[n++] = number_header(BUS_FINISHES, r->finishes, finishes);
    for (;;) {
        rd_kafka_error_t *error = rd_kafka_produceva(p->client.rk, u, n);
        if (!error) break;
        rd_kafka_resp_err_t code = rd_kafka_error_code(error);
        rd_kafka_error_destroy(error);
        if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
            return ERR(e, ERR_CONFIG,
                       "a record for topic %s (key %.*s) has %zu bytes: raise "
                       "producer.message.max.bytes and the topic's max.message.bytes",
                       p->topic_names[r->topic], STR_ARG(r->key), r->value.n);
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            return publisher_give_up(p, false, rd_kafka_err2str(code), e);
        TRY(wait_for_room(p, e));
    }
    if (r->lane) r->lane->sent++;
    if (r->topic < BUS_TOPICS) {
        p->records++;
        p->bytes += (int64_t)(r->key.n + r->value.n);
    }
    return ERR_OK;
}

/* --- order between trades and gaps --- */

static enum err_code set_after(struct bus_publisher *p, struct outgoing *r, struct err *e)
{
    struct lane *other;
    r->after = r->finishes = -1;
    r->lane = NULL;
    if (r->topic == BUS_TRADES) {
        r->lane = &p->trades[r->partition];
        other = &p->gaps[r->partition];
    } else if (r->topic == BUS_GAPS) {
        r->lane = &p->gaps[r->partition];
        other = &p->trades[r->partition];
    } else
        return ERR_OK;
    if (other->sent > other->reported && (other->base < 0 || p->mixed)) {
        bool good = false;
        TRY(publisher_drain(p, &good, e));
        if (!good) return publisher_give_up(p, false, "records were not delivered", e);
    }
    int64_t newest = other->newest;
    if (other->sent > other->reported) {
        newest = other->base + other->sent - 1;
        other->relied = other->sent;
    }
    if (newest != r->lane->told) r->after = r->lane->told = newest;
    if (p->finishes > 0 && p->finishes != r->lane->finishes)
        r->finishes = r->lane->finishes = p->finishes;
    return ERR_OK;
}

bool bus_publisher_shares(const struct bus_publisher *p) { return p->mixed; }

void bus_publisher_finishes(struct bus_publisher *p, int64_t finishes) { p->finishes = finishes; }

/* --- events --- */

/* Which topic an event goes to, whose it is, and when it was received. */
struct addressed {
    enum bus_topic topic;
    struct str venue, symbol;
    int64_t time_ns;
};

static struct addressed of_series(const struct bus_publisher *p, enum bus_topic topic,
                                  uint32_t series, int64_t time_ns)
{
    const struct series *s = series_get(p->options.series, series);
    return (struct addressed){topic, s->venue, s->symbol, time_ns};
}

static struct addressed address(const struct bus_publisher *p, const struct batch *b,
                                struct event_ref ref)
{
    uint32_t i = ref.index;
    switch ((enum event_type)ref.type) {
    case EVENT_TRADE:
        return of_series(p, BUS_TRADES, b->trades[i].series, b->trades[i].received_ns);
    case EVENT_QUOTE:
        return of_series(p, BUS_QUOTES, b->quotes[i].series, b->quotes[i].received_ns);
    case EVENT_GAP: {
        const struct gap *g = &b->gaps[i];
        return of_series(p, BUS_GAPS, g->series,
                         g->closed_ns != TIME_ABSENT ? g->closed_ns : g->opened_ns);
    }
    case EVENT_VENUE_CANDLE:
        return of_series(p, BUS_VENUE_CANDLES, b->candles[i].c.series, b->candles[i].fetched_ns);
    case EVENT_DEAD: break;
    }
    const struct dead *d = &b->deads[i];
    return (struct addressed){BUS_DEAD_LETTERS, d->venue, d->symbol, d->received_ns};
}

static enum err_code publish_event(struct bus_publisher *p, const struct batch *b, uint32_t index,
                                   const struct addressed *a, struct err *e)
{
    struct bus_key key = bus_key(a->venue, a->symbol);
    buf_reset(&p->value);
    buf_add(&p->value, p->frames[a->topic], p->frame_bytes[a->topic]);
    enum err_code code = bus_encode(a->topic, b, index, p->options.series, &p->value);
    if (code != ERR_OK)
        return ERR(e, code, "an event of %.*s cannot be encoded for topic %s: %s", (int)key.n,
                   key.bytes, p->topic_names[a->topic], err_words(code));
    struct outgoing r = {
        .topic = a->topic,
        .key = {key.bytes, key.n},
        .value = buf_str(&p->value),
        .timestamp_ms = a->time_ns > 0 ? a->time_ns / NS_PER_MS : 0,
    };
    r.partition = bus_partition_of_key(r.key, p->options.partitions);
    TRY(set_after(p, &r, e));
    return publisher_send(p, &r, e);
}

enum err_code bus_publish(struct bus_publisher *p, const struct batch *b, struct err *e)
{
    if (b->event_count == 0 && b->instrument_count == 0) return ERR_OK;
    TRY(publisher_begin(p, e));
    for (size_t i = 0; i < b->instrument_count; i++) {
        const struct instrument *x = &b->instruments[i];
        const struct addressed a = {BUS_INSTRUMENTS, x->venue, x->symbol, 0};
        TRY(publish_event(p, b, (uint32_t)i, &a, e));
    }
    for (size_t i = 0; i < b->event_count; i++) {
        const struct addressed a = address(p, b, b->order[i]);
        TRY(publish_event(p, b, b->order[i].index, &a, e));
        if (i % POLL_EVERY == 0) rd_kafka_poll(p->client.rk, 0);
    }
    rd_kafka_poll(p->client.rk, 0);
    return ERR_OK;
}

/* --- opening --- */

static enum err_code name_all(struct bus_publisher *p, struct err *e)
{
    for (int t = 0; t < BUS_TOPICS; t++) {
        struct registry_id id;
        bus_topic_name(&p->options, (enum bus_topic)t, p->topic_names[t]);
        TRY(bus_schema_register(&p->options, (enum bus_topic)t, &id, e));
        p->frame_bytes[t] = registry_frame(&id, p->frames[t]);
    }
    bus_positions_name(&p->options, p->topic_names[BUS_TOPICS]);
    return ERR_OK;
}

/* What we were told was written must be there: a topic made anew, or cut by an unclean election, has lost acknowledged
 * records, and headers that point beyond its end would hold readers for ever. */
static enum err_code check_ends(struct bus_publisher *p, const struct bus_position_record *r,
                                struct err *e)
{
    int64_t ends[BUS_PARTITIONS_MAX];
    const enum bus_topic both[] = {BUS_TRADES, BUS_GAPS};
    for (int k = 0; k < 2 && r->number > 0; k++) {
        const char *topic = p->topic_names[both[k]];
        const int64_t *told = k == 0 ? r->trades_end : r->gaps_end;
        TRY(bus_ends(&p->client, topic, p->options.partitions, ends, e));
        for (int32_t i = 0; i < p->options.partitions; i++)
            if (ends[i] < told[i])
                return ERR(e, ERR_HOLE,
                           "topic %s, partition %d, ends at offset %" PRId64 ", publisher %s had "
                           "records acknowledged up to %" PRId64 ": the topic was made anew or its "
                           "log was cut; begin under another bus.prefix, or delete the positions' "
                           "topic %s and publish all again",
                           topic, i, ends[i], p->name, told[i], p->topic_names[BUS_TOPICS]);
    }
    return ERR_OK;
}

static enum err_code take_position(struct bus_publisher *p, struct bus_position *ret, struct err *e)
{
    struct bus_position_record r;
    TRY(bus_position_fetch(&p->options, p->name, &r, e));
    if (r.number > 0 && r.partitions != p->options.partitions)
        return ERR(
            e, ERR_CONFIG,
            "publisher %s published on %d partitions, bus.partitions is %d: symbols would move "
            "and lose their order; set bus.partitions: %d, or another bus.prefix",
            p->name, r.partitions, p->options.partitions, r.partitions);
    TRY(check_ends(p, &r, e));
    p->number = r.number;
    for (int32_t i = 0; i < p->options.partitions; i++) {
        int64_t trade = r.trades_end[i] - 1, gap = r.gaps_end[i] - 1;
        struct lane both = {.told = -1, .base = -1, .finishes = -1};
        p->trades[i] = p->gaps[i] = both;
        p->trades[i].newest = p->trades[i].committed = trade;
        p->gaps[i].newest = p->gaps[i].committed = gap;
    }
    p->finishes = r.position.finishes;
    *ret = r.position;
    return ERR_OK;
}

enum err_code bus_publisher_open(const struct bus_options *o, const char *name,
                                 struct bus_publisher **ret, struct bus_position *ret_position,
                                 struct err *e)
{
    *ret = NULL;
    TRY(bus_client_check(o, e));
    struct bus_publisher *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    p->options = *o;
    p->mixed = o->shared;
    buf_init(&p->value, VALUE_MAX);
    snprintf(p->name, sizeof p->name, "%s", name);
    snprintf(p->id, sizeof p->id, "%s%s", o->prefix ? o->prefix : "", name);
    enum err_code code = name_all(p, e);
    if (code == ERR_OK) code = publisher_connect(p, OPEN_MS, e);
    if (code == ERR_OK) code = take_position(p, ret_position, e);
    if (code != ERR_OK) {
        bus_publisher_close(p);
        return code;
    }
    *ret = p;
    return ERR_OK;
}

void bus_publisher_stats(const struct bus_publisher *p, struct bus_publisher_stats *ret)
{
    *ret = (struct bus_publisher_stats){
        .records = p->total_records,
        .bytes = p->total_bytes,
        .transactions = p->transactions,
        .commit_ns_total = p->commit_ns,
        .commit_ns_max = p->commit_ns_max,
        .aborts = p->aborts,
    };
}
