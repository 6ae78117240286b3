/* compact: small files joined, position deletes applied, by hand. A running program does it itself. */
#include "command/local.h"
#include "io/clock.h"

#include <stdio.h>

static const struct option options[] = {
    {"dry-run", NULL, "only tell what would be done"},
    {NULL, NULL, NULL},
};

static void tell(void *ctx, const char *line)
{
    (void)ctx;
    fprintf(stderr, "%s\n", line);
}

static enum err_code rounds(struct invocation *inv, struct lake *lake, int64_t *ret_files,
                            struct err *e)
{
    enum { ROUNDS_MAX = 10000 };
    bool dry = option_given(inv, "dry-run");
    for (int i = 0; i < ROUNDS_MAX; i++) {
        int64_t files = 0;
        TRY(lake_compact(lake, dry, clock_wall_ns(), &files, tell, NULL, e));
        *ret_files += files;
        if (files == 0 || dry) break;
        progress_show("compact: %lld files joined", (long long)*ret_files);
    }
    return dry ? ERR_OK : lake_cleanup(lake, clock_wall_ns(), e);
}

static int compact(struct invocation *inv)
{
    struct err e = {0};
    struct local l;
    int64_t files = 0;
    enum err_code code = local_own_lake(inv->config, "compact", 0, &l, &e);
    if (code != ERR_OK) return command_fail(inv, &e);
    code = rounds(inv, l.lake, &files, &e);
    progress_clear();
    local_close(&l);
    if (code != ERR_OK) return command_fail(inv, &e);
    const char *would = option_given(inv, "dry-run") ? "would be " : "";
    printf(inv->json ? "{\"files\":%lld}\n" : "%lld files %sjoined\n", (long long)files, would);
    return 0;
}

const struct command command_compact = {
    .name = "compact",
    .brief = "small files joined, deletes applied, by hand",
    .summary = "Joins small data files of the lake and applies position deletes. A running program "
               "does this\n"
               "itself. Embedded this is for a folder that nobody holds; with the catalog in "
               "PostgreSQL workers\n"
               "go on meanwhile.",
    .arguments = "",
    .example = "  ticklake compact --data ./data --dry-run\n  ticklake compact --data ./data",
    .options = options,
    .needs_config = true,
    .run = compact,
};
