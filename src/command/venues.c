/* venues and symbols: what the program knows of the venues, and of their instruments. */
#include "command/instruments.h"
#include "command/local.h"
#include "venue/venue.h"

#include <stdio.h>
#include <stdlib.h>

static const struct option no_options[] = {{NULL, NULL, NULL}};
static const struct option symbol_options[] = {
    {"venue", "NAME", "of this venue (needed)"},
    {"match", "TEXT", "only symbols that contain TEXT"},
    {NULL, NULL, NULL},
};

static void stream_names(uint32_t bits, struct buf *out)
{
    bool first = true;
    for (int s = 0; s < STREAM_MAX; s++) {
        if (!(bits >> s & 1)) continue;
        buf_addf(out, "%s%s", first ? "" : " ", stream_text((enum stream)s));
        first = false;
    }
}

static int venues(struct invocation *inv)
{
    static const char *const heads[] = {"venue", "streams", "gaps told by id", "token",
                                        "websocket"};
    struct buf out, names;
    struct table_out t;
    buf_init(&out, 1 << 20);
    buf_init(&names, 4096);
    table_begin(&t, sizeof heads / sizeof heads[0]);
    for (size_t i = 0; i < t.columns; i++) table_cell(&t, "%s", heads[i]);
    for (int i = 0; venue_all[i]; i++) {
        const struct venue *v = venue_all[i];
        table_cell(&t, "%s", v->name);
        buf_reset(&names);
        stream_names(v->streams, &names);
        table_cell(&t, "%s", buf_cstr(&names));
        if (inv->json)
            buf_addf(&out,
                     "%s{\"venue\":\"%s\",\"streams\":\"%s\",\"needs_token\":%s,\"ws_url\":\"%s\","
                     "\"rest_url\":\"%s\",\"documentation\":\"%s\"",
                     i ? ",\n" : "[", v->name, buf_cstr(&names), v->needs_token ? "true" : "false",
                     v->ws_url, v->rest_url, v->documentation);
        buf_reset(&names);
        stream_names(v->consecutive, &names);
        if (inv->json) buf_addf(&out, ",\"consecutive\":\"%s\"}", buf_cstr(&names));
        table_cell(&t, "%s", names.len ? buf_cstr(&names) : "no: outage windows");
        table_cell(&t, "%s", v->needs_token ? "needed" : "-");
        table_cell(&t, "%s", v->ws_url);
    }
    if (inv->json)
        buf_add_cstr(&out, "]\n");
    else
        table_print(&t, &out);
    buf_free(&t.cells);
    buf_free(&names);
    print_out(&out);
    return 0;
}

struct symbol_list {
    const struct invocation *inv;
    struct table_out table;
    struct buf out;
    int64_t count;
};

static void each_symbol(void *ctx, const struct instrument *i)
{
    struct symbol_list *l = ctx;
    const char *match = option_text(l->inv, "match", NULL);
    if (match && !str_contains(i->symbol, match)) return;
    if (l->inv->json) {
        buf_addf(&l->out, "%s{\"symbol\":", l->count ? ",\n" : "[");
        buf_add_json(&l->out, i->symbol);
        buf_add_cstr(&l->out, ",\"venue_symbol\":");
        buf_add_json(&l->out, i->venue_symbol);
        buf_add_cstr(&l->out, ",\"status\":");
        buf_add_json(&l->out, i->status);
        buf_add_cstr(&l->out, "}");
    } else {
        table_cell(&l->table, "%.*s", STR_ARG(i->symbol));
        table_cell(&l->table, "%.*s", STR_ARG(i->venue_symbol));
        table_cell(&l->table, "%.*s", STR_ARG(i->status));
    }
    l->count++;
}

static int symbols(struct invocation *inv)
{
    struct err e = {0};
    const char *name = option_text(inv, "venue", NULL);
    const struct venue *v = name ? venue_by_name(str_of(name)) : NULL;
    if (!v) {
        enum err_code ignored =
            ERR(&e, ERR_USAGE, "--venue %s: expected a venue of `ticklake venues`",
                name ? name : "is missing");
        (void)ignored;
        return command_fail(inv, &e);
    }
    struct symbol_list l = {.inv = inv};
    buf_init(&l.out, 64 << 20);
    table_begin(&l.table, 3);
    enum err_code code = instruments_fetch(inv->config, v, each_symbol, &l, &e);
    if (code == ERR_OK && inv->json) buf_add_cstr(&l.out, l.count ? "]\n" : "[]\n");
    if (code == ERR_OK && !inv->json) {
        table_print(&l.table, &l.out);
        buf_addf(&l.out, "%lld symbols of %s\n", (long long)l.count, v->name);
    }
    buf_free(&l.table.cells);
    print_out(&l.out);
    return code == ERR_OK ? 0 : command_fail(inv, &e);
}

const struct command command_venues = {
    .name = "venues",
    .brief = "the venues: streams, addresses, what their ids can tell",
    .summary =
        "The venues that this program speaks to: streams, addresses, and what their ids can tell.",
    .arguments = "",
    .example = "  ticklake venues\n  ticklake venues --json",
    .options = no_options,
    .run = venues,
};

const struct command command_symbols = {
    .name = "symbols",
    .brief = "the instruments of a venue, asked of it now",
    .summary = "The instruments of a venue, by our symbols and by its own, asked of the venue now.",
    .arguments = "",
    .example = "  ticklake symbols --venue binance --match BTC\n"
               "  TICKLAKE_VENUES__TIINGO__TOKEN=... ticklake symbols --venue tiingo --json",
    .options = symbol_options,
    .needs_config = true,
    .run = symbols,
};
