#include "lake/object_internal.h"

#include <stdlib.h>

/* Credentials that a REST catalog gives for the files of one table. They come with each load of the table, in the lake's thread, and
 * are used by it and by the workers that carry files up: each has connections of its own, made anew when they changed. */

static void wipe(char *text)
{
    if (text) explicit_bzero(text, strlen(text));
    free(text);
}

static bool same(const char *text, struct str s) { return str_eq(str_of(text ? text : ""), s); }

static void put(char **to, struct str s, bool *changed)
{
    if (same(*to, s)) return;
    wipe(*to);
    *to = s.n ? strndup(s.p, s.n) : NULL;
    CHECK(s.n == 0 || *to != NULL);
    *changed = true;
}

void lake_vended_put(struct lake_vended *v, const struct lake_vended_text *t)
{
    bool changed = false;
    put(&v->prefix, t->prefix, &changed);
    put(&v->access_key, t->access_key, &changed);
    put(&v->secret_key, t->secret_key, &changed);
    put(&v->session_token, t->session_token, &changed);
    put(&v->endpoint, t->endpoint, &changed);
    put(&v->region, t->region, &changed);
    changed |= v->virtual_host != t->virtual_host;
    v->virtual_host = t->virtual_host;
    v->version += changed;
}

void lake_vended_free(struct lake_vended *v)
{
    char *texts[] = {v->prefix,        v->access_key, v->secret_key,
                     v->session_token, v->endpoint,   v->region};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) wipe(texts[i]);
    *v = (struct lake_vended){0};
}

static bool is_below(struct str location, const char *prefix)
{
    struct str bucket, key, of_bucket, of_key; /* s3:// and s3a:// are the same place */
    if (!prefix || !s3_split(location, &bucket, &key)) return false;
    if (!s3_split(str_of(prefix), &of_bucket, &of_key)) return false;
    if (!str_eq(bucket, of_bucket) || key.n < of_key.n) return false;
    return of_key.n == 0 || memcmp(key.p, of_key.p, of_key.n) == 0;
}

struct s3 *lake_vended_door(const struct lake_vended *given, struct lake_door *doors,
                            const struct s3_options *standard, struct str location)
{
    int best = -1;
    for (int i = 0; i < TABLE_MAX; i++)
        if (given[i].access_key && is_below(location, given[i].prefix) &&
            (best < 0 || strlen(given[i].prefix) > strlen(given[best].prefix)))
            best = i;
    if (best < 0) return NULL;
    const struct lake_vended *v = &given[best];
    struct lake_door *d = &doors[best];
    if (d->s3 && d->version == v->version) return d->s3;
    struct s3_options o = *standard;
    o.aws.access_key = v->access_key;
    o.aws.secret_key = v->secret_key;
    o.aws.session_token = v->session_token;
    o.aws.profile = NULL;
    if (v->region) o.aws.region = v->region;
    if (v->endpoint) o.endpoint = v->endpoint;
    if (v->endpoint) o.virtual_host = v->virtual_host;
    s3_free(d->s3);
    *d = (struct lake_door){s3_new(&o), v->version};
    return d->s3;
}

void lake_vended_close(struct lake_door *doors)
{
    for (int i = 0; i < TABLE_MAX; i++) {
        s3_free(doors[i].s3);
        doors[i] = (struct lake_door){0};
    }
}
