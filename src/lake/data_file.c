#include "lake/lake_internal.h"

#include <stdio.h>
#include <stdlib.h>

static enum err_code to_file(void *ctx, const void *data, size_t len, struct err *e)
{
    return file_writer_add(ctx, data, len, e);
}

/* Hive-like folders are only habit: readers go by the manifests. They let a person find a day. */
static enum err_code make_location(struct lake *l, struct lake_change *c, const char *suffix,
                                   int32_t day, char out[LAKE_LOCATION_MAX], struct err *e)
{
    const struct lake_table *t = c->table;
    char folder[LAKE_LOCATION_MAX], text[16] = "null";
    int n;
    if (t->t->day_column < 0) {
        n = snprintf(folder, sizeof folder, "%s/data", t->location);
    } else {
        if (day != LAKE_NO_DAY) lake_day_text(day, text);
        n = snprintf(folder, sizeof folder, "%s/data/%s_day=%s", t->location,
                     t->t->columns[t->t->day_column].name, text);
    }
    CHECK(n > 0 && (size_t)n < sizeof folder);
    TRY(lake_make_folder(l, folder, e));
    n = snprintf(out, LAKE_LOCATION_MAX, "%s/%s-%05d%s.parquet", folder, c->uuid, c->file_number++,
                 suffix);
    if (n < 0 || n >= LAKE_LOCATION_MAX)
        return ERR(e, ERR_CONFIG, "%s: the path is too long for an Iceberg catalog", folder);
    return ERR_OK;
}

/* Prices, sizes and counts repeat; ids, exact times and free texts do not. */
static bool try_dictionary(const struct table *t, int c)
{
    const char *name = t->columns[c].name;
    switch (t->columns[c].type) {
    case COLUMN_DECIMAL: return true;
    case COLUMN_LONG: return strcmp(name, "trade_count") == 0 || strcmp(name, "revision") == 0;
    case COLUMN_STRING: return !str_contains(str_of(name), "trade_id");
    default: return false;
    }
}

static int column_count(const struct lake_data_writer *w)
{
    return w->table->t->column_count + (int)w->extra_count;
}

enum err_code lake_data_open(struct lake_data_writer *w, struct lake_change *c, int32_t day,
                             struct err *e)
{
    struct lake *l = w->l;
    const struct table *t = c->table->t;
    w->table = c->table;
    w->parquet = NULL;
    w->file = NULL;
    w->day = day;
    TRY(make_location(l, c, "", day, w->location, e));
    TRY(lake_file_open(l, w->location, &w->file, e));
    for (int i = 0; i < t->column_count; i++)
        w->columns[i] = (struct parquet_column){.name = t->columns[i].name,
                                                .type = t->columns[i].type,
                                                .required = t->columns[i].required,
                                                .field_id = i + 1,
                                                .try_dictionary = try_dictionary(t, i)};
    for (size_t i = 0; i < w->extra_count; i++)
        w->columns[t->column_count + (int)i] =
            (struct parquet_column){.name = w->extras[i]->name,
                                    .type = w->extras[i]->type,
                                    .field_id = w->extras[i]->field_id,
                                    .try_dictionary = true};
    const struct parquet_writer_options o = {.columns = w->columns,
                                             .column_count = column_count(w),
                                             .sort_columns = t->sort_columns,
                                             .sort_count = t->sort_count,
                                             .sink = to_file,
                                             .sink_ctx = w->file};
    return parquet_writer_new(&o, &w->parquet, e);
}

void lake_data_abort(struct lake_data_writer *w)
{
    w->parquet = parquet_writer_free(w->parquet);
    w->file = file_writer_abort(w->file);
}

enum err_code lake_data_add(struct lake_data_writer *w, const struct lake_row_set *s, struct err *e)
{
    struct parquet_values values[LAKE_COLUMNS_ALL];
    CHECK(s->extra_count == w->extra_count);
    for (int i = 0; i < column_count(w); i++) {
        const struct lake_column *c = &s->columns[i];
        values[i] = (struct parquet_values){.present = c->absent ? c->present : NULL};
        if (c->coded) {
            values[i].codes = c->codes;
            values[i].dictionary = c->dictionary_count ? c->dictionary : &(struct str){"", 0};
            values[i].dictionary_count = c->dictionary_count ? c->dictionary_count : 1;
            continue;
        }
        values[i].strings = c->strings; /* all members of the union are one pointer */
    }
    return parquet_writer_row_group(w->parquet, values, s->rows, e);
}

