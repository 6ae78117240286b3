#include "base/log.h"
#include "lake/lake_internal.h"

#include <stdlib.h>

/* Values for columns beyond ours, from the batch to the columns of a file. A table without any costs nothing. */

enum { NONE = UINT32_MAX };

/* ---- pushing */

static uint32_t wanted_of(struct lake *l, const struct extra_column *c)
{
    struct lake_extra_rows *x = &l->extras[c->table];
    size_t at = x->wanted_count;
    for (size_t i = 0; i < x->wanted_count; i++) {
        if (x->wanted[i].type == c->type && str_is(c->name, x->wanted[i].name)) {
            x->wanted[i].asked = x->pushes;
            return (uint32_t)i;
        }
        /* One that no waiting value points to makes room, so that a writer of ever new names costs the others nothing. */
        if (x->wanted_count == LAKE_WANTED_EXTRAS && !x->wanted[i].used &&
            x->wanted[i].asked != x->pushes)
            at = i;
    }
    if (at == LAKE_WANTED_EXTRAS) {
        atomic_fetch_add(&l->stats.columns_refused, 1);
        LOG(WARN, "lake", "a field of another writer's schema is left out",
            LOG_STR("table", table_of(c->table)->name),
            LOG_STR("why", "too many different ones wait for a commit"));
        return NONE;
    }
    if (at == x->wanted_count)
        x->wanted = array_grown(x->wanted, x->wanted_count, &x->wanted_cap, sizeof *x->wanted);
    struct lake_wanted_extra *w = &x->wanted[at];
    if (at < x->wanted_count) {
        free(w->name);
        free(w->from);
    } else {
        x->wanted_count++;
    }
    *w = (struct lake_wanted_extra){.name = strndup(c->name.p, c->name.n),
                                    .from = strndup(c->from.p, c->from.n),
                                    .type = c->type,
                                    .asked = x->pushes,
                                    .slot = -1};
    CHECK(w->name != NULL && w->from != NULL);
    return (uint32_t)at;
}

static void need_heads(struct lake_extra_rows *x, size_t rows)
{
    if (rows > x->head_cap) {
        x->head_cap = rows * 2;
        x->heads = realloc(x->heads, x->head_cap * sizeof *x->heads);
        CHECK(x->heads != NULL);
    }
    while (x->head_count < rows) x->heads[x->head_count++] = NONE;
}

/* Of several events of one key in the batch the last one is the row. */
struct keyed_rows {
    uint32_t *row, *last; /* row of each event; event of each row */
};

static struct keyed_rows keyed_rows(const struct lake *l, const struct batch *b, enum table_id id)
{
    size_t events = id == TABLE_GAPS ? b->gap_count : b->instrument_count;
    struct keyed_rows k = {malloc((events + 1) * sizeof *k.row),
                           malloc((l->rows[id].count + 1) * sizeof *k.last)};
    CHECK(k.row != NULL && k.last != NULL);
    for (size_t i = 0; i < events; i++) {
        const struct instrument *n = id == TABLE_GAPS ? NULL : &b->instruments[i];
        u128 key =
            n ? lake_key_instrument(n->venue, n->venue_symbol) : lake_key_gap(b->gaps[i].gap_id);
        k.row[i] = lake_rows_find(&l->rows[id], key);
        k.last[k.row[i]] = (uint32_t)i;
    }
    return k;
}

struct pushing {
    struct lake *l;
    const struct batch *b;
    const size_t *before;
    uint32_t *wanted; /* by the batch's number of the column */
    struct keyed_rows keyed[TABLE_MAX];
};

static bool row_of(struct pushing *p, enum table_id id, uint32_t index, uint32_t *ret)
{
    if (id == TABLE_GAPS || id == TABLE_INSTRUMENTS) {
        struct keyed_rows *k = &p->keyed[id];
        if (!k->row) *k = keyed_rows(p->l, p->b, id);
        *ret = k->row[index];
        return k->last[*ret] == index;
    }
    size_t cut = id == TABLE_TRADES ? p->b->trades_cut : 0;
    *ret = (uint32_t)(p->before[id] + index - cut);
    return index >= cut;
}

static enum err_code push_one(struct pushing *p, const struct extra *from, struct err *e)
{
    enum table_id id = p->b->extra_columns[from->column].table;
    struct lake_extra_rows *x = &p->l->extras[id];
    uint32_t row, wanted = p->wanted[from->column];
    if (wanted == NONE || !row_of(p, id, from->index, &row)) return ERR_OK;
    struct lake_extra_value v = {.row = row,
                                 .wanted = wanted,
                                 .number = from->number,
                                 .decimal = from->decimal,
                                 .bytes = STR("")};
    if (from->bytes.n && !arena_copy(&p->l->text, from->bytes, &v.bytes))
        return ERR(e, ERR_FULL, "lake: too much text waits for a commit");
    CHECK(x->value_count < NONE);
    x->wanted[wanted].used = true;
    need_heads(x, p->l->rows[id].count);
    v.next = x->heads[row];
    x->values = array_grown(x->values, x->value_count, &x->value_cap, sizeof *x->values);
    x->heads[row] = (uint32_t)x->value_count;
    x->values[x->value_count++] = v;
    return ERR_OK;
}

