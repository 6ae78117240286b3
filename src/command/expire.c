/* expire-snapshots: old snapshots of every table, by hand. Each commit does it for the tables that it touches. */
#include "command/local.h"
#include "io/clock.h"

#include <stdio.h>

static const struct option options[] = {
    {"keep", "N", "newest snapshots to keep in each table (default: lake.snapshots_keep)"},
    {"dry-run", NULL, "only tell what would be done"},
    {NULL, NULL, NULL},
};

static void tell(void *ctx, const char *line)
{
    (void)ctx;
    fprintf(stderr, "%s\n", line);
}

static int expire(struct invocation *inv)
{
    struct err e = {0};
    struct local l;
    int64_t count = 0, keep = option_int(inv, "keep", 0, 1, 10000);
    bool dry = option_given(inv, "dry-run");
    enum err_code code = local_own_lake(inv->config, "expire-snapshots", keep, &l, &e);
    if (code != ERR_OK) return command_fail(inv, &e);
    code = lake_expire(l.lake, dry, clock_wall_ns(), &count, tell, NULL, &e);
    if (code == ERR_OK && !dry) code = lake_cleanup(l.lake, clock_wall_ns(), &e);
    local_close(&l);
    if (code != ERR_OK) return command_fail(inv, &e);
    if (inv->json)
        printf("{\"snapshots\":%lld,\"dry_run\":%s}\n", (long long)count, dry ? "true" : "false");
    else
        printf("%lld snapshots %sexpired\n", (long long)count, dry ? "would be " : "");
    return 0;
}

const struct command command_expire_snapshots = {
    .name = "expire-snapshots",
    .brief = "old snapshots of the lake's tables removed, by hand",
    .summary =
        "Removes the oldest snapshots of each table; branches and tags keep theirs. Each commit "
        "does this\n"
        "for the tables that it touches, this does it for all. Files go lake.grace_minutes "
        "later. With the\n"
        "catalog in PostgreSQL workers go on meanwhile; 75 when another process is at the "
        "upkeep.",
    .arguments = "",
    .example = "  ticklake expire-snapshots --dry-run --keep 10\n"
               "  ticklake expire-snapshots --config ticklake.yaml",
    .options = options,
    .needs_config = true,
    .run = expire,
};
