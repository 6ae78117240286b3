#include "base/ring.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* A mutex and two conditions: batches pass a few hundred times a second, so a lock-free ring would buy nothing and
 * would be one more thing to prove. pthreads, since ThreadSanitizer understands them. */
struct ring {
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
    size_t capacity, count, head;
    bool closed;
    void *items[];
};

struct ring *ring_new(size_t capacity)
{
    CHECK(capacity > 0);
    struct ring *r = calloc(1, sizeof *r + capacity * sizeof r->items[0]);
    CHECK(r != NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->not_empty, &attr);
    pthread_cond_init(&r->not_full, &attr);
    pthread_condattr_destroy(&attr);
    r->capacity = capacity;
    return r;
}

struct ring *ring_free(struct ring *r)
{
    if (!r) return NULL;
    pthread_cond_destroy(&r->not_empty);
    pthread_cond_destroy(&r->not_full);
    pthread_mutex_destroy(&r->lock);
    free(r);
    return NULL;
}

static struct timespec deadline_in(int timeout_ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += timeout_ms / 1000;
    t.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* Waits on c until the state may have changed; false when the deadline is over. */
static bool wait(struct ring *r, pthread_cond_t *c, int timeout_ms, const struct timespec *deadline)
{
    if (timeout_ms == 0) return false;
    if (timeout_ms < 0) return pthread_cond_wait(c, &r->lock) == 0;
    return pthread_cond_timedwait(c, &r->lock, deadline) != ETIMEDOUT;
}

bool ring_push(struct ring *r, void *item, int timeout_ms)
{
    struct timespec deadline = deadline_in(timeout_ms < 0 ? 0 : timeout_ms);
    pthread_mutex_lock(&r->lock);
    while (r->count == r->capacity && !r->closed)
        if (!wait(r, &r->not_full, timeout_ms, &deadline)) break;
    bool pushed = r->count < r->capacity && !r->closed;
    if (pushed) {
        r->items[(r->head + r->count++) % r->capacity] = item;
        pthread_cond_signal(&r->not_empty);
    }
    pthread_mutex_unlock(&r->lock);
    return pushed;
}

void *ring_pop(struct ring *r, int timeout_ms)
{
    struct timespec deadline = deadline_in(timeout_ms < 0 ? 0 : timeout_ms);
    pthread_mutex_lock(&r->lock);
    while (r->count == 0 && !r->closed)
        if (!wait(r, &r->not_empty, timeout_ms, &deadline)) break;
    void *item = NULL;
    if (r->count) {
        item = r->items[r->head];
        r->head = (r->head + 1) % r->capacity;
        r->count--;
        pthread_cond_signal(&r->not_full);
    }
    pthread_mutex_unlock(&r->lock);
    return item;
}

void ring_close(struct ring *r)
{
    pthread_mutex_lock(&r->lock);
    r->closed = true;
    pthread_cond_broadcast(&r->not_empty);
    pthread_cond_broadcast(&r->not_full);
    pthread_mutex_unlock(&r->lock);
}

bool ring_is_over(const struct ring *r)
{
    struct ring *m = (struct ring *)(uintptr_t)r;
    pthread_mutex_lock(&m->lock);
    bool over = m->closed && m->count == 0;
    pthread_mutex_unlock(&m->lock);
    return over;
}

size_t ring_count(const struct ring *r)
{
    struct ring *m = (struct ring *)(uintptr_t)r;
    pthread_mutex_lock(&m->lock);
    size_t count = m->count;
    pthread_mutex_unlock(&m->lock);
    return count;
}
