/* validate: everything that the settings name, tried without running. */
#include "command/instruments.h"
#include "command/validate_internal.h"
#include "io/file.h"
#include "source/source.h"
#include "venue/venue.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct option options[] = {
    {"offline", NULL, "ask nobody: neither venues nor servers"},
    {"keys", NULL, "only print all settings, as the table of docs/settings.md"},
    {NULL, NULL, NULL},
};

void validate_tell(struct finding *f, const struct found *found, const char *format, ...)
{
    char text[1024];
    bool good = found->code == ERR_OK;
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    /* Most errors begin with the address. */
    bool twice = !*found->address || strstr(text, found->address);
    if (f->inv->json) {
        buf_addf(&f->out, "%s{\"check\":", f->count ? ",\n" : "[");
        buf_add_json(&f->out, str_of(found->check));
        buf_addf(&f->out, ",\"good\":%s,\"address\":", good ? "true" : "false");
        buf_add_json(&f->out, str_of(found->address));
        buf_addf(&f->out, ",\"error\":\"%s\",\"detail\":", good ? "" : err_name(found->code));
        buf_add_json(&f->out, str_of(text));
        buf_add_cstr(&f->out, "}");
    } else {
        buf_addf(&f->out, "%-5s %-20s %s%s%s\n", good ? "good" : "WRONG", found->check,
                 twice ? "" : found->address, twice ? "" : ": ", text);
    }
    f->count++;
    if (good) return;
    f->failed++;
    if (f->worst == ERR_OK) f->worst = found->code;
}

static void tell(struct finding *f, bool good, const char *what, const char *detail,
                 enum err_code code)
{
    struct found found = {what, "", good ? ERR_OK : code};
    validate_tell(f, &found, "%s", detail);
}

static void check_folder(struct finding *f)
{
    const struct config *c = f->inv->config;
    struct err e = {0};
    struct local local;
    int lock = -1;
    if (!file_exists(c->data)) {
        tell(f, true, "data folder", "is not there yet; it will be made", ERR_OK);
        return;
    }
    if (access(c->data, W_OK) != 0)
        tell(f, false, "data folder", "cannot be written to: grant this user write access",
             ERR_DISK);
    else if (file_lock(c->data, "validate", &lock, &e) != ERR_OK)
        tell(f, true, "data folder", e.text, ERR_OK);
    else
        tell(f, true, "data folder", "free", ERR_OK);
    file_unlock(lock);
    if (c->store.url || c->lake.catalog) return; /* their own lines tell */
    enum err_code code = local_open(c, true, true, &local, &e);
    if (code == ERR_OK) {
        char text[128];
        snprintf(text, sizeof text, "durable %lld, committed %lld",
                 (long long)store_tail_mark(local.tail), (long long)lake_position(local.lake));
        tell(f, true, "local state", text, ERR_OK);
        local_close(&local);
    } else {
        tell(f, code == ERR_NOT_FOUND, "local state", e.text, code);
    }
}

struct symbol_check {
    const struct config_venue *v;
    bool *found;
    int64_t count;
};

static void each_instrument(void *ctx, const struct instrument *i)
{
    struct symbol_check *s = ctx;
    s->count++;
    for (size_t k = 0; k < s->v->symbols.count; k++)
        if (str_eq(s->v->symbols.items[k], i->symbol)) s->found[k] = true;
}

static void check_venue(struct finding *f, const struct config_venue *v)
{
    const struct venue *venue = venue_by_name(str_of(v->name));
    char what[64], text[256];
    snprintf(what, sizeof what, "venue %.50s", v->name);
    if (!venue) {
        tell(f, false, what, "unknown; `ticklake venues` lists them", ERR_CONFIG);
        return;
    }
    if (venue->needs_token && !v->token) {
        tell(f, false, what, "needs a token: token: or token_file:", ERR_CONFIG);
        return;
    }
    if (option_given(f->inv, "offline")) {
        tell(f, true, what, "not asked", ERR_OK);
        return;
    }
    struct err e = {0};
    struct symbol_check s = {.v = v, .found = calloc(v->symbols.count + 1, sizeof(bool))};
    CHECK(s.found != NULL);
    enum err_code code = instruments_fetch(f->inv->config, venue, each_instrument, &s, &e);
    snprintf(text, sizeof text, "answers; %lld instruments", (long long)s.count);
    tell(f, code == ERR_OK, what, code == ERR_OK ? text : e.text, code);
    for (size_t k = 0; k < v->symbols.count && code == ERR_OK; k++) {
        if (s.found[k] || str_is(v->symbols.items[k], "*")) continue;
        snprintf(text, sizeof text,
                 "%.*s is not in its instrument list; `ticklake symbols --venue %s`",
                 STR_ARG(v->symbols.items[k]), v->name);
        tell(f, false, what, text, ERR_CONFIG);
    }
    free(s.found);
}

static void check_parts(struct finding *f)
{
    struct local l = {.series = series_new(), .lock = -1};
    struct err e = {0};
    enum err_code code = distributed_open(&l.parts, f->inv->config, &e);
    if (code != ERR_OK)
        tell(f, false, "settings", e.text, code);
    else if (option_given(f->inv, "offline"))
        validate_rights(f, &l.parts, &(struct buf){0});
    else
        validate_parts(f, &l);
    local_close(&l);
}

static void end_output(struct finding *f)
{
    if (f->inv->json) {
        buf_add_cstr(&f->out,
                     ",\n{\"check\":\"rights\",\"good\":true,\"address\":\"\",\"error\":\"\","
                     "\"detail\":");
        buf_add_json(&f->out, buf_str(&f->rights));
        buf_add_cstr(&f->out, "}]\n");
    } else {
        buf_add_cstr(&f->out, "\nthe least rights, with the names of these settings:\n");
        buf_add(&f->out, f->rights.data, f->rights.len);
    }
    buf_free(&f->rights);
    print_out(&f->out);
}

static int validate(struct invocation *inv)
{
    struct finding f = {.inv = inv};
    const struct config *c = inv->config;
    buf_init(&f.out, 16 << 20);
    buf_init(&f.rights, 1 << 20);
    if (option_given(inv, "keys")) {
        config_markdown(&f.out);
        print_out(&f.out);
        return 0;
    }
    tell(&f, true, "settings", c->path ? c->path : "built-in defaults, environment and flags",
         ERR_OK);
    check_folder(&f);
    check_parts(&f);
    for (size_t i = 0; i < c->venue_count; i++) check_venue(&f, &c->venues[i]);
    if (c->venue_count == 0)
        tell(&f, true, "venues", "none is configured: replay works, run will ask for one", ERR_OK);
    end_output(&f);
    return f.failed ? err_exit_code(f.worst) : 0;
}

const struct command command_validate = {
    .name = "validate",
    .brief = "settings, folder, servers and venues, tried without running",
    .summary = "Tries everything that the settings name, without running: the data folder, "
               "PostgreSQL and its\n"
               "replication slot, Kafka and its topics, the schema registry, the lake's catalog "
               "and S3, the\n"
               "venues and their symbols. One line each, all mistakes at once, and the least "
               "rights to grant.\n"
               "The exit code is the first failure's.",
    .arguments = "",
    .example = "  ticklake validate --config ticklake.yaml\n  ticklake validate --offline --json",
    .options = options,
    .needs_config = true,
    .run = validate,
};
