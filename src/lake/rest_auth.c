#include "io/clock.h"
#include "io/file.h"
#include "lake/rest_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* Who we are to the REST catalog: a bearer token (given, from a file, or got for a client's id and secret by OAuth 2), or
 * AWS's signature. None of it ever stands in an error. */

enum { SECRET_MAX = 16384, TOKEN_ANSWER_MAX = 1 << 20, TOKEN_MARGIN_S = 60 };

static void wipe(struct buf *b)
{
    if (b->data) explicit_bzero(b->data, b->len);
    buf_free(b);
    buf_init(b, SECRET_MAX);
}

void rest_forget_token(struct lake_rest *r)
{
    wipe(&r->token);
    r->token_end_ns = 0;
}

static enum err_code read_secret(const char *key, const char *path, struct buf *to, struct err *e)
{
    enum err_code code = file_read(path, SECRET_MAX, to, e);
    while (code == ERR_OK && to->len && strchr(" \t\r\n", to->data[to->len - 1])) to->len--;
    if (code == ERR_OK && to->len == 0)
        code = ERR(e, ERR_CONFIG, "%s: the file is empty: expected a secret", path);
    if (code != ERR_OK) err_prefix(e, "%s: ", key);
    return code == ERR_OK ? ERR_OK : ERR_CONFIG;
}

/* ---- OAuth 2, client credentials */

static void add_form(struct buf *b, const char *name, struct str value)
{
    buf_addf(b, "%s%s=", b->len ? "&" : "", name);
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     (c != 0 && strchr("-._~", c));
        if (plain)
            buf_add_byte(b, c);
        else
            buf_addf(b, "%%%02X", c);
    }
}

static enum err_code credential_form(struct lake_rest *r, struct buf *form, struct err *e)
{
    struct buf credential;
    buf_init(&credential, SECRET_MAX);
    enum err_code code = ERR_OK;
    if (r->o.credential)
        buf_add_cstr(&credential, r->o.credential);
    else
        code = read_secret("lake.rest_credential_file", r->o.credential_file, &credential, e);
    struct str secret = buf_str(&credential), id = {NULL, 0};
    if (code == ERR_OK && memchr(secret.p, ':', secret.n)) id = str_cut(&secret, ':');
    if (code == ERR_OK && (id.n == 0 || secret.n == 0))
        code = ERR(e, ERR_CONFIG, "lake.rest_credential: expected CLIENT_ID:SECRET");
    if (code == ERR_OK) {
        add_form(form, "grant_type", STR("client_credentials"));
        add_form(form, "client_id", id);
        add_form(form, "client_secret", secret);
        add_form(form, "scope", str_of(r->o.scope ? r->o.scope : "catalog"));
    }
    wipe(&credential);
    buf_free(&credential);
    return code;
}

/* RFC 6749, section 5.2; NULL: none of these. */
static const char *oauth_error(struct str s)
{
    static const char *const all[] = {"invalid_request", "invalid_client",
                                      "invalid_grant",   "unauthorized_client",
                                      "invalid_scope",   "unsupported_grant_type"};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (str_is(s, all[i])) return all[i];
    return NULL;
}

