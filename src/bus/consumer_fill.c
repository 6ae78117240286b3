#include "bus/consumer_internal.h"
#include "base/log.h"
#include "io/clock.h"

#include <inttypes.h>

/* Records of one topic before another one has its turn: a long backlog of quotes does not keep trades out of a batch. */
enum { TURN_RECORDS = 1024 };
/* A head that waits does so for milliseconds; after this, the other topic's end is asked for, so often. */
enum { HOLD_ASK_MS = 20, ASK_DISTRUST_MS = 20, ASK_MS = 1000 };

static int64_t trades_next(const struct reading *g)
{
    return g->lanes[BUS_TRADES].next > 0 ? g->lanes[BUS_TRADES].next : 0;
}

enum err_code reading_start(struct reading *g, const struct bus_offsets *from, struct err *e)
{
    g->held_since_ns = 0;
    for (int t = 0; t < BUS_TOPICS; t++) {
        struct lane *l = &g->lanes[t];
        l->reader = g->reader;
        l->topic = t;
        l->partition = g->number;
        l->fault_since_ns = 0;
        int64_t offset = from->next[t] > 0 ? from->next[t] : RD_KAFKA_OFFSET_BEGINNING;
        enum err_code code = lane_start(l, offset, e);
        if (code != ERR_OK) {
            reading_stop(g);
            return code;
        }
    }
    g->given = trades_next(g);
    merge_begin(&g->merge, g->lanes[BUS_TRADES].next, g->lanes[BUS_GAPS].next);
    return ERR_OK;
}

void reading_stop(struct reading *g)
{
    for (int t = 0; t < BUS_TOPICS; t++) lane_stop(&g->lanes[t]);
}

void reading_next(const struct reading *g, struct bus_offsets *ret)
{
    for (int t = 0; t < BUS_TOPICS; t++) ret->next[t] = g->lanes[t].next > 0 ? g->lanes[t].next : 0;
}

/* --- trades and gaps --- */

static struct lane *lane_of(struct reading *g, enum merge_lane_id id)
{
    return &g->lanes[id == MERGE_TRADES ? BUS_TRADES : BUS_GAPS];
}

static int64_t header_of(const rd_kafka_message_t *m, const char *name)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t n;
    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return -1;
    if (rd_kafka_header_get_last(headers, name, &value, &n) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return -1;
    return merge_after((struct str){value, n});
}

/* ERR_FULL: an input ended before this record, and the batch holds what came before that. */
static enum err_code note_finishes(struct reading *g, const rd_kafka_message_t *m,
                                   const struct batch *b)
{
    int64_t finishes = header_of(m, BUS_FINISHES);
    if (finishes <= g->finishes) return ERR_OK;
    if (b->event_count || b->instrument_count) return ERR_FULL;
    g->finishes = finishes;
    return ERR_OK;
}

static void look(struct reading *g, enum merge_lane_id id)
{
    if (g->merge.lanes[id].head >= 0) return;
    struct lane *l = lane_of(g, id);
    const rd_kafka_message_t *m = lane_peek(l);
    if (m)
        merge_head(&g->merge, id, m->offset, header_of(m, BUS_AFTER));
    else
        merge_end(&g->merge, id, l->next >= l->end ? INT64_MAX : l->next);
}

/* ERR_OK: as many as that, or no more are at hand. */
static enum err_code fill_ordered(struct reading *g, struct batch *b, struct err *e)
{
    for (int i = 0; i < TURN_RECORDS; i++) {
        look(g, MERGE_TRADES);
        look(g, MERGE_GAPS);
        enum merge_lane_id id = merge_pick(&g->merge);
        if (id == MERGE_WAIT) {
            bool holds =
                g->merge.lanes[MERGE_TRADES].head >= 0 || g->merge.lanes[MERGE_GAPS].head >= 0;
            if (!holds)
                g->held_since_ns = 0;
            else if (!g->held_since_ns)
                g->held_since_ns = clock_mono_ns();
            break;
        }
        struct lane *l = lane_of(g, id);
        TRY(note_finishes(g, l->held[l->at], b));
        TRY(record_add(g->reader, (enum bus_topic)l->topic, l->held[l->at], b, e));
        lane_take(l);
        merge_take(&g->merge, id);
        g->held_since_ns = g->beyond_since_ns = 0;
    }
    return ERR_OK;
}

/* --- all of them --- */

