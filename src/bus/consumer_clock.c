/* The publisher's position records, for the clock that they carry. */
#include "bus/consumer_internal.h"

#include <stdlib.h>

enum err_code clocks_start(struct clocks *k, struct bus_reader *r, struct err *e)
{
    *k = (struct clocks){.lane = {.reader = r, .topic = BUS_TOPICS, .end = INT64_MAX}};
    k->entries = malloc((CLOCKS_MAX + 1) * sizeof *k->entries);
    CHECK(k->entries != NULL);
    return lane_start(&k->lane, RD_KAFKA_OFFSET_TAIL(CLOCK_TAIL), e);
}

void clocks_stop(struct clocks *k)
{
    if (k->lane.reader) lane_stop(&k->lane);
    free(k->entries);
    k->entries = NULL;
}

/* A consumer that is far behind sees positions long before the events: what is kept then stands wide apart, evenly. */
static void thin_out(struct clocks *k)
{
    size_t n = 0;
    for (size_t i = 0; i < k->count; i += 2) k->entries[n++] = k->entries[i];
    if (k->count % 2 == 0) k->entries[n++] = k->entries[k->count - 1];
    k->count = n;
}

static void forget_unneeded(struct clocks *k)
{
    size_t n = 0;
    while (n < k->count && k->entries[n].offset < k->unneeded) n++;
    memmove(k->entries, k->entries + n, (k->count - n) * sizeof *k->entries);
    k->count -= n;
}

void clocks_add(struct clocks *k, int64_t offset, const struct bus_position_record *record)
{
    if (k->count == CLOCKS_MAX) forget_unneeded(k);
    k->entries[k->count++] = (struct clock_entry){offset, *record};
    if (k->count > CLOCKS_MAX) thin_out(k);
}

enum err_code clocks_read(struct clocks *k, struct err *e)
{
    const rd_kafka_message_t *m;
    for (int i = 0; i < CLOCKS_MAX && (m = lane_peek(&k->lane)); i++) {
        struct bus_position_record record;
        struct str key = {m->key, m->key ? m->key_len : 0};
        /* What cannot be read, or is not a publisher's, tells no clock; a later one will. */
        if (m->payload && str_starts(key, BUS_PUBLISHER_PREFIX) &&
            bus_position_parse((struct str){m->payload, m->len}, &record, NULL) == ERR_OK)
            clocks_add(k, m->offset, &record);
        lane_take(&k->lane);
    }
    return lane_mend(&k->lane, e);
}

void clocks_find(const struct clocks *k, int32_t partition, int64_t next_trades, int64_t next_gaps,
                 struct clock_seen *seen)
{
    for (size_t i = k->count; i-- > 0 && k->entries[i].offset > seen->offset;) {
        const struct bus_position_record *r = &k->entries[i].record;
        if (partition >= r->partitions || r->trades_end[partition] > next_trades ||
            r->gaps_end[partition] > next_gaps)
            continue;
        *seen =
            (struct clock_seen){k->entries[i].offset, r->position.clock_ns, r->position.finishes};
        return;
    }
}