static enum err_code take_token(struct lake_rest *r, const char *where,
                                const struct http_reply *reply, struct err *e)
{
    yyjson_doc *doc = yyjson_read((const char *)reply->body.data, reply->body.len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *token = yyjson_obj_get(root, "access_token");
    yyjson_val *seconds = yyjson_obj_get(root, "expires_in");
    enum err_code code = ERR_OK;
    if (reply->status == 200 && yyjson_is_str(token) && yyjson_get_len(token) < SECRET_MAX / 2) {
        rest_forget_token(r);
        buf_add(&r->token, yyjson_get_str(token), yyjson_get_len(token));
        int64_t s = yyjson_is_int(seconds) ? yyjson_get_sint(seconds) : 0;
        if (s < 0 || s > INT32_MAX) s = 0;
        int64_t life_ns = s * NS_PER_S, margin_ns = TOKEN_MARGIN_S * NS_PER_S;
        if (life_ns < 2 * margin_ns) margin_ns = life_ns / 2;
        if (s) r->token_end_ns = clock_mono_ns() + life_ns - margin_ns;
    } else {
        struct str type, message;
        rest_parse_error(root, &type, &message);
        int status = reply->status;
        const char *known = oauth_error(type); /* other words might repeat the secret */
        code = status >= 500 || status == 429 ? ERR_UNAVAILABLE : ERR_REFUSED;
        code = ERR(e, code,
                   "%s, asked for a token, answered %d%s%s; check lake.rest_credential and "
                   "lake.rest_scope",
                   where, status, known ? " " : "", known ? known : "");
    }
    yyjson_doc_free(doc);
    return code;
}

static enum err_code get_token(struct lake_rest *r, struct err *e)
{
    char url[REST_URI_MAX + 32];
    struct buf form;
    struct http_reply reply;
    if (r->o.token_uri)
        snprintf(url, sizeof url, "%s", r->o.token_uri);
    else
        snprintf(url, sizeof url, "%s/v1/oauth/tokens", r->uri);
    buf_init(&form, 4 * SECRET_MAX);
    enum err_code code = credential_form(r, &form, e);
    if (code == ERR_OK) {
        struct http_call call;
        http_call_init(&call, "POST", url, TOKEN_ANSWER_MAX);
        http_call_header(&call, "Content-Type", "application/x-www-form-urlencoded");
        http_call_header(&call, "Accept", "application/json");
        call.body = buf_str(&form);
        call.ca_file = r->o.ca_file;
        code = http_send(r->http, &call, &reply, e);
        http_call_free(&call);
        if (code == ERR_OK) {
            code = take_token(r, r->o.token_uri ? "the token server" : r->address, &reply, e);
            if (reply.body.data) explicit_bzero(reply.body.data, reply.body.len);
            http_reply_free(&reply);
        }
    }
    wipe(&form);
    buf_free(&form);
    return code;
}

/* ---- */

static bool uses_credential(const struct lake_rest *r)
{
    return r->o.credential || r->o.credential_file;
}

static enum err_code need_token(struct lake_rest *r, struct err *e)
{
    if (r->token_end_ns && clock_mono_ns() > r->token_end_ns) rest_forget_token(r);
    if (r->token.len) return ERR_OK;
    if (r->o.token) {
        buf_add_cstr(&r->token, r->o.token);
    } else if (r->o.token_file) {
        TRY(read_secret("lake.rest_token_file", r->o.token_file, &r->token, e));
    } else if (uses_credential(r)) {
        TRY(get_token(r, e));
    }
    return ERR_OK;
}

enum err_code rest_authorize(struct lake_rest *r, struct http_call *call, struct err *e)
{
    if (r->aws) {
        char hash[65];
        aws_sha256_hex(call->body, hash);
        return aws_sign(r->aws, r->o.signing_name, call, hash, clock_wall_ns(), e);
    }
    TRY(need_token(r, e));
    if (r->token.len == 0) return ERR_OK;
    struct buf value;
    buf_init(&value, SECRET_MAX + 16);
    buf_add_cstr(&value, "Bearer ");
    buf_add_str(&value, buf_str(&r->token));
    http_call_header(call, "Authorization", buf_cstr(&value));
    wipe(&value);
    buf_free(&value);
    return ERR_OK;
}

/* A token in a file is renewed by whoever puts it there; one for a client's secret by us. */
enum err_code rest_renew(struct lake_rest *r, bool *ret, struct err *e)
{
    struct buf old;
    *ret = false;
    if (r->aws || r->o.token || !(r->o.token_file || uses_credential(r))) return ERR_OK;
    buf_init(&old, SECRET_MAX);
    buf_add_str(&old, buf_str(&r->token));
    rest_forget_token(r);
    enum err_code code = need_token(r, e);
    *ret = code == ERR_OK && !str_eq(buf_str(&old), buf_str(&r->token));
    wipe(&old);
    buf_free(&old);
    return code;
}
