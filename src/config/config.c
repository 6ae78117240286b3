#include "config/config.h"

#include "base/array.h"
#include "config/config_yaml.h"
#include "io/file.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define AT(member) offsetof(struct config, member)
#define INT(s, k, standard, least, most, help)                                                     \
    {                                                                                              \
#s, #k, CONFIG_INT, AT(s.k), standard, least, most, NULL, false, help                      \
    }
#define BOOL(s, k, standard, help)                                                                 \
    {                                                                                              \
#s, #k, CONFIG_BOOL, AT(s.k), standard, 0, 0, NULL, false, help                            \
    }
#define TEXT(s, k, standard, secret, help)                                                         \
    {                                                                                              \
#s, #k, CONFIG_TEXT, AT(s.k), standard, 0, 0, NULL, secret, help                           \
    }
#define CHOICE(s, k, standard, choices, help)                                                      \
    {                                                                                              \
#s, #k, CONFIG_CHOICE, AT(s.k), standard, 0, 0, choices, false, help                       \
    }

static const struct config_key keys[] = {
    {"", "version", CONFIG_INT, AT(version), "1", 1, CONFIG_VERSION, NULL, false,
     "format version of this file"},
    {"", "data", CONFIG_TEXT, AT(data), "./data", 0, 0, NULL, false,
     "data folder: store.db, catalog.db, lake/, frames/"},
    BOOL(record, enabled, "false", "keep every received frame as it came, in frames/"),
    INT(record, segment_mb, "64", 1, 4096, "start a new segment at this size"),
    INT(record, segment_minutes, "60", 1, 1440, "and at this age"),
    INT(record, retention_hours, "168", 0, 87600, "remove older segments; 0 keeps all"),
    INT(source, batch_ms, "5", 1, 10000, "a group commit at least this often while events come"),
    INT(source, batch_events, "16384", 64, 1048576, "events in a batch at most"),
    INT(source, batches, "12", 4, 1024, "batches in flight: with batch_events the memory's bound"),
    INT(source, gap_grace_ms, "2000", 0, 3600000, "missing ids become a gap after this time"),
    INT(source, future_limit_ms, "60000", 1000, 86400000,
        "venue time further ahead of the receipt is refused"),
    INT(source, reconnect_min_ms, "200", 10, 60000, "first pause before connecting again"),
    INT(source, reconnect_max_ms, "30000", 100, 3600000, "longest pause; it never gives up"),
    INT(source, connect_timeout_ms, "10000", 100, 300000, "a connection must stand by then"),
    BOOL(source, tls_verify, "true", "check the venues' certificates"),
    TEXT(source, ca_file, NULL, false, "certificates to trust; the system's by default"),
    INT(store, retention_hours, "72", 0, 87600,
        "rows below the lake's position are removed after this; 0 keeps all"),
    INT(store, max_mb, "0", 0, 100000000, "stop taking events past this size; 0: no limit"),
    INT(process, lateness_ms, "2000", 0, 3600000, "a window closes this long after its end"),
    INT(process, quiet_ms, "5000", 100, 3600000,
        "a symbol without trades: the clock closes its windows after this"),
    INT(process, tapes_max, "100000", 1, 1000000, "venue and symbol pairs at most"),
    INT(process, revise_ms, "2000", 0, 3600000, "late trades revise candles at least this often"),
    INT(lake, commit_ms, "500", 10, 3600000, "a commit at least this often while events come"),
    INT(lake, commit_rows, "2000000", 1000, 50000000, "and whenever so many rows wait"),
    INT(lake, snapshots_keep, "60", 1, 10000, "snapshots kept in each table"),
    INT(lake, metadata_keep, "20", 1, 1000, "metadata files kept in each table"),
    INT(lake, grace_minutes, "15", 0, 100000, "removed files stay this long for running readers"),
    INT(lake, target_file_mb, "128", 1, 4096, "compaction joins files up to this size"),
    INT(lake, compact_files, "16", 2, 1000, "this many small neighbours are joined"),
    BOOL(lake, compact, "true", "compact while running"),
    BOOL(serve, enabled, "true", "HTTP port with /metrics, /livez, /readyz, /api/v1/status"),
    TEXT(serve, bind, "127.0.0.1:7070", false,
         "address and port; others than loopback need a token"),
    TEXT(serve, token, NULL, true, "bearer token that every request must carry"),
    TEXT(serve, token_file, NULL, false, "file that holds the token"),
    CHOICE(log, level, "info", "debug info warn error", "least level"),
    CHOICE(log, format, "logfmt", "logfmt json", "form of a line"),
};

const struct config_key *config_keys(size_t *ret_count)
{
    *ret_count = sizeof keys / sizeof keys[0];
    return keys;
}

void config_error(struct config *c, const char *where, const char *format, ...)
{
    va_list ap;
    buf_addf(&c->errors, "%s: ", where);
    va_start(ap, format);
    buf_vaddf(&c->errors, format, ap);
    va_end(ap);
    buf_add_byte(&c->errors, '\n');
    c->error_count++;
}

