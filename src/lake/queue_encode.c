#include "avro/avro.h"
#include "lake/queue_internal.h"

/* Numbers as Avro's (zigzag, seven bits a byte), texts with their length in front. */

static void put_longs(struct buf *b, const struct lake_longs *v, bool keyed)
{
    avro_put_long(b, v->present ? (int64_t)v->count : -1);
    for (size_t i = 0; v->present && i < v->count; i++) {
        if (keyed) avro_put_long(b, v->items[i].id);
        avro_put_long(b, v->items[i].value);
    }
}

static void put_bounds(struct buf *b, const struct lake_bounds *v)
{
    avro_put_long(b, v->present ? (int64_t)v->count : -1);
    for (size_t i = 0; v->present && i < v->count; i++) {
        avro_put_long(b, v->items[i].id);
        avro_put_bytes(b, v->items[i].value);
    }
}

static void put_file(struct buf *b, const struct lake_entry *n)
{
    avro_put_bytes(b, n->path);
    avro_put_long(b, n->day);
    avro_put_long(b, n->rows);
    avro_put_long(b, n->bytes);
    avro_put_long(b, n->sort_order_id == LAKE_NULL ? -1 : n->sort_order_id);
    put_longs(b, &n->sizes, true);
    put_longs(b, &n->values, true);
    put_longs(b, &n->nulls, true);
    put_longs(b, &n->splits, false);
    put_bounds(b, &n->lower);
    put_bounds(b, &n->upper);
}

/* Rows are sorted by their names, so that these mostly are those of the row before. */
static void put_key(struct buf *b, const struct queue_key *k, const struct queue_key *before)
{
    bool same =
        before && str_eq(before->w.venue, k->w.venue) && str_eq(before->w.symbol, k->w.symbol);
    buf_add(b, &k->w.key, sizeof k->w.key);
    buf_add_byte(b, (uint8_t)((k->replaces ? 1 : 0) | (same ? 2 : 0)));
    avro_put_long(b, k->w.day);
    avro_put_long(b, k->w.range);
    avro_put_long(b, k->file);
    avro_put_long(b, k->position);
    if (same) return;
    avro_put_bytes(b, k->w.venue);
    avro_put_bytes(b, k->w.symbol);
}

static void put_proof(struct buf *b, const struct queue_proof *p)
{
    for (int i = 0; i < 4; i++) avro_put_bytes(b, p->names[i]);
    avro_put_long(b, p->stream);
    avro_put_long(b, p->minute);
    avro_put_long(b, p->count);
    buf_add(b, &p->sum, sizeof p->sum);
}

static void put_table(struct buf *b, const struct queue_table *t)
{
    avro_put_long(b, (int64_t)t->file_count);
    for (size_t i = 0; i < t->file_count; i++) put_file(b, &t->files[i]);
    avro_put_long(b, (int64_t)t->key_count);
    for (size_t i = 0; i < t->key_count; i++) put_key(b, &t->keys[i], i ? &t->keys[i - 1] : NULL);
}

void queue_encode(const struct queue_commit *q, struct buf *b)
{
    buf_add_byte(b, QUEUE_VERSION);
    avro_put_long(b, (int64_t)q->move_count);
    for (size_t i = 0; i < q->move_count; i++) {
        avro_put_bytes(b, str_of(q->moves[i].name));
        avro_put_long(b, q->moves[i].from);
        avro_put_long(b, q->moves[i].to);
    }
    avro_put_long(b, (int64_t)q->state_count);
    for (size_t i = 0; i < q->state_count; i++) {
        avro_put_bytes(b, str_of(q->states[i].name));
        avro_put_bytes(b, q->states[i].bytes);
    }
    avro_put_long(b, (int64_t)q->proof_count);
    for (size_t i = 0; i < q->proof_count; i++) put_proof(b, &q->proofs[i]);
    for (int id = 0; id < TABLE_MAX; id++) put_table(b, &q->tables[id]);
}
