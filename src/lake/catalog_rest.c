#include "io/clock.h"
#include "lake/rest_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* The tables of a lake in an Iceberg REST catalog: opening it, loading, creating and committing them. */

#define TABLES "/namespaces/" LAKE_NAMESPACE "/tables"
enum { PREFIX_MAX = REST_URI_MAX / 2 };
#define VENDED_AGE_NS                                                                              \
    (5 * NS_PER_MINUTE) /* they are good for a quarter of an hour at least, usually an hour */

/* ---- opening */

static enum err_code take_uri(struct lake_rest *r, struct str uri, const char *key, struct err *e)
{
    while (uri.n && uri.p[uri.n - 1] == '/') uri.n--;
    bool good = str_starts(uri, "http://") || str_starts(uri, "https://");
    for (size_t i = 0; i < uri.n; i++)
        if (uri.p[i] <= ' ' || uri.p[i] > '~' || strchr("?#\"<>\\^`{|}", uri.p[i])) good = false;
    if (!good || uri.n + 40 > sizeof r->uri || uri.n < 9)
        return ERR(e, ERR_CONFIG,
                   "%s: expected http(s)://host:port/path of an Iceberg REST catalog", key);
    /* It would stand in process lists and logs of others. */
    if (memchr(uri.p, '@', uri.n))
        return ERR(e, ERR_CONFIG,
                   "%s: an address with a user or a password in it; use lake.rest_token, "
                   "lake.rest_credential or their files",
                   key);
    str_copy(r->uri, sizeof r->uri, uri);
    snprintf(r->address, sizeof r->address, "the REST catalog %.900s", r->uri);
    return ERR_OK;
}

static enum err_code take_prefix(struct lake_rest *r, struct str prefix, struct err *e)
{
    while (prefix.n && prefix.p[prefix.n - 1] == '/') prefix.n--;
    while (prefix.n && *prefix.p == '/') {
        prefix.p++;
        prefix.n--;
    }
    *r->prefix = 0;
    if (prefix.n == 0) return ERR_OK;
    bool good = prefix.n < PREFIX_MAX;
    for (size_t i = 0; i < prefix.n; i++)
        if (prefix.p[i] <= ' ' || prefix.p[i] > '~' || strchr("?#\"<>\\^`{|}", prefix.p[i]))
            good = false;
    if (!good)
        return ERR(e, ERR_PARSE,
                   "%s: its configuration names a prefix that is no part of an address",
                   r->address);
    snprintf(r->prefix, sizeof r->prefix, "/%.*s", STR_ARG(prefix));
    return ERR_OK;
}

static void add_encoded(struct buf *b, const char *text)
{
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     strchr("-._~", c);
        if (plain)
            buf_add_byte(b, c);
        else
            buf_addf(b, "%%%02X", c);
    }
}

static enum err_code take_config(struct lake_rest *r, yyjson_val *root, struct err *e)
{
    struct rest_config c;
    rest_parse_config(root, &c);
    if (!c.can_commit)
        return ERR(e, ERR_CONFIG,
                   "%s: commits to tables are not among the endpoints that it offers: a read-only "
                   "catalog?",
                   r->address);
    if (c.uri.n) {
        bool was_tls = str_starts(str_of(r->uri), "https://");
        if (was_tls && !str_starts(c.uri, "https://"))
            return ERR(e, ERR_CONFIG, "%s: it sends us to an address without TLS", r->address);
        TRY(take_uri(r, c.uri, "\"uri\" of the REST catalog's configuration", e));
    }
    return take_prefix(r, c.prefix, e);
}

