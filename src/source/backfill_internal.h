/* backfill_internal.h - what the files of the backfill share; nobody else includes it.
 *
 *   backfill.c          which asks cover what is wanted, and the walk of one
 *   backfill_fetch.c    one request: pace, allowance, retries, what an error means
 *   backfill_archive.c  one daily file
 *   backfill_gaps.c     the ledger of a guest, and repair
 */
#ifndef TICKLAKE_SOURCE_BACKFILL_INTERNAL_H
#define TICKLAKE_SOURCE_BACKFILL_INTERNAL_H

#include "io/http.h"
#include "io/retry.h"
#include "source/backfill.h"
#include "source/core.h"

struct source_backfill {
    struct source_options options;
    struct source_backfill_options o;
    struct core *core;
    struct core_connection *connection;
    struct venue_names *names;
    atomic_bool stop;
    int64_t free_ns; /* monotonic: not before that is anything asked */
    uint64_t seed;
    struct history_known *known;
    /* Of the tape at hand. */
    int64_t next_gap_id;
    struct history_ids seen;   /* ids that came, new or not */
    struct history_ids wanted; /* repair: nothing but these */
    struct gap *gaps;          /* guest: of the ledger, open */
    size_t gap_count, gap_cap;
    struct str symbol; /* normalised, for progress */
    struct source_backfill_stats stats;
};

#define BACKFILL_COUNT(s, field, n)                                                                \
    __atomic_store_n(&(s)->stats.field, (s)->stats.field + (int64_t)(n), __ATOMIC_RELAXED)

/* One request until it is answered: the body has VENUE_PADDING zeros behind it. Any answer that is neither an outage nor a limit
 * comes back, whatever its status; 401 and 403 are ERR_REFUSED. */
enum err_code backfill_get(struct source_backfill *s, const char *base,
                           const struct history_request *r, size_t limit, struct http_answer *ret,
                           struct err *e) MUST_USE;
/* The venue's words in an answer as an error of ours; ERR_OK: it is a limit that was waited for, ask again. */
enum err_code backfill_venue_error(struct source_backfill *s, const char *path,
                                   const struct core_result *r, int status, struct err *e) MUST_USE;
/* The venue says that its allowance is used up: waits for it, or ERR_UNAVAILABLE. */
enum err_code backfill_used_up(struct source_backfill *s, struct str words, struct err *e) MUST_USE;
/* Waits; what was fetched is pushed first where it is long. ERR_STOPPED. */
enum err_code backfill_sleep(struct source_backfill *s, int64_t ms, struct err *e) MUST_USE;
enum err_code backfill_stopped(struct source_backfill *s, struct err *e) MUST_USE;

/* All pages of an ask. */
enum err_code backfill_walk(struct source_backfill *s, const struct history_ask *ask,
                            struct err *e) MUST_USE;
/* The archive of a day; *ret_there false: the venue has none (yet), and nothing was taken. */
enum err_code backfill_archive(struct source_backfill *s, const struct history_ask *ask,
                               int32_t day, bool *ret_there, struct err *e) MUST_USE;

/* guest: the open gaps of this symbol and stream, those that are kept already left out. */
enum err_code backfill_gaps_load(struct source_backfill *s, uint8_t stream, struct err *e) MUST_USE;
/* What has come out of their rows, into the batch at hand. */
enum err_code backfill_gaps_tell(struct source_backfill *s, struct err *e) MUST_USE;
/* Notes what core_rest just found. */
void backfill_gaps_note(struct source_backfill *s, const struct decoded *d);
enum err_code backfill_repair(struct source_backfill *s, struct err *e) MUST_USE;

#endif
