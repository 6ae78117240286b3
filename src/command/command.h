/* command.h - the subcommands: one file each, one row in the table of main.c.
 *
 * A command gets an `invocation` with the settings already read and its own options parsed by its table, and returns an
 * exit code (docs/operating.md). It prints its result on standard output (JSON with --json), and what it is doing on
 * standard error.
 */
#ifndef TICKLAKE_COMMAND_COMMAND_H
#define TICKLAKE_COMMAND_COMMAND_H

#include "config/config.h"

enum { ARGUMENTS_MAX = 4096 };

struct option {
    const char *name;  /* "speed": --speed */
    const char *value; /* "N"; NULL: a switch */
    const char *help;
};

struct invocation;
struct command {
    const char *name;
    const char *brief;            /* one line, for the list of commands */
    const char *summary;          /* for --help */
    const char *arguments;        /* "PATH..." for the usage line; "" */
    const char *example;          /* lines, each a working command */
    const struct option *options; /* NULL-terminated by name */
    int arguments_least, arguments_most;
    bool needs_config; /* wrong settings end the program before the command runs */
    int (*run)(struct invocation *inv);
};

struct invocation {
    const struct command *command;
    struct config *config;
    bool json;
    const char *values[32]; /* by option index; NULL: not given */
    const char *arguments[ARGUMENTS_MAX];
    size_t argument_count;
};

/* Value of an option (its default where it was not given). A value that is no number of the range ends the program with
 * 64 and a sentence. */
const char *option_text(const struct invocation *inv, const char *name, const char *standard);
int64_t option_int(const struct invocation *inv, const char *name, int64_t standard, int64_t least,
                   int64_t most);
bool option_given(const struct invocation *inv, const char *name);
/* Reads the command line into inv: globals (--config --data --json --set) and the command's own. Errors: ERR_USAGE. */
struct globals {
    const char *config_path, *data;
    const char *sets[64];
    size_t set_count;
    bool help;
};
enum err_code command_parse(struct invocation *inv, struct globals *g, int argc, char **argv,
                            struct err *e) MUST_USE;
void command_help(const struct command *c, struct buf *out);
/* Prints the error (and all the settings' mistakes) to standard error; returns its exit code. */
int command_fail(const struct invocation *inv, const struct err *e);

/* SIGINT and SIGTERM call stop() once, from a thread of their own; a second signal ends the process with 130. Call
 * command_signals_block first, before any thread is started. */
void command_signals_block(void);
enum err_code command_signals_start(void (*stop)(void *ctx), void *ctx, struct err *e) MUST_USE;

/* A line that is rewritten on a terminal (at most 10 a second), and a plain line every 10 s elsewhere. */
void progress_show(const char *format, ...) __attribute__((format(printf, 1, 2)));
void progress_end(void); /* leaves the last line standing */
void progress_clear(void);

/* Columns of a table on a terminal: cells are added row by row, widths found, then printed. Right-aligned: numbers. */
struct table_out {
    struct buf cells;
    size_t columns, count;
};
void table_begin(struct table_out *t, size_t columns);
void table_cell(struct table_out *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_print(struct table_out *t, struct buf *out);
void print_out(struct buf *out); /* to standard output; frees */

extern const struct command command_backfill, command_repair, command_jobs;
extern const struct command command_candles, command_run, command_replay, command_simulate,
    command_gaps, command_status, command_positions, command_venues, command_symbols, command_files,
    command_verify, command_validate, command_compact, command_expire_snapshots,
    command_remove_orphans, command_connect, command_tap, command_schemas, command_version;

#endif