/* ---- what the manifest says of the file */

static struct str copy_bytes(struct arena *a, const void *p, size_t n)
{
    struct str ret;
    CHECK(arena_copy(a, (struct str){p, n}, &ret));
    return ret;
}

static struct str long_bytes(struct arena *a, int64_t v)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++) b[i] = (uint8_t)((uint64_t)v >> (8 * i));
    return copy_bytes(a, b, sizeof b);
}

/* Unscaled, two's complement, big-endian, in the fewest bytes. */
static struct str decimal_bytes(struct arena *a, i128 v)
{
    uint8_t b[16];
    for (int i = 0; i < 16; i++) b[15 - i] = (uint8_t)((u128)v >> (8 * i));
    size_t from = 0;
    while (from < 15 &&
           ((b[from] == 0 && !(b[from + 1] & 0x80)) || (b[from] == 0xff && (b[from + 1] & 0x80))))
        from++;
    return copy_bytes(a, b + from, sizeof b - from);
}

static void add_bound(struct lake_bounds *b, int32_t id, struct str v)
{
    b->items[b->count++] = (struct lake_id_bytes){id, v};
}

static void column_bounds(struct arena *a, struct lake_entry *n, enum column_type type, int32_t id,
                          const struct parquet_column_stats *s)
{
    switch (type) {
    case COLUMN_TIME:
    case COLUMN_LONG:
        add_bound(&n->lower, id, long_bytes(a, s->min_long));
        add_bound(&n->upper, id, long_bytes(a, s->max_long));
        break;
    case COLUMN_DECIMAL:
        add_bound(&n->lower, id, decimal_bytes(a, s->min_decimal));
        add_bound(&n->upper, id, decimal_bytes(a, s->max_decimal));
        break;
    case COLUMN_STRING:
        add_bound(&n->lower, id, copy_bytes(a, s->min_text, s->min_text_len));
        add_bound(&n->upper, id, copy_bytes(a, s->max_text, s->max_text_len));
        break;
    case COLUMN_BOOLEAN:
    case COLUMN_BINARY: break; /* nobody prunes by them */
    }
}

static void *room(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    CHECK(p != NULL);
    return p;
}

static void stats_to_entry(struct arena *a, const struct parquet_writer *w,
                           const struct parquet_column *columns, int count, struct lake_entry *n)
{
    struct lake_longs *const longs[] = {&n->sizes, &n->values, &n->nulls};
    for (int i = 0; i < 3; i++) {
        longs[i]->items = room(a, (size_t)count * sizeof *longs[i]->items);
        longs[i]->present = true;
    }
    n->lower.items = room(a, (size_t)count * sizeof *n->lower.items);
    n->upper.items = room(a, (size_t)count * sizeof *n->upper.items);
    n->lower.present = n->upper.present = true;
    for (int c = 0; c < count; c++) {
        const struct parquet_column_stats *s = parquet_writer_stats(w, c);
        const int64_t numbers[] = {s->compressed_bytes, s->values, s->nulls};
        for (int i = 0; i < 3; i++)
            longs[i]->items[longs[i]->count++] =
                (struct lake_id_long){columns[c].field_id, numbers[i]};
        if (s->has_bounds) column_bounds(a, n, columns[c].type, columns[c].field_id, s);
    }
    const int64_t *splits;
    size_t split_count = parquet_writer_splits(w, &splits);
    n->splits = (struct lake_longs){.present = true};
    n->splits.items = room(a, (split_count + 1) * sizeof *n->splits.items);
    for (size_t i = 0; i < split_count; i++)
        n->splits.items[n->splits.count++] = (struct lake_id_long){0, splits[i]};
}

