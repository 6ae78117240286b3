/* codec_internal.h - numbers of the fields in the topics' schemas, for schema.c and codec*.c only. */
#ifndef TICKLAKE_BUS_CODEC_INTERNAL_H
#define TICKLAKE_BUS_CODEC_INTERNAL_H

#include "bus/codec.h"

/* Behind the columns of event/schema.h. */
enum { TRADES_ordinal = TRADES_MAX, TRADE_FIELDS };
enum { GAPS_from_time_ns = GAPS_MAX, GAPS_to_time_ns, GAP_FIELDS };
#define FIELDS_MAX 32 /* of any topic; bus_schema checks it */

int bus_field_count(enum bus_topic t);
/* The text of schemas/market.TABLE.avsc: the schema laid out for people, with words about each field. */
void bus_schema_file(enum bus_topic t, struct buf *out);

#endif
