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
/* A record's values, in the order of the topic's fields, as an event in the batch. */
enum err_code bus_event_add(enum bus_topic t, const struct registry_value *values,
                            struct bus_names *names, struct batch *into, struct err *e) MUST_USE;

#endif
