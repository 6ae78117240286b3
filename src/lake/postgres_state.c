#include "lake/postgres_internal.h"

#include <stdlib.h>

/* Positions, proof and states in PostgreSQL: written as arrays, one statement for all of a fold, since each costs a way there
 * and back; read in pages, so that a table of any size passes through bounded memory. */

enum { STATE_PAGE = 5000, PROOF_PAGE = 50000, STATES_AT_ONCE = 2000 };
#define STATE_BYTES_AT_ONCE ((size_t)16 << 20)
#define ARRAY_LIMIT         ((size_t)256 << 20)

/* ---- positions */

enum err_code pg_position(struct lake *l, const char *name, int64_t *ret, struct err *e)
{
    struct pg_args a = {0};
    PGresult *r;
    pg_text(&a, name);
    TRY(pg_run(l, "SELECT position::text FROM ticklake.ticklake_position WHERE name=$1", &a, &r,
               e));
    *ret = PQntuples(r) ? pg_cell_number(r, 0, 0) : 0;
    PQclear(r);
    return ERR_OK;
}

enum err_code pg_each_position(struct lake *l, const char *prefix, lake_position_each each,
                               void *ctx, struct err *e)
{
    struct pg_args a = {0};
    PGresult *r;
    pg_text(&a, prefix);
    TRY(pg_run(l,
               "SELECT name, position::text FROM ticklake.ticklake_position "
               "WHERE starts_with(name, $1) ORDER BY name",
               &a, &r, e));
    enum err_code code = ERR_OK;
    for (int i = 0; i < PQntuples(r) && code == ERR_OK; i++)
        code = each(ctx, pg_cell(r, i, 0), pg_cell_number(r, i, 1), e);
    PQclear(r);
    return code;
}

/* Names differ. Whether each is at its `from` is compared in the database once more, though the caller looked under the same
 * lock: this is the fence. Which one is not there is found out only then. */
enum err_code pg_move(struct lake *l, const struct lake_move *moves, size_t count,
                      size_t *ret_moved, struct err *e)
{
    struct buf names, from, to;
    struct buf *const all[] = {&names, &from, &to};
    struct pg_args a = {0};
    PGresult *r = NULL;
    for (int i = 0; i < 3; i++) buf_init(all[i], ARRAY_LIMIT);
    for (size_t i = 0; i < count; i++) {
        pg_add_text(&names, str_of(moves[i].name));
        pg_add_number(&from, moves[i].from);
        pg_add_number(&to, moves[i].to);
    }
    for (int i = 0; i < 3; i++) {
        pg_add_end(all[i]);
        pg_array(&a, all[i]);
    }
    enum err_code code =
        pg_run(l,
               "INSERT INTO ticklake.ticklake_position AS p SELECT m.name, m.upto "
               "FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS m (name, since, upto) "
               "WHERE coalesce((SELECT position FROM ticklake.ticklake_position o WHERE "
               "o.name=m.name), 0) "
               "= m.since ON CONFLICT (name) DO UPDATE SET position=excluded.position",
               &a, &r, e);
    if (code == ERR_OK) *ret_moved = (size_t)pg_changed(r);
    PQclear(r);
    for (int i = 0; i < 3; i++) buf_free(all[i]);
    if (code != ERR_OK || *ret_moved == count) return code;
    for (*ret_moved = 0; *ret_moved < count; ++*ret_moved) {
        int64_t now;
        TRY(pg_position(l, moves[*ret_moved].name, &now, e));
        if (now != moves[*ret_moved].to) break;
    }
    if (*ret_moved == count) --*ret_moved;
    return ERR_OK;
}

/* ---- proof */

static size_t sum_text(u128 v, char out[48])
{
    char digits[48];
    size_t n = 0;
    do digits[n++] = (char)('0' + (int)(v % 10));
    while (v /= 10);
    for (size_t i = 0; i < n; i++) out[i] = digits[n - 1 - i];
    out[n] = 0;
    return n;
}

static bool sum_of_text(struct str s, u128 *ret)
{
    u128 v = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(s.p[i] - '0');
        if (digit > 9 || v > (~(u128)0 - digit) / 10) return false;
        v = v * 10 + digit;
    }
    *ret = v;
    return s.n > 0;
}

