/* Confluent's API, as Confluent's own server, Apicurio, Karapace and Redpanda speak it. */
#include "registry/registry_internal.h"

#include <openssl/evp.h>
#include <stdio.h>

#define MEDIA "application/vnd.schemaregistry.v1+json"

enum {
    CODE_NO_SUBJECT = 40401,
    CODE_NO_VERSION = 40402,
    CODE_NO_SCHEMA = 40403,
    CODE_NO_LEVEL = 40408,
};

/* An answer and its JSON; done with by answer_done. */
struct answer {
    struct http_reply reply;
    yyjson_doc *doc;
    yyjson_val *root;
    int64_t error_code; /* 0 where it is no error, or there is none in it */
};

static void answer_done(struct answer *a)
{
    yyjson_doc_free(a->doc);
    http_reply_free(&a->reply);
}

static void add_escaped(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     c == '-' || c == '_' || c == '.';
        if (plain)
            buf_add_byte(b, (uint8_t)c);
        else
            buf_addf(b, "%%%02X", (unsigned char)c);
    }
}

/* '{}' in the path is the subject, percent-encoded. */
static void make_url(const struct registry *r, const char *path, struct str subject,
                     struct buf *url)
{
    buf_init(url, 8192);
    buf_add_cstr(url, r->url);
    for (; *path; path++) {
        if (*path != '{') {
            buf_add_byte(url, (uint8_t)*path);
            continue;
        }
        add_escaped(url, subject);
        path++;
    }
}

static void authorize(const struct registry *r, struct http_call *call)
{
    struct buf plain, b;
    buf_init(&plain, 4096);
    buf_init(&b, 16384);
    if (r->token) {
        buf_addf(&b, "Bearer %s", r->token);
    } else if (r->user) {
        buf_addf(&plain, "%s:%s", r->user, r->password ? r->password : "");
        buf_add_cstr(&b, "Basic ");
        uint8_t *room = buf_room(&b, plain.len / 3 * 4 + 8);
        if (room) b.len += (size_t)EVP_EncodeBlock(room, plain.data, (int)plain.len);
    }
    if (b.len) http_call_header(call, "Authorization", buf_cstr(&b));
    if (plain.data) explicit_bzero(plain.data, plain.len);
    if (b.data) explicit_bzero(b.data, b.len);
    buf_free(&plain);
    buf_free(&b);
}

static enum err_code judge_answer(const struct registry *r, const struct answer *a,
                                  const char *asked, struct err *e)
{
    int status = a->reply.status;
    char words[96];
    struct str message = registry_text(a->root, "message");
    registry_excerpt(message.n ? message : buf_str(&a->reply.body), words);
    if (status >= 200 && status < 300 && a->root) return ERR_OK;
    enum err_code code = ERR_UNAVAILABLE;
    const char *advice = "";
    if (status == 401 || status == 403) {
        code = ERR_REFUSED;
        advice = "; check registry.user and registry.password, or registry.token, and their rights";
    } else if (a->error_code == CODE_NO_SUBJECT || a->error_code == CODE_NO_VERSION ||
               a->error_code == CODE_NO_SCHEMA || a->error_code == CODE_NO_LEVEL) {
        code = ERR_NOT_FOUND;
    } else if (status == 409 || status == 422) {
        code = ERR_INCOMPATIBLE;
    } else if (status == 404 || (status >= 200 && status < 400)) {
        advice = "; is registry.url the address of a registry, with its base path?";
    }
    return ERR(e, code, "the registry %s, asked to %s, answered %d%s: %s%s", r->address, asked,
               status, a->root ? "" : " and no JSON", words, advice);
}