static char *copy_text(struct str s)
{
    char *p = malloc(s.n + 1);
    CHECK(p != NULL);
    if (s.n) memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return p;
}

void config_replace_text(char **slot, struct str value)
{
    free(*slot);
    *slot = value.n ? copy_text(value) : NULL;
}

/* ${NAME} and ${NAME:-default}; a name that is not set and has no default is an error of that place. */
bool config_expand(struct config *c, const char *where, struct str value, struct buf *out)
{
    while (value.n) {
        const char *at = memmem(value.p, value.n, "${", 2);
        const char *end = at ? memchr(at, '}', value.n - (size_t)(at - value.p)) : NULL;
        if (!end) {
            buf_add_str(out, value);
            return true;
        }
        buf_add(out, value.p, (size_t)(at - value.p));
        struct str inside = {at + 2, (size_t)(end - at - 2)};
        const char *colon = memmem(inside.p, inside.n, ":-", 2);
        char name[256];
        struct str left = {inside.p, colon ? (size_t)(colon - inside.p) : inside.n};
        const char *found = str_copy(name, sizeof name, left) ? getenv(name) : NULL;
        if (found && *found) {
            buf_add_cstr(out, found);
        } else if (colon) {
            buf_add(out, colon + 2, inside.n - left.n - 2);
        } else {
            config_error(c, where,
                         "${%s} is not set in the environment; set it, or write ${%s:-default}",
                         name, name);
            return false;
        }
        value = (struct str){end + 1, value.n - (size_t)(end + 1 - value.p)};
    }
    return true;
}

static bool choice_index(const char *choices, struct str value, int64_t *ret)
{
    struct str rest = str_of(choices);
    for (int64_t i = 0; rest.n; i++) {
        if (!str_eq(str_cut(&rest, ' '), value)) continue;
        *ret = i;
        return true;
    }
    return false;
}

static const char *full_name(const struct config_key *k, char out[128])
{
    snprintf(out, 128, "%s%s%s", k->section, *k->section ? "." : "", k->key);
    return out;
}

void config_assign(struct config *c, const struct config_key *k, const char *where,
                   struct str value)
{
    char name[128];
    full_name(k, name);
    void *slot = (char *)c + k->offset;
    int64_t number;
    switch (k->type) {
    case CONFIG_TEXT: config_replace_text((char **)slot, value); return;
    case CONFIG_BOOL:
        if (str_is(value, "true") || str_is(value, "yes") || str_is(value, "on"))
            *(bool *)slot = true;
        else if (str_is(value, "false") || str_is(value, "no") || str_is(value, "off"))
            *(bool *)slot = false;
        else
            config_error(c, where, "%s: expected true or false, got \"%.*s\"", name,
                         STR_ARG(value));
        return;
    case CONFIG_INT:
        if (str_to_i64(value, &number) != ERR_OK)
            config_error(c, where, "%s: expected a whole number from %lld to %lld, got \"%.*s\"",
                         name, (long long)k->least, (long long)k->most, STR_ARG(value));
        else if (strcmp(name, "version") == 0 && number > k->most)
            config_error(c, where,
                         "version: %lld is newer than this program knows (%lld); upgrade ticklake",
                         (long long)number, (long long)k->most);
        else if (number < k->least || number > k->most)
            config_error(c, where, "%s: expected %lld to %lld, got %lld", name, (long long)k->least,
                         (long long)k->most, (long long)number);
        else
            *(int64_t *)slot = number;
        return;
    case CONFIG_CHOICE:
        if (!choice_index(k->choices, value, (int64_t *)slot))
            config_error(c, where, "%s: expected one of: %s; got \"%.*s\"", name, k->choices,
                         STR_ARG(value));
        return;
    }
}

const struct config_key *config_find(struct str section, struct str key)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (str_is(section, keys[i].section) && str_is(key, keys[i].key)) return &keys[i];
    return NULL;
}

void config_unknown(struct config *c, const char *where, struct str section, struct str key)
{
    const struct config_key *best = NULL;
    int best_distance = 4; /* further away is no typing error any more */
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        int d = str_distance(key, str_of(keys[i].key)) + (str_is(section, keys[i].section) ? 0 : 2);
        if (d >= best_distance) continue;
        best = &keys[i];
        best_distance = d;
    }
    char name[128] = "";
    const char *dot = section.n ? "." : "";
    if (best)
        config_error(c, where, "unknown key %.*s%s%.*s; did you mean %s?", STR_ARG(section), dot,
                     STR_ARG(key), full_name(best, name));
    else
        config_error(c, where, "unknown key %.*s%s%.*s; docs/settings.md lists all keys",
                     STR_ARG(section), dot, STR_ARG(key));
}

struct config *config_new(void)
{
    struct config *c = calloc(1, sizeof *c);
    CHECK(c != NULL);
    buf_init(&c->errors, 1 << 20);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (keys[i].standard) config_assign(c, &keys[i], "default", str_of(keys[i].standard));
    CHECK(c->error_count == 0);
    return c;
}