static void start_entry(struct lake_change *c, struct lake_entry *n, const char *location)
{
    *n = (struct lake_entry){.status = LAKE_ADDED,
                             .snapshot_id = c->snapshot_id,
                             .sequence_number = LAKE_NULL,
                             .file_sequence_number = LAKE_NULL,
                             .format = STR("PARQUET"),
                             .sort_order_id = LAKE_NULL,
                             .path = copy_bytes(&c->text, location, strlen(location))};
}

static enum err_code finish(struct lake *l, struct parquet_writer *p, const char *location,
                            struct file_writer **f, struct lake_entry *n, struct err *e)
{
    TRY(parquet_writer_finish(p, e));
    n->rows = parquet_writer_rows(p);
    n->bytes = (int64_t)parquet_writer_bytes(p);
    CHECK((uint64_t)n->bytes == file_writer_size(*f));
    struct file_writer *file = *f;
    *f = NULL; /* finish frees it whatever happens */
    TRY(lake_file_finish(l, location, file, e));
    atomic_fetch_add(&l->stats.files_written, 1);
    atomic_fetch_add(&l->stats.bytes_written, n->bytes);
    return ERR_OK;
}

enum err_code lake_data_finish(struct lake_data_writer *w, struct lake_change *c, struct err *e)
{
    struct lake_entry n;
    start_entry(c, &n, w->location);
    n.content = LAKE_DATA;
    n.day = w->day;
    n.sort_order_id = c->table->sort_order_id;
    enum err_code code = finish(w->l, w->parquet, w->location, &w->file, &n, e);
    if (code == ERR_OK) {
        stats_to_entry(&c->text, w->parquet, w->columns, column_count(w), &n);
        code = lake_sync_folder(w->l, w->location, e);
    }
    if (code == ERR_OK) lake_change_add(c)->entry = n;
    lake_data_abort(w);
    return code;
}

/* ---- position deletes */

struct delete_row {
    struct str path;
    int64_t position;
    int32_t day;
};

static int by_day_path_position(const void *a, const void *b)
{
    const struct delete_row *x = a, *y = b;
    if (x->day != y->day) return x->day < y->day ? -1 : 1;
    int order = str_cmp(x->path, y->path);
    return order ? order : (x->position > y->position) - (x->position < y->position);
}

static const struct parquet_column delete_columns[] = {
    {.name = "file_path",
     .type = COLUMN_STRING,
     .required = true,
     .field_id = LAKE_FIELD_DELETE_PATH},
    {.name = "pos", .type = COLUMN_LONG, .required = true, .field_id = LAKE_FIELD_DELETE_POS},
};

/* Always a dictionary: PyIceberg asks for this column as one, and pyarrow cannot make it of DELTA_BYTE_ARRAY pages (it fails,
 * and with it every scan of the table). */
static enum err_code put_deletes(struct parquet_writer *w, const struct delete_row *rows,
                                 size_t count, struct err *e)
{
    struct str *paths = malloc(count * sizeof *paths);
    uint32_t *codes = malloc(count * sizeof *codes), distinct = 0;
    int64_t *positions = malloc(count * sizeof *positions);
    CHECK(paths != NULL && codes != NULL && positions != NULL);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !str_eq(rows[i].path, rows[i - 1].path)) paths[distinct++] = rows[i].path;
        codes[i] = distinct - 1;
        positions[i] = rows[i].position;
    }
    const struct parquet_values values[] = {
        {.codes = codes, .dictionary = paths, .dictionary_count = distinct}, {.longs = positions}};
    enum err_code code = parquet_writer_row_group(w, values, count, e);
    free(paths);
    free(codes);
    free(positions);
    return code;
}

/* Whole paths as bounds (all paths share their first 16 characters), so that readers skip what does not matter. */
static void delete_bounds(struct lake_change *c, struct lake_entry *n,
                          const struct delete_row *rows, size_t count)
{
    struct lake_bounds *const bounds[] = {&n->lower, &n->upper};
    const struct str paths[] = {rows[0].path, rows[count - 1].path};
    for (int i = 0; i < 2; i++) {
        *bounds[i] = (struct lake_bounds){.present = true};
        bounds[i]->items = room(&c->text, sizeof *bounds[i]->items);
        add_bound(bounds[i], LAKE_FIELD_DELETE_PATH, copy_bytes(&c->text, paths[i].p, paths[i].n));
    }
}

