/* store_pg.c - a writer and a reader of a store whose events follow from their number alone, for the tests with a server.
 *
 *   store_pg append|tell|dump|proofs|verify|gaps|state|job|jobs|retain|check|probe|numeric [OPTION VALUE]...
 *     url U | path P   the store            writer W    role owner|guest    live 0|1    max_mb N
 *     from N, to N     events (owner: goes on behind its position)      batch N   events a batch
 *     series N         symbols              mixed 0|1   all kinds, not only trades      origin N
 *     day N            days since 1970 of the first event       span N   seconds between first and event 100,000
 *     price N          added to every price: another content under the same ids         wait N   ms to retry for
 *     before N         retain: ns           id N        job to finish      finish 0|1
 *
 * append says "open MARK", then "durable N" after each batch (N: first event that is not), at the end a line of counts.
 * Errors are one line "NAME: text" and the exit code of the error. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crash.h"
#include "base/hash.h"
#include "event/json.h"
#include "io/clock.h"
#include "store/store_pg.h"

enum { SERIES_MAX = 20000 };

struct tool {
    struct err e;
    struct store_options o;
    int64_t from, to, batch, series, mixed, origin, day, span, price, wait, before, id, finish,
        state;
    struct series_table *names;
    struct batch_pool *pool;
    uint32_t ids[SERIES_MAX];
};

static void must(struct tool *t, enum err_code code)
{
    if (code == ERR_OK) return;
    printf("%s: %s\n", err_name(code), t->e.text);
    exit(err_exit_code(code));
}

/* --- events by number --- */

