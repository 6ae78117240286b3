/* Replay: recordings, merged by their receive times, through the same core as live frames.
 *
 * Resuming  a recording's position is the number of items wholly covered by durable batches. Items
 *           up to it are walked over: decoded to rebuild sessions, symbols and the window of
 *           id-less keys, and nothing else (core_skip). A recording that was read to its end is not
 *           even opened again, unless its venue gives no consecutive ids: then it may overlap with
 *           one that is not finished, whose duplicates are known by the window alone.
 * Exactness nothing of the result depends on where a run was interrupted: positions move with the
 * batch that holds the
 *           events, gaps are looked for by the receipt clock, and the last recording counts as
 *           finished only in the batch behind the gaps of the end.
 */
#include "source/core.h"

#include "base/array.h"
#include "io/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { DAMAGE_MAX = 64, PEEK_ITEMS = 16, LOOK_EVERY = 64, CONNECTIONS_MAX = 1 << 20 };
#define PROGRESS_NS (100 * NS_PER_MS)
#define NAP_NS      (10 * NS_PER_MS)

struct replay_member {
    uint32_t slot;
    int64_t resume; /* items that are durable already */
    int64_t number; /* of the newest item */
    int64_t unread; /* items of a venue without decoder */
    bool finished;  /* by an earlier run */
    char unread_url[160];
    struct core_connection *last; /* of the newest item, whose name and venue were these */
    char last_name[160];
    char last_venue[64];
};

struct source_replay {
    struct source_options options;
    struct source_replay_options replay;
    char hint[64];
    struct core *core;
    struct recording_set *set;
    struct replay_member *members;
    struct core_connection **connections;
    struct map connection_index;
    size_t connection_count, connection_cap;
    char *damage[DAMAGE_MAX];
    size_t damage_count;
    atomic_bool stop;
    bool skipping;
    int64_t pace_received_ns, pace_mono_ns; /* where real time was held against the recording's */
    int64_t progress_ns;
};

static void notice(struct source_replay *s, const char *venue, const char *what, const char *detail)
{
    if (s->options.notice) s->options.notice(s->options.notice_ctx, venue, what, detail);
}

static void skipped(void *ctx, const char *path, const char *why)
{
    char detail[1400];
    snprintf(detail, sizeof detail, "%s: %s", path, why);
    notice(ctx, "", "skipped", detail);
}

static void add_damage(struct source_replay *s, const char *text)
{
    if (s->damage_count == DAMAGE_MAX) return;
    char *line = strdup(
        s->damage_count < DAMAGE_MAX - 1 ? text : "and more; the dead letters have all of it");
    CHECK(line != NULL);
    s->damage[s->damage_count++] = line;
}

/* ---- Which recordings have to be read ---- */

static bool needs_walk(struct recording *r)
{
    struct recording_item item;
    const struct venue *v = NULL;
    for (int i = 0; i < PEEK_ITEMS && !v; i++) {
        enum err_code code = recording_next(r, &item, NULL);
        if (code != ERR_OK) break;
        v = venue_by_name(item.venue);
    }
    recording_rewind(r);
    const uint32_t trades = 1u << STREAM_TRADE | 1u << STREAM_AGG_TRADE | 1u << STREAM_BLOCK_TRADE;
    return v && (v->streams & trades & ~v->consecutive) != 0;
}

static void place_members(struct source_replay *s)
{
    size_t count = recording_set_count(s->set);
    size_t finished = 0;
    s->members = calloc(count, sizeof *s->members);
    CHECK(s->members != NULL);
    for (size_t i = 0; i < count; i++) {
        struct replay_member *m = &s->members[i];
        struct recording *r = recording_set_member(s->set, i);
        m->slot = core_position_slot(s->core, str_of(recording_identity(r)));
        core_position_known(s->core, m->slot, &m->resume, &m->finished);
        finished += m->finished;
    }
    for (size_t i = 0; i < count; i++) {
        struct replay_member *m = &s->members[i];
        if (!m->finished) continue;
        m->resume = INT64_MAX;
        if (finished == count || !needs_walk(recording_set_member(s->set, i)))
            recording_set_leave_out(s->set, i);
    }
}

