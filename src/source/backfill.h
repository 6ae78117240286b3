/* backfill.h - history by REST and by daily archives, and repair: what was not heard live, through the same core.
 *
 * Brings    exactly the rows of [from, to) of some symbols (source_backfill_*), or exactly the ids that gaps of the ledger
 *           say are missing (options.gaps). Receipt: the venue's time, for it was never received live.
 * Again     the same interval once more adds nothing: ids by the intervals of the deduplication (embedded) or the store's
 *           keys (guest), bars and quotes by what they state (`known`, and the store's keys).
 * Ledger    options.guest: another process has the deduplication. The ledger's open gaps are then changed here: what the
 *           venue gave of a gap goes out of its row, in the batch of the trades. Else the core's own deduplication does it.
 *           What the venue does not have of a gap makes it unrepairable.
 * Limits    the venue's own, waited for; ALLOWANCES of requests (options.allow); a request is tried BACKFILL_TRIES times.
 * Fails     ERR_USAGE (a symbol that the venue does not know) ERR_REFUSED ERR_UNAVAILABLE (down, or an allowance is used up: the
 *           text says until when) ERR_CORRUPT (an archive that is not what its checksum says). What was fetched until then
 *           is pushed. Texts never hold the token.
 * Threads   run in one thread; stop and stats from any.
 */
#ifndef TICKLAKE_SOURCE_BACKFILL_H
#define TICKLAKE_SOURCE_BACKFILL_H

#include "source/source.h"

enum { BACKFILL_TRIES = 8, BACKFILL_WAIT_MAX_S = 120 };

enum backfill_archive {
    BACKFILL_ARCHIVE_WHOLE_DAYS,
    BACKFILL_ARCHIVE_ALWAYS,
    BACKFILL_ARCHIVE_NEVER
};

struct history_known; /* source_backfill_known_* */

struct source_backfill_options {
    const struct venue *venue;
    const char *rest_url, *archive_url; /* NULL: the venue's own */
    struct str token;
    const struct str *symbols; /* normalised, or "*" */
    size_t symbol_count;
    bool metadata; /* the instrument list, and nothing else */
    enum history_kind kind;
    uint8_t stream;           /* of HISTORY_TRADES */
    enum timeframe timeframe; /* of HISTORY_CANDLES */
    int64_t from_ns, to_ns;
    enum backfill_archive archive;
    const char *folder; /* where an archive is put while it is read */
    bool guest;
    bool wait; /* for an allowance, however long */
    int32_t connect_timeout_ms;
    bool tls_verify;
    const char *ca_file;
    /* Repair: the gaps of this venue; symbols, kind and times are then not looked at. */
    const struct gap *gaps;
    size_t gap_count;
    /* guest: the open gaps as they are now; called at the beginning and at the end of each tape. */
    enum err_code (*open_gaps)(void *ctx,
                               enum err_code (*each)(void *to, const struct gap *g, struct err *e),
                               void *to, struct err *e);
    /* Counts a request; *ret_until_ns is TIME_ABSENT, or when the next one is allowed: then it was not counted. NULL: nobody
     * counts. used_up: the venue says so. */
    enum err_code (*allow)(void *ctx, int64_t now_ns, int64_t *ret_until_ns, struct err *e);
    enum err_code (*used_up)(void *ctx, bool of_day, int64_t now_ns, int64_t *ret_until_ns,
                             struct err *e);
    /* Puts the bars (quotes) of a symbol that are stored already into `known`, with this series; may be NULL: the store's keys
     * know. */
    enum err_code (*load_known)(void *ctx, const struct source_backfill_options *o, uint32_t series,
                                struct history_known *known, struct err *e);
    void (*progress)(void *ctx, struct str symbol, int64_t upto_ns);
    void *ctx;
};

struct source_backfill_stats { /* read with relaxed atomics */
    int64_t requests, retries, archives, bytes;
    int64_t rows;    /* wanted ones that came, new or not */
    int64_t known;   /* of them bars and quotes that were there */
    int64_t missing; /* ids that the venue left out between two that it gave */
    int64_t gaps, gaps_repaired, gaps_unrepairable, gaps_open, recovered;
    int64_t waited_ms;
};

/* For load_known. */
void source_backfill_known_candle(struct history_known *k, const struct venue_candle *c);
void source_backfill_known_quote(struct history_known *k, const struct quote *q);

struct source_backfill;
enum err_code source_backfill_open(const struct source_options *o,
                                   const struct source_backfill_options *b,
                                   const struct source_past *past, struct source_backfill **ret,
                                   struct err *e) MUST_USE;
/* ERR_STOPPED after source_backfill_stop: what was fetched is pushed, and the same call again goes on. */
enum err_code source_backfill_run(struct source_backfill *s, struct err *e) MUST_USE;
void source_backfill_stop(struct source_backfill *s);
void source_backfill_stats(const struct source_backfill *s, struct source_backfill_stats *ret);
struct source_backfill *source_backfill_close(struct source_backfill *s);

#endif