static enum err_code configure(struct lake_rest *r, struct err *e)
{
    struct buf path;
    struct rest_answer a;
    if (r->configured) return ERR_OK;
    buf_init(&path, 3 * REST_URI_MAX);
    buf_add_cstr(&path, "/config");
    if (r->o.warehouse) {
        buf_add_cstr(&path, "?warehouse=");
        add_encoded(&path, r->o.warehouse);
    }
    const struct rest_question q = {
        .method = "GET", .path = buf_cstr(&path), .asked = "tell its configuration", .bare = true};
    enum err_code code =
        path.failed ? ERR(e, ERR_CONFIG, "lake.rest_warehouse: too long") : rest_ask(r, &q, &a, e);
    if (!path.failed) {
        if (code == ERR_OK) code = take_config(r, yyjson_doc_get_root(a.doc), e);
        rest_answer_done(&a);
    }
    if (code == ERR_NOT_FOUND) {
        if (e) e->code = ERR_CONFIG;
        code = ERR_CONFIG; /* no such warehouse, or not the address of a catalog */
    }
    r->configured = code == ERR_OK;
    buf_free(&path);
    return code;
}

static enum err_code start(struct lake *l, struct err *e)
{
    struct lake_rest *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    l->rest = r;
    r->o = *l->o.rest;
    buf_init(&r->token, 1 << 15);
    for (int i = 0; i < TABLE_MAX; i++) buf_init(&r->tables[i].metadata, LAKE_JSON_LIMIT);
    TRY(take_uri(r, str_of(r->o.uri), "lake.catalog", e));
    r->http = http_client_new();
    if (r->o.signing_name) r->aws = aws_new(&r->o.aws);
    return configure(r, e);
}

enum err_code rest_open(struct lake *l, struct err *e)
{
    TRY(start(l, e));
    if (l->o.read_only) return ERR_OK;
    static const char body[] = "{\"namespace\":[\"" LAKE_NAMESPACE "\"],\"properties\":{}}";
    struct rest_answer a;
    const struct rest_question look = {.method = "GET",
                                       .path = "/namespaces/" LAKE_NAMESPACE,
                                       .asked = "load the namespace " LAKE_NAMESPACE};
    enum err_code code = rest_ask(l->rest, &look, &a, e);
    rest_answer_done(&a);
    if (code != ERR_NOT_FOUND) return code;
    const struct rest_question make = {.method = "POST",
                                       .path = "/namespaces",
                                       .asked = "create the namespace " LAKE_NAMESPACE,
                                       .body = str_of(body)};
    code = rest_ask(l->rest, &make, &a, e);
    rest_answer_done(&a);
    return code == ERR_CONFLICT ? ERR_OK : code; /* another worker was faster */
}

void rest_close(struct lake *l)
{
    struct lake_rest *r = l->rest;
    if (!r) return;
    for (int i = 0; i < TABLE_MAX; i++) {
        free(r->tables[i].location);
        free(r->tables[i].uuid);
        buf_free(&r->tables[i].metadata);
    }
    rest_forget_token(r);
    buf_free(&r->token);
    aws_free(r->aws);
    http_client_free(r->http);
    free(r);
    l->rest = NULL;
}

/* ---- loading */

/* A commit's answer has none: those of the last load stay. */
static void take_vended(struct lake *l, const struct table *t, yyjson_val *root,
                        const struct rest_loaded *loaded)
{
    struct lake_vended_text given;
    yyjson_val *location = yyjson_obj_get(loaded->metadata, "location");
    rest_parse_vended(root, (struct str){yyjson_get_str(location), yyjson_get_len(location)},
                      &given);
    if (!given.access_key.n) return;
    lake_objects_vended(l, t->id, &given);
    l->rest->tables[t->id].vended_ns = clock_mono_ns();
}

