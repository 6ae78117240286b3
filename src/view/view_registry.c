/* The registry: what it has of our topics, and how that differs from what this program writes. */
#include "view/view_internal.h"

#include <stdio.h>

struct differences {
    struct buf *out;
    int64_t count;
};

static void put_difference(void *ctx, const struct registry_difference *d)
{
    struct differences *x = ctx;
    buf_addf(x->out, "%s{\"field\":", x->count++ ? "," : "");
    buf_add_json(x->out, d->field);
    view_put_text(x->out, "ours", str_of(d->ours));
    view_put_text(x->out, "theirs", str_of(d->theirs));
    buf_add_byte(x->out, '}');
}

static void put_schema(struct buf *out, struct str schema)
{
    buf_add_cstr(out, ",\"schema\":");
    buf_add_json(out, schema);
}

static enum err_code put_subject(struct view_probe *p, enum bus_topic t, struct view_look *ret,
                                 struct err *e)
{
    struct bus_options o = distributed_bus(&p->parts, p->series);
    struct buf *out = &ret->page[VIEW_SCHEMAS];
    char topic[BUS_NAME_MAX], subject[BUS_NAME_MAX + 8], id_text[REGISTRY_ID_TEXT];
    struct registry_id id;
    int32_t version = 0;
    struct str theirs;
    bus_topic_name(&o, t, topic);
    snprintf(subject, sizeof subject, "%s-value", topic);
    enum err_code code =
        registry_latest(p->parts.registry, str_of(subject), &id, &version, &theirs, e);
    if (code != ERR_OK && code != ERR_NOT_FOUND) return code;
    bool found = code == ERR_OK;
    buf_addf(out, "%s{\"table\":\"%s\"", t ? "," : "", bus_topic_table(t));
    view_put_text(out, "subject", str_of(subject));
    if (!found) {
        ret->numbers.different++;
        buf_add_cstr(out, ",\"state\":\"absent\",\"differences\":[]");
        put_schema(out, bus_schema(t));
        buf_add_byte(out, '}');
        return ERR_OK;
    }
    ret->numbers.subjects++;
    registry_id_text(&id, id_text);
    buf_addf(out, ",\"version\":%d,\"id\":\"%s\",\"differences\":[", version, id_text);
    struct differences d = {.out = out};
    size_t count;
    struct err local = {0};
    code = registry_compare(bus_schema(t), theirs, put_difference, &d, &count, &local);
    buf_addf(out, "],\"state\":\"%s\"",
             code != ERR_OK ? "unreadable"
             : d.count      ? "different"
                            : "equal");
    if (code != ERR_OK) view_put_text(out, "error", str_of(local.text));
    if (code != ERR_OK || d.count) ret->numbers.different++;
    put_schema(out, theirs);
    buf_add_byte(out, '}');
    return ERR_OK;
}

enum err_code view_look_registry(struct view_probe *p, struct view_look *ret, struct err *e)
{
    static const char *const kinds[] = {"none", "Confluent API", "AWS Glue"};
    struct buf *out = &ret->page[VIEW_SCHEMAS];
    ret->numbers.subjects = ret->numbers.different = 0;
    buf_addf(out, ",\"kind\":\"%s\"", kinds[p->view->options.config->registry.kind]);
    view_put_text(out, "address", str_of(registry_address(p->parts.registry)));
    buf_add_cstr(out, ",\"subjects\":[");
    for (int t = 0; t < BUS_TOPICS; t++) TRY(put_subject(p, (enum bus_topic)t, ret, e));
    buf_add_byte(out, ']');
    return ERR_OK;
}
