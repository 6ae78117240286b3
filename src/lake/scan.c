#include "lake/lake_internal.h"

/* Scans of the committed state: files by their bounds, row groups by theirs, rows by the names. */

struct scan {
    struct lake *l;
    struct lake_table *table;
    struct str venue, symbol;
    int64_t from_ns, to_ns;
    enum timeframe timeframe;
    enum err_code (*each)(struct scan *s, const struct lake_file_reader *r, size_t row,
                          struct err *e);
    enum err_code (*each_trade)(void *ctx, const struct trade *t, struct err *e);
    enum err_code (*each_candle)(void *ctx, const struct candle *c, struct err *e);
    enum err_code (*each_venue_candle)(void *ctx, const struct venue_candle *c, struct err *e);
    enum err_code (*each_quote)(void *ctx, const struct quote *q, struct err *e);
    void *ctx;
    struct lake_names names;
};

static bool within(struct str v, struct str lower, struct str upper)
{
    if (lower.n && str_cmp(v, lower) < 0) return false;
    return !upper.n || str_cmp(v, upper) <= 0;
}

static bool may_hold(const struct scan *s, const struct lake_live *f)
{
    if (f->content != LAKE_DATA) return false;
    if (!within(s->venue, f->lower[0], f->upper[0]) || !within(s->symbol, f->lower[1], f->upper[1]))
        return false;
    if (f->our_spec && f->day == LAKE_NO_DAY)
        return true; /* without a venue's time: by the receipt */
    if (f->our_spec && (f->day < time_day(s->from_ns) || f->day > time_day(s->to_ns - 1)))
        return false;
    if (!f->has_range || f->foreign) return true;
    return f->high >= time_micros(s->from_ns) && f->low <= time_micros(s->to_ns);
}

static bool group_may_hold(const struct scan *s, const struct lake_file_reader *r)
{
    int64_t low, high;
    int column = parquet_reader_column(r->parquet, s->table->range_column + 1);
    if (r->f->foreign || r->f->day == LAKE_NO_DAY || column < 0) return true;
    if (!parquet_reader_long_bounds(r->parquet, r->group, column, &low, &high)) return true;
    return high >= time_micros(s->from_ns) && low <= time_micros(s->to_ns);
}

static enum err_code scan_group(struct scan *s, struct lake_file_reader *r, struct err *e)
{
    int venue = table_column(s->table->t, "venue"), symbol = table_column(s->table->t, "symbol");
    TRY(lake_reader_load(r, LAKE_BIT(venue) | LAKE_BIT(symbol), e));
    bool loaded = false;
    for (size_t i = 0; i < (size_t)r->rows; i++) {
        if (!str_eq(r->chunks[symbol].strings[i], s->symbol) ||
            !str_eq(r->chunks[venue].strings[i], s->venue) ||
            lake_live_is_deleted(r->f, r->base + (int64_t)i))
            continue;
        if (!loaded) TRY(lake_reader_load(r, UINT32_MAX, e));
        loaded = true;
        TRY(s->each(s, r, i, e));
    }
    return ERR_OK;
}

static enum err_code scan_file(struct scan *s, const struct lake_live *f, struct err *e)
{
    struct lake_file_reader r;
    struct err local = {0};
    enum err_code code = lake_reader_open(s->l, &r, s->table->t, f, &local);
    if (code == ERR_OK) {
        while (code == ERR_OK && lake_reader_next(&r))
            if (group_may_hold(s, &r)) code = scan_group(s, &r, &local);
        lake_reader_close(&r);
    }
    if (code == ERR_NOT_FOUND && f->foreign) { /* not understood; verify tells */
        atomic_fetch_add(&s->l->stats.unreadable, 1);
        return ERR_OK;
    }
    if (code != ERR_OK && e) *e = local;
    return code;
}

static enum err_code scan_files(struct scan *s, struct err *e)
{
    bool moved;
    if (s->from_ns >= s->to_ns) return ERR_OK;
    TRY(lake_table_refresh(s->l, s->table, &moved, e));
    for (size_t i = 0; i < s->table->file_count; i++)
        if (may_hold(s, &s->table->files[i])) TRY(scan_file(s, &s->table->files[i], e));
    return ERR_OK;
}

