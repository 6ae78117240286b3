#include "io/aws_internal.h"

#include "base/arena.h"
#include "base/time.h"

#include <ctype.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { PARAMS_MAX = 64, CANONICAL_LIMIT = 1 << 18, HASH = SHA256_DIGEST_LENGTH };

static void hex(const uint8_t *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = 0;
}

void aws_sha256_hex(struct str bytes, char out[65])
{
    uint8_t sum[HASH];
    SHA256((const uint8_t *)(bytes.n ? bytes.p : ""), bytes.n, sum);
    hex(sum, HASH, out);
}

static void hmac(const void *key, size_t key_len, struct str text, uint8_t out[HASH])
{
    unsigned len = HASH;
    CHECK(HMAC(EVP_sha256(), key, (int)key_len, (const uint8_t *)text.p, text.n, out, &len));
}

/* ---- the request in AWS's canonical form */

struct address {
    struct str host, path, query;
    bool https;
};

static struct address address_of(const char *url)
{
    struct address a = {.https = str_starts(str_of(url), "https://")};
    struct str rest = str_of(url);
    const char *from = strstr(url, "://");
    if (from) rest = str_of(from + 3);
    size_t end = 0;
    while (end < rest.n && !strchr("/?#", rest.p[end])) end++;
    a.host = (struct str){rest.p, end};
    const char *at = end ? memrchr(a.host.p, '@', end) : NULL;
    if (at) a.host = (struct str){at + 1, end - (size_t)(at + 1 - a.host.p)};
    /* curl leaves the scheme's own port out of the Host header: what is signed must say the same. */
    const char *port = a.https ? ":443" : ":80";
    if (str_ends(a.host, port)) a.host.n -= strlen(port);
    rest = (struct str){rest.p + end, rest.n - end};
    rest = str_cut(&rest, '#');
    a.path = str_cut(&rest, '?');
    a.query = rest;
    if (a.path.n == 0) a.path = STR("/");
    return a;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void aws_encode(struct buf *b, struct str s, bool keep_slash)
{
    for (size_t i = 0; i < s.n; i++) {
        if (is_unreserved(s.p[i]) || (keep_slash && s.p[i] == '/'))
            buf_add_byte(b, (uint8_t)s.p[i]);
        else
            buf_addf(b, "%%%02X", (unsigned char)s.p[i]);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void aws_decode(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        int high = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s.p[i + 2]) : -1;
        uint8_t byte = (uint8_t)s.p[i];
        if (low >= 0) {
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        }
        buf_add_byte(b, byte);
    }
}

/* Dot segments and doubled slashes are taken out for every service but S3, whose keys may hold them. */
static void add_normal_path(struct buf *b, struct str path)
{
    struct str parts[PARAMS_MAX];
    size_t count = 0;
    bool folder = str_ends(path, "/") || str_ends(path, "/.") || str_ends(path, "/..");
    while (path.n) {
        struct str part = str_cut(&path, '/');
        if (part.n == 0 || str_is(part, ".")) continue;
        if (str_is(part, "..")) {
            count -= count > 0;
            continue;
        }
        if (count == PARAMS_MAX) b->failed = true;
        if (!b->failed) parts[count++] = part;
    }
    for (size_t i = 0; i < count; i++) {
        buf_add_byte(b, '/');
        aws_encode(b, parts[i], false);
    }
    if (count == 0 || folder) buf_add_byte(b, '/');
}

struct param {
    struct str name, value;
};
static int by_name_value(const void *a, const void *b)
{
    const struct param *x = a, *y = b;
    int c = str_cmp(x->name, y->name);
    return c ? c : str_cmp(x->value, y->value);
}

/* Decoded and encoded anew, so that it does not matter how the caller wrote it. */
static struct str encode_again(struct arena *text, struct str s)
{
    struct buf plain, encoded;
    buf_init(&plain, s.n + 1);
    buf_init(&encoded, 3 * s.n + 1);
    aws_decode(&plain, s);
    aws_encode(&encoded, buf_str(&plain), false);
    struct str ret = {"", 0};
    CHECK(arena_copy(text, buf_str(&encoded), &ret));
    buf_free(&plain);
    buf_free(&encoded);
    return ret;
}

static void add_query(struct buf *b, struct str query)
{
    struct param params[PARAMS_MAX];
    size_t count = 0;
    struct arena text;
    arena_init(&text, 8 * query.n + 65536);
    while (query.n) {
        struct str value = str_cut(&query, '&');
        if (value.n == 0) continue;
        struct str name = str_cut(&value, '=');
        if (count == PARAMS_MAX) b->failed = true;
        if (!b->failed)
            params[count++] = (struct param){encode_again(&text, name), encode_again(&text, value)};
    }
    qsort(params, count, sizeof *params, by_name_value);
    for (size_t i = 0; i < count; i++) {
        if (i) buf_add_byte(b, '&');
        buf_add_str(b, params[i].name);
        buf_add_byte(b, '=');
        buf_add_str(b, params[i].value);
    }
    arena_free(&text);
}

/* What proxies and curl itself may change on the way is not signed (the list of AWS's own tools). */
static bool is_signed(struct str name)
{
    static const char *const left_out[] = {"authorization",     "connection", "expect",
                                           "transfer-encoding", "user-agent", "x-amzn-trace-id"};
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (str_is(name, left_out[i])) return false;
    return true;
}

struct header {
    char name[128];
    struct str value;
};
static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct header *)a)->name, ((const struct header *)b)->name);
}

