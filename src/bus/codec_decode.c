/* Avro records to events: the frame, the writer's schema and its plan. What the values mean is in codec_events.c. */
#include "bus/codec_internal.h"

#include <stdlib.h>

enum {
    PLANS_MAX = 256,             /* writers' schemas at a time; past it all are made again */
    RECORD_BYTES_MAX = 64 << 20, /* unpacked */
};

struct plan {
    struct registry_id id;
    struct registry_reader *reader; /* NULL: not readable, and why */
    struct err why;
};

struct bus_decoder {
    enum bus_topic topic;
    struct registry *registry;
    struct bus_names names;
    struct plan plans[PLANS_MAX];
    size_t plan_count, newest; /* newest: the one used last */
    struct buf unpacked;
};

struct bus_decoder *bus_decoder_new(enum bus_topic t, struct registry *registry,
                                    struct series_table *series)
{
    struct bus_decoder *d = calloc(1, sizeof *d);
    CHECK(d != NULL);
    d->topic = t;
    d->registry = registry;
    d->names.series = series;
    map_init(&d->names.by_symbol, SERIES_LIMIT);
    buf_init(&d->unpacked, RECORD_BYTES_MAX + 1);
    return d;
}

static void forget(struct bus_decoder *d)
{
    for (size_t i = 0; i < d->plan_count; i++) registry_reader_free(d->plans[i].reader);
    d->plan_count = d->newest = 0;
}

struct bus_decoder *bus_decoder_free(struct bus_decoder *d)
{
    if (!d) return NULL;
    forget(d);
    map_free(&d->names.by_symbol);
    buf_free(&d->unpacked);
    free(d);
    return NULL;
}

static bool same_id(const struct registry_id *a, const struct registry_id *b)
{
    return a->kind == b->kind && a->number == b->number &&
           memcmp(a->uuid, b->uuid, sizeof a->uuid) == 0;
}

static enum err_code plan_of(struct bus_decoder *d, const struct registry_id *id,
                             const struct plan **ret, struct err *e)
{
    if (d->newest < d->plan_count && same_id(&d->plans[d->newest].id, id)) {
        *ret = &d->plans[d->newest];
        return ERR_OK;
    }
    for (size_t i = 0; i < d->plan_count; i++) {
        if (!same_id(&d->plans[i].id, id)) continue;
        d->newest = i;
        *ret = &d->plans[i];
        return ERR_OK;
    }
    struct str writer;
    TRY(registry_schema(d->registry, id, &writer, e));
    if (d->plan_count == PLANS_MAX) forget(d);
    struct plan *p = &d->plans[d->plan_count];
    *p = (struct plan){.id = *id};
    enum err_code code = registry_reader_new(bus_schema(d->topic), writer, &p->reader, &p->why);
    CHECK(code == ERR_OK || code == ERR_INCOMPATIBLE);
    d->newest = d->plan_count++;
    *ret = p;
    return ERR_OK;
}

enum err_code bus_decode(struct bus_decoder *d, struct str record, struct batch *into,
                         struct err *e)
{
    struct registry_id id;
    const struct plan *p;
    TRY(registry_unframe(&record, &d->unpacked, RECORD_BYTES_MAX, &id, e));
    TRY(plan_of(d, &id, &p, e));
    if (!p->reader) {
        if (e) *e = p->why;
        return ERR_INCOMPATIBLE;
    }
    struct registry_value values[FIELDS_MAX];
    TRY(registry_reader_read(p->reader, record, values, e));
    return bus_event_add(d->topic, values, &d->names, into, e);
}
