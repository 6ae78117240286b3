/* Avro records to events: the frame, the writer's schema and its plan. What the values mean is in codec_events.c. */
#include "bus/codec_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PLANS_MAX = 256,             /* writers' schemas at a time; past it all are made again */
    RECORD_BYTES_MAX = 64 << 20, /* unpacked */
};

struct plan {
    struct registry_id id;
    struct registry_reader *reader; /* NULL: not readable, and why */
    struct err why;
    struct bus_extras *extras; /* NULL: the schema has no field that ours has not */
};

struct bus_decoder {
    enum bus_topic topic;
    struct registry *registry;
    struct bus_names names;
    struct plan plans[PLANS_MAX];
    size_t plan_count, newest; /* newest: the one used last */
    struct buf unpacked;
    struct registry_value *extra_values; /* of one record */
    size_t extra_room;
    struct bus_strange strange;
    const char *name; /* of the topic */
    void (*notice)(void *ctx, const char *what, const char *detail);
    void *ctx;
};

struct bus_decoder *bus_decoder_new(enum bus_topic t, struct registry *registry,
                                    struct series_table *series)
{
    struct bus_decoder *d = calloc(1, sizeof *d);
    CHECK(d != NULL);
    d->topic = t;
    d->name = bus_topic_table(t);
    d->registry = registry;
    d->names.series = series;
    map_init(&d->names.by_symbol, SERIES_LIMIT);
    buf_init(&d->unpacked, RECORD_BYTES_MAX + 1);
    return d;
}

static void forget(struct bus_decoder *d)
{
    for (size_t i = 0; i < d->plan_count; i++) registry_reader_free(d->plans[i].reader);
    for (size_t i = 0; i < d->plan_count; i++) free(d->plans[i].extras);
    d->plan_count = d->newest = 0;
}

struct bus_decoder *bus_decoder_free(struct bus_decoder *d)
{
    if (!d) return NULL;
    forget(d);
    map_free(&d->names.by_symbol);
    buf_free(&d->unpacked);
    free(d->extra_values);
    free(d);
    return NULL;
}

void bus_decoder_tell(struct bus_decoder *d, const char *topic,
                      void (*notice)(void *ctx, const char *what, const char *detail), void *ctx)
{
    d->name = topic;
    d->notice = notice;
    d->ctx = ctx;
}

void bus_decoder_counts(const struct bus_decoder *d, struct bus_strange *add_to)
{
    add_to->fields_left_out += d->strange.fields_left_out;
    add_to->records_unreadable += d->strange.records_unreadable;
}

/* ---- a writer's schema, once */

static void tell(const struct bus_decoder *d, const struct registry_id *id, const char *what,
                 const char *detail)
{
    char text[700], name[REGISTRY_ID_TEXT];
    registry_id_text(id, name);
    snprintf(text, sizeof text, "topic %s, schema %s: %s", d->name, name, detail);
    if (d->notice) d->notice(d->ctx, what, text);
}

struct telling {
    const struct bus_decoder *d;
    const struct registry_id *id;
};

static void tell_left_out(void *ctx, const struct registry_extra *x, const char *why)
{
    const struct telling *t = ctx;
    char text[500];
    snprintf(text, sizeof text, "field %.*s (%s): %s", x->name.n > 128 ? 128 : (int)x->name.n,
             x->name.p, x->words, why);
    tell(t->d, t->id, "a field of another writer's schema is left out", text);
}

static void plan_extras(struct bus_decoder *d, struct plan *p)
{
    const struct registry_extra *all;
    size_t count = registry_reader_extras(p->reader, &all);
    if (count == 0) return;
    char id[REGISTRY_ID_TEXT];
    registry_id_text(&p->id, id);
    p->extras = calloc(1, sizeof *p->extras);
    CHECK(p->extras != NULL);
    snprintf(p->extras->from, sizeof p->extras->from, "schema %s of topic %.60s", id, d->name);
    struct telling t = {d, &p->id};
    d->strange.fields_left_out +=
        (int64_t)bus_extras_choose(d->topic, all, count, p->extras, tell_left_out, &t);
    if (count <= d->extra_room) return;
    d->extra_values = realloc(d->extra_values, count * sizeof *d->extra_values);
    CHECK(d->extra_values != NULL);
    d->extra_room = count;
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
    if (p->reader)
        plan_extras(d, p);
    else
        tell(d, id, "records of a schema that cannot be read become dead letters", p->why.text);
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
        d->strange.records_unreadable++;
        if (e) *e = p->why;
        return ERR_INCOMPATIBLE;
    }
    struct registry_value values[FIELDS_MAX];
    TRY(registry_reader_read_all(p->reader, record, values, p->extras ? d->extra_values : NULL, e));
    if (!p->extras) return bus_event_add(d->topic, values, &d->names, into, e);
    const size_t before = into->extra_count;
    p->extras->values = d->extra_values;
    TRY(bus_extras_add(d->topic, p->extras, into, e));
    enum err_code code = bus_event_add(d->topic, values, &d->names, into, e);
    if (code != ERR_OK) into->extra_count = before;
    return code;
}
