/* Checks 2, 3 and 6: minutes of store, lake's claim and data files against each other. */
#include "audit/audit_internal.h"

#include "io/file.h"

/* Whether the minute is the same at both positions, so that the lake's claim, which was read between them, must be
 * that one value. */
static bool stable(const struct audit *a, const struct proof *p)
{
    if (a->position == a->position_after) return true;
    return audit_same(proof_set_find(&a->before, p->series, p->stream, p->minute),
                      proof_set_find(&a->after, p->series, p->stream, p->minute));
}

void audit_tell_minute(struct audit *a, enum audit_check_id check, const struct proof *key,
                       const struct proof *x, const char *x_name, const struct proof *y,
                       const char *y_name)
{
    char place[512];
    audit_key_text(a, key, place);
    int64_t nx = x ? x->count : 0, ny = y ? y->count : 0;
    if (nx != ny)
        audit_differs(a, check, place, "%s has %lld rows, %s %lld", x_name, (long long)nx, y_name,
                      (long long)ny);
    else
        audit_differs(a, check, place,
                      "%s and %s have %lld rows each, but not the same: their sums differ", x_name,
                      y_name, (long long)nx);
}

void audit_compare_sets(struct audit *a, enum audit_check_id check, const struct proof_set *x,
                        const char *x_name, const struct proof_set *y, const char *y_name)
{
    for (size_t i = 0; i < x->count; i++) {
        const struct proof *p = &x->items[i];
        const struct proof *q = proof_set_find(y, p->series, p->stream, p->minute);
        a->result->checks[check].compared++;
        if (stable(a, p) && !audit_same(p, q)) audit_tell_minute(a, check, p, p, x_name, q, y_name);
    }
    for (size_t i = 0; i < y->count; i++) {
        const struct proof *p = &y->items[i];
        if (proof_set_find(x, p->series, p->stream, p->minute) || p->count == 0) continue;
        a->result->checks[check].compared++;
        if (stable(a, p)) audit_tell_minute(a, check, p, NULL, x_name, p, y_name);
    }
}

void audit_compare_minutes(struct audit *a)
{
    for (size_t i = 0; i < a->claim.count; i++) {
        const struct proof *p = &a->claim.items[i];
        if (p->stream == STREAM_QUOTE)
            a->result->quotes += p->count;
        else
            a->result->trades += p->count;
    }
    audit_compare_sets(a, CHECK_FILES, &a->reread, "the data files", &a->claim, "the lake's claim");
    if (a->o->bus) return; /* the bus stands between the two */
    int64_t mark = store_tail_mark(a->tail);
    if (mark >= a->position_after) {
        audit_compare_sets(a, CHECK_LAKE, &a->before, "the store", &a->claim, "the lake's claim");
        return;
    }
    audit_differs(a, CHECK_LAKE, a->store_place,
                  "a hole: the store ends at sequence %lld, the lake's position is %lld; is it an "
                  "older copy or another store?",
                  (long long)mark, (long long)a->position_after);
}

static void problem(void *ctx, const char *path, const char *what)
{
    audit_differs(ctx, CHECK_FILES, path, "%s", what);
}

static enum err_code check_file(void *ctx, const struct lake_file *f, struct err *e)
{
    struct audit *a = ctx;
    bool rereads = f->table == TABLE_TRADES || f->table == TABLE_QUOTES;
    a->result->checks[CHECK_FILES].compared++;
    if (f->foreign && !f->is_delete && !rereads) a->result->foreign_rows += f->rows;
    if (f->foreign && f->table == TABLE_CANDLES) a->foreign_candles = true;
    /* Files of trades and quotes are told by the re-read, with more words. */
    if (rereads && !f->foreign && !f->is_delete) return ERR_OK;
    const char *path = f->path;
    int64_t size;
    if (strncmp(path, "file://", 7) == 0) path += 7;
    TRY(lake_file_size(a->lake, path, &size, e));
    if (size < 0)
        audit_differs(a, CHECK_FILES, path, "the file is gone; the table counts %lld rows in it",
                      (long long)f->rows);
    else if (size != f->bytes)
        audit_differs(a, CHECK_FILES, path, "%lld bytes, the table says %lld", (long long)size,
                      (long long)f->bytes);
    return ERR_OK;
}

static enum err_code reread(struct audit *a, enum table_id table, struct err *e)
{
    struct proof_set raw, foreign;
    proof_set_init(&raw);
    proof_set_init(&foreign);
    enum err_code code = lake_reread_proofs(a->lake, table, &raw, &foreign, problem, a, e);
    struct proof_set *from[] = {&raw, &foreign}, *to[] = {&a->reread, &a->foreign};
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < from[k]->count; i++) {
            const struct proof *p = &from[k]->items[i];
            proof_set_add(to[k], audit_canonical(a, &a->of_lake, a->lake_names, p->series),
                          p->stream, p->minute, p->count, p->sum);
        }
    }
    proof_set_free(&raw);
    proof_set_free(&foreign);
    return code;
}

enum err_code audit_lake_files(struct audit *a, struct err *e)
{
    for (int t = 0; t < TABLE_MAX; t++) {
        enum err_code code = lake_each_file(a->lake, (enum table_id)t, check_file, a, e);
        if (code == ERR_OK && (t == TABLE_TRADES || t == TABLE_QUOTES))
            code = reread(a, (enum table_id)t, e);
        else if (code == ERR_OK)
            code = lake_reread_values(a->lake, (enum table_id)t, problem, a, e);
        /* Nothing was ever committed: no table yet. */
        if (code == ERR_NOT_FOUND && a->position == 0) code = ERR_OK;
        TRY(code);
        audit_progress(a, CHECK_FILES, t + 1, TABLE_MAX);
    }
    for (size_t i = 0; i < a->foreign.count; i++)
        a->result->foreign_rows += a->foreign.items[i].count;
    a->result->checks[CHECK_FOREIGN].compared = a->result->foreign_rows;
    return ERR_OK;
}
