#include "bus/consumer_internal.h"
#include "io/clock.h"

#include <stdlib.h>

/* --- opening --- */

enum err_code bus_consumer_open(const struct bus_consumer_options *o, struct bus_consumer **ret,
                                struct err *e)
{
    struct bus_consumer *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    c->options = *o;
    *ret = NULL;
    enum err_code code = reader_open(&c->reader, o->bus, "reader", 0, e);
    if (code != ERR_OK) {
        free(c);
        return code;
    }
    code = clocks_start(&c->clocks, &c->reader, e);
    if (code == ERR_OK) code = member_open(c, e);
    if (code != ERR_OK) {
        bus_consumer_close(c);
        return code;
    }
    *ret = c;
    return ERR_OK;
}

struct bus_consumer *bus_consumer_close(struct bus_consumer *c)
{
    if (!c) return NULL;
    bool whole = member_close(c);
    for (int32_t p = 0; p < BUS_PARTITIONS_MAX; p++) owned_drop(c, p);
    clocks_stop(&c->clocks);
    reader_close(&c->reader);
    if (whole) free(c);
    return NULL;
}

/* --- what is owned --- */

void owned_drop(struct bus_consumer *c, int32_t partition)
{
    struct owned *o = &c->owned[partition];
    if (o->reading) reading_stop(o->reading);
    free(o->reading);
    *o = (struct owned){.state = OWNED_NO, .clock = {.offset = -1}};
}

static enum err_code begin(struct bus_consumer *c, int32_t partition,
                           const struct bus_offsets *from, struct err *e)
{
    struct reading *g = calloc(1, sizeof *g);
    CHECK(g != NULL);
    g->reader = &c->reader;
    g->number = partition;
    for (int t = 0; t < BUS_TOPICS; t++) g->lanes[t].end = INT64_MAX;
    enum err_code code = reading_start(g, from, e);
    if (code != ERR_OK) {
        free(g);
        return code;
    }
    c->owned[partition] =
        (struct owned){.state = OWNED_READING, .reading = g, .clock = {.offset = -1}};
    return ERR_OK;
}

/* Asked here and not within the rebalance: a catalog that is not there is asked again, and the member is polled meanwhile. */
static enum err_code begin_gained(struct bus_consumer *c, struct err *e)
{
    for (int32_t p = 0; p < c->options.bus->partitions; p++) {
        struct bus_offsets from = {{0}};
        if (c->owned[p].state != OWNED_ASKING) continue;
        TRY(c->options.gained(c->options.ctx, p, &from, e));
        TRY(begin(c, p, &from, e));
    }
    return ERR_OK;
}

enum err_code bus_consumer_seek(struct bus_consumer *c, int32_t partition,
                                const struct bus_offsets *from, struct err *e)
{
    CHECK(partition >= 0 && partition < c->options.bus->partitions);
    if (c->owned[partition].state != OWNED_READING) return ERR_OK; /* lost meanwhile */
    owned_drop(c, partition);
    c->owned[partition].state = OWNED_ASKING; /* where beginning fails, it is asked for again */
    return begin(c, partition, from, e);
}

/* --- reading --- */

static void take_clock(struct bus_consumer *c, int32_t partition)
{
    struct owned *o = &c->owned[partition];
    struct bus_offsets next;
    reading_next(o->reading, &next);
    clocks_find(&c->clocks, partition, next.next[BUS_TRADES], next.next[BUS_GAPS], &o->clock);
}

/* One batch of the next partition in turn that has anything. */
static enum err_code fill_any(struct bus_consumer *c, struct batch *b, int32_t *ret_partition,
                              struct bus_offsets *ret_next, struct err *e)
{
    const int32_t n = c->options.bus->partitions, first = c->turn;
    for (int32_t i = 0; i < n; i++) {
        int32_t p = (first + i) % n;
        struct owned *o = &c->owned[p];
        if (o->state != OWNED_READING) continue;
        c->turn = (p + 1) % n;
        TRY(reading_mend(o->reading, e));
        TRY(reading_fill(o->reading, b, e));
        if (b->event_count == 0 && b->instrument_count == 0) continue;
        *ret_partition = p;
        reading_next(o->reading, ret_next);
        take_clock(c, p);
        if (o->clock.offset >= 0) b->clock_ns = o->clock.clock_ns;
        return ERR_OK;
    }
    return ERR_OK;
}

