/* verify: every hop against the next, and the lake against itself. */
#include "audit/audit.h"
#include "base/time.h"
#include "command/command.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>

static const struct option no_options[] = {{NULL, NULL, NULL}};

struct verifying {
    const struct invocation *inv;
    struct buf found; /* JSON of the differences */
    int64_t count;
};

static void difference(void *ctx, const char *check, const char *place, const char *what)
{
    struct verifying *v = ctx;
    if (!v->inv->json) {
        progress_clear();
        printf("DIFFERENT  %s  %s: %s\n", check, place, what);
    }
    buf_addf(&v->found, "%s{\"check\":\"%s\",\"place\":", v->count++ ? "," : "", check);
    buf_add_json(&v->found, str_of(place));
    buf_add_cstr(&v->found, ",\"what\":");
    buf_add_json(&v->found, str_of(what));
    buf_add_cstr(&v->found, "}");
}

static void show(void *ctx, const char *check, int64_t done, int64_t all)
{
    (void)ctx;
    progress_show("verify: %s %lld of %lld", check, (long long)done, (long long)all);
}

static void report(const struct verifying *v, const struct audit_result *r)
{
    struct buf out;
    buf_init(&out, 64 << 20);
    if (v->inv->json) {
        buf_addf(&out, "{\"equal\":%s,\"checks\":{", v->count ? "false" : "true");
        for (int i = 0; i < AUDIT_CHECKS; i++)
            buf_addf(&out, "%s\"%s\":{\"compared\":%lld,\"differences\":%lld}", i ? "," : "",
                     r->checks[i].name, (long long)r->checks[i].compared,
                     (long long)r->checks[i].differences);
        buf_addf(
            &out,
            "},\"durable\":%lld,\"committed\":%lld,\"trades\":%lld,\"quotes\":%lld,\"candles\":%"
            "lld,"
            "\"gaps_open\":%lld,\"missing_trades\":%lld,\"foreign_rows\":%lld,\"differences\":[",
            (long long)r->store_sequence, (long long)r->lake_position, (long long)r->trades,
            (long long)r->quotes, (long long)r->candles, (long long)r->gaps_open,
            (long long)r->missing_trades, (long long)r->foreign_rows);
        buf_add_str(&out, buf_str(&v->found));
        buf_addf(&out, "]}\n");
    } else {
        for (int i = 0; i < AUDIT_CHECKS; i++)
            buf_addf(&out, "%-9s  %-12s %12lld compared  %s\n",
                     r->checks[i].differences ? "DIFFERENT" : "equal", r->checks[i].name,
                     (long long)r->checks[i].compared, r->checks[i].words);
        buf_addf(&out,
                 "lake: %lld trades, %lld quotes, %lld candles; ledger: %lld open gaps, %lld "
                 "trades missing; "
                 "%lld foreign rows; %lld events not yet committed\n",
                 (long long)r->trades, (long long)r->quotes, (long long)r->candles,
                 (long long)r->gaps_open, (long long)r->missing_trades, (long long)r->foreign_rows,
                 (long long)(r->store_sequence - r->lake_position));
    }
    print_out(&out);
}

static int verify(struct invocation *inv)
{
    struct err e = {0};
    char store[PATH_LIMIT], catalog[PATH_LIMIT], lake[PATH_LIMIT];
    config_path(inv->config, "store.db", store, sizeof store);
    config_path(inv->config, "catalog.db", catalog, sizeof catalog);
    config_path(inv->config, "lake", lake, sizeof lake);
    char *warehouse = realpath(lake, NULL);
    struct verifying v = {.inv = inv};
    buf_init(&v.found, 64 << 20);
    struct audit_options o = {
        .store_path = store,
        .catalog_path = catalog,
        .warehouse = warehouse ? warehouse : lake,
        .gap_grace_ns = inv->config->source.gap_grace_ms * NS_PER_MS,
        .difference = difference,
        .progress = show,
        .ctx = &v,
    };
    struct audit_result result = {0};
    enum err_code code = audit_verify(&o, &result, &e);
    free(warehouse);
    progress_clear();
    int exit_code = 0;
    if (code == ERR_OK || code == ERR_DIFFERENT) report(&v, &result);
    if (code == ERR_DIFFERENT)
        exit_code = err_exit_code(code);
    else if (code != ERR_OK)
        exit_code = command_fail(inv, &e);
    buf_free(&v.found);
    return exit_code;
}

const struct command command_verify = {
    .name = "verify",
    .brief = "the proof: every hop against the next, the lake against itself",
    .summary = "Compares every hop with the next and the lake with itself: store rows, store = "
               "lake, data\n"
               "files, candles, ledger. Exits 1 on any difference and names the place. May run at "
               "any time.",
    .arguments = "",
    .example = "  ticklake verify --data ./data\n  ticklake verify --json | jq .equal",
    .options = no_options,
    .needs_config = true,
    .run = verify,
};
