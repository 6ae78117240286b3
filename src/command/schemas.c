/* ticklake schemas: our schemas, and what the registry has of them. */
#include "bus/bus.h"
#include "command/command.h"
#include "run/distributed.h"

#include <stdio.h>

enum { OUT_BYTES_MAX = 16 << 20, SUBJECT_MAX = BUS_NAME_MAX + 8 };

enum state { STATE_ABSENT, STATE_EQUAL, STATE_COMPATIBLE, STATE_INCOMPATIBLE };
static const char *const state_words[] = {"absent", "equal", "compatible", "incompatible"};

struct schemas {
    struct invocation *inv;
    struct distributed parts;
    struct registry *registry; /* of the parts */
    struct buf out;
    struct table_out table;
    size_t count, incompatible;
};

/* What the registry has of one topic. */
struct found {
    enum bus_topic topic;
    char subject[SUBJECT_MAX];
    enum state state;
    struct registry_id id;
    int32_t version; /* 0: none */
    struct err why;  /* INCOMPATIBLE: the reason */
};

/* ERR_OK also where ours would be refused: that is in ret->state. */
static enum err_code look(struct schemas *s, enum bus_topic t, struct found *ret, struct err *e)
{
    *ret = (struct found){.topic = t};
    struct bus_options bus = distributed_bus(&s->parts, NULL);
    char topic[BUS_NAME_MAX];
    bus_topic_name(&bus, t, topic);
    snprintf(ret->subject, sizeof ret->subject, "%s-value", topic);
    struct str theirs, subject = str_of(ret->subject);
    enum err_code code = registry_latest(s->registry, subject, &ret->id, &ret->version, &theirs, e);
    if (code == ERR_NOT_FOUND) return ERR_OK;
    TRY(code);
    size_t differences = 1;
    if (registry_compare(bus_schema(t), theirs, NULL, NULL, &differences, NULL) == ERR_OK &&
        differences == 0) {
        ret->state = STATE_EQUAL;
        return ERR_OK;
    }
    ret->state = STATE_COMPATIBLE;
    code = registry_check(s->registry, subject, bus_schema(t), &ret->why);
    if (code == ERR_INCOMPATIBLE) {
        ret->state = STATE_INCOMPATIBLE;
        s->incompatible++;
        return ERR_OK;
    }
    if (code != ERR_OK && e) *e = ret->why;
    return code;
}

static void begin_row(struct schemas *s) { buf_add_cstr(&s->out, s->count++ ? ",\n" : ""); }

static void show(struct schemas *s, const struct found *f)
{
    char id[REGISTRY_ID_TEXT] = "-";
    if (f->version) registry_id_text(&f->id, id);
    bool refused = f->state == STATE_INCOMPATIBLE;
    if (!s->inv->json) {
        table_cell(&s->table, "%s", f->subject);
        table_cell(&s->table, f->version ? "%d" : "-", (int)f->version);
        table_cell(&s->table, "%s", id);
        table_cell(&s->table, "%s", state_words[f->state]);
        table_cell(&s->table, "%s", refused ? f->why.text : "");
        return;
    }
    begin_row(s);
    buf_addf(&s->out, "{\"table\":\"%s\",\"subject\":", bus_topic_table(f->topic));
    buf_add_json(&s->out, str_of(f->subject));
    if (f->version) buf_addf(&s->out, ",\"version\":%d,\"id\":\"%s\"", (int)f->version, id);
    buf_addf(&s->out, ",\"state\":\"%s\"", state_words[f->state]);
    if (refused) buf_add_cstr(&s->out, ",\"reason\":");
    if (refused) buf_add_json(&s->out, str_of(f->why.text));
    buf_add_cstr(&s->out, "}");
}

static enum err_code list(struct schemas *s, enum bus_topic t, struct err *e)
{
    struct found f;
    TRY(look(s, t, &f, e));
    show(s, &f);
    return ERR_OK;
}

static enum err_code register_one(struct schemas *s, enum bus_topic t, struct err *e)
{
    struct found f;
    TRY(look(s, t, &f, e));
    if (f.state == STATE_INCOMPATIBLE) {
        if (e) *e = f.why;
        return ERR_INCOMPATIBLE;
    }
    TRY(registry_register(s->registry, str_of(f.subject), bus_schema(t), &f.id, e));
    return list(s, t, e);
}

/* ---- compare ---- */

struct comparison {
    struct schemas *s;
    const char *subject;
    size_t count;
};

static void tell_difference(void *ctx, const struct registry_difference *d)
{
    struct comparison *c = ctx;
    struct schemas *s = c->s;
    struct str field = d->field.n ? d->field : STR("(record)");
    if (!s->inv->json) {
        table_cell(&s->table, "%s", c->subject);
        table_cell(&s->table, "%.*s", STR_ARG(field));
        table_cell(&s->table, "%s", d->ours);
        table_cell(&s->table, "%s", d->theirs);
        return;
    }
    buf_add_cstr(&s->out, c->count++ ? ",{\"field\":" : "{\"field\":");
    buf_add_json(&s->out, d->field);
    buf_add_cstr(&s->out, ",\"ours\":");
    buf_add_json(&s->out, str_of(d->ours));
    buf_add_cstr(&s->out, ",\"theirs\":");
    buf_add_json(&s->out, str_of(d->theirs));
    buf_add_cstr(&s->out, "}");
}

