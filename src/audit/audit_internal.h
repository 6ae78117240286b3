/* audit_internal.h - what the files of this folder share. */
#ifndef TICKLAKE_AUDIT_AUDIT_INTERNAL_H
#define TICKLAKE_AUDIT_AUDIT_INTERNAL_H

#include "audit/audit.h"
#include "base/array.h"
#include "base/map.h"
#include "lake/lake.h"
#include "process/process.h"
#include "store/store.h"

enum audit_check_id {
    CHECK_ROWS,
    CHECK_LAKE,
    CHECK_STORE_BUS,
    CHECK_BUS_LAKE,
    CHECK_FILES,
    CHECK_CANDLES,
    CHECK_LEDGER,
    CHECK_FOREIGN
};

/* How a gap stood at the lake's position, which the store may be ahead of. */
enum audit_gap_state {
    GAP_AS_LEDGER, /* its newest state is not after the position */
    GAP_LATER, /* only later states are known: opened after it, or its older rows were removed by retention */
    GAP_FROM_ROWS, /* found in the gap rows up to the position */
};
struct audit_gap {
    struct gap g; /* series is canonical; no text */
    enum audit_gap_state state;
};

/* One side's series numbers to one number for each (venue, exchange, symbol), which is what proofs are kept for. */
struct audit_names {
    struct series_table *canonical;
    uint32_t *of; /* number of the side -> canonical */
    uint32_t count;
};

struct audit_pending { /* a second whose candles await a revision */
    uint32_t tape;
    int64_t second_ns;
};

/* A candle that does not fit. Told at the end, when it is known which minutes moved meanwhile. */
struct audit_suspect {
    uint32_t tape;
    enum timeframe timeframe;
    int64_t open_ns;
    char text[200];
};

struct audit {
    const struct audit_options *o;
    struct audit_result *result;
    const char *store_place, *lake_place; /* for texts: a path, or which database */
    struct series_table *store_names, *lake_names;
    /* Canonical: venue_symbol is the symbol, so that the same tape under two venue symbols is one. */
    struct series_table *names;
    struct audit_names of_store, of_lake;
    struct store_tail *tail;
    struct lake *lake; /* NULL: there is none */
    /* The lake's, when verify began and when it had read all. Distributed there is no such number: INT64_MAX, and another one
     * after it where the lake moved. */
    int64_t position, position_after;
    int64_t mark;                            /* the store's */
    int64_t newest_received_ns;              /* of what the position covers */
    int64_t first_sequence;                  /* oldest that the store keeps */
    struct proof_set claim, reread, foreign; /* of the lake, canonical numbers */
    struct proof_set before,
        after;        /* of the store at the two positions (distributed: of the lake), canonical */
    struct map tapes; /* "venue/symbol" -> number */
    struct audit_tape *tape_list;
    size_t tape_count, tape_cap;
    uint32_t *tape_of; /* canonical series -> tape; made by audit_tapes */
    uint32_t tape_of_count;
    struct audit_pending *pending;
    size_t pending_count, pending_cap;
    struct audit_suspect *suspects;
    size_t suspect_count, suspect_cap;
    bool foreign_candles, skip_ledger;
    struct audit_gap *gaps;
    size_t gap_count, gap_cap;
    struct map gap_index; /* 8 bytes of gap_id -> place in gaps */
    struct audit_lake_gaps *lake_gaps;
};

/* What candles there are of one (venue, symbol). */
struct audit_tape {
    struct str venue, symbol;          /* in the lake's series table */
    int64_t newest_end[TIMEFRAME_MAX]; /* end of the newest candle; INT64_MIN without one */
    int32_t *days;                     /* on which it has candles, sorted at the end */
    size_t day_count, day_cap;
};

void audit_differs(struct audit *a, enum audit_check_id check, const char *place,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));
void audit_progress(const struct audit *a, enum audit_check_id check, int64_t done, int64_t all);
uint32_t audit_canonical(struct audit *a, struct audit_names *n, const struct series_table *from,
                         uint32_t series);
