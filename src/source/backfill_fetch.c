#include "source/backfill_internal.h"

#include "io/clock.h"

#include <stdio.h>

enum { ANSWER_MS = 120000, URL_MAX = 1200, WORDS_MAX = 200, NAP_MS = 50, LONG_MS = 2000 };

enum err_code backfill_stopped(struct source_backfill *s, struct err *e)
{
    if (!atomic_load_explicit(&s->stop, memory_order_relaxed)) return ERR_OK;
    return ERR(e, ERR_STOPPED, "stopped; the same command goes on from here");
}

enum err_code backfill_sleep(struct source_backfill *s, int64_t ms, struct err *e)
{
    if (ms >= LONG_MS) TRY(core_push(s->core, e));
    int64_t end_ns = clock_mono_ns() + ms * NS_PER_MS, now_ns;
    while ((now_ns = clock_mono_ns()) < end_ns) {
        TRY(backfill_stopped(s, e));
        TRY(core_age(s->core, now_ns, e));
        int64_t left_ns = end_ns - now_ns;
        clock_sleep_ns(left_ns < NAP_MS * NS_PER_MS ? left_ns : NAP_MS * NS_PER_MS);
    }
    BACKFILL_COUNT(s, waited_ms, ms);
    return ERR_OK;
}

static enum err_code until_free(struct source_backfill *s, struct err *e)
{
    int64_t wait_ns = s->free_ns - clock_mono_ns();
    return wait_ns > 0 ? backfill_sleep(s, (wait_ns + NS_PER_MS - 1) / NS_PER_MS, e) : ERR_OK;
}

/* Waits for the time at which the venue allows more, or says when that is. */
static enum err_code wait_allowance(struct source_backfill *s, int64_t until_ns, struct err *e)
{
    char when[TIME_TEXT_MAX];
    time_format(time_floor(until_ns, NS_PER_S), when);
    if (!s->o.wait) {
        TRY(core_push(s->core, e));
        return ERR(e, ERR_UNAVAILABLE,
                   "%s: the allowance of requests is used up until %s; what was fetched is stored: "
                   "run it again then, or with --wait",
                   s->o.venue->name, when);
    }
    if (s->options.notice)
        s->options.notice(s->options.notice_ctx, s->o.venue->name, "waiting for the allowance",
                          when);
    int64_t ms = (until_ns - clock_wall_ns()) / NS_PER_MS + 1;
    return backfill_sleep(s, ms > 0 ? ms : 1, e);
}

static enum err_code take_allowance(struct source_backfill *s, struct err *e)
{
    while (s->o.allow) {
        int64_t until_ns = TIME_ABSENT;
        TRY(s->o.allow(s->o.ctx, clock_wall_ns(), &until_ns, e));
        if (until_ns == TIME_ABSENT) break;
        TRY(wait_allowance(s, until_ns, e));
    }
    return ERR_OK;
}

enum err_code backfill_used_up(struct source_backfill *s, struct str words, struct err *e)
{
    int64_t now_ns = clock_wall_ns(), until_ns = now_ns + NS_PER_MINUTE;
    if (s->o.used_up)
        TRY(s->o.used_up(s->o.ctx, str_contains(words, "dail") || str_contains(words, "day"),
                         now_ns, &until_ns, e));
    return wait_allowance(s, until_ns, e);
}

/* Without what would garble a terminal. */
static void words_of(struct str body, char words[WORDS_MAX + 1])
{
    size_t n = body.n < WORDS_MAX ? body.n : WORDS_MAX;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)body.p[i];
        words[i] = (char)(c < ' ' || c >= 0x7f ? ' ' : c);
    }
    words[n] = 0;
}

/* Of an address, without the query: it may hold a secret. */
static struct str place_of(const char *url)
{
    struct str place = str_of(url);
    return str_cut(&place, '?');
}

static bool is_limit(int status) { return status == 429 || status == 418; }

/* How long to wait before the next try; negative: no more. */
static int64_t pause_of(struct retry *retry, const struct http_answer *a, enum err_code code)
{
    int64_t pause_ms = retry_next_ms(retry);
    if (code != ERR_OK) return pause_ms;
    if (is_limit(a->status))
        return a->retry_after_ms > 0 ? a->retry_after_ms : pause_ms < 1000 ? 1000 : pause_ms;
    return a->retry_after_ms > pause_ms ? a->retry_after_ms : pause_ms;
}

static enum err_code give_up(const char *url, const struct http_answer *a, enum err_code code,
                             const struct err *why, struct err *e)
{
    char words[WORDS_MAX + 1];
    if (code != ERR_OK) {
        if (e) *e = *why;
        return err_prefix(e, "tried %d times: ", BACKFILL_TRIES);
    }
    words_of(buf_str(&a->body), words);
    return ERR(e, ERR_UNAVAILABLE, "GET %.*s: status %d%s: %s; what was fetched is stored",
               STR_ARG(place_of(url)), a->status,
               is_limit(a->status) ? ", the venue's limit of requests" : "", words);
}

