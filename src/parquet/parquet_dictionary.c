/* Dictionaries of one column of one row group: from the caller's codes, or found by hashing. */
#include "base/hash.h"
#include "parquet/parquet_internal.h"

#include <stdlib.h>

enum { SLOTS_FIRST = 1024 };

void *scratch(void *old, size_t *cap, size_t n, size_t size)
{
    if (n <= *cap && old) return old;
    free(old);
    *cap = n < 1024 ? 1024 : n;
    void *p = malloc(*cap * size);
    CHECK(p != NULL);
    return p;
}

void dictionary_free(struct parquet_dictionary *d)
{
    free(d->strings);
    free(d->decimals);
    free(d->codes);
    free(d->slots);
    free(d->remap);
    free(d->used);
    *d = (struct parquet_dictionary){0};
}

static void make_room(struct parquet_dictionary *d, size_t values, size_t entries)
{
    d->codes = scratch(d->codes, &d->codes_cap, values, sizeof *d->codes);
    if (entries <= d->entries_cap && d->strings) return;
    size_t cap = d->entries_cap, used_cap = d->entries_cap;
    d->strings = scratch(d->strings, &cap, entries, sizeof *d->strings);
    d->used = scratch(d->used, &used_cap, entries, sizeof *d->used);
    d->decimals = scratch(d->decimals, &d->entries_cap, entries, sizeof *d->decimals);
}

/* ---- by hashing ------------------------------------------------------------------------------ */

static inline uint64_t hash_number(i128 v)
{
    uint64_t low = (uint64_t)v, high = (uint64_t)((u128)v >> 64);
    u128 m = (u128)(low ^ UINT64_C(0x9E3779B97F4A7C15)) * (high ^ UINT64_C(0xD6E8FEB86659FD93));
    uint64_t h = (uint64_t)m ^ (uint64_t)(m >> 64) ^ low;
    return (h ^ (h >> 32)) * UINT64_C(0x9FB21C651E98DF25);
}

static void slots_room(struct parquet_dictionary *d, size_t count)
{
    if (count > d->slot_count) {
        free(d->slots);
        d->slots = malloc(count * sizeof *d->slots);
        CHECK(d->slots != NULL);
    }
    d->slot_count = count;
    memset(d->slots, 0, count * sizeof *d->slots);
}

static uint64_t hash_entry(const struct parquet_dictionary *d, uint32_t entry)
{
    return d->type == COLUMN_STRING ? hash64(d->strings[entry]) : hash_number(d->decimals[entry]);
}

static void slots_grow(struct parquet_dictionary *d)
{
    slots_room(d, d->slot_count * 4);
    for (uint32_t entry = 0; entry < d->count; entry++) {
        size_t at = hash_entry(d, entry) >> 20 & (d->slot_count - 1);
        while (d->slots[at]) at = (at + 1) & (d->slot_count - 1);
        d->slots[at] = entry + 1;
    }
}

static inline uint32_t find_number(struct parquet_dictionary *d, i128 v)
{
    size_t mask = d->slot_count - 1, at = hash_number(v) >> 20 & mask;
    for (uint32_t slot; (slot = d->slots[at]) != 0; at = (at + 1) & mask)
        if (d->decimals[slot - 1] == v) return slot - 1;
    d->decimals[d->count] = v;
    d->slots[at] = ++d->count;
    return d->count - 1;
}

static inline uint32_t find_string(struct parquet_dictionary *d, struct str v)
{
    size_t mask = d->slot_count - 1, at = hash64(v) >> 20 & mask;
    for (uint32_t slot; (slot = d->slots[at]) != 0; at = (at + 1) & mask)
        if (str_eq(d->strings[slot - 1], v)) return slot - 1;
    d->strings[d->count] = v;
    d->slots[at] = ++d->count;
    return d->count - 1;
}

/* Returns the first value that found the dictionary full, or `to`. */
static size_t build_part(struct parquet_dictionary *d, const struct parquet_dense *v, size_t from,
                         size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (d->count >= d->slot_count / 2) slots_grow(d);
        if (v->strings)
            d->codes[i] = find_string(d, v->strings[i]);
        else
            d->codes[i] = find_number(d, v->decimals ? v->decimals[i] : v->longs[i]);
        if (d->count > DICTIONARY_MAX) {
            d->count--;
            return i;
        }
    }
    return to;
}

size_t dictionary_build(struct parquet_dictionary *d, const struct parquet_dense *v)
{
    size_t most = v->n < DICTIONARY_MAX ? v->n : DICTIONARY_MAX;
    make_room(d, v->n, most + 1);
    d->type = v->strings ? COLUMN_STRING : v->type;
    d->count = 0;
    slots_room(d, SLOTS_FIRST);
    size_t sample = v->n < DICTIONARY_SAMPLE ? v->n : DICTIONARY_SAMPLE;
    build_part(d, v, 0, sample);
    /* Three in four were new: the pages say it cheaper. */
    if (d->count > sample - sample / 4) return 0;
    return build_part(d, v, sample, v->n);
}

/* ---- the caller's codes ---------------------------------------------------------------------- */

static void remap_room(struct parquet_dictionary *d, size_t count)
{
    if (count <= d->remap_count) return;
    free(d->remap);
    d->remap = calloc(count, sizeof *d->remap);
    CHECK(d->remap != NULL);
    d->remap_count = count;
}

/* Codes of equal text share an entry: a caller may number its series and name them all
 * "binance". */
static inline uint32_t entry_of(struct parquet_dictionary *d, const struct parquet_values *v,
                                uint32_t code)
{
    CHECK(code < v->dictionary_count);
    if (d->remap[code] == 0) {
        if (d->count >= d->slot_count / 2) slots_grow(d);
        d->used[d->used_count++] = code;
        d->remap[code] = find_string(d, v->dictionary[code]) + 1;
    }
    return d->remap[code] - 1;
}

void dictionary_from_codes(struct parquet_dictionary *d, const struct parquet_values *v,
                           size_t rows)
{
    make_room(d, rows, v->dictionary_count < rows ? v->dictionary_count : rows);
    remap_room(d, v->dictionary_count);
    d->type = COLUMN_STRING;
    d->count = d->used_count = 0;
    slots_room(d, SLOTS_FIRST);
    size_t n = 0;
    for (size_t i = 0; i < rows;) {
        if (v->present && !v->present[i]) {
            i++;
            continue;
        }
        uint32_t code = v->codes[i], entry = entry_of(d, v, code);
        do d->codes[n++] = entry; /* sorted rows come in long runs */
        while (++i < rows && v->codes[i] == code && (!v->present || v->present[i]));
    }
    /* Only what was touched is cleared: the caller's dictionary may have a million entries and the
     * group ten rows. */
    for (uint32_t i = 0; i < d->used_count; i++) d->remap[d->used[i]] = 0;
}

void dictionary_encode(const struct parquet_dictionary *d, struct buf *out)
{
    if (d->type == COLUMN_STRING) {
        encode_plain_strings(out, d->strings, d->count);
    } else if (d->type == COLUMN_DECIMAL) {
        encode_plain_decimals(out, d->decimals, d->count);
    } else {
        for (uint32_t i = 0; i < d->count; i++) {
            int64_t v = (int64_t)d->decimals[i];
            buf_add(out, &v, sizeof v);
        }
    }
}
