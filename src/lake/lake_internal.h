/* lake_internal.h - what the files of this folder share. Nobody outside includes it.
 *
 * From top to bottom: names, the catalog, what a table looks like in memory, its files on disk, one commit.
 * A commit is a `struct change` per touched table. Building it never touches the table's state, so that a lost race
 * can throw the built part away; the table takes it over once the catalog's transaction is durable.
 */
#ifndef TICKLAKE_LAKE_LAKE_INTERNAL_H
#define TICKLAKE_LAKE_LAKE_INTERNAL_H

#include "base/arena.h"
#include "base/array.h"
#include "base/map.h"
#include "io/file.h"
#include "avro/avro.h"
#include "lake/catalog_internal.h"
#include "lake/extra_internal.h"
#include "lake/file_internal.h"
#include "lake/lake.h"
#include "parquet/parquet.h"

#include <sqlite3.h>
#include <stdatomic.h>

#define LAKE_NEVER()   check_failed(__FILE__, __LINE__, "a place that is never reached")
#define LAKE_NAMESPACE "market"
#define LAKE_CATALOG   "ticklake"

enum {
    LAKE_COLUMNS_MAX = 32, /* of ours */
    LAKE_COLUMNS_ALL = LAKE_COLUMNS_MAX + LAKE_EXTRAS_MAX,
    LAKE_ROW_GROUP = 65536, /* rows; a merge holds one row group of each input in memory */
    LAKE_MANIFEST_FAN = 16, /* so many manifests of one size class are merged into one */
    LAKE_SWAP_TRIES = 20,
    LAKE_FORMAT_VERSION = 2,
    LAKE_FIELD_DELETE_PATH = 2147483546,
    LAKE_FIELD_DELETE_POS = 2147483545,
};
#define LAKE_JSON_LIMIT ((size_t)64 << 20)
#define LAKE_AVRO_LIMIT ((size_t)256 << 20)
#define LAKE_NO_DAY     INT32_MIN
#define LAKE_NULL       INT64_MIN /* an absent number of a manifest entry */

/* ---- index.c, index_load.c: the files and manifests of the current snapshot. */
enum { LAKE_DATA = 0, LAKE_DELETES = 1, LAKE_EQUALITY = 2 };

struct lake_live {
    uint32_t serial;   /* never reused while the lake is open; the array is sorted by it */
    uint32_t manifest; /* serial of the manifest that lists it */
    int8_t content;
    bool foreign, unreadable, our_spec;
    bool has_range;
    int32_t day; /* or LAKE_NO_DAY */
    int64_t rows, bytes, snapshot_id, sequence_number;
    int64_t low, high; /* of the table's range column: micros, or gap_id */
    struct str
        path; /* location as in the manifest, with a zero behind; owns the memory of the five */
    struct str lower[2], upper[2]; /* of venue and symbol, cut; empty: unknown */
    int64_t *deleted;              /* sorted positions that live delete files name */
    size_t deleted_count, deleted_cap;
};

struct lake_summary { /* of one partition field in the manifest list */
    bool contains_null, has_nan, contains_nan, has_lower, has_upper;
    struct str lower, upper;
};
struct lake_manifest {
    uint32_t serial;
    int32_t spec_id, content; /* 0 data, 1 deletes */
    int64_t length, sequence_number, min_sequence_number, added_snapshot_id;
    int64_t added_files, existing_files, deleted_files, added_rows, existing_rows, deleted_rows;
    bool has_summaries, ours;
    size_t summary_count;
    struct lake_summary *summaries; /* one block with the path, owned */
    char *path;
};

/* ---- manifest.c: entries of manifests as they are on disk. */
struct lake_id_long {
    int32_t id;
    int64_t value;
};
struct lake_id_bytes {
    int32_t id;
    struct str value;
};
struct lake_longs {
    bool present;
    size_t count;
    struct lake_id_long *items;
};
struct lake_bounds {
    bool present;
    size_t count;
    struct lake_id_bytes *items;
};
struct lake_entry {
    int32_t status; /* 0 existing, 1 added, 2 deleted */
    int32_t content;
    int32_t day;
    int64_t snapshot_id, sequence_number, file_sequence_number; /* LAKE_NULL: inherited */
    int64_t rows, bytes, sort_order_id;
    struct str path, format, key_metadata;
    struct lake_longs sizes, values, nulls, nans, splits, equality;
    struct lake_bounds lower, upper;
};
enum { LAKE_EXISTING = 0, LAKE_ADDED = 1, LAKE_REMOVED = 2 };

