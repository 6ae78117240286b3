/* Addresses: URLs taken apart, and names resolved off the loop. */
#include "io/ws_internal.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- URLs ---- */

static enum err_code bad(struct err *e, const char *url, const char *what)
{
    /* Without the query: it may hold a secret. */
    int n = (int)strcspn(url, "?#");
    return ERR(e, ERR_CONFIG, "%.*s: %s; expected ws://HOST[:PORT]/PATH or wss://...",
               n < 200 ? n : 200, url, what);
}

static bool port_of(struct str text, int *ret)
{
    int64_t port;
    if (str_to_i64(text, &port) != ERR_OK || port < 1 || port > 65535) return false;
    *ret = (int)port;
    return true;
}

enum err_code ws_parse_url(const char *url, struct ws_address *ret, struct err *e)
{
    struct str s = str_of(url);
    *ret = (struct ws_address){.tls = str_starts(s, "wss://")};
    if (!ret->tls && !str_starts(s, "ws://")) return bad(e, url, "no WebSocket address");
    size_t scheme = ret->tls ? 6 : 5;
    s = (struct str){s.p + scheme, s.n - scheme};
    ret->port = ret->tls ? 443 : 80;
    size_t host_end = 0;
    while (host_end < s.n && s.p[host_end] != '/' && s.p[host_end] != '?') host_end++;
    struct str host = {s.p, host_end}, path = {s.p + host_end, s.n - host_end};
    struct str port = {NULL, 0};
    if (host.n && host.p[0] == '[') {
        const char *end = memchr(host.p, ']', host.n);
        if (!end) return bad(e, url, "no ] behind the address");
        size_t n = (size_t)(end - host.p);
        if (n + 1 < host.n && host.p[n + 1] == ':') port = (struct str){end + 2, host.n - n - 2};
        host = (struct str){host.p + 1, n - 1};
    } else {
        struct str rest = host;
        struct str name = str_cut(&rest, ':');
        if (name.n < host.n) port = rest;
        host = name;
    }
    if (host.n == 0 || !str_copy(ret->host, sizeof ret->host, host))
        return bad(e, url, "no host, or one that is too long");
    if (port.p && !port_of(port, &ret->port)) return bad(e, url, "no port from 1 to 65535");
    int n = snprintf(ret->path, sizeof ret->path, "%s%.*s", path.n && path.p[0] == '/' ? "" : "/",
                     STR_ARG(path));
    if (n < 0 || (size_t)n >= sizeof ret->path) return bad(e, url, "the path is too long");
    return ERR_OK;
}

/* ---- Names ---- */

struct ws_resolver {
    pthread_mutex_t lock;
    struct ws_loop *loop; /* NULL: it is gone */
    struct ws_lookup *done;
    int users; /* the loop, and each thread */
};

struct ws_resolver *ws_resolver_new(struct ws_loop *l)
{
    struct ws_resolver *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    pthread_mutex_init(&r->lock, NULL);
    r->loop = l;
    r->users = 1;
    return r;
}

static void leave(struct ws_resolver *r)
{
    pthread_mutex_lock(&r->lock);
    bool last = --r->users == 0;
    pthread_mutex_unlock(&r->lock);
    if (!last) return;
    for (struct ws_lookup *k = r->done, *next; k; k = next) {
        next = k->next;
        free(k);
    }
    pthread_mutex_destroy(&r->lock);
    free(r);
}

struct ws_resolver *ws_resolver_free(struct ws_resolver *r)
{
    if (!r) return NULL;
    pthread_mutex_lock(&r->lock);
    r->loop = NULL;
    pthread_mutex_unlock(&r->lock);
    leave(r);
    return NULL;
}

static void finish(struct ws_lookup *k)
{
    struct ws_resolver *r = k->resolver;
    pthread_mutex_lock(&r->lock);
    k->next = r->done;
    r->done = k;
    if (r->loop) ws_loop_wake(r->loop);
    pthread_mutex_unlock(&r->lock);
}

static void *resolve(void *arg)
{
    struct ws_lookup *k = arg;
    struct ws_resolver *r = k->resolver;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *list = NULL;
    int code = getaddrinfo(k->host, NULL, &hints, &list);
    if (code != 0)
        snprintf(k->error, sizeof k->error, "cannot resolve %.100s: %s", k->host,
                 gai_strerror(code));
    for (struct addrinfo *a = list; a && k->count < WS_ADDRESSES_MAX; a = a->ai_next)
        if (getnameinfo(a->ai_addr, a->ai_addrlen, k->addresses[k->count], WS_ADDRESS_TEXT, NULL, 0,
                        NI_NUMERICHOST) == 0)
            k->count++;
    if (list) freeaddrinfo(list);
    if (code == 0 && k->count == 0)
        snprintf(k->error, sizeof k->error, "%.100s has no address", k->host);
    finish(k);
    leave(r);
    return NULL;
}

static bool is_literal(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

void ws_resolver_ask(struct ws_resolver *r, uint64_t id, const char *host)
{
    struct ws_lookup *k = calloc(1, sizeof *k);
    CHECK(k != NULL);
    k->resolver = r;
    k->id = id;
    str_copy(k->host, sizeof k->host, str_of(host));
    if (is_literal(host)) {
        str_copy(k->addresses[0], WS_ADDRESS_TEXT, str_of(host));
        k->count = 1;
        finish(k);
        return;
    }
    pthread_mutex_lock(&r->lock);
    r->users++;
    pthread_mutex_unlock(&r->lock);
    pthread_t thread;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int code = pthread_create(&thread, &detached, resolve, k);
    pthread_attr_destroy(&detached);
    if (code == 0) return;
    snprintf(k->error, sizeof k->error, "cannot resolve %.100s: no thread to be had", k->host);
    finish(k);
    leave(r);
}

struct ws_lookup *ws_resolver_next(struct ws_resolver *r)
{
    pthread_mutex_lock(&r->lock);
    struct ws_lookup *k = r->done;
    if (k) r->done = k->next;
    pthread_mutex_unlock(&r->lock);
    return k;
}
