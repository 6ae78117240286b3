/* Tails a replication slot of a PostgreSQL store: a line a batch, for the tests and to look at.
 *
 *   changes_tail --url URL [--slot NAME] [--publication NAME] [--from SYSTEM,LSN,ROW] [--confirm]
 *       [--stop-after ROWS] [--quiet-ms MS] [--batch EVENTS] [--buffer BYTES] [--bulk ROWS] [--events] [--totals]
 *       [--stall-after ROWS --stall-ms MS] [--stall-each-ms MS] [--slot-state]
 *
 * --confirm       confirms each position (without: nothing)         --quiet-ms   ends when nothing came for so long
 * --events        a line an event as well                           --totals     no line a batch
 * --stall-after   sleeps once, behind so many rows                  --stall-each-ms   sleeps behind each batch
 * --slot-state    prints the slot's state and ends
 */
#include "base/log.h"
#include "io/clock.h"
#include "store/changes.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t stopped;
static void on_signal(int number) { stopped = number; }

struct settings {
    struct changes_options o;
    int64_t stop_after, quiet_ms, batch, stall_after, stall_ms, stall_each_ms;
    bool confirm, events, totals, slot_state;
};

static void notice(void *ctx, const char *what, const char *detail)
{
    (void)ctx;
    fprintf(stderr, "%s: %s\n", what, detail);
}

static bool set_number(struct settings *s, const char *name, int64_t v)
{
    const struct {
        const char *name;
        int64_t *to;
    } numbers[] = {{"--stop-after", &s->stop_after}, {"--quiet-ms", &s->quiet_ms},
                   {"--batch", &s->batch},           {"--stall-after", &s->stall_after},
                   {"--stall-ms", &s->stall_ms},     {"--stall-each-ms", &s->stall_each_ms},
                   {"--bulk", &s->o.bulk_rows}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) != 0) continue;
        *numbers[i].to = v;
        return true;
    }
    if (strcmp(name, "--buffer") != 0) return false;
    s->o.buffer_bytes = (size_t)v;
    return true;
}

static bool set(struct settings *s, const char *name, const char *value)
{
    struct changes_position *p = &s->o.from;
    if (strcmp(name, "--url") == 0)
        s->o.url = value;
    else if (strcmp(name, "--slot") == 0)
        s->o.slot = value;
    else if (strcmp(name, "--publication") == 0)
        s->o.publication = value;
    else if (strcmp(name, "--from") == 0)
        return sscanf(value, "%" SCNu64 ",%" SCNu64 ",%" SCNd64, &p->system, &p->lsn, &p->row) == 3;
    else
        return set_number(s, name, strtoll(value, NULL, 10));
    return true;
}

static bool parse(struct settings *s, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--confirm") == 0)
            s->confirm = true;
        else if (strcmp(argv[i], "--events") == 0)
            s->events = true;
        else if (strcmp(argv[i], "--totals") == 0)
            s->totals = true;
        else if (strcmp(argv[i], "--slot-state") == 0)
            s->slot_state = true;
        else if (i + 1 >= argc || !set(s, argv[i], argv[i + 1]))
            return false;
        else
            i++;
    }
    return s->o.url != NULL;
}

static void print_trade(const struct settings *s, const struct trade *t)
{
    char price[DEC_TEXT_MAX], size[DEC_TEXT_MAX];
    dec_format(t->price, price);
    dec_format(t->size, size);
    const struct series *n = series_get(s->o.series, t->series);
    printf("trade %" PRId64 " %.*s %.*s %s id=%d:%" PRId64 ":%.*s %s x %s side=%s time=%" PRId64
           " received=%" PRId64 " range=%d:%" PRId64 ":%" PRId64 " ordinal=%u\n",
           t->sequence, STR_ARG(n->venue), STR_ARG(n->symbol), stream_text(t->stream), t->has_id,
           t->id, STR_ARG(t->id_text), price, size, side_text(t->side), t->venue_time_ns,
           t->received_ns, t->has_range, t->first_id, t->last_id, t->ordinal);
}

static const char *decimal_text(struct dec d, char *text)
{
    if (dec_is_absent(d)) return "-";
    dec_format(d, text);
    return text;
}