struct lake_table;
struct lake;
/* One manifest being written: entries counted, partition bounds kept, the path made up from uuid and number. */
struct lake_manifest_writer {
    struct lake_table *table;
    struct avro_writer *avro;
    struct lake_manifest m;
    bool any_day, any_null;
    int32_t day_low, day_high;
};
void lake_manifest_begin(struct lake_manifest_writer *w, struct lake_table *t, int content);
void lake_manifest_put(struct lake_manifest_writer *w, const struct lake_entry *entry,
                       int64_t sequence_number);
enum err_code lake_manifest_end(struct lake *l, struct lake_manifest_writer *w, int64_t snapshot_id,
                                int64_t sequence_number, struct lake_manifest *ret,
                                struct err *e) MUST_USE;
void lake_manifest_drop(struct lake_manifest_writer *w);
/* Each entry of the manifest with inherited numbers filled in; entry memory lasts for the call. */
typedef enum err_code (*lake_entry_each)(void *ctx, const struct lake_entry *entry, struct err *e);
enum err_code lake_manifest_read(struct lake *l, const struct lake_manifest *m,
                                 lake_entry_each each, void *ctx, struct err *e) MUST_USE;
void lake_manifest_free(struct lake_manifest *m);
void lake_manifest_copy(struct lake_manifest *to, const struct lake_manifest *from);
enum err_code lake_list_write(struct lake *l, struct lake_table *t,
                              const struct lake_manifest *items, size_t count, int64_t snapshot_id,
                              int64_t parent_id, int64_t sequence_number, const char *location,
                              struct err *e) MUST_USE;
/* Appends to *ret (malloc'd array), serials not set. */
enum err_code lake_list_read(struct lake *l, struct str location, struct lake_manifest **ret,
                             size_t *ret_count, struct err *e) MUST_USE;

/* ---- table.c: one table as the catalog and its metadata JSON have it. */
struct lake_totals {
    int64_t data_files, delete_files, rows, bytes, position_deletes, equality_deletes;
};
struct lake_table {
    const struct table *t;
    int range_column; /* index of the column that low and high are of, or -1 */
    char *metadata_location;
    struct buf metadata; /* the JSON at that place */
    char location[LAKE_LOCATION_MAX];
    int64_t last_sequence_number, last_updated_ms, snapshot_id /* -1: none */;
    int64_t newest_rows_ms; /* of the newest snapshot that is not upkeep alone; -1: none */
    int64_t snapshot_count, schema_id, spec_id, sort_order_id;
    int64_t index_spec_id; /* as it was when the index was loaded */
    char *list_location;   /* of the current snapshot, or NULL */
    char *schema_json, *spec_json, *manifest_schema;
    struct lake_extras extras; /* columns of the current schema that are not ours */
    uint64_t absent; /* bit per column of ours that it has not: an older ticklake made the table */
    struct lake_manifest *manifests;
    size_t manifest_count;
    struct lake_live *files;
    size_t file_count, file_cap;
    struct lake_totals totals;
    uint32_t next_serial;
    struct lake_garbage *vanished; /* files of ours that another writer took out */
    size_t vanished_count, vanished_cap;
    bool dirty, due; /* files came or went since compaction last looked; what it found */
    bool hint_stale;
};
enum err_code lake_table_open(struct lake *l, enum table_id id, struct err *e) MUST_USE;
/* Reads the pointer again; when somebody else moved it, loads the metadata and the index anew. */
enum err_code lake_table_refresh(struct lake *l, struct lake_table *t, bool *ret_moved,
                                 struct err *e) MUST_USE;
