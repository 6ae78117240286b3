#include "store/store_row.h"

#include "store/store.h"

/* Hashes are stored and must be the same on every machine; we hash the numbers as they lie in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stored hashes are little-endian");

/* Marks NULL in an image; TIME_ABSENT is the same number, so absent times need no case of their own. */
#define ABSENT INT64_MIN
_Static_assert(ABSENT == TIME_ABSENT, "absent times are stored as NULL");

enum { TRADE_NUMBERS = 10, QUOTE_NUMBERS = 9, GAP_NUMBERS = 13, DEAD_NUMBERS = 5 };
enum { CANDLE_NUMBERS = 6, CANDLE_DECIMALS = 8, NO_SCALE = 31 };

static void bind_numbers(sqlite3_stmt *s, const int64_t *v, int count)
{
    for (int i = 0; i < count; i++) {
        if (v[i] == ABSENT)
            sqlite3_bind_null(s, i + 1);
        else
            sqlite3_bind_int64(s, i + 1, v[i]);
    }
}

/* A NULL pointer would bind NULL; an empty text is not the same. */
static void bind_text(sqlite3_stmt *s, int at, struct str text)
{
    sqlite3_bind_text64(s, at, text.p ? text.p : "", text.n, SQLITE_STATIC, SQLITE_UTF8);
}

static u128 hash_numbers(const int64_t *v, int count)
{
    return hash128((struct str){(const char *)v, (size_t)count * sizeof *v});
}

/* Arenas align to 16 bytes. */
static size_t room(struct str s) { return (s.n + 15) / 16 * 16; }

static void note_series(struct store_sums *sums, uint32_t series)
{
    if (series >= sums->series_end) sums->series_end = series + 1;
}

static void note_receipt(struct store_sums *sums, int64_t received_ns)
{
    if (received_ns > sums->newest_received_ns) sums->newest_received_ns = received_ns;
}

static int64_t scale_code(struct dec d) { return dec_is_absent(d) ? NO_SCALE : d.scale; }
static int64_t digits_of(struct dec d) { return dec_is_absent(d) ? ABSENT : d.digits; }

/* An image is what is bound, in the order of the columns, with the hash of the text behind it. */
static void trade_image(const struct trade *t, int64_t v[TRADE_NUMBERS + 1])
{
    CHECK(!dec_is_absent(t->price) && !dec_is_absent(t->size) && t->stream < STREAM_QUOTE);
    bool id_is_text = t->id_text.n > 0 && t->id == 0;
    v[0] = t->sequence;
    v[1] = t->series;
    v[2] = (int64_t)t->stream | (int64_t)t->side << 3 | (int64_t)t->origin << 5 |
           (int64_t)t->kind << 8 | (int64_t)t->has_id << 10 | (int64_t)t->has_range << 11 |
           (int64_t)t->price.scale << 12 | (int64_t)t->size.scale << 17 | (int64_t)t->ordinal << 22;
    v[3] = t->has_id && !id_is_text ? t->id : ABSENT;
    v[4] = t->price.digits;
    v[5] = t->size.digits;
    v[6] = t->venue_time_ns;
    v[7] = t->received_ns;
    v[8] = t->has_range && t->first_id != t->id ? t->first_id : ABSENT;
    v[9] = t->has_range && t->last_id != t->id ? t->last_id : ABSENT;
    v[10] = t->id_text.n ? (int64_t)hash64(t->id_text) : 0;
}

static void quote_image(const struct quote *q, int64_t v[QUOTE_NUMBERS])
{
    v[0] = q->sequence;
    v[1] = q->series;
    v[2] = (int64_t)q->origin | scale_code(q->bid_price) << 3 | scale_code(q->bid_size) << 8 |
           scale_code(q->ask_price) << 13 | scale_code(q->ask_size) << 18;
    v[3] = digits_of(q->bid_price);
    v[4] = digits_of(q->bid_size);
    v[5] = digits_of(q->ask_price);
    v[6] = digits_of(q->ask_size);
    v[7] = q->venue_time_ns;
    v[8] = q->received_ns;
}

