#include "lake/queue_internal.h"

/* The payload of a queue row, read with suspicion: it comes from another process, perhaps of another version. The first thing
 * that does not fit makes the whole of it ERR_CORRUPT. */

#define ROWS_MAX (INT64_C(1) << 42)

struct reader {
    const uint8_t *at, *end;
    struct arena *a;
    const char *wrong; /* what did not fit; the first one counts */
};

static void *refuse(struct reader *r, const char *what)
{
    if (!r->wrong) r->wrong = what;
    r->at = r->end; /* nothing more is read */
    return NULL;
}

static int64_t get_long(struct reader *r)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (r->at == r->end) break;
        uint8_t byte = *r->at++;
        if (shift == 63 && byte > 1) break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
    }
    refuse(r, "a number");
    return 0;
}

static int64_t get_within(struct reader *r, int64_t low, int64_t high, const char *what)
{
    int64_t v = get_long(r);
    if (v >= low && v <= high) return v;
    refuse(r, what);
    return low;
}

static struct str get_bytes(struct reader *r)
{
    int64_t n = get_long(r);
    if (n < 0 || n > r->end - r->at) {
        refuse(r, "a length");
        return (struct str){"", 0};
    }
    struct str s = {(const char *)r->at, (size_t)n};
    r->at += n;
    return s;
}

/* Items of at least `least` bytes each; memory for them is only taken when the bytes can hold them. */
static void *get_items(struct reader *r, size_t least, size_t size, size_t *ret_count)
{
    int64_t n = get_long(r);
    *ret_count = 0;
    if (n == 0 || r->wrong) return NULL;
    if (n < 0 || (uint64_t)n > (uint64_t)(r->end - r->at) / least) return refuse(r, "a count");
    void *items = arena_zero(r->a, (size_t)n * size);
    if (!items) return refuse(r, "memory");
    *ret_count = (size_t)n;
    return items;
}

/* What PostgreSQL takes as text: a fold must not fail for ever because of one row. */
static bool is_text(struct str s) { return s.n && !memchr(s.p, 0, s.n) && str_is_utf8(s); }

static char *get_name(struct reader *r)
{
    struct str s = get_bytes(r);
    if (s.n > QUEUE_NAME_MAX || !is_text(s)) return refuse(r, "a name");
    char *copy = arena_alloc(r->a, s.n + 1);
    if (!copy) return refuse(r, "memory");
    memcpy(copy, s.p, s.n);
    copy[s.n] = 0;
    return copy;
}

static void get_raw(struct reader *r, void *to, size_t n)
{
    memset(to, 0, n);
    if ((size_t)(r->end - r->at) < n) {
        refuse(r, "a hash");
        return;
    }
    memcpy(to, r->at, n);
    r->at += n;
}

/* Optional: -1 is absent. */
static void get_longs(struct reader *r, bool keyed, struct lake_longs *ret)
{
    const uint8_t *from = r->at;
    *ret = (struct lake_longs){0};
    if (get_long(r) == -1) return;
    r->at = r->wrong ? r->end : from;
    ret->present = true;
    ret->items = get_items(r, keyed ? 2 : 1, sizeof *ret->items, &ret->count);
    for (size_t i = 0; i < ret->count; i++) {
        if (keyed) ret->items[i].id = (int32_t)get_within(r, 0, INT32_MAX, "a field id");
        ret->items[i].value = get_long(r);
    }
}

static void get_bounds(struct reader *r, struct lake_bounds *ret)
{
    const uint8_t *from = r->at;
    *ret = (struct lake_bounds){0};
    if (get_long(r) == -1) return;
    r->at = r->wrong ? r->end : from;
    ret->present = true;
    ret->items = get_items(r, 2, sizeof *ret->items, &ret->count);
    for (size_t i = 0; i < ret->count; i++) {
        ret->items[i].id = (int32_t)get_within(r, 0, INT32_MAX, "a field id");
        ret->items[i].value = get_bytes(r);
    }
}

static void get_file(struct reader *r, struct lake_entry *n)
{
    *n = (struct lake_entry){.status = LAKE_ADDED,
                             .content = LAKE_DATA,
                             .format = STR("PARQUET"),
                             .sequence_number = LAKE_NULL,
                             .file_sequence_number = LAKE_NULL};
    n->path = get_bytes(r);
    if (!lake_is_ours(n->path) || n->path.n >= LAKE_LOCATION_MAX || !is_text(n->path))
        refuse(r, "a path");
    n->day = (int32_t)get_within(r, INT32_MIN, INT32_MAX, "a day");
    n->rows = get_within(r, 1, ROWS_MAX, "rows of a file");
    n->bytes = get_within(r, 1, ROWS_MAX, "size of a file");
    n->sort_order_id = get_within(r, -1, INT32_MAX, "a sort order");
    if (n->sort_order_id < 0) n->sort_order_id = LAKE_NULL;
    get_longs(r, true, &n->sizes);
    get_longs(r, true, &n->values);
    get_longs(r, true, &n->nulls);
    get_longs(r, false, &n->splits);
    get_bounds(r, &n->lower);
    get_bounds(r, &n->upper);
}

