/* The table of settings as Markdown: docs/settings.md is this text, and a unit test holds the file against it, so that
 * the page cannot tell of a key, a default or a limit that the program does not have. */
#include "config/config.h"

#include <ctype.h>
#include <stdio.h>

static void put_range(const struct config_key *k, struct buf *out)
{
    switch (k->type) {
    case CONFIG_BOOL: buf_add_cstr(out, "true, false"); return;
    case CONFIG_INT: buf_addf(out, "%lld to %lld", (long long)k->least, (long long)k->most); return;
    case CONFIG_TEXT: buf_add_cstr(out, k->secret ? "text, secret" : "text"); return;
    case CONFIG_LIST: buf_add_cstr(out, "list, or text with `;` between"); return;
    case CONFIG_CHOICE:
        for (const char *p = k->choices; *p; p++) buf_addf(out, *p == ' ' ? ", " : "%c", *p);
        return;
    }
}

static void put_environment(const struct config_key *k, struct buf *out)
{
    char name[128];
    bool top = *k->section == 0;
    /* Of the names without a section only this one is a setting: see config_environment. */
    if (top && strcmp(k->key, "data") != 0) {
        buf_add_cstr(out, "-");
        return;
    }
    int n = snprintf(name, sizeof name, "TICKLAKE_%s%s%s", k->section, top ? "" : "__", k->key);
    CHECK(n > 0 && (size_t)n < sizeof name);
    for (char *p = name; *p; p++) *p = (char)toupper((unsigned char)*p);
    buf_addf(out, "`%s`", name);
}

static void put_key(const struct config_key *k, struct buf *out)
{
    buf_addf(out, "| `%s%s%s` | %s | ", k->section, *k->section ? "." : "", k->key,
             k->standard ? k->standard : "-");
    put_range(k, out);
    buf_add_cstr(out, " | ");
    put_environment(k, out);
    buf_addf(out, " | %s |\n", k->help);
}

static const char head[] = "# Settings\n"
                           "\n"
                           "Made by `ticklake validate --keys >docs/settings.md`; do not edit. How "
                           "settings are given, and in which order:\n"
                           "`docs/operating.md`. On the command line every key is `--set "
                           "KEY=VALUE`; the data folder also has `--data`.\n"
                           "\n"
                           "| key | default | values | in the environment | meaning |\n"
                           "|---|---|---|---|---|\n";

static const char venues[] =
    "\n"
    "## Venues\n"
    "\n"
    "`venues:` is a list of at most %d entries. In the environment a key of one is "
    "`TICKLAKE_VENUES__NAME__KEY`, on the\n"
    "command line `--set venues.NAME.KEY=VALUE`; there a list is written with commas. A venue that "
    "the file does not\n"
    "have is added by that.\n"
    "\n"
    "| key | default | meaning |\n"
    "|---|---|---|\n"
    "| `name` | - | as `ticklake venues` lists it; needed |\n"
    "| `symbols` | - | normalised symbols, at most %d, or `\"*\"` for all of the venue; needed by "
    "`run` |\n"
    "| `streams` | the venue's tape and its quotes | of `trade`, `agg_trade`, `block_trade`, "
    "`quote`, if the venue has it |\n"
    "| `ws_url` | the venue's own | another WebSocket address, path included |\n"
    "| `rest_url` | the venue's own | another REST address |\n"
    "| `archive_url` | the venue's own | another address of the daily files of `backfill` |\n"
    "| `requests_per_hour` | tiingo 50 | REST requests of `backfill` in an hour; 0: not counted |\n"
    "| `requests_per_day` | tiingo 1000 | and in a day, from midnight in New York on |\n"
    "| `token` | - | secret; write `${NAME}` to take it from the environment |\n"
    "| `token_file` | - | file that holds the token; used where `token` is not set |\n"
    "\n"
    "`${NAME}` and `${NAME:-default}` in a value of the file are replaced from the environment. A "
    "name that is not set\n"
    "and has no default is a mistake of that line.\n";

void config_markdown(struct buf *out)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    buf_add_cstr(out, head);
    for (size_t i = 0; i < count; i++) put_key(&keys[i], out);
    buf_addf(out, venues, CONFIG_VENUES_MAX, CONFIG_LIST_MAX);
}