enum err_code source_replay_open(const struct source_options *o,
                                 const struct source_replay_options *r,
                                 const struct source_past *past, struct source_replay **ret,
                                 struct err *e)
{
    if (r->venue_hint.n && !venue_by_name(r->venue_hint))
        return ERR(e, ERR_USAGE, "--venue %.*s: no such venue; `ticklake venues` lists them",
                   STR_ARG(r->venue_hint));
    struct source_replay *s = calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->options = *o;
    s->replay = *r;
    s->pace_received_ns = TIME_ABSENT;
    map_init(&s->connection_index, CONNECTIONS_MAX);
    str_copy(s->hint, sizeof s->hint, r->venue_hint);
    enum err_code code = core_open(o, past, &s->core, e);
    if (code == ERR_OK)
        code = recording_set_open(r->paths, r->path_count, str_of(s->hint), skipped, s, &s->set, e);
    if (code != ERR_OK) {
        source_replay_close(s);
        return code;
    }
    place_members(s);
    *ret = s;
    return ERR_OK;
}

struct source_replay *source_replay_close(struct source_replay *s)
{
    if (!s) return NULL;
    core_close(s->core);
    recording_set_close(s->set);
    for (size_t i = 0; i < s->damage_count; i++) free(s->damage[i]);
    map_free(&s->connection_index);
    free(s->connections);
    free(s->members);
    free(s);
    return NULL;
}

void source_replay_stop(struct source_replay *s)
{
    atomic_store(&s->stop, true);
    core_stop(s->core);
}

void source_replay_stats(const struct source_replay *s, struct source_stats *ret)
{
    core_stats(s->core, ret);
}

size_t source_replay_damage(const struct source_replay *s, const char *const **ret_lines)
{
    *ret_lines = (const char *const *)s->damage;
    return s->damage_count;
}

/* ---- Items ---- */

static struct core_connection *find_connection(struct source_replay *s, size_t member,
                                               const struct venue *v, struct str name)
{
    char key[400];
    struct recording *r = recording_set_member(s->set, member);
    long owner = recording_connections_span(r) ? -1 : (long)member;
    int n = snprintf(key, sizeof key, "%ld %s %.*s", owner, v->name,
                     (int)(name.n < 200 ? name.n : 200), name.p);
    CHECK(n > 0 && (size_t)n < sizeof key);
    struct str k = {key, (size_t)n};
    uint32_t at = map_get(&s->connection_index, k);
    if (at != MAP_NONE) return s->connections[at];
    s->connections = array_grown(s->connections, s->connection_count, &s->connection_cap,
                                 sizeof(struct core_connection *));
    struct core_connection *made = core_connection_new(s->core, v, name);
    s->connections[s->connection_count] = made;
    map_put(&s->connection_index, k, (uint32_t)s->connection_count++);
    return made;
}

/* Connection of an item; NULL where no venue of ours can read it. Most items follow one of the same
 * connection. */
static struct core_connection *connection_of(struct source_replay *s, size_t member,
                                             const struct recording_item *item)
{
    struct replay_member *m = &s->members[member];
    struct str venue = item->venue.n || item->url.n ? item->venue : str_of(s->hint);
    if (m->last && str_is(venue, m->last_venue) && str_is(item->connection, m->last_name))
        return m->last;
    const struct venue *v = venue.n ? venue_by_name(venue) : NULL;
    if (!v) return NULL;
    m->last = find_connection(s, member, v, item->connection);
    if (!str_copy(m->last_name, sizeof m->last_name, item->connection) ||
        !str_copy(m->last_venue, sizeof m->last_venue, venue))
        m->last_venue[0] = 0;
    return m->last;
}

