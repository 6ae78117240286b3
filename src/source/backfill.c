#include "source/backfill_internal.h"

#include "base/array.h"
#include "io/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum { SYMBOLS_TEXT_MAX = 384 };

static const char *rest_url(const struct source_backfill *s)
{
    return s->o.rest_url ? s->o.rest_url : s->o.venue->rest_url;
}

static enum err_code check(const struct source_backfill_options *o, struct err *e)
{
    const struct venue_history *h = o->venue->history;
    const char *name = o->venue->name;
    if (!o->rest_url && !o->venue->rest_url)
        return ERR(e, ERR_CONFIG, "venues: %s has no REST address", name);
    if (o->metadata) {
        if (o->venue->instruments_request && o->venue->instruments_answer) return ERR_OK;
        return ERR(e, ERR_USAGE, "%s has no instrument list by REST", name);
    }
    if (!h) return ERR(e, ERR_USAGE, "%s: no history by REST is known of this venue", name);
    if (o->gaps) return ERR_OK;
    if (o->from_ns >= o->to_ns) return ERR(e, ERR_USAGE, "--from must be before --to");
    if (o->kind == HISTORY_TRADES && !(h->streams >> o->stream & 1))
        return ERR(e, ERR_USAGE, "%s has no %s of the past by REST%s", name,
                   stream_text((enum stream)o->stream),
                   h->timeframes ? "; it has candles: --kind candles" : "");
    if (o->kind == HISTORY_CANDLES && !(h->timeframes >> o->timeframe & 1))
        return ERR(e, ERR_USAGE, "%s has no candles of %s by REST", name,
                   timeframe_text(o->timeframe));
    if (o->kind == HISTORY_TOP && !h->top)
        return ERR(e, ERR_USAGE, "%s has no top of book by REST", name);
    return ERR_OK;
}

enum err_code source_backfill_open(const struct source_options *o,
                                   const struct source_backfill_options *b,
                                   const struct source_past *past, struct source_backfill **ret,
                                   struct err *e)
{
    TRY(check(b, e));
    struct source_backfill *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->options = *o;
    s->o = *b;
    s->seed = (uint64_t)clock_wall_ns();
    s->known = history_known_new();
    s->next_gap_id = past ? past->next_gap_id : 1;
    enum err_code code = core_open(o, past, &s->core, e);
    if (code != ERR_OK) {
        source_backfill_close(s);
        return code;
    }
    char name[128];
    (void)snprintf(name, sizeof name, "%s/rest", b->venue->name);
    s->names = core_names(s->core, b->venue);
    s->connection = core_connection_new(s->core, b->venue, str_of(name));
    core_connected(s->core, s->connection);
    *ret = s;
    return ERR_OK;
}

struct source_backfill *source_backfill_close(struct source_backfill *s)
{
    if (!s) return NULL;
    core_close(s->core);
    history_known_free(s->known);
    history_ids_free(&s->seen);
    history_ids_free(&s->wanted);
    free(s->gaps);
    free(s);
    return NULL;
}

void source_backfill_stop(struct source_backfill *s)
{
    atomic_store(&s->stop, true);
    core_stop(s->core);
}

