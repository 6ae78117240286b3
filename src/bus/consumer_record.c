/* One record to one event. */
#include "bus/consumer_internal.h"

#include <inttypes.h>
#include <stdio.h>

static bool unreadable(enum err_code code)
{
    return code == ERR_PARSE || code == ERR_INEXACT || code == ERR_NOT_FOUND ||
           code == ERR_INCOMPATIBLE;
}

/* --- dead letters --- */

void record_names(struct str key, struct str *ret_venue, struct str *ret_symbol)
{
    *ret_venue = *ret_symbol = STR("");
    if (key.n > sizeof((struct bus_key *)NULL)->bytes || !str_is_utf8(key)) return;
    for (size_t i = 0; i < key.n; i++)
        if ((uint8_t)key.p[i] < ' ') return;
    *ret_venue = str_cut(&key, ':');
    *ret_symbol = key;
}

/* The broker's time of the record and nothing of our clock: read again, it is the same row. */
static int64_t time_of(const rd_kafka_message_t *m)
{
    rd_kafka_timestamp_type_t type;
    int64_t ms = rd_kafka_message_timestamp(m, &type), ns;
    if (ms < 0 || __builtin_mul_overflow(ms, NS_PER_MS, &ns)) return 0;
    return ns;
}

static enum err_code add_dead(const struct bus_reader *r, enum bus_topic t,
                              const rd_kafka_message_t *m, enum err_code why, const char *detail,
                              struct batch *b)
{
    char place[BUS_NAME_MAX + 40];
    struct str venue, symbol, payload = {m->payload, m->payload ? m->len : 0};
    struct dead d = {.stream = -1,
                     .reason = why == ERR_INEXACT ? DEAD_INEXACT : DEAD_MALFORMED,
                     .position = m->offset,
                     .received_ns = time_of(m),
                     .sequence = m->offset + 1};
    snprintf(place, sizeof place, "%s/%d/%" PRId64, r->names[t], m->partition, m->offset);
    record_names((struct str){m->key, m->key ? m->key_len : 0}, &venue, &symbol);
    if (payload.n > DEAD_PAYLOAD_MAX) payload.n = DEAD_PAYLOAD_MAX;
    if (payload.n > b->arena.limit / 4) payload.n = b->arena.limit / 4;
    bool fits = b->event_count < b->max_events && batch_text(b, venue, &d.venue) &&
                batch_text(b, symbol, &d.symbol) && batch_text(b, str_of(place), &d.connection) &&
                batch_text(b, str_of(detail), &d.detail) && batch_text(b, payload, &d.payload);
    if (!fits) return ERR_FULL;
    struct dead *to = batch_add_dead(b);
    CHECK(to != NULL);
    *to = d;
    return ERR_OK;
}

enum bus_topic bus_topic_of_dead(const struct bus_options *o, const struct dead *d)
{
    for (int t = 0; t < BUS_TOPICS; t++) {
        char name[BUS_NAME_MAX];
        bus_topic_name(o, (enum bus_topic)t, name);
        size_t n = strlen(name);
        if (d->connection.n > n && memcmp(d->connection.p, name, n) == 0 &&
            d->connection.p[n] == '/')
            return (enum bus_topic)t;
    }
    return BUS_DEAD_LETTERS;
}

/* --- events --- */

static void received(struct batch *b, int64_t received_ns)
{
    if (received_ns == TIME_ABSENT) return;
    if (b->first_received_ns == TIME_ABSENT || received_ns < b->first_received_ns)
        b->first_received_ns = received_ns;
}

/* The event that was added last, with its place in the topic and in the proof. */
static void finish(const struct bus_reader *r, enum bus_topic t, int64_t sequence, struct batch *b)
{
    switch (t) {
    case BUS_TRADES: {
        struct trade *x = &b->trades[b->trade_count - 1];
        x->sequence = sequence;
        received(b, x->received_ns);
        proof_add_trade(&b->proofs, r->options.series, x);
        break;
    }
    case BUS_QUOTES: {
        struct quote *x = &b->quotes[b->quote_count - 1];
        x->sequence = sequence;
        received(b, x->received_ns);
        proof_add_quote(&b->proofs, r->options.series, x);
        break;
    }
    case BUS_GAPS: b->gaps[b->gap_count - 1].sequence = sequence; break;
    case BUS_DEAD_LETTERS: b->deads[b->dead_count - 1].sequence = sequence; break;
    case BUS_VENUE_CANDLES: b->candles[b->candle_count - 1].c.sequence = sequence; break;
    case BUS_INSTRUMENTS:
    case BUS_TOPICS: break;
    }
}

/* Process and lake have one tape a symbol, in the worker of its partition: a symbol in two of them would have each of its candles
 * twice. Another client's default partitioner does that. */
static int32_t misplaced(const struct bus_reader *r, enum bus_topic t, const struct batch *b,
                         int32_t partition)
{
    if (t != BUS_TRADES && t != BUS_GAPS) return -1;
    uint32_t id =
        t == BUS_TRADES ? b->trades[b->trade_count - 1].series : b->gaps[b->gap_count - 1].series;
    const struct series *s = series_get(r->options.series, id);
    int32_t right = bus_partition(s->venue, s->symbol, r->options.partitions);
    return right == partition ? -1 : right;
}

static void take_back(enum bus_topic t, size_t extras, struct batch *b)
{
    b->event_count--;
    b->trade_count -= t == BUS_TRADES;
    b->gap_count -= t == BUS_GAPS;
    b->extra_count = extras;
}

enum err_code record_add(struct bus_reader *r, enum bus_topic t, const rd_kafka_message_t *m,
                         struct batch *b, struct err *e)
{
    struct err why;
    const size_t extras = b->extra_count;
    if (b->event_count && batch_is_full(b)) return ERR_FULL;
    if (!m->payload)
        return add_dead(r, t, m, ERR_PARSE, "a record without a value; the topic has no tombstones",
                        b);
    enum err_code code = bus_decode(r->decoders[t], (struct str){m->payload, m->len}, b, &why);
    int32_t right = code == ERR_OK ? misplaced(r, t, b, m->partition) : -1;
    if (right >= 0) {
        char text[160];
        snprintf(text, sizeof text,
                 "its symbol belongs in partition %" PRId32
                 ", by murmur2 of the key venue:symbol as "
                 "Java's default; set the producer's partitioner",
                 right);
        take_back(t, extras, b);
        return add_dead(r, t, m, ERR_PARSE, text, b);
    }
    if (code == ERR_OK) {
        finish(r, t, m->offset + 1, b);
        return ERR_OK;
    }
    if (unreadable(code)) return add_dead(r, t, m, code, why.text, b);
    if (code != ERR_FULL && e) *e = why;
    return code;
}