/* One request; ERR_OK: a->root is the JSON of a good answer. answer_done it in any case. */
static enum err_code ask(struct registry *r, const char *method, const char *path,
                         struct str subject, struct str body, const char *asked, struct answer *a,
                         struct err *e)
{
    *a = (struct answer){0};
    struct buf url;
    make_url(r, path, subject, &url);
    if (url.failed) return ERR(e, ERR_CONFIG, "the name of a subject is too long");
    struct http_call call;
    http_call_init(&call, method, buf_cstr(&url), REGISTRY_ANSWER_MAX);
    buf_free(&url);
    http_call_header(&call, "Accept", MEDIA ", application/json");
    if (body.n) http_call_header(&call, "Content-Type", MEDIA);
    authorize(r, &call);
    call.body = body;
    call.timeout_ms = r->timeout_ms;
    call.ca_file = r->ca_file;
    enum err_code code = http_send(r->http, &call, &a->reply, e);
    http_call_free(&call);
    if (code != ERR_OK) {
        err_prefix(e, "the registry, asked to %s: ", asked);
        return code;
    }
    a->doc = registry_json(&a->reply);
    a->root = yyjson_doc_get_root(a->doc);
    a->error_code = yyjson_get_sint(yyjson_obj_get(a->root, "error_code"));
    return judge_answer(r, a, asked, e);
}

static struct buf schema_body(struct str schema)
{
    struct buf b;
    buf_init(&b, 2 * (size_t)REGISTRY_SCHEMA_MAX);
    buf_add_cstr(&b, "{\"schema\":");
    buf_add_json(&b, schema);
    buf_add_cstr(&b, "}");
    return b;
}

static enum err_code unexpected(const struct registry *r, const struct answer *a, const char *what,
                                struct err *e)
{
    char words[96];
    registry_excerpt(buf_str(&a->reply.body), words);
    return ERR(e, ERR_UNAVAILABLE, "the registry %s answered without %s: %s", r->address, what,
               words);
}

static enum err_code take_id(const struct registry *r, const struct answer *a,
                             struct registry_id *ret, struct err *e)
{
    yyjson_val *id = yyjson_obj_get(a->root, "id");
    if (!yyjson_is_int(id) || yyjson_get_sint(id) < 0 || yyjson_get_sint(id) > UINT32_MAX)
        return unexpected(r, a, "an id", e);
    *ret =
        (struct registry_id){.kind = REGISTRY_CONFLUENT, .number = (uint32_t)yyjson_get_sint(id)};
    return ERR_OK;
}

static enum err_code take_schema(const struct registry *r, const struct answer *a, struct buf *text,
                                 struct err *e)
{
    struct str schema = registry_text(a->root, "schema"),
               type = registry_text(a->root, "schemaType");
    if (type.n && !str_is(type, "AVRO"))
        return ERR(e, ERR_INCOMPATIBLE, "the schema there is %.*s, not AVRO",
                   type.n > 40 ? 40 : (int)type.n, type.p);
    if (!schema.n) return unexpected(r, a, "a schema", e);
    buf_reset(text);
    buf_add_str(text, schema);
    if (text->failed)
        return ERR(e, ERR_INCOMPATIBLE, "a schema of %zu bytes, limit %d", schema.n,
                   REGISTRY_SCHEMA_MAX);
    return ERR_OK;
}

static enum err_code find(struct registry *r, struct str subject, struct str schema,
                          struct registry_id *ret, struct err *e)
{
    struct answer a;
    struct buf body = schema_body(schema);
    enum err_code code =
        ask(r, "POST", "/subjects/{}", subject, buf_str(&body), "look up our schema", &a, e);
    if (code == ERR_OK) code = take_id(r, &a, ret, e);
    answer_done(&a);
    buf_free(&body);
    return code;
}

static enum err_code version(struct registry *r, struct str subject, int32_t number,
                             struct registry_version *ret, struct buf *text, struct err *e)
{
    struct answer a;
    char path[64] = "/subjects/{}/versions/latest";
    if (number) snprintf(path, sizeof path, "/subjects/{}/versions/%d", number);
    enum err_code code =
        ask(r, "GET", path, subject, STR(""), "give a version of the subject", &a, e);
    if (code == ERR_OK) code = take_id(r, &a, &ret->id, e);
    if (code == ERR_OK) code = take_schema(r, &a, text, e);
    if (code == ERR_OK) {
        yyjson_val *v = yyjson_obj_get(a.root, "version");
        bool good = yyjson_is_int(v) && yyjson_get_sint(v) >= 0 && yyjson_get_sint(v) <= INT32_MAX;
        ret->number = good ? (int32_t)yyjson_get_sint(v) : 0;
        if (!good) code = unexpected(r, &a, "a version", e);
    }
    answer_done(&a);
    return code;
}

