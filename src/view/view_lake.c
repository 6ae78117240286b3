/* The lake: its tables, the positions of the partitions, and a row for each market out of the tapes' persisted states, which
 * are a few bytes each: no data file is read. */
#include "base/map.h"
#include "io/clock.h"
#include "process/process.h"
#include "view/view_internal.h"

#include <stdio.h>
#include <stdlib.h>

void view_close_lake(struct view_probe *p) { p->own = lake_close(p->own); }

/* ---- tables */

static enum err_code put_tables(struct lake *l, struct view_look *ret, struct err *e)
{
    struct buf *out = &ret->page[VIEW_LAKE];
    struct view_numbers *n = &ret->numbers;
    n->newest_commit_ns = TIME_ABSENT;
    buf_add_cstr(out, ",\"tables\":[");
    for (int id = 0; id < TABLE_MAX; id++) {
        struct lake_table_info t;
        TRY(lake_table_info(l, (enum table_id)id, &t, e));
        n->table_rows[id] = t.rows;
        n->table_bytes[id] = t.bytes;
        n->table_files[id] = t.data_files + t.delete_files;
        n->table_snapshots[id] = t.snapshots;
        int64_t commit_ns = t.snapshots ? t.last_updated_ms * NS_PER_MS : TIME_ABSENT;
        int64_t rows_ns = t.newest_rows_ms >= 0 ? t.newest_rows_ms * NS_PER_MS : TIME_ABSENT;
        if (rows_ns > n->newest_commit_ns) n->newest_commit_ns = rows_ns;
        buf_addf(out,
                 "%s{\"name\":\"%s\",\"rows\":%lld,\"data_files\":%lld,\"delete_files\":%lld,"
                 "\"snapshots\":%lld,\"bytes\":%lld,\"snapshot_id\":\"%lld\"",
                 id ? "," : "", t.name, (long long)t.rows, (long long)t.data_files,
                 (long long)t.delete_files, (long long)t.snapshots, (long long)t.bytes,
                 (long long)t.snapshot_id);
        view_put_ms(out, "committed_ms", commit_ns);
        view_put_text(out, "location", str_of(t.location));
        view_put_text(out, "metadata_location", str_of(t.metadata_location));
        buf_add_byte(out, '}');
    }
    buf_add_byte(out, ']');
    view_put_ms(out, "newest_commit_ms", n->newest_commit_ns);
    bool none = n->newest_commit_ns == TIME_ABSENT;
    int64_t age_ns = none ? -1 : clock_wall_ns() - n->newest_commit_ns;
    view_put_count(out, "newest_commit_age_ms", none || age_ns >= 0 ? age_ns / NS_PER_MS : 0);
    return ERR_OK;
}

/* ---- positions */

struct positions {
    struct view *view;
    struct view_numbers *n;
    const struct view_numbers *now; /* the bus's ends */
    struct bus_options bus;
    struct buf *out;
    int64_t count;
};

/* "market.trades/3" as topic and number; false: a name of something else. */
static bool partition_of(const struct positions *p, struct str name, int *ret_topic,
                         int32_t *ret_number)
{
    for (int t = 0; t < BUS_TOPICS; t++) {
        char topic[BUS_NAME_MAX + 1];
        int64_t number;
        bus_topic_name(&p->bus, (enum bus_topic)t, topic);
        size_t len = strlen(topic);
        if (name.n <= len + 1 || memcmp(name.p, topic, len) != 0 || name.p[len] != '/') continue;
        struct str rest = {name.p + len + 1, name.n - len - 1};
        if (str_to_i64(rest, &number) != ERR_OK || number < 0 || number >= BUS_PARTITIONS_MAX)
            continue;
        *ret_topic = t;
        *ret_number = (int32_t)number;
        return true;
    }
    return false;
}

static enum err_code put_position(void *ctx, struct str name, int64_t position, struct err *e)
{
    struct positions *p = ctx;
    int topic;
    int32_t number;
    (void)e;
    bool place = p->view->has_bus && partition_of(p, name, &topic, &number);
    if (p->view->has_bus && !place) return ERR_OK; /* how many commits a partition has had */
    buf_addf(p->out, "%s{\"name\":", p->count++ ? "," : "");
    buf_add_json(p->out, name);
    buf_addf(p->out, ",\"position\":%lld", (long long)position);
    if (place) {
        int64_t end = p->now->ends[topic][number], lag = end - position;
        /* Ends are looked up apart from positions, a moment earlier or later. */
        if (lag < 0) lag = 0;
        if (end >= 0) p->n->lake_lag += lag;
        p->n->lake_position += position;
        view_put_count(p->out, "end", end);
        view_put_count(p->out, "lag_records", end < 0 ? -1 : lag);
    } else if (!p->view->has_bus) {
        p->n->lake_position = position;
    }
    buf_add_byte(p->out, '}');
    return ERR_OK;
}

/* ---- markets */

struct markets {
    struct view *view;
    struct view_numbers *n;
    struct buf *out;
    struct map open_gaps; /* "venue/symbol" -> open gaps */
    int64_t count;
};

