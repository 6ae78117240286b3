#include "simulate/history.h"

#include "venue/rest.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- The tape ---- */

void sim_tape_add(struct sim_symbol *s, const struct sim_trade *t)
{
    if (s->tape_count == s->tape_cap) {
        size_t cap = s->tape_cap ? s->tape_cap * 2 : 256;
        s->tape = realloc(s->tape, cap * sizeof *s->tape);
        CHECK(s->tape != NULL);
        s->tape_cap = cap;
    }
    if (s->tape_count == SIM_TAPE_MAX) { /* the older half is history no more */
        s->tape_count /= 2;
        memmove(s->tape, s->tape + SIM_TAPE_MAX - s->tape_count, s->tape_count * sizeof *s->tape);
    }
    s->tape[s->tape_count++] = *t;
}

size_t sim_tape_from_id(const struct sim_symbol *s, int64_t id)
{
    if (s->tape_count == 0 || id <= s->tape[0].id) return 0;
    uint64_t ahead = (uint64_t)id - (uint64_t)s->tape[0].id; /* ids rise by one */
    return ahead < s->tape_count ? (size_t)ahead : s->tape_count;
}

size_t sim_tape_from_time(const struct sim_symbol *s, int64_t time_ns)
{
    size_t low = 0, high = s->tape_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->tape[middle].time_ns < time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- Queries ---- */

int64_t sim_query_number(const struct sim_request *r, const char *name, int64_t standard)
{
    char text[64];
    int64_t value;
    struct str v = rest_query(r->whole, name, text, sizeof text);
    return v.n && str_to_i64(v, &value) == ERR_OK ? value : standard;
}

int sim_query_symbol(const struct sim_market *m, const struct sim_request *r, const char *name)
{
    char text[64];
    return market_find(m, rest_query(r->whole, name, text, sizeof text));
}

/* ---- Bars ---- */

static u128 power(int n)
{
    u128 p = 1;
    while (n-- > 0) p *= 10;
    return p;
}

bool sim_bar(const struct sim_symbol *s, int64_t open_ns, int64_t length_ns, struct sim_bar *ret)
{
    *ret = (struct sim_bar){.open_ns = open_ns};
    for (size_t i = sim_tape_from_time(s, open_ns);
         i < s->tape_count && s->tape[i].time_ns < open_ns + length_ns; i++) {
        const struct sim_trade *t = &s->tape[i];
        u128 base = (u128)t->size.digits * power(18 - t->size.scale);
        u128 quote = (u128)t->size.digits * (u128)t->price.digits *
                     power(18 - t->size.scale - t->price.scale);
        if (ret->trades++ == 0) {
            ret->open = ret->high = ret->low = t->price;
            ret->first_id = t->id;
        }
        if (dec_cmp(t->price, ret->high) > 0) ret->high = t->price;
        if (dec_cmp(t->price, ret->low) < 0) ret->low = t->price;
        ret->close = t->price;
        ret->last_id = t->id;
        ret->base += base;
        ret->quote += quote;
        if (t->side != SIDE_BUY) continue;
        ret->taker_base += base;
        ret->taker_quote += quote;
    }
    return ret->trades > 0;
}

void sim_put_sum(struct buf *out, u128 value)
{
    u128 unit = power(18);
    buf_addf(out, "%llu.%018llu", (unsigned long long)(value / unit),
             (unsigned long long)(value % unit));
}
