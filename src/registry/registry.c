/* The rule (look up, check, register) over either kind of registry, and the writers' schemas that were met. */
#include "registry/registry_internal.h"

#include "base/array.h"
#include "io/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum { VERSIONS_MAX = 1000 }; /* looked at for a transitive rule */
static const int64_t MISS_NS = 10 * NS_PER_S;

static char *copy(const char *text)
{
    if (!text || !text[0]) return NULL;
    char *ret = strdup(text);
    CHECK(ret != NULL);
    return ret;
}

static void wipe(char *secret)
{
    if (secret) explicit_bzero(secret, strlen(secret));
    free(secret);
}

/* "https://user:secret@host/path/" -> "https://host/path". */
static char *address_of(const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t path = strcspn(host, "/?#"), skip = 0;
    for (size_t i = 0; i < path; i++)
        if (host[i] == '@') skip = i + 1;
    struct buf b;
    buf_init(&b, 4096);
    buf_add(&b, url, (size_t)(host - url));
    buf_add(&b, host + skip, strcspn(host, "?#") - skip);
    char *ret = copy(buf_cstr(&b));
    buf_free(&b);
    return ret ? ret : copy("(no address)");
}

static void set_url(struct registry *r, const struct registry_options *o)
{
    char made[256];
    const char *url = o->url;
    if ((!url || !url[0]) && o->kind == REGISTRY_GLUE) {
        snprintf(made, sizeof made, "https://glue.%s.amazonaws.com", aws_region(r->aws));
        url = made;
    }
    r->url = copy(url ? url : "");
    size_t n = r->url ? strlen(r->url) : 0;
    while (n && r->url[n - 1] == '/') r->url[--n] = 0;
    r->address = address_of(r->url ? r->url : "");
}

struct registry *registry_new(const struct registry_options *o)
{
    struct registry *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    r->kind = o->kind;
    r->ops = o->kind == REGISTRY_GLUE        ? &registry_glue
             : o->kind == REGISTRY_CONFLUENT ? &registry_confluent
                                             : NULL;
    r->user = copy(o->user);
    r->password = copy(o->password);
    r->token = copy(o->token);
    r->name = copy(o->name ? o->name : "ticklake");
    r->ca_file = copy(o->ca_file);
    const char *rule = o->compatibility && o->compatibility[0] ? o->compatibility : "BACKWARD";
    for (size_t i = 0; i + 1 < sizeof r->compatibility && rule[i]; i++)
        r->compatibility[i] = (char)(rule[i] >= 'a' && rule[i] <= 'z' ? rule[i] - 32 : rule[i]);
    r->timeout_ms = o->timeout_ms ? o->timeout_ms : REGISTRY_TIMEOUT_MS;
    r->http = http_client_new();
    if (o->kind == REGISTRY_GLUE) r->aws = aws_new(&o->aws);
    set_url(r, o);
    map_init(&r->kept, REGISTRY_KEPT_MAX);
    arena_init(&r->texts, REGISTRY_KEPT_BYTES);
    buf_init(&r->latest, REGISTRY_SCHEMA_MAX);
    buf_init(&r->scratch, REGISTRY_SCHEMA_MAX);
    return r;
}

struct registry *registry_free(struct registry *r)
{
    if (!r) return NULL;
    http_client_free(r->http);
    aws_free(r->aws);
    map_free(&r->kept);
    arena_free(&r->texts);
    buf_free(&r->latest);
    buf_free(&r->scratch);
    free(r->schemas);
    free(r->user);
    wipe(r->password);
    wipe(r->token);
    free(r->name);
    free(r->ca_file);
    wipe(r->url);
    free(r->address);
    free(r);
    return NULL;
}

const char *registry_address(const struct registry *r) { return r->address; }

static enum err_code need(const struct registry *r, struct err *e)
{
    if (!r || !r->ops)
        return ERR(e, ERR_CONFIG,
                   "no schema registry is set: give registry.kind (confluent or glue)");
    if (!r->url)
        return ERR(e, ERR_CONFIG,
                   "registry.url is not set: the address of the registry with its base path");
    return ERR_OK;
}

/* ---- answers ---- */

yyjson_doc *registry_json(const struct http_reply *reply)
{
    return yyjson_read((const char *)reply->body.data, reply->body.len, 0);
}

struct str registry_text(yyjson_val *object, const char *key)
{
    yyjson_val *v = yyjson_obj_get(object, key);
    return yyjson_is_str(v) ? (struct str){yyjson_get_str(v), yyjson_get_len(v)}
                            : (struct str){NULL, 0};
}

void registry_excerpt(struct str body, char out[96])
{
    size_t n = 0;
    for (size_t i = 0; i < body.n && n < 90; i++) {
        char c = body.p[i];
        bool space = c == ' ' || c == '\n' || c == '\r' || c == '\t';
        if (space && (n == 0 || out[n - 1] == ' ')) continue;
        out[n++] = space ? ' ' : (char)(c < 32 || c > 126 ? '?' : c);
    }
    out[n] = 0;
}

/* ---- schemas that were met ---- */

