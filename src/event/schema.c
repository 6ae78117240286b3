#include "event/schema.h"

#define X(name, type, required, doc) {#name, COLUMN_##type, required, doc},
static const struct column trades[] = {TRADES_COLUMNS(X)};
static const struct column quotes[] = {QUOTES_COLUMNS(X)};
static const struct column candles[] = {CANDLES_COLUMNS(X)};
static const struct column venue_candles[] = {VENUE_CANDLES_COLUMNS(X)};
static const struct column gaps[] = {GAPS_COLUMNS(X)};
static const struct column instruments[] = {INSTRUMENTS_COLUMNS(X)};
static const struct column dead_letters[] = {DEAD_LETTERS_COLUMNS(X)};
#undef X

static const int trades_sort[] = {TRADES_venue, TRADES_symbol, TRADES_venue_time};
static const int quotes_sort[] = {QUOTES_venue, QUOTES_symbol, QUOTES_received_time};
static const int candles_sort[] = {CANDLES_timeframe, CANDLES_venue, CANDLES_symbol,
                                   CANDLES_open_time};
static const int venue_candles_sort[] = {VENUE_CANDLES_timeframe, VENUE_CANDLES_venue,
                                         VENUE_CANDLES_symbol, VENUE_CANDLES_open_time};
static const int gaps_sort[] = {GAPS_gap_id};
static const int instruments_sort[] = {INSTRUMENTS_venue, INSTRUMENTS_symbol};
static const int dead_letters_sort[] = {DEAD_LETTERS_received_time};
static const int candles_key[] = {CANDLES_venue, CANDLES_symbol, CANDLES_timeframe,
                                  CANDLES_open_time};
static const int instruments_key[] = {INSTRUMENTS_venue, INSTRUMENTS_venue_symbol};

#define COUNT(array)   (int)(sizeof(array) / sizeof((array)[0]))
#define SORTED(array)  .sort_columns = array, .sort_count = COUNT(array)
#define KEYED(array)   .key_columns = array, .key_count = COUNT(array)
#define COLUMNS(array) .columns = array, .column_count = COUNT(array)

static const struct table tables[TABLE_MAX] = {
    {TABLE_TRADES, "trades", COLUMNS(trades), TRADES_venue_time, SORTED(trades_sort)},
    {TABLE_QUOTES, "quotes", COLUMNS(quotes), QUOTES_received_time, SORTED(quotes_sort)},
    {TABLE_CANDLES, "candles", COLUMNS(candles), CANDLES_open_time, SORTED(candles_sort),
     KEYED(candles_key)},
    {TABLE_VENUE_CANDLES, "venue_candles", COLUMNS(venue_candles), VENUE_CANDLES_open_time,
     SORTED(venue_candles_sort)},
    {TABLE_GAPS, "gaps", COLUMNS(gaps), -1, SORTED(gaps_sort), KEYED(gaps_sort)},
    {TABLE_INSTRUMENTS, "instruments", COLUMNS(instruments), -1, SORTED(instruments_sort),
     KEYED(instruments_key)},
    {TABLE_DEAD_LETTERS, "dead_letters", COLUMNS(dead_letters), DEAD_LETTERS_received_time,
     SORTED(dead_letters_sort)},
};

const struct table *table_of(enum table_id id)
{
    CHECK((int)id >= 0 && id < TABLE_MAX);
    return &tables[id];
}

const struct table *table_by_name(struct str name)
{
    for (int i = 0; i < TABLE_MAX; i++)
        if (str_is(name, tables[i].name)) return &tables[i];
    return NULL;
}

int table_column(const struct table *t, const char *name)
{
    for (int i = 0; i < t->column_count; i++)
        if (strcmp(t->columns[i].name, name) == 0) return i;
    check_failed(__FILE__, __LINE__, "a column of that name");
}
