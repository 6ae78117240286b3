#include "lake/rest_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What goes to an Iceberg REST server and comes from it, as JSON. Nothing here touches a socket: the bytes are whatever a server
 * says. */

static struct str text(yyjson_val *object, const char *key)
{
    yyjson_val *v = yyjson_obj_get(object, key);
    return (struct str){yyjson_get_str(v), yyjson_get_len(v)};
}

static int64_t number(yyjson_val *object, const char *key, int64_t absent)
{
    yyjson_val *v = yyjson_obj_get(object, key);
    return yyjson_is_int(v) ? yyjson_get_sint(v) : absent;
}

/* The array's item whose `key` is that number. */
static yyjson_val *item_of(yyjson_val *array, const char *key, int64_t id)
{
    size_t i, max;
    yyjson_val *item;
    yyjson_arr_foreach(array, i, max, item)
    {
        if (yyjson_is_obj(item) && number(item, key, -1) == id) return item;
    }
    return NULL;
}

/* ---- answers */

static void take_settings(yyjson_val *settings, struct rest_config *ret)
{
    struct str prefix = text(settings, "prefix"), uri = text(settings, "uri");
    if (prefix.n) ret->prefix = prefix;
    if (uri.n) ret->uri = uri;
}

void rest_parse_config(yyjson_val *root, struct rest_config *ret)
{
    static const char commit[] = "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}";
    *ret = (struct rest_config){.can_commit = true};
    take_settings(yyjson_obj_get(root, "defaults"), ret);
    take_settings(yyjson_obj_get(root, "overrides"), ret);
    yyjson_val *endpoints = yyjson_obj_get(root, "endpoints"), *item;
    if (yyjson_arr_size(endpoints) == 0) return; /* an older server: the standard ones */
    size_t i, max;
    ret->can_commit = false;
    yyjson_arr_foreach(endpoints, i, max, item)
    {
        if (yyjson_equals_str(item, commit)) ret->can_commit = true;
    }
}

void rest_parse_error(yyjson_val *root, struct str *ret_type, struct str *ret_message)
{
    yyjson_val *error = yyjson_obj_get(root, "error");
    *ret_type = text(error, "type");
    *ret_message = text(error, "message");
    if (!yyjson_is_str(error)) return; /* OAuth's form of it */
    *ret_type = text(root, "error");
    *ret_message = text(root, "error_description");
}

enum err_code rest_parse_loaded(yyjson_val *root, struct rest_loaded *ret, struct err *e)
{
    yyjson_val *metadata = yyjson_obj_get(root, "metadata");
    *ret = (struct rest_loaded){.location = text(root, "metadata-location"),
                                .uuid = text(metadata, "table-uuid"),
                                .metadata = metadata};
    if (!ret->location.n || ret->location.n >= LAKE_LOCATION_MAX ||
        memchr(ret->location.p, 0, ret->location.n))
        return ERR(e, ERR_PARSE, "no \"metadata-location\" of a usable length");
    if (!ret->uuid.n || ret->uuid.n > 64)
        return ERR(e, ERR_PARSE, "no \"metadata\" with a \"table-uuid\"");
    return ERR_OK;
}

static struct str bounded(yyjson_val *settings, const char *key)
{
    struct str s = text(settings, key);
    return s.n < 8192 && !memchr(s.n ? s.p : "", 0, s.n) ? s : (struct str){NULL, 0};
}

/* The longest prefix counts; without such a list the table's own settings, for all of it. */
void rest_parse_vended(yyjson_val *root, struct str location, struct lake_vended_text *ret)
{
    yyjson_val *settings = yyjson_obj_get(root, "config"), *item;
    struct str prefix = location, longest = {NULL, 0};
    size_t i, max;
    yyjson_arr_foreach(yyjson_obj_get(root, "storage-credentials"), i, max, item)
    {
        struct str p = bounded(item, "prefix");
        bool below = p.n && p.n <= location.n && memcmp(p.p, location.p, p.n) == 0;
        if (!below || p.n < longest.n) continue;
        prefix = longest = p;
        settings = yyjson_obj_get(item, "config");
    }
    struct str region = bounded(settings, "client.region");
    *ret = (struct lake_vended_text){
        .prefix = prefix,
        .access_key = bounded(settings, "s3.access-key-id"),
        .secret_key = bounded(settings, "s3.secret-access-key"),
        .session_token = bounded(settings, "s3.session-token"),
        .endpoint = bounded(settings, "s3.endpoint"),
        .region = region.n ? region : bounded(settings, "s3.region"),
        .virtual_host = !str_is(bounded(settings, "s3.path-style-access"), "true")};
    if (!ret->access_key.n || !ret->secret_key.n) *ret = (struct lake_vended_text){0};
}