/* The catalog numbers series by itself: the workers' own numbers mean nothing to each other. */
static enum err_code series_id(struct lake *l, uint32_t series, int64_t *ret, struct err *e)
{
    struct str key = {(const char *)&series, sizeof series};
    uint32_t known = map_get(&l->series_ids, key);
    *ret = known;
    if (known != MAP_NONE) return ERR_OK;
    const struct series *n = series_get(l->o.series, series);
    struct pg_args a = {0};
    PGresult *r;
    pg_bytes(&a, n->venue);
    pg_bytes(&a, n->exchange);
    pg_bytes(&a, n->symbol);
    pg_bytes(&a, n->venue_symbol);
    /* Updates to the same, since DO NOTHING returns no id where the row is there already. */
    TRY(pg_run(l,
               "INSERT INTO ticklake.ticklake_proof_series (venue, exchange, symbol, venue_symbol) "
               "VALUES ($1::text, $2::text, $3::text, $4::text) "
               "ON CONFLICT (venue, exchange, symbol, venue_symbol) DO UPDATE SET "
               "venue=excluded.venue RETURNING id::text",
               &a, &r, e));
    *ret = pg_cell_number(r, 0, 0);
    PQclear(r);
    l->postgres->new_series = true;
    map_put(&l->series_ids, key, (uint32_t)*ret);
    return ERR_OK;
}

static enum err_code add_proof_arrays(struct lake *l, const struct proof_set *p, struct buf b[5],
                                      struct err *e)
{
    for (size_t i = 0; i < p->count; i++) {
        const struct proof *item = &p->items[i];
        char text[48];
        int64_t id;
        TRY(series_id(l, item->series, &id, e));
        pg_add_number(&b[0], id);
        pg_add_number(&b[1], item->stream);
        pg_add_number(&b[2], item->minute);
        pg_add_number(&b[3], item->count);
        sum_text(item->sum, text);
        buf_addf(&b[4], "%s%s", b[4].len ? "," : "{", text);
    }
    struct pg_args a = {0};
    for (int i = 0; i < 5; i++) {
        pg_add_end(&b[i]);
        if (b[i].failed) return ERR(e, ERR_FULL, "lake: %zu proof minutes at once", p->count);
        pg_array(&a, &b[i]);
    }
    return pg_run(l,
                  "INSERT INTO ticklake.ticklake_proof AS p SELECT * FROM "
                  "unnest($1::int[], $2::int[], $3::bigint[], $4::bigint[], $5::numeric[]) "
                  "ON CONFLICT (series, stream, minute) DO UPDATE SET count = p.count + "
                  "excluded.count, sum = (p.sum + excluded.sum) % "
                  "340282366920938463463374607431768211456", /* 2^128 */
                  &a, NULL, e);
}

enum err_code pg_add_proofs(struct lake *l, const struct proof_set *p, struct err *e)
{
    struct buf b[5];
    for (int i = 0; i < 5; i++) buf_init(&b[i], ARRAY_LIMIT);
    enum err_code code = add_proof_arrays(l, p, b, e);
    for (int i = 0; i < 5; i++) buf_free(&b[i]);
    return code;
}

static enum err_code proof_row(struct lake *l, const PGresult *r, int i, struct proof_set *ret,
                               struct err *e)
{
    uint32_t series = SERIES_NONE;
    int64_t stream = pg_cell_number(r, i, 1);
    u128 sum;
    if (!PQgetisnull(r, i, 5))
        series = series_intern(l->o.series, pg_cell(r, i, 5), pg_cell(r, i, 6), pg_cell(r, i, 7),
                               pg_cell(r, i, 8));
    if (series == SERIES_NONE || !sum_of_text(pg_cell(r, i, 4), &sum) || stream < 0 ||
        stream >= STREAM_MAX)
        return ERR(e, ERR_CORRUPT, "%s: ticklake_proof: a row of minute %lld is damaged",
                   l->catalog_path, (long long)pg_cell_number(r, i, 2));
    proof_set_add(ret, series, (uint8_t)stream, pg_cell_number(r, i, 2), pg_cell_number(r, i, 3),
                  sum);
    return ERR_OK;
}