/* Nothing came. It is an outage where the client has met an error since something did. */
static enum err_code look_for_outage(struct bus_consumer *c, int64_t *moved, struct err *e)
{
    struct bus_client *client = &c->reader.client;
    if (c->reader.moved != *moved) {
        *moved = c->reader.moved;
        bus_client_moved(client);
        return ERR_OK;
    }
    if (client->error) return bus_client_wait(client, "reading", e);
    if (client->options.cancel && atomic_load(client->options.cancel))
        return ERR(e, ERR_STOPPED, "stopped while reading from Kafka");
    return ERR_OK;
}

/* Of what offset every owned partition has seen a clock. */
static int64_t clock_seen_by_all(const struct bus_consumer *c)
{
    int64_t least = INT64_MAX;
    for (int32_t p = 0; p < c->options.bus->partitions; p++) {
        const struct owned *o = &c->owned[p];
        if (o->state == OWNED_READING && o->clock.offset < least) least = o->clock.offset;
    }
    return least == INT64_MAX ? -1 : least;
}

static enum err_code serve(struct bus_consumer *c, struct err *e)
{
    rd_kafka_poll(c->reader.client.rk, 0);
    TRY(member_poll(c, e));
    TRY(begin_gained(c, e));
    c->clocks.unneeded = clock_seen_by_all(c);
    return clocks_read(&c->clocks, e);
}

enum err_code bus_consumer_read(struct bus_consumer *c, int32_t timeout_ms, struct batch *b,
                                int32_t *ret_partition, struct bus_offsets *ret_next, struct err *e)
{
    const int64_t end_ns = clock_mono_ns() + timeout_ms * NS_PER_MS;
    CHECK(b->event_count == 0 && b->instrument_count == 0);
    *ret_partition = -1;
    for (;;) {
        TRY(serve(c, e));
        TRY(fill_any(c, b, ret_partition, ret_next, e));
        if (*ret_partition >= 0) return ERR_OK;
        TRY(look_for_outage(c, &c->moved, e));
        int64_t left_ms = (end_ns - clock_mono_ns()) / NS_PER_MS;
        if (left_ms <= 0) return ERR_OK;
        reader_wait(&c->reader, left_ms < WAIT_MS ? left_ms : WAIT_MS);
    }
}

/* --- asking --- */

bool bus_consumer_clock(struct bus_consumer *c, int32_t partition, int64_t *ret_clock_ns,
                        int64_t *ret_finishes)
{
    CHECK(partition >= 0 && partition < c->options.bus->partitions);
    struct owned *o = &c->owned[partition];
    if (o->state != OWNED_READING) return false;
    take_clock(c, partition);
    if (o->clock.offset < 0) return false;
    *ret_clock_ns = o->clock.clock_ns;
    *ret_finishes = o->clock.finishes;
    return true;
}

bool bus_consumer_next(const struct bus_consumer *c, int32_t partition, struct bus_offsets *ret)
{
    CHECK(partition >= 0 && partition < c->options.bus->partitions);
    const struct owned *o = &c->owned[partition];
    if (o->state != OWNED_READING) return false;
    reading_next(o->reading, ret);
    return true;
}

int64_t bus_consumer_finishes(const struct bus_consumer *c, int32_t partition)
{
    CHECK(partition >= 0 && partition < c->options.bus->partitions);
    const struct owned *o = &c->owned[partition];
    return o->state == OWNED_READING ? o->reading->finishes : 0;
}

void bus_consumer_strange(const struct bus_consumer *c, struct bus_strange *ret)
{
    *ret = (struct bus_strange){0};
    for (int t = 0; t < BUS_TOPICS; t++)
        if (c->reader.decoders[t]) bus_decoder_counts(c->reader.decoders[t], ret);
}

int64_t bus_consumer_lag(const struct bus_consumer *c, int32_t partition)
{
    CHECK(partition >= 0 && partition < c->options.bus->partitions);
    const struct owned *o = &c->owned[partition];
    int64_t lag = 0;
    for (int t = 0; t < BUS_TOPICS && o->state == OWNED_READING; t++) {
        int64_t oldest = -1, end = -1, next = o->reading->lanes[t].next;
        rd_kafka_get_watermark_offsets(c->reader.client.rk, c->reader.names[t], partition, &oldest,
                                       &end);
        if (next < oldest) next = oldest;
        if (next >= 0 && end > next) lag += end - next;
    }
    return lag;
}
