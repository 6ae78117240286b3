/* validate: the settings, the data folder and the venues, tried without running. */
#include "command/instruments.h"
#include "command/local.h"
#include "io/file.h"
#include "source/source.h"
#include "venue/venue.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct option options[] = {
    {"offline", NULL, "do not ask the venues"},
    {"keys", NULL, "only print all settings, as the table of docs/settings.md"},
    {NULL, NULL, NULL},
};

struct finding {
    const struct invocation *inv;
    struct buf out;
    int count, failed;
    enum err_code worst;
};

static void tell(struct finding *f, bool good, const char *what, const char *detail,
                 enum err_code code)
{
    if (f->inv->json) {
        buf_addf(&f->out, "%s{\"check\":", f->count ? ",\n" : "[");
        buf_add_json(&f->out, str_of(what));
        buf_addf(&f->out, ",\"good\":%s,\"detail\":", good ? "true" : "false");
        buf_add_json(&f->out, str_of(detail));
        buf_add_cstr(&f->out, "}");
    } else {
        buf_addf(&f->out, "%-5s %-24s %s\n", good ? "good" : "WRONG", what, detail);
    }
    f->count++;
    if (good) return;
    f->failed++;
    if (f->worst == ERR_OK) f->worst = code;
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

static int validate(struct invocation *inv)
{
    struct finding f = {.inv = inv};
    const struct config *c = inv->config;
    buf_init(&f.out, 16 << 20);
    if (option_given(inv, "keys")) {
        config_markdown(&f.out);
        print_out(&f.out);
        return 0;
    }
    tell(&f, true, "settings", c->path ? c->path : "built-in defaults, environment and flags",
         ERR_OK);
    check_folder(&f);
    for (size_t i = 0; i < c->venue_count; i++) check_venue(&f, &c->venues[i]);
    if (c->venue_count == 0)
        tell(&f, true, "venues", "none is configured: replay works, run will ask for one", ERR_OK);
    if (inv->json)
        buf_add_cstr(&f.out, "]\n");
    else
        buf_addf(&f.out,
                 "rights needed: read and write in %s; outgoing HTTPS and WSS to the venues\n",
                 c->data);
    print_out(&f.out);
    return f.failed ? err_exit_code(f.worst) : 0;
}

const struct command command_validate = {
    .name = "validate",
    .brief = "settings, data folder and venues, tried without running",
    .summary =
        "Tries the settings, the data folder and the venues without running; all mistakes at once.",
    .arguments = "",
    .example = "  ticklake validate --config ticklake.yaml\n  ticklake validate --offline --json",
    .options = options,
    .needs_config = true,
    .run = validate,
};
