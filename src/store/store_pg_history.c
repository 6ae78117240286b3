/* Writers beside each other: a live source, and guests that bring what it did not hear. */
#include "store/store_pg.h"

#include <stdlib.h>

/* ---- Gaps: who told a row last keeps the word ---- */

static bool is_foreign(const PGresult *r, int64_t gap_id)
{
    for (int i = 0; i < PQntuples(r); i++)
        if (store_pg_get(r, i, 0, 0) == gap_id) return true;
    return false;
}

static enum err_code take_off(struct store_pg *s, struct batch *b, const PGresult *r, struct err *e)
{
    struct store_pg_twice *rows = calloc(b->gap_count, sizeof *rows);
    size_t count = 0;
    CHECK(rows != NULL);
    for (size_t i = 0; i < b->gap_count; i++)
        if (is_foreign(r, b->gaps[i].gap_id)) rows[count++].sequence = b->gaps[i].sequence;
    enum err_code code = store_pg_take_off(s, b, PG_GAPS, rows, count, e);
    free(rows);
    return code;
}

/* A source's memory of a gap is older than what a guest said since; it learns of that when it starts again. */
enum err_code store_pg_foreign_gaps(struct store_pg *s, struct batch *b, struct err *e)
{
    struct store_pg_array ids;
    store_pg_array_init(&ids, PG_OID_INT8);
    for (size_t i = 0; i < b->gap_count; i++) store_pg_array_add_number(&ids, b->gaps[i].gap_id);
    struct store_pg_args args = {0};
    store_pg_bytes(&args, str_of(s->writer));
    store_pg_array_arg(&ids, &args);
    PGresult *r = NULL;
    enum err_code code = store_pg_run(&s->link, PG_foreign_gaps, &args, &r, e);
    if (code == ERR_OK && PQntuples(r)) code = take_off(s, b, r, e);
    PQclear(r);
    store_pg_array_free(&ids);
    return code;
}

/* ---- Ids ---- */

struct ranges {
    struct store_pg_array series, streams, first, last;
    struct id_range now; /* not yet added; last < first: none */
};

static void flush(struct store_pg *s, struct ranges *r)
{
    if (r->now.last < r->now.first) return;
    store_pg_array_add_number(&r->series, s->to_db[r->now.series]);
    store_pg_array_add_number(&r->streams, r->now.stream);
    store_pg_array_add_number(&r->first, r->now.first);
    store_pg_array_add_number(&r->last, r->now.last);
}

static void add(struct store_pg *s, struct ranges *r, const struct trade *t)
{
    if (!t->has_id || t->id_text.n || t->id < 0 || t->id >= INT64_MAX - 1) return;
    bool next = r->now.last >= r->now.first && t->series == r->now.series &&
                t->stream == r->now.stream && t->id == r->now.last + 1;
    if (next) {
        r->now.last = t->id;
        return;
    }
    flush(s, r);
    r->now = (struct id_range){t->series, t->stream, t->id, t->id};
}

enum err_code store_pg_put_history(struct store_pg *s, const struct batch *b, struct err *e)
{
    struct ranges r = {.now = {.first = 1, .last = 0}};
    struct store_pg_array *const all[] = {&r.series, &r.streams, &r.first, &r.last};
    struct store_pg_args args = {0};
    for (int i = 0; i < 4; i++) store_pg_array_init(all[i], PG_OID_INT8);
    for (size_t i = 0; i < b->trade_count; i++) add(s, &r, &b->trades[i]);
    flush(s, &r);
    for (int i = 0; i < 4; i++) store_pg_array_arg(all[i], &args);
    enum err_code code =
        r.series.count ? store_pg_run(&s->link, PG_put_history, &args, NULL, e) : ERR_OK;
    for (int i = 0; i < 4; i++) store_pg_array_free(all[i]);
    return code;
}