void lake_table_done(struct lake_table *t);
void lake_table_hint(
    struct lake_table *t); /* brings version-hint.text up to date; a failure only delays it */

enum err_code lake_index_load(struct lake *l, struct lake_table *t, struct err *e) MUST_USE;
void lake_index_clear(struct lake_table *t);
struct lake_live *lake_index_by_serial(const struct lake_table *t,
                                       uint32_t serial); /* NULL: not live */
struct lake_live *lake_index_by_path(const struct lake_table *t, struct str path);
struct lake_live *lake_index_add(struct lake_table *t, const struct lake_entry *entry,
                                 uint32_t manifest, bool our_spec);
void lake_index_keep(struct lake_table *t, const struct lake_live *f); /* with its memory */
void lake_index_remove(struct lake_table *t, const uint32_t *serials, size_t count);
bool lake_live_is_deleted(const struct lake_live *f, int64_t position);
void lake_live_delete(struct lake_live *f, int64_t position);
enum err_code lake_deletes_read(struct lake *l, const struct lake_live *f,
                                enum err_code (*each)(void *ctx, struct str path, int64_t position,
                                                      struct err *e),
                                void *ctx, struct err *e) MUST_USE;

/* ---- metadata_json.c */
enum err_code lake_metadata_new(struct lake *l, struct lake_table *t, int64_t now_ms,
                                struct buf *ret, struct err *e) MUST_USE;
const char *lake_type_text(enum column_type type); /* "decimal(38, 18)" */
/* Of the metadata file behind the table's present one. */
enum err_code lake_metadata_name(const struct lake_table *t, char out[LAKE_LOCATION_MAX],
                                 struct err *e) MUST_USE;
/* Fills the facts of *t from t->metadata. */
enum { LAKE_JSON_DEPTH = 64, LAKE_SNAPSHOTS_MAX = 100000 };
enum err_code lake_metadata_parse(struct lake_table *t, struct err *e) MUST_USE;
/* Nested no deeper than LAKE_JSON_DEPTH: to be asked before JSON of others is parsed. */
bool lake_json_is_shallow(struct str s);
struct lake_change;
/* t->metadata with the snapshot of the change added and old ones trimmed; what nobody needs any more is noted as
 * garbage of the change. */
enum err_code lake_metadata_add_snapshot(const struct lake *l, struct lake_change *c,
                                         struct buf *ret, struct err *e) MUST_USE;
/* Manifest lists and metadata files that the JSON names, snapshots oldest first. */
enum err_code lake_metadata_each_location(const struct lake_table *t,
                                          enum err_code (*each)(void *ctx, bool is_list,
                                                                struct str location, struct err *e),
                                          void *ctx, struct err *e) MUST_USE;

/* ---- row_set.c: one row group of columns being filled. */
struct lake_column {
    bool coded; /* few distinct texts: codes into a dictionary */
    bool absent;
    size_t room; /* rows that there is memory for; of extras only */
    uint8_t *present;
    union {
        void *any;
        struct str *strings;
        i128 *decimals;
        int64_t *longs;
        uint8_t *booleans;
        uint32_t *codes;
    };
    struct str *dictionary;
    uint32_t dictionary_count;
    size_t dictionary_cap;
    struct map map;
    struct str last;
    uint32_t last_code;
};
struct lake_row_set {
    const struct table *t;
    size_t rows, cap;
    struct lake_column columns[LAKE_COLUMNS_ALL]; /* the extras behind ours */
    const struct lake_extra *extras[LAKE_EXTRAS_MAX];
    size_t extra_count;
    struct arena text;
};
void lake_row_set_init(struct lake_row_set *s, const struct table *t);
void lake_row_set_free(struct lake_row_set *s);
void lake_row_set_reset(struct lake_row_set *s);
/* From now on with these behind ours; the set is empty. They live as long as the content. */
void lake_row_set_extras(struct lake_row_set *s, const struct lake_extra *const *extras,
                         size_t count);
