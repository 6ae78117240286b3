/* store_tail.h - inside the store: a reader's connection. */
#ifndef TICKLAKE_STORE_STORE_TAIL_H
#define TICKLAKE_STORE_STORE_TAIL_H

#include "store/store_batch.h"

struct store_tail {
    struct store_db db;
    struct series_table *series;
    uint32_t series_stored; /* of them the store is known to have */
    int64_t mark;           /* newest seen */
};

#endif
