#include "store/changes_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* A block is given back when all of it was taken. Small enough that a short queue takes little memory, large enough that the
 * lock is taken once in a thousand messages under load. */
enum { BLOCK_BYTES = 256 << 10, HEAD_BYTES = 4 };

struct changes_block {
    struct changes_block *next;
    size_t size, used, shown; /* used: of the putter; shown: what the taker may read */
    uint8_t bytes[];
};

void changes_queue_init(struct changes_queue *q, size_t limit)
{
    *q = (struct changes_queue){.limit = limit < 4 * BLOCK_BYTES ? 4 * BLOCK_BYTES : limit};
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->more, &attr);
    pthread_cond_init(&q->room, &attr);
    pthread_condattr_destroy(&attr);
}

static void free_list(struct changes_block *b)
{
    while (b) {
        struct changes_block *next = b->next;
        free(b);
        b = next;
    }
}

void changes_queue_free(struct changes_queue *q)
{
    free_list(q->head);
    free_list(q->spare);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->more);
    pthread_cond_destroy(&q->room);
}

/* Under the lock. A message larger than the limit has to pass as well: alone. */
static struct changes_block *new_block(struct changes_queue *q, size_t need)
{
    size_t size = need > BLOCK_BYTES ? need : BLOCK_BYTES;
    if (q->in_use > 0 && (q->in_use >= q->limit || size > q->limit - q->in_use)) return NULL;
    struct changes_block *b = q->spare;
    if (b && size == BLOCK_BYTES) {
        q->spare = b->next;
    } else {
        b = malloc(sizeof *b + size);
        CHECK(b != NULL);
        b->size = size;
    }
    b->next = NULL;
    b->used = b->shown = 0;
    q->in_use += size;
    return b;
}

bool changes_queue_put(struct changes_queue *q, struct str message)
{
    size_t need = HEAD_BYTES + message.n;
    CHECK(message.n <= UINT32_MAX - HEAD_BYTES);
    if (q->sealed || !q->tail || q->tail->size - q->tail->used < need) {
        pthread_mutex_lock(&q->lock);
        struct changes_block *b = new_block(q, need);
        if (q->tail)
            q->tail->shown = q->tail->used; /* before it is left, or its end is never seen */
        if (b && q->tail)
            q->tail->next = b;
        else if (b)
            q->head = b;
        if (b) q->tail = b;
        if (b) q->sealed = false;
        pthread_cond_signal(&q->more);
        pthread_mutex_unlock(&q->lock);
        if (!b) return false;
    }
    uint32_t n = (uint32_t)message.n;
    memcpy(q->tail->bytes + q->tail->used, &n, HEAD_BYTES);
    memcpy(q->tail->bytes + q->tail->used + HEAD_BYTES, message.p, message.n);
    q->tail->used += need;
    return true;
}

void changes_queue_flush(struct changes_queue *q, uint64_t idle_lsn)
{
    pthread_mutex_lock(&q->lock);
    if (q->tail && !q->sealed) q->tail->shown = q->tail->used;
    if (idle_lsn > q->idle_lsn) q->idle_lsn = idle_lsn;
    pthread_cond_signal(&q->more);
    pthread_mutex_unlock(&q->lock);
}

void changes_queue_close(struct changes_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->more);
    pthread_cond_broadcast(&q->room);
    pthread_mutex_unlock(&q->lock);
}

static struct timespec after(int32_t timeout_ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + (timeout_ms > 0 ? timeout_ms : 0) * NS_PER_MS;
    t.tv_sec += ns / NS_PER_S;
    t.tv_nsec = (long)(ns % NS_PER_S);
    return t;
}

bool changes_queue_wait(struct changes_queue *q, size_t bytes, int32_t timeout_ms)
{
    struct timespec until = after(timeout_ms);
    pthread_mutex_lock(&q->lock);
    if (q->tail && !q->sealed) q->tail->shown = q->tail->used;
    q->sealed = true; /* or the last block, however large, would never be given back */
    while (q->in_use > bytes && !q->closed)
        if (pthread_cond_timedwait(&q->room, &q->lock, &until) == ETIMEDOUT) break;
    bool good = q->in_use <= bytes;
    pthread_mutex_unlock(&q->lock);
    return good;
}

/* Under the lock: gives back the blocks that are read to the end, but for the one that the putter still fills. */
static void leave_blocks(struct changes_queue *q)
{
    while (q->head && q->read_at == q->head->shown && (q->head->next || q->sealed)) {
        struct changes_block *b = q->head;
        q->head = b->next;
        if (b == q->tail) q->tail = NULL;
        q->read_at = 0;
        q->in_use -= b->size;
        if (b->size == BLOCK_BYTES && (!q->spare || !q->spare->next)) {
            b->next = q->spare;
            q->spare = b;
        } else {
            free(b);
        }
        pthread_cond_signal(&q->room);
    }
    q->reading = q->head;
    q->seen = q->head ? q->head->shown : 0;
}

bool changes_queue_peek(struct changes_queue *q, int32_t timeout_ms, struct str *ret,
                        uint64_t *ret_idle_lsn)
{
    if (q->read_at >= q->seen) {
        struct timespec until = after(timeout_ms);
        pthread_mutex_lock(&q->lock);
        for (;;) {
            leave_blocks(q);
            if (q->read_at < q->seen || q->closed || timeout_ms <= 0) break;
            if (pthread_cond_timedwait(&q->more, &q->lock, &until) == ETIMEDOUT) timeout_ms = 0;
        }
        *ret_idle_lsn = q->idle_lsn;
        pthread_mutex_unlock(&q->lock);
        if (q->read_at >= q->seen) return false;
    }
    uint32_t n;
    memcpy(&n, q->reading->bytes + q->read_at, HEAD_BYTES);
    *ret = (struct str){(const char *)q->reading->bytes + q->read_at + HEAD_BYTES, n};
    return true;
}

void changes_queue_drop(struct changes_queue *q)
{
    uint32_t n;
    memcpy(&n, q->reading->bytes + q->read_at, HEAD_BYTES);
    q->read_at += HEAD_BYTES + n;
}

size_t changes_queue_bytes(struct changes_queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t n = q->in_use;
    pthread_mutex_unlock(&q->lock);
    return n;
}

bool changes_queue_is_over(struct changes_queue *q)
{
    pthread_mutex_lock(&q->lock);
    bool rest = q->head && (q->read_at < q->head->shown || q->head->next);
    bool over = q->closed && !rest;
    pthread_mutex_unlock(&q->lock);
    return over;
}