/* No value in the next `count` rows of a column. */
void lake_row_set_absent(struct lake_row_set *s, int c, size_t count);
static inline enum column_type lake_row_set_type(const struct lake_row_set *s, int c)
{
    int ours = s->t->column_count;
    return c < ours ? s->t->columns[c].type : s->extras[c - ours]->type;
}
void lake_row_set_reserve(struct lake_row_set *s, size_t rows); /* at most LAKE_ROW_GROUP */
uint32_t lake_row_set_code(struct lake_column *c, struct str text, struct arena *texts);
static inline void lake_set_long(struct lake_row_set *s, int c, size_t row, bool present, int64_t v)
{
    struct lake_column *col = &s->columns[c];
    col->longs[row] = present ? v : 0;
    col->present[row] = present;
    col->absent |= !present;
}
static inline void lake_set_decimal(struct lake_row_set *s, int c, size_t row, bool present, i128 v)
{
    struct lake_column *col = &s->columns[c];
    col->decimals[row] = present ? v : 0;
    col->present[row] = present;
    col->absent |= !present;
}
/* Times are given in ns; TIME_ABSENT is absent. */
static inline void lake_set_time(struct lake_row_set *s, int c, size_t row, int64_t ns)
{
    lake_set_long(s, c, row, ns != TIME_ABSENT, ns == TIME_ABSENT ? 0 : time_micros(ns));
}
static inline void lake_set_boolean(struct lake_row_set *s, int c, size_t row, bool v)
{
    s->columns[c].booleans[row] = v;
    s->columns[c].present[row] = 1;
}
/* The text must live as long as the row set's content; v.p NULL is absent. */
void lake_set_text(struct lake_row_set *s, int c, size_t row, struct str v);

/* ---- rows.c, fill.c: what was pushed, and the same as columns. */
struct lake_rows {
    uint8_t *items;
    size_t count, cap, size; /* size of one */
    u128 *keys;              /* of keyed tables: hash of each row's key */
    uint32_t *slots;         /* open addressing into items by key */
    size_t slot_count;
};
struct lake_sorted { /* one row in the order of its file */
    uint64_t major;
    int64_t time;
    uint32_t index;
    int32_t day;
};
struct lake_groups { /* (venue, symbol) in order of their bytes */
    struct map map;
    struct str (*names)[2];
    uint32_t *ranks, *of_series;
    uint32_t count, cap, ranked, series_count;
    struct arena text;
};
void lake_rows_init(struct lake *l);
void lake_rows_done(struct lake *l);
void lake_rows_clear(struct lake *l);
const void *lake_rows_at(const struct lake_rows *r, size_t i);
uint32_t lake_rows_find(const struct lake_rows *r, u128 key); /* of a key that was pushed */
/* Orders the pushed rows of a table by day and sort order; the array is the lake's and lasts until the next call. */
struct lake_sorted *lake_rows_sort(struct lake *l, enum table_id id);
/* Appends rows[from..from+count) to the set. */
void lake_fill(struct lake *l, enum table_id id, struct lake_row_set *set,
               const struct lake_sorted *rows, size_t count);
u128 lake_key_candle(struct str venue, struct str symbol, struct str timeframe, int64_t open_us);
u128 lake_key_gap(int64_t gap_id);
u128 lake_key_instrument(struct str venue, struct str venue_symbol);

/* ---- data_file.c: writing one Parquet file. */
struct lake_data_writer {
    struct lake *l;
    struct lake_table *table;
    struct parquet_writer *parquet;
    struct file_writer *file;
    const struct lake_extra *extras[LAKE_EXTRAS_MAX]; /* set before lake_data_open */
    size_t extra_count;
    struct parquet_column columns[LAKE_COLUMNS_ALL];
    char location[LAKE_LOCATION_MAX];
    int32_t day;
};
struct lake_new_file { /* written, not yet in a table */
    struct lake_entry entry;
    uint32_t serial; /* once adopted */
};
enum err_code lake_data_open(struct lake_data_writer *w, struct lake_change *c, int32_t day,
                             struct err *e) MUST_USE;
enum err_code lake_data_add(struct lake_data_writer *w, const struct lake_row_set *set,
                            struct err *e) MUST_USE;
