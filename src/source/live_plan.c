/* Wanted symbols -> subscriptions -> connections; and the outages of what they carry. */
#include "source/live_internal.h"

#include "io/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEY_MAX = 192, NEAR_MAX = 3 };

bool live_can_plan(const struct live_venue *v)
{
    bool no_list = !v->rest_url || !v->venue->instruments_request;
    return venue_names_count(v->names) > 0 || no_list || (v->wildcard && v->asked);
}

static struct live_connection *with_room(struct live_venue *v)
{
    uint32_t most = (uint32_t)v->venue->subscriptions_per_connection;
    struct live_connection *last =
        v->connection_count ? v->connections[v->connection_count - 1] : NULL;
    return last && (most == 0 || last->sub_count < most) ? last : live_connection_new(v);
}

static void add(struct live_venue *v, struct str venue_symbol, uint8_t stream)
{
    char key[KEY_MAX];
    int n = snprintf(key, sizeof key, "%d %.*s", stream, STR_ARG(venue_symbol));
    if (n < 0 || (size_t)n >= sizeof key) return;
    struct str k = {key, (size_t)n};
    if (map_get(&v->planned, k) != MAP_NONE || map_put(&v->planned, k, 1) == MAP_FULL) return;
    struct live_connection *c = with_room(v);
    if (c->sub_count == c->sub_cap) {
        c->sub_cap = c->sub_cap ? c->sub_cap * 2 : 64;
        c->subs = realloc(c->subs, c->sub_cap * sizeof *c->subs);
        CHECK(c->subs != NULL);
    }
    char *copy = strndup(venue_symbol.p, venue_symbol.n);
    CHECK(copy != NULL);
    c->subs[c->sub_count++] = (struct live_sub){.sub = {{copy, venue_symbol.n}, stream}};
}

/* The nearest known name, for a symbol that the venue does not have. */
static void tell_unknown(struct live_venue *v, struct str symbol)
{
    const struct instrument *nearest = NULL;
    int best = 64;
    for (size_t i = 0; i < venue_names_count(v->names); i++) {
        const struct instrument *one = venue_names_instrument(v->names, i);
        int distance = str_distance(symbol, one->symbol);
        if (str_eq(symbol, one->venue_symbol)) distance = 0;
        if (distance >= best) continue;
        best = distance;
        nearest = one;
    }
    if (nearest && (best <= NEAR_MAX || (size_t)best < symbol.n / 2))
        live_notice(v, "unknown symbol", "%.*s; did you mean %.*s? the others go on",
                    STR_ARG(symbol), STR_ARG(nearest->symbol));
    else
        live_notice(v, "unknown symbol", "%.*s; `ticklake symbols %s` lists them; the others go on",
                    STR_ARG(symbol), v->venue->name);
}

static void add_named(struct live_venue *v, uint8_t stream, bool tell)
{
    for (size_t i = 0; i < v->symbol_count; i++) {
        struct str venue_symbol;
        if (venue_names_venue_symbol(v->names, v->symbols[i], &venue_symbol))
            add(v, venue_symbol, stream);
        else if (tell)
            tell_unknown(v, v->symbols[i]);
    }
}

static void add_all(struct live_venue *v, uint8_t stream)
{
    if (v->wildcard) {
        add(v, STR("*"), stream);
        return;
    }
    int64_t now_ns = clock_wall_ns();
    for (size_t i = 0; i < venue_names_count(v->names); i++) {
        const struct instrument *one = venue_names_instrument(v->names, i);
        if (one->delisted_ns != TIME_ABSENT && one->delisted_ns < now_ns) continue;
        add(v, one->venue_symbol, stream);
    }
}

void live_plan(struct live_venue *v)
{
    uint32_t connections = v->connection_count;
    uint32_t last_count = connections ? v->connections[connections - 1]->sub_count : 0;
    bool tell = !v->told_unknown;
    for (uint8_t stream = 0; stream < STREAM_MAX; stream++) {
        if (!(v->streams >> stream & 1)) continue;
        if (v->all) add_all(v, stream);
        add_named(v, stream, tell);
        tell = false;
    }
    v->told_unknown = true;
    __atomic_fetch_add(&core_counters(v->live->core)->connections,
                       (int64_t)(v->connection_count - connections), __ATOMIC_RELAXED);
    if (!connections) return;
    struct live_connection *c = v->connections[connections - 1];
    for (int i = 0; i < LIVE_LEGS; i++)
        if (c->sub_count > last_count && c->legs[i].state == LEG_OPEN)
            live_leg_subscribe(&c->legs[i], last_count, c->sub_count);
}

void live_plan_free(struct live_venue *v)
{
    for (uint32_t i = 0; i < v->connection_count; i++) live_connection_free(v->connections[i]);
    free(v->connections);
}

/* ---- Outages ---- */

struct outage {
    struct live_connection *c;
    int64_t to_ns;
    bool start;
};

static void tell(const struct outage *o, uint32_t series, uint8_t stream)
{
    struct live_venue *v = o->c->venue;
    struct err why;
    if (o->start && series >= v->old_series) return; /* it was not heard before either */
    live_fail(v->live,
              core_outage(v->live->core, series, stream, o->c->down_ns, o->to_ns,
                          str_of(o->c->down_cause), &why),
              &why);
}

/* Every symbol of the venue that was ever heard. */
static void tell_all(const struct outage *o, uint8_t stream)
{
    const struct live_venue *v = o->c->venue;
    const struct series_table *table = v->live->options.series;
    uint32_t count = series_count(table);
    for (uint32_t i = 0; i < count; i++) {
        const struct series *s = series_get(table, i);
        if (str_is(s->venue, v->venue->name) && series_find(table, s->venue, s->symbol) == i)
            tell(o, i, stream);
    }
}

void live_outage(struct live_connection *c, int64_t to_ns)
{
    struct live_venue *v = c->venue;
    struct outage o = {c, to_ns, strcmp(c->down_cause, "start") == 0};
    v->live->pending = true;
    for (uint32_t i = 0; i < c->sub_count && v->live->code == ERR_OK; i++) {
        const struct live_sub *s = &c->subs[i];
        if (s->bad || v->venue->consecutive >> s->sub.stream & 1) continue;
        if (str_is(s->sub.venue_symbol, "*")) {
            tell_all(&o, s->sub.stream);
            continue;
        }
        uint32_t series = venue_names_series(v->names, s->sub.venue_symbol, STR(""));
        if (series != SERIES_NONE) tell(&o, series, s->sub.stream);
    }
    if (to_ns != TIME_ABSENT) c->down_ns = TIME_ABSENT;
}
