/* The command line: globals and the command's own options, by table. */
#include "command/command.h"

#include <stdio.h>
#include <stdlib.h>

static const struct option globals[] = {
    {"config", "FILE", "settings (default: ticklake.yaml where it is present)"},
    {"data", "DIR", "data folder (default: ./data)"},
    {"set", "KEY=VALUE", "one setting, as lake.commit_ms=200; may be repeated"},
    {"json", NULL, "the result as JSON"},
    {"help", NULL, "this text"},
    {NULL, NULL, NULL},
};

static int option_index(const struct option *list, struct str name)
{
    for (int i = 0; list && list[i].name; i++)
        if (str_is(name, list[i].name)) return i;
    return -1;
}

static const char *nearest(const struct option *list, struct str name, const char *best,
                           int *distance)
{
    for (int i = 0; list && list[i].name; i++) {
        int d = str_distance(name, str_of(list[i].name));
        if (d >= *distance) continue;
        *distance = d;
        best = list[i].name;
    }
    return best;
}

static enum err_code unknown(const struct command *c, struct str name, struct err *e)
{
    int distance = 4;
    const char *best = nearest(c->options, name, NULL, &distance);
    best = nearest(globals, name, best, &distance);
    return ERR(e, ERR_USAGE, "unknown option --%.*s%s%s%s; `ticklake %s --help` lists them",
               STR_ARG(name), best ? "; did you mean --" : "", best ? best : "", best ? "?" : "",
               c->name);
}

static void take_global(struct invocation *inv, struct globals *g, int index, const char *value)
{
    switch (index) {
    case 0: g->config_path = value; break;
    case 1: g->data = value; break;
    case 2: g->sets[g->set_count++] = value; break;
    case 3: inv->json = true; break;
    case 4: g->help = true; break;
    default: check_failed(__FILE__, __LINE__, "a global option");
    }
}

static enum err_code take_option(struct invocation *inv, struct globals *g, int argc, char **argv,
                                 int *at, struct err *e)
{
    struct str value = str_of(argv[*at] + 2);
    bool attached = memchr(value.p, '=', value.n) != NULL;
    struct str name = str_cut(&value, '=');
    int own = option_index(inv->command->options, name), global = option_index(globals, name);
    if (own < 0 && global < 0) return unknown(inv->command, name, e);
    const struct option *o = own >= 0 ? &inv->command->options[own] : &globals[global];
    const char *text = attached ? value.p : "";
    if (o->value && !attached) {
        if (*at + 1 >= argc)
            return ERR(e, ERR_USAGE, "--%s needs a value: --%s %s", o->name, o->name, o->value);
        text = argv[++*at];
    } else if (!o->value && attached) {
        return ERR(e, ERR_USAGE, "--%s takes no value", o->name);
    }
    if (own >= 0)
        inv->values[own] = text;
    else if (global == 2 && g->set_count == sizeof g->sets / sizeof g->sets[0])
        return ERR(e, ERR_USAGE, "--set may be given %zu times at most", g->set_count);
    else
        take_global(inv, g, global, text);
    return ERR_OK;
}

enum err_code command_parse(struct invocation *inv, struct globals *g, int argc, char **argv,
                            struct err *e)
{
    const struct command *c = inv->command;
    bool only_arguments = false;
    for (int i = 0; i < argc; i++) {
        struct str a = str_of(argv[i]);
        if (!only_arguments && str_is(a, "--")) {
            only_arguments = true;
        } else if (!only_arguments && str_is(a, "-h")) {
            g->help = true;
        } else if (!only_arguments && str_starts(a, "--")) {
            TRY(take_option(inv, g, argc, argv, &i, e));
        } else {
            if (inv->argument_count == ARGUMENTS_MAX)
                return ERR(e, ERR_USAGE, "more than %d arguments", ARGUMENTS_MAX);
            inv->arguments[inv->argument_count++] = argv[i];
        }
    }
    if (g->help) return ERR_OK;
    int count = (int)inv->argument_count;
    if (count < c->arguments_least || count > c->arguments_most)
        return ERR(e, ERR_USAGE, "ticklake %s %s: %s; `ticklake %s --help` has an example", c->name,
                   c->arguments,
                   count < c->arguments_least ? "an argument is missing" : "too many arguments",
                   c->name);
    return ERR_OK;
}

const char *option_text(const struct invocation *inv, const char *name, const char *standard)
{
    int i = option_index(inv->command->options, str_of(name));
    CHECK(i >= 0);
    return inv->values[i] ? inv->values[i] : standard;
}

bool option_given(const struct invocation *inv, const char *name)
{
    return option_text(inv, name, NULL) != NULL;
}

int64_t option_int(const struct invocation *inv, const char *name, int64_t standard, int64_t least,
                   int64_t most)
{
    const char *text = option_text(inv, name, NULL);
    int64_t value;
    if (!text) return standard;
    if (str_to_i64(str_of(text), &value) == ERR_OK && value >= least && value <= most) return value;
    fprintf(stderr, "ticklake %s: --%s: expected a whole number from %lld to %lld, got \"%s\"\n",
            inv->command->name, name, (long long)least, (long long)most, text);
    exit(err_exit_code(ERR_USAGE));
}

static void help_options(const struct option *list, struct buf *out)
{
    for (int i = 0; list && list[i].name; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", list[i].name, list[i].value ? " " : "",
                 list[i].value ? list[i].value : "");
        buf_addf(out, "  %-24s %s\n", left, list[i].help);
    }
}

void command_help(const struct command *c, struct buf *out)
{
    buf_addf(out, "usage: ticklake %s%s%s [options]\n\n%s\n\n", c->name, *c->arguments ? " " : "",
             c->arguments, c->summary);
    if (c->options && c->options[0].name) {
        buf_addf(out, "options:\n");
        help_options(c->options, out);
        buf_addf(out, "\n");
    }
    buf_addf(out, "for every command:\n");
    help_options(globals, out);
    buf_addf(out, "\nexample:\n%s\n", c->example);
}

int command_fail(const struct invocation *inv, const struct err *e)
{
    progress_clear();
    if (e->code == ERR_CONFIG && inv->config && inv->config->error_count)
        fprintf(stderr, "%s", buf_cstr(&inv->config->errors));
    fprintf(stderr, "ticklake %s: %s: %s\n", inv->command->name, err_words(e->code), e->text);
    return err_exit_code(e->code);
}
