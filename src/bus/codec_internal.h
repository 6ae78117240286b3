/* codec_internal.h - numbers of the fields in the topics' schemas, for schema.c and codec*.c only. */
#ifndef TICKLAKE_BUS_CODEC_INTERNAL_H
#define TICKLAKE_BUS_CODEC_INTERNAL_H

#include "base/map.h"
#include "bus/codec.h"

/* Behind the columns of event/schema.h. */
enum { TRADES_ordinal = TRADES_MAX, TRADE_FIELDS };
enum { GAPS_from_time_ns = GAPS_MAX, GAPS_to_time_ns, GAP_FIELDS };
#define FIELDS_MAX 32 /* of any topic; bus_schema checks it */

int bus_field_count(enum bus_topic t);
/* The text of schemas/market.TABLE.avsc: the schema laid out for people, with words about each field. */
void bus_schema_file(enum bus_topic t, struct buf *out);

/* Series of events that carry venue and symbol alone: any series of that tape, found once. */
struct bus_names {
    struct series_table *series;
    struct map by_symbol;
};
/* Fields of a writer's schema that are taken along. */
enum { BUS_EXTRAS_MAX = 64 };
struct bus_extra {
    struct str name;
    enum column_type type;
    size_t at; /* among the reader's extras */
};
struct bus_extras {
    struct bus_extra items[BUS_EXTRAS_MAX];
    size_t count;
    char from[120];
    const struct registry_value *values; /* of the record at hand */
};
/* codec_extra.c: chooses; tells each that is left out, and returns how many. */
size_t bus_extras_choose(enum bus_topic t, const struct registry_extra *all, size_t count,
                         struct bus_extras *ret,
                         void (*tell)(void *ctx, const struct registry_extra *x, const char *why),
                         void *ctx);
/* Adds the values for the event that the batch gets next. ERR_FULL, ERR_PARSE, ERR_INEXACT. */
enum err_code bus_extras_add(enum bus_topic t, const struct bus_extras *x, struct batch *into,
                             struct err *e) MUST_USE;

/* A record's values, in the order of the topic's fields, as an event in the batch. */
enum err_code bus_event_add(enum bus_topic t, const struct registry_value *values,
                            struct bus_names *names, struct batch *into, struct err *e) MUST_USE;
enum err_code bus_decimal(struct str bytes,
                          i128 *ret); /* ERR_INEXACT: more than 128 bits; ERR_PARSE */

#endif
