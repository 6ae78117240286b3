/* store_sqlite.h - inside the store: the backend of one file. */
#ifndef TICKLAKE_STORE_STORE_SQLITE_H
#define TICKLAKE_STORE_STORE_SQLITE_H

#include "store/store_internal.h"

struct store_lite {
    struct store base;
    struct store_db db;
    int64_t page_bytes;
    int64_t batch;
    uint32_t series_stored;
    struct buf proofs;
};
struct store_lite_tail {
    struct store_tail base;
    struct store_db db;
    uint32_t series_stored; /* of them the store is known to have */
};

enum err_code store_lite_retain(struct store *s, int64_t below_sequence, int64_t before_ns,
                                bool *ret_more, struct err *e) MUST_USE;
enum err_code store_lite_check(struct store *s, struct err *e) MUST_USE;
/* Takes the database's size (without its free pages) into s->bytes. */
enum err_code store_lite_measure(struct store_lite *s, struct err *e) MUST_USE;

enum err_code store_lite_tail_open(const struct store_options *o, struct store_tail **ret,
                                   struct err *e) MUST_USE;
struct store_tail *store_lite_tail_close(struct store_tail *t);
enum err_code store_lite_tail_read(struct store_tail *t, int64_t after_sequence, int64_t upto,
                                   struct batch *b, bool *ret_end, struct err *e) MUST_USE;
int64_t store_lite_tail_mark(struct store_tail *t);
enum err_code store_lite_claims(struct store_tail *t, store_claim_each *each, void *ctx,
                                struct err *e) MUST_USE;
enum err_code store_lite_claim_proofs(struct store_tail *t, const struct store_batch_claim *c,
                                      struct proof_set *ret, struct err *e) MUST_USE;
enum err_code store_lite_proofs(struct store_tail *t, int64_t upto, struct proof_set *ret,
                                struct err *e) MUST_USE;
enum err_code store_lite_gaps(struct store_tail *t, bool open_only, store_gap_each *each, void *ctx,
                              struct err *e) MUST_USE;

enum err_code store_lite_job_put(const struct store_options *o, struct store_job *job,
                                 struct err *e) MUST_USE;
enum err_code store_lite_each_job(const struct store_options *o, int64_t newest,
                                  store_job_each *each, void *ctx, struct err *e) MUST_USE;

#endif