static enum err_code fill_plain(struct reading *g, struct lane *l, struct batch *b, struct err *e)
{
    const rd_kafka_message_t *m;
    for (int i = 0; i < TURN_RECORDS && (m = lane_peek(l)); i++) {
        TRY(record_add(g->reader, (enum bus_topic)l->topic, m, b, e));
        lane_take(l);
    }
    return ERR_OK;
}

static enum err_code fill_turn(struct reading *g, struct batch *b, struct err *e)
{
    for (int i = 0; i < BUS_TOPICS; i++) {
        enum bus_topic t = g->turn;
        enum err_code code = ERR_OK;
        if (t == BUS_TRADES)
            code = fill_ordered(g, b, e);
        else if (t != BUS_GAPS)
            code = fill_plain(g, &g->lanes[t], b, e);
        TRY(code); /* the same topic again with the next batch */
        g->turn = (enum bus_topic)((t + 1) % BUS_TOPICS);
    }
    return ERR_OK;
}

enum err_code reading_fill(struct reading *g, struct batch *b, struct err *e)
{
    enum err_code code = ERR_OK;
    size_t before;
    do {
        before = b->event_count + b->instrument_count;
        code = fill_turn(g, b, e);
    } while (code == ERR_OK && b->event_count + b->instrument_count > before);
    if (b->event_count == 0 && b->instrument_count == 0) return code;
    /* What came is given; what stands in the way comes again. */
    b->first_sequence = g->given + 1;
    b->last_sequence = g->given = trades_next(g);
    return ERR_OK;
}

/* --- what does not come --- */

/* Is what this head waits for beyond the end of the other topic? Asked of its leader: an outage is no such proof. The client
 * reads what is committed, so the answer is short of records behind an open transaction; the end that came with the newest
 * fetch has those, half a second later at most. */
static enum err_code look_beyond(struct reading *g, enum merge_lane_id id, bool *ret, struct err *e)
{
    struct lane *other = lane_of(g, id == MERGE_TRADES ? MERGE_GAPS : MERGE_TRADES);
    struct bus_reader *r = g->reader;
    int64_t oldest, end, fetched = -1;
    rd_kafka_resp_err_t code;
    *ret = false;
    TRY(lane_watermarks(other, &oldest, &end, &code, e));
    if (code) return ERR_OK;
    rd_kafka_get_watermark_offsets(r->client.rk, r->names[other->topic], g->number, &oldest,
                                   &fetched);
    *ret = g->merge.lanes[id].after >= (end > fetched ? end : fetched);
    return ERR_OK;
}

/* A record that names one beyond the end of the other topic was not written by our publisher, or the topic was made anew. Only
 * the first of them is waited for: they must not stop the partition. */
static enum err_code mend_hold(struct reading *g, enum merge_lane_id id, struct err *e)
{
    const struct merge_lane *head = &g->merge.lanes[id];
    int64_t now_ns = clock_mono_ns();
    bool beyond;
    if (head->head < 0 || head->after < 0) return ERR_OK;
    if (now_ns - g->asked_ns < (g->distrust ? ASK_DISTRUST_MS : ASK_MS) * NS_PER_MS) return ERR_OK;
    g->asked_ns = now_ns;
    TRY(look_beyond(g, id, &beyond, e));
    if (!beyond) g->beyond_since_ns = 0;
    if (beyond && !g->beyond_since_ns) g->beyond_since_ns = now_ns;
    bool proven = beyond && now_ns - g->beyond_since_ns > HOLD_PATIENCE_S * NS_PER_S;
    if (!proven && !(beyond && g->distrust)) return ERR_OK;
    LOG(WARN, "bus", "a record says that it follows one which is not there; its order is ignored",
        LOG_STR("topic", g->reader->names[lane_of(g, id)->topic]), LOG_I64("partition", g->number),
        LOG_I64("offset", head->head), LOG_I64("follows", head->after));
    g->distrust = true;
    g->held_since_ns = g->beyond_since_ns = 0;
    merge_release(&g->merge, id);
    return ERR_OK;
}

enum err_code reading_mend(struct reading *g, struct err *e)
{
    if (g->reader->faults)
        for (int t = 0; t < BUS_TOPICS; t++) TRY(lane_mend(&g->lanes[t], e));
    if (!g->held_since_ns || clock_mono_ns() - g->held_since_ns < HOLD_ASK_MS * NS_PER_MS)
        return ERR_OK;
    TRY(mend_hold(g, MERGE_TRADES, e));
    return mend_hold(g, MERGE_GAPS, e);
}