/* ---- what a table's metadata tells of our commits */

/* Every snapshot of ours is made on `main`, so that being in the list says that it was committed: also where others have
 * added theirs on top, or rolled it back since, which is no reason to do it again. */
static bool root_has_commit(yyjson_val *root, const char *fold, int64_t snapshot_id)
{
    if (fold && str_is(text(yyjson_obj_get(root, "properties"), REST_FOLD), fold)) return true;
    size_t i, max;
    yyjson_val *s;
    yyjson_arr_foreach(yyjson_obj_get(root, "snapshots"), i, max, s)
    {
        if (snapshot_id >= 0 && number(s, "snapshot-id", -1) == snapshot_id) return true;
        if (fold && str_is(text(yyjson_obj_get(s, "summary"), REST_FOLD), fold)) return true;
    }
    return false;
}

bool rest_has_commit(struct str metadata, const char *fold, int64_t snapshot_id)
{
    yyjson_doc *doc = yyjson_read(metadata.p, metadata.n, 0);
    bool has = root_has_commit(yyjson_doc_get_root(doc), fold, snapshot_id);
    yyjson_doc_free(doc);
    return has;
}

bool rest_last_fold(struct str metadata, char out[LAKE_UUID_TEXT])
{
    yyjson_doc *doc = yyjson_read(metadata.p, metadata.n, 0);
    yyjson_val *properties = yyjson_obj_get(yyjson_doc_get_root(doc), "properties");
    struct str fold = text(properties, REST_FOLD);
    *out = 0;
    if (fold.n && !str_copy(out, LAKE_UUID_TEXT, fold)) memcpy(out, "?", 2); /* no id of ours */
    yyjson_doc_free(doc);
    return *out != 0;
}

/* ---- requests */

static yyjson_mut_val *copy(yyjson_mut_doc *d, yyjson_val *v)
{
    yyjson_mut_val *c = v ? yyjson_val_mut_copy(d, v) : yyjson_mut_null(d);
    CHECK(c != NULL);
    return c;
}

static enum err_code write_out(yyjson_mut_doc *d, struct buf *out, struct err *e)
{
    size_t len;
    char *json = yyjson_mut_write(d, 0, &len);
    yyjson_mut_doc_free(d);
    CHECK(json != NULL); /* made of what was read: well-formed */
    buf_add(out, json, len);
    free(json);
    return out->failed ? ERR(e, ERR_FULL, "a request of %zu bytes", len) : ERR_OK;
}