void source_backfill_stats(const struct source_backfill *s, struct source_backfill_stats *ret)
{
    const int64_t *from = (const int64_t *)&s->stats;
    int64_t *to = (int64_t *)ret;
    for (size_t i = 0; i < sizeof *ret / sizeof *to; i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/* ---- The instrument list ---- */

static enum err_code take_list(struct source_backfill *s, const struct http_answer *a,
                               size_t body_len, struct err *e)
{
    const struct core_input in = {.connection = s->connection,
                                  .bytes = (const char *)a->body.data,
                                  .len = body_len,
                                  .received_ns = clock_wall_ns(),
                                  .position = -1,
                                  .origin = s->options.origin};
    size_t count;
    enum err_code code = core_instruments(s->core, &in, &count, e);
    BACKFILL_COUNT(s, rows, count);
    if (code != ERR_PARSE || !e) return code;
    const struct err why = *e; /* holds the venue's words, if it had some */
    bool refused =
        s->o.venue->history && s->o.venue->history->error(str_of(why.text)) == HISTORY_REFUSED;
    return ERR(e, refused ? ERR_REFUSED : ERR_UNAVAILABLE, "instruments of %s: %s",
               s->o.venue->name, why.text);
}

static enum err_code fetch_list(struct source_backfill *s, struct err *e)
{
    struct history_request r = {0};
    for (int page = 0; s->o.venue->instruments_request(page, s->o.token, &r.http); page++) {
        struct http_answer a;
        http_answer_init(&a, VENUE_REST_MAX);
        enum err_code code = backfill_get(s, rest_url(s), &r, VENUE_REST_MAX, &a, e);
        if (code == ERR_OK && a.status >= 300)
            code =
                ERR(e, ERR_UNAVAILABLE, "instruments of %s: status %d", s->o.venue->name, a.status);
        if (code == ERR_OK) code = take_list(s, &a, a.body.len, e);
        http_answer_free(&a);
        TRY(code);
    }
    return ERR_OK;
}

/* ---- One ask, page by page ---- */

static void window_of(const struct source_backfill *s, const struct history_ask *ask, bool probe,
                      struct history_window *ret)
{
    bool keyless = ask->kind != HISTORY_TRADES;
    *ret = (struct history_window){.nothing = probe,
                                   .by_id = ask->by_id,
                                   .first_id = ask->first_id,
                                   .last_id = ask->last_id,
                                   .ids = ask->by_id ? &s->wanted : NULL,
                                   .from_ns = ask->from_ns,
                                   .to_ns = ask->to_ns,
                                   .now_ns = clock_wall_ns(),
                                   .known = keyless ? s->known : NULL};
}

static void count_page(struct source_backfill *s, const struct core_result *r)
{
    const struct decoded *d = core_decoded(s->core);
    BACKFILL_COUNT(s, rows, d->trade_count + d->quote_count + d->candle_count + r->page.known);
    BACKFILL_COUNT(s, known, r->page.known);
}

static enum err_code take_page(struct source_backfill *s, const struct history_ask *ask,
                               const struct history_request *r, const struct http_answer *a,
                               struct core_result *ret, struct err *e)
{
    struct history_window window;
    window_of(s, ask, r->probe, &window);
    struct core_input in = {.connection = s->connection,
                            .bytes = (const char *)a->body.data,
                            .len = a->body.len,
                            .received_ns = TIME_ABSENT,
                            .position = -1,
                            .origin = s->options.origin,
                            .window = &window};
    if (ask->kind == HISTORY_TOP) in.received_ns = window.now_ns; /* it was heard just now */
    TRY(core_rest(s->core, &in, str_of(r->http.path), ret, e));
    if (ret->class == FRAME_BAD)
        return ERR(e, ERR_UNAVAILABLE, "GET %.*s: status %d: the answer cannot be read",
                   (int)strcspn(r->http.path, "?"), r->http.path, a->status);
    if (ret->class == FRAME_ERROR) return ERR_OK;
    if (a->status >= 300)
        return ERR(e, ERR_UNAVAILABLE, "GET %.*s: status %d", (int)strcspn(r->http.path, "?"),
                   r->http.path, a->status);
    if (r->probe) return ERR_OK;
    count_page(s, ret);
    if (ask->kind != HISTORY_TRADES) return ERR_OK;
    backfill_gaps_note(s, core_decoded(s->core));
    return s->o.guest ? backfill_gaps_tell(s, e) : ERR_OK;
}

/* *ret_page_there false: the venue's error was a limit, which is over now. */
static enum err_code fetch_page(struct source_backfill *s, const struct history_ask *ask,
                                const struct history_request *r, struct core_result *result,
                                bool *ret_page_there, struct err *e)
{
    struct http_answer a;
    http_answer_init(&a, VENUE_REST_MAX);
    enum err_code code = backfill_get(s, rest_url(s), r, VENUE_REST_MAX, &a, e);
    *result = (struct core_result){.class = FRAME_IGNORED};
    if (code == ERR_OK) code = take_page(s, ask, r, &a, result, e);
    *ret_page_there = code == ERR_OK && result->class != FRAME_ERROR;
    if (code == ERR_OK && result->class == FRAME_ERROR)
        code = backfill_venue_error(s, r->http.path, result, a.status, e);
    http_answer_free(&a);
    return code;
}

/* The clock says when gaps are told, and is the time of a row that has none. A guest's stays in the past: others tell what the
 * time is. */
static enum err_code start_clock(struct source_backfill *s, int64_t from_ns, struct err *e)
{
    return core_clock(s->core, s->o.guest ? from_ns : clock_wall_ns(), e);
}

enum err_code backfill_walk(struct source_backfill *s, const struct history_ask *ask, struct err *e)
{
    const struct venue_history *h = s->o.venue->history;
    struct history_cursor cursor = {0};
    struct history_request r;
    TRY(start_clock(s, ask->from_ns, e));
    while (h->request(ask, &cursor, s->o.token, &r)) {
        struct core_result result;
        bool there;
        TRY(fetch_page(s, ask, &r, &result, &there, e));
        if (!there) continue;
        h->answer(ask, &cursor, &result.page);
        TRY(core_age(s->core, clock_mono_ns(), e));
        if (s->o.progress && result.page.last_ns != TIME_ABSENT)
            s->o.progress(s->o.ctx, s->symbol, result.page.last_ns);
    }
    if (cursor.stuck)
        return ERR(
            e, ERR_UNAVAILABLE,
            "%s %.*s: its history does not go on: the answer has nothing newer than what was "
            "asked for",
            s->o.venue->name, STR_ARG(s->symbol));
    if (cursor.short_of && s->options.notice)
        s->options.notice(s->options.notice_ctx, s->o.venue->name, "history is short",
                          "the venue has only the newest bars of this width");
    return ERR_OK;
}

/* ---- Days, symbols ---- */

static bool use_archive(const struct source_backfill *s, const struct history_ask *ask, int32_t day)
{
    const struct source_backfill_options *o = &s->o;
    char path[512];
    if (o->archive == BACKFILL_ARCHIVE_NEVER || !o->venue->history->archive) return false;
    if (day >= time_day(clock_wall_ns())) return false; /* not over yet */
    if (!o->venue->history->archive(ask, day, path)) return false;
    if (o->archive == BACKFILL_ARCHIVE_ALWAYS) return true;
    /* Another REST address than the venue's is another venue, whose archive nobody told of. */
    if (o->rest_url && !o->archive_url) return false;
    int64_t from_ns = day * NS_PER_DAY;
    return ask->from_ns <= from_ns && ask->to_ns >= from_ns + NS_PER_DAY;
}

/* Days with an archive from there, what lies between by REST, in the order of time. */
static enum err_code walk_days(struct source_backfill *s, const struct history_ask *ask,
                               struct err *e)
{
    struct history_ask rest = *ask;
    rest.to_ns = rest.from_ns;
    for (int32_t day = time_day(ask->from_ns); day <= time_day(ask->to_ns - 1); day++) {
        int64_t begin_ns = day * NS_PER_DAY, end_ns = begin_ns + NS_PER_DAY;
        struct history_ask one = *ask;
        if (begin_ns > one.from_ns) one.from_ns = begin_ns;
        if (end_ns < one.to_ns) one.to_ns = end_ns;
        bool there = false;
        if (use_archive(s, ask, day)) {
            if (rest.to_ns > rest.from_ns) TRY(backfill_walk(s, &rest, e));
            rest.from_ns = rest.to_ns = one.from_ns;
            TRY(start_clock(s, one.from_ns, e));
            TRY(backfill_archive(s, &one, day, &there, e));
        }
        rest.to_ns = one.to_ns;
        if (there) rest.from_ns = one.to_ns;
    }
    return rest.to_ns > rest.from_ns ? backfill_walk(s, &rest, e) : ERR_OK;
}

static enum err_code load_known(struct source_backfill *s, struct str venue_symbol, struct err *e)
{
    if (!s->o.load_known || s->o.kind == HISTORY_TRADES) return ERR_OK;
    uint32_t series = venue_names_series(s->names, venue_symbol, STR(""));
    if (series == SERIES_NONE) return ERR_OK; /* its rows will be refused one by one */
    return s->o.load_known(s->o.ctx, &s->o, series, s->known, e);
}

void source_backfill_known_candle(struct history_known *k, const struct venue_candle *c)
{
    (void)history_known_candle(k, c);
}
void source_backfill_known_quote(struct history_known *k, const struct quote *q)
{
    (void)history_known_quote(k, q);
}

static void count_missing(struct source_backfill *s)
{
    if (s->seen.count == 0) return;
    int64_t first = s->seen.ranges[0].first, last = s->seen.ranges[s->seen.count - 1].last;
    BACKFILL_COUNT(s, missing, last - first + 1 - history_ids_within(&s->seen, first, last));
}

/* Some symbols, whose venue symbols are `symbols`: one, or as many as the venue takes in a request. */
static enum err_code take_symbols(struct source_backfill *s, struct str symbols, struct err *e)
{
    struct history_ask ask = {.kind = s->o.kind,
                              .stream = s->o.stream,
                              .timeframe = s->o.timeframe,
                              .symbols = symbols,
                              .from_ns = s->o.from_ns,
                              .to_ns = s->o.to_ns};
    /* A page of bars by REST is as cheap as a file of them, and a file's would be rows of another source. */
    bool files = ask.kind == HISTORY_CANDLES && s->o.archive == BACKFILL_ARCHIVE_ALWAYS;
    if (ask.kind != HISTORY_TRADES)
        return files ? walk_days(s, &ask, e) : backfill_walk(s, &ask, e);
    history_ids_free(&s->seen);
    s->gap_count = 0;
    if (s->o.guest) TRY(backfill_gaps_load(s, ask.stream, e));
    TRY(walk_days(s, &ask, e));
    /* The live source may have told a gap meanwhile. */
    if (s->o.guest) TRY(backfill_gaps_load(s, ask.stream, e));
    if (s->o.guest) TRY(backfill_gaps_tell(s, e));
    count_missing(s);
    return ERR_OK;
}

struct wanted { /* normalised and venue symbols, copied: the instrument table moves */
    char *symbol, *venue_symbol;
};
struct wanted_list {
    struct wanted *items;
    size_t count, cap;
};

static void want(struct wanted_list *l, struct str symbol, struct str venue_symbol)
{
    l->items = array_grown(l->items, l->count, &l->cap, sizeof *l->items);
    struct wanted *w = &l->items[l->count++];
    w->symbol = strndup(symbol.p, symbol.n);
    w->venue_symbol = strndup(venue_symbol.p, venue_symbol.n);
    CHECK(w->symbol != NULL && w->venue_symbol != NULL);
}

static void wanted_free(struct wanted_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->items[i].symbol);
        free(l->items[i].venue_symbol);
    }
    free(l->items);
}