/* "binance/binance BTC-USDT trade 2024-08-08T23:54:00Z" */
void audit_key_text(const struct audit *a, const struct proof *p, char text[512]);
bool audit_same(const struct proof *x, const struct proof *y); /* NULL is none of it */
/* The number of (venue, symbol), added when new. */
uint32_t audit_tape_of(struct audit *a, struct str venue, struct str symbol);

enum err_code audit_store_rows(struct audit *a, struct err *e) MUST_USE;
enum err_code audit_open_lake(struct audit *a, struct lake **ret, struct err *e) MUST_USE;
void audit_add_canonical(struct audit *a, const struct proof_set *from, struct audit_names *n,
                         const struct series_table *names, struct proof_set *to);
enum err_code audit_store_side(struct audit *a, int64_t upto, struct proof_set *to,
                               struct err *e) MUST_USE;
/* Seconds that await a revision: states of that name, behind a partition's prefix or none. */
enum err_code audit_note_pending(void *ctx, struct str name, struct str bytes,
                                 struct err *e) MUST_USE;
/* Every minute of x against y, and those that only y has. */
void audit_compare_sets(struct audit *a, enum audit_check_id check, const struct proof_set *x,
                        const char *x_name, const struct proof_set *y, const char *y_name);
/* One minute that is not what it should be. */
void audit_tell_minute(struct audit *a, enum audit_check_id check, const struct proof *key,
                       const struct proof *x, const char *x_name, const struct proof *y,
                       const char *y_name);
/* audit_bus.c: the distributed verify, from the wait to the two hops; the rest is as embedded. */
enum err_code audit_distributed(struct audit *a, struct err *e) MUST_USE;
enum err_code audit_load_gaps(struct audit *a, struct err *e) MUST_USE;
void audit_note_gap(struct audit *a,
                    const struct gap *g); /* a gap row of the store, in sequence order */
/* Reads the files; what they add up to is compared at the end. */
enum err_code audit_lake_files(struct audit *a, struct err *e) MUST_USE;
void audit_compare_minutes(struct audit *a);
/* audit_gaps.c: read while the lake is at the position, compared when it is known whether it still was. */
enum err_code audit_read_gaps(struct audit *a, struct err *e) MUST_USE;
void audit_compare_gaps(struct audit *a);
void audit_free_gaps(struct audit *a);
enum err_code audit_tapes(struct audit *a, struct err *e) MUST_USE;
void audit_tell_suspects(struct audit *a);

/* --- audit_ids.c: sets of ids as sorted intervals --- */
struct audit_interval {
    int64_t first, last;
    int64_t received_ns; /* of the trade with the lowest id */
};
struct audit_ids {
    uint32_t series; /* canonical */
    uint8_t stream;
    int64_t floor, floor_sequence; /* the id that came first */
    struct audit_interval *items;
    size_t count, cap;
};
void audit_ids_add(struct audit_ids *ids, int64_t first, int64_t last, int64_t received_ns);
void audit_ids_check(struct audit *a, const struct audit_ids *ids);
/* Gaps of the ledger that are of no tape with ids in the lake are counted here. */
void audit_ledger_totals(struct audit *a);

/* --- audit_candles.c: one day of one tape --- */
struct audit_day {
    struct audit *a;
    const struct audit_tape *tape;
    uint32_t tape_number;
    int32_t day;
    int stream;             /* that candles are made of */
    struct candle *candles; /* sorted by timeframe and time */
    bool *matched;
    size_t count, cap;
};
enum err_code audit_day_load(struct audit_day *d, struct err *e) MUST_USE;
/* All trades of the tape's stream in one minute. */
enum err_code audit_day_minute(struct audit_day *d, uint32_t series, const struct trade *trades,
                               size_t count, int64_t open_ns, struct err *e) MUST_USE;
enum err_code audit_day_end(struct audit_day *d, struct err *e) MUST_USE;
void audit_day_free(struct audit_day *d);

#endif