enum err_code pg_proofs(struct lake *l, struct proof_set *ret, struct err *e)
{
    int64_t last[3] = {INT32_MIN, INT32_MIN, INT64_MIN};
    for (int count = PROOF_PAGE; count == PROOF_PAGE;) {
        struct pg_args a = {0};
        PGresult *r;
        for (int i = 0; i < 3; i++) pg_number(&a, last[i]);
        pg_number(&a, PROOF_PAGE);
        TRY(pg_run(l,
                   "SELECT p.series::text, p.stream::text, p.minute::text, p.count::text, "
                   "p.sum::text, s.venue, s.exchange, s.symbol, s.venue_symbol "
                   "FROM ticklake.ticklake_proof p "
                   "LEFT JOIN ticklake.ticklake_proof_series s ON s.id = p.series "
                   "WHERE (p.series, p.stream, p.minute) > ($1::int, $2::int, $3::bigint) "
                   "ORDER BY p.series, p.stream, p.minute LIMIT $4::int",
                   &a, &r, e));
        enum err_code code = ERR_OK;
        count = PQntuples(r);
        for (int i = 0; i < count && code == ERR_OK; i++) code = proof_row(l, r, i, ret, e);
        for (int i = 0; i < 3 && count; i++) last[i] = pg_cell_number(r, count - 1, i);
        PQclear(r);
        TRY(code);
    }
    return ERR_OK;
}

/* ---- states */

static enum err_code put_arrays(struct lake *l, struct buf b[3], struct err *e)
{
    struct pg_args put = {0}, drop = {0};
    bool any_put = b[0].len > 0, any_drop = b[2].len > 0;
    for (int i = 0; i < 3; i++) {
        pg_add_end(&b[i]);
        if (b[i].failed) return ERR(e, ERR_FULL, "lake: too many states at once");
        pg_array(i < 2 ? &put : &drop, &b[i]);
    }
    if (any_put)
        TRY(pg_run(l,
                   "INSERT INTO ticklake.ticklake_state SELECT * FROM "
                   "unnest($1::text[], $2::bytea[]) "
                   "ON CONFLICT (name) DO UPDATE SET bytes=excluded.bytes",
                   &put, NULL, e));
    if (!any_drop) return ERR_OK;
    return pg_run(l, "DELETE FROM ticklake.ticklake_state WHERE name = ANY ($1::text[])", &drop,
                  NULL, e);
}

enum err_code pg_put_states(struct lake *l, const struct lake_state_put *items, size_t count,
                            struct err *e)
{
    struct buf b[3];
    enum err_code code = ERR_OK;
    for (int i = 0; i < 3; i++) buf_init(&b[i], ARRAY_LIMIT);
    for (size_t i = 0; i < count && code == ERR_OK;) {
        for (int k = 0; k < 3; k++) buf_reset(&b[k]);
        for (size_t n = 0; i < count && n < STATES_AT_ONCE && b[1].len < STATE_BYTES_AT_ONCE;
             i++, n++) {
            struct str name = str_of(items[i].name), bytes = items[i].bytes;
            if (bytes.n) pg_add_text(&b[0], name);
            if (bytes.n) pg_add_hex(&b[1], bytes);
            if (!bytes.n) pg_add_text(&b[2], name);
        }
        code = put_arrays(l, b, e);
    }
    for (int i = 0; i < 3; i++) buf_free(&b[i]);
    return code;
}

enum err_code pg_each_state(struct lake *l, const char *prefix, lake_state_each each, void *ctx,
                            struct err *e)
{
    struct buf last;
    buf_init(&last, 1 << 20);
    enum err_code code = ERR_OK;
    for (int count = STATE_PAGE; count == STATE_PAGE && code == ERR_OK;) {
        struct pg_args a = {0};
        PGresult *r;
        pg_text(&a, prefix);
        pg_bytes(&a, buf_str(&last));
        pg_number(&a, STATE_PAGE);
        code = pg_run(l,
                      "SELECT name, bytes FROM ticklake.ticklake_state WHERE name >= $1 "
                      "AND starts_with(name, $1) AND name > $2::text ORDER BY name LIMIT $3::int",
                      &a, &r, e);
        if (code != ERR_OK) break;
        count = PQntuples(r);
        for (int i = 0; i < count && code == ERR_OK; i++)
            code = each(ctx, pg_cell(r, i, 0), pg_cell(r, i, 1), e);
        buf_reset(&last);
        if (count) buf_add_str(&last, pg_cell(r, count - 1, 0));
        PQclear(r);
    }
    buf_free(&last);
    return code;
}
