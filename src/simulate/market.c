/* A generated market: a random walk in the tick of each symbol, ids rising by one, exact decimals. Pure. */
#include "simulate/simulate_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

uint64_t sim_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15)); /* splitmix64 */
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

bool sim_one_in(uint64_t *state, int32_t n)
{
    return n > 0 && sim_random(state) % (uint64_t)n == 0;
}

static const struct {
    const char *base;
    int64_t price;
    int price_scale, size_scale;
} known[] = {
    {"BTC", 6183763, 2, 5}, {"ETH", 268155, 2, 4}, {"SOL", 15423, 2, 3},  {"XRP", 6021, 4, 1},
    {"DOGE", 10422, 5, 0},  {"ADA", 3571, 4, 1},   {"LINK", 10482, 3, 2}, {"LTC", 6133, 2, 3},
    {"AVAX", 2214, 2, 2},   {"DOT", 4721, 3, 2},   {"BCH", 35210, 2, 3},  {"UNI", 6113, 3, 2},
    {"SHIB", 1384, 8, 0},   {"ATOM", 4972, 3, 2},  {"XLM", 9981, 5, 1},   {"FIL", 3762, 3, 2},
};
enum { KNOWN = sizeof known / sizeof known[0] };

static void init_symbol(struct sim_market *m, int i)
{
    struct sim_symbol *s = &m->symbols[i];
    const struct sim_venue *v = m->venue;
    int k = i % KNOWN;
    if (i < KNOWN)
        snprintf(s->base, sizeof s->base, "%s", known[k].base);
    else
        snprintf(s->base, sizeof s->base, "T%05d", i);
    snprintf(s->quote, sizeof s->quote, "%s", v->quote);
    snprintf(s->symbol, sizeof s->symbol, "%s-%s%s", s->base, s->quote,
             v->perpetual ? "-PERP" : "");
    v->venue_symbol(s, s->venue_symbol);
    s->price = s->start_price = known[k].price;
    s->price_scale = known[k].price_scale;
    s->size_scale = known[k].size_scale;
    s->next_id = 1000001 + (int64_t)(sim_random(&m->random) % 1000000000);
    s->series = (struct series){.venue = str_of(v->name),
                                .exchange = str_of(v->name),
                                .symbol = str_of(s->symbol),
                                .venue_symbol = str_of(s->venue_symbol)};
}

void market_init(struct sim_market *m, const struct sim_venue *venue, int symbols, uint64_t seed)
{
    *m = (struct sim_market){.venue = venue, .count = symbols, .random = seed};
    m->symbols = calloc((size_t)symbols, sizeof *m->symbols);
    CHECK(m->symbols != NULL);
    for (int i = 0; i < symbols; i++) init_symbol(m, i);
}

void market_done(struct sim_market *m)
{
    for (int i = 0; i < m->count; i++) free(m->symbols[i].tape);
    free(m->symbols);
    m->symbols = NULL;
}

/* Without ids the key of a print is its time, price and size: times must differ, so that no two prints are one. */
static int64_t trade_time(const struct sim_market *m, const struct sim_symbol *s, int64_t now_ns)
{
    int64_t unit = m->venue->time_unit_ns, t = time_floor(now_ns, unit);
    if (m->venue->ids) return t > s->last_time_ns ? t : s->last_time_ns;
    return t > s->last_time_ns ? t : s->last_time_ns + unit;
}

static u128 hash_of(const struct sim_market *m, const struct sim_trade *t)
{
    const struct trade event = {
        .stream = (uint8_t)m->venue->tape,
        .side = (uint8_t)(m->venue->ids ? t->side : SIDE_UNKNOWN),
        .has_id = m->venue->ids,
        .id = m->venue->ids ? t->id : 0,
        .price = t->price,
        .size = t->size,
        .venue_time_ns = t->time_ns,
    };
    return proof_hash_trade(&m->symbols[t->symbol].series, &event);
}

static struct sim_trade next_trade(struct sim_market *m, int i, int64_t now_ns)
{
    struct sim_symbol *s = &m->symbols[i];
    int64_t step = (int64_t)(sim_random(&m->random) % 11) - 5;
    if (s->price + step > s->start_price / 2 && s->price + step < s->start_price * 2)
        s->price += step;
    int64_t size = 1 + (int64_t)(sim_random(&m->random) % 200000);
    if (sim_random(&m->random) % 4) size = 1 + size / 1000; /* most trades are small */
    s->last_time_ns = trade_time(m, s, now_ns);
    struct sim_trade t = {
        .symbol = i,
        .id = s->next_id++,
        .time_ns = s->last_time_ns,
        .price = dec_normal(s->price, s->price_scale),
        .size = dec_normal(size, s->size_scale),
        .side = sim_random(&m->random) % 2 ? SIDE_BUY : SIDE_SELL,
    };
    sim_tape_add(s, &t);
    s->truth.all_sum += hash_of(m, &t);
    return t;
}

struct sim_trade market_trade(struct sim_market *m, int i, int64_t now_ns)
{
    struct sim_trade t = next_trade(m, i, now_ns);
    struct sim_truth *truth = &m->symbols[i].truth;
    if (truth->generated++ == 0) truth->first_id = t.id;
    truth->last_id = t.id;
    return t;
}

void market_past(struct sim_market *m, int64_t trades, int64_t from_ns, int64_t to_ns)
{
    for (int i = 0; i < m->count; i++) {
        for (int64_t k = 0; k < trades; k++) {
            /* Evenly, and each somewhere in its own part of the time. */
            int64_t part_ns = (to_ns - from_ns) / trades;
            int64_t in_part =
                part_ns > 0 ? (int64_t)(sim_random(&m->random) % (uint64_t)part_ns) : 0;
            (void)next_trade(m, i, from_ns + k * part_ns + in_part);
            m->symbols[i].truth.past++;
        }
    }
}

void market_sent(struct sim_market *m, const struct sim_trade *t)
{
    struct sim_symbol *s = &m->symbols[t->symbol];
    s->truth.sent++;
    s->truth.sent_sum += hash_of(m, t);
}

struct quote market_quote(struct sim_market *m, int i, int64_t now_ns)
{
    struct sim_symbol *s = &m->symbols[i];
    int64_t spread = 1 + (int64_t)(sim_random(&m->random) % 3);
    int64_t bid = s->price > spread ? s->price - spread : 1;
    return (struct quote){
        .bid_price = dec_normal(bid, s->price_scale),
        .bid_size = dec_normal(1 + (int64_t)(sim_random(&m->random) % 500000), s->size_scale),
        .ask_price = dec_normal(s->price + spread, s->price_scale),
        .ask_size = dec_normal(1 + (int64_t)(sim_random(&m->random) % 500000), s->size_scale),
        .venue_time_ns = time_floor(now_ns, m->venue->time_unit_ns),
    };
}

int market_find(const struct sim_market *m, struct str venue_symbol)
{
    for (int i = 0; i < m->count; i++) {
        const char *name = m->symbols[i].venue_symbol;
        if (strlen(name) == venue_symbol.n &&
            strncasecmp(name, venue_symbol.p, venue_symbol.n) == 0)
            return i;
    }
    return -1;
}
