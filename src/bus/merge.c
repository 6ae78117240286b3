#include "bus/merge.h"

void merge_begin(struct merge *m, int64_t next_trades, int64_t next_gaps)
{
    *m = (struct merge){.lanes = {{next_trades, -1, -1}, {next_gaps, -1, -1}}};
}

void merge_end(struct merge *m, enum merge_lane_id lane, int64_t offset)
{
    if (offset > m->lanes[lane].next) m->lanes[lane].next = offset;
}

void merge_head(struct merge *m, enum merge_lane_id lane, int64_t offset, int64_t after)
{
    struct merge_lane *l = &m->lanes[lane];
    CHECK(l->head < 0 && offset >= 0);
    l->head = offset;
    l->after = after;
    merge_end(m, lane, offset);
}

static bool held(const struct merge *m, enum merge_lane_id lane)
{
    enum merge_lane_id other = lane == MERGE_TRADES ? MERGE_GAPS : MERGE_TRADES;
    return m->lanes[lane].after >= 0 && m->lanes[other].next <= m->lanes[lane].after;
}

enum merge_lane_id merge_pick(struct merge *m)
{
    bool trade = m->lanes[MERGE_TRADES].head >= 0, gap = m->lanes[MERGE_GAPS].head >= 0;
    if (trade && !held(m, MERGE_TRADES)) return MERGE_TRADES;
    if (gap && !held(m, MERGE_GAPS)) return MERGE_GAPS;
    if (!trade || !gap) return MERGE_WAIT;
    m->contradictions++;
    merge_release(m, MERGE_TRADES);
    return MERGE_TRADES;
}

void merge_take(struct merge *m, enum merge_lane_id lane)
{
    struct merge_lane *l = &m->lanes[lane];
    CHECK(l->head >= 0);
    merge_end(m, lane, l->head + 1);
    l->head = l->after = -1;
}

void merge_release(struct merge *m, enum merge_lane_id lane) { m->lanes[lane].after = -1; }

int64_t merge_after(struct str value)
{
    uint64_t v = 0;
    if (value.n != 8) return -1;
    for (size_t i = 0; i < value.n; i++) v = v << 8 | (uint8_t)value.p[i];
    return v > INT64_MAX ? -1 : (int64_t)v;
}
