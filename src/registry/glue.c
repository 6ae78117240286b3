/* AWS Glue Schema Registry: JSON 1.1 actions, signed. docs.aws.amazon.com/glue/latest/webapi/API_RegisterSchemaVersion.html
 *
 * What answers may be no JSON: without credentials that it knows, AWS says why in XML; a proxy or a server that lacks an
 * action says so in HTML. moto answers an unsigned request with 200 and a list of buckets: a status alone means nothing. */
#include "registry/registry_internal.h"

#include "io/clock.h"

#include <stdio.h>

enum { POLL_NS = 100 * 1000000, BACK_MAX = 100, PAGES_MAX = 1000 };

struct answer {
    struct http_reply reply;
    yyjson_doc *doc;
    yyjson_val *root;
    struct str type; /* of an error, without what stands before '#' */
};

static void answer_done(struct answer *a)
{
    yyjson_doc_free(a->doc);
    http_reply_free(&a->reply);
}

static bool is_one_of(struct str s, const char *const *list)
{
    for (; *list; list++)
        if (str_is(s, *list)) return true;
    return false;
}

static enum err_code code_of(int status, struct str type)
{
    static const char *const refused[] = {"AccessDeniedException",
                                          "UnrecognizedClientException",
                                          "InvalidSignatureException",
                                          "SignatureDoesNotMatch",
                                          "InvalidClientTokenId",
                                          "IncompleteSignature",
                                          "IncompleteSignatureException",
                                          "MissingAuthenticationToken",
                                          "MissingAuthenticationTokenException",
                                          "ExpiredToken",
                                          "ExpiredTokenException",
                                          NULL};
    if (is_one_of(type, refused) || status == 401 || status == 403) return ERR_REFUSED;
    if (str_is(type, "EntityNotFoundException")) return ERR_NOT_FOUND;
    if (str_is(type, "InvalidInputException")) return ERR_INCOMPATIBLE;
    if (str_is(type, "AlreadyExistsException")) return ERR_CONFLICT;
    return ERR_UNAVAILABLE; /* throttled, internal, a proxy, another service */
}

/* <Code>SignatureDoesNotMatch</Code> */
static struct str xml_code(struct str body)
{
    const char *at = body.n ? memmem(body.p, body.n, "<Code>", 6) : NULL;
    if (!at) return STR("");
    struct str rest = {at + 6, body.n - (size_t)(at + 6 - body.p)};
    return str_cut(&rest, '<');
}

static enum err_code judge_answer(const struct registry *r, struct answer *a, const char *action,
                                  struct err *e)
{
    bool json = yyjson_is_obj(a->root);
    if (a->reply.status == 200 && json) return ERR_OK;
    struct str body = buf_str(&a->reply.body), type = registry_text(a->root, "__type");
    const char *hash = type.n ? memchr(type.p, '#', type.n) : NULL;
    if (hash) type = (struct str){hash + 1, type.n - (size_t)(hash + 1 - type.p)};
    a->type = json ? type : xml_code(body);
    struct str message = registry_text(a->root, "Message");
    if (!message.p) message = registry_text(a->root, "message");
    char words[96];
    registry_excerpt(message.p ? message : body, words);
    enum err_code code = code_of(a->reply.status, a->type);
    const char *advice = "";
    if (code == ERR_REFUSED)
        advice = "; check the credentials, the clock, and the rights glue:GetSchemaVersion, "
                 "GetSchemaByDefinition, RegisterSchemaVersion, CreateSchema, CreateRegistry";
    else if (!json && a->reply.status < 500)
        advice = "; is registry.url the address of AWS Glue?";
    return ERR(e, code, "AWS Glue at %s, asked for %s, answered %d%s%.*s%s: %s%s", r->address,
               action, a->reply.status, a->type.n ? " " : "", a->type.n > 60 ? 60 : (int)a->type.n,
               a->type.p ? a->type.p : "", json ? "" : " and no JSON", words, advice);
}