static void take_back(struct lake *l, const size_t values[TABLE_MAX])
{
    for (int id = 0; id < TABLE_MAX; id++) {
        struct lake_extra_rows *x = &l->extras[id];
        for (; x->value_count > values[id]; x->value_count--)
            x->heads[x->values[x->value_count - 1].row] = NONE;
    }
}

enum err_code lake_extras_push(struct lake *l, const struct batch *b,
                               const size_t before[TABLE_MAX], struct err *e)
{
    if (b->extra_column_count == 0) return ERR_OK;
    size_t values[TABLE_MAX];
    for (int id = 0; id < TABLE_MAX; id++) {
        values[id] = l->extras[id].value_count;
        l->extras[id].pushes++;
    }
    struct pushing p = {.l = l, .b = b, .before = before};
    p.wanted = malloc(b->extra_column_count * sizeof *p.wanted);
    CHECK(p.wanted != NULL);
    for (size_t i = 0; i < b->extra_column_count; i++) {
        enum table_id id = b->extra_columns[i].table;
        p.wanted[i] = wanted_of(l, &b->extra_columns[i]);
        /* Of trades that are only looked at again the field may be one whose column was renamed since. */
        if (p.wanted[i] != NONE && !(id == TABLE_TRADES && b->trades_cut))
            l->extras[id].wanted[p.wanted[i]].used = true;
    }
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < b->extra_count && code == ERR_OK; i++)
        code = push_one(&p, &b->extras[i], e);
    if (code != ERR_OK) take_back(l, values);
    for (int id = 0; id < TABLE_MAX; id++) {
        free(p.keyed[id].row);
        free(p.keyed[id].last);
    }
    free(p.wanted);
    return code;
}

void lake_extras_forget(struct lake *l, enum table_id id, size_t row)
{
    struct lake_extra_rows *x = &l->extras[id];
    if (row < x->head_count) x->heads[row] = NONE;
}

void lake_extras_clear(struct lake *l)
{
    for (int id = 0; id < TABLE_MAX; id++) {
        struct lake_extra_rows *x = &l->extras[id];
        x->value_count = x->head_count = 0;
        for (size_t i = 0; i < x->wanted_count; i++) x->wanted[i].used = false;
    }
}

void lake_extras_done(struct lake *l)
{
    for (int id = 0; id < TABLE_MAX; id++) {
        struct lake_extra_rows *x = &l->extras[id];
        for (size_t i = 0; i < x->wanted_count; i++) {
            free(x->wanted[i].name);
            free(x->wanted[i].from);
        }
        free(x->wanted);
        free(x->values);
        free(x->heads);
    }
}

/* ---- writing */

const struct lake_extra *lake_extra_by_name(const struct lake_table *t, const char *name)
{
    for (size_t i = 0; i < t->extras.count; i++)
        if (strcmp(t->extras.items[i].name, name) == 0) return &t->extras.items[i];
    return NULL;
}

size_t lake_extras_choose(struct lake *l, const struct lake_table *t,
                          const struct lake_extra *chosen[LAKE_EXTRAS_MAX])
{
    struct lake_extra_rows *x = &l->extras[t->t->id];
    size_t count = 0;
    for (size_t i = 0; i < x->wanted_count; i++) {
        struct lake_wanted_extra *w = &x->wanted[i];
        w->slot = -1;
        const struct lake_extra *found = w->used ? lake_extra_by_name(t, w->name) : NULL;
        if (!found || !found->usable || found->type != w->type) continue;
        w->slot = (int)count;
        chosen[count++] = found;
    }
    return count;
}

static void set_value(struct lake_row_set *s, int c, size_t row, const struct lake_extra_value *v)
{
    struct lake_column *col = &s->columns[c];
    col->present[row] = 1;
    switch (lake_row_set_type(s, c)) {
    case COLUMN_STRING:
    case COLUMN_BINARY: col->strings[row] = v->bytes; break;
    case COLUMN_DECIMAL: col->decimals[row] = v->decimal; break;
    case COLUMN_TIME:
    case COLUMN_LONG: col->longs[row] = v->number; break;
    case COLUMN_BOOLEAN: col->booleans[row] = v->number != 0; break;
    }
}

void lake_extras_fill(struct lake *l, enum table_id id, struct lake_row_set *s,
                      const struct lake_sorted *rows, size_t count)
{
    const struct lake_extra_rows *x = &l->extras[id];
    if (s->extra_count == 0) return;
    for (size_t i = 0; i < s->extra_count; i++)
        lake_row_set_absent(s, s->t->column_count + (int)i, count);
    for (size_t i = 0; i < count; i++) {
        if (rows[i].index >= x->head_count) continue;
        for (uint32_t n = x->heads[rows[i].index]; n != NONE; n = x->values[n].next) {
            int slot = x->wanted[x->values[n].wanted].slot;
            if (slot >= 0) set_value(s, s->t->column_count + slot, s->rows + i, &x->values[n]);
        }
    }
}