static enum err_code check(struct registry *r, struct str subject, struct str schema, struct err *e)
{
    struct answer a;
    struct buf body = schema_body(schema);
    enum err_code code = ask(r, "POST", "/compatibility/subjects/{}/versions/latest", subject,
                             buf_str(&body), "check our schema", &a, e);
    yyjson_val *good = yyjson_obj_get(a.root, "is_compatible");
    if (code == ERR_OK && !yyjson_is_bool(good))
        code = unexpected(r, &a, "\"is_compatible\"", e);
    else if (code == ERR_OK && !yyjson_get_bool(good))
        code = ERR(e, ERR_INCOMPATIBLE,
                   "the registry %s says that our schema is not compatible with the newest version",
                   r->address);
    answer_done(&a);
    buf_free(&body);
    return code;
}

/* A level of the subject's own, where it has none: the global one may be NONE (it is in Apicurio). ERR_NOT_FOUND: there is no
 * such subject yet, and the registry will not keep a level for it. Missing rights for levels are no failure: our own rule was
 * checked, and who may set levels is the registry's business. */
static enum err_code set_level(struct registry *r, struct str subject, struct err *e)
{
    struct answer a;
    enum err_code code =
        ask(r, "GET", "/config/{}", subject, STR(""), "give the subject's compatibility", &a, e);
    answer_done(&a);
    if (code != ERR_NOT_FOUND) return code == ERR_REFUSED ? ERR_OK : code;
    struct buf body;
    buf_init(&body, 256);
    buf_addf(&body, "{\"compatibility\":\"%s\"}", r->compatibility);
    code = ask(r, "PUT", "/config/{}", subject, buf_str(&body), "set the subject's compatibility",
               &a, e);
    answer_done(&a);
    buf_free(&body);
    return code == ERR_REFUSED ? ERR_OK : code;
}

static enum err_code add(struct registry *r, struct str subject, struct str schema, bool exists,
                         struct registry_id *ret, struct err *e)
{
    struct answer a;
    enum err_code level = set_level(r, subject, e);
    if (level != ERR_OK && (exists || level != ERR_NOT_FOUND)) return level;
    struct buf body = schema_body(schema);
    enum err_code code = ask(r, "POST", "/subjects/{}/versions", subject, buf_str(&body),
                             "register our schema", &a, e);
    if (code == ERR_OK) code = take_id(r, &a, ret, e);
    answer_done(&a);
    buf_free(&body);
    if (code == ERR_OK && level == ERR_NOT_FOUND) code = set_level(r, subject, e);
    return code;
}

static enum err_code schema_of(struct registry *r, const struct registry_id *id, struct buf *text,
                               struct err *e)
{
    struct answer a;
    char path[64];
    snprintf(path, sizeof path, "/schemas/ids/%lu", (unsigned long)id->number);
    enum err_code code = ask(r, "GET", path, STR(""), STR(""), "give a writer's schema", &a, e);
    if (code == ERR_OK) code = take_schema(r, &a, text, e);
    if (code == ERR_NOT_FOUND)
        code = ERR(e, ERR_NOT_FOUND, "the registry %s knows no schema with the id %lu", r->address,
                   (unsigned long)id->number);
    answer_done(&a);
    return code;
}

static enum err_code subjects(struct registry *r,
                              enum err_code (*take)(void *ctx, struct str subject, struct err *e),
                              void *ctx, struct err *e)
{
    struct answer a;
    enum err_code code = ask(r, "GET", "/subjects", STR(""), STR(""), "list its subjects", &a, e);
    if (code == ERR_OK && !yyjson_is_arr(a.root)) code = unexpected(r, &a, "a list", e);
    if (code == ERR_OK) {
        size_t i, n;
        yyjson_val *v;
        yyjson_arr_foreach(a.root, i, n, v)
        {
            if (code == ERR_OK && yyjson_is_str(v))
                code = take(ctx, (struct str){yyjson_get_str(v), yyjson_get_len(v)}, e);
        }
    }
    answer_done(&a);
    return code;
}

const struct registry_ops registry_confluent = {find, version, check, add, schema_of, subjects};