static void print_quote(const struct quote *q)
{
    char text[4][DEC_TEXT_MAX];
    printf("quote %" PRId64 " series=%u %s x %s / %s x %s time=%" PRId64 " received=%" PRId64 "\n",
           q->sequence, q->series, decimal_text(q->bid_price, text[0]),
           decimal_text(q->bid_size, text[1]), decimal_text(q->ask_price, text[2]),
           decimal_text(q->ask_size, text[3]), q->venue_time_ns, q->received_ns);
}

static void print_candle(const struct venue_candle *v)
{
    char open[DEC_TEXT_MAX], volume[DEC_TEXT_MAX] = "-";
    dec_format_lake(v->c.open, open);
    if (v->c.has_base_volume) dec_format_lake(v->c.base_volume, volume);
    printf("candle %" PRId64 " series=%u %s at=%" PRId64 " open=%s volume=%s trades=%" PRId64
           " source=%.*s\n",
           v->c.sequence, v->c.series, timeframe_text(v->c.timeframe), v->c.open_time_ns, open,
           volume, v->c.trade_count, STR_ARG(v->source));
}

static void print_events(const struct settings *s, const struct batch *b)
{
    for (size_t i = 0; i < b->event_count; i++) {
        size_t at = b->order[i].index;
        const struct gap *g = &b->gaps[at];
        const struct dead *d = &b->deads[at];
        switch ((enum event_type)b->order[i].type) {
        case EVENT_TRADE: print_trade(s, &b->trades[at]); break;
        case EVENT_QUOTE: print_quote(&b->quotes[at]); break;
        case EVENT_VENUE_CANDLE: print_candle(&b->candles[at]); break;
        case EVENT_GAP:
            printf("gap %" PRId64 " id=%" PRId64 " %s %s ids=%d:%" PRId64 ":%" PRId64
                   " cause=%.*s\n",
                   g->sequence, g->gap_id, gap_kind_text(g->kind), gap_state_text(g->state),
                   g->has_ids, g->from_id, g->to_id, STR_ARG(g->cause));
            break;
        case EVENT_DEAD:
            printf("dead %" PRId64 " %s venue=%.*s position=%" PRId64 " payload_bytes=%zu\n",
                   d->sequence, dead_reason_text(d->reason), STR_ARG(d->venue), d->position,
                   d->payload.n);
            break;
        }
    }
    for (size_t i = 0; i < b->instrument_count; i++) {
        char text[DEC_TEXT_MAX];
        const struct instrument *n = &b->instruments[i];
        printf("instrument %.*s %.*s status=%.*s contract_size=%s listed=%" PRId64 "\n",
               STR_ARG(n->venue), STR_ARG(n->symbol), STR_ARG(n->status),
               decimal_text(n->contract_size, text), n->listed_ns);
    }
}

static u128 proof_sum(const struct batch *b)
{
    u128 sum = 0;
    for (size_t i = 0; i < b->proofs.count; i++) sum += b->proofs.items[i].sum;
    return sum;
}

static void print_batch(const struct batch *b, const struct changes_mark *m, int64_t rows)
{
    char sum[33];
    hash_hex(proof_sum(b), sum);
    printf("batch rows=%" PRId64
           " trades=%zu quotes=%zu gaps=%zu deads=%zu candles=%zu instruments=%zu"
           " sequences=%" PRId64 "..%" PRId64 " proofs=%zu sum=%s position=%" PRIu64 ",%" PRIu64
           ",%" PRId64 " clock=%" PRId64 " finishes=%" PRId64 "\n",
           rows, b->trade_count, b->quote_count, b->gap_count, b->dead_count, b->candle_count,
           b->instrument_count, b->first_sequence, b->last_sequence, b->proofs.count, sum,
           m->position.system, m->position.lsn, m->position.row,
           m->clock_ns == TIME_ABSENT ? -1 : m->clock_ns, m->finishes);
}

struct totals {
    int64_t rows, events, read_ns;
    u128 sum;
};

/* getrusage would tell the peak of the process that started us, too. */
static int64_t peak_kb(void)
{
    int64_t kb = -1;
    char line[256];
    FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %" SCNd64, &kb) == 1) break;
    if (f) fclose(f);
    return kb;
}