/* A row of another writer with values that we do not know is passed over, and counted. */
static enum err_code pass_over(struct lake *l, const struct lake_file_reader *r, enum err_code code)
{
    if (code == ERR_OK || !r->f->foreign || code == ERR_DISK) return code;
    atomic_fetch_add(&l->stats.unreadable, 1);
    return ERR_NOT_FOUND;
}

static enum err_code scan_trade(struct scan *s, const struct lake_file_reader *r, size_t row,
                                struct err *e)
{
    struct trade t;
    enum err_code code = pass_over(s->l, r, lake_read_trade(s->l, r, row, &s->names, &t, e));
    if (code != ERR_OK) return code == ERR_NOT_FOUND ? ERR_OK : code;
    int64_t time = t.venue_time_ns != TIME_ABSENT ? t.venue_time_ns : t.received_ns;
    if (time < s->from_ns || time >= s->to_ns) return ERR_OK;
    return s->each_trade(s->ctx, &t, e);
}

enum err_code lake_scan_trades(struct lake *l, struct str venue, struct str symbol, int64_t from_ns,
                               int64_t to_ns,
                               enum err_code (*each)(void *ctx, const struct trade *t,
                                                     struct err *e),
                               void *ctx, struct err *e)
{
    struct scan s = {.l = l,
                     .table = &l->tables[TABLE_TRADES],
                     .venue = venue,
                     .symbol = symbol,
                     .from_ns = from_ns,
                     .to_ns = to_ns,
                     .each = scan_trade,
                     .each_trade = each,
                     .ctx = ctx};
    return scan_files(&s, e);
}

static enum err_code scan_candle(struct scan *s, const struct lake_file_reader *r, size_t row,
                                 struct err *e)
{
    struct candle c;
    if (s->timeframe != TIMEFRAME_MAX &&
        !str_is(r->chunks[CANDLES_timeframe].strings[row], timeframe_text(s->timeframe)))
        return ERR_OK;
    enum err_code code = pass_over(s->l, r, lake_read_candle(s->l, r, row, &s->names, &c, e));
    if (code != ERR_OK) return code == ERR_NOT_FOUND ? ERR_OK : code;
    if (c.open_time_ns < s->from_ns || c.open_time_ns >= s->to_ns) return ERR_OK;
    return s->each_candle(s->ctx, &c, e);
}

enum err_code lake_scan_candles(struct lake *l, struct str venue, struct str symbol,
                                enum timeframe tf, int64_t from_ns, int64_t to_ns,
                                enum err_code (*each)(void *ctx, const struct candle *c,
                                                      struct err *e),
                                void *ctx, struct err *e)
{
    struct scan s = {.l = l,
                     .table = &l->tables[TABLE_CANDLES],
                     .venue = venue,
                     .symbol = symbol,
                     .from_ns = from_ns,
                     .to_ns = to_ns,
                     .timeframe = tf,
                     .each = scan_candle,
                     .each_candle = each,
                     .ctx = ctx};
    return scan_files(&s, e);
}

static enum err_code scan_venue_candle(struct scan *s, const struct lake_file_reader *r, size_t row,
                                       struct err *e)
{
    struct venue_candle c;
    if (!str_is(r->chunks[VENUE_CANDLES_timeframe].strings[row], timeframe_text(s->timeframe)))
        return ERR_OK;
    enum err_code code = pass_over(s->l, r, lake_read_venue_candle(s->l, r, row, &s->names, &c, e));
    if (code != ERR_OK) return code == ERR_NOT_FOUND ? ERR_OK : code;
    if (c.c.open_time_ns < s->from_ns || c.c.open_time_ns >= s->to_ns) return ERR_OK;
    return s->each_venue_candle(s->ctx, &c, e);
}

enum err_code lake_scan_venue_candles(struct lake *l, struct str venue, struct str symbol,
                                      enum timeframe tf, int64_t from_ns, int64_t to_ns,
                                      enum err_code (*each)(void *ctx, const struct venue_candle *c,
                                                            struct err *e),
                                      void *ctx, struct err *e)
{
    struct scan s = {.l = l,
                     .table = &l->tables[TABLE_VENUE_CANDLES],
                     .venue = venue,
                     .symbol = symbol,
                     .from_ns = from_ns,
                     .to_ns = to_ns,
                     .timeframe = tf,
                     .each = scan_venue_candle,
                     .each_venue_candle = each,
                     .ctx = ctx};
    return scan_files(&s, e);
}