/* Adds the file to the change. */
enum err_code lake_data_finish(struct lake_data_writer *w, struct lake_change *c,
                               struct err *e) MUST_USE;
void lake_data_abort(struct lake_data_writer *w);
struct lake_target { /* a row to delete */
    uint32_t
        serial; /* of its live file; of a file of the same change 0, and `added` is its number there plus 1 */
    uint32_t added;
    int64_t position;
};
/* One delete file per partition of the targets; adds them to the change. */
enum err_code lake_deletes_write(struct lake *l, struct lake_change *c, struct err *e) MUST_USE;

/* ---- file_reader.c: a live data file, row group by row group, by field id. */
struct lake_file_reader {
    const struct table *t;
    const struct lake_live *f;
    struct parquet_reader *parquet;
    char path[PATH_LIMIT];
    int group;          /* the current one; -1 before the first */
    int64_t base, rows; /* position of its first row in the file; how many it has */
    struct parquet_chunk chunks[LAKE_COLUMNS_MAX];
    uint32_t loaded; /* bit per column */
};
#define LAKE_BIT(column) (UINT32_C(1) << (column))
enum err_code lake_reader_open(struct lake *l, struct lake_file_reader *r, const struct table *t,
                               const struct lake_live *f, struct err *e) MUST_USE;
bool lake_reader_next(struct lake_file_reader *r); /* moves on; false at the end */
/* Loads these columns of the group; one that the file does not have is all absent. */
enum err_code lake_reader_load(struct lake_file_reader *r, uint32_t columns,
                               struct err *e) MUST_USE;
bool lake_reader_has_extra(const struct lake_file_reader *r, const struct lake_extra *x);
/* A column beyond ours, of the current group; absent where the file does not have it. */
enum err_code lake_reader_extra(const struct lake_file_reader *r, const struct lake_extra *x,
                                struct parquet_chunk *ret, struct err *e) MUST_USE;
void lake_reader_close(struct lake_file_reader *r);
static inline bool lake_reader_has(const struct lake_file_reader *r, int column, size_t row)
{
    const uint8_t *present = r->chunks[column].present;
    return !present || present[row];
}
/* Rows of the current group as events; all columns must be loaded. Text points into the reader. */
struct lake_names { /* the last series looked up */
    struct str venue, exchange, symbol, venue_symbol;
    uint32_t series;
};
enum err_code lake_read_trade(struct lake *l, const struct lake_file_reader *r, size_t row,
                              struct lake_names *names, struct trade *ret, struct err *e) MUST_USE;
enum err_code lake_read_quote(struct lake *l, const struct lake_file_reader *r, size_t row,
                              struct lake_names *names, struct quote *ret, struct err *e) MUST_USE;
enum err_code lake_read_candle(struct lake *l, const struct lake_file_reader *r, size_t row,
                               struct lake_names *names, struct candle *ret,
                               struct err *e) MUST_USE;
enum err_code lake_read_venue_candle(struct lake *l, const struct lake_file_reader *r, size_t row,
                                     struct lake_names *names, struct venue_candle *vc,
                                     struct err *e) MUST_USE;
/* Times are whole microseconds. */
enum err_code lake_read_gap(struct lake *l, const struct lake_file_reader *r, size_t row,
                            struct lake_names *names, struct gap *ret, struct err *e) MUST_USE;

/* ---- merge.c: sorted files become one; deleted rows are left out. Memory: a row group of each input. */
struct lake_run { /* rows that kept their order: from `from` of that file to `to` of the output */
    uint32_t serial;
    int64_t from, to, count;
};
struct lake_runs {
    struct lake_run *items;
    size_t count, cap;
};
/* The columns beyond ours that any of the files has: for the writer, before it is opened. */
enum err_code lake_merge_extras(struct lake *l, struct lake_data_writer *w,
                                const struct lake_table *t, const uint32_t *serials, size_t count,
                                struct err *e) MUST_USE;
enum err_code lake_merge(struct lake *l, struct lake_data_writer *w, const uint32_t *serials,
                         size_t count, struct lake_runs *runs, struct err *e) MUST_USE;

