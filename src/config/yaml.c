/* The walk over the YAML document. libyaml's document tree keeps line and column of every node, and reading all of it
 * before judging is what lets all mistakes be told at once (libcyaml stops at the first). */
#include "config/config_yaml.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

struct walk {
    struct config *c;
    const char *path;
    yaml_document_t *document;
};

static const char *place(const struct walk *w, const yaml_node_t *n, char out[600])
{
    snprintf(out, 600, "%s:%zu:%zu", w->path, n->start_mark.line + 1, n->start_mark.column + 1);
    return out;
}

static struct str scalar(const yaml_node_t *n)
{
    return (struct str){(const char *)n->data.scalar.value, n->data.scalar.length};
}

/* The expanded text of a scalar node; false (and an error) for anything else. */
static bool text_of(struct walk *w, const yaml_node_t *n, const char *key, struct buf *out)
{
    char where[600];
    buf_reset(out);
    if (n->type != YAML_SCALAR_NODE) {
        config_error(w->c, place(w, n, where), "%s: expected one value, got a %s", key,
                     n->type == YAML_SEQUENCE_NODE ? "list" : "section");
        return false;
    }
    struct str raw = scalar(n);
    if (n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
        (str_is(raw, "~") || str_is(raw, "null")))
        return true;
    return config_expand(w->c, place(w, n, where), raw, out);
}

static const char *const venue_keys[] = {
    "name",  "symbols",    "streams",           "ws_url",          "rest_url", "archive_url",
    "token", "token_file", "requests_per_hour", "requests_per_day"};

static char **venue_text(struct config_venue *v, struct str key)
{
    if (str_is(key, "name")) return &v->name;
    if (str_is(key, "ws_url")) return &v->ws_url;
    if (str_is(key, "rest_url")) return &v->rest_url;
    if (str_is(key, "archive_url")) return &v->archive_url;
    if (str_is(key, "token")) return &v->token;
    if (str_is(key, "token_file")) return &v->token_file;
    return NULL;
}

static int64_t *venue_number(struct config_venue *v, struct str key)
{
    if (str_is(key, "requests_per_hour")) return &v->requests_per_hour;
    if (str_is(key, "requests_per_day")) return &v->requests_per_day;
    return NULL;
}

static void assign_number(struct config *c, const char *where, struct str key, struct str value,
                          int64_t *to)
{
    int64_t number;
    if (str_to_i64(value, &number) == ERR_OK && number >= 0 && number <= INT32_MAX)
        *to = number;
    else
        config_error(c, where, "%.*s: expected a whole number from 0 to %d, got \"%.*s\"",
                     STR_ARG(key), INT32_MAX, STR_ARG(value));
}

/* Those of the venue, until something else is said. */
static struct config_venue *new_venue(struct config *c)
{
    struct config_venue *v = &c->venues[c->venue_count];
    v->requests_per_hour = v->requests_per_day = -1;
    return v;
}

static struct config_list *venue_list(struct config_venue *v, struct str key)
{
    if (str_is(key, "symbols")) return &v->symbols;
    if (str_is(key, "streams")) return &v->streams;
    return NULL;
}

static void unknown_venue_key(struct config *c, const char *where, struct str key)
{
    const char *best = NULL;
    int best_distance = 4;
    for (size_t i = 0; i < sizeof venue_keys / sizeof venue_keys[0]; i++) {
        int d = str_distance(key, str_of(venue_keys[i]));
        if (d < best_distance) {
            best = venue_keys[i];
            best_distance = d;
        }
    }
    config_error(c, where,
                 "unknown key %.*s of a venue%s%s%s; expected name, symbols, streams, "
                 "ws_url, rest_url, archive_url, token, token_file, requests_per_hour or "
                 "requests_per_day",
                 STR_ARG(key), best ? "; did you mean " : "", best ? best : "", best ? "?" : "");
}

void config_set_venue(struct config *c, const char *where, struct str venue, struct str key,
                      struct str value)
{
    struct config_venue *v = NULL;
    for (size_t i = 0; i < c->venue_count; i++)
        if (c->venues[i].name && str_is(venue, c->venues[i].name)) v = &c->venues[i];
    if (!v) {
        if (c->venue_count == CONFIG_VENUES_MAX) {
            config_error(c, where, "more than %d venues", CONFIG_VENUES_MAX);
            return;
        }
        v = new_venue(c);
        c->venue_count++;
        config_replace_text(&v->name, venue);
    }
    char **text = venue_text(v, key);
    struct config_list *list = venue_list(v, key);
    int64_t *number = venue_number(v, key);
    if (text) {
        config_replace_text(text, value);
    } else if (number) {
        assign_number(c, where, key, value, number);
    } else if (list) {
        config_free_list(list);
        while (value.n) config_list_add(list, str_trim(str_cut(&value, ',')));
    } else {
        unknown_venue_key(c, where, key);
    }
}

static void read_list(struct walk *w, const yaml_node_t *n, const char *key, struct config_list *to)
{
    struct buf text;
    char where[600];
    buf_init(&text, 1 << 16);
    if (n->type == YAML_SCALAR_NODE) {
        if (text_of(w, n, key, &text) && text.len) config_list_add(to, buf_str(&text));
    } else if (n->type != YAML_SEQUENCE_NODE) {
        config_error(w->c, place(w, n, where), "%s: expected a list, as [A, B]", key);
    } else {
        for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top;
             i++) {
            const yaml_node_t *item = yaml_document_get_node(w->document, *i);
            if (to->count >= CONFIG_LIST_MAX) {
                config_error(w->c, place(w, item, where), "%s: more than %d entries", key,
                             CONFIG_LIST_MAX);
                break;
            }
            if (text_of(w, item, key, &text)) config_list_add(to, buf_str(&text));
        }
    }
    buf_free(&text);
}

