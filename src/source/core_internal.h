/* core_internal.h - what the files of the core share; nobody else includes it. */
#ifndef TICKLAKE_SOURCE_CORE_INTERNAL_H
#define TICKLAKE_SOURCE_CORE_INTERNAL_H

#include "base/array.h"
#include "source/core.h"

#include <stdatomic.h>

/* How often gaps are looked for, by the receipt clock. */
#define CORE_TICK_NS (100 * NS_PER_MS)

struct core_connection {
    struct core_connection *next;
    const struct venue *venue;
    struct venue_names *names;
    struct venue_session *session;
    uint32_t number;
    char name[160];
};

struct core_venue {
    const struct venue *venue;
    struct venue_names *names;
};

struct core_place {
    char *name;
    int64_t frames;
    bool known, done, dirty;
};

enum { CORE_VENUES_MAX = 64, CORE_PLACES_MAX = 1 << 20, CORE_DIRTY_MAX = 4000 };

struct core {
    struct source_options options;
    struct dedup *dedup;
    struct decoded decoded;
    struct buf frame;      /* the copy that is decoded in situ */
    struct batch *batch;   /* NULL: none at the moment */
    uint64_t batch_number; /* of `batch`, to know that a copy in its arena is gone */
    int64_t
        batch_since_ns; /* monotonic, when core_age first saw something in it; TIME_ABSENT before */
    int64_t clock_ns;   /* newest receipt, or TIME_ABSENT */
    int64_t event_ns;   /* newest event of inputs without receipt: the clock of the next one */
    int64_t last_received_ns; /* of the past */
    int64_t next_gap_id;      /* ids from here on were not seen yet */
    bool skip;
    atomic_bool stop;

    struct core_venue venues[CORE_VENUES_MAX];
    size_t venue_count;
    struct core_connection *connections;
    uint32_t connection_count;
    struct map instruments; /* "venue symbol" -> index of its hash */
    uint64_t *instrument_hashes;
    size_t instrument_count, instrument_cap;

    struct core_place *places;
    struct map place_index;
    size_t place_count, place_cap;
    uint32_t *dirty;
    size_t dirty_count;

    struct source_stats stats;
};

/* One thread writes, any may read: no locked instruction is needed (they were 4 % of a replay). */
#define CORE_COUNT(c, field, n)                                                                    \
    __atomic_store_n(&(c)->stats.field, (c)->stats.field + (int64_t)(n), __ATOMIC_RELAXED)

/* The dead letters of one input share one copy of its bytes. */
struct core_payload {
    uint64_t batch_number; /* that the copy is in; 0 none */
    struct str copy;
    int count; /* of dead letters with bytes */
};

/* The batch that is being filled, with room for so many events and so much text, or as much as a
 * batch can have. */
enum err_code core_room(struct core *c, size_t events, size_t text, struct err *e) MUST_USE;
/* The clock of an input; before its events are added. */
enum err_code core_receive(struct core *c, const struct core_input *in, struct err *e) MUST_USE;
enum err_code core_dead_letter(struct core *c, const struct core_input *in,
                               const struct core_dead *d, struct core_payload *payload,
                               struct err *e) MUST_USE;
/* Receipt of an event: the input's, else the venue's time, else the clock. */
int64_t core_received(const struct core *c, const struct core_input *in, int64_t venue_time_ns);
void core_touched(struct core *c, int64_t received_ns);
/* The copy of in->bytes that may be changed, with padding. */
char *core_copy(struct core *c, const struct core_input *in);

void core_names_open(struct core *c, const struct source_past *past);
void core_names_close(struct core *c);

#endif
