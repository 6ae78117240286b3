#include "config/config.h"

#include "base/array.h"
#include "config/config_yaml.h"
#include "io/file.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

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
    case CONFIG_LIST:
        config_free_list(slot);
        while (value.n) config_list_add(slot, str_trim(str_cut(&value, ';')));
        return;
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
    size_t key_count;
    const struct config_key *keys = config_keys(&key_count);
    for (size_t i = 0; i < key_count; i++)
        if (str_is(section, keys[i].section) && str_is(key, keys[i].key)) return &keys[i];
    return NULL;
}

void config_unknown(struct config *c, const char *where, struct str section, struct str key)
{
    size_t key_count;
    const struct config_key *keys = config_keys(&key_count), *best = NULL;
    int best_distance = 4; /* further away is no typing error any more */
    for (size_t i = 0; i < key_count; i++) {
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
    size_t key_count;
    const struct config_key *keys = config_keys(&key_count);
    buf_init(&c->errors, 1 << 20);
    for (size_t i = 0; i < key_count; i++)
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
    size_t key_count;
    const struct config_key *keys = config_keys(&key_count);
    for (size_t i = 0; i < key_count; i++) {
        void *slot = (char *)c + keys[i].offset;
        if (keys[i].type == CONFIG_TEXT) free(*(char **)slot);
        if (keys[i].type == CONFIG_LIST) config_free_list(slot);
    }
    for (size_t i = 0; i < c->venue_count; i++) {
        struct config_venue *v = &c->venues[i];
        config_free_list(&v->symbols);
        config_free_list(&v->streams);
        char *texts[] = {v->name, v->ws_url, v->rest_url, v->archive_url, v->token, v->token_file};
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

static void read_secret(struct config *c, const char *key, const char *path, char **token)
{
    if (!path || *token) return;
    struct buf b;
    struct err e = {0};
    buf_init(&b, 1 << 16);
    if (file_read(path, 1 << 16, &b, &e) != ERR_OK)
        config_error(c, key, "the file of a secret: %s", e.text);
    else
        config_replace_text(token, str_trim(buf_str(&b)));
    buf_free(&b);
}

bool config_rest_catalog(const struct config *c)
{
    struct str catalog = str_of(c->lake.catalog ? c->lake.catalog : "");
    return str_starts(catalog, "http://") || str_starts(catalog, "https://");
}

const char *config_lake_state(const struct config *c)
{
    if (!config_rest_catalog(c)) return c->lake.catalog;
    return c->lake.state_url ? c->lake.state_url : c->store.url;
}

static void check_rest(struct config *c, const char *where)
{
    if (!config_rest_catalog(c)) {
        if (c->lake.state_url)
            config_error(c, where,
                         "lake.state_url is set, but lake.catalog is not the address of an Iceberg "
                         "REST catalog: other catalogs hold the state themselves");
        return;
    }
    if (!config_lake_state(c))
        config_error(c, where,
                     "lake.catalog is an Iceberg REST catalog, which cannot hold positions, and "
                     "neither lake.state_url nor store.url is set: expected a PostgreSQL database");
    int ways = (c->lake.rest_token || c->lake.rest_token_file) +
               (c->lake.rest_credential || c->lake.rest_credential_file) +
               (c->lake.rest_signing_name != NULL);
    if (ways > 1)
        config_error(c, where,
                     "lake.rest_token, lake.rest_credential and lake.rest_signing_name are ways to "
                     "authorize to one catalog: expected one of them");
}

/* What only makes sense together. */
static void check_distributed(struct config *c)
{
    const char *where = c->path ? c->path : "settings";
    if (c->bus.brokers && !c->store.url)
        config_error(c, where,
                     "bus.brokers is set, but store.url is not: Kafka is fed from PostgreSQL");
    if (c->bus.brokers && c->registry.kind == 0)
        config_error(c, where,
                     "bus.brokers is set, but registry.kind is none: expected confluent or glue");
    if (c->registry.kind == 1 && !c->registry.url)
        config_error(c, where, "registry.kind is confluent, but registry.url is not set");
    bool s3 = c->lake.warehouse && str_starts(str_of(c->lake.warehouse), "s3");
    if (s3 && !c->lake.catalog)
        config_error(c, where,
                     "lake.warehouse is %s, but lake.catalog is not set: a lake in S3 needs a "
                     "catalog that other machines reach",
                     c->lake.warehouse);
    check_rest(c, where);
    if (c->bus.min_insync > c->bus.replication)
        config_error(c, where, "bus.min_insync (%lld) is above bus.replication (%lld)",
                     (long long)c->bus.min_insync, (long long)c->bus.replication);
    if (c->bus.brokers && !c->lake.catalog)
        config_error(c, where,
                     "bus.brokers is set, but lake.catalog is not: the workers' positions need a "
                     "catalog in PostgreSQL, or an Iceberg REST catalog");
}

enum err_code config_finish(struct config *c, struct err *e)
{
    read_secret(c, "serve.token_file", c->serve.token_file, &c->serve.token);
    read_secret(c, "registry.token_file", c->registry.token_file, &c->registry.token);
    read_secret(c, "registry.password_file", c->registry.password_file, &c->registry.password);
    read_secret(c, "s3.secret_key_file", c->s3.secret_key_file, &c->s3.secret_key);
    for (size_t i = 0; i < c->venue_count; i++)
        read_secret(c, c->venues[i].name, c->venues[i].token_file, &c->venues[i].token);
    if (c->source.reconnect_min_ms > c->source.reconnect_max_ms)
        config_error(c, c->path ? c->path : "settings",
                     "source.reconnect_min_ms (%lld) is above source.reconnect_max_ms (%lld)",
                     (long long)c->source.reconnect_min_ms, (long long)c->source.reconnect_max_ms);
    check_distributed(c);
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
