/* All that the topics hold, once: for `verify`. */
#include "bus/consumer_internal.h"
#include "io/clock.h"

#include <stdlib.h>

enum { SCAN_EVENTS = 8192, SCAN_BYTES = 16 << 20, SCAN_WAIT_MS = 1000 };
/* Partition after partition is read to its end, and each end is told by an answer that was waited for. */
enum { FETCH_WAIT_MS = 20 };

struct scan {
    struct bus_reader reader;
    struct batch_pool *pool;
    struct bus_offsets *oldest, *ends;
    enum err_code (*each)(void *ctx, int32_t partition, const struct batch *b, struct err *e);
    void *ctx;
};

/* The client reads what is committed, and so the end that it is told is the last stable offset. */
static enum err_code look_at_ends(struct scan *s, int32_t partition, struct err *e)
{
    for (int t = 0; t < BUS_TOPICS; t++) {
        struct lane l = {.reader = &s->reader, .topic = t, .partition = partition};
        rd_kafka_resp_err_t code;
        do {
            TRY(lane_watermarks(&l, &s->oldest[partition].next[t], &s->ends[partition].next[t],
                                &code, e));
        } while (code);
        bus_client_moved(&s->reader.client);
    }
    return ERR_OK;
}

static bool is_over(const struct reading *g)
{
    for (int t = 0; t < BUS_TOPICS; t++)
        if (g->lanes[t].next < g->lanes[t].end) return false;
    return true;
}

static enum err_code read_partition(struct scan *s, struct reading *g, struct err *e)
{
    int64_t moved = -1;
    while (!is_over(g)) {
        struct batch *b = batch_get(s->pool, -1);
        enum err_code code = reading_mend(g, e);
        if (code == ERR_OK) code = reading_fill(g, b, e);
        bool found = b->event_count || b->instrument_count;
        if (code == ERR_OK && found) code = s->each(s->ctx, g->number, b, e);
        batch_put(b);
        TRY(code);
        rd_kafka_poll(s->reader.client.rk, 0);
        if (s->reader.moved != moved)
            bus_client_moved(&s->reader.client);
        else
            TRY(bus_client_wait(&s->reader.client, "reading all that the topics hold", e));
        moved = s->reader.moved;
        if (!found && !is_over(g)) reader_wait(&s->reader, SCAN_WAIT_MS);
    }
    return ERR_OK;
}

static enum err_code scan_partition(struct scan *s, int32_t partition, struct err *e)
{
    struct reading *g = calloc(1, sizeof *g);
    CHECK(g != NULL);
    g->reader = &s->reader;
    g->number = partition;
    for (int t = 0; t < BUS_TOPICS; t++) g->lanes[t].end = s->ends[partition].next[t];
    enum err_code code = reading_start(g, &s->oldest[partition], e);
    if (code == ERR_OK) code = read_partition(s, g, e);
    reading_stop(g);
    free(g);
    return code;
}

static enum err_code scan_all(struct scan *s, struct err *e)
{
    for (int32_t p = 0; p < s->reader.options.partitions; p++) TRY(look_at_ends(s, p, e));
    for (int32_t p = 0; p < s->reader.options.partitions; p++) TRY(scan_partition(s, p, e));
    return ERR_OK;
}

enum err_code
bus_scan(const struct bus_options *o,
         enum err_code (*each)(void *ctx, int32_t partition, const struct batch *b, struct err *e),
         struct bus_offsets *ret_oldest, struct bus_offsets *ret_ends, void *ctx, struct err *e)
{
    struct scan s = {.oldest = ret_oldest, .ends = ret_ends, .each = each, .ctx = ctx};
    TRY(reader_open(&s.reader, o, "scan", FETCH_WAIT_MS, e));
    s.pool = batch_pool_new(1, SCAN_EVENTS, SCAN_BYTES);
    enum err_code code = scan_all(&s, e);
    batch_pool_free(s.pool);
    reader_close(&s.reader);
    return code;
}
