#include "run/shard.h"

#include <stdio.h>

static void note(struct shard *s, enum err_code code)
{
    if (s->code == ERR_OK) s->code = code;
}

static struct str state_name(const struct shard *s, const char *kind, struct str name,
                             char out[STATE_NAME_MAX])
{
    int n = snprintf(out, STATE_NAME_MAX, "%s%s/%.*s", s->prefix, kind, STR_ARG(name));
    CHECK(n > 0 && n < STATE_NAME_MAX);
    return (struct str){out, (size_t)n};
}

/* --- what process/ gives --- */

static void on_candle(void *ctx, const struct candle *candle)
{
    struct shard *s = ctx;
    note(s, lake_push_candle(s->lake, candle, s->e));
}

static void on_late(void *ctx, const struct late_trade *l)
{
    struct shard *s = ctx;
    revise_late(s->revise, l);
}

static void on_rollup(void *ctx, uint32_t series, enum timeframe tf, int64_t open_time_ns)
{
    struct shard *s = ctx;
    revise_rollup(s->revise, series, tf, open_time_ns);
}

static void on_gap(void *ctx, const struct gap_change *g)
{
    struct shard *s = ctx;
    revise_gap(s->revise, g);
}

static void on_state(void *ctx, struct str name, struct str bytes)
{
    struct shard *s = ctx;
    char full[STATE_NAME_MAX];
    note(s, lake_put_state(s->lake, state_name(s, "process", name, full), bytes, s->e));
}

/* --- restoring --- */

static enum err_code restore_tape(void *ctx, struct str name, struct str bytes, struct err *e)
{
    struct shard *s = ctx;
    size_t skip = strlen(s->prefix) + strlen("process/");
    return process_restore(s->process, (struct str){name.p + skip, name.n - skip}, bytes, e);
}

static enum err_code restore_resume(void *ctx, struct str name, struct str bytes, struct err *e)
{
    struct shard *s = ctx;
    struct str rest = bytes, first = str_cut(&rest, ' ');
    if (str_to_i64(first, &s->keep_from) != ERR_OK ||
        (rest.n && str_to_i64(rest, &s->finishes_kept) != ERR_OK))
        return ERR(e, ERR_CORRUPT, "the lake's catalog: state %.*s is no number", STR_ARG(name));
    s->finishes = s->finishes_kept;
    return ERR_OK;
}

static enum err_code restore_candle(void *ctx, const struct candle *c, struct err *e)
{
    struct shard *s = ctx;
    return process_restore_candle(s->process, c, e);
}

static void refill(void *ctx, uint32_t series, int64_t from_ns, int64_t to_ns)
{
    struct shard *s = ctx;
    const struct series *names = series_get(s->series, series);
    if (s->code == ERR_OK)
        s->code = lake_scan_candles(s->lake, names->venue, names->symbol, TIMEFRAME_1M, from_ns,
                                    to_ns, restore_candle, s, s->e);
}

static enum err_code restore(struct shard *s, struct err *e)
{
    char name[STATE_NAME_MAX];
    state_name(s, "process", STR(""), name);
    TRY(lake_each_state(s->lake, name, restore_tape, s, e));
    state_name(s, "run", STR("resume"), name);
    TRY(lake_each_state(s->lake, name, restore_resume, s, e));
    TRY(revise_restore(s->revise, e));
    s->e = e;
    process_wanted_candles(s->process, refill, s);
    return s->code;
}

enum err_code shard_open(struct shard *s, const char *prefix, struct lake *lake,
                         struct series_table *series, const struct config *c, struct err *e)
{
    *s = (struct shard){.lake = lake, .series = series};
    CHECK(str_copy(s->prefix, sizeof s->prefix, str_of(prefix)));
    s->sink = (struct process_sink){s, on_candle, on_late, on_rollup, on_gap, on_state};
    struct process_options p = {
        .series = series,
        .lateness_ns = c->process.lateness_ms * NS_PER_MS,
        .tick_limit_ns = c->process.quiet_ms * NS_PER_MS,
        .tapes_max = (uint32_t)c->process.tapes_max,
    };
    s->process = process_new(&p);
    s->revise = revise_new(series, lake, s->process, s->prefix);
    return restore(s, e);
}

void shard_close(struct shard *s)
{
    s->revise = revise_free(s->revise);
    s->process = process_free(s->process);
}

/* --- events --- */

void shard_rebuild_upto(struct shard *s, int64_t position)
{
    process_rebuild_upto(s->process, position);
}

enum err_code shard_push(struct shard *s, const struct batch *b, struct err *e)
{
    s->e = e;
    TRY(process_push(s->process, b, &s->sink, e));
    return s->code;
}

enum err_code shard_tick(struct shard *s, int64_t now_ns, struct err *e)
{
    s->e = e;
    process_tick(s->process, now_ns, &s->sink);
    return s->code;
}

enum err_code shard_finish(struct shard *s, struct err *e)
{
    s->e = e;
    process_finish(s->process, &s->sink);
    return s->code;
}

/* --- commits --- */

enum err_code shard_persist(struct shard *s, int64_t position, struct err *e)
{
    s->keep_next = process_resume_sequence(s->process, position);
    s->e = e;
    process_flush_state(s->process, &s->sink);
    TRY(s->code);
    TRY(revise_persist(s->revise, e));
    /* Also where only the clock closed windows and no event came: retention goes by this number, and a restart by the one
     * that is kept. */
    char name[STATE_NAME_MAX], text[64];
    int n = snprintf(text, sizeof text, "%lld", (long long)s->keep_next);
    if (s->finishes)
        n += snprintf(text + n, sizeof text - (size_t)n, " %lld", (long long)s->finishes);
    if (s->keep_next == s->keep_from && s->finishes == s->finishes_kept) return ERR_OK;
    return lake_put_state(s->lake, state_name(s, "run", STR("resume"), name),
                          (struct str){text, (size_t)n}, e);
}

void shard_committed(struct shard *s)
{
    s->keep_from = s->keep_next;
    s->finishes_kept = s->finishes;
}