/* ---- plan.c: what compaction would do. */
enum { LAKE_PLAN_INPUTS = 64, LAKE_MERGE_ROWS = 8 * LAKE_ROW_GROUP };
struct lake_plan {
    struct lake_table *table;
    bool deletes; /* joins delete files, not data files */
    int32_t day;
    uint32_t serials[LAKE_PLAN_INPUTS];
    size_t deleted[LAKE_PLAN_INPUTS]; /* rows known to be deleted when it was planned */
    size_t count;
    int64_t rows, bytes;
};
/* The first group worth joining from the `skip`-th on; false: none. */
bool lake_plan_next(const struct lake *l, struct lake_table *t, size_t skip, struct lake_plan *ret);

/* ---- replace.c */
struct lake_cache_slot {
    u128 key;
    uint32_t serial, position;
    uint8_t table;
};
enum { LAKE_CACHE_SLOTS = 1 << 16 };
struct lake_wanted { /* a key whose old row has to go */
    u128 key;
    int32_t day;
    int64_t range;
    struct str venue, symbol;
    bool found;
};
struct lake_replacing {         /* what a change of a keyed table replaces */
    struct lake_wanted *wanted; /* keys differ; their live rows go */
    size_t count, cap;
    struct lake_target *own; /* rows of the change itself that later ones of it replace */
    size_t own_count, own_cap;
};
/* The pushed row i as a key; false: it replaces nothing. */
bool lake_wanted_of(const struct lake *l, enum table_id id, size_t i, struct lake_wanted *ret);
/* Finds the live rows and writes the delete files of the change. */
enum err_code lake_replace(struct lake *l, struct lake_change *c, const struct lake_replacing *r,
                           struct err *e) MUST_USE;
/* `again` of a change whose ctx is a struct lake_replacing. */
enum err_code lake_replace_again(struct lake *l, struct lake_change *c, struct err *e) MUST_USE;
void lake_replacing_free(struct lake_replacing *r);
const struct lake_run *lake_run_of(const struct lake_runs *runs, uint32_t serial, int64_t position);
void lake_runs_sort(struct lake_runs *runs);
/* After compaction: rows of the cache that moved into the file `serial`. The runs are sorted. */
void lake_cache_move(struct lake *l, enum table_id id, const struct lake_runs *runs,
                     uint32_t serial);
void lake_cache_put(struct lake *l, enum table_id id, u128 key, uint32_t serial, int64_t position);

/* ---- change.c: one table's part of a commit. */
struct lake_remap {
    uint32_t from, to;
};
struct lake_next { /* the table after the commit; rebuilt on every try */
    char *metadata_location;
    struct buf metadata;
    struct lake_manifest *manifests;
    size_t manifest_count, manifest_cap;
    struct lake_remap *remaps;
    size_t remap_count, remap_cap;
    struct lake_garbage *garbage;
    size_t garbage_count, garbage_cap;
    int64_t sequence_number, timestamp_ms, release_below, snapshot_count;
    char list_location[LAKE_LOCATION_MAX];
    struct lake_totals totals;
};
struct lake_change {
    struct lake_table *table;
    const char *operation; /* append, overwrite, replace */
    char uuid[LAKE_UUID_TEXT];
    int file_number, try_number;
    int64_t snapshot_id, position, now_ns;
    const char *fold;  /* of a REST catalog: what the table is to carry; NULL: none */
    bool done;         /* there already: made by an earlier try, and nothing of this one is used */
    struct arena text; /* entries of the new files */
    struct lake_new_file *added;
    size_t added_count, added_cap;
    uint32_t *removed; /* serials */
    size_t removed_count, removed_cap;
    struct lake_target *targets;
    size_t target_count, target_cap;
    struct lake_manifest own[2]; /* of the added data and delete files; kept over tries */
    bool has_own[2];
    struct lake_next next;
    /* Called after a lost race, on the reloaded table: still possible? ERR_CONFLICT gives up. */
    enum err_code (*again)(struct lake *l, struct lake_change *c, struct err *e);
    const void *ctx;
};
void lake_change_init(struct lake_change *c, struct lake_table *t, const char *operation,
                      int64_t position, int64_t now_ns);