static void count_gaps(struct markets *m)
{
    struct view *v = m->view;
    map_init(&m->open_gaps, VIEW_GAPS_MAX);
    pthread_mutex_lock(&v->lock);
    for (size_t i = 0; i < v->gaps.count; i++) {
        const struct gap *g = &v->gaps.items[i].g;
        char key[300];
        if (g->state != GAP_STATE_OPEN) continue;
        const struct series *s = series_get(v->probes[SOURCE_STORE].series, g->series);
        int n = snprintf(key, sizeof key, "%.*s/%.*s", STR_ARG(s->venue), STR_ARG(s->symbol));
        struct str k = {key, n > 0 && (size_t)n < sizeof key ? (size_t)n : 0};
        uint32_t known = map_get(&m->open_gaps, k);
        map_put(&m->open_gaps, k, known == MAP_NONE ? 1 : known + 1);
    }
    pthread_mutex_unlock(&v->lock);
}

static void put_market(struct markets *m, const struct process_market *k, struct str key)
{
    uint32_t gaps = map_get(&m->open_gaps, key);
    if (k->newest_ns != TIME_ABSENT && k->newest_ns > m->n->newest_trade_ns)
        m->n->newest_trade_ns = k->newest_ns;
    if (k->watermark_ns != TIME_ABSENT && k->watermark_ns > m->n->emitted_ns)
        m->n->emitted_ns = k->watermark_ns;
    if (gaps != MAP_NONE) m->n->markets_with_gaps++;
    buf_add_cstr(m->out, m->count++ ? ",{\"venue\":" : "{\"venue\":");
    buf_add_json(m->out, k->venue);
    view_put_text(m->out, "symbol", k->symbol);
    if (k->stream >= 0)
        view_put_text(m->out, "stream", str_of(stream_text((enum stream)k->stream)));
    view_put_ms(m->out, "newest_ms", k->newest_ns);
    view_put_ms(m->out, "emitted_ms", k->watermark_ns);
    if (k->newest_ns != TIME_ABSENT) {
        char price[DEC_TEXT_MAX];
        dec_format(k->price, price);
        buf_addf(m->out, ",\"price\":\"%s\",\"day_trades\":%lld", price, (long long)k->day_trades);
    }
    buf_addf(m->out, ",\"open_gaps\":%u}", gaps == MAP_NONE ? 0 : gaps);
}

/* name: "[N/]process/tape/VENUE/SYMBOL" */
static enum err_code take_state(void *ctx, struct str name, struct str bytes, struct err *e)
{
    static const char mark[] = "process/tape/";
    struct markets *m = ctx;
    struct process_market k;
    (void)e;
    const char *at = memmem(name.p, name.n, mark, sizeof mark - 1);
    if (!at) return ERR_OK;
    struct str own = {at + strlen("process/"), (size_t)(name.p + name.n - at) - strlen("process/")};
    /* One that cannot be read is verify's to tell, and no reason to show none of the others. */
    if (process_market_read(own, bytes, &k, NULL) != ERR_OK) return ERR_OK;
    put_market(m, &k, (struct str){own.p + 5, own.n - 5});
    return ERR_OK;
}

static enum err_code put_markets(struct view_probe *p, struct view_look *ret, struct err *e)
{
    struct view *v = p->view;
    struct markets m = {.view = v, .n = &ret->numbers, .out = &ret->page[VIEW_MARKETS]};
    enum err_code code = ERR_OK;
    count_gaps(&m);
    buf_add_cstr(m.out, ",\"markets\":[");
    if (!v->has_bus) code = lake_each_state(p->own, "process/tape/", take_state, &m, e);
    for (int64_t i = 0; v->has_bus && i < v->options.config->bus.partitions && code == ERR_OK;
         i++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "%lld/process/tape/", (long long)i);
        code = lake_each_state(p->own, prefix, take_state, &m, e);
    }
    buf_add_byte(m.out, ']');
    ret->numbers.markets = m.count;
    map_free(&m.open_gaps);
    return code;
}

/* ---- the whole */

static const char *catalog_of(const struct config *c)
{
    if (config_rest_catalog(c)) return "Iceberg REST";
    return c->lake.catalog ? "PostgreSQL" : "catalog.db";
}

enum err_code view_look_lake(struct view_probe *p, struct view_look *ret, struct err *e)
{
    struct view *v = p->view;
    struct view_numbers *n = &ret->numbers;
    if (!p->own) {
        struct lake_options o;
        struct lake *opened;
        TRY(distributed_lake(&p->parts, p->series, false, &o, e));
        o.read_only = true;
        TRY(lake_open(&o, &opened, e));
        p->own = opened;
    }
    n->newest_trade_ns = n->emitted_ns = TIME_ABSENT;
    n->markets_with_gaps = n->lake_position = n->lake_lag = 0;
    TRY(put_tables(p->own, ret, e));
    struct positions x = {.view = v,
                          .n = n,
                          .now = n,
                          .bus = distributed_bus(&p->parts, p->series),
                          .out = &ret->page[VIEW_LAKE]};
    buf_add_cstr(x.out, ",\"positions\":[");
    TRY(lake_each_position(p->own, "", put_position, &x, e));
    buf_add_byte(x.out, ']');
    view_put_text(x.out, "catalog", str_of(catalog_of(v->options.config)));
    return put_markets(p, ret, e);
}
