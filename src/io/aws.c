#include "io/aws_internal.h"

#include "base/time.h"
#include "io/clock.h"
#include "io/file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { CREDENTIALS_TIMEOUT_MS = 5000, REGION_MAX = 64, LOOKED_LIMIT = 1000 };
enum { CONFIG_LIMIT = 1 << 20 };
/* Renewed so long before their end: while the renewal fails the old ones still serve. */
#define RENEW_NS (5 * NS_PER_MINUTE)
/* and it is not asked for again at once, for every request, when it fails. */
#define RENEW_AGAIN_NS (10 * NS_PER_S)

struct aws {
    char region[REGION_MAX], profile[128];
    char *ca_file;
    bool profile_given, profile_named;
    int32_t timeout_ms;
    pthread_mutex_t lock;
    struct http_client *client; /* from the first use on */
    struct aws_credentials credentials;
    bool fixed, found;
    int64_t renew_ns;
};

static void find_region(struct aws *a)
{
    char path[1024], section[160];
    struct buf text;
    struct str found = {"", 0};
    str_copy(a->region, sizeof a->region, STR("us-east-1"));
    if (!aws_file_path("AWS_CONFIG_FILE", ".aws/config", path)) return;
    buf_init(&text, CONFIG_LIMIT);
    bool is_default = strcmp(a->profile, "default") == 0;
    snprintf(section, sizeof section, "%s%s", is_default ? "" : "profile ", a->profile);
    if (file_read(path, CONFIG_LIMIT, &text, NULL) == ERR_OK &&
        aws_ini(buf_str(&text), section, "region", &found) && found.n && found.n < REGION_MAX)
        str_copy(a->region, sizeof a->region, found);
    buf_free(&text);
}

static const char *first_of(const char *a, const char *b, const char *c)
{
    return a && a[0] ? a : b ? b : c;
}

struct aws *aws_new(const struct aws_options *o)
{
    struct aws *a = calloc(1, sizeof *a);
    CHECK(a != NULL);
    CHECK(pthread_mutex_init(&a->lock, NULL) == 0);
    a->timeout_ms = o->timeout_ms ? o->timeout_ms : CREDENTIALS_TIMEOUT_MS;
    if (o->ca_file) CHECK((a->ca_file = strdup(o->ca_file)) != NULL);
    const char *profile = first_of(o->profile, aws_env("AWS_PROFILE"), NULL);
    a->profile_given = o->profile && o->profile[0];
    a->profile_named = profile != NULL;
    str_copy(a->profile, sizeof a->profile, str_of(profile ? profile : "default"));
    const char *region = first_of(o->region, aws_env("AWS_REGION"), aws_env("AWS_DEFAULT_REGION"));
    if (!region || !str_copy(a->region, sizeof a->region, str_of(region))) find_region(a);
    struct aws_credentials *c = &a->credentials;
    if (o->access_key && o->access_key[0] && o->secret_key) {
        a->fixed = a->found =
            str_copy(c->access_key, sizeof c->access_key, str_of(o->access_key)) &&
            str_copy(c->secret_key, sizeof c->secret_key, str_of(o->secret_key)) &&
            str_copy(c->token, sizeof c->token, str_of(o->session_token));
        snprintf(c->source, sizeof c->source, "settings");
        c->expires_ns = INT64_MAX;
    }
    return a;
}

struct aws *aws_free(struct aws *a)
{
    if (!a) return NULL;
    http_client_free(a->client);
    pthread_mutex_destroy(&a->lock);
    free(a->ca_file);
    explicit_bzero(a, sizeof *a);
    free(a);
    return NULL;
}

const char *aws_region(const struct aws *a) { return a->region; }

static enum err_code find(struct aws *a, int64_t now_ns, struct aws_credentials *ret, struct err *e)
{
    static const aws_place places[] = {aws_from_environment, aws_from_web_identity, aws_from_files,
                                       aws_from_container, aws_from_instance};
    struct buf looked;
    buf_init(&looked, LOOKED_LIMIT);
    if (!a->client) a->client = http_client_new();
    struct aws_finder f = {.profile = a->profile,
                           .profile_wanted = a->profile_named,
                           .region = a->region,
                           .ca_file = a->ca_file,
                           .timeout_ms = a->timeout_ms,
                           .client = a->client,
                           .now_ns = now_ns,
                           .looked = &looked};
    enum err_code code = ERR_NOT_FOUND;
    /* Who names a profile in the settings wants that one, whatever the environment says. */
    size_t from = a->profile_given ? 2 : 0,
           to = a->profile_given ? 3 : sizeof places / sizeof *places;
    for (size_t i = from; i < to && code == ERR_NOT_FOUND; i++) code = places[i](&f, ret, e);
    if (code == ERR_NOT_FOUND)
        code = ERR(e, ERR_REFUSED, "no AWS credentials found. Looked at: %s", buf_cstr(&looked));
    buf_free(&looked);
    return code;
}

/* With the lock held: a->credentials are usable. */
static enum err_code ready(struct aws *a, int64_t now_ns, struct err *e)
{
    struct aws_credentials *c = &a->credentials;
    if (a->fixed) return ERR_OK;
    if (a->found && now_ns < a->renew_ns) return ERR_OK;
    struct aws_credentials *fresh = calloc(1, sizeof *fresh);
    CHECK(fresh != NULL);
    struct err why = {0};
    enum err_code code = find(a, now_ns, fresh, &why);
    if (code == ERR_OK) {
        *c = *fresh;
        a->found = true;
        int64_t left = c->expires_ns == INT64_MAX ? INT64_MAX : c->expires_ns - now_ns;
        a->renew_ns = left == INT64_MAX     ? INT64_MAX
                      : left > 2 * RENEW_NS ? c->expires_ns - RENEW_NS
                                            : now_ns + left / 2;
    } else if (a->found && now_ns < c->expires_ns) {
        a->renew_ns = now_ns + RENEW_AGAIN_NS;
        code = ERR_OK;
    } else if (e) {
        *e = why;
    }
    explicit_bzero(fresh, sizeof *fresh);
    free(fresh);
    return code;
}

enum err_code aws_source(struct aws *a, char out[256], struct err *e)
{
    pthread_mutex_lock(&a->lock);
    enum err_code code = ready(a, clock_wall_ns(), e);
    if (code == ERR_OK) str_copy(out, 256, str_of(a->credentials.source));
    pthread_mutex_unlock(&a->lock);
    return code;
}

enum err_code aws_sign(struct aws *a, const char *service, struct http_call *call,
                       const char *payload_sha256, int64_t now_ns, struct err *e)
{
    pthread_mutex_lock(&a->lock);
    enum err_code code = ready(a, now_ns, e);
    if (code == ERR_OK)
        code = aws_sign_with(&a->credentials, a->region, service, call, payload_sha256, now_ns, e);
    pthread_mutex_unlock(&a->lock);
    return code;
}