/* *ret_unknown: a symbol that no instrument list has. */
static bool resolve(struct source_backfill *s, struct wanted_list *l, struct str *ret_unknown)
{
    for (size_t i = 0; i < s->o.symbol_count; i++) {
        struct str symbol = s->o.symbols[i], venue_symbol;
        if (str_is(symbol, "*")) {
            for (size_t k = 0; k < venue_names_count(s->names); k++) {
                const struct instrument *in = venue_names_instrument(s->names, k);
                want(l, in->symbol, in->venue_symbol);
            }
            if (venue_names_count(s->names)) continue;
        } else if (venue_names_venue_symbol(s->names, symbol, &venue_symbol)) {
            want(l, symbol, venue_symbol);
            continue;
        }
        *ret_unknown = symbol;
        return false;
    }
    return true;
}

static enum err_code find_symbols(struct source_backfill *s, struct wanted_list *l, struct err *e)
{
    struct str unknown;
    if (resolve(s, l, &unknown)) return ERR_OK;
    wanted_free(l);
    *l = (struct wanted_list){0};
    if (s->o.venue->instruments_request) TRY(fetch_list(s, e));
    if (resolve(s, l, &unknown)) return ERR_OK;
    return ERR(e, ERR_USAGE,
               "%s has no symbol %.*s; `ticklake symbols --venue %s` lists those that are known",
               s->o.venue->name, STR_ARG(unknown), s->o.venue->name);
}