void config_free_list(struct config_list *l)
{
    for (size_t i = 0; i < l->count; i++) free((char *)(uintptr_t)l->items[i].p);
    free(l->items);
    *l = (struct config_list){0};
}

void config_list_add(struct config_list *l, struct str value)
{
    l->items = array_grown(l->items, l->count, &l->cap, sizeof *l->items);
    l->items[l->count++] = (struct str){copy_text(value), value.n};
}

struct config *config_free(struct config *c)
{
    if (!c) return NULL;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (keys[i].type == CONFIG_TEXT) free(*(char **)(void *)((char *)c + keys[i].offset));
    for (size_t i = 0; i < c->venue_count; i++) {
        struct config_venue *v = &c->venues[i];
        config_free_list(&v->symbols);
        config_free_list(&v->streams);
        char *texts[] = {v->name, v->ws_url, v->rest_url, v->token, v->token_file};
        for (size_t t = 0; t < sizeof texts / sizeof texts[0]; t++) free(texts[t]);
    }
    free(c->path);
    buf_free(&c->errors);
    free(c);
    return NULL;
}

void config_set(struct config *c, const char *assignment, const char *where)
{
    struct str value = str_of(assignment);
    if (!strchr(assignment, '=')) {
        config_error(c, where, "expected section.key=value, got \"%s\"", assignment);
        return;
    }
    struct str name = str_cut(&value, '=');
    struct str section = STR(""), key = name;
    if (memchr(name.p, '.', name.n)) section = str_cut(&key, '.');
    if (str_is(section, "venues")) {
        struct str venue = str_cut(&key, '.');
        config_set_venue(c, where, venue, key, value);
        return;
    }
    const struct config_key *k = config_find(section, key);
    if (k)
        config_assign(c, k, where, value);
    else
        config_unknown(c, where, section, key);
}

/* TICKLAKE_STORE__RETENTION_HOURS=1 -> store.retention_hours=1. Names without "__" other than DATA and VERSION are not
 * settings (TICKLAKE_CRASH, TICKLAKE_CACHE ...). */
void config_environment(struct config *c, char **environment)
{
    for (char **p = environment; *p; p++) {
        struct str value = str_of(*p);
        if (!str_starts(value, "TICKLAKE_")) continue;
        struct str name = str_cut(&value, '=');
        char lower[512], where[600];
        struct str rest = {name.p + 9, name.n - 9};
        bool nested = str_contains(rest, "__");
        if (!nested && !str_is(rest, "DATA")) continue;
        snprintf(where, sizeof where, "environment %.*s", STR_ARG(name));
        size_t n = 0;
        for (size_t i = 0; i < rest.n && n + 1 < sizeof lower; i++) {
            bool dot = rest.p[i] == '_' && i + 1 < rest.n && rest.p[i + 1] == '_';
            lower[n++] = dot ? '.' : (char)tolower((unsigned char)rest.p[i]);
            i += dot;
        }
        struct buf assignment;
        buf_init(&assignment, 1 << 16);
        buf_add(&assignment, lower, n);
        buf_add_byte(&assignment, '=');
        buf_add_str(&assignment, value);
        config_set(c, buf_cstr(&assignment), where);
        buf_free(&assignment);
    }
}

static void read_token(struct config *c, const char *key, const char *path, char **token)
{
    if (!path || *token) return;
    struct buf b;
    struct err e = {0};
    buf_init(&b, 1 << 16);
    if (file_read(path, 1 << 16, &b, &e) != ERR_OK)
        config_error(c, key, "token_file: %s", e.text);
    else
        config_replace_text(token, str_trim(buf_str(&b)));
    buf_free(&b);
}

enum err_code config_finish(struct config *c, struct err *e)
{
    read_token(c, "serve", c->serve.token_file, &c->serve.token);
    for (size_t i = 0; i < c->venue_count; i++)
        read_token(c, c->venues[i].name, c->venues[i].token_file, &c->venues[i].token);
    if (c->source.reconnect_min_ms > c->source.reconnect_max_ms)
        config_error(c, c->path ? c->path : "settings",
                     "source.reconnect_min_ms (%lld) is above source.reconnect_max_ms (%lld)",
                     (long long)c->source.reconnect_min_ms, (long long)c->source.reconnect_max_ms);
    if (c->error_count == 0) return ERR_OK;
    struct str all = buf_str(&c->errors), first = str_cut(&all, '\n');
    return ERR(e, ERR_CONFIG, "%zu mistake%s in the settings; first: %.*s", c->error_count,
               c->error_count == 1 ? "" : "s", STR_ARG(first));
}

void config_path(const struct config *c, const char *name, char *out, size_t out_size)
{
    int n = snprintf(out, out_size, "%s/%s", c->data, name);
    CHECK(n >= 0 && (size_t)n < out_size);
}
