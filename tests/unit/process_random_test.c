/* Random streams through process/ and a stupid lake, against sorting all trades and adding them up: reordered, late, missing
 * and repaired, interrupted anywhere, cut anyhow. */
#include "process_model.h"

enum { TAPES = 3, ACTIONS_MAX = 1600 };

struct market {
    struct series_table *series;
    uint32_t tape[TAPES][2]; /* two exchanges each */
    struct action actions[ACTIONS_MAX];
    size_t count;
    char texts[ACTIONS_MAX][24];
    uint64_t seed;
    int64_t now_ns, ticked_ns, next_id[TAPES];
};

static int64_t some(struct market *m, int64_t limit) { return random_below(&m->seed, limit); }

static void market_init(struct market *m, uint64_t seed)
{
    *m = (struct market){.seed = seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
    m->series = series_new();
    m->now_ns = INT64_C(1723161255) * NS_PER_S + some(m, NS_PER_DAY);
    const char *const symbols[TAPES] = {"BTC-USDT", "X/Y-USD", "DOGE-EUR"};
    for (int i = 0; i < TAPES; i++)
        for (int k = 0; k < 2; k++)
            m->tape[i][k] = series_intern(m->series, STR("venue"), k ? STR("other") : STR("venue"),
                                          str_of(symbols[i]), STR("x"));
}

static void random_values(struct market *m, struct trade *t)
{
    bool noise = some(m, 40) == 0; /* float noise and hostile sizes: 256 bits are needed */
    t->price = dec_normal(6000000 + some(m, 9999), 2);
    t->size = dec_normal(1 + some(m, 999999), (int)some(m, 7));
    if (noise) t->size = dec_normal(some(m, 999999999999999999), (int)some(m, 19));
    if (noise && some(m, 3) == 0)
        t->price = dec_normal(some(m, 999999999999999999), (int)some(m, 19));
    if (some(m, 60) == 0) t->size = (struct dec){0, 0};
}

/* Tape 0 has numbers, tape 1 texts or nothing, tape 2 aggregates. */
static void random_id(struct market *m, struct trade *t, int tape)
{
    int64_t id = m->next_id[tape]++;
    t->has_id = true;
    t->id = id;
    t->stream = tape == 2 ? STREAM_AGG_TRADE : STREAM_TRADE;
    if (tape == 2) {
        t->has_range = true;
        t->first_id = id * 10;
        t->last_id = id * 10 + some(m, 10);
    }
    if (tape != 1) return;
    t->has_id = some(m, 2);
    t->id = 0;
    if (!t->has_id) return;
    snprintf(m->texts[m->count], sizeof m->texts[0], "%llx %lld",
             (unsigned long long)some(m, 1 << 30), (long long)id);
    t->id_text = str_of(m->texts[m->count]);
}

static void add_trade(struct market *m)
{
    struct trade *t = &m->actions[m->count].trade;
    int tape = (int)some(m, TAPES);
    m->actions[m->count].what = ACTION_TRADE;
    t->series = m->tape[tape][some(m, 2)];
    random_id(m, t, tape);
    if (some(m, 30) == 0) t->stream = STREAM_BLOCK_TRADE;
    random_values(m, t);
    t->side = (uint8_t)(some(m, 50) ? SIDE_BUY + some(m, 2) : SIDE_UNKNOWN);
    t->venue_time_ns = m->now_ns;
    t->received_ns =
        m->now_ns + some(m, 3 * NS_PER_S) - NS_PER_S; /* the venue's clock may be ahead */
    int64_t dice = some(m, 20);
    if (dice < 4) t->venue_time_ns -= some(m, 3 * NS_PER_S);       /* reordered */
    if (dice == 4) t->venue_time_ns -= some(m, 2 * NS_PER_MINUTE); /* late */
    if (dice == 5) t->venue_time_ns -= some(m, 3 * NS_PER_HOUR);   /* repaired or backfilled */
    if (dice == 6) t->venue_time_ns = TIME_ABSENT;
    if (dice == 7) t->venue_time_ns = time_floor(t->venue_time_ns, NS_PER_S); /* many at one time */
}

static void add_gap(struct market *m, int64_t gap_id)
{
    struct gap *g = &m->actions[m->count].gap;
    m->actions[m->count].what = ACTION_GAP;
    int tape = (int)(gap_id % TAPES);
    g->gap_id = gap_id;
    g->series = m->tape[tape][0];
    g->stream = tape == 2 ? STREAM_AGG_TRADE : STREAM_TRADE;
    if (some(m, 8) == 0) g->stream = STREAM_QUOTE;
    g->from_time_ns = m->now_ns - some(m, 10 * NS_PER_MINUTE) + 5 * NS_PER_S;
    g->to_time_ns = some(m, 4) ? g->from_time_ns + some(m, 3 * NS_PER_MINUTE) : TIME_ABSENT;
    g->state = (uint8_t)some(m, GAP_STATE_MAX);
}

/* A clock that runs: a tick for a second that was ticked before does nothing, and a restart does not remember it. */
static void add_tick(struct market *m)
{
    int64_t now_ns = m->now_ns + some(m, NS_PER_MINUTE);
    if (now_ns < m->ticked_ns + NS_PER_S) now_ns = m->ticked_ns + NS_PER_S;
    m->ticked_ns = now_ns;
    m->actions[m->count] = (struct action){.what = ACTION_TICK, .now_ns = now_ns};
}

static void add_action(struct market *m, bool with_ticks)
{
    m->now_ns += some(m, 10) ? some(m, NS_PER_S) : some(m, 4 * NS_PER_MINUTE);
    int64_t dice = some(m, 100);
    if (dice < 5)
        add_gap(m, some(m, 12));
    else if (dice < 10 && with_ticks)
        add_tick(m);
    else
        add_trade(m);
    m->count++;
}

/* A market of `count` actions, with a finish at the end, and one in the middle where asked. */
static void generate(struct market *m, size_t count, bool with_ticks, bool with_middle)
{
    while (m->count < count) {
        add_action(m, with_ticks);
        bool middle = with_middle && m->count == count / 2;
        if (middle || m->count + 1 == count)
            m->actions[m->count++] = (struct action){.what = ACTION_FINISH};
    }
    int64_t sequence = 0;
    for (size_t i = 0; i < m->count; i++)
        if (is_event(&m->actions[i])) {
            m->actions[i].trade.sequence = ++sequence;
            m->actions[i].gap.sequence = sequence;
        }
}

/* --- the stupid recompute: 256 bits for everything, one pass over all trades for each candle --- */

struct sums {
    struct wide base, quote, taker_base, taker_quote;
    const struct trade *first, *last;
    bool unknown;
    struct candle c;
};

static int by_time_and_id(const struct trade *a, const struct trade *b)
{
    int64_t ta = a->venue_time_ns == TIME_ABSENT ? a->received_ns : a->venue_time_ns;
    int64_t tb = b->venue_time_ns == TIME_ABSENT ? b->received_ns : b->venue_time_ns;
    if (ta != tb) return ta < tb ? -1 : 1;
    bool na = a->has_id && !a->id_text.n, nb = b->has_id && !b->id_text.n;
    if (na != nb) return na ? 1 : -1;
    if (na && a->id != b->id) return a->id < b->id ? -1 : 1;
    return a->sequence < b->sequence ? -1 : 1;
}

static void add_up(struct sums *s, const struct trade *t)
{
    i128 price = dec_to_lake(t->price);
    if (!s->first || by_time_and_id(t, s->first) < 0) s->first = t;
    if (!s->last || by_time_and_id(t, s->last) > 0) s->last = t;
    if (s->c.trade_count == 0 || price > s->c.high) s->c.high = price;
    if (s->c.trade_count == 0 || price < s->c.low) s->c.low = price;
    s->c.trade_count += t->has_range ? t->last_id - t->first_id + 1 : 1;
    wide_add_dec(&s->base, t->size);
    wide_add_product(&s->quote, t->price, t->size);
    if (t->side == SIDE_UNKNOWN) s->unknown = true;
    if (t->side != SIDE_BUY) return;
    wide_add_dec(&s->taker_base, t->size);
    wide_add_product(&s->taker_quote, t->price, t->size);
}

static void name_ids(struct sums *s)
{
    const struct trade *f = s->first, *l = s->last;
    struct candle *c = &s->c;
    c->has_ids = f->has_id && l->has_id && !f->id_text.n && !l->id_text.n;
    if (c->has_ids) {
        c->first_id = f->has_range ? f->first_id : f->id;
        c->last_id = l->has_range ? l->last_id : l->id;
    } else {
        assert_true(str_copy(c->first_id_text, sizeof c->first_id_text, f->id_text));
        assert_true(str_copy(c->last_id_text, sizeof c->last_id_text, l->id_text));
    }
}

static struct candle total(struct sums *s)
{
    struct candle *c = &s->c;
    c->open = dec_to_lake(s->first->price);
    c->close = dec_to_lake(s->last->price);
    c->has_base_volume = wide_to_lake(&s->base, &c->base_volume) == ERR_OK;
    c->has_quote_volume = wide_to_lake(&s->quote, &c->quote_volume) == ERR_OK;
    c->has_taker = !s->unknown && wide_to_lake(&s->taker_base, &c->taker_buy_base) == ERR_OK &&
                   wide_to_lake(&s->taker_quote, &c->taker_buy_quote) == ERR_OK;
    c->has_vwap = c->has_base_volume && c->has_quote_volume && !wide_is_zero(&s->base) &&
                  wide_ratio(&s->quote, &s->base, &c->vwap) == ERR_OK;
    name_ids(s);
    return *c;
}

static bool in_gap(const struct market *m, uint32_t series, int stream, int64_t from_ns,
                   int64_t to_ns)
{
    bool incomplete = false;
    for (int64_t id = 0; id < 12; id++) {
        const struct gap *last = NULL;
        for (size_t i = 0; i < m->count; i++) {
            const struct gap *g = &m->actions[i].gap;
            if (m->actions[i].what == ACTION_GAP && g->gap_id == id && g->stream != STREAM_QUOTE)
                last = g;
        }
        if (!last || last->state == GAP_STATE_REPAIRED || last->stream != stream) continue;
        if (!same_tape(m->series, last->series, series)) continue;
        incomplete |= last->from_time_ns < to_ns &&
                      (last->to_time_ns == TIME_ABSENT || last->to_time_ns >= from_ns);
    }
    return incomplete;
}

static struct candle expected_from_trades(const struct market *m, uint32_t series, int stream,
                                          enum timeframe tf, int64_t open_ns)
{
    struct sums s = {.c = {.timeframe = (uint8_t)tf, .open_time_ns = open_ns, .series = series}};
    for (size_t i = 0; i < m->count; i++) {
        const struct trade *t = &m->actions[i].trade;
        if (m->actions[i].what != ACTION_TRADE || t->stream != stream) continue;
        if (!same_tape(m->series, t->series, series)) continue;
        int64_t time = t->venue_time_ns == TIME_ABSENT ? t->received_ns : t->venue_time_ns;
        if (time_floor(time, timeframe_ns(tf)) == open_ns) add_up(&s, t);
    }
    return total(&s);
}

/* Rounded minutes are added; open, close and ids are those of the trades all the same. */
static struct candle expected_rollup(const struct market *m, uint32_t series, int stream,
                                     enum timeframe tf, int64_t open_ns,
                                     const struct lake_model *lake)
{
    struct candle c = expected_from_trades(m, series, stream, tf, open_ns);
    struct wide quote = wide_zero(), base = wide_zero(), taker = wide_zero(),
                taker_base = wide_zero();
    bool has_quote = true, has_base = true, has_taker = true;
    for (size_t i = 0; i < lake->row_count; i++) {
        const struct candle *r = &lake->rows[i];
        if (r->timeframe != TIMEFRAME_1M || !same_tape(m->series, r->series, series)) continue;
        if (time_floor(r->open_time_ns, timeframe_ns(tf)) != open_ns) continue;
        has_quote &= r->has_quote_volume;
        has_base &= r->has_base_volume;
        has_taker &= r->has_taker;
        wide_add_scaled(&quote, r->quote_volume, 18);
        wide_add_scaled(&base, r->base_volume, 18);
        wide_add_scaled(&taker, r->taker_buy_quote, 18);
        wide_add_scaled(&taker_base, r->taker_buy_base, 18);
    }
    c.has_quote_volume = has_quote && wide_to_lake(&quote, &c.quote_volume) == ERR_OK;
    c.has_base_volume = has_base && wide_to_lake(&base, &c.base_volume) == ERR_OK;
    c.has_taker = has_taker && wide_to_lake(&taker, &c.taker_buy_quote) == ERR_OK &&
                  wide_to_lake(&taker_base, &c.taker_buy_base) == ERR_OK;
    c.has_vwap = c.has_quote_volume && c.has_base_volume && !wide_is_zero(&base) &&
                 wide_ratio(&quote, &base, &c.vwap) == ERR_OK;
    return c;
}

/* Every window that has trades has a row, and every row is right. */
static void assert_truth(const struct market *m, const struct lake_model *lake)
{
    size_t rows = 0;
    for (int tape = 0; tape < TAPES; tape++) {
        uint32_t series = m->tape[tape][0];
        int stream = tape == 2 ? STREAM_AGG_TRADE : STREAM_TRADE;
        for (size_t i = 0; i < m->count; i++) {
            const struct trade *t = &m->actions[i].trade;
            if (m->actions[i].what != ACTION_TRADE || t->stream != stream ||
                !same_tape(m->series, t->series, series))
                continue;
            int64_t time = t->venue_time_ns == TIME_ABSENT ? t->received_ns : t->venue_time_ns;
            for (int tf = 0; tf < TIMEFRAME_MAX; tf++)
                assert_non_null(row_of(m->series, lake, series, (enum timeframe)tf,
                                       time_floor(time, timeframe_ns((enum timeframe)tf))));
        }
        for (size_t i = 0; i < lake->row_count; i++) {
            const struct candle *row = &lake->rows[i];
            if (!same_tape(m->series, row->series, series)) continue;
            enum timeframe tf = (enum timeframe)row->timeframe;
            struct candle want =
                tf < TIMEFRAME_5M ? expected_from_trades(m, series, stream, tf, row->open_time_ns)
                                  : expected_rollup(m, series, stream, tf, row->open_time_ns, lake);
            want.complete =
                !in_gap(m, series, stream, row->open_time_ns, row->open_time_ns + timeframe_ns(tf));
            assert_same_candle(row, &want, false);
            rows++;
        }
    }
    assert_int_equal(rows, lake->row_count);
}

static struct play player(const struct market *m, int64_t lateness_ns, uint64_t seed, int kills)
{
    return (struct play){
        .series = m->series,
        .actions = m->actions,
        .action_count = m->count,
        .options = {m->series, lateness_ns, 5 * NS_PER_S, TAPES},
        .seed = seed * 77 + 5,
        .kills = kills,
    };
}

static void run_market(uint64_t seed, bool with_ticks, bool with_middle, bool without_rollups)
{
    static struct market m;
    const int64_t lateness[] = {0, 500 * NS_PER_MS, 2 * NS_PER_S, 90 * NS_PER_S};
    market_init(&m, seed);
    generate(&m, 300 + (size_t)some(&m, ACTIONS_MAX - 300), with_ticks, with_middle);
    int64_t lateness_ns = lateness[seed % 4];
    struct play whole = player(&m, lateness_ns, seed, 0);
    play(&whole);
    assert_truth(&m, &whole.now);
    for (uint64_t i = 1; i < 3; i++) {
        struct play cut = player(&m, lateness_ns, seed * 10 + i, 6);
        cut.without_rollups = without_rollups;
        play(&cut);
        assert_same_rows(m.series, &cut.now, &whole.now);
        play_free(&cut);
    }
    play_free(&whole);
    series_free(m.series);
}

static void test_replay(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 7; seed++) run_market(seed, false, false, false);
}
static void test_live(void **state)
{
    (void)state;
    for (uint64_t seed = 101; seed <= 107; seed++) run_market(seed, true, false, false);
}
static void test_replay_that_goes_on(void **state)
{
    (void)state;
    for (uint64_t seed = 201; seed <= 207; seed++) run_market(seed, seed & 1, true, false);
}
static void test_rollups_refilled_from_the_lake(void **state)
{
    (void)state;
    for (uint64_t seed = 301; seed <= 304; seed++) run_market(seed, true, true, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_live),
        cmocka_unit_test(test_replay_that_goes_on),
        cmocka_unit_test(test_rollups_refilled_from_the_lake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
