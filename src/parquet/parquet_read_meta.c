/* Footers and page headers to structs. Unknown fields are skipped, as Thrift wants it. */
#include "parquet/parquet_reader.h"

/* ---- schema ---------------------------------------------------------------------------------- */

static void parse_time_unit(struct thrift_reader *t, struct read_column *c)
{
    int16_t id = 0;
    enum thrift_type type;
    while (thrift_next(t, &id, &type)) {
        if (id == 2)
            c->micros = true;
        else
            c->nanos_or_millis = true;
        thrift_skip(t, type);
    }
}

static void parse_timestamp(struct thrift_reader *t, struct read_column *c)
{
    int16_t id = 0;
    enum thrift_type type;
    while (thrift_next(t, &id, &type)) {
        if (id == 2 && type == THRIFT_STRUCT)
            parse_time_unit(t, c);
        else
            thrift_skip(t, type);
    }
}

/* Some writers tell a decimal by its logical type only. */
static void parse_decimal(struct thrift_reader *t, struct read_column *c)
{
    int16_t id = 0;
    enum thrift_type type;
    c->converted = CONVERTED_DECIMAL;
    while (thrift_next(t, &id, &type)) {
        if (id == 1)
            c->scale = thrift_int32(t, type);
        else
            thrift_skip(t, type);
    }
}

static void parse_logical(struct thrift_reader *t, struct read_column *c)
{
    enum { LOGICAL_STRING = 1, LOGICAL_DECIMAL = 5, LOGICAL_TIMESTAMP = 8, LOGICAL_INTEGER = 10 };
    int16_t id = 0;
    enum thrift_type type;
    while (thrift_next(t, &id, &type)) {
        if (id == LOGICAL_TIMESTAMP && type == THRIFT_STRUCT) {
            parse_timestamp(t, c);
            continue;
        }
        if (id == LOGICAL_DECIMAL && type == THRIFT_STRUCT) {
            parse_decimal(t, c);
            continue;
        }
        if (id != LOGICAL_STRING && id != LOGICAL_INTEGER) c->other_logical = true;
        thrift_skip(t, type);
    }
}

struct element {
    struct read_column column;
    int32_t repetition, children;
};

static void parse_element(struct thrift_reader *t, struct element *el)
{
    struct read_column *c = &el->column;
    *c = (struct read_column){.field_id = -1, .converted = -1, .physical = -1};
    int16_t id = 0;
    enum thrift_type type;
    while (thrift_next(t, &id, &type)) {
        switch (id) {
        case 1: c->physical = thrift_int32(t, type); break;
        case 2: c->type_length = thrift_int32(t, type); break;
        case 3: el->repetition = thrift_int32(t, type); break;
        case 4: c->name = thrift_bytes(t, type); break;
        case 5: el->children = thrift_int32(t, type); break;
        case 6: c->converted = thrift_int32(t, type); break;
        case 7: c->scale = thrift_int32(t, type); break;
        case 9: c->field_id = thrift_int32(t, type); break;
        case 10:
            if (type == THRIFT_STRUCT)
                parse_logical(t, c);
            else
                t->failed = true;
            break;
        default: thrift_skip(t, type);
        }
    }
    c->optional = el->repetition == 1;
    c->nested = el->repetition != 0 && el->repetition != 1;
}

/* The tree is stored depth first. Only leaves right under the root are readable; others must
 * still be counted, since chunks go by leaf. `left` holds how many children each open group
 * still lacks. */
static bool parse_schema(struct thrift_reader *t, enum thrift_type type, struct parquet_reader *r)
{
    size_t n = thrift_list(t, type, THRIFT_STRUCT), depth = 0;
    int32_t left[THRIFT_DEPTH_MAX];
    if (n == 0 || r->columns) return false;
    r->columns = arena_alloc(&r->meta, n * sizeof *r->columns);
    if (!r->columns) return false;
    for (size_t i = 0; i < n; i++) {
        struct element el = {.repetition = 0};
        parse_element(t, &el);
        if (t->failed || el.children < 0) return false;
        while (depth > 0 && left[depth - 1] == 0) depth--;
        if (i > 0 && depth == 0) return false;
        if (depth > 0) left[depth - 1]--;
        bool leaf = i > 0 && el.children == 0;
        el.column.nested |= depth > 1;
        if (leaf) r->columns[r->column_count++] = el.column;
        if (leaf) continue;
        if (depth == THRIFT_DEPTH_MAX) return false;
        left[depth++] = el.children;
    }
    return true;
}

/* ---- row groups ------------------------------------------------------------------------------ */

static void parse_statistics(struct thrift_reader *t, struct read_chunk *c)
{
    int16_t id = 0;
    enum thrift_type type;
    while (thrift_next(t, &id, &type)) {
        if (id == 5)
            c->max = thrift_bytes(t, type);
        else if (id == 6)
            c->min = thrift_bytes(t, type);
        else
            thrift_skip(t, type);
    }
}

static void parse_chunk_meta(struct thrift_reader *t, struct read_chunk *c)
{
    int16_t id = 0;
    enum thrift_type type;
    while (thrift_next(t, &id, &type)) {
        switch (id) {
        case 1: c->physical = thrift_int32(t, type); break;
        case 4: c->codec = thrift_int32(t, type); break;
        case 5: c->values = thrift_int(t, type); break;
        case 7: c->compressed = thrift_int(t, type); break;
        case 9: c->data_offset = thrift_int(t, type); break;
        case 11: c->dictionary_offset = thrift_int(t, type); break;
        case 12:
            if (type == THRIFT_STRUCT)
                parse_statistics(t, c);
            else
                t->failed = true;
            break;
        default: thrift_skip(t, type);
        }
    }
}