static void gap_image(const struct gap *g, int64_t v[GAP_NUMBERS + 1])
{
    v[0] = g->sequence;
    v[1] = g->gap_id;
    v[2] = g->series;
    v[3] = (int64_t)g->stream | (int64_t)g->kind << 3 | (int64_t)g->state << 6 |
           (int64_t)g->has_ids << 8 | (int64_t)g->has_count << 9;
    v[4] = g->has_ids ? g->from_id : ABSENT;
    v[5] = g->has_ids ? g->to_id : ABSENT;
    v[6] = g->from_time_ns;
    v[7] = g->to_time_ns;
    v[8] = g->has_count ? g->missing_count : ABSENT;
    v[9] = g->rows_recovered;
    v[10] = g->candles_revised;
    v[11] = g->opened_ns;
    v[12] = g->closed_ns;
    v[13] = (int64_t)hash64(g->cause);
}

static void dead_image(const struct dead *d, int64_t v[DEAD_NUMBERS + 5])
{
    v[0] = d->sequence;
    v[1] = d->stream;
    v[2] = d->reason;
    v[3] = d->position;
    v[4] = d->received_ns;
    v[5] = (int64_t)hash64(d->venue);
    v[6] = (int64_t)hash64(d->symbol);
    v[7] = (int64_t)hash64(d->connection);
    v[8] = (int64_t)hash64(d->detail);
    v[9] = (int64_t)hash64(d->payload);
}

/* The decimals as exact text; those that the venue did not state are empty. */
static void candle_texts(const struct candle *c, char texts[CANDLE_DECIMALS][DEC_TEXT_MAX],
                         struct str ret[CANDLE_DECIMALS])
{
    const i128 values[CANDLE_DECIMALS] = {c->open,           c->high,           c->low,
                                          c->close,          c->base_volume,    c->quote_volume,
                                          c->taker_buy_base, c->taker_buy_quote};
    const bool given[CANDLE_DECIMALS] = {
        true,         true,        true, true, c->has_base_volume, c->has_quote_volume,
        c->has_taker, c->has_taker};
    for (int i = 0; i < CANDLE_DECIMALS; i++)
        ret[i] = (struct str){texts[i], given[i] ? dec_format_lake(values[i], texts[i]) : 0};
}

static void candle_image(const struct venue_candle *vc, const struct str texts[CANDLE_DECIMALS],
                         int64_t v[CANDLE_NUMBERS + CANDLE_DECIMALS + 1])
{
    v[0] = vc->c.sequence;
    v[1] = vc->c.series;
    v[2] = vc->c.timeframe;
    v[3] = vc->c.open_time_ns;
    v[4] = vc->fetched_ns;
    v[5] = vc->c.trade_count >= 0 ? vc->c.trade_count : ABSENT;
    for (int i = 0; i < CANDLE_DECIMALS; i++) v[CANDLE_NUMBERS + i] = (int64_t)hash64(texts[i]);
    v[CANDLE_NUMBERS + CANDLE_DECIMALS] = (int64_t)hash64(vc->source);
}

static u128 content_of_candle(const struct venue_candle *vc, const uint32_t *series)
{
    char texts[CANDLE_DECIMALS][DEC_TEXT_MAX];
    struct str strs[CANDLE_DECIMALS];
    int64_t v[CANDLE_NUMBERS + CANDLE_DECIMALS + 1];
    candle_texts(&vc->c, texts, strs);
    candle_image(vc, strs, v);
    if (series) v[1] = series[v[1]];
    return hash_numbers(v, CANDLE_NUMBERS + CANDLE_DECIMALS + 1);
}

u128 store_content(const struct batch *b, struct event_ref r)
{
    return store_content_as(b, r, NULL);
}

