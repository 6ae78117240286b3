/* store_internal.h - inside the store: what its files share. */
#ifndef TICKLAKE_STORE_STORE_INTERNAL_H
#define TICKLAKE_STORE_STORE_INTERNAL_H

#include "store/store_batch.h"
#include "store/store_state.h"

#include <stdatomic.h>

struct store {
    struct store_db db;
    struct series_table *series;
    uint64_t bytes_max;
    int64_t page_bytes;
    int64_t mark, batch, newest_received_ns;
    uint32_t series_stored;
    struct buf proofs;
    struct store_loaded loaded;
    atomic_llong rows, batches, bytes, commit_ns_total, commit_ns_max, mark_seen;
};

/* Takes the database's size (without its free pages) into s->bytes. */
enum err_code store_measure(struct store *s, struct err *e) MUST_USE;

#endif