/* One action; ERR_OK: a->root is a good answer's JSON. The body is freed; answer_done in any case. */
static enum err_code act(struct registry *r, const char *action, struct buf *body, struct answer *a,
                         struct err *e)
{
    *a = (struct answer){0};
    char target[64], hash[65];
    struct buf url;
    buf_init(&url, 4096);
    buf_addf(&url, "%s/", r->url);
    struct http_call call;
    http_call_init(&call, "POST", buf_cstr(&url), REGISTRY_ANSWER_MAX);
    buf_free(&url);
    snprintf(target, sizeof target, "AWSGlue.%s", action);
    http_call_header(&call, "Content-Type", "application/x-amz-json-1.1");
    http_call_header(&call, "X-Amz-Target", target);
    call.body = buf_str(body);
    call.timeout_ms = r->timeout_ms;
    call.ca_file = r->ca_file;
    aws_sha256_hex(call.body, hash);
    enum err_code code = body->failed ? ERR(e, ERR_INCOMPATIBLE, "a schema that is too long")
                                      : aws_sign(r->aws, "glue", &call, hash, clock_wall_ns(), e);
    if (code == ERR_OK) {
        code = http_send(r->http, &call, &a->reply, e);
        if (code != ERR_OK) err_prefix(e, "AWS Glue, asked for %s: ", action);
    }
    http_call_free(&call);
    buf_free(body);
    if (code != ERR_OK) return code;
    a->doc = registry_json(&a->reply);
    a->root = yyjson_doc_get_root(a->doc);
    return judge_answer(r, a, action, e);
}

/* ---- bodies and what answers hold ---- */

static struct buf new_body(void)
{
    struct buf b;
    buf_init(&b, 2 * (size_t)REGISTRY_SCHEMA_MAX);
    return b;
}

static void add_text(struct buf *b, const char *before, struct str s)
{
    buf_add_cstr(b, before);
    buf_add_json(b, s);
}

