/* extra_internal.h - columns that a table has beyond those of event/schema.h: what other programs' schemas on the bus brought,
 * or what another program added to the table.
 *
 * Pushed    values wait beside the rows (extra.c), by the row's number; each wanted column is known by name and type.
 * Columns   evolve.c adds those that the table lacks, before any file with them is written: one change of the metadata's schema
 *           without a snapshot, under the catalog's lock, so that all workers use one field id.
 * Files     only those that got a value have the column. Joining files keeps it; all our readers leave it unread.
 * Ids       1 to 10,000 are for columns of ticklake, for ever; added ones come behind.
 */
#ifndef TICKLAKE_LAKE_EXTRA_INTERNAL_H
#define TICKLAKE_LAKE_EXTRA_INTERNAL_H

#include "lake/lake.h"

enum {
    LAKE_EXTRAS_MAX = 64,      /* columns of a table that are written and kept */
    LAKE_WANTED_EXTRAS = 1024, /* names of one table that are remembered */
    LAKE_EXTRA_ID = 10000,
    LAKE_EXTRA_NAME = 129,
};

struct lake_extra { /* as the table has it */
    char name[LAKE_EXTRA_NAME], type_text[48];
    bool known;  /* of a type that we write; else `type` says nothing */
    bool usable; /* known, and among the first LAKE_EXTRAS_MAX of those */
    enum column_type type;
    int32_t field_id;
};
struct lake_extras {
    struct lake_extra *items;
    size_t count, cap;
};

struct lake_wanted_extra { /* as events had it; by name and type */
    char *name, *from;
    enum column_type type;
    bool used;      /* by the rows that wait */
    bool dropped;   /* cannot be a column; was told */
    uint64_t asked; /* by which push last */
    int slot;       /* among the columns of the file that is being written; -1: none */
};
struct lake_extra_value {
    uint32_t next, row, wanted;
    int64_t number;
    i128 decimal;
    struct str bytes;
};
struct lake_extra_rows {
    struct lake_wanted_extra *wanted;
    size_t wanted_count, wanted_cap;
    uint64_t pushes;
    struct lake_extra_value *values;
    size_t value_count, value_cap;
    uint32_t *heads; /* by row: the first of its values */
    size_t head_count, head_cap;
};

struct lake_table;
struct lake_row_set;
struct lake_sorted;
/* extra.c. Rows of the batch are pushed; `before`: how many of each table there were. All or nothing. */
enum err_code lake_extras_push(struct lake *l, const struct batch *b,
                               const size_t before[TABLE_MAX], struct err *e) MUST_USE;
/* The row is another one now. */
void lake_extras_forget(struct lake *l, enum table_id id, size_t row);
void lake_extras_clear(struct lake *l);
void lake_extras_done(struct lake *l);
/* Which columns of the table the rows that wait have values for: pointers into the table's list. */
size_t lake_extras_choose(struct lake *l, const struct lake_table *t,
                          const struct lake_extra *chosen[LAKE_EXTRAS_MAX]);
/* The values of these rows, which are being filled into the set behind set->rows. */
void lake_extras_fill(struct lake *l, enum table_id id, struct lake_row_set *set,
                      const struct lake_sorted *rows, size_t count);
const struct lake_extra *lake_extra_by_name(const struct lake_table *t, const char *name);

/* evolve.c: adds columns that the rows that wait need, and those of ours that an older ticklake's table lacks.
 * ERR_INCOMPATIBLE: the table has one of that name and another type. */
enum err_code lake_evolve(struct lake *l, struct lake_table *t, struct err *e) MUST_USE;
/* t->metadata with the columns that it lacks; *ret_added: how many. */
enum err_code lake_metadata_add_columns(struct lake *l, const struct lake_table *t, struct buf *ret,
                                        size_t *ret_added, struct err *e) MUST_USE;

#endif
