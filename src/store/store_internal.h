/* store_internal.h - inside the store: what the two backends share.
 *
 * A backend is a table of functions behind store.h; its own struct begins with struct store (or struct store_tail), so that
 * the public functions cost one indirect call and the embedded path nothing more.
 */
#ifndef TICKLAKE_STORE_STORE_INTERNAL_H
#define TICKLAKE_STORE_STORE_INTERNAL_H

#include "store/store_batch.h"
#include "store/store_state.h"

#include <stdatomic.h>

typedef enum err_code store_gap_each(void *ctx, const struct gap *g, struct err *e);
typedef enum err_code store_claim_each(void *ctx, const struct store_batch_claim *c, struct err *e);
typedef enum err_code store_job_each(void *ctx, const struct store_job *job, struct err *e);

struct store_backend {
    enum err_code (*open)(const struct store_options *o, struct store **ret, struct err *e);
    struct store *(*close)(struct store *s);
    enum err_code (*append)(struct store *s, struct batch *b, struct err *e);
    enum err_code (*retain)(struct store *s, int64_t below_sequence, int64_t before_ns,
                            bool *ret_more, struct err *e);
    enum err_code (*check)(struct store *s, struct err *e);

    enum err_code (*tail_open)(const struct store_options *o, struct store_tail **ret,
                               struct err *e);
    struct store_tail *(*tail_close)(struct store_tail *t);
    enum err_code (*tail_read)(struct store_tail *t, int64_t after_sequence, int64_t upto,
                               struct batch *b, bool *ret_end, struct err *e);
    int64_t (*tail_mark)(struct store_tail *t);
    enum err_code (*claims)(struct store_tail *t, store_claim_each *each, void *ctx, struct err *e);
    enum err_code (*claim_proofs)(struct store_tail *t, const struct store_batch_claim *c,
                                  struct proof_set *ret, struct err *e);
    enum err_code (*proofs)(struct store_tail *t, int64_t upto, struct proof_set *ret,
                            struct err *e);
    enum err_code (*gaps)(struct store_tail *t, bool open_only, store_gap_each *each, void *ctx,
                          struct err *e);
    /* NULL: the mark is all there is to tell */
    enum err_code (*progress)(struct store_tail *t, const char *slot, struct store_progress *ret,
                              struct err *e);

    enum err_code (*job_put)(const struct store_options *o, struct store_job *job, struct err *e);
    enum err_code (*each_job)(const struct store_options *o, int64_t newest, store_job_each *each,
                              void *ctx, struct err *e);
    enum err_code (*probe)(const struct store_options *o, struct buf *grants, struct err *e);
};
extern const struct store_backend store_sqlite, store_postgres;

struct store {
    const struct store_backend *backend;
    struct series_table *series;
    uint64_t bytes_max;
    int64_t mark, newest_received_ns;
    struct store_loaded loaded;
    atomic_llong rows, batches, bytes, commit_ns_total, commit_ns_max, mark_seen;
};
void store_init(struct store *s, const struct store_backend *backend,
                const struct store_options *o);
/* After a commit that took `ns`; s->mark is the new one. */
void store_count_commit(struct store *s, const struct batch *b, int64_t ns);
/* Not more bytes than allowed, by the last measure. */
enum err_code store_check_room(const struct store *s, const char *where, struct err *e) MUST_USE;
/* The sum of a batch's proof, which must cover each of its trades and quotes. */
enum err_code store_proof_sum(const struct batch *b, u128 *ret, struct err *e) MUST_USE;

struct store_tail {
    const struct store_backend *backend;
    struct series_table *series;
    int64_t mark; /* newest seen */
};

/* One entry of the proof for each trade is the worst case; more than this is no batch. */
enum { STORE_PROOFS_MAX_BYTES = 256 << 20 };

#endif
