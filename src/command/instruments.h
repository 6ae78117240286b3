/* instruments.h - inside command/: a venue asked for its instruments, now. */
#ifndef TICKLAKE_COMMAND_INSTRUMENTS_H
#define TICKLAKE_COMMAND_INSTRUMENTS_H

#include "config/config.h"
#include "venue/venue.h"

/* Calls each() for every instrument; the errors name venue and address, and never the token. */
enum err_code instruments_fetch(const struct config *c, const struct venue *v,
                                void (*each)(void *ctx, const struct instrument *i), void *ctx,
                                struct err *e) MUST_USE;

#endif
