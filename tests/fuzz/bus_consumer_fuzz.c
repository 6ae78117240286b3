/* What the consumer takes from records that anybody may have written: headers that order two topics, keys, position records. */
#include <stdlib.h>

#include "bus/consumer_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *p;
    size_t n;
};

static struct str take(struct input *in, size_t n)
{
    if (n > in->n) n = in->n;
    struct str s = {(const char *)in->p, n};
    in->p += n;
    in->n -= n;
    return s;
}

static uint8_t byte(struct input *in)
{
    struct str s = take(in, 1);
    return s.n ? (uint8_t)s.p[0] : 0;
}

/* Two topics with any headers: nothing is lost, each stays in its order, and two heads never wait for each other. */
static void merge_any(struct input *in)
{
    struct merge m;
    int64_t offset[MERGE_LANES] = {0};
    merge_begin(&m, (int8_t)byte(in) < 0 ? -1 : 0, (int8_t)byte(in) < 0 ? -1 : 0);
    for (int i = 0; i < 1000 && in->n; i++) {
        enum merge_lane_id k = byte(in) % 2 ? MERGE_TRADES : MERGE_GAPS;
        if (m.lanes[k].head >= 0)
            (void)k;
        else if (byte(in) % 4 == 0)
            merge_end(&m, k, offset[k] += byte(in));
        else
            merge_head(&m, k, offset[k] += byte(in) % 8, merge_after(take(in, 8)));
        bool both = m.lanes[MERGE_TRADES].head >= 0 && m.lanes[MERGE_GAPS].head >= 0;
        enum merge_lane_id next = merge_pick(&m);
        CHECK(!both || next != MERGE_WAIT);
        if (next == MERGE_WAIT) continue;
        CHECK(m.lanes[next].head == offset[next]);
        merge_take(&m, next);
        CHECK(m.lanes[next].next == ++offset[next]);
    }
}

static void clock_any(struct input *in)
{
    struct clocks k = {.entries = malloc((CLOCKS_MAX + 1) * sizeof *k.entries)};
    struct clock_seen seen = {.offset = -1};
    struct bus_position_record *r = malloc(sizeof *r);
    CHECK(k.entries && r);
    for (int64_t i = 0; in->n; i++) {
        size_t n = (size_t)byte(in) << 8;
        n |= byte(in);
        if (bus_position_parse(take(in, n), r, NULL) != ERR_OK) continue;
        clocks_add(&k, i, r);
        clocks_find(&k, byte(in), byte(in), byte(in), &seen);
        CHECK(k.count <= CLOCKS_MAX);
    }
    free(r);
    free(k.entries);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct str venue, symbol;
    uint8_t which = byte(&in);
    if (which % 3 == 0) merge_any(&in);
    if (which % 3 == 1) clock_any(&in);
    if (which % 3 == 2) {
        record_names(take(&in, in.n), &venue, &symbol);
        CHECK(venue.n + symbol.n <= size && str_is_utf8(venue) && str_is_utf8(symbol));
    }
    return 0;
}