static enum err_code judge(struct source_backfill *s, const char *url, const struct http_answer *a,
                           struct err *e)
{
    if (a->status != 401 && a->status != 403) return ERR_OK;
    char words[WORDS_MAX + 1];
    words_of(buf_str(&a->body), words);
    return ERR(e, ERR_REFUSED, "GET %.*s: status %d: %s; check the token of %s",
               STR_ARG(place_of(url)), a->status, words, s->o.venue->name);
}

/* The venue's word for a used up allowance may come with any status: it is no short pause. */
static bool says_used_up(const struct source_backfill *s, const struct http_answer *a)
{
    return s->o.allow && s->o.venue->history->error(buf_str(&a->body)) == HISTORY_ALLOWANCE;
}

static enum err_code try_until(struct source_backfill *s, const struct http_request *r,
                               struct http_answer *ret, int32_t pause_ms, struct err *e)
{
    static const struct retry_policy policy = {250, 10000, 1};
    struct retry retry;
    retry_init(&retry, &policy, s->seed++);
    for (int tries = 1;; tries++) {
        struct err why = {0};
        TRY(backfill_stopped(s, e));
        TRY(until_free(s, e));
        TRY(take_allowance(s, e));
        buf_reset(&ret->body);
        enum err_code code = http_get(r, ret, &why);
        s->free_ns = clock_mono_ns() + pause_ms * NS_PER_MS;
        BACKFILL_COUNT(s, requests, 1);
        bool network = code == ERR_NETWORK || code == ERR_TIMEOUT;
        if (code != ERR_OK && !network) {
            if (e) *e = why;
            return code;
        }
        if (code == ERR_OK && says_used_up(s, ret)) {
            TRY(backfill_used_up(s, buf_str(&ret->body), e));
            continue;
        }
        if (code == ERR_OK && !is_limit(ret->status) && ret->status < 500)
            return judge(s, r->url, ret, e);
        int64_t wait_ms = pause_of(&retry, ret, code);
        bool too_long = wait_ms > BACKFILL_WAIT_MAX_S * 1000 && !s->o.wait;
        if (tries == BACKFILL_TRIES || too_long) {
            TRY(core_push(s->core, e));
            return give_up(r->url, ret, code, &why, e);
        }
        BACKFILL_COUNT(s, retries, 1);
        TRY(backfill_sleep(s, wait_ms, e));
    }
}

enum err_code backfill_get(struct source_backfill *s, const char *base,
                           const struct history_request *request, size_t limit,
                           struct http_answer *ret, struct err *e)
{
    char url[URL_MAX];
    struct str root = str_of(base);
    while (root.n && root.p[root.n - 1] == '/') root.n--;
    int n = snprintf(url, sizeof url, "%.*s%s", STR_ARG(root), request->http.path);
    if (n < 0 || (size_t)n >= sizeof url) return ERR(e, ERR_CONFIG, "the REST address is too long");
    const struct http_request r = {.url = url,
                                   .header = request->http.header,
                                   .limit = limit,
                                   .connect_timeout_ms = s->o.connect_timeout_ms,
                                   .timeout_ms = ANSWER_MS,
                                   .tls_verify = s->o.tls_verify,
                                   .ca_file = s->o.ca_file,
                                   .cancel = &s->stop};
    TRY(try_until(s, &r, ret, request->pause_ms, e));
    BACKFILL_COUNT(s, bytes, ret->body.len);
    ret->body.max += VENUE_PADDING;
    uint8_t *padding = buf_room(&ret->body, VENUE_PADDING);
    CHECK(padding != NULL);
    memset(padding, 0, VENUE_PADDING);
    return ERR_OK;
}

enum err_code backfill_venue_error(struct source_backfill *s, const char *path,
                                   const struct core_result *r, int status, struct err *e)
{
    char words[WORDS_MAX + 1];
    words_of(r->error, words);
    struct str place = place_of(path);
    switch (s->o.venue->history->error(r->error)) {
    case HISTORY_ALLOWANCE: return backfill_used_up(s, r->error, e);
    case HISTORY_UNKNOWN_SYMBOL:
        return ERR(e, ERR_USAGE, "%s does not know the symbol %.*s: %s (GET %.*s)",
                   s->o.venue->name, STR_ARG(s->symbol), words, STR_ARG(place));
    case HISTORY_REFUSED:
        return ERR(e, ERR_REFUSED, "GET %.*s: %s; check the token of %s", STR_ARG(place), words,
                   s->o.venue->name);
    case HISTORY_OTHER: break;
    }
    if (r->error_is_refusal)
        return ERR(e, ERR_REFUSED, "GET %.*s: %s; check the token of %s", STR_ARG(place), words,
                   s->o.venue->name);
    return ERR(e, ERR_UNAVAILABLE, "GET %.*s: status %d: %s", STR_ARG(place), status, words);
}
