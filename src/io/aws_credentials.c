#include "io/aws_internal.h"
#include "io/aws_xml.h"

#include "base/time.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <yyjson.h>

enum { FILE_LIMIT = 1 << 20, INSTANCE_TIMEOUT_MS = 1000, URL_MAX = 1024, ROLE_MAX = 200 };
/* Keys in files have no end: they are read again, since somebody may have changed them. */
#define FILE_AGAIN_NS (60 * NS_PER_S)

const char *aws_env(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

static enum err_code none(struct aws_finder *f, const char *where, const char *why)
{
    buf_addf(f->looked, "%s%s: %s", f->looked->len ? "; " : "", where, why);
    return ERR_NOT_FOUND;
}

static enum err_code take(struct aws_credentials *c, const char *where, struct str access,
                          struct str secret, struct str token, struct err *e)
{
    if (access.n && secret.n && str_copy(c->access_key, sizeof c->access_key, access) &&
        str_copy(c->secret_key, sizeof c->secret_key, secret) &&
        str_copy(c->token, sizeof c->token, token))
        return ERR_OK;
    return ERR(e, ERR_REFUSED,
               "%s: an access key with its secret was expected (and a token of at most %d bytes)",
               where, AWS_TOKEN_MAX - 1);
}

/* ---- environment */

enum err_code aws_from_environment(struct aws_finder *f, struct aws_credentials *ret, struct err *e)
{
    const char *access = aws_env("AWS_ACCESS_KEY_ID"), *secret = aws_env("AWS_SECRET_ACCESS_KEY");
    if (!access && !secret) return none(f, "environment", "AWS_ACCESS_KEY_ID is not set");
    if (!access || !secret)
        return ERR(e, ERR_REFUSED, "environment: %s is set without %s",
                   access ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                   access ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
    ret->expires_ns = INT64_MAX;
    snprintf(ret->source, sizeof ret->source, "environment (AWS_ACCESS_KEY_ID)");
    return take(ret, "environment", str_of(access), str_of(secret),
                str_of(aws_env("AWS_SESSION_TOKEN")), e);
}

/* ---- shared files */

bool aws_ini(struct str text, const char *section, const char *key, struct str *ret)
{
    bool inside = false;
    while (text.n) {
        struct str line = str_trim(str_cut(&text, '\n'));
        if (line.n == 0 || line.p[0] == '#' || line.p[0] == ';') continue;
        if (line.p[0] == '[') {
            line = (struct str){line.p + 1, line.n - 1};
            inside = str_is(str_trim(str_cut(&line, ']')), section);
        } else if (inside) {
            struct str name = str_trim(str_cut(&line, '='));
            if (!str_is(name, key)) continue;
            *ret = str_trim(line);
            return true;
        }
    }
    return false;
}

bool aws_file_path(const char *variable, const char *below, char out[1024])
{
    const char *path = aws_env(variable), *home = aws_env("HOME");
    int n = path   ? snprintf(out, 1024, "%s", path)
            : home ? snprintf(out, 1024, "%s/%s", home, below)
                   : -1;
    return n >= 0 && n < 1024;
}

static enum err_code from_text(struct aws_finder *f, const char *path, struct str text,
                               struct aws_credentials *ret, struct err *e)
{
    struct str access = {"", 0}, secret = {"", 0}, token = {"", 0};
    snprintf(ret->source, sizeof ret->source, "profile %.60s of %.160s", f->profile, path);
    aws_ini(text, f->profile, "aws_access_key_id", &access);
    aws_ini(text, f->profile, "aws_secret_access_key", &secret);
    aws_ini(text, f->profile, "aws_session_token", &token);
    if (access.n || secret.n) return take(ret, ret->source, access, secret, token, e);
    return none(f, ret->source, "no aws_access_key_id there");
}

enum err_code aws_from_files(struct aws_finder *f, struct aws_credentials *ret, struct err *e)
{
    char path[1024];
    if (!aws_file_path("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", path))
        return none(f, "shared file", "neither AWS_SHARED_CREDENTIALS_FILE nor HOME is set");
    struct buf text;
    buf_init(&text, FILE_LIMIT);
    enum err_code code = file_read(path, FILE_LIMIT, &text, e);
    ret->expires_ns = f->now_ns + FILE_AGAIN_NS;
    if (code == ERR_OK)
        code = from_text(f, path, buf_str(&text), ret, e);
    else if (code == ERR_NOT_FOUND)
        code = none(f, path, "no such file");
    if (text.data) explicit_bzero(text.data, text.len);
    buf_free(&text);
    if (code == ERR_NOT_FOUND && f->profile_wanted)
        return ERR(e, ERR_REFUSED, "profile %s is not in %s", f->profile, path);
    return code;
}

/* ---- over HTTP */

static enum err_code ask(struct aws_finder *f, struct http_call *call, const char *what,
                         struct http_reply *ret, struct err *e)
{
    call->connect_timeout_ms = call->timeout_ms = f->timeout_ms;
    call->ca_file = f->ca_file;
    enum err_code code = http_send(f->client, call, ret, e);
    http_call_free(call);
    if (code != ERR_OK) return err_prefix(e, "credentials from %s: ", what);
    if (ret->status == 200) return ERR_OK;
    /* The body may repeat what was sent: only an STS error's code is known to be harmless. */
    struct buf words;
    buf_init(&words, 200);
    xml_text(xml_first(buf_str(&ret->body), "Code"), &words);
    code = ret->status >= 500 || ret->status == 429 ? ERR_UNAVAILABLE : ERR_REFUSED;
    ERR(e, code, "credentials from %s: HTTP %d %s", what, ret->status,
        words.len ? buf_cstr(&words) : "");
    buf_free(&words);
    http_reply_free(ret);
    return code;
}

static struct str json_text(yyjson_val *root, const char *key)
{
    yyjson_val *v = yyjson_obj_get(root, key);
    return yyjson_is_str(v) ? (struct str){yyjson_get_str(v), yyjson_get_len(v)}
                            : (struct str){"", 0};
}

/* The answer of a container or an instance. */
static enum err_code from_json(const struct http_reply *r, const char *what,
                               struct aws_credentials *ret, struct err *e)
{
    yyjson_doc *doc = yyjson_read((const char *)r->body.data, r->body.len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    enum err_code code = take(ret, what, json_text(root, "AccessKeyId"),
                              json_text(root, "SecretAccessKey"), json_text(root, "Token"), e);
    struct str until = json_text(root, "Expiration");
    ret->expires_ns = INT64_MAX;
    if (code == ERR_OK && until.n && time_parse_iso(until, &ret->expires_ns) != ERR_OK)
        code = ERR(e, ERR_PARSE, "credentials from %s: Expiration is no time", what);
    yyjson_doc_free(doc);
    snprintf(ret->source, sizeof ret->source, "%s", what);
    return code;
}

/* A file of one secret, the blanks around it taken off. */
static enum err_code read_token(const char *path, struct buf *ret, struct err *e)
{
    TRY(file_read(path, AWS_ANSWER_LIMIT, ret, e));
    struct str s = str_trim(buf_str(ret));
    if (s.n) memmove(ret->data, s.p, s.n);
    ret->len = s.n;
    return ERR_OK;
}

static void web_identity_body(struct buf *b, const char *role, const struct buf *token)
{
    const char *session = aws_env("AWS_ROLE_SESSION_NAME");
    buf_add_cstr(b, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
    aws_encode(b, str_of(role), false);
    buf_add_cstr(b, "&RoleSessionName=");
    aws_encode(b, str_of(session ? session : "ticklake"), false);
    buf_add_cstr(b, "&WebIdentityToken=");
    aws_encode(b, buf_str(token), false);
}

static enum err_code from_sts_answer(struct str body, const char *role, struct aws_credentials *ret,
                                     struct err *e)
{
    struct str keys = xml_first(body, "Credentials");
    const char *names[] = {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"};
    struct buf values[4];
    for (int i = 0; i < 4; i++) {
        buf_init(&values[i], AWS_TOKEN_MAX);
        xml_text(xml_first(keys, names[i]), &values[i]);
    }
    snprintf(ret->source, sizeof ret->source, "web identity, role %.200s", role);
    enum err_code code = take(ret, ret->source, str_trim(buf_str(&values[0])),
                              str_trim(buf_str(&values[1])), str_trim(buf_str(&values[2])), e);
    if (code == ERR_OK && time_parse_iso(str_trim(buf_str(&values[3])), &ret->expires_ns) != ERR_OK)
        code = ERR(e, ERR_PARSE, "%s: Expiration is no time", ret->source);
    for (int i = 0; i < 4; i++) {
        if (values[i].data) explicit_bzero(values[i].data, values[i].len);
        buf_free(&values[i]);
    }
    return code;
}

enum err_code aws_from_web_identity(struct aws_finder *f, struct aws_credentials *ret,
                                    struct err *e)
{
    const char *path = aws_env("AWS_WEB_IDENTITY_TOKEN_FILE"), *role = aws_env("AWS_ROLE_ARN");
    const char *given = aws_env("AWS_ENDPOINT_URL_STS");
    if (!path) return none(f, "web identity", "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
    if (!role)
        return ERR(e, ERR_REFUSED,
                   "web identity: AWS_WEB_IDENTITY_TOKEN_FILE is set without AWS_ROLE_ARN");
    char url[URL_MAX];
    snprintf(url, sizeof url, given ? "%s" : "https://sts.%s.amazonaws.com/",
             given ? given : f->region);
    struct buf token, body;
    buf_init(&token, AWS_ANSWER_LIMIT);
    buf_init(&body, 4 * AWS_ANSWER_LIMIT);
    enum err_code code = read_token(path, &token, e);
    if (code == ERR_NOT_FOUND) code = ERR(e, ERR_REFUSED, "web identity: %s: no such file", path);
    if (code == ERR_OK) {
        struct http_call call;
        struct http_reply reply;
        web_identity_body(&body, role, &token);
        http_call_init(&call, "POST", url, AWS_ANSWER_LIMIT);
        http_call_header(&call, "Content-Type", "application/x-www-form-urlencoded");
        call.body = buf_str(&body);
        code = ask(f, &call, "web identity (STS)", &reply, e);
        if (code == ERR_OK) {
            code = from_sts_answer(buf_str(&reply.body), role, ret, e);
            http_reply_free(&reply);
        }
    }
    if (token.data) explicit_bzero(token.data, token.len);
    if (body.data) explicit_bzero(body.data, body.len);
    buf_free(&token);
    buf_free(&body);
    return code;
}

/* The token that goes with the request must reach nobody but this machine, the container's own agent or a TLS peer. */
static bool may_be_asked(const char *url)
{
    static const char *const hosts[] = {"localhost",     "[::1]",          "127.0.0.1",
                                        "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
    if (str_starts(str_of(url), "https://")) return true;
    if (!str_starts(str_of(url), "http://")) return false;
    struct str rest = {url + 7, strcspn(url + 7, "/?#")};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        size_t n = strlen(hosts[i]);
        bool ends = rest.n == n || (rest.n > n && rest.p[n] == ':');
        if (ends && str_starts(rest, hosts[i]) && !memchr(rest.p, '@', rest.n)) return true;
    }
    return false;
}

enum err_code aws_from_container(struct aws_finder *f, struct aws_credentials *ret, struct err *e)
{
    const char *relative = aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *path = aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *value = aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (!relative && !full)
        return none(f, "container", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set");
    char url[URL_MAX];
    snprintf(url, sizeof url, "%s%s", relative ? "http://169.254.170.2" : "",
             relative ? relative : full);
    if (!may_be_asked(url))
        return ERR(
            e, ERR_REFUSED,
            "container: AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor of this machine");
    struct buf token;
    buf_init(&token, AWS_TOKEN_MAX);
    enum err_code code = path ? read_token(path, &token, e) : ERR_OK;
    if (!path && value) buf_add_cstr(&token, value);
    if (code == ERR_OK) {
        struct http_call call;
        struct http_reply reply;
        http_call_init(&call, "GET", url, AWS_ANSWER_LIMIT);
        call.direct = !str_starts(str_of(url), "https://");
        if (token.len) http_call_header(&call, "Authorization", buf_cstr(&token));
        code = ask(f, &call, "the container", &reply, e);
        if (code == ERR_OK) {
            code = from_json(&reply, "the container", ret, e);
            http_reply_free(&reply);
        }
    }
    if (token.data) explicit_bzero(token.data, token.len);
    buf_free(&token);
    return code;
}

/* token empty: asks for one. */
static enum err_code instance_ask(struct aws_finder *f, const char *path, struct str token,
                                  struct http_reply *ret, struct err *e)
{
    const char *base = aws_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    char url[URL_MAX], header[URL_MAX];
    snprintf(url, sizeof url, "%s/latest/%s", base ? base : "http://169.254.169.254", path);
    if (token.n >= sizeof header)
        return ERR(e, ERR_PARSE, "the instance (IMDSv2): a token of %zu bytes", token.n);
    struct http_call call;
    http_call_init(&call, token.n ? "GET" : "PUT", url, AWS_ANSWER_LIMIT);
    call.direct = true;
    str_copy(header, sizeof header, token.n ? token : STR("21600"));
    http_call_header(&call,
                     token.n ? "X-aws-ec2-metadata-token" : "X-aws-ec2-metadata-token-ttl-seconds",
                     header);
    return ask(f, &call, "the instance (IMDSv2)", ret, e);
}

static enum err_code from_role(struct aws_finder *f, struct str token, struct str role,
                               struct aws_credentials *ret, struct err *e)
{
    char path[URL_MAX], what[AWS_SOURCE_MAX];
    struct http_reply reply;
    int len = role.n < ROLE_MAX ? (int)role.n : 0;
    snprintf(path, sizeof path, "meta-data/iam/security-credentials/%.*s", len, role.p);
    snprintf(what, sizeof what, "the instance (IMDSv2), role %.*s", len, role.p);
    TRY(instance_ask(f, path, token, &reply, e));
    enum err_code code = from_json(&reply, what, ret, e);
    http_reply_free(&reply);
    return code;
}

/* Everywhere but on an instance nobody answers there: that is no error, it was the last place to look. */
enum err_code aws_from_instance(struct aws_finder *f, struct aws_credentials *ret, struct err *e)
{
    const char *off = aws_env("AWS_EC2_METADATA_DISABLED");
    if (off && strcasecmp(off, "true") == 0)
        return none(f, "instance", "AWS_EC2_METADATA_DISABLED is set");
    int32_t timeout_ms = f->timeout_ms;
    if (f->timeout_ms > INSTANCE_TIMEOUT_MS) f->timeout_ms = INSTANCE_TIMEOUT_MS;
    struct http_reply token, roles;
    enum err_code code = instance_ask(f, "api/token", (struct str){"", 0}, &token, e);
    f->timeout_ms = timeout_ms;
    if (code != ERR_OK) return none(f, "instance", "no answer of IMDSv2");
    struct str word = str_trim(buf_str(&token.body));
    code = word.n ? instance_ask(f, "meta-data/iam/security-credentials/", word, &roles, e)
                  : ERR(e, ERR_PARSE, "the instance (IMDSv2): an empty token");
    if (code == ERR_REFUSED) code = none(f, "instance", "no role is attached to it");
    if (code == ERR_OK) {
        struct str rest = buf_str(&roles.body), role = str_trim(str_cut(&rest, '\n'));
        code = from_role(f, word, role, ret, e);
        http_reply_free(&roles);
    }
    http_reply_free(&token);
    return code;
}