static void print_totals(const struct changes *c, const struct totals *t)
{
    struct changes_stats s;
    changes_stats(c, &s);
    char sum[33];
    hash_hex(t->sum, sum);
    printf("totals rows=%" PRId64 " events=%" PRId64 " sum=%s transactions=%" PRId64
           " bytes=%" PRId64 " connects=%" PRId64 " bulk_reads=%" PRId64 " confirmed=%" PRIu64
           " server=%" PRIu64 " read_ms=%" PRId64 " cpu_ms=%" PRId64 " max_rss_kb=%" PRId64 "\n",
           t->rows, t->events, sum, s.transactions, s.bytes, s.connects, s.bulk_reads,
           s.confirmed_lsn, s.server_lsn, t->read_ns / NS_PER_MS, clock_cpu_ns() / NS_PER_MS,
           peak_kb());
}

static enum err_code tail(struct settings *s, struct changes *c, struct batch *b, struct err *e)
{
    struct totals t = {0};
    struct changes_mark mark;
    enum err_code code = ERR_OK;
    int64_t begin = clock_mono_ns(), last = begin;
    bool stall = s->stall_ms > 0;
    uint64_t at = s->o.from.lsn;
    while (!stopped && (s->stop_after == 0 || t.rows < s->stop_after)) {
        int64_t rows;
        code = changes_read(c, 100, b, &mark, &rows, e);
        if (code != ERR_OK) break;
        int64_t now = clock_mono_ns();
        if (rows == 0 && s->quiet_ms && now - last > s->quiet_ms * NS_PER_MS) break;
        if (rows > 0) last = now;
        t.rows += rows;
        t.events += (int64_t)b->event_count;
        t.read_ns = last - begin;
        t.sum += proof_sum(b);
        if (s->events) print_events(s, b);
        if (!s->totals && (rows > 0 || (at != 0 && mark.position.lsn != at)))
            print_batch(b, &mark, rows);
        at = mark.position.lsn;
        if (!s->totals) fflush(stdout);
        if (s->confirm) changes_confirm(c, &mark.position);
        batch_clear(b);
        if (stall && t.rows >= s->stall_after) {
            clock_sleep_ns(s->stall_ms * NS_PER_MS);
            stall = false;
        }
        if (rows > 0 && s->stall_each_ms) clock_sleep_ns(s->stall_each_ms * NS_PER_MS);
    }
    print_totals(c, &t);
    return code;
}

static enum err_code print_slot(const struct settings *s, struct err *e)
{
    struct changes_slot k;
    TRY(changes_slot(s->o.url, s->o.slot, &k, e));
    printf("slot exists=%d active=%d pid=%d wal_status=%s behind=%" PRId64 " safe=%" PRId64
           " confirmed=%" PRIu64 " restart=%" PRIu64 " server=%" PRIu64 " system=%" PRIu64 "\n",
           k.exists, k.active, k.active_pid, k.wal_status, k.behind_bytes, k.safe_bytes,
           k.confirmed_lsn, k.restart_lsn, k.server_lsn, k.system);
    return ERR_OK;
}

int main(int argc, char **argv)
{
    struct settings s = {.o = {.slot = "ticklake", .publication = "ticklake", .notice = notice},
                         .batch = 10000};
    if (!parse(&s, argc, argv)) {
        fprintf(stderr, "usage: see the head of tests/tools/changes_tail.c\n");
        return 64;
    }
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    struct err e = {0};
    struct changes *c = NULL;
    s.o.series = series_new();
    struct batch_pool *pool = batch_pool_new(1, (size_t)s.batch, 64 << 20);
    struct batch *b = batch_get(pool, -1);
    enum err_code code = s.slot_state ? print_slot(&s, &e) : changes_open(&s.o, &c, &e);
    if (c) code = tail(&s, c, b, &e);
    changes_close(c);
    batch_put(b);
    batch_pool_free(pool);
    series_free(s.o.series);
    if (code != ERR_OK) fprintf(stderr, "error %s: %s\n", err_name(code), e.text);
    return err_exit_code(code);
}
