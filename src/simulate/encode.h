/* encode.h - inside simulate/: small helpers of the venue encoders. */
#ifndef TICKLAKE_SIMULATE_ENCODE_H
#define TICKLAKE_SIMULATE_ENCODE_H

#include "simulate/simulate_internal.h"

#include "venue/json.h"

void put_dec(struct buf *out, struct dec d);
void put_iso(struct buf *out, int64_t ns, const char *zone); /* 6 fraction digits */
/* Parses a client's frame; NULL when it is no JSON. Free with yyjson_doc_free. */
yyjson_doc *parse_frame(struct str frame);
void reply_text(struct sim_client *c, struct buf *frame); /* sim_reply and free */
/* Adds shift (in units of unit_ns) to the integer behind each `"KEY":`. */
void retime_number(struct str frame, const char *const *keys, int64_t shift_ns, int64_t unit_ns,
                   struct buf *out);

#endif
