#include "command/instruments.h"

#include "source/source.h"

static const struct config_venue *configured(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->venue_count; i++)
        if (strcmp(c->venues[i].name, name) == 0) return &c->venues[i];
    return NULL;
}

enum err_code instruments_fetch(const struct config *c, const struct venue *v,
                                void (*each)(void *ctx, const struct instrument *i), void *ctx,
                                struct err *e)
{
    const struct config_venue *cv = configured(c, v->name);
    struct source_fetch f = {
        .venue = v,
        .rest_url = cv ? cv->rest_url : NULL,
        .token = str_of(cv ? cv->token : NULL),
        .connect_timeout_ms = (int32_t)c->source.connect_timeout_ms,
        .tls_verify = c->source.tls_verify,
        .ca_file = c->source.ca_file,
    };
    return source_fetch_instruments(&f, each, ctx, e);
}
