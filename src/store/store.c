/* The public functions: each goes to the backend that the options ask for. */
#include "store/store_internal.h"

static const struct store_backend *backend_of(const struct store_options *o)
{
    return o->url ? &store_postgres : &store_sqlite;
}

void store_init(struct store *s, const struct store_backend *backend, const struct store_options *o)
{
    s->backend = backend;
    s->series = o->series;
    s->bytes_max = o->bytes_max;
    s->newest_received_ns = TIME_ABSENT;
    store_state_init(&s->loaded);
}

enum err_code store_open(const struct store_options *o, struct store **ret, struct err *e)
{
    *ret = NULL;
    return backend_of(o)->open(o, ret, e);
}

struct store *store_close(struct store *s) { return s ? s->backend->close(s) : NULL; }
const struct store_state *store_state(const struct store *s) { return &s->loaded.state; }
int64_t store_mark(const struct store *s) { return s->mark; }

void store_stats(const struct store *s, struct store_stats *ret)
{
    struct store *m = (struct store *)(uintptr_t)s; /* C17 atomics take no const */
    *ret = (struct store_stats){
        .rows = atomic_load_explicit(&m->rows, memory_order_relaxed),
        .batches = atomic_load_explicit(&m->batches, memory_order_relaxed),
        .bytes = atomic_load_explicit(&m->bytes, memory_order_relaxed),
        .commit_ns_total = atomic_load_explicit(&m->commit_ns_total, memory_order_relaxed),
        .commit_ns_max = atomic_load_explicit(&m->commit_ns_max, memory_order_relaxed),
        .mark = atomic_load_explicit(&m->mark_seen, memory_order_relaxed),
    };
}

void store_count_commit(struct store *s, const struct batch *b, int64_t ns)
{
    atomic_fetch_add_explicit(&s->rows, (long long)b->event_count, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->batches, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->commit_ns_total, ns, memory_order_relaxed);
    if (ns > atomic_load_explicit(&s->commit_ns_max, memory_order_relaxed))
        atomic_store_explicit(&s->commit_ns_max, ns, memory_order_relaxed);
    atomic_store_explicit(&s->mark_seen, s->mark, memory_order_relaxed);
}

enum err_code store_check_room(const struct store *s, const char *where, struct err *e)
{
    struct store_stats stats;
    if (!s->bytes_max) return ERR_OK;
    store_stats(s, &stats);
    if ((uint64_t)stats.bytes < s->bytes_max) return ERR_OK;
    return ERR(e, ERR_FULL,
               "%s holds %lld bytes, store.max_mb allows %llu: raise it, or keep less "
               "(retention frees rows once the lake has them)",
               where, (long long)stats.bytes, (unsigned long long)s->bytes_max);
}

enum err_code store_proof_sum(const struct batch *b, u128 *ret, struct err *e)
{
    int64_t proven = 0, events = (int64_t)(b->trade_count + b->quote_count);
    *ret = 0;
    for (size_t i = 0; i < b->proofs.count; i++) {
        *ret += b->proofs.items[i].sum;
        proven += b->proofs.items[i].count;
    }
    if (proven == events) return ERR_OK;
    return ERR(e, ERR_INTERNAL,
               "a batch of %lld trades and quotes came with a proof of %lld: whoever filled it "
               "left out proof_add_trade or proof_add_quote",
               (long long)events, (long long)proven);
}

enum err_code store_append(struct store *s, struct batch *b, struct err *e)
{
    return s->backend->append(s, b, e);
}

enum err_code store_retain(struct store *s, int64_t below_sequence, int64_t before_ns,
                           bool *ret_more, struct err *e)
{
    *ret_more = false;
    return s->backend->retain(s, below_sequence, before_ns, ret_more, e);
}

enum err_code store_check(struct store *s, struct err *e) { return s->backend->check(s, e); }

enum err_code store_tail_open(const struct store_options *o, struct store_tail **ret, struct err *e)
{
    *ret = NULL;
    return backend_of(o)->tail_open(o, ret, e);
}

struct store_tail *store_tail_close(struct store_tail *t)
{
    return t ? t->backend->tail_close(t) : NULL;
}

enum err_code store_tail_read(struct store_tail *t, int64_t after_sequence, int64_t upto,
                              struct batch *b, bool *ret_end, struct err *e)
{
    CHECK(b->event_count == 0 && b->proofs.count == 0);
    *ret_end = false;
    enum err_code code = t->backend->tail_read(t, after_sequence, upto, b, ret_end, e);
    if (code != ERR_OK) batch_clear(b);
    return code;
}

int64_t store_tail_mark(struct store_tail *t) { return t->backend->tail_mark(t); }

enum err_code store_claims(struct store_tail *t,
                           enum err_code (*each)(void *ctx, const struct store_batch_claim *c,
                                                 struct err *e),
                           void *ctx, struct err *e)
{
    return t->backend->claims(t, each, ctx, e);
}

enum err_code store_claim_proofs(struct store_tail *t, const struct store_batch_claim *c,
                                 struct proof_set *ret, struct err *e)
{
    return t->backend->claim_proofs(t, c, ret, e);
}

enum err_code store_proofs(struct store_tail *t, int64_t upto, struct proof_set *ret, struct err *e)
{
    return t->backend->proofs(t, upto, ret, e);
}

enum err_code store_tail_progress(struct store_tail *t, const char *slot,
                                  struct store_progress *ret, struct err *e)
{
    *ret = (struct store_progress){.mark = store_tail_mark(t),
                                   .events_10s = -1,
                                   .newest_commit_ns = TIME_ABSENT,
                                   .unpublished_events = -1,
                                   .unpublished_ns = -1};
    return t->backend->progress ? t->backend->progress(t, slot, ret, e) : ERR_OK;
}

enum err_code store_gaps(struct store_tail *t,
                         enum err_code (*each)(void *ctx, const struct gap *g, struct err *e),
                         void *ctx, struct err *e)
{
    return t->backend->gaps(t, false, each, ctx, e);
}

enum err_code store_open_gaps(const struct store_options *o,
                              enum err_code (*each)(void *ctx, const struct gap *g, struct err *e),
                              void *ctx, struct err *e)
{
    struct store_tail *t;
    TRY(store_tail_open(o, &t, e));
    enum err_code code = t->backend->gaps(t, true, each, ctx, e);
    store_tail_close(t);
    return code;
}

enum err_code store_job_put(const struct store_options *o, struct store_job *job, struct err *e)
{
    return backend_of(o)->job_put(o, job, e);
}

enum err_code store_each_job(const struct store_options *o, int64_t newest,
                             enum err_code (*each)(void *ctx, const struct store_job *job,
                                                   struct err *e),
                             void *ctx, struct err *e)
{
    return backend_of(o)->each_job(o, newest, each, ctx, e);
}

enum err_code store_probe(const struct store_options *o, struct buf *grants, struct err *e)
{
    return o->url ? backend_of(o)->probe(o, grants, e) : ERR_OK;
}