static void parse_chunk(struct thrift_reader *t, struct read_chunk *c)
{
    *c = (struct read_chunk){.physical = -1, .codec = -1};
    int16_t id = 0;
    enum thrift_type type;
    while (thrift_next(t, &id, &type)) {
        if (id == 3 && type == THRIFT_STRUCT) {
            parse_chunk_meta(t, c);
            continue;
        }
        if (id == 1 || id == 8 || id == 9)
            c->elsewhere = true; /* file_path, crypto metadata, encrypted metadata */
        thrift_skip(t, type);
    }
}

static bool parse_group(struct thrift_reader *t, struct parquet_reader *r, struct read_group *g)
{
    *g = (struct read_group){.rows = -1};
    int16_t id = 0;
    enum thrift_type type;
    while (thrift_next(t, &id, &type)) {
        if (id == 3) {
            g->rows = thrift_int(t, type);
        } else if (id == 1 && !g->chunks) {
            g->chunk_count = thrift_list(t, type, THRIFT_STRUCT);
            g->chunks = arena_alloc(&r->meta, g->chunk_count * sizeof *g->chunks);
            if (!g->chunks) return false;
            for (size_t i = 0; i < g->chunk_count && !t->failed; i++) parse_chunk(t, &g->chunks[i]);
        } else {
            thrift_skip(t, type);
        }
    }
    return !t->failed && g->rows >= 0 && g->chunk_count == r->column_count;
}

static bool parse_groups(struct thrift_reader *t, enum thrift_type type, struct parquet_reader *r)
{
    size_t n = thrift_list(t, type, THRIFT_STRUCT);
    if (r->groups) return false;
    r->groups = arena_alloc(&r->meta, n * sizeof *r->groups + 1);
    if (!r->groups) return false;
    for (; r->group_count < n; r->group_count++)
        if (!parse_group(t, r, &r->groups[r->group_count])) return false;
    return true;
}

static void parse_orders(struct thrift_reader *t, enum thrift_type type, struct parquet_reader *r)
{
    size_t n = thrift_list(t, type, THRIFT_STRUCT);
    for (size_t i = 0; i < n && !t->failed; i++) {
        int16_t id = 0;
        enum thrift_type inner;
        while (thrift_next(t, &id, &inner)) {
            if (id == 1 && i < r->column_count) r->columns[i].ordered = true;
            thrift_skip(t, inner);
        }
    }
}

enum err_code reader_parse_footer(struct parquet_reader *r, size_t len, struct err *e)
{
    struct thrift_reader t = {.p = r->footer, .end = r->footer + len};
    int16_t id = 0;
    enum thrift_type type;
    bool good = true;
    int64_t rows = -1, sum = 0;
    while (good && thrift_next(&t, &id, &type)) {
        if (id == 2)
            good = parse_schema(&t, type, r);
        else if (id == 3)
            rows = thrift_int(&t, type);
        else if (id == 4)
            good = r->columns && parse_groups(&t, type, r);
        else if (id == 6)
            r->ours = str_starts(thrift_bytes(&t, type), "ticklake");
        else if (id == 7)
            parse_orders(&t, type, r);
        else
            thrift_skip(&t, type);
    }
    if (!good || t.failed || !r->columns)
        return ERR(e, ERR_CORRUPT, "%s: the footer of %zu bytes cannot be read", r->path, len);
    for (size_t i = 0; i < r->group_count; i++)
        if (__builtin_add_overflow(sum, r->groups[i].rows, &sum)) sum = -1;
    if (rows != sum)
        return ERR(e, ERR_CORRUPT, "%s: the footer says %lld rows, its row groups %lld", r->path,
                   (long long)rows, (long long)sum);
    r->rows = rows;
    return ERR_OK;
}

/* ---- page headers ---------------------------------------------------------------------------- */

/* All three kinds of page headers have the count in field 1; the rest differs. */
static void parse_page_kind(struct thrift_reader *t, struct read_page *p, int16_t kind)
{
    int16_t id = 0;
    enum thrift_type type;
    while (thrift_next(t, &id, &type)) {
        bool v2 = kind == 8;
        if (id == 1)
            p->values = thrift_int(t, type);
        else if (id == (v2 ? 4 : 2))
            p->encoding = thrift_int32(t, type);
        else if (kind == 5 && id == 3)
            p->levels_encoding = thrift_int32(t, type);
        else if (v2 && id == 5)
            p->levels_bytes = thrift_int(t, type);
        else if (v2 && id == 6)
            p->repetition_bytes = thrift_int(t, type);
        else if (v2 && id == 7)
            p->v2_packed = thrift_bool(t, type);
        else
            thrift_skip(t, type);
    }
}

bool read_page_header(const uint8_t **p, const uint8_t *end, struct read_page *ret)
{
    *ret = (struct read_page){.type = -1,
                              .unpacked = -1,
                              .packed = -1,
                              .values = -1,
                              .encoding = -1,
                              .levels_encoding = ENCODING_RLE,
                              .v2_packed = true};
    struct thrift_reader t = {.p = *p, .end = end};
    int16_t id = 0;
    enum thrift_type type;
    while (thrift_next(&t, &id, &type)) {
        if (id == 1)
            ret->type = thrift_int32(&t, type);
        else if (id == 2)
            ret->unpacked = thrift_int32(&t, type);
        else if (id == 3)
            ret->packed = thrift_int32(&t, type);
        else if ((id == 5 || id == 7 || id == 8) && type == THRIFT_STRUCT)
            parse_page_kind(&t, ret, id);
        else
            thrift_skip(&t, type);
    }
    *p = t.p;
    return !t.failed && ret->unpacked >= 0 && ret->packed >= 0 && ret->packed <= end - t.p;
}
