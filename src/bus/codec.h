/* codec.h - events to Avro bytes and back; inside bus/.
 *
 * Schemas   bus_schema() (schema.c): record Trade, Quote, Gap, DeadLetter, VenueCandle, Instrument of the namespace
 *           io.ticklake.market; the columns of event/schema.h in their order, an optional one is ["null", T] with default
 *           null, then what the lake's columns do not hold: `ordinal` in trades, `from_time_ns` and `to_time_ns` in gaps (a
 *           window is open or closed by the nanosecond). schemas/market.*.avsc are these texts, laid out for people.
 * Encoding  no allocation but the growth of `out`; 2 to 4 million events/s a core.
 * Decoding  by the writer's own schema, which the registry gives and a plan is made of once: fields by name, Avro's
 *           promotions, missing ones defaulted, unknown ones taken along as the batch's extras (of simple types; the
 *           others are skipped and told). Nanoseconds win over microseconds where both are
 *           there. Every length and count is held to the bytes that are left.
 * Threads   bus_encode: any. A decoder belongs to one thread (its registry does).
 */
#ifndef TICKLAKE_BUS_CODEC_H
#define TICKLAKE_BUS_CODEC_H

#include "bus/bus.h"
#include "event/series.h"

/* The most bytes that one encoded event takes besides its texts. */
enum { BUS_ENCODED_MAX = 640 };

/* Appends the Avro bytes (without the registry's frame) of one event: `index` into the batch's array of that type. ERR_FULL
 * past the limit of `out`, which then holds what it held before. */
enum err_code bus_encode(enum bus_topic t, const struct batch *b, uint32_t index,
                         const struct series_table *names, struct buf *out) MUST_USE;

struct bus_decoder;
/* registry and series are borrowed. */
struct bus_decoder *bus_decoder_new(enum bus_topic t, struct registry *registry,
                                    struct series_table *series);
struct bus_decoder *bus_decoder_free(struct bus_decoder *d);
/* Says once a schema what of it is left out, and that its records cannot be read at all. topic: for people; it and ctx live as
 * long as the decoder. */
void bus_decoder_tell(struct bus_decoder *d, const char *topic,
                      void (*notice)(void *ctx, const char *what, const char *detail), void *ctx);
void bus_decoder_counts(const struct bus_decoder *d, struct bus_strange *add_to);
/* Takes the frame off a record's value, decodes it and adds the event to the batch: it is then the last of its array (and of
 * b->order, instruments aside), its `sequence` as the writer wrote it (0 where the topic has none). Texts are copied.
 *   ERR_FULL      the batch is full, nothing was added: the same record again with another batch
 *   ERR_PARSE ERR_INEXACT ERR_NOT_FOUND ERR_INCOMPATIBLE
 *                 this record cannot be read, and why: no frame, damaged, an unknown word, a decimal that does not fit, an id
 *                 that the registry does not know, a writer's schema that ours cannot read. For the dead letters
 *   others        the registry does not answer: the same record again, later */
enum err_code bus_decode(struct bus_decoder *d, struct str record, struct batch *into,
                         struct err *e) MUST_USE;

#endif