static void read_venue(struct walk *w, const yaml_node_t *n)
{
    char where[600];
    if (n->type != YAML_MAPPING_NODE) {
        config_error(w->c, place(w, n, where), "venues: expected entries like \"- name: binance\"");
        return;
    }
    if (w->c->venue_count == CONFIG_VENUES_MAX) {
        config_error(w->c, place(w, n, where), "more than %d venues", CONFIG_VENUES_MAX);
        return;
    }
    struct config_venue *v = new_venue(w->c);
    v->line = (int)n->start_mark.line + 1;
    struct buf text;
    buf_init(&text, 1 << 16);
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        const yaml_node_t *kn = yaml_document_get_node(w->document, p->key);
        const yaml_node_t *vn = yaml_document_get_node(w->document, p->value);
        if (kn->type != YAML_SCALAR_NODE) continue;
        struct str key = scalar(kn);
        char name[128];
        str_copy(name, sizeof name, key);
        char **slot = venue_text(v, key);
        struct config_list *list = venue_list(v, key);
        int64_t *number = venue_number(v, key);
        if (slot) {
            if (text_of(w, vn, name, &text)) config_replace_text(slot, buf_str(&text));
        } else if (number) {
            if (text_of(w, vn, name, &text))
                assign_number(w->c, place(w, vn, where), key, buf_str(&text), number);
        } else if (list) {
            read_list(w, vn, name, list);
        } else {
            unknown_venue_key(w->c, place(w, kn, where), key);
        }
    }
    buf_free(&text);
    if (!v->name) {
        config_error(w->c, place(w, n, where), "venues: an entry without name");
        config_replace_text(&v->name, STR("?"));
    }
    w->c->venue_count++;
}

static void read_section(struct walk *w, struct str section, const yaml_node_t *n)
{
    char where[600];
    struct buf text;
    buf_init(&text, 1 << 16);
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        const yaml_node_t *kn = yaml_document_get_node(w->document, p->key);
        const yaml_node_t *vn = yaml_document_get_node(w->document, p->value);
        if (kn->type != YAML_SCALAR_NODE) {
            config_error(w->c, place(w, kn, where), "a key must be one word");
            continue;
        }
        struct str key = scalar(kn);
        char name[128];
        str_copy(name, sizeof name, key);
        if (section.n == 0 && str_is(key, "venues")) {
            if (vn->type != YAML_SEQUENCE_NODE) {
                config_error(w->c, place(w, vn, where), "venues: expected a list of venues");
                continue;
            }
            for (yaml_node_item_t *i = vn->data.sequence.items.start;
                 i < vn->data.sequence.items.top; i++)
                read_venue(w, yaml_document_get_node(w->document, *i));
            continue;
        }
        if (section.n == 0 && vn->type == YAML_MAPPING_NODE) {
            read_section(w, key, vn);
            continue;
        }
        const struct config_key *k = config_find(section, key);
        if (!k)
            config_unknown(w->c, place(w, kn, where), section, key);
        else if (k->type == CONFIG_LIST && vn->type == YAML_SEQUENCE_NODE)
            read_list(w, vn, name, (struct config_list *)(void *)((char *)w->c + k->offset));
        else if (text_of(w, vn, name, &text))
            config_assign(w->c, k, place(w, vn, where), buf_str(&text));
    }
    buf_free(&text);
}

static void read_document(struct config *c, const char *path, struct str bytes)
{
    yaml_parser_t parser;
    yaml_document_t document;
    char where[600];
    CHECK(yaml_parser_initialize(&parser));
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes.p, bytes.n);
    if (!yaml_parser_load(&parser, &document)) {
        snprintf(where, sizeof where, "%s:%zu:%zu", path, parser.problem_mark.line + 1,
                 parser.problem_mark.column + 1);
        config_error(c, where, "not YAML: %s", parser.problem ? parser.problem : "unreadable");
        yaml_parser_delete(&parser);
        return;
    }
    struct walk w = {c, path, &document};
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    if (root && root->type == YAML_MAPPING_NODE)
        read_section(&w, STR(""), root);
    else if (root)
        config_error(c, place(&w, root, where), "expected sections like \"venues:\" and \"lake:\"");
    yaml_document_delete(&document);
    yaml_parser_delete(&parser);
}

enum err_code config_load(struct config *c, const char *path, struct err *e)
{
    bool named = path != NULL;
    if (!named) path = "ticklake.yaml";
    if (!named && !file_exists(path)) return ERR_OK;
    struct buf b;
    buf_init(&b, CONFIG_FILE_MAX);
    enum err_code code = file_read(path, CONFIG_FILE_MAX, &b, e);
    if (code == ERR_OK) {
        config_replace_text(&c->path, str_of(path));
        read_document(c, path, buf_str(&b));
    } else {
        code = ERR(e, ERR_CONFIG, "--config: %s", e->text);
    }
    buf_free(&b);
    return code;
}