static size_t signed_headers(const struct http_call *call, struct str host,
                             struct header out[HTTP_HEADERS_MAX + 1])
{
    size_t count = 0;
    bool has_host = false;
    for (size_t i = 0; i < call->header_count; i++) {
        struct str value = str_of(call->headers[i]);
        size_t n = strcspn(call->headers[i], ":;");
        struct header *h = &out[count];
        if (n >= sizeof h->name) continue;
        for (size_t k = 0; k < n; k++) h->name[k] = (char)tolower((unsigned char)value.p[k]);
        h->name[n] = 0;
        h->value = str_trim((struct str){value.p + n + 1, value.n - n - 1});
        if (!is_signed(str_of(h->name))) continue;
        has_host |= strcmp(h->name, "host") == 0;
        count++;
    }
    if (!has_host) {
        str_copy(out[count].name, sizeof out[count].name, STR("host"));
        out[count++].value = host;
    }
    qsort(out, count, sizeof *out, by_name);
    return count;
}

/* Runs of blanks count as one. */
static void add_header_value(struct buf *b, struct str value)
{
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] != ' ' || i == 0 || value.p[i - 1] != ' ')
            buf_add_byte(b, (uint8_t)value.p[i]);
}

static void add_canonical(struct buf *b, struct buf *names, const struct http_call *call,
                          bool is_s3, const char *payload_sha256)
{
    struct address a = address_of(call->url);
    struct header headers[HTTP_HEADERS_MAX + 1];
    buf_addf(b, "%s\n", call->method);
    if (is_s3)
        buf_add_str(b, a.path);
    else
        add_normal_path(b, a.path);
    buf_add_byte(b, '\n');
    add_query(b, a.query);
    buf_add_byte(b, '\n');
    size_t count = signed_headers(call, a.host, headers);
    for (size_t i = 0; i < count; i++) {
        buf_addf(b, "%s:", headers[i].name);
        add_header_value(b, headers[i].value);
        buf_add_byte(b, '\n');
        buf_addf(names, "%s%s", i ? ";" : "", headers[i].name);
    }
    buf_addf(b, "\n%s\n%s", buf_cstr(names), payload_sha256);
}

/* ---- the signature */

static void signing_key(const struct aws_credentials *c, const char *day, const char *region,
                        const char *service, uint8_t key[HASH])
{
    char first[AWS_KEY_MAX + 8];
    int n = snprintf(first, sizeof first, "AWS4%s", c->secret_key);
    hmac(first, (size_t)n, str_of(day), key);
    explicit_bzero(first, sizeof first);
    hmac(key, HASH, str_of(region), key);
    hmac(key, HASH, str_of(service), key);
    hmac(key, HASH, STR("aws4_request"), key);
}

static void authorize(const char *date, const char *scope, const uint8_t key[HASH],
                      const char *canonical_hash, char out[65])
{

    char text[512];
    uint8_t sum[HASH];
    int n =
        snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope, canonical_hash);
    CHECK(n > 0 && (size_t)n < sizeof text);
    hmac(key, HASH, (struct str){text, (size_t)n}, sum);
    hex(sum, HASH, out);
}

/* "20150830T123600Z" */
static void date_of(int64_t now_ns, char out[17])
{
    char iso[TIME_TEXT_MAX];
    time_format(time_floor(now_ns, NS_PER_S), iso); /* 2015-08-30T12:36:00Z */
    size_t n = 0;
    for (const char *p = iso; *p && n < 16; p++)
        if (*p != '-' && *p != ':') out[n++] = *p;
    out[n] = 0;
}

enum err_code aws_sign_with(const struct aws_credentials *c, const char *region,
                            const char *service, struct http_call *call, const char *payload_sha256,
                            int64_t now_ns, struct err *e)
{
    char date[17], day[9], scope[200], canonical_hash[65], signature[65];
    bool is_s3 = strcmp(service, "s3") == 0;
    date_of(now_ns, date);
    str_copy(day, sizeof day, (struct str){date, 8});
    int n = snprintf(scope, sizeof scope, "%s/%s/%s/aws4_request", day, region, service);
    if (n < 0 || (size_t)n >= sizeof scope)
        return ERR(e, ERR_CONFIG, "the region's name is longer than %zu bytes", sizeof scope - 60);
    http_call_header(call, "x-amz-date", date);
    if (is_s3) http_call_header(call, "x-amz-content-sha256", payload_sha256);
    if (c->token[0]) http_call_header(call, "x-amz-security-token", c->token);
    struct buf canonical, names, line;
    buf_init(&canonical, CANONICAL_LIMIT);
    buf_init(&names, HTTP_HEADER_LIMIT);
    buf_init(&line, HTTP_HEADER_LIMIT);
    add_canonical(&canonical, &names, call, is_s3, payload_sha256);
    enum err_code code = ERR_OK;
    if (canonical.failed || names.failed)
        code = ERR(e, ERR_FULL, "a request of %s to be signed is too long", service);
    if (code == ERR_OK) {
        uint8_t key[HASH];
        aws_sha256_hex(buf_str(&canonical), canonical_hash);
        signing_key(c, day, region, service, key);
        authorize(date, scope, key, canonical_hash, signature);
        explicit_bzero(key, sizeof key);
        buf_addf(&line, "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
                 c->access_key, scope, buf_cstr(&names), signature);
        http_call_header(call, "authorization", buf_cstr(&line));
    }
    if (canonical.data) explicit_bzero(canonical.data, canonical.len); /* holds the token */
    buf_free(&canonical);
    buf_free(&names);
    buf_free(&line);
    return code;
}
