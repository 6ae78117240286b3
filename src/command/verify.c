/* verify: every hop against the next, and the lake against itself. */
#include "audit/audit.h"
#include "base/time.h"
#include "command/command.h"
#include "run/distributed.h"

#include <stdio.h>

static const struct option options[] = {
    {"wait", "SECONDS", "distributed: for what is on its way to reach the lake (default 30)"},
    {NULL, NULL, NULL},
};

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
        const char *between = "";
        for (int i = 0; i < AUDIT_CHECKS; i++) {
            if (!r->checks[i].applies) continue;
            buf_addf(&out, "%s\"%s\":{\"compared\":%lld,\"differences\":%lld}", between,
                     r->checks[i].name, (long long)r->checks[i].compared,
                     (long long)r->checks[i].differences);
            between = ",";
        }
        buf_addf(
            &out,
            "},\"durable\":%lld,\"committed\":%lld,\"trades\":%lld,\"quotes\":%lld,\"candles\":%"
            "lld,"
            "\"gaps_open\":%lld,\"missing_trades\":%lld,\"foreign_rows\":%lld,"
            "\"bus_records\":%lld,\"behind\":",
            (long long)r->store_sequence, (long long)r->lake_position, (long long)r->trades,
            (long long)r->quotes, (long long)r->candles, (long long)r->gaps_open,
            (long long)r->missing_trades, (long long)r->foreign_rows, (long long)r->bus_records);
        buf_add_json(&out, str_of(r->behind));
        buf_add_cstr(&out, ",\"differences\":[");
        buf_add_str(&out, buf_str(&v->found));
        buf_addf(&out, "]}\n");
    } else {
        for (int i = 0; i < AUDIT_CHECKS; i++)
            if (r->checks[i].applies)
                buf_addf(&out, "%-9s  %-12s %12lld compared  %s\n",
                         r->checks[i].differences ? "DIFFERENT" : "equal", r->checks[i].name,
                         (long long)r->checks[i].compared, r->checks[i].words);
        buf_addf(&out,
                 "lake: %lld trades, %lld quotes, %lld candles; ledger: %lld open gaps, %lld "
                 "trades missing; %lld foreign rows; ",
                 (long long)r->trades, (long long)r->quotes, (long long)r->candles,
                 (long long)r->gaps_open, (long long)r->missing_trades, (long long)r->foreign_rows);
        if (v->inv->config->bus.brokers)
            buf_addf(&out, "%lld records on the bus\n", (long long)r->bus_records);
        else
            buf_addf(&out, "%lld events not yet committed\n",
                     (long long)(r->store_sequence - r->lake_position));
        if (r->behind[0]) buf_addf(&out, "not compared to the end: %s\n", r->behind);
    }
    print_out(&out);
}

/* Embedded stores are looked at where they lie, there or not: the check itself says what is missing. */
static enum err_code places(struct distributed *d, struct audit_options *o, struct bus_options *bus,
                            struct err *e)
{
    const struct config *c = d->config;
    o->store = distributed_store(d, NULL);
    enum err_code code = distributed_lake(d, NULL, false, &o->lake, e);
    if (code == ERR_NOT_FOUND && !c->lake.catalog) {
        o->lake = (struct lake_options){.catalog_path = d->catalog_path, .warehouse = d->warehouse};
        code = ERR_OK;
    }
    if (code != ERR_OK || !distributed_has_bus(c)) return code;
    *bus = distributed_bus(d, NULL);
    o->bus = bus;
    o->publisher = c->bus.name;
    o->slot = c->store.slot;
    return ERR_OK;
}

static int verify(struct invocation *inv)
{
    struct err e = {0};
    struct distributed parts;
    struct bus_options bus;
    struct verifying v = {.inv = inv};
    struct audit_options o = {
        .gap_grace_ns = inv->config->source.gap_grace_ms * NS_PER_MS,
        .wait_ns = option_int(inv, "wait", 30, 0, 86400) * NS_PER_S,
        .difference = difference,
        .progress = show,
        .ctx = &v,
    };
    struct audit_result result = {0};
    buf_init(&v.found, 64 << 20);
    enum err_code code = distributed_open(&parts, inv->config, &e);
    if (code == ERR_OK) code = places(&parts, &o, &bus, &e);
    if (code == ERR_OK) code = audit_verify(&o, &result, &e);
    distributed_close(&parts);
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
               "files, candles, ledger; distributed store = bus and bus = lake. Exits 1 on any "
               "difference and\n"
               "names the place. May run at any time.",
    .arguments = "",
    .example = "  ticklake verify --data ./data\n  ticklake verify --json | jq .equal",
    .options = options,
    .needs_config = true,
    .run = verify,
};