static void get_key(struct reader *r, const struct queue_table *t, struct queue_key *k,
                    const struct queue_key *before)
{
    uint8_t flags = 0;
    get_raw(r, &k->w.key, sizeof k->w.key);
    get_raw(r, &flags, sizeof flags);
    if (flags > 3 || (flags & 2 && !before)) refuse(r, "flags of a row");
    k->replaces = flags & 1;
    k->w.day = (int32_t)get_within(r, INT32_MIN, INT32_MAX, "a day");
    k->w.range = get_long(r);
    k->file = (uint32_t)get_within(r, 0, (int64_t)t->file_count - 1, "the file of a row");
    int64_t rows = r->wrong || t->file_count == 0 ? 1 : t->files[k->file].rows;
    k->position = get_within(r, 0, rows - 1, "the position of a row");
    if (flags & 2 && before) {
        k->w.venue = before->w.venue;
        k->w.symbol = before->w.symbol;
        return;
    }
    k->w.venue = get_bytes(r);
    k->w.symbol = get_bytes(r);
}

static void get_table(struct reader *r, enum table_id id, struct queue_table *t)
{
    t->files = get_items(r, 12, sizeof *t->files, &t->file_count);
    for (size_t i = 0; i < t->file_count && !r->wrong; i++) get_file(r, &t->files[i]);
    t->keys = get_items(r, 21, sizeof *t->keys, &t->key_count);
    if (t->key_count && (table_of(id)->key_count == 0 || t->file_count == 0))
        refuse(r, "rows of keys where there are none");
    for (size_t i = 0; i < t->key_count && !r->wrong; i++)
        get_key(r, t, &t->keys[i], i ? &t->keys[i - 1] : NULL);
}

static void get_proof(struct reader *r, struct queue_proof *p)
{
    for (int i = 0; i < 4; i++) {
        p->names[i] = get_bytes(r);
        if (p->names[i].n > 128 || !is_text(p->names[i])) refuse(r, "a name of a series");
    }
    p->stream = (uint8_t)get_within(r, 0, STREAM_MAX - 1, "a stream");
    p->minute = get_long(r);
    p->count = get_within(r, 0, ROWS_MAX, "rows of a minute");
    get_raw(r, &p->sum, sizeof p->sum);
}

static void get_all(struct reader *r, struct queue_commit *q)
{
    q->moves = get_items(r, 3, sizeof *q->moves, &q->move_count);
    for (size_t i = 0; i < q->move_count && !r->wrong; i++) {
        q->moves[i].name = get_name(r);
        q->moves[i].from = get_long(r);
        q->moves[i].to = get_long(r);
    }
    q->states = get_items(r, 2, sizeof *q->states, &q->state_count);
    for (size_t i = 0; i < q->state_count && !r->wrong; i++) {
        q->states[i].name = get_name(r);
        q->states[i].bytes = get_bytes(r);
    }
    q->proofs = get_items(r, 23, sizeof *q->proofs, &q->proof_count);
    for (size_t i = 0; i < q->proof_count && !r->wrong; i++) get_proof(r, &q->proofs[i]);
    for (int id = 0; id < TABLE_MAX && !r->wrong; id++)
        get_table(r, (enum table_id)id, &q->tables[id]);
    if (!r->wrong && q->move_count == 0) refuse(r, "no position");
    if (r->at != r->end) refuse(r, "bytes behind the end");
}

enum err_code queue_decode(struct str bytes, struct arena *a, struct queue_commit *ret,
                           struct err *e)
{
    *ret = (struct queue_commit){0};
    if (bytes.n == 0) return ERR(e, ERR_CORRUPT, "a commit in the queue is empty");
    if ((uint8_t)bytes.p[0] > QUEUE_VERSION)
        return ERR(e, ERR_VERSION,
                   "a commit in the queue has version %d; this program knows up to %d",
                   (uint8_t)bytes.p[0], QUEUE_VERSION);
    struct reader r = {.at = (const uint8_t *)bytes.p + 1, .a = a};
    r.end = (const uint8_t *)bytes.p + bytes.n;
    if (bytes.p[0] != QUEUE_VERSION) refuse(&r, "the version");
    if (!r.wrong) get_all(&r, ret);
    if (!r.wrong) return ERR_OK;
    size_t at = bytes.n;
    *ret = (struct queue_commit){0};
    return ERR(e, ERR_CORRUPT, "a commit in the queue (%zu bytes) is damaged: %s", at, r.wrong);
}