static enum err_code take_loaded(struct lake *l, const struct table *t, const struct rest_answer *a,
                                 struct err *e)
{
    struct lake_rest *r = l->rest;
    struct rest_table *to = &r->tables[t->id];
    struct rest_loaded found;
    struct err why = {0};
    enum err_code code = rest_parse_loaded(yyjson_doc_get_root(a->doc), &found, &why);
    if (code != ERR_OK)
        return ERR(e, ERR_CORRUPT, "%s answered for table " LAKE_NAMESPACE ".%s: %s", r->address,
                   t->name, why.text);
    if (to->uuid && !str_is(found.uuid, to->uuid))
        return ERR(e, ERR_CORRUPT,
                   "%s: table " LAKE_NAMESPACE ".%s was dropped and made anew by another program",
                   r->address, t->name);
    size_t len;
    char *json = yyjson_val_write(found.metadata, 0, &len);
    CHECK(json != NULL);
    buf_reset(&to->metadata);
    buf_add(&to->metadata, json, len);
    free(json);
    if (to->metadata.failed) return ERR(e, ERR_FULL, "table %s: metadata too large", t->name);
    if (!to->uuid) to->uuid = strndup(found.uuid.p, found.uuid.n);
    free(to->location);
    to->location = strndup(found.location.p, found.location.n);
    CHECK(to->location != NULL && to->uuid != NULL);
    str_copy(to->etag, sizeof to->etag, str_of(a->etag));
    if (r->o.vended) take_vended(l, t, yyjson_doc_get_root(a->doc), &found);
    return ERR_OK;
}

enum err_code rest_pointer(struct lake *l, const struct table *t, char **ret, struct err *e)
{
    struct lake_rest *r = l->rest;
    struct rest_table *at = &r->tables[t->id];
    struct rest_answer a;
    char path[128], asked[96];
    *ret = NULL;
    TRY(configure(r, e));
    /* "Not modified" would bring no new credentials. */
    bool known = at->location && *at->etag && !r->o.vended;
    snprintf(path, sizeof path, TABLES "/%s", t->name);
    snprintf(asked, sizeof asked, "load table " LAKE_NAMESPACE ".%s", t->name);
    const struct rest_question q = {
        .method = "GET", .path = path, .asked = asked, .etag = known ? at->etag : NULL};
    enum err_code code = rest_ask(r, &q, &a, e);
    if (code == ERR_OK && a.status != 304) code = take_loaded(l, t, &a, e);
    rest_answer_done(&a);
    if (code == ERR_NOT_FOUND) return ERR_OK;
    TRY(code);
    *ret = strdup(at->location);
    CHECK(*ret != NULL);
    return ERR_OK;
}

enum err_code rest_metadata(struct lake *l, const struct table *t, struct buf *ret, struct err *e)
{
    const struct buf *from = &l->rest->tables[t->id].metadata;
    CHECK(from->len > 0);
    buf_reset(ret);
    buf_add_str(ret, buf_str(from));
    return ret->failed ? ERR(e, ERR_FULL, "table %s: metadata too large", t->name) : ERR_OK;
}

/* A table that is there already must be one that we can write. */
static enum err_code probe_table(struct lake *l, enum table_id id, struct err *e)
{
    struct lake_table t = {.t = table_of(id), .snapshot_id = -1};
    TRY(rest_pointer(l, t.t, &t.metadata_location, e));
    if (!t.metadata_location) return ERR_OK;
    buf_init(&t.metadata, LAKE_JSON_LIMIT);
    enum err_code code = rest_metadata(l, t.t, &t.metadata, e);
    if (code == ERR_OK) code = lake_metadata_parse(&t, e);
    if (code != ERR_OK)
        err_prefix(e, "%s, table " LAKE_NAMESPACE ".%s: ", l->rest->address, t.t->name);
    lake_table_done(&t);
    return code;
}

enum err_code rest_probe(struct lake *l, struct err *e)
{
    struct rest_answer a;
    TRY(start(l, e));
    const struct rest_question q = {
        .method = "GET", .path = TABLES, .asked = "list the tables of " LAKE_NAMESPACE};
    enum err_code code = rest_ask(l->rest, &q, &a, e);
    rest_answer_done(&a);
    if (code == ERR_NOT_FOUND) code = ERR_OK; /* the namespace is made by the first worker */
    for (int id = 0; id < TABLE_MAX && code == ERR_OK; id++)
        code = probe_table(l, (enum table_id)id, e);
    rest_close(l);
    return code;
}

