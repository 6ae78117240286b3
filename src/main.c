/* main.c - the table of subcommands. */
#include "base/crash.h"
#include "command/command.h"

#include <stdio.h>
#include <stdlib.h>

extern char **environ;

static const struct command *const commands[] = {
    &command_run,      &command_replay,           &command_simulate,
    &command_verify,   &command_status,           &command_candles,
    &command_gaps,     &command_positions,        &command_files,
    &command_tap,      &command_connect,          &command_venues,
    &command_symbols,  &command_validate,         &command_compact,
    &command_backfill, &command_repair,           &command_jobs,
    &command_schemas,  &command_expire_snapshots, &command_remove_orphans,
    &command_version,
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void usage(FILE *to)
{
    fprintf(to,
            "usage: ticklake COMMAND [options]\n\n"
            "Every trade and quote of the large crypto venues into a lakehouse: complete, exact,\n"
            "about a second old, and provably so.\n\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-16s %s\n", commands[i]->name, commands[i]->brief);
    fprintf(to, "\n`ticklake COMMAND --help` has options and an example. Begin with:\n"
                "  ticklake replay --data ./data RECORDING     a recording into a lake\n"
                "  ticklake run --config ticklake.yaml         live venues into a lake\n"
                "  ticklake verify --data ./data               the proof\n");
}

static const struct command *find(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (str_is(str_of(name), commands[i]->name)) return commands[i];
    return NULL;
}

static int unknown(const char *name)
{
    const char *best = NULL;
    int best_distance = 4;
    for (int i = 0; i < COMMANDS; i++) {
        int d = str_distance(str_of(name), str_of(commands[i]->name));
        if (d < best_distance) {
            best_distance = d;
            best = commands[i]->name;
        }
    }
    fprintf(stderr, "ticklake: \"%s\" is no command%s%s%s; `ticklake --help` lists them\n", name,
            best ? "; did you mean " : "", best ? best : "", best ? "?" : "");
    return err_exit_code(ERR_USAGE);
}

/* Defaults < file < environment < flags. */
static enum err_code read_settings(struct invocation *inv, const struct globals *g, struct err *e)
{
    inv->config = config_new();
    TRY(config_load(inv->config, g->config_path, e));
    config_environment(inv->config, environ);
    for (size_t i = 0; i < g->set_count; i++) config_set(inv->config, g->sets[i], "--set");
    if (g->data) {
        struct buf b;
        buf_init(&b, 1 << 16);
        buf_addf(&b, "data=%s", g->data);
        config_set(inv->config, buf_cstr(&b), "--data");
        buf_free(&b);
    }
    TRY(config_finish(inv->config, e));
    log_setup((enum log_level)inv->config->log.level, (enum log_format)inv->config->log.format);
    return ERR_OK;
}

static int run_command(const struct command *c, int argc, char **argv)
{
    struct err e = {0};
    struct globals g = {0};
    static struct invocation inv; /* large, and there is one */
    inv.command = c;
    enum err_code code = command_parse(&inv, &g, argc, argv, &e);
    if (code == ERR_OK && g.help) {
        struct buf out;
        buf_init(&out, 1 << 20);
        command_help(c, &out);
        print_out(&out);
        return 0;
    }
    if (code == ERR_OK) code = read_settings(&inv, &g, &e);
    int exit_code = code == ERR_OK ? c->run(&inv) : command_fail(&inv, &e);
    inv.config = config_free(inv.config);
    return exit_code;
}

int main(int argc, char **argv)
{
    crash_setup(getenv("TICKLAKE_CRASH"));
    if (argc < 2) {
        usage(stderr);
        return err_exit_code(ERR_USAGE);
    }
    struct str first = str_of(argv[1]);
    if (str_is(first, "--help") || str_is(first, "-h") || str_is(first, "help")) {
        usage(stdout);
        return 0;
    }
    if (str_is(first, "--version")) return run_command(&command_version, 0, argv);
    const struct command *c = find(argv[1]);
    return c ? run_command(c, argc - 2, argv + 2) : unknown(argv[1]);
}
