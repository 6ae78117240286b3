/* store_state.h - inside the store: what a start needs, loaded once. */
#ifndef TICKLAKE_STORE_STORE_STATE_H
#define TICKLAKE_STORE_STORE_STATE_H

#include "store/store.h"
#include "store/store_row.h"

struct store_loaded {
    struct store_state state;
    struct arena arena; /* texts and bytes of the arrays */
    struct dedup_state *dedup;
    struct source_position *positions;
    struct gap *open_gaps;
    struct instrument *instruments;
    struct id_range *brought;
    size_t brought_cap;
    size_t dedup_cap, position_cap, open_gap_cap, instrument_cap;
};

void store_state_init(struct store_loaded *l);
void store_state_free(struct store_loaded *l);
enum err_code store_state_load(struct store_db *db, uint32_t series_end, struct store_loaded *l,
                               struct err *e) MUST_USE;

#endif
