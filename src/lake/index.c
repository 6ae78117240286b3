#include "lake/lake_internal.h"

#include <stdlib.h>

/* The files of the current snapshot, in memory: what a key's search, a scan and compaction look at. Loaded from the
 * manifests when the lake opens or another writer moved the table, kept up by our own commits otherwise. */

void lake_index_clear(struct lake_table *t)
{
    for (size_t i = 0; i < t->file_count; i++) {
        free((char *)(uintptr_t)t->files[i].path.p);
        free(t->files[i].deleted);
    }
    for (size_t i = 0; i < t->manifest_count; i++) lake_manifest_free(&t->manifests[i]);
    free(t->manifests);
    t->manifests = NULL;
    t->manifest_count = t->file_count = 0;
    t->totals = (struct lake_totals){0};
}

struct lake_live *lake_index_by_serial(const struct lake_table *t, uint32_t serial)
{
    size_t low = 0, high = t->file_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (t->files[mid].serial < serial)
            low = mid + 1;
        else
            high = mid;
    }
    return low < t->file_count && t->files[low].serial == serial ? &t->files[low] : NULL;
}

struct lake_live *lake_index_by_path(const struct lake_table *t, struct str path)
{
    for (size_t i = t->file_count; i-- > 0;)
        if (str_eq(t->files[i].path, path)) return &t->files[i];
    return NULL;
}

static const struct str *bound_of(const struct lake_bounds *b, int32_t id)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->items[i].id == id) return &b->items[i].value;
    return NULL;
}

static bool long_bound(const struct lake_bounds *b, int32_t id, int64_t *ret)
{
    const struct str *v = bound_of(b, id);
    if (!v || v->n != 8) return false;
    uint64_t x = 0;
    for (int i = 7; i >= 0; i--) x = x << 8 | (uint8_t)v->p[i];
    *ret = (int64_t)x;
    return true;
}

/* One block holds the path and the four text bounds. */
static void keep_texts(struct lake_live *f, const struct lake_entry *n, int32_t first,
                       int32_t second)
{
    struct str found[4] = {{0}};
    const int32_t ids[2] = {first, second};
    for (int i = 0; i < 2; i++) {
        const struct str *low = bound_of(&n->lower, ids[i]), *high = bound_of(&n->upper, ids[i]);
        if (low) found[i] = *low;
        if (high) found[2 + i] = *high;
    }
    size_t need = n->path.n + 1;
    for (int i = 0; i < 4; i++) need += found[i].n;
    char *block = malloc(need);
    CHECK(block != NULL);
    memcpy(block, n->path.p, n->path.n);
    block[n->path.n] = 0;
    f->path = (struct str){block, n->path.n};
    char *at = block + n->path.n + 1;
    for (int i = 0; i < 4; i++) {
        if (found[i].n) memcpy(at, found[i].p, found[i].n);
        *(i < 2 ? &f->lower[i] : &f->upper[i - 2]) = (struct str){at, found[i].n};
        at += found[i].n;
    }
}

static void count_file(struct lake_totals *t, const struct lake_live *f, int64_t sign)
{
    *(f->content == LAKE_DATA ? &t->data_files : &t->delete_files) += sign;
    t->bytes += sign * f->bytes;
    if (f->content == LAKE_DATA) t->rows += sign * f->rows;
    if (f->content == LAKE_DELETES) t->position_deletes += sign * f->rows;
    if (f->content == LAKE_EQUALITY) t->equality_deletes += sign * f->rows;
}

struct lake_live *lake_index_add(struct lake_table *t, const struct lake_entry *n,
                                 uint32_t manifest, bool our_spec)
{
    t->files = array_grown(t->files, t->file_count, &t->file_cap, sizeof *t->files);
    struct lake_live *f = &t->files[t->file_count++];
    *f = (struct lake_live){
        .serial = t->next_serial++,
        .manifest = manifest,
        .content = (int8_t)n->content,
        .foreign = !lake_is_ours(n->path),
        .our_spec = our_spec,
        .day = n->day,
        .rows = n->rows,
        .bytes = n->bytes,
        .snapshot_id = n->snapshot_id,
        .sequence_number = n->sequence_number,
    };
    if (n->content == LAKE_DATA) {
        keep_texts(f, n, table_column(t->t, "venue") + 1, table_column(t->t, "symbol") + 1);
        f->has_range = t->range_column >= 0 &&
                       long_bound(&n->lower, t->range_column + 1, &f->low) &&
                       long_bound(&n->upper, t->range_column + 1, &f->high);
    } else {
        keep_texts(f, n, LAKE_FIELD_DELETE_PATH, -1);
    }
    count_file(&t->totals, f, 1);
    return f;
}

void lake_index_keep(struct lake_table *t, const struct lake_live *f)
{
    t->files = array_grown(t->files, t->file_count, &t->file_cap, sizeof *t->files);
    t->files[t->file_count++] = *f;
    count_file(&t->totals, f, 1);
}

static bool is_among(const uint32_t *serials, size_t count, uint32_t serial)
{
    for (size_t i = 0; i < count; i++)
        if (serials[i] == serial) return true;
    return false;
}

void lake_index_remove(struct lake_table *t, const uint32_t *serials, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->file_count; i++) {
        struct lake_live *f = &t->files[i];
        if (count && is_among(serials, count, f->serial)) {
            count_file(&t->totals, f, -1);
            free((char *)(uintptr_t)f->path.p);
            free(f->deleted);
            continue;
        }
        t->files[kept++] = *f;
    }
    t->file_count = kept;
}

/* ---- deleted positions */

static size_t deleted_at(const struct lake_live *f, int64_t position)
{
    size_t low = 0, high = f->deleted_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (f->deleted[mid] < position)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool lake_live_is_deleted(const struct lake_live *f, int64_t position)
{
    size_t at = deleted_at(f, position);
    return at < f->deleted_count && f->deleted[at] == position;
}

void lake_live_delete(struct lake_live *f, int64_t position)
{
    size_t at = deleted_at(f, position);
    if (at < f->deleted_count && f->deleted[at] == position) return;
    f->deleted = array_grown(f->deleted, f->deleted_count, &f->deleted_cap, sizeof *f->deleted);
    memmove(f->deleted + at + 1, f->deleted + at, (f->deleted_count - at) * sizeof *f->deleted);
    f->deleted[at] = position;
    f->deleted_count++;
}
