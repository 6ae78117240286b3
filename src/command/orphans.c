/* remove-orphans: files of commits that never happened, by hand. A running program does it itself. */
#include "command/local.h"
#include "io/clock.h"

#include <stdio.h>

static const struct option options[] = {
    {"dry-run", NULL, "only list them"},
    {NULL, NULL, NULL},
};

struct listing {
    const struct invocation *inv;
    struct buf out;
    int64_t count;
};

static void tell(void *ctx, const char *location)
{
    struct listing *l = ctx;
    if (!l->inv->json) {
        buf_addf(&l->out, "%s\n", location);
        return;
    }
    buf_add_cstr(&l->out, l->count++ ? ",\n" : "");
    buf_add_json(&l->out, str_of(location));
}

/* Listed on a lake opened for reading: opening it for writing already notes what it finds. */
static enum err_code list(struct listing *l, int64_t *ret_count, struct err *e)
{
    struct local local;
    TRY(local_open(l->inv->config, false, true, &local, e));
    enum err_code code = lake_orphans(local.lake, true, ret_count, tell, l, e);
    local_close(&local);
    return code;
}

static enum err_code clean(const struct invocation *inv, int64_t *ret_removed, struct err *e)
{
    struct local local;
    struct lake_stats s;
    int64_t noted;
    TRY(local_own_lake(inv->config, "remove-orphans", 0, &local, e));
    enum err_code code = lake_orphans(local.lake, false, &noted, NULL, NULL, e);
    if (code == ERR_OK) code = lake_cleanup(local.lake, clock_wall_ns(), e);
    lake_stats(local.lake, &s);
    *ret_removed = s.files_removed;
    local_close(&local);
    return code;
}

static int orphans(struct invocation *inv)
{
    struct err e = {0};
    struct listing l = {.inv = inv};
    int64_t count = 0, removed = 0;
    buf_init(&l.out, 256 << 20);
    if (inv->json) buf_add_cstr(&l.out, "{\"orphans\":[");
    enum err_code code = list(&l, &count, &e);
    if (code == ERR_OK && !option_given(inv, "dry-run")) code = clean(inv, &removed, &e);
    if (code != ERR_OK) {
        buf_free(&l.out);
        return command_fail(inv, &e);
    }
    if (inv->json)
        buf_addf(&l.out, "],\"removed\":%lld}\n", (long long)removed);
    else
        buf_addf(&l.out,
                 "%lld files that no table knows; %lld files removed now, others after "
                 "lake.grace_minutes\n",
                 (long long)count, (long long)removed);
    print_out(&l.out);
    return 0;
}

const struct command command_remove_orphans = {
    .name = "remove-orphans",
    .brief = "files of the lake that no table knows, by hand",
    .summary =
        "Lists files with names of ours that no kept snapshot knows, notes them for removal, and "
        "removes\n"
        "what was noted longer ago than lake.grace_minutes. With the catalog in PostgreSQL "
        "only files\n"
        "older than a day are taken for leftovers, so that workers go on meanwhile; 75 when "
        "another\n"
        "process is at the upkeep.",
    .arguments = "",
    .example = "  ticklake remove-orphans --dry-run\n"
               "  ticklake remove-orphans --config ticklake.yaml --json",
    .options = options,
    .needs_config = true,
    .run = orphans,
};
