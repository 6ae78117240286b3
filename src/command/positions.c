/* positions: the marks of every hop and the lag between them, beside running programs or without them. */
#include "command/local.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { KAFKA_MS = 15000 };

static const struct option no_options[] = {{NULL, NULL, NULL}};

/* ---- embedded: two marks */

static enum err_code embedded(struct invocation *inv, struct buf *out, struct err *e)
{
    struct local l;
    TRY(local_open(inv->config, true, true, &l, e));
    int64_t durable = store_tail_mark(l.tail), committed = lake_position(l.lake);
    local_close(&l);
    buf_addf(out,
             inv->json ? "{\"durable\":%" PRId64 ",\"committed\":%" PRId64 ",\"lag\":%" PRId64 "}\n"
                       : "durable %" PRId64 "  ->  committed %" PRId64 "   (%" PRId64 " behind)\n",
             durable, committed, durable - committed);
    return ERR_OK;
}

/* ---- distributed: what can be asked is told, and the first that does not answer is the exit code */

struct hops {
    struct invocation *inv;
    struct local l;
    struct buf *out;
    struct bus_options bus;
    struct bus_cluster cluster;
    int64_t lake[BUS_TOPICS][BUS_PARTITIONS_MAX];
    bool has_lake;
    struct err first;
};

static void note(struct hops *h, const char *hop, const struct err *e)
{
    if (h->inv->json) {
        buf_addf(h->out, "\"%s\":null,\"%s_error\":", hop, hop);
        buf_add_json(h->out, str_of(e->text));
        buf_add_cstr(h->out, ",\n");
    } else {
        buf_addf(h->out, "%-10s %s\n", hop, e->text);
    }
    if (h->first.code == ERR_OK) h->first = *e;
}

static void tell_slot(struct hops *h)
{
    const struct config *c = h->inv->config;
    struct changes_slot s;
    struct err e = {0};
    if (changes_slot(c->store.url, c->store.slot, &s, &e) != ERR_OK) {
        note(h, "slot", &e);
        return;
    }
    if (h->inv->json) {
        buf_add_cstr(h->out, "\"slot\":{\"name\":");
        buf_add_json(h->out, str_of(c->store.slot));
        buf_addf(h->out,
                 ",\"exists\":%s,\"active\":%s,\"wal_status\":\"%s\",\"confirmed\":\"%" PRIX64
                 "/%" PRIX64 "\",\"server\":\"%" PRIX64 "/%" PRIX64 "\",\"behind_bytes\":%" PRId64
                 ",\"safe_bytes\":%" PRId64 "},\n",
                 s.exists ? "true" : "false", s.active ? "true" : "false", s.wal_status,
                 s.confirmed_lsn >> 32, s.confirmed_lsn & UINT32_MAX, s.server_lsn >> 32,
                 s.server_lsn & UINT32_MAX, s.behind_bytes, s.safe_bytes);
        return;
    }
    buf_addf(h->out,
             "slot       %s: %s%s, confirmed %" PRIX64 "/%" PRIX64 " of %" PRIX64 "/%" PRIX64
             ", %" PRId64 " bytes of log kept for it%s%s\n",
             c->store.slot, s.exists ? "" : "not there, ", s.active ? "in use" : "not in use",
             s.confirmed_lsn >> 32, s.confirmed_lsn & UINT32_MAX, s.server_lsn >> 32,
             s.server_lsn & UINT32_MAX, s.behind_bytes, *s.wal_status ? ", " : "", s.wal_status);
}

static void tell_publisher(struct hops *h)
{
    const struct config *c = h->inv->config;
    struct bus_position p = {0};
    struct err e = {0};
    char clock[TIME_TEXT_MAX];
    enum err_code code = ERR_OK;
    bool any = false; /* without the topic the read would wait for it */
    for (size_t i = 0; i < h->cluster.partition_count; i++)
        any |= h->cluster.partitions[i].topic == BUS_TOPICS;
    if (any) code = bus_position_read(&h->bus, c->bus.name, &p, &e);
    if (code != ERR_OK && code != ERR_NOT_FOUND) {
        note(h, "publisher", &e);
        return;
    }
    bool ticking = p.lsn && time_format(p.clock_ns, clock);
    if (h->inv->json) {
        buf_add_cstr(h->out, "\"publisher\":{\"name\":");
        buf_add_json(h->out, str_of(c->bus.name));
        buf_addf(h->out,
                 ",\"lsn\":\"%" PRIX64 "/%" PRIX64 "\",\"row\":%" PRId64 ",\"system\":\"%" PRIu64
                 "\",\"finishes\":%" PRId64 ",\"clock\":%s%s%s},\n",
                 p.lsn >> 32, p.lsn & UINT32_MAX, p.row, p.system, p.finishes, ticking ? "\"" : "",
                 ticking ? clock : "null", ticking ? "\"" : "");
        return;
    }
    buf_addf(h->out, "publisher  %s: at %" PRIX64 "/%" PRIX64 " row %" PRId64 ", clock %s\n",
             c->bus.name, p.lsn >> 32, p.lsn & UINT32_MAX, p.row, ticking ? clock : "-");
}

static enum err_code add_position(void *ctx, struct str name, int64_t position, struct err *e)
{
    struct hops *h = ctx;
    (void)e;
    for (int t = 0; t < BUS_TOPICS; t++)
        for (int32_t p = 0; p < h->bus.partitions && p < BUS_PARTITIONS_MAX; p++) {
            char text[300];
            distributed_move_name(&h->bus, (enum bus_topic)t, p, text);
            if (str_is(name, text)) h->lake[t][p] = position;
        }
    return ERR_OK;
}