static void add_schema_id(const struct registry *r, struct buf *b, struct str subject)
{
    add_text(b, "{\"SchemaId\":{\"RegistryName\":", str_of(r->name));
    add_text(b, ",\"SchemaName\":", subject);
    buf_add_cstr(b, "}");
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool uuid_parse(struct str s, uint8_t uuid[16])
{
    if (s.n != 36) return false;
    size_t at = 0;
    for (int i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && s.p[at++] != '-') return false;
        int high = hex_digit(s.p[at]), low = hex_digit(s.p[at + 1]);
        if (high < 0 || low < 0) return false;
        uuid[i] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    return true;
}

static enum err_code unexpected(const struct registry *r, const struct answer *a, const char *what,
                                struct err *e)
{
    char words[96];
    registry_excerpt(buf_str(&a->reply.body), words);
    return ERR(e, ERR_UNAVAILABLE, "AWS Glue at %s answered without %s: %s", r->address, what,
               words);
}

static enum err_code take_id(const struct registry *r, const struct answer *a,
                             struct registry_id *ret, struct err *e)
{
    *ret = (struct registry_id){.kind = REGISTRY_GLUE};
    if (!uuid_parse(registry_text(a->root, "SchemaVersionId"), ret->uuid))
        return unexpected(r, a, "a SchemaVersionId", e);
    return ERR_OK;
}

static enum err_code take_version(const struct registry *r, const struct answer *a,
                                  struct registry_version *ret, struct buf *text, struct err *e)
{
    struct str format = registry_text(a->root, "DataFormat");
    struct str schema = registry_text(a->root, "SchemaDefinition");
    if (format.n && !str_is(format, "AVRO"))
        return ERR(e, ERR_INCOMPATIBLE, "the schema there is %.*s, not AVRO",
                   format.n > 40 ? 40 : (int)format.n, format.p);
    if (!schema.n) return unexpected(r, a, "a SchemaDefinition", e);
    TRY(take_id(r, a, &ret->id, e));
    yyjson_val *v = yyjson_obj_get(a->root, "VersionNumber");
    bool good = yyjson_is_int(v) && yyjson_get_sint(v) >= 0 && yyjson_get_sint(v) <= INT32_MAX;
    ret->number = good ? (int32_t)yyjson_get_sint(v) : 0;
    buf_reset(text);
    buf_add_str(text, schema);
    if (text->failed)
        return ERR(e, ERR_INCOMPATIBLE, "a schema of %zu bytes, limit %d", schema.n,
                   REGISTRY_SCHEMA_MAX);
    return ERR_OK;
}

static bool is_failed(struct str status)
{
    return str_is(status, "FAILURE") || str_is(status, "DELETING");
}

/* ---- actions ---- */

/* A version is checked by AWS after it was accepted: PENDING, then AVAILABLE or FAILURE. */
static enum err_code await(struct registry *r, const struct registry_id *id, struct str status,
                           struct err *e)
{
    char uuid[REGISTRY_ID_TEXT], now[40];
    registry_id_text(id, uuid);
    int64_t end_ns = clock_mono_ns() + r->timeout_ms * NS_PER_MS;
    CHECK(str_copy(now, sizeof now, status.n < sizeof now ? status : STR("")));
    while (strcmp(now, "AVAILABLE") != 0) {
        if (is_failed(str_of(now)))
            return ERR(e, ERR_INCOMPATIBLE,
                       "AWS Glue at %s refused the schema version %s: its status is %s", r->address,
                       uuid, now);
        if (clock_mono_ns() > end_ns)
            return ERR(e, ERR_UNAVAILABLE,
                       "AWS Glue at %s still has the schema version %s as \"%s\" after %d ms",
                       r->address, uuid, now, (int)r->timeout_ms);
        clock_sleep_ns(POLL_NS);
        struct answer a;
        struct buf body = new_body();
        buf_addf(&body, "{\"SchemaVersionId\":\"%s\"}", uuid);
        enum err_code code = act(r, "GetSchemaVersion", &body, &a, e);
        struct str text = registry_text(a.root, "Status");
        CHECK(str_copy(now, sizeof now, text.n < sizeof now ? text : STR("")));
        answer_done(&a);
        if (code != ERR_OK) return code;
    }
    return ERR_OK;
}

static enum err_code find(struct registry *r, struct str subject, struct str schema,
                          struct registry_id *ret, struct err *e)
{
    struct answer a;
    struct buf body = new_body();
    add_schema_id(r, &body, subject);
    add_text(&body, ",\"SchemaDefinition\":", schema);
    buf_add_cstr(&body, "}");
    enum err_code code = act(r, "GetSchemaByDefinition", &body, &a, e);
    if (code == ERR_OK) code = take_id(r, &a, ret, e);
    if (code == ERR_OK) code = await(r, ret, registry_text(a.root, "Status"), e);
    answer_done(&a);
    return code;
}

static enum err_code get_version(struct registry *r, struct str subject, int32_t number,
                                 struct registry_version *ret, struct buf *text, bool *ret_failed,
                                 struct err *e)
{
    struct answer a;
    struct buf body = new_body();
    add_schema_id(r, &body, subject);
    if (number)
        buf_addf(&body, ",\"SchemaVersionNumber\":{\"VersionNumber\":%d}}", (int)number);
    else
        buf_add_cstr(&body, ",\"SchemaVersionNumber\":{\"LatestVersion\":true}}");
    enum err_code code = act(r, "GetSchemaVersion", &body, &a, e);
    if (code == ERR_OK) code = take_version(r, &a, ret, text, e);
    *ret_failed = is_failed(registry_text(a.root, "Status"));
    answer_done(&a);
    return code;
}

/* Versions that were refused keep their numbers: the newest that counts may be an older one. */
static enum err_code version(struct registry *r, struct str subject, int32_t number,
                             struct registry_version *ret, struct buf *text, struct err *e)
{
    bool failed;
    TRY(get_version(r, subject, number, ret, text, &failed, e));
    if (failed && number) return ERR(e, ERR_NOT_FOUND, "version %d was refused", (int)number);
    for (int i = 0; failed && ret->number > 1 && i < BACK_MAX; i++) {
        int32_t before = ret->number - 1;
        enum err_code code = get_version(r, subject, before, ret, text, &failed, e);
        if (code == ERR_NOT_FOUND) {
            ret->number = before; /* deleted */
            failed = true;
        } else if (code != ERR_OK) {
            return code;
        }
    }
    return failed ? ERR(e, ERR_NOT_FOUND, "no version of it is available") : ERR_OK;
}

/* There is no action that asks whether a version would be compatible: CheckSchemaVersionValidity looks at the syntax alone.
 * Our own rule was applied before. */
static enum err_code check(struct registry *r, struct str subject, struct str schema, struct err *e)
{
    (void)r;
    (void)subject;
    (void)schema;
    (void)e;
    return ERR_OK;
}

static enum err_code create_registry(struct registry *r, struct err *e)
{
    struct answer a;
    struct buf body = new_body();
    add_text(&body, "{\"RegistryName\":", str_of(r->name));
    buf_add_cstr(&body, "}");
    enum err_code code = act(r, "CreateRegistry", &body, &a, e);
    answer_done(&a);
    return code == ERR_CONFLICT ? ERR_OK : code; /* it is there, or somebody made it just now */
}

static enum err_code create_schema(struct registry *r, struct str subject, struct str schema,
                                   struct registry_id *ret, struct err *e)
{
    /* Glue's words for the rules of Confluent's API. */
    bool all = str_ends(str_of(r->compatibility), "_TRANSITIVE");
    struct str level = str_of(r->compatibility);
    if (all) level.n -= strlen("_TRANSITIVE");
    struct answer a;
    struct buf body = new_body();
    add_text(&body, "{\"RegistryId\":{\"RegistryName\":", str_of(r->name));
    add_text(&body, "},\"SchemaName\":", subject);
    buf_addf(&body, ",\"DataFormat\":\"AVRO\",\"Compatibility\":\"%.*s%s\"", STR_ARG(level),
             all ? "_ALL" : "");
    add_text(&body, ",\"SchemaDefinition\":", schema);
    buf_add_cstr(&body, "}");
    enum err_code code = act(r, "CreateSchema", &body, &a, e);
    if (code == ERR_OK) code = take_id(r, &a, ret, e);
    if (code == ERR_OK) code = await(r, ret, registry_text(a.root, "SchemaVersionStatus"), e);
    answer_done(&a);
    return code;
}

static enum err_code add_version(struct registry *r, struct str subject, struct str schema,
                                 struct registry_id *ret, struct err *e)
{
    struct answer a;
    struct buf body = new_body();
    add_schema_id(r, &body, subject);
    add_text(&body, ",\"SchemaDefinition\":", schema);
    buf_add_cstr(&body, "}");
    enum err_code code = act(r, "RegisterSchemaVersion", &body, &a, e);
    if (code == ERR_OK) code = take_id(r, &a, ret, e);
    if (code == ERR_OK) code = await(r, ret, registry_text(a.root, "Status"), e);
    answer_done(&a);
    return code;
}

static enum err_code add(struct registry *r, struct str subject, struct str schema, bool exists,
                         struct registry_id *ret, struct err *e)
{
    if (exists) return add_version(r, subject, schema, ret, e);
    enum err_code code = create_schema(r, subject, schema, ret, e);
    if (code == ERR_NOT_FOUND) { /* no such registry yet */
        TRY(create_registry(r, e));
        code = create_schema(r, subject, schema, ret, e);
    }
    /* Another publisher made it since we looked. What it has is judged by AWS, and by us at the next start. */
    return code == ERR_CONFLICT ? add_version(r, subject, schema, ret, e) : code;
}

static enum err_code schema_of(struct registry *r, const struct registry_id *id, struct buf *text,
                               struct err *e)
{
    struct answer a;
    struct registry_version v;
    char uuid[REGISTRY_ID_TEXT];
    registry_id_text(id, uuid);
    struct buf body = new_body();
    buf_addf(&body, "{\"SchemaVersionId\":\"%s\"}", uuid);
    enum err_code code = act(r, "GetSchemaVersion", &body, &a, e);
    if (code == ERR_OK) code = take_version(r, &a, &v, text, e);
    if (code == ERR_NOT_FOUND)
        code = ERR(e, ERR_NOT_FOUND, "AWS Glue at %s knows no schema version %s", r->address, uuid);
    answer_done(&a);
    return code;
}

static enum err_code take_names(const struct registry *r, const struct answer *a,
                                enum err_code (*take)(void *ctx, struct str subject, struct err *e),
                                void *ctx, struct err *e)
{
    yyjson_val *list = yyjson_obj_get(a->root, "Schemas"), *v;
    if (!yyjson_is_arr(list)) return unexpected(r, a, "Schemas", e);
    size_t i, n;
    yyjson_arr_foreach(list, i, n, v)
    {
        struct str name = registry_text(v, "SchemaName");
        if (name.n) TRY(take(ctx, name, e));
    }
    return ERR_OK;
}

static enum err_code subjects(struct registry *r,
                              enum err_code (*take)(void *ctx, struct str subject, struct err *e),
                              void *ctx, struct err *e)
{
    struct buf next;
    buf_init(&next, 65536);
    enum err_code code = ERR_OK;
    for (int page = 0; page < PAGES_MAX; page++) {
        struct answer a;
        struct buf body = new_body();
        add_text(&body, "{\"RegistryId\":{\"RegistryName\":", str_of(r->name));
        buf_add_cstr(&body, "},\"MaxResults\":100");
        if (next.len) add_text(&body, ",\"NextToken\":", buf_str(&next));
        buf_add_cstr(&body, "}");
        code = act(r, "ListSchemas", &body, &a, e);
        if (code == ERR_OK) code = take_names(r, &a, take, ctx, e);
        buf_reset(&next);
        buf_add_str(&next, registry_text(a.root, "NextToken"));
        answer_done(&a);
        if (code != ERR_OK || next.len == 0) break;
    }
    buf_free(&next);
    return code == ERR_NOT_FOUND ? ERR_OK : code; /* no registry: no schemas */
}

const struct registry_ops registry_glue = {find, version, check, add, schema_of, subjects};
