/* view.h - what an operator looks at: flow, markets, gaps, Kafka, schemas, lake, jobs, a symbol's candles. As JSON for the
 * console and `status --json`, and as gauges for /metrics.
 *
 *   store ─┐                                     ┌─▶ view_page   (any thread, never waits)
 *   slot  ─┤ each in a thread of its own,        ├─▶ view_metrics
 *   bus   ─┼─ every second or two ───────▶ pages ─┤
 *   registry, lake ─┘ (registry: every 15)       └─▶ view_ask: candles and trades, read in one more thread
 *
 * Sources   a source that fails or does not answer within its deadline keeps its last page and is told as failing, with the
 *           reason and since when; the others go on. A source that the settings do not name is told as "off".
 * Load      a source rests for at least its period, store and lake for three times what their last look took.
 * Reads     only: nothing here writes to the store, the bus or the lake.
 * Process   the counters of this process (`own`) come from a callback; without one (status, --stages serve) they are absent.
 * Memory    pages of at most 16 MiB, the newest 20,000 gaps, 300 samples of the flow.
 * Ends      view_stop waits some seconds for a source that hangs in a server that answers nothing, then leaves its thread to
 *           the end of the process: call it last.
 */
#ifndef TICKLAKE_VIEW_VIEW_H
#define TICKLAKE_VIEW_VIEW_H

#include "base/buf.h"
#include "config/config.h"
#include "run/run.h"

enum view_page {
    VIEW_FLOW,
    VIEW_MARKETS,
    VIEW_GAPS,
    VIEW_KAFKA,
    VIEW_SCHEMAS,
    VIEW_LAKE,
    VIEW_JOBS,
    VIEW_PAGES
};

/* What this process does itself. Marks are -1 where it does not do that. */
struct view_own {
    struct run_marks marks;
    int64_t connections, connections_up, retries, errors;
    int64_t trades, quotes, dead, duplicates;
};

struct view_options {
    const struct config *config;                  /* must outlive the view */
    void (*own)(void *ctx, struct view_own *ret); /* any thread; NULL */
    /* The answer to view_ask; any thread. status: of HTTP. */
    void (*answer)(void *ctx, uint64_t id, int status, struct str json);
    void *ctx;
};
struct view;
enum err_code view_start(const struct view_options *o, struct view **ret, struct err *e) MUST_USE;
struct view *view_stop(struct view *v);
/* Waits until each source was looked at once, or for timeout_ms. */
void view_settle(struct view *v, int32_t timeout_ms);

const char *view_page_name(enum view_page page); /* "flow" */
/* One JSON object. query: "venue=x&symbol=y&state=open&limit=100", percent-encoded; only gaps takes one. */
void view_page(struct view *v, enum view_page page, const char *query, struct buf *out);
/* "candles" (venue, symbol, timeframe, from_ms, to_ms, limit) or "trades" (venue, symbol, limit): `answer` is called once, also
 * with an error in words. false: too many wait, or there is no such question. */
bool view_ask(struct view *v, uint64_t id, const char *what, const char *query);
void view_metrics(struct view *v, struct buf *out);

#endif