static enum err_code write_deletes(struct lake *l, struct lake_change *c,
                                   const struct delete_row *rows, size_t count, struct err *e)
{
    char location[LAKE_LOCATION_MAX];
    struct file_writer *file = NULL;
    struct parquet_writer *w = NULL;
    struct lake_entry n;
    TRY(make_location(l, c, "-deletes", rows->day, location, e));
    TRY(lake_file_open(l, location, &file, e));
    const struct parquet_writer_options o = {
        .columns = delete_columns, .column_count = 2, .sink = to_file, .sink_ctx = file};
    enum err_code code = parquet_writer_new(&o, &w, e);
    if (code == ERR_OK) code = put_deletes(w, rows, count, e);
    start_entry(c, &n, location);
    n.content = LAKE_DELETES;
    n.day = rows->day;
    if (code == ERR_OK) code = finish(l, w, location, &file, &n, e);
    if (code == ERR_OK) {
        stats_to_entry(&c->text, w, delete_columns, 2, &n);
        delete_bounds(c, &n, rows, count);
        code = lake_sync_folder(l, location, e);
    }
    if (code == ERR_OK) lake_change_add(c)->entry = n;
    parquet_writer_free(w);
    file_writer_abort(file);
    return code;
}

enum err_code lake_deletes_write(struct lake *l, struct lake_change *c, struct err *e)
{
    if (c->target_count == 0) return ERR_OK;
    struct delete_row *rows = malloc(c->target_count * sizeof *rows);
    CHECK(rows != NULL);
    for (size_t i = 0; i < c->target_count; i++) {
        const struct lake_target *t = &c->targets[i];
        if (t->added) { /* readers apply deletes of one sequence number to data of the same */
            const struct lake_entry *n = &c->added[t->added - 1].entry;
            CHECK(t->added <= c->added_count && n->content == LAKE_DATA);
            rows[i] = (struct delete_row){n->path, t->position, n->day};
            continue;
        }
        const struct lake_live *f = lake_index_by_serial(c->table, t->serial);
        CHECK(f != NULL && f->content == LAKE_DATA);
        rows[i] = (struct delete_row){f->path, t->position, f->day};
    }
    qsort(rows, c->target_count, sizeof *rows, by_day_path_position);
    enum err_code code = ERR_OK;
    for (size_t from = 0, to; from < c->target_count && code == ERR_OK; from = to) {
        for (to = from + 1; to < c->target_count && rows[to].day == rows[from].day;) to++;
        code = write_deletes(l, c, rows + from, to - from, e);
    }
    free(rows);
    return code;
}

enum err_code lake_deletes_read(struct lake *l, const struct lake_live *f,
                                enum err_code (*each)(void *ctx, struct str path, int64_t position,
                                                      struct err *e),
                                void *ctx, struct err *e)
{
    char path[PATH_LIMIT];
    struct parquet_reader *r = NULL;
    TRY(lake_fetch(l, f->path, f->bytes, path, e));
    TRY(parquet_reader_open(path, &r, e));
    int paths = parquet_reader_column(r, LAKE_FIELD_DELETE_PATH);
    int positions = parquet_reader_column(r, LAKE_FIELD_DELETE_POS);
    enum err_code code = ERR_OK;
    if (paths < 0 || positions < 0)
        code = ERR(e, ERR_CORRUPT, "%s: not a position delete file", path);
    for (int g = 0; g < parquet_reader_row_groups(r) && code == ERR_OK; g++) {
        struct parquet_chunk names, numbers;
        code = parquet_reader_read(r, g, paths, COLUMN_STRING, &names, e);
        if (code == ERR_OK) code = parquet_reader_read(r, g, positions, COLUMN_LONG, &numbers, e);
        if (code == ERR_OK && names.rows != numbers.rows)
            code = ERR(e, ERR_CORRUPT, "%s: columns of different lengths", path);
        for (size_t i = 0; code == ERR_OK && i < names.rows; i++)
            code = each(ctx, names.strings[i], numbers.longs[i], e);
    }
    parquet_reader_close(r);
    return code;
}