static enum err_code scan_quote(struct scan *s, const struct lake_file_reader *r, size_t row,
                                struct err *e)
{
    struct quote q;
    enum err_code code = pass_over(s->l, r, lake_read_quote(s->l, r, row, &s->names, &q, e));
    if (code != ERR_OK) return code == ERR_NOT_FOUND ? ERR_OK : code;
    if (q.received_ns < s->from_ns || q.received_ns >= s->to_ns) return ERR_OK;
    return s->each_quote(s->ctx, &q, e);
}

enum err_code lake_scan_quotes(struct lake *l, struct str venue, struct str symbol, int64_t from_ns,
                               int64_t to_ns,
                               enum err_code (*each)(void *ctx, const struct quote *q,
                                                     struct err *e),
                               void *ctx, struct err *e)
{
    struct scan s = {.l = l,
                     .table = &l->tables[TABLE_QUOTES],
                     .venue = venue,
                     .symbol = symbol,
                     .from_ns = from_ns,
                     .to_ns = to_ns,
                     .each = scan_quote,
                     .each_quote = each,
                     .ctx = ctx};
    return scan_files(&s, e);
}

/* --- whole tables, for verify --- */

struct all_rows {
    struct lake *l;
    enum err_code (*each_candle)(void *ctx, const struct candle *c, const char *path,
                                 struct err *e);
    enum err_code (*each_gap)(void *ctx, const struct gap *g, const char *path, struct err *e);
    void *ctx;
    struct lake_names names;
};

static enum err_code give_row(struct all_rows *a, const struct lake_file_reader *r, size_t row,
                              struct err *e)
{
    if (a->each_gap) {
        struct gap g;
        TRY(pass_over(a->l, r, lake_read_gap(a->l, r, row, &a->names, &g, e)));
        return a->each_gap(a->ctx, &g, r->path, e);
    }
    struct candle c;
    TRY(pass_over(a->l, r, lake_read_candle(a->l, r, row, &a->names, &c, e)));
    return a->each_candle(a->ctx, &c, r->path, e);
}

static enum err_code rows_of_group(struct all_rows *a, struct lake_file_reader *r, struct err *e)
{
    TRY(lake_reader_load(r, UINT32_MAX, e));
    for (size_t i = 0; i < (size_t)r->rows; i++) {
        if (lake_live_is_deleted(r->f, r->base + (int64_t)i)) continue;
        enum err_code code = give_row(a, r, i, e);
        if (code != ERR_NOT_FOUND) TRY(code);
    }
    return ERR_OK;
}

/* Files of other writers are read too: one of theirs may be our rows, rewritten. */
static enum err_code each_row(struct all_rows *a, enum table_id table, struct err *e)
{
    struct lake_table *t = &a->l->tables[table];
    bool moved;
    TRY(lake_table_refresh(a->l, t, &moved, e));
    for (size_t f = 0; f < t->file_count; f++) {
        struct lake_file_reader r;
        if (t->files[f].content != LAKE_DATA) continue;
        enum err_code code = lake_reader_open(a->l, &r, t->t, &t->files[f], e);
        if (code == ERR_OK) {
            while (code == ERR_OK && lake_reader_next(&r)) code = rows_of_group(a, &r, e);
            lake_reader_close(&r);
        }
        if (code == ERR_NOT_FOUND && t->files[f].foreign)
            atomic_fetch_add(&a->l->stats.unreadable, 1);
        else
            TRY(code);
    }
    return ERR_OK;
}

enum err_code lake_each_candle(struct lake *l,
                               enum err_code (*each)(void *ctx, const struct candle *c,
                                                     const char *path, struct err *e),
                               void *ctx, struct err *e)
{
    struct all_rows a = {.l = l, .each_candle = each, .ctx = ctx};
    return each_row(&a, TABLE_CANDLES, e);
}

enum err_code lake_each_gap(struct lake *l,
                            enum err_code (*each)(void *ctx, const struct gap *g, const char *path,
                                                  struct err *e),
                            void *ctx, struct err *e)
{
    struct all_rows a = {.l = l, .each_gap = each, .ctx = ctx};
    return each_row(&a, TABLE_GAPS, e);
}