void lake_change_done(struct lake_change *c);
struct lake_new_file *lake_change_add(struct lake_change *c);
void lake_change_remove(struct lake_change *c, uint32_t serial);
void lake_change_target(struct lake_change *c, struct lake_target target);
void lake_change_garbage(struct lake_change *c, struct str location, int64_t sequence_number);
/* The manifests of the added files; does nothing where they are made already. */
enum err_code lake_change_build_own(struct lake *l, struct lake_change *c, struct err *e) MUST_USE;
enum err_code lake_change_build(struct lake *l, struct lake_change *c, struct err *e) MUST_USE;
/* Builds, syncs and swaps all changes in one transaction, again after a lost race; then the tables have them. */
struct lake_publish {
    struct lake_change **changes;
    size_t count;
    const struct lake_move *moves;
    size_t move_count;
    int64_t now_ns;
    const struct proof_set *proofs; /* or NULL */
    const struct lake_state_put *states;
    size_t state_count;
    bool compaction; /* for the crash points */
    bool begun;      /* the catalog's transaction is open already; after an error it still is */
    size_t written;  /* files of this are those of `written` from here on */
    /* What else belongs into the transaction. */
    enum err_code (*also)(struct lake *l, const void *ctx, struct err *e);
    const void *ctx;
};
enum err_code lake_publish(struct lake *l, const struct lake_publish *p, struct err *e) MUST_USE;

/* ---- pending.c: a commit by the queue. */
enum err_code lake_commit_shared(struct lake *l, const struct lake_move *moves, size_t count,
                                 struct err *e) MUST_USE;
void lake_pending_drop(struct lake *l);

/* ---- commit.c */
enum err_code lake_write_rows(struct lake *l, struct lake_change *c, struct err *e) MUST_USE;

/* ---- lake.c */
struct lake_counters {
    _Atomic int64_t commits, rows, files_written, bytes_written, commit_ns_total, commit_ns_max;
    _Atomic int64_t conflicts, compactions, files_removed, position, buffered_rows, unreadable;
    _Atomic int64_t folds, folded, columns_added, columns_refused;
};
enum { LAKE_QUERIES = 32 };
struct lake {
    struct lake_options o;
    char catalog_path[PATH_LIMIT], warehouse[PATH_LIMIT];
    struct lake_objects *objects; /* NULL: the warehouse is a folder */
    char *catalog_url, worker[80];
    const struct lake_catalog *catalog;
    sqlite3 *db;
    sqlite3_stmt *queries[LAKE_QUERIES];
    struct lake_postgres *postgres;
    struct lake_rest *rest; /* NULL: the tables are in the catalog itself */
    struct lake_table tables[TABLE_MAX];
    struct lake_rows rows[TABLE_MAX];
    struct lake_row_set sets[TABLE_MAX];
    struct lake_extra_rows extras[TABLE_MAX];
    struct arena text; /* of the pushed rows */
    struct lake_groups groups;
    struct lake_sorted *sorted, *sorted_spare;
    size_t sorted_cap;
    struct proof_set proofs; /* of the pushed rows */
    struct lake_state_put *states;
    size_t state_count, state_cap;
    struct map state_places; /* name -> place in `states` */
    int64_t position;
    int64_t commit_ns;             /* clock of the commit that is being made */
    struct lake_cache_slot *cache; /* LAKE_CACHE_SLOTS; allocated with the first use */
    char **written;                /* files of the commit that is being made */
    size_t written_count, written_cap;
    struct map series_ids;        /* the catalog's own numbers of series */
    struct lake_pending *pending; /* a commit for the queue whose outcome is not known yet */
    bool orphans;                 /* a file was left that no snapshot knows */
    int64_t orphans_looked_ns;    /* when they were looked for last */
    bool outcome_unknown; /* the catalog's commit failed in a way that may have been durable */
    struct lake_counters stats;
};

#endif