static uint64_t mix(int64_t n, uint64_t salt)
{
    uint64_t z = (uint64_t)n * UINT64_C(0x9e3779b97f4a7c15) + salt * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint32_t series_of(struct tool *t, int64_t n)
{
    int64_t i = n % t->series;
    if (t->ids[i] != SERIES_NONE) return t->ids[i];
    char symbol[32];
    int len = snprintf(symbol, sizeof symbol, "S%" PRId64 "-USD", i);
    struct str s = {symbol, (size_t)len};
    return t->ids[i] = series_intern(t->names, STR("binance"), STR("binance"), s, s);
}

static int64_t time_of(const struct tool *t, int64_t n)
{
    return t->day * NS_PER_DAY + n * (t->span * NS_PER_S / 100000) + (int64_t)(mix(n, 1) % 999);
}

static struct dec dec_by(int64_t n, uint64_t salt)
{
    uint64_t r = mix(n, salt);
    return dec_normal((int64_t)(r >> 8) % dec_pow10_i64(1 + (int)(r % 18)), (int)((r >> 4) % 19));
}

static bool add_trade(struct tool *t, int64_t n, struct batch *b)
{
    uint64_t r = mix(n, 2);
    struct str text = {0};
    char bytes[40];
    int len = snprintf(bytes, sizeof bytes, "id \xc3\xa9 %" PRId64, n);
    if (t->mixed && r % 10 == 0 && !batch_text(b, (struct str){bytes, (size_t)len}, &text))
        return false;
    struct trade *to = batch_add_trade(b);
    if (!to) return false;
    *to = (struct trade){.series = series_of(t, n),
                         .stream = t->mixed ? r >> 8 & 1 : 0,
                         .side = (uint8_t)((r >> 16) % 3),
                         .origin = (uint8_t)t->origin,
                         .kind = t->mixed ? r >> 24 & 3 : 0,
                         .has_id = !t->mixed || text.n || r % 10 != 1,
                         .id_text = text,
                         .venue_time_ns = t->mixed && r % 50 == 3 ? TIME_ABSENT : time_of(t, n),
                         .received_ns = time_of(t, n) + 5000000,
                         .price = dec_normal((int64_t)(2000000 + mix(n, 3) % 99999) + t->price, 2),
                         .size = t->mixed ? dec_by(n, 4)
                                          : dec_normal((int64_t)(r >> 20 & 0xffffff), 8)};
    if (to->has_id && !text.n) to->id = n + 1;
    if (!to->has_id) to->ordinal = (uint16_t)(r >> 30);
    to->has_range = to->has_id && !text.n && to->stream == STREAM_AGG_TRADE;
    if (to->has_range) {
        to->first_id = to->id - 3;
        to->last_id = to->id;
    }
    proof_add_trade(&b->proofs, t->names, to);
    return true;
}

static bool add_quote(struct tool *t, int64_t n, struct batch *b)
{
    struct quote *to = batch_add_quote(b);
    if (!to) return false;
    *to = (struct quote){.series = series_of(t, n),
                         .origin = (uint8_t)t->origin,
                         .bid_price = mix(n, 5) % 5 ? dec_by(n, 6) : dec_absent(),
                         .bid_size = mix(n, 5) % 5 ? dec_by(n, 7) : dec_absent(),
                         .ask_price = dec_by(n, 8),
                         .ask_size = dec_by(n, 9),
                         .venue_time_ns = mix(n, 10) % 9 ? time_of(t, n) : TIME_ABSENT,
                         .received_ns = time_of(t, n) + 3000000};
    proof_add_quote(&b->proofs, t->names, to);
    return true;
}

static bool add_gap(struct tool *t, int64_t n, struct batch *b)
{
    struct gap *to = batch_add_gap(b);
    if (!to) return false;
    *to = (struct gap){.gap_id = 1 + n / 200,
                       .series = series_of(t, n),
                       .kind = (uint8_t)(mix(n, 11) % 2),
                       .state = (uint8_t)(mix(n, 12) % 3),
                       .has_ids = mix(n, 13) % 2,
                       .from_time_ns = time_of(t, n),
                       .to_time_ns = TIME_ABSENT,
                       .opened_ns = time_of(t, n),
                       .closed_ns = TIME_ABSENT,
                       .cause = STR("id_jump")};
    if (to->has_ids) {
        to->from_id = n - 10;
        to->to_id = n;
        to->has_count = true;
        to->missing_count = 11;
    }
    return true;
}

static bool add_dead(struct tool *t, int64_t n, struct batch *b)
{
    char bytes[16];
    for (int i = 0; i < 16; i++) bytes[i] = (char)mix(n, 20 + (uint64_t)i);
    struct str payload, detail;
    if (!batch_text(b, (struct str){bytes, 16}, &payload)) return false;
    if (!batch_text(b, STR("a zero \0 and \xff bytes"), &detail)) return false;
    struct dead *to = batch_add_dead(b);
    if (!to) return false;
    *to = (struct dead){.venue = STR("binance"),
                        .detail = t->origin ? STR("plain") : detail,
                        .payload = payload,
                        .stream = -1,
                        .reason = (uint8_t)(mix(n, 14) % DEAD_REASON_MAX),
                        .position = n,
                        .received_ns = time_of(t, n)};
    return true;
}

static bool add_candle(struct tool *t, int64_t n, struct batch *b)
{
    struct venue_candle *to = batch_add_venue_candle(b);
    if (!to) return false;
    const i128 one = 1000000000000000000;
    bool volumes = mix(n, 15) % 2;
    to->c = (struct candle){.series = series_of(t, n),
                            .timeframe = TIMEFRAME_1M,
                            .complete = true,
                            .open_time_ns = time_floor(time_of(t, n), NS_PER_MINUTE),
                            .open = (i128)(mix(n, 16) % 1000000) * one / 7,
                            .high = (i128)mix(n, 17) * one,
                            .low = (i128)(mix(n, 18) % 1000),
                            .close = one,
                            .has_base_volume = volumes,
                            .base_volume = volumes ? (i128)(mix(n, 19) % 100000) * one / 3 : 0,
                            .trade_count = volumes ? n : -1};
    to->source = STR("rest");
    to->fetched_ns = time_of(t, n) + NS_PER_HOUR;
    return true;
}

static bool add_event(struct tool *t, int64_t n, struct batch *b)
{
    uint64_t kind = t->mixed ? mix(n, 30) % 100 : 0;
    if (kind < 78) return add_trade(t, n, b);
    if (kind < 90) return add_quote(t, n, b);
    if (kind < 93) return add_gap(t, n, b);
    return kind < 97 ? add_dead(t, n, b) : add_candle(t, n, b);
}

static void add_rest(struct tool *t, int64_t next, struct batch *b)
{
    char frames[8] = "state";
    if (t->mixed && next % 3 == 0) {
        struct instrument *in = batch_add_instrument(b);
        *in = (struct instrument){.venue = STR("binance"),
                                  .symbol = next % 2 ? STR("BTC-USD") : STR("ETH-USD"),
                                  .venue_symbol = STR("X"),
                                  .status = STR("TRADING"),
                                  .contract_size = next % 2 ? dec_normal(5, 1) : dec_absent(),
                                  .listed_ns = TIME_ABSENT,
                                  .delisted_ns = next};
    }
    if (b->event_count) (void)batch_set_dedup(b, series_of(t, next), STREAM_TRADE, str_of(frames));
    (void)batch_set_position(b, STR("tool"), next, false);
    b->clock_ns = time_of(t, next);
}

/* --- commands --- */

static void append_one(struct tool *t, struct store *s, struct batch *b)
{
    int64_t until = clock_mono_ns() + t->wait * NS_PER_MS;
    for (;;) {
        enum err_code code = store_append(s, b, &t->e);
        if (code == ERR_OK) return;
        if (err_action(code) != ACT_RETRY || clock_mono_ns() > until) must(t, code);
        printf("again %s: %s\n", err_name(code), t->e.text);
        fflush(stdout);
        clock_sleep_ns(50 * NS_PER_MS);
    }
}

static void append(struct tool *t)
{
    struct store *s;
    must(t, store_open(&t->o, &s, &t->e));
    const struct store_state *state = store_state(s);
    int64_t next = t->from, stored = 0, duplicates = 0, deads = 0, ns = 0;
    for (size_t i = 0; i < state->position_count; i++) next = state->positions[i].frames;
    printf("open %" PRId64 " next %" PRId64 " series %u dedup %zu gaps %zu instruments %zu\n",
           state->last_sequence, next, series_count(t->names), state->dedup_count,
           state->open_gap_count, state->instrument_count);
    fflush(stdout);
    while (next < t->to) {
        struct batch *b = batch_get(t->pool, 0);
        for (int64_t end = next + t->batch; next < end && next < t->to; next++)
            if (!add_event(t, next, b)) break;
        add_rest(t, next, b);
        b->finish = t->finish && next >= t->to;
        int64_t start_ns = clock_mono_ns();
        append_one(t, s, b);
        ns += clock_mono_ns() - start_ns;
        stored += (int64_t)b->event_count;
        duplicates += b->duplicates;
        deads += (int64_t)b->dead_count;
        printf("durable %" PRId64 "\n", next);
        fflush(stdout);
        batch_put(b);
    }
    printf("stored %" PRId64 " duplicates %" PRId64 " deads %" PRId64 " mark %" PRId64
           " append_us %" PRId64 "\n",
           stored, duplicates, deads, store_mark(s), ns / 1000);
    store_close(s);
}

/* One row of a gap of the first series, as a writer tells it that knows nothing of the others. */
static void tell(struct tool *t)
{
    struct store *s;
    must(t, store_open(&t->o, &s, &t->e));
    struct batch *b = batch_get(t->pool, 0);
    struct gap *g = batch_add_gap(b);
    bool closed = t->state != GAP_STATE_OPEN, repaired = t->state == GAP_STATE_REPAIRED;
    *g = (struct gap){.gap_id = t->id,
                      .series = series_of(t, 0),
                      .kind = GAP_IDS,
                      .state = (uint8_t)t->state,
                      .has_ids = true,
                      .has_count = true,
                      .from_id = t->from,
                      .to_id = t->to,
                      .missing_count = repaired ? 0 : t->to - t->from + 1,
                      .from_time_ns = time_of(t, t->from),
                      .to_time_ns = time_of(t, t->to),
                      .opened_ns = time_of(t, t->to),
                      .closed_ns = closed ? time_of(t, t->to) : TIME_ABSENT,
                      .cause = STR("id_jump")};
    append_one(t, s, b);
    printf("stored %zu\n", b->event_count);
    batch_put(b);
    store_close(s);
}

/* Without sequences and what one backend cannot hold. */
static void dump(struct tool *t)
{
    struct store_tail *tail;
    must(t, store_tail_open(&t->o, &tail, &t->e));
    struct batch *b = batch_get(t->pool, 0);
    struct buf out;
    buf_init(&out, 1 << 20);
    bool end = false;
    for (int64_t after = 0; !end; after = b->last_sequence) {
        batch_clear(b);
        must(t, store_tail_read(tail, after, INT64_MAX, b, &end, &t->e));
        for (size_t i = 0; i < b->event_count; i++) {
            buf_reset(&out);
            event_json(b, b->order[i], t->names, &out);
            printf("%s\n", buf_cstr(&out));
        }
        if (b->event_count == 0) break;
    }
    buf_free(&out);
    batch_put(b);
    store_tail_close(tail);
}

static void proofs(struct tool *t)
{
    struct store_tail *tail;
    struct proof_set set;
    proof_set_init(&set);
    must(t, store_tail_open(&t->o, &tail, &t->e));
    must(t, store_proofs(tail, store_tail_mark(tail), &set, &t->e));
    for (size_t i = 0; i < set.count; i++) {
        const struct proof *p = &set.items[i];
        char hex[33];
        hash_hex(p->sum, hex);
        printf("%.*s %s %" PRId64 " %" PRId64 " %s\n",
               STR_ARG(series_get(t->names, p->series)->symbol),
               stream_text((enum stream)p->stream), p->minute, p->count, hex);
    }
    proof_set_free(&set);
    store_tail_close(tail);
}

struct verify {
    struct tool *t;
    struct store_tail *tail;
    struct batch *b;
    int64_t batches, events, bad;
};

static enum err_code verify_claim(void *ctx, const struct store_batch_claim *c, struct err *e)
{
    struct verify *v = ctx;
    u128 sum = 0, content = 0;
    int64_t events = 0;
    bool end = false;
    for (int64_t after = c->first_sequence - 1; after < c->last_sequence && !end;
         after = v->b->last_sequence) {
        batch_clear(v->b);
        TRY(store_tail_read(v->tail, after, c->last_sequence, v->b, &end, e));
        for (size_t i = 0; i < v->b->event_count; i++)
            content += store_content(v->b, v->b->order[i]);
        for (size_t i = 0; i < v->b->trade_count; i++)
            sum +=
                proof_hash_trade(series_get(v->t->names, v->b->trades[i].series), &v->b->trades[i]);
        for (size_t i = 0; i < v->b->quote_count; i++)
            sum +=
                proof_hash_quote(series_get(v->t->names, v->b->quotes[i].series), &v->b->quotes[i]);
        events += (int64_t)v->b->event_count;
    }
    v->batches++;
    v->events += events;
    if (sum == c->sum && content == c->content && events == c->events) return ERR_OK;
    v->bad++;
    printf("bad %s %" PRId64 " events %" PRId64 " of %" PRId64 " sum %d content %d\n", c->writer,
           c->number, events, c->events, sum == c->sum, content == c->content);
    return ERR_OK;
}

static void verify(struct tool *t)
{
    struct verify v = {.t = t, .b = batch_get(t->pool, 0)};
    must(t, store_tail_open(&t->o, &v.tail, &t->e));
    must(t, store_claims(v.tail, verify_claim, &v, &t->e));
    printf("batches %" PRId64 " events %" PRId64 " bad %" PRId64 "\n", v.batches, v.events, v.bad);
    batch_put(v.b);
    store_tail_close(v.tail);
    if (v.bad) exit(1);
}

static enum err_code tell_gap(void *ctx, const struct gap *g, struct err *e)
{
    (void)e;
    struct buf out;
    buf_init(&out, 1 << 16);
    gap_json(g, ((struct tool *)ctx)->names, &out);
    printf("%s\n", buf_cstr(&out));
    buf_free(&out);
    return ERR_OK;
}

static enum err_code tell_job(void *ctx, const struct store_job *j, struct err *e)
{
    (void)ctx;
    (void)e;
    printf("%" PRId64 " %s %s %d %s\n", j->job_id, j->command, j->arguments, j->exit_code,
           j->finished_ns == TIME_ABSENT ? "running" : "finished");
    return ERR_OK;
}

static void job(struct tool *t)
{
    struct store_job j = {.job_id = t->id,
                          .command = "backfill",
                          .arguments = "--venue tiingo",
                          .message = "",
                          .started_ns = 1,
                          .finished_ns = t->id ? 2 : TIME_ABSENT,
                          .exit_code = t->id ? 0 : -1};
    must(t, store_job_put(&t->o, &j, &t->e));
    printf("%" PRId64 "\n", j.job_id);
}

static void upkeep(struct tool *t, const char *command)
{
    struct store *s;
    must(t, store_open(&t->o, &s, &t->e));
    bool more = str_is(str_of(command), "retain");
    for (int i = 0; more && i < 1000; i++) must(t, store_retain(s, 0, t->before, &more, &t->e));
    if (str_is(str_of(command), "check")) must(t, store_check(s, &t->e));
    store_close(s);
    printf("done\n");
}

/* Decimals from standard input, one a line: ours to the server's text, the server's to ours. */
static void numeric(struct tool *t)
{
    PGconn *conn = PQconnectdb(t->o.url);
    if (PQstatus(conn) != CONNECTION_OK) exit(69);
    char line[256];
    int64_t bad = 0, count = 0;
    while (fgets(line, sizeof line, stdin)) {
        struct str text = str_trim(str_of(line));
        struct dec d = dec_absent();
        i128 v = 0, back_lake = 0;
        bool small = dec_parse(text, &d) == ERR_OK;
        if (dec_parse_lake(text, &v) != ERR_OK) must(t, ERR(&t->e, ERR_USAGE, "%s", line));
        uint8_t forms[2][STORE_PG_NUMERIC_MAX];
        size_t sizes[2] = {store_pg_numeric_lake(v, forms[0]), 0};
        if (small) sizes[1] = store_pg_numeric(d, forms[1]);
        char zero[256];
        (void)snprintf(zero, sizeof zero, "%.*s", STR_ARG(text));
        for (int i = 0; i < 1 + small; i++) {
            const char *values[] = {(const char *)forms[i], zero};
            const int lengths[] = {(int)sizes[i], 0}, formats[] = {1, 0};
            PGresult *r = PQexecParams(conn,
                                       "SELECT $1::numeric = $2::numeric, $2::numeric, $1::numeric,"
                                       " scale($1::numeric) = min_scale($2::numeric)",
                                       2, NULL, values, lengths, formats, 1);
            struct dec back = dec_absent();
            bool good = PQresultStatus(r) == PGRES_TUPLES_OK && *PQgetvalue(r, 0, 0) == 1 &&
                        *PQgetvalue(r, 0, 3) == 1;
            for (int c = 1; c < 3 && good; c++) {
                struct str bytes = store_pg_get_bytes(r, 0, c);
                good = store_pg_numeric_get_lake(bytes, &back_lake) == ERR_OK && back_lake == v;
                if (good && small)
                    good = store_pg_numeric_get(bytes, &back) == ERR_OK && dec_eq(back, d);
            }
            if (!good) printf("bad %s %s\n", zero, PQresultErrorMessage(r));
            bad += !good;
            PQclear(r);
        }
        count++;
    }
    printf("decimals %" PRId64 " bad %" PRId64 "\n", count, bad);
    PQfinish(conn);
}

static void probe(struct tool *t)
{
    struct buf grants;
    buf_init(&grants, 1 << 16);
    enum err_code code = store_probe(&t->o, &grants, &t->e);
    printf("%s", buf_cstr(&grants));
    buf_free(&grants);
    must(t, code);
}

static void option(struct tool *t, const char *name, const char *value)
{
    struct {
        const char *name;
        int64_t *to;
    } numbers[] = {{"from", &t->from},     {"to", &t->to},         {"batch", &t->batch},
                   {"series", &t->series}, {"mixed", &t->mixed},   {"origin", &t->origin},
                   {"day", &t->day},       {"span", &t->span},     {"price", &t->price},
                   {"wait", &t->wait},     {"before", &t->before}, {"id", &t->id},
                   {"finish", &t->finish}, {"state", &t->state}};
    struct str n = str_of(name);
    int64_t v = 0;
    if (str_is(n, "url")) t->o.url = value;
    if (str_is(n, "path")) t->o.path = value;
    if (str_is(n, "writer")) t->o.writer = value;
    if (str_is(n, "role")) t->o.role = str_is(str_of(value), "guest") ? STORE_GUEST : STORE_OWNER;
    if (str_is(n, "live")) t->o.live = str_is(str_of(value), "1");
    if (str_is(n, "max_mb") && str_to_i64(str_of(value), &v) == ERR_OK)
        t->o.bytes_max = (uint64_t)v << 20;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (str_is(n, numbers[i].name)) must(t, str_to_i64(str_of(value), numbers[i].to));
}

int main(int argc, char **argv)
{
    static struct tool tool = {
        .batch = 1000, .series = 40, .day = 19675, .span = 600, .wait = 30000};
    struct tool *t = &tool;
    crash_setup(getenv("TICKLAKE_CRASH"));
    t->names = t->o.series = series_new();
    t->pool = batch_pool_new(1, 1 << 17, 64 << 20);
    for (int i = 0; i < SERIES_MAX; i++) t->ids[i] = SERIES_NONE;
    for (int i = 2; i + 1 < argc; i += 2) option(t, argv[i], argv[i + 1]);
    struct str command = str_of(argc > 1 ? argv[1] : "");
    if (str_is(command, "append")) append(t);
    if (str_is(command, "tell")) tell(t);
    if (str_is(command, "dump")) dump(t);
    if (str_is(command, "proofs")) proofs(t);
    if (str_is(command, "verify")) verify(t);
    if (str_is(command, "gaps")) must(t, store_open_gaps(&t->o, tell_gap, t, &t->e));
    if (str_is(command, "job")) job(t);
    if (str_is(command, "jobs")) must(t, store_each_job(&t->o, 10, tell_job, t, &t->e));
    if (str_is(command, "retain") || str_is(command, "check")) upkeep(t, argv[1]);
    if (str_is(command, "probe")) probe(t);
    if (str_is(command, "numeric")) numeric(t);
    batch_pool_free(t->pool);
    series_free(t->names);
    return 0;
}
