/* json.h - an event as one JSON object, for `tap`, /live and the dead letters' listing. Decimals are strings. */
#ifndef TICKLAKE_EVENT_JSON_H
#define TICKLAKE_EVENT_JSON_H

#include "event/batch.h"

void event_json(const struct batch *b, struct event_ref ref, const struct series_table *names,
                struct buf *out);
void gap_json(const struct gap *g, const struct series_table *names, struct buf *out);

#endif