static struct str id_key(const struct registry_id *id, char key[24])
{
    key[0] = (char)id->kind;
    for (int i = 0; i < 4; i++) key[1 + i] = (char)(id->number >> (8 * i));
    memcpy(key + 5, id->uuid, sizeof id->uuid);
    return (struct str){key, 5 + sizeof id->uuid};
}

enum err_code registry_keep(struct registry *r, const struct registry_id *id, struct str schema,
                            struct err *e)
{
    char key[24];
    struct str name = id_key(id, key), text;
    if (map_get(&r->kept, name) != MAP_NONE) return ERR_OK;
    if (r->schema_count == REGISTRY_KEPT_MAX || !arena_copy(&r->texts, schema, &text))
        return ERR(
            e, ERR_INCOMPATIBLE,
            "more than %d writers' schemas, or more than %d MB of them, from the registry %s",
            REGISTRY_KEPT_MAX, REGISTRY_KEPT_BYTES >> 20, r->address);
    r->schemas = array_grown(r->schemas, r->schema_count, &r->schema_cap, sizeof *r->schemas);
    r->schemas[r->schema_count] = text;
    CHECK(map_put(&r->kept, name, (uint32_t)r->schema_count) != MAP_FULL);
    r->schema_count++;
    return ERR_OK;
}

static bool same_id(const struct registry_id *a, const struct registry_id *b)
{
    return a->kind == b->kind && a->number == b->number &&
           memcmp(a->uuid, b->uuid, sizeof a->uuid) == 0;
}

/* Damaged records come in crowds: an id that the registry does not know is not asked for again at once. */
static bool missed(struct registry *r, const struct registry_id *id, struct err *e)
{
    int64_t now_ns = clock_mono_ns();
    for (size_t i = 0; i < REGISTRY_MISSES; i++) {
        struct registry_miss *m = &r->misses[i];
        if (m->until_ns <= now_ns || !same_id(&m->id, id)) continue;
        if (e) *e = m->why;
        return true;
    }
    return false;
}

static void remember_miss(struct registry *r, const struct registry_id *id, const struct err *why)
{
    r->misses[r->next_miss++ % REGISTRY_MISSES] =
        (struct registry_miss){*id, clock_mono_ns() + MISS_NS, *why};
}

enum err_code registry_schema(struct registry *r, const struct registry_id *id, struct str *ret,
                              struct err *e)
{
    char key[24];
    uint32_t at = map_get(&r->kept, id_key(id, key));
    if (at == MAP_NONE) {
        struct err why = {0};
        TRY(need(r, e));
        if (id->kind != r->kind)
            return ERR(e, ERR_NOT_FOUND,
                       "the record is framed for %s, and the settings have %s at %s",
                       id->kind == REGISTRY_GLUE ? "AWS Glue" : "Confluent's API",
                       r->kind == REGISTRY_GLUE ? "AWS Glue" : "Confluent's API", r->address);
        if (missed(r, id, e)) return ERR_NOT_FOUND;
        buf_reset(&r->scratch);
        enum err_code code = r->ops->schema(r, id, &r->scratch, &why);
        if (code == ERR_NOT_FOUND) remember_miss(r, id, &why);
        if (code != ERR_OK) {
            if (e) *e = why;
            return code;
        }
        TRY(registry_keep(r, id, buf_str(&r->scratch), e));
        at = (uint32_t)r->schema_count - 1;
    }
    *ret = r->schemas[at];
    return ERR_OK;
}

/* ---- the rule ---- */

static enum err_code name_subject(const struct registry *r, struct str subject, struct err *e)
{
    return err_prefix(e, "subject %.*s at %s: ", subject.n > 120 ? 120 : (int)subject.n, subject.p,
                      r->address);
}

/* Our workers read what older publishers wrote, so BACKWARD holds always; FORWARD and FULL add that older readers read us. */
static enum err_code judge(struct registry *r, struct str schema, struct str old, int32_t number,
                           struct err *e)
{
    enum err_code code = registry_compatible(schema, old, e);
    if (code == ERR_OK && !str_starts(str_of(r->compatibility), "BACKWARD") &&
        registry_compatible(old, schema, e) != ERR_OK) {
        err_prefix(e, "rule %s: ", r->compatibility);
        code = ERR_INCOMPATIBLE;
    }
    if (code != ERR_OK) err_prefix(e, "refused against version %d: ", (int)number);
    return code;
}

static enum err_code judge_all(struct registry *r, struct str subject, struct str schema,
                               const struct registry_version *newest, struct err *e)
{
    TRY(judge(r, schema, buf_str(&r->latest), newest->number, e));
    if (!str_ends(str_of(r->compatibility), "_TRANSITIVE")) return ERR_OK;
    int32_t least = newest->number > VERSIONS_MAX ? newest->number - VERSIONS_MAX : 1;
    for (int32_t n = newest->number - 1; n >= least; n--) {
        struct registry_version v;
        enum err_code code = r->ops->version(r, subject, n, &v, &r->latest, e);
        if (code == ERR_NOT_FOUND) continue; /* deleted */
        TRY(code);
        TRY(judge(r, schema, buf_str(&r->latest), n, e));
    }
    return ERR_OK;
}

