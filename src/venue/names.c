#include "venue/names.h"

#include <stdlib.h>

enum {
    INSTRUMENTS_MAX = 1000000,
    TEXT_MAX_BYTES = 256 << 20, /* of all instruments; 8,000 need 1 MB */
    KEY_MAX = 2 * NAMES_TEXT_MAX + 2,
};

struct venue_names {
    const struct venue *venue;
    struct series_table *series;
    struct instrument *instruments;
    size_t count, cap;
    struct map by_venue_symbol, by_symbol; /* index of the instrument */
    struct arena text;
    struct map cache;   /* length, symbol, exchange -> series */
    struct map guesses; /* venue symbols once mapped without an instrument: 1 while that is so */
    size_t guessed;
    /* Most frames speak of the symbol of the frame before. */
    char last[KEY_MAX];
    size_t last_n;
    uint32_t last_series;
};

struct venue_names *venue_names_new(const struct venue *v, struct series_table *series)
{
    struct venue_names *n = calloc(1, sizeof *n);
    CHECK(n != NULL);
    n->venue = v;
    n->series = series;
    map_init(&n->by_venue_symbol, INSTRUMENTS_MAX);
    map_init(&n->by_symbol, INSTRUMENTS_MAX);
    map_init(&n->cache, SERIES_LIMIT);
    map_init(&n->guesses, SERIES_LIMIT);
    arena_init(&n->text, TEXT_MAX_BYTES);
    return n;
}

struct venue_names *venue_names_free(struct venue_names *n)
{
    if (!n) return NULL;
    free(n->instruments);
    map_free(&n->by_venue_symbol);
    map_free(&n->by_symbol);
    map_free(&n->cache);
    map_free(&n->guesses);
    arena_free(&n->text);
    free(n);
    return NULL;
}

static bool same_instrument(const struct instrument *a, const struct instrument *b)
{
    return str_eq(a->symbol, b->symbol) && str_eq(a->base, b->base) && str_eq(a->quote, b->quote) &&
           str_eq(a->settle, b->settle) && str_eq(a->status, b->status) &&
           dec_eq(a->contract_size, b->contract_size) && a->inverse == b->inverse &&
           a->listed_ns == b->listed_ns && a->delisted_ns == b->delisted_ns;
}

/* A copy with its own text; false when the table's memory is used up. */
static bool copy_instrument(struct venue_names *n, const struct instrument *i,
                            struct instrument *ret)
{
    *ret = *i;
    ret->venue = str_of(n->venue->name);
    struct str *texts[] = {&ret->symbol, &ret->venue_symbol, &ret->base,
                           &ret->quote,  &ret->settle,       &ret->status};
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
        if (!arena_copy(&n->text, *texts[k], texts[k])) return false;
    return true;
}

static struct instrument *instrument_slot(struct venue_names *n, struct str venue_symbol)
{
    uint32_t at = map_get(&n->by_venue_symbol, venue_symbol);
    if (at != MAP_NONE) return &n->instruments[at];
    if (n->count == n->cap) {
        size_t cap = n->cap ? n->cap * 2 : 256;
        n->instruments = reallocarray(n->instruments, cap, sizeof *n->instruments);
        CHECK(n->instruments != NULL);
        n->cap = cap;
    }
    if (map_put(&n->by_venue_symbol, venue_symbol, (uint32_t)n->count) == MAP_FULL) return NULL;
    n->instruments[n->count] = (struct instrument){0};
    return &n->instruments[n->count++];
}

void venue_names_add(struct venue_names *n, const struct instrument *i)
{
    if (i->venue_symbol.n == 0 || i->venue_symbol.n > NAMES_TEXT_MAX) return;
    if (i->symbol.n == 0 || i->symbol.n > NAMES_TEXT_MAX) return;
    struct instrument *slot = instrument_slot(n, i->venue_symbol);
    if (!slot || (slot->symbol.n && same_instrument(slot, i))) return;
    struct instrument copy;
    if (!copy_instrument(n, i, &copy)) return;
    *slot = copy;
    map_put(&n->by_symbol, copy.symbol, (uint32_t)(slot - n->instruments));
    if (map_get(&n->guesses, copy.venue_symbol) == 1) {
        map_put(&n->guesses, copy.venue_symbol, 0);
        n->guessed--;
    }
    /* What was mapped before may map otherwise now. Lists are added in one go, so this is cheap. */
    if (n->cache.used) map_clear(&n->cache);
    n->last_n = 0;
}

size_t venue_names_count(const struct venue_names *n) { return n->count; }
size_t venue_names_guessed(const struct venue_names *n) { return n->guessed; }

bool venue_names_venue_symbol(const struct venue_names *n, struct str symbol, struct str *ret)
{
    uint32_t at = map_get(&n->by_symbol, symbol);
    if (at == MAP_NONE) return false;
    /* The symbol of an instrument may have changed since: then it is not its symbol any more. */
    if (!str_eq(n->instruments[at].symbol, symbol)) return false;
    *ret = n->instruments[at].venue_symbol;
    return true;
}

const struct instrument *venue_names_instrument(const struct venue_names *n, size_t index)
{
    CHECK(index < n->count);
    return &n->instruments[index];
}

void names_upper(struct str s, char *text)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        text[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
}