u128 store_content_as(const struct batch *b, struct event_ref r, const uint32_t *series)
{
    int64_t v[GAP_NUMBERS + 1]; /* the widest of the plain images */
    switch ((enum event_type)r.type) {
    case EVENT_TRADE:
        trade_image(&b->trades[r.index], v);
        if (series) v[1] = series[v[1]];
        return hash_numbers(v, TRADE_NUMBERS + 1);
    case EVENT_QUOTE:
        quote_image(&b->quotes[r.index], v);
        if (series) v[1] = series[v[1]];
        return hash_numbers(v, QUOTE_NUMBERS);
    case EVENT_GAP:
        gap_image(&b->gaps[r.index], v);
        if (series) v[2] = series[v[2]];
        return hash_numbers(v, GAP_NUMBERS + 1);
    case EVENT_DEAD: dead_image(&b->deads[r.index], v); return hash_numbers(v, DEAD_NUMBERS + 5);
    case EVENT_VENUE_CANDLE: return content_of_candle(&b->candles[r.index], series);
    }
    CHECK(r.type <= EVENT_VENUE_CANDLE);
    return 0;
}

enum err_code store_row_put_trades(struct store_db *db, const struct batch *b,
                                   struct store_sums *sums, struct err *e)
{
    sqlite3_stmt *s;
    TRY(store_db_get(db, STATEMENT_insert_trade, &s, e));
    sqlite3_bind_null(s, TRADE_NUMBERS + 1);
    bool text_bound = false;
    for (size_t i = 0; i < b->trade_count; i++) {
        const struct trade *t = &b->trades[i];
        int64_t v[TRADE_NUMBERS + 1];
        trade_image(t, v);
        bind_numbers(s, v, TRADE_NUMBERS);
        if (t->id_text.n) {
            bind_text(s, TRADE_NUMBERS + 1, t->id_text);
            sums->text_bytes += room(t->id_text);
            text_bound = true;
        } else if (text_bound) {
            sqlite3_bind_null(s, TRADE_NUMBERS + 1);
            text_bound = false;
        }
        TRY(store_db_run(db, s, e));
        sums->content += hash_numbers(v, TRADE_NUMBERS + 1);
        note_series(sums, t->series);
        note_receipt(sums, t->received_ns);
    }
    return ERR_OK;
}

enum err_code store_row_put_quotes(struct store_db *db, const struct batch *b,
                                   struct store_sums *sums, struct err *e)
{
    sqlite3_stmt *s;
    TRY(store_db_get(db, STATEMENT_insert_quote, &s, e));
    for (size_t i = 0; i < b->quote_count; i++) {
        const struct quote *q = &b->quotes[i];
        int64_t v[QUOTE_NUMBERS];
        quote_image(q, v);
        bind_numbers(s, v, QUOTE_NUMBERS);
        TRY(store_db_run(db, s, e));
        sums->content += hash_numbers(v, QUOTE_NUMBERS);
        note_series(sums, q->series);
        note_receipt(sums, q->received_ns);
    }
    return ERR_OK;
}

enum err_code store_row_put_gaps(struct store_db *db, const struct batch *b,
                                 struct store_sums *sums, struct err *e)
{
    sqlite3_stmt *s[2];
    TRY(store_db_get(db, STATEMENT_insert_gap, &s[0], e));
    TRY(store_db_get(db, STATEMENT_put_ledger, &s[1], e));
    for (size_t i = 0; i < b->gap_count; i++) {
        const struct gap *g = &b->gaps[i];
        int64_t v[GAP_NUMBERS + 1];
        gap_image(g, v);
        for (int k = 0; k < 2; k++) {
            bind_numbers(s[k], v, GAP_NUMBERS);
            bind_text(s[k], GAP_NUMBERS + 1, g->cause);
            TRY(store_db_run(db, s[k], e));
        }
        sums->content += hash_numbers(v, GAP_NUMBERS + 1);
        sums->text_bytes += room(g->cause);
        note_series(sums, g->series);
    }
    return ERR_OK;
}