/* ERR_OK with *ret_found: it is registered already, as *ret; else whether the subject exists and would take it. */
static enum err_code look(struct registry *r, struct str subject, struct str schema,
                          struct registry_id *ret, bool *ret_found, bool *ret_exists, struct err *e)
{
    struct err unheard = {0};
    enum err_code code = r->ops->find(r, subject, schema, ret, e ? e : &unheard);
    *ret_found = *ret_exists = code == ERR_OK;
    if (code != ERR_NOT_FOUND) return code;
    struct registry_version newest;
    code = r->ops->version(r, subject, 0, &newest, &r->latest, e);
    if (code == ERR_NOT_FOUND) return ERR_OK;
    TRY(code);
    *ret_exists = true;
    /* The same but for words or white space, which Glue takes for another schema: no new version of that. */
    size_t differences;
    if (registry_compare(schema, buf_str(&r->latest), NULL, NULL, &differences, NULL) == ERR_OK &&
        differences == 0) {
        *ret = newest.id;
        *ret_found = true;
        return ERR_OK;
    }
    TRY(judge_all(r, subject, schema, &newest, e));
    return r->ops->check(r, subject, schema, e);
}

static enum err_code checked(struct registry *r, struct str subject, struct str schema,
                             struct registry_id *ret, bool add, struct err *e)
{
    enum { TRIES = 3 };
    TRY(need(r, e));
    enum err_code code = ERR_OK;
    bool found = false, exists, again = true;
    /* Processes that start at the same moment add the same subject, level and schema, and the registry refuses all but the
     * first of them (Apicurio: 409): a failure counts only where a second look does not find what was asked for. */
    for (int i = 0; i < TRIES && again; i++) {
        code = look(r, subject, schema, ret, &found, &exists, e);
        again = code == ERR_OK && !found && add;
        if (again) code = r->ops->add(r, subject, schema, exists, ret, e);
        again = again && (code == ERR_INCOMPATIBLE || code == ERR_UNAVAILABLE);
    }
    if (code == ERR_OK && add) code = registry_keep(r, ret, schema, e);
    if (code != ERR_OK) name_subject(r, subject, e);
    return code;
}

enum err_code registry_register(struct registry *r, struct str subject, struct str schema,
                                struct registry_id *ret, struct err *e)
{
    return checked(r, subject, schema, ret, true, e);
}

enum err_code registry_check(struct registry *r, struct str subject, struct str schema,
                             struct err *e)
{
    struct registry_id id;
    return checked(r, subject, schema, &id, false, e);
}

enum err_code registry_latest(struct registry *r, struct str subject, struct registry_id *ret_id,
                              int32_t *ret_version, struct str *ret, struct err *e)
{
    struct registry_version v;
    TRY(need(r, e));
    enum err_code code = r->ops->version(r, subject, 0, &v, &r->latest, e);
    if (code != ERR_OK) {
        name_subject(r, subject, e);
        return code;
    }
    *ret_id = v.id;
    *ret_version = v.number;
    *ret = buf_str(&r->latest);
    return ERR_OK;
}

/* ---- all subjects ---- */

struct visit {
    struct registry *registry;
    struct str prefix;
    struct arena names;
    struct str *subjects;
    size_t count, cap;
};

static enum err_code take_subject(void *ctx, struct str subject, struct err *e)
{
    struct visit *v = ctx;
    if (subject.n < v->prefix.n || memcmp(subject.p, v->prefix.p, v->prefix.n) != 0) return ERR_OK;
    struct str kept;
    if (v->count == REGISTRY_SUBJECTS_MAX || !arena_copy(&v->names, subject, &kept))
        return ERR(e, ERR_FULL, "more than %d subjects at %s", REGISTRY_SUBJECTS_MAX,
                   v->registry->address);
    v->subjects = array_grown(v->subjects, v->count, &v->cap, sizeof *v->subjects);
    v->subjects[v->count++] = kept;
    return ERR_OK;
}

enum err_code registry_each(struct registry *r, struct str prefix,
                            enum err_code (*each)(void *ctx, struct str subject, int32_t version,
                                                  const struct registry_id *id, struct str schema,
                                                  struct err *e),
                            void *ctx, struct err *e)
{
    TRY(need(r, e));
    struct visit v = {.registry = r, .prefix = prefix};
    arena_init(&v.names, (size_t)REGISTRY_SUBJECTS_MAX * (REGISTRY_NAME_MAX + 16));
    enum err_code code = r->ops->subjects(r, take_subject, &v, e);
    for (size_t i = 0; i < v.count && code == ERR_OK; i++) {
        struct registry_id id;
        int32_t version;
        struct str text;
        code = registry_latest(r, v.subjects[i], &id, &version, &text, e);
        if (code == ERR_NOT_FOUND) /* deleted meanwhile */
            code = ERR_OK;
        else if (code == ERR_OK)
            code = each(ctx, v.subjects[i], version, &id, text, e);
    }
    arena_free(&v.names);
    free(v.subjects);
    return code;
}