void names_lower(struct str s, char *text)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        text[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
}

bool names_compose(const struct venue_symbol_parts *parts, struct str settle, char *text,
                   size_t size)
{
    if (parts->base.n == 0 || parts->quote.n == 0 || size == 0) return false;
    bool settles_elsewhere = settle.n && !str_eq(settle, parts->quote);
    const struct str pieces[] = {parts->base,
                                 STR("-"),
                                 parts->quote,
                                 settles_elsewhere ? STR(":") : STR(""),
                                 settles_elsewhere ? settle : STR(""),
                                 str_of(parts->suffix)};
    size_t len = 0;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        if (pieces[i].n >= size - len) return false;
        names_upper(pieces[i], text + len);
        len += pieces[i].n;
    }
    text[len] = 0;
    return true;
}

bool names_split_at(struct str venue_symbol, char separator, struct venue_symbol_parts *ret)
{
    struct str rest = venue_symbol;
    struct str base = str_cut(&rest, separator);
    if (base.n == 0 || rest.n == 0 || memchr(rest.p, separator, rest.n)) return false;
    *ret = (struct venue_symbol_parts){.base = base, .quote = rest, .certain = true};
    return true;
}

bool names_split(const char *quote_currencies, struct str venue_symbol,
                 struct venue_symbol_parts *ret)
{
    if (venue_symbol.n > NAMES_TEXT_MAX || !quote_currencies) return false;
    char upper[NAMES_TEXT_MAX];
    names_upper(venue_symbol, upper);
    struct str whole = {upper, venue_symbol.n};
    for (struct str list = str_of(quote_currencies); list.n;) {
        struct str quote = str_cut(&list, ' ');
        if (quote.n == 0 || quote.n >= whole.n) continue;
        size_t at = whole.n - quote.n;
        if (!str_eq((struct str){whole.p + at, quote.n}, quote)) continue;
        *ret = (struct venue_symbol_parts){.base = {venue_symbol.p, at},
                                           .quote = {venue_symbol.p + at, quote.n}};
        return true;
    }
    return false;
}

/* Bytes of the well-formed UTF-8 sequence at the start of s, or 0. */
static size_t sequence_length(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    if (p[0] < 0x80) return p[0] >= 0x20 && p[0] != 0x7f;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n > s.n) return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] > 0x9f, past_end = p[0] == 0xf4 && p[1] > 0x8f;
    return overlong || surrogate || past_end ? 0 : n;
}

bool names_is_clean(struct str s)
{
    while (s.n) {
        size_t n = sequence_length(s);
        if (n == 0) return false;
        s = (struct str){s.p + n, s.n - n};
    }
    return true;
}

/* The normalised symbol of a venue symbol that no instrument list names. */
static struct str guess_symbol(struct venue_names *n, struct str venue_symbol, char *text)
{
    struct venue_symbol_parts parts = {.base = {NULL, 0}};
    bool split = n->venue->split_symbol
                     ? n->venue->split_symbol(venue_symbol, &parts)
                     : names_split(n->venue->quote_currencies, venue_symbol, &parts);
    bool composed = split && names_compose(&parts, STR(""), text, NAMES_TEXT_MAX);
    if ((!composed || !parts.certain) && map_get(&n->guesses, venue_symbol) == MAP_NONE &&
        map_put(&n->guesses, venue_symbol, 1) == 1)
        n->guessed++;
    if (composed) return str_of(text);
    names_upper(venue_symbol, text);
    return (struct str){text, venue_symbol.n};
}

static uint32_t find_series(struct venue_names *n, struct str venue_symbol, struct str exchange)
{
    if (!names_is_clean(venue_symbol) || !names_is_clean(exchange)) return SERIES_NONE;
    char text[NAMES_TEXT_MAX];
    uint32_t at = map_get(&n->by_venue_symbol, venue_symbol);
    struct str symbol =
        at != MAP_NONE ? n->instruments[at].symbol : guess_symbol(n, venue_symbol, text);
    struct str venue = str_of(n->venue->name);
    return series_intern(n->series, venue, exchange.n ? exchange : venue, symbol, venue_symbol);
}

uint32_t venue_names_series(struct venue_names *n, struct str venue_symbol, struct str exchange)
{
    if (venue_symbol.n == 0 || venue_symbol.n >= NAMES_TEXT_MAX) return SERIES_NONE;
    if (exchange.n > NAMES_TEXT_MAX) return SERIES_NONE;
    size_t len = 1 + venue_symbol.n + exchange.n;
    char key[KEY_MAX];
    key[0] = (char)venue_symbol.n; /* a hostile name may hold any separator */
    memcpy(key + 1, venue_symbol.p, venue_symbol.n);
    if (exchange.n) memcpy(key + 1 + venue_symbol.n, exchange.p, exchange.n);
    if (len == n->last_n && memcmp(key, n->last, len) == 0) return n->last_series;
    struct str whole = {key, len};
    uint32_t series = map_get(&n->cache, whole);
    if (series == MAP_NONE) {
        series = find_series(n, venue_symbol, exchange);
        if (series == SERIES_NONE) return series;
        map_put(&n->cache, whole, series); /* a full cache is only slower */
    }
    memcpy(n->last, key, len);
    n->last_n = len;
    n->last_series = series;
    return series;
}
