/* The database's series are numbered from 0 without holes, in the order of their commits (CDC relies on it); a process numbers its
 * own as it meets them, so two processes that meet new symbols at one moment differ. */
#include "store/store_pg.h"

#include <stdlib.h>

static void set(uint32_t **map, uint32_t *cap, uint32_t at, uint32_t v)
{
    if (at >= *cap) {
        uint32_t more = *cap ? *cap : 1024;
        while (more <= at) more *= 2;
        *map = realloc(*map, more * sizeof **map);
        CHECK(*map != NULL);
        for (uint32_t i = *cap; i < more; i++) (*map)[i] = SERIES_NONE;
        *cap = more;
    }
    (*map)[at] = v;
}

static void map_to(struct store_pg *s, uint32_t here, uint32_t there)
{
    set(&s->to_db, &s->to_db_cap, here, there);
    set(&s->from_db, &s->from_db_cap, there, here);
}

static uint32_t intern(struct series_table *t, const PGresult *r, int row)
{
    struct str n[4];
    for (int i = 0; i < 4; i++) n[i] = store_pg_get_bytes(r, row, i + 1);
    return series_intern(t, n[0], n[1], n[2], n[3]);
}

static enum err_code bad_row(const struct store_pg_link *l, const PGresult *r, int row,
                             struct err *e)
{
    struct str venue = store_pg_get_bytes(r, row, 1), symbol = store_pg_get_bytes(r, row, 3);
    return ERR(e, ERR_CORRUPT,
               "%s: series %lld (%.*s %.*s) in row %d of ticklake.series: they are numbered from 0 "
               "without holes and each is there once; somebody else altered the table",
               l->address, (long long)store_pg_get(r, row, 0, -1), STR_ARG(venue), STR_ARG(symbol),
               row);
}

enum err_code store_pg_series_load(struct store_pg *s, struct err *e)
{
    PGresult *r;
    enum err_code code = ERR_OK;
    TRY(store_pg_run(&s->link, PG_read_series, NULL, &r, e));
    for (uint32_t i = 0; i < s->to_db_cap; i++) s->to_db[i] = SERIES_NONE;
    for (uint32_t i = 0; i < s->from_db_cap; i++) s->from_db[i] = SERIES_NONE;
    for (int i = 0; i < PQntuples(r) && code == ERR_OK; i++) {
        uint32_t here = store_pg_get(r, i, 0, -1) == i ? intern(s->base.series, r, i) : SERIES_NONE;
        if (here == SERIES_NONE)
            code = bad_row(&s->link, r, i, e);
        else
            map_to(s, here, (uint32_t)i);
    }
    PQclear(r);
    return code;
}

enum err_code store_pg_series_read(struct store_pg_link *l, struct series_table *t, struct err *e)
{
    PGresult *r;
    enum err_code code = ERR_OK;
    TRY(store_pg_run(l, PG_read_series, NULL, &r, e));
    for (int i = 0; i < PQntuples(r) && code == ERR_OK; i++)
        if (store_pg_get(r, i, 0, -1) != i || intern(t, r, i) != (uint32_t)i)
            code = bad_row(l, r, i, e);
    PQclear(r);
    return code;
}

static enum err_code names_of(struct store_pg *s, const struct series *n, struct str ret[4],
                              struct err *e)
{
    const struct str names[] = {n->venue, n->exchange, n->symbol, n->venue_symbol};
    for (int i = 0; i < 4; i++) {
        if (!str_is_utf8(names[i]) || memchr(names[i].p, 0, names[i].n))
            return ERR(e, ERR_INTERNAL,
                       "%s: the name of a symbol of %.*s is no text that PostgreSQL holds",
                       s->link.address, STR_ARG(n->venue));
        ret[i] = names[i];
    }
    return ERR_OK;
}

static enum err_code exchange(struct store_pg *s, struct store_pg_array arrays[4],
                              const uint32_t *missing, uint32_t count, struct err *e)
{
    struct store_pg_args args = {0};
    for (int i = 0; i < 4; i++) store_pg_array_arg(&arrays[i], &args);
    TRY(store_pg_run(&s->link, PG_lock_series, NULL, NULL, e));
    TRY(store_pg_run(&s->link, PG_add_series, &args, NULL, e));
    PGresult *r;
    TRY(store_pg_run(&s->link, PG_find_series, &args, &r, e));
    bool whole = PQntuples(r) == (int)count;
    for (int i = 0; whole && i < (int)count; i++) {
        int64_t place = store_pg_get(r, i, 0, 0), id = store_pg_get(r, i, 1, -1);
        whole = place >= 1 && place <= count && id >= 0 && id < SERIES_LIMIT;
        if (whole) map_to(s, missing[place - 1], (uint32_t)id);
    }
    PQclear(r);
    if (whole) return ERR_OK;
    return ERR(e, ERR_CORRUPT, "%s: ticklake.series does not give back what was added to it",
               s->link.address);
}

enum err_code store_pg_series_add(struct store_pg *s, uint32_t end, struct err *e)
{
    uint32_t *missing = malloc((end + 1) * sizeof *missing), count = 0;
    CHECK(missing != NULL);
    struct store_pg_array arrays[4];
    for (int i = 0; i < 4; i++) store_pg_array_init(&arrays[i], PG_OID_TEXT);
    enum err_code code = ERR_OK;
    for (uint32_t id = 0; id < end && code == ERR_OK; id++) {
        if (id < s->to_db_cap && s->to_db[id] != SERIES_NONE) continue;
        struct str names[4];
        code = names_of(s, series_get(s->base.series, id), names, e);
        for (int i = 0; i < 4 && code == ERR_OK; i++) store_pg_array_add(&arrays[i], names[i]);
        missing[count++] = id;
    }
    if (code == ERR_OK && count) code = exchange(s, arrays, missing, count, e);
    for (int i = 0; i < 4; i++) store_pg_array_free(&arrays[i]);
    free(missing);
    return code;
}
