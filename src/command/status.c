/* status: where every stage stands, read from the data folder, running or not. */
#include "command/local.h"
#include "io/file.h"
#include "view/view.h"

#include <stdio.h>
#include <string.h>

static const struct option no_options[] = {{NULL, NULL, NULL}};

/* Who holds the data folder, without taking it. */
static bool held_by(const struct config *c, char *who, size_t size)
{
    struct err e = {0};
    int fd = -1;
    who[0] = 0;
    if (file_lock(c->data, "status", &fd, &e) != ERR_OK) {
        const char *at = strstr(e.text, "in use by ");
        struct str rest = str_of(at ? at + strlen("in use by ") : "another process");
        str_copy(who, size, str_cut(&rest, ';'));
        return true;
    }
    file_unlock(fd);
    return false;
}

static enum err_code table_rows(struct local *l, const struct invocation *inv, struct buf *out,
                                struct err *e)
{
    struct table_out t;
    static const char *const heads[] = {"table",     "rows",  "files",      "deletes",
                                        "snapshots", "bytes", "last commit"};
    table_begin(&t, sizeof heads / sizeof heads[0]);
    for (size_t i = 0; i < t.columns; i++) table_cell(&t, "%s", heads[i]);
    if (inv->json) buf_add_cstr(out, ",\"tables\":{");
    for (int id = 0; id < TABLE_MAX; id++) {
        struct lake_table_info info;
        char time[TIME_TEXT_MAX];
        TRY(lake_table_info(l->lake, (enum table_id)id, &info, e));
        time_format(info.last_updated_ms * NS_PER_MS, time);
        if (inv->json) {
            buf_addf(
                out,
                "%s\"%s\":{\"rows\":%lld,\"data_files\":%lld,\"delete_files\":%lld,"
                "\"snapshots\":%lld,\"bytes\":%lld,\"snapshot_id\":%lld,\"metadata_location\":",
                id ? "," : "", info.name, (long long)info.rows, (long long)info.data_files,
                (long long)info.delete_files, (long long)info.snapshots, (long long)info.bytes,
                (long long)info.snapshot_id);
            buf_add_json(out, str_of(info.metadata_location));
            buf_add_cstr(out, "}");
        }
        table_cell(&t, "%s", info.name);
        const int64_t numbers[] = {info.rows, info.data_files, info.delete_files, info.snapshots,
                                   info.bytes};
        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
            table_cell(&t, "%lld", (long long)numbers[i]);
        table_cell(&t, "%s", time);
    }
    if (inv->json)
        buf_add_cstr(out, "}");
    else
        table_print(&t, out);
    buf_free(&t.cells);
    return ERR_OK;
}

struct gap_sum {
    int64_t open, missing;
};

static enum err_code add_gap(void *ctx, const struct gap *g, struct err *e)
{
    struct gap_sum *sum = ctx;
    (void)e;
    if (g->state != GAP_STATE_OPEN) return ERR_OK;
    sum->open++;
    if (g->has_count) sum->missing += g->missing_count;
    return ERR_OK;
}

/* The pages of the console, as `run` serves them under /api/v1/: a look at each part, the slow ones left out. */
static enum err_code put_pages(const struct config *c, struct buf *out, struct err *e)
{
    enum { SETTLE_MS = 8000 };
    struct view_options o = {.config = c};
    struct view *v;
    TRY(view_start(&o, &v, e));
    view_settle(v, SETTLE_MS);
    for (int page = 0; page < VIEW_PAGES; page++) {
        buf_addf(out, ",\"%s\":", view_page_name((enum view_page)page));
        view_page(v, (enum view_page)page, "", out);
    }
    view_stop(v);
    return ERR_OK;
}

static enum err_code describe(struct local *l, const struct invocation *inv, struct buf *out,
                              struct err *e)
{
    char who[256];
    bool running = held_by(inv->config, who, sizeof who);
    int64_t durable = store_tail_mark(l->tail), committed = lake_position(l->lake);
    struct gap_sum gaps = {0};
    TRY(store_gaps(l->tail, add_gap, &gaps, e));
    /* In PostgreSQL sequences order the events of one writer, and the lake has a position for each partition of the bus. */
    bool distributed = inv->config->store.url != NULL;
    if (inv->json) {
        buf_addf(out, "{\"running\":%s,\"holder\":", running ? "true" : "false");
        buf_add_json(out, str_of(who));
        if (!distributed)
            buf_addf(out, ",\"durable\":%lld,\"committed\":%lld,\"lag\":%lld", (long long)durable,
                     (long long)committed, (long long)(durable - committed));
        buf_addf(out, ",\"gaps_open\":%lld,\"missing\":%lld", (long long)gaps.open,
                 (long long)gaps.missing);
    } else {
        if (distributed)
            buf_add_cstr(out, "distributed: `ticklake positions` tells how far each part is\n");
        else
            buf_addf(out, "%s: %s\ndurable %lld  ->  committed %lld   (%lld behind)\n",
                     inv->config->data, running ? who : "not running", (long long)durable,
                     (long long)committed, (long long)(durable - committed));
        buf_addf(out, "open gaps %lld, ids known to be missing %lld\n", (long long)gaps.open,
                 (long long)gaps.missing);
    }
    TRY(table_rows(l, inv, out, e));
    if (inv->json) TRY(put_pages(inv->config, out, e));
    if (inv->json) buf_add_cstr(out, "}\n");
    return ERR_OK;
}

static int status(struct invocation *inv)
{
    struct err e = {0};
    struct local local;
    struct buf out;
    buf_init(&out, 128 << 20);
    enum err_code code = local_open(inv->config, true, true, &local, &e);
    if (code == ERR_OK) {
        code = describe(&local, inv, &out, &e);
        local_close(&local);
    }
    print_out(&out);
    return code == ERR_OK ? 0 : command_fail(inv, &e);
}

const struct command command_status = {
    .name = "status",
    .brief = "where every stage stands and what the lake holds",
    .summary = "Where every stage stands and what the lake holds, while the program runs or not.",
    .arguments = "",
    .example = "  ticklake status --data ./data\n  ticklake status --json | jq .lag",
    .options = no_options,
    .needs_config = true,
    .run = status,
};
