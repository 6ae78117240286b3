/* Venues, their symbols, and connections. */
#include "source/core_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { INSTRUMENT_KEYS_MAX = 4000000 };

struct venue_names *core_names(struct core *c, const struct venue *v)
{
    for (size_t i = 0; i < c->venue_count; i++)
        if (c->venues[i].venue == v) return c->venues[i].names;
    CHECK(c->venue_count < CORE_VENUES_MAX);
    struct venue_names *names = venue_names_new(v, c->options.series);
    c->venues[c->venue_count++] = (struct core_venue){v, names};
    return names;
}

struct core_connection *core_connection_new(struct core *c, const struct venue *v, struct str name)
{
    struct core_connection *n = calloc(1, sizeof *n);
    CHECK(n != NULL);
    n->venue = v;
    n->names = core_names(c, v);
    n->session = venue_session_new(v, n->names);
    n->number = c->connection_count++;
    if (!str_copy(n->name, sizeof n->name, name))
        str_copy(n->name, sizeof n->name, (struct str){name.p, sizeof n->name - 1});
    n->next = c->connections;
    c->connections = n;
    return n;
}

void core_connected(struct core *c, struct core_connection *n)
{
    venue_session_free(n->session);
    n->session = venue_session_new(n->venue, n->names);
    dedup_connection(c->dedup, n->number);
}

/* ---- Instruments: which are new or changed ---- */

static uint64_t mix(uint64_t hash, struct str s)
{
    char part[16 + 128];
    size_t n = s.n < 128 ? s.n : 128;
    memcpy(part, &hash, 8);
    memcpy(part + 8, &s.n, 8);
    if (n) memcpy(part + 16, s.p, n);
    return hash64((struct str){part, 16 + n});
}

static uint64_t instrument_hash(const struct instrument *i)
{
    uint64_t h = 0;
    const struct str texts[] = {i->symbol, i->venue_symbol, i->base,
                                i->quote,  i->settle,       i->status};
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) h = mix(h, texts[k]);
    const int64_t numbers[] = {i->contract_size.digits, i->contract_size.scale, i->inverse,
                               i->listed_ns, i->delisted_ns};
    return mix(h, (struct str){(const char *)numbers, sizeof numbers});
}

/* Remembers it; true where it is new or differs from what was known. */
static bool remember(struct core *c, const struct instrument *i)
{
    char key[300];
    int n = snprintf(key, sizeof key, "%.*s %.*s", STR_ARG(i->venue), STR_ARG(i->venue_symbol));
    if (n < 0 || (size_t)n >= sizeof key) return false;
    struct str name = {key, (size_t)n};
    uint64_t hash = instrument_hash(i);
    uint32_t at = map_get(&c->instruments, name);
    if (at != MAP_NONE) {
        bool changed = c->instrument_hashes[at] != hash;
        c->instrument_hashes[at] = hash;
        return changed;
    }
    c->instrument_hashes = array_grown(c->instrument_hashes, c->instrument_count,
                                       &c->instrument_cap, sizeof *c->instrument_hashes);
    if (map_put(&c->instruments, name, (uint32_t)c->instrument_count) == MAP_FULL) return true;
    c->instrument_hashes[c->instrument_count++] = hash;
    return true;
}

void core_names_open(struct core *c, const struct source_past *past)
{
    map_init(&c->instruments, INSTRUMENT_KEYS_MAX);
    for (size_t k = 0; past && k < past->instrument_count; k++) {
        const struct venue *v = venue_by_name(past->instruments[k].venue);
        if (!v) continue;
        venue_names_add(core_names(c, v), &past->instruments[k]);
        remember(c, &past->instruments[k]);
    }
}

void core_names_close(struct core *c)
{
    for (struct core_connection *n = c->connections, *next; n; n = next) {
        next = n->next;
        venue_session_free(n->session);
        free(n);
    }
    for (size_t i = 0; i < c->venue_count; i++) venue_names_free(c->venues[i].names);
    map_free(&c->instruments);
    free(c->instrument_hashes);
}

struct listing {
    struct core *c;
    struct venue_names *names;
    struct err *e;
    enum err_code code;
    size_t count;
};

static bool copy_instrument(struct batch *b, const struct instrument *i)
{
    struct instrument copy = *i;
    struct str *const texts[] = {&copy.venue, &copy.symbol, &copy.venue_symbol, &copy.base,
                                 &copy.quote, &copy.settle, &copy.status};
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
        if (texts[k]->n && !batch_text(b, *texts[k], texts[k])) return false;
    struct instrument *to = batch_add_instrument(b);
    if (to) *to = copy;
    return to != NULL;
}

/* A list is no frame: it may be split over batches, since its rows replace each other by key. */
static void one_instrument(void *ctx, const struct instrument *i)
{
    struct listing *l = ctx;
    l->count++;
    venue_names_add(l->names, i);
    if (l->c->skip || l->code != ERR_OK) return;
    if (!remember(l->c, i)) return;
    l->code = core_room(l->c, 0, 1024, l->e);
    if (l->code != ERR_OK || copy_instrument(l->c->batch, i)) return;
    l->code = core_push(l->c, l->e);
    if (l->code == ERR_OK) l->code = core_room(l->c, 0, 1024, l->e);
    if (l->code == ERR_OK && !copy_instrument(l->c->batch, i))
        l->code = ERR(l->e, ERR_FULL, "an instrument does not fit an empty batch");
}

enum err_code core_instruments(struct core *c, const struct core_input *in, size_t *ret_count,
                               struct err *e)
{
    const struct core_connection *n = in->connection;
    *ret_count = 0;
    TRY(core_receive(c, in, e));
    if (!n->venue->instruments_answer)
        return ERR(e, ERR_PARSE, "%s: has no instrument list", n->venue->name);
    struct listing l = {.c = c, .names = n->names, .e = e};
    char *body = core_copy(c, in);
    enum err_code code = n->venue->instruments_answer(body, in->len, one_instrument, &l, e);
    *ret_count = l.count;
    return l.code != ERR_OK ? l.code : code;
}