/* What stands behind the host of an address. */
static struct str path_of(struct str url)
{
    for (size_t i = 0; i + 2 < url.n; i++) {
        if (memcmp(url.p + i, "://", 3) != 0) continue;
        size_t at = i + 3;
        while (at < url.n && url.p[at] != '/') at++;
        return (struct str){url.p + at, url.n - at};
    }
    return url;
}

/* Once for each recording a dead letter tells that nothing of it is understood; the rest is
 * counted. */
static enum err_code no_decoder(struct source_replay *s, size_t member, const struct core_input *in,
                                const struct recording_item *item, struct err *e)
{
    struct replay_member *m = &s->members[member];
    if (m->unread++ > 0) return ERR_OK;
    struct str what = item->venue.n ? item->venue : item->url;
    char detail[256];
    if (what.n > 120) what.n = 120;
    snprintf(detail, sizeof detail, "no decoder for this venue%s%.*s: nothing of it is read",
             what.n ? ": " : "", STR_ARG(what));
    str_copy(m->unread_url, sizeof m->unread_url, what);
    const struct core_dead d = {.reason = DEAD_UNKNOWN,
                                .stream = -1,
                                .venue = item->venue.n ? item->venue : STR("unknown"),
                                .connection = item->connection,
                                .symbol = item->venue_symbol,
                                .detail = detail};
    return core_dead(s->core, in, &d, e);
}

static enum err_code damaged_place(struct source_replay *s, size_t member,
                                   const struct core_input *in, const struct recording_item *item,
                                   const struct err *why, struct err *e)
{
    add_damage(s, why->text);
    const char *text = why->text;
    const char *path = recording_path(recording_set_member(s->set, member));
    const char *slash = strrchr(path, '/');
    /* The dead letter is the same wherever the recording lies: without the folders. */
    if (slash && strncmp(text, path, (size_t)(slash + 1 - path)) == 0) text += slash + 1 - path;
    const struct core_dead d = {.reason = DEAD_MALFORMED,
                                .stream = -1,
                                .venue = item->venue.n ? item->venue : STR("unknown"),
                                .connection = item->connection,
                                .detail = text};
    return core_dead(s->core, in, &d, e);
}

static enum err_code take_item(struct source_replay *s, size_t member, struct recording_item *item,
                               struct err *e)
{
    struct core_input in = {.bytes = item->bytes ? item->bytes : "",
                            .len = item->bytes ? item->len : 0,
                            .received_ns = item->received_ns,
                            .position = item->number,
                            .origin = s->options.origin};
    struct core_result result;
    if (item->kind == RECORDING_SENT || item->kind == RECORDING_CLOSED) return ERR_OK;
    in.connection = connection_of(s, member, item);
    if (!in.connection) {
        return item->kind == RECORDING_CONNECT ? ERR_OK : no_decoder(s, member, &in, item, e);
    }
    switch (item->kind) {
    case RECORDING_FRAME: return core_frame(s->core, &in, &result, e);
    case RECORDING_CONNECT:
        core_connected(s->core, in.connection);
        __atomic_fetch_add(&core_counters(s->core)->connects, 1, __ATOMIC_RELAXED);
        return ERR_OK;
    case RECORDING_REST: return core_rest(s->core, &in, path_of(item->url), &result, e);
    case RECORDING_TRADE: return core_trade(s->core, &in, item->venue_symbol, &item->trade, e);
    case RECORDING_CANDLE: return core_candle(s->core, &in, item->venue_symbol, &item->candle, e);
    case RECORDING_SENT:
    case RECORDING_CLOSED: return ERR_OK;
    }
    return ERR_OK;
}

/* ---- The run ---- */

static void show_progress(struct source_replay *s, int64_t mono_ns)
{
    if (!s->replay.progress || mono_ns - s->progress_ns < PROGRESS_NS) return;
    s->progress_ns = mono_ns;
    uint64_t done, size;
    struct source_stats stats;
    recording_set_progress(s->set, &done, &size);
    core_stats(s->core, &stats);
    s->replay.progress(s->replay.progress_ctx, done, size, stats.trades);
}

