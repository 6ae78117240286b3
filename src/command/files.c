/* files: the live data files of a table, one a line. */
#include "command/local.h"

#include <stdio.h>

static const struct option options[] = {
    {"deletes", NULL, "the position delete files too"},
    {NULL, NULL, NULL},
};

struct listing {
    const struct invocation *inv;
    struct buf out;
    int64_t count;
};

static enum err_code each(void *ctx, const struct lake_file *f, struct err *e)
{
    struct listing *l = ctx;
    (void)e;
    if (f->is_delete && !option_given(l->inv, "deletes")) return ERR_OK;
    if (!l->inv->json) {
        buf_addf(&l->out, "%s\n", f->path);
        return ERR_OK;
    }
    buf_addf(&l->out, "%s{\"path\":", l->count++ ? ",\n" : "[");
    buf_add_json(&l->out, str_of(f->path));
    buf_addf(&l->out,
             ",\"rows\":%lld,\"bytes\":%lld,\"delete\":%s,\"foreign\":%s,\"snapshot_id\":%lld}",
             (long long)f->rows, (long long)f->bytes, f->is_delete ? "true" : "false",
             f->foreign ? "true" : "false", (long long)f->snapshot_id);
    return ERR_OK;
}

static int files(struct invocation *inv)
{
    struct err e = {0};
    struct local local;
    struct listing l = {.inv = inv};
    const struct table *t = table_by_name(str_of(inv->arguments[0]));
    enum err_code code = ERR_OK;
    if (!t)
        code = ERR(&e, ERR_USAGE,
                   "\"%s\" is no table of the lake; expected trades, quotes, candles, "
                   "venue_candles, gaps, instruments or dead_letters",
                   inv->arguments[0]);
    if (code == ERR_OK) code = local_open(inv->config, false, true, &local, &e);
    if (code != ERR_OK) return command_fail(inv, &e);
    buf_init(&l.out, 256 << 20);
    code = lake_each_file(local.lake, t->id, each, &l, &e);
    if (inv->json) buf_add_cstr(&l.out, l.count ? "]\n" : "[]\n");
    local_close(&local);
    print_out(&l.out);
    return code == ERR_OK ? 0 : command_fail(inv, &e);
}

const struct command command_files = {
    .name = "files",
    .brief = "the live data files of a table",
    .summary = "The live data files of a table of the lake, one a line.",
    .arguments = "TABLE",
    .example = "  ticklake files trades --data ./data | xargs ls -l\n"
               "  ticklake files candles --deletes --json",
    .options = options,
    .arguments_least = 1,
    .arguments_most = 1,
    .needs_config = true,
    .run = files,
};