/* As many symbols as go into one request. */
static enum err_code take_group(struct source_backfill *s, const struct wanted_list *l, size_t *at,
                                struct err *e)
{
    char symbols[SYMBOLS_TEXT_MAX];
    size_t n = 0, most = (size_t)s->o.venue->history->symbols_per_request;
    history_known_clear(s->known);
    s->symbol = str_of(l->items[*at].symbol);
    for (size_t taken = 0; *at < l->count && taken < most; taken++, ++*at) {
        const struct wanted *w = &l->items[*at];
        size_t len = strlen(w->venue_symbol);
        if (n && n + 1 + len >= sizeof symbols) break;
        CHECK(len + 1 < sizeof symbols);
        if (n) symbols[n++] = ',';
        memcpy(symbols + n, w->venue_symbol, len);
        n += len;
        TRY(load_known(s, (struct str){w->venue_symbol, len}, e));
    }
    return take_symbols(s, (struct str){symbols, n}, e);
}

static enum err_code run(struct source_backfill *s, struct err *e)
{
    struct wanted_list l = {0};
    if (s->o.metadata) return fetch_list(s, e);
    if (s->o.gaps) return backfill_repair(s, e);
    enum err_code code = find_symbols(s, &l, e);
    for (size_t at = 0; code == ERR_OK && at < l.count;) code = take_group(s, &l, &at, e);
    wanted_free(&l);
    return code;
}

enum err_code source_backfill_run(struct source_backfill *s, struct err *e)
{
    enum err_code code = run(s, e);
    struct err why = {0};
    /* What was fetched is kept, whatever stopped the rest. */
    enum err_code pushed = code == ERR_OK && !s->o.guest ? core_gaps_at_end(s->core, &why) : ERR_OK;
    if (pushed == ERR_OK) pushed = core_push(s->core, &why);
    if (code == ERR_OK && pushed != ERR_OK) {
        if (e) *e = why;
        return pushed;
    }
    return code;
}