/* Waits until the item's time has come; batches grow old meanwhile. */
static enum err_code pace(struct source_replay *s, int64_t received_ns, struct err *e)
{
    if (s->replay.speed <= 0 || received_ns == TIME_ABSENT) return ERR_OK;
    int64_t now = clock_mono_ns();
    if (s->pace_received_ns == TIME_ABSENT) {
        s->pace_received_ns = received_ns;
        s->pace_mono_ns = now;
    }
    double ahead_ns = (double)(received_ns - s->pace_received_ns) / s->replay.speed;
    int64_t due = ahead_ns > 0 && ahead_ns < 9e18 ? s->pace_mono_ns + (int64_t)ahead_ns : now;
    while (now < due && !atomic_load_explicit(&s->stop, memory_order_relaxed)) {
        clock_sleep_ns(due - now < NAP_NS ? due - now : NAP_NS);
        now = clock_mono_ns();
        TRY(core_age(s->core, now, e));
        show_progress(s, now);
    }
    return ERR_OK;
}

static enum err_code set_finished(struct source_replay *s, struct err *e)
{
    size_t member;
    while (recording_set_ended(s->set, &member)) {
        struct replay_member *m = &s->members[member];
        if (m->finished) continue;
        TRY(core_position(s->core, m->slot, m->number, true, e));
    }
    return ERR_OK;
}

static enum err_code step(struct source_replay *s, struct recording_item *item, size_t member,
                          enum err_code read, const struct err *why, struct err *e)
{
    struct replay_member *m = &s->members[member];
    bool skip = item->number <= m->resume;
    if (skip != s->skipping) core_skip(s->core, skip);
    s->skipping = skip;
    m->number = item->number;
    if (!skip) TRY(pace(s, item->received_ns, e));
    if (read == ERR_OK) {
        TRY(take_item(s, member, item, e));
    } else {
        const struct core_input in = {.bytes = item->bytes ? item->bytes : "",
                                      .len = item->bytes ? item->len : 0,
                                      .received_ns = item->received_ns,
                                      .position = item->number};
        TRY(damaged_place(s, member, &in, item, why, e));
    }
    return skip ? ERR_OK : core_position(s->core, m->slot, item->number, false, e);
}

static void tell_unread(struct source_replay *s)
{
    for (size_t i = 0; i < recording_set_count(s->set); i++) {
        const struct replay_member *m = &s->members[i];
        if (m->unread == 0) continue;
        char text[1600];
        snprintf(text, sizeof text, "%s: no decoder for this venue%s%s: %lld items are not read",
                 recording_path(recording_set_member(s->set, i)), m->unread_url[0] ? ": " : "",
                 m->unread_url, (long long)m->unread);
        add_damage(s, text);
    }
}

static enum err_code finish(struct source_replay *s, struct err *e)
{
    core_skip(s->core, false);
    TRY(core_gaps_at_end(s->core, e));
    TRY(set_finished(s, e));
    TRY(core_push(s->core, e));
    tell_unread(s);
    return ERR_OK;
}

enum err_code source_replay_run(struct source_replay *s, struct err *e)
{
    for (int64_t count = 0;; count++) {
        struct recording_item item;
        struct err why = {0};
        size_t member;
        enum err_code read = recording_set_next(s->set, &item, &member, &why);
        if (read == ERR_NOT_FOUND) return finish(s, e);
        if (read != ERR_OK && read != ERR_CORRUPT && read != ERR_PARSE && read != ERR_INEXACT) {
            if (e) *e = why;
            return read;
        }
        TRY(set_finished(s, e));
        TRY(step(s, &item, member, read, &why, e));
        if (atomic_load_explicit(&s->stop, memory_order_relaxed)) {
            core_skip(s->core, false);
            TRY(core_push(s->core, e));
            return ERR(e, ERR_STOPPED, "stopped; the same command goes on from here");
        }
        if (count % LOOK_EVERY != 0) continue;
        int64_t now = clock_mono_ns();
        TRY(core_age(s->core, now, e));
        show_progress(s, now);
    }
}
