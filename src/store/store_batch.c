#include "store/store_batch.h"

int64_t store_batch_events(const struct store_batch_row *r)
{
    return r->trades + r->quotes + r->gaps + r->deads + r->candles;
}

static void pack(uint8_t *to, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) to[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t unpack(const uint8_t *from, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++) v |= (uint64_t)from[i] << (8 * i);
    return v;
}

void store_proofs_pack(const struct proof_set *p, const uint32_t *map, struct buf *to)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct proof *item = &p->items[i];
        if (item->count == 0) continue;
        /* Minutes of int64 nanoseconds fit in 32 bits (1678 to 2262), and a batch holds below 2^29 events. */
        CHECK(item->minute >= INT32_MIN && item->minute <= INT32_MAX);
        CHECK(item->count > 0 && item->count <= INT32_MAX);
        uint8_t *at = buf_room(to, STORE_PROOF_BYTES);
        if (!at) return;
        pack(at, map ? map[item->series] : item->series, 4);
        pack(at + 4, item->stream, 1);
        pack(at + 5, (uint64_t)item->minute, 4);
        pack(at + 9, (uint64_t)item->count, 4);
        store_row_sum_bytes(item->sum, at + 13);
        to->len += STORE_PROOF_BYTES;
    }
}

enum err_code store_proofs_unpack(const char *where, struct str blob, uint32_t series_end,
                                  struct proof_set *ret, struct err *e)
{
    if (blob.n % STORE_PROOF_BYTES)
        return ERR(e, ERR_CORRUPT, "%s: proofs of a batch: %zu bytes are no whole entries of %d",
                   where, blob.n, STORE_PROOF_BYTES);
    for (size_t i = 0; i < blob.n; i += STORE_PROOF_BYTES) {
        const uint8_t *at = (const uint8_t *)blob.p + i;
        uint32_t series = (uint32_t)unpack(at, 4);
        uint8_t stream = at[4];
        int64_t minute = (int32_t)unpack(at + 5, 4), count = (int64_t)unpack(at + 9, 4);
        if (series >= series_end || stream > STREAM_QUOTE || count <= 0 || count > INT32_MAX)
            return ERR(e, ERR_CORRUPT,
                       "%s: proofs of a batch: entry %zu (series %u, stream %u) cannot be", where,
                       i / STORE_PROOF_BYTES, series, stream);
        proof_set_add(ret, series, stream, minute, count, store_row_sum_of(at + 13));
    }
    return ERR_OK;
}

enum err_code store_batch_put(struct store_db *db, const struct store_batch_row *r,
                              struct str proofs, struct err *e)
{
    sqlite3_stmt *s;
    TRY(store_db_get(db, STATEMENT_insert_batch, &s, e));
    const int64_t numbers[] = {r->last_sequence, r->first_sequence, r->batch,      r->trades,
                               r->quotes,        r->gaps,           r->deads,      r->candles,
                               r->instruments,   r->duplicates,     r->text_bytes, r->received_ns,
                               r->clock_ns};
    for (int i = 0; i < 13; i++) {
        if (numbers[i] == TIME_ABSENT)
            sqlite3_bind_null(s, i + 1);
        else
            sqlite3_bind_int64(s, i + 1, numbers[i]);
    }
    uint8_t sum[16], content[16];
    store_row_sum_bytes(r->sum, sum);
    store_row_sum_bytes(r->content, content);
    sqlite3_bind_blob(s, 14, sum, sizeof sum, SQLITE_STATIC);
    sqlite3_bind_blob(s, 15, content, sizeof content, SQLITE_STATIC);
    sqlite3_bind_blob64(s, 16, proofs.n ? proofs.p : "", proofs.n, SQLITE_STATIC);
    enum err_code code = store_db_run(db, s, e);
    sqlite3_clear_bindings(s); /* they point into this frame */
    return code;
}

enum err_code store_batch_get(struct store_db *db, sqlite3_stmt *s, struct store_batch_row *ret,
                              struct str *ret_proofs, struct err *e)
{
    int64_t *numbers[] = {&ret->last_sequence, &ret->first_sequence, &ret->batch,     &ret->trades,
                          &ret->quotes,        &ret->gaps,           &ret->deads,     &ret->candles,
                          &ret->instruments,   &ret->duplicates,     &ret->text_bytes};
    bool sane = true;
    for (int i = 0; i < 11; i++) {
        *numbers[i] = sqlite3_column_int64(s, i);
        sane = sane && *numbers[i] >= 0 && (i < 3 || *numbers[i] < INT64_C(1) << 48);
    }
    ret->received_ns = store_row_number(s, 11, TIME_ABSENT);
    ret->clock_ns = store_row_number(s, 12, TIME_ABSENT);
    struct str sum = store_row_bytes(s, 13), content = store_row_bytes(s, 14);
    int64_t events = store_batch_events(ret);
    sane = sane && sum.n == 16 && content.n == 16 && ret->first_sequence > 0 &&
           ret->last_sequence == ret->first_sequence + (events ? events - 1 : 0);
    if (!sane)
        return ERR(e, ERR_CORRUPT,
                   "%s: batch %lld (sequences %lld to %lld, %lld events) does not add up; the file "
                   "was altered by somebody else or damaged",
                   db->path, (long long)ret->batch, (long long)ret->first_sequence,
                   (long long)ret->last_sequence, (long long)events);
    ret->sum = store_row_sum_of((const uint8_t *)sum.p);
    ret->content = store_row_sum_of((const uint8_t *)content.p);
    *ret_proofs = store_row_bytes(s, 15);
    return ERR_OK;
}

enum err_code store_bounds(struct store_db *db, int64_t *ret_first, int64_t *ret_mark,
                           struct err *e)
{
    TRY(store_db_number(db, STATEMENT_oldest_batch, 1, ret_first, e));
    return store_db_number(db, STATEMENT_newest_batch, 0, ret_mark, e);
}

enum err_code store_series_load(struct store_db *db, struct series_table *t, uint32_t *count,
                                struct err *e)
{
    sqlite3_stmt *s;
    TRY(store_db_get(db, STATEMENT_read_series, &s, e));
    sqlite3_bind_int64(s, 1, *count);
    for (;;) {
        bool row;
        TRY(store_db_next(db, s, &row, e));
        if (!row) return ERR_OK;
        int64_t id = sqlite3_column_int64(s, 0);
        struct str n[4];
        for (int i = 0; i < 4; i++) n[i] = store_row_bytes(s, i + 1);
        uint32_t got = id == *count ? series_intern(t, n[0], n[1], n[2], n[3]) : SERIES_NONE;
        if (got != *count) {
            enum err_code code =
                ERR(e, ERR_CORRUPT, "%s: series %lld (%.*s %.*s): expected number %u", db->path,
                    (long long)id, STR_ARG(n[0]), STR_ARG(n[2]), *count);
            sqlite3_reset(s);
            return code;
        }
        ++*count;
    }
}