enum err_code rest_create_body(const char *name, struct str metadata, struct buf *out,
                               struct err *e)
{
    yyjson_doc *doc = yyjson_read(metadata.p, metadata.n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    CHECK(yyjson_is_obj(root)); /* our own */
    yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
    CHECK(d != NULL);
    yyjson_mut_val *body = yyjson_mut_obj(d);
    yyjson_mut_doc_set_root(d, body);
    yyjson_mut_obj_add_strcpy(d, body, "name", name);
    yyjson_mut_obj_add_val(d, body, "location", copy(d, yyjson_obj_get(root, "location")));
    yyjson_mut_obj_add_val(d, body, "schema",
                           copy(d, yyjson_arr_get_first(yyjson_obj_get(root, "schemas"))));
    yyjson_mut_obj_add_val(d, body, "partition-spec",
                           copy(d, yyjson_arr_get_first(yyjson_obj_get(root, "partition-specs"))));
    yyjson_mut_obj_add_val(d, body, "write-order",
                           copy(d, yyjson_arr_get_first(yyjson_obj_get(root, "sort-orders"))));
    yyjson_mut_obj_add_bool(d, body, "stage-create", false);
    yyjson_mut_val *properties = copy(d, yyjson_obj_get(root, "properties"));
    yyjson_mut_obj_add_str(d, properties, "format-version", "2");
    yyjson_mut_obj_add_val(d, body, "properties", properties);
    yyjson_doc_free(doc);
    return write_out(d, out, e);
}

/* A commit being put together of what two metadata differ in. */
struct difference {
    yyjson_mut_doc *d;
    yyjson_val *before, *after;
    yyjson_mut_val *requirements, *updates;
};

static yyjson_mut_val *add(const struct difference *x, yyjson_mut_val *list, const char *key,
                           const char *value)
{
    yyjson_mut_val *v = yyjson_mut_obj(x->d);
    CHECK(yyjson_mut_obj_add_str(x->d, v, key, value) && yyjson_mut_arr_append(list, v));
    return v;
}

static yyjson_mut_val *update(const struct difference *x, const char *action)
{
    return add(x, x->updates, "action", action);
}

static yyjson_mut_val *require(const struct difference *x, const char *type)
{
    return add(x, x->requirements, "type", type);
}

/* -1 stands for the schema added last: which number it gets is the server's. */
static void tell_schemas(const struct difference *x)
{
    int64_t last = number(x->after, "last-column-id", 0),
            now = number(x->after, "current-schema-id", -1),
            was = number(x->before, "current-schema-id", -1), added = -1;
    size_t i, max;
    yyjson_val *s;
    yyjson_arr_foreach(yyjson_obj_get(x->after, "schemas"), i, max, s)
    {
        int64_t id = number(s, "schema-id", -1);
        if (item_of(yyjson_obj_get(x->before, "schemas"), "schema-id", id)) continue;
        yyjson_mut_val *u = update(x, "add-schema");
        yyjson_mut_obj_add_val(x->d, u, "schema", copy(x->d, s));
        yyjson_mut_obj_add_sint(x->d, u, "last-column-id", last);
        added = id;
    }
    if (added >= 0)
        yyjson_mut_obj_add_sint(x->d, require(x, "assert-last-assigned-field-id"),
                                "last-assigned-field-id", number(x->before, "last-column-id", 0));
    if (now == was) return;
    yyjson_mut_obj_add_sint(x->d, require(x, "assert-current-schema-id"), "current-schema-id", was);
    yyjson_mut_obj_add_sint(x->d, update(x, "set-current-schema"), "schema-id",
                            now == added ? -1 : now);
}

static void tell_properties(const struct difference *x, const char *fold)
{
    yyjson_val *before = yyjson_obj_get(x->before, "properties"),
               *after = yyjson_obj_get(x->after, "properties"), *key;
    yyjson_mut_val *set = yyjson_mut_obj(x->d), *gone = yyjson_mut_arr(x->d);
    yyjson_obj_iter i = yyjson_obj_iter_with(after);
    while ((key = yyjson_obj_iter_next(&i))) {
        yyjson_val *old = yyjson_obj_getn(before, yyjson_get_str(key), yyjson_get_len(key)),
                   *value = yyjson_obj_iter_get_val(key);
        if (!yyjson_is_str(value) || yyjson_equals(old, value)) continue;
        yyjson_mut_obj_add(set, copy(x->d, key), copy(x->d, value));
    }
    i = yyjson_obj_iter_with(before);
    while ((key = yyjson_obj_iter_next(&i)))
        if (!yyjson_obj_getn(after, yyjson_get_str(key), yyjson_get_len(key)))
            yyjson_mut_arr_append(gone, copy(x->d, key));
    if (fold) yyjson_mut_obj_add_strcpy(x->d, set, REST_FOLD, fold);
    if (yyjson_mut_obj_size(set))
        yyjson_mut_obj_add_val(x->d, update(x, "set-properties"), "updates", set);
    if (yyjson_mut_arr_size(gone))
        yyjson_mut_obj_add_val(x->d, update(x, "remove-properties"), "removals", gone);
}

static void tell_snapshots(const struct difference *x, const char *fold, struct str positions)
{
    size_t i, max;
    yyjson_val *s;
    yyjson_arr_foreach(yyjson_obj_get(x->after, "snapshots"), i, max, s)
    {
        int64_t id = number(s, "snapshot-id", -1);
        if (item_of(yyjson_obj_get(x->before, "snapshots"), "snapshot-id", id)) continue;
        yyjson_mut_val *c = copy(x->d, s), *summary = yyjson_mut_obj_get(c, "summary");
        if (fold) yyjson_mut_obj_add_strcpy(x->d, summary, REST_FOLD, fold);
        if (fold && positions.n)
            yyjson_mut_obj_add_strncpy(x->d, summary, "ticklake.positions", positions.p,
                                       positions.n);
        yyjson_mut_obj_add_val(x->d, update(x, "add-snapshot"), "snapshot", c);
    }
}

static void tell_refs(const struct difference *x)
{
    yyjson_val *before = yyjson_obj_get(x->before, "refs"),
               *after = yyjson_obj_get(x->after, "refs"), *key, *k;
    yyjson_obj_iter i = yyjson_obj_iter_with(after);
    while ((key = yyjson_obj_iter_next(&i))) {
        yyjson_val *old = yyjson_obj_getn(before, yyjson_get_str(key), yyjson_get_len(key)),
                   *ref = yyjson_obj_iter_get_val(key);
        if (yyjson_equals(old, ref)) continue;
        yyjson_mut_val *u = update(x, "set-snapshot-ref");
        yyjson_mut_obj_add_val(x->d, u, "ref-name", copy(x->d, key));
        yyjson_obj_iter of_ref = yyjson_obj_iter_with(ref);
        while ((k = yyjson_obj_iter_next(&of_ref)))
            yyjson_mut_obj_add(u, copy(x->d, k), copy(x->d, yyjson_obj_iter_get_val(k)));
    }
    i = yyjson_obj_iter_with(before);
    while ((key = yyjson_obj_iter_next(&i)))
        if (!yyjson_obj_getn(after, yyjson_get_str(key), yyjson_get_len(key)))
            yyjson_mut_obj_add_val(x->d, update(x, "remove-snapshot-ref"), "ref-name",
                                   copy(x->d, key));
}

/* Behind the refs: what a ref still names cannot be removed. */
static void tell_removed(const struct difference *x)
{
    yyjson_mut_val *ids = yyjson_mut_arr(x->d);
    size_t i, max;
    yyjson_val *s;
    yyjson_arr_foreach(yyjson_obj_get(x->before, "snapshots"), i, max, s)
    {
        int64_t id = number(s, "snapshot-id", -1);
        if (!item_of(yyjson_obj_get(x->after, "snapshots"), "snapshot-id", id))
            yyjson_mut_arr_add_sint(x->d, ids, id);
    }
    if (yyjson_mut_arr_size(ids))
        yyjson_mut_obj_add_val(x->d, update(x, "remove-snapshots"), "snapshot-ids", ids);
}

static void require_state(const struct difference *x)
{
    yyjson_mut_val *r = require(x, "assert-table-uuid");
    yyjson_mut_obj_add_val(x->d, r, "uuid", copy(x->d, yyjson_obj_get(x->before, "table-uuid")));
    int64_t id =
        number(yyjson_obj_get(yyjson_obj_get(x->before, "refs"), "main"), "snapshot-id", -1);
    if (id < 0) id = number(x->before, "current-snapshot-id", -1);
    r = require(x, "assert-ref-snapshot-id");
    yyjson_mut_obj_add_str(x->d, r, "ref", "main");
    if (id >= 0)
        yyjson_mut_obj_add_sint(x->d, r, "snapshot-id", id);
    else
        yyjson_mut_obj_add_null(x->d, r, "snapshot-id");
}

enum err_code rest_commit_body(const struct rest_commit *c, struct buf *out, struct err *e)
{
    yyjson_doc *before = yyjson_read(c->before.p, c->before.n, 0),
               *after = yyjson_read(c->after.p, c->after.n, 0);
    struct difference x = {.d = yyjson_mut_doc_new(NULL),
                           .before = yyjson_doc_get_root(before),
                           .after = yyjson_doc_get_root(after)};
    CHECK(x.d != NULL);
    enum err_code code = ERR_OK;
    if (!yyjson_is_obj(x.before) || !yyjson_is_obj(x.after)) {
        code = ERR(e, ERR_CORRUPT, "the metadata of a table is no JSON object");
        yyjson_mut_doc_free(x.d);
    } else {
        yyjson_mut_val *body = yyjson_mut_obj(x.d);
        yyjson_mut_doc_set_root(x.d, body);
        x.requirements = yyjson_mut_obj_add_arr(x.d, body, "requirements");
        x.updates = yyjson_mut_obj_add_arr(x.d, body, "updates");
        require_state(&x);
        tell_schemas(&x);
        tell_properties(&x, c->fold);
        tell_snapshots(&x, c->fold, c->positions);
        tell_refs(&x);
        tell_removed(&x);
        code = write_out(x.d, out, e);
    }
    yyjson_doc_free(before);
    yyjson_doc_free(after);
    return code;
}