static enum err_code compare(struct schemas *s, enum bus_topic t, struct err *e)
{
    struct found f;
    struct str theirs;
    TRY(look(s, t, &f, e));
    if (s->inv->json) {
        begin_row(s);
        buf_add_cstr(&s->out, "{\"subject\":");
        buf_add_json(&s->out, str_of(f.subject));
        buf_addf(&s->out, ",\"state\":\"%s\",\"differences\":[", state_words[f.state]);
    }
    enum err_code code = ERR_OK;
    struct comparison c = {s, f.subject, 0};
    size_t differences = 0;
    if (f.state == STATE_ABSENT && !s->inv->json) {
        struct registry_difference none = {STR(""), "ours", "absent"};
        tell_difference(&c, &none);
    } else if (f.state != STATE_ABSENT) {
        code = registry_latest(s->registry, str_of(f.subject), &f.id, &f.version, &theirs, e);
        struct err why = {0};
        if (code == ERR_OK && registry_compare(bus_schema(t), theirs, tell_difference, &c,
                                               &differences, &why) != ERR_OK) {
            struct registry_difference unreadable = {STR(""), "ours", why.text};
            tell_difference(&c, &unreadable);
        }
    }
    if (s->inv->json) buf_add_cstr(&s->out, "]}");
    return code;
}

/* ---- the command ---- */

static const struct verb {
    const char *name;
    enum err_code (*each)(struct schemas *s, enum bus_topic t, struct err *e);
    const char *heads[6];
} verbs[] = {
    {"list", list, {"subject", "version", "id", "ours is", "why"}},
    {"check", list, {"subject", "version", "id", "ours is", "why"}},
    {"register", register_one, {"subject", "version", "id", "ours is", "why"}},
    {"compare", compare, {"subject", "field", "ours", "registry"}},
};
enum { VERBS = sizeof verbs / sizeof verbs[0], CHECKING = 1, COMPARING = 3 };

static const struct verb *verb_of(const struct invocation *inv, struct err *e)
{
    if (inv->argument_count == 0) return &verbs[0];
    for (int i = 0; i < VERBS; i++)
        if (strcmp(inv->arguments[0], verbs[i].name) == 0) return &verbs[i];
    ERR(e, ERR_USAGE, "schemas: expected list, compare, check or register, got \"%s\"",
        inv->arguments[0]);
    return NULL;
}

static void end_output(struct schemas *s, const struct verb *v, bool done)
{
    if (s->inv->json) {
        buf_add_cstr(&s->out, "]\n");
    } else if (s->table.count > s->table.columns) {
        table_print(&s->table, &s->out);
    } else if (done && v == &verbs[COMPARING]) {
        buf_addf(&s->out, "all %d schemas are the same at %s\n", BUS_TOPICS,
                 registry_address(s->registry));
    }
    buf_free(&s->table.cells);
}

static int schemas(struct invocation *inv)
{
    struct err e = {0};
    const struct verb *v = verb_of(inv, &e);
    if (!v) return command_fail(inv, &e);
    struct schemas s = {.inv = inv};
    if (distributed_open(&s.parts, inv->config, &e) != ERR_OK) return command_fail(inv, &e);
    s.registry = s.parts.registry;
    if (!s.registry) {
        ERR(&e, ERR_CONFIG, "no schema registry is set: give registry.kind (confluent or glue)");
        distributed_close(&s.parts);
        return command_fail(inv, &e);
    }
    size_t columns = 0;
    while (v->heads[columns]) columns++;
    buf_init(&s.out, OUT_BYTES_MAX);
    if (inv->json) buf_add_cstr(&s.out, "[");
    table_begin(&s.table, columns);
    for (size_t i = 0; i < columns; i++) table_cell(&s.table, "%s", v->heads[i]);
    enum err_code code = ERR_OK;
    for (int t = 0; t < BUS_TOPICS && code == ERR_OK; t++)
        code = v->each(&s, (enum bus_topic)t, &e);
    end_output(&s, v, code == ERR_OK);
    if (code == ERR_OK || s.count || s.table.count > columns)
        print_out(&s.out);
    else
        buf_free(&s.out);
    distributed_close(&s.parts);
    if (code != ERR_OK) return command_fail(inv, &e);
    return v == &verbs[CHECKING] && s.incompatible ? err_exit_code(ERR_DIFFERENT) : 0;
}

const struct command command_schemas = {
    .name = "schemas",
    .brief = "our schemas, and what the registry has",
    .summary = "The Avro schemas of the topics against the registry of the settings.\n"
               "  list      subjects with version and id, and whether ours is equal, compatible or "
               "not (the default)\n"
               "  compare   the differences, field by field\n"
               "  check     as list; exit code 1 when the registry or our own rule would refuse "
               "one of ours\n"
               "  register  registers those that are not there; 78 when one is refused",
    .arguments = "[list|compare|check|register]",
    .example = "  ticklake schemas --config ticklake.yaml\n"
               "  ticklake schemas check --set registry.kind=confluent "
               "--set registry.url=http://127.0.0.1:8081",
    .arguments_least = 0,
    .arguments_most = 1,
    .needs_config = true,
    .run = schemas,
};