enum err_code store_row_put_deads(struct store_db *db, const struct batch *b,
                                  struct store_sums *sums, struct err *e)
{
    sqlite3_stmt *s;
    TRY(store_db_get(db, STATEMENT_insert_dead, &s, e));
    for (size_t i = 0; i < b->dead_count; i++) {
        const struct dead *d = &b->deads[i];
        const struct str texts[] = {d->venue, d->symbol, d->connection, d->detail};
        int64_t v[DEAD_NUMBERS + 5];
        dead_image(d, v);
        bind_numbers(s, v, DEAD_NUMBERS);
        for (int k = 0; k < 4; k++) {
            bind_text(s, DEAD_NUMBERS + 1 + k, texts[k]);
            sums->text_bytes += room(texts[k]);
        }
        sqlite3_bind_blob64(s, DEAD_NUMBERS + 5, d->payload.p ? d->payload.p : "", d->payload.n,
                            SQLITE_STATIC);
        TRY(store_db_run(db, s, e));
        sums->content += hash_numbers(v, DEAD_NUMBERS + 5);
        sums->text_bytes += room(d->payload);
        note_receipt(sums, d->received_ns);
    }
    return ERR_OK;
}

enum err_code store_row_put_candles(struct store_db *db, const struct batch *b,
                                    struct store_sums *sums, struct err *e)
{
    sqlite3_stmt *s;
    TRY(store_db_get(db, STATEMENT_insert_candle, &s, e));
    for (size_t i = 0; i < b->candle_count; i++) {
        const struct venue_candle *vc = &b->candles[i];
        char texts[CANDLE_DECIMALS][DEC_TEXT_MAX];
        struct str strs[CANDLE_DECIMALS];
        int64_t v[CANDLE_NUMBERS + CANDLE_DECIMALS + 1];
        candle_texts(&vc->c, texts, strs);
        candle_image(vc, strs, v);
        bind_numbers(s, v, CANDLE_NUMBERS);
        for (int k = 0; k < CANDLE_DECIMALS; k++) {
            if (strs[k].n)
                bind_text(s, CANDLE_NUMBERS + 1 + k, strs[k]);
            else
                sqlite3_bind_null(s, CANDLE_NUMBERS + 1 + k);
        }
        bind_text(s, CANDLE_NUMBERS + CANDLE_DECIMALS + 1, vc->source);
        TRY(store_db_run(db, s, e));
        sums->content += hash_numbers(v, CANDLE_NUMBERS + CANDLE_DECIMALS + 1);
        sums->text_bytes += room(vc->source);
        note_series(sums, vc->c.series);
    }
    return ERR_OK;
}

enum err_code store_row_put_instruments(struct store_db *db, const struct batch *b,
                                        struct store_sums *sums, struct err *e)
{
    sqlite3_stmt *s;
    TRY(store_db_get(db, STATEMENT_put_instrument, &s, e));
    for (size_t i = 0; i < b->instrument_count; i++) {
        const struct instrument *in = &b->instruments[i];
        const struct str keys[] = {in->venue, in->symbol, in->venue_symbol};
        const struct str others[] = {in->base, in->quote, in->settle, in->status};
        for (int k = 0; k < 3; k++) bind_text(s, 1 + k, keys[k]);
        sqlite3_bind_int64(s, 4, b->last_sequence);
        for (int k = 0; k < 4; k++) bind_text(s, 5 + k, others[k]);
        if (dec_is_absent(in->contract_size))
            sqlite3_bind_null(s, 9);
        else
            sqlite3_bind_int64(s, 9, in->contract_size.digits);
        sqlite3_bind_int64(s, 10, in->contract_size.scale);
        sqlite3_bind_int64(s, 11, in->inverse);
        const int64_t times[] = {in->listed_ns, in->delisted_ns};
        for (int k = 0; k < 2; k++) {
            if (times[k] == TIME_ABSENT)
                sqlite3_bind_null(s, 12 + k);
            else
                sqlite3_bind_int64(s, 12 + k, times[k]);
        }
        TRY(store_db_run(db, s, e));
        for (int k = 0; k < 3; k++) sums->text_bytes += room(keys[k]);
        for (int k = 0; k < 4; k++) sums->text_bytes += room(others[k]);
    }
    return ERR_OK;
}

void store_row_sum_bytes(u128 sum, uint8_t to[16])
{
    for (int i = 0; i < 16; i++) to[i] = (uint8_t)(sum >> (8 * i));
}

u128 store_row_sum_of(const uint8_t from[16])
{
    u128 sum = 0;
    for (int i = 0; i < 16; i++) sum |= (u128)from[i] << (8 * i);
    return sum;
}