static void read_lake(struct hops *h)
{
    struct err e = {0};
    struct lake_options o;
    enum err_code code = distributed_lake(&h->l.parts, h->l.series, false, &o, &e);
    o.read_only = true;
    if (code == ERR_OK) code = lake_open(&o, &h->l.lake, &e);
    if (code == ERR_OK) code = lake_each_position(h->l.lake, "", add_position, h, &e);
    h->has_lake = code == ERR_OK;
    if (code != ERR_OK && code != ERR_NOT_FOUND) note(h, "lake", &e);
}

static void number(struct hops *h, struct table_out *t, const char *name, int64_t value)
{
    if (h->inv->json && value < 0) buf_addf(h->out, ",\"%s\":null", name);
    if (h->inv->json && value >= 0) buf_addf(h->out, ",\"%s\":%" PRId64, name, value);
    if (h->inv->json) return;
    if (value < 0)
        table_cell(t, "-");
    else
        table_cell(t, "%" PRId64, value);
}

/* Ends count the marks of transactions as well, of which each takes an offset; the lake's position passes them with the next
 * record, so a partition at rest may stand at a lag of one or two. */
static void tell_partitions(struct hops *h)
{
    static const char *const heads[] = {"topic", "partition", "oldest", "end",
                                        "group", "lake",      "lag",    "in sync"};
    struct table_out t;
    int64_t sum = 0, count = 0;
    table_begin(&t, sizeof heads / sizeof heads[0]);
    for (size_t i = 0; i < t.columns; i++) table_cell(&t, "%s", heads[i]);
    if (h->inv->json) buf_add_cstr(h->out, "\"partitions\":[");
    for (size_t i = 0; i < h->cluster.partition_count; i++) {
        const struct bus_partition *p = &h->cluster.partitions[i];
        if (p->topic >= BUS_TOPICS || p->partition >= BUS_PARTITIONS_MAX) continue;
        char topic[BUS_NAME_MAX];
        bus_topic_name(&h->bus, p->topic, topic);
        int64_t lake = h->has_lake ? h->lake[p->topic][p->partition] : -1;
        int64_t from = lake > p->oldest ? lake : p->oldest;
        int64_t lag = p->end < 0 ? -1 : p->end > from ? p->end - from : 0;
        if (lag > 0) sum += lag;
        if (h->inv->json)
            buf_addf(h->out, "%s{\"topic\":\"%s\",\"partition\":%d", count++ ? ",\n" : "\n", topic,
                     p->partition);
        table_cell(&t, "%s", topic);
        table_cell(&t, "%d", p->partition);
        number(h, &t, "oldest", p->oldest);
        number(h, &t, "end", p->end);
        number(h, &t, "group", p->group_offset);
        number(h, &t, "lake", lake);
        number(h, &t, "lag", lag);
        if (h->inv->json)
            buf_addf(h->out, ",\"in_sync\":%d,\"replicas\":%d}", p->in_sync, p->replicas);
        table_cell(&t, "%d/%d", p->in_sync, p->replicas);
    }
    if (h->inv->json)
        buf_addf(h->out, "],\n\"lag\":%" PRId64, sum);
    else if (t.count > t.columns)
        table_print(&t, h->out);
    buf_free(&t.cells);
}

static enum err_code distributed(struct invocation *inv, struct buf *out, struct err *e)
{
    struct hops h = {.inv = inv, .l = {.series = series_new(), .lock = -1}, .out = out};
    struct err lost = {0};
    enum err_code code = distributed_open(&h.l.parts, inv->config, e);
    if (code != ERR_OK) {
        local_close(&h.l);
        return code;
    }
    h.bus = distributed_bus(&h.l.parts, h.l.series);
    if (inv->json) buf_add_cstr(out, "{");
    tell_slot(&h);
    if (bus_describe(&h.bus, inv->config->bus.group, KAFKA_MS, &h.cluster, &lost) != ERR_OK)
        note(&h, "bus", &lost);
    else
        tell_publisher(&h);
    read_lake(&h);
    tell_partitions(&h);
    if (inv->json) buf_add_cstr(out, "}\n");
    bus_cluster_free(&h.cluster);
    local_close(&h.l);
    if (h.first.code == ERR_OK) return ERR_OK;
    *e = h.first;
    return h.first.code;
}

static int positions(struct invocation *inv)
{
    struct err e = {0};
    struct buf out;
    buf_init(&out, 4 << 20);
    bool apart = inv->config->store.url && distributed_has_bus(inv->config);
    enum err_code code = apart ? distributed(inv, &out, &e) : embedded(inv, &out, &e);
    print_out(&out);
    return code == ERR_OK ? 0 : command_fail(inv, &e);
}

const struct command command_positions = {
    .name = "positions",
    .brief = "the marks and the lag between them",
    .summary =
        "The marks and the lag between them. Embedded: durable in the store, committed in the "
        "lake.\n"
        "Distributed: the replication slot, the publisher, and for each partition the end of the\n"
        "topic, the group's offset and the lake's position.",
    .arguments = "",
    .example = "  ticklake positions --data ./data --json\n"
               "  ticklake positions --config ticklake.yaml | tail",
    .options = no_options,
    .needs_config = true,
    .run = positions,
};