enum err_code rest_refresh_vended(struct lake *l, enum table_id id, struct err *e)
{
    const struct rest_table *t = &l->rest->tables[id];
    bool moved;
    if (!t->vended_ns || clock_mono_ns() - t->vended_ns < VENDED_AGE_NS) return ERR_OK;
    return lake_table_refresh(l, &l->tables[id], &moved, e);
}

/* ---- changing */

enum err_code rest_create(struct lake *l, const struct table *t, struct str metadata, struct err *e)
{
    struct rest_answer a;
    struct buf body;
    char asked[96];
    buf_init(&body, 1 << 20);
    snprintf(asked, sizeof asked, "create table " LAKE_NAMESPACE ".%s", t->name);
    enum err_code code = rest_create_body(t->name, metadata, &body, e);
    if (code == ERR_OK) {
        /* Asked again after a lost answer it is a conflict with ourselves: fine. */
        const struct rest_question q = {
            .method = "POST", .path = TABLES, .asked = asked, .body = buf_str(&body)};
        code = rest_ask(l->rest, &q, &a, e);
        rest_answer_done(&a);
    }
    buf_free(&body);
    return code == ERR_CONFLICT ? ERR_OK : code;
}

/* An answer that says "too old" without 409: another writer's snapshot on a branch moved the table's sequence number. Whoever
 * loads the table again sees. */
static bool is_lost(const struct rest_answer *a, enum err_code code)
{
    return code == ERR_CONFLICT || a->unknown || a->status == 400;
}

static enum err_code send(struct lake *l, const struct table *t, struct str body, bool *ret_won,
                          struct err *e)
{
    struct lake_rest *r = l->rest;
    struct rest_answer a;
    char path[128], asked[96];
    snprintf(path, sizeof path, TABLES "/%s", t->name);
    snprintf(asked, sizeof asked, "commit to table " LAKE_NAMESPACE ".%s", t->name);
    const struct rest_question q = {
        .method = "POST", .path = path, .asked = asked, .body = body, .once = true};
    struct err why = {0};
    enum err_code code = rest_ask(r, &q, &a, &why);
    bool lost = is_lost(&a, code);
    int status = a.status;
    if (code == ERR_OK) code = take_loaded(l, t, &a, &why);
    rest_answer_done(&a);
    *ret_won = code == ERR_OK;
    if (code == ERR_NOT_FOUND) code = why.code = ERR_CORRUPT; /* it was dropped while we wrote */
    if (lost && code != ERR_OK) {
        r->lost_status = status;
        r->lost = why;
        return ERR_OK;
    }
    if (code != ERR_OK && e) *e = why;
    return code;
}

enum err_code rest_send(struct lake *l, const struct lake_table *t, const struct rest_commit *c,
                        bool *ret_won, struct err *e)
{
    struct buf body;
    *ret_won = false;
    buf_init(&body, LAKE_JSON_LIMIT);
    enum err_code code = rest_commit_body(c, &body, e);
    if (code == ERR_OK) code = send(l, t->t, buf_str(&body), ret_won, e);
    buf_free(&body);
    return code;
}

enum err_code rest_send_change(struct lake *l, struct lake_change *c, struct str positions,
                               bool *ret_won, struct err *e)
{
    const struct rest_commit commit = {.before = buf_str(&c->table->metadata),
                                       .after = buf_str(&c->next.metadata),
                                       .fold = c->fold,
                                       .positions = positions};
    TRY(rest_send(l, c->table, &commit, ret_won, e));
    if (!*ret_won) return ERR_OK;
    free(c->next.metadata_location);
    c->next.metadata_location = strdup(l->rest->tables[c->table->t->id].location);
    CHECK(c->next.metadata_location != NULL);
    return rest_metadata(l, c->table->t, &c->next.metadata, e);
}
